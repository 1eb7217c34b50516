"""Seats that a bill charges beside use, as rows of a workspace's history: a plan then puts them on their dates, exactly.

A seat is no use: rows of use never hold it. What bills charged for seats in the months known is divided by team as
chargeback does it, and stands on the first day of its line.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai.engine.fields import PUBLISHED
from finops_ai.frames.origin import made_with
from finops_ai.loading import people_section
from finops_ai.money import minor_units, round_to_total
from finops_ai.periods import zone
from finops_ai.tables.posting import seats_apart
from finops_ai.tables.seat_lines import TEAM

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: what seats are called among meters
METER = "seats"


def history_with_seats(ws: Workspace, month: str, months: int, by: Sequence[str] = ()) -> pd.DataFrame:
    """`ws.history`, and below it the seats that the bills of those months charge.

    Args:
        ws: the workspace.
        month: last month, `YYYY-MM` of the reporting zone.
        months: how many months.
        by: as in `Workspace.cube`.

    Returns:
        The history; for each provider, team and day that seats begin on, one more row of the meter `seats`, whose model
        says on which day of the month they begin. Lines in another currency than the rows' are left out.
    """
    rows = ws.history(month, months, by)
    if rows.empty:
        return rows
    found = [part for name in ws.months_before(month, months) if len(part := _seats(ws, name))]
    if not found:
        return rows
    currency = str(rows["pricing_currency"].dropna().iloc[0])
    seats = pd.concat(found, ignore_index=True)
    seats = seats[(seats["billing_currency"] == currency).to_numpy(bool, na_value=False)]
    return rows if seats.empty else made_with(pd.concat([rows, _as_rows(ws, seats, rows)], ignore_index=True), rows)


def _seats(ws: Workspace, month: str) -> pd.DataFrame:
    """A month's lines of seats, by team."""
    bill = ws.bills(month)
    if not len(bill) or not (bill["charge_category"] == "Purchase").any():
        return bill.iloc[:0]
    lines = seats_apart(ws, bill)
    own = lines["charge_period_start"].dt.tz_convert(zone(ws.timezone)).dt.strftime("%Y-%m") == month
    mine: pd.DataFrame = lines[(lines[TEAM].notna() & own).to_numpy(bool)]
    return mine


def _as_rows(ws: Workspace, seats: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Lines of seats as rows like others."""
    local = seats["charge_period_start"].dt.tz_convert(zone(ws.timezone)).dt.normalize()
    parts = pd.DataFrame({
        "provider": seats["provider"].astype(object).to_numpy(), "team": seats[TEAM].astype(object).to_numpy(),
        "day": local.reset_index(drop=True), "cost": seats["billed_cost"].astype(object).to_numpy(),
    })  # fmt: skip
    sums = parts.groupby(["day", "provider", "team"], sort=True, dropna=False)["cost"].agg(_sum).reset_index()
    sums["cents"] = None
    places = minor_units(str(rows["pricing_currency"].dropna().iloc[0]))
    for _, own in sums.groupby(["day", "provider"]):
        sums.loc[own.index, "cents"] = pd.Series(round_to_total(own["cost"].tolist(), places), own.index, dtype=object)
    out = rows.iloc[:0].reindex(range(len(sums)))
    told = {
        "charge_period_start": sums["day"], "charge_period_end": sums["day"] + pd.Timedelta(days=1), "provider": sums["provider"],
        "model": [f"{METER} (from day {day.day})" for day in sums["day"]], "meter": METER, "effective_cost": sums["cost"],
        "pricing_currency": rows["pricing_currency"].dropna().iloc[0], PUBLISHED: sums["cents"],
        people_section(ws.settings).get("dimension", "team"): sums["team"].where(sums["team"] != ""),
    }  # fmt: skip
    for name, values in told.items():
        if name in out.columns:
            out[name] = pd.Series(values, out.index).astype(rows[name].dtype)
    return out


def _sum(costs: pd.Series) -> Decimal:
    return sum(costs, Decimal(0))


__all__ = ["METER", "history_with_seats"]
