"""OTLP JSON of an invented application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from finops_ai.periods import instant

TEXT = "the text of a prompt"


def pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Attributes as OTLP writes them."""
    out = []
    for key, value in values.items():
        if isinstance(value, list):
            written: dict[str, Any] = {"arrayValue": {"values": [{"stringValue": v} for v in value]}}
        else:
            kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
            written = {kind: str(value) if kind == "intValue" else value}
        out.append({"key": key, "value": written})
    return out


def nano(at: str) -> int:
    """Nanoseconds since 1970."""
    return int(instant(at).timestamp() * 1_000_000) * 1000


def span(span_id: str, at: str, attributes: dict[str, Any], parent: str = "", trace: str = "t1") -> dict[str, Any]:
    """One span of two seconds."""
    times = {"startTimeUnixNano": str(nano(at)), "endTimeUnixNano": str(nano(at) + 2 * 10**9)}
    return {
        "traceId": trace,
        "spanId": span_id,
        "parentSpanId": parent,
        "name": "call",
        "kind": 3,
        **times,
        "attributes": pairs(attributes),
    }


def usage(**counts: int) -> dict[str, int]:
    """Usage attributes; `__` stands for a dot."""
    return {f"gen_ai.usage.{name.replace('__', '.')}": n for name, n in counts.items()}


def call(
    operation: str = "chat", provider: str = "anthropic", model: str = "claude-opus-5", **counts: int
) -> dict[str, Any]:
    """Attributes of a model call, with the texts an application may have left in them."""
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.input.messages": TEXT,
        "gen_ai.prompt.0.content": TEXT,
        **usage(**counts),
    }


def spans_document(spans: list[dict[str, Any]], resource: dict[str, Any] | None = None) -> str:
    """One line of the collector's file exporter."""
    service = resource or {"service.name": "answer-service", "deployment.environment.name": "prod"}
    return json.dumps(
        {"resourceSpans": [{"resource": {"attributes": pairs(service)}, "scopeSpans": [{"spans": spans}]}]}
    )


def point(at: str, until: str, value: int, attributes: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    """One data point: of a counter, or with a count, of a histogram."""
    body = {"asInt": str(value)} if count is None else {"sum": value, "count": str(count)}
    return {
        "attributes": pairs(attributes),
        "startTimeUnixNano": str(nano(at)),
        "timeUnixNano": str(nano(until)),
        **body,
    }


def metrics_document(
    metrics: dict[str, list[dict[str, Any]]], temporality: int = 1, service: str = "answer-service"
) -> str:
    """One line with metrics; those whose points have a count are histograms."""
    written = []
    for name, points in metrics.items():
        kind = "histogram" if "count" in points[0] else "sum"
        written.append({"name": name, kind: {"aggregationTemporality": temporality, "dataPoints": points}})
    resource = {"attributes": pairs({"service.name": service})}
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": written}]}]})


class Telemetry:
    """The helpers, and a folder to write to."""

    call, point, span, usage, text = (
        staticmethod(call),
        staticmethod(point),
        staticmethod(span),
        staticmethod(usage),
        TEXT,
    )
    spans_document, metrics_document = staticmethod(spans_document), staticmethod(metrics_document)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, *lines: str, name: str = "telemetry.jsonl") -> str:
        """Write a file; returns its path."""
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)


@pytest.fixture
def telemetry(tmp_path: Path) -> Telemetry:
    """Helpers to write telemetry."""
    return Telemetry(tmp_path)
