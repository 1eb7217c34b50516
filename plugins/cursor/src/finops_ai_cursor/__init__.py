"""finops_ai connector for Cursor: usage events, on-demand spend, seats and AI commits of a team."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl
from finops_ai_cursor.connector import CursorConnector, CursorSettings

__all__ = ["CursorConnector", "CursorSettings"]

FINOPS_AI_CONTRACT = "1.0"


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connectors of this plugin."""
    return [CursorConnector]
