"""The sample company's OCI bill, as monthly cost reports (csv.gz) with a line a day, compartment and SKU.

On-demand chat is sold by the character in blocks of ten thousand, prompt and answer together; the report names the
model as the line's resource and knows no caller.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.sample.company import days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

BLOCK = 10_000
#: vendor in a model's name -> part number and product
SKUS = {
    "cohere": ("B108077", "OCI Generative AI - Large Cohere"),
    "meta": ("B108080", "OCI Generative AI - Large Meta"),
}


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the reports; returns their paths."""
    months: dict[str, list[dict[str, str]]] = defaultdict(list)
    rows: list[dict[str, Any]] = slices[slices["provider"] == "oci"].to_dict("records")  # type: ignore[assignment]
    columns = sorted({f"tags/{key}" for row in rows for key, _ in row["tags"]})
    for number, line in enumerate(_lines(rows), 1):
        line["lineItem/referenceNo"] = f"V2.sample{number:06}"
        months[line["lineItem/intervalUsageStart"][:7]].append({**dict.fromkeys(columns, ""), **line})
    paths = []
    for month, lines in sorted(months.items()):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        path = folder / "reports" / "cost-csv" / f"{month.replace('-', '')}01-00001.csv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))
        paths.append(path)
    return paths


def _lines(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    prices, first = unit_prices(), days()[0].item()
    sums: dict[tuple[Any, ...], int] = defaultdict(int)
    about = {}
    for row in rows:
        key = (row["charge_period_start"].date(), row["sub_account_id"], row["region"], row["model"])
        sums[key] += int(row["characters"])
        about[key] = row
    return [
        _line(key[0], about[key], characters, int(prices[f"oci/{key[3]}"]["characters"][(key[0] - first).days]))
        for key, characters in sorted(sums.items())
        if characters
    ]


def _line(day: dt.date, row: dict[str, Any], characters: int, price: int) -> dict[str, str]:
    part, product = SKUS[row["model"].split(".")[0]]
    return {
        "lineItem/referenceNo": "",
        "lineItem/tenantId": row["billing_account_id"],
        "lineItem/intervalUsageStart": f"{day}T00:00Z",
        "lineItem/intervalUsageEnd": f"{day + dt.timedelta(days=1)}T00:00Z",
        "product/service": "GENERATIVE_AI",
        "product/compartmentId": row["sub_account_id"],
        "product/compartmentName": row["sub_account_name"],
        "product/region": row["region"],
        "product/resourceId": "",
        "product/resource": row["model"],
        "product/Description": product,
        "usage/billedQuantity": f"{Decimal(characters) / BLOCK:f}",
        "usage/billedQuantityOverage": "",
        "cost/subscriptionId": "1000001",
        "cost/productSku": part,
        "cost/unitPrice": f"{Decimal(price * BLOCK).scaleb(-12):f}",
        "cost/myCost": f"{Decimal(price * characters).scaleb(-12):f}",
        "cost/currencyCode": "USD",
        "cost/billingUnitReadable": "TEN THOUSAND TRANSACTIONS",
        "cost/skuUnitDescription": "10,000 Transactions",
        "cost/overageFlag": "N",
        "lineItem/isCorrection": "false",
        **{f"tags/{key}": value for key, value in row["tags"]},
    }
