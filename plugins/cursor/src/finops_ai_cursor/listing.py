"""A listing without ids that grows in front while it is paged: every row once, and equal rows kept.

Cursor's events come newest first and have no id, and two calls may be alike in everything. So a row that is on two pages
because newer ones came in front can't be told from a twin by its content: only by how much the listing grew in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from finops_ai.errors import ProviderError

Row = dict[str, Any]
#: reads of a listing that changed otherwise than by growing in front, before giving up
TRIES = 5


@dataclass(frozen=True)
class Page:
    """One page: its rows, the number of rows of the whole listing as it says (None = doesn't), whether more follow."""

    rows: list[Row]
    total: int | None
    more: bool


class _Changed(Exception):
    """The listing changed otherwise than by growing in front; carries what was read."""

    def __init__(self, rows: list[Row], total: int | None = None) -> None:
        self.rows, self.total = rows, total


def read_growing(ask: Callable[[int], Page], what: str, notes: list[str]) -> list[Row]:
    """All rows of a listing, newest first, as it is when the last of its pages 1 is read.

    Args:
        ask: the page of that number, from 1.
        what: for messages.
        notes: gets what a reader must know.

    Raises:
        ProviderError: it keeps changing.

    >>> pages = [Page([{"n": 3}, {"n": 2}], 3, True), Page([{"n": 2}, {"n": 1}], 4, False)]  # one came in front
    >>> asked = iter([*pages, Page([{"n": 4}, {"n": 3}], 4, True)])
    >>> [row["n"] for row in read_growing(lambda number: next(asked), "events", [])]
    [4, 3, 2, 1]
    """
    before: _Changed | None = None
    for _ in range(TRIES):
        try:
            return _read(ask)
        except _Changed as change:
            if before and (before.rows, before.total) == (change.rows, change.total):
                if change.total is not None:
                    notes.append(
                        f"Cursor counts {change.total} {what}, and twice gave {len(change.rows)}: these are read."
                    )
                return change.rows
            before = change
    raise ProviderError(
        f"cursor: {what} changed {TRIES} times while they were read. Nothing of this window was stored; run the same "
        "command again, or end the window an hour ago."
    )


def _read(ask: Callable[[int], Page]) -> list[Row]:
    page = ask(1)
    total, rows, pages = page.total, list(page.rows), [page.rows]
    repeated = False
    while page.more and page.rows:
        page = ask(len(pages) + 1)
        start = sum(map(len, pages))
        pages.append(page.rows)
        if total is None or page.total is None:
            rows += page.rows
            continue
        if page.total < total:
            raise _Changed(rows, page.total)
        rows += _unseen(rows, page.rows, start - (page.total - total))
        repeated = repeated or page.total > total
    if total is None:
        raise _Changed(rows)  # nothing says how many there are: read until two reads agree
    if len(rows) > total:  # more rows than there are, although the count stood still: pages repeat rows uncounted
        rows, repeated = _without_repeats(pages, total), True
    if len(rows) != total:
        raise _Changed(rows, total)
    for _ in range(TRIES if repeated else 0):
        fresh, asked = _newest(ask, rows)
        rows = fresh + rows
        if asked == 1:  # one answer is one moment; while more are read, more may come
            break
    return rows


def _unseen(seen: list[Row], rows: list[Row], start: int) -> list[Row]:
    """The rows of a page that begins at that row of the listing as it was, less those that are known.

    Rows before its begin came in front since, and are read at the end.
    """
    if start > len(seen):
        raise _Changed(seen)
    known = rows[max(-start, 0) : len(seen) - start]
    if known != seen[max(start, 0) : max(start, 0) + len(known)]:
        raise _Changed(seen)
    return rows[len(seen) - start :]


def _without_repeats(pages: list[list[Row]], total: int) -> list[Row]:
    """Rows of all pages without those that a page repeats of the page before, of which there are as many as are too many."""
    surplus = sum(map(len, pages)) - total
    kept = list(pages[0])
    for page in pages[1:]:
        by = next((n for n in range(min(surplus, len(page)), 0, -1) if kept[-n:] == page[:n]), 0)
        surplus -= by
        kept += page[by:]
    return kept


def _newest(ask: Callable[[int], Page], known: list[Row]) -> tuple[list[Row], int]:
    """What came in front of the known rows, and how many pages it took to read."""
    page = ask(1)
    total, rows, pages = page.total or 0, list(page.rows), [page.rows]
    fresh = total - len(known)
    while len(rows) < fresh and page.more:
        start = sum(map(len, pages))
        page = ask(len(pages) + 1)
        pages.append(page.rows)
        rows += _unseen(rows, page.rows, start - ((page.total or total) - total))
    if fresh == 0 and rows != known[: len(rows)]:  # the count stands still: as many as stand before the first known one
        fresh = next((n for n in range(1, len(rows)) if rows[n:] == known[: len(rows) - n]), -1)
    if fresh < 0 or rows[fresh:] != known[: len(rows) - fresh]:
        raise _Changed(known, total)
    return rows[:fresh], len(pages)
