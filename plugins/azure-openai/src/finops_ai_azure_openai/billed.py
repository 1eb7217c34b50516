"""Usage as the bill states it, for those who only have cost data: billed quantities by account, model and meter.

It tells cached input apart, which metrics don't, but knows no deployment and no calls.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.frames import conform
from finops_ai.meters import meters
from finops_ai_azure_openai.deployments import geography
from finops_ai_azure_openai.line_items import line_item
from finops_ai_azure_openai.usage import operation_of

if TYPE_CHECKING:
    from collections.abc import Mapping

#: what a meter name says about the place -> a deployment type of that kind
PLACES = {"global": "Global", "datazone": "DataZone", "regional": "Standard", None: ""}
KEY = ("charge_period_start", "charge_period_end", "provider", "billing_account_id", "sub_account_id",
       "sub_account_name", "region", "resource_id", "model", "operation", "meter", "service_tier", "inference_geo",
       "tags", "billing_currency", "source")  # fmt: skip


def usage_of(bills: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Token frame of a bill frame: quantities added up by slice and meter, each with its cost.

    The cost is what was billed; of capacity that a commitment covers, what the commitment's price comes to (effective).

    Corrections are netted with what they correct. A line whose quantity can't be read as tokens or hours is
    'unmapped', with its text as `model` and the billed quantity as it stands.

    Args:
        bills: bill frame of this connector.
        notes: slices that net to less than nothing are noted and left out; the bill holds them.
    """
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for row in bills[bills["charge_category"] == "Usage"].to_dict("records"):
        clean: dict[str, Any] = {str(n): None if n != "tags" and pd.isna(v) else v for n, v in row.items()}
        key, quantity = _slice_of(clean)
        slot = sums.setdefault(tuple(key[name] for name in KEY), [Decimal(0), Decimal(0)])
        slot[0] += quantity
        covered = clean["commitment_discount_status"] and clean["effective_cost"] is not None
        slot[1] += clean["effective_cost" if covered else "billed_cost"]
    rows: list[dict[str, Any]] = [
        dict(zip(KEY, key, strict=True)) | {"quantity": quantity, "billed_cost": cost}
        for key, (quantity, cost) in sums.items()
        if quantity >= 0
    ]
    if len(rows) < len(sums):
        notes.append(
            f"{len(sums) - len(rows)} slices are corrections without what they correct; only the bill holds them."
        )
    for made in rows:
        made |= {"unit": meters()[made["meter"]].unit, "quantity_basis": "metered", "tags": list(made["tags"])}
    return conform({name: [row[name] for row in rows] for name in rows[0]} if rows else {}, source="Azure bill")


def _slice_of(row: Mapping[str, Any]) -> tuple[dict[str, Any], Decimal]:
    """What names a slice, and how much of its meter was used."""
    known = row["meter"] != "unmapped" and row["consumed_quantity"] is not None
    meter = row["meter"] if known else "unmapped"
    place = line_item(row["charge_description"], row["pricing_unit"] or "").geography
    model = row["model"] or row["charge_description"]
    idle = row["commitment_discount_status"] == "Unused"
    operation = operation_of(model) if known else "unknown"
    if meter == "provisioned_hours":
        operation = "provisioned_idle" if idle else "provisioned"
    key = {name: row.get(name) for name in KEY} | {
        "model": model if known else row["charge_description"],
        "operation": operation,
        "meter": meter,
        "inference_geo": geography(PLACES[place], row["region"]),
        "tags": tuple(map(tuple, row["tags"] if row["tags"] is not None else ())),
    }
    return key, (row["consumed_quantity"] if known else row["pricing_quantity"]) or Decimal(0)
