"""The connectors of logs keep every rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from agent_logs import SECRET, meta, said, total, turn, write
from finops_ai_agent_logs import AgentLogsConnector, ClaudeCodeConnector, CodexConnector

from finops_ai.testing import ConnectorConformance

SESSION = "a" * 8 + "-0000-4000-8000-000000000000"


class Logs(ConnectorConformance):
    window = ("2026-10-01", "2026-10-04")
    files_only = "logs lie on disk"
    content = SECRET
    rollout: Any = None

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        type(self).settings = {"files": [str(tmp_path / "**/*.jsonl")], "user": "ada@example.com"}
        days = [
            "2026-09-30T23:59:59.999Z",
            "2026-10-01T00:00:00.000Z",
            "2026-10-02T00:00:00.000Z",
            "2026-10-04T00:00:00.000Z",
        ]
        if self.connector is not CodexConnector:
            write(tmp_path / "s.jsonl", [said("s", at, f"m{i}", 10) for i, at in enumerate(days)])
        if self.connector is not ClaudeCodeConnector:
            totals = [total(at, 100 * (i + 1), 0, 5 * (i + 1)) for i, at in enumerate(days)]
            write(tmp_path / f"rollout-{SESSION}.jsonl", [meta(SESSION, days[0]), turn(days[0]), *totals])


class TestClaudeCode(Logs):
    connector = ClaudeCodeConnector
    quantities = {"input": 8, "cache_read": 2000, "cache_write_5m": 40, "output": 20, "requests": 2}
    tokens = 2068


class TestCodex(Logs):
    connector = CodexConnector
    quantities = {"input": 200, "output": 10, "requests": 2}
    tokens = 210
    excused = {"test_importing_it_loads_no_sdk": "the same package as in TestClaudeCode"}


class TestAgentLogs(Logs):
    connector = AgentLogsConnector
    quantities = {"input": 208, "cache_read": 2000, "cache_write_5m": 40, "output": 30, "requests": 4}
    tokens = 2278
    excused = {
        "test_importing_it_loads_no_sdk": "the same package as in TestClaudeCode",
        "test_the_provider_is_the_connector": "rows say which tool's log they are from",
    }
