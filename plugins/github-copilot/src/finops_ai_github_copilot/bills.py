"""Charges as bill frames: seats with the month they are for, credits beyond the pool, Actions minutes of Copilot's own work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.frames import BillFrame, conform
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.periods import Window, next_month
from finops_ai.providers import LeftOut, left_out_of
from finops_ai_github_copilot.report import AGENTS, Charge, is_seat, is_use

if TYPE_CHECKING:
    import pandas as pd

DAY = dt.timedelta(days=1)


def bill_frame(
    charges: Iterable[Charge], window: Window, *, account: str, source: str, actions: str, left_out: list[LeftOut]
) -> pd.DataFrame:
    """Bill frame of the charges that begin in the window; net amounts are billed, gross ones are `list_cost`.

    A seat's charge period is its calendar month (UTC), or its day where GitHub bills the month's seats day by day.

    Args:
        charges: of whole months.
        window: half open.
        account: enterprise or organization.
        source: "api" or "file".
        actions: "agents" keeps Actions lines of Copilot's own workflows, "all" every one, "none" none.
        left_out: gets charges of other products.
    """
    listed = list(charges)
    dated: dict[Any, set[dt.datetime]] = {}
    for charge in listed:
        if is_seat(charge.sku):
            dated.setdefault(_seat_of(charge), set()).add(charge.day)
    rows: list[dict[str, Any]] = []
    other: list[tuple[str, str, int, Decimal | None]] = []
    for charge in listed:
        seat = is_seat(charge.sku)
        start, end = charge.day, charge.day + DAY
        month = dt.datetime(start.year, start.month, 1, tzinfo=dt.UTC)
        after = next_month(month.date())
        month_end = dt.datetime(after.year, after.month, 1, tzinfo=dt.UTC)
        if seat and len(dated[_seat_of(charge)]) == 1:
            start, end = month, month_end
        if start not in window:
            continue
        if reason := _unwanted(charge, actions):
            other.append((reason, "USD", 1, charge.net))
            continue
        tags = [("cost_center", charge.cost_center)] if charge.cost_center else []
        tags += [("repository", charge.repository)] if charge.repository else []
        row = {
            "provider": "github-copilot", "billing_account_id": account, "sub_account_id": charge.organization,
            "billing_period_start": month, "billing_period_end": month_end, "charge_period_start": start,
            "charge_period_end": end, "charge_category": "Purchase" if seat else "Usage", "charge_description": charge.sku,
            "service_name": charge.product or None, "sku_id": charge.sku,
            "meter": "credits" if is_use(charge.sku, charge.unit) else "unmapped", "pricing_quantity": charge.quantity,
            "pricing_unit": charge.unit or None, "list_unit_price": charge.price, "list_cost": charge.gross,
            "billed_cost": charge.net, "billing_currency": "USD", "user_id": charge.user, "tags": tags or None,
            "source": source,
        }  # fmt: skip
        rows.append(row)
    left_out += left_out_of(other)
    if not rows:
        return conform({}, BillFrame, source="github-copilot bills")
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    columns["tags"] = pa.array(columns["tags"], TAGS_TYPE)
    for name in ("sub_account_id", "user_id", "service_name", "pricing_unit"):
        columns[name] = pa.array(columns[name], pa.string())
    return conform(columns, BillFrame, source="github-copilot bills")


def _seat_of(charge: Charge) -> tuple[Any, ...]:
    return charge.sku, charge.organization, charge.cost_center, charge.user, (charge.day.year, charge.day.month)


def _unwanted(charge: Charge, actions: str) -> str:
    """Why a charge isn't kept; "" where it is."""
    if charge.product.lower() == "copilot" or is_seat(charge.sku) or is_use(charge.sku, charge.unit):
        return ""
    if charge.product.lower() == "actions":
        if actions == "all" or (actions == "agents" and (charge.workflow or "").lower().startswith(AGENTS)):
            return ""
        if charge.workflow is None and actions == "agents":
            return "Actions minutes whose workflow isn't told: those of Copilot's reviews are among them"
    return f"another product: {charge.product or charge.sku}"
