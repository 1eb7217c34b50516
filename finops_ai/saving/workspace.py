"""Opportunities of a workspace's month: from its cube, with hours and lengths of the lake's rows and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_ai.errors import FinopsError
from finops_ai.periods import Window
from finops_ai.saving.profile import Profile, profile
from finops_ai.saving.recommending import Recommendations, recommend
from finops_ai.saving.states import Decisions

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: months before the one looked at, for work that changed since
PAST = 2


def decisions_of(ws: Workspace) -> Decisions:
    """What was decided in a workspace."""
    return Decisions(ws.settings.root)


def workspace_opportunities(ws: Workspace, month: str) -> Recommendations:
    """What a month's rows show that could have cost less; found once for each state of data and decisions."""
    states = decisions_of(ws).states()

    def found() -> Recommendations:
        months = [m for m in ws.months_before(month, PAST + 1) if m != month]
        history = ws.history(months[-1], len(months)) if months else None
        table = recommend(
            ws.cube(month), history=history, book=ws.book, states=states, calls=_calls(ws, month), timezone=ws.timezone
        )
        table.facts.period = month
        return table

    key = ("opportunities", month, ws.digest(), ws.ledger.head(), repr(states))
    return ws.recent.once(key, found, keep=lambda table: True)


def _calls(ws: Workspace, month: str) -> Profile:
    """Hours and lengths as the lake's rows tell them; nothing where they can't be read beside the cube."""
    window = Window.month(month, ws.timezone)
    try:
        return profile(ws.usage_source(window), ws.timezone, window)
    except FinopsError:
        return Profile()
