"""`finops-ai kpis`: the KPIs of FinOps for AI with the user's own figures."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, rows_of, say, workspace


@click.command()
@month_option
@config_option
@format_options
def kpis(month: str | None, config: str, form: str, output: str | None) -> None:
    """Every KPI of FinOps for AI: computed from what the workspace holds, or unknown with what it would take.

    \b
    finops-ai kpis --month 2026-10
    """
    from finops_ai.reporting.kpis import workspace_kpis

    ws, month = workspace(config, month)
    rows_of(ws, month)
    say(workspace_kpis(ws, month), form, output)
