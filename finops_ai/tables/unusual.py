"""Stretches of a series that are out of the ordinary, judged by its own past alone.

What is expected of a day is the median of the same weekday (of an hour: the same hour) in the last weeks, brought to the
level of the last week; with less than two weeks of past, the median of what there is. An expectation is never above the
largest nor below the smallest value seen in that past. A value is unusual if it is off by more than the usual miss of
such expectations, and by more than a share of the expectation. Unusual values don't count as past; a level that lasts
becomes the past, and all before it is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: 1.4826 x median absolute deviation estimates a normal distribution's standard deviation
_MAD = 1.4826


@dataclass(frozen=True)
class Grain:
    """How a series is cut: values a season has, past seasons to look at, how many values make a new level."""

    season: int
    seasons: int
    lasting: int
    gap: int
    least_past: int


DAILY = Grain(season=7, seasons=6, lasting=14, gap=3, least_past=7)
HOURLY = Grain(season=24, seasons=10, lasting=72, gap=3, least_past=72)


@dataclass
class Run:
    """A stretch: first and last place, and what was expected at each place."""

    start: int
    end: int
    expected: np.ndarray


def unusual(
    values: np.ndarray,
    grain: Grain = DAILY,
    *,
    sensitivity: float = 4.0,
    floor: float = 0.35,
    cap: float = 0.7,
    least: float = 0.0,
    first: int = 0,
) -> list[Run]:
    """Stretches of a series that are out of the ordinary.

    Args:
        values: one value per day or hour, without gaps; nan is unknown and never judged.
        grain: DAILY or HOURLY.
        sensitivity: usual misses (robust standard deviations) that a value must be off by.
        floor: share of the expectation that it must be off by.
        cap: share of the expectation beyond which a value is unusual, however restless the series.
        least: amount that it must be off by.
        first: places to leave unjudged, such as the days before a series begins.

    >>> [(r.start, r.end) for r in unusual(np.array([10.0] * 20 + [30, 31] + [10] * 5))]
    [(20, 21)]
    """
    count = len(values)
    values = np.asarray(values, dtype=float)
    past: list[float] = values.tolist()
    begun = max(first, int(np.argmax(values > 0)) if np.any(values > 0) else count)
    runs: list[Run] = []
    current: list[tuple[int, float]] = []
    misses: list[float] = []
    for i in range(begun, count):
        known = _expected(past, begun, i, grain)
        if known is None or np.isnan(values[i]):
            continue
        offs = [values[i] - e for e in known]
        expected = known[0] if abs(offs[0]) <= abs(offs[-1]) else known[-1]
        off = values[i] - expected
        usual = (
            _MAD * _median([abs(m) for m in misses[-8 * grain.season :]])
            if len(misses) >= grain.season
            else _restless(past[begun:i])
        )
        bound = max(min(sensitivity * usual, cap) * expected, floor * expected, least)
        if abs(off) <= bound or min(offs) < 0 < max(offs):
            misses.append((values[i] - known[0]) / known[0] if known[0] > 0 else 0.0)
            continue
        if current and i - current[-1][0] <= grain.gap and (off > 0) == (values[current[-1][0]] > current[-1][1]):
            current.append((i, expected))
        else:
            _close(runs, current, values)
            current = [(i, expected)]
        past[i] = expected
        if i - current[0][0] + 1 >= grain.lasting:  # no exception any more: from here on this is the past
            begun = current[0][0]
            past[begun : i + 1] = values[begun : i + 1].tolist()
            _close(runs, current, values)
            current = []
    _close(runs, current, values)
    return runs


def _expected(past: Sequence[float], begun: int, i: int, grain: Grain) -> list[float] | None:
    """What to expect: the same weekday's median, and the last season's level with the weekday's share of it."""
    since = max(begun, i - grain.season * grain.seasons)
    own = [v for v in past[since:i] if v == v]
    if len(own) < grain.least_past:
        return None
    level = _median(own[-grain.season :])
    found = [level]
    same = (
        [v for v in past[i - grain.season :: -grain.season][: grain.seasons] if v == v]
        if i - grain.season >= since
        else []
    )
    same = same[: 1 + (i - grain.season - since) // grain.season]
    if len(same) >= 2:
        middle, usual = _median(own), _median(same[:4])
        found = [usual, level * _median(same) / middle if middle > 0 else usual]
    elif same:
        found = [same[0], level]
    low, high = min(own), max(own)
    return [min(max(e, low), high) for e in found]


def _restless(own: Sequence[float]) -> float:
    """How far a short past strays from its middle, as a share of it."""
    own = [v for v in own if v == v]
    middle = _median(own)
    return _MAD * _median([abs(v - middle) for v in own]) / middle if middle > 0 else 0.0


def _median(values: Sequence[float]) -> float:
    """The median of few values, quicker than numpy's."""
    order, half = sorted(values), len(values) // 2
    return order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2


def _close(runs: list[Run], current: list[tuple[int, float]], values: np.ndarray) -> None:
    if not current:
        return
    start, end, known = current[0][0], current[-1][0], dict(current)
    expected = np.array([known.get(i, values[i]) for i in range(start, end + 1)])
    runs.append(Run(start, end, expected))
