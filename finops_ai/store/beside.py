"""Seats and commits as they were collected: Parquet in the folder `people` beside finops.toml, for they have no charge period.

Vendors list who holds a seat today and not until when somebody held one. So each day's listing of a live source is kept, and
who is no longer listed held the seat until the last listing that has it.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from finops_ai.frames import CommitFrame, SeatFrame, concat, conform, schema_of, to_arrow, to_pandas
from finops_ai.periods import UTC


def keep(root: Path, name: str, kind: str, frame: pd.DataFrame) -> None:
    """Keep seats or commits that come from elsewhere than a connection, under a name; what was under it goes."""
    write(root / "people" / f"{name}.{kind}.parquet", frame, SeatFrame if kind == "seats" else CommitFrame)


def write(place: Path, frame: pd.DataFrame, model: Any) -> None:
    """A file that is there whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}.partial")
    pq.write_table(to_arrow(frame, schema_of(model)), partial)
    partial.replace(place)


def listing(root: Path, name: str, day: dt.date) -> Path:
    """Where a live source's seats of a day are kept."""
    return root / "people" / f"{plain(name)}.on-{day:%Y%m%d}.seats.parquet"


def listed(root: Path, name: str) -> bool:
    """Whether a live source's seats were kept before."""
    return any((root / "people").glob(f"{plain(name)}.on-*.seats.parquet"))


def plain(name: str) -> str:
    """A connection's name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def kept(root: Path, kind: str) -> pd.DataFrame:
    """Seats or commits that were collected."""
    model = SeatFrame if kind == "seats" else CommitFrame
    frames: list[pd.DataFrame] = []
    listings: dict[str, dict[dt.date, pd.DataFrame]] = {}
    for place in sorted((root / "people").glob(f"*.{kind}.parquet")):
        table = pq.read_table(place)
        if set(schema_of(model).names) - set(table.column_names):  # kept before the frame had all of its columns
            frame = conform({name: table[name] for name in table.column_names}, model, source=str(place))
        else:
            frame = to_pandas(table)
        if found := _LISTING.fullmatch(place.name):
            listings.setdefault(found[1], {})[dt.date.fromisoformat(found[2])] = frame
        else:
            frames.append(frame)
    return concat([*frames, *(held_through(days) for days in listings.values())], model)


_LISTING = re.compile(r"(.+)\.on-(\d{8})\.seats\.parquet")


def held_through(listings: Mapping[dt.date, pd.DataFrame]) -> pd.DataFrame:
    """The seats of a source's listings, each once, with since when and until when they are known to be held.

    A seat that a listing no longer has, and whose end isn't told, ended with the day of the last listing that had it; one that
    an earlier listing didn't have, and whose start isn't told, began on the day of the first that has it.

    Args:
        listings: day -> seat frame.
    """
    days = sorted(listings)
    seen: dict[tuple[Any, ...], list[int]] = {}
    rows: dict[tuple[Any, int], dict[Any, Any]] = {}
    for number, day in enumerate(days):
        frame = listings[day].astype(object)
        for row in frame.where(frame.notna(), None).to_dict("records"):
            key = (row["provider"], row["sub_account_id"], row["plan"], str(row["user_id"]).lower(), row["seat_start"])
            seen.setdefault(key, []).append(number)
            rows[key, number] = row
    out: list[dict[Any, Any]] = []
    for key, numbers in seen.items():
        for run in _runs(numbers):
            row = dict(rows[key, run[-1]])
            if row["seat_start"] is None and run[0] > 0:
                row["seat_start"] = _begin(days[run[0]])
            if row["seat_end"] is None and run[-1] < len(days) - 1:
                row["seat_end"] = _begin(days[run[-1]] + dt.timedelta(days=1))
            out.append(row)
    names = list(next(iter(listings.values())).columns)
    return conform({name: [row[name] for row in out] for name in names} if out else {}, SeatFrame, source="seats")


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Numbers in stretches that follow each other; a listing may have a seat several times."""
    run: list[int] = []
    for number in numbers:
        if run and number > run[-1] + 1:
            yield run
            run = []
        run.append(number)
    yield run


def _begin(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=UTC)


__all__ = ["held_through", "keep", "kept", "listed", "listing", "plain", "write"]
