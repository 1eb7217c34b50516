"""Rows added up as far as neither prices nor rules nor groups tell them apart, in one pass with flat memory.

What comes out are token rows again, few of them: the plan that prices and groups rows prices and groups these, to the same
last digit, because a sum of quantities times a price is the sum of the products.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from finops_ai.engine.classes import Classes, by_class, fields_for, local_days
from finops_ai.engine.coded import Coder, Tuples, batches, instants
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, Source, register
from finops_ai.engine.fields import PRICED, TAG, kind_of_column
from finops_ai.engine.pricing import NEEDED, NUMBER, Book
from finops_ai.engine.rules import Rules
from finops_ai.frames.types import INSTANT_TYPE, QUANTITY_TYPE
from finops_ai.periods import Window

_DAY, _MINUTE = 86_400_000_000, 60_000_000
#: prices may change on any day of these
_EVER = dt.date(1990, 1, 1), dt.date(2100, 1, 1)
#: from here on days and months are small numbers
_USUAL_DAY, _USUAL_MONTH = 18_262, 600
#: what only single rows tell, so that their sum can't
_OF_ROWS = frozenset({"price_note"})
TIMES = ("month", "day")
#: the relations of a connection: the sums as token rows, and their price keys by number
SUMS, KEYS = "summed_rows", "sums_key"


def can_be_summed(by: Sequence[str], book: Book, rules: Rules) -> bool:
    """Whether rows may be added up before they are priced and grouped: all that is asked of one is text, day or price."""
    dimensions = [d for d in rules.dimensions if d in by]
    columns = [c for c in by if c not in (*TIMES, *dimensions, *PRICED)]
    read = fields_for(rules, dimensions)
    return (
        not _OF_ROWS & {*by, *read}
        and not set(PRICED) & set(read)
        and by_class(rules, dimensions)
        and all(c.startswith(TAG) or kind_of_column(c) == "text" for c in (*columns, *book.key_columns))
    )


def summed(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    by: Sequence[str],
    book: Book,
    rules: Rules,
    *,
    window: Window | None = None,
    offsets: Sequence[tuple[dt.datetime, int]] = (),
) -> Scan:
    """A source's rows added up, as a relation of the connection.

    Args:
        con: the connection.
        source: token rows.
        by: what they will be grouped by.
        book: the prices they will be priced with.
        rules: the mapping.
        window: only rows that start in it.
        offsets: dated offsets of the reporting zone.

    Returns:
        Token rows with the book's key columns and their number, the columns, tags and dimensions of `by` as plain columns,
        `quantity`, the lowest count of input tokens of the context tier, and an instant of the stretch of time.
    """
    keys = list(dict.fromkeys(["provider", "model", *book.key_columns, "meter"]))
    more = [c for c in by if (c.startswith(TAG) or kind_of_column(c)) and c not in (*keys, *PRICED)]
    dimensions = [d for d in rules.dimensions if d in by]
    coder = Coder(list(dict.fromkeys([*keys, *more, *fields_for(rules, dimensions)])))
    classes = Classes(rules, dimensions, coder)
    calls, told, beside = _Calls(book), Tuples(len(keys)), Tuples(max(1, len(more)))
    times = _Times(book, by, offsets)

    def numbered() -> Iterator[pa.RecordBatch]:
        for rows in batches(source, [*coder.names, *NEEDED]):
            batch = _starting_in(rows, window)
            if not len(batch):
                continue
            numbers, start = coder.numbers(batch), instants(batch)
            before = len(told)
            key = told.numbers([numbers[k] for k in keys])
            if len(told) > before:
                new = _models(coder, told.rows[before:])
                times.learn(new)
                calls.learn(new)
            columns = {
                "key": key,
                "beside": beside.numbers([numbers[c] for c in more] or [np.zeros(len(batch), np.int64)]),
                "outcome": classes.outcomes(numbers, local_days(start, offsets)),
                "time": times.numbers(start),
                "call": calls.numbers(batch),
            }
            yield pa.record_batch({**columns, "quantity": batch["quantity"].cast(QUANTITY_TYPE)}, schema=_NUMBERED)

    con.register("numbered", pa.RecordBatchReader.from_batches(_NUMBERED, numbered()))
    names = ", ".join(_NUMBERED.names[:-1])
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE sums AS SELECT {names}, CAST(sum(quantity) AS DECIMAL(19,6)) AS quantity "
        f"FROM numbered GROUP BY {names}"
    )
    con.unregister("numbered")
    decided = classes.table()
    outcomes = dict(zip(decided.column_names, decided.columns, strict=True))
    tables = {
        "key": {NUMBER: pa.array(range(len(told)))} | _texts(coder, keys, told),
        "beside": _texts(coder, more, beside),
        "outcome": {name: values for name, values in outcomes.items() if name in dimensions},
        "time": {"charge_period_start": times.instants()},
        "call": calls.columns(),
    }
    picked, joins = ["s.quantity"], []
    for name, columns in tables.items():
        if columns:
            count = len(next(iter(columns.values())))
            register(con, f"sums_{name}", pa.table({"_of": pa.array(range(count), pa.int32()), **columns}))
            picked += [f"sums_{name}.{DUCKDB.ident(c)}" for c in columns]
            joins.append(f"JOIN sums_{name} ON s.{name} = sums_{name}._of")
    con.execute(f"CREATE OR REPLACE TEMP VIEW {SUMS} AS SELECT {', '.join(picked)} FROM sums s {' '.join(joins)}")
    return Scan.of_view(con, SUMS)


def _texts(coder: Coder, fields: Sequence[str], tuples: Tuples) -> dict[str, Any]:
    return {
        name: coder.names[name].values.take(pa.array(column))
        for name, column in zip(fields, tuples.rows.T, strict=False)
    }


_NUMBERED = pa.schema([
    ("key", pa.int32()), ("beside", pa.int32()), ("outcome", pa.int32()), ("time", pa.int32()), ("call", pa.int32()), ("quantity", QUANTITY_TYPE),
])  # fmt: skip


def _starting_in(batch: pa.RecordBatch, window: Window | None) -> pa.RecordBatch:
    if window is None or not len(batch):
        return batch
    first, last = (
        (m - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) for m in (window.start, window.end)
    )
    start = instants(batch)
    inside = (start >= first) & (start < last)
    return batch if inside.all() else batch.filter(pa.array(inside))  # fmt: skip


def _models(coder: Coder, keys: np.ndarray) -> list[tuple[str, str]]:
    """The (provider, model) pairs of keys, which begin with both."""
    providers, models = coder.names["provider"].values, coder.names["model"].values
    return sorted(
        (providers[int(p)].as_py() or "", models[int(m)].as_py() or "") for p, m in np.unique(keys[:, :2], axis=0)
    )


class _Calls:
    """What a row says of its calls: context tier, and whether it is one call, several, or nobody counted."""

    def __init__(self, book: Book) -> None:
        self.cuts_of = getattr(book, "cuts_of", None)
        self.cuts: list[np.ndarray] = [np.zeros(0, np.int64)]
        self.told = Tuples(3)

    def learn(self, models: Sequence[tuple[str, str]]) -> None:
        """Input tokens from which on calls of models that are new are in another tier."""
        if self.cuts_of:
            cuts = np.union1d(self.cuts[-1], np.array(self.cuts_of(models), np.int64))
            if len(cuts) > len(self.cuts[-1]):
                self.cuts.append(cuts)

    def numbers(self, batch: pa.RecordBatch) -> np.ndarray:
        tokens, counts = (_counts(batch, name) for name in ("slice_input_tokens", "slice_requests"))
        tier = np.searchsorted(self.cuts[-1], tokens, side="right") if self.cuts_of else tokens
        tier = np.where(tokens < 0, 0, tier + 1)
        turn = np.full(len(batch), len(self.cuts) - 1)
        return self.told.numbers([turn, tier, np.where(counts < 0, 0, np.where(counts == 1, 1, 2))])

    def columns(self) -> dict[str, pa.Array]:
        """Input tokens, the lowest count of the tier, and requests by number; 0 was null."""
        turns, tiers, counts = self.told.rows.T
        lowest = tiers - 1
        if self.cuts_of:
            lowest = np.array(
                [0 if n < 2 else self.cuts[t][n - 2] for t, n in zip(turns, tiers, strict=True)], np.int64
            )
        return {
            "slice_input_tokens": pa.array(lowest, pa.int64(), mask=tiers == 0),
            "slice_requests": pa.array(counts, pa.int64(), mask=counts == 0),
        }


def _counts(batch: pa.RecordBatch, name: str) -> np.ndarray:
    """Whole numbers, -1 for null."""
    if name not in batch.schema.names:
        return np.full(len(batch), -1)
    out: np.ndarray = batch[name].cast(pa.int64()).fill_null(-1).to_numpy()
    return out


class _Times:
    """Stretches of time within which no price turns, and no group ends."""

    def __init__(self, book: Book, by: Sequence[str], offsets: Sequence[tuple[dt.datetime, int]]) -> None:
        self.change_days, self.change_minutes = (
            getattr(book, name, None) for name in ("change_days", "change_minutes")
        )
        self.by, self.offsets = by, offsets
        self.days, self.minutes = np.zeros(0, np.int64), np.zeros(0, np.int64)
        #: how often days or minutes were added: stretches of before aren't those of after
        self.turn = 0
        self.told = Tuples(4)
        self.first = np.zeros(0, np.int64)

    def numbers(self, start: np.ndarray) -> np.ndarray:
        utc, local = start // _DAY, local_days(start, self.offsets)
        none = np.zeros(len(start), np.int64)
        stretch = np.searchsorted(self.days, utc, side="right") if self.change_days else _small(utc, _USUAL_DAY)
        part = np.searchsorted(self.minutes, start % _DAY // _MINUTE, side="right") if len(self.minutes) else none
        group = none
        if "day" in self.by:
            group = _small(local, _USUAL_DAY)
        elif "month" in self.by:
            group = _small(_months(local), _USUAL_MONTH)
        before = len(self.told)
        found = self.told.numbers([np.full(len(start), self.turn), stretch, part, group])
        if len(self.told) > before:
            new = np.flatnonzero(found >= before)[::-1]
            self.first = np.append(self.first, np.zeros(len(self.told) - before, np.int64))
            self.first[found[new]] = start[new]
        return found

    def learn(self, models: Sequence[tuple[str, str]]) -> None:
        """Days and minutes at which prices of models that are new may change."""
        before = len(self.days), len(self.minutes)
        if self.change_days:
            days = [(d - dt.date(1970, 1, 1)).days for d in self.change_days(*_EVER, models)]
            self.days = np.union1d(self.days, np.array(days, np.int64))
        if self.change_minutes:
            self.minutes = np.union1d(self.minutes, np.array(self.change_minutes(*_EVER, models), np.int64))
        self.turn += before != (len(self.days), len(self.minutes))

    def instants(self) -> pa.Array:
        """An instant of each stretch."""
        return pa.array(self.first).cast(INSTANT_TYPE)


def _months(days: np.ndarray) -> np.ndarray:
    """Months of days since 1970."""
    low, high = int(days.min()), int(days.max())
    months = np.arange(low, high + 1).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.take(months, days - low)


def _small(numbers: np.ndarray, zero: int) -> np.ndarray:
    """Numbers counted from a usual one; those before it are kept, far away."""
    return np.where(numbers < zero, numbers + (1 << 40), numbers - zero)
