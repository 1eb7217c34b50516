"""A month with a bill and no usage is charged like any other: every line of the bill is allocated, closed and trued up."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.errors import ClosedPeriodError, DataError
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.tables.closing import close_month, preview, true_up_month
from finops_ai.tables.posting import posting

TOML = """
[workspace]
[dimensions.team]
[[rules]]
name = "account"
when = { sub_account_id = "s1" }
set = { team = "legal" }
[chargeback]
dimension = "team"
[close]
priced = "0.99"
attributed = "0.95"
"""


def bill(folder, month, *lines):
    number = int(month[5:])
    period = [dt.datetime(2026, n, 1, tzinfo=UTC) for n in (number, number + 1)]
    rows = [
        {
            "provider": "openai", "billing_account_id": "acct", "sub_account_id": "s1", "billing_period_start": period[0], "billing_period_end": period[1],
            "charge_period_start": period[0], "charge_period_end": period[1], "charge_category": kind, "charge_description": text,
            "billed_cost": D(cost), "billing_currency": "USD", "source": "file", "meter": "unmapped", "invoice_id": f"{month}-1",
        }
        for kind, text, cost in lines
    ]  # fmt: skip
    frame = conform({name: [row[name] for row in rows] for name in rows[0]}, BillFrame, source="test")
    fa.open(folder).lake.replace("bills", "openai", Window.month(month), frame)
    return fa.open(folder)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "finops.toml").write_text(TOML, encoding="utf-8")
    bill(tmp_path, "2026-07", ("Purchase", "Seats", "40"))
    bill(tmp_path, "2026-08", ("Purchase", "Seats", "200"), ("Credit", "Sorry", "-30"))
    return tmp_path


def accounts(entries):
    return {(r["account"], r["cost_centre"]): r["debit"] - r["credit"] for r in entries.to_dict("records")}


def test_the_bills_lines_are_charged(folder):
    made = posting(fa.open(folder), "2026-08")
    assert dict(zip(made.overview["receiver"], made.overview["due"], strict=True)) == {"legal": 170}
    assert accounts(made.entries) == {("6100", "legal"): 170, ("2190", ""): -170}
    with pytest.raises(DataError, match="no usage of 2026-09 to charge, and no bill"):
        posting(fa.open(folder), "2026-09")


def test_it_is_closed_in_order_and_trued_up(folder):
    ws = fa.open(folder)
    assert preview(ws, "2026-07").gates["passed"].all()  # nothing is unpriced where nothing was used
    close_month(ws, "2026-07")
    later = bill(folder, "2026-09", ("Purchase", "Seats", "5"))
    with pytest.raises(ClosedPeriodError, match="2026-08 is open"):
        close_month(later, "2026-09")
    close_month(later, "2026-08")
    ws = bill(folder, "2026-08", ("Purchase", "Seats", "210"), ("Credit", "Sorry", "-30"))
    entries, _ = true_up_month(ws, "2026-08")
    assert accounts(entries) == {("6100", "legal"): 10, ("2190", ""): -10}
    assert true_up_month(fa.open(folder), "2026-08")[1] is None
    made = posting(fa.open(folder), "2026-09")
    assert dict(zip(made.overview["receiver"], made.overview["due"], strict=True)) == {"legal": 15}
