"""How far the data of each source reaches, against what the source promises; a late source is told, and counts as unknown."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from finops_ai.engine.duck import Scan, connect
from finops_ai.periods import UTC, Window, zone

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: days whose longest pause is what a source's silence is held against
PAST = 14
_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Source:
    """One connection's data at a moment.

    Attributes:
        connection: name of its section.
        reach: the instant its data reaches; None where it has sent none.
        promised: how late the source says that data may be.
        pause: the longest pause between two stretches of usage of the last two weeks.
        providers: who bills in its rows.
        now: the moment it is looked at.
        telemetry: what it sends is seen of calls that others bill, and costs nothing.
    """

    connection: str
    reach: dt.datetime | None
    promised: dt.timedelta
    pause: dt.timedelta
    providers: tuple[str, ...]
    now: dt.datetime
    telemetry: bool = False

    @property
    def late(self) -> bool:
        """Whether it has been silent for longer than it promises and than it ever is."""
        return self.reach is None or self.now - self.reach > self.promised + max(self.pause, _HOUR / 60)

    @property
    def until(self) -> dt.datetime | None:
        """The instant up to which its use is known: of a late one what it has sent, else what must have come by now."""
        if self.reach is None or self.late:
            return self.reach
        return max(self.now - self.promised, self.reach) if self.reach <= self.now else self.now

    def text(self, timezone: str) -> str:
        """It in a sentence."""
        if self.reach is None:
            return f"{self.connection} has sent nothing yet: what it costs is unknown."
        at = f"{self.reach.astimezone(zone(timezone)):%d %B %H:%M}".lstrip("0")
        if not self.late:
            return f"{self.connection}: data to {at}."
        promised = f"it promises {_long(self.promised)}"
        usual = f", its longest pause of {PAST} days was {_long(self.pause)}" if self.pause >= _HOUR / 60 else ""
        return (
            f"{self.connection} is stale: nothing since {at} {timezone} ({_long(self.now - self.reach)} ago; {promised}{usual}). "
            "What it cost since then is unknown and in no figure."
        )


def sources(ws: Workspace, now: dt.datetime) -> list[Source]:
    """Every connection of the settings, and of the lake, as it is now."""
    made = ws.connections({})
    held = {str(r["connection"]): r for r in ws.lake.freshness().to_dict("records")}
    names = [n for n, t in ws.settings.providers.items() if t.get("enabled", True) is not False]
    out = []
    for name in dict.fromkeys([*names, *held]):
        promised = made[name].promised if name in made else dt.timedelta(days=1)
        seen = ws.settings.providers.get(name, {}).get("telemetry") is True
        if name not in held:
            out.append(Source(name, None, promised, dt.timedelta(0), (), now, seen))
            continue
        last: pd.Timestamp = held[name]["last"]
        reach = last.to_pydatetime().astimezone(UTC)
        pause, providers = _past(ws, name, Window(min(reach, now) - dt.timedelta(days=PAST), max(reach, now)))
        out.append(Source(name, min(reach, now), promised, pause, providers, now, seen))
    return out


def _past(ws: Workspace, name: str, window: Window) -> tuple[dt.timedelta, tuple[str, ...]]:
    """The longest pause between two hours with usage, and who bills."""
    epoch = dt.datetime(1970, 1, 1, tzinfo=UTC)
    first, last = ((m - epoch) // dt.timedelta(microseconds=1) for m in (window.start, window.end))
    with connect() as con:
        scan = Scan(
            con, ws.lake.source("tokens", window, [name]), ["charge_period_start", "charge_period_end", "provider"]
        )
        start, end, provider = (f"({scan.column(c)})" for c in ("charge_period_start", "charge_period_end", "provider"))
        rows = con.sql(
            f"SELECT epoch_us({start}) // 3600000000 AS hour, min(epoch_us({start})), max(epoch_us({end})), "
            f"list(DISTINCT {provider}) FROM {scan.name} "
            f"WHERE epoch_us({start}) >= {first} AND epoch_us({start}) < {last} GROUP BY 1 ORDER BY 1"
        ).fetchall()
    longest, until, providers = 0, None, set()
    for _, begun, ended, found in rows:
        if until is not None:
            longest = max(longest, begun - until)
        until = ended if until is None else max(until, ended)
        providers.update(found)
    return dt.timedelta(microseconds=longest), tuple(sorted(map(str, providers)))


def _long(span: dt.timedelta) -> str:
    """A length of time in words.

    >>> _long(dt.timedelta(minutes=15)), _long(dt.timedelta(hours=6, minutes=37)), _long(dt.timedelta(days=3))
    ('15 minutes', '6 hours 37 minutes', '3 days')
    """
    minutes = round(span.total_seconds() / 60)
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [(days, "day"), (hours, "hour"), (rest if not days else 0, "minute")]
    return " ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in parts if n) or "0 minutes"
