"""OpenAI for finops_ai: the organization's Usage and Costs APIs, saved pages of them, and the dashboard's CSV."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this plugin."""
    from finops_ai_openai.connector import OpenAI

    return [OpenAI]
