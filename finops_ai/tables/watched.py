"""What is watched, and where it is out of the ordinary: the series of every group of rows, and their findings.

Cost and calls are watched as sums. Tokens per call, answer length, the share read from a cache and the price are watched
against what the group's own rows usually show: each row (one dimension value, key, prompt, model and user together) has its
usual ratio, and a day's sum is compared with what it would be if every row had kept it. So a weekend with other work in it is
no fall of a ratio. A finding's money is what was used beyond expectation at the unit cost of those days; that of calls is never
more than the cost itself moved, as counts are sometimes rounded and cost nothing by themselves.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.meters import meters
from finops_ai.tables.grouping import grouped, grouped_table
from finops_ai.tables.unusual import DAILY, HOURLY, SHARE, Grain, Run, unusual
from finops_ai.tables.workloads import family_of


class Measure(NamedTuple):
    """One thing watched."""

    top: str
    #: what it is a ratio to; None for a sum
    bottom: str | None
    #: share of the expectation that it must be off by
    floor: float
    #: cost and amount whose quotient is the money of one unit
    cost: str
    #: what a rise and a fall are called
    words: tuple[str, str]


WATCHED: dict[str, Measure] = {
    "cost": Measure("cost", None, 0.45, "cost", ("cost rose", "cost fell")),
    "requests": Measure("requests", None, 0.5, "cost", ("more calls", "fewer calls")),
    "tokens_per_request": Measure("tokens", "requests", 0.35, "token_cost", ("more tokens per call", "fewer tokens per call")),
    "output_per_request": Measure("output", "requests", 0.4, "output_cost", ("longer answers", "shorter answers")),
    "cache_share": Measure("cached", "input", 0.3, "cached_cost", ("more read from a cache", "less read from a cache")),
    "error_share": Measure("errors", "outcomes", 1.0, "error_cost", ("more failed calls", "fewer failed calls")),
    "price": Measure("cost", "usual_cost", 0.08, "cost", ("dearer tokens", "cheaper tokens")),
}  # fmt: skip
#: series of one column that are watched, the dearest; groups beyond them show in wider ones
_MOST_SERIES = 60
#: share of failed calls beyond the usual one that is told
_LEAST_FAILED = 0.05
#: part of a group's amounts that rows with a past must have
_KNOWN = 0.5
_ZERO = Decimal(0)
_NUMBERS = (
    "cost", "requests", "tokens", "input", "output", "cached", "errors", "outcomes", "token_cost", "output_cost", "input_cost",
    "cached_cost", "error_cost",
)  # fmt: skip


@dataclass
class Finding:
    """One series' unusual stretch."""

    group: dict[str, Any]
    measure: str
    start: int
    end: int
    up: bool
    actual: Decimal = _ZERO
    excess: float = 0.0
    times: float | None = None
    #: rows of the finest watched grain it stands on -> what their cost is off by
    parts: dict[int, float] = field(default_factory=dict)


