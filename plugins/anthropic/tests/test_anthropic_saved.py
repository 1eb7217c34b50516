"""Saved pages that overlap or contradict each other, and Claude Code's own records."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from finops_ai_anthropic import AnthropicConnector

from finops_ai.errors import DataError, UsageError
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")


def row(day: int, tokens: int = 100, hours: int = 24, model: str = "claude-opus-5") -> dict[str, Any]:
    end = f"2026-10-{day + 1:02}T00:00:00Z" if hours == 24 else f"2026-10-{day:02}T{hours:02}:00:00Z"
    counts = {
        "uncached_input_tokens": tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "server_tool_use": {"web_search_requests": 0},
        "total_tokens": tokens,
    }
    start = f"2026-10-{day:02}T00:00:00Z"
    return {"starting_at": start, "ending_at": end, "group": {"model": model, "workspace_id": "ws_a"}, "usage": counts}


def legacy(day: int, tokens: int) -> dict[str, Any]:
    one = row(day, tokens)
    counts = {k: v for k, v in one["usage"].items() if k != "total_tokens"}
    return {
        "starting_at": one["starting_at"],
        "ending_at": one["ending_at"],
        "results": [{**counts, "model": "claude-opus-5"}],
    }


def save(folder: Path, **pages: Any) -> AnthropicConnector:
    for name, (rows, mark) in pages.items():
        page = {"data": rows, "has_more": False, "next_page": None, **({"data_refreshed_at": mark} if mark else {})}
        (folder / f"{name}.json").write_text(json.dumps(page))
    return AnthropicConnector(files=[str(folder)])


def total(connector: AnthropicConnector) -> int:
    frame = connector.usage(OCTOBER)
    return int(frame.loc[frame["meter"] == "input", "quantity"].sum())


def test_a_row_in_two_pages_counts_once(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1), row(2)], None), b=([row(2), row(3)], None))
    assert total(connector) == 300
    assert connector.notes == ["1 rows were in several saved pages and count once."]


def test_the_newer_page_holds(tmp_path: Path) -> None:
    old, new = ([row(1, 100)], "2026-10-02T00:00:00Z"), ([row(1, 140)], "2026-10-03T00:00:00Z")
    connector = save(tmp_path, a=new, b=old)
    assert total(connector) == 140
    assert str(connector.fresh_until) == "2026-10-02 00:00:00+00:00"


def test_pages_that_contradict_each_other_are_an_error(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1, 100)], None), b=([row(1, 140)], None))
    with pytest.raises(DataError, match=r"b\.json.*a\.json.*different figures.*2026-10-01"):
        connector.usage(OCTOBER)


def test_legacy_pages_of_the_same_days_are_left_out(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1, 100)], None), b=([legacy(1, 100), legacy(2, 50)], None))
    assert total(connector) == 150
    assert "left out" in connector.notes[0]


def test_pages_of_two_bucket_widths_are_an_error(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1)], None), b=([row(1, hours=1, model="claude-haiku-4-5")], None))
    with pytest.raises(DataError, match="different bucket widths"):
        connector.usage(OCTOBER)


def test_new_files_are_seen_and_gzip_is_read(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1)], None))
    assert total(connector) == 100
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(json.dumps({"data": [row(2)]}).encode()))
    assert total(connector) == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"data": [{"object": "x"}]}', "no known report"),
        ('{"data": [', "not whole JSON"),
        ("[1, 2]", "neither a saved page nor a log record"),
    ],
)
def test_a_foreign_or_damaged_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=rf"x\.json.*{message}"):
        AnthropicConnector(files=[str(tmp_path)]).usage(OCTOBER)


def record(at: str, message: str, stop: str | None, output: int, request: str = "q1") -> dict[str, Any]:
    usage = {
        "input_tokens": 7, "cache_read_input_tokens": 50, "cache_creation_input_tokens": 30, "output_tokens": output,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}, "speed": "fast",
    }  # fmt: skip
    body = {"id": message, "model": "claude-opus-5", "stop_reason": stop, "usage": usage, "content": "SECRET ANSWER"}
    return {"type": "assistant", "timestamp": at, "sessionId": "s1", "requestId": request, "message": body}


def session_log(folder: Path) -> Path:
    lines = [
        {"type": "user", "sessionId": "s1", "message": {"role": "user", "content": "SECRET QUESTION"}},
        record("2026-10-01T10:00:00Z", "m1", None, 3),
        record("2026-10-01T10:00:05Z", "m1", "end_turn", 41),
        record("2026-10-02T09:00:00Z", "m2", "end_turn", 5, "q2"),
        {"type": "summary", "leafUuid": "x"},
    ]
    path = folder / "session.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path


def test_a_session_log_counts_each_message_once(tmp_path: Path) -> None:
    session_log(tmp_path)
    connector = AnthropicConnector(files=[str(tmp_path)], organization_id="org_1")
    frame = connector.usage(OCTOBER)
    found = frame.groupby("meter")["quantity"].sum().to_dict()
    # two messages: 7 + 7 input; 50 + 50 read; 10 + 10 and 20 + 20 written; 41 + 5 output
    expected = {"input": 14, "cache_read": 100, "cache_write_5m": 20, "cache_write_1h": 40, "output": 46, "requests": 2}
    assert found == expected
    assert set(frame["service_tier"]) == {"fast"}
    assert set(frame["request_id"]) == {"q1", "q2"}
    assert "SECRET" not in frame.astype(str).to_csv()
    assert "repeated a call" in connector.notes[0]
    assert len(connector.usage(Window.of("2026-10-02", "2026-10-03"))) == 6


def test_claude_codes_records_are_left_out_beside_reports(tmp_path: Path) -> None:
    connector = save(tmp_path, a=([row(1)], None))
    session_log(tmp_path)
    assert total(connector) == 100
    assert any("left out" in note for note in connector.notes)


def test_the_claude_code_report_gives_persons_and_terminals(tmp_path: Path) -> None:
    tokens = {"input": 1000, "output": 350, "cache_read": 100, "cache_creation": 50}
    day = {
        "date": "2026-10-01T00:00:00Z", "actor": {"type": "user_actor", "email_address": "dev@example.com"},
        "organization_id": "org_1", "terminal_type": "vscode",
        "model_breakdown": [{"model": "claude-opus-5", "tokens": tokens, "estimated_cost": {"currency": "USD", "amount": 1025}}],
    }  # fmt: skip
    connector = save(tmp_path, a=([day], None))
    frame = connector.usage(OCTOBER)
    assert frame.groupby("meter")["quantity"].sum().to_dict() == {
        "input": 1000,
        "cache_read": 100,
        "cache_write": 50,
        "output": 350,
    }
    assert set(frame["user_id"]) == {"dev@example.com"}
    assert dict(frame["tags"][0]) == {"terminal_type": "vscode"}
    assert frame["billed_cost"].isna().all()


def test_a_bad_count_in_a_log_is_named(tmp_path: Path) -> None:
    broken = record("2026-10-01T10:00:00Z", "m1", "end_turn", 4)
    broken["message"]["usage"]["output_tokens"] = -4
    (tmp_path / "s.jsonl").write_text(json.dumps(broken) + "\n")
    with pytest.raises(UsageError, match="output_tokens must be a whole number"):
        AnthropicConnector(files=[str(tmp_path)]).usage(OCTOBER)


@pytest.mark.parametrize("written", ["{}.0", '"{}"'])
def test_counts_are_the_same_however_json_writes_them(tmp_path: Path, written: str) -> None:
    connector = save(tmp_path, a=([row(1, 140)], None))
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(re.sub(r": (\d+)", lambda found: f": {written.format(found[1])}", text))
    assert total(connector) == 140
