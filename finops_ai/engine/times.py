"""What a price depends on beside its key: the time of a row, and the size of its calls, as small numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import reduce
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from finops_ai.engine.classes import local_days
from finops_ai.engine.coded import Tuples
from finops_ai.engine.pricing import Book
from finops_ai.frames.types import INSTANT_TYPE

#: provider and model
Model: TypeAlias = tuple[str, str]
_DAY, _MINUTE = 86_400_000_000, 60_000_000
#: prices may change on any day of these
_EVER = dt.date(1990, 1, 1), dt.date(2100, 1, 1)
#: so many days around the first one are found in a table
_NEAR = 1 << 14


class Calls:
    """What a row says of its calls: context tier, and whether it is one call, several, or nobody counted."""

    def __init__(self, book: Book) -> None:
        self.cuts_of = getattr(book, "cuts_of", None)
        self.cuts: list[np.ndarray] = [np.zeros(0, np.int64)]
        self.told = Tuples(3)
        self._of_model: dict[Model, np.ndarray] = {}

    def learn(self, models: Sequence[Model]) -> None:
        """Input tokens from which on calls of models that are new are in another tier."""
        if self.cuts_of:
            self._of_model |= {model: np.array(self.cuts_of([model]), np.int64) for model in models}
            cuts = reduce(np.union1d, (self._of_model[model] for model in models), self.cuts[-1])
            if len(cuts) > len(self.cuts[-1]):
                self.cuts.append(cuts)

    def own(self, model: Model, numbers: np.ndarray) -> list[np.ndarray]:
        """What calls tell of the prices of one model: nothing of one that has a single tier."""
        _, tiers, counts = self.told.rows[numbers].T
        if not self.cuts_of:
            return [tiers, counts]
        cuts = self._of_model[model]
        if not len(cuts):
            return [np.zeros(len(numbers), np.int64)] * 2
        tier = np.searchsorted(cuts, self._lowest()[numbers], side="right") + 1
        return [np.where(tiers == 0, 0, tier), counts]

    @staticmethod
    def read(batch: pa.RecordBatch) -> list[np.ndarray]:
        """Input tokens and requests per row, -1 where nobody counted."""
        return [_counts(batch, name) for name in ("slice_input_tokens", "slice_requests")]

    def numbers(self, counted: Sequence[np.ndarray]) -> np.ndarray:
        """The number of what each row's counts tell."""
        tokens, counts = counted
        tier = np.searchsorted(self.cuts[-1], tokens, side="right") if self.cuts_of else tokens
        tier = np.where(tokens < 0, 0, tier + 1)
        turn = np.full(len(tokens), len(self.cuts) - 1)
        return self.told.numbers([turn, tier, np.where(counts < 0, 0, np.where(counts == 1, 1, 2))])

    def columns(self) -> dict[str, pa.Array]:
        """Input tokens, the lowest count of the tier, and requests by number; 0 was null."""
        _, tiers, counts = self.told.rows.T
        return {
            "slice_input_tokens": pa.array(self._lowest(), pa.int64(), mask=tiers == 0),
            "slice_requests": pa.array(counts, pa.int64(), mask=counts == 0),
        }

    def _lowest(self) -> np.ndarray:
        """The lowest count of input tokens of what is told, by number."""
        turns, tiers, _ = self.told.rows.T
        if not self.cuts_of:
            return tiers - 1
        return np.array([0 if n < 2 else self.cuts[t][n - 2] for t, n in zip(turns, tiers, strict=True)], np.int64)


