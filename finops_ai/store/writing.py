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

from finops_ai.frames import to_arrow

#: rows converted at a time: what is held in memory twice
BATCH = 65_536


@dataclass(frozen=True)
class Batches:
    """Rows to write: how many, from when to when, and the way to read them, as often as an attempt to commit needs."""

    schema: pa.Schema
    rows: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    read: Callable[[], Iterator[pa.RecordBatch]]

    def reader(self) -> pa.RecordBatchReader:
        """The batches as a stream."""
        return pa.RecordBatchReader.from_batches(self.schema, self.read())


def batches_of(frame: pd.DataFrame, schema: pa.Schema, **constant: str) -> Batches:
    """A frame's rows in order of their start, a batch at a time.

    Args:
        frame: whole frame of the schema.
        schema: columns and types.
        constant: columns to add with one value throughout, last in the schema.
    """
    starts = frame["charge_period_start"]
    order = None if starts.is_monotonic_increasing else np.argsort(starts.to_numpy(), kind="stable")
    whole = schema
    for name in constant:
        whole = whole.append(pa.field(name, pa.string()))

    def read() -> Iterator[pa.RecordBatch]:
        for low in range(0, len(frame), BATCH):
            rows = slice(low, low + BATCH)
            table = to_arrow(frame.iloc[rows if order is None else order[rows]], schema)
            for name, value in constant.items():
                table = table.append_column(name, pa.repeat(value, table.num_rows))
            yield from table.combine_chunks().to_batches()

    some = len(frame) > 0
    return Batches(whole, len(frame), starts.min() if some else None, starts.max() if some else None, read)


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
