"""One charge of OCI, whatever told of it, and the frames made of charges."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError
from finops_ai.frames import BillFrame, conform
from finops_ai.meters import meters
from finops_ai.periods import Window, instant, next_month
from finops_ai.providers import amounts
from finops_ai_oci.skus import Sku, read_sku

if TYPE_CHECKING:
    import pandas as pd

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
ZERO = Decimal(0)
#: prefixes of principals in OCI's own tags
PRINCIPAL_PREFIXES = ("oracleidentitycloudservice/", "default/")


@dataclass
class Charge:
    """One line: a resource, a SKU, an hour or a day.

    Attributes:
        place: file and line, or page, for messages.
        quantity: in `unit`, as billed; None = not stated. Negative in a correction.
        cost: what is charged in `currency`; None = not stated.
        correction: whether it corrects an earlier line.
    """

    place: str
    start: dt.datetime
    end: dt.datetime
    tenancy: str
    sku_name: str
    unit: str
    quantity: Decimal | None
    cost: Decimal | None
    currency: str
    sku_id: str | None = None
    resource_id: str | None = None
    resource_name: str | None = None
    compartment_id: str | None = None
    compartment_name: str | None = None
    region: str | None = None
    service: str | None = None
    unit_price: Decimal | None = None
    list_unit_price: Decimal | None = None
    list_cost: Decimal | None = None
    effective_cost: Decimal | None = None
    category: str = "Usage"
    correction: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    source: str = "billing_export"
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def sku(self) -> Sku:
        """What its SKU says."""
        return read_sku(self.sku_name, self.unit, self.resource_name or "")


def clean_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags without the identity provider's prefix on principals.

    >>> clean_tags({"Oracle-Tags.CreatedBy": "default/ana@acme.example"})
    {'Oracle-Tags.CreatedBy': 'ana@acme.example'}
    """
    out = {}
    for key, value in tags.items():
        prefix = next((p for p in PRINCIPAL_PREFIXES if value.lower().startswith(p)), "")
        out[key] = value[len(prefix) :]
    return out


def usage_frame(charges: Iterable[Charge], window: Window, grain: dt.timedelta, notes: list[str]) -> pd.DataFrame:
    """Token frame: charges added up by slice of `grain`, corrections netted with what they correct.

    On-demand chat is billed by the character: such rows have the meter 'characters', never tokens. Each row carries
    what it cost. A correction whose original isn't there would make a negative quantity: it is left out with a note
    (the bill frame keeps it).
    """
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for charge in charges:
        start = _floor(charge.start, grain)
        if start not in window or charge.category != "Usage":
            continue
        sku = charge.sku
        end = max(start + grain, charge.end) if charge.end - charge.start > grain else start + grain
        tags = tuple(clean_tags(charge.tags).items())
        key = (
            start, end, charge.tenancy, charge.compartment_id, charge.compartment_name, charge.region,
            charge.resource_id, sku.model if sku.meter != "unmapped" else charge.sku_name, sku.operation, sku.meter,
            sku.service_tier, charge.currency, charge.source, tags,
        )  # fmt: skip
        slot = sums.setdefault(key, [ZERO, None])
        slot[0] += (charge.quantity or ZERO) * sku.block
        if charge.cost is not None:
            slot[1] = (slot[1] or ZERO) + charge.cost
    names = ("charge_period_start", "charge_period_end", "billing_account_id", "sub_account_id", "sub_account_name",
             "region", "resource_id", "model", "operation", "meter", "service_tier", "billing_currency", "source",
             "tags")  # fmt: skip
    rows, negative = [], 0
    for key, (quantity, cost) in sorted(sums.items(), key=lambda item: str(item[0])):
        if quantity < 0:
            negative += 1
            continue
        row = dict(zip(names, key, strict=True))
        unit = meters()[row["meter"]].unit
        rows.append(
            row
            | {
                "provider": "oci",
                "quantity": amounts.quantity(quantity, f"OCI usage of {row['model']} at {row['charge_period_start']}"),
                "unit": unit,
                "quantity_basis": "metered",
            }
            | {"billed_cost": cost, "tags": list(row["tags"]), "billing_currency": row["billing_currency"] or None}
        )
    if negative:
        notes.append(f"{negative} corrections without the usage they correct are left out of usage; bills hold them.")
    return conform({name: [row[name] for row in rows] for name in rows[0]} if rows else {}, source="OCI usage")


def bill_frame(charges: Iterable[Charge], window: Window, notes: list[str]) -> pd.DataFrame:
    """Bill frame of the charges that start in the window, one row each; corrections are rows of their own, signed."""
    rows, unstated = [], 0
    for charge in charges:
        if charge.start not in window:
            continue
        if charge.cost is None:
            unstated += charge.quantity is not None
            continue
        sku = charge.sku
        first = charge.start.date().replace(day=1)
        billed = amounts.quantity(charge.quantity, charge.place)
        known = sku.meter != "unmapped" and charge.quantity is not None
        rows.append(
            {
                "provider": "oci",
                "billing_account_id": charge.tenancy,
                "sub_account_id": charge.compartment_id,
                "sub_account_name": charge.compartment_name,
                "billing_period_start": instant(first),
                "billing_period_end": instant(next_month(first)),
                "charge_period_start": charge.start,
                "charge_period_end": charge.end,
                "charge_category": charge.category,
                "charge_class": "Correction" if charge.correction else None,
                "charge_description": charge.sku_name or charge.sku_id or "no SKU name",
                "service_name": charge.service or None,
                "region": charge.region,
                "resource_id": charge.resource_id,
                "sku_id": charge.sku_id,
                "model": sku.model if sku.meter != "unmapped" else None,
                "meter": sku.meter,
                "service_tier": sku.service_tier,
                "pricing_quantity": billed,
                "pricing_unit": charge.unit or None,
                "consumed_quantity": amounts.quantity(charge.quantity * sku.block, charge.place) if known else None,  # type: ignore[operator]
                "consumed_unit": sku.unit if known else None,
                "list_unit_price": charge.list_unit_price,
                "contracted_unit_price": charge.unit_price,
                "list_cost": charge.list_cost,
                "effective_cost": charge.cost if charge.effective_cost is None else charge.effective_cost,
                "billed_cost": charge.cost,
                "billing_currency": charge.currency,
                "tags": list(clean_tags(charge.tags).items()),
                "source": charge.source,
                **charge.more,
            }
        )
    if unstated:
        notes.append(f"{unstated} lines state a quantity but no cost; they are in usage only.")
    names = dict.fromkeys(name for row in rows for name in row)
    return conform({name: [row.get(name) for row in rows] for name in names}, BillFrame, source="OCI bills")


def settle_currency(charges: list[Charge]) -> list[Charge]:
    """Fill the blank currency OCI leaves on lines that cost nothing with the one the others have.

    Raises:
        DataError: a line costs something and names no currency.
    """
    named = {c.currency for c in charges if c.currency}
    for charge in charges:
        if not charge.currency:
            if charge.cost:
                raise DataError(f"{charge.place}: {charge.cost} of an unnamed currency. Fetch it again.")
            charge.currency = next(iter(named)) if len(named) == 1 else "USD"
    return charges


def _floor(moment: dt.datetime, grain: dt.timedelta) -> dt.datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // grain * grain
