"""What a billing cycle charges with another month is timing in the ledger, not a price difference: it comes back to 0."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.frames import BillFrame, TokenFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.posting import posting

#: 10 of September and 4 of October are on the line that begins on 12 September, 5 and 2 of November on the next
CYCLES = (("2026-09-12", "2026-10-12", "14"), ("2026-10-12", "2026-11-12", "7"))
PLACE = {"provider": "cursor", "billing_account_id": "acme", "billing_currency": "USD"}


def frame(rows, kind):
    return conform({name: [row[name] for row in rows] for name in rows[0]}, kind, source="test")


def at(day):
    return dt.datetime.fromisoformat(day).replace(tzinfo=UTC)


def used(*days):
    same = {
        "model": "claude-sonnet-5", "operation": "chat", "meter": "input", "quantity": D(1000), "unit": "tokens", "service_tier": "standard",
        "source": "api", "quantity_basis": "metered", "money_basis": "cash", "tool_name": "cursor",
    }  # fmt: skip
    rows = [
        {"charge_period_start": at(day), "charge_period_end": at(day) + dt.timedelta(minutes=1), "billed_cost": D(cost), **PLACE, **same}
        for day, cost in days
    ]  # fmt: skip
    return frame(rows, TokenFrame)


def billed(*lines):
    same = {"charge_category": "Usage", "charge_description": "Use on demand", "meter": "unmapped", "source": "file"}
    rows = [
        {"charge_period_start": at(a), "charge_period_end": at(b), "billing_period_start": at(a), "billing_period_end": at(b), "billed_cost": D(cost), **PLACE, **same}
        for a, b, cost in lines
    ]  # fmt: skip
    return frame(rows, BillFrame)


USE = used(("2026-09-20", "10"), ("2026-10-03", "3"), ("2026-10-11T23:59", "1"), ("2026-10-12", "5"), ("2026-11-02", "2"))  # fmt: skip


def company(folder, use=USE, lines=CYCLES, text=""):
    folder.mkdir(exist_ok=True)
    (folder / "finops.toml").write_text(
        '[workspace]\n[dimensions.team]\ndefault = "crew"\n[chargeback]\ndimension = "team"\nnot_charged = []\n' + text
    )
    ws = fa.open(folder)
    load(ws, use, lines)
    return fa.open(folder)


def load(ws, use, lines):
    window = Window.of(dt.date(2026, 9, 1), dt.date(2026, 12, 1))
    ws.lake.replace_window("cursor", window, {"tokens": use, "bills": billed(*lines)}, {})


def items(ws, month):
    return {p.item: p.amount for p in posting(ws, month).charged.parts}


def accounts(entries):
    sums = {}
    for r in entries.to_dict("records"):
        sums[r["account"]] = sums.get(r["account"], D(0)) + r["debit"] - r["credit"]
    return {account: amount for account, amount in sums.items() if amount}


def test_use_billed_with_another_month_is_timing_in_the_ledger(tmp_path):
    ws = company(tmp_path, text='[journal]\nbilling_cycle = "1495"\n')
    # 4 of October and 2 of November are on the lines that begin in September and October
    assert items(ws, "2026-09") == {"usage": 10, "billing_cycle": 4, "payable": 14}
    assert items(ws, "2026-10") == {"usage": 9, "billing_cycle": -2, "payable": 7}
    assert items(ws, "2026-11") == {"usage": 2, "billing_cycle": -2}  # owed already: nothing is accrued
    assert accounts(posting(ws, "2026-09").entries) == {"6100": 10, "1495": 4, "2190": -14}
    assert accounts(posting(ws, "2026-11").entries) == {"6100": 2, "1495": -2}


def test_what_a_cycle_does_not_explain_is_price_difference(tmp_path):
    ws = company(tmp_path, lines=(("2026-09-12", "2026-10-12", "17"), CYCLES[1]))
    assert items(ws, "2026-09") == {"usage": 10, "billing_cycle": 4, "price_difference": 3, "payable": 17}


def test_a_line_of_use_that_only_the_next_month_has_is_charged_there_alone(tmp_path):
    ws = company(tmp_path, use=used(("2026-10-03", "4")), lines=(("2026-09-28", "2026-10-28", "4"),))
    assert items(ws, "2026-09") == {"billing_cycle": 4, "payable": 4}
    assert items(ws, "2026-10") == {"usage": 4, "billing_cycle": -4}


def test_timing_in_another_currency_balances_in_both(tmp_path):
    days = [f"2026-{month:02}-{day:02},USD,1.25" for month in (8, 9, 10, 11) for day in range(1, 31)]
    (tmp_path / "rates.csv").write_text(
        "date,currency,rate\n" + "\n".join(days) + "\n2026-08-31,USD,1.25\n2026-10-31,USD,1.25\n"
    )
    ws = company(tmp_path, text='[currency]\ngroup = "EUR"\nbase = "EUR"\nrates = "rates.csv"\n')
    parts = {m: {p.item: (p.amount, p.native) for p in posting(ws, m).charged.parts} for m in ("2026-09", "2026-11")}
    assert parts["2026-09"] == {"usage": (8, 10), "billing_cycle": (D("3.20"), 4), "payable": (D("11.20"), 14)}
    assert parts["2026-11"] == {"usage": (D("1.60"), 2), "billing_cycle": (D("-1.60"), -2)}
    entries = posting(ws, "2026-11").entries
    assert sum(entries["transaction_debit"], D(0)) == sum(entries["transaction_credit"], D(0)) == 2


@pytest.mark.parametrize("second", ["5", "6"])
def test_a_month_closed_before_the_rest_of_its_cycle_is_trued_up(tmp_path, second):
    early = used(("2026-09-20", "10"))
    ws = company(tmp_path, use=early, lines=(("2026-09-12", "2026-10-12", "15"),))
    assert items(ws, "2026-09") == {"usage": 10, "price_difference": 5, "payable": 15}
    close_month(ws, "2026-09")
    load(ws, used(("2026-09-20", "10"), ("2026-10-03", second)), (("2026-09-12", "2026-10-12", "15"),))
    ws = fa.open(tmp_path)
    entries, _ = true_up_month(ws, "2026-09")
    moved = D(second)
    assert accounts(entries) == {"1490": moved, "6195": -moved}
    assert true_up_month(fa.open(tmp_path), "2026-09")[1] is None
    fresh = company(tmp_path / "fresh", use=used(("2026-09-20", "10"), ("2026-10-03", second)), lines=(("2026-09-12", "2026-10-12", "15"),))  # fmt: skip
    both = accounts(posting(fresh, "2026-09").entries)
    assert both == {k: v for k, v in {"6100": D(10), "1490": moved, "6195": 5 - moved, "2190": D(-15)}.items() if v}
