"""Seats beside usage: showback, bridge and FOCUS export of both, each day of a seat with that day's team, exact."""

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
from finops_ai.errors import FrameError
from finops_ai.frames import BillFrame, SeatFrame, TokenFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.tables.focus import write_focus
from finops_ai.tables.focus_check import check_focus

RULES: dict[str, Any] = {
    "dimensions": {"team": {"default": "nobody"}},
    "rules": [{"when": {"model": "chat"}, "set": {"team": "web"}}],
}
PEOPLE = fa.Identities.load(
    [{"account": f"{name}@example.com", "person": name} for name in ("ada", "bo")],
    [
        {"person": "ada", "team": "web", "valid_to": "2026-10-15"},
        {"person": "ada", "team": "core", "valid_from": "2026-10-15"},
        {"person": "bo", "team": "core"},
    ],
)


def usage(zone: str = "UTC") -> pd.DataFrame:
    """One call a month, which costs what the source says: 10 each."""
    ats = [dt.datetime(2026, month, 3, 12, tzinfo=UTC) for month in (9, 10)]
    row: dict[str, Any] = {
        "provider": "cursor", "billing_account_id": "acme", "model": "chat", "operation": "chat", "meter": "requests",
        "quantity": D(1), "unit": "requests", "service_tier": "standard", "source": "api", "quantity_basis": "metered",
        "money_basis": "cash", "billed_cost": D(10), "billing_currency": "USD",
    }  # fmt: skip
    columns = {name: [value] * 2 for name, value in row.items()}
    columns |= {"charge_period_start": ats, "charge_period_end": [at + dt.timedelta(hours=1) for at in ats]}
    return fa.allocate(fa.price(conform(columns, TokenFrame, source="test")), RULES, timezone=zone)


def bill(*lines: tuple[str, dt.date, dt.date, str | None, dict[str, Any]]) -> pd.DataFrame:
    """Seats: cost, first day, day after, holder, and more."""
    rows = []
    for cost, first, after, holder, more in lines:
        start, end = (dt.datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, after))
        rows.append({
            "provider": "cursor", "billing_account_id": "acme", "charge_category": "Purchase", "charge_description": "Seat",
            "sku_id": "standard", "billed_cost": D(cost), "billing_currency": "USD", "meter": "unmapped", "source": "file",
            "charge_period_start": start, "charge_period_end": end, "billing_period_start": start, "billing_period_end": end,
            "user_id": holder, **more,
        })  # fmt: skip
    names = dict.fromkeys(name for row in rows for name in row)
    return conform({name: [row.get(name) for row in rows] for name in names}, BillFrame, source="test")


def by_team(frame: pd.DataFrame, month: str, zone: str = "UTC") -> dict[str, D]:
    table = fa.showback(frame, by=["team"], month=month, timezone=zone)
    return {team: cost for team, cost in zip(table["team"], table["cost"], strict=True) if cost}


CYCLES = (
    ("31", dt.date(2026, 10, 1), dt.date(2026, 11, 1), "Ada@Example.com", {}),
    ("40", dt.date(2026, 9, 12), dt.date(2026, 10, 12), "bo@example.com", {}),
    ("31", dt.date(2026, 10, 12), dt.date(2026, 11, 12), "bo@example.com", {}),
)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles"])
def test_a_seat_s_days_go_to_each_day_s_team_in_any_zone(zone: str) -> None:
    whole = fa.with_seats(usage(zone), PEOPLE, bills=bill(*CYCLES), month=["2026-09", "2026-10"], rules=RULES)
    # by hand: Ada 14 of 31 days web; Bo 11 of 30 days of 40 in October and 20 of 31 of 31; 19 of 30 of 40 in September
    october = by_team(whole, "2026-10", zone)
    assert round(october["web"], 12) == D(10) + D(14)
    assert round(october["core"], 9) == D(17) + round(D(40) * 11 / 30, 9) + D(20)
    assert round(by_team(whole, "2026-09", zone)["core"], 9) == round(D(40) * 19 / 30, 9)
    day = fa.showback(whole, by=["day", "team"], month="2026-10", timezone=zone)
    assert [round(x, 9) for x in day[(day["day"] == dt.date(2026, 10, 15)) & (day["team"] == "core")]["cost"]] == [D(2)]
    assert any("of the cost is seats" in note for note in day.facts.notes)


