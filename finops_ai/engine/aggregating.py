"""The fused form: price, map and add up a source of any size in one pass, keeping only the totals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB, Dialect
from finops_ai.engine.duck import Scan, Source, connect
from finops_ai.engine.fields import PRICED, TAG, columns
from finops_ai.engine.plan import BASIS, COSTS, LABELS, Plan, Prices
from finops_ai.engine.pricing import (
    NEEDED,
    SETTLED_BY,
    Book,
    default_book,
    fields_needed,
    price,
    prices_for,
    run,
)
from finops_ai.engine.rules import Rules
from finops_ai.engine.summing import TIMES, can_be_summed, summed
from finops_ai.errors import DataError, RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.periods import Window, utc_offsets

_ANY = Window.of("1970-01-01", "1970-01-02")


def aggregate(
    source: Source,
    by: Sequence[str],
    *,
    book: Book | None = None,
    rules: Rules | Mapping[str, Any] | str | Path | None = None,
    costs: Sequence[str] = COSTS,
    window: Window | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """Price, map and add up in one statement; rows are never kept.

    With a book whose contracts have volume tiers, credits or capacity, the rows are settled as `fa.price` does first.

    Args:
        source: token frame, Arrow table, or Parquet path, glob, folder or list of files (a lake's file list).
        by: group columns: token and price columns, dimensions, `tags.<key>`, `month`, `day` (of the reporting zone).
            The pricing currency is always one of them, because sums never mix currencies.
        book: price book; the bundled list prices by default.
        rules: mapping rules; none by default. Shared costs are not divided here: that needs the rows, so `fa.allocate`.
        costs: which costs to add up.
        window: only rows that start in it.
        timezone: IANA name of the reporting zone.

    Returns:
        One row per group: the group columns, `quantity` and the costs (exact decimals, null where nothing is priced).

    Example:
        >>> import finops_ai as fa
        >>> aggregate(fa.sample(months=1), ["provider"])["provider"].nunique()
        6

        Over a lake: `aggregate("lake/*.parquet", ["month", "team"], rules="finops.toml")`.
    """
    book, rules = default_book(book), Rules.load(rules) if rules is not None else Rules.none()
    by = list(dict.fromkeys([*by, "pricing_currency"]))
    known = {*columns(), *rules.dimensions, *TIMES}
    for name in by:
        if name not in known and not name.startswith(TAG):
            raise RuleError(f"Can't group by {name!r}. {hint(name, known)}")
    terms = SETTLED_BY if getattr(book, "has_terms", False) else ()
    with connect() as con:
        fields = scan_fields(by, book, rules)
        scan = Scan(con, source, [*fields, *terms, "money_basis"])
        if _has_basis(con, scan):
            fields = list(dict.fromkeys([*fields, *BASIS]))
            scan = Scan(con, source, [*fields, *terms])
        where = window_sql(DUCKDB, window, scan.column("charge_period_start"))
        if where:
            con.execute(f"CREATE TEMP VIEW chosen AS SELECT * FROM {scan.name} WHERE {where}")
            scan.name = "chosen"
        span = window or (_span(con, scan) if timezone != "UTC" else _ANY)
        offsets = utc_offsets(span, timezone)
        if not terms and not set(BASIS) <= set(fields) and can_be_summed(by, book, rules):
            return to_pandas(summed(con, source, by, book, rules, costs=costs, window=window, offsets=offsets))
        prices = None if terms else prices_for(con, scan, book)
        if terms:
            fields = list(dict.fromkeys([*fields, *costs, *(c for c in PRICED if c in (*by, *rules.used_fields()))]))
            scan = Scan(con, price(_frame(con, scan, [*fields, *terms]), book), fields, name="settled_rows")
        plan = compile_totals(
            DUCKDB, fields, prices, rules, by, costs=costs, offsets=offsets, read=scan.column, table=scan.name,
        )  # fmt: skip
        return to_pandas(run(con, plan))


def _has_basis(con: duckdb.DuckDBPyConnection, scan: Scan) -> bool:
    """Whether any row of a source says which money it is."""
    if "money_basis" not in scan.columns:
        return False
    return bool(con.execute(f"SELECT 1 FROM {scan.name} WHERE money_basis IS NOT NULL LIMIT 1").fetchall())


def scan_fields(by: Sequence[str], book: Book, rules: Rules) -> list[str]:
    """Fields a fused statement reads from its source."""
    wanted = [*fields_needed(book), *rules.used_fields(), *by]
    left_out = {*PRICED, *rules.dimensions, *TIMES}
    return list(dict.fromkeys(f for f in wanted if f not in left_out))


def compile_totals(
    dialect: Dialect,
    fields: Sequence[str],
    prices: Prices | None,
    rules: Rules,
    by: Sequence[str],
    *,
    costs: Sequence[str] = COSTS,
    offsets: Sequence[tuple[dt.datetime, int]] = (),
    read: Callable[[str], str] | None = None,
    table: str = "usage",
    projected: Sequence[str] = (),
) -> Plan:
    """Compile the fused statement for one engine.

    Args:
        dialect: DUCKDB, SPARK or BIGQUERY (`finops_ai.engine.dialects`).
        fields: what `scan_fields` says.
        prices: expanded unit prices (`finops_ai.engine.pricing.prices_for`); None where the source has its costs.
        rules: the mapping.
        by: group columns.
        costs: which costs to add up.
        offsets: dated offsets of the reporting zone.
        read: column name -> SQL of the source.
        table: name of the source.
        projected: `tags.<key>` fields that the source has as columns.

    Returns:
        A plan whose `sql` reads `table` and the tables in `plan.tables`.

    Raises:
        DataError: the prices belong to contracts that only whole months or days settle.
    """
    if prices is not None and prices.settles:
        raise DataError(
            "Volume tiers, credits and capacity are settled after pricing, on one machine: "
            "price with fa.price or aggregate, or compile for a book without them."
        )
    used = {f for name in rules.used_fields() for f in [name]} | set(by)
    labels = [name for name in ("list_unit_price", *LABELS) if name in used]
    joined = {*NEEDED, *BASIS, *by, *rules.used_fields(), *(prices.fields if prices else (*costs, *labels))}
    plan = Plan(dialect).scan(
        [f for f in fields if f in joined], read=read, table=table, offsets=offsets, projected=projected
    )
    if prices is not None:
        plan.price(prices, costs=costs, labels=labels)
    wanted = [d for d in rules.dimensions if d in by]
    if wanted:
        plan.map(rules, wanted)
    local = dialect.local_time("charge_period_start", offsets or [(dt.datetime(1970, 1, 1, tzinfo=dt.UTC), 0)])
    computed = {"month": dialect.month.format(x=local), "day": f"CAST({local} AS DATE)"}
    return plan.totals(by, ["quantity", *costs], computed=computed)


def window_sql(dialect: Dialect, window: Window | None, start: str) -> str:
    """A window as a predicate on the UTC start."""
    if window is None:
        return ""
    return f"{start} >= {dialect.literal(window.start)} AND {start} < {dialect.literal(window.end)}"


def _frame(con: duckdb.DuckDBPyConnection, scan: Scan, fields: Sequence[str]) -> pd.DataFrame:
    """Columns of a source as a frame: contracts are settled over all of its rows."""
    names = [n for n in dict.fromkeys("tags" if f.startswith(TAG) else f for f in fields) if n in scan.columns]
    table = con.sql(
        f"SELECT {', '.join(f'{scan.column(n)} AS {DUCKDB.ident(n)}' for n in names)} FROM {scan.name}"
    ).to_arrow_table()
    instants = [
        pa.field(f.name, pa.timestamp("us", "UTC") if pa.types.is_timestamp(f.type) else f.type) for f in table.schema
    ]
    return to_pandas(table.cast(pa.schema(instants)))


def _span(con: duckdb.DuckDBPyConnection, scan: Scan) -> Window:
    start = scan.column("charge_period_start")
    first, last = con.execute(f"SELECT min({start}), max({start}) FROM {scan.name}").fetchall()[0]
    first, last = first or dt.datetime(1970, 1, 1), last or dt.datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC
    return Window(first.replace(tzinfo=dt.UTC), last.replace(tzinfo=dt.UTC) + dt.timedelta(seconds=1))
