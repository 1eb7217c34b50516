"""OTLP files: JSON or protobuf as the collector's file exporter and OTLP/HTTP write it, and Parquet with one span a row."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from finops_ai.errors import DataError
from finops_ai.money import exact
from finops_ai.periods import UTC
from finops_ai.providers.files import find_files, read_bytes
from finops_ai_otel import protobuf
from finops_ai_otel.attributes import is_content
from finops_ai_otel.openinference import is_openinference, translated
from finops_ai_otel.tools import CREDITS, SESSION, is_token_metric

EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)

#: how the names of token counts begin
USAGE = ("gen_ai.usage.", "llm.usage.", "anthropic.usage.", "llm.token_count.")
#: attributes that only spans of model calls have
MODEL = ("gen_ai.", "llm.", "openinference.")

#: column names of span tables in use, by what they hold
SPAN_COLUMNS = {
    "start": ("startTimeUnixNano", "start_time_unix_nano", "start_time", "start_timestamp", "Timestamp", "timestamp"),
    "end": ("endTimeUnixNano", "end_time_unix_nano", "end_time", "end_timestamp"),
    "duration": ("Duration", "duration_nano", "duration_ns"),
    "trace_id": ("traceId", "trace_id", "TraceId"),
    "span_id": ("spanId", "span_id", "SpanId"),
    "parent_id": ("parentSpanId", "parent_span_id", "ParentSpanId"),
    "attributes": ("attributes", "span_attributes", "SpanAttributes"),
    "resource": ("resource_attributes", "ResourceAttributes", "resource.attributes", "resource"),
    "service": ("ServiceName", "service_name", "service.name"),
}


@dataclass
class Span:
    """One span: identity, time and flat attributes."""

    trace_id: str
    span_id: str
    parent_id: str
    start: dt.datetime
    end: dt.datetime
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    place: str
    scope: str = ""


@dataclass
class Point:
    """One data point of a counter or histogram. `value` is the sum, `count` the observations of a histogram."""

    metric: str
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    start: dt.datetime
    end: dt.datetime
    value: int
    count: int | None
    cumulative: bool
    place: str


@dataclass
class Telemetry:
    """What the files hold."""

    spans: list[Span] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    unknown: list[Point] = field(default_factory=list)


def read_otlp(patterns: list[str], metrics: Mapping[str, Any]) -> Telemetry:
    """Spans, and the points of the named metrics, of OTLP JSON or protobuf and of Parquet files, gzip or not; and those of
    metrics of other names that count tokens.

    Raises:
        DataError: no file, a damaged file, or one that is no OTLP; names file and place.
    """
    found = Telemetry()
    for path in find_files(patterns):
        if path.suffix == ".parquet":
            found.spans += _parquet(path)
            continue
        content = read_bytes(path)
        read = protobuf.documents(content, str(path)) if protobuf.looks_binary(content) else None
        for number, document in enumerate(read, 1) if read else _documents(path, content):
            place = f"{path}, document {number}"
            if not isinstance(document, dict) or not document.keys() & {
                "resourceSpans",
                "resourceMetrics",
                "resourceLogs",
            }:
                keys = sorted(document) if isinstance(document, dict) else type(document).__name__
                raise DataError(f"{place}: no OTLP JSON (it needs resourceSpans or resourceMetrics): {keys}.")
            try:
                found.spans += _spans(document, place)
                for point in _points(document, place, metrics):
                    (found.points if point.metric in metrics else found.unknown).append(point)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ArithmeticError) as error:
                raise DataError(f"{place}: not as OTLP JSON writes it ({type(error).__name__}: {error}).") from None
    return found


def _documents(path: Path, content: bytes) -> Iterator[tuple[int, Any]]:
    """The documents of a JSON or JSON Lines file, numbered from 1. There is no money in telemetry: floats are fine."""
    content = content.strip()
    for number, text in enumerate([content] if b"\n{" not in content else content.splitlines(), 1):
        if text.strip():
            try:
                yield number, orjson.loads(text)
            except orjson.JSONDecodeError as error:
                if number == 1 and text is not content:  # one document over several lines
                    try:
                        yield 1, orjson.loads(content)
                        return
                    except orjson.JSONDecodeError:
                        pass
                raise DataError(f"{path}, document {number}: not whole JSON ({error}). Nothing was stored.") from None


def flatten(pairs: Any) -> dict[str, Any]:
    """OTLP key-value pairs as a plain mapping; lists, nested values and texts of prompts and answers are left out.

    >>> flatten([{"key": "a", "value": {"intValue": "5"}}, {"key": "b", "value": {"stringValue": "x"}}])
    {'a': 5, 'b': 'x'}
    """
    plain: dict[str, Any] = {}
    for pair in pairs or ():
        if is_content(pair["key"]):
            continue
        for kind, value in pair.get("value", {}).items():
            if kind == "intValue":
                plain[pair["key"]] = int(value)
            elif kind in ("stringValue", "boolValue", "doubleValue"):
                plain[pair["key"]] = value
    return plain


def nano(value: Any) -> dt.datetime:
    """Nanoseconds since 1970 as an instant, cut to microseconds.

    >>> nano("1767225600000000999").isoformat()
    '2026-01-01T00:00:00+00:00'
    """
    return EPOCH + dt.timedelta(microseconds=int(value) // 1000)


def whole(value: Any) -> int:
    """A count as OTLP writes it: a number, or a whole number as text.

    Raises:
        ValueError: not a whole number.
    """
    number = exact(value)
    if number != int(number):
        raise ValueError(f"{value!r} must be a whole number")
    return int(number)


def _spans(document: Mapping[str, Any], place: str) -> Iterator[Span]:
    for group in document.get("resourceSpans") or ():
        resource = flatten((group.get("resource") or {}).get("attributes"))
        for scope in group.get("scopeSpans") or group.get("instrumentationLibrarySpans") or ():
            for span in scope.get("spans") or ():
                # spans without token counts only say what lies inside what
                told = span.get("attributes") or ()
                names = {pair["key"] for pair in told}
                counted = any(name.startswith(USAGE) for name in names)
                wanted = counted or any(name.startswith(MODEL) or name in SESSION or name == CREDITS for name in names)
                attributes = flatten(told) if wanted else {}
                if is_openinference(names):
                    attributes = translated(attributes, _output(told))
                yield Span(
                    str(span.get("traceId") or ""),
                    str(span["spanId"]),
                    str(span.get("parentSpanId") or ""),
                    nano(span["startTimeUnixNano"]),
                    nano(span["endTimeUnixNano"]),
                    attributes,
                    resource,
                    place,
                    str((scope.get("scope") or scope.get("instrumentationLibrary") or {}).get("name") or ""),
                )


def _output(told: Any) -> str | None:
    """The answer's text, from which only its id is taken."""
    return next((p.get("value", {}).get("stringValue") for p in told if p["key"] == "output.value"), None)


