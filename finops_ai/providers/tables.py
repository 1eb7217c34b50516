"""Any file people have as a table: form, compression, encoding and delimiter are found out by looking at the file."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import io
import json
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError, hint
from finops_ai.providers.files import read_bytes

#: how much of a file is looked at to find out how it is written
SAMPLE = 1 << 17
DELIMITERS = ",;\t|"
#: lists that an object of rows is wrapped in, in files of one JSON document
LISTS = ("data", "rows", "items", "records", "results", "logs", "entries", "events", "calls", "requests", "value")
#: largest JSON document of a line
LARGEST_DOCUMENT = 1 << 28


@dataclass(frozen=True)
class Shape:
    """How a text table is written: its encoding, delimiter, names of columns, and the lines above the header."""

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    above: int


def load_table(path: Path, form: str = "", columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of one file as an Arrow table, in file order; values of a text table stay text.

    Args:
        path: CSV (any usual delimiter and encoding), Excel workbook (its first sheet with a table), Parquet, JSON Lines,
            a JSON list or an object that holds one; gzipped or not, or a zip archive that holds one such file.
        form: csv, xlsx, parquet or jsonl, where the content doesn't tell.
        columns: names; in JSON a dot reaches into an object. By default all.

    Raises:
        DataError: the file is empty or damaged, or a column is missing; names the nearest one it has.
    """
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty. Export it again.")
    with _plain(path) as plain:
        kind = form_of(plain, path.name, form)
        if kind == "zip":
            members = "a zip archive of several files: unpack it, or name it among `files`, which reads each"
            raise DataError(f"{path}: {members}.")
        if kind == "xlsx":
            return _chosen(_sheet(plain, path), columns, path)
        return _with_duckdb(plain, path, kind, columns)


@contextmanager
def members(path: Path) -> Iterator[list[tuple[Path, str]]]:
    """The files of a zip archive, unpacked for the time being, each with the name to show; any other file is itself.

    Raises:
        DataError: the archive is damaged, is locked with a password or holds nothing.
    """
    if not _is_archive(path):
        yield [(path, str(path))]
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as archive:
                inside = [i for i in archive.infolist() if not i.is_dir() and not _is_clutter(i.filename)]
                found = []
                for number, info in enumerate(sorted(inside, key=lambda i: i.filename)):
                    target = Path(folder) / str(number) / Path(info.filename).name
                    target.parent.mkdir()
                    with archive.open(info) as source:
                        target.write_bytes(source.read())
                    found.append((target, f"{path}/{info.filename}"))
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise DataError(
                f"{path}: the zip archive can't be read ({error}). Unpack it yourself, or fetch it again."
            ) from None
        if not found:
            raise DataError(f"{path}: the zip archive holds no file.")
        yield found


