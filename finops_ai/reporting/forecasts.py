"""The forecast and plan page: the answer in sentences, a fan chart, the plan by month, scenarios and past error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
from IPython.display import HTML, display

from finops_ai.engine.fields import PUBLISHED
from finops_ai.errors import DataError
from finops_ai.forecasting import (
    CostForecast,
    columns_touched,
    commitment_advice,
    compare_scenarios,
    drivers,
    forecast,
    forecast_cost,
    learn_temperature,
    load_scenarios,
    plan_in_words,
    standard_scenarios,
)
from finops_ai.forecasting.history import local_middle
from finops_ai.forecasting.planning import workspace_past_error
from finops_ai.forecasting.seats import history_with_seats
from finops_ai.forecasting.shelf import held_against, saved_plans
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.forecasting.year import workspace_outlook
from finops_ai.money import published, written
from finops_ai.reporting import answers, charts, owners
from finops_ai.reporting.grid import column, grid, heading
from finops_ai.reporting.pacing import OVERRUN
from finops_ai.reporting.text import amount, is_unknown, percent, rate, safe, title
from finops_ai.tables import showback
from finops_ai.tables.kpis import plan_errors
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: days ahead that are drawn and that scenarios change; intervals in per cent
AHEAD, LEVELS = 90, (80, 95)


@dataclass(frozen=True)
class Outlook:
    """Everything the page shows, made once.

    Attributes:
        currency: of all amounts.
        by: dimension the plan is split by.
        plan: month by month, total and parts.
        budgets: every budget still open with what it will come to over its own period.
        errors: past plans of the total against what came; empty while nothing could be checked.
        days: the plan day by day, 80 and 95 % intervals, with everything that is known.
        base: forecast of use in the coming days, which scenarios change.
        scenarios: base and scenarios side by side.
        drivers: what cost is made of, by month.
        models: the same by model, in the newest month.
        temperature: growth of answers per +1.0 of temperature, learned from the log; None where it can't be.
        commitments: what would have been worth committing to.
        notes: what to doubt.
    """

    currency: str
    by: str
    plan: pd.DataFrame
    budgets: pd.DataFrame
    errors: pd.DataFrame
    days: pd.DataFrame
    base: CostForecast
    scenarios: pd.DataFrame
    drivers: pd.DataFrame
    models: pd.DataFrame
    temperature: float | None
    commitments: pd.DataFrame
    notes: list[str]
    against: Table | None = None
    #: name of the saved plan it is held against
    agreed: str = ""
    #: values of `by` that are no owner, and what they are called
    words: Mapping[str, str] = field(default_factory=dict)


def outlook(
    ws: Workspace, month: str, *, by: str = "", until: str = "", scenarios: str = "", months: int = 13
) -> Outlook:
    """Make the plan of a workspace as it looked at the end of a month.

    Args:
        ws: the workspace.
        month: last month that is known.
        by: dimension to split by; empty = the first of the rules.
        until: last month of the plan; empty = that of `[plan]`, else the end of the fiscal year.
        scenarios: TOML file; empty = those of finops.toml that list changes, else three standard ones.
        months: months of history.
    """
    history = ws.history(month, months)
    if history.empty:
        raise DataError(f"The lake holds no usage up to {month}: there is nothing to forecast from.")
    by = by or answers.first_dimension(ws)
    told: dict[str, Any] = {"book": ws.book, "timezone": ws.timezone}
    terms = workspace_terms(ws, month)
    table, ahead = workspace_outlook(ws, month, [by], until=until, months=months)
    notes = _each_once([*table.facts.notes[1:], *ahead.facts.notes])
    if not len(ahead):
        notes.append(
            f"No budget reaches beyond {answers.month_text(month)}; add [[budgets]] for the months to come (`month`, or `from` "
            "and `to`) to see the chance of an overrun."
        )
    errors = workspace_past_error(ws, month, months)
    own = {name: t for name, t in ws.settings.policies.get("scenario", {}).items() if "changes" in t}
    wanted = load_scenarios(scenarios or {"scenario": own}) if scenarios or own else []
    base = forecast_cost(
        history, AHEAD, by=[by], levels=LEVELS, keep=columns_touched(wanted), holidays=terms.holidays, **told
    )
    paid = _in_cents(history)
    advice = commitment_advice(paid, by=["provider"], timezone=ws.timezone)
    return Outlook(
        table.facts.currency or ws.settings.workspace.currency,
        by,
        table,
        ahead,
        errors,
        forecast(history_with_seats(ws, month, months), AHEAD, level=LEVELS, **told, **terms.known),
        base,
        compare_scenarios(base.outlook, wanted or standard_scenarios(base.outlook), ws.book),
        _by_month(paid, ws.timezone),
        _by_model(paid, ws.timezone),
        _temperature(history),
        advice,
        notes,
        *_against(ws, month, by),
        words=owners.apart(history, by),
    )


def _against(ws: Workspace, month: str, by: str) -> tuple[Table | None, str]:
    """The newest saved plan that has the month in it, bridged to what came."""
    for row in saved_plans(ws).to_dict("records"):
        if row["first"] <= month <= row["until"]:
            try:
                return held_against(ws, row["name"], [by], until=month), str(row["name"])
            except DataError:
                continue  # no whole month of it is over
    return None, ""


def against_plan(page: Outlook) -> None:
    """The plan that was agreed, held against what came: by owner, what made the difference."""
    if page.against is None:
        answers.note(
            "No saved plan has this month in it. `finops-ai plan --save NAME` keeps today's plan for later months."
        )
        return
    shown = page.against.published()
    last = shown[shown["month"] == shown["month"].max()]
    effects = [c for c in last.columns if c not in ("month", page.by, "planned", "actual", "difference")]
    effects = [c for c in effects if any(not is_unknown(v) and published(v, page.currency) for v in last[c])]
    columns = ["planned", "actual", "difference", *effects]
    rows = [
        [
            str(row[page.by]),
            *(
                _money(row[c], page.currency) if c in ("planned", "actual") else _signed(row[c], page.currency)
                for c in columns
            ),
        ]
        for row in last.to_dict("records")
    ]
    totals = {c: sum((v for v in last[c] if not is_unknown(v)), Decimal(0)) for c in columns}
    foot = [
        "Total",
        *(
            _money(totals[c], page.currency) if c in ("planned", "actual") else _signed(totals[c], page.currency)
            for c in columns
        ),
    ]
    heads = [title(page.by), "Planned", "Came", "Difference", *(heading(c)[0] for c in effects)]
    caption = f"{page.agreed}, {answers.month_text(last['month'].iloc[0])}, in {page.currency}; the effects add up to the difference"
    _show(grid(heads, rows, foot=foot, caption=caption))


def answer(page: Outlook) -> None:
    """The year in one sentence: what it is expected to cost, what of it is spent, the range."""
    answers.say(safe(_words(page)[0]))


def remarks(page: Outlook) -> None:
    """What else is worth knowing: the budget, what weighs most, how good past plans were, and what to doubt."""
    display(HTML(f"<p>{safe(' '.join(_words(page)[1:]))}</p>"))
    for note in page.notes:
        answers.note(note)


def _words(page: Outlook) -> list[str]:
    return plan_in_words(page.plan, page.errors if len(page.errors) else None, page.currency)


def fan(page: Outlook, back: int = 120) -> None:
    """What was by day, and what is expected with its 80 and 95 % intervals."""
    made, past = page.days, page.base.panel.values[0][-back:]
    days = pd.DatetimeIndex(made["ds"])
    before = pd.date_range(end=days[0] - pd.Timedelta(days=1), periods=len(past))
    figure = charts.fan(
        list(zip(before.date, past, strict=True)),
        list(zip(days.date, made["yhat"], strict=True)),
        {level: list(zip(made[f"lo-{level}"], made[f"hi-{level}"], strict=True)) for level in LEVELS},
        currency=page.currency,
        title="Cost per day: what was, what is expected, how sure that is",
    )
    usual, low, high = (amount(float(made[c].mean()), page.currency) for c in ("yhat", "lo-80", "hi-80"))
    charts.show(
        figure,
        f"Cost per day up to {before[-1].day} {before[-1]:%b %Y} and {len(made)} days ahead; on average {usual} a day is expected, "
        f"80% interval {low} to {high}.",
    )


def _spent(page: Outlook) -> str:
    """Heading of what is spent: it is of whole days, which other tables of a month that is still running aren't."""
    begins = min(page.days["ds"])
    return "Spent" if begins.day == 1 else f"Spent before {begins.day} {begins:%b %Y}"


