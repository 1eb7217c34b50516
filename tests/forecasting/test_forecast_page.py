"""The forecast page and the commands, on a workspace of two teams."""

import html
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from finops_ai.cli import forecasting as commands
from finops_ai.errors import DataError, RuleError
from finops_ai.forecasting import plan_in_words
from finops_ai.reporting import answers, charts, forecasts
from finops_ai.store.keeping import Recent


class Prices:
    """A book without dated prices."""

    key_columns = ()

    def turns(self, provider, model):
        return []


def history():
    random = np.random.default_rng(3)
    days = pd.date_range("2026-01-01", "2026-06-30", tz="UTC")
    week = np.array([10, 11, 12, 11, 10, 4, 3.0])
    parts = []
    for team, size in (("<b>search</b>", 1), ("support", 3)):
        cost = size * np.tile(week, 30)[: len(days)] * np.exp(0.1 * random.standard_normal(len(days)))
        for meter, share in (("requests", None), ("input", 0.4), ("output", 0.6)):
            parts.append(
                pd.DataFrame(
                    {
                        "charge_period_start": days,
                        "charge_period_end": days + pd.Timedelta(days=1),
                        "provider": "acme",
                        "model": "large",
                        "prompt_id": "answer@v1",
                        "service_tier": "standard",
                        "meter": meter,
                        "quantity": [Decimal(round(c * 1000)) for c in cost],
                        "effective_cost": None if share is None else [Decimal(f"{share * c:.6f}") for c in cost],
                        "pricing_currency": "USD",
                        "team": team,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def ws():
    frame = history()
    settings = SimpleNamespace(
        policies={
            "budgets": [{"amount": 16000, "from": "2026-01", "to": "2027-01"}],
            "scenario": {
                "double": {"changes": [{"kind": "volume", "start": "2026-08-01", "factor": 2}]},
                "other tools": {"batch": {"share": "0.5"}},
            },
        },
        workspace=SimpleNamespace(currency="USD"),
        root=Path("there is no such folder"),
    )
    return SimpleNamespace(
        history=lambda month, months, by=(): frame,
        digest=lambda: "",
        recent=Recent(),
        derived=lambda kind, month, make: make(None),
        ledger=SimpleNamespace(head=lambda: ""),
        months=lambda: ["2026-06"],
        months_before=lambda month, count: ["2026-06"],
        bills=lambda month: pd.DataFrame(),
        book=Prices(),
        timezone="UTC",
        settings=settings,
        rules=SimpleNamespace(dimensions=("team",)),
    )


@pytest.fixture(scope="module")
def page(ws):
    return forecasts.outlook(ws, "2026-06")


@pytest.fixture
def shown(monkeypatch):
    out = []
    monkeypatch.setattr(forecasts, "display", lambda item: out.append(item.data))
    monkeypatch.setattr(answers, "display", lambda item: out.append(item.data))
    monkeypatch.setattr(charts, "show", lambda figure, alt: out.append(f"<figure>{alt}</figure>"))
    return out


def cells(text):
    return [html.unescape(c) for c in re.findall(r'<(?:td|th scope="row")[^>]*>(.*?)</t[dh]>', text)]


def test_the_page_answers_in_sentences(page, shown):
    forecasts.answer(page)
    forecasts.remarks(page)
    assert "January to December 2026 is expected to cost" in shown[0]
    assert "under the budget of 16,000" in shown[1] or "over the budget of 16,000" in shown[1]
    assert "chance of going over it" in shown[1]


def test_a_month_that_cost_nothing_has_no_error(page, shown):
    errors = page.errors.assign(actual=Decimal(0), error=None).astype({"error": object})
    forecasts.past_errors(replace(page, errors=errors))
    assert cells(shown[0])[5] == "–"
    assert "on average off" not in shown[0]
    assert not any("made at its start" in said for said in plan_in_words(page.plan, errors))


def test_the_tables_hold_the_plan_and_are_escaped(page, shown):
    for part in (
        forecasts.plan_by_month,
        forecasts.plan_by_part,
        forecasts.scenario_table,
        forecasts.past_errors,
        forecasts.driver_table,
        forecasts.model_table,
        forecasts.budgets_ahead,
        forecasts.commitments,
        forecasts.fan,
    ):
        part(page)
    assert not any("<b>" in text for text in shown)
    by_month, by_part, scenarios = (cells(text) for text in shown[:3])
    assert by_month[0] == "January\u00a02026"
    assert "<b>search</b>" in by_part
    number = [float(c.replace(",", "")) for c in by_part if re.fullmatch(r"[\d,.]+", c)]
    # two parts and the total, four amounts each: every column adds up to the cent
    assert np.round(np.add(number[0:4], number[4:8]), 2).tolist() == number[8:12]
    assert "double" in scenarios
    assert "other tools" not in scenarios


def test_the_page_shows_budgets_and_models(page, shown):
    forecasts.budgets_ahead(page)
    budget = cells(shown[0])
    assert budget[:3] == ["all, 2026-01 to 2026-12", "December\u00a02026", "16,000.00"]
    assert float(budget[4].replace(",", "")) < float(budget[5].replace(",", "")) < float(budget[6].replace(",", ""))
    forecasts.model_table(page)
    # 1,000 requests, 1,000 tokens in and 1,000 out per unit of cost: one token each way a request, 1.00 per 1,000
    assert cells(shown[1])[0] == "large"
    assert (cells(shown[1])[3], cells(shown[1])[5]) == ("1", "1")
    assert cells(shown[1])[6] == "1.00"
    assert "temperature" in shown[2]


@pytest.mark.long
def test_a_page_without_open_budgets_says_so(ws, shown):
    past = {**ws.settings.policies, "budgets": [{"amount": 100, "month": "2026-06"}]}
    settings = SimpleNamespace(policies=past, workspace=ws.settings.workspace, root=ws.settings.root)
    page = forecasts.outlook(SimpleNamespace(**{**vars(ws), "settings": settings}), "2026-06")
    assert any("No budget reaches beyond" in note for note in page.notes)
    forecasts.budgets_ahead(page)
    assert "No budget reaches beyond" in shown[0]


@pytest.mark.long
def test_the_fan_holds_what_is_known(ws, page):
    known = {**ws.settings.policies, "plan": {"lines": [{"name": "pilot", "month": "2026-08", "amount": "3100"}]}}
    settings = SimpleNamespace(policies=known, workspace=ws.settings.workspace, root=ws.settings.root)
    other = forecasts.outlook(SimpleNamespace(**{**vars(ws), "settings": settings}), "2026-06")
    for column in ("yhat", "lo-80", "hi-95"):
        more = (other.days.set_index("ds")[column] - page.days.set_index("ds")[column]).resample("MS").sum()
        assert more["2026-07-01"] == pytest.approx(0, abs=0.01)
        # what is sure moves the range as it moves the middle, but for the noise of days
        assert more["2026-08-01"] == pytest.approx(3100, rel=1e-9 if column == "yhat" else 0.5)


def test_without_history_it_says_so(ws):
    empty = SimpleNamespace(**{**vars(ws), "history": lambda month, months: history().iloc[:0]})
    with pytest.raises(DataError, match="no usage up to 2026-06"):
        forecasts.outlook(empty, "2026-06")


@pytest.fixture
def run(ws, monkeypatch):
    import finops_ai

    monkeypatch.setattr(finops_ai, "open", lambda config: ws, raising=False)
    return lambda command, *args: CliRunner().invoke(command, list(args), catch_exceptions=False)


def test_the_forecast_command(run):
    done = run(commands.forecast, "--by", "team", "--horizon", "3", "--format", "csv", "--scenario", "double")
    lines = done.output.splitlines()
    assert lines[0] == "unique_id,ds,yhat,lo-80,hi-80"
    assert len(lines) == 1 + 3 * 3  # total and two teams


@pytest.mark.long
def test_the_plan_command(run):
    assert "chance of going over it" in run(commands.plan, "--words").output
    assert '"over_budget"' in run(commands.plan, "--budgets", "--format", "json").output
    table = run(commands.plan, "--until", "2026-08", "--format", "json").output
    assert '"month": "2026-08"' in table
    with pytest.raises(RuleError, match="Did you mean 'double'"):
        run(commands.plan, "--scenario", "doubel")


def test_a_series_file_is_forecast_and_a_broken_one_refused(run, tmp_path):
    days = pd.date_range("2026-01-01", periods=40)
    pd.DataFrame({"unique_id": "a", "ds": days, "y": 5.0}).to_csv(tmp_path / "a.csv", index=False)
    assert "5" in run(commands.forecast, str(tmp_path / "a.csv"), "--horizon", "2").output
    (tmp_path / "b.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"can't be read as \.parquet"):
        run(commands.forecast, str(tmp_path / "b.parquet"))
    with pytest.raises(DataError, match="No file"):
        run(commands.forecast, str(tmp_path / "c.parquet"))
