"""The three cases of a finding: what surely remains, what is usual, what it is at most."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from finops_ai.saving.opportunity import Change
from finops_ai.tables.changing import divided


def partly(change: Change, share: Decimal) -> Change:
    """A change of a share of every row; the rest stays as it is."""

    def some(frame: pd.DataFrame) -> pd.DataFrame:
        moved, kept = divided(frame, share)
        return pd.concat([change(moved), kept])

    return some


def all_but(change: Change, low: str) -> tuple[Change, Change, Change]:
    """All of the rows changed, and in the low case a share of them.

    >>> [c.__name__ for c in all_but(len, "0.8")]
    ['some', 'len', 'len']
    """
    return partly(change, Decimal(low)), change, change
