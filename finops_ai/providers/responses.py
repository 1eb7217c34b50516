"""Logs of the SDKs' own answers (one JSON document a call) as token frames, without a mapping file."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from finops_ai.errors import DataError, SettingsError, UsageError
from finops_ai.frames import conform
from finops_ai.meters import Normalised, meters, normalise
from finops_ai.meters.formats import find
from finops_ai.money import exact
from finops_ai.periods import UTC, zone
from finops_ai.providers.amounts import count
from finops_ai.providers.connector import Connector, ConnectorSettings
from finops_ai.providers.files import find_files
from finops_ai.providers.layouts import HOLDERS, documents
from finops_ai.providers.names import COLUMNS, TAGS, bare_name, maker_of
from finops_ai.providers.unpacking import members

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window

#: fields that hold what was asked or answered: never looked into
CONTENT = {"choices", "content", "messages_in", "prompt", "input", "contents", "candidates", "tools", "instructions"}
#: fields whose text may be an answer written as JSON
WRITTEN = {
    "response",
    "body",
    "output",
    "result",
    "raw_response",
    "response_body",
    "responsebody",
    "completion",
    *HOLDERS,
}
DEEPEST = 9
LONGEST_LABEL = 200
#: how ids of an answer begin that came by way of a cloud -> who bills it
BILLED_BY = {"msg_bdrk_": "bedrock", "msg_vrtx_": "vertex"}
PROVIDERS = {
    "azure": "azure-openai", "google_genai": "vertex", "google": "vertex", "vertex_ai": "vertex", "gemini": "vertex",
    "bedrock_converse": "bedrock", "bedrock_converse_runtime": "bedrock", "amazon": "bedrock", "azure_ai": "azure-openai",
}  # fmt: skip
SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class Answer:
    """One kind of answer, as `responses.toml` declares it."""

    name: str
    format: str
    has: tuple[str, ...]
    tests: Mapping[str, str] = field(default_factory=dict)
    usage: str = "usage"
    provider: str = ""
    provider_at: str = ""
    operation: str = "chat"
    id: tuple[str, ...] = ()
    model: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    tier: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    cost: tuple[str, ...] = ()

    def fits(self, document: Mapping[str, Any]) -> bool:
        """Whether a document is such an answer."""
        return all(find(document, path) is not None for path in self.has) and all(
            re.search(pattern, str(find(document, path) or "")) for path, pattern in self.tests.items()
        )


@cache
def answers() -> tuple[Answer, ...]:
    """The known kinds of answers, in the order they are tried."""
    rows: list[dict[str, Any]] = tomllib.loads(
        files("finops_ai.providers").joinpath("responses.toml").read_text("utf-8")
    )["answer"]
    return tuple(_answer(row) for row in rows)


def _answer(row: Mapping[str, Any]) -> Answer:
    values: dict[str, Any] = {
        "tests" if k == "is" else k: tuple(v) if isinstance(v, list) else v for k, v in row.items()
    }
    return Answer(**values)


class ResponseSettings(ConnectorSettings):
    """Settings of the reader `responses`."""

    provider: str | None = Field(None, description="Who bills the calls, where the answers don't tell.")
    billing_account_id: str = Field("not stated", description="Account the invoice goes to.")
    zone: str = Field("UTC", description="Time zone of times without one.")


class ResponseFiles(Connector):
    """Logs of answers as the SDKs give them: OpenAI (chat, responses, embeddings, batch output), Azure OpenAI, Anthropic,
    Gemini, Bedrock Converse, OCI, OpenRouter, xAI, DeepSeek, LiteLLM, LangChain, Vercel AI SDK.

    An answer may be the whole document or stand anywhere in it; time, user, session and labels are taken from what
    stands around it. No text of a prompt or answer is kept.
    """

    name: ClassVar[str] = "responses"
    title: ClassVar[str] = "Logs of SDK answers"
    Settings: ClassVar[type[ConnectorSettings]] = ResponseSettings

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        if not self.settings.files:
            raise SettingsError(f"[providers.{self.name}]: `files` is missing: name the files to read.")

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the calls in `[window.start, window.end)`, each answer counted once.

        Raises:
            DataError: a document is damaged, or an answer has no time or model; names file and document.
        """
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        silent = again = 0
        for path in find_files(self.settings.files):
            with members(path) as inside:
                for file, shown in inside:
                    for number, document in _whole_streams(documents(file, self.notes), shown, self.notes):
                        place = f"{shown}, document {number}"
                        calls = list(calls_in(document)) if isinstance(document, dict) else []
                        silent += not calls
                        for position, (kind, answer, around) in enumerate(calls):
                            rows = self._rows(kind, answer, around, place, position)
                            key = (rows[0]["provider"], rows[0]["request_id"])
                            again += key in found
                            found[key] = rows
        if silent:
            self.notes.append(f"{silent} documents state no usage (errors, or pieces of a stream): left out.")
        if again:
            self.notes.append(f"{again} answers were logged more than once: the last of each is counted.")
        rows = [row for rows in found.values() for row in rows if row["charge_period_start"] in window]
        return conform({name: [row[name] for row in rows] for name in rows[0]} if rows else {}, source=self.name)

    def _rows(
        self, kind: Answer, answer: Mapping[str, Any], around: Mapping[str, Any], place: str, position: int
    ) -> list[dict[str, Any]]:
        def said(paths: tuple[str, ...]) -> Any:
            values = (find(around, p[2:]) if p.startswith("..") else find(answer, p) for p in paths)
            return next((value for value in values if value not in (None, "")), None)

        model = said(kind.model) or _around(around, "model")
        if model is None:
            raise DataError(f"{place}: the {kind.name} names no model. Log it beside the answer, as `model`.")
        stated = said(kind.time) or _around(around, "charge_period_start")
        if stated is None:
            raise DataError(
                f"{place}: the {kind.name} states no time. Log it beside the answer, as `timestamp`: an answer of this "
                "kind doesn't carry its own."
            )
        start = moment(stated, self.settings.zone, place)
        name = re.sub(r"^(models|publishers/[^/]+/models)/", "", str(model))
        usage = _counts(find(answer, kind.usage)) if kind.usage else answer
        tier = said(kind.tier)
        # batch results come with the id their request was given in the batch
        context = {"service_tier": None if tier is None else str(tier), "batch": "custom_id" in around}
        try:
            counted = normalise(usage, _format(kind, usage, name), context)
        except UsageError as error:
            raise UsageError(f"{place}: {error} Nothing was stored.", error.flag) from None
        identity = str(said(kind.id) or f"{place} {position}")
        if counted.unknown_fields:
            note = f"Token counts this version doesn't know are rows of the meter 'unmapped': {', '.join(counted.unknown_fields[:5])}."
            self.notes += [note] if note not in self.notes else []
        cost = _amount(said(kind.cost) if kind.cost else counted.reported_cost)
        slices = {
            "charge_period_start": start,
            "charge_period_end": start + SECOND,
            "provider": self.settings.provider or self._biller(kind, answer, identity, name),
            "billing_account_id": self.settings.billing_account_id,
            "model": name,
            "operation": "embeddings" if "embed" in name.lower() else kind.operation,
            "service_tier": counted.service_tier,
            "inference_geo": counted.inference_geo,
            "user_id": _text(said(kind.user) or _around(around, "user_id")),
            "session_id": _text(_around(around, "session_id")),
            "prompt_id": _text(_around(around, "prompt_id")),
            "api_key_id": _text(_around(around, "api_key_id")),
            "request_id": identity,
            "tags": _tags(around, answer),
            "slice_input_tokens": counted.slice_input_tokens,
            "slice_requests": 1,
            "source": "log",
            "quantity_basis": "metered",
        }
        return _long(slices, counted, usage, cost)

    def _biller(self, kind: Answer, answer: Mapping[str, Any], identity: str, model: str) -> str:
        by_id = next((who for start, who in BILLED_BY.items() if identity.startswith(start)), None)
        word = find(answer, kind.provider_at) if kind.provider_at else None
        if known := by_id or kind.provider or (str(word).lower() if word else ""):
            return PROVIDERS.get(known, known)
        guess = maker_of(model)
        note = f"Who bills {model} isn't stated: {guess or 'not stated'!r} by the model's name. `provider` sets it."
        self.notes += [note] if note not in self.notes else []
        return guess or "not stated"


