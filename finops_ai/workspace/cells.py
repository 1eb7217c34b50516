"""A workspace's usage as cells, its rows added up at the grain tables need: the one step that reads all rows, on any engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai.config import texts_in
from finops_ai.periods import Window

if TYPE_CHECKING:
    from finops_ai.engine.running import Relation
    from finops_ai.workspace import Workspace


def cells_of(
    ws: Workspace,
    window: Window,
    by: Sequence[str] = (),
    connections: Sequence[str] | None = None,
    *,
    bounded: bool = True,
) -> pd.DataFrame:
    """The cells of the window's token rows: the one step that reads all of them, on the engine of the settings."""
    from finops_ai.engine.cubing import Grain
    from finops_ai.engine.running import token_cells

    fields = _told_apart(ws, by)
    grain = Grain.of(*fields, timezone=ws.timezone)
    with _usage_rows(ws, window, grain.fields, connections) as rows:
        wanted = ws.settings.engine.cells if bounded else None
        return token_cells(rows, grain, window, book=ws.book, wanted=wanted, keep=fields)


def token_cells(ws: Workspace, month: str | Window) -> pd.DataFrame:
    """The month's token rows as a cube's cells; the rows themselves where rules test figures of single rows."""
    from finops_ai.engine.cubing import needs_rows

    return ws.tokens(month) if needs_rows(ws.rules) else cells_of(ws, ws.window_of(month))


def telemetry_cells(ws: Workspace, month: str | Window) -> pd.DataFrame | None:
    """What `telemetry` gives, as cells."""
    seen = ws.telemetry_names()
    return cells_of(ws, ws.window_of(month), (), seen, bounded=False) if seen else None


def sql(ws: Workspace, month: str | Window, engine: str = "", by: Sequence[str] = ()) -> str:
    """The statement that makes a month's cells (see `Workspace.sql`)."""
    from finops_ai.engine.cubing import Grain
    from finops_ai.engine.remote import spelled_for
    from finops_ai.engine.running import bounded, compile_cells

    window, fields = ws.window_of(month), _told_apart(ws, by)
    grain = Grain.of(*fields, timezone=ws.timezone)
    with _usage_rows(ws, window, grain.fields) as rows:
        found = bounded(rows, grain, window, book=ws.book, wanted=ws.settings.engine.cells, keep=fields)
        files = ws.lake.files("tokens", window, ws.own_connections())
        return compile_cells(spelled_for(engine or rows.dialect.name, rows, files), found, window)


def named_fields(ws: Workspace) -> list[str]:
    """Tags that settings name, such as what to group a budget by."""
    return sorted({text for text in texts_in(ws.settings.policies) if text.startswith("tags.")})


def named_tags(ws: Workspace, by: Sequence[str]) -> list[str]:
    """Keys of the tags that rules, settings and a question name."""
    from finops_ai.engine.cubing import fields_of_rules

    named = {*fields_of_rules(ws.rules), *by, *named_fields(ws)}
    return sorted(name.removeprefix("tags.") for name in named if name.startswith("tags."))


def _told_apart(ws: Workspace, by: Sequence[str]) -> list[str]:
    from finops_ai.engine.cubing import fields_of_rules

    return sorted({*fields_of_rules(ws.rules), *by, *named_fields(ws)})


def _usage_rows(
    ws: Workspace, window: Window, fields: Sequence[str], connections: Sequence[str] | None = None
) -> AbstractContextManager[Relation]:
    """The window's usage rows on the engine of the settings."""
    from finops_ai.engine.choosing import usage_rows

    names = ws.own_connections() if connections is None else connections
    return usage_rows(
        ws.settings.engine,
        fields,
        source=lambda: ws.lake.source("tokens", window, names),
        files=lambda: ws.lake.files("tokens", window, names),
        place=ws.lake.place,
    )
