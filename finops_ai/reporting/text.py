"""Text that goes onto a page: escaped, with readable numbers, never mistaken for mathematics or markup."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from finops_ai.html import escaped

if TYPE_CHECKING:
    from typing_extensions import TypeIs

#: how a cell says that a figure isn't known
UNKNOWN = "–"


#: a figure of a page: exact, or for drawing; None where it is unknown
Amount: TypeAlias = Decimal | int | float | None


def is_unknown(value: object) -> TypeIs[None]:
    """Whether a value is missing, in any of the ways frames spell that."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def amount(value: Amount, currency: str = "USD", places: int | None = None) -> str:
    """An amount with separators and its currency; unknown is said, not shown as 0.

    >>> amount(Decimal("12345.678")), amount(None), amount(Decimal("0.0004"))
    ('12,345.68 USD', 'unknown', '0.0004 USD')
    """
    if is_unknown(value):
        return "unknown"
    number = Decimal(str(value))
    if places is None:
        places = 2 if abs(number) >= Decimal("0.01") or not number else min(6, -number.adjusted() + 1)
        if abs(number) < Decimal("0.01") and number:
            return f"{number:.{places}f}".rstrip("0") + f" {currency}"
    return f"{number:,.{places}f} {currency}"


def money(value: Amount) -> str:
    """A published amount without its currency; a dash where it is unknown.

    >>> money(Decimal("1234.5")), money(None)
    ('1,234.50', '–')
    """
    return UNKNOWN if is_unknown(value) else amount(value, "").strip()


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
