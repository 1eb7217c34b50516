"""From priced rows to the projection a plan is read from: history, scenario, dated prices, lines and overrides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError, hint
from finops_ai.forecasting.ageing import NODES, dates_in_force, words
from finops_ai.forecasting.credits import credit_turns
from finops_ai.forecasting.history import NONE, end_of_data
from finops_ai.forecasting.holidays import read_days
from finops_ai.forecasting.outlook import Outlook, build_outlook
from finops_ai.forecasting.phases import Phase, weekday_factors
from finops_ai.forecasting.projection import DRAWS, Projection, project
from finops_ai.forecasting.promised import price_changes, promised
from finops_ai.forecasting.scenarios import Scenario, columns_touched
from finops_ai.forecasting.spending import Spending, spending
from finops_ai.frames.origin import zone_of
from finops_ai.money import exact, minor_units, written
from finops_ai.periods import month_text

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: keys of a planned line or override; everything else is refused
LINE_KEYS = ("name", "month", "from", "to", "amount", "factor", "for", "owner", "note")
#: how uncertain days are that nobody collected, as share of what is usual there
LOST_SPREAD = 0.25
#: what is said of the assumptions in a table's notes, at most
MOST_SAID = 8


@dataclass(frozen=True)
class Plan:
    """A projection with the actual months before it: every figure of every table about the future is read from here.

    Attributes:
        projection: the months ahead.
        currency: of all amounts.
        notes: what it rests on and what to doubt.
        assumptions: one row per change, fee and line: `kind, what, amount`.
        outlook: the days ahead taken apart, where dated prices or a scenario are in it.
        parts: rows of a period by some columns, once they were made.
    """

    projection: Projection
    assumptions: list[dict[str, object]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outlook: Outlook | None = None
    parts: dict[tuple[object, ...], dict[tuple[str, ...], dict[str, object]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def history(self) -> Spending:
        """The days before."""
        return self.projection.spending

    @cached_property
    def leaves(self) -> pd.DataFrame:
        """One row per leaf with every column it can be told by: dimensions, provider, model and more."""
        return self.leaves_of(self.history)

    @staticmethod
    def leaves_of(history: Spending) -> pd.DataFrame:
        """As `leaves`, of a history."""
        out = history.leaves.copy()
        for i, name in enumerate(history.dimensions):
            out[name] = [history.cells[c][i] for c in out["cell"]]
        return out

    def groups(self, by: Sequence[str]) -> tuple[list[tuple[str, ...]], np.ndarray]:
        """The combinations of some columns, in order, and which of them each leaf is in."""
        if not by:
            return [()], np.zeros(len(self.leaves), dtype=int)
        missing = [c for c in by if c not in self.leaves.columns]
        if missing:
            raise SettingsError(f"A plan by {missing[0]!r} needs that column in the rows.")
        grouped = self.leaves.groupby(list(by), sort=True)
        keys = [k if isinstance(k, tuple) else (k,) for k in grouped.indices]
        return [tuple(map(str, k)) for k in keys], grouped.ngroup().to_numpy()

    def chosen(self, scope: Mapping[str, Any]) -> np.ndarray:
        """Which leaves have the given values."""
        mask = np.ones(len(self.leaves), bool)
        for name, wanted in scope.items():
            values = {str(v) for v in (wanted if isinstance(wanted, list | tuple) else [wanted])}
            mask &= self.leaves[name].isin(values).to_numpy()
        return mask

    @cached_property
    def first_month(self) -> str:
        """The first month of the history."""
        return f"{self.history.days[0]:%Y-%m}"

    def actual(self, group: np.ndarray, count: int) -> dict[str, list[Decimal]]:
        """What each group cost by month of the history."""
        months = [str(m) for m in pd.period_range(self.history.days[0], self.history.days[-1], freq="M")]
        out = {month: [Decimal(0)] * count for month in months}
        for (leaf, month), amount in self.history.spent.items():
            if group[leaf] >= 0:
                out[month][group[leaf]] += amount
        return out

    @cached_property
    def lost(self) -> dict[str, np.ndarray]:
        """What days that weren't collected probably cost, by leaf and month; empty where none was lost."""
        history = self.history
        holes = np.isnan(history.leaf_amounts)
        if not holes.any():
            return {}
        out: dict[str, np.ndarray] = {}
        months = history.days.strftime("%Y-%m").to_numpy()
        size = history.leaf_amounts.shape[1]
        for leaf, day in zip(*np.nonzero(holes), strict=True):
            near = [day + k for k in (-14, -7, 7, 14) if 0 <= day + k < size]
            known = [v for k in near if not np.isnan(v := history.leaf_amounts[leaf, k])]
            around = history.leaf_amounts[leaf, max(0, day - 10) : day + 11]
            usual = float(np.mean(known)) if known else float(np.nan_to_num(np.nanmean(around)))
            out.setdefault(str(months[day]), np.zeros(len(holes)))[leaf] += usual
        return out

    def daily(self, group: np.ndarray, count: int) -> np.ndarray:
        """`(groups, days)`: the middle path of each group, whose months are the plan's."""
        p = self.projection
        out = np.zeros((count, len(p.days)))
        np.add.at(out, group[group >= 0], p.leaf_days[group >= 0])
        return out

    def daily_bounds(
        self, group: np.ndarray, count: int, levels: Sequence[float]
    ) -> dict[float, tuple[np.ndarray, np.ndarray]]:
        """Interval of each day and group by level in per cent: the month's range with the noise of single days."""
        p = self.projection
        middle, paths = self.daily(group, count), p.paths(group, count)
        sums = p.by_month(middle)
        history = np.zeros((count, len(self.history.days)))
        np.add.at(history, group[group >= 0], np.nan_to_num(self.history.leaf_amounts[group >= 0]))
        low, high = ({level: np.empty_like(middle) for level in levels} for _ in range(2))
        random = np.random.default_rng(17)
        weekday = self.history.days.day_of_week.to_numpy()
        for g in range(count):
            noise = random.choice(_day_noise(history[g], weekday), DRAWS)
            for m in range(len(p.months)):
                at = p.month_of == m
                drift = paths[g, m] / sums[g, m] if sums[g, m] else np.ones(DRAWS)
                ratio = np.maximum(drift, 0.0) * noise
                for level in levels:
                    tail = (1 - level / 100) / 2
                    a, b = np.quantile(ratio, [tail, 1 - tail])
                    low[level][g, at], high[level][g, at] = middle[g, at] * min(a, 1.0), middle[g, at] * max(b, 1.0)
        return {level: (np.minimum(low[level], high[level]), np.maximum(low[level], high[level])) for level in levels}

    def sums(self, group: np.ndarray, count: int) -> Months:
        """Actual, middle and paths of groups of leaves, month by month."""
        projection = self.projection
        middle = np.zeros((count, len(projection.months)))
        np.add.at(middle, group[group >= 0], projection.middle()[group >= 0])
        lost = {}
        for month, amounts in self.lost.items():
            row = np.zeros(count)
            np.add.at(row, group[group >= 0], amounts[group >= 0])
            lost[month] = row
        return Months(self.actual(group, count), projection.months, middle, projection.paths(group, count), lost)


