"""Prepaid credits in a plan: what is left of each, the day it is used up, what use costs from then on, what lapses.

The rows say what credits have paid so far, day by day; they are drawn on as settling does, the one that expires first
paying first, and go on so at the plan's pace.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from finops_ai.forecasting.history import NONE, local_middle
from finops_ai.money import written
from finops_ai.prices.commitments import draw_credits

if TYPE_CHECKING:
    from finops_ai.forecasting.making import Plan
    from finops_ai.prices import PriceBook
    from finops_ai.prices.commitments import Credit
    from finops_ai.prices.contracts import Contract

#: days of history that say how much use costs and how fast credits go
PACE = 28
#: a share of cost that credits pay which changes by this from one day to the next has turned
TURN = 0.05
#: share of a day's cost that is the rounding of binary floating point, not money
DUST = 1e-9
Assumptions = list[dict[str, object]]


@dataclass(frozen=True)
class Drawn:
    """What the rows say of a contract's credits.

    Attributes:
        left: what is left of each on the first day ahead.
        turns: days on which the share that they pay changed.
        used_up: credits that the rows show to be used up although the rest of the contract would say otherwise.
    """

    left: dict[str, Fraction]
    turns: list[dt.date]
    used_up: list[str]


def credit_turns(priced: pd.DataFrame, book: PriceBook | None) -> list[pd.Timestamp]:
    """Days on which what credits pay changed: cost that jumps then has a reason and stays."""
    if "contracted_cost" not in priced.columns:
        return []
    found = [c for c in getattr(book, "contracts", ()) if c.credits]
    return [pd.Timestamp(day) for contract in found for day in drawn(contract, priced).turns]


def covered(contract: Contract, priced: pd.DataFrame) -> pd.DataFrame:
    """Rows a contract's credits may pay for."""
    rows = priced[(priced["provider"] == contract.provider).to_numpy(bool)]
    if contract.accounts:
        mine = [c for c in ("billing_account_id", "sub_account_id") if c in rows.columns]
        rows = rows[np.logical_or.reduce([rows[c].isin(contract.accounts).to_numpy(bool) for c in mine])]
    if "service_tier" in rows.columns:
        rows = rows[(rows["service_tier"] != "provisioned").to_numpy(bool)]
    if contract.models or contract.meters:
        pairs = rows[["model", "meter"]].astype(str)
        fits = {p: contract.is_for([p[0]], p[1]) for p in set(pairs.itertuples(index=False, name=None))}
        rows = rows[[fits[p] for p in pairs.itertuples(index=False, name=None)]]
    known = rows["contracted_cost"].notna().to_numpy(bool) & rows["effective_cost"].notna().to_numpy(bool)
    return rows[known]


def drawn(contract: Contract, priced: pd.DataFrame) -> Drawn:
    """Draw a contract's credits on what the rows cost, day by day, as settling does."""
    rows = covered(contract, priced)
    days = rows["charge_period_start"].dt.tz_convert("UTC").dt.date.to_numpy()
    full: dict[dt.date, Fraction] = {}
    saved: dict[dt.date, Fraction] = {}
    for day, cost, paid in zip(days, rows["contracted_cost"], rows["effective_cost"], strict=True):
        full[day] = full.get(day, Fraction(0)) + Fraction(cost)
        saved[day] = saved.get(day, Fraction(0)) + Fraction(cost) - Fraction(paid)
    credits = [replace(c, amount=Fraction(c.amount if c.left is None else c.left)) for c in contract.credits]  # type: ignore[arg-type]
    left: dict[str, Fraction] = {c.name: c.amount for c in credits}  # type: ignore[misc]
    at = [(dt.datetime.combine(day, dt.time(), dt.UTC), full[day]) for day in sorted(full)]
    told = draw_credits(credits, at)  # type: ignore[arg-type]
    if told:
        left = told[-1]["left"]
    share = {day: saved[day] / full[day] for day in sorted(full) if full[day]}
    order = list(share)
    turns = [b for a, b in pairwise(order) if abs(share[b] - share[a]) > TURN]
    used_up: list[str] = []
    if told and not saved[told[-1]["at"].date()]:
        # the rows begin after the credits did, and show that nothing is left of what would still be paying
        for name in told[-1]["drawn"]:
            if worths(contract)[name] != 1:
                left, used_up = left | {name: Fraction(0)}, [*used_up, name]
    return Drawn(left, turns, used_up)


def worths(contract: Contract) -> dict[str, Fraction]:
    """Effective cost of one unit that each credit pays for."""
    return {c.name: c.worth for c in contract.credits}


