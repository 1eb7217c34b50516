"""What a row means: when it was, who bills it, who caused it, and which of its texts may be kept.

Two kinds of row: a call (table `LiteLLM_SpendLogs`; the API and exports use the same names), and a day's sum (tables
`LiteLLM_DailyTeamSpend`, `LiteLLM_DailyUserSpend`, ...), which stays when the gateway deletes old logs. Times are UTC.
The columns that can hold prompts or answers (`messages`, `response`, `proxy_server_request`) are never read.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from finops_ai.errors import DataError
from finops_ai.periods import UTC

Row = dict[str, Any]

#: columns read from the table; the ones of `OPTIONAL` came with later versions of the gateway
COLUMNS = [
    "request_id", "call_type", "api_key", "total_tokens", "prompt_tokens", "completion_tokens", "startTime", "endTime",
    "model", "user", "cache_hit", "request_tags",
]  # fmt: skip
OPTIONAL = [
    "model_id", "model_group", "custom_llm_provider", "team_id", "organization_id", "end_user", "session_id", "status",
    "agent_id",
]  # fmt: skip
#: columns of the daily tables; each table has one of `WHO`
DAY_COLUMNS = ["date", "api_key", "model", "prompt_tokens", "completion_tokens", "api_requests"]
DAY_OPTIONAL = [
    "id", "model_group", "custom_llm_provider", "cache_read_input_tokens", "cache_creation_input_tokens", "endpoint",
    "mcp_namespaced_tool_name",
]  # fmt: skip
WHO = ["team_id", "user_id", "organization_id", "end_user_id", "agent_id"]
#: parts of the `metadata` column that are read; its largest part, a copy of the price list, never is
METADATA = [
    "usage_object", "additional_usage_values", "user_api_key_alias", "user_api_key_team_alias", "user_api_key_user_id", "user_api_key_project_id",
    "spend_logs_metadata", "prompt_management_metadata", "status", "cost_breakdown",
]  # fmt: skip

#: the gateway's word for a provider -> the name of the connector that reads its bill
PROVIDERS = {
    "openai": "openai",
    "text-completion-openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure-openai",
    "azure_text": "azure-openai",
    "azure_ai": "azure-openai",
    "bedrock": "bedrock",
    "bedrock_converse": "bedrock",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "gemini": "vertex",
    "oci": "oci",
}
#: routes the gateway writes between provider and model
ROUTES = ("converse/", "invoke/", "converse_like/", "responses/", "chat/")

OPERATIONS = {
    "embedding": "embeddings",
    "image_generation": "image",
    "image_edit": "image",
    "transcription": "audio",
    "speech": "audio",
    "rerank": "rerank",
    "moderation": "moderation",
    "video": "video",
}
#: longest label kept; anything longer may be text
LONGEST_LABEL = 200


def biller_of(row: Row) -> tuple[str, str]:
    """Provider (as the connector that reads its bill is called) and model without the gateway's prefixes.

    >>> biller_of({"custom_llm_provider": "bedrock", "model": "bedrock/converse/us.anthropic.claude-sonnet-4-6"})
    ('bedrock', 'us.anthropic.claude-sonnet-4-6')
    >>> biller_of({"custom_llm_provider": "", "model": "azure/chat-prod"})
    ('azure-openai', 'chat-prod')
    """
    model, word = row.get("model") or "", row.get("custom_llm_provider") or ""
    head, slash, rest = model.partition("/")
    if slash and (head == word or (not word and (head in PROVIDERS or head.startswith("vertex_ai")))):
        word, model = head, rest
    for route in ROUTES:
        model = model.removeprefix(route)
    provider = PROVIDERS.get(word) or ("vertex" if word.startswith("vertex_ai") else word) or "litellm"
    return provider, model or row.get("model_group") or "not stated"


def model_behind(provider: str, model: str, metadata: Mapping[str, Any]) -> str:
    """The model an Azure deployment serves, as the gateway priced it: the deployment's own name tells nobody.

    >>> model_behind("azure-openai", "gpt5-prod", {"model_map_information": {"model_map_key": "azure/gpt-5.4"}})
    'gpt-5.4'
    """
    priced = as_json(metadata.get("model_map_information"), dict) or {}
    key = str(priced.get("model_map_key") or "").rpartition("/")[2]
    return key if provider == "azure-openai" and key else model


def response_id(request_id: Any) -> Any:
    """The provider's own id of an answer: for the Responses API the gateway wraps it, with its routing, in Base64.

    >>> response_id("resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDpOb25lO3Jlc3BvbnNlX2lkOnJlc3BfMw==")
    'resp_3'
    """
    text = str(request_id or "")
    if not text.startswith("resp_"):
        return request_id
    try:
        inside = base64.b64decode(text.removeprefix("resp_"), validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return request_id
    found = re.search(r"(?:^|;)response_id:([^;]+)$", inside)
    return found[1] if inside.startswith("litellm:") and found else request_id


def operation_of(call_type: str | None) -> str:
    """The kind of call.

    >>> operation_of("aembedding"), operation_of("acompletion")
    ('embeddings', 'chat')
    """
    word = (call_type or "").lower()
    return next((ours for theirs, ours in OPERATIONS.items() if theirs in word), "chat")


def is_day(row: Row) -> bool:
    """Whether the row is a day's sum rather than a call."""
    return "date" in row and "startTime" not in row


