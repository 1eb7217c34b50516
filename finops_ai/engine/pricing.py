"""Price token frames: unit prices per distinct key and day, joined once, multiplied exactly, never rounded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, register
from finops_ai.engine.fields import NATIVE, PAYABLE, PRICED
from finops_ai.engine.plan import BASIS, LABELS, Plan, Prices, part_of_day
from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import ORIGIN, made_with
from finops_ai.periods import Window

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: what the price step reads of a row, besides the book's key columns
NEEDED = ("charge_period_start", "quantity", "meter", "slice_input_tokens", "slice_requests")

#: what settling contracts reads besides
SETTLED_BY = (
    "charge_period_start",
    "quantity",
    "meter",
    "provider",
    "model",
    "billing_account_id",
    "sub_account_id",
    "source",
)

#: what the query says of a row's price: the number of its price row, its context tier, what is in doubt
_MARKS = ("price_row", "price_level", "price_doubt")

#: with more change days than this, keys are looked up on the days they have instead of on all stretches
_OFTEN = 100


class Book(Protocol):
    """What the engine needs of a price book (`finops_ai.PriceBook` is one).

    `expand` takes the distinct key combinations and UTC days of the data and returns the same rows with
    `list_unit_price` (null = unpriced), `contracted_unit_price`, both also as `*_over` for requests above the context
    threshold `over_tokens` (`over_inclusive`: from it on; a second threshold has `over_tokens_2` and so on), `price_id`,
    `price_id_over`, `price_status`, `price_status_over` (left out = as `price_status`), `needs_confirmation`, `currency` and the model's identity.

    A book may also have `change_days(first, last, models)`: the UTC days on which any of its prices may change; then only
    those days are asked for, which is much less work. `change_minutes(first, last, models)`: minutes of the UTC day at
    which prices change; then `expand` gets the part of the day as `minute`, too. `price_until` beside a price is the naive
    UTC instant at which another one begins: slices that reach beyond it are flagged. `has_terms` tells that volume tiers,
    credits or capacity are to be settled (`finops_ai.engine.settling`).
    """

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Columns that a price depends on, beside the day."""
        ...

    def expand(self, keys: pa.Table) -> pa.Table:
        """The keys with their prices."""
        ...


#: the last books that rows were priced with here, by their version
_USED: dict[str, Book] = {}
_USED_MOST = 16


def remembered(book: Book) -> Book:
    """The book, which `book_of` finds again by its version."""
    version = str(getattr(book, "version", ""))
    if version:
        _USED.pop(version, None)
        _USED[version] = book
        while len(_USED) > _USED_MOST:
            del _USED[next(iter(_USED))]
    return book


def book_of(frame: pd.DataFrame, book: Book | None = None) -> Book:
    """The book that a frame's costs are of: the one given, else the one it was priced with, contracts and all.

    Raises:
        FrameError: the frame was priced with a book that this process doesn't have.
    """
    if book is not None:
        return remembered(book)
    version = str(frame.attrs.get(ORIGIN, {}).get("prices", ""))
    if version in _USED:
        return _USED[version]
    usual = default_book(None)
    if version and version != getattr(usual, "version", version):
        raise FrameError(
            f"The rows were priced with price book {version}, which isn't loaded here: give it as book=, such as ws.book "
            "of their workspace or fa.PriceBook.load of its file."
        )
    return usual


def default_book(book: Book | None) -> Book:
    """The book given, or the bundled one."""
    if book is not None:
        return book
    from finops_ai.prices import PriceBook

    return PriceBook.default()


def price(tokens: pd.DataFrame | pa.Table, book: Book | None = None, *, period: Window | None = None) -> pd.DataFrame:
    """Add list, contracted and effective cost to a token frame.

    Contracts with volume tiers, credits or committed capacity are settled over the rows given: volume by UTC month,
    credits and capacity by UTC day. So give such a book whole months, as `Workspace.priced` does; for all other books
    every day priced alone adds up to the month.

    Args:
        tokens: token frame, one row per meter of a usage slice. Columns `price` adds are replaced if present.
        book: price book; the bundled list prices by default.
        period: days for which committed capacity is paid; those of the frame by default. Given, it is paid even for a
            provider that the frame has no usage of.

    Returns:
        The frame with, per row: `list_cost`, `contracted_cost`, `effective_cost` (decimal128(38,18) in
        `pricing_currency`, null where no price is known), `list_unit_price` (per single unit), `price_id`,
        `price_status` (listed, contract, promotional, disputed, assumed, unpriced, or not_billed for calls that no
        price row bills; by `money_basis`: stated, a charge whose amount the source states; included, covered by an
        allowance; estimate, what list prices would come to: these two cost nothing that is known, and `list_cost` is
        what they are worth), `price_note` (context_tier_unknown, or needs_confirmation, also where the slice reaches across
        a change of price), `pricing_currency` and the model's identity. One row per row given, in order; `.attrs` names
        the version of the price book. Every price has a source and a date: `PriceBook.show` names them. A book with
        such contracts also gives `payable_cost`, what is invoiced for the row, and at the end one line more per day of
        idle capacity and per lapsed credit, with `source` contract.

    Raises:
        FrameError: columns of a token frame are missing.
        DataError: credits or capacity are in another currency than the rows they pay for.
        CheckFailed: a settled amount isn't spread to the last digit.

    Example:
        >>> import finops_ai as fa
        >>> priced = fa.price(fa.sample(months=1))
        >>> f"{sum(priced['effective_cost'].dropna()):,.2f} {priced['pricing_currency'].iloc[0]}"
        '28,393.34 USD'
    """
    return settled(tokens, book, period=period)[0]


