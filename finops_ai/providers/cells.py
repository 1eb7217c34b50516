"""Columns of a file as exact types, and exactly which cell can't be read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError
from finops_ai.frames import TokenFrame, schema_of
from finops_ai.periods import zone
from finops_ai.providers.clocks import DOTNET, UnreadableTime, instants_of_text
from finops_ai.providers.mapping import Time
from finops_ai.providers.numbers import Numbers, plain

INSTANT = schema_of(TokenFrame).field("charge_period_start").type
QUANTITY = schema_of(TokenFrame).field("quantity").type


def scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    """A value given as text or number, in an Arrow type, exactly."""
    return pa.scalar(str(value)).cast(kind)


def first_true(broken: object) -> int:
    """Number of the first row (from 1) where something is broken, else 0."""
    return int(pc.index(pc.fill_null(broken, False), True).as_py() + 1)


def moved(values: pa.ChunkedArray, places: int) -> pa.ChunkedArray:
    """Decimals with their point moved to the left; what the type can't hold any more is rounded half to even.

    >>> moved(pa.chunked_array([pa.array([Decimal("6.1"), None], pa.decimal128(38, 18))]), 2).to_pylist()
    [Decimal('0.061000000000000000'), None]
    """
    kind = values.type
    if not pa.types.is_decimal(kind):
        return values
    kept = pc.round(values, kind.scale - places, "half_to_even").cast(pa.decimal128(38, kind.scale - places))
    return pa.chunked_array([chunk.view(pa.decimal128(38, kind.scale)) for chunk in kept.chunks]).cast(kind)


class Cells:
    """Reads columns of one file and says exactly where a value can't be used.

    Args:
        path: the file, for messages.
        numbers: how texts write numbers; None = as programs do, "1234.5".
        rows: the number (from 0) that each row has in the file, where some were left out.
    """

    def __init__(self, path: Path | str, numbers: Numbers | None = None, rows: Sequence[int] | None = None) -> None:
        self.path, self.numbers, self.rows = path, numbers, rows

    def fail(self, row: int, column: str, value: object, what: str, fix: str) -> NoReturn:
        """Raise a DataError that names file, row, column, value, what is wrong and the next step."""
        cell: Any = value
        try:
            shown = cell.as_py() if isinstance(cell, pa.Scalar) else cell
        except (OverflowError, ValueError):  # an instant beyond all years that Python has
            shown = f"{cell.value} {cell.type}"
        row = row if self.rows is None else int(self.rows[row - 1]) + 1
        raise DataError(f"{self.path}, row {row}, column {column!r}: {str(shown)[:100]!r} {what}. {fix}")

    def plain(self, table: pa.Table) -> None:
        """See that every cell is one value, not a list or an object of several."""
        for name, values in zip(table.column_names, table.columns, strict=True):
            if pa.types.is_nested(values.type) and (row := first_true(values.is_valid())):
                self.fail(row, name, values[row - 1], "is several values, where one belongs", "Map another column.")

    def quantities(self, table: pa.Table, column: str, *, whole: bool = False, times: int = 1) -> pa.ChunkedArray:
        """Counts that are 0 or more, exactly; `whole` ones have no fraction either. One in the file is `times` of them."""
        counts = self.converted(table[column], QUANTITY, column)
        if times != 1:
            counts = pc.multiply(counts, pa.scalar(Decimal(times), pa.decimal128(7, 0))).cast(QUANTITY)
        fix = "Correct the row, or map another column."
        if row := first_true(pc.less(counts, scalar(0, QUANTITY))):
            self.fail(row, column, table[column][row - 1], "is negative: usage can't be", fix)
        if whole and (row := first_true(pc.not_equal(counts, pc.floor(counts)))):
            what = "is no whole number, which a count of tokens or calls is"
            fix = 'Say how the file writes numbers in the mapping: [numbers] decimal = "," and thousands = ".", say.'
            self.fail(row, column, table[column][row - 1], what, fix)
        return counts

    def converted(self, values: pa.ChunkedArray, kind: pa.DataType, column: str) -> pa.ChunkedArray:
        """Values in the frame's type; blanks of a text column are unknown."""
        if self.numbers and _is_text(values.type) and (pa.types.is_decimal(kind) or pa.types.is_floating(kind)):
            read = plain(values.cast(pa.string()), self.numbers)
        else:
            read = values
        try:
            return cast(read, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            for row, value in enumerate(read, 1):
                if not value.is_valid:
                    continue
                try:
                    cast(pa.chunked_array([pa.array([value.as_py()], read.type)]), kind)
                except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                    shown, fix = values[row - 1], "Correct the row, or map another column."
                    self.fail(row, column, shown, f"is not a {_kind_name(kind)}{self._style()}", fix)
            raise

    def _style(self) -> str:
        if not self.numbers or self.numbers == Numbers():
            return ""
        by = f", {self.numbers.thousands!r} between thousands" if self.numbers.thousands else ""
        return f" where the file writes {self.numbers.decimal!r} before decimals{by}"

    def instants(self, table: pa.Table, column: str | list[str], time: Time) -> pa.ChunkedArray:
        """Instants in UTC; none may be unknown."""
        name = column if isinstance(column, str) else " + ".join(column)
        values = table[column] if isinstance(column, str) else joined([table[part] for part in column])
        blank = pc.equal(pc.utf8_trim_whitespace(values.cast(pa.string())), "") if _is_text(values.type) else None
        if row := first_true(values.is_null() if blank is None else pc.or_kleene(values.is_null(), blank)):
            self.fail(row, name, None, "is no time", "Each row needs the time of its usage.")
        try:
            found = instants_of(values, time)
        except UnreadableTime as error:
            row = pc.index(values.cast(pa.string()), error.text).as_py() + 1
            fix = (
                'Set `format` ("%d.%m.%Y %H:%M", say), `unit` and `zone` in [time] of the mapping file '
                f"(they are {time.format!r}, {time.unit}, {time.zone})."
            )
            self.fail(row, name, error.text, error.why, fix)
        except (pa.ArrowInvalid, OverflowError):
            fix = f"Set `unit` and `zone` in [time] of the mapping file (they are {time.unit}, {time.zone})."
            for row, value in enumerate(values, 1):
                try:
                    instants_of(pa.chunked_array([pa.array([value.as_py()], values.type)]), time)
                except (pa.ArrowInvalid, OverflowError):
                    self.fail(row, name, value, "is not a time", fix)
            raise
        odd = pc.or_(pc.less(found, EARLIEST), pc.greater(found, LATEST))
        if row := first_true(odd):
            day = np.datetime64(found[row - 1].value, "us").astype("datetime64[D]")  # may be beyond all that dates hold
            what = f"would be {day} when counted in {time.unit}"
            self.fail(row, name, values[row - 1], what, "Set `unit` (and `start`) in [time] of the mapping file.")
        return found


#: usage outside is a unit or format misread: no model was billed by the token before, no log is of the next century
EARLIEST = pa.scalar(dt.datetime(2015, 1, 1, tzinfo=dt.UTC), INSTANT)
LATEST = pa.scalar(dt.datetime(2100, 1, 1, tzinfo=dt.UTC), INSTANT)
EXCEL_DAY_0 = dt.datetime(1899, 12, 30, tzinfo=dt.UTC).replace(tzinfo=None)
#: microseconds of a unit, and the decimals read of a number of them
UNITS = {"s": ("1000000", 6), "ms": ("1000", 6), "us": ("1", 6), "ns": ("0.001", 3), "excel": ("86400000000", 10)}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _kind_name(kind: pa.DataType) -> str:
    return "number" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else f"value of type {kind}"


def joined(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Columns of a day and a time of day as texts of both."""
    texts = []
    for values in parts:
        if pa.types.is_timestamp(values.type):
            values = pc.strftime(values, "%Y-%m-%d")
        texts.append(pc.utf8_trim_whitespace(values.cast(pa.string())))
    return pc.binary_join_element_wise(*texts, " ")


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
    """Text, numbers, dates or timestamps as UTC instants of microseconds. Raises ArrowInvalid or UnreadableTime."""
    kind = values.type
    if time.unit == "iso" and time.format and (pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        values = values.cast(pa.string())  # 20261001
        kind = values.type
    if _is_text(kind) and time.unit == "iso":
        values, minutes = _wall_clock(values.cast(pa.string()), time)
        if minutes is None:
            return values
        if minutes.null_count < len(minutes):
            shift = pc.multiply(pc.fill_null(minutes, 0), 60_000_000).cast(pa.duration("us"))
            stated = pc.subtract(values, shift).cast(INSTANT)
            return pc.if_else(minutes.is_valid(), stated, _zoned(values, time.zone))
    elif pa.types.is_date(kind):
        values = values.cast(pa.timestamp("us"))
    elif not pa.types.is_timestamp(kind):
        if time.unit == "iso":
            raise pa.ArrowInvalid("a number needs a unit")
        if pa.types.is_integer(kind) and time.unit != "excel" and not time.start:
            return values.cast(pa.int64()).cast(pa.timestamp(time.unit)).cast(INSTANT, safe=False)
        micros, digits = UNITS[time.unit]
        if _is_text(kind):  # of an instant, a comma stands before its fraction
            values = pc.replace_substring_regex(values.cast(pa.string()), r"^(\s*\d+),(\d+\s*)$", r"\1.\2")
        number = cast(values, pa.decimal128(38 - 14, digits))
        scaled = pc.floor(pc.multiply(number, pa.scalar(micros).cast(pa.decimal128(13, 0 if digits == 10 else 3))))
        counted = scaled.cast(pa.int64()).cast(pa.duration("us"))
        if time.unit != "excel":
            origin = time.start or dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
            origin = origin if origin.tzinfo else origin.replace(tzinfo=zone(time.zone))
            return pc.add(pa.scalar(origin, INSTANT), counted).cast(INSTANT)
        values = pc.add(pa.scalar(EXCEL_DAY_0, pa.timestamp("us")), counted)
    return _zoned(values, time.zone) if values.type.tz is None else values.cast(INSTANT, safe=False)


def _zoned(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pc.assume_timezone(values, name, ambiguous="earliest", nonexistent="latest").cast(INSTANT, safe=False)


def _of_dotnet(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Instants of texts that .NET wrote, None where there are others."""
    if not pc.all(pc.match_substring_regex(text, DOTNET)).as_py():
        return None
    number = pc.replace_substring_regex(text, DOTNET, r"\1").cast(pa.int64())
    return number.cast(pa.timestamp("ms")).cast(INSTANT)


def _wall_clock(text: pa.ChunkedArray, time: Time) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """Texts as instants and None, or as wall-clock times and the minutes of their offsets."""
    if not time.format:
        trimmed = pc.utf8_trim_whitespace(text)
        if len(trimmed) and trimmed[0].as_py()[-2:] in (")/", "\\/") and (written := _of_dotnet(trimmed)) is not None:
            return written, None
        try:
            return trimmed.cast(pa.timestamp("ns", tz="UTC")).cast(INSTANT, safe=False), None
        except pa.ArrowInvalid:
            pass
        try:
            stamps = trimmed.cast(pa.timestamp("ns")).cast(pa.timestamp("us"), safe=False)
            return stamps, pa.chunked_array([pa.nulls(len(text), pa.int64())])
        except pa.ArrowInvalid:
            pass
    return instants_of_text(text, time.format)
