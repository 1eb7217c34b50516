"""Budgets of a plan: what each month and part may cost, and the chance that it costs more."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.history import TOTAL

Budget = float | int | Decimal | Mapping[str, object] | Sequence[Mapping[str, object]] | pd.DataFrame | None

#: keys of a `[[budgets]]` table; any other column of a frame is a dimension
OWN = ("month", "from", "to", "amount", "name", "currency", "alerts")


@dataclass(frozen=True)
class BudgetLine:
    """One budget: an amount for the months of a period and the part of the cost that `scope` names.

    Attributes:
        name: what tables call it.
        amount: over the whole period.
        months: the months it covers, in order.
        scope: dimension -> value; empty = all cost.
    """

    name: str
    amount: Decimal
    months: tuple[str, ...]
    scope: frozenset[tuple[str, str]]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the dimensions that the scope uses, in order."""
        return tuple(sorted(name for name, _ in self.scope))


def budget_lines(budget: Budget, currency: str | None = None) -> list[BudgetLine]:
    """Budgets over named months, from a mapping, `[[budgets]]` tables or a frame.

    Args:
        budget: see `finops_ai.forecasting.plan`; one amount for every month has no months of its own and gives none.
        currency: of the costs.

    Raises:
        SettingsError: an amount or a period can't be read; names the budget.
        DataError: a budget is in another currency than the costs.

    Example:
        >>> line, = budget_lines([{"amount": 1200, "from": "2026-01", "to": "2027-01", "for": {"team": "search"}}])
        >>> line.name, len(line.months), line.months[-1]
        ('team search, 2026-01 to 2026-12', 12, '2026-12')
    """
    if isinstance(budget, Mapping):
        budget = [{"month": str(month), "amount": amount} for month, amount in budget.items()]
    if isinstance(budget, pd.DataFrame):
        budget = [_row(row) for row in budget.rename(columns={"budget": "amount"}).astype(object).to_dict("records")]
    if not isinstance(budget, Sequence):
        return []
    return [_line(entry, f"budget {entry.get('name') or number}", currency) for number, entry in enumerate(budget, 1)]


def budget_of(
    budget: Budget, by: Sequence[str], currency: str | None = None
) -> Callable[[str | tuple[str, ...], tuple[Any, ...]], Decimal | None]:
    """A function from month and dimension values to the budgeted amount, None where there is none.

    Of several months, a quarter or a year, it gives the amount of a budget of just these months.

    A budget over several months counts evenly. Where budgets of the same thing overlap, as a month's and the year's do,
    the month has that of the fewest months: a month's budget is a part of the year's, not beside it. The total's budget
    is its own, else the sum of the budgets of its parts (those by all dimensions of `by`, else those by some of them, so
    that none counts twice).
    """
    if budget is None:
        return lambda month, key: None
    if not isinstance(budget, Mapping | Sequence | pd.DataFrame):
        amount = _amount(budget, "the budget")
        return lambda month, key: amount if isinstance(month, str) and (not key or key[0] == TOTAL) else None
    amounts: dict[tuple[str, frozenset[Any]], Decimal] = {}
    lengths: dict[tuple[str, frozenset[Any]], int] = {}
    spans: dict[tuple[tuple[str, ...], frozenset[Any]], Decimal] = {}
    for line in sorted(budget_lines(budget, currency), key=lambda line: len(line.months)):
        spans[line.months, line.scope] = spans.get((line.months, line.scope), Decimal(0)) + line.amount
        for month in line.months:
            place = (month, line.scope)
            if lengths.setdefault(place, len(line.months)) == len(line.months):
                amounts[place] = amounts.get(place, Decimal(0)) + line.amount / len(line.months)

    def find(month: str | tuple[str, ...], key: tuple[Any, ...]) -> Decimal | None:
        if isinstance(month, tuple):
            own = key and key[0] != TOTAL
            return spans.get((month, frozenset(zip(by, key, strict=True)) if own else frozenset()))
        if key and key[0] != TOTAL:
            return amounts.get((month, frozenset(zip(by, key, strict=True))))
        if (month, frozenset()) in amounts:
            return amounts[month, frozenset()]
        parts: dict[frozenset[Any], Decimal] = {}
        for (m, scope), amount in amounts.items():
            names = frozenset(name for name, _ in scope)
            if m == month and names <= set(by):
                parts[names] = parts.get(names, Decimal(0)) + amount
        return parts[max(parts, key=len)] if parts else None

    return find


def overrun_probability(totals: np.ndarray, budget: Decimal) -> float:
    """Share of simulated totals that exceed the budget.

    >>> overrun_probability(np.array([90.0, 95.0, 105.0, 110.0]), Decimal(100))
    0.5
    """
    return float((np.asarray(totals) > float(budget)).mean())


def _row(row: Mapping[Hashable, object]) -> dict[str, object]:
    known = {str(k): v for k, v in row.items() if not (v is None or v is pd.NaT or v != v)}
    return {
        **{k: v for k, v in known.items() if k in OWN},
        "for": {k: v for k, v in known.items() if k not in OWN},
    }


def _line(entry: Mapping[str, object], place: str, currency: str | None) -> BudgetLine:
    if "amount" not in entry or ("month" in entry) == ("from" in entry):
        raise SettingsError(f"{place} needs `amount`, and either `month` or `from` and `to`.")
    stated = entry.get("currency")
    if stated and currency and stated != currency:
        raise DataError(f"{place} is in {stated}, the costs are in {currency}; state it in {currency}.")
    try:
        first = pd.Period(str(entry.get("month", entry.get("from")))[:7], "M")
        last = first if "month" in entry else pd.Period(str(entry["to"])[:7], "M") - 1
    except (ValueError, KeyError):
        raise SettingsError(f"{place}: {dict(entry)} has no month like 2026-11.") from None
    months = tuple(str(month) for month in pd.period_range(first, last, freq="M"))
    if not months:
        raise SettingsError(
            f"{place}: `to` is {entry['to']}, the first month no longer covered; it must follow `from`."
        )
    wanted: Mapping[str, object] = dict(entry.get("for") or {})  # type: ignore[call-overload]
    scope = frozenset((str(k), str(v)) for k, v in wanted.items())
    period = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    what = ", ".join(f"{k} {v}" for k, v in sorted(scope)) or "all"
    return BudgetLine(str(entry.get("name") or f"{what}, {period}"), _amount(entry["amount"], place), months, scope)


def _amount(value: object, place: str) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise SettingsError(f"{place}: the amount is {value!r}, must be a number.") from None
