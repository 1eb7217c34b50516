"""What drawings say, what words must not, and comparisons that compare nothing: a third pair of eyes.

A drawing's text for those who can't see it states amounts, too; they are those of the tables on its page, or of the same
names on other pages.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from decimal import Decimal

from .checking import Fault, columns
from .reading import Document, Sheet

NUMBER = r"(-?\d[\d,]*(?:\.\d+)?)"
#: what a reader of a report never meets: wrong numbers of things, names of Python, figures as powers of ten
WORDS = [
    (r"(?<![\d.,])1 (?:days|months|teams|models|calls|requests|rows|sources|providers|actions|budgets)\b", "one of several"),
    (r"\b(?:nan|NaN|None|NaT|inf|<NA>|Decimal\()\b", "a name of Python"),
    (r"(?<![\w.])\d(?:\.\d+)?e-?\d\d\b", "a power of ten"),
    (r"(?<![\w-])-0(?:\.0+)?(?!\d|\.\d)%?(?![\w-])", "a nought with a sign"),
    (r"\b0 of 1\b", "none of one"),
]  # fmt: skip


def check_drawn(documents: Iterable[Document]) -> list[Fault]:
    """Every fault of drawings, words and comparisons."""
    documents = list(documents)
    out = [f for d in documents for f in (*bars(d), *ways(d), *words(d), *weeks(d), *billed(d))]
    return out + unmapped(documents)


def bars(document: Document) -> list[Fault]:
    """Ranked bars say of each name what a table of the page says of it."""
    out = []
    for text in document.labels:
        found = re.match(r"Bars of cost by ([^,]+), largest first: (.*)\. The figures are in the table below", text)
        tables = [s for s in document.sheets if found and _names(s) == found[1]]
        for name, amount in re.findall(rf"(?:^|; )(.+?) {NUMBER} [A-Z]{{3}}(?=;|$)", found[2]) if tables else []:
            shown = {row[at].value for s in tables for row in s.rows if row[_name(s)].text == name for at in [_cost(s)]}
            shown = {v for v in shown if v is not None}
            if shown and not any(_reads(v, amount) for v in shown):
                told = ", ".join(f"{v}" for v in sorted(shown))
                out.append(Fault("drawing", document.place, f"a bar says {name} cost {amount}, the table {told}"))
    return out


def _name(sheet: Sheet) -> int:
    return max(min((i for i, _ in columns(sheet).values()), default=1) - 1, 0)


def _names(sheet: Sheet) -> str:
    return sheet.heads[_name(sheet)].strip().lower() if sheet.heads and "cost" in columns(sheet) else ""


def _cost(sheet: Sheet) -> int:
    return columns(sheet)["cost"][0]


def _reads(value: Decimal, text: str) -> bool:
    """Whether an exact amount reads so at the digits that are shown."""
    places = len(text.partition(".")[2])
    return abs(value - Decimal(text.replace(",", ""))) <= Decimal(1).scaleb(-places) / 2


def ways(document: Document) -> list[Fault]:
    """A way from one amount to another ends where a table of its page does, and its steps are those of the sentence."""
    totals = {c.value for s in document.sheets for c in (s.total or []) if c.value is not None}
    out = []
    for text in dict.fromkeys(document.labels):
        found = re.search(rf": {NUMBER} [A-Z]{{3}}, [^:]+: {NUMBER} [A-Z]{{3}}\. (.*)", text)
        if not found or not totals:
            continue
        for amount in found.group(1, 2):
            if Decimal(amount.replace(",", "")) not in totals:
                out.append(Fault("drawing", document.place, f"a way says {amount}, which no table below it comes to"))
        steps = set(re.findall(r" ([+-]\d[\d,]*\.\d\d)", " " + found[3]))
        for said in re.findall(r"The cost (?:rose|fell) by [^:]*: ([^.]*\.\d\d[^.]*(?:\.\d\d[^.]*)*)\.", document.text):
            amounts = re.findall(r"([+-]\d[\d,]*\.\d\d) by", said)
            if len(set(amounts) & steps) >= max(1, len(amounts) - 1) and not set(amounts) <= steps:
                missing = sorted(set(amounts) - steps)
                out.append(Fault("drawing", document.place, f"a sentence says {missing[0]}, no step of the way does"))
    return out


def words(document: Document) -> list[Fault]:
    """No reader meets what only a program says."""
    if not document.place.endswith(".html"):
        return []
    heads = " | ".join(h for s in document.sheets for h in s.heads)
    cells = " | ".join(c.text for s in document.sheets for row in (*s.rows, s.total or []) for c in row)
    said = "\n".join([document.text, heads, cells, *document.labels])
    return [
        Fault("word", document.place, f"{what}: {found[0]!r}")
        for pattern, what in WORDS
        if (found := re.search(pattern, said))
    ]


def weeks(document: Document) -> list[Fault]:
    """Seven days are seven, and the seven before end before they begin."""
    day = r"(\d{1,2} \w{3} \d{4})"
    out = []
    for sheet in document.sheets:
        found = re.search(rf"{day} to {day} against {day} to {day}", sheet.caption)
        if found and "seven" in " ".join(sheet.heads).lower():
            after, until, before, last = (dt.datetime.strptime(d, "%d %b %Y").date() for d in found.groups())
            if (until - after).days != 6 or (last - before).days != 6 or last >= after:
                out.append(Fault("week", sheet.place, found[0]))
    return out


def billed(document: Document) -> list[Fault]:
    """Without a bill nothing differs and nothing agrees."""
    out = []
    for sheet in document.sheets:
        heads = [h.strip().lower() for h in sheet.heads]
        if "billed" in heads and "computed" in heads and sheet.rows:
            bare = all(row[heads.index("billed")].unknown for row in sheet.rows if len(row) > heads.index("billed"))
            if bare and (
                "agree to the cent" in document.text
                or ("difference" in heads and any(r[heads.index("difference")].value is not None for r in sheet.rows))
            ):
                out.append(Fault("bill", sheet.place, "compares with a bill that isn't there"))
    return out


def unmapped(documents: Iterable[Document]) -> list[Fault]:
    """What no rule maps costs the same where it is a line of its own and where it is to be mapped."""
    documents = list(documents)
    known: dict[str, Decimal] = {}
    for document in documents:
        for sheet in document.sheets:
            for row in sheet.rows if "cost" in columns(sheet) and sheet.heads[:1] else []:
                if row[0].text == "Unmapped" and row[_cost(sheet)].value is not None:
                    known.setdefault(sheet.heads[0].strip().lower(), row[_cost(sheet)].value)
    out = []
    for document in documents:
        for sheet in document.sheets:
            for row in sheet.rows if sheet.heads[:1] == ["Rule or field"] else []:
                name, cost = row[0].text.replace("_", " "), row[-1].value
                if "No rule sets" in row[2].text and name in known and cost != known[name]:
                    out.append(Fault("pair", sheet.place, f"unmapped {name}: {cost}; {known[name]} elsewhere"))
    return out
