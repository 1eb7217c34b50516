"""Windows that reach into closed months: their days there are read as they were sealed, the others from the lake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.periods import Window, zone

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def in_pieces(ws: Workspace, window: Window, read: Callable[[str | Window], pd.DataFrame]) -> pd.DataFrame | None:
    """A window's rows, those of closed months as they were sealed; None where no day of it is in a closed month.

    What is sealed is told apart by day: a window that begins or ends within a day of a closed month shows that month's rows as
    they are in the lake now.

    Args:
        ws: the workspace.
        window: half-open.
        read: gives the rows of a month or window.
    """
    pieces: list[pd.DataFrame] = []
    at = window.start
    for month in sorted(ws.ledger.months()):
        whole = Window.month(month, ws.timezone)
        first, last = max(whole.start, window.start), min(whole.end, window.end)
        if first >= last or not (_midnight(first, ws.timezone) and _midnight(last, ws.timezone)):
            continue
        if at < first:
            pieces.append(read(Window(at, first)))
        sealed = read(month)
        start = sealed["charge_period_start"]
        mine = sealed[((start >= first) & (start < last)).to_numpy()].reset_index(drop=True)
        pieces.append(made_with(mine, sealed))
        at = last
    if not pieces:
        return None
    if at < window.end:
        pieces.append(read(Window(at, window.end)))
    held = [piece for piece in pieces if len(piece)] or pieces[:1]
    joined = made_with(pd.concat(held, ignore_index=True) if len(held) > 1 else held[0], held[-1])
    return made_with(joined, joined, left_out=sorted({name for piece in held for name in left_out_of(piece)}))


def _midnight(moment: datetime, timezone: str) -> bool:
    local = moment.astimezone(zone(timezone))
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
