"""What of a month's bill is for use of other months, and of its use is on the bill of others: timing, which charges don't move."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.engine.fields import PAYABLE
from finops_ai.periods import Window
from finops_ai.tables.cycles import cycles_of, reaching_into
from finops_ai.tables.grouping import grouped

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: how long before a month a cycle may have begun that reaches into it
LONGEST = timedelta(days=62)


def timing_of(ws: Workspace, month: str, bills: pd.DataFrame) -> dict[tuple[str, str], Fraction]:
    """What a month's billing cycles move per provider and billing account, as usage stands in the lake today.

    A line of use over days of two months counts in the month it begins in: use of its other days is plus there, and minus in
    its own month, so that both months come to 0.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
        bills: the month's bill, in the currency of the charges.
    """
    window = Window.month(month, ws.timezone)
    earlier = Window(window.start - LONGEST, window.start)
    if ws.lake.reach_beyond("bills", earlier):
        before = reaching_into(ws.current_bills(earlier), window.start)
        bills = pd.concat([bills, before], ignore_index=True) if len(before) else bills
    out: dict[tuple[str, str], Fraction] = {}
    for cycle in cycles_of(bills, ws.timezone):
        mine = cycle.month == month
        first, last = max(cycle.window.start, window.start), min(cycle.window.end, window.end)
        if not mine and first >= last:
            continue
        part = Window(window.end, cycle.window.end) if mine else Window(first, last)
        place = cycle.provider, cycle.account
        out[place] = out.get(place, Fraction(0)) + _used(ws, part, cycle) * (1 if mine else -1)
    return {place: amount for place, amount in out.items() if amount}


def _used(ws: Workspace, window: Window, cycle: Any) -> Fraction:
    """What is to be paid for a cycle's use in a window."""
    rows = ws.reprice(window, ws.token_cells(window))  # closed or not: as usage stands today
    payable = PAYABLE if PAYABLE in rows.columns else "effective_cost"
    keys = ["provider", "billing_account_id", "pricing_currency", "model", "meter"]
    found = grouped(rows, keys, {"cost": f"sum({payable})"}, needs=(payable,)) if len(rows) else []
    return sum(
        (
            Fraction(g["cost"] or 0)
            for g in found
            if (g["provider"], g["billing_account_id"], g["pricing_currency"]) == cycle[:3]
            and cycle.model in (None, g["model"] and g["model"].lower())
            and cycle.meter in (None, g["meter"])
        ),
        Fraction(0),
    )
