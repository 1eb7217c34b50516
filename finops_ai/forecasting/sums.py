"""Direct models of sums: what the coming weeks of each series come to, and how far such forecasts were off before.

A plan asks for sums over months. Means over the last weeks, lines through them, the course of the year and what the
daily models say are tried at every past week; each weighs by what it missed there, by lead. What the mixture missed is
taken apart into noise of single weeks, which months average out, and drift, which they don't.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from finops_ai.forecasting.movement import Movement, expected_miss, movement_of

WEEK, BLOCK, YEAR = 7, 4, 52
#: a week of which fewer usual days than this are known has no level
LEAST_WEEK = 0.25
#: windows of the means and of the lines, in weeks; damping of the slower line, a week
MEANS, LINES, DAMPED = (1, 2, 4, 8, 13, 26), (8, 13, 26), 0.9
#: all weeks there are, as a window
ALL = 10**6
#: the simple models: weeks they are made of, and whether they are lines
SIMPLE: dict[str, tuple[int, bool]] = {
    **{f"mean of {weeks} weeks" if weeks > 1 else "last week": (weeks, False) for weeks in MEANS},
    "mean of all": (ALL, False),
    **{f"line through {weeks} weeks": (weeks, True) for weeks in LINES},
    f"damped line through {LINES[1]} weeks": (LINES[1], True),
}
#: leads tried, in blocks of four weeks, and where two years are known; weeks of history before anything is tried
LEADS, LONG_LEADS, SHORTEST = 6, 14, 8
#: growth or fall a line may go on with, log per week (a little over half more a month)
STEEPEST_LINE = 0.10
#: how steeply weight falls with error: grows with the blocks of history that could be tried
STEEPNESS, STEEPEST = 2.5, 12.5
#: blocks of evidence that what a model should miss, by how the series moves, counts as; how much worse a line counts
#: than that says (log of the error)
EXPECTED_BLOCKS, DOUBT = 6.5, 1.0
#: how far the evidence of neighbouring leads counts (sd, in leads)
NEAR_LEADS = 0.8
#: what a forecast misses before anything is known (variance of the ratio), at once and more with every block: so much
#: at least, and so much over the weeks of history to this power; blocks of own evidence it counts as
PRIOR_LEVEL, PRIOR_DRIFT, PRIOR_POWER, PRIOR_BLOCKS = (0.004**2, 0.25), (0.006**2, 0.06), 2.0, 1.25
#: weights are chosen on the same past the errors are measured on: how much variance that hides, over blocks of it
OPTIMISM = 2.0
#: share of a mixture's weights that must have been there for its error to count; largest error (log, squared) and least ratio
MOSTLY, LARGEST, LEAST_RATIO = 0.7, np.log(5.0), 0.01
#: how unsure growth is beyond the leads that were tried, as share of it
SLOPE_DOUBT = 0.25
#: block by which the doubt about a line is told
SOON = 3
#: half-life of past evidence, in weeks
MEMORY = 30.0


@dataclass(frozen=True)
class Sums:
    """Forecast of series on a grid of weeks.

    Attributes:
        level: `(series, leads)`, per day, by block of four weeks ahead.
        weights: `(candidates, series, leads)`.
        names: of the candidates.
        growth: `(series,)`, log a week, of what is forecast beyond the first block.
        slope_spread: `(series,)`, how unsure that is (sd, log a block of four weeks).
        noise: `(series, weeks)`, each past week over its local level; NaN where unknown.
        base: `(series,)`, variance of the level's error at the first block.
        drift: `(series,)`, how much that variance grows a block.
        blocks: blocks of history that could be tried.
    """

    level: np.ndarray
    weights: np.ndarray
    names: list[str]
    growth: np.ndarray
    slope_spread: np.ndarray
    noise: np.ndarray
    base: np.ndarray
    drift: np.ndarray
    blocks: float


def weekly(daily: np.ndarray, usual: np.ndarray | None = None) -> np.ndarray:
    """Level a day of each whole week up to the end, `(series, weeks)`; days unknown (NaN) don't count.

    Args:
        daily: `(series, days)`.
        usual: of the same shape, what each day is to the mean day; all alike if not given. A week's level is its sum over
            the sum of these, so that a day that is usually empty says little and takes nothing away.

    >>> weekly(np.array([[9.0] + [1.0] * 7 + [3.0] * 6 + [np.nan]])).tolist()
    [[1.0, 3.0]]
    >>> weekly(np.array([[7.0] * 5 + [0.0] * 2]), np.array([[1.4] * 5 + [0.0] * 2])).tolist()
    [[5.0]]
    """
    count = daily.shape[1] // WEEK
    weeks = daily[:, daily.shape[1] - count * WEEK :].reshape(len(daily), count, WEEK)
    known = ~np.isnan(weeks)
    total, days = np.where(known, weeks, 0.0).sum(2), known.sum(2).astype(float)
    if usual is not None:
        days = np.where(known, usual[:, daily.shape[1] - count * WEEK :].reshape(weeks.shape), 0.0).sum(2)
    out: np.ndarray = np.divide(total, days, out=np.full(total.shape, np.nan), where=days > LEAST_WEEK)
    return out


def filled(weeks: np.ndarray) -> np.ndarray:
    """Unknown weeks as the one before them (the one after at the start)."""
    out = weeks.copy()
    for k in range(1, out.shape[1]):
        out[:, k] = np.where(np.isnan(out[:, k]), out[:, k - 1], out[:, k])
    for k in range(out.shape[1] - 2, -1, -1):
        out[:, k] = np.where(np.isnan(out[:, k]), out[:, k + 1], out[:, k])
    found: np.ndarray = np.nan_to_num(out)
    return found


def candidates(weeks: np.ndarray, leads: int = LEADS) -> tuple[list[str], np.ndarray]:
    """What each simple model says at every week of the history: `(models, series, weeks + 1, leads)`, NaN where too young.

    Entry `k` of the weeks knows the first `k` weeks only; the last one is the forecast.
    """
    count, size = weeks.shape
    names, made = [], []
    running = np.concatenate([np.zeros((count, 1)), np.cumsum(weeks, 1)], 1)
    nothing = np.full((count, size + 1, leads), np.nan)

    def constant(level: np.ndarray, first: int) -> np.ndarray:
        out = nothing.copy()
        out[:, first:] = level[:, :, None]
        return out

    for window in MEANS:
        names.append(f"mean of {window} weeks" if window > 1 else "last week")
        if window <= size:
            made.append(constant((running[:, window:] - running[:, :-window]) / window, window))
        else:
            made.append(nothing)
    names.append("mean of all")
    made.append(constant(running[:, 1:] / np.arange(1, size + 1), 1) if size else nothing)
    ahead = np.arange(leads)[:, None] * BLOCK + np.arange(1, BLOCK + 1)
    floor = np.maximum(0.02 * weeks.mean(1, keepdims=True), 1e-12)
    logs = np.log(np.maximum(weeks, floor))
    for window, damping in [(w, 1.0) for w in LINES] + [(LINES[1], DAMPED)]:
        names.append(f"{'damped ' if damping < 1 else ''}line through {window} weeks")
        if window > size:
            made.append(nothing)
            continue
        t = np.arange(window) - (window - 1) / 2
        seen = np.lib.stride_tricks.sliding_window_view(logs, window, axis=1)
        slope = np.clip(seen @ t / (t @ t), -STEEPEST_LINE, STEEPEST_LINE)
        fitted = seen.mean(2)[:, :, None] + slope[:, :, None] * t
        raw = np.lib.stride_tricks.sliding_window_view(weeks, window, axis=1)
        lift = raw[:, :, -BLOCK * 2 :].sum(2) / np.exp(fitted[:, :, -BLOCK * 2 :]).sum(2)
        end = np.exp(fitted[:, :, -1]) * lift
        steps = np.cumsum(damping ** np.arange(1, leads * BLOCK + 1))[ahead - 1]
        out = nothing.copy()
        out[:, window:] = end[:, :, None] * np.exp(slope[:, :, None, None] * steps).mean(3)
        made.append(out)
    names.append("course of the year")
    made.append(_course(weeks, leads) if size >= 2 * YEAR else nothing)
    return names, np.array(made)


def _course(weeks: np.ndarray, leads: int) -> np.ndarray:
    """The last four weeks' level times what the same weeks of earlier years were to the four before them."""
    count, size = weeks.shape
    out = np.full((count, size + 1, leads), np.nan)
    level = np.maximum(weeks.mean(1, keepdims=True) * 0.02, 1e-12)
    for k in range(YEAR + BLOCK, size + 1):
        now = weeks[:, k - BLOCK : k].mean(1)
        ratios = []
        for back in range(YEAR, k - BLOCK + 1, YEAR):
            then = np.maximum(weeks[:, k - back - BLOCK : k - back].mean(1, keepdims=True), level)
            row = np.full((count, leads), np.nan)
            for lead in range(leads):
                a, b = k - back + lead * BLOCK - 1, k - back + (lead + 1) * BLOCK + 1
                if b <= k:
                    row[:, lead] = weeks[:, max(a, 0) : b].mean(1) / then[:, 0]
            ratios.append(row)
        if ratios:
            known = np.array(ratios)
            total = np.where(np.isnan(known), 0, known).sum(0)
            number = (~np.isnan(known)).sum(0)
            out[:, k] = now[:, None] * np.divide(total, number, out=np.full(total.shape, np.nan), where=number > 0)
    return out


