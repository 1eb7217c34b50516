"""Look-up tables: a key (person, API key, project) to values, each row with the days it is valid."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import RuleError, hint

FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
LOOKUP_KEYS = ("file", "rows", "key", "on")
_VALIDITY = ("valid_from", "valid_to")


@dataclass(frozen=True)
class Lookup:
    """A key column, value columns, and rows `(key, values..., valid_from, valid_to)`, half open in days of the reporting zone."""

    name: str
    key: str
    on: str
    values: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def table(self) -> pa.Table:
        """The rows as Arrow: `_key`, the value columns, `valid_from`, `valid_to`."""
        names = ["_key", *self.values, *_VALIDITY]
        kinds = [pa.string()] * (1 + len(self.values)) + [pa.date32()] * 2
        turned = list(zip(*self.rows, strict=True)) or [()] * len(names)
        return pa.table({n: pa.array(v, k) for n, v, k in zip(names, turned, kinds, strict=True)})

    def text(self) -> str:
        """The rows as one text, column by column: the same where the rows are."""
        days = [
            ",".join(map(str, map(dt.date.toordinal, days)))
            for days in ([r[-2] for r in self.rows], [r[-1] for r in self.rows])
        ]
        columns_ = list(zip(*self.rows, strict=True))[:-2] if self.rows else []
        return "\x1e".join(["\x1f".join("\x00" if v is None else v for v in column) for column in columns_] + days)

    def plain(self) -> dict[str, Any]:
        """The look-up as its table in a rules document, rows instead of a file: what `load_lookup` reads the same from.

        >>> people = Lookup("people", "who", "user_id", ("cc",), (("u1", "10", FIRST, dt.date(2026, 10, 1)),))
        >>> people.plain()["rows"]
        [{'who': 'u1', 'cc': '10', 'valid_from': '0001-01-01', 'valid_to': '2026-10-01'}]
        """
        names = (self.key, *self.values, *_VALIDITY)
        rows = self.rows or (("-", *([None] * len(self.values)), FIRST, LAST),)  # keeps the columns' names
        cells = [[str(v) if isinstance(v, dt.date) else v for v in row] for row in rows]
        return {"key": self.key, "on": self.on, "rows": [dict(zip(names, row, strict=True)) for row in cells]}


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
    header, records, where = _records(table, root, place)
    if key not in header:
        raise RuleError(f"{where}: no column {key!r}. {hint(key, header)}")
    lower = [c.lower() for c in header]
    for column in header:
        if lower.count(column.lower()) > 1 or not column or column.startswith("_"):
            raise RuleError(
                f"{where}: column {column!r} needs a name of its own, in any case, that doesn't start with _."
            )
    values = tuple(c for c in header if c not in (key, *_VALIDITY))
    told = dict(zip(header, zip(*records, strict=True), strict=True)) if records else dict.fromkeys(header, ())
    keys = [text.strip() for text in told[key]]
    if "" in keys:
        raise RuleError(f"{where}, line {keys.index('') + 2}: the key {key!r} is blank.")
    since, until = (
        _days(told.get(c), c, where, len(keys), blank) for c, blank in zip(_VALIDITY, (FIRST, LAST), strict=True)
    )
    for line, (one, two) in enumerate(zip(since, until, strict=True), 2):
        if one >= two:
            raise RuleError(f"{where}, line {line}: valid_from {one} is not before valid_to {two} (end excluded).")
    cells = [[text.strip() or None for text in told[v]] for v in values]
    rows = sorted(zip(keys, *cells, since, until, strict=True), key=itemgetter(0, -2))
    if len(set(keys)) < len(keys):
        _refuse_overlaps(rows, where)
    return Lookup(name, key, on, values, tuple(rows))


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


def _days(texts: Sequence[str] | None, column: str, where: str, rows: int, blank: dt.date) -> list[dt.date]:
    """A validity column's days; each text is read once."""
    if texts is None:
        return [blank] * rows
    known: dict[str, dt.date] = {}
    for line, text in enumerate(texts, 2):
        if text not in known:
            known[text] = _day(text, column, f"{where}, line {line}") or blank
    return [known[text] for text in texts]


def _day(text: str | None, column: str, where: str) -> dt.date | None:
    if not (text or "").strip():
        return None
    try:
        return dt.datetime.fromisoformat(str(text).strip()).date()
    except ValueError:
        raise RuleError(f"{where}: {column} {text!r} is not a day; write 2026-10-01.") from None


def _refuse_overlaps(ordered: list[tuple[Any, ...]], where: str) -> None:
    for one, two in itertools.pairwise(ordered):
        if one[0] == two[0] and two[-2] < one[-1]:
            end = "open" if one[-1] == LAST else f"until {one[-1]}"
            since = "the start" if two[-2] == FIRST else two[-2]
            raise RuleError(
                f"{where}: key {one[0]!r} is valid twice from {since}: {list(one[1:-2])} ({end}) and {list(two[1:-2])}. "
                "Close the earlier row with valid_to."
            )
