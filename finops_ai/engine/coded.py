"""Rows as small numbers: text columns and tags numbered by what they hold, a batch at a time.

Parquet keeps text as a dictionary and numbers, and so does Arrow if it is asked to; what is done once per distinct value
then costs nothing per row. Number 0 is null everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from finops_ai.engine.duck import Source, columns_of, files_of
from finops_ai.engine.fields import TAG
from finops_ai.frames.types import TAGS_TYPE

#: rows numbered at a time
BATCH = 131_072
#: tuples of so many bits are found in a table
_DENSE = 19
#: memory for what is read: the usual pool asks for new pages with every batch, which costs more than reading
_POOL = pa.system_memory_pool()
_KEYS, _VALUES = "tags.key_value.key", "tags.key_value.value"


def batches(source: Source, fields: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns of a source that it has, a batch at a time; text may come as dictionaries.

    Args:
        source: frame, Arrow table or data set, or Parquet.
        fields: columns or `tags.<key>`.
    """
    wanted = list(dict.fromkeys("tags" if f.startswith(TAG) else f for f in fields))
    if isinstance(source, pd.DataFrame | pa.Table):
        yield from columns_of(source, wanted).to_batches(max_chunksize=BATCH)
    elif isinstance(source, ds.Dataset):
        if isinstance(source, ds.FileSystemDataset) and isinstance(source.format, ds.ParquetFileFormat):
            for file in source.files:
                yield from _of_file(file, wanted, source.filesystem)
        else:
            yield from source.to_batches(columns=[c for c in wanted if c in source.schema.names], batch_size=BATCH)
    else:
        for file in files_of(source):
            if "://" in file:  # what only DuckDB may be able to reach
                with duckdb.connect() as con:
                    found = con.read_parquet(file)
                    yield from found.select(*(c for c in wanted if c in found.columns)).to_arrow_reader(BATCH)
            else:
                yield from _of_file(file, wanted)


def _is_local(filesystem: pafs.FileSystem) -> bool:
    """Whether files are on this machine."""
    while isinstance(filesystem, pafs.SubTreeFileSystem):
        filesystem = filesystem.base_fs
    return isinstance(filesystem, pafs.LocalFileSystem)


def _of_file(file: str, wanted: Sequence[str], filesystem: pafs.FileSystem | None = None) -> Iterator[pa.RecordBatch]:
    plain = ds.dataset([file], format="parquet", filesystem=filesystem).schema
    names = [c for c in wanted if c in plain.names]
    text = {c for c in names if pa.types.is_string(plain.field(c).type)}
    tags = {_KEYS, _VALUES} if "tags" in names and pa.types.is_map(plain.field("tags").type) else set()
    for encoded in (text | tags, text):
        # what is read ahead is kept until the file's end, and threads wait for each other: that pays over a network only
        afar = filesystem is not None and not _is_local(filesystem)
        options = ds.ParquetFragmentScanOptions(pre_buffer=afar)
        kind = ds.ParquetFileFormat(dictionary_columns=encoded, default_fragment_scan_options=options)
        found = ds.dataset([file], format=kind, filesystem=filesystem)
        given = 0
        try:
            # one row group at a time: a scanner reads far ahead of whoever takes its batches
            for part in (g for fragment in found.get_fragments() for g in fragment.split_by_row_group()):
                for batch in part.to_batches(
                    schema=found.schema, columns=names, batch_size=BATCH, batch_readahead=int(afar), use_threads=afar, memory_pool=_POOL
                ):  # fmt: skip
                    yield batch
                    given += 1
            return
        except pa.ArrowNotImplementedError:  # a map whose dictionary was given up within a row group
            if given or encoded == text:
                raise


def give_back() -> None:
    """Give the system the memory that batches left behind: in between reading others it stays in pieces."""
    _POOL.release_unused()
    pa.default_memory_pool().release_unused()


def in_dictionary(array: pa.Array) -> pa.Array:
    """A column of text as dictionary and numbers."""
    if pa.types.is_dictionary(array.type):
        return array
    return (array if pa.types.is_string(array.type) else array.cast(pa.string())).dictionary_encode()


def changes(columns: Sequence[np.ndarray]) -> np.ndarray | None:
    """The rows in which any column differs from the row before; None if they are more than half of all.

    >>> changes([np.array([7, 7, 7, 8, 8, 8]), np.array([1, 1, 1, 1, 1, 2])])
    array([0, 3, 5])
    """
    count = len(columns[0])
    changed = np.zeros(count, bool)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(changed) if 2 * np.count_nonzero(changed) <= count else None


class Names:
    """A growing list of texts, each with its number; number 0 is null."""

    def __init__(self) -> None:
        self.values = pa.array([None], pa.string())

    def numbers(self, array: pa.Array, rows: np.ndarray | None = None) -> np.ndarray:
        """The number of each text, or of those in some rows; new ones are added."""
        array = in_dictionary(array)
        texts = array.dictionary
        texts = texts if pa.types.is_string(texts.type) else texts.cast(pa.string())
        found = pc.index_in(texts, value_set=self.values)
        if found.null_count:
            new = texts.filter(pc.is_null(found)).unique()
            self.values = pa.concat_arrays([self.values, new])
            found = pc.index_in(texts, value_set=self.values)
        if array.indices.null_count:
            at = found.take(array.indices if rows is None else array.indices.take(pa.array(rows)))
            return at.fill_null(0).to_numpy()  # type: ignore[no-any-return]
        table = (found.fill_null(0) if found.null_count else found).to_numpy()
        indices = array.indices.to_numpy()
        return np.take(table, indices if rows is None else np.take(indices, rows))


