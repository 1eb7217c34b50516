"""One road is the money: a person's day with a coding tool counts by the first road that tells of it.

A road is how usage gets here: by the vendor's API, report or bill, by a gateway, by telemetry, or by logs of the machine it was
on. Several connections may be of one road, such as two machines' logs; they add up. What the other roads say of that day stays
in the lake as `told`, like calls that another connection tells (see `store.twice`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import duckdb
import pandas as pd

from finops_ai.periods import UTC, Window
from finops_ai.store.lake import Lake
from finops_ai.store.reading import register

#: roads, the money first
ROADS = ("vendor", "gateway", "telemetry", "log")
#: what follows the vendor where saved files of an account stand beside a connection that asks the vendor about it
EXPORT = "export"
#: tools whose use is counted under another's name by some road
FAMILIES = {"copilot-cli": "copilot"}
#: person, tool and day
Cell: TypeAlias = tuple[str | None, str, dt.date]
_DAY = dt.timedelta(days=1)
_KEYS = ["provider", "user_id", "tool_name"]
#: connection -> road -> person-days of the connection that this road counts
Given: TypeAlias = dict[str, int]


class People(Protocol):
    """Who is who, by day, such as `finops_ai.identity.Identities`."""

    def on(self, account: str, day: Any, provider: str | None = None) -> tuple[str | None, str | None]:
        """The person and the group that an account belongs to on a day."""
        ...


@dataclass(frozen=True)
class Roads:
    """The roads of a workspace.

    Attributes:
        of: connection -> its road, of all connections that count, those that come first in finops.toml first.
        order: roads, the money first.
        people: who is who; without it an account is its own person.
    """

    of: Mapping[str, str] = field(default_factory=dict)
    order: Sequence[str] = ROADS
    people: People | None = None

    @property
    def several(self) -> bool:
        """Whether there is anything to decide."""
        return len(set(self.of.values())) > 1

    def apart(self, one: str, other: str) -> bool:
        """Whether two connections are of different roads."""
        return self.of.get(one) != self.of.get(other)


def person_of(account: str, day: dt.date, provider: str, people: People | None) -> str:
    """Who an account is on a day; an account nobody knows is its own person, e-mails in any case."""
    found = people.on(account, day, provider)[0] if people else None
    return found or (account.strip().lower() if "@" in account else account.strip())


def owners(told: Mapping[str, Iterable[Cell]]) -> dict[Cell, str]:
    """Which road counts each person's day with a tool.

    A road that names nobody there can't be told apart from the others: beside one that comes before it, or before one that
    comes after it, only the first counts that tool's day, whoever's it is.

    Args:
        told: road -> the cells it tells of, the money first.

    >>> day = dt.date(2026, 10, 1)
    >>> owners({"vendor": [("ada", "codex", day)], "log": [("ada", "codex", day), ("bo", "codex", day)]})[("bo", "codex", day)]
    'log'
    >>> owners({"vendor": [("ada", "codex", day)], "log": [(None, "codex", day)]})[(None, "codex", day)]
    'vendor'
    """
    owner: dict[Cell, str] = {}
    nameless: dict[tuple[str, dt.date], str] = {}  # (tool, day) -> who counts it since a road named nobody there
    first: dict[tuple[str, dt.date], str] = {}  # (tool, day) -> the first road that tells of it
    for road, found in told.items():
        cells = set(found)
        named = {cell[1:] for cell in cells if cell[0] is not None}
        for cell in cells:
            place = cell[1:]
            if place in first and (place in nameless or place not in named):
                owner.setdefault(cell, nameless.get(place, first[place]))
            owner.setdefault(cell, road)
        for place in {cell[1:] for cell in cells}:
            first.setdefault(place, road)
            if place not in named:
                nameless.setdefault(place, first[place])
    return owner


def cells_of(frame: pd.DataFrame, people: People | None, days: pd.Series) -> tuple[list[Cell | None], list[int]]:
    """The cells that rows are of, each once, None for rows of no coding tool; and the number of each row's cell.

    Args:
        frame: token frame.
        people: who is who.
        days: the day of each row.
    """
    groups = frame[_KEYS].astype(object).where(frame[_KEYS].notna(), None).assign(day=days.to_numpy(object))
    numbers = groups.groupby([*_KEYS, "day"], dropna=False, sort=False).ngroup().to_numpy()
    first = groups.iloc[pd.Series(numbers).drop_duplicates().index]
    rows = zip(*(first[name] for name in (*_KEYS, "day")), strict=True)
    return [_cell(provider, account, tool, day, people) for provider, account, tool, day in rows], numbers.tolist()


def _cell(provider: str, account: Any, tool: Any, day: dt.date, people: People | None) -> Cell | None:
    if tool is None or tool != tool:
        return None
    known = account is not None and account == account
    return (person_of(str(account), day, provider, people) if known else None), FAMILIES.get(tool, tool), day


def split(
    lake: Lake, connection: str, window: Window, frame: pd.DataFrame, roads: Roads
) -> tuple[pd.DataFrame, pd.DataFrame, Given]:
    """A connection's rows of a window, parted into those that count and those of days that another road counts.

    Days are UTC's, which is what vendors report by.

    Args:
        lake: what other connections told is read from it.
        connection: whose rows they are.
        window: half-open.
        frame: token frame.
        roads: of the workspace.

    Returns:
        The rows that count, the rows that don't, and how many persons' days with a tool each other road counts.
    """
    nothing: Given = {}
    if connection not in roads.of or not roads.several or not frame["tool_name"].notna().any():
        return frame, frame.iloc[:0], nothing
    days = frame["charge_period_start"].dt.tz_convert("UTC").dt.date
    cells, numbers = cells_of(frame, roads.people, days)
    told = _told(lake, whole_days(window), roads, leave=(connection, window))
    told[roads.of[connection]] |= {cell for cell in cells if cell}
    owner = owners(told)
    away = [cell is not None and owner[cell] != roads.of[connection] for cell in cells]
    if not any(away):
        return frame, frame.iloc[:0], nothing
    for cell, gone in zip(cells, away, strict=True):
        if gone and cell is not None:
            nothing[owner[cell]] = nothing.get(owner[cell], 0) + 1
    mask = pd.Series(numbers).map(dict(enumerate(away))).to_numpy(bool)
    return frame[~mask].reset_index(drop=True), frame[mask].reset_index(drop=True), nothing


def concerned(lake: Lake, connection: str, window: Window, roads: Roads) -> list[str]:
    """Connections of other roads that tell of a coding tool's days that this connection tells of: those to part again."""
    if connection not in roads.of or not roads.several:
        return []
    around = whole_days(window)
    with duckdb.connect() as con:
        mine = {row[2:] for row in _distinct(con, lake, connection, around, roads)}
        return [
            name
            for name, road in roads.of.items()
            if road != roads.of[connection] and mine & {row[2:] for row in _distinct(con, lake, name, around, roads)}
        ]


