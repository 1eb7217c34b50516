"""Whether computed cost ties to the bill: `workspace_reconciliation` of a month."""

from __future__ import annotations

from decimal import Decimal

from finops_ai.answering.answer import Answer, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money, sum_of
from finops_ai.errors import DataError
from finops_ai.money import written
from finops_ai.tables.causes import CAUSES
from finops_ai.tables.reconcile import workspace_reconciliation

_SHOWN = (
    "provider",
    "billing_account_id",
    "currency",
    "month",
    "status",
    "computed",
    "billed",
    "difference",
    "unexplained",
    "captured",
)


def tie(known: Known, question: Question) -> Answer:
    """Computed against billed, the difference by named cause, pass or fail."""
    month = known.month_of(question)
    table = workspace_reconciliation(known.ws, month)
    where = dict(question.only)
    if unknown := [c for c in where if c not in table.columns]:
        raise DataError(f"Bills are tied by provider, account and month, not by {unknown[0]}.")
    for column, value in where.items():
        table = table[[str(v) == value for v in table[column]]]
    shown = table.published()
    currency = table.facts.currency
    computed, billed = (sum_of(shown[c]) for c in ("computed", "billed"))
    who = f" of {' and '.join(name(v) for v in where.values())}" if where else ""
    if not len(table):
        text = f"There is neither usage nor a bill{who} for {month}."
    elif not billed:
        text = f"There is no bill{who} for {month}; its usage computes to {money(computed, currency)}, so nothing can be tied."
    else:
        gap = billed - (computed or Decimal(0))
        worst = {"pass": "It ties", "warn": "It nearly ties (warn)", "fail": "It does not tie (fail)"}[table.status]
        text = (
            f"{worst}: {month}{who} was billed {money(billed, currency)} and computes to {money(computed, currency)}, "
        )
        text += "the same to the cent." if not gap else f"{money(abs(gap), currency)} {'less' if gap > 0 else 'more'}."
        sums = {c: sum_of(shown[c]) for c in CAUSES if c in shown.columns}
        told = sorted(((c, v) for c, v in sums.items() if v), key=lambda item: -abs(item[1]))[:3]
        if told:
            guesses = table.guesses()
            said = [f"{c.replace('_', ' ')} {written(v, currency, '+')} {guesses.get(c, '')}".strip() for c, v in told]
            text += f" Because of {', '.join(said)}."
    causes = [c for c in CAUSES if c in table.columns and any(v for v in shown[c] if isinstance(v, Decimal))]
    return Answer(
        text,
        table=table,
        shown=(*_SHOWN, *causes),
        top=question.top,
        definition="Computed is usage at its prices, billed is what the provider charged; difference is billed less computed, "
        "divided into named causes and what stays unexplained.",
        period=month,
        currency=currency,
    )
