"""Which rows of a frame meet a condition."""

from __future__ import annotations

import numpy as np
import pandas as pd

from finops_ai.engine.conditions import Condition, fields_of, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect
from finops_ai.engine.plan import Plan


def matching(frame: pd.DataFrame, condition: Condition) -> np.ndarray:
    """A boolean per row: whether it meets the condition (a missing value meets no test).

    Args:
        frame: token, priced or allocated rows.
        condition: see `finops_ai.engine.conditions.parse_condition`.
    """
    fields = sorted(fields_of(condition))
    out = np.zeros(len(frame), dtype=bool)
    with connect() as con:
        scan = Scan(con, frame, fields, numbered=True)
        plan = Plan().scan([ROW, *fields], read=scan.column)
        test = to_sql(condition, DUCKDB, plan.column)
        found = con.sql(f"WITH {plan.steps[0]} SELECT {ROW} FROM u WHERE {test}").to_arrow_table()
    out[found[ROW].to_numpy()] = True
    return out
