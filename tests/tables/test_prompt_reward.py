"""What is only sent beside shorter prompts earns no more than a policy promises of it."""

from __future__ import annotations

from decimal import Decimal as D

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.frames import conform

MILLION = 10**6
POLICY = {"dimension": "team", "incentives": {"prompt": "1", "cap": "0.5", "baseline_months": 1}}


def row(team, month, model, meter, quantity, tier="standard"):
    start = pd.Timestamp(f"{month}-09", tz="UTC")
    return {
        "charge_period_start": start, "charge_period_end": start + pd.Timedelta(days=1), "provider": "openai", "billing_account_id": "acct",
        "model": model, "operation": "chat", "meter": meter, "quantity": D(quantity), "unit": "requests" if meter == "requests" else "tokens",
        "service_tier": tier, "api_key_id": team, "prompt_id": f"{team}@1", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip


def charged(*more):
    """Prompts of team a are 60 times shorter on a cheap model; b pays for it. Cost and charge of a."""
    rows = [
        row(team, month, model, meter, quantity)
        for team, month, model, asked in (
            ("a", "2026-09", "gpt-4.1", 6 * MILLION), ("a", "2026-10", "gpt-4.1-nano", 100_000), ("b", "2026-10", "gpt-4.1", 60 * MILLION),
        )
        for meter, quantity in (("input", asked), ("output", 100_000), ("requests", 1000))
    ]  # fmt: skip
    rows += more
    frame = fa.price(conform({name: [r[name] for r in rows] for name in rows[0]}, source="test"))
    rules = {"dimensions": {"team": {}}, "rules": [{"name": "key", "set": {"team": "{api_key_id}"}}]}
    made = fa.chargeback(fa.allocate(frame, rules), POLICY, month="2026-10")
    exact = sum(made.lines["exact"][(made.lines["receiver"] == "a").to_numpy()], D(0))
    mine = (frame["api_key_id"] == "a") & (frame["charge_period_start"] >= pd.Timestamp("2026-10-01", tz="UTC"))
    return sum(frame["effective_cost"][mine.to_numpy()], D(0)), exact


@pytest.mark.parametrize("pad", [1000, 20_000])
def test_useless_input_in_another_tier_is_charged(pad):
    """A token of input through batch costs 0.00000005: at least half of it is charged, whatever prompts save."""
    (cost, charge), (more, charge_then) = charged(), charged(row("a", "2026-10", "gpt-4.1-nano", "input", pad, "batch"))
    assert more - cost == D("0.00000005") * pad
    assert charge_then - charge >= (more - cost) / 2
