"""Budgets and the months ahead: `workspace_budgets` and `workspace_plan`."""

from __future__ import annotations

from finops_ai.answering.answer import Answer, clean
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.budgets import HISTORY, workspace_budgets
from finops_ai.forecasting.year import workspace_plan
from finops_ai.periods import zone
from finops_ai.tables.grouping import TIMES


def budgets(known: Known, question: Question) -> Answer:
    """The budgets that touch the month asked about: spent, left, and where each is heading."""
    month = known.month_of(question)
    table = workspace_budgets(known.ws, month)
    if table is None:
        raise SettingsError(
            "finops.toml has no [[budgets]]: add one with a name, a month or from and to, and an amount."
        )
    if question.only:
        wanted = {value for _, value in question.only}
        table = table[[any(value in str(n) for value in wanted) for n in table["name"]]]
    table = table.assign(left=[b - s for b, s in zip(table["budget"], table["spent"], strict=True)])
    table.facts.money = [*table.facts.money, "left"]
    table.facts.adds = [*table.facts.adds, ("left", ("budget", "-spent"))]
    off = [row for row in table.to_dict("records") if row["status"] != "ok"]
    if not len(table):
        text = f"No budget touches {month}."
    else:
        text = f"{len(table) - len(off)} of {len(table)} budgets are on course in {month}."
        text += "".join(" " + clean(row["text"]) for row in off[:3])
    return Answer(
        text,
        table=table,
        shown=(
            "name",
            "budget",
            "spent",
            "left",
            "used",
            "pacing",
            "projected",
            "overrun_probability",
            "overrun_date",
            "status",
        ),
        top=question.top,
        definition="Spent is effective cost inside the budget's scope and period; projected is what the plan says the period ends at.",
        period=month,
        currency=table.facts.currency,
    )


def forecast(known: Known, question: Question) -> Answer:
    """Each month ahead to the one asked for, with its range."""
    ws = known.ws
    if not known.clock.months:
        raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
    if question.only:
        raise SettingsError(
            f"The months ahead are planned by column, so that parts add up to the whole: ask for the forecast by {question.only[0][0]}, and read its rows."
        )
    by = [c for c in question.by if c not in TIMES]
    until = None
    if question.period is not None:
        last = question.period.window.end.astimezone(zone(known.timezone))
        until = question.period.month or f"{last:%Y-%m}"
        if until < known.clock.months[-1]:
            raise SettingsError(f"{until} is past: the data reaches {known.clock.months[-1]}. Ask who spent in it.")
    table = known.kept(
        ("plan", until, tuple(by)),
        lambda: workspace_plan(ws, known.clock.months[-1], by, until=until, months=HISTORY),
    )
    currency = ws.settings.workspace.currency
    said = _words(table, currency)
    # what a short answer must not lose comes first: the whole period, then the months of the whole
    rank = [(m != "year", u != "total") for m, u in zip(table["month"], table["unique_id"], strict=True)]
    table = table.iloc[sorted(range(len(table)), key=lambda i: rank[i])]
    return Answer(
        said,
        table=table,
        top=max(question.top, 24),
        definition="P50 is the middle of what the plan expects, P10 and P90 its range; months that are over are actual.",
        period=f"to {until}" if until else "to the end of the year",
        currency=table.facts.currency or currency,
    )


def _words(table: object, currency: str) -> str:
    from finops_ai.forecasting import plan_in_words

    said = plan_in_words(table, None, currency)  # type: ignore[arg-type]
    return " ".join(clean(text) for text in said[:3]) or "There is too little past to plan from."
