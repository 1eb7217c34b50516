"""Tests of the mapping rules themselves, and the way back from a charge to the rows behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import allocate
from finops_ai.engine.conditions import to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect
from finops_ai.engine.plan import Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rules
from finops_ai.errors import DataError, FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.tables.grouping import UNALLOCATED, currency_of, grouped
from finops_ai.tables.result import Facts, Table

#: what a finding can be, most serious first
FINDINGS = {
    "unallocated": "cost that no rule maps",
    "suggestion": "worth mapping next, largest cost first",
    "never matches": "no row meets the rule's condition",
    "shadowed": "rows meet the condition, but earlier rules have already set everything it sets",
    "overlap": "rows meet two rules that set different values; the earlier one wins",
}
_CLUES = ("api_key_id", "sub_account_id", "resource_id", "user_id", "prompt_id", "model")


def check_rules(
    priced: pd.DataFrame,
    rules: Rules | Mapping[str, Any] | str | Path,
    *,
    suggestions: int = 10,
    telemetry: pd.DataFrame | None = None,
) -> Table:
    """Test rules against real rows.

    Args:
        priced: what `fa.price` returns.
        rules: the mapping.
        suggestions: how many keys and tags to suggest.
        telemetry: for shared costs that it splits, so that only what stays unallocated counts.

    Returns:
        One row per finding: `finding` (see `FINDINGS`), `rule`, `other` (the rule or field it concerns), `value`, `rows`,
        `cost`, `text`.
    """
    rules = Rules.load(rules)
    found: list[dict[str, Any]] = []
    cost_of, rows_of = _match_sets(priced, rules)
    n = len(rules.rules)
    matched, decided = [0] * n, [0] * n
    overlaps: dict[tuple[int, int], list[Any]] = {}
    thieves: dict[int, dict[int, int]] = {}
    for bits, rows in rows_of.items():
        hits = [i for i in range(n) if bits[i] == "1"]
        taken: dict[str, int] = {}
        for i in hits:
            matched[i] += rows
            fresh = [d for d in rules.rules[i].set if d not in taken]
            if fresh:
                decided[i] += rows
            for d in rules.rules[i].set:
                first = taken.setdefault(d, i)
                if first != i:
                    thieves.setdefault(i, {})[first] = thieves.get(i, {}).get(first, 0) + rows
                    if rules.rules[first].set[d] != rules.rules[i].set[d]:
                        kept = overlaps.setdefault((first, i), [0, Decimal(0), set()])
                        if bits not in kept[2]:
                            kept[0] += rows
                            kept[1] += cost_of[bits]
                            kept[2].add(bits)
    for i, rule in enumerate(rules.rules):
        if not matched[i]:
            found.append(
                _finding("never matches", rule.name, text="No row meets its condition; is a key misspelt or gone?")
            )
        elif not decided[i]:
            by = rules.rules[max(thieves[i], key=lambda k: thieves[i][k])].name
            found.append(
                _finding(
                    "shadowed",
                    rule.name,
                    by,
                    rows=matched[i],
                    text=f"All its rows are set by earlier rules, most by {by!r}.",
                )
            )
    for (first, i), (rows, cost, _) in sorted(overlaps.items(), key=lambda x: -x[1][1]):
        if decided[i]:
            names = rules.rules[i].name, rules.rules[first].name
            found.append(_finding("overlap", *names, rows=rows, cost=cost, text=f"{names[1]!r} comes first and wins."))
    found += _unallocated(allocate(priced, rules, telemetry=telemetry), rules, suggestions)
    order = list(FINDINGS)
    found.sort(key=lambda f: (order.index(f["finding"]), -(f["cost"] or Decimal(0))))
    kinds = {
        "finding": pa.string(),
        "rule": pa.string(),
        "other": pa.string(),
        "value": pa.string(),
        "rows": pa.int64(),
        "cost": COST_TYPE,
        "text": pa.string(),
    }
    table = to_pandas(pa.table({k: pa.array([f[k] for f in found], kind) for k, kind in kinds.items()}))
    facts = Facts("Check of the mapping rules", currency_of(priced), money=["cost"])
    facts.notes = [f"{sum(f['finding'] == name for f in found)} x {name}: {text}." for name, text in FINDINGS.items()]
    return Table.of(table, facts)


def _finding(
    finding: str,
    rule: str = "",
    other: str = "",
    value: str = "",
    rows: int | None = None,
    cost: Decimal | None = None,
    text: str = "",
) -> dict:
    return {
        "finding": finding,
        "rule": rule or None,
        "other": other or None,
        "value": value or None,
        "rows": rows,
        "cost": cost,
        "text": text,
    }


def _match_sets(priced: pd.DataFrame, rules: Rules) -> tuple[dict[str, Decimal], dict[str, int]]:
    """Which rules' conditions rows meet, as a string of 0 and 1 per rule, with cost and number of rows."""
    fields = [*rules.used_fields(), "charge_period_start", "effective_cost"]
    with connect() as con:
        scan = Scan(con, priced, fields)
        plan = Plan().scan(fields, read=scan.column).map(rules)
        bits = []
        for rule in rules.rules:
            present = "".join(
                f" AND {plan.column(f)} <> ''" for f in sorted({f for v in rule.set.values() for f in v.fields})
            )
            bits.append(f"CASE WHEN {to_sql(rule.when, DUCKDB, plan.column)}{present} THEN '1' ELSE '0' END")
        text = f"concat({', '.join(bits)})" if bits else "''"
        plan.sql = f"WITH {', '.join(plan.steps)} SELECT {text} AS bits, sum(effective_cost) AS cost, count(*) AS rows FROM {plan.last} GROUP BY 1"
        table = run(con, plan).to_pylist()
    return {r["bits"]: r["cost"] or Decimal(0) for r in table}, {r["bits"]: r["rows"] for r in table}