def period_of(row: Row) -> tuple[dt.datetime, dt.datetime]:
    """First instant and end of a row: the call's own times, or the UTC day.

    Raises:
        DataError: missing or no time; names the request.
    """
    if is_day(row):
        start = utc(str(row["date"])[:10], row.get("id"), "date")
        return start, start + dt.timedelta(days=1)
    start = utc(row.get("startTime"), row.get("request_id"), "startTime")
    end = utc(row["endTime"], row.get("request_id"), "endTime") if row.get("endTime") else start
    return start, max(end, start + dt.timedelta(microseconds=1))


def identity_of(row: Row, start: dt.datetime) -> Any:
    """What makes a row the same row when it comes twice.

    Raises:
        DataError: a call without request_id, or a sum by tag, where a call with two tags is in two rows.
    """
    if not is_day(row):
        if not row.get("request_id"):
            raise DataError(f"A spend log of {start:%Y-%m-%dT%H:%M:%S}Z has no request_id. Export the column too.")
        return response_id(row["request_id"])
    if "tag" in row:
        raise DataError(
            "The daily table by tag counts a call with two tags twice: read the one by team or user instead."
        )
    return row.get("id") or tuple(
        str(row.get(name)) for name in [*DAY_COLUMNS[:3], *WHO, *DAY_OPTIONAL[1:3], "endpoint"]
    )


def key_of(api_key: str | None) -> str | None:
    """Id of the virtual key. The gateway stores a hash; where a key itself was stored, its hash is taken.

    >>> key_of("sk-1234")
    '88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b'
    """
    if not api_key:
        return None
    return hashlib.sha256(api_key.encode()).hexdigest() if api_key.startswith("sk-") else api_key


def tags_of(row: Row, metadata: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Labels of a row: the caller's request tags and metadata, and the gateway's own ids.

    A request tag "jobID:42" becomes jobID = 42, a bare one tag = "true". Long or nested values are left out.
    """
    labels: dict[str, Any] = {}
    custom = metadata.get("spend_logs_metadata")
    if isinstance(custom, Mapping):
        labels |= custom
    for tag in as_json(row.get("request_tags"), list) or ():
        if isinstance(tag, str):
            name, colon, value = tag.partition(":")
            labels[name.strip()] = value.strip() if colon and value.strip() else "true"
    for name in ("end_user", "organization_id", "session_id", "agent_id", "model_group"):
        labels[name] = row.get(name) or (row.get("end_user_id") if name == "end_user" else None)
    labels["team"] = labels.get("team") or metadata.get("user_api_key_team_alias") or row.get("team_id")
    labels["key_alias"] = metadata.get("user_api_key_alias")
    labels["project_id"] = labels.get("project_id") or metadata.get("user_api_key_project_id")
    if (row.get("status") or metadata.get("status")) == "failure":
        labels["status"] = "failure"
    if cached(row):
        labels["gateway_cache"] = "hit"
    kept = [(name, label(value)) for name, value in labels.items() if value is not None and 0 < len(name) <= 100]
    return [(name, value) for name, value in kept if value] or None


def outcome_of(row: Row, metadata: Mapping[str, Any]) -> str | None:
    """How a call ended, where the row says it; a day's sum holds calls of both kinds and says nothing.

    >>> outcome_of({"startTime": "2026-10-01", "status": "failure"}, {}), outcome_of({"date": "2026-10-01"}, {})
    ('error', None)
    """
    status = row.get("status") or metadata.get("status")
    return None if is_day(row) else {"failure": "error", "success": "ok"}.get(str(status))


def label(value: Any) -> str | None:
    """A short one-line text, number or truth value as text; anything else could be content and isn't kept."""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip() if isinstance(value, str | int) else ""
    return text if 0 < len(text) <= LONGEST_LABEL and "\n" not in text else None


def cached(row: Row) -> bool:
    """Whether the gateway answered from its own cache, so that no provider was asked and nothing is billed."""
    return str(row.get("cache_hit") or "").lower() == "true"


def prompt_of(metadata: Mapping[str, Any], tags: list[tuple[str, str]] | None, tag: str) -> str | None:
    """The prompt template: the gateway's own prompt id, else the label the settings name."""
    managed = metadata.get("prompt_management_metadata")
    if isinstance(managed, Mapping) and managed.get("prompt_id"):
        version = managed.get("prompt_version")
        return label(f"{managed['prompt_id']}@{version}" if version else str(managed["prompt_id"]))
    return dict(tags or ()).get(tag)


def as_json(value: Any, kind: type) -> Any:
    """A JSON column, whether it comes parsed or as text; None where it isn't of that kind."""
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, kind) else None


def utc(value: Any, request_id: Any, field: str) -> dt.datetime:
    """A time of the log, which has no zone and means UTC.

    Raises:
        DataError: missing or no time; names the request.
    """
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, AttributeError, TypeError):
        raise DataError(f"Spend log of request {request_id!r}: {field} is {value!r}, must be a time.") from None
