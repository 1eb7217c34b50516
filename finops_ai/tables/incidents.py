"""Incidents: one event over all the series that show it, with its state, its money and who or what drives it.

Watched per dimension, key, prompt, model and user, and over everything: cost, requests, tokens per request, output per
request, the share read from a cache, the share of failed calls, and the price of a model's tokens. Findings that overlap in
time and share most of their rows are one incident, told by the narrowest group that carries it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.fields import PUBLISHED
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.tables.anomalies import before_and_then, of_group
from finops_ai.tables.explain import explain
from finops_ai.tables.grouping import currency_of, dimensions_of
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.watched import WATCHED, Finding, Watched
from finops_ai.tables.workloads import check_priced, family_of

STATES = ("new", "ongoing", "resolved", "acknowledged")


def incidents(
    priced: pd.DataFrame,
    by: Sequence[str] | None = None,
    *,
    grain: str = "day",
    sensitivity: float = 1.5,
    least: float = 20.0,
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
        sensitivity: usual misses (four days of five miss by less) that a value must be off by.
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
    hourly = grain == "hour"
    base = Watched(priced, columns, hourly=hourly, timezone=timezone)
    if not base.keys:
        return _table([], priced)
    first, step = base.first, base.step
    findings = base.findings(sensitivity, least)
    known, rows = set(acknowledged), []
    last = base.count - 1
    if as_of is not None:
        last = int((as_of - (first.date() if hourly else first)) / dt.timedelta(days=1)) * (24 if hourly else 1)
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


def _rows_of(priced: pd.DataFrame, group: dict[str, Any]) -> pd.DataFrame:
    """The rows of a watched group, all versions of its prompt."""
    if "prompt_id" not in group:
        return of_group(priced, group)
    out: pd.DataFrame = priced[
        (priced["prompt_id"].map(family_of, na_action="ignore") == group["prompt_id"]).to_numpy(bool, na_value=False)
    ]
    return out


def merged(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings that are one event: they overlap in time and most of the smaller one's excess is the other's, too."""
    order = sorted(findings, key=lambda f: (-abs(f.excess), f.start, str(f.group), f.measure))
    events: list[list[Finding]] = []
    for finding in order:
        home = next(
            (e for e in events if _one(finding, e[0]) or any(f.group == finding.group and _one(finding, f) for f in e)),
            None,
        )
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
    then, now = before_and_then(_rows_of(priced, finding.group), since, until, timezone)
    if then.empty or now.empty:
        return "New spend." if then.empty else "Spend stopped."
    days, past = (until - since).days + 1, max(1, min(14, then["charge_period_start"].dt.floor("D").nunique()))
    bridge = explain(_scaled(then, Decimal(days) / past), now, timezone=timezone)
    for top in (3, 20):  # the largest that goes the incident's way, mostly among the first
        told = bridge.drivers(top)
        for sentence, amount in zip(told["sentence"], told["amount"], strict=True):
            if (amount > 0) == (finding.excess > 0):
                return str(sentence)
    return f"{WATCHED[finding.measure].words[not finding.up].capitalize()}."


def _scaled(frame: pd.DataFrame, factor: Decimal) -> pd.DataFrame:
    """The days before brought to as many days as the stretch has; their cents were decided for what they were."""
    out = frame.drop(columns=PUBLISHED, errors="ignore").copy()
    for name in ("quantity", "effective_cost", "list_cost"):
        if name in out.columns:
            kind: pa.DataType = out[name].dtype.pyarrow_dtype  # type: ignore[union-attr]
            unit = Decimal(1).scaleb(-kind.scale)
            values = [None if v is None or v != v else (Decimal(v) * factor).quantize(unit) for v in out[name]]
            out[name] = pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)), index=out.index)
    return out


def _money(finding: Finding) -> Decimal:
    """A finding's excess; the expectation is a judgement, so no digits beyond a millionth."""
    return Decimal(str(round(finding.excess, 6)))


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
        "expected": pa.array([f.actual - _money(f) for f in found], COST_TYPE), "excess": pa.array(map(_money, found), COST_TYPE),
        "findings": pa.array([r["findings"] for r in rows], pa.int64()), "driver": pa.array([r.get("driver") for r in rows], pa.string()),
    }  # fmt: skip
    facts = Facts("Incidents", currency_of(priced), money=["actual", "expected", "excess"])
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)
