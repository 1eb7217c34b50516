"""Charges spread over days, and days given to whoever held an account on them: one plan, exact to the last digit.

A charge of n days costs floor(c (k + 1) / n) - floor(c k / n) on its day k, in smallest units: the differences telescope,
so any stretch of its days is one subtraction, and stretches that cover it add up to it exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, register
from finops_ai.engine.weights import amount, units
from finops_ai.identity import Identities
from finops_ai.money import COST

if TYPE_CHECKING:
    import duckdb

_DAY = 86_400_000_000
#: (name, first day, day after) of the periods that a table is for
Periods = Sequence[tuple[str, date, date]]


def register_who(con: duckdb.DuckDBPyConnection, identities: Identities, periods: Periods) -> None:
    """Give a connection who is who (`who`, and its keys once each, `who_keys`) and the periods asked for."""
    register(con, "who", identities.table())
    con.execute("CREATE OR REPLACE TEMP VIEW who_keys AS SELECT DISTINCT key FROM who")
    register(
        con,
        "spans",
        pa.table({
            "period": pa.array([p[0] for p in periods], pa.string()),
            "first": pa.array([p[1] for p in periods], pa.date32()),
            "after": pa.array([p[2] for p in periods], pa.date32()),
        }),
    )  # fmt: skip


def register_lines(
    con: duckdb.DuckDBPyConnection, pieces: Sequence[tuple[pd.DataFrame, str | None]], name: str = "lines"
) -> None:
    """Make a table of bills' lines: who, what kind, its days, its cost in smallest units.

    Args:
        con: the connection.
        pieces: bill frames, each with the one period its lines count in; None = all they touch.
        name: of the table.
    """
    for number, (bills, only) in enumerate(pieces):
        _add_lines(con, bills, name, number, only)


def _add_lines(con: duckdb.DuckDBPyConnection, bills: pd.DataFrame, name: str, number: int, only: str | None) -> None:
    wanted = ["provider", "billing_account_id", "sub_account_id", "billing_currency", "charge_category", "charge_period_start",
              "charge_period_end", "billing_period_start", "billing_period_end", "billed_cost", "user_id", "charge_description", "sku_id",
              "pricing_quantity", "pricing_unit"]  # fmt: skip
    scan = Scan(con, bills, wanted, name=f"{name}_source", numbered=True)
    start, end = (f"CAST({scan.column(c)} AS TIMESTAMP)" for c in ("charge_period_start", "charge_period_end"))
    since, until = (f"CAST({scan.column(c)} AS TIMESTAMP)" for c in ("billing_period_start", "billing_period_end"))
    plain = [c for c in wanted if "_period_" not in c and c != "billed_cost"]
    make = f"CREATE OR REPLACE TEMP TABLE {name} AS" if not number else f"INSERT INTO {name} BY NAME"
    con.execute(f"""
        {make}
        SELECT {number} * 1000000000 + _row AS _row, CAST({DUCKDB.literal(only)} AS VARCHAR) AS only, {", ".join(f"{scan.column(c)} AS {c}" for c in plain)}, lower(trim({scan.column("user_id")})) AS account,
          CAST({start} AS DATE) AS begins, CAST(least({start}, {since}) AS DATE) AS bill_begins,
          CAST(greatest({end}, {until}) - INTERVAL 1 MICROSECOND AS DATE) + 1 AS bill_ends,
          greatest(1, (epoch_us({end}) - epoch_us({start}) + {_DAY - 1}) // {_DAY}) AS days, days AS term, {units(scan.column("billed_cost"), COST[1])} AS cost
        FROM {name}_source""")


def spread_sql(lines: str = "lines") -> str:
    """Lines cut at the bounds of periods and where their account changes hands, as SQL.

    Columns of the line, `period`, `person`, `team`, `held` (days of the piece) and `part` (its cost in smallest units).
    """
    return f"""
        WITH keyed AS (
          SELECT l.*, coalesce(own.key, any_.key) AS key FROM {lines} l
          LEFT JOIN who_keys own ON own.key = lower(l.provider) || '/' || l.account
          LEFT JOIN who_keys any_ ON any_.key = '/' || l.account),
        clipped AS (
          SELECT k.*, s.period, greatest(k.begins, s.first) AS low, least(k.begins + CAST(k.days AS INTEGER), s.after) AS high
          FROM keyed k JOIN spans s ON {within("k")}),
        cut AS (
          SELECT c.*, w.person, w.team, greatest(c.low, w.since) - c.begins AS a, least(c.high, w.until) - c.begins AS b
          FROM clipped c LEFT JOIN who w ON w.key = c.key AND w.since < c.high AND w.until > c.low)
        SELECT * EXCLUDE (a, b, low, high, key), b - a AS held, cost * b // days - cost * a // days AS part FROM cut"""


def within(line: str) -> str:
    """Whether a line counts in a period `s` (SQL)."""
    return (
        f"s.first < {line}.begins + CAST({line}.days AS INTEGER) AND s.after > {line}.begins "
        f"AND ({line}.only IS NULL OR {line}.only = s.period)"
    )


def as_cost(text: str) -> str:
    """A sum of smallest units as an amount (SQL)."""
    return amount(text, *COST)


def held_seats(con: duckdb.DuckDBPyConnection, seats: pd.DataFrame, name: str = "held") -> None:
    """Make a table of the seats held, each once, by days: a seat that was listed again is known until its latest end."""
    scan = Scan(con, seats, ["provider", "plan", "user_id", "seat_start", "seat_end", "sub_account_id", "last_activity_at", "telemetry"], name="listed")  # fmt: skip
    start, end, seen = (_instant(scan, column) for column in ("seat_start", "seat_end", "last_activity_at"))
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE {name} AS
        SELECT provider, plan, lower(trim(user_id)) AS user_id, CAST({start} AS DATE) AS since,
          CAST(max({end}) - INTERVAL 1 MICROSECOND AS DATE) + 1 AS until, max({seen}) AS seen,
          bool_and(telemetry = 'on') AS heard, max(sub_account_id) AS sub_account_id
        FROM listed GROUP BY provider, plan, lower(trim(user_id)), CAST({start} AS DATE)""")


def _instant(scan: Scan, column: str) -> str:
    return f"CAST({scan.column(column)} AS TIMESTAMP)"


def divide_among_holders(con: duckdb.DuckDBPyConnection) -> None:
    """Give seat lines that name nobody to the provider's holders, by the days each held a seat in the line's period."""
    con.execute("""
        CREATE OR REPLACE TEMP TABLE divided AS
        WITH loose AS (
          SELECT l.*, h.user_id AS holder, greatest(l.begins, coalesce(h.since, l.begins)) AS low,
            least(l.begins + CAST(l.days AS INTEGER), coalesce(h.until, l.begins + CAST(l.days AS INTEGER))) AS high
          FROM lines l JOIN held h ON l.provider = h.provider
            AND (l.sub_account_id IS NULL OR h.sub_account_id IS NULL OR l.sub_account_id = h.sub_account_id)
            AND (l.sku_id IS NULL OR l.sku_id NOT IN (SELECT plan FROM held) OR l.sku_id = h.plan)
          WHERE l.charge_category = 'Purchase' AND l.account IS NULL),
        weighed AS (
          SELECT *, sum(high - low) OVER (PARTITION BY _row ORDER BY holder, low, high ROWS UNBOUNDED PRECEDING) AS upto,
            sum(high - low) OVER (PARTITION BY _row) AS whole, CAST(high - low AS BIGINT) AS own
          FROM loose WHERE high > low)
        SELECT * EXCLUDE (holder, low, high, upto, whole, own) REPLACE (holder AS account, low AS begins, own AS days,
          CAST(cost * CAST(upto AS HUGEINT) // CAST(whole AS HUGEINT) - cost * CAST(upto - own AS HUGEINT) // CAST(whole AS HUGEINT) AS HUGEINT) AS cost)
        FROM weighed""")
    con.execute("DELETE FROM lines WHERE _row IN (SELECT _row FROM divided)")
    con.execute("INSERT INTO lines BY NAME SELECT * FROM divided")


__all__ = [
    "Periods",
    "as_cost",
    "divide_among_holders",
    "held_seats",
    "register_lines",
    "register_who",
    "spread_sql",
    "within",
]
