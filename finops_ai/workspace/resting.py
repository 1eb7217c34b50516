"""What a workspace's figures rest on, and the frames made of it, which are kept until any of that changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai import __version__
from finops_ai.periods import Window
from finops_ai.store.keeping import code_stamp

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def lookup_stamps(ws: Workspace) -> list[str]:
    """Digests of the look-up files of the mapping, as they are now."""
    files = [
        str(t["file"]) for t in ws.settings.mapping.get("lookups", {}).values() if isinstance(t, dict) and t.get("file")
    ]
    stamps = []
    for name in files:
        path = ws.settings.path(name)
        stamps.append(hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing")
    return stamps


def rate_stamp(ws: Workspace) -> list[str]:
    """What conversion into the group's currency rests on; nothing where there is none."""
    table = ws.settings.policies.get("currency")
    if ws.conversion is None or table is None:
        return []
    return [ws.conversion.group, ws.conversion.day, ws.conversion.owed, ws.conversion.rates.stamp]


def digest_of(ws: Workspace) -> str:
    """Digest of what every derived figure rests on: lake versions, price book, rules, package."""
    versions = [[table, ws.lake.state(table)] for table in ("tokens", "bills")]
    parts = [
        versions,
        ws.book.version,
        ws.charged,
        ws.settings.mapping,
        ws.telemetry_names(),
        lookup_stamps(ws),
        rate_stamp(ws),
        ws.timezone,
        __version__,
        code_stamp(),
    ]
    return hashlib.sha256(json.dumps(parts, default=str, sort_keys=True).encode()).hexdigest()[:16]


def derived(ws: Workspace, kind: str, month: str | Window, make: Callable[[Window], pd.DataFrame]) -> pd.DataFrame:
    """A frame of a month, made once for each state of the inputs (see `Workspace.derived`)."""
    window = ws.window_of(month)
    digest = ws.digest()
    name = f"{kind}-{window.start:%Y%m%dT%H%M%S}-{window.end:%Y%m%dT%H%M%S}.parquet"
    path = ws.cache_folder / digest / name
    frame = ws.kept.read(path)
    if frame is None:
        frame = make(window)
        ws.kept.write(frame, path)
    return ws.told(frame, digest)
