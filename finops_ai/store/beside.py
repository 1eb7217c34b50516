"""Seats and commits as they were collected: Parquet in the folder `people` beside finops.toml, for they have no charge period."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from finops_ai.frames import CommitFrame, SeatFrame, concat, schema_of, to_arrow, to_pandas


def keep(root: Path, name: str, kind: str, frame: pd.DataFrame) -> None:
    """Keep seats or commits that come from elsewhere than a connection, under a name; what was under it goes."""
    write(root / "people" / f"{name}.{kind}.parquet", frame, SeatFrame if kind == "seats" else CommitFrame)


def write(place: Path, frame: pd.DataFrame, model: Any) -> None:
    """A file that is there whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}.partial")
    pq.write_table(to_arrow(frame, schema_of(model)), partial)
    partial.replace(place)


def kept(root: Path, kind: str) -> pd.DataFrame:
    """Seats or commits that were collected."""
    model = SeatFrame if kind == "seats" else CommitFrame
    return concat(
        [to_pandas(pq.read_table(place)) for place in sorted((root / "people").glob(f"*.{kind}.parquet"))], model
    )


__all__ = ["keep", "kept", "write"]
