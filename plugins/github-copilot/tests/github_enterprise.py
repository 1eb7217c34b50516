"""A GitHub enterprise played on loopback: report jobs, cost centers, billed usage and seats."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_ai.testing import Reply, Request
from finops_ai.testing.fixtures import contract_samples, waits  # noqa: F401

SAMPLES = Path(__file__).parents[3] / "../shared/contracts/github_copilot/samples"
TOKEN = "ghp_played0secret0of0an0enterprise"
COLUMNS = [
    "date", "username", "product", "sku", "model", "quantity", "unit_type", "applied_cost_per_quantity", "gross_amount",
    "discount_amount", "net_amount", "total_monthly_quota", "organization", "repository", "cost_center_name", "aic_quantity",
    "aic_gross_amount", "input", "output", "cache_read", "cache_write",
]  # fmt: skip


def line(day: str, user: str, credits: str, net: str = "0", **more: Any) -> dict[str, str]:
    """A line of the report of AI credits: 100 in, 10 out, 200 read, 40 written a line."""
    gross = Decimal(credits) / 100
    row = {
        "date": day, "username": user, "product": "copilot", "sku": "copilot_ai_credit", "model": "Claude Demo 9",
        "quantity": credits, "unit_type": "ai-credits", "applied_cost_per_quantity": "0.01", "gross_amount": f"{gross:f}",
        "discount_amount": f"{gross - Decimal(net):f}", "net_amount": net, "total_monthly_quota": "1900", "organization": "acme-dev",
        "repository": "", "cost_center_name": "Kite", "aic_quantity": credits, "aic_gross_amount": f"{gross:f}", "input": "100",
        "output": "10", "cache_read": "200", "cache_write": "40",
    }  # fmt: skip
    return row | more


LINES = [
    line("2026-09-30", "bo", "77"),
    line("2026-10-01", "ada", "100.5"),
    line("2026-10-01", "ada", "50", sku="coding_agent_ai_credit", repository="acme/kite"),
    line("2026-10-01", "ada", "50", sku="coding_agent_ai_credit", repository="acme/pier"),
    line("2026-10-02", "bo", "200", net="0.5"),
    line("2026-10-03", "", "30", net="0.3", sku="code_review_ai_credit", cost_center_name="", total_monthly_quota="0"),
    line("2026-10-04", "bo", "999"),
]


def as_csv(lines: list[dict[str, str]], columns: list[str] = COLUMNS) -> bytes:
    """A report as GitHub writes it: byte order mark, quotes."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, extrasaction="ignore", quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return b"\xef\xbb\xbf" + file.getvalue().encode()


def item(day: str, sku: str, quantity: str, net: str, **more: Any) -> dict[str, Any]:
    """A line of billed usage."""
    return {
        "date": day, "product": "Copilot", "sku": sku, "quantity": Decimal(quantity), "unitType": "x", "pricePerUnit": 19,
        "grossAmount": Decimal(net), "discountAmount": 0, "netAmount": Decimal(net), "organizationName": "acme-dev", **more,
    }  # fmt: skip


def seat(login: str, **more: Any) -> dict[str, Any]:
    """A seat object."""
    return {
        "created_at": "2026-01-01T00:00:00Z", "pending_cancellation_date": None, "last_activity_at": "2026-10-30T10:00:00Z",
        "plan_type": "business", "assignee": {"login": login, "id": len(login)}, "organization": {"login": "acme-dev"},
        "assigning_team": None, **more,
    }  # fmt: skip


