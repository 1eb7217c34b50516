"""Months as people ask for them and read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finops_ai.errors import DataError
from finops_ai.periods import month_text as month_text
from finops_ai.periods import parse_month, previous_month

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def month_before(month: str) -> str:
    """The month before a month, `YYYY-MM`.

    >>> month_before("2026-01")
    '2025-12'
    """
    return f"{previous_month(parse_month(month)):%Y-%m}"


def month_with_data(ws: Workspace, month: str = "") -> str:
    """A month that holds usage: the one asked for, or the last there is.

    Raises:
        DataError: it holds none; says which months do.
    """
    from finops_ai.tables.bill_alone import where_billed

    months = ws.months()
    if not months and not (month and where_billed(ws, month)):
        raise DataError(f"The lake of {ws.name} is empty. `finops-ai collect --month YYYY-MM` loads a month.")
    if not month:
        return months[-1]
    parse_month(month)
    if (month not in months and not ws.closed(month)) or ws.cube(month).empty:
        raise DataError(
            f"There is no usage for {month}. Months with data: {', '.join(months) or 'none'}. "
            f"Load it with `finops-ai collect --month {month}`.{where_billed(ws, month)}"
        )
    return month
