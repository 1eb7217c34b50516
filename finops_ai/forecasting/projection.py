"""The projection: joint simulated paths of what each cell will cost, from which every sum of a plan is taken.

Each cell's middle path is a mixture of direct models of sums (see `sums`), with the phases of its life (see `phases`)
and what is known on dates (see `known`). Around it, a thousand paths: the noise of weeks is drawn from past weeks, the
same weeks for all cells, so that what moves together keeps moving together; drift is a random walk whose size past
forecasts have shown, partly shared by all cells as far as their total has shown that. A month, quarter, year, team,
budget or scenario is a sum over the same paths, so all of them agree whatever was asked.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from finops_ai.errors import DataError
from finops_ai.forecasting.ageing import spread_of
from finops_ai.forecasting.holidays import without_holidays
from finops_ai.forecasting.known import Recurring, fees, lumps
from finops_ai.forecasting.phases import Life, Phase, dip_of, jumps_that_stayed, life_of, weekday_factors
from finops_ai.forecasting.shares import recent_shares
from finops_ai.forecasting.spending import Spending
from finops_ai.forecasting.sums import BLOCK, LEADS, WEEK, Sums, filled, forecast_sums, weekly

#: simulated paths
DRAWS = 1000
#: past weeks that noise is drawn from
DRAWN_WEEKS = 52
#: variance of the level of a new cell at one week of age, of a level after a jump
NEW_LEVEL, NEW_DRIFT, AFTER_JUMP = 0.30**2, 0.12**2, 0.01**2
#: leads in blocks of four weeks whose errors past forecasts have shown
TRIED = LEADS - 1
#: share of a total's direct forecast in it; the rest is the sum of its cells
DIRECT = 0.5
#: days of history a plan needs
LEAST = 3
#: a weekday with less of the mean day than this is one without use
QUIET = 0.05


class Outcomes(NamedTuple):
    """What a cell whose level jumped, or that fell silent, may come to by month ahead.

    Attributes:
        stays, other: `(months,)`: its level stays (use comes back), or not.
        unsure: variance of the level that stays, which few days have shown.
    """

    stays: np.ndarray
    other: np.ndarray
    unsure: float = 0.0


@dataclass(frozen=True)
class Projection:
    """What the cells of a business will cost.

    Attributes:
        spending: the history.
        days: the days ahead.
        use: `(cells, days)`, the middle path of use.
        recurring: what comes back on dates.
        lives: the phase of each cell.
        shares: `(leaves,)`, of each leaf in its cell's use.
        share_spread: `(cells,)`, how much shares change from month to month (sd of the log).
        base, drift: `(cells,)`, variance of the level's error at once and more a block of four weeks.
        together: share of that which all cells have in common.
        noise: `(cells, weeks)` past weeks over their level.
        grown: `(cells,)`, log a week of the growth that the middle path goes on with.
        slope_spread: `(cells,)`, how unsure growth is beyond the leads that were tried (sd, log a block).
        outcomes: of a cell that has two.
        dips: days of the history on which a cell was once far below everything else, which are left out.
        factor: `(leaves, days)`, what scenarios, dated prices and overrides make of each leaf's cost; None without.
        added: `(leaves, days)`, amounts put in by hand, and what has no cost without a scenario.
        nodes: `(nodes, leaves, months)`, where a scenario is uncertain: what each of its outcomes is to its middle.
        notes: what the figures rest on, one sentence each.
    """

    spending: Spending
    days: pd.DatetimeIndex
    use: np.ndarray
    recurring: list[Recurring]
    lives: list[Life]
    shares: np.ndarray
    share_spread: np.ndarray
    base: np.ndarray
    drift: np.ndarray
    together: tuple[float, float]
    noise: np.ndarray
    grown: np.ndarray
    slope_spread: np.ndarray
    outcomes: dict[int, Outcomes] = field(default_factory=dict)
    dips: dict[int, slice] = field(default_factory=dict)
    factor: np.ndarray | None = None
    added: np.ndarray | None = None
    nodes: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def months(self) -> list[str]:
        """Months ahead, the first perhaps in part."""
        return [str(m) for m in pd.period_range(self.days[0], self.days[-1], freq="M")]

    @cached_property
    def month_of(self) -> np.ndarray:
        """Place of each day ahead among the months."""
        return self._place(self.days)

    def _place(self, days: pd.DatetimeIndex) -> np.ndarray:
        first = self.days[0]
        return np.asarray((days.year - first.year) * 12 + days.month - first.month)

    @cached_property
    def fixed(self) -> np.ndarray:
        """`(leaves, days)`: what is known on dates."""
        out = np.zeros((len(self.shares), len(self.days)))
        for one in self.recurring:
            ahead = one.ahead(self.days)
            for leaf, share in self._whose(one):
                out[leaf] += share * ahead
        return out

    def _whose(self, one: Recurring) -> list[tuple[int, float]]:
        if one.leaf >= 0:
            return [(one.leaf, 1.0)]
        own = np.flatnonzero(self.spending.leaves["cell"].to_numpy() == one.cell)
        return [(int(i), float(self.shares[i])) for i in own]

    def by_month(self, daily: np.ndarray) -> np.ndarray:
        """Sums of the days ahead by month."""
        out = np.zeros((len(daily), len(self.months)))
        for m in range(len(self.months)):
            out[:, m] = daily[:, self.month_of == m].sum(1)
        return out

    @cached_property
    def leaf_cells(self) -> np.ndarray:
        """The cell of each leaf."""
        return self.spending.leaves["cell"].to_numpy(dtype=int)

    @cached_property
    def use_days(self) -> np.ndarray:
        """`(leaves, days)`: the middle of use."""
        use = self.use[self.leaf_cells] * self.shares[:, None]
        out: np.ndarray = use if self.factor is None else use * self.factor
        return out

    @cached_property
    def sure_days(self) -> np.ndarray:
        """`(leaves, days)`: what is known on dates or put in by hand."""
        sure = self.fixed if self.factor is None else self.fixed * self.factor
        return sure if self.added is None else sure + self.added

    @cached_property
    def leaf_days(self) -> np.ndarray:
        """`(leaves, days)`: the middle path. Sums over any leaves and days agree with each other."""
        out: np.ndarray = self.use_days + self.sure_days
        return out

    def middle(self) -> np.ndarray:
        """`(leaves, months)`: the middle path by month."""
        return self.by_month(self.leaf_days)

    def paths(self, group: np.ndarray, count: int) -> np.ndarray:
        """Simulated cost of groups of leaves by month, `(groups, months, draws)`; only what lies ahead.

        Args:
            group: number of the group of each leaf, -1 for none.
            count: how many groups.
        """
        months = len(self.months)
        out = np.zeros((count, months, DRAWS))
        cells = self.leaf_cells
        sure, use = self.by_month(self.sure_days), self.by_month(self.use_days)
        for one in self.recurring:
            if one.spread:
                self._vary(one, out, group)
        for leaf in np.flatnonzero((group >= 0) & (sure != 0).any(1)):
            out[group[leaf]] += self._outcome(sure, np.array([leaf]))
        order = np.argsort(cells, kind="stable")
        for cell, leaves in zip(*_runs(cells[order], order), strict=True):
            mine = leaves[(group[leaves] >= 0)]
            if not len(mine) or not (use[mine] != 0).any():
                continue
            ratio = self.ratio(int(cell))
            if len(mine) == len(leaves) and len(set(group[mine])) == 1:
                out[group[mine[0]]] += self._outcome(use, mine) * ratio
                continue
            split = self._split(int(cell), leaves)
            for leaf, row in zip(leaves, split, strict=True):
                if group[leaf] >= 0:
                    out[group[leaf]] += self._outcome(use, np.array([leaf])) * ratio * row
        return out

    def _outcome(self, cost: np.ndarray, leaves: np.ndarray) -> np.ndarray:
        """`(months, draws or 1)`: the sum of some leaves, at each path's outcome of an uncertain scenario."""
        if self.nodes is None:
            out: np.ndarray = cost[leaves].sum(0)[:, None]
            return out
        return spread_of((cost[leaves] * self.nodes[:, leaves]).sum(1), DRAWS).T

    def _vary(self, one: Recurring, out: np.ndarray, group: np.ndarray) -> None:
        """Add what a lump that isn't always the same may differ by."""
        ahead = one.ahead(self.days)
        name = ("lump", str(one.cell), str(one.anchor))
        z = np.random.default_rng(_seed(name)).standard_normal((len(self.months), DRAWS))
        for leaf, share in self._whose(one):
            if group[leaf] >= 0:
                days = ahead if self.factor is None else ahead * self.factor[leaf]
                size = share * one.spread * self.by_month(days[None])[0]
                out[group[leaf]] += size[:, None] * np.maximum(z, -1 / one.spread)

    @cached_property
    def _shared(self) -> tuple[np.ndarray, np.ndarray]:
        """What all cells have in common: the level's z and those of each month's step."""
        z = np.random.default_rng(7).standard_normal((len(self.months) + 1, DRAWS))
        z = _even(z)
        return z[0], z[1:]

    @cached_property
    def _picks(self) -> np.ndarray:
        """`(weeks, months, draws)`: how much each past week counts in each month of each path."""
        weeks = self.noise.shape[1]
        out = np.zeros((weeks, len(self.months), DRAWS))
        random = np.random.default_rng(11)
        columns = np.arange(DRAWS)
        for m in range(len(self.months)):
            left = float((self.month_of == m).sum()) / WEEK
            size = max(left, 1e-9)
            drawn = random.random((5, DRAWS))
            for k in range(5):
                part = min(1.0, left)
                if part <= 0:
                    break
                # evenly over the past weeks, each draw's in an order of its own
                at = np.minimum((_ranks(drawn[k]) + 0.5) / DRAWS * weeks, weeks - 1).astype(int)
                np.add.at(out[:, m], (at, columns), part / size)
                left -= part
        return out

    def _random(self, cell: int, *what: str) -> np.random.Generator:
        """A cell's own chance, the same whatever horizon is asked."""
        return np.random.default_rng(_seed((*self.spending.cells[cell], *what)))

    def ratio(self, cell: int) -> np.ndarray:
        """`(months, draws)`: a cell's use over its middle."""
        random = self._random(cell)
        months = len(self.months)
        noise = np.tensordot(self.noise[cell], self._picks, 1)
        own = _even(random.standard_normal((months + 1, DRAWS)))
        level, steps = self._shared
        a, b = self.together
        start = np.sqrt(a) * level + np.sqrt(1 - a) * own[0]
        walk = np.sqrt(b) * steps + np.sqrt(1 - b) * own[1:]
        middles = np.array([(np.flatnonzero(self.month_of == m).mean() + 1) / (WEEK * BLOCK) for m in range(months)])
        lead = np.maximum(middles - 0.5, 0.0)
        gap = np.diff(np.concatenate([[0.0], lead]))
        z = np.sqrt(self.base[cell]) * start + np.cumsum(np.sqrt(self.drift[cell] * gap)[:, None] * walk, 0)
        variance = self.base[cell] + self.drift[cell] * lead
        scale = np.sqrt(np.log1p(variance) / np.maximum(variance, 1e-12))
        s2 = variance * scale**2
        beyond = np.maximum(lead - TRIED, 0.0) * self.slope_spread[cell]
        drifted = np.exp(
            scale[:, None] * z
            - s2[:, None] / 4
            + beyond[:, None] * _even(self._random(cell, "slope").standard_normal(DRAWS))
        )
        out: np.ndarray = noise * drifted
        if cell in self.outcomes:
            found, chance, random = self.outcomes[cell], self.lives[cell].chance, self._random(cell, "outcome")
            stays = _ranks(random.random(DRAWS)) < chance * DRAWS
            mean = chance * found.stays + (1 - chance) * found.other
            level = np.exp(np.sqrt(found.unsure) * _even(random.standard_normal(DRAWS)) - found.unsure / 2)
            chosen = np.where(stays, found.stays[:, None] * level, found.other[:, None])
            out = out * np.divide(chosen, mean[:, None], out=np.ones_like(chosen), where=mean[:, None] > 0)
        return out

    def _split(self, cell: int, leaves: np.ndarray) -> np.ndarray:
        """`(leaves, months, draws)`: each leaf's share over its middle share; shares add up to 1 on every path."""
        share = self.shares[leaves]
        z = self._random(cell, "shares").standard_normal((len(self.months), len(leaves), DRAWS)).transpose(1, 0, 2)
        walk = np.cumsum(z, 1)
        moved = share[:, None, None] * np.exp(self.share_spread[cell] * walk)
        total = moved.sum(0, keepdims=True)
        moved = np.divide(moved, total, out=np.zeros_like(moved), where=total > 0)
        out: np.ndarray = np.divide(
            moved, share[:, None, None], out=np.ones_like(moved), where=share[:, None, None] > 0
        )
        return out


