"""The sample company's Anthropic usage and cost, as saved pages of the organization's reports.

From 2026-01 on a page a month of `analytics/usage` and `analytics/cost`; before that, where those reports have
nothing, pages of `usage_report/messages` and `cost_report`. Usage is grouped by workspace, key, person, model and price
modifiers, cost by workspace, model, tier and line item. Amounts are in cents. The reports know no prompt and no team.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.sample.company import days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

COUNTS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "requests"]
TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_write_5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache_write_1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
}
ANALYTICS_FROM = "2026-01"
WHO = ["sub_account_id", "api_key_id", "user_id", "model", "service_tier", "context_tier", "inference_geo"]


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the pages; returns their paths."""
    frame = slices[slices["provider"] == "anthropic"].assign(
        date=lambda f: f["charge_period_start"].dt.strftime("%Y-%m-%d"), output=lambda f: f["output"] + f["reasoning"]
    )
    paths = []
    for month, rows in frame.groupby(frame["date"].str[:7], sort=True):
        for report, page in _pages(str(month), rows):
            path = folder / f"{report}_{month}.json"
            path.write_text(json.dumps(page, separators=(",", ":")) + "\n", encoding="utf-8")
            paths.append(path)
    return sorted(paths)


def _pages(month: str, rows: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    usage, cost = list(_usage(rows)), list(_cost(rows))
    if month >= ANALYTICS_FROM:
        last = dt.date.fromisoformat(max(rows["date"])) + dt.timedelta(days=3)
        mark = {"has_more": False, "next_page": None, "data_refreshed_at": f"{last}T08:00:00Z"}
        total = [{**n, "total_tokens": _total(n), "requests": r} for _, _, n, r in usage]
        data = [{**_day(d), "group": g, "usage": n} for (d, g, _, _), n in zip(usage, total, strict=True)]
        yield "analytics_usage", {"data": data, **mark}
        paid = [{"amount": c, "list_amount": c, "currency": "USD", "requests": None} for _, _, c in cost]
        yield (
            "analytics_cost",
            {"data": [{**_day(d), "group": g, "cost": c} for (d, g, _), c in zip(cost, paid, strict=True)], **mark},
        )
        return
    buckets: dict[str, list[Any]] = {}
    for date, group, counts, _ in usage:
        actor = group.pop("actor")
        who = {"account_id": actor["user_id"] if actor["type"] == "user_actor" else None, "service_account_id": None}
        buckets.setdefault(date, []).append({**counts, **group, **who})
    yield "usage_report_messages", _bucketed(buckets)
    buckets = {}
    for date, group, cents in cost:
        text = {"description": f"{group['model']} Usage - {group['token_type']}", "context_window": "0-200k"}
        buckets.setdefault(date, []).append({"amount": cents, "currency": "USD", **group, **text})
    yield "cost_report", _bucketed(buckets)


def _usage(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], int]]:
    """Date, group, counts and requests."""
    sums = frame.groupby(["date", *WHO], sort=True, dropna=False)[COUNTS].sum().reset_index()
    for row in sums.astype(object).where(sums.notna(), None).to_dict("records"):
        user = row["user_id"]
        person = {"type": "user_actor", "user_id": user, "email_address": None, "name": None, "deleted": False}
        group = {
            "actor": person if user else {"type": "api_actor", "api_key_id": row["api_key_id"]},
            "api_key_id": row["api_key_id"],
            "context_window": row["context_tier"],
            "inference_geo": row["inference_geo"],
            "model": row["model"],
            "service_tier": row["service_tier"],
            "speed": "standard",
            "workspace_id": row["sub_account_id"],
        }
        counts = {
            "uncached_input_tokens": int(row["input"]),
            "cache_creation": {
                "ephemeral_5m_input_tokens": int(row["cache_write_5m"]),
                "ephemeral_1h_input_tokens": int(row["cache_write_1h"]),
            },
            "cache_read_input_tokens": int(row["cache_read"]),
            "output_tokens": int(row["output"]),
            "server_tool_use": {"web_search_requests": 0},
        }
        yield row["date"], group, counts, int(row["requests"])


def _cost(frame: pd.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Date, group and exact cents."""
    prices, first = unit_prices(), days()[0].item()
    keys = ["date", "sub_account_id", "model", "service_tier"]
    for row in frame.groupby(keys, sort=True)[COUNTS].sum().reset_index().to_dict("records"):
        price = prices[f"anthropic/{row['model']}"]
        position = (dt.date.fromisoformat(row["date"]) - first).days
        for meter, token_type in TOKEN_TYPES.items():
            if row[meter]:
                pico = int(row[meter]) * int(price[meter][position]) // (2 if row["service_tier"] == "batch" else 1)
                group = {
                    "workspace_id": row["sub_account_id"],
                    "model": row["model"],
                    "service_tier": row["service_tier"],
                    "cost_type": "tokens",
                    "token_type": token_type,
                }
                yield row["date"], group, f"{Decimal(pico).scaleb(-10):f}"


def _total(counts: dict[str, Any]) -> int:
    plain = [n for n in counts.values() if isinstance(n, int)]
    return int(sum(plain) + sum(counts["cache_creation"].values()))


def _day(date: str) -> dict[str, str]:
    following = dt.date.fromisoformat(date) + dt.timedelta(days=1)
    return {"starting_at": f"{date}T00:00:00Z", "ending_at": f"{following}T00:00:00Z"}


def _bucketed(buckets: dict[str, list[Any]]) -> dict[str, Any]:
    data = [{**_day(date), "results": results} for date, results in sorted(buckets.items())]
    return {"data": data, "has_more": False, "next_page": None}
