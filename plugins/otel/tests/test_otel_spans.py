"""Spans: every spelling of a count, each call once, labels kept and texts not."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finops_ai_otel import OtelConnector

from finops_ai.errors import DataError, SettingsError, UsageError
from finops_ai.periods import Window, instant
from finops_ai.providers.collecting import ALWAYS

DAY = Window.of("2026-10-01", "2026-10-02")
AT = "2026-10-01T10:00:00Z"


def read(telemetry: Any, *spans: dict[str, Any], resource: dict[str, Any] | None = None, **settings: Any) -> Any:
    path = telemetry.write(telemetry.spans_document(list(spans), resource))
    connector = OtelConnector(files=[path], **settings)
    return connector.usage(DAY), connector


@pytest.mark.parametrize(
    "write",
    [
        "cache_creation__input_tokens",
        "cache_creation_input_tokens",
        "cache_write__input_tokens",
        "cache_write_input_tokens",
    ],
)
@pytest.mark.parametrize(("inp", "out"), [("input_tokens", "output_tokens"), ("prompt_tokens", "completion_tokens")])
def test_every_spelling_means_the_same(telemetry: Any, write: str, inp: str, out: str) -> None:
    counts = {inp: 6000, out: 200, "cache_read__input_tokens": 5000, write: 900}
    frame, _ = read(telemetry, telemetry.span("a", AT, telemetry.call(**counts)))
    found = frame.groupby("meter")["quantity"].sum().to_dict()
    assert found == {"input": 100, "cache_read": 5000, "cache_write": 900, "output": 200, "requests": 1}
    assert set(frame["slice_input_tokens"]) == {6000}


def test_a_call_tells_prompt_temperature_and_people(telemetry: Any) -> None:
    more = {
        "gen_ai.prompt.name": "analyze-code", "gen_ai.prompt.version": "v2", "gen_ai.request.temperature": 0.2,
        "gen_ai.request.max_tokens": 4096, "gen_ai.response.id": "resp-1", "gen_ai.response.model": "claude-opus-5-2026",
        "user.id": "user-7", "gen_ai.agent.name": "coder", "app.team": "search", "openai.response.service_tier": "flex",
        "openai.request.service_tier": "priority", "app.note": "line one\nline two", "app.list": ["a"],
    }  # fmt: skip
    attributes = {**telemetry.call(input_tokens=5, output_tokens=1), **more}
    frame, _ = read(telemetry, telemetry.span("a", AT, attributes), tag_attributes=["app.*"])
    row = frame.iloc[0]
    assert (row["prompt_id"], row["temperature"], row["max_output_tokens"]) == ("analyze-code@v2", 0.2, 4096)
    assert (row["request_id"], row["model"], row["user_id"]) == ("resp-1", "claude-opus-5-2026", "user-7")
    assert row["service_tier"] == "flex"
    assert dict(row["tags"]) == {
        "app.team": "search", "deployment.environment.name": "prod", "gen_ai.agent.name": "coder", "service.name": "answer-service",
    }  # fmt: skip
    assert telemetry.text not in frame.astype(str).to_csv()


@pytest.mark.parametrize("pattern", ["gen_ai.input.messages", "gen_ai.*", "*", "llm.prompts.0.content"])
def test_texts_can_not_be_asked_for(pattern: str) -> None:
    with pytest.raises(SettingsError, match="prompts or answers"):
        OtelConnector(files=["x"], tag_attributes=[pattern])


def test_of_spans_inside_each_other_the_innermost_counts(telemetry: Any) -> None:
    t = telemetry
    spans = [
        t.span("workflow", AT, t.call("invoke_workflow", input_tokens=30, output_tokens=3)),
        t.span("agent", AT, t.call("invoke_agent", input_tokens=30, output_tokens=3), parent="workflow"),
        t.span("step", AT, {"name": "no counts"}, parent="agent"),
        t.span("one", AT, t.call(input_tokens=10, output_tokens=1), parent="step"),
        t.span("two", AT, t.call(input_tokens=20, output_tokens=2), parent="step"),
        t.span("tool", AT, t.call("execute_tool", input_tokens=99, output_tokens=9), parent="agent"),
        t.span("fetch", AT, t.call("fetch_response", input_tokens=99, output_tokens=9)),
        t.span("remote", AT, t.call("invoke_agent", input_tokens=7, output_tokens=1), trace="t2"),
    ]
    frame, connector = read(t, *spans, spans[3])
    assert int(frame.loc[frame["meter"] == "input", "quantity"].sum()) == 37  # 10 + 20 + 7
    assert set(frame["request_id"]) == {"one", "two", "remote"}
    assert connector.notes == [
        "1 spans were exported twice: counted once.",
        "2 spans repeat the tokens of model calls inside them (agents, gateways): left out.",
    ]


def test_failed_calls_are_calls_with_an_outcome(telemetry: Any) -> None:
    good = telemetry.call(input_tokens=5, output_tokens=1)
    asked = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5.4"}
    frame, connector = read(
        telemetry,
        telemetry.span("a", AT, good),
        telemetry.span("b", AT, {**good, "error.type": "timeout"}),  # cut off after its tokens
        telemetry.span("c", AT, {**asked, "error.type": "429"}),
    )
    calls = frame[frame["meter"] == "requests"]
    assert sorted(calls["outcome"]) == ["error", "error", "ok"]
    assert frame.groupby("meter")["quantity"].sum().to_dict() == {"input": 10, "output": 2, "requests": 3}
    assert any("1 model calls failed" in note for note in connector.notes)


def test_a_failure_told_twice_is_one_and_a_refused_request_is_no_call(telemetry: Any) -> None:
    asked = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5.4"}
    good = {**telemetry.call(provider="openai", input_tokens=5, output_tokens=1), "gen_ai.response.id": "r"}
    lines = []
    for scope, errors in (
        ("one", ["overloaded", "openai.BadRequestError", "TypeError"]),
        ("two", ["529", "invalid_request_error"]),
    ):
        spans = [
            telemetry.span(f"{scope}{n}", AT, {**asked, "error.type": e}, trace=f"{scope}{n}")
            for n, e in enumerate(errors)
        ]
        document = json.loads(telemetry.spans_document([telemetry.span(scope, AT, good, trace=scope), *spans]))
        document["resourceSpans"][0]["scopeSpans"][0]["scope"] = {"name": scope}
        lines.append(json.dumps(document))
    connector = OtelConnector(files=[telemetry.write(*lines)])
    calls = (frame := connector.usage(DAY))[frame["meter"] == "requests"]
    assert sorted(calls["outcome"]) == ["error", "ok"]
    assert any("3 spans tell of requests that were refused before a model ran" in note for note in connector.notes)


def test_audio_and_images_are_told_apart(telemetry: Any) -> None:
    counts = {
        "input_tokens": 300, "cache_read__input_tokens": 40, "text__input_tokens": 100, "text__cache_read__input_tokens": 40,
        "image__input_tokens": 200, "output_tokens": 30, "audio__output_tokens": 25,
    }  # fmt: skip
    frame, _ = read(telemetry, telemetry.span("a", AT, telemetry.call(**counts)))
    found = frame.groupby("meter")["quantity"].sum().to_dict()
    # the conventions' own example: 100 text, of which 40 cached, and 200 image tokens
    assert found == {"input": 60, "input_image": 200, "cache_read": 40, "output": 5, "output_audio": 25, "requests": 1}


@pytest.mark.parametrize(
    ("system", "provider"),
    [
        ("aws.bedrock", "bedrock"),
        ("az.ai.openai", "azure-openai"),
        ("gcp.vertex_ai", "vertex"),
        ("oci", "oci"),
        ("groq", "groq"),
    ],
)
def test_the_biller_is_named_as_its_connector(telemetry: Any, system: str, provider: str) -> None:
    frame, _ = read(
        telemetry, telemetry.span("a", AT, telemetry.call(provider=system, input_tokens=5, output_tokens=1))
    )
    assert set(frame["provider"]) == {provider}


def test_a_new_kind_of_token_is_shown_unmapped(telemetry: Any) -> None:
    frame, connector = read(
        telemetry, telemetry.span("a", AT, telemetry.call(input_tokens=5, output_tokens=1, dream_tokens=3))
    )
    assert frame.loc[frame["meter"] == "unmapped", "quantity"].tolist() == [3]
    assert "unmapped" in connector.notes[0]


def test_counts_that_contradict_each_other_name_the_span(telemetry: Any) -> None:
    with pytest.raises(UsageError, match="span bad") as error:
        read(
            telemetry,
            telemetry.span("bad", AT, telemetry.call(input_tokens=5, output_tokens=1, cache_read__input_tokens=6)),
        )
    assert error.value.flag == "negative_remainder"


def test_an_unknown_tier_is_kept_as_the_span_says_it(telemetry: Any) -> None:
    attributes = {**telemetry.call(input_tokens=5, output_tokens=1), "openai.response.service_tier": "turbo"}
    frame, _ = read(telemetry, telemetry.span("a", AT, attributes))
    assert set(frame["service_tier"]) == {"turbo"}


def test_one_call_of_two_instrumentations_counts_once(telemetry: Any) -> None:
    t = telemetry
    more = {"anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 3}
    own = {**t.call(provider="anthropic", input_tokens=10, output_tokens=2, cache_creation__input_tokens=3), **more}
    other = t.call(provider="anthropic", input_tokens=10, output_tokens=3)
    spans = [
        t.span("a", AT, {**other, "gen_ai.response.id": "msg_1"}, trace="t1"),
        t.span("b", AT, {**own, "gen_ai.response.id": "msg_1"}, trace="t2"),
        t.span("c", AT, {**other, "gen_ai.response.id": "msg_2"}, trace="t3"),
    ]
    frame, connector = read(t, *spans)
    # the span that states most holds for msg_1: 10 - 3 fresh, 3 written for an hour, 2 out; msg_2 is a call of its own
    found = frame.groupby("meter")["quantity"].sum().to_dict()
    assert found == {"input": 17, "cache_write_1h": 3, "output": 5, "requests": 2}
    assert any("1 spans tell of calls that another instrumentation told of" in note for note in connector.notes)


def test_protobuf_gives_what_json_gives(telemetry: Any, tmp_path: Any) -> None:
    import struct

    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    attributes = [
        {"key": "gen_ai.provider.name", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.response.model", "value": {"stringValue": "gpt-5.4"}},
        {"key": "gen_ai.response.id", "value": {"stringValue": "c-1"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "9"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "4"}},
    ]
    span = {
        "traceId": "AAAAAAAAAAAAAAAAAAAAAQ==", "spanId": "AAAAAAAAAAE=", "name": "chat", "attributes": attributes,
        "startTimeUnixNano": "1790812800000000000", "endTimeUnixNano": "1790812801000000000",
    }  # fmt: skip
    message = ParseDict({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, TracesData()).SerializeToString()
    (tmp_path / "one.bin").write_bytes(message)
    (tmp_path / "many.bin").write_bytes((struct.pack(">I", len(message)) + message) * 2)
    for name in ("one.bin", "many.bin"):
        frame = OtelConnector(files=[str(tmp_path / name)]).usage(ALWAYS)
        assert dict(zip(frame["meter"], frame["quantity"], strict=True)) == {"input": 9, "output": 4, "requests": 1}


def test_parquet_of_a_trace_store_reads_the_same(telemetry: Any) -> None:
    t = telemetry
    counts = {
        "gen_ai.usage.input_tokens": "6000",
        "gen_ai.usage.output_tokens": "200",
        "gen_ai.usage.cache_read.input_tokens": "5000",
    }
    text = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-opus-5",
        **counts,
    }
    expected, _ = read(t, t.span("00000000000000aa", AT, {k: int(v) if v.isdigit() else v for k, v in text.items()}))
    start = instant(AT)
    service = {"service.name": "answer-service", "deployment.environment.name": "prod"}
    maps = pa.map_(pa.string(), pa.string())
    clickhouse = pa.table(
        {
            "Timestamp": pa.array([start.replace(tzinfo=None)], pa.timestamp("ns")),
            "TraceId": ["t1"], "SpanId": ["00000000000000aa"], "ParentSpanId": [""], "ServiceName": ["answer-service"],
            "Duration": pa.array([2 * 10**9], pa.int64()),
            "SpanAttributes": pa.array([list(text.items())], maps),
            "ResourceAttributes": pa.array([list(service.items())], maps),
        }
    )  # fmt: skip
    flat = pa.table(
        {
            "start_time_unix_nano": pa.array([int(start.timestamp()) * 10**9], pa.uint64()),
            "end_time_unix_nano": pa.array([int(start.timestamp()) * 10**9 + 2 * 10**9], pa.uint64()),
            "trace_id": [b"\x01" * 16], "span_id": [bytes.fromhex("00000000000000aa")], "parent_span_id": [b""],
            "attributes": [json.dumps(text)], "resource": [json.dumps({"attributes": service})],
        }
    )  # fmt: skip
    for name, table in (("clickhouse", clickhouse), ("flat", flat)):
        path = t.folder / f"{name}.parquet"
        pq.write_table(table, path)
        frame = OtelConnector(files=[str(path)]).usage(DAY)
        assert frame.astype(str).equals(expected.astype(str)), name


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.json", '{"hello": 1}', "no OTLP JSON"),
        ("x.jsonl", '{"resourceSpans": [', "not whole JSON"),
        ("x.jsonl", '{"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": "a"}]}]}]}', "startTimeUnixNano"),
        ("x.parquet", "PAR1 broken", "not a readable Parquet"),
    ],
)
def test_a_foreign_or_damaged_file_is_named(telemetry: Any, name: str, text: str, message: str) -> None:
    path = telemetry.write(text, name=name)
    with pytest.raises(DataError, match=rf"{name}.*{message}"):
        OtelConnector(files=[path]).usage(DAY)


def test_json_over_several_lines_lists_and_gzip_are_read(telemetry: Any) -> None:
    line = telemetry.spans_document([telemetry.span("a", AT, telemetry.call(input_tokens=5, output_tokens=1))])
    expected = OtelConnector(files=[telemetry.write(line)]).usage(DAY)
    (telemetry.folder / "x.json").write_text(json.dumps(json.loads(line), indent=1))
    (telemetry.folder / "x.json.gz").write_bytes(gzip.compress(line.encode()))
    for name in ("x.json", "x.json.gz"):
        frame = OtelConnector(files=[str(telemetry.folder / name)]).usage(DAY)
        assert frame.astype(str).equals(expected.astype(str)), name


def test_without_files_it_says_how_to_get_some() -> None:
    with pytest.raises(SettingsError, match="file exporter"):
        OtelConnector().usage(DAY)
    (finding,) = OtelConnector().doctor()
    assert not finding.ok
    assert "collector" in finding.fix
