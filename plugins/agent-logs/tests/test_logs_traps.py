"""What readers of local logs get wrong, one test each: copies, resets, reasoning, forks, days, sessions, errors."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from agent_logs import SECRET, answered, asked, database, meta, noise, said, synthetic, total, turn, write
from finops_ai_agent_logs import AgentLogsConnector, ClaudeCodeConnector, CodexConnector

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")
A, B, C = (f"{n}" * 8 + "-0000-4000-8000-000000000000" for n in "abc")


def usage(connector: type[Any], *paths: Path, **settings: Any) -> pd.DataFrame:
    return connector(files=[str(path) for path in paths], **settings).usage(OCTOBER)


def tokens(frame: pd.DataFrame, *by: str) -> Any:
    """Tokens by meter, or by the columns named and meter."""
    sums = frame.groupby([*by, "meter"] if by else "meter")["quantity"].sum()
    return {key: int(n) for key, n in sums.items()}


def calls(frame: pd.DataFrame, by: str) -> dict[Any, int]:
    rows = frame[frame["meter"] == "requests"]
    values = rows["charge_period_start"].dt.day if by == "day" else rows[by]
    return {key: int(n) for key, n in rows.groupby(values)["quantity"].sum().items()}


# ---------------------------------------------------------------- Claude Code


def claude_logs(folder: Path, first: str = "1", second: str = "2") -> Path:
    """Two sessions over midnight: streamed, copied into a subagent's file, resumed under a new id, one call without a request
    id, an error of the client's own. Five calls: 7 October has two, the 8th three."""
    one = [
        asked("s-one", "2026-10-07T23:58:00.000Z"),
        said("s-one", "2026-10-07T23:58:10.000Z", "m1", 1, done=False),
        said("s-one", "2026-10-07T23:58:11.000Z", "m1", 40, done=False),
        said("s-one", "2026-10-07T23:58:12.000Z", "m1", 300),
        said("s-one", "2026-10-07T23:59:50.000Z", "m2", 200, request=None),
        said("s-one", "2026-10-08T00:00:05.000Z", "m3", 100, write_5m=0, write_1h=50),
        synthetic("s-one", "2026-10-08T00:00:06.000Z"),
    ]
    write(folder / f"{first}-s-one.jsonl", one)
    write(folder / "s-one" / "subagents" / "agent-1.jsonl", [
        {**one[3], "isSidechain": True, "agentId": "1"},
        said("s-one", "2026-10-08T00:01:00.000Z", "m4", 70, isSidechain=True, agentId="1"),
    ])  # fmt: skip
    resumed = [{**record, "sessionId": "s-two"} for record in one if record["type"] == "assistant"]
    write(folder / f"{second}-s-two.jsonl", [
        {"type": "summary", "summary": SECRET, "leafUuid": "x"}, *resumed, said("s-two", "2026-10-08T09:00:00.000Z", "m5", 10),
    ])  # fmt: skip
    return folder / "**/*.jsonl"


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_copies_of_a_call_count_once_for_its_session_and_on_its_day(tmp_path: Path, order: tuple[str, str]):
    frame = usage(ClaudeCodeConnector, claude_logs(tmp_path, *order))
    assert tokens(frame) == {
        "input": 20, "cache_read": 5000, "cache_write_5m": 80, "cache_write_1h": 50, "output": 680, "requests": 5,
    }  # fmt: skip
    assert calls(frame, "day") == {7: 2, 8: 3}
    assert calls(frame, "session_id") == {"s-one": 4, "s-two": 1}
    assert set(frame["repository"]) == {"kite"}
    assert set(frame["branch"]) == {"feature/one"}
    assert frame.loc[frame["request_id"] == "req_m4", "agent_name"].unique().tolist() == ["subagent 1"]
    assert set(frame["money_basis"]) == {"list"}
    assert frame["billed_cost"].isna().all()


def test_a_synthetic_error_record_is_no_call(tmp_path: Path):
    connector = ClaudeCodeConnector(files=[str(claude_logs(tmp_path))])
    frame = connector.usage(OCTOBER)
    assert calls(frame, "model") == {"claude-sonnet-4-5-20250929": 5}
    assert any("no model was called" in note for note in connector.notes)


