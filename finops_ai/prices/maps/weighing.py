"""From what several maps say to the prices of the book: who agrees, who disputes, and from when a price holds.

The base (genai-prices) has dates of its own and stays, unless two other maps, one of them read lately, agree on another
price and none agrees with it. What it lacks is taken from the map that has it, LiteLLM's first; where two others agree against that one, from
them. A change is dated by the day models.dev has for the same change, or by the day the model's standard price
changed, if that lies between the two days the map was read; else by the day it was first seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from finops_ai.prices.cards import MAPS, MILLION, Card, plain, rate, read_over
from finops_ai.prices.maps.history import Change, Kept
from finops_ai.prices.maps.observed import TITLES, Key

_ORDER = (
    "litellm", "modelsdev", "portkey", "azure", "openrouter", "providers", "metergraph", "langfuse", "llmprices",
    "gateways", "catalogue", "awslist",
)  # fmt: skip
_FRESH = timedelta(days=45)  # a map read longer before the base was published can confirm its prices, not correct them
Said = Mapping[str, Sequence[Change]]


@dataclass(frozen=True)
class Agreement:
    """Which maps confirm a price of the book, and which say another one."""

    confirmed: tuple[str, ...]
    disputed: tuple[tuple[str, Decimal], ...]

    def text(self) -> str:
        """In a few words, for the source of a price."""
        parts = [f"also in {', '.join(TITLES[name] for name in self.confirmed)}"] if self.confirmed else []
        parts += [f"{TITLES[name]} says {plain(price)}" for name, price in self.disputed]
        return "; ".join(parts) or "only there"


def last(changes: Sequence[Change]) -> Decimal | None:
    """What a map says now, or said last of a model it no longer has."""
    return changes[-1][1] if changes else None


def agreement(price: Decimal, said: Said, without: str = "") -> Agreement:
    """How the maps stand to a price per million units."""
    now = {
        name: value for name in _ORDER if name in said and name != without and (value := last(said[name])) is not None
    }
    same = tuple(name for name, value in now.items() if _same(value, price))
    return Agreement(same, tuple((name, value) for name, value in now.items() if name not in same))


def fresh_maps(maps: Kept, published: date | None) -> frozenset[str]:
    """The maps that may correct the base: those that weren't read long before it was published."""
    return frozenset(name for name, (_, day) in maps.read.items() if published is None or published - day <= _FRESH)


def cards_of(
    said: Mapping[Key, Said], base: Sequence[Card], maps: Kept, published: date | None = None,
    moves: Iterable[datetime] = (), facts: Sequence[Card] = (),
) -> list[Card]:  # fmt: skip
    """The cards of one model that the maps add to the base, or correct in it.

    Args:
        said: the model's keys.
        base: its cards in the base.
        maps: the maps it is from.
        published: day until which the base's prices count as known.
        moves: instants at which the model's prices are known to have moved.
        facts: its cards in this package's own files; what they price without an end isn't added.
    """
    found: list[Card] = []
    periods = sorted({card.start for card in base if card.start and card.service_tier == "standard"})
    known = sorted({*periods, *moves})
    began = {name: min((_first(s[name]) for s in said.values() if name in s), default=date.min) for name in _ORDER}
    fresh = fresh_maps(maps, published)
    for key, sources in said.items():
        own = [card for card in base if _about(card, key)]
        if any(card.end is None and _about(card, key) for card in facts):
            continue  # this package's own files know it
        if own:
            found += _correction(key, sources, own, fresh)
            found += _before(key, sources, own, periods, [*known, *_moved(key, said)], maps, began)
        elif not _repeats_output(key, said) and not _made_up(key, said):
            replaced = key.over and any(
                _gone(said[other])
                for other in said
                if other._replace(over=key.over) == key and other.over not in ("", key.over)
            )
            found += _added(key, sources, periods, [*known, *_moved(key, said)], maps, began, bool(replaced))
    return found


