"""The live bill without settings: reserved capacity beside the accounts is in it, and what else the scope was billed is left out by name."""

from __future__ import annotations

from decimal import Decimal as D

import httpx
from finops_ai_azure_openai import query
from finops_ai_azure_openai.connector import AzureOpenAISettings
from finops_ai_azure_openai.usage import Identity

from finops_ai.periods import Window

ACCOUNT = "/subscriptions/s/resourcegroups/g/providers/microsoft.cognitiveservices/accounts/demo"
#: category, resource type, resource, meter, unit, cost of the day
BILLED = [
    ("Foundry Models", "microsoft.cognitiveservices/accounts", ACCOUNT, "gpt 5.4 Inp Glbl 1M Tokens", "1M", "100.00"),
    ("Cognitive Services", "microsoft.cognitiveservices/accounts", ACCOUNT, "Speech To Text Hours", "1 Hour", "18.56"),
    (
        "Foundry Models",
        "microsoft.capacity/reservationorders",
        "",
        "Provisioned Managed Global Unit",
        "1 Hour",
        "60480",
    ),
    ("Virtual Machines", "microsoft.compute/virtualmachines", "/x/vm", "D4s v5", "1 Hour", "77.25"),
    ("Support", "", "", "Professional Direct", "1", "100"),
]


class Scope:
    """Answers Cost Management's query as it is asked: filter, grouping, granularity."""

    def __init__(self, *, categories: bool = True) -> None:
        self.categories, self.bodies = categories, []

    def send(self, method, path, *, params=None, json=None, check=None):
        from finops_ai.providers import HttpRefused

        self.bodies.append(json)
        data = json["dataset"]
        names = [g["name"] for g in data["grouping"]]
        if "MeterCategory" in names and not self.categories:
            raise HttpRefused("refused", 400, "Invalid dimension MeterCategory")
        rows = [
            dict(zip(("MeterCategory", "ResourceType", "ResourceId", "Meter", "UnitOfMeasure", "Cost"), r, strict=True))
            for r in BILLED
        ]
        if wanted := data.get("filter"):
            parts = [part["dimensions"] for part in wanted.get("or", [wanted])]
            rows = [r for r in rows if any(r.get(p["name"]) in p["values"] for p in parts)]
        daily = data["granularity"] == "Daily"
        columns = ["Cost", "UsageQuantity", *(["UsageDate"] if daily else []), *names, "Currency"]
        values = [[D(r["Cost"]), 1, *([20261005] if daily else []), *(r[n] for n in names), "EUR"] for r in rows]
        content = __import__("json").dumps(
            {"properties": {"columns": [{"name": c} for c in columns], "rows": values}}, default=str
        )
        return httpx.Response(200, content=content.encode())


def bill(scope):
    window, notes = Window.of("2026-10-01", "2026-11-01"), []
    answers = list(query.fetch(scope, "subscriptions/s", window, AzureOpenAISettings(), notes))
    frame = query.frame(answers, window, Identity(None, {}), notes)
    return frame, query.left_out(answers, frame), notes


def test_reserved_capacity_is_in_the_live_bill_without_any_setting():
    frame, left, notes = bill(Scope())
    assert sum(frame["billed_cost"], D(0)) == D("60598.56")  # 100 + 18.56 + 60480
    assert {(item.reason, item.amount) for item in left} == {
        ("another service: Virtual Machines", D("77.25")), ("another service: Support", D("100")),
    }  # fmt: skip
    assert sum(frame["billed_cost"], D(0)) + sum(item.amount for item in left) == D("60775.81")  # all five lines
    assert notes == []


def test_where_categories_are_not_told_the_usual_names_are_asked_for_and_it_is_said():
    frame, left, notes = bill(Scope(categories=False))
    assert sum(frame["billed_cost"], D(0)) == D("60598.56")
    assert left == []
    assert any("what else was billed is unknown" in note for note in notes)
