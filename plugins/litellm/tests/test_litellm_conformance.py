"""The connector keeps every rule, from the log listing and from exported files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from finops_ai_litellm import LiteLLMConnector, sources

from finops_ai.testing import ConnectorConformance, Reply, Request

BILLER = {
    "test_the_provider_is_the_connector": "a gateway's rows say who bills the call, so that they can be priced and matched"
}


class Gateway(ConnectorConformance):
    connector = LiteLLMConnector
    window = ("2026-10-01", "2026-10-04")
    excused = BILLER
    content = "the text of a prompt"
    # r1: 800 - 512 = 288 fresh, 120 - 40 = 80 out; r2: 6000 - 5000 - 900 = 100 fresh; r3: answered by the gateway;
    # r4: failed; r5: 30. Five calls.
    quantities = {
        "input": 288 + 100 + 30, "cache_read": 512 + 5000, "cache_write_5m": 600, "cache_write_1h": 300, "output": 80 + 200,
        "reasoning": 40, "requests": 5,
    }  # fmt: skip
    tokens = 920 + 6200 + 30


class TestListing(Gateway):
    environment = {"LITELLM_API_KEY": "sk-litellm-played-secret"}
    secrets = ("sk-litellm-played-secret", "sk-raw-key")

    @pytest.fixture(autouse=True)
    def _play(self, gateway: Any, waits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gateway, self.patch = gateway, monkeypatch

    def answer(self, request: Request) -> Reply:
        return self.gateway.answer(request)

    def make(self, **changes: Any) -> Any:
        self.patch.setattr(sources, "PAGE", self.page_size or 100)
        return super().make(**changes)


class TestFiles(Gateway):
    files_only = "the same reader is tested live in TestListing"
    excused = {**BILLER, "test_importing_it_loads_no_sdk": "the same module as in TestListing"}

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path, logs: list[dict[str, Any]]) -> None:
        type(self).settings = {"files": [str(tmp_path / "*")]}
        (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in logs[:4]))
        (tmp_path / "b.json").write_text(json.dumps({"data": logs[3:], "total": 4, "page": 1}))
