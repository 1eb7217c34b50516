"""The KPIs of a workspace's month: everything it holds that a KPI can be made of, put together once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.forecasting.planning import workspace_past_error
from finops_ai.tables.kpis import kpis
from finops_ai.tables.reconcile import workspace_reconciliation
from finops_ai.tables.result import Table
from finops_ai.tables.unit_economics import workspace_metrics

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def workspace_kpis(ws: Workspace, month: str) -> Table:
    """Every KPI of a month (see `fa.kpis`), with the workspace's bills, budgets and past plans.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
    """
    errors = workspace_past_error(ws, month)
    return kpis(
        ws.cube(month), month=month, budgets=workspace_budgets(ws, month), past_error=errors,
        business_metrics=workspace_metrics(ws), reconciled=workspace_reconciliation(ws, month),
    )  # fmt: skip
