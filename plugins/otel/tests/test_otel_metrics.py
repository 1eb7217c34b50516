"""Token metrics: delta and cumulative, old and new names, Claude Code's counter."""

from __future__ import annotations

from typing import Any

from finops_ai_otel import OtelConnector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finops_ai.periods import Window

DAY = Window.of("2026-10-01", "2026-10-02")
WHO = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-5.4"}
OLD = "gen_ai.client.token.usage"
INPUT, OUTPUT = "gen_ai.client.inference.usage.input_tokens", "gen_ai.client.inference.usage.output_tokens"


def at(minute: int) -> str:
    return f"2026-10-01T{10 + minute // 60:02}:{minute % 60:02}:00Z"


def totals(connector: OtelConnector) -> dict[str, int]:
    frame = connector.usage(DAY)
    return {meter: int(n) for meter, n in frame.groupby("meter")["quantity"].sum().items()}


def test_the_older_histogram_counts_tokens_and_calls(telemetry: Any) -> None:
    t = telemetry
    points = [
        t.point(at(0), at(1), 900, {**WHO, "gen_ai.token.type": "input"}, count=3),
        t.point(at(0), at(1), 90, {**WHO, "gen_ai.token.type": "output"}, count=3),
        t.point(at(0), at(1), 4, {**WHO, "gen_ai.token.type": "holographic"}, count=1),
    ]
    connector = OtelConnector(files=[t.write(t.metrics_document({OLD: points}))])
    assert totals(connector) == {"input": 900, "output": 90, "requests": 3, "unmapped": 4}
    frame = connector.usage(DAY)
    assert set(frame["slice_requests"]) == {3}
    assert str(connector.fresh_until) == "2026-10-01 10:01:00+00:00"
    assert frame["request_id"].isna().all()


def test_cumulative_counters_count_what_was_added(telemetry: Any) -> None:
    t, told = telemetry, {**WHO, "gen_ai.token.modality": "text"}
    lines = []
    for minute, value in ((1, 100), (2, 250), (2, 250), (3, 250), (4, 400)):
        lines.append(t.metrics_document({INPUT: [t.point(at(0), at(minute), value, told)]}, temporality=2))
    lines.append(
        t.metrics_document({INPUT: [t.point(at(5), at(6), 30, told)]}, temporality=2)
    )  # the process started anew
    lines.append(
        t.metrics_document({INPUT: [t.point(at(5), at(7), 10, told)]}, temporality=2)
    )  # and fell without a start
    connector = OtelConnector(files=[t.write(*lines)])
    assert totals(connector) == {"input": 440}  # 100 + 150 + 150, then 30, then 10
    frame = connector.usage(DAY)
    assert frame["charge_period_start"].dt.minute.tolist() == [0, 1, 3, 5, 6]
    assert connector.notes == [
        "1 metric points were exported twice: counted once.",
        "1 cumulative series fell without a new start: counted from 0 again.",
    ]


def test_series_that_start_and_end_a_little_apart_belong_together(telemetry: Any) -> None:
    t, told = telemetry, {**WHO, "gen_ai.token.modality": "text"}
    read = "gen_ai.client.inference.usage.cache_read.input_tokens"
    lines = []
    for minute, (sent, cached) in enumerate([(100, 0), (900, 700), (1000, 750)], 1):
        first = t.point(at(0), f"2026-10-01T10:0{minute}:00.000Z", sent, told)
        second = t.point("2026-10-01T10:01:07Z", f"2026-10-01T10:0{minute}:00.040Z", cached, told)
        lines.append(t.metrics_document({INPUT: [first], **({read: [second]} if cached else {})}, temporality=2))
    frame = OtelConnector(files=[t.write(*lines)]).usage(DAY)
    # added: 100 of which 0 cached, 800 of which 700, 100 of which 50
    rows = [(r.meter, int(r.quantity), r.slice_input_tokens) for r in frame.itertuples()]
    assert rows == [
        ("input", 100, 100),
        ("input", 100, 800),
        ("cache_read", 700, 800),
        ("input", 50, 100),
        ("cache_read", 50, 100),
    ]


