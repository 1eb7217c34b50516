"""Chargeback: conserved to the cent, incentives add up to 0, saving always pays, keys can't be gamed, books balance."""

from __future__ import annotations

import datetime as dt
import json
import os
from decimal import Decimal
from fractions import Fraction

import openpyxl
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.errors import DataError, RuleError
from finops_ai.prices.contracts import contracts_of
from finops_ai.tables.chargeback import round_fractions
from finops_ai.tables.incentives import Measured, adjust
from finops_ai.tables.policy import Incentives, Policy

D = Decimal
OCTOBER = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
TEAMS = {
    "dimensions": {"team": {}},
    "rules": [{"name": t, "when": {"api_key_id": {"prefix": f"{t}-"}}, "set": {"team": t}} for t in ("a", "b", "c")],
}


@pytest.fixture
def month(tokens_of, book):
    def make(rows):
        return fa.allocate(fa.price(tokens_of(rows), book), TEAMS)

    return make


def test_pass_through_with_margin_by_hand(month, book):
    # a: 3,000,000 x 1e-6 x 0.9 = 2.70; b: 1,000,000 output x 4e-6 x 0.9 = 3.60; nobody's 1,000,000 = 0.90
    rows = month([
        {"api_key_id": "a-1", "quantity": 3_000_000}, {"api_key_id": "b-1", "meter": "output", "quantity": 1_000_000}, {"quantity": 1_000_000},
    ])  # fmt: skip
    made = fa.chargeback(rows, {"dimension": "team", "tariffs": [{"markup": "0.05"}]}, month="2026-10", book=book)
    assert dict(zip(made.summary["receiver"], made.summary["charge"], strict=True)) == {"b": D("3.78"), "a": D("2.84")}
    # 6.30 x 1.05 = 6.615, rounded half-even to 6.62 in all; lines: 2.70 + 0.135, 3.60 + 0.18
    entries = made.journal()
    assert sum(entries["debit"]) == sum(entries["credit"]) == D("7.52")  # 6.62 charged, 0.90 central
    by_account = {(r.account, r.cost_centre): r.debit - r.credit for r in entries.itertuples()}
    assert by_account["2190", ""] == D("-7.20")
    assert by_account["6190", ""] == D("0.90")
    assert by_account["7190", ""] == D("-0.32")


def test_tariffs_by_hand(month, book):
    rows = month([
        {"api_key_id": "a-1", "quantity": 3_000_000}, {"api_key_id": "b-1", "quantity": 1_000_000},
        {"api_key_id": "c-1", "quantity": 1_000_000, "service_tier": "batch"}, {"api_key_id": "c-1", "meter": "output", "quantity": 500_000},
    ])  # fmt: skip
    policy = {
        "dimension": "team",
        "tariffs": [
            {
                "for": ["a"],
                "method": "rate_card",
                "card": {"fresh_input": [{"up_to": 1_000_000, "rate": "2"}, {"rate": "1.5"}]},
            },
            {
                "for": ["b"],
                "method": "subscription",
                "fee": "10",
                "included_tokens": 400_000,
                "overage": "5",
                "minimum": "20",
            },
            {"for": ["c"], "method": "blended"},
        ],
    }
    made = fa.chargeback(rows, policy, month="2026-10", book=book)
    charges = dict(zip(made.summary["receiver"], made.summary["charge"], strict=True))
    # a: 1M at 2 + 2M at 1.5; b: 10 + 0.6 x 5 = 13, topped up to 20
    # c: average input (2.70 + 0.90 + 0.45) / 5M = 0.81 per million, plus output 0.5M x 3.60 per million
    assert charges == {"a": D("5.00"), "b": D("20.00"), "c": D("2.61")}
    kinds = made.statement("b")["kind"].tolist()
    assert (
        kinds == ["usage", "fee", "minimum"]
        or kinds == ["fee", "usage", "minimum"]
        or sorted(kinds) == ["fee", "minimum", "usage"]
    )


