"""Rows of a billing export as BigQuery holds them, and a BigQuery played to hold them."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from typing import Any

from finops_ai_vertex.columns import COLUMNS

from finops_ai.testing import Reply, Request

ACCOUNT = "01ABCD-234567-89ABCD"
TABLE = "billing.costs.gcp_billing_export_resource_v1_01ABCD_234567_89ABCD"


def row(
    sku="Gemini 2.5 Flash Text Input - Predictions", amount=1000.0, cost=0.0003, *, at="2026-10-05T07:00:00Z", **changes
) -> dict[str, Any]:
    """One row of the detailed export; 1,000 input tokens of Gemini 2.5 Flash at 0.30 USD a million unless told."""
    start = dt.datetime.fromisoformat(at.replace("Z", "+00:00"))
    found = {
        "billing_account_id": ACCOUNT,
        "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
        "sku": {"id": "A121-E2B5-1418", "description": sku},
        "usage_start_time": start.isoformat(),
        "usage_end_time": (start + dt.timedelta(hours=1)).isoformat(),
        "project": {"id": "shop", "number": "1", "name": "Shop", "labels": [{"key": "cost-centre", "value": "12"}]},
        "labels": [{"key": "team", "value": "search"}],
        "tags": [],
        "location": {"location": "europe-west4", "country": None, "region": "europe-west4", "zone": None},
        "export_time": (start + dt.timedelta(hours=5)).isoformat(),
        "cost": cost,
        "currency": "USD",
        "usage": {"amount": amount, "unit": "count", "amount_in_pricing_units": amount / 1e6, "pricing_unit": "count"},
        "credits": [],
        "invoice": {"month": f"{start:%Y%m}"},
        "cost_type": "regular",
        "cost_at_list": cost,
        "resource": {"name": None, "global_name": None},
        "price": {"list_price": "0.3", "effective_price": "0.3"},
        "subscription": {"instance_id": None},
    }
    return found | changes


#: a window's worth; October holds 12,500 + 3,000 input, 2,000 read, 2,400 + 600 out
EXPORT = [
    row(amount=12_500.0, cost=0.00375),
    row("Gemini 2.5 Flash Text Output - Predictions", 2400.0, 0.006),
    row("Gemini 2.5 Flash Thinking Text Output - Predictions", 600.0, 0.0015),
    row("Gemini 2.5 Flash Input Text Caching", 2000.0, 0.00006, at="2026-10-01T00:00:00Z"),
    row("Claude Sonnet 4.6 — Input Tokens — global — Context Window Size from 0 to 200000 Tokens", 3000.0, 0.009,
        at="2026-10-31T23:00:00Z", service={"id": "X", "description": "Claude Sonnet 4.6"},
        credits=[{"name": "Promotion", "amount": -0.002, "type": "PROMOTION"}, {"name": "More", "amount": -0.001, "type": "DISCOUNT"}]),
    row("Vertex AI Search: Ranking", 7.0, 0.5, at="2026-10-09T01:00:00Z"),
    row("Goodwill", 0.0, -0.1, at="2026-10-01T00:00:00Z", cost_type="adjustment"),
    row(at="2026-11-01T00:00:00Z"),
    row(at="2026-09-30T23:00:00Z"),
    row("N2 Instance Core running in Frankfurt", 5.0, 9.0, service={"id": "6F81", "description": "Compute Engine"}),
]  # fmt: skip
QUANTITIES = {"input": 15_500, "cache_read": 2000, "output": 2400, "reasoning": 600, "unmapped": 7}
TOKENS = 20_500
#: 0.00375 + 0.006 + 0.0015 + 0.00006 + (0.009 - 0.003) + 0.5 - 0.1
BILLED = {"USD": "0.41731"}


def call(number: int, when: str, **usage) -> dict:
    """A row of the request-response log, text and all."""
    counts = {
        "promptTokenCount": 120,
        "cachedContentTokenCount": 20,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 10,
        "totalTokenCount": 160,
    }
    return {
        "endpoint": "e", "logging_time": when, "request_id": str(number), "model": "publishers/google/models/gemini-2.5-flash",
        "full_request": json.dumps({"contents": [{"parts": [{"text": "SECRET WORDS"}]}], "labels": {"team": "search", "prompt_id": "answer@v3"},
                                    "generationConfig": {"temperature": 0.4, "maxOutputTokens": 900}}),
        "full_response": json.dumps({"candidates": [{"content": {"parts": [{"text": "SECRET WORDS"}]}}], "usageMetadata": counts | usage}),
    }  # fmt: skip


def schema(without: tuple[str, ...] = (), more: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The table's schema in BigQuery's REST form."""
    tree: dict[str, Any] = {}
    for path, kind, _ in COLUMNS.values():
        if path not in without:
            node = tree
            *above, last = path.split(".")
            for step in above:
                node = node.setdefault(step, {})
            node[last] = {"text": "STRING", "number": "FLOAT", "time": "TIMESTAMP", "json": "REPEATED"}[kind]
    for name in more:
        tree[name] = "STRING"

    def fields(node: dict[str, Any]) -> list[dict[str, Any]]:
        out = []
        for name, kind in node.items():
            if isinstance(kind, dict):
                out.append({"name": name, "type": "RECORD", "mode": "NULLABLE", "fields": fields(kind)})
            elif kind == "REPEATED":
                value = "amount" if name == "credits" else "value"
                below = [
                    {"name": "key", "type": "STRING"},
                    {"name": value, "type": "FLOAT" if name == "credits" else "STRING"},
                ]
                out.append({"name": name, "type": "RECORD", "mode": "REPEATED", "fields": below})
            else:
                out.append({"name": name, "type": kind, "mode": "NULLABLE"})
        return out

    return fields(tree)


