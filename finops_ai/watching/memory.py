"""What was told to whom, on disk: each event through its life, each message once, across kills, restarts and clock steps.

An event is a key (a budget of a period, an incident, a late source) with a level. When it is first seen, when its level
rises and when it is over, one message per channel falls due, in the transaction that records it. A message is marked as handed over
once the connection stands and before its bytes leave; one that was handed over when the process died isn't sent again, as
it may have arrived, and is told as unconfirmed. Nothing here depends on the clock: times are kept only to be read.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import FinopsError, StoreError
from finops_ai.store.whole import private

try:
    import fcntl
except ImportError:  # Windows: two watchers at the same moment aren't held apart there
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

log = logging.getLogger("finops_ai.watching")

OPENED, WORSE, RESOLVED = "opened", "worse", "resolved"
_TABLES = """
CREATE TABLE IF NOT EXISTS events (key TEXT, channel TEXT, kind TEXT, number INTEGER, level REAL, open INTEGER, facts TEXT, seen TEXT,
  PRIMARY KEY (key, channel));
CREATE TABLE IF NOT EXISTS posts (id TEXT PRIMARY KEY, event TEXT, channel TEXT, stage TEXT, message TEXT, state TEXT, tries INTEGER,
  said TEXT, at TEXT);
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value TEXT);
"""


@dataclass(frozen=True)
class Event:
    """Something somebody may have to know of, as it is now.

    Attributes:
        key: what it is, whatever the time: "budget:search:2026-10", "source:openai".
        kind: budget, incident or source.
        level: how bad; 0 = over. A message falls due when it rises above the highest that was told.
        text: it in a sentence.
        facts: plain JSON values.
        step: the level must be this many times the told one to be worse.
        quiet: it is over without anybody being told, such as a budget whose period has ended.
    """

    key: str
    kind: str
    level: float
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    step: float = 1.0
    quiet: bool = False


@dataclass(frozen=True)
class Message:
    """One message of one event to one channel."""

    id: str
    event: str
    channel: str
    stage: str
    body: Mapping[str, Any]


class Memory:
    """The memory of one workspace.

    Args:
        path: the file; made where it isn't there.

    Example:
        >>> import tempfile
        >>> memory = Memory(Path(tempfile.mkdtemp()) / "alerts.sqlite")
        >>> over = Event("budget:search:2026-10", "budget", 1, "search: 80% spent.")
        >>> [memory.learn([over], {"budget": ["mail"]}) for _ in range(2)]
        [1, 0]
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with private():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                con = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path}: what was told can't be remembered ({error}), so nothing is sent.") from None
        try:
            con.execute("PRAGMA synchronous = FULL")
            con.executescript(_TABLES)
            yield con
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.path}: can't be read or written ({error}), so nothing is sent. Move it away to start with an empty memory."
            ) from None
        finally:
            con.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold every other watcher of the workspace off."""
        with private():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = self.path.with_suffix(".lock").open("a")
        with handle:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def learn(self, events: Iterable[Event], channels: Mapping[str, Sequence[str]]) -> int:
        """Take in what is the case now; says how many messages fell due.

        Args:
            events: as they are now. An event that isn't among them is left as it is: only what was looked at is over.
            channels: kind of event -> names of the channels that are told.
        """
        due = 0
        with self._open() as con:
            con.execute("BEGIN IMMEDIATE")
            for event in events:
                for channel in channels.get(event.kind, ()):
                    due += self._learn(con, event, channel)
            con.execute("COMMIT")
        return due

    def _learn(self, con: sqlite3.Connection, event: Event, channel: str) -> int:
        found = con.execute(
            "SELECT number, level, open FROM events WHERE key = ? AND channel = ?", [event.key, channel]
        ).fetchone()
        number, told, is_open = found or (0, 0.0, 0)
        if event.level <= 0:
            if not is_open:
                return 0
            stage, level, is_open = RESOLVED, told, 0
        elif not is_open:
            stage, level, number, is_open = OPENED, event.level, number + 1, 1
        elif event.level > told and event.level >= told * event.step:
            stage, level = WORSE, event.level
        else:
            return 0
        con.execute(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                event.key,
                channel,
                event.kind,
                number,
                level,
                is_open,
                json.dumps(dict(event.facts), default=str),
                _now(),
            ],
        )
        if event.quiet:
            return 0
        id = f"{event.key}#{number}.{stage}.{level:g}"
        body = {
            "id": id, "event": event.key, "kind": event.kind, "stage": stage, "text": event.text, "facts": dict(event.facts),
        }  # fmt: skip
        con.execute(
            "INSERT OR IGNORE INTO posts VALUES (?, ?, ?, ?, ?, 'due', 0, '', ?)",
            [f"{id}@{channel}", event.key, channel, stage, json.dumps(body, default=str), _now()],
        )
        return int(con.execute("SELECT changes()").fetchone()[0])

    def due(self, message: Message) -> bool:
        """Let a message fall due that no event has, such as a statement; False if it did so before."""
        with self._open() as con:
            con.execute(
                "INSERT OR IGNORE INTO posts VALUES (?, ?, ?, ?, ?, 'due', 0, '', ?)",
                [message.id, message.event, message.channel, message.stage, json.dumps(dict(message.body), default=str), _now()],
            )  # fmt: skip
            return bool(con.execute("SELECT changes()").fetchone()[0])

    def state_of(self, id: str) -> str:
        """due, handed, sent or unconfirmed; "" for a message that never fell due."""
        with self._open() as con:
            found = con.execute("SELECT state FROM posts WHERE id = ?", [id]).fetchone()
        return found[0] if found else ""

    def recover(self) -> list[str]:
        """What a process left that died while it sent: told as unconfirmed, and not sent again. Call it under `alone`."""
        with self._open() as con:
            left = [row[0] for row in con.execute("SELECT id FROM posts WHERE state = 'handed'")]
            con.execute("UPDATE posts SET state = 'unconfirmed' WHERE state = 'handed'")
        return left

    def waiting(self, channels: Iterable[str], event: str = "") -> list[Message]:
        """Messages that are due on these channels, oldest first."""
        names = list(channels)
        marks = ", ".join("?" * len(names))
        with self._open() as con:
            rows = con.execute(
                f"SELECT id, event, channel, stage, message FROM posts WHERE state = 'due' AND channel IN ({marks}) "
                "AND (? = '' OR event = ?) ORDER BY rowid",
                [*names, event, event],
            ).fetchall()
        return [Message(i, e, c, s, json.loads(m)) for i, e, c, s, m in rows]

    def mark(self, id: str, state: str, said: str = "") -> None:
        """Record what became of a message."""
        with self._open() as con:
            con.execute(
                "UPDATE posts SET state = ?, said = ?, tries = tries + 1, at = ? WHERE id = ?",
                [state, said, _now(), id],
            )

    def open_events(self, kind: str) -> dict[str, dict[str, Any]]:
        """Events that go on for any channel, by key, with their facts and told level."""
        with self._open() as con:
            rows = con.execute("SELECT key, level, facts FROM events WHERE open = 1 AND kind = ?", [kind]).fetchall()
        return {key: json.loads(facts) | {"level": level} for key, level, facts in rows}

    def note(self, name: str, value: object) -> None:
        """Keep a value."""
        with self._open() as con:
            con.execute("INSERT OR REPLACE INTO marks VALUES (?, ?)", [name, json.dumps(value, default=str)])

    def noted(self, name: str) -> Any:
        """A value that was kept; None without one."""
        with self._open() as con:
            found = con.execute("SELECT value FROM marks WHERE name = ?", [name]).fetchone()
        return json.loads(found[0]) if found else None


def memory_of(ws: Workspace) -> Memory:
    """The memory of what was told for a workspace."""
    return Memory(ws.state_folder / "alerts.sqlite")


def send_due(
    memory: Memory,
    channels: Mapping[str, Any],
    event: str = "",
    problem: Callable[[Message, FinopsError], None] = lambda message, error: None,
) -> list[Message]:
    """Send what is due, each message once; what fails for certain stays due. Call it under `alone`.

    Args:
        memory: what was told.
        channels: name -> channel; messages of others stay due.
        event: only messages of this one.
        problem: called with each message that couldn't be sent, and why.

    Returns:
        What was sent.
    """
    sent = []
    for message in memory.waiting(channels, event):

        def handed(id: str = message.id) -> None:
            memory.mark(id, "handed")

        try:
            channels[message.channel].send(message.body, handed)
        except FinopsError as error:
            memory.mark(message.id, "due", str(error))
            problem(message, error)
            continue
        memory.mark(message.id, "sent")
        sent.append(message)
    return sent


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