def test_tariffs_follow_their_months(month, book):
    rows = month([{"api_key_id": "a-1", "quantity": 1_000_000}])
    policy = {
        "dimension": "team",
        "tariffs": [{"to": "2026-10", "markup": "1"}, {"from": "2026-10", "to": "2026-11", "markup": "0.5"}],
    }
    made = fa.chargeback(rows, policy, month="2026-10", book=book)
    assert made.summary["charge"].tolist() == [D("1.35")]
    with pytest.raises(RuleError, match="No chargeback tariff covers 'a' in 2026-10"):
        fa.chargeback(rows, {"dimension": "team", "tariffs": [{"from": "2026-11"}]}, month="2026-10", book=book)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"dimension": "tem"}, "'tem' is no dimension of the rows. Did you mean 'team'?"),
        ({}, "needs `dimension`"),
        ({"dimension": "team", "tarifs": []}, "Did you mean 'tariffs'?"),
        ({"dimension": "team", "tariffs": [{"method": "rate_crd"}]}, "Did you mean 'rate_card'?"),
        ({"dimension": "team", "tariffs": [{"method": "rate_card"}]}, "needs it"),
        ({"dimension": "team", "tariffs": [{"method": "rate_card", "card": {"fresh": "1"}}]}, "'fresh'"),
        ({"dimension": "team", "tariffs": [{"markup": "-1"}]}, "must be 0 or more"),
        ({"dimension": "team", "tariffs": [{"markup": "much"}]}, "must be a number"),
        ({"dimension": "team", "tariffs": [{"from": "2026-11", "to": "2026-10"}]}, "not before"),
        ({"dimension": "team", "incentives": {"cash": "1"}}, "Did you mean 'cache'?"),
        ({"dimension": "team", "incentives": {"cache": "1.5"}}, "at most 1"),
        ({"dimension": "team", "incentives": {"cap": "0.9"}}, "at most 0.5"),
        (
            {
                "dimension": "team",
                "tariffs": [{"method": "rate_card", "card": {"fresh_input": "1", "cache_read": "2"}}],
            },
            "caching would raise",
        ),
    ],
)
def test_bad_policies_are_refused(month, book, policy, words):
    with pytest.raises(RuleError) as caught:
        fa.chargeback(month([{"api_key_id": "a-1"}]), policy, month="2026-10", book=book)
    assert words in str(caught.value)


def test_an_empty_month_is_an_error(month, book):
    with pytest.raises(DataError, match="no priced rows in 2026-09"):
        fa.chargeback(month([{"api_key_id": "a-1"}]), {"dimension": "team"}, month="2026-09", book=book)


#: FINOPS_AI_EXAMPLES=20 tries twenty times as many examples
MANY = int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))
AMOUNT = st.integers(0, 10**9).map(lambda n: Fraction(n, 997))
FULL_PRICES = st.dictionaries(st.sampled_from("abcdefgh"), AMOUNT, min_size=1, max_size=8)
SAVINGS = st.dictionaries(st.sampled_from("abcdefgh"), AMOUNT, max_size=8)
RATES = st.fixed_dictionaries({k: st.integers(0, 100).map(lambda n: D(n) / 100) for k in ("cache", "batch", "idle")})
CAPS = st.integers(0, 50).map(lambda n: D(n) / 100)


def adjusted(costs, rules, **savings):
    """Scores of receivers charged at cost, whose savings earn their rate in full."""
    earned = {kind: {n: Fraction(rules.rates[kind]) * v for n, v in mine.items()} for kind, mine in savings.items()}
    return adjust(costs, costs, Measured(savings, earned), rules)


@settings(max_examples=50 * MANY, deadline=None)
@given(FULL_PRICES, SAVINGS, SAVINGS, SAVINGS, RATES, CAPS)
def test_incentives_add_up_to_nothing_and_stay_within_the_cap(costs, cache, batch, idle, rates, cap):
    scores = adjusted(costs, Incentives(rates, cap), cache=cache, batch=batch, idle=idle)
    assert sum((s.adjustment for s in scores.values()), Fraction(0)) == 0
    for name, one in scores.items():
        assert abs(one.adjustment) <= Fraction(cap) * costs[name]


@settings(max_examples=50 * MANY, deadline=None)
@given(FULL_PRICES, SAVINGS, SAVINGS, RATES, CAPS, st.integers(0, 97).map(lambda n: Fraction(n, 97)), st.data())
def test_saving_more_or_wasting_less_never_raises_ones_own_adjustment(costs, cache, idle, rates, cap, part, data):
    rules = Incentives(rates, cap)
    name = data.draw(st.sampled_from(sorted(costs)))
    if not costs[name]:
        assert name not in adjusted(costs, rules, cache=cache, idle=idle)
        return
    before = adjusted(costs, rules, cache=cache, idle=idle)[name].adjustment
    earned = cache | {name: cache.get(name, Fraction(0)) + part * costs[name]}
    assert adjusted(costs, rules, cache=earned, idle=idle)[name].adjustment <= before
    busier = idle | {name: idle.get(name, Fraction(0)) * (1 - part)}
    assert adjusted(costs, rules, cache=cache, idle=busier)[name].adjustment <= before


