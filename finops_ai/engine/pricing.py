"""Price token frames: unit prices per distinct key and day, joined once, multiplied exactly, never rounded."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, register
from finops_ai.engine.fields import PRICED
from finops_ai.engine.plan import LABELS, Plan, Prices
from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import made_with

#: what the price step reads of a row, besides the book's key columns
NEEDED = ("charge_period_start", "quantity", "meter", "slice_input_tokens", "slice_requests")

#: with more change days than this, keys are looked up on the days they have instead of on all stretches
_OFTEN = 100


class Book(Protocol):
    """What the engine needs of a price book (`finops_ai.PriceBook` is one).

    `expand` takes the distinct key combinations and UTC days of the data and returns the same rows with
    `list_unit_price` (null = unpriced), `contracted_unit_price`, both also as `*_over` for requests above the context
    threshold `over_tokens` (`over_inclusive`: from it on), `price_id`, `price_id_over`, `price_status`,
    `needs_confirmation`, `currency` and the model's identity. A book may also have `change_days(first, last)`: the UTC
    days on which any of its prices may change; then only those days are asked for, which is much less work.
    """

    @property
    def key_columns(self) -> tuple[str, ...]: ...

    def expand(self, keys: pa.Table) -> pa.Table: ...


def default_book(book: Book | None) -> Book:
    """The book given, or the bundled one."""
    if book is not None:
        return book
    from finops_ai.prices import PriceBook

    return PriceBook.default()


def price(tokens: pd.DataFrame | pa.Table, book: Book | None = None) -> pd.DataFrame:
    """Add list, contracted and effective cost to a token frame.

    Args:
        tokens: token frame, one row per meter of a usage slice. Columns `price` adds are replaced if present.
        book: price book; the bundled list prices by default.

    Returns:
        The frame with, per row: `list_cost`, `contracted_cost`, `effective_cost` (decimal128(38,18) in
        `pricing_currency`, null where no price is known), `list_unit_price` (per single unit), `price_id`,
        `price_status` (listed, contract, promotional, disputed, assumed, unpriced, or not_billed for calls that no
        price row bills), `price_note` (such as context_tier_unknown), `pricing_currency` and the model's identity. One
        row per row given, in order; `.attrs` names the version of the price book. Every price has a source and a date:
        `PriceBook.show` names them.

    Raises:
        FrameError: columns of a token frame are missing.

    Example:
        >>> import finops_ai as fa
        >>> priced = fa.price(fa.sample(months=1))
        >>> f"{sum(priced['effective_cost'].dropna()):,.2f} {priced['pricing_currency'].iloc[0]}"
        '28,393.34 USD'
    """
    frame = tokens if isinstance(tokens, pd.DataFrame) else to_pandas(tokens)
    book = default_book(book)
    needed = ("provider", "model", *NEEDED[:3])
    if missing := [c for c in needed if c not in frame.columns]:
        raise FrameError(
            f"fa.price: columns {missing} are missing; it takes a token frame (fa.read, fa.collect, fa.sample)."
        )
    with connect() as con:
        scan = Scan(con, frame, fields_needed(book), numbered=True)
        prices = prices_for(con, scan, book)
        fields = list(dict.fromkeys([ROW, *NEEDED, *(k for k in prices.keys if k != "hour")]))
        labels = ("list_unit_price", *LABELS)
        plan = Plan().scan(fields, read=scan.column).price(prices, labels=labels).rows(list(PRICED), order=ROW)
        added = run(con, plan).cast(pa.schema(list(PRICED.items())))
    return made_with(attach(frame, added), frame, prices=str(getattr(book, "version", "")))


def fields_needed(book: Book) -> list[str]:
    """Columns the price step reads."""
    return list(dict.fromkeys([*NEEDED, *(k for k in book.key_columns if k != "hour")]))


def prices_for(con: duckdb.DuckDBPyConnection, scan: Scan, book: Book) -> Prices:
    """Unit prices of every key and UTC day in a source.

    One pass finds the keys and the days they span. Where the book tells on which days prices change, each key is asked
    for once per stretch without change; else a second pass finds every key and day.
    Key columns with one value throughout needn't be joined on, so they are left out of `keys`.
    """
    day = f"CAST({scan.column('charge_period_start')} AS DATE)"
    names = [k for k in book.key_columns if k != "hour"]
    picked = ", ".join(f"{scan.column(k)} AS {DUCKDB.ident(k)}" for k in names)
    spans = con.sql(
        f"SELECT {picked}, min({day}) AS first, max({day}) AS last FROM {scan.name} GROUP BY ALL"
    ).to_arrow_table()
    models = sorted({(r["provider"], r["model"]) for r in spans.select(["provider", "model"]).to_pylist()}, key=str)
    for_models = getattr(book, "key_columns_for", None)
    key_columns = for_models(models) if for_models else book.key_columns
    periods = None if "hour" in key_columns else _periods(spans, book, models)
    if periods is None:
        hour = f", extract(HOUR FROM {scan.column('charge_period_start')}) AS hour" if "hour" in key_columns else ""
        found = con.sql(f"SELECT DISTINCT {picked}{hour}, {day} AS day FROM {scan.name}").to_arrow_table()
    else:
        register(con, "key_spans", spans)
        register(con, "price_periods", periods)
        found = con.sql(
            """SELECT s.* EXCLUDE (first, last), p.since AS day FROM key_spans s
               JOIN (SELECT since, max(day) AS until FROM price_periods GROUP BY since) p ON p.since <= s.last AND p.until >= s.first"""
        ).to_arrow_table()
    register(con, "expanded", book.expand(found))
    free = "x.list_unit_price IS NULL AND x.meter = 'requests'" if "meter" in book.key_columns else "FALSE"
    zero = "CAST(0 AS DECIMAL(18,12))"
    table = con.sql(
        f"""SELECT x.* REPLACE (
              CASE WHEN {free} THEN {zero} ELSE x.list_unit_price END AS list_unit_price,
              CASE WHEN {free} THEN {zero} ELSE x.contracted_unit_price END AS contracted_unit_price,
              CASE WHEN {free} THEN 'not_billed' WHEN x.list_unit_price IS NULL AND x.contracted_unit_price IS NULL
                   THEN 'unpriced' ELSE x.price_status END AS price_status,
              coalesce(x.currency, (SELECT max(currency) FROM expanded HAVING count(DISTINCT currency) = 1)) AS currency),
              CASE WHEN x.needs_confirmation THEN 'needs_confirmation' END AS price_note
            FROM expanded x"""
    ).to_arrow_table()
    con.unregister("expanded")
    keys = [k for k in key_columns if k == "hour" or len(table[k].unique()) > 1]
    return Prices(table, keys, periods)


def _periods(spans: pa.Table, book: Book, models: list) -> pa.Table | None:
    """Each UTC day with the day since which no price has changed; None if the book can't tell, or prices change often."""
    change_days = getattr(book, "change_days", None)
    if change_days is None or not spans.num_rows:
        return None
    first, last = pc.min(spans["first"]).as_py(), pc.max(spans["last"]).as_py()
    changes = set(change_days(first, last, models))
    if len(changes) > _OFTEN:
        return None
    days: list[dt.date] = []
    since: list[dt.date] = []
    for n in range((last - first).days + 1):
        day = first + dt.timedelta(days=n)
        days.append(day)
        since.append(day if not since or day in changes else since[-1])
    return pa.table({"day": pa.array(days, pa.date32()), "since": pa.array(since, pa.date32())})


def run(con: duckdb.DuckDBPyConnection, plan: Plan) -> pa.Table:
    """Run a plan on DuckDB."""
    for name, table in plan.tables.items():
        register(con, f"{name}_arrow", table)
        con.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM "{name}_arrow"')
    return con.sql(plan.sql).to_arrow_table()


def attach(frame: pd.DataFrame, added: pa.Table) -> pd.DataFrame:
    """A frame with computed columns, which replace columns of the same name; the index is kept."""
    new = to_pandas(added)
    new.index = frame.index
    old = frame.drop(columns=[c for c in new.columns if c in frame.columns])
    return pd.concat([old, new], axis=1)
