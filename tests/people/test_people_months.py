"""True cost of a person-month and a team-month: to the day, to the cent, to the invoice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.frames import BillFrame, SeatFrame, conform
from finops_ai.identity import Identities
from finops_ai.people.months import CASH
from finops_ai.periods import Window

ALL = fa.Privacy(shown=True)
WHO = Identities.load(
    [
        {"account": "ada@example.com", "person": "Ada"},
        {"account": "ada-quill", "person": "Ada", "provider": "github-copilot"},
        {"account": "bo@example.com", "person": "Bo"},
        {"account": "bo-tern", "person": "Bo", "provider": "github-copilot"},
        {"account": "cy@example.com", "person": "Cy"},
    ],
    [
        {"person": "Ada", "team": "web", "valid_to": "2026-10-15"},
        {"person": "Ada", "team": "core", "valid_from": "2026-10-15"},
        {"person": "Bo", "team": "core"},
    ],
)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def bill(*rows: dict) -> pd.DataFrame:
    made = []
    for row in rows:
        full = {
            "provider": "cursor", "billing_account_id": "acme", "charge_period_start": "2026-10-01",
            "charge_period_end": "2026-11-01", "charge_category": "Purchase", "billing_currency": "USD", "user_id": None,
        } | row  # fmt: skip
        made.append(full)
    names = list(made[0])
    columns = {n: [r[n] for r in made] for n in names}
    for name in ("charge_period_start", "charge_period_end"):
        columns[name] = [at(v) for v in columns[name]]
        columns[name.replace("charge", "billing")] = columns[name]
    n = len(made)
    return conform(
        columns | {"charge_description": ["a line"] * n, "meter": ["unmapped"] * n, "source": ["file"] * n},
        BillFrame,
        source="the test",
    )


def usage(*rows: tuple) -> pd.DataFrame:
    """Rows of provider, account, day, money basis, stated cost; one request row each."""
    n = len(rows)
    tokens = conform(
        {
            "charge_period_start": [at(r[2]) for r in rows],
            "charge_period_end": [at(r[2]) + pd.Timedelta(minutes=1) for r in rows],
            "provider": [r[0] for r in rows], "billing_account_id": ["acme"] * n, "model": ["m"] * n, "operation": ["chat"] * n,
            "meter": ["requests"] * n, "quantity": [Decimal(1)] * n, "unit": ["requests"] * n, "service_tier": ["standard"] * n,
            "user_id": [r[1] for r in rows], "source": ["api"] * n, "quantity_basis": ["metered"] * n,
            "money_basis": [r[3] for r in rows], "billed_cost": [Decimal(str(r[4])) for r in rows], "billing_currency": ["USD"] * n,
        },
        source="the test",
    )  # fmt: skip
    return fa.price(tokens)


def test_a_person_who_moves_on_the_15th_is_split_on_the_day() -> None:
    table = fa.people_months(
        WHO,
        bills=bill({"billed_cost": Decimal(31), "user_id": "Ada@Example.com"}),
        by=["month", "person", "team"],
        privacy=ALL,
    ).set_index("team")
    assert table["cost"].to_dict() == {"web": Decimal(14), "core": Decimal(17)}
    assert table["seat_days"].to_dict() == {"web": 14, "core": 17}


def test_use_goes_to_the_team_of_its_own_day() -> None:
    rows = usage(
        ("cursor", "ada@example.com", "2026-10-14T23:59", "cash", 1),
        ("cursor", "ADA@example.com", "2026-10-15T00:00", "cash", 2),
    )
    table = fa.people_months(WHO, usage=rows, by=["team"], privacy=ALL).set_index("team")
    assert table["on_demand_cost"].to_dict() == {"web": Decimal(1), "core": Decimal(2)}
    berlin = fa.people_months(WHO, usage=rows, by=["team"], privacy=ALL, timezone="Europe/Berlin").set_index("team")
    assert berlin["on_demand_cost"].to_dict() == {"core": Decimal(3)}  # 14 October 23:59 UTC is the 15th in Berlin


def test_three_moneys_of_a_person_stand_side_by_side() -> None:
    rows = usage(
        ("cursor", "ada@example.com", "2026-10-20", "cash", "0.5735312"),
        ("cursor", "ada@example.com", "2026-10-20", "included", "0.10963"),
    )
    row = fa.people_months(
        WHO, usage=rows, bills=bill({"billed_cost": Decimal(40), "user_id": "ada@example.com"}), privacy=ALL
    ).iloc[0]
    assert (row["seat_cost"], row["on_demand_cost"], row["cost"]) == (40, Decimal("0.5735312"), Decimal("40.5735312"))
    assert row["included_cost"] == Decimal("0.10963")
    assert pd.isna(row["list_value"])


def test_a_bill_of_use_is_the_money_and_what_it_has_more_is_said() -> None:
    rows = usage(
        ("cursor", "ada@example.com", "2026-10-03", "cash", 6),
        ("cursor", "bo@example.com", "2026-10-04", "cash", 3),
    )
    lines = bill({"billed_cost": Decimal(10), "charge_category": "Usage"})
    table = fa.people_months(WHO, usage=rows, bills=lines, by=["person"], privacy=ALL).set_index("person")
    assert table["cost"].to_dict() == {"Ada": 6, "Bo": 3, "not by person": 1}
    assert sum(table["cost"]) == Decimal(10)


def test_a_bill_that_names_people_replaces_what_was_computed_for_them() -> None:
    rows = usage(
        ("github-copilot", "ada-quill", "2026-10-03", "cash", 6),
        ("github-copilot", "bo-tern", "2026-10-04", "cash", 3),
    )
    lines = bill(
        {
            "provider": "github-copilot",
            "billed_cost": Decimal("6.50"),
            "charge_category": "Usage",
            "user_id": "ada-quill",
        },
        {"provider": "github-copilot", "billed_cost": Decimal("3.25"), "charge_category": "Usage"},
    )
    table = fa.people_months(WHO, usage=rows, bills=lines, by=["person"], privacy=ALL).set_index("person")
    assert table["cost"].to_dict() == {"Ada": Decimal("6.50"), "Bo": 3, "not by person": Decimal("0.25")}


def test_a_seat_line_without_a_name_is_divided_by_the_days_seats_were_held() -> None:
    held = conform(
        {
            "provider": ["cursor"] * 2, "plan": ["teams-standard"] * 2, "user_id": ["ada@example.com", "bo@example.com"],
            "seat_start": [at("2026-10-01"), at("2026-10-22")], "telemetry": ["on"] * 2, "source": ["api"] * 2,
        },
        SeatFrame,
        source="the test",
    )  # fmt: skip
    table = fa.people_months(
        WHO, bills=bill({"billed_cost": Decimal(82)}), seats=held, by=["person"], privacy=ALL
    ).set_index("person")
    assert table["seat_cost"].to_dict() == {"Ada": Decimal(62), "Bo": Decimal(20)}  # 31 and 10 of 41 days


def test_a_cycle_from_the_12th_adds_up_to_its_invoice_and_each_month_has_its_days() -> None:
    line = bill({
        "billed_cost": Decimal(31), "user_id": "bo@example.com", "charge_period_start": "2026-10-12T09:30",
        "charge_period_end": "2026-11-12T09:30",
    })  # fmt: skip
    months = fa.people_months(WHO, bills=line, by=["month"], privacy=ALL).set_index("month")
    assert months["cost"].to_dict() == {"2026-10": Decimal(20), "2026-11": Decimal(11)}
    cycle = fa.people_months(WHO, bills=line, month=Window.of("2026-10-12", "2026-11-12"), by=["person"], privacy=ALL)
    assert cycle["cost"].tolist() == [Decimal(31)]


def test_seats_without_a_bill_are_at_the_price_list_month_by_month() -> None:
    held = conform(
        {"provider": ["cursor"], "plan": ["teams-standard"], "user_id": ["bo@example.com"], "telemetry": ["on"], "source": ["api"]},
        SeatFrame,
        source="the test",
    )  # fmt: skip
    lines = bill({"billed_cost": Decimal(32), "user_id": "bo@example.com"})
    table = fa.people_months(WHO, bills=lines, seats=held, month=["2026-10", "2026-11"], by=["month"], privacy=ALL)
    assert table["cost"].tolist() == [Decimal(32), Decimal(40)]  # the bill of October; November isn't billed yet
    assert any("cursor are at the price list" in note and "2026-11" in note for note in table.facts.notes)


def test_published_amounts_add_up_to_the_invoice_to_the_cent() -> None:
    lines = bill(*({"billed_cost": Decimal("33.33"), "user_id": f"{n}@example.com"} for n in "abc"))
    who = Identities.load(
        [{"account": f"{n}@example.com", "person": n, "team": t} for n, t in zip("abc", "xyz", strict=True)]
    )
    table = fa.people_months(who, bills=lines, month=Window.of("2026-10-01", "2026-10-08"), by=["team"], privacy=ALL)
    week = Decimal("99.99") * 7 / 31
    assert abs(sum(table["cost"]) - week) < Decimal("1e-15")
    assert sum(table.published()["cost"]) == round(week, 2)


def test_several_currencies_are_never_added() -> None:
    lines = bill(
        {"billed_cost": Decimal(10), "user_id": "bo@example.com"},
        {"billed_cost": Decimal(7), "user_id": "bo@example.com", "billing_currency": "EUR"},
    )
    table = fa.people_months(WHO, bills=lines, by=["person"], privacy=ALL)
    assert dict(zip(table["currency"], table["cost"], strict=True)) == {"USD": 10, "EUR": 7}


# -- what may be seen


def _team(size: int, name: str) -> list[dict]:
    return [{"account": f"{name}{n}@example.com", "person": f"{name}{n}", "team": name} for n in range(size)]


def test_names_are_masked_unless_they_are_asked_for_and_stay_the_same() -> None:
    lines = bill(
        {"billed_cost": Decimal(1), "user_id": "bo@example.com"},
        {"billed_cost": Decimal(2), "user_id": "x@example.com"},
    )
    one, two = (fa.people_months(WHO, bills=lines, by=["person"]) for _ in range(2))
    assert one["person"].tolist() == two["person"].tolist()
    assert not any("Bo" in name or "@" in name for name in one["person"])
    assert any(name.startswith("unknown account ") for name in one["person"])


def test_persons_are_in_the_order_of_names_unless_ranking_is_switched_on() -> None:
    lines = bill(
        {"billed_cost": Decimal(1), "user_id": "ada@example.com"},
        {"billed_cost": Decimal(2), "user_id": "bo@example.com"},
    )
    plain = fa.people_months(WHO, bills=lines, by=["person"], privacy=ALL)
    ranked = fa.people_months(WHO, bills=lines, by=["person"], privacy=fa.Privacy(shown=True, ranked=True))
    assert (plain["person"].tolist(), ranked["person"].tolist()) == (["Ada", "Bo"], ["Bo", "Ada"])


def test_small_teams_are_one_row_that_nobody_is_found_out_from() -> None:
    who = Identities.load([*_team(7, "web"), *_team(6, "core"), *_team(2, "tiny")])
    names = [row[1] for row in who.spans]
    lines = bill(*({"billed_cost": Decimal(1), "user_id": name} for name in names))
    table = fa.people_months(who, bills=lines, by=["team"])
    # two people alone could be found by subtraction, so the next smallest team joins them
    assert dict(zip(table["team"], table["cost"], strict=True)) == {"web": 7, "groups under 5 people": 8}
    assert sum(fa.people_months(who, bills=lines, by=["team"], privacy=fa.Privacy(smallest=1))["cost"]) == 15
    shown = fa.people_months(who, bills=lines, by=["team"], privacy=fa.Privacy(smallest=1))
    assert dict(zip(shown["team"], shown["people"], strict=True)) == {"web": 7, "core": 6, "tiny": 2}


# -- what conserves

_DAY0 = dt.date(2026, 9, 1)
_moves = st.lists(st.integers(0, 90), min_size=0, max_size=4, unique=True)
_lines = st.lists(
    st.tuples(
        st.integers(0, 80),
        st.integers(1, 60),
        st.decimals("-999", "9999", places=6),
        st.sampled_from(["a", "b", "zz", None]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(_moves, _lines)
def test_whoever_moves_whenever_every_unit_is_in_one_row_and_in_one_team(moves: list[int], lines: list[tuple]) -> None:
    edges = [None, *(_DAY0 + dt.timedelta(days=n) for n in sorted(moves)), None]
    teams = [
        {"person": "A", "team": f"t{n}", "valid_from": a or "", "valid_to": b or ""}
        for n, (a, b) in enumerate(zip(edges, edges[1:], strict=False))
    ]
    who = Identities.load([{"account": "a", "person": "A"}, {"account": "b", "person": "B", "team": "t0"}], teams)
    frame = bill(*(
        {
            "billed_cost": cost, "user_id": user, "charge_period_start": str(_DAY0 + dt.timedelta(days=start)),
            "charge_period_end": str(_DAY0 + dt.timedelta(days=start + days)),
        }
        for start, days, cost, user in lines
    ))  # fmt: skip
    table = fa.people_months(who, bills=frame, by=["month", "person", "team"], privacy=ALL)
    assert sum(table["cost"]) == sum(frame["billed_cost"])
    assert all(sum(row[name] for name in CASH) == row["cost"] for row in table.to_dict("records"))
    # a team's part is that of its days: what each day costs, added up by hand
    by_team: dict[str, Decimal] = {}
    for start, days, cost, user in lines:
        units = int(cost.scaleb(18))
        for k in range(days):
            day = _DAY0 + dt.timedelta(days=start + k)
            team = who.on(user or "", day)[1] or "unallocated"
            sign = 1 if units >= 0 else -1
            part = sign * (abs(units) * (k + 1) // days - abs(units) * k // days)
            by_team[team] = by_team.get(team, Decimal(0)) + Decimal(part).scaleb(-18)
    found = fa.people_months(who, bills=frame, by=["team"], privacy=ALL)
    got = dict(zip(found["team"], found["cost"], strict=True))
    assert all(abs(got[team] - cost) <= Decimal("1e-15") for team, cost in by_team.items())


def test_a_unit_that_is_lost_stops_the_table(monkeypatch) -> None:
    from finops_ai.errors import CheckFailed
    from finops_ai.people import months

    real = months.spread_sql

    def lossy() -> str:
        return f"SELECT * REPLACE (part - 1 AS part) FROM ({real()})"

    monkeypatch.setattr(months, "spread_sql", lossy)
    with pytest.raises(CheckFailed, match="off the bills"):
        fa.people_months(WHO, bills=bill({"billed_cost": Decimal(31), "user_id": "ada@example.com"}))


def test_a_cycle_that_is_billed_as_one_line_keeps_use_on_its_days() -> None:
    """Use of a cycle from the 12th is billed at 31.00, 30.00 of it known: October has its own use and its days of the rest."""
    rows = usage(
        ("cursor", "bo@example.com", "2026-10-01", "cash", 5),
        ("cursor", "bo@example.com", "2026-10-13", "cash", 20),
        ("cursor", "bo@example.com", "2026-11-02", "cash", 10),
    )
    line = {"charge_category": "Usage", "charge_period_start": "2026-10-12", "charge_period_end": "2026-11-12"}
    table = fa.people_months(
        WHO, usage=rows, bills=bill(line | {"billed_cost": Decimal("30.31")}), by=["month", "person"], privacy=ALL
    ).set_index(["month", "person"])
    assert table["cost"].to_dict() == {
        ("2026-10", "Bo"): 25, ("2026-10", "not by person"): Decimal("0.20"), ("2026-11", "Bo"): 10, ("2026-11", "not by person"): Decimal("0.11"),
    }  # fmt: skip


def test_daily_lines_are_held_against_their_own_day() -> None:
    rows = usage(
        ("cursor", "bo@example.com", "2026-10-01", "cash", 5), ("cursor", "bo@example.com", "2026-10-02", "cash", 7)
    )
    day = {
        "charge_category": "Usage",
        "charge_period_start": "2026-10-01",
        "charge_period_end": "2026-10-02",
        "billed_cost": Decimal(6),
    }
    table = fa.people_months(WHO, usage=rows, bills=bill(day), by=["person"], privacy=ALL).set_index("person")
    assert table["cost"].to_dict() == {
        "Bo": 12,
        "not by person": 1,
    }  # the 2nd isn't billed yet, so its use is what is known


def test_a_line_that_is_dated_late_bills_the_use_of_its_billing_period() -> None:
    """Copilot's report dates October's extra use on the 31st; it is the use of the 20th and 21st, not more of it."""
    rows = usage(
        ("github-copilot", "bo-tern", "2026-10-20", "cash", "7.01"),
        ("github-copilot", "ada-quill", "2026-10-21", "cash", "6.99"),
    )
    late = {"provider": "github-copilot", "charge_category": "Usage", "billed_cost": Decimal(14)}
    line = bill(late).assign(charge_period_start=pd.to_datetime(["2026-10-31"], utc=True).as_unit("us"))
    table = fa.people_months(WHO, usage=rows, bills=line, by=["person"], privacy=ALL).set_index("person")
    assert table["cost"].to_dict() == {"Ada": Decimal("6.99"), "Bo": Decimal("7.01")}


def test_lines_that_all_name_people_say_nothing_of_anybody_else() -> None:
    rows = usage(
        ("cursor", "bo@example.com", "2026-10-05", "cash", 2), ("cursor", "agent-runner", "2026-10-05", "cash", 3)
    )
    named = bill({"charge_category": "Usage", "billed_cost": Decimal(2), "user_id": "bo@example.com"})
    table = fa.people_months(WHO, usage=rows, bills=named, by=["person"], privacy=ALL).set_index("person")
    assert table["cost"].to_dict() == {"Bo": 2, "unknown account agent-runner": 3}
