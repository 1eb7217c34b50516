"""Usage becomes disjoint meters: one call and a column of calls by the same declaration, nothing clamped or dropped."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib.resources import files

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import UsageError
from finops_ai.frames import conform
from finops_ai.meters import formats, meters, normalise, normalise_columns, service_tier, tokens_from_slices
from finops_ai.meters.formats import find
from finops_ai.meters.logs import last_records
from finops_ai.meters.slices import quantity_array


def test_every_declared_count_is_a_meter_with_a_source():
    for spec in formats().values():
        assert spec.about
        assert spec.source
        for group in (spec.inside, spec.beside, spec.split, spec.also):
            assert set(group) <= set(meters()), spec.name


def test_all_formats_of_the_closed_form_are_declared():
    assert set(formats()) >= {
        "openai.chat", "openai.responses", "openai.usage_api", "openrouter.chat", "xai.chat", "xai.responses",
        "deepseek.chat", "anthropic.messages", "anthropic.usage_report", "anthropic.analytics_usage",
        "google.generate_content", "aws.converse", "aws.invocation_log", "oci.chat", "oci.characters", "litellm.usage",
        "litellm.spend_log", "otel.span", "langchain.usage_metadata", "claude_code.log",
    }  # fmt: skip
    raw = tomllib.loads(files("finops_ai.meters").joinpath("formats.toml").read_text("utf-8"))
    assert set(raw) == set(formats())


COUNT = st.integers(0, 10**7)


@st.composite
def call(draw):
    """Parts of one call, and the same call in the shapes different sources give it."""
    fresh, read, five, hour, answer, thought = (draw(COUNT) for _ in range(6))
    prompt, write = fresh + read + five + hour, five + hour
    shapes = {
        "anthropic.messages": {
            "input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
            "output_tokens": answer + thought, "output_tokens_details": {"thinking_tokens": thought},
        },
        "aws.converse": {
            "inputTokens": fresh, "cacheReadInputTokens": read, "cacheWriteInputTokens": write,
            "cacheDetails": [{"ttl": "1h", "inputTokens": hour}, {"ttl": "5m", "inputTokens": five}],
            "outputTokens": answer + thought, "totalTokens": 1,
        },
        "litellm.usage": {
            "prompt_tokens": prompt, "completion_tokens": answer + thought, "total_tokens": prompt + answer + thought,
            "prompt_tokens_details": {
                "cached_tokens": read, "cache_creation_tokens": write,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
            },
            "completion_tokens_details": {"reasoning_tokens": thought},
            "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
        },
        "langchain.usage_metadata": {
            "input_tokens": prompt, "output_tokens": answer + thought, "total_tokens": prompt + answer + thought,
            "input_token_details": {
                "cache_read": read, "cache_creation": 0, "ephemeral_5m_input_tokens": five,
                "ephemeral_1h_input_tokens": hour,
            },
            "output_token_details": {"reasoning": thought},
        },
    }  # fmt: skip
    parts = {
        "input": fresh, "cache_read": read, "cache_write_5m": five, "cache_write_1h": hour, "output": answer,
        "reasoning": thought, "requests": 1,
    }  # fmt: skip
    return shapes, parts


@settings(max_examples=60, deadline=None)
@given(call())
def test_one_call_in_any_shape_gives_the_same_meters(example):
    shapes, parts = example
    wanted = {name: count for name, count in parts.items() if count}
    for format, usage in shapes.items():
        found = dict(normalise(usage, format).meters)
        if format == "aws.converse":  # reasoning isn't told apart there
            found["output"] = found.get("output", 0)
            assert found.pop("output") == parts["output"] + parts["reasoning"]
            assert found == {k: v for k, v in wanted.items() if k not in ("output", "reasoning")}
        else:
            assert found == wanted, format


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 10**6)] * 4), min_size=1, max_size=8))
def test_columns_agree_with_single_calls_and_parts_add_up(rows):
    usages = [
        {"input_tokens": a + b + c, "input_cached_tokens": b, "input_cache_write_tokens": c, "output_tokens": d}
        for a, b, c, d in rows
    ]
    columns = {key: [usage[key] for usage in usages] for key in usages[0]}
    found = normalise_columns(columns, "openai.usage_api")
    for i, usage in enumerate(usages):
        one = normalise(usage, "openai.usage_api").meters
        assert {name: values[i].as_py() for name, values in found.items() if values[i].as_py()} == dict(one)
        assert sum(one.values()) == usage["input_tokens"] + usage["output_tokens"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000))
def test_a_part_is_never_clamped(total, cached, audio):
    usage = {"prompt_tokens": total, "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": audio}}
    if cached > total or audio > total:
        with pytest.raises(UsageError) as error:
            normalise(usage, "openai.chat")
        assert error.value.flag == "negative_remainder"
        return
    found = normalise(usage, "openai.chat").roll_up()
    assert (found.get("fresh_input", 0), found.get("cache_read", 0)) == (total - cached, cached)


def test_columns_name_the_first_bad_row():
    with pytest.raises(UsageError, match=r"the input total are 2 larger than it \(row 1\)") as error:
        normalise_columns({"input_tokens": [9, 5], "input_cached_tokens": [4, 7]}, "openai.usage_api")
    assert error.value.flag == "negative_remainder"
    with pytest.raises(UsageError, match=r"total_mismatch in 1 rows, first in row 0"):
        normalise_columns({"prompt_tokens": [9], "completion_tokens": [1], "total_tokens": [11]}, "openai.chat")
    with pytest.raises(UsageError, match="unknown count columns"):
        normalise_columns({"input_token": [1]}, "openai.usage_api")
    with pytest.raises(UsageError, match=r"is -1 in row 1"):
        normalise_columns({"input_tokens": pa.array([1, -1])}, "openai.usage_api")
    with pytest.raises(UsageError, match="whole numbers"):
        normalise_columns({"input_tokens": [1.5]}, "openai.usage_api")
    assert normalise_columns({}, "openai.usage_api") == {}


@pytest.mark.parametrize("value", [-1, 1.5, "7", True, Decimal("0.5")])
def test_a_count_is_a_whole_number(value):
    with pytest.raises(UsageError) as error:
        normalise({"prompt_tokens": value}, "openai.chat")
    assert error.value.flag == "bad_count"


@pytest.mark.parametrize(("usage", "format"), [([], "openai.chat"), ({}, "claude_code.log"), ("x", "otel.span")])
def test_the_wrong_shape_is_refused(usage, format):
    with pytest.raises(UsageError) as error:
        normalise(usage, format)
    assert error.value.flag == "bad_usage"


def test_unknown_format_and_tier():
    with pytest.raises(UsageError, match=r"Did you mean 'openai\.chat'"):
        normalise({}, "openai.chatt")
    assert service_tier("Gold-Plus") == "gold_plus"
    kept = normalise({"prompt_tokens": 1}, "openai.chat", {"service_tier": "gold"})
    assert (kept.service_tier, kept.meters["input"]) == ("gold", 1)


@pytest.mark.parametrize(
    ("usage", "context", "tier"),
    [
        ({"service_tier": "flex"}, {"batch": True}, "batch"),
        ({"service_tier": "batch", "speed": "fast"}, {}, "batch"),
        ({"service_tier": "priority", "speed": "fast"}, {}, "fast"),
        ({"service_tier": "priority"}, {"service_tier": "flex"}, "priority"),
        ({"service_tier": None}, {"service_tier": "default", "requested_service_tier": "priority"}, "standard"),
        ({}, {"traffic_type": "ON_DEMAND_PRIORITY", "requested_service_tier": "flex"}, "priority"),
        ({}, {"requested_service_tier": "flex"}, "flex"),
        ({}, {}, "standard"),
    ],
)
def test_the_first_stated_tier_decides(usage, context, tier):
    assert (
        normalise({"input_tokens": 1, "output_tokens": 1, **usage}, "anthropic.messages", context).service_tier == tier
    )


def test_requests_are_known_or_null():
    usage = {"prompt_tokens": 1}
    assert normalise(usage, "openai.chat").slice_requests == 1
    assert normalise(usage, "openai.chat", {"requests": 4}).meters["requests"] == 4
    aggregated = normalise(usage, "openai.chat", {"aggregated": True})
    assert (aggregated.slice_requests, "requests" in aggregated.meters) == (None, False)
    assert normalise({"uncached_input_tokens": 1}, "anthropic.usage_report").slice_requests is None


def test_two_spellings_that_differ_are_flagged():
    usage = {"prompt_tokens": 100, "cache_read_input_tokens": 40, "prompt_tokens_details": {"cached_tokens": 30}}
    found = normalise(usage, "litellm.usage")
    assert found.flags == {"total_mismatch"}
    assert found.meters["cache_read"] == 40


def test_unknown_token_fields_are_named():
    usage = {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_9h_input_tokens": 3}, "queue_ms": 9}
    found = normalise(usage, "anthropic.messages")
    assert found.flags == {"unknown_token_field"}
    assert found.unknown_fields == ("cache_creation.ephemeral_9h_input_tokens",)


def test_counts_of_other_things_beside_the_tokens_are_no_tokens():
    usage = {
        "prompt_tokens": 5,
        "prompt_tokens_details": {"image_count": 2, "video_length_seconds": 1.5, "character_count": 9},
    }
    assert normalise(usage, "litellm.usage").flags == frozenset()
    usage["prompt_tokens_details"]["smell"] = 3
    assert normalise(usage, "litellm.usage").unknown_fields == ("prompt_tokens_details.smell",)


def test_iterations_of_a_message_repeat_it_but_a_compaction_does_not():
    usage = {
        "input_tokens": 5,
        "output_tokens": 2,
        "iterations": [{"type": "message", "input_tokens": 5, "output_tokens": 2}],
    }
    assert normalise(usage, "anthropic.messages").flags == frozenset()
    usage["iterations"].append({"type": "compaction", "input_tokens": 900, "output_tokens": 90})
    found = normalise(usage, "anthropic.messages")
    assert (found.meters, found.flags) == ({"input": 905, "output": 92, "requests": 1}, frozenset())
    assert [call.slice_input_tokens for call in found.calls] == [5, 900]  # each has a context of its own
    assert (found.slice_input_tokens, found.slice_requests) == (905, 2)
    usage["iterations"].append({"type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 7})
    assert normalise(usage, "anthropic.messages").flags == {"unknown_token_field"}  # tokens of another model


def test_what_a_gateway_answers_from_its_own_cache_is_a_request_without_tokens():
    row = {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "spend": 0, "cache_hit": "True"}
    assert normalise(row, "litellm.spend_log").meters == {"requests": 1}
    assert normalise(row | {"cache_hit": "None"}, "litellm.spend_log").meters["input"] == 10


def test_paths_reach_into_lists():
    usage = {"d": [{"modality": "AUDIO", "n": 1}, {"modality": "text", "n": 2}, {"modality": "audio", "n": 4}, 5]}
    assert find(usage, "d[modality=AUDIO].n") == 5
    assert find(usage, "d[modality=VIDEO].n") is None
    assert find({"d": 3}, "d.n") is None


def record(message, stop, output, request=None, **extra):
    row = {
        "message": {"id": message, "stop_reason": stop, "usage": {"input_tokens": 1, "output_tokens": output}},
        **extra,
    }
    return row | ({"requestId": request} if request else {})


def test_the_last_complete_record_of_a_call_counts():
    records = [
        record("a", None, 1, "r", timestamp=1),
        record("a", "end_turn", 9, "r", timestamp=2),
        record("a", None, 5, "r", timestamp=3),  # a late partial one
        record("a", "end_turn", 7, "other", timestamp=4),  # another request with the same message id
        record("b", None, 2, timestamp=5),
        record("b", None, 3, timestamp=6),
        record(None, None, 4, timestamp=7),
        record(None, None, 4, timestamp=8),  # without an id nothing says they are one
        {"type": "user", "message": {"content": "x"}},
    ]
    assert [(r["timestamp"], r["message"]["usage"]["output_tokens"]) for r in last_records(records)] == [
        (1, 9), (4, 7), (5, 3), (7, 4), (8, 4),
    ]  # fmt: skip


def test_a_missing_request_id_joins_its_message():
    records = [record("a", None, 1), record("a", "end_turn", 9, "r")]
    assert len(last_records(records)) == 1
    assert normalise(records, "claude_code.log").meters == {"input": 1, "output": 9, "requests": 1}


# -- the long form


def test_slices_become_rows_of_a_token_frame():
    meters_of = {"input": [5, 0, 7], "cache_read": [2, 0, 0], "output": [1, 2, 0], "requests": [1, 3, 1]}
    table = tokens_from_slices({"model": ["a", "b", "c"]}, meters_of)
    rows = [(r["model"], r["meter"], int(r["quantity"])) for r in table.to_pylist()]
    assert rows == [
        ("a", "input", 5), ("a", "cache_read", 2), ("a", "output", 1), ("a", "requests", 1),
        ("b", "output", 2), ("b", "requests", 3),
        ("c", "input", 7), ("c", "requests", 1),
    ]  # fmt: skip
    assert table["slice_input_tokens"].to_pylist() == [7] * 4 + [0] * 2 + [7] * 2
    assert table["slice_requests"].to_pylist() == [1] * 4 + [3] * 2 + [1] * 2
    assert set(table["unit"].to_pylist()) == {"tokens", "requests"}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(COUNT, COUNT), max_size=20))
def test_no_quantity_is_lost(rows):
    table = tokens_from_slices(
        {"model": [str(i) for i in range(len(rows))]}, {"input": [a for a, _ in rows], "output": [b for _, b in rows]}
    )
    assert (
        sum(table["quantity"].to_pylist(), Decimal(0)) == sum(a + b for a, b in rows) if rows else table.num_rows == 0
    )


def test_slices_refuse_what_is_no_quantity():
    with pytest.raises(UsageError, match="never a float"):
        tokens_from_slices({}, {"input": [1.5]})
    with pytest.raises(UsageError, match="can't be negative"):
        tokens_from_slices({}, {"input": [-1]})
    with pytest.raises(Exception, match="No meter called"):
        tokens_from_slices({}, {"imput": [1]})


def test_decimal_quantities_and_nulls():
    table = tokens_from_slices({"model": "m"}, {"audio_seconds": [Decimal("1.25"), None]})
    assert table["quantity"].to_pylist() == [Decimal("1.250000")]


def test_big_quantities_stay_exact():
    values = [0, 1, 2**31, 4_999_999_999_999, 5_000_000_000_001, 9_999_999_999_999]
    assert quantity_array(values).to_pylist() == [Decimal(v) for v in values]
    assert quantity_array(np.array(values)).type == pa.decimal128(19, 6)


def test_a_frame_conforms():
    import datetime as dt

    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    columns = {
        "charge_period_start": [at], "charge_period_end": [at + dt.timedelta(hours=1)], "provider": "openai",
        "billing_account_id": "org", "model": "gpt-5", "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    assert len(conform(tokens_from_slices(columns, {"input": [3]}), source="test")) == 1


def test_cache_reads_that_only_their_modalities_state_are_as_many():
    """100 in all, 30 of them cached audio, and no count of the cached ones together: 70 are fresh."""
    counts = {"input_tokens": 100, "input_cached_audio_tokens": 30, "output_tokens": 5, "num_model_requests": 1}
    assert normalise(counts, "openai.usage_api").meters == {
        "input": 70, "cache_read_audio": 30, "output": 5, "requests": 1,
    }  # fmt: skip