def came(weeks: np.ndarray, leads: int = LEADS) -> np.ndarray:
    """What really came, `(series, weeks + 1, leads)`: mean of each block ahead of each week, NaN beyond the end."""
    count, size = weeks.shape
    out = np.full((count, size + 1, leads), np.nan)
    running = np.concatenate([np.zeros((count, 1)), np.cumsum(weeks, 1)], 1)
    for lead in range(leads):
        first, last = lead * BLOCK, (lead + 1) * BLOCK
        if last <= size:
            out[:, : size - last + 1, lead] = (running[:, last:] - running[:, first : size - BLOCK + 1]) / BLOCK
    return out


def local_noise(weeks: np.ndarray, around: int = 4) -> np.ndarray:
    """Each week over the mean of the weeks around it, made as lively as it is against a level it doesn't share in."""
    size = weeks.shape[1]
    if size < 3:
        return np.ones_like(weeks)
    running = np.concatenate([np.zeros((len(weeks), 1)), np.cumsum(weeks, 1)], 1)
    k = np.arange(size)
    first, last = np.maximum(k - around, 0), np.minimum(k + around + 1, size)
    number = last - first
    local = (running[:, last] - running[:, first]) / number
    least = np.maximum(0.02 * weeks.mean(1, keepdims=True), 1e-12)
    ratio = weeks / np.maximum(local, least)
    ratio = np.minimum(ratio, number)
    ratio = 1 + (ratio - 1) * np.sqrt(number / (number - 1))
    out: np.ndarray = np.maximum(ratio, 0.0)
    return out


