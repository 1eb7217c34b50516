"""The same cells of the same rows on DuckDB and on Spark with two executor processes.

    FINOPS_AI_SPARK_PYTHON=PYTHON python benchmarks/engines_agree.py [ROWS=10000000]

PYTHON is an interpreter that has pyspark and this package (`make test-slow` makes one), and Java must be there. Rows are
`engine_rules`' meter rows over a year; the cells are told apart by day of New York, provider, model, tier, meter and one tag.
Bar: every cell the same to the last digit.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from finops_ai.engine.cubing import Grain
from finops_ai.engine.running import Relation, on_duckdb, token_cells
from finops_ai.periods import Window
from finops_ai.prices import PriceBook

HALVES = Window.of("2025-11-01", "2026-05-01"), Window.of("2026-05-01", "2026-11-02")
GRAIN = Grain.of("tags.env", timezone="America/New_York").without(
    ["user_id", "prompt_id", "api_key_id", "sub_account_id", "region", "billing_account_id"]
)
SPARK = {
    "spark.master": "local-cluster[2,1,1024]", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
}  # fmt: skip


def write_cells(rows: Relation, folder: Path, engine: str) -> None:
    """The cells of both halves of the year, a file each."""
    for number, window in enumerate(HALVES):
        cells = token_cells(rows, GRAIN, window, book=PriceBook.default())
        cells.to_parquet(folder / f"{engine}-{number}.parquet", index=False)


def on_engine(engine: str, folder: Path) -> None:
    """Make the cells in this process."""
    file = str(folder / "rows.parquet")
    if engine == "duckdb":
        with on_duckdb([file], GRAIN.fields) as rows:
            write_cells(rows, folder, engine)
        return
    from finops_ai.engine.remote import on_spark, spark_session

    session = spark_session("", SPARK)
    with on_spark(session, [file], str(folder)) as rows:
        write_cells(rows, folder, engine)
    executors = session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1  # the driver is one of them
    print(f"{executors} executor processes", flush=True)
    session.stop()


def cells_of(folder: Path, engine: str, number: int) -> list[tuple[str, ...]]:
    """The cells of a half as text, in one order of rows and columns."""
    frame = pd.read_parquet(folder / f"{engine}-{number}.parquet", dtype_backend="pyarrow")
    return sorted(tuple(map(str, row)) for row in frame[sorted(frame.columns)].itertuples(index=False))


def main(rows: str = "1e7") -> int:
    """Write the rows, make the cells on both engines, and compare them."""
    from engine_rules import write_rows

    pythons = {"duckdb": sys.executable, "spark": os.environ["FINOPS_AI_SPARK_PYTHON"]}
    with tempfile.TemporaryDirectory() as place:
        folder, differ = Path(place), 0
        write_rows(folder, int(float(rows)))
        for engine, python in pythons.items():
            began = time.monotonic()
            subprocess.run([python, "-W", "ignore", __file__, "--engine", engine, place], check=True)
            print(f"{engine}: {time.monotonic() - began:.0f} s", flush=True)
        for number, window in enumerate(HALVES):
            one, two = (cells_of(folder, engine, number) for engine in pythons)
            differ += one != two
            print(f"{window}: {len(one):,} and {len(two):,} cells, {'the same' if one == two else 'not the same'}")
    return 1 if differ else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--engine"]:
        on_engine(sys.argv[2], Path(sys.argv[3]))
    else:
        raise SystemExit(main(*sys.argv[1:2]))
