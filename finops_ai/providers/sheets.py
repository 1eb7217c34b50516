"""Workbooks as people keep them: covers before the table, titles, headers of several rows, a sheet a month."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.providers.names import COLUMNS, COUNTS, bare_name
from finops_ai.providers.texts import named

#: names that tell a sheet of calls from a cover
KNOWN = {name for known in (*COLUMNS.values(), *COUNTS.values()) for name in known}
#: the code of a character in a workbook's text; halves of a pair are none
_CODE = re.compile("_x((?:[0-9A-Ca-cE-Fe-f][0-9A-Fa-f]|[Dd][0-7])[0-9A-Fa-f]{2})_")
#: rows at the top of a sheet among which its header is looked for
TOP = 20


@dataclass(frozen=True)
class _Sheet:
    """A sheet with a table: its title, the names of its columns, its rows, and how many of its names are known."""

    title: str
    names: tuple[str, ...]
    rows: list[list[Any]]
    fits: int


def read_workbook(file: Path, path: Path, columns: Sequence[str] | None, notes: list[str]) -> pa.Table:
    """The table of a workbook: that of the sheet with the columns wanted, else with most names that are known.

    Sheets of the same columns (a month each) are put together; one that holds all the others' rows counts alone.

    Args:
        file: the workbook.
        path: as it is called in messages.
        columns: names that the table must have.
        notes: sheets put together and left out are told here.

    Raises:
        DataError: no workbook, or no sheet holds a table.
    """
    import openpyxl

    found = []
    try:
        with file.open("rb") as stream:
            book = openpyxl.load_workbook(io.BytesIO(stream.read()), read_only=True, data_only=True)
        for sheet in book.worksheets:
            rows = [[_told(cell) for cell in row] for row in sheet.iter_rows(values_only=True)]
            if table := _table(sheet.title, [row for row in rows if any(_filled(cell) for cell in row)], columns):
                found.append(table)
    except Exception as error:  # openpyxl lets many kinds through from damaged archives
        raise DataError(f"{path}: not a whole Excel workbook ({error}). Save it again, or save it as CSV.") from None
    if not found:
        raise DataError(f"{path}: no sheet of the workbook holds a table with a header and a row.")
    best = max(found, key=lambda sheet: sheet.fits)
    alike = _each_row_once([sheet for sheet in found if sheet.names == best.names])
    if len(alike) > 1:
        notes.append(
            f"{path.name}: the sheets {', '.join(s.title for s in alike)} have the same columns: read as one table."
        )
    if out := [s.title for s in found if s not in alike and s.fits and s.fits >= best.fits // 2]:
        notes.append(
            f"{path.name}: the sheets {', '.join(out)} are left out: their columns differ, or their rows stand in {best.title}."
        )
    body = [row for sheet in alike for row in sheet.rows]
    return pa.table({name: _cells([row[i] for row in body]) for i, name in enumerate(best.names)})


def _table(title: str, rows: list[list[Any]], columns: Sequence[str] | None) -> _Sheet | None:
    """The table of a sheet, below its widest early row; where that row is data already, below the texts above it."""
    width = max((sum(map(_filled, row)) for row in rows[:TOP]), default=0)
    if len(rows) < 2 or width < 2:
        return None
    top = next(i for i, row in enumerate(rows) if sum(map(_filled, row)) == width)
    head = _names_above(rows, top) if any(_is_value(cell) for cell in rows[top]) else None
    begin = top if head else top + 1
    used = max(i for i, cell in enumerate(rows[top]) if _filled(cell)) + 1
    names = named(head or ["" if cell is None else str(cell) for cell in rows[top][:used]])
    body = [row[:used] + [None] * (used - len(row)) for row in rows[begin:]]
    fits = sum(name in names if columns else bare_name(name) in KNOWN for name in columns or names)
    return _Sheet(title, names, body, fits) if body else None


def _names_above(rows: list[list[Any]], top: int) -> list[str] | None:
    """Names of columns from the rows of texts above the first row of data: what spans several columns stands before each."""
    used = max(i for i, cell in enumerate(rows[top]) if _filled(cell)) + 1
    heads: list[list[str]] = []
    for row in reversed(rows[max(0, top - 2) : top]):
        cells = ["" if cell is None else str(cell).strip() for cell in row[:used]]
        if any(_is_value(cell) for cell in row) or sum(map(bool, cells)) < 2:
            break
        heads.insert(0, cells + [""] * (used - len(cells)))
    if not heads:
        return None
    if len(heads) == 2:
        held = ""
        for i, cell in enumerate(heads[0]):
            held = cell or held
            heads[0][i] = held if heads[1][i] else cell
    return [" ".join(filter(None, parts)) for parts in zip(*heads, strict=True)]


def _each_row_once(sheets: list[_Sheet]) -> list[_Sheet]:
    """Sheets less those whose rows all stand in another one, such as the months beside a sheet of the whole year."""
    rows = {sheet.title: {tuple(map(str, row)) for row in sheet.rows} for sheet in sheets}
    kept: list[_Sheet] = []
    for sheet in sorted(sheets, key=lambda sheet: -len(rows[sheet.title])):
        if not any(rows[sheet.title] <= rows[other.title] for other in kept):
            kept.append(sheet)
    return [sheet for sheet in sheets if sheet in kept]


def _told(cell: Any) -> Any:
    """A cell's value; Excel writes a character that XML can't hold, or that looks like its code, as that code."""
    if isinstance(cell, str) and "_x" in cell:
        return _CODE.sub(lambda match: chr(int(match[1], 16)), cell)
    return cell


def _filled(cell: object) -> bool:
    return cell is not None and cell != ""


def _is_value(cell: object) -> bool:
    """A number, day or time: what a header has none of."""
    return isinstance(cell, int | float | dt.datetime | dt.date | dt.time) and not isinstance(cell, bool)


def _cells(values: list[Any]) -> pa.Array:
    """Cells of a column in the one type they have: numbers exact, days and times as timestamps, else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {dt.datetime, dt.date}:
        return pa.array(
            [dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in values], pa.timestamp("us")
        )
    if kinds and kinds <= {int, float} and bool not in kinds:
        return pa.array([None if v is None else Decimal(repr(v)) for v in values], pa.decimal256(50, 20)).cast(
            pa.decimal128(38, 18)
        )
    return pa.array([None if v is None else v.isoformat() if hasattr(v, "isoformat") else str(v) for v in values])
