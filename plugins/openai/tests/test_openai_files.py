"""Saved pages and dashboard CSVs of OpenAI: read exactly, each result once, and bad ones named."""

from __future__ import annotations

import gzip
import json
import re
from decimal import Decimal

import pytest
from finops_ai_openai.api import Bucket
from finops_ai_openai.bills import read_line_item
from finops_ai_openai.connector import OpenAI
from finops_ai_openai.endpoints import ENDPOINTS
from finops_ai_openai.usage import tokens_of
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import DataError
from finops_ai.periods import Window

ALWAYS = Window.of("2000-01-01", "2100-01-01")
OCTOBER, DAY, HOUR = 1790812800, 86400, 3600
RESULT = {
    "object": "organization.usage.completions.result",
    "input_tokens": 100,
    "input_cached_tokens": 40,
    "output_tokens": 10,
    "num_model_requests": 2,
    "project_id": "proj_a",
    "model": "gpt-4.1",
}


def page(*results, start=OCTOBER, width=DAY, **more):
    bucket = {"object": "bucket", "start_time": start, "end_time": start + width, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None} | more


@pytest.fixture
def saved(tmp_path):
    def write(**files):
        for name, content in files.items():
            name = name.replace("__", ".")
            text = content if isinstance(content, str) else json.dumps(content)
            data = text.encode()
            (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return OpenAI(files=str(tmp_path))

    return write


def quantities(frame):
    return dict(frame.groupby("meter")["quantity"].sum().items())


ONCE = {"input": 60, "cache_read": 40, "output": 10, "requests": 2}


@pytest.mark.parametrize("name", ["usage__json", "usage__jsonl", "usage__json__gz"])
def test_pages_as_json_lines_or_gzip_are_the_same(saved, name):
    content = json.dumps(page(RESULT))
    if "jsonl" in name:
        content += "\n" + json.dumps(page(start=OCTOBER + DAY)) + "\n"
    connector = saved(**{name: content})
    assert quantities(connector.usage(ALWAYS)) == ONCE
    assert str(connector.fresh_until) == "2026-10-02 00:00:00+00:00"


def test_an_array_of_pages_is_read(saved):
    assert quantities(saved(all__json=[page(RESULT), page(RESULT, start=OCTOBER + DAY)]).usage(ALWAYS))["output"] == 20


def test_a_page_saved_twice_counts_once_and_the_later_one_wins(saved):
    restated = RESULT | {"output_tokens": 15}
    connector = saved(**{"2026-10-01__json": page(RESULT), "2026-10-02__json": page(restated)})
    assert quantities(connector.usage(ALWAYS)) == ONCE | {"output": 15}
    assert connector.notes == ["1 results were saved more than once; the later file by name was used."]


def test_pages_of_two_projects_add_up(saved):
    other = RESULT | {"project_id": "proj_b"}
    assert quantities(saved(a__json=page(RESULT), b__json=page(other)).usage(ALWAYS))["output"] == 20


def test_hours_and_days_of_the_same_time_are_refused(saved):
    connector = saved(days__json=page(RESULT), hours__json=page(RESULT, width=HOUR))
    with pytest.raises(DataError, match=r"hours\.json.* and .*days\.json.*counted twice.*Remove one"):
        connector.usage(ALWAYS)


def test_results_of_decisions_are_told_apart_by_the_files_name(saved):
    connector = saved(decisions__json=page(RESULT), completions__json=page(RESULT))
    assert set(connector.usage(ALWAYS)["operation"]) == {"chat", "decisions"}


def test_an_unknown_kind_of_usage_lands_in_unmapped_with_its_figures(saved):
    frame = saved(
        new__json=page({"object": "organization.usage.videos.result", "frames": 77, "project_id": "p"})
    ).usage(ALWAYS)
    assert list(frame["meter"]) == ["unmapped"]
    assert list(frame["operation"]) == ["organization.usage.videos.result"]
    assert dict(frame["tags"][0]) == {"frames": "77"}


def test_tiers_are_told_apart(saved):
    tiers = [None, "default", "flex", "priority", "scale", "turbo"]
    results = [RESULT | {"service_tier": tier} for tier in tiers] + [RESULT | {"batch": True}]
    frame = saved(u__json=page(*results)).usage(ALWAYS).query("meter == 'output'")
    want = ["standard", "standard", "flex", "priority", "provisioned", "turbo", "batch"]
    assert list(frame["service_tier"]) == want
    said = [dict(tags or {}).get("openai.service_tier") for tags in frame["tags"].array.to_numpy(na_value=None)]
    assert said == ["unstated", None, None, None, None, "turbo", None]


COMPLETIONS_CSV = """start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,\
model,batch,service_tier,input_tokens,output_tokens,input_cached_tokens,project_name,user_email
1790812800,1790899200,2026-10-01T00:00:00+00:00,2026-10-02T00:00:00+00:00,proj_a,2.0,user_1,key_1,gpt-4.1,False,default,\
100.0,10.0,40.0,Search,someone@example.com
1790899200,1790985600,2026-10-02T00:00:00+00:00,2026-10-03T00:00:00+00:00,,,,,,,,,,,,
"""
COSTS_CSV = """start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,\
line_item,user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source
1790812800,1790899200,2026-10-01T00:00:00,2026-10-02T00:00:00,0.003835980000000000000000000000,usd,12,1000_tokens,\
"gpt-4.1, cached input",,,proj_a,org-1,Search,Org,someone@example.com,
1790899200,1790985600,2026-10-02T00:00:00,2026-10-03T00:00:00,,,,,,,,,,,,,
"""


def test_the_dashboards_csv_exports_are_read(saved):
    connector = saved(**{"completions_usage_2026-10-01__csv": COMPLETIONS_CSV, "cost_2026-10-01__csv": COSTS_CSV})
    usage, bills = connector.usage(ALWAYS), connector.bills(ALWAYS)
    assert quantities(usage) == ONCE
    assert set(usage["sub_account_name"]) == {"Search"}
    assert list(bills["billed_cost"]) == [Decimal("0.00383598")]
    assert (bills["meter"][0], bills["consumed_quantity"][0]) == ("cache_read", 12000)
    assert "someone@example.com" not in usage.astype(str).to_csv() + bills.astype(str).to_csv()


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("cut__json", '{"object": "page", "data": [', r"cut\.json, line 1, column \d+: not whole JSON"),
        ("other__json", '{"rows": []}', r"other\.json: not a page.*Save whole answers"),
        ("empty__json", '{"data": [{"results": [{}], "start_time": 1, "end_time": 2}]}', "no 'object'"),
        ("completions_usage__csv", "start_time,model\n1,gpt\n", "the column 'end_time' is missing"),
        ("strange__csv", "start_time,end_time,smell\n1,2,3\n", "can't tell which usage.*Keep the name"),
        (
            "completions_usage__csv",
            "start_time,end_time,input_tokens,output_tokens,num_model_requests\n1790812800,1790899200,1.5,1,1\n",
            r"line 2: can't be read \(input_tokens is 1.5, not a whole number",
        ),
    ],
)
def test_a_bad_file_is_named(saved, file, text, said):
    with pytest.raises(DataError, match=said):
        saved(**{file: text}).usage(ALWAYS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"output_tokens": -5}, r"output_tokens is -5 in row 0; a count can't be negative"),
        ({"input_cached_tokens": 500}, r"the parts of the input total are 400 larger than it"),
    ],
)
def test_counts_that_cannot_be_are_named_with_file_and_bucket(saved, change, said):
    pages = page(RESULT)["data"] + page(RESULT | change, start=OCTOBER + DAY)["data"]
    with pytest.raises(DataError, match=rf"usage\.json, bucket 2: .*{said}.*Correct the file") as error:
        saved(usage__json={"object": "page", "data": pages, "has_more": False}).usage(ALWAYS)
    assert error.value.exit_code == 3