def plan_by_month(page: Outlook) -> None:
    """The total month by month: what was spent, or the low, middle and high of what is to come; budget and chance of an overrun."""
    total = page.plan[page.plan["unique_id"] == "total"]
    with_budget = (total["budget"].notna() & (total["p10"] != total["p90"])).any()  # one that isn't over yet
    heads = ["Month", _spent(page), "Low", "Middle", "High"] + (
        ["Budget", "Over budget", "Chance of overrun"] if with_budget else []
    )
    rows = []
    for row in total.to_dict("records"):
        sure = row["p10"] == row["p90"] and row["month"] != "year"  # what is spent is no forecast
        cells = [_name(row["month"]), _money(row["actual"] or None, page.currency)]
        cells += [
            "–" if sure and c != "p50" else _money(row[c], page.currency) for c in ("p10", "p50", "p90")
        ]  # the middle adds up
        if with_budget:
            certain = sure or is_unknown(row["overrun_probability"])  # what is over has no chances left
            chance = "–" if certain else percent(row["overrun_probability"], places=0)
            cells += [_money(row["budget"], page.currency), _signed(row["over_budget"], page.currency), chance]
        rows.append(cells)
    caption = (
        f"Amounts in {page.currency}; 8 chances in 10 that a month, and the year, ends between low and high, which are no sums; "
        "even chances below and above the middle" + (f"; {OVERRUN}" if with_budget else "")
    )
    _show(grid(heads, rows[:-1], foot=rows[-1], caption=caption))


