"""Tables written as text: encoding, delimiter, quotes, header, and what stands above and below the table."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.providers.layouts import lines_of
from finops_ai.providers.names import COLUMNS, COUNTS, STEMS, bare_name

#: how much of a file is looked at to find out how it is written
SAMPLE = 1 << 17
#: encodings of texts that aren't Unicode; the one in which most names of columns are known, the first if there are several
ENCODINGS = ("cp1252", "cp1250", "cp1251", "cp1254", "cp932", "gb18030", "cp949", "big5")
DELIMITERS = ",;\t|^~\x1f"
#: a cell that is data and no name of a column: a number, or a day
_DATA = re.compile(r"\s*(?:[+-]?\d[\d.,'’ ]*|\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*)\s*")
_DAY = re.compile(r"\s*(?:\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}.*|\d{10}|\d{13})\s*")
#: a line of a drawn table that only divides
_RULE = re.compile(r"\s*[|+]?[-=+:| ─┼├┤]*-{3}[-=+:| ]*\s*")


@dataclass(frozen=True)
class Shape:
    """How a text table is written.

    Attributes:
        encoding: of the file.
        delimiter: between fields.
        names: of the columns; "column 1" and so on where the file has no header.
        above: rows above the header.
        quote: sign around fields.
        escape: sign before a quote inside a field.
        header: whether the file has a header.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    above: int
    quote: str = '"'
    escape: str = '"'
    header: bool = True

    def rows(self, text: str) -> Iterator[list[str]]:
        """The rows of a text in this shape."""
        double = self.escape == self.quote
        escape = None if double else self.escape
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=double,
            escapechar=escape,
        )


def shape_of(path: Path) -> Shape:
    """How a text table is written.

    The delimiter is the one that cuts most lines into the same number of fields; what stands above the first line with
    that number of fields is left out (titles, "sep=;").
    """
    with path.open("rb") as stream:
        head = stream.read(SAMPLE)
    encoding = encoding_of(head)
    text = head.decode(encoding, "replace")
    if len(head) == SAMPLE:
        text = text[: text.rfind("\n") + 1] or text
    quote = "'" if text.lstrip()[:1] == "'" and '"' not in text else '"'
    # a backslash before a quote may also be the end of a text: the way that cuts lines more evenly is right
    escapes = (quote, "\\") if f"\\{quote}" in text else (quote,)
    best: tuple[tuple[float, int, int], Shape] | None = None
    for place, (delimiter, escape) in enumerate(itertools.product(DELIMITERS, escapes)):
        shape = Shape(encoding, delimiter, (), 0, quote, escape)
        try:
            lines = list(shape.rows(text))[:200]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in lines if len(row) > 1)
        if not widths:
            continue
        width, often = max(widths.items(), key=lambda item: (item[1], item[0]))
        above = next((i for i, row in enumerate(lines) if len(row) == width and sum(map(bool, row)) > width / 2), None)
        if above is None:
            continue
        share = round(often / len(lines), 1)
        score = (share, width, -place)
        if best is None or score > best[0]:
            best = (score, replace(shape, names=named(lines[above]), above=above, header=_is_header(lines[above])))
    if best:
        shape = best[1]
        return shape if shape.header else replace(shape, names=named([""] * len(shape.names)))
    first = next(csv.reader(io.StringIO(text, newline="")), [""])
    return Shape(encoding, ",", named(first), 0)


def encoding_of(head: bytes) -> str:
    """The encoding of a text by its first bytes: UTF-8, UTF-16, else the one in which its columns have names, Windows-1252 first.

    >>> encoding_of("Büro".encode()), encoding_of("Büro".encode("cp1252")), encoding_of("Büro".encode("utf-16"))
    ('utf-8-sig', 'cp1252', 'utf-16')
    """
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if head[1:2] == b"\0" or head[:1] == b"\0":
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return max(ENCODINGS, key=lambda encoding: _known_names(head, encoding))
    return "utf-8-sig"


