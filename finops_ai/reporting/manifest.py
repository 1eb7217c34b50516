"""What a report rests on and consists of: versions, hashes, parameters and the files it made."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.periods import iso

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.reporting.planning import Report
    from finops_ai.workspace import Workspace

NAME = "manifest.json"
PACKAGES = [
    "finops-ai-core",
    "pandas",
    "pandera",
    "duckdb",
    "pyarrow",
    "deltalake",
    "genai-prices",
    "numpy",
    "matplotlib",
    "papermill",
]


def manifest_of(ws: Workspace, report: Report, frame: pd.DataFrame) -> dict[str, Any]:
    """What the report rests on: data versions and hashes, prices, rules, packages, parameters."""
    loads = {table: ws.lake.version(table) for table in ("tokens", "bills")}
    return {
        "month": report.month,
        "workspace": ws.name,
        "timezone": ws.timezone,
        "made_at": iso(dt.datetime.now(dt.UTC).replace(microsecond=0)),
        "rows": len(frame),
        "digest": ws.digest(),
        "data_sha256": hash_of(frame),
        "lake_versions": loads,
        "price_book": ws.book.version,
        "packages": {name: _version(name) for name in PACKAGES},
        "plugins": ws.plugins(),
        "python": platform.python_version(),
        "pages": [
            {
                "name": p.name,
                "notebook": p.notebook.name,
                "parameters": _portable(p.parameters),
                "error": p.error or None,
            }
            for p in report.pages
        ],
    }


def hash_of(frame: pd.DataFrame) -> str:
    """SHA-256 of a frame's content, the same on every machine."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from finops_ai.frames import to_arrow

    digest = hashlib.sha256()
    for name, column in zip(frame.columns, to_arrow(frame).columns, strict=True):
        digest.update(name.encode())
        plain = pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type)
        told = column.to_pylist() if plain else pc.cast(column, pa.string()).to_pylist()
        digest.update("\x1f".join("\x00" if v is None else str(v) for v in told).encode())
    return digest.hexdigest()


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, with the name of every file that stands in the folder now."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    whole = {**manifest, "files": [*files, NAME]}
    (folder / NAME).write_text(json.dumps(whole, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a report; None where there is none that can be read."""
    try:
        found = json.loads((folder / NAME).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _portable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Path(value).name if name == "config" else value for name, value in parameters.items()}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
