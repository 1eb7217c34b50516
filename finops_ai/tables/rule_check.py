"""Tests of the mapping rules themselves, and the way back from a charge to the rows behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine import allocate
from finops_ai.engine.conditions import All, Test, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect, offsets_of
from finops_ai.engine.fields import PUBLISHED, TAG
from finops_ai.engine.plan import Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rules
from finops_ai.engine.selecting import matching
from finops_ai.errors import DataError, FrameError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import left_out_of, zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import published
from finops_ai.tables import unmet
from finops_ai.tables.grouping import UNALLOCATED, currency_of, grouped
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: what a finding can be, most serious first
FINDINGS = {
    "unallocated": "cost that no rule maps",
    "not divided": "shared cost that nobody could receive, so that it stays where the rules put it",
    "suggestion": "worth mapping next, largest cost first",
    "never matches": "no row meets the condition of the rule, shared cost or contract",
    "shadowed": "rows meet the condition, but earlier rules have already set everything it sets",
    "overlap": "rows meet two rules that set different values; the earlier one wins",
}
#: what `why` tells of a source row
_SOURCE = (
    "rule", "share", "charge_period_start", "provider", "billing_account_id", "sub_account_id", "api_key_id", "user_id",
    "prompt_id", "resource_id", "request_id", "model", "meter", "service_tier", "quantity", "unit", "effective_cost", "source",
)  # fmt: skip
#: how many suggestions that concern the same rows
_ALIKE = 3
#: columns worth mapping by, the first two before tags
_CLUES = ("api_key_id", "sub_account_id", "resource_id", "user_id", "prompt_id", "model")


def check_rules(
    priced: pd.DataFrame,
    rules: Rules | Mapping[str, Any] | str | Path,
    *,
    suggestions: int = 10,
    telemetry: pd.DataFrame | None = None,
    timezone: str | None = None,
    allocated: pd.DataFrame | None = None,
    book: PriceBook | None = None,
) -> Table:
    """Test rules against real rows.

    Args:
        priced: what `fa.price` returns.
        rules: the mapping.
        suggestions: how many keys and tags to suggest per dimension.
        telemetry: for shared costs that it splits, so that only what stays unallocated counts.
        timezone: reporting zone, as for `fa.allocate`.
        allocated: what `fa.allocate` makes of these rows, such as a month's cube, where it is at hand.
        book: its contracts are looked at, too: whether any row falls under them.

    Returns:
        One row per finding: `finding` (see `FINDINGS`), `rule`, `other` (the rule or field it concerns), `value`, `rows`,
        `cost`, `text`.
    """
    whole = Rules.load(rules)
    rules = whole.as_written()
    found: list[dict[str, Any]] = []
    n = len(rules.rules)
    matched, decided, costs = [0] * n, [0] * n, [Decimal(0)] * n
    overlaps: dict[tuple[int, int], tuple[int, Decimal]] = {}
    thieves: dict[int, dict[int, int]] = {}
    timezone = zone_of(priced, timezone=timezone)
    for bits, texts, rows, cost in _match_sets(priced, rules, timezone):
        taken: dict[str, int] = {}
        beaten: set[tuple[int, int]] = set()
        for i in (i for i in range(n) if bits[i] == "1"):
            values = rules.rules[i].set
            matched[i] += rows
            costs[i] += cost
            decided[i] += rows if any(d not in taken for d in values) else 0
            for d in values:
                first = taken.setdefault(d, i)
                if first != i:
                    thieves.setdefault(i, {})[first] = thieves.get(i, {}).get(first, 0) + rows
                    if values[d].filled(texts) != rules.rules[first].set[d].filled(texts):
                        beaten.add((first, i))
        for pair in beaten:
            known = overlaps.get(pair, (0, Decimal(0)))
            overlaps[pair] = (known[0] + rows, known[1] + cost)
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
                    cost=costs[i],
                    text=f"All its rows are set by earlier rules, most by {by!r}.",
                )
            )
    for (first, i), (rows, cost) in sorted(overlaps.items(), key=lambda x: -x[1][1]):
        if decided[i]:
            names = rules.rules[i].name, rules.rules[first].name
            found.append(_finding("overlap", *names, rows=rows, cost=cost, text=f"{names[1]!r} comes first and wins."))
    mapped = allocate(priced, whole, telemetry=telemetry, timezone=timezone) if allocated is None else allocated
    found += _shared(mapped, rules) + _unallocated(mapped, rules, suggestions)
    for name, text in unmet.contracts(priced, book) if book is not None else []:
        found.append(_finding("never matches", name, "contract", text=f"No row falls under this contract: {text}."))
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
    currency = currency_of(priced)
    facts = Facts("Check of the mapping rules", currency, money=["cost"])
    facts.cents = {"cost": [_cents(f, currency) for f in found]}  # findings overlap: each amount stands for itself
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
    cents: Decimal | None = None,
) -> dict[str, Any]:
    return {
        "finding": finding,
        "rule": rule or None,
        "other": other or None,
        "value": value or None,
        "rows": rows,
        "cost": cost,
        "cents": cents,
        "text": text,
    }


def _cents(finding: Mapping[str, Any], currency: str) -> Decimal | None:
    """A finding's published cost: that of its rows, where their cents are decided."""
    cost, cents = finding["cost"], finding["cents"]
    return published(cost, currency or "USD") if cents is None and cost is not None else cents


