"""Efficiency incentives that move money between receivers, never make any, and can't be had for nothing.

Each receiver has a score in currency: `rate x saving` for every rewarded kind, minus `rate x waste` of idle capacity,
held within half the cap times what its tariff charges. Its adjustment is

    adjustment_i = -score_i + (sum of scores) x charge_i / (sum of charges)

so adjustments add up to 0 by construction: the second term is everybody's part of funding the first, in proportion to
what the tariff charges.

Only receivers who are charged what their work costs take part: a card, an average or a fee doesn't follow what is saved.

Why it can't be gamed: a reward for some tokens is at most `1 - cap`, divided among the kinds of reward in force, of what
those tokens cost. Tokens that are only sent to be rewarded therefore always cost more
than they earn, and what funding gives back of others' waste is at most half the cap. A call that is cached and batched has
one saving, cut into what the cache and what the tier did. Writing to a cache counts against reading from it. What is
compared with earlier months counts for as much as those months did in a month on average, at prices the comparison
can't move and as far as they were charged what they cost, so that padding a baseline costs at least what it brings.

Why good habits never raise a charge: with the same work done cheaper, cost falls by more than any reward can.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.fields import NATIVE
from finops_ai.engine.pricing import Book, reprice
from finops_ai.frames.types import COST_TYPE
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
#: kinds of reward that share the bound of a token between them: those of one group reward the same saving
GROUPS = (("cache", "batch"), ("model",), ("prompt",))
WORDS = {
    "cache": "tokens read from a cache instead of sent again saved {saving}",
    "batch": "work sent through batch saved {saving} against the standard tier",
    "model": "doing the same prompts' work on a cheaper model saved {saving}",
    "prompt": "shorter prompts than the templates' own baseline saved {saving}",
    "idle": "provisioned capacity beyond the traffic it served cost {saving}",
}
ZERO = Fraction(0)


@dataclass
class Score:
    """One receiver's measured savings and waste in currency, and what they earn."""

    charge: Fraction = ZERO
    measured: dict[str, Fraction] = field(default_factory=dict)
    earned: dict[str, Fraction] = field(default_factory=dict)
    score: Fraction = ZERO
    limit: Fraction = ZERO
    capped: bool = False
    funding: Fraction = ZERO

    @property
    def adjustment(self) -> Fraction:
        """What is added to the charge (negative = reward)."""
        return self.funding - self.score


class Month(NamedTuple):
    """A month of the baseline: its allocated rows, and how much of each receiver's cost its charge followed (all, if not named)."""

    rows: pd.DataFrame
    felt: Mapping[str, Fraction]


@dataclass
class Measured:
    """Savings and waste per kind and receiver: as measured, and the reward (rate times saving, within its bounds)."""

    saved: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    earned: dict[str, dict[str, Fraction]] = field(default_factory=dict)

    def add(self, kind: str, receiver: str, saved: Fraction, earned: Fraction) -> None:
        """Count a saving and what it earns."""
        for counted, value in ((self.saved, saved), (self.earned, earned)):
            mine = counted.setdefault(kind, {})
            mine[receiver] = mine.get(receiver, ZERO) + value


def bound(rules: Incentives) -> Fraction:
    """The largest share of a token's cost that one group of rewards may give back for it.

    >>> from decimal import Decimal
    >>> bound(Incentives({"cache": Decimal("0.1"), "prompt": Decimal("0.1")}, Decimal("0.1")))
    Fraction(9, 20)
    """
    groups = sum(any(rules.rates.get(kind) for kind in group) for group in GROUPS)
    return (1 - Fraction(rules.cap)) / max(groups, 1)


