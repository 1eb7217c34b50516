"""Gemini CLI: `~/.gemini/tmp/<hash>/chats/session-*.json` or `.jsonl`, a session's messages with the tokens of each answer.

Cached tokens are inside the input; thoughts and results of tools stand beside. A message written again, or copied into the file
of a session that was resumed, counts once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from finops_ai.errors import DataError
from finops_ai.providers.parsing import require_shape
from finops_ai_agent_logs.calls import Call, Lines, content_of, moment, person_of, stamp
from finops_ai_agent_logs.copies import Copy, originals
from finops_ai_agent_logs.shapes import GEMINI

TOOL, FORMAT = "gemini-cli", "gemini_cli.log"
PLACES = ["~/.gemini/tmp/*/chats/session-*.json*", "~/.gemini/tmp/*/chats/*/*.json*"]
__all__ = ["FORMAT", "PLACES", "TOOL", "is_session", "read"]


def is_session(document: Any) -> bool:
    """Whether a document is a session, or the first record of one."""
    return (
        isinstance(document, dict) and "sessionId" in document and ("projectHash" in document or "messages" in document)
    )


def read(paths: list[Path], notes: list[str], people: dict[str, str], user: str | None) -> list[Call]:
    """The calls of sessions, each once."""
    copies: list[Copy] = []
    for path in paths:
        who = person_of(path, people, user)
        session, kind = path.stem, ""
        for number, record in _records(path, notes):
            place = f"{path}, record {number}"
            if "sessionId" in record:
                session, kind = str(record["sessionId"]), str(record.get("kind") or kind)
            for message in record["messages"] if isinstance(record.get("messages"), list) else [record]:
                tokens = message.get("tokens") if isinstance(message, dict) else None
                if not isinstance(tokens, dict) or message.get("type") not in ("gemini", "assistant", "model"):
                    continue
                require_shape(message, GEMINI, place)
                at = stamp(message.get("timestamp"), place)
                call = Call(
                    moment(at, place), str(message.get("model") or "not stated"), tokens, place, session=session,
                    request=str(message["id"]) if message.get("id") else None,
                    agent="subagent" if kind == "subagent" else None, user=who,
                )  # fmt: skip
                size = int(tokens.get("total") or 0) or sum(n for n in tokens.values() if type(n) is int)
                copies.append(
                    Copy(message.get("id") or (at, call.model, tuple(tokens.items())), at, session, size, call)
                )
    return originals(copies, notes)


def _records(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    content = content_of(path).strip()
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if b"\n" not in content:
            raise DataError(f"{path}: not whole JSON ({error}). Nothing was stored.") from None
        lines = Lines(path, (b'"tokens"', b'"sessionId"'))
        for number, record in lines:
            if isinstance(record, dict):
                yield number, record
        if lines.cut:
            notes.append(f"{path}: its last line is still being written, and left out.")
        return
    yield from (
        (i, r) for i, r in enumerate(document if isinstance(document, list) else [document], 1) if isinstance(r, dict)
    )
