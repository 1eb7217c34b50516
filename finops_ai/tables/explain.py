"""Why the cost changed: a bridge from one period to another whose steps add up to the difference exactly.

Per group, the cost of its token meters is

    requests x (tokens per request, by direction) x (share of each model) x (share of each tier within the model)
             x (share of each meter within the tier: fresh, cached, ...) x (unit price)

and the bridge replaces one factor after the other, in that order, by its value in the later period. Each step is the
change of the product; the last one, price, ends at the later cost, so nothing is left over. The order matters: a factor's
step is valued with the factors before it already changed and those after it not yet. A model, tier or meter that only
one period has keeps the price of the period that has it, so new models show as mix, not as price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.types import COST_TYPE
from finops_ai.meters import meters
from finops_ai.money import published, round_to_total
from finops_ai.tables.grouping import currency_of, grouped
from finops_ai.tables.result import Facts, Table

#: the bridge's steps, in the order they are taken: what raises cost, and what lowers it
STEPS = {
    "volume": ("more calls", "fewer calls"),
    "input_length": ("longer prompts", "shorter prompts"),
    "output_length": ("longer answers", "shorter answers"),
    "model": ("a dearer mix of models", "a cheaper mix of models"),
    "tier": ("less batch and other cheaper tiers", "more batch and other cheaper tiers"),
    "cache": ("less read from a cache", "more read from a cache"),
    "price": ("higher unit prices", "lower unit prices"),
    "other": (
        "more of what isn't tokens, such as provisioned hours",
        "less of what isn't tokens, such as provisioned hours",
    ),
}
Cell = tuple[str, str, str, str]  # direction, model, tier, meter


def explain(before: pd.DataFrame, after: pd.DataFrame, by: Sequence[str] = ()) -> Table:
    """Bridge the cost of one period to another's.

    Args:
        before, after: priced or allocated rows of the two periods.
        by: groups to explain one by one; none explains the whole.

    Returns:
        One row per group, largest change first: `before`, `after`, `change` and one column per step in `STEPS`, which add
        up to the change exactly (the step "model" is called `model_mix` where `by` has the model). Rows without a known price are left out and counted in the notes.

    Raises:
        FrameError: rows that aren't priced, or a column in `by` that they don't have.
        DataError: several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
        >>> in_october = cost["charge_period_start"] >= "2026-10-01"
        >>> fa.explain(cost[~in_october], cost[in_october])[["before", "after", "change", "volume", "model", "cache"]]
        What changed the cost
           before      after    change    volume    model   cache
        26,478.40  28,393.34  1,914.94  1,305.81  -161.48  431.95
        ...
    """
    for frame in (before, after):
        if "effective_cost" not in frame.columns:
            raise FrameError("fa.explain takes priced rows; call fa.price first.")
    currency = currency_of(before) or currency_of(after)
    by = list(by)
    old, new = _cells(before, by), _cells(after, by)
    columns = {step: f"{step}_mix" if step in by else step for step in STEPS}
    rows = []
    for key in old.keys() | new.keys():
        a, b = old.get(key, _Side()), new.get(key, _Side())
        steps = _bridge(a, b)
        change = b.total - a.total
        row: dict[str, Any] = dict(zip(by, key, strict=True)) | {"before": a.total, "after": b.total, "change": change}
        rounded = round_to_total(list(steps.values()), 18)  # type: ignore[arg-type]
        rows.append(row | dict(zip(map(columns.__getitem__, steps), rounded, strict=True)))
    rows.sort(key=lambda r: (-abs(r["change"]), [str(r[k]) for k in by]))
    names = ["before", "after", "change", *columns.values()]
    arrays: dict[str, Any] = {k: pa.array([None if r[k] is None else str(r[k]) for r in rows], pa.string()) for k in by}
    arrays |= {k: pa.array([r[k] for r in rows], COST_TYPE) for k in names}
    facts = Facts(
        "What changed the cost", currency, conserves="steps add up to after minus before, exactly", money=names
    )
    unpriced = sum(int((f["price_status"] == "unpriced").sum()) for f in (before, after) if "price_status" in f.columns)
    if unpriced:
        facts.notes.append(f"{unpriced} rows have no known price and are not in the bridge.")
    facts.notes += in_words(rows, by, currency, columns)
    return Table.of(to_pandas(pa.table(arrays)), facts, before, after)


def step_in_words(name: str, value: Decimal) -> str:
    """What a step of the bridge means, by its sign.

    >>> step_in_words("volume", Decimal("-3")), step_in_words("cache", Decimal(2))
    ('fewer calls', 'less read from a cache')
    """
    return STEPS[name][value < 0]


def in_words(
    rows: Sequence[Mapping[str, Any]], by: Sequence[str], currency: str, columns: Mapping[str, str], top: int = 3
) -> list[str]:
    """The largest changes as sentences, each with its largest steps."""
    out = []
    for row in rows[:top]:
        if not row["change"]:
            continue
        who = " / ".join(str(row[k]) for k in by) or "The cost"
        steps = sorted(((row[c], s) for s, c in columns.items() if row[c]), key=lambda x: -abs(x[0]))[:3]
        parts = ", ".join(f"{value:+,.2f} by {step_in_words(name, value)}" for value, name in steps)
        verb = "rose" if row["change"] > 0 else "fell"
        shown = published(row["after"], currency) - published(row["before"], currency)  # as tables show it
        out.append(f"{who} {verb} by {abs(shown or row['change']):,.2f} {currency}: {parts}.")
    return out


class _Side:
    """One period of one group."""

    def __init__(self) -> None:
        self.requests = Fraction(0)
        self.tokens: dict[Cell, Fraction] = {}
        self.costs: dict[Cell, Fraction] = {}
        self.other = Fraction(0)
        self.total = Decimal(0)

    @property
    def calls(self) -> Fraction:
        """Requests, or tokens where the source doesn't count requests."""
        return self.requests or sum(self.tokens.values(), Fraction(0))

    def share(self, level: int) -> dict[tuple, Fraction]:
        """Tokens at a depth of the cell (1 = direction, 2 = + model, ...) over those one level up (calls at the top)."""
        sums, up = self.sums(level), self.sums(level - 1)
        top = self.calls
        return {
            k: v / (up[k[:-1]] if level > 1 else top) for k, v in sums.items() if (up[k[:-1]] if level > 1 else top)
        }

    def sums(self, level: int) -> dict[tuple, Fraction]:
        """Tokens added up to a depth of the cell."""
        out: dict[tuple, Fraction] = {}
        for cell, tokens in self.tokens.items():
            out[cell[:level]] = out.get(cell[:level], Fraction(0)) + tokens
        return out


