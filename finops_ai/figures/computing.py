"""Measures of grouped rows: which sums a set of measures needs, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from finops_ai.figures.catalogue import Measure, catalogue, measure

#: the exact cost is summed beside its published cents, under this prefix
CENTS = "cents:"
_COSTS = ("effective_cost", "list_cost")


def ingredients(name: str) -> tuple[str, ...]:
    """The measures that a ratio or difference is made of, so that a page can show them beside it; none for sums.

    >>> ingredients("cost_per_request"), ingredients("cost")
    (('counted_cost', 'requests'), ())
    """
    one = measure(name)
    return one.ratio or one.minus


def needed(names: Iterable[str]) -> list[Measure]:
    """The sums that some measures rest on, each once."""
    out: dict[str, Measure] = {}
    waiting = list(names)
    while waiting:
        one = measure(waiting.pop(0))
        if one.sum or one.distinct:
            out[one.id] = one
        waiting += [*one.ratio, *one.minus, *filter(None, [one.part_of])]
    return list(out.values())


def aggregates(names: Iterable[str], *, cents: str = "") -> dict[str, str]:
    """SQL aggregates for the sums that some measures rest on.

    Args:
        names: measures.
        cents: column of the rows' published cost; each sum of effective cost then has a twin of it under `cents:<id>`.

    >>> aggregates(["cost_per_request"])["requests"]
    "sum(quantity) FILTER (WHERE meter IN ('requests'))"
    """
    out: dict[str, str] = {}
    for one in needed(names):
        chosen = f" FILTER (WHERE {one.filter})" if one.filter else ""
        if one.distinct:
            out[one.id] = f"nullif(count(DISTINCT {one.distinct}){chosen}, 0)"
            continue
        out[one.id] = _known(one, f"sum({one.sum}){chosen}")
        if cents and one.sum == "effective_cost":
            out[CENTS + one.id] = _known(one, f"sum({cents}){chosen}")
    return out


def _known(one: Measure, sql: str) -> str:
    """A sum with what makes it known, besides its own rows.

    What is told by a column is 0, not null, where the column tells something and nothing of it is meant. A cost is not
    known by rows that nobody bills, such as counts of requests, where no billed row beside them has a price.
    """
    if one.told_by:
        return f"CASE WHEN count({one.told_by}) > 0 THEN coalesce({sql}, 0) END"
    if one.sum not in _COSTS:
        return sql
    mine = f"{one.filter} AND " if one.filter else ""
    unknown = f"count(*) FILTER (WHERE {mine}{one.sum} IS NULL AND price_status IS DISTINCT FROM 'included')"
    billed = f"count({one.sum}) FILTER (WHERE {mine}price_status IS DISTINCT FROM 'not_billed')"
    if one.sum == "effective_cost":  # what an allowance covers is known to cost nothing more
        free = f"count(*) FILTER (WHERE {mine}price_status = 'included') > 0"
        free += f" OR count(*) FILTER (WHERE {one.filter}) = 0" if one.part_of else ""  # there is nothing of it
        return f"CASE WHEN {unknown} = 0 OR {billed} > 0 THEN coalesce({sql}, CASE WHEN {free} THEN 0 END) END"
    return f"CASE WHEN {unknown} = 0 OR {billed} > 0 THEN {sql} END"


def fields(names: Iterable[str]) -> list[str]:
    """Columns of the rows that the sums of some measures read.

    >>> fields(["tokens"])
    ['quantity', 'meter']
    """
    known = ("meter", "operation", "service_tier", "price_status", "quantity_basis", "outcome", "user_id",
             "effective_cost", "list_cost")  # fmt: skip
    out: dict[str, None] = {}
    for one in needed(names):
        out |= dict.fromkeys(filter(None, (one.sum, one.distinct, one.told_by)))
        out |= dict.fromkeys(["meter"] if one.meters else [])
        out |= dict.fromkeys(["price_status"] if one.sum in _COSTS else [])
        out |= dict.fromkeys(name for name in known if name in one.where)
        out |= dict.fromkeys(
            ["slice_requests", "provider", "billing_account_id", "model", "meter"] if "counted" in one.where else []
        )
    return list(out)


def ratio(top: Decimal | None, bottom: Decimal | None, per: int = 1, places: int = 12) -> Decimal | None:
    """An exact quotient rounded half-even to `places`; None where either is unknown or the bottom is 0.

    >>> str(ratio(Decimal(1), Decimal(3), 1000, 4)), ratio(Decimal(1), None)
    ('333.3333', None)
    """
    if top is None or not bottom:
        return None
    return (Decimal(top) * per / Decimal(bottom)).quantize(Decimal(1).scaleb(-places))


def values(sums: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What some measures come to: sums as they are, the others from them; null where anything they need is.

    Shares and ratios of counts are floats, amounts and rates exact decimals. A part that no row has counts as 0 where
    its whole is known.

    >>> values({"cost": Decimal(6), "priced_tokens": Decimal(3_000_000)}, ["cost_per_1m_tokens"])["cost_per_1m_tokens"]
    Decimal('2.000000000000')
    """
    known: dict[str, Any] = {}
    return {name: _value(sums, name, known) for name in names}


def _value(sums: Mapping[str, Any], name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        known[name] = _found(sums, catalogue()[name], known)
    return known[name]


def _found(sums: Mapping[str, Any], one: Measure, known: dict[str, Any]) -> Any:
    if one.id in sums:
        found, whole = sums[one.id], sums.get(one.part_of)
        if not one.part_of or one.sum in _COSTS:  # of a cost, the sum itself tells nothing from unknown
            return None if one.part_of and whole is None else found
        return Decimal(0) if found is None and whole is not None else found
    if one.minus:
        a, b = (_value(sums, name, known) for name in one.minus)
        return None if a is None or b is None else a - b
    if not one.ratio:
        return None
    top, bottom = (_value(sums, name, known) for name in one.ratio)
    if one.kind == "rate":
        return ratio(top, bottom, one.per)
    if bottom is None or not bottom or (top is None and one.strict):
        return None
    return float(Decimal(0 if top is None else top) * one.per / Decimal(bottom))
