"""The connector keeps every rule, on spans and on metrics."""

from __future__ import annotations

from typing import Any

import pytest
from finops_ai_otel import OtelConnector

from finops_ai.testing import ConnectorConformance

BILLER = {
    "test_the_provider_is_the_connector": "telemetry says who bills the call, so that it can be priced and matched"
}


class TestSpans(ConnectorConformance):
    connector = OtelConnector
    files_only = "telemetry is pushed to a collector; the connector reads the collector's files"
    excused = BILLER
    window = ("2026-10-01", "2026-10-03")
    content = "the text of a prompt"
    # first call: 6000 - 5000 - 900 fresh, of the output 50 reasoned; second: 300 fresh of 300
    quantities = {
        "input": 100 + 300,
        "cache_read": 5000,
        "cache_write": 900,
        "output": 150 + 20,
        "reasoning": 50,
        "requests": 2,
    }
    tokens = 6200 + 320

    @pytest.fixture(autouse=True)
    def _files(self, telemetry: Any) -> None:
        t, plain = telemetry, {"input_tokens": 300, "output_tokens": 20}
        cached = {"cache_read__input_tokens": 5000, "cache_creation__input_tokens": 900, "reasoning__output_tokens": 50}
        agent = t.call("invoke_agent", input_tokens=6000, output_tokens=200)
        first = t.call(input_tokens=6000, output_tokens=200, **cached)
        spans = [
            t.span("a", "2026-10-01T10:00:00Z", agent),
            t.span("b", "2026-10-01T10:00:01Z", first, parent="a"),
            t.span("c", "2026-10-02T10:00:00Z", t.call(provider="openai", model="gpt-5.4", **plain)),
            t.span("z", "2026-10-03T00:00:00Z", t.call(**plain)),
        ]
        path = t.write(t.spans_document(spans), t.spans_document(spans[1:2]))
        type(self).settings = {"files": [path]}


class TestMetrics(ConnectorConformance):
    connector = OtelConnector
    files_only = "telemetry is pushed to a collector; the connector reads the collector's files"
    excused = {**BILLER, "test_importing_it_loads_no_sdk": "the same module as in TestSpans"}
    window = ("2026-10-01", "2026-10-03")
    # two intervals in the window, each 6000 in (5000 read, 900 written), 200 out; 3 calls
    quantities = {"input": 200, "cache_read": 10_000, "cache_write": 1800, "output": 400, "requests": 6}
    tokens = 12_400

    @pytest.fixture(autouse=True)
    def _files(self, telemetry: Any) -> None:
        t = telemetry
        who = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-opus-5",
        }
        family = "gen_ai.client.inference.usage."
        counts = {
            "input_tokens": 6000,
            "output_tokens": 200,
            "cache_read.input_tokens": 5000,
            "cache_write.input_tokens": 900,
        }
        lines = []
        for day in (1, 2, 3):
            at, until = f"2026-10-0{day}T10:00:00Z", f"2026-10-0{day}T10:01:00Z"
            metrics = {
                family + n: [t.point(at, until, v, {**who, "gen_ai.token.modality": "text"})] for n, v in counts.items()
            }
            metrics["gen_ai.client.inference.duration"] = [t.point(at, until, 4, who, count=3)]
            metrics["gen_ai.client.token.usage"] = [
                t.point(at, until, 6000, {**who, "gen_ai.token.type": "input"}, count=3)
            ]
            metrics["http.server.duration"] = [t.point(at, until, 9, {}, count=9)]
            lines.append(t.metrics_document(metrics))
        type(self).settings = {"files": [t.write(*lines)]}