def _cells(frame: pd.DataFrame, by: Sequence[str]) -> dict[tuple, _Side]:
    found = grouped(
        frame,
        [*by, *(c for c in ("model", "service_tier", "meter") if c not in by)],
        {"quantity": "sum(quantity)", "cost": "sum(effective_cost)"},
        needs=("quantity", "effective_cost"),
        where="effective_cost IS NOT NULL",
    )
    out: dict[tuple, _Side] = {}
    for g in found:
        side = out.setdefault(tuple(g[k] for k in by), _Side())
        meter, quantity, cost = meters()[g["meter"]], Fraction(g["quantity"] or 0), Fraction(g["cost"] or 0)
        side.total += g["cost"] or Decimal(0)
        if meter.is_token:
            cell = (meter.direction, g["model"], g["service_tier"], meter.name)
            side.tokens[cell] = side.tokens.get(cell, Fraction(0)) + quantity
            side.costs[cell] = side.costs.get(cell, Fraction(0)) + cost
        else:
            side.requests += quantity if meter.name == "requests" else 0
            side.other += cost
    return out


def _bridge(a: _Side, b: _Side) -> dict[str, Fraction]:
    """The steps from one side to the other; their sum is the change of the total."""
    steps = dict.fromkeys(STEPS, Fraction(0))
    steps["other"] = b.other - a.other
    start, end = sum(a.costs.values(), Fraction(0)), sum(b.costs.values(), Fraction(0))
    if not a.calls or not b.calls or not a.tokens or not b.tokens:
        steps["volume"] = end - start
        return steps
    price = {c: _unit(a, c) if a.tokens.get(c) else _unit(b, c) for c in a.tokens.keys() | b.tokens.keys()}
    shares = {level: (a.share(level), b.share(level)) for level in (1, 2, 3, 4)}

    def cost(later: int, only: Callable[[str], bool] = lambda direction: True, calls: Fraction = b.calls) -> Fraction:
        """Cost with the factors up to a level as they are later (level 1 only for some directions)."""
        total = Fraction(0)
        for cell, unit in price.items():
            tokens = calls
            for level in (1, 2, 3, 4):
                old, new = shares[level]
                use_new = level < later or (level == later and (level > 1 or only(cell[0])))
                key, parent = cell[:level], cell[: level - 1]
                source, fallback = (new, old) if use_new else (old, new)
                known = level == 1 or any(k[:-1] == parent for k in source)
                tokens *= (source if known else fallback).get(key, Fraction(0))
            total += tokens * unit
        return total

    path = [
        ("volume", cost(0)),
        ("input_length", cost(1, lambda d: d == "input")),
        ("output_length", cost(1)),
        ("model", cost(2)),
        ("tier", cost(3)),
        ("cache", cost(4)),
        ("price", end),
    ]
    last = start
    for name, value in path:
        steps[name] = value - last
        last = value
    return steps


def _unit(side: _Side, cell: Cell) -> Fraction:
    return side.costs[cell] / side.tokens[cell] if side.tokens.get(cell) else Fraction(0)
