"""Shared costs as data: whose cost is distributed, over which values of a dimension, and by what measure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from finops_ai.engine.conditions import All, Condition, Kinds, Test, parse_condition
from finops_ai.errors import RuleError, hint
from finops_ai.money import exact

METHODS = ("even", "fixed", "proportional", "tiered", "telemetry", "capacity")
METRICS = ("cost", "tokens", "requests")
IDLE = "idle"
_KEYS = (
    "name", "when", "dimension", "method", "to", "shares", "metric", "tiers", "receiver", "match", "per",
    "tokens_per_hour", "output_weight",
)  # fmt: skip


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
        match: columns in which telemetry (or use of the capacity) and row must agree, besides the period.
        per: "month" or "day" in UTC: the period within which weights are taken.
        tokens_per_hour: for capacity: weighted tokens that one unit serves in one hour.
        output_weight: for capacity: how many input tokens one output token counts for.
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
    tokens_per_hour: Decimal = Decimal(0)
    output_weight: Decimal = Decimal(1)


def parse_shared(
    rows: object,
    *,
    place: str,
    dimensions: Collection[str],
    kind_of: Kinds,
    known: Collection[str],
) -> tuple[Shared, ...]:
    """Read `[[shared]]` entries in declared order: later ones distribute what earlier ones left, so order matters.

    Raises:
        RuleError: an unknown key, method, metric or dimension; shares that don't add up to 1; a receiver whose cost an
            entry before it has already distributed (a circle).
    """
    if not isinstance(rows, list):
        raise RuleError(f"{place}: shared must be [[shared]] entries, not {type(rows).__name__}.")
    out: list[Shared] = []
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise RuleError(f"{place}, shared {number} must be a table, not {row!r}.")
        name = str(row.get("name", f"shared {number}"))
        at = f"{place}, shared {number} ({name})"
        for key in row:
            if key not in _KEYS:
                raise RuleError(f"{at}: no key {key!r}. {hint(key, _KEYS)}")
        dimension = row.get("dimension", "")
        if dimension not in dimensions:
            raise RuleError(f"{at}: dimension {dimension!r} is not declared. {hint(str(dimension), dimensions)}")
        if name in {s.name for s in out}:
            raise RuleError(f"{at}: the name is taken by an earlier entry.")
        method = _one_of(row, "method", METHODS, at, "proportional")
        per = _one_of(row, "per", ("month", "day"), at, "day" if method in ("telemetry", "capacity") else "month")
        metric = _one_of(row, "metric", METRICS, at, "requests" if method == "telemetry" else "cost")
        when = parse_condition(row.get("when"), f"{at}: when", kind_of=kind_of, known=known)
        to = tuple(str(v) for v in row.get("to", ()))
        shares = _shares(row.get("shares", {}), at) if method == "fixed" else {}
        tiers = _tiers(row.get("tiers"), to, at) if method == "tiered" else ()
        if method == "even" and not to:
            raise RuleError(f"{at}: method 'even' needs `to`, the list of receivers.")
        match = tuple(row.get("match", ()))
        for column in match:
            if not kind_of(column):
                raise RuleError(f"{at}: match names an unknown column {column!r}. {hint(column, known)}")
        receiver = row.get("receiver", f"tags.{dimension}") if method == "telemetry" else {}
        receiver = dict(receiver) if isinstance(receiver, Mapping) else {dimension: str(receiver)}
        for column, source in receiver.items():
            if kind_of(column) != "text" or kind_of(source) != "text":
                raise RuleError(
                    f"{at}: receiver {column} = {source!r} must set a text column from a text column or tag."
                )
        per_hour, weight = _positive(row, "tokens_per_hour", at), _positive(row, "output_weight", at)
        if method == "capacity" and not per_hour:
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
                match,
                per,
                per_hour,
                weight or Decimal(1),
            )
        )
    _refuse_circles(out, place)
    return tuple(out)


def _one_of(row: Mapping, key: str, allowed: Collection[str], at: str, default: str) -> str:
    value = row.get(key, default)
    if value not in allowed:
        raise RuleError(f"{at}: {key} = {value!r} is unknown. {hint(str(value), allowed)}")
    return value


def _positive(row: Mapping, key: str, at: str) -> Decimal:
    try:
        value = exact(row.get(key, 0))
    except (ValueError, ArithmeticError):
        value = Decimal(-1)
    if value < 0:
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
        up_to = exact(row["up_to"]) if "up_to" in row else None
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
    given: dict[tuple[str, str], str] = {}
    for entry in entries:
        mine = {(entry.dimension, v) for v in values_taken(entry.when, entry.dimension)}
        receivers = {(entry.dimension, v) for v in (*entry.to, *(v for t in entry.tiers for v in t.shares))}
        for dimension, value in sorted(receivers):
            if (dimension, value) in mine:
                raise RuleError(f"{place}: shared {entry.name!r} gives to {value!r}, whose own cost it distributes.")
            if (dimension, value) in given:
                raise RuleError(
                    f"{place}: a cycle: shared {entry.name!r} gives to {value!r}, whose cost {given[dimension, value]!r} "
                    "has already distributed. Put it earlier in the cascade, or take the receiver out."
                )
        given |= dict.fromkeys(mine, entry.name)


def values_taken(when: Condition, dimension: str) -> set[str]:
    """Values of a dimension that a condition asks for by equality; their cost is what gets distributed."""
    if isinstance(when, Test) and when.field == dimension:
        return {str(when.value)} if when.op == "equals" else set(map(str, when.value)) if when.op == "in" else set()  # type: ignore[call-overload]
    if isinstance(when, All):
        return set().union(*(values_taken(p, dimension) for p in when.parts))
    return set()
