"""Stretches of a series that are out of the ordinary, judged by its own past alone.

Several expectations of a day are made from what went before: the level of the last week; the median of the same weekday in
the last weeks, as it was and brought to that level; the same weekday of every other week. None of them is above the largest
nor below the smallest value seen in that past. A value is compared with the one it is nearest to: it is unusual if all are on
one side of it, it is off by a share of what was expected, and by more than the series itself usually is. How much that is,
is learnt from its past misses as ratios, so that a fall to a fifth weighs as much as a rise to five times; a first week shows
few, and half of what it tells is what series ordinarily stray. One day has to be far off to be told, days that follow each
other less each. A stretch is told if what it is off by altogether is a good part of a usual day.

Hours are judged against the same hours, and their days beside them: what is small in every hour may be large in a day.
Unusual values don't count as past; a level that lasts becomes the past, and all before it is forgotten.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grain:
    """How a series is cut: values a season has, past seasons to look at, how many values make a new level."""

    season: int
    seasons: int
    lasting: int
    gap: int
    least_past: int
    #: values a day has
    day: int = 1
    #: part of past misses that are smaller than the usual one, and how many of those a value must be off by
    quantile: float = 0.8
    strict: float = 1.0
    #: the same of how far a short past strays from its middle; few values tell that badly, so a part of it
    #: is what series ordinarily stray (as a logarithm of a ratio)
    strays: float = 0.4
    ordinary: float = 0.25
    part: float = 0.5
    #: part of the bound that a value of a longer stretch must be off by
    lower: float = 0.8
    #: usual misses beyond `free` each that a stretch must be off by altogether, times the sensitivity
    clear: float = 0.7
    free: float = 1.0


DAILY = Grain(season=7, seasons=6, lasting=14, gap=3, least_past=7)
HOURLY = Grain(
    season=24,
    seasons=10,
    lasting=14 * 24,
    gap=8,
    least_past=72,
    day=24,
    quantile=0.9,
    strict=1.2,
    strays=0.8,
    part=0.0,
    lower=1.0,
    clear=0.0,
)  # more values, more chances
#: seasons of misses that the usual miss is learnt from
_REMEMBERED = 8
#: part of a usual value below which ratios say nothing
_NOTHING = 0.02
#: part of a day's excess that its hours must carry to tell it
_MOST = 0.7
#: part of a usual day that a stretch must be off by altogether
SHARE = 0.45


@dataclass(eq=False)
class Run:
    """A stretch: first and last place, what was expected at each place, and which way it is off."""

    start: int
    end: int
    expected: np.ndarray
    up: bool


def unusual(
    values: np.ndarray,
    grain: Grain = DAILY,
    *,
    sensitivity: float = 1.5,
    floor: float = 0.45,
    share: float = SHARE,
    least: float = 0.0,
    first: int = 0,
) -> list[Run]:
    """Stretches of a series that are out of the ordinary.

    Args:
        values: one value per day or hour, without gaps; nan is unknown and never judged.
        grain: DAILY or HOURLY.
        sensitivity: usual misses (four days of five miss by less) that a value must be off by.
        floor: share of the expectation that it must be off by.
        share: part of a usual day that a stretch must be off by altogether; 0 for a series that doesn't add up.
        least: amount that a value must be off by.
        first: places to leave unjudged, such as the days before a series begins.

    >>> [(r.start, r.end) for r in unusual(np.array([10.0] * 20 + [30, 31] + [10] * 5))]
    [(20, 21)]
    """
    values = np.asarray(values, dtype=float)
    runs = _Series(values, grain, sensitivity, floor, share, least).runs(first)
    if grain.day == 1 or len(values) < (DAILY.least_past + 1) * grain.day:
        return runs
    whole = len(values) // grain.day
    by_day = values[: whole * grain.day].reshape(whole, grain.day)
    known = ~np.isnan(by_day).all(axis=1)
    means = np.full(whole, np.nan)
    means[known] = np.nanmean(by_day[known], axis=1)
    of_days = _Series(means, DAILY, sensitivity, floor, share, least).runs(-(-first // grain.day))
    return _together(runs, of_days, values, grain)


def _together(hours: Sequence[Run], days: Sequence[Run], values: np.ndarray, grain: Grain) -> list[Run]:
    """Runs of hours and of whole days as one list, each stretch once; told by its hours where they carry most of it."""
    out = list(hours)
    for day in days:
        wide = Run(day.start * grain.day, (day.end + 1) * grain.day - 1, np.repeat(day.expected, grain.day), day.up)
        inside = [r for r in out if r.up == wide.up and r.start <= wide.end and r.end >= wide.start]
        out = [r for r in out if r not in inside]
        if not inside or sum(_excess(r, values) for r in inside) < _MOST * _excess(wide, values):
            inside.append(wide)
        start, end = min(r.start for r in inside), max(r.end for r in inside)
        expected = values[start : end + 1].copy()
        for run in inside:
            expected[run.start - start : run.end - start + 1] = run.expected
        out.append(Run(start, end, expected, wide.up))
    return sorted(out, key=lambda r: (r.start, r.end))


def _excess(run: Run, values: np.ndarray) -> float:
    return abs(float(np.nansum(values[run.start : run.end + 1] - run.expected)))


class _Series:
    """One series walked through once, its past without what was unusual in it."""

    def __init__(
        self, values: np.ndarray, grain: Grain, sensitivity: float, floor: float, share: float, least: float
    ) -> None:
        self.values, self.grain, self.least = values, grain, least
        self.sensitivity, self.floor, self.share = sensitivity * grain.strict, floor, share
        self.past: list[float] = values.tolist()
        self.misses: list[float] = []  # as logarithms of ratios, in order of time, and sorted
        self.sorted: list[float] = []

    def runs(self, first: int) -> list[Run]:
        values, grain = self.values, self.grain
        positive = np.nan_to_num(values) > 0
        begun = max(first, int(np.argmax(positive)) if positive.any() else len(values))
        out: list[Run] = []
        current: list[tuple[int, float]] = []
        up, clear = True, 0.0
        for i in range(begun, len(values)):
            since = max(begun, i - grain.season * grain.seasons)
            own = [v for v in self.past[since:i] if v == v]
            if len(own) < grain.least_past or values[i] != values[i]:
                continue
            middle = _median(own)
            nothing = _NOTHING * middle + 1e-12
            known = self._expected(own, middle, since, i)
            offs = [math.log((values[i] + nothing) / (e + nothing)) for e in known]
            off, expected = min(zip(offs, known, strict=True), key=lambda pair: abs(pair[0]))
            usual = self._usual(own, middle, nothing)
            rise, fall = self._bounds(usual)
            if fall <= off <= rise or min(offs) < 0 < max(offs) or abs(values[i] - expected) <= self.least:
                self._missed(off)
                continue
            self._missed(min(max(off, fall), rise))
            if current and i - current[-1][0] <= grain.gap and (off > 0) == up:
                current.append((i, expected))
                clear += self._clear(off, usual)
            else:
                self._close(out, current, up, clear)
                current, up = [(i, expected)], off > 0
                clear = self._clear(off, usual)
            self.past[i] = expected
            if i - current[0][0] + 1 >= grain.lasting:  # no exception any more: from here on this is the past
                begun = current[0][0]
                self._close(out, current, up, clear)
                self.past[begun : i + 1] = values[begun : i + 1].tolist()
                current = []
        self._close(out, current, up, clear)
        return out

    def _expected(self, own: Sequence[float], middle: float, since: int, i: int) -> list[float]:
        """What to expect, by different readings of the past."""
        grain = self.grain
        level = _median(own[-grain.season :])
        places = range(i - grain.season, since - 1, -grain.season)
        same = [v for v in (self.past[j] for j in places[: grain.seasons]) if v == v]
        found = [level, *same]
        if len(same) >= 2:
            share = level * _median(same) / middle if middle > 0 else level
            found = [_median(same[:4]), _median(same[1::2]), share]
        low, high = min(own), max(own)
        return [min(max(e, low), high) for e in found]

    def _usual(self, own: Sequence[float], middle: float, nothing: float) -> float:
        """How far values usually are off, as a logarithm of a ratio."""
        grain = self.grain
        known = min(1.0, len(self.misses) / grain.season)
        usual = known * _quantile(self.sorted, grain.quantile)
        if known < 1:  # a short past: how far it strays from its middle
            strays = sorted(abs(math.log((v + nothing) / (middle + nothing))) for v in own)
            usual += (1 - known) * ((1 - grain.part) * _quantile(strays, grain.strays) + grain.part * grain.ordinary)
        return usual

    def _bounds(self, usual: float) -> tuple[float, float]:
        """How far a value may be off, up and down, as logarithms of ratios."""
        bound, floor = self.sensitivity * self.grain.lower * usual, min(self.floor, 0.999)
        return max(bound, math.log1p(self.floor)), -max(bound, -math.log1p(-floor))

    def _clear(self, off: float, usual: float) -> float:
        """What a value adds to how clear a stretch is: one value has to be far off, several together less."""
        return abs(off) / usual - self.grain.free if usual else math.inf

    def _missed(self, off: float) -> None:
        self.misses.append(abs(off))
        insort(self.sorted, abs(off))
        if len(self.misses) > _REMEMBERED * self.grain.season:
            del self.sorted[bisect_left(self.sorted, self.misses.pop(0))]

    def _close(self, runs: list[Run], current: list[tuple[int, float]], up: bool, clear: float) -> None:
        if not current or clear < self.grain.clear * self.sensitivity:
            return
        start, end, known = current[0][0], current[-1][0], dict(current)
        excess = abs(sum(self.values[i] - e for i, e in known.items()))
        before = [v for v in self.past[max(0, start - self.grain.season) : start] if v == v]
        usual = sum(before) / len(before) * self.grain.day if before else 0.0
        if excess < self.share * usual:
            return
        expected = np.array([known.get(i, self.values[i]) for i in range(start, end + 1)])
        runs.append(Run(start, end, expected, up))


def _quantile(order: Sequence[float], share: float) -> float:
    return order[min(len(order) - 1, int(share * len(order)))] if order else 0.0


def _median(values: Sequence[float]) -> float:
    """The median of few values, quicker than numpy's."""
    order, half = sorted(values), len(values) // 2
    return order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2
