"""One FOCUS file as a table of known columns: names, nulls, times and numbers as this package wants them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError, hint
from finops_ai.formulas import original
from finops_ai.frames.focus import ALIASES, kind_of
from finops_ai.providers.cells import INSTANT, Cells, first_true
from finops_ai.providers.tables import load_table

NUMBER = pa.decimal128(38, 18)
NULLS = pa.array(["", "NULL", "null", "\\N"])
REQUIRED = ("BillingAccountId", "ChargePeriodStart", "ChargePeriodEnd", "BilledCost", "BillingCurrency")
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2}|\d{4})")


def read_file(path: Path) -> dict[str, pa.Array]:
    """All columns of a CSV or Parquet file under today's names, in exact types.

    Older and vendors' names are understood; "NULL" and blanks are null; a time without zone is UTC. FOCUS columns are
    numbers, instants or text by the specification; JSON columns stay text; custom columns keep Parquet's own types.

    Raises:
        DataError: the file is damaged, lacks a column nothing can be read without, or holds a value that is no number
            or time; names file, row, column and value.
    """
    table = _as_written(load_table(path), path)
    names = [name.strip("\ufeff ") for name in table.column_names]
    renamed = [ALIASES.get(name, name) if ALIASES.get(name) not in names else name for name in names]
    table = table.rename_columns(renamed)
    if missing := [name for name in REQUIRED if name not in renamed]:
        raise DataError(
            f"{path}: the column {missing[0]!r} is missing, so this is no FOCUS file. {hint(missing[0], renamed)} "
            "Export Cost and Usage data in FOCUS 1.0 or newer."
        )
    cells = Cells(path)
    return {name: _typed(name, table[name], cells) for name in dict.fromkeys(renamed)}


def _as_written(table: pa.Table, path: Path) -> pa.Table:
    """The table, from CSV without the apostrophes that keep text from being a formula there."""
    if ".parquet" in path.name.lower():
        return table
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "'")).as_py():
            column = pa.chunked_array([pa.array([v and original(v) for v in column.to_pylist()], pa.string())])
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _typed(name: str, column: pa.ChunkedArray, cells: Cells) -> pa.Array:
    values = column.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], column.type)
    if pa.types.is_large_string(values.type) or pa.types.is_null(values.type):
        values = values.cast(pa.string())
    if pa.types.is_string(values.type):
        trimmed = pc.utf8_trim_whitespace(values)
        values = pc.if_else(pc.is_in(trimmed, NULLS), pa.scalar(None, pa.string()), trimmed)
    kind = kind_of(name)
    if kind == "number":
        if pa.types.is_string(values.type):
            values = pc.replace_substring(values, ",", "")
        return _whole(cells.converted(pa.chunked_array([values]), NUMBER, name))
    if kind == "time":
        return _instants(values, name, cells)
    if name.startswith("x_"):
        return values
    return _texts(values)


def _texts(values: pa.Array) -> pa.Array:
    if pa.types.is_map(values.type) or pa.types.is_struct(values.type):
        return pa.array(
            [None if v is None else json.dumps(dict(v), default=str) for v in values.to_pylist()], pa.string()
        )
    return values.cast(pa.string())


def _whole(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _instants(values: pa.Array, name: str, cells: Cells) -> pa.Array:
    from finops_ai.providers.mapping import Time

    if pa.types.is_string(values.type) and pc.any(pc.match_substring(values, "/")).as_py():
        values = pa.array([_from_us_date(text) for text in values.to_pylist()], pa.string())
    if row := first_true(values.is_null()):
        cells.fail(row, name, None, "is no time", "FOCUS needs it in every row: export the file again.")
    table = pa.table({name: values})
    return _whole(cells.instants(table, name, Time())).cast(INSTANT)


def _from_us_date(text: str | None) -> str | None:
    match = _US_DATE.fullmatch(text or "")
    if not match:
        return text
    month, day, year = (int(part) for part in match.groups())
    return dt.date(year + (2000 if year < 100 else 0), month, day).isoformat()


def tags_of(texts: pa.Array, known: dict[str | None, Any]) -> pa.Array:
    """JSON objects of tags as a map column; an unvalued tag is "true". What is no JSON object is kept as tag `Tags`."""
    rows = []
    for text in texts.to_pylist():
        if text not in known:
            known[text] = None if text is None else _tags(text)
        rows.append(known[text])
    return pa.array(rows, pa.map_(pa.string(), pa.string()))


def _tags(text: str) -> list[tuple[str, str]]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return [("Tags", text)]
    if isinstance(parsed, list):
        parsed = {pair["key"]: pair.get("value") for pair in parsed if isinstance(pair, Mapping) and "key" in pair}
    if not isinstance(parsed, Mapping):
        return [("Tags", text)]
    return [(str(k), v if isinstance(v, str) else json.dumps(v)) for k, v in parsed.items() if v is not None]


def details_of(text: str | None) -> dict[str, Any]:
    """SkuPriceDetails as an object, keys without the custom prefix."""
    try:
        parsed = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return {str(k).removeprefix("x_"): v for k, v in parsed.items()} if isinstance(parsed, Mapping) else {}
