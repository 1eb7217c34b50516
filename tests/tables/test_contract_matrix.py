"""Contracts that settle, across everything that shows figures: no column of money becomes a name, and everything adds up."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.periods import Window
from finops_ai.prices.contracts import contracts_of
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.focus import to_focus
from finops_ai.tables.grouping import dimensions_of
from finops_ai.widgets import static_explorer

D = Decimal
CONTRACTS = {
    "none": [],
    "volume": [{"name": "vol", "provider": "openai", "volume": [{"over": 0, "discount": "0.1"}]}],
    "credits": [{"name": "credit", "provider": "anthropic", "credits": [{"name": "c", "amount": "500", "from": "2026-10-01", "to": "2026-11-01"}]}],
    "capacity": [{"name": "cap", "provider": "anthropic", "capacity": [{"name": "pt", "model": "claude-sonnet-5", "units": 2, "hourly": "4", "from": "2026-10-01", "to": "2026-11-01", "tokens_per_hour": 1_000_000}]}],
}  # fmt: skip


def book_of(kind):
    rows = CONTRACTS[kind]
    return fa.PriceBook.default().under(contracts_of(rows, "test"), "test") if rows else fa.PriceBook.default()


@pytest.fixture(scope="module", params=list(CONTRACTS))
def allocated(request):
    tokens = fa.sample(months=1)
    return fa.allocate(fa.price(tokens, book_of(request.param)), fa.sample.rules())


def test_dimensions_are_the_ones_declared(allocated):
    assert dimensions_of(allocated) == ["team", "product", "environment", "cost_centre"]


def test_the_report_files_have_a_row_per_group_and_add_up(allocated):
    by = [*dimensions_of(allocated), "provider", "model"]
    table = fa.showback(allocated, by, "2026-10").published()
    assert len(table) == len(allocated.groupby(by, dropna=False))
    assert len(table) < 60
    total = fa.showback(allocated, month="2026-10").published()["cost"].iloc[0]
    assert sum(table["cost"]) == total


def test_charges_and_journal_add_up(allocated):
    charged = fa.chargeback(allocated, {"dimension": "team"}, month="2026-10")
    shown = fa.showback(allocated, ["team"], "2026-10").published().set_index("team")["cost"]
    assert {r["receiver"]: r["cost"] for r in charged.summary.to_dict("records")}.items() <= shown.to_dict().items()
    entries = charged.journal()
    assert sum(entries["debit"]) == sum(entries["credit"]) >= sum(charged.summary["charge"])


def test_the_explorer_offers_names_only(allocated):
    text = static_explorer(allocated, month="2026-10")
    offered = json.loads(re.search(r'<script type="application/json">(.*?)</script>', text, re.S)[1])["dimensions"]
    assert not [name for name in offered if "cost" in name and name != "cost_centre"]


def test_the_forecast_plans_the_same_parts(allocated):
    done = fa.forecast(allocated, 7, by=["team"])
    days = done.pivot(index="ds", columns="unique_id", values="yhat")
    parts = days.drop(columns="total")
    assert set(parts) == set(allocated["team"].dropna())  # teams, and what is no team; no column of money
    assert (parts.sum(axis=1) - days["total"]).abs().max() < 1e-6


def test_focus_has_no_money_among_the_names(allocated):
    focus = to_focus(allocated)
    assert {c for c in focus.columns if c.startswith("x_") and "Cost" in c} <= {"x_StatedCost", "x_CostCentre"}
    assert isinstance(focus, pd.DataFrame)


MAPPED = """[workspace]
[dimensions.team]
[[rules]]
name = "account"
when = { billing_account_id = "*" }
set = { team = "{sub_account_name}" }
[chargeback]
dimension = "team"
"""


@pytest.mark.long
@pytest.mark.parametrize("kind", CONTRACTS)
def test_a_closed_month_says_what_the_open_one_said(kind, tmp_path):
    tokens = fa.sample(months=1)
    contracts = ["\n".join(f"{k} = {toml(v)}" for k, v in row.items()) for row in CONTRACTS[kind]]
    text = MAPPED + "".join(f"[[contracts]]\n{row}\n" for row in contracts)
    (tmp_path / "finops.toml").write_text(text, "utf-8")
    ws = fa.open(tmp_path)
    for name in ("openai", "anthropic"):
        mine = tokens[(tokens["provider"] == name).to_numpy(bool)]
        ws.lake.replace("tokens", name, Window.month("2026-10", "UTC"), mine)
    assert bool(ws.book.has_terms) == bool(contracts)
    by, shown = ["team", "provider"], ["team", "provider", "cost", "list_cost", "tokens", "requests"]
    before = fa.showback(ws.cube("2026-10"), by, "2026-10").published()[shown].to_dict("records")
    close_month(ws, "2026-10")
    ws = fa.open(tmp_path)
    closed = ws.cube("2026-10")
    assert fa.showback(closed, by, "2026-10").published()[shown].to_dict("records") == before
    assert dimensions_of(closed) == ["team"]
    journal = ws.closed("2026-10").table("journal")
    assert sum(journal["debit"].dropna()) == sum(journal["credit"].dropna())
    assert true_up_month(ws, "2026-10", posted_in="2026-11")[1] is None


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + " }"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)
