"""Spans of days as the explorer cuts, compares and names them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from finops_ai.periods import MONTHS, next_month, previous_month


def grain_of(first: dt.date, last: dt.date) -> str:
    """Days up to four months, then weeks, then months, so that a chart stays readable."""
    days = (last - first).days + 1
    return "day" if days <= 124 else "week" if days <= 420 else "month"


def bucket_span(bucket: dt.date, grain: str) -> tuple[dt.date, dt.date]:
    """First and last day of a bucket.

    >>> bucket_span(dt.date(2026, 2, 1), "month")
    (datetime.date(2026, 2, 1), datetime.date(2026, 2, 28))
    """
    if grain == "week":
        return bucket, bucket + dt.timedelta(days=6)
    return (bucket, _month_end(bucket)) if grain == "month" else (bucket, bucket)


def buckets(first: dt.date, last: dt.date, grain: str) -> list[dt.date]:
    """All buckets that a span touches, empty days included."""
    if grain == "month":
        out = [first.replace(day=1)]
        while (after := next_month(out[-1])) <= last:
            out.append(after)
        return out
    step = dt.timedelta(days=7 if grain == "week" else 1)
    start = first - dt.timedelta(days=first.weekday()) if grain == "week" else first
    return [start + i * step for i in range((last - start) // step + 1)]


def before(first: dt.date, last: dt.date, compare: str, until: dt.date | None = None) -> tuple[dt.date, dt.date] | None:
    """The days compared with: as many days before, the month before a month, or the same days a year ago.

    Args:
        first, last: the days chosen, both included.
        compare: `before`, `year` or `none`.
        until: last day with data; a month that isn't over is set against the same days of the month before.

    >>> [str(d) for d in before(dt.date(2026, 3, 1), dt.date(2026, 3, 31), "before")]
    ['2026-02-01', '2026-02-28']
    >>> [str(d) for d in before(dt.date(2026, 3, 1), dt.date(2026, 3, 31), "before", until=dt.date(2026, 3, 9))]
    ['2026-02-01', '2026-02-09']
    """
    until = min(last, until or last)
    eve = first - dt.timedelta(days=1)
    if compare == "none":
        return None
    if compare == "year":
        return _year_ago(first), _year_ago(until)
    if first.day == 1 and last == _month_end(first):
        start = previous_month(first)
        return start, eve if until == last else min(start + (until - first), eve)
    return eve - (until - first), eve


def alongside(
    first: dt.date, last: dt.date, grain: str, compare: str, earlier: tuple[dt.date, dt.date]
) -> tuple[tuple[dt.date, dt.date], str]:
    """The days drawn as a dashed line, and their caption: daily bars are set against the same weekdays, whole weeks back.

    >>> span, text = alongside(dt.date(2026, 10, 1), dt.date(2026, 10, 31), "day", "before", (dt.date(2026, 9, 1), dt.date(2026, 9, 30)))
    >>> str(span[0]), text
    ('2026-09-03', 'the same weekdays 4 weeks earlier')
    """
    if grain != "day":
        return earlier, span_text(*earlier)
    weeks = 52 if compare == "year" else max(round(((last - first).days + 1) / 7 - 0.45), 1)
    back = dt.timedelta(days=7 * weeks)
    return (first - back, last - back), f"the same weekdays {weeks} week{'s' if weeks > 1 else ''} earlier"


def _month_end(day: dt.date) -> dt.date:
    return next_month(day) - dt.timedelta(days=1)


def _year_ago(day: dt.date) -> dt.date:
    return (
        day.replace(year=day.year - 1, day=min(day.day, 28))
        if (day.month, day.day) == (2, 29)
        else day.replace(year=day.year - 1)
    )


def day_text(day: dt.date) -> str:
    """A day as people write it, the same in every locale.

    >>> day_text(dt.date(2026, 10, 5))
    '5 Oct 2026'
    """
    return f"{day.day} {MONTHS[day.month - 1][:3]} {day.year}"


def month_text(day: dt.date) -> str:
    """A month as people write it, the same in every locale.

    >>> month_text(dt.date(2026, 10, 5))
    'October 2026'
    """
    return f"{MONTHS[day.month - 1]} {day.year}"


def span_text(first: dt.date, last: dt.date) -> str:
    """A span of days as text; a whole month by its name.

    >>> span_text(dt.date(2026, 9, 1), dt.date(2026, 9, 30)), span_text(dt.date(2026, 9, 1), dt.date(2026, 9, 2))
    ('September 2026', '1 Sep 2026 to 2 Sep 2026')
    """
    if first.day == 1 and last == _month_end(first):
        return month_text(first)
    return day_text(first) if first == last else f"{day_text(first)} to {day_text(last)}"


def partial(times: Sequence[dt.date], grain: str, first: dt.date, last: dt.date) -> dict[int, str]:
    """The buckets that the chosen days cover only in part, by place, so that a short bar isn't read as a fall.

    >>> partial([dt.date(2026, 9, 28), dt.date(2026, 10, 5)], "week", dt.date(2026, 10, 1), dt.date(2026, 10, 11))
    {0: '4 of 7 days'}
    """
    out = {}
    for i in {0, len(times) - 1}:
        start, end = bucket_span(times[i], grain)
        covered, whole = (min(end, last) - max(start, first)).days + 1, (end - start).days + 1
        if covered < whole:
            out[i] = f"{covered} of {whole} days"
    return out
