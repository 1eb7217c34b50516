"""A workspace's months under the terms of its contracts: volume tiers, credits and capacity settle whole UTC months."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.periods import Window, whole_months
from finops_ai.workspace.cells import cells_of

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook
    from finops_ai.workspace import Workspace


def commitments(ws: Workspace, month: str | Window) -> pd.DataFrame:
    """What volume tiers, credits and capacity came to, one row per contract, item and UTC month (see `fa.commitments`).

    A credit's balance counts what every earlier month with usage drew from it.
    """
    from finops_ai.engine.settling import statement_frame

    pieces = whole_months(ws.window_of(month)) if ws.book.has_terms else []
    found = [settled_month(ws, piece, cells=True)[1] for piece in pieces]
    return pd.concat(found, ignore_index=True) if found else statement_frame([])


def reprice(ws: Workspace, month: str | Window, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a month at today's prices, such as those it was closed with; what stands around them stays as it is."""
    from finops_ai.engine import price, settled

    if not ws.book.has_terms:
        return ws.in_group(price(rows, ws.book))
    window, frames = ws.window_of(month), []
    for piece in whole_months(window):
        around, mine = ws.tokens(piece), _inside(rows, piece)
        both = pd.concat([mine, around[~_mask(around, window)]], ignore_index=True)
        frames.append(_inside(settled(both, _book_at(ws, piece), period=until_now(ws, piece))[0], window))
    return ws.in_group(pd.concat(frames, ignore_index=True))


def settled_part(ws: Workspace, window: Window, *, cells: bool = False, by: Sequence[str] = ()) -> pd.DataFrame:
    """A window's rows, or cells, out of whole UTC months, which are what contracts are settled by."""
    frames = [settled_month(ws, piece, cells=cells, by=by)[0] for piece in whole_months(window)]
    frame = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    left_out = sorted({name for one in frames for name in left_out_of(one)})
    return made_with(ws.in_group(_inside(frame, window)), frames[0], left_out=left_out)


def settled_month(
    ws: Workspace, month: Window, *, cells: bool = False, by: Sequence[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A whole UTC month priced and settled, and its statement; terms come to the same on rows and on their cells."""
    from finops_ai.engine import settled
    from finops_ai.engine.settling import statement_frame

    made: dict[str, pd.DataFrame] = {}

    def make(kind: str) -> pd.DataFrame:
        if not made:
            tokens = cells_of(ws, month, by) if cells else ws.tokens(month)
            frame, rows = settled(tokens, _book_at(ws, month), period=until_now(ws, month))
            made.update(settled=frame, commitments=statement_frame(rows))
        return made[kind]

    mark = "-".join(["-cells", *(hashlib.sha256(name.encode()).hexdigest()[:8] for name in by)]) if cells else ""
    frame, statement = (
        ws.derived(kind + mark, month, lambda _, k=kind: make(k))  # type: ignore[misc]
        for kind in ("settled", "commitments")
    )
    return frame, statement


def until_now(ws: Workspace, month: Window) -> Window:
    """The part of a month that data has come for: capacity is paid to the day, not ahead."""
    fresh = ws.lake.freshness()
    last = fresh["last"].max().to_pydatetime() if len(fresh) else month.start
    return Window(month.start, max(min(month.end, last), month.start))


def _book_at(ws: Workspace, month: Window) -> PriceBook:
    """The price book with what earlier months left of its credits."""
    months = ws.months() if any(terms.credits for terms in ws.book.contracts) else []
    if not months or month.start <= Window.month(months[0]).start:
        return ws.book
    before = month.start - dt.timedelta(days=1)
    _, statement = settled_month(ws, Window.month(f"{before:%Y-%m}"), cells=True)
    credits = statement[(statement["kind"] == "credit").to_numpy(bool)]
    return ws.book.with_credit_left(
        dict(zip(zip(credits["contract"], credits["item"], strict=True), credits["closing"], strict=True))
    )


def _mask(frame: pd.DataFrame, window: Window) -> Any:
    start = frame["charge_period_start"]
    return (start >= window.start).to_numpy(bool) & (start < window.end).to_numpy(bool)


def _inside(frame: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The rows that start in a window."""
    inside = _mask(frame, window)
    return frame if inside.all() else frame[inside].reset_index(drop=True)
