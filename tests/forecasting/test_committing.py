"""Commitments: what is used on nearly every day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from finops_ai.forecasting import commitment_advice


def rows(costs):
    """One row per day of each provider."""
    days = pd.date_range("2026-01-01", periods=max(map(len, costs.values())), tz="UTC")
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "charge_period_start": days,
                    "charge_period_end": days + pd.Timedelta(days=1),
                    "provider": provider,
                    "effective_cost": amounts,
                }
            )
            for provider, amounts in costs.items()
        ],
        ignore_index=True,
    )


def test_a_commitment_covers_what_is_nearly_always_used():
    # 80 days at 100 and 20 at 10; at 30 % off, usage is below 100 on 20 % of days: cover 100
    frame = rows({"a": np.array([100.0] * 80 + [10.0] * 20)})
    row = commitment_advice(frame, 0.3, days=100).iloc[0]
    assert row["cover"] == pytest.approx(100)
    assert row["commit"] == pytest.approx(70)
    # cost 100 x 70 = 7000 instead of 8200
    assert row["saving"] == pytest.approx(1 - 7000 / 8200)
    assert row["used"] == pytest.approx(8200 / 10000)
    # at 10 % off it isn't worth covering days that stay at 10
    assert commitment_advice(frame, 0.1, days=100).iloc[0]["cover"] == pytest.approx(10)
