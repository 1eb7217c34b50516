"""A price card: the dated prices of one model under one set of modifiers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from finops_ai.errors import PriceError
from finops_ai.frames import SERVICE_TIERS
from finops_ai.frames.prices import PRICE_STATUSES
from finops_ai.meters import meters
from finops_ai.money import UNIT_PRICE

#: where a card is from; a later layer beats an earlier one
BASE, MAPS, OWN, USER, CONTRACT = range(5)
MILLION = Decimal(1_000_000)
_CONTEXT = re.compile(r"^(>=?)\s*(\d+)$")


@dataclass(frozen=True, slots=True)
class Card:
    """Prices of one model that hold together: one service tier, context tier, place and period.

    Attributes:
        provider, model: whose card, for which model (canonical names).
        prices: meter -> price of one unit (of one token, not of a million) in `currency`.
        service_tier: tier the prices are for.
        over: (tokens, inclusive) of the context tier, or None = base.
        geography: place the prices are for; None = every place without a card of its own.
        start, end: first instant it holds, and first instant it no longer does; None = open.
        hours: half-open minutes of the UTC day, (60, 240) = 01:00 to 04:00; None = all day.
        weekdays: UTC weekdays it holds on, Monday = 0; None = all.
        status: listed, contract, promotional, disputed, assumed.
        unsure_from: instant from which the price needs confirmation (end of a promotion without a confirmed successor).
        known_since: when it became known.
        source, checked: where from, and when somebody compared it.
        layer: BASE, MAPS, OWN, USER or CONTRACT.
    """

    provider: str
    model: str
    prices: Mapping[str, Decimal]
    service_tier: str = "standard"
    over: tuple[int, bool] | None = None
    geography: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    hours: tuple[int, int] | None = None
    weekdays: frozenset[int] | None = None
    status: str = "listed"
    unsure_from: datetime | None = None
    known_since: datetime | None = None
    source: str = ""
    checked: str | None = None
    layer: int = BASE
    currency: str = "USD"
    times: tuple[str, ...] = field(default=(), compare=False)

    def holds(self, at: datetime) -> bool:
        """Whether the card's period, hours and weekdays contain an instant."""
        if (self.start and at < self.start) or (self.end and at >= self.end):
            return False
        if self.weekdays is not None and at.weekday() not in self.weekdays:
            return False
        if self.hours is None:
            return True
        minute, (first, last) = at.hour * 60 + at.minute, self.hours
        return first <= minute < last if first <= last else minute >= first or minute < last

    def unsure(self, at: datetime) -> bool:
        """Whether a price of this card needs confirmation at an instant."""
        return self.status == "disputed" or (self.unsure_from is not None and at >= self.unsure_from)

    def price_id(self, meter: str) -> str:
        """Stable id of one of the card's prices: the same row has the same id in every run."""
        text = "|".join(str(part) for part in (
            self.provider, self.model, meter, self.service_tier, self.over, self.geography, self.start, self.hours,
            sorted(self.weekdays or ()), self.layer, f"{self.prices[meter]:f}", self.currency,
        ))  # fmt: skip
        return f"{self.provider}:{self.model}:{meter}:{blake2b(text.encode(), digest_size=6).hexdigest()}"

    def describe(self, meter: str) -> str:
        """The row in one line, for `why`."""
        parts = [f"{self.provider} {self.model} {meter} {plain(self.prices[meter] * MILLION)} per million"]
        if self.currency != "USD":
            parts[0] += f" {self.currency}"
        if self.service_tier != "standard":
            parts.append(self.service_tier)
        if self.over:
            parts.append(over_text(self.over))
        if self.geography:
            parts.append(self.geography)
        if self.start:
            parts.append(f"from {self.start:%Y-%m-%d}")
        if self.end:
            parts.append(f"to {self.end:%Y-%m-%d}")
        if self.hours:
            parts.append("{:02}:{:02}-{:02}:{:02} UTC".format(*divmod(self.hours[0], 60), *divmod(self.hours[1], 60)))
        if self.status != "listed":
            parts.append(self.status)
        return ", ".join([*parts, *self.times])


def plain(value: Decimal) -> str:
    """A decimal without exponent or trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def rate(value: Decimal) -> Decimal:
    """A unit price with the 12 places prices are kept in: exact for prices per thousand or million units.

    >>> rate(Decimal(1) / 3)
    Decimal('0.333333333333')
    """
    exponent = value.as_tuple().exponent
    return round(value, UNIT_PRICE[1]) if isinstance(exponent, int) and -exponent > UNIT_PRICE[1] else value


def over_text(over: tuple[int, bool]) -> str:
    """A context tier as text.

    >>> over_text((200000, False))
    '>200000'
    """
    return f"{'>=' if over[1] else '>'}{over[0]}"


def read_over(text: str | None) -> tuple[int, bool] | None:
    """A context tier from text such as ">200000" or ">=128000".

    Raises:
        PriceError: any other text.
    """
    if text is None:
        return None
    if not (match := _CONTEXT.match(text)):
        raise PriceError(f"A context tier is '>N' or '>=N' input tokens, got {text!r}.")
    return int(match[2]), match[1] == ">="


def read_instant(value: object, what: str = "date") -> datetime | None:
    """A UTC instant from a date, an instant or ISO text; a date is its 00:00 UTC.

    Raises:
        PriceError: text that is no date.
    """
    if value is None or (isinstance(value, datetime) and value.tzinfo):
        return value
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    try:
        return read_instant(datetime.fromisoformat(str(value)))
    except ValueError:
        raise PriceError(f"{what} must be a date like 2026-11-01, got {value!r}.") from None


def read_hours(value: Any) -> tuple[int, int] | None:
    """Minutes of the UTC day from ["HH:MM", "HH:MM"].

    Raises:
        PriceError: anything else.
    """
    if value is None:
        return None
    try:
        first, last = (time.fromisoformat(str(v)) for v in value)
        return first.hour * 60 + first.minute, last.hour * 60 + last.minute
    except (ValueError, TypeError):
        raise PriceError(f'utc_hours must be ["HH:MM", "HH:MM"], got {value!r}.') from None


def check_card(card: Card) -> Card:
    """Refuse a card nobody could price by.

    Raises:
        PriceError: unknown meter, tier or status, a negative price, or a period that ends before it starts.
    """
    where = f"{card.provider} {card.model}"
    if not card.prices:
        raise PriceError(f"{where}: a price card without prices.")
    for meter, price in card.prices.items():
        if meter not in meters():
            raise PriceError(f"{where}: no meter called {meter!r}.")
        if not price.is_finite() or price < 0:
            raise PriceError(f"{where} {meter}: a price is 0 or more, got {price}.")
    if card.service_tier not in SERVICE_TIERS:
        raise PriceError(f"{where}: service tier {card.service_tier!r} is none of {SERVICE_TIERS}.")
    if card.status not in PRICE_STATUSES:
        raise PriceError(f"{where}: status {card.status!r} is none of {PRICE_STATUSES}.")
    if card.start and card.end and card.start >= card.end:
        raise PriceError(f"{where}: the period {card.start:%Y-%m-%d} to {card.end:%Y-%m-%d} is empty.")
    return card
