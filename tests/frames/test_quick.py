"""The quick look at a frame is sure only where the model agrees."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.frames import BillFrame, TokenFrame, check_frame, conform
from finops_ai.frames.quick import surely_keeps


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


def test_a_model_with_other_rules_is_asked_itself():
    bills = conform({}, BillFrame, source="test")
    assert not surely_keeps(bills, BillFrame) or check_frame(bills, BillFrame, source="test") is bills