def _counts(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """Whole numbers, -1 for null."""
    if name not in batch.schema.names:
        return np.full(len(batch), -1)
    out: np.ndarray = batch[name].cast(pa.int64()).fill_null(-1).to_numpy()
    return out


class Times:
    """Stretches of time within which no price turns, and no group ends."""

    def __init__(self, book: Book, by: Sequence[str], offsets: Sequence[tuple[dt.datetime, int]]) -> None:
        self.change_days, self.change_minutes = (
            getattr(book, name, None) for name in ("change_days", "change_minutes")
        )
        self.by, self.offsets = by, offsets
        self.days, self.minutes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._of_model: dict[Model, tuple[np.ndarray, np.ndarray]] = {}
        #: how often days or minutes were added: stretches of before aren't those of after
        self.turn = 0
        self.told = Tuples(4)
        self.first = np.zeros(0, np.int64)
        #: number of each UTC day, part of it and day of the zone, from a first day on; -1 = not seen yet
        self._table, self._zero = np.zeros(0, np.int32), 0

    def numbers(self, start: np.ndarray) -> np.ndarray:
        """The number of each instant's stretch."""
        utc = start // _DAY
        local = local_days(start, self.offsets) if self.offsets else utc
        part = np.searchsorted(self.minutes, start % _DAY // _MINUTE, side="right") if len(self.minutes) else 0
        if not len(self._table):
            self._table, self._zero = np.full(_NEAR * self._width, -1, np.int32), int(utc.min()) - _NEAR // 2
        code = ((utc - self._zero) * 3 + (local - utc + 1)) * (len(self.minutes) + 1) + part
        if code.min() < 0 or code.max() >= len(self._table):  # a span of more than twenty years
            return self._numbered(start, utc, local, part)
        found: np.ndarray = np.take(self._table, code)
        if found.min() < 0:
            codes, at = np.unique(code, return_index=True)
            each = part if isinstance(part, int) else part[at]
            self._table[codes] = self._numbered(start[at], utc[at], local[at], each)
            found = np.take(self._table, code)
        return found

    @property
    def _width(self) -> int:
        return 3 * (len(self.minutes) + 1)

    def _numbered(self, start: np.ndarray, utc: np.ndarray, local: np.ndarray, part: np.ndarray | int) -> np.ndarray:
        """The number of each instant's stretch, new ones added."""
        stretch = np.searchsorted(self.days, utc, side="right") if self.change_days else _of_either_sign(utc)
        group = np.zeros(len(start), np.int64)
        if "day" in self.by:
            group = _of_either_sign(local)
        elif "month" in self.by:
            group = _of_either_sign(months(local))
        before = len(self.told)
        found = self.told.numbers([np.full(len(start), self.turn), stretch, np.broadcast_to(part, len(start)), group])
        if len(self.told) > before:
            new = np.flatnonzero(found >= before)[::-1]
            self.first = np.append(self.first, np.zeros(len(self.told) - before, np.int64))
            self.first[found[new]] = start[new]
        return found

    def learn(self, models: Sequence[Model]) -> None:
        """Days and minutes at which prices of models that are new may change."""
        before = len(self.days), len(self.minutes)
        for model in models:
            days, minutes = self._of_model[model] = self._turns(model)
            self.days, self.minutes = np.union1d(self.days, days), np.union1d(self.minutes, minutes)
        if before != (len(self.days), len(self.minutes)):
            self.turn += 1
            self._table = np.zeros(0, np.int32)

    def _turns(self, model: Model) -> tuple[np.ndarray, np.ndarray]:
        """The days and minutes at which prices of a model may change."""
        days = self.change_days(*_EVER, [model]) if self.change_days else []
        minutes = self.change_minutes(*_EVER, [model]) if self.change_minutes else []
        found = np.array([(day - dt.date(1970, 1, 1)).days for day in days], np.int64)
        if minutes:  # on the day of a change, and from the next one on, the same part of a day may cost another price
            found = np.union1d(found, found + 1)
        return found, np.array(minutes, np.int64)

    def own(self, model: Model, numbers: np.ndarray) -> list[np.ndarray]:
        """The stretches and parts of days of one model's prices that stretches of time lie in."""
        first, (days, minutes) = self.first[numbers], self._of_model[model]
        utc = first // _DAY
        stretch = np.searchsorted(days, utc, side="right") if self.change_days else _of_either_sign(utc)
        return [stretch, np.searchsorted(minutes, first % _DAY // _MINUTE, side="right")]

    def instants(self) -> pa.Array:
        """An instant of each stretch."""
        return pa.array(self.first).cast(INSTANT_TYPE)

    def dates(self, column: str) -> pa.Array:
        """The `day` of each stretch in the reporting zone, or the first day of its `month`."""
        days = local_days(self.first, self.offsets)
        if column == "month":
            days = months(days).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return pa.array(days.astype(np.int32), pa.int32()).cast(pa.date32())


def months(days: np.ndarray) -> np.ndarray:
    """Months of days, both counted from 1970."""
    out: np.ndarray = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return out


def _of_either_sign(numbers: np.ndarray) -> np.ndarray:
    """Whole numbers as such from 0 on, each its own: those below 0 are the odd ones."""
    return np.where(numbers < 0, -2 * numbers - 1, 2 * numbers)