def budgets_ahead(page: Outlook) -> None:
    """Each budget still open over its own period: what is spent, what it will come to, the chance of an overrun."""
    if not len(page.budgets):
        answers.note("No budget reaches beyond the months that are known.")
        return
    rows = [
        [
            str(row["budget"]),
            _name(row["until"]),
            *(_money(row[c], page.currency) for c in ("amount", "actual", "p10", "p50", "p90")),
            _signed(row["over_budget"], page.currency),
            percent(row["overrun_probability"], places=0),
        ]
        for row in page.budgets.to_dict("records")
    ]
    heads = ["Budget", "Until", "Amount", _spent(page), "Low", "Middle", "High", "Over budget", "Chance of overrun"]
    _show(grid(heads, rows, texts=2, caption=f"Amounts in {page.currency}; the likeliest overrun first; {OVERRUN}"))


def plan_by_part(page: Outlook, top: int = 12) -> None:
    """The year by part, with what each adds to the total's low and high: these columns add up."""
    year = page.plan[page.plan["month"] == "year"]
    parts = year[year["unique_id"] != "total"]
    order = parts["p50"].astype(float).sort_values(ascending=False).index
    lines = parts.loc[order].to_dict("records")
    owned = [row for row in lines if str(row["unique_id"]) not in page.words]
    nobody = [row for row in lines if str(row["unique_id"]) in page.words]
    columns = ["actual", "p50", "p10_part", "p90_part"]
    rows = [[str(row["unique_id"]), *(_money(row[c], page.currency) for c in columns)] for row in owned[:top]]
    if rest := owned[top:]:
        rows.append(
            [f"{len(rest)} more", *(_money(sum((row[c] for row in rest), Decimal(0)), page.currency) for c in columns)]
        )
    apart = range(len(rows), len(rows) + len(nobody))
    rows += [[page.words[str(row["unique_id"])], *(_money(row[c], page.currency) for c in columns)] for row in nobody]
    whole = year[year["unique_id"] == "total"].iloc[0]
    foot = ["Total", *(_money(whole[c], page.currency) for c in columns)]
    heads = [title(page.by), _spent(page), "Middle", "Its part of the low", "Its part of the high"]
    _show(grid(heads, rows, foot=foot, caption=f"Amounts in {page.currency}; every column adds up", apart=apart))