@dataclass(frozen=True)
class Months:
    """Sums of some groups by month.

    Attributes:
        actual: month -> what each group cost.
        ahead: months ahead, the first perhaps in part.
        middle: `(groups, months ahead)`.
        paths: `(groups, months ahead, draws)`.
        lost: month -> what days that weren't collected probably cost, by group.
    """

    actual: dict[str, list[Decimal]]
    ahead: list[str]
    middle: np.ndarray
    paths: np.ndarray
    lost: dict[str, np.ndarray]

    def over(self, months: Sequence[str], group: int) -> tuple[Decimal, float, np.ndarray]:
        """Actual, middle and paths of one group over some months; middle and paths are of what isn't known yet."""
        place = {m: i for i, m in enumerate(self.ahead)}
        spent, middle, paths = Decimal(0), 0.0, np.zeros(DRAWS)
        for month in months:
            if month in self.actual:
                spent += self.actual[month][group]
            if month in place:
                middle += float(self.middle[group, place[month]])
                paths = paths + self.paths[group, place[month]]
            if month in self.lost and self.lost[month][group]:
                usual = float(self.lost[month][group])
                middle += usual
                z = np.random.default_rng(13).standard_normal(DRAWS)
                paths = paths + usual * np.maximum(1 + LOST_SPREAD * z, 0.0)
        return spent, middle, paths

    def expected(self, month: str, group: int) -> Decimal:
        """Actual and middle of one group in one month."""
        middle = float(self.middle[group, self.ahead.index(month)]) if month in self.ahead else 0.0
        middle += float(self.lost[month][group]) if month in self.lost else 0.0
        return (self.actual[month][group] if month in self.actual else Decimal(0)) + decimal_of(middle)


