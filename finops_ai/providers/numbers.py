"""How a text table writes its numbers: which sign stands before decimals, which between thousands."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

#: signs that may group digits by three, and those that may stand before decimals
GROUPING, DECIMAL = ".,'’ _", ".,"
#: what may stand around an amount: currency signs and codes
_AROUND = re.compile(
    r"^\s*(?:[A-Z]{3}|[A-Z]{0,2}[$]|[€£¥₹₩])?\s*|\s*(?:[A-Z]{3}|R?[$]|[€£¥₹₩元円원]|zł|Kč|kr\.?|(?i:tokens?|toks?|jetons?|calls?))?\s*$"
)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:(?P<by>[.,'’ _])\d{3})(?:(?P=by)\d{3})*(?:(?P<then>[.,])\d+)?")
#: lakh and crore: two digits a group before the last three
_INDIAN = re.compile(r"[+-]?[1-9]\d?(?:,\d\d)+,\d{3}(?:(?P<then>\.)\d+)?")
_FRACTION = re.compile(r"[+-]?\d*(?P<then>[.,])\d+(?:[eE][+-]?\d+)?")

#: signs that other scripts write for the ASCII ones
_PLAIN = {"\u2212": "-", "\u066b": ".", "\u066c": ",", "\uff0c": ",", "\uff0e": "."}

#: words for a number that isn't stated
NOTHING = frozenset({"null", "none", "nan", "n/a", "na", "-", "–", "—", "\\n"})
#: how people shorten a number: 1.2k, 3M, 4,5 Mio., 2万
_SHORT = re.compile(
    r"(?P<number>[+-]?[\d.,'’ ]*\d) ?(?P<short>k|K|M|m|B|bn|Bn|G|mn|Mio\.?|Mrd\.?|mln|Tsd\.?|tis\.?|mil|千|万|萬|億|亿)"
)
_TIMES = {
    "k": 10**3, "tsd": 10**3, "tis": 10**3, "mil": 10**3, "千": 10**3, "万": 10**4, "萬": 10**4, "m": 10**6, "mn": 10**6, "mio": 10**6, "mln": 10**6,
    "億": 10**8, "亿": 10**8, "b": 10**9, "bn": 10**9, "g": 10**9, "mrd": 10**9,
}  # fmt: skip


@dataclass(frozen=True)
class Numbers:
    """`decimal` is the sign before decimals, `thousands` the one between groups of three digits ("" for none)."""

    decimal: str = "."
    thousands: str = ""


class Unsure(Exception):
    """A text can be read as two numbers that differ a thousandfold, and nothing else in the file tells which."""

    def __init__(self, column: str, text: str, why: str) -> None:
        super().__init__(f"{text!r} {why}")
        self.column, self.text, self.why = column, text, why


def numbers_of(counts: Mapping[str, Iterable[str]], amounts: Mapping[str, Iterable[str]] | None = None) -> Numbers:
    """How the numbers of a file are written, from all of them together.

    Args:
        counts: column -> texts of whole numbers (tokens, calls): a fraction can't be meant.
        amounts: column -> texts that may have decimals (money).

    Raises:
        Unsure: the same sign stands before decimals in one place and between thousands in another, or could be either.

    >>> numbers_of({"in": ["5.402", "1.350", "682"]})
    Numbers(decimal=',', thousands='.')
    >>> numbers_of({"in": ["5.402", "0.350"]})
    Numbers(decimal='.', thousands='')
    >>> numbers_of({"in": ["5402"]}, {"cost": ["1.234,50"]})
    Numbers(decimal=',', thousands='.')
    """
    thousands: dict[str, tuple[str, str]] = {}
    decimals: dict[str, tuple[str, str]] = {}
    either: dict[str, tuple[str, str]] = {}
    short: set[str] = set()  # columns with whole numbers of up to three digits, and with longer ones without a sign
    long: set[str] = set()
    groups: dict[str, set[str]] = {}  # columns where a sign may stand between thousands
    shortened: set[str] = set()  # columns with numbers such as 1.2k, whose sign stands before decimals if it can
    for group, whole in ((counts, True), (amounts or {}, False)):
        for column, texts in group.items():
            for text in texts:
                said = bare(text)
                if short_form := _SHORT.fullmatch(said):
                    said = short_form["number"]
                    shortened.add(column)
                    if said.isdigit():
                        continue
                if said.isdigit():
                    (short if len(said) < 4 else long).add(column)
                elif grouped := _GROUPED.fullmatch(said):
                    by, then = grouped["by"], grouped["then"]
                    if then:
                        thousands.setdefault(by, (column, text))
                        decimals.setdefault(then, (column, text))
                    elif said.count(by) > 1 or by not in DECIMAL:
                        thousands.setdefault(by, (column, text))
                    else:
                        groups.setdefault(by, set()).add(column)
                        if by not in either or (whole and either[by][0] not in counts):
                            either[by] = (column, text)
                elif _INDIAN.fullmatch(said):
                    thousands.setdefault(",", (column, text))
                elif fraction := _FRACTION.fullmatch(said):
                    decimals.setdefault(fraction["then"], (column, text))
    if both := sorted(thousands.keys() & decimals.keys()):
        column, text = decimals[both[0]]
        other = thousands[both[0]][1]
        raise Unsure(column, text, f"has {both[0]!r} before decimals, {other!r} has it between thousands")
    for sign in sorted(either.keys() - thousands.keys() - decimals.keys()):
        column, text = either[sign]
        opposite = "," if sign == "." else "."
        if opposite in decimals:
            thousands[sign] = either[sign]
        elif opposite in thousands or column not in counts or column in shortened:
            decimals[sign] = either[sign]
            if sign == "," and opposite not in thousands:
                raise Unsure(column, text, "may be a number of thousands or one with three decimals")
        elif groups[sign] & short and not groups[sign] & long:
            thousands[sign] = either[sign]  # a column of 682 and 5.402 has no three decimals everywhere: it groups
        else:
            raise Unsure(column, text, "may be a number of thousands or one with three decimals")
    if len(decimals) > 1:
        column, text = decimals[","]
        raise Unsure(column, text, f"has ',' before decimals, {decimals['.'][1]!r} has '.'")
    by = next(iter(thousands), "")
    return Numbers(next(iter(decimals), "," if by == "." else "."), by)


def bare(text: str) -> str:
    """A number's text without currency signs, with one kind of digits, of blank and of minus.

    >>> bare(" 1\\u202f234,50 €"), bare("$0.25"), bare("\\u2212 3")
    ('1 234,50', '0.25', '-3')
    >>> bare("\u0661\u0662\u0663")
    '123'
    """
    if not text.isascii():
        text = "".join(_PLAIN.get(c) or (str(unicodedata.decimal(c)) if c.isdecimal() else c) for c in text)
    said = re.sub(r"\s+", " ", text).strip()
    said = _AROUND.sub("", said).strip() if said[-1:] not in "0123456789" or said[:1] not in "0123456789-+.," else said
    return re.sub(r"^([+-]) ", r"\1", said)


def plain(values: pa.ChunkedArray, style: Numbers) -> pa.ChunkedArray:
    """Texts as numbers every parser reads; a text that doesn't fit the style becomes one that no parser reads.

    A group of other than three digits fits no style: it is left as it stands, for the parser to refuse.
    """
    distinct = pc.unique(values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values)
    made = pa.array([None if t is None else _plain(t, style) for t in distinct.to_pylist()], pa.string())
    return pa.chunked_array([made.take(pc.index_in(values.combine_chunks(), distinct))])


def shortened(text: str) -> bool:
    """Whether a number is written as 1.2k or 3M, which rounds it.

    >>> shortened("1,2 Mio."), shortened("1200")
    (True, False)
    """
    return bool(_SHORT.fullmatch(bare(text)))


def _plain(text: str, style: Numbers) -> str | None:
    said = bare(text)
    if short := _SHORT.fullmatch(said):
        number = _plain(short["number"], style)
        try:
            return f"{Decimal(number or '') * _TIMES[short['short'].rstrip('.').lower()]:f}"
        except InvalidOperation:
            return text
    if not said or said.lower() in NOTHING:
        return None
    head, sign, tail = said.partition(style.decimal)
    if style.thousands and style.thousands in head:
        by_three = re.fullmatch(rf"[+-]?\d{{1,3}}(?:{re.escape(style.thousands)}\d{{3}})+", head)
        if not by_three and not (style.thousands == "," and _INDIAN.fullmatch(head)):
            return text
        head = head.replace(style.thousands, "")
    return f"{head}.{tail}" if sign else head
