"""Result tables: each takes priced or allocated rows and returns a `Table` that states what it conserves and covers."""

from finops_ai.tables.anomalies import anomalies
from finops_ai.tables.chargeback import chargeback
from finops_ai.tables.explain import explain
from finops_ai.tables.reconcile import reconcile
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.showback import showback
from finops_ai.tables.unit_economics import unit_economics
from finops_ai.tables.what_if import what_if

__all__ = [
    "Facts",
    "Table",
    "anomalies",
    "chargeback",
    "explain",
    "reconcile",
    "showback",
    "unit_economics",
    "what_if",
]
