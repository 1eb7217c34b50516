"""OpenCode: the SQLite file `~/.local/share/opencode/opencode.db`; without one, the JSON tree of older versions.

Its five counts are disjoint. A fork copies messages with new ids and their old time: such a copy is the same call. The tree beside a
database is a dead part of it and isn't read.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from finops_ai.errors import DataError
from finops_ai.providers.limits import check_file
from finops_ai.providers.parsing import require_shape
from finops_ai_agent_logs.calls import Call, content_of, moment, person_of, repository_of
from finops_ai_agent_logs.shapes import OPENCODE

TOOL, FORMAT = "opencode", "opencode.log"
PLACES = ["~/.local/share/opencode/opencode*.db", "~/.local/share/opencode/storage/message/**/*.json"]
SQLITE = b"SQLite format 3\0"
Row = tuple[str, Any, dict[str, Any], str]  # session, time, message, place


def is_message(document: Any) -> bool:
    """Whether a document is a message of the older tree."""
    return isinstance(document, dict) and "sessionID" in document and "role" in document


def read(
    databases: Sequence[Path], messages: Sequence[Path], notes: list[str], people: dict[str, str], user: str | None
) -> list[Call]:
    """The calls of databases, or of the older tree, each once."""
    rows: list[tuple[Row, str | None]] = []
    started: dict[str, Any] = {}
    for path in databases:
        who = person_of(path, people, user)
        found, sessions = _database(path)
        started |= sessions
        rows += [(row, who) for row in found]
    if databases and messages:
        notes.append(
            f"{len(messages)} messages of OpenCode's older tree lie beside its database, which holds them: left out."
        )
    else:
        for path in messages:
            rows += [(row, person_of(path, people, user)) for row in _message(path)]
    return _once(rows, started, notes)


def _database(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """Messages, and when sessions began. The file is copied with its -wal first: what was written last is in there, and the original
    isn't touched."""
    check_file(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        shutil.copy(path, copy)
        for end in ("-wal",):
            if (beside := path.with_name(path.name + end)).exists():
                shutil.copy(beside, copy.with_name(copy.name + end))
        try:
            connection = sqlite3.connect(copy)
            try:
                sessions = dict(connection.execute("SELECT id, time_created FROM session"))
                found = connection.execute(
                    "SELECT id, session_id, time_created, data FROM message ORDER BY time_created, id"
                )
                rows = [
                    row for key, session, at, data in found for row in _row(session, at, data, f"{path}, message {key}")
                ]
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise DataError(f"{path}: not a database of OpenCode ({error}). Nothing was stored.") from None
    return rows, sessions


def _message(path: Path) -> Iterator[Row]:
    try:
        message = orjson.loads(content_of(path))
    except orjson.JSONDecodeError as error:
        raise DataError(f"{path}: not whole JSON ({error}). Nothing was stored.") from None
    require_shape(message, {}, path)
    yield from _row(message.get("sessionID"), None, message, str(path))


def _row(session: Any, at: Any, data: Any, place: str) -> Iterator[Row]:
    try:
        message = orjson.loads(data) if isinstance(data, str | bytes) else data
    except orjson.JSONDecodeError as error:
        raise DataError(f"{place}: its data is not whole JSON ({error}). Nothing was stored.") from None
    if (
        not isinstance(message, dict)
        or message.get("role") != "assistant"
        or not isinstance(message.get("tokens"), dict)
    ):
        return
    require_shape(message, OPENCODE, place)
    created = (message.get("time") or {}).get("created")
    yield str(session), at if at is not None else created, message, place


def _once(rows: list[tuple[Row, str | None]], started: dict[str, Any], notes: list[str]) -> list[Call]:
    """Calls without the copies of forks: alike in time, model and tokens, of another session. Twins of one session stay."""
    seen: dict[Any, Counter[str]] = {}
    held: dict[tuple[Any, str], list[Call]] = {}
    for (session, at, message, place), who in rows:
        tokens = message["tokens"]
        counts = _flat(tokens)
        if not any(count for _, count in counts):
            continue  # a call that failed before it was answered
        path: Any = message.get("path") if isinstance(message.get("path"), dict) else {}
        key = (at, message.get("modelID"), counts)
        seen.setdefault(key, Counter())[session] += 1
        call = Call(
            moment(at, place), str(message.get("modelID") or "not stated"), tokens, place, session=session,
            agent=str(message.get("agent") or message.get("mode") or "") or None,
            repository=repository_of(path.get("root") if path.get("root") not in (None, "/") else path.get("cwd")), user=who,
        )  # fmt: skip
        held.setdefault((key, session), []).append(call)
    own = {session for sessions in seen.values() if len(sessions) == 1 for session in sessions}
    calls: list[Call] = []
    for key, sessions in seen.items():
        most = max(sessions.values())
        full = [session for session, count in sessions.items() if count == most]
        # the session that began first; where that isn't told, one whose calls all went on into another
        origin = min(full, key=lambda session: (started.get(session, 0), session in own, session))
        calls += held[(key, origin)]
    if len(rows) > len(calls) and (repeated := sum(sum(s.values()) for s in seen.values()) - len(calls)):
        notes.append(f"{repeated} messages of OpenCode were copied by forks: counted once.")
    return sorted(calls, key=lambda call: call.at)


def _flat(tokens: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    found = []
    for name, value in sorted(tokens.items()):
        for inner, count in sorted(value.items()) if isinstance(value, dict) else (("", value),):
            if type(count) is int:
                found.append((f"{name}.{inner}", count))
    return tuple(found)
