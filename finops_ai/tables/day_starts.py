"""Usage with days that begin at another moment: what each cell's days would hold, for every zone a bill may count in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.periods import UTC, zone
from finops_ai.tables.grouping import grouped_table

if TYPE_CHECKING:
    from finops_ai.tables.causes import Key

#: minutes in which every zone's days begin, and how far two zones are apart at most
_QUARTER, _FARTHEST = 15, 26 * 60
#: columns that tell an account's cells apart, beside the day
CELL = ("sub_account_id", "model", "meter", "service_tier", "region")
_ZERO = Decimal(0)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=UTC)


class DayStarts:
    """Some usage by quarter of an hour: one pass over its rows, however many beginnings of a day are tried.

    Args:
        own: rows of usage.
        key_of: a row's cell.
        timezone: whose days are moved.
        where: which of the rows, as a condition over the columns of `needs`.
    """

    def __init__(
        self, own: pd.DataFrame, key_of: Callable[[Mapping[str, Any]], Key], timezone: str, *, where: str = "", needs: Sequence[str] = ()
    ) -> None:  # fmt: skip
        rows = _by_quarter_hour(own, timezone, where, needs)
        sums: dict[Key, dict[int, Decimal]] = {}
        names = [n for n in rows.column_names if n not in ("charge_period_start", "quantity")]
        starts = rows["charge_period_start"].cast(pa.timestamp("s")).cast(pa.int64())
        columns = [rows[n].to_pylist() for n in names]
        for *cell, second, quantity in zip(*columns, starts.to_pylist(), rows["quantity"].to_pylist(), strict=True):
            row = dict(zip(names, cell, strict=True)) | {"day": None, "month": ""}
            model, at = row["model"], second // 60
            key = key_of(row | {"model": model and model.lower(), "tier": row.get("service_tier")})
            had = sums.setdefault(key, {})
            had[at] = had.get(at, _ZERO) + (quantity or _ZERO)
        moments = sorted({at for own in sums.values() for at in own})
        self.step = max(gcd(24 * 60, *moments), _QUARTER)
        self._days, self._bounds = _midnights(moments, timezone)
        self._cells: dict[Key, tuple[Any, list[Decimal], Any]] = {}
        for key, found in sums.items():
            times = sorted(found)
            until = list(accumulate((found[at] for at in times), initial=_ZERO))
            self._cells[key] = (np.array(times), until, np.array([float(v) for v in until]))

    def offsets(self) -> list[int]:
        """Minutes that days may begin earlier (plus) or later, those first that change least; as fine as the usage is."""
        step = min(self.step, 60)
        return sorted((m for m in range(-_FARTHEST, _FARTHEST + 1, step) if m), key=abs)

    def cut(self, minutes: int) -> dict[Key, Decimal]:
        """Quantity by cell and day, exact, with days that begin so many minutes earlier."""
        out: dict[Key, Decimal] = {}
        for key, (times, until, _) in self._cells.items():
            at = np.searchsorted(times, self._bounds - minutes)
            for n in np.flatnonzero(at[1:] > at[:-1]):
                day = self._days[n]
                out[key._replace(day=day, month=f"{day:%Y-%m}")] = until[at[n + 1]] - until[at[n]]
        return out

    def nearest(self, wanted: Mapping[Key, tuple[Decimal, Decimal]]) -> tuple[int, float]:
        """The beginning of days that misses least of some cells' quantities, and what it misses.

        Args:
            wanted: cell -> the quantity it should have, and what a unit of it costs.
        """
        place = {day: n for n, day in enumerate(self._days)}
        by_cell: dict[Key, list[tuple[int, float, float]]] = {}
        outside = 0.0
        for key, (quantity, unit) in wanted.items():
            cell = key._replace(day=None, month="")
            if cell in self._cells and key.day in place:
                by_cell.setdefault(cell, []).append((place[key.day], float(quantity), float(unit)))
            else:
                outside += abs(float(quantity)) * float(unit)
        best: tuple[int, float] | None = None
        ready: list[tuple[Any, ...]] = []
        for cell, found in by_cell.items():
            days, quantities, units = (np.array(values) for values in zip(*found, strict=True))
            times, _, until = self._cells[cell]
            ready.append((times, until, days, quantities, units))
        for minutes in self.offsets():
            bounds, miss = self._bounds - minutes, outside
            for times, until, days, quantities, units in ready:
                sums = np.diff(until[np.searchsorted(times, bounds)])
                miss += float((np.abs(quantities - sums[days]) * units).sum())
            if best is None or miss < best[1] * (1 - 1e-9):
                best = (minutes, miss)
        assert best is not None
        return best


def _by_quarter_hour(own: pd.DataFrame, timezone: str, where: str, needs: Sequence[str]) -> pa.Table:
    start = own["charge_period_start"].dt.floor(f"{_QUARTER}min")
    keys = [c for c in CELL if c in own.columns]
    return grouped_table(
        own.assign(charge_period_start=start), [*keys, "charge_period_start"], {"quantity": "sum(quantity)"},
        timezone=timezone, needs=("quantity", *needs), where=where,
    )  # fmt: skip


def _midnights(moments: list[int], timezone: str) -> tuple[list[dt.date], Any]:
    """The days that some moments may fall on in any zone, and when each begins in this one, in minutes; one end more."""
    if not moments:
        return [], np.array([0])
    first, last = (
        (_EPOCH + dt.timedelta(minutes=at)).astimezone(zone(timezone)).date() for at in (moments[0], moments[-1])
    )
    days = [first + dt.timedelta(days=n) for n in range(-2, (last - first).days + 4)]
    begins = [dt.datetime(d.year, d.month, d.day, tzinfo=zone(timezone)) for d in days]
    return days[:-1], np.array([int((b.astimezone(UTC) - _EPOCH).total_seconds()) // 60 for b in begins])
