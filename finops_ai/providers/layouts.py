"""JSON as programs leave it behind (lines, lists, wrapped, keyed, column by column, inside log lines), as documents and rows."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.providers.files import read_bytes
from finops_ai.providers.limits import limits, reading, require
from finops_ai.providers.names import COLUMNS, find_name
from finops_ai.providers.parsing import Documents, parse_json

#: lists that an object of rows is wrapped in, in the order they are looked for
LISTS = (
    "data", "rows", "items", "records", "results", "logs", "entries", "events", "calls", "requests", "value", "hits", "documents",
    "runs", "observations", "generations", "traces", "completions", "responses", "usage", "result",
)  # fmt: skip
#: fields of a log record whose text may be a JSON document of its own
HOLDERS = (
    "log", "message", "msg", "@message", "line", "body", "payload", "event", "data", "textpayload", "jsonpayload", "text",
    "response", "result", "output", "raw", "raw_response", "response_body",
)  # fmt: skip
#: how databases write the type of a value around it
_TYPED = {
    "$date",
    "$numberLong",
    "$numberInt",
    "$numberDouble",
    "$numberDecimal",
    "$oid",
    "S",
    "N",
    "BOOL",
    "M",
    "L",
    "NULL",
}
_TYPES_SEEN = re.compile(rb'\{\s*"(?:\$(?:date|number\w+|oid)|[SN])"\s*:')
#: a time at the beginning of a log line
_TIME = re.compile(r"^[\[<(]?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)")
#: lines of a stream of events beside its data
_EVENT_FIELD = re.compile(r"(?:event|id|retry): |:")
PAIR = re.compile(r'([A-Za-z_][\w.@-]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)')
DEEPEST = 3


def documents(path: Path, notes: list[str] | None = None) -> Iterator[tuple[int, Any]]:
    """The JSON documents of a file with their number: its line, or its position from 1.

    They may be lines, one list, written after each other with anything between them, or stand at the end of log lines
    (`2026-10-01 10:00:00 INFO {...}`, `data: {...}`), whose time is then `line_time`.

    Raises:
        DataError: a damaged document; names its line.
    """
    content = utf8(read_bytes(path)).lstrip(b"\x1e \t\r\n")
    found = _documents(content, path, notes)
    yield from ((number, _bare(document)) for number, document in found) if _TYPES_SEEN.search(content) else found


def _documents(content: bytes, path: Path, notes: list[str] | None) -> Iterator[tuple[int, Any]]:
    first, _, rest = content.partition(b"\n")
    if not rest or _whole(first) is None or first.strip().endswith(b","):
        if content[:1] not in (b"{", b"["):
            yield from _in_log_lines(content, path, notes)
        elif content[:2] in (b"{'", b"['"):
            yield from _written_by_python(content, path)
        else:
            found = list(Documents(content, path))
            one = found[0] if len(found) == 1 else None
            yield from enumerate(one if isinstance(one, list) and not _is_header(one) else found, 1)
        return
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if stripped := line.strip(b"\x1e \t\r"):
            place = f"{path}, line {number}"
            require(len(stripped), "line_bytes", place, "its length in bytes")
            if number == len(lines) and notes is not None and stripped[:1] == b"{" and _whole(stripped) is None:
                notes.append(
                    f"The last line of {path.name} ({number}) is cut short: left out. Where the log is still being written, its call "
                    "comes with the next load; else fetch the file again."
                )
                return
            reading(place)
            yield number, parse_json(stripped, place, lenient=True)


def rows_in(path: Path, notes: list[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a JSON file of any layout: one object each.

    Raises:
        DataError: damaged, or no objects can be found in it.
    """
    found = [document for _, document in documents(path, notes)]
    if found and all(isinstance(document, list) for document in found):
        inner = [item for document in found for item in document]
        found = found if not all(isinstance(item, Mapping) for item in inner) else inner
    rows: Any = _table_in(found[0], 0) if len(found) == 1 else found
    if len(rows) > 1 and all(isinstance(row, list) for row in rows) and _is_header(rows):
        rows = [dict(zip(map(str, rows[0]), row, strict=False)) for row in rows[1:]]
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{path}: no rows were found in this JSON: write one object a line, or a list of objects.")
    return [_opened(row) for row in rows]


