"""Use held against the lines that bill it: each day's use keeps its day and person, only what the bill has beyond is spread."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.duck import register
from finops_ai.engine.plan import ESTIMATE, INCLUDED, STATED
from finops_ai.engine.weights import units
from finops_ai.errors import CheckFailed
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import COST
from finops_ai.periods import Window
from finops_ai.tables.grouping import grouped_table
from finops_ai.tables.spreading import Periods

#: kinds of money of use, and how rows add up to them
USED = {
    "on_demand_cost": f"sum(effective_cost) FILTER (WHERE price_status = '{STATED}')",
    "usage_cost": f"sum(effective_cost) FILTER (WHERE price_status IS DISTINCT FROM '{STATED}')",
    "included_cost": f"sum(list_cost) FILTER (WHERE price_status = '{INCLUDED}')",
    "list_value": f"sum(list_cost) FILTER (WHERE price_status = '{ESTIMATE}')",
}
_KEYS = ["provider", "billing_account_id", "pricing_currency", "user_id", "day"]
_SAME = (
    "{a}.provider = {b}.provider AND {a}.billing_account_id = {b}.billing_account_id AND {a}.currency = {b}.currency"
)


def register_billed_use(
    con: Any, usage: pd.DataFrame | None, timezone: str, periods: Periods, known_from: dt.date | None = None
) -> None:
    """Make the tables `used_days` and `kept_use`, and turn lines of use that name nobody into their difference with it.

    `used_days` is use per day, account and person; `kept_use` that of it which no line names the account of. Lines of use
    whose billing periods overlap are one stretch of days (where all of them name people, they say nothing of anybody else's use, which is kept); what they charge beyond the kept use of those days becomes one line, of category
    Difference, over them. So use stays on the day and with the person it was of, and all adds up to the bill. Of days before the
    first that use is known of, a line's even share is all difference.

    Raises:
        CheckFailed: the differences and the kept use are not what the lines charge.
    """
    first = known_from
    if first is None and usage is not None and len(usage):
        first = usage["charge_period_start"].min().date().replace(day=1)
    _register_used(con, usage, timezone, periods)
    con.execute("""
        CREATE OR REPLACE TEMP TABLE use_lines AS
        SELECT provider, billing_account_id, billing_currency AS currency, account, bill_begins AS begins, bill_ends AS ends,
          CAST(bill_ends - bill_begins AS BIGINT) AS days, cost
        FROM lines WHERE charge_category = 'Usage'""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE kept_use AS
        SELECT u.* FROM used_days u WHERE NOT EXISTS (
          SELECT 1 FROM use_lines l WHERE {_SAME.format(a="u", b="l")} AND l.account IS NOT NULL AND u.day >= l.begins AND u.day < l.ends
            AND (l.account = u.account OR l.account IN (
              SELECT o.account FROM used_days o WHERE o.person = u.person AND o.provider = u.provider)))""")
    cut = f"DATE '{first}'" if first else "NULL"
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE loose AS
        WITH whole AS (
          SELECT *, CASE WHEN account IS NULL THEN cost ELSE 0 END AS open_cost, least(greatest(coalesce({cut}, ends), begins), ends) AS middle FROM use_lines)
        SELECT provider, billing_account_id, currency, begins, middle AS ends,
          open_cost * CAST(middle - begins AS HUGEINT) // days AS cost, FALSE AS known, account IS NULL AS is_open FROM whole WHERE middle > begins
        UNION ALL
        SELECT provider, billing_account_id, currency, middle, ends,
          open_cost - open_cost * CAST(middle - begins AS HUGEINT) // days, TRUE, account IS NULL FROM whole WHERE ends > middle""")
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE differences AS
        WITH edges AS (
          SELECT *, max(ends) OVER (PARTITION BY provider, billing_account_id, currency, known ORDER BY begins, ends
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM loose),
        numbered AS (
          SELECT *, sum(CASE WHEN before IS NULL OR begins >= before THEN 1 ELSE 0 END) OVER (
            PARTITION BY provider, billing_account_id, currency, known ORDER BY begins, ends ROWS UNBOUNDED PRECEDING) AS stretch FROM edges),
        stretches AS (
          SELECT provider, billing_account_id, currency, known, stretch, min(begins) AS begins, max(ends) AS ends, CAST(sum(cost) AS HUGEINT) AS cost
          FROM numbered GROUP BY ALL HAVING bool_or(is_open))
        SELECT t.*, CAST(coalesce((SELECT sum(k.on_demand_cost + k.usage_cost) FROM kept_use k
            WHERE {_SAME.format(a="t", b="k")} AND k.day >= t.begins AND k.day < t.ends AND t.known), 0) AS HUGEINT) AS used
        FROM stretches t""")
    _check(con)
    con.execute("DELETE FROM lines WHERE charge_category = 'Usage' AND account IS NULL")
    con.execute("""
        INSERT INTO lines BY NAME
        SELECT -1 AS _row, provider, billing_account_id, currency AS billing_currency, 'Difference' AS charge_category, begins,
          CAST(ends - begins AS BIGINT) AS days, cost - used AS cost
        FROM differences WHERE cost <> used""")


def _check(con: Any) -> None:
    """What lines charge is all in the stretches, and no day's use is held against two of them."""
    charged, apart, twice = con.execute("""
        SELECT (SELECT coalesce(sum(cost), 0) FROM use_lines WHERE account IS NULL), (SELECT coalesce(sum(cost), 0) FROM differences),
          (SELECT count(*) FROM differences a JOIN differences b ON a.provider = b.provider AND a.billing_account_id = b.billing_account_id
            AND a.currency = b.currency AND a.begins < b.begins AND a.ends > b.begins AND a.known AND b.known)""").fetchall()[0]
    if charged != apart or twice:
        raise CheckFailed("people_months: lines of use aren't held against use once each.")


def _register_used(con: Any, usage: pd.DataFrame | None, timezone: str, periods: Periods) -> None:
    """Make `used_days`: what priced rows come to per day, account, person and team, as far as periods and lines reach."""
    (low, high) = con.execute(
        "SELECT min(bill_begins), max(bill_ends) FROM lines WHERE charge_category = 'Usage'"
    ).fetchall()[0]
    start, end = (f(d for d in days if d) for f, days in ((min, (low, periods[0][1])), (max, (high, periods[-1][2]))))
    if usage is None or not len(usage):
        kinds: dict[str, pa.DataType] = {**dict.fromkeys(_KEYS[:4], pa.string()), "day": pa.date32()}
        kinds |= {**dict.fromkeys(USED, COST_TYPE), "unpriced": pa.int64()}
        found = pa.table({name: pa.array([], kind) for name, kind in kinds.items()})
    else:
        measures = USED | {"unpriced": "count(*) FILTER (WHERE price_status = 'unpriced')"}
        found = grouped_table(
            usage, _KEYS, measures, timezone=timezone, window=Window.of(start, end, timezone),
            needs=("effective_cost", "list_cost", "price_status"),
        )  # fmt: skip
    register(con, "use_found", found)
    sums = ", ".join(f"CAST(coalesce(sum({units(f'u.{name}', COST[1])}), 0) AS HUGEINT) AS {name}" for name in USED)
    con.execute(f"""
        CREATE OR REPLACE TEMP TABLE used_days AS
        WITH keyed AS (SELECT u.*, lower(trim(u.user_id)) AS account FROM use_found u)
        SELECT u.day, u.provider, u.billing_account_id, u.pricing_currency AS currency, u.account, w.person, w.team, {sums}, sum(u.unpriced) AS unpriced
        FROM keyed u
          LEFT JOIN who_keys own ON own.key = lower(u.provider) || '/' || u.account
          LEFT JOIN who_keys any_ ON any_.key = '/' || u.account
          LEFT JOIN who w ON w.key = coalesce(own.key, any_.key) AND u.day >= w.since AND u.day < w.until
        GROUP BY ALL""")


__all__ = ["USED", "register_billed_use"]
