"""Saved answers of the API and exports of the dashboard: what each file holds, told from its content."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from finops_ai.errors import DataError
from finops_ai.periods import UTC, Window
from finops_ai.providers.files import find_files, read_bytes, read_json_any
from finops_ai.providers.parsing import require_shape
from finops_ai_cursor import dashboard, events
from finops_ai_cursor.api import mail, moment
from finops_ai_cursor.events import Event
from finops_ai_cursor.listing import Page, Row, read_growing
from finops_ai_cursor.shapes import PAGE

EVER = Window(dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2200, 1, 1, tzinfo=UTC))


@dataclass
class Saved:
    """What the files hold."""

    events: list[Event] = field(default_factory=list)
    spend: list[tuple[dt.datetime | None, list[Row]]] = field(default_factory=list)
    members: list[Row] | None = None
    groups: list[Row] = field(default_factory=list)
    commits: list[Row] = field(default_factory=list)
    daily: list[Row] | None = None


def read_saved(patterns: list[str], notes: list[str], user: str | None) -> Saved:
    """Everything the files hold. Pages of one listing of events are put together as a live read does.

    Raises:
        DataError: a damaged file, one that is neither a saved answer nor an export, or pages that don't fit together.
    """
    found = Saved()
    listings: dict[str, list[tuple[int, Row, Path]]] = {}
    dashboards: list[Path] = []
    for path in find_files(patterns):
        if _is_csv(path):
            dashboards.append(path)
            continue
        for number, document in read_json_any(path):
            where = f"{path}, document {number}"
            for answer in document if isinstance(document, list) else [document]:
                if not isinstance(answer, dict):
                    raise DataError(f"{where}: neither a saved answer nor an export. {_KINDS}")
                require_shape(answer, PAGE, where)
                if isinstance(answer.get("usageEvents"), list):
                    period = str(answer.get("period") or "")
                    page = int((answer.get("pagination") or {}).get("currentPage") or 1)
                    listings.setdefault(period, []).append((page, answer, path))
                else:
                    _sort(answer, where, found)
    if listings and dashboards:
        raise DataError(
            "Saved answers of usage events and exports of the dashboard are both among the files: they may hold the same "
            "events, which have no id. Keep one kind."
        )
    told: list[_Told] = []
    for pages in listings.values():
        listed = events.events_of(_put_together(pages, notes), EVER, notes)
        found.events += _new(listed, str(pages[0][2]), told, notes)
    for path in dashboards:
        found.events += _new(list(dashboard.events_of(path, notes, user)), str(path), told, notes)
    return found


class _Told(NamedTuple):
    """Events of one export or listing, the time they reach over, and where they are from."""

    place: str
    first: dt.datetime
    last: dt.datetime
    by_user: dict[str | None, list[Event]]


def _new(mine: list[Event], place: str, told: list[_Told], notes: list[str]) -> list[Event]:
    """The events that no file before has. They have no id, so where two reach over the same time, a person's must be the same.

    Raises:
        DataError: two files tell different events of a person for the same time.
    """
    if not mine:
        return mine
    by_user: dict[str | None, list[Event]] = {}
    for event in mine:
        by_user.setdefault(event.user, []).append(event)
    here = _Told(place, min(e.at for e in mine), max(e.at for e in mine), by_user)
    new = dict(by_user)
    for other in told:
        first, last = max(here.first, other.first), min(here.last, other.last)
        for user in new.keys() & other.by_user.keys():
            theirs, own = ([e for e in t.by_user[user] if first <= e.at <= last] for t in (other, here))
            if not theirs or not own:
                continue
            if Counter(map(repr, theirs)) != Counter(map(repr, own)):
                raise DataError(
                    f"{place} and {other.place} both reach over {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} and don't hold the same "
                    "events, which have no id: they would count twice. Keep the newer file."
                )
            new[user] = [e for e in new[user] if not first <= e.at <= last]
            said = f"{place} repeats events that {other.place} has: counted once."
            notes += [said] if said not in notes else []
    told.append(here)
    return [event for events_ in new.values() for event in events_]


def _put_together(pages: list[tuple[int, Row, Path]], notes: list[str]) -> list[Row]:
    by_number: dict[int, Row] = {}
    for number, answer, path in sorted(pages, key=lambda item: item[0]):
        if number in by_number and by_number[number] != answer:
            raise DataError(
                f"{path}: page {number} of the same listing is in another file with other rows. Keep one of the two."
            )
        by_number[number] = answer
    numbers = sorted(by_number)
    if numbers != list(range(1, len(numbers) + 1)):
        raise DataError(f"{pages[0][2]}: pages {numbers} of a listing: one is missing. Save it, too.")

    def ask(number: int) -> Page:
        answer = by_number[number]
        return Page(answer["usageEvents"], answer.get("totalUsageEventsCount"), number < len(numbers))

    return read_growing(ask, "usage events", notes)


def _sort(answer: Row, where: str, found: Saved) -> None:
    if isinstance(answer.get("teamMemberSpend"), list):
        start = answer.get("subscriptionCycleStart")
        found.spend.append((moment(start) if start else None, answer["teamMemberSpend"]))
    elif isinstance(answer.get("teamMembers"), list):
        found.members = [*(found.members or []), *answer["teamMembers"]]
    elif isinstance(answer.get("groups"), list):
        found.groups += [*answer["groups"], *filter(None, [answer.get("unassignedGroup")])]
    elif isinstance(answer.get("items"), list):
        found.commits += answer["items"]
    elif isinstance(answer.get("data"), list):
        found.daily = [*(found.daily or []), *answer["data"]]
    else:
        raise DataError(f"{where}: no known answer, with the keys {sorted(answer)[:12]}. {_KINDS}")


def active_days(daily: list[Row], window: Window) -> dict[str, dt.datetime]:
    """E-mail (lower case) -> begin of its latest active day in the window."""
    found: dict[str, dt.datetime] = {}
    for row in daily:
        email = mail(row.get("email"))
        if row.get("isActive") and email and row.get("date") is not None and (at := moment(row["date"])) in window:
            found[email] = max(at, found.get(email, at))
    return found


def _is_csv(path: Path) -> bool:
    first = read_bytes(path)[:4096].removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8", "replace")
    if first.lstrip().startswith(("{", "[")):
        return False
    if dashboard.is_dashboard([name.strip().strip('"') for name in first.split(",")]):
        return True
    raise DataError(
        f"{path}: neither a saved answer nor an export of the dashboard: it begins {first[:80]!r}. {_KINDS}"
    )


_KINDS = (
    "Known are answers of filtered-usage-events, spend, members, groups, daily-usage-data and ai-code/commits, and the "
    "dashboard's usage CSV."
)