def _known_names(head: bytes, encoding: str) -> int:
    """How many names of columns are known when the first lines are read in an encoding; -1 where they can't be."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return -1
    cells = {bare_name(cell) for line in text.splitlines()[:10] for cell in re.split(r"[,;\t|]", line)}
    names = {name for known in (*COLUMNS.values(), *COUNTS.values()) for name in known} & cells
    stems = {cell for cell in cells - names for stem in STEMS.values() if re.search(stem, cell)}
    return len(names) + len(stems)


def named(row: Sequence[str]) -> tuple[str, ...]:
    """Names of a header, each once and none empty."""
    seen: Counter[str] = Counter()
    names = []
    for number, cell in enumerate(row, 1):
        name = cell.strip("\ufeff ").strip() or f"column {number}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(names)


def csv_reader(file: Path, folder: Path) -> tuple[str, list[Any]]:
    """DuckDB's reading function for a text table, told all it would otherwise guess."""
    shape = shape_of(file)
    if shape.encoding != "utf-8-sig" or not _is_utf8(file):
        text = _text(file, shape)
        file = folder / "utf-8.csv"
        file.write_text(text, encoding="utf-8", newline="")
    columns = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in shape.names)
    options = (
        f"delim = {_literal(shape.delimiter)}, quote = {_literal(shape.quote)}, escape = {_literal(shape.escape)}, "
        f"header = {shape.header}, skip = {shape.above}, auto_detect = false, null_padding = false, columns = {{{columns}}}"
    )
    return f"read_csv($1, {options})", [str(file)]


def regular(file: Path, folder: Path, path: Path, notes: list[str]) -> Path:
    """The same table with every row as wide as its header: without drawn lines, and without what stands below the table.

    Args:
        file: the text table.
        folder: where the new file goes.
        path: the file as it is called in messages.
        notes: what was left out is added here.

    Raises:
        DataError: a row inside the table has more or fewer fields than the header; names it.
    """
    shape = shape_of(file)
    text = _text(file, shape)
    if drawn := _undrawn(text):
        names, rows = named(drawn[0]), drawn[1:]
    else:
        names, rows = shape.names, list(shape.rows(text))[shape.above + shape.header :]
    width = len(names)
    last = max((n for n, row in enumerate(rows) if len(row) == width), default=-1)
    below = [row for row in rows[last + 1 :] if any(cell.strip() for cell in row)]
    kept = []
    for number, row in enumerate(rows[: last + 1], 1):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > width and not any(cell.strip() for cell in row[width:]):
            row = row[:width]
        if len(row) != width:
            what = "more" if len(row) > width else "fewer"
            raise DataError(
                f"{path}, row {number}: {what} fields ({len(row)}) than the header has ({width}): {shape.delimiter.join(row)[:100]!r}. "
                "Correct the row, or export the file again; nothing was stored."
            )
        kept.append(row)
    if below:
        said = "; ".join(repr(shape.delimiter.join(row)[:60]) for row in below[:3])
        if len(below) > 20 or any(_DAY.fullmatch(row[0]) for row in below):
            raise DataError(
                f"{path}, row {last + 2}: not as wide as the header ({width} fields): {said}. The file may be cut short: export it again."
            )
        notes.append(
            f"{len(below)} {'line' if len(below) == 1 else 'lines'} below the table of {path.name}: left out ({said})."
        )
    target = folder / "regular.csv"
    with target.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([names, *kept])
    return target


def is_drawn(file: Path) -> bool:
    """Whether a table is drawn, with lines as Markdown and the shells of databases print it or by spaces alone."""
    with file.open("rb") as stream:
        lines = stream.read(4096).decode("utf-8", "ignore").splitlines()[:5]
    return any(_RULE.fullmatch(line) and ("|" in line or "+" in line) for line in lines) or bool(_spaced(lines))


def _spaced(lines: Sequence[str]) -> list[list[str]]:
    """The cells of a table whose columns are set apart by spaces; none where a line has more or fewer than the first."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if line.strip()]
    width = len(rows[0]) if rows and not re.search(r"[,;\t|{]", " ".join(rows[0])) else 0
    return rows if width > 2 and len(rows) > 1 and all(len(row) == width for row in rows) else []


def _undrawn(text: str) -> list[list[str]] | None:
    """The cells of a table drawn with lines, as Markdown, psql and mysql print it, or by spaces."""
    lines = lines_of(text)
    if spaced := _spaced(lines):
        return spaced
    if not any(_RULE.fullmatch(line) and ("|" in line or "+" in line) for line in lines[:5]):
        return None
    rows = [line for line in lines if "|" in line and not _RULE.fullmatch(line)]
    cells = [[cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")] for line in rows]
    return cells if len(cells) > 1 else None


def _is_header(row: Sequence[str]) -> bool:
    """Whether a row holds names: one with a day and a number in it is data."""
    data = [cell for cell in row if _DATA.fullmatch(cell)]
    return not (len(data) > 1 and any(_DAY.fullmatch(cell) for cell in row))


def _text(file: Path, shape: Shape) -> str:
    content = file.read_bytes()
    if shape.encoding == "utf-8-sig":
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("cp1252", "replace")
    return content.decode(shape.encoding, "replace")


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while block := stream.read(1 << 22):
                decoder.decode(block)
        except UnicodeDecodeError:
            return False
    return True


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
