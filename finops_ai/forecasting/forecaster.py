"""`forecast`: series or priced rows in, Nixtla's columns out, with a scenario where something is known to change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.forecasting.history import cost_history, end_of_data, is_cost_frame, unique_id
from finops_ai.forecasting.holidays import put_back, read_days, take_out
from finops_ai.forecasting.outlook import Outlook, build_outlook
from finops_ai.forecasting.panel import Panel, offset, read_panel, season_of
from finops_ai.forecasting.predicting import Prediction, checked, predict, to_frame
from finops_ai.forecasting.reconciling import Key, levels_of, predict_adding_up
from finops_ai.forecasting.scenarios import Scenario, ScenarioLike, columns_touched, list_prices, one_scenario
from finops_ai.frames.origin import zone_of
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.forecasting.making import Plan
    from finops_ai.prices import PriceBook


@dataclass(frozen=True)
class CostForecast:
    """A forecast of priced rows with what it is made of.

    Attributes:
        panel: histories of the total, its dimensions and the series, in one order.
        keys: dimension values of each row of the panel; () is the total.
        prediction: forecast of each; parts add up to their parents.
        outlook: the forecast of the finest series taken apart into quantities and prices.
    """

    panel: Panel
    keys: list[Key]
    prediction: Prediction
    outlook: Outlook

    @property
    def leaves(self) -> list[int]:
        """Rows of the panel that have no parts."""
        depth = max(len(key) for key in self.keys)
        return [i for i, key in enumerate(self.keys) if len(key) == depth]

    def with_cost(self, cost: np.ndarray, ids: Sequence[str], keys: Sequence[Key]) -> CostForecast:
        """The same with other costs of the finest series (a scenario's): parents are their sums, widths stay relative."""
        place = {name: i for i, name in enumerate(self.panel.ids)}
        rows: dict[Key, np.ndarray] = {}
        for row, key in zip(cost, keys, strict=True):
            for depth in range(len(key) + 1):
                rows[key[:depth]] = rows.get(key[:depth], 0.0) + row
        ordered = [*self.keys, *(key for key in rows if key not in set(self.keys))]
        names = [unique_id(key) for key in ordered]
        point = np.array([rows.get(key, np.zeros(cost.shape[1])) for key in ordered])
        like = [place.get(name, 0) for name in names]  # a new series is as uncertain as the total, and has no past
        blank = np.zeros_like(self.panel.values[0])
        old = self.prediction.point[like]
        factor = np.divide(point, old, out=np.ones_like(point), where=old != 0)
        bounds = {
            level: (low[like] * factor, high[like] * factor) for level, (low, high) in self.prediction.bounds.items()
        }
        panel = Panel(
            names,
            [self.panel.ends[0]] * len(names),
            [self.panel.values[i] if name in place else blank for name, i in zip(names, like, strict=True)],
            self.panel.freq,
            self.panel.notes,
        )
        return CostForecast(
            panel, ordered, Prediction(point, bounds, [self.prediction.weights[i] for i in like]), self.outlook
        )


def forecast(
    history: pd.DataFrame,
    horizon: int,
    scenario: ScenarioLike | None = None,
    level: Sequence[float] = (80,),
    *,
    by: Sequence[str] = (),
    freq: str | None = None,
    season: int | None = None,
    models: Sequence[str] | None = None,
    until: str | pd.Timestamp | None = None,
    book: PriceBook | None = None,
    timezone: str | None = None,
    holidays: Iterable[object] = (),
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
) -> Table:
    """Forecast series, or the cost of priced rows by any dimensions.

    Args:
        history: a long frame `unique_id, ds, y`, or priced or allocated rows.
        horizon: points ahead.
        scenario: what will change (priced rows only): a `Scenario`, changes, a dict, or a TOML file; see
            `finops_ai.forecasting.changes`.
        level: interval levels in per cent.
        by: dimensions to split priced rows by, outermost first; the parts add up to the total.
        freq: of a long frame, read from its spacing if not given; of priced rows `D` (the default), `MS` or `h`. Days and
            months of priced rows are those of the plan: the same month is the same figure as in `plan` and `budgets`.
        season: points of a season; 24 for hours, 7 for days, 12 for months if not given.
        models: names of the models to choose from; the default set if not given.
        until: use priced rows before this instant only; by default up to the last complete day.
        book: price book for models a scenario switches to (list prices if not given), and for price changes it
            already knows (none if not given).
        timezone: reporting zone, whose days are meant.
        holidays: dates, past and to come, that don't follow their weekday (company closures).
        lines, overrides: what is known of priced rows, as in `plan`; days and months only.

    Returns:
        `unique_id, ds, yhat, lo-80, hi-80, ...`, one row per series and point ahead. `yhat` is the middle forecast
        (P50). With `by`, the rows of `total` and each outer dimension come first and `yhat` of the parts adds up to
        them; intervals are each series' own and don't add up.

    Raises:
        DataError: the history can't be read, see `read_panel` and `cost_history`.
        RuleError: the scenario names what is not in use.

    Example:
        >>> import pandas as pd
        >>> import finops_ai as fa
        >>> days = pd.date_range("2026-01-01", periods=56)
        >>> frame = pd.DataFrame({"unique_id": "search", "ds": days, "y": 100.0 + 40.0 * (days.day_of_week < 5)})
        >>> fa.forecast(frame, horizon=3)[["yhat", "lo-80", "hi-80"]].to_numpy().tolist()
        [[140.0, 140.0, 140.0], [140.0, 140.0, 140.0], [100.0, 100.0, 100.0]]
    """
    if is_cost_frame(history) and freq in (None, "D", "MS") and models is None and season is None:
        known = {"holidays": holidays, "lines": lines, "overrides": overrides}
        return _from_plan(history, horizon, scenario, level, by, freq or "D", until, book, timezone, known)
    if is_cost_frame(history):
        change = None if scenario is None else one_scenario(scenario)
        done = forecast_cost(
            history,
            horizon,
            by=by,
            freq=freq or "D",
            levels=level,
            season=season,
            models=models,
            until=until,
            book=book,
            timezone=zone_of(history, timezone=timezone),
            holidays=holidays,
            keep=columns_touched([change] if change else []),
        )
        if change is not None:
            done = under(done, change, book or list_prices())
        return _table(to_frame(done.panel, done.prediction), level, by, scenario, history)
    if scenario is not None or by:
        raise SettingsError(
            "A scenario or `by` needs priced rows: a long frame of series doesn't say which model or prompt costs what."
        )
    panel = read_panel(history, freq)
    free = read_days(holidays)
    calm, share = take_out(panel, free)
    made = predict(calm, horizon, season_of(panel.freq.split("-")[0], season), level, models)
    return _table(to_frame(panel, put_back(panel, made, free, share)), level)


def _from_plan(
    priced: pd.DataFrame,
    horizon: int,
    scenario: ScenarioLike | None,
    level: Sequence[float],
    by: Sequence[str],
    freq: str,
    until: str | pd.Timestamp | None,
    book: PriceBook | None,
    timezone: str | None,
    known: Mapping[str, Any],
) -> Table:
    """Days or months of priced rows, read from the plan."""
    from finops_ai.forecasting.making import make_plan, said

    checked(horizon, level)
    timezone = zone_of(priced, timezone=timezone)
    end = (end_of_data(priced, timezone) if until is None else pd.Timestamp(until).tz_localize(None)).normalize()
    change = None if scenario is None else one_scenario(scenario)
    if freq == "MS":
        last = pd.Period(end, "M") + horizon - 1
    else:
        last = pd.Period(end + pd.Timedelta(days=horizon - 1), "M")
    made = make_plan(
        priced, until=str(last), keep=by, scenario=change, book=book, as_of=end, timezone=timezone, **known
    )
    keys, groups = plan_levels(made, by)
    names = [unique_id(key) for key in keys]
    if freq == "MS":
        frame = _months(made, names, groups, level)
    else:
        days = made.projection.days[:horizon]
        point = np.concatenate([made.daily(g, n)[:, :horizon] for g, n in groups])
        found = [made.daily_bounds(g, n, level) for g, n in groups]
        frame = pd.DataFrame(
            {
                "unique_id": np.repeat(np.array(names, dtype=object), horizon),
                "ds": np.tile(days, len(names)),
                "yhat": point.ravel(),
            }
        ).astype({"unique_id": "str"})
        for p in level:
            for side, k in (("lo", 0), ("hi", 1)):
                frame[f"{side}-{p:g}"] = np.concatenate([f[p][k][:, :horizon] for f in found]).ravel()
    table = _table(frame, level, by, scenario, priced)
    table.facts.notes += [*made.notes, *said(made.assumptions, table.facts.currency)]
    if made.history.unpriced:
        share: Any = made.history.unpriced["share"]
        table.facts.coverage = {"priced": 1 - share}
    return table


def plan_levels(made: Plan, by: Sequence[str]) -> tuple[list[Key], list[tuple[np.ndarray, int]]]:
    """Total, outer dimensions and series of a plan: all keys, and per level which group each leaf is in."""
    keys: list[Key] = []
    groups = []
    for depth in range(len(by) + 1):
        own, group = made.groups(list(by)[:depth])
        keys += own
        groups.append((group, len(own)))
    return keys, groups


def _months(
    made: Plan, names: Sequence[str], groups: Sequence[tuple[np.ndarray, int]], level: Sequence[float]
) -> pd.DataFrame:
    rows: list[dict[str, object]] = []
    place = 0
    for group, count in groups:
        sums = made.sums(group, count)
        for g in range(count):
            for month in made.projection.months:
                spent, middle, paths = sums.over([month], g)
                row: dict[str, object] = {
                    "unique_id": names[place], "ds": pd.Period(month, "M").start_time, "yhat": float(spent) + middle
                }  # fmt: skip
                for p in level:
                    tail = (1 - p / 100) / 2
                    low, high = np.quantile(float(spent) + paths, [tail, 1 - tail])
                    row[f"lo-{p:g}"] = min(float(low), float(spent) + middle)
                    row[f"hi-{p:g}"] = max(float(high), float(spent) + middle)
                rows.append(row)
            place += 1
    return pd.DataFrame(rows).astype({"unique_id": "str"})


def _table(
    frame: pd.DataFrame,
    level: Sequence[float],
    by: Sequence[str] = (),
    scenario: ScenarioLike | None = None,
    priced: pd.DataFrame | None = None,
) -> Table:
    """A forecast that says what it is: of what, until when, how wide its intervals are, what adds up."""
    facts = Facts("Forecast" if priced is None else "Forecast of cost")
    if len(frame):
        facts.period = f"{frame['ds'].min():%Y-%m-%d} to {frame['ds'].max():%Y-%m-%d}"
    if priced is not None:
        known: list[Any] = (
            priced["pricing_currency"].dropna().unique().tolist() if "pricing_currency" in priced.columns else []
        )
        facts.currency = str(known[0]) if len(known) == 1 else ""
        facts.conserves = "yhat of the parts adds up to the total" if by else ""
    facts.notes = [
        f"An interval of {p:g} % should hold the figure {p:g} times in a hundred; each row's is its own." for p in level
    ]
    if scenario is not None:
        facts.notes.append("Under a scenario, which is an assumption: compare it with the forecast without.")
    return Table.of(frame, facts, *([] if priced is None else [priced]))


def forecast_cost(
    priced: pd.DataFrame,
    horizon: int,
    *,
    by: Sequence[str] = (),
    freq: str = "D",
    levels: Sequence[float] = (80,),
    season: int | None = None,
    models: Sequence[str] | None = None,
    until: str | pd.Timestamp | None = None,
    book: PriceBook | None = None,
    timezone: str | None = None,
    holidays: Iterable[object] = (),
    keep: Sequence[str] = (),
) -> CostForecast:
    """As `forecast` over priced rows, but returns what it is made of: histories, predictions and the outlook.

    `keep` names further columns that scenarios choose parts by (see `columns_touched`).
    """
    timezone = zone_of(priced, timezone=timezone)
    end = end_of_data(priced, timezone) if until is None else pd.Timestamp(until).tz_localize(None)
    history = cost_history(priced, by, freq, until=end, timezone=timezone)
    panel, keys = levels_of(history, by, freq)
    free = read_days(holidays)
    if freq == "D" and models is None and season is None:
        prediction = _planned(priced, keys, by, horizon, levels, end, timezone, free)
    else:
        calm, share = take_out(panel, free)
        prediction = predict_adding_up(calm, keys, by, horizon, season_of(freq, season), levels, models)
        prediction = put_back(panel, prediction, free, share)
    days = pd.date_range(offset(panel.ends[0], freq, 1), periods=horizon, freq=freq)
    depth = len(list(by))
    leaves = [i for i, key in enumerate(keys) if len(key) == depth]
    outlook = build_outlook(priced, by, [keys[i] for i in leaves], days, prediction.point[leaves], book, timezone, keep)
    done = CostForecast(panel, keys, prediction, outlook)
    return done if book is None else _recosted(done, outlook)


def _planned(
    priced: pd.DataFrame,
    keys: Sequence[Key],
    by: Sequence[str],
    horizon: int,
    levels: Sequence[float],
    end: pd.Timestamp,
    timezone: str,
    free: frozenset[pd.Timestamp],
) -> Prediction:
    """The plan's days as a prediction in the order of some keys."""
    from finops_ai.forecasting.making import make_plan

    checked(horizon, levels)
    last = pd.Period(end + pd.Timedelta(days=horizon - 1), "M")
    made = make_plan(priced, until=str(last), keep=by, as_of=end.normalize(), timezone=timezone, holidays=free)
    known, groups = plan_levels(made, by)
    order = [known.index(key) for key in keys]
    point = np.concatenate([made.daily(g, n)[:, :horizon] for g, n in groups])[order]
    found = [made.daily_bounds(g, n, levels) for g, n in groups]
    bounds = {p: tuple(np.concatenate([f[p][k][:, :horizon] for f in found])[order] for k in (0, 1)) for p in levels}
    return Prediction(point, bounds, [{} for _ in keys])  # type: ignore[arg-type]


def under(base: CostForecast, scenario: Scenario, book: PriceBook | None = None) -> CostForecast:
    """The forecast under a scenario."""
    return _recosted(base, scenario.apply(base.outlook, book))


def _recosted(base: CostForecast, outlook: Outlook) -> CostForecast:
    series = outlook.parts.drop_duplicates("unique_id")
    names = series["unique_id"].tolist()
    keys = list(series[list(outlook.by)].itertuples(index=False, name=None)) if outlook.by else [()]
    return base.with_cost(outlook.by_series(names), names, keys)
