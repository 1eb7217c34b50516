"""Incidents: one event over all the series that show it, with its state, its money and who or what drives it.

Watched per dimension, key, prompt, model and user, and over everything: cost, requests, tokens per request, output per
request, the share read from a cache, the share of failed calls, and the price of a model's tokens. Findings that overlap in
time and share most of their rows are one incident, told by the narrowest group that carries it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.meters import meters
from finops_ai.tables.anomalies import before_and_then, of_group
from finops_ai.tables.explain import explain
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.unusual import DAILY, HOURLY, unusual
from finops_ai.tables.workloads import check_priced

#: measure -> (what it is made of: top over bottom, share it must be off by, what a rise and a fall are called)
WATCHED: dict[str, tuple[str, str | None, float, tuple[str, str]]] = {
    "cost": ("cost", None, 0.35, ("cost rose", "cost fell")),
    "requests": ("requests", None, 0.5, ("more calls", "fewer calls")),
    "tokens_per_request": ("tokens", "requests", 0.4, ("more tokens per call", "fewer tokens per call")),
    "output_per_request": ("output", "requests", 0.5, ("longer answers", "shorter answers")),
    "cache_share": ("cached", "input", 0.4, ("more read from a cache", "less read from a cache")),
    "error_share": ("errors", "outcomes", 1.0, ("more failed calls", "fewer failed calls")),
    "price": ("cost", "tokens", 0.4, ("dearer tokens", "cheaper tokens")),
}  # fmt: skip
STATES = ("new", "ongoing", "resolved", "acknowledged")
#: series of one column that are watched, the dearest; groups beyond them show in wider ones
_MOST_SERIES = 60
_ZERO = Decimal(0)


@dataclass
class Finding:
    """One series' unusual stretch."""

    group: dict[str, Any]
    measure: str
    start: int
    end: int
    up: bool
    actual: Decimal = _ZERO
    expected: float = 0.0
    times: float | None = None
    #: rows of the finest watched grain it stands on -> their excess
    parts: dict[int, float] = field(default_factory=dict)

    @property
    def excess(self) -> float:
        return float(self.actual) - self.expected


