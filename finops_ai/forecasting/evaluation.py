"""Backtest: how wrong the forecast would have been, against a straight line, the last value and the last season."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.history import cost_history, end_of_data, is_cost_frame
from finops_ai.forecasting.models import last_season, last_value, linear_trend
from finops_ai.forecasting.panel import Panel, offset, read_panel, season_of
from finops_ai.forecasting.predicting import predict
from finops_ai.progress import track
from finops_ai.tables.result import Facts, Table

#: the interval that coverage and the weighted quantile loss are about, and its normal quantile
LEVEL, Z = 80, 1.2815515655446004
#: a ratio of errors below this counts as this, so that one perfectly repeating series can't decide the mean
LEAST_RATIO = 1e-3
#: from so many series and origins on, progress is shown
TRACKED = 2000
OURS, LINEAR, NAIVE, SEASONAL = "finops_ai", "linear", "naive", "seasonal_naive"

Quantiles = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Backtest:
    """What was measured.

    Attributes:
        summary: one row per method.
        series: one row per method and series.
        points: one row per series, origin and point: `unique_id, ds, cutoff, y, finops_ai, lo-80, hi-80, linear, ...`.
        notes: what was left out or filled, one sentence each.
        settings: horizon, season, windows, step, freq, number of series.
    """

    summary: pd.DataFrame
    series: pd.DataFrame
    points: pd.DataFrame
    notes: list[str]
    settings: dict[str, object]

    def figures(self) -> dict[str, object]:
        """The headline figures as one flat dictionary (what `finops-ai backtest --format json` prints)."""
        ours = self.summary.set_index("model").loc[OURS]
        rows: list[Any] = self.summary.astype(object).where(self.summary.notna(), None).to_dict("records")
        flat = {str(name): (None if pd.isna(value) else float(value)) for name, value in ours.items()}
        return {
            **{str(name): value for name, value in self.settings.items()},
            "relMAE": flat["relMAE_linear"],
            "relWQL": flat["relWQL_linear"],
            **flat,
            "models": rows,
            "notes": self.notes,
        }


def backtest(
    history: pd.DataFrame,
    horizon: int,
    season: int | None = None,
    windows: int | None = None,
    step: int | None = None,
    *,
    freq: str | None = None,
    models: Sequence[str] | None = None,
    by: Sequence[str] = (),
    detail: Literal["summary", "series", "points"] = "summary",
) -> Table:
    """Measure the forecast at past origins, refitted at each, against the baselines.

    Args:
        history: long frame `unique_id, ds, y`, or priced rows.
        horizon: points ahead.
        season: points of a season (24 for hours, 7 for days, 12 for months, if not given).
        windows: origins; by default as many as leave half of the longest history to learn from, at most 12.
        step: points between origins; the horizon if not given.
        freq: pandas offset alias; read from the spacing if not given.
        models: models to choose from; the default set if not given.
        by: dimensions to split priced rows by.
        detail: `summary` one row per method, `series` one per method and series, `points` every forecast.

    Returns:
        For `summary`, the columns `model, relMAE_linear, relMAE_naive, relMAE_seasonal_naive, relWQL_linear,
        relWQL_seasonal_naive, MASE, WAPE, bias, coverage_80, total_APE, beats_linear`. relMAE and relWQL are
        geometric means over series of the ratio of errors averaged over origins (below 1 is better); WQL is twice
        the mean pinball loss at P10, P50 and P90; MASE is scaled by the in-sample error of the last season; bias is
        forecast over actual minus 1; total_APE the absolute error of the sum over all series and points.

    Raises:
        DataError: no series is long enough for one origin, or the frame can't be read.

    Example:
        >>> import pandas as pd
        >>> import finops_ai as fa
        >>> days = pd.date_range("2026-01-01", periods=84)
        >>> frame = pd.DataFrame({"unique_id": "search", "ds": days, "y": 100.0 + 40.0 * (days.day_of_week < 5)})
        >>> float(fa.backtest(frame, horizon=7, windows=2).set_index("model").loc["finops_ai", "bias"])
        0.0
    """
    done = run_backtest(history, horizon, season, windows, step, freq=freq, models=models, by=by)
    frame = {"summary": done.summary, "series": done.series, "points": done.points}[detail]
    notes = [*done.notes, "relMAE and relWQL below 1 are better than the baseline named."]
    return Table.of(frame, Facts("Forecast error at past origins", notes=notes), history)


def run_backtest(
    history: pd.DataFrame,
    horizon: int,
    season: int | None = None,
    windows: int | None = None,
    step: int | None = None,
    *,
    freq: str | None = None,
    models: Sequence[str] | None = None,
    by: Sequence[str] = (),
) -> Backtest:
    """As `backtest`, but returns everything it measured: summary, series, points, notes and settings."""
    if is_cost_frame(history):
        history = cost_history(history, by, freq or "D", until=end_of_data(history))
    panel = read_panel(history, freq)
    season = season_of(panel.freq.split("-")[0], season)
    for name, value in (("horizon", horizon), ("windows", windows), ("step", step)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} is {value}: give a whole number of 1 or more")
    step = step or horizon
    longest = max(len(y) for y in panel.values)
    if windows is None:
        windows = int(np.clip((longest // 2 - horizon) // step + 1, 1, 12))
    origins = [horizon + k * step for k in range(windows)]
    usable = [back for back in origins if longest - back >= 2]
    if not usable:
        raise DataError(
            f"The longest series has {longest} points: too few to hold back {horizon} and learn from the rest. "
            "Give a shorter horizon or a longer history."
        )
    notes = list(panel.notes)
    if len(usable) < windows:
        notes.append(f"Only {len(usable)} of {windows} origins fit into the history.")
    steps = track(usable, "Backtest origins") if len(panel) * len(usable) > TRACKED else usable
    points = pd.concat([_origin(panel, back, horizon, season, models) for back in steps], ignore_index=True)
    dead = points.groupby(["unique_id", "cutoff"])["dead"].transform("first")
    if dead.any():
        notes.append(
            f"{points[dead].groupby(['unique_id', 'cutoff']).ngroups} series and origins left out: no use in the last 7 seasons nor in the horizon."
        )
    points = points[~dead].drop(columns="dead")
    if points.empty:
        raise DataError("Every series is 0 throughout: there is no error to measure.")
    series = _per_series(points)
    settings = {
        "horizon": horizon,
        "season": season,
        "windows": len(usable),
        "step": step,
        "freq": panel.freq,
        "series": int(points["unique_id"].nunique()),
    }
    return Backtest(_summary(series, points, notes), series, points.drop(columns="scale"), notes, settings)


def _origin(panel: Panel, back: int, horizon: int, season: int, models: Sequence[str] | None) -> pd.DataFrame:
    """Every method's forecast `back` points before the end."""
    known = panel.cut(back)
    place = {name: i for i, name in enumerate(panel.ids)}
    actual = np.array(
        [panel.values[place[name]][len(y) : len(y) + horizon] for name, y in zip(known.ids, known.values, strict=True)]
    )
    ours = predict(known, horizon, season, (LEVEL,), models)
    methods: dict[str, Quantiles] = {OURS: (ours.bounds[LEVEL][0], ours.point, ours.bounds[LEVEL][1])}
    for name, baseline in ((LINEAR, _linear), (NAIVE, _naive), (SEASONAL, _seasonal)):
        rows = [baseline(y[None], horizon, season) for y in known.values]
        methods[name] = tuple(np.concatenate([row[i] for row in rows]) for i in range(3))  # type: ignore[assignment]
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat(np.array(known.ids, dtype=object), horizon),
            "ds": np.concatenate(
                [
                    pd.date_range(offset(end, panel.freq, 1), periods=horizon, freq=panel.freq).to_numpy()
                    for end in known.ends
                ]
            ),
            "cutoff": np.repeat(np.array(known.ends, dtype="datetime64[ns]"), horizon),
            "y": actual.ravel(),
            "scale": np.repeat([_scale(y, season) for y in known.values], horizon),
            "dead": np.repeat(
                [(y[-7 * season :] == 0).all() and (a == 0).all() for y, a in zip(known.values, actual, strict=True)],
                horizon,
            ),
        }
    ).astype({"unique_id": "str"})
    for name, (lower, middle, upper) in methods.items():
        frame[name], frame[f"{name}-lo-{LEVEL}"], frame[f"{name}-hi-{LEVEL}"] = (
            middle.ravel(),
            lower.ravel(),
            upper.ravel(),
        )
    return frame