def _match_sets(
    priced: pd.DataFrame, rules: Rules, timezone: str
) -> Iterator[tuple[str, dict[str, str], int, Decimal]]:
    """Which rules' conditions rows meet, as 0 and 1 per rule, what those rules inherit, with number of rows and cost."""
    fields = [*rules.used_fields(), "charge_period_start", "effective_cost"]
    inherited = {one.text: one for rule in rules.rules for value in rule.set.values() for one in value.inserts}
    with connect() as con:
        scan = Scan(con, priced, fields)
        offsets = offsets_of(priced["charge_period_start"], timezone)
        plan = Plan().scan(fields, read=scan.column, offsets=offsets).map(rules)
        bits = []
        for rule in rules.rules:
            present = "".join(
                f" AND {text} <> ''"
                for text in sorted({one.sql(DUCKDB, plan.column) for v in rule.set.values() for one in v.inserts})
            )
            test = to_sql(rule.when, DUCKDB, plan.column) + plan.valid(rule, plan.last)
            bits.append(f"CASE WHEN {test}{present} THEN '1' ELSE '0' END")
        text = f"concat({', '.join(bits)})" if bits else "''"
        texts = "".join(
            f"CAST({one.sql(DUCKDB, plan.column)} AS VARCHAR) AS text_{i}, " for i, one in enumerate(inherited.values())
        )
        plan.sql = (
            f"WITH {', '.join(plan.steps)} SELECT {text} AS bits, {texts}sum(effective_cost) AS cost, count(*) AS rows "
            f"FROM {plan.last} GROUP BY ALL"
        )
        table = run(con, plan).to_pylist()
    for row in table:
        found = {f: row[f"text_{i}"] for i, f in enumerate(inherited)}
        yield row["bits"], found, row["rows"], row["cost"] or Decimal(0)


def _shared(mapped: pd.DataFrame, rules: Rules) -> list[dict[str, Any]]:
    """Shared costs that took no row, and the rows they should have taken but nobody could receive."""
    out = []
    for entry in rules.shared:
        end = f" + {entry.name} + "
        divided = mapped["rule"].astype(object).map(lambda rule, end=end: end in f"{rule} + ").to_numpy(bool)
        left = mapped[matching(mapped, entry.when) & ~divided]
        if len(left):
            cost, cents = _costs(left)
            text = f"Nobody has a weight in its {entry.per}, so shared cost {entry.name!r} divides nothing there."
            out.append(
                _finding("not divided", entry.name, entry.dimension, rows=len(left), cost=cost, text=text, cents=cents)
            )
        elif not divided.any():
            out.append(_finding("never matches", entry.name, text="No row meets the condition of this shared cost."))
    return out


def _unallocated(mapped: pd.DataFrame, rules: Rules, suggestions: int) -> list[dict[str, Any]]:
    out = []
    seen = np.zeros(len(mapped), bool)
    for dimension in rules.dimensions:
        if rules.defaults[dimension] != UNALLOCATED:
            continue
        unmapped = (mapped[dimension] == UNALLOCATED).to_numpy()
        bare = mapped[unmapped]
        if not len(bare):
            continue
        cost, cents = _costs(bare)
        out.append(
            _finding(
                "unallocated",
                other=dimension,
                value=UNALLOCATED,
                rows=len(bare),
                cost=cost,
                cents=cents,
                text=f"No rule sets {dimension} for these rows.",
            )
        )
        out += _suggestions(mapped[unmapped & ~seen], dimension, rules, suggestions)
        seen |= unmapped
    return out


def _costs(rows: pd.DataFrame) -> tuple[Decimal, Decimal | None]:
    """What rows cost, exactly and as published; the latter None where their cents aren't decided."""
    exact, cents = (
        sum((c for c in rows[name].dropna()), Decimal(0)) if name in rows.columns else None
        for name in ("effective_cost", PUBLISHED)
    )
    return exact or Decimal(0), cents


