"""`finops-ai deliver`: the report and statements of a closed month, each sent once."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import say


@click.command()
@click.argument("month", metavar="YYYY-MM")
@click.option("--dry-run", is_flag=True, help="Show what would go to whom; send nothing.")
@click.option("--again", is_flag=True, help="Send once more what may have arrived or not.")
@config_option
@format_options
def deliver(month: str, dry_run: bool, again: bool, config: str, form: str, output: str | None) -> int:
    """Send the report and the statements of a closed MONTH to who they are for, each exactly once per close.

    \b
    finops-ai deliver 2026-10 --dry-run
    finops-ai deliver 2026-10

    \b
    [[deliver]]
    what = "statements"            # or report
    to = "folder"                  # folder, email, webhook, s3
    folder = "outbox"
    for = ["support", "search"]    # default: every receiver

    Running it again sends only what is still due. Exits with 3 where something couldn't be sent or has no address.
    """
    import finops_ai as fa
    from finops_ai.periods import parse_month
    from finops_ai.watching.delivering import SENT
    from finops_ai.watching.delivering import deliver as send

    parse_month(month)
    table = send(fa.open(config), month, dry_run=dry_run, again=again)
    say(table, form, output)
    if dry_run:
        click.echo("Nothing was sent (--dry-run).", err=True)
        return 0
    return 0 if all(state == SENT for state in table["state"]) else 3
