"""Buckets of the Costs API as a bill frame; what a line item's text says about model, meter and tier."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from finops_ai.errors import DataError
from finops_ai.meters import meters
from finops_ai.money import exact
from finops_ai.periods import next_month
from finops_ai.providers import LeftOut, left_out_of
from finops_ai.providers.parsing import require_shape
from finops_ai_openai.api import Bucket

#: line items of tools and storage name no model; first match wins
TOOL_ITEMS = (
    (r"web.?search", "web_searches"),
    (r"file.?search.*(storage|gib|gb)", "storage"),
    (r"vector.?store", "storage"),
    (r"file.?search", "file_searches"),
    (r"code.?interpreter", "code_sessions"),
    (r"container", "code_sessions"),
)
#: words of a token line item: direction, modality, cache, tier
WORDS = {
    "input": "input", "prompt": "input", "output": "output", "completion": "output", "reasoning": "reasoning",
    "cached": "cached", "cache": "cache", "read": "cached", "write": "write", "writes": "write",
    "text": "", "audio": "audio", "image": "image", "video": "video", "tokens": "", "token": "",
    "training": "training", "30m": "30m", "12h": "12h", "images": "images", "characters": "characters",
    "seconds": "audio_seconds",
    "batch": "batch", "flex": "flex", "priority": "priority", "fast": "fast", "standard": "standard",
}  # fmt: skip
TIERS = ("batch", "flex", "priority", "fast", "standard")
#: Costs API unit -> (unit of meters, how many)
UNITS = {
    "tokens": ("tokens", 1), "1000_tokens": ("tokens", 1000), "images": ("images", 1), "characters": ("characters", 1),
    "duration_seconds": ("seconds", 1), "duration_minutes": ("seconds", 60), "duration_hours": ("seconds", 3600),
    "gibibyte_hours": ("GiB-hours", 1), "sessions": ("sessions", 1), "requests": ("requests", 1),
}  # fmt: skip


@dataclass(frozen=True)
class LineItem:
    """What a line item's text says; meter "unmapped" where it says nothing known."""

    model: str | None
    meter: str
    service_tier: str | None = None


@cache
def read_line_item(text: str | None) -> LineItem:
    """Read the free text of a line item. Its style changed over time; whatever isn't understood is "unmapped".

    >>> read_line_item("gpt-4.1-2025-04-14, cached input")
    LineItem(model='gpt-4.1-2025-04-14', meter='cache_read', service_tier=None)
    >>> read_line_item("gpt-6-astra, input_tokens").meter, read_line_item("evals | something").meter
    ('input', 'unmapped')
    """
    raw = (text or "").strip()
    for pattern, meter in TOOL_ITEMS:
        if re.search(pattern, raw, re.IGNORECASE):
            return LineItem(None, meter)
    model, comma, rest = raw.partition(",")
    if not comma:
        model, rest = "", raw
    said = [WORDS.get(word) for word in re.split(r"[\s,_]+", rest.lower().strip()) if word]
    if None in said or not said:
        return LineItem(None, "unmapped")
    tier = next((word for word in said if word in TIERS), None)
    meter = _meter({word for word in said if word and word not in TIERS})
    return LineItem(model.strip() or None if meter != "unmapped" else None, meter, tier)


def _meter(said: set[str]) -> str:
    modality = next((word for word in ("audio", "image", "video") if word in said), "")
    what = said - {"audio", "image", "video"}
    if what <= {"cached", "cache", "input"} and what & {"cached", "cache"}:
        name = "cache_read"
    elif "write" in what and what <= {"cached", "cache", "write", "input", "30m", "12h"}:
        name = "cache_write" + "".join(f"_{ttl}" for ttl in ("30m", "12h") if ttl in what)
    elif len(what) == 1:
        name = next(iter(what))
    else:
        return "unmapped"
    name = f"{name}_{modality}" if modality else name
    return name if name in meters() else "unmapped"


#: a result of the Costs API
RESULT = dict.fromkeys(("line_item", "project_id", "quantity_unit", "api_key_id", "user_id"), "text") | {
    "amount": {"currency": "text", "value": "value"}
}


def charges_of(
    buckets: Iterable[Bucket], *, account: str, source: str, names: Mapping[str, str]
) -> tuple[dict[str, list[Any]], list[LeftOut]]:
    """Bill-frame columns, one row per result of each bucket, and what can't be billed. Negative amounts are credits.

    The contract lets `amount`, its value and its currency be missing: such a line is left out, with what it states.

    Raises:
        DataError: an amount that is no number; names place and value.
    """
    rows: list[dict[str, Any]] = []
    unbilled: list[tuple[str, str, int, Decimal | None]] = []
    for bucket in buckets:
        start, end = (dt.datetime.fromtimestamp(s, dt.UTC) for s in (bucket.start, bucket.end))
        first = start.replace(day=1, hour=0, minute=0, second=0)
        after = next_month(first.date())
        period = {
            "billing_period_start": first,
            "billing_period_end": dt.datetime(after.year, after.month, after.day, tzinfo=dt.UTC),
            "charge_period_start": start,
            "charge_period_end": end,
        }
        for number, result in enumerate(bucket.results, 1):
            place = f"{bucket.place}, result {number}"
            require_shape(result, RESULT, place)
            amount = result.get("amount") or {}
            said = result.get("line_item") or "(no line item)"
            if amount.get("value") is None:
                unbilled.append((f"a cost line without an amount: {said}", "", 1, None))
            elif not amount.get("currency"):
                value = _number(amount["value"], "amount.value", place)
                unbilled.append((f"an amount without a currency: {said}", "", 1, value))
            else:
                rows.append(period | _charge(result, place, names) | {"billing_account_id": account, "source": source})
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = {name: [row.get(name) for row in rows] for name in columns}
    return table | ({"provider": ["openai"] * len(rows)} if rows else {}), left_out_of(unbilled)


def _charge(result: dict[str, Any], place: str, names: Mapping[str, str]) -> dict[str, Any]:
    amount = result["amount"]
    value = _number(amount["value"], "amount.value", place)
    text, project = result.get("line_item"), result.get("project_id")
    item = read_line_item(text)
    unit, quantity = result.get("quantity_unit"), result.get("quantity")
    charge = {
        "sub_account_id": project,
        "sub_account_name": names.get(project or ""),
        "charge_category": "Credit" if value < 0 else "Usage",
        "charge_description": text or "(no line item)",
        "service_name": "OpenAI API",
        "model": item.model,
        "meter": item.meter,
        "service_tier": item.service_tier,
        "billed_cost": value,
        "billing_currency": str(amount["currency"]).upper(),
        "api_key_id": result.get("api_key_id"),
        "user_id": result.get("user_id"),
    }
    if quantity is not None:
        charge["pricing_quantity"] = _number(quantity, "quantity", place)
        charge["pricing_unit"] = unit
        kind, times = UNITS.get(unit or "", ("", 0))
        if kind == meters()[item.meter].unit:
            charge["consumed_quantity"] = charge["pricing_quantity"] * times
            charge["consumed_unit"] = kind
    return charge


def _number(value: Any, name: str, place: str) -> Decimal:
    try:
        return exact(value)
    except (ValueError, ArithmeticError):
        raise DataError(f"{place}: {name} is {value!r:.60}, which is no number. Nothing was stored.") from None
