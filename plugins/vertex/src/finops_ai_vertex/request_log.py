"""Request-response logging to token frames: one slice a call, with labels and temperature, never with text.

Only counts, ids, labels and sampling parameters leave BigQuery: they are taken out of the stored request in the query.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.meters import normalise, service_tier, tokens_from_slices
from finops_ai.periods import UTC, Window, instant

#: what is taken of a call: flat name -> expression on the log table
COLUMNS = {
    "logging_time": "logging_time",
    "request_id": "CAST(request_id AS STRING)",
    "endpoint": "endpoint",
    "model": "model",
    "usage": "TO_JSON_STRING(COALESCE(JSON_QUERY(full_response, '$.usageMetadata'), JSON_QUERY(full_response, '$.usage')))",
    "labels": "TO_JSON_STRING(JSON_QUERY(full_request, '$.labels'))",
    "temperature": "COALESCE(JSON_VALUE(full_request, '$.generationConfig.temperature'), JSON_VALUE(full_request, '$.temperature'))",
    "limit": "COALESCE(JSON_VALUE(full_request, '$.generationConfig.maxOutputTokens'), JSON_VALUE(full_request, '$.max_tokens'))",
}


def sql(table: str) -> str:
    """The query for one window; parameters `start` and `end`."""
    columns = ", ".join(f"{expression} AS {name}" for name, expression in COLUMNS.items())
    return f"SELECT {columns} FROM `{table}` WHERE logging_time >= @start AND logging_time < @end"


def from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns out of one saved row of the table (JSON export)."""
    request, response = (_document(record.get(name)) for name in ("full_request", "full_response"))
    if isinstance(response, list):  # a stream: its last chunk counts for all
        response = next((c for c in reversed(response) if isinstance(c, Mapping) and "usageMetadata" in c), {})
    settings = request.get("generationConfig") or {} if isinstance(request, Mapping) else {}
    return {
        "logging_time": record.get("logging_time"),
        "request_id": record.get("request_id"),
        "endpoint": record.get("endpoint"),
        "model": record.get("model"),
        "usage": response.get("usageMetadata") or response.get("usage"),
        "labels": request.get("labels"),
        "temperature": settings.get("temperature", request.get("temperature")),
        "limit": settings.get("maxOutputTokens", request.get("max_tokens")),
    }


def _document(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value, parse_float=Decimal)
        except (ValueError, RecursionError):
            return {}
    return value or {}


def usage_table(
    rows: list[dict[str, Any]],
    window: Window,
    *,
    account: str | None,
    project: str,
    prompt_label: str,
    sampling_rate: float,
    notes: list[str],
) -> pa.Table:
    """Token rows, one per meter above 0 of each call in the window.

    Args:
        rows: calls, in the form of `COLUMNS`.
        window: half-open window of logging time.
        account: billing account; the project stands in where it isn't named.
        project: project the log belongs to.
        prompt_label: request label that names the prompt.
        sampling_rate: share of calls that were logged; below 1, quantities are divided by it and marked estimated.
        notes: gets what a reader must know.

    Raises:
        DataError: a row lacks its time or model.
        UsageError: a usage object that doesn't add up.
    """
    columns: dict[str, list[Any]] = {}
    meters: list[dict[str, Any]] = []
    seen: set[str] = set()
    without = doubled = 0
    for number, row in enumerate(rows, 1):
        if row.get("logging_time") is None or not row.get("model"):
            missing = "logging_time" if row.get("logging_time") is None else "model"
            raise DataError(f"vertex: row {number} of the request log has no {missing}. Nothing was stored.")
        when = instant(_utc(row["logging_time"]))
        if when not in window:
            continue
        usage = _document(row.get("usage"))
        if not usage:
            without += 1
            continue
        request = str(row.get("request_id") or "")
        if request and request in seen:
            doubled += 1
            continue
        seen.add(request)
        gemini = "promptTokenCount" in usage or "totalTokenCount" in usage
        counted = normalise(usage, "google.generate_content" if gemini else "anthropic.messages")
        meters.append({**counted.meters, "requests": 1})
        _append(columns, row, when, usage, account or project, project, prompt_label)
    if without:
        notes.append(f"vertex: {without} logged calls state no usage (failed or cut off) and are left out.")
    if doubled:
        notes.append(f"vertex: {doubled} logged calls came twice (same request id) and count once.")
    if not meters:
        return pa.table({})
    stamp, text = pa.timestamp("us", tz="UTC"), pa.string()
    kinds = {
        "charge_period_start": stamp, "charge_period_end": stamp, "tags": pa.map_(text, text), "temperature": pa.float64(),
        "max_output_tokens": pa.int64(),
    }  # fmt: skip
    slices: dict[str, Any] = {name: pa.array(values, kinds.get(name, text)) for name, values in columns.items()}
    slices |= {"provider": "vertex", "source": "log", "quantity_basis": "metered"}
    names = sorted({name for row in meters for name in row})
    table: dict[str, list[Any]] = {name: [row.get(name, 0) for row in meters] for name in names}
    if sampling_rate < 1:
        notes.append(
            f"vertex: the request log holds {sampling_rate:.0%} of the calls; quantities are scaled up and estimated."
        )
        slices["quantity_basis"] = "estimated"
        slices["slice_requests"] = pa.array([1] * len(meters), pa.int64())
        rate, grain = Decimal(str(sampling_rate)), Decimal("0.000001")
        table = {name: [(Decimal(v) / rate).quantize(grain) for v in values] for name, values in table.items()}
    return tokens_from_slices(slices, table)


def _append(
    columns: dict[str, list[Any]],
    row: Mapping[str, Any],
    when: Any,
    usage: Mapping[str, Any],
    account: str,
    project: str,
    prompt: str,
) -> None:
    import datetime as dt

    labels = {str(k): str(v) for k, v in (_document(row.get("labels")) or {}).items()}
    model = str(row["model"]).rpartition("/")[2]
    limit, temperature = row.get("limit"), row.get("temperature")
    values = {
        "charge_period_start": when,
        "charge_period_end": when + dt.timedelta(microseconds=1),
        "billing_account_id": account,
        "sub_account_id": project,
        "model": model,
        "operation": "embeddings" if "embed" in model else "chat",
        "service_tier": service_tier(usage.get("trafficType") or usage.get("serviceTier")),
        "prompt_id": labels.get(prompt),
        "tags": sorted(labels.items()) or None,
        "request_id": str(row.get("request_id") or "") or None,
        "temperature": float(temperature) if temperature is not None else None,
        "max_output_tokens": int(limit) if limit is not None else None,
    }
    for name, value in values.items():
        columns.setdefault(name, []).append(value)


def _utc(value: Any) -> Any:
    """BigQuery's exports write "2026-10-01 00:00:00 UTC"."""
    if isinstance(value, str):
        return value.removesuffix(" UTC").strip() if value.endswith(" UTC") else value
    return value.replace(tzinfo=UTC) if getattr(value, "tzinfo", UTC) is None else value
