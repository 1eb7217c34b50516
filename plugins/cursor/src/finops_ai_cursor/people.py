"""Members as seats, on-demand spend as charges, and commits with who or what wrote them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.frames import BillFrame, CommitFrame, SeatFrame, conform
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.providers import LeftOut
from finops_ai_cursor.api import mail, moment
from finops_ai_cursor.listing import Row

if TYPE_CHECKING:
    import pandas as pd

#: a role with rights but without a seat
UNPAID = "free-owner"
CENT = Decimal(100)


def seat_frame(
    members: Iterable[Row],
    last_used: Mapping[str, dt.datetime],
    *,
    plan: str,
    plans: Mapping[str, str],
    heard: bool,
    source: str,
    left_out: list[LeftOut],
) -> pd.DataFrame:
    """Seat frame of the members: one row a person who holds a paid seat.

    Args:
        members: of the team, those removed included.
        last_used: e-mail -> latest use known.
        plan: of whoever `plans` doesn't name. plans: e-mail -> plan.
        heard: whether every use is heard of.
        source: "api" or "file".
        left_out: gets the members without a seat of their own, and why.
    """
    rows: dict[str, Row] = {}
    removed = unpaid = 0
    for member in members:
        who = mail(member.get("email")) or str(member.get("id") or "")
        if member.get("role") == UNPAID:
            unpaid += 1
        elif member.get("isRemoved"):
            removed += 1
        elif who:
            rows[who] = member
    if unpaid:
        left_out.append(LeftOut("administrators without a seat", unpaid))
    if removed:
        left_out.append(LeftOut("seats of removed members: until when they are billed isn't told", removed))
    people = sorted(rows)
    columns: dict[str, Any] = {
        "provider": ["cursor"] * len(people),
        "plan": [plans.get(who, plan) for who in people],
        "user_id": people,
        "last_activity_at": [last_used.get(who) for who in people],
        "telemetry": ["on" if heard else "unknown"] * len(people),
        "source": [source] * len(people),
    }
    return conform(columns if people else {}, SeatFrame, source="cursor members")


def bill_frame(
    cycles: Sequence[tuple[dt.datetime | None, Iterable[Row]]], window: Window, *, account: str, source: str
) -> pd.DataFrame:
    """Bill frame of on-demand spend: one charge per member and billing cycle that begins in the window.

    `spendCents` alone is on demand; `overallSpendCents` holds it, too, beside what is included.
    """
    rows: list[dict[str, Any]] = []
    for start, members in cycles:
        if start is None or start not in window:
            continue
        end = next_cycle(start)
        for member in members:
            cents = exact(member.get("spendCents") or 0)
            if cents:
                row = {
                    "provider": "cursor", "billing_account_id": account, "billing_period_start": start,
                    "billing_period_end": end, "charge_period_start": start, "charge_period_end": end,
                    "charge_category": "Usage", "charge_description": "On-demand usage", "meter": "unmapped",
                    "billed_cost": (cents / CENT).quantize(Decimal("1e-18")), "billing_currency": "USD",
                    "user_id": mail(member.get("email")) or str(member.get("userId") or "") or None, "source": source,
                }  # fmt: skip
                rows.append(row)
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return conform(columns, BillFrame, source="cursor spend")


def next_cycle(start: dt.datetime) -> dt.datetime:
    """When the billing cycle ends that begins then: the same day of the next month, or the last where that is too short.

    >>> next_cycle(dt.datetime(2026, 1, 31)), next_cycle(dt.datetime(2026, 12, 12))
    (datetime.datetime(2026, 2, 28, 0, 0), datetime.datetime(2027, 1, 12, 0, 0))
    """
    import calendar

    year, month = start.year + start.month // 12, start.month % 12 + 1
    return start.replace(year=year, month=month, day=min(start.day, calendar.monthrange(year, month)[1]))


def commit_frame(commits: Iterable[Row], window: Window, *, source: str) -> pd.DataFrame:
    """Commit frame: hash, repository, branch, author, lines and the conversation that a commit names. Never its message."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for commit in commits:
        at = moment(commit["commitTs"])
        if at not in window:
            continue
        lines = {name: commit.get(name) for name in LINES}
        stated = [count for name, count in lines.items() if name.startswith(("tab", "composer")) and count is not None]
        row = {
            "repository": str(commit.get("repoName") or "not stated"), "branch": commit.get("branchName") or None,
            "commit_id": str(commit["commitHash"]), "user_id": mail(commit.get("userEmail")) or commit.get("userId"),
            "committed_at": at, "session_id": _session(commit), "tool_name": "cursor",
            "lines_added": lines["totalLinesAdded"], "lines_removed": lines["totalLinesDeleted"],
            "lines_by_agent": sum(stated) if stated else None, "source": source,
        }  # fmt: skip
        key = (row["repository"], row["commit_id"])
        # one commit on several branches is one commit: the branch it was made on is not the primary one
        if key not in found or (commit.get("isPrimaryBranch") is False and not found[key]["session_id"]):
            found[key] = row
    rows = list(found.values())
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return conform(columns, CommitFrame, source="cursor commits")


LINES = (
    "totalLinesAdded", "totalLinesDeleted", "tabLinesAdded", "tabLinesDeleted", "composerLinesAdded", "composerLinesDeleted",
)  # fmt: skip


def _session(commit: Row) -> str | None:
    value = commit.get("conversationId") or commit.get("conversationIds")
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    return str(value) if value else None
