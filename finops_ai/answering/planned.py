"""Budgets and the months ahead: `workspace_budgets` and `workspace_plan`."""

from __future__ import annotations

import datetime as dt

import numpy as np

from finops_ai.answering.answer import Answer, clean, name
from finops_ai.answering.known import Known
from finops_ai.answering.question import Question
from finops_ai.answering.spending import money, sum_of
from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting.budgets import HISTORY, workspace_budgets
from finops_ai.forecasting.history import TOTAL
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.forecasting.year import workspace_plan
from finops_ai.periods import zone
from finops_ai.tables.grouping import TIMES
from finops_ai.tables.result import Table


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
    by = [c for c in dict.fromkeys([*question.by, *(c for c, _ in question.only)]) if c not in TIMES]
    until = None
    if question.period is not None:
        last = (question.period.window.end - dt.timedelta(microseconds=1)).astimezone(zone(known.timezone))
        until = question.period.month or f"{last:%Y-%m}"
        if until < known.clock.months[-1]:
            raise SettingsError(f"{until} is past: the data reaches {known.clock.months[-1]}. Ask who spent in it.")
    until = until or workspace_terms(ws).until
    table = known.kept(
        ("plan", until, tuple(by)),
        lambda: workspace_plan(ws, known.clock.months[-1], by, until=until, months=HISTORY),
    )
    currency = ws.settings.workspace.currency
    if question.only:
        return _of_some(table, question, by, currency, until)
    said = f"{_asked(table, question, known, currency)}{_words(table, currency)}"
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


def _asked(rows: Table, question: Question, known: Known, currency: str) -> str:
    """The months that are asked about, of the whole: one with its range; several add up by their middle only."""
    if question.period is None:
        return ""
    first, end = (
        m.astimezone(zone(known.timezone)) for m in (question.period.window.start, question.period.window.end)
    )
    whole = rows[(rows["unique_id"] == TOTAL).to_numpy(bool)]
    mine = whole[[month != "year" and f"{first:%Y-%m}" <= month < f"{end:%Y-%m}" for month in whole["month"]]]
    if not len(mine):
        return ""
    text = f"{question.period.words(known.timezone).capitalize()} the cost is expected to be {money(sum_of(mine['p50']), currency)}"
    if len(mine) == 1:
        text += f" (8 chances in 10: {money(mine['p10'].iloc[0], '')} to {money(mine['p90'].iloc[0], currency)})"
    return text + ". "


def _of_some(table: Table, question: Question, by: list[str], currency: str, until: str | None) -> Answer:
    """The months of the parts that have the names asked for: parts of one plan, so that they add up to its whole."""
    mine = np.ones(len(table), dtype=bool)
    for column in {c for c, _ in question.only}:
        wanted = {v for c, v in question.only if c == column}
        mine &= np.array([value in wanted for value in table[column]], dtype=bool)
    mine &= (table["unique_id"] != TOTAL).to_numpy(bool)
    who = " and ".join(f"{c} {name(v)}" for c, v in question.only)
    if not mine.any():
        raise DataError(f"The plan has no part {who}: it had no cost in the last {HISTORY} months.")
    rows = table[mine]
    rows = rows.iloc[sorted(range(len(rows)), key=lambda i: rows["month"].iloc[i] != "year")]
    whole = rows[(rows["month"] == "year").to_numpy(bool)]
    months = [m for m in rows["month"] if m != "year"]
    cost, spent = (sum_of(whole[c]) for c in ("p50", "actual"))
    text = f"{who.capitalize() if who.islower() else who}: {min(months)} to {max(months)} is expected to cost {money(cost, currency)}, of which {money(spent, currency)} is spent"
    if len(whole) == 1:  # ranges of parts don't add up
        text += f"; 8 chances in 10 that it ends between {money(whole['p10'].iloc[0], '')} and {money(whole['p90'].iloc[0], currency)}"
    if until is not None and len(whole) == 1:
        last = rows[(rows["month"] == until).to_numpy(bool)].iloc[0]
        text += f". {until}: {money(last['p50'], '')} ({money(last['p10'], '')} to {money(last['p90'], currency)})"
    return Answer(
        text + ".",
        table=rows,
        top=max(question.top, 24),
        definition="P50 is the middle of what the plan of the whole expects of this part, P10 and P90 its range; months that are over are actual.",
        period=f"to {until}" if until else "to the end of the year",
        currency=table.facts.currency or currency,
    )


def _words(table: object, currency: str) -> str:
    from finops_ai.forecasting import plan_in_words

    said = plan_in_words(table, None, currency)  # type: ignore[arg-type]
    return " ".join(clean(text) for text in said[:3]) or "There is too little past to plan from."
