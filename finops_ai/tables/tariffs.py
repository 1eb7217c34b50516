"""What a receiver's usage comes to under its tariff, line by line and exact, before incentives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from finops_ai.meters import meters
from finops_ai.tables.policy import Step, Tariff

MILLION = 1_000_000
#: kinds of statement lines, in printing order
KINDS = ("usage", "fee", "markup", "minimum", "bill", "incentive", "funding")
#: kinds that move cost between receivers and add up to 0
MOVED = KINDS[-2:]
#: classes of input that a cache serves, and the class they would be without one
CACHED = tuple(dict.fromkeys(m.roll_up for m in meters().values() if m.cache_action in ("read", "write")))
PLAIN = "fresh_input"


@dataclass(frozen=True)
class Line:
    """One line of a statement, with its exact amount; `cents` where its published amount is decided: the cost itself."""

    receiver: str
    kind: str
    text: str
    exact: Fraction
    quantity: Decimal | None = None
    unit: str = ""
    rate: Decimal | None = None
    cents: Decimal | None = None


def averages_of(usage: list[dict[str, Any]]) -> dict[tuple[Any, ...], Fraction]:
    """The company's average price per model, meter class and unit."""
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for u in usage:
        kept = sums.setdefault((u["model"], u["class"], u["unit"]), [Decimal(0), Decimal(0)])
        kept[0] += u["cost"]
        kept[1] += u["quantity"]
    return {key: Fraction(cost) / Fraction(quantity) for key, (cost, quantity) in sums.items() if quantity}


def needs_plain(tariff: Tariff) -> bool:
    """Whether it matters what cached input costs relative to plain input: a card that names one of them without the other."""
    named = [kind in tariff.card for kind in CACHED]
    return tariff.method == "rate_card" and (not all(named) if PLAIN in tariff.card else any(named))


def tariff_lines(
    name: str,
    usage: list[dict[str, Any]],
    tariff: Tariff,
    averages: Mapping[tuple[Any, ...], Fraction],
    plain: Mapping[str, Fraction] | None = None,
) -> list[Line]:
    """Usage, fee and margin of one receiver.

    Args:
        name: the receiver.
        usage: cost, its cents and quantity per model and meter class.
        tariff: the receiver's.
        averages: see `averages_of`.
        plain: where `needs_plain`: cached class -> what a cached token costs relative to the same token uncached.
    """
    lines: list[Line] = []
    if tariff.method == "rate_card":
        lines += _card_lines(name, usage, tariff, plain or {})
    elif tariff.method == "subscription":
        lines += _subscription_lines(name, usage, tariff)
    else:
        blended = tariff.method == "blended"
        for u in sorted(usage, key=lambda u: (-u["cost"], u["model"], u["class"])):
            key = (u["model"], u["class"], u["unit"])
            exact = averages.get(key, Fraction(0)) * Fraction(u["quantity"]) if blended else Fraction(u["cost"])
            if not exact:
                continue
            rate = _rate(exact, u["quantity"], u["unit"])
            text = f"{u['model']}, {u['class'].replace('_', ' ')}{' at the company average' if blended else ''}"
            cents = None if blended else u["cents"]
            lines.append(Line(name, "usage", text, exact, u["quantity"], u["unit"], rate, cents))
        lines += _blended_held(name, usage, averages) if blended else []
    subtotal = sum((x.exact for x in lines), Fraction(0))
    if tariff.markup and subtotal:
        lines.append(Line(name, "markup", f"Stated margin of {tariff.markup:.2%}", subtotal * Fraction(tariff.markup)))
    return lines


def minimum_line(name: str, tariff: Tariff, subtotal: Fraction) -> list[Line]:
    """What is missing to the month's minimum, incentives counted; a net credit stays a credit."""
    if not tariff.minimum or not 0 <= subtotal < tariff.minimum:
        return []
    text = f"Up to the month's minimum of {tariff.minimum}"
    return [Line(name, "minimum", text, Fraction(tariff.minimum) - subtotal)]


def _subscription_lines(name: str, usage: list[dict[str, Any]], tariff: Tariff) -> list[Line]:
    """The fee, and tokens beyond it at the overage rate, at most at what they cost: a cheaper model never charges more."""
    tokens = sum((u["quantity"] for u in usage if u["unit"] == "tokens"), Decimal(0))
    cost = sum((u["cost"] for u in usage if u["unit"] == "tokens"), Decimal(0))
    included = f"{tariff.included_tokens:,} tokens included"
    unused = max(tariff.included_tokens - tokens, Decimal(0))
    included += f", {unused:,} of them unused" if unused else ""
    lines = [Line(name, "fee", f"Subscription {tariff.name}, {included}", Fraction(tariff.fee))]
    over = max(tokens - tariff.included_tokens, Decimal(0))
    if not over:
        return lines
    average, overage = max(Fraction(cost) / Fraction(tokens), Fraction(0)), Fraction(tariff.overage) / MILLION
    if average < overage:
        text = "Tokens beyond the subscription, at what they cost (below the overage rate)"
        return [
            *lines,
            Line(
                name,
                "usage",
                text,
                Fraction(over) * average,
                over,
                "tokens",
                _rate(Fraction(over) * average, over, "tokens"),
            ),
        ]
    text = "Tokens beyond the subscription"
    return [*lines, Line(name, "usage", text, Fraction(over) * overage, over, "tokens", tariff.overage)]


