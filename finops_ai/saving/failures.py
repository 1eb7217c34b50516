"""What was paid for nothing: calls that failed or were tried again, and what is kept by the hour and not used."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.engine.fields import IDLE_OPERATION
from finops_ai.meters import meters
from finops_ai.saving.cells import Cells
from finops_ai.saving.opportunity import Finding, Range
from finops_ai.tables.changing import READS, TOKENS

#: part of a work's cost that errors and retries usually are
_USUAL = Decimal("0.03")
_HALF = Decimal("0.5")
#: kept by time: a fine-tuned model, an endpoint, entries of a cache
_KEPT = ("hosting_hours", "model_months", "cache_storage", "storage")


def failures(cells: Cells) -> Iterator[Finding]:
    """Works whose errors and retries cost more than the usual few per cent."""
    if "outcome" not in cells.frame:
        return
    held = cells.text("outcome")
    bad = np.array([value in ("error", "retry") for value in held], bool)
    for work in cells.works:
        rows, whole = work.rows[bad[work.rows]], cells.total(work.rows)
        cost = cells.total(rows)
        if not len(rows) or whole <= 0 or cost < whole * _USUAL:
            continue
        yield Finding(
            "failures", dict(work.who), f"Stop the errors and retries of {work.name}", f"{float(cost / whole):.1%} of its cost is calls that failed or were tried again",
            rows, saving=Range(cost * _HALF, cost, cost), assumptions=("the calls that fail needn’t be made",),
            confidence="high", risk="none", terms={"provider": work.who["provider"]},
        )  # fmt: skip


def unused(cells: Cells) -> Iterator[Finding]:
    """What is kept by the hour or month and no call used in the whole period."""
    if cells.days < 7:
        return
    for name in _KEPT:
        rows = cells.now[((cells.meter == name) & cells.priced & (cells.operation != IDLE_OPERATION))[cells.now]]
        keys = ("provider", "model", "resource_id", "sub_account_id")
        groups: dict[tuple[Any, ...], list[int]] = {}
        columns = {k: cells.frame[k].astype(object).to_numpy() for k in keys if k in cells.frame}
        for i in rows:
            groups.setdefault(tuple(v[i] if isinstance(v[i], str) else None for v in columns.values()), []).append(i)
        for key, found in groups.items():
            mine = dict(zip(columns, key, strict=True))
            used = _used(cells, mine, name)
            cost = cells.total(np.array(found))
            if used or cost <= 0:
                continue
            what = mine.get("resource_id") or mine["model"]
            yield Finding(
                "unused", {k: str(v) for k, v in mine.items() if v} | {"meter": name}, f"Delete {str(what).rsplit('/', 1)[-1]} at {mine['provider']}",
                f"it was billed by {meters()[name].unit} for {cells.days} days and no call used it", np.array(found), saving=Range(cost, cost, cost),
                assumptions=("nobody needs it soon",), confidence="medium", risk="it has to be made again if it is needed after all",
                terms={"provider": str(mine["provider"])},
            )  # fmt: skip


def seats(idle: pd.DataFrame) -> Iterator[Finding]:
    """Seats that nobody uses, by seller and plan, of a table of `fa.idle_seats`; what isn't proven idle is none."""
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for provider, plan, status, cost in zip(
        idle["provider"], idle["plan"], idle["status"], idle["idle_cost"], strict=True
    ):
        if status == "idle" and isinstance(cost, Decimal) and cost > 0:
            sums.setdefault((str(provider), str(plan)), []).append(cost)
    for (provider, plan), costs in sums.items():
        cost = sum(costs, Decimal(0))
        yield Finding(
            "seats", {"provider": provider, "plan": plan}, f"Give up {len(costs)} idle seat{'s' * (len(costs) != 1)} of {plan} at {provider}",
            "nobody who holds one was seen in any source for the days that `[people]` asks for", np.array([], int),
            saving=Range(cost, cost, cost), held=cost, assumptions=("nobody comes back to them", "seats can be given up before the term ends"),
            confidence="high", risk="somebody has to ask for a seat again", terms={"provider": provider},
        )  # fmt: skip


def _used(cells: Cells, mine: dict[str, Any], name: str) -> bool:
    """Whether any call of the period was to the same model, and, where rows name it, the same resource."""
    same = (cells.provider == mine["provider"]) & (cells.model == mine["model"])
    names = READS if name == "cache_storage" else TOKENS
    return bool((same & np.isin(cells.meter, list(names)))[cells.now].any())
