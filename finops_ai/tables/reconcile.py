"""Computed cost against the bill: one line per account and month, the difference split into named causes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.fields import PAYABLE
from finops_ai.errors import FrameError
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import round_to_total
from finops_ai.tables.grouping import grouped
from finops_ai.tables.result import Facts, Table

#: why the bill differs from the computed cost, and what to do about it
CAUSES = {
    "credits": "credits on the bill",
    "tax": "tax on the bill",
    "purchases": "commitments and other purchases on the bill",
    "adjustments": "adjustments and corrections on the bill",
    "not_captured": "billed usage that no usage row shows: collect it, or find the connector that misses it",
    "not_billed": "usage that isn't on the bill (yet)",
    "unpriced": "usage without a known price: add it to your price file",
    "quantity": "the bill counts another quantity: usage reported late, or counted differently",
    "price": "the bill charges another price: a contract or price change the price book lacks",
    "rounding": "rounding of bill lines",
    "unexplained": "line items that name no model, or meters that the usage doesn't have",
}
_CATEGORY = {"Credit": "credits", "Tax": "tax", "Purchase": "purchases", "Adjustment": "adjustments"}
_KEY = ("provider", "billing_account_id", "currency", "month")
_CELL = ("model", "meter", "service_tier")
_SMALL = Fraction(1, 200)


def reconcile(priced: pd.DataFrame, bills: pd.DataFrame, *, timezone: str | None = None) -> Table:
    """Compare what usage should cost with what was billed.

    Args:
        priced: what `fa.price` returns.
        bills: bill frame of the same period.
        timezone: whose months; by default those the rows were made for.

    Returns:
        One row per provider, billing account, currency and month: `computed` (effective cost; where contracts with
        credits or capacity were settled, what is payable), `billed`, `difference` (billed minus computed), one column per cause in `CAUSES` (they add up to the difference exactly) and `captured` (share of billed
        usage that usage rows explain).

    Raises:
        FrameError: rows that aren't priced.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.reconcile(fa.price(fa.sample(months=1)), fa.sample.bills())
        >>> table[table["month"] == "2026-10"][["provider", "computed", "billed", "unexplained"]].head(2)
        Computed cost against the bill
        provider       computed     billed  unexplained
        anthropic      7,215.64   7,215.64         0.00
        azure-openai  12,580.62  12,580.62         0.00
        ...
    """
    for frame, column, name in ((priced, "effective_cost", "priced"), (bills, "billed_cost", "bills")):
        if column not in frame.columns:
            raise FrameError(
                f"fa.reconcile: {name} has no column {column!r}; it takes fa.price's rows and a bill frame."
            )
    timezone = zone_of(priced, timezone=timezone)
    computed = _computed(priced, timezone)
    billed = _billed(bills, timezone)
    rows = [
        _row(key, computed.get(key, {}), billed.get(key, []))
        for key in sorted(computed.keys() | billed.keys(), key=str)
    ]
    names = ["computed", "billed", "difference", *CAUSES]
    arrays: dict[str, Any] = {k: pa.array([r[k] for r in rows], pa.string()) for k in _KEY}
    arrays |= {k: pa.array([r[k] for r in rows], COST_TYPE) for k in names}
    arrays["captured"] = pa.array([r["captured"] for r in rows], pa.float64())
    currencies = sorted({r["currency"] for r in rows if r["currency"]})
    facts = Facts("Computed cost against the bill", currencies[0] if len(currencies) == 1 else "", money=names)
    facts.conserves = "causes add up to billed minus computed, exactly"
    usage = sum((r["usage"] for r in rows), Fraction(0))
    missed = sum((r["missed"] for r in rows), Fraction(0))
    facts.coverage = {"captured": float(1 - missed / usage) if usage > 0 else None}
    for cause, text in CAUSES.items():
        total = sum((r[cause] for r in rows), Decimal(0))
        if abs(total) >= Decimal("0.01"):
            facts.notes.append(f"{cause.replace('_', ' ').capitalize()} {total:,.2f}: {text}.")
    return Table.of(to_pandas(pa.table(arrays)), facts, priced)


def _computed(priced: pd.DataFrame, timezone: str) -> dict[tuple, dict[tuple, dict]]:
    cost = PAYABLE if PAYABLE in priced.columns else "effective_cost"
    measures = {
        "cost": f"sum({cost})",
        "quantity": "sum(quantity)",
        "unpriced": "count(*) FILTER (WHERE price_status = 'unpriced')",
    }
    keys = ["provider", "billing_account_id", "pricing_currency", "month", *_CELL]
    out: dict[tuple, dict[tuple, dict]] = {}
    for g in grouped(
        priced,
        keys,
        measures,
        timezone=timezone,
        needs=(cost, "quantity", "price_status"),
        where="price_status <> 'not_billed'",
    ):
        key = (g["provider"], g["billing_account_id"], g["pricing_currency"] or "", g["month"])
        out.setdefault(key, {})[_cell(g)] = g
    return out


def _billed(bills: pd.DataFrame, timezone: str) -> dict[tuple, list[dict]]:
    measures = {"cost": "sum(billed_cost)", "quantity": "sum(consumed_quantity)", "lines": "count(*)"}
    keys = ["provider", "billing_account_id", "billing_currency", "month", "charge_category", *_CELL]
    out: dict[tuple, list[dict]] = {}
    for g in grouped(bills, keys, measures, timezone=timezone, needs=("billed_cost", "consumed_quantity")):
        out.setdefault((g["provider"], g["billing_account_id"], g["billing_currency"] or "", g["month"]), []).append(g)
    return out


def _cell(g: Mapping[str, Any]) -> tuple:
    return (str(g["model"] or "").lower(), g["meter"], g["service_tier"] or "standard")


def _row(key: tuple, computed: Mapping[tuple, dict], billed: list[dict]) -> dict[str, Any]:
    """One account and month: walk the cells, then pool what names no cell."""
    causes = dict.fromkeys(CAUSES, Fraction(0))
    loose, usage_total = Fraction(0), Fraction(0)
    left_bills: list[dict] = []
    for g in billed:
        cost = Fraction(g["cost"] or 0)
        if g["charge_category"] != "Usage":
            causes[_CATEGORY[g["charge_category"]]] += cost
            continue
        usage_total += cost
        if not g["model"] or g["meter"] == "unmapped":
            loose += cost
        else:
            left_bills.append(g)
    left_rows = list(computed.values())
    for depth in (3, 2, 1):  # model, meter and tier; model and meter; model
        have, bills = _pooled(left_rows, depth), _pooled(left_bills, depth)
        for cell in sorted(have.keys() & bills.keys()):
            _compare(causes, bills[cell], have[cell], depth)
        left_rows = [g for g in left_rows if _cell(g)[:depth] not in bills]
        left_bills = [g for g in left_bills if _cell(g)[:depth] not in have]
    missed = sum((Fraction(g["cost"] or 0) for g in left_bills), Fraction(0))
    causes["not_captured"] += missed
    open_computed = sum((Fraction(g["cost"] or 0) for g in left_rows), Fraction(0))
    if loose and open_computed:
        causes["unexplained"] += loose - open_computed
    elif loose:
        causes["not_captured"] += loose
        missed += loose
    else:
        causes["not_billed"] -= open_computed
    total_billed = sum((Decimal(g["cost"] or 0) for g in billed), Decimal(0))
    total_computed = sum((Decimal(g["cost"] or 0) for g in computed.values()), Decimal(0))
    row: dict[str, Any] = dict(zip(_KEY, key, strict=True))
    row |= {"computed": total_computed, "billed": total_billed, "difference": total_billed - total_computed}
    row |= dict(zip(causes, round_to_total(list(causes.values()), 18), strict=True))  # type: ignore[arg-type]
    row |= {
        "captured": float(1 - missed / usage_total) if usage_total > 0 else None,
        "usage": usage_total,
        "missed": missed,
    }
    return row


def _pooled(groups: list[dict], depth: int) -> dict[tuple, dict[str, Fraction]]:
    """Groups added up by the first parts of their cell."""
    out: dict[tuple, dict[str, Fraction]] = {}
    for g in groups:
        kept = out.setdefault(_cell(g)[:depth], dict.fromkeys(("cost", "quantity", "lines", "unpriced"), Fraction(0)))
        for name in kept:
            kept[name] += Fraction(g.get(name) or 0)
    return out


def _compare(
    causes: dict[str, Fraction], bill: Mapping[str, Fraction], have: Mapping[str, Fraction], depth: int
) -> None:
    """Split one cell's difference into quantity and price; what rounding of the lines can explain is rounding."""
    difference, small = bill["cost"] - have["cost"], _SMALL * bill["lines"]
    if abs(difference) <= small:
        causes["rounding"] += difference
    elif have["unpriced"]:
        causes["unpriced"] += difference
    elif depth == 1:  # different meters: their quantities can't be compared
        causes["unexplained"] += difference
    else:
        quantity = bill["quantity"]
        by_quantity = (quantity - have["quantity"]) * bill["cost"] / quantity if quantity else Fraction(0)
        by_price = difference - by_quantity
        causes["quantity"] += by_quantity
        causes["rounding" if abs(by_price) <= small else "price"] += by_price
