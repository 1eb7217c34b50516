"""A company billed in dollars, euros and yen, from its FOCUS files to a posted true-up; every amount worked out by hand."""

from __future__ import annotations

import csv
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.periods import Window
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.posting import posting

D = Decimal
TOML = """
[currency]
group = "USD"
rates = "rates.csv"
base = "USD"
owed = "invoice"
[dimensions.team]
[[rules]]
name = "tag"
set = { team = "{tags.team}" }
[providers.azure]
connector = "focus"
files = ["bill/*.csv"]
"""
CONTRACT = """
[[contracts]]
name = "{currency}"
provider = "azure-openai"
accounts = ["{account}"]
currency = "{currency}"
prices = [{{ model = "{model}", currency = "{currency}", prices = {{ input = "{price}" }} }}]
"""
ACCOUNTS = (("ea-us", "USD", "2"), ("ea-eu", "EUR", "1.85"), ("ea-jp", "JPY", "300"))
#: a dollar is 0.80 EUR on the day of the usage and 0.75 at the end of the month, 150 JPY and 125
RATES = "date,currency,rate\n2026-10-05,EUR,0.8\n2026-10-05,JPY,150\n2026-10-30,EUR,0.75\n2026-10-30,JPY,125\n"
USAGE = [
    ("ea-us", "USD", "alpha", 10_000_000, "20.00"),
    ("ea-eu", "EUR", "beta", 12_000_000, "22.20"),
    ("ea-jp", "JPY", "alpha", 7_000_000, "2100"),
    ("ea-jp", "JPY", "beta", 3_000_000, "900"),
]
OTHER = [
    ("ea-us", "USD", "", "Tax", "Sales tax", "1.60"),
    ("ea-eu", "EUR", "beta", "Credit", "Refund of an outage", "-2.20"),
    ("ea-jp", "JPY", "", "Usage", "Support plan", "500"),
]


def line(account, currency, team, cost, **more):
    return {
        "BilledCost": cost, "BillingAccountId": account, "BillingCurrency": currency, "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z", "ChargePeriodStart": "2026-10-05T00:00:00Z",
        "ChargePeriodEnd": "2026-10-06T00:00:00Z", "ContractedCost": cost, "EffectiveCost": cost, "ListCost": cost,
        "InvoiceId": f"INV-{account}", "ServiceName": "Azure OpenAI", "ServiceProviderName": "Microsoft",
        "ServiceCategory": "AI and Machine Learning", "SubAccountId": "sub", "SubAccountName": "sub",
        "Tags": f'{{"team":"{team}"}}' if team else "", "ChargeClass": "", "RegionId": "westeurope",
    } | more  # fmt: skip


def usage(account, currency, team, quantity, cost, name="contoso 7"):
    text = f"{name} Inp glbl Tokens"
    return line(
        account, currency, team, cost, ChargeCategory="Usage", ChargeDescription=text, ConsumedQuantity=quantity,
        ConsumedUnit="Tokens", PricingQuantity=D(quantity) / 10**6, PricingUnit="1M Tokens", SkuId="in", SkuMeter=text,
        ResourceId=f"/rg/{team}", ListUnitPrice=D(cost) / (D(quantity) / 10**6),
    )  # fmt: skip


