"""Any request log becomes a token frame through a mapping file; bad rows are named exactly."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.errors import DataError, ProviderNotFound, SettingsError
from finops_ai.frames import duplicates

REPOSITORY = Path(__file__).parents[2]
TRACES = REPOSITORY.parent / "shared" / "data"

MAPPING = {
    "columns": {"charge_period_start": "when", "model": "model", "service_tier": "tier"},
    "constants": {"provider": "openai", "billing_account_id": "org-1"},
    "values": {"service_tier": {"default": "standard"}},
    "tags": {"team": "team"},
    "usage": [
        {
            "requests": 1,
            "meters": {"input": "prompt", "cache_read": "cached", "output": "completion"},
            "inside": {"cache_read": "input"},
        }
    ],
}
CSV = """when,model,tier,team,prompt,cached,completion
2026-10-01T09:00:00Z,gpt-4o,default,search,1000,400,50
2026-10-01T23:59:59+02:00,gpt-4o,batch,,10,,5
2026-11-01T00:00:00Z,gpt-4o,flex,ads,7,0,0
"""


def quantities(frame):
    return dict(frame.groupby("meter")["quantity"].sum().items())


@pytest.fixture
def log(tmp_path):
    def write(text, name="log.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_csv_becomes_disjoint_meters(log):
    frame = fa.read(log(CSV), format="csv", mapping=MAPPING)
    # input 1000-400 + 10 + 7 = 617; cache_read 400; output 50 + 5; three requests
    assert quantities(frame) == {"input": 617, "cache_read": 400, "output": 55, "requests": 3}
    first = frame[frame["request_id"] == "log.csv:1"].iloc[0]
    assert dict(first["tags"]) == {"team": "search"}
    assert first["slice_input_tokens"] == 1000  # cached included: it decides the context tier
    assert list(frame["service_tier"].drop_duplicates()) == ["standard", "batch", "flex"]
    untagged = frame[frame["request_id"] == "log.csv:2"].iloc[0]
    assert dict(untagged["tags"]) == {}  # a blank is no tag
    assert str(untagged["charge_period_start"]) == "2026-10-01 21:59:59+00:00"
    assert duplicates(frame).empty


def test_the_window_is_half_open(log):
    october = fa.read(log(CSV), format="csv", mapping=MAPPING, start="2026-10-01", end="2026-11-01")
    november = fa.read(log(CSV), format="csv", mapping=MAPPING, start="2026-11-01", end="2026-12-01")
    assert quantities(october)["input"] == 610
    assert quantities(november) == {"input": 7, "requests": 1}


def test_parquet_csv_and_json_lines_give_the_same(tmp_path, log):
    rows = [dict(zip(CSV.split()[0].split(","), line.split(","), strict=True)) for line in CSV.split()[1:]]
    for row in rows:
        for name in ("prompt", "cached", "completion"):
            row[name] = int(row[name]) if row[name] else None
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    nested = [r | {"usage": {"in": {"total": r["prompt"], "hit": r["cached"]}}} for r in rows]
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, nested)).encode()))
    deep = {"input": "usage.in.total", "cache_read": "usage.in.hit", "output": "completion"}
    by_path = MAPPING | {"usage": [MAPPING["usage"][0] | {"meters": deep}]}
    want = quantities(fa.read(log(CSV), format="csv", mapping=MAPPING))
    assert quantities(fa.read(tmp_path / "log.parquet", format="parquet", mapping=MAPPING)) == want
    assert quantities(fa.read(tmp_path / "log.jsonl.gz", format="jsonl", mapping=by_path)) == want


@pytest.mark.parametrize(
    ("unit", "zone", "value", "instant"),
    [
        ("s", "UTC", "1790845200", "2026-10-01 09:00:00+00:00"),
        ("s", "UTC", "1790845200.5", "2026-10-01 09:00:00.500000+00:00"),
        ("ms", "UTC", "1790845200123", "2026-10-01 09:00:00.123000+00:00"),
        ("ns", "UTC", "1790845200000000999", "2026-10-01 09:00:00+00:00"),
        ("iso", "Europe/Berlin", "2026-10-01 11:00:00", "2026-10-01 09:00:00+00:00"),
        ("iso", "UTC", "2026-10-01T04:00:00.1234567-05:00", "2026-10-01 09:00:00.123456+00:00"),
    ],
)
def test_times_are_read_in_the_unit_and_zone_stated(log, unit, zone, value, instant):
    text = CSV.splitlines()[0] + f"\n{value},gpt-4o,batch,a,1,0,1\n"
    frame = fa.read(log(text), format="csv", mapping=MAPPING | {"time": {"unit": unit, "zone": zone, "lasts": "1m"}})
    assert str(frame["charge_period_start"].iloc[0]) == instant
    assert (frame["charge_period_end"] - frame["charge_period_start"]).iloc[0].total_seconds() == 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1000,400", "-1000,400", r"log.csv, row 1, column 'prompt': '-1000' is negative.*Correct the row"),
        ("1000,400", "ten,400", r"log.csv, row 1, column 'prompt': 'ten' is not a number"),
        ("10,,5", "10,11,5", r"row 2, column 'prompt': .*10.* is less than the parts.*cached.*Correct `inside`"),
        ("when,model", "time,model", r"log.csv: the column 'when' is missing.*Correct the mapping file"),
        ("2026-10-01T09:00:00Z", "soon", r"row 1, column 'when': 'soon' is not a time.*unit.*zone"),
        ("2026-10-01T09:00:00Z", "", r"row 1, column 'when': .* is no time"),
    ],
)
def test_a_bad_value_is_named_with_file_row_column_and_next_step(log, old, new, said):
    with pytest.raises(DataError, match=said):
        fa.read(log(CSV.replace(old, new, 1)), format="csv", mapping=MAPPING)


def test_a_tier_nobody_knows_is_kept_and_has_no_price(log):
    rows = fa.price(fa.read(log(CSV.replace("flex", "turbo")), format="csv", mapping=MAPPING))
    odd = rows[(rows["service_tier"] == "turbo") & (rows["meter"] != "requests")]
    assert len(odd)
    assert set(odd["price_status"]) == {"unpriced"}


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 cut")
    (tmp_path / "cut.jsonl").write_text('{"when": "2026-10-01", "pro', encoding="utf-8")
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    for name, form in (("cut.parquet", "parquet"), ("cut.jsonl", "jsonl"), ("empty.csv", "csv")):
        with pytest.raises(DataError, match=name):
            fa.read(tmp_path / name, format=form, mapping=MAPPING)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"column": {}}, "no key called 'column'. Did you mean 'columns'?"),
        ({"columns": {"modle": "m"}}, "no settable column 'modle'. Did you mean 'model'?"),
        ({"constants": {}}, "provider must be in"),
        ({"time": {"unit": "weeks"}}, "time.unit"),
        ({"time": {"zones": "UTC"}}, "no key called 'time.zones'. Did you mean 'zone'?"),
        ({"time": {"lasts": "soon"}}, "such as 1h"),
        ({"usage": []}, "usage"),
        ({"usage": [{"meters": {"inputs": "x"}}]}, "no meter called 'inputs'. Did you mean 'input'?"),
        ({"usage": [{"meters": {"input": "x"}, "inside": {"cache_read": "input"}}]}, "inside"),
        ({"usage": [{"requests": 1}]}, "either `meters`"),
    ],
)
def test_a_mapping_file_with_a_mistake_says_where(log, change, said):
    with pytest.raises(SettingsError) as error:
        fa.read(log(CSV), format="csv", mapping=MAPPING | change)
    assert said in str(error.value)


def test_a_mapping_file_that_is_missing_or_not_toml_is_named(log, tmp_path):
    (tmp_path / "bad.toml").write_text("columns = {", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"none\.toml: can't be read"):
        fa.read(log(CSV), format="csv", mapping=tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=r"bad\.toml: not TOML"):
        fa.read(log(CSV), format="csv", mapping=tmp_path / "bad.toml")


def test_an_unknown_reader_suggests_the_nearest():
    with pytest.raises(ProviderNotFound, match="Did you mean 'parquet'"):
        fa.read("x", format="parkuet")


def test_a_stated_cost_is_counted_once_per_row(log):
    text = "when,in,out,cost\n2026-10-01,10,5,0.123456789012\n2026-10-02,0,5,1\n"
    mapping = {
        "columns": {"charge_period_start": "when", "billed_cost": "cost"},
        "constants": {"provider": "p", "billing_account_id": "a", "model": "m", "billing_currency": "USD"},
        "usage": [{"meters": {"input": "in", "output": "out"}}],
    }
    frame = fa.read(log(text), format="csv", mapping=mapping)
    assert frame["billed_cost"].sum() == Decimal("1.123456789012")


def test_a_named_usage_format_takes_the_totals_apart(log):
    usage = {
        "requests": "calls",
        "format": "openai.chat",
        "fields": {
            "prompt_tokens": "prompt",
            "prompt_tokens_details.cached_tokens": "cached",
            "completion_tokens": "completion",
        },
    }
    text = CSV.replace("team", "calls", 1).replace("search", "3").replace(",batch,,", ",batch,2,").replace("ads", "")
    frame = fa.read(log(text), format="csv", mapping=MAPPING | {"tags": {}, "usage": [usage]})
    # as read by hand: input 617, cached 400, output 55; 3 + 2 calls, the third row doesn't say
    assert quantities(frame) == {"input": 617, "cache_read": 400, "output": 55, "requests": 5}
    assert list(frame["slice_requests"].drop_duplicates().fillna(0)) == [3, 2, 0]
    with pytest.raises(DataError, match=r"log\.csv: .*larger than it.*Correct `format` and `fields`"):
        fa.read(log(text.replace("10,,5", "10,11,5")), format="csv", mapping=MAPPING | {"tags": {}, "usage": [usage]})


def test_two_sets_of_counts_in_a_row_are_two_slices(log):
    usage = [
        {"meters": {"input": "prompt"}, "tags": {"role": "agent"}},
        {"meters": {"output": "completion"}, "tags": {"role": "judge"}, "constants": {"model": "judge-1"}},
    ]
    columns = {"charge_period_start": "when", "service_tier": "tier"}
    constants = MAPPING["constants"] | {"model": "agent-1"}
    frame = fa.read(
        log(CSV), format="csv", mapping=MAPPING | {"columns": columns, "constants": constants, "usage": usage}
    )
    assert quantities(frame) == {"input": 1017, "output": 55}  # 1000 + 10 + 7 and 50 + 5
    assert set(zip(frame["model"], [dict(t)["role"] for t in frame["tags"]])) == {
        ("agent-1", "agent"),
        ("judge-1", "judge"),
    }
    assert frame["slice_requests"].isna().all()


def test_buckets_of_a_provider_need_an_end_and_no_request_id(log):
    text = "from,to,n\n2026-10-01,2026-10-02,5\n2026-10-02,2026-10-03,6\n"
    mapping = {
        "columns": {"charge_period_start": "from", "charge_period_end": "to"},
        "constants": {"provider": "p", "billing_account_id": "a", "model": "m"},
        "usage": [{"meters": {"output": "n"}}],
    }
    frame = fa.read(log(text), format="csv", mapping=mapping)
    assert list(frame["charge_period_end"] - frame["charge_period_start"]) == [pd.Timedelta("1D")] * 2
    assert frame["request_id"].isna().all()


counts = st.integers(0, 10**12)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(counts, counts, counts), min_size=1, max_size=8))
def test_parts_add_up_to_the_totals_of_the_file(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("log") / "log.csv"
    lines = [f"2026-10-01,m,batch,t,{fresh + cached},{cached},{out}" for fresh, cached, out in rows]
    path.write_text("\n".join([CSV.splitlines()[0], *lines]), encoding="utf-8")
    found = quantities(fa.read(path, format="csv", mapping=MAPPING))
    assert found.get("input", 0) == sum(r[0] for r in rows)
    assert found.get("cache_read", 0) == sum(r[1] for r in rows)
    assert found.get("output", 0) == sum(r[2] for r in rows)


@pytest.mark.long
@pytest.mark.skipif(not TRACES.exists(), reason=f"the real traces are not beside this checkout ({TRACES})")
def test_the_agent_trace_is_read_whole():
    path = TRACES / "dotnet_skills_agent_runs.parquet"
    frame = fa.read(path, format="parquet", mapping=REPOSITORY / "examples" / "dotnet_skills.toml")
    raw = pq.read_table(path).to_pylist()
    for role, total, fresh, hit, out in (
        ("agent", "totalTokens", "tokensIn", "cacheReadTokens", "tokensOut"),
        ("judge", "judgeTotalTokens", "judgeTokensIn", "judgeCacheRead", "judgeTokensOut"),
    ):
        part = quantities(frame[[dict(tags)["role"] == role for tags in frame["tags"]]])
        assert sum(part.values()) == sum(r[total] for r in raw)
        assert part["cache_read"] == sum(r[hit] for r in raw)
        assert part["input"] == sum(r[fresh] - r[hit] for r in raw)
        assert part["output"] == sum(r[out] for r in raw)
    assert duplicates(frame).empty


@pytest.mark.skipif(not TRACES.exists(), reason=f"the real traces are not beside this checkout ({TRACES})")
def test_the_request_trace_is_read_whole():
    path = TRACES / "azure_llm_2023_requests.parquet"
    frame = fa.read(path, format="parquet", mapping=REPOSITORY / "examples" / "azure_llm_2023.toml")
    raw = pq.read_table(path).to_pylist()
    assert quantities(frame) == {
        "input": sum(r["input_tokens"] for r in raw),
        "output": sum(r["output_tokens"] for r in raw),
        "requests": len(raw),
    }