def adjust(
    charges: Mapping[str, Fraction],
    costs: Mapping[str, Fraction],
    found: Measured,
    rules: Incentives,
) -> dict[str, Score]:
    """Adjustments per receiver; they add up to exactly 0.

    Args:
        charges: receiver that takes part -> what its tariff charges before incentives; at 0 or below it takes no part.
        costs: receiver -> what its work really costs; a net credit takes no part either.
        found: savings and waste, and what they earn.
        rules: rates and cap.

    >>> from decimal import Decimal
    >>> found = Measured({"cache": {"b": Fraction(10)}}, {"cache": {"b": Fraction(2)}})
    >>> shares = {"a": Fraction(60), "b": Fraction(40)}
    >>> scores = adjust(shares, shares, found, Incentives({"cache": Decimal("0.2")}, Decimal("0.2")))
    >>> float(scores["a"].adjustment), float(scores["b"].adjustment)
    (1.2, -1.2)
    """
    scores = {
        name: Score(charge=amount) for name, amount in charges.items() if amount > 0 and costs.get(name, ZERO) > 0
    }
    for kind in rules.rates:
        for name, earned in found.earned.get(kind, {}).items():
            if name in scores and earned > 0:
                one = scores[name]
                one.measured[kind], one.earned[kind] = found.saved[kind][name], earned
                one.score += earned * (-1 if kind == "idle" else 1)
    for one in scores.values():
        one.limit = Fraction(rules.cap) / 2 * one.charge
        bounded = max(min(one.score, one.limit), -one.limit)
        one.capped, one.score = bounded != one.score, bounded
    whole = sum((charges[name] for name in scores), ZERO)
    pool = sum((one.score for one in scores.values()), ZERO)
    for name, one in scores.items():
        one.funding = pool * charges[name] / whole
    return scores


def measure(
    rows: pd.DataFrame,
    dimension: str,
    rules: Incentives,
    book: Book,
    baseline: Sequence[Month] = (),
) -> Measured:
    """Savings and waste per kind and receiver, all in the rows' currency.

    Args:
        rows: the month's allocated rows of those who take part.
        dimension: whose values are charged.
        rules: kinds without a rate are not measured.
        book: for repricing rows as they would have been.
        baseline: earlier months, for the kinds "model" and "prompt".
    """
    wanted = {kind for kind, rate in rules.rates.items() if rate > 0}
    out = Measured()
    if wanted & {"cache", "batch"}:
        _cache_and_batch(out, rows, dimension, rules, book)
    if "idle" in wanted:
        rate = Fraction(rules.rates["idle"])
        for name, waste in _idle(rows, dimension, book).items():
            out.add("idle", name, waste, rate * waste)
    if baseline:
        if "model" in wanted:
            _cheaper_model(out, rows, dimension, rules, baseline, book)
        if "prompt" in wanted:
            _shorter_prompts(out, rows, dimension, rules, baseline)
    return out


def _cache_and_batch(out: Measured, rows: pd.DataFrame, dimension: str, rules: Incentives, book: Book) -> None:
    """What caching saved in the tier it was done in, and what batch saved against the standard tier, uncached.

    The two add up to the whole saving of each token. Of one model in one tier, what writing to the cache cost more than
    plain input counts against what reading from it saved, at the same rate.
    """
    alpha, beta = (Fraction(rules.rates.get(kind, 0)) for kind in ("cache", "batch"))
    share = bound(rules)
    cells: dict[tuple[Any, ...], dict[str, Fraction]] = {}
    for g in _thrifty(rows, dimension, book):
        receiver, cost = g[dimension], Fraction(g["cost"])
        saved, batched = Fraction(g["plain"]) - cost, Fraction(g["standard"]) - Fraction(g["plain"])
        raw = alpha * max(saved, ZERO) + beta * max(batched, ZERO)
        part = min(Fraction(1), max(share * cost, ZERO) / raw) if raw else ZERO
        key = (receiver, g["provider"], g["model"], g["service_tier"])
        cell = cells.setdefault(key, dict.fromkeys(("saved", "earned", "reads", "batched", "batch_earned"), ZERO))
        cell["saved"] += saved
        cell["reads"] += max(saved, ZERO)
        cell["earned"] += part * alpha * max(saved, ZERO)
        cell["batched"] += max(batched, ZERO)
        cell["batch_earned"] += part * beta * max(batched, ZERO)
    for (receiver, *_), cell in cells.items():
        if alpha and cell["saved"] > 0:
            out.add("cache", receiver, cell["saved"], cell["earned"] * cell["saved"] / cell["reads"])
        if beta and cell["batched"]:
            out.add("batch", receiver, cell["batched"], cell["batch_earned"])


