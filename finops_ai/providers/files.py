"""Reading saved exports: which files, how compressed, and where exactly one is broken."""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError


def find_files(patterns: Iterable[str], *, base: Path | None = None) -> list[Path]:
    """The files that globs, folders or addresses (https, s3) name, sorted, each once.

    Raises:
        DataError: a pattern matches nothing.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
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
    """A file's content, unzipped where it is gzip.

    Raises:
        DataError: unreadable, or the gzip stream is cut short.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror or error}).") from None
    except (EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip file is damaged or cut short ({error}). Download it again; nothing was stored."
        ) from None


def read_json(path: Path) -> Any:
    """A JSON file, fractions as exact Decimals.

    Raises:
        DataError: not whole JSON; names line and column.
    """
    try:
        return json.loads(read_bytes(path), parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: not whole JSON ({error.msg}). "
            "The file may be cut short: save the page again. Nothing was stored."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}).") from None


def read_json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Line number and document of each line of a JSON Lines file.

    Raises:
        DataError: a line is not JSON; names it.
    """
    for number, line in enumerate(io.BytesIO(read_bytes(path)), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line, parse_float=Decimal)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not whole JSON ({error}). Nothing was stored.") from None


def read_json_any(path: Path) -> Iterator[tuple[int, Any]]:
    """The documents of a JSON file, a JSON array or JSON Lines, with their number (line, or position from 1)."""
    content = read_bytes(path).lstrip()
    first_line = content.split(b"\n", 1)[0].strip()
    try:
        json.loads(first_line)
        lines = content.count(b"\n") > 0 and not first_line.startswith(b"[")
    except ValueError:
        lines = False
    if lines:
        yield from read_json_lines(path)
        return
    document = read_json(path)
    yield from enumerate(document if isinstance(document, list) else [document], 1)


def read_csv(path: Path, required: Iterable[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of a CSV file (UTF-8, with or without byte order mark), all values as text.

    Raises:
        DataError: a required column is missing, or a row has more fields than the header.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    have = reader.fieldnames or []
    if missing := [name for name in required if name not in have]:
        raise DataError(
            f"{path}: the column {missing[0]!r} is missing; the file has {list(have)}. Export it again with that column."
        )
    for row in reader:
        if None in row:
            raise DataError(f"{path}, line {reader.line_num}: more fields than the header has ({len(have)}).")
        yield reader.line_num, row
