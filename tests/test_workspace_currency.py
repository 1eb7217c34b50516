"""A company billed in dollars, euros and yen: converted at dated rates, charged, closed and trued up in the group's currency."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import PriceError, SettingsError
from finops_ai.periods import Window
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.posting import posting

D = Decimal
TOML = """
[currency]
group = "USD"
rates = "rates.csv"
base = "USD"
[dimensions.team]
[[rules]]
name = "account"
set = { team = "{billing_account_id}" }
[[contracts]]
name = "Europe"
provider = "openai"
accounts = ["eu"]
currency = "EUR"
prices = [{ model = "house-eu", currency = "EUR", prices = { input = "0.10" } }]
[[contracts]]
name = "Japan"
provider = "openai"
accounts = ["jp"]
currency = "JPY"
prices = [{ model = "house-jp", currency = "JPY", prices = { input = "20" } }]
[providers.openai]
enabled = false
"""
RATES = "date,currency,rate\n2026-10-05,EUR,0.8\n2026-10-05,JPY,150\n2026-10-07,JPY,100\n"


@pytest.fixture
def company(tmp_path, tokens_of):
    def make(text=TOML, late=0):
        (tmp_path / "finops.toml").write_text(text)
        (tmp_path / "rates.csv").write_text(RATES)
        ws = fa.open(tmp_path)
        day = dt.datetime(2026, 10, 5, tzinfo=dt.UTC)
        models = {"us": "gpt-4o-mini", "eu": "house-eu", "jp": "house-jp"}
        rows = [{"model": m, "quantity": 10_000_000, "billing_account_id": a, "at": day} for a, m in models.items()]
        rows[2]["quantity"] += late
        ws.lake.replace("tokens", "openai", Window.month("2026-10"), tokens_of(rows))
        return ws

    return make


@pytest.mark.long
def test_three_currencies_from_rows_to_a_posted_true_up_by_hand(company):
    ws = company()
    # 10M at 0.15 USD = 1.50; 10M at 0.10 EUR = 1.00 EUR, 1.25 USD; 10M at 20 JPY = 200 JPY, 1.333... USD
    cost = {r.team: r.effective_cost for r in ws.allocated("2026-10").itertuples()}
    assert (cost["us"], cost["eu"]) == (D("1.50"), D("1.25"))
    assert abs(cost["jp"] - D(200) / D(150)) < D("1e-9")
    assert set(ws.priced("2026-10")["pricing_currency"]) == {"USD"}
    made, _ = close_month(ws, "2026-10")
    assert dict(zip(made.charged.summary["receiver"], made.charged.summary["charge"], strict=True)) == {
        "us": D("1.50"), "eu": D("1.25"), "jp": D("1.33"),
    }  # fmt: skip
    # 3M more in Japan: 60 JPY, 0.40 USD
    entries, sealed = true_up_month(company(late=3_000_000), "2026-10")
    assert sealed is not None
    assert {(r.account, r.cost_centre, r.debit, r.credit) for r in entries.itertuples()} == {
        ("6100", "jp", D("0.40"), D(0)), ("2190", "", D(0), D("0.40")),
    }  # fmt: skip
    later = posting(ws, "2026-11")
    assert (later.currency, sum(later.entries["debit"]), sum(later.entries["credit"])) == ("USD", D("0.40"), D("0.40"))


@pytest.mark.long
def test_the_group_may_have_no_minor_unit_and_a_month_one_rate(company):
    ws = company(TOML.replace('group = "USD"', 'group = "JPY"\nday = "month"'))
    # the month's average of 150 and 100 yen for a dollar, 125: 1.50 USD = 187.5, 1.00 EUR = 1.25 USD = 156.25, and 200 JPY
    cost = {r.team: r.effective_cost for r in ws.allocated("2026-10").itertuples()}
    assert (cost["us"], cost["jp"]) == (D("187.5"), D(200))
    journal = posting(ws, "2026-10").entries
    assert sum(journal["debit"]) == sum(journal["credit"])
    assert all(v == v.to_integral_value() for v in journal["debit"])


def test_what_cannot_be_converted_is_named(company):
    with pytest.raises(PriceError, match="No exchange rate for GBP"):
        company(TOML.replace('"EUR"', '"GBP"')).priced("2026-10")
    with pytest.raises(SettingsError, match="Did you mean 'rates'"):
        company(TOML.replace("rates =", "rate =")).priced("2026-10")
    bare = TOML.replace('currency = "EUR", prices = { input', "prices = { input")
    with pytest.raises(PriceError, match="the contract is in EUR, but its prices state no currency"):
        company(bare).priced("2026-10")