@settings(max_examples=50 * MANY, deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9).map(lambda n: Fraction(n, 9973)), max_size=20), st.integers(0, 4))
def test_rounding_keeps_the_total(amounts, places):
    made = round_fractions(amounts, places)
    assert abs(Fraction(sum(made, D(0))) - sum(amounts, Fraction(0))) * 2 <= Fraction(1, 10**places)


PRICED = {"api_key_id": "c-1", "quantity": 1_000_000, "model": "small"}
ROWS = st.lists(
    st.fixed_dictionaries({
        "api_key_id": st.sampled_from(["a-1", "a-2", "b-1", "c-1", None]), "quantity": st.integers(0, 10**9),
        "model": st.sampled_from(["small", "big"]), "meter": st.sampled_from(["input", "output", "requests", "cache_read"]),
        "service_tier": st.sampled_from(["standard", "batch"]), "provider": st.sampled_from(["openai", "vertex"]),
        "billing_account_id": st.sampled_from(["x", "y"]), "prompt_id": st.sampled_from(["p@1", "p@2", None]),
    }), min_size=1, max_size=15).map(lambda rows: [*rows, PRICED])  # fmt: skip
TARIFFS = st.lists(
    st.one_of(
        st.builds(lambda m: {"markup": str(D(m) / 1000)}, st.integers(0, 300)),
        st.just({"method": "blended"}),
        st.just(
            {
                "method": "rate_card",
                "card": {"fresh_input": "0.77", "output": [{"up_to": 10**6, "rate": "3.3"}, {"rate": "1.1"}]},
                "minimum": "5",
            }
        ),
        st.just({"method": "subscription", "fee": "7.77", "included_tokens": 10**6, "overage": "0.5"}),
    ),
    min_size=3,
    max_size=3,
)


def policy_of(tariffs):
    named = [{"for": [team]} | tariff for team, tariff in zip("abc", tariffs, strict=True)]
    return {"dimension": "team", "tariffs": [*named, {}], "incentives": {"batch": "0.3", "cache": "0.3", "cap": "0.4"}}


@settings(max_examples=3 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS, tariffs=TARIFFS)
def test_map_charge_and_journal_conserve_to_the_cent(rows, tariffs, month, book):
    allocated = month(rows)
    made = fa.chargeback(allocated, policy_of(tariffs), month="2026-10", book=book)
    lines = made.lines
    charged = sum(made.summary["charge"], D(0))
    assert sum(lines["amount"], D(0)) == charged
    moved = [a for a, k in zip(lines["amount"], lines["kind"], strict=True) if k in ("incentive", "funding")]
    assert sum(moved, D(0)) == 0
    entries = made.journal()
    assert sum(entries["debit"], D(0)) == sum(entries["credit"], D(0))
    # per provider and account the journal credits what the rows cost, within one cent of rounding per account
    for (provider, account), rows_ in allocated.groupby(["provider", "billing_account_id"]):
        cost = sum((c for c in rows_["effective_cost"].dropna()), D(0))
        mine = entries[((entries["provider"] == provider) & (entries["billing_account_id"] == account)).to_numpy()]
        assert abs(sum(mine["credit"], D(0)) - sum(mine["debit"], D(0)) - cost) <= D("0.01")


@pytest.mark.long
@settings(max_examples=3 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=ROWS)
def test_splitting_keys_and_requests_changes_no_charge(rows, month, book):
    """Every row cut in two, on two keys of the same team: the same tokens cost and earn the same."""
    policy = policy_of([{}, {"method": "blended"}, {"markup": "0.1"}])
    halves = []
    for row in rows:
        key, half = row["api_key_id"], row["quantity"] // 2
        halves += [
            row | {"quantity": half},
            row | {"quantity": row["quantity"] - half, "api_key_id": key and f"{key}-more"},
        ]
    one, two = (fa.chargeback(month(r), policy, month="2026-10", book=book).summary for r in (rows, halves))
    assert dict(zip(one["receiver"], one["charge"], strict=True)) == dict(
        zip(two["receiver"], two["charge"], strict=True)
    )


HABITS = {"batch": {"service_tier": "batch"}, "cache": {"model": "small", "meter": "cache_read"}}
REWARDED = ("0", "0.05", "0.5", "1")


def charge_of(team, rows, policy, month, book):
    lines = fa.chargeback(month(rows), policy, month="2026-10", book=book).lines
    return sum((e for e, r in zip(lines["exact"], lines["receiver"], strict=True) if r == team), D(0))


