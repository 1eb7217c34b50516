"""Seat or API, who should change plan, and the vendor's figures against logs."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.frames import SeatFrame, conform
from finops_ai.identity import Identities

ALL = fa.Privacy(shown=True)
WHO = Identities.load(
    [{"account": f"{n}@example.com", "person": n.title(), "team": "web"} for n in ("ada", "bo", "cy", "dee")]
)


def use(*rows: tuple) -> pd.DataFrame:
    """Rows of person, month and day, basis, amount (input tokens of claude-sonnet-5 at 2 USD per million for logs)."""
    n = len(rows)
    start = [pd.Timestamp(f"2026-{r[1]}", tz="UTC") for r in rows]
    stated = [r[2] in ("cash", "included") for r in rows]
    return fa.price(
        conform(
            {
                "charge_period_start": start, "charge_period_end": [s + pd.Timedelta(hours=1) for s in start],
                "provider": ["cursor" if r[2] in ("cash", "included") else "anthropic" for r in rows],
                "tool_name": [r[4] if len(r) > 4 else ("cursor" if s else "claude-code") for r, s in zip(rows, stated, strict=True)],
                "billing_account_id": ["acme"] * n, "model": ["claude-sonnet-5"] * n, "operation": ["chat"] * n, "meter": ["input"] * n,
                "quantity": [Decimal(str(r[3])) * (1000 if s else 500_000) for r, s in zip(rows, stated, strict=True)],
                "unit": ["tokens"] * n, "service_tier": ["standard"] * n, "user_id": [f"{r[0]}@example.com" for r in rows], "source": ["api"] * n,
                "quantity_basis": ["metered"] * n, "money_basis": [r[2] for r in rows],
                "billed_cost": [Decimal(str(r[3])) if s else None for r, s in zip(rows, stated, strict=True)],
                "billing_currency": ["USD"] * n,
            },
            source="the test",
        )
    )  # fmt: skip


def held(*seats: tuple) -> pd.DataFrame:
    n = len(seats)
    return conform(
        {
            "provider": [s[1] for s in seats], "plan": [s[2] for s in seats], "user_id": [f"{s[0]}@example.com" for s in seats],
            "seat_start": [pd.Timestamp("2026-01-01", tz="UTC")] * n, "telemetry": ["on"] * n, "source": ["api"] * n,
        },
        SeatFrame,
        source="the test",
    )  # fmt: skip


def one(table: pd.DataFrame, person: str) -> dict:
    return table.set_index("person").loc[person].to_dict()


def test_the_seat_pays_once_use_is_worth_more_than_it_costs() -> None:
    rows = use(
        ("ada", "10-05", "included", 20), ("ada", "10-06", "cash", 90),  # 40 + 90 on standard; 120 + 10 on premium
        ("bo", "10-05", "included", 15),  # 40 for 15
        ("cy", "10-05", "included", 20), ("cy", "10-07", "cash", 25),  # 65 on standard, 45 by API
    )  # fmt: skip
    seats = held(*((n, "cursor", "teams-standard") for n in ("ada", "bo", "cy", "dee")))
    table = fa.seat_or_api(rows, seats, WHO, months=["2026-10"], privacy=ALL)
    ada, bo, dee = (one(table, n) for n in ("Ada", "Bo", "Dee"))
    assert (ada["consumption"], ada["paid"], ada["break_even"], ada["api_cost"]) == (110, 130, 40, 110)
    assert (bo["best"], bo["best_cost"], bo["saving"], bo["advice"]) == ("API", 15, 25, "change")
    # nobody knows whether Dee used hers: that is the matter of idle seats
    assert dee["advice"] == "unknown"
    assert pd.isna(dee["consumption"])


def test_a_heavy_user_of_an_individual_plan_should_change_it() -> None:
    rows = use(
        ("ada", "09-05", "included", 20),
        ("ada", "09-06", "cash", 60),
        ("ada", "10-05", "included", 20),
        ("ada", "10-06", "cash", 55),
    )
    table = fa.seat_or_api(rows, held(("ada", "cursor", "pro")), WHO, months=["2026-09", "2026-10"], privacy=ALL)
    ada = one(table, "Ada")
    # pro 20 + 60 and 20 + 55; pro-plus 60 + 10 and 60 + 5: ten saved in either month
    assert (ada["paid"], ada["best"], ada["best_cost"]) == (Decimal("77.5"), "pro-plus", Decimal("67.5"))
    assert (ada["saving"], ada["saving_low"], ada["saving_high"], ada["advice"]) == (10, 10, 10, "change")


def test_a_saving_that_is_not_there_every_month_is_to_be_looked_at() -> None:
    rows = use(("ada", "09-05", "included", 20), ("ada", "09-06", "cash", 100), ("ada", "10-05", "included", 15))
    ada = one(
        fa.seat_or_api(rows, held(("ada", "cursor", "pro")), WHO, months=["2026-09", "2026-10"], privacy=ALL), "Ada"
    )
    # pro: 120 and 20; API: 120 and 15; pro-plus: 110 and 60
    assert (ada["best"], ada["saving"], ada["saving_low"], ada["advice"]) == ("API", Decimal("2.5"), 0, "look")


def test_a_seat_of_part_of_a_month_or_of_another_plan_changes_nothing_by_itself() -> None:
    """Ada's seat began on 6 October: a month in part proves nothing, and September by API is no month of the seat."""
    seats = held(
        ("ada", "cursor", "teams-standard"), ("bo", "cursor", "teams-premium"), ("bo", "cursor", "teams-standard")
    )
    starts = [pd.Timestamp(f"2026-{day}", tz="UTC") for day in ("10-06", "01-01", "10-01")]
    ends = [pd.NaT, pd.Timestamp("2026-10-01", tz="UTC"), pd.NaT]
    seats["seat_start"], seats["seat_end"] = (pd.Series(v, dtype=seats["seat_start"].dtype) for v in (starts, ends))
    rows = use(
        ("ada", "09-20", "cash", 100),
        ("ada", "10-12", "included", 2),
        ("bo", "09-05", "included", 90),
        ("bo", "10-05", "included", 5),
    )
    table = fa.seat_or_api(rows, seats, WHO, months=["2026-09", "2026-10"], privacy=ALL)
    ada, bo = one(table, "Ada"), one(table, "Bo")
    assert (ada["months"], ada["paid"], ada["saving"], ada["advice"]) == (1, 40, 38, "look")
    assert (bo["months"], bo["plan"], bo["paid"], bo["saving"], bo["advice"]) == (1, "teams-standard", 40, 35, "change")