def incidents(
    priced: pd.DataFrame,
    by: Sequence[str] | None = None,
    *,
    grain: str = "day",
    sensitivity: float = 4.0,
    least: float = 5.0,
    most: int = 25,
    acknowledged: Iterable[str] = (),
    as_of: dt.date | None = None,
    timezone: str | None = None,
) -> Table:
    """Find events: what began when, whether it still goes on, what it costs beyond expectation, and what drives it.

    Args:
        priced: priced or allocated rows; a week of past is enough.
        by: columns to watch one by one; by default the dimensions, key, prompt, model and user that the rows have.
        grain: day, or hour where the source has it.
        sensitivity: usual misses that a value must be off by.
        least: money over or under expectation below which an incident isn't told; errors are told whatever they cost.
        most: how many to show and explain, largest first.
        acknowledged: ids of incidents that somebody knows of; with new findings an id stays as long as its group,
            measure and start do.
        as_of: the day it is judged on; by default the last day with data.
        timezone: whose days; by default those the rows were made for.

    Returns:
        One row per incident, largest first: `incident` (id), `state` (new: began on the last day; ongoing; resolved;
        acknowledged), `start`, `end` (last day or hour of it), `column` and `group` (the narrowest that carries it), `what`
        (measure), `times` (actual over expected of that measure), `actual`, `expected` and `excess` (cost of the group over
        the stretch), `findings` (series that show it), `driver` (a sentence of the bridge from the 14 days before).

    Raises:
        FrameError: rows that aren't priced, or a column they don't have.
        DataError: several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
        >>> fa.incidents(cost)[["state", "start", "end", "what"]].head(1)
        Incidents
        state    start       end         what
        ongoing  2026-10-25  2026-10-31  cost
        ...
    """
    check_priced("fa.incidents", priced)
    timezone = zone_of(priced, timezone=timezone)
    usual = [*dimensions_of(priced), "api_key_id", "prompt_id", "model", "user_id"]
    columns = (
        list(by)
        if by is not None
        else [c for c in dict.fromkeys(usual) if c in priced.columns and priced[c].notna().any()]
    )
    cells = _cells(priced, columns, grain, timezone)
    if not cells:
        return _table([], priced)
    first = min(c["at"] for c in cells)
    step = dt.timedelta(hours=1) if grain == "hour" else dt.timedelta(days=1)
    count = int((max(c["at"] for c in cells) - first) / step) + 1
    base = _Base(cells, columns, first, step, count)
    findings = [
        f
        for group in base.groups()
        for f in base.findings(group, HOURLY if grain == "hour" else DAILY, sensitivity, least)
    ]
    known, rows = set(acknowledged), []
    last = (
        count - 1
        if as_of is None
        else int(
            (as_of - (first.date() if isinstance(first, dt.datetime) else first))
            / dt.timedelta(days=1)
            * (24 if grain == "hour" else 1)
        )
    )
    for event in merged(findings):
        told = teller(event)
        start, end = told.start, max(f.end for f in event if f.group == told.group)
        name = hashlib.sha256(
            repr((sorted(told.group.items(), key=str), told.measure, str(first + start * step))).encode()
        ).hexdigest()[:10]
        state = (
            "acknowledged"
            if name in known
            else "new"
            if start >= last
            else "ongoing"
            if end >= last - 1
            else "resolved"
        )
        rows.append(
            {
                "incident": name,
                "state": state,
                "start": first + start * step,
                "end": first + end * step,
                "finding": told,
                "findings": len(event),
            }
        )
    rows.sort(key=lambda r: -abs(r["finding"].excess))
    for row in rows[:most]:
        row["driver"] = _driver(priced, row, timezone)
    table = _table(rows[:most], priced)
    if len(rows) > most:
        table.facts.notes.append(f"{len(rows) - most} smaller incidents are not shown.")
    return table


def _cells(priced: pd.DataFrame, columns: Sequence[str], grain: str, timezone: str) -> list[dict[str, Any]]:
    """Sums of everything watched, by the watched columns and day or hour: the one pass over the rows."""

    def total(names: Iterable[str], what: str = "quantity") -> str:
        listed = ", ".join(f"'{n}'" for n in names)
        return f"coalesce(sum({what}) FILTER (WHERE meter IN ({listed})), 0)"

    kinds = meters().values()
    told = "outcome" in priced.columns and priced["outcome"].notna().any()
    failed = "coalesce(sum(quantity) FILTER (WHERE meter = 'requests' AND outcome {}), 0)"
    sums = {
        "cost": "coalesce(sum(effective_cost), 0)", "requests": total(["requests"]), "tokens": total(m.name for m in kinds if m.is_token),
        "input": total(m.name for m in kinds if m.is_token and m.direction == "input"),
        "output": total(m.name for m in kinds if m.is_token and m.direction == "output"),
        "cached": total(m.name for m in kinds if m.is_token and m.cache_action == "read"),
        "errors": failed.format("IN ('error', 'retry')") if told else "0", "outcomes": failed.format("IS NOT NULL") if told else "0",
    }  # fmt: skip
    needs = ("effective_cost", "quantity", "meter", *(["outcome"] if told else []))
    time = "hour" if grain == "hour" else "day"
    return [row | {"at": row[time]} for row in grouped(priced, [*columns, time], sums, timezone=timezone, needs=needs)]


