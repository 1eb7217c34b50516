"""Mapping rules decided once per class of values instead of once per row.

A rule tests columns one by one. So the values of a column fall into classes that no test tells apart: a thousand users are
a few classes if rules only ask for a prefix. Rows then differ by their classes alone, and the plan that decides rows decides
each combination of classes once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.coded import Coder, Names, Tuples
from finops_ai.engine.conditions import All, Condition, Not, Test, to_sql
from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import ROW, connect, register
from finops_ai.engine.fields import TAG, kind_of_column
from finops_ai.engine.lookups import FIRST, LAST
from finops_ai.engine.plan import Plan
from finops_ai.engine.pricing import run
from finops_ai.engine.rules import Rule, Rules

_START = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
#: the rule's names beside the dimensions
RULE = "rule"


def by_class(rules: Rules, dimensions: Collection[str]) -> bool:
    """Whether rules can be decided per class: all they read for these dimensions, and what it is joined to, is text."""
    return all(f.startswith(TAG) or kind_of_column(f) == "text" for f in fields_for(rules, dimensions))


def fields_for(rules: Rules, dimensions: Collection[str]) -> list[str]:
    """Columns and tags that deciding these dimensions reads."""
    wanted = rules.needed(dimensions)
    read = {f for r in rules.rules for n in r.set if n in wanted for f in rules.read_by(r, n)}
    return sorted(f for f in read if f not in rules.defaults and f.split(".", 1)[0] not in rules.lookups)


class _Field:
    """The classes of one column's values.

    Attributes:
        of: class of each value, by the value's number.
        example: number of a value of each class.
        answers: what each class answers to every test, a row per class.
    """

    def __init__(self, name: str, tests: Sequence[Test], apart: bool) -> None:
        self.name, self.apart = name, apart
        self.tests = {test: i for i, test in enumerate(tests)}
        self.of = np.zeros(0, np.int32)
        self.example: list[int] = []
        self.answers = np.zeros((0, len(tests)), bool)
        self._known: dict[bytes, int] = {}

    def learn(self, names: Names) -> None:
        """Give the values that are new since the last time their classes."""
        low, high = len(self.of), len(names.values)
        if low == high:
            return
        answers, found, new = self._answers(names.values.slice(low)), np.empty(high - low, np.int32), []
        for i, answer in enumerate(np.packbits(answers, axis=1)):
            key = str(low + i).encode() if self.apart else answer.tobytes()
            found[i] = self._known.setdefault(key, len(self.example))
            if found[i] == len(self.example):
                self.example.append(low + i)
                new.append(i)
        self.answers = np.concatenate([self.answers, answers[new]])
        self.of = np.concatenate([self.of, found])

    def _answers(self, values: pa.Array) -> np.ndarray:
        out = np.zeros((len(values), len(self.tests)), bool)
        dear = []
        for test, i in self.tests.items():
            if test.op in _CHEAP:
                out[:, i] = _CHEAP[test.op](values, test.value).fill_null(False).to_numpy(zero_copy_only=False)
            else:
                dear.append((test, i))
        if dear:
            with connect() as con:
                register(con, "found_values", pa.table({ROW: pa.array(range(len(values))), "v": values}))
                asked = ", ".join(f"coalesce({to_sql(test, DUCKDB, lambda _: 'v')}, FALSE) AS t{i}" for test, i in dear)
                table = con.sql(f"SELECT {asked} FROM found_values ORDER BY {ROW}").to_arrow_table()
            for (_, i), column in zip(dear, table.columns, strict=True):
                out[:, i] = column.to_numpy()
        return out


#: tests that need no engine
_CHEAP: dict[str, Callable[[pa.Array, Any], pa.Array]] = {
    "equals": lambda values, wanted: pc.equal(values, pa.scalar(wanted, pa.string())),
    "in": lambda values, wanted: pc.is_in(values, value_set=pa.array(wanted, pa.string())),
    "prefix": lambda values, wanted: pc.starts_with(values, wanted),
    "exists": lambda values, wanted: pc.is_valid(values) if wanted else pc.is_null(values),
}


class Classes:
    """Decides batches of rows: which outcome each has, and what the outcomes are.

    Args:
        rules: the mapping, which `by_class` accepts.
        dimensions: which dimensions are wanted.
        coder: numbers the fields of `fields_for`.
    """

    def __init__(self, rules: Rules, dimensions: Sequence[str], coder: Coder) -> None:
        self.rules, self.dimensions, self.coder = rules, list(dimensions), coder
        wanted = rules.needed(dimensions)
        deciding = {i: [n for n in r.set if n in wanted] for i, r in enumerate(rules.rules)}
        self._deciding = {i: names for i, names in deciding.items() if names}
        tests = dict.fromkeys(t for i in self._deciding for t in _tests(rules.rules[i].when))
        inserts = {f for i, names in self._deciding.items() for n in names for f in rules.rules[i].set[n].fields}
        apart = inserts | {lookup.on for lookup in rules.lookups.values()}
        self.fields = [
            _Field(name, [t for t in tests if t.field == name], name in apart) for name in fields_for(rules, dimensions)
        ]
        self._place = {field.name: i for i, field in enumerate(self.fields)}
        #: whether the rules that apply first are all there is to know of a row
        self._plain = not inserts and all(t.field in self._place for t in tests)
        days = {d for i in self._deciding for d in (rules.rules[i].since, rules.rules[i].until) if d}
        if any(f.split(".", 1)[0] in rules.lookups for f in (*inserts, *(t.field for t in tests))):
            valid = set().union(*(lookup.days() for lookup in rules.lookups.values()))
            days |= valid - {FIRST, LAST}
        self._days = sorted(days)
        self._turns = np.array([(d - _START.date()).days for d in self._days], np.int64)
        self._combos = Tuples(len(self.fields) + 1)
        self._outcome = np.zeros(0, np.int32)
        self._outcomes = Tuples(max(1, len(self._groups())))
        #: a combination of each outcome
        self._example = np.zeros(0, np.int64)

    def _groups(self) -> list[tuple[int, ...]]:
        """The rules that set each of the dimensions, each set of rules once."""
        names = dict.fromkeys(n for names in self._deciding.values() for n in names)
        return list(dict.fromkeys(tuple(i for i, set_by in self._deciding.items() if n in set_by) for n in names))

    def outcomes(self, numbers: Mapping[str, np.ndarray], days: np.ndarray) -> np.ndarray:
        """The number of the outcome of each row, a row of `table`.

        Args:
            numbers: what the coder gave for a batch.
            days: the reporting zone's day of each row, counted from 1970.
        """
        columns = []
        for field in self.fields:
            field.learn(self.coder.names[field.name])
            columns.append(np.take(field.of, numbers[field.name]))
        combos = self._combos.numbers([*columns, np.searchsorted(self._turns, days, side="right")])
        if not self._plain:
            return combos
        if len(self._outcome) < len(self._combos):
            self._tell_apart(self._combos.rows[len(self._outcome) :])
        return np.take(self._outcome, combos)

    def _tell_apart(self, combos: np.ndarray) -> None:
        """Number what is the same for all rules the same: the rule that applies first, for each dimension."""
        none = len(self.rules.rules)
        first = {group: np.full(len(combos), none) for group in self._groups()}
        for i in sorted(self._deciding, reverse=True):
            holds = self._holds(self.rules.rules[i].when, combos) & self._valid(self.rules.rules[i], combos[:, -1])
            for group, numbers in first.items():
                if i in group:
                    numbers[holds] = i
        before = len(self._outcomes)
        found = self._outcomes.numbers([*first.values()] or [np.zeros(len(combos), np.int64)])
        example = np.zeros(len(self._outcomes) - before, np.int64)
        new = np.flatnonzero(found >= before)
        example[found[new] - before] = new + len(self._outcome)
        self._example = np.concatenate([self._example, example])
        self._outcome = np.concatenate([self._outcome, found])

    def _holds(self, condition: Condition, combos: np.ndarray) -> np.ndarray:
        if isinstance(condition, Test):
            place = self._place[condition.field]
            field = self.fields[place]
            found: np.ndarray = field.answers[:, field.tests[condition]][combos[:, place]]
            return found
        if isinstance(condition, Not):
            return ~self._holds(condition.part, combos)
        every = isinstance(condition, All)
        out = np.full(len(combos), every or not condition.parts)
        for part in condition.parts:
            holds = self._holds(part, combos)
            out = out & holds if every else out | holds
        return out

    def _valid(self, rule: Rule, stretches: np.ndarray) -> np.ndarray:
        """Whether a rule holds in stretches of days; the first lies before all turns."""
        low = self._days.index(rule.since) + 1 if rule.since else 0
        high = self._days.index(rule.until) if rule.until else len(self._days)
        return (stretches >= low) & (stretches <= high)

    def table(self) -> pa.Table:
        """Dimensions and `rule` of every outcome, by number: what the plan says of a row that has it."""
        rules, rows = self.rules, self._combos.rows
        if self._plain:
            used = np.unique(self._outcomes.rows).tolist()
            rules = replace(rules, rules=tuple(rules.rules[i] for i in used if i < len(rules.rules)))
            rows = rows[self._example]
        made = {ROW: pa.array(np.arange(len(rows)))}
        for field, column in zip(self.fields, rows.T, strict=False):
            values = self.coder.names[field.name].values
            made[field.name] = values.take(pa.array(np.array(field.example, np.int64)[column]))
        days = [self._days[0] - dt.timedelta(days=1), *self._days] if self._days else [_START.date()]
        starts = pa.array([dt.datetime.combine(day, dt.time()) for day in days], pa.timestamp("us"))
        made["charge_period_start"] = starts.take(pa.array(rows[:, -1]))
        with connect() as con:
            register(con, "class_rows", pa.table(made))
            plan = Plan().scan([*made], table="class_rows", projected=[f.name for f in self.fields])
            return run(con, plan.map(rules, self.dimensions, rule=True).rows([*self.dimensions, RULE], order=ROW))


def _tests(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
    elif isinstance(condition, Not):
        yield from _tests(condition.part)
    else:
        for part in condition.parts:
            yield from _tests(part)


def local_days(instants: np.ndarray, offsets: Sequence[tuple[dt.datetime, int]]) -> np.ndarray:
    """Days of the reporting zone, counted from 1970, of UTC instants in microseconds."""
    if any(seconds for _, seconds in offsets):
        micros = [(s.astimezone(dt.UTC) - _START) // dt.timedelta(microseconds=1) for s, _ in offsets[1:]]
        turns = np.array(micros, np.int64)
        added = np.array([seconds for _, seconds in offsets], np.int64) * 1_000_000
        instants = instants + added[np.searchsorted(turns, instants, side="right")]
    return instants // 86_400_000_000