def scenario_table(page: Outlook) -> None:
    """The base and each scenario over the coming 90 days; the changes add up to the difference exactly."""
    rows: list[list[str]] = []
    for name, part in page.scenarios.groupby("scenario", sort=False):
        lines = part.to_dict("records")
        for row in sorted(lines, key=lambda r: r["item"] != "total"):
            whole = row["item"] == "total"
            money = _money(row["amount"], page.currency) if whole else _signed(row["amount"], page.currency)
            part = row["share_of_base"]
            share = percent(part) if whole or is_unknown(part) else f"{float(part):+z.1%}"
            rows.append([str(name) if whole else "", "comes to" if whole else f"by {row['item']}", money, share])
    days = page.base.outlook.days
    caption = (
        f"Amounts in {page.currency} over {len(days)} days from {days[0]:%Y-%m-%d}, of use: base is the plan without these changes, "
        "at the prices that are known; planned lines and owners' figures are the same in each"
    )
    _show(grid(["Scenario", "", "Amount", "Of base"], rows, texts=2, caption=caption))


def past_errors(page: Outlook) -> None:
    """What the plan at each month's start said, and what came."""
    if not len(page.errors):
        answers.note("No past month has two weeks of history before it, so no past forecast can be checked yet.")
        return
    rows = [
        [
            _name(row["month"]),
            *(_money(row[c], page.currency) for c in ("p10", "p50", "p90", "actual")),
            "–" if is_unknown(row["error"]) else f"{row['error']:+z.1%}",
            "yes" if row["inside"] else "no",
        ]
        for row in page.errors.to_dict("records")
    ]
    wape = plan_errors(page.errors).get("forecast_error")
    off = "" if wape is None else f"; the misses come to {percent(wape)} of what came"
    caption = f"Amounts in {page.currency}{off}; a right range holds 8 months in 10"
    heads = ["Month", "Low said", "Middle said", "High said", "Came", "Off by", "Inside the range"]
    _show(grid(heads, rows, caption=caption))


def driver_table(page: Outlook, months: int = 6) -> None:
    """Requests x input per request x tokens per input x price per token, by month, each beside what it is made of."""
    shown = page.drivers.tail(months).to_dict("records")
    made: list[dict[str, Any]] = []
    for row in shown:
        tokens = _ratio(row["token_cost"], row["price_per_token"])
        calls = row["requests"] if row["requests"] > 0 else None
        made.append({"requests": calls, "tokens": tokens, "input_tokens": _ratio(tokens, row["tokens_per_input"])})
    heads, counts = zip(*(column(made, name) for name in ("requests", "input_tokens", "tokens")), strict=True)
    rows = [
        [
            _name(f"{row['ds']:%Y-%m}"),
            calls,
            read,
            _figure(row["input_per_request"]) if row["requests"] > 0 else "–",
            all_,
            _figure(row["tokens_per_input"], 3),
            _figure(row["token_cost"]),
            _figure(row["price_per_token"] * 1e6, 3),
            _figure(row["other_cost"]),
        ]
        for row, calls, read, all_ in zip(shown, *counts, strict=True)
    ]
    named = [f"Their {head[0].lower()}{head[1:]}" for head in heads[1:]]
    columns = ["Month", heads[0], named[0], "Input tokens each", named[1], "Tokens per input"]
    columns += ["Cost of these tokens", "Price per 1M", "All other cost"]
    about = "of sources that count requests: requests, input tokens each, tokens per input and price multiply to the cost of these tokens"
    _show(grid(columns, rows, caption=f"Amounts in {page.currency}, {about}"))


