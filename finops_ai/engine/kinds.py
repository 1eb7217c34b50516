"""Rows that no shared-cost entry tells apart are one kind: the cascade is decided on kinds, each row divided once.

A cascade only reads a few columns of a row: those its conditions and matches name, the dimensions it sets, the month or day,
and what weights are made of. So a month of a million rows is a few hundred kinds, whatever the number of entries. What the
cascade finds for a kind, who gets which part of it, then holds for each of its rows.

Where many rows go to the same receivers, the result is laid out receiver by receiver: columns that dividing doesn't change
are the same memory for every receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.fields import TAG
from finops_ai.engine.parting import Bound, divide, words
from finops_ai.periods import zone

KIND, ROWS, PART = "_kind", "_rows", "_units"
#: rows that share their receivers, from which on they are laid out receiver by receiver
_MANY = 100
#: length of the pieces that a column of one value is made of
_PIECE = 1024


@dataclass(frozen=True)
class Kinds:
    """Which kind each row is, and a table with one row per kind.

    Attributes:
        of_row: number of each row's kind.
        table: a row of each kind for all of them, with the sums of the kind's amounts, how many `_rows` it has, and `_kind`.
    """

    of_row: np.ndarray
    table: pa.Table


def kinds_of(
    rows: pa.Table, fields: Sequence[str], sums: Sequence[str], *, timezone: str, daily: bool, keep: Sequence[str]
) -> Kinds:
    """Put rows together that agree in some columns and tags, and in the month or day of the reporting zone.

    Args:
        rows: mapped rows.
        fields: columns and `tags.<key>`; those the rows lack are the same in all.
        sums: decimal columns to add up.
        timezone, daily: the reporting zone, and whether its days are told apart or only its months.
        keep: columns of the result besides the sums.
    """
    codes = _periods(rows["charge_period_start"], timezone, daily)
    for name in dict.fromkeys(fields):
        if name.startswith(TAG) and "tags" in rows.column_names:
            found = pc.map_lookup(rows["tags"], pa.scalar(name[len(TAG) :]), "first")
        elif name in rows.column_names:
            found = rows[name]
        else:
            continue
        codes = _joined_codes(codes, found)
    _, first, of_row = np.unique(codes, return_index=True, return_inverse=True)
    added = pa.table({KIND: of_row, **{c: rows[c] for c in sums}}).group_by(KIND, use_threads=False)
    totals = added.aggregate([*((c, "sum") for c in sums), ([], "count_all")]).sort_by(KIND)
    table = rows.select([c for c in keep if c in rows.column_names]).take(pa.array(first))
    for name in sums:
        table = table.append_column(name, totals[f"{name}_sum"].cast(pa.decimal128(38, rows[name].type.scale)))
    return Kinds(of_row, table.append_column(KIND, totals[KIND]).append_column(ROWS, totals["count_all"]))


def _periods(starts: pa.ChunkedArray, timezone: str, daily: bool) -> np.ndarray:
    local = starts.to_pandas().dt.tz_convert(zone(timezone)).dt.tz_localize(None)
    out: np.ndarray = pd.factorize(local.dt.normalize() if daily else local.dt.year * 12 + local.dt.month)[0]
    return out


def _joined_codes(codes: np.ndarray, values: pa.ChunkedArray) -> np.ndarray:
    """Numbers that tell apart what the numbers so far or the values do."""
    encoded = (
        values.combine_chunks().dictionary_encode() if values.num_chunks != 1 else values.chunk(0).dictionary_encode()
    )
    own = encoded.indices.fill_null(len(encoded.dictionary)).to_numpy().astype(np.int64)
    out: np.ndarray = pd.factorize(codes * (len(encoded.dictionary) + 1) + own)[0]
    return out


def spread(rows: pa.Table, kinds: Kinds, found: pa.Table, told: Sequence[str], amounts: Sequence[str]) -> pa.Table:
    """The rows as their kinds were divided.

    Args:
        rows: all rows, with all columns.
        kinds: which kinds they are.
        found: one row per kind and receiver, kind by kind: `_kind`, its part as `_units`, the columns `told`, and `rule`, which is
            appended to that of the row.
        told: columns that dividing sets.
        amounts: decimal columns to divide.

    Rows keep their order, each followed by its other parts; but where many rows have the same receivers, their parts come
    last, receiver by receiver.
    """
    pieces, rows = _Pieces(found, len(kinds.table), told), _texts(rows)
    many = [list_ for list_ in pieces.lists() if pieces.counts[list_[0]] > 1]
    out, few = [], np.ones(len(kinds.of_row), bool)
    for list_ in many:
        chosen = np.isin(kinds.of_row, list_)
        if np.count_nonzero(chosen) >= _MANY:
            few &= ~chosen
            at = np.flatnonzero(chosen)
            out.append(_by_receiver(rows.take(pa.array(at)), kinds.of_row[at], pieces, np.array(list_), amounts))
    at = np.flatnonzero(few)
    return pa.concat_tables([_by_row(rows, at, kinds.of_row[at], pieces, amounts), *out], promote_options="permissive")


class _Pieces:
    """Who gets which part of a kind: pieces in order, kind by kind."""

    def __init__(self, found: pa.Table, kinds: int, told: Sequence[str]) -> None:
        kind, part = found[KIND].to_numpy(), words(found[PART].combine_chunks())[:, 0]
        self.counts = np.bincount(kind, minlength=kinds)
        self.starts = np.cumsum(self.counts) - self.counts
        until = np.cumsum(part)  # goes round beyond 64 bits, which the difference undoes
        self.until = until - (until - part)[self.starts][kind]
        self.since = self.until - part
        self.values = {name: found[name].cast(pa.large_string()).combine_chunks() for name in (*told, "rule")}

    def lists(self) -> list[list[int]]:
        """Kinds with the same receivers, in order."""
        codes = np.zeros(len(self.until), np.int64)
        for values in self.values.values():
            codes = _joined_codes(codes, pa.chunked_array([values]))
        same: dict[bytes, list[int]] = {}
        for number, (start, count) in enumerate(zip(self.starts, self.counts, strict=True)):
            same.setdefault(codes[start : start + count].tobytes(), []).append(number)
        return list(same.values())


def _by_row(rows: pa.Table, at: np.ndarray, kind: np.ndarray, pieces: _Pieces, amounts: Sequence[str]) -> pa.Table:
    """Some rows, each once per receiver."""
    counts = pieces.counts[kind]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    piece = np.repeat(pieces.starts[kind], counts) + within
    out = rows.take(pa.array(np.repeat(at, counts)))
    if (counts > 1).any():
        bounds = [pieces.since[piece], pieces.until[piece]]
        for name in amounts:
            (part,) = divide(out[name].combine_chunks(), bounds)
            out = _replaced(out, name, part)
    for name, values in pieces.values.items():
        value = values.take(pa.array(piece))
        if name == "rule":
            value = pc.binary_join_element_wise(out["rule"].combine_chunks(), value, pa.scalar("", pa.large_string()))
        out = _replaced(out, name, value)
    return out


def _by_receiver(
    rows: pa.Table, kind: np.ndarray, pieces: _Pieces, kinds: np.ndarray, amounts: Sequence[str]
) -> pa.Table:
    """Rows of kinds with the same receivers, once per receiver; other columns than dividing changes aren't copied."""
    first, count = pieces.starts[kinds[0]], pieces.counts[kinds[0]]
    until = np.stack([pieces.until[pieces.starts[k] : pieces.starts[k] + count] for k in kinds])
    bounds: list[Bound] = [0, *(int(b) for b in until[0])]
    if len(kinds) > 1:
        own = until[np.searchsorted(kinds, kind)]
        bounds = [np.zeros(len(kind), np.uint64), *own.T]
    divided: list[tuple[pa.Array, list[pa.Array]]] = []
    columns_: dict[str, pa.ChunkedArray] = {}
    for name in rows.column_names:
        whole = rows[name].combine_chunks()
        parts = [whole] * count
        if name in amounts:
            parts = next((done for one, done in divided if one.equals(whole)), [])
            if not parts:
                parts = list(divide(whole, bounds))
                divided.append((whole, parts))
        elif name in pieces.values:
            values = pieces.values[name][first : first + count]
            parts = [p for value in values for p in _set(whole, value, append=name == "rule")]
        columns_[name] = pa.chunked_array(parts, whole.type)
    return pa.table(columns_)


def _set(whole: pa.Array, value: pa.Scalar, *, append: bool) -> list[pa.Array]:
    """A column of one text, or of each row's own with the text behind, in pieces that share their memory if they can."""
    if append and len(pc.unique(whole)) > 1:
        return [pc.binary_join_element_wise(whole, value, pa.scalar("", pa.large_string()))]
    text = pa.scalar(whole[0].as_py() + value.as_py(), pa.large_string()) if append else value
    size = min(len(whole), _PIECE)
    piece = pa.repeat(text, size) if text.is_valid else pa.nulls(size, pa.large_string())
    times, rest = divmod(len(whole), size)
    return [piece] * times + ([piece.slice(0, rest)] if rest else [])


def _texts(table: pa.Table) -> pa.Table:
    """Texts as pandas keeps them, so that the frame's columns are these arrays."""
    fields = [f.with_type(pa.large_string()) if pa.types.is_string(f.type) else f for f in table.schema]
    return table.combine_chunks().cast(pa.schema(fields))


def _replaced(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
