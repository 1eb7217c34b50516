"""Whose a bill's seats are: each line's money is spread evenly over its days, and each day goes to that day's team."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import connect
from finops_ai.errors import CheckFailed
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import Identities
from finops_ai.money import COST
from finops_ai.tables.spreading import divide_among_holders, held_seats, register_lines, register_who, spread_sql

#: column of a bill's lines: the team a seat is charged to, "" where nobody knows; null for lines that are no seat's
TEAM = "seat_team"
#: what a line of a seat that names nobody is called
_WORDS = r"(?i)\bseats?\b|\blicen[cs]es?\b|\bcopilot_for_business\b|\bcopilot_enterprise\b"


def is_seat(lines: pd.DataFrame, sellers: frozenset[str] = frozenset()) -> Any:
    """Which lines of a bill are seats: purchases that name a holder, are called seats, or are a plan of a seller of seats.

    Args:
        lines: bill frame.
        sellers: "provider plan" of seats that were collected.
    """
    named = lines["charge_description"].astype(object).fillna("").str.contains(_WORDS, regex=True)
    plan = (lines["provider"].astype(object) + " " + lines["sku_id"].astype(object).fillna("")).isin(sellers)
    purchase = (lines["charge_category"] == "Purchase").to_numpy(bool, na_value=False)
    return purchase & (lines["user_id"].notna() | named | plan).to_numpy(bool)


def with_seat_teams(lines: pd.DataFrame, identities: Identities, seats: pd.DataFrame, *, teams: bool) -> pd.DataFrame:
    """A bill's lines, those of seats divided by team; every line's cost is in its parts to the last digit.

    Seats that name nobody are divided among the provider's holders by the days each held one.

    Args:
        lines: bill frame.
        identities: who is who, by day.
        seats: seat frame.
        teams: whether receivers are teams at all; if not, seats are only told from other purchases.

    Returns:
        The lines with `seat_team`; a seat's line is as many rows as it has teams.

    Raises:
        CheckFailed: a line's parts aren't what it charges.
    """
    sellers = frozenset(
        f"{p} {plan}" for p, plan in seats[["provider", "plan"]].drop_duplicates().itertuples(index=False)
    )
    found = is_seat(lines, sellers)
    rest = lines[~found].assign(**{TEAM: _column([None] * int((~found).sum()), pa.string())})
    if not found.any():
        return cast(pd.DataFrame, rest)
    mine = lines[found].reset_index(drop=True)
    parts = _parts(mine, identities, seats) if teams else [(n, "", cost) for n, cost in enumerate(mine["billed_cost"])]
    rows = mine.iloc[[number for number, _, _ in parts]].reset_index(drop=True)
    other = [name for name in ("effective_cost", "list_cost", "contracted_cost") if name in rows.columns]
    told = {
        "billed_cost": _column([cost for *_, cost in parts], COST_TYPE),
        TEAM: _column([team for _, team, _ in parts], pa.string()),
    }
    divided = rows.assign(**told, **{name: _column([None] * len(rows), COST_TYPE) for name in other})
    whole: pd.DataFrame = pd.concat([rest, divided], ignore_index=True)
    whole.attrs = lines.attrs
    return whole


def _column(values: list[Any], kind: pa.DataType) -> Any:
    return pd.Series(pa.array(values, kind).to_pandas(types_mapper=pd.ArrowDtype)).array


def _parts(lines: pd.DataFrame, identities: Identities, seats: pd.DataFrame) -> list[tuple[int, str, Decimal]]:
    """Number of the line, team ("" = nobody knows) and cost."""
    first, after = lines["charge_period_start"].min().date(), lines["charge_period_end"].max().date()
    with connect() as con:
        register_who(con, identities, [("", first - _DAY, after + _DAY)])
        register_lines(con, [(lines, None)])
        if len(seats):
            held_seats(con, seats)
            divide_among_holders(con)
        found = con.sql(
            f"SELECT _row, coalesce(team, '') AS team, CAST(sum(part) AS HUGEINT) AS part FROM ({spread_sql()}) GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    out = [(int(row), team, Decimal(int(part)).scaleb(-COST[1])) for row, team, part in found]
    sums: dict[int, Decimal] = {}
    for number, _, cost in out:
        sums[number] = sums.get(number, Decimal(0)) + cost
    for number, cost in enumerate(lines["billed_cost"]):
        if sums.get(number) != cost:
            raise CheckFailed(
                f"Seats of {lines['provider'][number]}: {sums.get(number)} of {cost} are divided by team."
            )
    return out


_DAY = pd.Timedelta(days=1).to_pytimedelta()

__all__ = ["TEAM", "is_seat", "with_seat_teams"]
