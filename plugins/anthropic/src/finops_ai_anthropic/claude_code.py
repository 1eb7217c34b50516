"""Claude Code's own records: its daily report per person, and the session logs on developers' machines.

Both show a part of what the usage reports hold, by person and session. They are read where they are all there is;
next to usage reports they are left out, or the same tokens would count twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.errors import DataError
from finops_ai.frames import conform
from finops_ai.frames.types import TAGS_TYPE
from finops_ai.meters import meters, normalise, normalise_columns, tokens_from_slices
from finops_ai.meters.logs import last_records
from finops_ai.periods import Window, instant

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
                    counts[name].append(part["tokens"][theirs])
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
    return _frame(slices, normalise_columns(counts, "anthropic.messages"), source="file")


def log_frame(records: Iterable[Row], window: Window, *, account: str, notes: list[str]) -> pd.DataFrame:
    """Token frame of session logs: one slice per call. A message written several times while it streamed counts once.

    Raises:
        DataError: a record has no message id or time.
        UsageError: a usage object can't be split into disjoint meters.
    """
    records = list(records)
    kept = last_records(records)
    if len(kept) < len(records):
        notes.append(
            f"{len(records) - len(kept)} session log records repeated a message while it streamed: counted once."
        )
    slices: dict[str, list[Any]] = {}
    counts: list[Mapping[str, int]] = []
    for record in kept:
        message = record["message"]
        if not message.get("id") or not record.get("timestamp"):
            raise DataError(
                f"A session log record of session {record.get('sessionId')!r} has no message id or timestamp."
            )
        start = instant(record["timestamp"])
        if start not in window:
            continue
        call = normalise(message["usage"], "anthropic.messages")
        _append(
            slices,
            charge_period_start=start,
            charge_period_end=start + dt.timedelta(microseconds=1),
            billing_account_id=account,
            model=message.get("model") or "not stated",
            service_tier=call.service_tier,
            inference_geo=call.inference_geo,
            request_id=record.get("requestId") or message["id"],
            tags=[("session_id", record["sessionId"])] if record.get("sessionId") else None,
        )
        counts.append(call.meters)
    names = [name for name in meters() if any(name in call for call in counts)]
    return _frame(slices, {name: [call.get(name) for call in counts] for name in names}, source="log")


def _append(slices: dict[str, list[Any]], **values: Any) -> None:
    for name, value in values.items():
        slices.setdefault(name, []).append(value)


def _frame(slices: dict[str, list[Any]], counted: Any, *, source: str) -> pd.DataFrame:
    if not slices:
        return conform({}, source="claude code")
    constant = {"provider": "anthropic", "operation": "chat", "source": source, "quantity_basis": "metered"}
    columns = {**slices, **constant, "tags": pa.array(slices["tags"], TAGS_TYPE)}
    return conform(tokens_from_slices(columns, counted), source="claude code")
