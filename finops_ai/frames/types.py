"""Column types shared by all frames, and the way between pandas and Arrow that keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.money import COST, QUANTITY, UNIT_PRICE

if TYPE_CHECKING:
    import pandera.pandas as pandera

QUANTITY_TYPE = pa.decimal128(*QUANTITY)
UNIT_PRICE_TYPE = pa.decimal128(*UNIT_PRICE)
COST_TYPE = pa.decimal128(*COST)
INSTANT_TYPE = pa.timestamp("us", tz="UTC")
TAGS_TYPE = pa.map_(pa.string(), pa.string())

Instant = Annotated[pd.DatetimeTZDtype, "us", "UTC"]
Quantity = Annotated[pd.ArrowDtype, QUANTITY_TYPE]
UnitPrice = Annotated[pd.ArrowDtype, UNIT_PRICE_TYPE]
Cost = Annotated[pd.ArrowDtype, COST_TYPE]
Tags = Annotated[pd.ArrowDtype, TAGS_TYPE]
Count = Annotated[pd.ArrowDtype, pa.int64()]
Real = Annotated[pd.ArrowDtype, pa.float64()]

STRING = pd.StringDtype(na_value=np.nan)


def pandas_dtype(arrow_type: pa.DataType) -> object | None:
    """The pandas dtype that keeps an Arrow type exactly; None leaves the choice to pandas."""
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type):
        return STRING
    if pa.types.is_decimal(arrow_type) or pa.types.is_map(arrow_type):
        return pd.ArrowDtype(arrow_type)
    if pa.types.is_integer(arrow_type):
        return pd.ArrowDtype(pa.int64())
    if pa.types.is_float64(arrow_type):
        return pd.ArrowDtype(pa.float64())
    if pa.types.is_boolean(arrow_type):
        return pd.ArrowDtype(pa.bool_())
    if pa.types.is_date(arrow_type):
        return pd.ArrowDtype(pa.date32())
    return None


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as a frame: decimals and maps stay exact, text is `str`, instants are UTC microseconds."""
    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_timestamp(kind):
            kind = INSTANT_TYPE
        elif pa.types.is_dictionary(kind):
            kind = kind.value_type
        elif pa.types.is_integer(kind) and kind != pa.int64():
            kind = pa.int64()
        fields.append(pa.field(field.name, kind))
    table = table.cast(pa.schema(fields))
    out: pd.DataFrame = table.to_pandas(types_mapper=pandas_dtype, ignore_metadata=True)
    return out


def to_arrow(frame: pd.DataFrame, schema: pa.Schema | None = None) -> pa.Table:
    """A frame as an Arrow table; with a schema, its columns in that order and of those types."""
    if schema is not None:
        frame = frame[[name for name in schema.names if name in frame.columns]]
        schema = pa.schema([field for field in schema if field.name in frame.columns])
    # columns are Arrow's already: threads would take longer to start than the work takes
    table = pa.Table.from_pandas(frame, schema=None, preserve_index=False, nthreads=1)
    if schema is None:
        fields = [
            pa.field(f.name, pa.string()) if pa.types.is_large_string(f.type) or pa.types.is_null(f.type) else f
            for f in table.schema
        ]
        schema = pa.schema(fields)
    return table.replace_schema_metadata(None).cast(schema)


def arrow_schema(model: type[pandera.DataFrameModel]) -> pa.Schema:
    """The Arrow schema of a frame model, in column order."""
    fields = []
    for name, column in model.to_schema().columns.items():
        dtype = column.dtype.type if column.dtype is not None else None
        if isinstance(dtype, pd.ArrowDtype):
            kind = dtype.pyarrow_dtype
        elif isinstance(dtype, pd.DatetimeTZDtype):
            kind = INSTANT_TYPE
        else:
            kind = pa.string()
        fields.append(pa.field(name, kind))
    return pa.schema(fields)
