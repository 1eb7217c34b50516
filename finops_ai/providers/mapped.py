"""Any request log or usage table as a token frame: CSV, Excel, Parquet or JSON, read through a mapping file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from finops_ai.errors import SettingsError, UsageError
from finops_ai.frames import TokenFrame, conform, schema_of
from finops_ai.meters import TIER_WORDS, meter, normalise_columns, tokens_from_slices
from finops_ai.providers.cells import QUANTITY, Cells, first_true, moved, scalar
from finops_ai.providers.connector import Connector, ConnectorSettings
from finops_ai.providers.files import find_files
from finops_ai.providers.mapping import DEFAULTS, FileMapping, Usage, load_mapping
from finops_ai.providers.numbers import Numbers, Unsure, numbers_of, plain
from finops_ai.providers.tables import load_table
from finops_ai.providers.totals import not_usage, told
from finops_ai.providers.unpacking import members
from finops_ai.providers.widening import ROW, widened

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window

SCHEMA = schema_of(TokenFrame)
INSTANT = SCHEMA.field("charge_period_start").type


class MappedSettings(ConnectorSettings):
    """Settings of the readers `csv`, `xlsx`, `parquet` and `jsonl`."""

    mapping: Any = Field(description="TOML file that says which column is what.")


class MappedFiles(Connector):
    """Reads tables through a mapping file, of whatever form each is; `provider` in the frame is what the mapping says."""

    name: ClassVar[str] = "table"
    title: ClassVar[str] = "Any table with a mapping file"
    form: ClassVar[str] = ""
    Settings: ClassVar[type[ConnectorSettings]] = MappedSettings

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        if not self.settings.files:
            raise SettingsError(f"[providers.{self.name}]: `files` is missing: name the files to read.")
        self.mapping = load_mapping(self.settings.mapping)

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the rows whose slice starts in `[window.start, window.end)`.

        Raises:
            DataError: a missing column, or a value that can't be read or is negative; names file, row, column, value.
        """
        columns, tables, paths = self.mapping.source_columns(), [], find_files(self.settings.files)
        alike = Counter(path.name for path in paths)
        for path in paths:
            with members(path) as inside:
                for file, shown in inside:
                    # rows without an id are told apart by file and row: files of one name by their folder, too
                    name = path.name if alike[path.name] == 1 else f"{path.parent.name}/{path.name}"
                    label = name if len(inside) == 1 else f"{name}/{Path(shown).name}"
                    table = load_table(file, self.form, columns, self.notes)
                    tables.append(tokens_of(table, self.mapping, shown, window, label, self.notes))
        return conform(pa.concat_tables(tables, promote_options="default"), source=", ".join(self.settings.files))


class ParquetFiles(MappedFiles):
    """Parquet."""

    name = form = "parquet"
    title = "Parquet with a mapping file"


class CsvFiles(MappedFiles):
    """CSV with a header line, optionally gzipped."""

    name = form = "csv"
    title = "CSV with a mapping file"


class ExcelFiles(MappedFiles):
    """Excel workbooks (.xlsx): the first sheet that holds a table."""

    name = form = "xlsx"
    title = "Excel with a mapping file"


class JsonLinesFiles(MappedFiles):
    """JSON Lines or a JSON list, optionally gzipped; nested fields are reached as `usage.input_tokens`."""

    name = form = "jsonl"
    title = "JSON Lines with a mapping file"


def tokens_of(
    table: pa.Table,
    mapping: FileMapping,
    path: Path | str,
    window: Window,
    label: str | None = None,
    notes: list[str] | None = None,
) -> pa.Table:
    """Turn the rows of one file into a long table: one row per meter that counted something.

    A count that `inside` declares as part of another is taken off that other, so the meters are disjoint.

    Args:
        table: rows of the file, the mapping's columns.
        mapping: what each column is.
        path: the file, for messages and row numbers.
        window: rows whose slice starts in `[window.start, window.end)` are kept.
        label: what ids of rows without one begin with; by default the file's name.
        notes: what was left out (totals the file states itself, a header written again) is added here.

    Raises:
        DataError: a value can't be read or is negative, or parts exceed their total.
    """
    times, model = mapping.columns.get("charge_period_start", []), mapping.columns.get("model")
    keep, others = not_usage(
        table, [times] if isinstance(times, str) else times, model if isinstance(model, str) else None
    )
    place = Cells(path)
    place.plain(table)
    if not keep.all():
        whole, table, place.rows = table, table.filter(pa.array(keep)), np.flatnonzero(keep).tolist()
    place.numbers = number_style(table, mapping, place)
    if not keep.all() and notes is not None:
        notes += told(whole, others, _counts_of(whole, mapping, place.numbers), Path(path).name)
    table, mapping = widened(table, mapping, place)
    if ROW in table.column_names:
        place.rows = table[ROW].to_pylist()
    rows = table.num_rows
    start = place.instants(table, times, mapping.time) if times else _moment(mapping, place, rows)
    common: dict[str, Any] = {"charge_period_start": start}
    lasts = pa.scalar(mapping.time.microseconds, pa.duration("us"))
    if "charge_period_end" in mapping.columns:
        end = place.instants(table, mapping.columns["charge_period_end"], mapping.time)
        if row := first_true(pc.less(end, start)):
            ended = str(mapping.columns["charge_period_end"])
            what = f"is before the start, {start[row - 1]}"
            place.fail(row, ended, end[row - 1], what, "Correct the row, or map another column.")
        # a call that ended in the moment it began lasted less than the file's clock shows
        common["charge_period_end"] = pc.if_else(pc.equal(end, start), pc.add(start, lasts), end)
    else:
        common["charge_period_end"] = pc.add(start, lasts)
    for name, column in mapping.columns.items():
        if name not in common and isinstance(column, str):
            values = _translated(table[column], mapping.values.get(name, {}))
            if name == "service_tier":
                values = _translated(values, TIER_WORDS, folded=True)
            common[name] = place.converted(values, SCHEMA.field(name).type, column)
            if name == "billed_cost" and mapping.cost.places:
                common[name] = moved(common[name], mapping.cost.places)
    if mapping.one_row_is_one_slice and "request_id" not in common:
        numbers = pa.array(np.arange(1, rows + 1) if place.rows is None else np.asarray(place.rows) + 1).cast(
            pa.string()
        )
        common["request_id"] = pc.binary_join_element_wise(label or Path(path).name, numbers, ":")
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