def improved(rows, team, habit, chance):
    """The team's work, or a part of it, done in the better habit; only plain input can come from a cache."""
    return [
        row | HABITS[habit]
        if (row["api_key_id"] or "").startswith(team)
        and (habit != "cache" or (row["model"], row.get("meter", "input")) == ("small", "input"))
        and i % 3 <= chance
        else row
        for i, row in enumerate(rows)
    ]


@pytest.mark.long
@settings(max_examples=3 * MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rows=ROWS, team=st.sampled_from("abc"), tariff=TARIFFS.map(lambda x: x[0]), habit=st.sampled_from(["batch", "cache"]),
    chance=st.integers(0, 2), batch=st.sampled_from(REWARDED), cache=st.sampled_from(REWARDED), cap=st.sampled_from(["0.02", "0.5"]),
)  # fmt: skip
def test_a_better_habit_never_raises_the_charge(rows, team, tariff, habit, chance, batch, cache, cap, month, book):
    policy = {"dimension": "team", "tariffs": [tariff], "incentives": {"batch": batch, "cache": cache, "cap": cap}}
    before, after = (charge_of(team, r, policy, month, book) for r in (rows, improved(rows, team, habit, chance)))
    assert after <= before + D("1e-12")


@pytest.mark.parametrize("method", ["pass_through", "blended"])
def test_the_charge_falls_even_where_the_tariff_hardly_feels_the_saving(method, month, book):
    """A small team at the company's average: its average hardly moves, its reward must not shrink with its cost."""
    rows = [{"api_key_id": "c-1", "quantity": 1_000_000}, *({"api_key_id": "a-1", "service_tier": t, "quantity": 1} for t in ("standard", "batch"))]  # fmt: skip
    policy = {"dimension": "team", "tariffs": [{"method": method}], "incentives": {"batch": "0.5", "cap": "0.4"}}
    before, after = (charge_of("a", r, policy, month, book) for r in (rows, improved(rows, "a", "batch", 2)))
    assert after < before


def test_a_saving_of_cache_and_batch_is_cut_in_two_and_counted_once(month, book):
    # a: 10M tokens from a cache in batch, 0.45 x 1e-6 x 0.1; b: 10M plain: 9.00
    rows = [{"api_key_id": "a-1", "quantity": 10_000_000, "meter": "cache_read", "service_tier": "batch"}, {"api_key_id": "b-1", "quantity": 10_000_000}]  # fmt: skip
    policy = {"dimension": "team", "incentives": {"batch": "0.01", "cache": "0.01", "cap": "0.5"}}
    made = fa.chargeback(month(rows), policy, month="2026-10", book=book)
    exact = {(r.receiver, r.kind, r.text.split(":")[0]): r.exact for r in made.lines.itertuples()}
    # 9.00 plain, 4.50 in batch, 0.45 from the cache: batch saved 4.50, the cache 4.05, 8.55 in all; a hundredth of each
    assert exact["a", "incentive", "Cache"] == D("-0.0405")
    assert exact["a", "incentive", "Batch"] == D("-0.045")
    funding = {r: v for (r, k, _), v in exact.items() if k == "funding"}
    assert abs(funding["b"] - funding["a"] * 20) < D("1e-16")  # by charge: 9.00 to 0.45
    assert abs(sum(funding.values()) - D("0.0855")) < D("1e-17")


def test_incentives_of_converted_costs_are_measured_at_the_rate_of_the_use(month, book, tmp_path):
    """The same month in a group's currency: half of it at 2 for one, half at 4."""
    from finops_ai.engine.converting import in_group
    from finops_ai.prices.currency import Conversion

    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-10-05,USD,0.5\n2026-10-06,USD,0.25\n")
    euro = Conversion.load({"group": "EUR", "base": "EUR", "rates": "rates.csv"}, tmp_path, "")
    days = [dt.datetime(2026, 10, day, 12, tzinfo=dt.UTC) for day in (5, 6)]
    rows = [
        row | {"at": day, "quantity": 5_000_000}
        for day in days
        for row in ({"api_key_id": "a-1", "meter": "cache_read", "service_tier": "batch"}, {"api_key_id": "b-1"})
    ]
    policy = {"dimension": "team", "incentives": {"batch": "0.01", "cache": "0.01", "cap": "0.5"}}
    made = fa.chargeback(in_group(month(rows), euro), policy, month="2026-10", book=book)
    exact = {(r.receiver, r.kind, r.text.split(":")[0]): r.exact for r in made.lines.itertuples()}
    assert made.currency == "EUR"
    # in dollars batch saved 2.25 a day and the cache 2.025; in euros twice and four times that; a hundredth of each
    assert exact["a", "incentive", "Cache"] == D("-0.1215")
    assert exact["a", "incentive", "Batch"] == D("-0.135")


