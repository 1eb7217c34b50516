"""Azure played on loopback: Resource Manager, Monitor, Cost Management, Log Analytics and Blob storage.

The answers are written by hand; `expected` figures in the tests are added up from the tables here.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from finops_ai_azure_openai.connector import AzureOpenAI

from finops_ai.testing import Reply, Request

TOKEN = "eyJ-planted-entra-token"
SUB = "00000000-0000-0000-0000-00000000000a"
ACCOUNT = f"/subscriptions/{SUB}/resourceGroups/rg-ai/providers/Microsoft.CognitiveServices/accounts/aoai-demo"
NOW = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)
TAGS = {"team": "support"}


class Credential:
    """Stands in for azure-identity: one token for any scope, and a record of the scopes asked for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, scope: str) -> Any:
        self.scopes.append(scope)
        return SimpleNamespace(token=TOKEN, expires_on=0)


def connector(url: str, **settings: Any) -> AzureOpenAI:
    """A live connector on the played Azure."""
    made = AzureOpenAI(**{"endpoint_url": url, "subscription_id": SUB} | settings)
    made.credential, made.clock = Credential(), lambda: NOW
    made.sleep = lambda seconds: None
    return made


def deployment(name: str, model: str, version: str, sku: str = "GlobalStandard", capacity: int = 100) -> dict[str, Any]:
    return {
        "id": f"{ACCOUNT}/deployments/{name}",
        "name": name,
        "type": "Microsoft.CognitiveServices/accounts/deployments",
        "sku": {"name": sku, "capacity": capacity},
        "properties": {"model": {"format": "OpenAI", "name": model, "version": version}},
        "systemData": {"createdAt": "2026-10-30T06:00:00.5Z" if "Provisioned" in sku else "2026-01-01T00:00:00Z"},
    }


DEPLOYMENTS = [
    deployment("chat-prod", "gpt-4o", "2024-11-20"),
    deployment("nightly", "gpt-4o", "2024-11-20", sku="GlobalBatch"),
    deployment("old-bot", "gpt-35-turbo", "0613", sku="Standard"),
    deployment("claude", "claude-sonnet-4-5", "20250929"),
    deployment("reserved", "gpt-4.1", "2025-04-14", sku="DataZoneProvisionedManaged", capacity=10),
]
#: metric -> (deployment, model, version, further dimensions) -> day -> count. October, its last days, and what follows
D1, D2, D31, N1 = "2026-10-01", "2026-10-02", "2026-10-31", "2026-11-01"
CHAT, NIGHT, OLD = ("chat-prod", "gpt-4o", "2024-11-20"), ("nightly", "gpt-4o", "2024-11-20"), ("old-bot", "", "0613")
CLAUDE = ("claude", "claude-sonnet-4-5", "20250929")
METRICS: dict[str, dict[tuple[str, ...], dict[str, Any]]] = {
    "InputTokens": {
        CHAT: {D1: 120000, D2: 98000, N1: 5},
        NIGHT: {D31: 7000},
        CLAUDE: {D2: 900},
    },
    "OutputTokens": {CHAT: {D1: 30000, D2: 21000, N1: 5}, NIGHT: {D31: 300}, CLAUDE: {D2: 50}},
    # more than input + output: the cached tokens stand beside
    "TotalTokens": {CHAT: {D1: 150000, D2: 119000}, NIGHT: {D31: 7300}, CLAUDE: {D2: 1350}},
    "cacheReadInputTokens": {CLAUDE: {D2: 300}},
    "ephemeral5mInputTokens": {CLAUDE: {D2: 60}},
    "ephemeral1hInputTokens": {CLAUDE: {D2: 40}},
    "AudioInputTokens": {CHAT: {D1: 20000}},
    # the older set counts chat-prod's tokens again, and alone knows old-bot's
    "ProcessedPromptTokens": {CHAT: {D1: 120000, D2: 98000}, OLD: {D2: 4000}},
    "GeneratedTokens": {CHAT: {D1: 30000, D2: 21000}, OLD: {D2: 500}},
    "ModelRequests": {
        (*CHAT, "200", "priority"): {D1: 40},
        (*CHAT, "429", "priority"): {D1: 9},
        (*CHAT, "200", "default"): {D2: 30},
        (*CHAT, "200", "flex"): {D2: 3},
        (*NIGHT, "200", ""): {D31: 2},
    },
    "AzureOpenAIRequests": {(*CHAT, "200", "default"): {D1: 40}, (*OLD, "200", ""): {D2: 7}},
    "FineTunedTrainingHours": {("old-bot", "", ""): {D2: 1.5}},
    "AzureOpenAIProvisionedManagedUtilizationV2": {("reserved", "", ""): {D31: 25}},
}
#: chat-prod 218,000 + 51,000; nightly 7,000 + 300; old-bot 4,000 + 500; claude 900 + 400 + 50
TOKENS = 269_000 + 7_300 + 4_500 + 1_350
#: meter -> quantity in October; reserved: 18 h of 30 October and 24 h of the 31st, 10 PTUs
QUANTITIES = {
    "input": 198_000 + 7000 + 4000 + 900,
    "input_audio": 20_000,
    "output": 51_000 + 300 + 500 + 50,
    "cache_read": 300,
    "cache_write_5m": 60,
    "cache_write_1h": 40,
    "requests": 40 + 33 + 2 + 7,
    "training_hours": Decimal("1.5"),
    "provisioned_hours": Decimal("419.998611"),  # 10 x (24 h + 18 h - 0.5 s) to six decimals
}

