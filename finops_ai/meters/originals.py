"""Calls of session logs that repeat them: streamed in pieces, copied for subagents, and copied when a session is resumed.

A call counts once: with its fullest record, at its earliest time, for the session it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from finops_ai.errors import DataError

Record = dict[str, Any]
#: model of the records a client makes itself for an error: nothing was called
SYNTHETIC = "<synthetic>"


@dataclass(slots=True, eq=False)
class Whence:
    """Where records of a file come from, held once for as many as say the same. Nothing of what was said is kept."""

    forked: bool
    sidechain: bool
    session: str
    path: Path
    folder: str | None
    branch: str | None
    agent: str | None


class Seen(NamedTuple):
    """A record of a call: its time, where from, and its line."""

    at: str
    whence: Whence
    number: int

    def rank(self) -> tuple[str, bool, bool]:
        """The lesser comes first: the earlier, then what isn't a copy by its own word, then what is no subagent's."""
        return self.at, self.whence.forked, self.whence.sidechain


@dataclass(slots=True, eq=False)
class Original:
    """One call.

    Attributes:
        at: the earliest time any of its records states, as text that sorts. whence, number: that record's session, file and line.
        usage: usage object of its fullest record, and the model as that record states it.
        done: whether that record says that the answer was finished.
        asked: its request id, where a record has one.
        message: its message id.
        others: the earliest record of each session, where there are several.
    """

    at: str
    whence: Whence
    number: int
    usage: Record
    model: str
    done: bool
    asked: str | None
    message: str | None
    others: dict[str, Seen] | None = None

    @property
    def request(self) -> str | None:
        """Its request id, else its message id."""
        return self.asked or self.message


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
    >>> [(call.whence.session, call.at[:10], call.usage) for call in calls], repeated
    ([('a', '2026-10-07', {'output_tokens': 9})], 1)
    """
    calls: list[Original] = []
    by_message: dict[Any, Original | list[Original]] = {}
    models: dict[str, str] = {}  # one text for each, not one for each call
    repeated = synthetic = 0
    told: tuple[Any, ...] = ()
    whence: Any = None
    path, number = Path(), 0
    try:
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
            name = str(model or "")
            name = models.setdefault(name, name)
            request = record.get("requestId") or None
            identity = message.get("id")
            key = identity or request or record.get("uuid")
            found = by_message.get(key)
            call = None if found is None else _among(found, request)
            if (
                call is not None
                and at > call.at
                and call.others is None
                and record.get("sessionId") == call.whence.session
            ):
                repeated += 1  # written again while it streamed, as most are: nothing of it comes first
            else:
                said = _said(path, record)
                if said != told:
                    told, whence = said, _whence(*said)
                if call is None:
                    call = Original(
                        at, whence, number, usage, name, bool(message.get("stop_reason")), request, identity
                    )
                    calls.append(call)
                    if key is not None:
                        _remember(by_message, key, call)
                    continue
                repeated += 1
                _see(call, Seen(at, whence, number))
            if call.asked is None:
                call.asked = request
            done = bool(message.get("stop_reason"))
            if _fullness(done, usage) >= _fullness(call.done, call.usage):
                call.done, call.usage, call.model = done, usage, name or call.model
    except TypeError as error:  # a name that is a list, a count that is a text
        raise DataError(
            f"{path}, line {number}: the record isn't as Claude Code writes it ({error}). Nothing was stored; leave it out or mend it."
        ) from None
    _settle(calls)
    return calls, repeated, synthetic


def _said(path: Path, record: Record) -> tuple[Any, ...]:
    """What a record says of where it was written."""
    told = record.get
    return (
        path, told("sessionId"), bool(told("forkedFrom")), bool(told("isSidechain")), told("cwd"), told("gitBranch"),
        told("agentName"), told("agentId"),
    )  # fmt: skip


def _whence(
    path: Path,
    session: str | None,
    forked: bool,
    sidechain: bool,
    folder: str | None,
    branch: str | None,
    name: str | None,
    agent: str | None,
) -> Whence:
    agent = name or (f"subagent {agent or ''}".rstrip() if sidechain else None)
    return Whence(forked, sidechain, session or path.stem, path, folder, branch, agent)


def _fullness(done: bool, usage: Record) -> tuple[bool, int, int]:
    """Of two records of a call, the one that counts is the greater: finished, then of more output, then of more input."""
    told = usage.get
    inputs = (
        (told("input_tokens") or 0)
        + (told("cache_read_input_tokens") or 0)
        + (told("cache_creation_input_tokens") or 0)
    )
    return done, told("output_tokens") or 0, inputs


def _among(found: Original | list[Original] | None, request: str | None) -> Original | None:
    """The call a record belongs to of those with its message id: with the same request id, or where one has none."""
    for call in (found,) if isinstance(found, Original) else found or ():
        if request is None or call.asked is None or call.asked == request:
            return call
    return None


def _remember(by_message: dict[Any, Any], key: object, call: Original) -> None:
    found = by_message.get(key)
    if found is None:
        by_message[key] = call
    elif isinstance(found, Original):
        by_message[key] = [found, call]
    else:
        found.append(call)


def _see(call: Original, seen: Seen) -> None:
    """Keep the earliest record of each session."""
    session = seen.whence.session
    if call.others is None:
        first = Seen(call.at, call.whence, call.number)
        if session == call.whence.session:
            if seen.rank() < first.rank():
                call.at, call.whence, call.number = seen
            return
        call.others = {call.whence.session: first}
    known = call.others.get(session)
    if known is None or seen.rank() < known.rank():
        call.others[session] = seen


def _settle(calls: list[Original]) -> None:
    """Give each call the session it comes from, and put them in order of their time."""
    own: dict[str, str] = {}  # session -> time of its first call that no other session has
    for call in calls:
        if call.others is None and call.at < own.get(call.whence.session, "~"):
            own[call.whence.session] = call.at

    def order(seen: Seen) -> tuple[Any, ...]:
        # a session whose calls all went on into another is where they come from
        return *seen.rank(), own.get(seen.whence.session, ""), str(seen.whence.path)

    for call in calls:
        call.model = call.model or "not stated"
        if call.others is not None:
            call.at, call.whence, call.number = min(call.others.values(), key=order)
    calls.sort(key=attrgetter("at"))


def _sortable(text: str, path: Path, number: int) -> str:
    import datetime as dt

    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DataError(f"{path}, line {number}: its time is {text!r}, must be a time. Nothing was stored.") from None
    at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


__all__ = ["Original", "Whence", "original_calls"]
