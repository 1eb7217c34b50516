"""What a plan must know of a cell before it starts: which days it uses, whether its level jumped, and how it moves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.forecasting.phases import Phase, dip_of, life_of

DAYS = pd.date_range("2026-01-01", "2026-10-31", tz="UTC")
WEEKDAY = DAYS.day_of_week.to_numpy()


def planned(y, until="2026-12"):
    rows = pd.DataFrame(
        {
            "charge_period_start": DAYS, "charge_period_end": DAYS + pd.Timedelta(days=1), "provider": "openai", "model": "m",
            "prompt_id": "p", "meter": "input", "service_tier": "standard", "quantity": y * 1e4, "effective_cost": y,
            "pricing_currency": "USD", "team": "a",
        }
    )  # fmt: skip
    table = fa.plan(rows, until=until)
    return {r["month"]: r for r in table.to_dict("records") if r["unique_id"] == "total"}, table.facts.notes


def test_use_on_weekdays_alone_is_planned_in_full():
    # 21 weekdays in November 2026, 23 in December
    rows, _ = planned(np.where(WEEKDAY < 5, 10.0, 0.0))
    assert [float(rows[m]["p50"]) for m in ("2026-11", "2026-12")] == pytest.approx([210, 230], rel=0.001)


def test_one_day_a_week_is_planned_in_full():
    # Mondays: five in November, four in December
    rows, _ = planned(np.where(WEEKDAY == 0, 70.0, 0.0))
    assert [float(rows[m]["p50"]) for m in ("2026-11", "2026-12")] == pytest.approx([350, 280], rel=0.01)


@pytest.mark.parametrize("ago", [35, 78, 150])
@pytest.mark.parametrize("times", [1.35, 0.6])
def test_a_jump_that_stayed_is_the_new_level_with_the_old_noise(ago, times):
    random = np.random.default_rng(ago)
    y = 100 * np.exp(random.normal(0, 0.08, len(DAYS)))
    y[-ago:] *= times
    life = life_of(y, WEEKDAY)
    assert life.phase is Phase.USED
    assert (len(DAYS) - life.since, life.times) == (pytest.approx(ago, abs=2), pytest.approx(times, rel=0.05))
    rows, notes = planned(y)
    december = rows["2026-12"]
    assert float(december["p50"]) == pytest.approx(31 * 100 * times, rel=0.04)
    # as sure as before: the jump is no noise
    assert float(december["p90"] - december["p10"]) < 0.2 * float(december["p50"])
    assert not any("goes back" in note for note in notes)


def test_growth_noise_and_swings_are_no_jumps():
    random = np.random.default_rng(2)
    t = np.arange(len(DAYS))
    for y in (
        1.12 ** (t / 30.4) * np.exp(random.normal(0, 0.08, len(t))),
        0.92 ** (t / 30.4) * np.exp(random.normal(0, 0.08, len(t))),
        np.exp(random.normal(0, 0.3, len(t))),
        np.exp(0.4 * np.sin(t / 30) + random.normal(0, 0.08, len(t))),
        np.exp(np.cumsum(random.normal(0, 0.04, len(t)))),
    ):
        assert life_of(y, WEEKDAY).since == 0


@pytest.mark.parametrize("ago", [15, 40, 120])
@pytest.mark.parametrize("left", [0.0, 0.1])
def test_an_outage_that_passed_says_nothing_of_what_is_usual(ago, left):
    y = 100 * np.exp(np.random.default_rng(ago).normal(0, 0.08, len(DAYS)))
    y[-ago : -ago + 7] *= left
    assert dip_of(y) == (len(DAYS) - ago, len(DAYS) - ago + 7)
    rows, notes = planned(y)
    assert float(rows["2026-12"]["p50"]) == pytest.approx(3100, rel=0.03)
    assert float(rows["2026-12"]["p10"]) > 0.9 * 3100
    assert any("far below everything else" in note for note in notes)


def test_what_comes_again_is_no_outage():
    random = np.random.default_rng(8)
    t = np.arange(len(DAYS))
    calm = np.exp(random.normal(0, 0.08, len(t)))
    for y in (
        np.where(t % 90 < 7, 0.1, 1.0) * calm,  # every quarter
        np.where(random.random(len(t)) < 0.4, random.lognormal(0.4, 0.8, len(t)), 0.0),
        np.exp(random.normal(0, 0.9, len(t))),
        np.where(t >= len(t) - 5, 0.1, 1.0) * calm,  # not over yet
        np.where(t > 200, 0.5, 1.0) * calm,  # a level
    ):
        assert dip_of(y) is None
