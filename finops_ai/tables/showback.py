"""Showback: who caused the cost, at any grain, with unit costs, efficiency and coverage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.allocating import SHARE_TYPE
from finops_ai.engine.fields import PUBLISHED, TAG, columns
from finops_ai.engine.plan import ESTIMATE, INCLUDED
from finops_ai.errors import FrameError, hint
from finops_ai.figures import aggregates, catalogue, ingredients, values
from finops_ai.figures.computing import CENTS, fields
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import QUANTITY, written
from finops_ai.periods import Window, parse_month, previous_month
from finops_ai.tables.grouping import NOBODY, TIMES, currency_of, dimensions_of, grouped, nobody_of, zero
from finops_ai.tables.result import Facts, Table

#: measures of the table, in order, with all that its ratios are made of; a month adds the one before
MEASURES = (
    "cost", "list_cost", "requests", "fresh_input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "tokens", "priced_tokens", "priced_input_tokens", "priced_output_tokens", "token_cost", "input_cost", "output_cost",
    "counted_cost", "cost_per_request", "cost_per_1m_tokens",
    "token_cost_per_1m_tokens", "input_cost_per_1m", "output_cost_per_1m", "cache_hit_rate", "cache_hit_cost_share",
    "output_input_ratio", "batch_share", "effective_vs_list", "priced", "input_tokens", "cache_read_cost", "batch_tokens",
    "comparable_cost", "comparable_list_cost", "listed_tokens", "metered_tokens",
)  # fmt: skip
#: sums that say how much is known, whatever is shown
_COVERED = ("tokens", "listed_tokens", "metered_tokens")
_COMPARED = ("previous_cost", "change")
#: the other two moneys, where rows say which one they are; never part of a cost
_OTHER_MONEYS = ("included_cost", "list_value")
_DOUBTS = {
    "unpriced_rows": "count(*) FILTER (WHERE price_status = 'unpriced')",
    "unsure_tier": "sum(effective_cost) FILTER (WHERE contains(price_note, 'context_tier_unknown'))",
    "seats": "sum(effective_cost) FILTER (WHERE meter = 'seat_months')",
    "unconfirmed": "sum(effective_cost) FILTER (WHERE contains(price_note, 'needs_confirmation'))",
}


def showback(
    allocated: pd.DataFrame,
    by: Sequence[str] = (),
    month: str | None = None,
    *,
    timezone: str | None = None,
    window: Window | None = None,
    captured: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    measures: Sequence[str] = (),
) -> Table:
    """Cost, usage and unit costs per group, largest cost first.

    Args:
        allocated: what `fa.allocate` (or `fa.price`) returns; totals of the fused form work too.
        by: columns, dimensions, `tags.<key>`, `month`, `week`, `day` or `hour`; none gives one row.
        month: only this month, `YYYY-MM` of the reporting zone, with `previous_cost` and `change` against the one
            before (null where the frame has no rows of that month). A group that only existed then is a row of cost 0,
            so that the changes add up to the change of the whole.
        timezone: reporting zone; by default the one the rows were made for.
        window: only this window, instead of a month.
        captured: share of the bill that the usage explains (`fa.reconcile` says), stated as coverage.
        provenance: versions and hashes to state with the table.
        measures: only these, and what they are made of, beside `cost`; by default all. A large frame answers faster for few.

    Returns:
        A table, one row per group, of the measures that `fa.measures()` defines: `cost` (effective) and `list_cost` in
        the pricing currency, `requests`, tokens by class and in all (null where nothing counts them), `token_cost` (billed
        by the token) and `counted_cost` (of the sources that count requests), `cost_per_request` (counted cost over
        requests), `cost_per_1m_tokens` (all cost, capacity and fees included, over the tokens of known cost),
        `token_cost_per_1m_tokens` and per direction, `cache_hit_rate`, `cache_hit_cost_share`, `output_input_ratio`,
        `batch_share`, `effective_vs_list`, `priced` (share of tokens with a known price). Where rows say which money they
        are (`money_basis`), also `included_cost` and `list_value`, which are no part of any cost. Costs are exact; a group without
        any known price has cost null. Published amounts are the cents of `fa.allocate`'s rows, so that they are the same
        in every table of the month.

    Raises:
        FrameError: rows that aren't priced, a column in `by` that they don't have, or a measure that isn't one of these.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> fa.showback(cost, by=["team"])[["team", "cost", "tokens", "cost_per_1m_tokens"]].head(2)
        Cost by team
        team         cost         tokens  cost_per_1m_tokens
        mobile   8,789.48  2,529,635,615                3.47
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
    cents = PUBLISHED if PUBLISHED in allocated.columns else ""
    shown = (*_wanted(measures), *(_OTHER_MONEYS if _several_moneys(allocated) else ()))
    summed = (*shown, *_COVERED)
    sums = aggregates(summed, cents=cents) | _DOUBTS
    if dims:
        # of the amounts that are published, so that a page's share is that of the amounts on it
        sums["attributed_cost"] = f"sum({cents or 'effective_cost'}) FILTER (WHERE {_owned(allocated, dims)})"
    needs = (*fields(summed), "price_status", "price_note", "meter", *dims, *filter(None, [cents]))
    groups = grouped(allocated, by, sums, window=window, timezone=timezone, needs=needs)
    rows = [{k: g[k] for k in by} | _told(g, shown) for g in groups]
    if month:
        _compare(rows, allocated, by, month, timezone, cents, shown)
    rows.sort(key=lambda r: (-zero(r["cost"]), [str(r[k]) for k in by]))
    doubts = _nobodys(rows, by, allocated, currency)
    facts = _facts(groups, by, currency, month or (window.in_words(timezone) if window else ""), captured)
    facts.notes = [*doubts, *facts.notes]
    facts.provenance = dict(provenance or {})
    if cents:
        names = list(rows[0]["_cents"]) if rows else []
        facts.cents = {name: [r["_cents"].get(name) for r in rows] for name in names}
    return Table.of(_frame(rows, by, shown, bool(month)), facts, allocated)