def test_a_call_recorded_during_the_read_out_is_joined_with_its_parts(telemetry: Any) -> None:
    t, told = telemetry, {**WHO, "gen_ai.token.modality": "text"}
    read = "gen_ai.client.inference.usage.cache_read.input_tokens"
    sent = t.metrics_document({INPUT: [t.point(at(0), at(1), 100, told)]})
    cached = t.metrics_document({read: [t.point(at(1), at(2), 60, told)]})
    assert totals(OtelConnector(files=[t.write(sent, cached)])) == {"input": 40, "cache_read": 60}
    turned = [
        t.metrics_document({read: [t.point(at(0), at(1), 60, told)]}),
        t.metrics_document({INPUT: [t.point(at(1), at(2), 100, told)]}),
    ]
    assert totals(OtelConnector(files=[t.write(*turned)])) == {"input": 40, "cache_read": 60}


def test_where_both_families_are_written_the_counters_hold(telemetry: Any) -> None:
    t, told = telemetry, {**WHO, "gen_ai.token.modality": "text"}
    both = {
        INPUT: [t.point(at(0), at(1), 900, told), t.point(at(0), at(1), 60, {**WHO, "gen_ai.token.modality": "audio"})],
        OUTPUT: [t.point(at(0), at(1), 90, told)],
        OLD: [t.point(at(0), at(1), 960, {**WHO, "gen_ai.token.type": "input"}, count=3)],
    }
    other = {OLD: [t.point(at(0), at(1), 5, {**WHO, "gen_ai.token.type": "input"}, count=1)]}
    path = t.write(t.metrics_document(both), t.metrics_document(other, service="older-service"))
    connector = OtelConnector(files=[path])
    assert totals(connector) == {"input": 905, "input_audio": 60, "output": 90, "requests": 1}
    assert "left out" in connector.notes[0]


def test_claude_codes_counter_has_its_cache_beside_the_input(telemetry: Any) -> None:
    t, who = telemetry, {"model": "claude-opus-5", "user.account_uuid": "u-1", "organization.id": "org-1"}
    kinds = {"input": 10, "output": 20, "cacheRead": 3000, "cacheCreation": 40}
    points = [t.point(at(0), at(1), n, {**who, "type": kind}) for kind, n in kinds.items()]
    connector = OtelConnector(files=[t.write(t.metrics_document({"claude_code.token.usage": points}))])
    assert totals(connector) == {"input": 10, "cache_read": 3000, "cache_write": 40, "output": 20}
    row = connector.usage(DAY).iloc[0]
    assert (row["provider"], row["model"], row["user_id"], row["billing_account_id"]) == (
        "anthropic",
        "claude-opus-5",
        "u-1",
        "org-1",
    )


def test_spans_are_preferred_and_the_choice_is_told(telemetry: Any) -> None:
    t = telemetry
    spans = t.spans_document([t.span("a", at(0), t.call(input_tokens=5, output_tokens=1))])
    metrics = t.metrics_document({OLD: [t.point(at(0), at(1), 7, {**WHO, "gen_ai.token.type": "input"}, count=1)]})
    path = t.write(spans, metrics)
    connector = OtelConnector(files=[path])
    assert totals(connector)["input"] == 5
    assert "sampled" in connector.notes[0]
    assert totals(OtelConnector(files=[path], signal="metrics"))["input"] == 7


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
def test_delta_and_cumulative_say_the_same(telemetry: Any, added: list[int]) -> None:
    t, told = telemetry, {**WHO, "gen_ai.token.modality": "text"}
    delta = [t.metrics_document({INPUT: [t.point(at(i), at(i + 1), n, told)]}) for i, n in enumerate(added)]
    grown = [
        t.metrics_document({INPUT: [t.point(at(0), at(i + 1), sum(added[: i + 1]), told)]}, temporality=2)
        for i in range(len(added))
    ]
    frames = [OtelConnector(files=[t.write(*lines)]).usage(DAY).astype(str) for lines in (delta, grown)]
    assert frames[0].equals(frames[1])
    assert sum(map(int, map(float, frames[0].loc[frames[0]["meter"] == "input", "quantity"]))) == sum(added)