def form_of(path: Path, name: str = "", form: str = "") -> str:
    """csv, jsonl, json, parquet, xlsx or zip, by the first bytes of a file; `form` where they could be several."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(path) as archive:
                return "xlsx" if "xl/workbook.xml" in archive.namelist() else "zip"
        except zipfile.BadZipFile:
            return "xlsx" if name.lower().endswith("xlsx") else "zip"
    if head[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise DataError(f"{name or path.name}: an old Excel file (.xls). Save it as .xlsx or CSV.")
    if form == "parquet" or name.lower().removesuffix(".gz").endswith(".parquet"):
        return "parquet"  # damaged: its reader says so
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if form != "csv" and text[:1] in (b"{", b"["):
        return "jsonl" if text[:1] == b"{" and form == "jsonl" else "json"
    return form if form in ("jsonl", "csv") else "csv"


def shape_of(path: Path) -> Shape:
    """How a text table is written.

    The delimiter is the one that cuts most lines into the same number of fields; what stands above the first line with
    that number of fields is left out (titles, "sep=;").
    """
    with path.open("rb") as stream:
        head = stream.read(SAMPLE)
    encoding = encoding_of(head)
    text = head.decode(encoding, "replace")
    if len(head) == SAMPLE:
        text = text[: text.rfind("\n") + 1] or text
    best: tuple[tuple[float, int, int], Shape] | None = None
    for place, delimiter in enumerate(DELIMITERS):
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))[:200]
        widths = Counter(len(row) for row in lines if len(row) > 1)
        if not widths:
            continue
        width, often = max(widths.items(), key=lambda item: (item[1], item[0]))
        above = next(i for i, row in enumerate(lines) if len(row) == width and sum(map(bool, row)) > width / 2)
        share = round(often / len(lines), 1)
        shape = Shape(encoding, delimiter, _named(lines[above]), above)
        score = (share, width, -place)
        if best is None or score > best[0]:
            best = (score, shape)
    if best:
        return best[1]
    first = next(csv.reader(io.StringIO(text, newline="")), [""])
    return Shape(encoding, ",", _named(first), 0)


def encoding_of(head: bytes) -> str:
    """The encoding of a text by its first bytes: UTF-8, UTF-16, else Windows-1252.

    >>> encoding_of("Büro".encode()), encoding_of("Büro".encode("cp1252")), encoding_of("Büro".encode("utf-16"))
    ('utf-8-sig', 'cp1252', 'utf-16')
    """
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    if head[1:2] == b"\0" or head[:1] == b"\0":
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _named(row: Sequence[str]) -> tuple[str, ...]:
    """Names of a header, each once and none empty."""
    seen: Counter[str] = Counter()
    names = []
    for number, cell in enumerate(row, 1):
        name = cell.strip("\ufeff ").strip() or f"column {number}"
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(names)


@contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """The file without gzip or a zip around it, for the time being; Parquet and plain files as they are."""
    with members(path) as inside:
        if len(inside) > 1:
            yield path
            return
        with inside[0][0].open("rb") as stream:
            zipped = stream.read(2) == b"\x1f\x8b"
        if not zipped:
            yield inside[0][0]
            return
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / inside[0][0].name.removesuffix(".gz")
            try:
                with gzip.open(inside[0][0], "rb") as source, target.open("wb") as out:
                    while block := source.read(1 << 22):
                        out.write(block)
            except (OSError, EOFError, zlib.error):
                read_bytes(path)  # raises, naming the damage
                raise
            yield target


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                return False
        with zipfile.ZipFile(path) as archive:
            return "xl/workbook.xml" not in archive.namelist()
    except zipfile.BadZipFile:
        return not path.name.lower().endswith("xlsx")


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")


def _with_duckdb(plain: Path, path: Path, kind: str, columns: Sequence[str] | None) -> pa.Table:
    import duckdb

    with duckdb.connect() as db, tempfile.TemporaryDirectory() as folder:
        try:
            if kind == "csv":
                reader, values = _csv_reader(plain, Path(folder))
            elif kind == "parquet":
                reader, values = "read_parquet($1)", [str(plain)]
            else:
                source, how = _json_lines(plain, path, Path(folder)) if kind == "json" else (plain, "newline_delimited")
                options = f"format = '{how}', sample_size = -1, convert_strings_to_integers = false"
                reader = f"read_json($1, {options}, maximum_object_size = {LARGEST_DOCUMENT})"
                values = [str(source)]
            described = db.sql(f"SELECT * FROM {reader} LIMIT 0", params=values).to_arrow_table().schema
            chosen = []
            for name in described.names if columns is None else columns:
                steps = [name] if name in described.names else name.split(".")
                if not _reaches(described, steps):
                    raise _missing(path, name, described.names)
                chosen.append(".".join(map(_quoted, steps)) + f" AS {_quoted(name)}")
            return db.sql(f"SELECT {', '.join(chosen)} FROM {reader}", params=values).to_arrow_table()
        except duckdb.Error as error:
            raise DataError(f"{path}: not a whole {kind} file ({str(error).splitlines()[0][:300]}).") from None


def _csv_reader(plain: Path, folder: Path) -> tuple[str, list[Any]]:
    """DuckDB's reading function for a text table, told all it would otherwise guess."""
    shape = shape_of(plain)
    if shape.encoding != "utf-8-sig" or not _is_utf8(plain):
        encoding = shape.encoding if shape.encoding != "utf-8-sig" else "cp1252"
        text = plain.read_bytes().decode(encoding, "replace")
        plain = folder / "utf-8.csv"
        plain.write_text(text, encoding="utf-8", newline="")
    named = ", ".join(f"{_literal(name)}: 'VARCHAR'" for name in shape.names)
    options = (
        f"delim = {_literal(shape.delimiter)}, quote = '\"', escape = '\"', header = true, skip = {shape.above}, "
        f"auto_detect = false, null_padding = false, columns = {{{named}}}"
    )
    return f"read_csv($1, {options})", [str(plain)]


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while block := stream.read(1 << 22):
                decoder.decode(block)
        except UnicodeDecodeError:
            return False
    return True


