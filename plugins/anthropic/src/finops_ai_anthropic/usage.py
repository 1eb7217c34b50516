"""Usage rows of either report family to a token frame. Their counts are disjoint already: cache reads and writes
stand beside the uncached input, and thinking is inside the output (the reports never tell it apart)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import ProviderError
from finops_ai.frames import conform
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.meters import normalise_columns, service_tier, tokens_from_slices
from finops_ai.periods import Window, instant
from finops_ai.providers.amounts import count
from finops_ai_anthropic.people import actor_of, labels_of

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

#: the token counts of a row by their dotted path, and the searches
TOKENS = [
    "uncached_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
]
SEARCHES = "server_tool_use.web_search_requests"
PARTS = {
    "cache_creation": {"ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"},
    "server_tool_use": {"web_search_requests"},
}
#: every key of a row this version knows; a new one that holds a count becomes an 'unmapped' row
KNOWN_KEYS = {
    *(path.split(".")[0] for path in [*TOKENS, SEARCHES]), "total_tokens", "requests", "starting_at", "ending_at",
    "actor", "actor_type", "agent_id", "api_key_id", "claude_tag_category", "claude_tag_user_id", "context_window",
    "deployment_id", "environment_id", "inference_geo", "model", "organization_id", "product", "rbac_group_id",
    "service_tier", "session_id", "slack_channel_id", "speed", "user_profile_id", "workspace_id", "account_id",
    "service_account_id",
}  # fmt: skip

#: products that are coding tools, as their logs and telemetry call them
TOOLS = {"claude_code": "claude-code", "claude-code": "claude-code"}
SLICE = [
    "charge_period_start", "charge_period_end", "billing_account_id", "sub_account_id", "sub_account_name", "model",
    "service_tier", "context_tier", "inference_geo", "api_key_id", "user_id", "tags", "tool_name", "slice_requests",
]  # fmt: skip


def token_frame(
    rows: Iterable[Row],
    window: Window,
    *,
    account: str,
    names: dict[str, dict[str, Row]],
    source: str,
    notes: list[str],
) -> pd.DataFrame:
    """Token frame of the usage rows that start in the window.

    Args:
        rows: flat rows: bucket, dimensions and counts.
        window: half open; other rows are left out.
        account: the organization's id, where the rows don't state it.
        names: {"workspaces": {id: object}, "api_keys": {id: object}}, as far as known.
        source: the frame's `source`: "api" or "file".
        notes: gets a line where a row has a count this version doesn't know.

    Raises:
        ProviderError: a row lacks a count, has an impossible one, or doesn't add up; names the row and the field.
    """
    kept: list[tuple[Any, ...]] = []
    counted: list[tuple[int, ...]] = []
    unmapped: list[int] = []
    moments: dict[str, dt.datetime] = {}
    workspaces, api_keys = names.get("workspaces", {}), names.get("api_keys", {})
    for row in rows:
        start = moment(row["starting_at"], moments)
        if not window.start <= start < window.end:
            continue
        strange = strange_counts(row)
        counted.append(counts_of(row, sum(n for name, n in strange if name.endswith("tokens")) if strange else 0))
        actor = actor_of(row)
        tier, geo, workspace = row.get("service_tier"), row.get("inference_geo"), row.get("workspace_id")
        key = row.get("api_key_id") or actor.key
        tags = labels_of(row, actor, key, api_keys)
        if strange:
            tags = [*(tags or []), ("unmapped", "+".join(name for name, _ in strange))]
        unmapped.append(sum(n for _, n in strange) if strange else 0)
        values = (
            start, moment(row["ending_at"], moments), row.get("organization_id") or account, workspace,
            workspaces.get(workspace or "", {}).get("name"), row.get("model") or "not stated",
            "fast" if row.get("speed") == "fast" else service_tier(tier), row.get("context_window"),
            None if geo == "not_available" else geo, key, actor.user_id, tags, TOOLS.get(row.get("product") or ""), count(row.get("requests")),
        )  # fmt: skip
        kept.append(values)
    if not kept:
        return conform({}, source="anthropic")
    slices = dict(zip(SLICE, map(list, zip(*kept, strict=True)), strict=True))
    counts = {
        path: pa.array(column, pa.int64())
        for path, column in zip([*TOKENS, SEARCHES], zip(*counted, strict=True), strict=True)
    }
    constant = {"provider": "anthropic", "operation": "chat", "source": source, "quantity_basis": "metered"}
    columns: dict[str, Any] = {**slices, **constant, "tags": pa.array(slices["tags"], TAGS_TYPE)}
    meters: dict[str, Any] = dict(normalise_columns(counts, "anthropic.usage_report"))
    meters["requests"] = slices["slice_requests"]
    if any(unmapped):
        meters["unmapped"] = unmapped
        notes.append("Anthropic reports counts this version doesn't know; they are rows of the meter 'unmapped'.")
    return conform(tokens_from_slices(columns, meters), source="anthropic")


def counts_of(row: Row, strange: int) -> tuple[int, ...]:
    """A row's counts in the order of `TOKENS`, then the searches, checked against the total the row states.

    Raises:
        ProviderError: a count is missing, negative or no whole number, or the parts don't come to the total.
    """
    try:
        cache = row["cache_creation"] or {}
        stated = (
            row["uncached_input_tokens"],
            row["cache_read_input_tokens"],
            row["output_tokens"],
            cache.get("ephemeral_5m_input_tokens") or 0,
            cache.get("ephemeral_1h_input_tokens") or 0,
            (row.get("server_tool_use") or {}).get("web_search_requests") or 0,
        )
    except KeyError as error:
        raise ProviderError(
            f"anthropic: {place(row)} has no {error}. The report changed: update finops-ai-anthropic. Nothing was stored."
        ) from None
    values = tuple(map(count, stated))
    for path, value in zip([*TOKENS, SEARCHES], values, strict=True):
        if type(value) is not int or value < 0:
            raise ProviderError(
                f"anthropic: {path} is {value!r} on {place(row)}, must be a whole number. Nothing was stored."
            )
    total, parts = count(row.get("total_tokens")), sum(values[:5])
    if total is not None and total != parts and total != parts + strange:
        raise ProviderError(
            f"anthropic: the parts of {place(row)} come to {parts} tokens, its total_tokens says {total}. "
            "The report has a count this version doesn't know: update finops-ai-anthropic. Nothing was stored."
        )
    return values


def strange_counts(row: Row) -> list[tuple[str, int]]:
    """Counts above 0 under names this version doesn't know.

    >>> strange_counts({"model": "m", "cache_creation": {"ephemeral_12h_input_tokens": 7}, "new_tokens": 3, "note": "x"})
    [('new_tokens', 3), ('cache_creation.ephemeral_12h_input_tokens', 7)]
    """
    found = []
    if not row.keys() <= KNOWN_KEYS:
        found = [(name, row[name]) for name in row if name not in KNOWN_KEYS]
    for outer, known in PARTS.items():
        inner = row.get(outer)
        if inner and not inner.keys() <= known:
            found += [(f"{outer}.{name}", inner[name]) for name in inner if name not in known]
    counted = [(name, count(n)) for name, n in found]
    return [(name, n) for name, n in counted if type(n) is int and n > 0]


def moment(text: str, known: dict[str, dt.datetime]) -> dt.datetime:
    """An instant of the reports; equal texts are read once."""
    if text not in known:
        known[text] = instant(text)
    return known[text]


def place(row: Row) -> str:
    """A row in words, for messages."""
    return f"the row of {row.get('starting_at')}, model {row.get('model')!r}, workspace {row.get('workspace_id')!r}"