def forecast_sums(weeks: np.ndarray, extra: tuple[list[str], np.ndarray, np.ndarray] | None = None) -> Sums:
    """Forecast series on a grid of weeks by the models that were closest before.

    Args:
        weeks: `(series, weeks)`, mean per day, no gaps.
        extra: further models: names, forecasts `(models, series, leads)` and their usual relative error of the same
            shape (NaN where untried).

    Example:
        >>> flat = forecast_sums(np.full((1, 40), 5.0))
        >>> flat.level.round(6).tolist(), round(float(flat.base[0]), 4) < 0.001
        ([[5.0, 5.0, 5.0, 5.0, 5.0, 5.0]], True)
    """
    size = weeks.shape[1]
    leads = LEADS if size < 2 * YEAR else LONG_LEADS
    names, made = candidates(weeks, leads)
    actual = came(weeks, leads)
    origins = np.arange(size + 1)
    usable = (origins >= min(SHORTEST, max(size - BLOCK, 1))) & (origins < size)
    recent = 0.5 ** ((size - origins) / MEMORY) * usable
    miss = np.abs(made - actual) / np.maximum((np.abs(made) + np.abs(actual)) / 2, 1e-12)
    miss = np.where((made == 0) & (actual == 0)[None], 0.0, miss)
    known = ~np.isnan(miss) & (recent > 0)[None, None, :, None]
    mass = np.where(known, recent[None, None, :, None], 0.0)
    error = (np.where(known, miss, 0.0) * mass).sum(2)
    evidence = mass.sum(2)
    now = made[:, :, -1]
    if extra is not None:
        names = [*names, *extra[0]]
        now = np.concatenate([now, extra[1]])
        tried = np.where(np.isnan(extra[2]), 0.0, evidence.max(0)[None])
        error = np.concatenate([error, np.nan_to_num(extra[2]) * tried])
        evidence = np.concatenate([evidence, tried])
    moved = movement_of(weeks)
    weights = _weights(now, error, evidence, size, _expected(moved, names, size, leads))
    level = np.nansum(np.where(np.isnan(now), 0, now) * weights, 0)
    past = np.where(np.isnan(made), 0, made)
    share = weights[: len(made), :, None, :] * ~np.isnan(made)
    mixed = (past * share).sum(0) / np.maximum(share.sum(0), 1e-12)
    mixed[share.sum(0) < MOSTLY] = np.nan
    noise = local_noise(weeks)
    lines = weights[[name in SIMPLE and SIMPLE[name][1] for name in names]].sum(0).mean(1)
    # steady growth is no surprise to a line, once there is a year of it
    steady = lines * min(size / YEAR, 1.0)
    drifting = (1 - steady) * moved.drift + steady * moved.swerve
    first, later = _slope_doubt(moved, names, weights, size, leads)
    base, drift, blocks = _errors(
        mixed, actual, recent, noise, size, (BLOCK * drifting + first, BLOCK * drifting + later)
    )
    first, last = level[:, 0], level[:, 2]
    growth = np.log(np.maximum(last, 1e-12) / np.maximum(first, 1e-12)) / (2 * BLOCK)
    growth = np.where(first > 0, growth, 0.0)
    with np.errstate(all="ignore"):
        slopes = np.log(now[:, :, -1] / now[:, :, 0]) / max(leads - 1, 1)
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    own = (weights.mean(2) * (slopes - growth * BLOCK) ** 2).sum(0)
    spread = np.sqrt(own) + SLOPE_DOUBT * np.abs(growth * BLOCK)
    return Sums(level, weights, names, growth, spread, noise, base, drift, blocks)


