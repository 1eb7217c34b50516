"""Prices of every key and stretch of time in the data, as one table for an equi-join: resolved once per key and price period."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finops_ai.money import UNIT_PRICE
from finops_ai.prices.cards import rate
from finops_ai.prices.identity import identity
from finops_ai.prices.names import channel_of, provider_name, take_apart
from finops_ai.prices.places import bare, places_of, stated_place

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook
    from finops_ai.prices.price import Price

_MONEY = pa.decimal128(*UNIT_PRICE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 24 * 60
#: how far past the last key a price change still matters: no slice of usage is longer
_AHEAD = 32 * _DAY
#: rows of prices kept for the next time a book is asked
_KEPT = 100_000
#: columns `expand` adds to the keys, besides those of context tiers
ADDED = pa.schema([
    ("list_unit_price", _MONEY), ("contracted_unit_price", _MONEY), ("price_id", pa.string()),
    ("price_status", pa.string()), ("needs_confirmation", pa.bool_()), ("currency", pa.string()),
    ("model_developer", pa.string()), ("model_family", pa.string()), ("model_version", pa.string()),
])  # fmt: skip
#: the columns of one context tier; the first is always there, more get _2, _3, ...
TIER = pa.schema([
    ("over_tokens", pa.int64()), ("over_inclusive", pa.bool_()), ("list_unit_price_over", _MONEY),
    ("contracted_unit_price_over", _MONEY), ("price_id_over", pa.string()), ("price_status_over", pa.string()),
])  # fmt: skip
#: what `settle` needs to know of a row, only where the book has terms by month or day
TERMS = pa.schema([("volume", pa.int32()), ("credit", pa.int32()), ("capacity", pa.int32())])


def expand(book: PriceBook, keys: pa.Table) -> pa.Table:
    """Add unit prices to distinct keys and stretches of time.

    Args:
        book: the price book.
        keys: `provider`, `model`, `meter` and any other of the book's key columns, `day` (date32, UTC), and `minute`
            (of that day, at which the stretch starts) where prices change within days.

    Returns:
        The same rows in the same order with the columns of `ADDED` and `TIER`; prices are per single unit, null =
        unpriced. `over_tokens` is the context threshold above which (or from which, `over_inclusive`) the `_over` prices
        hold; further thresholds follow as `over_tokens_2` and so on, lowest first. `price_until` is the naive UTC instant
        at which another price begins, null where none does in the month after the last key. A book with volume tiers,
        credits or capacity adds the number of the contract each key falls under (`TERMS`).
    """
    columns = [name for name in keys.column_names if name not in ("day", "minute")]
    which, combos = _distinct(keys, columns)
    days = keys["day"].combine_chunks().cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    at, by_minute = days * _DAY, "minute" in keys.column_names
    if by_minute:
        at = at + keys["minute"].combine_chunks().cast(pa.int64()).to_numpy()
    low = np.full(len(combos), np.iinfo(np.int64).max)
    high = np.full(len(combos), -1)
    np.minimum.at(low, which, at)
    np.maximum.at(high, which, at)

    known = known_of(book)
    rows: list[_Row] = []
    place = np.zeros(keys.num_rows, dtype=np.int64)
    until = np.full(keys.num_rows, -1, dtype=np.int64)
    starts: list[int] = []
    owners: list[int] = []
    first_row: list[int] = []
    ends: list[int] = []
    timed: list[int] = []
    for number, combo in enumerate(combos):
        if known.by_time_of_day(combo):
            timed.append(number)
            continue
        turns = known.turns(combo, int(low[number]), int(high[number]))
        found = [known.row(combo, turn) for turn in turns]
        ends += _ends(turns, found)
        first_row += range(len(rows), len(rows) + len(turns))
        rows += found
        starts += turns
        owners += [number] * len(turns)
    if starts:
        span = 1 << 32  # minutes never reach it, so combination and minute make one sortable number
        marks = np.array(owners, dtype=np.int64) * span + np.array(starts)
        hit = np.maximum(np.searchsorted(marks, which * span + at, side="right") - 1, 0)
        place, until = np.array(first_row)[hit], np.array(ends)[hit]
    for number in timed:
        _by_time_of_day(book, combos[number], np.flatnonzero(which == number), at, by_minute, rows, place, until)
    for name, values in _columns(rows, book.has_terms).items():
        keys = keys.append_column(name, values.take(pa.array(place)))
    ended = np.where(until >= 0, until, 0).astype("datetime64[m]").astype("datetime64[us]")
    return keys.append_column("price_until", pa.array(ended, pa.timestamp("us"), mask=until < 0))


class _Row:
    """The prices of one key at one instant."""

    __slots__ = ("added", "rates", "terms", "tiers")

    def __init__(self, book: PriceBook, combo: dict[str, Any], minute: int, unsure: bool = False) -> None:
        at = _EPOCH + timedelta(minutes=minute)
        self.terms = book.terms_of(combo, at) if book.has_terms else ()
        if self.terms and self.terms[2] is not None:  # what capacity serves is worth its on-demand price
            combo = combo | {"service_tier": "standard"}
        listed, contracted = book.both(combo, at)
        window = combo.get("context_tier")
        one, two = listed.in_window(window), contracted.in_window(window)
        self.tiers: list[tuple[Any, ...]] = []
        if one and two:
            listed, contracted = one, two
        else:
            self.tiers = _tiers(listed, contracted)
        who = identity(provider_name(combo["provider"]), listed.model or combo["model"])
        self.rates = (_rate(listed.unit_price), _rate(contracted.unit_price), tuple(t[:4] for t in self.tiers))
        at_list, agreed = listed.unit_price, contracted.unit_price
        dearer = (
            at_list is not None and agreed is not None and agreed > at_list and not book.above_list(combo["provider"])
        )
        self.added = (
            *self.rates[:2], contracted.price_id, contracted.status,
            listed.needs_confirmation or contracted.needs_confirmation or unsure or dearer, contracted.currency,
            who.developer or None, who.family or None, who.version or None,
        )  # fmt: skip


def _tiers(listed: Price, contracted: Price) -> list[tuple[Any, ...]]:
    """Both prices in every context tier that either has, lowest threshold first."""
    found = {over for price in (listed, contracted) for over, _, _ in price.tiers}
    out = []
    for tokens, inclusive in sorted(found, key=lambda over: over[0] - over[1]):
        above = [price.above(tokens if inclusive else tokens + 1) for price in (listed, contracted)]
        rates = _rate(above[0].unit_price), _rate(above[1].unit_price)
        out.append((tokens, inclusive, *rates, above[1].price_id, above[1].status))
    return out


def _columns(rows: list[_Row], terms: bool) -> dict[str, pa.Array]:
    """The rows as columns."""
    out = {f.name: pa.array([row.added[i] for row in rows], f.type) for i, f in enumerate(ADDED)}
    for level in range(max([1, *(len(row.tiers) for row in rows)])):
        ending = f"_{level + 1}" if level else ""
        for i, f in enumerate(TIER):
            values = [row.tiers[level][i] if level < len(row.tiers) else None for row in rows]
            out[f.name + ending] = pa.array(values, f.type)
    if terms:
        out |= {f.name: pa.array([row.terms[i] for row in rows], f.type) for i, f in enumerate(TERMS)}
    return out


class Known:
    """What a book has been asked for, looked up once: keys that no price tells apart, such as two regions at one price or
    two days without a change between them, share their rows."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._turns: dict[tuple[str, str], list[int]] = {}
        self._told: dict[tuple[str, str], frozenset[str]] = {}
        self._timed: dict[tuple[str, str], bool] = {}
        self._words: dict[tuple[Any, ...], tuple[str, ...]] = {}
        self._rows: dict[tuple[Any, ...], _Row] = {}

    def by_time_of_day(self, combo: dict[str, Any]) -> bool:
        """Whether a key's model has prices for some hours or weekdays only."""
        who = combo["provider"], combo["model"]
        if who not in self._timed:
            self._timed[who] = self.book.by_time_of_day(*who)
        return self._timed[who]

    def turns(self, combo: dict[str, Any], low: int, high: int) -> list[int]:
        """Minutes since 1970 at which a price of a key may change: the first it is asked for, and those after."""
        return [low, *(turn for turn in self._turns_of(combo) if low < turn <= high + _AHEAD)]

    def _turns_of(self, combo: dict[str, Any]) -> list[int]:
        """All of those minutes."""
        who = combo["provider"], combo["model"]
        if who not in self._turns:
            self._turns[who] = sorted({_minute(at) for at in self.book.turns(provider_name(who[0]), who[1])})
        return self._turns[who]

    def row(self, combo: dict[str, Any], minute: int) -> _Row:
        """The prices of a key at an instant."""
        if self.book.has_terms:  # capacity may name any column
            return _Row(self.book, combo, minute)
        who = combo["provider"], combo["model"]
        if who not in self._told:
            self._told[who] = _places_told(self.book, *who)
        stretch = bisect_right(self._turns_of(combo), minute)
        spot = (*who, combo.get("inference_geo"), combo.get("region"), stretch)
        if spot not in self._words:
            where, stated = _place_of(self.book, combo, _EPOCH + timedelta(minutes=minute))
            words = tuple(w for w in map(bare, where) if w in self._told[who])
            other = (stated,) if self._told[who] and stated and bare(stated) not in words else ()
            self._words[spot] = words + other  # a place that no price names may make the price a guess
        words = self._words[spot]
        rest = [item for item in sorted(combo.items()) if item[0] not in ("inference_geo", "region")]
        key = (stretch, words, *rest)
        if key not in self._rows:
            if len(self._rows) >= _KEPT:
                self._rows.clear()
                self._words.clear()
            self._rows[key] = _Row(self.book, combo, minute)
        return self._rows[key]


