"""What every local log comes down to: calls, each once, as one token frame. Money is a list value: a log is no bill.

The rules for what logs repeat are those of `finops_ai_agent_logs.copies`; a tool's own module only says what a record means.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError
from finops_ai.frames import conform
from finops_ai.meters import disjoint_columns, tokens_from_slices
from finops_ai.periods import UTC, Window
from finops_ai.providers.files import read_bytes
from finops_ai.providers.limits import GZIP, check_file, require

MICROSECOND = dt.timedelta(microseconds=1)
ZSTD = b"\x28\xb5\x2f\xfd"
#: bytes read at once
BLOCK = 1 << 18
#: calls made rows of at once: what a piece needs besides its rows is memory that the next one uses again
PIECE = 1 << 16
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Call(NamedTuple):
    """One call, or a sum of calls where a log has only sums.

    Attributes:
        at: when it began, UTC. until: end of the slice, where it is more than an instant.
        usage: the tool's own counts, in its own nesting.
        requests: number of calls; None = not told.
        place: where it was read: text, or a file and its line.
        estimated: its day or split is worked out, not read.
    """

    at: dt.datetime
    model: str
    usage: Mapping[str, Any]
    place: str | tuple[Path, int]
    session: str | None = None
    request: str | None = None
    agent: str | None = None
    repository: str | None = None
    branch: str | None = None
    tier: str = "standard"
    geo: str | None = None
    requests: int | None = 1
    until: dt.datetime | None = None
    estimated: bool = False
    user: str | None = None


def token_frame(
    calls: Sequence[Call],
    window: Window,
    *,
    provider: str,
    tool: str,
    format: str,
    account: str,
    notes: list[str],
) -> pd.DataFrame:
    """Token frame of the calls that begin in the window, with `money_basis` list and no billed cost.

    Raises:
        UsageError: a part is larger than its total; names file and line.
    """
    chosen = [call for call in calls if window.start <= call.at < window.end]
    if not chosen:
        return conform({}, source=tool)
    counted: dict[str, Any] = disjoint_columns(
        [c.usage for c in chosen], format, lambda i: said_of(chosen[i].place), notes
    )
    counted["requests"] = pa.array([c.requests or 0 for c in chosen], pa.int64())
    ids = pa.array(_told_apart(chosen), pa.string())
    same = {
        "provider": provider, "billing_account_id": account, "operation": "chat", "tool_name": tool, "source": "log",
        "money_basis": "list",
    }  # fmt: skip
    pieces = []
    for begin in range(0, len(chosen), PIECE):
        columns = _columns(chosen[begin : begin + PIECE]) | same | {"request_id": ids.slice(begin, PIECE)}
        meters = {name: values.slice(begin, PIECE) for name, values in counted.items()}
        pieces.append(conform(tokens_from_slices(columns, meters), source=tool))
    return pieces[0] if len(pieces) == 1 else pd.concat(pieces, ignore_index=True)


def _columns(calls: Sequence[Call]) -> dict[str, Any]:
    """What calls say of themselves, one value each."""

    def text(values: list[str | None]) -> pa.Array:
        return pa.array(values, pa.string())

    begun = pa.array([c.at for c in calls], pa.timestamp("us", "UTC"))
    until = pa.array([c.until for c in calls], begun.type)
    return {
        "charge_period_start": begun,
        "charge_period_end": pc.coalesce(until, pc.add(begun, pa.scalar(1, pa.duration("us")))),
        "model": text([c.model for c in calls]),
        "service_tier": text([c.tier for c in calls]),
        "inference_geo": text([c.geo for c in calls]),
        "user_id": text([c.user for c in calls]),
        "session_id": text([c.session for c in calls]),
        "agent_name": text([c.agent for c in calls]),
        "repository": text([c.repository for c in calls]),
        "branch": text([c.branch for c in calls]),
        "slice_requests": pa.array([c.requests for c in calls], pa.int64()),
        "quantity_basis": text(["estimated" if c.estimated else "metered" for c in calls]),
    }


def said_of(place: str | tuple[Path, int]) -> str:
    """Where a record was read, in words."""
    return place if isinstance(place, str) else f"{place[0]}, line {place[1]}"


def _told_apart(calls: Sequence[Call]) -> list[str | None]:
    """Request ids; calls that have none and are alike get their number, so that they stay two."""
    ids: list[str | None] = []
    seen: dict[Any, int] = {}
    for call in calls:
        if call.request is not None:
            ids.append(call.request)
            continue
        key = (call.at, call.model, call.session, call.agent, call.user, call.tier)
        seen[key] = number = seen.get(key, 0) + 1
        ids.append(None if number == 1 else f"#{number}")
    return ids


class Lines:
    """The lines of a log that may matter, parsed: (number, record). A last line that is still being written is left out.

    Args:
        path: JSON Lines, packed with gzip or zstd or not.
        marks: only lines that hold one of these texts are parsed; what they say is still to be looked at.
    """

    def __init__(self, path: Path, marks: Sequence[bytes]) -> None:
        self.path, self.marks = path, tuple(marks)
        self.cut = False

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        marks, parse = self.marks, orjson.loads
        with _opened(self.path) as stream:
            for number, line in enumerate(stream, 1):
                for mark in marks:
                    if mark in line:
                        break
                else:
                    continue
                try:
                    yield number, parse(line)
                except orjson.JSONDecodeError as error:
                    if not line.endswith(b"\n"):
                        self.cut = True
                        return
                    require(len(line), "line_bytes", f"{self.path}, line {number}", "its length in bytes")
                    raise DataError(
                        f"{self.path}, line {number}: not whole JSON ({error}). Nothing was stored; leave the file out or mend it."
                    ) from None


def _opened(path: Path) -> IO[bytes]:
    """A log to read line by line. What isn't packed is never in memory as a whole: fresh memory costs more than reading."""
    check_file(path)
    try:
        stream = path.open("rb", buffering=BLOCK)
        packed = stream.peek(4)[:4]
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}).") from None
    if packed[:2] != GZIP and packed != ZSTD:
        return stream
    stream.close()
    return io.BytesIO(content_of(path))


