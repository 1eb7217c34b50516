"""One setting moves the heavy step to another engine, and every cell stays the same to the last digit."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import finops_ai as fa
from finops_ai.errors import DataError, SettingsError
from finops_ai.sample.workspace import sample_workspace

RUNNER = Path(__file__).with_name("engine_runner.py")
MONTHS = ["2025-12", "2026-10"]


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """A copy of the sample company, whose engine can be set."""
    source = sample_workspace().settings.root
    folder = tmp_path_factory.mktemp("company")
    shutil.copytree(source / "finops-lake" / "frames", folder / "finops-lake" / "frames")
    text = (source / "finops.toml").read_text("utf-8")

    def at(engine: str, zone: str = "UTC"):
        shutil.rmtree(folder / "finops-lake" / "cubes", ignore_errors=True)
        (folder / "finops.toml").write_text(text.replace('timezone = "UTC"', f'timezone = "{zone}"') + engine, "utf-8")
        return fa.open(folder)

    return at


@pytest.mark.soak
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_two_spark_executors_make_the_same_cubes(company, tmp_path, zone):
    python = os.environ.get("FINOPS_AI_SPARK_PYTHON")
    if not python or not shutil.which("java"):
        pytest.skip("Spark was not tried: set FINOPS_AI_SPARK_PYTHON to an interpreter with pyspark and this package.")
    wanted = {month: company("", zone).cube(month) for month in MONTHS}
    ws = company(
        '\n[engine]\nname = "spark"\n[engine.options]\n"spark.master" = "local-cluster[2,1,1024]"\n"spark.driver.host" = "127.0.0.1"\n',
        zone,
    )
    done = subprocess.run(
        [python, str(RUNNER), str(ws.settings.root), str(tmp_path), *MONTHS],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "executors").read_text("utf-8") == "2"
    for month, cube in wanted.items():
        got = pq.read_table(tmp_path / f"{month}.parquet").to_pylist()
        assert got == fa.frames.to_arrow(cube).to_pylist(), month
        assert len(got) > 3000


def test_other_engines_get_a_folder_that_is_there_and_holds_the_files(company, monkeypatch):
    from finops_ai.engine import choosing

    asked = {}

    def usage_rows(engine, fields, *, files, place, **_):
        asked.update(files=files(), place=place)
        raise DataError("seen")

    monkeypatch.setattr(choosing, "usage_rows", usage_rows)
    with pytest.raises(DataError, match="seen"):
        company("").cube("2026-10")
    assert Path(asked["place"]).is_dir()
    assert asked["files"]
    assert all(Path(file).is_file() and file.startswith(asked["place"] + "/") for file in asked["files"])


@pytest.mark.long
def test_what_sql_prints_runs_as_it_is(company):
    ws = company("")
    text = ws.sql("2026-10")
    rows = ws.tokens("2026-10")
    assert duckdb.sql(f"SELECT sum(quantity) FROM ({text})").fetchall()[0][0] == sum(rows["quantity"])
    for engine in ("spark", "bigquery"):
        other = ws.sql("2026-10", engine)
        assert "finops_ai" in other
        assert "read_parquet" not in other
    with pytest.raises(SettingsError, match="Did you mean 'spark'"):
        ws.sql("2026-10", "spork")


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ('name = "spark"\nremote = "sc://127.0.0.1:1"', "put the lake on s3://"),
        ('name = "bigquery"', "project and dataset"),
        ('name = "duckdb"\n[engine.options]\n"no such" = "1"', "no option of DuckDB"),
    ],
)
def test_an_engine_that_cant_read_the_lake_says_what_to_do(company, engine, says):
    ws = company(f"\n[engine]\n{engine}\n")
    with pytest.raises((SettingsError, DataError), match=says):
        ws.cube("2026-10")


@pytest.mark.long
def test_options_of_duckdb_are_set(company):
    ws = company('\n[engine]\n[engine.options]\nmemory_limit = "300MB"\n')
    assert len(ws.cube("2026-10")) > 3000


def test_an_unknown_engine_is_refused_with_its_place(company):
    with pytest.raises(SettingsError, match=r"\[engine\] name"):
        company('\n[engine]\nname = "oracle"\n')
