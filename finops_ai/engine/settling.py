"""Settle what only a whole month or day can tell: volume tiers, committed capacity, prepaid credits.

Prices per unit come first, row by row. Then each kind of term adds up a cell of rows, works out one exact amount for it,
and spreads that amount over the cell's rows:

    volume    contract and UTC month: what its tiers take off, by contracted cost; lowers contracted and effective cost
    capacity  pool and UTC day: the day's fee, by the throughput the calls took; it is their effective cost, while list and
              contracted cost stay what they would have cost on demand. What nobody used stays on the line of its hours
    credit    contract and UTC day: what a credit pays for, by contracted cost; the effective cost is what was paid for it

The whole-number parts of a spread are cut at 10^-18 and what is left of the amount goes to the cell's largest row, so
the rows add up to the amount exactly, whatever their order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, register
from finops_ai.engine.fields import IDLE_OPERATION, PAYABLE, PRICED
from finops_ai.engine.plan import Plan
from finops_ai.engine.weights import amount, units
from finops_ai.errors import CheckFailed, DataError
from finops_ai.frames import to_pandas
from finops_ai.meters import meters
from finops_ai.money import COST, QUANTITY
from finops_ai.periods import UTC, Window
from finops_ai.prices import PriceBook
from finops_ai.prices.cards import plain
from finops_ai.prices.commitments import Pool, draw_credits, volume_share
from finops_ai.prices.names import provider_name

if TYPE_CHECKING:
    from finops_ai.prices.contracts import Contract

#: columns of expanded prices that say which contract, or pool of capacity, a key falls under
TERMS = ("volume", "credit", "capacity")
CONTRACT_SOURCE, LAPSED = "contract", "credit_lapsed"
#: the statement's columns
_COSTS = ("cost", "saved", "on_demand_cost", "idle_cost", "opening", "drawn", "lapsed", "closing")
STATEMENT = pa.schema([
    *((name, pa.string()) for name in ("contract", "kind", "item", "month", "currency")),
    ("quantity", pa.decimal128(38, 12)), ("committed_quantity", pa.decimal128(38, 12)), ("unit", pa.string()),
    ("share", pa.decimal128(38, 12)), ("break_even", pa.decimal128(38, 12)),
    *((name, pa.decimal128(*COST)) for name in _COSTS),
])  # fmt: skip
_ONE = 10 ** COST[1]
_DAY = dt.timedelta(days=1)


def settle(
    con: duckdb.DuckDBPyConnection, plan: Plan, book: PriceBook, period: Window | None
) -> tuple[pa.Table, list[dict[str, Any]], list[dict[str, Any]]]:
    """Settle the rows of a priced plan.

    Args:
        con: where the plan's source is registered.
        plan: ends with `rows` of `_row`, `SETTLED_BY`, the priced columns and `TERMS`.
        book: whose contracts the numbers in `TERMS` are of.
        period: days for which capacity is paid; those of the rows if None.

    Returns:
        `_row` (without lines of an earlier settlement that aren't due now), the priced columns and `payable_cost`; lines to add, as columns of a priced frame; and
        the statement, one row per contract, item and month.

    Raises:
        DataError: a term is in another currency than the rows it is for.
        CheckFailed: an amount isn't spread to the last digit.
    """
    for name, table in plan.tables.items():
        register(con, name, table)
    weights = [
        {"capacity": n, "meter": name, "weight": int(pool.scope.weight(name) * 10 ** QUANTITY[1])}
        for n, pool in enumerate(book.pools)
        for name in meters()
        if meters()[name].is_token
    ]
    kinds = pa.schema([("capacity", pa.int32()), ("meter", pa.string()), ("weight", pa.int64())])
    register(con, "meter_weights", pa.Table.from_pylist(weights, schema=kinds))
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE settled AS
            SELECT p.*, p.contracted_cost AS {PAYABLE}, CAST(p.charge_period_start AS DATE) AS _day,
                {DUCKDB.month.format(x="p.charge_period_start")} AS _month, {units("p.quantity", QUANTITY[1])} * g.weight AS _weight
            FROM ({plan.sql}) p LEFT JOIN meter_weights g ON p.capacity = g.capacity AND p.meter = g.meter"""
    )
    days = _days(con, period)
    # lines of an earlier settlement: hours of a pool are settled again, all others are made anew where they still are due
    con.execute(f"DELETE FROM settled WHERE source = '{CONTRACT_SOURCE}' AND capacity IS NULL")
    statement = _volume(con, book)
    idle, more = _capacity(con, book, days, always=period is not None) if book.pools else ([], [])
    lapsed, last = _credits(con, book, days) if any(terms.credits for terms in book.contracts) else ([], [])
    schema = pa.schema([(ROW, pa.int64()), *PRICED.items(), (PAYABLE, pa.decimal128(*COST))])
    added = con.sql(f"SELECT {', '.join(schema.names)} FROM settled ORDER BY _row").to_arrow_table().cast(schema)
    return added, [*idle, *lapsed], [*statement, *more, *last]


