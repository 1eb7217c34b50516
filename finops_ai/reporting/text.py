"""Text that goes onto a page: escaped, with readable numbers, never mistaken for mathematics or markup."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from finops_ai.html import escaped
from finops_ai.money import minor_units, written

if TYPE_CHECKING:
    from typing_extensions import TypeIs

#: how a cell says that a figure isn't known
UNKNOWN = "–"


#: a figure of a page: exact, or for drawing; None where it is unknown
Amount: TypeAlias = Decimal | int | float | None


def is_unknown(value: object) -> TypeIs[None]:
    """Whether a value is missing, in any of the ways frames spell that."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def amount(value: Amount, currency: str = "USD") -> str:
    """An amount in minor units with its currency; unknown is said, not shown as 0, and what is less keeps six places.

    >>> amount(Decimal("12345.678")), amount(Decimal("12345.678"), "JPY"), amount(None), amount(Decimal("0.0004"))
    ('12,345.68 USD', '12,346 JPY', 'unknown', '0.0004 USD')
    """
    return "unknown" if is_unknown(value) else f"{written(value, currency, finest=True)} {currency}"


def money(value: Amount, currency: str) -> str:
    """A published amount without its currency; a dash where it is unknown.

    >>> money(Decimal("1234.5"), "USD"), money(Decimal(1234), "JPY"), money(None, "USD")
    ('1,234.50', '1,234', '–')
    """
    return UNKNOWN if is_unknown(value) else written(value, currency, finest=True)


def rate(value: Amount, currency: str) -> str:
    """An amount per something with its currency: two decimal places at least, whatever the minor unit; small ones keep two digits.

    >>> rate(Decimal("2.5"), "USD"), rate(Decimal("93.456"), "JPY"), rate(Decimal("0.000421"), "USD")
    ('2.50 USD', '93.46 JPY', '0.00042 USD')
    """
    if is_unknown(value):
        return "unknown"
    number = Decimal(str(value))
    if number and abs(number) < Decimal("0.01"):
        return f"{number:.{min(6, 1 - number.adjusted())}f}".rstrip("0").rstrip(".") + f" {currency}"
    return f"{number:,.{max(2, minor_units(currency))}f} {currency}"


def count(value: Amount) -> str:
    """A whole number people can read: 1,234 or 12.3 million.

    >>> count(950), count(12_345_678), count(None)
    ('950', '12.3 million', 'unknown')
    """
    if is_unknown(value):
        return "unknown"
    number = float(value)
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(number) >= size:
            return f"{number / size:,.1f} {word}"
    return f"{number:,.0f}"


def things(number: Amount, one: str) -> str:
    """A number of things in words.

    >>> things(1, "request"), things(2, "day"), things(12_345_678, "request")
    ('1 request', '2 days', '12.3 million requests')
    """
    return f"{count(number)} {one}{'s' * (number != 1)}"


def singular(words: str) -> str:
    """What a figure is of, for one of them.

    >>> singular("tokens with a known price"), singular("requests")
    ('token with a known price', 'request')
    """
    first, *more = words.split(" ")
    return " ".join([first.removesuffix("s"), *more])


def percent(part: object, whole: object = 1, places: int = 1) -> str:
    """A share in per cent; nothing of nothing has no share.

    >>> percent(1, 4), percent(0, 0), percent(Decimal("0.9996"))
    ('25.0%', 'n/a', '>99.9%')
    """
    if is_unknown(part) or is_unknown(whole) or not whole:
        return "n/a"
    share = Decimal(str(part)) / Decimal(str(whole)) * 100
    text = f"{round(share, places) or Decimal(0):.{places}f}"  # what rounds to nought has no sign
    if share < 100 and Decimal(text) == 100:
        return f">{Decimal(100) - Decimal(1).scaleb(-places)}%"
    return f"{text}%"


def safe(value: object) -> str:
    """Text from outside (team, tag and model names) for HTML; control and bidirectional marks are made visible."""
    return escaped(value)


def named(column: str) -> str:
    """A column as people read it.

    >>> named("prompt_id"), named("cost_centre"), named("tags.env")
    ('prompt', 'cost centre', 'env')
    """
    known = {
        "prompt_id": "prompt",
        "user_id": "user",
        "api_key_id": "API key",
        "sub_account_name": "project",
        "sub_account_id": "account",
        "billing_account_id": "billing account",
        "model_developer": "developer",
        "model_family": "family",
        "service_tier": "tier",
    }
    return known.get(column, column.removeprefix("tags.").replace("_", " "))


def title(column: str) -> str:
    """A column as a heading.

    >>> title("prompt_id"), title("api_key_id")
    ('Prompt', 'API key')
    """
    text = named(column)
    return text[:1].upper() + text[1:]


def slug(text: str) -> str:
    """A file name for any text: lower-case letters and digits, with a digest where something was lost.

    >>> slug("search"), slug("../../x") == slug("../../x"), "/" in slug("../../x")
    ('search', True, False)
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return plain if plain and plain == text else f"{plain or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
