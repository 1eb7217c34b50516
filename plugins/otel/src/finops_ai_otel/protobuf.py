"""OTLP in protobuf, as the collector's file exporter and OTLP/HTTP write it: documents as their JSON form has them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

from finops_ai.errors import DataError, SettingsError


def looks_binary(content: bytes) -> bool:
    """Whether a file is protobuf rather than JSON: its first field, or a length before it."""
    return (content[:1] == b"\n" and not content.lstrip().startswith((b"{", b"["))) or content[:1] == b"\0"


def documents(content: bytes, place: str) -> Iterator[dict[str, Any]]:
    """The export requests of a file: one message, or several with their length (four bytes, big endian) before each.

    Raises:
        DataError: no such messages, or the last one is cut.
        SettingsError: the library that reads them isn't installed.
    """
    try:
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
        from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
    except ImportError:
        raise SettingsError(
            f"{place} is OTLP in protobuf: pip install 'finops-ai-otel[protobuf]', or let the collector write JSON."
        ) from None
    for number, message in enumerate(_messages(content, place), 1):
        read = None
        for kind, inner in ((TracesData, "scopeSpans"), (MetricsData, "scopeMetrics")):
            try:
                found = MessageToDict(kind.FromString(message))
            except DecodeError:
                continue
            groups = next(iter(found.values()), [])
            if any(_has_content(group, inner) for group in groups):
                read = found
                break
        if read is None:
            raise DataError(f"{place}, message {number}: no OTLP spans or metrics in protobuf. Nothing was stored.")
        yield _with_hexadecimal_ids(read)


def _messages(content: bytes, place: str) -> Iterator[bytes]:
    if content[:1] == b"\n":
        yield content
        return
    at = 0
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at) if at + 4 <= len(content) else (len(content),)
        if at + 4 + size > len(content):
            raise DataError(f"{place}: the last message is cut short. Fetch the file again; nothing was stored.")
        yield content[at + 4 : at + 4 + size]
        at += 4 + size


def _has_content(group: Any, inner: str) -> bool:
    name = {"scopeSpans": "spans", "scopeMetrics": "metrics"}[inner]
    # spans and metrics share field numbers: what was read as the other has no times
    return any(
        "startTimeUnixNano" in s if name == "spans" else "name" in s
        for scope in group.get(inner, [])
        for s in scope.get(name, [])
    )


def _with_hexadecimal_ids(value: Any) -> Any:
    """Ids as OTLP's JSON writes them."""
    if isinstance(value, list):
        return [_with_hexadecimal_ids(item) for item in value]
    if isinstance(value, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {k: base64.b64decode(v).hex() if k in ids else _with_hexadecimal_ids(v) for k, v in value.items()}
    return value
