"""What a price map says: one price of one meter of a model, under its modifiers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

#: price map -> what it is called in a price's source
TITLES = {
    "litellm": "LiteLLM price map",
    "modelsdev": "models.dev",
    "portkey": "Portkey models",
    "azure": "Azure retail prices",
    "providers": "the provider's own list",
    "metergraph": "Metergraph",
    "openrouter": "OpenRouter's own list",
    "langfuse": "Langfuse",
    "llmprices": "llm-prices",
    "gateways": "the gateway's own list",
    "catalogue": "the seller's own list",
    "awslist": "AWS' price list",
    "genai": "genai-prices",
}


class Key(NamedTuple):
    """What a price is for: seller and model (canonical), meter, service tier, context tier as text, place."""

    provider: str
    model: str
    meter: str
    tier: str = "standard"
    over: str = ""
    place: str = ""


@dataclass(frozen=True)
class Snapshot:
    """One map on one day: price per million units of every key it has.

    Attributes:
        source: which map (`TITLES`).
        version: of its package or file.
        day: day it is from.
        prices: key -> price per million units, in USD.
        starts: key -> day the map itself says the price is from, where it does.
        left_out: what of it has no meter here, with how often.
    """

    source: str
    version: str
    day: date
    prices: dict[Key, Decimal]
    starts: dict[Key, date]
    left_out: dict[str, int]


def without_free(prices: dict[Key, Decimal]) -> dict[Key, Decimal]:
    """The prices without models that cost nothing at all: maps write 0 for "not known", too."""
    paid = {(key.provider, key.model) for key, price in prices.items() if price}
    return {key: price for key, price in prices.items() if (key.provider, key.model) in paid}


#: the parts of a place -> the place, whose row holds for all of them
_WIDER = {"us-gov-east-1": "us-gov", "us-gov-west-1": "us-gov"}


def without_repeats(prices: dict[Key, Decimal]) -> dict[Key, Decimal]:
    """The prices without rows of a place that only repeat the row of a wider one, or the one for every place.

    >>> east, west = (Key("aws", "m", "input", place=f"us-gov-{side}-1") for side in ("east", "west"))
    >>> [key.place for key in without_repeats({east: Decimal(6), west: Decimal(6)})]
    ['us-gov']
    """
    wide = dict(prices)
    for key, price in prices.items():
        if (wider := _WIDER.get(key.place)) and key._replace(place=wider) not in prices:
            parts = {prices.get(key._replace(place=part)) for part, whole in _WIDER.items() if whole == wider}
            if parts == {price}:
                wide[key._replace(place=wider)] = price
    return {
        key: price for key, price in wide.items()
        if not key.place
        or price not in (wide.get(key._replace(place="")), wide.get(key._replace(place=_WIDER.get(key.place, ""))))
    }  # fmt: skip


def models_of(keys: Iterable[Key]) -> set[tuple[str, str]]:
    """The (provider, model) pairs of keys."""
    return {(key.provider, key.model) for key in keys}
