"""Which rows of the price book a second source confirms; used by `price_comparison.py`.

A second source is, in this order, and each is counted under its own name:
- another map than the one the row is from, read since the row began (maps that are filled from another one aren't
  read: see `scripts/`);
- the list of the seller whose prices this one says it passes on, where that row has a second map;
- the provider's page, as this package's own files and `price_evidence.toml` have it: fees that are the same whatever
  the model or tier, prices by size, what a variant costs;
- a published factor (a rule of the price files or of `price_evidence.toml`, with its source) on a confirmed row.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from finops_ai.meters import meter as meter_named
from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.cards import MAPS, MILLION, OWN, Card, over_text
from finops_ai.prices.maps.observed import Key
from finops_ai.prices.maps.weighing import Said, agreement
from finops_ai.prices.names import providers
from finops_ai.prices.own import ANY_MODEL, Rule
from finops_ai.prices.places import AZURE_ZONES, places_of, same_place

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = dict[Key, tuple[Decimal, Card]]
MAP, LIST, PAGE = "another map", "the list of the seller it passes on", "the provider's page"
FACTOR = "a published factor on a confirmed row"
#: what resellers put before a model's name -> its maker
_PREFIXES = {
    "openai": "openai", "anthropic": "anthropic", "google": "google", "x-ai": "xai", "xai": "xai", "mistralai": "mistral",
    "deepseek": "deepseek", "cohere": "cohere", "moonshotai": "moonshot", "z-ai": "zai", "minimax": "minimax",
    "perplexity": "perplexity", "alibaba": "alibaba", "qwen": "alibaba", "spacexai": "xai", "mistral": "mistral",
    "zai": "zai", "voyage": "voyage", "amazon": "aws",
}  # fmt: skip
_SLACK = Decimal("0.000001")


@cache
def evidence() -> dict[str, list[dict[str, Any]]]:
    """What sellers say of their own prices."""
    return tomllib.loads(Path(__file__).with_name("price_evidence.toml").read_text("utf-8"))


def confirmed(book: PriceBook, at: datetime) -> tuple[int, Counter[str], Counter[str]]:
    """Rows in force; how many of them which second source confirms; and how many of which seller none does."""
    rows = rows_in_force(book, at)
    how = second_sources(book, rows, at)
    without = Counter(key.provider for key in rows if key not in how)
    return len(rows), Counter(how.values()), without


def second_sources(book: PriceBook, rows: Rows, at: datetime) -> dict[Key, str]:
    """Row -> what confirms it."""
    how = {key: MAP for key, (price, card) in rows.items() if _other_map(book, key, price, card)}
    mapped = set(how)
    for key, (price, card) in rows.items():
        if key in how:
            continue
        if _at_list(book, key, price, rows, mapped, at):
            how[key] = LIST
        elif _own_page(book, key, price, card) or _page(key, price):
            how[key] = PAGE
    while more := {key: FACTOR for key in rows if key not in how and _by_factor(book, key, rows, how, at)}:
        how |= more
    return how


def rows_in_force(book: PriceBook, at: datetime) -> Rows:
    """Every row that holds at an instant, in dollars per million units; those of some hours only are left out."""
    assert book.maps is not None
    rows: Rows = {}
    for provider in sorted({*book.maps.providers(), *(book.base.providers() if isinstance(book.base, Base) else ())}):
        for model in book.models(provider):
            cards = [card for card in book.cards(provider, model) if card.holds(at) and not card.hours]
            for card in sorted(cards, key=lambda c: (c.layer, c.start or EPOCH)):
                for meter, unit in card.prices.items():
                    over = over_text(card.over) if card.over else ""
                    key = Key(provider, model, meter, card.service_tier, over, card.geography or "")
                    rows[key] = unit * MILLION, card
    return rows


def _other_map(book: PriceBook, key: Key, price: Decimal, card: Card) -> bool:
    assert book.maps is not None
    models = book.maps.models(key.provider)
    said = dict(models.get(key.model, {}).get(key, {}))
    if key.over.startswith(">="):  # the maps don't tell "from" and "above"
        said = models.get(key.model, {}).get(key._replace(over=key.over.replace("=", "")), {}) | said
    if (
        key.provider == "openrouter" and "/" not in key.model
    ):  # its names are author/model; some maps leave the author out
        full = [name for name in models if name.rpartition("/")[2] == key.model and "/" in name]
        if len(full) == 1:
            said = models[full[0]].get(key._replace(model=full[0]), {}) | said
    same = [*agreement(price, said).confirmed, *_rounded(key, price, said)]
    mine = set(same[:1]) if card.layer == MAPS else set()  # a row of the maps is taken from the first of equals
    began = card.start.date() if card.start else None
    return any(began is None or book.maps.read[name][1] >= began for name in same if name not in mine)


def _rounded(key: Key, price: Decimal, said: Said) -> list[str]:
    """Maps that differ by less than the last digit of the seller's own unit."""
    steps = _steps(key.provider)
    return [
        name for name, value in agreement(price, said).disputed if any(abs(value - price) <= step / 2 for step in steps)
    ]


