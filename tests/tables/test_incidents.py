"""Unusual stretches and incidents: planted events in one series and in the sample, one event one incident."""

from __future__ import annotations

import datetime as dt
import importlib.util
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError
from finops_ai.tables.unusual import HOURLY, unusual
from finops_ai.tables.watched import Watched

#: the rows of the bridge's tests
_spec = importlib.util.spec_from_file_location("explained", Path(__file__).with_name("test_explain.py"))
_explained = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_explained)
days, frame, use = _explained.days, _explained.frame, _explained.use
D = Decimal


def stretches(values, **kwargs):
    return [(r.start, r.end) for r in unusual(np.array(values, float), **kwargs)]


def weeks(n, noise=0.08, seed=1):
    """Office weeks: half on weekends, with an ordinary wobble."""
    rng = np.random.default_rng(seed)
    return np.array([100.0 if d % 7 < 5 else 50.0 for d in range(7 * n)]) * np.exp(rng.normal(0, noise, 7 * n))


def test_planted_stretches_are_found_and_ordinary_weeks_are_not():
    base = weeks(10)
    assert stretches(base) == []
    for kind, (start, end, factor) in {"spike": (50, 50, 2.5), "runaway": (45, 49, 1.8), "drop": (30, 32, 0.1)}.items():
        values = base.copy()
        values[start : end + 1] *= factor
        assert stretches(values) == [(start, end)], kind
    shifted = base.copy()
    shifted[40:] *= 2
    assert stretches(shifted) == [(40, 53)]  # after two weeks it is the new level
    assert stretches(base * np.exp(np.arange(70) * 0.008)) == []  # steady growth is no event


def test_a_week_of_past_is_enough_and_expectations_stay_within_it():
    assert stretches([10] * 7 + [30]) == [(7, 7)]
    assert stretches([10] * 5 + [30]) == []
    pilot = [0] * 32 + [15] * 26 + [100] * 60  # a pilot, then the rollout
    for run in unusual(np.array(pilot, float)):
        assert run.expected.max() <= 15


def test_hours_are_judged_by_hours():
    day = [10.0] * 8 + [40.0] * 10 + [10.0] * 6
    values = np.array(day * 10)
    assert stretches(values, grain=HOURLY) == []
    values[24 * 8 + 2 : 24 * 8 + 5] = 38  # usual at noon, not at night, but little of a day
    assert stretches(values, grain=HOURLY) == []
    values[24 * 8 + 2 : 24 * 8 + 5] = 150
    assert stretches(values, grain=HOURLY) == [(24 * 8 + 2, 24 * 8 + 4)]


@pytest.mark.long
def test_one_event_is_one_incident_with_its_driver():
    calm = [
        *days(1, 30, 9, calls=20_000, user="ann"),
        *days(1, 30, 9, calls=20_000, user="bob"),
        *days(1, 30, 9, team="b", key="k2", calls=30_000),
    ]
    storm = days(28, 30, 9, calls=60_000, user="bob")  # bob at four times his usual calls for three days
    table = fa.incidents(frame(calm, storm))
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["state"], row["start"], row["end"], row["column"], row["group"]) == (
        "ongoing",
        dt.date(2026, 9, 28),
        dt.date(2026, 9, 30),
        "user_id",
        "bob",
    )
    assert row["excess"] == D("324")  # 3 days x 60,000 calls x 0.0018
    assert row["findings"] > 1
    assert "a made 300% more calls" in row["driver"]
    again = fa.incidents(frame(calm, storm), acknowledged=[row["incident"]])
    assert again["state"].tolist() == ["acknowledged"]
    calm += [
        *days(1, 12, 10, calls=20_000, user="ann"),
        *days(1, 12, 10, calls=20_000, user="bob"),
        *days(1, 12, 10, team="b", key="k2", calls=30_000),
    ]
    over = fa.incidents(frame(calm, storm))
    assert ("resolved", dt.date(2026, 9, 28)) in set(zip(over["state"], over["start"], strict=True))


def test_token_jump_cache_collapse_and_error_storm_are_named():
    cached = {"input": 300, "cache_read": 700, "output": 200}
    jump = frame(days(1, 25, 9, calls=30_000), days(26, 30, 9, calls=30_000, call={"input": 2500, "output": 200}))
    assert "longer prompts" in fa.incidents(jump, by=["team"])["driver"].iloc[0]
    collapse = frame(days(1, 25, 9, calls=90_000, call=cached), days(26, 30, 9, calls=90_000))
    assert "less read from a cache" in fa.incidents(collapse, by=["team"])["driver"].iloc[0]

    def outcome(first, last, failed):
        rows = days(first, last, 9, calls=1000)
        return [r | {"outcome": "ok"} for r in rows] + [
            r | {"outcome": "error", "quantity": D(failed), "effective_cost": D(0)}
            for r in rows
            if r["meter"] == "requests"
        ]

    rows = [*outcome(1, 25, 10), *outcome(26, 30, 600)]
    told = frame(rows).assign(outcome=[r["outcome"] for r in rows])
    found = fa.incidents(told, by=["team"])
    assert found["what"].tolist() == ["error_share"]
    assert found["start"].tolist() == [dt.date(2026, 9, 26)]


