"""The connector keeps every rule, from the API and from saved answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cursor_team import EVENTS, KEY, PlayedTeam
from finops_ai_cursor import CursorConnector

from finops_ai.testing import ConnectorConformance, Reply, Request, exact_json


class Rules(ConnectorConformance):
    connector = CursorConnector
    window = ("2026-10-01", "2026-10-04")
    # six events of 100 in, 40 written, 200 read, 10 out
    quantities = {"input": 600, "cache_write": 240, "cache_read": 1200, "output": 60, "requests": 6}
    tokens = 2100
    billed = {"USD": "0.048125"}  # the spend of the cycle that begins on 1 October: 1.75 + 3.0625 cents
    content = "the text of a prompt"


class TestLive(Rules):
    secrets = (KEY,)
    environment = {"CURSOR_API_KEY": KEY}

    @pytest.fixture(autouse=True)
    def _play(self, team: PlayedTeam, waits: list[float]) -> None:
        self.team = team
        for one in team.events:
            one["text"] = self.content

    def answer(self, request: Request) -> Reply:
        self.team.page_size = self.page_size
        return self.team.answer(request)


class TestSaved(Rules):
    files_only = "the same reader is tested live in TestLive"
    excused = {"test_importing_it_loads_no_sdk": "the same module as in TestLive"}

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path, samples: Path) -> None:
        type(self).settings = {"files": [str(tmp_path / "*.json")]}
        newest: list[Any] = EVENTS[::-1]
        for number, rows in enumerate((newest[:5], newest[5:]), 1):
            page = {
                "usageEvents": rows,
                "totalUsageEventsCount": 8,
                "pagination": {"currentPage": number},
                "period": {"a": 1},
            }
            (tmp_path / f"page{number}.json").write_text(exact_json(page))
        spend = '{"teamMemberSpend": [{"email": "ada@example.com", "spendCents": 4.8125}], "subscriptionCycleStart": 1790812800000}'
        (tmp_path / "spend.json").write_text(spend)
