"""Any request log or usage table as a token frame: CSV, Parquet or JSON Lines, read through a mapping file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from finops_ai.errors import DataError, SettingsError, UsageError, hint
from finops_ai.frames import TokenFrame, conform, schema_of
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai.providers.connector import Connector, ConnectorSettings
from finops_ai.providers.files import find_files
from finops_ai.providers.mapping import DEFAULTS, FileMapping, Time, Usage, load_mapping

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window

READER_FUNCTIONS = {"csv": "read_csv", "parquet": "read_parquet", "jsonl": "read_json"}
READER_OPTIONS = {
    "csv": ", all_varchar = true, header = true",
    "parquet": "",
    "jsonl": ", format = 'newline_delimited', sample_size = -1, convert_strings_to_integers = false",
}
SCHEMA = schema_of(TokenFrame)
INSTANT = SCHEMA.field("charge_period_start").type
QUANTITY = SCHEMA.field("quantity").type


class MappedSettings(ConnectorSettings):
    """Settings of the readers `csv`, `parquet` and `jsonl`."""

    mapping: Any = Field(description="TOML file that says which column is what.")


class MappedFiles(Connector):
    """Reads Parquet through a mapping file; `provider` in the frame is what the mapping says."""

    name: ClassVar[str] = "parquet"
    title: ClassVar[str] = "Parquet with a mapping file"
    Settings: ClassVar[type[ConnectorSettings]] = MappedSettings

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if not self.settings.files:
            raise SettingsError(f"[providers.{self.name}]: `files` is missing: name the files to read.")
        self.mapping = load_mapping(self.settings.mapping)

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the rows whose slice starts in `[window.start, window.end)`.

        Raises:
            DataError: a missing column, or a value that can't be read or is negative; names file, row, column, value.
        """
        columns = self.mapping.source_columns()
        tables = [
            tokens_of(load_table(path, self.name, columns), self.mapping, path, window)
            for path in find_files(self.settings.files)
        ]
        return conform(pa.concat_tables(tables), source=", ".join(self.settings.files))


class CsvFiles(MappedFiles):
    """CSV with a header line, optionally gzipped."""

    name = "csv"
    title = "CSV with a mapping file"


class JsonLinesFiles(MappedFiles):
    """JSON Lines, optionally gzipped; nested fields are reached as `usage.input_tokens`."""

    name = "jsonl"
    title = "JSON Lines with a mapping file"


#: reader name -> its class; they need no plugin
READERS: dict[str, type[MappedFiles]] = {cls.name: cls for cls in (CsvFiles, MappedFiles, JsonLinesFiles)}


def load_table(path: Path, form: str, columns: list[str]) -> pa.Table:
    """The named columns of one file as an Arrow table, in file order; CSV values stay text.

    Args:
        path: the file.
        form: csv, parquet or jsonl.
        columns: names; in JSON Lines a dot reaches into an object.

    Raises:
        DataError: the file is damaged, or a column is missing; names the nearest one it has.
    """
    import duckdb

    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty. Export it again.")
    reader = f"{READER_FUNCTIONS[form]}($1{READER_OPTIONS[form]})"
    with duckdb.connect() as db:
        try:
            described = db.sql(f"SELECT * FROM {reader} LIMIT 0", params=[str(path)]).to_arrow_table().schema
            chosen = []
            for name in columns:
                steps = [name] if name in described.names else name.split(".")
                if not _reaches(described, steps):
                    raise DataError(
                        f"{path}: the column {name!r} is missing. {hint(name, described.names)} "
                        "Correct the mapping file, or export the file again with that column."
                    )
                chosen.append(".".join(map(_quoted, steps)) + f" AS {_quoted(name)}")
            return db.sql(f"SELECT {', '.join(chosen)} FROM {reader}", params=[str(path)]).to_arrow_table()
        except duckdb.Error as error:
            raise DataError(f"{path}: not a whole {form} file ({str(error).splitlines()[0][:300]}).") from None


