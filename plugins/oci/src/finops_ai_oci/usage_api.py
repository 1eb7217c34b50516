"""OCI's Usage API: cost and quantity per day, SKU, compartment and resource, as charges."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from finops_ai.errors import DataError, ProviderError
from finops_ai.periods import Window, instant
from finops_ai.providers import HttpRefused
from finops_ai.providers.amounts import money, quantity, unit_price
from finops_ai_oci.charges import DAY, HOUR, Charge
from finops_ai_oci.client import Client, needed

#: longest span of one question, within the API's limits of 36 hours and 90 days
SPANS = {"HOURLY": 36 * HOUR, "DAILY": 31 * DAY}
GRAINS = {"HOURLY": HOUR, "DAILY": DAY}
#: groupings tried in turn: the API refuses more than it allows, and what it gives up last matters most
LADDER = (
    ("skuName", "skuPartNumber", "unit", "compartmentId", "compartmentName", "resourceId", "region"),
    ("skuName", "unit", "compartmentId", "resourceId"),
    ("skuName", "unit", "compartmentId"),
    ("skuName", "unit"),
)
COMPARTMENT_DEPTH = 7


def whole(window: Window, grain: dt.timedelta) -> Window:
    """The window widened to whole grains: the API refuses times that aren't on one."""
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + (window.start - midnight) // grain * grain
    return Window(start, start + -(-(window.end - start) // grain) * grain)


def fetch(
    client: Client,
    tenancy: str,
    window: Window,
    settings: Any,
    notes: list[str],
    others: list[Charge] | None = None,
    wanted: list[Charge] | None = None,
) -> Iterator[Charge]:
    """Charges of every grain the window touches, for the services that match the setting.

    The names of services are asked for first, because filters compare them exactly. Where a grouping is refused
    (HTTP 400), the next shorter one is tried and a note says what is lost.
    """
    import oci

    sdk = client.make(oci.usage_api.UsageapiClient)
    grain = GRAINS[settings.granularity]
    wide = whole(window, grain)
    names = services(client, tenancy, whole(window, DAY), settings.services, others, wanted)
    if not names:
        return
    rung = 0
    for piece in wide.pieces(SPANS[settings.granularity]):
        while True:
            question = _question(tenancy, piece, settings, LADDER[rung], names)
            try:
                items = list(_items(client, sdk, question))
            except HttpRefused as error:
                if error.status != 400 or rung + 1 == len(LADDER):
                    raise
                lost = [name for name in LADDER[rung] if name not in LADDER[rung + 1]]
                rung += 1
                notes.append(f"The Usage API refused a grouping ({error.said}); without {', '.join(lost)}.")
                continue
            break
        for number_, item in enumerate(items, 1):
            yield from charge_of(item, tenancy, grain, f"Usage API, {piece}, item {number_}", names)


def services(
    client: Client,
    tenancy: str,
    window: Window,
    pattern: str,
    others: list[Charge] | None = None,
    wanted: list[Charge] | None = None,
) -> list[str]:
    """Names of the services charged in the window that match a regular expression, as the API spells them.

    `others` gets what the services that don't match came to, one charge each; `wanted` what those that do came to in all
    compartments.
    """
    import oci

    sdk, found = client.make(oci.usage_api.UsageapiClient), set()
    for piece in window.pieces(SPANS["DAILY"]):
        question = oci.usage_api.models.RequestSummarizedUsagesDetails(
            tenant_id=tenancy,
            time_usage_started=piece.start,
            time_usage_ended=piece.end,
            granularity="DAILY",
            query_type="COST",
            is_aggregate_by_time=True,
            group_by=["service"],
        )
        for item in _items(client, sdk, question):
            name = item.get("service")
            if name and re.search(pattern, str(name), re.I):
                found.add(str(name))
                into = wanted
            else:
                into = others
            if into is not None:
                into += charge_of({**item, "time_usage_started": piece.start}, tenancy, DAY, f"Usage API, {piece}")
    return sorted(found)


def _question(tenancy: str, piece: Window, settings: Any, group_by: tuple[str, ...], services: list[str]) -> Any:
    import oci

    models = oci.usage_api.models
    chosen = models.Filter(operator="OR", dimensions=[models.Dimension(key="service", value=name) for name in services])
    if settings.compartment_id:
        own = models.Filter(
            operator="OR",
            dimensions=[models.Dimension(key="compartmentId", value=name) for name in settings.compartment_id],
        )
        chosen = models.Filter(operator="AND", filters=[chosen, own])
    options: dict[str, Any] = {}
    if settings.tag:
        namespace, _, key = settings.tag.rpartition(".")
        options["group_by_tag"] = [models.Tag(namespace=namespace, key=key)]
    if any(name.startswith("compartment") for name in group_by):
        options["compartment_depth"] = COMPARTMENT_DEPTH
    return models.RequestSummarizedUsagesDetails(
        tenant_id=tenancy,
        time_usage_started=piece.start,
        time_usage_ended=piece.end,
        granularity=settings.granularity,
        query_type="COST",
        group_by=list(group_by),
        filter=chosen,
        **options,
    )


def _items(client: Client, sdk: Any, question: Any) -> Iterator[dict[str, Any]]:
    """Every page's items, as the API spells them.

    Raises:
        ProviderError: the same page token comes twice.
    """
    import oci

    page, seen = None, set()
    while True:
        options: dict[str, Any] = {"page": page} if page else {}
        answer = client.ask(
            "the usage summary", lambda o=options: sdk.request_summarized_usages(question, **o), needs="items"
        )
        for item in needed(answer.data, "items", "the Usage API"):
            yield oci.util.to_dict(item)
        page = answer.next_page
        if not page:
            return
        if page in seen:
            raise ProviderError(
                "oci: the Usage API gave the same page token twice. Nothing was stored; run the command again."
            )
        seen.add(page)


def saved_items(document: Any, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The items of a saved answer, with snake-case names.

    Raises:
        DataError: not an answer of the Usage API.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("items"), list):
        raise DataError(f"{place}: not a saved answer of the Usage API (it has no list of items).")
    for number_, item in enumerate(document["items"], 1):
        yield f"{place}, item {number_}", {re.sub(r"(?<!^)([A-Z])", r"_\1", k).lower(): v for k, v in item.items()}


def charge_of(
    item: Mapping[str, Any], tenancy: str, grain: dt.timedelta | None, place: str, services: Iterable[str] = ()
) -> Iterator[Charge]:
    """The charge of one summary; forecasts and lines that state neither cost nor quantity are none.

    Raises:
        DataError: the summary has no start.
    """
    if item.get("is_forecast"):
        return
    amount, used = money(item.get("computed_amount"), place), quantity(item.get("computed_quantity"), place)
    if amount is None and used is None:
        return
    if not item.get("time_usage_started"):
        raise DataError(
            f"{place}: the field timeUsageStarted is missing; it has {sorted(k for k, v in item.items() if v)}."
        )
    start = instant(item["time_usage_started"])
    ended = item.get("time_usage_ended")
    end = start + grain if grain else instant(ended) if ended else start + DAY
    tags = {
        ".".join(filter(None, [tag.get("namespace"), tag["key"]])): str(tag.get("value") or "")
        for tag in item.get("tags") or []
        if tag.get("key")
    }
    named = list(services)
    yield Charge(
        place=place,
        start=start,
        end=end,
        tenancy=item.get("tenant_id") or tenancy,
        sku_name=item.get("sku_name") or "",
        unit=item.get("unit") or "",
        quantity=used,
        cost=amount,
        currency=(item.get("currency") or "").strip(),
        sku_id=item.get("sku_part_number") or None,
        resource_id=item.get("resource_id") or None,
        resource_name=item.get("resource_name") or None,
        compartment_id=item.get("compartment_id") or None,
        compartment_name=item.get("compartment_name") or item.get("compartment_path") or None,
        region=item.get("region") or None,
        service=item.get("service") or (named[0] if len(named) == 1 else None),
        unit_price=unit_price(item.get("unit_price"), place),
        list_unit_price=unit_price(item.get("list_rate"), place),
        tags=tags,
        source="api",
    )
