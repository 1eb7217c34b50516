"""Kiro's user report: `…/user_report/…_user_report_*.csv`, one file per client and day, credits per person.

A person's credits of a day are those of all clients together. Their money, seat and overage, is on the AWS bill: rows have none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.frames import conform
from finops_ai.frames.types import QUANTITY_TYPE, TAGS_TYPE
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import UTC, Window
from finops_ai.providers.amounts import quantity
from finops_ai.providers.files import read_csv

if TYPE_CHECKING:
    import pandas as pd

TOOL = "kiro"
NEEDED = ("Date", "UserId", "Client_Type", "Credits_Used", "Overage_Credits_Used")
DAY = dt.timedelta(days=1)


def is_report(header: Sequence[str]) -> bool:
    """Whether a CSV's header is the user report's."""
    return set(NEEDED) <= {name.strip().strip('"').removeprefix("\ufeff") for name in header}


def token_frame(paths: Sequence[Path], window: Window, *, account: str, notes: list[str]) -> pd.DataFrame:
    """Token frame of reports: credits of a day by person and client, those beyond the plan as cash, the others as included.

    Raises:
        DataError: a figure is none, or two reports state different credits of the same person, client and day.
    """
    rows: dict[tuple[Any, ...], tuple[Decimal, Decimal, str | None, str]] = {}
    twice = 0
    for path in paths:
        for number, row in read_csv(path, NEEDED):
            place = f"{path}, line {number}"
            key = (
                _day(row["Date"], place),
                row["UserId"].strip(),
                row["Client_Type"].strip(),
                (row.get("ProfileId") or "").strip(),
            )
            used, over = (_credits(row[name], name, place) for name in ("Credits_Used", "Overage_Credits_Used"))
            if over > used:  # the report counts them beside
                used += over
            found = (used, over, (row.get("Subscription_Tier") or "").strip() or None, place)
            if key in rows:
                twice += 1
                if rows[key][:2] != found[:2]:
                    raise DataError(
                        f"{place} and {rows[key][3]} state different credits of {key[1]} on {key[0]:%Y-%m-%d} by {key[2]}. Keep one."
                    )
                continue
            rows[key] = found
    if twice:
        notes.append(f"{twice} rows are in several reports of Kiro: counted once.")
    slices = []
    for (day, who, client, _), (used, over, tier, _) in rows.items():
        for basis, credits in (("included", used - over), ("cash", over)):
            if credits and day in window:
                slices.append((day, who, client, tier, basis, credits))
    if not slices:
        return conform({}, source=TOOL)
    columns: dict[str, Any] = {
        "charge_period_start": [s[0] for s in slices],
        "charge_period_end": [s[0] + DAY for s in slices],
        "provider": TOOL,
        "billing_account_id": account,
        "model": "not stated",
        "operation": "chat",
        "service_tier": "standard",
        "user_id": [s[1] for s in slices],
        "tool_name": TOOL,
        "tags": pa.array(
            [[(k, v) for k, v in (("client", s[2]), ("plan", s[3])) if v] or None for s in slices], TAGS_TYPE
        ),
        "source": "file",
        "quantity_basis": "metered",
        "money_basis": [s[4] for s in slices],
        "slice_requests": pa.nulls(len(slices), pa.int64()),
    }
    credits = pa.array([s[5] for s in slices], QUANTITY_TYPE)
    return conform(tokens_from_slices(columns, {"credits": credits}), source=TOOL)


def _day(text: str, place: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text.strip()[:10]).replace(tzinfo=UTC)
    except ValueError:
        raise DataError(f"{place}: Date is {text!r}, must be a day. Nothing was stored.") from None


def _credits(text: str, name: str, place: str) -> Decimal:
    try:
        value = quantity((text or "").strip() or "0", place)
        if value is None or value < 0:
            raise ValueError
        return value
    except (ValueError, ArithmeticError):
        raise DataError(f"{place}: {name} is {text!r}, must be a number of 0 or more. Nothing was stored.") from None