def test_logs_tell_whether_a_seat_of_limits_pays_and_are_not_added_to_the_vendors_figures() -> None:
    rows = use(("ada", "10-05", "list", 300), ("bo", "10-05", "list", 30))
    seats = held(("ada", "anthropic", "team-premium"), ("bo", "anthropic", "team-premium"))
    table = fa.seat_or_api(rows, seats, WHO, months=["2026-10"], privacy=ALL)
    ada, bo = one(table, "Ada"), one(table, "Bo")
    assert (ada["road"], ada["consumption"], ada["paid"], ada["best"], ada["advice"]) == (
        "logs",
        300,
        125,
        "team-premium",
        "keep",
    )
    assert (bo["best"], bo["saving"], bo["advice"]) == ("API", 95, "change")
    both = use(("ada", "10-05", "included", 12), ("ada", "10-05", "list", 300, "cursor"))
    assert (
        one(
            fa.seat_or_api(both, held(("ada", "cursor", "teams-standard")), WHO, months=["2026-10"], privacy=ALL), "Ada"
        )["consumption"]
        == 12
    )


def test_the_vendors_figures_against_logs_differ_by_causes_that_add_up() -> None:
    rows = use(
        ("ada", "10-05", "included", 10), ("ada", "10-05", "list", "0.016", "cursor"),  # 10,000 and 8,000 tokens
        ("ada", "10-06", "cash", 3),  # another machine
        ("ada", "10-07", "list", 5, "cursor"),  # an own key
    )  # fmt: skip
    row = fa.vendor_against_logs(rows, WHO, month="2026-10", by=["person"], privacy=ALL).iloc[0]
    assert (row["vendor"], row["logs"], row["difference"]) == (13, Decimal("5.016"), Decimal("7.984"))
    assert (row["only_vendor"], row["only_logs"]) == (3, -5)
    assert (row["vendor_tokens"], row["logged_tokens"]) == (13_000, 2_508_000)
    assert row["tokens"] == Decimal("0.004")  # 2,000 more at 2 USD per million
    assert row["price"] == Decimal("9.98")
    assert row["tokens"] + row["price"] + row["only_vendor"] + row["only_logs"] == row["difference"]


def test_an_unknown_key_is_said() -> None:
    with pytest.raises(FrameError, match="persn"):
        fa.vendor_against_logs(use(("ada", "10-05", "cash", 1)), WHO, month="2026-10", by=["persn"])
