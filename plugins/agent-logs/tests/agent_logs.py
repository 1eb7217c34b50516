"""Logs of coding agents as their tools write them: a few lines each, with texts that must never be kept."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

SECRET = "the text of a prompt"


def write(path: Path, records: list[Any]) -> Path:
    """JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# ---- Claude Code


def said(
    session: str, at: str, message: str, output: int, *, read: int = 1000, request: str | None = "auto", done: bool = True,
    fresh: int = 4, write_5m: int = 20, write_1h: int = 0, **more: Any,
) -> dict[str, Any]:  # fmt: skip
    """A record of an assistant's message."""
    usage = {
        "input_tokens": fresh, "output_tokens": output, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        "service_tier": "standard",
    }  # fmt: skip
    body = {
        "id": message, "role": "assistant", "model": "claude-sonnet-4-5-20250929", "usage": usage,
        "stop_reason": "end_turn" if done else None, "content": [{"type": "text", "text": SECRET}],
    }  # fmt: skip
    record = {
        "type": "assistant", "timestamp": at, "sessionId": session, "cwd": f"/home/ada/src/kite {SECRET}"[: len("/home/ada/src/kite")],
        "gitBranch": "feature/one", "uuid": f"u-{session}-{message}-{output}", "message": body,
    }  # fmt: skip
    if request:
        record["requestId"] = f"req_{message}" if request == "auto" else request
    return record | more


def asked(session: str, at: str) -> dict[str, Any]:
    """A record of what a person asked."""
    return {"type": "user", "timestamp": at, "sessionId": session, "message": {"role": "user", "content": SECRET}}


def synthetic(session: str, at: str) -> dict[str, Any]:
    """The record that Claude Code makes of an error."""
    record = said(session, at, "err", 0, read=0, fresh=0, write_5m=0, request=None, isApiErrorMessage=True)
    record["message"]["model"] = "<synthetic>"
    return record


# ---- Codex


def meta(session: str, at: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    """A rollout's first record."""
    git = {"branch": "main", "repository_url": "git@github.com:acme/kite.git", "commit_hash": "f" * 40}
    payload = {
        "id": session,
        "timestamp": at,
        "cwd": "/home/ada/src/kite",
        "originator": "codex_cli_rs",
        "git": git,
        **more,
    }
    return {
        "timestamp": at,
        "type": "session_meta",
        "payload": payload | ({"forked_from_id": parent} if parent else {}),
    }


def turn(at: str, model: str = "gpt-5.4") -> dict[str, Any]:
    """The model from here on."""
    return {
        "timestamp": at,
        "type": "turn_context",
        "payload": {"model": model, "cwd": "/home/ada/src/kite", "summary": SECRET},
    }


def total(
    at: str, fresh: int, cached: int, out: int, reasoning: int = 0, last: tuple[int, int, int, int] | None = None
) -> dict[str, Any]:
    """A total: input with `cached` in it, output with `reasoning` in it."""

    def usage(fresh: int, cached: int, out: int, reasoning: int) -> dict[str, int]:
        return {
            "input_tokens": fresh + cached, "cached_input_tokens": cached, "output_tokens": out,
            "reasoning_output_tokens": reasoning, "total_tokens": fresh + cached + out,
        }  # fmt: skip

    info = {"total_token_usage": usage(fresh, cached, out, reasoning), "model_context_window": 272_000}
    if last:
        info["last_token_usage"] = usage(*last)
    limits = {"primary": {"used_percent": 3.0}, "secondary": None}
    return {
        "timestamp": at,
        "type": "event_msg",
        "payload": {"type": "token_count", "info": info, "rate_limits": limits},
    }


def noise(at: str) -> dict[str, Any]:
    """A record that is no total, though its text names one."""
    return {
        "timestamp": at,
        "type": "response_item",
        "payload": {"type": "message", "content": f'{SECRET} "token_count" "usage"'},
    }


# ---- OpenCode


def database(path: Path, sessions: dict[str, int], messages: list[tuple[str, str, int, dict[str, Any]]]) -> Path:
    """A database of sessions (id -> when it began) and messages (id, session, time, data)."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE session (id TEXT, title TEXT, time_created INTEGER)")
    connection.execute("CREATE TABLE message (id TEXT, session_id TEXT, time_created INTEGER, data TEXT)")
    connection.executemany("INSERT INTO session VALUES (?, ?, ?)", [(s, SECRET, at) for s, at in sessions.items()])
    connection.executemany(
        "INSERT INTO message VALUES (?, ?, ?, ?)", [(m, s, at, json.dumps(d)) for m, s, at, d in messages]
    )
    connection.commit()
    connection.close()
    return path


def answered(tokens: tuple[int, int, int, int, int], model: str = "claude-sonnet-4-5") -> dict[str, Any]:
    """An answer: input, output, reasoning, cache read, cache write."""
    fresh, out, reasoning, read, written = tokens
    return {
        "role": "assistant", "modelID": model, "providerID": "anthropic", "mode": "build", "cost": 0,
        "path": {"cwd": "/home/ada/src/kite", "root": "/home/ada/src/kite"}, "system": [SECRET],
        "tokens": {"input": fresh, "output": out, "reasoning": reasoning, "cache": {"read": read, "write": written}},
    }  # fmt: skip
