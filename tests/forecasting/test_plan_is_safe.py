"""What a plan must not get wrong: new teams, fees, capacity, jumps, silence, lost days, changes already in force.

Amounts are made by rule, so what is to come is known without the code under test.
"""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting import budget_outlook, past_error
from finops_ai.forecasting.budgets import budgets as budgets_of

WEEK = np.array([1.1, 1.15, 1.15, 1.1, 1.05, 0.6, 0.5])
START, DAYS = "2025-10-01", 396  # to the end of October 2026


def rows(y, start=START, **columns):
    days = pd.date_range(start, periods=len(y), tz="UTC")
    frame = pd.DataFrame(
        {
            "charge_period_start": days, "charge_period_end": days + pd.Timedelta(days=1), "provider": "openai", "model": "m",
            "prompt_id": "p", "meter": "input", "service_tier": "standard", "quantity": np.asarray(y) * 1e4,
            "effective_cost": np.asarray(y, float), "pricing_currency": "USD", "team": "a",
        }
    )  # fmt: skip
    return frame.assign(**columns)


def week(size, start=START):
    return WEEK[pd.date_range(start, periods=size).day_of_week]


def usual(scale=100.0, noise=0.05, seed=5, size=DAYS):
    return scale * week(size) * np.exp(np.random.default_rng(seed).normal(0, noise, size))


def month(table, name="2026-11", who="total"):
    found = table[(table["month"] == name) & (table["unique_id"] == who)].iloc[0]
    return {c: float(found[c]) for c in ("actual", "p10", "p50", "p90")}


NOVEMBER = 100 * week(30, "2026-11-01").sum()


@pytest.mark.parametrize("age", [7, 14, 28])
@pytest.mark.parametrize("alone", [False, True])
def test_a_new_team_is_planned_from_its_own_days(age, alone):
    first = (pd.Timestamp("2026-11-01") - pd.Timedelta(days=age)).strftime("%Y-%m-%d")
    new = rows(300 * week(age, first), first, team="new")
    frame = new if alone else pd.concat([rows(usual(), team="old"), new])
    found = month(fa.plan(frame, by=["team"]), who="new")
    assert found["p50"] == pytest.approx(3 * NOVEMBER, rel=0.15)
    assert found["p90"] >= 3 * NOVEMBER


def test_a_monthly_fee_comes_on_its_day_whole():
    days = pd.date_range(START, periods=DAYS)
    fee = rows(np.where(days.day == 1, 5000.0, 0.0), meter="seats", model="seats")
    frame = pd.concat([rows(usual()), fee[fee["effective_cost"] > 0]])
    errors = past_error(frame, 6)
    assert len(errors) == 6
    assert errors["inside"].all()
    assert errors["error"].abs().max() < 0.02
    day = fa.forecast(frame, horizon=30).set_index("ds")["yhat"]
    assert day["2026-11-01"] > 5000 > day["2026-11-02"]


def test_a_lump_inside_use_comes_back_at_the_end_of_the_month():
    days = pd.date_range(START, periods=DAYS)
    found = month(fa.plan(rows(usual() + np.where(days.is_month_end, 2000.0, 0.0))))
    assert found["p50"] == pytest.approx(NOVEMBER + 2000, rel=0.02)
    assert found["p10"] < NOVEMBER + 2000 < found["p90"]


def test_capacity_bought_ahead_is_planned_to_the_cent():
    bought = rows(np.full(DAYS, 360.0), meter="provisioned_hours", service_tier="provisioned", team="c")
    table = fa.plan(bought, by=["team"])
    for name, days in (("2026-11", 30), ("2026-12", 31)):
        row = table[(table["month"] == name) & (table["unique_id"] == "total")].iloc[0]
        assert row["p10"] == row["p50"] == row["p90"] == Decimal(360 * days)


def test_amounts_may_be_decimals_beside_floats():
    bought = rows(np.full(DAYS, 2.5), meter="provisioned_hours", service_tier="provisioned", team="c")
    bought["effective_cost"] = [Decimal("360.07")] * DAYS
    table = fa.plan(pd.concat([bought, rows(usual(), team="u")]), by=["team"])
    for name, days in (("2026-11", 30), ("2026-12", 31)):
        row = table[(table["month"] == name) & (table["unique_id"] == "c")].iloc[0]
        assert row["p10"] == row["p50"] == row["p90"] == Decimal("360.07") * days
    october = table[(table["month"] == "2026-10") & (table["unique_id"] == "c")].iloc[0]
    assert october["actual"] == Decimal("360.07") * 31


