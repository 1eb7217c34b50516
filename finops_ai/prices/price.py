"""One rate: how cards, context tiers and factors become the price of a meter, and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from finops_ai.prices.cards import CONTRACT, OWN, Card, plain
from finops_ai.prices.names import Names
from finops_ai.prices.own import Rule
from finops_ai.prices.places import same_place

#: meters whose price holds for another by definition
SAME_RATE = {
    "reasoning": ("output",), "cache_write": ("cache_write_5m", "cache_write_30m"), "cache_write_5m": ("cache_write",),
    "cache_write_30m": ("cache_write",), "cache_write_1h": (),
    "input_characters": ("characters",), "output_characters": ("characters",),
}  # fmt: skip

#: where a list names no price of its own: tokens of a cache cost what any input token costs, images and videos what
#: text does. Sound, and what a model generates beside text, is sold far from the text rate: no row, no price.
NO_PRICE = {
    "cache_read": "input", "cache_write": "input", "cache_write_5m": "input", "cache_write_30m": "input",
    "input_image": "input", "input_video": "input",
    "cache_read_image": "cache_read", "cache_read_video": "cache_read",
    "grounding": "web_searches",
}  # fmt: skip
#: meters that no public list has a price of, and why
UNLISTED = {
    "own_key_cost": "it is on the bill of the provider whose key was used",
    "seat_months": "seats cost what their bill or the list of seat prices says",
    "credits": "a credit's price is on its vendor's bill; rows state their cost where the vendor does",
    "premium_requests": "their price is on the vendor's bill; rows state their cost where the vendor does",
    "realtime_sessions": "sessions are billed by their tokens; the count is only for information",
    "gpu_hours": "clusters are sold by contract or by the hour of a shape; the bill has the rate",
    "model_months": "storage of custom models is on the bill only",
    "code_hours": "containers are free up to an allowance of the whole organisation; the bill has what is over it",
    "web_fetches": "fetching costs nothing beyond the tokens it brings in",
    "images_512": "images of this size are listed by their tokens",
    "images_4k": "images of this size are listed by their tokens",
    "unmapped": "the line item isn't known to this package",
    "requests": "calls are billed only where a price row says so",
}
#: meters that cost nothing unless a price says otherwise: counts of calls, and what another seller bills
NEVER_BILLED = frozenset({"requests", "own_key_cost"})


@dataclass(frozen=True, slots=True)
class Price:
    """A rate and how it was found.

    Attributes:
        unit_price: price of one unit (one token, not a million) in `currency`; None = unpriced.
        tiers: (over, unit_price, price_id) of the context tiers, lowest threshold first.
        guessed: thresholds in `tiers` that no row has: the multiple of the model's other rows, `assumed`.
        over: the context tier that was chosen, None = base.
        status: listed, contract, promotional, disputed, assumed or unpriced.
        needs_confirmation: disputed, or past the end of a promotion without a confirmed successor.
        why: the row and each modifier, in the order they were applied.
    """

    unit_price: Decimal | None
    price_id: str | None = None
    status: str = "unpriced"
    needs_confirmation: bool = False
    currency: str = "USD"
    why: tuple[str, ...] = ()
    tiers: tuple[tuple[tuple[int, bool], Decimal, str], ...] = ()
    guessed: frozenset[tuple[int, bool]] = frozenset()
    over: tuple[int, bool] | None = None
    model: str | None = None
    sold_by: str | None = None

    def above(self, input_tokens: int) -> Price:
        """The price of a request with so many input tokens: the whole request is at one context tier."""
        chosen = self
        for over, unit_price, price_id in self.tiers:
            if input_tokens > over[0] or (over[1] and input_tokens == over[0]):
                chosen = replace(
                    self, unit_price=unit_price, price_id=price_id, over=over, status=self.status_above(over)
                )
        return chosen

    def status_above(self, over: tuple[int, bool] | None) -> str:
        """The status of a context tier's price."""
        return "assumed" if over in self.guessed else self.status

    def discounted(self, share: Decimal, by: str) -> Price:
        """This price less a share, in every context tier."""
        assert self.unit_price is not None
        left, mark = 1 - share, f"-{plain(share * 100)}%"
        return replace(
            self,
            unit_price=self.unit_price * left,
            price_id=f"{self.price_id}{mark}",
            status="assumed" if self.status == "assumed" else "contract",  # a share of a guess is a guess
            tiers=tuple((over, price * left, f"{row}{mark}") for over, price, row in self.tiers),
            why=(*self.why, f"less {plain(share * 100)}% ({by})"),
        )

    def times(self, rule: Rule) -> Price:
        """This price times a factor, in every context tier."""
        assert self.unit_price is not None
        mark = f"*{plain(rule.factor)}"
        return replace(
            self,
            unit_price=self.unit_price * rule.factor,
            price_id=f"{self.price_id}{mark}",
            status=self.status if rule.status == "listed" else rule.status,
            tiers=tuple((over, price * rule.factor, f"{row}{mark}") for over, price, row in self.tiers),
            why=(*self.why, f"x {plain(rule.factor)} {rule.why}"),
        )

    def in_window(self, window: str | None) -> Price | None:
        """The price in a context window the provider states ("0-200k", "200k-1M", ">200000"); None if it can't decide."""
        bounds = read_window(window)
        if bounds is None:
            return None
        low, high = bounds
        for (threshold, _), _, _ in self.tiers:
            if not (high is not None and high <= threshold) and low < threshold:
                return None
        return self.above(low + 1)


