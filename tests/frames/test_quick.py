"""The quick look at a frame is sure only where the model agrees."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.frames import BillFrame, TokenFrame, check_frame, conform
from finops_ai.frames.prices import PriceFrame
from finops_ai.frames.quick import surely_keeps
from finops_ai.frames.seats import SeatFrame


@pytest.fixture(scope="module")
def good():
    return fa.sample(months=1).reset_index(drop=True)


FAULTS = {
    "a missing column": lambda f: f.drop(columns="model"),
    "a strange column": lambda f: f.assign(extra=1),
    "a missing value": lambda f: f.assign(provider=f["provider"].where(f.index != 3)),
    "an unknown meter": lambda f: f.assign(meter=f["meter"].where(f.index != 5, "inptu")),
    "a negative quantity": lambda f: f.assign(quantity=f["quantity"].where(f.index != 7, Decimal(-1)).astype(f["quantity"].dtype)),
    "another type": lambda f: f.assign(quantity=f["quantity"].astype(float)),
    "a slice that ends before it starts": lambda f: f.assign(charge_period_end=f["charge_period_start"]),
    "a unit that isn't the meter's": lambda f: f.assign(unit=f["unit"].where(f.index != 9, "hours")),
    "a cost without a currency": lambda f: f.assign(
        billed_cost=pd.array([Decimal(1)] * len(f), dtype=f["billed_cost"].dtype), billing_currency=pd.array([np.nan] * len(f), dtype=f["provider"].dtype)
    ),
}  # fmt: skip


def test_a_whole_frame_is_sure(good):
    assert surely_keeps(good, TokenFrame)
    assert surely_keeps(good.iloc[:0], TokenFrame)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_passes_and_the_model_words_it(good, fault):
    frame = FAULTS[fault](good)
    assert not surely_keeps(frame, TokenFrame)
    with pytest.raises(FrameError):
        check_frame(frame, source="test")


AT = pd.to_datetime(["2026-10-01", "2026-10-02"]).tz_localize("UTC")
DAY = pd.Timedelta(days=1)


def bills():
    month = pd.to_datetime(["2026-10-01", "2026-11-01"]).tz_localize("UTC")
    rows = {
        "provider": ["openai"] * 2, "billing_account_id": ["org"] * 2, "charge_category": ["Usage", "Tax"], "charge_description": ["a", "b"],
        "billing_period_start": month[[0, 0]], "billing_period_end": month[[1, 1]], "charge_period_start": AT, "charge_period_end": AT + DAY,
        "meter": ["input", "unmapped"], "billed_cost": [Decimal(1), Decimal(2)], "billing_currency": ["USD"] * 2, "source": ["api"] * 2,
    }  # fmt: skip
    return conform(rows, BillFrame, source="test")


def seats(start, end):
    rows = {"provider": "cursor", "plan": "team", "user_id": "u", "telemetry": "on", "source": "api"}
    return {name: [value] * len(start) for name, value in rows.items()} | {"seat_start": start, "seat_end": end}


def test_a_bill_is_sure_and_one_that_ends_before_it_starts_is_not():
    whole = bills()
    assert surely_keeps(whole, BillFrame)
    turned = whole.assign(charge_period_end=whole["charge_period_start"])
    assert not surely_keeps(turned, BillFrame)
    with pytest.raises(FrameError, match="the charge starts before it ends fails in 2 rows"):
        check_frame(turned, BillFrame, source="test")


def test_a_seat_without_an_end_is_sure_and_one_that_ends_before_it_starts_is_not():
    assert surely_keeps(conform(seats(AT, [None, AT[1] + DAY]), SeatFrame, source="test"), SeatFrame)
    with pytest.raises(FrameError, match="the seat is held before it ends fails in 1 rows"):
        conform(seats(AT, [None, AT[1] - DAY]), SeatFrame, source="test")


def test_a_model_with_other_rules_is_asked_itself():
    assert not surely_keeps(conform({}, PriceFrame, source="test"), PriceFrame)  # ids are told once
