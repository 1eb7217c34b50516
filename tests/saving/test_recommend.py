"""What is recommended of the sample company, how it is decided, and how its real saving is measured."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D

import numpy as np
import pytest

import finops_ai as fa
from finops_ai.errors import DataError, FrameError, SettingsError
from finops_ai.saving.lengths import _clearest
from finops_ai.saving.opportunity import Range
from finops_ai.saving.realised import saved_between
from finops_ai.saving.states import Decisions
from tests.conftest import make_tokens


@pytest.fixture(scope="module")
def sample():
    return fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())


@pytest.fixture(scope="module")
def found(sample):
    return fa.recommend(sample)


def one(found, kind, word):
    rows = [r for r in found.to_dict("records") if r["kind"] == kind and word in r["what"]]
    assert len(rows) == 1, rows
    return rows[0]


def truth_of(workload, *, column="list_cost", since="2026-10-01"):
    slices = fa.sample.slices(months=1)
    mine = slices[
        (slices["workload"] == workload).to_numpy(bool) & (slices["charge_period_start"] >= since).to_numpy(bool)
    ]
    return sum((D(v) for v in mine[column]), D(0))


@pytest.mark.long
def test_the_samples_idle_capacity_is_named_with_its_amount(found):
    slices = fa.sample.slices(months=1)
    mine = slices[(slices["provisioned_hours"] > 0).to_numpy(bool)]
    idle = sum(int(a) - int(b) for a, b in zip(mine["provisioned_hours"], mine["provisioned_hours_used"], strict=True))
    row = one(found, "capacity", "gpt-4.1")
    assert (row["saving_high"], row["cost"], idle) == (3878, 3878, 3878)  # an hour of a unit is one dollar
    assert D("0.9") * idle < row["saving"] < idle  # whole units, without a peak to serve
    assert "3,878.00 of 11,160.00" in row["why"]
    assert row["owner"] == "mobile"
    # paying by the token would save more still: by hand, input at 2 and output at 8 a million
    served = slices[
        ((slices["workload"] == "in-app-chat-ptu") & (slices["service_tier"] == "provisioned")).to_numpy(bool)
    ]
    prompt, answer = (sum(int(v) for v in served[c]) for c in ("input", "output"))
    plain = D(prompt) * 2 / 1_000_000 + D(answer) * 8 / 1_000_000
    other = one(found, "on_demand", "gpt-4.1")
    assert other["saving"] == 11160 - plain
    assert other["counted"]
    assert not row["counted"]  # the same money once


def test_the_samples_support_model_and_prompt_are_named_with_their_amounts(found):
    spike = truth_of("support-answer", since="2026-10-25")
    model = one(found, "model", "support-answer on claude-haiku-4-5")
    assert model["cost"] == spike
    assert model["saving"] == spike / 2  # every price of Haiku 4.5 is half of Sonnet 5's
    assert "until 24 October" in model["why"]
    prompt = one(found, "length", "v5")
    true = spike / 3  # version 5 has half as much again in prompts and answers
    assert prompt["saving_low"] < true < prompt["saving_high"]
    assert abs(prompt["saving"] - true) < true * D("0.06")
    assert prompt["owner"] == model["owner"] == "support"


def test_the_samples_two_uncached_prompts_are_named(found):
    rows = [r for r in found.to_dict("records") if r["kind"] == "caching"]
    assert sorted(r["what"].split()[-1] for r in rows) == ["call-summary", "intranet-search"]
    for row in rows:
        name = row["what"].split()[-1]
        slices = fa.sample.slices(months=1)
        mine = slices[(slices["workload"] == name).to_numpy(bool)]
        paid = D(sum(int(v) for v in mine["input"])) * D("0.75") / 1_000_000
        assert row["cost"] == paid  # all of it fresh
        # if as much repeated as of document-extraction's (0.38 of it), a tenth of the price would be paid for that
        assert row["saving_low"] < paid * D("0.38") * D("0.9") < row["saving_high"]
        assert row["confidence"] == "low"


def test_the_best_set_shares_no_row_and_stays_below_the_cost(sample, found):
    best, seen = found.best, set()
    for id in best["id"]:
        rows = set(found.evidence(id).index)
        assert not rows & seen
        seen |= rows
    whole = sum((D(c) for c in sample["effective_cost"].dropna()), D(0))
    assert sum(best["saving"], D(0)) <= sum(best["cost"], D(0)) <= whole
    # the sentence, the first page and the rows say the same cents: those of the rows, added up
    for name in ("saving", "saving_low", "saving_high"):
        cents = sum((round(D(v), 2) for v in best[name]), D(0))
        assert f"{cents:,}" in found.facts.notes[0]
        assert sum(best.published()[name]) == cents
        assert sum(found.published()[name][found["counted"].to_numpy(bool)]) == cents


@pytest.mark.long
def test_ids_stay_and_the_order_of_rows_does_not_matter(sample, found):
    again = fa.recommend(sample.sample(frac=1, random_state=3).reset_index(drop=True).pipe(lambda f: _told(f, sample)))
    assert list(again["id"]) == list(found["id"])
    assert list(again["saving"]) == list(found["saving"])


def _told(frame, source):
    frame.attrs = dict(source.attrs)
    return frame


@pytest.mark.long
def test_a_contract_scales_what_is_saved(sample):
    from finops_ai.prices.contracts import contracts_of

    rows = [{"name": "a", "provider": "anthropic", "discount": "20"}]
    book = fa.PriceBook.default().under(contracts_of(rows, "t"), "t")
    cost = fa.allocate(fa.price(fa.sample(months=1), book), fa.sample.rules())
    plain, agreed = (one(fa.recommend(f), "model", "support-answer") for f in (sample, cost))
    assert agreed["saving"] == plain["saving"] * D("0.8")
    assert agreed["id"] == plain["id"]


@pytest.mark.long
def test_a_volume_tier_scales_it_too(sample):
    from finops_ai.prices.contracts import contracts_of

    rows = [{"name": "v", "provider": "anthropic", "volume_of": "cost", "volume": [{"over": "0", "discount": "25"}]}]
    book = fa.PriceBook.default().under(contracts_of(rows, "t"), "t")
    cost = fa.allocate(fa.price(fa.sample(months=1), book), fa.sample.rules())
    plain, agreed = (one(fa.recommend(f), "model", "support-answer") for f in (sample, cost))
    assert abs(agreed["saving"] - plain["saving"] * D("0.75")) < D("1e-9")


def test_rows_without_prices_are_refused_and_nothing_is_made_of_nothing():
    with pytest.raises(FrameError, match=r"fa\.price"):
        fa.recommend(fa.sample(months=1))
    empty = fa.price(make_tokens([{"quantity": 1}]))[:0]
    assert not len(fa.recommend(empty))
    with pytest.raises(DataError, match="No opportunity 'zzz'"):
        fa.recommend(empty).evidence("zzz")


def test_retries_and_long_contexts_are_found_by_hand():
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    rows = [
        {"at": start + dt.timedelta(days=n), "model": "gpt-5.4", "quantity": 1_000_000, "api_key_id": "a", "outcome": out, "slice_requests": 10}
        for n in range(5) for out in ("ok", "retry")
    ]  # fmt: skip
    rows += [
        {"at": start + dt.timedelta(days=n), "model": "gpt-5.4", "quantity": 400_000, "api_key_id": "b", "slice_requests": 1, "slice_input_tokens": 400_000}
        for n in range(5)
    ]  # fmt: skip
    found = fa.recommend(fa.price(make_tokens(rows)))
    # five retries of a million tokens at 2.50; five calls of 0.4 million at 5 instead of 2.50
    assert one(found, "failures", "a")["saving"] == D("12.5")
    assert one(found, "long_context", "b")["saving"] == 5 * D("0.4") * D("2.5")


def test_models_that_end_or_get_dearer_are_announced_and_are_no_saving():
    from finops_ai.prices.contracts import contracts_of

    rows = [{"name": "c", "provider": "openai", "from": "2026-01-01", "prices": [
        {"model": "gpt-5.4", "prices": {"input": "2"}, "to": "2026-12-01"}]}]  # fmt: skip
    book = fa.PriceBook.default().under(contracts_of(rows, "t"), "t")
    day = dt.datetime(2026, 10, 31, tzinfo=dt.UTC)
    names = [
        ("openai", "gpt-4.1-2025-04-14"),
        ("azure-openai", "gpt-4.1"),
        ("openai", "gpt-5.4"),
        ("openai", "gpt-5.1"),
    ]
    tokens = make_tokens([{"at": day, "provider": p, "model": m, "quantity": 1_000_000} for p, m in names])
    found = fa.recommend(fa.price(tokens, book))
    assert not len(found)
    told = {(r["model"], r["what"], str(r["on"])): r for r in found.coming.to_dict("records")}
    # Azure has dates of its own, and GPT-5.1 is further away than four months
    assert set(told) == {("gpt-4.1-2025-04-14", "retires", "2027-01-14"), ("gpt-5.4", "dearer", "2026-12-01")}
    assert told["gpt-5.4", "dearer", "2026-12-01"]["more"] == D("0.5")  # the list's 2.50 instead of 2
    assert any("gpt-4.1-2025-04-14 at openai retires on 14 January 2027" in note for note in found.facts.notes)


def test_idle_seats_are_given_up_and_stand_beside_the_rows():
    import pandas as pd

    cost = fa.price(make_tokens([{"model": "gpt-5.4", "quantity": 40_000_000}]))  # 100
    seats = pd.DataFrame({
        "provider": ["cursor"] * 3, "plan": ["teams"] * 3, "status": ["idle", "idle", "unknown"], "idle_cost": [D(40), D(40), D(0)],
    })  # fmt: skip
    found = fa.recommend(cost, seats=seats)
    row = one(found, "seats", "2 idle seats of teams")
    assert (row["saving"], row["cost"], row["counted"]) == (80, 80, True)
    assert "80.00 USD (80.00 USD to 80.00 USD) of 180.00 USD" in found.facts.notes[0]
    assert not len(found.evidence(row["id"]))


# ---- what is decided


def test_decisions_are_only_ever_added_and_the_last_one_holds(tmp_path):
    book = Decisions(tmp_path)
    assert book.states() == {}
    book.decide("abc", "accept", about={"kind": "tier", "saving": D("1.50")})
    first = book.path.read_text("utf-8")
    book.decide("abc", "dismiss", "needed for the launch")
    assert book.path.read_text("utf-8").startswith(first)
    state = book.states()["abc"]
    assert (state.state, state.reason, state.counts) == ("dismissed", "needed for the launch", False)
    assert state.about == {"kind": "tier", "saving": "1.50"}  # what it was stays known
    with pytest.raises(SettingsError, match="needs its reason"):
        book.decide("abc", "dismiss")
    with pytest.raises(SettingsError, match="Did you mean 'dismiss'"):
        book.decide("abc", "dismis", "x")
    book.path.write_text(first + "{broken\n")
    with pytest.raises(DataError, match="line 2"):
        book.states()


@pytest.mark.long
def test_what_was_dismissed_is_shown_and_no_longer_counted(sample, found):
    from finops_ai.saving.states import State

    id = found.best["id"].iloc[0]
    again = fa.recommend(sample, states={id: State("dismissed", "contract runs to 2027")})
    row = again[(again["id"] == id).to_numpy(bool)].iloc[0]
    assert (row["state"], row["reason"], row["counted"]) == ("dismissed", "contract runs to 2027", False)
    other = one(again, "capacity", "gpt-4.1")  # what shared its rows takes its place
    assert other["counted"]


# ---- what it really saved


def month(number, rows):
    start = dt.datetime(2026, number, 1, tzinfo=dt.UTC)
    out = []
    for n in range(10):
        for row in rows:
            out.append(
                {"at": start + dt.timedelta(days=n), "provider": "anthropic", "api_key_id": "k", "slice_requests": 100}
                | row
            )
    return fa.price(make_tokens(out))


def test_the_real_saving_of_a_model_is_told_at_the_calls_of_both_months():
    """Ten million tokens at 3, then twice as many at 1: forty less than they would have cost, twenty at the calls of then."""
    calls = {"meter": "requests", "quantity": 100}
    before = month(9, [{"model": "claude-sonnet-4-6", "quantity": 1_000_000}, {"model": "claude-sonnet-4-6", **calls}])
    twice = {"model": "claude-haiku-4-5", "slice_requests": 200}
    after = month(10, [{**twice, "quantity": 2_000_000}, {**twice, "meter": "requests", "quantity": 200}])
    about = {
        "kind": "model",
        "subject": {
            "provider": "anthropic",
            "api_key_id": "k",
            "operation": "chat",
            "model": "claude-sonnet-4-6",
            "to": "claude-haiku-4-5",
        },
    }
    assert fa.explain(before, after).iloc[0]["change"] == 20 - 30
    assert saved_between(before, after, about) == (40, 20)
    uncounted = [frame[(frame["meter"] != "requests").to_numpy(bool)] for frame in (before, after)]
    assert saved_between(*uncounted, about) == (40, 20)  # by tokens
    assert saved_between(after, before, about) == (-20, -40)
    assert (
        saved_between(before, month(10, [{"api_key_id": "other", "model": "claude-haiku-4-5", "quantity": 1}]), about)
        is None
    )


def test_ranges_are_in_order():
    assert Range(D(3), D(1), D(2)) == Range(D(1), D(2), D(3))


@pytest.mark.long
def test_a_key_that_made_no_call_since_is_told_and_saves_nothing(sample):
    since = sample["charge_period_start"]
    middle = dt.datetime(2026, 10, 12, tzinfo=dt.UTC)
    before, after = (sample[m.to_numpy(bool)] for m in (since < middle, since >= middle))
    gone = (after["api_key_id"] == "apikey_support").fillna(False).to_numpy(bool)
    found = fa.recommend(_told(after[~gone].copy(), sample), history=_told(before, sample))
    keys = found.idle_keys
    assert list(keys["api_key_id"]) == ["apikey_support"]
    mine = before[(before["api_key_id"] == "apikey_support").fillna(False).to_numpy(bool)]
    assert keys["cost"].iloc[0] == sum((D(c) for c in mine["effective_cost"].dropna()), D(0))
    assert keys["last_used"].iloc[0] == dt.date(2026, 10, 11)
    assert any("apikey_support (last on 11 October 2026)" in note for note in found.facts.notes)
    assert not len(fa.recommend(_told(after, sample), history=_told(before, sample)).idle_keys)


@pytest.mark.long
def test_a_step_is_a_range_wide_enough_for_days_that_wander_together():
    """By hand: levels that stray by s from their middle may each be off by two such spreads."""
    rng = np.random.default_rng(5)
    outside = 0
    for _ in range(200):
        wander = np.cumsum(rng.normal(0, 0.006, 31)) + rng.normal(0, 0.012, 31)
        lengths = 3000 * np.exp(wander)
        lengths[24:] *= 1.5
        days = [dt.date(2026, 10, 1) + dt.timedelta(n) for n in range(31)]
        step = _clearest(days, (lengths, lengths / 10))
        assert step is not None
        assert step.since == days[24]
        outside += not float(step.least[0]) <= 1 / 1.5 <= 1 - (1 - float(step.prompt)) / 2
    assert outside <= 6


def test_rows_of_whole_days_say_what_they_are_too_coarse_to_show():
    rows = month(9, [{"model": "claude-sonnet-4-6", "quantity": 1_000_000}])
    assert [note.split(":")[0] for note in fa.recommend(rows).facts.notes[-2:]] == [
        "No rows of an hour or less",
        "No rows of single calls",
    ]


def calls_of(lengths):
    """Two calls an hour of ten working hours, for two weeks, with prompts of these lengths."""
    rows = []
    for n, tokens in enumerate(lengths):
        at = dt.datetime(2026, 10, 1 + n // 20, 8 + n % 20 // 2, n % 2 * 3, tzinfo=dt.UTC)
        who = {
            "provider": "anthropic",
            "model": "claude-sonnet-5",
            "at": at,
            "charge_period_end": at + dt.timedelta(seconds=2),
        }
        who |= {"request_id": str(n), "slice_requests": 1, "slice_input_tokens": int(tokens), "prompt_id": "head@v1"}
        rows += [
            who | {"meter": m, "quantity": q} for m, q in (("requests", 1), ("input", int(tokens)), ("output", 200))
        ]
    return fa.price(make_tokens(rows))


def shapes():
    draw = np.random.default_rng(7)
    return {
        "bell": (draw.normal(20_000, 3_000, 280), False),
        "wide bell": (draw.normal(20_000, 5_000, 280), False),
        "narrow without an edge": (draw.lognormal(9.9, 0.22, 280), False),
        "an edge and an even rest": (12_000 + draw.uniform(0, 9_000, 280), True),
        "an edge and a long tail": (9_000 + draw.lognormal(7.5, 0.8, 280), True),
        "all alike": (draw.normal(9_000, 300, 280), True),
    }


@pytest.mark.parametrize("shape", list(shapes()))
def test_prompts_begin_at_an_edge_or_are_alike_where_caching_is_told(shape):
    lengths, told = shapes()[shape]
    found = [r["kind"] for r in fa.recommend(calls_of(lengths)).to_dict("records")]
    assert ("caching" in found) == told, found
