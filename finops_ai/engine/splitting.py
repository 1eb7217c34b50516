"""Divide shared costs between receivers without losing a digit.

Entries run in declared order: each sees what the ones before it distributed (a step-down cascade). They run over kinds of
rows (`finops_ai.engine.kinds`), and what comes of it is one part of 10^18 per kind and receiver, by which the kind's rows
are divided once (`finops_ai.engine.parting`).

Within the cascade a kind with cost c and receivers with parts p1..pn of 10^12 gives the k-th receiver
floor(c' (p1+..+pk) / 10^12) - floor(c' (p1+..+pk-1) / 10^12), with c' the cost in whole units of 10^-18: the
differences telescope, so the parts add up to c exactly. The products are made of c' div and mod 10^12, so that whole
numbers of 128 bits hold them for every cost that fits its column.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.conditions import fields_of, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, Scan, connect, offsets_of, register
from finops_ai.engine.fields import PAYABLE, TAG, columns
from finops_ai.engine.kinds import KIND, PART, ROWS, kinds_of, spread
from finops_ai.engine.plan import COSTS, Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rules
from finops_ai.engine.selecting import matching
from finops_ai.engine.shared import Shared
from finops_ai.engine.weights import WHOLE, Weights, amount, parts, units, weights_of
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.frames.types import TAGS_TYPE

_ORDER, _OWN = "_part", "_own"
_AMOUNTS = (*COSTS, PAYABLE, "billed_cost", "quantity", "share")
#: what the cascade itself divides: the parts, and what weights are made of
_WEIGHED = (PART, "effective_cost", "quantity")
#: so many pieces are no trouble
_FEW = 1000
#: more receivers than any entry has
_MOST = 10**12
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
        The rows; divided ones once per receiver, `rule` naming the entry too, `share` their part of the source row. Who
        receives less than a millionth of a millionth of a millionth of a row has none of it.

    Without telemetry its entries divide nothing, which is logged: the cost stays visible where the rules put it.
    """
    whole = to_arrow(mapped)
    for entry in rules.shared:
        whole = _complete(whole, entry.receiver)
    changing, fields = _changing(rules), _read(rules)
    weighed = [c for c in _AMOUNTS if c in whole.column_names and c in (*_WEIGHED, *fields)]
    rows = whole
    own = any(f in _AMOUNTS for f in fields)  # a condition on an amount is met by each row's own
    if own:
        rows, fields = whole.append_column(_OWN, pa.array(np.arange(whole.num_rows))), [*fields, _OWN]
    keep = [f for f in dict.fromkeys([*fields, "tags", "charge_period_start"]) if f not in weighed]
    daily = (
        any(e.per == "day" for e in rules.shared) or any(r.since or r.until for r in rules.rules) or bool(rules.lookups)
    )
    kinds = kinds_of(rows, [f for f in fields if f not in _AMOUNTS], weighed, timezone=timezone, daily=daily, keep=keep)
    table = kinds.table.append_column(PART, pa.repeat(pa.scalar(Decimal(1), pa.decimal128(38, 18)), len(kinds.table)))
    table = table.append_column("rule", pa.repeat("", len(table)))
    pool = [table.append_column(_ORDER, pa.array(np.zeros(len(table), np.int64)))]
    undivided, merged = pool[0], max(len(table), _FEW)
    for number, entry in enumerate(rules.shared):
        if entry.method == "telemetry" and telemetry is None:
            if matching(to_pandas(pa.concat_tables(pool)), entry.when).any():
                log.warning(
                    "Shared cost %r is not split: no telemetry was given; its cost stays where the rules put it.",
                    entry.name,
                )
            continue
        pool = _split(pool, number, rules, changing, telemetry, timezone)
        if not own and (count := sum(map(len, pool))) > 2 * merged:  # each merging is paid by as many pieces before it
            pool = [_merged(pa.concat_tables(pool), changing)]
            merged = max(len(pool[0]), count // 2)
    if pool[0] is undivided and len(pool) == 1:
        return mapped if whole.num_columns == len(mapped.columns) else to_pandas(whole)
    pieces = _merged(pa.concat_tables(pool), changing).sort_by([(KIND, "ascending"), (_ORDER, "ascending")])
    return to_pandas(spread(whole, kinds, pieces, changing, [c for c in _AMOUNTS if c in whole.column_names]))


def _changing(rules: Rules) -> list[str]:
    """Text columns that dividing may set: the divided dimensions, what telemetry tells, and dimensions that follow."""
    given = dict.fromkeys(c for entry in rules.shared for c in (entry.dimension, *entry.receiver))
    follow = set().union(*(_following(rules, entry) for entry in rules.shared))
    return [*given, *sorted(follow - given.keys())]


def _following(rules: Rules, entry: Shared) -> set[str]:
    """Dimensions that the mapping makes of those an entry sets, such as a team's cost centre."""
    changed = {entry.dimension, *(c for c in entry.receiver if c in rules.defaults)}
    follow: set[str] = set()
    while more := {
        d for r in rules.rules for d in r.set if d not in changed | follow and rules.read_by(r, d) & (changed | follow)
    }:
        follow |= more
    return follow


def _read(rules: Rules) -> list[str]:
    """Columns and tags that dividing reads or sets."""
    changing = _changing(rules)
    follow = set().union(*(_following(rules, entry) for entry in rules.shared))
    fields = {f for e in rules.shared for f in (*fields_of(e.when), *e.match)}
    fields |= {f for r in rules.rules for d in r.set if d in follow for f in rules.read_by(r, d)}
    weighing = [e for e in rules.shared if e.method in ("proportional", "tiered")]
    if weighing:
        fields |= {"pricing_currency"}
    if {m for e in weighing for m in (e.metric, *(t.metric for t in e.tiers))} - {"cost"}:
        fields |= {"meter"}
    if any(e.method == "capacity" for e in rules.shared):
        fields |= {"service_tier", "meter"}
    return sorted({*fields, *changing})


def _split(
    pool: list[pa.Table],
    number: int,
    rules: Rules,
    changing: Sequence[str],
    telemetry: pd.DataFrame | None,
    timezone: str,
) -> list[pa.Table]:
    """Divide one entry's rows: those taken leave their table, their pieces are one table more."""
    entry, earlier = rules.shared[number], rules.shared[:number]
    table = pa.concat_tables(pool)
    table = table.append_column(ROW, pa.array(np.arange(table.num_rows)))
    with connect() as con:
        decimals = [c for c in (*_AMOUNTS, PART) if c in table.column_names]
        _views(con, table, entry, timezone)
        if telemetry is not None and entry.method == "telemetry":
            _telemetry_view(con, telemetry, entry, rules, timezone)
        weights = weights_of(con, entry, rules.defaults[entry.dimension], earlier)
        con.execute(f"CREATE TEMP TABLE chosen AS SELECT {ROW} FROM taken")
        chosen = con.sql(f"SELECT {ROW} FROM chosen ORDER BY 1").to_arrow_table()[ROW]
        taken = _merged(table.take(chosen), changing)
        if taken.num_rows < len(chosen):  # several pieces of one row have come to one receiver: divided once
            con.unregister("rows")
            register(con, "rows", _complete(taken, (*fields_of(entry.when), *entry.match)))
        pieces = _pieces(con, weights, {c: table.schema.field(c).type.scale for c in decimals})
        pieces = pieces.filter(pc.not_equal(pieces[PART], 0)) if pieces.num_rows else pieces
    if (entry.method == "telemetry" or entry.match) and (left := _left(taken, pieces)):
        who, same = "the telemetry saw" if entry.method == "telemetry" else "there is", ", ".join(entry.match) or "kind"
        log.warning("%d rows of shared cost %r are not divided: %s nothing of the same %s in their %s.", left, entry.name, who, same, "month" if entry.method == "telemetry" else entry.per)  # fmt: skip
    if not pieces.num_rows:
        return pool
    positions = pc.index_in(pieces[ROW], value_set=taken[ROW].combine_chunks())
    divided = taken.take(positions)
    for name in decimals:
        divided = _replace(divided, name, pieces[name].cast(table.schema.field(name).type))
    for i, name in enumerate(weights.columns):
        told = pieces[f"to_{i}"].cast(pa.string())
        divided = _replace(divided, name, pc.coalesce(told, divided[name].cast(pa.string())))
    label = pa.scalar(f" + {entry.name}")
    divided = _replace(divided, "rule", pc.binary_join_element_wise(divided["rule"].cast(pa.string()), label, ""))
    order = pc.add(pieces[_ORDER].cast(pa.int64()), (number + 1) * _MOST)
    divided = _remap(_replace(divided, _ORDER, order), rules, entry, earlier, timezone).drop_columns([ROW])
    undivided = taken.filter(pc.invert(pc.is_in(taken[ROW], value_set=pc.unique(pieces[ROW])))).drop_columns([ROW])
    out, first = [], 0
    gone = np.zeros(table.num_rows, bool)
    gone[chosen.to_numpy()] = True
    for one in pool:
        mask = gone[first : first + one.num_rows]
        out.append(one.filter(pa.array(~mask)) if mask.any() else one)
        first += one.num_rows
    return [t for t in [*out, undivided] if t.num_rows] + [divided.cast(pool[0].schema)]


def _left(taken: pa.Table, pieces: pa.Table) -> int:
    """How many rows an entry took and nobody receives."""
    alone = taken.filter(pc.invert(pc.is_in(taken[ROW], value_set=pc.unique(pieces[ROW]))))
    return pc.sum(alone[ROWS]).as_py() or 0


def _merged(table: pa.Table, changing: Sequence[str]) -> pa.Table:
    """Pieces of one source row that are the same receiver's, put together; `rule` names the entries of all of them."""
    keys = [KIND, *(c for c in changing if c in table.column_names)]
    counts = table.select(keys).group_by(keys, use_threads=False).aggregate([([], "count_all")])
    if counts.num_rows == table.num_rows:
        return table
    decimals = [c for c in (*_AMOUNTS, PART) if c in table.column_names]
    rest = [c for c in table.column_names if c not in keys and c not in decimals and c not in ("rule", "tags")]
    numbered = table.append_column("_at", pa.array(np.arange(table.num_rows)))
    sums = [(c, "sum") for c in decimals] + [(c, "first") for c in rest] + [("rule", "list"), ("_at", "first")]
    made = numbered.drop_columns([c for c in ("tags",) if c in table.column_names]).group_by(keys, use_threads=False).aggregate(sums)  # fmt: skip
    names = {f"{c}_sum": c for c in decimals} | {f"{c}_first": c for c in rest}
    arrays = {names.get(c, c): made[c] for c in made.column_names}
    lists = made["rule_list"].combine_chunks()
    rules_ = lists.flatten().take(lists.offsets[:-1]).to_pylist()
    for at in np.flatnonzero(lists.value_lengths().to_numpy() > 1):
        rules_[at] = _joined(lists[at].as_py())
    arrays["rule"] = pa.chunked_array([pa.array(rules_, pa.string())])
    if "tags" in table.column_names:
        arrays["tags"] = table["tags"].take(made["_at_first"])
    return pa.table({c: arrays[c].cast(table.schema.field(c).type) for c in table.column_names})


def _joined(texts: Sequence[str]) -> str:
    """Rules and entries that brought pieces to one receiver, each once.

    >>> _joined(["pool + s0", "pool + s1"])
    'pool + s0 + s1'
    """
    return " + ".join(dict.fromkeys(part for text in texts for part in text.split(" + ")))


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


def _telemetry_view(
    con: duckdb.DuckDBPyConnection, telemetry: pd.DataFrame, entry: Shared, rules: Rules, timezone: str
) -> None:
    """The view `telemetry`; receivers that a look-up tells are those of the row's day."""
    looked_up = {
        f: rules.lookups[f.split(".", 1)[0]] for f in entry.receiver.values() if f.split(".", 1)[0] in rules.lookups
    }
    fields = [f for f in entry.receiver.values() if f not in looked_up] + [k.on for k in looked_up.values()]
    fields += [*entry.match, "charge_period_start", "quantity", "meter", "effective_cost"]
    scan = Scan(con, telemetry, fields, name="telemetry_rows")

    def text(f: str) -> str:
        if f in looked_up:
            return f"{DUCKDB.ident(f'k_{looked_up[f].name}')}.{DUCKDB.ident(f.split('.', 1)[1])}"
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
    joins = ""
    for lookup in {k.name: k for k in looked_up.values()}.values():
        name, day = DUCKDB.ident(f"k_{lookup.name}"), f"CAST({local} AS DATE)"
        register(con, f"k_{lookup.name}", lookup.table())
        on = f"{text(lookup.on)} = {name}._key AND {day} >= {name}.valid_from AND {day} < {name}.valid_to"
        joins += f" LEFT JOIN {name} ON {on}"
    con.execute(f"CREATE TEMP VIEW telemetry AS SELECT {', '.join(picked)} FROM telemetry_rows{joins}")


def _pieces(con: duckdb.DuckDBPyConnection, weights: Weights, scales: Mapping[str, int]) -> pa.Table:
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
        figures = [f"{_part_of(c, scale)} AS {c}" for c, scale in scales.items()]
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


def _part_of(column: str, scale: int) -> str:
    whole = units(f"t.{column}", scale)
    upto = [f"(({whole}) // {WHOLE} * w.{end} + ({whole}) % {WHOLE} * w.{end} // {WHOLE})" for end in ("hi", "lo")]
    return amount(" - ".join(upto), 38, scale)


def _remap(divided: pa.Table, rules: Rules, entry: Shared, earlier: Sequence[Shared], timezone: str) -> pa.Table:
    """Compute again the dimensions that follow from the one that was divided, such as a team's cost centre.

    What an earlier entry gave a row stays: only values that rules set are set again.
    """
    follow = _following(rules, entry)
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
                ended = pc.binary_join_element_wise(divided["rule"].cast(pa.string()), " + ", "")
                given_by = pc.match_substring(ended, f" + {one.name} + ")
                values = pc.if_else(given_by, divided[name], values)
        divided = _replace(divided, name, values)
    return divided


def _replace(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)
