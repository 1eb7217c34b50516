"""The page of coding tools: true cost, allowances, idle seats, plans, outcomes; each money says which it is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from IPython.display import HTML, display

from finops_ai.errors import DataError
from finops_ai.people.workspace import People
from finops_ai.reporting.grid import grid, heading
from finops_ai.reporting.months import month_text
from finops_ai.reporting.text import amount, is_unknown, money, percent, safe

if TYPE_CHECKING:
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace


def people_of(ws: Workspace, month: str) -> People:
    """A workspace's people; a workspace without a `[people]` section has none.

    Raises:
        DataError: it has no such section.
    """
    if "people" not in ws.settings.policies:
        raise DataError("finops.toml has no [people] section, so nobody is known to hold a seat.")
    return People.of(ws, month)


def answer(table: Table, month: str) -> str:
    """The page's answer: what people's tools cost in all, and what of it is seats, in a sentence of HTML."""
    shown, currency = table.published(), table.facts.currency
    if not currency:
        return f"{safe(month_text(month))}: amounts are in several currencies, which are never added."
    whole, seats = (sum(v for v in shown[name] if not is_unknown(v)) for name in ("cost", "seat_cost"))
    text = f"In {safe(month_text(month))} coding tools cost <strong>{amount(whole, currency)}</strong>"
    return f"{text}, {amount(seats, currency)} of it for seats." if whole else f"{text}."


def show(table: Table, texts: Sequence[str], columns: Sequence[str], *, top: int = 20, total: bool = False) -> None:
    """Show a table: its first columns as text, amounts as published, its notes below; what isn't shown is counted."""
    shown = table.published()
    records = shown.astype(object).to_dict("records")
    money = set(table.facts.money)
    unit = table.facts.currency
    names = [c for c in texts if c in shown.columns]
    figures = [c for c in columns if c in shown.columns]
    lines = [[_cell(r[c], c in money, unit) for c in [*names, *figures]] for r in records[:top]]
    foot = []
    if total and records and unit:
        sums = {c: sum(r[c] for r in records if not is_unknown(r[c])) for c in figures if c in money}
        foot = [
            "total",
            *[""] * (len(names) - 1),
            *(_cell(sums.get(c), c in money, unit) if c in sums else "" for c in figures),
        ]
    heads = [_head(c) for c in [*names, *figures]]
    if not names:  # one row of the whole
        heads, lines, names = ["", *heads], [["all", *line] for line in lines], [""]
    said = [table.facts.title, unit, f"{len(records) - top:,} more rows" if len(records) > top else ""]
    display(HTML(grid(heads, lines, caption=" · ".join(filter(None, said)), texts=len(names), foot=foot)))
    for text in table.facts.notes:
        display(HTML(f'<p class="note">{safe(text)}</p>'))


#: which money a column is, where its name doesn't say
_HEADS = {
    "cost": "Cost (cash)", "included_cost": "Included (no cash)", "list_value": "Value at list (no cash)", "size": "Size (no cash)",
    "used": "Used (no cash)", "beyond": "Beyond (no cash)", "charged": "Charged (cash)", "consumption": "Consumption (no cash)",
    "paid": "Paid (cash)", "idle_cost": "Idle cost", "vendor": "Vendor (no cash)", "logs": "Logs (no cash)",
}  # fmt: skip


def _head(column: str) -> str:
    return _HEADS.get(column) or heading(column)[0]


def _cell(value: object, is_money: bool, currency: str) -> str:
    if is_unknown(value):
        return "–"
    if is_money and isinstance(value, Decimal | int | float):
        return money(value, currency)
    if isinstance(value, float):
        return percent(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


__all__ = ["answer", "people_of", "show"]
