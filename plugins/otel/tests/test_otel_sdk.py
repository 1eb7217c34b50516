"""What the OpenTelemetry SDK itself writes, spans and metrics, is read."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from finops_ai_otel import OtelConnector

from finops_ai.periods import Window

pytestmark = pytest.mark.slow
ALWAYS = Window.of("2020-01-01", "2200-01-01")
WHO = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5.4"}


def as_file(message: Any) -> str:
    """A message as the collector's file exporter writes it: ids in hexadecimal."""
    from google.protobuf.json_format import MessageToDict

    def hexadecimal(value: Any) -> Any:
        if isinstance(value, dict):
            ids = ("traceId", "spanId", "parentSpanId")
            return {k: base64.b64decode(v).hex() if k in ids else hexadecimal(v) for k, v in value.items()}
        return [hexadecimal(v) for v in value] if isinstance(value, list) else value

    return json.dumps(hexadecimal(MessageToDict(message)))


def found(telemetry: Any, *lines: str) -> tuple[dict[str, int], Any]:
    frame = OtelConnector(files=[telemetry.write(*lines)]).usage(ALWAYS)
    return {meter: int(n) for meter, n in frame.groupby("meter")["quantity"].sum().items()}, frame


def test_spans_of_the_sdk(telemetry: Any) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    encoder = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.common.trace_encoder",
        reason="the OTLP exporter isn't installed: `make test-slow` installs it",
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider(resource=Resource.create({"service.name": "real"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    counts = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
    with tracer.start_as_current_span("agent", attributes={**WHO, **counts, "gen_ai.operation.name": "invoke_agent"}):
        more = {
            "gen_ai.usage.cache_read.input_tokens": 40,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.response.finish_reasons": ["stop"],
        }
        with tracer.start_as_current_span("chat", attributes={**WHO, **counts, **more}):
            pass
    meters, frame = found(telemetry, as_file(encoder.encode_spans(exporter.get_finished_spans())))
    assert meters == {"input": 60, "cache_read": 40, "output": 10, "requests": 1}
    assert set(frame["temperature"]) == {0.5}
    assert dict(frame["tags"][0]) == {"service.name": "real"}


def test_metrics_of_the_sdk(telemetry: Any) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    encoder = pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.common.metrics_encoder",
        reason="the OTLP exporter isn't installed: `make test-slow` installs it",
    )
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("test")
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens")
    counters = [meter.create_counter(f"gen_ai.client.inference.usage.{name}") for name in names]
    duration = meter.create_histogram("gen_ai.client.inference.duration")
    lines = []
    for calls in (2, 1, 3):
        for _ in range(calls):
            for counter, n in zip(counters, (100, 10, 40), strict=True):
                counter.add(n, {**WHO, "gen_ai.token.modality": "unknown"})
            duration.record(1.25, WHO)
        lines.append(as_file(encoder.encode_metrics(reader.get_metrics_data())))
    meters, frame = found(telemetry, *lines)
    assert meters == {"input": 360, "cache_read": 240, "output": 60, "requests": 6}  # six calls of 60 + 40 and 10
    assert frame.loc[frame["meter"] == "requests", "quantity"].tolist() == [2, 1, 3]
    assert frame["slice_input_tokens"].tolist() == [200] * 4 + [100] * 4 + [300] * 4