def decimal_of(value: float) -> Decimal:
    """An estimate as an amount, to the ninth place."""
    return Decimal(repr(round(float(value), 9)))


def _day_noise(y: np.ndarray, weekday: np.ndarray, most: int = 182) -> np.ndarray:
    """Days of the last half year over the usual amount of their weekday and week."""
    used = np.flatnonzero(y)
    if not len(used):
        return np.ones(1)
    own, day = y[max(used[0], len(y) - most) :], weekday[max(used[0], len(y) - most) :]
    if len(own) < 14:
        return own / own.mean() if own.mean() else np.ones(1)
    shape = weekday_factors(own[None], day)[0]
    flat = own / shape[day]
    number = np.convolve(np.ones(len(flat)), np.ones(7), "same")
    local = np.convolve(flat, np.ones(7), "same") / number
    usable = local > 0.02 * flat.mean()
    noise = np.where(usable, 1 + (flat / np.where(usable, local, 1.0) - 1) * np.sqrt(number / (number - 1)), 0.0)
    return np.maximum(noise, 0.0)


def make_plan(
    priced: pd.DataFrame,
    *,
    until: str | None = None,
    keep: Sequence[str] = (),
    scenario: Scenario | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str | None = None,
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
    holidays: Iterable[object] = (),
) -> Plan:
    """Project priced rows to a last month, with what a scenario, the price book, lines and overrides change.

    Raises:
        SettingsError: `until` is past, or a line can't be read.
    """
    timezone = zone_of(priced, timezone=timezone)
    end = (end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)).normalize()
    last = pd.Period(until or f"{end:%Y}-12", "M").end_time.normalize()
    if last < end:
        raise SettingsError(
            f"The plan to {last:%Y-%m} lies behind the last complete day {end - pd.Timedelta(days=1):%Y-%m-%d}; give a later `until`."
        )
    touched = [c for c in (columns_touched([scenario]) if scenario else []) if c in priced.columns]
    scopes = [str(name) for row in (*lines, *overrides) for name in dict(row.get("for") or {})]
    history = spending(priced, until=end, timezone=timezone, keep=tuple(dict.fromkeys([*keep, *touched, *scopes])))
    explained = [*(dates_in_force(scenario.changes, end) if scenario else []), *credit_turns(priced, book)]
    plan = Plan(project(history, last, explained, read_days(holidays)))
    notes = doubts(plan)
    assumptions = found_out(plan)
    if book is not None or scenario is not None:
        plan, told, dated = _changed(plan, priced, scenario, book, timezone)
        notes, assumptions = [*notes, *told], [*assumptions, *dated]
    if book is not None:
        plan, dated = promised(plan, priced, book, timezone)
        assumptions += dated
    for row in overrides:
        if not set(_months_of(row, f"override {_named(row)}")) & set(plan.projection.months):
            notes.append(f"The override {_named(row)} lies outside the months planned: it changes nothing here.")
            continue
        plan = _overridden(plan, row)
        amount = row["amount"] if "amount" in row else f"x {row['factor']}"
        assumptions.append({"kind": "override", "what": _named(row), "amount": amount})
    for row in lines:
        plan = _with_line(plan, row)
        assumptions.append({"kind": "planned line", "what": _named(row), "amount": row["amount"]})
    if scenario is not None:
        assumptions += [
            {"kind": "scenario", "what": f"{scenario.name}: {words(change)}", "amount": None}
            for change in scenario.changes
        ]
    return replace(plan, notes=notes, assumptions=assumptions)


