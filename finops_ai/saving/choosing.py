"""The best set of opportunities that share no row of cost: what can be added up without counting anything twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from finops_ai.saving.opportunity import Positions

#: opportunities that hang together up to which every set is looked at
_EVERY = 16


def best_set(rows: Sequence[Positions], savings: Sequence[Decimal]) -> list[int]:
    """Positions of the opportunities whose savings add up to the most without sharing a row.

    Args:
        rows: of each opportunity, the positions of the rows it changes.
        savings: of each, what it saves.

    >>> best_set([np.array([1, 2]), np.array([1]), np.array([2])], [Decimal(5), Decimal(3), Decimal(3)])
    [1, 2]
    """
    clash = _clashes(rows)
    out: list[int] = []
    for group in _groups(clash):
        out += _best(group, clash, savings)
    return sorted(out)


def _clashes(rows: Sequence[Positions]) -> list[set[int]]:
    """For each opportunity the others that share a row with it."""
    by_row: dict[int, list[int]] = {}
    for n, found in enumerate(rows):
        for i in np.unique(found).tolist():
            by_row.setdefault(i, []).append(n)
    clash: list[set[int]] = [set() for _ in rows]
    for sharing in {tuple(s) for s in by_row.values() if len(s) > 1}:
        for n in sharing:
            clash[n] |= set(sharing) - {n}
    return clash


def _groups(clash: Sequence[set[int]]) -> list[list[int]]:
    """Opportunities that hang together through shared rows."""
    left, out = set(range(len(clash))), []
    while left:
        todo, group = [min(left)], set()
        while todo:
            n = todo.pop()
            if n not in group:
                group.add(n)
                todo += clash[n] - group
        out.append(sorted(group))
        left -= group
    return out


def _best(group: Sequence[int], clash: Sequence[set[int]], savings: Sequence[Decimal]) -> list[int]:
    if len(group) > _EVERY:
        return _by_solver(group, clash, savings)
    order = sorted(group, key=lambda n: -savings[n])
    best: tuple[Decimal, list[int]] = (Decimal(0), [])

    def look(at: int, chosen: list[int], barred: set[int], total: Decimal, rest: Decimal) -> None:
        nonlocal best
        if total > best[0]:
            best = (total, list(chosen))
        if at == len(order) or total + rest <= best[0]:
            return
        n = order[at]
        rest -= savings[n]
        if n not in barred:
            look(at + 1, [*chosen, n], barred | clash[n], total + savings[n], rest)
        look(at + 1, chosen, barred, total, rest)

    look(0, [], set(), Decimal(0), sum((savings[n] for n in group), Decimal(0)))
    return best[1]


def _by_solver(group: Sequence[int], clash: Sequence[set[int]], savings: Sequence[Decimal]) -> list[int]:
    """The same by a solver where it is installed (SciPy's), else the dearest first; both leave no clash."""
    place = {n: k for k, n in enumerate(group)}
    pairs = sorted({(min(a, b), max(a, b)) for a in group for b in clash[a]})
    chosen = list(group)
    try:
        from scipy.optimize import Bounds, LinearConstraint, milp
    except ImportError:
        pass
    else:
        matrix = np.zeros((len(pairs), len(group)))
        for row, (a, b) in enumerate(pairs):
            matrix[row, [place[a], place[b]]] = 1
        found = milp(
            -np.array([float(savings[n]) for n in group]), integrality=np.ones(len(group)), bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, ub=1), options={"time_limit": 5},
        )  # fmt: skip
        if found.x is not None:
            chosen = [n for n in group if found.x[place[n]] > 0.5]
    out: list[int] = []
    for n in sorted(chosen, key=lambda n: -savings[n]):
        if not clash[n] & set(out):
            out.append(n)
    return out