@pytest.fixture
def company(tmp_path, request):
    name = getattr(request, "param", "contoso 7")
    (tmp_path / "finops.toml").write_text(
        TOML
        + "".join(CONTRACT.format(account=a, currency=c, price=p, model=name.replace(" ", "-")) for a, c, p in ACCOUNTS)
    )
    (tmp_path / "rates.csv").write_text(RATES)
    (tmp_path / "bill").mkdir()

    def collected(late=()):
        rows = [usage(*row, name) for row in (*USAGE, *late)]
        rows += [line(a, c, t, cost, ChargeCategory=k, ChargeDescription=text) for a, c, t, k, text, cost in OTHER]
        names = list(dict.fromkeys(name for row in rows for name in row))
        with (tmp_path / "bill" / "focus.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        ws = fa.open(tmp_path)
        for outcome in ws.collect(Window.month("2026-10")):
            assert outcome.error is None, outcome.error
        return ws

    return collected


def moved(entries, *keys):
    out = {}
    for r in entries.to_dict("records"):
        key = tuple(r[k] for k in keys)
        had = out.get(key, (D(0), D(0)))
        native = D(r["transaction_debit"]) - D(r["transaction_credit"])
        out[key] = (had[0] + D(r["debit"]) - D(r["credit"]), had[1] + native)
    return {key: value for key, value in out.items() if any(value)}


#: of a model that no list has, and of one whose list price is in dollars: contracts in euros and yen stand alone
@pytest.mark.long
@pytest.mark.parametrize("company", ["contoso 7", "gpt 4.1"], indirect=True)
def test_a_month_in_three_currencies_by_hand(company):
    ws = company()
    made, _ = close_month(ws, "2026-10")
    # alpha: 20.00 + tax 1.60; 2100 JPY at 150 = 14.00; 14/20 of 500 JPY = 350 JPY, 2.33
    # beta: 22.20 EUR at 1.25 = 27.75, less 2.20 EUR = 2.75; 900 JPY = 6.00; 150 JPY = 1.00
    summary = made.charged.summary.set_index("receiver")
    assert summary.loc["alpha", ["cost", "bill_lines", "charge"]].tolist() == [D("34.00"), D("3.93"), D("37.93")]
    assert summary.loc["beta", ["cost", "bill_lines", "charge"]].tolist() == [D("33.75"), D("-1.75"), D("32.00")]
    entries = posting(ws, "2026-10").entries
    # invoices are booked at the last rates: 20.00 EUR / 0.75 = 26.67 against 25.00, 3500 JPY / 125 = 28.00 against 23.33
    assert moved(entries, "account", "cost_centre", "transaction_currency", "invoice_id") == {
        ("6100", "alpha", "USD", ""): (D("21.60"), D("21.60")),
        ("6100", "alpha", "JPY", ""): (D("16.33"), D(2450)),
        ("6100", "beta", "EUR", ""): (D("25.00"), D("20.00")),
        ("6100", "beta", "JPY", ""): (D("7.00"), D(1050)),
        ("2190", "", "USD", "INV-ea-us"): (D("-21.60"), D("-21.60")),
        ("2190", "", "EUR", "INV-ea-eu"): (D("-26.67"), D("-20.00")),
        ("2190", "", "JPY", "INV-ea-jp"): (D("-28.00"), D(-3500)),
        ("6880", "", "EUR", "INV-ea-eu"): (D("1.67"), D(0)),
        ("6880", "", "JPY", "INV-ea-jp"): (D("4.67"), D(0)),
    }
    assert moved(entries, "currency") == {}  # the group's journal, and each currency's, balance
    assert all(native == 0 for _, native in moved(entries, "transaction_currency").values())
    kept = ws.ledger.closed("2026-10").table("rows")
    assert {(r.native_currency, r.exchange_rate) for r in kept.itertuples()} == {
        ("USD", D(1)), ("EUR", D("1.25")), ("JPY", D("0.006666666667")),
    }  # fmt: skip


@pytest.mark.long
def test_late_yen_usage_is_trued_up_in_yen_and_in_dollars(company):
    close_month(company(), "2026-10")
    # 300 JPY more for beta, 2.00; the fee of 500 JPY now goes 14:8, 318 and 182 JPY, 2.12 and 1.21; the invoice 3800 JPY, 30.40
    ws = company(late=[("ea-jp", "JPY", "beta", 1_000_000, "300")])
    entries, sealed = true_up_month(ws, "2026-10")
    assert sealed is not None
    assert moved(entries, "account", "cost_centre", "transaction_currency") == {
        ("6100", "alpha", "JPY"): (D("-0.21"), D(-32)),
        ("6100", "beta", "JPY"): (D("2.21"), D(332)),
        ("2190", "", "JPY"): (D("-2.40"), D(-300)),
        ("6880", "", "JPY"): (D("0.40"), D(0)),
    }
    assert moved(entries, "currency") == {}
    assert true_up_month(company(late=[("ea-jp", "JPY", "beta", 1_000_000, "300")]), "2026-10")[1] is None
    later = posting(ws, "2026-11").entries
    assert moved(later, "account", "cost_centre", "transaction_currency")["2190", "", "JPY"] == (D("-2.40"), D(-300))


@pytest.mark.long
def test_without_booking_at_the_invoice_s_rate_there_is_no_exchange_difference(company, tmp_path):
    ws = company()
    text = (tmp_path / "finops.toml").read_text().replace('owed = "invoice"\n', "")
    (tmp_path / "finops.toml").write_text(text)
    entries = posting(fa.open(ws.settings.root), "2026-10").entries
    assert {k: v for k, v in moved(entries, "account", "transaction_currency").items() if k[0] in ("2190", "6880")} == {
        ("2190", "USD"): (D("-21.60"), D("-21.60")), ("2190", "EUR"): (D("-25.00"), D("-20.00")),
        ("2190", "JPY"): (D("-23.33"), D(-3500)),
    }  # fmt: skip


@pytest.mark.long
def test_a_month_of_which_nothing_is_left_is_taken_back_whole_and_may_come_again(company, tmp_path):
    close_month(company(), "2026-10")
    header = (tmp_path / "bill" / "focus.csv").read_text().splitlines()[0]
    (tmp_path / "bill" / "focus.csv").write_text(header + "\n")  # the provider says: none of it was ours
    ws = fa.open(tmp_path)
    assert [outcome.error for outcome in ws.collect(Window.month("2026-10"))] == [None]
    entries, sealed = true_up_month(ws, "2026-10")
    closed = moved(ws.ledger.closed("2026-10").table("journal"), "account", "cost_centre", "transaction_currency")
    posted = moved(entries, "account", "cost_centre", "transaction_currency")
    assert posted == {key: (-amount, -native) for key, (amount, native) in closed.items()}
    assert sealed is not None
    assert sealed.table("charges").empty
    assert true_up_month(fa.open(tmp_path), "2026-10")[1] is None
    november = posting(fa.open(tmp_path), "2026-11").overview.set_index("receiver")
    assert november["true_up"].to_dict() == {"alpha": D("-37.93"), "beta": D("-32.00")}
    again, _ = true_up_month(company(), "2026-10")
    assert moved(again, "account", "cost_centre", "transaction_currency") == closed


@pytest.mark.long
def test_a_month_is_never_trued_up_in_another_currency_than_it_was_closed_in(company, tmp_path):
    ws = company()
    close_month(ws, "2026-10")
    place = tmp_path / "finops.toml"
    place.write_text(place.read_text().replace('group = "USD"', 'group = "EUR"'))
    with pytest.raises(DataError, match=r'closed in USD and would be charged in EUR.*group = "USD"'):
        true_up_month(fa.open(tmp_path), "2026-10")
    assert ws.ledger.true_ups(month="2026-10") == []
    place.write_text(place.read_text().replace('group = "EUR"', 'group = "USD"'))
    assert true_up_month(company(late=[("ea-jp", "JPY", "beta", 1_000_000, "300")]), "2026-10")[1] is not None
