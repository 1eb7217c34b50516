"""Cost Management's query interface as a bill frame: money and quantity per day, resource and meter.

Four questions a month: what the whole scope was billed (so that what is left out is known), what was billed (ActualCost), what it costs spread over what it serves (AmortizedCost, so
that months of a reservation don't look free), and each meter's unit of measure, without which a quantity means nothing.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError
from finops_ai.periods import Window, instant, next_month
from finops_ai.providers import HttpClient, HttpRefused, LeftOut, left_out_of
from finops_ai.providers.amounts import money, quantity
from finops_ai_azure_openai.arm import pages
from finops_ai_azure_openai.charges import bill_frame, bill_row, moment
from finops_ai_azure_openai.line_items import block_size, charges_pattern

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai_azure_openai.usage import Identity

API_VERSION = "2025-03-01"
RESOURCE_TYPE = "microsoft.cognitiveservices/accounts"
DAY = dt.timedelta(days=1)
COST_NAMES = ("Cost", "PreTaxCost", "totalCost")
#: names Azure has given the meter category of its models
CATEGORIES = ("Azure OpenAI", "Azure OpenAI Service", "Foundry Models", "Azure AI Foundry Models")


def definition(
    kind: str,
    window: Window,
    grouping: tuple[str, str],
    settings: Any,
    granularity: str = "Daily",
    chosen: Sequence[str] | None = (),
) -> dict[str, Any]:
    """The body of one question. Azure's period includes its last second, so a half-open end is one second earlier.

    Args:
        kind: ActualCost or AmortizedCost.
        window: whole days.
        grouping: dimensions.
        settings: of the connector.
        granularity: Daily or None.
        chosen: meter categories that are charged besides Azure AI accounts; None asks for everything in the scope.
    """
    if chosen is None:
        everything = definition(kind, window, grouping, settings, granularity)
        del everything["dataset"]["filter"]
        return everything
    categories = list(dict.fromkeys([*settings.meter_categories, *chosen]))
    conditions = [{"dimensions": {"name": "ResourceType", "operator": "In", "values": [RESOURCE_TYPE]}}]
    for name, values in (("MeterCategory", categories), ("ReservationId", settings.reservation_ids)):
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
    """(kind, page) of every answer for the days the window touches; kind is Scope, ActualCost, AmortizedCost or Units.

    The first question of a month asks what the whole scope was billed, by meter category. It tells which categories
    are AI's: reserved capacity and models of a marketplace are billed beside the accounts, without a resource.
    """
    for month in months(window):
        path = f"{scope.strip('/')}/providers/Microsoft.CostManagement/query"

        def ask(kind: str, grouping: tuple[str, str], path: str = path, **more: Any) -> Iterator[Any]:
            body = definition(kind, month, grouping, settings, **more)  # noqa: B023  used before the next month
            return pages(client, "POST", path, params={"api-version": API_VERSION}, json=body)

        chosen: list[str] = list(CATEGORIES)
        try:
            whole = list(ask("ActualCost", ("MeterCategory", "Meter"), granularity="None", chosen=None))
            yield from (("Scope", page) for page in whole)
            chosen = sorted({row.category for page in whole for row in scope_rows(page) if row.is_ai} | set(CATEGORIES))
        except HttpRefused as error:
            notes.append(
                f"Cost Management doesn't tell meter categories here ({error.said}): what else was billed is unknown."
            )
        for kind in ("ActualCost", "AmortizedCost"):
            yield from ((kind, page) for page in ask(kind, ("ResourceId", "Meter"), chosen=chosen))
        try:
            units = ask("ActualCost", ("Meter", "UnitOfMeasure"), granularity="None", chosen=chosen)
            yield from (("Units", page) for page in units)
        except HttpRefused as error:
            notes.append(f"Cost Management doesn't tell units of measure here ({error.said}); quantities are left out.")


@dataclass(frozen=True)
class ScopeRow:
    """What a whole scope was billed for one meter."""

    category: str
    meter: str
    cost: Decimal
    currency: str

    @property
    def is_ai(self) -> bool:
        """Whether its names say that it belongs to Azure AI accounts or their commitments."""
        return bool(re.search(charges_pattern(), self.category, re.I))


def scope_rows(page: Any) -> Iterator[ScopeRow]:
    """Rows of an answer about the whole scope; none where it doesn't tell categories."""
    for row in rows_of(page, "Cost Management, whole scope"):
        cost = next((name for name in COST_NAMES if name in row), None)
        if "MeterCategory" not in row or cost is None:
            return
        amount = money(row[cost], "Cost Management, whole scope") or Decimal(0)
        yield ScopeRow(
            str(row["MeterCategory"] or ""), str(row.get("Meter") or ""), amount, str(row.get("Currency") or "")
        )


def left_out(answers: Iterable[tuple[str, Any]], kept: pd.DataFrame) -> list[LeftOut]:
    """What the scope was billed besides the bill frame: by meter category, and what remains, so that all of it adds up."""
    rows = [row for kind, page in answers if kind == "Scope" for row in scope_rows(page)]
    mine = set(kept["charge_description"])
    others = [row for row in rows if row.meter not in mine]
    found = [(f"another service: {row.category or 'not named'}", row.currency, 1, row.cost) for row in others]
    for currency in sorted({row.currency for row in rows}):
        total = sum((row.cost for row in rows if row.currency == currency), Decimal(0))
        own = sum(kept.loc[(kept["billing_currency"] == currency).to_numpy(bool), "billed_cost"], Decimal(0))
        rest = total - own - sum((row.cost for row in others if row.currency == currency), Decimal(0))
        if rest:
            found.append(("meters of the same name outside Azure AI accounts", currency, 1, rest))
    return left_out_of(found)


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
        if kind == "Scope":
            continue
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
    if "MeterCategory" in columns:
        return "Scope"
    return "AmortizedCost" if "amorti" in name.lower() else "ActualCost"