def _reaches(schema: pa.Schema, steps: list[str]) -> bool:
    kind: Any = pa.struct(list(schema))
    for step in steps:
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return False
        kind = kind.field(step).type
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def tokens_of(table: pa.Table, mapping: FileMapping, path: Path, window: Window) -> pa.Table:
    """Turn the rows of one file into a long table: one row per meter that counted something.

    A count that `inside` declares as part of another is taken off that other, so the meters are disjoint.

    Args:
        table: rows of the file, the mapping's columns.
        mapping: what each column is.
        path: the file, for messages and row numbers.
        window: rows whose slice starts in `[window.start, window.end)` are kept.

    Raises:
        DataError: a value can't be read or is negative, or parts exceed their total.
    """
    rows = table.num_rows
    place = _Place(path)
    start = place.instants(table, mapping.columns["charge_period_start"], mapping.time)
    common: dict[str, Any] = {"charge_period_start": start}
    if "charge_period_end" in mapping.columns:
        common["charge_period_end"] = place.instants(table, mapping.columns["charge_period_end"], mapping.time)
    else:
        common["charge_period_end"] = pc.add(start, pa.scalar(mapping.time.microseconds, pa.duration("us")))
    for name, column in mapping.columns.items():
        if name not in common:
            values = _translated(table[column], mapping.values.get(name, {}))
            common[name] = place.converted(values, SCHEMA.field(name).type, column)
    if mapping.one_row_is_one_slice and "request_id" not in common:
        numbers = pa.array(range(1, rows + 1)).cast(pa.string())
        common["request_id"] = pc.binary_join_element_wise(path.name, numbers, ":")
    first, last = pa.scalar(window.start, INSTANT), pa.scalar(window.end, INSTANT)
    wanted = pc.and_(pc.greater_equal(start, first), pc.less(start, last))

    out = []
    for usage in mapping.usage:
        constants = {k: v for k, v in (DEFAULTS | mapping.constants | usage.constants).items() if k not in common}
        slices = common | {k: pa.repeat(_scalar(v, SCHEMA.field(k).type), rows) for k, v in constants.items()}
        slices["tags"] = _tags({k: table[c] for k, c in mapping.tags.items()}, usage.tags, rows)
        counted = _meters(table, usage, place)
        requests = _requests(table, usage, place)
        out.append(_long(slices, counted, requests, wanted))
    return pa.concat_tables(out, promote_options="default")


