"""What nested values from outside must look like where they are read: tables, lists, texts and numbers in their places.

A shape is written as the values themselves: a dict for a table, a list of one for a list, and a word for a value. A key that ends
with `!` must be there; others may be missing or null, and keys no shape names may be anything.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from finops_ai.money import exact

#: a table's keys, a list's entries, or the word of a kind of value
Shape: TypeAlias = "Mapping[str, Any] | list[Any] | str"


def _number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return False
    try:
        return exact(value).is_finite()
    except (ValueError, ArithmeticError):
        return False


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _digits(value: object) -> bool:
    if isinstance(value, float | Decimal):  # a table with a gap has its counts as such
        number = Decimal(value)
        return number.is_finite() and number == number.to_integral_value() and abs(number) < 2**63
    return _whole(value) or (isinstance(value, str) and value.isascii() and value.strip().isdigit() and len(value) < 19)


#: word -> what it takes, and how it is called in a sentence
KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "text": (lambda v: isinstance(v, str), "text"),
    "label": (lambda v: isinstance(v, str | int | Decimal) and not isinstance(v, bool), "a name or number"),
    "number": (_number, "a number"),
    "whole": (_whole, "a whole number"),
    "digits": (_digits, "a whole number"),
    "flag": (lambda v: isinstance(v, bool), "true or false"),
    "day": (lambda v: isinstance(v, str | dt.date), "a day or month"),
    "time": (lambda v: isinstance(v, str | dt.date) or _number(v), "a time"),
    "value": (lambda v: not isinstance(v, Mapping | list), "one value"),
    "any": (lambda v: True, "anything"),
}


def misfit(value: object, shape: Shape, path: str = "") -> str:
    """Where a value departs from its shape first, in words; "" where it fits.

    Args:
        value: of JSON or TOML.
        shape: see the module.
        path: what the value is called, for the words.

    >>> page = {"data": [{"id!": "text", "tokens": "whole"}]}
    >>> misfit({"data": [{"id": "a", "tokens": 5, "new": []}, {"id": "b"}]}, page)
    ''
    >>> misfit({"data": [{"id": "a", "tokens": [5]}]}, page)
    'data[0].tokens must be a whole number, not [5]'
    >>> misfit({"data": {"id": "a"}}, page), misfit({"data": [{}]}, page)
    ("data must be a list, not {'id': 'a'}", 'data[0].id is missing')
    """
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return _not(value, "a table", path)
        for name, inner in shape.items():
            key = name.removesuffix("!")
            found = value.get(key)
            where = f"{path}.{key}" if path else key
            if found is None:
                if name != key:
                    return f"{where} is missing"
            elif wrong := misfit(found, inner, where):
                return wrong
        return ""
    if isinstance(shape, list):
        if not isinstance(value, list | tuple):
            return _not(value, "a list", path)
        return next((wrong for i, one in enumerate(value) if (wrong := misfit(one, shape[0], f"{path}[{i}]"))), "")
    takes, words = KINDS[shape]
    return "" if takes(value) else _not(value, words, path)


def _not(value: object, words: str, path: str) -> str:
    said = repr(value)
    return f"{path or 'it'} must be {words}, not {said if len(said) <= 80 else said[:77] + '...'}"


__all__ = ["KINDS", "Shape", "misfit"]
