from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops_ai.money import exact, minor_units, published, round_to_total, split_exactly


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any))
def test_a_split_loses_nothing_and_no_part_is_off_by_a_unit(amount, weights):
    parts = split_exactly(amount, weights)
    assert sum(parts) == amount
    total = sum(weights)
    assert all(abs(Fraction(p) - Fraction(amount * w, total)) < 1 for p, w in zip(parts, weights, strict=True))


def test_the_larger_remainder_gets_the_unit():
    # 100 x 1/6, 2/6, 3/6 = 16.67, 33.33, 50: the unit left over goes to 16.67
    assert split_exactly(100, [1, 2, 3]) == [17, 33, 50]


@pytest.mark.parametrize("weights", [[], [0, 0], [-1, 2]])
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(ValueError, match=r"weights|empty"):
        split_exactly(10, weights)


@given(st.lists(st.decimals(-(10**6), 10**6, places=9), max_size=30), st.integers(0, 4))
def test_rounded_parts_add_up_to_the_rounded_total(amounts, places):
    rounded = round_to_total(amounts, places)
    unit = Decimal(1).scaleb(-places)
    assert sum(rounded, Decimal(0)) == sum(amounts, Decimal(0)).quantize(unit)
    assert all(abs(r - a) < unit for r, a in zip(rounded, amounts, strict=True))


def test_naive_rounding_would_have_lost_a_cent():
    # three thirds of 1.00 rounded one by one are 0.99
    assert sum(round_to_total([Decimal(1) / 3] * 3)) == Decimal("1.00")


def test_exact_reads_floats_by_their_text_and_refuses_what_is_no_number():
    assert exact(0.1) == Decimal("0.1")
    for bad in (True, float("nan"), "inf"):
        with pytest.raises(ValueError, match="not a"):
            exact(bad)


def test_currencies_have_their_own_minor_units():
    assert [minor_units(c) for c in ("USD", "jpy", "BHD")] == [2, 0, 3]
    assert published(Decimal("2.5"), "JPY") == 2  # half to even
