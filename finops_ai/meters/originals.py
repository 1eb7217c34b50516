"""Calls of session logs that repeat them: streamed in pieces, copied for subagents, and copied when a session is resumed.

A call counts once: with its fullest record, at its earliest time, for the session it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from finops_ai.errors import DataError

Record = dict[str, Any]
#: model of the records a client makes itself for an error: nothing was called
SYNTHETIC = "<synthetic>"


class Origin(NamedTuple):
    """What a record says of where its call was made. Of two, the lesser comes first: the earlier, then what isn't a copy by
    its own word, then what is no subagent's. Nothing of what was said is kept.
    """

    at: str
    forked: bool
    sidechain: bool
    session: str
    path: Path
    number: int
    folder: str | None
    branch: str | None
    agent: str | None


class Original(NamedTuple):
    """One call.

    Attributes:
        usage: usage object of its fullest record.
        model: as that record states it.
        request: its request id, else its message id.
        origin: where it comes from: the earliest time any of its records states, session, folder, branch, agent, file and line.
    """

    usage: Record
    model: str
    request: str | None
    origin: Origin


class _Group:
    """Records of one call: the fullest so far, and the earliest of each session."""

    __slots__ = ("asked", "first", "fullest", "model", "others", "rank", "request")

    def __init__(self, asked: str | None, request: str | None, seen: Origin) -> None:
        self.asked, self.request, self.first = asked, request, seen
        self.others: dict[str, Origin] | None = None
        self.rank: tuple[int, int, int] = (-1, -1, -1)
        self.fullest: Record = {}
        self.model = ""


def original_calls(records: Iterable[tuple[Path, int, Record]]) -> tuple[list[Original], int, int]:
    """The calls of Claude Code's session logs, each once, whatever order the files come in.

    Records of one call share `message.id` and `requestId`; a record without a request id (a gateway gives none) belongs to
    its message id. Of copies at the same time, the session it comes from is one that says it was not forked, is no
    subagent's, and went its own way first.

    Args:
        records: file, line and record, of all files that may hold copies of each other.

    Returns:
        The calls in order of their time; how many records repeated one; how many records of errors were no calls.

    Raises:
        DataError: a record has no time; names file and line.

    >>> def record(session, at, output):
    ...     return Path(session), 1, {"sessionId": session, "timestamp": at, "requestId": "r", "message": {
    ...         "id": "m", "model": "claude-opus-5", "usage": {"output_tokens": output}}}
    >>> calls, repeated, _ = original_calls([record("b", "2026-10-08T00:00:01.000Z", 9), record("a", "2026-10-07T23:59:59.000Z", 2)])
    >>> [(call.origin.session, call.origin.at[:10], call.usage) for call in calls], repeated
    ([('a', '2026-10-07', {'output_tokens': 9})], 1)
    """
    groups: list[_Group] = []
    by_message: dict[Any, _Group | list[_Group]] = {}
    repeated = synthetic = 0
    for path, number, record in records:
        if type(record) is not dict:
            continue
        message = record.get("message")
        if type(message) is not dict:
            continue
        usage = message.get("usage")
        if type(usage) is not dict:
            continue
        model = message.get("model")
        if model == SYNTHETIC:
            synthetic += 1
            continue
        at = record.get("timestamp")
        if type(at) is not str or not at:
            raise DataError(f"{path}, line {number}: the record of a call has no timestamp. Nothing was stored.")
        if len(at) != 24 or at[-1] != "Z":
            at = _sortable(at, path, number)
        request = record.get("requestId")
        key = message.get("id") or request or record.get("uuid")
        group = _group_of(by_message, key, request) if key is not None else None
        if group is None:
            group = _Group(request, request or message.get("id"), _origin(at, path, number, record))
            groups.append(group)
            if key is not None:
                _remember(by_message, key, group)
        else:
            repeated += 1
            if request and group.asked is None:
                group.asked = group.request = request
            first = group.first
            # written again while it streamed, as most are: nothing of it comes first
            if at <= first.at or group.others is not None or (record.get("sessionId") or path.stem) != first.session:
                _see(group, _origin(at, path, number, record))
        output = usage.get("output_tokens") or 0
        inputs = (
            (usage.get("input_tokens") or 0)
            + (usage.get("cache_read_input_tokens") or 0)
            + (usage.get("cache_creation_input_tokens") or 0)
        )
        rank = (1 if message.get("stop_reason") else 0, output, inputs)
        if rank >= group.rank:
            group.rank, group.fullest, group.model = rank, usage, model or group.model
    return _origins(groups), repeated, synthetic


def _origin(at: str, path: Path, number: int, record: Record) -> Origin:
    told = record.get
    sidechain = bool(told("isSidechain"))
    agent = told("agentName") or (f"subagent {told('agentId') or ''}".rstrip() if sidechain else None)
    session = told("sessionId") or path.stem
    return Origin(at, bool(told("forkedFrom")), sidechain, session, path, number, told("cwd"), told("gitBranch"), agent)


def _group_of(by_message: dict[Any, Any], key: object, request: str | None) -> _Group | None:
    """The call a record belongs to: of its message id, with the same request id or where one has none."""
    found = by_message.get(key)
    for group in (found,) if isinstance(found, _Group) else found or ():
        if request is None or group.asked is None or group.asked == request:
            return group
    return None


def _remember(by_message: dict[Any, Any], key: object, group: _Group) -> None:
    found = by_message.get(key)
    if found is None:
        by_message[key] = group
    elif isinstance(found, _Group):
        by_message[key] = [found, group]
    else:
        found.append(group)


def _see(group: _Group, seen: Origin) -> None:
    """Keep the earliest record of each session."""
    if group.others is None:
        if seen.session == group.first.session:
            if seen[:3] < group.first[:3]:
                group.first = seen
            return
        group.others = {group.first.session: group.first}
    known = group.others.get(seen.session)
    if known is None or seen[:3] < known[:3]:
        group.others[seen.session] = seen


def _origins(groups: list[_Group]) -> list[Original]:
    own: dict[str, str] = {}  # session -> time of its first call that no other session has
    for group in groups:
        if group.others is None and group.first.at < own.get(group.first.session, "~"):
            own[group.first.session] = group.first.at
    found = []
    for group in groups:
        origin = group.first
        if group.others is not None:
            # a session whose calls all went on into another is where they come from
            origin = min(group.others.values(), key=lambda seen: (*seen[:3], own.get(seen.session, ""), str(seen.path)))
        found.append(Original(group.fullest, str(group.model or "not stated"), group.request, origin))
    found.sort(key=lambda call: call.origin.at)
    return found


def _sortable(text: str, path: Path, number: int) -> str:
    import datetime as dt

    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{path}, line {number}: its time is {text!r}, must be a time. Nothing was stored.") from None
    at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


__all__ = ["Origin", "Original", "original_calls"]
