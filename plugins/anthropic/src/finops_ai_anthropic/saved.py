"""Saved answers and logs: what each file holds, told from its content, and rows that several files state counted once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError
from finops_ai.periods import instant
from finops_ai.providers.files import find_files, read_json_any
from finops_ai.providers.parsing import require_shape
from finops_ai_anthropic.api import WIDTHS, Row, buckets, flat
from finops_ai_anthropic.shapes import CODE, PAGE

#: counts and amounts: everything else in a row names what the row is about
MEASURES = {
    "uncached_input_tokens", "cache_read_input_tokens", "output_tokens", "cache_creation", "server_tool_use",
    "total_tokens", "requests", "amount", "list_amount",
}  # fmt: skip


#: which report a saved row is from, while rows are sorted
FAMILY = "report family"


@dataclass
class Saved:
    """What the files hold.

    Attributes:
        usage: flat rows of usage reports. cost: of cost reports.
        claude_code: records of the Claude Code report. session_log: assistant records of Claude Code session logs.
        refreshed: freshness marks of the analytics pages.
    """

    usage: list[Row] = field(default_factory=list)
    cost: list[Row] = field(default_factory=list)
    claude_code: list[Row] = field(default_factory=list)
    session_log: list[tuple[Path, int, Row]] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)


def read_saved(patterns: list[str], notes: list[str]) -> Saved:
    """Read saved pages (JSON or JSON Lines, gzip or not) of any of the reports, and Claude Code session logs.

    A row that several pages state alike counts once. Where they differ, the page with the newer
    `data_refreshed_at` holds; without such marks it is an error.

    Raises:
        DataError: no file, a damaged file, a document of no known kind, or pages that contradict each other.
    """
    found = Saved()
    dated: dict[str, list[tuple[str, str, Row]]] = {"usage": [], "cost": []}
    for path in find_files(patterns):
        for number, document in read_json_any(path):
            where = f"{path}, {'line' if path.suffix == '.jsonl' else 'document'} {number}"
            for page in document if isinstance(document, list) else [document]:
                _sort(page, (path, number), where, found, dated)
    found.usage = _one_report(_once(dated["usage"], notes), "usage", notes)
    found.cost = _one_report(_once(dated["cost"], notes), "cost", notes)
    return found


def _sort(
    page: Any, at: tuple[Path, int], where: str, found: Saved, dated: dict[str, list[tuple[str, str, Row]]]
) -> None:
    if not isinstance(page, dict):
        raise DataError(f"{where}: neither a saved page nor a log record, but {type(page).__name__}. {KINDS}")
    if "sessionId" in page or "message" in page:
        if (
            page.get("type") == "assistant"
            and isinstance(message := page.get("message"), dict)
            and message.get("usage")
        ):
            found.session_log.append((*at, page))
        return
    if "leafUuid" in page or page.get("type") in ("summary", "system", "user", "file-history-snapshot"):
        return
    require_shape(page, PAGE, where)
    mark = page.get("data_refreshed_at") or ""
    if mark:
        found.refreshed.append(mark)
    for row in page["data"] if isinstance(page.get("data"), list) else [page]:
        if not isinstance(row, dict):
            raise DataError(f"{where}: a row is {row!r:.80}, no table. {KINDS}")
        if "model_breakdown" in row:
            require_shape(row, CODE, where)
            found.claude_code.append(row)
        elif "group" in row and ("usage" in row or "cost" in row):
            dated["usage" if "usage" in row else "cost"].append((mark, where, {**flat(row), FAMILY: "analytics"}))
        elif isinstance(row.get("results"), list):
            for result in buckets({"data": [row]}):
                dated["cost" if "amount" in result else "usage"].append((mark, where, {**result, FAMILY: "legacy"}))
        else:
            raise DataError(f"{where}: a row of no known report, with the keys {sorted(row)}. {KINDS}")


KINDS = (
    "Known are saved pages of analytics/usage, analytics/cost, usage_report/messages, cost_report and "
    "usage_report/claude_code, and Claude Code session logs."
)


def _once(rows: list[tuple[str, str, Row]], notes: list[str]) -> list[Row]:
    """Rows of several pages, each slice once."""
    kept: dict[Any, tuple[str, str, Row]] = {}
    twice = 0
    for mark, where, row in rows:
        key = _key({name: value for name, value in row.items() if name not in MEASURES})
        if key not in kept:
            kept[key] = (mark, where, row)
            continue
        twice += 1
        old_mark, old_where, old = kept[key]
        if old == row or (old_mark and mark and mark < old_mark):
            continue
        if not (old_mark and mark and mark > old_mark):
            raise DataError(
                f"{where} and {old_where} state different figures for the same slice ({row.get('starting_at')}, model "
                f"{row.get('model')!r}). Keep one of the two files."
            )
        kept[key] = (mark, where, row)
    if twice:
        notes.append(f"{twice} rows were in several saved pages and count once.")
    return [row for _, _, row in kept.values()]


def _one_report(rows: list[Row], what: str, notes: list[str]) -> list[Row]:
    """Each day from one report only: where analytics and legacy pages cover the same day, analytics holds.

    Raises:
        DataError: pages of different bucket widths cover the same day.
    """
    analytics = {row["starting_at"][:10] for row in rows if row[FAMILY] == "analytics"}
    kept = [row for row in rows if row[FAMILY] == "analytics" or row["starting_at"][:10] not in analytics]
    if len(kept) < len(rows):
        notes.append(
            f"{len(rows) - len(kept)} rows of legacy {what} pages cover days that analytics pages cover: left out."
        )
    widths: dict[str, dt.timedelta] = {}
    for day, start, end in {(row["starting_at"][:10], row["starting_at"], row["ending_at"]) for row in kept}:
        width = instant(end) - instant(start)
        if width in WIDTHS.values() and widths.setdefault(day, width) != width:
            raise DataError(
                f"Saved {what} pages of different bucket widths ({widths[day]} and {width}) both cover {day}: the same "
                "tokens would count twice. Keep the pages of one width."
            )
    return [{name: value for name, value in row.items() if name != FAMILY} for row in kept]


def _key(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((name, _key(inner)) for name, inner in value.items() if inner is not None))
    return value


def latest(marks: list[str]) -> Any:
    """The instant up to which all pages had data: the oldest of their marks; None without any."""
    return min((instant(mark) for mark in marks), default=None)
