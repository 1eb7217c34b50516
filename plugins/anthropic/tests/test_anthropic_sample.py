"""The sample company's saved pages read back: every token and every cent of the ground truth."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from finops_ai_anthropic import AnthropicConnector

from finops_ai.periods import Window
from finops_ai.sample import frames
from finops_ai.sample.native_anthropic import write

METERS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "requests"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("anthropic")
    write(frames.slices(), folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("month", ["2025-12", "2026-10"])
def test_a_month_reads_back_exactly(pages: Path, month: str) -> None:
    window = Window.month(month)
    connector = AnthropicConnector(files=[str(pages)], organization_id="11111111-2222-4333-8444-555555555555")
    usage, bills = connector.usage(window), connector.bills(window)
    truth = frames.slices()
    starts = truth["charge_period_start"]
    truth = truth[(truth["provider"] == "anthropic") & (starts >= window.start) & (starts < window.end)]
    expected = {meter: int(truth[meter].sum()) for meter in METERS} | {
        "output": int((truth["output"] + truth["reasoning"]).sum())
    }
    found = {meter: int(quantity) for meter, quantity in usage.groupby("meter")["quantity"].sum().items()}
    if month < "2026":
        del expected["requests"]  # the legacy report states none
    assert found == {meter: count for meter, count in expected.items() if count}
    assert bills["billed_cost"].sum() == sum(truth["list_cost"], Decimal(0))
    assert set(usage["sub_account_id"]) == set(truth["sub_account_id"])
    assert set(usage["user_id"].dropna()) == set(truth["user_id"].dropna())
    assert set(usage["billing_account_id"]) == set(bills["billing_account_id"]) == set(truth["billing_account_id"])
    assert not connector.notes
