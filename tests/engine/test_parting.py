"""Parts of decimal columns: whole numbers by Python's own arithmetic say what they must be."""

from __future__ import annotations

from decimal import Context, Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.engine.parting import UNITY, divide

EXACT = Context(prec=60)
AMOUNTS = st.one_of(st.none(), *(st.integers(-(10**n) + 1, 10**n - 1) for n in (3, 18, 21, 38)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(AMOUNTS, st.lists(st.integers(0, UNITY), min_size=3, max_size=3)), min_size=1, max_size=12),
    st.sampled_from([0, 6, 18]),
    st.booleans(),
    st.integers(0, 2),
)
def test_parts_are_those_of_whole_numbers(rows, scale, alike, skipped):
    cuts = [sorted([0, *(rows[0][1] if alike else inner), UNITY]) for _, inner in rows]
    column = pa.array(
        [None if a is None else EXACT.scaleb(Decimal(a), -scale) for a, _ in rows], pa.decimal128(38, scale)
    )
    bounds = cuts[0] if alike else list(np.array(cuts, dtype=np.uint64).T)
    rows, cuts, column = rows[skipped:], cuts[skipped:], column.slice(skipped)
    if not alike:
        bounds = [b[skipped:] for b in bounds]
    made = [part.to_pylist() for part in divide(column, bounds)]
    for number, ((amount, _), at) in enumerate(zip(rows, cuts, strict=True)):
        for part, (low, high) in zip(made, pairwise(at), strict=True):
            if amount is None:
                assert part[number] is None
                continue
            size = abs(amount) * high // UNITY - abs(amount) * low // UNITY
            assert part[number] == EXACT.scaleb(Decimal(size if amount >= 0 else -size), -scale)
