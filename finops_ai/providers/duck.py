"""DuckDB for readers of files: one database in memory for the whole process, and a connection of its own for each file.

Opening a database costs as much as reading a small file; a folder of thousands would pay it for each.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from finops_ai.errors import DataError

if TYPE_CHECKING:
    import duckdb


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    import duckdb

    return duckdb.connect()


def connect() -> duckdb.DuckDBPyConnection:
    """A connection to this process's own database for reading; rows keep the order of their file.

    Only TEMP tables and registered frames are the connection's own, and go when it is closed.

    >>> with connect() as mine, connect() as other:
    ...     _ = mine.execute("CREATE TEMP TABLE t AS SELECT 1 AS a")
    ...     other.sql("SELECT count(*) FROM duckdb_tables()").fetchall(), mine.sql("FROM t").fetchall()
    ([(0,)], [(1,)])
    """
    return _database(os.getpid()).cursor()


@contextmanager
def in_range(what: str) -> Iterator[None]:
    """Say of a value that no amount or count can hold that it is too large, instead of failing on it.

    Raises:
        DataError: names what was read and the value.
    """
    import duckdb

    try:
        yield
    except duckdb.DataError as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{what} holds a value that is no amount or count: {said}. Nothing was stored.") from None


__all__ = ["connect", "in_range"]
