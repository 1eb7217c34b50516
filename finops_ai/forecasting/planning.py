"""The plan: month by month to year end, P10, P50 and P90 against budget, with the error of past plans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.budgeting import Budget, budget_lines, budget_of, overrun_probability
from finops_ai.forecasting.forecaster import CostForecast, forecast_cost, list_prices, one_scenario, under
from finops_ai.forecasting.history import TOTAL, cost_history, end_of_data, local_middle, unique_id
from finops_ai.forecasting.panel import season_of
from finops_ai.forecasting.reconciling import levels_of, predict_adding_up
from finops_ai.forecasting.scenarios import ScenarioLike, columns_touched
from finops_ai.money import minor_units, round_to_total
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

Z90 = NormalDist().inv_cdf(0.9)
#: days of a planning month when past forecasts are checked, origins checked at most, days an origin needs behind it
MONTH, CHECKED, SHORTEST = 30, 6, 28
#: days of a usual month, and how much of a month may hang over before it counts as one more month ahead
USUAL_MONTH, OVERHANG = 30.44, 0.15
#: spread (sd of the log) of a month's forecast before anything is known, for the total and for parts; it counts as
#: this many past forecasts
PRIOR, PRIOR_WEIGHT = {True: 0.15, False: 0.30}, 2.0


@dataclass(frozen=True)
class Spread:
    """Log-sd of forecast sums, by months ahead: of the single month and of everything up to it."""

    single: np.ndarray
    summed: np.ndarray
    checked: int


def plan(
    priced: pd.DataFrame,
    budget: Budget = None,
    *,
    by: Sequence[str] = (),
    until: str | None = None,
    scenario: ScenarioLike | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str = "UTC",
    holidays: Iterable[object] = (),
) -> Table:
    """Plan the cost of each month to the end of the year.

    Args:
        priced: priced or allocated rows, at least two weeks of them.
        budget: one amount a month, a mapping of month (`2026-11`) to amount, the `[[budgets]]` tables of finops.toml
            (`amount`, `month` or `from` and `to`, `for = {dimension = value}`), or a frame with `month`, `amount` and
            a column per dimension. A budget over several months counts evenly.
        by: dimensions to split by.
        until: last month, `2026-12`; December of the year of the first day ahead if not given.
        scenario: what will change; see `finops_ai.forecasting.changes`.
        book: price book, for scenarios and price changes already known.
        as_of: plan as if today were this day; what is later is ignored.
        timezone: reporting zone, whose days and months are meant.
        holidays: dates that don't follow their weekday; see `forecast`.

    Returns:
        One row per month and series, the total first, and rows `year` for the sum: `month, unique_id`, the columns of
        `by`, `actual` (so far), `p10, p50, p90` (actual plus forecast), `p10_part, p90_part`, `budget`,
        `over_budget` (p50 minus budget) and `overrun_probability`. Amounts are decimals rounded once. `actual`,
        `p50`, `p10_part` and `p90_part` of the parts add up to the total; `p10` and `p90` are each row's own range and
        don't. A `*_part` is what a part adds to the total's P10 or P90: its P50 and its share of the total's spread.

    Raises:
        DataError: too little history.
        SettingsError: `until` is past.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.plan(fa.price(fa.sample(months=2)), 30_000)
        >>> table[["month", "actual", "budget"]].head(2)
        Plan to 2026-12
        month       actual     budget
        2026-09  26,478.40  30,000.00
        2026-10  28,393.34  30,000.00
        ...
    """
    end = (end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)).normalize()
    last = pd.Period(until or f"{end:%Y}-12", "M").end_time.normalize()
    horizon = (last - end).days + 1
    if horizon < 1:
        raise SettingsError(
            f"The plan to {last:%Y-%m} lies behind the last complete day {end - pd.Timedelta(days=1):%Y-%m-%d}; give a later `until`."
        )
    change = None if scenario is None else one_scenario(scenario)
    keep = columns_touched([change] if change else [])
    done = forecast_cost(priced, horizon, by=by, until=end, book=book, timezone=timezone, holidays=holidays, keep=keep)
    if min(len(y) for y in done.panel.values) < 14:
        raise DataError("A plan needs at least 14 days of history.")
    if change is not None:
        done = under(done, change, book or list_prices())
    depth = len(list(by))
    shown = [i for i, key in enumerate(done.keys) if len(key) in (0, depth)]
    spreads = {is_total: measure_spread(priced, by, end, is_total, timezone) for is_total in ({True, depth == 0})}
    currency = _currency(priced)
    rows: list[dict[str, object]] = []
    for month, actual, ahead, lead in _months(done, end, last):
        rows += _month_rows(done, shown, by, month, actual, ahead, spreads, lead, currency)
    table = pd.DataFrame(rows)
    facts = Facts(
        "Plan", currency, f"to {last:%Y-%m}", "actual, p50, p10_part and p90_part of the parts add up to the total"
    )
    facts.money = ["actual", "p10", "p50", "p90", "p10_part", "p90_part", "budget", "over_budget"]
    facts.notes = ["P10, P50 and P90: one month in ten comes out below the first, one in ten above the last."]
    table = _with_budget(table, budget, by, currency)
    facts.notes += _without_budget(table, by)
    return Table.of(table, facts, priced)


def _without_budget(table: pd.DataFrame, by: Sequence[str]) -> list[str]:
    """A note where the total's budget is the sum of parts and some parts have none."""
    if not by:
        return []
    ahead = table["budget"].notna() & (table["unique_id"] == TOTAL) & (table["p10"] != table["p90"])
    months = table[ahead]["month"]
    inside = table[table["month"].isin(months) & (table["unique_id"] != TOTAL)]
    bare = inside[inside["budget"].isna() & (inside["p50"] != 0)]["unique_id"].unique()
    if not len(bare) or inside["budget"].isna().all():
        return []
    more = f" and {len(bare) - 5} more" if len(bare) > 5 else ""
    return [
        f"No budget for {', '.join(bare[:5])}{more}: what they cost counts against the total's budget all the same."
    ]


