"""Any request log or usage table as a token frame: CSV, Parquet or JSON Lines, read through a mapping file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from finops_ai.errors import DataError, SettingsError, UsageError, hint
from finops_ai.frames import TokenFrame, conform, schema_of
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai.providers.cells import QUANTITY, Cells, first_true, scalar
from finops_ai.providers.connector import Connector, ConnectorSettings
from finops_ai.providers.files import find_files
from finops_ai.providers.limits import check_packed_file
from finops_ai.providers.mapping import DEFAULTS, FileMapping, Usage, load_mapping

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


def load_table(path: Path, form: str = "", columns: list[str] | None = None) -> pa.Table:
    """Columns of one file as an Arrow table, in file order; CSV values stay text.

    Args:
        path: the file.
        form: csv, parquet or jsonl; by default what the file's ending says, else CSV.
        columns: names; in JSON Lines a dot reaches into an object. By default all.

    Raises:
        DataError: the file is damaged, or a column is missing; names the nearest one it has.
    """
    import duckdb

    check_packed_file(path)
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty. Export it again.")
    endings = path.name.lower().removesuffix(".gz").rsplit(".", 1)
    form = form or (endings[-1] if endings[-1] in READER_FUNCTIONS else "csv")
    reader = f"{READER_FUNCTIONS[form]}($1{READER_OPTIONS[form]})"
    with duckdb.connect() as db:
        try:
            described = db.sql(f"SELECT * FROM {reader} LIMIT 0", params=[str(path)]).to_arrow_table().schema
            chosen = []
            for name in described.names if columns is None else columns:
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
    place = Cells(path)
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
        slices = common | {k: pa.repeat(scalar(v, SCHEMA.field(k).type), rows) for k, v in constants.items()}
        slices["tags"] = _tags({k: table[c] for k, c in mapping.tags.items()}, usage.tags, rows)
        counted = _meters(table, usage, place)
        requests = _requests(table, usage, place)
        out.append(_long(slices, counted, requests, wanted))
    return pa.concat_tables(out, promote_options="default")


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


def _meters(table: pa.Table, usage: Usage, place: Cells) -> dict[str, pa.Array]:
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
            left = pc.subtract(left, pc.coalesce(counts[part], scalar(0, QUANTITY))).cast(QUANTITY)
        if row := first_true(pc.less(left, scalar(0, QUANTITY))):
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


def _requests(table: pa.Table, usage: Usage, place: Cells) -> pa.Array:
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
    return values.fill_null(scalar(0, values.type)) if values.null_count else values


def _whole(values: Any) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


__all__ = ["READERS", "CsvFiles", "JsonLinesFiles", "MappedFiles", "load_table", "tokens_of"]
