"""Sums that are neither low nor high: what medians of bursty series leave out, put where it costs least.

The middle of a bursty series is below its mean, so middles added up are low. What the mixture's sums missed at past origins
is added to the sum of the forecast and shared out by how unsure each series is: near its median a forecast can be moved at
little cost, the less the wider its range, so the largest and wildest series carry nearly all of it and what repeats
exactly stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from finops_ai.forecasting.choosing import SHORTEST, Fit
from finops_ai.forecasting.models import last_season

#: the interval whose reach says how unsure a point is
REACH = 80.0
#: the weight of a series: its mean reach, at most its mean forecast, to this power, times what it usually missed
POWER = 2
#: past origins below which nothing is known of the sums; the most that a sum is changed by
FEWEST, MOST = 3, 2.0
#: whole horizons tried that evidence of right sums counts as
DOUBT = 0.5
#: what the usual series' misses at past origins may grow by; or how much of their lead on the last season they may lose, if
#: that is more; and the parts of a correction that are tried
WORTH, LEAD, PARTS = 1.05, 0.7, tuple(k / 8 for k in range(8, 0, -1))
#: largest lead of one series that counts (log)
MOST_LEAD = 3.0

Fitted = Sequence[tuple[np.ndarray, Fit, np.ndarray]]


def alone(fits: Fitted, row: int) -> Fitted:
    """The fit of one series."""
    for where, fit, history in fits:
        at = np.flatnonzero(where == row)
        if len(at):
            trials = [(came[at], said[at]) for came, said in fit.trials]
            mine = replace(fit, forecast=fit.forecast[at], weights=fit.weights[:, at], trials=trials)
            return [(np.zeros(1, int), mine, history[at])]
    return []


def missed_share(fits: Fitted, season: int) -> float:
    """What came over what was said, summed over series, origins and leads; 1 where too little was tried.

    Args:
        fits: places, fit and history of series of like length.
        season: points of a season.
    """
    came = said = 0.0
    tried = 0.0
    for _, fit, history in fits:
        if len(fit.trials) < FEWEST or history.shape[1] < SHORTEST * season or (history < 0).any():
            continue
        came += sum(float(actual.sum()) for actual, _ in fit.trials)
        said += sum(float(made.sum()) for _, made in fit.trials)
        # a lead that was never tried says nothing
        tried = max(tried, sum(actual.shape[1] for actual, _ in fit.trials) / fit.forecast.shape[1])
    if came <= 0 or said <= 0:
        return 1.0
    return float(np.clip(came / said, 1 / MOST, MOST) ** (tried / (tried + DOUBT)))


def lifted(fits: Fitted, point: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], season: int) -> np.ndarray:
    """Forecasts whose sum is neither low nor high at past origins; none leaves its own interval.

    Of a correction that would have made the usual series miss by more, only the part that is worth it is made: the forecast
    stays nearer than the last season again.

    Args:
        fits: places, fit and history of series of like length.
        point: `(series, horizon)`, medians.
        bounds: their lower and upper bound at the level `REACH`.
        season: points of a season.

    Returns:
        `(series, horizon)`.
    """
    gap = (missed_share(fits, season) - 1) * float(point.sum())
    reach = np.nan_to_num(bounds[1] - point if gap > 0 else point - bounds[0])
    weight = np.zeros(len(point))
    for where, fit, history in fits:
        if len(fit.trials) >= FEWEST and history.shape[1] >= SHORTEST * season and not (history < 0).any():
            misses = np.array([np.abs(actual - made).mean(1) for actual, made in fit.trials])
            # what has come to repeat itself of late counts as sure
            usual = np.minimum(np.median(misses, 0), misses[0])
            # and what has ended stays at nothing, however wide its range
            wide = np.minimum(reach[where].mean(1), np.abs(point[where]).mean(1))
            weight[where] = wide**POWER * usual
    if not gap or not weight.any():
        return point
    moves: np.ndarray = np.sign(gap) * _shares(weight / weight.max(), reach.sum(1), abs(gap))[:, None] * reach
    now = _lead(fits, np.zeros(len(point)), season)
    most = max(now + np.log(WORTH), now * (1 - LEAD))
    part = next((p for p in PARTS if _lead(fits, p * moves.mean(1), season) <= most), 0.0)
    return point + part * moves


def _lead(fits: Fitted, shift: np.ndarray, season: int) -> float:
    """Misses of past origins over those of the last season where each series is moved: mean of the logs over series."""
    logs = []
    for where, fit, history in fits:
        if not fit.trials:
            continue
        known = zip(fit.cuts, fit.trials, strict=True)
        naive = [
            np.abs(came - last_season(history[:, :cut], came.shape[1], season)).mean(1) for cut, (came, _) in known
        ]
        ours = [np.abs(came - said - shift[where][:, None]).mean(1) for came, said in fit.trials]
        before, after = np.mean(naive, axis=0), np.mean(ours, axis=0)
        both = (before > 0) & (after > 0)
        # one series that is nearly exact can't decide
        logs.append(np.clip(np.log(after[both] / before[both]), -MOST_LEAD, MOST_LEAD))
    found = np.concatenate(logs) if logs else np.zeros(0)
    return float(found.mean()) if len(found) else 0.0


def _shares(weight: np.ndarray, reach: np.ndarray, gap: float) -> np.ndarray:
    """Share of its reach that each series moves by, in proportion to its weight and at most all of it, to close a gap.

    >>> _shares(np.array([1.0, 0.5]), np.array([10.0, 10.0]), 9.0).round(2).tolist()
    [0.6, 0.3]
    >>> _shares(np.array([1.0, 0.1]), np.array([10.0, 10.0]), 12.0).round(2).tolist()
    [1.0, 0.2]
    """
    open_ = weight > 0
    shares = np.zeros(len(weight))
    while open_.any() and gap > 0:
        times = gap / float((weight * reach)[open_].sum() or np.inf)
        full = open_ & (times * weight >= 1)
        if not full.any():
            shares[open_] = times * weight[open_]
            break
        shares[full] = 1.0
        gap -= float(reach[full].sum())
        open_ &= ~full
    return shares