#: (kind, day, meter, cost, quantity, currency)
COSTS = [
    ("ActualCost", 20261001, "gpt 4o 1120 Inp glbl", "0.300000000000000044", "0.12", "USD"),
    ("AmortizedCost", 20261001, "gpt 4o 1120 Inp glbl", "0.300000000000000044", "0.12", "USD"),
    ("ActualCost", 20261002, "gpt 4o 1120 Outp glbl", "0.21", "21.0", "USD"),
    ("AmortizedCost", 20261002, "gpt 4o 1120 Outp glbl", "0.21", "21.0", "USD"),
    # covered by a reservation: nothing billed, 24 amortised
    ("AmortizedCost", 20261031, "Provisioned Managed Data Zone Unit", "24", "240", "USD"),
    ("ActualCost", 20261031, "Whatever Comes Next", "1e-07", "3", "USD"),
    ("AmortizedCost", 20261031, "Whatever Comes Next", "1e-07", "3", "USD"),
    ("ActualCost", 20261101, "gpt 4o 1120 Inp glbl", "9", "9", "USD"),
    ("AmortizedCost", 20261101, "gpt 4o 1120 Inp glbl", "9", "9", "USD"),
]
UNITS = {
    "gpt 4o 1120 Inp glbl": "1M",
    "gpt 4o 1120 Outp glbl": "1K",
    "Provisioned Managed Data Zone Unit": "1 Hour",
    "Whatever Comes Next": "1",
}
#: 0.300000000000000044 + 0.21 + 0.0000001
BILLED = {"USD": "0.510000100000000044"}