def model_table(page: Outlook, top: int = 8) -> None:
    """Prompt complexity and answer length by model: tokens in and out a request, what a request costs; temperature."""
    shown = page.models.head(top).to_dict("records")
    costs = column([{"cost": row["published"]} for row in shown], "cost")[1]
    partly = any(not is_unknown(row["counted"]) and row["counted"] != row["published"] for row in shown)
    calls = [None if is_unknown(row["calls"]) or not row["calls"] else float(row["calls"]) for row in shown]
    counts, named = [], []
    for name in ("input", "output"):
        each = [None if is_unknown(row[f"{name}_per_request"]) else row[f"{name}_per_request"] for row in shown]
        used = [None if n is None or e is None else n * e for n, e in zip(calls, each, strict=True)]
        head, cells = column([{f"{name}_tokens": value} for value in used], f"{name}_tokens")
        named += [f"Their {head[0].lower()}{head[1:]}", f"{name.capitalize()} each"]
        counts += [cells, ["–" if value is None else _figure(e, 0) for value, e in zip(used, each, strict=True)]]
    rows = []
    for i, (row, cost) in enumerate(zip(shown, costs, strict=True)):
        line = ["–" if calls[i] is None else f"{calls[i]:,.0f}", *(cells[i] for cells in counts)]
        line += [_money(row["counted"], page.currency)] if partly else []
        dear = "–" if is_unknown(row["cost_per_request"]) else rate(row["cost_per_request"] * 1000, "").strip()
        rows.append([str(row["unique_id"]), *line, dear, cost])
    heads = ["Model", "Requests", *named]
    heads += [*(["Their cost"] if partly else []), "Cost per 1,000", "Cost"]
    month = answers.month_text(f"{page.drivers['ds'].iloc[-1]:%Y-%m}")
    caption = f"Amounts in {page.currency}, {month}; the largest models"
    _show(grid(heads, rows, caption=caption))
    if page.temperature is None:
        answers.note(
            "No requests of one prompt at several temperatures are logged, so what temperature does to answers isn't "
            "known; elsewhere it was +5% tokens per +1.0, and above 1.2 answers run away."
        )
    else:
        answers.note(
            f"Answers grow by {page.temperature:+z.1%} per +1.0 of temperature here, up to 1.0; above 1.2 they run away."
        )


def commitments(page: Outlook) -> None:
    """What a daily commitment at a fifth off would have been worth over the last 90 days."""
    rows = [
        [
            str(row["unique_id"]),
            *(_figure(row[c]) for c in ("usage_p10", "usage_p50", "commit", "spent", "with_commitment")),
            percent(row["saving"]),
        ]
        for row in page.commitments.to_dict("records")
    ]
    heads = [
        "Provider",
        "Calm day, 1 in 10",
        "Usual day",
        "Commit a day",
        "Cost of these days",
        "Cost with it",
        "Would have saved",
    ]
    _show(grid(heads, rows, caption=f"Amounts in {page.currency} at today's prices, if a fifth off were offered"))


def _each_once(notes: Sequence[str]) -> list[str]:
    """Notes of the plan and of the budgets, which may end in another month: what begins with the same sentence is said once.

    >>> _each_once(["a jumped: 36% that it stays. December 2026 comes to 9.", "a jumped: 36% that it stays. May 2027 comes to 8."])
    ['a jumped: 36% that it stays. December 2026 comes to 9.']
    """
    return list({note.partition(". ")[0]: note for note in reversed(notes)}.values())[::-1]


