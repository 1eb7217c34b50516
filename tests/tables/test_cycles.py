"""Use of a cycle that is billed with another month is timing, to the cent; whatever else differs stays open."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from typing import Any

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.frames import BillFrame, TokenFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.tables.reconcile import workspace_reconciliation


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=UTC)


def used(*days: tuple[str, str], **more: Any) -> pd.DataFrame:
    rows = [
        {
            "charge_period_start": at(day), "charge_period_end": at(day) + dt.timedelta(minutes=1), "provider": "cursor", "billing_account_id": "acme",
            "model": "claude-sonnet-5", "operation": "chat", "meter": "input", "quantity": D(1000), "unit": "tokens", "service_tier": "standard",
            "source": "api", "quantity_basis": "metered", "money_basis": "cash", "billed_cost": D(cost), "billing_currency": "USD", "tool_name": "cursor",
            **more,
        }
        for day, cost in days
    ]  # fmt: skip
    return conform({name: [row[name] for row in rows] for name in rows[0]}, TokenFrame, source="test")


def billed(*lines: tuple[str, str, str], **more: Any) -> pd.DataFrame:
    rows = [
        {
            "provider": "cursor", "billing_account_id": "acme", "charge_category": "Usage", "charge_description": "Use on demand", "meter": "unmapped",
            "billed_cost": D(cost), "billing_currency": "USD", "source": "file", "charge_period_start": at(start), "charge_period_end": at(end),
            "billing_period_start": at(start), "billing_period_end": at(end), **more,
        }
        for start, end, cost in lines
    ]  # fmt: skip
    return conform({name: [row[name] for row in rows] for name in rows[0]}, BillFrame, source="test")


#: cycles from the 12th: 10 of September and 4 of October on the first line, 5 of October and 2 of November on the second
USE = used(
    ("2026-09-20", "10"), ("2026-10-03", "3"), ("2026-10-11T23:59", "1"), ("2026-10-12", "5"), ("2026-11-02", "2")
)
CYCLES = (("2026-09-12", "2026-10-12", "14"), ("2026-10-12", "2026-11-12", "7"))


def of(table: pd.DataFrame, month: str) -> dict[str, Any]:
    (row,) = table[table["month"] == month].to_dict("records")
    return row


def test_a_cycle_is_timing_between_months():
    table = fa.reconcile(fa.price(USE), billed(*CYCLES))
    found = {m: of(table, m) for m in ("2026-09", "2026-10", "2026-11")}
    assert {m: (r["computed"], r["billed"] or 0, r["billing_cycle"], r["unexplained"]) for m, r in found.items()} == {
        "2026-09": (10, 14, 4, 0), "2026-10": (9, 7, -2, 0), "2026-11": (2, 0, -2, 0),
    }  # fmt: skip
    assert sum(r["billing_cycle"] for r in found.values()) == 0
    assert {found["2026-09"]["status"], found["2026-10"]["status"]} == {"pass"}


def test_a_month_alone_is_told_by_what_is_around_it():
    table = fa.reconcile(fa.price(USE), billed(*CYCLES), month="2026-10")
    assert table["month"].tolist() == ["2026-10"]
    assert (of(table, "2026-10")["billing_cycle"], of(table, "2026-10")["difference"]) == (-2, -2)


def test_what_a_cycle_does_not_explain_stays_open():
    wrong = (("2026-09-12", "2026-10-12", "17"), CYCLES[1])
    row = of(fa.reconcile(fa.price(USE), billed(*wrong)), "2026-09")
    assert (row["billing_cycle"], row["unexplained"], row["status"]) == (4, 3, "warn")


@pytest.mark.parametrize(("named", "other"), [({"model": "claude-sonnet-5"}, 0), ({"model": "claude-opus-5"}, 1)])
def test_a_line_of_a_model_moves_that_models_use_alone(named, other):
    row = of(fa.reconcile(fa.price(USE), billed(*CYCLES, **named)), "2026-09")
    assert (row["billing_cycle"] == 0) is bool(other)


def test_lines_of_calendar_months_move_nothing():
    months = (("2026-09-01", "2026-10-01", "10"), ("2026-10-01", "2026-11-01", "9"), ("2026-11-01", "2026-12-01", "2"))
    table = fa.reconcile(fa.price(USE), billed(*months))
    assert set(table["billing_cycle"]) == {D(0)}
    assert set(table["status"]) == {"pass"}


def test_a_cycle_ends_at_its_instant_in_any_zone():
    table = fa.reconcile(fa.price(USE), billed(*CYCLES), timezone="Europe/Berlin")
    assert (of(table, "2026-09")["billing_cycle"], of(table, "2026-09")["unexplained"]) == (4, 0)


@pytest.mark.long
def test_a_workspaces_month_knows_its_neighbours(tmp_path):
    (tmp_path / "finops.toml").write_text('[workspace]\n[dimensions.team]\ndefault = "nobody"\n')
    ws = fa.open(tmp_path)
    ws.lake.replace_window(
        "cursor", Window.of(dt.date(2026, 9, 1), dt.date(2026, 12, 1)), {"tokens": USE, "bills": billed(*CYCLES)}, {}
    )
    for month, moved in (("2026-09", 4), ("2026-10", -2)):
        table = workspace_reconciliation(ws, month)
        assert table["month"].tolist() == [month]
        assert (of(table, month)["billing_cycle"], table.status) == (moved, "pass")


@pytest.mark.long
def test_the_sample_companys_engineers_tie():
    ws = fa.sample.people_workspace()
    tables = [workspace_reconciliation(ws, month) for month in ws.months()]
    assert [table.status for table in tables] == ["pass", "pass"]
    # use from 1 to 11 October on the line that began on 12 September, by hand from the frame
    use = fa.sample.engineers().tokens
    start = use["charge_period_start"]
    early = (
        (use["provider"] == "cursor")
        & (use["money_basis"] == "cash")
        & (start >= at("2026-10-01"))
        & (start < at("2026-10-12"))
    )
    whole = sum(cost for cost in use[early.to_numpy(bool)]["billed_cost"].dropna())
    assert [table[table["provider"] == "cursor"]["billing_cycle"].iloc[0] for table in tables] == [whole, -whole]
