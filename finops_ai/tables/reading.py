"""How a table reads: what one row is, what its columns are counted in, and a cell as people write it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.figures import catalogue

#: what columns that aren't measures of the catalogue are counted in, by the pattern of their name; the first that matches
UNITS = [
    (r".*_per_million", "in {currency} per million tokens"),
    (r"cost_per_(?P<what>\w+)", "in {currency} per {what}"),
    (r"yhat|lo-\d+|hi-\d+", "in {currency} a point in time"),
    (r"\w+_share|share|used|pacing|overrun_probability|coverage_\d+", "as shares (1 is the whole)"),
    (r"times|vs_cheapest|rel\w+|MASE", "as ratios"),
]  # fmt: skip
#: decimal places that a published amount has at most
_FINEST = 6
_KINDS = {"share": "as shares (1 is the whole)", "ratio": "as ratios", "days": "in days"}


def is_number(column: pd.Series) -> bool:
    """Whether a column holds figures (exact decimals count, also where they are Python objects)."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return False
    if pd.api.types.is_numeric_dtype(column.dtype):
        return True
    if column.dtype != object:
        return False
    known = [v for v in column if v is not None and v is not pd.NA and v == v]
    return bool(known) and all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in known)


def keys_of(frame: pd.DataFrame, money: Sequence[str] = ()) -> list[str]:
    """The columns that say what a row is of: those before the first figure, or the names of its index.

    >>> keys_of(pd.DataFrame({"team": ["a"], "model": ["m"], "cost": [1.0], "cause": ["x"]}))
    ['team', 'model']
    """
    if any(name is not None for name in frame.index.names):
        return [str(name) for name in frame.index.names if name is not None]
    keys: list[str] = []
    for i, name in enumerate(frame.columns):
        if name in money or is_number(frame.iloc[:, i]):
            break
        keys.append(str(name))
    return keys


def grain_of(frame: pd.DataFrame, money: Sequence[str] = ()) -> str:
    """What one row is, to follow the number of rows: ", one per team and model"; "" where nothing says."""
    keys = [k.removeprefix("tags.").replace("_", " ") for k in keys_of(frame, money)]
    if not keys or len(keys) > 6:
        return ""
    return ", one per " + (" and ".join([", ".join(keys[:-1]), keys[-1]]) if len(keys) > 1 else keys[0])


def units_of(columns: Iterable[str], money: Sequence[str], currency: str) -> str:
    """What the columns are counted in, those of one unit together.

    >>> units_of(["team", "cost", "requests", "cache_hit_rate", "cost_per_request"], ["cost"], "EUR")
    'cost in EUR; cache_hit_rate as shares (1 is the whole); cost_per_request in EUR per request'
    """
    named = currency or ("the currency of its row" if money else "")
    groups: dict[str, list[str]] = {}
    columns = list(columns)
    for column in columns:
        if column == "value" and "unit" in columns:
            groups.setdefault("in the unit of its row", []).append(column)
            continue
        if column in money:
            groups.setdefault(f"in {named}", []).append(column)
            continue
        one = catalogue().get(column)
        if one is not None and one.kind != "money":
            if one.unit != column and (named or "{currency}" not in one.unit):
                groups.setdefault(_KINDS.get(one.kind, f"in {one.unit_of(named)}"), []).append(column)
            continue
        for pattern, unit in UNITS:
            if (found := re.fullmatch(pattern, column)) and (named or "{currency}" not in unit):
                groups.setdefault(unit.format(currency=named, **found.groupdict()), []).append(column)
                break
    return "; ".join(f"{', '.join(names)} {unit}" for unit, names in groups.items())


