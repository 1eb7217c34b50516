"""The sample company's Azure OpenAI: saved answers of Azure Monitor and Resource Manager, and a FOCUS cost export.

`subscriptions.json`, `accounts.json` and `deployments.json` say what exists; `metrics_<account>_<month>.json` what each
deployment counted a day (newer metrics only), with the utilisation of provisioned deployments; and
`focus/<period>/<run>/part_0_0001.csv` beside its `manifest.json` what was charged a day, account and meter. Azure knows
no user, no prompt and, on the bill, no deployment.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.periods import next_month
from finops_ai.sample.company import company, days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

METRICS = {
    "InputTokens": ("input", "cache_read"),
    "OutputTokens": ("output", "reasoning"),
    "ModelRequests": ("requests",),
}
UTILISATION = "AzureOpenAIProvisionedManagedUtilizationV2"
KINDS = {"input": "Inp", "cache_read": "cached Inp", "output": "Outp"}
PTU_METER = "Provisioned Managed Global Unit"
MILLION = 1_000_000


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the answers and the export; returns their paths."""
    rows: list[dict[str, Any]] = slices[slices["provider"] == "azure-openai"].to_dict("records")  # type: ignore[assignment]
    paths = []
    for name, text in [*_resources(rows), *_metrics(rows), *_export(rows)]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return sorted(paths)


def _parts(resource: str) -> tuple[str, str]:
    """An account's id and the deployment's name, of a deployment's id."""
    account, _, deployment = resource.partition("/deployments/")
    return account, deployment


def _json(document: object) -> str:
    return json.dumps(document, indent=1) + "\n"


