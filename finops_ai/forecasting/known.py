"""What is known of the coming months: fees on dates, capacity bought by the hour, and lumps that come back each month.

They are taken out of the history before use is forecast and put on their dates ahead, as amounts, without a range where
they were always the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.forecasting.sums import WEEK

#: amounts that differ by less than this are the same
SAME = 0.02
#: how far a lump must stand out: of the noise of days, of the usual day; how much lumps may differ and still be one kind
STANDS_OUT, OF_LEVEL, ALIKE = 6.0, 0.8, 0.35
#: days of the month tried, from its start and (negative) from its end; months between two
ANCHORS = (*range(1, 29), -1, -2, -3)
PERIODS = (1, 3, 6, 12)
#: days of the same amount that make capacity
STEADY = 7
#: days whose mix splits capacity that cells share
MIX = 28
#: past lumps that decide the coming one
REMEMBERED = 6


@dataclass(frozen=True)
class Recurring:
    """An amount that comes back on a day of the month.

    Attributes:
        cell, leaf: whose it is; leaf -1 = spread over the cell's.
        name: what it is called.
        anchor: day of the month, from its end where negative; 0 = every day.
        period: months between two.
        last: month it last came, as a period ordinal.
        amount: what comes (a day where `anchor` is 0; a month where `monthly`).
        spread: sd of the amount over it; 0 where it was always the same.
        monthly: of daily capacity: the same sum each month, spread over its days.
    """

    cell: int
    leaf: int
    name: str
    anchor: int
    period: int
    last: int
    amount: float
    spread: float = 0.0
    monthly: bool = False

    def ahead(self, days: pd.DatetimeIndex) -> np.ndarray:
        """Its amount on each of some days."""
        if self.anchor == 0:
            return np.full(len(days), self.amount) / (days.days_in_month.to_numpy() if self.monthly else 1.0)
        months = days.to_period("M")
        due = (np.array([m.ordinal for m in months]) - self.last) % self.period == 0
        return np.where(_on(days, self.anchor) & due, self.amount, 0.0)

    @property
    def words(self) -> str:
        """When it comes."""
        if self.anchor == 0:
            return "a month, spread over its days" if self.monthly else "a day"
        every = "month" if self.period == 1 else f"{self.period} months"
        if self.anchor < 0:
            return (
                f"on the last day of every {every}"
                if self.anchor == -1
                else f"{-self.anchor} days before the end of every {every}"
            )
        return f"on day {self.anchor} of every {every}"


def _on(days: pd.DatetimeIndex, anchor: int) -> np.ndarray:
    day = days.day.to_numpy()
    out: np.ndarray = (day == anchor) if anchor > 0 else (days.days_in_month.to_numpy() - day + 1 == -anchor)
    return out


def fees(
    apart: list[tuple[int, int, str, np.ndarray]], days: pd.DatetimeIndex, sources: list[tuple[Any, ...]] | None = None
) -> tuple[list[Recurring], np.ndarray]:
    """Fees and capacity among series that aren't billed by token.

    Args:
        apart: cell, leaf, name and amounts by day of each.
        days: of the history.
        sources: what each is bought as (provider, model, meter): capacity that cells share is steady as a whole.

    Returns:
        What recurs, and a mask of the series that are wholly explained by it.
    """
    found, whole = [], np.zeros(len(apart), bool)

    def take(i: int, one: Recurring | None) -> None:
        if one is not None:
            whole[i] = True
            found.append(one)

    for i, (cell, leaf, name, y) in enumerate(apart):
        take(i, _steady(cell, leaf, name, y, days))
    for source in sorted(set(sources or [])):
        own = [i for i, name in enumerate(sources or []) if name == source and not whole[i]]
        if len(own) < 2:
            continue
        total = np.sum([apart[i][3] for i in own], axis=0)
        one = _steady(0, 0, source[-1], total, days) or _on_dates(0, 0, source[-1], total, days)
        if one is None or one.spread:
            continue
        # capacity by the mix of the last days, what comes on a date as it came last
        recent = slice(-MIX, None) if one.anchor == 0 else np.flatnonzero(total)[-1:]
        for i in own:
            share = float(apart[i][3][recent].sum() / total[recent].sum())
            take(i, replace(one, cell=apart[i][0], leaf=apart[i][1], amount=one.amount * share))
    for i, (cell, leaf, name, y) in enumerate(apart):
        if not whole[i]:
            take(i, _on_dates(cell, leaf, name, y, days))
    return found, whole


def _steady(cell: int, leaf: int, name: str, y: np.ndarray, days: pd.DatetimeIndex) -> Recurring | None:
    recent = y[-STEADY:]
    if len(recent) < STEADY or recent[-1] <= 0:
        return None
    months = days.to_period("M")
    current = months == months[-1]
    size = days.days_in_month.to_numpy()
    scaled = y * size
    flat_month = np.ptp(scaled[-STEADY:]) <= 1e-9 * scaled[-1]
    flat_day = np.ptp(recent) <= 1e-9 * recent[-1]
    if not (flat_day or flat_month):
        return None
    before = ~current & (y > 0)
    earlier = scaled[before]
    monthly = bool(
        flat_month
        and len(earlier)
        and abs(earlier[-1] - scaled[-1]) <= 1e-9 * scaled[-1]
        and size[before][-1] != size[-1]
    )
    amount = float(scaled[-1] if monthly else recent[-1])
    return Recurring(cell, leaf, name, 0, 1, int(months[-1].ordinal), amount, 0.0, monthly)


def _on_dates(cell: int, leaf: int, name: str, y: np.ndarray, days: pd.DatetimeIndex) -> Recurring | None:
    """A series that is nothing but amounts on one day of the month."""
    used = np.flatnonzero(y)
    if not len(used):
        return None
    months = days.to_period("M")
    if len(set(months[used])) != len(used):
        return None
    for anchor in ANCHORS:
        if _on(days[used], anchor).all():
            ordinals = np.array([m.ordinal for m in months[used]])
            gaps = np.diff(ordinals)
            period = int(gaps[0]) if len(gaps) else 1
            if len(gaps) and (gaps != period).any():
                return None
            due = pd.Period(ordinal=int(ordinals[-1]) + period, freq="M")
            if _date(due, anchor) <= days[-1]:
                return None  # it ended
            amounts = y[used][-REMEMBERED:]
            alike = len(amounts) < 2 or abs(amounts[-1] / amounts[-2] - 1) <= SAME
            if not alike and amounts.std() > ALIKE * abs(amounts.mean()):
                return None
            amount = float(amounts[-1] if alike else amounts.mean())
            return Recurring(
                cell,
                leaf,
                name,
                anchor,
                period,
                int(ordinals[-1]),
                amount,
                0.0 if alike else float(amounts.std() / abs(amounts.mean())),
            )
    return None


def _date(month: pd.Period, anchor: int) -> pd.Timestamp:
    day = anchor if anchor > 0 else month.days_in_month + anchor + 1
    return month.start_time + pd.Timedelta(days=day - 1)


def lumps(cell: int, y: np.ndarray, days: pd.DatetimeIndex) -> tuple[list[Recurring], np.ndarray]:
    """Lumps within a series of use that come back on a day of the month, and the series without them.

    Example:
        >>> days = pd.date_range("2026-01-01", "2026-06-30")
        >>> y = np.where(days.day == 5, 900.0, 10.0)
        >>> (one,), calm = lumps(0, y, days)
        >>> one.anchor, one.amount, float(calm.max())
        (5, 890.0, 10.0)
    """
    if len(y) < 45:
        return [], y
    usual = _usual(y)
    excess = y - usual
    noise = 1.4826 * np.nanmedian(np.abs(excess - np.nanmedian(excess)))
    least = max(STANDS_OUT * noise, OF_LEVEL * np.nanmean(usual), 1e-9)
    big = np.nan_to_num(excess) > least
    if not 2 <= big.sum() <= 0.15 * len(y):
        return [], y
    ordinal = np.asarray((days.year - 1970) * 12 + days.month - 1)
    out: list[Recurring] = []
    calm = y.copy()
    for period in PERIODS:
        for anchor in ANCHORS:
            places = np.flatnonzero(_on(days, anchor))
            hits = places[big[places]]
            if len(hits) < (2 if period == 1 else 3):
                continue
            newest = ordinal[hits[-1]]
            due = places[(newest - ordinal[places]) % period == 0]
            due = due[ordinal[due] >= ordinal[hits[0]]][-REMEMBERED:]
            due = due[~np.isnan(y[due])]
            coming = pd.Period(ordinal=int(newest) + period, freq="M")
            if len(due) < 2 or (~big[due]).sum() > len(due) // 5 or _date(coming, anchor) <= days[-1]:
                continue
            if period > 1 and len(set(hits) - set(due)):
                continue
            amounts = excess[due][big[due]]
            spread = float(amounts.std() / amounts.mean())
            if spread > (ALIKE if period == 1 and len(amounts) > 2 else 0.1):
                continue
            steady = len(amounts) >= 2 and abs(amounts[-1] / amounts[-2] - 1) <= SAME + 2 * noise / amounts[-1]
            amount = float(np.median(amounts[-3:])) if steady else float(amounts.mean())
            # the noise of the day it stood on is use, not part of the lump
            own = max(spread**2 - (noise / amount) ** 2, 0.0) ** 0.5
            out.append(Recurring(cell, -1, "lump", anchor, period, int(newest), amount, own if own > SAME else 0.0))
            calm[hits] = usual[hits]
            big[hits] = False
    return out, calm


def _usual(y: np.ndarray) -> np.ndarray:
    """Each day's usual amount: the median of the same weekday in the three weeks before and after, and itself."""
    size = len(y)
    steps = [k * WEEK for k in (-3, -2, -1, 1, 2, 3)]
    near = np.full((len(steps), size), np.nan)
    for row, step in enumerate(steps):
        a, b = max(0, -step), min(size, size - step)
        near[row, a:b] = y[a + step : b + step]
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        out = np.nanmedian(near, axis=0)
    found: np.ndarray = np.where(np.isnan(out), np.nanmedian(y), out)
    return found