def _changed(
    plan: Plan, priced: pd.DataFrame, scenario: Scenario | None, book: PriceBook | None, timezone: str
) -> tuple[Plan, list[str], list[dict[str, object]]]:
    """The plan under dated prices and a scenario: each leaf's months times what they become."""
    from finops_ai.forecasting.scenarios import list_prices

    projection = plan.projection
    columns = [c for c in plan.leaves.columns if c != "cell"]
    base_days = projection.leaf_days
    keys = [tuple(map(str, k)) for k in plan.leaves[columns].itertuples(index=False, name=None)]
    keep = ["prompt_id"] if "prompt_id" in priced.columns else []
    outlook = build_outlook(priced, columns, keys, projection.days, base_days, None, timezone, keep)
    before = _leaf_costs(outlook, keys)
    notes: list[str] = []
    others: list[Outlook] = []
    dated: list[dict[str, object]] = []
    if book is not None:
        known, outlook = outlook, build_outlook(priced, columns, keys, projection.days, base_days, book, timezone, keep)
        dated = price_changes(known, outlook)
    if scenario is not None:
        prices = book or list_prices()
        plain = outlook
        outlook, notes = scenario.applied(plain, prices)
        others = [scenario.applied(plain, prices, node)[0] for node in range(NODES)] if scenario.uncertain else []
    names = list(outlook.parts["unique_id"].unique())
    place = {" / ".join(k): i for i, k in enumerate(keys)}
    fresh = [name for name in names if name not in place]
    rows = outlook.parts.drop_duplicates("unique_id").set_index("unique_id")
    if fresh:
        plan, keys = _grown(plan, rows.loc[fresh], columns, keys)
        projection = plan.projection
        before = np.vstack([before, np.zeros((len(fresh), before.shape[1]))])
    after = _leaf_costs(outlook, keys)
    factor = np.divide(after, before, out=np.ones_like(after), where=before != 0)
    added = np.where(before == 0, after, 0.0)
    nodes = None
    if others:
        costs = [_leaf_costs(one, keys) for one in others]
        mean = np.mean(costs, axis=0)
        # the middle of an uncertain change is the mean over its range
        factor = np.divide(mean, before, out=np.ones_like(after), where=before != 0)
        added = np.where(before == 0, mean, 0.0)
        of_month = projection.by_month(mean)
        nodes = np.array(
            [
                np.divide(projection.by_month(c), of_month, out=np.ones_like(of_month), where=of_month != 0)
                for c in costs
            ]
        )
    changed = replace(projection, factor=factor, added=added, nodes=nodes)
    return replace(plan, projection=changed, outlook=outlook), notes, dated


def _leaf_costs(outlook: Outlook, keys: Sequence[tuple[str, ...]]) -> np.ndarray:
    return outlook.by_series([" / ".join(k) if k else "total" for k in keys])


