"""How a series moves decides, before months have passed, which simple model deserves weight and how wide a range is."""

import numpy as np
import pytest

from finops_ai.forecasting.movement import Movement, expected_miss, movement_of
from finops_ai.forecasting.sums import forecast_sums


def noise(spread, weeks=26, seed=1, count=40):
    return np.exp(np.random.default_rng(seed).normal(0, spread, (count, weeks)))


def walk(step, weeks=26, seed=2, count=40):
    return np.exp(np.cumsum(np.random.default_rng(seed).normal(0, step, (count, weeks)), 1))


def test_noise_and_drift_are_told_apart():
    # 0.2 of noise a week, 0.1 of drift a week: their squares
    still, moving = movement_of(noise(0.2, 52)), movement_of(walk(0.1, 52))
    assert float(np.median(still.noise)) == pytest.approx(0.04, rel=0.25)
    assert float(np.median(still.drift)) < 0.002
    assert float(np.median(moving.drift)) == pytest.approx(0.01, rel=0.35)
    both = movement_of(noise(0.1, 52) * walk(0.1, 52))
    assert float(np.median(both.noise)) == pytest.approx(0.01, rel=0.6)


def test_steady_growth_is_no_swerve_and_bursts_are_no_growth():
    grown = 1.02 ** np.arange(26) * noise(0.03)
    moved = movement_of(grown)
    assert (moved.slope > 0).all()
    assert float(np.median(moved.slope)) == pytest.approx(np.log(1.02) ** 2, rel=0.2)
    assert (moved.swerve < 0.3 * np.maximum(moved.drift, 1e-9)).mean() > 0.9
    burst = np.ones((40, 26))
    random = np.random.default_rng(4)
    for row in burst:
        row[random.choice(26, 3, replace=False)] *= random.uniform(2, 4, 3)
    assert (movement_of(burst).slope > 0).mean() < 0.1


@pytest.mark.parametrize("weeks", [13, 26, 52])
def test_what_drifts_is_remembered_shortly_and_what_is_noise_for_long(weeks):
    def memory(rows):
        out = []
        for row in rows:
            found = forecast_sums(row[None])
            window = np.array([{"last week": 1, "mean of all": weeks}.get(n, int("0" + "".join(filter(str.isdigit, n)))) for n in found.names])  # fmt: skip
            mean = np.array(["line" not in n and "year" not in n for n in found.names])
            weight = found.weights[mean, 0, 0]
            out.append(float(weight @ np.minimum(window[mean], weeks) / weight.sum()))
        return float(np.median(out))

    share = 0.8 if weeks < 26 else 0.55
    assert memory(walk(0.15, weeks, count=12)) < share * memory(noise(0.15, weeks, count=12))


def test_half_a_year_of_growth_is_enough_for_a_line():
    grown = 1.02 ** np.arange(26) * noise(0.03, count=12)
    came = 1.02 ** (26 + 4 + 1.5)  # the middle of the second month ahead
    said = [float(forecast_sums(row[None]).level[0, 1]) for row in grown]
    assert float(np.median(said)) == pytest.approx(came, rel=0.1)
    assert float(grown[:, -8:].mean()) < 0.85 * came, "a mean would be far too low"


def test_the_range_of_a_walk_holds_it_with_a_quarter_of_history():
    rows = walk(0.1, 13 + 8, seed=7, count=100)
    inside = []
    for row in rows:
        sums = forecast_sums(row[None, :13])
        sd = np.sqrt(np.log1p(sums.base[0] + sums.drift[0]))
        inside.append(abs(np.log(row[17:21].mean() / sums.level[0, 1])) < 1.2816 * sd)
    assert 0.6 < np.mean(inside) < 0.95


def test_a_mean_of_more_weeks_misses_less_of_noise_and_a_line_more_ahead():
    moved = Movement(*np.array([[0.04], [0.0], [0.0], [0.0]]))
    miss = [float(expected_miss(moved, w, np.array([2.0])).mean()) for w in (1, 4, 13, 26)]
    assert miss == sorted(miss, reverse=True)
    near, far = (float(expected_miss(moved, 13, np.array([t]), line=True).mean()) for t in (2.0, 20.0))
    assert far > 3 * near


@pytest.mark.parametrize("weeks", [1, 2, 3, 5])
def test_few_weeks_and_nothing_are_no_trouble(weeks):
    for rows in (np.zeros((2, weeks)), np.ones((2, weeks)), noise(0.3, weeks, count=2)):
        moved = movement_of(rows)
        assert all(
            np.isfinite(v).all() and (v >= 0).all() for v in (moved.noise, moved.drift, moved.swerve, moved.slope)
        )
        found = forecast_sums(rows)
        assert np.isfinite(found.level).all()
        assert np.isfinite(found.base).all()


def test_luck_does_not_make_a_line_surer_than_the_noise_under_it():
    random = np.random.default_rng(12)
    weeks = 1.03 ** np.arange(56) * np.exp(random.normal(0, 0.05, (300, 56)))
    told = forecast_sums(weeks)
    spread = np.sqrt(told.base + 2 * told.drift)
    # a line through half a year of such noise is off by this much ten weeks ahead (sd of the log)
    line = 0.05 * np.sqrt(1 / 26 + 12 * (26 / 2 + 10) ** 2 / 26**3)
    assert np.quantile(spread, 0.1) > 0.65 * line
    came = 1.03 ** (56 + 8 + 1.5)
    assert (np.abs(np.log(told.level[:, 2] / came)) < 1.2816 * spread).mean() == pytest.approx(0.8, abs=0.06)


def test_no_range_gets_narrower_with_time():
    random = np.random.default_rng(3)
    for chance in (0.05, 0.15, 0.5, 1.0):
        days = np.where(random.random((200, 56, 7)) < chance, random.lognormal(1.4, 0.8, (200, 56, 7)), 0.0)
        told = forecast_sums(days.mean(2))
        assert (told.base > 0).all()
        assert (told.drift >= 0).all()
