"""Conditions of mapping rules: parsed from plain tables, checked against known fields, rendered as SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from finops_ai.engine.dialects import Dialect
from finops_ai.engine.regex import regex_problem
from finops_ai.errors import RuleError, hint
from finops_ai.money import exact
from finops_ai.periods import instant

OPERATORS = ("equals", "in", "prefix", "regex", "exists", "at_least", "below")
_COMPARED = {"equals": "=", "at_least": ">=", "below": "<"}


@dataclass(frozen=True)
class Test:
    """One field compared with one value."""

    field: str
    op: str
    value: object

    __test__ = False  # not a test class, whatever pytest thinks of the name


@dataclass(frozen=True)
class All:
    """Every part holds; with no parts, always true."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Any:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part doesn't hold; a missing value doesn't hold, so its negation does."""

    part: Condition


Condition = Test | All | Any | Not
#: field name -> "text", "number", "instant", or None where there is no such field
Kinds = Callable[[str], str | None]


def parse_condition(table: object, place: str, *, kind_of: Kinds, known: Collection[str]) -> Condition:
    """Read a `when` table.

    Args:
        table: `{field = value}` (equals), `{field = [values]}` (in), `{field = {prefix = "x"}}`, with `any = [tables]`,
            `all = [tables]` and `not = {table}`; all entries must hold.
        place: rule name and key, for messages.
        kind_of: what a name holds, None where it names nothing.
        known: names to suggest from.

    Raises:
        RuleError: unknown field or operator, a value of the wrong kind, an unusable regular expression.
    """
    if not isinstance(table, Mapping):
        raise RuleError(f"{place} must be a table such as {{ model = 'gpt-5' }}, not {table!r}.")
    parts: list[Condition] = []
    for key, value in table.items():
        if key in ("any", "all"):
            if not isinstance(value, list) or not value:
                raise RuleError(f"{place}.{key} must be a list of tables, not {value!r}.")
            inner = tuple(
                parse_condition(v, f"{place}.{key}[{i}]", kind_of=kind_of, known=known) for i, v in enumerate(value)
            )
            parts.append(Any(inner) if key == "any" else All(inner))
        elif key == "not":
            parts.append(Not(parse_condition(value, f"{place}.not", kind_of=kind_of, known=known)))
        elif isinstance(value, Mapping) and not kind_of(key) and all(kind_of(f"{key}.{k}") for k in value):
            flat = {f"{key}.{k}": v for k, v in value.items()}
            parts.append(parse_condition(flat, place, kind_of=kind_of, known=known))
        elif not (kind := kind_of(key)):
            raise RuleError(f"{place} names an unknown column {key!r}. {hint(key, known)} Tags are written tags.<key>.")
        else:
            parts.extend(_tests(key, kind, value, f"{place}.{key}"))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _tests(field: str, kind: str, value: object, place: str) -> Iterator[Test]:
    if isinstance(value, list | tuple):
        value = {"in": value}
    elif not isinstance(value, Mapping):
        value = {"equals": value}
    if not value:
        raise RuleError(f"{place} is empty. Known: {', '.join(OPERATORS)}.")
    for op, operand in value.items():
        if op not in OPERATORS:
            raise RuleError(f"{place}: no operator {op!r}. {hint(op, OPERATORS)}")
        yield Test(field, op, _operand(op, kind, operand, f"{place}.{op}"))


def _operand(op: str, kind: str, value: object, place: str) -> object:
    if op == "exists":
        if not isinstance(value, bool):
            raise RuleError(f"{place} must be true or false, not {value!r}.")
        return value
    if op == "in":
        if not isinstance(value, list | tuple) or not value:
            raise RuleError(f"{place} must be a list with at least one value, not {value!r}.")
        return tuple(_value(kind, v, place) for v in value)
    if op in ("prefix", "regex"):
        if not isinstance(value, str) or not value or kind != "text":
            raise RuleError(f"{place} must be text, on a column of text, not {value!r}.")
        if op == "regex" and (problem := regex_problem(value)):
            raise RuleError(f"{place}: {value!r} can't be used: {problem}.")
        return value
    return _value(kind, value, place)


def _value(kind: str, value: object, place: str) -> object:
    """The value as the column's kind, so that no engine has to guess a conversion."""
    if kind == "instant" and isinstance(value, str | dt.date):
        return instant(value)
    if kind == "number" and isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return exact(value)
    if kind == "text" and isinstance(value, bool):
        return str(value).lower()
    if kind == "text" and isinstance(value, str | int | float | Decimal):
        return str(value)
    raise RuleError(f"{place}: {value!r} is no {kind}.")


def fields_of(condition: Condition) -> set[str]:
    """Every field a condition tests."""
    if isinstance(condition, Test):
        return {condition.field}
    if isinstance(condition, Not):
        return fields_of(condition.part)
    return set().union(*(fields_of(p) for p in condition.parts))


def to_sql(condition: Condition, dialect: Dialect, column: Callable[[str], str]) -> str:
    """A condition as an SQL predicate; a missing value makes a test false, and its negation true.

    Args:
        condition: what to render.
        dialect: the engine's spelling.
        column: field name -> SQL expression.
    """
    if isinstance(condition, All | Any):
        if not condition.parts:
            return "TRUE"
        word = " AND " if isinstance(condition, All) else " OR "
        dear = [p for p in condition.parts if isinstance(p, Test) and p.op == "regex"]
        cheap = [p for p in condition.parts if p not in dear]
        if (
            isinstance(condition, All) and dear and cheap
        ):  # engines evaluate both sides of AND; a CASE saves the pattern
            tests = (to_sql(All(tuple(parts)), dialect, column) for parts in (cheap, dear))
            return "CASE WHEN {} THEN {} ELSE FALSE END".format(*tests)
        return "(" + word.join(to_sql(p, dialect, column) for p in condition.parts) + ")"
    if isinstance(condition, Not):
        return f"NOT coalesce({to_sql(condition.part, dialect, column)}, FALSE)"
    x, op, value = column(condition.field), condition.op, condition.value
    if op == "exists":
        return f"({x} IS NOT NULL)" if value else f"({x} IS NULL)"
    if op == "in":
        return dialect.one_of(x, value)  # type: ignore[arg-type]
    if op in ("prefix", "regex"):
        out: str = getattr(dialect, op).format(x=x, v=dialect.literal(value))
        return out
    return f"{x} {_COMPARED[op]} {dialect.literal(value)}"
