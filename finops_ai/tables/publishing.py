"""How a table's amounts are published: rounded once, adding up down to their total and across to their whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.money import minor_units, round_to_total

if TYPE_CHECKING:
    from finops_ai.tables.result import Facts

#: columns that say the currency of a row, where a table has several
CURRENCIES = ("pricing_currency", "currency", "billing_currency")


def publish(frame: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """A table's rows with its amounts in minor units of their currency.

    Amounts whose cents are decided already (`facts.cents`) keep them, in every part of the table, too. Others are rounded
    by largest remainder to their rounded total. A column that is the sum of others (`facts.adds`) is the sum of their
    published amounts; where the whole has its amount already, the parts are fitted to it: they are rounded so that rows
    add up to the whole and columns to their rounded totals. Currencies are never mixed.

    Args:
        frame: the rows, whole or a part.
        facts: the table's facts.

    Returns:
        A frame of the same shape; amounts are Decimals, unknown ones None.
    """
    out = frame.copy(deep=False)
    several = next((c for c in CURRENCIES if c in out.columns and c not in facts.money), None)
    currencies = pd.Series(out[several] if several else facts.currency, index=out.index, dtype=object).fillna("")
    money = [name for name in facts.money if list(out.columns).count(name) == 1]
    wholes = {whole for whole, _ in facts.adds if whole in money}
    fitted = {
        p.lstrip("-") for whole, parts in facts.adds for p in parts if whole in money and _is_split(whole, parts, facts)
    }
    done: set[str] = set()
    for name in money:
        if name in facts.cents and (known := _kept(frame, name, facts)) is not None:
            out[name] = _plain(known, currencies)
            done.add(name)
        elif name not in wholes and name not in fitted and name not in facts.beside:
            out[name] = _rounded(out, name, currencies, facts.charged)
            done.add(name)
    for name, other in facts.beside.items():
        if name in money and other in done:
            out[name] = _beside(frame, out, name, other, currencies, facts.charged)
            done.add(name)
    for whole, parts in facts.adds:
        here = [p for p in parts if p.lstrip("-") in money]
        if whole not in money or len(here) < len(parts):
            continue
        if whole not in done and all(p.lstrip("-") in done for p in here):
            columns = [out[p.lstrip("-")] for p in here]
            sums = [_added(values, here) for values in zip(*columns, strict=True)]
            out[whole] = pd.Series(sums, index=out.index, dtype=object)
            done.add(whole)
        elif whole in done and (open_ := [p for p in here if p.lstrip("-") not in done]):
            _fit(out, whole, open_, currencies)
            done |= {p.lstrip("-") for p in here}
    for name in money:
        if name not in done:
            out[name] = _rounded(out, name, currencies, facts.charged)
    return out


def _is_split(whole: str, parts: Sequence[str], facts: Facts) -> bool:
    """Whether a whole comes first and its parts are fitted to it: it was the whole of an entry before."""
    earlier = [w for w, p in facts.adds[: facts.adds.index((whole, tuple(parts)))]]
    return whole in earlier or whole in facts.cents


def _kept(frame: pd.DataFrame, name: str, facts: Facts) -> pd.Series | None:
    """The cents decided for these rows, whatever order and index they have now; None where they are other rows."""
    cents_of, decided = facts.cents[name], facts.decided.get(name)
    if decided is None:
        return None
    amounts = [Decimal(v) if _known(v) else None for v in frame[name]]
    exact, cents = [Decimal(v) if _known(v) else None for v in decided], cents_of.tolist()
    if any((amount is None) != (kept is None) for amount, kept in zip(exact, cents, strict=True)):
        return None
    if frame.index.is_unique and cents_of.index.is_unique and frame.index.isin(cents_of.index).all():
        places = cents_of.index.get_indexer(frame.index).tolist()
        if all(exact[i] == amount for i, amount in zip(places, amounts, strict=True)):
            return pd.Series([cents[i] for i in places], index=frame.index, dtype=object)
    of = dict(zip(exact, cents, strict=True))
    if any(of[amount] != kept for amount, kept in zip(exact, cents, strict=True)) or not all(a in of for a in amounts):
        return None  # rows of one exact amount with different cents can't be told apart any more
    return pd.Series([of[amount] for amount in amounts], index=frame.index, dtype=object)


def _plain(column: pd.Series, currencies: pd.Series) -> pd.Series:
    """Amounts without idle zeros behind the minor unit of their currency."""
    shown = [None if v is None else _short(v, c) for v, c in zip(column, currencies, strict=True)]
    return pd.Series(shown, index=column.index, dtype=object)


def _short(value: Decimal, currency: str) -> Decimal:
    least = minor_units(currency or "USD")
    places = next((n for n in (least, 3, 6) if n >= least and value == round(value, n)), 6)
    return value.quantize(Decimal(1).scaleb(-places))


def _rounded(out: pd.DataFrame, name: str, currencies: pd.Series, charged: bool) -> pd.Series:
    exact, told = out[name].tolist(), currencies.tolist()
    values: list[Any] = [None] * len(exact)
    for currency in dict.fromkeys(told):  # amounts of one currency add up; currencies are never mixed
        rows = [i for i, (value, own) in enumerate(zip(exact, told, strict=True)) if own == currency and _known(value)]
        amounts = [Decimal(exact[i]) for i in rows]
        for i, amount in zip(rows, round_to_total(amounts, _places(amounts, currency, charged)), strict=True):
            values[i] = amount
    return pd.Series(values, index=out.index, dtype=object)


def _beside(
    frame: pd.DataFrame, out: pd.DataFrame, name: str, other: str, currencies: pd.Series, charged: bool
) -> pd.Series:
    """An amount as another's published amount plus their difference, rounded; where the other is unknown, for itself."""
    both = (frame[name].notna() & frame[other].notna()).to_numpy(bool)
    apart = pd.DataFrame({name: frame[name].astype(object)}, index=frame.index)
    pairs = zip(frame[name], frame[other], both, strict=True)
    apart[name] = pd.Series([Decimal(a) - Decimal(b) if k else a for a, b, k in pairs], index=frame.index, dtype=object)
    rounded = _rounded(apart, name, currencies, charged)
    rounded[both] = [a + b for a, b in zip(rounded[both], out.loc[both, other], strict=True)]
    return rounded


