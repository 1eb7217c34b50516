"""The choice per series, and its intervals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finops_ai.forecasting import backtest, forecast
from finops_ai.forecasting.choosing import _weighted_median, fit, past_origins
from finops_ai.forecasting.models import _MODELS, register_model

WEEK = np.array([10.0, 12.0, 14.0, 12.0, 10.0, 4.0, 2.0])


def frame(y, name="a"):
    return pd.DataFrame({"unique_id": name, "ds": pd.date_range("2026-01-01", periods=len(y)), "y": y})


def noisy(count, points, seed, spread=0.2):
    random = np.random.default_rng(seed)
    return np.tile(WEEK, points // 7 + 1)[:points] * np.exp(spread * random.standard_normal((count, points))) * 100


def test_weighted_median_leaves_out_what_is_unknown():
    candidates = np.array([1.0, 5.0, np.nan])[:, None, None]
    # weights 1 and 3: mid-ranks 0.125 and 0.625; the middle lies 0.75 of the way from 1 to 5
    assert _weighted_median(candidates, np.array([1.0, 3.0, 9.0])[:, None, None])[0, 0] == pytest.approx(4.0)


@pytest.mark.parametrize("points", [1, 2, 3, 5, 8, 13, 20, 27, 28, 40, 100, 400])
def test_every_origin_leaves_something_to_learn_and_to_check(points):
    for horizon, season in ((1, 7), (7, 7), (30, 7), (24, 24), (168, 24), (3, 1)):
        for cut in past_origins(points, horizon, season):
            assert 0 < cut < points


def test_the_better_model_gets_the_weight():
    trend = np.arange(200.0)[None] * 5 + 100
    done = fit(np.repeat(trend, 3, 0) * (1 + 0.01 * np.random.default_rng(0).standard_normal((3, 200))), 14, 7)
    weight = dict(zip(done.models, done.weights[:, 0], strict=True))
    assert weight["season_trend"] > 0.5 > weight["seasonal_median"]
    assert weight["season_trend"] == max(weight.values())


def test_a_planted_perfect_model_wins():
    y = noisy(1, 201, 3)[0]
    register_model("oracle", lambda h, n, s: np.array([y[h.shape[1] : h.shape[1] + n]] * len(h)), min_seasons=1)
    try:
        made = fit(y[None, :180], 21, 7).forecast[0]
    finally:
        del _MODELS["oracle"]
    assert np.abs(made - y[180:]).mean() < 0.5 * np.abs(fit(y[None, :180], 21, 7).forecast[0] - y[180:]).mean()


@settings(max_examples=30, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 3), st.integers(1, 50)), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_forecast_stays_near_what_was_seen(history):
    made = fit(history, 20, 7).forecast
    assert np.isfinite(made).all()
    low, high = history.min(1, keepdims=True), history.max(1, keepdims=True)
    reach = (high - low) / 2 + 1e-9
    assert (made <= high + reach).all()
    assert (made >= low - reach).all()
    never_negative = (history >= 0).all(1)
    assert (made[never_negative] >= 0).all()


def test_bad_histories_are_handled():
    zeros = forecast(frame(np.zeros(40)), 5)
    assert zeros[["yhat", "lo-80", "hi-80"]].to_numpy().tolist() == [[0.0, 0.0, 0.0]] * 5
    one = forecast(frame([7.0]), 3)
    assert one["yhat"].tolist() == [7.0] * 3
    assert one["lo-80"].isna().all()  # nothing could be tried: unknown, not 0
    beside = forecast(pd.concat([frame([7.0], "new"), frame(noisy(1, 60, 1)[0], "old")]), 3)
    new = beside[beside["unique_id"] == "new"]
    assert (new["lo-80"] < 7).all()
    assert (new["hi-80"] > 7).all()


def test_credits_below_zero_are_kept():
    y = np.tile([100.0, 100, 100, 100, 100, -50, -50], 10)
    made = forecast(frame(y), 7)
    assert made["yhat"].min() == pytest.approx(-50.0)


def test_levels_nest_and_cover():
    panel = pd.concat([frame(y, f"s{i:02d}") for i, y in enumerate(noisy(30, 150, 5))])
    made = forecast(panel[panel.ds < "2026-05-10"], 21, level=(50, 80, 95))
    assert (made["lo-95"] <= made["lo-80"]).all()
    assert (made["lo-80"] <= made["lo-50"]).all()
    assert (made["lo-50"] <= made["yhat"]).all()
    assert (made["hi-50"] <= made["hi-80"]).all()
    came = made.merge(panel, on=["unique_id", "ds"])
    for level, low, high in ((50, 0.40, 0.62), (80, 0.72, 0.90), (95, 0.90, 0.99)):
        inside = ((came["y"] >= came[f"lo-{level}"]) & (came["y"] <= came[f"hi-{level}"])).mean()
        assert low <= inside <= high, level


def test_intervals_widen_with_noise():
    calm, wild = (forecast(frame(noisy(1, 150, 2, spread)[0]), 7) for spread in (0.05, 0.5))
    assert (wild["hi-80"] - wild["lo-80"]).mean() > 4 * (calm["hi-80"] - calm["lo-80"]).mean()


def test_it_beats_the_line_and_is_no_worse_than_the_last_season():
    panel = pd.concat([frame(y, f"s{i:02d}") for i, y in enumerate(noisy(20, 120, 8))])
    ours = backtest(panel, 14, windows=3).set_index("model").loc["finops_ai"]
    assert ours["relMAE_linear"] < 0.5
    assert ours["relMAE_seasonal_naive"] < 0.9


def test_ragged_series_are_forecast_each_from_its_own_end():
    panel = pd.concat([frame(noisy(1, n, n)[0], f"s{n}") for n in range(20, 90, 2)])
    made = forecast(panel, 4)
    ends = panel.groupby("unique_id")["ds"].max()
    first = made.groupby("unique_id")["ds"].min()
    assert (first - ends == pd.Timedelta(days=1)).all()
    assert len(made) == 4 * panel["unique_id"].nunique()


@pytest.mark.parametrize("months", [9, 13, 20, 30, 48])
def test_months_that_grow_go_on_growing(months):
    y = 100 + 10.0 * np.arange(months)
    history = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2022-01-01", periods=months, freq="MS"), "y": y})
    made = forecast(history, 4)
    assert made["ds"].iloc[0] == history["ds"].iloc[-1] + pd.offsets.MonthBegin()
    assert made["yhat"].to_numpy() == pytest.approx(y[-1] + 10 * np.arange(1, 5), rel=0.02)


def test_a_year_of_months_keeps_its_season():
    t = np.arange(48)
    y = (100 + 2.0 * t) * (1 + 0.3 * np.sin(t * np.pi / 6))
    history = pd.DataFrame({"unique_id": "a", "ds": pd.date_range("2022-01-01", periods=48, freq="MS"), "y": y})
    ahead = np.arange(48, 60)
    truth = (100 + 2.0 * ahead) * (1 + 0.3 * np.sin(ahead * np.pi / 6))
    miss = np.abs(forecast(history, 12)["yhat"] - truth).mean()
    assert miss < 0.1 * truth.mean()
    assert miss < 0.8 * np.abs(y[-12:] - truth).mean()  # the last year, grown


def test_hours_of_a_month_know_their_weekend():
    random = np.random.default_rng(4)
    day = 100 + 80 * np.sin(np.arange(24) / 24 * 2 * np.pi)
    week = np.concatenate([*[day] * 5, *[day / 4] * 2])
    y = np.tile(week, 7) * np.exp(0.1 * random.standard_normal(7 * 168))
    made = fit(y[None, : 6 * 168], 168, 24).forecast[0]
    # noise of 10 % is off by 8 % on average; days taken alike would be off by more than half
    assert np.abs(made - y[6 * 168 :]).sum() / y[6 * 168 :].sum() < 0.12


def test_the_interval_of_use_that_comes_and_goes_holds_it():
    random = np.random.default_rng(5)
    on = random.random((12, 250)) < 0.4
    y = np.where(on, 100.0, 0.0)
    table = backtest(long(y), 14, windows=4, step=14, detail="points")
    assert (table["finops_ai-lo-80"] < 1).mean() > 0.95
    inside = (table["y"] <= table["finops_ai-hi-80"] + 1e-9) & (table["y"] >= table["finops_ai-lo-80"] - 1e-9)
    assert inside.mean() > 0.75
    assert table["finops_ai-hi-80"].median() < 130


def long(rows):
    return pd.concat([frame(y, f"s{i}") for i, y in enumerate(rows)])
