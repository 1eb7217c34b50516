"""Why the cost changed: `fa.explain` of two times, and who and what carries it."""

from __future__ import annotations

from decimal import Decimal

from finops_ai.answering.answer import Answer, clean, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import rows_of, sum_of
from finops_ai.tables.explain import explain
from finops_ai.tables.grouping import TIMES


def change(known: Known, question: Question) -> Answer:
    """The bridge from one time to the other, with its drivers in words."""
    span, other = question.period, question.against
    assert span is not None
    assert other is not None
    by = [c for c in question.by if c not in TIMES]
    wanted = [*by, *(column for column, _ in question.only)]
    after, before = (known.chosen(known.frame(s, wanted), question.only) for s in (span, other))
    table = known.kept(
        ("change", span, other, tuple(by), question.only),
        lambda: explain(before, after, by, timezone=known.timezone),
    )
    table.facts.period = f"{span.text(known.timezone)} against {other.text(known.timezone)}"
    who = " and ".join(f"{c} {name(v)}" for c, v in question.only)
    headline = table.headline(f"The cost of {who}" if who else "The cost")
    drivers = [clean(sentence) for sentence in table.drivers(3).get("sentence", ())]
    shown, currency = table.published(), table.facts.currency
    zeros = [
        c
        for c in shown.columns
        if c in table.facts.money and not sum_of(shown[c].map(lambda v: abs(v) if isinstance(v, Decimal) else v))
    ]
    if not by:  # the answer itself says what the table's own sentence does
        table = table.copy()
        table.facts.notes = [note for note in table.facts.notes if note != table.headline()]
    return Answer(
        " ".join([headline, *drivers]),
        table=table,
        published=shown,
        shown=tuple(c for c in map(str, table.columns) if c not in zeros or c in ("before", "after", "change")),
        top=question.top,
        definition="Change: cost of the later time less cost of the earlier one; its effects add up to it exactly. "
        "Effects that are nowhere are not listed.",
        period=table.facts.period,
        currency=currency,
        behind=lambda: rows_of(after),
    )
