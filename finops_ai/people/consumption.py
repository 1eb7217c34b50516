"""What people used by day and vendor, in the three moneys, side by side: what every table of use is made of."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import register
from finops_ai.engine.plan import ESTIMATE, INCLUDED, STATED
from finops_ai.engine.weights import units
from finops_ai.errors import FrameError
from finops_ai.figures import meter_list
from finops_ai.frames.types import COST_TYPE
from finops_ai.identity import Identities
from finops_ai.money import COST
from finops_ai.people.vendors import vendor_sql
from finops_ai.periods import Window
from finops_ai.tables.grouping import grouped_table
from finops_ai.tables.spreading import register_who

#: sums per day: what was charged, covered by an allowance, billed as used, and worth at list by logs
MONEYS = {
    "cash": f"sum(effective_cost) FILTER (WHERE price_status = '{STATED}')",
    "included": f"sum(list_cost) FILTER (WHERE price_status = '{INCLUDED}')",
    "billed": f"sum(effective_cost) FILTER (WHERE price_status IS DISTINCT FROM '{STATED}')",
    "logged": f"sum(list_cost) FILTER (WHERE price_status = '{ESTIMATE}')",
}
_COUNTS = {
    "vendor_tokens": f"sum(quantity) FILTER (WHERE meter IN {meter_list(is_token=True)} AND price_status IN ('{STATED}', '{INCLUDED}'))",
    "logged_tokens": f"sum(quantity) FILTER (WHERE meter IN {meter_list(is_token=True)} AND price_status = '{ESTIMATE}')",
    "billed_tokens": f"sum(quantity) FILTER (WHERE meter IN {meter_list(is_token=True)} AND price_status NOT IN ('{STATED}', '{INCLUDED}', '{ESTIMATE}'))",
}
_KEYS = ["provider", "billing_account_id", "pricing_currency", "user_id", "tool_name", "day"]


def register_consumed(con: Any, usage: pd.DataFrame, identities: Identities, window: Window, timezone: str) -> None:
    """Make the table `consumed`: one row per day, vendor, billing account, currency and account, with its person and team.

    `by_tool` tells rows that name a coding tool from those that don't. Amounts are whole smallest units, 0 where there is nothing of a money; `has_vendor` and `has_logs` tell by which roads the
    day is known.

    Raises:
        FrameError: usage that isn't priced.
    """
    if "price_status" not in usage.columns:
        raise FrameError("Tables of people take priced rows; call fa.price first.")
    first = window.start.date() - dt.timedelta(days=1)
    register_who(con, identities, [("", first, window.end.date() + dt.timedelta(days=1))])
    keys = [k for k in _KEYS if k in usage.columns or k == "day"]
    found = grouped_table(
        usage, keys, MONEYS | _COUNTS, timezone=timezone, window=window,
        needs=("effective_cost", "list_cost", "price_status", "quantity", "meter"),
    )  # fmt: skip
    for name in _KEYS:
        if name not in found.column_names:
            found = found.append_column(name, pa.nulls(found.num_rows, pa.string()))
    for name in MONEYS:
        found = found.set_column(found.column_names.index(name), name, found[name].cast(COST_TYPE))
    register(con, "days", found)
    sums = ", ".join(f"CAST(coalesce(sum({units(f'd.{name}', COST[1])}), 0) AS HUGEINT) AS {name}" for name in MONEYS)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE consumed AS
        WITH keyed AS (
          SELECT d.*, lower(trim(d.user_id)) AS account, {vendor_sql("d.provider", "d.tool_name")} AS vendor FROM days d)
        SELECT d.day, d.vendor, d.billing_account_id, d.pricing_currency AS currency, d.account, w.person, w.team,
          coalesce(w.person, '?' || d.account) AS who, {sums},
          coalesce(sum(d.vendor_tokens), 0) AS vendor_tokens, coalesce(sum(d.billed_tokens), 0) AS billed_tokens, d.tool_name IS NOT NULL AS by_tool, coalesce(sum(d.logged_tokens), 0) AS logged_tokens,
          bool_or(d.cash IS NOT NULL OR d.included IS NOT NULL) AS has_vendor, bool_or(d.logged IS NOT NULL) AS has_logs
        FROM keyed d
          LEFT JOIN who_keys own ON own.key = lower(d.provider) || '/' || d.account
          LEFT JOIN who_keys any_ ON any_.key = '/' || d.account
          LEFT JOIN who w ON w.key = coalesce(own.key, any_.key) AND d.day >= w.since AND d.day < w.until
        GROUP BY ALL""")


__all__ = ["MONEYS", "register_consumed"]
