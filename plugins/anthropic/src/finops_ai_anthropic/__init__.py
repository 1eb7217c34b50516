"""finops_ai connector for Anthropic: usage and cost of a Claude Console or Claude Enterprise organization."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_anthropic.connector import AnthropicConnector, AnthropicSettings

__all__ = ["AnthropicConnector", "AnthropicSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [AnthropicConnector]
