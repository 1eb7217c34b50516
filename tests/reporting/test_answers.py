"""What pages say in words: whole weeks, drawings described by what is published, months that aren't whole."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.reporting import answers


@pytest.fixture(scope="module")
def cost():
    return fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())


@pytest.mark.parametrize(("zone", "first"), [("UTC", 22), ("Asia/Tokyo", 22)])
def test_the_last_days_are_whole_days_of_the_zone(zone, first):
    begun = pd.date_range(
        "2026-10-01T01:00", "2026-10-28T01:00", freq="D", tz="UTC"
    )  # its newest day ends at 14 o'clock
    rows = pd.DataFrame({"charge_period_start": begun, "charge_period_end": begun + pd.Timedelta(hours=13)})
    week, before, said = answers.last_days(rows, 7, "2026-10", zone)
    assert said == f"{first} Oct 2026 to 28 Oct 2026 against 15 Oct 2026 to 21 Oct 2026"
    assert (len(week), len(before)) == (7, 7)


def test_a_month_known_in_part_is_compared_with_a_whole_one():
    assert answers.against(Decimal(3), Decimal(100), "USD", "1 Dec") == "97.00 USD less than the whole month before"
    assert answers.against(Decimal(3), Decimal(100), "USD") == "97.00 USD (97.0%) less than the month before"


def test_lines_are_described_by_their_newest_month(cost):
    months = fa.showback(cost, by=["month", "provider"])
    said = answers.lines_alt(months, "provider", "token_cost_per_1m_tokens")
    newest = months[months["month"] == "2026-10"].set_index("provider")["token_cost_per_1m_tokens"]
    assert "in October 2026: " in said
    assert f"openai {newest['openai']:.4f} USD" in said
    assert "token cost per 1M tokens" in said  # as the column's heading writes it


def test_bars_are_described_by_what_is_published(cost):
    data = fa.showback(cost, by=["model"], month="2026-10")
    shown = data.published().iloc[0]
    assert f"{shown['model']} {shown['cost']:,.0f} USD" in answers.ranked_alt(data, "model")
    one = fa.showback(cost, by=["month", "provider"], month="2026-10")
    assert answers.monthly_alt(one, "provider").startswith("One column of cost per month by provider: ")
