"""Rows priced, mapped and added up in one pass with flat memory, by small numbers instead of text.

A row's price depends on its key, its stretch of time and the size of its calls: one cell of few, which the plan that prices
rows prices once, for one unit. Its dimensions are its outcome (`finops_ai.engine.classes`). So all that is left to do per row
is to multiply its quantity by its cell's unit prices and to add that up under the number of its group: to the same last digit,
because nothing is rounded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.classes import Classes, by_class, fields_for, local_days
from finops_ai.engine.coded import Coder, Names, Tuples, batches, changes, give_back, in_dictionary, instants
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, Source, connect, register
from finops_ai.engine.fields import PRICED, TAG, kind_of_column
from finops_ai.engine.plan import COSTS, Plan
from finops_ai.engine.pricing import NEEDED, Book, prices_for, run
from finops_ai.engine.rules import Rules
from finops_ai.engine.times import Calls, Model, Times
from finops_ai.frames.types import QUANTITY_TYPE
from finops_ai.money import UNIT_PRICE
from finops_ai.periods import Window

#: what only single rows tell, so that their sum can't
_OF_ROWS = frozenset({"price_note", *COSTS})
TIMES = ("month", "day")
_UNIT = pa.decimal128(*UNIT_PRICE)
#: rows whose cells are priced together: until then they wait, so twice as many are twice the memory
_TOGETHER = 1 << 20


def can_be_summed(by: Sequence[str], book: Book, rules: Rules) -> bool:
    """Whether rows may be priced and grouped by number: all that is asked of one is text, day or price."""
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
    costs: Sequence[str] = COSTS,
    window: Window | None = None,
    offsets: Sequence[tuple[dt.datetime, int]] = (),
) -> pa.Table:
    """A source's rows priced, mapped and added up.

    Args:
        con: the connection to add up on.
        source: token rows.
        by: what to group by; `can_be_summed` says whether that can be done here. `pricing_currency` is one of them.
        book: price book.
        rules: the mapping.
        costs: which costs to add up.
        window: only rows that start in it.
        offsets: dated offsets of the reporting zone.

    Returns:
        One row per group: the columns of `by`, `quantity` and the costs.
    """
    groups = _Groups(by, book, rules, costs, offsets)
    kinds = [("number", pa.int32()), ("quantity", QUANTITY_TYPE), *((f"unit_{c}", _UNIT) for c in costs)]
    schema = pa.schema(kinds)

    failed: list[Exception] = []

    def numbered() -> Iterator[pa.RecordBatch]:
        kept: list[pa.RecordBatch] = []
        try:
            for rows in batches(source, [*groups.coder.names, *NEEDED]):
                batch = _starting_in(rows, window)
                if len(batch):
                    kept.append(groups.coded(batch))
                if sum(map(len, kept)) >= _TOGETHER:
                    give_back()
                    yield from groups.numbered(kept, schema)
                    kept = []
                    give_back()
            yield from groups.numbered(kept, schema)
        except Exception as error:
            failed.append(error)
            raise

    con.register("numbered", pa.RecordBatchReader.from_batches(schema, numbered()))
    units = "".join(f", sum(CAST(quantity * unit_{c} AS DECIMAL(38,18))) AS {c}" for c in costs)
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE group_sums AS SELECT number, sum(quantity) AS quantity{units} FROM numbered GROUP BY number"
        )
    except duckdb.Error as error:  # what stopped the stream says it better
        raise (failed or [error])[0] from None
    con.unregister("numbered")
    register(con, "group_names", groups.names())
    names = ", ".join(DUCKDB.ident(c) for c in by)
    added = "".join(f", sum({c}) AS {c}" for c in costs)
    sql = (
        f"SELECT {names}, CAST(sum(quantity) AS DECIMAL(38,6)) AS quantity{added} "
        "FROM group_sums JOIN group_names USING (number) GROUP BY ALL"
    )
    return con.sql(sql).to_arrow_table()


class _Groups:
    """Which group each row is in, and what a unit of it costs.

    `coded` takes a batch of rows apart; `numbered` prices the cells that are new in several of them.
    """

    def __init__(
        self, by: Sequence[str], book: Book, rules: Rules, costs: Sequence[str], offsets: Sequence[tuple[dt.datetime, int]]
    ) -> None:  # fmt: skip
        self.by, self.offsets = by, offsets
        self.keys = [c for c in dict.fromkeys(["provider", "model", *book.key_columns]) if c != "meter"]
        self.dimensions = [d for d in rules.dimensions if d in by]
        columns = [c for c in by if c not in self.dimensions and (c.startswith(TAG) or kind_of_column(c))]
        self.more = [c for c in columns if c not in (*self.keys, "meter", *PRICED)]
        decided_by = fields_for(rules, self.dimensions)
        self.coder = Coder(list(dict.fromkeys([*self.keys, "meter", *self.more, *decided_by])))
        #: columns in which the rows of a call may differ
        self.per_row = {"meter"} - set(decided_by)
        self.classes = Classes(rules, self.dimensions, self.coder)
        self.calls, self.times = Calls(book), Times(book, by, offsets)
        self.key, self.call, self.beside = Tuples(len(self.keys)), Tuples(3), Tuples(1 + len(self.more))
        self.groups = Tuples(2)
        told = [c for c in columns if c in (*self.keys, "meter")]
        labels = [c for c in by if c in PRICED and c not in self.dimensions]
        self.cells = _Cells(self, book, costs, told, labels)

    def coded(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch's cells, what else its groups are told by, and quantities.

        The rows of a call mostly follow each other and differ by meter alone: what they share is found once.
        """
        have, tags = set(batch.schema.names), self.coder.tags(batch)
        text = [c for c in self.coder.names if c in have]
        batch = pa.record_batch(
            {c: in_dictionary(batch[c]) if c in text else batch[c] for c in (*text, *NEEDED) if c in have}
        )
        start, calls = instants(batch), self.calls.read(batch)
        shared = [batch[c].indices for c in text if c not in self.per_row]
        indices = [(i.fill_null(-1) if i.null_count else i).to_numpy() for i in shared]
        rows = changes([start, *calls, *indices, *tags.values()])
        if rows is not None:
            start, calls, tags = start[rows], [c[rows] for c in calls], {f: n[rows] for f, n in tags.items()}
        numbers = tags | self.coder.texts(batch, [c for c in self.coder.names if c != "meter"], rows)
        meter = self.coder.texts(batch, ["meter"])["meter"]
        numbers["meter"] = meter if rows is None else meter[rows]
        before = len(self.key)
        key = self.key.numbers([numbers[k] for k in self.keys])
        if len(self.key) > before:
            new = _models(self.coder, np.unique(self.key.rows[before:, :2], axis=0))
            self.times.learn(new)
            self.calls.learn(new)
        call = self.call.numbers([key, self.times.numbers(start), self.calls.numbers(calls)])
        beside = self.beside.numbers([
            self.classes.outcomes(numbers, local_days(start, self.offsets)), *(numbers[c] for c in self.more),
        ])  # fmt: skip
        if rows is not None:
            times = np.diff(np.append(rows, len(batch)))
            call, beside = np.repeat(call, times), np.repeat(beside, times)
        columns = [self.cells.told.numbers([call, meter]), beside]
        arrays = [*(pa.array(c, pa.int32()) for c in columns), batch["quantity"].cast(QUANTITY_TYPE)]
        return pa.record_batch(arrays, names=["cell", "beside", "quantity"])

    def numbered(self, kept: Sequence[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches' group numbers, quantities and unit prices."""
        self.cells.price()
        for batch in kept:
            cell, beside = (batch[c].to_numpy() for c in ("cell", "beside"))
            number = self.groups.numbers([np.take(self.cells.group, cell), beside])
            units = [unit.take(batch["cell"]) for unit in self.cells.units]
            yield pa.record_batch([pa.array(number, pa.int32()), batch["quantity"], *units], schema=schema)

    def names(self) -> pa.Table:
        """What each group's number stands for."""
        cell, beside = self.groups.rows.T
        outcome, *more = self.beside.rows[beside].T
        decided = self.classes.table()
        at_cell, at_outcome = pa.array(cell), pa.array(outcome)
        columns = {name: values.take(at_cell) for name, values in self.cells.columns().items()}
        columns |= {name: decided[name].take(at_outcome) for name in self.dimensions}
        for name, numbers in zip(self.more, more, strict=True):
            columns[name] = self.coder.names[name].values.take(pa.array(numbers))
        return pa.table({"number": pa.array(np.arange(len(cell), dtype=np.int32)), **{c: columns[c] for c in self.by}})


class _Cells:
    """What tells prices apart: key, stretch of time, size of calls and meter; the unit prices of each, and what groups it.

    Attributes:
        told: the cells.
        units: a unit's cost of each cell, per cost; null = no price.
        group: the number of what groups tell of each cell.
    """

    def __init__(
        self, of: _Groups, book: Book, costs: Sequence[str], keys: Sequence[str], labels: Sequence[str]
    ) -> None:
        self.of, self.book, self.costs, self.keys, self.labels = of, book, costs, keys, labels
        self.told = Tuples(2)
        self.units = [pa.array([], _UNIT) for _ in costs]
        self.group = np.zeros(0, np.int32)
        #: what a price depends on: key, meter, and of time and calls what turns a price of the key's own model
        self._prices = Tuples(6)
        self._unit_of = [pa.array([], _UNIT) for _ in costs]
        self._dates = [c for c in of.by if c in TIMES and c not in of.dimensions]
        self._texts = {label: Names() for label in labels}
        #: the numbers of each price's labels
        self._label_of = [np.zeros(0, np.int64) for _ in labels]
        self._groups = Tuples(1 + len(keys) + len(labels))
        #: a cell of each group
        self._example = np.zeros(0, np.int64)
        self._currencies: set[str] = set()

    def price(self) -> None:
        """Price the cells that are new."""
        low = len(self.group)
        if low == len(self.told):
            return
        cells = np.arange(low, len(self.told))
        key, time, call = self._taken_apart(cells)
        before = len(self._prices)
        price = self._prices.numbers([key, self.told.rows[cells, 1], *self._own(key, time, call)])
        if len(self._prices) > before:
            at = _first_of_each(price, before, len(self._prices))
            self._learn(cells[at], key[at], time[at], call[at])
        at_price = pa.array(price)
        self.units = [
            pa.concat_arrays([had, unit.take(at_price)]) for had, unit in zip(self.units, self._unit_of, strict=True)
        ]
        self._tell_apart(cells, key, time, [numbers[price] for numbers in self._label_of])

    def _own(self, key: np.ndarray, time: np.ndarray, call: np.ndarray) -> np.ndarray:
        """What times and calls tell of the prices of each key's model: months, and turns of others, tell nothing."""
        of, out = self.of, np.zeros((4, len(key)), np.int64)
        models, which = np.unique(of.key.rows[:, :2], axis=0, return_inverse=True)
        for number, model in enumerate(_models(of.coder, models)):
            at = np.flatnonzero(which.reshape(-1)[key] == number)
            out[:, at] = [*of.times.own(model, time[at]), *of.calls.own(model, call[at])]
        return out

    def _learn(self, cells: np.ndarray, key: np.ndarray, time: np.ndarray, call: np.ndarray) -> None:
        """Ask for the prices of cells, one cell of each price that is new."""
        of, count, at_time, at_call = self.of, len(cells), pa.array(time), pa.array(call)
        rows = {name: self._text(name, key, cells) for name in (*of.keys, "meter")}
        rows |= {name: values.take(at_call) for name, values in of.calls.columns().items()}
        rows |= {ROW: pa.array(range(count)), "charge_period_start": of.times.instants().take(at_time)}
        rows["quantity"] = pa.array([Decimal(1)], QUANTITY_TYPE).take(pa.array(np.zeros(count, np.int64)))
        with connect() as con:
            scan = Scan(con, pa.table(rows), rows)
            prices = prices_for(con, scan, self.book, examples=True)
            self._currencies |= set(prices.table["currency"].drop_null().to_pylist())
            plan = Plan().scan([*rows], read=scan.column).price(prices, costs=self.costs, labels=self.labels)
            found = run(con, plan.rows([*self.costs, *self.labels], order=ROW)).combine_chunks()
        self._unit_of = [
            pa.concat_arrays([had, _whole(found[c]).cast(_UNIT)])
            for had, c in zip(self._unit_of, self.costs, strict=True)
        ]
        self._label_of = [
            np.concatenate([had, self._texts[label].numbers(_whole(found[label]))])
            for had, label in zip(self._label_of, self.labels, strict=True)
        ]

    def _taken_apart(self, cells: np.ndarray) -> np.ndarray:
        """The numbers of the key, time and calls of cells."""
        out: np.ndarray = self.of.call.rows[self.told.rows[cells, 0]].T
        return out

    def _number(self, name: str, key: np.ndarray, cells: np.ndarray) -> np.ndarray:
        """The numbers of a column's texts in cells, whose keys are given."""
        out: np.ndarray = (
            self.told.rows[cells, 1] if name == "meter" else self.of.key.rows[key, self.of.keys.index(name)]
        )
        return out

    def _text(self, name: str, key: np.ndarray, cells: np.ndarray) -> pa.Array:
        return self.of.coder.names[name].values.take(pa.array(self._number(name, key, cells)))

    def _tell_apart(self, cells: np.ndarray, key: np.ndarray, time: np.ndarray, labels: Sequence[np.ndarray]) -> None:
        """Number what groups tell of new cells."""
        of, low = self.of, len(self.group)
        days = of.times.told.rows[time, -1] if self._dates else np.zeros(len(key), np.int64)
        keys = [self._number(name, key, cells) for name in self.keys]
        before = len(self._groups)
        number = self._groups.numbers([days, *keys, *labels])
        example = _first_of_each(number, before, len(self._groups)) + low
        self._example = np.concatenate([self._example, example])
        self.group = np.concatenate([self.group, number.astype(np.int32)])

    def columns(self) -> dict[str, pa.Array]:
        """What each group of cells is told apart by."""
        key, time, _ = self._taken_apart(self._example)
        out = {name: self.of.times.dates(name).take(pa.array(time)) for name in self._dates}
        out |= {name: self._text(name, key, self._example) for name in self.keys}
        for name, numbers in zip(self.labels, self._groups.rows.T[1 + len(self.keys) :], strict=True):
            out[name] = self._texts[name].values.take(pa.array(numbers)).cast(PRICED[name])
        if "pricing_currency" in out and len(self._currencies) == 1:
            out["pricing_currency"] = pc.fill_null(out["pricing_currency"], *self._currencies)
        return out


def _first_of_each(numbers: np.ndarray, low: int, high: int) -> np.ndarray:
    """Where each of the numbers from `low` to below `high` stands first.

    >>> _first_of_each(np.array([0, 3, 2, 3, 2]), 2, 4)
    array([2, 1])
    """
    out = np.zeros(high - low, np.int64)
    new = np.flatnonzero(numbers >= low)[::-1]
    out[numbers[new] - low] = new
    return out


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _starting_in(batch: pa.RecordBatch, window: Window | None) -> pa.RecordBatch:
    if window is None or not len(batch):
        return batch
    first, last = (
        (m - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) for m in (window.start, window.end)
    )
    start = instants(batch)
    inside = (start >= first) & (start < last)
    return batch if inside.all() else batch.filter(pa.array(inside))


def _models(coder: Coder, pairs: np.ndarray) -> list[Model]:
    """The models that pairs of numbers stand for."""
    providers, models = coder.names["provider"].values, coder.names["model"].values
    return [(providers[int(p)].as_py() or "", models[int(m)].as_py() or "") for p, m in pairs]