def _thrifty(rows: pd.DataFrame, dimension: str, book: Book) -> list[dict[str, Any]]:
    """Cached and batched work: its cost, cost uncached, and cost uncached in the standard tier."""
    chosen = rows["meter"].isin(list(_PLAIN)).to_numpy() | (rows["service_tier"] == "batch").to_numpy(
        bool, na_value=False
    )
    if not chosen.any():
        return []
    mine = _unsettled(rows[chosen], book)
    other, best = _again(_uncached(mine), book), _again(_standard(_uncached(mine)), book)
    plain, standard = other["effective_cost"], best["effective_cost"]
    known = (mine["effective_cost"].notna() & plain.notna() & standard.notna()).to_numpy()
    known = known & _alike(rows[chosen], other)
    mine = mine.assign(_plain=plain, _standard=standard)[known]
    sums = {"cost": "sum(effective_cost)", "plain": "sum(_plain)", "standard": "sum(_standard)"}
    keys = [dimension, "provider", "model", "service_tier", "meter"]
    return grouped(mine, keys, sums, needs=("effective_cost", "_plain", "_standard"))


def plain_shares(rows: pd.DataFrame, dimension: str, book: Book) -> dict[tuple[str, str], Fraction]:
    """What cached input costs relative to the same input uncached, per receiver and class, such as `cache_read`."""
    sums: dict[tuple[str, str], list[Fraction]] = {}
    for g in _thrifty(rows[rows["meter"].isin(list(_PLAIN)).to_numpy()], dimension, book):
        kept = sums.setdefault((g[dimension], meters()[g["meter"]].roll_up), [ZERO, ZERO])
        kept[0] += Fraction(g["cost"])
        kept[1] += Fraction(g["plain"])
    return {key: cost / plain for key, (cost, plain) in sums.items() if plain > 0}


def _unsettled(rows: pd.DataFrame, book: Book) -> pd.DataFrame:
    """The rows at their rates, as `reprice` gives them: what a part of a month can be compared with.

    Committed capacity keeps its effective cost: what was paid for it has no other rate.
    """
    if not getattr(book, "has_terms", False):
        return rows
    bare = _again(rows, book)
    return bare.assign(effective_cost=bare["effective_cost"].where(~_provisioned(rows), rows["effective_cost"]))


def _again(rows: pd.DataFrame, book: Book) -> pd.DataFrame:
    """Rows priced again (see `reprice`), in the currency they are in: what was converted is converted at its own rate."""
    out = reprice(rows, book)
    if "exchange_rate" not in rows.columns or not len(rows):
        return out
    cost, rate = (
        pa.array(frame, kind)
        for frame, kind in ((out["effective_cost"], COST_TYPE), (rows["exchange_rate"], NATIVE["exchange_rate"]))
    )
    product = pc.multiply(*(one.cast(pa.decimal256(one.type.precision, one.type.scale)) for one in (cost, rate)))
    turned = pc.round(product, COST_TYPE.scale, "towards_zero").cast(COST_TYPE)
    native = (out["pricing_currency"] == rows["native_currency"]).to_numpy(bool, na_value=False)
    in_group = pd.Series(pd.array(turned, dtype=pd.ArrowDtype(COST_TYPE)), index=out.index)
    return out.assign(
        effective_cost=out["effective_cost"].where(~native, in_group),
        pricing_currency=out["pricing_currency"].where(~native, rows["pricing_currency"]),
    )


def _alike(rows: pd.DataFrame, other: pd.DataFrame) -> np.ndarray:
    """Which rows are in the currency they were repriced in: others can't be compared, so they aren't measured."""
    one, two = rows["pricing_currency"], other["pricing_currency"]
    out: np.ndarray = (one.isna().to_numpy() | two.isna().to_numpy()) | (one.to_numpy(object) == two.to_numpy(object))
    return out


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


def _idle(rows: pd.DataFrame, dimension: str, book: Book) -> dict[str, Fraction]:
    """Cost of provisioned hours beyond what the traffic they served would have cost as standard calls."""
    provisioned = rows[_provisioned(rows)]
    if provisioned.empty or not _alike(provisioned, _again(provisioned, book)).all():
        return {}
    # a contract's capacity is settled: its calls carry their part of the fee, and the hours what nobody used
    paid = grouped(provisioned, [dimension], _COST, needs=("effective_cost",))
    calls = provisioned[(provisioned["meter"] != "provisioned_hours").to_numpy()]
    served = _again(calls.assign(service_tier="standard"), book) if len(calls) else calls
    worth = {g[dimension]: g["cost"] for g in grouped(served, [dimension], _COST, needs=("effective_cost",))}
    return {  # work that has no price as standard calls is of unknown worth: then the waste is unknown, too
        g[dimension]: max(Fraction(g["cost"] or 0) - Fraction(worth.get(g[dimension], 0)), ZERO)
        for g in paid
        if worth.get(g[dimension], 0) is not None
    }


