"""Cents decided once: the published cost of each row of a month, so that every sum of rows is the same wherever it stands.

An exact cost has more digits than anybody pays. Rounding each published figure alone makes tables that don't add up and
figures that differ from page to page by a cent. So the rounding is decided here, per month and currency, for the rows
themselves: each row's cost goes down or up to a whole minor unit, and every published amount anywhere is a sum of those.

Whether a row goes up is steered by what its neighbours did: the row looks at the error made so far for its account, for
its value in each dimension, its model, prompt, day and so on, and takes the side that keeps those errors small. At the
end each billing account is brought to its own amount (largest remainder, so that accounts add up to the rounded total), and
so is each value of the first dimension, as far as accounts let units move between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.fields import PUBLISHED
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import minor_units, round_to_total
from finops_ai.periods import zone

#: frames with more rows are published table by table; the cube of a month stays below
MOST_ROWS = 400_000
#: what is kept close to its exact sum besides the account and the dimensions, as far as the frame has it
_ALSO = ("provider", "model", "prompt_id", "meter", "day", "sub_account_id", "service_tier", "user_id", "api_key_id")
#: one account, and one value of the first dimension within it, weigh more than any other name
_HEAVY = 4.0
#: units moved between values of the first dimension, at most
_MOST_SWAPS = 200
#: leaves room for a digit when amounts are added
_NARROW = pa.decimal128(37, 18)


def with_cents(frame: pd.DataFrame, dimensions: Sequence[str], timezone: str, *, finest: bool = True) -> pd.DataFrame:
    """Add `published_cost`: the effective cost of each row in whole minor units of its currency, null where it is unknown.

    Args:
        frame: priced rows.
        dimensions: their business dimensions, that of the receivers first.
        timezone: the reporting zone, whose months are published.
        finest: keep six places where a month comes to less than one unit of currency in all.

    Returns:
        The frame with the column; per month and currency the amounts add up to the exact total rounded half-even, and
        each billing account to within one unit of its exact amount. Months below one unit of currency in all keep six
        places. Frames of more than 400,000 rows are returned without it.

    >>> rows = pd.DataFrame({
    ...     "charge_period_start": pd.to_datetime(["2026-10-01"] * 3, utc=True), "provider": "openai", "billing_account_id": "a",
    ...     "pricing_currency": "USD", "team": ["x", "y", "z"],
    ...     "effective_cost": pd.array([Decimal("3.3333")] * 3, pd.ArrowDtype(COST_TYPE))})
    >>> [f"{cost:.2f}" for cost in with_cents(rows, ["team"], "UTC")["published_cost"]]
    ['3.34', '3.33', '3.33']
    """
    frame = frame.drop(columns=PUBLISHED, errors="ignore")
    if len(frame) > MOST_ROWS or "effective_cost" not in frame.columns:
        return frame
    costs = pa.chunked_array([pa.array(frame["effective_cost"], COST_TYPE)]).combine_chunks()
    local = frame["charge_period_start"].dt.tz_convert(zone(timezone)).dt.tz_localize(None)
    names = frame.assign(day=local.dt.normalize())
    groups = pd.DataFrame({"currency": frame["pricing_currency"], "month": local.dt.to_period("M")})
    known = frame["effective_cost"].notna().to_numpy(bool)
    places, pieces = [], []
    found: Any = groups[known].groupby(["currency", "month"], sort=True, dropna=False).indices
    for (currency, _), at in found.items():
        rows = np.flatnonzero(known)[at]
        mine = costs.take(pa.array(rows))
        digits = minor_units(currency) if isinstance(currency, str) else 2
        if finest and 0 < abs(pc.sum(mine).as_py()) < 1:
            digits = 6
        places.append(rows)
        pieces.append(_rounded(mine, names.iloc[rows], dimensions, digits))
    if not places:
        return frame.assign(**{PUBLISHED: pd.array(pa.nulls(len(frame), COST_TYPE), dtype=pd.ArrowDtype(COST_TYPE))})
    index = np.full(len(frame), -1)
    index[np.concatenate(places)] = np.arange(known.sum())
    picked = pa.array(index, mask=index < 0)
    frame[PUBLISHED] = pd.array(pa.concat_arrays(pieces).take(picked), dtype=pd.ArrowDtype(COST_TYPE))
    return frame


def _rounded(costs: pa.Array, names: pd.DataFrame, dimensions: Sequence[str], digits: int) -> pa.Array:
    """Each cost rounded down or up to `digits` places."""
    unit = Decimal(1).scaleb(-digits)
    floors = pc.round(costs, ndigits=digits, round_mode="down").cast(_NARROW)
    fractions = pc.subtract(costs.cast(_NARROW), floors).cast(pa.float64()).to_numpy() * 10**digits
    account = _codes(names, ["provider", "billing_account_id"])
    families = [(account, _HEAVY), *_families(names, dimensions)]
    up = _steered(fractions, families, _order(names, dimensions))
    exact, base = _per(account, costs), _per(account, floors)
    went_up = np.bincount(account, weights=up).astype(int)
    wanted = round_to_total(exact, digits)
    missing = [int((w - b) / unit) - int(n) for w, b, n in zip(wanted, base, went_up, strict=True)]
    _repair(up, fractions, families, account, missing)
    told = [d for d in dimensions if d in names.columns]
    if told:
        owner = _codes(names, [told[0]])
        target = round_to_total(_per(owner, costs), digits)
        went_up = np.bincount(owner, weights=up).astype(int)
        off = [int((w - b) / unit) - int(n) for w, b, n in zip(target, _per(owner, floors), went_up, strict=True)]
        _swap(up, fractions, families, account, owner, off)
    steps = pc.multiply(pa.array(up).cast(pa.decimal128(19, 0)), pa.scalar(unit, pa.decimal128(12, digits)))
    return pc.add(floors, steps.cast(_NARROW)).cast(COST_TYPE)


def _per(account: np.ndarray, costs: pa.Array) -> list[Decimal]:
    """Exact sums per account, in the order of their numbers."""
    table = pa.table({"account": account, "cost": costs.cast(COST_TYPE)})
    out: list[Decimal] = (
        table.group_by("account").aggregate([("cost", "sum")]).sort_by("account")["cost_sum"].to_pylist()
    )
    return out


def _families(names: pd.DataFrame, dimensions: Sequence[str]) -> list[tuple[np.ndarray, float]]:
    """What rows belong to, as codes, and how much each counts; columns that tell nothing are left out."""
    told = [d for d in dimensions if d in names.columns]
    wanted: list[tuple[list[str], float]] = []
    if told:
        wanted += [([told[0]], _HEAVY), ([told[0], "provider", "billing_account_id"], _HEAVY)]
    wanted += [([name], 1.0) for name in (*told[1:], *_ALSO)]
    if told:
        wanted += [([told[0], name], 1.0) for name in (*told[1:], "model", "prompt_id", "provider", "day", "meter")]
    wanted += [
        ([name, "meter"], 1.0) for name in ("provider", "model")
    ]  # whose input and output have rates of their own
    found, seen = [], set()
    for columns, weight in wanted:
        if all(c in names.columns for c in columns):
            codes = _codes(names, columns)
            if codes.max(initial=0) > 0 and (mark := codes.tobytes()) not in seen:
                seen.add(mark)
                found.append((codes, weight))
    return found


def _swap(
    up: np.ndarray,
    fractions: np.ndarray,
    families: Sequence[tuple[np.ndarray, float]],
    account: np.ndarray,
    owner: np.ndarray,
    off: list[int],
) -> None:
    """Give owners that lack a unit one from owners with one too many: within an account they share, or through others."""
    errors = [np.bincount(c, weights=up - fractions, minlength=int(c.max(initial=0)) + 1) for c, _ in families]

    def move(rows: np.ndarray, step: int) -> None:
        pull = sum(w * e[c[rows]] for (c, w), e in zip(families, errors, strict=True))
        row = rows[int(np.argmin(step * pull - 1e-9 * step * fractions[rows]))]
        up[row] += step
        for (c, _), e in zip(families, errors, strict=True):
            e[c[row]] += step

    for _ in range(min(sum(n for n in off if n > 0), _MOST_SWAPS)):
        rises, falls = (up == 0) & (fractions > 0), up > 0
        can_rise = set(zip(owner[rises].tolist(), account[rises].tolist(), strict=True))
        can_fall: dict[int, list[int]] = {}
        for o, a in set(zip(owner[falls].tolist(), account[falls].tolist(), strict=True)):
            can_fall.setdefault(a, []).append(o)
        path = _path(
            [i for i, n in enumerate(off) if n > 0], {i for i, n in enumerate(off) if n < 0}, can_rise, can_fall
        )
        if not path:
            return
        for one, place, other in path:
            move(np.flatnonzero(rises & (owner == one) & (account == place)), 1)
            move(np.flatnonzero(falls & (owner == other) & (account == place)), -1)
        off[path[0][0]] -= 1
        off[path[-1][2]] += 1


def _path(
    short: Sequence[int], over: set[int], can_rise: set[tuple[int, int]], can_fall: Mapping[int, Sequence[int]]
) -> list[tuple[int, int, int]]:
    """The shortest way a unit can go, as (owner that rises, account, owner that falls)."""
    ways: dict[int, list[tuple[int, int, int]]] = {i: [] for i in short}
    waiting = list(short)
    places: dict[int, list[int]] = {}
    for o, a in sorted(can_rise):
        places.setdefault(o, []).append(a)
    while waiting:
        one = waiting.pop(0)
        for place in places.get(one, []):
            for other in sorted(can_fall.get(place, [])):
                if other not in ways:
                    ways[other] = [*ways[one], (one, place, other)]
                    if other in over:
                        return ways[other]
                    waiting.append(other)
    return []


def _codes(names: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """A number for each combination of some columns, nulls included."""
    codes = np.zeros(len(names), dtype=np.int64)
    for column in columns:
        one, levels = pd.factorize(names[column], use_na_sentinel=False, sort=True)
        codes = codes * max(len(levels), 1) + one
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _order(names: pd.DataFrame, dimensions: Sequence[str]) -> np.ndarray:
    """A fixed order of the rows, whatever order they come in."""
    columns = [c for c in ("billing_account_id", *dimensions, "model", "prompt_id", "meter", "service_tier", "day",
                           "sub_account_id", "user_id", "api_key_id") if c in names.columns]  # fmt: skip
    return np.lexsort([_codes(names, [c]) for c in reversed(columns)]) if columns else np.arange(len(names))


def _steered(fractions: np.ndarray, families: Sequence[tuple[np.ndarray, float]], order: np.ndarray) -> np.ndarray:
    """Which rows go up: each takes the side that keeps the errors of everything it belongs to small."""
    up = np.zeros(len(fractions), dtype=np.int64)
    weights = [w for _, w in families]
    sizes = [int(c.max(initial=0)) + 1 for c, _ in families]
    starts = np.cumsum([0, *sizes[:-1]])
    order = order[fractions[order] > 0]
    places = np.stack([c[order] + start for (c, _), start in zip(families, starts, strict=True)], axis=1).tolist()
    errors = [0.0] * sum(sizes)  # of everything a row can belong to, times what it counts
    of, whole = errors.__getitem__, sum(weights)
    for i, fraction, at in zip(order.tolist(), fractions[order].tolist(), places, strict=True):
        step = -fraction
        if sum(map(of, at)) < whole * (fraction - 0.5):
            up[i], step = 1, 1.0 - fraction
        for place, weight in zip(at, weights, strict=True):
            errors[place] += weight * step
    return up


def _repair(
    up: np.ndarray,
    fractions: np.ndarray,
    families: Sequence[tuple[np.ndarray, float]],
    account: np.ndarray,
    missing: Sequence[int],
) -> None:
    """Bring each account to its amount by moving the rows whose move helps the other names most, or hurts least."""
    errors = [np.bincount(c, weights=up - fractions, minlength=int(c.max(initial=0)) + 1) for c, _ in families]
    for number, units in enumerate(missing):
        rows = np.flatnonzero(account == number)
        step = 1 if units > 0 else -1
        while units:
            room = rows[(up[rows] == 0) & (fractions[rows] > 0)] if step > 0 else rows[up[rows] > 0]
            room = room if len(room) else rows[np.argsort(-fractions[rows])][:1]
            pull = sum(w * e[c[room]] for (c, w), e in zip(families, errors, strict=True))
            chosen = room[int(np.argmin(step * pull - 1e-9 * step * fractions[room]))]
            up[chosen] += step
            for (c, _), e in zip(families, errors, strict=True):
                e[c[chosen]] += step
            units -= step
