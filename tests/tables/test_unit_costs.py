"""Unit costs: the same model lines up across channels, list and effective, with its tokeniser named."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from finops_ai.engine import price
from finops_ai.errors import FrameError
from finops_ai.frames import concat, conform
from finops_ai.meters import tokens_from_slices
from finops_ai.prices import Contract, PriceBook
from finops_ai.tables.unit_costs import BLENDED, unit_costs

AT = dt.datetime(2026, 9, 1, tzinfo=dt.UTC)


def rows(provider, model, **meters):
    columns = {
        "charge_period_start": [AT], "charge_period_end": [AT + dt.timedelta(hours=1)], "provider": provider,
        "billing_account_id": "org", "model": model, "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {name: [n] for name, n in meters.items()}), source="test")


@pytest.fixture(scope="module")
def priced():
    tokens = concat([
        rows("anthropic", "claude-sonnet-5", input=1_000_000, cache_read=1_000_000, output=1_000_000, requests=3),
        rows("bedrock", "us.anthropic.claude-sonnet-5", input=2_000_000),
        rows("vertex", "claude-sonnet-5@default", input=500_000),
        rows("azure-openai", "gpt-5.4", input=1_000_000),
        rows("openai", "nobody-1", input=4_000_000),
    ])  # fmt: skip
    return price(tokens, PriceBook.default().with_contracts([Contract("c", "azure", discount=Decimal("0.1"))]))


def test_channels_of_one_model_line_up(priced):
    table = unit_costs(priced)
    sonnet = table[(table["model_family"] == "Claude Sonnet") & (table["meter"] == "fresh_input")]
    found = {row["channel"]: (row["list_per_million"], row["vs_cheapest"]) for row in sonnet.to_dict("records")}
    # 2.00 direct and on Vertex, 2.20 on a geographic Bedrock profile
    assert found == {"anthropic": (2, 1), "bedrock": (Decimal("2.2"), Decimal("1.1")), "vertex": (2, 1)}
    assert set(sonnet["model_version"]) == {"5"}


def test_blended_is_all_tokens_together(priced):
    table = unit_costs(priced)
    row = table[(table["channel"] == "anthropic") & (table["meter"] == BLENDED)].iloc[0]
    # (2.00 + 0.20 + 10.00) / 3 million tokens
    assert row["tokens"] == 3_000_000
    assert round(row["list_per_million"], 6) == Decimal("4.066667")


def test_list_and_effective(priced):
    table = unit_costs(priced)
    row = table[(table["channel"] == "azure-openai") & (table["meter"] == "fresh_input")].iloc[0]
    assert (row["list_per_million"], row["effective_per_million"]) == (Decimal("2.5"), Decimal("2.25"))


def test_unpriced_tokens_are_null_and_in_the_coverage(priced):
    table = unit_costs(priced)
    row = table[table["channel"] == "openai"].iloc[0]
    assert (row["model_family"], row["list_per_million"], row["tokens"]) == ("nobody-1", None, 4_000_000)
    # 3 + 2 + 0.5 + 1 = 6.5 million of 10.5 have a price
    assert table.facts.coverage["priced"] == pytest.approx(6.5 / 10.5)


def test_tokenisers_are_named(priced):
    table = unit_costs(priced)
    assert set(table["tokeniser"]) == {"Anthropic (Opus 4.7 on)", "OpenAI o200k", ""}
    assert any("2 tokenisers" in note for note in table.facts.notes)


def test_by_tier_and_bad_input(priced):
    assert "service_tier" in unit_costs(priced, by_tier=True).columns
    with pytest.raises(FrameError, match=r"call fa\.price first"):
        unit_costs(priced.drop(columns=["list_cost"]))
