"""What a page says of budgets: which are off course, when they run out, and how fast each is spent."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from IPython.display import HTML, display

from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.forecasting.projection import DRAWS
from finops_ai.money import minor_units
from finops_ai.reporting.answers import note
from finops_ai.reporting.charging import plain_table
from finops_ai.reporting.months import month_text
from finops_ai.reporting.text import is_unknown, percent

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: what a chance of an overrun is, as captions say it
OVERRUN = f"chance of overrun: share of {DRAWS:,} simulated paths that end above the budget"
STATES = {"ok": "on course", "watch": "heading over", "over": "over"}


def budgets(ws: Workspace, month: str) -> None:
    """Show the budgets that touch a month, under a heading of their own; nothing where finops.toml has none.

    Args:
        ws: the workspace.
        month: the month shown; budgets of a quarter or year reach back as far as their period.
    """
    table = workspace_budgets(ws, month)
    if table is None:
        return
    rows = table.published().astype(object).to_dict("records")
    off = [r for r in rows if r["status"] != "ok"]
    told = f"{len(off)} of {len(rows)} budgets {'is' if len(off) == 1 else 'are'} over or heading over" if off else ""
    said = told or ("All budgets are on course" if rows else "No budget touches this month")
    display(HTML(f"<h2>Budgets</h2><p>{said}.</p>"))
    if not rows:
        return
    places = minor_units(table.facts.currency)
    lines = [
        [
            _name(r["name"], r["from"], r["to"]),
            _period(r["from"], r["to"]),
            f"{r['budget']:,.{places}f}",
            f"{r['spent']:,.{places}f}",
            "" if is_unknown(r["used"]) else percent(r["used"]),
            "–" if is_unknown(r["expected"]) else f"{r['expected']:,.{places}f}",
            "" if is_unknown(r["pacing"]) else percent(r["pacing"]),
            "–" if is_unknown(r["projected"]) else f"{r['projected']:,.{places}f}",
            "–" if is_unknown(r["overrun_probability"]) else percent(r["overrun_probability"], places=0),
            _day(r["overrun_date"]),
            STATES[r["status"]],
        ]
        for r in rows
    ]
    heads = [
        "Budget",
        "Period",
        "Amount",
        "Spent",
        "Used",
        "Even pace",
        "Of even pace",
        "Ends at",
        "Chance of overrun",
        "Runs out",
        "State",
    ]
    display(
        HTML(
            plain_table(heads, lines, texts=2, caption=f"Amounts in {table.facts.currency}, most used first; {OVERRUN}")
        )
    )
    states = {r["text"] for r in rows}
    note(" ".join(text for text in table.facts.notes if text not in states))


def _name(name: str, since: dt.date, until: dt.date) -> str:
    """A budget's name without its month, which stands beside it.

    >>> _name("search, October 2026", dt.date(2026, 10, 1), dt.date(2026, 11, 1))
    'search'
    """
    month = f", {month_text(f'{since:%Y-%m}')}"
    return name.removesuffix(month) if until <= since + dt.timedelta(days=31) else name


def _period(since: dt.date, until: dt.date) -> str:
    """A budget's period by its first and last month.

    >>> _period(dt.date(2026, 10, 1), dt.date(2026, 11, 1)), _period(dt.date(2026, 10, 1), dt.date(2027, 1, 1))
    ('Oct 2026', 'Oct 2026 to Dec 2026')
    """
    last = until - dt.timedelta(days=1)
    names = [f"{day:%b %Y}" for day in (since, last)]
    return names[0] if names[0] == names[1] else " to ".join(names)


def _day(value: object) -> str:
    return "" if is_unknown(value) else f"{value:%d %b %Y}".lstrip("0")
