"""Prices, mapping and aggregation compiled to one SQL statement, the same for every engine.

    u    the scan: columns as they are, tag keys and look-up keys projected to scalar columns, the day in UTC (prices
         change at its turn) and in the reporting zone (look-ups do)
    p    prices joined by key and day (already expanded to model x day, so an equi-join), costs multiplied exactly
    l    look-ups joined by key and validity
    m, d for each level of dimensions: one CASE per group of dimensions that the same rules set, giving the rule's
         number; then a join to what that rule sets
    last the columns asked for, row by row or summed

Small tables (prices, rule outputs, look-ups) travel beside the text, in `Plan.tables`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from finops_ai.engine.conditions import to_sql
from finops_ai.engine.dialects import DUCKDB, Dialect
from finops_ai.engine.fields import TAG
from finops_ai.engine.inserts import Insert
from finops_ai.engine.rules import Rule, Rules

COSTS = ("list_cost", "contracted_cost", "effective_cost")
LABELS = (
    "price_id",
    "price_status",
    "price_note",
    "pricing_currency",
    "model_developer",
    "model_family",
    "model_version",
)
DEFAULT_RULE = "default"
#: what tells which of three moneys a row is (`finops_ai.frames.tokens.MONEY_BASES`): read, they decide what it costs
BASIS = ("money_basis", "billed_cost", "billing_currency")
#: price statuses of rows that are no charge: what an allowance covers, and what list prices would come to
INCLUDED, ESTIMATE = "included", "estimate"
#: whether a row is a charge, as SQL over its price status
CHARGED = f"coalesce(price_status, '') NOT IN ('{INCLUDED}', '{ESTIMATE}')"
#: price status of a charge whose amount the source states
STATED = "stated"
#: what `price_doubt` tells of a row beside its price: 0 nothing
PAST_CHANGE, UNKNOWN_TIER = 1, 2


@dataclass(frozen=True)
class Prices:
    """Expanded unit prices: the table, the key columns to join on, and which day's prices hold on each day.

    `table` has the key columns, `day` and what `PriceBook.expand` returns; `periods` (day, since) says at which `day` of
    the table to look for each UTC day, and is None where the table has every day itself. `parts` are the minutes of the
    day at which prices change, `crossed` tells whether a slice may reach beyond the time its price holds for.
    """

    table: pa.Table
    keys: Sequence[str]
    periods: pa.Table | None = None
    parts: Sequence[int] = ()
    crossed: bool = False

    @property
    def fields(self) -> list[str]:
        """Columns of the source that joining them reads."""
        return [*(k for k in self.keys if k != "minute"), *(["charge_period_end"] if self.crossed else [])]

    @property
    def settles(self) -> bool:
        """Whether contracts are to be settled once these prices are joined."""
        return "volume" in self.table.column_names

    @property
    def tiers(self) -> list[str]:
        """Endings of the context tiers' columns, lowest threshold first; none where no price has one."""
        endings = [n.removeprefix("over_tokens") for n in self.table.column_names if n.startswith("over_tokens")]
        return [e for e in endings if self.table[f"over_tokens{e}"].null_count < self.table.num_rows]


