"""Work that nobody waits for, seen from when it runs: it can go as a batch, or in the flex tier."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from finops_ai.saving.cases import all_but
from finops_ai.saving.cells import Cells, Work
from finops_ai.saving.opportunity import Finding, Positions
from finops_ai.saving.profile import Profile
from finops_ai.tables.changing import TOKENS, at_tier

#: tiers for work that can wait, the cheapest first
_WAITING = ("batch", "flex")
#: nearly all of a work's tokens
_NEARLY_ALL = Decimal("0.9")
#: hours of the day that a nightly run takes at most, and local hours in which people work
_RUN_HOURS, _PEOPLE = 6, range(7, 20)
#: days on which a run must have come, and part of the period's days that occasional work is on
_LEAST_DAYS, _OCCASIONAL = 3, Decimal("0.2")
#: calls of an occasional work's day, for it to be a job and no person
_JOB = 1000
#: days of a period from which on its idle days mean something
_LONG_ENOUGH = 20


def batch(cells: Cells, profile: Profile) -> Iterator[Finding]:
    """Work that can wait, one finding for each tier that would take it."""
    for work in cells.works:
        rows = work.rows[cells.tier[work.rows] == "standard"]
        if not len(rows) or not cells.amount(rows, TOKENS):
            continue
        why = _waits(cells, work, rows, profile)
        if why is None:
            continue
        text, confidence = why
        for tier in _WAITING:
            yield Finding(
                "batch", {**work.who, "tier": tier}, f"Run {work.name} as a batch" if tier == "batch" else f"Run {work.name} in the flex tier",
                text, rows, all_but(lambda frame, tier=tier: at_tier(frame, tier), "0.8"),  # type: ignore[misc]
                assumptions=("answers are good enough when they come within a day" if tier == "batch" else "a call may wait minutes, or be refused and tried again",),
                confidence=confidence, risk="answers come later", terms={"provider": work.who["provider"]},
            )  # fmt: skip


def _waits(cells: Cells, work: Work, rows: Positions, profile: Profile) -> tuple[str, str] | None:
    """What says that nobody waits for the answers."""
    return _partly(cells, work, rows) or _nightly(profile.hours_of(work, "standard")) or _occasional(cells, rows)


def _partly(cells: Cells, work: Work, rows: Positions) -> tuple[str, str] | None:
    """Part of the same prompt's or key's work already goes as a batch or in the flex tier."""
    waiting = work.rows[np.isin(cells.tier[work.rows], _WAITING)]
    mine, theirs = cells.amount(rows, TOKENS), cells.amount(waiting, TOKENS)
    named = "prompt" in work.who
    if not named or theirs < (mine + theirs) * Decimal("0.05"):
        return None
    return (
        f"{float(theirs / (mine + theirs)):.0%} of the same prompt already runs in the {cells.tier[waiting[0]]} tier",
        "high",
    )


def _nightly(hours: Mapping[Any, Decimal]) -> tuple[str, str] | None:
    """Nearly all of it runs in the same few hours of the day, when nobody is at work."""
    whole = sum(hours.values(), Decimal(0))
    if not whole:
        return None
    by_hour, days = [Decimal(0)] * 24, set()
    for moment, tokens in hours.items():
        by_hour[moment.hour] += tokens
        days.add(moment.date())
    if len(days) < _LEAST_DAYS:
        return None
    best, first = max((sum(by_hour[(h + k) % 24] for k in range(_RUN_HOURS)), -h) for h in range(24))
    start = -first
    used = [(start + k) % 24 for k in range(_RUN_HOURS) if by_hour[(start + k) % 24] > whole / 100]
    if best < whole * _NEARLY_ALL or sum(by_hour[h] for h in _PEOPLE) > whole * (1 - _NEARLY_ALL):
        return None
    return (
        f"{float(best / whole):.0%} of it runs from {used[0]} to {(used[-1] + 1) % 24} o’clock, on {len(days)} days, when nobody is at work",
        "medium",
    )


def _occasional(cells: Cells, rows: Positions) -> tuple[str, str] | None:
    """Nearly all of it comes on a few days, in far more calls than a person makes."""
    if cells.days < _LONG_ENOUGH:
        return None
    by_day: dict[dt.date, Decimal] = {d: cells.amount(found, TOKENS) for d, found in cells.by_day(rows).items()}
    calls = cells.calls(rows)
    whole, left, busy = sum(by_day.values(), Decimal(0)), Decimal(0), 0
    for tokens in sorted(by_day.values(), reverse=True):
        left += tokens
        busy += 1
        if left >= whole * _NEARLY_ALL:
            break
    if calls is None or busy > cells.days * _OCCASIONAL or busy < _LEAST_DAYS or calls / busy < _JOB:
        return None
    return (
        f"{float(left / whole):.0%} of it came on {busy} of {cells.days} days, {calls / busy:,.0f} calls on each",
        "medium",
    )
