"""Exact parts of decimal columns, computed on whole columns at once.

A decimal128 column is whole numbers c of its smallest unit. Its part from S1 to S2 of 10^18 is floor(c S2 / 10^18) -
floor(c S1 / 10^18): the differences telescope, so parts that cover 0 to 10^18 add up to c exactly, and each is within one
smallest unit of its exact value. With c = q 10^18 + r, floor(c S / 10^18) = q S + floor(r S / 10^18); r and S are taken
as two limbs of 10^9, so that every product fits 64 bits, and q S is kept in two words of 64 bits. A credit is divided as
the charge of its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

#: parts are whole multiples of a millionth of a millionth of a millionth
UNITY = 10**18
_LIMB = np.uint64(10**9)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
#: whole multiples of 10^18 in an amount, up to which one word holds the amount
_ONE_WORD = 17
_EXACT = Context(prec=80)
#: a bound of parts: one for all rows, or one per row
Bound: TypeAlias = int | np.ndarray


def divide(column: pa.Array, bounds: Sequence[Bound]) -> Iterator[pa.Array]:
    """The parts of a column between each two bounds, one array of the column's type each; what is null stays null.

    Args:
        column: a decimal128 column.
        bounds: rising whole numbers from 0 to 10^18, each one for all rows or one per row.

    >>> from decimal import Decimal
    >>> costs = pa.array([Decimal("1.00"), Decimal("-0.05"), None], pa.decimal128(38, 2))
    >>> [[str(v) for v in part.to_pylist()] for part in divide(costs, [0, UNITY // 3, UNITY])]
    [['0.33', '-0.01', 'None'], ['0.67', '-0.04', 'None']]
    """
    if column.null_count == len(column):
        yield from [column] * (len(bounds) - 1)
        return
    known = pa.array(column.is_valid().to_numpy(zero_copy_only=False)) if column.null_count else None
    pairs = words(column.fill_null(0) if column.null_count else column)
    negative = (pairs[:, 1] >> np.uint64(63)).astype(bool)
    high, low = _negated(pairs[:, 1], pairs[:, 0], negative)
    high, low, first = _by_limb(high, low)
    high, low, second = _by_limb(high, low)
    if high.any():  # above 1.8 * 10^19 whole units: more than any bill, but not more than a column holds
        yield from _one_by_one(column, bounds)
        return
    narrow = int(low.max(initial=0)) <= _ONE_WORD
    upto = None
    for bound in bounds:
        last, upto = upto, _upto(low, second, first, np.asarray(bound, dtype=np.uint64), narrow)
        if last is not None:
            below = upto[1] - last[1]
            above = upto[0] - last[0] - (upto[1] < last[1]).astype(np.uint64)
            yield _column(*_negated(above, below, negative), known, column.type)


def words(column: pa.Array) -> np.ndarray:
    """A decimal column's low and high words, one row each."""
    data = np.frombuffer(column.buffers()[1], dtype=np.uint64).reshape(-1, 2)
    return data[column.offset : column.offset + len(column)]


def _negated(high: np.ndarray, low: np.ndarray, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not where.any():
        return high, low
    return np.where(where, ~high + (low == 0), high), np.where(where, ~low + np.uint64(1), low)


def _by_limb(high: np.ndarray, low: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whole numbers of two words divided by 10^9: two words and the remainder."""
    rest, out = np.zeros(len(low), np.uint64), []
    for half in (high >> _HALF, high & _LOW, low >> _HALF, low & _LOW):
        now = (rest << _HALF) | half
        out.append(now // _LIMB)
        rest = now % _LIMB
    return (out[0] << _HALF) | out[1], (out[2] << _HALF) | out[3], rest


def _upto(whole: np.ndarray, more: np.ndarray, less: np.ndarray, bound: np.ndarray, narrow: bool) -> tuple[Any, Any]:
    """What lies below a bound, as high and low words; the amount is whole 10^18 + more 10^9 + less."""
    coarse, fine = bound // _LIMB, bound % _LIMB
    rest = more * coarse + (more * fine + less * coarse + less * fine // _LIMB) // _LIMB
    if narrow:
        return np.uint64(0), whole * bound + rest
    w1, w0, b1, b0 = whole >> _HALF, whole & _LOW, bound >> _HALF, bound & _LOW
    low, one, two = w0 * b0, w1 * b0, w0 * b1
    middle = (low >> _HALF) + (one & _LOW) + (two & _LOW)
    product = (middle << _HALF) | (low & _LOW)
    below = product + rest
    return w1 * b1 + (one >> _HALF) + (two >> _HALF) + (middle >> _HALF) + (below < product), below


def _column(high: np.ndarray, low: np.ndarray, known: pa.Array | None, kind: pa.DataType) -> pa.Array:
    data = np.empty((len(low), 2), np.uint64)
    data[:, 0], data[:, 1] = low, high
    validity = known.buffers()[1] if known is not None else None
    return pa.Array.from_buffers(kind, len(low), [validity, pa.py_buffer(data)])


def _one_by_one(column: pa.Array, bounds: Sequence[Bound]) -> Iterator[pa.Array]:
    scale, amounts = column.type.scale, column.to_pylist()
    whole = [None if a is None else int(_EXACT.scaleb(a, scale)) for a in amounts]
    rows = [np.broadcast_to(np.asarray(b, dtype=object), len(whole)) for b in bounds]
    for low, high in pairwise(rows):
        parts = [_part(c, int(s), int(t)) for c, s, t in zip(whole, low, high, strict=True)]
        yield pa.array([None if p is None else _EXACT.scaleb(Decimal(p), -scale) for p in parts], column.type)


def _part(amount: int | None, low: int, high: int) -> int | None:
    if amount is None:
        return None
    part = abs(amount) * high // UNITY - abs(amount) * low // UNITY
    return part if amount >= 0 else -part
