"""Forecast models: each takes many series at once and needs nothing but numpy.

A model is a function `model(history, horizon, season) -> forecast` over arrays, `(series, points)` to
`(series, horizon)`, oldest point first, no gaps. Add your own with `register_model`; it then takes part in the
choice per series like the built-in ones. All built-in models are bounded: a trend is damped or clipped to the range
the series has shown, so that a bursty history never diverges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

import numpy as np

from finops_ai.errors import PluginError, SettingsError, hint

Model = Callable[[np.ndarray, int, int], np.ndarray]

#: seasons of history that the profile models look back at most
LOOK_BACK = 14
#: days of a week, for hourly series whose season is the day
WEEK = 7


@dataclass(frozen=True)
class Entry:
    """A registered model.

    Attributes:
        min_seasons: seasons of history before it takes part.
        signed: whether it copes with negative values (credits).
        default: takes part without being named.
        only_season: the one season length it is made for, if any.
    """

    name: str
    model: Model
    min_seasons: float
    signed: bool = True
    default: bool = True
    only_season: int | None = None

    def suits(self, points: int, season: int, negative: bool) -> bool:
        """Whether it can be asked for a history of `points`, which holds negative values or not."""
        long_enough = points >= self.min_seasons * season
        return long_enough and (self.signed or not negative) and self.only_season in (None, season)


_MODELS: dict[str, Entry] = {}
_plugins_loaded = False


def register_model(
    name: str, model: Model, *, min_seasons: float = 2, signed: bool = False, default: bool = True
) -> None:
    """Add a model to the choice.

    The per-series backtest gives it weight where it does better than the others and little where it does not, so a
    weak model does no harm. An installed package can register at the entry-point group `finops_ai.forecast_models`
    (value: a function without arguments that calls `register_model`).

    Args:
        name: what `models=` and the tables call it.
        model: `model(history, horizon, season)`: float array (series, points) to (series, horizon).
        min_seasons: shortest history, in seasons, it is asked for.
        signed: whether it copes with negative values (credits).
        default: takes part without being named.

    Example:
        >>> register_model("median_of_all", lambda y, h, s: np.repeat(np.median(y, axis=1)[:, None], h, axis=1))
        >>> "median_of_all" in model_names()
        True
        >>> _ = _MODELS.pop("median_of_all")
    """
    if not name.isidentifier():
        raise SettingsError(f"Model name {name!r}: use letters, digits and underscores.")
    _MODELS[name] = Entry(name, model, min_seasons, signed, default)


def model_names() -> list[str]:
    """Names of all models that can be asked for, built-in and registered."""
    _load_plugins()
    return sorted(_MODELS)


def select_models(names: Sequence[str] | None = None) -> list[Entry]:
    """The models to choose from: those named (`"default"` stands for the default set), or the default set.

    >>> [entry.name for entry in select_models(["last_season", "theta"])]
    ['last_season', 'theta']
    """
    _load_plugins()
    default = [entry for entry in _MODELS.values() if entry.default]
    if names is None:
        return default
    chosen: dict[str, Entry] = {}
    for name in names:
        if name == "default":
            chosen |= {entry.name: entry for entry in default}
        elif name in _MODELS:
            chosen[name] = _MODELS[name]
        else:
            raise SettingsError(f"No forecast model called {name!r}. {hint(name, ['default', *_MODELS])}")
    return list(chosen.values())


def run(entry: Entry, history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Call a model and check what it gives; a value that is no number counts as not forecast (NaN)."""
    out = np.asarray(entry.model(history, horizon, season), dtype=float)
    if out.shape != (len(history), horizon):
        raise PluginError(
            f"Forecast model {entry.name!r} gave shape {out.shape} for {len(history)} series and horizon {horizon}."
        )
    return np.where(np.isfinite(out), out, np.nan)


def _load_plugins() -> None:
    global _plugins_loaded
    if not _plugins_loaded:
        _plugins_loaded = True
        for point in entry_points(group="finops_ai.forecast_models"):
            point.load()()


# ---------------------------------------------------------------------------------------------- building blocks


