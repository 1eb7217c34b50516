"""Planted optima are found, ranked right and inside their range; where nothing is planted nothing is recommended."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal as D

import pytest

import finops_ai as fa
from tests.saving.companies import FIRST, KINDS, Maker, company

ALL = range(1, 21)


def plants_of(seed):
    return {kind for kind in KINDS if random.Random(seed * 31 + KINDS.index(kind)).random() < 0.7} or {"tier"}


def check_clean(seed):
    found = fa.recommend(company(seed, set()).frame)
    assert not len(found), found[["kind", "what", "why"]].to_dict("records")


def check_planted(seed):
    made = company(seed, plants_of(seed))
    found = fa.recommend(made.frame)
    rows = {row["kind"]: row for row in found.to_dict("records")}
    # each once, and nothing else; giving capacity back altogether may cost less still, which is another answer to the same
    assert set(rows) - {"on_demand"} == set(made.planted)
    for kind, (work, saving) in made.planted.items():
        row = rows[kind]
        assert work in row["what"]
        assert row["saving_low"] <= saving <= row["saving_high"], (kind, saving, row)
        assert abs(row["saving"] - saving) <= saving * D("0.15"), (kind, saving, row["saving"])
    truth = sorted(made.planted, key=lambda kind: -made.planted[kind][1])
    order = [row["kind"] for row in found.to_dict("records") if row["kind"] in made.planted]
    for one, other in zip(truth, truth[1:], strict=False):
        if made.planted[one][1] > made.planted[other][1] * D("1.2"):
            assert order.index(one) < order.index(other)
    whole = sum((D(c) for c in made.frame["effective_cost"].dropna()), D(0))
    counted = found.best
    assert sum(counted["saving"], D(0)) <= sum(counted["cost"], D(0)) <= whole
    for id, cost in zip(found["id"], found["cost"], strict=True):
        assert sum((D(c) for c in found.evidence(id)["effective_cost"].dropna()), D(0)) == cost


@pytest.mark.long
@pytest.mark.parametrize("seed", ALL)
def test_twenty_random_companies(seed):
    check_clean(seed)
    check_planted(seed)


def test_days_that_tell_no_prompt_tokens_say_nothing_of_a_switch():
    maker = Maker(1)
    for n in range(14):
        at = dt.datetime.combine(FIRST + dt.timedelta(n), dt.time(9), dt.UTC)
        for meter in ("output",) if n < 7 else ("input", "output"):
            maker.row("answers", at, 1, "gpt-5.4", meter, 9_000_000, provider="openai")
    found = fa.recommend(maker.frame([]))
    assert not [row for row in found.to_dict("records") if "the same work ran on" in row["why"]]


def test_a_cache_that_was_lost_is_worth_what_it_saved_until_then_on_the_days_since():
    made = Maker(1)
    for day in range(14):
        at = dt.datetime.combine(FIRST + dt.timedelta(day), dt.time(), dt.UTC)
        cached = {"input": 600_000, "cache_read": 400_000, "cache_write_5m": 20_000}
        for meter, count in (
            (cached if day < 7 else {"input": 1_020_000}) | {"output": 50_000, "requests": 500}
        ).items():
            made.row("helper", at, 24, "claude-sonnet-4-6", meter, count, provider="anthropic", prompt_id="helper@v1")
    made.zone = dt.UTC
    rows = {r["kind"]: r for r in fa.recommend(made.frame([])).to_dict("records")}
    # a day costs 1.02 x 3.00 of prompts; it cost 0.6 x 3.00 + 0.4 x 0.30 + 0.02 x 3.75: 1.065 less, on seven days
    row = rows["caching"]
    assert row["saving"] == D("7.455")
    assert row["cost"] == D("21.42")
    assert row["saving_low"] < row["saving"] < row["saving_high"] < D("7.455") * D("1.2")
    assert "until 13 September 39% of it was read from the cache" in row["why"]