def _scalar(value: object, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(str(value)).cast(kind)


def _translated(values: pa.ChunkedArray, words: Mapping[str, str]) -> pa.ChunkedArray:
    if not words:
        return values
    text = values.cast(pa.string())
    known = pc.index_in(text, pa.array(list(words)))
    return pc.coalesce(pc.take(pa.array(list(words.values())), known), text)


def _tags(columns: Mapping[str, pa.ChunkedArray], constant: Mapping[str, str], rows: int) -> pa.Array:
    if not columns and not constant:
        return pa.nulls(rows, SCHEMA.field("tags").type)
    names = [*columns, *constant]
    values = [c.cast(pa.string()).combine_chunks() for c in columns.values()]
    values += [pa.repeat(pa.scalar(v), rows) for v in constant.values()]
    # one row's tags lie next to each other: value of tag 1, tag 2, ... of row 1, then of row 2
    flat = pa.concat_arrays(values).take(pa.array(np.arange(rows * len(names)).reshape(len(names), rows).T.ravel()))
    keys = pa.DictionaryArray.from_arrays(np.tile(np.arange(len(names), dtype="int32"), rows), names).cast(pa.string())
    present = flat.is_valid()
    ends = np.concatenate([[0], np.cumsum(present.to_numpy(zero_copy_only=False))])[:: len(names)]
    offsets = pa.array(ends, pa.int32())
    return pa.MapArray.from_arrays(offsets, keys.filter(present), flat.filter(present))


def _meters(table: pa.Table, usage: Usage, place: _Place) -> dict[str, pa.Array]:
    """Disjoint quantities by meter: decimal arrays, null where the row doesn't say."""
    if usage.format:
        fields = {field: place.quantities(table, column).cast(pa.int64()) for field, column in usage.fields.items()}
        try:
            return normalise_columns(fields, usage.format)
        except UsageError as error:
            raise UsageError(
                f"{place.path}: {error} Correct `format` and `fields` in the mapping file.", error.flag
            ) from None
    counts = {name: place.quantities(table, column) for name, column in usage.meters.items()}
    for whole in dict.fromkeys(usage.inside.values()):
        left = counts[whole]
        for part in [p for p, w in usage.inside.items() if w == whole]:
            left = pc.subtract(left, pc.coalesce(counts[part], _scalar(0, QUANTITY))).cast(QUANTITY)
        if row := _first(pc.less(left, _scalar(0, QUANTITY))):
            parts = ", ".join(f"{usage.meters[p]} {counts[p][row - 1]}" for p, w in usage.inside.items() if w == whole)
            place.fail(
                row,
                usage.meters[whole],
                counts[whole][row - 1],
                f"is less than the parts the mapping declares inside it ({parts})",
                f"Correct `inside` in the mapping file: perhaps {usage.meters[whole]!r} doesn't include them.",
            )
        counts[whole] = left
    return counts


def _requests(table: pa.Table, usage: Usage, place: _Place) -> pa.Array:
    if isinstance(usage.requests, str):
        return place.quantities(table, usage.requests).cast(pa.int64())
    return pa.repeat(pa.scalar(usage.requests, pa.int64()), table.num_rows)


def _long(slices: dict[str, Any], counted: Mapping[str, Any], requests: pa.Array, wanted: pa.Array) -> pa.Table:
    """One row per meter with something in it; a stated cost stays once per slice, on its first row."""
    slices = {name: _whole(values).filter(wanted) for name, values in slices.items()}
    amounts = {name: _filled(_whole(values).filter(wanted)) for name, values in counted.items()}
    requests = _whole(requests).filter(wanted)
    number = pa.array(np.arange(len(requests)))
    table = tokens_from_slices(
        slices | {"number": number, "slice_requests": requests}, amounts | {"requests": _filled(requests)}
    )
    if "billed_cost" in slices and table.num_rows:
        first = np.diff(table["number"].to_numpy(), prepend=-1) != 0
        once = pc.if_else(pa.array(first), table["billed_cost"], pa.scalar(None, table["billed_cost"].type))
        table = table.set_column(table.column_names.index("billed_cost"), "billed_cost", once)
    return table.drop_columns(["number"])


def _filled(values: pa.Array) -> pa.Array:
    """A count the row doesn't state adds nothing."""
    return values.fill_null(_scalar(0, values.type)) if values.null_count else values


def _whole(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _first(broken: Any) -> int:
    """Number of the first row (from 1) where something is broken, else 0."""
    return pc.index(pc.fill_null(broken, False), True).as_py() + 1


class _Place:
    """Reads columns of one file and says exactly where a value can't be used."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, row: int, column: str, value: Any, what: str, fix: str) -> NoReturn:
        shown = value.as_py() if isinstance(value, pa.Scalar) else value
        raise DataError(f"{self.path}, row {row}, column {column!r}: {str(shown)[:100]!r} {what}. {fix}")

    def quantities(self, table: pa.Table, column: str) -> pa.ChunkedArray:
        """Counts that are 0 or more, exactly."""
        counts = self.converted(table[column], QUANTITY, column)
        if row := _first(pc.less(counts, _scalar(0, QUANTITY))):
            what = "is negative: usage can't be"
            self.fail(row, column, table[column][row - 1], what, "Correct the row, or map another column.")
        return counts

    def converted(self, values: pa.ChunkedArray, kind: pa.DataType, column: str) -> pa.ChunkedArray:
        """Values in the frame's type; blanks of a text column are unknown."""
        try:
            return _cast(values, kind)
        except pa.ArrowInvalid:
            for row, value in enumerate(values, 1):
                try:
                    _cast(pa.chunked_array([pa.array([value.as_py()], values.type)]), kind)
                except pa.ArrowInvalid:
                    self.fail(row, column, value, f"is not a {_named(kind)}", "Correct the row, or map another column.")
            raise

    def instants(self, table: pa.Table, column: str, time: Time) -> pa.ChunkedArray:
        """Instants in UTC; none may be unknown."""
        values = table[column]
        if row := _first(values.is_null()):
            self.fail(row, column, None, "is no time", "Each row needs the time of its usage.")
        try:
            return _instants(values, time)
        except pa.ArrowInvalid:
            for row, value in enumerate(values, 1):
                try:
                    _instants(pa.chunked_array([pa.array([value.as_py()], values.type)]), time)
                except pa.ArrowInvalid:
                    fix = f"Set `unit` and `zone` in [time] of the mapping file (they are {time.unit}, {time.zone})."
                    self.fail(row, column, value, "is not a time", fix)
            raise


def _named(kind: pa.DataType) -> str:
    return "number" if pa.types.is_decimal(kind) or pa.types.is_floating(kind) else f"value of type {kind}"


def _cast(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
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


def _instants(values: pa.ChunkedArray, time: Time) -> pa.ChunkedArray:
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
        number = _cast(values, pa.decimal128(25, 6))
        scaled = pc.floor(pc.multiply(number, pa.scalar(micros).cast(pa.decimal128(10, 3))))
        return scaled.cast(pa.int64()).cast(pa.timestamp("us")).cast(INSTANT)
    if values.type.tz is None:
        values = pc.assume_timezone(values, time.zone, ambiguous="earliest", nonexistent="latest")
    return values.cast(INSTANT, safe=False)


__all__ = ["READERS", "CsvFiles", "JsonLinesFiles", "MappedFiles", "load_table", "tokens_of"]
