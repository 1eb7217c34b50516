"""Build frames that keep their contract, and say readably where one doesn't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pandas as pd
import pandera.errors
import pyarrow as pa

from finops_ai.errors import FrameError
from finops_ai.frames.bills import BillFrame
from finops_ai.frames.quick import surely_keeps
from finops_ai.frames.tokens import ROW_KEY, TokenFrame
from finops_ai.frames.types import arrow_schema, to_arrow, to_pandas

#: a frame model class: TokenFrame, BillFrame or PriceFrame
Model = Any


@cache
def schema_of(model: Model) -> pa.Schema:
    """Arrow schema of a frame model."""
    return arrow_schema(model)


def check_frame(frame: pd.DataFrame, model: Model = TokenFrame, *, source: str) -> pd.DataFrame:
    """Check a frame against its model and return it unchanged.

    Args:
        frame: the frame to check; nothing is converted.
        model: TokenFrame, BillFrame or PriceFrame.
        source: where the frame came from, for the message (a file, a connector).

    Raises:
        FrameError: one line per broken rule: column, rule, number of rows, first bad row and value.
    """
    if surely_keeps(frame, model):
        return frame
    try:
        out: pd.DataFrame = model.validate(frame, lazy=True)
        return out
    except pandera.errors.SchemaErrors as error:
        raise FrameError(f"{model.__name__} from {source} breaks its contract:\n{_broken(error, frame)}") from None


def _broken(error: pandera.errors.SchemaErrors, frame: pd.DataFrame) -> str:
    lines: dict[tuple[str, str], str] = {}
    for (column, check), rows in error.failure_cases.groupby(["column", "check"], sort=False, dropna=False):
        first = rows.iloc[0]
        if check == "column_in_dataframe":
            text, key = f"column {first['failure_case']!r} is missing", (str(first["failure_case"]), check)
        elif check == "column_in_schema":
            text, key = (
                f"column {first['failure_case']!r} is not part of the frame",
                (str(first["failure_case"]), check),
            )
        elif str(check).startswith("dtype"):
            text, key = f"{column}: is {frame[column].dtype}, must be {str(check)[7:-2]}", (str(column), check)
        else:
            places = rows["index"].dropna().unique()
            place = f", first in row {places[0]}" if len(places) else ""
            wide = first["schema_context"] == "DataFrameSchema"
            value = "" if wide else f": {first['failure_case']!r}"
            check = "is one of its known values" if str(check).startswith("isin(") and len(str(check)) > 200 else check
            name = "row" if wide else column
            text, key = f"{name}: {check} fails in {max(len(places), 1)} rows{place}{value}", (name, check)
        lines.setdefault(key, f"  {text}")
    shown = list(lines.values())
    rest = [f"  ... and {len(shown) - 12} more"] if len(shown) > 12 else []
    return "\n".join(shown[:12] + rest)


def conform(
    data: pd.DataFrame | pa.Table | Mapping[str, Any], model: Model = TokenFrame, *, source: str
) -> pd.DataFrame:
    """Make a whole, checked frame out of columns: missing optional columns are added as nulls, types are the model's.

    Text, ints, Decimals and aware datetimes become the declared types; a lossy conversion is an error, not a rounding.

    Args:
        data: a frame, an Arrow table, or a mapping of column name to values.
        model: TokenFrame or BillFrame.
        source: for messages.

    Returns:
        A frame with every column of the model, in its order.

    >>> conform({}, source="nothing").shape
    (0, 36)
    """
    schema = schema_of(model)
    required = [name for name, column in model.to_schema().columns.items() if not column.nullable]
    if isinstance(data, pd.DataFrame):
        data = to_arrow(data)
    names = data.column_names if isinstance(data, pa.Table) else list(data)
    if unknown := sorted(set(names) - set(schema.names)):
        raise FrameError(f"{model.__name__} from {source}: unknown columns {unknown}; it has {schema.names}.")
    rows = data.num_rows if isinstance(data, pa.Table) else max((len(v) for v in data.values()), default=0)
    if rows and (missing := [name for name in required if name not in names]):
        raise FrameError(f"{model.__name__} from {source}: columns {missing} are missing.")
    columns = []
    for field in schema:
        if field.name not in names:
            columns.append(pa.nulls(rows, field.type))
            continue
        try:
            values = data[field.name]
            if isinstance(values, pa.Array | pa.ChunkedArray):
                columns.append(values if values.type == field.type else values.cast(field.type))
            else:
                columns.append(_array(values, field.type))
        except (pa.ArrowException, ValueError, TypeError) as error:
            raise FrameError(f"{model.__name__} from {source}, column {field.name}: {error}") from error
    return check_frame(to_pandas(pa.table(columns, schema=schema)), model, source=source)


def _array(values: Iterable[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind) or pa.types.is_map(kind):
        return pa.array(list(values), type=kind)
    return pa.array(values, type=kind, from_pandas=True)


def empty(model: Model = TokenFrame) -> pd.DataFrame:
    """A frame of the model without rows, every column typed."""
    return _empty(model).copy()


@cache
def _empty(model: Model) -> pd.DataFrame:
    return to_pandas(schema_of(model).empty_table())


def concat(frames: Iterable[pd.DataFrame], model: Model = TokenFrame) -> pd.DataFrame:
    """Put whole frames of one model below each other, keeping exact types."""
    tables = [to_arrow(frame, schema_of(model)) for frame in frames if len(frame)]
    return to_pandas(pa.concat_tables(tables)) if tables else empty(model)


def duplicates(frame: pd.DataFrame, key: list[str] | None = None) -> pd.DataFrame:
    """Rows of a token frame that share a key with another row and would be counted twice (tags compared as text)."""
    keyed = frame[key or ROW_KEY].copy()
    keyed["tags"] = frame["tags"].astype(str)
    return frame[keyed.duplicated(keep=False).to_numpy()]


__all__ = ["BillFrame", "TokenFrame", "check_frame", "concat", "conform", "duplicates", "empty", "schema_of"]
