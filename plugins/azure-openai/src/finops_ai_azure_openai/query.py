"""Cost Management's query interface as a bill frame: money and quantity per day, resource and meter.

Three questions a month: what was billed (ActualCost), what it costs spread over what it serves (AmortizedCost, so
that months of a reservation don't look free), and each meter's unit of measure, without which a quantity means nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError
from finops_ai.periods import Window, instant, next_month
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai_azure_openai.arm import pages
from finops_ai_azure_openai.charges import bill_frame, bill_row, moment, money, quantity
from finops_ai_azure_openai.line_items import block_size

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai_azure_openai.usage import Identity

API_VERSION = "2025-03-01"
RESOURCE_TYPE = "microsoft.cognitiveservices/accounts"
DAY = dt.timedelta(days=1)
COST_NAMES = ("Cost", "PreTaxCost", "totalCost")


def definition(
    kind: str, window: Window, grouping: tuple[str, str], settings: Any, granularity: str = "Daily"
) -> dict[str, Any]:
    """The body of one question. Azure's period includes its last second, so a half-open end is one second earlier."""
    conditions = [{"dimensions": {"name": "ResourceType", "operator": "In", "values": [RESOURCE_TYPE]}}]
    for name, values in (("MeterCategory", settings.meter_categories), ("ReservationId", settings.reservation_ids)):
        if values:
            conditions.append({"dimensions": {"name": name, "operator": "In", "values": list(values)}})
    return {
        "type": kind,
        "timeframe": "Custom",
        "timePeriod": {
            "from": window.start.isoformat(),
            "to": (window.end - dt.timedelta(seconds=1)).isoformat(),
        },
        "dataset": {
            "granularity": granularity,
            "aggregation": {
                "totalCost": {"name": "Cost", "function": "Sum"},
                "quantity": {"name": "UsageQuantity", "function": "Sum"},
            },
            "grouping": [{"type": "Dimension", "name": name} for name in grouping],
            "filter": conditions[0] if len(conditions) == 1 else {"or": conditions},
        },
    }


def fetch(client: HttpClient, scope: str, window: Window, settings: Any, notes: list[str]) -> Iterator[tuple[str, Any]]:
    """(kind, page) of every answer for the days the window touches; kind is ActualCost, AmortizedCost or Units."""
    for month in months(window):
        path = f"{scope.strip('/')}/providers/Microsoft.CostManagement/query"
        for kind in ("ActualCost", "AmortizedCost"):
            body = definition(kind, month, ("ResourceId", "Meter"), settings)
            for page in pages(client, "POST", path, params={"api-version": API_VERSION}, json=body):
                yield kind, page
        body = definition("ActualCost", month, ("Meter", "UnitOfMeasure"), settings, granularity="None")
        try:
            for page in pages(client, "POST", path, params={"api-version": API_VERSION}, json=body):
                yield "Units", page
        except HttpRefused as error:
            notes.append(f"Cost Management doesn't tell units of measure here ({error.said}); quantities are left out.")


def months(window: Window) -> Iterator[Window]:
    """The whole UTC days a window touches, cut at month ends: a question may span 31 days at most."""
    first = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    end = (
        window.end
        if window.end.time() == dt.time(0)
        else (window.end + DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    )
    while first < end:
        stop = min(instant(next_month(first.date().replace(day=1))), end)
        yield Window(first, stop)
        first = stop


def rows_of(page: Any, place: str) -> Iterator[dict[str, Any]]:
    """Rows of one answer, by column name, never by position.

    Raises:
        DataError: a needed column is missing, or a row has another length than the header.
    """
    try:
        names = [column["name"] for column in page["properties"]["columns"]]
        rows = page["properties"]["rows"]
    except (KeyError, TypeError):
        raise DataError(
            f"{place}: not an answer of Cost Management's query (no properties.columns and rows)."
        ) from None
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise DataError(f"{place}, row {number}: {len(row)} values under {len(names)} columns.")
        yield dict(zip(names, row, strict=True))


def frame(answers: Iterable[tuple[str, Any]], window: Window, identity: Identity, notes: list[str]) -> pd.DataFrame:
    """Bill frame of the days that start in the window: billed from ActualCost, effective from AmortizedCost.

    A charge only the amortised answer knows (covered by a reservation) has a billed cost of 0; where there is no
    amortised answer at all the effective cost stays unknown.
    """
    found: dict[tuple[Any, ...], dict[str, Decimal]] = defaultdict(dict)
    units: dict[str, set[str]] = defaultdict(set)
    kinds = set()
    for number, (kind, page) in enumerate(answers, 1):
        place = f"Cost Management {kind}, page {number}"
        kinds.add(kind)
        for row in rows_of(page, place):
            if kind == "Units":
                units[str(row.get("Meter"))].add(str(row.get("UnitOfMeasure") or ""))
                continue
            _gather(found, kind, row, place)
    rows = []
    unsure: set[str] = set()
    for (day, resource, meter, currency), sums in sorted(found.items()):
        start = moment(str(day))
        if start not in window:
            continue
        stated = units.get(meter, set())
        unit = next(iter(stated)) if len(stated) == 1 else ""
        if block_size(unit or meter) is None:
            unsure.add(meter)
        used = sums.get("ActualCost quantity", sums.get("AmortizedCost quantity"))
        rows.append(
            bill_row(
                identity,
                meter_name=meter,
                unit=unit,
                resource=resource,
                charge_period_start=start,
                charge_period_end=start + DAY,
                pricing_quantity=used,
                billed_cost=sums.get("ActualCost", Decimal(0)),
                effective_cost=sums.get("AmortizedCost", Decimal(0)) if "AmortizedCost" in kinds else None,
                billing_currency=currency,
                source="api",
            )
        )
    if unsure:
        notes.append(
            f"No unit of measure for {len(unsure)} meters ({', '.join(sorted(unsure)[:3])}): their quantities are left out."
        )
    return bill_frame(rows, "Cost Management query")


def _gather(found: Mapping[tuple[Any, ...], dict[str, Decimal]], kind: str, row: Mapping[str, Any], place: str) -> None:
    cost_name = next((name for name in COST_NAMES if name in row), None)
    for name in ("UsageDate", "ResourceId", "Meter", "Currency"):
        if name not in row:
            raise DataError(
                f"{place}: the column {name!r} is missing; it has {list(row)}. Group by ResourceId and Meter, daily."
            )
    if cost_name is None:
        raise DataError(f"{place}: there is no cost column; it has {list(row)}.")
    day = int(row["UsageDate"])
    sums = found[(day, str(row["ResourceId"]).lower(), str(row["Meter"]), str(row["Currency"]))]
    sums[kind] = sums.get(kind, Decimal(0)) + (money(row[cost_name], place) or Decimal(0))
    amount = quantity(row.get("UsageQuantity", row.get("quantity")), place)
    if amount is not None:
        sums[f"{kind} quantity"] = sums.get(f"{kind} quantity", Decimal(0)) + amount


def kind_of(page: Any, name: str) -> str:
    """Which question a saved answer belongs to: its columns tell units, its file name tells amortised from actual."""
    columns = {column.get("name") for column in (page.get("properties") or {}).get("columns", [])}
    if "UnitOfMeasure" in columns:
        return "Units"
    return "AmortizedCost" if "amorti" in name.lower() else "ActualCost"
