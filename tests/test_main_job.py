"""The main job, from usage to a rendered report, on the sample company and on real traces."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.sample import settings as sample_settings
from finops_ai.sample.workspace import sample_workspace

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory, monkeypatch_session):
    monkeypatch_session.setenv("FINOPS_AI_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def monkeypatch_session():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def small_sample(tmp_path_factory):
    """The sample company's workspace of one month, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINOPS_AI_CACHE", str(tmp_path_factory.mktemp("small")))
        patch.setattr(sample_settings, "write_workspace", partial(sample_settings.write_workspace, months=1))
        yield


def report(*args):
    try:
        main(["report", *args])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def downloaded(folder):
    with (folder / "tables" / "showback.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.long
def test_the_cubes_of_the_sample_hold_what_its_rows_hold():
    ws = sample_workspace()
    for month in ("2025-12", "2026-10"):
        cube, rows = ws.cube(month), ws.allocated(month)
        assert list(cube.columns) == list(rows.columns)
        for by in (
            ["team", "day"],
            ["product", "model", "service_tier"],
            ["prompt_id"],
            ["user_id", "meter"],
            ["region", "api_key_id"],
        ):
            one, two = (fa.showback(frame, by=by).sort_values(by, ignore_index=True) for frame in (cube, rows))
            exact = [*by, "cost", "list_cost", "tokens", "requests", "cache_read_tokens"]
            assert one[exact].equals(two[exact]), (month, by)


@pytest.mark.long
def test_the_sample_report_equals_the_ground_truth(tmp_path):
    assert report("--sample", "--out", str(tmp_path), "--only", "showback") == 0
    folder = tmp_path / "2026-10"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["month"] == "2026-10"
    ws = sample_workspace()
    loaded = set(ws.tokens("2026-10")["provider"])
    truth = fa.sample.truth()
    october = truth[truth["day"].astype(str).str.startswith("2026-10") & truth["provider"].isin(loaded)]
    wanted = sum(october["list_cost"], Decimal(0))
    priced = ws.priced("2026-10")
    assert sum(priced["list_cost"].dropna(), Decimal(0)) == wanted
    published = sum((Decimal(row["cost"]) for row in downloaded(folder) if row["cost"]), Decimal(0))
    assert published == wanted.quantize(Decimal("0.01"))
    page = (folder / "showback.html").read_text()
    assert f"{published:,.2f} USD" in page
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.long
def test_agent_runs_cost_what_a_hand_calculation_says(tmp_path, shared):
    source = shared / "data" / "dotnet_skills_agent_runs.parquet"
    rows = pq.read_table(source).to_pylist()
    # Claude Opus 4.6, March 2026, USD per million: 5 fresh, 0.50 read, 6.25 written for 5 minutes, 25 output
    rates = {"fresh": Decimal("5"), "read": Decimal("0.5"), "write": Decimal("6.25"), "out": Decimal("25")}
    cost, tokens = Decimal(0), 0
    for row in rows:
        for total, read, write, out in (
            ("tokensIn", "cacheReadTokens", "cacheWriteTokens", "tokensOut"),
            ("judgeTokensIn", "judgeCacheRead", "judgeCacheWrite", "judgeTokensOut"),
        ):
            parts = {"read": row[read] or 0, "write": row[write] or 0, "out": row[out] or 0}
            parts["fresh"] = (row[total] or 0) - parts["read"] - parts["write"]
            tokens += sum(map(int, parts.values()))
            cost += sum(rates[name] * Decimal(int(n)) for name, n in parts.items()) / 1_000_000
    frame = fa.price(fa.read(source, format="parquet", mapping=str(EXAMPLES / "dotnet_skills.toml")))
    assert sum(frame[frame["unit"] == "tokens"]["quantity"]) == tokens
    assert sum(frame["list_cost"].dropna(), Decimal(0)) == cost
    code = report(
        "--input",
        str(source),
        "--mapping",
        str(EXAMPLES / "dotnet_skills.toml"),
        "--out",
        str(tmp_path),
        "--only",
        "showback",
    )
    assert code == 0
    assert sum(Decimal(row["cost"]) for row in downloaded(tmp_path / "2026-03")) == cost.quantize(Decimal("0.01"))


@pytest.mark.long
def test_a_request_trace_costs_what_a_hand_calculation_says(tmp_path, shared):
    source = shared / "data" / "azure_llm_2023_requests.parquet"
    table = pq.read_table(source)
    inputs, outputs = sum(table["input_tokens"].to_pylist()), sum(table["output_tokens"].to_pylist())
    # GPT-4 8K, November 2023: 0.03 USD per 1,000 input and 0.06 per 1,000 output tokens
    cost = (Decimal(inputs) * 30 + Decimal(outputs) * 60) / 1_000_000
    frame = fa.price(fa.read(source, format="parquet", mapping=str(EXAMPLES / "azure_llm_2023.toml")))
    assert sum(frame[frame["unit"] == "tokens"]["quantity"]) == inputs + outputs
    assert sum(frame["list_cost"].dropna(), Decimal(0)) == cost
    code = report(
        "--input",
        str(source),
        "--mapping",
        str(EXAMPLES / "azure_llm_2023.toml"),
        "--out",
        str(tmp_path),
        "--only",
        "showback",
    )
    assert code == 0
    assert sum(Decimal(row["cost"]) for row in downloaded(tmp_path / "2023-11")) == cost.quantize(Decimal("0.01"))


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        pytest.param(["--sample", "--month", "2031-01"], 3, "Months with data", marks=pytest.mark.long),
        (["--sample", "--month", "October"], 2, "YYYY-MM"),
        (["--sample", "-p", "tpo=3"], 2, "Did you mean 'top'"),
        (["--sample", "-p", "top='three'", "--only", "showback"], 2, "top must be int"),
        (["--sample", "--only", "shwback"], 2, "Did you mean 'showback'"),
        (["--input", "nowhere.csv"], 2, "no file"),
    ],
)
def test_bad_input_is_named_and_leaves_no_report(small_sample, tmp_path, capsys, args, code, said):
    assert report(*args, "--out", str(tmp_path / "out")) == code
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("showback.html"))
