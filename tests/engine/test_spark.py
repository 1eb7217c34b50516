"""DuckDB and Spark give the same answer to the last digit; BigQuery's text is at least well-formed."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from finops_ai.engine import Rules
from finops_ai.engine.aggregating import compile_totals, scan_fields
from finops_ai.engine.dialects import BIGQUERY, DUCKDB, SPARK
from finops_ai.engine.duck import Scan, connect
from finops_ai.engine.pricing import prices_for, run
from finops_ai.frames import to_arrow
from finops_ai.periods import Window, utc_offsets

RUNNER = Path(__file__).with_name("spark_runner.py")
BY = ["month", "day", "team", "product", "model", "pricing_currency"]
RULES = {
    "dimensions": {"team": {}, "product": {"default": "none"}},
    "lookups": {"people": {"key": "user_id", "rows": [{"user_id": "ann", "cc": "10", "valid_to": "2026-10-20"}, {"user_id": "ann", "cc": "20", "valid_from": "2026-10-20"}]}},
    "rules": [
        {"name": "it's a ${rule}", "when": {"tags.o'k\\ey": "it's ${x} \\d"}, "set": {"team": "it's $x \\d"}},
        {"name": "regex", "when": {"api_key_id": {"regex": "^k-\\d[a-c]\\.x$"}, "not": {"tags.env": "dev"}}, "set": {"team": "digits"}},
        {"name": "ann", "when": {"user_id": "ann"}, "set": {"team": "cc-{people.cc}"}},
        {"name": "any", "when": {"any": [{"model": {"prefix": "sm"}}, {"api_key_id": ["z", "y"]}]}, "set": {"team": "small"}},
        {"name": "second", "when": {"team": ["small", "digits"]}, "set": {"product": "of {team}"}},
    ],
}  # fmt: skip


def rows():
    """Rows that meet every kind of condition, around a change of summer time, with awkward amounts."""
    out = []
    for i in range(400):
        out.append({
            "model": ["small", "big", "nobody"][i % 3], "meter": ["input", "output", "requests"][i // 3 % 3], "quantity": Decimal(i * 7919 % 999_983) + Decimal(i) / 1_000_000,
            "at": dt.datetime(2026, 10, 24, tzinfo=dt.UTC) + dt.timedelta(minutes=37 * i), "api_key_id": ["k-1a.x", "k-2axx", "z", None][i % 4],
            "user_id": "ann" if i % 5 == 0 else None, "tags": [None, {"env": "dev"}, {"o'k\\ey": "it's ${x} \\d"}][i % 3],
            "service_tier": ["standard", "batch"][i % 2], "slice_input_tokens": i * 1000, "slice_requests": [1, 7, None][i % 3],
        })  # fmt: skip
    return out


@pytest.fixture
def compiled(tokens_of, book):
    tokens = tokens_of(rows())
    rules = Rules.load(RULES)
    fields = scan_fields(BY, book, rules)
    offsets = utc_offsets(Window.of("2026-10-24", "2026-11-05"), "Europe/Berlin")
    with connect() as con:
        scan = Scan(con, tokens, fields)
        prices = prices_for(con, scan, book)
        plans = {d.name: compile_totals(d, fields, prices, rules, BY, offsets=offsets) for d in (SPARK, BIGQUERY)}
        duck = compile_totals(DUCKDB, fields, prices, rules, BY, offsets=offsets, read=scan.column)
        answer = run(con, duck)
    return to_arrow(tokens), plans, answer


def normal(table: pa.Table) -> list[tuple]:
    """Rows in one order, decimals as numbers whatever their declared precision."""
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=lambda r: tuple(map(str, r)))


@pytest.mark.slow
def test_spark_equals_duckdb_to_the_last_digit(compiled, tmp_path):
    python = os.environ.get("FINOPS_AI_SPARK_PYTHON")
    if not python or not shutil.which("java"):
        pytest.skip(
            "Spark was not tried: set FINOPS_AI_SPARK_PYTHON to an interpreter that has pyspark, and install Java."
        )
    tokens, plans, answer = compiled
    plan = plans["spark"]
    pq.write_table(
        tokens.cast(
            pa.schema(
                [
                    f.with_type(pa.timestamp("us", tz="UTC")) if pa.types.is_timestamp(f.type) else f
                    for f in tokens.schema
                ]
            )
        ),
        tmp_path / "usage.parquet",
    )
    for name, table in plan.tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    (tmp_path / "plan.sql").write_text(plan.sql, encoding="utf-8")
    done = subprocess.run(
        [python, str(RUNNER), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert normal(pq.read_table(tmp_path / "answer.parquet")) == normal(answer)


def test_the_plan_covers_every_kind_of_rule(compiled):
    _, _, answer = compiled
    assert set(answer["team"].to_pylist()) >= {"it's $x \\d", "cc-20", "small", "unallocated"}
    assert pc.sum(answer["quantity"]).as_py() == sum(row["quantity"] for row in rows())


@pytest.mark.parametrize("dialect", ["spark", "bigquery"])
def test_other_dialects_are_well_formed(compiled, dialect):
    sql = compiled[1][dialect].sql
    assert "${" not in sql
    depth, quote, i = 0, "", 0
    while i < len(sql):  # brackets balance outside of quotes
        ch = sql[i]
        if quote:
            i += ch == "\\" and quote == "'"
            quote = "" if ch == quote else quote
        elif ch in "'`":
            quote = ch
        else:
            depth += (ch == "(") - (ch == ")")
            assert depth >= 0
        i += 1
    assert depth == 0
    assert not quote
