"""What must hold for any usage: shapes agree on the cost, windows and days add up, the order of modifiers is fixed."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.engine import price
from finops_ai.frames import conform
from finops_ai.meters import normalise, tokens_from_slices
from finops_ai.prices import PriceBook, price_call

BOOK = PriceBook.default()
COUNT = st.integers(0, 400_000)
DAY = st.dates(dt.date(2025, 10, 1), dt.date(2026, 11, 20))


def frame(
    starts: list[dt.datetime], hours: int, model: str, provider: str, meters: dict[str, list[int]]
) -> pd.DataFrame:
    columns = {
        "charge_period_start": starts,
        "charge_period_end": [at + dt.timedelta(hours=hours) for at in starts],
        "provider": provider, "billing_account_id": "org", "model": model, "operation": "chat",
        "service_tier": "standard", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, meters), source="test")


@pytest.mark.long
@settings(max_examples=12, deadline=None)
@given(COUNT, COUNT, COUNT, COUNT, DAY, st.sampled_from(["claude-sonnet-4-6", "claude-sonnet-4-5", "claude-opus-5"]))
def test_raw_call_span_gateway_log_and_bill_row_cost_the_same(fresh, read, write, output, day, model):
    at = dt.datetime.combine(day, dt.time(), dt.UTC)
    prompt = fresh + read + write
    shapes = {
        "anthropic.messages": {
            "input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            "output_tokens": output,
        },
        "otel.span": {
            "gen_ai.usage.input_tokens": prompt, "gen_ai.usage.cache_read.input_tokens": read,
            "gen_ai.usage.cache_creation.input_tokens": write, "gen_ai.usage.output_tokens": output,
        },
        "litellm.spend_log": {
            "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "metadata": {"usage_object": {
                "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
                "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": write},
                "cache_read_input_tokens": read, "cache_creation_input_tokens": write,
            }},
        },
    }  # fmt: skip
    found = {}
    for format, usage in shapes.items():
        one = normalise(usage, format)
        found[format] = (dict(one.meters), price_call(BOOK, one, provider="anthropic", model=model, at=at).cost)
    assert len({repr(value) for value in found.values()}) == 1
    meters, cost = found["otel.span"]
    row = frame([at], 1, model, "anthropic", {name: [count] for name, count in meters.items()})  # as a bill row
    assert price(row, BOOK)["list_cost"].dropna().sum() == cost


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), COUNT, COUNT), min_size=1, max_size=12),
    st.sampled_from(
        [("openai", "gpt-5.6-luna"), ("openai", "gpt-4o"), ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0")]
    ),
)
def test_every_day_priced_alone_adds_up_to_the_whole(rows, channel):
    provider, model = channel
    first = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
    starts = [first + dt.timedelta(days=day) for day, _, _ in rows]
    whole = frame(starts, 24, model, provider, {"input": [a for _, a, _ in rows], "output": [b for _, _, b in rows]})
    total = price(whole, BOOK)["list_cost"].sum() if len(whole) else Decimal(0)
    days = [price(part, BOOK)["list_cost"].sum() for _, part in whole.groupby("charge_period_start")]
    assert sum(days, Decimal(0)) == total


@pytest.mark.long
@settings(max_examples=8, deadline=None)
@given(COUNT, st.integers(0, 100), DAY)
def test_splitting_a_window_changes_no_total(quantity, share, day):
    at = dt.datetime.combine(day, dt.time(), dt.UTC)
    part = quantity * share // 100
    one = frame([at], 24, "gpt-4.1", "openai", {"input": [quantity]})
    two = frame([at, at + dt.timedelta(hours=12)], 12, "gpt-4.1", "openai", {"input": [part, quantity - part]})
    costs = [price(rows, BOOK)["list_cost"].sum() if len(rows) else Decimal(0) for rows in (one, two)]
    assert costs[0] == costs[1]


@settings(max_examples=40, deadline=None)
@given(DAY, st.sampled_from(["standard", "batch", "fast"]), st.sampled_from(["us", "global", None]))
def test_place_is_a_factor_on_every_token_meter(day, tier, place):
    at = dt.datetime.combine(day, dt.time(), dt.UTC)
    for meter in ("input", "cache_read", "cache_write_1h", "output"):
        plain = BOOK.lookup("anthropic", "claude-opus-5", meter, at, service_tier=tier).unit_price
        placed = BOOK.lookup("anthropic", "claude-opus-5", meter, at, service_tier=tier, inference_geo=place).unit_price
        assert placed == plain * (Decimal("1.1") if place == "us" else 1)
