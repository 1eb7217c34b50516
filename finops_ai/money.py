"""Exact money: types, splitting without loss, rounding once.

Quantities are DECIMAL(19,6), unit prices DECIMAL(18,12) per single unit (per token, not per million), and their
product is DECIMAL(38,18) on DuckDB, Spark and Arrow alike, so no row is ever rounded. Rounding happens once, at the
published grain, by largest remainder, so that the parts add up to the total.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

QUANTITY = (19, 6)
UNIT_PRICE = (18, 12)
COST = (38, 18)

#: minor units of the currencies that don't have two (ISO 4217)
MINOR_UNITS = {
    "BHD": 3, "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KMF": 0, "KRW": 0,
    "KWD": 3, "LYD": 3, "OMR": 3, "PYG": 0, "RWF": 0, "TND": 3, "UGX": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0,
    "XPF": 0,
}  # fmt: skip


def minor_units(currency: str) -> int:
    """Decimal places of a currency's published amounts (ISO 4217).

    >>> minor_units("USD"), minor_units("JPY")
    (2, 0)
    """
    return MINOR_UNITS.get(currency.upper(), 2)


def written(amount: Decimal | float, currency: str | None, sign: str = "", *, finest: bool = False) -> str:
    """An amount as text, in the minor units of its currency, with separators and without the currency's name.

    Args:
        amount: what is written, rounded half-even; what rounds to nought has no sign.
        currency: its code; two decimal places where none is known.
        sign: "+" writes the sign of every amount.
        finest: keep up to six places of what is less than one minor unit, so that it isn't written as 0.

    >>> written(Decimal("1234.5"), "USD"), written(Decimal("1234.5"), "JPY"), written(Decimal("1234.5"), "KWD", "+")
    ('1,234.50', '1,234', '+1,234.500')
    >>> written(Decimal("0.0040001"), "USD", finest=True), written(Decimal("0.4"), "JPY", finest=True)
    ('0.004', '0.4')
    """
    places = minor_units(currency or "USD")
    if finest and 0 < abs(float(amount)) < 10.0**-places and round(amount, 6):
        return f"{amount:{sign}z.6f}".rstrip("0")
    return f"{amount:{sign}z,.{places}f}"


def brief(amount: Decimal | float, currency: str | None, sign: str = "") -> str:
    """An amount as drawings label it: whole from 100 on, in minor units below.

    >>> brief(1204.6, "USD"), brief(Decimal("0.54"), "USD"), brief(12.4, "JPY")
    ('1,205', '0.54', '12')
    """
    return f"{amount:{sign}z,.0f}" if abs(float(amount)) >= 100 else written(amount, currency, sign)


def split_exactly(amount: int, weights: Sequence[int]) -> list[int]:
    """Split a whole number of smallest units in proportion to weights, losing nothing.

    Largest remainder; ties go to the earlier position. Negative amounts (credits) split the same way.

    Args:
        amount: whole smallest units (cents, say), any sign.
        weights: non-negative whole numbers, not all 0.

    Returns:
        One whole number per weight; they add up to `amount`, each within one unit of its exact share.

    >>> split_exactly(100, [1, 1, 1])
    [34, 33, 33]
    >>> split_exactly(-100, [1, 1, 1])
    [-34, -33, -33]
    """
    if amount < 0:
        return [-part for part in split_exactly(-amount, weights)]
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError(f"weights must be 0 or more and add up to more than 0, got {list(weights)}")
    parts = [amount * w // total for w in weights]
    remainders = [amount * w % total for w in weights]
    for i in sorted(range(len(parts)), key=lambda i: (-remainders[i], i))[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def round_to_total(amounts: Sequence[Decimal], places: int = 2) -> list[Decimal]:
    """Round amounts so that they add up to their rounded exact total (largest remainder).

    Args:
        amounts: exact amounts of one currency, any signs.
        places: decimal places to publish.

    Returns:
        The rounded amounts in the same order. Their sum is the exact sum rounded half-even; each is within one
        published unit of its exact amount.

    >>> round_to_total([Decimal("0.333"), Decimal("0.333"), Decimal("0.334")])
    [Decimal('0.33'), Decimal('0.33'), Decimal('0.34')]
    """
    if not amounts:
        return []
    unit, scale = Decimal(1).scaleb(-places), 10**places
    ratios = [a.as_integer_ratio() for a in amounts]
    one = math.lcm(*{below for _, below in ratios})  # all amounts as whole numbers of one size: no fraction is made
    split = [divmod(above * (one // below) * scale, one) for above, below in ratios]
    floors = [whole for whole, _ in split]
    rest = sum(part for _, part in split)
    spare, left = divmod(rest, one)
    spare += 2 * left > one or (2 * left == one and (sum(floors) + spare) % 2 == 1)
    for i in sorted(range(len(split)), key=lambda i: -split[i][1])[:spare]:
        floors[i] += 1
    return [Decimal(n) * unit for n in floors]


class NotANumber(ValueError, InvalidOperation):
    """A text that is no number; an error of value to some readers and of arithmetic to others."""


#: powers of ten that no amount, price or quantity reaches: a number beyond is made to fill memory, or a slip
LARGEST = 100


def exact(value: object) -> Decimal:
    """Turn a number read from a file or API into an exact Decimal.

    Floats go through their shortest decimal text, so 0.1 is 0.1; booleans, NaN, infinities and numbers beyond 10^100 are
    refused.

    >>> exact("12.50"), exact(3), exact(0.1)
    (Decimal('12.50'), Decimal('3'), Decimal('0.1'))
    """
    if isinstance(value, bool):
        raise ValueError(f"not a number: {value!r}")
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value).strip())
    except InvalidOperation:
        raise NotANumber(f"not a number: {str(value)[:40]!r}") from None
    if not number.is_finite():
        raise ValueError(f"not a finite number: {value!r}")
    if number and abs(number.adjusted()) > LARGEST:
        raise ValueError(f"not a number that can be counted with: {str(value)[:40]}")
    return number


def published(amount: Decimal, currency: str = "USD") -> Decimal:
    """Round one amount to the currency's minor unit, half-even: for a single figure, not for parts of a total.

    >>> published(Decimal("1.005"))
    Decimal('1.00')
    """
    return amount.quantize(Decimal(1).scaleb(-minor_units(currency)), rounding=ROUND_HALF_EVEN)
