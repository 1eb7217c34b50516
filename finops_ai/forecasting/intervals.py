"""Prediction intervals by conformal calibration, pooled over series.

What the chosen mixture missed at past origins, divided by each series' own usual miss, is one pool of surprises; its
quantiles, by lead, times the usual miss of a series are that series' interval. Pooling needs few origins, while
quantiles per series undercover with two or three of them. Where what a series has shown at the same place of the season
did better at past origins, the interval leans on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finops_ai.forecasting.choosing import Fit
from finops_ai.forecasting.models import LOOK_BACK, seasons_of, tile

#: how far a point's width follows its forecast level: width ~ (level + 0.2) ** 0.35, at most 3 times the usual
FOLLOW, FLOOR, WIDEST = 0.35, 0.2, 3.0
#: a series' usual miss is at least this share of its mean level
LEAST_MISS = 0.02
#: short histories undercover: widths grow by this many seasons over the seasons of history
SHORT_HISTORY = 1.5
#: beyond the longest lead tried, widths grow with lead to this power
BEYOND = 0.3
#: shares of the range a series has shown that are tried in its interval, `(shares, 1, 1)`, so many of them below 14 seasons
#: of history; origins' worth of weight of all series in the choice; origins and seasons it needs
MIXED, CAREFUL, MIX_POOLING = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])[:, None, None], 3, 4.0
FEWEST_TRIALS, FEWEST_SEASONS = 3, 5


@dataclass(frozen=True)
class Surprises:
    """The pool: for each lead (in seasons), scaled misses in order, with their running weights."""

    by_lead: list[tuple[np.ndarray, np.ndarray]]
    longest: int
    relative_miss: float

    @property
    def empty(self) -> bool:
        """Whether no past forecast was measured."""
        return not self.by_lead

    def quantile(self, q: float, lead: int) -> float:
        """Scaled miss at quantile `q` for a lead counted in seasons from 0."""
        values, rank = self.by_lead[min(lead, len(self.by_lead) - 1)]
        out: float = np.interp(q, rank, values) * max(1.0, ((lead + 1) / self.longest) ** BEYOND)
        return float(out)


def usual_miss(fit: Fit, history: np.ndarray) -> np.ndarray:
    """Mean absolute miss of each series at past origins, `(series, 1)`; NaN where there was none."""
    floor = LEAST_MISS * np.abs(history).mean(1, keepdims=True)
    if not fit.trials:
        return np.full_like(floor, np.nan)
    misses = np.concatenate([np.abs(actual - made) for actual, made in fit.trials], axis=1)
    out: np.ndarray = np.maximum(misses.mean(1, keepdims=True), floor)
    return out


def _widths(fit: Fit, forecast: np.ndarray) -> np.ndarray:
    """Relative width of each point: wider where more is forecast."""
    seen = np.concatenate([made for _, made in fit.trials], axis=1) if fit.trials else forecast
    usual = np.abs(seen).mean(1, keepdims=True)
    level = np.divide(np.maximum(forecast, 0), usual, out=np.zeros_like(forecast), where=usual > 0)
    out: np.ndarray = np.minimum((level + FLOOR) ** FOLLOW, WIDEST)
    return out


def pool(fits: Sequence[tuple[Fit, np.ndarray]], horizon: int, season: int, sample: int = 200_000) -> Surprises:
    """Gather the surprises of all series.

    Args:
        fits: each fit with the history it was made from.
        horizon: points ahead.
        season: points of a season.
        sample: at most this many misses a lead are kept, evenly picked.
    """
    leads = -(-horizon // season)
    found: list[list[np.ndarray]] = [[] for _ in range(leads)]
    relative = []
    for fit, history in fits:
        miss = usual_miss(fit, history)
        mean = np.abs(history).mean(1, keepdims=True)
        alive = (miss > 0)[:, 0]
        relative.append((miss / np.where(mean > 0, mean, np.nan))[alive, 0])
        for actual, made in fit.trials:
            scaled = ((actual - made) / np.where(miss > 0, miss, 1) / _widths(fit, made))[alive]
            for lead in range(-(-actual.shape[1] // season)):
                found[lead].append(scaled[:, lead * season : (lead + 1) * season].ravel())
    pools = [np.concatenate(parts) if parts else np.empty(0) for parts in found]
    pools = [values[:: len(values) // sample + 1] for values in pools]
    known = [lead for lead, values in enumerate(pools) if len(values)]
    if not known:
        return Surprises([], 1, np.nan)
    everything = np.concatenate([pools[lead] for lead in known])
    owner = np.concatenate([np.full(len(pools[lead]), np.log(lead + 1.0)) for lead in known])
    order = np.argsort(everything)
    everything, owner = everything[order], owner[order]
    by_lead = []
    for lead in range(known[-1] + 1):
        weight = np.exp(-0.5 * ((np.log(lead + 1.0) - owner) / 0.7) ** 2)
        by_lead.append((everything, (np.cumsum(weight) - weight / 2) / weight.sum()))
    ratios = np.concatenate(relative)
    ratios = ratios[~np.isnan(ratios)]
    return Surprises(by_lead, known[-1] + 1, float(np.median(ratios)) if len(ratios) else np.nan)


def bounds(
    fit: Fit, history: np.ndarray, surprises: Surprises, levels: Sequence[float], season: int
) -> dict[float, tuple[np.ndarray, np.ndarray]]:
    """Lower and upper bound of every point for each level in per cent.

    A series that was never below 0 gets no bound below 0; one of only zeros gets 0. Where nothing could be tried
    (a point or two of history, alone), the bounds are unknown: NaN.
    """
    out = {}
    if surprises.empty:
        unknown = np.where((history == 0).all(1, keepdims=True) & (history.shape[1] > 1), fit.forecast, np.nan)
        return dict.fromkeys(levels, (unknown, unknown))
    miss = usual_miss(fit, history)
    miss = np.where(np.isnan(miss), surprises.relative_miss * np.abs(history).mean(1, keepdims=True), miss)
    miss = miss * (1 + SHORT_HISTORY * season / max(history.shape[1], season))
    low = high = fit.forecast
    for level in sorted(levels):  # each holds the narrower ones
        tail = (1 - level / 100) / 2
        low = np.minimum(low, _bound(fit, history, surprises, miss, tail, season))
        high = np.maximum(high, _bound(fit, history, surprises, miss, 1 - tail, season))
        out[level] = low, high
    return {level: out[level] for level in levels}


def _bound(fit: Fit, history: np.ndarray, surprises: Surprises, miss: np.ndarray, q: float, season: int) -> np.ndarray:
    """Quantile `q` of every point ahead: conformal, mixed with what the series has shown at that place of the season.

    How much of the latter is what would have cost least (pinball loss) at past origins of the series, pulled to all
    series given. It helps most where use comes and goes: such a series' range is no distance from its middle.
    """
    floor = np.where((history < 0).any(1, keepdims=True), -np.inf, 0.0)

    def conformal(made: np.ndarray) -> np.ndarray:
        leads = np.arange(made.shape[1]) // season
        reach = np.array([surprises.quantile(q, lead) for lead in range(leads[-1] + 1)])[leads]
        reach = np.minimum(reach, 0.0) if q < 0.5 else np.maximum(reach, 0.0)
        out: np.ndarray = np.maximum(made + reach * miss * _widths(fit, made), floor)
        return out

    own = conformal(fit.forecast)
    shown = _shown(history, q, season, own.shape[1])
    shares = MIXED if history.shape[1] >= LOOK_BACK * season else MIXED[:CAREFUL]
    loss, tried = np.zeros((len(shares), len(history))), 0
    for cut, (actual, made) in zip(fit.cuts, fit.trials, strict=True):
        past = _shown(history[:, :cut], q, season, actual.shape[1])
        if past is not None:
            tried += 1
            mixed = conformal(made) * (1 - shares) + past * shares
            loss += np.maximum(q * (actual - mixed), (q - 1) * (actual - mixed)).mean(2)
    if shown is None or tried < FEWEST_TRIALS:
        return own
    relative = np.divide(loss, loss[0], out=np.ones_like(loss), where=loss[0] > 0)
    relative = tried * relative + MIX_POOLING * relative.mean(1, keepdims=True)
    share = shares[relative.argmin(0), :, 0]
    out: np.ndarray = own * (1 - share) + shown * share
    return out


def _shown(history: np.ndarray, q: float, season: int, horizon: int) -> np.ndarray | None:
    """Quantile `q` over the last seasons at each place of the season, wide for few of them; None below five seasons."""
    if history.shape[1] < FEWEST_SEASONS * season:
        return None
    return tile(np.quantile(seasons_of(history, season), q, axis=1, method="weibull"), horizon)
