"""Saved reports and answers: what each file holds, told from its content."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from finops_ai.errors import DataError
from finops_ai.periods import UTC
from finops_ai.providers.files import find_files, read_bytes, read_json_any
from finops_ai.providers.parsing import require_shape
from finops_ai_github_copilot import report
from finops_ai_github_copilot.items import Line
from finops_ai_github_copilot.report import Charge
from finops_ai_github_copilot.shapes import ANSWER

Row = dict[str, Any]


@dataclass
class Saved:
    """What the files hold."""

    lines: list[Line] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    seats: list[Row] = field(default_factory=list)
    total_seats: int | None = None
    centers: list[Row] = field(default_factory=list)
    #: login (lower case) -> last day that a metrics report has use of, and the teams it names
    active: dict[str, dt.datetime] = field(default_factory=dict)
    teams: dict[str, set[str]] = field(default_factory=dict)


def read_saved(patterns: list[str], notes: list[str]) -> Saved:
    """Everything the files hold. A report in two files with the same content counts once.

    Answers of billing usage don't name the cost center they were asked for: it is taken from the file's name where that ends
    in `cost_center_NAME`.

    Raises:
        DataError: a damaged file, one that is neither a report nor an answer, or two reports that tell a day differently.
    """
    found = Saved()
    reports: dict[bytes, str] = {}
    days: dict[Any, tuple[Any, Counter[str]]] = {}
    for path in find_files(patterns):
        content = read_bytes(path)
        if content in reports:
            notes.append(f"{path} repeats {reports[content]}: counted once.")
            continue
        head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
        if head.startswith((b"{", b"[")):
            reports[content] = str(path)
            for number, document in read_json_any(path):
                for answer in document if isinstance(document, list) else [document]:
                    _sort(answer, f"{path}, document {number}", _center(path.stem), found)
            continue
        header = head.split(b"\n", 1)[0].decode("utf-8", "replace").split(",")
        if not report.is_report(header):
            raise DataError(f"{path}: no usage report of GitHub: its columns are {header[:12]}. {_KINDS}")
        reports[content] = str(path)
        held = list(report.read(content, path, notes))
        for line in _new(held, path, days, notes):
            if isinstance(line, Line):
                found.lines.append(line)
            else:
                found.charges.append(line)
    if several := sum(len(teams) > 1 for teams in found.teams.values()):
        notes.append(
            f"{several} of {len(found.teams)} people are in several teams of GitHub's: sums by its teams would count them again, so "
            "[people] teams says whose they are."
        )
    return found


def _new(
    held: list[Line | Charge], path: Any, days: dict[Any, tuple[Any, Counter[str]]], notes: list[str]
) -> list[Line | Charge]:
    """What a report holds that none before it did. Rows have no id, so a day is the same or it isn't.

    Raises:
        DataError: another report has other rows of the same day, organization and kind.
    """
    told: dict[Any, list[Line | Charge]] = {}
    for line in held:
        kind = line.premium if isinstance(line, Line) else line.product.lower()
        told.setdefault((line.day, line.organization, kind), []).append(line)
    new, again = [], set()
    for key, rows in told.items():
        mine = Counter(map(repr, rows))
        other, theirs = days.setdefault(key, (path, mine))
        if other == path:
            new += rows
        elif mine == theirs:
            again.add(other)
        else:
            raise DataError(
                f"{path} and {other} both hold {key[0]:%Y-%m-%d} of {key[1] or 'no organization'}, and not alike: rows have no id, "
                "so they would count twice. Keep the newer report."
            )
    notes += [f"{path} repeats days that {other} has: counted once." for other in sorted(map(str, again))]
    return new


def _sort(answer: Any, where: str, center: str | None, found: Saved) -> None:
    if not isinstance(answer, dict):
        raise DataError(f"{where}: neither a report nor an answer. {_KINDS}")
    require_shape(answer, ANSWER, where)
    if isinstance(answer.get("seats"), list):
        found.seats += answer["seats"]
        found.total_seats = answer.get("total_seats", found.total_seats)
    elif "user_login" in answer and "day" in answer:
        _metrics(answer, where, found)
    elif isinstance(answer.get("costCenters"), list):
        found.centers += answer["costCenters"]
    elif isinstance(answer.get("usageItems"), list) and "timePeriod" not in answer:
        found.charges += [report.of_item(item, center) for item in answer["usageItems"]]
    elif isinstance(answer.get("usageItems"), list):
        raise DataError(
            f"{where}: sums of AI credits don't name the person, day and repository their report has. Save the AI usage report "
            "(CSV) instead."
        )
    else:
        raise DataError(f"{where}: no known answer, with the keys {sorted(answer)[:12]}. {_KINDS}")


def _metrics(row: Row, where: str, found: Saved) -> None:
    """A line of the metrics reports by user: that somebody used Copilot on a day, or is in a team. Its credits are a signal of use and
    no bill, and a person in two teams is on two lines: nothing of it is added."""
    login = str(row["user_login"]).lower()
    if row.get("team_id") is not None:
        found.teams.setdefault(login, set()).add(str(row.get("slug") or row["team_id"]))
        return
    try:
        day = dt.datetime.fromisoformat(str(row["day"])).replace(tzinfo=UTC)
    except ValueError:
        raise DataError(f"{where}: day is {row['day']!r}, must be a day. Nothing was stored.") from None
    counts = [value for name, value in row.items() if name.endswith("_count") or name.startswith("used_")]
    if any(counts):
        found.active[login] = max(day, found.active.get(login, day))


def _center(stem: str) -> str | None:
    _, mark, name = stem.rpartition("cost_center_")
    return name if mark and name != "none" and not stem.endswith("no_cost_center") else None


_KINDS = (
    "Known are usage reports (CSV), answers of copilot/billing/seats, cost-centers and settings/billing/usage, and the metrics reports "
    "users-1-day and user-teams-1-day (NDJSON)."
)
