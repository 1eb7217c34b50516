"""A Cursor team played on loopback: events newest first, in pages, growing in front where a test says so."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_ai.periods import instant
from finops_ai.testing import Reply, Request
from finops_ai.testing.fixtures import contract_samples, waits  # noqa: F401

SAMPLES = Path(__file__).parents[3] / "../shared/contracts/cursor/samples"
KEY = "key_played_secret_of_a_team"


def event(when: str, user: str, cents: str, **more: Any) -> dict[str, Any]:
    """One event as the API writes it: 100 in, 10 out, 40 written to and 200 read from the cache."""
    counts = {"inputTokens": 100, "outputTokens": 10, "cacheWriteTokens": 40, "cacheReadTokens": 200}
    usage = {**counts, "totalCents": Decimal(cents)}
    return {
        "timestamp": str(int(instant(when).timestamp() * 1000)), "userEmail": user, "model": "claude-demo", "kind": "Usage-based",
        "maxMode": False, "requestsCosts": 7, "isTokenBasedCall": True, "isChargeable": True, "isHeadless": False,
        "tokenUsage": usage, "chargedCents": Decimal(cents), "conversationId": "c-1", **more,
    }  # fmt: skip


INCLUDED = {"isChargeable": False, "kind": "Included in Business"}
EVENTS = [
    event("2026-09-30T23:59:59.999Z", "bo@example.com", "1000"),
    event("2026-10-01T00:00:00Z", "Ada@example.com", "1.5"),
    event("2026-10-01T10:00:00Z", "ada@example.com", "2.25", **INCLUDED),
    event("2026-10-01T10:00:00Z", "ada@example.com", "0.125"),
    event("2026-10-01T10:00:00Z", "ada@example.com", "0.125"),  # a twin: two calls
    event("2026-10-02T00:00:00Z", "bo@example.com", "3"),
    event("2026-10-03T23:30:00Z", "bo@example.com", "0.0625"),
    event("2026-10-04T00:00:00Z", "bo@example.com", "500"),  # of the next window
]


class PlayedTeam:
    """Answers as the Admin API does.

    Attributes:
        events: oldest first. comes: events that come in front, one before each further page of events.
        page_size: at most so many rows a page. counts: whether answers state how many events there are.
        refused: path -> status it answers with. asked: bodies and queries, in order.
    """

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = list(events)
        self.comes: list[dict[str, Any]] = []
        self.page_size: int | None = None
        self.counts = True
        self.refused: dict[str, int] = {}
        self.asked: list[tuple[str, Any]] = []
        self.members = [
            {"id": "user_a", "email": "Ada@example.com", "role": "owner", "isRemoved": False},
            {"id": "user_b", "email": "bo@example.com", "role": "member", "isRemoved": False},
            {"id": "user_e", "email": "eli@example.com", "role": "free-owner", "isRemoved": False},
            {"id": "user_d", "email": "dee@example.com", "role": "member", "isRemoved": True},
        ]
        self.groups: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        wanted = "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return Reply({"error": "Unauthorized", "message": "bad key"}, 401)
        path = request.path.lstrip("/")
        if path in self.refused:
            return Reply({"error": "refused", "message": "not on this plan"}, self.refused[path])
        body = request.json() if request.body else {}
        self.asked.append((path, body or dict(request.query)))
        assert request.method == "GET" or path in (
            "teams/filtered-usage-events", "teams/spend", "teams/daily-usage-data",
        ), f"{request.method} /{path} changes a team"  # fmt: skip
        if path == "teams/filtered-usage-events":
            return self._events(body)
        if path == "teams/spend":
            spent = [{"userId": "user_a", "email": "Ada@example.com", "spendCents": Decimal("1.75"), "overallSpendCents": 4},
                     {"userId": "user_b", "email": "bo@example.com", "spendCents": Decimal("3.0625"), "overallSpendCents": 9}]  # fmt: skip
            size = self.page_size or 100
            at = (body["page"] - 1) * size
            pages = -(-len(spent) // size)
            start = int(instant("2026-10-01").timestamp() * 1000)
            return Reply(
                {"teamMemberSpend": spent[at : at + size], "subscriptionCycleStart": start, "totalPages": pages}
            )
        if path == "teams/members":
            return Reply({"teamMembers": self.members})
        if path == "teams/groups":
            return Reply({"groups": self.groups, "unassignedGroup": None})
        if path == "teams/daily-usage-data":
            row = {"userId": 7, "email": "eli@example.com", "isActive": True, "date": body["startDate"]}
            return Reply({"data": [row], "pagination": {"hasNextPage": False}})
        if path == "analytics/ai-code/commits":
            return Reply({"items": [], "totalCount": 0, "page": 1, "pageSize": 1000})
        return Reply({"error": "Not Found"}, 404)

    def _events(self, body: dict[str, Any]) -> Reply:
        if body["page"] > 1 and self.comes:
            self.events.append(self.comes.pop(0))
        held = [e for e in self.events if body["startDate"] <= int(e["timestamp"]) <= body["endDate"]][::-1]
        size = min(body["pageSize"], self.page_size or 1000)
        at = (body["page"] - 1) * size
        pages = {"currentPage": body["page"], "pageSize": size, "hasNextPage": at + size < len(held)}
        answer = {"usageEvents": held[at : at + size], "pagination": pages}
        return Reply({**answer, "totalUsageEventsCount": len(held)} if self.counts else answer)


@pytest.fixture
def team() -> PlayedTeam:
    """A team with the usual events."""
    return PlayedTeam(EVENTS)


samples, expected = contract_samples(SAMPLES)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The key in the environment."""
    monkeypatch.setenv("CURSOR_API_KEY", KEY)
    return KEY
