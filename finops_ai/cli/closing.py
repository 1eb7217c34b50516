"""`finops-ai close`, `true-up`, `reopen` and `audit`: months that never change, corrections that are posted, and the proof."""

from __future__ import annotations

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options, show
from finops_ai.cli.tables import say, workspace
from finops_ai.money import written


@click.command()
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be sealed and whether the conditions hold; seal nothing."
)
@click.option("--approved-by", default="", metavar="NAME", help="Who approves it; kept in the close.")
@click.option("--reason", default="", metavar="TEXT", help="Why; kept in the close.")
@click.option(
    "--out-of-order", default="", metavar="REASON", help="Why it is closed although an earlier month is open."
)
@config_option
def close(month: str, dry_run: bool, approved_by: str, reason: str, out_of_order: str, config: str) -> int:
    """Freeze a month: inputs, prices, rules and results, hashed, sealed and chained. Its figures never change again.

    \b
    finops-ai close 2026-09 --dry-run
    finops-ai close 2026-09

    Conditions that must hold before are the [close] section of finops.toml.
    """
    from finops_ai.tables.closing import close_month, preview

    ws, month = workspace(config, month)
    if dry_run:
        made = preview(ws, month, approved_by=approved_by, reason=reason)
        say(made.charged.summary, "table", None)
        show(made.contents(), "table", None)
        for text, passed in zip(made.gates["text"], made.gates["passed"], strict=True):
            click.echo(f"{'holds' if passed else 'FAILS'}: {text}")
        click.echo("Nothing was closed (--dry-run).", err=True)
        return int(not made.gates["passed"].all())
    made, sealed = close_month(ws, month, approved_by=approved_by, reason=reason, out_of_order=out_of_order)
    summary = made.charged.summary
    click.echo(
        f"{month} is closed: {written(sum(summary['charge']), made.charged.currency)} {made.charged.currency} charged to {len(summary)} receivers. "
        f"Files: {sealed.folder}"
    )
    click.echo(f"Keep the seal elsewhere to prove later that nothing was rewritten: {sealed.seal}")
    return 0


@click.command("true-up")
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--in", "posted_in", metavar="YYYY-MM", help="Open month to post in. Default: the first open month after it."
)
@click.option("--dry-run", is_flag=True, help="Show the entries, post nothing.")
@config_option
@format_options
def true_up(month: str, posted_in: str | None, dry_run: bool, config: str, form: str, output: str | None) -> None:
    """Post what changed since MONTH was closed, by cause, as signed entries of an open month.

    \b
    finops-ai true-up 2026-09 --dry-run      what would be posted, by cause
    finops-ai true-up 2026-09 --in 2026-11   post it in November

    What was posted in a month: finops-ai chargeback --month 2026-11 --journal
    """
    from finops_ai.tables.closing import true_up_month
    from finops_ai.tables.journal import told
    from finops_ai.tables.true_up import summary

    ws, month = workspace(config, month)
    table, sealed = true_up_month(ws, month, posted_in=posted_in, dry_run=dry_run)
    if not len(table):
        click.echo(f"Nothing has changed since {month} was closed; nothing is posted.", err=True)
        return
    plain = form == "table" and not output
    say(told(table) if plain else table, form, output)
    if plain:
        say(summary(table, table.facts.currency, month), form, None)
    if sealed is None:
        click.echo("Nothing was posted (--dry-run).", err=True)
    else:
        click.echo(f"Posted in {table.facts.period}: {len(table)} entries. Files: {sealed.folder}", err=True)


@click.command()
@click.argument("month", metavar="YYYY-MM")
@click.option("--approved-by", required=True, metavar="NAME", help="Who decides it; kept in the chain.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the chain.")
@config_option
def reopen(month: str, approved_by: str, reason: str, config: str) -> None:
    """Open the last closed month again, on record: name and reason are sealed, and what was closed stays in the chain.

    \b
    finops-ai reopen 2026-10 --approved-by "A. Finance" --reason "closed before the last invoice"
    """
    import finops_ai as fa

    ledger = fa.open(config).ledger
    sealed = ledger.reopen(month, approved_by, reason)
    click.echo(f"{month} is open again, on record: {sealed.folder}. Close it with `finops-ai close {month}`.")


@click.command()
@click.option("--head", metavar="SEAL", help="A seal you kept: it must still be in the chain.")
@click.option("--repair", is_flag=True, help="Write the chain again from its folders, if these are whole.")
@config_option
def audit(head: str | None, repair: bool, config: str) -> int:
    """Prove that closed months are as they were: every file, seal and link; exit 1 names what was changed.

    \b
    finops-ai audit
    finops-ai audit --head 3f9c...            a seal you kept must still be in the chain
    finops-ai audit --repair                  after a power failure cut the chain's last line
    """
    import finops_ai as fa
    from finops_ai.store.chain import RESTORE

    ledger = fa.open(config).ledger
    if repair:
        click.echo(f"The chain is written again: {len(ledger.repair(head))} sealed states.")
    found = ledger.audit(head)
    for finding in found:
        click.echo(str(finding))
    if found:
        click.echo(f"{len(found)} problems in the closed months. {RESTORE}", err=True)
        return 1
    kinds = [e.kind for e in ledger.chain()]
    reopened = f", {kinds.count('reopen')} reopened" if "reopen" in kinds else ""
    click.echo(
        f"Sound: {len(ledger.months())} closed months, {kinds.count('true-up')} true-ups{reopened}. Seal: {ledger.head()}"
    )
    return 0
