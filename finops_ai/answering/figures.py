"""The KPIs of a month, each with its figure or with what it takes to know it."""

from __future__ import annotations

from finops_ai.answering.answer import Answer
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.reporting.kpis import workspace_kpis


def figures(known: Known, question: Question) -> Answer:
    """Every KPI of a month, as `finops-ai kpis`."""
    month = known.month_of(question)
    known.frame(question.period or known.clock.default())
    table = known.kept(("kpis", month), lambda: workspace_kpis(known.ws, month))
    known_ones = [r for r in table.to_dict("records") if r["value"] is not None and r["value"] == r["value"]]
    return Answer(
        f"{len(known_ones)} of {len(table)} KPIs of {month} are known; each of the others says what it takes.",
        table=table,
        shown=("id", "of", "value", "unit", "remark"),
        top=max(question.top, 60),
        definition="Each KPI is a measure of the catalogue: ask what its id is for formula and source.",
        period=month,
        currency=table.facts.currency,
    )
