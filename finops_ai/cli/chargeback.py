"""`finops-ai chargeback`: statements and journal of a month."""

from __future__ import annotations

from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, rows_of, say, workspace


@click.command()
@click.argument("receiver", required=False)
@month_option
@click.option("--journal", "as_journal", is_flag=True, help="The double-entry journal instead of the summary.")
@click.option("--out", metavar="FOLDER", help="Also write statements and journal there: CSV, Excel, JSON.")
@config_option
@format_options
def chargeback(
    receiver: str | None,
    month: str | None,
    as_journal: bool,
    out: str | None,
    config: str,
    form: str,
    output: str | None,
) -> None:
    """What each cost centre is charged ([chargeback] of finops.toml); with RECEIVER, its statement line by line."""
    ws, month = workspace(config, month)
    made = charged(ws, month)
    accounts = ws.settings.policies.get("journal")
    table = made.statement(receiver) if receiver else made.journal(accounts) if as_journal else made.summary
    say(table, form, output)
    for path in made.write(out, accounts) if out else ():
        click.echo(f"Written: {path}", err=True)


def charged(ws: Any, month: str) -> Any:
    """A month's chargeback under the workspace's policy; a closed month's own figures are in its files."""
    import finops_ai as fa

    history = ws.history(month, 4)
    return fa.chargeback(
        rows_of(ws, month), policy_of(ws), month=month, timezone=ws.timezone, book=ws.book, history=history
    )


def policy_of(ws: Any) -> Any:
    """The [chargeback] section as written; by default the first dimension at cost."""
    from finops_ai.tables.policy import policy_or_default

    policy = ws.settings.policies.get("chargeback")
    return policy if policy is not None else {"dimension": policy_or_default(None, ws.rules.dimensions).dimension}
