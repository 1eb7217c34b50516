"""`finops-ai commitments`: what volume tiers, capacity and credits came to."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, workspace


@click.command()
@month_option
@config_option
@format_options
def commitments(month: str | None, config: str, form: str, output: str | None) -> None:
    """What contracts with volume tiers, committed capacity or prepaid credits came to in a month.

    \b
    finops-ai commitments --month 2026-10
    """
    from finops_ai.cli.tables import say
    from finops_ai.errors import SettingsError
    from finops_ai.tables.commitments import commitments_table

    ws, month = workspace(config, month)
    if not ws.book.has_terms:
        raise SettingsError(
            f"No contract in {config} or its price file has volume tiers, capacity or credits; see [[contracts]] in docs/prices.md."
        )
    say(commitments_table(ws.commitments(month)), form, output)