def with_credits(
    plan: Plan, contract: Contract, priced: pd.DataFrame, edges: Sequence[dt.datetime], timezone: str
) -> tuple[Plan, Assumptions]:
    """The plan with what is left of a contract's credits, and what that is in words.

    Args:
        plan: what use will cost as it is paid now.
        contract: with its credits.
        priced: the rows the plan was made of.
        edges: instants at which the last day known, each day ahead, and the day after them begin.
        timezone: reporting zone.
    """
    open_ = [c for c in contract.credits if c.end is None or c.end > edges[1]]
    if not open_ or all(c.worth == 1 for c in open_):
        return plan, []  # it costs what it pays for: the plan is the same with and without
    if "contracted_cost" not in priced.columns:
        what = f"{contract.name}: what is left of its credits isn't known (the rows have no contracted cost); the plan goes on as if they lasted"
        return plan, [{"kind": "contract", "what": what, "amount": None}]
    known = drawn(contract, priced)
    full, paid, whole = _paces(plan, contract, priced, timezone, known.turns)
    p = plan.projection
    use = p.use_days
    # use at contracted prices: as much more than what is charged as it is now; what is free keeps its pace
    dearer = np.divide(full, whole, out=np.zeros_like(full), where=whole > 0)[:, None]
    needs = np.where(whole[:, None] > 0, use * dearer, full[:, None]).sum(0)
    left = {c.name: float(known.left[c.name]) for c in open_}
    began = dict(left)
    gone: dict[str, pd.Timestamp] = {}
    lapsed: dict[str, pd.Timestamp] = {}
    order = sorted(open_, key=lambda c: (c.end is None, c.end))
    added, factor = np.zeros_like(use), np.ones_like(use)
    weight = full / full.sum() if full.sum() > 0 else np.full(len(full), 1 / len(full))
    for d, day in enumerate(p.days):
        need = due = float(needs[d])
        spared = 0.0
        for credit in order:
            if due > 0 and credit.valid(edges[d + 1]) and credit.name not in gone:
                part = min(due, left[credit.name])
                left[credit.name] -= part
                due -= part
                spared += part * float(1 - credit.worth)
                if due > DUST * need:  # a credit that ends with a day is used up on the next one
                    gone[credit.name] = day
            if credit.end is not None and edges[d + 1] < credit.end <= edges[d + 2] and left[credit.name] > 0:
                added[:, d] += weight * left[credit.name] * float(credit.worth)
                left[credit.name], lapsed[credit.name] = 0.0, day
        share = spared / need if need > 0 else 0.0
        change = full * (1 - share) - paid
        factor[:, d] += np.divide(change, whole, out=np.zeros_like(change), where=whole > 0)
        added[:, d] += np.where(whole > 0, 0.0, change)  # granted: it costs nothing yet
    factor = np.maximum(factor, 0.0)
    p = replace(p, added=added if p.added is None else p.added + added)
    plan = replace(plan, projection=replace(p, factor=factor if p.factor is None else p.factor * factor))
    return plan, [_said(contract, c, began[c.name], known, gone, lapsed, priced, p.days[0]) for c in order]


def _said(
    contract: Contract,
    credit: Credit,
    left: float,
    known: Drawn,
    gone: Mapping[str, pd.Timestamp],
    lapsed: Mapping[str, pd.Timestamp],
    priced: pd.DataFrame,
    first_day: pd.Timestamp,
) -> dict[str, object]:
    what = f"{contract.name}: credit {credit.name} has {written(left, contract.currency)} left on {first_day:%Y-%m-%d}"
    first_row = priced["charge_period_start"].min()
    if credit.name in known.used_up:
        what += ", as the rows show: they cost their full price"
    elif credit.start is not None and first_row - pd.Timestamp(credit.start) > pd.Timedelta(days=1):
        what += f", as far as use since {first_row:%Y-%m-%d} tells: it began on {credit.start:%Y-%m-%d}; `left` in the contract says what was left then"
    if credit.name in lapsed:
        what += f"; what is left lapses on {lapsed[credit.name]:%Y-%m-%d}"
    elif credit.name in gone and left > 0:
        what += f"; at the plan's pace it is used up on {gone[credit.name]:%Y-%m-%d}"
    return {"kind": "contract", "what": what, "amount": None}


def _paces(
    plan: Plan, contract: Contract, priced: pd.DataFrame, timezone: str, turns: Sequence[dt.date]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each leaf costs a day at contracted prices, what of that is charged now, and its whole cost; since the last turn."""
    leaves = plan.leaves.drop(columns="cell")
    columns = list(leaves.columns)
    day0 = plan.projection.days[0]
    since = max([day0 - pd.Timedelta(days=PACE), *(pd.Timestamp(t) for t in turns if pd.Timestamp(t) < day0)])
    # the day of a turn is partly one, partly the other
    since = min(
        since + pd.Timedelta(days=1) if turns and since == pd.Timestamp(turns[-1]) else since,
        day0 - pd.Timedelta(days=1),
    )
    length = (day0 - since).days
    place = {tuple(map(str, key)): i for i, key in enumerate(leaves.itertuples(index=False, name=None))}
    out = np.zeros((3, len(leaves)))
    for rows, names in (
        (covered(contract, priced), ("contracted_cost", "effective_cost")),
        (priced, ("effective_cost",)),
    ):
        middle = local_middle(rows, timezone)
        rows = rows[((middle >= since) & (middle < day0)).to_numpy(bool)]
        keys = [rows[c].astype(object).where(rows[c].notna(), NONE).map(str).to_numpy() for c in columns]
        values = pd.DataFrame({name: rows[name].astype(float).fillna(0.0).to_numpy() for name in names})
        for key, row in values.groupby(keys).sum().iterrows():
            at = place.get(key if isinstance(key, tuple) else (key,))
            if at is not None:
                for name, value in row.items():
                    out[2 if len(names) == 1 else names.index(str(name)), at] = value / length
    return out[0], out[1], out[2]
