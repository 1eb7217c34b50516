"""Efficiency incentives that move money between receivers and never make any.

Each receiver has a score in currency: `rate x saving` for every rewarded kind, minus `rate x waste` of idle capacity,
held within half the cap times its full price: what the same work would have cost without any saving. Its adjustment is

    adjustment_i = -score_i + (sum of scores) x full_price_i / (sum of full prices)

so adjustments add up to 0 by construction: the second term is everybody's part of funding the first.

Why efficiency never raises a charge, whatever the tariff: a saving leaves the full price as it was, so neither the limit
of the score nor the part of the funding moves; it raises the receiver's own score, and its funding by no more than that.
Cache and batch are each measured against the full price by themselves (cached tokens as plain input of the standard tier,
batch as standard work without a cache), so that one habit never eats the other's reward.

Why splitting doesn't pay: savings and waste are sums over rows of quantity times a price difference taken from the price
book (the same row repriced), so splitting a key or a request, which moves no token, changes nothing. A shorter prompt
counts only as far as it is shorter both per call (splitting calls doesn't help) and per output token (padding answers
doesn't help).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from finops_ai.engine.pricing import Book, reprice
from finops_ai.meters import meters
from finops_ai.tables.grouping import grouped, meter_list
from finops_ai.tables.policy import Incentives

_TOKENS, _IN, _OUT = (
    meter_list(is_token=True),
    meter_list(is_token=True, direction="input"),
    meter_list(is_token=True, direction="output"),
)
_COST = {"cost": "sum(effective_cost)"}
#: cached meter -> plain input of the same modality
_PLAIN = {
    m.name: "input" if m.modality in ("", "text") else f"input_{m.modality}"
    for m in meters().values()
    if m.cache_action in ("read", "write")
}
#: a prompt counts as shorter from a thousandth on
_NOTICEABLE = Fraction(1, 1000)
WORDS = {
    "cache": "tokens read from a cache instead of sent again saved {saving}",
    "batch": "work sent through batch saved {saving} against the standard tier",
    "model": "doing the same prompts' work on a cheaper model saved {saving}",
    "prompt": "shorter prompts than the templates' own baseline saved {saving}",
    "idle": "provisioned capacity beyond the traffic it served cost {saving}",
}


@dataclass
class Score:
    """One receiver's measured savings and waste in currency, and what they earn."""

    full_price: Fraction = Fraction(0)
    measured: dict[str, Fraction] = field(default_factory=dict)
    score: Fraction = Fraction(0)
    limit: Fraction = Fraction(0)
    capped: bool = False
    funding: Fraction = Fraction(0)

    @property
    def adjustment(self) -> Fraction:
        """What is added to the charge (negative = reward)."""
        return self.funding - self.score


def adjust(
    full_prices: Mapping[str, Fraction], measured: Mapping[str, Mapping[str, Fraction]], rules: Incentives
) -> dict[str, Score]:
    """Adjustments per receiver; they add up to exactly 0.

    Args:
        full_prices: receiver -> what its work would have cost without any saving; at 0 or below it takes no part.
        measured: kind ("cache", "batch", "model", "prompt", "idle") -> receiver -> saving or waste, 0 or more.
        rules: rates and cap.

    >>> scores = adjust({"a": Fraction(60), "b": Fraction(40)}, {"cache": {"b": Fraction(10)}},
    ...                 Incentives({"cache": Decimal("0.2")}, Decimal("0.2")))
    >>> float(scores["a"].adjustment), float(scores["b"].adjustment)
    (1.2, -1.2)
    """
    scores = {name: Score(full_price=max(price, Fraction(0))) for name, price in full_prices.items()}
    for kind, rate in rules.rates.items():
        for name, value in measured.get(kind, {}).items():
            if name in scores and value > 0 and scores[name].full_price:
                scores[name].measured[kind] = value
                scores[name].score += Fraction(rate) * value * (-1 if kind == "idle" else 1)
    for one in scores.values():
        one.limit = Fraction(rules.cap) / 2 * one.full_price
        bounded = max(min(one.score, one.limit), -one.limit)
        one.capped, one.score = bounded != one.score, bounded
    whole = sum((one.full_price for one in scores.values()), Fraction(0))
    pool = sum((one.score for one in scores.values()), Fraction(0))
    for one in scores.values():
        one.funding = pool * one.full_price / whole if whole else Fraction(0)
    return scores


