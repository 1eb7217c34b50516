"""Codex: `~/.codex/sessions/**/rollout-*.jsonl` and `archived_sessions/`, which state a session's totals after each call.

A call is what a total has grown by. A total that is written again is no call; one that fell begins anew; a fork's file begins with its
parent's totals, under rewritten times, which are the parent's calls. The same session in two files counts once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from finops_ai.errors import DataError
from finops_ai.providers import Connector, hookimpl
from finops_ai.providers.parsing import require_shape
from finops_ai_agent_logs.calls import Call, Lines, branch_of, moment, person_of, repository_of, said_of
from finops_ai_agent_logs.logs import JsonlConnector
from finops_ai_agent_logs.shapes import COUNTED, SPAWNED, TURN

if TYPE_CHECKING:
    pass

FINOPS_AI_CONTRACT = "1.0"
PROVIDER = TOOL = "codex"
FORMAT = "codex.rollout"
MARKS = (b'"token_count"', b'"turn_context"', b'"session_meta"')
#: counts of a total, in this order; others are kept by name
COUNTS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
Counts = dict[str, int]


@dataclass
class Total:
    """A session's total after a call: its time and model, the counts, and the last call's own counts where stated."""

    at: str
    counts: Counts
    last: Counts | None
    model: str
    number: int
    call: int | None = None


@dataclass
class Rollout:
    """One file: which session it is of, where that was forked from, and its totals, none written twice running."""

    path: Path
    session: str
    parent: str | None = None
    started: str = ""
    agent: str | None = None
    repository: str | None = None
    branch: str | None = None
    user: str | None = None
    totals: list[Total] = field(default_factory=list)


def read(
    paths: Sequence[Path], notes: list[str], people: Mapping[str, str] | None = None, user: str | None = None
) -> list[Call]:
    """The calls of rollouts, each once.

    Raises:
        DataError: a line is no JSON, a record no rollout's, or a count none; names file and line.
    """
    rollouts = []
    for path in paths:
        rollout = _rollout(path, notes)
        rollout.user = person_of(path, people or {}, user)
        rollouts.append(rollout)
    by_session: dict[str, list[Rollout]] = {}
    for rollout in sorted(rollouts, key=lambda r: (r.started, -len(r.totals), str(r.path))):
        by_session.setdefault(rollout.session, []).append(rollout)
    known: dict[str, list[Total]] = {}
    calls: list[Call] = []
    replayed, orphans = 0, 0
    for session in _parents_first(by_session):
        for rollout in by_session[session]:
            base = known.get(session)
            if base is None and rollout.parent:
                base = known.get(rollout.parent)
                orphans += base is None
            replayed += _add(rollout, base or [], calls, same=session in known)
            if session in known:
                known[session] = _longer(known[session], rollout.totals)
            else:
                known[session] = rollout.totals
            if rollout.parent and rollout.parent not in by_session:
                known.setdefault(rollout.parent, rollout.totals)  # brothers share what they replay
    if replayed:
        notes.append(f"{replayed} totals repeat those of a copy or of the session a fork came from: counted once.")
    if orphans:
        notes.append(
            f"{orphans} sessions were forked from one that isn't among the files: what they replay of it is counted with them, once."
        )
    return calls


def _parents_first(sessions: Mapping[str, list[Rollout]]) -> list[str]:
    order: dict[str, None] = {}

    def add(session: str, above: tuple[str, ...] = ()) -> None:
        if session in order or session in above:
            return
        for rollout in sessions[session]:
            if rollout.parent in sessions and rollout.parent != session:
                add(str(rollout.parent), (*above, session))
        order[session] = None

    for session in sessions:
        add(session)
    return list(order)


def _add(rollout: Rollout, base: list[Total], calls: list[Call], *, same: bool) -> int:
    """Add a file's calls beyond what its base has already; how many of its totals are the base's."""
    totals = rollout.totals
    matched = _matched(base, totals)
    for theirs, mine in zip(base[matched[0] :], totals[: matched[1]], strict=False):
        if same and theirs.call is not None and mine.at < theirs.at:  # the copy that kept the earlier time
            theirs.at = mine.at
            calls[theirs.call] = calls[theirs.call]._replace(at=moment(mine.at, str(rollout.path)))
    before = totals[matched[1] - 1].counts if matched[1] else {}
    told = any(total.last is not None and total.last != total.counts for total in totals)  # not merely the total again
    for i, total in enumerate(totals[matched[1] :]):
        counts = total.counts
        last = total.last
        # it goes on from a total of which no record is left here
        if i == 0 and base and not matched[1] and last and all(n >= last.get(name, 0) for name, n in counts.items()):
            before = {name: count - last.get(name, 0) for name, count in counts.items()}
        grown = {name: count - before.get(name, 0) for name, count in counts.items()}
        if _anew(grown, counts, total.last if told else None):
            grown = counts
        before = counts
        if not any(grown.values()):
            continue
        place = (rollout.path, total.number)
        total.call = len(calls)
        calls.append(
            Call(
                moment(total.at, place),
                total.model,
                grown,
                place,
                session=rollout.session,
                agent=rollout.agent,
                repository=rollout.repository,
                branch=rollout.branch,
                user=rollout.user,
            )
        )
    return matched[1]


def _anew(grown: Mapping[str, int], counts: Mapping[str, int], last: Counts | None) -> bool:
    """Whether a session counts from 0 again since it was compacted: its total fell, is all of the last call's own, or grew by parts
    that are more than what holds them."""
    fell = any(count < 0 for count in grown.values())
    inside = (
        grown["cached_input_tokens"] > grown["input_tokens"]
        or grown["reasoning_output_tokens"] > grown["output_tokens"]
    )
    return fell or inside or last == counts


def _matched(base: list[Total], totals: list[Total]) -> tuple[int, int]:
    """Where in the base a file's totals begin, and how many of them are the base's, one after the other."""
    best = (0, 0)
    if not base or not totals:
        return best
    for start in (i for i, total in enumerate(base) if total.counts == totals[0].counts):
        length = 0
        for theirs, mine in zip(base[start:], totals, strict=False):
            if theirs.counts != mine.counts:
                break
            length += 1
        if length > best[1]:
            best = (start, length)
    return best


def _longer(known: list[Total], totals: list[Total]) -> list[Total]:
    """What is known of a session after another file of it: what goes on beyond it is added."""
    start, length = _matched(known, totals)
    return known + totals[length:] if start + length == len(known) or not length else known


def _rollout(path: Path, notes: list[str]) -> Rollout:
    found = _ID.search(path.name)
    rollout = Rollout(path, found[0] if found else path.stem)
    model, identified = "not stated", False
    before: dict[str, Any] | None = None
    lines = Lines(path, MARKS)
    for number, line in lines:
        if not isinstance(line, dict):
            raise DataError(
                f"{path}, line {number}: not a rollout's record but {type(line).__name__}. Nothing was stored."
            )
        payload = line.get("payload")
        if not isinstance(payload, dict):
            continue
        kind = line.get("type")
        if kind == "session_meta":
            if not identified:  # a fork's file holds its parent's, too, further down
                _identify(rollout, payload, line.get("timestamp"))
                identified = True
        elif kind == "turn_context":
            require_shape(payload, TURN, said_of((path, number)))
            model = payload.get("model") or model
        elif kind == "event_msg" and payload.get("type") == "token_count" and payload.get("info"):
            require_shape(payload, COUNTED, said_of((path, number)))
            info = payload["info"]
            stated = info.get("total_token_usage")
            if not isinstance(stated, dict) or stated == before:
                continue  # none, or written again
            before = stated
            place = (path, number)
            counts = _counts(stated, place)
            if rollout.totals and rollout.totals[-1].counts == counts:
                continue  # written again
            last = info.get("last_token_usage")
            at = str(line.get("timestamp") or rollout.started)
            rollout.started = rollout.started or at
            rollout.totals.append(
                Total(
                    at,
                    counts,
                    _counts(last, place) if isinstance(last, dict) else None,
                    info.get("model") or model,
                    number,
                )
            )
    if lines.cut:
        notes.append(f"{path}: its last line is still being written, and left out.")
    return rollout


def _identify(rollout: Rollout, meta: dict[str, Any], written: Any) -> None:
    git = meta.get("git") if isinstance(meta.get("git"), dict) else {}
    rollout.session = str(meta.get("id") or meta.get("session_id") or rollout.session)
    rollout.started = str(meta.get("timestamp") or written or "")
    rollout.repository = repository_of(meta.get("cwd"), git.get("repository_url"))
    rollout.branch = branch_of(git.get("branch"))
    source = meta.get("source")
    spawned: Any = source.get("subagent") if isinstance(source, dict) else None
    parent = meta.get("forked_from_id")
    if spawned:
        thread: Any = spawned.get("thread_spawn") if isinstance(spawned, dict) else None
        if isinstance(thread, dict):
            require_shape(thread, SPAWNED, str(rollout.path))
            parent = parent or thread.get("parent_thread_id")
            rollout.agent = thread.get("agent_nickname") or thread.get("agent_role")
        rollout.agent = rollout.agent or (spawned if isinstance(spawned, str) else "subagent")
    rollout.parent = str(parent) if parent and str(parent) != rollout.session else None


def _counts(usage: dict[str, Any], place: tuple[Path, int]) -> Counts:
    """A usage's counts by name; `total_tokens` repeats the others."""
    found = dict.fromkeys(COUNTS, 0)
    for name, count in usage.items():
        if name == "total_tokens" or count is None:
            continue
        if type(count) is not int or count < 0:
            raise DataError(f"{said_of(place)}: {name} is {count!r}, must be a whole number. Nothing was stored.")
        found[name] = count
    return found


class CodexConnector(JsonlConnector):
    """Session logs of Codex on developers' machines, as list value: a seat's credits or an API key's bill pay for them.

    Example:
        connector = CodexConnector(files=["logs/**/rollout-*.jsonl"], user="ada@example.com")
        tokens = connector.usage(Window.month("2026-10"))
    """

    name: ClassVar[str] = PROVIDER
    title: ClassVar[str] = "Codex (session logs)"
    format: ClassVar[str] = FORMAT

    def places(self) -> list[str]:
        """Where Codex keeps its logs on this machine."""
        home = os.environ.get("CODEX_HOME") or "~/.codex"
        return [f"{home}/sessions/**/rollout-*.jsonl*", f"{home}/archived_sessions/**/rollout-*.jsonl*"]

    def calls(self, paths: Sequence[Path]) -> list[Call]:
        """Every call of the logs, once."""
        settings: Any = self.settings
        return read(paths, self.notes, settings.people, settings.user)


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this module."""
    return [CodexConnector]
