"""Shared costs as data: whose cost is distributed, over which values of a dimension, and by what measure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from finops_ai.engine.conditions import All, Condition, Kinds, Not, Test, fields_of, parse_condition
from finops_ai.engine.regex import found_in
from finops_ai.errors import RuleError, hint
from finops_ai.money import exact

METRICS = ("cost", "tokens", "requests")
IDLE = "idle"
#: keys of an entry by method, besides those every entry has
METHODS = {
    "even": ("to",),
    "fixed": ("shares",),
    "proportional": ("to", "metric", "per", "match"),
    "tiered": ("to", "tiers", "per", "match"),
    "telemetry": ("metric", "receiver", "match", "per"),
    "capacity": ("tokens_per_hour", "output_weight", "match", "per"),
}
EVERY = ("name", "when", "dimension", "method")


@dataclass(frozen=True)
class Tier:
    """One slice of a pool: up to an amount (None = the rest), split by its own method."""

    up_to: Decimal | None
    method: str
    metric: str
    shares: Mapping[str, Decimal]


@dataclass(frozen=True)
class Shared:
    """One shared cost. Rows that meet `when` are split over values of `dimension`, per month or day.

    Attributes:
        name: its name, which becomes the `rule` of the split rows.
        when: which rows, tested on columns and on dimensions as mapped and as split so far.
        dimension: the dimension whose values receive.
        method: even, fixed, proportional, tiered, telemetry, or capacity (by use, with idle as its own line).
        to: receivers; for proportional, none means every value other than those being split.
        shares: fixed shares, adding up to 1.
        metric: what proportional and telemetry weigh: cost, tokens or requests.
        tiers: slices of the pool, for tiered.
        receiver: for telemetry: which field of the telemetry says the value, per column to set.
        match: columns, tags or dimensions in which the row and what it is weighed by must agree, besides the period: each
            environment's cost is divided by that environment's use.
        per: "month" or "day" of the reporting zone: the period within which weights are taken.
        tokens_per_hour: for capacity: weighted tokens that one unit serves in one hour.
        output_weight: for capacity: how many input tokens one output token counts for.
        text: `when` as written.
        sources: values of `dimension` that the mapping rules give rows it takes, where the conditions of both tell.
    """

    name: str
    when: Condition
    dimension: str
    method: str
    to: tuple[str, ...] = ()
    shares: Mapping[str, Decimal] = field(default_factory=dict)
    metric: str = "cost"
    tiers: tuple[Tier, ...] = ()
    receiver: Mapping[str, str] = field(default_factory=dict)
    match: tuple[str, ...] = ()
    per: str = "month"
    tokens_per_hour: Decimal = Decimal(1)
    output_weight: Decimal = Decimal(1)
    text: str = ""
    sources: frozenset[str] = frozenset()


def parse_shared(
    rows: object,
    *,
    place: str,
    dimensions: Collection[str],
    kind_of: Kinds,
    known: Collection[str],
    mapped: Iterable[tuple[Condition, Mapping[str, str]]] = (),
    looked_up: Mapping[str, str] | None = None,
) -> tuple[Shared, ...]:
    """Read `[[shared]]` entries in declared order: later ones distribute what earlier ones left, so order matters.

    Args:
        rows: the entries.
        place: for messages.
        dimensions: those declared.
        kind_of, known: as for conditions.
        mapped: condition of each mapping rule, and the constant values it sets per dimension.
        looked_up: values of look-ups, as `<look-up>.<column>`, with the column or tag that each look-up is matched with.

    Raises:
        RuleError: an unknown key, method, metric or dimension; shares that don't add up to 1; a receiver whose cost it or
            an entry before it distributes (a circle), whatever column its condition names.
    """
    given = [_Mapped(test, made, frozenset(_named(test)), fields_of(test)) for test, made in mapped]
    if not isinstance(rows, list):
        raise RuleError(f"{place}: shared must be [[shared]] entries, not {type(rows).__name__}.")
    out: list[Shared] = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise RuleError(f"{place}, shared {number} must be a table, not {row!r}.")
        name = str(row.get("name", f"shared {number}"))
        at = f"{place}, shared {number} ({name})"
        method = _one_of(row, "method", tuple(METHODS), at, "proportional")
        for key in row:
            if key not in (*EVERY, *METHODS[method]):
                raise RuleError(f"{at}: method {method!r} has no key {key!r}. {hint(key, (*EVERY, *METHODS[method]))}")
        dimension = row.get("dimension", "")
        if not isinstance(dimension, str) or dimension not in dimensions:
            raise RuleError(f"{at}: dimension {dimension!r} is not declared. {hint(str(dimension), dimensions)}")
        if name in {s.name for s in out}:
            raise RuleError(f"{at}: the name is taken by an earlier entry.")
        per = _one_of(row, "per", ("month", "day"), at, "day" if method in ("telemetry", "capacity") else "month")
        metric = _one_of(row, "metric", METRICS, at, "requests" if method == "telemetry" else "cost")
        when = parse_condition(row.get("when"), f"{at}: when", kind_of=kind_of, known=known)
        to = _receivers(row.get("to", []), at)
        shares = _shares(row.get("shares", {}), at) if method == "fixed" else {}
        tiers = _tiers(row.get("tiers"), to, at) if method == "tiered" else ()
        if method == "even" and not to:
            raise RuleError(f"{at}: method 'even' needs `to`, the list of receivers.")
        match = row.get("match", [])
        if not isinstance(match, list | tuple):
            raise RuleError(f"{at}: match must be a list of columns, not {match!r}.")
        for column in match:
            if not kind_of(str(column)):
                raise RuleError(f"{at}: match names an unknown column {column!r}. {hint(column, known)}")
        receiver = row.get("receiver", f"tags.{dimension}") if method == "telemetry" else {}
        receiver = dict(receiver) if isinstance(receiver, Mapping) else {dimension: str(receiver)}
        if method == "telemetry" and dimension not in receiver:
            raise RuleError(
                f"{at}: receiver must say where {dimension!r} is read, such as {{ {dimension} = 'tags.team' }}."
            )
        for column, source in receiver.items():
            matched = (looked_up or {}).get(source, source)
            if kind_of(column) != "text" or kind_of(matched) != "text" or (matched in dimensions and matched != source):
                raise RuleError(
                    f"{at}: receiver {column} = {source!r} must set a text column from a text column, a tag, or a look-up "
                    "by one of these."
                )
        if method == "capacity" and "tokens_per_hour" not in row:
            raise RuleError(f"{at}: method 'capacity' needs tokens_per_hour: the tokens one unit serves in an hour.")
        out.append(
            Shared(
                name,
                when,
                dimension,
                method,
                to or tuple(shares),
                shares,
                metric,
                tiers,
                receiver,
                tuple(match),
                per,
                _positive(row, "tokens_per_hour", at),
                _positive(row, "output_weight", at),
                json.dumps(row["when"], default=str, ensure_ascii=False),
                _sources(when, dimension, given),
            )
        )
    _refuse_circles(out, place)
    return tuple(out)


def _one_of(row: Mapping[str, Any], key: str, allowed: Collection[str], at: str, default: str) -> str:
    value: str = row.get(key, default)
    if value not in allowed:
        raise RuleError(f"{at}: {key} = {value!r} is unknown. {hint(str(value), allowed)}")
    return value


def _receivers(values: object, at: str) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise RuleError(f"{at}: `to` must be a list of receivers, not {values!r}.")
    out = tuple(str(v) for v in values)
    if len(set(out)) < len(out):
        raise RuleError(f"{at}: `to` names a receiver twice: {list(out)}. Unequal parts are written as method 'fixed'.")
    return out


def _positive(row: Mapping[str, Any], key: str, at: str) -> Decimal:
    try:
        value = exact(row.get(key, 1))
    except (ValueError, ArithmeticError):
        value = Decimal(0)
    if value <= 0:
        raise RuleError(f"{at}: {key} must be a number above 0, not {row[key]!r}.")
    return value


def _shares(table: object, at: str) -> dict[str, Decimal]:
    if not isinstance(table, Mapping) or not table:
        raise RuleError(f"{at}: `shares` must give each receiver its share, such as {{ search = '0.6', web = '0.4' }}.")
    try:
        shares = {str(k): exact(v) for k, v in table.items()}
    except (ValueError, ArithmeticError):
        raise RuleError(f"{at}: shares {dict(table)} must be numbers.") from None
    if any(v < 0 for v in shares.values()) or sum(shares.values()) != 1:
        raise RuleError(f"{at}: shares must be 0 or more and add up to 1, not {sum(shares.values())}: {dict(table)}.")
    return shares


def _tiers(rows: object, to: tuple[str, ...], at: str) -> tuple[Tier, ...]:
    if not isinstance(rows, list) or not rows:
        raise RuleError(f"{at}: method 'tiered' needs `tiers`, such as [{{ up_to = 1000, method = 'even' }}, {{ }}].")
    out: list[Tier] = []
    for number, row in enumerate(rows, 1):
        place = f"{at}, tier {number}"
        if not isinstance(row, Mapping) or set(row) - {"up_to", "method", "metric", "shares"}:
            raise RuleError(f"{place}: a tier has up_to, method, metric and shares, not {row!r}.")
        up_to = _positive(row, "up_to", place) if "up_to" in row else None
        last = out[-1].up_to if out else Decimal(0)
        if (up_to is None) != (number == len(rows)) or (up_to is not None and last is not None and up_to <= last):
            raise RuleError(f"{place}: up_to must rise from tier to tier, and only the last tier has none.")
        method = _one_of(row, "method", ("even", "fixed", "proportional"), place, "proportional")
        if method == "even" and not to:
            raise RuleError(f"{place}: method 'even' needs the entry's `to`, the list of receivers.")
        shares = _shares(row.get("shares"), place) if method == "fixed" else {}
        out.append(Tier(up_to, method, _one_of(row, "metric", METRICS, place, "cost"), shares))
    return tuple(out)


def _refuse_circles(entries: list[Shared], place: str) -> None:
    """A value whose cost was distributed must not receive again from a later entry: its cost would never settle."""
    for number, entry in enumerate(entries):
        for value in sorted({*entry.to, *(v for t in entry.tiers for v in t.shares)}):
            if takes(entry.when, entry.dimension, value) or value in entry.sources:
                raise RuleError(f"{place}: shared {entry.name!r} gives to {value!r}, whose own cost it distributes.")
            if given := giver(entries[:number], entry.dimension, value):
                raise RuleError(
                    f"{place}: a cycle: shared {entry.name!r} gives to {value!r}, whose cost {given!r} has already "
                    "distributed. Put it earlier in the cascade, or take the receiver out."
                )


def giver(entries: Iterable[Shared], dimension: str, value: str) -> str:
    """The first of some entries that distributes the cost of a dimension's value; "" if none does."""
    return next(
        (
            e.name
            for e in entries
            if e.dimension == dimension and (value in e.sources or takes(e.when, dimension, value))
        ),
        "",
    )