def test_capacity_that_teams_share_is_steady_as_a_whole():
    part = np.random.default_rng(1).uniform(100, 260, DAYS).round(2)
    told = {"meter": "provisioned_hours", "service_tier": "provisioned"}
    frame = pd.concat([rows(part, team="a", **told), rows(360 - part, team="b", **told)])
    row = fa.plan(frame).set_index("month").loc["2026-11"]
    assert row["p50"] == row["p90"] == Decimal("10800.00")


def test_what_is_used_now_and_then_keeps_its_mean():
    random = np.random.default_rng(3)
    y = np.where(random.random(DAYS) < 0.15, random.lognormal(6, 0.8, DAYS), 0.0)
    found = month(fa.plan(pd.concat([rows(usual(), team="big"), rows(y, team="rare")]), by=["team"]), who="rare")
    mean = 30 * y[-182:].mean()
    assert 0.6 * mean < found["p50"] < 1.6 * mean
    assert found["p10"] < 0.75 * found["p50"]
    assert found["p90"] > 1.4 * found["p50"]


def test_each_part_has_its_own_range():
    frame = pd.concat([rows(usual(noise=0.02), team="calm"), rows(usual(noise=0.8, seed=1), team="wild")])
    table = fa.plan(frame, by=["team"])
    widths = {who: month(table, who=who)["p90"] / month(table, who=who)["p10"] for who in ("calm", "wild")}
    assert widths["wild"] - 1 > 5 * (widths["calm"] - 1)


def test_a_jump_has_two_outcomes_in_words():
    y = usual()
    y[-7:] *= 3
    table = fa.plan(rows(y))
    found = month(table)
    assert found["p10"] < 1.1 * NOVEMBER
    assert found["p90"] > 2.8 * NOVEMBER
    assert any("jumped on 2026-10-25" in note and "that it goes back" in note for note in table.facts.notes)


def test_growth_is_no_jump_and_goes_on():
    grown = 1.2 ** (np.arange(DAYS + 30) / 30.44) * week(DAYS + 30) * 100
    noise = np.exp(np.random.default_rng(2).normal(0, 0.05, DAYS))
    table = fa.plan(rows(grown[:DAYS] * noise))
    assert month(table)["p50"] == pytest.approx(grown[DAYS:].sum(), rel=0.08)
    assert not any("jumped" in note for note in table.facts.notes)


def test_what_ended_is_nothing_and_the_successor_takes_over():
    y = usual()
    ended = y.copy()
    ended[-60:] = 0
    table = fa.plan(pd.concat([rows(ended, team="gone"), rows(y, team="b")]), by=["team"])
    assert month(table, who="gone")["p90"] == 0
    moved = pd.concat([rows(y[:-17], model="old"), rows(y[-17:] / 2, "2026-10-15", model="new")])
    by_model = fa.plan(moved, by=["model"])
    assert month(by_model, who="old")["p90"] == 0
    assert month(by_model, who="new")["p50"] == pytest.approx(NOVEMBER / 2, rel=0.05)


def test_days_not_collected_are_unknown_not_nothing():
    frame = rows(usual(noise=0.02))
    lost = pd.concat([frame.iloc[:-5], frame.iloc[-1:]])
    whole, some = (fa.forecast(f, horizon=7)["yhat"].to_numpy() for f in (frame, lost))
    assert some == pytest.approx(whole, rel=0.05)
    table = fa.plan(lost)
    assert any("not collected on 2026-10-27" in note for note in table.facts.notes)
    october = month(table, "2026-10")
    assert october["p10"] < october["p50"] < october["p90"]
    came = float(frame[frame["charge_period_start"] >= "2026-10-01"]["effective_cost"].sum())
    assert october["p50"] == pytest.approx(came, rel=0.03)


def test_a_change_already_in_force_is_not_applied_again():
    days = pd.date_range(START, periods=DAYS)
    frame = rows(usual(noise=0.03) * np.where(days >= "2026-10-01", 0.5, 1.0))
    halved = {"halved": {"changes": [{"kind": "price_change", "start": "2026-10-01", "factor": 0.5}]}}
    base, under = fa.plan(frame), fa.plan(frame, scenario=halved)
    assert month(under)["p50"] / month(base)["p50"] == pytest.approx(1, abs=0.02)
    assert month(under)["p50"] == pytest.approx(NOVEMBER / 2, rel=0.02)
    assert any("isn't applied again" in note for note in under.facts.notes)
    late = {"late": {"changes": [{"kind": "price_change", "start": "2027-12-01", "factor": 0.5}]}}
    said = fa.plan(frame, scenario=late)
    assert month(said) == month(base)
    assert any("after the last day planned" in note for note in said.facts.notes)


