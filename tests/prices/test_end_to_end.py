"""Prices through `fa.price`: hours, accounts and what was known when."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.frames import conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import Contract, PriceBook

HOURS = [dt.datetime(2026, 8, 19, hour, tzinfo=dt.UTC) for hour in (0, 2, 5, 7, 12)]


@pytest.fixture(scope="module")
def tokens():
    columns = {
        "charge_period_start": HOURS, "charge_period_end": [at + dt.timedelta(hours=1) for at in HOURS],
        "provider": "deepseek", "billing_account_id": "acme", "sub_account_id": ["a", "a", "b", "b", "a"],
        "model": "deepseek-v4-pro", "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {"input": [1_000_000] * 5}), source="test")


def test_every_hour_has_its_price(tokens):
    # 0.66 off-peak, 1.32 at 02:00 and 07:00 UTC
    assert fa.price(tokens)["list_cost"].tolist() == [Decimal(c) for c in ("0.66", "1.32", "0.66", "1.32", "0.66")]


def test_a_discount_reaches_its_account_only(tokens):
    half = Contract("half", "deepseek", accounts=frozenset({"b"}), discount=Decimal("0.5"))
    priced = fa.price(tokens, PriceBook.default().with_contracts([half]))
    assert (priced["list_cost"] >= priced["contracted_cost"]).all()
    assert (priced["contracted_cost"] >= priced["effective_cost"]).all()
    assert priced["contracted_cost"].tolist() == [Decimal(c) for c in ("0.66", "1.32", "0.33", "0.66", "0.66")]
    assert priced["price_status"].tolist() == ["listed", "listed", "contract", "contract", "listed"]


def test_what_was_known_then():
    book = PriceBook.default()
    then = book.as_known("2026-08-01")
    assert then.version != book.version
    assert then.lookup("openai", "gpt-5.6-sol", "input", "2026-07-01").unit_price * 1_000_000 == 5
    later = then.lookup("openai", "gpt-5.6-sol", "input", "2026-09-01")
    assert (later.unit_price * 1_000_000, later.needs_confirmation) == (5, True)
    # OpenAI's page had this batch rate by 2026-04-01 (models.dev cites it); it held from the tier's first day, 2024-04-15
    assert then.lookup("openai", "babbage-002", "input", "2026-07-01", service_tier="batch").status == "listed"
    # no map had this one before LiteLLM's of 2026-09-27: before that only the published half was known
    image = [
        x.lookup("openai", "gpt-image-1.5", "input_image", "2026-07-01", service_tier="batch") for x in (then, book)
    ]
    assert [(x.unit_price * 1_000_000, x.status) for x in image] == [(4, "assumed"), (4, "listed")]
