"""How a list price is found: the seller's own row, else what a published factor or its siblings prove, else none.

Nothing is passed off as listed: where a row is missing, the price says `assumed` and how it was derived, or there is
no price. Siblings prove a factor if it holds for nine in ten of the seller's models that have both rows, three at least.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from finops_ai.frames import SERVICE_TIERS
from finops_ai.meters import meter as meter_named
from finops_ai.prices.cards import Card, plain, rate
from finops_ai.prices.own import ANY_MODEL, Rule
from finops_ai.prices.places import same_place, unlisted_place
from finops_ai.prices.price import UNLISTED, Price, chain, pick, picked_for_place, priced

if TYPE_CHECKING:
    from finops_ai.prices.book import Found, PriceBook

Picked = dict[tuple[int, bool] | None, Card]
_LIKE = 9, 10  # siblings prove a factor that holds for so many of so many
_AT_LEAST = 3
_GUESSED_PLACE = "no price for {}, though it is sold by place: the price for any place"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a price is asked for: canonical provider, meter, instant, service tier, the words for its place, and the
    place as the call states it."""

    provider: str
    meter: str
    at: datetime
    tier: str
    places: tuple[str, ...]
    stated: str = ""


def list_price(book: PriceBook, sellers: Sequence[Found], asked: Asked) -> Price:
    """The list price of a meter at the first seller whose list has one.

    Args:
        book: the price book.
        sellers: the model as each list that applies knows it, the seller's own first; empty = unknown model.
        asked: what is asked for.
    """
    first: Price | None = None
    for found in sellers:
        price = _of_model(book, found, asked)
        if price.unit_price is not None:
            if first is not None:
                whose = f"{asked.meter}: no row of its own at {sellers[0].sold_by}, at the list of {found.sold_by}"
                price = replace(price, status="assumed", why=(*price.why, whose))
            return price
        first = first or price
    if (picked := _any_model(book, asked)) is not None:
        found_name, sold_by = (sellers[0].model, sellers[0].sold_by) if sellers else (None, None)
        return priced(picked, asked.meter, [], [], asked.at, asked.tier not in SERVICE_TIERS, found_name, sold_by)
    first = first or Price(None, why=("no price row: unknown model",))
    return replace(first, why=(*first.why, UNLISTED[asked.meter])) if asked.meter in UNLISTED else first


def fitting(cards: Iterable[Card], asked: Asked) -> list[Card]:
    """The cards that hold at the instant, for the place or for any."""
    return [
        card
        for card in cards
        if card.holds(asked.at) and (card.geography is None or same_place(card.geography, asked.places))
    ]


def _any_model(book: PriceBook, asked: Asked) -> Picked | None:
    if meter_named(asked.meter).is_token:
        return None
    return pick(fitting(book.cards(asked.provider, ANY_MODEL), asked), asked.meter, "standard", asked.places)


def _of_model(book: PriceBook, found: Found, asked: Asked) -> Price:
    cards = fitting(book.cards(found.sold_by, found.model), asked)
    rules = [r for r in book.own.rules if r.provider == asked.provider and r.applies(found.model, asked.at)]
    tiered = any(card.service_tier == asked.tier for card in cards)
    tier_rules = [r for r in rules if r.tier == asked.tier and r.places is None]
    rule = next((r for r in tier_rules if not r.meters), None)
    whole = found.model, found.sold_by
    if asked.tier != "standard" and meter_named(asked.meter).tool:  # a tool's fee is the same whatever the model's tier
        price = _of_model(book, found, replace(asked, tier="standard"))
        known = asked.tier in SERVICE_TIERS or price.unit_price is None
        return price if known else replace(price, status="assumed")
    if asked.tier != "standard" and not tiered and (rule is None or rule.no_list):
        if not _sold_apart(asked.meter, cards):
            return Price(None, why=(f"no price row for {asked.meter}",), model=whole[0], sold_by=whole[1])
        why = rule.why if rule else f"no price row for service tier {asked.tier}"
        return Price(None, why=(why,), model=whole[0], sold_by=whole[1])
    for name, assumed in chain(asked.meter):
        notes = [] if name == asked.meter else [
            f"{asked.meter} at the {name} rate{', no price of its own' if assumed else ''}"
        ]  # fmt: skip
        if (own := pick(cards, name, asked.tier, asked.places)) is not None:
            factors, filled = _place(cards, name, asked, own, rules), _with_context(cards, name, asked, own)
            if elsewhere := not factors and _elsewhere(book, found, cards, name, asked, own, rules):
                notes = [*notes, _GUESSED_PLACE.format(asked.stated)]
            return priced(own, name, factors, notes, asked.at, assumed or elsewhere, *whole, derived=filled)
        if asked.tier == "standard":
            continue
        standard = pick(cards, name, "standard", asked.places)
        if standard is None:
            continue
        step = next((r for r in tier_rules if name in r.meters), None) if tiered else None
        step = step or (_tier_factor(book, found, cards, name, asked) if tiered else rule)
        if step is None:
            why = f"no {asked.tier} price for {name}, and nothing proves one"
            return Price(None, why=(why,), model=whole[0], sold_by=whole[1])
        at_standard = replace(asked, tier="standard")
        by_place = _place(cards, name, at_standard, standard, rules)
        filled = _with_context(cards, name, at_standard, standard)
        if elsewhere := not by_place and _elsewhere(book, found, cards, name, asked, standard, rules):
            notes = [*notes, _GUESSED_PLACE.format(asked.stated)]
        return priced(standard, name, [step, *by_place], notes, asked.at, assumed or elsewhere, *whole, derived=filled)
    return _by_siblings(book, found, cards, rules, asked) or Price(
        None, why=(f"no price row for {asked.meter}",), model=whole[0], sold_by=whole[1]
    )


