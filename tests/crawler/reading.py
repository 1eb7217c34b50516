"""Reads every figure that a report publishes: tables of pages, CSV, workbooks, JSON, and tables of the command line.

Everything becomes a `Sheet`: headings, rows of cells as they are shown, the last row being a total where it says so.
What reads here shares no code with what writes.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from html.parser import HTMLParser
from pathlib import Path

UNKNOWN = {"", "–", "n/a", "unknown", "-", "nan", "None"}
NUMBER = re.compile(r"[+−-]?\\d[\\d,]*(\\.\\d+)?".replace("\\\\", "\\"))


@dataclass
class Cell:
    """A cell as shown: its text, and the number it is, with the size of its last digit."""

    text: str
    value: Decimal | None = None
    digit: Decimal = Decimal(1)
    percent: bool = False

    @classmethod
    def of(cls, text: str) -> Cell:
        plain = text.strip().replace("\u2212", "-").replace("\u00a0", " ")
        percent = plain.endswith("%")
        bare = plain.removesuffix("%").replace(",", "").removeprefix("+")
        try:
            value = Decimal(bare)
        except InvalidOperation:
            return cls(text.strip())
        if not value.is_finite():
            return cls(text.strip())
        digit = Decimal(1).scaleb(int(value.as_tuple().exponent))
        return cls(text.strip(), value, digit, percent)

    @property
    def unknown(self) -> bool:
        return self.text in UNKNOWN


@dataclass
class Sheet:
    """One table: where it stands, what its figures are of, headings, rows, and its total."""

    place: str
    period: str
    caption: str
    heads: list[str]
    rows: list[list[Cell]]
    total: list[Cell] | None = None

    def column(self, head: str) -> int | None:
        return self.heads.index(head) if head in self.heads else None


@dataclass
class Document:
    """What one file holds: its tables, and its running text."""

    place: str
    sheets: list[Sheet] = field(default_factory=list)
    text: str = ""
    #: what drawings say to those who can't see them
    labels: list[str] = field(default_factory=list)


class _Tables(HTMLParser):
    """Tables and text of a page; scripts, styles and drawings are no text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[dict] = []
        self.text: list[str] = []
        self._silent = 0
        self._cell: list[str] | None = None
        self._part = ""
        self._caption = False
        self._inner = 0
        self.labels: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ("svg", "img") and (said := dict(attrs).get("aria-label") or dict(attrs).get("alt")):
            self.labels.append(said)
        if tag in ("script", "style", "svg", "nav"):
            self._silent += 1
        if self._silent:
            return
        names = dict(attrs)
        if tag == "table":
            self.tables.append({"caption": "", "head": [], "body": [], "foot": [], "class": names.get("class") or ""})
            self._part = "body"
        elif tag in ("thead", "tbody", "tfoot"):
            self._part = {"thead": "head", "tbody": "body", "tfoot": "foot"}[tag]
        elif tag == "caption":
            self._caption = True
        elif tag == "tr" and self.tables:
            self.tables[-1][self._part].append([])
        elif tag in ("td", "th") and self.tables:
            self._cell = []
        elif tag == "span" and self._cell is not None:
            self._inner += 1
        elif tag in ("p", "li", "small", "strong", "dd", "dt", "div", "h1", "h2", "br"):
            self.text.append("\n")

    def handle_endtag(self, tag):
        if tag in ("script", "style", "svg", "nav") and self._silent:
            self._silent -= 1
            return
        if self._silent:
            return
        if tag == "caption":
            self._caption = False
        elif tag == "span" and self._inner:
            self._inner -= 1
        elif tag in ("td", "th") and self._cell is not None:
            rows = self.tables[-1][self._part]
            if not rows:
                rows.append([])
            rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data):
        if self._silent:
            return
        if self._caption and self.tables:
            self.tables[-1]["caption"] += data
        elif self._cell is not None:
            if not self._inner:
                self._cell.append(data)
        else:
            self.text.append(data)


def read_page(path: Path, period: str) -> Document:
    """Every table of a page, and its text."""
    parser = _Tables()
    parser.feed(path.read_text("utf-8"))
    out = Document(path.name, text="".join(parser.text), labels=parser.labels)
    for number, found in enumerate(parser.tables):
        rows = [r for r in found["body"] if r]
        heads = found["head"][-1] if found["head"] else [""] * max(map(len, rows), default=0)
        total = found["foot"][0] if found["foot"] else None
        if total is None and rows and len(rows) > 2 and rows[-1] and "Sum" in rows[-1]:
            total = rows.pop()
        cells = [[Cell.of(c) for c in r] for r in rows]
        out.sheets.append(
            Sheet(
                f"{path.name} #{number}",
                period,
                found["caption"],
                heads,
                cells,
                [Cell.of(c) for c in total] if total else None,
            )
        )
    return out


def read_csv(path: Path, period: str) -> Document:
    """A CSV file as a table without a total."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    rows = [[Cell.of(c) for c in line] for line in lines[1:]]
    return Document(path.name, [Sheet(path.name, period, "", lines[0] if lines else [], rows)])


def read_workbook(path: Path, period: str) -> Document:
    """Every sheet of a workbook."""
    import openpyxl

    out = Document(path.name)
    for sheet in openpyxl.load_workbook(path, data_only=True):
        lines = [["" if c is None else str(c) for c in row] for row in sheet.iter_rows(values_only=True)]
        start = next((i for i, line in enumerate(lines) if sum(map(bool, line)) >= 2), None)
        if start is not None:
            rows = [[Cell.of(c) for c in line] for line in lines[start + 1 :] if any(line)]
            out.sheets.append(Sheet(f"{path.name} {sheet.title}", period, "", lines[start], rows))
    return out


def read_json(path: Path, period: str) -> Document:
    """A list of records, as the journal is."""
    found = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    records = found if isinstance(found, list) else next((v for v in found.values() if isinstance(v, list)), [])
    records = [r for r in records if isinstance(r, dict)]
    heads = list(dict.fromkeys(k for r in records for k in r))
    rows = [[Cell.of("" if r.get(h) is None else str(r[h])) for h in heads] for r in records]
    return Document(path.name, [Sheet(path.name, period, "", heads, rows)])


def read_report(folder: Path) -> list[Document]:
    """Everything a report's folder publishes."""
    period, out = folder.name, []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".html" and path.name != "explorer.html":
            out.append(read_page(path, period))
        elif path.suffix == ".csv":
            out.append(read_csv(path, period))
        elif path.suffix == ".xlsx":
            out.append(read_workbook(path, period))
        elif path.suffix == ".json" and path.name != "manifest.json":
            out.append(read_json(path, period))
    return out


def read_text_table(text: str, place: str, period: str) -> Document:
    """A table as the command line prints it as CSV."""
    lines = list(csv.reader(text.splitlines()))
    rows = [[Cell.of(c) for c in line] for line in lines[1:] if line]
    return Document(place, [Sheet(place, period, "", lines[0] if lines else [], rows)])
