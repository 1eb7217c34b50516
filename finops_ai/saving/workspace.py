"""Opportunities of a workspace's month: from its cube, with hours and lengths of the lake's rows and what was decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, FinopsError, hint
from finops_ai.periods import Window
from finops_ai.saving.profile import Profile, profile
from finops_ai.saving.recommending import Recommendations, recommend
from finops_ai.saving.states import Decisions, State
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: months before the one looked at, for work that changed since
PAST = 2


def decisions_of(ws: Workspace) -> Decisions:
    """What was decided in a workspace."""
    return Decisions(ws.settings.root)


def workspace_opportunities(ws: Workspace, month: str) -> Recommendations:
    """What a month's rows show that could have cost less; found once for each state of data and decisions."""
    states, seats = decisions_of(ws).states(), _idle_seats(ws, month)

    def found() -> Recommendations:
        months = [m for m in ws.months_before(month, PAST + 1) if m != month]
        history = ws.history(months[-1], len(months)) if months else None
        table = recommend(
            ws.cube(month),
            history=history,
            book=ws.book,
            states=states,
            calls=_calls(ws, month),
            seats=seats,
            timezone=ws.timezone,
        )
        table.facts.period = month
        return table

    told = "" if seats is None else repr(seats.to_dict("records"))
    key = ("opportunities", month, ws.digest(), ws.ledger.head(), repr(states), told)
    return ws.recent.once(key, found, keep=lambda table: True)


def _idle_seats(ws: Workspace, month: str) -> Table | None:
    """Idle seats at the month's end, where finops.toml has `[people]` and seats were collected."""
    from finops_ai.people.workspace import People
    from finops_ai.store.beside import kept

    if "people" not in ws.settings.policies or not len(kept(ws.settings.root, "seats")):
        return None
    return People.of(ws, month, months=1).idle(month)


def _calls(ws: Workspace, month: str) -> Profile:
    """Hours and lengths as the lake's rows tell them; nothing where they can't be read beside the cube."""
    window = Window.month(month, ws.timezone)
    try:
        return profile(ws.usage_source(window), ws.timezone, window)
    except FinopsError:
        return Profile()


def decide_on(ws: Workspace, month: str, id: str, decision: str, reason: str = "") -> State:
    """Write down what was decided of an opportunity, with what it was at that time.

    Args:
        ws: the workspace.
        month: in which it was found.
        id: of the opportunity.
        decision: accept, dismiss, done or reopen.
        reason: why; a dismissal needs one.

    Raises:
        DataError: the month has no such opportunity, and nothing was decided of one before.
        SettingsError: an unknown decision, or a dismissal without a reason.
    """
    book, table = decisions_of(ws), workspace_opportunities(ws, month)
    about: dict[str, Any] = {}
    if id in table.subjects:
        row = table[(table["id"] == id).to_numpy(bool)].iloc[0]
        about = {"kind": row["kind"], "subject": table.subjects[id], "what": row["what"], "month": month,
                 "saving": str(row["saving"]), "saving_low": str(row["saving_low"]), "saving_high": str(row["saving_high"])}  # fmt: skip
    elif id not in book.states():
        raise DataError(f"No opportunity {id!r} in {month}. {hint(id, list(table['id']))}")
    known = book.states().get(id)
    if known is not None and known.about:  # what it was when it was first decided is what it is measured against
        about = dict(known.about)
    return book.decide(id, decision, reason, about)