def _sold_apart(meter: str, cards: Iterable[Card]) -> bool:
    """Whether a meter is sold with the model, so that its service tier matters: tokens, and what the model has rows of."""
    return meter_named(meter).is_token or any(meter in card.prices for card in cards)


def _tier_factor(book: PriceBook, found: Found, cards: Sequence[Card], name: str, asked: Asked) -> Rule | None:
    """What a tier costs in terms of the standard one, for a meter the model has no row of in that tier."""
    if (factor := proven(book, found.sold_by, (name, asked.tier), (name, "standard"))) is not None:
        return Rule("", factor, f"{asked.tier}, as {name} of its siblings", status="assumed")
    ratios = {_ratio(cards, side, asked.tier) for side in ("input", "output")}
    if len(ratios) == 1 and (ratio := ratios.pop()) is not None:
        return Rule("", ratio, f"{asked.tier}, as input and output of the model", status="assumed")
    return None


def _ratio(cards: Sequence[Card], name: str, tier: str) -> Decimal | None:
    one, base = pick(cards, name, tier, ()), pick(cards, name, "standard", ())
    if one is None or base is None or not base[None].prices[name]:
        return None
    return rate(one[None].prices[name] / base[None].prices[name])


#: meters without a row: the meter whose price theirs is a multiple of, where siblings or the model itself prove it
_FROM = {
    "cache_write_1h": ("cache_write", "cache_write_5m"), "cache_write_12h": ("cache_write", "cache_write_30m"),
    "cache_read_audio": ("input_audio",), "cache_read_image": ("input_image",), "cache_read_video": ("input_video",),
}  # fmt: skip


def _by_siblings(
    book: PriceBook, found: Found, cards: Sequence[Card], rules: Sequence[Rule], asked: Asked
) -> Price | None:
    """A price from another meter of the model, by a factor that siblings prove, or the model's own cached text."""
    for name in _FROM.get(asked.meter, ()):
        base = _of_model(book, found, replace(asked, meter=name))
        if base.unit_price is None or (base.status == "assumed" and name.startswith("input")):
            continue
        factor, why = proven(book, found.sold_by, (asked.meter, "standard"), (name, "standard")), "its siblings"
        if factor is None and asked.meter.startswith("cache_read"):
            read, fresh = pick(cards, "cache_read", "standard", ()), pick(cards, "input", "standard", ())
            if read and fresh and fresh[None].prices["input"]:
                factor = rate(read[None].prices["cache_read"] / fresh[None].prices["input"])
                why = "cached text of the model"
        if factor is not None:
            return base.times(Rule("", factor, f"{asked.meter} of {name}, as {why}", status="assumed"))
    return None


def proven(book: PriceBook, seller: str, one: tuple[str, str], other: tuple[str, str]) -> Decimal | None:
    """The factor between two prices, (meter, tier) each, that the seller's models prove; None if they don't.

    >>> from finops_ai.prices import PriceBook
    >>> proven(PriceBook.default(), "anthropic", ("cache_write_1h", "standard"), ("input", "standard"))
    Decimal('2')
    """
    key = (seller, one, other)
    if key not in book.proofs:
        ratios: Counter[Decimal] = Counter()
        for model in book.models(seller):
            general = [c for c in book.cards(seller, model) if c.geography is None and c.over is None and not c.hours]
            prices = [_newest(general, *what) for what in (one, other)]
            if prices[0] is not None and prices[1]:
                ratios[rate(prices[0] / prices[1]).normalize()] += 1
        (factor, count), total = (*ratios.most_common(1), (None, 0))[0], sum(ratios.values())
        enough = total >= _AT_LEAST and count * _LIKE[1] >= total * _LIKE[0]
        book.proofs[key] = factor if enough else None
    return book.proofs[key]


