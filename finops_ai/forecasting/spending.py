"""What was spent day by day in each cell of the business: the history a plan is made of.

A cell is one combination of the business dimensions that the rows have, whatever dimensions a plan is asked by: so the
same month is the same figure from every side. Amounts that recur on dates are told apart from use; days that nobody
collected are unknown, not 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.engine.fields import PUBLISHED
from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.forecasting.history import NONE, check_one_currency, end_of_data, local_middle
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.tables.grouping import dimensions_of

#: columns that split a cell further, by its recent mix; those that every split keeps apart
FINER = ("provider", "model")
#: a source that had rows on this share of days has lost the days without any
REGULAR = 0.9
#: longer slices than this many days (a monthly fee) count on their first day
LONG_SLICE = 2

Key = tuple[str, ...]


@dataclass(frozen=True)
class Spending:
    """Daily cost by cell.

    Attributes:
        dimensions: names of the dimensions whose values name a cell.
        cells: their values, in order; `()` where the rows have no dimension.
        days: all days of the history.
        amounts: `(cells, days)` cost; NaN where the day wasn't collected.
        fixed: `(cells, days)`, of which was paid whether used or not, by series (see `priced_ahead`).
        leaves: one row per cell, provider, model and further columns asked for: `cell` and those columns.
        leaf_amounts: `(leaves, days)` cost of use.
        spent: `(leaf place, month)` -> amount: its published cents where the rows say them, else to the last digit.
        lost: days not collected, by source.
        fees: non-token series apart: `(cell, leaf, name, days' amounts)`.
        unpriced: what has no price: rows, tokens, models, and what it would cost at the usual price.
        currency: of all amounts.
    """

    dimensions: tuple[str, ...]
    cells: list[Key]
    days: pd.DatetimeIndex
    amounts: np.ndarray
    leaves: pd.DataFrame
    leaf_amounts: np.ndarray
    spent: dict[tuple[int, str], Decimal]
    fees: list[tuple[int, int, str, np.ndarray]]
    lost: dict[str, list[pd.Timestamp]] = field(default_factory=dict)
    unpriced: dict[str, object] = field(default_factory=dict)
    currency: str = "USD"

    @property
    def end(self) -> pd.Timestamp:
        """The first day ahead."""
        return self.days[-1] + pd.Timedelta(days=1)


def spending(
    priced: pd.DataFrame, *, until: pd.Timestamp | None = None, timezone: str = "UTC", keep: Sequence[str] = ()
) -> Spending:
    """Add up priced or allocated rows by cell and day.

    Args:
        priced: priced or allocated rows.
        until: leave out what starts at or after this local day; by default the last complete day counts too.
        timezone: reporting zone of the days.
        keep: further columns that parts are told apart by.

    Raises:
        DataError: no row has a price, or the rows are in several currencies.
        SettingsError: a column doesn't exist.
    """
    for name in [*keep, "effective_cost", "charge_period_start"]:
        if name not in priced.columns:
            raise SettingsError(f"The rows have no column {name!r}. {hint(name, [str(c) for c in priced.columns])}")
    check_one_currency(priced)
    end = end_of_data(priced, timezone) if until is None else until
    dims = [c for c in dimensions_of(priced) if _is_text(priced[c])]
    finer = [c for c in dict.fromkeys([*FINER, *keep]) if c in priced.columns and c not in dims]
    day = _day(priced, timezone)
    inside = (day < end).to_numpy()
    priced, day = priced[inside], day[inside]
    cost = priced["effective_cost"]
    known = cost.notna().to_numpy()
    if not known.any():
        raise DataError("No row has an effective_cost: nothing to plan from. Price the rows, or widen the window.")
    first = day[known].min()
    days = pd.date_range(first, end - pd.Timedelta(days=1), freq="D")
    meter = priced["meter"].astype(str).to_numpy() if "meter" in priced.columns else np.full(len(priced), "input")
    keys = {c: _text(priced[c]) for c in [*dims, *finer]}
    unpriced = _unpriced(priced, meter, known, keys, (day - first).dt.days.to_numpy(), len(days))
    rows = pd.DataFrame({c: v[known] for c, v in keys.items()})
    rows["_meter"], rows["_day"] = meter[known], (day[known] - first).dt.days.to_numpy()
    values = cost[known].astype("float64").to_numpy()
    cell_of, cells = _codes(rows, dims)
    leaf_of, leaves = _codes(rows.assign(_cell=cell_of), ["_cell", *finer])
    leaf_frame = pd.DataFrame(leaves, columns=["cell", *finer])
    size = len(days)
    place = rows["_day"].to_numpy()
    known_meters = meters()
    by_token = np.array(
        [known_meters[m].unit == "tokens" if m in known_meters else False for m in rows["_meter"].unique()]
    )
    usual = dict(zip(rows["_meter"].unique(), by_token, strict=True))
    is_token = rows["_meter"].map(usual).to_numpy(dtype=bool)
    fees: list[tuple[int, int, str, np.ndarray]] = []
    if (~is_token).any():
        apart = rows[~is_token]
        fee_of, names = _codes(apart.assign(_leaf=leaf_of[~is_token]), ["_leaf", "_meter"])
        flat = np.bincount(fee_of * size + place[~is_token], values[~is_token], len(names) * size)
        for (leaf, name), y in zip(names, flat.reshape(-1, size), strict=True):
            if (y != 0).any():
                fees.append((int(leaf_frame["cell"].iloc[leaf]), int(leaf), str(name), y))
    leaf_amounts = np.bincount(leaf_of * size + place, values, len(leaves) * size).reshape(-1, size)
    cell_place = leaf_frame["cell"].to_numpy(dtype=int)
    amounts = np.zeros((len(cells), size))
    np.add.at(amounts, cell_place, leaf_amounts)
    lost = _lost(keys, known, day, days)
    for source, gone in lost.items():
        holes = days.isin(gone)
        touched = (
            np.ones(len(leaf_frame), bool)
            if not source or "provider" not in leaf_frame
            else (leaf_frame["provider"] == source).to_numpy()
        )
        leaf_amounts[np.ix_(touched, holes)] = np.nan
    if lost:
        holes_of = np.zeros((len(cells), size), bool)
        np.logical_or.at(holes_of, cell_place, np.isnan(leaf_amounts) & _alive(leaf_amounts))
        amounts[holes_of] = np.nan
    month = day[known].dt.strftime("%Y-%m").to_numpy()
    # what a month cost is what every other table says it did: its cents are decided once
    told = priced[PUBLISHED] if PUBLISHED in priced.columns and priced[PUBLISHED].notna()[known].all() else cost
    spent = _spent(told[known], leaf_of, month)
    currency = str(priced["pricing_currency"].dropna().iloc[0]) if _has(priced, "pricing_currency") else "USD"
    return Spending(
        tuple(dims), [tuple(map(str, c)) for c in cells], days, amounts, leaf_frame, leaf_amounts, spent, fees, lost,
        unpriced, currency,
    )  # fmt: skip


def _has(frame: pd.DataFrame, column: str) -> bool:
    return column in frame.columns and bool(frame[column].notna().any())


def _is_text(column: pd.Series) -> bool:
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column))


def _text(column: pd.Series) -> np.ndarray:
    codes, values = pd.factorize(column.astype(object).where(column.notna(), NONE), sort=False)
    return np.array([str(v) for v in values], dtype=object)[codes] if len(values) else np.empty(0, dtype=object)


def _day(priced: pd.DataFrame, timezone: str) -> pd.Series:
    """The local day of each slice: of its middle, or of its start where it is long."""
    middle = local_middle(priced, timezone)
    if "charge_period_end" in priced.columns:
        length = priced["charge_period_end"] - priced["charge_period_start"]
        long = (length > pd.Timedelta(days=LONG_SLICE)).to_numpy()
        if long.any():
            start = local_middle(priced.drop(columns="charge_period_end"), timezone)
            middle = middle.where(~long, start)
    out: pd.Series = middle.dt.floor("D")
    return out


def _codes(rows: pd.DataFrame, columns: Sequence[str]) -> tuple[np.ndarray, list[tuple[Any, ...]]]:
    """A number for each combination of columns, in sorted order, and the combinations."""
    if not columns:
        return np.zeros(len(rows), dtype=np.int64), [()]
    groups = rows.groupby(list(columns), sort=True, observed=True)
    names: list[Any] = list(groups.indices) if len(columns) > 1 else [(k,) for k in groups.indices]
    return groups.ngroup().to_numpy(), names


def _spent(cost: pd.Series, leaf: np.ndarray, month: np.ndarray) -> dict[tuple[int, str], Decimal]:
    """Sum of each leaf and month in decimals; rows that hold floats, such as simulated ones, are added as such."""
    try:
        amounts = pa.array(cost)
    except pa.ArrowTypeError:  # some rows hold floats, some decimals
        amounts = pa.array([None if pd.isna(v) else exact(v) for v in cost])
    if isinstance(amounts, pa.ChunkedArray):
        amounts = amounts.combine_chunks()
    if not pa.types.is_decimal(amounts.type):
        summed = pd.Series(cost.astype(float).to_numpy()).groupby([leaf, month]).sum()
        return {(int(k[0]), str(k[1])): Decimal(repr(float(v))) for k, v in summed.items()}  # type: ignore[index]
    table = pa.table({"leaf": pa.array(leaf), "month": pa.array(month.astype(str)), "cost": amounts})
    done = table.group_by(["leaf", "month"]).aggregate([("cost", "sum")])
    columns = [done[c].to_pylist() for c in ("leaf", "month", "cost_sum")]
    return {(leaf, m): Decimal(0) if c is None else c for leaf, m, c in zip(*columns, strict=True)}


def _lost(keys: dict[str, np.ndarray], known: np.ndarray, day: pd.Series, days: pd.DatetimeIndex) -> dict[str, Any]:
    """Days without any row, of everything or of one provider, where there are rows on nearly every other day."""
    source = keys.get("provider")
    out: dict[str, list[pd.Timestamp]] = {}
    names = [""] if source is None else sorted(set(source))
    for name in names:
        own = day if source is None else day[source == name]
        seen = pd.DatetimeIndex(own.unique())
        if not len(seen):
            continue
        span = days[(days >= seen.min()) & (days <= seen.max())]
        missing = span[~span.isin(seen)]
        if len(span) >= 14 and 0 < len(missing) <= (1 - REGULAR) * len(span):
            out[name] = list(missing)
    return out


def _alive(leaf_amounts: np.ndarray) -> np.ndarray:
    """Where a leaf is between its first and last use."""
    used = np.nan_to_num(leaf_amounts) != 0
    begun, left = np.maximum.accumulate(used, 1), np.maximum.accumulate(used[:, ::-1], 1)[:, ::-1]
    return begun & left


def _unpriced(
    priced: pd.DataFrame, meter: np.ndarray, known: np.ndarray, keys: dict[str, np.ndarray], day: np.ndarray, size: int
) -> dict[str, object]:
    """Tokens of the last 28 days without a price, whose they are, and what they'd cost at the usual price per token."""
    if known.all() or "quantity" not in priced.columns:
        return {}
    catalogue = meters()
    tokens = np.array([m in catalogue and catalogue[m].unit == "tokens" for m in meter])
    recent = tokens & (day >= size - 28)
    bare = recent & ~known
    if not bare.any():
        return {}
    quantity = priced["quantity"].astype("float64").to_numpy()
    cost = priced["effective_cost"].astype("float64").to_numpy()
    at_risk, unknown = 0.0, 0
    for name in np.unique(meter[bare]):
        like = recent & known & (meter == name)
        amount = quantity[bare & (meter == name)].sum()
        if quantity[like].sum() > 0:
            at_risk += amount * cost[like].sum() / quantity[like].sum()
        else:
            unknown += 1
    models = sorted(set(keys["model"][bare])) if "model" in keys else []
    return {
        "share": float(quantity[bare].sum() / max(quantity[recent].sum(), 1e-12)),
        "tokens": float(quantity[bare].sum()),
        "models": models,
        "at_risk": at_risk,
        "days": min(28, size),
        "unknown_meters": unknown,
    }
