"""`finops-ai kpis` and `unit-economics`: KPIs with the user's own figures, and what an outcome costs."""

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


@click.command("unit-economics")
@month_option
@click.option("--months", type=click.IntRange(1, 60), default=2, show_default=True, help="Months up to that one.")
@click.option("--per", type=click.Choice(["month", "week", "day"]), default="month", show_default=True)
@config_option
@format_options
def unit_economics(month: str | None, months: int, per: str, config: str, form: str, output: str | None) -> None:
    """Cost per ticket, customer or document: cost over what the business counts.

    \b
    finops-ai unit-economics --months 6

    \b
    [business]
    file = "business.csv"     # month or day, metric, value, and a column per dimension it is counted for
    """
    import finops_ai as fa
    from finops_ai.errors import SettingsError
    from finops_ai.tables.unit_economics import workspace_metrics

    ws, month = workspace(config, month)
    metrics = workspace_metrics(ws)
    if metrics is None:
        raise SettingsError('finops.toml has no [business] section. Add one with file = "business.csv".')
    shown = ws.months_before(month, months)
    time = "day" if "day" in metrics.columns else "month"
    if time in metrics.columns:
        metrics = metrics[metrics[time].astype(str).str[:7].isin(shown)]
    say(fa.unit_economics(ws.history(month, months), metrics, per=per, timezone=ws.timezone), form, output)