def tile(profile: np.ndarray, horizon: int) -> np.ndarray:
    """Repeat a profile `(series, season)` up to the horizon."""
    return np.tile(profile, (1, -(-horizon // profile.shape[1])))[:, :horizon]


def seasons_of(history: np.ndarray, season: int, most: int = LOOK_BACK) -> np.ndarray:
    """The last whole seasons as `(series, seasons, season)`, at most `most` of them."""
    count = min(most, history.shape[1] // season)
    return history[:, history.shape[1] - count * season :].reshape(len(history), count, season)


def weighted_quantile(samples: np.ndarray, weights: np.ndarray, q: float) -> np.ndarray:
    """Weighted quantile over axis 1 of `(series, samples, season)`, interpolated between mid-ranks.

    >>> float(weighted_quantile(np.array([[[1.0], [2.0], [9.0]]]), np.ones(3), 0.5)[0, 0])
    2.0
    """
    order = np.argsort(samples, axis=1)
    values = np.take_along_axis(samples, order, 1)
    mass = np.asarray(weights, dtype=float)[order]
    rank = (np.cumsum(mass, 1) - mass / 2) / mass.sum(1, keepdims=True)
    above = np.clip((rank < q).sum(1, keepdims=True), 0, samples.shape[1] - 1)
    below = np.maximum(above - 1, 0)
    r0, r1 = np.take_along_axis(rank, below, 1), np.take_along_axis(rank, above, 1)
    v0, v1 = np.take_along_axis(values, below, 1), np.take_along_axis(values, above, 1)
    share = np.clip((q - r0) / np.maximum(r1 - r0, 1e-12), 0, 1)
    out: np.ndarray = (v0 + share * (v1 - v0))[:, 0]
    return out


def _ages(count: int, decay: float) -> np.ndarray:
    """Weights of `count` points, the newest 1, each older one `decay` times the next."""
    return decay ** np.arange(count)[::-1].astype(float)


def _levels(seasons: np.ndarray) -> np.ndarray:
    """Mean of each season, floored at 2 % of the mean of all so that logs and ratios stay tame."""
    level = seasons.mean(2)
    out: np.ndarray = np.maximum(level, np.maximum(0.02 * level.mean(1, keepdims=True), 1e-9))
    return out


def _shape(seasons: np.ndarray, level: np.ndarray, decay: float = 0.9) -> np.ndarray:
    """Typical profile around a level of 1: weighted median over seasons, half weight from the neighbouring points."""
    relative = seasons / level[:, :, None]
    count, width = relative.shape[1:]
    weights = _ages(count, decay)
    if width >= 24:
        relative = np.concatenate([np.roll(relative, -1, 2), relative, np.roll(relative, 1, 2)], axis=1)
        weights = np.concatenate([weights / 2, weights, weights / 2])
    return weighted_quantile(relative, weights, 0.5)


def _unseasoned_log(history: np.ndarray, season: int, most: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Log series without its seasonal profile, and the profile (in logs, centred)."""
    floor = np.maximum(0.01 * history.mean(1, keepdims=True), 1e-9)
    logs = seasons_of(np.log(np.maximum(history, floor)), season, most)
    profile = np.median(logs - logs.mean(2, keepdims=True), axis=1)
    return (logs - profile[:, None]).reshape(len(history), -1), profile


# ---------------------------------------------------------------------------------------------- models


def linear_trend(history: np.ndarray, horizon: int, season: int = 1) -> np.ndarray:
    """Ordinary least squares line over the whole history: the baseline that every claim is measured against.

    >>> linear_trend(np.array([[1.0, 2.0, 3.0]]), 2).round(6).tolist()
    [[4.0, 5.0]]
    """
    points = history.shape[1]
    t = np.arange(points) - (points - 1) / 2
    slope = history @ t / max(t @ t, 1e-12)
    ahead = np.arange(points, points + horizon) - (points - 1) / 2
    out: np.ndarray = history.mean(1)[:, None] + slope[:, None] * ahead
    return out


def last_value(history: np.ndarray, horizon: int, season: int = 1) -> np.ndarray:
    """The last point again and again (naive)."""
    return np.repeat(history[:, -1:], horizon, axis=1)


def last_season(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The last season again and again (seasonal naive); the last value while there is no whole season.

    >>> last_season(np.array([[1.0, 2.0, 3.0]]), 3, 2).tolist()
    [[2.0, 3.0, 2.0]]
    """
    if history.shape[1] < season:
        return last_value(history, horizon)
    return tile(history[:, -season:], horizon)


def moving_average(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Mean over the last four seasons at each position of the season."""
    return tile(seasons_of(history, season, 4).mean(1), horizon)


def seasonal_median(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Median over the last 14 seasons at each position of the season: long memory, deaf to bursts."""
    seasons = seasons_of(history, season)
    return tile(np.median(seasons, axis=1), horizon)


def recent_median(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Median over seasons, each older season counting 0.6 of the next: short memory, still deaf to one burst."""
    seasons = seasons_of(history, season)
    return tile(weighted_quantile(seasons, _ages(seasons.shape[1], 0.6), 0.5), horizon)


def level_and_shape(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Typical profile times a level that returns from the recent to the usual at a speed learned from all series.

    The log level of a season `d` seasons ahead is `usual + (recent - usual) * persistence ** d`, with `usual` the
    median of the seasons' log levels, `recent` a fast-decaying mean of them, and one persistence for all series given:
    the one with the least absolute error at every origin and lead inside the history.
    """
    seasons = seasons_of(history, season)
    level = _levels(seasons)
    logs = np.log(level)
    recent, usual = _recent_and_usual(logs)
    ahead = np.arange(-(-horizon // season))
    path = np.exp(usual[:, None] + (recent - usual)[:, None] * _persistence(logs) ** ahead)
    out: np.ndarray = (path[:, :, None] * _shape(seasons, level)[:, None, :]).reshape(len(history), -1)[:, :horizon]
    return out


def _recent_and_usual(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights = _ages(logs.shape[1], 0.2)
    return logs @ weights / weights.sum(), np.median(logs, axis=1)


def _persistence(logs: np.ndarray, choices: Sequence[float] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)) -> float:
    """How much of a deviation from the usual level is left one season later, pooled over series (0.85 if unknown)."""
    count = logs.shape[1]
    if count < 4:
        return 0.85
    error = np.zeros((len(choices), len(logs)))
    for cut in range(2, count):
        recent, usual = _recent_and_usual(logs[:, :cut])
        deviation, ahead = (recent - usual)[:, None], logs[:, cut:] - usual[:, None]
        leads = np.arange(1, count - cut + 1)
        for i, persistence in enumerate(choices):
            error[i] += np.abs(ahead - deviation * persistence**leads).sum(1)
    score = np.log(np.maximum(error, 1e-9)).mean(1)
    return choices[int(score.argmin())]


def smoothing(alpha: float) -> Model:
    """Simple exponential smoothing of the log series without its seasonal profile, with a fixed smoothing factor."""

    def model(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
        flat, profile = _unseasoned_log(history, season)
        weights = _ages(flat.shape[1], 1 - alpha)
        out: np.ndarray = np.exp((flat @ weights / weights.sum())[:, None] + tile(profile, horizon))
        return out

    model.__doc__ = smoothing.__doc__
    return model


def season_trend(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """A line through the levels of the last 14 seasons times their typical profile, kept within half the lowest and
    one and a half times the highest level seen."""
    seasons = seasons_of(history, season)
    level = seasons.mean(2)
    ahead = linear_trend(level, -(-horizon // season))
    low, high = level.min(1, keepdims=True), level.max(1, keepdims=True)
    path = np.clip(ahead, np.where(low < 0, 1.5 * low, 0.5 * low), np.maximum(1.5 * high, 0.5 * high))
    shape = np.median(seasons / _levels(seasons)[:, :, None], axis=1)
    out: np.ndarray = (path[:, :, None] * shape[:, None, :]).reshape(len(history), -1)[:, :horizon]
    return out


def linear_seasonal(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """The least-squares line plus the mean seasonal deviation from it."""
    points = history.shape[1]
    line = linear_trend(history, horizon)
    t = np.arange(points) - (points - 1) / 2
    rest = history - history.mean(1)[:, None] - (history @ t / max(t @ t, 1e-12))[:, None] * t
    out: np.ndarray = line + tile(seasons_of(rest, season).mean(1), horizon)
    return out


def damped_trend(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Holt's damped trend on the log series without its profile (level 0.2, trend 0.1, damping 0.95), clipped to the range seen."""
    alpha, beta, damping = 0.2, 0.1, 0.95
    flat, profile = _unseasoned_log(history, season)
    level, slope = flat[:, : 2 * season].mean(1), np.zeros(len(flat))
    for t in range(flat.shape[1]):
        expected = level + damping * slope
        surprise = np.clip(flat[:, t] - expected, -1, 1)
        level, slope = expected + alpha * surprise, damping * slope + alpha * beta * surprise
    ahead = level[:, None] + slope[:, None] * np.cumsum(damping ** np.arange(1, horizon + 1))
    ahead = np.clip(ahead, flat.min(1, keepdims=True) - 0.3, flat.max(1, keepdims=True) + 0.3)
    out: np.ndarray = np.exp(ahead + tile(profile, horizon))
    return out


def theta(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Theta method (Assimakopoulos and Nikolopoulos 2000): smoothed level plus half the line's slope, after removing
    the mean seasonal profile; smoothing factor per series by one-step error."""
    seasons = seasons_of(history, season)
    profile = (seasons - seasons.mean(2, keepdims=True)).mean(1)
    flat = (seasons - profile[:, None]).reshape(len(history), -1)
    points = flat.shape[1]
    t = np.arange(points) - (points - 1) / 2
    drift = flat @ t / max(t @ t, 1e-12) / 2
    best, chosen = np.full(len(flat), np.inf), flat[:, -1].copy()
    for alpha in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8):
        level, error = flat[:, : min(season, points)].mean(1), np.zeros(len(flat))
        for i in range(points):
            surprise = flat[:, i] - level
            error += np.abs(surprise)
            level = level + alpha * surprise
        better = error < best
        best, chosen = np.where(better, error, best), np.where(better, level, chosen)
    ahead = chosen[:, None] + drift[:, None] * np.arange(1, horizon + 1)
    low, high = flat.min(1, keepdims=True), flat.max(1, keepdims=True)
    out: np.ndarray = np.clip(ahead, low - (high - low) / 2, high + (high - low) / 2) + tile(profile, horizon)
    return out


def annual(history: np.ndarray, horizon: int, season: int, alpha: float = 0.1) -> np.ndarray:
    """Daily series of over a year: smoothed level times the median course of the same weeks in earlier years.

    Each earlier year is followed from 364 days before (52 weeks, so weekdays agree), relative to the four weeks before
    that day, as the median over the same weekday of five weeks: a season of the year may have weekdays of its own. The
    course counts for as much as years have shown it, `years / (years + 1)`; the rest is the usual week.
    """
    year, back, around = 364, 28, (-14, -7, 0, 7, 14)
    points = history.shape[1]
    flat, profile = _unseasoned_log(history, season)
    weights = _ages(flat.shape[1], 1 - alpha)
    level, week = (flat @ weights / weights.sum())[:, None], tile(profile, horizon)
    logs = np.log(np.maximum(history, np.maximum(0.01 * history.mean(1, keepdims=True), 1e-9)))
    out: np.ndarray
    courses = []
    for start in range(points - year, back - 1, -year):
        near = [start + days for days in around if start + days >= 0 and start + days + horizon <= points]
        if near:
            usual = logs[:, start - back : start].mean(1, keepdims=True)
            courses.append(np.median([logs[:, at : at + horizon] for at in near], axis=0) - usual)
    if not courses:
        out = np.exp(level + week)
        return out
    trust = len(courses) / (len(courses) + 1)
    out = np.exp(level + week + trust * np.clip(np.median(courses, axis=0) - week, -2, 2))
    return out


def last_week(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Hourly series: the same hours a week before."""
    return last_season(history, horizon, WEEK * season)


def week_and_shape(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Hourly series: `level_and_shape` with the week as the season."""
    return level_and_shape(history, horizon, WEEK * season)


def by_week(model: Model) -> Model:
    """An hourly series without what its weekdays do to each hour, forecast by `model`, with that put back.

    The factor of an hour of the week is its share of the usual hour of the day over the last eight weeks, pulled to 1
    as if one week without weekdays had been seen too: two weeks say little, eight say a lot.
    """

    def weekly(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
        weeks = seasons_of(history, WEEK * season, 8)
        count, points = weeks.shape[1], history.shape[1]
        usual = np.median(weeks / _levels(weeks)[:, :, None], axis=1)
        usual = (np.roll(usual, 1, 1) + 2 * usual + np.roll(usual, -1, 1)) / 4
        day = np.tile(usual.reshape(len(usual), WEEK, season).mean(1), (1, WEEK))
        factor = (count * usual + day + 0.05 * (count + 1)) / ((count + 1) * (day + 0.05))
        factor = np.clip(factor, 0.1, 5)
        past = tile(factor[:, ::-1], points)[:, ::-1]
        out: np.ndarray = model(history / past, horizon, season) * tile(factor, horizon)
        return out

    weekly.__doc__ = by_week.__doc__
    return weekly


def recent_mean(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Exponentially weighted mean with a half-life of two points: for series too young for a profile."""
    weights = _ages(history.shape[1], 0.5**0.5)
    return np.repeat((history @ weights / weights.sum())[:, None], horizon, axis=1)


def plain_median(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Median of the whole history: for series too young for a profile."""
    return np.repeat(np.median(history, axis=1)[:, None], horizon, axis=1)


def ets(history: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """statsmodels' ETS with damped additive trend and additive season, one series at a time (slow: ask for it by name)."""
    import warnings

    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    out = last_season(history, horizon, season)
    for i, y in enumerate(history):
        if np.ptp(y) > 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                fitted = ETSModel(
                    y,
                    error="add",
                    trend="add",
                    damped_trend=True,
                    seasonal="add" if season > 1 else None,
                    seasonal_periods=season,
                ).fit(disp=False)
            reach = y.max() + np.ptp(y) / 2
            out[i] = np.clip(fitted.forecast(horizon), y.min() - np.ptp(y) / 2, reach)
    return out


for _entry in (
    Entry("last_season", last_season, 1),
    Entry("seasonal_median", seasonal_median, 2),
    Entry("level_and_shape", level_and_shape, 2, signed=False),
    Entry("recent_median", recent_median, 14),
    Entry("slow_smoothing", smoothing(0.05), 14, signed=False),
    Entry("fast_smoothing", smoothing(0.2), 14, signed=False),
    Entry("season_trend", season_trend, 14, signed=False),
    Entry("annual", annual, 64, signed=False, only_season=7),
    Entry("last_week", last_week, 21, only_season=24),
    Entry("week_and_shape", week_and_shape, 21, signed=False, only_season=24),
    *(
        Entry(f"weekly_{name}", by_week(model), 21, signed=False, only_season=24)
        for name, model in (
            ("level_and_shape", level_and_shape),
            ("median", seasonal_median),
            ("slow_smoothing", smoothing(0.05)),
            ("fast_smoothing", smoothing(0.2)),
        )
    ),
    Entry("moving_average", moving_average, 1, default=False),
    Entry("linear_seasonal", linear_seasonal, 2, default=False),
    Entry("damped_trend", damped_trend, 3, signed=False, default=False),
    Entry("theta", theta, 3, default=False),
    Entry("ets", ets, 3, default=False),
    Entry("linear_trend", linear_trend, 0, default=False),
    Entry("last_value", last_value, 0, default=False),
    Entry("recent_mean", recent_mean, 0, default=False),
    Entry("plain_median", plain_median, 0, default=False),
):
    _MODELS[_entry.name] = _entry