def _wanted(asked: Sequence[str]) -> list[str]:
    """The measures asked for with what they are made of, in the table's order; all of them where none is asked for."""
    if bare := [name for name in asked if name not in MEASURES]:
        raise FrameError(f"{bare[0]!r} isn't known by group. {hint(bare[0], MEASURES)}")
    kept = {"cost", *(asked or MEASURES)}
    waiting = list(kept)
    while waiting:
        more = set(ingredients(waiting.pop())) - kept
        kept |= more
        waiting += more
    return [name for name in MEASURES if name in kept]


def _several_moneys(frame: pd.DataFrame) -> bool:
    """Whether some rows are no charge: used of an allowance, or known from logs at list prices."""
    return "price_status" in frame.columns and bool(frame["price_status"].isin([INCLUDED, ESTIMATE]).any())


def _owned(allocated: pd.DataFrame, dims: Sequence[str]) -> str:
    """SQL for rows that belong to somebody in each of some dimensions."""
    tests = []
    for name in dims:
        nobody = ", ".join("'{}'".format(v.replace("'", "''")) for v in nobody_of(allocated, name))
        tests.append(f'coalesce("{name}" NOT IN ({nobody}), FALSE)')
    return " AND ".join(tests)


def _nobodys(rows: Sequence[Mapping[str, Any]], by: Sequence[str], allocated: pd.DataFrame, currency: str) -> list[str]:
    """What of the cost is nobody's, in a sentence: idle capacity, shared cost that isn't divided, unmapped cost."""
    name = next((d for d in by if d in dimensions_of(allocated)), None)
    if name is None or not currency:
        return []
    told = []
    for value in nobody_of(allocated, name):
        mine = [r["_cents"].get("cost", r["cost"]) for r in rows if r[name] == value and r["cost"]]
        if mine:
            told.append(
                f"{written(sum(mine, Decimal(0)), currency)} {currency} {NOBODY.get(value, f'{value}, not divided').lower()}"
            )
    return [f"Nobody's: {', '.join(told)}. These are no {name.replace('_', ' ')}s."] if told else []


def _told(g: Mapping[str, Any], shown: Sequence[str]) -> dict[str, Any]:
    """The measures of a group, and under `_cents` its published amounts by measure: unknown where the exact one is."""
    out = values(g, shown)
    cents = {name.removeprefix(CENTS): value for name, value in g.items() if name.startswith(CENTS)}
    return out | {"_cents": {name: None if out.get(name, value) is None else value for name, value in cents.items()}}


def _share(part: Decimal | None, whole: Decimal | None) -> float | None:
    return float(zero(part) / whole) if whole else None


