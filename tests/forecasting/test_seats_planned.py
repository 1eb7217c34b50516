"""Seats stand on a bill, never among use: a plan puts them on their dates to the cent, and counts those already paid."""

import datetime as dt
from decimal import Decimal as D

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.forecasting.known import fees
from finops_ai.forecasting.seats import history_with_seats
from finops_ai.forecasting.shelf import keep_plan, saved_plans
from finops_ai.forecasting.year import workspace_outlook
from finops_ai.frames import BillFrame, SeatFrame, TokenFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.store.beside import keep

FIRST, LAST = pd.Timestamp("2026-08-01", tz="UTC"), pd.Timestamp("2026-10-31", tz="UTC")
#: Ada moves from web to core on 15 October; Bo is core's; two seats name nobody
TEAMS = "person,team,valid_from,valid_to\nAda,web,,2026-10-15\nAda,core,2026-10-15,\nBo,core,,\n"
SETTINGS = (
    '[workspace]\n[people]\naccounts = "accounts.csv"\nteams = "teams.csv"\n'
    '[dimensions.team]\ndefault = "nobody"\n[[rules]]\nwhen = { user_id = "bo@example.com" }\nset = { team = "core" }\n'
    '[[budgets]]\nname = "autumn"\nfrom = "2026-10"\nto = "2027-01"\namount = "1500"\n'
)


def line(cost, start, **more):
    end = start + pd.DateOffset(months=1)
    return {
        "provider": "cursor", "billing_account_id": "acme", "charge_category": "Purchase", "charge_description": "Seat, standard",
        "billed_cost": D(cost), "billing_currency": "USD", "meter": "unmapped", "source": "file", "charge_period_start": start,
        "charge_period_end": end, "billing_period_start": start, "billing_period_end": end, **more,
    }  # fmt: skip


def frame(rows, model):
    names = dict.fromkeys(name for row in rows for name in row)
    return conform({name: [row.get(name) for row in rows] for name in names}, model, source="test")


@pytest.fixture(scope="module")
def ws(tmp_path_factory):
    return company(tmp_path_factory.mktemp("seats"))


def company(tmp_path):
    (tmp_path / "accounts.csv").write_text("account,person\nada@example.com,Ada\nbo@example.com,Bo\n")
    (tmp_path / "teams.csv").write_text(TEAMS)
    (tmp_path / "finops.toml").write_text(SETTINGS)
    ws = fa.open(tmp_path)
    use = [
        {
            "charge_period_start": at, "charge_period_end": at + dt.timedelta(days=1), "provider": "cursor", "billing_account_id": "acme",
            "model": "claude-sonnet-5", "operation": "chat", "meter": "input", "quantity": D(1000), "unit": "tokens",
            "service_tier": "standard", "source": "api", "quantity_basis": "metered", "user_id": "bo@example.com",
            "money_basis": "cash", "billed_cost": D("10"), "billing_currency": "USD", "tool_name": "cursor",
        }
        for at in pd.date_range(FIRST, LAST)
    ]  # fmt: skip
    seats = [
        row
        for month in (8, 9, 10)
        for row in (
            line("40", pd.Timestamp(2026, month, 12, tz=UTC), user_id="ada@example.com"),
            line("38", pd.Timestamp(2026, month, 1, tz=UTC), charge_description="2 business seats"),
            line("0.07", pd.Timestamp(2026, month, 1, tz=UTC), charge_category="Tax"),
        )
    ]
    whole = Window(FIRST.to_pydatetime(), (LAST + pd.Timedelta(days=1)).to_pydatetime())
    ws.lake.replace_window("cursor", whole, {"tokens": frame(use, TokenFrame), "bills": frame(seats, BillFrame)}, {})
    held = {"provider": ["cursor"], "plan": ["standard"], "user_id": ["bo@example.com"], "telemetry": ["on"], "source": ["api"]}  # fmt: skip
    keep(tmp_path, "cursor", "seats", conform(held, SeatFrame, source="test"))
    return ws


def test_seats_are_in_every_month_to_the_cent(ws):
    table, ahead = workspace_outlook(ws, "2026-10", ["team"])
    total = table[table["unique_id"] == "total"].set_index("month")
    # 10 a day and 78 of seats
    assert [total.loc[m, "actual"] for m in ("2026-08", "2026-09", "2026-10")] == [
        D("388.00"),
        D("378.00"),
        D("388.00"),
    ]
    for name, days in (("2026-11", 30), ("2026-12", 31)):
        assert total.loc[name, "p50"] == D(10 * days + 78)
        parts = table[(table["month"] == name) & (table["unique_id"] != "total")]
        assert parts["p50"].sum() == total.loc[name, "p50"]
    # of Ada's 31 days from 12 October three are web's, as the seat was charged last
    web = table[(table["month"] == "2026-11") & (table["unique_id"] == "web")]["p50"].iloc[0]
    assert web == round(D(40) * 3 / 31, 2)
    assert any("seats" in note and "day 12" in note for note in table.facts.notes)
    # October to December: 920 of use, three times 78
    assert ahead["p50"].tolist() == [D("1154.00")]


def test_every_plan_of_the_workspace_has_them(ws):
    budget = workspace_budgets(ws, "2026-10")
    assert (budget["spent"].iloc[0], budget["projected"].iloc[0]) == (D("388.00"), D("1154.00"))
    days = fa.forecast(history_with_seats(ws, "2026-10", 13), 61).set_index("ds")["yhat"]
    assert (days["2026-11-01"], days["2026-11-12"], days["2026-11-13"]) == pytest.approx((48, 50, 10))
    keep_plan(ws, "board", until="2026-12")
    assert saved_plans(ws)["planned"].tolist() == [D("766.00")]


def test_another_currency_is_left_out_and_a_workspace_without_seats_is_its_history(tmp_path):
    ws = company(tmp_path)
    bills = ws.lake.read("bills", ws.window_of("2026-10"))
    other = {"tokens": ws.tokens("2026-10"), "bills": bills.assign(billing_currency="EUR")}
    ws.lake.replace_window("cursor", ws.window_of("2026-10"), {k: conform(v, m, source="test") for (k, v), m in zip(other.items(), (TokenFrame, BillFrame), strict=True)}, {})  # fmt: skip
    again = fa.open(tmp_path)
    rows = history_with_seats(again, "2026-10", 1)
    pd.testing.assert_frame_equal(rows, again.history("2026-10", 1))


def test_what_is_shared_on_a_date_is_the_same_as_a_whole():
    days = pd.date_range("2026-07-01", "2026-10-31")
    first = (days.day == 5).astype(float)
    split = [30.0, 20.0, 25.0, 10.0]
    a, b = first.copy(), first.copy()
    for i, at in enumerate(first.nonzero()[0]):
        a[at], b[at] = split[i], 40 - split[i]
    found, whole = fees([(0, 0, "seats", a), (1, 1, "seats", b)], days, [("cursor", "seats")] * 2)
    assert whole.all()
    assert [(one.cell, one.amount, one.spread) for one in found] == [(0, 10.0, 0.0), (1, 30.0, 0.0)]