@dataclass
class Plan:
    """One SQL text and the small tables it joins, by name.

    Built step by step: `scan`, then `price` and `map` as needed, then `rows` or `totals` ends it.
    """

    dialect: Dialect = DUCKDB
    steps: list[str] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)
    last: str = ""
    day: str = "_day"
    tags: dict[str, str] = field(default_factory=dict)
    sql: str = ""
    #: whether rows say which money they are, so that each is priced by it
    told: bool = False

    def _step(self, name: str, text: str) -> None:
        self.steps.append(f"{name} AS ({text})")
        self.last = name

    def column(self, name: str) -> str:
        """A field as the steps after the scan know it."""
        return self.dialect.ident(self.tags.get(name, name))

    def scan(
        self,
        fields: Sequence[str],
        *,
        read: Callable[[str], str] | None = None,
        table: str = "usage",
        offsets: Sequence[tuple[dt.datetime, int]] = (),
        projected: Collection[str] = (),
    ) -> Plan:
        """Read columns and `tags.<key>` fields; adds the UTC `_day` where `charge_period_start` is read.

        Args:
            fields: what to read.
            read: column name -> SQL of the source (typed nulls for missing columns, naive UTC); default: quoted names.
            table: the source's name.
            offsets: dated offsets of the reporting zone, whose days look-ups are valid in; none = UTC.
            projected: `tags.<key>` fields that the source has as columns.
        """
        d = self.dialect
        read = read or d.ident
        out = []
        for name in dict.fromkeys(fields):
            if name.startswith(TAG):
                alias = self.tags.setdefault(name, f"_tag_{len(self.tags)}")
                value = read(name) if name in projected else d.tag.format(x=read("tags"), v=d.literal(name[len(TAG) :]))
                out.append(f"{value} AS {d.ident(alias)}")
            else:
                out.append(f"{read(name)} AS {d.ident(name)}")
        if "charge_period_start" in fields:
            start = read("charge_period_start")
            out.append(f"CAST({start} AS DATE) AS _day")
            local = d.local_time(start, offsets)
            if local != start:
                self.day = "_local_day"
                out.append(f"CAST({local} AS DATE) AS {self.day}")
        self.told = set(BASIS) <= set(fields)
        self._step("u", f"SELECT {', '.join(out)} FROM {d.ident(table)}")
        return self

    def price(self, prices: Prices, *, costs: Sequence[str] = COSTS, labels: Sequence[str] = LABELS) -> Plan:
        """Join unit prices and multiply.

        Args:
            prices: expanded unit prices (`finops_ai.engine.pricing.prices_for`).
            costs: which costs to compute.
            labels: which descriptions to carry along: those of the prices, or `price_row` (a column of numbers in the
                table), `price_level` (the context tier, 0 = base) and `price_doubt`, from which they can be looked up.
        """
        d, table = self.dialect, prices.table
        self.tables["prices"] = table
        source, day = "u", "u._day"
        if prices.periods is not None:
            self.tables["price_days"] = prices.periods
            source, day = "u JOIN price_days t ON u._day = t.day", "t.since"
        on = [f"{day} = x.day"]
        for key in prices.keys:
            left = part_of_day(prices.parts) if key == "minute" else f"u.{d.ident(key)}"
            same = "{} = {}"
            if table[key].null_count:
                same = "{} <=> {}" if d.name == "spark" else "{} IS NOT DISTINCT FROM {}"
            on.append(same.format(left, f"x.{d.ident(key)}"))
        larger = {
            e: f"(u.slice_input_tokens > x.over_tokens{e} OR (x.over_inclusive{e} AND u.slice_input_tokens = x.over_tokens{e}))"
            for e in prices.tiers
        }
        unsure = "x.price_note"
        if prices.crossed:
            unsure = f"CASE WHEN u.charge_period_end > x.price_until THEN 'needs_confirmation' ELSE {unsure} END"
        if larger:
            several = f"(coalesce(u.slice_requests, 0) <> 1 AND {next(iter(larger.values()))})"
            unknown = f"x.over_tokens IS NOT NULL AND (u.slice_input_tokens IS NULL OR {several})"
            unsure = f"CASE WHEN {unknown} THEN 'context_tier_unknown' ELSE {unsure} END"

        levels = " ".join(
            f"WHEN u.slice_requests = 1 AND {larger[e]} THEN {n}" for n, e in reversed([*enumerate(larger, 1)])
        )
        unknown_tier = f"WHEN {unknown} THEN {UNKNOWN_TIER} " if larger else ""
        past_change = f"WHEN u.charge_period_end > x.price_until THEN {PAST_CHANGE} " if prices.crossed else ""

        def either(name: str) -> str:
            told = [e for e in reversed(larger) if f"{name}_over{e}" in table.column_names]
            whens = [f"WHEN u.slice_requests = 1 AND {larger[e]} THEN x.{name}_over{e}" for e in told]
            return f"CASE {' '.join(whens)} ELSE x.{name} END" if whens else f"x.{name}"

        unit = {
            "list_cost": "list_unit_price",
            "contracted_cost": "contracted_unit_price",
            "effective_cost": "contracted_unit_price",
        }
        costed = {c: f"CAST(u.quantity * {either(unit[c])} AS {d.cost})" for c in costs}
        if self.told:
            costed = {c: _by_basis(c, sql, d.cost) for c, sql in costed.items()}
        out = [f"{sql} AS {c}" for c, sql in costed.items()]
        text = {
            "price_id": either("price_id"),
            "price_status": f"coalesce({either('price_status')}, 'unpriced')",
            "pricing_currency": "x.currency",
            "price_note": unsure,
            "list_unit_price": either("list_unit_price"),
            "price_level": f"CASE {levels} ELSE 0 END" if levels else "0",
            "price_doubt": f"CASE {unknown_tier}{past_change}ELSE 0 END" if unknown_tier or past_change else "0",
        }
        if self.told:
            text["price_status"] = (
                f"CASE u.money_basis WHEN 'cash' THEN '{STATED}' WHEN 'included' THEN '{INCLUDED}' ELSE "
                f"CASE WHEN u.money_basis = 'list' AND {text['price_status']} <> 'unpriced' THEN '{ESTIMATE}' "
                f"ELSE {text['price_status']} END END"
            )
            text["list_unit_price"] = (
                f"CASE WHEN u.money_basis = 'included' THEN NULL ELSE {text['list_unit_price']} END"
            )
            text["pricing_currency"] = (
                "CASE WHEN u.money_basis IN ('cash', 'included') THEN coalesce(u.billing_currency, x.currency) ELSE x.currency END"
            )
        out += [f"{text.get(name, 'x.' + name)} AS {name}" for name in labels]
        self._step("p", f"SELECT u.*, {', '.join(out)} FROM {source} LEFT JOIN prices x ON {' AND '.join(on)}")
        return self

    def map(
        self, rules: Rules, dimensions: Sequence[str] | None = None, *, rule: bool = False, given: Collection[str] = ()
    ) -> Plan:
        """Add dimensions, in the order they depend on each other.

        Args:
            rules: the mapping.
            dimensions: which dimensions are wanted (others they need are computed too); default all.
            given: dimensions the source already has, which are read instead of computed.
            rule: also add `rule`: the names of the rules that set the wanted dimensions, joined by " + ".
        """
        wanted = rules.needed(rules.dimensions if dimensions is None else dimensions) - set(given)
        levels = rules.levels()
        deciding: list[str] = []
        for number, level in enumerate(levels):
            dims = [name for name in level if name in wanted]
            if dims:
                self._lookups(rules, dims)
                deciding += self._level(rules, number, dims, rule)
        if rule:
            self._rule_names(deciding)
        return self

    def _lookups(self, rules: Rules, dims: Sequence[str]) -> None:
        """Join the look-up values that these dimensions read and that aren't joined yet."""
        d = self.dialect
        read = set().union(*(rules.read_by(r, name) for r in rules.rules for name in r.set if name in dims))
        pairs = sorted(f.split(".", 1) for f in read if f.split(".", 1)[0] in rules.lookups and f not in self.tags)
        for name in dict.fromkeys(name for name, _ in pairs):
            lookup, source, table = rules.lookups[name], self.last, f"lookup_{name}"
            self.tables[table] = lookup.table()
            picked = []
            for value in [v for n, v in pairs if n == name]:
                alias = self.tags[f"{name}.{value}"] = f"_look_{len(self.tags)}"
                picked.append(f"k.{d.ident(value)} AS {alias}")
            on = f"{source}.{self.column(lookup.on)} = k._key AND {source}.{self.day} >= k.valid_from AND {source}.{self.day} < k.valid_to"
            self._step(
                f"l_{len(self.steps)}",
                f"SELECT {source}.*, {', '.join(picked)} FROM {source} LEFT JOIN {table} k ON {on}",
            )

    def _level(self, rules: Rules, number: int, dims: list[str], rule: bool) -> list[str]:
        """One CASE per group of dimensions that the same rules decide, then a join to their values."""
        d, source = self.dialect, self.last
        groups: dict[tuple[Any, ...], list[str]] = {}
        for name in dims:
            deciding = tuple((i, r.set[name].inserts) for i, r in enumerate(rules.rules) if name in r.set)
            groups.setdefault(deciding, []).append(name)
        cases, joins, picked, names = [], [], [], []
        for index, (deciding, members) in enumerate(groups.items()):
            rid, out = f"_rid_{number}_{index}", f"set_{number}_{index}"
            whens = []
            for i, inherited in deciding:
                test = to_sql(rules.rules[i].when, d, self.column) + self.valid(rules.rules[i], source)
                present = "".join(f" AND {insert.sql(d, self.column)} <> ''" for insert in inherited)
                whens.append(f"WHEN {test}{present} THEN {i}")
            none = len(rules.rules)
            cases.append(f"CASE {' '.join(whens)} ELSE {none} END AS {rid}" if whens else f"{none} AS {rid}")
            self.tables[out] = _outputs(rules, [i for i, _ in deciding], members)
            joins.append(f"JOIN {out} ON m_{number}.{rid} = {out}._rid")
            for name in members:
                made = [(i, rules.rules[i].set[name]) for i, inherited in deciding if rules.rules[i].set[name].fields]
                value = f"{out}.{d.ident(name)}"
                if made:
                    texts = " ".join(
                        f"WHEN {i} THEN concat({', '.join(p.sql(d, self.column) if isinstance(p, Insert) else d.literal(p) for p in v.pieces)})"
                        for i, v in made
                    )
                    value = f"CASE {rid} {texts} ELSE {value} END"
                picked.append(f"{value} AS {d.ident(name)}")
            if rule:
                picked.append(f"{out}._name AS _name_{number}_{index}")
                names.append(f"_name_{number}_{index}")
        self._step(f"m_{number}", f"SELECT {source}.*, {', '.join(cases)} FROM {source}")
        self._step(f"d_{number}", f"SELECT m_{number}.*, {', '.join(picked)} FROM m_{number} {' '.join(joins)}")
        return names

    def valid(self, rule: Rule, source: str) -> str:
        """What a rule's condition is followed by: the days it holds on, as SQL; "" where it always does."""
        day = f"{source}.{self.day}"
        since = f" AND {day} >= DATE '{rule.since}'" if rule.since else ""
        return since + (f" AND {day} < DATE '{rule.until}'" if rule.until else "")

    def _rule_names(self, names: list[str]) -> None:
        """Join the deciding rules' names, each once and without the default unless nothing else decided."""
        default = self.dialect.literal(DEFAULT_RULE)
        if not names:
            text = default
        elif len(names) == 1:
            text = names[0]
        else:
            parts = []
            for i, name in enumerate(names):
                seen = "".join(f" AND {name} <> {other}" for other in names[:i])
                parts.append(f"CASE WHEN {name} <> {default}{seen} THEN {name} END")
            text = f"coalesce(nullif(concat_ws(' + ', {', '.join(parts)}), ''), {default})"
            if self.dialect.name == "bigquery":
                text = f"coalesce(nullif(array_to_string([{', '.join(parts)}], ' + '), ''), {default})"
        source = self.last
        self._step("r", f"SELECT {source}.*, {text} AS rule FROM {source}")

    def rows(self, columns: Sequence[str], *, order: str = "") -> Plan:
        """End with one row per source row."""
        picked = ", ".join(f"{self.column(c)} AS {self.dialect.ident(c)}" for c in columns)
        tail = f" ORDER BY {order}" if order else ""
        self.sql = f"WITH {', '.join(self.steps)} SELECT {picked} FROM {self.last}{tail}"
        return self

    def totals(
        self, by: Sequence[str], sums: Sequence[str], *, computed: Mapping[str, str] | None = None, where: str = ""
    ) -> Plan:
        """End with sums per group.

        Args:
            by: columns, dimensions or `tags.<key>` fields to group by.
            sums: columns to add up.
            computed: group columns that are SQL of their own, such as the month in a reporting zone.
            where: a predicate on source rows.
        """
        d, computed = self.dialect, computed or {}
        keys = [f"{computed.get(c, self.column(c))} AS {d.ident(c)}" for c in by]
        added = [f"sum({d.ident(c)}) AS {d.ident(c)}" for c in sums]
        tail = f" WHERE {where}" if where else ""
        groups = f" GROUP BY {', '.join(str(i + 1) for i in range(len(keys)))}" if keys else ""
        self.sql = f"WITH {', '.join(self.steps)} SELECT {', '.join(keys + added)} FROM {self.last}{tail}{groups}"
        return self


