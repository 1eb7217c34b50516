"""The cells that opportunities are looked for in: a month's rows by day, told apart by workload."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.engine.cubing import cubed
from finops_ai.engine.pricing import Book
from finops_ai.frames.origin import tells_hours, zone_of
from finops_ai.meters import meters
from finops_ai.periods import zone
from finops_ai.saving.opportunity import Positions
from finops_ai.tables.changing import ANSWER, BY_THE_CALL, PROMPT
from finops_ai.tables.grouping import NOBODY, UNALLOCATED, currency_of, dimensions_of, nobody_of
from finops_ai.tables.workloads import family_of

#: what tells works apart besides the dimensions and the prompt's family
WHO = ("provider", "sub_account_id", "api_key_id", "operation")
#: columns that say what for
_PURPOSE = ("prompt", "product", "workload", "feature", "application", "service")
#: dimensions that don't
_NO_NAMES = ("environment", "env", "cost_centre", "cost_center")
_ZERO = Decimal(0)


@dataclass(frozen=True)
class Work:
    """One workload at one provider, with the positions of its rows in the period, and of those before it."""

    who: dict[str, str]
    rows: Positions
    past: Positions

    @property
    def ever(self) -> Positions:
        """Positions of its rows in the period and before it, oldest first."""
        return np.concatenate([self.past, self.rows])

    @property
    def purpose(self) -> str:
        """What it is for: its prompt, else product and the like; "" where rows don't tell."""
        named = (self.who[c] for c in _PURPOSE if self.who.get(c, UNALLOCATED) not in NOBODY)
        return next(named, "")

    @property
    def name(self) -> str:
        """As people call it: what it is for, else whose it is, else its key."""
        if self.purpose:
            return self.purpose
        rest = [v for k, v in self.who.items() if k not in (*WHO, *_NO_NAMES) and v not in NOBODY]
        return " ".join(rest) or self.who.get("api_key_id") or self.who.get("sub_account_id") or self.who["provider"]


