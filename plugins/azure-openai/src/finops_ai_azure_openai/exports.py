"""Cost Management exports as bill frames: FOCUS, actual and amortised cost, CSV or Parquet, from disk or Blob storage.

An export writes the month so far again with every run. Its `manifest.json` says which run a folder holds: per export
and period only the newest run counts, and each file must have the number of rows the manifest states.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from finops_ai.errors import DataError, SettingsError
from finops_ai.periods import Window
from finops_ai.providers import LeftOut, left_out_of
from finops_ai.providers.amounts import money, quantity, unit_price
from finops_ai.providers.limits import unpack
from finops_ai.providers.parsing import parse_json
from finops_ai.shapes import misfit
from finops_ai_azure_openai.charges import CATEGORIES, bill_frame, bill_row, moment, tags_of
from finops_ai_azure_openai.line_items import charges_pattern
from finops_ai_azure_openai.shapes import MANIFEST

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai_azure_openai.usage import Identity

DAY = dt.timedelta(days=1)
#: a folder per run inside a folder per period, as exports lay them out
_RUN = re.compile(r"(.*/\d{8}-\d{8})/([0-9a-f]{8}-[0-9a-f-]{27})/", re.I)
FOCUS_NEEDED = ("BilledCost", "BillingCurrency", "ChargePeriodStart", "ChargePeriodEnd", "ChargeCategory", "ResourceId")
#: columns of cost exports -> spellings of agreements (EA, MCA, pay-as-you-go), compared without case
COST_COLUMNS = {
    "date": ("date", "usagedatetime"),
    "cost": ("costinbillingcurrency", "pretaxcost", "cost"),
    "currency": ("billingcurrency", "billingcurrencycode", "currency"),
    "resource": ("resourceid", "instanceid", "instancename"),
    "meter": ("metername",),
    "unit": ("unitofmeasure",),
    "quantity": ("quantity", "usagequantity"),
}  # fmt: skip
LOOK_IN = ("resourceid", "instanceid", "instancename", "x_skumetercategory", "x_skumetersubcategory", "x_skudescription",
           "metercategory", "metersubcategory", "commitmentdiscountname", "productname", "product", "servicename",
           "consumedservice")  # fmt: skip


@dataclass(frozen=True)
class Blob:
    """One file of an export: its path, and how to get its content."""

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Part:
    """One data file of the newest run. `kind` is FocusCost, ActualCost or AmortizedCost; '' = look at its columns."""

    blob: Blob
    kind: str
    rows: int | None


def is_export(name: str) -> bool:
    """Whether a file may belong to an export, by its name."""
    return name.lower().endswith((".csv", ".csv.gz", ".parquet")) or _is_manifest(name)


def _is_manifest(name: str) -> bool:
    return PurePosixPath(name).name == "manifest.json"


def newest_runs(blobs: Iterable[Blob], window: Window | None = None) -> list[Part]:
    """The data files that count: of each export and period the newest run's, and files without a manifest as they are.

    Args:
        blobs: all files found.
        window: skip runs whose period can't touch it.

    Raises:
        DataError: two runs of one period and no manifest to tell which is newer.
    """
    blobs = list(blobs)
    manifests = {str(PurePosixPath(b.name).parent): _manifest(b) for b in blobs if _is_manifest(b.name)}
    newest: dict[tuple[str, str], str] = {}
    for manifest in manifests.values():
        key = (manifest.export, manifest.start)
        newest[key] = max(newest.get(key, ""), manifest.submitted)
    parts: list[Part] = []
    bare: dict[str, str] = {}
    for blob in blobs:
        if _is_manifest(blob.name):
            continue
        found = manifests.get(str(PurePosixPath(blob.name).parent))
        if found is None:
            run = _RUN.match(blob.name)
            if run and bare.setdefault(run[1], run[2]) != run[2]:
                raise DataError(
                    f"{run[1]}: it holds several runs ({bare[run[1]]}, {run[2]}) and no manifest.json that says which is "
                    "newer; both hold the same charges. Copy the manifests too, or keep only one run."
                )
            parts.append(Part(blob, "", None))
        elif found.submitted == newest[(found.export, found.start)] and _touches(found, window):
            parts.append(Part(blob, found.kind, found.rows.get(PurePosixPath(blob.name).name)))
    return parts


@dataclass(frozen=True)
class _Manifest:
    export: str
    kind: str
    start: str
    end: str
    submitted: str
    rows: Mapping[str, int]


def _manifest(blob: Blob) -> _Manifest:
    try:
        document = parse_json(blob.read(), blob.name)
        if wrong := misfit(document, MANIFEST):
            raise ValueError(wrong)
        about, run = document["exportConfig"], document["runInfo"]
        rows = {
            PurePosixPath(part["blobName"]).name: int(part["dataRowCount"])
            for part in document.get("blobs", [])
            if part.get("dataRowCount") is not None
        }
        submitted = moment(run["submittedTime"]).isoformat()
        return _Manifest(
            f"{about['exportName']}/{about['type']}", about["type"], run["startDate"], run["endDate"], submitted, rows
        )
    except (KeyError, TypeError, ValueError, SettingsError) as error:
        raise DataError(f"{blob.name}: not an export's manifest ({type(error).__name__}: {error}).") from None


def _touches(manifest: _Manifest, window: Window | None) -> bool:
    return window is None or (
        moment(manifest.start) < window.end and moment(manifest.end) >= window.start.replace(hour=0)
    )


def read_table(part: Part) -> pa.Table:
    """One export file as an Arrow table, CSV values as text.

    Raises:
        DataError: cut short, damaged, or not the number of rows its manifest states.
    """
    name = part.blob.name
    content = unpack(part.blob.read(), name)
    try:
        if content[:4] == b"PAR1":
            table = pyarrow.parquet.read_table(pa.BufferReader(content))
        else:
            table = _csv(content)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name}: not a whole export file ({str(error)[:200]}). Download it again; nothing was stored."
        ) from None
    if part.rows is not None and table.num_rows != part.rows:
        raise DataError(
            f"{name}: {table.num_rows} rows, but its manifest states {part.rows}. Download it again; nothing was stored."
        )
    return table


def _csv(content: bytes) -> pa.Table:
    header = next(csv.reader(io.StringIO(content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf-8"))), [])
    if not header:
        return pa.table({})
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
    )


def frame(
    parts: Iterable[Part], window: Window, identity: Identity, default_kind: str, notes: list[str]
) -> tuple[pd.DataFrame, list[LeftOut]]:
    """Bill frame of the charges of Azure AI accounts that start in the window, and what else the export holds of it.

    FOCUS files win over actual and amortised ones of the same charges. From these two, reservations come out as FOCUS
    wants them: the purchase is billed, what it covers has an effective cost, unused hours are a line of their own.
    """
    kinds: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    others: dict[str, list[tuple[str, str, int, Decimal | None]]] = {}
    for part in parts:
        table = read_table(part)
        kind = part.kind or kind_of(table.column_names, part.blob.name, default_kind)
        mine = relevant(table)
        kinds.setdefault(kind, []).extend((part.blob.name, row) for row in table.filter(mine).to_pylist())
        others.setdefault(kind, []).extend(_others(table.filter(pc.invert(mine)), window, part.blob.name))
    told = next((kind for kind in ("FocusCost", "ActualCost", "AmortizedCost") if kind in others), "")
    left = left_out_of(others.get(told, []))
    if "FocusCost" in kinds:
        if len(kinds) > 1:
            notes.append("FOCUS and other cost exports were given; only FOCUS was read, so nothing counts twice.")
        return bill_frame(list(focus_rows(kinds["FocusCost"], window, identity)), "FOCUS export"), left
    if kinds and "AmortizedCost" not in kinds:
        notes.append("Only actual costs were given: what reservations cover looks free; add the amortised export.")
    if kinds and "ActualCost" not in kinds:
        notes.append("Only amortised costs were given: reservation purchases are missing from billed cost.")
    return bill_frame(list(cost_rows(kinds, window, identity)), "cost export"), left


def _others(table: pa.Table, window: Window, place: str) -> Iterator[tuple[str, str, int, Decimal | None]]:
    """Reason, currency, rows and amount of an export's rows of other services that start in the window."""
    by_name = {name.lower(): name for name in table.column_names}

    def column(*names: str) -> list[Any]:
        found = next((by_name[name] for name in names if name in by_name), None)
        return table[found].to_pylist() if found else [None] * table.num_rows

    starts = column("chargeperiodstart", *COST_COLUMNS["date"])
    costs = column("billedcost", *COST_COLUMNS["cost"])
    currencies = column("billingcurrency", *COST_COLUMNS["currency"])
    services = column("servicename", "metercategory", "consumedservice")
    kinds = column("chargecategory", "chargetype")
    sums: dict[tuple[str, str], list[Any]] = {}
    for start, cost, currency, service, kind in zip(starts, costs, currencies, services, kinds, strict=True):
        if start in (None, "") or _when(start) not in window:
            continue
        usual = kind in (None, "", "Usage", "Purchase", "UnusedReservation", "UnusedSavingsPlan")
        reason = f"{'' if usual else f'{kind} of '}another service: {service or 'not named'}"
        slot = sums.setdefault((reason, str(currency or "")), [0, Decimal(0)])
        slot[0] += 1
        slot[1] += money(cost, place) or Decimal(0)
    for (reason, currency), (rows, amount) in sums.items():
        yield reason, currency, rows, amount


