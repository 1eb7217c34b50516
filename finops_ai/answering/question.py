"""A question that is understood: what is asked, of which part of the cost, over which time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from finops_ai.periods import Window, parse_month, zone

#: kind of question -> the words it begins with when it is repeated, and what it asks
KINDS = {
    "spending": ("who spent", "Who spent how much, or any other measure by any column."),
    "change": ("why did the cost change", "Why the cost changed: effects that add up, and who and what carries it."),
    "tie": ("does it tie", "Whether computed cost ties to the bill, and the difference by named cause."),
    "incidents": ("what incidents are there", "What began when, whether it goes on, its money and its driver."),
    "budgets": ("how are the budgets", "Spent and left of each budget, and where it is heading."),
    "forecast": ("forecast", "Each month ahead with its range, against the budgets."),
    "save": ("where can we save", "Changes that would save, with their amounts and evidence."),
    "whatif": (
        "what if",
        "What the same calls would have cost at another model, tier, place or length, or with more caching.",
    ),
    "price": ("what does a call cost", "The price of a call or of a model's tokens, with the row of the price book."),
    "rules": ("why is it charged", "Which rules brought a charge, from which accounts, keys and models."),
    "data": ("how fresh is the data", "What data there is, how fresh, and how much of it is priced and attributed."),
    "kpis": ("what are the kpis", "Every KPI of FinOps for AI with its figure, or what it takes to know it."),
    "glossary": ("what is", "What a word or a measure means."),
}

#: what a question may suppose to have another length
LENGTHS = ("prompt", "answer")


@dataclass(frozen=True)
class Span:
    """A time that a question names: a whole month, or any half-open window of the reporting zone."""

    window: Window
    month: str = ""

    @classmethod
    def of_month(cls, month: str, timezone: str) -> Span:
        """A month of a zone."""
        parse_month(month)
        return cls(Window.month(month, timezone), month)

    def text(self, timezone: str) -> str:
        """As questions and answers write it: `2026-10`, or first and last day."""
        return self.month or self.window.in_words(timezone)

    def words(self, timezone: str) -> str:
        """As a question repeats it, so that it is understood again.

        >>> Span.of_month("2026-10", "UTC").words("UTC"), Span(Window.of("2026-10-25", "2026-11-01")).words("UTC")
        ('in 2026-10', 'from 2026-10-25 to 2026-10-31')
        """
        if self.month:
            return f"in {self.month}"
        first, last = self.window.in_words(timezone).split(" to ")
        return f"from {first} to {last}"

    def at(self, day: str, timezone: str) -> bool:
        """Whether a day of the zone, `YYYY-MM-DD`, is in it."""
        start, end = (moment.astimezone(zone(timezone)) for moment in (self.window.start, self.window.end))
        return f"{start:%Y-%m-%d}" <= day < f"{end:%Y-%m-%d}"


@dataclass(frozen=True)
class Question:
    """A question as it is understood.

    Attributes:
        kind: a name of `KINDS`.
        by: columns to group by.
        only: (column, value) pairs that rows must have; several values of one column are alternatives.
        period: the time asked about.
        against: the time to compare with.
        measure: the figure asked for; by default the cost.
        top: how many rows are shown.
        term: the word or name that is asked about.
        tokens: meter -> quantity of a call whose price is asked.
        changes: what is supposed to be otherwise, as (what, to) pairs; see `finops_ai.answering.supposing`.
        remarks: what was guessed while it was understood, in sentences.
    """

    kind: str
    by: tuple[str, ...] = ()
    only: tuple[tuple[str, str], ...] = ()
    period: Span | None = None
    against: Span | None = None
    measure: str = "cost"
    top: int = 10
    term: str = ""
    tokens: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    changes: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def words(self, timezone: str) -> str:
        """The question in the words of the grammar; understood again, it is the same question."""
        parts = [KINDS[self.kind][0]]
        if self.kind == "spending" and self.measure != "cost":
            parts = [f"what was {self.measure}"]
        if self.kind == "glossary":
            return f"what is {self.term}"
        if self.kind == "price":
            asked = [f"{count} {meter}" for meter, count in sorted(self.tokens.items())]
            parts += [f"of {self.term}", *(["with " + ", ".join(asked)] if asked else [])]
        if self.by:
            parts.append("by " + ", ".join(self.by))
        parts += [f"for {column} {quoted(value)}" for column, value in self.only]
        parts += in_words(self.changes)
        if self.period is not None:
            parts.append(self.period.words(timezone))
        if self.against is not None:
            parts.append(f"against {self.against.words(timezone).removeprefix('in ').removeprefix('from ')}")
        if self.top != 10:
            parts.append(f"top {self.top}")
        return " ".join(parts)


def quoted(value: str) -> str:
    """A name in quotes, so that whatever it holds stays a name."""
    return '"' + value.replace('"', "'") + '"'


def in_words(changes: Sequence[tuple[str, str]]) -> list[str]:
    """Changes as a question repeats them, so that they are understood again.

    >>> in_words([("model", "gpt-5.4-mini"), ("prompt", "0.8"), ("share", "0.5")])
    ['moved to "gpt-5.4-mini"', 'with 20% shorter prompts', '50% of it']
    """
    said = []
    for what, to in changes:
        if what in LENGTHS:
            change = (Decimal(to) - 1) * 100
            said.append(f"with {digits(abs(change))}% {'shorter' if change < 0 else 'longer'} {what}s")
        elif what in ("cache", "share"):
            percent = digits(Decimal(to) * 100)
            said.append(f"{percent}% of it" if what == "share" else f"with a cache hit rate of {percent}%")
        else:
            said.append(
                {"model": f"moved to {quoted(to)}", "tier": f"in the {to} tier"}.get(what, f"in the {to} geography")
            )
    return said


def digits(value: Decimal) -> str:
    """A number as people write it, without needless zeros."""
    return f"{value.normalize():f}"
