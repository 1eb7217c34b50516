"""finops_ai connector for Azure OpenAI and Microsoft Foundry."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this plugin."""
    from finops_ai_azure_openai.connector import AzureOpenAI

    return [AzureOpenAI]