def _currency(priced: pd.DataFrame) -> str:
    known: list = priced["pricing_currency"].dropna().tolist() if "pricing_currency" in priced.columns else []
    return str(known[0]) if known else "USD"


def months_ahead(end: pd.Timestamp, last: pd.Timestamp) -> int:
    """Months from the first day ahead to a last day, 1 for the month under way.

    >>> months_ahead(pd.Timestamp("2026-11-01"), pd.Timestamp("2026-12-31"))
    2
    >>> months_ahead(pd.Timestamp("2026-01-01"), pd.Timestamp("2026-12-31"))
    12
    """
    return max(1, math.ceil(((last - end).days + 1) / USUAL_MONTH - OVERHANG))


def _months(done: CostForecast, end: pd.Timestamp, last: pd.Timestamp) -> list[tuple[str, np.ndarray, np.ndarray, int]]:
    """Per month of the planned year: its name, actual and forecast `(series)`, and months ahead; then the sum."""
    days = done.outlook.days
    history = max(len(y) for y in done.panel.values)
    past = np.array([np.pad(y, (history - len(y), 0)) for y in done.panel.values])
    past_days = pd.date_range(end=end - pd.Timedelta(days=1), periods=history)
    first = pd.Timestamp(f"{end:%Y}-01-01")
    months = pd.period_range(max(first, past_days[0]), last, freq="M")
    out = []
    for period in months:
        known = (past_days >= period.start_time) & (past_days <= period.end_time)
        ahead = (days >= period.start_time) & (days <= period.end_time)
        lead = months_ahead(end, period.end_time.normalize()) if ahead.any() else 0
        out.append((str(period), past[:, known].sum(1), done.prediction.point[:, ahead].sum(1), lead))
    actual, ahead = np.sum([m[1] for m in out], axis=0), np.sum([m[2] for m in out], axis=0)
    return [*out, ("year", actual, ahead, max(m[3] for m in out))]


