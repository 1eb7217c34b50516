"""Look-up tables: a key (person, API key, project) to values, each row with the days it is valid."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from finops_ai.errors import RuleError, hint

FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
LOOKUP_KEYS = ("file", "rows", "key", "on")
_VALIDITY = ("valid_from", "valid_to")
_EPOCH = dt.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Lookup:
    """A key column, value columns, and when each row is valid, half open in days of the reporting zone.

    Attributes:
        name: values are used as `<name>.<column>`.
        key, on: the key column, and the token column or tag it is matched with.
        values: the value columns.
        columns: `_key`, the value columns (blank = null), `valid_from` and `valid_to`, by key and day.
    """

    name: str
    key: str
    on: str
    values: tuple[str, ...]
    columns: pa.Table = field(repr=False, hash=False)

    @cached_property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """The rows `(key, values..., valid_from, valid_to)`."""
        return tuple(zip(*(column.to_pylist() for column in self.columns.columns), strict=True))

    def table(self) -> pa.Table:
        """The rows as Arrow: `_key`, the value columns, `valid_from`, `valid_to`."""
        return self.columns

    def days(self) -> set[dt.date]:
        """The days on which a row begins or ends."""
        return {day for name in _VALIDITY for day in pc.unique(self.columns[name]).to_pylist()}

    def text(self) -> str:
        """The rows as one text, column by column: the same where the rows are."""
        if not len(self.columns):
            return "\x1e"
        texts = [(pc.fill_null(column, "\x00"), "\x1f") for column in self.columns.columns[: -len(_VALIDITY)]]
        texts += [(pc.add(self.columns[c].cast(pa.int32()), _EPOCH).cast(pa.string()), ",") for c in _VALIDITY]
        return "\x1e".join(_joined(column, by) for column, by in texts)

    def plain(self) -> dict[str, Any]:
        """The look-up as its table in a rules document, rows instead of a file: what `load_lookup` reads the same from.

        >>> people = load_lookup("people", {"key": "who", "rows": [{"who": "u1", "cc": 10, "valid_to": "2026-10-01"}]}, Path(), "")
        >>> people.plain()["rows"]
        [{'who': 'u1', 'cc': '10', 'valid_from': '0001-01-01', 'valid_to': '2026-10-01'}]
        """
        names = (self.key, *self.values, *_VALIDITY)
        rows = self.rows or (("-", *([None] * len(self.values)), FIRST, LAST),)  # keeps the columns' names
        cells = [[str(v) if isinstance(v, dt.date) else v for v in row] for row in rows]
        return {"key": self.key, "on": self.on, "rows": [dict(zip(names, row, strict=True)) for row in cells]}


def _joined(column: pa.ChunkedArray, by: str) -> str:
    whole = column.combine_chunks()
    return str(pc.binary_join(pa.ListArray.from_arrays([0, len(whole)], whole), by)[0].as_py())


def load_lookup(name: str, table: Mapping[str, Any], root: Path, place: str) -> Lookup:
    """Read a look-up.

    Args:
        name: its name; values are used as `<name>.<column>`.
        table: `file` (a CSV with a header) or `rows` (a list of tables), `key` (the key column in it), optionally `on`
            (the token column or tag it is matched with, by default the key's own name). Columns `valid_from` and
            `valid_to` (days, end excluded, blank = open) are optional.
        root: folder a relative file belongs to.
        place: for messages.

    Raises:
        RuleError: unknown setting, unreadable file, missing key column, impossible or overlapping validity.
    """
    for key in table:
        if key not in LOOKUP_KEYS:
            raise RuleError(f"{place}: no key {key!r}. {hint(key, LOOKUP_KEYS)}")
    key = table.get("key", "")
    if not isinstance(key, str) or not key or ("file" in table) == ("rows" in table):
        raise RuleError(f"{place} needs `key` (its key column) and either `file` (a CSV) or `rows`.")
    on = table.get("on", key)
    if not isinstance(on, str) or not isinstance(table.get("file", ""), str | Path):
        raise RuleError(f"{place}: `on` names one column or tag and `file` one CSV, as text.")
    header, columns_, where = _columns(table, root, place)
    if key not in header:
        raise RuleError(f"{where}: no column {key!r}. {hint(key, header)}")
    lower = [c.lower() for c in header]
    for column in header:
        if lower.count(column.lower()) > 1 or not column or column.startswith("_"):
            raise RuleError(
                f"{where}: column {column!r} needs a name of its own, in any case, that doesn't start with _."
            )
    values = tuple(c for c in header if c not in (key, *_VALIDITY))
    told = dict(zip(header, columns_, strict=True))
    keys = pc.utf8_trim_whitespace(told[key])
    if (blank := pc.index(keys, "").as_py()) >= 0:
        raise RuleError(f"{where}, line {blank + 2}: the key {key!r} is blank.")
    since, until = (
        _days(told.get(c), c, where, len(keys), blank) for c, blank in zip(_VALIDITY, (FIRST, LAST), strict=True)
    )
    if (wrong := pc.index(pc.greater_equal(since, until), True).as_py()) >= 0:
        one, two = since[wrong], until[wrong]
        raise RuleError(f"{where}, line {wrong + 2}: valid_from {one} is not before valid_to {two} (end excluded).")
    cells = [pc.utf8_trim_whitespace(told[v]) for v in values]
    cells = [pc.if_else(pc.equal(cell, ""), pa.scalar(None, pa.string()), cell) for cell in cells]
    found = pa.table(dict(zip(("_key", *values, *_VALIDITY), (keys, *cells, since, until), strict=True)))
    found = found.take(pc.sort_indices(found, [("_key", "ascending"), (_VALIDITY[0], "ascending")]))
    out = Lookup(name, key, on, values, found)
    if pc.count_distinct(keys).as_py() < len(keys):
        _refuse_overlaps(out.rows, where)
    return out


def _columns(table: Mapping[str, Any], root: Path, place: str) -> tuple[list[str], list[pa.Array], str]:
    """The columns' names, the columns as text (blank = ""), and where they stand, for messages."""
    if "file" in table:
        path = root / Path(table["file"]).expanduser()
        try:
            with path.open(encoding="utf-8-sig", newline="") as handle:
                header = next(csv.reader(handle), [])
            texts = ConvertOptions(column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False)
            read = read_csv(path, parse_options=ParseOptions(newlines_in_values=True), convert_options=texts)
            if read.column_names == header:
                return header, [column.combine_chunks() for column in read.columns], f"{place}, file {path}"
        except (OSError, ValueError, csv.Error):
            pass  # read line by line: it knows what is wrong, or that cells are merely missing
    header, records, where = _records(table, root, place)
    columns = list(zip(*records, strict=True)) if records else [()] * len(header)
    return header, [pa.array(column, pa.string()) for column in columns], where


def _records(table: Mapping[str, Any], root: Path, place: str) -> tuple[list[str], list[list[str]], str]:
    """The columns, the rows as text (blank = ""), and where they stand, for messages."""
    if "rows" in table:
        rows = table["rows"]
        if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
            raise RuleError(f"{place}: rows must be a list of tables.")
        header = list(dict.fromkeys(str(k) for row in rows for k in row)) or [table["key"]]
        texts = [{str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows]
        return header, [[row.get(c, "") for c in header] for row in texts], place
    path = root / Path(table["file"]).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            lines = csv.reader(handle)
            header, records, where = next(lines, []), [row for row in lines if row], f"{place}, file {path}"
    except FileNotFoundError:
        raise RuleError(f"{place}: there is no file {path}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RuleError(f"{place}: {path} is not a readable CSV in UTF-8: {error}.") from None
    width = len(header)
    for line, row in enumerate(records, 2):
        if len(row) > width:
            raise RuleError(f"{where}, line {line}: there are more cells than columns; quote text that has a comma.")
        if len(row) < width:
            row.extend([""] * (width - len(row)))
    return header, records, where


def _days(texts: pa.Array | None, column: str, where: str, rows: int, blank: dt.date) -> pa.Array:
    """A validity column's days; each text is read once."""
    if texts is None:
        return pa.repeat(pa.scalar(blank, pa.date32()), rows)
    encoded = texts.dictionary_encode()
    known = [
        _day(text, column, f"{where}, line {pc.index(texts, text).as_py() + 2}") or blank
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(known, pa.date32()).take(encoded.indices)


def _day(text: str | None, column: str, where: str) -> dt.date | None:
    if not (text or "").strip():
        return None
    try:
        return dt.datetime.fromisoformat(str(text).strip()).date()
    except ValueError:
        raise RuleError(f"{where}: {column} {text!r} is not a day; write 2026-10-01.") from None


def _refuse_overlaps(ordered: Sequence[tuple[Any, ...]], where: str) -> None:
    for one, two in itertools.pairwise(ordered):
        if one[0] == two[0] and two[-2] < one[-1]:
            end = "open" if one[-1] == LAST else f"until {one[-1]}"
            since = "the start" if two[-2] == FIRST else two[-2]
            raise RuleError(
                f"{where}: key {one[0]!r} is valid twice from {since}: {list(one[1:-2])} ({end}) and {list(two[1:-2])}. "
                "Close the earlier row with valid_to."
            )