def test_a_reward_stays_below_what_the_work_cost(month, book):
    """The same with a tenth of each: 0.855 for work that cost 0.45 is held at half of it, then at a quarter in all."""
    rows = [{"api_key_id": "a-1", "quantity": 10_000_000, "meter": "cache_read", "service_tier": "batch"}, {"api_key_id": "b-1", "quantity": 10_000_000}]  # fmt: skip
    policy = {"dimension": "team", "incentives": {"batch": "0.1", "cache": "0.1", "cap": "0.5"}}
    made = fa.chargeback(month(rows), policy, month="2026-10", book=book)
    mine = [r for r in made.lines.itertuples() if (r.receiver, r.kind) == ("a", "incentive")]
    assert abs(sum(r.exact for r in mine) + D("0.1125")) < D("1e-17")
    # 0.225 in all, 4.05 / 8.55 of it for the cache and 4.50 / 8.55 for batch
    assert [r.text.split("returned, ")[1] for r in mine] == [
        f"held at {part} USD, within 50% of what that work cost, held at 0.11 USD in all" for part in ("0.11", "0.12")
    ]


@pytest.mark.long
def test_ways_to_game_an_incentive_that_once_worked(month, book):
    """Tokens sent only to be rewarded cost more than they earn; a baseline counts for as much work as it rests on."""
    work = [{"api_key_id": "a-1", "quantity": 10_000_000}, {"api_key_id": "b-1", "quantity": 100_000_000}]
    padding = {"api_key_id": "a-1", "quantity": 10_000_000, "meter": "cache_read", "service_tier": "batch"}
    for rates in ({"cache": "1", "batch": "1", "cap": "0.5"}, {"cache": "0.2", "cap": "0.1"}):
        policy = {"dimension": "team", "incentives": rates}
        before, after = (charge_of("a", r, policy, month, book) for r in (work, [*work, padding]))
        assert before < after < before + D("0.45")

    def template(month_, inputs, outputs, calls):
        base = {"api_key_id": "a-1", "prompt_id": "t@1", "at": dt.datetime(2026, month_, 5, tzinfo=dt.UTC)}
        return [
            base | {"meter": m, "quantity": q} for m, q in (("input", inputs), ("output", outputs), ("requests", calls))
        ]

    policy = {"dimension": "team", "incentives": {"prompt": "0.5", "cap": "0.5"}}
    usual = [*template(10, 100_000_000, 10_000_000, 50_000), work[1]]
    honest, padded = (
        charge_of("a", [*template(9, size, 2_000, 10), *usual], policy, month, book) for size in (20_000, 400_000)
    )
    # ten calls of 40,000 tokens instead of 2,000 cost 0.34 more in September; October may give back half of that at most
    assert honest - D("0.17") <= padded <= honest


def test_a_net_credit_stays_a_credit(month, book):
    rows = month([{"api_key_id": "a-1", "quantity": 1_000_000}, {"api_key_id": "b-1", "quantity": 10_000_000}])
    cost = [D(-5) if team == "a" else v for team, v in zip(rows["team"], rows["effective_cost"], strict=True)]
    rows["effective_cost"] = pd.Series(cost, dtype=rows["effective_cost"].dtype)
    rows = rows.drop(columns="published_cost", errors="ignore")
    policy = {"dimension": "team", "tariffs": [{"minimum": "20"}], "incentives": {"cache": "0.1"}}
    made = fa.chargeback(rows, policy, month="2026-10", book=book)
    assert dict(zip(made.summary["receiver"], made.summary["charge"], strict=True)) == {"b": D(20), "a": D(-5)}
    entries = made.journal()
    assert {(r.cost_centre, r.debit, r.credit) for r in entries.itertuples() if r.account == "6100"} == {
        ("b", D(20), D(0)),
        ("a", D(0), D(5)),
    }


