"""The month's tables to take along: showback, every row as FOCUS, statements and journal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from finops_ai.frames.types import COST_TYPE

if TYPE_CHECKING:
    from finops_ai.tables.posting import Posting
    from finops_ai.tables.result import Table

#: (what it holds, file)
Download = tuple[str, Path]


def write_tables(frame: pd.DataFrame, folder: Path) -> list[Download]:
    """The month's tables to download, as CSV, Excel, Parquet and FOCUS: (what it is, file)."""
    from finops_ai.tables import showback
    from finops_ai.tables.focus import to_focus, write_focus
    from finops_ai.tables.grouping import dimensions_of

    folder.mkdir(parents=True, exist_ok=True)
    dimensions = dimensions_of(frame)
    table = showback(frame, by=[*dimensions, "provider", "model"])
    about = "Cost and tokens by " + ", ".join([*(d.replace("_", " ") for d in dimensions), "provider", "model"])
    files: list[Download] = []
    for suffix, write in (("csv", _csv), ("xlsx", _excel), ("parquet", _parquet)):
        path = folder / f"showback.{suffix}"
        write(table, path)
        files.append((about, path))
    focus = write_focus(to_focus(frame), folder / "focus-1.2.parquet")
    files.append(("Every charge by day in the FinOps Open Cost and Usage Specification (FOCUS) 1.2", focus))
    return files


def write_charges(post: Posting, folder: Path) -> list[Download]:
    """The month's statements and journal to download: (what it is, file)."""
    about = {
        "statements.xlsx": "Chargeback statements, a sheet each",
        "statements.csv": "Every line of every statement",
        "journal.xlsx": "Double-entry journal, with true-ups posted in the month",
        "journal.csv": "The journal for import",
        "journal.json": "The journal for import, as JSON",
    }
    return [(about[path.name], path) for path in post.write(folder)]


def _csv(table: Table, path: Path) -> None:
    from finops_ai.tables.csv import write_csv

    write_csv(table.published(), path)


def _excel(table: Table, path: Path) -> None:
    table.to_excel(path)


def _parquet(table: Table, path: Path) -> None:
    """The amounts that the other forms show, as exact decimals."""
    shown = table.published()
    for name in set(table.facts.money) & set(shown.columns):
        shown[name] = pd.array(pa.array(list(shown[name]), COST_TYPE), dtype=pd.ArrowDtype(COST_TYPE))
    shown.to_parquet(path, index=False)
