"""What changing the mapping rules would change: who pays more or less, by the rule that brings it, before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import allocate
from finops_ai.engine.rules import Rules
from finops_ai.errors import CheckFailed, RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import written
from finops_ai.tables.grouping import currency_of, grouped
from finops_ai.tables.result import Facts, Table


def diff_rules(
    priced: pd.DataFrame,
    old: Rules | Mapping[str, Any] | str | Path,
    new: Rules | Mapping[str, Any] | str | Path,
    *,
    dimension: str | None = None,
    telemetry: pd.DataFrame | None = None,
    timezone: str | None = None,
) -> Table:
    """Map the same rows by two sets of rules and compare, per receiver and rule.

    Args:
        priced: what `fa.price` returns.
        old, new: the rules in force and those to come.
        dimension: whose values are compared; by default the first that both have.
        telemetry: for shared costs that it splits.
        timezone: the reporting zone.

    Returns:
        One row per value of the dimension and rule whose cost or number of rows changes, largest change first:
        `receiver`, `rule`, `before`, `after`, `change`, `rows_before`, `rows_after`. Changes add up to 0.

    Raises:
        RuleError: rules that can't be used, or without a common dimension.
        CheckFailed: a cost appeared or vanished.
    """
    one, two = Rules.load(old), Rules.load(new)
    common = [d for d in one.dimensions if d in two.dimensions]
    if dimension is None and not common:
        raise RuleError(f"The rules have no dimension in common: {list(one.dimensions)} and {list(two.dimensions)}.")
    dimension = dimension or common[0]
    if dimension not in common:
        raise RuleError(f"{dimension!r} is no dimension of both. {hint(dimension, common)}")
    timezone = zone_of(priced, timezone=timezone)
    found: dict[tuple[str, str], list[Any]] = {}
    for at, rules in enumerate((one, two)):
        rows = allocate(priced.copy(deep=False), rules, telemetry=telemetry, timezone=timezone)
        sums = {"cost": "sum(effective_cost)", "rows": "count(*)"}
        for g in grouped(rows, [dimension, "rule"], sums, needs=("effective_cost",)):
            kept = found.setdefault((g[dimension], g["rule"]), [Decimal(0), Decimal(0), 0, 0])
            kept[at], kept[2 + at] = g["cost"] or Decimal(0), g["rows"]
    if sum((v[0] for v in found.values()), Decimal(0)) != sum((v[1] for v in found.values()), Decimal(0)):
        raise CheckFailed("The two mappings don't come to the same total cost.")
    changed = {k: v for k, v in found.items() if v[0] != v[1] or v[2] != v[3]}
    order = sorted(changed, key=lambda k: (-abs(changed[k][1] - changed[k][0]), k))
    columns = {
        "receiver": pa.array([k[0] for k in order], pa.string()),
        "rule": pa.array([k[1] for k in order], pa.string()),
        "before": pa.array([changed[k][0] for k in order], COST_TYPE),
        "after": pa.array([changed[k][1] for k in order], COST_TYPE),
        "change": pa.array([changed[k][1] - changed[k][0] for k in order], COST_TYPE),
        "rows_before": pa.array([changed[k][2] for k in order], pa.int64()),
        "rows_after": pa.array([changed[k][3] for k in order], pa.int64()),
    }
    money = ["before", "after", "change"]
    facts = Facts("What the new rules would change", currency_of(priced), conserves="changes add up to 0", money=money)
    totals: dict[str, Decimal] = {}
    for (receiver, _), (before, after, *_rest) in changed.items():
        totals[receiver] = totals.get(receiver, Decimal(0)) + after - before
    facts.notes = [
        f"{receiver} would pay {written(abs(total), facts.currency)} {facts.currency} {'more' if total > 0 else 'less'}."
        for receiver, total in sorted(totals.items(), key=lambda x: -abs(x[1]))
        if total
    ] or ["Nobody would pay more or less."]
    return Table.of(to_pandas(pa.table(columns)), facts)
