"""Use that the line of a billing cycle charges in another month: a cycle from the 12th is billed with the month it begins in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import pandas as pd

from finops_ai.periods import UTC, Window, zone

#: a line this short is a day, if one of another zone
_DAY = pd.Timedelta(hours=25)
#: what is added up of usage, and so taken from one month and given to another
_SUMS = ("cost", "quantity", "rows", "unpriced", "stated")


class Cycle(NamedTuple):
    """A line of use over days of more than one month; `model` and `meter` where it names them."""

    provider: str
    account: str
    currency: str
    month: str
    model: str | None
    meter: str | None
    window: Window


def cycles_of(bills: pd.DataFrame, timezone: str) -> list[Cycle]:
    """The cycles of a bill's lines of use, no instant of a model's use in two of them.

    Args:
        bills: bill frame.
        timezone: whose months.
    """
    if not len(bills):
        return []
    use = bills[(bills["charge_category"] == "Usage").to_numpy(bool, na_value=False)]
    names = [
        "provider",
        "billing_account_id",
        "billing_currency",
        "model",
        "meter",
        "charge_period_start",
        "charge_period_end",
    ]
    rows = use[names].drop_duplicates().sort_values(["charge_period_start", "charge_period_end"])
    texts = ["billing_currency", "model", "meter"]
    rows = rows.assign(**rows[texts].astype(object).where(rows[texts].notna(), None))
    out: list[Cycle] = []
    until: dict[tuple[Any, ...], datetime] = {}
    for provider, account, currency, model, meter, start, end in rows.itertuples(index=False, name=None):
        first, last = (moment.tz_convert(zone(timezone)) for moment in (start, end - pd.Timedelta(1, "us")))
        if f"{first:%Y-%m}" == f"{last:%Y-%m}" or end - start <= _DAY:
            continue
        named = model and model.lower(), None if meter == "unmapped" else meter
        place = (provider, account, currency, *named)
        begins = max(start.to_pydatetime().astimezone(UTC), until.get(place, datetime.min.replace(tzinfo=UTC)))
        ends = end.to_pydatetime().astimezone(UTC)
        if begins < ends:
            until[place] = ends
            out.append(
                Cycle(
                    provider,
                    account,
                    currency or "",
                    f"{first:%Y-%m}",
                    *named,
                    Window(begins, ends),
                )
            )
    return out


def billed_in(
    usage: Sequence[dict[str, Any]], cycles: Sequence[Cycle], within: Callable[[Window], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Usage with the month whose bill has it, `billed_in`: its own, or the one in which the cycle of its day is billed.

    What changes month is taken from its own month and given to the other, as rows that say so (`moved`).

    Args:
        usage: rows of usage by day and month.
        cycles: of the bill.
        within: gives such rows of a window alone.
    """
    out = [row | {"billed_in": row["month"], "moved": False} for row in usage]
    for cycle in cycles:
        for row in within(cycle.window):
            mine = (row["provider"], row["billing_account_id"], row["currency"]) == cycle[:3]
            named = cycle.model in (None, row["model"]) and cycle.meter in (None, row["meter"])
            if mine and named and row["month"] != cycle.month:
                less = {name: None if row[name] is None else -row[name] for name in _SUMS}
                out += [
                    row | {"billed_in": cycle.month, "moved": True},
                    row | less | {"billed_in": row["month"], "moved": True},
                ]
    return out


def reaching_into(bills: pd.DataFrame, start: datetime) -> pd.DataFrame:
    """Lines of use that began before an instant and go on after it."""
    until = (bills["charge_period_end"] > start) & (bills["charge_period_start"] < start)
    use = (bills["charge_category"] == "Usage").to_numpy(bool, na_value=False)
    return bills[use & until.to_numpy(bool, na_value=False)]


__all__ = ["Cycle", "billed_in", "cycles_of", "reaching_into"]
