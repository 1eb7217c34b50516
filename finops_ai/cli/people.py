"""`finops-ai people`: true cost of people and teams, idle seats, allowances, plans and outcomes of coding tools."""

from __future__ import annotations

from typing import Any

import click

from finops_ai.cli.collecting import config_option
from finops_ai.cli.output import format_options
from finops_ai.cli.tables import by_option, month_option, say, workspace
from finops_ai.errors import DataError

TABLES = ("months", "idle", "pools", "net", "plans", "logs", "sessions", "outcomes")


@click.command()
@click.argument("what", type=click.Choice(TABLES), default="months")
@by_option
@month_option
@click.option("--names", is_flag=True, help="Show names instead of masked ones; for readers who have the right to.")
@click.option(
    "--unit",
    type=click.Choice(["pull_request", "commit", "session"]),
    default="pull_request",
    show_default=True,
    help="Of outcomes.",
)
@click.option(
    "--money",
    type=click.Choice(["cost", "included_cost", "list_value"]),
    default="cost",
    show_default=True,
    help="Of outcomes: cash, use of allowances, or list value of logs. They are never added.",
)
@click.option("--provider", default="github-copilot", show_default=True, help="Of net: whose pool.")
@config_option
@format_options
def people(
    what: str,
    by: tuple[str, ...],
    month: str | None,
    names: bool,
    unit: str,
    money: str,
    provider: str,
    config: str,
    form: str,
    output: str | None,
) -> None:
    """What people's coding tools truly cost, seats included, and what came of it.

    \b
    months     true cost by team, person or provider, adding up to the invoices
    idle       seats that nobody uses, in money, and how sure that is
    pools      how much of each allowance is used, and when it runs out
    net        a shared pool's extra charge by share of use, beside the vendor's
    plans      seat or API per person, and who should change plan
    logs       the vendors' figures against local logs
    sessions   sessions and the commits they led to
    outcomes   cost per merged pull request, commit or session

    \b
    finops-ai people --month 2026-10 --by team
    finops-ai people idle --month 2026-10
    finops-ai people outcomes --month 2026-10 --money list_value
    """
    from dataclasses import replace

    from finops_ai.people.outcomes import outcome_costs
    from finops_ai.people.workspace import People

    ws, month = workspace(config, month)
    found = People.of(ws, month)
    if names:
        found = replace(found, privacy=replace(found.privacy, shown=True))
    keys = [c.strip() for text in by for c in text.split(",") if c.strip()]
    tables: dict[str, Any] = {
        "months": lambda: found.months(month, keys or ["team"]),
        "idle": lambda: found.idle(month),
        "pools": lambda: found.pools(month),
        "net": lambda: found.net(month, provider),
        "plans": lambda: found.plans(month),
        "logs": lambda: found.logs(month, keys or ["provider"]),
        "sessions": lambda: found.links(month),
        "outcomes": lambda: outcome_costs(found.links(month), unit, by=keys, money=money),
    }
    table = tables[what]()
    if what == "months" and not len(table):
        raise DataError(f"Nothing of {month} is known: no seats, no use, no bill. Load it with `finops-ai collect`.")
    say(table, form, output)
