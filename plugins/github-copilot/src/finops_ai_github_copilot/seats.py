"""Seat objects as people's seats: several organizations or teams may grant one person the one seat that is billed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.frames import SeatFrame, conform
from finops_ai.periods import Window, instant
from finops_ai.providers import LeftOut
from finops_ai.providers.parsing import require_shape
from finops_ai_github_copilot.shapes import SEAT

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
#: where a person has seats of two plans, the dearer one is billed
PLANS = ("enterprise", "business")


def seat_frame(
    seats: Iterable[Row],
    window: Window,
    *,
    total: int | None,
    billed: dict[str, str],
    centers: dict[str, str],
    active: Mapping[str, dt.datetime],
    source: str,
    notes: list[str],
    left_out: list[LeftOut],
) -> pd.DataFrame:
    """Seat frame: one row a person who holds a seat at any time in the window.

    No latest activity proves nothing by itself: a client that sends no telemetry has none. A cancelled seat is paid to the
    end of its cycle, without a refund.

    Args:
        seats: objects, one per granting organization or team.
        window: half open.
        total: people GitHub counts, where it does.
        billed: login (lower case) -> organization it is billed through, where a report names it.
        centers: login (lower case) -> cost center.
        active: login (lower case) -> latest day that a metrics report has use of.
        source: "api" or "file".
        notes, left_out: get what a reader must know.
    """
    people: dict[str, list[Row]] = {}
    nobody = 0
    for seat in seats:
        require_shape(seat, SEAT, "github-copilot: a seat")
        login = (seat.get("assignee") or {}).get("login")
        if login:
            people.setdefault(str(login).lower(), []).append(seat)
        else:
            nobody += 1
    if nobody:
        left_out.append(LeftOut("seats without a person", nobody))
    rows: list[Row] = []
    unsure = 0
    for key, granted in sorted(people.items()):
        start = min(instant(seat["created_at"]) for seat in granted)
        ends = [seat.get("pending_cancellation_date") for seat in granted]
        end = max(instant(day) for day in ends if day) if all(ends) else None
        used = [instant(seat["last_activity_at"]) for seat in granted if seat.get("last_activity_at")]
        used += [active[key]] if key in active else []
        organizations = sorted({str(o["login"]) for seat in granted if (o := seat.get("organization"))})
        through = billed.get(key) or (organizations[0] if len(organizations) == 1 else None)
        unsure += through is None and bool(organizations)
        plans = {str(seat.get("plan_type") or "unknown") for seat in granted}
        if start >= window.end or (end is not None and end <= window.start):
            continue
        row = {
            "provider": "github-copilot", "plan": next((p for p in PLANS if p in plans), "not stated"),
            "user_id": str(granted[0]["assignee"]["login"]), "seat_start": start, "seat_end": _after(end, start),
            "last_activity_at": max(used, default=None), "telemetry": "on" if used else "unknown",
            "sub_account_id": through, "cost_center": centers.get(key), "source": source,
        }  # fmt: skip
        rows.append(row)
    if unsure:
        notes.append(
            f"{unsure} people have seats of several organizations: through which one they are billed isn't told here."
        )
    if total is not None and total != len(people):
        notes.append(f"GitHub counts {total} people with seats, its seats name {len(people)}.")
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    for name in ("sub_account_id", "cost_center"):
        if columns:
            columns[name] = pa.array(columns[name], pa.string())
    return conform(columns, SeatFrame, source="github-copilot seats")


def _after(end: dt.datetime | None, start: dt.datetime) -> dt.datetime | None:
    return None if end is None or end <= start else end
