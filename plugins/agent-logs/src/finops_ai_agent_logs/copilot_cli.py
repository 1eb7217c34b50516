"""Copilot CLI: `~/.copilot/session-state/<id>/events.jsonl`, which sums a session's use by model when it is shut down.

A session that is resumed is shut down several times: those sums add up. Sums know no single call: where one reaches over
midnight (UTC) it is shared out over the days by the output its messages state, and says so. `cost` is a multiplier, no money.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finops_ai.money import split_exactly
from finops_ai.providers.parsing import require_shape
from finops_ai_agent_logs.calls import MICROSECOND, Call, Lines, branch_of, moment, person_of, repository_of
from finops_ai_agent_logs.shapes import EVENT, FIGURES

TOOL, FORMAT = "copilot-cli", "copilot_cli.log"
PLACES = ["~/.copilot/session-state/*/events.jsonl"]
MARKS = (b'"session.start"', b'"session.resume"', b'"session.shutdown"', b'"assistant.message"')
COUNTS = ("inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens")
DAY = dt.timedelta(days=1)


@dataclass
class _Session:
    name: str
    place: str
    repository: str | None = None
    branch: str | None = None
    user: str | None = None
    since: dt.datetime | None = None
    messages: list[tuple[dt.datetime, int, str | None, str]] = field(default_factory=list)


def is_event(document: Any) -> bool:
    """Whether a record is one of a Copilot CLI session."""
    return isinstance(document, dict) and str(document.get("type", "")).startswith(("session.", "user.", "assistant."))


def read(paths: Sequence[Path], notes: list[str], people: dict[str, str], user: str | None) -> list[Call]:
    """Sums of sessions as calls: one per shutdown and model, each shutdown once whatever number of files holds it."""
    calls: list[Call] = []
    seen: set[Any] = set()
    beside = open_ends = repeated = 0
    for path in sorted(paths):
        session = _Session(path.parent.name if path.name == "events.jsonl" else path.stem, str(path))
        session.user = person_of(path, people, user)
        lines = Lines(path, MARKS)
        for number, event in lines:
            kind, data = event.get("type"), event.get("data") if isinstance(event.get("data"), dict) else {}
            place = f"{path}, line {number}"
            if kind not in ("session.start", "session.resume", "session.shutdown", "assistant.message"):
                continue
            require_shape({**event, "data": data}, EVENT, place)
            at = moment(event.get("timestamp"), place)
            session.since = session.since or at
            identity = (
                session.name if not event.get("id") else "",
                event.get("id") or (kind, str(event.get("timestamp"))),
            )
            if kind in ("session.start", "session.resume"):
                _begin(session, data, at)
                continue
            if identity in seen:
                repeated += 1
                continue
            seen.add(identity)
            if kind == "assistant.message":
                model = data.get("model")
                session.messages.append((at, int(data.get("outputTokens") or 0), str(model) if model else None, place))
                continue
            made, odd = _shut_down(session, data, at, place)
            calls += made
            beside += odd
            session.messages, session.since = [], at
        if lines.cut:
            notes.append(f"{path}: its last line is still being written, and left out.")
        if any(output for _, output, _, _ in session.messages):
            open_ends += 1
            calls += [
                Call(at, model or "not stated", {"outputTokens": output}, place, session.name, None, None, session.repository,
                     session.branch, user=session.user)
                for at, output, model, place in session.messages
            ]  # fmt: skip
    if repeated:
        notes.append(f"{repeated} events of Copilot CLI are in several files: counted once.")
    if open_ends:
        notes.append(
            f"{open_ends} sessions of Copilot CLI weren't shut down: of their last part only the output is known."
        )
    if beside:
        notes.append(
            f"{beside} sums of Copilot CLI state more cached tokens than input: their writes are taken to stand beside it."
        )
    return calls


def _begin(session: _Session, data: dict[str, Any], at: dt.datetime) -> None:
    session.name = str(data.get("sessionId") or session.name)
    context: Any = data.get("context") if isinstance(data.get("context"), dict) else {}
    session.repository = _remote(context) or session.repository
    session.branch = branch_of(context.get("branch")) or session.branch
    session.since = at


def _remote(context: dict[str, Any]) -> str | None:
    named = context.get("repository")
    return str(named) if named else repository_of(context.get("gitRoot") or context.get("cwd"))


def _shut_down(session: _Session, data: dict[str, Any], at: dt.datetime, place: str) -> tuple[list[Call], int]:
    since = session.since or at
    metrics = data.get("modelMetrics")
    calls, odd = [], 0
    for model, figures in metrics.items() if isinstance(metrics, dict) else ():
        require_shape(figures, FIGURES, place)
        usage = {name: count for name, count in (figures.get("usage") or {}).items() if count is not None}
        read, write = usage.get("cacheReadTokens") or 0, usage.get("cacheWriteTokens") or 0
        if read + write > (usage.get("inputTokens") or 0) >= read:
            usage["inputTokens"] = (usage.get("inputTokens") or 0) + write
            odd += 1
        count = int((figures.get("requests") or {}).get("count") or 0)
        if not count and not any(usage.values()):
            continue
        calls += _by_day(session, str(model), usage, count, since, at, place)
    return calls, odd


def _by_day(
    session: _Session, model: str, usage: dict[str, Any], count: int, since: dt.datetime, until: dt.datetime, place: str
) -> list[Call]:
    """The sum as one slice, or one a UTC day by the output its messages state."""
    weights: dict[dt.date, int] = {}
    stated = [m for m in session.messages if m[2] in (None, model)] or session.messages
    for at, output, _, _ in stated:
        weights[at.date()] = weights.get(at.date(), 0) + output
    if not any(weights.values()):
        weights = {since.date(): 1}
    days = sorted(day for day, weight in weights.items() if weight)
    shares = [weights[day] for day in days]
    split = {name: split_exactly(int(n), shares) for name, n in usage.items() if type(n) is int}
    requests = split_exactly(count, shares)
    calls = []
    for i, day in enumerate(days):
        midnight = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
        start, end = max(since, midnight), min(until, midnight + DAY)
        calls.append(
            Call(start, model, {name: parts[i] for name, parts in split.items()}, place, session.name, None, None,
                 session.repository, session.branch, requests=requests[i], until=max(end, start + MICROSECOND),
                 estimated=len(days) > 1, user=session.user)
        )  # fmt: skip
    return calls
