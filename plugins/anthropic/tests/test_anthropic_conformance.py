"""The connector keeps every rule, live on each report family and from saved pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finops_ai_anthropic import AnthropicConnector

from finops_ai.testing import ConnectorConformance, Reply, Request


class Played(ConnectorConformance):
    connector = AnthropicConnector
    environment = {"ANTHROPIC_ADMIN_KEY": "sk-ant-admin01-played-secret"}
    secrets = ("sk-ant-admin01-played-secret",)
    window = ("2026-10-01", "2026-10-04")
    # input 1000 + 100 + 5000 + 250000; output 300 + 40 + 700 + 1000; with 200 read, 50 + 10 written
    quantities = {
        "input": 256_100, "cache_read": 200, "cache_write_5m": 50, "cache_write_1h": 10, "output": 2040,
        "web_searches": 2, "requests": 16,
    }  # fmt: skip
    tokens = 258_400

    @pytest.fixture(autouse=True)
    def _play(self, organization: Any, waits: Any) -> None:
        self.organization = organization

    def answer(self, request: Request) -> Reply:
        self.organization.page_size = self.page_size
        return self.organization.answer(request)


class TestAnalytics(Played):
    settings = {"reports": "analytics"}
    # list cents: 256100 x 0.0005 = 128.05; 200 x 0.00005 = 0.01; 50 x 0.000625 = 0.03125; 10 x 0.001 = 0.01;
    # 2040 x 0.0025 = 5.1; 2 searches = 2; code 12.5; together 147.70125, of which 80 % are paid: 118.161 cents
    billed = {"USD": "1.18161"}


class TestLegacy(Played):
    excused = {"test_importing_it_loads_no_sdk": "the same module as in TestAnalytics"}
    settings = {"reports": "legacy", "organization_id": "org_1"}
    quantities = {name: count for name, count in Played.quantities.items() if name != "requests"}
    # list price, and without Priority Tier: 147.70125 - 250000 x 0.0005 - 1000 x 0.0025 = 20.20125 cents
    billed = {"USD": "0.2020125"}


class TestSavedPages(ConnectorConformance):
    connector = AnthropicConnector
    excused = {"test_importing_it_loads_no_sdk": "the same module as in TestAnalytics"}
    files_only = "the same reader is tested live in TestAnalytics"
    window = ("2026-11-01", "2026-11-03")
    split = "2026-11-02"
    # two days of the same counts: (1500 + 200 + 500 + 1000 + 500) x 2
    tokens = 7400
    quantities = {
        "input": 3000,
        "cache_read": 400,
        "cache_write_5m": 1000,
        "cache_write_1h": 2000,
        "output": 1000,
        "requests": 24,
    }
    billed = {"USD": "0.025"}  # 1.25 cents a day
    content = "the text of a prompt"

    @pytest.fixture(autouse=True)
    def _pages(self, tmp_path: Path) -> None:
        type(self).settings = {"files": [str(tmp_path)]}
        cache = {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1000}
        counts = {
            "uncached_input_tokens": 1500,
            "cache_creation": cache,
            "cache_read_input_tokens": 200,
            "output_tokens": 500,
        }
        rows, costs = [], []
        for day in (1, 2, 3):
            frame = {"starting_at": f"2026-11-0{day}T00:00:00Z", "ending_at": f"2026-11-0{day + 1}T00:00:00Z"}
            group = {"model": "claude-opus-5", "workspace_id": "ws_a", "service_tier": "standard", "note": self.content}
            total = {"total_tokens": 3700, "requests": 12, "server_tool_use": {"web_search_requests": 0}}
            rows.append({**frame, "group": group, "usage": {**counts, **total}})
            kind = {"cost_type": "tokens", "token_type": "output_tokens"}
            cost = {"amount": "1.25", "list_amount": "1.5625", "currency": "USD"}
            costs.append({**frame, "group": {**group, **kind}, "cost": cost})
        page = {"data": rows, "has_more": False, "data_refreshed_at": "2026-11-04T00:00:00Z"}
        (tmp_path / "usage.json").write_text(json.dumps(page))
        (tmp_path / "again.json").write_text(json.dumps(page))
        (tmp_path / "cost.jsonl").write_text("\n".join(json.dumps(row) for row in costs))
