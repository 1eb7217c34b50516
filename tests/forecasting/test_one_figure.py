"""One month is one figure, to the cent, whichever command, page or question is asked; companies and what is known are random."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window
from finops_ai.reporting import forecasts
from tests.forecasting.test_workspace_plan import asked, rows_of

MONTHS = ("2026-11", "2026-12", "2027-01", "2027-02", "2027-03")
MODELS = {"a": "gpt-4.1", "b": "gpt-4.1-mini", "c": "gpt-4.1-nano"}
CENT = D("0.01")


def settings(random):
    """Budgets of every month and of the time to March; planned lines, owners' figures, a contract: some of them."""
    out = [
        "[workspace]\n[dimensions.team]\ndefault = 'rest'\n[[rules]]\nset = { team = 'chat' }\nwhen = { model = 'gpt-4.1' }\n"
    ]
    out += [f"[[budgets]]\nname = '{m}'\nmonth = '{m}'\namount = '{random.integers(50, 400)}'\n" for m in MONTHS]
    out.append("[[budgets]]\nname = 'year'\nfrom = '2026-08'\nto = '2027-04'\namount = '2000'\n")
    out.append("[[budgets]]\nname = 'chat'\nmonth = '2026-12'\namount = '20'\nfor = { team = 'chat' }\n")
    out.append("[plan]\nfiscal_start = 4\n")
    if random.random() < 0.7:
        out.append(
            f"[[plan.lines]]\nname = 'pilot'\nfrom = '2026-11'\nto = '2027-02'\namount = '{random.integers(10, 900)}.37'\n"
        )
    if random.random() < 0.7:
        out.append("[[plan.overrides]]\nmonth = '2026-12'\nfactor = '0.83'\nfor = { team = 'chat' }\n")
    if random.random() < 0.7:
        out.append(
            "[[contracts]]\nname = 'deal'\nprovider = 'openai'\nto = 2027-01-15\ndiscount = '13'\n".replace(
                "'0.13'", "'13'"
            )
        )
    return "".join(out)


def usage(random):
    """Three models over three months, each with a level, a trend and weekdays of its own; one may come late or end."""
    days = pd.date_range("2026-08-01", "2026-10-31", tz="UTC")
    frames = []
    for name in list(MODELS)[: random.integers(2, 4)]:
        level = random.lognormal(0, 1) * np.exp(random.normal(0, 0.004) * np.arange(len(days)))
        y = level * np.exp(random.normal(0, 0.2, len(days))) * np.where(days.day_of_week < 5, 1, random.random())
        y[: random.choice([0, 0, 70])] = 0
        used = [(day, int(2e6 * amount) + 1) for day, amount in zip(days, y, strict=True) if amount]
        columns = {
            "charge_period_start": [d.to_pydatetime() for d, _ in used],
            "charge_period_end": [d.to_pydatetime() + dt.timedelta(days=1) for d, _ in used],
            "provider": "openai", "billing_account_id": "acme", "model": MODELS[name], "operation": "chat",
            "service_tier": "standard", "source": "api", "quantity_basis": "metered",
        }  # fmt: skip
        frames.append(conform(tokens_from_slices(columns, {"input": [q for _, q in used]}), source="test"))
    return pd.concat(frames, ignore_index=True)


def totals(rows, column="p50"):
    return {str(r["month"]): D(str(r[column])).quantize(CENT) for r in rows if r["unique_id"] == "total"}


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_month_is_one_figure_everywhere(seed, tmp_path):
    random = np.random.default_rng(seed)
    (tmp_path / "finops.toml").write_text(settings(random), "utf-8")
    ws = fa.open(tmp_path)
    ws.lake.replace("tokens", "openai", Window.of("2026-08-01", "2026-11-01"), usage(random), {})
    told = rows_of(asked(ws, "plan"))
    said = {m: v for m, v in totals(told).items() if m in MONTHS}
    assert len(said) == len(MONTHS)
    low = totals(told, "p10")
    # other horizons, splits and forms of the question
    split = rows_of(asked(ws, "plan", "--by", "team,model", "--until", "2027-06"))
    assert {m: totals(split)[m] for m in MONTHS} == said
    assert {m: totals(split, "p10")[m] for m in MONTHS} == {m: low[m] for m in MONTHS}
    parts = {m: sum(D(str(r["p50"])) for r in split if r["month"] == m and r["unique_id"] != "total") for m in MONTHS}
    assert {m: v.quantize(CENT) for m, v in parts.items()} == said
    series = rows_of(asked(ws, "forecast", "--freq", "MS", "--horizon", "5"))
    assert [D(str(r["yhat"])).quantize(CENT) for r in series] == [said[m] for m in MONTHS]
    days = rows_of(asked(ws, "forecast", "--horizon", "30"))  # the 30 days of November
    assert sum(D(str(r["yhat"])) for r in days).quantize(CENT) == said["2026-11"]
    ahead = {r["budget"]: r for r in rows_of(asked(ws, "plan", "--budgets"))}
    assert {m: D(str(ahead[m]["p50"])).quantize(CENT) for m in MONTHS} == said
    assert D(str(ahead["year"]["p50"])).quantize(CENT) == totals(told)["year"]
    chat = [r for r in split if r["month"] == "2026-12" and r["team"] == "chat"]
    assert abs(D(str(ahead["chat"]["p50"])) - sum(D(str(r["p50"])) for r in chat)) <= CENT
    pacing = workspace_budgets(ws, "2026-10").set_index("name")["projected"]
    assert D(str(pacing["year"])).quantize(CENT) == totals(told)["year"]
    # Python, the page, the answer to a question
    terms = workspace_terms(ws)
    table = fa.plan(ws.history("2026-10"), book=ws.book, timezone=ws.timezone, **terms.known, **terms.year)
    assert {m: totals(table.to_dict("records"))[m] for m in MONTHS} == said
    answer = fa.ask(ws, "forecast", now=dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    assert {m: totals(answer.table.to_dict("records"))[m] for m in MONTHS} == said
    page = forecasts.outlook(ws, "2026-10")
    assert {m: totals(page.plan.to_dict("records"))[m] for m in MONTHS} == said
    assert {r["budget"]: r["p50"] for r in page.budgets.to_dict("records")}["2026-12"] == said["2026-12"]