def calls_in(document: Mapping[str, Any]) -> Iterator[tuple[Answer, Mapping[str, Any], Mapping[str, Any]]]:
    """The answers inside a log record: the kind of each, the answer, and what stands around it, nearest first.

    >>> record = {"ts": 1, "response": {"id": "m", "type": "message", "usage": {"input_tokens": 2, "output_tokens": 1}}}
    >>> [(kind.name, answer["id"], around["ts"]) for kind, answer, around in calls_in(record)]
    [('Anthropic messages', 'm', 1)]
    """
    yield from _search(document, {}, 0)


def _search(
    value: object, around: Mapping[str, Any], depth: int
) -> Iterator[tuple[Answer, Mapping[str, Any], Mapping[str, Any]]]:
    if isinstance(value, list):
        for item in value:
            yield from _search(item, around, depth + 1)
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return
    value = _camel(value)
    kind = next((kind for kind in answers() if kind.fits(value)), None)
    if kind:
        yield kind, value, {**around, **value}
        return
    beside = {**around, **{k: v for k, v in value.items() if not isinstance(v, list)}}
    for name, inner in value.items():
        if name in CONTENT:
            continue
        if isinstance(inner, str) and name.lower() in WRITTEN and inner.lstrip()[:1] == "{":
            try:
                inner = json.loads(inner, parse_float=Decimal)
            except (ValueError, RecursionError):
                continue
        if isinstance(inner, Mapping | list):
            yield from _search(inner, beside, depth + 1)


