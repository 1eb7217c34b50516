"""What was said, done and committed stays where it was: nothing of it is in the lake, on a page, in a file written or a message."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from agent_logs import answered, database, meta, said, total, turn, write

import finops_ai as fa
from finops_ai.cli import main

MARK = "Zwetschgenknödel"
DAY = "2026-10-07T10:00:0{}.000Z"
#: bytes that would tell it in any of the ways files are written
MARKS = (MARK.encode(), MARK.encode("utf-16-le"), json.dumps(MARK)[1:-1].encode(), b"Zwetschgenkn")


def marked(record: Any) -> Any:
    """A record with texts beside all it has: what a tool may write today or tomorrow."""
    if isinstance(record, list):
        return [marked(value) for value in record]
    if not isinstance(record, dict):
        return record
    texts = {
        "content": MARK,
        "text": MARK,
        "diff": f"+{MARK}",
        "command": f"rm {MARK}",
        "file_path": f"/src/{MARK}.py",
        "summary": MARK,
        "title": MARK,
    }
    return {**texts, **{name: value if name == "modelMetrics" else marked(value) for name, value in record.items()}}


def logs(folder: Path) -> None:
    """Logs of every tool, texts everywhere; folders worked in lie below one that is named with the mark."""
    cwd = {"cwd": f"/home/{MARK}/kite"}
    # counts hold texts, too, where a tool would write them
    write(
        folder / "s.jsonl",
        [marked(said("s", DAY.format(1), "m", 5, **cwd)), {"type": "user", "message": {"content": MARK}}],
    )
    write(
        folder / "rollout-a.jsonl",
        [marked(meta("a", DAY.format(1), **cwd)), marked(turn(DAY.format(2))), total(DAY.format(3), 10, 5, 3)],
    )
    chat = {"sessionId": "g", "projectHash": "h", "kind": "main", "messages": [
        {"type": "user", "content": MARK},
        {"id": "g1", "type": "gemini", "timestamp": DAY.format(4), "model": "gemini-2.5-pro", "content": MARK, "thoughts": [{"subject": MARK}],
         "tokens": {"input": 9, "output": 2, "cached": 3, "thoughts": 1, "tool": 0, "total": 12}}]}  # fmt: skip
    (folder / "session-1.json").write_text(json.dumps(marked(chat)))
    usage = {"inputTokens": 9, "outputTokens": 2, "cacheReadTokens": 1, "cacheWriteTokens": 0, "reasoningTokens": 0}
    write(folder / "copilot" / "events.jsonl", [
        {"type": "session.start", "timestamp": DAY.format(5), "id": "e0", "data": marked({"sessionId": "c", "context": {"cwd": f"/home/{MARK}/kite", "branch": "main"}})},
        {"type": "session.shutdown", "timestamp": DAY.format(6), "id": "e1", "data": marked({"modelMetrics": {"gpt-5": {"requests": {"count": 1, "cost": 1}, "usage": usage}}})},
    ])  # fmt: skip
    told = answered((1, 1, 0, 0, 0)) | {"path": {"cwd": f"/home/{MARK}/kite", "root": f"/home/{MARK}/kite"}}
    database(folder / "opencode.db", {"o": 1}, [("m1", "o", 1791367200000, marked(told))])


def telemetry(path: Path) -> None:
    """A span of a call with the texts an application may have left in it."""
    texts = {
        "gen_ai.input.messages": MARK,
        "gen_ai.prompt.0.content": MARK,
        "gen_ai.completion": MARK,
        "code.filepath": f"/src/{MARK}.py",
        "exception.message": MARK,
    }
    names = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "session.id": "t",
        **texts,
    }
    counts = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 4}
    attributes = [{"key": k, "value": {"stringValue": v}} for k, v in names.items()] + [
        {"key": k, "value": {"intValue": str(n)}} for k, n in counts.items()
    ]
    span = {"traceId": "1", "spanId": "2", "name": f"chat {MARK}", "kind": 3, "startTimeUnixNano": "1791367200000000000", "endTimeUnixNano": "1791367201000000000",
            "attributes": attributes, "events": [{"name": "gen_ai.user.message", "attributes": attributes}], "status": {"message": MARK}}  # fmt: skip
    path.write_text(
        json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [span]}]}]}) + "\n"
    )


def repository(path: Path) -> None:
    """A clone with one commit whose message, file and change hold the mark."""
    path.mkdir()
    (path / f"{MARK}.txt").write_text(MARK)
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        [*who, "commit", "-q", "-m", f"{MARK}\n\nClaude-Session: s", "--date", "2026-10-07T10:30:00Z"],
    ):
        subprocess.run(
            ["git", *words],
            cwd=path,
            check=True,
            env={
                "GIT_COMMITTER_DATE": "2026-10-07T10:30:00Z",
                "PATH": "/usr/bin:/bin:/usr/local/bin",
                "HOME": str(path),
            },
        )


def holding(folder: Path) -> list[Path]:
    """Files that hold the mark, tables unpacked."""
    found = []
    for path in (p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        if content[:4] == b"PAR1":
            table = pq.read_table(path)
            content += str(table.schema).encode() + str(table.to_pydict()).encode()
        if any(mark in content for mark in MARKS) or "Zwetschgenkn" in path.name:
            found.append(path)
    return found


@pytest.mark.long
def test_no_text_path_or_message_is_kept_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, root = tmp_path / "source", tmp_path / "workspace"
    source.mkdir()
    root.mkdir()
    logs(source)
    telemetry(tmp_path / "t.jsonl")
    repository(tmp_path / "kite")
    (root / "accounts.csv").write_text("account,person,team\nada@example.com,Ada,web\n")
    (root / "finops.toml").write_text(
        '[people]\naccounts = "accounts.csv"\ngit = ["../kite"]\nshown = true\nsmallest = 1\n[providers.logs]\nconnector = "agent-logs"\n'
        'files = ["../source/**/*"]\nuser = "ada@example.com"\n[providers.otel]\nconnector = "otel"\nfiles = ["../t.jsonl"]\n'
        '[dimensions.team]\ndefault = "nobody"\n'
    )  # fmt: skip
    config = ["-c", str(root / "finops.toml")]
    month = ["--month", "2026-10"]
    for words in (
        ["-v", "collect", "--from", "2026-10-01", "--to", "2026-10-31"], ["report", *month],
        *(["people", what, *month] for what in ("months", "sessions", "outcomes", "logs")),
        ["showback", "--by", "session_id,repository,branch", *month, "--format", "csv", "-o", str(root / "s.csv")],
        ["export", "focus", *month, "-o", str(root / "focus.parquet")],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stopped:
            main([*words, *config])
        shown = capsys.readouterr()
        assert stopped.value.code == 0, (words, shown.out[-1500:], shown.err[-3000:])
        assert "Zwetschgenkn" not in shown.out + shown.err, words
    ws = fa.open(root / "finops.toml")
    tokens = ws.tokens("2026-10")
    assert set(tokens["tool_name"].dropna()) == {"claude-code", "codex", "gemini-cli", "copilot-cli", "opencode"}
    assert set(tokens["repository"].dropna()) <= {"kite", "acme/kite"}
    assert holding(root) == []
    assert len(holding(source)) == 5  # the marks are there to be found

    # a line that can't be read, or a count that is none, is told by its place alone
    for text in (f'{{"type": "assistant", "message": {{"usage": "{MARK}', f'{{"{MARK}"'):
        (source / "s.jsonl").write_text(text + "\n{}\n")
        with pytest.raises(SystemExit):
            main(["-v", "collect", "--from", "2026-10-01", "--to", "2026-10-31", *config])
        shown = capsys.readouterr()
        assert "Zwetschgenkn" not in shown.out + shown.err
    assert holding(root) == []
