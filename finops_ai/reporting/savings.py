"""What could be saved, as far as the month's own rows show it: idle capacity, and moves to dearer models.

Each action has a saving that rows add up to, the evidence, and an owner. What rows can't show, such as how much of a prompt
repeats, is no action here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.engine.settling import IDLE
from finops_ai.figures import aggregates, values
from finops_ai.figures.computing import fields
from finops_ai.reporting.text import is_unknown, percent
from finops_ai.tables.drivers import short
from finops_ai.tables.grouping import dimensions_of, grouped, nobody_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Action:
    """One thing to do.

    Attributes:
        what: in the imperative.
        saving: what it would have saved in the month at most; exact rows add up to it.
        evidence: what shows it.
        owner: who would have to do it; "" where rows don't tell.
    """

    what: str
    saving: Decimal
    evidence: str
    owner: str = ""


def savings(frame: pd.DataFrame, drivers: Sequence[dict[str, Any]] = ()) -> list[Action]:
    """The month's actions, the largest saving first.

    Args:
        frame: the month's allocated rows.
        drivers: what changed the cost, as `fa.explain(...).drivers()` gives it.
    """
    found = [*_idle_capacity(frame), *_dearer_models(drivers)]
    return sorted(found, key=lambda a: (-a.saving, a.what))


def _idle_capacity(frame: pd.DataFrame) -> list[Action]:
    """Reserved capacity that served no call, by provider and place."""
    wanted = ["idle_cost", "capacity_cost", "idle_share"]
    keys = ["provider", "region"] if "region" in frame.columns else ["provider"]
    groups = grouped(frame, keys, aggregates(wanted), needs=fields(wanted))
    out = []
    for g in groups:
        found = values(g, wanted)
        if is_unknown(found["idle_cost"]) or found["idle_cost"] <= 0:
            continue
        where = " ".join(str(g[k]) for k in keys if not is_unknown(g[k]))
        evidence = f"{percent(found['idle_share'])} of what was reserved served no call this month"
        out.append(
            Action(
                f"Release or fill reserved capacity on {where}",
                found["idle_cost"],
                evidence,
                _user(frame, g["provider"]),
            )
        )
    return out


def _user(frame: pd.DataFrame, provider: str) -> str:
    """Who uses most of a provider's reserved capacity; "" where nobody is named."""
    own = dimensions_of(frame)
    if not own:
        return ""
    used = frame[
        (
            (frame["provider"] == provider) & (frame["meter"] == "provisioned_hours") & (frame["operation"] != IDLE)
        ).to_numpy(bool)
    ]
    if used.empty:
        return ""
    nobody, groups = (
        set(nobody_of(frame, own[0])),
        grouped(used, own[:1], {"cost": "sum(effective_cost)"}, needs=("effective_cost",)),
    )
    named = [g for g in groups if not is_unknown(g[own[0]]) and g[own[0]] not in nobody and g["cost"]]
    return str(max(named, key=lambda g: (g["cost"], g[own[0]]))[own[0]]) if named else ""


def _dearer_models(drivers: Sequence[dict[str, Any]]) -> list[Action]:
    """Work that moved to another model and became dearer by it."""
    out = []
    for row in drivers:
        if row["what"] != "switch" or is_unknown(row["model_from"]) or row["amount"] <= 0:
            continue
        work = str(row["who"]) if is_unknown(row["prompt"]) else f"{row['who']}, {row['prompt']}"
        since = "" if is_unknown(row["since"]) else f" until {row['since']:%d %b}".replace(" 0", " ")
        earlier = short(str(row["model_from"]))
        evidence = f"the same work ran on {earlier}{since}"
        out.append(Action(f"Put {work} back on {earlier}", row["amount"], evidence, str(row["who"])))
    return out
