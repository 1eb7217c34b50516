"""Spans and metrics as one token frame."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import UsageError
from finops_ai.frames import conform
from finops_ai.frames.types import QUANTITY_TYPE, TAGS_TYPE
from finops_ai.meters import format_named, meters, normalise, normalise_columns, service_tier, tokens_from_slices
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai_otel import attributes as names
from finops_ai_otel.metrics import METRICS, SPAN, Slice
from finops_ai_otel.otlp import Span
from finops_ai_otel.tools import AGENT, COPILOT, CREDITS, PER_CREDIT, SESSION, device_of, person_of, tool_of

if TYPE_CHECKING:
    import pandas as pd

INSTANT = dt.timedelta(microseconds=1)
ACCOUNTS = ("user.account_uuid", "user.email")
COLUMNS = [
    "charge_period_start", "charge_period_end", "provider", "billing_account_id", "model", "operation", "service_tier",
    "api_key_id", "user_id", "prompt_id", "tags", "request_id", "temperature", "max_output_tokens", "slice_requests",
    "outcome", "session_id", "agent_name", "tool_name", "money_basis",
]  # fmt: skip
#: spellings the format doesn't list -> the one it does
SPELLINGS = {
    "gen_ai.usage.reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.cache_write_input_tokens": "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cached_tokens": "gen_ai.usage.cache_read.input_tokens",
}


def span_slices(calls: Sequence[tuple[Span, dict[str, Any]]], spans: Iterable[Span] = ()) -> list[Slice]:
    """One slice a call. A call that names no conversation is of the one its trace names, where that is one only."""
    sessions: dict[str, set[str]] = {}
    for span in spans:
        if (named := names.first(span.attributes, SESSION)) is not None:
            sessions.setdefault(span.trace_id, set()).add(str(named))
    found = []
    for span, usage in calls:
        more: dict[str, Any] = {"span id": span.span_id}
        around = sessions.get(span.trace_id, set())
        if len(around) == 1 and names.first(span.attributes, SESSION) is None:
            more["session of the trace"] = next(iter(around))
        found.append(
            Slice(
                span.start,
                max(span.end, span.start + INSTANT),
                {**span.attributes, **more},
                span.resource,
                SPAN,
                {SPELLINGS.get(name, name): count for name, count in usage.items()},
                1,
                place=f"{span.place}, span {span.span_id}",
                tool=tool_of(span.resource, span.attributes),
            )
        )
    return found


def credit_slices(spans: Iterable[Span]) -> list[Slice]:
    """Credits of Copilot: a span states those of all that is inside it, so only the outermost of those that state any counts.

    Its `github.copilot.cost` is a multiplier, no money, and isn't read.
    """
    by_id = {(span.trace_id, span.span_id): span for span in spans}
    found = []
    for span in by_id.values():
        if span.attributes.get(CREDITS) is None:
            continue
        above = by_id.get((span.trace_id, span.parent_id))
        seen = {span.span_id}
        while above is not None and above.attributes.get(CREDITS) is None and above.span_id not in seen:
            seen.add(above.span_id)
            above = by_id.get((above.trace_id, above.parent_id))
        if above is not None and above.span_id not in seen:
            continue
        credits = (exact(span.attributes[CREDITS]) / PER_CREDIT).quantize(Decimal("1e-6"))
        end = max(span.end, span.start + INSTANT)
        named = {**span.attributes, "span id": f"{span.span_id} credits"}
        found.append(Slice(span.start, end, named, span.resource, SPAN, {}, None, {}, span.place, COPILOT, credits))
    return found


def token_frame(
    slices: Sequence[Slice], window: Window, *, accounts: Mapping[str, str], labels: Sequence[str], notes: list[str]
) -> pd.DataFrame:
    """Token frame of the slices that start in the window.

    Args:
        slices: calls or metric intervals.
        window: half open.
        accounts: provider -> billing account id, where known.
        labels: attribute names or patterns kept as tags besides the usual ones.
        notes: gets what a reader must know.

    Raises:
        UsageError: counts that contradict each other; names the span or file.
    """
    chosen = [piece for piece in slices if window.start <= piece.start < window.end]
    if not chosen:
        return conform({}, source="otel")
    rows = [_identity(piece, accounts, labels) for piece in chosen]
    columns = dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    counted = _counted(chosen, notes)
    if any(piece.credits for piece in chosen):
        counted["credits"] = pa.array([piece.credits or Decimal(0) for piece in chosen], QUANTITY_TYPE)
    counted["requests"] = pa.array([piece.calls or 0 for piece in chosen], pa.int64())
    frame: dict[str, Any] = {
        **columns,
        **{
            name: pa.array(columns[name], pa.string())
            for name in ("session_id", "agent_name", "tool_name", "money_basis")
        },
        "tags": pa.array(columns["tags"], TAGS_TYPE),
        "temperature": pa.array(columns["temperature"], pa.float64()),
        "source": "log",
        "quantity_basis": "metered",
    }
    return conform(tokens_from_slices(frame, counted), source="otel")


def _identity(piece: Slice, accounts: Mapping[str, str], labels: Sequence[str]) -> tuple[Any, ...]:
    found, single = piece.attributes, "span id" in piece.attributes
    tool, own = piece.tool, piece.format != SPAN
    provider = tool.provider if tool and (own or tool.provider != "anthropic") else names.biller_of(found)
    model = names.first(found, names.MODEL) or (names.first(found, ("model",)) if tool else None)
    word = names.first(found, names.OPERATION)
    tags = names.tags_of(found, piece.resource, labels)
    if piece.strange:
        tags = [*(tags or []), ("unmapped", "+".join(sorted(piece.strange)))]
    temperature, limit = names.first(found, names.TEMPERATURE), names.first(found, names.MAX_TOKENS)
    user = person_of(found, piece.resource) if tool else names.first(found, names.USER) or names.first(found, ACCOUNTS)
    if tool and (device := device_of(found, piece.resource)):
        tags = [*(tags or []), ("device", device)]
    session = names.first(found, (*SESSION, "session of the trace"))
    agent = names.first(found, AGENT)
    key = names.first(found, names.API_KEY)
    return (
        piece.start,
        piece.end,
        provider,
        accounts.get(provider, str(found.get("organization.id") or "otel") if tool else "otel"),
        str(model or "not stated"),
        names.OPERATIONS.get(str(word), str(word)) if word else "chat",
        _tier(piece),
        None if key is None else str(key),
        None if user is None else str(user),
        names.prompt_of(found),
        tags,
        str(names.first(found, names.REQUEST_ID) or found["span id"]) if single else None,
        None if temperature is None or not single else float(temperature),
        None if limit is None or not single else int(limit),
        piece.calls,
        "error" if names.first(found, names.FAILED) else "ok" if single else None,
        None if session is None else str(session),
        None if agent is None else str(agent),
        tool.name if tool else None,
        "list" if tool else None,
    )


def _tier(piece: Slice) -> str:
    """The served tier where the span states it, else the one asked for."""
    facts = format_named(SPAN).facts
    served = names.first(piece.attributes, facts["service_tier"]) or names.first(
        piece.attributes, facts["requested_service_tier"]
    )
    return service_tier(None if served is None else str(served))


def _counted(chosen: Sequence[Slice], notes: list[str]) -> dict[str, Any]:
    """Columns of disjoint meters, and a column `unmapped` for token counts no format knows."""
    counted: dict[str, Any] = {}
    unmapped = [sum(piece.strange.values()) for piece in chosen]
    for kind in dict.fromkeys(METRICS.values()):
        rows = [i for i, piece in enumerate(chosen) if piece.format == kind]
        if not rows:
            continue
        spec = format_named(kind)
        counts = {path for spellings in spec.counts().values() for path in spellings}
        columns: dict[str, list[int | None]] = {}
        for place, i in enumerate(rows):
            for path, count in chosen[i].counts.items():
                if path in counts:
                    if path not in columns:
                        columns[path] = [None] * len(rows)
                    columns[path][place] = count
                elif not spec.known(path) and count > 0:
                    unmapped[i] += count
        try:
            found: Mapping[str, Any] = normalise_columns(columns, kind)
        except UsageError:
            found = _one_by_one([chosen[i] for i in rows], kind, notes)
        for meter, values in found.items():
            whole = counted.setdefault(meter, [0] * len(chosen))
            for i, value in zip(rows, values.to_pylist(), strict=True):
                whole[i] = value
    if any(unmapped):
        counted["unmapped"] = unmapped
        named: dict[str, int] = {}
        for piece in chosen:
            for name, count in piece.strange.items():
                named[name] = named.get(name, 0) + count
        said = ": " + ", ".join(f"{name} ({count:,})" for name, count in sorted(named.items())) if named else ""
        notes.append(
            f"Some token counts have names this version doesn't know; they are rows of the meter 'unmapped'{said}."
        )
    order = {name: i for i, name in enumerate(meters())}
    return {name: pa.array(counted[name], pa.int64()) for name in sorted(counted, key=order.__getitem__)}


def _one_by_one(chosen: Sequence[Slice], kind: str, notes: list[str]) -> dict[str, Any]:
    """The slow way, where some slice is odd: says which, and which odd ones could still be read."""
    calls: list[Mapping[str, int]] = []
    odd: dict[str, list[str]] = {}
    for piece in chosen:
        try:
            call = normalise(piece.counts, kind)
        except UsageError as error:
            raise UsageError(f"{piece.place}: {error} Nothing of this window was stored.", error.flag) from None
        for flag in call.flags - {"unknown_token_field"}:
            odd.setdefault(flag, []).append(piece.place)
        calls.append(call.meters)
    notes.extend(
        f"{flag}: {len(where)} slices, first {where[0]}; their split was used." for flag, where in sorted(odd.items())
    )
    wanted = [name for name in meters() if name != "requests" and any(name in call for call in calls)]
    return {name: pa.array([call.get(name, 0) for call in calls], pa.int64()) for name in wanted}
