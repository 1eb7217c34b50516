"""A FOCUS file of Azure says the same as Azure's own plugin, meter names read by one table; what isn't AI is left out with its amount."""

from __future__ import annotations

import csv
from decimal import Decimal as D

import pytest
from finops_ai_focus.connector import Focus

from finops_ai.periods import Window
from finops_ai.providers import registry

MONTH = Window.month("2026-10")
ACCOUNT = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/demo"
#: meter name, pricing quantity in millions, cost, and what Azure means by it: meter and tokens
LINES = [
    ("gpt 5.4 Inp Glbl 1M Tokens", "38.9", "97.25", ("input", 38_900_000)),
    ("gpt 5.4 cd Inp Glbl 1M Tokens", "29.7", "7.425", ("cache_read", 29_700_000)),
    ("gpt 5.4 Outp Glbl 1M Tokens", "2.5", "37.5", ("output", 2_500_000)),
    ("gpt 5.4 Batch Inp Glbl 1M Tokens", "4", "5", ("input", 4_000_000)),
]
HEAD = [
    "BilledCost", "BillingCurrency", "BillingAccountId", "BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart",
    "ChargePeriodEnd", "ChargeCategory", "ChargeDescription", "EffectiveCost", "ListCost", "ContractedCost", "PricingQuantity",
    "PricingUnit", "ProviderName", "ResourceId", "ServiceCategory", "ServiceName", "SkuMeter", "x_SkuMeterName",
    "x_SkuMeterCategory", "x_PricingUnitDescription", "SubAccountId",
]  # fmt: skip


@pytest.fixture
def export(tmp_path):
    def row(
        meter,
        quantity,
        cost,
        service="Azure OpenAI",
        category="Usage",
        kind="AI and Machine Learning",
        resource=ACCOUNT,
    ):
        values = {
            "BilledCost": cost, "BillingCurrency": "EUR", "BillingAccountId": "b1", "BillingPeriodStart": "2026-10-01T00:00:00Z",
            "BillingPeriodEnd": "2026-11-01T00:00:00Z", "ChargePeriodStart": "2026-10-05T00:00:00Z",
            "ChargePeriodEnd": "2026-10-06T00:00:00Z", "ChargeCategory": category, "ChargeDescription": meter,
            "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost, "PricingQuantity": quantity, "PricingUnit": "1M",
            "ProviderName": "Microsoft", "ResourceId": resource, "ServiceCategory": kind, "ServiceName": service, "SkuMeter": meter,
            "x_SkuMeterName": meter, "x_SkuMeterCategory": service, "x_PricingUnitDescription": "1M", "SubAccountId": "s1",
        }  # fmt: skip
        return [values[name] for name in HEAD]

    path = tmp_path / "focus.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([
            HEAD, *(row(meter, quantity, cost) for meter, quantity, cost, _ in LINES),
            row("D4s v5", "720", "138.24", "Virtual Machines", kind="Compute", resource="/x/vm"),
            row("Tax", "", "54.18", "Tax", "Tax", "Other", ""),
        ])  # fmt: skip
    return path


def sums(frame):
    return frame.groupby(["meter", "model", "service_tier"])["quantity"].sum().to_dict()


def test_both_readers_give_the_same_tokens_by_meter_model_and_tier(export):
    ours = sums(Focus(files=str(export)).usage(MONTH))
    azure = registry().connectors["azure-openai"](files=str(export), usage_from="bill").usage(MONTH)
    want = {
        ("input", "gpt-5.4", "standard"): D(38_900_000), ("cache_read", "gpt-5.4", "standard"): D(29_700_000),
        ("output", "gpt-5.4", "standard"): D(2_500_000), ("input", "gpt-5.4", "batch"): D(4_000_000),
    }  # fmt: skip
    assert ours == want
    assert sums(azure) == want


@pytest.mark.parametrize("name", ["focus", "azure-openai"])
def test_kept_and_left_out_are_the_files_total(export, name):
    reader = registry().connectors[name](files=str(export))
    bills = reader.bills(MONTH)
    kept = sum(bills["billed_cost"], D(0))
    assert kept == D("97.25") + D("7.425") + D("37.5") + D("5")
    assert kept + sum(item.amount for item in reader.left_out) == D("339.595")  # + 138.24 + 54.18
    assert {(item.reason, item.amount) for item in reader.left_out} == {
        ("another service: Virtual Machines", D("138.24")),
        ("Tax of another service: Tax", D("54.18")),
    }
