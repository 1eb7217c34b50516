"""Any file people have as a table: form, compression, encoding and delimiter are found out by looking at the file."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError, hint
from finops_ai.providers.duck import connect
from finops_ai.providers.layouts import is_log, is_plain, rows_in, utf8
from finops_ai.providers.limits import check_packed_file
from finops_ai.providers.sheets import read_workbook
from finops_ai.providers.texts import csv_reader, is_drawn, regular
from finops_ai.providers.unpacking import plain

#: largest JSON document of a line
LARGEST_DOCUMENT = 1 << 28


#: first bytes of what is no table -> what it is
FOREIGN = {
    b"%PDF": "a PDF", b"\x89PNG": "a picture", b"\xff\xd8\xff": "a picture", b"GIF8": "a picture", b"SQLite format 3": "an SQLite database",
    b"\x80\x02": "a Python pickle", b"\x80\x03": "a Python pickle", b"\x80\x04": "a Python pickle", b"\x80\x05": "a Python pickle",
    b"Obj\x01": "an Avro file", b"ORC": "an ORC file", b"<!DOCTYPE": "a web page", b"<!doctype": "a web page", b"<html": "a web page",
    b"<HTML": "a web page", b"<table": "a web page", b"<?xml": "XML", b"{\\rtf": "a text document", b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
}  # fmt: skip


def load_table(
    path: Path, form: str = "", columns: Sequence[str] | None = None, notes: list[str] | None = None
) -> pa.Table:
    """Columns of one file as an Arrow table, in file order; values of a text table stay text.

    Args:
        path: CSV (any usual delimiter and encoding), Excel workbook (the sheet with the table), Parquet, Arrow, JSON of any
            layout, log lines that end in JSON; packed or not, or an archive that holds one such file.
        form: csv, xlsx, parquet or jsonl, where the content doesn't tell.
        columns: names; in JSON a dot reaches into an object. By default all.
        notes: what was left out of the file is added to this list, a sentence each.

    Raises:
        DataError: the file is empty or damaged, or a column is missing; names the nearest one it has.
    """
    check_packed_file(path)
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty. Export it again.")
    told = [] if notes is None else notes
    with plain(path) as file:
        kind = form_of(file, path.name, form)
        if kind == "zip":
            several = "an archive of several files: unpack it, or name it among `files`, which reads each"
            raise DataError(f"{path}: {several}.")
        if kind == "xlsx":
            return _chosen(read_workbook(file, path, columns, told), columns, path)
        return _with_duckdb(file, path, kind, columns, told)


def form_of(path: Path, name: str = "", form: str = "") -> str:
    """csv, jsonl, json, parquet, arrow, xlsx or zip, by the first bytes of a file; `form` where they could be several.

    Raises:
        DataError: it is no table: a picture, a database, a web page.
    """
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
    if head[:6] == b"ARROW1":
        return "arrow"
    text = utf8(head).lstrip(b"\x1e \t\r\n")
    if what := next((what for sign, what in FOREIGN.items() if head.startswith(sign) or text.startswith(sign)), None):
        raise DataError(
            f"{name or path.name}: {what}, which holds no table this reader knows. Save it as CSV, Excel or JSON."
        )
    if b"\0" in text:
        raise DataError(
            f"{name or path.name}: no text, and no kind of file this reader knows. Save it as CSV, Excel or JSON."
        )
    if form != "csv" and text[:1] in (b"{", b"["):
        return "json"
    if form in ("jsonl", "csv"):
        return "json" if form == "jsonl" else "csv"
    return "json" if is_log(text) else "csv"


def _with_duckdb(file: Path, path: Path, kind: str, columns: Sequence[str] | None, notes: list[str]) -> pa.Table:
    """A file as DuckDB reads it; where it can't as it stands, its rows are found first."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        how = is_plain(file) if kind == "json" else None if kind == "csv" and is_drawn(file) else ""
        try:
            if how is not None:
                return _queried(file, path, kind, how, columns, Path(folder))
        except duckdb.Error as error:
            if kind not in ("csv", "json"):
                raise _damaged(path, kind, error) from None
        if kind == "csv":
            source = regular(file, Path(folder), path, notes)
        else:
            source = Path(folder) / "rows.jsonl"
            with source.open("w", encoding="utf-8") as out:
                out.writelines(json.dumps(row, default=str) + "\n" for row in rows_in(file, notes))
        try:
            return _queried(source, path, kind, "newline_delimited", columns, Path(folder))
        except duckdb.Error as error:
            raise _damaged(path, kind, error) from None


def _damaged(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(f"{path}: not a whole {kind} file ({str(error).splitlines()[0][:300]}).")


def _queried(file: Path, path: Path, kind: str, how: str, columns: Sequence[str] | None, folder: Path) -> pa.Table:
    with connect() as db:
        values: list[Any] = [str(file)]
        if kind == "csv":
            reader, values = csv_reader(file, folder)
        elif kind == "parquet":
            reader = "read_parquet($1)"
        elif kind == "arrow":
            from pyarrow import feather

            db.register("arrow_file", feather.read_table(str(file)))
            reader, values = "arrow_file", []
        else:
            options = f"format = '{how}', sample_size = -1, convert_strings_to_integers = false"
            reader = f"read_json($1, {options}, maximum_object_size = {LARGEST_DOCUMENT})"
        if columns is None:
            return db.sql(f"SELECT * FROM {reader}", params=values).to_arrow_table()
        described = db.sql(f"SELECT * FROM {reader} LIMIT 0", params=values).to_arrow_table().schema
        chosen = []
        for name in columns:
            steps = [name] if name in described.names else name.split(".")
            if not _reaches(described, steps):
                raise _missing(path, name, described.names)
            chosen.append(".".join(map(_quoted, steps)) + f" AS {_quoted(name)}")
        return db.sql(f"SELECT {', '.join(chosen)} FROM {reader}", params=values).to_arrow_table()


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