def _steps(provider: str) -> list[Decimal]:
    """The last digit of the unit a seller lists in, in dollars."""
    return [Decimal(fact["step"]) for fact in evidence()["rounding"] if fact["seller"] == provider]


def _at_list(book: PriceBook, key: Key, price: Decimal, rows: Rows, mapped: set[Key], at: datetime) -> bool:
    """Whether the figure is that of the seller whose prices this one says it passes on, or the multiple it says."""
    own = [
        name for name in (providers()[key.provider].lists if key.provider in providers() else ()) if name != "vertex"
    ]
    if _as_listed(book, key, price, own, [key.model, *_bare(key.model)], Decimal(1), rows, mapped, at):
        return True
    for fact in evidence()["at_list"]:
        if (
            not fnmatch(key.provider, fact["seller"])
            or not _names(fact, key)
            or key.tier not in fact.get("tiers", (key.tier,))
        ):
            continue
        prefix, _, bare = key.model.rpartition("/")
        spellings = _bare(key.model.removeprefix(fact.get("before", "")))
        if fact.get("of") == "*":
            sellers = [key.provider.partition("_")[2].removesuffix("-ai")]
            spellings = [key.model, *spellings]
        elif "of" in fact:
            sellers = [fact["of"]]
            spellings = [key.model, *spellings]
        else:
            spellings = [name.partition(":")[0] for name in spellings]
            maker = (
                _PREFIXES.get(prefix.strip("~"), "") if prefix else _maker_of(bare.removeprefix(fact.get("before", "")))
            )
            sellers = [maker] if maker else []
        factor = Decimal(fact.get("factor", "1"))
        if _as_listed(book, key, price, sellers, spellings, factor, rows, mapped, at):
            return True
    return False


def _as_listed(
    book: PriceBook, key: Key, price: Decimal, sellers: list[str], spellings: list[str], factor: Decimal, rows: Rows,
    mapped: set[Key], at: datetime,
) -> bool:  # fmt: skip
    """Whether one of the sellers has the figure, less a factor, in a row with a second map."""
    for seller in sellers if not key.place else ():
        names = book.names(seller)
        model = next((model for name in spellings if (model := names.resolve(name, at))), None)
        theirs = key._replace(provider=seller, model=model) if model else None
        if theirs in mapped:
            listed = rows[theirs][0] * factor
            if _near(listed, price, _SLACK) or any(abs(listed - price) <= step / 2 for step in _steps(key.provider)):
                return True
    return False


def _bare(name: str) -> list[str]:
    """A name without its author, as makers spell versions: 4.6, 4-6."""
    bare = name.rpartition("/")[2]
    return [bare, bare.replace(".", "-"), re.sub(r"(?<=\d)-(?=\d)", ".", bare)]


def _names(fact: dict[str, Any], key: Key) -> bool:
    """Whether a fact is about a row's model: all of its seller's, unless it names some."""
    return any(fnmatch(key.model, pattern) for pattern in fact.get("models", ("*",)))


def _maker_of(name: str) -> str:
    words = {"gpt": "openai", "claude": "anthropic", "gemini": "google", "grok": "xai"}
    return words.get(name.partition("-")[0], "")


def _own_page(book: PriceBook, key: Key, price: Decimal, card: Card) -> bool:
    """A fee that this package's own files have from the provider's page; fees of tools don't depend on the tier."""
    if card.layer == OWN:
        return False
    own = [*book.own.cards.get((key.provider, ANY_MODEL), ()), *book.own.cards.get((key.provider, key.model), ())]
    tiers = (key.tier, "standard") if meter_named(key.meter).tool else (key.tier,)
    return any(c.prices.get(key.meter, Decimal(-1)) * MILLION == price and c.service_tier in tiers for c in own)


