"""What contracts promise of the coming months: capacity that begins or ends, prepaid credits and the day they are used up,
prices that change on a day. All of it enters the plan as amounts on dates, and is said."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finops_ai.forecasting.history import NONE, local_middle
from finops_ai.forecasting.outlook import Outlook
from finops_ai.prices.own import like

if TYPE_CHECKING:
    from finops_ai.forecasting.making import Plan
    from finops_ai.prices import PriceBook
    from finops_ai.prices.commitments import Capacity, Credit
    from finops_ai.prices.contracts import Contract

#: days of history that say how fast a credit is used
PACE = 28
Assumptions = list[dict[str, object]]


def promised(plan: Plan, priced: pd.DataFrame, book: PriceBook, timezone: str) -> tuple[Plan, Assumptions]:
    """The plan with what the contracts of a price book promise, and what that is in words.

    Args:
        plan: what use will cost, and capacity as it is today.
        priced: the rows it was made of; credits need their `contracted_cost`.
        book: the price book, with its contracts.
        timezone: reporting zone of the days.
    """
    told: Assumptions = []
    for contract in getattr(book, "contracts", ()):
        if contract.capacity:
            plan, said = _with_capacity(plan, contract, timezone)
            told += said
        if contract.credits:
            plan, said = _with_credits(plan, contract, priced, timezone)
            told += said
    return plan, told


def price_changes(before: Outlook, after: Outlook) -> Assumptions:
    """The days on which known prices change, by model, and by how much."""
    told: Assumptions = []
    for pair, rows in after.parts.groupby(["provider", "model"]):
        spots = [i for i in rows.index if i < len(before.price)]
        old, new = (outlook.cost[spots].sum(0) for outlook in (before, after))
        ratio = np.divide(new, old, out=np.ones(len(old)), where=old > 0)
        for day in map(int, np.flatnonzero(np.abs(np.diff(np.concatenate([[1.0], ratio]))) > 1e-6)):
            earlier = ratio[day - 1] if day else 1.0
            if earlier > 0 and abs(ratio[day] / earlier - 1) > 1e-3:  # the mix of meters moves it a little
                what = f"prices of {pair[1]} ({pair[0]}) change on {after.days[day]:%Y-%m-%d}"
                told.append({"kind": "dated price", "what": what, "amount": f"x {ratio[day] / earlier:.3f}"})
    return told


def _edges(plan: Plan, timezone: str) -> list[dt.datetime]:
    """Instants at which the last day known and the days ahead begin, and at which the last one ends."""
    days = plan.projection.days
    every = pd.date_range(days[0] - pd.Timedelta(days=1), days[-1] + pd.Timedelta(days=1), freq="D")
    return [pd.Timestamp(d).tz_localize(timezone).tz_convert("UTC").to_pydatetime() for d in every]


def _of(plan: Plan, contract: Contract, model: str = "") -> np.ndarray:
    """Which leaves are use of a contract's provider, and of a model's name."""
    leaves = plan.leaves
    mask = np.ones(len(leaves), bool)
    if "provider" in leaves:
        mask &= (leaves["provider"] == contract.provider).to_numpy()
    if model and "model" in leaves:
        mask &= leaves["model"].map(lambda name: like(str(name), model)).to_numpy(bool)
    return mask


def _plus(plan: Plan, added: np.ndarray) -> Plan:
    p = plan.projection
    return replace(plan, projection=replace(p, added=added if p.added is None else p.added + added))


def _with_capacity(plan: Plan, contract: Contract, timezone: str) -> tuple[Plan, Assumptions]:
    told: Assumptions = []
    edges = _edges(plan, timezone)
    groups: dict[tuple[str, str], list[Capacity]] = {}
    for capacity in contract.capacity:
        groups.setdefault((capacity.model, capacity.meter), []).append(capacity)
    for (model, meter), own in groups.items():
        fee = np.array([float(sum(c.cost(a, b) for c in own)) for a, b in pairwise(edges)])
        now, ahead = fee[0], fee[1:]
        if np.allclose(ahead, now, rtol=1e-9):
            continue
        p, mask = plan.projection, _of(plan, contract, model)
        mine = [r for r in p.recurring if r.anchor == 0 and r.name == meter and r.leaf >= 0 and mask[r.leaf]]
        added = np.zeros_like(p.leaf_days)
        if now > 0:
            for one in mine:
                factor = 1.0 if p.factor is None else p.factor[one.leaf]
                added[one.leaf] += one.ahead(p.days) * factor * (ahead / now - 1)
        else:
            weight = np.where(mask, np.maximum(p.leaf_days.sum(1), 1e-9), 0.0)
            weight = weight if weight.any() else np.ones(len(mask))
            added += (weight / weight.sum())[:, None] * ahead
        plan = _plus(plan, added)
        for capacity in own:
            for when, verb in ((capacity.start, "begins"), (capacity.end, "ends")):
                if when is not None and edges[1] < when < edges[-1]:
                    daily = capacity.cost(capacity.start, capacity.start + dt.timedelta(days=1))
                    rest = "" if mine or not now else "; its idle part varies, so what it cost stays in the plan"
                    what = f"{contract.name}: capacity {capacity.name} {verb} on {when:%Y-%m-%d}{rest}, a day"
                    told.append({"kind": "contract", "what": what, "amount": daily})
    return plan, told


def _with_credits(plan: Plan, contract: Contract, priced: pd.DataFrame, timezone: str) -> tuple[Plan, Assumptions]:
    edges = _edges(plan, timezone)
    open_ = [
        c for c in contract.credits if (c.end is None or c.end > edges[1]) and (c.start is None or c.start <= edges[1])
    ]
    if not open_:
        return plan, []
    if len(open_) > 1 or "contracted_cost" not in priced.columns:
        why = "several credits pay at once" if len(open_) > 1 else "the rows have no contracted cost"
        return plan, [{"kind": "contract", "what": f"{contract.name}: what is left of its credits isn't known ({why}); the plan goes on as if they lasted", "amount": None}]  # fmt: skip
    (credit,) = open_
    paces = _paces(plan, contract, priced, timezone)
    drawn = _drawn(credit, contract, priced)
    if credit.worth == 1:
        return plan, []  # it costs what it pays for: the plan is the same with and without
    if drawn is None:
        return plan, [{"kind": "contract", "what": f"{contract.name}: credit {credit.name} began before the rows do, so what is left of it isn't known; the plan goes on as if it lasted", "amount": None}]  # fmt: skip
    left = float(Fraction(credit.amount if credit.left is None else credit.left) - drawn)
    full, gap = paces
    p = plan.projection
    use = p.use_days
    first = use[:, :PACE].mean(1, keepdims=True)
    pace = np.divide(use, first, out=np.ones_like(use), where=first > 0)
    added, factor, gone, lapsed = np.zeros_like(use), np.ones_like(use), None, 0.0
    effective = full - gap
    dearer = np.divide(gap, effective, out=np.zeros_like(gap), where=effective > 0)
    start_left = left
    for d in range(use.shape[1]):
        if credit.end is not None and edges[d + 1] >= credit.end and left > 0:
            lapsed, left = left * float(credit.worth), 0.0
            weight = full / full.sum() if full.sum() > 0 else np.full(len(full), 1 / len(full))
            added[:, d] += weight * lapsed
        need = float((full * pace[:, d]).sum())
        paid = min(left, need)
        left -= paid
        if paid < need:
            gone = p.days[d] if gone is None else gone
            share = 1 - paid / need
            factor[:, d] += share * dearer
            added[:, d] += np.where(effective > 0, 0.0, share * gap * pace[:, d])  # granted: it costs nothing yet
    what = f"{contract.name}: credit {credit.name} has {start_left:,.2f} left on {p.days[0]:%Y-%m-%d}"
    first_row = priced["charge_period_start"].min()
    if credit.start is not None and first_row - pd.Timestamp(credit.start) > pd.Timedelta(days=1):
        what += f", as far as use since {first_row:%Y-%m-%d} tells: it began on {credit.start:%Y-%m-%d}"
    if lapsed:
        what += f"; what is left on {credit.end:%Y-%m-%d} lapses"
    elif gone is not None:
        what += f"; at the plan's pace it is used up on {gone:%Y-%m-%d}"
    plan = _plus(plan, added)
    p = plan.projection
    plan = replace(plan, projection=replace(p, factor=factor if p.factor is None else p.factor * factor))
    return plan, [{"kind": "contract", "what": what, "amount": None}]


def _covered(contract: Contract, priced: pd.DataFrame) -> pd.DataFrame:
    """Rows a contract's credits may pay for, with their costs as numbers."""
    rows = priced[(priced["provider"] == contract.provider).to_numpy(bool)]
    if contract.accounts:
        mine = [c for c in ("billing_account_id", "sub_account_id") if c in rows.columns]
        rows = rows[np.logical_or.reduce([rows[c].isin(contract.accounts).to_numpy(bool) for c in mine])]
    if "service_tier" in rows.columns:
        rows = rows[(rows["service_tier"] != "provisioned").to_numpy(bool)]
    known = rows["contracted_cost"].notna().to_numpy(bool) & rows["effective_cost"].notna().to_numpy(bool)
    return rows[known]


