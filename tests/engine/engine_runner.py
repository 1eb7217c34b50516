"""Makes a workspace's cubes on the engine of its finops.toml: `python engine_runner.py FOLDER OUT MONTH...`."""

from __future__ import annotations

import sys
from pathlib import Path

import finops_ai as fa


def main(folder: str, out: str, *months: str) -> None:
    """Write each month's cube to OUT."""
    ws = fa.open(folder)
    for month in months:
        ws.cube(month).to_parquet(Path(out) / f"{month}.parquet", index=False)
    if ws.settings.engine.name == "spark":
        from pyspark.sql import SparkSession

        session = SparkSession.getActiveSession()
        executors = session.sparkContext._jsc.sc().getExecutorMemoryStatus().size()  # the driver is one of them
        (Path(out) / "executors").write_text(str(executors - 1), "utf-8")
        session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
