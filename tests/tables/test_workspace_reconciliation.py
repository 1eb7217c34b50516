"""One answer to whether a month ties: commands, pages and gates, by the tolerance of finops.toml, from rows where cells can't tell."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal as D

import pytest
from click.testing import CliRunner

import finops_ai as fa
from finops_ai.cli import group
from finops_ai.frames import BillFrame, conform
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window
from finops_ai.reporting.decisions import invoices
from finops_ai.reporting.kpis import workspace_kpis
from finops_ai.tables.closing import preview
from finops_ai.tables.reconcile import workspace_reconciliation

OCTOBER = Window.month("2026-10")


def usage(calls=240):
    """A call an hour for ten days, a million input tokens of gpt-4.1 each: 2 USD."""
    starts = [OCTOBER.start + n * dt.timedelta(hours=1) for n in range(calls)]
    columns = {
        "charge_period_start": starts, "charge_period_end": [s + dt.timedelta(hours=1) for s in starts], "provider": "openai",
        "billing_account_id": "acme", "model": "gpt-4.1", "operation": "chat", "service_tier": "standard", "source": "api",
        "quantity_basis": "metered",
    }  # fmt: skip
    return conform(tokens_from_slices(columns, {"input": [1_000_000] * len(starts)}), source="test")


def bill(cost=D(48), days=10):
    starts = [OCTOBER.start + n * dt.timedelta(days=1) for n in range(days)]
    whole = {
        "provider": "openai", "billing_account_id": "acme", "billing_period_start": OCTOBER.start, "billing_period_end": OCTOBER.end,
        "charge_category": "Usage", "charge_description": "gpt-4.1 input", "billing_currency": "USD", "model": "gpt-4.1",
        "meter": "input", "service_tier": "standard", "source": "billing_export",
    }  # fmt: skip
    columns = {name: [value] * days for name, value in whole.items()} | {
        "charge_period_start": starts, "charge_period_end": [s + dt.timedelta(days=1) for s in starts], "billed_cost": [cost] * days,
        "consumed_quantity": [D(24_000_000)] * days, "consumed_unit": ["tokens"] * days,
    }  # fmt: skip
    return conform(columns, BillFrame, source="test")


@pytest.fixture
def company(tmp_path):
    def at(tokens, bills, more=""):
        (tmp_path / "finops.toml").write_text('[workspace]\n[dimensions.team]\ndefault = "a"\n' + more, "utf-8")
        ws = fa.open(tmp_path)
        ws.lake.replace_window("openai", OCTOBER, {"tokens": tokens, "bills": bills})
        return ws

    return at


def asked(ws, *words):
    return CliRunner().invoke(group, ["reconcile", "--config", str(ws.settings.root), "--month", "2026-10", *words])


def checked(ws):
    words = ["reconcile", "--check", "--config", str(ws.settings.root), "--month", "2026-10"]
    return group.main(words, standalone_mode=False)


@pytest.mark.long
def test_the_tolerance_of_the_settings_decides_everywhere(company):
    # 480 computed, 479 billed: one dollar of another price
    ws = company(usage(), bill(D("47.9")))
    assert (workspace_reconciliation(ws, "2026-10").status, checked(ws)) == ("pass", 0)
    assert invoices(ws, "2026-10").figure == "✓ ties"
    ws = company(
        usage(),
        bill(D("47.9")),
        '[reconcile]\nwarn = { amount = "0.1", share = "0" }\nfail = { amount = "0.2", share = "0.0001" }\n',
    )
    assert (workspace_reconciliation(ws, "2026-10").status, checked(ws)) == ("fail", 1)
    assert invoices(ws, "2026-10").figure == "doesn’t tie"


@pytest.mark.long
def test_a_page_names_what_only_single_rows_tell(company):
    ws = company(usage(), bill())
    ws.lake.replace("tokens", "the same key again", OCTOBER, usage(24))
    command = json.loads(asked(ws, "--format", "json").stdout)
    (row,) = command["rows"] if isinstance(command, dict) else command
    (page,) = workspace_reconciliation(ws, "2026-10").to_dict("records")
    assert {k: D(str(row[k])) for k in ("duplicate_usage", "not_billed")} == {"duplicate_usage": -48, "not_billed": 0}
    assert (page["duplicate_usage"], page["difference"]) == (-48, -48)
    gap = workspace_kpis(ws, "2026-10").set_index("id").loc["reconciliation_gap", "value"]
    assert not gap


def test_a_gate_of_the_close_asks_the_same(company):
    ws = company(usage(), bill(), '[chargeback]\ndimension = "team"\n[close]\nunexplained = "0.01"\n')
    assert all(row["passed"] for row in preview(ws, "2026-10").gates.to_dict("records"))