def _drawn(credit: Credit, contract: Contract, priced: pd.DataFrame) -> Fraction | None:
    """What a credit has paid for so far; None where the rows don't reach back to its start."""
    rows = _covered(contract, priced)
    if credit.start is not None and len(priced) and priced["charge_period_start"].min() > pd.Timestamp(credit.start):
        earlier = priced["charge_period_start"].min() - pd.Timestamp(credit.start)
        if earlier > pd.Timedelta(days=31):
            return None
    if credit.start is None and credit.left is None:
        return None
    saved = sum((Fraction(c) - Fraction(e) for c, e in zip(rows["contracted_cost"], rows["effective_cost"], strict=True)), Fraction(0))  # fmt: skip
    return saved / (1 - credit.worth) if credit.worth != 1 else Fraction(0)


def _paces(plan: Plan, contract: Contract, priced: pd.DataFrame, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    """What a leaf costs a day at contracted prices, and how much of that isn't in its effective cost."""
    leaves = plan.leaves.drop(columns="cell")
    columns = list(leaves.columns)
    rows = _covered(contract, priced)
    since = plan.projection.days[0] - pd.Timedelta(days=PACE)
    rows = rows[(local_middle(rows, timezone) >= since).to_numpy(bool)]
    place = {tuple(map(str, key)): i for i, key in enumerate(leaves.itertuples(index=False, name=None))}
    full, gap = np.zeros(len(leaves)), np.zeros(len(leaves))
    keys = [rows[c].astype(object).where(rows[c].notna(), NONE).map(str) for c in columns]
    sums = pd.DataFrame(
        {"full": rows["contracted_cost"].astype(float).to_numpy(), "eff": rows["effective_cost"].astype(float).to_numpy()}
    ).groupby([k.to_numpy() for k in keys])  # fmt: skip
    for key, row in sums.sum().iterrows():
        at = place.get(key if isinstance(key, tuple) else (key,))
        if at is not None:
            full[at], gap[at] = row["full"] / PACE, (row["full"] - row["eff"]) / PACE
    return full, gap
