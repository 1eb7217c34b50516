"""Invoice Detail and Billing Period, read back as files by the rules of the specification's column pages."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from decimal import Decimal

import pytest

from finops_ai.frames import BillFrame, conform
from finops_ai.tables.focus import write_focus
from finops_ai.tables.focus_invoices import billing_periods, invoice_detail

D = Decimal
#: column pages of FOCUS 1.4, datasets invoice_detail and billing_period: (may be null, type)
DETAIL = {
    "BilledCost": (False, "decimal"), "BillingAccountId": (False, "text"), "BillingCurrency": (False, "currency"),
    "BillingPeriodEnd": (False, "time"), "BillingPeriodStart": (False, "time"), "ChargeCategory": (False, "category"),
    "InvoiceDetailCreated": (False, "time"), "InvoiceDetailDescription": (True, "text"), "InvoiceDetailGrain": (True, "json"),
    "InvoiceDetailId": (False, "text"), "InvoiceDetailLastUpdated": (False, "time"), "InvoiceId": (False, "text"),
    "InvoiceIssueDate": (True, "time"), "InvoiceIssueStatus": (False, "status"), "InvoiceIssuerName": (False, "text"),
    "PaymentCurrency": (False, "currency"), "PaymentDueDate": (True, "time"), "PaymentTerms": (False, "text"),
    "ReferenceInvoiceId": (False, "text"),
}  # fmt: skip
PERIOD = {
    "BillingPeriodCreated": (False, "time"), "BillingPeriodEnd": (False, "time"), "BillingPeriodLastUpdated": (False, "time"),
    "BillingPeriodStart": (False, "time"), "BillingPeriodStatus": (False, "state"), "InvoiceIssuerName": (False, "text"),
}  # fmt: skip
FORMS = {
    "decimal": r"-?\d+(\.\d+)?", "text": r".+", "currency": r"[A-Z]{3}", "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "category": r"Usage|Purchase|Tax|Credit|Adjustment", "status": r"Open|Issued|Voided", "state": r"Open|Closed",
}  # fmt: skip
GRAIN = {
    "ContractId",
    "RegionId",
    "ResourceId",
    "ResourceType",
    "ServiceName",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
    "SubAccountId",
}
MADE = dt.datetime(2026, 11, 3, 8, tzinfo=dt.UTC)


def read(path, columns):
    with path.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {c for c in rows[0] if not c.startswith("x_")} == set(columns)
    for row in rows:
        for name, (null, form) in columns.items():
            if form == "json" and row[name]:
                assert all(key in GRAIN or key.startswith("x_") for key in json.loads(row[name]))
            elif row[name] or not null:
                assert re.fullmatch(FORMS.get(form, ".*"), row[name]), (name, row[name])
    return rows


@pytest.fixture
def bills():
    def line(cost, invoice="INV-1", category="Usage", month=10, **more):
        day = dt.datetime(2026, month, 5, tzinfo=dt.UTC)
        return {
            "provider": "openai", "billing_account_id": "acct", "billing_period_start": day.replace(day=1),
            "billing_period_end": day.replace(day=1, month=month + 1), "charge_period_start": day,
            "charge_period_end": day + dt.timedelta(days=1), "charge_category": category, "charge_description": f"{category} of it",
            "invoice_id": invoice, "billed_cost": D(cost), "billing_currency": "USD", "meter": "unmapped", "source": "file",
        } | {"sku_id": None, "charge_class": None} | more  # fmt: skip

    rows = [
        line("10.25", sku_id="a"), line("0.75", sku_id="a"), line("2", sku_id="b", charge_description="=cmd"),
        line("-3", category="Credit"), line("1.9", category="Tax"), line("7", invoice="INV-2"), line("0.5", invoice=None),
        line("-0.25", invoice=None, category="Credit"), line("4", month=11, invoice="INV-3", billing_currency="EUR"),
        line("-1", sku_id="a", charge_class="Correction"),
    ]  # fmt: skip
    return conform({name: [row[name] for row in rows] for name in rows[0]}, BillFrame, source="made here")


def test_records_are_the_invoices_lines(bills, tmp_path):
    table = invoice_detail(bills, made=MADE)
    rows = read(write_focus(table, tmp_path / "detail.csv"), DETAIL)
    by = {(r["InvoiceId"], r["ChargeCategory"], json.loads(r["InvoiceDetailGrain"]).get("SkuId"), "x_ChargeClass" in r["InvoiceDetailGrain"]): r for r in rows}  # fmt: skip
    assert {k: D(r["BilledCost"]) for k, r in by.items()} == {
        ("INV-1", "Usage", "a", False): D(11), ("INV-1", "Usage", "b", False): D(2), ("INV-1", "Usage", "a", True): D(-1),
        ("INV-1", "Credit", None, False): D(-3), ("INV-1", "Tax", None, False): D("1.9"), ("INV-2", "Usage", None, False): D(7),
        ("INV-3", "Usage", None, False): D(4),
    }  # fmt: skip
    assert len({(r["InvoiceId"], r["InvoiceDetailId"]) for r in rows}) == len(rows) == 7
    assert {r["InvoiceId"]: r["InvoiceIssueStatus"] for r in rows} == {
        "INV-1": "Issued",
        "INV-2": "Issued",
        "INV-3": "Open",
    }
    assert all(r["ReferenceInvoiceId"] == r["InvoiceId"] for r in rows)
    assert table.facts.notes == ["2 lines of acct, 0.25 USD in all, name no invoice and are in no record."]
    again = invoice_detail(bills.iloc[::-1].reset_index(drop=True), made=MADE)
    assert sorted(again["InvoiceDetailId"]) == sorted(table["InvoiceDetailId"])


def test_periods_are_closed_where_the_month_is(bills, tmp_path):
    rows = read(write_focus(billing_periods(bills, made=MADE, closed=["2026-10"]), tmp_path / "periods.csv"), PERIOD)
    assert [(r["BillingPeriodStart"][:7], r["BillingPeriodStatus"]) for r in rows] == [
        ("2026-10", "Closed"),
        ("2026-11", "Open"),
    ]


def test_a_bill_without_lines_has_no_record(bills):
    assert len(invoice_detail(bills.iloc[:0], made=MADE)) == len(billing_periods(bills.iloc[:0], made=MADE)) == 0