def _month_rows(
    done: CostForecast,
    shown: list[int],
    by: Sequence[str],
    month: str,
    actual: np.ndarray,
    ahead: np.ndarray,
    spreads: Mapping[bool, Spread],
    lead: int,
    currency: str,
) -> list[dict[str, object]]:
    sigma = np.zeros(len(actual))
    if lead:
        for i in shown:
            spread = spreads[not done.keys[i] or not by]
            sigma[i] = (spread.summed if month == "year" else spread.single)[lead - 1]
    p50 = actual + ahead
    p10, p90 = actual + ahead * np.exp(-Z90 * sigma), actual + ahead * np.exp(Z90 * sigma)
    parts = [i for i in shown if done.keys[i]]
    top = shown[0]
    p10_part, p90_part = p10.copy(), p90.copy()
    if parts:
        for own, whole in ((p10, p10_part), (p90, p90_part)):
            wide = np.abs(own[parts] - p50[parts])
            share = wide / wide.sum() if wide.sum() > 0 else np.full(len(parts), 1 / len(parts))
            whole[parts] = p50[parts] + share * (own[top] - p50[parts].sum())
    sure = ahead == 0
    places = minor_units(currency)
    columns = {"actual": actual, "p10": p10, "p50": p50, "p90": p90, "p10_part": p10_part, "p90_part": p90_part}
    published = {}
    for name, values in columns.items():
        adds_up = name not in ("p10", "p90")
        rounded = dict(zip(parts, _round(values[parts], places, adds_up), strict=True))
        rounded[top] = (
            sum(rounded.values(), Decimal(0)) if parts and adds_up else _round(values[[top]], places, False)[0]
        )
        published[name] = rounded
    if parts:
        published["p10"][top], published["p90"][top] = published["p10_part"][top], published["p90_part"][top]
    for i in shown:
        if sure[i]:  # what is known has no range, not even of a rounded cent
            for name in columns:
                published[name][i] = published["p50"][i]
    return [
        {
            "month": month,
            "unique_id": unique_id(done.keys[i]),
            **dict(zip(by, done.keys[i] or [TOTAL] * len(by), strict=True)),
            **{name: published[name][i] for name in columns},
            "forecast": float(ahead[i]),
            "spread": float(sigma[i]),
        }
        for i in shown
    ]


def _round(values: np.ndarray, places: int, adds_up: bool) -> list[Decimal]:
    exact = [Decimal(repr(float(v))) for v in values]
    return round_to_total(exact, places) if adds_up else [round_to_total([v], places)[0] for v in exact]


def _with_budget(table: pd.DataFrame, budget: Budget, by: Sequence[str], currency: str) -> pd.DataFrame:
    amounts = budget_of(budget, by, currency)
    places = minor_units(currency)
    found: list[Decimal | None] = []
    for row in table.to_dict("records"):
        key = tuple(row[c] for c in by)
        if row["month"] != "year":
            found.append(amounts(row["month"], key))
        else:
            same = [
                i
                for i, name in enumerate(table["unique_id"])
                if name == row["unique_id"] and table["month"][i] != "year"
            ]
            known = [amount for i in same if (amount := found[i]) is not None]
            found.append(sum(known, Decimal(0)) if known and len(known) == len(same) else None)
    table["budget"] = pd.Series([None if b is None else round_to_total([b], places)[0] for b in found], dtype=object)
    table["over_budget"] = pd.Series(
        [None if b is None else p - b for p, b in zip(table["p50"], table["budget"], strict=True)], dtype=object
    )
    table["overrun_probability"] = [
        np.nan if b is None else overrun_probability(float(a), f, s, float(b))
        for a, f, s, b in zip(table["actual"], table["forecast"], table["spread"], table["budget"], strict=True)
    ]
    return table.drop(columns=["forecast", "spread"])


