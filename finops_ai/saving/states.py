"""What was decided of opportunities, kept in the workspace: a file that is only ever added to, a line a decision."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.shapes import misfit

#: what can be decided, and what it is called afterwards
DECISIONS = {"accept": "accepted", "dismiss": "dismissed", "done": "done", "reopen": "open"}
FILE = "opportunities.jsonl"


@dataclass(frozen=True)
class State:
    """Where an opportunity stands.

    Attributes:
        state: open, accepted, dismissed or done.
        reason: why it was dismissed, or what was said otherwise.
        at: when it was decided; None while open.
        about: what it was when it was decided: kind, subject, saving, month.
    """

    state: str = "open"
    reason: str = ""
    at: dt.datetime | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether its saving is still to be had."""
        return self.state in ("open", "accepted")


OPEN = State()


class Decisions:
    """The decisions of a workspace, in the order they were made.

    Args:
        folder: of the workspace, where `opportunities.jsonl` lies.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def lines(self) -> list[dict[str, Any]]:
        """Every decision as it was written.

        Raises:
            DataError: a line can't be read; names it.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{self.path} can't be read: {error}.") from None
        out = []
        for number, line in enumerate(text.split("\n"), 1):
            if not line:
                continue
            try:
                entry = json.loads(line)
                dt.datetime.fromisoformat(entry["at"])
                if wrong := misfit(entry, {"reason": "text", "about": {}}):
                    raise ValueError(wrong)
                if entry["state"] not in DECISIONS.values() or not isinstance(entry["id"], str):
                    raise ValueError(f"unknown state {entry['state']!r}")
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise DataError(
                    f"{self.path}, line {number}: {error}. Take the line out, or restore the file."
                ) from None
            out.append(entry)
        return out

    def states(self) -> dict[str, State]:
        """Where each opportunity stands: its last decision."""
        return {
            line["id"]: State(line["state"], line.get("reason", ""), dt.datetime.fromisoformat(line["at"]), line.get("about", {}))
            for line in self.lines()
        }  # fmt: skip

    def decide(
        self,
        id: str,
        decision: str,
        reason: str = "",
        about: Mapping[str, Any] | None = None,
        at: dt.datetime | None = None,
    ) -> State:
        """Write a decision down.

        Args:
            id: of the opportunity.
            decision: accept, dismiss, done or reopen.
            reason: why; a dismissal needs one.
            about: what it is: kind, subject, saving, month.
            at: when; now by default.

        Raises:
            SettingsError: an unknown decision, or a dismissal without a reason.
        """
        if decision not in DECISIONS:
            raise SettingsError(f"{decision!r} can't be decided. {hint(decision, DECISIONS)}")
        if decision == "dismiss" and not reason.strip():
            raise SettingsError('A dismissal needs its reason, so that nobody looks into it again: --reason "...".')
        known = self.states().get(id, OPEN)
        when = at or dt.datetime.now(dt.UTC)
        made = State(DECISIONS[decision], reason.strip(), when, dict(about or known.about))
        entry = {
            "id": id,
            "state": made.state,
            "reason": made.reason,
            "at": when.isoformat(),
            "about": _plain(made.about),
        }
        line = json.dumps(entry, ensure_ascii=False, default=str) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())  # one write to a file opened to append: lines of two writers don't mix
            os.fsync(handle)
        finally:
            os.close(handle)
        return made


def _plain(about: Mapping[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, Decimal) else v for k, v in about.items()}
