"""The real queries against a BigQuery emulator: the kit again, partitions, late rows, JSON functions of the request log."""

from __future__ import annotations

import http.client
import io
import json
from urllib.parse import urlencode, urlsplit

import pytest
from finops_ai_vertex.connector import Vertex
from vertex_rows import BILLED, EXPORT, QUANTITIES, TABLE, TOKENS, call, row

from finops_ai.periods import Window
from finops_ai.testing import ConnectorConformance, Reply, Request

pytestmark = pytest.mark.slow
OCTOBER = Window.month("2026-10")
LOG = "billing.costs.request_response_logging"


def _record(name, fields, mode="NULLABLE"):
    return {"name": name, "type": "RECORD", "mode": mode, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


PAIR = {"key": "STRING", "value": "STRING"}
#: the detailed export's schema, as far as the rows below fill it
SCHEMA = [
    *({"name": n, "type": "STRING"} for n in ("billing_account_id", "currency", "cost_type")),
    *({"name": n, "type": "TIMESTAMP"} for n in ("usage_start_time", "usage_end_time", "export_time")),
    *({"name": n, "type": "FLOAT"} for n in ("cost", "cost_at_list")),
    _record("service", {"id": "STRING", "description": "STRING"}),
    _record("sku", {"id": "STRING", "description": "STRING"}),
    {"name": "project", "type": "RECORD", "fields": [
        *({"name": n, "type": "STRING"} for n in ("id", "number", "name")), _record("labels", PAIR, "REPEATED"),
    ]},
    _record("labels", PAIR, "REPEATED"),
    _record("tags", PAIR, "REPEATED"),
    _record("location", dict.fromkeys(("location", "country", "region", "zone"), "STRING")),
    _record("usage", {"amount": "FLOAT", "unit": "STRING", "amount_in_pricing_units": "FLOAT", "pricing_unit": "STRING"}),
    _record("credits", {"name": "STRING", "amount": "FLOAT", "type": "STRING"}, "REPEATED"),
    _record("invoice", {"month": "STRING"}),
    _record("resource", {"name": "STRING", "global_name": "STRING"}),
    _record("price", {"list_price": "NUMERIC", "effective_price": "NUMERIC"}),
    _record("subscription", {"instance_id": "STRING"}),
]  # fmt: skip
LOG_SCHEMA = [
    *({"name": n, "type": "STRING"} for n in ("endpoint", "model")), {"name": "logging_time", "type": "TIMESTAMP"},
    {"name": "request_id", "type": "NUMERIC"}, {"name": "full_request", "type": "JSON"}, {"name": "full_response", "type": "JSON"},
]  # fmt: skip


@pytest.fixture(scope="module")
def emulator(bigquery):
    """The port of a running emulator that holds the export."""
    port = urlsplit(bigquery).port
    fill(port)
    return port


def fill(port: int) -> None:
    """Make the tables and load the rows."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    client = bigquery.Client(
        project="billing",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
    )
    client.create_dataset("billing.costs")
    for name, schema, rows in ((TABLE, SCHEMA, EXPORT), (LOG, LOG_SCHEMA, CALLS)):
        table = bigquery.Table(name, schema=[bigquery.SchemaField.from_api_repr(f) for f in schema])
        table.time_partitioning = bigquery.TimePartitioning()
        client.create_table(table)
        lines = io.BytesIO("".join(json.dumps(r) + "\n" for r in rows).encode())
        config = bigquery.LoadJobConfig(schema=table.schema, source_format="NEWLINE_DELIMITED_JSON")
        client.load_table_from_file(lines, name, job_config=config).result()


CALLS = [
    {**c, "request_id": c["request_id"], "full_request": json.loads(c["full_request"]), "full_response": json.loads(c["full_response"])}
    for c in (
        call(1, "2026-10-01T00:00:00Z"), call(2, "2026-10-31T23:59:59.999Z"), call(3, "2026-11-01T00:00:00Z"),
    )
]  # fmt: skip


class Emulated(ConnectorConformance):
    """BigQuery as the emulator plays it, behind the kit's own server, which puts the faults in front."""

    @pytest.fixture(autouse=True)
    def _emulator(self, emulator):
        self.port = emulator

    def answer(self, request: Request) -> Reply:
        query = {name: values[0] for name, values in request.query.items()}
        if self.page_size and "/queries/" in request.path and query.get("maxResults") != "0":
            query["maxResults"] = str(self.page_size)
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {
            n: v for n, v in request.headers.items() if n not in ("content-length", "connection", "accept-encoding")
        }
        path = f"{request.path}?{urlencode(query)}" if query else request.path
        link.request(request.method, path, request.body, headers)
        answer = link.getresponse()
        content = answer.read()
        link.close()
        return Reply(content, answer.status, {"content-type": answer.headers.get("content-type", "application/json")})


class TestBillingExportInTheEmulator(Emulated):
    connector = Vertex
    settings = {"billing_dataset": "billing.costs", "max_retries": 3}
    secrets = ("ya29.planted-token",)
    split = "2026-10-06"
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED


class TestRequestLogInTheEmulator(Emulated):
    connector = Vertex
    settings = {"request_log_table": LOG, "project_id": "billing", "max_retries": 3}
    secrets = ("ya29.planted-token",)
    split = "2026-10-06"
    content = "SECRET WORDS"
    #: two calls of 100 fresh + 20 read + 30 made + 10 thought
    tokens = 320
    quantities = {"input": 200, "cache_read": 40, "output": 60, "reasoning": 20, "requests": 2}


def test_late_rows_are_found_whatever_day_they_were_loaded(emulator):
    """The emulator files all rows under today, long after the usage: they must still be found."""
    connector = Vertex(endpoint_url=f"http://127.0.0.1:{emulator}", billing_dataset="billing.costs")
    assert len(connector.usage(OCTOBER)) == 6
    assert connector.usage(Window.of("2026-11-01", "2026-11-02"))["quantity"].tolist() == [row()["usage"]["amount"]]
