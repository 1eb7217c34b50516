"""Lines of cost that belong to nobody: capacity that nobody used, shared cost not divided, cost that no rule maps.

They stand among a dimension's values but are no team, so pages give them lines and words of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.engine.fields import IDLE_OPERATION
from finops_ai.reporting.grid import label
from finops_ai.reporting.text import is_unknown, named
from finops_ai.tables.grouping import NOBODY, nobody_of
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    import pandas as pd

SHARED_WORDS, IDLE_WORDS = NOBODY["shared"], NOBODY["idle"]
UNCAPTURED = label(None)


@dataclass(frozen=True)
class Line:
    """One line that nobody owns: its words and its published cost."""

    words: str
    cost: Decimal


def apart(frame: pd.DataFrame, dimension: str) -> dict[str, str]:
    """Values of a dimension that are no owner, and what pages call them.

    Args:
        frame: allocated rows; a value that only idle capacity bears is recognised by them, whatever its name.
        dimension: one of their dimensions; other columns have no such values, except what wasn't captured.
    """
    found = {UNCAPTURED: f"No {named(dimension)} captured"}
    for name in nobody_of(frame, dimension):
        found[name] = NOBODY.get(name, SHARED_WORDS)
    if dimension in frame.columns and "operation" in frame.columns:
        idle = (frame["operation"] == IDLE_OPERATION).to_numpy(bool)
        if idle.any():
            for name in set(frame.loc[idle, dimension].dropna()) - set(frame.loc[~idle, dimension].dropna()):
                found[str(name)] = IDLE_WORDS
    return found


def split(table: Table, dimension: str, words: Mapping[str, str]) -> tuple[Decimal, list[Line]]:
    """Published cost that somebody owns, and the lines that nobody does."""
    shown = table.published()
    owned, lines = Decimal(0), dict[str, Decimal]()
    for name, cost in zip(shown[dimension], shown["cost"], strict=True):
        if is_unknown(cost):
            continue
        if (said := words.get(label(name))) is None:
            owned += cost
        else:
            lines[said] = lines.get(said, Decimal(0)) + cost
    return owned, [Line(said, cost) for said, cost in lines.items() if cost]


def worded(table: Table, dimension: str, words: Mapping[str, str]) -> Any:
    """The table with those words in place of the names, for a chart."""
    out = table.copy()
    out[dimension] = [words.get(label(name), label(name)) for name in table[dimension]]
    return Table.of(out, table.facts)


__all__ = ["Line", "apart", "split", "worded"]
