"""How a cell's use splits over providers, models and whatever else is asked: its recent mix, since it last changed.

Models live for weeks. What came or ended within four weeks resets the mix, so that a successor takes over all the work
and what has ended gets none; what is used on few days keeps its mean over a quarter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finops_ai.forecasting.known import Recurring
from finops_ai.forecasting.phases import Phase, life_of
from finops_ai.forecasting.spending import Spending

#: days of the mix, its half-life, days for what is used now and then; share that makes a birth or an end one
MIX, HALF_LIFE, RARE, MATTERS = 28, 14.0, 91, 0.05
#: days of a mix at least; usual change of a share from month to month (sd of the log) and how many changes it counts as
FEWEST, PRIOR_CHANGE, PRIOR_COUNT, LARGEST_CHANGE = 2, 0.15, 4.0, 0.6


def recent_shares(history: Spending, recurring: Sequence[Recurring]) -> tuple[np.ndarray, np.ndarray]:
    """Share of each leaf in its cell's use, and per cell how much shares move from month to month."""
    cells = history.leaves["cell"].to_numpy(dtype=int)
    amounts = np.nan_to_num(history.leaf_amounts)
    for one in recurring:
        if one.leaf < 0 and one.anchor:  # a lump is no mix: its day doesn't count
            amounts[cells == one.cell] = np.where(one.ahead(history.days)[None] > 0, 0.0, amounts[cells == one.cell])
    shares = np.zeros(len(cells))
    spread = np.full(len(history.cells), PRIOR_CHANGE)
    weekday = history.days.day_of_week.to_numpy()
    order = np.argsort(cells, kind="stable")
    names, first = np.unique(cells[order], return_index=True)
    for cell, leaves in zip(names, np.split(order, first[1:]), strict=True):
        if len(leaves) == 1:
            shares[leaves] = 1.0
            continue
        shares[leaves] = _mix(amounts[leaves], weekday)
        spread[cell] = _change(amounts[leaves])
    return shares, spread


def _mix(amounts: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    size = amounts.shape[1]
    recent = amounts[:, -MIX:]
    whole = max(recent.sum(), 1e-12)
    lives = [life_of(y, weekday) if y[-RARE:].any() else None for y in amounts]
    gone = np.array([life is None or (life.phase is Phase.SILENT and life.chance < 0.5) for life in lives])
    since = max(size - MIX, 0)
    for row, life in zip(amounts, lives, strict=True):
        if life is None or row[-MIX:].sum() < MATTERS * whole:
            continue
        if life.phase is Phase.SILENT and life.chance < 0.5 and size - life.since < MIX:
            since = max(since, min(life.since, size - FEWEST))
        elif life.born > since:
            since = max(since, min(life.born, size - FEWEST))
    window = amounts[:, since:]
    weight = 0.5 ** (np.arange(window.shape[1])[::-1] / HALF_LIFE)
    weight /= weight.sum()
    level = window @ weight
    quarter = amounts[:, -RARE:]
    for i, life in enumerate(lives):
        if life is None or gone[i]:
            level[i] = 0.0
            continue
        lived = quarter[i][max(0, quarter.shape[1] - (size - life.born)) :]
        if (lived != 0).mean() < 0.5:
            level[i] = lived.mean()
    level = np.maximum(level, 0.0)
    if level.sum() <= 0:
        level = np.maximum(amounts.sum(1), 0.0)
    return level / level.sum() if level.sum() > 0 else np.full(len(level), 1 / len(level))


def _change(amounts: np.ndarray) -> float:
    count = min(amounts.shape[1] // MIX, 7)
    if count < 2:
        return PRIOR_CHANGE
    blocks = amounts[:, amounts.shape[1] - count * MIX :].reshape(len(amounts), count, MIX).sum(2)
    share = np.divide(blocks, blocks.sum(0), out=np.zeros_like(blocks), where=blocks.sum(0) > 0)
    before, after = share[:, :-1], share[:, 1:]
    both = (before > 0.02) & (after > 0.02)
    change = np.where(both, np.log(np.where(both, after, 1) / np.where(both, before, 1)), 0.0)
    weight = np.where(both, (before + after) / 2, 0.0)
    variance = ((weight * change**2).sum() + PRIOR_COUNT * PRIOR_CHANGE**2) / (weight.sum() + PRIOR_COUNT)
    return float(min(np.sqrt(variance), LARGEST_CHANGE))