def meet(one: Condition, two: Condition) -> bool:
    """Whether a value that one condition names, or names one of, meets the other: then rows of one are rows of the other.

    >>> meet(Test("api_key_id", "equals", "k1"), Test("api_key_id", "prefix", "k"))
    True
    >>> meet(Test("api_key_id", "equals", "k1"), Test("model", "equals", "m"))
    False
    """
    if one == two:
        return not (isinstance(one, All) and not one.parts)
    return any(
        _holds(there, field, value) is True
        for here, there in ((one, two), (two, one))
        for field, value in _named(here)
        if _holds(here, field, value) is True
    )


class _Mapped(NamedTuple):
    """A mapping rule's condition, the values it sets, and the values and fields the condition names."""

    test: Condition
    made: Mapping[str, str]
    named: frozenset[tuple[str, str]]
    fields: set[str]


def _sources(when: Condition, dimension: str, mapped: Iterable[_Mapped]) -> frozenset[str]:
    """Values of a dimension whose rows a condition takes: by what else their rules name, or by a dimension made of it, such as the
    department of a team.

    >>> test = Test("team", "in", ("search", "web"))
    >>> department = _Mapped(test, {"department": "Product"}, frozenset(_named(test)), {"team"})
    >>> sorted(_sources(Test("department", "equals", "Product"), "team", [department]))
    ['search', 'web']
    """
    fields, out = fields_of(when), set[str]()
    for one in mapped:
        if dimension in one.made and (one.fields & fields or one.test == when) and meet(when, one.test):
            out.add(one.made[dimension])
        if dimension in one.fields and any(d in fields for d in one.made):
            above = any(takes(when, d, v) for d, v in one.made.items())
            out |= {v for field, v in one.named if above and field == dimension and _holds(one.test, dimension, v)}
    return frozenset(out)


