"""Half-open time windows `[start, end)`, billing months and days of a reporting time zone."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from finops_ai.errors import SettingsError

UTC = dt.UTC
#: names of the months, whatever the locale of the machine
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def month_text(month: str) -> str:
    """A month as people read it.

    >>> month_text("2026-10")
    'October 2026'
    """
    year, number = month.split("-")
    return f"{MONTHS[int(number) - 1]} {year}"


def months_text(first: str, last: str) -> str:
    """Months from one to another as people read them.

    >>> months_text("2026-01", "2026-12"), months_text("2026-10", "2027-03"), months_text("2026-12", "2026-12")
    ('January to December 2026', 'October 2026 to March 2027', 'December 2026')
    """
    if first == last:
        return month_text(first)
    begin = month_text(first)
    return f"{begin.split()[0] if first[:4] == last[:4] else begin} to {month_text(last)}"


@dataclass(frozen=True, order=True)
class Window:
    """A half-open window of instants, `[start, end)`, both timezone-aware and kept in UTC.

    >>> w = Window.of("2026-10-01", "2026-11-01")
    >>> str(w), w.days
    ('[2026-10-01T00:00:00Z, 2026-11-01T00:00:00Z)', 31)
    """

    start: dt.datetime
    end: dt.datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.tzinfo is None:
                raise SettingsError(f"The window's {name} {value} has no time zone; give one, such as +00:00.")
            object.__setattr__(self, name, value.astimezone(UTC))
        if self.end < self.start:
            raise SettingsError(f"The window ends before it starts: {self}.")

    @classmethod
    def of(cls, start: object, end: object, timezone: str = "UTC") -> Window:
        """Make a window from dates, datetimes, pandas timestamps or ISO text; bare dates are days of `timezone`."""
        return cls(instant(start, timezone), instant(end, timezone))

    @classmethod
    def month(cls, month: str, timezone: str = "UTC") -> Window:
        """The window of a calendar month `YYYY-MM` in a reporting time zone.

        >>> str(Window.month("2026-02", "Asia/Tokyo"))
        '[2026-01-31T15:00:00Z, 2026-02-28T15:00:00Z)'
        """
        first = parse_month(month)
        return cls(instant(first, timezone), instant(next_month(first), timezone))

    @property
    def days(self) -> int:
        """Whole days covered, rounded up."""
        return -(-(self.end - self.start) // dt.timedelta(days=1))

    def __contains__(self, moment: dt.datetime) -> bool:
        return self.start <= moment < self.end

    def pieces(self, step: dt.timedelta) -> Iterator[Window]:
        """Cut the window into consecutive windows of at most `step`; together they make the whole."""
        start = self.start
        while start < self.end:
            end = min(start + step, self.end)
            yield Window(start, end)
            start = end

    def months(self) -> list[str]:
        """The UTC calendar months the window touches, `YYYY-MM`."""
        last = self.end - dt.timedelta(microseconds=1)
        months = range(self.start.year * 12 + self.start.month - 1, last.year * 12 + last.month)
        return [f"{month // 12:04}-{month % 12 + 1:02}" for month in months]

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"

    def in_words(self, timezone: str = "UTC") -> str:
        """The window as people write it: days of a zone with the last one included, instants where it cuts a day.

        >>> Window.of("2026-10-01", "2026-11-01").in_words(), Window.of("2026-10-01T06:00Z", "2026-10-02").in_words()
        ('2026-10-01 to 2026-10-31', '2026-10-01 06:00 to 2026-10-02 00:00')
        """
        first, last = (moment.astimezone(zone(timezone)) for moment in (self.start, self.end))
        if first.time() == last.time() == dt.time() and first < last:
            return f"{first:%Y-%m-%d} to {last - dt.timedelta(microseconds=1):%Y-%m-%d}"
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"


def instant(value: object, timezone: str = "UTC") -> dt.datetime:
    """Read an instant; a bare date or a time without a zone belongs to `timezone`. Returned in UTC.

    >>> instant("2026-10-01").isoformat()
    '2026-10-01T00:00:00+00:00'
    """
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
        except ValueError:
            raise SettingsError(f"Not a date or time: {value!r}. Write 2026-10-01 or 2026-10-01T13:00:00Z.") from None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = dt.datetime.fromtimestamp(value, UTC)
        except (OverflowError, ValueError, OSError):
            raise SettingsError(f"Not a date or time: {value!r}, in seconds since 1970, is beyond all years.") from None
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)  # noqa: DTZ001 - the zone follows below
    if not isinstance(value, dt.datetime):
        raise SettingsError(f"Not a date or time: {value!r}.")
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone(timezone))
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise SettingsError(f"Not a date or time: {value} is beyond all years.") from None


def zone(name: str) -> ZoneInfo:
    """A time zone by IANA name, with a clear error."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(f"No time zone called {name!r}. Use an IANA name such as Europe/Berlin.") from None


