"""Workbooks that finance can open: numbers are numbers, and text from outside is text, whatever it starts with."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.marks import visible

#: text that Excel would read as the code of a character: "_x0041_" is an A there
_CODE = re.compile("_(?=x[0-9A-Fa-f]{4}_)")
#: UTF-16 units that a cell holds, and that a sheet's name does
CELL, SHEET = 32_767, 31


def write_workbook(path: str | Path, sheets: Mapping[str, pd.DataFrame], *, title: str = "") -> Path:
    """Write frames as sheets of an .xlsx file.

    Args:
        path: file to write.
        sheets: sheet name -> frame. Decimals become numbers formatted with their own decimal places.
        title: document title.

    Returns:
        The path.

    Raises:
        SettingsError: there is no folder to write it into.
    """
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    if not Path(path).absolute().parent.is_dir():
        raise SettingsError(f"There is no folder {Path(path).parent} to write {Path(path).name} into. Make it first.")
    book = Workbook(write_only=True)
    book.properties.title = _text(title) or None
    for name, frame in sheets.items():
        sheet = book.create_sheet(sheet_name(name))
        sheet.freeze_panes = "A2"
        widths = [max([len(str(c)), *(len(_shown(v)) for v in frame[c].head(200))]) for c in frame.columns]
        for i, width in enumerate(widths):
            sheet.column_dimensions[_letter(i)].width = min(max(width + 2, 8), 60)

        def cell(value: object, bold: bool = False, sheet: object = sheet) -> Any:
            out = WriteOnlyCell(sheet)
            value, form = _plain(value)
            out.value = value
            if isinstance(value, str):
                out.data_type = "s"  # never a formula
            if form:
                out.number_format = form
            if bold:
                out.font = Font(bold=True)
            return out

        sheet.append([cell(str(c), bold=True) for c in frame.columns])
        for row in frame.astype(object).itertuples(index=False):
            sheet.append([cell(v) for v in row])
    book.save(path)
    return Path(path)


def sheet_name(text: str) -> str:
    """Any text as the name of a sheet: no control characters, none that Excel forbids, at most 31 UTF-16 units.

    >>> sheet_name("1 a/b:c"), sheet_name("'x'"), sheet_name("")
    ('1 a-b-c', 'x', 'Table')
    """
    return _cut(re.sub(r"[\[\]:*?/\\\t\r\n]", "-", visible(text)), SHEET).strip("'") or "Table"


def _plain(value: object) -> tuple[Any, str]:
    """A value Excel knows, and its number format."""
    if value is None or value is pd.NA:
        return None, ""
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return None, ""
    if isinstance(value, Decimal):
        places = max(-int(value.as_tuple().exponent), 0)
        return value, "#,##0" + ("." + "0" * min(places, 12) if places else "")
    if isinstance(value, pd.Timestamp | dt.datetime):
        moment = pd.Timestamp(value).to_pydatetime()
        return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment, "yyyy-mm-dd hh:mm"
    if isinstance(value, dt.date):
        return value, "yyyy-mm-dd"
    if isinstance(value, bool | int | float):
        return value, ""
    return _text(str(value)), ""


def _text(text: str) -> str:
    """Text as a workbook holds it: what is hidden is shown as its code, and no part of it is taken for one."""
    return _cut(_CODE.sub("_x005F_", visible(text)), CELL)


def _cut(text: str, most: int) -> str:
    return text.encode("utf-16-le")[: 2 * most].decode("utf-16-le", "ignore")


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _letter(index: int) -> str:
    out = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        out = chr(65 + rest) + out
    return out