def kind_of(columns: Iterable[str], name: str, default: str) -> str:
    """Which export a file is, by its columns, else by 'actual' or 'amorti' in its path, else the setting."""
    if "BilledCost" in columns and "ChargePeriodStart" in columns:
        return "FocusCost"
    for part in reversed(PurePosixPath(name.lower()).parts):  # the nearest name tells
        if "amorti" in part or "actual" in part:
            return "AmortizedCost" if "amorti" in part else "ActualCost"
    return default


def relevant(table: pa.Table) -> pa.Array:
    """Which rows name an Azure AI account or one of its commitments, in any of the columns that could."""
    keep: Any = pa.array([False] * table.num_rows)
    for name in table.column_names:
        if name.lower() in LOOK_IN and pa.types.is_string(table.schema.field(name).type):
            hit = pc.match_substring_regex(table[name], charges_pattern(), ignore_case=True)
            keep = pc.or_(keep, pc.fill_null(hit, False))
    return keep


def focus_rows(
    rows: Iterable[tuple[str, dict[str, Any]]], window: Window, identity: Identity
) -> Iterator[dict[str, Any]]:
    """Bill rows of a FOCUS export."""
    for place, row in rows:
        _need(row, FOCUS_NEEDED, place)
        start, end = _when(row["ChargePeriodStart"]), _when(row["ChargePeriodEnd"])
        if start not in window:
            continue
        meter = row.get("x_SkuMeterName") or row.get("SkuMeter") or ""
        unit = row.get("x_PricingUnitDescription") or row.get("PricingUnit") or ""
        yield bill_row(
            identity,
            meter_name=meter or row.get("ChargeDescription") or "",
            unit=unit,
            product=row.get("x_SkuMeterSubcategory") or "",
            resource=row["ResourceId"],
            subscription=row.get("SubAccountId"),
            tags=tags_of(row.get("Tags"), place),
            pricing_quantity=quantity(row.get("PricingQuantity"), place),
            consumed_quantity=quantity(row.get("ConsumedQuantity"), place),
            billing_account_name=row.get("BillingAccountName") or None,
            **_named(row.get("SubAccountName")),
            billing_period_start=_when(row["BillingPeriodStart"]),
            billing_period_end=_when(row["BillingPeriodEnd"]),
            charge_period_start=start,
            charge_period_end=end,
            charge_category=row["ChargeCategory"],
            charge_class=row.get("ChargeClass") or None,
            charge_description=meter or row.get("ChargeDescription") or "no meter name",
            service_name=row.get("ServiceName") or None,
            invoice_id=row.get("InvoiceId") or None,
            region=row.get("RegionId") or None,
            sku_id=row.get("SkuId") or None,
            sku_price_id=row.get("SkuPriceId") or None,
            list_unit_price=unit_price(row.get("ListUnitPrice"), place),
            contracted_unit_price=unit_price(row.get("ContractedUnitPrice"), place),
            list_cost=money(row.get("ListCost"), place),
            contracted_cost=money(row.get("ContractedCost"), place),
            effective_cost=money(row.get("EffectiveCost"), place),
            billed_cost=money(row["BilledCost"], place) or Decimal(0),
            billing_currency=row["BillingCurrency"],
            commitment_discount_id=row.get("CommitmentDiscountId") or None,
            commitment_discount_status=row.get("CommitmentDiscountStatus") or None,
            source="billing_export",
        )