def _cheaper_model(
    out: Measured, rows: pd.DataFrame, dimension: str, rules: Incentives, baseline: Sequence[Month], book: Book
) -> None:
    """Prompts repriced on the model that did most of their work in the baseline, as much of it as that model cost a month."""
    main = _main_models(baseline, dimension, rules.baseline_months)
    names = [template_of(p) if isinstance(p, str) else None for p in rows["prompt_id"].astype(object)]
    before = [main.get(key) for key in zip(rows[dimension], names, strict=True)]
    changed = [b is not None and b[1] != m for b, m in zip(before, rows["model"], strict=True)]
    if not any(changed):
        return
    moved = _unsettled(rows[changed], book)
    chosen = [b for b, c in zip(before, changed, strict=True) if c and b]
    providers = pd.Series([b[0] for b in chosen], index=moved.index).astype(rows["provider"].dtype)
    models = pd.Series([b[1] for b in chosen], index=moved.index).astype(rows["model"].dtype)
    instead_ = _again(moved.assign(provider=providers, model=models), book)
    other = instead_["effective_cost"]
    template = pa.array([n for n, c in zip(names, changed, strict=True) if c], pa.string())
    known = (other.notna() & moved["effective_cost"].notna()).to_numpy() & _alike(rows[changed], instead_)
    moved = moved.assign(
        _other=other, _template=pd.Series(pd.array(template, dtype=pd.ArrowDtype(pa.string())), index=moved.index)
    )
    still = rows[[not c and n is not None for c, n in zip(changed, names, strict=True)]]
    instead_of: dict[tuple[Any, ...], Fraction] = {}
    for g in grouped(still, [dimension, "prompt_id"], _COST, needs=("effective_cost",)) if len(still) else []:
        key = (g[dimension], template_of(g["prompt_id"]))
        instead_of[key] = instead_of.get(key, ZERO) + Fraction(g["cost"] or 0)
    sums = {"cost": "sum(effective_cost)", "other": "sum(_other)"}
    cells: dict[tuple[Any, ...], dict[str, list[Fraction]]] = {}
    per = [dimension, "_template", "provider", "model", "meter"]
    for g in grouped(moved[known], per, sums, needs=("effective_cost", "_other")):
        cost, instead = Fraction(g["cost"]), Fraction(g["other"])
        key = (g[dimension], g["_template"])
        instead_of[key] = instead_of.get(key, ZERO) + instead
        part = cells.setdefault(tuple(g[k] for k in per[:4]), {}).setdefault(
            meters()[g["meter"]].direction, [ZERO, ZERO]
        )
        part[0] += instead - cost
        part[1] += max(cost, ZERO)
    # caching saves at least half of what input costs and may end its reward, which half the bound keeps below the saving
    rate, share = min(Fraction(rules.rates["model"]), bound(rules)), bound(rules) / 2
    for (receiver, prompt, *_), cell in cells.items():
        whole = instead_of[receiver, prompt]
        # as much of it as the baseline cost a month: what pads it costs more than it brings
        rested = min(Fraction(1), main[receiver, prompt][2] / whole) if whole > 0 else ZERO
        saved = sum((one for one, _ in cell.values()), ZERO) * rested
        if saved > 0:
            each = (min(max(rate * one * rested, ZERO), share * cost) for one, cost in cell.values())
            out.add("model", receiver, saved, min(rate * saved, sum(each, ZERO)))


