"""A month's cube: rows added up at the grain tables need, by one GROUP BY that every engine runs.

A cell is a token row over many slices: same columns, same types, so it prices, settles, maps and splits as rows do, to
the last digit of their sum. What makes that exact:

- a cell lies within one day of the reporting zone, one UTC day (prices and contracts turn there) and one part of the day
  between two prices by the hour; slices that reach beyond their UTC day are kept apart by their end;
- calls are told apart by the context tier they fall into, whatever model they were priced as: `slice_input_tokens` is the
  lowest count of input tokens of that tier, `slice_requests` 1 for single calls, 2 for slices of several (or none), null
  where the source counts no calls;
- what single rows say of themselves alone (request id, temperature, output limit) is null, unless a rule reads it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.dialects import DUCKDB, Dialect
from finops_ai.engine.duck import Scan, connect, offsets_of, register
from finops_ai.engine.fields import NATIVE, PAYABLE, PRICED, PUBLISHED, TAG, columns
from finops_ai.engine.plan import COSTS, part_of_day
from finops_ai.engine.rules import Rules
from finops_ai.frames import TokenFrame, schema_of, to_arrow, to_pandas
from finops_ai.frames.origin import made_with, zone_of
from finops_ai.meters import meters
from finops_ai.periods import UTC, zone

#: what a single request says of itself: no table groups by it
OF_ONE_REQUEST = ("request_id", "temperature", "max_output_tokens")
#: what is added up, or stands for the slice as a whole
_NO_KEYS = frozenset({
    "charge_period_start", "charge_period_end", "quantity", "unit", "billed_cost", "slice_input_tokens", "slice_requests",
    "tags", *OF_ONE_REQUEST,
})  # fmt: skip
#: the columns a cube can do without, the finest first: left out in this order where a month has more cells than wanted
FINEST = (
    "session_id", "branch", "user_id", "prompt_id", "tool_name", "repository", "agent_name", "api_key_id", "resource_id",
)  # fmt: skip
#: figures of a row: a rule that tests one has to see the rows themselves
FIGURES = frozenset({
    "quantity", "billed_cost", "charge_period_start", "charge_period_end", "slice_input_tokens", "slice_requests",
    *COSTS, PAYABLE, PUBLISHED, "exchange_rate",
})  # fmt: skip
_SINGLE = 1
_SEVERAL = 2


@dataclass(frozen=True)
class Grain:
    """What a cube tells apart.

    Attributes:
        keys: columns of the token frame, besides days and context tiers.
        tags: keys of `tags` that are kept.
        cuts: input tokens from which on a call is in the next context tier, of any price known; None = counts are
            told apart as they are.
        parts: minutes of the UTC day at which prices change.
        timezone: reporting zone, whose days are told apart.
        left_out: columns that are not told apart, though rows have them.
    """

    keys: tuple[str, ...]
    tags: tuple[str, ...] = ()
    cuts: tuple[int, ...] | None = None
    parts: tuple[int, ...] = ()
    timezone: str = "UTC"
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, *fields: str, timezone: str = "UTC", cuts: Sequence[int] | None = None, parts: Sequence[int] = ()
    ) -> Grain:
        """The grain of everything tables need, and of these columns and `tags.<key>` fields besides."""
        keys = [c for c in schema_of(TokenFrame).names if c not in _NO_KEYS or (c in OF_ONE_REQUEST and c in fields)]
        tags = sorted({f[len(TAG) :] for f in fields if f.startswith(TAG)})
        return cls(tuple(keys), tuple(tags), None if cuts is None else tuple(sorted(set(cuts))), tuple(parts), timezone)

    def without(self, names: Sequence[str]) -> Grain:
        """This grain with some columns left out."""
        gone = [k for k in self.keys if k in names]
        return replace(self, keys=tuple(k for k in self.keys if k not in gone), left_out=(*self.left_out, *gone))

    @property
    def fields(self) -> list[str]:
        """Columns and tags of the source that making it reads."""
        figures = ("charge_period_start", "charge_period_end", "quantity", "billed_cost")
        return [*figures, "slice_input_tokens", "slice_requests", *self.keys, *(TAG + key for key in self.tags)]


def needs_rows(rules: Rules) -> bool:
    """Whether rules test figures of single rows, so that cells can't be mapped in their place."""
    return bool(FIGURES & fields_of_rules(rules))


def fields_of_rules(rules: Rules) -> set[str]:
    """Every column and tag of a row that mapping and splitting it may read."""
    shared = {f for entry in rules.shared for f in (*entry.match, *entry.receiver, *entry.receiver.values())}
    shared = {rules.lookups[f.split(".", 1)[0]].on if f.split(".", 1)[0] in rules.lookups else f for f in shared}
    return {*rules.used_fields(), *(f for f in shared if f not in rules.defaults)}