def test_other_work_on_some_days_is_no_change_of_a_ratio():
    cached, plain = {"input": 300, "cache_read": 700, "output": 200}, {"input": 1000, "output": 200}
    rows = [row for d in range(1, 29) for row in use(90_000 if d % 7 else 2_000, cached, day=d, month=9, prompt="chat")]
    rows += days(1, 28, 9, calls=20_000, call=plain, prompt="extract", key="k2")  # on every seventh day nearly alone
    found = fa.incidents(frame(rows), by=["team", "prompt_id"])
    assert not {"cache_share", "tokens_per_request"} & set(found["what"])


def test_a_price_is_watched_by_its_model_and_its_money_is_what_it_costs_more():
    rows = frame(days(1, 20, 9, calls=60_000), days(21, 25, 9, calls=60_000, price="1.5"))
    watched = Watched(rows, ["model"], hourly=False, timezone="UTC")
    (found,) = (f for f in watched.findings(1.5, 20.0) if f.measure == "price")
    assert (found.group, found.start, found.end) == ({"model": "small"}, 20, 24)
    assert found.excess == pytest.approx(270)  # 5 days x 60,000 calls x 0.0018 x 0.5
    assert found.times == pytest.approx(1.5)
    assert "small has higher list prices since 21 September" in fa.incidents(rows, by=["model"])["driver"].iloc[0]


@pytest.mark.long
def test_the_samples_spike_is_the_largest_incident_and_anomaly():
    cost = fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())
    first = fa.incidents(cost, most=1).iloc[0]
    assert (str(first["start"]), str(first["end"]), first["state"]) == ("2026-10-25", "2026-10-31", "ongoing")
    assert first["driver"].startswith(
        "support moved from claude-haiku-4-5 to claude-sonnet-5 on 25 October with prompt support-answer v5"
    )
    by_prompt = fa.anomalies(cost, by=["prompt_id"], most=2)
    assert all(abs(e) < sum(cost["effective_cost"].dropna()) for e in by_prompt["expected"])
    assert len(fa.anomalies(cost.head(0))) == len(fa.incidents(cost.head(0))) == 0
    with pytest.raises(FrameError, match="priced rows"):
        fa.incidents(pd.DataFrame(frame(use())).drop(columns="effective_cost"))


def test_a_planted_spike_is_an_anomaly_with_its_cause():
    first, rows = dt.datetime(2026, 7, 6, tzinfo=dt.UTC), []  # a Monday
    for d in range(70):
        calls = (40_000 if d % 7 < 5 else 20_000) * (3 if 60 <= d <= 62 else 1) + (d * 7919 % 11) * 300
        rows += [r | {"charge_period_start": first + dt.timedelta(days=d)} for r in use(calls)]
    table = fa.anomalies(frame(rows), ["team"])
    assert [(str(r.since), str(r.until)) for r in table.itertuples()] == [("2026-09-04", "2026-09-06")]
    assert table["times"].iloc[0] == pytest.approx(3, rel=0.1)
    assert table["cause"].iloc[0] == "more calls"


def test_counts_that_fall_while_the_cost_stays_are_no_money():
    calm = days(1, 26, 9, calls=40_000)
    rounded = [  # the source counts a third of the calls, the tokens are as ever
        r | {"quantity": r["quantity"] / 4} if r["meter"] == "requests" else r for r in days(27, 30, 9, calls=40_000)
    ]
    assert "requests" not in set(fa.incidents(frame(calm, rounded))["what"])
    fewer = fa.incidents(frame(calm, days(27, 30, 9, calls=8_000)))
    assert fewer["excess"].iloc[0] == D("-230.4")  # 4 days x 32,000 calls x 0.0018


def test_one_day_must_be_far_off_and_days_that_follow_each_other_less_each():
    one = alone = four = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        base = 100 * np.exp(rng.normal(0, 0.2, 56))
        alone += len(unusual(base))
        single, several = base.copy(), base.copy()
        single[40] *= 1.8
        several[40:44] *= 1.8
        one += any(r.start <= 40 <= r.end for r in unusual(single))
        four += any(r.start <= 43 and r.end >= 40 for r in unusual(several))
    assert four >= 28
    assert one < four
    assert alone <= 0.6 * 49  # 30 series of 49 days that can be judged are 49 months
