"""What contracts promise of the coming months: capacity that begins or ends, prepaid credits and the day they are used up,
prices that change on a day. All of it enters the plan as amounts on dates, and is said."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finops_ai.forecasting.credits import Assumptions, with_credits
from finops_ai.forecasting.known import MIX
from finops_ai.forecasting.outlook import Outlook
from finops_ai.prices.own import like

if TYPE_CHECKING:
    from finops_ai.forecasting.making import Plan
    from finops_ai.prices import PriceBook
    from finops_ai.prices.commitments import Capacity
    from finops_ai.prices.contracts import Contract


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
            plan, said = with_credits(plan, contract, priced, _edges(plan, timezone), timezone)
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
            recent = np.nan_to_num(plan.history.leaf_amounts[:, -MIX:]).sum(1)
            weight = np.where(mask, np.maximum(recent, 1e-9), 0.0)
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