def settled(
    tokens: pd.DataFrame | pa.Table, book: Book | None = None, *, period: Window | None = None
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """What `price` returns, and what its contracts came to: one row per contract, item and month."""
    book = remembered(default_book(book))
    from finops_ai.engine.settling import TERMS, settle, with_lines, without_lines

    frame = _checked(tokens)
    if not getattr(book, "has_terms", False):
        return reprice(without_lines(frame), book), []
    with connect() as con:
        plan = _plan(con, frame, book, labels=TERMS, fields=SETTLED_BY)
        added, lines, statement = settle(
            con, plan.rows([ROW, *SETTLED_BY, *PRICED, *TERMS]), cast("PriceBook", book), period
        )
    if added.num_rows < len(frame):
        frame = frame.iloc[added[ROW].to_numpy()]
    priced = with_lines(attach(frame, added.drop_columns([ROW])), lines)
    return made_with(priced, frame, prices=str(getattr(book, "version", ""))), statement


def reprice(tokens: pd.DataFrame | pa.Table, book: Book | None = None) -> pd.DataFrame:
    """What rows cost at the rates of a book, row by row: `price` without what only whole months and days settle.

    For "as if" questions about some rows of a month, whose volume, credits and capacity they can't tell.
    """
    frame, book = _checked(tokens), remembered(default_book(book))
    if _told(frame):
        with connect() as con:
            plan = _plan(con, frame, book)
            added = (
                run(con, plan.rows([ROW, *PRICED], order=ROW)).drop_columns([ROW]).cast(pa.schema(list(PRICED.items())))
            )
        return made_with(attach(frame, added), frame, prices=str(getattr(book, "version", "")))
    with connect() as con:
        scan = Scan(con, frame, fields_needed(book), numbered=True)
        prices = prices_for(con, scan, book)
        prices = replace(
            prices, table=prices.table.append_column("price_row", pa.array(range(prices.table.num_rows), pa.int32()))
        )
        read = list(dict.fromkeys([ROW, *NEEDED, *prices.fields]))
        costs = ("list_cost", "contracted_cost") if _agreed(prices) else ("list_cost",)
        plan = Plan().scan(read, read=scan.column).price(prices, costs=costs, labels=_MARKS)
        found = run(con, plan.rows([ROW, *costs, *_MARKS]))
    added = _described(found, prices).cast(pa.schema(list(PRICED.items())))
    return made_with(attach(frame, added), frame, prices=str(getattr(book, "version", "")))


def _told(frame: pd.DataFrame) -> bool:
    """Whether any row says which money it is."""
    return "money_basis" in frame.columns and bool(frame["money_basis"].notna().any())


def _agreed(prices: Prices) -> bool:
    """Whether any contracted price differs from the list."""
    pairs = [
        (name, name.replace("list", "contracted", 1)) for name in prices.table.column_names if name.startswith("list_")
    ]
    return any(not prices.table[one].equals(prices.table[other]) for one, other in pairs)


def _described(found: pa.Table, prices: Prices) -> pa.Table:
    """Rows in the order of the source, what describes a price looked up by its number, level and doubt.

    So the query carries three small numbers per row and not seven texts, and needn't be sorted.
    """
    order = np.empty(found.num_rows, dtype=np.int64)
    order[found[ROW].to_numpy()] = np.arange(found.num_rows)
    row, level, doubt = (found[name].fill_null(-1).to_numpy()[order].astype(np.int64) for name in _MARKS)
    table, tiers = prices.table, prices.tiers
    row = np.where(row < 0, table.num_rows, row)  # no price at all: the line after the last
    which = pa.array((row * (len(tiers) + 1) + level) * 3 + doubt)
    at = pa.array(order)
    listed = found["list_cost"].combine_chunks().take(at)
    agreed = found["contracted_cost"].combine_chunks().take(at) if "contracted_cost" in found.column_names else listed
    out = {"list_cost": listed, "contracted_cost": agreed, "effective_cost": agreed}
    for name, values in _descriptions(table, tiers).items():
        out[name] = values.take(which)
    return pa.table({name: out[name] for name in PRICED})


def _descriptions(table: pa.Table, tiers: Sequence[str]) -> dict[str, pa.Array]:
    """What describes each price row at each level and doubt, and one line more for no price at all."""
    out: dict[str, list[Any]] = {name: [] for name in PRICED if not name.endswith("_cost")}
    for line in [*table.to_pylist(), {}]:
        for level in ("", *(f"_over{e}" for e in tiers)):
            for note in (line.get("price_note"), "needs_confirmation", "context_tier_unknown"):
                said = {
                    "list_unit_price": line.get(f"list_unit_price{level}"), "price_id": line.get(f"price_id{level}"),
                    "price_status": line.get(f"price_status{level}") or line.get("price_status") or "unpriced", "price_note": note,
                    "pricing_currency": line.get("currency"),
                }  # fmt: skip
                for name, values in out.items():
                    values.append(said[name] if name in said else line.get(name))
    return {name: pa.array(values, PRICED[name]) for name, values in out.items()}


def _checked(tokens: pd.DataFrame | pa.Table) -> pd.DataFrame:
    frame = tokens if isinstance(tokens, pd.DataFrame) else to_pandas(tokens)
    if missing := [c for c in ("provider", "model", *NEEDED[:3]) if c not in frame.columns]:
        raise FrameError(
            f"fa.price: columns {missing} are missing; it takes a token frame (fa.read, fa.collect, fa.sample)."
        )
    return frame.drop(columns=[PAYABLE, *NATIVE], errors="ignore")


def _plan(
    con: duckdb.DuckDBPyConnection,
    frame: pd.DataFrame,
    book: Book,
    labels: Sequence[str] = (),
    fields: Sequence[str] = (),
) -> Plan:
    """The frame's rows joined with their prices; `labels` and `fields` are carried along."""
    fields = [*fields, *(BASIS if _told(frame) else ())]
    scan = Scan(con, frame, [*fields_needed(book), *fields], numbered=True)
    prices = prices_for(con, scan, book)
    read = list(dict.fromkeys([ROW, *NEEDED, *prices.fields, *fields]))
    return Plan().scan(read, read=scan.column).price(prices, labels=("list_unit_price", *LABELS, *labels))


def fields_needed(book: Book) -> list[str]:
    """Columns the price step may read."""
    return list(dict.fromkeys([*NEEDED, "charge_period_end", *book.key_columns]))


def prices_for(con: duckdb.DuckDBPyConnection, scan: Scan, book: Book, *, examples: bool = False) -> Prices:
    """Unit prices of every key and UTC day in a source.

    One pass finds the keys and the days they span. Where the book tells on which days prices change, each key is asked
    for once per stretch without change; else a second pass finds every key and day.
    Key columns with one value throughout needn't be joined on, so they are left out of `keys`.
    What has no currency of its own is in the currency of all the rest, if there is but one. Rows that are `examples` stand
    for more rows each: they are asked for as they are, and the rest isn't there to tell a currency.
    """
    day = f"CAST({scan.column('charge_period_start')} AS DATE)"
    names = list(book.key_columns)
    picked = ", ".join(f"{scan.column(k)} AS {DUCKDB.ident(k)}" for k in names)
    spans_sql = f"SELECT {picked}, min({day}) AS first, max({day}) AS last FROM {scan.name} GROUP BY ALL"
    spans = con.sql(spans_sql).to_arrow_table()
    models = sorted({(r["provider"], r["model"]) for r in spans.select(["provider", "model"]).to_pylist()}, key=str)
    first, last = (f(spans[c]).as_py() for f, c in ((pc.min, "first"), (pc.max, "last")))
    change_minutes = getattr(book, "change_minutes", None)
    parts = change_minutes(first, last, models) if change_minutes and spans.num_rows else []
    periods = None if parts or examples else _periods(spans, book, models)
    if periods is None:
        part = f", {part_of_day(parts, scan.column('charge_period_start'))} AS minute" if parts else ""
        picked = ", ".join(f"{scan.column(k)} AS {DUCKDB.ident(k)}" for k in names)
        found = con.sql(f"SELECT DISTINCT {picked}{part}, {day} AS day FROM {scan.name}").to_arrow_table()
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
    other = "(SELECT max(currency) FROM expanded HAVING count(DISTINCT currency) = 1)" if not examples else "NULL"
    table = con.sql(
        f"""SELECT x.* REPLACE (
              CASE WHEN {free} THEN {zero} ELSE x.list_unit_price END AS list_unit_price,
              CASE WHEN {free} THEN {zero} ELSE x.contracted_unit_price END AS contracted_unit_price,
              CASE WHEN {free} THEN 'not_billed' WHEN x.list_unit_price IS NULL AND x.contracted_unit_price IS NULL
                   THEN 'unpriced' ELSE x.price_status END AS price_status,
              coalesce(x.currency, {other}) AS currency),
              CASE WHEN x.needs_confirmation THEN 'needs_confirmation' END AS price_note
            FROM expanded x"""
    ).to_arrow_table()
    con.unregister("expanded")
    keys = [k for k in names if len(table[k].unique()) > 1]
    crossed = False
    if "price_until" in table.column_names and table["price_until"].null_count < table.num_rows:
        (end,) = con.execute(f"SELECT max({scan.column('charge_period_end')}) FROM {scan.name}").fetchall()[0]
        crossed = end is not None and pc.min(table["price_until"]).as_py() < end
    return Prices(table, keys + (["minute"] if parts else []), periods, parts, crossed)


def _periods(spans: pa.Table, book: Book, models: list[Any]) -> pa.Table | None:
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
