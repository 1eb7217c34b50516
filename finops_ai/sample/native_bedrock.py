"""The sample company's AWS bill, as a Cost and Usage Report 2.0 (Data Export): Parquet by billing period, with manifests.

`data/BILLING_PERIOD=<month>/company-00001.snappy.parquet` beside `metadata/BILLING_PERIOD=<month>/company-Manifest.json`,
daily rows. As on a real bill, Amazon's own models are first-party lines in thousands of tokens, and Anthropic's are AWS
Marketplace lines in millions, whose usage type names no model: their product does. The report knows no prompt.
"""

from __future__ import annotations

import datetime as dt
import json
import zlib
from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.periods import next_month
from finops_ai.sample.company import days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

#: model -> the AWS Marketplace product that bills it
PRODUCTS = {
    "anthropic.claude-sonnet-4-5-20250929-v1:0": "Claude Sonnet 4.5 (Amazon Bedrock Edition)",
    "anthropic.claude-sonnet-4-6": "Claude Sonnet 4.6 (Amazon Bedrock Edition)",
    "anthropic.claude-haiku-4-5-20251001-v1:0": "Claude Haiku 4.5 (Amazon Bedrock Edition)",
}
#: model -> name in first-party usage types
NAMES = {"amazon.nova-pro-v1:0": "NovaPro", "amazon.nova-lite-v1:0": "NovaLite"}
#: meter -> its words in a first-party usage type, and in a Marketplace one
KINDS = {
    "input": ("input-tokens", "InputTokenCount"),
    "output": ("output-tokens", "OutputTokenCount"),
    "cache_read": ("cache-read-input-token-count", "CacheReadInputTokenCount"),
    "cache_write_5m": ("cache-write-input-token-count", "CacheWrite5mInputTokenCount"),
    "cache_write_1h": ("cache-write-input-token-count-1h", "CacheWrite1hInputTokenCount"),
}
_TIME, _MAP = pa.timestamp("ns"), pa.map_(pa.string(), pa.string())
COLUMNS = {
    "bill_bill_type": pa.string(),
    "bill_billing_entity": pa.string(),
    "bill_billing_period_start_date": _TIME,
    "bill_billing_period_end_date": _TIME,
    "bill_invoice_id": pa.string(),
    "bill_payer_account_id": pa.string(),
    "bill_payer_account_name": pa.string(),
    "identity_line_item_id": pa.string(),
    "identity_time_interval": pa.string(),
    "line_item_currency_code": pa.string(),
    "line_item_iam_principal": pa.string(),
    "line_item_line_item_description": pa.string(),
    "line_item_line_item_type": pa.string(),
    "line_item_operation": pa.string(),
    "line_item_product_code": pa.string(),
    "line_item_resource_id": pa.string(),
    "line_item_unblended_cost": pa.float64(),
    "line_item_unblended_rate": pa.string(),
    "line_item_usage_account_id": pa.string(),
    "line_item_usage_account_name": pa.string(),
    "line_item_usage_amount": pa.float64(),
    "line_item_usage_start_date": _TIME,
    "line_item_usage_end_date": _TIME,
    "line_item_usage_type": pa.string(),
    "pricing_public_on_demand_cost": pa.float64(),
    "pricing_public_on_demand_rate": pa.string(),
    "pricing_unit": pa.string(),
    "product": _MAP,
    "product_region_code": pa.string(),
    "product_servicecode": pa.string(),
    "resource_tags": _MAP,
}


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the report; returns the paths of its data files and manifests."""
    months: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _lines(slices[slices["provider"] == "bedrock"]):
        months[f"{row['line_item_usage_start_date']:%Y-%m}"].append(row)
    paths = []
    for month, rows in sorted(months.items()):
        data = folder / "data" / f"BILLING_PERIOD={month}" / "company-00001.snappy.parquet"
        manifest = folder / "metadata" / f"BILLING_PERIOD={month}" / "company-Manifest.json"
        for path in (data, manifest):
            path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})
        pq.write_table(table, data, compression="snappy")
        document = {"billingPeriod": month, "dataFiles": [f"s3://company-bills/exports/{data.relative_to(folder)}"]}
        manifest.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        paths += [data, manifest]
    return paths


def _lines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    keys = [
        "charge_period_start", "billing_account_id", "sub_account_id", "sub_account_name", "region", "resource_id", "model",
        "service_tier",
    ]  # fmt: skip
    tags = {row.sub_account_id: row.tags for row in frame[["sub_account_id", "tags"]].itertuples()}
    sums = frame.groupby(keys, dropna=False, sort=True)[list(KINDS)].sum().reset_index().astype({"resource_id": object})
    prices = unit_prices()
    out = []
    for number, row in enumerate(sums.to_dict("records")):
        for meter in KINDS:
            if row[meter]:
                price = int(prices[f"bedrock/{row['model']}"][meter][_day_number(row["charge_period_start"])])
                out.append(_line(row, meter, price, tags[row["sub_account_id"]], f"line{number:06}{meter}"))
    return out


def _day_number(day: dt.datetime) -> int:
    return int((day.date() - days()[0].item()).days)


def _line(row: Mapping[Any, Any], meter: str, pico: int, tags: object, identity: str) -> dict[str, Any]:
    model = row["model"].removeprefix("global.")
    routed, batch = row["model"].startswith("global."), row["service_tier"] == "batch"
    market = model in PRODUCTS
    if market:
        parts = [KINDS[meter][1], *(["Global"] if routed else []), *(["Batch"] if batch else [])]
        usage_type, unit, scale = f"USE1-MP:USE1_{'_'.join(parts)}-Units", "Units", 10**6
        described = f"AWS Marketplace software usage|{row['region']}|Million {meter.replace('_', ' ')} tokens"
    else:
        parts = [
            NAMES[model],
            KINDS[meter][0],
            *(["cross-region-global"] if routed else []),
            *(["batch"] if batch else []),
        ]
        usage_type, unit, scale = f"USE1-{'-'.join(parts)}", "1K tokens", 1000
        described = f"${Decimal(pico) * 1000 / 10**12} per 1K {meter.replace('_', ' ')} tokens for {NAMES[model]}"
    cost = Decimal(row[meter]) * pico / 10**12 / (2 if batch else 1)
    start = row["charge_period_start"].to_pydatetime().replace(tzinfo=None)
    first = start.date().replace(day=1)
    end = start + dt.timedelta(days=1)
    rate = str(Decimal(pico) * scale / 10**12 / (2 if batch else 1))
    return {
        "bill_bill_type": "Anniversary",
        "bill_billing_entity": "AWS Marketplace" if market else "AWS",
        "bill_billing_period_start_date": dt.datetime(first.year, first.month, 1),  # noqa: DTZ001 - the report's are UTC
        "bill_billing_period_end_date": dt.datetime.combine(next_month(first), dt.time()),
        "bill_invoice_id": f"AWS{first:%Y%m}" + ("M" if market else ""),
        "bill_payer_account_id": row["billing_account_id"],
        "bill_payer_account_name": "sample-company",
        "identity_line_item_id": identity,
        "identity_time_interval": f"{start:%Y-%m-%dT%H:%M:%SZ}/{end:%Y-%m-%dT%H:%M:%SZ}",
        "line_item_currency_code": "USD",
        "line_item_iam_principal": None,
        "line_item_line_item_description": described,
        "line_item_line_item_type": "Usage",
        "line_item_operation": "Usage" if market else "InvokeModelInference",
        "line_item_product_code": f"prod{zlib.crc32(model.encode()):012x}" if market else "AmazonBedrock",
        "line_item_resource_id": row["resource_id"] if isinstance(row["resource_id"], str) else None,
        "line_item_unblended_cost": float(cost),
        "line_item_unblended_rate": rate,
        "line_item_usage_account_id": row["sub_account_id"],
        "line_item_usage_account_name": row["sub_account_name"],
        "line_item_usage_amount": float(Decimal(row[meter]) / scale),
        "line_item_usage_start_date": start,
        "line_item_usage_end_date": end,
        "line_item_usage_type": usage_type,
        "pricing_public_on_demand_cost": float(cost),
        "pricing_public_on_demand_rate": rate,
        "pricing_unit": unit,
        "product": [("product_name", PRODUCTS.get(model, "Amazon Bedrock")), ("region", row["region"])],
        "product_region_code": row["region"],
        "product_servicecode": "AWSMarketplace" if market else "AmazonBedrock",
        "resource_tags": [(f"user_{key}", value) for key, value in _pairs(tags)],
    }


def _pairs(tags: object) -> list[tuple[str, str]]:
    return sorted(dict(tags).items()) if isinstance(tags, list | tuple) else []
