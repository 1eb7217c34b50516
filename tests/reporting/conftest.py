"""Small workspaces to report on: any teams, any days, prices that anybody can multiply."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.frames import conform
from finops_ai.periods import Window

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    "../../x",
    "\u202eevil\u202c",
    "y" * 500,
    "emoji 🧨",
    "$x^2$ <b>&amp;",
]
TOML = """
[workspace]
name = "Test <company>"
[dimensions.team]
default = "unallocated"
[[rules]]
name = "user"
when = { provider = "openai" }
set = { team = "{user_id}" }
"""


@pytest.fixture
def make_workspace(tmp_path):
    """A workspace where each team has one row a day of 1000 gpt-4o output tokens: 0.01 USD."""

    def make(names, *, days=(1, 2, 3), model="gpt-4o", month=10):
        rows = [(n, d) for n in names for d in days]
        start = [dt.datetime(2026, month, d, tzinfo=dt.UTC) for _, d in rows]
        tokens = conform(
            {
                "charge_period_start": start,
                "charge_period_end": [s + dt.timedelta(days=1) for s in start],
                "provider": ["openai"] * len(rows),
                "billing_account_id": ["org"] * len(rows),
                "model": [model] * len(rows),
                "operation": ["chat"] * len(rows),
                "meter": ["output"] * len(rows),
                "quantity": [Decimal(1000)] * len(rows),
                "unit": ["tokens"] * len(rows),
                "service_tier": ["standard"] * len(rows),
                "user_id": [n for n, _ in rows],
                "prompt_id": [n for n, _ in rows],
                "source": ["api"] * len(rows),
                "quantity_basis": ["metered"] * len(rows),
            },
            source="test",
        )
        (tmp_path / "finops.toml").write_text(TOML, encoding="utf-8")
        ws = fa.open(tmp_path)
        ws.lake.replace("tokens", "openai", Window.of("2026-01-01", "2027-01-01"), tokens)
        return ws

    return make
