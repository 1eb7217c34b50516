"""Columns of a file as exact types, and exactly which cell can't be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError
from finops_ai.frames import TokenFrame, schema_of
from finops_ai.providers.mapping import Time

INSTANT = schema_of(TokenFrame).field("charge_period_start").type
QUANTITY = schema_of(TokenFrame).field("quantity").type


def scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    """A value given as text or number, in an Arrow type, exactly."""
    return pa.scalar(str(value)).cast(kind)


def first_true(broken: Any) -> int:
    """Number of the first row (from 1) where something is broken, else 0."""
    return pc.index(pc.fill_null(broken, False), True).as_py() + 1


class Cells:
    """Reads columns of one file and says exactly where a value can't be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, row: int, column: str, value: Any, what: str, fix: str) -> NoReturn:
        """Raise a DataError that names file, row, column, value, what is wrong and the next step."""
        shown = value.as_py() if isinstance(value, pa.Scalar) else value
        raise DataError(f"{self.path}, row {row}, column {column!r}: {str(shown)[:100]!r} {what}. {fix}")

    def quantities(self, table: pa.Table, column: str) -> pa.ChunkedArray:
        """Counts that are 0 or more, exactly."""
        counts = self.converted(table[column], QUANTITY, column)
        if row := first_true(pc.less(counts, scalar(0, QUANTITY))):
            what = "is negative: usage can't be"
            self.fail(row, column, table[column][row - 1], what, "Correct the row, or map another column.")
        return counts

    def converted(self, values: pa.ChunkedArray, kind: pa.DataType, column: str) -> pa.ChunkedArray:
        """Values in the frame's type; blanks of a text column are unknown."""
        try:
            return cast(values, kind)
        except pa.ArrowInvalid:
            for row, value in enumerate(values, 1):
                try:
                    cast(pa.chunked_array([pa.array([value.as_py()], values.type)]), kind)
                except pa.ArrowInvalid:
                    self.fail(
                        row, column, value, f"is not a {_kind_name(kind)}", "Correct the row, or map another column."
                    )
            raise

    def instants(self, table: pa.Table, column: str, time: Time) -> pa.ChunkedArray:
        """Instants in UTC; none may be unknown."""
        values = table[column]
        if row := first_true(values.is_null()):
            self.fail(row, column, None, "is no time", "Each row needs the time of its usage.")
        try:
            return instants_of(values, time)
        except pa.ArrowInvalid:
            for row, value in enumerate(values, 1):
                try:
                    instants_of(pa.chunked_array([pa.array([value.as_py()], values.type)]), time)
                except pa.ArrowInvalid:
                    fix = f"Set `unit` and `zone` in [time] of the mapping file (they are {time.unit}, {time.zone})."
                    self.fail(row, column, value, "is not a time", fix)
            raise


def _kind_name(kind: pa.DataType) -> str:
    return "number" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else f"value of type {kind}"


def cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Text, numbers or decimals in another type without loss; blanks are null. Raises ArrowInvalid."""
    if values.type == kind:
        return values
    if pa.types.is_decimal(kind):
        if pa.types.is_integer(values.type):
            return values.cast(pa.decimal128(38, kind.scale)).cast(kind)
        if pa.types.is_floating(values.type) or pa.types.is_string(values.type):
            text = pc.utf8_trim_whitespace(values.cast(pa.string()))
            text = pc.if_else(pc.equal(text, ""), None, text)
            return text.cast(pa.decimal128(38, max(kind.scale, 18))).cast(kind)
        return values.cast(kind)
    if pa.types.is_string(values.type) and not pa.types.is_string(kind):
        text = pc.utf8_trim_whitespace(values)
        return pc.if_else(pc.equal(text, ""), None, text).cast(kind)
    return values.cast(kind)


def instants_of(values: pa.ChunkedArray, time: Time) -> pa.ChunkedArray:
    """Text, numbers, dates or timestamps as UTC instants of microseconds. Raises ArrowInvalid."""
    kind = values.type
    if pa.types.is_string(kind) and time.unit == "iso":
        text = pc.utf8_trim_whitespace(values)
        try:
            return text.cast(pa.timestamp("ns", tz="UTC")).cast(INSTANT, safe=False)
        except pa.ArrowInvalid:
            values = text.cast(pa.timestamp("ns"))
    elif pa.types.is_date(kind):
        values = values.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        if time.unit == "iso":
            raise pa.ArrowInvalid("a number needs a unit")
        if pa.types.is_integer(kind):
            return values.cast(pa.int64()).cast(pa.timestamp(time.unit)).cast(INSTANT, safe=False)
        micros = {"s": "1000000", "ms": "1000", "us": "1", "ns": "0.001"}[time.unit]
        number = cast(values, pa.decimal128(25, 6))
        scaled = pc.floor(pc.multiply(number, pa.scalar(micros).cast(pa.decimal128(10, 3))))
        return scaled.cast(pa.int64()).cast(pa.timestamp("us")).cast(INSTANT)
    if values.type.tz is None:
        values = pc.assume_timezone(values, time.zone, ambiguous="earliest", nonexistent="latest")
    return values.cast(INSTANT, safe=False)