def budget_outlook(
    priced: pd.DataFrame,
    budget: Budget,
    *,
    scenario: ScenarioLike | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str = "UTC",
    holidays: Iterable[object] = (),
) -> Table:
    """What each budget still open will come to over its own period: a month, a quarter or a year, by any dimension.

    Args:
        priced: priced or allocated rows.
        budget: as in `plan`, but over named months.
        scenario, book, as_of, timezone, holidays: as in `plan`.

    Returns:
        One row per budget whose period isn't over: `budget` (its name), `until` (its last month), `amount`, `actual`
        (spent so far), `p10, p50, p90`, `over_budget` (p50 minus amount), `overrun_probability`; the likeliest overrun
        first. A budget of something that isn't in use is left out and noted.

    Raises:
        SettingsError: a budget names a column that the rows don't have, or can't be read.

    Example:
        >>> import finops_ai as fa
        >>> from finops_ai.forecasting import budget_outlook
        >>> year = {"name": "2026", "from": "2026-01", "to": "2027-01", "amount": 400_000}
        >>> budget_outlook(fa.price(fa.sample(months=2)), [year])[["budget", "until", "amount", "actual"]]
        Budgets ahead
        budget  until        amount     actual
        2026    2026-12  400,000.00  54,871.75
        ...
    """
    end = (end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)).normalize()
    currency = _currency(priced)
    places = minor_units(currency)
    lines = [line for line in budget_lines(budget, currency) if pd.Period(line.months[-1], "M").end_time >= end]
    facts = Facts("Budgets ahead", currency, money=["amount", "actual", "p10", "p50", "p90", "over_budget"])
    change = None if scenario is None else one_scenario(scenario)
    rows: list[dict[str, object]] = []
    for by in dict.fromkeys(line.dimensions for line in lines):
        own = [line for line in lines if line.dimensions == by]
        last = max(pd.Period(line.months[-1], "M") for line in own).end_time.normalize()
        keep = columns_touched([change] if change else [])
        horizon = (last - end).days + 1
        done = forecast_cost(
            priced, horizon, by=by, until=end, book=book, timezone=timezone, holidays=holidays, keep=keep
        )
        if change is not None:
            done = under(done, change, book or list_prices())
        spread = measure_spread(priced, by, end, not by, timezone)
        began = end - pd.Timedelta(days=max(len(y) for y in done.panel.values))
        place = {key: i for i, key in enumerate(done.keys)}
        for line in own:
            row = place.get(tuple(dict(line.scope)[name] for name in by))
            if row is None:
                facts.notes.append(f"{line.name}: nothing in use has {dict(sorted(line.scope))}; left out.")
                continue
            first, final = (pd.Period(line.months[i], "M") for i in (0, -1))
            if first.start_time < began:
                facts.notes.append(f"{line.name}: the data begins {began:%Y-%m-%d}, so what is spent is at least this.")
            y, days = done.panel.values[row], done.outlook.days
            past = pd.date_range(end=end - pd.Timedelta(days=1), periods=len(y))
            inside = [(d >= first.start_time) & (d <= final.end_time) for d in (past, days)]
            actual, ahead = float(y[inside[0]].sum()), float(done.prediction.point[row, inside[1]].sum())
            lead = min(months_ahead(end, final.end_time.normalize()), len(spread.summed)) - 1
            sigma = float((spread.single if first.start_time > end else spread.summed)[lead])
            figures = {
                "actual": actual,
                "p10": actual + ahead * math.exp(-Z90 * sigma),
                "p50": actual + ahead,
                "p90": actual + ahead * math.exp(Z90 * sigma),
            }
            rounded = {name: _round(np.array([value]), places, False)[0] for name, value in figures.items()}
            rounded = {"amount": Decimal(line.amount)} | rounded  # stated, not estimated
            rows.append(
                {
                    "budget": line.name,
                    "until": str(final),
                    **rounded,
                    "over_budget": rounded["p50"] - rounded["amount"],
                    "overrun_probability": overrun_probability(actual, ahead, sigma, float(line.amount)),
                }
            )
    columns = ["budget", "until", *facts.money, "overrun_probability"]
    rows.sort(key=lambda row: -float(row["overrun_probability"]))  # type: ignore[arg-type]
    return Table.of(pd.DataFrame(rows, columns=columns), facts, priced)


