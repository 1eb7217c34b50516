"""The dashboard's CSV in its forms, columns found by name. Its costs are dollars; `Requests` are units of an old plan, no money."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.money import exact
from finops_ai.periods import instant
from finops_ai.providers.files import read_csv
from finops_ai_cursor.api import mail
from finops_ai_cursor.events import CHARGED, COVERED, FAILED, Event

WITH, WITHOUT = "Input (w/ Cache Write)", "Input (w/o Cache Write)"
READ, OUTPUT, TOTAL = "Cache Read", "Output Tokens", "Total Tokens"
_AMOUNT = re.compile(r"^\s*(?:US)?\$?\s*(-?[\d,]*\.?\d+(?:[eE][+-]?\d+)?)\s*$")
Row = dict[str, str]


def is_dashboard(header: list[str]) -> bool:
    """Whether a CSV's header is the dashboard's."""
    return {"Date", "Model", "Kind"} <= set(header) and bool({OUTPUT, TOTAL, "Cost", "Requests"} & set(header))


def events_of(path: Path, notes: list[str], user: str | None = None) -> Iterator[Event]:
    """The events of one export.

    Args:
        path: the CSV.
        notes: gets what a reader must know.
        user: whose events they are, where the export has no column for it (a person's own export).

    Raises:
        DataError: a figure is none, or the counts come to the stated total in no known way; names line and value.
    """
    rows = list(read_csv(path, required=["Date", "Kind", "Model"]))
    inside = _write_holds_input(path, rows, notes)
    if rows and "Cost" not in rows[0][1]:
        notes.append(f"{path}: has no column Cost; its requests are units of a plan, not money. Rows have no cost.")
    for line, row in rows:
        place = f"{path}, line {line}"
        try:
            at = instant(row["Date"])
        except Exception:
            raise DataError(f"{place}: Date is {row['Date']!r}, must be a time. Nothing was stored.") from None
        kind = row["Kind"].strip()
        basis, cost, failed = _money(kind, row.get("Cost"), place)
        labels = {
            "kind": kind,
            "cloud_agent_id": row.get("Cloud Agent ID"),
            "automation_id": row.get("Automation ID"),
            "service_account_id": row.get("Service Account ID"),
            "max_mode": "true" if (row.get("Max Mode") or "").strip().lower() in ("yes", "true") else None,
        }
        yield Event(
            at,
            mail(row.get("User")) or mail(user),
            row["Model"].strip() or "not stated",
            basis,
            cost,
            failed,
            _counts(row, inside, place),
            agent="cloud-agent" if (row.get("Cloud Agent ID") or "").strip() else None,
            tags=tuple((k, v.strip()) for k, v in labels.items() if v and v.strip()),
            kind=kind,
        )


def _money(kind: str, text: str | None, place: str) -> tuple[str | None, Decimal | None, bool]:
    """Basis, cost in USD and failure, by the words of Kind and Cost.

    >>> _money("On-Demand", "$0.12", ""), _money("Included", "Included", "")
    (('cash', Decimal('0.12'), False), ('included', None, False))
    >>> _money("Errored, No Charge", "-", "")
    ('included', Decimal('0'), True)
    """
    said = (text or "").strip()
    amount = None
    if match := _AMOUNT.match(said):
        amount = exact(match[1].replace(",", ""))
    elif said.lower() not in ("", "-", "included", "free", "n/a", "nan"):
        raise DataError(f"{place}: Cost is {said!r}, must be an amount, Included, Free or -. Nothing was stored.")
    if FAILED.search(kind):
        return "included", Decimal(0), True
    if said.lower() == "free":
        return "included", Decimal(0), False
    if COVERED.search(kind) or said.lower() == "included":
        return "included", amount, False
    return ("cash" if CHARGED.search(kind) else None), amount, False


def _write_holds_input(path: Path, rows: list[tuple[int, Row]], notes: list[str]) -> bool:
    """Whether the count "with cache write" holds the plain input, too: which of the two sums is the file's Total Tokens."""
    both = with_only = False
    sure = ""
    for line, row in rows:
        counts = {
            name: _count(row.get(name), f"{path}, line {line}", name) for name in (WITH, WITHOUT, READ, OUTPUT, TOTAL)
        }
        if counts[TOTAL] is None or counts[WITH] is None:
            both = both or (counts[WITH] is not None and (counts[WITH] or 0) < (counts[WITHOUT] or 0))
            continue
        rest, written = (counts[TOTAL] or 0) - (counts[READ] or 0) - (counts[OUTPUT] or 0), counts[WITH] or 0
        inside, beside = rest == written, rest == written + (counts[WITHOUT] or 0)
        if not (inside or beside):
            raise DataError(
                f"{path}, line {line}: its counts come to Total Tokens ({counts[TOTAL]}) neither with the input inside "
                f"{WITH!r} nor beside it. Nothing was stored; export it again."
            )
        if inside != beside:
            with_only, both = with_only or inside, both or beside
            sure = f"line {line}"
    if with_only and both:
        raise DataError(
            f"{path}, {sure}: some rows hold the input inside {WITH!r}, others beside it. Nothing was stored; export it again."
        )
    told = [(row.get(WITH) or "").strip() for _, row in rows if (row.get(WITHOUT) or "").strip() not in ("", "0")]
    if not sure and not both and any(text not in ("", "0") for text in told):
        notes.append(f"{path}: nothing tells whether {WITH!r} holds the plain input; it is read so.")
    return not both


def _counts(row: Row, inside: bool, place: str) -> dict[str, int]:
    count = {name: _count(row.get(name), place, name) for name in (WITH, WITHOUT, READ, OUTPUT)}
    if all(value is None for value in count.values()):
        return {}
    plain, write = count[WITHOUT] or 0, count[WITH] or 0
    if inside:
        if write < plain:
            raise DataError(f"{place}: {WITH!r} is {write}, less than the {plain} without. Nothing was stored.")
        write -= plain
    return {
        "inputTokens": plain,
        "cacheWriteTokens": write,
        "cacheReadTokens": count[READ] or 0,
        "outputTokens": count[OUTPUT] or 0,
    }


def _count(text: Any, place: str, name: str) -> int | None:
    said = (text or "").strip().replace(",", "")
    if said in ("", "-"):
        return None
    if not said.isdigit():
        raise DataError(f"{place}: {name} is {text!r}, must be a whole number. Nothing was stored.")
    return int(said)
