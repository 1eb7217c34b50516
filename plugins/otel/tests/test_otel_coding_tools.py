"""Coding tools by their telemetry: each token once, whatever a metric is called, and people rather than devices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from finops_ai_otel import OtelConnector

from finops_ai.periods import Window

DAY = Window.of("2026-10-01", "2026-10-02")
CLAUDE, CODEX, GEMINI = "claude_code.token.usage", "codex.turn.token_usage", "gemini_cli.token.usage"


def at(minute: int) -> str:
    return f"2026-10-01T{10 + minute // 60:02}:{minute % 60:02}:00Z"


def points(t: Any, word: str, kinds: dict[str, int], who: dict[str, str], count: int | None = None) -> list[Any]:
    return [t.point(at(0), at(1), n, {**who, word: kind}, count=count) for kind, n in kinds.items()]


def totals(frame: Any, *by: str) -> dict[Any, int]:
    return {key: int(n) for key, n in frame.groupby([*by, "meter"] if by else "meter")["quantity"].sum().items()}


def test_a_total_among_the_kinds_of_token_is_not_added_to_its_parts(telemetry: Any) -> None:
    t, who = telemetry, {"model": "gpt-5.4", "user.email": "Ada@Example.com", "conversation.id": "c-1"}
    kinds = {"input": 100, "cached_input": 80, "output": 30, "reasoning_output": 20, "total": 130}
    connector = OtelConnector(
        files=[t.write(t.metrics_document({CODEX: points(t, "token_type", kinds, who, count=2)}))]
    )
    frame = connector.usage(DAY)
    assert totals(frame) == {"input": 20, "cache_read": 80, "output": 10, "reasoning": 20, "requests": 2}
    row = frame.iloc[0]
    assert (row["provider"], row["tool_name"], row["user_id"], row["session_id"], row["money_basis"]) == (
        "codex", "codex", "ada@example.com", "c-1", "list",
    )  # fmt: skip
    assert connector.notes == []


def test_three_tools_and_an_unknown_one_in_a_file(telemetry: Any) -> None:
    t, who = telemetry, {"user.email": "ada@example.com"}
    document = t.metrics_document({
        CLAUDE: points(t, "type", {"input": 10, "cacheRead": 300, "cacheCreation": 4, "output": 5}, {**who, "model": "claude-opus-5"}),
        CODEX: points(t, "token_type", {"input": 100, "cached_input": 80, "output": 30, "total": 130}, {**who, "model": "gpt-5.4"}),
        GEMINI: points(t, "type", {"input": 50, "cache": 40, "output": 6, "thought": 3, "tool": 2}, {**who, "model": "gemini-2.5-pro"}),
        "acme_agent.token.usage": points(t, "type", {"input": 700, "output": 11}, who),
        "acme.request.duration": points(t, "type", {"x": 5}, who),
    })  # fmt: skip
    connector = OtelConnector(files=[t.write(document)])
    frame = connector.usage(DAY)
    assert totals(frame, "tool_name") == {
        ("claude-code", "input"): 10, ("claude-code", "cache_read"): 300, ("claude-code", "cache_write"): 4, ("claude-code", "output"): 5,
        ("codex", "input"): 20, ("codex", "cache_read"): 80, ("codex", "output"): 30,
        ("gemini-cli", "input"): 12, ("gemini-cli", "cache_read"): 40, ("gemini-cli", "output"): 6, ("gemini-cli", "reasoning"): 3,
    }  # fmt: skip
    assert connector.notes == [
        "A token metric this version doesn't know is in no frame: acme_agent.token.usage: 700 input, 11 output tokens."
    ]


def test_an_unknown_kind_of_a_known_metric_is_named_and_kept(telemetry: Any) -> None:
    t = telemetry
    document = t.metrics_document({GEMINI: points(t, "type", {"input": 50, "dream": 9}, {"model": "gemini-2.5-pro"})})
    connector = OtelConnector(files=[t.write(document)])
    assert totals(connector.usage(DAY)) == {"input": 50, "unmapped": 9}
    assert "gemini_cli.token.usage dream (9)" in connector.notes[0]


def test_a_device_is_no_person(telemetry: Any) -> None:
    t = telemetry
    both = [
        {"model": "claude-opus-5", "user.id": f"install-{n}", "user.email": email}
        for n, email in ((1, "Ada@x.com"), (2, "ada@X.com"))
    ]
    alone = {"model": "claude-opus-5", "user.id": "install-3"}
    rows = [t.point(at(0), at(1), 10, {**who, "type": "input"}) for who in (*both, alone)]
    frame = OtelConnector(files=[t.write(t.metrics_document({CLAUDE: rows}))]).usage(DAY)
    assert frame["user_id"].dropna().unique().tolist() == ["ada@x.com"]
    assert frame["user_id"].isna().sum() == 1
    assert frame["tags"].astype(str).str.contains("install-3").sum() == 1


def test_both_temporalities_of_a_tool_say_the_same(telemetry: Any) -> None:
    t, who = telemetry, {"model": "gemini-2.5-pro"}
    added = [5, 0, 7, 100]

    def document(value: int, start: int, end: int, temporality: int) -> str:
        return t.metrics_document(
            {GEMINI: [t.point(at(start), at(end), value, {**who, "type": "input"})]}, temporality=temporality
        )

    delta = [document(n, i, i + 1, 1) for i, n in enumerate(added)]
    grown = [document(sum(added[: i + 1]), 0, i + 1, 2) for i in range(len(added))]
    again = [document(n, 9, 10 + i, 2) for i, n in enumerate((3, 4))]  # restarted: a new start, counted from 0
    assert totals(OtelConnector(files=[t.write(*delta)]).usage(DAY)) == {"input": 112}
    assert totals(OtelConnector(files=[t.write(*grown, *again)]).usage(DAY)) == {"input": 116}


def test_spans_of_one_tool_do_not_hide_metrics_of_another(telemetry: Any) -> None:
    t = telemetry
    spans = t.spans_document([t.span("a", at(0), t.call(input_tokens=5, output_tokens=1))])
    own = t.metrics_document(
        {CLAUDE: points(t, "type", {"input": 10}, {"model": "claude-opus-5"})}, service="claude-code"
    )
    assert totals(OtelConnector(files=[t.write(spans, own)]).usage(DAY))["input"] == 15


def test_credits_of_copilot_are_read_at_the_outermost_span(telemetry: Any) -> None:
    t, service = telemetry, {"service.name": "copilot-chat", "user.email": "bo@example.com", "session.id": "w-1"}
    agent = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.usage.input_tokens": 300,
        "gen_ai.usage.output_tokens": 30,
    }
    spans = [
        t.span("root", at(0), {**agent, "github.copilot.nano_aiu": 2_500_000_000, "github.copilot.cost": 33}),
        t.span("mid", at(0), {"gen_ai.operation.name": "execute_tool"}, parent="root"),
        *(
            t.span(f"c{i}", at(0), {**t.call(provider="openai", model="gpt-5.4", input_tokens=150, output_tokens=15),
                                    "gen_ai.usage.cache_read.input_tokens": 100, "github.copilot.nano_aiu": 1_250_000_000}, parent="mid")
            for i in (1, 2)
        ),
    ]  # fmt: skip
    frame = OtelConnector(files=[t.write(t.spans_document(spans, service))]).usage(DAY)
    assert totals(frame) == {"input": 100, "cache_read": 200, "output": 30, "requests": 2, "credits": 2}
    assert frame.loc[frame["meter"] == "credits", "quantity"].tolist() == [Decimal("2.5")]
    assert set(frame["provider"]) == {"github-copilot"}
    assert set(frame["tool_name"]) == {"copilot"}
    assert set(frame["user_id"]) == {"bo@example.com"}
    assert frame["billed_cost"].isna().all()


def test_a_call_without_a_conversation_has_the_one_of_its_trace(telemetry: Any) -> None:
    t, service = telemetry, {"service.name": "codex_cli_rs"}
    spans = [
        t.span("turn", at(0), {"conversation.id": "c-7"}),
        t.span(
            "call", at(0), t.call(provider="openai", model="gpt-5.4", input_tokens=5, output_tokens=1), parent="turn"
        ),
        t.span("other", at(0), t.call(provider="openai", model="gpt-5.4", input_tokens=5, output_tokens=1), trace="t2"),
    ]
    frame = OtelConnector(files=[t.write(t.spans_document(spans, service))]).usage(DAY)
    found = frame[frame["meter"] == "requests"].set_index("request_id")["session_id"]
    assert found["call"] == "c-7"
    assert found.isna()["other"]
    assert t.text not in frame.astype(str).to_csv()


def test_one_series_by_two_collectors_and_in_both_ways_counts_once(telemetry: Any) -> None:
    """Per minute 10, 20, 30 and, after a restart, 5: as deltas by two collectors, one adding a name, and as sums by a second reader
    that misses the second minute; then the client stops telling deltas, and its sums alone tell of 7 more."""
    import json

    t, who = (
        telemetry,
        {"model": "claude-opus-5", "user.email": "ada@example.com", "session.id": "s-1", "type": "input"},
    )
    deltas = [t.point(at(a), at(a + 1), n, who) for a, n in ((0, 10), (1, 20), (2, 30), (3, 5))]
    sums = [
        t.point(at(0), at(1), 10, who),
        t.point(at(0), at(3), 60, who),
        t.point(at(3), at(4), 5, who),
        t.point(at(3), at(5), 12, who),
    ]
    first = t.metrics_document({CLAUDE: deltas}, service="claude-code")
    second = json.loads(first)
    second["resourceMetrics"][0]["resource"]["attributes"].append({"key": "collector", "value": {"stringValue": "b"}})
    files = [
        t.write(first, name="a.jsonl"), t.write(json.dumps(second), name="b.jsonl"),
        t.write(t.metrics_document({CLAUDE: sums}, temporality=2, service="claude-code"), name="c.jsonl"),
    ]  # fmt: skip
    connector = OtelConnector(files=files)
    assert totals(connector.usage(DAY)) == {"input": 10 + 20 + 30 + 5 + 7}
    assert any("twice" in note for note in connector.notes)
    assert any("as sums and as what was added" in note for note in connector.notes)


def test_two_sessions_that_say_the_same_at_the_same_time_are_two(telemetry: Any) -> None:
    t, who = telemetry, {"model": "claude-opus-5", "user.email": "ada@example.com", "type": "input"}
    pair = [t.point(at(0), at(1), 10, who | {"session.id": name}) for name in ("s-1", "s-2")]
    connector = OtelConnector(files=[t.write(t.metrics_document({CLAUDE: pair}, service="claude-code"))])
    assert totals(connector.usage(DAY)) == {"input": 20}


def test_one_series_in_two_sections_counts_once_and_another_session_is_another(telemetry: Any) -> None:
    """Two collectors, each a section of its own: the second has the first minute too, with a name added, and more of its own."""
    import json

    import finops_ai as fa

    t, who = telemetry, {"model": "claude-opus-5", "user.email": "ada@example.com", "session.id": "s-1"}
    shared = [t.point(at(0), at(1), n, {**who, "type": kind}) for kind, n in (("input", 10), ("output", 4))]
    t.write(t.metrics_document({CLAUDE: [*shared, t.point(at(1), at(2), 20, {**who, "type": "input"})]}, service="claude-code"), name="a.jsonl")  # fmt: skip
    # its own: another interval, other tokens in the same one, another session, another person, and none's session
    own = [
        t.point(at(2), at(3), 20, {**who, "type": "input"}), t.point(at(1), at(2), 21, {**who, "type": "input"}),
        *(t.point(at(0), at(1), 10, {**who, "type": "input", "session.id": name}) for name in ("s-2", "s-3")),
        t.point(at(0), at(1), 10, {"model": "claude-opus-5", "user.email": "bo@example.com", "session.id": "s-1", "type": "input"}),
    ]  # fmt: skip
    second = json.loads(t.metrics_document({CLAUDE: [*shared, *own]}, service="claude-code"))
    second["resourceMetrics"][0]["resource"]["attributes"].append({"key": "collector", "value": {"stringValue": "b"}})
    t.write(json.dumps(second), name="b.jsonl")
    sections = "".join(f'[providers.{name}]\nconnector = "otel"\nfiles = ["{name}.jsonl"]\n' for name in "ab")
    (telemetry.folder / "finops.toml").write_text(f'{sections}[dimensions.team]\ndefault = "nobody"\n')
    ws = fa.open(telemetry.folder)
    outcomes = ws.collect(DAY)
    assert [o.error for o in outcomes] == [None, None]
    assert totals(ws.lake.read("tokens", DAY)) == {"input": 10 + 20 + 20 + 21 + 10 + 10 + 10, "output": 4}
    assert totals(ws.lake.read("told", DAY)) == {"input": 10, "output": 4}
    assert "counted by a" in outcomes[1].left_out[0].reason
    assert not any(o.changed for o in ws.collect(DAY)), "a rerun changes nothing"