def _compare(
    rows: list[dict[str, Any]],
    allocated: pd.DataFrame,
    by: Sequence[str],
    month: str,
    timezone: str,
    cents: str,
    shown: Sequence[str],
) -> None:
    """Add the month before, per group; groups that only existed then appear with no cost now.

    Weeks and days have no counterpart in the month before, so theirs is unknown.
    """
    before = Window.month(f"{previous_month(parse_month(month)):%Y-%m}", timezone)
    keys = [k for k in by if k not in TIMES]
    start = allocated["charge_period_start"]
    present = bool(((start >= before.start) & (start < before.end)).any()) and not {"week", "day", "hour"} & set(by)
    sums = aggregates(["cost"], cents=cents)
    needs = (*fields(["cost"]), *filter(None, [cents]))
    found = grouped(allocated, keys, sums, window=before, timezone=timezone, needs=needs) if present else []
    had = {tuple(g[k] for k in keys): g for g in found}
    if not set(by) & set(TIMES):
        bare = dict.fromkeys(aggregates(shown, cents=cents))
        nothing = bare | dict.fromkeys(("cost", "list_cost", "tokens", "requests", CENTS + "cost"), Decimal(0))
        for key in had.keys() - {tuple(row[k] for k in keys) for row in rows}:
            rows.append(dict(zip(keys, key, strict=True)) | _told(nothing, shown))
    for row in rows:
        earlier = had.get(
            tuple(row[k] for k in keys), {"cost": Decimal(0), CENTS + "cost": Decimal(0)} if present else {}
        )
        row["previous_cost"] = earlier.get("cost")
        known = row["previous_cost"] is not None and row["cost"] is not None
        row["change"] = row["cost"] - row["previous_cost"] if known else None
        if cents:
            row["_cents"]["previous_cost"] = earlier.get(CENTS + "cost")


def _frame(rows: list[dict[str, Any]], by: Sequence[str], shown: Sequence[str], compared: bool) -> pd.DataFrame:
    arrays = {}
    for name in (*by, *shown, *(_COMPARED if compared else ())):
        found = [row[name] for row in rows]
        if name in catalogue() and name not in by:
            kind = catalogue()[name].kind
            kinds = {"money": COST_TYPE, "rate": COST_TYPE, "count": pa.decimal128(38, QUANTITY[1])}
            arrays[name] = pa.array(found, kinds.get(kind, pa.float64()))
            continue
        if name == "hour":  # the zone's own clock, which no column of instants tells
            found = [v if v is None else f"{v:%Y-%m-%d %H:%M}" for v in found]
        is_day = any(isinstance(v, dt.date) for v in found)
        kind = pa.date32() if is_day else (columns() | {"share": SHARE_TYPE}).get(name, pa.string())
        arrays[name] = pa.array(found, pa.string() if name.startswith(TAG) else kind)
    return to_pandas(pa.table(arrays))


def _facts(
    groups: Sequence[Mapping[str, Any]], by: Sequence[str], currency: str, period: str, captured: float | None
) -> Facts:
    def total(name: str) -> Decimal:
        return sum((zero(g.get(name)) for g in groups), Decimal(0))

    tokens, cost = total("tokens"), total(CENTS + "cost" if groups and CENTS + "cost" in groups[0] else "cost")
    coverage = {"priced": _share(total("listed_tokens"), tokens)}
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
            f"{written(tier, currency)} {currency} is priced at the base context tier because the source doesn't state the tier."
        )
    if unconfirmed := total("unconfirmed"):
        notes.append(f"{written(unconfirmed, currency)} {currency} rests on prices that need confirmation.")
    if seats := total("seats"):
        notes.append(
            f"{written(seats, currency)} {currency} of the cost is seats, each by the day and its holder's team of that day."
        )
    moneys = {
        "covered by an allowance, at the vendor's rate": "included_cost",
        "known from logs, at list prices": "list_value",
    }
    if told := [
        f"{written(total(name), currency)} {currency} {words}"
        for words, name in moneys.items()
        if any(g.get(name) for g in groups)
    ]:
        notes.append(f"Cost is what is charged. Beside it, never added to it: {'; '.join(told)}.")
    title = f"Cost by {', '.join(k.removeprefix(TAG).replace('_', ' ') for k in by)}" if by else "Cost"
    conserves = "effective cost, list cost and tokens of the rows it is made of, exactly"
    own = [name for name in MEASURES if catalogue()[name].kind == "money"]
    money = [*own, *_COMPARED, *_OTHER_MONEYS]
    return Facts(
        title,
        currency,
        period,
        conserves,
        coverage,
        notes,
        money,
        adds=[("change", ("cost", "-previous_cost"))],
        total=True,
        beside={"list_cost": "cost", "comparable_list_cost": "comparable_cost"},
    )