def test_the_last_record_of_a_streamed_message_counts_not_the_first(tmp_path: Path):
    path = write(
        tmp_path / "s.jsonl", [said("s", f"2026-10-07T10:00:0{i}.000Z", "m", 10**i, done=i == 3) for i in range(4)]
    )
    frame = usage(ClaudeCodeConnector, path)
    assert tokens(frame)["output"] == 1000
    assert frame["charge_period_start"].min() == pd.Timestamp("2026-10-07T10:00:00Z")


def test_a_copy_under_a_later_time_does_not_move_the_call(tmp_path: Path):
    write(
        tmp_path / "b.jsonl",
        [said("later", "2026-10-09T08:00:00.000Z", "m", 5), said("later", "2026-10-09T08:00:01.000Z", "n", 1)],
    )
    write(tmp_path / "z.jsonl", [said("first", "2026-10-02T23:59:59.999Z", "m", 5)])
    frame = usage(ClaudeCodeConnector, tmp_path)
    assert calls(frame, "session_id") == {"first": 1, "later": 1}
    assert calls(frame, "day") == {2: 1, 9: 1}


def test_a_retry_under_another_request_id_is_another_call(tmp_path: Path):
    path = write(
        tmp_path / "s.jsonl", [said("s", "2026-10-07T10:00:00.000Z", "m", 5, request=f"req_{i}") for i in "ab"]
    )
    assert tokens(usage(ClaudeCodeConnector, path))["requests"] == 2


def test_list_value_is_that_of_the_makers_list(tmp_path: Path):
    path = write(
        tmp_path / "s.jsonl",
        [said("s", "2026-10-07T10:00:00.000Z", "m", 1_000, read=100_000, fresh=1_000, write_5m=2_000)],
    )
    priced = fa.price(usage(ClaudeCodeConnector, path))
    # claude-sonnet-4-5: 3 in, 0.30 read, 3.75 written, 15 out, a million
    assert priced["list_cost"].sum() == Decimal("0.003") + Decimal("0.03") + Decimal("0.0075") + Decimal("0.015")


# ---------------------------------------------------------------- Codex


def codex_logs(folder: Path) -> Path:
    """Three sessions: an archived copy, a total written again, a reset, a change of model over midnight, a fork under rewritten
    times. 2 calls on the 7th, 3 on the 8th, 1 on the 9th, 1 on the 10th."""
    one = [
        meta(A, "2026-10-07T22:00:00.000Z"), turn("2026-10-07T22:00:01.000Z", "gpt-5.4"), noise("2026-10-07T22:00:02.000Z"),
        total("2026-10-07T22:00:10.000Z", 2_000, 8_000, 400, 100),
        total("2026-10-07T22:00:11.000Z", 2_000, 8_000, 400, 100),
        total("2026-10-07T23:59:00.000Z", 5_000, 18_000, 900, 250),
        turn("2026-10-08T00:01:00.000Z", "gpt-5.4-mini"),
        total("2026-10-08T00:02:00.000Z", 6_000, 28_000, 1_000, 250),
        total("2026-10-08T00:03:00.000Z", 1_000, 4_000, 200, 50),  # compacted: it counts from 0 again
    ]  # fmt: skip
    write(folder / "sessions/2026/10/07" / f"rollout-2026-10-07T22-00-00-{A}.jsonl", one)
    write(folder / "archived_sessions" / f"rollout-2026-10-07T22-00-00-{A}.jsonl", one)
    fork = [
        meta(B, "2026-10-09T09:00:00.000Z", parent=A), meta(A, "2026-10-09T09:00:00.000Z"),
        *({**record, "timestamp": "2026-10-09T09:00:00.100Z"} for record in one[1:6]),
        total("2026-10-09T09:05:00.000Z", 7_000, 28_000, 1_400, 400),
    ]  # fmt: skip
    write(folder / "sessions/2026/10/09" / f"rollout-2026-10-09T09-00-00-{B}.jsonl", fork)
    three = [
        meta(C, "2026-10-08T12:00:00.000Z"), turn("2026-10-08T12:00:01.000Z"),
        total("2026-10-08T12:00:10.000Z", 1_000, 6_000, 150, 0),
        total("2026-10-10T12:00:10.000Z", 4_000, 10_000, 500, 50),
    ]  # fmt: skip
    write(folder / "sessions/2026/10/08" / f"rollout-2026-10-08T12-00-00-{C}.jsonl", three)
    return folder