def _unallocated(mapped: pd.DataFrame, rules: Rules, suggestions: int) -> list[dict]:
    out = []
    for dimension in rules.dimensions:
        if rules.defaults[dimension] != UNALLOCATED:
            continue
        bare = mapped[(mapped[dimension] == UNALLOCATED).to_numpy()]
        cost = sum((c for c in bare["effective_cost"].dropna()), Decimal(0))
        if not len(bare):
            continue
        out.append(
            _finding(
                "unallocated",
                other=dimension,
                value=UNALLOCATED,
                rows=len(bare),
                cost=cost,
                text=f"No rule sets {dimension} for these rows.",
            )
        )
        if dimension == rules.dimensions[0]:
            out += _suggestions(bare, dimension, suggestions)
    return out


def _suggestions(bare: pd.DataFrame, dimension: str, count: int) -> list[dict]:
    """Keys and tags of unmapped rows by cost; a clue that only one value has says most."""
    keys = sorted({k for t in bare["tags"].dropna() for k, _ in t}) if "tags" in bare.columns else []
    found: dict[tuple[str, str], list[Any]] = {}
    for clue in (*(f"tags.{k}" for k in keys), *_CLUES):
        if not clue.startswith("tags.") and clue not in bare.columns:
            continue
        for g in grouped(bare, [clue], {"cost": "sum(effective_cost)", "rows": "count(*)"}, needs=("effective_cost",)):
            if g[clue]:
                found[clue, g[clue]] = [g["cost"] or Decimal(0), g["rows"]]
    top = sorted(found.items(), key=lambda x: -x[1][0])[:count]
    return [
        _finding(
            "suggestion",
            other=clue,
            value=value,
            rows=rows,
            cost=cost,
            text=f'when = {{ {_key(clue)} = {json.dumps(value, ensure_ascii=False)} }}, set = {{ {dimension} = "..." }}',
        )
        for (clue, value), (cost, rows) in top
    ]


def _key(field: str) -> str:
    return json.dumps(field) if "." in field else field


def why(allocated: pd.DataFrame, chosen: Mapping[str, str], rules: Rules | None = None) -> Table:
    """Trace a charge back: which rules brought it, from which accounts, keys and models, and how many source rows.

    Args:
        allocated: what `fa.allocate` returns.
        chosen: dimension or column -> value, such as {"team": "search"}.
        rules: to state each rule's condition.

    Raises:
        FrameError: a column the rows don't have.
        DataError: no row has these values.
    """
    mask = pd.Series(True, index=allocated.index)
    for name, value in chosen.items():
        if name not in allocated.columns:
            raise FrameError(f"The rows have no column {name!r}. {hint(name, [str(c) for c in allocated.columns])}")
        mask &= (allocated[name] == value).fillna(False).astype(bool)
    rows = allocated[mask.to_numpy()]
    what = ", ".join(f"{k} = {v}" for k, v in chosen.items())
    if rows.empty:
        raise DataError(f"No row has {what} in this period.")
    keys = ["rule", "provider", "billing_account_id", "sub_account_id", "api_key_id", "resource_id", "model"]
    measures = {"cost": "sum(effective_cost)", "rows": "count(*)", "share": "avg(CAST(share AS DOUBLE))"}
    found = grouped(rows, keys, measures, needs=("effective_cost", "share"))
    found.sort(key=lambda g: -(g["cost"] or Decimal(0)))
    conditions = {r.name: r.text for r in rules.rules} if rules else {}
    arrays: dict[str, Any] = {k: pa.array([g[k] for g in found], pa.string()) for k in keys}
    arrays |= {
        "cost": pa.array([g["cost"] for g in found], COST_TYPE),
        "rows": pa.array([g["rows"] for g in found], pa.int64()),
    }
    arrays["share"] = pa.array([g["share"] for g in found], pa.float64())
    facts = Facts(
        f"Why {what}", currency_of(rows), conserves="cost adds up to the charge's cost, exactly", money=["cost"]
    )
    used = sorted({part for g in found for part in str(g["rule"]).split(" + ")})
    facts.notes = [f"Rule {name!r}: when {conditions[name]}." for name in used if name in conditions]
    facts.notes += ["Rows of 'default' met no rule."] if "default" in used else []
    return Table.of(to_pandas(pa.table(arrays)), facts)
