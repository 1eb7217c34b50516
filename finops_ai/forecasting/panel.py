"""Long series frames (`unique_id, ds, y`, the Nixtla column contract) checked and laid out for vectorised models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from finops_ai.errors import DataError, SettingsError

COLUMNS = ("unique_id", "ds", "y")

#: pandas offset alias -> points of its main season; hourly traffic repeats by day, daily by week, monthly by year
SEASONS = {"h": 24, "D": 7, "W": 52, "MS": 12}

#: a series with at most this share of its points missing has gaps; with more it is intermittent, and missing means none
GAP_SHARE = 0.10


@dataclass(frozen=True)
class Panel:
    """Series of one frequency, each gap-free up to its own last point.

    Attributes:
        ids: name of each series.
        ends: the last instant of each series.
        values: one float array per series, oldest first.
        freq: pandas offset alias (`h`, `D`, `W`, `MS`).
        notes: what was filled in, one sentence each.
    """

    ids: list[str]
    ends: list[pd.Timestamp]
    values: list[np.ndarray]
    freq: str
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def cut(self, points: int) -> Panel:
        """The same series without their last `points`; a series that would be empty is left out.

        >>> panel = read_panel(pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2026-01-01", periods=3), "y": 1.0}))
        >>> len(panel.cut(1).values[0]), len(panel.cut(3))
        (2, 0)
        """
        if points == 0:
            return self
        keep = [i for i, y in enumerate(self.values) if len(y) > points]
        return Panel(
            [self.ids[i] for i in keep],
            [offset(self.ends[i], self.freq, -points) for i in keep],
            [self.values[i][:-points] for i in keep],
            self.freq,
        )

    def blocks(self, season: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Series of like length together: `(positions, matrix)`, the matrix one row per series, right-aligned.

        Series of many different lengths are shortened to a grid of lengths at most a fifth apart, oldest points first,
        so that thousands of them need few passes.
        """
        lengths = np.array([len(y) for y in self.values])
        if len(set(lengths.tolist())) > 24:
            grid = sorted({*range(1, 4 * season), *(int(season * 4 * 1.2**k) for k in range(64))})
            lengths = np.array(grid)[np.searchsorted(grid, lengths, side="right") - 1]
        for length in np.unique(lengths):
            where = np.flatnonzero(lengths == length)
            yield where, np.array([self.values[i][len(self.values[i]) - length :] for i in where])


def offset(when: pd.Timestamp, freq: str, steps: int) -> pd.Timestamp:
    """The instant `steps` periods later.

    >>> offset(pd.Timestamp("2026-01-01"), "MS", 2)
    Timestamp('2026-03-01 00:00:00')
    """
    return when + steps * pd.tseries.frequencies.to_offset(freq)


def season_of(freq: str, season: int | None = None) -> int:
    """Points in a season: as given, or by the frequency (24 hours, 7 days, 12 months).

    >>> season_of("D"), season_of("h"), season_of("D", 30)
    (7, 24, 30)
    """
    if season is None:
        return SEASONS.get(freq, 1)
    if season < 1:
        raise SettingsError(
            f"season is {season}: give the number of points after which the pattern repeats, 1 for none"
        )
    return int(season)


def read_panel(frame: pd.DataFrame, freq: str | None = None) -> Panel:
    """Check a long frame and lay it out.

    Missing instants: a series that lacks at most 10 % of its points takes them from one season before (a gap in the
    collection); one that lacks more is intermittent, and a missing point means 0. Both are noted.

    Args:
        frame: one row per series and instant: `unique_id`, `ds` (datetime or ISO text, time zone dropped as UTC),
            `y` (any number; negative credits are fine; null counts as missing).
        freq: pandas offset alias; read from the spacing if not given.

    Raises:
        DataError: a column is missing, a row is given twice, `y` or `ds` can't be read, or nothing is left.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(
            f"A series frame needs the columns unique_id, ds, y; missing: {', '.join(missing)}. Found: {found}."
        )
    table = pd.DataFrame(
        {"unique_id": frame["unique_id"].astype("str"), "ds": _instants(frame["ds"]), "y": _numbers(frame["y"])}
    )
    table = table.sort_values(["unique_id", "ds"], ignore_index=True)
    twice = table[table.duplicated(["unique_id", "ds"])]
    if len(twice):
        first = twice.iloc[0]
        raise DataError(
            f"{len(twice)} rows repeat a series and instant, first: unique_id {first.unique_id!r}, ds {first.ds}. "
            "Add them up first: frame.groupby(['unique_id', 'ds'], as_index=False).y.sum()."
        )
    empty = int(table["y"].isna().sum())
    table = table.dropna(subset="y")
    if table.empty:
        raise DataError("The series frame has no row with a value in y: nothing to forecast from.")
    freq = _frequency(table) if freq is None else _checked_frequency(freq)
    return _filled(table, freq, empty)


def _instants(column: pd.Series) -> pd.Series:
    try:
        instants = _read_instants(column)
    except (ValueError, TypeError):
        bad = column[column.notna() & _read_instants(column, errors="coerce").isna()]
        where = f"row {column.index.get_loc(bad.index[0])}: {bad.iloc[0]!r}" if len(bad) else repr(column.iloc[0])
        raise DataError(f"Column ds has a value that is no date, {where}; give dates like 2026-11-01.") from None
    if instants.isna().any():
        raise DataError(f"Column ds is empty in row {int(np.flatnonzero(instants.isna())[0])}.")
    return instants


def _read_instants(column: pd.Series, errors: Literal["raise", "coerce"] = "raise") -> pd.Series:
    form = None if pd.api.types.is_datetime64_any_dtype(column) else "ISO8601"
    return pd.to_datetime(column, utc=True, format=form, errors=errors).dt.tz_localize(None)


def _numbers(column: pd.Series) -> pd.Series:
    try:
        numbers = column.astype("float64")
    except (ValueError, TypeError) as error:
        raise DataError(f"Column y has a value that is no number: {error}") from None
    wild = np.isinf(numbers.to_numpy())
    if wild.any():
        raise DataError(f"Column y is infinite in row {int(np.flatnonzero(wild)[0])}.")
    return numbers


def _checked_frequency(freq: str) -> str:
    alias = {"H": "h", "d": "D", "M": "MS", "ME": "MS"}.get(freq, freq)
    try:
        pd.tseries.frequencies.to_offset(alias)
    except ValueError:
        raise SettingsError(f"freq is {freq!r}: give h (hourly), D (daily), W (weekly) or MS (monthly).") from None
    return alias


def _frequency(table: pd.DataFrame) -> str:
    """The usual spacing between neighbours of a series, as an offset alias.

    Where no spacing holds for half of them (an intermittent series), the largest that divides all, by day or by hour.
    """
    gaps = table.groupby("unique_id")["ds"].diff().dropna()
    if gaps.empty:
        return "D"
    usual = gaps.mode().iloc[0]
    if (gaps == usual).mean() < 0.5 and not (table["ds"].dt.day == 1).all():
        largest = pd.Timedelta(int(np.gcd.reduce(gaps.astype("timedelta64[s]").astype("int64"))), unit="s")
        for unit in (pd.Timedelta(days=1), pd.Timedelta(hours=1)):
            if largest % unit == pd.Timedelta(0):
                largest = unit
                break
        usual = largest
    days = usual / pd.Timedelta(days=1)
    if 28 <= days <= 31 and (table["ds"].dt.day == 1).all():
        return "MS"
    if days == 7:
        out: str = "W-" + table["ds"].iloc[0].strftime("%a").upper()
        return out
    return pd.tseries.frequencies.to_offset(usual).freqstr if days != 1 else "D"


def _filled(table: pd.DataFrame, freq: str, empty: int) -> Panel:
    panel = Panel([], [], [], freq)
    season = SEASONS.get(freq.split("-")[0], 1)
    carried = intermittent = 0
    for name, part in table.groupby("unique_id", sort=True):
        stamps, y = part["ds"], part["y"].to_numpy()
        grid = pd.date_range(stamps.iloc[0], stamps.iloc[-1], freq=freq)
        if len(grid) != len(y) or not (grid == pd.DatetimeIndex(stamps)).all():
            where = grid.get_indexer(pd.DatetimeIndex(stamps))
            if (where < 0).any():
                stray = stamps.iloc[int(np.flatnonzero(where < 0)[0])]
                raise DataError(
                    f"Series {name!r} has a point at {stray}, off its {freq} grid. Give freq, or sum the points to it."
                )
            values = np.full(len(grid), np.nan)
            values[where] = y
            gaps = np.isnan(values)
            if gaps.mean() > GAP_SHARE:
                values[gaps] = 0.0
                intermittent += 1
            else:
                _carry(values, gaps, season)
                carried += 1
            y = values
        panel.ids.append(str(name))
        panel.ends.append(grid[-1])
        panel.values.append(y)
    if empty:
        panel.notes.append(f"{empty} rows had no value in y and count as missing.")
    if carried:
        panel.notes.append(f"{carried} series had gaps, filled from one season before.")
    if intermittent:
        panel.notes.append(
            f"{intermittent} series lack more than {GAP_SHARE:.0%} of their points; missing points count as 0."
        )
    return panel


def _carry(values: np.ndarray, gaps: np.ndarray, season: int) -> None:
    for i in np.flatnonzero(gaps):
        values[i] = values[i - season] if i >= season else values[i - 1]