def _points(document: Mapping[str, Any], place: str, metrics: Mapping[str, Any]) -> Iterator[Point]:
    for group in document.get("resourceMetrics") or ():
        resource = flatten((group.get("resource") or {}).get("attributes"))
        for scope in group.get("scopeMetrics") or group.get("instrumentationLibraryMetrics") or ():
            for metric in scope.get("metrics") or ():
                known = metric.get("name") in metrics
                if not known and not is_token_metric(str(metric.get("name"))):
                    continue
                data = metric.get("sum") or metric.get("histogram") or metric.get("exponentialHistogram") or {}
                cumulative = data.get("aggregationTemporality") in (2, "AGGREGATION_TEMPORALITY_CUMULATIVE")
                for point in data.get("dataPoints") or ():
                    value = point.get("sum", point.get("asInt", point.get("asDouble", 0)))
                    if not known and exact(value) != int(exact(value)):
                        continue  # a rate or a duration
                    end = nano(point["timeUnixNano"])
                    yield Point(
                        metric["name"],
                        flatten(point.get("attributes")),
                        resource,
                        nano(point.get("startTimeUnixNano") or point["timeUnixNano"]),
                        end,
                        0 if metric["name"].endswith(".duration") else whole(value),
                        int(point["count"]) if "count" in point else None,
                        cumulative,
                        place,
                    )


def _parquet(path: Path) -> Iterator[Span]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        have = set(file.schema_arrow.names)
        columns = {what: next((n for n in names if n in have), None) for what, names in SPAN_COLUMNS.items()}
        for what in ("start", "span_id", "attributes"):
            if columns[what] is None:
                raise DataError(
                    f"{path}: no column for the span's {what} (known: {SPAN_COLUMNS[what]}); it has {sorted(have)}."
                )
        number = 0
        for batch in file.iter_batches(20_000, columns=[name for name in columns.values() if name]):
            for row in batch.to_pylist():
                number += 1
                yield _span_of(
                    {what: row.get(name) if name else None for what, name in columns.items()}, f"{path}, row {number}"
                )
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}).") from None


def _span_of(row: Mapping[str, Any], place: str) -> Span:
    start = _moment(row["start"], place)
    if row["end"] is not None:
        end = _moment(row["end"], place)
    else:
        end = start + dt.timedelta(microseconds=int(row["duration"] or 0) // 1000)
    resource = _mapping(row["resource"], place)
    if row["service"]:
        resource.setdefault("service.name", row["service"])
    ids = {
        name: row[name].hex() if isinstance(row[name], bytes) else row[name] or ""
        for name in ("trace_id", "span_id", "parent_id")
    }
    attributes = _mapping(row["attributes"], place)
    if is_openinference(set(attributes)):
        attributes = translated(
            {k: v for k, v in attributes.items() if not is_content(k)}, attributes.get("output.value")
        )
    return Span(**ids, start=start, end=end, attributes=attributes, resource=resource, place=place)


def _moment(value: Any, place: str) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    try:
        return nano(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{place}: {value!r} is no time; it must be a timestamp or nanoseconds since 1970.") from None


def _mapping(value: Any, place: str) -> dict[str, Any]:
    """Attributes of a table: a map column (list of pairs), a struct, OTLP key-value pairs, or JSON text of those."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise DataError(f"{place}: the attributes are text but not JSON: {value[:60]!r}.") from None
    if isinstance(value, Mapping):
        nested = value.get("attributes")
        return (
            _mapping(nested, place)
            if isinstance(nested, list | Mapping)
            else {k: v for k, v in value.items() if v is not None}
        )
    if value and isinstance(value[0], Mapping):
        return flatten(value)
    return dict(value or ())