def measure(
    rows: pd.DataFrame, dimension: str, rules: Incentives, book: Book, baseline: pd.DataFrame | None = None
) -> tuple[dict[str, Fraction], dict[str, dict[str, Fraction]]]:
    """Full price per receiver, and savings and waste per kind and receiver.

    Args:
        rows: the month's allocated rows.
        dimension: whose values are charged.
        rules: kinds without a rate are not measured.
        book: for repricing rows as they would have been.
        baseline: allocated rows of earlier months, for the kinds "model" and "prompt".

    Returns:
        `{receiver: what its work would have cost uncached, in the standard tier, and as in the baseline}` and
        `{kind: {receiver: saving or waste}}`, all in the rows' currency.
    """
    wanted = {kind for kind, rate in rules.rates.items() if rate > 0}
    cached, batched = rows["meter"].isin(list(_PLAIN)).to_numpy(), (rows["service_tier"] == "batch").to_numpy()
    out: dict[str, dict[str, Fraction]] = {}
    if "cache" in wanted:
        standard = reprice(_standard(rows[cached]), book)
        out["cache"] = _repriced(standard, dimension, _uncached(standard), book)
    if "batch" in wanted:
        uncached = reprice(_uncached(rows[batched]), book)
        out["batch"] = _repriced(uncached, dimension, _standard(uncached), book)
    if "idle" in wanted:
        out["idle"] = _idle(rows, dimension, book)
    if baseline is not None and len(baseline):
        if "model" in wanted:
            out["model"] = _cheaper_model(rows, dimension, baseline, book)
        if "prompt" in wanted:
            out["prompt"] = _shorter_prompts(rows, dimension, baseline)
    thrifty, bare = rows[cached | batched], _unsettled(rows, book)
    full = [
        {g[dimension]: Fraction(g["cost"] or 0) for g in grouped(bare, [dimension], _COST, needs=("effective_cost",))},
        _repriced(thrifty, dimension, _standard(_uncached(thrifty)), book),
        *(out.get(kind, {}) for kind in ("model", "prompt")),
    ]
    return {name: sum((part.get(name, Fraction(0)) for part in full), Fraction(0)) for name in full[0]}, out


def _unsettled(rows: pd.DataFrame, book: Book) -> pd.DataFrame:
    """The rows at their rates, as `reprice` gives them: what a part of a month can be compared with.

    Committed capacity keeps its effective cost: what was paid for it has no other rate.
    """
    if not getattr(book, "has_terms", False):
        return rows
    bare = reprice(rows, book)
    return bare.assign(effective_cost=bare["effective_cost"].where(~_provisioned(rows), rows["effective_cost"]))


def _provisioned(rows: pd.DataFrame) -> np.ndarray:
    return ((rows["service_tier"] == "provisioned") | (rows["meter"] == "provisioned_hours")).to_numpy(
        bool, na_value=False
    )


def _uncached(rows: pd.DataFrame) -> pd.DataFrame:
    """Cache reads and writes as plain input of the same modality."""
    meter = rows["meter"]
    return rows.assign(meter=meter.map(_PLAIN).fillna(meter).astype(meter.dtype))


def _standard(rows: pd.DataFrame) -> pd.DataFrame:
    """Batch work as work of the standard tier; other tiers as they are."""
    tier = rows["service_tier"]
    return rows.assign(service_tier=tier.where((tier != "batch").to_numpy(), "standard").astype(tier.dtype))


def _repriced(
    rows: pd.DataFrame, dimension: str, instead: pd.DataFrame, book: Book, per: Sequence[str] = ()
) -> dict[str, Fraction]:
    """Per receiver: what the rows would have cost otherwise, minus what they cost; groups that lost count as 0."""
    if instead.empty:
        return {}
    rows, other, per = _unsettled(rows.loc[instead.index], book), reprice(instead, book), [dimension, *per]
    known = other["effective_cost"].notna().to_numpy() & rows["effective_cost"].notna().to_numpy()
    was = grouped(rows[known], per, _COST, needs=("effective_cost",))
    would = grouped(other[known], per, _COST, needs=("effective_cost",))
    paid = {tuple(g[k] for k in per): Fraction(g["cost"] or 0) for g in was}
    out: dict[str, Fraction] = {}
    for g in would:
        saving = Fraction(g["cost"] or 0) - paid.get(tuple(g[k] for k in per), Fraction(0))
        out[g[dimension]] = out.get(g[dimension], Fraction(0)) + max(saving, Fraction(0))
    return out


