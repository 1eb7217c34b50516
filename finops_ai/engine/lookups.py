"""Look-up tables: a key (person, API key, project) to values, each row with the days it is valid."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import RuleError, hint

FIRST, LAST = dt.date(1, 1, 1), dt.date(9999, 12, 31)
_KEYS = ("file", "rows", "key", "on")
_VALIDITY = ("valid_from", "valid_to")


@dataclass(frozen=True)
class Lookup:
    """A key column, value columns, and rows `(key, values..., valid_from, valid_to)`, half open in days of the reporting zone."""

    name: str
    key: str
    on: str
    values: tuple[str, ...]
    rows: tuple[tuple, ...]

    def table(self) -> pa.Table:
        """The rows as Arrow: `_key`, the value columns, `valid_from`, `valid_to`."""
        names = ["_key", *self.values, *_VALIDITY]
        kinds = [pa.string()] * (1 + len(self.values)) + [pa.date32()] * 2
        turned = list(zip(*self.rows, strict=True)) or [()] * len(names)
        return pa.table({n: pa.array(v, k) for n, v, k in zip(names, turned, kinds, strict=True)})

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
        if key not in _KEYS:
            raise RuleError(f"{place}: no key {key!r}. {hint(key, _KEYS)}")
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
    for name in header:
        if lower.count(name.lower()) > 1 or not name or name.startswith("_"):
            raise RuleError(
                f"{where}: column {name!r} needs a name of its own, in any case, that doesn't start with _."
            )
    values = tuple(c for c in header if c not in (key, *_VALIDITY))
    rows = []
    for line, record in enumerate(records, 2):
        if None in record:
            raise RuleError(f"{where}, line {line}: there are more cells than columns; quote text that has a comma.")
        if not (record.get(key) or "").strip():
            raise RuleError(f"{where}, line {line}: the key {key!r} is blank.")
        since, until = (_day(record.get(c), c, f"{where}, line {line}") for c in _VALIDITY)
        since, until = since or FIRST, until or LAST
        if since >= until:
            raise RuleError(f"{where}, line {line}: valid_from {since} is not before valid_to {until} (end excluded).")
        rows.append((record[key].strip(), *((record.get(v) or "").strip() or None for v in values), since, until))
    _refuse_overlaps(rows, where)
    return Lookup(name, key, on, values, tuple(sorted(rows, key=lambda r: (r[0], r[-2]))))


def _records(table: Mapping[str, Any], root: Path, place: str) -> tuple[list[str], list[dict[str, str]], str]:
    """The columns, the rows as text (blank = ""), and where they stand, for messages."""
    if "rows" in table:
        rows = table["rows"]
        if not isinstance(rows, list) or not all(isinstance(r, Mapping) for r in rows):
            raise RuleError(f"{place}: rows must be a list of tables.")
        header = list(dict.fromkeys(str(k) for row in rows for k in row)) or [table["key"]]
        return header, [{str(k): "" if v is None else str(v) for k, v in row.items()} for row in rows], place
    path = root / Path(table["file"]).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            return list(reader.fieldnames or ()), list(reader), f"{place}, file {path}"
    except FileNotFoundError:
        raise RuleError(f"{place}: there is no file {path}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RuleError(f"{place}: {path} is not a readable CSV in UTF-8: {error}.") from None


def _day(text: str | None, column: str, where: str) -> dt.date | None:
    if not (text or "").strip():
        return None
    try:
        return dt.datetime.fromisoformat(str(text).strip()).date()
    except ValueError:
        raise RuleError(f"{where}: {column} {text!r} is not a day; write 2026-10-01.") from None


def _refuse_overlaps(rows: list[tuple], where: str) -> None:
    ordered = sorted(rows, key=lambda r: (r[0], r[-2]))
    for one, two in itertools.pairwise(ordered):
        if one[0] == two[0] and two[-2] < one[-1]:
            end = "open" if one[-1] == LAST else f"until {one[-1]}"
            since = "the start" if two[-2] == FIRST else two[-2]
            raise RuleError(
                f"{where}: key {one[0]!r} is valid twice from {since}: {list(one[1:-2])} ({end}) and {list(two[1:-2])}. "
                "Close the earlier row with valid_to."
            )
