"""Asking Cursor's Admin and Analytics APIs. Only what reads: nothing here changes a team."""

from __future__ import annotations

import datetime as dt
from typing import Any

from finops_ai.errors import CredentialsError, ProviderError
from finops_ai.periods import UTC, Window, iso
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai_cursor.listing import Page, Row, read_growing

EVENTS, SPEND, MEMBERS = "teams/filtered-usage-events", "teams/spend", "teams/members"
DAILY, GROUPS, COMMITS = "teams/daily-usage-data", "teams/groups", "analytics/ai-code/commits"
PAGE = 1000
#: longest range of daily activity one query may ask for
REACH = dt.timedelta(days=30)
MILLISECOND = dt.timedelta(milliseconds=1)


class Team:
    """What a Cursor team's API tells.

    Args:
        http: client of the API host, with the key.
        notes: list that gets what a reader must know.
    """

    def __init__(self, http: HttpClient, notes: list[str]) -> None:
        self.http, self.notes = http, notes

    def events(self, window: Window) -> list[Row]:
        """Usage events of the window. Both bounds of the API are inclusive, so the last millisecond asked for is the one
        before the window's end."""
        bounds = {"startDate": millis(window.start), "endDate": millis(window.end) - 1}

        def ask(number: int) -> Page:
            answer = self._object(self.http.post(EVENTS, {**bounds, "page": number, "pageSize": PAGE}), EVENTS)
            rows = self._list(answer, "usageEvents", EVENTS)
            return Page(rows, _total(answer, "totalUsageEventsCount"), _more(answer, number, rows))

        return read_growing(ask, "usage events", self.notes)

    def spend(self) -> tuple[list[Row], dt.datetime | None]:
        """On-demand spend by member of the current billing cycle, and when that began."""
        members: dict[Any, Row] = {}
        start, number = None, 1
        while True:
            answer = self._object(self.http.post(SPEND, {"page": number, "pageSize": PAGE}), SPEND)
            rows = self._list(answer, "teamMemberSpend", SPEND)
            members |= {row.get("userId") or row.get("email"): row for row in rows}
            if answer.get("subscriptionCycleStart"):
                start = moment(answer["subscriptionCycleStart"])
            if not rows or number >= int(answer.get("totalPages") or 1):
                return list(members.values()), start
            number += 1

    def members(self) -> list[Row]:
        """Everybody in the team, those removed included."""
        return self._list(self._object(self.http.get(MEMBERS), MEMBERS), "teamMembers", MEMBERS)

    def active_days(self, window: Window) -> dict[str, dt.datetime] | None:
        """E-mail (lower case) -> begin of its latest active day in the window; None where the API doesn't open it.

        Its numeric `userId` is no key into the members, so people are known by e-mail.
        """
        found: dict[str, dt.datetime] = {}
        for piece in window.pieces(REACH):
            bounds = {"startDate": millis(piece.start), "endDate": millis(piece.end) - 1}
            number = 1
            while True:
                try:
                    answer = self.http.post(DAILY, {**bounds, "page": number, "pageSize": PAGE})
                except (HttpRefused, CredentialsError) as error:
                    self._note(
                        f"Daily activity couldn't be read ({_said(error)}): whether a seat is idle stays unknown."
                    )
                    return None
                answer = self._object(answer, DAILY)
                rows = self._list(answer, "data", DAILY)
                for row in rows:
                    email, day = mail(row.get("email")), row.get("date")
                    if row.get("isActive") and email and day is not None and (at := moment(day)) in window:
                        found[email] = max(at, found.get(email, at))
                if not _more(answer, number, rows):
                    break
                number += 1
        return found

    def groups(self, window: Window) -> list[Row]:
        """Billing groups with their members and since when they are; empty where the plan has none."""
        params = {"billingCycle": f"{min(window.end - MILLISECOND, dt.datetime.now(UTC)):%Y-%m-%d}"}
        try:
            answer = self._object(self.http.get(GROUPS, params=params), GROUPS)
        except (HttpRefused, CredentialsError) as error:
            self._note(f"Billing groups couldn't be read ({_said(error)}): rows don't name them.")
            return []
        return [group for group in [*(answer.get("groups") or ()), answer.get("unassignedGroup")] if group]

    def commits(self, window: Window) -> list[Row]:
        """Commits with the lines that models wrote."""
        bounds = {"startDate": iso(window.start), "endDate": iso(window.end - MILLISECOND), "pageSize": str(PAGE)}
        found: dict[Any, Row] = {}
        number = 1
        while True:
            answer = self._object(self.http.get(COMMITS, params={**bounds, "page": str(number)}), COMMITS)
            rows = self._list(answer, "items", COMMITS)
            found |= {(row.get("commitHash"), row.get("repoName"), row.get("branchName")): row for row in rows}
            seen = (number - 1) * int(answer.get("pageSize") or PAGE) + len(rows)
            if not rows or seen >= int(answer.get("totalCount") or 0):
                return list(found.values())
            number += 1

    def _object(self, answer: Any, path: str) -> Row:
        if not isinstance(answer, dict):
            raise ProviderError(f"cursor: the answer of /{path} is no object. {_CHANGED}")
        return answer

    def _list(self, answer: Row, name: str, path: str) -> list[Row]:
        rows = answer.get(name)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ProviderError(f"cursor: the answer of /{path} has no list called {name!r}. {_CHANGED}")
        return rows

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


_CHANGED = "Nothing was stored; update finops-ai-cursor if the provider changed its API."


def millis(moment: dt.datetime) -> int:
    """An instant as milliseconds since 1970, the first that is not before it."""
    return -((dt.datetime(1970, 1, 1, tzinfo=UTC) - moment) // MILLISECOND)


def moment(value: Any) -> dt.datetime:
    """An instant from milliseconds since 1970 (a number, or one as text) or ISO text.

    >>> moment("1790812800500").isoformat(), moment("2026-10-01T00:00:00.000Z").day
    ('2026-10-01T00:00:00.500000+00:00', 1)
    """
    from finops_ai.periods import instant

    text = str(value).strip()
    if text.lstrip("-").isdigit():
        try:
            return dt.datetime(1970, 1, 1, tzinfo=UTC) + int(text) * MILLISECOND
        except (OverflowError, ValueError):
            raise ProviderError(f"cursor: {text[:40]} is no time in milliseconds. Nothing was stored.") from None
    return instant(text)


def mail(value: Any) -> str | None:
    """An e-mail as people are compared by: without case and blanks; None where there is none."""
    text = str(value or "").strip().lower()
    return text or None


def _total(answer: Row, name: str) -> int | None:
    value = answer.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _more(answer: Row, number: int, rows: list[Row]) -> bool:
    pages = answer.get("pagination") or {}
    if isinstance(pages.get("hasNextPage"), bool):
        return bool(rows) and pages["hasNextPage"]
    last = pages.get("numPages") or pages.get("totalPages") or answer.get("totalPages")
    return bool(rows) and (number < int(last) if last else len(rows) >= PAGE)


def _said(error: Exception) -> str:
    if isinstance(error, HttpRefused):
        return error.said or f"HTTP {error.status}"
    return "HTTP 401 or 403: the plan or the key doesn't open it"