def part_of_day(parts: Sequence[int], start: str = "u.charge_period_start") -> str:
    """The minute at which the part of the UTC day begins that an instant is in, as SQL."""
    minute = f"(extract(HOUR FROM {start}) * 60 + extract(MINUTE FROM {start}))"
    whens = " ".join(f"WHEN {minute} >= {part} THEN {part}" for part in sorted(parts, reverse=True))
    return f"CASE {whens} ELSE 0 END"


def _outputs(rules: Rules, numbers: Sequence[int], dims: Sequence[str]) -> pa.Table:
    """What each deciding rule sets; the last row is the default. Values that inherit are made in the SQL."""
    none = len(rules.rules)
    columns: dict[str, pa.Array] = {"_rid": pa.array([*numbers, none], pa.int32())}
    for name in dims:
        values = [None if rules.rules[i].set[name].fields else rules.rules[i].set[name].text for i in numbers]
        columns[name] = pa.array([*values, rules.defaults[name]], pa.string())
    columns["_name"] = pa.array([*(rules.rules[i].name for i in numbers), DEFAULT_RULE], pa.string())
    return pa.table(columns)


def _by_basis(cost: str, priced: str, kind: str) -> str:
    """A cost of a row as its money basis says, as SQL: three moneys that never add up in one column of what was spent.

    A charge costs what its source states, once per slice; what an allowance covers and what list prices would come to
    cost nothing that is known here. What they are worth is their list cost: the source's own value, or the book's.
    """
    stated = f"CAST(coalesce(u.billed_cost, 0) AS {kind})"
    if cost == "list_cost":
        other = "u.billing_currency IS NOT NULL AND u.billing_currency <> x.currency"
        return (
            f"CASE u.money_basis WHEN 'included' THEN {stated} WHEN 'cash' THEN CASE WHEN {other} THEN NULL ELSE {priced} END "
            f"ELSE {priced} END"
        )
    return f"CASE u.money_basis WHEN 'cash' THEN {stated} WHEN 'included' THEN NULL WHEN 'list' THEN NULL ELSE {priced} END"
