"""finops_ai connector for GitHub Copilot: AI credits, premium requests, billed charges and seats."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_github_copilot.connector import GitHubCopilotConnector, GitHubCopilotSettings

__all__ = ["GitHubCopilotConnector", "GitHubCopilotSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [GitHubCopilotConnector]
