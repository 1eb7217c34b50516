"""Phases of a cell's life: born, in use, jumped, silent. What a forecast of its sums must know before it starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from finops_ai.forecasting.sums import BLOCK, WEEK

#: days after birth in which a cell counts as young
YOUNG = 14
#: lengths of stay tried for a jump, in days; how far beyond everything seen it must be; days before it that are needed
#: and the one where two weeks differ most from the two before, up to so many days ago
STAYS, OLDEST = (3, 5, 7, 10, 14, 21, 28, 42, 56, 84), 280
BEYOND, BEFORE, ENOUGH = 1.5, 21, 84
#: a jump happens from one week to the next
STEP = 1.4
#: a calm series shows a jump sooner: beyond what it has shown by as much as that differs in itself, so much at least
CALM, CALM_STEP = 1.2, 1.15
#: a jump that stayed this long is the new usual: what was before it tells how use moves, not how much it is
SETTLED = 28
#: lengths of dip tried; days since one that show that it is over; how alike the level must be before and after it
DIPS, OVER, SAME_LEVEL = (3, 5, 7, 10, 14, 21), 7, 1.4
#: share of other days that may be as low as those of a dip
RARE = 0.02
#: chance that a jump stays: at once, and how much more with the days it has stayed, half of that after so many
LEAST_STAY, MORE_STAY, HALF_STAY = 0.15, 0.75, 10.0
#: chance a day that use ends; chance that silence longer than it should be is a pause, halved each week
HAZARD, PAUSE = 1 / 180, 0.25
#: silence no longer than this many times the longest one before says nothing
LONGER = 1.2
#: chance below which an outcome isn't counted
NEGLIGIBLE = 0.02


class Phase(Enum):
    """Where a cell is in its life."""

    YOUNG = "new"
    USED = "in use"
    JUMPED = "jumped"
    SILENT = "silent"


@dataclass(frozen=True)
class Life:
    """One cell's phase.

    Attributes:
        phase: where it is.
        born: index of its first day of use.
        since: index of the first day of the present phase.
        chance: that the present level stays (a jump), or that use comes back (silence); 1 otherwise.
        now: level a day since the jump; 0 in silence.
        times: the level since a jump that stayed over the one before it; 1 without.
    """

    phase: Phase
    born: int
    since: int
    chance: float = 1.0
    now: float = 0.0
    times: float = 1.0


def life_of(y: np.ndarray, weekday: np.ndarray, stay: tuple[float, float] = (1.0, 1.0)) -> Life:
    """The phase of one cell.

    Args:
        y: amount by day without its weekdays, NaN where unknown.
        weekday: day of the week of each day.
        stay: past jumps that stayed and that didn't, as counts; a prior by length of stay is added.

    Example:
        >>> week = np.arange(60) % 7
        >>> life_of(np.where(np.arange(60) < 53, 1.0, 3.0), week).phase.value
        'jumped'
        >>> life_of(np.where(np.arange(60) < 40, 1.0, 0.0), week).phase.value
        'silent'
    """
    known = ~np.isnan(y)
    used = known & (y != 0)
    if not used.any():
        return Life(Phase.SILENT, 0, 0, 0.0)
    born, last = int(np.flatnonzero(used)[0]), int(np.flatnonzero(used)[-1])
    silence = len(y) - 1 - last
    if silence:
        gone = _end(used, known, weekday, born, last)
        if gone < 1.0:
            return Life(Phase.SILENT, born, last + 1, gone)
    if len(y) - born <= YOUNG:
        return Life(Phase.YOUNG, born, born)
    jump = jump_of(y[born:])
    calm = jump is not None and _calm(y[born : len(y) - jump[0]])
    if jump is not None and not calm:
        jump = jump_of(y[born:], oldest=STAYS[-1])
    if jump is not None:
        days, level = jump
        if days >= SETTLED and not calm:
            return Life(Phase.USED, len(y) - days, len(y) - days)
        if days >= SETTLED:
            before = float(np.nanmean(y[max(born, len(y) - days - SETTLED) : len(y) - days]))
            return Life(Phase.USED, born, len(y) - days, times=level / before if before > 0 else 1.0)
        likely = LEAST_STAY + MORE_STAY * days / (days + HALF_STAY)
        stayed, left = stay
        chance = (2 * likely + stayed) / (2 + stayed + left)
        chance = float(np.clip(chance, 0.15, 0.85 if days < YOUNG else 0.95))
        return Life(Phase.JUMPED, born, len(y) - days, chance, level)
    return Life(Phase.USED, born, born)


def _end(used: np.ndarray, known: np.ndarray, weekday: np.ndarray, born: int, last: int) -> float:
    """Chance that use comes back: how likely so long a silence is on those weekdays, against that it ended."""
    silent = np.flatnonzero(known[last + 1 :]) + last + 1
    if len(silent) <= LONGER * _longest(~used[born : last + 1]):
        return 1.0
    first = max(born, last - 8 * WEEK + 1)
    if used[first : last + 1].mean() < 0.5:
        first = max(born, last - 26 * WEEK + 1)
    window = slice(first, last + 1)
    rate = np.zeros(WEEK)
    overall = used[window].sum() / max(known[window].sum(), 1)
    for d in range(WEEK):
        at = weekday[window] == d
        number = (at & known[window]).sum()
        rate[d] = (used[window][at].sum() + 2 * overall) / (number + 2)
    chance = float(np.prod(1 - np.minimum(rate[weekday[silent]], 0.98)))
    odds = len(silent) * HAZARD
    ended = odds / (odds + chance)
    if ended < 0.5:
        return 1.0
    pause = PAUSE * 0.5 ** (len(silent) / WEEK)
    back = (1 - ended) + ended * pause
    return back if back > NEGLIGIBLE else 0.0


def _calm(y: np.ndarray) -> bool:
    """Whether weeks never differed by as much as a jump: only then is one jump the whole story."""
    weeks = _running_weeks(y[~np.isnan(y)]) if (~np.isnan(y)).sum() >= WEEK else np.zeros(1)
    return bool(weeks.max() < BEYOND * weeks.min())


def jump_of(y: np.ndarray, oldest: int = OLDEST) -> tuple[int, float] | None:
    """Days and level of a jump beyond everything the series has shown at that length, None where there is none."""
    clean = np.where(np.isnan(y), np.nanmedian(y), y)
    running = np.concatenate([[0.0], np.cumsum(clean)])
    found = None
    for days in (*STAYS, *([_clearest(running)] if oldest > STAYS[-1] else [])):
        if found and days > STAYS[-1]:
            break  # the newest jump counts
        past = clean[:-days]
        if len(past) < max(BEFORE, min(2 * days, ENOUGH)):
            break
        now = (running[-1] - running[-1 - days]) / days
        seen = (running[days:-days] - running[: -2 * days]) / days if len(past) > days else past
        seen = seen[-182:]
        high, low, middle = seen.max(), seen.min(), np.median(past[-8 * WEEK :])
        inside = clean[-days:] if days < SETTLED else _running_weeks(clean[-days:])
        # every part of the stay is beyond what was, so that one large day is no jump
        shown = high / low if low > 0 else np.inf
        beyond, least = min(BEYOND, max(CALM, shown)), min(STEP, max(CALM_STEP, shown**0.5))
        up = now > beyond * high and inside.min() > middle and np.median(inside) > beyond * max(middle, high / 2)
        down = low > 0 and now < low / beyond and inside.max() < middle and now > 0
        around = min(days, WEEK)
        step = clean[-days:][:around].mean() / max(past[-WEEK:].mean(), 1e-12)
        if 1 / least < step < least:
            continue  # it came there gradually: growth is no jump
        apart = np.sqrt(max(now, 1e-12) * max(middle, 1e-12))
        if (up and _longest(past > apart) < days) or (down and _longest(past < apart) < days):
            found = _sharpest(clean, days)
    return found


def dip_of(y: np.ndarray) -> tuple[int, int] | None:
    """First day and the one after the last of a dip below everything else, after which use came back; None without one.

    What happened once says nothing of what is usual, what happened twice does. Bursts stay: they cost.

    Args:
        y: amount by day without its weekdays, from birth, NaN where unknown.

    Example:
        >>> y = np.where((np.arange(100) >= 70) & (np.arange(100) < 77), 1.0, 20.0)
        >>> dip_of(y), dip_of(np.tile(y, 2))
        ((70, 77), None)
    """
    if len(y) < BEFORE + DIPS[0] + OVER:
        return None
    clean = np.where(np.isnan(y), np.nanmedian(y), y)
    running = np.concatenate([[0.0], np.cumsum(clean)])
    for days in reversed(DIPS):
        means = (running[days:] - running[:-days]) / days
        at = int(means[: len(clean) - days - OVER + 1].argmin()) if len(clean) > days + OVER else 0
        others = np.concatenate([means[: max(at - days, 0)], means[at + days + 1 :]])
        before, after = clean[max(at - 2 * WEEK, 0) : at], clean[at + days : at + days + 2 * WEEK]
        if len(others) < BEFORE or len(before) < WEEK:
            continue
        level = float(np.sqrt(max(before.mean(), 1e-12) * max(after.mean(), 1e-12)))
        alike = 1 / SAME_LEVEL < before.mean() / max(after.mean(), 1e-12) < SAME_LEVEL
        low = max(float(np.sqrt(means[at] * level)), level / (2 * BEYOND))
        if not alike or means[at] * BEYOND >= others.min() or clean[at : at + days].max() >= low:
            continue
        first, last = at, at + days
        while first > 0 and clean[first - 1] < low:
            first -= 1
        while last < len(clean) and clean[last] < low:
            last += 1
        elsewhere = np.concatenate([clean[:first], clean[last:]])
        over = len(clean) - last >= OVER and last - first <= DIPS[-1]
        return (first, last) if over and (elsewhere < low).mean() < RARE else None
    return None


def _running_weeks(y: np.ndarray) -> np.ndarray:
    """Means of every seven days in a row."""
    out: np.ndarray = np.convolve(y, np.ones(WEEK) / WEEK, "valid")
    return out


def _clearest(running: np.ndarray) -> int:
    """Days since two weeks differed most from the two before; `running` are sums up to each day."""
    two = running[2 * WEEK :] - running[: -2 * WEEK]
    ratio = np.abs(np.log(np.maximum(two[2 * WEEK :], 1e-12) / np.maximum(two[: -2 * WEEK], 1e-12)))[-OLDEST:]
    return int(2 * WEEK + len(ratio) - 1 - ratio.argmax()) if len(ratio) else STAYS[0]


def _sharpest(clean: np.ndarray, most: int) -> tuple[int, float]:
    """Days since a jump, and its level: where the days before and since differ most clearly."""
    best, chosen = -1.0, (most, float(clean[-most:].mean()))
    for days in range(max(STAYS[0], most - WEEK), most + 1):
        now, before = clean[-days:].mean(), clean[-days - 2 * WEEK : -days].mean()
        clear = abs(np.log(max(now, 1e-12) / max(before, 1e-12))) * np.sqrt(days)
        if clear > best:
            best, chosen = clear, (days, float(now))
    return chosen


def _longest(flags: np.ndarray) -> int:
    """Length of the longest run of True.

    >>> _longest(np.array([True, False, True, True]))
    2
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def jumps_that_stayed(weeks: np.ndarray) -> tuple[float, float]:
    """How many past jumps of some series stayed for four weeks and how many went back."""
    stayed = left = 0.0
    size = weeks.shape[1]
    for k in range(8, size - BLOCK):
        before = weeks[:, max(0, k - 13) : k]
        old, now = before[:, -BLOCK:].mean(1), weeks[:, k]
        later = weeks[:, k + 1 : k + 1 + BLOCK].mean(1)
        up = (now > BEYOND * before.max(1)) & (before.max(1) > 0)
        down = (now < before.min(1) / BEYOND) & (now > 0)
        for i in np.flatnonzero(up | down):
            near = abs(np.log(max(later[i], 1e-12) / now[i])) < abs(np.log(max(later[i], 1e-12) / max(old[i], 1e-12)))
            stayed, left = stayed + near, left + (not near)
    return stayed, left