def whole_days(window: Window) -> Window:
    """The UTC days that a window touches."""
    start = window.start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = window.end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(start, end if end == window.end else end + _DAY)


def left_out_words(given: Mapping[str, int]) -> str:
    """Who counts what a connection doesn't, in words.

    >>> left_out_words({"vendor": 2, "telemetry": 1})
    'days of coding tools that count by the vendor (2) and telemetry (1); kept beside the usage'
    """
    names = {"vendor": "the vendor", "log": "logs", "gateway": "the gateway", EXPORT: "the vendor's export"}
    who = " and ".join(f"{names.get(road, road)} ({count:,})" for road, count in given.items())
    return f"days of coding tools that count by {who}; kept beside the usage"


def _told(lake: Lake, window: Window, roads: Roads, leave: tuple[str, Window] | None = None) -> dict[str, set[Cell]]:
    """What each road tells of in a window, the money first; of one connection not what it has in a window of its own."""
    found: dict[str, set[Cell]] = {road: set() for road in roads.order}
    with duckdb.connect() as con:
        for name, road in roads.of.items():
            without = leave[1] if leave and leave[0] == name else None
            for provider, account, tool, day in _distinct(con, lake, name, window, roads, without):
                cell = _cell(provider, account, tool, day, roads.people)
                if cell:
                    found[road].add(cell)
    return found


def _distinct(
    con: duckdb.DuckDBPyConnection, lake: Lake, name: str, window: Window, roads: Roads, without: Window | None = None
) -> list[tuple[str, str | None, str, dt.date]]:
    """Provider, account, tool and day of what a connection tells, counted or not."""
    out: dict[tuple[str, str | None, str, dt.date], None] = {}
    apart = f"AND NOT ({inside(without)})" if without else ""
    for kind in ("tokens", "told"):
        if not register(con, "rows", lake.source(kind, window, [name])):
            continue
        sql = f"""SELECT DISTINCT provider, user_id, tool_name, CAST(epoch_us(charge_period_start) // {_DAY // dt.timedelta(microseconds=1)} AS INTEGER)
            FROM rows WHERE tool_name IS NOT NULL AND {inside(window)} {apart}"""
        for provider, account, tool, day in con.execute(sql).fetchall():
            out[provider, account, FAMILIES.get(tool, tool), dt.date(1970, 1, 1) + dt.timedelta(days=day)] = None
    return list(out)


def inside(window: Window) -> str:
    """Whether a row starts in a window (SQL)."""
    first, after = (
        (moment.astimezone(UTC) - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1)
        for moment in (window.start, window.end)
    )
    return f"epoch_us(charge_period_start) >= {first} AND epoch_us(charge_period_start) < {after}"


__all__ = [
    "EXPORT",
    "FAMILIES",
    "ROADS",
    "People",
    "Roads",
    "cells_of",
    "concerned",
    "left_out_words",
    "owners",
    "split",
    "whole_days",
]
