"""Showback, budgets, what-if, unit economics and rule checks, by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import openpyxl
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import CheckFailed, DataError, FrameError, RuleError
from finops_ai.forecasting.budgets import alerts, require_within
from finops_ai.tables.rule_check import check_rules, why

D = Decimal
RULES = {
    "dimensions": {"team": {}},
    "rules": [{"name": t, "when": {"api_key_id": {"prefix": f"{t}-"}}, "set": {"team": t}} for t in ("a", "b")],
}


def at(month, day, hour=0):
    return dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)


@pytest.fixture
def rows_of(tokens_of, book):
    def make(rows):
        return fa.allocate(fa.price(tokens_of(rows), book), RULES)

    return make


# ---- showback


def test_showback_by_hand(rows_of):
    rows = rows_of([
        {"api_key_id": "a-1", "quantity": 600_000, "at": at(9, 30, 22)}, {"api_key_id": "a-1", "quantity": 2_000_000},
        {"api_key_id": "a-1", "meter": "output", "quantity": 500_000, "service_tier": "batch"}, {"api_key_id": "a-1", "meter": "requests", "quantity": 100},
        {"model": "nobody", "quantity": 1_500_000},
    ])  # fmt: skip
    table = fa.showback(rows, ["team"], "2026-10")
    a, rest = table.iloc[0], table.iloc[1]
    assert (a["team"], rest["team"]) == ("a", "unallocated")
    # 2M x 0.9e-6 = 1.8; 0.5M output x 2e-6 x 0.9 = 0.9
    assert a["cost"] == D("2.7")
    assert a["list_cost"] == 3
    assert (a["requests"], a["tokens"], a["fresh_input_tokens"], a["output_tokens"]) == (
        100,
        2_500_000,
        2_000_000,
        500_000,
    )
    assert (a["cost_per_request"], a["cost_per_1m_tokens"], a["input_cost_per_1m"], a["output_cost_per_1m"]) == (
        D("0.027"),
        D("1.08"),
        D("0.9"),
        D("1.8"),
    )
    assert (a["output_input_ratio"], a["batch_share"], a["effective_vs_list"]) == (0.25, 0.2, pytest.approx(0.9))
    assert (a["previous_cost"], a["change"]) == (D("0.54"), D("2.16"))
    assert pd.isna(rest["cost"])
    assert table.facts.coverage["priced"] == pytest.approx(2.5 / 4)
    assert "1 rows have no known price" in table.explain()
    # in Berlin the last hours of 30 September are October
    assert fa.showback(rows, ["team"], "2026-10", timezone="Europe/Berlin")["cost"].iloc[0] == D("3.24")


def test_changes_of_groups_add_up_to_the_change_of_the_whole(rows_of):
    rows = rows_of([
        {"api_key_id": "a-1", "quantity": 2_000_000}, {"api_key_id": "b-1", "quantity": 1_000_000, "at": at(9, 30, 12)},
    ])  # fmt: skip
    table, whole = fa.showback(rows, ["api_key_id"], "2026-10"), fa.showback(rows, month="2026-10")
    came, gone = table.iloc[0], table.iloc[1]
    assert (came["api_key_id"], came["previous_cost"], came["change"]) == ("a-1", 0, came["cost"])
    # what was used in September only costs nothing now: 1M x 0.9e-6 less
    assert (gone["api_key_id"], gone["cost"], gone["previous_cost"], gone["change"]) == ("b-1", 0, D("0.9"), D("-0.9"))
    assert sum(table["change"]) == whole["change"].iloc[0] == D("0.9")  # 1.8 now, 0.9 before
    assert whole["requests"].isna().all()  # no source counts them: unknown, not 0
    assert fa.showback(rows, ["model", "month"], "2026-10")["month"].tolist() == ["2026-10"]


def test_showback_of_any_grain_adds_up(rows_of):
    rows = rows_of([{"api_key_id": k, "quantity": q, "prompt_id": p, "tags": {"env": e}, "at": at(10, d)} for k, q, p, e, d in [
        ("a-1", 7, "x@1", "prod", 1), ("b-1", 11, "x@2", "dev", 2), (None, 13, None, "prod", 2)]])  # fmt: skip
    for by in (["prompt_id"], ["tags.env", "day"], ["model", "week"], ["rule"], []):
        assert sum(fa.showback(rows, by)["cost"]) == sum(rows["effective_cost"])
    with pytest.raises(FrameError, match="Did you mean 'prompt_id'"):
        fa.showback(rows, ["promt_id"])


def test_published_amounts_add_up_and_formulas_are_text(rows_of, tmp_path):
    evil = '=HYPERLINK("http://x")'
    rows = rows_of([{"api_key_id": f"a-{i}", "quantity": 333_333 * i, "user_id": evil} for i in range(1, 8)])
    table = fa.showback(rows, ["user_id", "api_key_id"])
    assert sum(table.published()["cost"]) == round(sum(table["cost"]), 2)
    table.to_excel(tmp_path / "t.xlsx")
    cells = openpyxl.load_workbook(tmp_path / "t.xlsx")["Table"][2]
    assert (cells[0].value, cells[0].data_type) == (evil, "s")
    assert cells[2].data_type == "n"
    assert "&lt;b&gt;" in fa.showback(rows.assign(user_id="<b>"), ["user_id"])._repr_html_()


# ---- budgets


def test_budget_pacing_and_overrun_by_hand(rows_of):
    # 0.9 a day for 10 days of October
    rows = rows_of([{"api_key_id": "a-1", "quantity": 1_000_000, "at": at(10, d)} for d in range(1, 11)])
    plan = [
        {"name": "a", "month": "2026-10", "amount": "18", "for": {"team": "a"}},
        {"name": "roomy", "month": "2026-10", "amount": "100"},
    ]
    table = fa.budgets(rows, plan)
    a, roomy = table.iloc[0], table.iloc[1]
    assert (a["spent"], a["burn_rate"], a["projected"]) == (D("9"), D("0.9"), D("27.9"))  # 9 + 21 x 0.9
    assert (str(a["overrun_date"]), a["status"], a["alerts"]) == (
        "2026-10-21",
        "watch",
        "50%",
    )  # 18 is reached on the 20th, passed on the 21st
    assert a["pacing"] == pytest.approx(9 / (18 * 10 / 31))
    assert roomy["status"] == "ok"
    assert [x["name"] for x in alerts(table)] == ["a"]
    with pytest.raises(CheckFailed, match=r"a: 50% of 18\.00"):
        require_within(table)
    frame = pd.DataFrame({"month": ["2026-10"], "team": ["a"], "amount": [D("5")]})
    over = fa.budgets(rows, frame).iloc[0]
    assert (over["status"], str(over["overrun_date"])) == ("over", "2026-10-06")  # 5.4 after six days


@pytest.mark.parametrize(
    ("plan", "error", "words"),
    [
        ([{"amount": 5}], RuleError, "either `month`"),
        ([{"month": "2026-10", "amount": 5, "for": {"tem": "a"}}], RuleError, "Did you mean 'team'?"),
        ([{"month": "2026-10", "amont": 5}], RuleError, "Did you mean 'amount'?"),
        ([{"month": "2026-10", "amount": 5, "currency": "EUR"}], DataError, "is in EUR, the costs are in USD"),
        ([{"from": "2026-10", "to": "2026-10", "amount": 5}], RuleError, "not before"),
    ],
)
def test_bad_budgets(rows_of, plan, error, words):
    with pytest.raises(error) as caught:
        fa.budgets(rows_of([{"quantity": 1}]), plan)
    assert words in str(caught.value)


# ---- what if


@pytest.mark.long
def test_steps_and_savings_of_a_scenario_add_up_as_they_are_published():
    cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules(), telemetry=fa.sample.telemetry())
    steps = {
        "swap": {"when": {"model": {"prefix": "claude-sonnet"}}, "to": "claude-haiku-4-5", "token_factor": "1.07"},
        "batch": {"when": {"provider": "openai"}, "share": "0.3"},
    }
    found = fa.what_if(cost, steps, by=["product"]).published()
    own = fa.showback(cost, by=["product"]).published().set_index("product")["cost"]
    step = [c for c in found.columns if c not in ("product", "cost", "scenario_cost", "saving")]
    assert len(step) == 2
    for row in found.to_dict("records"):
        assert row["cost"] == own[row["product"]]
        assert row["cost"] - row["scenario_cost"] == row["saving"] == -sum(row[c] for c in step)


def test_what_if_by_hand(rows_of, book):
    rows = rows_of(
        [
            {"api_key_id": "a-1", "model": "big", "quantity": 1_000_000, "slice_input_tokens": 10, "slice_requests": 1},
            {"api_key_id": "b-1", "quantity": 2_000_000},
        ]
    )
    scenario = {
        "swap": {"when": {"model": "big"}, "to": "small", "token_factor": "1.5"},
        "batch": {"when": {"team": "b"}, "share": "0.5"},
    }
    table = fa.what_if(rows, scenario, by=["team"], book=book)
    got = {r["team"]: r for r in table.to_dict("records")}
    # a: 2.70 becomes 1.5M x 0.9e-6 = 1.35; b: half of 1.80 at half price saves 0.45
    assert (got["a"]["cost"], got["a"]["scenario_cost"], got["a"]["1 swap"]) == (D("2.7"), D("1.35"), D("-1.35"))
    assert (got["b"]["saving"], got["b"]["2 batch"]) == (D("0.45"), D("-0.45"))


def test_provisioned_break_even_by_hand(rows_of, book):
    rows = rows_of([{"quantity": 12_000_000}])  # 10.80 by the token, over 24 hours
    step = {"units": 2, "price_per_hour": "0.15", "tokens_per_hour": 1_000_000}
    table = fa.what_if(rows, {"provisioned": step}, book=book)
    # 2 x 24 x 0.15 = 7.20; used 12M of 48M = 25%; break-even 7.20 / 0.9e-6 = 8M = 16.7%
    assert table["scenario_cost"].iloc[0] == D("7.2")
    assert "25.0%" in table.facts.notes[0]
    assert "16.7%" in table.facts.notes[1]


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ({"swop": {}}, "Did you mean 'swap'?"),
        ({"swap": {"to": "unheard-of"}}, "no price for openai 'unheard-of'"),
        ({"batch": {"share": "2"}}, "share from 0 to 1"),
        ({"batch": {"when": {"modl": "x"}}}, "Did you mean 'model'?"),
        ({"provisioned": {"units": 1}}, "needs price_per_hour"),
    ],
)
def test_bad_scenarios(rows_of, book, scenario, words):
    with pytest.raises(RuleError) as caught:
        fa.what_if(rows_of([{"quantity": 5}]), scenario, book=book)
    assert words in str(caught.value)


# ---- unit economics


def test_cost_per_outcome_by_hand(rows_of):
    rows = rows_of(
        [
            {"api_key_id": "a-1", "quantity": 10_000_000},
            {"api_key_id": "a-1", "meter": "requests", "quantity": 50},
            {"api_key_id": "b-1", "quantity": 10_000_000},
        ]
    )
    metrics = pd.DataFrame(
        {"day": ["2026-10-01", "2026-10-02"], "team": ["a", "a"], "metric": "tickets", "value": [20, 10]}
    )
    table = fa.unit_economics(rows, metrics)
    row = table.iloc[0]
    assert (row["cost"], row["value"], row["cost_per_outcome"]) == (D("9"), D(30), D("0.3"))
    assert row["requests_per_outcome"] == pytest.approx(5 / 3)
    assert table.facts.coverage["with outcomes"] == pytest.approx(0.5)
    with pytest.raises(FrameError, match="Did you mean 'team'"):
        fa.unit_economics(rows, metrics.rename(columns={"team": "tem"}))
    with pytest.raises(FrameError, match="row 2: value -1"):
        fa.unit_economics(rows, metrics.assign(value=[1, -1]))


# ---- rule checks


def test_rule_check_finds_every_planted_fault(tokens_of, book):
    document = {
        "dimensions": {"team": {}},
        "rules": [
            {"name": "wide", "when": {"api_key_id": {"prefix": "k"}}, "set": {"team": "a"}},
            {"name": "narrow", "when": {"api_key_id": "k1"}, "set": {"team": "b"}},
            {"name": "dead", "when": {"api_key_id": "gone"}, "set": {"team": "c"}},
            {"name": "partly", "when": {"model": "big"}, "set": {"team": "d"}},
        ],
    }
    tokens = tokens_of([
        {"api_key_id": "k1", "quantity": 1_000_000}, {"api_key_id": "k2", "model": "big", "quantity": 1_000_000}, {"model": "big", "quantity": 1},
        {"api_key_id": "new", "quantity": 5_000_000, "tags": {"app": "x"}},
    ])  # fmt: skip
    table = check_rules(fa.price(tokens, book), document)
    found = {(r.finding, r.rule if isinstance(r.rule, str) else r.other) for r in table.itertuples()}
    assert {("never matches", "dead"), ("shadowed", "narrow"), ("overlap", "partly"), ("unallocated", "team")} <= found
    suggestions = table[(table["finding"] == "suggestion").to_numpy()]
    assert ("api_key_id", "new") in set(zip(suggestions["other"], suggestions["value"], strict=True))
    assert max(suggestions["cost"]) == suggestions["cost"].iloc[0]


def test_why_traces_a_charge_to_its_rows(rows_of):
    rows = rows_of(
        [
            {"api_key_id": "a-1", "quantity": 5},
            {"api_key_id": "a-2", "quantity": 7},
            {"api_key_id": "b-1", "quantity": 1},
        ]
    )
    table = why(rows, {"team": "a"}, fa.Rules.load(RULES))
    assert set(table["api_key_id"]) == {"a-1", "a-2"}
    assert sum(table["cost"]) == D("0.0000108")
    assert 'when {"api_key_id": {"prefix": "a-"}}' in table.facts.notes[0]
    with pytest.raises(DataError, match="No row has team = z"):
        why(rows, {"team": "z"})


def test_showback_of_fused_totals_equals_that_of_rows(tokens_of, book):
    from finops_ai.engine import aggregate

    tokens = tokens_of(
        [
            {"api_key_id": k, "quantity": q, "meter": m}
            for k, q, m in [("a-1", 7, "input"), ("b-1", 11, "output"), (None, 13, "requests")]
        ]
    )
    rows = fa.showback(fa.allocate(fa.price(tokens, book), RULES), ["team"])
    fused = aggregate(
        tokens, ["team", "month", "meter", "service_tier", "price_status", "quantity_basis"], book=book, rules=RULES
    )
    table = fa.showback(fused, ["team"])
    for name in ("team", "cost", "tokens", "requests", "cost_per_1m_tokens"):
        assert list(table[name]) == list(rows[name]) or (table[name].isna() == rows[name].isna()).all()
    assert len(fa.showback(fused, ["month"])) == 1
    with pytest.raises(FrameError, match="no way to tell"):
        fa.showback(fused, ["day"])


def test_currencies_are_never_mixed(rows_of):
    rows = rows_of([{"quantity": 1_000_000, "provider": p} for p in ("openai", "vertex")])
    rows["pricing_currency"] = pd.Series(["USD", "JPY"], dtype=rows["pricing_currency"].dtype)
    with pytest.raises(DataError, match="sums never mix currencies"):
        fa.showback(rows, ["model"])
    table = fa.showback(rows, ["model", "pricing_currency"])
    assert table.facts.currency == ""
    assert sorted(table.published()["cost"]) == [D("0.900000"), D("0.900000")]