def _camel(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Gemini's own names where its SDK wrote them with underscores."""
    usage = value.get("usage_metadata")
    if not isinstance(usage, Mapping) or "prompt_token_count" not in usage:
        return value
    return {_camel_name(k): _deep_camel(v) if k == "usage_metadata" else v for k, v in value.items()}


def _deep_camel(value: object) -> Any:
    if isinstance(value, Mapping):
        return {_camel_name(k): _deep_camel(v) for k, v in value.items()}
    return [_deep_camel(v) for v in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    return re.sub(r"_([a-z])", lambda m: m[1].upper(), name)


def _format(kind: Answer, usage: Mapping[str, Any], model: str) -> str:
    if kind.format == "openai.chat" and "grok" in model.lower():
        parts = [
            find(usage, path) or 0
            for path in ("prompt_tokens", "completion_tokens", "completion_tokens_details.reasoning_tokens")
        ]
        return "xai.chat" if parts[2] and sum(parts) == find(usage, "total_tokens") else kind.format
    if kind.format == "vercel.usage" and "claude" in model.lower() and "inputTokenDetails" not in usage:
        return "vercel.usage_beside"
    return kind.format


def _around(around: Mapping[str, Any], column: str) -> Any:
    """What the record around an answer calls one of the usual names of a token-frame column."""
    by_name = {bare_name(name): value for name, value in around.items() if not isinstance(value, Mapping | list)}
    return next((by_name[n] for n in COLUMNS[column] if by_name.get(n) not in (None, "")), None)


def _tags(around: Mapping[str, Any], answer: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """Labels: usual names of the record, and the short entries of its `metadata`."""
    found: dict[str, str] = {}
    for name, value in around.items():
        if bare_name(name) in TAGS and (text := _text(value)):
            found[name] = text
    for holder in (around.get("metadata"), answer.get("metadata"), around.get("tags")):
        for name, value in holder.items() if isinstance(holder, Mapping) else ():
            if text := _text(value):
                found[str(name)] = text
    return sorted(found.items()) or None


def _text(value: object) -> str | None:
    """A short text of one line, or a number as text; anything else could be content."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if 0 < len(text) <= LONGEST_LABEL and "\n" not in text else None


def _long(slices: dict[str, Any], counted: Normalised, usage: Mapping[str, Any], cost: object) -> list[dict[str, Any]]:
    quantities = dict(counted.meters)
    if counted.unknown_fields:
        unknown = [_leaf(usage, path) for path in counted.unknown_fields]
        quantities["unmapped"] = sum(unknown)
    rows = []
    for number, (name, quantity) in enumerate(quantities.items()):
        once = cost is not None and number == 0
        rows.append(
            {
                **slices,
                "meter": name,
                "quantity": quantity,
                "unit": meters()[name].unit,
                "billed_cost": cost if once else None,
                "billing_currency": "USD" if once else None,
            }
        )
    return rows


def _counts(value: object) -> Any:
    """Whole numbers that a log wrote as text or with decimals, as whole numbers."""
    if isinstance(value, Mapping):
        return {name: _counts(inner) for name, inner in value.items()}
    return count(value)


def _amount(value: object) -> Decimal | None:
    """A stated cost as an exact number; None where it is none."""
    try:
        return exact(value) if isinstance(value, int | str | Decimal) and not isinstance(value, bool) else None
    except (ArithmeticError, ValueError):
        return None


def _whole_streams(found: Iterable[tuple[int, Any]], shown: str, notes: list[str]) -> Iterator[tuple[int, Any]]:
    """Documents, of which the events of a streamed Anthropic message are one: its final counts come in a later event.

    Raises:
        DataError: events of several messages are mixed, so that no one can tell which count is whose.
    """
    begun: tuple[int, dict[str, Any]] | None = None
    cut = 0
    for number, document in found:
        kind = document.get("type") if isinstance(document, dict) else None
        if kind == "message_start" and isinstance(document.get("message"), dict):
            if begun:
                cut += 1
                yield begun
            begun = (number, document)
        elif kind == "message_delta" and isinstance(document.get("usage"), dict):
            if not begun:
                raise DataError(
                    f"{shown}, document {number}: the events of several streamed messages are mixed. Log each message as it is at its end."
                )
            message = begun[1]["message"]
            final = {name: value for name, value in document["usage"].items() if value is not None}
            yield begun[0], {**begun[1], "message": {**message, "usage": {**message.get("usage", {}), **final}}}
            begun = None
        else:
            yield number, document
    if begun:
        cut += 1
        yield begun
    if cut:
        notes.append(
            f"{cut} streamed messages in {shown} state no final count: their output is counted as it was at their start."
        )


def _leaf(usage: Mapping[str, Any], path: str) -> int:
    value = find(usage, path) if "[" not in path else None
    return int(value) if isinstance(value, int | Decimal) else 0


def moment(value: object, zone_name: str, place: str) -> dt.datetime:
    """An instant as logs write it: seconds, milliseconds, microseconds or nanoseconds since 1970, ISO 8601, or as in HTTP.

    Raises:
        DataError: no such thing; says where.

    >>> moment(1790812800, "UTC", "x"), moment("Thu, 01 Oct 2026 00:00:00 GMT", "UTC", "x")
    (datetime.datetime(2026, 10, 1, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 10, 1, 0, 0, tzinfo=datetime.timezone.utc))
    """
    text = str(value).strip()
    try:
        if re.fullmatch(r"\d{9,20}(\.\d+)?", text):
            digits = len(text.partition(".")[0])
            per = 1 if digits < 12 else 10**3 if digits < 15 else 10**6 if digits < 18 else 10**9
            micros = int(exact(text) * 10**6 / per)
            return dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=micros)
        try:
            read = dt.datetime.fromisoformat(text)
        except ValueError:
            read = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError):
        raise DataError(
            f"{place}: {text[:60]!r} is no time this reader knows. Log it as 2026-10-01T09:00:00Z."
        ) from None
    return (read if read.tzinfo else read.replace(tzinfo=zone(zone_name))).astimezone(UTC)


def is_response_log(path: Path) -> bool:
    """Whether the first documents of a file hold answers this reader knows."""
    with members(path) as inside:
        for file, _ in inside:
            for number, (_, document) in enumerate(documents(file, [])):
                if isinstance(document, dict) and any(True for _ in calls_in(document)):
                    return True
                if number >= 50:
                    break
    return False
