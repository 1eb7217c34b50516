"""The connector keeps every rule of finops_ai's conformance kit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from finops_ai_template import TemplateConnector

from finops_ai.testing import ConnectorConformance, Reply, Request, exact_json

USAGE = [
    {
        "kind": "usage",
        "start": f"2026-{start}:00:00Z",
        "end": f"2026-{end}:00:00Z",
        "project": "search",
        "model": "acme-1",
        "input_tokens": 1000,
        "cached_tokens": 400,
        "output_tokens": 50,
        "requests": 3,
    }
    for start, end in (("10-01T09", "10-01T10"), ("10-02T09", "10-02T10"), ("11-01T00", "11-01T01"))
]
CHARGES = [
    {
        "kind": "charges",
        "month_start": "2026-10-01",
        "month_end": "2026-11-01",
        "start": "2026-10-01",
        "end": "2026-10-02",
        "text": "Acme 1, all tokens",
        "amount": Decimal("0.123456789"),
        "currency": "USD",
    }
]


class TestTemplateLive(ConnectorConformance):
    connector = TemplateConnector
    settings = {"account_id": "acct-1"}
    environment = {"TEMPLATE_API_KEY": "key-never-shown"}
    secrets = ("key-never-shown",)
    split = "2026-10-02"
    tokens = 2 * 1050  # two hours in October of 1000 in and 50 out
    quantities = {"input": 1200, "cache_read": 800, "output": 100, "requests": 6}
    billed = {"USD": "0.123456789"}

    def answer(self, request: Request) -> Reply:
        start, end = request.first("from"), request.first("to")
        known = USAGE if request.path.endswith("usage") else CHARGES
        rows = [row for row in known if start[:10] <= row["start"][:10] <= end[:10]]
        size, page = self.page_size or 100, int(request.first("page"))
        more = str(page + 1) if len(rows) > size * page else None
        return Reply({"rows": rows[size * (page - 1) : size * page], "next_page": more})


class TestTemplateFiles(ConnectorConformance):
    connector = TemplateConnector
    files_only = "TestTemplateLive tests the API"
    split = "2026-10-02"
    tokens = TestTemplateLive.tokens
    quantities = TestTemplateLive.quantities
    billed = TestTemplateLive.billed

    @pytest.fixture(autouse=True)
    def _saved_answers(self, tmp_path):
        lines = [exact_json(row) for row in (*USAGE, *CHARGES)]
        (tmp_path / "template.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.settings = {"account_id": "acct-1", "files": [str(tmp_path)]}
