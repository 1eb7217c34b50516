"""Tables with a row per kind of token, as tables with a row per call (or bucket) and a column per kind."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.providers.cells import QUANTITY, Cells
from finops_ai.providers.mapping import FileMapping

#: column with the number of a group's first row in the file
ROW = "row of the file"


def widened(table: pa.Table, mapping: FileMapping, place: Cells) -> tuple[pa.Table, FileMapping]:
    """The table and mapping with `kind`, `count` and `kinds` of the usage replaced by a column per meter.

    Rows that agree in all other columns that are mapped (a request's id, or time, model and labels) are one row.

    Raises:
        DataError: a kind the mapping doesn't name, or a count that can't be read; names row and column.
    """
    usage = mapping.usage[0]
    if not usage.kind:
        return table, mapping
    words = pc.utf8_trim_whitespace(pc.fill_null(table[usage.kind].cast(pa.string()), ""))
    known = pc.index_in(words, pa.array(list(usage.kinds)))
    if known.null_count:
        row = pc.index(known.is_null(), True).as_py() + 1
        fix = 'Add it to `kinds` in the mapping file: the meter it is, or "" where it repeats other rows (a total).'
        place.fail(row, usage.kind, words[row - 1], "is a kind of usage that the mapping doesn't name", fix)
    counts = place.quantities(table, usage.count, times=usage.times)
    sums: dict[str, Any] = {}
    for meter in dict.fromkeys(m for m in usage.kinds.values() if m):
        mine = pc.is_in(words, pa.array([word for word, m in usage.kinds.items() if m == meter]))
        sums[meter] = pc.if_else(mine, counts, pa.scalar(None, QUANTITY))
    cost = mapping.columns.get("billed_cost")
    if isinstance(cost, str):
        sums[cost] = place.converted(table[cost], pa.decimal128(38, 12), cost)
    keys = [n for n in mapping.source_columns() if n not in (usage.kind, usage.count, cost)]
    columns = {name: table[name] for name in keys} | {f"{name} ": values for name, values in sums.items()}
    columns[ROW] = pa.array(range(table.num_rows)) if place.rows is None else pa.array(place.rows)
    grouped = pa.table(columns).group_by(keys, use_threads=False)
    made = grouped.aggregate([*((f"{name} ", "sum") for name in sums), (ROW, "min")])
    made = made.rename_columns([n.removesuffix("_sum").removesuffix("_min") for n in made.column_names])
    made = made.rename_columns([n if n != f"{cost} " else str(cost) for n in made.column_names])
    wide = usage.model_copy(
        update={"kind": "", "count": "", "kinds": {}, "times": 1, "meters": {m: f"{m} " for m in sums if m != cost}}
    )
    return made, mapping.model_copy(update={"usage": [wide]})
