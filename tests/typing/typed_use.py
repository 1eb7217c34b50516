"""A user's script with types: mypy --strict and pyright read it in `make lint`, and it runs as it stands.

`python tests/typing/typed_use.py` prints the cost per team of the sample company's October.
"""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import assert_type

import pandas as pd

import finops_ai as fa
from finops_ai.errors import FinopsError
from finops_ai.tables import Facts, Table
from finops_ai.tables.chargeback import Chargeback
from finops_ai.tables.reconcile import Reconciliation
from finops_ai.workspace import Workspace


def cost_per_team(month: str) -> dict[str, Decimal]:
    """From usage to cost per team."""
    tokens = fa.sample(months=1)
    assert_type(tokens, pd.DataFrame)
    book = fa.PriceBook.default()
    assert_type(book, fa.PriceBook)
    priced = fa.price(tokens, book)
    assert_type(priced, pd.DataFrame)
    allocated = fa.allocate(priced, fa.Rules.load(fa.sample.rules()))
    table = fa.showback(allocated, by=["team"], month=month)
    assert_type(table, Table)
    assert_type(table.facts, Facts)
    assert_type(table.facts.currency, str)
    return {str(row["team"]): Decimal(row["cost"]) for row in table.to_dict("records")}


def statements(folder: Path) -> None:
    """A workspace's month: opened, charged, tied out."""
    ws = fa.open_workspace(fa.sample.write_workspace(folder, months=1))
    assert_type(ws, Workspace)
    months = ws.months()
    assert_type(months, list[str])


def questions(priced: pd.DataFrame, allocated: pd.DataFrame, bills: pd.DataFrame) -> list[Table]:
    """Each table's own type."""
    charged = fa.chargeback(allocated, {"cost_center": "cost_center"}, month="2026-10")
    assert_type(charged, Chargeback)
    tied = fa.reconcile(priced, bills)
    assert_type(tied, Reconciliation)
    return [tied, fa.anomalies(priced), fa.forecast(priced, 3, by=["team"]), fa.unit_costs(priced), fa.measures()]


if __name__ == "__main__":
    try:
        for team, cost in cost_per_team("2026-10").items():
            print(f"{team:<20} {cost:>12.2f}")
        with tempfile.TemporaryDirectory() as made:
            statements(Path(made))
    except FinopsError as error:
        raise SystemExit(str(error)) from error