def _scale(y: np.ndarray, season: int) -> float:
    """In-sample mean absolute error of the last season (of the last value while there is one season only)."""
    lag = season if len(y) > season else 1
    return float(np.abs(y[lag:] - y[:-lag]).mean()) if len(y) > lag else np.nan


def _linear(y: np.ndarray, horizon: int, season: int) -> Quantiles:
    """The line with its normal prediction interval."""
    points = y.shape[1]
    t = np.arange(points) - (points - 1) / 2
    ahead = np.arange(points, points + horizon) - (points - 1) / 2
    spread = max(float(t @ t), 1e-12)
    rest = y - y.mean(1, keepdims=True) - (y @ t / spread)[:, None] * t
    sigma = np.sqrt((rest**2).sum(1, keepdims=True) / max(points - 2, 1))
    return _around(linear_trend(y, horizon), sigma * np.sqrt(1 + 1 / points + ahead**2 / spread))


def _naive(y: np.ndarray, horizon: int, season: int) -> Quantiles:
    sigma = np.sqrt((np.diff(y) ** 2).mean(1, keepdims=True)) if y.shape[1] > 1 else np.zeros((len(y), 1))
    return _around(last_value(y, horizon), sigma * np.sqrt(np.arange(1, horizon + 1)))


def _seasonal(y: np.ndarray, horizon: int, season: int) -> Quantiles:
    if y.shape[1] <= season:
        return _around(last_season(y, horizon, season), _naive(y, horizon, 1)[2] - _naive(y, horizon, 1)[1], times=1.0)
    sigma = np.sqrt(((y[:, season:] - y[:, :-season]) ** 2).mean(1, keepdims=True))
    return _around(last_season(y, horizon, season), sigma * np.sqrt(np.arange(horizon) // season + 1))


def _around(middle: np.ndarray, sigma: np.ndarray, times: float = Z) -> Quantiles:
    return middle - times * sigma, middle, middle + times * sigma


def _per_series(points: pd.DataFrame) -> pd.DataFrame:
    """Errors of each method on each series, over its origins."""
    y = points["y"].to_numpy()
    rows = []
    for name in (OURS, LINEAR, NAIVE, SEASONAL):
        lower, middle, upper = (
            points[column].to_numpy() for column in (f"{name}-lo-{LEVEL}", name, f"{name}-hi-{LEVEL}")
        )
        pinball = sum(
            np.maximum(q * (y - f), (q - 1) * (y - f)) for q, f in ((0.1, lower), (0.5, middle), (0.9, upper))
        )
        inside = np.where(np.isnan(lower), np.nan, (y >= lower) & (y <= upper))
        measured = pd.DataFrame(
            {
                "unique_id": points["unique_id"],
                "MAE": np.abs(y - middle),
                "WQL": 2 / 3 * pinball,
                "MASE": np.abs(y - middle) / points["scale"].where(points["scale"] > 1e-3 * points["y"].abs()),
                "actual": np.abs(y),
                "bias": middle - y,
                f"coverage_{LEVEL}": inside,
            }
        )
        table = measured.groupby("unique_id", as_index=False).mean()
        for column in ("WQL", "bias"):
            table[column] = table[column] / table["actual"].where(table["actual"] > 0)
        rows.append(table.assign(WAPE=table["MAE"] / table["actual"].where(table["actual"] > 0), model=name))
    table = pd.concat(rows, ignore_index=True)
    for metric in ("MAE", "WQL"):
        wide = table.pivot_table(index="unique_id", columns="model", values=metric, dropna=False)
        for base in (LINEAR, NAIVE, SEASONAL):
            ratio = wide.div(wide[base].where(wide[base] > 0), axis=0).clip(lower=LEAST_RATIO)
            found = ratio.reset_index().melt("unique_id", var_name="model", value_name=f"rel{metric}_{base}")
            table = table.merge(found, on=["unique_id", "model"], how="left")
    first = ["model", "unique_id"]
    return table[first + [c for c in table.columns if c not in (*first, "actual")]]


def _summary(series: pd.DataFrame, points: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    undefined = series[(series["model"] == OURS) & series["relMAE_linear"].isna()]
    if len(undefined):
        notes.append(f"{len(undefined)} series are left out of the ratios: the line makes no error on them.")
    rows = []
    total = points.groupby("cutoff")[["y", OURS, LINEAR, NAIVE, SEASONAL]].sum()
    covered = points["y"].abs().sum()
    for name, part in series.groupby("model", sort=False):
        ratios = {c: float(np.exp(np.log(part[c]).mean())) for c in part.columns if c.startswith("rel")}
        middle = points[name]
        rows.append(
            {
                "model": name,
                **{c: ratios[c] for c in ratios if c.startswith("relMAE")},
                "relWQL_linear": ratios["relWQL_linear"],
                "relWQL_seasonal_naive": ratios["relWQL_seasonal_naive"],
                "MASE": float(part["MASE"].mean()),
                "WAPE": float((middle - points["y"]).abs().sum() / covered),
                "bias": float((middle - points["y"]).sum() / covered),
                f"coverage_{LEVEL}": float(part[f"coverage_{LEVEL}"].mean()),
                "total_APE": float(((total[name] - total["y"]).abs() / total["y"].abs().where(total["y"] != 0)).mean()),
                "beats_linear": float((part["relMAE_linear"] < 1).mean()) if name != LINEAR else np.nan,
            }
        )
    return pd.DataFrame(rows)
