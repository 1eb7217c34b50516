"""`finops-ai chargeback`: statements and journal of a month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import month_option, say, workspace

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("receiver", required=False)
@month_option
@click.option("--journal", "as_journal", is_flag=True, help="The double-entry journal instead of the summary.")
@click.option("--ties", is_flag=True, help="How the charges tie to what was billed, per account and invoice.")
@click.option(
    "--ledger",
    metavar="FORM",
    help="With --out: the journal as this ledger imports it: neutral, netsuite, quickbooks, sap, xero.",
)
@click.option(
    "--amounts",
    type=click.Choice(["group", "transaction"]),
    default="group",
    show_default=True,
    help="Currency of --ledger: the group's, or a journal per transaction currency.",
)
@click.option("--out", metavar="FOLDER", help="Also write statements and journal there: CSV, Excel, JSON.")
@config_option
@format_options
def chargeback(
    receiver: str | None,
    month: str | None,
    as_journal: bool,
    ties: bool,
    ledger: str | None,
    amounts: str,
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
    finops-ai chargeback --month 2026-10 --ties         payable = charged + stated differences, per invoice
    finops-ai chargeback --month 2026-10 --out gl --ledger xero

    A closed month shows what it was closed with; an open one today's figures and the true-ups posted in it.
    """
    from finops_ai.tables.journal import load_accounts, told
    from finops_ai.tables.journal_forms import form_of, write_form
    from finops_ai.tables.posting import posting

    if ledger:
        form_of(ledger)
        if not out:
            raise click.UsageError("--ledger writes files: name their folder with --out.")
    ws, month = workspace(config, month)
    post = posting(ws, month)
    table = post.statement(receiver) if receiver else post.entries if as_journal else post.overview
    if as_journal and form == "table" and not output:
        table = told(table)
    say(post.charged.tie_out() if ties else table, form, output)
    written: list[Path] = []
    if ledger and out:
        centres = load_accounts(ws.settings.policies.get("journal")).cost_centres
        written = write_form(
            post.entries, ledger, out, amounts=amounts, cost_centres=centres, short_numbers=post.short_numbers
        )
    elif out:
        written = post.write(out)
    for path in written:
        click.echo(f"Written: {path}", err=True)


@click.group("policy")
def policy() -> None:
    """Look at the chargeback policy before it charges anybody.

    \b
    finops-ai policy check --month 2026-10
    """


@policy.command("check")
@month_option
@click.option(
    "--months", type=click.IntRange(1, 24), default=3, show_default=True, help="How many past months to try it on."
)
@config_option
@format_options
def check(month: str | None, months: int, config: str, form: str, output: str | None) -> None:
    """What the policy allows in words, what of it is ignored or held back, and what it would have charged in past months.

    \b
    finops-ai policy check --months 6
    """
    import pandas as pd

    import finops_ai as fa
    from finops_ai.tables.chargeback import Chargeback
    from finops_ai.tables.policy import Policy
    from finops_ai.tables.policy_check import check_policy
    from finops_ai.tables.posting import bill_of, policy_of

    ws, month = workspace(config, month)
    rules = Policy.load(policy_of(ws))

    def charged(name: str) -> Chargeback:
        with ws.steady():
            history = ws.history(name, 1 + rules.incentives.baseline_months)
            cube, bill = ws.cube(name), bill_of(ws, name, ws.bills(name))
        return fa.chargeback(cube, rules, month=name, timezone=ws.timezone, book=ws.book, history=history, bill=bill)

    tried = ws.months_before(month, months)
    lines = pd.concat([ws.bills(name) for name in tried], ignore_index=True) if tried else ws.bills(month)
    bill = bill_of(ws, month, lines)
    table = check_policy(rules, tried, charged, ws.settings.policies.get("journal"), bill)
    if form == "table" and not output:
        for finding, text in zip(table["finding"], table["text"], strict=True):
            click.echo(f"{finding}: {text}")
        return
    say(table, form, output)