class _Base:
    """The finest watched rows as arrays, and the series of any group of them."""

    def __init__(
        self, cells: Sequence[Mapping[str, Any]], columns: Sequence[str], first: Any, step: dt.timedelta, count: int
    ) -> None:
        self.columns, self.count = list(columns), count
        rows: dict[tuple, int] = {}
        for c in cells:
            rows.setdefault(tuple(c[k] for k in columns), len(rows))
        self.keys = list(rows)
        self.sums = {
            name: np.zeros((len(rows), count))
            for name in ("cost", "requests", "tokens", "input", "output", "cached", "errors", "outcomes")
        }
        self.exact: dict[tuple[int, int], Decimal] = {}
        for c in cells:
            row, at = rows[tuple(c[k] for k in columns)], int((c["at"] - first) / step)
            for name, values in self.sums.items():
                values[row, at] += float(c[name])
            self.exact[row, at] = self.exact.get((row, at), _ZERO) + c["cost"]

    def groups(self) -> list[tuple[dict[str, Any], np.ndarray]]:
        """Everything, and each value of each column with the rows it has; the dearest of a column."""
        cost = self.sums["cost"].sum(axis=1)
        out: list[tuple[dict[str, Any], np.ndarray]] = [({}, np.arange(len(self.keys)))]
        told: set[tuple[int, ...]] = {tuple(range(len(self.keys)))}
        for i, column in enumerate(self.columns):
            values: dict[Any, list[int]] = {}
            for row, key in enumerate(self.keys):
                if key[i] is not None:
                    values.setdefault(key[i], []).append(row)
            dearest = sorted(values, key=lambda v: (-cost[values[v]].sum(), str(v)))[:_MOST_SERIES]
            for value in dearest:
                rows = tuple(values[value])
                if rows not in told:  # a product of one team is that team
                    told.add(rows)
                    out.append(({column: value}, np.array(rows)))
        return out

    def findings(
        self, group: tuple[dict[str, Any], np.ndarray], grain: Any, sensitivity: float, least: float
    ) -> Iterable[Finding]:
        """A group's unusual stretches, each with what it costs beyond what was to be expected."""
        name, rows = group
        series = {n: v[rows].sum(axis=0) for n, v in self.sums.items()}
        for measure, (top, bottom, floor, _) in WATCHED.items():
            if measure == "price" and set(name) != {"model"}:
                continue
            values = series[top]
            if bottom is not None:
                if not series[bottom].any() or not values.any():
                    continue
                values = np.divide(values, series[bottom], out=np.full(self.count, np.nan), where=series[bottom] > 0)
            small = {"cost": least, "error_share": 0.05}.get(measure, 0.0)
            for run in unusual(values, grain, sensitivity=sensitivity, floor=floor, least=small):
                span = slice(run.start, run.end + 1)
                actual, expected = np.nanmean(values[span]), float(run.expected.mean())
                found = Finding(
                    name,
                    measure,
                    run.start,
                    run.end,
                    bool(actual > expected),
                    times=float(actual / expected) if expected else None,
                )
                found.actual = sum(
                    (self.exact.get((int(r), i), _ZERO) for r in rows for i in range(run.start, run.end + 1)), _ZERO
                )
                past = self.sums["cost"][rows][
                    :, max(0, run.start - 14 if grain is DAILY else run.start - 72) : run.start
                ]
                usual = np.median(past, axis=1) * (run.end - run.start + 1) if past.shape[1] else np.zeros(len(rows))
                found.expected = (
                    float(run.expected.sum())
                    if measure == "cost"
                    else float(np.median(past.sum(axis=0)) * (run.end - run.start + 1))
                    if past.shape[1]
                    else 0.0
                )
                found.parts = dict(
                    zip(map(int, rows), (self.sums["cost"][rows][:, span].sum(axis=1) - usual).tolist(), strict=True)
                )
                if measure == "error_share" or abs(found.excess) >= least:
                    yield found


