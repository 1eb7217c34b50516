"""Each model on a history whose answer is known by hand, and all of them on histories made to break them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finops_ai.errors import PluginError, SettingsError
from finops_ai.forecasting import models
from finops_ai.forecasting.models import (
    _MODELS,
    Entry,
    level_and_shape,
    linear_trend,
    register_model,
    run,
    seasonal_median,
    select_models,
    weighted_quantile,
)

WEEK = np.array([10.0, 12.0, 14.0, 12.0, 10.0, 4.0, 2.0])


def test_line_through_points():
    # y = 3 + 2 t for t = 0..4; t = 5, 6 give 13 and 15
    assert linear_trend(np.array([[3.0, 5.0, 7.0, 9.0, 11.0]]), 2).tolist() == [[13.0, 15.0]]


def test_weighted_quantile_interpolates_between_mid_ranks():
    # values 1, 2, 3 with weights 1, 2, 1: mid-ranks 0.125, 0.5, 0.875; quantile 0.3125 lies halfway from 1 to 2
    found = weighted_quantile(np.array([[[3.0], [1.0], [2.0]]]), np.array([1.0, 1.0, 2.0]), 0.3125)
    assert found[0, 0] == pytest.approx(1.5)


def test_median_over_seasons_is_deaf_to_a_burst():
    history = np.tile(WEEK, 5)[None]
    history[0, 9] = 1e6
    assert seasonal_median(history, 7, 7)[0].tolist() == WEEK.tolist()


def test_level_returns_to_usual():
    # ten weeks at level 1, the last at level 3; the pool shows deviations vanish at once (each earlier burst lasted a week)
    levels = np.array([1, 3, 1, 1, 3, 1, 1, 3, 1, 1, 1, 3.0])
    history = np.repeat(levels, 7)[None] * np.tile(WEEK, 12)
    ahead = level_and_shape(history, 28, 7)[0].reshape(4, 7).mean(1) / WEEK.mean()
    assert ahead[0] > ahead[1] > ahead[2] > ahead[3]
    assert ahead[3] == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("name", [n for n, e in sorted(_MODELS.items()) if n != "ets" and e.only_season != 24])
def test_a_repeating_week_is_repeated(name):
    history = np.tile(WEEK, 120)[None]
    made = _MODELS[name].model(history, 14, 7)
    assert made.shape == (1, 14)
    if name not in ("linear_trend", "last_value", "recent_mean", "plain_median"):
        assert made[0] == pytest.approx(np.tile(WEEK, 2), rel=0.02, abs=0.1)


@pytest.mark.parametrize("name", [n for n, e in sorted(_MODELS.items()) if e.only_season == 24])
def test_a_repeating_week_of_hours_is_repeated(name):
    # office hours at 100 from Monday to Friday, 20 on weekends; 10 at night
    day = np.where((np.arange(24) >= 8) & (np.arange(24) < 18), 100.0, 10.0)
    week = np.concatenate([*[day] * 5, *[np.minimum(day, 20.0)] * 2])
    made = _MODELS[name].model(np.tile(week, 6)[None], 168, 24)[0]
    if name in ("last_week", "week_and_shape"):
        assert made[np.arange(168) % 24 == 12] == pytest.approx([100] * 5 + [20] * 2, rel=0.1)
    else:  # six of seven parts of what the weekdays say, the seventh is the usual day: (6 x 20 + 77) / 7 = 28
        noon = made[np.arange(168) % 24 == 12]
        assert noon[:5] == pytest.approx([100] * 5, rel=0.3)
        assert noon[5:] == pytest.approx([28] * 2, rel=0.35)


@pytest.mark.slow
def test_ets_repeats_a_noisy_week():
    noise = np.random.default_rng(0).normal(0, 0.1, 70)
    made = _MODELS["ets"].model((np.tile(WEEK, 10) + noise)[None], 7, 7)
    assert made[0] == pytest.approx(WEEK, abs=0.5)


def test_annual_follows_the_same_weeks_of_earlier_years():
    days = np.arange(3 * 364 + 100)
    history = (100 * np.exp(0.8 * np.sin(2 * np.pi * days / 364)))[None]
    truth = 100 * np.exp(0.8 * np.sin(2 * np.pi * (len(days) + np.arange(30)) / 364))
    flat = models.smoothing(0.05)(history, 30, 7)[0]
    made = models.annual(history, 30, 7)[0]
    assert np.abs(made - truth).mean() < 0.5 * np.abs(flat - truth).mean()


def test_annual_knows_the_weekdays_of_a_season_of_the_year():
    # Sundays are three times the week in the last ten weeks of every year, and like any day before
    day = np.arange(4 * 364 + 294)
    late, sunday = day % 364 >= 294, day % 7 == 6
    history = np.where(late & sunday, 300.0, 100.0)[None]
    made = models.annual(history, 28, 7)[0]
    truth = np.where((294 + np.arange(28)) % 7 == 6, 300.0, 100.0)
    # four years said so: 4/5 of the way in logs, 100 * 3 ** 0.8 = 241 on Sundays
    assert made[truth == 300] == pytest.approx([241] * 4, rel=0.1)
    assert made[truth == 100] == pytest.approx([100] * 24, rel=0.1)


@settings(max_examples=40, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 3), st.integers(28, 60)), elements=st.floats(0, 1e9, width=32)))
def test_no_model_diverges_or_forgets_its_shape(history):
    for name, entry in _MODELS.items():
        if name in ("ets", "linear_trend", "linear_seasonal") or not entry.suits(history.shape[1], 7, False):
            continue
        made = run(entry, history, 40, 7)
        assert made.shape == (len(history), 40)
        assert np.isfinite(made).all(), name
        reach = np.ptp(history, axis=1, keepdims=True)
        assert (made <= 3 * (history.max(1, keepdims=True) + reach) + 1e-6).all(), name


def test_a_registered_model_takes_part_and_is_checked():
    register_model("always_seven", lambda y, h, s: np.full((len(y), h), 7.0))
    try:
        assert "always_seven" in [e.name for e in select_models()]
        assert [e.name for e in select_models(["always_seven"])] == ["always_seven"]
    finally:
        del _MODELS["always_seven"]
    with pytest.raises(PluginError, match=r"gave shape \(1,\)"):
        run(Entry("broken", lambda y, h, s: np.zeros(1), 0), np.zeros((2, 5)), 3, 1)
    with pytest.raises(SettingsError, match="letters, digits"):
        register_model("no good", lambda y, h, s: y)


def test_an_unknown_model_is_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="Did you mean 'theta'"):
        select_models(["thetaa"])
