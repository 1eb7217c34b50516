"""Inputs for readers: whole files, and what becomes of them when somebody, or a bad line, changes them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CORPUS = Path(__file__).parent / "corpus"

#: values that have broken readers somewhere
VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**30, 10**60, 0.1, -0.0, 1e308, 5e-324, "", " ", "0", "-1",
    "1e5", "1e999999", "NaN", "Infinity", "-inf", "null", "None", "true", "x", "ä" * 50, "\u0000", "\u202e", "\ud800", "🙂",
    "2026-10-01", "2026-13-45", "0000-00-00", "9999-12-31T23:59:59Z", "10000-01-01", "2026-10-01T00:00:00+99:00", "1970-01-01",
    "2026-02-30", "31/12/2026", "=1+1", "../../etc/passwd", "%s%n", "{{7*7}}", "${x}", "' OR 1=1 --", "a" * 5000, "1,234.56",
    "5.402", "0x10", "１２", [], {}, [[]], [None], {"": None}, {"a": {"b": [1, "x", None]}}, [1, "a", {}], "[]", "{}", "\\", '"',
    253402300800, -62135596801, 1e18, 1e20, "9" * 400,
]  # fmt: skip
RAW = [
    b"", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\t", b'"', b"'", b",", b";", b"{", b"}", b"[", b"]", b":", b"\\",
    b"NaN", b"Infinity", b"-Infinity", b"1e999999999", b"1E-999999999", b"9" * 5000, b"[" * 2000, b'{"a":' * 2000, b"\\ud800", b"\\u0000",
    b"null", b"-", b"0x1", b"\x1f\x8b", b"PAR1", b"\xed\xa0\x80", b"<!--", b"true", b"\xc3\x28", b"1_000", b"+1", b"1.", b".5",
]  # fmt: skip


#: how often a value becomes another of its kind, which a reader takes and goes on with, rather than one that stops it
LIKELY = 0.6


def mutate(content: bytes, name: str, seed: random.Random) -> bytes:
    """One input made of a whole one: by its structure where it has one, by bytes otherwise, or both."""
    zipped = content[:2] == b"\x1f\x8b"
    if zipped:
        if seed.random() < 0.2:
            return by_bytes(content, seed)
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):  # a damaged one, kept because it crashed something
            return by_bytes(content, seed)
    way = seed.random()
    try:
        if name.endswith(".parquet"):
            out = by_bytes(content, seed) if way < 0.2 else by_column(content, seed)
        elif way < 0.2:
            out = by_bytes(content, seed)
        elif ".csv" in name:
            out = by_cell(content, seed)
        elif ".toml" in name:
            out = by_line(content, seed)
        else:
            out = by_value(content, seed)
            if way > 0.9:
                out = by_bytes(out, seed)
    except (ValueError, TypeError, LookupError, pa.ArrowException, ArithmeticError, RecursionError):
        out = by_bytes(content, seed)
    return gzip.compress(out, 1) if zipped else out


def other(value: Any, seed: random.Random) -> Any:
    """Another value: one of the same kind where one is likely, else one that has broken a reader somewhere."""
    return near(value, seed) if seed.random() < LIKELY else seed.choice(VALUES)


def near(value: Any, seed: random.Random) -> Any:
    """A value of the same kind: another number, day, spelling, or the same twice."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return seed.choice((value + 1, value - 1, -value, value * 10, value * 10**9, 0, 1))
    if isinstance(value, float):
        return seed.choice((-value, value * 10, value / 3, 0.0, round(value, 2), int(min(max(value, -1e15), 1e15))))
    if isinstance(value, list):
        return seed.choice((value[::-1], value + value[:1], value[1:]))
    if isinstance(value, dict):
        return dict(reversed(value.items()))
    if not isinstance(value, str) or not value:
        return value
    if digits := [i for i, sign in enumerate(value) if sign.isdigit()]:
        at = seed.choice(digits)
        return value[:at] + str(seed.randrange(10)) + value[at + 1 :]
    at = seed.randrange(len(value))
    ways = (
        value.upper(),
        value + value[-1],
        value[:at] + value[at + 1 :],
        f" {value} ",
        value + "é",
        value[:at] + "-" + value[at:],
    )
    return seed.choice(ways)


def by_bytes(content: bytes, seed: random.Random) -> bytes:
    """Flip, drop, double, cut or put in bytes."""
    data = bytearray(content)
    for _ in range(seed.choice((1, 1, 2, 4, 16))):
        at = seed.randrange(len(data) + 1)
        size = seed.choice((1, 2, 8, 64))
        way = seed.randrange(6)
        if way == 0 and at < len(data):
            data[at] ^= 1 << seed.randrange(8)
        elif way == 1:
            del data[at : at + size]
        elif way == 2:
            data[at:at] = data[at : at + size]
        elif way == 3:
            del data[at:]
        elif way == 4:
            data[at:at] = seed.choice(RAW)
        else:
            data[at : at + size] = seed.choice(RAW)
    return bytes(data)


