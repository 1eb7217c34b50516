"""finops_ai connector for LiteLLM: the gateway's spend logs, call by call, with key, team, user and tags."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_litellm.connector import LiteLLMConnector, LiteLLMSettings

__all__ = ["LiteLLMConnector", "LiteLLMSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [LiteLLMConnector]
