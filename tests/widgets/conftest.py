"""Frames to explore: the sample company's last two months, and small ones with hostile names or many teams."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

import finops_ai as fa
from finops_ai.frames import conform

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "=cmd|'/c calc'!A1",
    "../../etc/passwd",
    "\u202eevil\u202c right to left",
    "x" * 500,
    "emoji 🧨🦾",
    "quote\"'`${1+1}\\",
    "new\nline",
    "<b>bold</b>&amp;",
    "__proto__",
]


@pytest.fixture(scope="session")
def allocated():
    """Two months of the sample company, priced and mapped."""
    return fa.allocate(fa.price(fa.sample(months=2)), fa.sample.rules())


@pytest.fixture(scope="session")
def teams_frame():
    """Make an allocated frame with one output row of a known price per (team, day): 1000 tokens of gpt-4o cost 0.01 USD."""

    def make(names, days=3, model="gpt-4o"):
        rows = [(n, d) for n in names for d in range(days)]
        start = [dt.datetime(2026, 10, 1, tzinfo=dt.UTC) + dt.timedelta(days=d) for _, d in rows]
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
                "source": ["api"] * len(rows),
                "quantity_basis": ["metered"] * len(rows),
            },
            source="test",
        )
        rules = {
            "dimensions": {"team": {"default": "unallocated"}},
            "rules": [{"name": "user", "when": {"provider": "openai"}, "set": {"team": "{user_id}"}}],
        }
        return fa.allocate(fa.price(tokens), rules)

    return make