def _moment(mapping: FileMapping, place: Cells, rows: int) -> pa.ChunkedArray:
    """The one time that the mapping states for all rows."""
    said = pa.table({"constant": [str(mapping.constants["charge_period_start"])] * rows})
    return place.instants(said, "constant", mapping.time)


def _counts_of(table: pa.Table, mapping: FileMapping, style: Numbers) -> dict[str, list[Any]]:
    """The numbers of the columns that are counted, row by row; None where a cell holds none."""
    found = {}
    for name in dict.fromkeys(
        str(n) for u in mapping.usage for n in (*u.meters.values(), *u.fields.values(), u.count) if n
    ):
        values = table[name]
        if pa.types.is_string(values.type):
            values = plain(values, style)
        try:
            found[name] = values.cast(pa.string()).cast(pa.decimal128(38, 6)).to_pylist()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue  # a header written again
    return found


def number_style(table: pa.Table, mapping: FileMapping, place: Cells) -> Numbers:
    """How the file writes numbers: as the mapping says, else as all its counts and costs together tell.

    Raises:
        DataError: they can be read in two ways that differ a thousandfold; names row, column and value.
    """
    if mapping.numbers:
        return Numbers(mapping.numbers.decimal, mapping.numbers.thousands)
    counts: dict[str, Any] = {}
    amounts: dict[str, Any] = {}
    for usage in mapping.usage:
        for name, column in usage.meters.items():
            (counts if _is_whole(name) and usage.times == 1 else amounts)[column] = None
        if usage.count:
            (counts if usage.times == 1 else amounts)[usage.count] = None
        counts |= dict.fromkeys(usage.fields.values())
        if isinstance(usage.requests, str):
            counts[usage.requests] = None
    if isinstance(cost := mapping.columns.get("billed_cost"), str):
        amounts[cost] = None

    def texts(columns: Mapping[str, Any]) -> dict[str, list[str]]:
        found = {name: table[name] for name in columns if pa.types.is_string(table[name].type)}
        return {name: pc.unique(pc.drop_null(values)).to_pylist() for name, values in found.items()}

    try:
        return numbers_of(texts(counts), texts(amounts))
    except Unsure as error:
        row = pc.index(table[error.column], error.text).as_py() + 1
        fix = 'Say it in the mapping file: [numbers] decimal = "," and thousands = "." (or the other way round).'
        place.fail(row, error.column, error.text, error.why, fix)


def _is_whole(name: str) -> bool:
    return meter(name).is_token or meter(name).unit in ("tokens", "requests")


def _translated(values: pa.ChunkedArray, words: Mapping[str, str], *, folded: bool = False) -> pa.ChunkedArray:
    if not words:
        return values
    text = values.cast(pa.string())
    key = pc.replace_substring(pc.utf8_lower(pc.utf8_trim_whitespace(text)), "-", "_") if folded else text
    known = pc.index_in(key, pa.array(list(words)))
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
        fields = {
            field: place.quantities(table, column, whole=True).cast(pa.int64())
            for field, column in usage.fields.items()
        }
        try:
            return normalise_columns(fields, usage.format)
        except UsageError as error:
            raise UsageError(
                f"{place.path}: {error} Correct `format` and `fields` in the mapping file.", error.flag
            ) from None
    counts = {
        name: place.quantities(table, column, whole=_is_whole(name), times=usage.times)
        for name, column in usage.meters.items()
    }
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
        return place.quantities(table, usage.requests, whole=True).cast(pa.int64())
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


def _whole(values: object) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


__all__ = ["CsvFiles", "ExcelFiles", "JsonLinesFiles", "MappedFiles", "ParquetFiles", "tokens_of"]
