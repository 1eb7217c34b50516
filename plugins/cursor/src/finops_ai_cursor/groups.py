"""Billing groups by day: usage belongs to the group its person was in at the time, not to today's."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from finops_ai_cursor.api import mail, moment
from finops_ai_cursor.listing import Row

FIRST, LAST = dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC)


class Groups:
    """Who was in which billing group, when.

    >>> kite = {"id": "g1", "name": "Kite", "formerMembers": [{"email": "Bo@x", "leftAt": "2026-10-15T00:00:00Z"}]}
    >>> Groups([kite]).at("bo@x", moment("2026-10-14")), Groups([kite]).at("bo@x", moment("2026-10-15"))
    (('g1', 'Kite'), None)
    """

    def __init__(self, groups: Iterable[Row] = ()) -> None:
        self._spans: dict[str, list[tuple[dt.datetime, dt.datetime, tuple[str, str]]]] = {}
        for group in groups:
            named = str(group.get("id")), str(group.get("name") or group.get("id"))
            for member in [*(group.get("currentMembers") or ()), *(group.get("formerMembers") or ())]:
                if email := mail(member.get("email")):
                    since = moment(member["joinedAt"]) if member.get("joinedAt") else FIRST
                    until = moment(member["leftAt"]) if member.get("leftAt") else LAST
                    self._spans.setdefault(email, []).append((since, until, named))
        for spans in self._spans.values():
            spans.sort()

    def at(self, user: str | None, when: dt.datetime) -> tuple[str, str] | None:
        """Id and name of the group a person was in at an instant; of two, the one joined last. None = none known."""
        found = None
        for since, until, named in self._spans.get(user or "", ()):
            if since <= when < until:
                found = named
        return found