def parse_month(month: str) -> dt.date:
    """First day of a month written `YYYY-MM`.

    >>> parse_month("2026-10")
    datetime.date(2026, 10, 1)
    """
    match = re.fullmatch(r"(\d{4})-(\d{2})", str(month))
    if not match or not 1 <= int(match[2]) <= 12:
        raise SettingsError(f"Not a month: {month!r}. Write it as YYYY-MM, such as 2026-10.")
    return dt.date(int(match[1]), int(match[2]), 1)


def next_month(first: dt.date) -> dt.date:
    """First day of the following month."""
    return dt.date(first.year + first.month // 12, first.month % 12 + 1, 1)


def previous_month(first: dt.date) -> dt.date:
    """First day of the preceding month."""
    return dt.date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)


def last_complete_month(now: dt.datetime | None = None) -> str:
    """The last calendar month that is over, `YYYY-MM`."""
    today = (now or dt.datetime.now(UTC)).date()
    return f"{previous_month(today.replace(day=1)):%Y-%m}"


def iso(moment: dt.datetime) -> str:
    """An instant as `YYYY-MM-DDTHH:MM:SSZ` (fractions only where there are any)."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def whole_months(window: Window) -> list[Window]:
    """The UTC months that a window touches, whole."""
    pieces = list(month_pieces(window)) or [window]
    return [Window.month(f"{piece.start:%Y-%m}") for piece in pieces]


def month_pieces(window: Window) -> Iterator[Window]:
    """Cut a window at the turns of UTC months; the pieces together make the window."""
    start = window.start
    while start < window.end:
        first = next_month(start.date().replace(day=1))
        end = min(dt.datetime(first.year, first.month, 1, tzinfo=UTC), window.end)
        yield Window(start, end)
        start = end


def utc_offsets(window: Window, timezone: str) -> list[tuple[dt.datetime, int]]:
    """UTC offsets of a zone over a window, as (valid from, seconds east), for engines without time zones.

    >>> [(f"{t:%m-%d %H}", s) for t, s in utc_offsets(Window.of("2026-03-01", "2026-04-01"), "Europe/Berlin")]
    [('03-01 00', 3600), ('03-29 01', 7200)]
    """
    tz = zone(timezone)

    def offset(moment: dt.datetime) -> int:
        return int(moment.astimezone(tz).utcoffset().total_seconds())  # type: ignore[union-attr]

    out = [(window.start, offset(window.start))]
    hour = dt.timedelta(hours=1)
    moment = window.start.replace(minute=0, second=0, microsecond=0)
    while moment < window.end:
        day_later = min(moment + 24 * hour, window.end)
        if offset(day_later) != out[-1][1]:
            probe = moment
            while probe < day_later and offset(probe) == out[-1][1]:
                probe += hour / 4
            out.append((probe, offset(probe)))
        moment = day_later
    return out
