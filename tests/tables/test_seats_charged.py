"""A seat's money reaches the team of each day, in chargeback, journal and the tie to the bill, without a rule."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.frames import BillFrame, SeatFrame, TokenFrame, conform
from finops_ai.identity import Identities
from finops_ai.periods import UTC, Window
from finops_ai.store.beside import keep
from finops_ai.tables.posting import posting
from finops_ai.tables.seat_lines import TEAM, with_seat_teams

OCTOBER = Window.month("2026-10")
ACCOUNTS = "account,person\nada@example.com,Ada\nbo@example.com,Bo\n"
TEAMS = "person,team,valid_from,valid_to\nAda,web,,2026-10-15\nAda,core,2026-10-15,\nBo,core,,\n"
DIMENSION = (
    '[dimensions.team]\ndefault = "nobody"\n[[rules]]\nwhen = { user_id = "bo@example.com" }\nset = { team = "core" }\n'
)


def day(month: int, number: int) -> dt.datetime:
    return dt.datetime(2026, month, number, tzinfo=UTC)


def line(cost: str, start: dt.datetime, end: dt.datetime, **more: Any) -> dict[str, Any]:
    return {
        "provider": "cursor", "billing_account_id": "acme", "charge_category": "Purchase", "charge_description": "Seat, standard",
        "billed_cost": D(cost), "billing_currency": "USD", "meter": "unmapped", "source": "file", "charge_period_start": start,
        "charge_period_end": end, "billing_period_start": start, "billing_period_end": end, **more,
    }  # fmt: skip


def bill(*lines: dict[str, Any]) -> pd.DataFrame:
    names = dict.fromkeys(name for row in lines for name in row)
    return conform({name: [row.get(name) for row in lines] for name in names}, BillFrame, source="test")


#: by hand: Ada's 40 over 31 days from the 12th: 3 days of web, 28 of core; the two seats without names are 19 each
#: for October: 14 days of Ada's web, 17 of her core, all of Bo's core
LINES = (
    line("40", day(10, 12), day(11, 12), user_id="Ada@Example.com"),
    line("38", day(10, 1), day(11, 1), charge_description="2 business seats"),
)
WEB, CORE = D("3.870968") + D("8.580645"), D("36.129032") + D("10.419355") + D("19")


def company(folder: Path, lines: tuple[dict[str, Any], ...] = LINES, more: str = "", people: str = "") -> fa.Workspace:
    (folder / "accounts.csv").write_text(ACCOUNTS)
    (folder / "teams.csv").write_text(TEAMS)
    people = f'[people]\naccounts = "accounts.csv"\nteams = "teams.csv"\n{people}\n'
    (folder / "finops.toml").write_text(f"[workspace]\n{people}{DIMENSION}{more}")
    ws = fa.open(folder)
    at = day(10, 5)
    use = {
        "charge_period_start": [at], "charge_period_end": [at + dt.timedelta(hours=1)], "provider": ["cursor"], "billing_account_id": ["acme"],
        "model": ["claude-sonnet-5"], "operation": ["chat"], "meter": ["input"], "quantity": [D(1000)], "unit": ["tokens"],
        "service_tier": ["standard"], "source": ["api"], "quantity_basis": ["metered"], "user_id": ["bo@example.com"],
        "money_basis": ["cash"], "billed_cost": [D("6.50")], "billing_currency": ["USD"], "tool_name": ["cursor"],
    }  # fmt: skip
    on_demand = line("6.50", day(10, 1), day(11, 1), charge_category="Usage", charge_description="Use on demand")
    frames = {"tokens": conform(use, TokenFrame, source="test"), "bills": bill(*lines, on_demand)}
    ws.lake.replace_window("cursor", OCTOBER, frames, {})
    held = {
        "provider": ["cursor"] * 2, "plan": ["teams-standard"] * 2, "user_id": ["ada@example.com", "bo@example.com"], "telemetry": ["on"] * 2,
        "source": ["api"] * 2,
    }  # fmt: skip
    keep(folder, "cursor", "seats", conform(held, SeatFrame, source="test"))
    return ws


def charges(ws: fa.Workspace) -> dict[str, D]:
    made = posting(ws, "2026-10")
    return {row["receiver"]: row["charge"] for row in made.charged.summary.to_dict("records")}


def test_seats_go_to_the_team_of_each_day_and_all_is_the_invoice(tmp_path):
    ws = company(tmp_path)
    assert charges(ws) == {"core": round(CORE, 2) + D("6.50"), "web": round(WEB, 2)}
    made = posting(ws, "2026-10")
    assert made.entries["debit"].sum() == made.entries["credit"].sum() == D("84.50")
    tie = made.charged.tie_out()
    assert tie[tie["item"] == "payable"]["amount"].sum() == D("84.50")
    assert set(tie["item"]) == {"usage", "fees", "payable"}, "nothing is prepaid, and nothing is unexplained"
    assert [line for line in made.statement("web")["text"] if "Seats: Seat, standard" in line]


def test_a_rule_of_the_companys_own_decides(tmp_path):
    rule = '[[bill]]\nwhen = { kind = "fees" }\nto = "platform"\n'
    assert charges(company(tmp_path, more=rule)) == {"platform": D("78.00"), "core": D("6.50")}


def test_seats_of_somebody_nobody_knows_are_divided_and_no_commitment_is(tmp_path):
    stranger = line("40", day(10, 1), day(11, 1), user_id="who@example.com")
    ahead = line("500", day(10, 1), day(11, 1), charge_description="Prepaid credit")
    ws = company(tmp_path, (stranger, ahead))
    assert charges(ws) == {"core": D("46.50")}, "the seat goes where the account's use is"
    tie = posting(ws, "2026-10").charged.tie_out()
    assert tie[tie["item"] == "prepaid"]["amount"].sum() == 500


def test_another_dimension_is_no_team(tmp_path):
    ws = company(tmp_path, people='dimension = "squad"')
    assert charges(ws) == {"core": D("84.50")}


def test_a_person_who_moves_is_charged_anew(tmp_path):
    ws = company(tmp_path)
    before = charges(ws)
    (tmp_path / "teams.csv").write_text(TEAMS.replace("2026-10-15", "2026-10-20"))
    after = charges(fa.open(tmp_path))
    assert after["web"] > before["web"]
    assert sum(after.values()) == sum(before.values()) == D("84.50")


@given(
    lines=st.lists(st.tuples(st.integers(-5_000_00, 5_000_00), st.integers(1, 28), st.integers(1, 400), st.sampled_from(["ada@example.com", "bo@example.com", "x@y", None])), min_size=1, max_size=6),
    moves=st.lists(st.integers(1, 30), max_size=3, unique=True),
)  # fmt: skip
@pytest.mark.long
@settings(max_examples=25, deadline=None)
def test_no_unit_of_a_seat_is_lost(lines, moves):
    bills = bill(*(
        line(str(D(cents).scaleb(-2) / 7 // D("1e-18") * D("1e-18")), day(10, start), day(10, start) + dt.timedelta(days=days), user_id=user)
        for cents, start, days, user in lines
    ))  # fmt: skip
    edges = [None, *(f"2026-10-{n:02}" for n in sorted(moves)), None]
    teams = [
        {"person": "Ada", "team": f"t{i}", **({"valid_from": a} if a else {}), **({"valid_to": b} if b else {})}
        for i, (a, b) in enumerate(zip(edges, edges[1:], strict=False))
    ]
    who = Identities.load([{"account": "ada@example.com", "person": "Ada"}], teams)
    seats = conform({"provider": ["cursor"], "plan": ["p"], "user_id": ["ada@example.com"], "telemetry": ["on"], "source": ["api"]}, SeatFrame, source="t")  # fmt: skip
    found = with_seat_teams(bills, who, seats, teams=True)
    assert found["billed_cost"].sum() == bills["billed_cost"].sum()
    assert found[TEAM].notna().all()


@pytest.mark.parametrize(("text", "category", "seat"), [
    ("Copilot Business seats", "Purchase", True), ("copilot_enterprise", "Purchase", True), ("12 licences", "Purchase", True),
    ("Seated support", "Purchase", False), ("Prepaid credit", "Purchase", False), ("Seats", "Tax", False),
])  # fmt: skip
def test_what_is_a_seat(text, category, seat):
    one = bill(line("1", day(10, 1), day(11, 1), charge_description=text, charge_category=category))
    empty = conform({}, SeatFrame, source="t")
    assert bool(with_seat_teams(one, Identities(), empty, teams=True)[TEAM].notna().iloc[0]) is seat
