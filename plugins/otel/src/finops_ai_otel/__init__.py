"""finops_ai connector for OpenTelemetry: GenAI spans and token metrics, from files of the collector."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_otel.connector import OtelConnector, OtelSettings

__all__ = ["OtelConnector", "OtelSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [OtelConnector]
