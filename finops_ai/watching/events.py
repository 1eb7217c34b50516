"""What somebody may have to know of, as it is now: budgets, incidents, late sources."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.forecasting.budgets import alerts
from finops_ai.frames.origin import made_with
from finops_ai.money import written
from finops_ai.periods import Window, zone
from finops_ai.tables.incidents import incidents
from finops_ai.tables.result import Table
from finops_ai.watching.memory import Event, Memory
from finops_ai.watching.sources import Source

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: days that two findings of one incident may put its start apart
_APART = 3
#: an incident is worse when its money is this many times what was told
_WORSE = 2.0
#: months of past that incidents are judged by
_MONTHS = 3


def budget_events(table: Table) -> list[Event]:
    """A budget's life: each threshold it reaches, the plan leading over it, and going over are each told once.

    Args:
        table: what `fa.budgets` returns.
    """
    told = {(a["name"], str(a["budget"])): a for a in alerts(table)}
    published = table.published().astype(object).to_dict("records")
    out = []
    for row in published:
        alert = told.get((row["name"], f"{row['budget']:f}"))
        level = 0.0
        if alert is not None:
            reached = len([part for part in str(row["alerts"] or "").split(",") if part.strip()])
            level = reached + (row["status"] == "watch") + 10.0 * (row["status"] == "over")
        scope = f"{row['from']:%Y-%m}" + ("" if _one_month(row) else f"..{row['to']:%Y-%m}")
        out.append(
            Event(
                f"budget:{row['name']}:{scope}", "budget", level,
                str(row["text"]) if alert else f"{row['name']} is back within its budget of {written(row['budget'], table.facts.currency)}.",
                {k: v for k, v in (alert or {}).items() if k not in ("text", "name")} | {"budget_name": row["name"]},
            )
        )  # fmt: skip
    return out


def _one_month(row: Mapping[Hashable, Any]) -> bool:
    return bool((row["to"] - row["from"]).days <= 31)


def source_events(found: Iterable[Source], timezone: str) -> list[Event]:
    """A source that is later than it promises and ever was, and one that has come back."""
    return [
        Event(
            f"source:{s.connection}", "source", float(s.late and s.reach is not None),
            s.text(timezone) if s.late else f"{s.connection} sends again: data to {s.reach:%Y-%m-%d %H:%M} UTC.",
            {"connection": s.connection, "data_until": s.reach and s.reach.isoformat()},
        )
        for s in found
        if s.reach is not None
    ]  # fmt: skip


def incident_events(ws: Workspace, memory: Memory, until: dt.datetime) -> tuple[list[Event], Table | None]:
    """Incidents of whole days up to a moment; one that was told keeps its name when its findings move by days.

    Args:
        ws: the workspace.
        memory: what was told.
        until: what is known of all sources; the day it lies in isn't over and isn't judged.
    """
    table = _incidents(ws, until)
    if table is None:
        return [], None
    opened = memory.open_events("incident")
    out = []
    for row in table.to_dict("records"):
        group = row["group"] if isinstance(row["group"], str) else "everything"
        facts = {
            "incident": row["incident"], "column": row["column"], "group": group, "what": row["what"], "state": row["state"],
            "start": str(row["start"]), "end": str(row["end"]), "excess": str(row["excess"]), "driver": row["driver"] if isinstance(row["driver"], str) else None,
        }  # fmt: skip
        key = _told_as(facts, opened) or f"incident:{row['incident']}"
        if row["what"] != "cost" and isinstance(row["excess"], Decimal) and row["excess"] < 0 and key not in opened:
            continue  # fewer calls or shorter ones cost nobody anything; a source that fell silent is told as such
        going = row["state"] in ("new", "ongoing")
        if not going and key not in opened:
            continue  # it was over before anybody was told of it
        excess = row["excess"] if isinstance(row["excess"], Decimal) else Decimal(0)
        side = "over" if excess >= 0 else "under"
        text = f"{row['what']} of {group} since {row['start']}: {written(abs(excess), table.facts.currency)} {table.facts.currency} {side} expectation"
        text += f". {facts['driver']}" if facts["driver"] else "."
        if not going:
            text = f"{row['what']} of {group} is as expected again since {row['end']}: {written(abs(excess), table.facts.currency)} {table.facts.currency} {side} expectation in all."
        level = max(float(abs(excess)), 1.0) if going else 0.0
        out.append(Event(key, "incident", level, text, facts, step=_WORSE, quiet=row["state"] == "acknowledged"))
    return _one_each(out), table


def _incidents(ws: Workspace, until: dt.datetime) -> Table | None:
    tz = zone(ws.timezone)
    today = until.astimezone(tz).date()
    midnight = Window.of(today, today + dt.timedelta(days=1), ws.timezone).start
    months = ws.months_before(f"{today - dt.timedelta(days=1):%Y-%m}", _MONTHS)
    frames = [ws.cube(name) for name in months]
    frames = [f for f in frames if len(f)]
    if not frames:
        return None
    whole = pd.concat(frames, ignore_index=True)
    whole = made_with(whole[(whole["charge_period_start"] < midnight).to_numpy(bool)], frames[-1])
    if whole.empty:
        return None
    told = ws.settings.policies.get("incidents", {}).get("acknowledged", [])
    key = (
        "watched incidents",
        today,
        len(whole),
        sum(v for v in whole["effective_cost"] if isinstance(v, Decimal)),
        repr(told),
    )
    return ws.recent.once(
        key,
        lambda: incidents(whole, acknowledged=map(str, told), as_of=today - dt.timedelta(days=1), timezone=ws.timezone),
        keep=lambda table: True,
    )


def _told_as(facts: dict[str, Any], opened: dict[str, dict[str, Any]]) -> str | None:
    """The key under which an incident was told: of the same group and measure, begun within days of it."""
    for key, old in opened.items():
        if old.get("incident") == facts["incident"]:
            return key
    for key, old in opened.items():
        if all(old.get(part) == facts[part] for part in ("column", "group", "what")):
            apart = dt.date.fromisoformat(facts["start"][:10]) - dt.date.fromisoformat(str(old["start"])[:10])
            if abs(apart.days) <= _APART:
                return key
    return None


def _one_each(events: Sequence[Event]) -> list[Event]:
    """One event per key: what goes on decides over what is over."""
    best: dict[str, Event] = {}
    for event in events:
        if event.key not in best or event.level > best[event.key].level:
            best[event.key] = event
    return list(best.values())