def _added(
    key: Key, said: Said, starts: Sequence[datetime], known: Sequence[datetime], maps: Kept,
    began: Mapping[str, date], replaced: bool,
) -> list[Card]:  # fmt: skip
    primary = _primary(said)
    changes = _real(_early(said, primary, maps.undated), known if key.tier != "standard" or key.place else None)
    if all(price is None for _, price in changes) or ((key.place or key.tier != "standard") and changes[-1][1] is None):
        return []  # a row of a tier or place that went while its model stayed was a mistake of the map
    dated = _dated(changes, said.get("modelsdev", ()) if primary != "modelsdev" else (), known)
    now = last(changes)
    version, _ = maps.read.get(primary, ("", None))
    cards = []
    for number, (start, price) in enumerate(dated):
        if price is None:
            continue
        end = dated[number + 1][0] if number + 1 < len(dated) else None
        if start and end and start >= end:
            continue
        how = agreement(price, said, primary).text() if now is not None and _same(price, now) else "no longer there"
        if number == 0 and replaced and _first(changes) > began[primary]:  # a threshold that took another's place
            start = datetime.combine(_first(changes), time(), UTC)
        elif number == 0 and start is None and starts:  # it belongs to the period of the standard price it was seen in
            first = changes[0][0]
            start = max((at for at in starts if first is None or at.date() <= first), default=None)
            if start and end and start >= end:
                continue
        cards.append(
            _card(key, price, start, end, f"{TITLES[primary]} {version}; {how}".replace(" ;", ";"), changes[number][0])
        )
    return cards


def _before(
    key: Key, said: Said, own: Sequence[Card], starts: Sequence[datetime], known: Sequence[datetime], maps: Kept,
    began: Mapping[str, date],
) -> list[Card]:  # fmt: skip
    """What the maps said of a price before the base's first one of it begins."""
    first = min((card.start for card in own if card.start), default=None)
    primary = _primary(said)
    if first is None or any(card.start is None for card in own) or not date.min < _first(said[primary]) < first.date():
        return []
    cards = _added(key, said, [at for at in starts if at < first], known, maps, began, False)
    return [
        replace(card, end=min(card.end or first, first)) for card in cards if card.start is None or card.start < first
    ]


def _correction(key: Key, said: Said, own: Sequence[Card], fresh: frozenset[str]) -> list[Card]:
    if key.provider == "aws" and not key.place:
        return []  # the maps' plain entry is the global price of some models: see `litellm`
    newest = max(own, key=lambda card: card.start or datetime.min.replace(tzinfo=UTC))
    if newest.unsure_from or newest.hours or newest.weekdays or newest.status != "listed":
        return []
    price = newest.prices[key.meter] * MILLION
    how = agreement(price, said)
    if how.confirmed:
        return []
    for _, other in how.disputed:
        allies = [ally for ally, value in how.disputed if _same(value, other)]
        if "providers" not in fresh and "providers" in allies:
            allies.remove("providers")  # an older reading of a seller's own list shows what it said then
        if any(_same(card.prices[key.meter] * MILLION, other) for card in own):
            continue  # a price of the past
        if len(allies) > 1 and fresh.intersection(allies):
            days = [at for ally in allies if (at := said[ally][-1][0]) is not None]
            day = max(days, default=None)
            start = datetime.combine(day, time(), UTC) if day else newest.start
            if newest.start and (start is None or start < newest.start):
                start = newest.start
            titles = " and ".join(TITLES[ally] for ally in allies)
            return [_card(key, other, start, newest.end, f"{titles}; {TITLES['genai']} says {plain(price)}", day)]
    return []


def _card(
    key: Key, price: Decimal, start: datetime | None, end: datetime | None, source: str, seen: date | None
) -> Card:
    return Card(
        provider=key.provider, model=key.model, prices={key.meter: rate(price / MILLION)}, service_tier=key.tier,
        over=read_over(key.over or None), geography=key.place or None, start=start, end=end, layer=MAPS, source=source,
        known_since=datetime.combine(seen, time(), UTC) if seen and start else None,
    )  # fmt: skip


def _primary(said: Said) -> str:
    """The map a price is taken from: the first that has it, unless two others agree on a price it never had."""
    names = [name for name in _ORDER if name in said]
    now = {name: value for name in names if (value := last(said[name])) is not None}
    first = names[0]
    past = [price for _, price in said[first] if price is not None]
    for name in names[1:] if first in now else ():
        if name in now and any(_same(now[name], price) for price in past):
            continue  # it has what the first map had before: older, not otherwise
        allies = [other for other in now if name in now and _same(now[other], now[name])]
        if first not in allies and len(allies) > 1 and not any(_same(now[o], now[first]) for o in now if o != first):
            return name
    return first


def _gone(said: Said) -> bool:
    return any(changes and changes[-1][1] is None for changes in said.values())


