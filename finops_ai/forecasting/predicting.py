"""From a panel to a forecast with intervals: fits series of like length together, calibrates over all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.forecasting import choosing, intervals, lifting
from finops_ai.forecasting.panel import Panel, offset
from finops_ai.progress import track

#: series fitted in one go
CHUNK = 500


@dataclass(frozen=True)
class Prediction:
    """Arrays `(series, horizon)` in the panel's order; `bounds` by level in per cent; `weights` of models per series.

    `point` is the median of each series but for those that the sum of all is low by (see `lifting`)."""

    point: np.ndarray
    bounds: dict[float, tuple[np.ndarray, np.ndarray]]
    weights: list[dict[str, float]]


def checked(horizon: int, levels: Sequence[float]) -> None:
    """Refuse a horizon or level that means nothing.

    Raises:
        SettingsError: names it.
    """
    if horizon < 1:
        raise SettingsError(f"horizon is {horizon}: give the number of points to forecast, 1 or more")
    bad = [level for level in levels if not 0 < level < 100]
    if bad:
        raise SettingsError(f"level {bad[0]} is no interval level: give per cent between 0 and 100, such as 80")


def predict(
    panel: Panel,
    horizon: int,
    season: int,
    levels: Sequence[float] = (80,),
    models: Sequence[str] | None = None,
    *,
    whole: int | None = None,
) -> Prediction:
    """Forecast every series of a panel.

    Args:
        panel: the histories.
        horizon: points ahead, 1 or more.
        season: points of a season.
        levels: interval levels in per cent, each between 0 and 100.
        models: names of the models to choose from, or None for the default set.
        whole: place of the series that is the sum of the others: it alone is put right then (see `lifting`). If not given, the
            series are parts of a whole, whose sum is put right.
    """
    checked(horizon, levels)
    pieces = [
        (where[at : at + CHUNK], matrix[at : at + CHUNK])
        for where, matrix in panel.blocks(season)
        for at in range(0, len(where), CHUNK)
    ]
    steps = track(pieces, "Forecast series") if len(pieces) > 4 else pieces
    fits = [(where, choosing.fit(matrix, horizon, season, models), matrix) for where, matrix in steps]
    surprises = intervals.pool([(fit, matrix) for _, fit, matrix in fits], horizon, season)
    point = np.empty((len(panel), horizon))
    asked = dict.fromkeys([*levels, lifting.REACH])
    bounds = {level: (np.empty_like(point), np.empty_like(point)) for level in asked}
    weights: list[dict[str, float]] = [{} for _ in range(len(panel))]
    for where, fit, matrix in fits:
        point[where] = fit.forecast
        for level, (lower, upper) in intervals.bounds(fit, matrix, surprises, list(asked), season).items():
            bounds[level][0][where], bounds[level][1][where] = lower, upper
        for column, series in enumerate(where):
            weights[series] = dict(zip(fit.models, fit.weights[:, column].tolist(), strict=True))
    told = slice(None) if whole is None else [whole]
    summed = fits if whole is None else lifting.alone(fits, whole)
    low, high = bounds[lifting.REACH]
    point[told] = lifting.lifted(summed, point[told], (low[told], high[told]), season)
    held = {level: (np.minimum(bounds[level][0], point), np.maximum(bounds[level][1], point)) for level in levels}
    return Prediction(point, held, weights)


def to_frame(panel: Panel, prediction: Prediction) -> pd.DataFrame:
    """Nixtla's column contract: `unique_id, ds, yhat, lo-80, hi-80, ...`, one row per series and point."""
    horizon = prediction.point.shape[1]
    ahead = {
        end: pd.date_range(offset(end, panel.freq, 1), periods=horizon, freq=panel.freq) for end in set(panel.ends)
    }
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(panel.ids, dtype=object), horizon),
            "ds": np.concatenate([ahead[end].to_numpy() for end in panel.ends]),
            "yhat": prediction.point.ravel(),
        }
    ).astype({"unique_id": "str"})
    for level, (lower, upper) in prediction.bounds.items():
        frame[f"lo-{level:g}"], frame[f"hi-{level:g}"] = lower.ravel(), upper.ravel()
    return frame
