"""finops_ai connector for AWS Bedrock: Cost and Usage Report 2.0, CloudWatch and model invocation logs."""

from __future__ import annotations

from finops_ai.providers import hookimpl
from finops_ai_bedrock.connector import Bedrock


@hookimpl
def finops_ai_connectors() -> list[type[Bedrock]]:
    """The one connector of this plugin."""
    return [Bedrock]