class Azure:
    """Answers what the connector asks. `page_size` cuts lists and query answers into pages; `loop` repeats a link."""

    def __init__(self) -> None:
        self.page_size: int | None = None
        self.loop = False
        self.unsupported: set[str] = set()
        self.units = True
        self.calls: list[dict[str, Any]] = []
        self.blobs: dict[str, bytes] = {}
        self.cut_logs_above: int | None = None

    def answer(self, request: Request) -> Reply:
        """One answer to one request."""
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply({"error": {"code": "AuthenticationFailed", "message": "no token"}}, 401)
        path = request.path.lower()
        if path.endswith("/providers/microsoft.insights/metrics"):
            return self.metrics(request)
        if path.endswith("/providers/microsoft.costmanagement/query"):
            return self.query(request)
        if path.endswith("/deployments"):
            return self.listed(request, DEPLOYMENTS)
        if path.endswith("/providers/microsoft.cognitiveservices/accounts"):
            account = {"id": ACCOUNT, "name": "aoai-demo", "kind": "OpenAI", "location": "swedencentral", "tags": TAGS}
            return self.listed(request, [account])
        if path.endswith("/query"):
            return self.logs(request)
        if path == f"/subscriptions/{SUB}":
            return Reply({"id": path, "subscriptionId": SUB, "displayName": "AI production"})
        if path.startswith("/exports"):
            return self.blob(request)
        return Reply({"error": {"code": "NotFound", "message": request.path}}, 404)

    def listed(self, request: Request, items: list[Any]) -> Reply:
        assert request.first("api-version")
        at = int(request.first("$skip", "0"))
        size = self.page_size or len(items)
        more = f"https://management.azure.com{request.path}?api-version=1&$skip={at + size}"
        return Reply({"value": items[at : at + size], **({"nextLink": more} if at + size < len(items) else {})})

    def metrics(self, request: Request) -> Reply:
        names = request.first("metricnames").split(",")
        wanted = re.findall(r"(\w+) eq '\*'", request.first("$filter"))
        if bad := [n for n in names if n in self.unsupported]:
            said = f"Failed to find metric configuration for provider: Microsoft.CognitiveServices, metric: {bad[0]}"
            return Reply({"error": {"code": "BadRequest", "message": said}}, 400)
        assert request.first("interval") == "P1D"
        start, end = (dt.datetime.fromisoformat(t) for t in request.first("timespan").split("/"))
        value = []
        aggregation = request.first("aggregation").lower()
        for name in names:
            series = []
            for key, days in METRICS.get(name, {}).items():
                said = dict(
                    zip(
                        ("ModelDeploymentName", "ModelName", "ModelVersion", "StatusCode", "ServiceTierResponse"),
                        key,
                        strict=False,
                    )
                )
                data = [
                    {"timeStamp": f"{d}T00:00:00Z", aggregation: float(v)}
                    for d, v in days.items()
                    if start <= dt.datetime.fromisoformat(f"{d}T00:00:00Z") < end
                ]
                data.append({"timeStamp": start.isoformat().replace("+00:00", "Z")})  # a point without a value
                meta = [
                    {"name": {"value": k.lower(), "localizedValue": k.lower()}, "value": said.get(k, "")}
                    for k in wanted
                ]
                series.append({"metadatavalues": meta, "data": data})
            value.append(
                {
                    "id": f"{ACCOUNT}/providers/Microsoft.Insights/metrics/{name}",
                    "type": "Microsoft.Insights/metrics",
                    "name": {"value": name, "localizedValue": name},
                    "displayDescription": "",
                    "unit": "Percent" if aggregation == "average" else "Count",
                    "timeseries": series,
                    "errorCode": "Success",
                }
            )
        return Reply(
            {
                "cost": 0,
                "timespan": request.first("timespan"),
                "interval": "P1D",
                "namespace": "Microsoft.CognitiveServices/accounts",
                "resourceregion": "swedencentral",
                "value": value,
            }
        )

    def query(self, request: Request) -> Reply:
        body = request.json()
        grouping = [g["name"] for g in body["dataset"]["grouping"]]
        first, last = (int(body["timePeriod"][key][:10].replace("-", "")) for key in ("from", "to"))
        rows = [c for c in COSTS if c[0] == body["type"] and first <= c[1] <= last]
        if "UnitOfMeasure" in grouping:
            if not self.units:
                return Reply({"error": {"code": "BadRequest", "message": "Invalid dimension UnitOfMeasure"}}, 400)
            columns = ["Cost", "UsageQuantity", "Meter", "UnitOfMeasure", "Currency"]
            data = [[Decimal(c[3]), Decimal(c[4]), c[2], UNITS[c[2]], c[5]] for c in rows]
        else:
            columns = ["UsageDate", "Currency", "Cost", "Meter", "UsageQuantity", "ResourceId"]
            data = [[c[1], c[5], Decimal(c[3]), c[2], Decimal(c[4]), ACCOUNT.lower()] for c in rows]
        at = int(request.first("$skiptoken", "0"))
        size = self.page_size or max(len(data), 1)
        after = at if self.loop else at + size
        link = f"https://management.azure.com{request.path}?api-version=2025-03-01&$skiptoken={after}"
        kinds = {"Cost": "Number", "UsageQuantity": "Number", "UsageDate": "Number"}
        return Reply(
            {
                "id": "q",
                "name": "q",
                "type": "Microsoft.CostManagement/query",
                "location": None,
                "properties": {
                    "nextLink": link if at + size < len(data) else None,
                    "columns": [{"name": n, "type": kinds.get(n, "String")} for n in columns],
                    "rows": data[at : at + size],
                },
            }
        )

    def logs(self, request: Request) -> Reply:
        query = request.json()["query"]
        assert "Messages" not in query, "texts must not be asked for"
        first, last = re.findall(r"datetime\(([^)]+)\)", query)[-2:]
        rows = [c for c in self.calls if first <= c["TimeGenerated"] < last]
        names = re.search(r"project (.+)$", query)[1].split(", ")  # type: ignore[index]
        answer: dict[str, Any] = {
            "tables": [
                {
                    "name": "PrimaryResult",
                    "columns": [{"name": n, "type": "string"} for n in names],
                    "rows": [[c.get(n) for n in names] for c in rows[: self.cut_logs_above]],
                }
            ]
        }
        if self.cut_logs_above is not None and len(rows) > self.cut_logs_above:
            answer["error"] = {"code": "PartialError", "message": "the result was cut"}
        return Reply(answer)

    def blob(self, request: Request) -> Reply:
        assert request.headers["x-ms-version"]
        if request.first("comp") == "list":
            names = sorted(n for n in self.blobs if n.startswith(request.first("prefix")))
            at = int(request.first("marker", "0"))
            size = self.page_size or max(len(names), 1)
            after = at + size if at + size < len(names) else ""
            after = at if self.loop and at else after
            listed = "".join(f"<Blob><Name>{n}</Name></Blob>" for n in names[at : at + size])
            text = f"<?xml version='1.0'?><EnumerationResults><Blobs>{listed}</Blobs><NextMarker>{after}</NextMarker></EnumerationResults>"
            return Reply(text.encode(), headers={"content-type": "application/xml"})
        name = request.path.removeprefix("/exports/")
        return Reply(self.blobs[name]) if name in self.blobs else Reply(b"<Error/>", 404)


