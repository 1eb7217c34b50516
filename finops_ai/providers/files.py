"""Reading saved exports: which files, how compressed, and where exactly one is broken."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.providers.limits import check_file, limits, reading, require, unpack
from finops_ai.providers.parsing import parse_json


def find_files(patterns: Iterable[str], *, base: Path | None = None) -> list[Path]:
    """The files that globs, folders or addresses (https, s3) name, sorted, each once.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        if "\0" in str(pattern):
            raise DataError(f"{pattern!r} can't be the name of a file.")
        if "://" in pattern:
            from finops_ai.providers.remote import fetched

            found[fetched(pattern)] = None
            continue
        full = str(Path(base or ".") / Path(pattern).expanduser())
        hits = [Path(p) for p in glob.glob(full, recursive=True)]
        hits = [
            f
            for h in hits
            for f in (sorted(h.rglob("*")) if h.is_dir() else [h])
            if f.is_file() and not f.name.startswith((".", "_"))
        ]
        if not hits:
            raise DataError(
                f"No file matches {pattern!r} (looked for {full}). Check the path, or export the data there first."
            )
        found |= dict.fromkeys(sorted(hits))
    return list(found)


def read_bytes(path: Path) -> bytes:
    """A file's content, unzipped where it is gzip, within the limits in force.

    Raises:
        DataError: unreadable, too large, or the gzip stream is damaged or cut short.
    """
    check_file(path)
    try:
        return unpack(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}).") from None


def read_json(path: Path) -> Any:
    """A JSON file, fractions as exact Decimals.

    Raises:
        DataError: not whole JSON; names line and column.
    """
    return parse_json(read_bytes(path), path)


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Line number and document of each line of a JSON Lines file.

    Raises:
        DataError: a line is not JSON; names it.
    """
    for number, line in enumerate(io.BytesIO(read_bytes(path)), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        require(len(line), "line_bytes", place, "its length in bytes")
        reading(place)
        yield number, parse_json(line.rstrip(b"\r\n"), place)


def read_json_any(path: Path) -> Iterator[tuple[int, Any]]:
    """The documents of a JSON file, a JSON array or JSON Lines, with their number (line, or position from 1)."""
    content = read_bytes(path).removeprefix(b"\xef\xbb\xbf").lstrip()
    first_line = content.split(b"\n", 1)[0].strip()
    try:
        parse_json(first_line, path)
        lines = content.count(b"\n") > 0 and not first_line.startswith(b"[")
    except DataError:
        lines = False
    if lines:
        yield from read_json_lines(path)
        return
    document = parse_json(content, path)
    yield from enumerate(document if isinstance(document, list) else [document], 1)


def read_csv(path: Path, required: Iterable[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a CSV file (UTF-8, with or without byte order mark), all values as text.

    Raises:
        DataError: a required column is missing, or a row has more fields than the header.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    for line, row in csv_rows(text, path, required):
        reading(f"{path}, line {line}")
        yield line, row


def csv_rows(text: str, place: object, required: Iterable[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a CSV text (see `read_csv`); `place` names it in messages."""
    longest = min(limits().line_bytes, 2**31 - 1)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        with FieldLimit(longest):
            have = list(reader.fieldnames or [])
        require(len(have), "columns", place, "its number of columns")
        if missing := [name for name in required if name not in have]:
            raise DataError(
                f"{place}: the column {missing[0]!r} is missing; the file has {have[:40]}. Export it again with that column."
            )
        while True:
            with FieldLimit(longest):
                row = next(reader, None)
            if row is None:
                return
            if None in row:
                raise DataError(f"{place}, line {reader.line_num}: more fields than the header has ({len(have)}).")
            if short := [name for name, value in row.items() if value is None]:
                raise DataError(
                    f"{place}, line {reader.line_num}: fewer fields than the header has ({len(have)}; {short[0]!r} is "
                    "missing). The file may be cut short: export it again."
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{place}, line {reader.line_num}: not CSV ({error}). Nothing was stored.") from None


class FieldLimit:
    """The longest field Python's csv reads, for one step: the limit is the process's, so it is given back at once."""

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def __enter__(self) -> None:
        self.before = csv.field_size_limit(self.longest)

    def __exit__(self, *error: object) -> None:
        csv.field_size_limit(self.before)
