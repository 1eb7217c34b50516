"""One look: load what may be new, see how far each source reaches, how fast money is spent, and tell whoever must know, once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import FinopsError
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.loading import Outcome
from finops_ai.periods import zone
from finops_ai.reporting.text import amount, percent
from finops_ai.tables.result import Table
from finops_ai.watching.channels import channels_of
from finops_ai.watching.events import budget_events, incident_events, source_events
from finops_ai.watching.loads import load
from finops_ai.watching.memory import Event, Memory, Message, memory_of
from finops_ai.watching.pace import Pace, pace
from finops_ai.watching.sources import Source, sources
from finops_ai.watching.telling import tell

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


@dataclass
class Look:
    """What one look came to.

    Attributes:
        now: the moment it is about.
        outcomes: what was loaded.
        sources: how far each source reaches.
        pace: what was spent and how fast.
        budgets: the budgets of the month, and of each what its own pace is; None without [[budgets]].
        incidents: what goes on.
        due: messages that fell due.
        sent: messages that were sent.
        problems: what went wrong, in sentences.
    """

    now: dt.datetime
    outcomes: list[Outcome] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    pace: Pace | None = None
    budgets: Table | None = None
    incidents: list[Event] = field(default_factory=list)
    due: int = 0
    sent: list[Message] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def news(self) -> bool:
        """Whether there is anything to tell beyond the pace."""
        return bool(self.sent or self.due or self.problems or any(s.late for s in self.sources))


def look(
    ws: Workspace,
    now: dt.datetime,
    names: Sequence[str] = (),
    *,
    alert: bool = True,
    watch: Callable[[Outcome], None] | None = None,
) -> Look:
    """Look once.

    Args:
        ws: the workspace.
        now: the moment.
        names: which connections are loaded; none = all.
        alert: whether [[alerts]] are told.
        watch: called with each outcome of loading.

    Raises:
        SettingsError: [[alerts]] can't be used; nothing is loaded.
    """
    section = ws.settings.policies.get("alerts")
    channels, told = channels_of(section) if section and alert else ({}, {})
    memory, found = memory_of(ws), Look(now)
    with memory.alone():
        found.outcomes = load(ws, memory, now, names, watch)
        found.sources = sources(ws, now)
        found.problems += [f"{o.connection}: {o.error}" for o in found.outcomes if o.error]
        events = source_events(found.sources, ws.timezone)
        events += _guarded(found, lambda: _money(ws, memory, found))
        found.due, found.sent, problems = tell(memory, events, channels, told)
        found.problems += problems
    return found


def _money(ws: Workspace, memory: Memory, found: Look) -> list[Event]:
    """The pace, the budgets and the incidents, as far as there is data for them."""
    month = f"{found.now.astimezone(zone(ws.timezone)):%Y-%m}"
    scopes = [dict(entry.get("for", {})) for entry in ws.settings.policies.get("budgets", [])]
    with ws.steady():
        found.pace = pace(ws, found.sources, found.now, scopes)
    events: list[Event] = []
    months = ws.months()
    if not months:
        return events
    # as of what is known: a clock that jumps changes no budget
    table = workspace_budgets(ws, min(month, months[-1]))
    if table is not None:
        found.budgets = table
        events += budget_events(table)
    until = found.pace.until
    if until is not None:
        happened, _ = incident_events(ws, memory, until)
        found.incidents = [event for event in happened if event.level > 0]
        events += happened
    return events


def _guarded(found: Look, make: Callable[[], list[Event]]) -> list[Event]:
    """What can't be made now is a problem of this look, not the end of watching."""
    try:
        return make()
    except FinopsError as error:
        found.problems.append(str(error))
        return []


def said(found: Look, ws: Workspace, limit: Decimal | None = None) -> list[str]:
    """A look in lines.

    Args:
        found: the look.
        ws: the workspace.
        limit: a month's budget to hold the pace against.
    """
    currency = ws.settings.workspace.currency
    lines = []
    at = found.now.astimezone(dt.UTC)
    if (p := found.pace) is not None:
        text = f"{at:%H:%M} UTC  month so far {amount(p.so_far, currency)}, last day {amount(p.day, currency)}"
        text += f", mean day of the month {amount(p.mean, currency)}" if p.mean is not None else ""
        text += f", month at that pace {amount(p.end, currency)}"
        if p.unpriced:
            text += f" ({p.unpriced:,} rows have no price)"
        if limit is not None:
            text += f", {percent(p.end, limit)} of the budget of {amount(limit, currency)}"
        lines.append(text)
    lines += [f"  {line}" for line in _budget_lines(found, ws, currency)]
    lines += [f"  {s.text(ws.timezone)}" for s in found.sources if s.late]
    lines += [f"  incident: {event.text}" for event in found.incidents]
    lines += [f"  told ({message.stage}): {message.body['text']}" for message in found.sent]
    lines += [f"  problem: {text}" for text in found.problems]
    return lines


def _budget_lines(found: Look, ws: Workspace, currency: str) -> list[str]:
    if found.budgets is None or found.pace is None:
        return []
    own = dict(zip((repr(e) for e in ws.settings.policies["budgets"]), found.pace.scopes, strict=True))
    days = {str(e.get("name")): own[repr(e)][1] for e in ws.settings.policies["budgets"] if e.get("name")}
    lines = []
    for row in found.budgets.published().astype(object).to_dict("records"):
        left = row["budget"] - row["spent"]
        text = f"{row['name']}: {amount(row['spent'], currency)} of {amount(row['budget'], currency)} spent, {amount(left, currency)} left"
        day = days.get(str(row["name"]))
        if left < 0:
            text = text.rpartition(",")[0] + f", {amount(-left, currency)} over"
        elif day and day > 0 and (last := _spent_on(found, left / day)) is not None:
            text += f", at the last day's pace spent on {last:%d %B}".replace(" 0", " ")
        lines.append(f"{text} ({row['status']})")
    return lines


def _spent_on(found: Look, days: Decimal) -> Any:
    until = found.pace.until if found.pace and found.pace.until else found.now
    return until + dt.timedelta(days=float(days)) if days < 3660 else None
