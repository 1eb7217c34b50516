"""API Management's LLM log: one token-frame slice per call, with the gateway subscription and user behind it.

Big messages are spread over several log rows of one call (`SequenceNumber`): tokens are taken once per call. Prompts
and answers (`RequestMessages`, `ResponseMessages`) are never asked for, and dropped unread from saved files.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, ProviderError
from finops_ai.frames import conform
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai.periods import Window, instant, iso
from finops_ai.providers import HttpClient
from finops_ai.providers.parsing import require_shape
from finops_ai_azure_openai.arm import subscription_of
from finops_ai_azure_openai.deployments import Deployment, model_id
from finops_ai_azure_openai.shapes import RECORD
from finops_ai_azure_openai.usage import Identity, columns_of, operation_of

if TYPE_CHECKING:
    import pandas as pd

LOGS = "https://api.loganalytics.azure.com"
#: rows one Log Analytics answer holds at most; at that number it may be cut
ROWS = 500_000
#: rows of one call lie this close together at most
SPREAD = dt.timedelta(minutes=30)
#: metadata columns used; text columns are never among them
COLUMNS = (
    "TimeGenerated", "CorrelationId", "RequestId", "DeploymentName", "ModelName", "PromptTokens", "CompletionTokens",
    "TotalTokens", "Region", "ApimSubscriptionId", "UserId", "ProductId", "ApiId", "ResponseCode",
    "_ResourceId",
)  # fmt: skip
TAGGED = {"apim_product": "ProductId", "apim_api": "ApiId"}
COUNTS = {"prompt_tokens": "PromptTokens", "completion_tokens": "CompletionTokens"}
_QUERY = """
ApiManagementGatewayLlmLog
| where TimeGenerated >= datetime({start}) and TimeGenerated < datetime({end})
| summarize TimeGenerated = min(TimeGenerated), DeploymentName = take_any(DeploymentName), ModelName = take_any(ModelName),
    PromptTokens = max(PromptTokens), CompletionTokens = max(CompletionTokens), TotalTokens = max(TotalTokens),
    Region = take_any(Region), _ResourceId = take_any(_ResourceId) by CorrelationId, RequestId
| join kind=leftouter (ApiManagementGatewayLogs
    | where TimeGenerated >= datetime({start}) and TimeGenerated < datetime({end})
    | summarize ApimSubscriptionId = take_any(ApimSubscriptionId), UserId = take_any(UserId),
        ProductId = take_any(ProductId), ApiId = take_any(ApiId), ResponseCode = take_any(ResponseCode) by CorrelationId) on CorrelationId
| where TimeGenerated >= datetime({first}) and TimeGenerated < datetime({last})
| project {columns}
""".strip()


def fetch(client: HttpClient, workspace_id: str, window: Window) -> Iterator[dict[str, Any]]:
    """The calls that began in the window, from a Log Analytics workspace.

    A cut answer (row limit or partial error) is asked again in halves.

    Raises:
        ProviderError: even one minute holds more calls than an answer can.
    """
    wide = Window(window.start - SPREAD, window.end + SPREAD)
    query = _QUERY.format(
        start=iso(wide.start),
        end=iso(wide.end),
        first=iso(window.start),
        last=iso(window.end),
        columns=", ".join(COLUMNS),
    )
    answer = client.post(
        f"v1/workspaces/{workspace_id}/query", {"query": query, "timespan": f"{iso(wide.start)}/{iso(wide.end)}"}
    )
    rows = list(answer_rows(answer, "Log Analytics")) if "error" not in answer else []
    if "error" in answer or len(rows) >= ROWS:
        half = (window.end - window.start) / 2
        if half < dt.timedelta(seconds=30):
            raise ProviderError(
                f"azure-openai: the gateway log of {window} is larger than one Log Analytics answer. Export it to "
                "storage and read the files instead (setting `files`)."
            )
        for piece in window.pieces(half):
            yield from fetch(client, workspace_id, piece)
        return
    yield from rows


def answer_rows(answer: Any, place: str) -> Iterator[dict[str, Any]]:
    """The rows of a Log Analytics answer as named values."""
    try:
        table = next(t for t in answer["tables"] if t.get("name", "PrimaryResult") == "PrimaryResult")
        names = [column["name"] for column in table["columns"]]
        for row in table["rows"]:
            yield dict(zip(names, row, strict=True))
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        raise DataError(f"{place}: not a whole Log Analytics answer ({type(error).__name__}: {error}).") from None


def record(document: Mapping[str, Any]) -> dict[str, Any]:
    """One saved log record (diagnostic settings write `{time, properties: {...}}`) as named values, without texts."""
    properties = document.get("properties")
    flat = {**document, **(properties if isinstance(properties, Mapping) else {})}
    flat.setdefault("TimeGenerated", document.get("time"))
    same = {name.lower().strip("_"): name for name in COLUMNS}
    found = {
        same[k.lower().strip("_")]: v for k, v in flat.items() if k.lower().strip("_") in same and v not in ("", None)
    }
    require_shape(found, RECORD, f"gateway log, the call {found.get('CorrelationId')!r:.60}")
    return found


def calls(records: Iterable[Mapping[str, Any]], place: str | Path) -> list[dict[str, Any]]:
    """One row per call: pieces of the same call are put together, tokens taken once.

    Raises:
        DataError: a record has no time or no id.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for number, row in enumerate(records, 1):
        key = (str(row.get("CorrelationId") or ""), str(row.get("RequestId") or ""))
        if not row.get("TimeGenerated") or key == ("", ""):
            raise DataError(f"{place}, record {number}: a gateway log record needs TimeGenerated and CorrelationId.")
        merged = found.setdefault(key, {**row, "TimeGenerated": instant(row["TimeGenerated"])})
        merged["TimeGenerated"] = min(merged["TimeGenerated"], instant(row["TimeGenerated"]))
        for name, value in row.items():
            if name.endswith("Tokens"):
                merged[name] = max(int(merged.get(name) or 0), int(value or 0))
            elif merged.get(name) is None:
                merged[name] = value
    return list(found.values())


