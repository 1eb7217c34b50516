"""Forecasts of series add up to sums that are neither low nor high."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.forecasting import lifting
from finops_ai.forecasting.evaluation import run_backtest
from finops_ai.forecasting.lifting import _shares


def frame(values, start="2026-06-01", freq="h"):
    ids = [f"s{i}" for i in range(len(values))]
    stamps = pd.date_range(start, periods=values.shape[1], freq=freq)
    return pd.DataFrame(
        {"unique_id": np.repeat(ids, len(stamps)), "ds": np.tile(stamps, len(ids)), "y": values.ravel()}
    )


@pytest.fixture(scope="module")
def bursts():
    # log-normal noise of sd 1: its mean is exp(1/2) = 1.65 times its median
    random = np.random.default_rng(5)
    return np.exp(random.normal(0, 1, (6, 14 * 24))) * np.array([[100], [40], [30], [20], [10], [5]])


def test_the_sum_of_bursty_series_is_not_low(bursts, monkeypatch):
    now = run_backtest(frame(bursts), 24, windows=3).figures()
    assert abs(now["bias"]) < 0.08
    monkeypatch.setattr(lifting, "MOST", 1.0)  # a sum may not be changed: medians as they are
    medians = run_backtest(frame(bursts), 24, windows=3).figures()
    assert medians["bias"] < -0.25
    # near its median a series can be moved at little cost
    assert now["relMAE_linear"] < 1.1 * medians["relMAE_linear"]


def test_what_repeats_exactly_stays_as_it_is(bursts):
    saw = np.tile(10.0 + 5.0 * (np.arange(24) > 11), 14)[None]
    table = fa.forecast(frame(np.vstack([bursts, saw])), horizon=24)
    assert table[table["unique_id"] == "s6"]["yhat"].to_numpy() == pytest.approx(saw[0, :24])


def test_no_point_leaves_its_interval(bursts):
    table = fa.forecast(frame(bursts), horizon=48, level=(50, 80))
    assert table["yhat"].between(table["lo-80"], table["hi-80"]).all()
    # the same point whatever levels are asked, and held by narrow ones too
    alone = fa.forecast(frame(bursts), horizon=48, level=(50,))
    assert alone["yhat"].tolist() == table["yhat"].tolist()
    assert alone["yhat"].between(alone["lo-50"], alone["hi-50"]).all()


def test_series_with_credits_and_young_ones_are_left_alone():
    credit = np.where(np.arange(60) % 7 == 0, -30.0, 10.0)[None]
    assert fa.forecast(frame(credit, freq="D"), horizon=7)["yhat"].sum() == pytest.approx(6 * 10 - 30)
    young = np.array([[1.0, 9.0, 2.0, 8.0, 1.0]])
    assert fa.forecast(frame(young, freq="D"), horizon=1)["yhat"].iloc[0] <= 9.0


def test_a_gap_is_closed_exactly_while_there_is_reach():
    random = np.random.default_rng(3)
    for _ in range(50):
        weight, reach = random.random(7) ** 3, random.random(7) * 10
        gap = random.random() * 1.5 * reach.sum()
        shares = _shares(weight, reach, gap)
        assert ((shares >= 0) & (shares <= 1)).all()
        assert (shares * reach).sum() == pytest.approx(min(gap, reach.sum()))
    assert _shares(np.array([1.0, 0.0]), np.array([2.0, 50.0]), 9.0).tolist() == [1.0, 0.0]


def priced(values, start="2026-06-01"):
    hours = pd.date_range(start, periods=values.shape[1], freq="h", tz="UTC")
    parts = [
        pd.DataFrame(
            {
                "charge_period_start": hours, "charge_period_end": hours + pd.Timedelta(hours=1), "provider": "openai",
                "model": "m", "meter": "input", "service_tier": "standard", "quantity": y, "effective_cost": y, "team": f"t{i}",
            }
        )
        for i, y in enumerate(values)
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_the_total_of_priced_hours_is_not_low():
    # two teams, log-normal hours of sd 1: a day comes to 24 * 200 * exp(1/2)
    random = np.random.default_rng(8)
    hours = priced(100 * np.exp(random.normal(0, 1, (2, 21 * 24))))
    table = fa.forecast(hours, horizon=72, by=["team"], freq="h")
    total = table[table["unique_id"] == "total"]["yhat"].sum()
    assert total == pytest.approx(3 * 24 * 200 * np.exp(0.5), rel=0.12)
    assert table[table["unique_id"] != "total"]["yhat"].sum() == pytest.approx(total)


def test_an_exact_series_does_not_pay_for_the_others(bursts, monkeypatch):
    # nearly without error, it would count as an endless lead on the last season and let the others miss by anything
    saw = (10.0 + 5.0 * (np.arange(14 * 24) % 24 > 11) + 1e-9 * np.random.default_rng(1).random(14 * 24))[None]
    alone = fa.forecast(frame(bursts), horizon=24)["yhat"].to_numpy()
    beside = fa.forecast(frame(np.vstack([bursts, saw])), horizon=24)["yhat"].to_numpy()[: len(alone)]
    assert beside.sum() == pytest.approx(alone.sum(), rel=0.05)
