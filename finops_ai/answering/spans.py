"""Times in words: months, days, weeks, quarters, "last week", "since 5 October"; read in the reporting zone."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from finops_ai.answering.question import Span
from finops_ai.errors import SettingsError
from finops_ai.periods import MONTHS, Window, instant, next_month, parse_month, zone

_NAMES = {name[:size].lower(): n for n, name in enumerate(MONTHS, 1) for size in (3, len(name))} | {"sept": 9}
_MONTH = "|".join(sorted(_NAMES, key=len, reverse=True))
_NUMBERS = {
    word: n
    for n, word in enumerate(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], 2
    )
}
_DAY = dt.timedelta(days=1)

#: one time
ONE = (
    r"\d{4}-\d{2}-\d{2}|\d{4}/\d{2}/\d{2}|\d{1,2}\.\d{1,2}\.\d{4}|\d{4}-?w\d{2}|(?:calendar\s+)?week\s+\d{1,2}(?!\d)(?:\s+(?:of\s+)?\d{4})?"
    r"|\d{4}-\d{2}(?!\d)|\d{4}\s*q[1-4]|q[1-4](?:\s+(?:of\s+)?\d{4})?"
    rf"|(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,?\s+\d{{4}})?|\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTH})\b(?:\s+\d{{4}})?"
    rf"|(?:{_MONTH})\b(?:\s+\d{{4}})?"
    rf"|(?:the\s+)?(?:last|past|previous)\s+(?:\d+|{'|'.join(_NUMBERS)})\s+(?:days|weeks|months)"
    r"|(?:the\s+)?(?:last|previous|past|this|next)\s+(?:week|month|quarter|year)|20\d\d(?![\d-])"
    r"|(?:the\s+)?(?:week|month)\s+before(?!\w)|(?:year|quarter|month)\s+to\s+date|yesterday|today|lately|recently"
)
#: from one time to another
RANGE = rf"(?:from\s+|between\s+)?(?P<first>{ONE})\s*(?:\bto\b|\buntil\b|\btill\b|\band\b|\.\.|–|-)\s*(?P<last>{ONE})|since\s+(?P<since>{ONE})"
FIND_RANGE, FIND_ONE, FIND_AFTER, FIND_UNTIL = (
    re.compile(rf"(?<![\w-]){p}(?![\w-])")
    for p in (
        rf"(?:{RANGE})",
        f"(?P<one>{ONE})",
        rf"after\s+(?P<one>{ONE})",
        rf"(?:until|till|up\s+to|through|before)\s+(?P<one>{ONE})",
    )
)


@dataclass(frozen=True)
class Clock:
    """What "last week" and "October" are relative to: today, and the days that hold data; `ahead` for what is to come."""

    timezone: str
    today: dt.date
    last: dt.date
    months: Sequence[str] = ()
    ahead: bool = False

    def default(self) -> Span:
        """The time of a question that names none: the last month with data that is over, else the last with data."""
        now = f"{self.today:%Y-%m}"
        over = [m for m in self.months if m < now]
        return Span.of_month((over or list(self.months) or [now])[-1], self.timezone)

    def days(self, first: dt.date, last: dt.date) -> Span:
        """Days of the zone, the last one included; a whole month is that month."""
        if last < first:
            raise SettingsError(f"The time from {first} to {last} ends before it starts.")
        if first.day == 1 and last + _DAY == next_month(first):
            return Span.of_month(f"{first:%Y-%m}", self.timezone)
        return Span(Window(instant(first, self.timezone), instant(last + _DAY, self.timezone)))

    def read(self, text: str) -> Span:
        """A time in words.

        Raises:
            SettingsError: it can't be read; says how to write one.

        >>> clock = Clock("UTC", dt.date(2026, 11, 30), dt.date(2026, 11, 29), ["2026-10", "2026-11"])
        >>> [clock.read(t).text("UTC") for t in ("October", "last week", "2026-10-05..2026-10-07", "Q3 2026")]
        ['2026-10', '2026-11-23 to 2026-11-29', '2026-10-05 to 2026-10-07', '2026-07-01 to 2026-09-30']
        """
        text = re.sub(r"^(?:in|for|during|on)\s+", "", " ".join(text.lower().split()))
        if match := FIND_RANGE.fullmatch(text):
            return self.range(match)
        if re.fullmatch(ONE, text):
            return self.one(text)
        raise SettingsError(
            f"Not a time: {text[:80]!r}. Write 2026-10, October, 2026-10-05, from 2026-10-05 to 2026-10-11, last week or last 14 days."
        )

    def range(self, match: re.Match[str]) -> Span:
        """A range that `FIND_RANGE` found."""
        if match["since"]:
            return self.days(self._first(self.one(match["since"])), self.last)
        return self.days(self._first(self.one(match["first"])), self._final(self.one(match["last"])))

    def range_of(self, first: Span, last: Span) -> Span:
        """From the first day of one time to the last of another."""
        return self.days(self._first(first), self._final(last))

    def ends(self, match: re.Match[str]) -> tuple[Span, Span] | None:
        """Both ends of a range that `FIND_RANGE` found, where each is a month or longer: "from August to October" of a change."""
        if match["since"]:
            return None
        both = self.one(match["first"]), self.one(match["last"])
        return both if all((s.window.end - s.window.start).days >= 28 for s in both) else None

    def after(self, match: re.Match[str]) -> Span:
        """From the day after a time to the last day that holds data."""
        return self.days(self._final(self.one(match["one"])) + _DAY, self.last)

    def listed(self, text: str) -> tuple[Span, str] | None:
        """Three times or more in a list, such as "August, September and October", as one, and the text without them.

        Raises:
            SettingsError: they don't follow each other.
        """
        found: list[re.Match[str]] = []
        for match in FIND_ONE.finditer(text):
            if found and text[found[-1].end() : match.start()].strip() not in (",", "and", ", and", "&"):
                if len(found) > 2:
                    break
                found = []
            found.append(match)
        if len(found) < 3:
            return None
        spans = sorted((self.one(match["one"]) for match in found), key=lambda s: s.window)
        if any(a.window.end != b.window.start for a, b in itertools.pairwise(spans)):
            raise SettingsError("Times in a list must follow each other, such as August, September and October.")
        return self.range_of(spans[0], spans[-1]), text[: found[0].start()] + " " + text[found[-1].end() :]

    def before(self, span: Span) -> Span:
        """What a time is compared with by default: the month before, or as many days right before."""
        first, last = self._first(span), self._final(span)
        if span.month:
            return self.days((first - _DAY).replace(day=1), first - _DAY)
        return self.days(first - (last - first) - _DAY, first - _DAY)

    def _first(self, span: Span) -> dt.date:
        return span.window.start.astimezone(zone(self.timezone)).date()

    def _final(self, span: Span) -> dt.date:
        return (span.window.end - dt.timedelta(microseconds=1)).astimezone(zone(self.timezone)).date()

    def one(self, text: str) -> Span:
        """One time, in words that `ONE` describes."""
        text = re.sub(r"^the\s+", "", " ".join(text.lower().replace(",", " ").replace(".", " ").split()))
        if re.fullmatch(r"\d{4}-\d{2}", text):
            return Span.of_month(text, self.timezone)
        if re.fullmatch(r"\d{4}", text):
            return self.days(dt.date(int(text), 1, 1), dt.date(int(text), 12, 31))
        if match := re.fullmatch(r"(\d{4})[-/](\d{2})[-/](\d{2})|(\d{1,2}) (\d{1,2}) (\d{4})", text):
            year, month, day = (
                match.groups()[:3] if match[1] else match.groups()[:2:-1]
            )  # with dots the day comes first
            return self._day(int(year), int(month), int(day), text)
        if match := re.fullmatch(r"(\d{4})-?w(\d{2})|(?:calendar )?week (\d{1,2})(?: (?:of )?(\d{4}))?", text):
            return self._week(int(match[1] or match[4] or 0), int(match[2] or match[3]))
        if text in ("lately", "recently"):
            return self._past(14, "days")
        if text in ("today", "yesterday"):
            day = self.today - (text == "yesterday") * _DAY
            return self.days(day, day)
        if match := re.fullmatch(r"(?:last|past|previous) (\w+) (days|weeks|months)", text):
            return self._past(_NUMBERS.get(match[1]) or int(match[1]), match[2])
        if "q" in text and (match := re.search(r"q([1-4])", text)):
            year = re.search(r"\d{4}", text)
            return self._quarter(int(year[0]) if year else self.today.year, int(match[1]), dated=bool(year))
        if match := re.fullmatch(
            rf"(?:(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?)?({_MONTH})(?: (\d{{1,2}})(?:st|nd|rd|th)?)?(?: (\d{{4}}))?",
            text,
        ):
            return self._named(_NAMES[match[2]], match[1] or match[3], match[4])
        return self._relative(text)

    def _day(self, year: int, month: int, day: int, text: str) -> Span:
        try:
            at = dt.date(year, month, day)
        except ValueError:
            raise SettingsError(f"Not a day: {text!r}.") from None
        return self.days(at, at)

    def _week(self, year: int, number: int) -> Span:
        """A calendar week by its number (ISO 8601); without a year the latest that has begun."""
        try:
            first = dt.date.fromisocalendar(year or self.today.isocalendar().year, number, 1)
            if not year and first > self.today and not self.ahead:
                first = dt.date.fromisocalendar(self.today.isocalendar().year - 1, number, 1)
        except ValueError:
            raise SettingsError(f"Not a week: {number}.") from None
        return self.days(first, first + 6 * _DAY)

    def _past(self, count: int, what: str) -> Span:
        """Days and weeks up to the last that holds data; whole months before the present one."""
        count = min(max(count, 1), 3660)
        if what != "months":
            return self.days(self.last - (count * (7 if what == "weeks" else 1) - 1) * _DAY, self.last)
        first = self.today.replace(day=1)
        place = first.year * 12 + first.month - 1 - min(count, 120)
        return self.days(dt.date(place // 12, place % 12 + 1, 1), first - _DAY)

    def _relative(self, text: str) -> Span:
        first = self.today.replace(day=1)
        if text.startswith("next "):
            return self._next(text.removeprefix("next "))
        text = text.replace("past ", "last ")
        if text in ("this week", "last week", "previous week", "week before"):
            # the last seven days that hold data, as `finops-ai explain --last-week`
            back = 7 if text == "week before" else 0
            return self.days(self.last - (6 + back) * _DAY, self.last - back * _DAY)
        if text in ("this month", "last month", "previous month", "month before"):
            return (
                self.days(first, next_month(first) - _DAY)
                if text == "this month"
                else self.days((first - _DAY).replace(day=1), first - _DAY)
            )
        if text in ("this quarter", "last quarter", "previous quarter"):
            number = (self.today.month - 1) // 3 + (text == "this quarter")
            return (
                self._quarter(self.today.year, number, dated=True)
                if number
                else self._quarter(self.today.year - 1, 4, dated=True)
            )
        if text in ("month to date", "quarter to date"):
            back = (self.today.month - 1) % 3 if text.startswith("quarter") else 0
            return self.days(first.replace(month=first.month - back), max(self.today, first))
        year = self.today.year - (text in ("last year", "previous year"))
        last = self.last if text == "year to date" else dt.date(year, 12, 31)
        return self.days(dt.date(year, 1, 1), last)

    def _next(self, what: str) -> Span:
        """The week, month, quarter or year to come."""
        if what == "week":
            return self.days(self.today + _DAY, self.today + 7 * _DAY)
        if what == "month":
            first = next_month(self.today.replace(day=1))
            return self.days(first, next_month(first) - _DAY)
        if what == "year":
            return self.days(dt.date(self.today.year + 1, 1, 1), dt.date(self.today.year + 1, 12, 31))
        number = (self.today.month - 1) // 3 + 2
        return self._quarter(self.today.year + number // 5, (number - 1) % 4 + 1, dated=True)

    def _quarter(self, year: int, number: int, *, dated: bool) -> Span:
        first = dt.date(year, 3 * number - 2, 1)
        if not dated and self.ahead and next_month(first.replace(month=first.month + 2)) <= self.today:
            first = first.replace(year=year + 1)
        elif not dated and not self.ahead and first > self.today:
            first = first.replace(year=year - 1)
        return self.days(first, next_month(first.replace(month=first.month + 2)) - _DAY)

    def _named(self, month: int, day: str | None, year: str | None) -> Span:
        """A month by its name: without a year the latest that has begun, or the next where what is to come is asked."""
        near = (month < self.today.month) if self.ahead else -(month > self.today.month)
        own = int(year) if year else self.today.year + near
        first = parse_month(f"{own:04d}-{month:02d}")
        if not day:
            return Span.of_month(f"{first:%Y-%m}", self.timezone)
        try:
            at = first.replace(day=int(day))
        except ValueError:
            raise SettingsError(f"{MONTHS[month - 1]} has no day {day}.") from None
        return self.days(at, at)
