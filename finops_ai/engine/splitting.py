"""Divide shared costs between receivers without losing a digit.

A row with cost c and receivers with parts p1..pn of 10^12 gives the k-th receiver
floor(c' (p1+..+pk) / 10^12) - floor(c' (p1+..+pk-1) / 10^12), with c' the cost in whole units of 10^-18: the
differences telescope, so the parts add up to c exactly, and each is within 10^-18 of its exact value. Quantities
(10^-6) and shares (10^-12) are divided in the same way. The products are made of c' div and mod 10^12, so that whole
numbers of 128 bits hold them for every cost that fits its column.

Entries run in declared order: each sees what the ones before it distributed (a step-down cascade).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.conditions import fields_of, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, offsets_of, register
from finops_ai.engine.fields import PAYABLE, TAG, columns
from finops_ai.engine.plan import COSTS, Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rules
from finops_ai.engine.selecting import matching
from finops_ai.engine.shared import Shared
from finops_ai.engine.weights import WHOLE, Weights, amount, parts, units, weights_of
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.frames.types import TAGS_TYPE

_DECIMALS = {**dict.fromkeys((*COSTS, PAYABLE, "billed_cost"), (38, 18)), "quantity": (19, 6), "share": (13, 12)}
_ORDER = "_part"
log = logging.getLogger("finops_ai.engine")


def split_shared(
    mapped: pd.DataFrame, rules: Rules, telemetry: pd.DataFrame | None = None, *, timezone: str = "UTC"
) -> pd.DataFrame:
    """Divide every shared cost of the rules, in order.

    Args:
        mapped: rows with dimensions, `rule` and `share` of 1.
        rules: rules with `shared` entries.
        telemetry: token frame of a gateway or OpenTelemetry log, for method "telemetry".
        timezone: reporting zone, whose months and days weights are taken in.

    Returns:
        The rows; divided ones once per receiver, `rule` naming the entry too, `share` their part of the source row.

    Without telemetry its entries divide nothing, which is logged: the cost stays visible where the rules put it.
    """
    table = to_arrow(mapped).combine_chunks()  # frames put together of many pieces would be slow to filter
    for number, entry in enumerate(rules.shared):
        if entry.method == "telemetry" and telemetry is None:
            if matching(to_pandas(table), entry.when).any():
                log.warning(
                    "Shared cost %r is not split: no telemetry was given; its cost stays where the rules put it.",
                    entry.name,
                )
            continue
        table = _split(_complete(table, entry.receiver), entry, rules, rules.shared[:number], telemetry, timezone)
    return to_pandas(table)


def _split(
    table: pa.Table,
    entry: Shared,
    rules: Rules,
    earlier: Sequence[Shared],
    telemetry: pd.DataFrame | None,
    timezone: str,
) -> pa.Table:
    numbered = table.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    with connect() as con:
        decimals = [c for c in _DECIMALS if c in table.column_names]
        _views(con, numbered, entry, timezone)
        if telemetry is not None and entry.method == "telemetry":
            _telemetry_view(con, telemetry, entry, timezone)
        weights = weights_of(con, entry, rules.defaults[entry.dimension], earlier)
        pieces = _pieces(con, weights, decimals)
    if not pieces.num_rows:
        return table
    divided = numbered.take(pieces[ROW])
    for name in decimals:
        divided = _replace(divided, name, pieces[name].cast(table.schema.field(name).type))
    for i, name in enumerate(weights.columns):
        told = pieces[f"to_{i}"].cast(pa.string())
        divided = _replace(divided, name, pc.coalesce(told, divided[name].cast(pa.string())))
    label = pa.scalar(f" + {entry.name}")
    divided = _replace(divided, "rule", pc.binary_join_element_wise(divided["rule"].cast(pa.string()), label, ""))
    divided = _remap(divided, rules, entry, earlier, timezone)
    kept = numbered.filter(pc.invert(pc.is_in(numbered[ROW], value_set=pc.unique(pieces[ROW]))))
    order = pa.array([0] * kept.num_rows, pa.int64())
    both = pa.concat_tables(
        [kept.append_column(_ORDER, order), divided.append_column(_ORDER, pieces[_ORDER].cast(pa.int64()))]
    )
    return both.sort_by([(ROW, "ascending"), (_ORDER, "ascending")]).drop_columns([ROW, _ORDER])


def _complete(table: pa.Table, fields: Iterable[str]) -> pa.Table:
    """The table with every field's column; those it lacks are null."""
    kinds = columns() | {"tags": TAGS_TYPE}
    for name in dict.fromkeys("tags" if f.startswith(TAG) else f for f in fields):
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows, kinds.get(name, pa.string())))
    return table


def _views(con: duckdb.DuckDBPyConnection, numbered: pa.Table, entry: Shared, timezone: str) -> None:
    """The views `taken` and `others`, with months and days of the reporting zone and tags as columns."""
    fields = (*fields_of(entry.when), *entry.match)
    register(con, "rows", _complete(numbered, (*fields, "effective_cost", "pricing_currency")))
    local = DUCKDB.local_time("charge_period_start", offsets_of(numbered["charge_period_start"], timezone))
    picked = [
        f"{DUCKDB.tag.format(x='tags', v=DUCKDB.literal(f[len(TAG) :]))} AS {DUCKDB.ident(f)}"
        for f in sorted(set(fields))
        if f.startswith(TAG)
    ]
    picked += [f"CAST({local} AS DATE) AS _day", f"{DUCKDB.month.format(x=local)} AS _month"]
    con.execute(f"CREATE TEMP VIEW current AS SELECT *, {', '.join(picked)} FROM rows")
    test = to_sql(entry.when, DUCKDB, DUCKDB.ident)
    con.execute(f"CREATE TEMP VIEW taken AS SELECT * FROM current WHERE coalesce({test}, FALSE)")
    con.execute(f"CREATE TEMP VIEW others AS SELECT * FROM current WHERE NOT coalesce({test}, FALSE)")