def _grown(
    plan: Plan, rows: pd.DataFrame, columns: Sequence[str], keys: Sequence[tuple[str, ...]]
) -> tuple[Plan, list[tuple[str, ...]]]:
    """The plan with leaves that a scenario makes: a model a team didn't use, a team that is launched."""
    p, history = plan.projection, plan.history
    cells = {cell: i for i, cell in enumerate(history.cells)}
    cell_list, places = list(history.cells), []
    for _, row in rows.iterrows():
        cell = tuple(str(row[d]) for d in history.dimensions)
        if cell not in cells:
            cells[cell] = len(cell_list)
            cell_list.append(cell)
        places.append(cells[cell])
    finer = [c for c in history.leaves.columns if c != "cell"]
    more = pd.DataFrame({"cell": places, **{c: rows[c].astype(str).to_numpy() for c in finer}})
    new_cells, size = len(cell_list) - len(history.cells), len(history.days)
    zero = np.zeros((len(more), size))
    grown = replace(
        history, cells=cell_list, leaves=pd.concat([history.leaves, more], ignore_index=True),
        amounts=np.vstack([history.amounts, np.zeros((new_cells, size))]), leaf_amounts=np.vstack([history.leaf_amounts, zero]),
    )  # fmt: skip
    wide = replace(
        p, spending=grown, use=np.vstack([p.use, np.zeros((new_cells, p.use.shape[1]))]),
        lives=[*p.lives, *[p.lives[0]] * new_cells], shares=np.concatenate([p.shares, np.zeros(len(more))]),
        share_spread=np.concatenate([p.share_spread, np.zeros(new_cells)]),
        base=np.concatenate([p.base, np.full(new_cells, p.base.max())]),
        drift=np.concatenate([p.drift, np.full(new_cells, p.drift.max())]),
        grown=np.concatenate([p.grown, np.zeros(new_cells)]),
        slope_spread=np.concatenate([p.slope_spread, np.zeros(new_cells)]),
        noise=np.vstack([p.noise, np.ones((new_cells, p.noise.shape[1]))]),
    )  # fmt: skip
    added = [tuple(str(rows.loc[name][c]) for c in columns) for name in rows.index]
    return replace(plan, projection=wide), [*keys, *added]


def _named(row: Mapping[str, Any]) -> str:
    scope = ", ".join(f"{k} {v}" for k, v in dict(row.get("for") or {}).items()) or "all"
    who = f", by {row['owner']}" if row.get("owner") else ""
    return f"{row.get('name') or scope} ({_period(row)}{who})"


def _period(row: Mapping[str, Any]) -> str:
    return str(row.get("month") or f"{row.get('from')} to before {row.get('to')}")


def _months_of(row: Mapping[str, Any], place: str) -> list[str]:
    for key in row:
        if key not in LINE_KEYS:
            raise SettingsError(f"{place}: no key {key!r}; known are {', '.join(LINE_KEYS)}.")
    if ("month" in row) == ("from" in row):
        raise SettingsError(f"{place} needs either `month`, or `from` and `to`.")
    try:
        first = pd.Period(str(row.get("month", row.get("from")))[:7], "M")
        last = first if "month" in row else pd.Period(str(row["to"])[:7], "M") - 1
    except (ValueError, KeyError):
        raise SettingsError(f"{place}: {dict(row)} has no month like 2026-11.") from None
    return [str(m) for m in pd.period_range(first, last, freq="M")]


def _number(row: Mapping[str, Any], name: str, place: str) -> float:
    try:
        return float(exact(row[name]))
    except (ValueError, TypeError, ArithmeticError):
        raise SettingsError(f"{place}: {name} is {row[name]!r}, must be a number.") from None


def _overridden(plan: Plan, row: Mapping[str, Any]) -> Plan:
    """The plan with an owner's figure for a month and scope: its range stays as wide, relative to it."""
    place = f"override {_named(row)}"
    if ("amount" in row) == ("factor" in row):
        raise SettingsError(f"{place} needs either `amount` or `factor`.")
    p = plan.projection
    asked = _months_of(row, place)
    mask = plan.chosen(dict(row.get("for") or {}))
    if not mask.any():
        raise SettingsError(f"{place}: nothing in use has {dict(row.get('for') or {})}; give it as a planned line.")
    factor = np.ones_like(p.leaf_days) if p.factor is None else p.factor.copy()
    added = np.zeros_like(p.leaf_days) if p.added is None else p.added.copy()
    rest = _rest(plan, asked, mask, _number(row, "amount", place)) if "amount" in row else {}
    for month in asked:
        if month not in p.months:
            continue
        at = np.ix_(mask, p.month_of == p.months.index(month))
        if "factor" in row:
            times = _number(row, "factor", place)
        elif (ahead := float(p.leaf_days[at].sum())) > 0:
            times = rest[month] / ahead
        else:
            raise SettingsError(f"{place}: nothing is expected there; give it as a planned line.")
        factor[at] *= times
        added[at] *= times
    return replace(plan, projection=replace(p, factor=factor, added=added))