def _suggestions(bare: pd.DataFrame, dimension: str, rules: Rules, count: int) -> list[dict[str, Any]]:
    """Keys, tags and values of other dimensions that unmapped rows have, by cost; of clues to the same rows the best three."""
    keys = sorted({k for t in bare["tags"].dropna() for k, _ in t}) if "tags" in bare.columns else []
    found: dict[tuple[str, str], list[Any]] = {}
    tags = [f"tags.{k}" for k in sorted(keys, key=lambda k: dimension not in k)]
    needs = [c for c in ("effective_cost", PUBLISHED) if c in bare.columns]
    measures = {"cost": "sum(effective_cost)", "rows": "count(*)"}
    measures |= {"cents": f"sum({PUBLISHED})"} if PUBLISHED in bare.columns else {}
    for clue in (*rules.dimensions, *_CLUES[:2], *tags, *_CLUES[2:]):
        if (
            clue == dimension
            or (not clue.startswith("tags.") and clue not in bare.columns)
            or clue in left_out_of(bare)
        ):
            continue
        for g in grouped(bare, [clue], measures, needs=needs):
            if g[clue] and g[clue] != rules.defaults.get(clue):
                found[clue, g[clue]] = [g["cost"] or Decimal(0), g["rows"], g.get("cents")]
    same: dict[tuple[Any, ...], int] = {}
    top = []
    for clue_value, (cost, rows, cents) in sorted(found.items(), key=lambda x: -x[1][0]):
        same[cost, rows] = same.get((cost, rows), 0) + 1
        if same[cost, rows] <= _ALIKE:
            top.append((clue_value, (cost, rows, cents)))
    return [
        _finding(
            "suggestion",
            other=clue,
            value=value,
            rows=rows,
            cost=cost,
            cents=cents,
            text=f'when = {{ {_key(clue)} = {json.dumps(value, ensure_ascii=False)} }}, set = {{ {dimension} = "..." }}',
        )
        for (clue, value), (cost, rows, cents) in top[:count]
    ]


def _key(field: str) -> str:
    return json.dumps(field) if "." in field else field


def why(allocated: pd.DataFrame, chosen: Mapping[str, str], rules: Rules | None = None, *, rows: bool = False) -> Table:
    """Trace a charge back: which rules brought it, from which accounts, keys and models, and from which source rows.

    Args:
        allocated: what `fa.allocate` returns.
        chosen: dimension, column or `tags.<key>` -> value, such as {"team": "search"}.
        rules: to state the condition of each rule and shared cost.
        rows: the source rows themselves, dearest first, instead of their sums per rule, account, key and model. Of a row
            that was divided, quantity and cost are the part, `share` says which part of the source row that is.

    Raises:
        FrameError: a column the rows don't have.
        DataError: no row has these values.
    """
    for name in chosen:
        if name not in allocated.columns and not name.startswith(TAG):
            raise FrameError(f"The rows have no column {name!r}. {hint(name, [str(c) for c in allocated.columns])}")
    mine = allocated[matching(allocated, All(tuple(Test(k, "equals", str(v)) for k, v in chosen.items())))]
    what = ", ".join(f"{k} = {v}" for k, v in chosen.items())
    if mine.empty:
        raise DataError(f"No row has {what} in this period.")
    facts = Facts(
        f"Why {what}", currency_of(mine), conserves="cost adds up to the charge's cost, exactly", money=["cost"]
    )
    conditions = {r.name: r.text for r in rules.rules} | {s.name: s.text for s in rules.shared} if rules else {}
    used = sorted({part for rule in mine["rule"].dropna().unique() for part in str(rule).split(" + ")})
    facts.notes = [f"Rule {name!r}: when {conditions[name]}." for name in used if name in conditions]
    facts.notes += ["Rows of 'default' met no rule."] if "default" in used else []
    if rows:
        shown = mine[[c for c in _SOURCE if c in mine.columns]].rename(columns={"effective_cost": "cost"})
        return Table.of(shown.sort_values("cost", ascending=False, kind="stable", ignore_index=True), facts, allocated)
    keys = ["rule", "provider", "billing_account_id", "sub_account_id", "api_key_id", "resource_id", "model"]
    measures = {"cost": "sum(effective_cost)", "rows": "count(*)", "share": "avg(CAST(share AS DOUBLE))"}
    found = grouped(mine, keys, measures, needs=("effective_cost", "share"))
    found.sort(key=lambda g: -(g["cost"] or Decimal(0)))
    arrays: dict[str, Any] = {k: pa.array([g[k] for g in found], pa.string()) for k in keys}
    arrays |= {
        "cost": pa.array([g["cost"] for g in found], COST_TYPE),
        "rows": pa.array([g["rows"] for g in found], pa.int64()),
    }
    arrays["share"] = pa.array([g["share"] for g in found], pa.float64())
    return Table.of(to_pandas(pa.table(arrays)), facts, allocated)