def cost_rows(
    kinds: Mapping[str, list[tuple[str, dict[str, Any]]]], window: Window, identity: Identity
) -> Iterator[dict[str, Any]]:
    """Bill rows of actual and amortised exports: actual ones, and the amortised ones that a commitment covers."""
    amortised = "AmortizedCost" in kinds
    for kind, rows in kinds.items():
        for place, raw in rows:
            row = {name.lower(): value for name, value in raw.items()}
            names = _spelt(row, raw, place)
            start = _when(row[names["date"]])
            if start not in window:
                continue
            commitment = row.get("reservationid") or row.get("benefitid") or None
            charge = row.get("chargetype") or "Usage"
            purchase = charge in ("Purchase", "Refund")
            if commitment and not purchase and (kind == "ActualCost") == amortised:
                continue  # what a commitment covers counts once: from the amortised export where there is one
            if not commitment and kind == "AmortizedCost" and "ActualCost" in kinds:
                continue
            cost = money(row[names["cost"]], place) or Decimal(0)
            covered = kind == "AmortizedCost" and commitment
            spread = None if commitment and not amortised else Decimal(0) if commitment and purchase else cost
            yield bill_row(
                identity,
                meter_name=row[names["meter"]] or row.get("productname") or row.get("product") or "",
                unit=row[names["unit"]] or "",
                product=row.get("metersubcategory") or "",
                resource=row[names["resource"]],
                subscription=row.get("subscriptionid") or row.get("subscriptionguid"),
                tags=tags_of(row.get("tags"), place),
                pricing_quantity=quantity(row[names["quantity"]], place),
                billing_account_name=row.get("billingaccountname") or None,
                **_named(row.get("subscriptionname")),
                charge_period_start=start,
                charge_period_end=start + DAY,
                charge_category=CATEGORIES.get(charge, "Usage"),
                service_name=row.get("metercategory") or None,
                invoice_id=row.get("invoiceid") or None,
                region=row.get("resourcelocation") or row.get("resourcelocationnormalized") or None,
                sku_id=row.get("meterid") or None,
                effective_cost=spread,
                billed_cost=Decimal(0) if covered else cost,
                billing_currency=row[names["currency"]],
                commitment_discount_id=commitment,
                commitment_discount_status="Unused" if charge.startswith("Unused") else "Used" if covered else None,
                source="billing_export",
            )


def _spelt(row: Mapping[str, Any], raw: Mapping[str, Any], place: str) -> dict[str, str]:
    """Which spelling of each needed column a cost export uses."""
    found = {}
    for key, spellings in COST_COLUMNS.items():
        name = next((spelling for spelling in spellings if spelling in row), None)
        if name is None:
            raise DataError(
                f"{place}: the column {' or '.join(spellings)!r} is missing; the file has {list(raw)}. "
                "Export it again with that column."
            )
        found[key] = name
    return found


def _named(name: str | None) -> dict[str, Any]:
    return {"sub_account_name": name} if name else {}


def _need(row: Mapping[str, Any], names: Iterable[str], place: str) -> None:
    if missing := [name for name in names if name not in row]:
        raise DataError(
            f"{place}: the column {missing[0]!r} is missing; the file has {list(row)}. Export it again with that column."
        )


def _when(value: object) -> dt.datetime:
    return moment(value if isinstance(value, str) else value.isoformat())  # type: ignore[attr-defined]