class Cells:
    """A period's rows by day, with what is asked of them again and again worked out once."""

    def __init__(
        self, allocated: pd.DataFrame, book: Book, timezone: str | None = None, history: pd.DataFrame | None = None
    ) -> None:
        self.dimensions = dimensions_of(allocated)
        self.timezone = zone_of(allocated, timezone=timezone)
        self.book = book
        self.source = allocated
        frame = self._by_day(allocated)
        self.past = 0
        if history is not None and len(history) and len(frame):
            older = history[(history["charge_period_start"] < frame["charge_period_start"].min()).to_numpy(bool)]
            older = self._by_day(older)
            self.past = len(older)
            frame = pd.concat([older[[c for c in frame.columns if c in older.columns]], frame]) if len(older) else frame
        self.frame = frame.reset_index(drop=True)
        self.frame.attrs = dict(allocated.attrs)
        self._texts: dict[str, Positions] = {}
        self._kinds: dict[frozenset[str], Positions] = {}
        self.meter, self.model, self.tier, self.operation, self.provider = (
            self.text(c) for c in ("meter", "model", "service_tier", "operation", "provider")
        )
        self.quantity = np.array([Decimal(q) for q in self.frame["quantity"]], dtype=object)
        costs = [_ZERO if c is None or c is pd.NA else Decimal(c) for c in self.frame["effective_cost"]]
        self.cost = np.array(costs, dtype=object)
        self.priced = self.frame["effective_cost"].notna().to_numpy(bool)

    @property
    def currency(self) -> str:
        """The currency of the costs; "" where none is stated."""
        return currency_of(self.source)

    def _by_day(self, frame: pd.DataFrame) -> pd.DataFrame:
        if "money_basis" in frame:  # what an allowance covers or a list would come to is no money that could be saved
            other = frame["money_basis"].isin(["included", "list"]).to_numpy(bool, na_value=False)
            frame = frame[~other] if other.any() else frame
        if not len(frame) or not tells_hours(frame):
            return frame
        cuts = getattr(self.book, "context_cuts", None)
        return cubed(frame, timezone=self.timezone, cuts=cuts, dimensions=[d for d in self.dimensions if d in frame])

    def text(self, column: str) -> Positions:
        """A text column, None where it is null or missing."""
        if column not in self._texts:
            values = self.frame[column].astype(object).to_numpy() if column in self.frame else [None] * len(self.frame)
            self._texts[column] = np.array([v if isinstance(v, str) else None for v in values], dtype=object)
        return self._texts[column]

    def of(self, names: Iterable[str]) -> Positions:
        """Which rows are of some meters."""
        key = frozenset(names)
        if key not in self._kinds:
            self._kinds[key] = np.array([m in key for m in self.meter], bool)
        return self._kinds[key]

    def exchange_rates(self, rows: Positions) -> list[Decimal]:
        """What amounts of some rows were multiplied with to be in the group's currency; 1 where they are in their own."""
        if "exchange_rate" not in self.frame:
            return [Decimal(1)] * len(rows)
        held = self.frame["exchange_rate"].astype(object).to_numpy()
        return [held[i] if isinstance(held[i], Decimal) else Decimal(1) for i in rows]

    @property
    def now(self) -> Positions:
        """Positions of the period's rows; those before it are the past."""
        return np.arange(self.past, len(self.frame))

    # -- sums

    def total(self, rows: Positions | None = None) -> Decimal:
        """Cost of some rows, or of all of the period."""
        return sum(self.cost[self.past :] if rows is None else self.cost[rows], _ZERO)

    def amount(self, rows: Positions, names: Iterable[str]) -> Decimal:
        """Quantity of some meters in some rows."""
        return sum(self.quantity[rows[self.of(names)[rows]]], _ZERO)

    # -- time

    @cached_property
    def day(self) -> Positions:
        """Each row's day in the reporting zone."""
        tz = zone(self.timezone)
        return np.array([t.astimezone(tz).date() for t in self.frame["charge_period_start"].dt.to_pydatetime()])

    @cached_property
    def days(self) -> int:
        """Days the period spans."""
        mine = self.day[self.past :]
        return (max(mine) - min(mine)).days + 1 if len(mine) else 0

    # -- who

    @cached_property
    def by_call(self) -> Positions:
        """Which rows are billed call by call and have a price."""
        tools = np.array([meters()[m].tool for m in self.meter], bool)
        called = np.array([t in BY_THE_CALL for t in self.tier], bool)
        found: Positions = called & self.priced & ~tools
        return found

    @cached_property
    def works(self) -> list[Work]:
        """The workloads of what is billed call by call, the dearest first."""
        frame = self.frame
        names = [*self.dimensions, *(c for c in WHO if c in frame.columns)]
        keys = frame[names].astype(object)
        if "prompt_id" in frame.columns:
            keys = keys.assign(prompt=frame["prompt_id"].astype(object).map(family_of, na_action="ignore"))
        groups: dict[tuple[Any, ...], list[int]] = {}
        for i, values in enumerate(keys.itertuples(index=False, name=None)):
            if self.by_call[i]:
                key = tuple(v if isinstance(v, str) else None for v in values)
                groups.setdefault(key, []).append(i)
        made = [
            Work(
                {n: str(v) for n, v in zip(keys.columns, key, strict=True) if v is not None},
                np.array([i for i in rows if i >= self.past], int), np.array([i for i in rows if i < self.past], int),
            )
            for key, rows in groups.items()
            if rows[-1] >= self.past
        ]  # fmt: skip
        return sorted(made, key=lambda w: (-self.total(w.rows), str(w.who)))

    def owner(self, rows: Positions) -> str:
        """Who most of some rows' cost belongs to, by the first dimension; "" where that is nobody."""
        return self._most(rows, self.dimensions[0]) if self.dimensions else ""

    def _most(self, rows: Positions, column: str) -> str:
        nobody, sums, names = set(nobody_of(self.frame, column)), dict[str, Decimal](), self.text(column)
        for i in rows:
            if isinstance(names[i], str) and names[i] not in nobody:
                sums[names[i]] = sums.get(names[i], _ZERO) + self.cost[i]
        return max(sums, key=lambda n: (sums[n], n)) if sums else ""

    def where(self, rows: Positions, test: Callable[[int], bool]) -> Positions:
        """Those of some rows that pass a test of their position."""
        return rows[np.array([test(i) for i in rows], bool)] if len(rows) else rows

    # -- per call

    def calls(self, rows: Positions) -> Decimal | None:
        """Calls counted in some rows; None where they aren't counted."""
        found = self.amount(rows, ("requests",))
        return found if found else None

    def per_call(self, rows: Positions) -> tuple[Decimal, Decimal] | None:
        """Mean prompt and answer tokens of a call; None where calls aren't counted."""
        calls = self.calls(rows)
        return None if not calls else (self.amount(rows, PROMPT) / calls, self.amount(rows, ANSWER) / calls)

    def by_day(self, rows: Positions) -> dict[dt.date, Positions]:
        """Positions by day, in order."""
        out: dict[dt.date, list[int]] = {}
        for i in rows:
            out.setdefault(self.day[i], []).append(i)
        return {day: np.array(out[day]) for day in sorted(out)}

    def values(self, rows: Positions, column: str) -> dict[str | None, Positions]:
        """Positions by the values of a column, nulls under None."""
        held = self.text(column)
        out: dict[str | None, list[int]] = {}
        for i in rows.tolist():
            out.setdefault(held[i], []).append(i)
        return {value: np.array(found) for value, found in out.items()}