def test_the_bridge_says_seats_and_price_apart() -> None:
    lines = [
        ("30", dt.date(2026, 9, 1), dt.date(2026, 10, 1), "bo@example.com", {}),
        ("40", dt.date(2026, 10, 1), dt.date(2026, 11, 1), "bo@example.com", {}),  # 10 dearer
        ("40", dt.date(2026, 10, 1), dt.date(2026, 11, 1), "ada@example.com", {}),  # joined: web 14 days, core 17
    ]
    whole = fa.with_seats(usage(), PEOPLE, bills=bill(*lines), month=["2026-09", "2026-10"], rules=RULES)
    october = (whole["charge_period_start"] >= "2026-10-01").to_numpy(bool)
    bridge = fa.explain(whole[~october], whole[october], by=["team"]).set_index("team")
    assert round(bridge.loc["web", "seats"], 9) == round(D(40) * 14 / 31, 9)  # a team that had none
    core = bridge.loc["core"]
    more = D(17) / 31  # seat-months more, at the mean of both prices; the dearer price on the mean of both numbers
    assert abs(core["seats"] - more * 35) < D("0.0001")
    assert abs(core["price"] - 10 * (1 + more / 2)) < D("0.0001")
    assert core["seats"] + core["price"] == core["change"] == core["after"] - core["before"]


def test_an_unchanged_seat_explains_nothing_however_long_the_months() -> None:
    lines = [("40", *days, "bo@example.com", {}) for days in MONTHS]
    whole = fa.with_seats(usage(), PEOPLE, bills=bill(*lines), month=["2026-09", "2026-10"], rules=RULES)
    october = (whole["charge_period_start"] >= "2026-10-01").to_numpy(bool)
    bridge = fa.explain(whole[~october], whole[october])
    assert bridge["change"].iloc[0] == bridge["seats"].iloc[0] == bridge["price"].iloc[0] == 0


MONTHS = [
    (dt.date(2026, 9, 1), dt.date(2026, 10, 1)),
    (dt.date(2026, 10, 1), dt.date(2026, 11, 1)),
]


def test_focus_has_seats_as_recurring_purchases_that_add_up(tmp_path: Path) -> None:
    whole = fa.with_seats(usage(), PEOPLE, bills=bill(*CYCLES), month="2026-10", rules=RULES)
    rows = whole[(whole["charge_period_start"] >= "2026-10-01") & (whole["charge_period_start"] < "2026-11-01")]
    for version in ("1.2", "1.3", "1.4"):
        focus = fa.to_focus(rows, version)
        assert not check_focus(write_focus(focus, tmp_path / f"{version}.parquet"), version)
        seats = focus[focus["ChargeCategory"] == "Purchase"]
        assert set(seats["ChargeFrequency"]) == {"Recurring"}
        assert seats["ConsumedQuantity"].isna().all()
        assert round(sum(seats["BilledCost"]), 9) == D(31) + round(D(40) * 11 / 30, 9) + D(20)
        assert round(sum(seats[seats["x_Team"] == "web"]["BilledCost"]), 9) == D(14)


def test_seats_of_nobody_and_what_is_no_seat() -> None:
    october = (dt.date(2026, 10, 1), dt.date(2026, 11, 1))
    lines = [
        ("190", *october, None, {"charge_description": "10 business seats", "pricing_quantity": D(10), "pricing_unit": "user-months"}),
        ("-19", *october, None, {"charge_description": "Seat credit"}),
        ("500", *october, None, {"charge_description": "Support plan", "sku_id": "support"}),
    ]  # fmt: skip
    whole = fa.with_seats(usage(), PEOPLE, bills=bill(*lines), month="2026-10", rules=RULES)
    seats = whole[whole["meter"] == "seat_months"]
    assert sum(seats["effective_cost"]) == D(171)
    assert set(seats["team"]) == {"nobody"}
    assert abs(sum(seats["quantity"]) - 10) < D("0.0001")  # a credit takes none back


