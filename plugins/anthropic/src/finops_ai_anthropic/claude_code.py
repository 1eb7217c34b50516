"""Claude Code's own records: its daily report per person, and the session logs on developers' machines.

Both show a part of what the usage reports hold, by person and session. They are read where they are all there is;
next to usage reports they are left out, or the same tokens would count twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.frames import conform
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.meters import disjoint_columns, normalise_columns, original_calls, service_tier, tokens_from_slices
from finops_ai.periods import Window, instant
from finops_ai.providers.amounts import count

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
DAY = dt.timedelta(days=1)
#: the report's words for its four counts -> those of a message's usage
REPORT_COUNTS = {
    "input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation_input_tokens": "cache_creation",
}


#: columns that may be null everywhere
TEXTS = {"inference_geo", "request_id", "session_id", "user_id"}


def report_frame(records: Iterable[Row], window: Window, *, account: str) -> pd.DataFrame:
    """Token frame of `usage_report/claude_code`: one slice per day, person, terminal and model.

    Its costs are estimates, not a bill, and are left out.

    Raises:
        DataError: a record lacks its date or counts.
    """
    slices: dict[str, list[Any]] = {}
    counts: dict[str, list[int]] = {name: [] for name in REPORT_COUNTS}
    for record in records:
        try:
            start = instant(record["date"])
            if start not in window:
                continue
            actor = record["actor"]
            for part in record["model_breakdown"]:
                for name, theirs in REPORT_COUNTS.items():
                    counts[name].append(count(part["tokens"][theirs]))
                labels = {"terminal_type": record.get("terminal_type"), "api_key_name": actor.get("api_key_name")}
                _append(
                    slices,
                    charge_period_start=start,
                    charge_period_end=start + DAY,
                    billing_account_id=record.get("organization_id") or account,
                    model=part["model"],
                    user_id=actor.get("email_address"),
                    service_tier="standard",
                    tags=[(k, v) for k, v in labels.items() if v] or None,
                )
        except (KeyError, TypeError) as error:
            raise DataError(f"A Claude Code report record of {record.get('date')} lacks {error}.") from None
    return _frame(
        {**slices, "tool_name": "claude-code"} if slices else {},
        normalise_columns(counts, "anthropic.messages"),
        source="file",
    )


def log_frame(
    records: Iterable[tuple[Path, int, Row]], window: Window, *, account: str, notes: list[str]
) -> pd.DataFrame:
    """Token frame of session logs: one slice per call. A message that is streamed, copied for a subagent or into a session that
    was resumed counts once, at its earliest time, for the session it comes from; an error of the client's own is no call.

    Raises:
        DataError: a record has no time.
        UsageError: a usage object can't be split into disjoint meters.
    """
    kept, repeated, synthetic = original_calls(records)
    if repeated:
        notes.append(f"{repeated} session log records repeated a call (streamed, copied, resumed): counted once.")
    if synthetic:
        notes.append(f"{synthetic} session log records were errors of Claude Code's own: no model was called.")
    slices: dict[str, list[Any]] = {}
    usages: list[Row] = []
    for call in kept:
        start, usage, session = instant(call.at), call.usage, call.whence.session
        if start not in window:
            continue
        geo = usage.get("inference_geo")
        _append(
            slices,
            charge_period_start=start,
            charge_period_end=start + dt.timedelta(microseconds=1),
            billing_account_id=account,
            model=call.model,
            service_tier="fast" if usage.get("speed") == "fast" else service_tier(usage.get("service_tier")),
            inference_geo=None if geo in (None, "", "not_available") else str(geo).lower(),
            request_id=call.request,
            session_id=session,
            tags=[("session_id", session)],
        )
        usages.append(usage)
    counted: dict[str, Any] = dict(
        disjoint_columns(
            usages, "anthropic.messages", lambda i: f"Session log, request {slices['request_id'][i]!r}", notes
        )
    )
    counted["requests"] = [1] * len(usages)
    return _frame({**slices, "tool_name": "claude-code"} if slices else {}, counted, source="log")


def _append(slices: dict[str, list[Any]], **values: Any) -> None:
    for name, value in values.items():
        slices.setdefault(name, []).append(value)


def _frame(slices: dict[str, list[Any]], counted: Any, *, source: str) -> pd.DataFrame:
    if not slices:
        return conform({}, source="claude code")
    slices = {name: pa.array(v, pa.string()) if name in TEXTS else v for name, v in slices.items()}
    constant = {"provider": "anthropic", "operation": "chat", "source": source, "quantity_basis": "metered"}
    columns = {**slices, **constant, "tags": pa.array(slices["tags"], TAGS_TYPE)}
    return conform(tokens_from_slices(columns, counted), source="claude code")
