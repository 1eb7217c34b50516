"""Parts of the settings that nothing meets: contracts no row falls under, rules of the bill no line falls under, names nobody has."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.errors import hint
from finops_ai.meters import meters
from finops_ai.periods import UTC
from finops_ai.prices.names import provider_name
from finops_ai.tables.bill_rules import DEFAULT, BillRule, decide
from finops_ai.tables.grouping import grouped

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook
    from finops_ai.prices.contracts import Contract


def contracts(rows: pd.DataFrame, book: PriceBook) -> list[tuple[str, str]]:
    """Contracts that no row of usage falls under, with the first of provider, dates, accounts, models and meters that none meets.

    Args:
        rows: token frame or priced frame.
        book: with the contracts.
    """
    if not book.contracts or not len(rows):
        return []
    keys = ["provider", "billing_account_id", "sub_account_id", "model", "meter"]
    spans = {"first": "min(charge_period_start)", "last": "max(charge_period_start)"}
    found = grouped(rows, keys, spans, needs=("charge_period_start",))
    spelt: dict[tuple[str, str], list[str]] = {}
    for g in found:
        g["first"], g["last"] = (g[name].replace(tzinfo=UTC) for name in spans)
        place = provider_name(g["provider"]), g["model"] or ""
        if place not in spelt:
            known = book.find(*place, g["last"])
            spelt[place] = [place[1].lower(), *(known.spellings if known else ()), *([known.model] if known else [])]
        g["provider"], g["names"] = place[0], spelt[place]
    return [(one.name, why) for one in book.contracts if (why := _unmet(one, found))]


def _unmet(contract: Contract, found: list[dict[str, Any]]) -> str:
    """The first of a contract's conditions that no usage meets; "" where some falls under it."""
    if not (mine := [g for g in found if g["provider"] == contract.provider]):
        return f"there is no usage of {contract.provider}"
    began = [g for g in mine if not contract.start or g["last"] >= contract.start]
    if not (mine := [g for g in began if not contract.end or g["first"] < contract.end]):
        return "there is no usage in its dates"
    places = {name for g in mine for name in (g["billing_account_id"], g["sub_account_id"]) if name}
    mine = [
        g for g in mine if not contract.accounts or {g["billing_account_id"], g["sub_account_id"]} & contract.accounts
    ]
    if not mine:
        wanted = sorted(contract.accounts)
        return f"there is no usage of its accounts {', '.join(wanted)}. {hint(wanted[0], places)}"
    if contract.capacity or contract.cards or any(contract.is_for(g["names"], g["meter"]) for g in mine):
        return ""
    if any(contract.is_for(g["names"], name) for g in mine for name in meters()):
        return f"there is no usage of its meters {', '.join(sorted(contract.meters))}"
    models = sorted({g["model"] for g in mine if g["model"]})
    return f"there is no usage of its models {', '.join(contract.models)}. {hint(contract.models[0], models)}"


def bill_rules(lines: pd.DataFrame, rules: Sequence[BillRule]) -> list[tuple[str, str]]:
    """Rules of the bill that decide no line: because none meets the condition, or because earlier rules decide all that do.

    Args:
        lines: lines of the bill with their `kind`, use without a price as "unpriced".
        rules: what `load_bill_rules` gives; the defaults don't count.
    """
    if not len(lines):
        return []
    first = {id(rule) for rule in decide(lines, rules)}
    out = []
    for rule in rules[: len(rules) - len(DEFAULT)]:
        if id(rule) not in first:
            met = sum(one is rule for one in decide(lines, [rule]))
            why = f"earlier rules decide all {met:,} lines that meet it" if met else "no line of the bill meets it"
            out.append((rule.name, why))
    return out


def receivers(named: Iterable[tuple[str, str]], known: Collection[str], dimension: str) -> list[tuple[str, str]]:
    """Names of receivers in settings, as (place, name), that nobody has."""
    return [
        (name, f"{place} names {name!r}, which is no {dimension} of these months. {hint(name, known)}")
        for place, name in named
        if name not in known
    ]


def places(named: Mapping[str, Collection[str]], known: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """Providers and "provider/billing account" in settings, by the place that names them, which nothing was used or billed of."""
    there = {name for provider, account in known for name in (provider, f"{provider}/{account}")}
    return [
        (name, f"{place} names {name!r}, of which nothing was used or billed in these months. {hint(name, there)}")
        for place, names in named.items()
        for name in names
        if name not in there
    ]
