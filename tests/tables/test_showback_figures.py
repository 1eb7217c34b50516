"""Showback's figures one by one, against sums done by hand."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import DataError, FrameError

D = Decimal
RULES = {"dimensions": {"team": {}}, "rules": [{"name": "key", "set": {"team": "{api_key_id}"}}]}
OCTOBER = [
    {"meter": "requests", "quantity": D(3), "cost": D(0)},
    {"quantity": D(600_000), "cost": D(6)},
    {"meter": "cache_read", "quantity": D(300_000), "cost": D("0.3")},
    {"meter": "cache_write_5m", "quantity": D(100_000), "cost": D("1.25")},
    {"meter": "output", "quantity": D(200_000), "cost": D(8), "service_tier": "batch"},
    {"meter": "web_searches", "quantity": D(1), "cost": D("0.01")},
]


@pytest.fixture
def rows(frame_of):
    def make(*more):
        return fa.allocate(frame_of([r | {"api_key_id": "a"} for r in OCTOBER] + list(more)), RULES)

    return make


def test_every_named_figure(rows):
    row = fa.showback(rows(), ["team"], "2026-10").astype(object).iloc[0]
    assert (row["cost"], row["requests"], row["tokens"]) == (D("15.56"), 3, 1_200_000)
    # 15.56 / 3; all 15.56, or without the search's 0.01 15.55, over 1.2 million tokens; 7.55 over 1 million in, 8 over 0.2 out
    assert row["cost_per_request"] == D("5.186666666667")
    assert row["cost_per_1m_tokens"] == D("12.966666666667")
    assert row["token_cost_per_1m_tokens"] == D("12.958333333333")
    assert (row["token_cost"], row["counted_cost"], row["priced_tokens"]) == (D("15.55"), D("15.56"), 1_200_000)
    assert (row["input_cost_per_1m"], row["output_cost_per_1m"]) == (D("7.55"), D(40))
    assert row["cache_hit_rate"] == 0.3  # 300,000 of 1,000,000 input tokens
    assert row["cache_hit_cost_share"] == pytest.approx(0.3 / 7.55)
    assert (row["output_input_ratio"], row["batch_share"]) == (0.2, pytest.approx(1 / 6))


def test_unknown_prices_are_no_part_of_a_rate(rows):
    unknown = {"api_key_id": "a", "quantity": D(5_000_000), "price_status": "unpriced"}
    table = fa.showback(rows(unknown), ["team"])
    row = table.astype(object).iloc[0]
    # the rates are those of the 1.2 million tokens whose cost is known; coverage says that these are 1.2 of 6.2 million
    assert (row["token_cost_per_1m_tokens"], row["input_cost_per_1m"]) == (D("12.958333333333"), D("7.55"))
    assert (row["cost_per_1m_tokens"], row["priced_tokens"]) == (D("12.966666666667"), 1_200_000)
    assert row["priced"] == table.facts.coverage["priced"] == pytest.approx(1.2 / 6.2)
    assert "1 rows have no known price" in table.facts.notes[0]


def test_counts_of_calls_make_no_unknown_cost_known(rows):
    """What nobody bills costs 0; beside tokens without a price that is no cost of theirs."""
    own = {"api_key_id": "own", "model": "house"}
    frame = rows(
        own | {"quantity": D(5_000), "cost": None, "price_status": "unpriced"},
        own | {"meter": "requests", "quantity": D(7), "cost": D(0), "price_status": "not_billed"},
        {"api_key_id": "calls", "meter": "requests", "quantity": D(3), "cost": D(0), "price_status": "not_billed"},
    )
    table = fa.showback(frame, ["team"]).set_index("team").astype(object)
    assert table.loc["own", ["cost", "cost_per_1m_tokens"]].isna().all()
    assert table.loc["own", "requests"] == 7
    assert table.loc["calls", "cost"] == 0
    assert fa.showback(frame)["cost"].iloc[0] == D("15.56")


def test_effective_against_list_compares_the_same_rows(rows):
    frame = rows({"api_key_id": "a", "quantity": D(10), "cost": D(4)})
    frame.loc[1, "list_cost"] = D(10)  # listed at 10, paid 6
    frame.loc[6, "list_cost"] = pd.NA  # own rate, no list price
    # 15.56 of 19.56; the 4 without a list price are in neither
    assert fa.showback(frame, ["team"])["effective_vs_list"].iloc[0] == pytest.approx(15.56 / 19.56)


def test_month_over_month_adds_up_and_is_unknown_where_it_must_be(rows):
    before = [{"api_key_id": "a", "cost": D(5), "day": 10}, {"api_key_id": "gone", "cost": D(7), "day": 10}]
    table = fa.showback(rows(*before, {"api_key_id": "new", "cost": D(1)}), ["team"], "2026-10")
    got = {r["team"]: (r["cost"], r["previous_cost"], r["change"]) for r in table.to_dict("records")}
    # 16.56 now, 12 before: the changes add up to 4.56
    assert got == {"a": (D("15.56"), 5, D("10.56")), "new": (1, 0, 1), "gone": (0, 7, -7)}
    assert sum(table["change"]) == D("4.56")
    by_day = fa.showback(rows(*before), ["team", "day"], "2026-10")
    assert by_day["previous_cost"].isna().all()  # a day has no counterpart
    august = fa.showback(rows({"api_key_id": "a", "cost": D(5), "day": -20}), ["team"], "2026-10")
    assert august["previous_cost"].isna().all()  # there is no September


@pytest.mark.parametrize("grain", ["prompt_id", "tags.x", "share", "charge_period_start", "rule", "week", "request_id"])
def test_any_column_is_a_grain(rows, grain):
    table = fa.showback(rows(), [grain], "2026-10")
    assert sum(table["cost"]) == D("15.56")
    assert table[grain].nunique(dropna=False) == len(table)


def test_business_metrics_of_no_period_are_refused(rows):
    metrics = pd.DataFrame({"month": ["Oct"], "metric": ["tickets"], "value": [1]})
    with pytest.raises(FrameError, match="row 1: month 'Oct' is no month"):
        fa.unit_economics(rows(), metrics)
    two = rows({"api_key_id": "a", "cost": D(1), "pricing_currency": "EUR"})
    with pytest.raises(DataError, match="EUR, USD"):
        fa.showback(two, ["team"])
    assert fa.showback(two, ["team", "pricing_currency"])["cost"].to_list() == [D("15.56"), D(1)]


def test_few_measures_are_the_same_figures_and_say_the_same_coverage(rows):
    cost = rows({"quantity": D(10), "cost": None, "api_key_id": "b"})
    whole, few = fa.showback(cost, ["team"]), fa.showback(cost, ["team"], measures=["cost_per_request"])
    assert list(few.columns) == ["team", "cost", "requests", "counted_cost", "cost_per_request"]
    assert (
        few.astype(object).where(few.notna(), None).equals(whole[few.columns].astype(object).where(few.notna(), None))
    )
    assert (few.facts.coverage, few.facts.notes) == (whole.facts.coverage, whole.facts.notes)
    assert few.published()["cost"].tolist() == whole.published()["cost"].tolist()
    with pytest.raises(FrameError, match="Did you mean"):
        fa.showback(cost, ["team"], measures=["cost_per_requets"])


def test_hours_are_those_of_the_zone_s_clock(rows):
    assert list(fa.showback(rows(), ["hour"])["hour"]) == ["2026-10-06 12:00"]
    assert list(fa.showback(rows(), ["hour"], timezone="Asia/Kolkata")["hour"]) == ["2026-10-06 17:00"]
