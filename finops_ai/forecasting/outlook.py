"""The outlook: a forecast taken apart into quantities and dated prices per model, prompt and meter.

The forecast of each series is what the models of this package make of its cost. Its parts keep the mix of the last
four weeks, the newest days counting most, so quantity x price of all parts is the forecast; a price change the price
book already knows is applied from its day on. A scenario changes quantities and prices, not the statistics.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, RuleError, hint
from finops_ai.forecasting.history import NONE, TOTAL, local_middle, unique_id
from finops_ai.meters import meters

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: what a part is known by, besides the dimensions asked for
IDENTITY = ("provider", "model", "prompt_id", "meter", "service_tier")
#: days of history whose mix counts, and the half-life of a day's weight
MIX_DAYS, HALF_LIFE = 28, 7.0
INPUT, OUTPUT = "input", "output"


@dataclass(frozen=True)
class Outlook:
    """Parts by day.

    Attributes:
        days: the days forecast.
        parts: one row per part: `unique_id`, the dimensions, provider, model, prompt_id, meter, service_tier,
            `direction` (input, output or "").
        quantity: `(parts, days)`, in the meter's unit.
        price: `(parts, days)`, currency per unit.
        lump: `(parts, days)`, amounts that don't depend on quantity (a commitment's fee).
        since: first day of the history that the mix was taken from.
        by: the dimensions whose values name a series.
    """

    days: pd.DatetimeIndex
    parts: pd.DataFrame
    quantity: np.ndarray
    price: np.ndarray
    lump: np.ndarray
    since: pd.Timestamp
    by: tuple[str, ...] = ()

    @property
    def cost(self) -> np.ndarray:
        """`(parts, days)`: quantity x price + lump."""
        out: np.ndarray = self.quantity * self.price + self.lump
        return out

    def by_series(self, ids: Sequence[str]) -> np.ndarray:
        """Cost `(series, days)` in the order of `ids`."""
        where = {name: i for i, name in enumerate(ids)}
        out = np.zeros((len(ids), len(self.days)))
        np.add.at(out, [where[name] for name in self.parts["unique_id"]], self.cost)
        return out

    def select(self, where: Mapping[str, Any], change: str) -> np.ndarray:
        """Mask of the parts whose columns have the given values (a value, or a list of values).

        Raises:
            RuleError: a column doesn't exist, or nothing matches: a scenario that changes nothing is a mistake.
        """
        mask = np.ones(len(self.parts), dtype=bool)
        for column, wanted in where.items():
            if column not in self.parts.columns:
                known = [c for c in self.parts.columns if c not in ("unique_id", "direction")]
                raise RuleError(f"{change}: no column {column!r} to choose by. {hint(column, known)}")
            values = {str(v) for v in (wanted if isinstance(wanted, list | tuple | set) else [wanted])}
            found = self.parts[column].isin(values).to_numpy()
            if not found.any():
                raise RuleError(
                    f"{change}: no {column} {sorted(values)} in use. {hint(min(values), set(self.parts[column]))}"
                )
            mask = mask & found
        if not mask.any():
            raise RuleError(f"{change}: nothing in use has {dict(where)} together.")
        return mask

    def active(self, start: Any, until: str | dt.date | None = None, ramp_days: int = 0) -> np.ndarray:
        """How far a change is in force on each day: 0 before `start` and from `until`, 1 after the ramp."""
        first = pd.Timestamp(start)
        passed = (self.days - first).days.to_numpy() + 1
        share = np.clip(passed / max(ramp_days, 1), 0, 1)
        if until is not None:
            share = np.where(self.days >= pd.Timestamp(until), 0.0, share)
        return share

    def added(
        self, parts: pd.DataFrame, quantity: np.ndarray, price: np.ndarray, lump: np.ndarray | None = None
    ) -> Outlook:
        """The outlook with further parts; their series is read from their dimensions."""
        if self.by:
            keys = parts[list(self.by)].itertuples(index=False, name=None)
            parts = parts.assign(unique_id=[unique_id(key) for key in keys])
        return replace(
            self,
            parts=pd.concat([self.parts, parts], ignore_index=True),
            quantity=np.vstack([self.quantity, quantity]),
            price=np.vstack([self.price, price]),
            lump=np.vstack([self.lump, np.zeros_like(quantity) if lump is None else lump]),
        )


def recent_parts(
    priced: pd.DataFrame, by: Sequence[str], until: pd.Timestamp, timezone: str = "UTC", keep: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Quantity and cost a day of each part, newest days counting most: `unique_id`, dimensions, identity, `quantity, cost`."""
    start = local_middle(priced, timezone)
    first = until - pd.Timedelta(days=MIX_DAYS)
    recent = ((start >= first) & (start < until)).to_numpy()
    if not recent.any():
        raise DataError(f"No rows between {first:%Y-%m-%d} and {until:%Y-%m-%d}: there is no recent mix to build on.")
    columns = list(dict.fromkeys([*by, *(c for c in (*keep, *IDENTITY) if c in priced.columns)]))
    rows = pd.DataFrame(
        {
            c: priced.loc[recent, c].astype(object).where(priced.loc[recent, c].notna(), NONE).astype(str).to_numpy()
            for c in columns
        }
    )
    age = (until - start[recent]).dt.days.to_numpy()
    days = min(MIX_DAYS, max(1, int((until - start[recent].min()).days)))
    weight = 0.5 ** (age / HALF_LIFE)
    weight = weight / (0.5 ** (np.arange(1, days + 1) / HALF_LIFE)).sum()
    rows["quantity"] = priced.loc[recent, "quantity"].astype("float64").to_numpy() * weight
    rows["cost"] = priced.loc[recent, "effective_cost"].astype("float64").fillna(0.0).to_numpy() * weight
    parts = rows.groupby(columns, as_index=False)[["quantity", "cost"]].sum()
    for name in IDENTITY:
        if name not in parts.columns:
            parts[name] = NONE
    known = meters()
    parts["direction"] = [known[m].direction if m in known else "" for m in parts["meter"]]
    keys = parts[list(by)].itertuples(index=False, name=None) if by else [()] * len(parts)
    parts.insert(0, "unique_id", [unique_id(key) if by else TOTAL for key in keys])
    return parts, first


