"""A workspace's cubes: made once of its cells, mapped, and kept in the lake with what they were made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai import __version__
from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.periods import Window, whole_months
from finops_ai.store.keeping import Cubes, code_stamp
from finops_ai.workspace.cells import cells_of, named_fields, named_tags
from finops_ai.workspace.resting import lookup_stamps, rate_stamp
from finops_ai.workspace.terms import settled_part, until_now
from finops_ai.workspace.windows import in_pieces

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def cube(ws: Workspace, month: str | Window, by: Sequence[str] = ()) -> pd.DataFrame:
    """The month's cube (see `Workspace.cube`): the one kept in the lake if it rests on the same, else made now."""
    if ws.closed(month):
        return ws.allocated(month)
    if isinstance(month, Window) and (joined := in_pieces(ws, month, lambda piece: ws.cube(piece, by))) is not None:
        return joined
    if by and not _asks_more(ws, by):
        whole = ws.cube(month)
        if not set(by) & set(left_out_of(whole)):
            return whole
    window = ws.window_of(month)
    name = month if isinstance(month, str) else f"{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}"
    rests_on = made_of(ws, window, by)
    digest = hashlib.sha256(json.dumps(rests_on, default=str, sort_keys=True).encode()).hexdigest()[:16]
    cubes = Cubes(ws.lake)
    if found := ws.recent.once((name, digest), lambda: cubes.read(name, digest), keep=_small):
        frame, left_out = found[0], found[1].get("left_out", [])
    else:
        frame = make_cube(ws, window, by)
        left_out = left_out_of(frame)
        cubes.write(name, digest, frame, rests_on | {"left_out": left_out})
    told = ws.told(frame.copy(deep=False), ws.digest())
    return made_with(told, told, left_out=left_out, grain="day")


def make_cube(ws: Workspace, window: Window, by: Sequence[str]) -> pd.DataFrame:
    """A window's cube, made now; out of the mapped rows where rules test figures of single rows."""
    from finops_ai.engine import allocate
    from finops_ai.engine.cubing import cubed, needs_rows

    if needs_rows(ws.rules):
        rows, wanted = ws.allocated(window), named_tags(ws, by)
        parts = _parts(ws, rows)
        return cubed(
            rows, timezone=ws.timezone, cuts=ws.book.context_cuts, parts=parts, tags=wanted,
            dimensions=ws.rules.dimensions,
        )  # fmt: skip
    telemetry = ws.telemetry_cells(window)
    return allocate(ws.told(priced_part(ws, window, by)), ws.rules, telemetry=telemetry, timezone=ws.timezone)


def priced_cells(ws: Workspace, month: str | Window) -> pd.DataFrame:
    """The month's priced rows as a cube's cells: what its cube is mapped from. A closed month's rows, as closed."""
    from finops_ai.engine.cubing import needs_rows

    if needs_rows(ws.rules) or ws.closed(month):
        return ws.priced(month)
    return ws.derived("priced-cells", month, lambda window: priced_part(ws, window))


def priced_part(ws: Workspace, window: Window, by: Sequence[str] = ()) -> pd.DataFrame:
    """A window's priced cells, made now."""
    from finops_ai.engine import price

    if ws.book.has_terms:
        return settled_part(ws, window, cells=True, by=by)
    return ws.in_group(price(cells_of(ws, window, by), ws.book))


def _asks_more(ws: Workspace, by: Sequence[str]) -> bool:
    """Whether a cube leaves out some of these columns and tags by its nature."""
    from finops_ai.engine.cubing import OF_ONE_REQUEST

    tags = {name for name in by if name.startswith("tags.")} - {f"tags.{key}" for key in named_tags(ws, ())}
    return bool(tags) or bool(set(by) & set(OF_ONE_REQUEST))


def _parts(ws: Workspace, rows: pd.DataFrame) -> list[int]:
    """Minutes of the UTC day at which prices of the rows' models change."""
    if rows.empty:
        return []
    days, models = rows["charge_period_start"].dt.date, rows[["provider", "model"]].drop_duplicates()
    return ws.book.change_minutes(days.min(), days.max(), list(models.itertuples(index=False, name=None)))


def made_of(ws: Workspace, window: Window, by: Sequence[str]) -> dict[str, Any]:
    """What a window's cube rests on: the files of its rows, prices, rules, zone, grain and the code."""
    whole = whole_months(window) if ws.book.has_terms else [window]
    files = [file for piece in whole for file in ws.lake.files("tokens", piece)]
    if any(terms.credits for terms in ws.book.contracts):  # what earlier months drew from them
        files = ws.lake.files("tokens")
    return {
        "window": [window.start, window.end],
        "files": sorted(dict.fromkeys(files)),
        "until": [until_now(ws, piece).end for piece in whole] if ws.book.has_terms else [],
        "prices": ws.book.version,
        "rules": ws.rules.version,
        "charged": ws.charged,
        "mapping": ws.settings.mapping,
        "lookups": lookup_stamps(ws),
        "rates": rate_stamp(ws),
        "telemetry": ws.telemetry_names(),
        "connections": ws.own_connections(),
        "timezone": ws.timezone,
        "cells": ws.settings.engine.cells,
        "by": sorted({*by, *named_fields(ws)}),
        "code": [__version__, code_stamp()],
    }


def _small(found: tuple[pd.DataFrame, Any] | None) -> bool:
    """Whether a cube is kept in memory, too."""
    return found is not None and len(found[0]) <= 50_000
