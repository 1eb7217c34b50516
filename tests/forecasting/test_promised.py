"""What contracts promise enters the plan on its day. Two dollars a day at list, so every figure is worked out by hand."""

from __future__ import annotations

import pytest

import finops_ai as fa
from tests.forecasting.test_workspace_plan import usage

TOKENS = usage("2026-09-01", 61)
HEAD = "[[contracts]]\nname = 'deal'\nprovider = 'openai'\n"


@pytest.fixture
def planned(tmp_path):
    def at(contract):
        (tmp_path / "prices.toml").write_text(HEAD + contract, "utf-8")
        book = fa.PriceBook.load(tmp_path / "prices.toml")
        table = fa.plan(fa.price(TOKENS, book).assign(team="a"), book=book, until="2027-01")
        return {r["month"]: r for r in table.to_dict("records") if r["unique_id"] == "total"}, " ".join(
            table.facts.notes
        )

    return at


def middles(rows):
    return [float(rows[m]["p50"]) for m in ("2026-11", "2026-12", "2027-01")]


def test_a_discount_that_ends_is_dearer_from_that_day(planned):
    rows, said = planned("to = 2026-12-01\ndiscount = '50'\n")
    assert middles(rows) == [30, 62, 62]
    assert "prices of gpt-4.1 (openai) change on 2026-12-01: x 2.000" in said


def test_capacity_that_ends_costs_nothing_from_that_day(planned):
    # 24 a day for capacity nobody uses
    rows, said = planned(
        "capacity = [{ name = 'chat', model = 'gpt-4.1', units = 1, hourly = '1', from = 2026-09-01, to = 2026-12-11 }]\n"
    )
    assert middles(rows) == [30 * 26, 10 * 26 + 21 * 2, 62]
    assert "capacity chat ends on 2026-12-11, a day: 24.00" in said


def test_capacity_that_begins_is_paid_from_that_day(planned):
    rows, said = planned(
        "capacity = [{ name = 'chat', model = 'gpt-4.1', units = 2, hourly = '1', from = 2026-12-31 }]\n"
    )
    assert middles(rows) == [60, 62 + 48, 62 + 31 * 48]
    assert "capacity chat begins on 2026-12-31" in said
    # what is bought is sure: the range is that of use
    assert float(rows["2027-01"]["p90"] - rows["2027-01"]["p10"]) < 20


def test_a_prepaid_credit_is_used_up_on_its_day(planned):
    # 200 for 100: 122 are used by the end of October, 60 in November; 18 are nine days of December
    rows, said = planned(
        "credits = [{ name = 'c', amount = '200', paid = '100', from = 2026-09-01, to = 2027-06-01 }]\n"
    )
    assert middles(rows) == [30, 9 + 22 * 2, 62]
    assert "has 78.00 left on 2026-11-01; at the plan's pace it is used up on 2026-12-10" in said
    plain, _ = planned("discount = '0'\n")
    # dearer use is as unsure as use at list
    assert float(rows["2027-01"]["p90"]) == pytest.approx(float(plain["2027-01"]["p90"]), rel=0.01)


def test_a_granted_credit_costs_nothing_until_it_is_gone(planned):
    rows, _ = planned("credits = [{ name = 'c', amount = '182', paid = '0', from = 2026-09-01 }]\n")
    assert middles(rows) == [0, 62, 62]


def test_what_lapses_is_a_cost_on_its_day(planned):
    # 278 left of 400 bought for 100; 40 days use 80; a quarter of the other 198 lapses on 11 December
    rows, said = planned(
        "credits = [{ name = 'c', amount = '400', paid = '100', from = 2026-09-01, to = 2026-12-11 }]\n"
    )
    assert middles(rows) == [15, 10 * 0.5 + 21 * 2 + 49.5, 62]
    assert "lapses" in said


def test_a_credit_older_than_the_rows_says_what_its_rest_is_counted_from(planned):
    whole = "credits = [{{ name = 'c', amount = '200', paid = '100', from = 2026-{day} }}]\n"
    _, said = planned(whole.format(day="08-20"))
    assert "78.00 left on 2026-11-01, as far as use since 2026-09-01 tells: it began on 2026-08-20" in said
    # settling counts from the first row too, so the plan goes on as the rows do, and says so
    rows, said = planned(whole.format(day="05-01"))
    assert "it began on 2026-05-01; `left` in the contract says what was left then" in said
    assert middles(rows) == [30, 9 + 22 * 2, 62]


def test_several_credits_pay_in_the_order_they_expire(planned):
    # a: 122 of 130 are used by the end of October, 8 pay four days of November; then b at a quarter: 26 days, four of December
    rows, said = planned(
        "credits = [{ name = 'b', amount = '60', paid = '15', from = 2026-09-01 },"
        " { name = 'a', amount = '130', paid = '65', from = 2026-09-01, to = 2026-11-11 }]\n"
    )
    assert middles(rows) == [4 + 13, 2 + 27 * 2, 62]
    assert "credit a has 8.00 left on 2026-11-01; at the plan's pace it is used up on 2026-11-05" in said
    assert "credit b has 60.00 left on 2026-11-01; at the plan's pace it is used up on 2026-12-05" in said


def test_a_credit_that_begins_pays_from_its_day(planned):
    rows, _ = planned("credits = [{ name = 'c', amount = '20', paid = '10', from = 2026-12-01 }]\n")
    assert middles(rows) == [60, 10 + 21 * 2, 62]


def test_a_credit_used_up_before_leaves_its_new_cost(planned):
    # 100 for 50 last to 20 October; the jump has a reason, so there is one outcome
    rows, said = planned("credits = [{ name = 'c', amount = '100', paid = '50', from = 2026-09-01 }]\n")
    assert middles(rows) == [60, 62, 62]
    assert "goes back" not in said


def test_what_lapses_at_the_end_of_a_month_is_a_cost_of_that_month(planned):
    # 278 left, 60 used in November, a quarter of 218 lapses on its last day
    rows, said = planned(
        "credits = [{ name = 'c', amount = '400', paid = '100', from = 2026-09-01, to = 2026-12-01 }]\n"
    )
    assert middles(rows) == [15 + 54.5, 62, 62]
    assert "lapses on 2026-11-30" in said