def statement_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A statement's rows as a frame: what a kind of term doesn't have is null."""
    return to_pandas(pa.Table.from_pylist([dict(row) for row in rows], schema=STATEMENT))


def without_lines(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame without the lines that an earlier settlement added."""
    if "source" not in frame.columns:
        return frame
    old = (frame["source"] == CONTRACT_SOURCE).to_numpy(bool, na_value=False)
    return frame[~old] if old.any() else frame


def with_lines(frame: pd.DataFrame, lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A priced frame with lines below it; columns a line doesn't have are null."""
    if not lines:
        return frame
    kinds: dict[str, Any] = dict(frame.dtypes)
    columns = {c: pd.array([line.get(c) for line in lines], dtype=kinds[c]) for c in frame.columns}
    added = pd.DataFrame(columns)
    whole_numbers = len(frame) > 0 and pd.api.types.is_integer_dtype(frame.index)
    added.index += int(frame.index.max()) + 1 if whole_numbers else 0
    return pd.concat([frame, added]) if len(frame) else added


def _days(con: duckdb.DuckDBPyConnection, period: Window | None) -> list[dt.date]:
    """UTC days of the period, or of the rows."""
    first, last = con.execute("SELECT min(_day), max(_day) FROM settled").fetchall()[0]
    if period is not None and period.end > period.start:
        begin, end = period.start.date(), (period.end - dt.timedelta(microseconds=1)).date()
        first, last = min(first or begin, begin), max(last or end, end)
    return [] if first is None else [first + n * _DAY for n in range((last - first).days + 1)]


# -- volume tiers


def _volume(con: duckdb.DuckDBPyConnection, book: PriceBook) -> list[dict[str, Any]]:
    cells: dict[tuple[Any, ...], dict[str | None, tuple[Fraction, Fraction]]] = {}
    found = con.execute(
        """SELECT volume, _month, pricing_currency, sum(quantity), sum(contracted_cost) FROM settled
           WHERE volume IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    for number, month, currency, quantity, cost in found:
        cells.setdefault((number, month), {})[currency] = Fraction(quantity), Fraction(cost or 0)
    saved, statement = {}, []
    for (number, month), sums in cells.items():
        terms = book.contracts[number]
        if terms.volume_of == "cost":
            for currency in sums:
                _same_currency(terms.name, terms.currency, currency)
            volume, unit = sum((cost for _, cost in sums.values()), Fraction(0)), terms.currency
        else:
            volume = sum((quantity for quantity, _ in sums.values()), Fraction(0))
            unit = meters()[min(terms.meters)].unit if terms.meters else "tokens"
        share = volume_share(terms, volume)
        for currency, (_, cost) in sums.items():
            if currency is None:
                continue
            saved[number, month, currency] = int(cost * share * _ONE)
            statement.append({
                "contract": terms.name, "kind": "volume", "item": _tiers_text(terms.volume, unit), "month": f"{month:%Y-%m}",
                "currency": currency, "cost": _money(int(cost * _ONE)), "saved": _money(saved[number, month, currency]),
                "quantity": _number(volume), "unit": unit, "share": _number(share),
            })  # fmt: skip
    cell, weight = ("volume", "_month", "pricing_currency"), units("s.contracted_cost", COST[1])
    if _spread(con, cell, weight, saved, "volume tiers"):
        _move(con, dict.fromkeys(("contracted_cost", "effective_cost", PAYABLE), "-"), sum(saved.values()))
        con.execute(
            "UPDATE settled SET price_status = 'contract' FROM parts p WHERE settled._row = p._row AND p.part > 0"
        )
    return statement


def _tiers_text(tiers: Sequence[tuple[Decimal, Decimal]], unit: str) -> str:
    return ", ".join(f"{plain(share * 100)}% from {over:,f} {unit}" for over, share in tiers)


# -- committed capacity


def _capacity(
    con: duckdb.DuckDBPyConnection, book: PriceBook, days: Sequence[dt.date], always: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rows = con.execute(
        """SELECT capacity, _day, sum(_weight), sum(contracted_cost), count(*) FILTER (WHERE _weight IS NULL),
               max(pricing_currency), min(pricing_currency)
           FROM settled WHERE capacity IS NOT NULL GROUP BY ALL"""
    ).fetchall()
    served = {(pool, day): found for pool, day, *found in rows}
    accounts = con.execute("SELECT DISTINCT provider, billing_account_id, sub_account_id FROM settled").fetchall()
    lines, statement, spread, left, billed = [], [], {}, {}, {}
    for number, pool in enumerate(book.pools):
        places = [row for row in accounts if row[0] and provider_name(row[0]) == pool.contract.provider]
        if not places and not always:
            continue
        months: dict[str, dict[str, Fraction]] = {}
        for day in days:
            start = dt.datetime.combine(day, dt.time(), UTC)
            hours = pool.unit_hours(start, start + _DAY)
            weight, on_demand, has_hours, *currencies = served.get((number, day), (0, 0, 0, None, None))
            for currency in currencies:
                _same_currency(pool.name, pool.contract.currency, currency)
            fee, bill = (
                sum(int(f(start, start + _DAY) * _ONE) for f in fs)
                for fs in ([p.cost for p in pool.parts], [p.billed for p in pool.parts])
            )
            used, share = _used(pool, Fraction(weight or 0), hours)
            spread[number, day] = taken = int(fee * share)
            if has_hours:
                left[number, day], billed[number, day] = fee - taken, bill
            elif hours or fee or bill:
                lines.append(_line(pool, places, start, hours, fee - taken, bill))
            sums = months.setdefault(
                f"{day:%Y-%m}", dict.fromkeys(("fee", "idle", "hours", "used", "demand"), Fraction(0))
            )
            for name, value in (
                ("fee", fee),
                ("idle", fee - taken),
                ("hours", hours),
                ("used", used),
                ("demand", on_demand),
            ):
                sums[name] += Fraction(value or 0)
        statement += [_capacity_row(pool, month, sums) for month, sums in months.items() if sums["hours"]]
    con.execute(
        f"""UPDATE settled SET effective_cost = 0, {PAYABLE} = 0, price_status = 'contract',
                list_cost = CASE WHEN _weight IS NULL THEN 0 ELSE list_cost END,
                contracted_cost = CASE WHEN _weight IS NULL THEN 0 ELSE contracted_cost END
            WHERE capacity IS NOT NULL"""
    )
    cell = ("capacity", "_day")
    if _spread(con, cell, "s._weight", spread, "capacity"):
        _move(con, {"effective_cost": "+"}, sum(spread.values()))
    hours_rows = f"CASE WHEN s._weight IS NULL THEN {units('s.quantity', QUANTITY[1])} + 1 END"
    for amounts, column in ((left, "effective_cost"), (billed, PAYABLE)):
        if _spread(con, cell, hours_rows, amounts, "idle capacity"):
            _move(con, {column: "+"}, sum(amounts.values()))
    names = [(n, pool.name, pool.contract.currency) for n, pool in enumerate(book.pools)]
    for number, name, currency in names:
        con.execute(
            """UPDATE settled SET pricing_currency = $currency, price_id = CASE WHEN _weight IS NULL THEN $name ELSE price_id END,
                   price_note = CASE WHEN _weight IS NULL THEN NULL ELSE price_note END WHERE capacity = $number""",
            {"currency": currency, "name": name, "number": number},
        )
    return lines, statement


def _used(pool: Pool, weight: Fraction, hours: Fraction) -> tuple[Fraction, Fraction]:
    """Unit hours that calls took, and the share of the fee that is theirs: all of it where throughput isn't known."""
    tokens = weight / 10 ** (2 * QUANTITY[1])
    if not tokens:
        return Fraction(0), Fraction(0)
    if not pool.scope.tokens_per_hour:
        return Fraction(0), Fraction(1)
    used = tokens / Fraction(pool.scope.tokens_per_hour)
    return used, min(used / hours, Fraction(1)) if hours else Fraction(1)


def _line(
    pool: Pool, places: Sequence[tuple[Any, ...]], start: dt.datetime, hours: Fraction, cost: int, bill: int
) -> dict[str, Any]:
    """The line of a pool's day: the hours that are paid, at the cost of what nobody used."""
    one, parts = pool.scope, QUANTITY[1]
    quantity = Decimal((0, Decimal(int(hours * 10**parts)).as_tuple().digits, -parts))
    return _place(pool.contract, places) | {
        "charge_period_start": start, "charge_period_end": start + _DAY, "model": one.model.rstrip("*") or one.unit,
        "operation": IDLE_OPERATION, "meter": one.meter, "quantity": quantity, "unit": meters()[one.meter].unit,
        "service_tier": "provisioned", "resource_id": min(one.resources) if len(one.resources) == 1 else None,
        "price_id": pool.name, "effective_cost": _money(cost), PAYABLE: _money(bill),
    }  # fmt: skip


def _place(contract: Contract, places: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """What all lines of a contract say, and whose they are: its account, if it names one."""
    mine = [p for p in places if not contract.accounts or {p[1], p[2]} & contract.accounts]
    billing = sorted({p[1] for p in mine if p[1]}) or sorted(contract.accounts) or [contract.name]
    sub = sorted({p[2] for p in mine if p[2] in contract.accounts})
    zero = Decimal(0)
    return {
        "provider": min((p[0] for p in mine or places), default=contract.provider), "billing_account_id": billing[0],
        "sub_account_id": sub[0] if len(sub) == 1 else None, "source": CONTRACT_SOURCE, "quantity_basis": "imputed",
        "list_cost": zero, "contracted_cost": zero, "price_status": "contract", "pricing_currency": contract.currency,
    }  # fmt: skip


def _capacity_row(pool: Pool, month: str, sums: Mapping[str, Fraction]) -> dict[str, Any]:
    known = pool.scope.tokens_per_hour is not None
    share = sums["used"] / sums["hours"] if known else None
    fee, demand = sums["fee"] / _ONE, sums["demand"]
    return {
        "contract": pool.contract.name, "kind": "capacity", "item": pool.name.partition(": ")[2], "month": month,
        "currency": pool.contract.currency, "cost": _money(int(fee * _ONE)), "unit": "unit-hours",
        "committed_quantity": _number(sums["hours"]), "quantity": _number(sums["used"]) if known else None,
        "share": _number(share) if share is not None else None, "idle_cost": _money(int(sums["idle"])),
        "on_demand_cost": _money(int(demand * _ONE)), "saved": _money(int((demand - fee) * _ONE)),
        "break_even": _number(share * fee / demand) if share and demand else None,
    }  # fmt: skip


# -- prepaid credits


def _credits(
    con: duckdb.DuckDBPyConnection, book: PriceBook, days: Sequence[dt.date]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = con.execute(
        """SELECT credit, _day, pricing_currency, sum(contracted_cost) FROM settled
           WHERE credit IS NOT NULL AND contracted_cost IS NOT NULL GROUP BY ALL ORDER BY ALL"""
    ).fetchall()
    accounts = con.execute("SELECT DISTINCT provider, billing_account_id, sub_account_id FROM settled").fetchall()
    paid: dict[tuple[Any, ...], int] = {}
    saved: dict[tuple[Any, ...], int] = {}
    lines: list[dict[str, Any]] = []
    statement: list[dict[str, Any]] = []
    for number, terms in enumerate(book.contracts):
        if not terms.credits or not days:
            continue
        for _, _, currency, _ in (row for row in found if row[0] == number):
            _same_currency(terms.name, terms.currency, currency)
        credits = [replace(c, amount=Fraction(c.amount if c.left is None else c.left)) for c in terms.credits]  # type: ignore[arg-type]
        worth = {c.name: c.worth for c in terms.credits}
        costs = {day: Fraction(cost) for n, day, _, cost in found if n == number}
        drawn: dict[tuple[str, str], Fraction] = {}
        for row in draw_credits(credits, [(dt.datetime.combine(d, dt.time(), UTC), c) for d, c in costs.items()]):  # type: ignore[misc]
            day = row["at"].date()
            paid[number, day] = int(sum(row["drawn"].values()) * _ONE)
            saved[number, day] = int(sum(part * (1 - worth[name]) for name, part in row["drawn"].items()) * _ONE)
            for name, part in row["drawn"].items():
                key = (name, f"{day:%Y-%m}")
                drawn[key] = drawn.get(key, Fraction(0)) + part
        for credit in credits:
            left = Fraction(credit.amount)
            last = (credit.end - dt.timedelta(microseconds=1)).date() if credit.end else None
            for month in dict.fromkeys(f"{day:%Y-%m}" for day in days):
                used = drawn.get((credit.name, month), Fraction(0))
                lapses = last in days and f"{last:%Y-%m}" == month
                lost = left - used if lapses else Fraction(0)
                statement.append({
                    "contract": terms.name, "kind": "credit", "item": credit.name, "month": month, "currency": terms.currency,
                    "opening": _money(int(left * _ONE)), "drawn": _money(int(used * _ONE)), "lapsed": _money(int(lost * _ONE)),
                    "closing": _money(int((left - used - lost) * _ONE)), "cost": _money(int(used * worth[credit.name] * _ONE)),
                    "saved": _money(int(used * (1 - worth[credit.name]) * _ONE)),
                })  # fmt: skip
                if lost and worth[credit.name]:
                    start = dt.datetime.combine(last, dt.time(), UTC)  # type: ignore[arg-type]
                    places = [row for row in accounts if row[0] and provider_name(row[0]) == terms.provider]
                    lines.append(_place(terms, places) | {
                        "charge_period_start": start, "charge_period_end": start + _DAY, "model": credit.name,
                        "operation": LAPSED, "meter": "unmapped", "quantity": Decimal(0), "unit": meters()["unmapped"].unit,
                        "service_tier": "standard", "price_id": f"{terms.name}: {credit.name}",
                        "effective_cost": _money(int(lost * worth[credit.name] * _ONE)), PAYABLE: Decimal(0),
                    })  # fmt: skip
                left -= used + lost
    weight = units("s.contracted_cost", COST[1])
    for amounts, column in ((paid, PAYABLE), (saved, "effective_cost")):
        if _spread(con, ("credit", "_day"), weight, amounts, "credits"):
            _move(con, {column: "-"}, sum(amounts.values()))
    return lines, statement


# -- spreading an amount exactly


def _spread(
    con: duckdb.DuckDBPyConnection, cell: Sequence[str], weight: str, amounts: Mapping[tuple[Any, ...], int], what: str
) -> bool:
    """Make the table `parts` (_row, part): amounts in 10^-18 over their cells' rows, in proportion to a whole weight.

    Returns:
        Whether there is anything to spread; else no table is made.

    Raises:
        CheckFailed: a cell with an amount has no row to carry it.
    """
    wanted = {key: value for key, value in amounts.items() if value}
    if not wanted:
        return False
    known = " AND ".join(f"{c} IS NOT NULL" for c in cell)
    rows = con.execute(f"SELECT {', '.join(cell)}, sum({weight}) FROM settled s WHERE {known} GROUP BY ALL").fetchall()
    whole = {tuple(row[:-1]): int(row[-1] or 0) for row in rows}
    cells = []
    for number, (key, value) in enumerate(wanted.items()):
        if not whole.get(key):
            raise CheckFailed(f"{what}: {_money(value)} of {dict(zip(cell, key, strict=True))} has no row to carry it.")
        scale = 10 ** max(37 - len(str(value)), 0)
        cells.append((*key, number, value, value * scale // whole[key], scale))
    kinds = {"volume": pa.int32(), "capacity": pa.int32(), "credit": pa.int32(), "pricing_currency": pa.string()}
    schema = pa.schema([
        *((c, kinds.get(c, pa.date32())) for c in cell), ("cell", pa.int64()),
        *((name, pa.decimal128(38, 0)) for name in ("amount", "rate", "scale")),
    ])  # fmt: skip
    arrays = [
        pa.array(map(Decimal, values) if pa.types.is_decimal(f.type) else values, f.type)
        for f, values in zip(schema, zip(*cells, strict=True), strict=True)
    ]
    register(con, "cells", pa.Table.from_arrays(arrays, schema=schema))
    on = " AND ".join(f"s.{c} = c.{c}" for c in cell)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE parts AS SELECT _row, cell, w, w * rate // scale AS part FROM (
                SELECT s._row, c.cell, {weight} AS w, CAST(c.rate AS HUGEINT) AS rate, CAST(c.scale AS HUGEINT) AS scale
                FROM settled s JOIN cells c ON {on}) WHERE w IS NOT NULL"""
    )
    con.execute(
        """UPDATE parts SET part = part + f.rest FROM (
               SELECT p.cell, any_value(t.rest) AS rest,
                   arg_min(p._row, (s.charge_period_start, s.provider, s.model, s.meter, p._row)) AS _row
               FROM parts p JOIN settled s ON p._row = s._row
               JOIN (SELECT p.cell, any_value(CAST(c.amount AS HUGEINT)) - sum(p.part) AS rest, max(p.w) AS w
                     FROM parts p JOIN cells c ON p.cell = c.cell GROUP BY p.cell) t ON t.cell = p.cell AND t.w = p.w
               GROUP BY p.cell) f WHERE parts._row = f._row"""
    )
    return True


def _move(con: duckdb.DuckDBPyConnection, columns: Mapping[str, str], total: int) -> None:
    """Add the parts to columns of the rows, or take them off, and check that the columns moved by just that.

    Raises:
        CheckFailed: they didn't.
    """
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in columns)
    before = con.execute(f"SELECT {sums} FROM settled").fetchall()[0]
    part = amount("p.part", *COST)
    changes = ", ".join(f"{name} = {name} {sign} {part}" for name, sign in columns.items())
    con.execute(f"UPDATE settled SET {changes} FROM parts p WHERE settled._row = p._row")
    after = con.execute(f"SELECT {sums} FROM settled").fetchall()[0]
    for (name, sign), had, has in zip(columns.items(), before, after, strict=True):
        moved = (Fraction(has) - Fraction(had)) * (1 if sign == "+" else -1)
        if moved != Fraction(total, _ONE):
            raise CheckFailed(f"Settling moved {name} by {float(moved)} instead of {_money(total)}.")


def _same_currency(name: str, agreed: str, found: str | None) -> None:
    if found is not None and found != agreed:
        raise DataError(
            f"Contract {name} is in {agreed}, but prices of the rows it is for are in {found}. "
            f'State its amounts in {found} and set currency = "{found}".'
        )


def _money(value: int) -> Decimal:
    """Whole 10^-18 as a decimal, never rounded."""
    sign, digits, _ = Decimal(value).as_tuple()
    return Decimal((sign, digits, -COST[1]))


def _number(value: Fraction, places: int = 12) -> Decimal:
    """A figure to print: cut at so many places."""
    sign, digits, _ = Decimal(int(value * 10**places)).as_tuple()
    return Decimal((sign, digits, -places))
