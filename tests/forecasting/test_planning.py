"""The plan: actual plus forecast, ranges that add up, budgets, and the error of past plans."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finops_ai.errors import DataError, SettingsError
from finops_ai.forecasting import (
    Launch,
    Scenario,
    budget_outlook,
    cost_history,
    drivers,
    forecast,
    past_error,
    plan,
    plan_in_words,
)
from finops_ai.forecasting.budgeting import overrun_probability
from finops_ai.forecasting.history import end_of_data
from finops_ai.forecasting.reconciling import levels_of, predict_adding_up


def rows(costs, start="2026-01-01", **columns):
    """One row per day and team: `costs` is team -> amounts per day."""
    parts = []
    for team, amounts in costs.items():
        days = pd.date_range(start, periods=len(amounts), tz="UTC")
        parts.append(
            pd.DataFrame(
                {
                    "charge_period_start": days,
                    "charge_period_end": days + pd.Timedelta(days=1),
                    "provider": "acme",
                    "model": "large",
                    "meter": "input",
                    "quantity": 1000.0,
                    "effective_cost": amounts,
                    "team": team,
                    **columns,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def priced():
    random = np.random.default_rng(2)
    week = np.array([10, 11, 12, 11, 10, 4, 3.0])
    days = 243  # to the end of August
    shape = np.tile(week, 40)[:days]
    return rows(
        {
            t: k * shape * np.exp(0.15 * random.standard_normal(days))
            for t, k in (("search", 1), ("support", 3), ("data", 0.2))
        }
    )


def test_a_plan_within_a_month_says_of_which_days_its_spent_is(priced):
    table = plan(priced, as_of="2026-08-20", until="2026-09")
    assert "What is spent is of the days before 2026-08-20; the day itself is planned." in table.facts.notes
    spent = priced[(priced["charge_period_start"] >= "2026-08-01") & (priced["charge_period_start"] < "2026-08-20")]
    assert float(table.set_index("month").loc["2026-08", "actual"]) == pytest.approx(
        float(spent["effective_cost"].sum()), abs=0.01
    )
    assert not any("the day itself is planned" in note for note in plan(priced, until="2026-09").facts.notes)


def test_the_plan_covers_the_year_and_keeps_what_was(priced):
    table = plan(priced)
    assert table["month"].tolist() == [f"2026-{m:02d}" for m in range(1, 13)] + ["year"]
    march = priced[priced["charge_period_start"].dt.month == 3]["effective_cost"].sum()
    row = table.set_index("month").loc["2026-03"]
    assert [float(row[c]) for c in ("actual", "p10", "p50", "p90")] == pytest.approx([march] * 4, abs=0.01)
    ahead = table.set_index("month").loc["2026-09":"2026-12"]
    assert (ahead["actual"] == 0).all()
    assert ((ahead["p10"] < ahead["p50"]) & (ahead["p50"] < ahead["p90"])).all()
    width = (ahead["p90"] / ahead["p10"]).astype(float)
    # further ahead is less sure
    assert width.iloc[-1] > width.iloc[0]
    assert (width.diff().dropna() > -0.001).all()
    assert sum(table["p50"][:-1]) == pytest.approx(table["p50"].iloc[-1], abs=Decimal("0.2"))


def test_parts_add_up_in_every_column_that_claims_it(priced):
    table = plan(priced, by=["team"], until="2026-10")
    for _, month in table.groupby("month"):
        whole = month[month["unique_id"] == "total"].iloc[0]
        parts = month[month["unique_id"] != "total"]
        for column in ("actual", "p50", "p10_part", "p90_part"):
            assert sum(parts[column], Decimal(0)) == whole[column], column
        assert whole["p90"] == whole["p90_part"]
        if whole["p90"] > whole["p50"]:
            assert sum(parts["p90"], Decimal(0)) > whole["p90"]  # their own ranges don't add up, and say so


@settings(max_examples=15, deadline=None)
@example(scale=[0.0, 5e-324], noise=0, length=14)
@given(
    scale=st.lists(st.floats(0, 1e5), min_size=2, max_size=4),
    noise=st.integers(0, 10_000),
    length=st.integers(14, 60),
)
def test_levels_add_up_whatever_the_history(scale, noise, length):
    random = np.random.default_rng(noise)
    frame = rows({f"t{i}": s * np.abs(random.standard_normal(length)) for i, s in enumerate(scale)})
    frame["model"] = random.choice(["a", "b"], len(frame))
    history = cost_history(frame, ["team", "model"])
    panel, keys = levels_of(history, ["team", "model"], "D")
    point = predict_adding_up(panel, keys, ["team", "model"], 10, 7).point
    for depth in (1, 2):
        level = point[[i for i, key in enumerate(keys) if len(key) == depth]].sum(0)
        assert level == pytest.approx(point[0], rel=1e-9, abs=1e-6)


def test_models_that_come_and_go_are_planned_by_their_recent_mix():
    days = np.arange(120)
    old, new = np.where(days < 80, 100.0, 0.0), np.where(days < 80, 0.0, 100.0)
    frame = pd.concat([rows({"search": old}, model="m-1"), rows({"search": new}, model="m-2")])
    made = forecast(frame, 30, by=["team", "model"]).groupby("unique_id")["yhat"].sum()
    assert made["search / m-1"] == pytest.approx(0.0, abs=1e-6)
    assert made["search / m-2"] == pytest.approx(3000, rel=0.02)


def test_budgets_in_every_form(priced):
    august = float(priced[priced["charge_period_start"].dt.month == 8]["effective_cost"].sum())
    forms = [
        august,
        {f"2026-{m:02d}": august for m in range(1, 13)},
        [{"amount": 12 * august, "from": "2026-01", "to": "2027-01"}],
        pd.DataFrame({"month": [f"2026-{m:02d}" for m in range(1, 13)], "amount": august}),
    ]
    tables = [plan(priced, budget) for budget in forms]
    for table in tables:
        row = table.set_index("month").loc["2026-08"]
        assert row["over_budget"] == pytest.approx(Decimal(0), abs=Decimal("0.01"))
        assert float(table["budget"].iloc[-1]) == pytest.approx(12 * august, abs=0.2)
        assert 0 < table.set_index("month").loc["2026-12", "overrun_probability"] < 1
    assert plan(priced)["budget"].isna().all()
    assert plan(priced)["overrun_probability"].isna().all()


def test_a_budget_is_held_against_its_own_period(priced):
    # flat days: July and August are known (62 days), September is forecast at the same 10 a day
    flat = rows({"search": np.full(243, 10.0), "support": np.full(243, 30.0)})
    quarter = {"name": "q3", "from": "2026-07", "to": "2026-10"}
    asked = [
        {**quarter, "amount": 3700},
        {**quarter, "name": "q3 search", "amount": 900, "for": {"team": "search"}},
        {"name": "gone", "amount": 1, "month": "2026-08"},
        {"name": "typo", "amount": 1, "month": "2026-09", "for": {"team": "serch"}},
    ]
    table = budget_outlook(flat, asked)
    found = table.set_index("budget")
    assert list(found.index) == ["q3 search", "q3"]  # the likeliest overrun first; past and unknown ones left out
    assert found.loc["q3", "actual"] == Decimal("2480.00")
    assert float(found.loc["q3", "p50"]) == pytest.approx(40 * 92, abs=0.05)
    assert float(found.loc["q3 search", "p50"]) == pytest.approx(920, abs=0.05)
    assert float(found.loc["q3 search", "over_budget"]) == pytest.approx(20, abs=0.05)
    assert found.loc["q3", "overrun_probability"] < 0.5 < found.loc["q3 search", "overrun_probability"]
    assert any("typo: nothing in use has" in note for note in table.facts.notes)
    late = budget_outlook(flat[flat["charge_period_start"] >= "2026-08-01"], [{**quarter, "amount": 1}])
    assert any("the data begins 2026-08-01" in note for note in late.facts.notes)


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"amount": 1, "month": "soon"}, SettingsError, "no month like"),
        ({"amount": "much", "month": "2026-09"}, SettingsError, "must be a number"),
        ({"amount": 1, "from": "2026-09", "to": "2026-09"}, SettingsError, "must follow `from`"),
        ({"amount": 1, "month": "2026-09", "currency": "EUR"}, DataError, "in EUR, the costs are in USD"),
        ({"amount": 1, "month": "2026-09", "for": {"tem": "a"}}, SettingsError, "Did you mean 'team'"),
    ],
)
def test_a_wrong_budget_is_refused_in_words(priced, wrong, error, words):
    with pytest.raises(error, match=words):
        budget_outlook(priced, [wrong])


def test_what_is_known_has_no_range(priced):
    table = plan(priced, by=["team"])
    known = table[table["month"] <= "2026-08"]
    for column in ("p10", "p50", "p90", "p10_part", "p90_part"):
        assert (known[column] == known["actual"]).all()


def test_a_launched_team_has_no_past():
    flat = rows({"search": np.full(243, 10.0), "support": np.full(243, 30.0)})
    calls = rows({"search": np.full(243, 0.0)}, meter="requests").assign(quantity=100.0, effective_cost=np.nan)
    launch = Launch(
        start=pd.Timestamp("2026-09-01").date(), requests_per_day=50, where={"team": "search"}, set={"team": "new"}
    )
    both = pd.concat([flat, calls], ignore_index=True)
    table = plan(both, by=["team"], scenario=Scenario("launch", (launch,)), until="2026-09").set_index(
        ["month", "unique_id"]
    )
    assert table.loc[("2026-08", "new"), "actual"] == 0
    # half the requests of search, so half its 10 a day
    assert float(table.loc[("2026-09", "new"), "p50"]) == pytest.approx(150, rel=0.001)


def test_a_year_s_budget_is_the_sum_of_its_months_to_the_cent(priced):
    year = {"name": "all", "from": "2026-01", "to": "2027-01", "amount": "100000"}  # 8,333.333... a month
    table = plan(priced, [year])
    own = table[(table["unique_id"] == "total").to_numpy()]
    months = own[(own["month"] != "year").to_numpy()]
    shown = [b for b in months["budget"] if b is not None]
    assert set(shown) == {Decimal("8333.33"), Decimal("8333.34")}
    assert sum(shown) == own[(own["month"] == "year").to_numpy()]["budget"].iloc[0]
    assert [a - b for a, b in zip(own["p50"], own["budget"], strict=True)] == list(own["over_budget"])


def test_budgets_of_teams_count_once_when_models_are_told_apart(priced):
    budget = [{"amount": 100, "month": "2026-09", "for": {"team": team}} for team in ("search", "support")]
    table = plan(priced, budget, by=["team", "model"], until="2026-09").query("month == '2026-09'")
    assert table.set_index("unique_id").loc["total", "budget"] == 200


def test_budgets_by_team_add_up_to_the_total(priced):
    budget = [{"amount": 100, "month": "2026-09", "for": {"team": team}} for team in ("search", "support")]
    table = plan(priced, budget, by=["team"], until="2026-09").query("month == '2026-09'").set_index("unique_id")
    assert table.loc["search", "budget"] == 100
    assert table.loc["total", "budget"] == 200
    assert pd.isna(table.loc["data", "budget"])
    with pytest.raises(SettingsError, match="needs `amount`"):
        plan(priced, [{"month": "2026-09"}])


def test_chance_of_an_overrun():
    totals = np.array([80.0, 90.0, 100.0, 110.0, 120.0])
    assert overrun_probability(totals, Decimal(100)) == pytest.approx(0.4)  # two of five are above
    assert overrun_probability(totals, Decimal(79)) == 1.0
    assert overrun_probability(np.array([100.0]), Decimal(100)) == 0.0


def test_past_plans_are_held_against_what_came(priced):
    errors = past_error(priced, 4)
    assert errors["month"].tolist() == ["2026-08", "2026-07", "2026-06", "2026-05"]
    july = priced[priced["charge_period_start"].dt.month == 7]["effective_cost"].sum()
    assert float(errors.loc[1, "actual"]) == pytest.approx(july, abs=0.01)
    assert errors["error"].abs().max() < 0.1
    before = priced[priced["charge_period_start"] < pd.Timestamp("2026-08-01", tz="UTC")]
    then = plan(before, until="2026-08").set_index("month").loc["2026-08"]
    assert errors.loc[0, "p50"] == then["p50"]  # what a plan made at the time said


def test_the_middle_adds_up_over_months_and_parts(priced):
    gone = priced[
        ~priced["charge_period_start"].dt.strftime("%m-%d").isin(["03-05", "05-11"])
    ]  # days that weren't collected
    table = plan(gone, by=["team"], quarters=True)
    months = table[table["month"].str.fullmatch(r"\d{4}-\d{2}")]
    for name, part in months.groupby("unique_id"):
        year = table[(table["month"] == "year") & (table["unique_id"] == name)].iloc[0]
        assert sum(part["p50"]) == year["p50"]
    for _, rows_of in table.groupby("month"):
        total = rows_of[rows_of["unique_id"] == "total"].iloc[0]
        assert sum(rows_of[rows_of["unique_id"] != "total"]["p50"]) == total["p50"]
        assert total["p10"] <= total["p50"] <= total["p90"]


def test_the_plan_in_words(priced):
    said = plan_in_words(plan(priced, 1500, by=["team"]), past_error(priced, 2, by=["team"]))
    assert said[0].startswith("January to December 2026 is expected to cost")
    assert "the chance of going over it is" in said[1]
    assert "support is the largest part" in said[2]
    assert "The forecast for August 2026 made at its start was off by" in said[3]


def test_too_little_or_too_late_is_refused(priced):
    with pytest.raises(DataError, match="at least 3 days"):
        plan(rows({"a": [1.0] * 2}))
    with pytest.raises(SettingsError, match="lies behind"):
        plan(priced, until="2026-05")
    with pytest.raises(DataError, match="no past forecast"):
        past_error(rows({"a": [1.0] * 20}))


def test_history_is_whole_and_in_one_currency(priced):
    history = cost_history(priced, ["team"])
    assert history["y"].sum() == pytest.approx(priced["effective_cost"].sum())
    assert history.groupby("unique_id").size().tolist() == [243] * 3
    two = priced.assign(pricing_currency=["USD", "EUR"] * (len(priced) // 2) + ["USD"] * (len(priced) % 2))
    with pytest.raises(DataError, match=r"several currencies \(EUR, USD\)"):
        cost_history(two)
    with pytest.raises(SettingsError, match=r"no column .teem.\. Did you mean .team."):
        cost_history(priced, ["teem"])
    with pytest.raises(DataError, match="No row has"):
        cost_history(priced.assign(effective_cost=np.nan))


def test_a_provider_day_stays_one_day_in_any_zone(priced):
    here, there = (cost_history(priced, timezone=zone)["y"].tolist() for zone in ("UTC", "America/New_York"))
    assert here == there
    assert end_of_data(priced, "America/New_York") == end_of_data(priced) == pd.Timestamp("2026-09-01")
    start = pd.date_range("2026-01-01", periods=48, freq="h", tz="UTC")
    hours = pd.DataFrame(
        {"charge_period_start": start, "charge_period_end": start + pd.Timedelta(hours=1), "effective_cost": 1.0}
    )
    # 48 hours from 19:00 local of 31 December: 5, 24 and 19 hours
    assert cost_history(hours, timezone="America/New_York")["y"].tolist() == [5.0, 24.0, 19.0]


def test_drivers_multiply_to_the_cost():
    day = pd.to_datetime(["2026-01-05"] * 5, utc=True)
    frame = pd.DataFrame(
        {
            "charge_period_start": day,
            "meter": ["requests", "input", "cache_read", "output", "provisioned_hours"],
            "quantity": [10, 600, 400, 500, 2],
            "effective_cost": [None, 3.0, 0.2, 4.0, 5.0],
            "service_tier": ["standard", "standard", "standard", "batch", "standard"],
        }
    )
    row = drivers(frame).iloc[0]
    assert row["input_per_request"] == 100
    assert row["tokens_per_input"] == 1.5
    assert row["cached_share"] == pytest.approx(0.4)
    assert row["batch_share"] == pytest.approx(500 / 1500)
    product = row["requests"] * row["input_per_request"] * row["tokens_per_input"] * row["price_per_token"]
    assert product == pytest.approx(row["token_cost"]) == pytest.approx(7.2)
    assert row["cost"] == pytest.approx(12.2)


def test_a_holiday_is_taken_out_and_put_back():
    y = np.tile([10.0, 10, 10, 10, 10, 3, 3], 12)
    days = pd.date_range("2026-01-05", periods=len(y))  # a Monday
    y[7 * 6] = 1.0  # a free Monday, on 2026-02-16
    frame = pd.DataFrame({"unique_id": "a", "ds": days, "y": y})
    ahead = pd.Timestamp("2026-04-06")
    assert days[-1] < ahead
    made = forecast(frame, 14, holidays=["2026-02-16", ahead]).set_index("ds")["yhat"]
    # seen once at a tenth, with one day of doubt: half way from 1 to 0.1
    assert made[ahead] == pytest.approx(10 * 0.55, rel=0.02)
    assert made[pd.Timestamp("2026-03-30")] == pytest.approx(10, rel=0.02)


def test_a_month_s_budget_is_a_part_of_the_year_s(priced):
    year = {"name": "year", "from": "2026-01", "to": "2027-01", "amount": 12_000}
    october = {"name": "October", "month": "2026-10", "amount": 1_500}
    table = plan(priced, [year, october])
    budget = dict(zip(table["month"], table["budget"], strict=True))
    # a twelfth of the year in its other months; October its own alone, not 1,000 + 1,500; the year is what the year's says
    assert (budget["2026-09"], budget["2026-10"], budget["year"]) == (1_000, 1_500, 12_000)
    both = plan(priced, [october, october | {"name": "more", "amount": 500}])
    assert dict(zip(both["month"], both["budget"], strict=True))["2026-10"] == 2_000
