"""Traffic on reserved capacity: what fits, hour by hour, is paid by the hour; what doesn't is still paid by the token."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd

from finops_ai.frames.origin import tells_hours

_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
_PLACES = 10**18


@dataclass(frozen=True)
class Served:
    """What capacity serves of some rows.

    Attributes:
        shares: of each row, the part that fits.
        used: throughput that all rows take, in unit hours.
        fits: the part of it that is served.
        hourly: whether single hours are told apart; where only days are, an hour's peak may overflow more.
    """

    shares: list[Fraction]
    used: Fraction
    fits: Fraction
    hourly: bool


def buckets(frame: pd.DataFrame) -> tuple[list[dt.datetime], dt.timedelta]:
    """The hour each row falls in, or its UTC day where slices are longer than an hour; and how long that is."""
    starts, ends = ([t.to_pydatetime() for t in frame[c]] for c in ("charge_period_start", "charge_period_end"))
    longest = max((b - a for a, b in zip(starts, ends, strict=True)), default=_HOUR)
    if longest <= _HOUR and tells_hours(frame):
        return [t.replace(minute=0, second=0, microsecond=0) for t in starts], _HOUR
    return [t.replace(hour=0, minute=0, second=0, microsecond=0) for t in starts], _DAY


def served(frame: pd.DataFrame, weights: Sequence[Decimal], per_hour: Decimal) -> Served:
    """What so much throughput an hour serves of rows that take `weights` of it."""
    at, length = buckets(frame)
    room = Fraction(per_hour) * Fraction(length // _HOUR)
    sums: dict[dt.datetime, Fraction] = {}
    for moment, weight in zip(at, weights, strict=True):
        sums[moment] = sums.get(moment, Fraction(0)) + Fraction(weight)
    share = {moment: min(room / used, Fraction(1)) if used else Fraction(1) for moment, used in sums.items()}
    fits = sum((share[m] * used for m, used in sums.items()), Fraction(0))
    return Served([share[m] for m in at], sum(sums.values(), Fraction(0)), fits, length == _HOUR)


def on_capacity(costs: Sequence[Any], weights: Sequence[Decimal], found: Served, fee: Decimal) -> list[Decimal]:
    """What rows cost on capacity: their overflow by the token, and the fee by the throughput that was served.

    The parts add up to the fee and the overflow to the last digit.
    """
    parts = [Fraction(w) * s for w, s in zip(weights, found.shares, strict=True)]
    whole, given, out = sum(parts, Fraction(0)), 0, []
    units, last = int(Fraction(fee) * _PLACES), max(range(len(parts)), key=lambda i: (parts[i], -i), default=0)
    fees = [int(units * part / whole) if whole else 0 for part in parts]
    given = sum(fees)
    if fees:
        fees[last] += units - given
    for cost, share, part in zip(costs, found.shares, fees, strict=True):
        known = Fraction(0) if cost is None or cost is pd.NA else Fraction(cost)
        out.append(money(int(known * (1 - share) * _PLACES) + part))
    return out


def money(value: int) -> Decimal:
    """Whole 10^-18 as a decimal, never rounded."""
    sign, digits, _ = Decimal(value).as_tuple()
    return Decimal((sign, digits, -18))