def _in_cents(history: pd.DataFrame) -> pd.DataFrame:
    """The rows at the cost that is published of each, where that is decided: sums of them are those of all other pages."""
    return history.assign(effective_cost=history[PUBLISHED]) if PUBLISHED in history.columns else history


def _counted(history: pd.DataFrame) -> Any:
    """The rows of sources that count requests: what is said per request is of these alone."""
    keys = [k for k in ("provider", "billing_account_id", "model") if k in history.columns]
    calls = (history["meter"] == "requests").to_numpy(bool)
    if "slice_requests" in history.columns:
        calls = calls | (history["slice_requests"] > 0).to_numpy(bool, na_value=False)
    return (
        pd.Series(calls).groupby([history[k].to_numpy(object) for k in keys], dropna=False).transform("any").to_numpy()
    )


def _by_month(history: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """The drivers of the tokens of counted requests by month, and what the rest cost beside them."""
    whole, counted = drivers(history, timezone=timezone), _counted(history)
    if not counted.any():
        return whole
    own = drivers(history[counted], timezone=timezone).drop(columns=["cost", "other_cost"])
    out = own.merge(whole[["ds", "cost"]], on="ds", how="right")
    return out.assign(other_cost=out["cost"] - out["token_cost"].fillna(0.0))


def _by_model(history: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """What showback says of each model in the newest month, the costliest first, with the drivers of its calls."""
    when = local_middle(history, timezone)
    newest = history[(when >= when.max().to_period("M").start_time).to_numpy(bool)] if len(history) else history
    rows, counted = drivers(newest, by=["model"], timezone=timezone), _counted(newest)
    if counted.any():
        each = ["input_per_request", "output_per_input"]
        own = drivers(newest[counted], by=["model"], timezone=timezone)[["ds", "unique_id", *each]]
        rows = rows.drop(columns=each).merge(own, on=["ds", "unique_id"], how="left")
    rows = rows[rows["cost"] > 0]
    month = f"{rows['ds'].max():%Y-%m}" if len(rows) else None
    told = showback(history, by=["model"], month=month, timezone=timezone)
    shown = pd.DataFrame(
        {
            "unique_id": told["model"].astype(str),
            "published": told.published()["cost"],
            "calls": told["requests"].astype(object),
            "counted": told.published()["counted_cost"],
            "cost_per_request": told["cost_per_request"].astype(object),
        }
    )
    return shown.merge(rows.drop(columns=["cost", "requests"]), on="unique_id", how="inner").assign(
        output_per_request=lambda r: r["input_per_request"] * r["output_per_input"]
    )


def _temperature(history: pd.DataFrame) -> float | None:
    """Growth of answers per +1.0 of temperature where the log has one prompt at several, else None."""
    if not {"temperature", "prompt_id", "request_id"} <= set(history.columns):
        return None
    rows = history[(history["meter"] == "output") & history["request_id"].notna()]
    found = learn_temperature(rows, tokens="quantity").iloc[0]
    return None if is_unknown(found["measured"]) else float(found["per_degree"])


def _name(month: str) -> str:
    return "Year" if month == "year" else answers.month_text(month).replace(" ", "\u00a0")


def _money(value: Decimal | float | None, currency: str) -> str:
    return "–" if is_unknown(value) else written(Decimal(value), currency)


def _signed(value: Decimal | float, currency: str) -> str:
    return "–" if is_unknown(value) else written(Decimal(value), currency, "+")


def _ratio(top: float | None, bottom: float | None) -> float | None:
    return None if is_unknown(top) or is_unknown(bottom) or not bottom else top / bottom


def _figure(value: float | None, places: int = 2) -> str:
    return "–" if is_unknown(value) else f"{round(value, places) + 0.0:,.{places}f}"  # what rounds to 0 has no sign


def _show(table: str) -> None:
    display(HTML(table))
