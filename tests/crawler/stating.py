"""What running text and the tables beside it say of the same thing, and sums below any column: a second pair of eyes.

Written from what a reader does with a report, not from its headings: add up whatever has a total, look a sentence's amount
up in the tables of its page, compare a share that is stated in the same words on two pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal

from .checking import PARTS, Fault
from .reading import Document, Sheet

#: headings of columns that don't add up: rates, shares, chances, and the ends of ranges
APART = re.compile(r"\bper\b|rate|%|share|chance|used|pace|input from cache|output / input|priced|of list|low|high|middle|least|most|each|rows", re.I)  # fmt: skip
CENT = Decimal("0.01")
AMOUNT = r"([+−-]?\d[\d,]*\.\d\d)(?![\d%])"


def check_statements(documents: Iterable[Document]) -> list[Fault]:
    """Every fault of what is stated."""
    documents = list(documents)
    out = [f for d in documents for s in d.sheets for f in any_column(s)]
    out += [f for d in documents for f in changes(d)]
    return out + shares(documents) + paces(documents)


def any_column(sheet: Sheet) -> list[Fault]:
    """A column of amounts in cents adds up to what stands below it, whatever it is called."""
    out = []
    for i, head in enumerate(sheet.heads if sheet.total else []):
        whole = sheet.total[i] if i < len(sheet.total) else None
        cells = [r[i] for r in sheet.rows if i < len(r)]
        if whole is None or whole.value is None or whole.digit != CENT or APART.search(head):
            continue
        known = [c for c in cells if c.value is not None]
        if any(c.digit != CENT or c.percent for c in known) or len(known) < 2:
            continue
        if (found := sum((c.value for c in known), Decimal(0))) != whole.value:
            out.append(Fault("column", sheet.place, f"{head}: rows come to {found}, below them stands {whole.text}"))
    return out


def changes(document: Document) -> list[Fault]:
    """A sentence that says by how much the cost moved names an amount that a table of its page shows as a change."""
    shown = {
        abs(c.value)
        for s in document.sheets
        for i, head in enumerate(s.heads)
        if head.strip().lower().startswith(("change", "amount", "difference"))
        for row in (*s.rows, *([s.total] if s.total else []))
        for c in row[i : i + 1]
        if c.value is not None
    }
    said = re.findall(rf"The cost (?:rose|fell) by {AMOUNT}", document.text) if shown else []
    return [
        Fault("sentence", document.place, f"says the cost moved by {text}, which no table beside it shows")
        for text in dict.fromkeys(said)
        if abs(Decimal(text.replace(",", "").replace("−", "-"))) not in shown
    ]


def shares(documents: Iterable[Document]) -> list[Fault]:
    """What share of the cost has an owner is one figure on every page about the whole company."""
    said: dict[tuple[str, str], set[str]] = {}
    for document in documents:
        if PARTS.match(document.place):
            continue
        for share, owner in re.findall(
            r"(\d+\.\d)% of [^%.;·]*?(?:\.\d\d[^%;·]*?)?\bha(?:s|ve) an? (\w+)", document.text
        ):
            said.setdefault((owner, share), set()).add(document.place)
    owners = {owner for owner, _ in said}
    out = []
    for owner in sorted(owners):
        values = {share: sorted(places)[0] for (name, share), places in said.items() if name == owner}
        if len(values) > 1:
            told = "; ".join(f"{share}% in {place}" for share, place in values.items())
            out.append(Fault("pair", f"share that has a {owner}", told))
    return out


def paces(documents: Iterable[Document]) -> list[Fault]:
    """The budget's distance from an even pace is the same on the first page and among the KPIs."""
    named = {d.place: d for d in documents}
    first, kpis = named.get("index.html"), named.get("kpis.html")
    found = re.search(rf"{AMOUNT} (?:above|below) an even pace", first.text) if first else None
    rows = [r for s in kpis.sheets for r in s.rows if r[0].text == "Budget variance"] if kpis else []
    if not found or not rows or rows[0][1].value is None:
        return []
    pace = Decimal(found[1].replace(",", ""))
    if abs(rows[0][1].value) == abs(pace):
        return []
    return [Fault("pair", "budget variance", f"{found[1]} in index.html; {rows[0][1].text} in kpis.html")]