def _places(amounts: Sequence[Decimal], currency: str, charged: bool) -> int:
    small = (
        not charged and any(amounts) and sum(map(abs, amounts), Decimal(0)) < 1
    )  # amounts that cancel out are not small
    return 6 if small else minor_units(currency or "USD")


def _added(values: Iterable[Any], parts: Sequence[str]) -> Decimal | None:
    values = list(values)
    if any(v is None or v != v for v in values):
        return None
    return sum((-v if p.startswith("-") else v for v, p in zip(values, parts, strict=True)), Decimal(0))


def _fit(out: pd.DataFrame, whole: str, parts: Sequence[str], currencies: pd.Series) -> None:
    """Round parts so that each row adds up to its published whole and each column to its rounded total, as near as can be.

    A part with a leading minus is taken away.
    """
    columns = [out[p.lstrip("-")].tolist() for p in parts]
    signs = [-1 if p.startswith("-") else 1 for p in parts]
    wholes, told = out[whole].tolist(), currencies.tolist()
    fitted: list[list[Any]] = [[None] * len(out) for _ in parts]
    for currency in dict.fromkeys(told):
        rows = [i for i, (value, own) in enumerate(zip(wholes, told, strict=True)) if own == currency and _known(value)]
        exact = [
            [
                sign * Decimal(values[i]) if _known(values[i]) else Decimal(0)
                for values, sign in zip(columns, signs, strict=True)
            ]
            for i in rows
        ]
        mine = [Decimal(wholes[i]) for i in rows]
        places = max([minor_units(currency or "USD"), *(-int(w.as_tuple().exponent) for w in mine if w)])
        for i, amounts in zip(rows, fit(exact, mine, places), strict=True):
            for values, amount, sign in zip(fitted, amounts, signs, strict=True):
                values[i] = sign * amount
    for p, values in zip(parts, fitted, strict=True):
        out[p.lstrip("-")] = pd.Series(values, index=out.index, dtype=object)


def fit(rows: Sequence[Sequence[Decimal]], wholes: Sequence[Decimal], places: int) -> list[list[Decimal]]:
    """Round a matrix so that each row adds up to its whole; what columns gained or lost so far decides who gets a cent.

    Args:
        rows: exact amounts, one list per row, of the same parts.
        wholes: the published amount each row must add up to.
        places: decimal places.

    Returns:
        Rounded amounts; each within a unit of its exact amount where the whole is within one of the row's exact sum, and
        columns close to their exact totals.

    >>> fit([[Decimal("0.334"), Decimal("0.333")], [Decimal("0.334"), Decimal("0.333")]], [Decimal("0.67"), Decimal("0.66")], 2)
    [[Decimal('0.34'), Decimal('0.33')], [Decimal('0.33'), Decimal('0.33')]]
    """
    unit = Decimal(1).scaleb(-places)
    behind = [Decimal(0)] * (len(rows[0]) if rows else 0)
    out: list[list[Decimal]] = []
    for amounts, whole in zip(rows, wholes, strict=True):
        floors = [(a / unit).to_integral_value(rounding="ROUND_FLOOR") * unit for a in amounts]
        missing = int((whole - sum(floors, Decimal(0))) / unit)
        alive = [i for i, a in enumerate(amounts) if a] or list(range(len(amounts)))
        owed = sorted(alive, key=lambda i: (-(amounts[i] - floors[i] + behind[i]), -abs(amounts[i]), i))
        step = 1 if missing > 0 else -1
        order = owed if missing > 0 else owed[::-1]
        for n in range(abs(missing)):
            floors[order[n % len(order)]] += step * unit
        behind = [b + a - f for b, a, f in zip(behind, amounts, floors, strict=True)]
        out.append(floors)
    return out


def _known(value: object) -> bool:
    return value is not None and value is not pd.NA and value == value
