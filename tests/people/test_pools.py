"""Allowances: how much is used, when they run out, and a fair share of what goes beyond."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.frames import SeatFrame, conform

ALL = fa.Privacy(shown=True)


def use(*rows: tuple, provider: str = "github-copilot") -> pd.DataFrame:
    """Rows of account, day of October, basis, amount."""
    n = len(rows)
    start = [pd.Timestamp(2026, 10, r[1], tz="UTC") for r in rows]
    tokens = conform(
        {
            "charge_period_start": start, "charge_period_end": [s + pd.Timedelta(days=1) for s in start], "provider": [provider] * n,
            "billing_account_id": ["acme"] * n, "model": ["m"] * n, "operation": ["chat"] * n, "meter": ["requests"] * n,
            "quantity": [Decimal(1)] * n, "unit": ["requests"] * n, "service_tier": ["standard"] * n, "user_id": [r[0] for r in rows],
            "source": ["file"] * n, "quantity_basis": ["metered"] * n, "money_basis": [r[2] for r in rows],
            "billed_cost": [Decimal(str(r[3])) for r in rows], "billing_currency": ["USD"] * n,
        },
        source="the test",
    )  # fmt: skip
    return fa.price(tokens)


def held(
    *users: str, provider: str = "github-copilot", plan: str = "business", since: str = "2026-01-01"
) -> pd.DataFrame:
    n = len(users)
    return conform(
        {
            "provider": [provider] * n, "plan": [plan] * n, "user_id": list(users), "seat_start": [pd.Timestamp(since, tz="UTC")] * n,
            "telemetry": ["on"] * n, "source": ["api"] * n,
        },
        SeatFrame,
        source="the test",
    )  # fmt: skip


def test_the_copilot_sample_four_seats_and_what_went_beyond() -> None:
    """9,050 credits used by three accounts of a pool of 7,600: 1,450 beyond, 14.50 charged."""
    rows = use(
        ("ada-quill", 5, "included", 50), ("bo-tern", 20, "included", 26), ("bo-tern", 25, "cash", "14"), (None, 26, "cash", "0.50"),
    )  # fmt: skip
    seats = pd.concat(
        [held("ada-quill", "bo-tern", "fay-idle"), held("cy-ember", since="2026-10-16")], ignore_index=True
    )
    pool = fa.pools(rows, seats, as_of="2026-11-01", privacy=ALL).iloc[0]
    assert (pool["seats"], pool["size"], pool["used"], pool["beyond"], pool["charged"]) == (
        4,
        76,
        76,
        Decimal("14.5"),
        Decimal("14.5"),
    )
    assert pool["ran_out_on"] == dt.date(2026, 10, 20)  # 50 + 26 are all of the 76 there are since the 16th
    assert pool["share_used"] == 1.0


def test_a_pool_that_is_not_used_up_has_a_day_on_which_it_will_be() -> None:
    rows = use(("ada-quill", 2, "included", 4), ("ada-quill", 8, "included", 6))
    pool = fa.pools(rows, held("ada-quill"), as_of="2026-10-11", privacy=ALL).iloc[0]
    assert pd.isna(pool["ran_out_on"])
    # 10 of 19 in ten days: 9 more take nine days at one a day; in the last seven days it was 6, so eleven days at 6/7
    assert pool["runs_out_on"] == dt.date(2026, 10, 19)
    assert (pool["earliest"], pool["latest"]) == (dt.date(2026, 10, 19), dt.date(2026, 10, 21))


def test_a_pool_of_each_person_has_the_clock_of_its_plan() -> None:
    prices = fa.SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "clock": 12}])
    rows = use(
        ("ada", 11, "included", 19),
        ("ada", 12, "included", 5),
        ("bo", 13, "included", 20),
        ("bo", 14, "cash", 3),
        provider="cursor",
    )
    seats = held("ada", "bo", provider="cursor", plan="teams-standard")
    table = fa.pools(rows, seats, as_of="2026-10-20", prices=prices, privacy=ALL).set_index("pool")
    ada, bo = table.loc["unknown account ada"], table.loc["unknown account bo"]
    assert (ada["since"], ada["until"]) == (dt.date(2026, 10, 12), dt.date(2026, 11, 11))
    assert (ada["used"], bo["used"], bo["beyond"], bo["ran_out_on"]) == (5, 20, 3, dt.date(2026, 10, 13))


def test_net_by_gross_share_beside_the_vendors_last_come() -> None:
    rows = use(("ada", 5, "included", 30), ("bo", 20, "included", 8), ("bo", 25, "cash", 2))
    table = fa.fair_net(rows, month="2026-10", privacy=ALL).set_index("person")
    assert table["gross"].tolist() == [30, 10]
    assert table["vendor_net"].tolist() == [0, 2]
    assert table["fair_net"].tolist() == [Decimal("1.5"), Decimal("0.5")]


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ada", "bo", "cy", None]), st.integers(1, 31), st.sampled_from(["cash", "included"]),
            st.decimals("0.000001", "900", places=6),
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_fair_net_is_the_vendors_net_to_the_last_digit(rows: list[tuple]) -> None:
    table = fa.fair_net(use(*rows), month="2026-10", privacy=ALL)
    net = sum((r[3] for r in rows if r[2] == "cash"), Decimal(0))
    assert sum(table["fair_net"]) == sum(table["vendor_net"]) == net
    assert sum(table["gross"]) == sum(r[3] for r in rows)
    assert (table["fair_net"] <= net).all()
