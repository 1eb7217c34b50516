"""What seats cost: by plan, day and the clock of each bill."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

from finops_ai.errors import PriceError
from finops_ai.frames import SeatFrame, conform
from finops_ai.people.seat_prices import SeatPrices
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")


def seats(*rows: tuple) -> pd.DataFrame:
    """Rows of provider, plan, holder, first instant, last instant."""
    return conform(
        {
            "provider": [r[0] for r in rows],
            "plan": [r[1] for r in rows],
            "user_id": [r[2] for r in rows],
            "seat_start": [None if r[3] is None else pd.Timestamp(r[3], tz="UTC") for r in rows],
            "seat_end": [None if r[4] is None else pd.Timestamp(r[4], tz="UTC") for r in rows],
            "telemetry": ["on"] * len(rows),
            "source": ["api"] * len(rows),
        },
        SeatFrame,
        source="the test",
    )


def test_four_people_of_the_copilot_sample_cost_what_github_bills() -> None:
    """Two whole months and one given up (paid to the end), and one added on the 16th: 16 of 31 days."""
    held = seats(
        ("github-copilot", "business", "ada-quill", "2026-06-01", None),
        ("github-copilot", "business", "bo-tern", "2026-06-01", None),
        ("github-copilot", "business", "fay-idle", "2026-06-01", "2026-10-20T12:00"),
        ("github-copilot", "business", "cy-ember", "2026-10-16T09:12", None),
        (
            "github-copilot",
            "business",
            "Ada-Quill",
            "2026-06-01",
            None,
        ),  # the same seat, granted by another organization
    )
    charges = SeatPrices.default().charges(held, OCTOBER)
    assert len(charges) == 4
    assert round(sum(charges["billed_cost"]), 6) == Decimal("66.806452")
    assert sum(charges["billed_cost"]) == 3 * 19 + Decimal("9.806451612903225806")
    assert set(charges["charge_category"]) == {"Purchase"}


def test_a_cycle_from_the_12th_is_charged_by_its_own_days() -> None:
    prices = SeatPrices.default().under(
        [{"provider": "cursor", "plan": "teams-standard", "clock": 12, "removed": "days"}]
    )
    held = seats(
        ("cursor", "teams-standard", "ada", "2026-10-27", None), ("cursor", "teams-standard", "bo", None, "2026-10-14")
    )
    charges = prices.charges(held, Window.of("2026-10-12", "2026-11-12")).set_index("user_id")
    # 31 days from 12 October: Ada holds 16 of them, Bo two
    assert charges.loc["ada", "billed_cost"] == (Decimal(40 * 16) / 31).quantize(
        Decimal("1e-18"), rounding="ROUND_DOWN"
    )
    assert charges.loc["bo", "billed_cost"] == (Decimal(40 * 2) / 31).quantize(Decimal("1e-18"), rounding="ROUND_DOWN")
    assert charges.loc["ada", "billing_period_end"] == pd.Timestamp("2026-11-12", tz="UTC")


def test_a_contract_year_is_one_charge() -> None:
    prices = SeatPrices.default().under([{"provider": "anthropic", "plan": "enterprise", "begins": "2026-03-15"}])
    charge = prices.charges(seats(("anthropic", "enterprise", "ada", "2026-01-01", None)), OCTOBER)
    assert charge["billed_cost"].tolist() == [Decimal(240)]
    assert charge["charge_period_start"].tolist() == [pd.Timestamp("2026-03-15", tz="UTC")]
    assert charge["charge_period_end"].tolist() == [pd.Timestamp("2027-03-15", tz="UTC")]


def test_a_price_changes_on_its_day_and_a_period_keeps_that_of_its_first() -> None:
    prices = SeatPrices.default().under([
        {"provider": "cursor", "plan": "teams-standard", "price": 50, "clock": 12, "valid_from": dt.date(2026, 11, 1)},
        {"provider": "cursor", "plan": "teams-standard", "price": 30, "clock": 12, "valid_to": dt.date(2026, 11, 1)},
    ])  # fmt: skip
    held = seats(("cursor", "teams-standard", "ada", "2026-01-01", None))
    charges = prices.charges(held, Window.of("2026-10-12", "2026-12-12"))
    assert charges["billed_cost"].tolist() == [Decimal(30), Decimal(50)]


def test_a_seat_whose_plan_is_not_stated_has_no_price_until_one_stands_for_it() -> None:
    held = seats(("cursor", "not stated", "ada", None, None))
    assert SeatPrices.default().charges(held, OCTOBER).empty
    assert SeatPrices.default().unpriced(held, dt.date(2026, 10, 1)) == [("cursor", "not stated")]
    mine = SeatPrices.default().under([{"provider": "cursor", "plan": "teams-standard", "stands_for": True}])
    assert mine.charges(held, OCTOBER)["billed_cost"].tolist() == [Decimal(40)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"provider": "cursor", "plan": "x"}, "price is missing"),
        ({"provider": "cursor", "plan": "x", "price": "ten"}, "'ten' is not a number"),
        ({"provider": "cursor", "plan": "x", "price": -1}, "negative"),
        ({"provider": "cursor", "plan": "x", "price": 1, "removd": "days"}, "removed"),
        ({"provider": "cursor", "plan": "x", "price": 1, "clock": 32}, "1 to 31"),
    ],
)
def test_a_wrong_row_says_what_is_wrong(row: dict, said: str) -> None:
    with pytest.raises(PriceError, match=said):
        SeatPrices.default().under([row])


def test_every_bundled_price_has_a_source_and_a_day() -> None:
    for row in SeatPrices.default().rows:
        assert row.source.startswith("https://"), row
        assert row.checked is not None, row