def cells_sql(
    dialect: Dialect,
    grain: Grain,
    *,
    read: Callable[[str], str],
    table: str,
    offsets: Sequence[tuple[dt.datetime, int]] = (),
    where: str = "",
    keys: Mapping[str, str] | None = None,
    sums: Sequence[str] = (),
) -> str:
    """The statement that makes cells, for one engine.

    Args:
        dialect: DUCKDB, SPARK or BIGQUERY.
        grain: what is told apart.
        read: column name -> SQL of the source.
        table: the source, as SQL.
        offsets: dated offsets of the reporting zone.
        where: a predicate over the source.
        keys: more columns to tell apart, by name, as SQL.
        sums: more columns to add up; rows where one is null are kept apart from those where it isn't.
    """
    d, start, end = dialect, read("charge_period_start"), read("charge_period_end")
    found = {
        "_utc": f"CAST({start} AS DATE)",
        "_local": f"CAST({d.local_time(start, offsets)} AS DATE)",
        "_part": part_of_day(grain.parts, start) if grain.parts else "0",
        "_long": f"CASE WHEN CAST({end} AS DATE) > CAST({start} AS DATE) THEN {end} END",
        "slice_input_tokens": read("slice_input_tokens")
        if grain.cuts is None
        else tier_of(read("slice_input_tokens"), grain.cuts),
        "slice_requests": f"CASE WHEN {read('slice_requests')} = 1 THEN {_SINGLE} WHEN {read('slice_requests')} IS NOT NULL THEN {_SEVERAL} END",
    }
    found |= {name: read(name) for name in grain.keys}
    found |= {f"_tag_{i}": d.tag.format(x=read("tags"), v=d.literal(key)) for i, key in enumerate(grain.tags)}
    found |= keys or {}
    summed = ["quantity", "billed_cost", *sums]
    found |= {f"_no_{name}": f"({read(name)} IS NULL)" for name in summed[1:]}
    inner = [f"{sql} AS {d.ident(name)}" for name, sql in found.items()]
    inner += [f"{end} AS _end", *(f"{read(name)} AS {d.ident('_sum_' + name)}" for name in summed)]
    told = ", ".join(d.ident(name) for name in found)
    added = ", ".join(f"sum({d.ident('_sum_' + name)}) AS {d.ident(name)}" for name in summed)
    return (
        f"SELECT {told}, max(_end) AS _end, {added} FROM (SELECT {', '.join(inner)} FROM {table}"
        f"{' WHERE ' + where if where else ''}) s GROUP BY {told}"
    )


def tier_of(tokens: str, cuts: Sequence[int]) -> str:
    """The lowest count of input tokens in the context tier that a count is in, as SQL; null stays null."""
    whens = " ".join(f"WHEN {tokens} >= {cut} THEN {cut}" for cut in sorted(cuts, reverse=True))
    return f"CASE {whens} WHEN {tokens} IS NOT NULL THEN 0 END"


def size_sql(dialect: Dialect, grain: Grain, *, read: Callable[[str], str], table: str, where: str = "") -> str:
    """The statement that estimates how many cells a grain has, without its finest columns and with one more at a time."""
    fine = [name for name in reversed(FINEST) if name in grain.keys]
    coarse = [read(name) for name in grain.keys if name not in fine]
    coarse += [dialect.tag.format(x=read("tags"), v=dialect.literal(key)) for key in grain.tags]
    coarse += [f"CAST({read('charge_period_start')} AS DATE)"]
    steps = [", ".join([*coarse, *(read(name) for name in fine[:n])]) for n in range(len(fine) + 1)]
    picked = ", ".join(f"approx_count_distinct({dialect.hash.format(v=step)}) AS n_{n}" for n, step in enumerate(steps))
    return f"SELECT {picked} FROM {table}{' WHERE ' + where if where else ''}"


def coarsened(grain: Grain, sizes: Sequence[int], wanted: int, keep: Sequence[str] = ()) -> Grain:
    """The grain without as many of its finest columns as it takes to have at most so many cells.

    Args:
        grain: the grain.
        sizes: what the statement of `size_sql` gives.
        wanted: cells at most.
        keep: columns that stay whatever comes.

    >>> grain = Grain(("model", "user_id", "session_id"))
    >>> coarsened(grain, [10, 500, 90_000], 1000).left_out
    ('session_id',)
    """
    fine = [name for name in reversed(FINEST) if name in grain.keys]
    kept = max((n for n, size in enumerate(sizes) if size <= wanted), default=0)
    return grain.without([name for name in fine[kept:] if name not in keep])


def token_frame(
    cells: pa.Table, grain: Grain, *, keep: Sequence[str] = (), since: dt.datetime | None = None
) -> pd.DataFrame:
    """Cells as an engine gave them, as a token frame in a fixed order.

    Args:
        cells: the answer to `cells_sql`.
        grain: what it was compiled for.
        keep: further columns of the cells.
        since: no cell begins before.
    """
    with connect() as con:
        register(con, "cells", cells)
        table = _assembled(con, cells, grain, keep, since or dt.datetime(1970, 1, 1, tzinfo=UTC))
    return made_with(
        to_pandas(table), pd.DataFrame(), timezone=grain.timezone, left_out=list(grain.left_out), grain="day"
    )