def _seed(name: Sequence[str]) -> int:
    return zlib.crc32("\x1f".join(name).encode())


def _ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort(-1).argsort(-1)


def _even(z: np.ndarray) -> np.ndarray:
    """Normal draws moved to their even quantiles, so that few paths tell a quantile well."""
    out: np.ndarray = _quantiles(z.shape[-1])[_ranks(z)]
    return out


_QUANTILES: dict[int, np.ndarray] = {}


def _quantiles(count: int) -> np.ndarray:
    from statistics import NormalDist

    if count not in _QUANTILES:
        _QUANTILES[count] = np.array([NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)])
    return _QUANTILES[count]


def _runs(ordered: np.ndarray, order: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    names, first = np.unique(ordered, return_index=True)
    return names, np.split(order, first[1:])


def project(
    history: Spending,
    last: pd.Timestamp,
    explained: Sequence[pd.Timestamp] = (),
    free: frozenset[pd.Timestamp] = frozenset(),
) -> Projection:
    """Project every cell to a last day.

    Args:
        history: daily cost by cell.
        last: last day of the plan.
        explained: days on which a change that is known came into force: a jump then stays.
        free: days, past and to come, that don't follow their weekday.

    Raises:
        DataError: fewer than three days of history.
    """
    size = len(history.days)
    if size < LEAST:
        raise DataError(f"A plan needs at least {LEAST} days of history, there {'is' if size == 1 else 'are'} {size}.")
    days = pd.date_range(history.end, last, freq="D")
    weekday = history.days.day_of_week.to_numpy()
    named = [c for c in ("provider", "model") if c in history.leaves.columns]
    sources = [(*history.leaves[named].iloc[leaf], name) for _, leaf, name, _ in history.fees]
    recurring, whole = fees(history.fees, history.days, sources)
    use = history.amounts.copy()
    leaf_use = history.leaf_amounts.copy()
    for (cell, leaf, _, y), known in zip(history.fees, whole, strict=True):
        if known:
            use[cell] -= y
            leaf_use[leaf] -= y
    history = replace(history, leaf_amounts=leaf_use)
    use[np.abs(use) < 1e-9 * np.nanmax(np.abs(history.amounts), initial=0.0)] = 0.0
    credit = np.zeros(len(use))
    for i in range(len(use)):
        if (use[i] < 0).any():
            below = np.minimum(np.nan_to_num(use[i][-91:]), 0)
            credit[i] = below.mean() if (below < 0).sum() >= 3 else 0.0
            use[i] = np.where(use[i] < 0, 0.0 if credit[i] else np.nan, use[i])
        found, use[i] = lumps(i, use[i], history.days)
        recurring += found
    use, at_rest = without_holidays(use, history.days, free)
    lived = _lived(use)
    company = weekday_factors(np.nansum(use, 0)[None] if len(use) > 1 else lived, weekday)
    factors = weekday_factors(lived, weekday, company[0])
    usual = factors[:, weekday]
    # an empty day that usually is empty says nothing
    flat = np.where((usual < QUIET) & (use == 0), np.nan, use / np.maximum(usual, QUIET))
    weeks = weekly(use, usual)
    stay = jumps_that_stayed(filled(weeks)) if weeks.shape[1] > 12 else (0.0, 0.0)
    lives = [life_of(y, weekday, stay) for y in flat]
    lives = [_explained(life, history.days, [*explained, *_turns(history, i, life)]) for i, life in enumerate(lives)]
    for i, life in enumerate(lives):
        for y in (use[i], flat[i], weeks[i, : max(life.since - size % WEEK, 0) // WEEK]):
            y[: life.since] *= life.times
    dips = _dips(flat, lives)
    for i, days_of in dips.items():
        flat[i, days_of] = use[i, days_of] = np.nan
    if dips:
        weeks = weekly(use, usual)
    ramp = _ramp(flat, lives)
    told = [_slice(flat[i], life) for i, life in enumerate(lives)]
    made = [flat[i, part] for i, part in enumerate(told)]
    groups: dict[int, list[int]] = {}
    for i, y in enumerate(made):
        groups.setdefault(len(y) // WEEK, []).append(i)
    horizon = len(days)
    path = np.zeros((len(use), horizon))
    base, drift, grown, slope = (np.zeros(len(use)) for _ in range(4))
    noise = np.full((len(use), max(min(size // WEEK, DRAWN_WEEKS), 1)), np.nan)
    for count, members in groups.items():
        if count == 0:
            for i in members:
                path[i], base[i], drift[i] = np.nanmean(made[i]) if len(made[i]) else 0.0, NEW_LEVEL * 7, NEW_DRIFT
            continue
        grid = filled(np.array([weekly(use[i, told[i]][None], usual[i, told[i]][None])[0] for i in members]))
        sums = forecast_sums(grid)
        for row, i in enumerate(members):
            path[i] = along(sums.level[row], horizon)
            base[i], drift[i] = sums.base[row], sums.drift[row]
            grown[i], slope[i] = sums.growth[row], sums.slope_spread[row]
            _put(noise[i], sums.noise[row])
    used = np.array([life.phase is Phase.USED for life in lives])
    full = used & np.array([life.born < WEEK and len(y) >= size - WEEK for life, y in zip(lives, made, strict=True)])
    together = (0.3, 0.3)
    if full.sum() > 1:
        path, together = _with_total(path, weeks, full, base, drift, horizon)
    outcomes: dict[int, Outcomes] = {}
    notes: list[str] = []
    kept: list[tuple[int, np.ndarray, np.ndarray, float]] = []
    for i, life in enumerate(lives):
        if life.phase is Phase.YOUNG:
            age = size - life.born
            own = made[i][-WEEK:]
            path[i] = np.nanmean(own) * ramp[0]
            base[i] = max(base[i], NEW_LEVEL * min((WEEK / age) ** 0.5, 2.0)) + ramp[1]
            drift[i] = max(drift[i], NEW_DRIFT)
        elif life.phase is Phase.JUMPED:
            old = path[i].copy()
            path[i] = life.chance * life.now + (1 - life.chance) * old
            unsure = AFTER_JUMP + float(np.nanvar(noise[i])) * WEEK / max(size - life.since, 1)
            kept.append((i, np.full(horizon, life.now), old, unsure))
        elif life.phase is Phase.SILENT:
            old = path[i].copy()
            path[i] = life.chance * old
            if 0 < life.chance < 1:
                kept.append((i, old, np.zeros(horizon), 0.0))
    ahead = days.day_of_week.to_numpy()
    shape = factors[:, ahead] * np.where(days.isin(list(free)), at_rest, 1.0)
    months = np.asarray((days.year - days[0].year) * 12 + days.month - days[0].month)
    for i, one, other, unsure in kept:
        sums_of = [np.bincount(months, way * shape[i]) for way in (one, other)]
        outcomes[i] = Outcomes(sums_of[0], sums_of[1], unsure)
    shares, share_spread = recent_shares(history, recurring)
    noise = _wrapped(noise)
    return Projection(
        history, days, path * shape + credit[:, None], recurring, lives, shares, share_spread, base, drift, together,
        noise, grown, slope, outcomes, dips, notes=notes,
    )  # fmt: skip


def _dips(flat: np.ndarray, lives: Sequence[Life]) -> dict[int, slice]:
    """Days of cells in use that were far below everything else, once, and passed."""
    out = {}
    for i, life in enumerate(lives):
        if life.phase is Phase.USED and (found := dip_of(flat[i, life.born :])):
            out[i] = slice(life.born + found[0], life.born + found[1])
    return out


def _lived(use: np.ndarray) -> np.ndarray:
    """Series with the days before their first use unknown, not 0."""
    begun = np.maximum.accumulate(np.nan_to_num(use) != 0, 1)
    return np.where(begun, use, np.nan)


def _turns(history: Spending, cell: int, life: Life) -> list[pd.Timestamp]:
    """Days on which a provider or model that matters came into a jumped cell, or left it: those jumps have a reason."""
    if life.phase is not Phase.JUMPED:
        return []
    used = np.nan_to_num(history.leaf_amounts[history.leaves["cell"].to_numpy(dtype=int) == cell])
    near = slice(max(life.since - 28, 0), None)
    out = []
    for y in used[used[:, near].sum(1) > 0.2 * used[:, near].sum()]:
        at = np.flatnonzero(y)
        out += [history.days[k] for k in (at[0], min(at[-1] + 1, len(y) - 1)) if 0 < k < len(y) - 1]
    return out


def _explained(life: Life, days: pd.DatetimeIndex, dates: Sequence[pd.Timestamp]) -> Life:
    """A jump on the day of a known change stays."""
    if life.phase is Phase.JUMPED and any(abs((days[life.since] - d).days) <= 3 for d in dates):
        return replace(life, chance=1.0)
    return life


def _slice(y: np.ndarray, life: Life) -> slice:
    """The days a cell's usual level is told from: its own, before a jump or silence."""
    stop = life.since if life.phase in (Phase.JUMPED, Phase.SILENT) else len(y)
    own = y[life.born : stop]
    known = own[~np.isnan(own)]
    # the day it began may be no whole day
    part = len(known) >= 3 and known[0] < 0.35 * np.median(known[1:]) and len(own) <= 2 * WEEK
    return slice(life.born + part, stop)


def along(level: np.ndarray, horizon: int) -> np.ndarray:
    """A level by block of four weeks as a path of days; beyond the last block it goes on as it went between the last.

    >>> along(np.array([1.0, 1.0, 1.0]), 3).tolist()
    [1.0, 1.0, 1.0]
    """
    step = WEEK * BLOCK
    middles = step * (np.arange(len(level)) + 0.5)
    day = np.arange(horizon) + 0.5
    if not (level > 0).all():
        out: np.ndarray = np.interp(day, middles, level)
        return out
    logs = np.log(level)
    slope = (logs[-1] - logs[0]) / (middles[-1] - middles[0]) if len(level) > 1 else 0.0
    early = logs[0] + (logs[1] - logs[0]) / step * (day - middles[0]) if len(level) > 1 else np.full(horizon, logs[0])
    late = logs[-1] + slope * (day - middles[-1])
    return np.exp(np.where(day < middles[0], early, np.where(day > middles[-1], late, np.interp(day, middles, logs))))


def _put(row: np.ndarray, noise: np.ndarray) -> None:
    size = min(len(row), len(noise))
    row[len(row) - size :] = noise[len(noise) - size :]


def _wrapped(noise: np.ndarray) -> np.ndarray:
    """Weeks before a cell lived as weeks it lived; 1 where nothing is known."""
    out = noise.copy()
    for row in out:
        known = row[~np.isnan(row)]
        gaps = np.flatnonzero(np.isnan(row))
        row[gaps] = known[gaps % len(known)] if len(known) else 1.0
        mean = row.mean()
        if mean > 0:
            row /= mean
    return out


def _ramp(flat: np.ndarray, lives: Sequence[Life]) -> tuple[float, float]:
    """How cells grew from their first weeks to their second month, pulled to no growth; and the variance of that."""
    size = flat.shape[1]
    seen = []
    for y, life in zip(flat, lives, strict=True):
        if life.born >= WEEK and size - life.born >= 8 * WEEK:
            first, later = (
                np.nanmean(y[life.born : life.born + WEEK]),
                np.nanmean(y[life.born + 4 * WEEK : life.born + 8 * WEEK]),
            )
            if first > 0 and later > 0:
                seen.append(np.log(later / first))
    if not seen:
        return 1.0, 0.0
    mean = float(np.median(np.clip(seen, -1.0, 1.0))) * len(seen) / (len(seen) + 3)
    return float(np.exp(mean)), min(float(np.var(np.clip(seen, -1, 1))), 0.25) * len(seen) / (len(seen) + 3)


def _with_total(
    path: np.ndarray, weeks: np.ndarray, full: np.ndarray, base: np.ndarray, drift: np.ndarray, horizon: int
) -> tuple[np.ndarray, tuple[float, float]]:
    """Cells scaled to a total that is half forecast by itself; and what of their drift the cells share."""
    total: Sums = forecast_sums(filled(weeks[full]).sum(0, keepdims=True))
    direct, from_cells = along(total.level[0], horizon), path[full].sum(0)
    wanted = DIRECT * direct + (1 - DIRECT) * from_cells
    scale = np.clip(np.divide(wanted, from_cells, out=np.ones(horizon), where=from_cells > 0), 0.5, 2.0)
    share = path[full, 0] / max(path[full, 0].sum(), 1e-12)

    def common(own: np.ndarray, whole: float) -> float:
        alone, all_of = float((share**2 * own).sum()), float((share * np.sqrt(own)).sum()) ** 2
        return float(np.clip((whole - alone) / max(all_of - alone, 1e-12), 0.0, 1.0))

    out = path.copy()
    out[full] *= scale
    return out, (common(base[full], float(total.base[0])), common(drift[full], float(total.drift[0])))
