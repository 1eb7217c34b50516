"""Explain, reconcile and incidents over many rows: one aggregation, then work on cells.

    python benchmarks/why_at_scale.py [MILLIONS=10]

Rows are two months of the sample company's priced usage, each row repeated as so many calls of the same cell; the bill is that
of as many calls, and once more of a part of them, so that every cell has to be looked at row by row. Prints CPU
seconds of each beside those of one plain aggregation of the same rows to the same cells, and the memory at its highest.
"""

from __future__ import annotations

import resource
import sys
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import finops_ai as fa
from finops_ai.frames.origin import made_with
from finops_ai.tables.grouping import grouped_table

#: columns of allocated rows that none of the three reads, left out for the memory of many rows
UNREAD = {
    "rule",
    "price_id",
    "price_note",
    "list_unit_price",
    "share",
    "model_family",
    "model_developer",
    "model_version",
    "sub_account_name",
}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def rows(millions: float) -> pd.DataFrame:
    """The sample's rows over and over, each a call of its own."""
    cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
    times = max(1, round(millions * 1e6 / len(cost)))
    cost = made_with(cost.drop(columns=[c for c in cost if c in UNREAD or cost[c].isna().all()]), cost)
    at = np.tile(np.arange(len(cost)), times)
    out = cost.take(at).reset_index(drop=True)
    ids = pc.cast(pa.array(np.arange(len(out))), pa.string())
    out["request_id"] = pd.Series(ids.to_pandas(), index=out.index, dtype="str")
    return made_with(out, cost)


def grown(bills: pd.DataFrame, times: int) -> pd.DataFrame:
    """The bill of so many times the usage."""
    out = bills.copy()
    for name in ("billed_cost", "list_cost", "contracted_cost", "effective_cost", "consumed_quantity"):
        if name in out.columns:
            values = pc.multiply_checked(pa.array(out[name]).cast(pa.decimal256(60, 18)), Decimal(times))
            values = values.cast(pa.decimal256(76, 18)).cast(out[name].dtype.pyarrow_dtype)
            out[name] = pd.Series(pd.arrays.ArrowExtensionArray(values), index=out.index)
    return out


def main(millions: float = 10) -> None:
    frame = rows(millions)
    october = (frame["charge_period_start"] >= "2026-10-01").to_numpy()
    halves = [frame[~october], frame[october]]
    bills = fa.sample.bills(months=2)
    due = grown(bills, max(1, round(millions * 1e6 / len(fa.price(fa.sample(months=2))))))
    keys = ["team", "api_key_id", "prompt_id", "provider", "model", "service_tier", "meter", "day"]
    jobs = {
        "one aggregation": lambda: grouped_table(
            frame, keys, {"q": "sum(quantity)", "c": "sum(effective_cost)"}, needs=("quantity", "effective_cost")
        ),
        "explain": lambda: fa.explain(*halves, by=["team"]),
        "its drivers": lambda: fa.explain(*halves).drivers(1),
        "reconcile": lambda: fa.reconcile(frame, due),
        "where nothing ties": lambda: fa.reconcile(frame, bills),
        "anomalies": lambda: fa.anomalies(frame, by=["team"], most=1),
        "incidents": lambda: fa.incidents(frame, most=1),
    }
    base = 0.0
    for name, job in jobs.items():
        start, wall = cpu(), time.perf_counter()
        if name == "reconcile":
            halves.clear()  # so that the memory told is the frame's and its own
        job()
        spent = cpu() - start
        base = base or spent
        high = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{len(frame):>11,} rows  {name:18} {spent:6.1f} CPU s ({spent / base:4.1f} times the aggregation), {time.perf_counter() - wall:.1f} s, {high:.1f} GB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
