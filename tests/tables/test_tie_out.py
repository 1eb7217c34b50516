"""Every line of the bill is charged to somebody or stated: amounts by hand, and any bill ties to the cent."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.engine import Rules
from finops_ai.errors import RuleError
from finops_ai.frames import BillFrame, conform
from finops_ai.tables.bill_rules import load_bill_rules
from finops_ai.tables.journal import load_accounts
from finops_ai.tables.parts import OWED
from finops_ai.tables.tie_out import Bill

D = Decimal
RULES = Rules.load({
    "dimensions": {"team": {}},
    "rules": [
        {"name": "key", "when": {"api_key_id": {"prefix": "k-"}}, "set": {"team": "{api_key_id}"}},
        {"name": "tag", "when": {"tags.team": {"exists": True}}, "set": {"team": "{tags.team}"}},
    ],
})  # fmt: skip


def line(cost, **more):
    tags = more.pop("tags", None)
    start = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    return {
        "provider": "openai", "billing_account_id": "acct", "billing_period_start": start, "billing_currency": "USD",
        "billing_period_end": dt.datetime(2026, 11, 1, tzinfo=dt.UTC), "charge_period_start": start,
        "charge_period_end": start + dt.timedelta(days=1), "charge_category": "Usage", "charge_description": "line",
        "billed_cost": D(cost), "model": None, "meter": "unmapped", "source": "billing_export",
        "tags": list(tags.items()) if tags else None,
    } | more  # fmt: skip


def bill(*lines, rules=()):
    names = list(dict.fromkeys(name for x in lines for name in x))
    frame = conform({n: [x.get(n) for x in lines] for n in names}, BillFrame, source="test")
    return Bill(frame, load_bill_rules(list(rules)), RULES)


@pytest.fixture
def charged(tokens_of, book):
    """k-a: 20M input of `small`, 18.00; k-b: 10M, 9.00."""

    def make(found=None, more=(), policy=None):
        rows = [{"api_key_id": "k-a", "quantity": 20_000_000}, {"api_key_id": "k-b", "quantity": 10_000_000}, *more]
        allocated = fa.allocate(fa.price(tokens_of(rows), book), RULES)
        return fa.chargeback(allocated, policy or {"dimension": "team"}, month="2026-10", book=book, bill=found)

    return make


def used(cost="27.00", **more):
    return line(cost, model="small", meter="input", **more)


def items(made):
    out = {}
    for p in made.parts:
        if p.item != "usage":
            out[p.item, p.receiver] = out.get((p.item, p.receiver), D(0)) + p.amount
    return out


def charges(made):
    return dict(zip(made.summary["receiver"], made.summary["charge"], strict=True))


def accounts(made, table=None):
    out = {}
    for r in made.journal(table).itertuples():
        key = (r.account, r.cost_centre)
        out[key] = out.get(key, D(0)) + r.debit - r.credit
    return out


def test_refund_tax_support_and_a_purchase_by_hand(charged):
    found = bill(
        used(invoice_id="I-1"),
        line("-3.00", charge_category="Credit", charge_description="Refund", tags={"team": "k-b"}, invoice_id="I-1"),
        line("0.30", charge_category="Tax", charge_description="VAT", invoice_id="I-1"),
        line("6.00", charge_description="Premium support", invoice_id="I-2"),
        line("100.00", charge_category="Purchase", charge_description="Commitment 2026", invoice_id="I-2"),
        rules=[{"name": "support", "when": {"kind": "fees"}, "to": "platform"}],
    )
    made = charged(found)
    # tax 18:9, 0.20 and 0.10; the refund is its tag's; support is the rule's; a purchase is paid ahead
    assert charges(made) == {"k-a": D("18.20"), "k-b": D("6.10"), "platform": D("6.00")}
    assert accounts(made) == {
        ("6100", "k-a"): D("18.20"), ("6100", "k-b"): D("6.10"), ("6100", "platform"): D("6.00"), ("1490", ""): D(100),
        ("2190", ""): D("-130.30"),
    }  # fmt: skip
    owed = {(p.item, p.invoice): p.amount for p in made.parts if p.item in OWED}
    assert owed == {("payable", "I-1"): D("24.30"), ("payable", "I-2"): D("106.00")}
    statement = made.statement("k-b")
    assert [(r.kind, r.amount) for r in statement.itertuples() if r.kind == "bill"] == [
        ("bill", D("0.10")),
        ("bill", D("-3.00")),
    ]
    assert "Credit: Refund" in set(statement["text"])


def test_tax_may_be_posted_and_lines_divided_over_the_company(charged):
    found = bill(
        used(),
        line("2.70", charge_category="Tax"),
        line("-9.00", charge_category="Credit", billing_account_id="other"),
        rules=[{"when": {"kind": "tax"}, "post": "tax"}, {"when": {"kind": "credits"}, "divide": "company"}],
    )
    made = charged(found)
    assert charges(made) == {"k-a": D("12.00"), "k-b": D("6.00")}
    assert accounts(made)["1570", ""] == D("2.70")
    codes = {r.account: r.tax_code for r in made.journal({"tax_codes": {"tax": "V1"}}).itertuples()}
    assert (codes["1570"], codes["6100"]) == ("V1", "")


def test_the_price_difference_is_stated_per_account_not_charged(charged):
    made = charged(bill(used("25.50")))
    assert charges(made) == {"k-a": D("18.00"), "k-b": D("9.00")}
    assert items(made) == {("price_difference", ""): D("-1.50"), ("payable", ""): D("25.50")}
    assert accounts(made)["6195", ""] == D("-1.50")


def test_use_without_a_price_is_charged_at_its_billed_cost_with_a_flag(charged):
    more = [
        {"api_key_id": "k-a", "model": "new", "quantity": 1_000_000},
        {"api_key_id": "k-b", "model": "new", "quantity": 3_000_000},
    ]
    made = charged(bill(used(), line("8.00", model="NEW", meter="input")), more)
    assert charges(made) == {"k-a": D("20.00"), "k-b": D("15.00")}  # 8.00 goes by tokens, 1:3
    assert "billed, no price of ours" in " ".join(made.statement("k-a")["text"])
    assert ("price_difference", "") not in items(made)


def test_billed_use_that_no_row_shows_is_given_by_its_tags_or_divided(charged):
    lines = (
        line("4.00", model="hidden", meter="input", tags={"team": "k-b"}),
        line("3.00", model="other", meter="input"),
    )
    made = charged(bill(used(), *lines))
    assert charges(made) == {"k-a": D("20.00"), "k-b": D("14.00")}  # 4.00 by its tag, 3.00 as 18:9
    # a bill that names no model may be about the same use: nothing of it is charged twice
    whole = charged(bill(line("28.00")))
    assert charges(whole) == {"k-a": D("18.00"), "k-b": D("9.00")}
    assert items(whole)["price_difference", ""] == D("1.00")


def test_a_commitment_s_idle_part_is_charged_and_drawn_from_what_was_paid_ahead(charged):
    covered = {"commitment_discount_id": "c", "commitment_discount_status": "Used"}
    found = bill(
        used("0", effective_cost=D("27.00"), **covered),
        line("0", charge_description="idle", effective_cost=D("6.00"), commitment_discount_id="c", commitment_discount_status="Unused"),
    )  # fmt: skip
    made = charged(found)
    assert charges(made) == {"k-a": D("22.00"), "k-b": D("11.00")}
    assert accounts(made) == {("6100", "k-a"): D(22), ("6100", "k-b"): D(11), ("1490", ""): D(-33)}


def test_a_net_credit_stays_a_credit(charged):
    made = charged(bill(used(), line("-50.00", charge_category="Credit", tags={"team": "k-a"})))
    assert charges(made) == {"k-b": D("9.00"), "k-a": D("-32.00")}
    assert accounts(made) == {("6100", "k-b"): D(9), ("6100", "k-a"): D(-32), ("2190", ""): D(23)}


@pytest.mark.long
def test_a_bill_in_another_currency_or_none_is_accrued(charged):
    for found in (None, bill(used("20.00", billing_currency="EUR"))):
        made = charged(found)
        assert items(made) == {("accrued", ""): D("27.00")}
        assert accounts(made, {"accrual": "2290"})["2290", ""] == D(-27)
    assert [
        n for n in made.summary.facts.notes if n.startswith("1 lines of the bill are in EUR (20.00) and aren't charged")
    ]
    assert charged(bill(used())).summary.facts.notes == []
    assert accounts(charged(bill(used())), {"accrual": "2290"})["2190", ""] == D(-27)


def test_a_cost_api_beside_an_invoice_is_no_second_bill(charged):
    assert items(charged(bill(used(), used("26.90", source="api"))))["payable", ""] == D("27.00")


def test_clearing_by_provider_and_legal_entities_that_balance_each(charged):
    table = {
        "providers": {"openai/acct": "2191"},
        "entities": {"central": "US01", "receivers": {"k-b": "DE01"}, "accounts": {"openai": "US01"}},
    }
    entries = charged(bill(used())).journal(table)
    found = {(r.entity, r.account, r.debit - r.credit) for r in entries.itertuples()}
    assert found == {
        ("US01", "6100", D(18)), ("US01", "2191", D(-27)), ("US01", "1590", D(9)), ("DE01", "6100", D(9)), ("DE01", "1590", D(-9)),
    }  # fmt: skip
    with pytest.raises(RuleError, match="Did you mean 'clearing'"):
        load_accounts({"tax_codes": {"cleering": "V0"}})
    with pytest.raises(RuleError, match="central"):
        load_accounts({"entities": {"receivers": {"k-b": "DE01"}}})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"when": {"kind": "tax"}}, "needs one of"),
        ({"when": {"kind": "tax"}, "post": "prepayed"}, "Did you mean 'prepaid'"),
        ({"when": {"charge_categry": "Tax"}, "to": "x"}, "Did you mean 'charge_category'"),
        ({"when": {"kind": "tax"}, "give": "x"}, "no key 'give'"),
        ({"when": {}, "to": "x", "post": "tax"}, "needs one of"),
    ],
)
def test_rules_of_the_bill_are_checked(row, words):
    with pytest.raises(RuleError, match=words):
        load_bill_rules([row])


COSTS = st.decimals(-40, 40, places=4)
LINES = st.lists(
    st.tuples(
        COSTS, st.sampled_from(["Usage", "Credit", "Tax", "Purchase", "Adjustment"]), st.sampled_from(["small", "hidden", None]),
        st.sampled_from([None, "k-a", "nobody's"]), st.sampled_from(["acct", "other"]), st.sampled_from([None, "I-1", "I-2"]),
    ), min_size=1, max_size=6,
)  # fmt: skip


@pytest.mark.long
@settings(
    max_examples=5 * int(os.environ.get("FINOPS_AI_EXAMPLES", "1")), deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(lines=LINES, unpriced=st.integers(0, 3))
def test_any_bill_ties_to_the_cent_invoice_by_invoice(charged, lines, unpriced):
    found = bill(*(
        line(cost, charge_category=kind, model=model, meter="input" if model else "unmapped", tags={"team": tag} if tag else None,
             billing_account_id=account, invoice_id=invoice)
        for cost, kind, model, tag, account, invoice in lines
    ))  # fmt: skip
    made = charged(found, [{"api_key_id": "k-c", "model": "hidden", "quantity": unpriced}] if unpriced else ())
    for account in {x[4] for x in lines}:
        billed = sum((x[0] for x in lines if x[4] == account), D(0))
        owed = sum((p.amount for p in made.parts if p.account == account and p.item in OWED), D(0))
        assert abs(owed - billed) <= D("0.005")
    assert sum((abs(p.amount) for p in made.parts if p.item == "rounding"), D(0)) <= D("0.02") * len(
        {x[4] for x in lines}
    )
    entries = made.journal()
    clearing = sum((r.debit - r.credit for r in entries.itertuples() if r.account == "2190"), D(0))
    assert -clearing == sum((p.amount for p in made.parts if p.item in OWED), D(0))
    assert sum(entries["debit"]) == sum(entries["credit"])
