"""What every reader of Azure charges shares: exact amounts, days, categories and the bill frame itself."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError
from finops_ai.frames import BillFrame, conform
from finops_ai.meters import meters
from finops_ai.periods import instant, next_month
from finops_ai_azure_openai.arm import resource_id, subscription_of
from finops_ai_azure_openai.line_items import consumed, line_item
from finops_ai_azure_openai.usage import Identity

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES = {"Usage": "Usage", "Purchase": "Purchase", "Tax": "Tax", "Credit": "Credit", "Refund": "Adjustment",
              "RoundingAdjustment": "Adjustment", "Adjustment": "Adjustment", "UnusedReservation": "Usage",
              "UnusedSavingsPlan": "Usage"}  # fmt: skip


@cache
def moment(text: str) -> dt.datetime:
    """An instant or day as Azure writes it: ISO, `20261101`, or `11/01/2026` (month first).

    >>> moment("20261101") == moment("11/01/2026") == moment("2026-11-01T00:00:00Z")
    True
    """
    if text.isdigit() and len(text) == 8:
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    elif text.split(" ")[0].count("/") == 2:
        month, day, year = text.split(" ")[0].split("/")
        text = f"{year}-{month:0>2}-{day:0>2}"
    return instant(text)


def month_of(start: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The calendar month a charge is invoiced in, as instants."""
    first = start.date().replace(day=1)
    return instant(first), instant(next_month(first))


def tags_of(text: object, place: str) -> dict[str, str]:
    """Tags as Azure writes them: a JSON object, or the same without its braces.

    Raises:
        DataError: neither.
    """
    if not text:
        return {}
    if isinstance(text, dict | list):
        return {str(k): str(v) for k, v in dict(text).items() if v is not None}
    body = str(text).strip()
    try:
        found = json.loads(body if body.startswith("{") else "{" + body + "}")
    except (ValueError, RecursionError):
        raise DataError(f"{place}: the tags are not a JSON object: {body[:80]!r}.") from None
    return {str(k): "" if v is None else str(v) for k, v in found.items()}


def bill_row(
    identity: Identity,
    *,
    meter_name: str,
    unit: str,
    product: str = "",
    resource: str | None,
    subscription: str | None = None,
    tags: dict[str, str] | None = None,
    pricing_quantity: Decimal | None = None,
    consumed_quantity: Decimal | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """One row of the bill frame: the meter name is read, the resource id split, everything else taken as given.

    Args:
        identity: whose accounts.
        meter_name: Azure's meter name; kept as `charge_description` where that isn't given.
        unit: unit of measure, such as "1K" or "1 Hour".
        product: meter subcategory, see `line_item`.
        resource: id of the charged resource.
        subscription: id of the subscription, where the resource id has none.
        tags: the charge's tags.
        pricing_quantity: quantity in that unit.
        consumed_quantity: single units, where the source states them itself.
        columns: further columns of the bill frame; `billing_period_*` default to the charge's calendar month.
    """
    item = line_item(meter_name, unit, product)
    account = resource_id(resource)
    used, used_unit = consumed(item, pricing_quantity, unit or meter_name)
    if consumed_quantity is not None and item.meter != "unmapped":
        used, used_unit = consumed_quantity, meters()[item.meter].unit
    start, end = month_of(columns["charge_period_start"])
    where = subscription_of(subscription) or (account.subscription if account else subscription_of(resource))
    return {
        "provider": "azure-openai",
        **identity.of(where or "unknown"),
        "billing_period_start": start,
        "billing_period_end": end,
        "charge_category": "Usage",
        "charge_description": meter_name or "no meter name",
        "resource_id": account.path if account else resource or None,
        "model": item.model,
        "meter": item.meter,
        "service_tier": item.service_tier,
        "pricing_quantity": pricing_quantity,
        "pricing_unit": unit or None,
        "consumed_quantity": used,
        "consumed_unit": used_unit,
        "tags": list(({**(tags or {}), **(account.tags if account else {})}).items()),
        **columns,
    }


def bill_frame(rows: list[dict[str, Any]], source: str) -> pd.DataFrame:
    """The bill frame of such rows; columns a row doesn't have are null."""
    names = dict.fromkeys(name for row in rows for name in row)
    return conform({name: [row.get(name) for row in rows] for name in names}, BillFrame, source=source)
