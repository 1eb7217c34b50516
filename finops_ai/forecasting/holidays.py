"""Company holidays: days that don't follow their weekday, taken out of the history and put back into the forecast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.forecasting.panel import Panel, offset
from finops_ai.forecasting.predicting import Prediction

#: a holiday's effect is estimated as if one day without effect had been seen too
PRIOR_DAYS = 1.0


def read_days(days: Iterable[object]) -> frozenset[pd.Timestamp]:
    """Dates from dates or text.

    >>> sorted(read_days(["2026-12-25"]))
    [Timestamp('2026-12-25 00:00:00')]
    """
    try:
        return frozenset(pd.Timestamp(str(day)).normalize() for day in days)
    except ValueError as error:
        raise SettingsError(f"holidays: {error}; give dates like 2026-12-25.") from None


def take_out(panel: Panel, days: frozenset[pd.Timestamp]) -> tuple[Panel, float]:
    """Replace past holidays by what their weekday usually is, and say how large a share of that they were.

    The usual value of a holiday is the median of the same weekday (and hour) in the two weeks before and after. The
    share is one for all series, so that parts still add up; without a past holiday it is 1.

    Example:
        >>> y = np.array([10.0] * 28)
        >>> y[14] = 2.0
        >>> calm, share = take_out(Panel(["a"], [pd.Timestamp("2026-01-28")], [y], "D"), read_days(["2026-01-15"]))
        >>> float(calm.values[0][14]), round(share, 2)
        (10.0, 0.6)
    """
    if not days or panel.freq not in ("D", "h"):
        return panel, 1.0
    week = 7 if panel.freq == "D" else 168
    found, usual, values = 0.0, 0.0, []
    seen: set[pd.Timestamp] = set()
    for end, y in zip(panel.ends, panel.values, strict=True):
        stamps = pd.date_range(end=end, periods=len(y), freq=panel.freq)
        hits = np.flatnonzero(stamps.normalize().isin(list(days))).tolist()
        calm = y.copy()
        for i in hits:
            near = [
                j for j in (i - 2 * week, i - week, i + week, i + 2 * week) if 0 <= j < len(y) and j not in set(hits)
            ]
            if near:
                calm[i] = float(np.median(y[near]))
                found, usual = found + y[i], usual + calm[i]
                seen.add(stamps[i].normalize())
        values.append(calm)
    trust = len(seen) / (len(seen) + PRIOR_DAYS)
    share = 1.0 if usual <= 0 else 1 + trust * (float(np.clip(found / usual, 0, 3)) - 1)
    return replace(panel, values=values), share


def put_back(panel: Panel, prediction: Prediction, days: frozenset[pd.Timestamp], share: float) -> Prediction:
    """The forecast with the holidays ahead at their share of a usual day."""
    horizon = prediction.point.shape[1]
    factor = np.ones_like(prediction.point)
    for row, end in enumerate(panel.ends):
        ahead = pd.date_range(offset(end, panel.freq, 1), periods=horizon, freq=panel.freq)
        factor[row, ahead.normalize().isin(list(days))] = share
    bounds = {level: (low * factor, high * factor) for level, (low, high) in prediction.bounds.items()}
    return replace(prediction, point=prediction.point * factor, bounds=bounds)


def without_holidays(
    daily: np.ndarray, days: pd.DatetimeIndex, free: frozenset[pd.Timestamp]
) -> tuple[np.ndarray, float]:
    """Series without their past holidays (unknown instead), and the share of a usual day that those were.

    Example:
        >>> days = pd.date_range("2026-01-01", periods=28)
        >>> y = np.full((1, 28), 10.0)
        >>> y[0, 14] = 2.0
        >>> calm, share = without_holidays(y, days, read_days(["2026-01-15"]))
        >>> bool(np.isnan(calm[0, 14])), round(share, 2)
        (True, 0.6)
    """
    hits = np.flatnonzero(days.isin(list(free)))
    if not len(hits):
        return daily, 1.0
    out = daily.copy()
    out[:, hits] = np.nan
    found = usual = 0.0
    for i in hits:
        near = [j for j in (i - 14, i - 7, i + 7, i + 14) if 0 <= j < daily.shape[1]]
        if near:
            found += float(np.nansum(daily[:, i]))
            usual += float(np.nansum(np.nan_to_num(np.median(np.nan_to_num(out[:, near]), axis=1))))
    trust = len(hits) / (len(hits) + PRIOR_DAYS)
    return out, 1.0 if usual <= 0 else 1 + trust * (float(np.clip(found / usual, 0, 3)) - 1)