def test_a_cheaper_model_and_caching_never_raise_a_charge_under_cards_and_subscriptions(month, book):
    work = [{"api_key_id": "a-1", "quantity": 10_000_000}]  # 9.00
    cached = [
        {"api_key_id": "a-1", "quantity": 2_000_000},
        {"api_key_id": "a-1", "quantity": 8_000_000, "meter": "cache_read"},
    ]
    card = {"dimension": "team", "tariffs": [{"method": "rate_card", "card": {"fresh_input": "0.2"}}]}
    # cached input isn't on the card: a tenth of the price, so a tenth of the plain rate
    assert [charge_of("a", r, card, month, book) for r in (work, cached)] == [D(2), D("0.56")]
    # a card for cached input alone: plain input is charged at cost, 0.9 per million, and cached input at that at most
    card = {"dimension": "team", "tariffs": [{"method": "rate_card", "card": {"cache_read": "2"}}]}
    assert [charge_of("a", r, card, month, book) for r in (work, cached)] == [D(9), D(9)]
    flat = {
        "dimension": "team",
        "tariffs": [{"method": "subscription", "fee": "1", "included_tokens": 5_000_000, "overage": "4"}],
    }
    # 5M beyond: at what they cost, 0.9 per million, below the overage rate of 4; another model needs 30% more tokens
    dear = [{"api_key_id": "a-1", "quantity": 10_000_000, "model": "big"}]  # 10M x 3e-6 x 0.9 = 27.00: 2.70 per million
    cheap = [{"api_key_id": "a-1", "quantity": 13_000_000}]
    assert [charge_of("a", r, flat, month, book) for r in (dear, cheap)] == [D("14.5"), D("8.2")]


def test_writing_to_a_cache_is_held_at_what_a_card_asks_without_one():
    """90M read and 10M written for 100M plain, of a model where that costs 0.1 and 1.25 times as much: a fifth in all."""
    from finops_ai.tables.policy import Policy
    from finops_ai.tables.tariffs import needs_plain, tariff_lines

    def used(kind, quantity, cost):
        return {
            "model": "m",
            "class": kind,
            "unit": "tokens",
            "quantity": D(quantity),
            "cost": D(cost),
            "cents": D(cost),
        }

    def charged(card, usage, plain=None):
        tariff = Policy.load({"dimension": "team", "tariffs": [{"method": "rate_card", "card": card}]}).tariffs[0]
        assert needs_plain(tariff)
        return float(sum(line.exact for line in tariff_lines("a", usage, tariff, {}, plain)))

    work = [used("fresh_input", 100_000_000, "300")]
    cached = [used("cache_read", 90_000_000, "27"), used("cache_write_5m", 10_000_000, "37.5")]
    ratios = {"cache_read": Fraction(1, 10), "cache_write_5m": Fraction(5, 4)}
    steps = [{"up_to": 50_000_000, "rate": "2"}, {"rate": "1"}]
    for card, plain, once, later in (
        (
            {"fresh_input": "1", "cache_read": "0.9", "cache_write_5m": "20"},
            None,
            100,
            100,
        ),  # 81 + 200, held at 100 x 1
        ({"fresh_input": steps, "cache_read": "1", "cache_write_5m": "1.2"}, None, 150, 102),  # below 50 x 2 + 50 x 1
        ({"fresh_input": "1", "cache_read": "1"}, ratios, 100, 100),  # 90 + 1.25 x 10 as it costs, held
        ({"cache_write_5m": "30"}, ratios, 300, 300),  # 27 at cost + 300, held at 270 + 30
    ):
        assert (charged(card, work, plain), charged(card, cached, plain)) == (once, later)
    blended = Policy.load({"dimension": "team", "tariffs": [{"method": "blended"}]}).tariffs[0]
    averages = {("m", "fresh_input", "tokens"): Fraction(3, 2), ("m", "cache_read", "tokens"): Fraction(3, 10), ("m", "cache_write_5m", "tokens"): Fraction(15, 4)}  # fmt: skip
    half = [used("cache_read", 50, "15"), used("cache_write_5m", 50, "187.5")]  # 15 + 187.50, held at 100 x 1.50
    assert sum(line.exact for line in tariff_lines("a", half, blended, averages)) == 150


def test_a_reward_for_a_cheaper_model_is_at_most_half_of_what_work_may_earn(month, book):
    """Caching saves at least half of what it is for, and may end the reward: then the charge still falls."""
    september = dt.datetime(2026, 9, 5, tzinfo=dt.UTC)
    rows = [
        {"api_key_id": "a-1", "quantity": 30_000_000, "model": "big", "prompt_id": "p@1", "at": september},
        {"api_key_id": "a-1", "quantity": 10_000_000, "prompt_id": "p@1"},  # 9.00 instead of 27.00
        {"api_key_id": "a-1", "quantity": 100_000_000},
    ]
    policy = {"dimension": "team", "incentives": {"model": "1", "cap": "0.5"}}
    made = fa.chargeback(month(rows), policy, month="2026-10", book=book)
    (line,) = [r for r in made.lines.itertuples() if r.kind == "incentive"]
    assert line.exact == D("-2.25")  # of 18.00 saved: a quarter of 9.00