def test_a_truncated_gzip_is_named(tmp_path):
    (tmp_path / "u.json.gz").write_bytes(gzip.compress(json.dumps(page(RESULT)).encode())[:-12])
    with pytest.raises(DataError, match=r"u\.json\.gz: the gzip file is damaged or cut short"):
        OpenAI(files=str(tmp_path)).usage(ALWAYS)


def test_a_cost_without_amount_or_currency_is_left_out_aloud(saved):
    """The contract lets both be missing: 2.50 is the bill, 1.25 of no currency and one line of no amount are beside it."""
    kind = {"object": "organization.costs.result"}
    connector = saved(
        costs__json=page(
            kind | {"amount": {"value": 2.5, "currency": "usd"}, "line_item": "gpt-4o, output"},
            kind | {"amount": {"value": 1.25}, "line_item": "gpt-4o, input"},
            kind | {"amount": None, "line_item": "evals"},
        )
    )
    assert sum(connector.bills(ALWAYS)["billed_cost"]) == Decimal("2.5")
    assert {(one.reason, one.rows, one.amount) for one in connector.left_out} == {
        ("an amount without a currency: gpt-4o, input", 1, Decimal("1.25")),
        ("a cost line without an amount: evals", 1, None),
    }


@pytest.mark.parametrize("written", ["{}", "{}.0", '"{}"'])
def test_counts_are_the_same_however_json_writes_them(saved, written):
    """1200, 1200.0 and "1200" are one number; the contract's integer may come as any of the first two."""
    text = json.dumps(page(RESULT | {"input_tokens": 1200, "input_cached_tokens": 200, "new_kind_tokens": 30}))
    for name in ("start_time", "end_time", "input_tokens", "input_cached_tokens", "output_tokens", "new_kind_tokens"):
        text = re.sub(rf'("{name}": )(\d+)', lambda found: found[1] + written.format(found[2]), text)
    frame = saved(usage__json=text).usage(ALWAYS)
    assert dict(zip(frame["meter"], frame["quantity"], strict=True)) | {"output": 0, "requests": 0} == {
        "input": 1000, "cache_read": 200, "output": 0, "requests": 0, "unmapped": 30,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("without", "reads"),
    [
        ("input_cached_tokens", {"cache_read": 300, "cache_read_audio": 100}),
        ("input_uncached_tokens", {"input": 500}),
    ],
)
def test_a_count_that_is_left_out_follows_from_the_others(saved, without, reads):
    """1000 = 500 fresh + 400 cached (100 of them audio) + 100 written, by the provider's own sum; without writes it would not add up."""
    counts = {
        "input_tokens": 1000, "input_uncached_tokens": 500, "input_cached_tokens": 400, "input_cached_audio_tokens": 100,
        "input_cache_write_tokens": 100,
    }  # fmt: skip
    result = {k: v for k, v in (RESULT | counts).items() if k != without}
    frame = saved(usage__json=page(result)).usage(ALWAYS)
    found = dict(zip(frame["meter"], frame["quantity"], strict=True))
    assert {name: found[name] for name in reads} == reads
    assert sum(n for name, n in found.items() if name not in ("output", "requests")) == 1000


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("gpt-4.1-2025-04-14, cached input", ("gpt-4.1-2025-04-14", "cache_read", None)),
        ("gpt-4o, output", ("gpt-4o", "output", None)),
        ("ft-gpt-4o-2024-08-06, input", ("ft-gpt-4o-2024-08-06", "input", None)),
        ("gpt-6-astra, input_tokens", ("gpt-6-astra", "input", None)),
        ("gpt-5.6, input_cache_write_tokens", ("gpt-5.6", "cache_write", None)),
        ("gpt-4o-realtime, audio input", ("gpt-4o-realtime", "input_audio", None)),
        ("gpt-4o-realtime, cached audio input", ("gpt-4o-realtime", "cache_read_audio", None)),
        ("gpt-4.1, batch, output", ("gpt-4.1", "output", "batch")),
        ("assistants api | file search", (None, "file_searches", None)),
        ("web search tool calls", (None, "web_searches", None)),
        ("code interpreter sessions", (None, "code_sessions", None)),
        ("evals | something", (None, "unmapped", None)),
        ("gpt-4.1, smell", (None, "unmapped", None)),
        ("input_tokens", (None, "input", None)),
        (None, (None, "unmapped", None)),
    ],
)
def test_line_items_of_every_style(text, want):
    item = read_line_item(text)
    assert (item.model, item.meter, item.service_tier) == want