def is_plain(path: Path) -> str | None:
    """`array` or `newline_delimited` where DuckDB reads a JSON file as it stands; None where its rows have to be found."""
    with path.open("rb") as stream:
        head = stream.read(1 << 17)
    if (
        head[:2] in (b"\xff\xfe", b"\xfe\xff")
        or b"\0" in head
        or _TYPES_SEEN.search(head)
        or head[:3] == b"\xef\xbb\xbf"
    ):
        return None
    text = head.lstrip()
    if text[:1] == b"[":
        return "array" if text[1:].lstrip()[:1] == b"{" and not _holds_json(text[1:].lstrip()) else None
    lines = [line for line in text.split(b"\n") if line.strip()]
    if len(lines) > 1 and isinstance(_whole(lines[0]), dict) and not _holds_json(lines[0]):
        return "newline_delimited" if len(lines) == 2 or isinstance(_whole(lines[1]), dict) else None
    return None


def is_log(head: bytes) -> bool:
    """Whether a text's first lines are log lines that end in a JSON object, or consist of `name=value`."""
    lines = [
        line for line in lines_of(head.decode("utf-8", "ignore")) if line.strip() and not _EVENT_FIELD.match(line)
    ][:5]
    records = [line for line in lines if _ends_in_json(line) or len(PAIR.findall(line)) >= 3]
    return bool(records) and len(records) * 2 >= len(lines)


def lines_of(text: str) -> list[str]:
    """The lines of a file: `str.splitlines` also breaks at signs that stand inside a JSON text, such as U+2028.

    >>> [len(line) for line in lines_of("x\\u2028y\\r\\nz")]
    [3, 1]
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _ends_in_json(line: str) -> bool:
    _, brace, tail = line.partition("{")
    return bool(brace) and isinstance(_whole((brace + tail).strip().rstrip(",").encode()), dict)


def utf8(content: bytes) -> bytes:
    """A text's bytes as UTF-8 without a byte order mark, whatever they were."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace").encode()
    if content[1:2] == b"\0" and content[:1] != b"\0":
        return content.decode("utf-16-le", "replace").encode()
    return content.removeprefix(b"\xef\xbb\xbf")


