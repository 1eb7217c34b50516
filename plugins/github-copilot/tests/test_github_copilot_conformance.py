"""The connector keeps every rule, from report jobs, from sums, and from saved reports."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from finops_ai_github_copilot import GitHubCopilotConnector
from github_enterprise import LINES, TOKEN, PlayedEnterprise, as_csv, item

from finops_ai.testing import ConnectorConformance, Reply, Request, exact_json


class Rules(ConnectorConformance):
    connector = GitHubCopilotConnector
    window = ("2026-10-01", "2026-10-04")
    quantities = {"credits": Decimal("430.5"), "input": 500, "output": 50, "cache_read": 1000, "cache_write": 200}
    tokens = 1750
    # seats of October inside and outside the cost center, and credits beyond the pool
    billed = {"USD": "67.606451"}
    settings = {"enterprise": "acme"}


class TestReportJobs(Rules):
    secrets = (TOKEN,)
    environment = {"GITHUB_TOKEN": TOKEN}

    @pytest.fixture(autouse=True)
    def _play(self, enterprise: PlayedEnterprise) -> None:
        self.enterprise = enterprise

    def answer(self, request: Request) -> Reply:
        self.enterprise.page_size = self.page_size
        return self.enterprise.answer(request)

    excused = {
        "test_many_pages_give_what_one_page_gives": "reports come whole; pages of seats are tested in test_seats_by_page"
    }


class TestSums(TestReportJobs):
    settings = {"enterprise": "acme", "read_from": "sums"}
    quantities = {"credits": Rules.quantities["credits"]}
    tokens = 0
    excused = {"test_importing_it_loads_no_sdk": "the same module as in TestReportJobs"}


class TestSaved(Rules):
    files_only = "the same reader is tested live in TestReportJobs"
    excused = {"test_importing_it_loads_no_sdk": "the same module as in TestReportJobs"}

    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        type(self).settings = {"enterprise": "acme", "files": [str(tmp_path / "*")]}
        (tmp_path / "report.csv").write_bytes(as_csv(LINES))
        (tmp_path / "report again.csv").write_bytes(as_csv(LINES))
        seats = [
            item("2026-10-31", "Copilot Business", "3.516129", "66.806451"),
            item("2026-10-03", "Copilot AI Credits", "80", "0.8"),
        ]
        (tmp_path / "billing_usage.json").write_text(exact_json({"usageItems": seats}))
