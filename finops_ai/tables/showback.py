"""Showback: who caused the cost, at any grain, with unit costs, efficiency and coverage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.allocating import SHARE_TYPE
from finops_ai.engine.fields import TAG, columns
from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import QUANTITY
from finops_ai.periods import Window, parse_month, previous_month
from finops_ai.tables.grouping import TIMES, UNALLOCATED, currency_of, dimensions_of, grouped, meter_list, zero
from finops_ai.tables.result import Facts, Table, safe_ratio

MILLION = Decimal(1_000_000)
_IN, _OUT, _TOKENS = (
    meter_list(is_token=True, direction="input"),
    meter_list(is_token=True, direction="output"),
    meter_list(is_token=True),
)
_WRITES = meter_list(cache_action="write")
_TOKEN_SUMS = {
    "fresh_input_tokens": meter_list(roll_up="fresh_input"),
    "cache_read_tokens": meter_list(roll_up="cache_read"),
    "cache_write_tokens": _WRITES,
    "output_tokens": _OUT,
    "tokens": _TOKENS,
}
_MEASURES = {
    "cost": "sum(effective_cost)",
    "list_cost": "sum(list_cost)",
    "both_cost": "sum(effective_cost) FILTER (WHERE list_cost IS NOT NULL)",
    "both_list_cost": "sum(list_cost) FILTER (WHERE effective_cost IS NOT NULL)",
    "requests": "sum(quantity) FILTER (WHERE meter = 'requests')",
    **{name: f"sum(quantity) FILTER (WHERE meter IN {which})" for name, which in _TOKEN_SUMS.items()},
    "token_cost": f"sum(effective_cost) FILTER (WHERE meter IN {_TOKENS})",
    "input_cost": f"sum(effective_cost) FILTER (WHERE meter IN {_IN})",
    "output_cost": f"sum(effective_cost) FILTER (WHERE meter IN {_OUT})",
    "read_cost": f"sum(effective_cost) FILTER (WHERE meter IN {_TOKEN_SUMS['cache_read_tokens']})",
    "batch_tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS} AND service_tier = 'batch')",
    "costed_tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS} AND effective_cost IS NOT NULL)",
    "costed_input": f"sum(quantity) FILTER (WHERE meter IN {_IN} AND effective_cost IS NOT NULL)",
    "costed_output": f"sum(quantity) FILTER (WHERE meter IN {_OUT} AND effective_cost IS NOT NULL)",
    "priced_tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS} AND price_status <> 'unpriced')",
    "metered_tokens": f"sum(quantity) FILTER (WHERE meter IN {_TOKENS} AND quantity_basis = 'metered')",
    "unpriced_rows": "count(*) FILTER (WHERE price_status = 'unpriced')",
    "unsure_tier": "sum(effective_cost) FILTER (WHERE contains(price_note, 'context_tier_unknown'))",
    "unconfirmed": "sum(effective_cost) FILTER (WHERE contains(price_note, 'needs_confirmation'))",
}
_NEEDS = (
    "effective_cost",
    "list_cost",
    "quantity",
    "meter",
    "service_tier",
    "price_status",
    "price_note",
    "quantity_basis",
)
_DECIMALS = {name: pa.decimal128(38, QUANTITY[1]) for name in (*_TOKEN_SUMS, "requests")}
_COSTS = (
    "cost",
    "list_cost",
    "cost_per_request",
    "cost_per_1m_tokens",
    "input_cost_per_1m",
    "output_cost_per_1m",
    "previous_cost",
    "change",
)
_RATIOS = ("cache_hit_rate", "cache_hit_cost_share", "output_input_ratio", "batch_share", "effective_vs_list", "priced")


def showback(
    allocated: pd.DataFrame,
    by: Sequence[str] = (),
    month: str | None = None,
    *,
    timezone: str | None = None,
    window: Window | None = None,
    captured: float | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Table:
    """Cost, usage and unit costs per group, largest cost first.

    Args:
        allocated: what `fa.allocate` (or `fa.price`) returns; totals of the fused form work too.
        by: columns, dimensions, `tags.<key>`, `month`, `week` or `day`; none gives one row.
        month: only this month, `YYYY-MM` of the reporting zone, with `previous_cost` and `change` against the one
            before (null where the frame has no rows of that month). A group that only existed then is a row of cost 0,
            so that the changes add up to the change of the whole.
        timezone: reporting zone; by default the one the rows were made for.
        window: only this window, instead of a month.
        captured: share of the bill that the usage explains (`fa.reconcile` says), stated as coverage.
        provenance: versions and hashes to state with the table.

    Returns:
        A table, one row per group: `cost` (effective) and `list_cost` in the pricing currency, `requests`, tokens by
        class and in all (null where nothing counts them: some sources state no requests, some models bill no tokens),
        `cost_per_request`, `cost_per_1m_tokens` (cost of all token meters over all tokens of known cost, cached ones
        included) and per direction, `cache_hit_rate` (cache reads / input tokens), `cache_hit_cost_share` (their part of the input's
        cost), `output_input_ratio`, `batch_share` (of tokens), `effective_vs_list`, `priced` (share of tokens with a
        known price). Costs are exact; a group without any known price has cost null.

    Raises:
        FrameError: rows that aren't priced, or a column in `by` that they don't have.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> fa.showback(cost, by=["team"])[["team", "cost", "tokens", "cost_per_1m_tokens"]].head(2)
        Cost by team
        team         cost         tokens  cost_per_1m_tokens
        mobile   8,789.48  2,529,635,615              0.5959
        support  4,699.08  4,552,893,342                1.03
        ...
    """
    if "effective_cost" not in allocated.columns:
        raise FrameError("fa.showback takes priced rows; call fa.price, and fa.allocate for dimensions, first.")
    timezone = zone_of(allocated, timezone=timezone)
    by = list(dict.fromkeys(by))
    if "pricing_currency" in by or "provider" in by:
        several = len(allocated["pricing_currency"].dropna().unique()) > 1
        currency = "" if several else currency_of(allocated)
        if not currency and "pricing_currency" not in by:
            by.append("pricing_currency")
    else:
        currency = currency_of(allocated)
    window = Window.month(month, timezone) if month else window
    dims = [d for d in by if d in dimensions_of(allocated)] or dimensions_of(allocated)
    attributed = " AND ".join(f"coalesce(\"{d}\" <> '{UNALLOCATED}', FALSE)" for d in dims)
    measures = dict(_MEASURES)
    if dims:
        measures["attributed_cost"] = f"sum(effective_cost) FILTER (WHERE {attributed})"
    groups = grouped(allocated, by, measures, window=window, timezone=timezone, needs=(*_NEEDS, *dims))
    rows = [_row(g, by) for g in groups]
    if month:
        _compare(rows, allocated, by, month, timezone)
    rows.sort(key=lambda r: (-zero(r["cost"]), [str(r[k]) for k in by]))
    facts = _facts(groups, by, currency, month or (window.in_words(timezone) if window else ""), captured)
    facts.provenance = dict(provenance or {})
    return Table.of(_frame(rows, by, bool(month)), facts, allocated)


def _row(g: Mapping[str, Any], by: Sequence[str]) -> dict[str, Any]:
    inputs = zero(g["fresh_input_tokens"]) + zero(g["cache_read_tokens"]) + zero(g["cache_write_tokens"])
    row: dict[str, Any] = {k: g[k] for k in by}
    row |= {"cost": g["cost"], "list_cost": g["list_cost"]}
    row |= {name: None if g["tokens"] is None else zero(g[name]) for name in _TOKEN_SUMS} | {"requests": g["requests"]}
    row["cost_per_request"] = safe_ratio(g["cost"], g["requests"])
    for name, cost, tokens in (
        ("cost_per_1m_tokens", g["token_cost"], g["costed_tokens"]),
        ("input_cost_per_1m", g["input_cost"], g["costed_input"]),
        ("output_cost_per_1m", g["output_cost"], g["costed_output"]),
    ):
        row[name] = safe_ratio(None if cost is None else cost * MILLION, tokens)
    row["cache_hit_rate"] = _share(g["cache_read_tokens"], inputs)
    row["cache_hit_cost_share"] = _share(g["read_cost"], g["input_cost"])
    row["output_input_ratio"] = _share(g["output_tokens"], inputs)
    row["batch_share"] = _share(g["batch_tokens"], g["tokens"])
    row["effective_vs_list"] = _share(g["both_cost"], g["both_list_cost"])
    row["priced"] = _share(g["priced_tokens"], g["tokens"])
    return row


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return float(zero(part) / whole) if whole else None


def _compare(rows: list[dict], allocated: pd.DataFrame, by: Sequence[str], month: str, timezone: str) -> None:
    """Add the month before, per group; groups that only existed then appear with no cost now.

    Weeks and days have no counterpart in the month before, so theirs is unknown.
    """
    before = Window.month(f"{previous_month(parse_month(month)):%Y-%m}", timezone)
    keys = [k for k in by if k not in TIMES]
    start = allocated["charge_period_start"]
    present = bool(((start >= before.start) & (start < before.end)).any()) and not {"week", "day"} & set(by)
    measures = {"cost": "sum(effective_cost)"}
    found = (
        grouped(allocated, keys, measures, window=before, timezone=timezone, needs=("effective_cost",))
        if present
        else []
    )
    had = {tuple(g[k] for k in keys): g["cost"] for g in found}
    if not set(by) & set(TIMES):
        nothing = dict.fromkeys(_MEASURES) | dict.fromkeys(("cost", "list_cost", "tokens", "requests"), Decimal(0))
        gone = had.keys() - {tuple(row[k] for k in keys) for row in rows}
        rows += [_row(nothing | dict(zip(keys, key, strict=True)), by) for key in gone]
    for row in rows:
        row["previous_cost"] = had.get(tuple(row[k] for k in keys), Decimal(0) if present else None)
        known = row["previous_cost"] is not None and row["cost"] is not None
        row["change"] = row["cost"] - row["previous_cost"] if known else None


def _frame(rows: list[dict], by: Sequence[str], compared: bool) -> pd.DataFrame:
    costs = _COSTS if compared else _COSTS[:-2]
    order = ["cost", "list_cost", "requests", *_TOKEN_SUMS, *costs[2:6], *_RATIOS, *costs[6:]]
    arrays = {}
    for name in (*by, *order):
        values = [row[name] for row in rows]
        if name in _COSTS:
            arrays[name] = pa.array(values, COST_TYPE)
        elif name in _DECIMALS:
            arrays[name] = pa.array(values, _DECIMALS[name])
        elif name in _RATIOS:
            arrays[name] = pa.array(values, pa.float64())
        else:
            is_day = any(isinstance(v, dt.date) and not isinstance(v, dt.datetime) for v in values)
            kind = pa.date32() if is_day else (columns() | {"share": SHARE_TYPE}).get(name, pa.string())
            arrays[name] = pa.array(values, pa.string() if name.startswith(TAG) else kind)
    return to_pandas(pa.table(arrays))


def _facts(
    groups: Sequence[Mapping[str, Any]], by: Sequence[str], currency: str, period: str, captured: float | None
) -> Facts:
    def total(name: str) -> Decimal:
        return sum((zero(g.get(name)) for g in groups), Decimal(0))

    tokens, cost = total("tokens"), total("cost")
    coverage = {"priced": _share(total("priced_tokens"), tokens)}
    coverage["attributed"] = (
        _share(total("attributed_cost"), cost) if groups and "attributed_cost" in groups[0] else None
    )
    coverage["captured"] = captured
    coverage["metered"] = _share(total("metered_tokens"), tokens)
    notes = []
    if unpriced := sum(g["unpriced_rows"] for g in groups):
        notes.append(f"{unpriced:,} rows have no known price; their cost is unknown and not in the total.")
    if tier := total("unsure_tier"):
        notes.append(
            f"{tier:,.2f} {currency} is priced at the base context tier because the source doesn't state the tier."
        )
    if unconfirmed := total("unconfirmed"):
        notes.append(f"{unconfirmed:,.2f} {currency} rests on prices that need confirmation.")
    title = f"Cost by {', '.join(k.removeprefix(TAG).replace('_', ' ') for k in by)}" if by else "Cost"
    conserves = "effective cost, list cost and tokens of the rows it is made of, exactly"
    return Facts(title, currency, period, conserves, coverage, notes, ["cost", "list_cost", "previous_cost", "change"])