def _newest(cards: Sequence[Card], meter: str, tier: str) -> Decimal | None:
    fit = [card for card in cards if card.service_tier == tier and meter in card.prices]
    return max(fit, key=lambda c: (c.start is not None, c.start)).prices[meter] if fit else None


def _place(cards: Sequence[Card], name: str, asked: Asked, picked: Picked, rules: Sequence[Rule]) -> list[Rule]:
    """What the place adds to a price that is for every place."""
    if picked_for_place(picked) or not meter_named(name).is_token:
        return []
    if asked.tier != "standard" and (ratio := _ratio_here(cards, name, asked)) is not None:
        return [Rule("", ratio, f"{asked.stated}, as the standard price there", status="assumed")] if ratio != 1 else []
    near = [r for r in rules if r.tier is None and r.places and any(same_place(p, asked.places) for p in r.places)]
    side = meter_named(name).direction
    if not near and name != side and not _sold_here(cards, name) and (ratio := _ratio_here(cards, side, asked)):
        return [Rule("", ratio, f"{asked.stated}, as {side} there", status="assumed")]
    return near[:1]


def _ratio_here(cards: Sequence[Card], name: str, asked: Asked) -> Decimal | None:
    """A meter's standard price in the place as a multiple of that for any place; null = one of them isn't known."""
    placed = pick(cards, name, "standard", asked.places)
    general = pick([card for card in cards if card.geography is None], name, "standard", ())
    if placed and general and picked_for_place(placed) and general[None].prices[name]:
        return rate(placed[None].prices[name] / general[None].prices[name])
    return None


def _sold_here(cards: Sequence[Card], name: str) -> bool:
    """Whether a meter has a row for the place in any tier; the cards are those that fit it."""
    return any(card.geography is not None and name in card.prices for card in cards)


def _elsewhere(
    book: PriceBook, found: Found, cards: Sequence[Card], name: str, asked: Asked, picked: Picked, rules: Sequence[Rule]
) -> bool:
    """Whether the price for any place is only a guess in this one: the model is sold by place, and this place has none."""
    if not asked.stated or picked_for_place(picked) or not meter_named(name).is_token:
        return False
    if _sold_here(cards, name):  # in another tier, and what it is a multiple of isn't known
        return asked.tier == "standard" or _ratio_here(cards, name, asked) is None
    sold_in = {place for r in rules if r.tier is None for place in r.places or ()}
    sold_in |= {
        card.geography
        for card in book.cards(found.sold_by, found.model)
        if card.geography and card.holds(asked.at) and name in card.prices
    }
    return unlisted_place(asked.provider, asked.stated, sold_in)


def _with_context(
    cards: Sequence[Card], name: str, asked: Asked, picked: Picked
) -> dict[tuple[int, bool], tuple[Decimal, str]]:
    """Prices above context thresholds that other rows of the model have and these don't, at the same multiple.

    Past a threshold the whole request is at the higher tier: what a cache, image or sound adds to the input, too.
    """
    base = picked[None].prices[name]
    have = {over[0] for over in picked if over is not None}
    general = [card for card in cards if card.geography is None]
    found: dict[tuple[int, bool], tuple[Decimal, str]] = {}
    others = [
        (name, pick(general, name, asked.tier, ())), (name, pick(cards, name, "standard", asked.places)),
        (name, pick(general, name, "standard", ())),
    ]  # fmt: skip
    if name != "input" and meter_named(name).direction == "input":
        others.append(("input", pick(cards, "input", asked.tier, asked.places)))
    for of, other in others:
        if other is None or not other[None].prices[of]:
            continue
        for over, card in other.items():
            if over is not None and over[0] not in have and card.prices[of] != other[None].prices[of]:
                multiple = card.prices[of] / other[None].prices[of]
                by_size = _cheaper(cards, asked.tier) or any(
                    c.service_tier == asked.tier and c.over == over for c in cards
                )
                if of == name and asked.tier != "standard" and not by_size:
                    continue  # what is sold at more than the standard rate is listed at one rate, whatever the size
                row = card.price_id(of) if of == name else picked[None].price_id(name)
                found[over] = rate(base * multiple), f"{row}*{plain(rate(multiple))}"
                have.add(over[0])
    if name == "output":  # a long request's output may be dearer, and nothing tells by how much
        sizes = {c.over for c in cards if c.over is not None and c.service_tier == asked.tier and "input" in c.prices}
        row = picked[None].price_id(name)
        found |= {over: (base, row) for over in sizes if over[0] not in have}
    return found


def _cheaper(cards: Sequence[Card], tier: str) -> bool:
    ratio = _ratio(cards, "input", tier) or _ratio(cards, "output", tier)
    return ratio is not None and ratio < 1
