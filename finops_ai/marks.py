"""Characters that would hide or reorder what people read, wherever text from outside is shown: as their codes."""

from __future__ import annotations

import re

#: control characters, marks that turn the reading direction around, what is no character, and characters without any
#: width (joiners, which scripts and emoji need, are none of them)
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064"
    "\u2066-\u2069\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    r"""Text whose control and direction marks are shown as their code.

    >>> visible("a\u202eb\x00")
    'a\\u202eb\\u0000'
    """
    return HIDDEN.sub(lambda match: _code(ord(match[0])), text)


def cut(text: str, most: int) -> str:
    """Text of at most so many characters, cut out of its middle: a name may be long, what is said of it comes last.

    >>> cut("AAAAAAAAAAAA is over", 13)
    'AAAAAAAA…over'
    """
    return text if len(text) <= most else f"{text[: most * 2 // 3]}…{text[len(text) - (most - 1 - most * 2 // 3) :]}"


def _code(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


__all__ = ["HIDDEN", "cut", "visible"]