def saved_answers(folder: Any) -> list[str]:
    """The played Azure's answers as files, as a person would save them."""
    azure = Azure()

    def ask(method: str, path: str, body: Any = None, **query: str) -> Any:
        request = Request(
            method,
            path,
            {k.replace("_", "-").replace("S-", "$"): [v] for k, v in query.items()},
            {"authorization": f"Bearer {TOKEN}"},
            json.dumps(body).encode(),
        )
        return azure.answer(request).content

    (folder / "subscription.json").write_bytes(ask("GET", f"/subscriptions/{SUB}"))
    (folder / "accounts.json").write_bytes(
        ask("GET", f"/subscriptions/{SUB}/providers/Microsoft.CognitiveServices/accounts", api_version="1")
    )
    (folder / "deployments.json").write_bytes(ask("GET", f"{ACCOUNT}/deployments", api_version="1"))
    from finops_ai_azure_openai import metrics, query
    from finops_ai_azure_openai.connector import AzureOpenAISettings

    from finops_ai.periods import Window

    for number, (names, dimensions, aggregation) in enumerate(metrics.QUESTIONS):
        content = ask(
            "GET",
            f"{ACCOUNT}/providers/Microsoft.Insights/metrics",
            timespan="2026-10-01T00:00:00+00:00/2026-11-02T00:00:00+00:00",
            interval="P1D",
            metricnames=",".join(names),
            aggregation=aggregation,
            **{"S_filter": " and ".join(f"{d} eq '*'" for d in dimensions)},
        )
        (folder / f"metrics_{number}.json").write_bytes(content)
    whole = Window.of("2026-10-01", "2026-11-02")
    for name, kind, grouping in (
        ("actual", "ActualCost", ("ResourceId", "Meter")),
        ("amortized", "AmortizedCost", ("ResourceId", "Meter")),
        ("units", "ActualCost", ("Meter", "UnitOfMeasure")),
    ):
        body = query.definition(kind, whole, grouping, AzureOpenAISettings())
        path = f"/subscriptions/{SUB}/providers/Microsoft.CostManagement/query"
        (folder / f"cost_{name}.json").write_bytes(ask("POST", path, body, api_version="2025-03-01"))
    return [str(folder / "*.json")]