def share_text(value: float | None) -> str:
    """A share as percent text; what isn't whole never reads 100%, what isn't nothing never 0%.

    >>> share_text(0.9876), share_text(0.99999), share_text(None)
    ('98.8%', '>99.9%', 'unknown')
    """
    if value is None:
        return "unknown"
    if 0.9995 <= value < 1:
        return ">99.9%"
    return "<0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def cell_text(value: object, money: bool = False) -> Any:
    """A cell for people: separators, long fractions cut to what matters, nulls as a dash; published `money` has its own digits.

    >>> [cell_text(Decimal(v)) for v in ("1234567.89", "12.50", "0.0612345678", "3", "0.000002500", "4999.999998")]
    ['1,234,567.89', '12.50', '0.06123', '3', '0.0000025', '5,000']
    >>> [cell_text(Decimal(v), money=True) for v in ("1234", "1234.5", "1234.500", "0.009559")]
    ['1,234', '1,234.5', '1,234.500', '0.009559']
    """
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, Decimal):
        places = -int(value.as_tuple().exponent)
        if money and places <= _FINEST:
            return f"{value:,f}"
        if places not in (2, 3) and (value == value.to_integral_value() or (places <= 6 and abs(value) >= 1000)):
            return f"{value:,.0f}"  # a count; parts of divided calls and tokens are not told apart
        if abs(value) < 1 and places > 2 and value:
            return f"{value:.{3 - value.adjusted()}f}".rstrip("0").rstrip(".")
        return f"{value:,.2f}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return f"{value:%Y-%m-%d}"
    return value


def sums_of(frame: pd.DataFrame, money: Sequence[str]) -> dict[str, Any]:
    """The last line of a table whose rows are parts of a whole: sums of amounts and counts, by column.

    They are of what is known, as the whole's own row and a report's total are; None where nothing is.

    >>> sums_of(pd.DataFrame({"team": ["a", "b"], "cost": [Decimal(1), Decimal(2)], "requests": [3, 4], "due": None}), ["cost", "due"])
    {'team': 'total', 'cost': Decimal('3'), 'requests': 7, 'due': None}
    """
    keys = keys_of(frame, money)
    if len(frame) < 2 or not keys or keys[0] not in frame.columns:
        return {}
    sums: dict[str, Any] = {keys[0]: "total"}
    for name in frame.columns[len(keys) :]:
        one = catalogue().get(str(name))
        if name in money or (one is not None and one.kind == "count"):
            known = [v for v in frame[name].astype(object) if not (v is None or v is pd.NA or v != v)]
            sums[str(name)] = sum(known) if known else None
    return sums if len(sums) > 1 else {}


def only_zeros(frame: pd.DataFrame) -> list[str]:
    """The columns of figures that are 0 or unknown in every row.

    >>> only_zeros(pd.DataFrame({"team": ["a"], "cost": [Decimal(1)], "tax": [Decimal(0)], "fees": [None]}))
    ['tax', 'fees']
    """
    columns = frame.astype(object)
    return [
        str(n)
        for n in columns
        if all(v is None or v is pd.NA or v != v or (v == 0 and v is not False) for v in columns[n])
    ]


def columns_that_fit(
    shown: pd.DataFrame, width: float = math.inf, last: Mapping[str, Any] | None = None, money: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """As many columns as fit side by side, figures to the right, as text; and the names of the others.

    `last` is a further line, by column, which needn't have all of them; columns of `money` hold published amounts.

    >>> columns_that_fit(pd.DataFrame({"team": ["search"], "cost": [Decimal("1234.50")], "remark": ["x" * 50]}), 40)
    ('team        cost\\nsearch  1,234.50', ['remark'])
    """
    blocks: list[list[str]] = []
    used = 0
    for i, name in enumerate(shown.columns):
        column = shown.iloc[:, i]
        cells = [_line(str(name)), *(_line(str(cell_text(v, name in money))) for v in column.astype(object))]
        if last:
            cells.append(_line(str(cell_text(last[name], name in money))) if name in last else "")
        wide = max(map(len, cells))
        if blocks and used + 2 + wide > width:
            return _side_by_side(blocks), [str(c) for c in shown.columns[i:]]
        used += wide + (2 if blocks else 0)
        blocks.append([c.rjust(wide) if is_number(column) else c.ljust(wide) for c in cells])
    return _side_by_side(blocks), []


def _side_by_side(blocks: list[list[str]]) -> str:
    return "\n".join("  ".join(row).rstrip() for row in zip(*blocks, strict=True))


def _line(text: str, most: int = 60) -> str:
    """One line of printable text."""
    text = "".join(ch if ch.isprintable() else "\ufffd" for ch in text)
    return text if len(text) <= most else text[: most - 1] + "…"
