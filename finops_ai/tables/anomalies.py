"""Days whose cost is out of the ordinary, with how much, since when, and what most likely did it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.periods import Window
from finops_ai.tables.bridge import EFFECTS
from finops_ai.tables.explain import effect_in_words, explain
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped
from finops_ai.tables.result import Facts, Table

_HISTORY, _MINIMUM, _LASTING = 56, 28, 14
#: days between two flagged ones of the same anomaly: a weekend may lie between
_GAP = 3
#: weekday medians of few weeks fit their own past too well: residuals are this much larger out of sample
_FEW = 1.4
#: a day within this share of its expectation, times the sensitivity, is never an anomaly
_FLOOR = 0.1
#: 1.4826 x median absolute deviation estimates a normal distribution's standard deviation
_MAD = 1.4826


def anomalies(
    priced: pd.DataFrame,
    by: Sequence[str] | None = None,
    *,
    sensitivity: float = 4.0,
    least: float = 20.0,
    most: int = 25,
    timezone: str | None = None,
) -> Table:
    """Find days that cost much more or less than their own recent past.

    The expectation of a day is the median of the 56 days before it, scaled by its weekday's usual level; a day is out of
    the ordinary if it is off by `sensitivity` robust standard deviations (at least a tenth of the expectation each) and by
    at least `least` in currency. Days found are left out of the past of later days; neighbouring ones form one anomaly. A
    change that lasts 14 days is then taken as the new level.

    Args:
        priced: priced or allocated rows, at least 29 days.
        by: what to watch, one series per group; by default the first dimension, else the model.
        sensitivity: robust standard deviations.
        least: smallest excess of a day, in currency.
        most: how many anomalies to show and explain, largest first.
        timezone: whose days; by default those the rows were made for.

    Returns:
        One row per anomaly, largest excess first: group, `since`, `until` (last day), `days`, `actual`, `expected`,
        `excess`, `times` (actual over expected), `cause` (the largest steps of the bridge from the 14 days before).

    Raises:
        DataError: several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
        >>> fa.anomalies(cost, by=["team"])[["team", "since", "until", "excess"]].head(1)
        Anomalies
        team     since       until         excess
        support  2026-10-25  2026-10-31  1,411.35
        ...
    """
    if "effective_cost" not in priced.columns:
        raise FrameError("fa.anomalies takes priced rows; call fa.price first.")
    timezone = zone_of(priced, timezone=timezone)
    by = list(by) if by is not None else (dimensions_of(priced)[:1] or ["model"])
    found = grouped(priced, [*by, "day"], {"cost": "sum(effective_cost)"}, timezone=timezone, needs=("effective_cost",))
    if not found:
        return _table([], by, priced)
    days = [g["day"] for g in found]
    first, count = min(days), (max(days) - min(days)).days + 1
    series: dict[tuple, np.ndarray] = {}
    exact: dict[tuple, dict[int, Decimal]] = {}
    for g in found:
        key, i = tuple(g[k] for k in by), (g["day"] - first).days
        series.setdefault(key, np.zeros(count))[i] = float(g["cost"] or 0)
        exact.setdefault(key, {})[i] = g["cost"] or Decimal(0)
    rows = []
    for key, values in series.items():
        for start, end, expected in _runs(values, first.weekday(), sensitivity, least):
            actual = sum((exact[key].get(i, Decimal(0)) for i in range(start, end + 1)), Decimal(0))
            normal = Decimal(str(round(expected, 6)))
            rows.append(
                dict(zip(by, key, strict=True))
                | {
                    "since": first + dt.timedelta(days=start),
                    "until": first + dt.timedelta(days=end),
                    "days": end - start + 1,
                }
                | {
                    "actual": actual,
                    "expected": normal,
                    "excess": actual - normal,
                    "times": float(actual) / expected if expected > 0 else None,
                }
            )
    rows.sort(key=lambda r: -abs(r["excess"]))
    for row in rows[:most]:
        row["cause"] = _cause(priced, by, row, timezone)
    table = _table(rows[:most], by, priced)
    if len(rows) > most:
        table.facts.notes.append(f"{len(rows) - most} smaller anomalies are not shown.")
    return table


def _runs(values: np.ndarray, first_weekday: int, sensitivity: float, least: float) -> list[tuple[int, int, float]]:
    """Anomalous stretches of one series: first and last index, and the expected sum."""
    weekday = (np.arange(len(values)) + first_weekday) % 7
    clean = values.astype(float).copy()
    runs: list[list[tuple[int, float]]] = []
    for i in range(_MINIMUM, len(values)):
        since = max(0, i - _HISTORY)
        past, days = clean[since:i], weekday[since:i]
        level = float(np.median(past))
        factors = np.array([np.median(past[days == d]) / level if level > 0 else 1.0 for d in range(7)])
        expected = level * factors[weekday[i]]
        residual = past - level * factors[days]
        spread = max(_MAD * _FEW * float(np.median(np.abs(residual))), _FLOOR * expected)
        off = values[i] - expected
        if abs(off) <= max(sensitivity * spread, least):
            continue
        upward = off > 0
        if runs and i - runs[-1][-1][0] <= _GAP and upward == (values[runs[-1][-1][0]] > runs[-1][-1][1]):
            runs[-1].append((i, expected))
        else:
            runs.append([(i, expected)])
        clean[i] = expected
        start = runs[-1][0][0]
        if i - start >= _LASTING:  # a new level, not an exception: from here on it is the past
            clean[:start] *= float(np.median(values[start : i + 1])) / max(level, 1e-9)
            clean[start : i + 1] = values[start : i + 1]
    out = []
    for run in runs:
        start, end, known = run[0][0], run[-1][0], dict(run)
        out.append((start, end, sum(known.get(i, values[i]) for i in range(start, end + 1))))
    return out


def _cause(priced: pd.DataFrame, by: Sequence[str], row: dict[str, Any], timezone: str) -> str:
    """The largest steps from the days before (scaled to as many days) to the anomalous ones, in words."""
    span = Window.of(row["since"], row["until"] + dt.timedelta(days=1), timezone)
    past = Window.of(row["since"] - dt.timedelta(days=14), row["since"], timezone)
    mine = np.ones(len(priced), dtype=bool)
    for name in by:
        if name in priced.columns:
            mine &= (priced[name] == row[name]).to_numpy(bool, na_value=False)
    rows = priced[mine]
    start = rows["charge_period_start"]
    then = rows[((start >= past.start) & (start < past.end)).to_numpy()]
    now = rows[((start >= span.start) & (start < span.end)).to_numpy()]
    if then.empty or now.empty:
        return "new spend" if then.empty else "spend stopped"
    bridge = explain(then, now).iloc[0]
    scale = Decimal(row["days"]) / 14
    steps = {s: Decimal(bridge[s]) for s in EFFECTS}
    steps["volume"] += Decimal(bridge["before"]) * (1 - scale)
    wanted = 1 if row["excess"] > 0 else -1
    top = [s for s, v in sorted(steps.items(), key=lambda x: -x[1] * wanted) if v * wanted > abs(row["excess"]) / 10][
        :3
    ]
    return ", ".join(effect_in_words(s, steps[s]) if steps[s] else s for s in top) or "many small changes"


def _table(rows: list[dict[str, Any]], by: Sequence[str], priced: pd.DataFrame) -> Table:
    kinds = {
        "since": pa.date32(), "until": pa.date32(), "days": pa.int64(), "actual": COST_TYPE, "expected": COST_TYPE, "excess": COST_TYPE,
        "times": pa.float64(), "cause": pa.string(),
    }  # fmt: skip
    arrays: dict[str, Any] = {k: pa.array([None if r[k] is None else str(r[k]) for r in rows], pa.string()) for k in by}
    arrays |= {name: pa.array([r.get(name) for r in rows], kind) for name, kind in kinds.items()}
    facts = Facts("Anomalies", currency_of(priced), money=["actual", "expected", "excess"])
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)
