"""DuckDB as the embedded engine: frames and Parquet in without copies, exact decimals out through Arrow."""

from __future__ import annotations

import datetime as dt
import glob
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.fields import TAG, columns
from finops_ai.errors import DataError
from finops_ai.frames import to_arrow
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.periods import Window, utc_offsets

#: a frame, an Arrow table or data set, a path, glob or URI of Parquet, or a list of those
Source: TypeAlias = pd.DataFrame | pa.Table | ds.Dataset | str | Path | Sequence[str | Path]
ROW = "_row"
#: variable that says how many threads DuckDB takes in a process, where several share the cores
THREADS = "FINOPS_AI_THREADS"


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(f"SET temp_directory = {DUCKDB.literal(tempfile.gettempdir())}")
    con.execute("SET preserve_insertion_order = false")
    if threads := os.environ.get(THREADS):
        con.execute(f"SET threads = {int(threads)}")
    return con


def connect() -> duckdb.DuckDBPyConnection:
    """A connection of its own to this process's in-memory database, which spills, if it must, to the temporary folder.

    What is registered or made with TEMP belongs to the connection and goes when it closes.
    """
    return _database(os.getpid()).cursor()


@contextmanager
def one_of(processes: int) -> Iterator[dict[str, str]]:
    """Take this process's part of the cores while others compute too; gives the variables that tell the others theirs.

    Threads of several processes that wait for each other's cores cost more than they gain.
    """
    con, part = connect(), max((os.cpu_count() or 1) // processes, 1)
    before = con.sql("SELECT current_setting('threads')").fetchall()[0][0]
    con.execute(f"SET threads = {min(part, before)}")
    try:
        yield {name: os.environ.get(name, str(part)) for name in (THREADS, "OMP_NUM_THREADS")}
    finally:
        con.execute(f"SET threads = {before}")


def register(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Give an Arrow table a name; instants enter as naive UTC, because time zones need an extension."""
    fields = [pa.field(f.name, pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    con.register(name, table.cast(pa.schema(fields)))


class Scan:
    """A source as a relation: what columns it has, and the SQL text that reads some of them.

    Args:
        con: the connection to register it with.
        source: frame, Arrow table or Parquet.
        wanted: fields to read, as columns or `tags.<key>`; columns the source lacks read as null.
        name: the relation's name.
        numbered: add the row's number as `_row` (frames and tables only).
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        source: Source,
        wanted: Iterable[str],
        *,
        name: str = "usage",
        numbered: bool = False,
    ) -> None:
        self.con, self.name = con, name
        wanted = sorted({"tags" if f.startswith(TAG) else f for f in wanted})
        if isinstance(source, pd.DataFrame | pa.Table):
            table = columns_of(source, wanted)
            if numbered:
                table = table.append_column(ROW, pa.array(np.arange(table.num_rows, dtype=np.int64)))
            register(con, name, table)
            self.columns = {f.name: "TIMESTAMP" if pa.types.is_timestamp(f.type) else "" for f in table.schema}
        else:
            if isinstance(source, ds.Dataset):
                con.register(name, source)
            else:
                text = f"read_parquet([{', '.join(map(DUCKDB.literal, files_of(source)))}], union_by_name = true)"
                con.execute(f"CREATE OR REPLACE TEMP VIEW {DUCKDB.ident(name)} AS SELECT * FROM {text}")
            self.columns = _described(con, name)

    @classmethod
    def of_view(cls, con: duckdb.DuckDBPyConnection, name: str) -> Scan:
        """A relation that the connection has."""
        made = cls.__new__(cls)
        made.con, made.name, made.columns = con, name, _described(con, name)
        return made

    def column(self, name: str) -> str:
        """A column as SQL; instants as naive UTC, a column the source lacks as a typed null."""
        if name not in self.columns:
            return f"CAST(NULL AS {_sql_type(name)})"
        text = DUCKDB.ident(name)
        return DUCKDB.to_utc.format(x=text) if self.columns[name] == "TIMESTAMP WITH TIME ZONE" else text


def _described(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, str]:
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE {DUCKDB.ident(name)}").fetchall()}


def offsets_of(starts: pd.Series | pa.ChunkedArray, timezone: str) -> list[tuple[dt.datetime, int]]:
    """Dated UTC offsets of a reporting zone over the span of some instants; none for UTC."""
    starts = pa.chunked_array([pa.array(starts)]) if isinstance(starts, pd.Series) else starts
    if timezone == "UTC" or len(starts) == starts.null_count:
        return []
    bounds = pc.min_max(starts).as_py()
    return utc_offsets(Window.of(bounds["min"], bounds["max"] + dt.timedelta(seconds=1)), timezone)


def columns_of(source: pd.DataFrame | pa.Table, wanted: Sequence[str]) -> pa.Table:
    """Some columns of a frame or table as Arrow; without any of them, a column of nulls."""
    if isinstance(source, pd.DataFrame):
        names = [c for c in wanted if c in source.columns]
        table = to_arrow(pd.DataFrame(source[names]))
    else:
        table = source.select([c for c in wanted if c in source.column_names])
    if "tags" in table.column_names and not pa.types.is_map(table.schema.field("tags").type):
        place = table.column_names.index("tags")
        table = table.set_column(place, "tags", table["tags"].cast(TAGS_TYPE))
    return table if table.num_columns else pa.table({"_none": pa.nulls(len(source))})


def files_of(source: str | Path | Sequence[str | Path]) -> list[str]:
    """The Parquet files that a path, folder, glob or list names."""
    places = [source] if isinstance(source, str | Path) else list(source)
    out: list[str] = []
    for place in map(str, places):
        if "://" in place and not place.startswith("file://"):
            out.append(place)
            continue
        local = place.removeprefix("file://")
        if Path(local).is_dir():
            local = f"{local}/**/*.parquet"
        found = sorted(glob.glob(local, recursive=True)) if glob.has_magic(local) else [local]
        out.extend(found)
    if not out or not all("://" in f or Path(f).exists() for f in out):
        missing = next((f for f in out if "://" not in f and not Path(f).exists()), source)
        raise DataError(f"There is no Parquet file {missing}. Name a file, a folder or a glob such as data/*.parquet.")
    return out


def _sql_type(name: str) -> str:
    kind = columns().get(name)
    if kind is None or pa.types.is_string(kind):
        return "MAP(VARCHAR, VARCHAR)" if name == "tags" else "VARCHAR"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    return "DOUBLE" if pa.types.is_floating(kind) else "BIGINT"
