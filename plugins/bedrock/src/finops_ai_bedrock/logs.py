"""Model invocation logs to token frames: one slice a call, with who called and what the caller said about it.

Of a record only counts, ids, request metadata and sampling parameters are kept, never text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.meters import normalise_columns, service_tier, tokens_from_slices
from finops_ai.periods import Window, instant
from finops_ai_bedrock.resources import Profiles, read_resource

#: counts of a record, as the format "aws.invocation_log" spells them; an alias stands in for an absent count
_COUNTS = {
    "input.inputTokenCount": (("input", "inputTokenCount"),),
    "input.cacheReadInputTokenCount": (("input", "cacheReadInputTokenCount"), ("input", "cacheReadInputTokens")),
    "input.cacheWriteInputTokenCount": (("input", "cacheWriteInputTokenCount"), ("input", "cacheWriteInputTokens")),
    "output.outputTokenCount": (("output", "outputTokenCount"),),
}
#: lifetimes a record may split its cache writes into
_TTLS = ("5m", "30m", "1h")
_TEMPERATURE = (("inferenceConfig", "temperature"), ("temperature",), ("textGenerationConfig", "temperature"))
_LIMIT = (
    ("inferenceConfig", "maxTokens"), ("max_tokens",), ("max_gen_len",), ("max_tokens_to_sample",),
    ("textGenerationConfig", "maxTokenCount"),
)  # fmt: skip


def _dig(document: Any, *paths: tuple[str, ...]) -> Any:
    """The first value that one of the paths leads to."""
    for path in paths:
        value = document
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            return value
    return None


def _count(record: Mapping[str, Any], name: str, place: str) -> int | None:
    value = _dig(record, *_COUNTS[name])
    if value is None and name.startswith("output"):  # a streamed answer says it in its last chunk
        chunks = _dig(record, ("output", "outputBodyJson"))
        for chunk in reversed(chunks) if isinstance(chunks, list) else ():
            value = _dig(
                chunk, ("amazon-bedrock-invocationMetrics", "outputTokenCount"), ("metadata", "usage", "outputTokens")
            )
            if value is not None:
                break
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DataError(f"{place}: {name} is {value!r}, not a count of tokens. Nothing was stored.")
    return value


class Calls:
    """Log records of a window, collected column by column.

    Args:
        window: half-open window of call times.
        prompt_key: key of requestMetadata that names the prompt template.
        account: who pays, where it isn't the calling account.
        profiles: the account's application inference profiles.
    """

    def __init__(
        self,
        window: Window,
        *,
        prompt_key: str = "prompt_id",
        account: str | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        self._window, self._prompt_key, self._account = window, prompt_key, account
        self._profiles = profiles
        self._seen: set[tuple[str, str]] = set()
        self._columns: dict[str, list[Any]] = {}
        self._counts: dict[str, list[int | None]] = {name: [] for name in _COUNTS}
        self._writes: dict[str, list[int | None]] = {ttl: [] for ttl in _TTLS}
        self._models: dict[str, tuple[str, str | None, str | None, str | None]] = {}
        self.failed = self.doubled = 0
        self.newest: dt.datetime | None = None

    def add(self, records: Iterable[tuple[str, Any]]) -> None:
        """Take in records, each with its place (for messages); those outside the window are left out.

        Raises:
            DataError: a record lacks its time, account or model, or a count isn't one.
        """
        for place, record in records:
            if not isinstance(record, dict) or record.get("schemaType") != "ModelInvocationLog":
                continue
            try:
                when, account, model_text = (
                    instant(record["timestamp"]),
                    str(record["accountId"]),
                    str(record["modelId"]),
                )
            except KeyError as missing:
                raise DataError(
                    f"{place}: the log record has no {missing}. It isn't a Bedrock model invocation log, or its form has "
                    "changed. Nothing was stored."
                ) from None
            self.newest = max(self.newest or when, when)
            if when not in self._window:
                continue
            request = str(record.get("requestId") or "")
            if request:
                if (account, request) in self._seen:
                    self.doubled += 1
                    continue
                self._seen.add((account, request))
            self.failed += bool(record.get("errorCode"))
            self._append(place, record, when, account, model_text, request)

    def _append(
        self, place: str, record: Mapping[str, Any], when: dt.datetime, account: str, model_text: str, request: str
    ) -> None:
        body = _dig(record, ("input", "inputBodyJson"))
        metadata = {str(k): str(v) for k, v in (record.get("requestMetadata") or {}).items()}
        model, resource, geo, name = self._model(model_text)
        temperature, limit = _dig(body, *_TEMPERATURE), _dig(body, *_LIMIT)
        row = {
            "charge_period_start": when,
            "charge_period_end": when + dt.timedelta(microseconds=1),
            "billing_account_id": self._account or account,
            "sub_account_id": account,
            "region": record.get("region"),
            "resource_id": resource,
            "model": model,
            "operation": "embeddings" if "embed" in model else "chat",
            "service_tier": _tier(record),
            "inference_geo": geo,
            "user_id": _dig(record, ("identity", "arn")),
            "prompt_id": metadata.get(self._prompt_key) or _prompt_of(model_text),
            "tags": sorted((metadata | ({"inference_profile": name} if name else {})).items()) or None,
            "request_id": request or None,
            "temperature": float(temperature) if _is_number(temperature) else None,
            "max_output_tokens": int(limit) if _is_number(limit) else None,
            "outcome": "error" if record.get("errorCode") else "ok",
        }
        for key, value in row.items():
            self._columns.setdefault(key, []).append(value)
        failed = bool(record.get("errorCode"))  # isn't billed, whatever it counts
        for counted in _COUNTS:
            self._counts[counted].append(None if failed else _count(record, counted, place))
        details = _dig(record, ("input", "cacheDetails"))
        for ttl, counts in self._writes.items():
            known = bool(details) and not failed
            counts.append(sum(p.get("inputTokens", 0) for p in details if p.get("ttl") == ttl) if known else None)

    def _model(self, text: str) -> tuple[str, str | None, str | None, str | None]:
        if text not in self._models:
            found = read_resource(text, self._profiles)
            model = f"{found.geo}.{found.model}" if found.geo and found.model else found.model
            self._models[text] = (model or text.rpartition("/")[2], found.resource_id, found.geo, found.name)
        return self._models[text]

    def table(self, source: str) -> pa.Table:
        """Token rows, one per meter above 0 of each call."""
        rows = len(self._columns.get("model", []))
        if not rows:
            return pa.table({})
        text = {name: pa.array(self._columns[name], pa.string()) for name in _TEXT}
        slices = {
            **text,
            "charge_period_start": pa.array(self._columns["charge_period_start"], pa.timestamp("us", tz="UTC")),
            "charge_period_end": pa.array(self._columns["charge_period_end"], pa.timestamp("us", tz="UTC")),
            "tags": pa.array(self._columns["tags"], pa.map_(pa.string(), pa.string())),
            "temperature": pa.array(self._columns["temperature"], pa.float64()),
            "max_output_tokens": pa.array(self._columns["max_output_tokens"], pa.int64()),
            "provider": "bedrock",
            "source": source,
            "quantity_basis": "metered",
        }
        split = {f"input.cacheDetails[ttl={ttl}].inputTokens": counts for ttl, counts in self._writes.items()}
        meters = normalise_columns(self._counts | split, "aws.invocation_log")
        return tokens_from_slices(slices, {**meters, "requests": [1] * rows})

    @property
    def notes(self) -> list[str]:
        """What a reader must know about the records read."""
        notes = []
        if self.failed:
            notes.append(
                f"bedrock: {self.failed} failed calls in the logs count as calls without tokens; failed calls aren't billed."
            )
        if self.doubled:
            notes.append(f"bedrock: {self.doubled} log records came twice (same request id) and count once.")
        return notes


_TEXT = (
    "billing_account_id", "sub_account_id", "region", "resource_id", "model", "operation", "service_tier",
    "inference_geo", "user_id", "prompt_id", "request_id", "outcome",
)  # fmt: skip


def _tier(record: Mapping[str, Any]) -> str:
    if _dig(record, ("performanceConfig", "latency")) == "optimized":
        return "fast"
    return service_tier(_dig(record, ("serviceTier", "type"), ("output", "serviceTier", "type")))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _prompt_of(model_text: str) -> str | None:
    """A managed prompt called by its ARN: `prompt/<id>:<version>` as id@version."""
    last = model_text.rpartition(":prompt/")[2] if ":prompt/" in model_text else ""
    return last.replace(":", "@") or None


def log_keys(keys: Iterable[str], window: Window) -> Iterator[str]:
    """Keys of log objects that may hold calls of the window; bodies kept apart and permission probes are left out.

    A record lands in the folder of the hour it was delivered: the hour of the call or one soon after.

    >>> list(log_keys(["AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/01/00/a.json.gz",
    ...                "AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/01/00/data/b.json.gz"],
    ...               Window.of("2026-10-01", "2026-10-02")))
    ['AWSLogs/1/BedrockModelInvocationLogs/us-east-1/2026/10/01/00/a.json.gz']
    """
    first = window.start.replace(minute=0, second=0, microsecond=0)
    last = window.end + dt.timedelta(hours=DELIVERY_HOURS)
    for key in keys:
        parts = key.split("/")
        if "data" in parts[:-1] or "permission-check" in key or not key.endswith((".json.gz", ".json")):
            continue
        try:
            year, month, day, hour = (int(part) for part in parts[-5:-1])
            if not first <= dt.datetime(year, month, day, hour, tzinfo=dt.UTC) < last:
                continue
        except ValueError:
            continue
        yield key


#: how long after a call its record may still be delivered
DELIVERY_HOURS = 3
