"""Result tables: each takes priced or allocated rows and returns a `Table` that states what it conserves and covers."""

from finops_ai.tables.chargeback import chargeback
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.showback import showback

__all__ = [
    "Facts",
    "Table",
    "chargeback",
    "showback",
]