@pytest.mark.parametrize(
    ("september", "rewarded"),
    [
        ({}, True),
        ({"minimum": "1000"}, False),  # whatever was padded then was charged nothing
        ({"method": "subscription", "fee": "9"}, False),
    ],
)
def test_a_baseline_counts_as_far_as_its_cost_was_charged(september, rewarded, month, book):
    rows = [
        {"api_key_id": "a-1", "prompt_id": "p@1", "meter": meter, "quantity": quantity, "at": dt.datetime(2026, at, 5, tzinfo=dt.UTC)}
        for at, inputs in ((9, 20_000_000), (10, 10_000_000))
        for meter, quantity in (("input", inputs), ("output", 1_000_000), ("requests", 1000))
    ]  # fmt: skip
    tariffs = [{"to": "2026-10"} | september, {}]
    policy = {
        "dimension": "team",
        "tariffs": tariffs,
        "incentives": {"prompt": "0.5", "cap": "0.5", "baseline_months": 1},
    }
    made = fa.chargeback(month(rows), policy, month="2026-10", book=book)
    assert any(r.kind == "incentive" for r in made.lines.itertuples()) is rewarded
    # what was closed in another currency, before the group changed its own, is no baseline
    history = month([r for r in rows if r["at"].month == 9])
    for currency, counts in (("USD", rewarded), ("JPY", False)):
        kind = history["pricing_currency"].dtype
        then = history.assign(pricing_currency=pd.Series(currency, index=history.index).astype(kind))
        made = fa.chargeback(month(rows[3:]), policy, month="2026-10", book=book, history=then)
        assert any(r.kind == "incentive" for r in made.lines.itertuples()) is counts


@pytest.mark.parametrize(
    ("tariff", "follows"),
    [
        ({"method": "rate_card", "card": {"fresh_input": "1"}}, "a rate card"),
        ({"method": "blended"}, "the company's averages"),
        ({"method": "subscription", "fee": "3"}, "a fee"),
    ],
)
def test_who_is_not_charged_what_work_costs_takes_no_part_in_incentives(tariff, follows, month, book):
    batch = {"quantity": 10_000_000, "service_tier": "batch"}
    rows = month([{"api_key_id": "a-1"} | batch, {"api_key_id": "b-1"} | batch, {"api_key_id": "c-1", "quantity": 10_000_000}])  # fmt: skip
    with_, without = (
        fa.chargeback(rows, {"dimension": "team", "tariffs": [{"for": ["a"]} | tariff, {}]} | more, month="2026-10", book=book)
        for more in ({"incentives": {"batch": "0.1", "cap": "0.2"}}, {})
    )  # fmt: skip
    (said,) = [r for r in with_.lines.itertuples() if (r.receiver, r.kind) == ("a", "incentive")]
    assert (said.amount, said.exact) == (0, 0)
    assert f"the charge follows {follows}," in said.text
    charges = [dict(zip(one.summary["receiver"], one.summary["charge"], strict=True)) for one in (with_, without)]
    assert charges[0]["a"] == charges[1]["a"]
    # b saved 4.50 by batch and gets 0.45 of it; b and c pay for that by what they are charged, 4.50 and 9.00
    assert (charges[0]["b"], charges[0]["c"]) == (D("4.20"), D("9.30"))


def test_incentives_are_told_in_words_and_figures(month, book):
    rows = month(
        [
            {"api_key_id": "a-1", "quantity": 10_000_000, "service_tier": "batch"},
            {"api_key_id": "b-1", "quantity": 10_000_000},
        ]
    )
    policy = {"dimension": "team", "incentives": {"batch": "0.1", "cap": "0.2"}}
    made = fa.chargeback(rows, policy, month="2026-10", book=book)
    # batch costs half: 4.50 instead of 9.00; a tenth of the 4.50 saved comes back, below 10% of 9.00
    line = made.statement("a")
    text = next(t for t, k in zip(line["text"], line["kind"], strict=True) if k == "incentive")
    assert "saved 4.50 USD against the standard tier; 10% of it is returned" in text
    assert Policy.load(policy).incentives.cap == D("0.2")