class Watched:
    """The finest watched rows as arrays, and the series of any group of them; read in one pass, prices in another."""

    def __init__(self, priced: pd.DataFrame, columns: Sequence[str], *, hourly: bool, timezone: str) -> None:
        self.grain: Grain = HOURLY if hourly else DAILY
        self.step = dt.timedelta(hours=1) if hourly else dt.timedelta(days=1)
        self.window = (10 if hourly else 4) * self.grain.season
        self.columns = list(columns)
        time = "hour" if hourly else "day"
        table = _cells(priced, columns, time, timezone)
        self.first: Any = pc.min(table[time]).as_py() if table.num_rows else None
        self.keys: list[tuple[Any, ...]] = []
        self.count = 0
        if self.first is None:
            return
        self.count = int((pc.max(table[time]).as_py() - self.first) / self.step) + 1
        names: dict[tuple[Any, ...], int] = {}
        keys = zip(*(table[c].to_pylist() for c in columns), strict=True) if columns else [()] * table.num_rows
        rows = np.array([names.setdefault(key, len(names)) for key in keys], dtype=np.int64)
        places = np.array([int((v - self.first) / self.step) for v in table[time].to_pylist()], dtype=np.int64)
        self.keys = list(names)
        self.sums = {n: np.zeros((len(names), self.count)) for n in _NUMBERS}
        for name, values in self.sums.items():
            np.add.at(values, (rows, places), table[name].cast(pa.float64()).to_numpy())
        self.exact: dict[tuple[int, int], Decimal] = {}
        for row, at, cost in zip(rows.tolist(), places.tolist(), table["cost"].to_pylist(), strict=True):
            self.exact[row, at] = self.exact.get((row, at), _ZERO) + cost
        self.usual = {
            name: self._usual(self.sums[m.top], self.sums[m.bottom])
            for name, m in WATCHED.items()
            if m.bottom in self.sums and name != "error_share"
        }
        self.prices = self._prices(priced, time, timezone) if "model" in columns else {}

    def _usual(self, top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        """Each row's usual ratio before each place: the median of those it had."""
        ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
        known = pd.DataFrame(ratio.T).rolling(self.window, min_periods=3).median().ffill(limit=self.window).shift(1)
        return known.to_numpy().T

    def _prices(self, priced: pd.DataFrame, time: str, timezone: str) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
        """By model: its cost by place, and what it would be at each meter's and tier's usual unit cost; nan where unknown."""
        keys = [c for c in ("model", "meter", "service_tier", "region") if c in priced.columns]
        sums = {"cost": "coalesce(sum(effective_cost), 0)", "amount": "coalesce(sum(quantity), 0)"}
        cells: dict[tuple[Any, ...], tuple[np.ndarray, np.ndarray]] = {}
        where = "effective_cost IS NOT NULL AND quantity > 0"
        needs = ("effective_cost", "quantity")
        for row in grouped(priced, [*keys, time], sums, timezone=timezone, needs=needs, where=where):
            cost, amount = cells.setdefault(tuple(row[k] for k in keys), (np.zeros(self.count), np.zeros(self.count)))
            place = int((row[time] - self.first) / self.step)
            if 0 <= place < self.count:
                cost[place], amount[place] = float(row["cost"]), float(row["amount"])
        out: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        for key, (cost, amount) in cells.items():
            usual = self._usual(cost[None, :], amount[None, :])[0]
            known = ~np.isnan(usual)
            had = out.setdefault(key[0], (np.zeros(self.count), np.zeros(self.count)))
            had[0][known] += cost[known]
            had[1][known] += (amount * usual)[known]
        return out

    def groups(self) -> list[tuple[dict[str, Any], np.ndarray]]:
        """Everything, and each watched value of each column with the rows it has."""
        out: list[tuple[dict[str, Any], np.ndarray]] = [({}, np.arange(len(self.keys)))]
        told: set[tuple[int, ...]] = {tuple(range(len(self.keys)))}
        for i, column in enumerate(self.columns):
            values: dict[Any, list[int]] = {}
            for row, key in enumerate(self.keys):
                if key[i] is not None:
                    values.setdefault(key[i], []).append(row)
            for value in sorted(values, key=str):
                rows = tuple(values[value])
                if (
                    rows not in told or column == "model"
                ):  # a product of one team is that team; prices are a model's own
                    told.add(rows)
                    out.append(({column: value}, np.array(rows)))
        return out

    def findings(self, sensitivity: float, least: float) -> list[Finding]:
        """Unusual stretches of all groups, each with what it costs beyond what was to be expected."""
        return [f for name, rows in self.groups() for f in self._of_group(name, rows, sensitivity, least)]

    def _of_group(self, name: dict[str, Any], rows: np.ndarray, sensitivity: float, least: float) -> Iterable[Finding]:
        sums = {n: v[rows].sum(axis=0) for n, v in self.sums.items()}
        for measure, m in WATCHED.items():
            if (measure == "price") != (
                set(name) == {"model"}
            ):  # work moves between models: their price alone is watched
                continue
            top, usual = self._series(measure, m, name, rows, sums)
            if top is None or usual is None:
                continue
            values = np.divide(top, usual, out=np.full(self.count, np.nan), where=usual > 0)
            small = {"cost": 0.0, "error_share": _LEAST_FAILED}.get(measure, 0.0)
            share = SHARE if m.bottom is None else 0.0
            for run in unusual(values, self.grain, sensitivity=sensitivity, floor=m.floor, least=small, share=share):
                found = self._finding(name, rows, measure, run, values, sums)
                span = slice(run.start, run.end + 1)
                beyond = top[span] - run.expected * np.nan_to_num(usual[span])
                beyond[np.isnan(values[span])] = 0.0
                found.excess = float(beyond.sum()) * self._unit(measure, m, sums, run)
                if measure == "requests":
                    found.excess = _backed(found.excess, sum(found.parts.values()))
                day = self._day(sums["cost"], run.start)
                if measure == "error_share" or abs(found.excess) >= max(least, SHARE * day):
                    yield found

    def _series(
        self, measure: str, m: Measure, name: Mapping[str, Any], rows: np.ndarray, sums: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """A measure's amounts, and what they are compared with: 1, calls, or the amounts that usual ratios would give."""
        if measure == "price":
            return self.prices.get(name["model"], (None, None))
        if m.bottom is None:
            return sums[m.top], np.ones(self.count)
        if not sums[m.top].any() or not sums[m.bottom].any():
            return None, None
        if measure == "error_share":
            return sums[m.top], sums[m.bottom]
        usual, bottom, top = self.usual[measure][rows], self.sums[m.bottom][rows], self.sums[m.top][rows]
        known = ~np.isnan(usual)
        enough = (bottom * known).sum(axis=0) >= _KNOWN * sums[m.bottom]
        expected = np.where(known, bottom * np.nan_to_num(usual), 0.0).sum(axis=0)
        return np.where(known, top, 0.0).sum(axis=0), np.where(enough, expected, np.nan)

    def _day(self, cost: np.ndarray, start: int) -> float:
        """A group's usual cost of a day, before a place."""
        past = cost[max(0, start - self.grain.season * 2) : start]
        return float(past.mean()) * self.grain.day if past.size else 0.0

    def _unit(self, measure: str, m: Measure, sums: Mapping[str, np.ndarray], run: Run) -> float:
        """What one unit of a measure costs in a stretch; where it has none, before it."""
        if measure in ("cost", "price"):
            return 1.0

        def price(cost: np.ndarray, amount: np.ndarray) -> float:
            for span in (slice(run.start, run.end + 1), slice(max(0, run.start - self.window), run.end + 1)):
                if amount[span].sum() > 0:
                    return float(cost[span].sum() / amount[span].sum())
            return 0.0

        if measure == "cache_share":  # a token that isn't read from a cache is a fresh one
            fresh = price(sums["input_cost"] - sums["cached_cost"], sums["input"] - sums["cached"])
            return price(sums["cached_cost"], sums["cached"]) - fresh
        return price(sums[m.cost], sums[m.top])

    def _finding(
        self, name: dict[str, Any], rows: np.ndarray, measure: str, run: Run, values: np.ndarray,
        sums: Mapping[str, np.ndarray],
    ) -> Finding:  # fmt: skip
        span = slice(run.start, run.end + 1)
        actual, expected = np.nansum(values[span]), float(np.nansum(run.expected))
        found = Finding(name, measure, run.start, run.end, run.up, times=float(actual / expected) if expected else None)
        found.actual = sum(
            (self.exact.get((int(r), i), _ZERO) for r in rows for i in range(run.start, run.end + 1)), _ZERO
        )
        past = self.sums["cost"][rows][:, max(0, run.start - 2 * self.grain.season) : run.start]
        usual = np.median(past, axis=1) * (run.end - run.start + 1) if past.shape[1] else np.zeros(len(rows))
        off = self.sums["cost"][rows][:, span].sum(axis=1) - usual
        found.parts = dict(zip(map(int, rows), off.tolist(), strict=True))
        return found


def _backed(excess: float, moved: float) -> float:
    """Money of more or fewer calls: at most what the cost itself moved that way, as counts alone cost nothing.

    >>> _backed(-50.0, -20.0), _backed(-50.0, 3.0), _backed(40.0, 90.0)
    (-20.0, 0.0, 40.0)
    """
    if excess * moved <= 0:
        return 0.0
    return math.copysign(min(abs(excess), abs(moved)), excess)


def _cells(priced: pd.DataFrame, columns: Sequence[str], time: str, timezone: str) -> pa.Table:
    """Sums of everything watched, by the watched columns and day or hour: the one pass over the rows.

    Of each column the dearest values stay apart; the others are rolled up, so that cells stay few.
    """

    def total(names: Iterable[str], what: str = "quantity") -> str:
        listed = ", ".join(f"'{n}'" for n in names)
        return f"coalesce(sum({what}) FILTER (WHERE meter IN ({listed})), 0)"

    kinds = meters().values()
    tokens = [m.name for m in kinds if m.is_token]
    inputs = [m.name for m in kinds if m.is_token and m.direction == "input"]
    outputs = [m.name for m in kinds if m.is_token and m.direction == "output"]
    cached = [m.name for m in kinds if m.is_token and m.cache_action == "read"]
    told = "outcome" in priced.columns and priced["outcome"].notna().any()
    failed = "coalesce(sum(quantity) FILTER (WHERE meter = 'requests' AND outcome {}), 0)"
    sums = {
        "cost": "coalesce(sum(effective_cost), 0)", "requests": total(["requests"]), "tokens": total(tokens), "input": total(inputs),
        "output": total(outputs), "cached": total(cached), "token_cost": total(tokens, "effective_cost"),
        "output_cost": total(outputs, "effective_cost"), "input_cost": total(inputs, "effective_cost"),
        "cached_cost": total(cached, "effective_cost"),
        "errors": failed.format("IN ('error', 'retry')") if told else "0", "outcomes": failed.format("IS NOT NULL") if told else "0",
        "error_cost": "coalesce(sum(effective_cost) FILTER (WHERE outcome IN ('error', 'retry')), 0)" if told else "0",
    }  # fmt: skip
    needs = ("effective_cost", "quantity", "meter", *(["outcome"] if told else []))
    table = grouped_table(priced, [*columns, time], sums, timezone=timezone, needs=needs)
    for column in columns:
        own = table[column].combine_chunks()
        if column == "prompt_id":  # a new version of a prompt is the same work
            own = pa.array([family_of(v) for v in own.to_pylist()], pa.string())
        money = (
            pa.table({"name": own, "cost": table["cost"].cast(pa.float64())})
            .group_by("name")
            .aggregate([("cost", "sum")])
        )
        order = sorted(money.to_pylist(), key=lambda r: (-r["cost_sum"], str(r["name"])))
        kept = [r["name"] for r in order if r["name"] is not None][:_MOST_SERIES]
        own = pc.if_else(pc.is_in(own, pa.array(kept, own.type)), own, pa.scalar(None, own.type))
        table = table.set_column(table.column_names.index(column), column, own)
    names = [*columns, time]
    found = table.group_by(names, use_threads=False).aggregate([(n, "sum") for n in sums])
    return found.rename_columns([*names, *sums])
