"""What finops.toml takes for known reaches every plan of a workspace; saved plans are kept once and bridged to what came.

Two dollars a day, every day, so every figure is worked out by hand: 60 in September, 62 in October, 60 in November, 62 in December.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal as D

import pandas as pd
import pytest
from click.testing import CliRunner

import finops_ai as fa
from finops_ai.cli import group
from finops_ai.errors import SettingsError
from finops_ai.forecasting.budgets import workspace_budgets
from finops_ai.forecasting.shelf import held_against, keep_plan, saved_plans
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window

SETTINGS = """[workspace]
timezone = "UTC"
[dimensions.team]
default = "a"
[[budgets]]
name = "quarter"
from = "2026-10"
to = "2027-01"
amount = "500"
"""
KNOWN = """
[[plan.lines]]
name = "pilot"
month = "2026-12"
amount = "500"
[[plan.overrides]]
month = "2026-11"
factor = "0.5"
owner = "platform"
for = { team = "a" }
[[plan.overrides]]
month = "2026-03"
amount = "1"
"""


def usage(first, days, quantity=1_000_000):
    starts = [dt.datetime.fromisoformat(f"{first}T00:00:00+00:00") + n * dt.timedelta(days=1) for n in range(days)]
    columns = {
        "charge_period_start": starts, "charge_period_end": [day + dt.timedelta(days=1) for day in starts], "provider": "openai",
        "billing_account_id": "acme", "model": "gpt-4.1", "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {"input": [quantity] * days}), source="test")


@pytest.fixture
def company(tmp_path):
    def at(more=""):
        (tmp_path / "finops.toml").write_text(SETTINGS + more, "utf-8")
        return fa.open(tmp_path)

    at().lake.replace("tokens", "openai", Window.of("2026-09-01", "2026-11-01"), usage("2026-09-01", 61), {})
    return at


def by_month(table):
    total = table[table["unique_id"] == "total"]
    return {str(m): round(v, 2) for m, v in zip(total["month"], total["p50"], strict=True)}


def asked(ws, *words):
    done = CliRunner().invoke(
        group, [*words, "--config", str(ws.settings.root), "--format", "json"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def rows_of(answer):
    return answer["rows"] if isinstance(answer, dict) else answer


@pytest.mark.long
def test_what_is_known_reaches_every_plan(company):
    plain = {r["month"]: D(str(r["p50"])) for r in rows_of(asked(company(), "plan")) if r["unique_id"] == "total"}
    assert (plain["2026-11"], plain["2026-12"]) == (60, 62)
    ws = company(KNOWN)
    told = {r["month"]: D(str(r["p50"])) for r in rows_of(asked(ws, "plan")) if r["unique_id"] == "total"}
    assert (told["2026-11"], told["2026-12"], told["year"]) == (30, 562, 60 + 62 + 30 + 562)
    # 62 are spent in October, 30 and 562 are to come
    budget = workspace_budgets(ws, "2026-10").iloc[0]
    assert (round(budget["projected"], 2), budget["status"]) == (654, "watch")
    (ahead,) = rows_of(asked(ws, "plan", "--budgets"))
    assert D(str(ahead["p50"])) == 654
    months = rows_of(asked(ws, "forecast", "--freq", "MS", "--horizon", "2"))
    assert [round(D(str(r["yhat"])), 2) for r in months if r["unique_id"] == "total"] == [30, 562]
    notes = fa.plan(ws.history("2026-10"), **workspace_terms(ws).known, until="2026-12").facts.notes
    assert any("by platform" in note for note in notes)
    assert any("2026-03" in note and "changes nothing" in note for note in notes)


def test_a_fiscal_year_ends_when_it_ends(company):
    ws = company("[plan]\nfiscal_start = 4\nquarters = true\nholidays = []\n")
    total = {r["month"]: D(str(r["p50"])) for r in rows_of(asked(ws, "plan")) if r["unique_id"] == "total"}
    # January to March: 31 + 28 + 31 days
    assert (total["2027-Q4"], total["2027-03"]) == (180, 62)
    assert list(total)[-1] == "year"


@pytest.mark.long
def test_units_to_come_cost_what_units_cost(company, tmp_path):
    (tmp_path / "business.csv").write_text(
        "month,metric,value\n2026-08,tickets,9\n2026-09,tickets,100\n2026-10,tickets,100\n", "utf-8"
    )
    units = '\n[business]\nfile = "business.csv"\n[[plan.units]]\nmetric = "tickets"\nmonths = { "2026-12" = 200 }\n'
    ws = company(units)
    # 60 + 62 for 200 tickets is 0.61 each
    assert by_month(fa.plan(ws.history("2026-10"), **workspace_terms(ws).known))["2026-12"] == 122
    stated = units.replace("[[plan.units]]\n", '[[plan.units]]\nper_unit = "2"\n')
    assert rows_of(asked(company(stated), "plan"))[-2]["p50"] in (400, "400", "400.00")
    each = rows_of(asked(ws, "unit-economics", "--month", "2026-10"))
    assert [(r["month"], D(str(r["cost_per_outcome"]))) for r in each] == [
        ("2026-09", D("0.6")),
        ("2026-10", D("0.62")),
    ]
    outcome = [r for r in rows_of(asked(ws, "kpis", "--month", "2026-10")) if "tickets" in str(r)]
    assert outcome


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[plan]\nuntill = 1", "Did you mean"),
        ("[plan]\nfiscal_start = 13", "1 to 12"),
        ("[[plan.lines]]\nname = 'x'\namout = 1", "amout"),
        ("[[plan.units]]\nname = 'x'", "months"),
        ("[[plan.units]]\nname = 'x'\nmonths = { '2026-12' = 1 }", "per_unit"),
        ("[business]\nfile = 'no.csv'\n[[plan.units]]\nmetric = 'x'\nmonths = { '2026-12' = 1 }", "no.csv"),
    ],
)
def test_a_wrong_setting_is_named(company, text, said):
    with pytest.raises(SettingsError, match=said):
        workspace_terms(company(text))


@pytest.mark.long
def test_a_saved_plan_is_kept_once_and_held_against_what_came(company):
    ws = company(KNOWN)
    keep_plan(ws, "board plan")
    with pytest.raises(SettingsError, match="never overwritten"):
        keep_plan(ws, "board plan")
    (row,) = saved_plans(ws).to_dict("records")
    assert (row["name"], row["made"], row["until"], round(row["planned"], 2)) == (
        "board plan",
        "2026-11-01",
        "2026-12",
        592,
    )
    with pytest.raises(SettingsError, match="board plan"):
        held_against(ws, "bord plan")
    # November comes with twice the tokens a day: 120 instead of 30
    ws.lake.replace("tokens", "openai", Window.of("2026-11-01", "2026-12-01"), usage("2026-11-01", 30, 2_000_000), {})
    (bridge,) = held_against(ws, "board plan", ["team"]).to_dict("records")
    effects = [v for k, v in bridge.items() if k not in ("month", "team", "planned", "actual", "difference")]
    assert (round(bridge["planned"], 6), bridge["actual"], bridge["month"]) == (30, 120, "2026-11")
    assert sum(effects) == bridge["difference"] == bridge["actual"] - bridge["planned"]
    (said,) = rows_of(asked(ws, "plan", "--against", "board plan"))
    assert D(str(said["difference"])) == 90


def test_the_command_keeps_lists_and_refuses_two_at_once(company):
    ws = company()
    run = CliRunner()
    done = run.invoke(group, ["plan", "--save", "2027 board", "--until", "2027-03", "--config", str(ws.settings.root)])
    assert "2027-board" in done.output
    assert [r["name"] for r in rows_of(asked(ws, "plan", "--saved"))] == ["2027 board"]
    assert run.invoke(group, ["plan", "--saved", "--words", "--config", str(ws.settings.root)]).exit_code == 2
    assert pd.notna(saved_plans(ws)["planned"]).all()
