"""finops_ai connector for Google Vertex AI: billing export, Cloud Monitoring and request-response logs."""

from __future__ import annotations

from finops_ai.providers import hookimpl
from finops_ai_vertex.connector import Vertex


@hookimpl
def finops_ai_connectors() -> list[type[Vertex]]:
    """The one connector of this plugin."""
    return [Vertex]
