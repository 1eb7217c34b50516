"""Records of calls that are written more than once: which count, at which time, and for which session.

For logs whose records have an identity of their own: the fullest record of a call, at its earliest time, for the session it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from finops_ai_agent_logs.calls import Call, moment


class Copy(NamedTuple):
    """A record of a call: what makes it the same call as another, its time (text that sorts), session, and how full it is."""

    key: Any
    at: str
    session: str
    size: int
    call: Call


def originals(copies: Iterable[Copy], notes: list[str]) -> list[Call]:
    """Each call once.

    Of copies at the same time, the call is of the session whose calls all went on into another, else of the one that went its
    own way first.
    """
    groups: dict[Any, list[Copy]] = {}
    total = 0
    for copy in copies:
        groups.setdefault(copy.key, []).append(copy)
        total += 1
    own: dict[str, str] = {}
    for group in groups.values():
        if len({copy.session for copy in group}) == 1:
            own[group[0].session] = min(own.get(group[0].session, "~"), *(copy.at for copy in group))
    found = []
    for group in groups.values():
        origin = min(group, key=lambda copy: (copy.at, own.get(copy.session, ""), copy.session))
        fullest = max(group, key=lambda copy: copy.size)
        at = moment(origin.at, origin.call.place)
        found.append(origin.call._replace(usage=fullest.call.usage, model=fullest.call.model, at=at))
    if total > len(found):
        notes.append(f"{total - len(found)} records repeat a call (written again, copied, forked): each counts once.")
    return sorted(found, key=lambda call: call.at)
