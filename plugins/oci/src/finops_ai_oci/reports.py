"""OCI's cost reports and FOCUS reports (csv.gz), from Object Storage or disk, as charges."""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from finops_ai.errors import DataError, ProviderError
from finops_ai.periods import Window, instant
from finops_ai.providers.amounts import money, quantity, unit_price
from finops_ai.providers.http import check_content
from finops_ai.providers.limits import unpack
from finops_ai_oci.charges import HOUR, Charge
from finops_ai_oci.client import REPORT_POLICY, Client, Damaged, needed

#: namespace Oracle keeps every tenancy's reports in; the bucket is the tenancy's OCID
NAMESPACE = "bling"
PREFIXES = {"cost_reports": "reports/cost-csv/", "focus_reports": "FOCUS Reports/"}
COST_NEEDED = (
    "lineItem/intervalUsageStart",
    "cost/myCost",
    "cost/currencyCode",
    "usage/billedQuantity",
    "product/Description",
)
FOCUS_NEEDED = ("ChargePeriodStart", "ChargePeriodEnd", "BilledCost", "BillingCurrency", "ChargeCategory")


@dataclass(frozen=True)
class Report:
    """One report file: its name, and how to get its content."""

    name: str
    read: Callable[[], bytes]


def fetch(client: Client, tenancy: str, window: Window, kind: str) -> Iterator[Report]:
    """The reports in Object Storage that may hold the window: written at or after its start, as lines come late.

    Raises:
        ProviderError: the listing's next start comes twice.
    """
    import oci

    sdk = client.make(oci.object_storage.ObjectStorageClient)
    start, seen = None, set()
    while True:
        options: dict[str, Any] = {"start": start} if start else {}
        listing = client.ask(
            "the list of reports",
            lambda o=options: sdk.list_objects(
                NAMESPACE, tenancy, prefix=PREFIXES[kind], fields="name,timeCreated,size,md5", **o
            ),
            REPORT_POLICY,
            needs="objects",
        ).data
        for item in needed(listing, "objects", "Object Storage"):
            written = item.time_created
            if item.name.endswith((".csv", ".csv.gz")) and (written is None or instant(written) >= window.start):
                yield Report(item.name, _reader(client, sdk, tenancy, item))
        start = listing.next_start_with
        if not start:
            return
        if start in seen:
            raise ProviderError(
                "oci: Object Storage gave the same place in the list twice. Nothing was stored; run the command again."
            )
        seen.add(start)


def _reader(client: Client, sdk: Any, tenancy: str, item: Any) -> Callable[[], bytes]:
    """Gets a report, once more where it isn't as long as the listing says, has another MD5, or can't be unzipped."""

    def read() -> bytes:
        def get() -> bytes:
            content = sdk.get_object(NAMESPACE, tenancy, item.name).data.content
            check_content(content, size=getattr(item, "size", None), md5=getattr(item, "md5", None))
            if getattr(item, "md5", None) is None:  # nothing but its own end tells whether it is whole
                try:
                    unpack(content, item.name)
                except DataError as error:
                    raise Damaged(str(error)) from None
            return content

        return client.ask(f"the report {item.name}", get, REPORT_POLICY)

    return read


def charges(
    reports: Iterable[Report],
    pattern: str,
    notes: list[str],
    kind: str | None = None,
    others: list[Charge] | None = None,
) -> Iterator[Charge]:
    """The charges of matching services in reports.

    A line OCI gave in two files (same reference number) counts once; a correction is a line of its own.

    Args:
        reports: the files.
        pattern: regular expression on service and product.
        notes: what a reader must know is added here.
        kind: cost_reports or focus_reports; None = look at the headers, and of both kinds take cost reports.
        others: gets the charges of other services.
    """
    reports = list(reports)
    kinds = {report.name: kind or kind_of(report) for report in reports}
    if len(set(filter(None, kinds.values()))) > 1:
        notes.append("Cost reports and FOCUS reports were given; only cost reports were read, so nothing counts twice.")
    wanted = "cost_reports" if "cost_reports" in kinds.values() else "focus_reports"
    needed, line = (COST_NEEDED, _cost_line) if wanted == "cost_reports" else (FOCUS_NEEDED, _focus_line)
    seen: set[str] = set()
    twice = 0
    for report in reports:
        if kinds[report.name] != wanted:
            continue
        for place, row in rows(report.name, text(report), needed):
            service = row.get("product/service") or row.get("ServiceName") or ""
            about = row.get("product/Description") or row.get("ChargeDescription") or row.get("SkuMeter") or ""
            chosen = re.search(pattern, f"{service} {about}", re.I)
            if not chosen and others is None:
                continue
            reference = row.get("lineItem/referenceNo") or row.get("oci_ReferenceNumber") or ""
            if reference and reference in seen:
                twice += 1
                continue
            seen.add(reference)
            if chosen:
                yield line(row, place)
            elif others is not None:
                others.append(line(row, place))
    if twice:
        notes.append(f"{twice} lines came twice (same reference number) and count once.")


def text(report: Report) -> str:
    """A report's text, unzipped.

    Raises:
        DataError: the gzip is cut short, or it isn't UTF-8.
    """
    content = unpack(report.read(), report.name)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{report.name}: not UTF-8 text ({error.reason} at byte {error.start}).") from None