def test_totals_copies_resets_and_forks_of_codex_come_to_its_calls(tmp_path: Path):
    frame = usage(CodexConnector, codex_logs(tmp_path))
    # a: 2000+3000 | 1000 (mini) | 1000 (mini, after the reset); b: 2000; c: 1000 + 3000
    assert tokens(frame) == {
        "input": 13_000, "cache_read": 52_000, "output": 1_700, "reasoning": 500, "requests": 7,
    }  # fmt: skip
    assert calls(frame, "day") == {7: 2, 8: 3, 9: 1, 10: 1}
    assert calls(frame, "session_id") == {A: 4, B: 1, C: 2}
    assert calls(frame, "model") == {"gpt-5.4": 5, "gpt-5.4-mini": 2}
    assert set(frame["repository"]) == {"acme/kite"}


def test_reasoning_is_inside_the_output_and_billed_once(tmp_path: Path):
    path = write(tmp_path / f"rollout-{A}.jsonl", [
        meta(A, "2026-10-07T10:00:00.000Z"), turn("2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 20, 80, 100, 60),
    ])  # fmt: skip
    frame = usage(CodexConnector, path)
    assert tokens(frame) == {"input": 20, "cache_read": 80, "output": 40, "reasoning": 60, "requests": 1}
    # gpt-5.4: 2.50 in, 0.25 cached, 15 out, a million
    assert fa.price(frame)["list_cost"].sum() == Decimal("0.00005") + Decimal("0.00002") + Decimal("0.0015")


def test_a_cumulative_total_is_no_increment_and_a_reset_no_negative(tmp_path: Path):
    totals = [total(f"2026-10-07T10:00:0{i}.000Z", n, 0, 0) for i, n in enumerate((10, 10, 30, 5))]
    frame = usage(
        CodexConnector, write(tmp_path / f"rollout-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), *totals])
    )
    assert frame.query("meter == 'input'")["quantity"].astype(int).tolist() == [10, 20, 5]


@pytest.mark.parametrize("stated", [True, False], ids=["with the last call's own", "by its parts"])
def test_a_session_that_was_compacted_may_begin_anew_above_its_old_total(tmp_path: Path, stated: bool):
    """100 of which 90 cached, then a call of 120 of which 119: more in all, but no growth of 20 has 29 cached in it."""
    first, then = (10, 90, 5, 0), (1, 119, 6, 0)
    totals = [
        total(f"2026-10-07T10:00:0{i}.000Z", *counts, last=counts if stated else None)
        for i, counts in enumerate((first, then))
    ]
    frame = usage(
        CodexConnector, write(tmp_path / f"rollout-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), *totals])
    )
    assert {m: frame.query("meter == @m")["quantity"].astype(int).tolist() for m in ("input", "cache_read", "output")} == {
        "input": [10, 1], "cache_read": [90, 119], "output": [5, 6],
    }  # fmt: skip


def test_a_fork_whose_parent_goes_on_counts_its_own_calls_alone(tmp_path: Path):
    parent = [total(f"2026-10-07T10:00:0{i}.000Z", n, 0, 0) for i, n in enumerate((10, 30, 60, 100))]
    fork = [total("2026-10-08T10:00:00.000Z", n, 0, 0) for n in (10, 30, 45)]
    twice = [total("2026-10-09T10:00:00.000Z", n, 0, 0) for n in (10, 30, 45, 46)]
    write(tmp_path / f"rollout-z-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), *parent])
    write(tmp_path / f"rollout-a-{B}.jsonl", [meta(B, "2026-10-08T10:00:00.000Z", A), *fork])
    write(tmp_path / f"rollout-b-{C}.jsonl", [meta(C, "2026-10-09T10:00:00.000Z", B), *twice])
    frame = usage(CodexConnector, tmp_path)
    by_session = frame.query("meter == 'input'").groupby("session_id")["quantity"].sum().astype(int).to_dict()
    assert by_session == {A: 100, B: 15, C: 1}
    assert calls(frame, "day") == {7: 4, 8: 1, 9: 1}


def test_forks_without_their_parent_share_what_they_replay(tmp_path: Path):
    for name, session, more in (("a", B, 45), ("b", C, 99)):
        fork = [total(f"2026-10-08T10:00:0{i}.000Z", n, 0, 0) for i, n in enumerate((10, 30, more))]
        write(
            tmp_path / f"rollout-{name}-{session}.jsonl",
            [meta(session, f"2026-10-08T10:00:0{name == 'b'}.000Z", A), *fork],
        )
    connector = CodexConnector(files=[str(tmp_path)])
    assert tokens(connector.usage(OCTOBER))["input"] == 30 + 15 + 69
    assert any("forked from one that isn't among the files" in note for note in connector.notes)


def test_a_fork_that_replays_nothing_begins_where_its_first_call_does(tmp_path: Path):
    write(
        tmp_path / f"rollout-{A}.jsonl",
        [meta(A, "2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 100, 0, 10)],
    )
    fork = [meta(B, "2026-10-08T10:00:00.000Z", A), total("2026-10-08T10:00:01.000Z", 140, 0, 15, last=(40, 0, 5, 0))]
    write(tmp_path / f"rollout-{B}.jsonl", fork)
    assert tokens(usage(CodexConnector, tmp_path)) == {"input": 140, "output": 15, "requests": 2}


def test_a_session_that_went_on_after_it_was_archived_counts_once(tmp_path: Path):
    totals = [total(f"2026-10-07T10:00:0{i}.000Z", n, 0, 0) for i, n in enumerate((10, 30, 60))]
    write(tmp_path / "archived_sessions" / f"rollout-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), *totals[:2]])
    write(tmp_path / "sessions" / f"rollout-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), *totals])
    assert tokens(usage(CodexConnector, tmp_path)) == {"input": 60, "requests": 3}


def test_a_subagent_is_named_and_its_calls_are_its_own(tmp_path: Path):
    source = {"subagent": {"thread_spawn": {"parent_thread_id": A, "agent_nickname": "Fermat"}}}
    write(
        tmp_path / f"rollout-{A}.jsonl",
        [meta(A, "2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 100, 0, 10)],
    )
    write(tmp_path / f"rollout-{B}.jsonl", [
        meta(B, "2026-10-07T10:00:02.000Z", source=source), total("2026-10-07T10:00:03.000Z", 7, 0, 1),
    ])  # fmt: skip
    frame = usage(CodexConnector, tmp_path)
    assert tokens(frame)["input"] == 107
    assert frame.loc[frame["session_id"] == B, "agent_name"].unique().tolist() == ["Fermat"]


def test_a_packed_rollout_is_read(tmp_path: Path):
    plain = write(
        tmp_path / "plain.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 3, 0, 1)]
    )
    packed = tmp_path / f"rollout-{A}.jsonl.zst"
    packed.write_bytes(pa.Codec("zstd").compress(plain.read_bytes(), asbytes=True))
    assert tokens(usage(CodexConnector, packed)) == {"input": 3, "output": 1, "requests": 1}
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged or cut"):
        usage(CodexConnector, packed)


def test_a_line_still_being_written_is_left_out_and_a_broken_one_refused(tmp_path: Path):
    path = write(
        tmp_path / f"rollout-{A}.jsonl",
        [meta(A, "2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 3, 0, 1)],
    )
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[1][:150])
    connector = CodexConnector(files=[str(path)])
    assert tokens(connector.usage(OCTOBER))["input"] == 3
    assert any("still being written" in note for note in connector.notes)
    path.write_bytes(whole.splitlines()[1][:150] + b"\n" + whole)
    with pytest.raises(DataError, match="line 1: not whole JSON"):
        usage(CodexConnector, path)


def test_a_count_that_is_not_known_is_named(tmp_path: Path):
    record = total("2026-10-07T10:00:01.000Z", 3, 0, 1)
    record["payload"]["info"]["total_token_usage"]["plasma_tokens"] = 44
    connector = CodexConnector(
        files=[str(write(tmp_path / f"rollout-{A}.jsonl", [meta(A, "2026-10-07T10:00:00.000Z"), record]))]
    )
    assert tokens(connector.usage(OCTOBER))["unmapped"] == 44
    assert any("plasma_tokens (44)" in note for note in connector.notes)


# ---------------------------------------------------------------- Gemini CLI, Copilot CLI, OpenCode, Kiro


def gemini(message: str, at: str, counts: tuple[int, int, int, int, int]) -> dict[str, Any]:
    """A message: input with `cached` in it, output, thoughts and tool beside."""
    names = dict(zip(("input", "output", "cached", "thoughts", "tool"), counts, strict=True))
    sums = counts[0] + counts[1] + counts[3] + counts[4]
    return {
        "id": message,
        "timestamp": at,
        "type": "gemini",
        "content": SECRET,
        "model": "gemini-2.5-pro",
        "tokens": {**names, "total": sums},
    }


@pytest.mark.parametrize("lines", [False, True])
def test_gemini_cli_counts_thoughts_beside_and_cached_inside_and_copies_once(tmp_path: Path, lines: bool):
    first = gemini("g1", "2026-10-07T23:30:00.000Z", (100, 10, 80, 5, 0))
    growing = (
        gemini("g2", "2026-10-08T00:10:00.000Z", (50, 1, 0, 0, 0)),
        gemini("g2", "2026-10-08T00:10:01.000Z", (50, 20, 0, 7, 3)),
    )
    own = gemini("g3", "2026-10-09T00:00:00.000Z", (10, 1, 0, 0, 0))
    for name, session, messages in (("b", "one", [first, *growing]), ("a", "two", [first, growing[1], own])):
        head = {"sessionId": session, "projectHash": "f" * 64, "startTime": messages[0]["timestamp"], "kind": "main"}
        if lines:
            write(tmp_path / f"session-{name}.jsonl", [head, {"id": "u", "type": "user", "content": SECRET}, *messages])
        else:
            (tmp_path / f"session-{name}.json").write_text(json.dumps({**head, "messages": messages}, indent=1))
    frame = usage(AgentLogsConnector, tmp_path)
    assert set(frame["provider"]) == set(frame["tool_name"]) == {"gemini-cli"}
    assert tokens(frame) == {"input": 20 + 53 + 10, "cache_read": 80, "output": 31, "reasoning": 12, "requests": 3}
    assert calls(frame, "session_id") == {"one": 2, "two": 1}
    assert calls(frame, "day") == {7: 1, 8: 1, 9: 1}


def shutdown(
    at: str, event: str, fresh: int, read: int, written: int, out: int, reasoning: int, count: int
) -> dict[str, Any]:
    usage = {"inputTokens": fresh + read + written, "outputTokens": out, "cacheReadTokens": read, "cacheWriteTokens": written,
             "reasoningTokens": reasoning}  # fmt: skip
    metrics = {"claude-sonnet-4.5": {"requests": {"count": count, "cost": 99}, "usage": usage}}
    return {
        "type": "session.shutdown",
        "id": event,
        "timestamp": at,
        "data": {"totalPremiumRequests": 9, "modelMetrics": metrics},
    }


def copilot_events(*events: dict[str, Any]) -> list[dict[str, Any]]:
    context = {
        "cwd": "/home/ada/src/kite",
        "gitRoot": "/home/ada/src/kite",
        "branch": "main",
        "repository": "acme/kite",
    }
    start = {
        "type": "session.start",
        "id": "e0",
        "timestamp": "2026-10-07T22:00:00.000Z",
        "data": {"sessionId": "cs", "context": context},
    }
    return [
        start,
        {"type": "user.message", "timestamp": "2026-10-07T22:00:00.000Z", "data": {"content": SECRET}},
        *events,
    ]


def message(at: str, event: str, output: int) -> dict[str, Any]:
    return {
        "type": "assistant.message",
        "id": event,
        "timestamp": at,
        "data": {"outputTokens": output, "content": SECRET},
    }


def test_shutdowns_of_a_resumed_copilot_session_add_up_and_its_multiplier_is_no_money(tmp_path: Path):
    events = copilot_events(
        message("2026-10-07T22:01:00.000Z", "e1", 100), shutdown("2026-10-07T22:05:00.000Z", "e2", 50, 900, 50, 100, 30, 4),
        {"type": "session.resume", "id": "e3", "timestamp": "2026-10-09T08:00:00.000Z", "data": {}},
        message("2026-10-09T08:01:00.000Z", "e4", 10), shutdown("2026-10-09T08:05:00.000Z", "e5", 5, 90, 5, 10, 3, 1),
    )  # fmt: skip
    write(tmp_path / "cs" / "events.jsonl", events)
    write(tmp_path / "copy" / "events.jsonl", events)
    frame = usage(AgentLogsConnector, tmp_path)
    assert tokens(frame) == {
        "input": 55,
        "cache_read": 990,
        "cache_write": 55,
        "output": 77,
        "reasoning": 33,
        "requests": 5,
    }
    assert calls(frame, "day") == {7: 4, 9: 1}
    assert calls(frame, "session_id") == {"cs": 5}
    assert frame["billed_cost"].isna().all()
    assert set(frame["repository"]) == {"acme/kite"}
    assert set(frame["quantity_basis"]) == {"metered"}


def test_a_copilot_session_over_midnight_is_shared_out_by_day(tmp_path: Path):
    events = copilot_events(
        message("2026-10-07T23:59:00.000Z", "e1", 75), message("2026-10-08T00:01:00.000Z", "e2", 25),
        shutdown("2026-10-08T00:05:00.000Z", "e3", 50, 900, 50, 100, 0, 4),
    )  # fmt: skip
    write(tmp_path / "cs" / "events.jsonl", events)
    frame = usage(AgentLogsConnector, tmp_path)
    assert tokens(frame) == {"input": 50, "cache_read": 900, "cache_write": 50, "output": 100, "requests": 4}
    assert calls(frame, "day") == {7: 3, 8: 1}
    assert frame.query("meter == 'output'")["quantity"].astype(int).tolist() == [75, 25]
    assert set(frame["quantity_basis"]) == {"estimated"}


def test_of_a_copilot_session_that_was_not_shut_down_the_output_is_known(tmp_path: Path):
    write(tmp_path / "cs" / "events.jsonl", copilot_events(message("2026-10-07T22:01:00.000Z", "e1", 75)))
    connector = AgentLogsConnector(files=[str(tmp_path)])
    assert tokens(connector.usage(OCTOBER)) == {"output": 75, "requests": 1}
    assert any("weren't shut down" in note for note in connector.notes)


MIDNIGHT = 1_791_417_600_000  # 8 October 2026, in milliseconds


def test_forks_of_opencode_copy_calls_with_new_ids_and_their_old_time(tmp_path: Path):
    one, two, twin = answered((10, 5, 2, 100, 20)), answered((7, 3, 0, 0, 0)), answered((1, 1, 0, 0, 0))
    sessions = {"origin": MIDNIGHT - 9_000, "a-fork": MIDNIGHT + 50_000}
    messages = [
        ("m1", "origin", MIDNIGHT - 1_000, one), ("m2", "origin", MIDNIGHT, two),
        ("m3", "origin", MIDNIGHT + 1, twin), ("m4", "origin", MIDNIGHT + 1, twin),  # two calls alike in one session
        ("f1", "a-fork", MIDNIGHT - 1_000, one), ("f2", "a-fork", MIDNIGHT, two), ("f3", "a-fork", MIDNIGHT + 60_000, one),
        ("u", "origin", MIDNIGHT, {"role": "user"}),
    ]  # fmt: skip
    frame = usage(AgentLogsConnector, database(tmp_path / "opencode.db", sessions, messages))
    assert tokens(frame) == {
        "input": 29,
        "cache_read": 200,
        "cache_write": 40,
        "output": 15,
        "reasoning": 4,
        "requests": 5,
    }
    assert calls(frame, "session_id") == {"origin": 4, "a-fork": 1}
    assert calls(frame, "day") == {7: 1, 8: 4}
    assert fa.price(frame).query("unit == 'tokens'")["list_cost"].notna().all()


def test_what_opencode_wrote_last_is_in_its_wal_and_the_tree_beside_is_dead(tmp_path: Path):
    import sqlite3

    path = database(tmp_path / "opencode.db", {"s": 1}, [("m1", "s", MIDNIGHT, answered((1, 1, 0, 0, 0)))])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(
        "INSERT INTO message VALUES ('m2', 's', ?, ?)", (MIDNIGHT + 1, json.dumps(answered((5, 5, 0, 0, 0))))
    )
    connection.commit()
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in ("opencode.db", "opencode.db-wal"):
        shutil.copy(tmp_path / file, copy / file)
    connection.close()
    tree = {"id": "m1", "sessionID": "s", "time": {"created": MIDNIGHT}, **answered((1, 1, 0, 0, 0))}
    (copy / "msg_1.json").write_text(json.dumps(tree))
    connector = AgentLogsConnector(files=[str(copy / "opencode.db"), str(copy / "msg_1.json")])
    assert tokens(connector.usage(OCTOBER)) == {"input": 6, "output": 6, "requests": 2}
    alone = AgentLogsConnector(files=[str(copy / "msg_1.json")])
    assert tokens(alone.usage(OCTOBER)) == {"input": 1, "output": 1, "requests": 1}


def test_clients_of_kiro_add_up_and_a_report_delivered_twice_does_not(tmp_path: Path):
    head = "Date,UserId,Client_Type,Chat_Conversations,Credits_Used,Overage_Cap,Overage_Credits_Used,Overage_Enabled,ProfileId,Subscription_Tier,Total_Messages"
    ide = "2026-10-07,guid-1,KIRO_IDE,3,12.5,100,2.5,true,p,PRO,30"
    cli = "2026-10-07,guid-1,KIRO_CLI,1,4,100,0,true,p,PRO,3"
    for name, row in (("ide", ide), ("cli", cli), ("ide again", ide)):
        (tmp_path / f"{name}.csv").write_text(f"{head}\n{row}\n")
    frame = usage(AgentLogsConnector, tmp_path)
    assert frame.groupby("money_basis")["quantity"].sum().to_dict() == {"included": Decimal(14), "cash": Decimal("2.5")}
    assert frame["billed_cost"].isna().all(), "its money is on the AWS bill"
    (tmp_path / "other.csv").write_text(f"{head}\n{ide.replace('12.5', '13')}\n")
    with pytest.raises(DataError, match="different credits"):
        usage(AgentLogsConnector, tmp_path)


# ---------------------------------------------------------------- all


def everything(folder: Path) -> Path:
    claude_logs(folder / "claude")
    codex_logs(folder / "codex")
    write(folder / "copilot" / "events.jsonl", copilot_events(message("2026-10-07T22:01:00.000Z", "e1", 75)))
    database(folder / "opencode.db", {"s": 1}, [("m1", "s", MIDNIGHT, answered((1, 1, 0, 0, 0)))])
    (folder / "session-1.json").write_text(json.dumps({"sessionId": "g", "projectHash": "h", "messages": [
        gemini("g1", "2026-10-07T23:30:00.000Z", (100, 10, 80, 5, 0))]}))  # fmt: skip
    return folder


def test_one_folder_of_all_tools_is_told_apart_by_content(tmp_path: Path):
    frame = usage(AgentLogsConnector, everything(tmp_path))
    assert calls(frame, "tool_name") == {"claude-code": 5, "codex": 7, "copilot-cli": 1, "gemini-cli": 1, "opencode": 1}


def test_no_text_and_no_path_is_kept(tmp_path: Path):
    texts = usage(AgentLogsConnector, everything(tmp_path)).astype(str).to_csv()
    assert SECRET not in texts
    assert "/home/ada" not in texts
    assert "cwd" not in texts


def test_a_log_names_no_person_so_settings_do(tmp_path: Path):
    everything(tmp_path)
    frame = usage(AgentLogsConnector, tmp_path, people={"*/codex/*": "Bo@Example.com"}, user="ada-q")
    assert frame.groupby("tool_name")["user_id"].unique().map(list).to_dict() == {
        "claude-code": ["ada-q"], "codex": ["bo@example.com"], "copilot-cli": ["ada-q"], "gemini-cli": ["ada-q"], "opencode": ["ada-q"],
    }  # fmt: skip


def test_files_that_are_no_logs_are_named(tmp_path: Path):
    (tmp_path / "x.txt").write_text("nothing")
    with pytest.raises(DataError, match="no log of a coding agent"):
        usage(AgentLogsConnector, tmp_path)
    write(
        tmp_path / f"rollout-{A}.jsonl",
        [meta(A, "2026-10-07T10:00:00.000Z"), total("2026-10-07T10:00:01.000Z", 3, 0, 1)],
    )
    connector = AgentLogsConnector(files=[str(tmp_path)])
    assert len(connector.usage(OCTOBER))
    assert any("hold no log" in note for note in connector.notes)


def test_the_notes_of_a_read_are_said_again_where_it_is_kept(tmp_path: Path):
    connector = ClaudeCodeConnector(files=[str(claude_logs(tmp_path))])
    connector.usage(OCTOBER)
    said, connector.notes = connector.notes, []
    connector.usage(Window(OCTOBER.start, OCTOBER.start + dt.timedelta(days=8)))
    assert connector.notes == said


def test_a_folder_with_other_files_is_read_and_a_log_known_by_its_content(tmp_path: Path):
    codex_logs(tmp_path)
    (tmp_path / "notes.txt").write_text('{ "token_count" and more that is no JSON\n')
    assert calls(usage(CodexConnector, tmp_path), "session_id") == {A: 4, B: 1, C: 2}
    path = write(tmp_path / "claude" / "s.jsonl", [said("s", "2026-10-07T10:00:00.000Z", "m", 5)])
    assert fa.read(path, format="auto")["provider"].unique().tolist() == ["claude-code"]
