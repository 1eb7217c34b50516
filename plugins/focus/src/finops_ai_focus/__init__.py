"""FOCUS for finops_ai: Cost and Usage files 1.0 to 1.4 of any provider, known deviations handled."""

from __future__ import annotations

from finops_ai.providers import Connector, hookimpl


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this plugin."""
    from finops_ai_focus.connector import Focus

    return [Focus]
