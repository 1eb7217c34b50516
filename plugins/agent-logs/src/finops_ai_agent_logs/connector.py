"""One connector for whatever logs of coding agents a folder holds: each file is told by its content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from finops_ai.errors import DataError
from finops_ai.frames import concat, conform
from finops_ai.periods import Window
from finops_ai_agent_logs import claude_code, codex, copilot_cli, gemini_cli, kiro, opencode
from finops_ai_agent_logs.calls import ZSTD, Call, content_of, token_frame
from finops_ai_agent_logs.logs import LogConnector

if TYPE_CHECKING:
    import pandas as pd

#: how much of a file is looked at to tell what it is
SAMPLE, LOOKED_AT = 1 << 16, 50
#: records that say no more than that there is a session of Claude Code
CLAUDE = {"summary", "user", "assistant", "system", "file-history-snapshot", "queue-operation", "progress"}


class AgentLogsConnector(LogConnector):
    """Logs of Claude Code, Codex, Gemini CLI, Copilot CLI and OpenCode, and Kiro's user report.

    `provider` and `tool_name` are the tool. Logs are list value; Kiro's credits are included, those beyond the plan cash, and their
    money is on the AWS bill.

    Example:
        connector = AgentLogsConnector(files=["logs/**/*"], people={"*/ada/*": "ada@example.com"})
        tokens = connector.usage(Window.month("2026-10"))
    """

    name: ClassVar[str] = "agent-logs"
    title: ClassVar[str] = "Logs of coding agents"

    def places(self) -> list[str]:
        """Where the tools keep their logs on this machine, those with a connector of their own left out."""
        return [*gemini_cli.PLACES, *copilot_cli.PLACES, *opencode.PLACES]

    def frame(self, paths: Sequence[Path], window: Window) -> pd.DataFrame:
        """Token frame of all files, tool by tool."""
        settings: Any = self.settings
        kinds, read = self.once(paths, lambda: self._calls(paths))
        common: dict[str, Any] = {"account": settings.account, "notes": self.notes}
        frames = [
            token_frame(calls, window, provider=tool, tool=tool, format=format, **common)
            for tool, format, calls in read
            if calls
        ]
        if kinds.get(kiro.TOOL):
            frames.append(kiro.token_frame(kinds[kiro.TOOL], window, **common))
        return concat(frames) if frames else conform({}, source=self.name)

    def _calls(self, paths: Sequence[Path]) -> tuple[dict[str, list[Path]], list[tuple[str, str, list[Call]]]]:
        settings: Any = self.settings
        kinds: dict[str, list[Path]] = {}
        for path in paths:
            kinds.setdefault(kind_of(path), []).append(path)
        if unknown := kinds.pop("", []):
            self.notes.append(f"{len(unknown)} files hold no log that is known, the first {unknown[0]}: left out.")
        if not kinds:
            raise DataError(f"{paths[0]}: no log of a coding agent among the {len(paths)} files. {KNOWN}")
        whose: Any = (self.notes, settings.people, settings.user)
        databases, messages = kinds.get("opencode", []), kinds.get("opencode message", [])
        return kinds, [
            (claude_code.TOOL, claude_code.FORMAT, claude_code.read(kinds.get(claude_code.TOOL, []), *whose)),
            (codex.TOOL, codex.FORMAT, codex.read(kinds.get(codex.TOOL, []), *whose)),
            (gemini_cli.TOOL, gemini_cli.FORMAT, gemini_cli.read(kinds.get(gemini_cli.TOOL, []), *whose)),
            (copilot_cli.TOOL, copilot_cli.FORMAT, copilot_cli.read(kinds.get(copilot_cli.TOOL, []), *whose)),
            (opencode.TOOL, opencode.FORMAT, opencode.read(databases, messages, *whose)),
        ]


KNOWN = (
    "Known are session logs of Claude Code, rollouts of Codex, chats of Gemini CLI, events of Copilot CLI, OpenCode's database or "
    "messages, and Kiro's user report (CSV)."
)


def kind_of(path: Path) -> str:
    """Which tool's log a file is, by its content; "" where it is none that is known."""
    with path.open("rb") as file:
        head = file.read(SAMPLE)
    if head.startswith(opencode.SQLITE):
        return "opencode"
    if head[:2] == b"\x1f\x8b" or head[:4] == ZSTD:
        head = content_of(path)[:SAMPLE]
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith((b"{", b"[")):
        names = head.split(b"\n", 1)[0].decode("utf-8", "replace").strip().split(",")
        return kiro.TOOL if kiro.is_report(names) else ""
    whole = len(head) < SAMPLE // 2
    for content in (head,) if whole else (head, content_of(path)):
        for line in content.split(b"\n")[:LOOKED_AT]:
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                break
            if kind := _kind(record):
                return kind
    try:
        document = orjson.loads(content_of(path))
    except orjson.JSONDecodeError:
        return ""
    return _kind(document[0] if isinstance(document, list) and document else document)


def _kind(record: Any) -> str:
    if not isinstance(record, dict):
        return ""
    if opencode.is_message(record):
        return "opencode message"
    if gemini_cli.is_session(record):
        return gemini_cli.TOOL
    if isinstance(record.get("payload"), dict) and str(record.get("type")) in (
        "session_meta",
        "turn_context",
        "event_msg",
        "response_item",
    ):
        return codex.TOOL
    if copilot_cli.is_event(record):
        return copilot_cli.TOOL
    if str(record.get("type")) in CLAUDE and ("sessionId" in record or "leafUuid" in record or "message" in record):
        return claude_code.TOOL
    return ""