def outcome_of(code: Any) -> str | None:
    """How a call ended, by the code the gateway answered with, where its log holds it.

    >>> outcome_of(200), outcome_of("429"), outcome_of(None)
    ('ok', 'error', None)
    """
    text = str(code if code is not None else "").strip()
    return None if not text.isdigit() else "ok" if int(text) < 400 else "error"


def frame(
    rows: list[dict[str, Any]],
    window: Window,
    deployments: Mapping[str, Deployment],
    identity: Identity,
    default_subscription: str | None,
) -> pd.DataFrame:
    """Token frame at request grain. Cached and reasoning tokens are inside the gateway's two counts.

    A call belongs to the subscription of its deployment, else to `default_subscription`, else to the gateway's own.
    """
    by_name = {d.name: d for d in deployments.values()}
    rows = [row for row in rows if row["TimeGenerated"] in window]
    if not rows:
        return conform({}, source="API Management LLM log")
    slices = []
    for row in rows:
        name = str(row.get("DeploymentName") or "").lower()
        known = by_name.get(name)
        gateway = subscription_of(row.get("_ResourceId")) or "unknown"
        model = (known.model if known else "") or model_id(row.get("ModelName"), "") or name or "unknown"
        tags = {**(known.tags if known else {}), **({"azure_deployment": name} if name else {})}
        tags |= {tag: str(row[column]) for tag, column in TAGGED.items() if row.get(column)}
        slices.append(
            {
                "charge_period_start": row["TimeGenerated"],
                "charge_period_end": row["TimeGenerated"] + dt.timedelta(microseconds=1),
                "provider": "azure-openai",
                **identity.of(known.account.subscription if known else default_subscription or gateway),
                "region": (known.region if known else None) or row.get("Region"),
                "resource_id": known.id if known else name or None,
                "model": model,
                "operation": operation_of(model),
                "service_tier": (known.service_tier if known else None) or "standard",
                "inference_geo": known.geography if known else None,
                "api_key_id": row.get("ApimSubscriptionId"),
                "user_id": row.get("UserId"),
                "tags": list(tags.items()),
                "request_id": str(row.get("RequestId") or row["CorrelationId"]),
                "outcome": outcome_of(row.get("ResponseCode")),
                "source": "gateway",
                "quantity_basis": "metered",
            }
        )
    counts = {path: [int(row.get(column) or 0) for row in rows] for path, column in COUNTS.items()}
    meters: dict[str, Any] = dict(normalise_columns(counts, "openai.chat"))
    meters["requests"] = [1] * len(rows)
    return conform(tokens_from_slices(columns_of(slices), meters), source="API Management LLM log")
