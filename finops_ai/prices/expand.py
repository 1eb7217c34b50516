"""Prices of every key and day in the data, as one table for an equi-join: resolved once per key and price period."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finops_ai.money import UNIT_PRICE
from finops_ai.prices.cards import rate
from finops_ai.prices.identity import identity
from finops_ai.prices.names import provider_name

if TYPE_CHECKING:
    from finops_ai.prices.book import PriceBook
    from finops_ai.prices.price import Price

_MONEY = pa.decimal128(*UNIT_PRICE)
_EPOCH = date(1970, 1, 1).toordinal()
#: columns `expand` adds to the keys
ADDED = pa.schema([
    ("list_unit_price", _MONEY), ("list_unit_price_over", _MONEY),
    ("contracted_unit_price", _MONEY), ("contracted_unit_price_over", _MONEY),
    ("over_tokens", pa.int64()), ("over_inclusive", pa.bool_()),
    ("price_id", pa.string()), ("price_id_over", pa.string()), ("price_status", pa.string()),
    ("needs_confirmation", pa.bool_()), ("currency", pa.string()),
    ("model_developer", pa.string()), ("model_family", pa.string()), ("model_version", pa.string()),
])  # fmt: skip


def expand(book: PriceBook, keys: pa.Table) -> pa.Table:
    """Add unit prices to distinct keys and days.

    Args:
        book: the price book.
        keys: `provider`, `model`, `meter` and any other of the book's key columns, and `day` (date32, UTC).

    Returns:
        The same rows in the same order with the columns of `ADDED`; prices are per single unit, null = unpriced.
        `over_tokens` is the context threshold above which (or from which, `over_inclusive`) the `_over` prices hold.
        Models with more thresholds than one (some request-size lists) have the first one here and
        `needs_confirmation`; `price_call` prices their calls at every threshold.
    """
    columns = [name for name in keys.column_names if name not in ("day", "hour")]
    which, combos = _distinct(keys, columns)
    days = keys["day"].combine_chunks().cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    hours = (
        keys["hour"].combine_chunks().cast(pa.int64()).fill_null(-1).to_numpy() if "hour" in keys.column_names else None
    )
    low = np.full(len(combos), np.iinfo(np.int64).max)
    high = np.full(len(combos), -1)
    np.minimum.at(low, which, days)
    np.maximum.at(high, which, days)

    rows: list[tuple] = []
    place = np.zeros(keys.num_rows, dtype=np.int64)
    starts, owners, first_row = [], [], []
    for number, combo in enumerate(combos):
        if book.by_time_of_day(combo["provider"], combo["model"]):
            continue
        for start in _period_starts(book, combo, int(low[number]), int(high[number])):
            starts.append(start)
            owners.append(number)
            first_row.append(len(rows))
            rows.append(_row(book, combo, start, None))
    if starts:
        span = 1 << 22  # days never reach it, so combination and day make one sortable number
        marks = np.array(owners, dtype=np.int64) * span + np.array(starts)
        place = np.array(first_row)[np.maximum(np.searchsorted(marks, which * span + days, side="right") - 1, 0)]
    _by_hour(book, combos, which, days, hours, rows, place)
    added = pa.Table.from_arrays(
        [pa.array([row[i] for row in rows], type=field.type) for i, field in enumerate(ADDED)], schema=ADDED
    ).take(pa.array(place))
    for field in ADDED:
        keys = keys.append_column(field, added[field.name])
    return keys


def _by_hour(
    book: PriceBook, combos: list[dict[str, Any]], which: np.ndarray, days: np.ndarray, hours: np.ndarray | None,
    rows: list[tuple], place: np.ndarray,
) -> None:  # fmt: skip
    """Models with time-of-day prices: one look-up per combination, price period, weekday and hour."""
    timed = [n for n, combo in enumerate(combos) if book.by_time_of_day(combo["provider"], combo["model"])]
    if not timed:
        return
    for number in timed:
        combo, found = combos[number], {}
        where = np.flatnonzero(which == number)
        periods = np.array(_period_starts(book, combo, int(days[where].min()), int(days[where].max())))
        for i in where:
            day, hour = int(days[i]), int(hours[i]) if hours is not None else -1
            key = (int(np.searchsorted(periods, day, side="right")), (day + 3) % 7, hour)
            if key not in found:
                found[key] = len(rows)
                rows.append(_row(book, combo, day, hour))
            place[i] = found[key]


def _distinct(keys: pa.Table, columns: list[str]) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """For each row the number of its combination of key values, and the combinations."""
    code = np.zeros(keys.num_rows, dtype=np.int64)
    for name in columns:
        encoded = keys[name].combine_chunks().dictionary_encode(null_encoding="encode")
        code = code * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy(zero_copy_only=False)
        _, code = np.unique(code, return_inverse=True)
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    return which, keys.select(columns).take(pa.array(first)).to_pylist()


def _instant(day: int, hour: int = 0) -> datetime:
    return datetime.fromordinal(_EPOCH + day).replace(tzinfo=UTC) + timedelta(hours=hour)


def _period_starts(book: PriceBook, combo: dict[str, Any], low: int, high: int) -> list[int]:
    turns = {low}
    for at in book.turns(provider_name(combo["provider"]), combo["model"]):
        day = at.toordinal() - _EPOCH
        if low < day <= high:
            turns.add(day)
    return sorted(turns)


def _row(book: PriceBook, combo: dict[str, Any], day: int, hour: int | None) -> tuple:
    at = _instant(day, max(hour or 0, 0))
    listed, contracted = book.both(combo, at, whole_day=hour is not None and hour < 0)
    window = combo.get("context_tier")
    known = {side: price.in_window(window) for side, price in (("list", listed), ("contract", contracted))}
    if known["list"] and known["contract"]:
        listed, contracted = known["list"], known["contract"]
        over = None
    else:
        over = (listed.tiers or contracted.tiers or ((None,),))[0][0]
    list_over, contract_over = _over(listed, over), _over(contracted, over)
    several = over is not None and max(len(listed.tiers), len(contracted.tiers)) > 1  # this table holds one threshold
    who = identity(provider_name(combo["provider"]), listed.model or combo["model"])
    return (
        _rate(listed.unit_price), _rate(list_over[0]), _rate(contracted.unit_price), _rate(contract_over[0]),
        over[0] if over else None, over[1] if over else None,
        contracted.price_id, contract_over[1], contracted.status,
        listed.needs_confirmation or contracted.needs_confirmation or several, contracted.currency,
        who.developer or None, who.family or None, who.version or None,
    )  # fmt: skip


def _rate(price: Decimal | None) -> Decimal | None:
    return None if price is None else rate(price)


def _over(price: Price, over: tuple[int, bool] | None) -> tuple[Any, str | None]:
    if over is None:
        return None, None
    above = price.above(over[0] + 1)
    return above.unit_price, above.price_id
