"""What-if: unchanged settings cost what was paid, whatever the contract; each step by hand; what doesn't fit is priced."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from functools import cache

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import FrameError, RuleError
from finops_ai.prices.contracts import contracts_of

CONTRACTS = {
    "none": [],
    "discount": [{"name": "d", "provider": "anthropic", "discount": "12.5"}],
    "own rates": [{"name": "r", "provider": "openai", "from": "2026-01-01",
                   "prices": [{"model": "gpt-5.6-sol", "prices": {"input": "3", "output": "15"}}]}],
    "volume of cost": [{"name": "v", "provider": "openai", "volume_of": "cost", "volume": [
        {"over": "0", "discount": "2"}, {"over": "300", "discount": "10"}]}],
    "volume of units": [{"name": "u", "provider": "vertex", "volume": [{"over": "100000000", "discount": "7"}]}],
    "credit": [{"name": "c", "provider": "anthropic", "credits": [
        {"name": "pre", "amount": "400", "paid": "300", "from": "2026-10-01", "to": "2026-10-20"}]}],
    "lapsing credit": [{"name": "l", "provider": "oci", "credits": [
        {"name": "too much", "amount": "9000", "paid": "9000", "from": "2026-10-01", "to": "2026-10-06"}]}],
    "capacity": [{"name": "ptu", "provider": "azure-openai", "capacity": [
        {"name": "chat", "model": "gpt-4.1", "units": "15", "unit": "PTU", "from": "2026-07-01", "hourly": "0.8",
         "tokens_per_hour": "280000", "weights": {"output": "4"}}]}],
    "upfront": [{"name": "ptu", "provider": "azure-openai", "capacity": [
        {"name": "chat", "model": "gpt-4.1", "units": "15", "from": "2026-10-01", "to": "2027-10-01", "upfront": "90000"}]}],
}  # fmt: skip
#: scenarios that leave everything as it is
UNCHANGED = [
    {},
    {"batch": {"when": {"team": "support"}, "share": "0"}},
    {"cache": {"hit_rate": "0"}, "tier": {"to": "standard", "when": {"service_tier": "standard"}}},
    {"shorten": {"prompt": "1", "answer": "1"}, "swap": {"to": "gpt-4.1", "when": {"model": "no such model"}}},
]


@pytest.fixture(scope="module")
def tokens():
    """A week of the sample company."""
    frame = fa.sample(months=1)
    return frame[(frame["charge_period_start"] < "2026-10-08").to_numpy(bool)].reset_index(drop=True)


@pytest.fixture(scope="module")
def priced_under(tokens):
    """The week priced under one of the contracts, made once for each."""

    @cache
    def make(kind):
        rows = CONTRACTS[kind]
        book = fa.PriceBook.default().under(contracts_of(rows, "test"), "test") if rows else fa.PriceBook.default()
        return fa.allocate(fa.price(tokens, book), fa.sample.rules())

    return lambda kind: make(kind).copy()


def total(frame, column):
    return sum((D(v) for v in frame[column] if v is not pd.NA), D(0))


@pytest.mark.parametrize("kind", CONTRACTS)
def test_unchanged_settings_cost_what_was_paid_to_the_last_digit_without_naming_the_contract(priced_under, kind):
    frame = priced_under(kind)
    for scenario, by in zip(UNCHANGED, ([], ["team"], [], ["product", "provider"]), strict=True):
        table = fa.what_if(frame, scenario, by=by)
        assert total(table, "cost") == total(table, "scenario_cost") == total(frame, "effective_cost")
        assert not any(table["saving"])
        if "payable_cost" in frame:
            assert total(table, "payable_cost") == total(table, "scenario_payable_cost") == total(frame, "payable_cost")


@pytest.mark.parametrize("kind", ["none", "credit", "capacity"])
def test_half_of_the_calls_moved_to_where_they_run_changes_nothing(priced_under, kind):
    frame = priced_under(kind)
    for model in ("claude-sonnet-5", "gpt-4.1"):
        swap = {
            "swap": {"when": {"model": model}, "to": model, "share": "0.5"},
            "geography": {"to": "global", "when": {"inference_geo": "global"}},
        }
        table = fa.what_if(frame, swap, by=["team"])
        assert not any(table["saving"])
        if "payable_cost" in frame:
            assert list(table["payable_cost"]) == list(table["scenario_payable_cost"])


@pytest.mark.parametrize("kind", ["discount", "volume of cost", "credit"])
def test_a_step_is_priced_under_the_frames_own_contract(priced_under, kind):
    frame = priced_under(kind)
    provider = {"discount": "anthropic", "credit": "anthropic"}.get(kind, "openai")
    table = fa.what_if(frame, {"batch": {"when": {"provider": provider}}}, by=["provider"]).set_index("provider")
    mine = frame[(frame["provider"] == provider).to_numpy(bool)]
    standard = mine[(mine["service_tier"] == "standard").to_numpy(bool)]
    half = {  # by hand: batch halves list prices, and the contract's terms apply to what is left
        "discount": lambda: total(mine, "effective_cost") - total(standard, "list_cost") * D("0.875") / 2,
        "volume of cost": lambda: volume(total(mine, "list_cost") - total(standard, "list_cost") / 2),
        "credit": lambda: total(mine, "list_cost") / 2 - 100,  # the credit of 400 was bought for 300, and is used up
    }[kind]()
    assert abs(table.loc[provider, "scenario_cost"] - half) < D("1e-9")
    assert (table.drop(index=provider)["saving"] == 0).all()


def volume(cost):
    """Two per cent off the first 300, ten off the rest."""
    return cost - (min(cost, D(300)) * D("0.02") + max(cost - 300, D(0)) * D("0.1"))


def test_a_book_that_is_not_loaded_is_asked_for(priced_under):
    frame = priced_under("discount")
    frame.attrs["finops_ai"] = dict(frame.attrs["finops_ai"]) | {"prices": "0123456789abcdef"}
    with pytest.raises(FrameError, match="0123456789abcdef"):
        fa.what_if(frame, {"batch": {}})
    assert not any(fa.what_if(frame, {})["saving"])  # what changes nothing needs no book


def hours(make_rows):
    """One row an hour of a day: 10 million tokens at noon, one million in each other hour."""
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    return make_rows([
        {"at": start + dt.timedelta(hours=h), "charge_period_end": start + dt.timedelta(hours=h + 1),
         "quantity": 10_000_000 if h == 12 else 1_000_000}
        for h in range(24)
    ])  # fmt: skip


@pytest.fixture
def make_rows(tokens_of, book):
    return lambda rows: fa.price(tokens_of(rows), book)


def test_what_does_not_fit_into_an_hour_is_billed_by_the_token(make_rows, book):
    rows = hours(make_rows)
    # 33 million tokens at 0.9e-6 cost 29.70; two units of a million an hour leave 8 million of noon's ten: 7.20
    step = {"units": 2, "price_per_hour": "0.10", "tokens_per_hour": 1_000_000}
    table = fa.what_if(rows, {"provisioned": step}, book=book)
    assert (table["cost"].iloc[0], table["scenario_cost"].iloc[0]) == (D("29.7"), D("4.8") + D("7.2"))
    assert any("24.2% of the traffic doesn't fit into its hour" in note for note in table.facts.notes)


@pytest.mark.parametrize("price", ["0.001", "0.5", "5"])
def test_capacity_for_a_sixteenth_of_the_traffic_saves_a_sixteenth_at_most(make_rows, book, price):
    rows = make_rows([{"quantity": 16_000_000}])  # 14.40 by the token in a day
    step = {"units": 1, "price_per_hour": price, "tokens_per_hour": "41666.666666"}
    table = fa.what_if(rows, {"provisioned": step}, book=book)
    fee = D(price) * 24
    assert abs(table["scenario_cost"].iloc[0] - (fee + D("14.4") * 15 / 16)) < D("0.0001")
    assert table["saving"].iloc[0] < D("14.4") / 16


def test_tier_geography_length_and_cache_by_hand():
    """One million prompt and 100,000 answer tokens each of a flagship: list 2.50 and 15 a million, 10% on top in the EU."""
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    from tests.conftest import make_tokens

    rows = fa.price(make_tokens([
        {"at": start, "model": "gpt-5.4", "quantity": 1_000_000, "service_tier": "priority", "inference_geo": "eu"},
        {"at": start, "model": "gpt-5.4", "meter": "output", "quantity": 100_000, "service_tier": "priority", "inference_geo": "eu"},
    ]))  # fmt: skip
    paid = (D("2.5") + D("1.5")) * 2 * D("1.1")
    assert total(rows, "effective_cost") == paid

    def after(scenario):
        return fa.what_if(rows, scenario)["scenario_cost"].iloc[0]

    assert after({"tier": {"to": "standard"}}) == D("4.4")
    assert after({"geography": {"to": "global"}}) == D("8")
    assert after({"tier": {"to": "standard"}, "geography": {"to": "global"}}) == D("4")
    assert after({"shorten": {"prompt": "0.6"}}) == D("2.2") * (D("1.5") + D("1.5"))
    assert after({"shorten": {"answer": "0.5", "share": "0.5"}}) == D("2.2") * (D("2.5") + D("1.125"))
    # half of the prompt is read from the cache at a tenth, a twentieth of it is written at the plain price
    cached = D("0.5") * D("0.25") + D("0.5") * D("2.5")
    assert after({"cache": {"hit_rate": "0.5", "writes": "0.05"}}) == D("2.2") * (cached + D("1.5"))


def test_writes_are_billed_dearer_where_they_are():
    from tests.conftest import make_tokens

    rows = fa.price(make_tokens([{"provider": "anthropic", "model": "claude-opus-4-8", "quantity": 1_000_000}]))
    table = fa.what_if(rows, {"cache": {"hit_rate": "0.8", "writes": "0.1"}})
    # 5 a million: 0.8 at 0.50, 0.1 at 6.25, 0.1 at 5
    assert table["scenario_cost"].iloc[0] == D("0.4") + D("0.625") + D("0.5")
    longer = fa.what_if(rows, {"cache": {"hit_rate": "0.8", "writes": "0.1", "write_meter": "cache_write_1h"}})
    assert longer["scenario_cost"].iloc[0] == D("0.4") + D("1") + D("0.5")
    guessed = fa.what_if(rows, {"cache": {"hit_rate": "0.8"}})
    assert guessed["scenario_cost"].iloc[0] == D("0.4") + D("0.056") * D("6.25") + D("0.144") * 5
    assert any("assumption" in note for note in guessed.facts.notes)


def test_another_makers_tokeniser_is_estimated_with_a_range_and_said():
    from tests.conftest import make_tokens

    rows = fa.price(make_tokens([{"provider": "anthropic", "model": "claude-sonnet-4-6", "quantity": 1_000_000}]))
    swap = {"to": "gpt-5.4", "provider": "openai"}
    table = fa.what_if(rows, {"swap": swap})
    low, usual, high = (table[c].iloc[0] for c in ("scenario_cost_low", "scenario_cost", "scenario_cost_high"))
    assert low < usual < high
    assert usual == D("2.5") * D("0.83")  # a Claude before Opus 4.7 takes some 1.2 tokens where o200k takes one
    assert "token_factor isn't given" in table.facts.notes[0]
    stated = fa.what_if(rows, {"swap": swap | {"token_factor": "0.9"}})
    assert stated["scenario_cost"].iloc[0] == D("2.25")
    assert "scenario_cost_low" not in stated


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ({"tier": {"to": "nightly"}}, "one of standard, batch"),
        ({"geography": {}}, "needs `to`"),
        ({"shorten": {"prompt": "0"}}, "above 0"),
        ({"shorten": {"promt": "1"}}, "Did you mean 'prompt'?"),
        ({"cache": {}}, "hit_rate must be a share"),
        (
            {"provisioned": {"units": 1, "price_per_hour": 1, "tokens_per_hour": 1, "when": {"model": "none"}}},
            "no traffic",
        ),
        ({"tier": {"to": "flex", "when": {"provider": "anthropic"}}}, "no price for anthropic"),
    ],
)
def test_steps_that_can_not_be_taken_say_why(priced_under, scenario, words):
    with pytest.raises(RuleError, match=words.replace("?", r"\?")):
        fa.what_if(priced_under("none"), scenario)