def _expected(moved: Movement, names: list[str], size: int, leads: int) -> np.ndarray:
    """`(models, series, leads)`: what each should miss over what the usual mean should (log), by how the series move."""
    ahead = BLOCK * (np.arange(leads) + 0.5)
    out = np.zeros((len(names), len(moved.noise), leads))
    simple = [(row, *SIMPLE[name]) for row, name in enumerate(names) if name in SIMPLE]
    for row, window, line in simple:
        out[row] = 0.5 * np.log(expected_miss(moved, min(window, size), ahead, line)) + DOUBT * line
    means = [row for row, window, line in simple if not line and (window <= size or window == ALL)]
    out[[row for row, *_ in simple]] -= np.median(out[means], axis=0)
    return out


def _slope_doubt(
    moved: Movement, names: list[str], weights: np.ndarray, size: int, leads: int
) -> tuple[np.ndarray, np.ndarray]:
    """Variance that noise leaves in the lines of the mixture, `(series,)`: at the first block, and more a block."""
    ahead = BLOCK * (np.arange(leads) + 0.5)
    still = replace(moved, swerve=np.zeros_like(moved.swerve))
    doubt = np.zeros((len(moved.noise), leads))
    for row, name in enumerate(names):
        if name in SIMPLE and SIMPLE[name][1]:
            doubt += weights[row] * expected_miss(still, min(SIMPLE[name][0], size), ahead, line=True)
    # lines may count for less in what is far ahead
    return doubt[:, 0], np.maximum(doubt[:, SOON] - doubt[:, 0], 0.0) / SOON