def test_of_a_change_still_coming_in_the_rest_is_applied():
    # volume doubles evenly over 20 days from 22 October: half is in by the end of October, the rest by 10 November
    ramp = {"r": {"changes": [{"kind": "volume", "start": "2026-10-22", "factor": 2.0, "ramp_days": 20}]}}
    days = pd.date_range(START, periods=DAYS)
    passed = np.clip(((days - pd.Timestamp("2026-10-22")).days.to_numpy() + 1) / 20, 0, 1)
    frame = rows(100 * week(DAYS) * (1 + passed))
    under = fa.plan(frame, scenario=ramp)
    assert any("still to come" in note for note in under.facts.notes)


def test_an_uncertain_change_widens_the_range_around_the_middle_of_it():
    frame = rows(usual(noise=0.01))
    sure = {"s": {"changes": [{"kind": "price_change", "start": "2026-11-01", "factor": 0.7}]}}
    unsure = {"s": {"changes": [{"kind": "price_change", "start": "2026-11-01", "factor": [0.6, 0.8]}]}}
    one, other = (month(fa.plan(frame, scenario=s)) for s in (sure, unsure))
    assert other["p50"] == pytest.approx(one["p50"], rel=0.01)
    assert other["p10"] == pytest.approx(0.62 * NOVEMBER, rel=0.03)
    assert other["p90"] == pytest.approx(0.78 * NOVEMBER, rel=0.03)


@pytest.fixture(scope="module")
def company():
    return pd.concat(
        [
            rows(usual(noise=0.1, seed=1), team="a", model="m-1"),
            rows(usual(50, 0.3, 2), team="a", model="m-2"),
            rows(usual(20, 0.6, 3), team="b", model="m-1"),
        ]
    )


@pytest.mark.long
def test_the_same_month_is_the_same_figure_whatever_was_asked(company):
    budgets = [
        {"name": "all", "month": "2026-11", "amount": 5000},
        {"name": "b", "month": "2026-11", "amount": 600, "for": {"team": "b"}},
        {"name": "q4", "from": "2026-10", "to": "2027-01", "amount": 16_000},
    ]
    plain = fa.plan(company).set_index("month")
    november = plain.loc["2026-11", ["p10", "p50", "p90"]].tolist()
    for table in (
        fa.plan(company, until="2027-12"),
        fa.plan(company, by=["team"]),
        fa.plan(company, by=["model", "team"]),
    ):
        row = table[table["unique_id"] == "total"].set_index("month").loc["2026-11"]
        assert row[["p10", "p50", "p90"]].tolist() == november
    ahead = budget_outlook(company, budgets).set_index("budget")
    assert ahead.loc["all", ["p10", "p50", "p90"]].tolist() == november
    days = fa.forecast(company, horizon=45)
    assert days[days["ds"].dt.month == 11]["yhat"].sum() == pytest.approx(float(november[1]), abs=0.005)
    months = fa.forecast(company, horizon=2, freq="MS", by=["team"])
    row = months[(months["unique_id"] == "total") & (months["ds"] == "2026-11-01")].iloc[0]
    assert [row["lo-80"], row["yhat"], row["hi-80"]] == pytest.approx([float(v) for v in november], abs=0.005)
    team = fa.plan(company, by=["team"])
    assert ahead.loc["b", "p50"] == team[(team["unique_id"] == "b") & (team["month"] == "2026-11")]["p50"].iloc[0]
    quarter = fa.plan(company, quarters=True).set_index("month")
    assert ahead.loc["q4", ["p10", "p50", "p90"]].tolist() == quarter.loc["2026-Q4", ["p10", "p50", "p90"]].tolist()
    now = budgets_of(company, budgets).set_index("name")  # November has not begun, so only the quarter is under way
    assert round(now.loc["q4", "projected"], 2) == ahead.loc["q4", "p50"]
    assert now.loc["q4", "overrun_probability"] == ahead.loc["q4", "overrun_probability"]


