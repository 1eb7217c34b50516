"""Numbers of an answer or file as a frame holds them: exact, and nothing where nothing is stated."""

from __future__ import annotations

from decimal import Decimal

from finops_ai.errors import DataError
from finops_ai.money import COST, QUANTITY, UNIT_PRICE, exact


def number(value: object, scale: int, place: str) -> Decimal | None:
    """A number, exact up to the frame's scale; empty is None, never 0.

    Providers write doubles: digits beyond the scale (1e-18 of a currency unit) are the double's own noise.

    Raises:
        DataError: not a number; says where.

    >>> number("0.1", 18, "bill.csv, line 2"), number("", 18, "bill.csv, line 3")
    (Decimal('0.1'), None)
    """
    if value is None or value == "":
        return None
    try:
        amount = exact(value)
    except (ArithmeticError, ValueError):
        raise DataError(f"{place}: {value!r} is not a number.") from None
    return amount if -amount.as_tuple().exponent <= scale else round(amount, scale)  # type: ignore[operator]


def money(value: object, place: str) -> Decimal | None:
    """An amount of money, see `number`."""
    return number(value, COST[1], place)


def quantity(value: object, place: str) -> Decimal | None:
    """A billed quantity, see `number`."""
    return number(value, QUANTITY[1], place)


def unit_price(value: object, place: str) -> Decimal | None:
    """A price per billed unit, see `number`."""
    return number(value, UNIT_PRICE[1], place)
