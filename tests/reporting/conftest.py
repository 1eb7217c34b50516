"""Small workspaces to report on: any teams, any days, prices that anybody can multiply."""

from __future__ import annotations

import datetime as dt
import functools
import json
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
#: a workspace whose every dimension, account, model and tag bears the name
EVERYWHERE = """
[dimensions.product]
default = "none"
[[rules]]
name = "prompt"
when = { provider = "openai" }
set = { product = "{prompt_id}" }
"""


def workspace_at(folder, names, *, days=(1, 2, 3), model="gpt-4o", month=10, everywhere=False):
    """A workspace where each team has one row a day of 1000 gpt-4o output tokens: 0.01 USD.

    With `everywhere` the name is also that of the model (10 USD per million, by contract), the product, the accounts,
    the key, the resource and a tag.
    """
    rows = [(n, d) for n in names for d in days]
    start = [dt.datetime(2026, month, d, tzinfo=dt.UTC) for _, d in rows]
    named = [n for n, _ in rows]
    more = {"sub_account_id": named, "sub_account_name": named, "api_key_id": named, "resource_id": named}
    more["tags"] = [[("env", n), (n[:100], "x")] for n in named]
    tokens = conform(
        {
            "charge_period_start": start,
            "charge_period_end": [s + dt.timedelta(days=1) for s in start],
            "provider": ["openai"] * len(rows),
            "billing_account_id": named if everywhere else ["org"] * len(rows),
            "model": named if everywhere else [model] * len(rows),
            "operation": ["chat"] * len(rows),
            "meter": ["output"] * len(rows),
            "quantity": [Decimal(1000)] * len(rows),
            "unit": ["tokens"] * len(rows),
            "service_tier": ["standard"] * len(rows),
            "user_id": [n for n, _ in rows],
            "prompt_id": [n for n, _ in rows],
            "source": ["api"] * len(rows),
            "quantity_basis": ["metered"] * len(rows),
            **(more if everywhere else {}),
        },
        source="test",
    )
    settings = (
        TOML.replace("[dimensions", 'prices = "prices.toml"\n[dimensions', 1) + EVERYWHERE if everywhere else TOML
    )
    (folder / "finops.toml").write_text(settings, encoding="utf-8")
    own = "".join(
        f"[[contracts.prices]]\nmodel = {json.dumps(n, ensure_ascii=False)}\nprices = {{ output = '10' }}\n"
        for n in names
    )
    (folder / "prices.toml").write_text(f'[[contracts]]\nname = "own"\nprovider = "openai"\n{own}', encoding="utf-8")
    ws = fa.open(folder)
    ws.lake.replace("tokens", "openai", Window.of("2026-01-01", "2027-01-01"), tokens)
    return ws


@pytest.fixture
def make_workspace(tmp_path):
    """Make a workspace in the test's folder (see `workspace_at`)."""
    return functools.partial(workspace_at, tmp_path)