def _weights(now: np.ndarray, error: np.ndarray, evidence: np.ndarray, size: int, expected: np.ndarray) -> np.ndarray:
    """`(models, series, leads)`: by error at past weeks, neighbouring leads and the other series lending evidence."""
    leads = now.shape[2]
    near = np.exp(-0.5 * ((np.arange(leads)[:, None] - np.arange(leads)) / NEAR_LEADS) ** 2)
    error, evidence = error @ near, evidence @ near
    mean = np.divide(error, evidence, out=np.full_like(error, np.nan), where=evidence > 1e-9)
    with np.errstate(all="ignore"):
        usual = np.nanmedian(mean, axis=0) if np.isfinite(mean).any() else np.ones(mean.shape[1:])
    usual = np.where(np.isfinite(usual) & (usual > 0), usual, 1.0)
    score = np.log(np.maximum(mean, 0.02 * usual + 1e-6) / usual)
    # what hasn't been tried counts a little worse than usual
    score = np.where(np.isfinite(score), score, 0.3)
    blocks = np.minimum(evidence.max(0), size) / BLOCK
    score = (blocks * score + EXPECTED_BLOCKS * expected) / (blocks + EXPECTED_BLOCKS)
    if score.shape[1] > 1:
        pooled = np.average(score, axis=1, keepdims=True)
        score = (blocks * score + 1.0 * pooled) / (blocks + 1.0)
    steep = np.minimum(1.0 + STEEPNESS * blocks, STEEPEST)
    raw = np.exp(-steep * (score - score.min(0)))
    raw = np.where(np.isnan(now), 0.0, raw)
    total = raw.sum(0)
    return raw / np.where(total > 0, total, 1.0)


def _errors(
    mixed: np.ndarray,
    actual: np.ndarray,
    recent: np.ndarray,
    noise: np.ndarray,
    size: int,
    expected: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, float]:
    """Variance of the level's error at the first block and what each further block adds, pulled to what is expected.

    Args:
        mixed: `(series, weeks + 1, leads)`, what the mixture would have said.
        actual: of the same shape, what came.
        recent: how much each week counts.
        noise: each week over its level.
        size: weeks.
        expected: `(series,)` each, by how the series move: variance at the first block, and what each further one adds.
    """
    with np.errstate(all="ignore"):
        ratio = actual / mixed
    usable = np.isfinite(ratio) & (recent > 0)[None, :, None] & (mixed > 0)
    # half counts as far as double
    apart = np.log(np.where(usable, np.maximum(ratio, LEAST_RATIO), 1.0)) ** 2
    squared = np.expm1(np.minimum(apart, LARGEST))
    mass = usable * (recent[None, :, None])
    total = mass.sum(1)
    variance = np.divide((squared * mass).sum(1), total, out=np.full(total.shape, np.nan), where=total > 0)
    single = noise.var(1) / BLOCK
    blocks = total / BLOCK / np.where(recent.max() > 0, recent.max(), 1.0)
    lead = np.arange(variance.shape[1])
    # less than the noise of weeks is chance: it counts against what is expected
    beyond = np.nan_to_num(variance - single[:, None])
    base_own = beyond[:, 0]
    w = np.where(np.isfinite(variance) & (blocks > 0.25), np.minimum(blocks, 12), 0.0)
    w[:, 0] = 0
    slope = (beyond - base_own[:, None]) / np.maximum(lead, 1)
    norm = w.sum(1)
    drift_own = np.maximum(np.divide((w * slope).sum(1), norm, out=np.zeros_like(norm), where=norm > 0), 0.0)
    optimism = 1 + OPTIMISM / np.maximum(blocks[:, 0], 1)
    base_own, drift_own = base_own * optimism, drift_own * optimism
    b0 = blocks[:, 0]
    b1 = blocks[:, 1] if blocks.shape[1] > 1 else b0
    prior_base, prior_drift = (
        least + young / max(size, 1) ** PRIOR_POWER for least, young in (PRIOR_LEVEL, PRIOR_DRIFT)
    )
    base = (b0 * base_own + PRIOR_BLOCKS * (prior_base + expected[0])) / (b0 + PRIOR_BLOCKS)
    base = np.maximum(base, 0.0) + single / 12
    drift = (b1 * drift_own + PRIOR_BLOCKS * (prior_drift + expected[1])) / (b1 + PRIOR_BLOCKS)
    return base, drift, float(b0.max()) if len(b0) else 0.0