class Tuples:
    """A growing list of tuples of numbers, each with its own number from 0 on."""

    def __init__(self, width: int) -> None:
        self.rows = np.zeros((0, width), np.int64)
        self._bits = [0] * width
        self._codes = pa.array([], pa.int64())
        #: number by code, where codes are short
        self._dense: np.ndarray | None = None
        self._halves: tuple[Tuples, Tuples] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def numbers(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """The number of each row of columns, new ones added."""
        codes = self._coded(columns)
        found = self._found(codes)
        if found is None:
            new = pc.unique(pa.array(codes))
            new = new.filter(pc.invert(pc.is_in(new, value_set=self._codes)))
            self.rows = np.concatenate([self.rows, self._taken_apart(new.to_numpy())])
            self._codes = pa.concat_arrays([self._codes, new])
            if self._dense is not None:
                self._dense[new.to_numpy()] = np.arange(len(self.rows) - len(new), len(self.rows))
            found = self._found(codes)
            assert found is not None
        return found

    def _found(self, codes: np.ndarray) -> np.ndarray | None:
        """Number of each code; None where one is new."""
        if self._dense is not None:
            dense = np.take(self._dense, codes)
            return None if dense.min(initial=0) < 0 else dense
        found = pc.index_in(pa.array(codes), value_set=self._codes)
        return None if found.null_count else found.to_numpy()

    def _coded(self, columns: Sequence[np.ndarray]) -> np.ndarray:
        """One number per row, in which every column has its bits."""
        if self._halves is None:
            needed = [max(int(c.max(initial=0)).bit_length(), b) for c, b in zip(columns, self._bits, strict=True)]
            if needed != self._bits or (self._dense is None and not len(self)):
                self._widen(needed)
        if self._halves is not None:
            half = self._halves[0].rows.shape[1]
            one, two = self._halves[0].numbers(columns[:half]), self._halves[1].numbers(columns[half:])
            both: np.ndarray = (one.astype(np.int64) << 32) | two
            return both
        code = columns[0].astype(np.int64)
        for column, bits in zip(columns[1:], self._bits[1:], strict=True):
            if bits:
                code <<= bits
                code |= column
        return code

    def _widen(self, needed: list[int]) -> None:
        self._dense = None
        if sum(needed) <= 62:
            self._bits = needed
        else:
            half = len(needed) // 2
            self._halves = Tuples(half), Tuples(len(needed) - half)
        if len(self):
            self._codes = pa.array(self._coded(list(self.rows.T)))
        if self._halves is None and sum(needed) <= _DENSE:
            self._dense = np.full(1 << sum(needed), -1, np.int32)
            self._dense[self._codes.to_numpy()] = np.arange(len(self))

    def _taken_apart(self, codes: np.ndarray) -> np.ndarray:
        if self._halves is not None:
            one, two = self._halves
            return np.concatenate([one.rows[codes >> 32], two.rows[codes & 0xFFFFFFFF]], axis=1)
        out = []
        for bits in reversed(self._bits):
            out.append(codes & ((1 << bits) - 1))
            codes = codes >> bits
        return np.stack(out[::-1], axis=1)


class Coder:
    """Batches as numbers, by field: the same text has the same number throughout."""

    def __init__(self, fields: Sequence[str]) -> None:
        self.names = {field: Names() for field in fields}

    def numbers(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Each field's number per row; a column the batch lacks is null."""
        return self.texts(batch, self.names) | self.tags(batch)

    def texts(
        self, batch: pa.RecordBatch, fields: Iterable[str], rows: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The numbers of columns per row, or in some rows."""
        none, have = np.zeros(len(batch) if rows is None else len(rows), np.int32), set(batch.schema.names)
        columns = [f for f in fields if not f.startswith(TAG)]
        return {f: self.names[f].numbers(batch[f], rows) if f in have else none for f in columns}

    def tags(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """The numbers of `tags.<key>` per row."""
        fields = [f for f in self.names if f.startswith(TAG)]
        if fields and "tags" in batch.schema.names:
            return self._of_tags(batch["tags"], fields)
        return dict.fromkeys(fields, np.zeros(len(batch), np.int32))

    def _of_tags(self, tags: pa.Array, fields: Sequence[str]) -> dict[str, np.ndarray]:
        tags = tags if pa.types.is_map(tags.type) else tags.cast(TAGS_TYPE)
        ends = tags.offsets.to_numpy()
        low, high = int(ends[0]), int(ends[-1])
        keys, values = tags.keys.slice(low, high - low), tags.items.slice(low, high - low)
        keys = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
        values = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        owner = np.repeat(np.arange(len(tags), dtype=np.int32), np.diff(ends))
        at, texts = keys.indices.to_numpy(), keys.dictionary
        out = {}
        for field in fields:
            here = np.flatnonzero(pc.equal(texts, field[len(TAG) :]).to_numpy(zero_copy_only=False)[at])
            found = np.zeros(len(tags), np.int32)
            # of a key that is there twice the first counts
            found[owner[here[::-1]]] = self.names[field].numbers(values.take(pa.array(here)))[::-1]
            if tags.null_count:
                found[tags.is_null().to_numpy(zero_copy_only=False)] = 0
            out[field] = found
        return out


def instants(batch: pa.RecordBatch, name: str = "charge_period_start") -> np.ndarray:
    """UTC instants in microseconds."""
    array = batch[name]
    out: np.ndarray = array.cast(pa.timestamp("us", array.type.tz)).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return out