def _assembled(
    con: duckdb.DuckDBPyConnection, cells: pa.Table, grain: Grain, keep: Sequence[str], since: dt.datetime
) -> pa.Table:
    days = pc.unique(cells["_local"]).to_pylist()
    tz = zone(grain.timezone)
    starts = [dt.datetime.combine(day, dt.time(), tz).astimezone(UTC) for day in days]
    register(
        con, "local_days", pa.table({"day": pa.array(days, pa.date32()), "start": pa.array(starts, pa.timestamp("us"))})
    )
    units = [{"meter": name, "unit": meter.unit} for name, meter in meters().items()]
    register(con, "units", pa.Table.from_pylist(units))
    made = {
        "charge_period_start": f"greatest(CAST(c._utc AS TIMESTAMP) + to_minutes(CAST(c._part AS BIGINT)), l.start, {DUCKDB.literal(since)})",
        "charge_period_end": "c._end",
        "quantity": "CAST(c.quantity AS DECIMAL(19,6))",
        "unit": "u.unit",
        "billed_cost": "CASE WHEN NOT c._no_billed_cost THEN CAST(c.billed_cost AS DECIMAL(38,18)) END",
    }
    if grain.tags:
        entries = ", ".join(f"{{'k': {DUCKDB.literal(key)}, 'v': c._tag_{i}}}" for i, key in enumerate(grain.tags))
        some = ", ".join(f"c._tag_{i}" for i in range(len(grain.tags)))
        made["tags"] = (
            f"CASE WHEN coalesce({some}) IS NOT NULL THEN map_from_entries(list_filter([{entries}], lambda x: x.v IS NOT NULL)) END"
        )
    schema = schema_of(TokenFrame)
    kinds = columns()
    for name in keep:
        kind = kinds.get(name, cells.schema.field(name).type)
        schema = schema.append(pa.field(name, kind))
        if pa.types.is_decimal(kind) and f"_no_{name}" in cells.column_names:
            made[name] = f"CASE WHEN NOT c._no_{name} THEN CAST(c.{name} AS DECIMAL({kind.precision},{kind.scale})) END"
    had = set(cells.column_names)
    picked = [
        f"{made.get(f.name) or ('c.' + DUCKDB.ident(f.name) if f.name in had else 'NULL')} AS {DUCKDB.ident(f.name)}"
        for f in schema
    ]
    order = [n for n in (*grain.keys, *keep) if n in had and not pa.types.is_decimal(schema.field(n).type)]
    order = [
        "charge_period_start",
        *(DUCKDB.ident(n) for n in order),
        "charge_period_end",
        "slice_input_tokens",
        "slice_requests",
    ]
    table = con.sql(
        f"SELECT {', '.join(picked)} FROM cells c JOIN local_days l ON c._local = l.day LEFT JOIN units u ON c.meter = u.meter "
        f"ORDER BY {', '.join(order)}, quantity, CAST(tags AS VARCHAR)"
    ).to_arrow_table()
    return table.cast(pa.schema([_cast(f) for f in schema]))


def _cast(field: pa.Field) -> pa.Field:
    return pa.field(field.name, pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field


def cubed(
    frame: pd.DataFrame,
    *,
    timezone: str | None = None,
    cuts: Sequence[int] | None = None,
    parts: Sequence[int] = (),
    tags: Sequence[str] = (),
    dimensions: Sequence[str] = (),
) -> pd.DataFrame:
    """The cells of a frame: token rows, priced rows or allocated rows, whose costs are added up as they are.

    Args:
        frame: the rows.
        timezone: reporting zone; by default the one the frame was made for.
        cuts: see `Grain`.
        parts: see `Grain`.
        tags: keys of `tags` to keep.
        dimensions: the frame's dimensions, each of which is told apart.
    """
    timezone = zone_of(frame, timezone=timezone)
    grain = Grain.of(*(TAG + key for key in tags), timezone=timezone, cuts=cuts, parts=parts)
    extra = [c for c in (*PRICED, PAYABLE, PUBLISHED, *NATIVE, *dimensions, "rule", "share") if c in frame.columns]
    sums = [c for c in (*COSTS, PAYABLE, PUBLISHED) if c in extra]
    table = to_arrow(frame)
    offsets = offsets_of(frame["charge_period_start"], timezone) if len(frame) else []
    with connect() as con:
        scan = Scan(con, table, [*grain.fields, *extra])
        keys = {name: DUCKDB.ident(name) for name in extra if name not in sums}
        cells = con.sql(
            cells_sql(DUCKDB, grain, read=scan.column, table=scan.name, offsets=offsets, keys=keys, sums=sums)
        ).to_arrow_table()
    made = token_frame(cells, grain, keep=extra)
    return made_with(made[[c for c in frame.columns if c in made.columns]], frame, timezone=timezone, grain="day")
