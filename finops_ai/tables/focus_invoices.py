"""FOCUS 1.4 Invoice Detail and Billing Period: what was invoiced, as the bill's lines say it.

An Invoice Detail record is all lines of one invoice with the same charge category, correction, service, SKU, sub account,
region and resource; these are its grain. Records of 0 are kept. It joins the Cost and Usage rows by issuer and InvoiceId; the
bill is the issuer's, so rows of Cost and Usage, which are computed, add up to it only up to what `reconcile` names.

What a bill doesn't say is not made up: issue and due dates are null, the terms are `Not stated`. A record's id is made of
its grain, so that the same record has it in every export.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import CheckFailed
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.tables.focus import KINDS, issuer_of
from finops_ai.tables.result import Facts, Table

#: column of the bill -> property of InvoiceDetailGrain
GRAIN = {
    "service_name": "ServiceName",
    "sku_id": "SkuId",
    "sku_price_id": "SkuPriceId",
    "sub_account_id": "SubAccountId",
    "region": "RegionId",
    "resource_id": "ResourceId",
    "charge_class": "x_ChargeClass",
    "meter": "x_Meter",
}
_KEYS = ("provider", "billing_account_id", "billing_currency", "billing_period_start", "billing_period_end", "invoice_id", "charge_category")  # fmt: skip
#: column -> kind, in the specification's order
INVOICE_DETAIL = {
    "BilledCost": "number", "BillingAccountId": "text", "BillingCurrency": "text", "BillingPeriodEnd": "time",
    "BillingPeriodStart": "time", "ChargeCategory": "text", "InvoiceDetailCreated": "time", "InvoiceDetailDescription": "text",
    "InvoiceDetailGrain": "json", "InvoiceDetailId": "text", "InvoiceDetailLastUpdated": "time", "InvoiceId": "text",
    "InvoiceIssueDate": "time", "InvoiceIssueStatus": "text", "InvoiceIssuerName": "text", "PaymentCurrency": "text",
    "PaymentDueDate": "time", "PaymentTerms": "text", "ReferenceInvoiceId": "text", "x_Lines": "number",
}  # fmt: skip
BILLING_PERIOD = {
    "BillingPeriodCreated": "time", "BillingPeriodEnd": "time", "BillingPeriodLastUpdated": "time",
    "BillingPeriodStart": "time", "BillingPeriodStatus": "text", "InvoiceIssuerName": "text",
}  # fmt: skip


def invoice_detail(bills: pd.DataFrame, *, made: dt.datetime) -> Table:
    """A bill's lines as FOCUS 1.4 Invoice Detail records.

    Args:
        bills: a bill frame.
        made: when the records are made; an invoice whose period had ended by then is `Issued`, else `Open`.

    Returns:
        One row per invoice and grain, with the specification's columns and `x_Lines`, how many lines of the bill it is. Lines
        without an invoice number are in none: the notes say how many, and how much, per account.

    Raises:
        CheckFailed: the records and the lines left out don't add up to the bill.
    """
    lines = to_arrow(bills)
    for name in (*GRAIN, "invoice_id"):
        if name not in lines.column_names:
            lines = lines.append_column(name, pa.nulls(lines.num_rows, pa.string()))
    named = lines.filter(pc.is_valid(lines["invoice_id"]))
    keys = [*_KEYS, *GRAIN]
    sums = named.group_by(keys, use_threads=False).aggregate(
        [("billed_cost", "sum"), ("charge_description", "distinct"), ([], "count_all")]
    )
    rows = [_detail(row, made) for row in sums.to_pylist()]
    rows.sort(key=lambda r: (r["InvoiceIssuerName"], r["BillingAccountId"], r["InvoiceId"], r["InvoiceDetailId"]))
    _check(lines, rows)
    facts = Facts(
        "FOCUS 1.4 Invoice Detail", conserves="records and lines left out add up to the bill, to the last digit"
    )
    facts.notes = _left_out(lines)
    return Table.of(_table(rows, INVOICE_DETAIL), facts)


def billing_periods(bills: pd.DataFrame, *, made: dt.datetime, closed: Collection[str] = ()) -> Table:
    """The billing periods of a bill as FOCUS 1.4 Billing Period records, one per issuer and period.

    Args:
        bills: a bill frame.
        made: when the records are made.
        closed: months (`YYYY-MM`) that are closed here: their periods are `Closed`, all others `Open`.
    """
    known = to_arrow(bills).select(["provider", "billing_period_start", "billing_period_end"]) if len(bills) else None
    found = known.group_by(known.column_names, use_threads=False).aggregate([]).to_pylist() if known else []
    rows = [
        {
            "BillingPeriodCreated": made,
            "BillingPeriodEnd": row["billing_period_end"],
            "BillingPeriodLastUpdated": made,
            "BillingPeriodStart": row["billing_period_start"],
            "BillingPeriodStatus": "Closed" if f"{row['billing_period_start']:%Y-%m}" in closed else "Open",
            "InvoiceIssuerName": issuer_of(row["provider"]).name,
        }
        for row in found
    ]
    rows.sort(key=lambda r: (r["InvoiceIssuerName"], r["BillingPeriodStart"]))
    return Table.of(_table(rows, BILLING_PERIOD), Facts("FOCUS 1.4 Billing Period"))


def _detail(row: dict[str, Any], made: dt.datetime) -> dict[str, Any]:
    grain = {name: row[column] for column, name in GRAIN.items() if row[column]}
    texts = [text for text in row["charge_description_distinct"] if text]
    key = json.dumps([str(row[k]) for k in (*_KEYS, *GRAIN)], ensure_ascii=False)
    return {
        "BilledCost": row["billed_cost_sum"],
        "BillingAccountId": row["billing_account_id"],
        "BillingCurrency": row["billing_currency"],
        "BillingPeriodEnd": row["billing_period_end"],
        "BillingPeriodStart": row["billing_period_start"],
        "ChargeCategory": row["charge_category"],
        "InvoiceDetailCreated": made,
        "InvoiceDetailDescription": texts[0] if len(texts) == 1 else None,
        "InvoiceDetailGrain": json.dumps(grain, ensure_ascii=False) if grain else None,
        "InvoiceDetailId": hashlib.sha256(key.encode()).hexdigest()[:20],
        "InvoiceDetailLastUpdated": made,
        "InvoiceId": row["invoice_id"],
        "InvoiceIssueDate": None,
        "InvoiceIssueStatus": "Issued" if row["billing_period_end"] <= made else "Open",
        "InvoiceIssuerName": issuer_of(row["provider"]).name,
        "PaymentCurrency": row["billing_currency"],
        "PaymentDueDate": None,
        "PaymentTerms": "Not stated",
        "ReferenceInvoiceId": row["invoice_id"],
        "x_Lines": Decimal(row["count_all"]),
    }


def _table(rows: list[dict[str, Any]], kinds: dict[str, str]) -> pd.DataFrame:
    return to_pandas(pa.table({name: pa.array([r[name] for r in rows], KINDS[kind]) for name, kind in kinds.items()}))


def _check(lines: pa.Table, rows: list[dict[str, Any]]) -> None:
    total = pc.sum(lines["billed_cost"]).as_py() or Decimal(0)
    left = pc.sum(lines.filter(pc.is_null(lines["invoice_id"]))["billed_cost"]).as_py() or Decimal(0)
    found = sum((r["BilledCost"] for r in rows), Decimal(0))
    if found + left != total:
        raise CheckFailed(f"Invoice Detail doesn't add up: {found} in records, {left} left out, {total} billed.")


def _left_out(lines: pa.Table) -> list[str]:
    """How much of the bill names no invoice, per account."""
    rest = lines.filter(pc.is_null(lines["invoice_id"]))
    sums = rest.group_by(["billing_account_id", "billing_currency"], use_threads=False).aggregate(
        [("billed_cost", "sum"), ([], "count_all")]
    )
    return [
        f"{row['count_all']} lines of {row['billing_account_id']}, {row['billed_cost_sum'].normalize():f} {row['billing_currency']} "
        "in all, name no invoice and are in no record."
        for row in sorted(sums.to_pylist(), key=str)
    ]
