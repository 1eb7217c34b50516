"""Divide shared costs between receivers without losing a digit.

A row with cost c and receivers with parts p1..pn of 10^12 gives the k-th receiver
floor(c' (p1+..+pk) / 10^12) - floor(c' (p1+..+pk-1) / 10^12), with c' the cost in whole units of 10^-18: the
differences telescope, so the parts add up to c exactly, and each is within 10^-18 of its exact value. Quantities
(10^-6) and shares (10^-12) are divided in the same way. The whole numbers are 128 bits wide, which is enough for rows
up to 10^8 of currency; beyond that DuckDB raises instead of wrapping round.

Entries run in declared order: each sees what the ones before it distributed (a step-down cascade).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.conditions import fields_of
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, register
from finops_ai.engine.fields import TAG
from finops_ai.engine.plan import COSTS, Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rules
from finops_ai.engine.shared import Shared
from finops_ai.engine.weights import WHOLE, Weights, amount, parts, predicate, units, weights_of
from finops_ai.frames import to_arrow, to_pandas

_DECIMALS = {**dict.fromkeys((*COSTS, "billed_cost"), (38, 18)), "quantity": (19, 6), "share": (13, 12)}
_ORDER = "_part"
log = logging.getLogger("finops_ai.engine")


def split_shared(mapped: pd.DataFrame, rules: Rules, telemetry: pd.DataFrame | None = None) -> pd.DataFrame:
    """Divide every shared cost of the rules, in order.

    Args:
        mapped: rows with dimensions, `rule` and `share` of 1.
        rules: rules with `shared` entries.
        telemetry: token frame of a gateway or OpenTelemetry log, for method "telemetry".

    Returns:
        The rows; divided ones once per receiver, `rule` naming the entry too, `share` their part of the source row.

    Without telemetry its entries divide nothing, which is logged: the cost stays visible where the rules put it.
    """
    table = to_arrow(mapped)
    for entry in rules.shared:
        if entry.method == "telemetry" and telemetry is None:
            log.warning(
                "Shared cost %r is not split: no telemetry was given; its cost stays where the rules put it.",
                entry.name,
            )
            continue
        table = _split(table, entry, rules, telemetry)
    return to_pandas(table)


def _split(table: pa.Table, entry: Shared, rules: Rules, telemetry: pd.DataFrame | None) -> pa.Table:
    numbered = table.append_column(ROW, pa.array(range(table.num_rows), pa.int64()))
    with connect() as con:
        decimals = [c for c in _DECIMALS if c in table.column_names]
        _views(con, numbered, entry)
        if telemetry is not None and entry.method == "telemetry":
            _telemetry_view(con, telemetry, entry)
        weights = weights_of(con, entry, rules.defaults[entry.dimension])
        pieces = _pieces(con, weights, decimals)
    if not pieces.num_rows:
        return table
    divided = numbered.take(pieces[ROW])
    for name in decimals:
        divided = _replace(divided, name, pieces[name].cast(table.schema.field(name).type))
    for i, name in enumerate(weights.columns):
        divided = _replace(divided, name, pieces[f"to_{i}"].cast(pa.string()))
    label = pa.scalar(f" + {entry.name}")
    divided = _replace(divided, "rule", pc.binary_join_element_wise(divided["rule"].cast(pa.string()), label, ""))
    divided = _remap(divided, rules, entry)
    kept = numbered.filter(pc.invert(pc.is_in(numbered[ROW], value_set=pc.unique(pieces[ROW]))))
    order = pa.array([0] * kept.num_rows, pa.int64())
    both = pa.concat_tables(
        [kept.append_column(_ORDER, order), divided.append_column(_ORDER, pieces[_ORDER].cast(pa.int64()))]
    )
    return both.sort_by([(ROW, "ascending"), (_ORDER, "ascending")]).drop_columns([ROW, _ORDER])


def _views(con: duckdb.DuckDBPyConnection, numbered: pa.Table, entry: Shared) -> None:
    """The views `taken` and `others`, with months and days."""
    aliases = {
        f: f"tag_{i}"
        for i, f in enumerate(sorted(f for f in (*fields_of(entry.when), *entry.match) if f.startswith(TAG)))
    }
    register(con, "rows", numbered)
    start = "charge_period_start"
    tags = "".join(
        f", {DUCKDB.tag.format(x='tags', v=DUCKDB.literal(f[len(TAG) :]))} AS {a}" for f, a in aliases.items()
    )
    con.execute(
        f"CREATE TEMP VIEW current AS SELECT *{tags}, CAST({start} AS DATE) AS _day, {DUCKDB.month.format(x=start)} AS _month FROM rows"
    )
    test = predicate(entry, aliases)
    con.execute(f"CREATE TEMP VIEW taken AS SELECT * FROM current WHERE coalesce({test}, FALSE)")
    con.execute(f"CREATE TEMP VIEW others AS SELECT * FROM current WHERE NOT coalesce({test}, FALSE)")


def _telemetry_view(con: duckdb.DuckDBPyConnection, telemetry: pd.DataFrame, entry: Shared) -> None:
    fields = [*entry.receiver.values(), *entry.match, "charge_period_start", "quantity", "meter", "effective_cost"]
    scan = Scan(con, telemetry, fields, name="telemetry_rows")

    def text(f: str) -> str:
        return (
            DUCKDB.tag.format(x=scan.column("tags"), v=DUCKDB.literal(f[len(TAG) :]))
            if f.startswith(TAG)
            else scan.column(f)
        )

    start = scan.column("charge_period_start")
    picked = [f"{text(f)} AS r_{i}" for i, f in enumerate(entry.receiver.values())]
    picked += [
        f"{text(f)} AS {DUCKDB.ident(f)}" for f in dict.fromkeys((*entry.match, "quantity", "meter", "effective_cost"))
    ]
    picked += [f"CAST({start} AS DATE) AS _day", f"{DUCKDB.month.format(x=start)} AS _month"]
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
    return amount(f"{whole} * w.hi // {WHOLE} - {whole} * w.lo // {WHOLE}", precision, scale)


def _remap(divided: pa.Table, rules: Rules, entry: Shared) -> pa.Table:
    """Compute again the dimensions that follow from the one that was divided, such as a team's cost centre."""
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
        plan = Plan().scan([ROW, *fields], read=scan.column).map(rules, sorted(follow), given=given)
        added = run(con, plan.rows(sorted(follow), order=ROW))
    for name in added.column_names:
        divided = _replace(divided, name, added[name].cast(pa.string()))
    return divided


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