def _idle(rows: pd.DataFrame, dimension: str, book: Book) -> dict[str, Fraction]:
    """Cost of provisioned hours beyond what the traffic they served would have cost as standard calls."""
    provisioned = rows[_provisioned(rows)]
    if provisioned.empty:
        return {}
    # a contract's capacity is settled: its calls carry their part of the fee, and the hours what nobody used
    paid = grouped(provisioned, [dimension], _COST, needs=("effective_cost",))
    calls = provisioned[(provisioned["meter"] != "provisioned_hours").to_numpy()]
    served = reprice(calls.assign(service_tier="standard"), book) if len(calls) else calls
    worth = {g[dimension]: g["cost"] for g in grouped(served, [dimension], _COST, needs=("effective_cost",))}
    return {  # work that has no price as standard calls is of unknown worth: then the waste is unknown, too
        g[dimension]: max(Fraction(g["cost"] or 0) - Fraction(worth.get(g[dimension], 0)), Fraction(0))
        for g in paid
        if worth.get(g[dimension], 0) is not None
    }


def _cheaper_model(rows: pd.DataFrame, dimension: str, baseline: pd.DataFrame, book: Book) -> dict[str, Fraction]:
    """Prompts repriced on the model that did most of their work in the baseline."""
    found = grouped(
        baseline,
        [dimension, "prompt_id", "provider", "model"],
        {"tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS})"},
        needs=("quantity", "meter"),
        where="prompt_id IS NOT NULL",
    )
    main: dict[tuple, tuple] = {}
    for g in sorted(found, key=lambda g: (g["tokens"] or 0, str(g["model"]))):
        main[g[dimension], g["prompt_id"]] = (g["provider"], g["model"])
    mine = list(zip(rows[dimension], rows["prompt_id"], strict=True))
    before = [main.get(key) for key in mine]
    changed = [b is not None and b[1] != m for b, m in zip(before, rows["model"], strict=True)]
    moved = rows[changed]
    if moved.empty:
        return {}
    chosen = [b for b, c in zip(before, changed, strict=True) if c and b]
    providers = pd.Series([p for p, _ in chosen], index=moved.index).astype(rows["provider"].dtype)
    models = pd.Series([m for _, m in chosen], index=moved.index).astype(rows["model"].dtype)
    instead = moved.assign(provider=providers, model=models)
    return _repriced(rows, dimension, instead, book, per=["prompt_id"])


def _shorter_prompts(rows: pd.DataFrame, dimension: str, baseline: pd.DataFrame) -> dict[str, Fraction]:
    """Input cost saved per template: shorter both per call and per output token than its own baseline."""
    measures = {
        "inputs": f"sum(quantity) FILTER (WHERE meter IN {_IN})",
        "outputs": f"sum(quantity) FILTER (WHERE meter IN {_OUT})",
        "calls": "sum(quantity) FILTER (WHERE meter = 'requests')",
        "cost": f"sum(effective_cost) FILTER (WHERE meter IN {_IN})",
    }
    needs, keys = ("quantity", "meter", "effective_cost"), [dimension, "prompt_id"]
    then = {
        (g[dimension], _template(g["prompt_id"])): g
        for g in _by_template(grouped(baseline, keys, measures, needs=needs, where="prompt_id IS NOT NULL"), dimension)
    }
    out: dict[str, Fraction] = {}
    for g in _by_template(grouped(rows, keys, measures, needs=needs, where="prompt_id IS NOT NULL"), dimension):
        b = then.get((g[dimension], _template(g["prompt_id"])))
        if not b or not all(x[k] for x in (b, g) for k in ("inputs", "outputs", "calls")) or not g["cost"]:
            continue
        per_call = Fraction(b["inputs"]) / Fraction(b["calls"]) * Fraction(g["calls"])
        per_output = Fraction(b["inputs"]) / Fraction(b["outputs"]) * Fraction(g["outputs"])
        shorter = min(per_call, per_output) / Fraction(g["inputs"]) - 1
        if shorter > _NOTICEABLE:
            out[g[dimension]] = out.get(g[dimension], Fraction(0)) + Fraction(g["cost"]) * shorter
    return out


def _template(prompt_id: str) -> str:
    """A prompt's name without its version."""
    return prompt_id.partition("@")[0]


def _by_template(groups: list[dict], dimension: str) -> list[dict]:
    """Versions of one template added up."""
    out: dict[tuple, dict] = {}
    for g in groups:
        kept = out.setdefault(
            (g[dimension], _template(g["prompt_id"])), {dimension: g[dimension], "prompt_id": _template(g["prompt_id"])}
        )
        for name in ("inputs", "outputs", "calls", "cost"):
            kept[name] = kept.get(name, Decimal(0)) + (g[name] or Decimal(0))
    return list(out.values())