def _card_lines(name: str, usage: list[dict[str, Any]], tariff: Tariff, plain: Mapping[str, Fraction]) -> list[Line]:
    """Classes on the card at its rates, tier by tier; cached input that isn't, at the plain rate times what it costs relative
    to plain input; other classes at cost. Cached input on the card is held at what the same input comes to uncached."""
    lines: list[Line] = []
    by_class: dict[tuple[str, str], list[Decimal]] = {}
    for u in usage:
        kept = by_class.setdefault((u["class"], u["unit"]), [Decimal(0), Decimal(0), Decimal(0)])
        for i, column in enumerate(("quantity", "cost", "cents")):
            kept[i] += u[column]
    for (kind, unit), (quantity, cost, cents) in sorted(by_class.items()):
        words = kind.replace("_", " ")
        if kind in plain and kind not in tariff.card and PLAIN in tariff.card:
            share = plain[kind]
            for part, step in _tiers(quantity, tariff.card[PLAIN]):
                exact = Fraction(part) * Fraction(step.rate) / MILLION * share
                text = f"{words}, at {float(share):.1%} of the plain rate as it costs, rate card {tariff.name}"
                lines.append(Line(name, "usage", text, exact, part, unit, _rate(exact, part, unit)))
        elif kind not in tariff.card:
            if cost:
                text = f"{words} at cost (not on the rate card)"
                lines.append(Line(name, "usage", text, Fraction(cost), quantity, unit, cents=cents))
        else:
            scale = MILLION if unit in ("tokens", "characters") else 1
            for part, step in _tiers(quantity, tariff.card[kind]):
                exact = Fraction(part) * Fraction(step.rate) / scale
                lines.append(Line(name, "usage", f"{words}, rate card {tariff.name}", exact, part, unit, step.rate))
    return lines + _held_at_plain(name, by_class, tariff, plain)


def _held_at_plain(name: str, by_class: Mapping[tuple[str, str], list[Decimal]], tariff: Tariff, plain: Mapping[str, Fraction]) -> list[Line]:  # fmt: skip
    """What a card charges cached tokens above the same tokens uncached, taken off: caching never makes a charge larger.

    Uncached they would be on the card's plain rate, after what is plain already; where the card has none, at cost.
    """
    cached = {kind: by_class[kind, "tokens"] for kind in CACHED if (kind, "tokens") in by_class}
    charged = most = Fraction(0)
    for kind, (quantity, cost, _) in cached.items():
        if kind in tariff.card:
            charged += _at(tariff.card[kind], quantity)
        else:
            charged += (
                _at(tariff.card[PLAIN], quantity) * plain[kind]
                if PLAIN in tariff.card and kind in plain
                else Fraction(cost)
            )
    if PLAIN in tariff.card:
        fresh = by_class.get((PLAIN, "tokens"), [Decimal(0)])[0]
        together = sum((quantity for quantity, _, _ in cached.values()), fresh)
        most = _at(tariff.card[PLAIN], together) - _at(tariff.card[PLAIN], fresh)
    elif any(kind in tariff.card for kind in CACHED) and all(plain.get(kind) for kind in cached):
        most = sum((Fraction(cost) / plain[kind] for kind, (_, cost, _) in cached.items()), Fraction(0))
    else:
        return []  # at cost, or nobody knows what they would have cost
    if charged <= most:
        return []
    return [Line(name, "usage", "cached input, held at what it comes to uncached", most - charged)]


def _blended_held(name: str, usage: list[dict[str, Any]], averages: Mapping[tuple[Any, ...], Fraction]) -> list[Line]:
    """The same at the company's averages, model by model: others' batch work can make plain input cheaper than written input."""
    above = Fraction(0)
    for model in dict.fromkeys(u["model"] for u in usage):
        plain = averages.get((model, PLAIN, "tokens"))
        mine = [u for u in usage if u["model"] == model and u["class"] in CACHED and u["unit"] == "tokens"]
        if plain is not None:
            over = sum(
                (averages[model, u["class"], "tokens"] - plain) * Fraction(u["quantity"]) for u in mine if u["quantity"]
            )
            above += max(over, Fraction(0))
    return [Line(name, "usage", "cached input, held at what it comes to uncached", -above)] if above else []


def _at(steps: tuple[Step, ...], quantity: Decimal) -> Fraction:
    """What a quantity of tokens comes to on a card."""
    return sum((Fraction(part) * Fraction(step.rate) for part, step in _tiers(quantity, steps)), Fraction(0)) / MILLION


def _tiers(quantity: Decimal, steps: tuple[Step, ...]) -> list[tuple[Decimal, Step]]:
    out, below = [], Decimal(0)
    for step in steps:
        top = quantity if step.up_to is None else min(quantity, step.up_to)
        if top > below:
            out.append((top - below, step))
            below = top
    return out


def _rate(amount: Fraction, quantity: Decimal, unit: str) -> Decimal | None:
    """What one unit, or a million tokens or characters, came to."""
    if not quantity:
        return None
    value = amount / Fraction(quantity) * (MILLION if unit in ("tokens", "characters") else 1)
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(Decimal(1).scaleb(-12))
