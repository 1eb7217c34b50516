"""What could be saved, as pages tell it: the three largest on the first page, all of them on a page of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.html import Html, render, template_of
from finops_ai.reporting.grid import grid
from finops_ai.reporting.months import month_text
from finops_ai.reporting.text import UNKNOWN, amount, is_unknown, money, safe
from finops_ai.saving.workspace import workspace_opportunities

if TYPE_CHECKING:
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

#: state -> how a page says it; what is open isn't said
_STATES = {"accepted": "accepted", "dismissed": "dismissed", "done": "done"}


@dataclass(frozen=True)
class ToDo:
    """What the first page says of it: the largest actions that can be had together, their number, and what all would save."""

    actions: list[dict[str, Any]]
    count: int
    saving: str


def to_do(ws: Workspace, month: str, top: int = 3) -> ToDo:
    """The first page's actions."""
    table = workspace_opportunities(ws, month)
    best = _rows(table.best)
    actions = [
        {
            "what": r["what"],
            "evidence": _code(r["why"]),
            "owner": _text(r["owner"]),
            "amount": money(r["saving"], table.facts.currency),
        }
        for r in best[:top]
    ]
    return ToDo(actions, len(table), money(_sum(best, "saving"), table.facts.currency) if best else "")


def save_body(ws: Workspace, month: str) -> str:
    """The body of the page of savings: every opportunity with its range, evidence, owner and how it is done."""
    table = workspace_opportunities(ws, month)
    rows, currency = _rows(table), table.facts.currency
    best = [r for r in rows if r["counted"]]
    if rows:
        low, usual, high = (amount(_sum(best, name), currency) for name in ("saving_low", "saving", "saving_high"))
        said = (
            f"The month would have cost <strong>{usual}</strong> less ({low} to {high}) with {len(best)} "
            f"action{'s' if len(best) != 1 else ''} that don’t overlap."
        )
    else:
        said = "The month’s rows show nothing that would have cost less."
    heads = ["Action and why", "Saves", "At least", "At most", "Owner", "How", "Confidence and effort"]
    lines = [
        [_action(r), *(money(r[c], currency) for c in ("saving", "saving_low", "saving_high")), _text(r["owner"]) or UNKNOWN,
         _code(r["how"]), f"{r['confidence']}; {r['effort']}"]
        for r in rows
    ]  # fmt: skip
    apart = [n for n, r in enumerate(rows) if not r["counted"]]
    body = (
        grid(heads, lines, texts=(0, 4, 5, 6), caption=f"Amounts in {currency}, of this month", apart=apart)
        if rows
        else Html()
    )
    notes = "".join(f'<p class="note">{_code(text)}</p>' for text in table.facts.notes[1:] if rows or text)
    return (
        f'<h1>What could be saved, {safe(month_text(month))}</h1><p class="answer">{said}</p>{body}{notes}'
        '<p class="note">An action that stands apart shares rows of cost with a larger one, or was decided: it is no part of the sum. '
        "<code>finops-ai recommend accept</code>, <code>dismiss</code> and <code>done</code> write decisions down, "
        "<code>finops-ai what-if</code> prices any other change.</p>"
    )


_ACTION = template_of("{{ what }}<small>{{ why }}</small>")
_CODE = re.compile("`([^`]*)`")


def _action(row: dict[str, Any]) -> Html:
    state = _STATES.get(row["state"], "")
    return render(_ACTION, what=f"{row['what']} ({state})" if state else row["what"], why=_code(_why(row)))


def _code(text: str) -> Html:
    """Text with what stands between backticks as code."""
    return Html(_CODE.sub(r"<code>\1</code>", safe(text)))


def _why(row: dict[str, Any]) -> str:
    parts = [
        row["why"],
        f"if {row['assumptions']}" if row["assumptions"] else "",
        f"risk: {row['risk']}" if row["risk"] else "",
    ]
    return "; ".join(filter(None, parts))


def _rows(table: Table) -> list[dict[str, Any]]:
    return table.published().astype(object).to_dict("records")  # type: ignore[return-value]


def _text(value: object) -> str:
    return "" if is_unknown(value) else str(value)


def _sum(rows: Sequence[dict[str, Any]], name: str) -> Decimal:
    return sum((r[name] for r in rows), Decimal(0))
