"""Per-series choice: every model is tried at past origins, and the weighted median of all is the forecast.

A series' weight for a model falls with the model's error at the last origins of that series, by lead; errors are
pulled towards those of the other series given, because a handful of origins says little about one bursty series.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finops_ai.forecasting.models import Entry, run, select_models

#: past origins tried: a quarter of the seasons of history, within these bounds; the newer half evenly spaced, the rest
#: ever further back
FEWEST_ORIGINS, MOST_ORIGINS = 8, 16
#: seasons a model needs before it is tried at an origin
SHORTEST = 3
#: months count as without a season until there are two years of them, from this many on
YEAR, MONTHS = 12, 8
#: what monthly series may choose from besides: months trend more and burst less than days
MONTHLY, MONTHLY_STEEPNESS = ("damped_trend", "theta", "linear_seasonal", "last_value"), 3.0
#: how steeply weight falls with error: weight = error ** -steepness; a longer history can tell models apart better
STEEPNESS_PER_SEASON, STEEPEST = 0.1, 6.0
#: origins' worth of weight that the pooled error of all series gets against a series' own
POOLING = 6.0
#: below this many seasons there is no profile to learn, and plain levels are used
COLD, COLD_STEEPNESS = ("recent_mean", "plain_median", "last_value", "last_season"), 1.5


@dataclass(frozen=True)
class Fit:
    """The forecast of some series of equal history length.

    Attributes:
        forecast: `(series, horizon)`, the point forecast (median).
        weights: `(models, series)`, mean weight of each model over leads.
        models: names in the order of `weights`.
        trials: one `(actual, forecast)` pair of `(series, leads)` arrays per past origin, newest first, made with the
            final weights; what intervals are calibrated on.
        cuts: how much of the history each of them knew.
    """

    forecast: np.ndarray
    weights: np.ndarray
    models: list[str]
    trials: list[tuple[np.ndarray, np.ndarray]]
    cuts: list[int]


def past_origins(points: int, horizon: int, season: int) -> list[int]:
    """Where to cut a history to try models, newest first.

    A short history is cut every season, one with room for four horizons every half horizon and then ever further
    back, so that the intervals also know calmer and wilder times.

    >>> past_origins(points=240, horizon=24, season=24)
    [216, 192, 168, 144, 120, 96]
    >>> past_origins(points=400, horizon=30, season=7)
    [386, 372, 358, 344, 330, 316, 302, 253, 180]
    >>> past_origins(points=7, horizon=7, season=7)
    [6, 5, 4, 3]
    """
    if points < (SHORTEST + 1) * season:
        shortest = max(3, points // 2)
        step = max(1, (points - shortest) // FEWEST_ORIGINS)
        return [cut for k in range(1, FEWEST_ORIGINS + 1) if (cut := points - k * step) >= shortest]
    most = min(max(FEWEST_ORIGINS, points // (4 * season)), MOST_ORIGINS)
    even = most // 2
    roomy = points >= 4 * horizon + SHORTEST * season
    step = season * max(1, round(horizon / (2 * season))) if roomy else season
    cuts: list[int] = []
    back = 0
    while len(cuts) < most:
        back = back + step if len(cuts) < even or not roomy or horizon <= season else int(back * 1.5)
        if points - back < (max(SHORTEST * season, points // 3) if len(cuts) >= even else SHORTEST * season):
            break
        cuts.append(points - back)
    return cuts


def fit(history: np.ndarray, horizon: int, season: int, models: Sequence[str] | None = None) -> Fit:
    """Forecast series of equal length with the models that did best for each.

    Args:
        history: `(series, points)`, oldest first, no gaps.
        horizon: points ahead.
        season: points of a season.
        models: names, or None for the default set.

    Example:
        >>> saw = np.tile([10.0, 20.0, 30.0], (1, 12))
        >>> fit(saw, 4, 3).forecast.round(3).tolist()
        [[10.0, 20.0, 30.0, 10.0]]
    """
    points, monthly = history.shape[1], season == YEAR
    if monthly and MONTHS <= points < 2 * season:
        season = 1
    if monthly and models is None and points >= MONTHS:
        models = ("default", *MONTHLY)
    entries = _entries(history, season, models)
    cuts = past_origins(points, horizon, season)
    tried = []
    for cut in cuts:
        lead = min(horizon, points - cut)
        short = [e if e.suits(cut, season, negative=False) else None for e in entries]
        tried.append((history[:, cut : cut + lead], _candidates(short, history[:, :cut], lead, season)))
    cold = points < 2 * season
    steepness = COLD_STEEPNESS if cold else min(STEEPNESS_PER_SEASON * points / season, STEEPEST)
    if monthly:
        steepness = MONTHLY_STEEPNESS
    weights = _weights(tried, (len(entries), len(history)), horizon, season, steepness)
    candidates = _candidates(entries, history, horizon, season)
    bound = _bounds(history)
    forecast = np.clip(_weighted_median(candidates, _by_point(weights, horizon, season)), *bound)
    trials = [
        (actual, np.clip(_weighted_median(made, _by_point(weights, actual.shape[1], season)), *bound))
        for actual, made in tried
    ]
    return Fit(forecast, weights.mean(2), [e.name for e in entries], trials, cuts)


def _entries(history: np.ndarray, season: int, models: Sequence[str] | None) -> list[Entry]:
    points, negative = history.shape[1], bool((history < 0).any())
    entries = [e for e in select_models(models) if e.suits(points, season, negative)]
    if (models is None and points < 2 * season) or not entries:
        entries = [e for e in select_models(COLD) if e.suits(points, season, negative)]
    return entries


def _candidates(entries: Sequence[Entry | None], history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """`(models, series, horizon)`; a model that is too young for this history gives NaN."""
    none = np.full((len(history), horizon), np.nan)
    return np.array([none if entry is None else run(entry, history, horizon, season) for entry in entries])


def _bounds(history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No forecast goes further beyond what a series has shown than half its range, nor below 0 unless it has been."""
    low, high = history.min(1, keepdims=True), history.max(1, keepdims=True)
    reach = (high - low) / 2
    return np.where(low < 0, low - reach, np.maximum(low - reach, 0)), high + reach


