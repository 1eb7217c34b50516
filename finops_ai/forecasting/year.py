"""A workspace's plan to the year's end, the one that its pages, commands and answers state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.forecasting.budgeting import budget_lines
from finops_ai.forecasting.history import end_of_data
from finops_ai.forecasting.making import make_plan
from finops_ai.forecasting.planning import budget_outlook, currency_of_plan, outlook_table, plan_table, year_end_of
from finops_ai.forecasting.scenarios import ScenarioLike, one_scenario
from finops_ai.forecasting.seats import history_with_seats
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

    Args:
        ws: the workspace.
        month: last month that is known, `YYYY-MM` of the reporting zone.
        by: columns to split the plan by.
        until: last month of the plan; by default that of `[plan]`, else the end of the fiscal year.
        months: months of history to learn from.

    Raises:
        DataError: too little history to plan from.
    """
    return workspace_outlook(ws, month, by, until=until, months=months)[0]


def workspace_outlook(
    ws: Workspace,
    month: str,
    by: Sequence[str] = (),
    *,
    until: str | None = None,
    months: int = HISTORY,
    scenario: ScenarioLike | None = None,
) -> tuple[Table, Table]:
    """The plan, and what each budget still open will come to (see `budget_outlook`); arguments as of `workspace_plan`.

    Made once for each state of the workspace, and both of one projection where that is the same. A scenario is as in `plan`.
    """
    change = None if scenario is None else one_scenario(scenario)
    budgets, terms = ws.settings.policies.get("budgets"), workspace_terms(ws, month)
    key = (
        "plan", ws.digest(), ws.ledger.head(), month, tuple(by), until or terms.until, months, repr(budgets), repr(terms), repr(change),
    )  # fmt: skip

    def make() -> Any:
        history = history_with_seats(ws, month, months, by)
        last = until or terms.until or year_end_of(history, ws.timezone, terms.fiscal_start)
        told: dict[str, Any] = {"scenario": change, "book": ws.book, "timezone": ws.timezone, **terms.known}
        made = make_plan(history, until=last, keep=by, **told)
        table = plan_table(made, budgets, by=by, **terms.year, sources=(history,))
        currency, end = currency_of_plan(history), end_of_data(history, ws.timezone)
        lines = [
            line
            for line in budget_lines(budgets, currency)
            if pd.Period(line.months[-1], "M").end_time >= end.normalize()
        ]
        same = all(set(line.dimensions) <= set(by) for line in lines)
        if same and (not lines or max(line.months[-1] for line in lines) == last):
            return table, outlook_table(made if lines else None, lines, currency, history)
        return table, budget_outlook(history, budgets, **told)

    found: tuple[Table, Table] = ws.recent.once(key, make, keep=lambda tables: True, shared=True)
    return found[0].copy(deep=False), found[1].copy(deep=False)  # what a reader changes in them is nobody else's


__all__ = ["HISTORY", "workspace_outlook", "workspace_plan"]