def weekday_factors(y: np.ndarray, weekday: np.ndarray, prior: np.ndarray | None = None) -> np.ndarray:
    """What each weekday is to the mean day, `(series, 7)`, pulled to a prior as far as the weeks known say little.

    Example:
        >>> y = np.tile([10.0] * 5 + [5.0] * 2, (1, 20))
        >>> weekday_factors(y, np.arange(140) % 7).round(1).tolist()
        [[1.2, 1.2, 1.2, 1.2, 1.2, 0.6, 0.6]]
    """
    most = 26 * WEEK
    y, weekday = y[:, -most:], weekday[-most:]
    known = ~np.isnan(y)
    flat = np.where(known, y, 0.0)
    prior = np.ones((len(y), WEEK)) if prior is None else np.broadcast_to(prior, (len(y), WEEK))
    mean = flat.sum(1) / np.maximum(known.sum(1), 1)
    safe = np.where(mean > 0, mean, 1.0)
    # a series' level moves: each day against the mean of the week around it
    kernel = np.ones(WEEK)
    if y.shape[1] >= 2 * WEEK:
        local = np.array([np.convolve(row, kernel, "same") for row in flat])
        number = np.array([np.convolve(row, kernel, "same") for row in known.astype(float)])
        local = local / np.maximum(number, 1)
        ratio = flat / np.maximum(local, 0.05 * safe[:, None])
        inner = number == WEEK if not known.all() else np.pad(np.ones((len(y), y.shape[1] - 6), bool), ((0, 0), (3, 3)))
        usable = known & inner
    else:
        ratio, usable = flat / safe[:, None], known
    factor, weeks, spread = np.ones((len(y), WEEK)), np.zeros((len(y), WEEK)), np.zeros((len(y), WEEK))
    for d in range(WEEK):
        at = usable & (weekday == d)[None]
        number = at.sum(1)
        total = np.where(at, ratio, 0.0).sum(1)
        average = total / np.maximum(number, 1)
        factor[:, d], weeks[:, d] = average, number
        spread[:, d] = np.where(at, (ratio - average[:, None]) ** 2, 0.0).sum(1) / np.maximum(number - 1, 1)
    error = (spread.mean(1, keepdims=True) + 0.005) / np.maximum(weeks, 1)
    apart = np.maximum(((factor - prior) ** 2).mean(1, keepdims=True) - error.mean(1, keepdims=True), 0.0)
    trust = np.where(weeks > 1, apart / (apart + error), 0.0)
    mixed = trust * factor + (1 - trust) * prior
    out: np.ndarray = np.maximum(mixed / mixed.mean(1, keepdims=True), 0.02)
    return out
