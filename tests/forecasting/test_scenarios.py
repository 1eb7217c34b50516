"""Known changes: each by a sum done by hand, then what all of them must keep."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import RuleError, SettingsError
from finops_ai.forecasting import (
    CacheAdoption,
    Commitment,
    Launch,
    ModelSwitch,
    PriceChange,
    PromptChange,
    Scenario,
    TemperatureChange,
    Volume,
    compare_scenarios,
    contributions,
    forecast,
    forecast_cost,
    load_scenarios,
    under,
)

START = dt.date(2026, 3, 1)
DAYS = 10
#: per day and team: 100 requests, 1000 input tokens at 0.002 and 500 output tokens at 0.008: cost 2 + 4 = 6
ROWS = (("requests", 100, None), ("input", 1000, 2.0), ("output", 500, 4.0))


class Prices:
    """A price book that knows one more model."""

    def lookup(self, provider, model, meter, at, service_tier="standard"):
        self.unit_price = (
            {"input": Decimal("0.001"), "output": Decimal("0.004"), "cache_read": Decimal("0.0001")}.get(meter)
            if model == "small"
            else None
        )
        return self

    def turns(self, provider, model):
        return []


@pytest.fixture(scope="module")
def priced():
    days = pd.date_range("2026-01-01", "2026-02-28", tz="UTC")
    return pd.DataFrame(
        [
            {
                "charge_period_start": day,
                "charge_period_end": day + pd.Timedelta(days=1),
                "provider": "acme",
                "model": "large",
                "prompt_id": "answer@v1",
                "service_tier": "standard",
                "meter": meter,
                "quantity": float(quantity),
                "effective_cost": cost,
                "team": team,
            }
            for day in days
            for team in ("search", "support")
            for meter, quantity, cost in ROWS
        ]
    )


@pytest.fixture(scope="module")
def base(priced):
    return forecast_cost(priced, DAYS, by=["team"])


def total(base, *changes):
    return under(base, Scenario("s", changes), Prices()).prediction.point[0]


def test_the_base_is_what_it_was(base):
    assert total(base) == pytest.approx([12.0] * DAYS)
    assert base.outlook.cost.sum() == pytest.approx(120.0)


@pytest.mark.parametrize(
    ("change", "daily"),
    [
        # both teams x 1.5
        (Volume(start=START, factor=1.5), 18.0),
        # search at 300 requests a day instead of 100: 6 x 3 + 6
        (Volume(start=START, requests_per_day=300, where={"team": "search"}), 24.0),
        # a new product like support, 50 requests: 12 + 6 / 2
        (Launch(start=START, requests_per_day=50, where={"team": "support"}, set={"team": "mobile"}), 15.0),
        # ... with twice the input and half the output: 12 + (2 x 2 + 4 / 2) / 2
        (Launch(start=START, requests_per_day=50, where={"team": "support"}, input_factor=2, output_factor=0.5), 15.0),
        # small costs half; 1.2 tokens per token, answers half as long: 1000 x 1.2 x 0.001 + 500 x 1.2 x 0.5 x 0.004 = 2.4
        (ModelSwitch(start=START, from_model="large", to_model="small", token_factor=1.2, output_factor=0.5), 4.8),
        # a quarter of the traffic moves at equal tokens: 9 + 3 / 2
        (ModelSwitch(start=START, from_model="large", to_model="small", share=0.25), 10.5),
        # input x 0.5, output x 2: 2 x (1 + 8)
        (PromptChange(start=START, input_factor=0.5, output_factor=2, where={"prompt_id": "answer@v1"}), 18.0),
        # 60 % of the input at a tenth: 2 x (2 x (0.4 + 0.06) + 4)
        (CacheAdoption(start=START, share=0.6, read_price=0.1), 9.84),
        # output from 1.05 to 1.00 of its length at temperature 0: 4 + 8 / 1.05
        (TemperatureChange(start=START, to=0.0, was=1.0), 4 + 8 / 1.05),
        # output prices halved: 2 x (2 + 2)
        (PriceChange(start=START, factor=0.5, where={"meter": "output"}), 8.0),
        # a fee of 8 at 20 % off covers 10 of the 12
        (Commitment(start=START, amount_per_day=8, discount=0.2), 10.0),
        # a fee that is larger than the use: it is paid all the same
        (Commitment(start=START, amount_per_day=20, discount=0.2), 20.0),
    ],
)
def test_each_change_by_hand(base, change, daily):
    assert total(base, change) == pytest.approx([daily] * DAYS)


def test_a_change_starts_ramps_and_ends(base):
    made = total(base, Volume(start=dt.date(2026, 3, 3), until=dt.date(2026, 3, 8), ramp_days=2, factor=2))
    assert made == pytest.approx([12, 12, 18, 24, 24, 24, 24, 12, 12, 12])


def test_a_price_the_book_knows_to_change_is_applied(priced):
    class Dated(Prices):
        def turns(self, provider, model):
            return [pd.Timestamp("2026-03-05", tz="UTC").to_pydatetime()]

        def lookup(self, provider, model, meter, at, service_tier="standard"):
            self.unit_price = (
                None if meter == "requests" else Decimal(2) if at < pd.Timestamp("2026-03-05", tz="UTC") else Decimal(1)
            )
            return self

    made = forecast(priced, DAYS, book=Dated())["yhat"]
    assert made.tolist() == pytest.approx([12.0] * 4 + [6.0] * 6)


def test_above_1_2_the_temperature_warns(base):
    with pytest.warns(UserWarning, match="above temperature 1.2"):
        hot = total(base, TemperatureChange(start=START, to=1.5, was=0.0))
    # measured: x2.42 from 1.0 to 1.5, on top of 5 % from 0 to 1
    assert hot[0] == pytest.approx(4 + 8 * 1.05 * 2.42)


def test_parts_add_up_under_a_scenario_and_intervals_follow(base, priced):
    changes = [
        Launch(start=START, requests_per_day=70, where={"team": "support"}, set={"team": "mobile"}),
        Volume(start=START, factor=3, where={"team": "search"}),
    ]
    made = forecast(priced, DAYS, scenario=changes, by=["team"])
    wide = made.pivot(index="ds", columns="unique_id", values="yhat")
    assert wide["total"].tolist() == pytest.approx((wide["mobile"] + wide["search"] + wide["support"]).tolist())
    assert (made["hi-80"] >= made["yhat"] - 1e-9).all()
    assert (made["lo-80"] <= made["yhat"] + 1e-9).all()


changes = st.lists(
    st.one_of(
        st.builds(Volume, start=st.just(START), factor=st.floats(0, 5)),
        st.builds(PriceChange, start=st.dates(START, START + dt.timedelta(days=8)), factor=st.floats(0, 3)),
        st.builds(CacheAdoption, start=st.just(START), share=st.floats(0, 1), read_price=st.floats(0, 1)),
        st.builds(PromptChange, start=st.just(START), input_factor=st.floats(0, 4), output_factor=st.floats(0, 4)),
        st.builds(Commitment, start=st.just(START), amount_per_day=st.floats(0, 40), discount=st.floats(0, 0.9)),
        st.builds(
            ModelSwitch,
            start=st.just(START),
            from_model=st.just("large"),
            to_model=st.just("small"),
            share=st.floats(0, 1),
        ),
    ),
    max_size=3,
)


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(changes=changes)
def test_contributions_add_up_to_the_difference_exactly(base, changes):
    scenario = Scenario("s", tuple(changes))
    parts = (
        contributions(base.outlook, scenario, ["search", "support"], Prices()) if changes else np.zeros((0, 2, DAYS))
    )
    after = under(base, scenario, Prices()).prediction.point[0]
    assert parts.sum((0, 1)) == pytest.approx(after - base.prediction.point[0], abs=1e-9)
    table = compare_scenarios(base.outlook, [scenario], Prices())
    amounts = table.set_index(["scenario", "item"])["amount"]
    moved = sum(amounts["s"].drop("total"), Decimal(0))
    assert amounts["s", "total"] - amounts["base", "total"] == moved  # to the last digit
    assert abs(float(amounts["s", "total"]) - after.sum()) <= 0.02


def test_many_changes_count_in_their_order(base):
    scenario = Scenario("s", tuple(PriceChange(start=START, factor=0.9) for _ in range(9)))
    parts = contributions(base.outlook, scenario, ["search", "support"]).sum((1, 2))
    # 120 x 0.1, then 0.1 of what is left, ...
    assert parts == pytest.approx([-12 * 0.9**i for i in range(9)])


def test_two_changes_share_what_they_do_together(base):
    # halving price and halving volume: 120 -> 30; alone each saves 60, together 90: 45 each
    scenario = Scenario("s", (PriceChange(start=START, factor=0.5), Volume(start=START, factor=0.5)))
    assert contributions(base.outlook, scenario, ["search", "support"]).sum((1, 2)).tolist() == pytest.approx(
        [-45, -45]
    )


def test_a_change_may_rest_on_one_before_it(base):
    scenario = Scenario(
        "s",
        (
            ModelSwitch(start=START, from_model="large", to_model="small"),
            PriceChange(start=START, factor=0.5, where={"model": "small"}),
        ),
    )
    parts = contributions(base.outlook, scenario, ["search", "support"], Prices()).sum((1, 2))
    # the switch saves 60 alone, the price change nothing alone and 30 after it: half of that each
    assert parts.tolist() == pytest.approx([-75, -15])


TOML = """
[scenario.lean]
description = "smaller and cached"
[[scenario.lean.changes]]
kind = "model_switch"
start = 2026-03-05
from_model = "large"
to_model = "small"
[[scenario.lean.changes]]
kind = "cache_adoption"
start = "2026-03-01"
share = 0.5
read_price = 0.1
where = { team = "search" }
[scenario.grow]
changes = [{ kind = "volume", start = 2026-03-01, factor = 2 }]
"""


def test_scenarios_are_read_from_toml(tmp_path, base):
    (tmp_path / "scenarios.toml").write_text(TOML, encoding="utf-8")
    found = load_scenarios(tmp_path / "scenarios.toml")
    assert found == load_scenarios(TOML)
    assert [s.name for s in found] == ["lean", "grow"]
    assert found[0].changes[1] == CacheAdoption(start=START, share=0.5, read_price=0.1, where={"team": "search"})
    assert compare_scenarios(base.outlook, found, Prices())["item"].tolist() == [
        "total", "model switch", "cache adoption (search)", "total", "volume", "total",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"kind": "volumes", "start": START}, "Did you mean 'volume'"),
        ({"kind": "volume", "start": START, "factr": 2}, "no key 'factr'. Did you mean 'factor'"),
        ({"kind": "volume", "start": "soon", "factor": 2}, "'soon', must be a date"),
        ({"kind": "volume", "start": START, "factor": "twice"}, "must be a number"),
        ({"kind": "price_change", "start": START}, "factor"),
    ],
)
def test_a_change_that_cannot_be_read_is_refused(table, words):
    with pytest.raises(RuleError, match=words):
        load_scenarios({"s": {"changes": [table]}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (ModelSwitch(start=START, from_model="larg", to_model="small"), "no model .*'larg'.* Did you mean 'large'"),
        (
            ModelSwitch(start=START, from_model="large", to_model="tiny"),
            "no price for model 'tiny', meter input at acme",
        ),
        (PriceChange(start=START, factor=1, where={"tem": "x"}), "no column 'tem'"),
        (PriceChange(start=START, factor=-1), "factor is -1, must be 0 or more"),
        (CacheAdoption(start=START, share=1.2), "must be between 0 and 1"),
        (CacheAdoption(start=START, share=0.5), "no cache price for large"),
        (Volume(start=START), "either factor or requests_per_day"),
    ],
)
def test_a_change_that_cannot_hold_is_refused(base, change, words):
    with pytest.raises(RuleError, match=words):
        under(base, Scenario("s", (change,)), Prices())


def test_a_scenario_needs_priced_rows(priced):
    series = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2026-01-01", periods=30), "y": 1.0})
    with pytest.raises(SettingsError, match="needs priced rows"):
        forecast(series, 5, scenario=Volume(start=START, factor=2))
    with pytest.raises(RuleError, match="There is no scenario file"):
        load_scenarios("missing.toml")


def test_a_scenario_may_choose_by_a_column_that_is_not_shown(priced):
    made = forecast(priced, DAYS, scenario=Volume(start=START, factor=2, where={"team": "search"}))
    assert made["unique_id"].unique().tolist() == ["total"]
    assert made["yhat"].tolist() == pytest.approx([18.0] * DAYS)


def test_capacity_bought_by_the_hour_stays_with_its_model(priced):
    days = priced["charge_period_start"].unique()
    bought = priced.iloc[: len(days)].assign(
        charge_period_start=days,
        charge_period_end=days + pd.Timedelta(days=1),
        meter="provisioned_hours",
        service_tier="provisioned",
        quantity=24.0,
        effective_cost=5.0,
        team="search",
    )
    made = forecast_cost(pd.concat([priced, bought], ignore_index=True), DAYS)
    switch = ModelSwitch(start=START, from_model="large", to_model="small")
    # each team's 1000 x 0.001 + 500 x 0.004 = 3 a day, and the 5 for capacity as before
    assert total(made, switch) == pytest.approx([2 * 3 + 5] * DAYS)
    with pytest.raises(RuleError, match="meter provisioned_hours"):
        total(
            made, ModelSwitch(start=START, from_model="large", to_model="small", where={"service_tier": "provisioned"})
        )
    with pytest.raises(RuleError, match="must be later than its start"):
        Volume(start=START, until=START, factor=2)
