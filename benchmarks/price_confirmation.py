"""Which rows of the price book a second source confirms; used by `price_comparison.py`.

A second source is, in this order, and each is counted under its own name:
- another map than the one the row is from (maps that are filled from another one aren't read: see `scripts/`);
- the maker's list, where the seller says that it sells at that and the maker's row has a second map;
- the provider's page as this package's own files have it, for fees that are the same whatever the model;
- a published factor (a rule of the price files, with its source) on a row that is confirmed.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

from finops_ai.prices import PriceBook
from finops_ai.prices.base import Base
from finops_ai.prices.cards import MAPS, MILLION, OWN, Card, over_text
from finops_ai.prices.maps.observed import Key
from finops_ai.prices.maps.weighing import agreement
from finops_ai.prices.names import providers
from finops_ai.prices.own import ANY_MODEL, Rule
from finops_ai.prices.places import AZURE_ZONES, places_of, same_place

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Rows = dict[Key, tuple[Decimal, Card]]
#: seller -> why its rows at the maker's figure are confirmed by the maker's list, beside those whose `lists` say so
AT_THE_MAKERS = {
    "vertex": "Gemini's list", "openrouter": "its FAQ: the provider's price, no markup on inference",
    "perplexity": "its Agent API: direct provider rates, no markup", "github-copilot": "its models page",
    "vercel_ai_gateway": "its pricing page: provider list prices, no markup",
}  # fmt: skip
#: what resellers put before a model's name -> its maker
_PREFIXES = {
    "openai": "openai", "anthropic": "anthropic", "google": "google", "x-ai": "xai", "xai": "xai", "mistralai": "mistral",
    "deepseek": "deepseek", "cohere": "cohere", "moonshotai": "moonshot", "z-ai": "zai", "minimax": "minimax",
    "perplexity": "perplexity",
}  # fmt: skip


def confirmed(book: PriceBook, at: datetime) -> tuple[int, Counter[str], Counter[str]]:
    """Rows in force; how many of them which second source confirms; and how many of which seller none does."""
    rows = rows_in_force(book, at)
    how = {key: "another map" for key, (price, card) in rows.items() if _other_map(book, key, price, card)}
    mapped = set(how)
    for key, (price, card) in rows.items():
        if key not in how and (
            found := _at_maker(book, key, price, rows, mapped, at) or _own_page(book, key, price, card)
        ):
            how[key] = found
    while more := {
        key: "a published factor on a confirmed row"
        for key in rows
        if key not in how and _by_rule(book, key, rows, how, at)
    }:
        how |= more
    without = Counter(key.provider for key in rows if key not in how)
    return len(rows), Counter(how.values()), without


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
    said = book.maps.models(key.provider).get(key.model, {}).get(key, {})
    mine = set()
    if card.layer == MAPS:  # its source begins with the title of the map it is from; the first of equals is taken as it
        same = agreement(price, said).confirmed
        mine = {same[0]} if same else set()
    return bool(set(agreement(price, said).confirmed) - mine)


def _at_maker(book: PriceBook, key: Key, price: Decimal, rows: Rows, mapped: set[Key], at: datetime) -> str:
    lists = [m for m in (providers()[key.provider].lists if key.provider in providers() else ()) if m != "vertex"]
    prefix, _, bare = key.model.rpartition("/")
    if key.provider == "vertex":
        lists = ["google"]
    elif key.provider in AT_THE_MAKERS:
        bare = bare.partition(":")[0]
        maker = _PREFIXES.get(prefix.strip("~"), "") if prefix else _maker_of(bare)
        lists = [maker] if maker else []
    for maker in lists if not key.place else ():
        model = book.names(maker).resolve(bare, at) or book.names(maker).resolve(bare.replace(".", "-"), at)
        theirs = key._replace(provider=maker, model=model) if model else None
        if theirs in mapped and _near(rows[theirs][0], price, Decimal("0.000001")):
            return "the maker's list"
    return ""


def _maker_of(name: str) -> str:
    words = {"gpt": "openai", "claude": "anthropic", "gemini": "google", "grok": "xai"}
    return words.get(name.partition("-")[0], "")


def _own_page(book: PriceBook, key: Key, price: Decimal, card: Card) -> str:
    if card.layer == OWN:
        return ""
    own = [*book.own.cards.get((key.provider, ANY_MODEL), ()), *book.own.cards.get((key.provider, key.model), ())]
    told = any(c.prices.get(key.meter, Decimal(-1)) * MILLION == price and c.service_tier == key.tier for c in own)
    return "the provider's page, in this package's files" if told else ""


def _by_rule(book: PriceBook, key: Key, rows: Rows, how: dict[Key, str], at: datetime) -> bool:
    """A published factor on a confirmed row gives the same figure, to the rounding of a place's price list."""
    price = rows[key][0]
    for rule in book.own.rules:
        if rule.provider not in (key.provider, "google" if key.provider == "vertex" else "") or rule.no_list:
            continue
        if "https://" not in rule.source:  # read off a map's own rows: no source of its own
            continue
        if not rule.applies(key.model, at) or (rule.meters and key.meter not in rule.meters):
            continue
        base, slack = _base_of(rule, key)
        if base in how and _near(rows[base][0] * rule.factor, price, slack):
            return True
    return False


def _base_of(rule: Rule, key: Key) -> tuple[Key | None, Decimal]:
    if rule.tier is not None:
        fits = rule.tier == key.tier and rule.places is None and key.tier != "standard"
        return (key._replace(tier="standard") if fits else None), Decimal("0.000001")
    words = (key.place,)
    if key.provider == "aws":
        words = places_of("aws", region=key.place) if key.place.count("-") > 1 else (key.place,)
    elif key.provider == "azure" and key.place in AZURE_ZONES:
        words = (key.place, "data-zone")
    fits = bool(key.place) and any(same_place(place, words) for place in rule.places or ())
    return (key._replace(place="") if fits else None), Decimal("0.005")  # Azure and AWS round the product


def _near(one: Decimal, other: Decimal, slack: Decimal) -> bool:
    return abs(one - other) <= abs(other) * slack
