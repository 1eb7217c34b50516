"""Text in CSV cells that no spreadsheet runs as a formula, and back again.

An apostrophe goes before what would start a formula: at the start of a cell, and after a character that a spreadsheet of
another country takes for the end of one. It is put in so that it can be taken out again: `original(harmless(x)) == x`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from finops_ai.marks import visible

#: what starts a formula, in both widths (OWASP, CSV injection), behind blanks, quotes and apostrophes
_STARTS = r"""(?:[^\S\t\r\n]|["'])*[=+\-@＝＋－＠]"""
_FORMULA = re.compile(rf"(^|[;|\t\r\n])({_STARTS})")
_MARKED = re.compile(rf"(^|[;|\t\r\n])'({_STARTS})")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_QUOTED = re.compile(r"""[,;|"'\x00-\x1f\x7f-\x9f]|^\s|\s$""")


def harmless(text: str) -> str:
    r"""Text that a spreadsheet shows instead of running it; a plain number is none of its business.

    >>> harmless("=1+1"), harmless("-5"), harmless("a;@x"), harmless("R&D")
    ("'=1+1", '-5', "a;'@x", 'R&D')
    """
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'\2", text)


def original(text: str) -> str:
    """The text that `harmless` was given.

    >>> original("'=1+1"), original("O'Neil")
    ('=1+1', "O'Neil")
    """
    return _MARKED.sub(r"\1\2", text)


def shown(text: str) -> str:
    """Text as a cell shows it: harmless, control characters as their code."""
    return visible(harmless(text)) if not text.isprintable() else harmless(text)


@lru_cache(maxsize=65_536)
def text_cell(text: str) -> str:
    r"""Text from outside as a cell of a CSV file: harmless, control characters shown as their code, in quotes where needed.

    >>> print(text_cell("R&D"), text_cell("=a"), text_cell("x,y"), text_cell("\x07"))
    R&D "'=a" "x,y" \u0007
    """
    put = shown(text)
    return '"' + put.replace('"', '""') + '"' if _QUOTED.search(put) else put


__all__ = ["harmless", "original", "shown", "text_cell"]