def measure_spread(
    priced: pd.DataFrame, by: Sequence[str], end: pd.Timestamp, is_total: bool, timezone: str = "UTC", months: int = 24
) -> Spread:
    """How far sums of 30 days were from their forecast at up to six past origins, 30 days apart.

    The mean square of the log errors, with the prior counted as two forecasts; months further ahead than any that
    could be checked widen with the square root of their distance. Parts are pooled, weighted by their cost.
    """
    history = cost_history(priced, by, "D", until=end, timezone=timezone)
    panel, keys = levels_of(history, by, "D")
    depth = 0 if is_total else len(list(by))
    rows = [i for i, key in enumerate(keys) if len(key) == depth]
    size = max(len(y) for y in panel.values)
    squares, weights = np.zeros((2, months)), np.zeros((2, months))
    checked = 0
    for origin in range(1, CHECKED + 1):
        back = origin * MONTH
        if size - back < SHORTEST:
            break
        known = panel.cut(back)
        made = predict_adding_up(known, keys, by, back, season_of("D"), (80,)).point
        checked += 1
        for i in rows:
            actual = panel.values[i][-back:].reshape(-1, MONTH).sum(1)
            expected = made[i].reshape(-1, MONTH).sum(1)
            for kind, (a, e) in enumerate(((actual, expected), (actual.cumsum(), expected.cumsum()))):
                usable = (a > 0) & (e > 0)
                error = np.log(np.where(usable, a, 1) / np.where(usable, e, 1))
                weight = np.where(usable, e, 0.0)
                squares[kind, : len(a)] += weight * np.minimum(error**2, 4.0)
                weights[kind, : len(a)] += weight
    checks = np.array([max(checked - lead, 0) for lead in range(months)], dtype=float)
    ahead = np.sqrt(np.arange(1, months + 1))
    out = []
    for kind in range(2):
        prior = (PRIOR[is_total] ** 2) * (ahead**2 if kind == 0 else ahead)
        mean = np.divide(squares[kind], weights[kind], out=prior.copy(), where=weights[kind] > 0)
        variance = (checks * mean + PRIOR_WEIGHT * prior) / (checks + PRIOR_WEIGHT)
        longest = max(int((checks > 0).sum()), 1)
        variance[longest:] = variance[longest - 1] * np.arange(longest + 1, months + 1) / longest
        out.append(np.maximum.accumulate(np.sqrt(variance)) if kind == 0 else np.sqrt(variance))
    return Spread(out[0], out[1], checked)