def merged(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that are one event: they overlap in time and most of the smaller one's excess is the other's, too."""
    order = sorted(findings, key=lambda f: (-abs(f.excess), f.start, str(f.group), f.measure))
    events: list[list[Finding]] = []
    for finding in order:
        home = next((e for e in events if any(_one(finding, f) for f in e)), None)
        if home is None:
            events.append([finding])
        else:
            home.append(finding)
    return events


def _one(a: Finding, b: Finding) -> bool:
    if a.start > b.end + 1 or b.start > a.end + 1:
        return False
    if a.group == b.group:
        return True
    shared = sum(abs(a.parts[r]) for r in a.parts.keys() & b.parts.keys())
    sums = (sum(map(abs, a.parts.values())), sum(map(abs, b.parts.values())))
    return shared >= min(sums) / 2 if min(sums) > 0 else bool(a.parts.keys() & b.parts.keys())


def teller(event: Sequence[Finding]) -> Finding:
    """Who tells an event: of those that carry four fifths of its money, the one that stands on fewest rows, by cost if it can."""
    most = max(abs(f.excess) for f in event)
    near = [f for f in event if abs(f.excess) >= 0.8 * most]
    return min(near, key=lambda f: (len(f.parts), f.measure != "cost", f.start, str(f.group)))


def _driver(priced: pd.DataFrame, row: dict[str, Any], timezone: str) -> str:
    finding = row["finding"]
    since, until = (v.date() if isinstance(v, dt.datetime) else v for v in (row["start"], row["end"]))
    then, now = before_and_then(of_group(priced, finding.group), since, until, timezone)
    if then.empty or now.empty:
        return "New spend." if then.empty else "Spend stopped."
    days, past = (until - since).days + 1, max(1, min(14, then["charge_period_start"].dt.floor("D").nunique()))
    told = explain(_scaled(then, Decimal(days) / past), now, timezone=timezone).drivers(20)
    wanted = [(s, a) for s, a in zip(told["sentence"], told["amount"], strict=True) if (a > 0) == (finding.excess > 0)]
    return wanted[0][0] if wanted else f"{WATCHED[finding.measure][3][not finding.up].capitalize()}."


def _scaled(frame: pd.DataFrame, factor: Decimal) -> pd.DataFrame:
    """The days before brought to as many days as the stretch has."""
    out = frame.copy()
    for name in ("quantity", "effective_cost", "list_cost"):
        if name in out.columns:
            kind: pa.DataType = out[name].dtype.pyarrow_dtype  # type: ignore[union-attr]
            unit = Decimal(1).scaleb(-kind.scale)
            values = [None if v is None or v != v else (Decimal(v) * factor).quantize(unit) for v in out[name]]
            out[name] = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)), index=out.index)
    return out


def _table(rows: list[dict[str, Any]], priced: pd.DataFrame) -> Table:
    found = [r["finding"] for r in rows]
    column = [next(iter(f.group), None) for f in found]
    time = pa.timestamp("us") if rows and isinstance(rows[0]["start"], dt.datetime) else pa.date32()
    arrays = {
        "incident": pa.array([r["incident"] for r in rows], pa.string()), "state": pa.array([r["state"] for r in rows], pa.string()),
        "start": pa.array([r["start"] for r in rows], time), "end": pa.array([r["end"] for r in rows], time),
        "column": pa.array(column, pa.string()), "group": pa.array([None if c is None else str(f.group[c]) for c, f in zip(column, found, strict=True)], pa.string()),
        "what": pa.array([f.measure for f in found], pa.string()), "times": pa.array([f.times for f in found], pa.float64()),
        "actual": pa.array([f.actual for f in found], COST_TYPE),
        "expected": pa.array([Decimal(str(round(f.expected, 6))) for f in found], COST_TYPE),
        "excess": pa.array([f.actual - Decimal(str(round(f.expected, 6))) for f in found], COST_TYPE),
        "findings": pa.array([r["findings"] for r in rows], pa.int64()), "driver": pa.array([r.get("driver") for r in rows], pa.string()),
    }  # fmt: skip
    facts = Facts("Incidents", currency_of(priced), money=["actual", "expected", "excess"])
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)