class PlayedEnterprise:
    """Answers as GitHub does.

    Attributes:
        lines: of the report. waits: how often a job is still processing. fate: what a job comes to.
        no_reports: status of a refusal of report jobs. page_size: at most so many seats a page.
    """

    def __init__(self) -> None:
        self.lines = list(LINES)
        self.waits, self.fate, self.no_reports = 1, "completed", 0
        self.page_size: int | None = None
        self.seats = [
            seat("ada"), seat("ada", organization={"login": "acme-lab"}, created_at="2026-03-01T00:00:00Z"), seat("bo"),
            seat("cy", created_at="2026-10-16T00:00:00Z", last_activity_at=None),
        ]  # fmt: skip
        self.inside = [
            item("2026-10-31", "Copilot Business", "2", "38"),
            item("2026-10-02", "Copilot AI Credits", "200", "0.5"),
        ]
        self.outside = [
            item("2026-10-31", "Copilot Business", "1.516129", "28.806451"),
            item("2026-10-03", "Copilot AI Credits", "30", "0.3"),
            item("2026-10-03", "Actions Linux", "12", "0.072", product="Actions", unitType="minutes"),
            item("2026-10-03", "Git LFS", "1", "5", product="Git LFS"),
        ]
        self.jobs: dict[str, tuple[dict[str, Any], int]] = {}

    def answer(self, request: Request) -> Reply:
        path = request.path.lstrip("/")
        if path.startswith("downloads/"):
            assert "authorization" not in request.headers, "a signed link gets no token"
            start, end = path.removeprefix("downloads/").split("_")
            return Reply(
                as_csv([row for row in self.lines if start <= row["date"] <= end]), headers={"content-type": "text/csv"}
            )
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply({"message": "Bad credentials", "status": "401"}, 401)
        _owner, _, rest = path.partition("/settings/billing/")
        if rest.startswith("reports"):
            return self._job(request, rest)
        if rest == "cost-centers":
            name = [{"id": "cc1", "name": "Kite", "state": "active", "resources": [{"type": "User", "name": "ADA"}]}]
            return Reply({"costCenters": name if request.first("state") == "active" else []})
        if rest == "usage":
            month = f"{request.first('year')}-{int(request.first('month')):02d}"
            rows = self.inside if request.first("cost_center_id") == "cc1" else self.outside
            return Reply({"usageItems": [row for row in rows if row["date"].startswith(month)]})
        if rest.endswith("/usage"):
            return Reply({"usageItems": self._sums(request), "timePeriod": {}})
        if path.endswith("/copilot/billing/seats"):
            size = self.page_size or 100
            at = (int(request.first("page")) - 1) * size
            return Reply({"total_seats": 3, "seats": self.seats[at : at + size]})
        return Reply({"message": "Not Found"}, 404)

    def _job(self, request: Request, rest: str) -> Reply:
        if self.no_reports:
            return Reply({"message": "Not Found"}, self.no_reports)
        if request.method == "POST":
            asked = request.json()
            name = f"job{len(self.jobs)}"
            self.jobs[name] = (asked, self.waits)
            return Reply({"id": name, "status": "processing", **asked}, 202)
        name = rest.split("/")[1]
        asked, left = self.jobs[name]
        self.jobs[name] = (asked, left - 1)
        status = "processing" if left > 0 else self.fate
        host = f"http://{request.headers['host']}"
        links = (
            {"download_urls": [f"{host}/downloads/{asked['start_date']}_{asked['end_date']}"]}
            if status == "completed"
            else {}
        )
        return Reply({"id": name, "status": status, **asked, **links})

    def _sums(self, request: Request) -> list[dict[str, Any]]:
        day = f"{request.first('year')}-{int(request.first('month')):02d}-{int(request.first('day')):02d}"
        center = {"cc1": "Kite", "none": ""}[request.first("cost_center_id")]
        sums: dict[Any, list[Decimal]] = {}
        for row in self.lines:
            if (
                row["date"] == day
                and row["cost_center_name"] == center
                and request.first("user", row["username"]) == row["username"]
            ):
                into = sums.setdefault((row["sku"], row["model"]), [Decimal(0)] * 4)
                for i, name in enumerate(("quantity", "gross_amount", "discount_amount", "net_amount")):
                    into[i] += Decimal(row[name])
        return [
            {"product": "Copilot", "sku": sku, "model": model, "unitType": "credits", "pricePerUnit": Decimal("0.01"),
             "grossQuantity": q, "grossAmount": g, "discountQuantity": d * 100, "discountAmount": d, "netQuantity": n * 100, "netAmount": n}
            for (sku, model), (q, g, d, n) in sums.items()
        ]  # fmt: skip


@pytest.fixture
def enterprise() -> PlayedEnterprise:
    """An enterprise with the usual use."""
    return PlayedEnterprise()


samples, expected = contract_samples(SAMPLES)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> str:
    """The token in the environment."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    return TOKEN