class PlayedBigQuery:
    """Enough of BigQuery's REST API for one table: describe, list, run a query over it, page through the answer.

    Attributes:
        rows: the table's rows, nested.
        page: rows a page.
        scanned: bytes a query would scan.
        repeat_token: give the same page token for ever.
        queries: the texts of the queries that were run.
    """

    def __init__(self, rows: list[dict[str, Any]], fields: list[dict[str, Any]] | None = None) -> None:
        self.rows, self.fields = rows, fields or schema()
        self.page = 100_000
        self.scanned = 10_000
        self.repeat_token = False
        self.queries: list[str] = []
        self._jobs: dict[str, dict[str, Any]] = {}

    def answer(self, request: Request) -> Reply:
        """One request."""
        path = request.path.removeprefix("/bigquery/v2/")
        if re.fullmatch(r"projects/[^/]+/datasets/[^/]+/tables", path):
            names = [TABLE.rpartition(".")[2], "other"]
            return Reply({"tables": [{"tableReference": _reference(name)} for name in names], "totalItems": 2})
        if found := re.fullmatch(r"projects/[^/]+/datasets/[^/]+/tables/([^/]+)", path):
            if found[1] != TABLE.rpartition(".")[2]:
                return failure(404, "notFound", f"Not found: Table {found[1]}")
            return Reply(
                {
                    "tableReference": _reference(found[1]),
                    "schema": {"fields": self.fields},
                    "timePartitioning": {"type": "DAY"},
                }
            )
        if request.method == "POST" and re.fullmatch(r"projects/[^/]+/jobs", path):
            return Reply(self._insert(request.json()))
        if found := re.fullmatch(r"projects/[^/]+/queries/([^/]+)", path):
            return Reply(self._results(found[1], request))
        if found := re.fullmatch(r"projects/[^/]+/jobs/([^/]+)", path):
            return Reply(self._jobs[found[1]])
        raise AssertionError(f"{request.method} {request.path} isn't played")

    def _insert(self, body: dict[str, Any]) -> dict[str, Any]:
        query = body["configuration"]["query"]
        if not body["configuration"].get("dryRun"):
            self.queries.append(query["query"])
        reference = {"projectId": "p", "location": "EU", "jobId": body.get("jobReference", {}).get("jobId", "dry")}
        job = {
            "jobReference": reference, "configuration": body["configuration"], "status": {"state": "DONE"},
            "statistics": {"totalBytesProcessed": str(self.scanned), "query": {"totalBytesProcessed": str(self.scanned)}},
        }  # fmt: skip
        self._jobs[reference["jobId"]] = job
        return job

    def _results(self, name: str, request: Request) -> dict[str, Any]:
        query = self._jobs[name]["configuration"]["query"]
        bounds = {p["name"]: _moment(p["parameterValue"]["value"]) for p in query["queryParameters"]}
        if "COUNT(*)" in query["query"]:
            return self._others(name, bounds)
        select = query["query"].split(" FROM ")[0].removeprefix("SELECT ")
        columns = [part.split(" AS ") for part in select.split(", ")]
        kinds = {name: kind for name, (_, kind, _) in COLUMNS.items()}
        rows = [
            {"f": [{"v": _value(r, expression, kinds[name])} for expression, name in columns]}
            for r in self.rows
            if bounds["start"] <= _moment(r["usage_start_time"]) < bounds["end"]
            and ("Claude" in r["sku"]["description"] or r["service"]["description"] == "Vertex AI")
        ]
        start, most = int(request.first("pageToken", "0")), int(request.first("maxResults", str(self.page)))
        size = min(self.page, most)
        types = {"text": "STRING", "number": "FLOAT", "time": "TIMESTAMP", "json": "STRING"}
        answer = {
            "jobReference": self._jobs[name]["jobReference"], "jobComplete": True, "totalRows": str(len(rows)),
            "schema": {"fields": [{"name": n, "type": types[kinds[n]], "mode": "NULLABLE"} for _, n in columns]},
            "rows": rows[start : start + size],
        }  # fmt: skip
        if not size:  # asked for the schema alone
            del answer["rows"]
        elif start + size < len(rows) or self.repeat_token:
            answer["pageToken"] = "0" if self.repeat_token else str(start + size)
        return answer

    def _others(self, name: str, bounds: dict[str, Any]) -> dict[str, Any]:
        """Sums of the rows that aren't AI, by service, kind and currency."""
        sums: dict[tuple[Any, ...], list[Any]] = {}
        for r in self.rows:
            ai = "Claude" in (r["sku"]["description"] or "") or r["service"]["description"] == "Vertex AI"
            if bounds["start"] <= _moment(r["usage_start_time"]) < bounds["end"] and not ai:
                slot = sums.setdefault(
                    (r["service"]["description"], r["cost_type"], r["currency"]), [0, Decimal(0), Decimal(0)]
                )
                slot[0] += 1
                slot[1] += Decimal(str(r["cost"] or 0))
                slot[2] += sum((Decimal(str(c["amount"])) for c in r["credits"] or ()), Decimal(0))
        names = ("service_description", "cost_type", "currency", "found", "cost", "credit")
        return {
            "jobReference": self._jobs[name]["jobReference"], "jobComplete": True, "totalRows": str(len(sums)),
            "schema": {"fields": [{"name": n, "type": "STRING", "mode": "NULLABLE"} for n in names]},
            "rows": [{"f": [{"v": v if v is None else str(v)} for v in (*key, *values)]} for key, values in sums.items()],
        }  # fmt: skip


def failure(status: int, reason: str, message: str = "on purpose", headers: dict[str, str] | None = None) -> Reply:
    """An error in Google's form."""
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Reply({"error": error}, status, headers or {})


def _reference(name: str) -> dict[str, str]:
    return {"projectId": "billing", "datasetId": "costs", "tableId": name}


def _moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text.replace("Z", "+00:00").replace(" UTC", "+00:00"))
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _value(record: dict[str, Any], expression: str, kind: str) -> str | None:
    path = expression.removeprefix("TO_JSON_STRING(").removesuffix(")")
    value: Any = record
    for step in path.split("."):
        value = (value or {}).get(step)
    if value is None:
        return None
    if kind == "time":
        return str(int(_moment(value).timestamp() * 1_000_000))
    return json.dumps(value) if kind == "json" else str(value)
