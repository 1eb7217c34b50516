"""`finops-ai check-cases`: price and normalise known bills, and say where a result differs."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command("check-cases")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--book", "contracts", type=click.Path(dir_okay=False), help="Contracts (prices.toml) laid over the list prices."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Form of the result.",
)
@click.pass_context
def check_cases(ctx: click.Context, file: str, contracts: str | None, form: str) -> None:
    """Run the known bills of FILE and compare meters, flags and cost exactly.

    \b
    finops-ai check-cases bills.json

    One line per id: outcome, what was expected, what came out, and why (price rows and modifiers in order).
    Statements about several calls or days (`invariants`) are run where their kind is known. Exits 1 if any fails and 2 if the file breaks the closed form.
    """
    from finops_ai.prices import PriceBook
    from finops_ai.prices.cases import read_cases, run_cases
    from finops_ai.prices.invariants import run_invariants

    table = read_cases(file)
    book = PriceBook.load(contracts) if contracts else PriceBook.default()
    results = list(run_cases(table, book))
    counts = {outcome: sum(r.outcome == outcome for r in results) for outcome in ("pass", "unsure", "fail")}
    stated = list(run_invariants(table, book))
    held, broken = (sum(r.outcome == outcome for r in stated) for outcome in ("pass", "fail"))
    left = len(stated) - held - broken
    if form == "json":
        click.echo(
            json.dumps(
                {
                    "results": [asdict(r) for r in results],
                    **counts,
                    "invariants": [asdict(r) for r in stated],
                    "invariants_passed": held,
                    "invariants_failed": broken,
                    "invariants_not_run": left,
                },
                indent=1,
            )
        )
    else:
        width = max((len(r.id) for r in [*results, *stated]), default=0)
        for r in [*results, *stated]:
            click.echo(
                _line(f"{r.outcome:<6} {r.id:<{width}}  expected {r.expected} | got {r.got} | why {r.why or r.title}")
            )
        click.echo(
            f"{counts['pass']} passed, {counts['fail']} failed, {counts['unsure']} unsure; "
            f"invariants: {held} passed, {broken} failed, {left} not run."
        )
    ctx.exit(1 if counts["fail"] or broken else 0)


def _line(text: str) -> str:
    return "".join(ch if ch.isprintable() else "�" for ch in text)
