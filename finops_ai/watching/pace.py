"""How fast money is spent: the last day's use over exactly a day, the month's over the time that has passed, and where that leads.

Only whole buckets count: the last day is the 24 hours up to the start of the first bucket that may still change, so that the
figure is the same at any hour and whatever the width of the buckets. Charges for longer than a day of 25 hours, such as a month's
fee, are in what was spent and not in the pace.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.periods import Window, zone
from finops_ai.watching.sources import Source

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

_DAY = dt.timedelta(days=1)
#: longest bucket that tells a day: a local day has 25 hours where clocks go back
_LONGEST = dt.timedelta(hours=25)
_MICRO = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class Pace:
    """What was spent and how fast.

    Attributes:
        month: the month it is about.
        so_far: cost of the month's rows of known price.
        day: cost of the 24 hours up to what is known of each source.
        mean: mean cost of a day of the month so far; None where none has passed.
        end: what the month comes to at the last day's pace.
        until: the earliest instant up to which a source that isn't late is known; None without any.
        unpriced: rows whose price isn't known.
        scopes: for each scope asked for, its own so far and day.
    """

    month: str
    so_far: Decimal
    day: Decimal
    mean: Decimal | None
    end: Decimal
    until: dt.datetime | None
    unpriced: int
    scopes: list[tuple[Decimal, Decimal]] = field(default_factory=list)


def pace(ws: Workspace, found: Sequence[Source], now: dt.datetime, scopes: Sequence[Mapping[str, str]] = ()) -> Pace:
    """The month so far and the pace of the last day.

    Args:
        ws: the workspace.
        found: its sources at that moment.
        now: the moment.
        scopes: dimension -> value, whose own figures are wanted.
    """
    month = f"{now.astimezone(zone(ws.timezone)):%Y-%m}"
    window = Window.month(month, ws.timezone)
    until: dict[str, dt.datetime] = {}
    for source in found:  # where several sources tell of one provider, the one that is furthest behind decides
        if source.until is not None and not source.telemetry:
            until |= {p: min(until.get(p, source.until), source.until) for p in source.providers}
    # the first bucket that may still change may have begun a day before
    first = min([*until.values(), now]) - 2 * _LONGEST
    recent = ws.allocated(Window(first, max(now, first) + _DAY))
    until = _whole(recent, until)
    day, ahead = _last_day(recent, until, now)
    so_far = ws.cube(month)
    total, days = _sum(so_far["effective_cost"]), sum(day, Decimal(0))
    burn, later, spent = (
        _by_provider(f["provider"], c) for f, c in ((recent, day), (recent, ahead), (so_far, so_far["effective_cost"]))
    )
    zero = Decimal(0)
    with localcontext(prec=60):
        end, means = total, []
        for provider, moment in until.items():
            rate, settled = burn.get(provider, zero), spent.get(provider, zero) - later.get(provider, zero)
            passed = _days(min(moment, window.end) - window.start)
            end += rate * _days(window.end - min(max(moment, window.start), window.end)) - later.get(provider, zero)
            means.append(settled / passed if passed > 0 else rate)
        mean = sum(means, zero) if means else None
    known = min((until[p] for s in found if not s.late for p in s.providers if p in until), default=None)
    own = []
    for scope in scopes:
        mine, rows = _within(so_far, scope), _within(recent, scope)
        own.append(
            (_sum(so_far["effective_cost"][mine]), sum((d for d, m in zip(day, rows, strict=True) if m), Decimal(0)))
        )
    unpriced = int((so_far["price_status"] == "unpriced").sum())
    return Pace(month, total, days, mean, max(end, total), known, unpriced, own)


def _whole(rows: pd.DataFrame, until: Mapping[str, dt.datetime]) -> dict[str, dt.datetime]:
    """For each provider the start of its first bucket that reaches past what is known."""
    out = dict(until)
    for start, end, provider in zip(
        *(rows[c].astype(object) for c in ("charge_period_start", "charge_period_end", "provider")), strict=True
    ):
        begun, limit = start.to_pydatetime(), until.get(provider)
        if limit is not None and begun < limit < end.to_pydatetime() <= begun + _LONGEST:
            out[provider] = min(out[provider], begun)
    return out


def _last_day(
    rows: pd.DataFrame, until: Mapping[str, dt.datetime], now: dt.datetime
) -> tuple[list[Decimal], list[Decimal]]:
    """Of each row, the cost of the day up to what is known, and the cost of what isn't whole yet."""
    day, ahead = [], []
    columns = ("charge_period_start", "charge_period_end", "provider", "effective_cost")
    with localcontext(prec=60):
        for start, end, provider, cost in zip(*(rows[c].astype(object) for c in columns), strict=True):
            begun, ended = start.to_pydatetime(), end.to_pydatetime()
            if not isinstance(cost, Decimal) or ended > begun + _LONGEST:
                day.append(Decimal(0))
                ahead.append(Decimal(0))
                continue
            known = until.get(provider, now)
            day.append(cost * _share(begun, max(ended, begun + _MICRO), known - _DAY, known))
            ahead.append(cost if begun >= known else Decimal(0))
    return day, ahead


def _by_provider(names: Any, costs: Any) -> dict[str, Decimal]:
    out: dict[str, Decimal] = {}
    for name, cost in zip(names, costs, strict=True):
        if isinstance(cost, Decimal):
            out[name] = out.get(name, Decimal(0)) + cost
    return out


def _share(begun: dt.datetime, ended: dt.datetime, first: dt.datetime, last: dt.datetime) -> Decimal:
    """Which part of a stretch lies in a window."""
    inside = min(ended, last) - max(begun, first)
    return Decimal(0) if inside <= dt.timedelta(0) else Decimal(inside // _MICRO) / Decimal((ended - begun) // _MICRO)


def _within(rows: pd.DataFrame, scope: Mapping[str, str]) -> Any:
    mask = pd.Series(True, index=rows.index)
    for column, value in scope.items():
        mask &= rows[column].astype(object).map(lambda v, value=value: v is not None and str(v) == value)
    return mask.to_numpy(bool)


def _sum(values: Any) -> Decimal:
    return sum((v for v in values.astype(object) if isinstance(v, Decimal)), Decimal(0))


def _days(span: dt.timedelta) -> Decimal:
    return Decimal(span // _MICRO) / Decimal(_DAY // _MICRO)