def kind_of(report: Report) -> str | None:
    """Which report a file is, by its header; None for an empty file.

    Raises:
        DataError: neither a cost report nor a FOCUS report.
    """
    content = report.read()
    try:
        if content[:2] == b"\x1f\x8b":
            content = zlib.decompressobj(wbits=31).decompress(content, 50_000)
        line = content[:50_000].decode("utf-8-sig", "replace")
        header = {column.strip() for column in next(csv.reader(io.StringIO(line, newline="")), [])}
    except (zlib.error, csv.Error) as error:
        raise DataError(f"{report.name}: damaged or no CSV ({error}). Download it again; nothing was stored.") from None
    if not header:
        return None
    if any(column.startswith("lineItem/") for column in header):
        return "cost_reports"
    if "ChargePeriodStart" in header or "BilledCost" in header:
        return "focus_reports"
    raise DataError(f"{report.name}: neither a cost report nor a FOCUS report of OCI; it has {sorted(header)[:6]}.")


def rows(name: str, content: str, needed: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and row of a report; header names lose the blanks OCI leaves on some.

    Raises:
        DataError: a needed column is missing, or a row is cut.
    """
    reader = csv.reader(io.StringIO(content, newline=""))
    header = [column.strip() for column in next(reader, [])]
    if missing := [column for column in needed if column not in header]:
        raise DataError(f"{name}: the column {missing[0]!r} is missing; the file has {header}. Download it again.")
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(
                f"{name}, line {reader.line_num}: {len(row)} fields under {len(header)} columns; the file may be cut short. Download it again; nothing was stored."
            )
        yield f"{name}, line {reader.line_num}", dict(zip(header, row, strict=True))


def _cost_line(row: Mapping[str, str], place: str) -> Charge:
    start = instant(row["lineItem/intervalUsageStart"])
    end = row.get("lineItem/intervalUsageEnd")
    tags = {name.removeprefix("tags/"): value for name, value in row.items() if name.startswith("tags/") and value}
    return Charge(
        place=place,
        start=start,
        end=instant(end) if end else start + HOUR,
        tenancy=row.get("lineItem/tenantId") or "unknown",
        sku_name=row["product/Description"],
        unit=row.get("cost/skuUnitDescription") or row.get("cost/billingUnitReadable") or "",
        quantity=quantity(row["usage/billedQuantity"], place),
        cost=money(row["cost/myCost"], place),
        currency=row["cost/currencyCode"].strip(),
        sku_id=row.get("cost/productSku") or None,
        resource_id=row.get("product/resourceId") or None,
        resource_name=row.get("product/resource") or None,
        compartment_id=row.get("product/compartmentId") or None,
        compartment_name=row.get("product/compartmentName") or None,
        region=row.get("product/region") or None,
        service=row.get("product/service") or None,
        unit_price=unit_price(row.get("cost/unitPrice"), place),
        correction=row.get("lineItem/isCorrection", "").lower() == "true",
        tags=tags,
    )


def _focus_line(row: Mapping[str, str], place: str) -> Charge:
    billed = money(row["BilledCost"], place)
    more = {
        "invoice_id": row.get("InvoiceId") or None,
        "sku_price_id": row.get("SkuPriceId") or None,
        "contracted_cost": money(row.get("ContractedCost"), place),
        "billing_account_name": row.get("BillingAccountName") or None,
        "commitment_discount_id": row.get("CommitmentDiscountId") or None,
    }
    try:
        tags = {str(k): "" if v is None else str(v) for k, v in json.loads(row.get("Tags") or "{}").items()}
    except (ValueError, AttributeError, RecursionError):
        raise DataError(f"{place}: the tags are not a JSON object: {row['Tags'][:80]!r}.") from None
    return Charge(
        place=place,
        start=instant(row["ChargePeriodStart"]),
        end=instant(row["ChargePeriodEnd"]),
        tenancy=row.get("BillingAccountId") or "unknown",
        sku_name=row.get("ChargeDescription") or row.get("SkuMeter") or "",
        unit=row.get("UsageUnit") or row.get("ConsumedUnit") or row.get("PricingUnit") or "",
        quantity=quantity(row.get("UsageQuantity") or row.get("ConsumedQuantity") or row.get("PricingQuantity"), place),
        cost=billed,
        currency=row["BillingCurrency"].strip(),
        sku_id=row.get("SkuId") or None,
        resource_id=row.get("ResourceId") or None,
        resource_name=row.get("ResourceName") or None,
        compartment_id=row.get("oci_CompartmentId") or row.get("SubAccountId") or None,
        compartment_name=row.get("oci_CompartmentName") or row.get("SubAccountName") or None,
        region=row.get("Region") or row.get("RegionId") or None,
        service=row.get("ServiceName") or None,
        unit_price=unit_price(row.get("ContractedUnitPrice"), place),
        list_unit_price=unit_price(row.get("ListUnitPrice"), place),
        list_cost=money(row.get("ListCost"), place),
        effective_cost=money(row.get("EffectiveCost"), place),
        category=row["ChargeCategory"] or "Usage",
        correction=row.get("ChargeClass", "") == "Correction" or bool(row.get("oci_BackReferenceNumber")),
        tags=tags,
        more={name: value for name, value in more.items() if value is not None},
    )
