"""The conformance kit on each of the connector's sources: billing export live and saved, Monitoring, request log."""

from __future__ import annotations

import json

import pytest
from finops_ai_vertex.connector import Vertex
from vertex_rows import BILLED, EXPORT, QUANTITIES, TABLE, TOKENS, PlayedBigQuery, call

from finops_ai.testing import ConnectorConformance, Reply, Request

NO_SECRET = ("ya29.planted-token",)

#: one subprocess is enough to see that importing the connector loads no SDK
IMPORTED_ABOVE = {"test_importing_it_loads_no_sdk": "TestBillingExportInBigQuery tries the same import"}


class TestBillingExportInBigQuery(ConnectorConformance):
    connector = Vertex
    settings = {"billing_table": TABLE, "project_id": "p", "max_retries": 3}
    secrets = NO_SECRET
    split = "2026-10-06"
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _table(self):
        self.bigquery = PlayedBigQuery(EXPORT)

    def answer(self, request: Request) -> Reply:
        self.bigquery.page = self.page_size or 100_000
        return self.bigquery.answer(request)


@pytest.mark.slow  # the other tests of this source are quick ones
class TestBillingExportOnDisk(ConnectorConformance):
    connector = Vertex
    files_only = "the same export in BigQuery is tested above"
    excused = IMPORTED_ABOVE
    split = "2026-10-06"
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        (tmp_path / "export.json").write_text("".join(json.dumps(r) + "\n" for r in EXPORT))
        self.settings = {"files": [str(tmp_path / "*.json")]}


def series(kind: str, points: list[tuple[str, str]], metric: str = "token_count") -> dict:
    """A time series as Monitoring gives it, newest first; int64 is text."""
    return {
        "metric": {"type": f"aiplatform.googleapis.com/publisher/online_serving/{metric}", "labels": {"type": kind, "request_type": "shared"}},
        "resource": {"type": "aiplatform.googleapis.com/PublisherModel", "labels": {
            "model_user_id": "gemini-2.5-flash", "model_version_id": "default", "publisher": "google", "location": "europe-west4", "resource_container": "1",
        }},
        "metricKind": "DELTA", "valueType": "INT64",
        "points": [{"interval": {"startTime": end, "endTime": end}, "value": {"int64Value": value}} for end, value in reversed(points)],
    }  # fmt: skip


class TestMonitoring(ConnectorConformance):
    connector = Vertex
    excused = IMPORTED_ABOVE
    settings = {
        "usage_source": "monitoring",
        "project_id": "shop",
        "max_retries": 3,
        "billing_account_id": "01ABCD-234567-89ABCD",
    }
    secrets = NO_SECRET
    split = "2026-10-06"
    #: 100 + 50 + 7 in, 20 out
    tokens = 177
    quantities = {"input": 157, "output": 20, "requests": 3}
    ALL = (
        series(
            "input",
            [
                ("2026-10-01T00:00:00Z", "999"),
                ("2026-10-01T01:00:00Z", "100"),
                ("2026-10-08T08:00:00Z", "50"),
                ("2026-11-01T00:00:00Z", "7"),
            ],
        ),
        series("output", [("2026-10-08T08:00:00Z", "20"), ("2026-11-01T01:00:00Z", "999")]),
    )
    CALLS = (series("", [("2026-10-01T01:00:00Z", "2"), ("2026-10-08T08:00:00Z", "1")], "model_invocation_count"),)

    def answer(self, request: Request) -> Reply:
        assert request.path == "/v3/projects/shop/timeSeries"
        start, end = request.first("interval.startTime"), request.first("interval.endTime")
        everything = self.CALLS if "invocation_count" in request.first("filter") else self.ALL
        found = [
            {**s, "points": [p for p in s["points"] if start < p["interval"]["endTime"] <= end]} for s in everything
        ]
        size, first = self.page_size or 100, int(request.first("pageToken", "0"))
        page = {"timeSeries": found[first : first + size], "unit": "1"}
        if first + size < len(found):
            page["nextPageToken"] = str(first + size)
        return Reply(page)


@pytest.mark.slow  # the other tests of this source are quick ones
class TestSavedRequestLog(ConnectorConformance):
    connector = Vertex
    excused = IMPORTED_ABOVE
    files_only = "BigQuery's own JSON functions run in the emulator's test"
    split = "2026-10-06"
    content = "SECRET WORDS"
    #: two calls of 100 fresh + 20 read + 30 made + 10 thought
    tokens = 320
    quantities = {"input": 200, "cache_read": 40, "output": 60, "reasoning": 20, "requests": 2}

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path):
        calls = [
            call(1, "2026-10-01 00:00:00 UTC"), call(2, "2026-10-31 23:59:59.999 UTC"), call(2, "2026-10-31 23:59:59.999 UTC"),
            call(3, "2026-11-01 00:00:00 UTC"), call(4, "2026-10-05 00:00:00 UTC") | {"full_response": "{}"},
        ]  # fmt: skip
        (tmp_path / "calls.json").write_text("".join(json.dumps(c) + "\n" for c in calls))
        self.settings = {"files": [str(tmp_path / "*.json")], "project_id": "shop"}
