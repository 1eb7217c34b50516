"""The OCI connector keeps every rule of the kit: Usage API and reports through the real SDK, and saved files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from finops_ai_oci.connector import Oci
from oci_world import (
    BILLED,
    COST_FILES,
    FOCUS_LINES,
    ITEMS,
    QUANTITIES,
    REPORT_BILLED,
    REPORT_QUANTITIES,
    TENANCY,
    TOKENS,
    World,
    connector,
    cost_line,
    pem,
    zipped_csv,
)

from finops_ai.testing import ConnectorConformance, Reply, Request

#: what needn't be tried again for the same class
ONCE = {"test_importing_it_loads_no_sdk": "the same class is imported in the first test class"}


class Played(ConnectorConformance):
    """The SDK against the played OCI."""

    connector = Oci
    split = "2026-10-06"

    @pytest.fixture(autouse=True)
    def _world(self) -> None:
        self.world = World()
        self.fill()

    @property
    def secrets(self) -> tuple[str, ...]:
        return (pem().splitlines()[1],)

    def fill(self) -> None:
        """Put things into the world."""

    def answer(self, request: Request) -> Reply:
        self.world.page_size = self.page_size
        return self.world.answer(request)

    def make(self, **changes: Any) -> Oci:
        return connector(self.provider.url, **self.settings | changes)


class TestUsageApi(Played):
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED


class TestCostReportsInObjectStorage(Played):
    excused = ONCE
    settings = {"read_from": "cost_reports"}
    quantities = REPORT_QUANTITIES
    billed = REPORT_BILLED

    def fill(self) -> None:
        for number, (name, lines) in enumerate(COST_FILES.items()):
            self.world.objects[name] = (f"2026-11-0{number + 1}T05:00:00Z", zipped_csv(lines))
        self.world.objects["reports/cost-csv/0000-00001.csv.gz"] = (
            "2026-09-01T00:00:00Z",
            zipped_csv([cost_line("z", "2026-08-31T00:00Z", "1", "1")]),
        )


class TestSavedFocusReports(ConnectorConformance):
    connector = Oci
    excused = ONCE
    files_only = "reports in Object Storage are tested above"
    split = "2026-10-06"
    #: (12.5 + 1) x 10,000
    quantities = {"characters": 135_000}
    #: 0.195 + 0.0156 - 0.1
    billed = {"USD": "0.1106"}

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path) -> None:
        (tmp_path / "focus.csv.gz").write_bytes(zipped_csv(FOCUS_LINES))
        self.settings = {"files": [str(tmp_path)]}


@pytest.mark.slow  # the same items as live; their totals are tested beside the charges
class TestSavedAnswers(ConnectorConformance):
    connector = Oci
    excused = ONCE
    files_only = "the Usage API is tested above"
    split = "2026-10-06"
    tokens = TOKENS
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path) -> None:
        (tmp_path / "usage.json").write_text(json.dumps({"groupBy": ["skuName"], "items": ITEMS}))
        self.settings = {"files": [str(tmp_path / "*.json")], "tenancy_id": TENANCY}
