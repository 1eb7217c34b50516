"""JSON from outside as values: numbers exact, 1200.0 the whole number 1200, nothing nested too deep, none made to overflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from finops_ai.errors import DataError
from finops_ai.providers.limits import limits, require
from finops_ai.shapes import Shape, misfit

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.S)
_LONE = re.compile("[\ud800-\udfff]")


def parse_json(content: bytes, place: object, *, lenient: bool = False) -> Any:
    """A JSON document (UTF-8, with or without byte order mark), fractions as exact Decimals.

    JSON knows one kind of number: 1200, 1200.0 and 1.2e3 are the same, and all three come as int.

    Args:
        content: the bytes.
        place: file and line, or the request, for messages.
        lenient: NaN and Infinity, which are no JSON, are null instead of an error.

    Raises:
        DataError: no whole JSON, nested deeper than `depth`, or a number with more than `digits` digits.

    >>> parse_json(b'{"cost": 0.1, "tokens": 1200.0}', "page 1")
    {'cost': Decimal('0.1'), 'tokens': 1200}
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    _check_depth(content, place)
    try:
        document = json.loads(
            content, parse_float=_number, parse_int=_digits, parse_constant=_null if lenient else _constant
        )
    except _NumberTooLong as error:
        raise DataError(
            f"{place}: {error} is no number that can be counted with (at most {limits().digits} digits). Nothing was stored."
        ) from None
    except json.JSONDecodeError as error:
        line = "" if ", line " in str(place) else f", line {error.lineno}"
        where = f"{line}, column {error.colno}"
        raise DataError(
            f"{place}{where}: not whole JSON ({error.msg}). The file may be cut short: save the page again. Nothing was stored."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 text ({error.reason} at byte {error.start}). Nothing was stored."
        ) from None
    except RecursionError:
        raise DataError(f"{place}: it is nested too deep to be read. Nothing was stored.") from None
    return _whole_text(document) if b"\\ud" in content or b"\\uD" in content else document


def require_shape(value: object, shape: Shape, place: object) -> None:
    """See that a parsed document looks as its reader takes for granted, so that what departs from it is said with its place.

    Args:
        value: the document, or one row of it.
        shape: `finops_ai.shapes` says how it is written.
        place: file and line, or the request, for messages.

    Raises:
        DataError: names the place, where in the document, what must be there and what is.

    >>> require_shape({"data": [{"model": 5}]}, {"data": [{"model": "text"}]}, "page 1")
    Traceback (most recent call last):
    ...
    finops_ai.errors.DataError: page 1: data[0].model must be text, not 5. The file isn't as it was written: save it again. Nothing was stored.
    """
    if wrong := misfit(value, shape):
        raise DataError(f"{place}: {wrong}. The file isn't as it was written: save it again. Nothing was stored.")


class Documents:
    """JSON documents that follow each other with blanks, commas or record separators between them; NaN is null.

    >>> list(Documents(b'{"a": 1}{"a": NaN},\\n[2]', "log"))
    [{'a': 1}, {'a': None}, [2]]
    """

    def __init__(self, content: bytes, place: object) -> None:
        self.content, self.place = content.removeprefix(b"\xef\xbb\xbf"), place

    def __iter__(self) -> Iterator[Any]:
        _check_depth(self.content, self.place)
        decoder = json.JSONDecoder(parse_float=_number, parse_int=_digits, parse_constant=_null)
        text = self.content.decode("utf-8", "replace")
        at = 0
        while at < len(text):
            if text[at] in " \t\r\n,\x1e\0":
                at += 1
                continue
            try:
                document, at = decoder.raw_decode(text, at)
            except _NumberTooLong as error:
                raise DataError(
                    f"{self.place}: {error} is no number that can be counted with (at most {limits().digits} digits). Nothing was stored."
                ) from None
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{self.place}, line {error.lineno}, column {error.colno}: not whole JSON ({error.msg}). The file may be cut "
                    "short: save the page again. Nothing was stored."
                ) from None
            except RecursionError:
                raise DataError(f"{self.place}: it is nested too deep to be read. Nothing was stored.") from None
            yield _whole_text(document) if "\\ud" in text or "\\uD" in text else document


def _check_depth(content: bytes, place: object) -> None:
    if content.count(b"[") + content.count(b"{") > limits().depth:
        require(_depth(content), "depth", place, "how deep it is nested")


def _number(text: str) -> Decimal | int:
    most = limits().digits
    try:
        value = Decimal(text)
    except InvalidOperation:  # an exponent beyond what decimals know
        raise _NumberTooLong(text[:40]) from None
    if (len(text) > most and (len(value.as_tuple().digits) > most)) or abs(value.adjusted()) > most:
        raise _NumberTooLong(text[:40])
    return int(value) if value == value.to_integral_value() else value


def _digits(text: str) -> int:
    if len(text) > limits().digits:
        raise _NumberTooLong(text[:40])
    return int(text)


def _constant(text: str) -> Any:
    raise _NumberTooLong(text)


def _null(text: str) -> None:
    """NaN and Infinity of a field nobody counts with."""


class _NumberTooLong(Exception):
    """A number nobody means: not a number, infinite, or longer than any count or price."""


def _depth(content: bytes) -> int:
    """How deep brackets are nested, those inside strings left out."""
    signs = np.frombuffer(_STRING.sub(b"", content), np.uint8)
    opened = (signs == ord("[")) | (signs == ord("{"))
    closed = (signs == ord("]")) | (signs == ord("}"))
    return int(np.cumsum(opened.astype(np.int8) - closed.astype(np.int8), dtype=np.int64).max(initial=0))


def _whole_text(value: object) -> Any:
    """Halves of characters, which no text file can hold, become the replacement character."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_whole_text(v) for v in value]
    if isinstance(value, dict):
        return {_whole_text(k): _whole_text(v) for k, v in value.items()}
    return value