def _named(condition: Condition) -> list[tuple[str, str]]:
    """Fields with the text values a condition names."""
    if isinstance(condition, Test):
        values = condition.value if condition.op == "in" else (condition.value,) if condition.op == "equals" else ()
        return [(condition.field, v) for v in values if isinstance(v, str)]  # type: ignore[attr-defined]
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    return [found for part in parts for found in _named(part)]


def takes(when: Condition, dimension: str, value: str) -> bool:
    """Whether a condition asks for a value of a dimension, whatever else it tests.

    >>> takes(Test("team", "prefix", "sh"), "team", "shared"), takes(Test("model", "equals", "m"), "team", "shared")
    (True, False)
    """
    return _holds(when, dimension, value) is True


def _holds(when: Condition, dimension: str, value: str) -> bool | None:
    """What the condition's tests of one dimension come to for a value; None where it has none."""
    if isinstance(when, Test):
        return _met(when, value) if when.field == dimension else None
    if isinstance(when, Not):
        inner = _holds(when.part, dimension, value)
        return None if inner is None else not inner
    found = [h for part in when.parts if (h := _holds(part, dimension, value)) is not None]
    return (all(found) if isinstance(when, All) else any(found)) if found else None


def _met(test: Test, value: str) -> bool:
    match test.op:
        case "equals":
            return value == test.value
        case "in":
            return value in test.value  # type: ignore[operator]
        case "prefix":
            return value.startswith(str(test.value))
        case "regex":
            return found_in(str(test.value), value)
        case "exists":
            return bool(test.value)
        case "at_least":
            return value >= str(test.value)
    return value < str(test.value)