@lru_cache(maxsize=16)
def known_of(book: PriceBook) -> Known:
    """What a book has been asked for: pricing month after month looks each price up once."""
    return Known(book)


def _places_told(book: PriceBook, provider: str, model: str) -> frozenset[str]:
    """The places that a price of a model names; where else a call ran makes no difference."""
    cards = [*book.listed_cards(provider, model), *(card for contract in book.contracts for card in contract.cards)]
    rules = [place for rule in book.own.rules for place in rule.places or ()]
    return frozenset(map(bare, {card.geography for card in cards if card.geography} | set(rules)))


def _place_of(book: PriceBook, key: Mapping[str, Any], at: datetime) -> tuple[tuple[str, ...], str]:
    """The words for where the calls of one key of a token frame ran, and the place as they state it."""
    provider = provider_name(key["provider"])
    sellers = book.sellers(provider, key["model"], at, channel_of(key["provider"], key["model"]))
    named = sellers[0] if sellers else take_apart(provider, key["model"])
    place = {"inference_geo": key.get("inference_geo"), "region": key.get("region") or named.region}
    return places_of(provider, named=named.place, **place), stated_place(provider, named=named.place, **place)


def _minute(at: datetime) -> int:
    """The first whole minute from an instant on."""
    return -((_EPOCH - at) // timedelta(minutes=1))


def _ends(turns: list[int], rows: list[_Row]) -> list[int]:
    """For each turn the one at which the rates differ next, -1 if none does."""
    out = [-1] * len(turns)
    for i in range(len(turns) - 2, -1, -1):
        out[i] = turns[i + 1] if rows[i + 1].rates != rows[i].rates else out[i + 1]
    return out


def _by_time_of_day(
    book: PriceBook, combo: dict[str, Any], where: np.ndarray, at: np.ndarray, by_minute: bool, rows: list[_Row],
    place: np.ndarray, until: np.ndarray,
) -> None:  # fmt: skip
    """Models with prices by hour or weekday: one look-up per price period, weekday and part of the day."""
    low, high = int(at[where].min()), int(at[where].max())
    turns = known_of(book).turns(combo, low, high)
    parts = [0, *book.minutes_of_day(combo["provider"], combo["model"])]
    unsure = len(parts) > 1 and not by_minute
    found: dict[tuple[Any, ...], int] = {}

    def row_at(minute: int) -> int:
        day, rest = divmod(minute, _DAY)
        key = bisect_right(turns, minute), day % 7, bisect_right(parts, rest)
        if key not in found:
            found[key] = len(rows)
            rows.append(_Row(book, combo, minute, unsure))
        return found[key]

    def end_of(minute: int) -> int:
        rates, day = rows[row_at(minute)].rates, minute // _DAY
        steps = {(day + d) * _DAY + part for d in range(9) for part in parts}
        for step in sorted(steps | {turn for turn in turns if turn <= (day + 9) * _DAY}):
            if step > minute and rows[row_at(step)].rates != rates:
                return step
        return -1

    ends: dict[int, int] = {}
    for i in where:
        minute = int(at[i])
        place[i] = row_at(minute)
        if minute not in ends:
            ends[minute] = end_of(minute)
        until[i] = ends[minute]


def _distinct(keys: pa.Table, columns: list[str]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """For each row the number of its combination of key values, and the combinations."""
    code = np.zeros(keys.num_rows, dtype=np.int64)
    for name in columns:
        encoded = keys[name].combine_chunks().dictionary_encode(null_encoding="encode")
        code = code * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy(zero_copy_only=False)
        _, code = np.unique(code, return_inverse=True)
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    return which, keys.select(columns).take(pa.array(first)).to_pylist()


def _rate(price: Decimal | None) -> Decimal | None:
    return None if price is None else rate(price)
