"""`finops-ai chargeback`: statements and journal of a month."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, say, workspace


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
    """What each cost centre is charged ([chargeback] of finops.toml); with RECEIVER, its statement line by line.

    \b
    finops-ai chargeback --month 2026-10
    finops-ai chargeback search --month 2026-10        one statement, line by line
    finops-ai chargeback --month 2026-10 --out charged  statements and journal as files

    A closed month shows what it was closed with; an open one today's figures and the true-ups posted in it.
    """
    from finops_ai.tables.posting import posting

    ws, month = workspace(config, month)
    post = posting(ws, month)
    table = post.statement(receiver) if receiver else post.entries if as_journal else post.overview
    say(table, form, output)
    for path in post.write(out) if out else ():
        click.echo(f"Written: {path}", err=True)
