"""Contracts: scope, discounts, own rates, volume, credits and committed capacity."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import PriceError
from finops_ai.prices import Capacity, Credit, PriceBook, draw_credits, volume_discount
from finops_ai.prices.contracts import contract, contract_notes, contracts_of, read_contracts

MILLION = 1_000_000
UTC = dt.UTC


def at(day: int, month: int = 1) -> dt.datetime:
    return dt.datetime(2026, month, day, tzinfo=UTC)


TEXT = """
[[contracts]]
name = "agreement"
provider = "azure-openai"
accounts = ["sub-1"]
models = ["gpt-5*"]
meters = ["fresh_input", "output"]
from = 2026-01-01
to = 2027-01-01
discount = "12.5"

[[contracts]]
name = "own rates"
provider = "openai"
from = 2026-03-01
[[contracts.prices]]
model = "gpt-5.4"
prices = { input = "2" }
[[contracts.prices]]
model = "gpt-5.4"
over = ">500000"
prices = { input = "3" }
"""


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(TEXT, "utf-8")
    return PriceBook.load(path)


def expand(book, account, meter, model="gpt-5", provider="azure-openai", day=dt.date(2026, 6, 1)):
    row = {
        "provider": provider, "model": model, "meter": meter, "service_tier": "standard", "context_tier": None,
        "inference_geo": None, "region": None, "billing_account_id": account, "sub_account_id": None, "day": day,
    }  # fmt: skip
    kinds = {"day": pa.date32()}
    table = pa.table({name: pa.array([value], kinds.get(name, pa.string())) for name, value in row.items()})
    return book.expand(table).to_pylist()[0]


def test_a_discount_is_for_its_account_models_meters_and_dates(book):
    assert book.key_columns[-2:] == ("billing_account_id", "sub_account_id")
    inside = expand(book, "sub-1", "input")
    # 1.25 list, less 12.5% = 1.09375
    assert inside["list_unit_price"] * MILLION == Decimal("1.25")
    assert inside["contracted_unit_price"] * MILLION == Decimal("1.09375")
    assert inside["price_status"] == "contract"
    for changed in (
        expand(book, "sub-2", "input"),
        expand(book, "sub-1", "cache_read"),
        expand(book, "sub-1", "input", model="gpt-4o"),
        expand(book, "sub-1", "input", day=dt.date(2027, 1, 1)),
    ):
        assert changed["contracted_unit_price"] == changed["list_unit_price"]


def test_a_partial_card_keeps_the_list_for_what_it_omits(book):
    price = book.lookup("openai", "gpt-5.4-2026-03-05", "input", "2026-06-01")
    assert price.unit_price * MILLION == 2
    assert price.status == "contract"
    assert book.lookup("openai", "gpt-5.4", "cache_read", "2026-06-01").unit_price * MILLION == Decimal("0.25")
    assert book.lookup("openai", "gpt-5.4", "input", "2026-02-28").unit_price * MILLION == Decimal("2.5")
    assert price.above(500_001).unit_price * MILLION == 3
    assert price.above(300_000).unit_price * MILLION == 2  # the contract decides alone, below its own tier too


def test_the_list_stays_beside_the_contract(book):
    both = expand(book, None, "input", model="gpt-5.4", provider="openai")
    assert (both["list_unit_price"] * MILLION, both["contracted_unit_price"] * MILLION) == (Decimal("2.5"), 2)


def test_list_is_never_below_contracted(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(TEXT.replace('input = "2"', 'input = "2.51"'), "utf-8")
    with pytest.raises(PriceError, match=r"can't raise a price above list(?s:.*)2\.51(?s:.*)above list, 2\.5"):
        PriceBook.load(path)


def test_a_contract_in_another_currency_has_no_list_price_beside_it(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(TEXT.replace('prices = { input = "2" }', 'currency = "EUR"\nprices = { input = "2.9" }'), "utf-8")
    euro = PriceBook.load(path)  # 2.90 EUR isn't above 2.50 USD: the two aren't compared
    row = expand(euro, None, "input", model="gpt-5.4", provider="openai")
    assert row["list_unit_price"] is None
    assert (row["contracted_unit_price"] * MILLION, row["currency"], row["price_status"]) == (
        Decimal("2.9"),
        "EUR",
        "contract",
    )
    out = expand(
        euro, None, "output", model="gpt-5.4", provider="openai"
    )  # which it doesn't price: at list, in dollars
    assert (out["list_unit_price"] * MILLION, out["currency"]) == (15, "USD")


def test_a_context_tier_alone_is_not_in_another_currency(tmp_path):
    path, tier = tmp_path / "prices.toml", 'currency = "EUR"\nover = ">272000"\nprices = { input = "2" }'
    path.write_text(TEXT.replace('prices = { input = "2" }', tier), "utf-8")
    with pytest.raises(
        PriceError, match=r"be in two currencies(?s:.*)is not in USD as the price below that context is"
    ):
        PriceBook.load(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "needs its provider"),
        ({"provider": "openai", "discount": "101"}, "0 to 100 percent"),
        ({"provider": "openai", "discount": "-5"}, "0 to 100 percent"),
        ({"provider": "openai", "discont": "5"}, "Did you mean 'discount'"),
        ({"provider": "openai", "prices": [{"prices": {"input": "1"}}]}, "need their model"),
        ({"provider": "openai", "prices": [{"model": "a", "prices": {"inputs": "1"}}]}, "No meter"),
        ({"provider": "openai", "prices": [{"model": "a", "prices": {"input": "1"}}] * 2}, "hold at the same time"),
        ({"provider": "openai", "capacity": [{"units": 1}]}, "needs `from`"),
        ({"provider": "openai", "volume": [{"over": 1, "discount": 5, "x": 1}]}, "unknown key 'x'"),
    ],
)
def test_a_bad_contract_names_its_place(row, message):
    with pytest.raises(PriceError, match=message):
        contract(row, "prices.toml, contract 1")


def test_a_missing_or_broken_file(tmp_path):
    with pytest.raises(PriceError, match="can't be read"):
        read_contracts(tmp_path / "absent.toml")
    path = tmp_path / "prices.toml"
    path.write_text("[[contracts", "utf-8")
    with pytest.raises(PriceError, match="no TOML"):
        read_contracts(path)


def test_volume_tiers():
    terms = contract(
        {"provider": "openai", "volume": [{"over": "1000", "discount": "10"}, {"over": "2000", "discount": "20"}]}
    )
    # 3,000 units for 300: 1,000 at 10% and 1,000 at 20% of 0.10 each
    assert volume_discount(terms, Decimal(3000), Decimal(300)) == Decimal(30)
    assert volume_discount(terms, Decimal(1000), Decimal(100)) == 0
    whole = contract({"provider": "openai", "graduated": False, "volume": [{"over": "1000", "discount": "10"}]})
    assert volume_discount(whole, Decimal(1000), Decimal(100)) == 10
    assert volume_discount(whole, Decimal(0), Decimal(0)) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.decimals(0, 1000, places=2), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(1, 28), st.decimals(0, 500, places=4)), max_size=12),
)
def test_credits_pay_without_losing_anything(amounts, costs):
    credits = [Credit(str(i), amount, at(1 + i), at(20 + i)) for i, amount in enumerate(amounts)]
    rows = draw_credits(credits, [(at(day), cost) for day, cost in costs])
    assert all(row["paid_by_credit"] + row["due"] == row["cost"] for row in rows)
    paid = sum((row["paid_by_credit"] for row in rows), Decimal(0))
    left = sum(rows[-1]["left"].values(), Decimal(0)) if rows else sum(amounts, Decimal(0))
    assert paid + left == sum(amounts, Decimal(0))


def test_the_credit_that_ends_first_pays_first():
    credits = [Credit("late", Decimal(10), None, None), Credit("soon", Decimal(4), None, at(10))]
    (row,) = draw_credits(credits, [(at(5), Decimal(6))])
    assert row["left"] == {"late": Decimal(8), "soon": Decimal(0)}


def test_capacity_is_paid_whether_used_or_not():
    ptu = Capacity("c", "gpt-5", Decimal(50), "PTU", at(1), None, hourly=Decimal("1.10"))
    # 24 h x 50 x 1.10 = 1,320
    assert ptu.cost(at(1), at(2)) == Decimal("1320")
    share, idle = ptu.idle(at(1), at(2), Decimal(300))
    assert (share, idle) == (Decimal("0.75"), Decimal("990"))
    # a full day on demand would cost 2,640: half used is as dear as paying per token
    assert ptu.break_even(at(1), at(2), Decimal(2640)) == Decimal("0.5")


def test_upfront_is_spread_over_the_term():
    reserved = Capacity("r", "m", Decimal(2), "model unit", at(1), at(11), monthly=Decimal(310), upfront=Decimal(1000))
    # one day of January: 2 x 310/31 + 1000/10
    assert reserved.cost(at(1), at(2)) == Decimal(120)
    assert sum((reserved.cost(at(d), at(d + 1)) for d in range(1, 20)), Decimal(0)) == reserved.cost(at(1), at(31))
    open_end = Capacity("o", "m", Decimal(1), "PTU", at(1), None, upfront=Decimal(1))
    with pytest.raises(PriceError, match="needs the end of its term"):
        open_end.cost(at(1), at(2))


def test_the_contracts_of_the_documentation_can_be_read():
    text = (Path(__file__).parents[2] / "docs" / "prices.md").read_text("utf-8")
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", text, re.S) if "[[contracts]]" in block]
    rows = [row for block in blocks for row in tomllib.loads(block)["contracts"]]
    found = {terms.name: terms for terms in contracts_of(rows, "prices.md")}
    assert {"Enterprise agreement", "Own rates", "Volume", "Prepaid", "Provisioned"} <= set(found)
    assert found["Provisioned"].capacity[0].weight("reasoning") == 8  # output stands for all it rolls up
    assert PriceBook.default().under(list(found.values()), "prices.md").has_terms


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"volume": [{"over": "5", "discount": "5"}, {"over": "5.0", "discount": "6"}]}, "two volume tiers begin at 5"),
        ({"volume": [{"over": "5"}]}, "a volume tier is"),
        ({"volume": [{"over": "-1", "discount": "5"}]}, "over must be 0 or more, got -1"),
        (
            {"volume": [{"over": "1", "discount": "5"}], "volume_of": "money"},
            "volume_of is one of units, cost, not 'money'",
        ),
        (
            {"volume": [{"over": "1", "discount": "5"}], "meters": ["input", "web_searches"]},
            "can't add up searches and tokens",
        ),
        ({"credits": [{"name": "c"}]}, "credit c: a credit needs its `amount`"),
        ({"credits": [{"amount": "0"}]}, "amount must be above 0"),
        ({"credits": [{"amount": "5", "paid": "6"}]}, "6 was paid for 5 of credit; it can't cost more"),
        ({"credits": [{"amount": "1", "name": "x"}, {"amount": "2", "name": "x"}]}, "two credits are called 'x'"),
        (
            {"credits": [{"amount": "5", "from": "2026-02-01", "to": "2026-01-01"}]},
            "ends on 2026-01-01, before it starts",
        ),
        ({"capacity": [{"from": "2026-01-01"}]}, "either `hourly` or `monthly`, or `upfront`"),
        ({"capacity": [{"from": "2026-01-01", "upfront": "5"}]}, "an upfront payment needs `to`"),
        (
            {"capacity": [{"from": "2026-01-01", "hourly": "1", "meter": "gpus"}]},
            "provisioned_hours or gpu_hours, not 'gpus'",
        ),
        ({"capacity": [{"from": "2026-01-01", "hourly": "1", "units": "0"}]}, "units must be above 0, got 0"),
        ({"capacity": [{"from": "2026-01-01", "hourly": "1", "weights": {"outptu": "8"}}]}, "No meter called 'outptu'"),
        ({"from": "2026-02-01", "to": "2026-02-01", "discount": "5"}, "before it starts"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(row, message):
    with pytest.raises(PriceError, match=message):
        contracts_of([{"name": "deal", "provider": "openai"} | row], "finops.toml")


def test_contracts_are_told_apart_by_name():
    with pytest.raises(PriceError, match="begin each with"):
        contracts_of({"provider": "openai"}, "finops.toml")
    twice = [{"name": "a", "provider": "openai", "discount": "5"}] * 2
    with pytest.raises(PriceError, match="two contracts are called 'a'"):
        contracts_of(twice, "finops.toml")
    one = contracts_of([{"name": "a", "provider": "openai", "credits": [{"amount": "5"}]}], "prices.toml")
    with pytest.raises(PriceError, match="another contract is called 'a'"):
        PriceBook.default().with_contracts(one).under(one, "finops.toml")


def test_a_contract_may_say_that_it_lies_above_list(tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(
        TEXT.replace('input = "2"', 'input = "9"').replace('name = "own rates"', "above_list = true"), "utf-8"
    )
    assert "above_list = true" in path.read_text("utf-8")
    assert PriceBook.load(path).lookup("openai", "gpt-5.4", "input", "2026-06-01").unit_price * MILLION == 9


def test_a_list_that_fell_below_an_own_rate_is_found():
    # gpt-5.6-luna's input went from 1 to 0.2 per million on 2026-07-30; the contract says 0.9 from the 1st on
    rates = {"name": "deal", "provider": "openai", "from": "2026-07-01"}
    rates["prices"] = [{"model": "gpt-5.6-luna", "prices": {"input": "0.9"}}]
    book = PriceBook.default().under(contracts_of([rates], "finops.toml"), "finops.toml")
    (found,) = contract_notes(book, dt.datetime(2026, 11, 1, tzinfo=dt.UTC))
    assert found[0] == "list fell below"
    assert found[2].endswith("the list is 0.2 since 2026-07-30")
    assert contract_notes(book, dt.datetime(2026, 7, 15, tzinfo=dt.UTC)) == []


def test_a_term_adds_up_over_its_days_and_months():
    third = Capacity("c", "m", Decimal(7), "GSU", at(1), at(31), monthly=Decimal("100.01"), upfront=Decimal(1000))
    days = [third.cost(at(d), at(d + 1)) for d in range(1, 31)]
    assert sum(map(Fraction, days)) == Fraction(third.cost(at(1), at(31)))
    billed = [third.billed(at(d), at(d + 1)) for d in range(1, 31)]
    assert Fraction(sum(map(Fraction, billed))) == Fraction(
        third.cost(at(1), at(31))
    )  # the whole term, upfront and all
    assert billed[0] > 1000 > billed[1]
