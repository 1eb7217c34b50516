"""Seats as rows beside usage, so that showback, the bridge and the FOCUS export are of all that is invoiced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import Rules, allocate, price
from finops_ai.engine.converting import BILL_COSTS, in_group
from finops_ai.engine.duck import connect
from finops_ai.errors import CheckFailed, FrameError
from finops_ai.frames import BillFrame, conform, empty
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import Identities
from finops_ai.meters import meter
from finops_ai.money import COST
from finops_ai.people.months import seats_at_list
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import Window, zone
from finops_ai.prices.currency import Conversion
from finops_ai.tables.grouping import dimensions_of
from finops_ai.tables.seat_lines import is_seat
from finops_ai.tables.spreading import (
    as_cost,
    divide_among_holders,
    held_seats,
    register_lines,
    register_who,
    spread_sql,
    within,
)

if TYPE_CHECKING:
    import duckdb

#: meter of a seat's rows; its quantity is 1 for a seat that is held for a billing month
METER = "seat_months"
_DAY = dt.timedelta(days=1)


def with_seats(
    allocated: pd.DataFrame,
    identities: Identities,
    *,
    month: str | Window | Sequence[str | Window],
    bills: pd.DataFrame | None = None,
    seats: pd.DataFrame | None = None,
    prices: SeatPrices | None = None,
    rules: Rules | Mapping[str, Any] | str | Path | None = None,
    dimension: str = "team",
    conversion: Conversion | None = None,
) -> pd.DataFrame:
    """Allocated rows and, beside them, the seats of the same days: one row per seat and day, of that day's team.

    A charge for seats is spread evenly over its days; each day's part is a row of meter `seat_months`, whose cash is stated and no
    price's. So `fa.showback`, `fa.explain` (effect `seats`) and `fa.to_focus` of the result are of seats and usage together. Seats
    that no bill of the period has are at the price list, and their `quantity_basis` is estimated.

    Args:
        allocated: rows of `fa.allocate`, or a cube, of the same days.
        identities: who is who, by day.
        month: month or window, or several; each says by itself which sellers' seats no bill has.
        bills: bill frame; lines that began before the window count with their days in it. What isn't a seat's stays out.
        seats: seat frame: who holds the seats of lines that name nobody, and seats that no bill has.
        prices: prices of seats; by default the bundled ones.
        rules: mapping rules, for the other dimensions and for seats of whom nobody knows the team.
        dimension: the dimension that teams are values of; where the rows have none of that name, rules alone map seats.
        conversion: to the group's currency, for seats at list prices in another one.

    Returns:
        The rows given, unchanged, and those of seats; costs of the latter are the days' parts of what is billed, to the last digit.

    Raises:
        FrameError: rows that aren't priced.
        CheckFailed: a unit of a seat's money is in no row.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> ada = fa.Identities.load(
        ...     [{"account": "ada@example.com", "person": "Ada"}],
        ...     [{"person": "Ada", "team": "web", "valid_to": "2026-10-15"}, {"person": "Ada", "team": "search", "valid_from": "2026-10-15"}])
        >>> from finops_ai.frames import SeatFrame, conform
        >>> seat = conform({"provider": ["cursor"], "plan": ["teams-standard"], "user_id": ["ada@example.com"],
        ...     "telemetry": ["on"], "source": ["api"]}, SeatFrame, source="me")
        >>> whole = fa.with_seats(cost, ada, seats=seat, month="2026-10", rules=fa.sample.rules())
        >>> mine = whole[whole["meter"] == "seat_months"]
        >>> [(team, round(sum(rows["effective_cost"]), 2)) for team, rows in mine.groupby("team")]
        [('search', Decimal('21.94')), ('web', Decimal('18.06'))]
    """
    if "effective_cost" not in allocated.columns:
        raise FrameError("fa.with_seats takes priced rows; call fa.price, and fa.allocate for dimensions, first.")
    dimensions = dimensions_of(allocated)
    timezone = zone_of(allocated)
    several = [month] if isinstance(month, str | Window) else month
    windows = [Window.month(m, timezone) if isinstance(m, str) else m for m in several]
    told = [
        _spread(window, identities, bills, seats, prices or SeatPrices.default(), conversion, timezone)
        for window in windows
    ]
    found = pa.concat_tables(told)
    if not found.num_rows:
        return allocated
    rows = _allocated(found, rules, dimension, dimensions, timezone)
    whole = pd.concat([allocated, _as_in(rows, allocated)], ignore_index=True)
    whole.attrs = allocated.attrs
    return whole


def _spread(
    window: Window,
    identities: Identities,
    bills: pd.DataFrame | None,
    seats: pd.DataFrame | None,
    prices: SeatPrices,
    conversion: Conversion | None,
    timezone: str,
) -> pa.Table:
    """Seats of a window by day: whose, of which team, how many seat-months, and what they cost."""
    here = zone(timezone)
    first, last = (
        moment.astimezone(here).date() for moment in (window.start, window.end - dt.timedelta(microseconds=1))
    )
    whole = ("", first, last + _DAY)
    bills = empty(BillFrame) if bills is None else bills
    listed = [piece for piece, _ in seats_at_list(bills, seats, prices, [whole])[0]]
    if conversion is not None:
        costs: Any = {"costs": BILL_COSTS, "currency": "billing_currency", "timezone": timezone}
        listed = [in_group(piece, conversion, **costs) for piece in listed]
    billed = bills[is_seat(bills, _sold(seats))] if len(bills) else bills
    days = [(str(first + n * _DAY), first + n * _DAY, first + (n + 1) * _DAY) for n in range((last - first).days + 1)]
    with connect() as con:
        register_who(con, identities, days)
        register_lines(con, [(billed, None), *((piece, None) for piece in listed)])
        if seats is not None and len(seats):
            held_seats(con, seats)
            divide_among_holders(con)
        wanted = _charged(con)
        found = con.sql(_SQL).to_arrow_table()
    made = sum(found["cost"].to_pylist(), Decimal(0))
    if made != wanted:
        raise CheckFailed(f"with_seats: rows hold {made} of {wanted} that seats cost in {window}.")
    return found


#: a seat's part of its billing months: a line of 27 days or more is one per month it spans, a shorter one is prorated
_SQL = f"""
    WITH spread AS (SELECT *, CAST(period AS DATE) - begins AS k FROM ({spread_sql()})),
    sized AS (
      SELECT *, CASE WHEN term < 27 THEN 1 ELSE greatest(1, round(term / 30.4375)) END AS months,
        CASE WHEN term < 27 THEN day(last_day(begins)) ELSE term END AS span,
        CASE WHEN account IS NOT NULL THEN 1000000 WHEN pricing_quantity > 0 AND regexp_matches(coalesce(pricing_unit, 'seat'), '(?i)seat|user|month|licen[cs]e') THEN pricing_quantity * 1000000 ELSE 0 END AS scale
      FROM spread)
    SELECT period AS day, provider, billing_account_id, sub_account_id, coalesce(sku_id, charge_description) AS plan, account, team,
      billing_currency AS currency, _row >= 1000000000 AS at_list, {as_cost("CAST(part AS HUGEINT)")} AS cost,
      CASE WHEN cost <= 0 THEN 0 ELSE CAST(floor(scale * months * (k + held) / span) - floor(scale * months * k / span) AS BIGINT) END * CAST(0.000001 AS DECIMAL(7, 6)) AS quantity
    FROM sized WHERE part <> 0 OR cost = 0 ORDER BY ALL"""


def _sold(seats: pd.DataFrame | None) -> frozenset[str]:
    """Plans that somebody holds, as their sellers call them."""
    if seats is None or not len(seats):
        return frozenset()
    return frozenset(f"{p} {plan}" for p, plan in set(seats[["provider", "plan"]].itertuples(index=False, name=None)))


def _charged(con: duckdb.DuckDBPyConnection) -> Decimal:
    """What the lines charge for the days asked for."""
    (found,) = con.execute(f"""
        SELECT sum(cost * high // days - cost * low // days) FROM (
          SELECT l.*, greatest(l.begins, s.first) - l.begins AS low, least(l.begins + CAST(l.days AS INTEGER), s.after) - l.begins AS high
          FROM lines l JOIN spans s ON {within("l")})""").fetchall()[0]
    return Decimal(int(found or 0)).scaleb(-COST[1])


def _allocated(found: pa.Table, rules: Any, dimension: str, dimensions: Sequence[str], timezone: str) -> pd.DataFrame:
    """Rows of seats as priced and mapped ones: each day's team where it is known, the rules' word for all else."""
    windows = {
        text: Window.of(text, dt.date.fromisoformat(text) + _DAY, timezone)
        for text in found["day"].unique().to_pylist()
    }
    days = [windows[text] for text in found["day"].to_pylist()]
    count = found.num_rows
    same = {
        "operation": "seat", "meter": METER, "unit": meter(METER).unit, "service_tier": "standard", "source": "billing_export",
        "money_basis": "cash",
    }  # fmt: skip
    columns: dict[str, Any] = {name: [text] * count for name, text in same.items()} | {
        "charge_period_start": pa.array([day.start for day in days], pa.timestamp("us", "UTC")),
        "charge_period_end": pa.array([day.end for day in days], pa.timestamp("us", "UTC")),
        **{name: found[name] for name in ("provider", "billing_account_id", "sub_account_id")},
        "model": found["plan"], "quantity": found["quantity"].cast(pa.decimal128(19, 6)), "user_id": found["account"],
        "agent_name": found["team"], "billed_cost": found["cost"].cast(COST_TYPE), "billing_currency": found["currency"],
        "quantity_basis": ["estimated" if listed else "imputed" for listed in found["at_list"].to_pylist()],
    }  # fmt: skip
    priced = price(conform(columns, source="seats"))
    plain = {"dimensions": {name: {"default": "unallocated"} for name in dimensions}}
    mapped = allocate(priced, _with_teams(Rules.load(plain if rules is None else rules), dimension), timezone=timezone)
    return mapped.assign(agent_name=None)


def _with_teams(rules: Rules, dimension: str) -> Rules:
    """Rules that first give a seat to the team of its day, which stands where an agent would; what rests on the team follows from it.

    Shared costs are left out: their parts are of usage.
    """
    if dimension not in rules.dimensions:
        return replace(rules, shared=())
    own = {
        "name": "seat of the day's team",
        "when": {"agent_name": {"exists": True}},
        "set": {dimension: "{agent_name}"},
    }
    first = Rules.load({"dimensions": {dimension: {"default": "unallocated"}}, "rules": [own]}).rules[:1]
    return replace(rules, rules=(*first, *rules.rules), shared=())


def _as_in(rows: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the columns of a frame, of the same types; null where they don't have one."""
    columns = {}
    for name, kind in frame.dtypes.items():
        values = rows[name] if name in rows.columns else pd.Series([None] * len(rows), index=rows.index, dtype=object)
        columns[str(name)] = values.astype(kind)
    return pd.DataFrame(columns)


__all__ = ["METER", "with_seats"]