def test_lines_and_overrides_stand_in_the_plan(company):
    told = {
        "lines": [{"name": "pilot", "month": "2026-12", "amount": 5000, "for": {"team": "new"}}],
        "overrides": [{"month": "2026-12", "amount": 900, "owner": "jo", "for": {"team": "b"}}],
    }
    base, table = fa.plan(company, by=["team"]), fa.plan(company, by=["team"], **told)
    assert month(table, "2026-12", "new") == {"actual": 0, "p10": 5000, "p50": 5000, "p90": 5000}
    assert month(table, "2026-12", "b")["p50"] == 900
    gap = month(table, "2026-12")["p50"] - month(base, "2026-12")["p50"]
    assert gap == pytest.approx(5000 + 900 - month(base, "2026-12", "b")["p50"], abs=0.01)
    assert any("by jo" in note for note in table.facts.notes)
    halved = fa.plan(company, by=["team"], overrides=[{"month": "2026-12", "factor": 0.5, "for": {"team": "b"}}])
    assert [note.endswith(": x 0.5.") for note in halved.facts.notes if note.startswith("Assumed, override")] == [True]
    with pytest.raises(SettingsError, match="no key 'amont'"):
        fa.plan(company, lines=[{"name": "x", "month": "2026-12", "amont": 1, "amount": 2}])
    later = fa.plan(company, by=["team"], overrides=[{"month": "2027-12", "amount": 1}])
    assert later["p50"].tolist() == base["p50"].tolist()
    assert any("outside the months planned" in note for note in later.facts.notes)


def test_fiscal_years_and_quarters(company):
    table = fa.plan(company, fiscal_start=4, quarters=True)
    total = table.set_index("month")
    assert total.index[0] == "2026-04"
    assert total.index[-1] == "year"
    assert [m for m in total.index if "Q" in m] == ["2027-Q1", "2027-Q2", "2027-Q3", "2027-Q4"]
    assert sum(total.loc[["2026-10", "2026-11", "2026-12"], "p50"]) == pytest.approx(
        total.loc["2027-Q3", "p50"], abs=Decimal("0.02")
    )


def test_a_saved_plan_is_bridged_to_what_came_exactly(company, tmp_path):
    before = company[company["charge_period_start"] < "2026-10-01"]
    saved = fa.save_plan(before, tmp_path / "board.parquet", name="board plan")
    said = fa.plan(before).set_index("month").loc["2026-10", "p50"]
    # in October every price doubles and nothing else happens
    came = company.copy()
    october = came["charge_period_start"] >= "2026-10-01"
    came.loc[october, "effective_cost"] *= 2
    found = fa.compare_plans(tmp_path / "board.parquet", came, by=["team"])
    effects = [c for c in found.columns if c not in ("month", "team", "planned", "actual", "difference")]
    for row in pd.DataFrame(found).to_dict("records"):
        assert sum(row[e] for e in effects) == row["difference"] == row["actual"] - row["planned"]
    assert float(sum(found["planned"])) == pytest.approx(float(said), abs=0.01)
    total = float(came[october]["effective_cost"].sum())
    assert float(sum(found["actual"])) == pytest.approx(total, abs=1e-6)
    assert float(sum(found["price"]) + sum(found["discount"])) == pytest.approx(total / 2, rel=0.1)
    assert fa.read_plan(tmp_path / "board.parquet").attrs["plan"] == saved.attrs["plan"]
    with pytest.raises(DataError, match="no saved plan"):
        fa.compare_plans(tmp_path / "nothing.parquet", came)
    with pytest.raises(DataError, match="no whole month"):
        fa.compare_plans(saved, before)


def test_what_has_no_price_is_said_with_the_amount_at_risk():
    priced = usual(noise=0.0)
    bare = rows(3 * priced, model="mystery").assign(effective_cost=np.nan)
    for table in (fa.plan(pd.concat([rows(priced), bare])), fa.forecast(pd.concat([rows(priced), bare]), horizon=30)):
        assert table.facts.coverage["priced"] == pytest.approx(0.25)
        # three times the tokens at the same price per token: about 3 x 100 x 0.95 x 30.44 a month
        (note,) = [n for n in table.facts.notes if "have no price (mystery)" in n]
        said = float(note.split("about ")[1].split(" USD")[0].replace(",", ""))
        assert said == pytest.approx(3 * 95 * 30.44, rel=0.01)
