"""Readers share one database and never each other's tables."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from finops_ai.errors import DataError
from finops_ai.providers.duck import connect, in_range


def test_what_one_reader_makes_no_other_sees():
    with connect() as mine, connect() as other:
        mine.execute("CREATE TEMP TABLE cur AS SELECT 1 AS a")
        other.execute("CREATE TEMP TABLE cur AS SELECT 2 AS a")
        mine.register("answer", pa.table({"b": [3]}))
        other.register("answer", pa.table({"b": [4]}))
        read = [con.sql("SELECT a, b FROM cur, answer").fetchall() for con in (mine, other)]
    with connect() as later:
        left = later.sql("SELECT count(*) FROM duckdb_tables()").fetchall()
    assert read == [[(1, 3)], [(2, 4)]]
    assert left == [(0,)]


def test_readers_of_several_threads_keep_apart():
    found = {}

    def read(number):
        with connect() as con:
            con.execute(f"CREATE TEMP TABLE t AS SELECT range AS a FROM range({number})")
            found[number] = con.sql("SELECT count(*) FROM t").fetchall()[0][0]

    threads = [threading.Thread(target=read, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: n for n in range(1, 9)}


def test_a_value_that_no_column_holds_is_said():
    with (
        pytest.raises(
            DataError, match=r"^the bill holds a value that is no amount or count: .*99999.*Nothing was stored"
        ),
        connect() as con,
        in_range("the bill"),
    ):
        con.sql("SELECT CAST('99999' AS DECIMAL(4,2))").fetchall()