def read_window(text: str | None) -> tuple[int, int | None] | None:
    """Lower and upper bound, in tokens, of a context window as providers write it; None if it isn't one.

    >>> read_window("200k-1M"), read_window("0-200k"), read_window(">272000"), read_window("long")
    ((200000, 1000000), (0, 200000), (272000, None), None)
    """
    if not text:
        return None
    text = text.strip().lower().replace(" ", "")
    if text[0] in "<>":
        bound = _tokens(text.lstrip("<>="))
        return None if bound is None else ((bound, None) if text[0] == ">" else (0, bound))
    low, dash, high = text.partition("-")
    bounds = _tokens(low), _tokens(high)
    return (bounds[0], bounds[1]) if dash and bounds[0] is not None and bounds[1] is not None else None


def _tokens(text: str) -> int | None:
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:], 1)
    digits = text[:-1] if factor > 1 else text
    return int(digits) * factor if digits.isdigit() else None


def picked_for_place(picked: dict[tuple[int, bool] | None, Card]) -> bool:
    """Whether the base card is for a place of its own, so that no factor for the place comes on top."""
    base = picked.get(None)
    return base is not None and base.geography is not None


def same_name(known: str, name: str) -> bool:
    """Whether a billed name is a known name or a dated snapshot of it.

    >>> same_name("gpt-5.4", "gpt-5.4-2026-03-05"), same_name("gpt-5", "gpt-5-mini")
    (True, False)
    """
    if known == name:
        return True
    names = Names(whole={known: [(None, None, known)]})
    return names.resolve(name, None) is not None


@cache
def chain(meter: str) -> tuple[tuple[str, bool], ...]:
    """Meters whose price holds for a meter, nearest first, and whether that is an assumption.

    >>> chain("cache_write")
    (('cache_write', False), ('cache_write_5m', False), ('cache_write_30m', False), ('input', True))
    """
    found = {meter: False}
    todo = [meter]
    for name in todo:  # grows while it is walked
        todo += [other for other in SAME_RATE.get(name, ()) if other not in found]
        found |= {other: False for other in SAME_RATE.get(name, ()) if other not in found}
    for name in list(found):
        if fallback := NO_PRICE.get(name):
            found |= {other: True for other, _ in chain(fallback) if other not in found}
    return tuple(found.items())


def pick(
    cards: Sequence[Card], meter: str, tier: str, places: tuple[str, ...], below: Price | None = None
) -> dict[tuple[int, bool] | None, Card] | None:
    """The cards that price a meter at one tier, by context tier: the most specific place, then hours, then newest."""
    fitting = [card for card in cards if card.service_tier == tier and meter in card.prices]
    if not fitting:
        return None

    def rank(card: Card) -> tuple[Any, ...]:
        place = same_place(card.geography, places) if card.geography else 0
        start = card.start or datetime.min.replace(tzinfo=UTC)
        timed = card.weekdays is not None or card.hours is not None
        return max(card.layer, OWN), place, timed, card.layer, start

    best = {card.over: card for card in sorted(fitting, key=rank)}
    base = best.get(None)
    if base is None:
        return best if below is not None else None
    return {over: card for over, card in best.items() if max(card.layer, OWN) >= base.layer and _together(card, base)}


def _together(card: Card, base: Card) -> bool:
    """Whether a context tier belongs to a base card: not if the base is for a narrower place or time of day."""
    return card is base or (not (base.geography and not card.geography) and not (base.hours and not card.hours))


def priced(
    picked: dict[tuple[int, bool] | None, Card], meter: str, factors: Sequence[Rule], notes: Sequence[str],
    at: datetime, assumed: bool, model: str | None, sold_by: str | None, below: Price | None = None,
    derived: Mapping[tuple[int, bool], tuple[Decimal, str]] | None = None,
) -> Price:  # fmt: skip
    """A price of picked cards; `derived` are (price, row) of context tiers that no card has."""
    factor = Decimal(1)
    for rule in factors:
        factor *= rule.factor
    mark = "".join(f"*{plain(rule.factor)}" for rule in factors)
    above = sorted(((over, card) for over, card in picked.items() if over is not None), key=lambda item: item[0])
    steps = {over: (card.prices[meter] * factor, card.price_id(meter) + mark) for over, card in above}
    steps |= {over: (price * factor, row + mark) for over, (price, row) in (derived or {}).items()}
    tiers = tuple((over, *steps[over]) for over in sorted(steps, key=lambda over: over[0]))
    base = picked.get(None)
    if base is None:  # only context tiers here: under them the price below holds
        assert below is not None
        kept = tuple(tier for tier in below.tiers if tier[0] < tiers[0][0])
        guessed = below.guessed & {over for over, _, _ in kept}
        return replace(below, tiers=(*kept, *tiers), guessed=guessed, status="contract", model=model, sold_by=sold_by)
    status = base.status if base.layer != CONTRACT or base.status != "listed" else "contract"
    unsure = any(card.unsure(at) for card in picked.values())
    return Price(
        unit_price=base.prices[meter] * factor,
        price_id=base.price_id(meter) + mark,
        status="assumed" if assumed else next((r.status for r in factors if r.status != "listed"), status),
        needs_confirmation=unsure,
        currency=base.currency,
        why=(base.describe(meter), *(f"x {plain(rule.factor)} {rule.why}" for rule in factors), *notes),
        tiers=tiers,
        guessed=frozenset(derived or ()),
        model=model,
        sold_by=sold_by,
    )
