"""What findings would save: all their changed rows priced at once by the engine, under the rows' own contracts."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from finops_ai.engine import reprice
from finops_ai.engine.fields import NATIVE, PAYABLE, PRICED, PUBLISHED
from finops_ai.saving.cells import Cells
from finops_ai.saving.opportunity import Finding, Range
from finops_ai.tables.changing import with_known_meters

_ZERO, _PLACES = Decimal(0), Decimal(1).scaleb(-18)
_CASE = "_case"
_DROPPED = {*PRICED, PAYABLE, PUBLISHED, *NATIVE, "tags"}


def savings(cells: Cells, findings: Sequence[Finding]) -> list[Range | None]:
    """The saving of each finding; None where a case has no known price.

    A saving is what the rows cost times the share of it that falls away at the book's contracted prices. So what volume
    tiers, credits and exchange rates made of a price stays made of it, and rows priced as the book says save exactly the
    difference.
    """
    own = [c for c in cells.frame.columns if c not in _DROPPED and c not in ("rule", "share", *cells.dimensions)]
    plain = cells.frame[own]
    asked = [(n, k, change) for n, f in enumerate(findings) for k, change in enumerate(f.changes or ())]
    if not asked:
        return [f.saving for f in findings]
    touched = np.unique(np.concatenate([findings[n].rows for n, _, _ in asked]))
    parts = [plain.take(touched.tolist()).assign(**{_CASE: -1})]
    for number, (n, _, change) in enumerate(asked):
        parts.append(change(plain.take(findings[n].rows.tolist())).assign(**{_CASE: number}))
    found = _costs(pd.concat(parts, ignore_index=True), cells)
    known = dict(zip(touched.tolist(), found[-1], strict=True))
    after = {(n, k): found[number] for number, (n, k, _) in enumerate(asked)}
    return [f.saving if f.changes is None else _range(cells, f, n, known, after) for n, f in enumerate(findings)]


def _range(
    cells: Cells, finding: Finding, number: int, known: dict[int, Decimal | None],
    after: dict[tuple[int, int], list[Decimal | None]],
) -> Range | None:  # fmt: skip
    listed = _sum([known[i] for i in finding.rows.tolist()])
    cases = [_sum(after[number, k]) for k in range(3)]
    if not listed:
        return None
    paid, less = cells.total(finding.rows), [listed - case for case in cases if case is not None]
    if len(less) < len(cases):
        return None
    if paid != listed:
        less = [(value * paid / listed).quantize(_PLACES) for value in less]
    return Range(*less)


def _sum(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum, None where a part isn't known."""
    known = [v for v in values if v is not None]
    return sum(known, _ZERO) if len(known) == len(values) else None


def _costs(rows: pd.DataFrame, cells: Cells) -> dict[int, list[Decimal | None]]:
    """Contracted cost of rows, by case; classes of tokens that a list has no price of as what they are billed as."""
    priced = reprice(rows, cells.book)
    bare = (priced["price_status"] == "unpriced").to_numpy(bool)
    if bare.any():
        again = reprice(with_known_meters(rows[bare], [True] * int(bare.sum())), cells.book)
        costs = np.array(priced["contracted_cost"].astype(object), dtype=object)
        costs[bare] = np.array(again["contracted_cost"].astype(object), dtype=object)
    else:
        costs = np.array(priced["contracted_cost"].astype(object), dtype=object)
    out: dict[int, list[Decimal | None]] = {}
    for case, cost in zip(priced[_CASE].tolist(), costs, strict=True):
        out.setdefault(case, []).append(None if cost is None or cost is pd.NA else Decimal(cost))
    return out