def by_value(content: bytes, seed: random.Random) -> bytes:
    """Change values, keys or lists of JSON documents."""
    try:
        documents = [json.loads(content)]
        lines = False
    except ValueError:
        documents = [json.loads(line) for line in content.splitlines() if line.strip()]
        lines = True
    for _ in range(seed.choice((1, 1, 1, 2, 5))):
        spots = list(_spots(documents))
        if not spots:
            break
        holder, key = seed.choice(spots)
        way = seed.randrange(6)
        if way == 0 and isinstance(holder, dict):
            del holder[key]
        elif way == 1 and isinstance(holder, dict):
            holder[str(seed.choice(VALUES))] = holder.pop(key)
        elif way == 2 and isinstance(holder, list):
            holder.append(holder[key])
        elif way == 3:
            giver, place = seed.choice(spots)
            holder[key] = giver[place] if not _holds(giver[place], holder) else None
        else:
            holder[key] = other(holder[key], seed)
    texts = [json.dumps(d) for d in documents]
    return "\n".join(texts).encode() if lines else texts[0].encode() if texts else b""


def _spots(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _spots(inner)


def _holds(value: Any, inner: Any) -> bool:
    """Whether putting `value` into `inner` would make a circle."""
    return value is inner or any(
        _holds(v, inner)
        for v in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
    )


def by_cell(content: bytes, seed: random.Random) -> bytes:
    """Change cells, headings, rows or the dialect of a CSV file."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    for _ in range(seed.choice((1, 1, 2, 5))):
        row = seed.choice(rows) if rows else []
        way = seed.randrange(7)
        if way == 0 and row:
            del row[seed.randrange(len(row))]
        elif way == 1:
            row.insert(seed.randrange(len(row) + 1), str(seed.choice(VALUES)))
        elif way == 2:
            rows.append(list(row))
        elif way == 3 and rows:
            rows.pop(seed.randrange(len(rows)))
        elif row:
            at = seed.randrange(len(row))
            row[at] = str(other(row[at], seed))
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=seed.choice((",",) * 9 + (";",)), lineterminator=seed.choice(("\n", "\r\n"))).writerows(
        rows
    )
    return out.getvalue().encode(seed.choice(("utf-8",) * 9 + ("utf-16",)), "replace")


def by_column(content: bytes, seed: random.Random) -> bytes:
    """Change the columns of a Parquet file: values, types, names, order."""
    table = pq.read_table(pa.BufferReader(content))
    at = seed.randrange(table.num_columns)
    name, column = table.column_names[at], table.column(at)
    way = seed.randrange(7)
    if way == 0:
        table = table.remove_column(at)
    elif way == 1:
        table = table.rename_columns(
            [str(seed.choice(VALUES)) if i == at else n for i, n in enumerate(table.column_names)]
        )
    elif way == 2:
        table = table.set_column(at, name, pa.nulls(table.num_rows))
    elif way == 3:
        texts = [str(seed.choice(VALUES)).encode("utf-8", "replace").decode() for _ in range(table.num_rows)]
        table = table.set_column(at, name, pa.array(texts))
    elif way == 4:
        kind = seed.choice(
            (
                pa.string(),
                pa.int64(),
                pa.float64(),
                pa.bool_(),
                pa.date32(),
                pa.timestamp("ns"),
                pa.binary(),
                pa.dictionary(pa.int8(), pa.string()),
            )
        )
        table = table.set_column(at, name, column.cast(kind, safe=False))
    elif way == 5:
        numbers = [
            seed.choice([v for v in VALUES if isinstance(v, int | float) and abs(v) < 2**63])
            for _ in range(table.num_rows)
        ]
        table = table.set_column(at, name, pa.array([float(v) for v in numbers]))
    else:
        table = table.append_column(name, column)
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def by_line(content: bytes, seed: random.Random) -> bytes:
    """Change lines of a settings file: drop, double, swap, or another value behind the equals sign."""
    lines = content.decode().splitlines()
    for _ in range(seed.choice((1, 1, 2, 4))):
        if not lines:
            break
        at, way = seed.randrange(len(lines)), seed.randrange(5)
        if way == 0:
            del lines[at]
        elif way == 1:
            lines.insert(at, lines[at])
        elif way == 2:
            there = seed.randrange(len(lines))
            lines[at], lines[there] = lines[there], lines[at]
        else:
            key, equals, stated = (part.strip() for part in lines[at].partition("="))
            try:
                value = other(json.loads(stated), seed)
            except ValueError:  # no value, or one that JSON doesn't write: a day, an inline table
                if equals and seed.random() < LIKELY:
                    lines[at] = f"{key} = {near(stated, seed)}"
                    continue
                value = seed.choice(VALUES)
            text = json.dumps(value) if not isinstance(value, dict) and value is not None else "{}"
            lines[at] = f"{key or 'x'} = {text}"
    return "\n".join(lines).encode("utf-8", "replace")
