"""Where a heavy statement runs: one relation over usage rows, whatever engine reads it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from finops_ai.engine.cubing import Grain, cells_sql, coarsened, size_sql, token_frame
from finops_ai.engine.dialects import DUCKDB, Dialect
from finops_ai.engine.duck import Scan, Source, connect
from finops_ai.periods import Window, utc_offsets

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

log = logging.getLogger("finops_ai.engine")


@dataclass(frozen=True)
class Relation:
    """Usage rows that an engine can query.

    Attributes:
        dialect: how the engine spells SQL.
        table: the rows, as SQL.
        read: column name -> SQL; a typed null for a column the rows don't have.
        query: runs a statement and gives its rows; only totals are asked for.
        have: columns the rows have.
    """

    dialect: Dialect
    table: str
    read: Callable[[str], str]
    query: Callable[[str], pa.Table]
    have: Sequence[str] = ()


@contextmanager
def on_duckdb(source: Source, fields: Iterable[str]) -> Iterator[Relation]:
    """Usage rows on the embedded engine: a frame, an Arrow table or data set, or Parquet."""
    with connect() as con:
        scan = Scan(con, source, fields)
        yield Relation(DUCKDB, scan.name, scan.column, lambda sql: con.sql(sql).to_arrow_table(), list(scan.columns))


def token_cells(
    rows: Relation,
    grain: Grain,
    window: Window,
    *,
    book: PriceBook | None = None,
    wanted: int | None = None,
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """The cells of the rows that start in a window, as a token frame.

    Args:
        rows: where they are.
        grain: what is told apart.
        window: half-open.
        book: price book, whose prices by the hour and context tiers cells must not mix.
        wanted: cells to stay below, as far as leaving out the finest columns can. None = all columns are told apart.
        keep: columns never left out.
    """
    grain = bounded(rows, grain, window, book=book, wanted=wanted, keep=keep)
    cells = token_frame(rows.query(compile_cells(rows, grain, window)), grain, since=window.start)
    if wanted is not None and len(cells) > wanted:
        log.warning(
            "The cube of %s has %s cells, more than the %s of [engine] cells: accounts, regions, models and days alone make so many.",
            window, f"{len(cells):,}", f"{wanted:,}",
        )  # fmt: skip
    return cells


def bounded(
    rows: Relation,
    grain: Grain,
    window: Window,
    *,
    book: PriceBook | None = None,
    wanted: int | None = None,
    keep: Sequence[str] = (),
) -> Grain:
    """The grain with what a book's prices tell apart, and as few of its finest columns as it takes to fit."""
    where = within(rows, window)
    if book is not None:
        grain = priced_apart(rows, grain, where, book)
    if wanted is not None:
        sizes = rows.query(size_sql(rows.dialect, grain, read=rows.read, table=rows.table, where=where))
        grain = coarsened(grain, list(sizes.to_pylist()[0].values()), wanted, keep)
    return grain


def compile_cells(rows: Relation, grain: Grain, window: Window) -> str:
    """The statement that makes the cells of a window."""
    offsets = [] if grain.timezone == "UTC" else utc_offsets(window, grain.timezone)
    return cells_sql(rows.dialect, grain, read=rows.read, table=rows.table, offsets=offsets, where=within(rows, window))


def within(rows: Relation, window: Window) -> str:
    """A window as a predicate on the rows."""
    start, d = rows.read("charge_period_start"), rows.dialect
    return f"{start} >= {d.literal(window.start)} AND {start} < {d.literal(window.end)}"


def priced_apart(rows: Relation, grain: Grain, where: str, book: PriceBook) -> Grain:
    """The grain with the parts of the day and the context tiers that a book's prices make."""
    day = f"CAST({rows.read('charge_period_start')} AS DATE)"
    found = rows.query(
        f"SELECT {rows.read('provider')} AS provider, {rows.read('model')} AS model, min({day}) AS first_day, max({day}) AS last_day "
        f"FROM {rows.table} WHERE {where} GROUP BY 1, 2"
    ).to_pylist()
    parts: list[int] = []
    if found:
        first, last = min(r["first_day"] for r in found), max(r["last_day"] for r in found)
        parts = book.change_minutes(first, last, sorted((r["provider"], r["model"]) for r in found))
    return Grain(grain.keys, grain.tags, tuple(book.context_cuts), tuple(parts), grain.timezone, grain.left_out)