def _page(key: Key, price: Decimal) -> bool:
    """What a variant of a name costs, and prices by size."""
    for fact in evidence()["variant"]:
        if fact["seller"] == key.provider and key.model.endswith(fact["ending"]) and price == Decimal(fact["price"]):
            return True
    for fact in evidence()["by_size"]:
        if fact["seller"] != key.provider or key.meter not in ("input", "output") or key.tier != "standard" or key.over:
            continue
        steps, size = _size(fact, key.model)
        if any(Decimal(s["from"]) < size <= Decimal(s["to"]) and Decimal(s["price"]) == price for s in steps if size):
            return True
    return False


def _size(fact: dict[str, Any], model: str) -> tuple[list[dict[str, str]], Decimal | None]:
    """The steps a model's size is looked up in, and the size in billions as its name states it; null = it doesn't."""
    if experts := re.search(r"(?:^|-)(\d+)x(\d+)b(?:-|$)", model):
        return fact["experts"], Decimal(experts[1]) * Decimal(experts[2])
    sizes = re.findall(r"(?:^|-)(\d+(?:p\d+)?)b(?=-|$)", model)
    mixture = re.search(r"-a\d+(?:p\d+)?b(?:-|$)", model)  # of which so many are active: a mixture of experts
    one = Decimal(sizes[0].replace("p", ".")) if len(sizes) == 1 else None
    return fact["experts"] if mixture else fact["sizes"], one


def _by_factor(book: PriceBook, key: Key, rows: Rows, how: dict[Key, str], at: datetime) -> bool:
    """A published factor on a confirmed row gives the same figure, to the rounding of a place's price list."""
    price = rows[key][0]
    for fact in evidence()["renamed_tier"]:
        if (fact["seller"], fact["tier"]) == (key.provider, key.tier):
            before = key._replace(tier=fact["before"])
            if before in how and _near(rows[before][0], price, _SLACK):
                return True
    for fact in evidence()["tier"]:
        if (fact["seller"], fact["tier"]) == (key.provider, key.tier):
            base = key._replace(tier="standard")
            if base in how and _near(rows[base][0] * Decimal(fact["factor"]), price, _SLACK):
                return True
    for fact in evidence()["meter"]:
        if fact["seller"] == key.provider and fact["meter"] == key.meter and _names(fact, key):
            of = key._replace(meter=fact["of"])
            if of in how and _near(rows[of][0] * Decimal(fact["factor"]), price, _SLACK):
                return True
    for fact in evidence()["place"]:
        if fact["seller"] == key.provider and key.place.startswith(fact["place"]) and _names(fact, key):
            of = key._replace(place=fact["of"])
            if of in how and _near(rows[of][0] * Decimal(fact["factor"]), price, _SLACK):
                return True
    for fact in evidence()["long_context"]:
        if fact["seller"] == key.provider and key.over.strip(">=") == fact["tokens"] and _names(fact, key):
            of = key._replace(over="")
            if of in how and _near(rows[of][0] * Decimal(fact["factor"]), price, _SLACK):
                return True
    for rule in book.own.rules:
        if rule.provider not in (key.provider, "google" if key.provider == "vertex" else "") or rule.no_list:
            continue
        if "https://" not in rule.source:  # read off a map's own rows: no source of its own
            continue
        if not rule.applies(key.model, at) or (rule.meters and key.meter not in rule.meters):
            continue
        standard, slack = _base_of(rule, key)
        if standard in how and _near(rows[standard][0] * rule.factor, price, slack):
            return True
    return False


def _base_of(rule: Rule, key: Key) -> tuple[Key | None, Decimal]:
    if rule.tier is not None:
        fits = rule.tier == key.tier and rule.places is None and key.tier != "standard"
        return (key._replace(tier="standard") if fits else None), _SLACK
    words = (key.place,)
    if key.provider == "aws":
        words = places_of("aws", region=key.place) if key.place.count("-") > 1 else (key.place,)
    elif key.provider == "azure" and key.place in AZURE_ZONES:
        words = (key.place, "data-zone")
    fits = bool(key.place) and any(same_place(place, words) for place in rule.places or ())
    return (key._replace(place="") if fits else None), Decimal("0.005")  # Azure and AWS round the product


def _near(one: Decimal, other: Decimal, slack: Decimal) -> bool:
    return abs(one - other) <= abs(other) * slack
