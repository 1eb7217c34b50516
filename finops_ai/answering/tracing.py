"""Why a charge is whose it is: which rules brought it, from which accounts, keys and models."""

from __future__ import annotations

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money, rows_of, sum_of
from finops_ai.errors import DataError
from finops_ai.tables.rule_check import why


def tracing(known: Known, question: Question) -> Answer:
    """The rules behind what a group is charged."""
    span = question.period
    assert span is not None
    only = dict(question.only)
    if len(only) < len(question.only):
        raise DataError("A charge is traced for one value of a column at a time.")
    frame = known.frame(span, only)
    table = why(frame, only, known.ws.rules)
    shown = table.published()
    by_rule: dict[str, object] = {}
    for rule in dict.fromkeys(shown["rule"]):
        by_rule[str(rule)] = sum_of(shown["cost"][(shown["rule"] == rule).to_numpy(bool)])
    what = " and ".join(f"{c} {name(v)}" for c, v in only.items())
    currency = table.facts.currency
    told = [f"{name(rule)} ({money(cost, currency)})" for rule, cost in list(by_rule.items())[:4]]
    text = f"{what} is charged {money(sum_of(shown['cost']), currency)} {span.words(known.timezone)} by {len(by_rule)} rule{'s' * (len(by_rule) != 1)}: {', '.join(told)}."
    return Answer(
        text[:1].upper() + text[1:],
        table=table,
        top=question.top,
        definition="A rule is a line of finops.toml: the first whose condition holds decides; 'default' means that none did.",
        period=span.text(known.timezone),
        currency=currency,
        behind=lambda: rows_of(known.chosen(frame, question.only)),
    )