def _json_lines(plain: Path, path: Path, folder: Path) -> tuple[Path, str]:
    """A JSON file of any layout, and DuckDB's word for the layout."""
    with plain.open("rb") as stream:
        head = stream.read(SAMPLE).removeprefix(codecs.BOM_UTF8).lstrip()
    if head[:1] == b"[":
        return plain, "array"
    lines = [line for line in head.split(b"\n") if line.strip()]
    if len(lines) > 1 and _is_json(lines[0]):
        return plain, "newline_delimited"
    from finops_ai.providers.files import read_json_any

    documents = [document for _, document in read_json_any(path if plain.suffix else plain)]
    rows = _rows_in(documents[0]) if len(documents) == 1 and isinstance(documents[0], dict) else documents
    target = folder / "rows.jsonl"
    with target.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, default=str) + "\n")
    return target, "newline_delimited"


def _rows_in(document: dict[str, Any]) -> list[Any]:
    lists = {name: v for name, v in document.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    name = next((name for name in LISTS if name in lists), None) or (next(iter(lists)) if len(lists) == 1 else None)
    return lists[name] if name else [document]


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _sheet(plain: Path, path: Path) -> pa.Table:
    """The first sheet of a workbook that holds a table: its widest early row is the header."""
    import openpyxl

    try:
        with plain.open("rb") as stream:
            book = openpyxl.load_workbook(io.BytesIO(stream.read()), read_only=True, data_only=True)
        for sheet in book.worksheets:
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
            rows = [row for row in rows if any(cell is not None for cell in row)]
            if len(rows) > 1 and (width := max(sum(cell is not None for cell in row) for row in rows[:20])) > 1:
                top = next(i for i, row in enumerate(rows) if sum(cell is not None for cell in row) == width)
                used = max(i for i, cell in enumerate(rows[top]) if cell is not None) + 1
                names = _named(["" if cell is None else str(cell) for cell in rows[top][:used]])
                body = [row[:used] + [None] * (used - len(row)) for row in rows[top + 1 :]]
                return pa.table({name: _cells([row[i] for row in body]) for i, name in enumerate(names)})
    except DataError:
        raise
    except Exception as error:  # openpyxl lets many kinds through from damaged archives
        raise DataError(f"{path}: not a whole Excel workbook ({error}). Save it again, or save it as CSV.") from None
    raise DataError(f"{path}: no sheet of the workbook holds a table with a header and a row.")


def _cells(values: list[Any]) -> pa.Array:
    """Cells of a column in the one type they have: numbers exact, days and times as timestamps, else text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {dt.datetime, dt.date}:
        return pa.array(
            [dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in values], pa.timestamp("us")
        )
    if kinds and kinds <= {int, float} and bool not in kinds:
        return pa.array([None if v is None else Decimal(repr(v)) for v in values], pa.decimal256(50, 20)).cast(
            pa.decimal128(38, 18)
        )
    return pa.array([None if v is None else v.isoformat() if hasattr(v, "isoformat") else str(v) for v in values])


def _chosen(table: pa.Table, columns: Sequence[str] | None, path: Path) -> pa.Table:
    for name in columns or ():
        if name not in table.column_names:
            raise _missing(path, name, table.column_names)
    return table if columns is None else table.select(list(columns))


def _missing(path: Path, name: str, have: Sequence[str]) -> DataError:
    return DataError(
        f"{path}: the column {name!r} is missing. {hint(name, have)} "
        "Correct the mapping file, or export the file again with that column."
    )


def _reaches(schema: pa.Schema, steps: list[str]) -> bool:
    kind: Any = pa.struct(list(schema))
    for step in steps:
        if not pa.types.is_struct(kind) or kind.get_field_index(step) < 0:
            return False
        kind = kind.field(step).type
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
