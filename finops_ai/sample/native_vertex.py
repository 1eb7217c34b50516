"""The sample company's Google Cloud bill, as the detailed billing export saved from BigQuery (JSON lines, one file a month).

One row a day, project and SKU, cost before credits as BigQuery gives it; labels are those of the project's requests. The
export knows no prompt.
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

from finops_ai.sample.company import company, days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    "gemini-2.5-flash": "Gemini 2.5 Flash",
    "gemini-2.5-pro": "Gemini 2.5 Pro",
    "gemini-3.1-flash-lite": "Gemini 3.1 Flash Lite",
}
KINDS = {
    "input": "{} Text Input - {}Predictions",
    "cache_read": "{} Input Text Caching",
    "output": "{} Text Output - {}Predictions",
    "reasoning": "{} Thinking Text Output - {}Predictions",
}
SERVICE = {"id": "C7E2-9256-1C43", "description": "Vertex AI"}
MILLION = 10**6


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the export; returns the paths of its files."""
    frame = slices[slices["provider"] == "vertex"]
    months: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in [*_usage(frame), *_credits(frame)]:
        months[row["usage_start_time"][:7]].append(row)
    paths = []
    for month, rows in sorted(months.items()):
        path = folder / f"gcp_billing_export_resource_{month}.json"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        paths.append(path)
    return paths


def _usage(frame: pd.DataFrame) -> list[dict[str, Any]]:
    keys = [
        "charge_period_start",
        "billing_account_id",
        "sub_account_id",
        "sub_account_name",
        "region",
        "model",
        "service_tier",
    ]
    tags = {row.sub_account_id: row.tags for row in frame[["sub_account_id", "tags"]].itertuples()}
    sums = frame.groupby(keys, sort=True)[list(KINDS)].sum().reset_index()
    prices, out = unit_prices(), []
    for row in sums.to_dict("records"):
        table = prices[f"vertex/{row['model']}"]
        batch = row["service_tier"] == "batch"
        for kind, form in KINDS.items():
            if row[kind]:
                day = (row["charge_period_start"].date() - days()[0].item()).days
                pico = int(table[kind][day])
                sku = form.format(NAMES[row["model"]], "Batch " if batch else "")
                out.append(
                    _row(
                        row,
                        sku,
                        int(row[kind]),
                        Decimal(pico) / (2 if batch else 1) / 10**12,
                        tags[row["sub_account_id"]],
                    )
                )
    return out


def _credits(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The provider's goodwill, as adjustments."""
    out = []
    have = set(frame["charge_period_start"].dt.strftime("%Y-%m-%d"))
    for event in company()["events"]:
        if event["kind"] == "credit" and event.get("provider") == "vertex" and event["date"] in have:
            account = frame[frame["sub_account_id"] == event["sub_account_id"]].iloc[0]
            row = _row(
                {**account, "charge_period_start": dt.datetime.fromisoformat(event["date"])},
                "Goodwill adjustment",
                0,
                Decimal(0),
                None,
            )
            amount = float(Decimal(event["amount"]))
            info = {"id": event["id"], "description": event["text"], "mode": "MANUAL_ADJUSTMENT", "type": "GOODWILL"}
            out.append(
                row | {"cost": amount, "cost_at_list": amount, "cost_type": "adjustment", "adjustment_info": info}
            )
    return out


def _row(slice_: Mapping[Any, Any], sku: str, tokens: int, price: Decimal, tags: object) -> dict[str, Any]:
    start = slice_["charge_period_start"]
    labels: list[tuple[str, str]] = sorted(dict(tags).items()) if isinstance(tags, list | tuple) else []
    cost = float(tokens * price)
    per_million = str((price * MILLION).normalize())
    return {
        "billing_account_id": slice_["billing_account_id"],
        "service": SERVICE,
        "sku": {"id": sku_id(sku), "description": sku},
        "usage_start_time": f"{start:%Y-%m-%d} 00:00:00 UTC",
        "usage_end_time": f"{start + dt.timedelta(days=1):%Y-%m-%d} 00:00:00 UTC",
        "project": {
            "id": slice_["sub_account_id"],
            "number": "1",
            "name": slice_["sub_account_name"],
            "labels": [],
            "ancestors": [],
        },
        "labels": [{"key": key, "value": value} for key, value in labels],
        "system_labels": [],
        "location": {"location": slice_["region"], "country": None, "region": slice_["region"], "zone": None},
        "tags": [],
        "export_time": f"{start + dt.timedelta(days=1):%Y-%m-%d} 06:00:00 UTC",
        "cost": cost,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {
            "amount": float(tokens),
            "unit": "count",
            "amount_in_pricing_units": float(Decimal(tokens) / MILLION),
            "pricing_unit": "count",
        },
        "credits": [],
        "invoice": {"month": f"{start:%Y%m}", "publisher_type": "GOOGLE"},
        "cost_type": "regular",
        "cost_at_list": cost,
        "resource": {"name": None, "global_name": None},
        "price": {
            "effective_price": per_million,
            "list_price": per_million,
            "unit": "count",
            "pricing_unit_quantity": str(MILLION),
        },
    }


def sku_id(description: str) -> str:
    """A made-up SKU id in Google's form, the same on every machine."""
    text = f"{zlib.crc32(description.encode()):08X}{zlib.adler32(description.encode()):08X}"
    return f"{text[:4]}-{text[4:8]}-{text[8:12]}"