def test_files_are_safe_to_open(tmp_path, tokens_of, book):
    evil = '=HYPERLINK("http://x","y")'
    rules = {"dimensions": {"team": {}}, "rules": [{"name": "r", "set": {"team": "{tags.team}"}}]}
    rows = fa.allocate(fa.price(tokens_of([{"tags": {"team": evil}, "quantity": 1_234_560_000}]), book), rules)
    made = fa.chargeback(rows, {"dimension": "team"}, month="2026-10", book=book)
    made.write(tmp_path)
    book_ = openpyxl.load_workbook(tmp_path / "journal.xlsx")
    head, first = list(book_["Journal"].iter_rows(min_row=1, max_row=2))
    cells = {h.value: c for h, c in zip(head, first, strict=True)}
    assert (cells["cost_centre"].value, cells["cost_centre"].data_type) == (evil, "s")
    assert (cells["debit"].value, cells["debit"].data_type) == (1111.1, "n")
    text = (tmp_path / "journal.csv").read_text()
    assert f",'{evil[:5]}" in text.replace('"', "")
    document = json.loads((tmp_path / "journal.json").read_text())
    assert document["entries"][0]["debit"] == "1111.10"
    assert len(openpyxl.load_workbook(tmp_path / "statements.xlsx").sheetnames) == 3  # summary, lines, one receiver


def test_incentives_under_contracts_that_settle_whole_months(tokens_of):
    """Volume tiers and capacity settle a month; savings compare rates, row by row, and idle is the fee beyond the work."""
    terms = [
        {"name": "tiers", "provider": "openai", "volume": [{"over": "0", "discount": "10"}]},
        {"name": "ptu", "provider": "azure-openai", "capacity": [
            {"name": "chat", "model": "gpt-4.1", "units": 1, "unit": "PTU", "hourly": "1", "from": "2026-10-01",
             "to": "2026-10-02", "tokens_per_hour": 100_000},
        ]},
    ]  # fmt: skip
    book = fa.PriceBook.default().with_contracts(contracts_of(terms, "terms"))
    work = {"provider": "openai", "model": "gpt-4.1", "quantity": 10_000_000}
    rows = tokens_of([
        work | {"api_key_id": "a-1", "service_tier": "batch"}, work | {"api_key_id": "b-1"},
        {"provider": "azure-openai", "model": "gpt-4.1", "quantity": 1_200_000, "service_tier": "provisioned", "api_key_id": "c-1"},
    ])  # fmt: skip
    policy = {
        "dimension": "team",
        "incentives": {"batch": "0.1", "idle": "0.1", "cap": "0.5"},
        "not_charged": ["unallocated"],
    }
    rules = TEAMS | {"rules": [*TEAMS["rules"], {"name": "idle", "when": {"source": "contract"}, "set": {"team": "c"}}]}
    made = fa.chargeback(fa.allocate(fa.price(rows, book), rules), policy, month="2026-10", book=book)
    cost = dict(zip(made.summary["receiver"], made.summary["cost"], strict=True))
    # gpt-4.1 input is 2 per million: a 10 in batch, b 20, a tenth off both; c pays 24 hours of 1 unit at 1
    assert cost == {"a": D(9), "b": D(18), "c": D(24)}
    exact = {(r.receiver, r.kind): r.exact for r in made.lines.itertuples() if r.kind in ("incentive", "funding")}
    # a saved 20 - 10 and earns 1; c's fee of 24 did work worth 1.2 x 2 = 2.40, so 21.60 is waste and 2.16 its malus
    assert exact["a", "incentive"] == D(-1)
    assert exact["c", "incentive"] == D("2.16")
    # the pool of 1 - 2.16 is shared by charge: 9, 18 and 24
    assert abs(exact["b", "funding"] - D("-1.16") * 18 / 51) < D("1e-17")


def test_waste_is_unknown_where_the_work_has_no_price_as_standard_calls(tokens_of):
    pool = {"name": "own", "model": "own-model", "units": 1, "unit": "PTU", "hourly": "1", "from": "2026-10-01", "to": "2026-10-02"}  # fmt: skip
    terms = [{"name": "ptu", "provider": "azure-openai", "capacity": [pool | {"tokens_per_hour": 100_000}]}]
    book = fa.PriceBook.default().with_contracts(contracts_of(terms, "terms"))
    rows = tokens_of([
        {"provider": "azure-openai", "model": "own-model", "quantity": 1_200_000, "service_tier": "provisioned", "api_key_id": "c-1"},
        {"provider": "openai", "model": "gpt-4.1", "quantity": 10_000_000, "api_key_id": "a-1"},
    ])  # fmt: skip
    policy = {"dimension": "team", "incentives": {"idle": "0.1", "cap": "0.5"}}
    made = fa.chargeback(fa.allocate(fa.price(rows, book), TEAMS), policy, month="2026-10", book=book)
    # half of the 24 hours were used: c's calls bear 12 of the 24, and nobody can say what they were worth
    assert dict(zip(made.summary["receiver"], made.summary["cost"], strict=True)) == {"a": D(20), "c": D(12)}
    assert not {"incentive", "funding"} & set(made.lines["kind"])
