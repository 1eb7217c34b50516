"""`finops-ai close`, `true-up` and `audit`: months that never change, corrections that are posted, and the proof."""

from __future__ import annotations

from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import say, workspace


def documents_of(ws: Any) -> dict[str, Any]:
    """Rules and policies in force, to be frozen with a month."""
    from finops_ai.tables.posting import policy_of

    accounts = ws.settings.policies.get("journal")
    lookups = {name: lookup.plain() for name, lookup in ws.rules.lookups.items()}
    return {
        "rules": ws.settings.mapping | ({"lookups": lookups} if lookups else {}),
        "policy": policy_of(ws),
        "accounts": accounts,
        "contracts": ws.settings.policies.get("contracts"),
    }


def inputs_of(ws: Any, month: str) -> dict[str, Any]:
    """What the month's figures are made of besides its own rows: telemetry, and what incentives compare it with."""
    from finops_ai.periods import Window
    from finops_ai.tables.policy import Policy
    from finops_ai.tables.posting import policy_of

    out = {"telemetry": ws.telemetry_cells(month)}
    incentives = Policy.load(policy_of(ws)).incentives
    if any(incentives.rates.get(kind) for kind in ("model", "prompt")):
        history = ws.history(month, 1 + incentives.baseline_months)
        earlier = history["charge_period_start"] < Window.month(month, ws.timezone).start
        out["history"] = history[earlier.to_numpy()]
    return {name: frame for name, frame in out.items() if frame is not None}


def facts_of(ws: Any, made: Any) -> dict[str, Any]:
    """Versions of what the figures were made from."""
    from finops_ai import __version__

    versions = {t: ws.lake.version(t) for t in ("tokens", "bills")}
    return {
        "currency": made.currency,
        "prices": ws.book.version,
        "rules": ws.rules.version,
        "lake": versions,
        "finops_ai": __version__,
        "timezone": ws.timezone,
        "grain": "cells",
    }


@click.command()
@click.argument("month", metavar="YYYY-MM")
@config_option
def close(month: str, config: str) -> None:
    """Freeze a month: inputs, prices, rules and results, hashed, sealed and chained. Its figures never change again.

    \b
    finops-ai close 2026-09
    """
    from finops_ai.errors import DataError
    from finops_ai.tables.posting import charge_month, results_of

    ws, month = workspace(config, month)
    ledger = ws.ledger
    ledger.require_open(month)
    state = ws.digest()
    made = charge_month(ws, month)
    inputs = {"rows": ws.priced_cells(month), "allocated": ws.cube(month), "bills": ws.bills(month)}
    tables = (
        inputs
        | inputs_of(ws, month)
        | results_of(made)
        | {"journal": made.journal(ws.settings.policies.get("journal"))}
    )
    facts = facts_of(ws, made)
    if ws.digest() != state:
        raise DataError(f"Usage or bills were loaded while {month} was being closed. Nothing is closed: run it again.")
    sealed = ledger.close(month, tables, documents=documents_of(ws), facts=facts)
    total = sum(made.summary["charge"])
    click.echo(
        f"{month} is closed: {total:,.2f} {made.currency} charged to {len(made.summary)} receivers. Files: {sealed.folder}"
    )
    click.echo(f"Keep the seal elsewhere to prove later that nothing was rewritten: {ledger.head()}")


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
    """
    from finops_ai.periods import next_month, parse_month
    from finops_ai.tables.posting import policy_of, results_of
    from finops_ai.tables.true_up import recompute, summary
    from finops_ai.tables.true_up import true_up as entries_of

    ws, month = workspace(config, month)
    ledger = ws.ledger
    ledger.require_sound()
    state, first = ledger.state(month), ledger.closed(month)
    if posted_in is None:
        day = next_month(parse_month(month))
        while f"{day:%Y-%m}" in ledger.months():
            day = next_month(day)
        posted_in = f"{day:%Y-%m}"
    accounts, closed_accounts = ws.settings.policies.get("journal"), state.document("accounts")
    # what was closed row by row, before there were cubes, is compared row by row
    tokens = ws.token_cells(month) if first.facts.get("grain") == "cells" else ws.tokens(month)
    now = inputs_of(ws, month)
    then = {
        name: state.table(name) for name in ("telemetry", "history") if f"{name}.parquet" in state.manifest["files"]
    }
    steps = recompute(
        state.table("rows"),
        tokens,
        closed_rules=state.document("rules"),
        rules=ws.rules,
        book=ws.book,
        closed_policy=state.document("policy"),
        policy=policy_of(ws),
        month=month,
        timezone=ws.timezone,
        closed_telemetry=then.get("telemetry"),
        telemetry=now.get("telemetry"),
        closed_history=then.get("history"),
        history=now.get("history"),
        pricing=lambda rows: ws.reprice(month, rows),
    )
    made = steps[-1][1]
    journals = [(cause, step.journal(closed_accounts)) for cause, step, _ in steps]
    journals.append(("accounts", made.journal(accounts)))
    table = entries_of(
        state.table("journal"), journals, month=month, posted_in=posted_in, currency=first.facts["currency"]
    )
    if not len(table):
        click.echo(f"Nothing has changed since {month} was closed; nothing is posted.", err=True)
        return
    say(table, form, output)
    if form == "table" and not output:
        say(summary(table, made.currency, month), form, None)
    if dry_run:
        click.echo("Nothing was posted (--dry-run).", err=True)
        return
    journal = {"true_up": table, "journal": made.journal(accounts)}
    tables = {"rows": ws.reprice(month, tokens), "allocated": steps[-1][2]} | now | results_of(made) | journal
    sealed = ledger.post(month, posted_in, tables, documents=documents_of(ws), facts=facts_of(ws, made))
    click.echo(f"Posted in {posted_in}: {len(table)} entries. Files: {sealed.folder}", err=True)


@click.command()
@click.option("--head", metavar="SEAL", help="A seal you kept: it must still be in the chain.")
@config_option
def audit(head: str | None, config: str) -> int:
    """Prove that closed months are as they were: every file, seal and link; exit 1 names what was changed.

    \b
    finops-ai audit
    finops-ai audit --head 3f9c...            a seal you kept must still be in the chain
    """
    import finops_ai as fa

    ledger = fa.open(config).ledger
    found = ledger.audit(head)
    for finding in found:
        click.echo(str(finding))
    months, entries = ledger.months(), len(ledger.chain())
    if found:
        click.echo(f"{len(found)} problems in {entries} sealed states.", err=True)
        return 1
    click.echo(f"Sound: {len(months)} closed months, {entries - len(months)} true-ups. Seal: {ledger.head()}")
    return 0
