"""Numbers of an answer or file as a frame holds them: exact, and nothing where nothing is stated."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from finops_ai.errors import DataError
from finops_ai.money import COST, QUANTITY, UNIT_PRICE, exact

#: room for every digit of a number that is read
_WIDE = Context(prec=400)


def number(value: object, kind: tuple[int, int], place: str) -> Decimal | None:
    """A number, exact up to the frame's scale; empty is None, never 0.

    Providers write doubles: digits beyond the scale (1e-18 of a currency unit) are the double's own noise.

    Args:
        value: as it stands in the file or answer.
        kind: how many digits the frame has room for, and how many of them after the point.
        place: for messages.

    Raises:
        DataError: not a number, or larger than the frame has room for; says where.

    >>> number("0.1", (38, 18), "bill.csv, line 2"), number("", (38, 18), "bill.csv, line 3")
    (Decimal('0.1'), None)
    """
    if value is None or value == "":
        return None
    try:
        amount = exact(value)
    except (ArithmeticError, ValueError):
        raise DataError(f"{place}: {value!r} is not a number.") from None
    digits, scale = kind
    if amount and amount.adjusted() >= digits - scale:
        raise DataError(f"{place}: {str(value)[:60]} is larger than any amount or quantity.")
    if -amount.as_tuple().exponent <= scale:  # type: ignore[operator]
        return amount
    return amount.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_EVEN, _WIDE)


def count(value: Any) -> Any:
    """A count as int where it is written as text or with decimals (JSON of 64-bit numbers has them so); else the value itself.

    >>> count("1200"), count(Decimal("1200.0")), count("1,200"), count(1.5), count(None)
    (1200, 1200, '1,200', 1.5, None)
    """
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else value
    if isinstance(value, float | Decimal):
        exactly = Decimal(value)
        return int(exactly) if exactly.is_finite() and abs(exactly) < 2**63 and exactly == int(exactly) else value
    return value


def money(value: object, place: str) -> Decimal | None:
    """An amount of money, see `number`."""
    return number(value, COST, place)


def quantity(value: object, place: str) -> Decimal | None:
    """A billed quantity, see `number`."""
    return number(value, QUANTITY, place)


def unit_price(value: object, place: str) -> Decimal | None:
    """A price per billed unit, see `number`."""
    return number(value, UNIT_PRICE, place)
