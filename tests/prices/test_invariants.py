"""The statements of the known bills that one call can't show."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from finops_ai.engine import price
from finops_ai.frames import conform
from finops_ai.meters import normalise, tokens_from_slices
from finops_ai.meters.logs import last_records
from finops_ai.periods import Window

INVARIANTS = {
    row["id"]: row
    for row in json.loads((Path(__file__).parent / "cases" / "known_bills.json").read_text("utf-8"))["invariants"]
}


def slices(rows: int, **meters: int) -> pd.DataFrame:
    start = [dt.datetime(2026, 6, 1 + n, tzinfo=dt.UTC) for n in range(rows)]
    columns = {
        "charge_period_start": start,
        "charge_period_end": [at + dt.timedelta(days=1) for at in start],
        "provider": ["openai"] * rows, "billing_account_id": ["org"] * rows, "model": ["acme-experimental-1"] * rows,
        "operation": ["chat"] * rows, "service_tier": ["standard"] * rows, "source": ["api"] * rows,
        "quantity_basis": ["metered"] * rows,
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {name: [n] * rows for name, n in meters.items()}), source="test")


def test_all_of_them_are_tested_here():
    assert set(INVARIANTS) == {"A23", "A22-day", "A24-coverage", "A25"}


def test_a_day_belongs_to_the_reporting_zone():
    wanted = INVARIANTS["A23"]
    at = dt.datetime.fromisoformat(wanted["inputs"]["at"])
    local = Window.of("2025-01-02", "2025-01-03", wanted["inputs"]["reporting_timezone"])
    utc = Window.of("2025-01-01", "2025-01-02", "UTC")
    assert (wanted["expected"]["local_day"], wanted["expected"]["utc_day"]) == ("2025-01-02", "2025-01-01")
    assert local.start <= at < local.end
    assert utc.start <= at < utc.end


def test_streamed_duplicates_keep_the_first_time():
    case = next(
        c
        for c in json.loads((Path(__file__).parent / "cases" / "known_bills.json").read_text("utf-8"))["cases"]
        if c["id"] == INVARIANTS["A22-day"]["inputs"]["case"]
    )
    (kept,) = last_records(case["calls"][0]["usage"])
    assert kept["timestamp"][:10] == INVARIANTS["A22-day"]["expected"]["day"]
    assert kept["message"]["usage"]["output_tokens"] == 159


def test_unpriced_is_counted_and_no_zero():
    priced = price(slices(1, input=1_000_000, output=1_000_000))
    assert priced["list_cost"].isna().all()
    assert set(priced["price_status"]) == {"unpriced"}
    assert priced["quantity"].sum() == INVARIANTS["A24-coverage"]["expected"]["unpriced_tokens"]


def test_discount_then_margin():
    wanted = INVARIANTS["A25"]
    listed, discount, margin = (Decimal(wanted["inputs"][k]) for k in ("list_cost", "provider_discount", "margin_pct"))
    effective = listed * (1 - discount)
    assert effective == Decimal(wanted["expected"]["effective_cost"])
    assert effective * (1 + margin) == Decimal(wanted["expected"]["charged"])


@pytest.mark.parametrize("format", ["openai.chat"])
def test_a_real_zero_is_priced(format):
    assert normalise({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, format).flags == frozenset()
