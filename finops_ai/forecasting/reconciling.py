"""Totals and parts forecast separately, then made to add up.

A total is steadier than its parts, so it is forecast by itself and the parts are scaled to it. A fourth of the total
still comes from the sum of the parts: the two estimates err differently, and on real traffic the mixture was closer
than either. Models live for weeks: how a parent splits over models is its recent mix, not a trend of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.forecasting.history import TOTAL, unique_id
from finops_ai.forecasting.panel import Panel
from finops_ai.forecasting.predicting import Prediction, predict

#: weight of the sum of the parts in a total
FROM_PARTS = 0.25
#: dimensions whose parts come and go, so that only their recent mix says something
SHORT_LIVED = ("model", "model_family", "model_version", "prompt_id", "resource_id")
#: half-life of that mix, in periods
MIX_HALF_LIFE = 7

Key = tuple[str, ...]


def levels_of(history: pd.DataFrame, by: Sequence[str], freq: str) -> tuple[Panel, list[Key]]:
    """A panel of the total, each first dimension, and so on down to the series given, with their keys."""
    by = list(by)
    keys: list[Key] = []
    values: list[np.ndarray] = []
    end = history["ds"].max()
    for depth in range(len(by) + 1):
        groups: list[tuple[Any, ...]]
        if depth == 0:
            groups = [((), history.groupby("ds")["y"].sum().to_numpy())]
        else:
            groups = [
                (key if isinstance(key, tuple) else (key,), part.groupby("ds")["y"].sum().to_numpy())
                for key, part in history.groupby(by[:depth], sort=True)
            ]
        for key, y in groups:
            keys.append(tuple(map(str, key)))
            values.append(y)
    return Panel([unique_id(key) if key else TOTAL for key in keys], [end] * len(keys), values, freq), keys


def predict_adding_up(
    panel: Panel,
    keys: list[Key],
    by: Sequence[str],
    horizon: int,
    season: int,
    levels: Sequence[float] = (80,),
    models: Sequence[str] | None = None,
) -> Prediction:
    """Forecast every level and scale each level's parts to their parent, from the total down.

    Returns:
        A prediction in the panel's order whose points add up at every level. Intervals keep their relative width:
        each is its own series' interval, so they do not add up (quantiles never do).
    """
    raw = predict(panel, horizon, season, levels, models, whole=keys.index(()))
    point = raw.point.copy()
    children: dict[Key, list[int]] = {}
    for i, key in enumerate(keys):
        if key:
            children.setdefault(key[:-1], []).append(i)
    for parent, parts in sorted(children.items(), key=lambda item: len(item[0])):
        top = keys.index(parent)
        own = _mix(panel, parts, horizon) if by[len(parent)] in SHORT_LIVED else raw.point[parts]
        if not parent and len(parts) > 1:
            point[top] = (1 - FROM_PARTS) * raw.point[top] + FROM_PARTS * raw.point[parts].sum(0)
        point[parts] = _scaled(own, point[top], [panel.values[i] for i in parts])
    factor = np.divide(point, raw.point, out=np.ones_like(point), where=raw.point != 0)
    bounds = {}
    for level, (lower, upper) in raw.bounds.items():
        low, high = point + (lower - raw.point) * np.abs(factor), point + (upper - raw.point) * np.abs(factor)
        never_negative = np.array([(y >= 0).all() for y in panel.values])[:, None]
        bounds[level] = (np.where(never_negative, np.maximum(low, 0), low), high)
    return Prediction(point, bounds, raw.weights)


def _mix(panel: Panel, parts: list[int], horizon: int) -> np.ndarray:
    """Recent share of each part: constant ahead, newest periods counting most, at least four half-lives back."""
    recent = np.array([panel.values[i][-4 * MIX_HALF_LIFE :] for i in parts])
    weights = 0.5 ** (np.arange(recent.shape[1])[::-1] / MIX_HALF_LIFE)
    return np.repeat((recent @ weights)[:, None], horizon, axis=1)


def _scaled(own: np.ndarray, parent: np.ndarray, histories: list[np.ndarray]) -> np.ndarray:
    """Parts scaled to their parent at each point; where they are all 0, split as the history was."""
    total = own.sum(0)
    past = np.array([abs(y.sum()) for y in histories])
    share = past / past.sum() if past.sum() > 0 else np.full(len(past), 1 / len(past))
    usable = np.abs(total) > 1e-12 * np.abs(own).sum(0)
    scaled = np.where(usable, own / np.where(usable, total, 1.0), share[:, None])
    out: np.ndarray = scaled * parent
    return out