def _rest(plan: Plan, asked: Sequence[str], mask: np.ndarray, amount: float) -> dict[str, float]:
    """What an owner's amount leaves for each month after what is spent, by the days ahead: however far is planned."""
    spent = plan.actual(np.where(mask, 0, -1), 1)
    left = max(amount - sum(float(spent[m][0]) for m in asked if m in spent), 0.0)
    begins = plan.projection.days[0]
    days = {m: max((pd.Period(m, "M").end_time - max(pd.Period(m, "M").start_time, begins)).days + 1, 0) for m in asked}
    return {m: left * n / max(sum(days.values()), 1) for m, n in days.items()}


def _with_line(plan: Plan, row: Mapping[str, Any]) -> Plan:
    """The plan with an amount that is known: added to a scope, spread evenly over its months, without a range."""
    place = f"planned line {_named(row)}"
    if "amount" not in row:
        raise SettingsError(f"{place} needs `amount`.")
    asked = _months_of(row, place)
    amount = _number(row, "amount", place) / len(asked)
    p = plan.projection
    scope = {str(k): str(v) for k, v in dict(row.get("for") or {}).items()}
    mask = plan.chosen(scope)
    if not mask.any():
        columns = [c for c in plan.leaves.columns if c != "cell"]
        name = " / ".join(scope.get(c, NONE) for c in columns)
        fresh = pd.DataFrame([{c: scope.get(c, NONE) for c in columns}], index=[name])
        plan, _ = _grown(plan, fresh, columns, [])
        grown = plan.projection
        factor = None if p.factor is None else np.vstack([p.factor, np.ones((1, len(p.days)))])
        added = None if p.added is None else np.vstack([p.added, np.zeros((1, len(p.days)))])
        p = replace(grown, factor=factor, added=added)
        mask = np.zeros(len(p.shares), bool)
        mask[-1] = True
    middle = p.middle()[mask]
    added = np.zeros((len(p.shares), len(p.days))) if p.added is None else p.added.copy()
    for month in asked:
        if month in p.months:
            m = p.months.index(month)
            at, weight = p.month_of == m, middle[:, m]
            weight = weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1 / len(weight))
            added[np.ix_(mask, at)] += (weight * amount / at.sum())[:, None]
    return replace(plan, projection=replace(p, added=added))