def _weights(
    tried: list[tuple[np.ndarray, np.ndarray]], size: tuple[int, int], horizon: int, season: int, steepness: float
) -> np.ndarray:
    """`(models, series, lead seasons)` from the errors at past origins, neighbouring leads lending each other evidence."""
    leads = -(-horizon // season)
    error, count = np.zeros((leads, *size)), np.zeros((leads, size[0], 1))
    for actual, made in tried:
        miss = np.abs(made - actual)
        known = ~np.isnan(miss).any(axis=(1, 2))
        for lead in range(-(-actual.shape[1] // season)):
            error[lead, known] += miss[known][:, :, lead * season : (lead + 1) * season].mean(2)
            count[lead, known] += 1
    steps = np.log(np.arange(1, leads + 1))
    near = np.exp(-0.5 * ((steps[:, None] - steps) / 0.7) ** 2)
    evidence = np.tensordot(near, count, 1)
    mean = np.tensordot(near, error, 1) / np.maximum(evidence, 1e-12)
    mean = np.where(evidence > 0, mean, np.nan)
    with np.errstate(invalid="ignore"):
        usual = _nanmedian(mean)
        score = np.log(np.maximum(mean, 1e-9 * usual + 1e-12) / np.maximum(usual, 1e-12))
    score = np.clip(np.nan_to_num(score, nan=0.0), -3, 3)
    pooled = score.mean(2, keepdims=True)
    score = (evidence * score + POOLING * pooled) / (evidence + POOLING)
    weights = np.exp(-steepness * (score - score.min(1, keepdims=True)))
    return np.moveaxis(weights / weights.sum(1, keepdims=True), 0, 2)


def _nanmedian(mean: np.ndarray) -> np.ndarray:
    known = ~np.isnan(mean)
    filled = np.where(known, mean, np.inf)
    ordered = np.sort(filled, axis=1)
    count = known.sum(1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((count - 1) // 2, 0), 1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, mean.shape[1] - 1), 1)
    return np.where(count > 0, np.where(count % 2 == 1, low, (low + np.where(np.isinf(high), low, high)) / 2), 1.0)


def _by_point(weights: np.ndarray, horizon: int, season: int) -> np.ndarray:
    return np.repeat(weights, season, axis=2)[:, :, :horizon]


def _weighted_median(candidates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Over axis 0 of `(models, series, horizon)`, interpolated between mid-ranks; NaN candidates don't count."""
    missing = np.isnan(candidates)
    weights = np.where(missing, 0.0, weights)
    order = np.argsort(np.where(missing, np.inf, candidates), axis=0)
    values = np.take_along_axis(candidates, order, 0)
    mass = np.take_along_axis(weights, order, 0)
    total = mass.sum(0)
    rank = (np.cumsum(mass, 0) - mass / 2) / np.maximum(total, 1e-300)
    usable = (~missing).sum(0)
    above = np.minimum((rank < 0.5).sum(0), usable - 1)[None]
    below = np.maximum(above - 1, 0)
    r0, r1 = np.take_along_axis(rank, below, 0)[0], np.take_along_axis(rank, above, 0)[0]
    v0, v1 = np.take_along_axis(values, below, 0)[0], np.take_along_axis(values, above, 0)[0]
    share = np.clip((0.5 - r0) / np.maximum(r1 - r0, 1e-12), 0, 1)
    out: np.ndarray = v0 + share * (v1 - v0)
    return out