def _resources(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """What Resource Manager lists: subscriptions, accounts, deployments."""
    subscriptions, accounts, deployments = {}, {}, {}
    plan = company()["provisioned"]
    for row in rows:
        account, deployment = _parts(row["resource_id"])
        subscriptions[row["sub_account_id"]] = row["sub_account_name"]
        accounts[account] = row
        deployments[row["resource_id"]] = row
        reserved = row["service_tier"] == "provisioned"
        deployments[row["resource_id"]] = {
            "id": row["resource_id"],
            "name": deployment,
            "type": "Microsoft.CognitiveServices/accounts/deployments",
            "sku": {"name": "GlobalProvisionedManaged", "capacity": plan["units"]}
            if reserved
            else {"name": "GlobalStandard", "capacity": 500},
            "properties": {"model": {"format": "OpenAI", "name": row["model"]}, "provisioningState": "Succeeded"},
            "systemData": {"createdAt": f"{plan['from'] if reserved else days()[0]}T00:00:00Z"},
        }
    listed = [
        {"id": f"/subscriptions/{s}", "subscriptionId": s, "displayName": name}
        for s, name in sorted(subscriptions.items())
    ]
    yield "subscriptions.json", _json({"value": listed})
    found = [
        {
            "id": account,
            "name": account.rsplit("/", 1)[1],
            "type": "Microsoft.CognitiveServices/accounts",
            "kind": "OpenAI",
            "location": row["region"],
            "tags": dict(row["tags"]),
        }
        for account, row in sorted(accounts.items())
    ]
    yield "accounts.json", _json({"value": found})
    yield "deployments.json", _json({"value": [deployments[name] for name in sorted(deployments)]})


def _metrics(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Answers of the metrics interface, one an account and month, daily."""
    counted: dict[tuple[str, str], dict[str, dict[tuple[str, str], dict[str, float]]]] = {}
    regions = {}
    for row in rows:
        account, deployment = _parts(row["resource_id"])
        day = f"{row['charge_period_start']:%Y-%m-%d}"
        regions[account] = row["region"]
        answer = counted.setdefault((account, day[:7]), {})
        series = (deployment, row["model"])
        for metric, meters in METRICS.items():
            if total := sum(int(row[meter]) for meter in meters):
                points = answer.setdefault(metric, {}).setdefault(series, {})
                points[day] = points.get(day, 0.0) + total
        if row["provisioned_hours"]:
            share = 100 * int(row["provisioned_hours_used"]) / int(row["provisioned_hours"])
            answer.setdefault(UTILISATION, {}).setdefault((deployment, ""), {})[day] = share
    for (account, month), metrics in sorted(counted.items()):
        first = dt.date.fromisoformat(f"{month}-01")
        document = {
            "timespan": f"{first}T00:00:00Z/{next_month(first)}T00:00:00Z",
            "interval": "P1D",
            "namespace": "Microsoft.CognitiveServices/accounts",
            "resourceregion": regions[account],
            "value": [_metric(account, name, series) for name, series in sorted(metrics.items())],
        }
        yield f"metrics_{account.rsplit('/', 1)[1]}_{month}.json", _json(document)


def _metric(account: str, name: str, series: dict[tuple[str, str], dict[str, float]]) -> dict[str, Any]:
    aggregation = "average" if name == UTILISATION else "total"
    return {
        "id": f"{account}/providers/Microsoft.Insights/metrics/{name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": name, "localizedValue": name},
        "unit": "Percent" if name == UTILISATION else "Count",
        "errorCode": "Success",
        "timeseries": [
            {
                "metadatavalues": [
                    {"name": {"value": key, "localizedValue": key}, "value": value}
                    for key, value in (("modeldeploymentname", deployment), ("modelname", model))
                    if value
                ],
                "data": [
                    {"timeStamp": f"{day}T00:00:00Z", aggregation: value} for day, value in sorted(points.items())
                ],
            }
            for (deployment, model), points in sorted(series.items())
        ],
    }


def _export(rows: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """One export run a month: a FOCUS file and its manifest."""
    months: dict[str, list[dict[str, str]]] = defaultdict(list)
    for charge in _charges(rows):
        months[charge["ChargePeriodStart"][:7]].append(charge)
    for month, charges in sorted(months.items()):
        first = dt.date.fromisoformat(f"{month}-01")
        last = next_month(first) - dt.timedelta(days=1)
        run = str(uuid.uuid5(uuid.NAMESPACE_URL, f"sample-focus-{month}"))
        place = f"focus/{first:%Y%m%d}-{last:%Y%m%d}/{run}"
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(charges[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(charges)
        yield f"{place}/part_0_0001.csv", text.getvalue()
        yield f"{place}/manifest.json", _json(_manifest(first, last, run, place, len(charges)))


def _manifest(first: dt.date, last: dt.date, run: str, place: str, rows: int) -> dict[str, Any]:
    return {
        "manifestVersion": "2024-04-01",
        "blobCount": 1,
        "dataRowCount": rows,
        "exportConfig": {"exportName": "focus", "type": "FocusCost", "dataVersion": "1.2", "granularity": "Daily"},
        "deliveryConfig": {"partitionData": True, "dataOverwriteBehavior": "CreateNewReport", "fileFormat": "Csv"},
        "runInfo": {
            "executionType": "Scheduled",
            "submittedTime": f"{next_month(first) + dt.timedelta(days=5)}T04:00:00Z",
            "runId": run,
            "startDate": f"{first}T00:00:00",
            "endDate": f"{last}T00:00:00",
        },
        "blobs": [{"blobName": f"{place}/part_0_0001.csv", "dataRowCount": rows}],
    }


def _charges(rows: list[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """FOCUS rows by day, account and meter; tokens of a provisioned deployment are paid by its hours."""
    prices, first = unit_prices(), days()[0].item()
    sums: dict[tuple[str, str, str, int], int] = defaultdict(int)
    about = {}
    for row in rows:
        account, _ = _parts(row["resource_id"])
        day, price = row["charge_period_start"].date(), prices[f"azure-openai/{row['model']}"]
        about[account] = row
        words = row["model"].replace("-", " ", 1).replace("-", " ")
        if row["provisioned_hours"]:
            cost = int(price["provisioned_hours"][(day - first).days])
            sums[(str(day), account, PTU_METER, cost)] += int(row["provisioned_hours"])
        elif row["service_tier"] != "provisioned":
            for meter, kind in KINDS.items():
                quantity = int(row[meter]) + (int(row["reasoning"]) if meter == "output" else 0)
                if quantity:
                    cost = int(price[meter][(day - first).days])
                    sums[(str(day), account, f"{words} {kind} glbl Tokens", cost)] += quantity
    for (date, account, meter, rate), quantity in sorted(sums.items()):
        yield _charge(dt.date.fromisoformat(date), account, about[account], meter, rate, quantity)


def _charge(day: dt.date, account: str, row: dict[str, Any], meter: str, price: int, quantity: int) -> dict[str, str]:
    tokens = meter != PTU_METER
    block = MILLION if tokens else 1
    cost = f"{Decimal(price * quantity).scaleb(-12):f}"
    month = day.replace(day=1)
    return {
        "BilledCost": cost,
        "BillingAccountId": f"/providers/Microsoft.Billing/billingAccounts/{row['billing_account_id']}",
        "BillingAccountName": "Sample company",
        "BillingCurrency": "USD",
        "BillingPeriodStart": f"{month}T00:00:00Z",
        "BillingPeriodEnd": f"{next_month(month)}T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": meter,
        "ChargePeriodStart": f"{day}T00:00:00Z",
        "ChargePeriodEnd": f"{day + dt.timedelta(days=1)}T00:00:00Z",
        "ConsumedQuantity": str(quantity),
        "ConsumedUnit": "Units" if tokens else "Hours",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceId": f"AZ{month:%Y%m}",
        "ListCost": cost,
        "ListUnitPrice": f"{Decimal(price * block).scaleb(-12):f}",
        "PricingQuantity": f"{Decimal(quantity) / block:f}",
        "PricingUnit": "Units" if tokens else "Hours",
        "RegionId": row["region"],
        "ResourceId": account.lower(),
        "ServiceName": "Azure AI Services",
        "SkuId": re.sub(r"\W+", "-", meter.lower()),
        "SubAccountId": f"/subscriptions/{row['sub_account_id']}",
        "SubAccountName": row["sub_account_name"],
        "Tags": json.dumps(dict(row["tags"])),
        "x_PricingBlockSize": str(block),
        "x_PricingUnitDescription": "1M" if tokens else "1 Hour",
        "x_SkuMeterCategory": "Azure OpenAI",
        "x_SkuMeterName": meter,
    }
