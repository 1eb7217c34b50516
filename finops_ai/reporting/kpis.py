"""The KPIs of a workspace's month: everything it holds that a KPI can be made of, put together once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_ai.errors import DataError
from finops_ai.forecasting import past_error
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.tables.kpis import kpis
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def workspace_kpis(ws: Workspace, month: str) -> Table:
    """Every KPI of a month (see `fa.kpis`), with the workspace's bills, budgets and past plans.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
    """
    try:
        errors = past_error(ws.history(month, 13), 6, book=ws.book, timezone=ws.timezone)
    except DataError:
        errors = None
    return kpis(
        ws.allocated(month), month=month, bills=ws.bills(month), budgets=workspace_budgets(ws, month), past_error=errors
    )
