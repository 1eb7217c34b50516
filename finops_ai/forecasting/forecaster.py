"""`forecast`: series or priced rows in, Nixtla's columns out, with a scenario where something is known to change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.forecasting.history import cost_history, end_of_data, is_cost_frame, unique_id
from finops_ai.forecasting.holidays import put_back, read_days, take_out
from finops_ai.forecasting.outlook import Outlook, build_outlook
from finops_ai.forecasting.panel import Panel, offset, read_panel, season_of
from finops_ai.forecasting.predicting import Prediction, predict, to_frame
from finops_ai.forecasting.reconciling import Key, levels_of, predict_adding_up
from finops_ai.forecasting.scenarios import Scenario, ScenarioLike, columns_touched, load_scenarios
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
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
    timezone: str = "UTC",
    holidays: Iterable[object] = (),
) -> Table:
    """Forecast series, or the cost of priced rows by any dimensions.

    Args:
        history: a long frame `unique_id, ds, y`, or priced or allocated rows.
        horizon: points ahead.
        scenario: what will change (priced rows only): a `Scenario`, changes, a dict, or a TOML file; see
            `finops_ai.forecasting.changes`.
        level: interval levels in per cent.
        by: dimensions to split priced rows by, outermost first; the parts add up to the total.
        freq: of a long frame, read from its spacing if not given; of priced rows `D` (the default) or `h`.
        season: points of a season; 24 for hours, 7 for days, 12 for months if not given.
        models: names of the models to choose from; the default set if not given.
        until: use priced rows before this instant only; by default up to the last complete day.
        book: price book for models a scenario switches to (list prices if not given), and for price changes it
            already knows (none if not given).
        timezone: reporting zone, whose days are meant.
        holidays: dates, past and to come, that don't follow their weekday (company closures).

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
            timezone=timezone,
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
    timezone: str = "UTC",
    holidays: Iterable[object] = (),
    keep: Sequence[str] = (),
) -> CostForecast:
    """As `forecast` over priced rows, but returns what it is made of: histories, predictions and the outlook.

    `keep` names further columns that scenarios choose parts by (see `columns_touched`).
    """
    end = end_of_data(priced, timezone) if until is None else pd.Timestamp(until).tz_localize(None)
    history = cost_history(priced, by, freq, until=end, timezone=timezone)
    panel, keys = levels_of(history, by, freq)
    free = read_days(holidays)
    calm, share = take_out(panel, free)
    prediction = predict_adding_up(calm, keys, by, horizon, season_of(freq, season), levels, models)
    prediction = put_back(panel, prediction, free, share)
    days = pd.date_range(offset(panel.ends[0], freq, 1), periods=horizon, freq=freq)
    depth = len(list(by))
    leaves = [i for i, key in enumerate(keys) if len(key) == depth]
    outlook = build_outlook(priced, by, [keys[i] for i in leaves], days, prediction.point[leaves], book, timezone, keep)
    done = CostForecast(panel, keys, prediction, outlook)
    return done if book is None else _recosted(done, outlook)


def under(base: CostForecast, scenario: Scenario, book: PriceBook | None = None) -> CostForecast:
    """The forecast under a scenario."""
    return _recosted(base, scenario.apply(base.outlook, book))


def list_prices() -> PriceBook:
    """The bundled list prices, for a scenario that names a model not in use yet."""
    from finops_ai.prices import PriceBook

    return PriceBook.default()


def one_scenario(source: ScenarioLike) -> Scenario:
    """The one scenario that a source holds."""
    found = load_scenarios(source)
    if len(found) != 1:
        names = ", ".join(s.name for s in found) or "none"
        raise SettingsError(f"Give one scenario, got: {names}. Compare several with finops_ai.forecasting.compare.")
    return found[0]


def _recosted(base: CostForecast, outlook: Outlook) -> CostForecast:
    series = outlook.parts.drop_duplicates("unique_id")
    names = series["unique_id"].tolist()
    keys = list(series[list(outlook.by)].itertuples(index=False, name=None)) if outlook.by else [()]
    return base.with_cost(outlook.by_series(names), names, keys)
