"""A workspace's plan to the year's end, the one that its pages, commands and answers state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from finops_ai.forecasting.planning import plan
from finops_ai.forecasting.terms import workspace_terms

if TYPE_CHECKING:
    from finops_ai.tables.result import Table
    from finops_ai.workspace import Workspace

#: months of history a plan learns from
HISTORY = 13


def workspace_plan(
    ws: Workspace, month: str, by: Sequence[str] = (), *, until: str | None = None, months: int = HISTORY
) -> Table:
    """The plan of a workspace as it looked at the end of a month, with its budgets and its `[plan]` section (see `plan`).

    Made once for each state of the workspace.

    Args:
        ws: the workspace.
        month: last month that is known, `YYYY-MM` of the reporting zone.
        by: columns to split the plan by.
        until: last month of the plan; by default that of `[plan]`, else the end of the fiscal year.
        months: months of history to learn from.

    Raises:
        DataError: too little history to plan from.
    """
    budgets, terms = ws.settings.policies.get("budgets"), workspace_terms(ws, month)
    key = (
        "plan", ws.digest(), ws.ledger.head(), month, tuple(by), until or terms.until, months, repr(budgets), repr(terms),
    )  # fmt: skip

    def make() -> Any:
        return plan(
            ws.history(month, months, by), budgets, by=by, until=until or terms.until, book=ws.book, timezone=ws.timezone,
            **terms.year, **terms.known,
        )  # fmt: skip

    found: Table = ws.recent.once(key, make, keep=lambda table: True, shared=True)
    return found.copy(deep=False)  # what its reader changes in it is nobody else's


__all__ = ["HISTORY", "workspace_plan"]
