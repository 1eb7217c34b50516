"""By which parts a shared cost is divided: whole-number shares of 10^12 per receiver and cell (period and match)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Any

import duckdb

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.shared import IDLE, Shared, Tier, giver
from finops_ai.meters import meters, token_meters
from finops_ai.money import split_exactly

#: shares are whole multiples of one millionth of a millionth
WHOLE = 10**12
Cell = tuple[Any, ...]
Receiver = tuple[str | None, ...]

_TOKENS = f"meter IN ({', '.join(DUCKDB.literal(m) for m in token_meters())})"
_OUT = f"meter IN ({', '.join(DUCKDB.literal(m.name) for m in meters().values() if m.is_token and m.direction == 'output')})"
_METRICS = {
    "cost": "sum(effective_cost)",
    "tokens": f"sum(quantity) FILTER (WHERE {_TOKENS})",
    "requests": "sum(quantity) FILTER (WHERE meter = 'requests')",
}


@dataclass(frozen=True)
class Weights:
    """Parts per cell, in the order cells are tried; rows whose cell is in none stay as they are.

    Attributes:
        columns: what a receiver's values are written to.
        steps: (cell columns, cell -> receiver -> weight); the first step that knows a row's cell divides it.
    """

    columns: tuple[str, ...]
    steps: list[tuple[tuple[str, ...], dict[Cell, dict[Receiver, Fraction]]]]


def parts(weights: Mapping[Receiver, Fraction]) -> dict[Receiver, int]:
    """Weights as whole parts that add up to 10^12 exactly (largest remainder); zero parts are left out.

    >>> parts({("a",): Fraction(1), ("b",): Fraction(2)})
    {('a',): 333333333333, ('b',): 666666666667}
    """
    scale = lcm(*(w.denominator for w in weights.values()))
    names = sorted(weights, key=str)
    shares = split_exactly(WHOLE, [int(weights[n] * scale) for n in names])
    return {name: share for name, share in zip(names, shares, strict=True) if share}


def weights_of(con: duckdb.DuckDBPyConnection, entry: Shared, default: str, earlier: Sequence[Shared] = ()) -> Weights:
    """Weights of one shared cost.

    Args:
        con: has the views `others` (rows that keep their cost), `taken` (rows to divide) and, if there is one,
            `telemetry`, each with `_month` and `_day` of the reporting zone.
        entry: the shared cost.
        default: the dimension's value for unmapped cost; neither it nor idle capacity receives unless it is named. Calls
            of which the telemetry doesn't tell the value go to it.
        earlier: entries before this one; values whose cost they or this one distribute receive nothing.
    """
    columns = (entry.dimension,)
    period = f"_{entry.per}"
    if entry.method == "even":
        return Weights(columns, [((), {(): {(v,): Fraction(1) for v in entry.to}})])
    if entry.method == "fixed":
        return Weights(columns, [((), {(): {(v,): Fraction(s) for v, s in entry.shares.items()}})])
    if entry.method == "telemetry":
        return _telemetry(con, entry, default)
    if entry.method == "capacity":
        return Weights(columns, [((period, *entry.match), _capacity(con, entry, period))])
    metrics = {t.metric for t in entry.tiers} if entry.method == "tiered" else {entry.metric}
    weighed = {m: _proportional(con, entry, m, _weighed_by(entry, period, m), default, earlier) for m in metrics}
    if entry.method == "proportional":
        return Weights(columns, [(_weighed_by(entry, period, entry.metric), weighed[entry.metric])])
    cell = (period, *entry.match, "pricing_currency")
    return Weights(columns, [(cell, _tiered(con, entry, cell, weighed))])


def _weighed_by(entry: Shared, period: str, metric: str) -> tuple[str, ...]:
    """What weights are taken within: cost per currency too, tokens and requests are the same in all."""
    return (period, *entry.match, *(("pricing_currency",) if metric == "cost" else ()))


def _proportional(
    con: duckdb.DuckDBPyConnection,
    entry: Shared,
    metric: str,
    cell: tuple[str, ...],
    default: str,
    earlier: Sequence[Shared],
) -> dict[Cell, dict[Receiver, Fraction]]:
    name = DUCKDB.ident(entry.dimension)
    chosen = DUCKDB.one_of(name, entry.to) if entry.to else f"NOT ({DUCKDB.one_of(name, (default, IDLE))})"
    keys = ", ".join(map(DUCKDB.ident, cell))
    sql = f"SELECT {keys}, {name}, {_METRICS[metric]} FROM others WHERE {chosen} GROUP BY ALL"
    out: dict[Cell, dict[Receiver, Fraction]] = {}
    for *where, value, weight in con.sql(sql).fetchall():
        if weight is not None and weight > 0 and not giver((*earlier, entry), entry.dimension, value):
            out.setdefault(tuple(where), {})[(value,)] = Fraction(weight)
    return out


def _tiered(
    con: duckdb.DuckDBPyConnection,
    entry: Shared,
    cell: tuple[str, ...],
    weighed: Mapping[str, dict[Cell, dict[Receiver, Fraction]]],
) -> dict[Cell, dict[Receiver, Fraction]]:
    """Each slice of the pool by its own method; a credit is sliced by its size, and a pool of nothing is in the first slice.

    A pool with a slice that nobody can receive stays as it is.
    """
    out: dict[Cell, dict[Receiver, Fraction]] = {}
    keys = ", ".join(map(DUCKDB.ident, cell))
    for *where, pool in con.sql(f"SELECT {keys}, sum(effective_cost) FROM taken GROUP BY ALL").fetchall():
        place, below = tuple(where), Decimal(0)
        size = abs(pool or Decimal(0)) or Decimal(1).scaleb(-18)
        total: dict[Receiver, Fraction] = {}
        for tier in entry.tiers:
            top = size if tier.up_to is None else min(size, tier.up_to)
            slice_, below = Fraction(top - below), max(top, below)
            weights = weighed[tier.metric]
            shares = _tier_shares(entry, tier, weights.get(place, weights.get(place[:-1], {})))
            if slice_ > 0 and not shares:
                total = {}
                break
            for receiver, share in shares.items() if slice_ > 0 else ():
                total[receiver] = total.get(receiver, Fraction(0)) + slice_ * share
        if total:
            out[place] = total
    return out


def _tier_shares(entry: Shared, tier: Tier, weighed: Mapping[Receiver, Fraction]) -> dict[Receiver, Fraction]:
    if tier.method == "even":
        return {(v,): Fraction(1, len(entry.to)) for v in entry.to}
    if tier.method == "fixed":
        return {(v,): Fraction(s) for v, s in tier.shares.items()}
    whole = sum(weighed.values())
    return {receiver: weight / whole for receiver, weight in weighed.items()}


def _telemetry(con: duckdb.DuckDBPyConnection, entry: Shared, default: str) -> Weights:
    """By what the telemetry saw in the same cell; where it saw nothing that day, by the month, of the same `match`; else not."""
    columns = tuple(entry.receiver)
    values = [
        f"coalesce(r_{i}, {DUCKDB.literal(default)}) AS r_{i}" if column == entry.dimension else f"r_{i}"
        for i, column in enumerate(columns)
    ]
    cells = [(f"_{entry.per}", *entry.match), ("_month", *entry.match)]
    steps = []
    for cell in dict.fromkeys(cells):
        metric = "sum(quantity)" if "meter" in cell else _METRICS[entry.metric]
        keys = ", ".join(DUCKDB.ident(c) for c in cell)
        sql = f"SELECT {keys}, {', '.join(values)}, {metric} FROM telemetry GROUP BY ALL"
        found: dict[Cell, dict[Receiver, Fraction]] = {}
        for row in con.sql(sql).fetchall():
            where, receiver, weight = row[: len(cell)], row[len(cell) : -1], row[-1]
            if weight is not None and weight > 0:
                found.setdefault(where, {})[receiver] = Fraction(weight)
        steps.append((cell, found))
    return Weights(columns, steps)


def _capacity(con: duckdb.DuckDBPyConnection, entry: Shared, period: str) -> dict[Cell, dict[Receiver, Fraction]]:
    """Units used by each value (weighted tokens / what a unit-hour serves); what is left of the hours is idle."""
    name, cell = DUCKDB.ident(entry.dimension), ", ".join(DUCKDB.ident(c) for c in (period, *entry.match))
    used: dict[Cell, dict[Receiver, Fraction]] = {}
    sql = (
        f"SELECT {cell}, {name}, sum(quantity) FILTER (WHERE {_TOKENS} AND NOT {_OUT}), sum(quantity) FILTER (WHERE {_OUT}) "
        "FROM others WHERE service_tier = 'provisioned' GROUP BY ALL"
    )
    for *where, value, inputs, outputs in con.sql(sql).fetchall():
        tokens = Fraction(inputs or 0) + Fraction(outputs or 0) * Fraction(entry.output_weight)
        if tokens > 0:
            used.setdefault(tuple(where), {})[(value,)] = tokens / Fraction(entry.tokens_per_hour)
    out: dict[Cell, dict[Receiver, Fraction]] = {}
    hours = f"SELECT {cell}, sum(quantity) FILTER (WHERE meter = 'provisioned_hours') FROM taken GROUP BY ALL"
    for *where, capacity in con.sql(hours).fetchall():
        mine = used.get(tuple(where), {})
        idle = Fraction(capacity or 0) - sum(mine.values(), Fraction(0))
        out[tuple(where)] = mine | ({(IDLE,): idle} if idle > 0 or not mine else {})
    return {cell: w for cell, w in out.items() if sum(w.values()) > 0}


def units(column: str, scale: int) -> str:
    """A decimal column as whole smallest units, exactly (SQL)."""
    return f"(CAST(trunc({column}) AS HUGEINT) * {10**scale} + CAST(({column} - trunc({column})) * {10**scale} AS HUGEINT))"


def amount(text: str, precision: int, scale: int) -> str:
    """Whole smallest units as a decimal, exactly (SQL)."""
    unit = f"CAST('{Decimal(1).scaleb(-scale):f}' AS DECIMAL({scale},{scale}))"
    whole, rest = f"({text}) // {10**scale}", f"({text}) % {10**scale}"
    return f"CAST(CAST({whole} AS DECIMAL({precision},{scale})) + CAST({rest} AS DECIMAL({scale},0)) * {unit} AS DECIMAL({precision},{scale}))"
