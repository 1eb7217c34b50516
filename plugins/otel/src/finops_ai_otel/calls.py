"""Which spans are model calls, each counted once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from finops_ai_otel.attributes import FAILED, NO_CALLS, OPERATION, OPERATIONS, REFUSED, REQUEST_ID, biller_of, first
from finops_ai_otel.otlp import USAGE, Span


def usage_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The token counts among a span's attributes. Tables often hold them as text: whole numbers are read as such."""
    counts: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(USAGE) and value is not None:
            counts[name] = int(value) if isinstance(value, str) and value.isdigit() else value
            if isinstance(value, float) and value.is_integer():
                counts[name] = int(value)
    return {name: value for name, value in counts.items() if isinstance(value, int) and not isinstance(value, bool)}


def model_calls(spans: Iterable[Span], notes: list[str]) -> list[tuple[Span, dict[str, Any]]]:
    """The spans that carry token counts, each call once.

    A span exported twice counts once. Agents, workflows and gateways repeat the sum of the calls below them: of spans
    with counts that lie inside each other, the innermost holds. Several instrumentations tell of one call in spans of
    their own, perhaps in traces of their own: of spans with one response id the one that states most counts holds. A
    failed call has no response id: where several instrumentations tell of the same calls, its failures are those of the
    one that tells of most. A request that was refused before a model ran is no call.
    """
    by_id: dict[tuple[str, str], Span] = {}
    twice = 0
    for span in spans:
        key = (span.trace_id, span.span_id)
        twice += key in by_id
        by_id[key] = span
    found = {}
    for key, span in by_id.items():
        usage = usage_of(span.attributes)
        if usage and first(span.attributes, OPERATION) not in NO_CALLS:
            found[key] = usage
    around = _around([by_id[key] for key in found], by_id)
    outer = {key for key in around if key in found}
    if twice:
        notes.append(f"{twice} spans were exported twice: counted once.")
    if outer:
        notes.append(f"{len(outer)} spans repeat the tokens of model calls inside them (agents, gateways): left out.")
    calls: dict[Any, tuple[str, str]] = {}
    again = 0
    alike: list[set[str]] = []  # instrumentations that told of the same calls
    for key, usage in found.items():
        if key in outer:
            continue
        span = by_id[key]
        response = first(span.attributes, REQUEST_ID)
        name = ("response", biller_of(span.attributes), response) if response else key
        if name in calls:
            again += 1
            alike.append({span.scope, by_id[calls[name]].scope})
            if len(usage) <= len(found[calls[name]]):
                continue
        calls[name] = key
    if again:
        notes.append(
            f"{again} spans tell of calls that another instrumentation told of (same response id): counted once."
        )
    silent = [span for key, span in by_id.items() if key not in found and _is_call(span.attributes)]
    failed = [span for span in silent if first(span.attributes, FAILED)]
    around |= _around(failed, by_id)
    alone = [span for span in failed if (span.trace_id, span.span_id) not in around]
    refused = [span for span in alone if _is_refused(span.attributes)]
    alone = _told_once([span for span in alone if not _is_refused(span.attributes)], alike)
    if refused:
        notes.append(
            f"{len(refused)} spans tell of requests that were refused before a model ran (bad request, no permission): no calls."
        )
    if alone:
        notes.append(
            f"{len(alone)} model calls failed and state no tokens: they count as calls that ended in an error."
        )
    if len(silent) > len(failed):
        names = sorted({name for span in silent if span not in failed for name in span.attributes})[:5]
        notes.append(
            f"{len(silent) - len(failed)} spans of model calls state no token counts this version knows (they have {', '.join(names)}): left out."
        )
    return [(by_id[key], found[key]) for key in calls.values()] + [(span, {}) for span in alone]


def _is_refused(attributes: Mapping[str, Any]) -> bool:
    word = str(first(attributes, FAILED)).rpartition(".")[2].lower()
    return "".join(ch for ch in word if ch.isalnum()) in REFUSED


def _told_once(failed: list[Span], alike: Iterable[set[str]]) -> list[Span]:
    """Failed calls without those that a second instrumentation of the same calls told of."""
    groups: list[set[str]] = []
    for scopes in alike:
        joined = scopes.union(*(g for g in groups if g & scopes))
        groups = [g for g in groups if not g & scopes] + [joined]
    for group in groups:
        told = {scope: sum(span.scope == scope for span in failed) for scope in sorted(group)}
        best = max(told, key=lambda scope: told[scope])
        failed = [span for span in failed if span.scope == best or span.scope not in group]
    return failed


def _around(spans: Iterable[Span], by_id: Mapping[tuple[str, str], Span]) -> set[tuple[str, str]]:
    """The spans that some spans lie inside of."""
    outer: set[tuple[str, str]] = set()
    for span in spans:
        parent, passed = span.parent_id, {span.span_id}
        while parent and parent not in passed and (span.trace_id, parent) in by_id:
            passed.add(parent)
            outer.add((span.trace_id, parent))
            parent = by_id[span.trace_id, parent].parent_id
    return outer


def _is_call(attributes: Mapping[str, Any]) -> bool:
    """Whether a span says of itself that it is a model call."""
    return first(attributes, OPERATION) in OPERATIONS and first(attributes, OPERATION) not in (
        "invoke_agent",
        *NO_CALLS,
    )
