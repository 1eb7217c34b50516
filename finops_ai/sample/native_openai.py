"""The sample company's OpenAI usage and costs, as saved pages of the organization API.

One page a month and endpoint, as the API answers to `bucket_width=1d`: `usage_completions_<month>.json` and
`usage_embeddings_<month>.json` grouped by project, user, key, model, batch and tier; `costs_<month>.json` grouped by
project and line item; and `projects.json` with the projects' names. The API knows no prompt and no team.
"""

from __future__ import annotations

import calendar
import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.sample.company import days, unit_prices

if TYPE_CHECKING:
    import pandas as pd

DAY = 86_400
LINE_ITEMS = {"input": "input", "cache_read": "cached input", "output": "output"}


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the pages; returns their paths."""
    frame = slices[slices["provider"] == "openai"].assign(
        date=lambda f: f["charge_period_start"].dt.strftime("%Y-%m-%d"),
        batch=lambda f: f["service_tier"] == "batch",
    )
    chat, embed = frame[frame["operation"] == "chat"], frame[frame["operation"] == "embeddings"]
    documents = {
        **dict(_pages("usage_completions", _usage(chat, "completions"))),
        **dict(_pages("usage_embeddings", _usage(embed, "embeddings"))),
        **dict(_pages("costs", _costs(frame))),
        "projects.json": _projects(frame),
    }
    paths = []
    for name, document in documents.items():
        text = json.dumps(document, indent=1)
        path = folder / name
        path.write_text(re.sub(r'"decimal:([-0-9.]+)"', r"\1", text) + "\n", encoding="utf-8")
        paths.append(path)
    return sorted(paths)


def _usage(frame: pd.DataFrame, kind: str) -> dict[str, list[dict[str, Any]]]:
    """Results by day."""
    keys = ["date", "sub_account_id", "api_key_id", "model", "batch"]
    counts = ["input", "cache_read", "output", "reasoning", "requests"]
    out: dict[str, list[dict[str, Any]]] = {}
    for row in frame.groupby(keys, sort=True)[counts].sum().reset_index().to_dict("records"):
        result: dict[str, Any] = {
            "object": f"organization.usage.{kind}.result",
            "input_tokens": int(row["input"] + row["cache_read"]),
            "num_model_requests": int(row["requests"]),
            "project_id": row["sub_account_id"],
            "user_id": None,
            "api_key_id": row["api_key_id"],
            "model": row["model"],
        }
        if kind == "completions":
            result |= {
                "output_tokens": int(row["output"] + row["reasoning"]),
                "input_cached_tokens": int(row["cache_read"]),
                "input_uncached_tokens": int(row["input"]),
                "input_audio_tokens": 0,
                "output_audio_tokens": 0,
                "batch": bool(row["batch"]),
                "service_tier": None if row["batch"] else "default",
            }
        out.setdefault(row["date"], []).append(result)
    return out


def _costs(frame: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Cost results by day, exact."""
    prices, first = unit_prices(), days()[0].item()
    amounts: dict[tuple[str, str, str], list[int]] = {}
    for row in frame.to_dict("records"):
        price = prices[f"openai/{row['model']}"]
        position = (row["charge_period_start"].date() - first).days
        for meter, text in LINE_ITEMS.items():
            quantity = int(row[meter]) + (int(row["reasoning"]) if meter == "output" else 0)
            if quantity:
                sums = amounts.setdefault((row["date"], row["sub_account_id"], f"{row['model']}, {text}"), [0, 0])
                sums[0] += quantity * int(price[meter][position]) // (2 if row["batch"] else 1)
                sums[1] += quantity
    out: dict[str, list[dict[str, Any]]] = {}
    for (date, project, item), (cost, quantity) in sorted(amounts.items()):
        out.setdefault(date, []).append(
            {
                "object": "organization.costs.result",
                "amount": {"value": f"decimal:{Decimal(cost).scaleb(-12):f}", "currency": "usd"},
                "line_item": item,
                "project_id": project,
                "quantity": quantity,
                "quantity_unit": "tokens",
            }
        )
    return out


def _pages(name: str, results: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One page a month; days without results are buckets without results, as the API gives them."""
    if not results:
        return
    first = min(results)[:7]
    dates = [d for d in (str(day) for day in days()) if d[:7] >= first]
    months = sorted({d[:7] for d in dates})
    for month in months:
        buckets = []
        for date in (d for d in dates if d[:7] == month):
            start = calendar.timegm(dt.date.fromisoformat(date).timetuple())
            buckets.append(
                {"object": "bucket", "start_time": start, "end_time": start + DAY, "results": results.get(date, [])}
            )
        more = month != months[-1]
        page = {
            "object": "page",
            "data": buckets,
            "has_more": more,
            "next_page": f"page_{name}_{month}" if more else None,
        }
        yield f"{name}_{month}.json", page


def _projects(frame: pd.DataFrame) -> dict[str, Any]:
    names = frame[["sub_account_id", "sub_account_name"]].drop_duplicates().sort_values("sub_account_id")
    rows = [
        {
            "object": "organization.project",
            "id": r["sub_account_id"],
            "name": r["sub_account_name"],
            "created_at": 1735689600,
            "status": "active",
        }
        for r in names.to_dict("records")
    ]
    return {"object": "list", "data": rows, "first_id": rows[0]["id"], "last_id": rows[-1]["id"], "has_more": False}
