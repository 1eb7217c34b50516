"""Cost rows of either report family to a bill frame. Amounts are decimal strings in cents: "123.45" is $1.2345."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from finops_ai.errors import ProviderError
from finops_ai.frames import BillFrame, conform
from finops_ai.meters import service_tier
from finops_ai.money import exact
from finops_ai.periods import UTC, Window, next_month
from finops_ai_anthropic.people import actor_of, labels_of
from finops_ai_anthropic.usage import moment, place

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

TOKEN_TYPES = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
    "output_tokens": "output",
}
COST_TYPES = {"web_search": "web_searches", "code_execution": "code_hours"}


def bill_frame(
    rows: Iterable[Row],
    window: Window,
    *,
    account: str,
    names: dict[str, dict[str, Row]],
    source: str,
    notes: list[str],
) -> pd.DataFrame:
    """Bill frame of the cost rows whose day starts in the window.

    `billed_cost` is after discounts and before credits; `list_cost` is before discounts where the report states it.
    A cost or token type this version doesn't know keeps its text in `charge_description` under the meter 'unmapped'.

    Raises:
        ProviderError: a row lacks its amount or has an impossible one; names the row.
    """
    columns: dict[str, list[Any]] = {}
    moments: dict[str, dt.datetime] = {}
    strange: set[str] = set()
    for row in rows:
        start = moment(row["starting_at"], moments)
        if not window.start <= start < window.end:
            continue
        name = meter_of(row)
        if name == "unmapped":
            strange.add(describe(row))
        actor = actor_of(row)
        workspace, tier = row.get("workspace_id"), row.get("service_tier")
        key = row.get("api_key_id") or actor.key
        billed = dollars(row, "amount")
        month = start.date().replace(day=1)
        values = {
            "provider": "anthropic",
            "billing_account_id": row.get("organization_id") or account,
            "sub_account_id": workspace,
            "sub_account_name": names.get("workspaces", {}).get(workspace or "", {}).get("name"),
            "billing_period_start": dt.datetime(month.year, month.month, 1, tzinfo=UTC),
            "billing_period_end": dt.datetime.combine(next_month(month), dt.time(), UTC),
            "charge_period_start": start,
            "charge_period_end": moment(row["ending_at"], moments),
            "charge_category": "Credit" if billed < 0 else "Usage",
            "charge_description": describe(row),
            "service_name": "Claude API",
            "model": row.get("model"),
            "meter": name,
            "service_tier": service_tier(tier) if tier else None,
            "list_cost": dollars(row, "list_amount") if row.get("list_amount") is not None else None,
            "contracted_cost": billed,
            "effective_cost": billed,
            "billed_cost": billed,
            "billing_currency": row.get("currency") or "USD",
            "api_key_id": key,
            "user_id": actor.user_id,
            "tags": labels_of(row, actor, key, names.get("api_keys", {})),
            "source": source,
        }
        for column, value in values.items():
            columns.setdefault(column, []).append(value)
    if strange:
        notes.append(
            f"Anthropic bills line items this version doesn't know ({'; '.join(sorted(strange)[:3])}): unmapped."
        )
    return conform(columns, BillFrame, source="anthropic")


def meter_of(row: Row) -> str:
    """The meter a cost row is for.

    >>> meter_of({"cost_type": "tokens", "token_type": "output_tokens"}), meter_of({"cost_type": "session_usage"})
    ('output', 'unmapped')
    """
    kind = row.get("cost_type")
    if kind == "tokens":
        return TOKEN_TYPES.get(row.get("token_type") or "", "unmapped")
    return COST_TYPES.get(kind or "", "unmapped")


def describe(row: Row) -> str:
    """The line item's own text, or its type where the report has no text.

    >>> describe({"cost_type": "tokens", "token_type": "output_tokens", "model": "claude-opus-5"})
    'claude-opus-5 tokens output_tokens'
    """
    if row.get("description"):
        return str(row["description"])
    return " ".join(str(row[k]) for k in ("model", "cost_type", "token_type") if row.get(k)) or "Claude usage"


def dollars(row: Row, field: str) -> Decimal:
    """An amount in cents as dollars, exactly.

    >>> dollars({"amount": "123.45"}, "amount")
    Decimal('1.2345')

    Raises:
        ProviderError: the amount is missing or no number.
    """
    try:
        return exact(row[field]).scaleb(-2)
    except (KeyError, ValueError, ArithmeticError):
        raise ProviderError(
            f"anthropic: {field} is {row.get(field)!r} on {place(row)}, must be a decimal string in cents. Nothing was stored."
        ) from None