def content_of(path: Path) -> bytes:
    """A file's content, unpacked where it is gzip or zstd, within the limits in force."""
    content = read_bytes(path)
    if content[:4] != ZSTD:
        return content
    from finops_ai.providers.limits import check_unpacked

    pieces, total = [], 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(content), "zstd") as stream:
            while piece := stream.read(1 << 20):
                total += len(piece)
                check_unpacked(total, len(content), path)
                pieces.append(piece)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: the zstd file is damaged or cut short ({error}). Nothing was stored.") from None
    return b"".join(pieces)


def moment(text: Any, place: str | tuple[Path, int]) -> dt.datetime:
    """A record's time, in UTC: ISO text, or milliseconds or seconds since 1970.

    >>> moment("2026-10-07T23:59:59.500Z", "").isoformat(), moment(1791417600000, "").day
    ('2026-10-07T23:59:59.500000+00:00', 8)
    """
    try:
        if type(text) is str and text[-1:] == "Z":
            return dt.datetime.fromisoformat(text)
        if isinstance(text, int | float) and not isinstance(text, bool):
            micros = round(text * (1000 if abs(text) > 1e11 else 1_000_000))
            return dt.datetime(1970, 1, 1, tzinfo=UTC) + micros * MICROSECOND
        at = dt.datetime.fromisoformat(str(text))
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError(f"{said_of(place)}: its time is {text!r}, must be a time. Nothing was stored.") from None


def stamp(text: Any, place: str) -> str:
    """A time as text that sorts: UTC, to the microsecond; what is written so already stays.

    >>> stamp("2026-10-07T23:59:59.500Z", ""), stamp("2026-10-08T01:59:59.500+02:00", "")
    ('2026-10-07T23:59:59.500Z', '2026-10-07T23:59:59.500Z')
    """
    if type(text) is str and _STAMP.fullmatch(text):
        return text
    at = moment(text, place)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"


def repository_of(folder: Any = None, remote: Any = None) -> str | None:
    """A repository's name: owner/name from its remote address, else the name of the folder worked in. Never a path.

    >>> repository_of("/home/ada/src/kite"), repository_of("/x/kite", "git@github.com:acme/kite.git")
    ('kite', 'acme/kite')
    >>> repository_of("C:\\\\src\\\\kite"), repository_of("/home/ada/src/kite/.claude/worktrees/blue")
    ('kite', 'kite')
    """
    if remote:
        path = re.sub(r"^[a-z+]+://", "", str(remote)).removesuffix("/").removesuffix(".git")
        parts = [part for part in re.split(r"[/:]", path) if part]
        return "/".join(parts[-2:]) or None
    parts = [part for part in re.split(r"[/\\]", str(folder or "")) if part]
    for mark in (".claude", ".git", ".worktrees"):
        if mark in parts[1:]:
            parts = parts[: parts.index(mark, 1)]
    return parts[-1] if parts else None


def branch_of(name: Any) -> str | None:
    """A branch's name; a detached head is none."""
    text = str(name or "").strip()
    return None if text in ("", "HEAD") else text


def person_of(path: Path, people: Mapping[str, str], user: str | None) -> str | None:
    """Whose log a file is: the first pattern that fits its path, else `user`. A log itself names no person."""
    text = path.as_posix()
    who = next((who for pattern, who in people.items() if fnmatch.fnmatch(text, pattern)), user)
    return who.strip().lower() if who and "@" in who else who