def _whole(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
    except RecursionError:
        return None


def _holds_json(text: bytes) -> bool:
    """Whether the first object of a text has a JSON document written into one of its fields."""
    try:
        first, _ = json.JSONDecoder().raw_decode(text.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        return False
    return isinstance(first, dict) and any(_inner(name, value) for name, value in first.items())


def _inner(name: str, value: object) -> dict[str, Any] | None:
    """The document that a field's text is."""
    if (
        not isinstance(value, str)
        or name.lower() not in HOLDERS
        or value.lstrip()[:1] != "{"
        or len(value) > limits().line_bytes
    ):
        return None
    try:
        found = parse_json(value.encode("utf-8", "replace"), name)
    except DataError:
        return None
    return found if isinstance(found, dict) else None


def _opened(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner if (inner := _inner(name, value)) is not None else value for name, value in row.items()}


def _is_header(rows: Sequence[Any]) -> bool:
    """Whether a list of lists begins with names."""
    first = rows[0] if rows and isinstance(rows[0], list) else None
    return (
        bool(first)
        and len(rows) > 1
        and all(isinstance(cell, str) for cell in first or ())
        and all(isinstance(r, list) for r in rows)
    )


def _table_in(document: object, depth: int) -> list[Any]:
    """The rows that one document holds; the document itself where it holds none."""
    if isinstance(document, list):
        return document
    if not isinstance(document, Mapping) or (find_name(list(document), COLUMNS["model"]) and not _is_columns(document)):
        return [document]
    columns, body = document.get("columns"), document.get("data")
    if isinstance(columns, list) and isinstance(body, list) and body and all(isinstance(row, list) for row in body):
        return [dict(zip(map(str, columns), row, strict=False)) for row in body]
    inner = list(document.values())
    if _is_columns(document):
        columns = [list(v.values()) if isinstance(v, Mapping) else v for v in inner]
        return [dict(zip(document, row, strict=True)) for row in zip(*columns, strict=True)]
    if len(inner) > 1 and all(isinstance(value, Mapping) and value for value in inner):
        keys = [set(value) for value in inner]
        if all(len(k & keys[0]) >= 2 for k in keys) and find_name(list(keys[0]), COLUMNS["model"]):
            return [{"key": name, **value} for name, value in document.items()]
    lists = {name: v for name, v in document.items() if isinstance(v, list) and v and isinstance(v[0], Mapping)}
    name = next((name for name in LISTS if name in lists), None) or (next(iter(lists)) if len(lists) == 1 else None)
    if name:
        return lists[name]
    for name in [*(n for n in LISTS if n in document), *document]:
        if depth < DEEPEST and isinstance(document[name], Mapping):
            found = _table_in(document[name], depth + 1)
            if len(found) > 1 or (found and found[0] is not document[name]):
                return found
    return [document]


def _is_columns(document: Mapping[str, Any]) -> bool:
    """Whether a document is a table column by column: lists of one length, or (as pandas writes it) objects by row number."""
    values = list(document.values())
    if len(values) < 2:
        return False
    if all(isinstance(v, Mapping) and v for v in values):
        return all(v.keys() == values[0].keys() for v in values) and all(str(k).isdigit() for k in values[0])
    flat = all(isinstance(v, list) and v and len(v) == len(values[0]) for v in values)
    return flat and not any(isinstance(cell, Mapping | list) for v in values for cell in v[:3])


def _bare(value: object) -> Any:
    """Values without the type that MongoDB and DynamoDB write around them."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        name, inner = next(iter(value.items()))
        if name in _TYPED and (
            name[0] == "$" or isinstance(inner, {"S": str, "N": str, "M": dict, "L": list}.get(name, bool))
        ):
            number = name in ("N", "$numberInt", "$numberLong") and isinstance(inner, str) and inner.isdigit()
            return int(inner) if number else _bare(inner)
    return {name: _bare(inner) for name, inner in value.items()}


def _in_log_lines(content: bytes, path: Path, notes: list[str] | None) -> Iterator[tuple[int, Any]]:
    """JSON objects at the end of log lines, and lines of `name=value`."""
    text = content.decode("utf-8", "replace")
    found = silent = 0
    for number, line in enumerate(lines_of(text), 1):
        head, brace, tail = line.partition("{")
        document = _whole((brace + tail).strip().rstrip(",").encode()) if brace else None
        if isinstance(document, dict):
            stamp = _TIME.match(head.strip())
            document = parse_json((brace + tail).strip().rstrip(",").encode(), f"{path}, line {number}")
            yield number, {**({"line_time": stamp[1]} if stamp else {}), **document}
        elif len(pairs := PAIR.findall(line)) >= 3:
            stamp = _TIME.match(line)
            yield number, {**({"line_time": stamp[1]} if stamp else {}), **{n: v.strip('"') for n, v in pairs}}
        else:
            silent += bool(line.strip()) and line.strip() != "data: [DONE]" and not _EVENT_FIELD.match(line)
            continue
        found += 1
    if not found:
        raise DataError(f"{path}, line 1, column 1: not whole JSON. Nothing was stored.")
    if silent and notes is not None:
        notes.append(f"{silent} lines of {path.name} hold no record: left out.")


def _written_by_python(content: bytes, path: Path) -> Iterator[tuple[int, Any]]:
    """Objects as Python prints them, one a line."""
    for number, line in enumerate(lines_of(content.decode("utf-8", "replace")), 1):
        if line.strip():
            try:
                yield number, ast.literal_eval(line.strip())
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                raise DataError(
                    f"{path}, line {number}: neither JSON nor a Python dict. Log it with json.dumps; nothing was stored."
                ) from None
