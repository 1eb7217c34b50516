"""Where money can be saved: `fa.recommend` of a month, with what was decided of each."""

from __future__ import annotations

from decimal import Decimal

from finops_ai.answering.answer import Answer, clean
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money, sum_of
from finops_ai.saving.workspace import workspace_opportunities


def saving(known: Known, question: Question) -> Answer:
    """Opportunities of a month, the largest first, with their ranges; the total is of those that share no row."""
    month = known.month_of(question)
    known.frame(question.period or known.clock.default())
    table = workspace_opportunities(known.ws, month)
    if question.only:
        wanted = {value for _, value in question.only}
        about = table.subjects  # what an opportunity is about, beside whose it is
        table = table[
            [
                bool(wanted & {str(owner), *about.get(name, {}).values()})
                for owner, name in zip(table["owner"], table["id"], strict=True)
            ]
        ]
    currency, shown = table.facts.currency, table.published()
    if not len(table):
        text = f"Nothing of {month} shows a saving worth telling."
    else:
        best = [
            v for v, counts in zip(shown["saving"], shown["counted"], strict=True) if counts and isinstance(v, Decimal)
        ]
        first = shown.iloc[0]
        text = f"{len(table)} opportunit{'y' if len(table) == 1 else 'ies'} in {month}; those that share no row would have saved {money(sum_of(best), currency)}. "
        text += f"The largest: {clean(str(first['what']))}, {money(first['saving'], currency)}"
        text += f" ({money(first['saving_low'], '')} to {money(first['saving_high'], currency)})."
    return Answer(
        text,
        table=table,
        published=shown,
        shown=(
            "id",
            "what",
            "owner",
            "saving",
            "saving_low",
            "saving_high",
            "counted",
            "effort",
            "confidence",
            "how",
            "state",
        ),
        top=question.top,
        definition="Saving: what the month's own rows would have cost less, under their own contracts; a range says how sure that is, "
        "'counted' marks the best set without overlaps.",
        period=month,
        currency=currency,
    )
