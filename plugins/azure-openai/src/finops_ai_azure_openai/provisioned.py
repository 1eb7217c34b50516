"""Provisioned throughput: capacity times hours whatever the tokens, idle capacity as a line of its own, money split."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from finops_ai.meters import tokens_from_slices
from finops_ai.money import COST, QUANTITY, split_exactly
from finops_ai.periods import Window
from finops_ai_azure_openai import metrics
from finops_ai_azure_openai.deployments import Deployment
from finops_ai_azure_openai.metrics import UTILISATION, Point
from finops_ai_azure_openai.usage import Identity, columns_of, slice_row

if TYPE_CHECKING:
    from collections.abc import Mapping

DAY = dt.timedelta(days=1)
MICRO = Decimal(1).scaleb(-QUANTITY[1])


def unit_hours(
    deployments: Iterable[Deployment],
    points: Iterable[Point],
    window: Window,
    identity: Identity,
    now: dt.datetime,
    notes: list[str],
) -> pa.Table:
    """Unit-hours of provisioned deployments, a slice per UTC day: PTUs x hours from creation to `now`.

    Where the utilisation metric is known the day is split: `operation` 'provisioned' holds the used part and
    'provisioned_idle' the rest; the two add up to PTUs x hours. The capacity is today's, as Azure keeps no history of
    it, so the quantity is marked as imputed.
    """
    used = _utilisation(points)
    rows, quantities, unknown = [], [], set()
    for deployment in deployments:
        if not deployment.provisioned:
            continue
        for day in metrics.whole_grains(window, DAY).pieces(DAY):
            begin, end = max(day.start, deployment.created or day.start), min(day.end, now)
            if day.start not in window or begin >= end:
                continue
            hours = Decimal((end - begin) // dt.timedelta(microseconds=1)) / 3_600_000_000
            total = (deployment.capacity * hours).quantize(MICRO)
            share = used.get((deployment.id, day.start.date()))
            unknown |= {deployment.name} if share is None else set()
            busy = (total * (Decimal(1) if share is None else share)).quantize(MICRO)
            for operation, quantity in (("provisioned", busy), ("provisioned_idle", total - busy)):
                row = slice_row(deployment, day.start, day.end, deployment.region, identity, "provisioned")
                rows.append(row | {"operation": operation, "quantity_basis": "imputed"})
                quantities.append(quantity)
    if unknown:
        notes.append(
            f"No utilisation of {', '.join(sorted(unknown))} on some days: all of their capacity counts as used."
        )
    if not rows:
        return pa.table({})
    values = {"provisioned_hours": pa.array(quantities, pa.decimal128(*QUANTITY))}
    return tokens_from_slices(columns_of(rows), values)


def _utilisation(points: Iterable[Point]) -> Mapping[tuple[str, dt.date], Decimal]:
    """Mean share of capacity in use by deployment and day, 0 to 1 (the metric may exceed 100 percent)."""
    found = defaultdict(list)
    for point in points:
        if point.metric == UTILISATION:
            name = point.dimensions.get("modeldeploymentname", "")
            found[point.account.deployment(name), point.start.date()].append(point.value)
    return {key: min(sum(values, Decimal(0)) / len(values) / 100, Decimal(1)) for key, values in found.items()}


def amortise(hours: pa.Table, bills: pd.DataFrame, notes: list[str]) -> pa.Table:
    """Put the cost of provisioned capacity on its unit-hours, exactly: the bill knows accounts, not deployments.

    The effective cost (what a reservation spreads, else what was billed) of an account's provisioned meters on a day
    is split over its deployments, used and idle part each, in proportion to unit-hours. What the bill states for an
    account without a provisioned deployment, and unused reservation hours, stay on the bill only.

    Args:
        hours: what `unit_hours` gives.
        bills: bill frame of the same days.
        notes: days billed in several currencies are noted and left without cost.

    Returns:
        `hours` with `billed_cost` and `billing_currency`; per account and day they add up to the bill.
    """
    costs: dict[tuple[str, dt.date], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in bills[bills["meter"] == "provisioned_hours"].to_dict("records"):
        if pd.notna(row["resource_id"]):
            key = (row["resource_id"], row["charge_period_start"].date())
            amount = row["billed_cost"] if pd.isna(row["effective_cost"]) else row["effective_cost"]
            costs[key][row["billing_currency"]] += amount
    groups: dict[tuple[str, dt.date], list[int]] = defaultdict(list)
    for i, row in enumerate(hours.select(["resource_id", "charge_period_start"]).to_pylist()):
        groups[row["resource_id"].split("/deployments/")[0], row["charge_period_start"].date()].append(i)
    quantities = hours["quantity"].to_pylist()
    amounts: list[Decimal | None] = [None] * len(quantities)
    currencies: list[str | None] = [None] * len(quantities)
    mixed = 0
    for key, members in groups.items():
        if len(costs[key]) != 1:
            mixed += len(costs[key]) > 1
            continue
        ((currency, cost),) = costs[key].items()
        weights = [int(quantities[i] / MICRO) for i in members]
        with localcontext(prec=COST[0] + 1):
            parts = split_exactly(int(cost.scaleb(COST[1])), weights)
            for i, part in zip(members, parts, strict=True):
                amounts[i], currencies[i] = Decimal(part).scaleb(-COST[1]), currency
    if mixed:
        notes.append(
            f"{mixed} days of provisioned capacity are billed in several currencies; their hours carry no cost."
        )
    costed = hours.append_column("billed_cost", pa.array(amounts, pa.decimal128(*COST)))
    return costed.append_column("billing_currency", pa.array(currencies, pa.string()))