def _telemetry_view(con: duckdb.DuckDBPyConnection, telemetry: pd.DataFrame, entry: Shared, timezone: str) -> None:
    fields = [*entry.receiver.values(), *entry.match, "charge_period_start", "quantity", "meter", "effective_cost"]
    scan = Scan(con, telemetry, fields, name="telemetry_rows")

    def text(f: str) -> str:
        return (
            DUCKDB.tag.format(x=scan.column("tags"), v=DUCKDB.literal(f[len(TAG) :]))
            if f.startswith(TAG)
            else scan.column(f)
        )

    offsets = offsets_of(telemetry["charge_period_start"], timezone)
    local = DUCKDB.local_time(scan.column("charge_period_start"), offsets)
    picked = [f"{text(f)} AS r_{i}" for i, f in enumerate(entry.receiver.values())]
    picked += [
        f"{text(f)} AS {DUCKDB.ident(f)}" for f in dict.fromkeys((*entry.match, "quantity", "meter", "effective_cost"))
    ]
    picked += [f"CAST({local} AS DATE) AS _day", f"{DUCKDB.month.format(x=local)} AS _month"]
    con.execute(f"CREATE TEMP VIEW telemetry AS SELECT {', '.join(picked)} FROM telemetry_rows")


def _pieces(con: duckdb.DuckDBPyConnection, weights: Weights, decimals: Sequence[str]) -> pa.Table:
    """One row per divided row and receiver: the row's number, the receiver, the divided figures."""
    con.execute(f"CREATE TEMP TABLE done ({ROW} BIGINT)")
    found: list[pa.Table] = []
    for number, (cell, cells) in enumerate(weights.steps):
        ids = {place: i for i, place in enumerate(cells)}
        rows = []
        for place, receivers in cells.items():
            low = 0
            for order, (receiver, part) in enumerate(parts(receivers).items()):
                rows.append((ids[place], order, low, low + part, *receiver))
                low += part
        if not rows:
            continue
        names = ["cell", _ORDER, "lo", "hi", *(f"to_{i}" for i in range(len(weights.columns)))]
        kinds = [pa.int64()] * 4 + [pa.string()] * len(weights.columns)
        register(
            con,
            f"parts_{number}",
            pa.table({n: pa.array(v, k) for n, k, v in zip(names, kinds, zip(*rows, strict=True), strict=True)}),
        )
        places = {"cell": pa.array(ids.values(), pa.int64())} | {
            f"c_{i}": pa.array([p[i] for p in ids]) for i in range(len(cell))
        }
        register(con, f"cells_{number}", pa.table(places))
        on = " AND ".join(f"t.{DUCKDB.ident(c)} IS NOT DISTINCT FROM c.c_{i}" for i, c in enumerate(cell)) or "TRUE"
        figures = [f"{_part_of(c)} AS {c}" for c in decimals]
        picked = [f"t.{ROW}", f"w.{_ORDER}", *figures, *(f"w.{n}" for n in names[4:])]
        sql = (
            f"SELECT {', '.join(picked)} FROM taken t JOIN cells_{number} c ON {on} JOIN parts_{number} w ON w.cell = c.cell "
            f"WHERE t.{ROW} NOT IN (SELECT {ROW} FROM done) ORDER BY ALL"
        )
        piece = con.sql(sql).to_arrow_table()
        register(con, "piece", piece)
        con.execute(f"INSERT INTO done SELECT DISTINCT {ROW} FROM piece")
        found.append(piece)
    return pa.concat_tables(found) if found else pa.table({ROW: pa.array([], pa.int64())})


def _part_of(column: str) -> str:
    precision, scale = _DECIMALS[column]
    whole = units(f"t.{column}", scale)
    upto = [f"(({whole}) // {WHOLE} * w.{end} + ({whole}) % {WHOLE} * w.{end} // {WHOLE})" for end in ("hi", "lo")]
    return amount(" - ".join(upto), precision, scale)


def _remap(divided: pa.Table, rules: Rules, entry: Shared, earlier: Sequence[Shared], timezone: str) -> pa.Table:
    """Compute again the dimensions that follow from the one that was divided, such as a team's cost centre.

    What an earlier entry gave a row stays: only values that rules set are set again.
    """
    changed = {entry.dimension, *(c for c in entry.receiver if c in rules.defaults)}
    follow: set[str] = set()
    while more := {
        d for r in rules.rules for d in r.set if d not in changed | follow and rules.read_by(r, d) & (changed | follow)
    }:
        follow |= more
    if not follow:
        return divided
    given = [d for d in rules.dimensions if d not in follow]
    fields = [*replace(rules, shared=()).used_fields(), *given, "charge_period_start"]
    with connect() as con:
        scan = Scan(con, divided.drop_columns([ROW]), fields, numbered=True)
        offsets = offsets_of(divided["charge_period_start"], timezone)
        plan = Plan().scan([ROW, *fields], read=scan.column, offsets=offsets).map(rules, sorted(follow), given=given)
        added = run(con, plan.rows(sorted(follow), order=ROW))
    for name in added.column_names:
        values = added[name].cast(pa.string())
        for one in earlier:
            if name in (one.dimension, *one.receiver):
                given_by = pc.match_substring(divided["rule"], f" + {one.name}")
                values = pc.if_else(given_by, divided[name], values)
        divided = _replace(divided, name, values)
    return divided


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
