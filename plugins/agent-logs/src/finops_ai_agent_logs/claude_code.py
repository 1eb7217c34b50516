"""Claude Code: `~/.claude/projects/**/*.jsonl`, one record a line, an assistant's message on several of them.

A message is written again while it streams, copied into the files of subagents, and copied under a new session's id when a session
is resumed. It counts once: with its fullest record, at its earliest time, for the session it comes from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from finops_ai.meters import Whence, original_calls, service_tier
from finops_ai.providers import Connector, hookimpl
from finops_ai.providers.parsing import require_shape
from finops_ai_agent_logs.calls import Call, Lines, branch_of, moment, person_of, repository_of, said_of
from finops_ai_agent_logs.logs import JsonlConnector
from finops_ai_agent_logs.shapes import USAGE, WHENCE

if TYPE_CHECKING:
    pass

FINOPS_AI_CONTRACT = "1.0"
PROVIDER = TOOL = "claude-code"
FORMAT = "anthropic.messages"


def read(
    paths: Sequence[Path], notes: list[str], people: Mapping[str, str] | None = None, user: str | None = None
) -> list[Call]:
    """The calls of session logs, each once.

    Raises:
        DataError: a line is no JSON, or a record has no time; names file and line.
    """

    def records() -> Any:
        for path in paths:
            lines = Lines(path, (b'"usage"',))
            for number, record in lines:
                yield path, number, record
            if lines.cut:
                notes.append(f"{path}: its last line is still being written, and left out.")

    kept, repeated, synthetic = original_calls(records())
    if repeated:
        notes.append(f"{repeated} records repeat a call (streamed, copied for a subagent, resumed): each counts once.")
    if synthetic:
        notes.append(f"{synthetic} records of errors were made by Claude Code itself: no model was called.")
    tier_of = cache(service_tier)  # few texts, told a million times

    @cache
    def shared(whence: Whence) -> tuple[str | None, ...]:
        """What the calls of one place have in common: repository, branch, person."""
        require_shape({"sessionId": whence.session, "agentName": whence.agent}, WHENCE, whence.path)
        return (
            repository_of(whence.folder), branch_of(whence.branch), person_of(whence.path, people or {}, user)
        )  # fmt: skip

    found = []
    for call in kept:
        whence, usage = call.whence, call.usage
        place = (whence.path, call.number)
        repository, branch, person = shared(whence)
        require_shape({**usage, "requestId": call.request}, USAGE, said_of(place))
        geo = usage.get("inference_geo")
        tier = "fast" if usage.get("speed") == "fast" else tier_of(usage.get("service_tier"))
        geo = None if geo in (None, "", "not_available") else str(geo).lower()
        found.append(
            Call(
                moment(call.at, place), call.model, usage, place, whence.session, call.request, whence.agent, repository,
                branch, tier, geo, user=person,
            )
        )  # fmt: skip
    return found


class ClaudeCodeConnector(JsonlConnector):
    """Session logs of Claude Code on developers' machines, as list value: whoever pays, it is on another bill.

    Example:
        connector = ClaudeCodeConnector(files=["logs/**/*.jsonl"], user="ada@example.com")
        tokens = connector.usage(Window.month("2026-10"))
    """

    name: ClassVar[str] = PROVIDER
    title: ClassVar[str] = "Claude Code (session logs)"
    format: ClassVar[str] = FORMAT

    def places(self) -> list[str]:
        """Where Claude Code keeps its logs on this machine."""
        return [f"{os.environ.get('CLAUDE_CONFIG_DIR') or '~/.claude'}/projects/**/*.jsonl"]

    def calls(self, paths: Sequence[Path]) -> list[Call]:
        """Every call of the logs, once."""
        settings: Any = self.settings
        return read(paths, self.notes, settings.people, settings.user)


@hookimpl
def finops_ai_connectors() -> list[type[Connector]]:
    """The connector of this module."""
    return [ClaudeCodeConnector]
