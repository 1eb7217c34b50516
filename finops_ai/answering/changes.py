"""Why the cost changed: `fa.explain` of two times, and who and what carries it."""

from __future__ import annotations

from decimal import Decimal

from finops_ai.answering.answer import Answer, clean, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money, rows_of, sum_of
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
    drivers = list(table.drivers(3).get("sentence", ()))
    who = " and ".join(f"{c} {name(v)}" for c, v in question.only) or "all"
    shown = table.published()
    was, now, moved = (sum_of(shown[c]) for c in ("before", "after", "change"))
    currency = table.facts.currency
    text = f"The cost of {who} went from {money(was, currency)} to {money(now, currency)}"
    if moved is not None:
        text += f": {money(abs(moved), currency)} {'more' if moved > 0 else 'less' if moved < 0 else 'either way'}"
        text += f" ({abs(moved) / abs(was):.1%})" if was else ""
    text += ". " + " ".join(clean(sentence) for sentence in drivers)
    zeros = [
        c
        for c in shown.columns
        if c in table.facts.money and not sum_of(shown[c].map(lambda v: abs(v) if isinstance(v, Decimal) else v))
    ]
    return Answer(
        text.strip(),
        table=table,
        shown=tuple(c for c in map(str, table.columns) if c not in zeros or c in ("before", "after", "change")),
        top=question.top,
        definition="Change: cost of the later time less cost of the earlier one; its effects add up to it exactly. "
        "Effects that are nowhere are not listed.",
        period=table.facts.period,
        currency=currency,
        behind=lambda: rows_of(after),
    )
