"""What a workspace can be asked about, once per state of its data: columns, names, times, and the frames behind answers."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from finops_ai.answering.question import Question, Span
from finops_ai.answering.spans import Clock
from finops_ai.engine.conditions import All, Test
from finops_ai.engine.conditions import Any as Either
from finops_ai.engine.cubing import OF_ONE_REQUEST
from finops_ai.engine.fields import PUBLISHED
from finops_ai.engine.selecting import matching
from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.figures import catalogue
from finops_ai.frames.origin import left_out_of, made_with
from finops_ai.periods import UTC, Window, zone
from finops_ai.tables.grouping import NOBODY, TIMES

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

T = TypeVar("T")

#: columns whose values questions may name, beside the dimensions, in the order a word is looked up in them
NAMED = (
    "provider", "model", "model_family", "model_developer", "prompt_id", "service_tier", "operation", "meter", "region",
    "inference_geo", "sub_account_name", "sub_account_id", "billing_account_id", "agent_name", "tool_name", "repository",
    "branch", "outcome", "api_key_id", "user_id", "session_id", "rule",
)  # fmt: skip
#: whose prices a model is looked up in, where nobody says whose it is
BOOKED = ("openai", "anthropic", "vertex", "azure-openai", "bedrock", "oci")
#: frames of how many questions are kept
_FRAMES = 24


def plain(text: str) -> str:
    """A name as words: lower case, every separator a blank.

    >>> plain("support-answer@v5"), plain("GPT-5.4 mini")
    ('support answer v5', 'gpt 5.4 mini')
    """
    return " ".join(re.sub(r"[-_@/:\s,;!?()\[\]{}]+", " ", text.lower()).split())


@cache
def grammar() -> dict[str, Any]:
    """The words of `grammar.toml`."""
    return tomllib.loads(files("finops_ai.answering").joinpath("grammar.toml").read_text("utf-8"))


class Known:
    """A workspace as questions see it. Ask `fresh()` before a question: what is kept holds for one state of the data.

    Args:
        ws: the workspace.
        now: the moment that "last week" is relative to; by default the present one.
    """

    def __init__(self, ws: Workspace, now: Callable[[], dt.datetime] | None = None) -> None:
        self.ws = ws
        self._now = now or (lambda: dt.datetime.now(UTC))
        self.state: tuple[str, str] | None = None
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def fresh(self) -> Known:
        """This, with nothing kept from an earlier state of the lake, the prices, the rules or the closed months."""
        state = (self.ws.digest(), self.ws.ledger.head())
        if state != self.state:
            self.state = state
            self._kept.clear()
            for name in ("values", "columns", "clock"):
                self.__dict__.pop(name, None)
        elif "clock" in self.__dict__ and self.clock.today != self._today():
            del self.__dict__["clock"]
        return self

    def kept(self, key: object, make: Callable[[], T]) -> T:
        """What was made under a key in this state of the data, or what `make` makes now."""
        if key in self._kept:
            self._kept.move_to_end(key)
            known: T = self._kept[key]
            return known
        found = self._kept[key] = make()
        while len(self._kept) > _FRAMES:
            self._kept.popitem(last=False)
        return found

    # --- times

    @property
    def timezone(self) -> str:
        """The reporting zone."""
        return self.ws.timezone

    def _today(self) -> dt.date:
        return self._now().astimezone(zone(self.timezone)).date()

    @cached_property
    def clock(self) -> Clock:
        """Today, and the days that hold data."""
        until = self.until
        today = self._today()
        last = (until - dt.timedelta(microseconds=1)).astimezone(zone(self.timezone)).date() if until else today
        return Clock(self.timezone, today, last, self.ws.months())

    @property
    def until(self) -> dt.datetime | None:
        """The instant the data reaches; None where there is none."""

        def last() -> dt.datetime | None:
            fresh = self.ws.lake.freshness()
            return fresh["last"].max().to_pydatetime() if len(fresh) else None

        return self.kept("until", last)

    def month_of(self, question: Question) -> str:
        """The month a question is about, for what is known by the month only.

        Raises:
            SettingsError: it names another time.
        """
        span = question.period or self.clock.default()
        if not span.month:
            raise SettingsError(
                f"This is known by the month, not for {span.text(self.timezone)}. Ask for a month, such as 'in {self.clock.default().month}'."
            )
        return span.month

    # --- names

    @cached_property
    def columns(self) -> dict[str, str]:
        """Words for columns -> column, in plain words, singular and plural."""
        dims = list(self.ws.rules.dimensions)
        names = {plain(name): name for name in (*TIMES, *NAMED, "model_version", "cost_centre")}
        names |= grammar()["columns"] | {plain(name): name for name in dims}
        known = {*dims, *TIMES, *NAMED, "model_version"}
        names = {word: name for word, name in names.items() if name in known}
        many = {}
        for word, name in names.items():
            many[word + "s"] = name
            if word.endswith("y"):
                many[word[:-1] + "ies"] = name
        return many | names

    def column(self, name: str) -> str:
        """A column by its name or another word for it.

        Raises:
            SettingsError: there is none; names the nearest.
        """
        if name in (*self.ws.rules.dimensions, *NAMED, *TIMES, "model_version") or re.fullmatch(
            r"tags\.[^\s]{1,100}", name
        ):
            return name
        if found := self.columns.get(plain(name)):
            return found
        raise SettingsError(f"No column {cut(name)!r}. {hint(plain(name), sorted({*self.columns.values()}))}")

    def measure(self, name: str) -> str:
        """A measure by its id or label.

        Raises:
            SettingsError: there is none; names the nearest.
        """
        if name in catalogue():
            return name
        labels = {plain(m.label): m.id for m in catalogue().values()} | {
            plain(m.id): m.id for m in catalogue().values()
        }
        if plain(name) in labels:
            return labels[plain(name)]
        raise SettingsError(f"No measure {cut(name)!r}. {hint(plain(name), labels)}")

    @cached_property
    def values(self) -> dict[str, list[tuple[str, str]]]:
        """Plain words -> (column, value) pairs of that name, in the order columns are looked up."""
        out: dict[str, list[tuple[str, str]]] = {}
        names = [*self.ws.rules.dimensions, *NAMED]
        frames = (
            [self.ws.cube(month) for month in self.ws.months_before(self.clock.months[-1], 13)]
            if self.clock.months
            else []
        )
        for name in names:
            found: set[str] = set()
            for frame in frames:
                if name in frame.columns and name not in left_out_of(frame):
                    found.update(str(v) for v in frame[name].dropna().unique())
            for value in sorted(found):
                out.setdefault(plain(value), []).append((name, value))
                if value in NOBODY and name in self.ws.rules.dimensions:
                    out.setdefault(plain(NOBODY[value]), []).append((name, value))
        return out

    def value(self, column: str, value: str) -> str:
        """A value of a column as the rows spell it.

        Raises:
            SettingsError: the column has no such value; names the nearest.
        """
        if column.startswith("tags."):
            return value
        mine = {text: v for text, pairs in self.values.items() for c, v in pairs if c == column}
        if value in mine.values():
            return value
        if found := mine.get(plain(value)):
            return found
        raise SettingsError(f"No {column} {cut(value)!r} in the data. {suggestion(value, mine.values())}")

    def in_book(self, model: str, at: dt.datetime | None = None) -> str | None:
        """The provider that the price book has a model from; None where it has none of that name."""
        when = at or dt.datetime.now(UTC)
        return next((p for p in BOOKED if self.ws.book.find(p, model, when) is not None), None)

    # --- frames

    def frame(self, span: Span, columns: Iterable[str] = (), *, before: bool = False) -> pd.DataFrame:
        """The cube of a time, which tells these columns apart; `before` = with the month before.

        Raises:
            DataError: there is no usage in it.
        """
        wanted = tuple(sorted({c for c in columns if c not in TIMES}))
        hours = "hour" in columns
        if span.month:
            names = self.ws.months_before(span.month, 2) if before else [span.month]
        else:
            tz = zone(self.timezone)
            first, last = (
                m.astimezone(tz) for m in (span.window.start, span.window.end - dt.timedelta(microseconds=1))
            )
            names = [m for m in self.clock.months if f"{first:%Y-%m}" <= m <= f"{last:%Y-%m}"]

        def make() -> pd.DataFrame:
            if hours:
                return self.ws.allocated(span.month or span.window)
            whole = self._months(tuple(names), wanted)
            return whole if span.month else self._days(whole, span.window, self.timezone)

        found = self.kept(("frame", span, self._more(names, wanted), before, hours), make)
        if not len(found) or (span.month and span.month not in self.clock.months):
            months = self.clock.months
            held = (
                f"It holds {months[0]} to {months[-1]}." if months else "It is empty: `finops-ai collect` loads some."
            )
            raise DataError(f"The lake holds no usage of {span.text(self.timezone)}. {held}")
        return found

    def _more(self, names: Sequence[str], wanted: tuple[str, ...]) -> tuple[str, ...]:
        """Columns and tags that the months' cubes leave out, so that they must be made again for them."""
        if not wanted:
            return ()
        left = {c for name in names for c in left_out_of(self._cube(name, ()))}
        return tuple(c for c in wanted if c in left or c.startswith("tags.") or c in OF_ONE_REQUEST)

    def _cube(self, month: str, more: tuple[str, ...]) -> pd.DataFrame:
        """A month's cube, kept in memory however large it is: answers come from it at once."""
        return self.kept(("cube", month, more), lambda: self.ws.cube(month, more))

    def _months(self, names: tuple[str, ...], wanted: tuple[str, ...]) -> pd.DataFrame:
        """The cubes of some months below each other."""
        more = self._more(names, wanted)
        frames = [f for f in (self._cube(name, more) for name in names) if len(f)]
        if len(frames) == 1:
            return frames[0]
        if not frames:
            return pd.DataFrame()
        left = sorted({name for frame in frames for name in left_out_of(frame)})
        whole = self.kept(("months", names, more), lambda: pd.concat(frames, ignore_index=True))
        return made_with(whole, frames[-1], grain="day", left_out=left)

    @staticmethod
    def _days(whole: pd.DataFrame, window: Window, timezone: str) -> pd.DataFrame:
        """The cells of whole days, out of the cubes of their months: nothing is read or priced again for them."""
        if whole.empty:
            return whole
        start = whole["charge_period_start"]
        first, last = (moment.astimezone(zone(timezone)) for moment in (window.start, window.end))
        # cents are decided per month; a part of one publishes what its own exact sums round to
        parts = first.day != 1 or last.day != 1
        exact = whole.drop(columns=PUBLISHED, errors="ignore") if parts else whole
        return made_with(exact[((start >= window.start) & (start < window.end)).to_numpy(bool)], whole)

    def chosen(self, frame: pd.DataFrame, only: Sequence[tuple[str, str]]) -> pd.DataFrame:
        """The rows of a frame that have the values asked for."""
        if not only:
            return frame
        alternatives: dict[str, list[str]] = {}
        for column, value in only:
            alternatives.setdefault(column, []).append(value)
        tests = tuple(
            Either(tuple(Test(column, "equals", value) for value in values)) for column, values in alternatives.items()
        )
        return frame[matching(frame, All(tests))]

    def only(self, given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Pairs of column and value, from a mapping whose values are a name or a list of names."""
        out = []
        for name, values in given.items():
            column = self.column(str(name))
            if column in TIMES:
                raise SettingsError(f"{column} is a time: give it as the period, such as 'last week' or 2026-10-05.")
            for value in values if isinstance(values, list | tuple) else [values]:
                out.append((column, self.value(column, str(value))))
        return tuple(out)


def cut(text: str, most: int = 80) -> str:
    """A name from outside, not longer than a line."""
    text = " ".join(str(text).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def suggestion(name: str, known: Iterable[str], most: int = 3) -> str:
    """Which known names are nearest, in a sentence.

    >>> suggestion("suport", ["support", "search"])
    'Did you mean support?'
    """
    import difflib

    by_words: dict[str, str] = {}
    for one in known:
        by_words.setdefault(plain(one), one)
    near = difflib.get_close_matches(plain(name)[:80], list(by_words), n=most, cutoff=0.6)
    if near:
        return f"Did you mean {' or '.join(cut(by_words[word]) for word in near)}?"
    listed = sorted(by_words.values())
    shown = ", ".join(cut(name, 40) for name in listed[:8])
    return (
        f"Known: {shown}{f' and {len(listed) - 8:,} more' if len(listed) > 8 else ''}." if listed else "There are none."
    )
