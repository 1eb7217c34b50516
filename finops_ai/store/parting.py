"""What of a connection's rows counts: calls that others tell are parted off, then days of coding tools that another road counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import duckdb
import pandas as pd

from finops_ai.periods import Window
from finops_ai.providers import LeftOut
from finops_ai.store import roads as by_road
from finops_ai.store import twice
from finops_ai.store.lake import Lake
from finops_ai.store.reading import register
from finops_ai.store.roads import Roads


@dataclass(frozen=True)
class Parted:
    """A connection's rows of a window.

    Attributes:
        counted: those that count.
        calls: those of calls that other connections count, and `callers`: how many each of those counts.
        days: those of days that another road counts, and `givers`: how many days of a person each of those roads counts.
    """

    counted: pd.DataFrame
    calls: pd.DataFrame
    callers: Mapping[str, int]
    days: pd.DataFrame
    givers: Mapping[str, int]

    @classmethod
    def of(cls, lake: Lake, connection: str, window: Window, frame: pd.DataFrame, roads: Roads) -> Parted:
        """Part a connection's rows of a window.

        Args:
            lake: what the others told is read from it.
            connection: whose rows they are.
            window: half-open.
            frame: token frame.
            roads: of the workspace.
        """
        counted, calls, callers = twice.split(lake, connection, window, frame, _above(connection, roads), roads)
        counted, days, givers = by_road.split(lake, connection, window, counted, roads)
        return cls(counted, calls, callers, days, givers)

    @property
    def told(self) -> pd.DataFrame:
        """The rows that don't count."""
        both = [part for part in (self.calls, self.days) if len(part)]
        return pd.concat(both, ignore_index=True) if len(both) > 1 else both[0] if both else self.calls

    def left_out(self) -> list[LeftOut]:
        """The rows that don't count, as left out, by who counts them."""
        who = " and ".join(f"{name} ({calls:,} calls)" for name, calls in self.callers.items())
        said = [(f"counted by {who}; kept beside the usage", self.calls)] if len(self.calls) else []
        said += [(by_road.left_out_words(self.givers), self.days)] if len(self.days) else []
        return [LeftOut(reason, len(rows), *_much(rows)) for reason, rows in said]


def _much(rows: pd.DataFrame) -> tuple[Decimal | None, str]:
    """What rows come to: tokens, else the quantity of the one unit they have."""
    units = set(rows["unit"].dropna())
    unit = "tokens" if "tokens" in units or len(units) != 1 else units.pop()
    return sum(rows["quantity"][(rows["unit"] == unit).to_numpy(bool)], Decimal(0)), unit


def _above(connection: str, roads: Roads) -> list[str]:
    names = list(roads.of)
    return names[: names.index(connection)] if connection in names else []


def told_tokens(lake: Lake, window: Window) -> dict[str, Decimal]:
    """Tokens of a window that each connection tells and another one, or another road, counts."""
    out: dict[str, Decimal] = {}
    names = lake.freshness()["connection"].tolist() if lake.rows_of("told", window) else []
    with duckdb.connect() as con:
        for name in names:
            if register(con, "beside", lake.source("told", window, [name])):
                sql = f"SELECT coalesce(sum(quantity) FILTER (unit = 'tokens'), 0) FROM beside WHERE {by_road.inside(window)}"
                (tokens,) = con.execute(sql).fetchall()[0]
                out |= {name: tokens} if tokens else {}
    return out


def settle(lake: Lake, connection: str, window: Window, roads: Roads) -> list[str]:
    """Part again what others have, after a connection was loaded.

    Returns:
        What changed, in words.
    """
    said = []
    names = list(roads.of)
    below = names[names.index(connection) + 1 :] if connection in names else []
    around = by_road.whole_days(window)
    days = by_road.concerned(lake, connection, window, roads)
    for name in names:
        shares = name in below and twice.concerned(lake, name, window, _above(name, roads), roads)
        edges = name == connection and days and around != window
        if not (shares or edges or name in days):
            continue
        within = around if edges or name in days else window
        kept, told = (lake.read(kind, within, [name]) for kind in ("tokens", "told"))
        whole = pd.concat([kept, told], ignore_index=True) if len(told) else kept
        parted = Parted.of(lake, name, within, whole, roads)
        if not len(told) and not len(parted.told):
            continue
        note = {"told_by": dict(parted.callers), "days_by": dict(parted.givers)}
        loads = lake.replace_window(name, within, {"tokens": parted.counted, "told": parted.told}, note)
        if not any(load.changed for load in loads.values()):
            continue
        if calls := parted.callers.get(connection):
            said.append(f"{calls:,} calls are told by {name}, too; they count here.")
        if name != connection and (given := parted.givers.get(roads.of[connection])):
            said.append(f"{given:,} days of a person with a coding tool are told by {name}, too; they count here.")
    return said


__all__ = ["Parted", "settle", "told_tokens"]