def _early(said: Said, primary: str, undated: Mapping[str, date]) -> list[Change]:
    """A map's changes, less those to a figure that another map had before: that was a correction, not a change."""
    before: list[tuple[date, Decimal]] = []
    for name, changes in said.items():
        if name != primary and len(changes) == 1 and changes[0][1] is not None and name in undated:
            before.append((undated[name], changes[0][1]))
    kept: list[Change] = []
    for day, price in said[primary]:
        told = price is not None and any(_same(price, other) and day is not None and at < day for at, other in before)
        if kept and kept[-1][1] is not None and told:
            kept[-1] = kept[-1][0], price
        else:
            kept.append((day, price))
    return kept


def _moved(key: Key, said: Mapping[Key, Said]) -> list[datetime]:
    """When the model's standard price of the same meter changed in a map, for a price in a tier or place of its own."""
    general = key._replace(tier="standard", place="", over="")
    if general == key:
        return []
    changes = _real(said.get(general, {}).get("litellm", ()), None)
    return [datetime.combine(day, time(), UTC) for day, price in changes[1:] if day and price is not None]


def _real(changes: Sequence[Change], moves: Sequence[datetime] | None) -> list[Change]:
    """The changes without corrections: a figure that is nearly the same, or that moved while nothing else did.

    Args:
        changes: what a map said.
        moves: instants at which the standard price moved, for a tier or place whose price moves with it; None = unknown.
    """
    kept: list[Change] = []
    for day, price in changes:
        before = kept[-1] if kept else None
        if before and price is not None and before[1]:
            near = abs(price / before[1] - 1) < Decimal("0.03")
            after = before[0] or date.min
            alone = moves is not None and not any(after < at.date() <= (day or date.max) for at in moves)
            if near or alone:
                kept[-1] = before[0], price
                continue
        kept.append((day, price))
    return kept


def _first(changes: Sequence[Change]) -> date:
    return changes[0][0] or date.min


def _dated(
    changes: Sequence[Change], better: Sequence[Change], starts: Sequence[datetime]
) -> list[tuple[datetime | None, Decimal | None]]:
    """The changes with the instants from which they hold."""
    found: list[tuple[datetime | None, Decimal | None]] = []
    before: date | None = None
    for number, (day, price) in enumerate(changes):
        at: datetime | None = None
        if number and day:
            told = [d for d, p in better if d and p == price and (before is None or d > before) and d <= day]
            moved = [s for s in starts if (before is None or s.date() > before) and s.date() <= day]
            at = (
                datetime.combine(told[-1], time(), UTC)
                if told
                else moved[-1]
                if moved
                else datetime.combine(day, time(), UTC)
            )
        found.append((at, price))
        before = day or before
    return found


def _about(card: Card, key: Key) -> bool:
    if key.meter not in card.prices or card.service_tier != key.tier:
        return False
    over = read_over(key.over or None)
    return (card.geography or "") == key.place and (card.over[0] if card.over else None) == (over[0] if over else None)


def _repeats_output(key: Key, said: Mapping[Key, Said]) -> bool:
    """Whether a reasoning price only repeats the output price, which holds for it anyway."""
    if key.meter != "reasoning":
        return False
    output = said.get(key._replace(meter="output"), {})
    return any(last(output[name]) == last(said[key][name]) for name in said[key] if name in output)


def _made_up(key: Key, said: Mapping[Key, Said]) -> bool:
    """Whether only another map has a meter in a tier, or a place or context tier, that LiteLLM's list has without it."""
    if key.place and "litellm" not in said[key]:  # there it only repeats the price of every place
        return any("litellm" in sources for sources in said.values())
    if key.over and "litellm" not in said[key]:  # the newest list has the model without this context tier
        return any("litellm" in said[other] for other in said if other._replace(meter=key.meter, over=key.over) == key)
    if key.tier == "standard" or set(said[key]) != {"modelsdev"}:
        return False
    return any("litellm" in said[other] for other in said if (other.tier, other.over) == (key.tier, key.over))


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= max(abs(one), abs(other)) * Decimal("1e-9")


def joined(cards: Iterable[Card]) -> list[Card]:
    """Cards that differ only in their meters and sources, as one where the sources are the same."""
    groups: dict[tuple[Any, ...], dict[str, Decimal]] = {}
    kept: dict[tuple[Any, ...], Card] = {}
    for card in cards:
        mark = (card.service_tier, card.over, card.geography, card.start, card.end, card.source, card.known_since)
        groups.setdefault(mark, {}).update(card.prices)
        kept.setdefault(mark, card)
    return [replace(card, prices=groups[mark]) for mark, card in kept.items()]
