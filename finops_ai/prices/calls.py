"""The cost of one call: its meters times the rates in force, with every rate explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from finops_ai.meters import Normalised
from finops_ai.prices.book import PriceBook
from finops_ai.prices.cards import MILLION, over_text, plain, read_instant
from finops_ai.prices.places import deployment_tier
from finops_ai.prices.price import NEVER_BILLED, Price


@dataclass(frozen=True, slots=True)
class CallCost:
    """What a call costs.

    Attributes:
        cost: exact amount in the currency of its prices, None when a meter with a quantity has no price.
        flags: unpriced, context_tier_unknown, needs_confirmation, reported_cost_differs.
        prices: meter -> the price used.
        why: one line per meter: quantity, rate, row, modifiers in order.
    """

    cost: Decimal | None
    flags: frozenset[str]
    prices: Mapping[str, Price]
    why: tuple[str, ...]


def price_call(
    book: PriceBook,
    usage: Normalised,
    *,
    provider: str,
    model: str,
    at: datetime | str,
    context: Mapping[str, Any] | None = None,
) -> CallCost:
    """Price one normalised call, or the calls of a log.

    Args:
        book: the price book.
        usage: what `finops_ai.meters.normalise` returned.
        provider, model: who bills, and the name as billed.
        at: UTC instant the call is priced at.
        context: what the caller knows beside the usage (see `finops_ai.meters.CONTEXT_KEYS`).

    >>> from finops_ai.meters import normalise
    >>> usage = normalise({"prompt_tokens": 2006, "completion_tokens": 300,
    ...                    "prompt_tokens_details": {"cached_tokens": 1920}}, "openai.chat")
    >>> price_call(PriceBook.default(), usage, provider="openai", model="gpt-4o-2024-08-06", at="2024-10-14").cost
    Decimal('0.00561500')
    """
    context = context or {}
    provider = context.get("channel") or provider
    total: Decimal | None = Decimal(0)
    flags: set[str] = set()
    prices: dict[str, Price] = {}
    why: list[str] = []
    for call in usage.calls or (usage,):
        for meter, quantity in call.meters.items():
            price = _price(book, call, meter, provider, model, at, context)
            if meter in NEVER_BILLED and price.unit_price is None:
                continue
            price, unknown = _at_tier(price, call)
            if unknown:
                flags.add("context_tier_unknown")
            if price.needs_confirmation:
                flags.add("needs_confirmation")
            if price.unit_price is None:
                flags.add("unpriced")
                total = None
            elif total is not None:
                total += quantity * price.unit_price
            prices[meter] = price
            why.append(_line(meter, quantity, price))
    if usage.reported_cost is not None and total is not None and usage.reported_cost != total:
        flags.add("reported_cost_differs")
    return CallCost(total, frozenset(flags), prices, tuple(dict.fromkeys(why)))


def _price(
    book: PriceBook, call: Normalised, meter: str, provider: str, model: str, at: object, context: Mapping[str, Any]
) -> Price:
    behind = context.get("underlying_model") or model
    tier = call.service_tier
    if tier == "standard":
        tier = deployment_tier(context.get("deployment_type")) or tier
    when = read_instant(at)
    assert when is not None
    place = {
        "inference_geo": call.inference_geo, "region": call.region,
        "api_base": context.get("api_base"), "deployment_type": context.get("deployment_type"),
    }  # fmt: skip
    return book.price(provider, behind, meter, when, tier, place, billed_as=model)


def _at_tier(price: Price, call: Normalised) -> tuple[Price, bool]:
    """The price at the call's context tier, and whether the tier is unknown."""
    if not price.tiers:
        return price, False
    if call.slice_requests == 1:
        return price.above(call.slice_input_tokens), False
    stated = price.in_window(call.context_window)
    if stated is not None:
        return stated, False
    return price, price.above(call.slice_input_tokens).over is not None


def _line(meter: str, quantity: int | Decimal, price: Price) -> str:
    if price.unit_price is None:
        return f"{meter} {quantity} unpriced ({'; '.join(price.why)})"
    tier = f" at {over_text(price.over)}" if price.over else ""
    return f"{meter} {quantity} x {plain(price.unit_price * MILLION)}{tier} ({'; '.join(price.why)})"
