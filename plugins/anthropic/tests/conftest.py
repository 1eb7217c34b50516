"""A Claude organization played on loopback, following the provider's reference."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from finops_ai.periods import instant, iso
from finops_ai.testing import Reply, Request
from finops_ai.testing.fixtures import waits  # noqa: F401

CONTRACT = Path(__file__).parents[3] / "../shared/contracts/anthropic/anthropic_usage_cost.openapi.json"
KEY = "sk-ant-admin01-played-secret"
DIMENSIONS = [
    "model",
    "workspace_id",
    "api_key_id",
    "actor",
    "service_tier",
    "context_window",
    "inference_geo",
    "speed",
]
LEGACY_DIMENSIONS = [d for d in DIMENSIONS if d != "actor"] + ["account_id", "service_account_id"]
#: cents a unit at list price; the organization pays 80 %
CENTS = {
    "uncached_input_tokens": "0.0005",
    "cache_read_input_tokens": "0.00005",
    "cache_creation.ephemeral_5m_input_tokens": "0.000625",
    "cache_creation.ephemeral_1h_input_tokens": "0.001",
    "output_tokens": "0.0025",
}
USER = {
    "type": "user_actor",
    "user_id": "user_1",
    "email_address": "user-1@example.com",
    "name": "User 1",
    "deleted": False,
}
SERVICE = {"type": "service_account_actor", "service_account_id": "svac_1"}
CLOUD = {
    "type": "federated_actor",
    "provider": {"type": "aws", "account_id": "1", "signed_principal": "role/search"},
    "subject": None,
}


def fact(
    day: str, model: str, workspace: str, key: str | None, actor: Any, counts: tuple[int, ...], **dims: Any
) -> dict:
    """Usage of one day: counts are input, cache read, written for 5 minutes, for 1 hour, output, searches, requests."""
    names = ["input", "read", "w5", "w1", "output", "searches", "requests"]
    place = {"service_tier": "standard", "context_window": "0-200k", "inference_geo": "global", "speed": "standard"}
    who = {"model": model, "workspace_id": workspace, "api_key_id": key, "actor": actor}
    return {"day": instant(day), **who, **place, **dims, **dict(zip(names, counts, strict=True))}


FACTS = [
    fact("2026-09-30", "claude-opus-5", "ws_a", "key_1", USER, (9, 9, 9, 9, 9, 9, 9)),
    fact("2026-10-01", "claude-opus-5", "ws_a", "key_1", USER, (1000, 200, 50, 10, 300, 2, 5)),
    fact("2026-10-01", "claude-opus-5", "ws_a", "key_1", USER, (100, 0, 0, 0, 40, 0, 1), speed="fast"),
    fact("2026-10-02", "claude-sonnet-5", "ws_default", None, SERVICE, (5000, 0, 0, 0, 700, 0, 9), service_tier="batch", inference_geo="us"),
    fact("2026-10-03", "claude-haiku-4-5", "ws_b", "key_2", CLOUD, (250_000, 0, 0, 0, 1000, 0, 1),
         service_tier="priority_on_demand", context_window="200k-1M", inference_geo=None),
    fact("2026-10-04", "claude-opus-5", "ws_a", "key_1", USER, (7, 0, 0, 0, 7, 0, 1)),
]  # fmt: skip
OLD_FACTS = [
    fact("2025-12-30", "claude-opus-4-5", "ws_a", "key_1", None, (400, 0, 0, 0, 60, 0, 3)),
    fact("2025-12-31", "claude-opus-4-5", "ws_a", None, None, (500, 0, 0, 0, 70, 0, 4)),
]


class PlayedOrganization:
    """Answers as the organization's reports do.

    Attributes:
        facts: what was used. refused: groupings the API refuses. no_analytics: whether it has only legacy reports.
        repeats: whether it gives the same page token again and again. forgets: refusals of page tokens still to come.
        change: applied to each answer's body before it goes out.
    """

    def __init__(self, facts: list[dict[str, Any]]) -> None:
        self.facts = facts
        self.refused: set[str] = set()
        self.no_analytics = False
        self.repeats = False
        self.forgets = 0
        self.page_size: int | None = None
        self.change: Any = lambda path, body: body
        self.asked: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        """One answer to one request."""
        if request.headers.get("x-api-key") != KEY:
            return refusal(401, "authentication_error", "invalid x-api-key")
        if request.headers.get("anthropic-version") != "2023-06-01":
            return refusal(400, "invalid_request_error", "anthropic-version: header is required")
        path = request.path.removeprefix("/v1/organizations/")
        self.asked.append({"path": path, **request.query})
        if path == "me":
            return Reply({"id": "org_1", "type": "organization", "name": "Played"})
        if path == "workspaces":
            return self._listing(request, [{"id": "ws_a", "name": "Alpha"}, {"id": "ws_b", "name": "Beta"}])
        if path == "api_keys":
            return self._listing(request, [{"id": "key_1", "name": "alpha-prod"}])
        reports = {
            "analytics/usage": self._analytics,
            "analytics/cost": self._analytics,
            "usage_report/messages": self._legacy,
            "cost_report": self._legacy,
        }
        reply = reports[path](request, path) if path in reports else refusal(404, "not_found_error", "no such path")
        return Reply(self.change(path, reply.body), reply.status, reply.headers) if reply.status == 200 else reply

    def _listing(self, request: Request, items: list[dict[str, Any]]) -> Reply:
        after = request.first("after_id")
        start = next((i + 1 for i, item in enumerate(items) if item["id"] == after), 0)
        page = items[start : start + (self.page_size or 100)]
        last = page[-1]["id"] if page else None
        return Reply({"data": page, "has_more": bool(page) and page[-1] is not items[-1], "last_id": last})

    def _analytics(self, request: Request, path: str) -> Reply:
        if self.no_analytics:
            return refusal(404, "not_found_error", "Not found")
        if request.headers.get("anthropic-beta") != "analytics-usage-cost-2026-08-24":
            return refusal(400, "invalid_request_error", "anthropic-beta: header is required")
        start, end = instant(request.first("starting_at")), instant(request.first("ending_at"))
        if start < instant("2026-01-01") or end - start > dt.timedelta(days=31) or end <= start:
            return refusal(400, "invalid_request_error", "starting_at: out of range")
        groups = request.query.get("group_by[]", [])
        if len([g for g in groups if g not in ("cost_type", "token_type")]) > 5:
            return refusal(400, "invalid_request_error", "group_by[]: at most 5 values")
        if bad := [g for g in groups if g in self.refused]:
            return refusal(400, "invalid_request_error", f"group_by[]: {bad[0]} is not available")
        filters = {"context_windows[]": "context_window", "inference_geos[]": "inference_geo", "speeds[]": "speed"}
        facts = self.facts
        for parameter, name in filters.items():
            if wanted := request.query.get(parameter):
                facts = [f for f in facts if (f[name] or "not_available") in wanted]
        bucketed = bool(request.first("time_bucket_width"))
        rows = grouped(facts, start, end, [g for g in groups if g in DIMENSIONS], bucketed)
        blank = dict.fromkeys(DIMENSIONS)
        data = []
        for (bucket, *values), counts in rows:
            group = blank | dict(zip([g for g in groups if g in DIMENSIONS], map(json.loads, values), strict=True))
            frame = {"starting_at": iso(bucket), "ending_at": iso(bucket + dt.timedelta(days=1) if bucketed else end)}
            if path.endswith("usage"):
                data.append({**frame, "group": group, "usage": usage(counts, analytics=True)})
            else:
                for kind, token_type, cents in charges(counts, group):
                    who = {**group, "cost_type": kind, "token_type": token_type}
                    cost = {
                        "amount": f"{cents * Decimal('0.8'):f}",
                        "list_amount": f"{cents:f}",
                        "currency": "USD",
                        "requests": None,
                    }
                    data.append({**frame, "group": who, "cost": cost})
        return self._paged(request, data, {"data_refreshed_at": "2026-10-05T08:00:00Z"})

    def _legacy(self, request: Request, path: str) -> Reply:
        start, end = instant(request.first("starting_at")), instant(request.first("ending_at"))
        groups = request.query.get("group_by[]", [])
        if "speed" in groups and request.headers.get("anthropic-beta") != "fast-mode-2026-02-01":
            return refusal(400, "invalid_request_error", "group_by[]: speed needs a beta header")
        if bad := [g for g in groups if g in self.refused]:
            return refusal(400, "invalid_request_error", f"group_by[]: unknown value {bad[0]}")
        dimensions = [g for g in LEGACY_DIMENSIONS if g in groups and g in DIMENSIONS]
        facts = self.facts
        if path == "cost_report":  # never contains Priority Tier
            facts = [f for f in facts if not f["service_tier"].startswith("priority")]
            dimensions = ["workspace_id", "model", "service_tier"]
        data, day = [], start
        while day < end:
            results = []
            for (_, *values), counts in grouped(facts, day, day + dt.timedelta(days=1), dimensions, True):
                who = dict.fromkeys(LEGACY_DIMENSIONS) | dict(zip(dimensions, map(json.loads, values), strict=True))
                if path == "cost_report":
                    for kind, token_type, cents in charges(counts, who):
                        what = {
                            "cost_type": kind,
                            "token_type": token_type,
                            "description": f"{who['model']} {token_type or kind}",
                        }
                        results.append({"amount": f"{cents:f}", "currency": "USD", **who, **what})
                else:
                    results.append({**usage(counts, analytics=False), **who})
            data.append({"starting_at": iso(day), "ending_at": iso(day + dt.timedelta(days=1)), "results": results})
            day += dt.timedelta(days=1)
        return self._paged(request, data, {})

    def _paged(self, request: Request, data: list[Any], more: dict[str, Any]) -> Reply:
        same = json.dumps({k: v for k, v in sorted(request.query.items()) if k != "page"})
        token, at = request.first("page"), 0
        if token:
            owner, at = json.loads(base64.b64decode(token))
            if owner != same or self.forgets > 0:
                self.forgets -= 1
                return refusal(400, "invalid_request_error", "page: the token is not valid any more")
        size = self.page_size or int(request.first("limit", "20"))
        has_more = at + size < len(data)
        mark = base64.b64encode(json.dumps([same, 0 if self.repeats else at + size]).encode()).decode()
        return Reply(
            {"data": data[at : at + size], "has_more": has_more, "next_page": mark if has_more else None, **more}
        )


def grouped(
    facts: list[dict[str, Any]], start: dt.datetime, end: dt.datetime, dimensions: list[str], bucketed: bool
) -> list[Any]:
    """Sums by bucket and dimensions."""
    sums: dict[Any, dict[str, int]] = {}
    for one in facts:
        if start <= one["day"] < end:
            key = (one["day"] if bucketed else start, *(json.dumps(one[d]) for d in dimensions))
            into = sums.setdefault(
                key, dict.fromkeys(["input", "read", "w5", "w1", "output", "searches", "requests"], 0)
            )
            for name in into:
                into[name] += one[name]
    return sorted(sums.items(), key=lambda item: (item[0][0], str(item[0])))


def usage(n: dict[str, int], *, analytics: bool) -> dict[str, Any]:
    """Counts as the reports write them."""
    counts: dict[str, Any] = {
        "uncached_input_tokens": n["input"],
        "cache_creation": {"ephemeral_5m_input_tokens": n["w5"], "ephemeral_1h_input_tokens": n["w1"]},
        "cache_read_input_tokens": n["read"],
        "output_tokens": n["output"],
        "server_tool_use": {"web_search_requests": n["searches"]},
    }
    if analytics:
        counts["total_tokens"] = n["input"] + n["w5"] + n["w1"] + n["read"] + n["output"]
        counts["requests"] = n["requests"]
    return counts


def charges(n: dict[str, int], who: dict[str, Any]) -> Iterator[tuple[str, str | None, Decimal]]:
    """Cost rows in cents; five searches cost 5 cents, and ws_a also ran code for 12.5 cents a day."""
    values = [n["input"], n["read"], n["w5"], n["w1"], n["output"]]
    for (token_type, cents), count in zip(CENTS.items(), values, strict=True):
        if count:
            yield "tokens", token_type, Decimal(cents) * count
    if n["searches"]:
        yield "web_search", None, Decimal(n["searches"])
        yield "code_execution", None, Decimal("12.5")


def refusal(status: int, kind: str, message: str) -> Reply:
    """An error as the API words it."""
    return Reply({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}, status)


@pytest.fixture
def organization() -> PlayedOrganization:
    """A played organization with the usual usage."""
    return PlayedOrganization(FACTS)


@pytest.fixture
def old_organization() -> PlayedOrganization:
    """One whose usage spans the turn of the year in which analytics reports began."""
    new = [fact("2026-01-01", "claude-opus-4-5", "ws_a", "key_1", USER, (1, 0, 0, 0, 2, 0, 1))]
    return PlayedOrganization(OLD_FACTS + new)


@pytest.fixture
def contract() -> dict[str, Any]:
    """The provider's contract as OpenAPI."""
    if not CONTRACT.exists():
        pytest.skip(f"the provider's contract is not beside this checkout ({CONTRACT})")
    return json.loads(CONTRACT.read_text("utf-8"))


@pytest.fixture(autouse=True)
def admin_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The Admin key in the environment."""
    monkeypatch.setenv("ANTHROPIC_ADMIN_KEY", KEY)
    return KEY
