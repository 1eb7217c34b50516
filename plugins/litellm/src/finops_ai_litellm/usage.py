"""Spend-log rows to a token frame. The gateway's totals include cache reads and writes and reasoning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError, UsageError
from finops_ai.frames import conform
from finops_ai.frames.types import COST_TYPE, TAGS_TYPE
from finops_ai.meters import format_named, meters, normalise, normalise_columns, service_tier, tokens_from_slices
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.providers.parsing import require_shape
from finops_ai_litellm import spendlog
from finops_ai_litellm.shapes import COUNTS, METADATA, ROW, USAGE
from finops_ai_litellm.spendlog import Row

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "litellm.usage"
DAY_COUNTS = ("prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
SLICE = [
    "charge_period_start", "charge_period_end", "provider", "billing_account_id", "sub_account_id", "sub_account_name",
    "resource_id", "model", "operation", "service_tier", "inference_geo", "api_key_id", "user_id", "prompt_id", "tags",
    "request_id", "billed_cost", "outcome",
]  # fmt: skip


def token_frame(
    rows: Iterable[Row], window: Window, *, accounts: Mapping[str, str], prompt_tag: str, source: str, notes: list[str]
) -> pd.DataFrame:
    """Token frame of the rows that start in the window, one slice a call (or a day's sum).

    The gateway's own cost figure stands on the `requests` row of each call (`billed_cost`, USD). A call the gateway
    answered from its cache has no tokens: no provider served it.

    Args:
        rows: spend-log rows; one request id counts once.
        window: half open.
        accounts: provider -> billing account id, where known.
        prompt_tag: label that names the prompt where the gateway doesn't manage prompts.
        source: "gateway".
        notes: gets what a reader must know.

    Raises:
        DataError: a row lacks its id or time. UsageError: counts that contradict each other; names the request.
    """
    kept: list[tuple[Any, ...]] = []
    usages: list[Mapping[str, Any]] = []
    requests: list[int] = []
    seen: set[Any] = set()
    twice = hits = differing = 0
    for row in rows:
        place = f"Spend log of request {row.get('request_id')!r:.80}"
        require_shape(row, ROW, place)
        row = {**row, **{name: int(row[name]) for name in COUNTS if row.get(name) is not None}}
        start, end = spendlog.period_of(row)
        if not window.start <= start < window.end:
            continue
        identity = spendlog.identity_of(row, start)
        if identity in seen:
            twice += 1
            continue
        seen.add(identity)
        metadata = spendlog.as_json(row.get("metadata"), dict) or {}
        require_shape(metadata, METADATA, place)
        usage, differs = usage_of(row, metadata)
        require_shape(usage, USAGE, place)
        differing += differs
        if spendlog.cached(row):
            hits, usage = hits + 1, {}
        provider, named = spendlog.biller_of(row)
        model = spendlog.model_behind(provider, named, metadata)
        tags = spendlog.tags_of(row, metadata)
        geo = usage.get("inference_geo")
        values = (
            start,
            end,
            provider,
            accounts.get(provider, "litellm"),
            row.get("team_id") or None,
            metadata.get("user_api_key_team_alias"),
            row.get("model_id") or (named if model != named else None),
            model,
            spendlog.operation_of(row.get("call_type")),
            tier_of(row, usage, metadata),
            None if geo in (None, "", "not_available") else geo,
            spendlog.key_of(row.get("api_key")),
            row.get("user") or row.get("user_id") or metadata.get("user_api_key_user_id") or None,
            spendlog.prompt_of(metadata, tags, prompt_tag),
            tags,
            spendlog.response_id(row.get("request_id")),
            cost_of(row),
            spendlog.outcome_of(row, metadata),
        )
        kept.append(values)
        usages.append(usage)
        requests.append(row.get("api_requests") or 0 if spendlog.is_day(row) else 1)
    if twice:
        notes.append(f"{twice} rows of the spend log came twice: counted once.")
    if hits:
        notes.append(
            f"{hits} calls were answered from the gateway's cache: no provider served them, they have no tokens."
        )
    if differing:
        notes.append(
            f"{differing} spend logs state other counts in their usage object than in their columns: the object holds."
        )
    if not kept:
        return conform({}, source="litellm")
    slices = dict(zip(SLICE, map(list, zip(*kept, strict=True)), strict=True))
    counted = disjoint(usages, slices["request_id"], notes)
    counted["requests"] = pa.array(requests, pa.int64())
    columns: dict[str, Any] = {
        **slices,
        "source": source,
        "quantity_basis": "metered",
        "billing_currency": "USD",
        "tags": pa.array(slices["tags"], TAGS_TYPE),
        "billed_cost": pa.array(slices["billed_cost"], COST_TYPE),
    }
    table = tokens_from_slices(columns, counted)
    once = pc.if_else(pc.equal(table["meter"], "requests"), table["billed_cost"], pa.scalar(None, COST_TYPE))
    table = table.set_column(table.schema.get_field_index("billed_cost"), "billed_cost", once)
    return conform(table, source="litellm")


def usage_of(row: Row, metadata: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The usage object of a row, else the row's own three counts; and whether the two contradict each other."""
    if spendlog.is_day(row):
        return {name: row.get(name) or 0 for name in DAY_COUNTS}, False
    columns = {name: row.get(name) or 0 for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    usage = spendlog.as_json(metadata.get("usage_object"), dict)
    if not usage:  # then the details, without the totals, may be here
        return columns | (spendlog.as_json(metadata.get("additional_usage_values"), dict) or {}), False
    stated = {name: n for name, n in columns.items() if n and usage.get(name) is not None}
    return usage, any(usage[name] != n for name, n in stated.items())


def tier_of(row: Row, usage: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """The tier that served the call, as the usage object says, else the one the gateway priced it at."""
    if "batch" in (row.get("call_type") or "").lower():
        return "batch"
    if usage.get("speed") == "fast":
        return "fast"
    breakdown = spendlog.as_json(metadata.get("cost_breakdown"), dict) or {}
    return service_tier(usage.get("service_tier") or breakdown.get("service_tier"))


def cost_of(row: Row) -> Decimal | None:
    """The gateway's own cost figure in USD, exact to the digits it shows (its table holds floating point)."""
    try:
        return None if row.get("spend") is None else exact(row["spend"]).quantize(Decimal("1e-18"))
    except (ArithmeticError, ValueError):
        raise DataError(
            f"Spend log of request {row.get('request_id')!r}: spend is {row['spend']!r}, must be a number."
        ) from None


def disjoint(usages: Sequence[Mapping[str, Any]], ids: Sequence[str], notes: list[str]) -> dict[str, Any]:
    """Columns of disjoint meters, one value a call, and a column `unmapped` for token counts no format knows.

    Raises:
        UsageError: a part is larger than its total; names the request.
    """
    columns, unmapped = count_columns(usages)
    try:
        counted: dict[str, Any] = dict(normalise_columns(columns, FORMAT))
    except UsageError:
        counted = one_by_one(usages, ids, notes)
    if any(unmapped):
        counted["unmapped"] = pa.array(unmapped, pa.int64())
        notes.append("Usage objects count tokens this version doesn't know; they are rows of the meter 'unmapped'.")
    return counted


def count_columns(usages: Sequence[Mapping[str, Any]]) -> tuple[dict[str, list[int | None]], list[int]]:
    """Nested usage objects as one column of counts a path, and the sum of unknown token counts of each.

    >>> count_columns([{"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}, "new_tokens": 1}])
    ({'prompt_tokens': [3], 'prompt_tokens_details.cached_tokens': [2]}, [1])
    """
    spec = format_named(FORMAT)
    counts = {path for spellings in spec.counts().values() for path in spellings}
    kinds: dict[str, str] = {}
    columns: dict[str, list[int | None]] = {}
    unmapped = [0] * len(usages)
    for i, usage in enumerate(usages):
        todo: list[tuple[str, Any]] = list(usage.items())
        for path, value in todo:
            if isinstance(value, dict):
                todo += [(f"{path}.{name}", inner) for name, inner in value.items()]
            if isinstance(value, bool) or not isinstance(value, int):
                continue
            kind = kinds.get(path)
            if kind is None:
                is_count = "count" if path in counts else ""
                strange = "token" in path.lower() and not spec.known(path) and "cost" not in path.lower()
                kind = kinds[path] = is_count or ("strange" if strange else "other")
            if kind == "count":
                if path not in columns:
                    columns[path] = [None] * len(usages)
                columns[path][i] = value
            elif kind == "strange" and value > 0:
                unmapped[i] += value
    return columns, unmapped


def one_by_one(usages: Sequence[Mapping[str, Any]], ids: Sequence[str], notes: list[str]) -> dict[str, Any]:
    """The slow way, where some object is odd: says which, and which odd ones could still be read."""
    found: list[Mapping[str, int]] = []
    odd: dict[str, list[str]] = {}
    for usage, request_id in zip(usages, ids, strict=True):
        try:
            call = normalise(usage, FORMAT)
        except UsageError as error:
            raise UsageError(
                f"Spend log of request {request_id!r}: {error} Nothing of this window was stored.", error.flag
            ) from None
        for flag in call.flags - {"unknown_token_field"}:
            odd.setdefault(flag, []).append(request_id)
        found.append(call.meters)
    notes.extend(
        f"{flag}: {len(which)} calls, first request {which[0]!r}; their split was used."
        for flag, which in sorted(odd.items())
    )
    names = [name for name in meters() if name != "requests" and any(name in call for call in found)]
    return {name: pa.array([call.get(name, 0) for call in found], pa.int64()) for name in names}
