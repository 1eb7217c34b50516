"""Whether a frame surely keeps its contract, by whole columns in Arrow; who isn't sure asks the model itself.

The model says the rules and words every error. This only saves its work where nothing is wrong: the known kinds of checks are
decided over distinct values, and a frame with any other kind, or any doubt, goes to the model.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.meters import meters

if TYPE_CHECKING:
    import pandera.pandas as pandera
    from pandera import Check

Column: TypeAlias = pa.ChunkedArray


def surely_keeps(frame: pd.DataFrame, model: type[pandera.DataFrameModel]) -> bool:
    """True only if every rule of the model holds."""
    schema = _schema(model)
    if frame.columns.has_duplicates or set(frame.columns) != set(schema.columns):
        return False
    whole = {check.error or check.name for check in schema.checks}
    if not whole <= set(_WHOLE):
        return False
    read = cache(lambda name: _arrow(pd.Series(frame[name])))
    return all(_column(frame[name], column, read) for name, column in schema.columns.items()) and all(
        _WHOLE[name](read) for name in whole
    )


@cache
def _schema(model: type[pandera.DataFrameModel]) -> pandera.DataFrameSchema:
    return model.to_schema()


def _arrow(values: pd.Series) -> Column:
    found = pa.array(values, from_pandas=True)
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def _column(values: pd.Series, column: pandera.Column, read: Callable[[str], Column]) -> bool:
    if column.unique or column.dtype is None or values.dtype != column.dtype.type:
        return False
    found = read(column.name)
    if found.null_count and not column.nullable:
        return False
    return all(_check(found, check) for check in column.checks)


def _check(found: Column, check: Check) -> bool:
    said = check.statistics or {}
    if check.name == "isin":
        return set(pc.unique(found.drop_null()).to_pylist()) <= set(said["allowed_values"])
    if check.name == "str_length":
        short, long = said["min_value"], said["max_value"]
        sizes = pc.min_max(pc.utf8_length(pc.unique(found.drop_null())))
        low, high = sizes["min"].as_py(), sizes["max"].as_py()
        return low is None or ((short is None or low >= short) and (long is None or high <= long))
    if check.name == "greater_than_or_equal_to":
        least = pc.min(found).as_py()
        return least is None or least >= said["min_value"]
    return False


def _before(start: str, end: str) -> Callable[[Callable[[str], Column]], bool]:
    return lambda read: pc.all(pc.less(read(start), read(end))).as_py() is not False


def _unit_fits_meter(read: Callable[[str], Column]) -> bool:
    pairs = pa.table({"meter": read("meter"), "unit": read("unit")}).group_by(["meter", "unit"]).aggregate([])
    return all(meters()[row["meter"]].unit == row["unit"] for row in pairs.to_pylist())


def _cost_has_currency(read: Callable[[str], Column]) -> bool:
    lost = pc.and_(pc.is_valid(read("billed_cost")), pc.is_null(read("billing_currency")))
    return pc.any(lost).as_py() is not True


#: rules over several columns, by the name their model gives them
_WHOLE: dict[str, Callable[[Callable[[str], Column]], bool]] = {
    "the slice starts before it ends": _before("charge_period_start", "charge_period_end"),
    "the charge starts before it ends": _before("charge_period_start", "charge_period_end"),
    "the seat is held before it ends": _before("seat_start", "seat_end"),
    "the unit is the meter's unit": _unit_fits_meter,
    "a stated cost has a currency": _cost_has_currency,
}
