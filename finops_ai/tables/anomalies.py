"""Days whose cost is out of the ordinary, with how much, since when, and what most likely did it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.periods import Window
from finops_ai.tables.bridge import EFFECTS
from finops_ai.tables.explain import explain
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.unusual import unusual
from finops_ai.tables.workloads import check_priced

#: days before a stretch that it is compared with
BEFORE = 14


def anomalies(
    priced: pd.DataFrame,
    by: Sequence[str] | None = None,
    *,
    sensitivity: float = 1.5,
    least: float = 20.0,
    most: int = 25,
    timezone: str | None = None,
) -> Table:
    """Find days that cost much more or less than their own recent past.

    A day is judged by the same weekday of the last weeks and by the level of the last week (see
    `finops_ai.tables.unusual`); a week of past is enough. Days found are left out of the past of later days; neighbouring
    ones form one anomaly, and a change that lasts 14 days is then the new level. `fa.incidents` brings the series together.

    Args:
        priced: priced or allocated rows.
        by: what to watch, one series per group; by default the first dimension, else the model.
        sensitivity: usual misses (four days of five miss by less) that a day must be off by.
        least: smallest excess of a day, in currency.
        most: how many anomalies to show and explain, largest first.
        timezone: whose days; by default those the rows were made for.

    Returns:
        One row per anomaly, largest excess first: group, `since`, `until` (last day), `days`, `actual`, `expected`,
        `excess`, `times` (actual over expected), `cause` (the largest effects of the bridge from the 14 days before).

    Raises:
        FrameError: rows that aren't priced, or a column in `by` that they don't have.
        DataError: several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
        >>> fa.anomalies(cost, by=["team"])[["team", "since", "until"]].head(1)
        Anomalies
        team     since       until
        support  2026-10-25  2026-10-31
        ...
    """
    check_priced("fa.anomalies", priced)
    timezone = zone_of(priced, timezone=timezone)
    by = list(by) if by is not None else (dimensions_of(priced)[:1] or ["model"])
    found = grouped(priced, [*by, "day"], {"cost": "sum(effective_cost)"}, timezone=timezone, needs=("effective_cost",))
    rows = []
    first, series, exact = by_day(found, by, "cost")
    for key, values in series.items():
        for run in unusual(values, sensitivity=sensitivity, least=least):
            actual = sum((exact[key].get(i, Decimal(0)) for i in range(run.start, run.end + 1)), Decimal(0))
            normal = Decimal(str(round(float(run.expected.sum()), 6)))
            rows.append(dict(zip(by, key, strict=True)) | {
                "since": first + dt.timedelta(days=run.start), "until": first + dt.timedelta(days=run.end), "days": run.end - run.start + 1,
                "actual": actual, "expected": normal, "excess": actual - normal, "times": float(actual / normal) if normal else None,
            })  # fmt: skip
    rows.sort(key=lambda r: -abs(r["excess"]))
    for row in rows[:most]:
        row["cause"] = _cause(priced, by, row, timezone)
    table = _table(rows[:most], by, priced)
    if len(rows) > most:
        table.facts.notes.append(f"{len(rows) - most} smaller anomalies are not shown.")
    return table


def by_day(
    found: Sequence[dict[str, Any]], by: Sequence[str], measure: str
) -> tuple[dt.date, dict[tuple[Any, ...], np.ndarray], dict[tuple[Any, ...], dict[int, Decimal]]]:
    """Series without gaps from grouped rows: the first day, values for judging, exact amounts for telling."""
    series: dict[tuple[Any, ...], np.ndarray] = {}
    exact: dict[tuple[Any, ...], dict[int, Decimal]] = {}
    if not found:
        return dt.date(1970, 1, 1), series, exact
    days = [g["day"] for g in found]
    first = min(days)
    count = (max(days) - first).days + 1
    for g in found:
        key, i = tuple(g[k] for k in by), (g["day"] - first).days
        series.setdefault(key, np.zeros(count))[i] = float(g[measure] or 0)
        exact.setdefault(key, {})[i] = g[measure] or Decimal(0)
    return first, series, exact


def before_and_then(
    rows: pd.DataFrame, since: dt.date, until: dt.date, timezone: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the days before a stretch, and those of the stretch."""
    span = Window.of(since, until + dt.timedelta(days=1), timezone)
    past = Window.of(since - dt.timedelta(days=BEFORE), since, timezone)
    start = rows["charge_period_start"]
    return tuple(rows[((start >= w.start) & (start < w.end)).to_numpy()] for w in (past, span))  # type: ignore[return-value]


def of_group(priced: pd.DataFrame, group: dict[str, Any]) -> pd.DataFrame:
    """The rows of a group, where its columns are the frame's own."""
    mine = np.ones(len(priced), dtype=bool)
    for name, value in group.items():
        if name in priced.columns:
            own = priced[name]
            mine &= (own.isna() if value is None else own == value).to_numpy(bool, na_value=False)
    return priced[mine]


def _cause(priced: pd.DataFrame, by: Sequence[str], row: dict[str, Any], timezone: str) -> str:
    """The largest effects from the days before (scaled to as many days) to the anomalous ones, in words."""
    then, now = before_and_then(of_group(priced, {k: row[k] for k in by}), row["since"], row["until"], timezone)
    if then.empty or now.empty:
        return "new spend" if then.empty else "spend stopped"
    told = explain(then, now)
    bridge = told.iloc[0]
    effects = {e: Decimal(bridge[e]) for e in EFFECTS}
    effects["volume"] += Decimal(bridge["before"]) * (1 - Decimal(row["days"]) / BEFORE)
    wanted = 1 if row["excess"] > 0 else -1
    top = sorted(
        (e for e, v in effects.items() if v * wanted > abs(row["excess"]) / 10), key=lambda e: -effects[e] * wanted
    )
    return ", ".join(told.effect_in_words(e, effects[e]) for e in top[:3]) or "many small changes"


def _table(rows: list[dict[str, Any]], by: Sequence[str], priced: pd.DataFrame) -> Table:
    kinds = {
        "since": pa.date32(), "until": pa.date32(), "days": pa.int64(), "actual": COST_TYPE, "expected": COST_TYPE, "excess": COST_TYPE,
        "times": pa.float64(), "cause": pa.string(),
    }  # fmt: skip
    arrays: dict[str, Any] = {k: pa.array([None if r[k] is None else str(r[k]) for r in rows], pa.string()) for k in by}
    arrays |= {name: pa.array([r.get(name) for r in rows], kind) for name, kind in kinds.items()}
    facts = Facts("Anomalies", currency_of(priced), money=["actual", "expected", "excess"])
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)