def _list(names: Sequence[str], most: int = 4) -> str:
    shown = ", ".join(names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def doubts(plan: Plan) -> list[str]:
    """What the figures leave out or can't know, one sentence each."""
    history, p = plan.history, plan.projection
    notes = []
    bare = history.unpriced
    if bare:
        risk: Any = bare["at_risk"]
        models: Any = bare["models"]
        worth = (
            f"at the usual price per token about {risk / bare['days'] * 30.44:,.0f} {history.currency} a month"
            if risk
            else "what it would cost can't be told"
        )
        notes.append(
            f"{bare['share']:.1%} of recent tokens have no price ({_list(models)}) and are not in these figures: {worth}."
        )
    for source, days in history.lost.items():
        shown = _list([f"{d:%Y-%m-%d}" for d in days])
        notes.append(
            f"{source or 'All sources'}: not collected on {shown}; what those days cost is estimated, with a range."
        )
    seasons = len(history.days) / 365.25
    if seasons < 2:
        notes.append(
            f"The history is {len(history.days)} days long: a season of the year can't be told from growth before there are two "
            "years, and isn't in the ranges."
        )
    away: dict[tuple[int, int], list[str]] = {}
    for i, life in enumerate(p.lives):
        if i >= len(history.cells):
            break
        name = " / ".join(history.cells[i]) or "The cost"
        weight = p.use[i].sum()
        if i in p.dips:
            away.setdefault((p.dips[i].start, p.dips[i].stop - 1), []).append(name)
        if life.phase is Phase.JUMPED:
            if life.chance == 1.0:
                since = f"{history.days[life.since]:%Y-%m-%d}"
                notes.append(
                    f"{name} jumped on {since} with a change that is known: the new level, {written(life.now, history.currency)} a day, stays."
                )
                continue
            one, other, _ = p.outcomes[i]
            notes.append(
                f"{name} jumped on {history.days[life.since]:%Y-%m-%d} to {written(life.now, history.currency)} a day: {life.chance:.0%} that it stays, "
                f"{1 - life.chance:.0%} that it goes back. {month_text(p.months[-1])} comes to {one[-1]:,.0f} or {other[-1]:,.0f}; the middle lies between."
            )
        elif life.phase is Phase.YOUNG:
            age = len(history.days) - life.born
            notes.append(f"{name} is {age} day{'s' * (age != 1)} old: planned from its own days, with a wide range.")
        elif life.phase is Phase.SILENT and history.leaf_amounts is not None and (history.amounts[i] != 0).any():
            word = "counts as ended" if life.chance == 0 else f"{life.chance:.0%} that it comes back"
            if len(history.days) - life.since < 92:
                notes.append(f"{name} had no use since {history.days[life.since]:%Y-%m-%d}: {word}.")
        elif weight > 0 and p.grown[i] > 0.02 and p.use[i][-1] > 2 * max(p.use[i][0], 1e-12):
            notes.append(
                f"{name} goes on growing by {np.expm1(p.grown[i] * 30.44 / 7):.0%} a month, as it did; nothing caps it."
            )
    for (first, last), names in away.items():
        notes.append(
            f"{_list(names)} {'was' if len(names) == 1 else 'were'} far below everything else from "
            f"{history.days[first]:%Y-%m-%d} to {history.days[last]:%Y-%m-%d} and came back: those days count for nothing of what is usual. "
            "Days off that come again belong in `holidays`."
        )
    return notes


def found_out(plan: Plan) -> list[dict[str, object]]:
    """What the plan takes as known, one row each: fees and capacity on dates, growth that goes on."""
    history, p = plan.history, plan.projection
    rows: list[dict[str, object]] = []
    for one in p.recurring:
        leaf = history.leaves.iloc[one.leaf] if one.leaf >= 0 else None
        who = " / ".join(history.cells[one.cell])
        model = f"{leaf['model']} " if leaf is not None and "model" in leaf else ""
        sure = "exact" if not one.spread else f"give or take {one.spread:.0%}"
        rows.append(
            {
                "kind": "known amount",
                "what": f"{who + ': ' if who else ''}{model}{one.name} {one.words} ({sure})",
                "amount": round(one.amount, minor_units(history.currency or "USD")),
            }
        )
    return rows


def unknown_scope(plan: Plan, scope: Mapping[str, Any]) -> None:
    """Refuse a scope by a column that the rows don't have.

    Raises:
        SettingsError: names the column and the nearest one.
    """
    known = [c for c in plan.leaves.columns if c != "cell"]
    for name in scope:
        if name not in known:
            raise SettingsError(f"The rows have no column {name!r}. {hint(str(name), known)}")


def said(assumptions: Sequence[Mapping[str, object]], currency: str) -> list[str]:
    """Assumptions as sentences, the first ones."""
    out = []
    for row in assumptions[:MOST_SAID]:
        amount: Any = row.get("amount")
        figure = written(amount, currency) if isinstance(amount, int | float | Decimal) else amount
        out.append(f"Assumed, {row['kind']}: {row['what']}{f': {figure}' if figure else ''}.")
    if len(assumptions) > MOST_SAID:
        out.append(f"{len(assumptions) - MOST_SAID} more assumptions.")
    return out
