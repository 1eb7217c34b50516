"""Lines of cost that belong to nobody: capacity that nobody used, shared cost not divided, cost that no rule maps.

They stand among a dimension's values but are no team, so pages give them lines and words of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.engine.settling import IDLE as IDLE_OPERATION
from finops_ai.engine.shared import IDLE
from finops_ai.reporting.text import is_unknown
from finops_ai.tables.grouping import UNALLOCATED
from finops_ai.tables.policy import Policy

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

UNMAPPED_WORDS, IDLE_WORDS, SHARED_WORDS = "Not mapped", "Idle capacity", "Shared, not divided"
UNCAPTURED_WORDS = "Not captured"


@dataclass(frozen=True)
class Share:
    """What one line is of the whole: its words, its cost, and whether somebody is charged."""

    words: str
    cost: Decimal


def nobodies(ws: Workspace, dimension: str, frame: Any = None) -> dict[str, str]:
    """Values of a dimension that are no owner, and the words for each.

    Args:
        ws: the workspace, whose rules and policy name them.
        dimension: the dimension.
        frame: allocated rows; a value that only idle capacity bears is recognised by them, whatever its name.
    """
    found = {UNALLOCATED: UNMAPPED_WORDS, IDLE: IDLE_WORDS}
    for shared in ws.rules.shared:
        if shared.dimension == dimension and (value := _equals(shared.text, dimension)):
            found.setdefault(value, SHARED_WORDS)
    policy = ws.settings.policies.get("chargeback")
    if policy is not None and policy.get("dimension") == dimension:
        for name in Policy.load(policy).not_charged:
            found.setdefault(name, f"{name}, charged to nobody")
    if frame is not None and dimension in frame.columns and "operation" in frame.columns:
        idle = (frame["operation"] == IDLE_OPERATION).to_numpy(bool)
        used = set(frame.loc[~idle, dimension].dropna())
        for name in set(frame.loc[idle, dimension].dropna()) - used:
            found.setdefault(str(name), IDLE_WORDS)
    return found


def _equals(text: Any, dimension: str) -> str:
    """The value that a condition as written compares the dimension with; "" for anything less plain."""
    try:
        condition = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return ""
    value = condition.get(dimension) if isinstance(condition, Mapping) else None
    return value if isinstance(value, str) else ""


def split(names: Iterable[Any], costs: Iterable[Any], apart: Mapping[str, str]) -> tuple[Decimal, list[Share]]:
    """Cost that somebody owns, and the lines that nobody does, by their words."""
    owned, lines = Decimal(0), dict[str, Decimal]()
    for name, cost in zip(names, costs, strict=True):
        if is_unknown(cost):
            continue
        words = UNCAPTURED_WORDS if is_unknown(name) else apart.get(str(name))
        if words is None:
            owned += cost
        else:
            lines[words] = lines.get(words, Decimal(0)) + cost
    return owned, [Share(words, cost) for words, cost in lines.items()]