@pytest.mark.long
def test_the_sample_companys_pages_hold_its_truth(tmp_path):
    from finops_ai.sample import slices, write_native

    write_native(tmp_path)
    connector = OpenAI(files=str(tmp_path / "openai"))
    truth = slices()
    truth = truth[truth["provider"] == "openai"]
    found = quantities(connector.usage(ALWAYS))
    for meter in ("input", "cache_read", "requests"):
        assert found[meter] == truth[meter].sum()
    assert found["output"] == (truth["output"] + truth["reasoning"]).sum()  # the API doesn't tell reasoning apart


counts = st.integers(0, 10**12)
TOKENS = st.fixed_dictionaries(dict.fromkeys(("fresh", "cached", "written_30m", "written", "output", "audio"), counts))


@settings(max_examples=30, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=6))
def test_whatever_a_result_states_its_tokens_add_up_and_each_is_in_one_meter(parts):
    results = [
        {
            "input_tokens": p["fresh"] + p["audio"] + p["cached"] + p["written"] + p["written_30m"],
            "input_cached_tokens": p["cached"],
            "input_cache_write_tokens": p["written"] + p["written_30m"],
            "input_cache_write_30m_tokens": p["written_30m"],
            "input_audio_tokens": p["audio"],
            "output_tokens": p["output"],
            "num_model_requests": 1,
        }
        for p in parts
    ]
    buckets = [Bucket(OCTOBER, OCTOBER + DAY, results, "test")]
    table = tokens_of(buckets, ENDPOINTS["completions"], account="a", source="api", names={})
    found = quantities(table.to_pandas())
    want = {
        "input": "fresh", "input_audio": "audio", "cache_read": "cached", "cache_write": "written",
        "cache_write_30m": "written_30m", "output": "output",
    }  # fmt: skip
    for meter, part in want.items():
        assert found.get(meter, 0) == sum(p[part] for p in parts)
