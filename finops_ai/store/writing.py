"""Frames on their way into the lake: record batches in time order, and a fingerprint that doesn't depend on order.

Nothing is sorted but the starts of the rows, and only where they don't come in order: files then hold stretches of time,
which readers skip by their statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

#: rows converted at a time: what is held in memory twice
BATCH = 65_536
#: microseconds
DAY = 86_400_000_000


@dataclass(frozen=True)
class Batches:
    """Rows to write: how many, from when to when, and the way to read them, as often as an attempt to commit needs."""

    schema: pa.Schema
    rows: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    read: Callable[..., Iterator[pa.RecordBatch]]

    def reader(self, columns: Sequence[str] | None = None) -> pa.RecordBatchReader:
        """The batches as a stream; or some of their columns, in any order of the rows."""
        if columns is None:
            return pa.RecordBatchReader.from_batches(self.schema, self.read())
        schema = pa.schema([self.schema.field(name) for name in columns])
        return pa.RecordBatchReader.from_batches(schema, self.read(columns))


def batches_of(frame: pd.DataFrame, schema: pa.Schema, **constant: str) -> Batches:
    """A frame's rows in order of their start, a batch at a time.

    Args:
        frame: whole frame of the schema.
        schema: columns and types.
        constant: columns to add with one value throughout, last in the schema.
    """
    starts = pa.array(frame["charge_period_start"], pa.timestamp("us", "UTC"), from_pandas=True)
    starts = starts.combine_chunks() if isinstance(starts, pa.ChunkedArray) else starts
    instants = starts.cast(pa.int64()).to_numpy(zero_copy_only=False)
    # days in order, rows of a day as they came: whole days can be skipped, and rows are read almost in one go
    days = instants // DAY
    order = None if (days[1:] >= days[:-1]).all() else np.argsort(days, kind="stable")
    whole = schema
    for name in constant:
        whole = whole.append(pa.field(name, pa.string()))
    names = [name for name in schema.names if name in frame.columns]
    table = pa.Table.from_pandas(frame[names], preserve_index=False).replace_schema_metadata(None)

    def read(columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        kept = whole if columns is None else pa.schema([whole.field(name) for name in columns])
        given = table.select([name for name in kept.names if name in names])
        some = pa.schema([f for f in kept if f.name in names])
        for low in range(0, len(frame), BATCH):
            # what is only compared needs no order
            rows = None if order is None or columns is not None else pa.array(order[low : low + BATCH])
            piece = given.slice(low, BATCH) if rows is None else given.take(rows)
            piece = piece.cast(some)
            for field in kept:
                if field.name in constant:
                    piece = piece.append_column(field, pa.repeat(constant[field.name], piece.num_rows))
            yield from piece.combine_chunks().to_batches()

    bounds = pc.min_max(starts).as_py()
    first, last = (None if m is None else pd.Timestamp(m) for m in (bounds["min"], bounds["max"]))
    return Batches(whole, len(frame), first, last, read)


def fingerprint(source: object, columns: Sequence[str], where: str = "") -> tuple[int, int]:
    """How many rows there are and the sum of their hashes: the same for the same rows in any order.

    Args:
        source: an Arrow reader or data set, or a list of Parquet files.
        columns: the columns that count.
        where: a predicate.
    """
    with duckdb.connect() as con:
        if isinstance(source, list):
            text = ", ".join("'" + str(file).replace("'", "''") + "'" for file in source)
            con.execute(f"CREATE TEMP VIEW found AS SELECT * FROM read_parquet([{text}], union_by_name = true)")
        else:
            con.register("found", source)
        known = {row[0] for row in con.execute("DESCRIBE found").fetchall()}
        hashed = ", ".join('"' + name.replace('"', '""') + '"' if name in known else "NULL" for name in columns)
        added = f", sum(CAST(hash({hashed}) AS HUGEINT))" if hashed else ", 0"
        sql = f"SELECT count(*){added} FROM found{' WHERE ' + where if where else ''}"
        count, total = con.execute(sql).fetchall()[0]
    return int(count), int(total or 0)
