"""Questions and answers against Azure's published contract (an OpenAPI document and metric list)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from azure_world import Azure, connector
from finops_ai_azure_openai import exports, metrics

from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider

CONTRACTS = Path(__file__).parents[3].parent / "shared" / "contracts" / "azure"
pytestmark = pytest.mark.skipif(not CONTRACTS.is_dir(), reason=f"Azure's contract files are not at {CONTRACTS}")


@pytest.fixture(scope="module")
def contract():
    return json.loads((CONTRACTS / "azure_ai_usage_cost.openapi.json").read_text())


def operation(contract, method, path):
    for template, item in contract["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path, re.I) and method.lower() in item:
            return item[method.lower()]
    return None


def check(contract, schema, document):
    import jsonschema  # takes seconds to import, and every process collects this file

    # nullable and $ref inside components resolve against the whole document
    jsonschema.Draft202012Validator({"components": contract["components"], **schema}).validate(document)


def test_questions_and_answers_keep_the_contract(contract):
    azure, seen = Azure(), set()
    healthy = azure.answer

    def checked(request):
        reply = healthy(request)
        spec = operation(contract, request.method, request.path)
        if spec:
            seen.add(spec["operationId"])
            known = {parameter["name"]: parameter for parameter in spec["parameters"]}
            for name, values in request.query.items():
                kind = known[name]["schema"]
                value = {"integer": int, "boolean": lambda v: v == "true"}.get(kind["type"], str)(values[0])
                check(contract, kind, value)
            needed = {n for n, p in known.items() if p.get("required") and p["in"] == "query"}
            assert needed <= set(request.query)
            if "requestBody" in spec:
                check(contract, spec["requestBody"]["content"]["application/json"]["schema"], request.json())
            answer = spec["responses"][str(reply.status)]["content"]["application/json"]["schema"]
            check(contract, answer, json.loads(reply.content))
        return reply

    with PlayedProvider(checked) as played:
        asking = connector(played.url)
        window = Window.of("2026-10-01", "2026-11-01")
        asking.usage(window)
        asking.bills(window)
        connector(played.url, resource_group="rg-ai").bills(window)
        connector(played.url, meter_categories=["Foundry Models"], reservation_ids="r-1").bills(window)
        asked = played.requests[-1].json()["dataset"]["filter"]["or"]
    assert [part["dimensions"]["name"] for part in asked] == ["ResourceType", "MeterCategory", "ReservationId"]
    assert seen == {"Metrics_List", "Query_Usage_Subscription", "Query_Usage_ResourceGroup"}


def test_the_published_examples_are_read(contract, tmp_path):
    """Azure's own examples as saved answers: the totals in them, added up by hand."""
    from finops_ai_azure_openai.connector import AzureOpenAI

    for template, item in contract["paths"].items():
        for method in item.values():
            content = method["responses"]["200"]["content"]["application/json"]
            example = content["examples"].get("cognitive_services_shape")
            if example and "{resourceGroupName}/providers/Microsoft.CostManagement" not in template:
                (tmp_path / f"{method['operationId']}.json").write_text(json.dumps(example["value"]))
    reading = AzureOpenAI(files=str(tmp_path / "*.json"))
    window = Window.of("2026-11-01", "2026-12-01")
    found = reading.usage(window).groupby("meter")["quantity"].sum()
    # prompt 120,000 + 98,000 + 50,000; generated 30,000 + 21,000; requests 40 + 33
    assert dict(found.items()) == {"input": 268_000, "output": 51_000, "requests": 73}
    bills = reading.bills(window)
    # "1M Tokens" is in the meters' names: 120 and 30 million
    assert dict(bills.groupby("meter")["consumed_quantity"].sum().items()) == {
        "input": 120_000_000,
        "output": 30_000_000,
    }
    assert str(bills["billed_cost"].sum().normalize()) == "0.45"


def test_every_metric_and_dimension_asked_for_exists(contract):
    listed = json.loads((CONTRACTS / "metrics.cognitiveservices_accounts.json").read_text())["metrics"]
    known = {metric["name"]: metric for metric in listed}
    for names, dimensions, aggregation in metrics.QUESTIONS:
        for name in names:
            assert set(dimensions) <= set(known[name]["dimensions"]), name
            assert known[name]["default_aggregation"] == aggregation, name
            assert "PT1M" in known[name]["time_grain"]


def test_every_column_read_from_a_focus_export_exists():
    listed = json.loads((CONTRACTS / "FocusCost_1.2-preview.columns.json").read_text())["Columns"]
    known = {column["ColumnName"] for column in listed}
    source = Path(exports.__file__).read_text().split("def focus_rows")[1].split("def cost_rows")[0]
    read = set(re.findall(r'row(?:\.get\(|\[)"(\w+)"', source)) | set(exports.FOCUS_NEEDED)
    assert len(read) > 25
    assert read <= known
