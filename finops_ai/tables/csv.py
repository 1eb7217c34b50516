"""The one way this package writes CSV: UTF-8, exact numbers, text that never starts a spreadsheet formula.

Every type goes through it: what isn't a number, an instant or a truth value is text, also where it is a column's name, a
category, a list or a map.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.formulas import text_cell


def plain_cell(value: object) -> str:
    """A value as a cell: nothing for unknown, numbers in full, instants in ISO 8601, all else as harmless text.

    >>> plain_cell(None), plain_cell(Decimal("1E-7")), plain_cell("=x"), plain_cell({"a": "b"})
    ('', '0.0000001', '"\\'=x"', '"{""a"": ""b""}"')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    if isinstance(value, str):
        return text_cell(value)
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() else ""
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating):
        return "" if value != value else repr(float(value))
    if isinstance(value, dt.datetime | dt.date | pd.Period):
        return text_cell(str(value))
    if isinstance(value, dict | list | tuple | np.ndarray):
        return text_cell(json.dumps(value, ensure_ascii=False, default=str))
    return text_cell(str(value))


def csv_text(frame: pd.DataFrame, cell: Callable[[Any], str] = plain_cell) -> str:
    """A frame as CSV text, lines ended by a line feed; the index is left out.

    Args:
        frame: any frame.
        cell: how a value is written; `plain_cell` unless a standard asks for another form of numbers and times.
    """
    frame = pd.DataFrame(frame)
    columns = (frame.iloc[:, i].astype(object).tolist() for i in range(frame.shape[1]))
    return csv_of([str(c) for c in frame.columns], columns, cell)


def csv_of(header: Iterable[str], columns: Iterable[Iterable[Any]], cell: Callable[[Any], str] = plain_cell) -> str:
    """Columns of values below their names as CSV text (see `csv_text`)."""
    lines = [",".join(map(text_cell, header))]
    written = [[cell(value) for value in column] for column in columns]
    lines += map(",".join, zip(*written, strict=True))
    return "\n".join(lines) + "\n"


def write_csv(frame: pd.DataFrame, path: str | Path, cell: Callable[[Any], str] = plain_cell) -> Path:
    """Write a frame as CSV (see `csv_text`); a file of that name is replaced at once or not at all. Returns the path."""
    return put(csv_text(frame, cell), Path(path))


def put(text: str, path: Path) -> Path:
    """Write a text file beside its place, then move it there."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


__all__ = ["csv_of", "csv_text", "plain_cell", "put", "write_csv"]
