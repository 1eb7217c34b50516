"""Runs a compiled plan on Spark, in an interpreter that has pyspark: `python spark_runner.py FOLDER`.

FOLDER holds plan.sql and a Parquet file per table; the answer is written to answer.parquet.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
from pyspark.sql import SparkSession


def main(folder: Path) -> None:
    """Register the tables, run the plan, write the answer."""
    builder = (
        SparkSession.builder.master("local[2]")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.ui.enabled", "false")
    )
    builder = (
        builder.config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
    )
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    for path in folder.glob("*.parquet"):
        spark.read.parquet(str(path)).createOrReplaceTempView(path.stem)
    answer = spark.sql((folder / "plan.sql").read_text("utf-8")).toArrow()
    pq.write_table(answer, folder / "answer.parquet")
    spark.stop()


main(Path(sys.argv[1]))
