"""Prices that change within a day, and slices of usage that reach across a change; more context tiers than one."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices.contracts import contracts_of

D = Decimal


def frame(provider: str, model: str, slices: list[tuple[dt.datetime, dt.timedelta]], quantity: int = 1_000_000, **more):
    columns = {
        "charge_period_start": [at for at, _ in slices], "charge_period_end": [at + span for at, span in slices],
        "provider": provider, "billing_account_id": "acme", "model": model, "operation": "chat",
        "service_tier": "standard", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns | more, {"input": [quantity] * len(slices)}), source="test")


def at(day: int, hour: int, minute: int = 0, month: int = 3, year: int = 2025) -> dt.datetime:
    return dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC)


def priced(rows: pd.DataFrame) -> list[tuple[Decimal, str | None]]:
    found = fa.price(rows)
    notes = [None if pd.isna(note) else note for note in found["price_note"]]
    return list(zip(found["list_cost"], notes, strict=True))


MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


def test_a_boundary_at_half_past_is_exact_to_the_minute():
    # deepseek-chat in March 2025: 0.27 per million, and half of it from 16:30 to 00:30 UTC
    cases = [(at(3, 16, 29), MINUTE), (at(3, 16, 30), MINUTE), (at(4, 0, 29), MINUTE), (at(4, 0, 30), MINUTE)]
    rows = frame("deepseek", "deepseek-chat", cases)
    assert priced(rows) == [(D("0.27"), None), (D("0.135"), None), (D("0.135"), None), (D("0.27"), None)]


@pytest.mark.parametrize(
    ("start", "span", "cost", "note"),
    [
        (at(3, 16), dt.timedelta(minutes=30), "0.27", None),  # ends where the other price begins
        (at(3, 16), HOUR, "0.27", "needs_confirmation"),  # half before, half after
        (at(3, 17), 7 * HOUR, "0.135", None),  # to midnight, which changes nothing
        (at(3, 17), 8 * HOUR, "0.135", "needs_confirmation"),
        (at(3, 0), DAY, "0.135", "needs_confirmation"),  # a whole day has both prices
    ],
)
def test_a_slice_across_a_boundary_says_so(start, span, cost, note):
    assert priced(frame("deepseek", "deepseek-chat", [(start, span)])) == [(D(cost), note)]


def test_a_price_that_changes_at_an_hour_of_one_day():
    # glm-5.3-flash: 0.075 per million until 2026-09-09 16:00 UTC, then 0.15
    turn, before, after = at(9, 16, month=9, year=2026), D("0.075"), D("0.15")
    slices = [
        (turn - MINUTE, MINUTE),
        (turn, MINUTE),
        (turn + DAY, DAY),
        (turn - 2 * DAY, DAY),
        (turn - HOUR, 2 * HOUR),
    ]
    costs = priced(frame("zai", "glm-5.3-flash", slices))
    assert [cost for cost, _ in costs] == [before, after, after, before, before]
    assert [note for _, note in costs] == [None, None, None, None, "needs_confirmation"]


def test_a_month_in_one_row_across_a_price_change_says_so():
    turn = dt.datetime(2026, 7, 30, tzinfo=dt.UTC)  # gpt-5.6-luna: 1 per million before, 0.2 from then on
    slices = [(at(1, 0, month=7, year=2026), 31 * DAY), (at(29, 0, month=7, year=2026), DAY), (turn, 2 * DAY)]
    costs = priced(frame("openai", "gpt-5.6-luna", slices, 100_000, slice_requests=[1, 1, 1]))
    assert costs == [(D("0.1"), "needs_confirmation"), (D("0.1"), None), (D("0.02"), None)]


def test_every_context_tier_of_a_list_has_its_price():
    # qwen3-coder-plus: 1 per million to 32,000 tokens of a call, then 1.8, from 128,000 on 3, from 256,000 on 6
    sizes = [32_000, 32_001, 128_000, 128_001, 256_000, 256_001]
    expected = [D(1), D("1.8"), D("1.8"), D(3), D(3), D(6)]
    for size, rate in zip(sizes, expected, strict=True):
        rows = frame("alibaba", "qwen3-coder-plus", [(at(1, 0, month=6, year=2026), MINUTE)], size, slice_requests=[1])
        assert priced(rows) == [(rate * size / 1_000_000, None)], size
    many = frame("alibaba", "qwen3-coder-plus", [(at(1, 0, month=6, year=2026), HOUR)], 300_000, slice_requests=[9])
    assert priced(many) == [(D("0.3"), "context_tier_unknown")]


def test_a_frame_agrees_with_the_look_up_at_every_quarter_of_an_hour():
    book = fa.PriceBook.default()
    starts = [at(3, 0) + n * dt.timedelta(minutes=15) for n in range(96)]
    costs = priced(frame("deepseek", "deepseek-reasoner", [(start, MINUTE) for start in starts]))
    for start, (cost, note) in zip(starts, costs, strict=True):
        rate = book.lookup("deepseek", "deepseek-reasoner", "input", start).unit_price
        assert (cost, note) == (rate * 1_000_000, None), start


def test_an_own_rate_above_the_list_of_the_day_says_so():
    # gpt-5.6-luna went from 1 to 0.2 per million on 2026-07-30; a rate of 0.9 agreed on before that is above it since
    rates = {"name": "deal", "provider": "openai", "from": "2026-07-01"}
    rates["prices"] = [{"model": "gpt-5.6-luna", "prices": {"input": "0.9"}}]
    rows = frame(
        "openai", "gpt-5.6-luna", [(at(29, 0, month=7, year=2026), DAY), (at(30, 0, month=7, year=2026), DAY)], 1_000
    )
    for terms, notes in ((rates, [False, True]), (rates | {"above_list": True}, [False, False])):
        book = fa.PriceBook.default().under(contracts_of([terms], "test"), "test")
        found = fa.price(rows.assign(slice_requests=1), book)
        assert list(found["contracted_cost"]) == [D("0.0009")] * 2
        assert [note is not pd.NA and note == "needs_confirmation" for note in found["price_note"]] == notes