def build_outlook(
    priced: pd.DataFrame,
    by: Sequence[str],
    keys: Sequence[tuple[str, ...]],
    days: pd.DatetimeIndex,
    base: np.ndarray,
    book: PriceBook | None = None,
    timezone: str = "UTC",
    keep: Sequence[str] = (),
) -> Outlook:
    """Take a forecast apart.

    Args:
        priced: priced rows up to the day before `days[0]`.
        by: dimensions of the series.
        keys: dimension values of each series, in the order of `base`.
        days: the days forecast.
        base: forecast cost `(series, days)`.
        book: price book for prices already known to change; None leaves prices as they are.
        timezone: reporting zone of the days.
        keep: further columns that a scenario chooses parts by.
    """
    parts, since = recent_parts(priced, by, days[0], timezone, keep)
    per_day = parts.groupby("unique_id")["cost"].sum()
    place = {unique_id(key): i for i, key in enumerate(keys)}
    usable = parts["unique_id"].map(per_day).to_numpy() > 0
    parts = parts[usable & parts["unique_id"].isin(place).to_numpy()].reset_index(drop=True)
    level = np.array([base[place[name]] / per_day[name] for name in parts["unique_id"]]).reshape(len(parts), len(days))
    quantity = parts["quantity"].to_numpy()[:, None] * level
    unit = np.divide(
        parts["cost"].to_numpy(),
        parts["quantity"].to_numpy(),
        out=np.zeros(len(parts)),
        where=parts["quantity"].to_numpy() > 0,
    )
    price = np.repeat(unit[:, None], len(days), axis=1)
    lump = np.where(quantity == 0, parts["cost"].to_numpy()[:, None] * level, 0.0)
    outlook = Outlook(days, parts.drop(columns=["quantity", "cost"]), quantity, price, lump, since, tuple(by))
    missing = [key for key in keys if unique_id(key) not in set(parts["unique_id"])]
    if missing:
        blank = pd.DataFrame({c: [NONE] * len(missing) for c in outlook.parts.columns}).assign(
            direction="", unique_id=TOTAL
        )
        for i, name in enumerate(by):
            blank[name] = [key[i] for key in missing]
        zero = np.zeros((len(missing), len(days)))
        outlook = outlook.added(blank, zero, zero, np.array([base[place[unique_id(key)]] for key in missing]))
    return outlook if book is None else _with_known_prices(outlook, book)


def _with_known_prices(outlook: Outlook, book: PriceBook) -> Outlook:
    """Apply the price book's dated changes that fall into the days forecast."""
    price = outlook.price.copy()
    first = outlook.days[0].to_pydatetime().replace(tzinfo=UTC)
    last = outlook.days[-1].to_pydatetime().replace(tzinfo=UTC)
    for pair, rows in outlook.parts.groupby(["provider", "model"]):
        provider, model = map(str, pair)
        turns = [] if NONE in (provider, model) else [t for t in book.turns(provider, model) if first < t <= last]
        for turn in turns:
            since = outlook.days >= pd.Timestamp(turn).tz_localize(None)
            for part, meter, tier in zip(rows.index, rows["meter"], rows["service_tier"], strict=True):
                before = book.lookup(provider, model, meter, turn - pd.Timedelta(days=1), service_tier=tier).unit_price
                after = book.lookup(provider, model, meter, turn, service_tier=tier).unit_price
                if before and after is not None:
                    price[part, since] *= float(after / before)
    return replace(outlook, price=price)
