"""Session logs that write one message several times while it streams: which record counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def last_records(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One record per call: the last one that is complete (has a stop reason), else the last, with the first timestamp.

    Records of one call share `message.id` and `requestId`; a record without a request id belongs to its message id.
    Records without usage (user turns, tool results) are left out.

    Args:
        records: log records in file order, each with `message.id`, `message.usage` and perhaps `requestId`.

    Returns:
        The records that count, in order of first appearance.

    >>> rows = [{"timestamp": 1, "message": {"id": "m", "usage": {"output_tokens": 3}}},
    ...         {"timestamp": 2, "message": {"id": "m", "stop_reason": "end_turn", "usage": {"output_tokens": 9}}}]
    >>> [(r["timestamp"], r["message"]["usage"]["output_tokens"]) for r in last_records(rows)]
    [(1, 9)]
    """
    calls: list[list[Mapping[str, Any]]] = []
    by_message: dict[Any, list[tuple[Any, list[Mapping[str, Any]]]]] = {}
    for record in records:
        message = record.get("message") or {}
        if not isinstance(message.get("usage"), Mapping):
            continue
        request, groups = record.get("requestId"), by_message.setdefault(message.get("id"), [])
        same = (group for known, group in groups if request is None or known is None or known == request)
        group = next(same, None) if message.get("id") is not None else None
        if group is None:
            group = []
            calls.append(group)
            groups.append((request, group))
        group.append(record)
    kept = []
    for group in calls:
        complete = [record for record in group if record["message"].get("stop_reason")]
        kept.append({**(complete or group)[-1], "timestamp": group[0].get("timestamp")})
    return kept