def past_error(
    priced: pd.DataFrame,
    months: int = 3,
    *,
    by: Sequence[str] = (),
    book: PriceBook | None = None,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """What the plan at the start of each of the last complete months said, and what came.

    Returns:
        `month, unique_id`, the columns of `by`, `p10, p50, p90, actual, error` (p50 over actual minus 1) and `inside`
        (whether the actual lay between P10 and P90), newest month first.
    """
    end = end_of_data(priced, timezone)
    newest = (end - pd.Timedelta(days=1)).to_period("M") if (end.day == 1) else end.to_period("M") - 1
    first = local_middle(priced, timezone).min()
    tables = []
    for month in [newest - k for k in range(months)]:
        if (month.start_time - first).days < 14:
            break
        table = plan(priced, by=by, until=str(month), as_of=month.start_time, book=book, timezone=timezone)
        table = table[table["month"] == str(month)]
        panel, keys = levels_of(
            cost_history(priced, by, "D", until=month.end_time.normalize() + pd.Timedelta(days=1), timezone=timezone),
            by,
            "D",
        )
        came = {
            unique_id(key): float(y[-month.days_in_month :].sum()) for key, y in zip(keys, panel.values, strict=True)
        }
        actual = [
            round_to_total([Decimal(repr(came.get(name, 0.0)))], minor_units(_currency(priced)))[0]
            for name in table["unique_id"]
        ]
        tables.append(
            table[["month", "unique_id", *by, "p10", "p50", "p90"]].assign(
                actual=pd.Series(actual, index=table.index, dtype=object)
            )
        )
    if not tables:
        raise DataError("No complete month has two weeks of history before it: no past forecast to check.")
    out = pd.concat(tables, ignore_index=True)
    out["error"] = [float(p / a - 1) if a else np.nan for p, a in zip(out["p50"], out["actual"], strict=True)]
    out["inside"] = [lo <= a <= hi for lo, a, hi in zip(out["p10"], out["actual"], out["p90"], strict=True)]
    return out


def commitment_advice(
    priced: pd.DataFrame,
    discount: float = 0.2,
    *,
    by: Sequence[str] = ("provider",),
    days: int = 90,
    timezone: str = "UTC",
) -> pd.DataFrame:
    """How large a daily commitment at a discount would have paid best.

    A commitment that covers usage up to `c` a day costs `(1 - discount) * c` whether used or not; the cost is least
    where usage stays below `c` on a share `discount` of the days. Buy no more than that.

    Returns:
        One row per series: `unique_id`, the columns of `by`, `usage_p10, usage_p50` (cost a day at today's prices),
        `cover` (usage to cover a day), `commit` (what is paid for it a day), `used` (share of the commitment used) and
        `saving` (of the cost of those days, 0 to 1).
    """
    if not 0 < discount < 1:
        raise SettingsError(f"discount is {discount}: give a share between 0 and 1, such as 0.2")
    history = cost_history(priced, by, "D", until=end_of_data(priced, timezone), timezone=timezone)
    rows = []
    for name, part in history.groupby("unique_id"):
        usage = part["y"].to_numpy()[-days:]
        cover = max(float(np.quantile(usage, discount)), 0.0)
        fee = (1 - discount) * cover
        cost = fee * len(usage) + np.maximum(usage - cover, 0).sum()
        used = float(np.minimum(usage, cover).sum() / (cover * len(usage))) if cover else np.nan
        total = float(usage.sum())
        rows.append(
            {
                "unique_id": name,
                **{c: part[c].iloc[0] for c in by},
                "usage_p10": float(np.quantile(usage, 0.1)),
                "usage_p50": float(np.quantile(usage, 0.5)),
                "cover": cover,
                "commit": fee,
                "used": used,
                "saving": float(1 - cost / total) if total > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def plan_in_words(table: pd.DataFrame, errors: pd.DataFrame | None = None, currency: str = "USD") -> list[str]:
    """The plan as a few sentences: the figure, the range, the budget, what weighs most, how good past plans were."""
    total = table[table["unique_id"] == TOTAL]
    year = total[total["month"] == "year"].iloc[0]
    months = total[total["month"] != "year"]["month"]
    said = [
        f"{months.iloc[0]} to {months.iloc[-1]} is expected to cost {year.p50:,.0f} {currency}, "
        f"of which {year.actual:,.0f} is spent; 8 chances in 10 that it ends between {year.p10:,.0f} and {year.p90:,.0f}."
    ]
    if year.budget is not None and not pd.isna(year.budget):
        side = "over" if year.over_budget > 0 else "under"
        said.append(
            f"That is {abs(year.over_budget):,.0f} {side} the budget of {year.budget:,.0f}; "
            f"the chance of going over it is {year.overrun_probability:.0%}."
        )
    parts = table[(table["month"] == "year") & (table["unique_id"] != TOTAL)]
    if len(parts):
        middle, upper = parts["p50"].astype(float), parts["p90_part"].astype(float)
        names = parts["unique_id"].to_numpy()
        said.append(
            f"{names[middle.argmax()]} is the largest part ({middle.max() / max(float(year.p50), 1e-9):.0%}); "
            f"{names[(upper - middle).argmax()]} adds most to the upper end."
        )
    if errors is not None and len(errors):
        own = errors[errors["unique_id"] == TOTAL]
        newest = own.iloc[0]
        said.append(
            f"The forecast for {newest.month} made at its start was off by {newest.error:+.1%}; "
            f"of the last {len(own)} months, {int(own['inside'].sum())} fell into their range."
        )
    return said