def _main_models(baseline: Sequence[Month], dimension: str, months: int) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Receiver and template -> provider and model of most of its tokens, and what these cost a month as far as it was charged."""
    tokens = {"tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS})"} | _COST
    keys, needs = [dimension, "prompt_id", "provider", "model"], ("quantity", "meter", "effective_cost")
    found: dict[tuple[Any, ...], list[Fraction]] = {}
    for rows, felt in baseline:
        for g in grouped(rows, keys, tokens, needs=needs, where="prompt_id IS NOT NULL"):
            if share := felt.get(g[dimension], Fraction(1)):
                key = (g[dimension], template_of(g["prompt_id"]), g["provider"], g["model"])
                sums = found.setdefault(key, [ZERO, ZERO])
                sums[0] += share * Fraction(g["tokens"] or 0)
                sums[1] += share * Fraction(g["cost"] or 0)
    ordered = sorted(found.items(), key=lambda x: (x[1][0], str(x[0])))
    return {key[:2]: (*key[2:], max(cost, ZERO) / months) for key, (_, cost) in ordered}


def _shorter_prompts(
    out: Measured, rows: pd.DataFrame, dimension: str, rules: Incentives, baseline: Sequence[Month]
) -> None:
    """Input saved per template: shorter both per call and per output token than its own baseline, for as many calls and
    output tokens as the baseline had in a month.

    Saved tokens count at the baseline's price of input, or today's where that is lower. Answers of models cheaper than the
    baseline's count for less, and the rate is lowered where an output token would save more input than it costs itself.
    """
    months, share, rate = rules.baseline_months, bound(rules), Fraction(rules.rates["prompt"])
    then: dict[tuple[Any, ...], dict[str, Any]] = {}
    for before, felt in baseline:
        for key, cells in _templates(before, dimension).items():
            had, one, part = then.get(key, _added([])), _added(cells.values()), felt.get(key[0], Fraction(1))
            then[key] = {name: had[name] + part * one[name] for name in had}
    for key, cells in _templates(rows, dimension).items():
        b = then.get(key, _added([]))
        if not all(b[k] > 0 for k in ("inputs", "outputs", "calls", "input_cost", "output_cost")):
            continue
        now = _added(cells.values())
        if not all(now[k] > 0 for k in ("inputs", "outputs", "calls", "input_cost")):
            continue
        dear = b["output_cost"] / b["outputs"]
        # one weight for all: input, which costs less than answers, can't be sent to raise it
        answers = sum((min(c["output_cost"], c["outputs"] * dear) for c in cells.values()), ZERO)
        weight = max(answers, ZERO) / (dear * now["outputs"])
        inputs = weight * now["inputs"]
        per_output = b["inputs"] / b["outputs"] * now["outputs"] - now["inputs"]
        per_call = b["inputs"] / b["calls"] * now["calls"] - now["inputs"]
        shorter = weight * min(per_call, per_output)
        if shorter <= _NOTICEABLE * inputs:
            continue
        rested = min(Fraction(1), b["outputs"] / months / now["outputs"], b["calls"] / months / now["calls"])
        price = min(b["input_cost"] / b["inputs"], now["input_cost"] / now["inputs"])
        saved = shorter * rested * price
        safe = share * dear / (b["inputs"] / b["outputs"] * price)
        # at today's price the reward follows what input costs: never by more than its share, or caching would cost a reward
        most = share * min(max(now["cost"], ZERO), inputs * price)
        out.add("prompt", key[0], saved, min(min(rate, safe) * saved, most))


def _templates(rows: pd.DataFrame, dimension: str) -> dict[tuple[Any, ...], dict[tuple[Any, ...], dict[str, Any]]]:
    """Input, output and calls per receiver and template, and in it per provider, model and tier."""
    sums = {"quantity": "sum(quantity)", "cost": "sum(effective_cost)"}
    keys = [dimension, "prompt_id", "provider", "model", "service_tier", "meter"]
    out: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[str, Any]]] = {}
    for g in grouped(rows, keys, sums, needs=("quantity", "effective_cost"), where="prompt_id IS NOT NULL"):
        cells = out.setdefault((g[dimension], template_of(g["prompt_id"])), {})
        cell = cells.setdefault((g["provider"], g["model"], g["service_tier"]), _added([]))
        one, quantity, cost = meters()[g["meter"]], Fraction(g["quantity"] or 0), Fraction(g["cost"] or 0)
        cell["cost"] += cost
        if one.is_token and one.direction in ("input", "output"):
            cell[f"{one.direction}s"] += quantity
            cell[f"{one.direction}_cost"] += cost
        elif g["meter"] == "requests":
            cell["calls"] += quantity
    return out


def _added(cells: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Cells of a template added up."""
    names = ("inputs", "outputs", "calls", "input_cost", "output_cost", "cost")
    return {name: sum((c[name] for c in cells), ZERO) for name in names}


def template_of(prompt_id: str) -> str:
    """A prompt's name without its version.

    >>> template_of("triage@3")
    'triage'
    """
    return prompt_id.partition("@")[0]