def test_seats_no_bill_has_are_estimated_and_a_bill_takes_their_place() -> None:
    held = conform(
        {"provider": ["cursor"], "plan": ["teams-standard"], "user_id": ["bo@example.com"], "telemetry": ["on"], "source": ["api"]},
        SeatFrame, source="test",
    )  # fmt: skip
    months = ["2026-09", "2026-10"]
    whole = fa.with_seats(usage(), PEOPLE, bills=bill(CYCLES[0]), seats=held, month=months, rules=RULES)
    seats = whole[whole["meter"] == "seat_months"]
    september = (seats["charge_period_start"] < "2026-10-01").to_numpy(bool)
    assert set(seats[september]["quantity_basis"]) == {"estimated"}
    assert sum(seats[september]["billed_cost"]) == D(40)
    assert set(seats[~september]["quantity_basis"]) == {"imputed"}
    assert sum(seats[~september]["billed_cost"]) == D(31)


def test_what_rests_on_the_team_follows_from_the_day_s_team() -> None:
    rules = RULES | {
        "dimensions": {"team": {"default": "nobody"}, "cost_centre": {"default": "none"}},
        "rules": [*RULES["rules"], {"when": {"team": "core"}, "set": {"cost_centre": "CC-7"}}],
    }
    rows = fa.allocate(fa.price(usage()[list(TokenFrame.to_schema().columns)]), rules)
    whole = fa.with_seats(rows, PEOPLE, bills=bill(CYCLES[0]), month="2026-10", rules=rules)
    seats = whole[whole["meter"] == "seat_months"]
    assert {(t, c): sum(g["effective_cost"]) for (t, c), g in seats.groupby(["team", "cost_centre"])} == {
        ("web", "none"): D(14), ("core", "CC-7"): D(17),
    }  # fmt: skip
    assert seats["agent_name"].isna().all()


def test_rows_without_costs_are_refused() -> None:
    with pytest.raises(FrameError, match="call fa"):
        fa.with_seats(usage()[["model"]], PEOPLE, month="2026-10")


DAYS = st.dates(dt.date(2026, 8, 20), dt.date(2026, 11, 5))
LINE = st.tuples(
    st.decimals("-50", "500", places=2).map(str), DAYS, st.integers(1, 400),
    st.sampled_from(["ada@example.com", "BO@example.com", "stranger@example.com", None]),
)  # fmt: skip


@settings(max_examples=5, deadline=None)
@given(st.lists(LINE, min_size=1, max_size=4))
def test_by_team_it_is_what_people_months_says(lines: list[tuple[str, dt.date, int, str | None]]) -> None:
    bills = bill(*((cost, first, first + dt.timedelta(days), who, {}) for cost, first, days, who in lines))
    held = conform(
        {"provider": ["cursor"] * 2, "plan": ["standard"] * 2, "user_id": ["ada@example.com", "bo@example.com"],
         "seat_start": [dt.datetime(2026, 9, 20, tzinfo=UTC), None], "telemetry": ["on"] * 2, "source": ["api"] * 2},
        SeatFrame, source="test",
    )  # fmt: skip
    window = Window.month("2026-10")
    none = usage()
    whole = fa.with_seats(none, PEOPLE, bills=bills, seats=held, month=window, rules=RULES)
    seats = whole[whole["meter"] == "seat_months"]
    mine: dict[str, D] = {}
    for team, cost in zip(seats["team"], seats["effective_cost"], strict=True):
        mine[team] = mine.get(team, D(0)) + cost
    table = fa.people_months(
        PEOPLE, bills=bills, seats=held, month="2026-10", by=["team"], privacy=fa.Privacy(smallest=1)
    )
    theirs = dict(zip(table["team"], table["seat_cost"], strict=True))
    theirs = {"nobody" if team not in ("web", "core") else team: cost for team, cost in theirs.items() if cost}
    assert {team: cost for team, cost in mine.items() if cost} == theirs
