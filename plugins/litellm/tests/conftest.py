"""Spend logs of an invented gateway, and the gateway's log listing played on loopback."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from finops_ai.testing import Reply, Request
from finops_ai.testing.fixtures import waits  # noqa: F401

KEY = "sk-litellm-played-secret"
TEXT = "the text of a prompt"


def log(request_id: str, at: str, model: str, usage: dict[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    """One row of LiteLLM_SpendLogs."""
    start = dt.datetime.fromisoformat(at)
    usage = usage or {}
    metadata = {
        "usage_object": usage,
        "user_api_key_alias": "alias-1",
        "user_api_key_team_alias": "Search team",
        "spend_logs_metadata": {"feature": "autocomplete", "nested": {"prompt": TEXT}, "long": TEXT * 20},
        "model_map_information": {"model_map_key": model},
    }
    row = {
        "request_id": request_id,
        "call_type": "acompletion",
        "api_key": "hash-1",
        "spend": 0.0021,
        "total_tokens": usage.get("total_tokens", 0),
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
        "startTime": start.isoformat(),
        "endTime": (start + dt.timedelta(seconds=2)).isoformat(),
        "model": model,
        "model_id": "deployment-1",
        "model_group": "chat-default",
        "custom_llm_provider": model.split("/")[0],
        "user": "user-1",
        "metadata": metadata,
        "cache_hit": "False",
        "request_tags": ["prompt:answer@v2", "User-Agent: OpenAI", "urgent"],
        "team_id": "team-1",
        "organization_id": None,
        "end_user": "customer-9",
        "messages": [{"role": "user", "content": TEXT}],
        "response": {"choices": [{"message": {"content": TEXT}}]},
        "proxy_server_request": {"messages": TEXT},
        "session_id": "session-1",
        "status": "success",
    }
    return {**row, **columns}


def openai(prompt: int, cached: int, output: int, reasoning: int = 0) -> dict[str, Any]:
    """A usage object as the gateway writes it for OpenAI."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def claude(prompt: int, read: int, w5: int, w1: int, output: int) -> dict[str, Any]:
    """A usage object as the gateway writes it for Claude: cache counts inside the prompt, each spelled twice."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {
            "cached_tokens": read,
            "cache_creation_tokens": w5 + w1,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": w5, "ephemeral_1h_input_tokens": w1},
        },
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": w5 + w1,
        "service_tier": "priority",
    }


LOGS = [
    log("before", "2026-09-30 23:59:59.999", "openai/gpt-5.4-mini", openai(1, 0, 1)),
    log("r1", "2026-10-01 00:00:00", "openai/gpt-5.4-mini", openai(800, 512, 120, 40)),
    log("r2", "2026-10-01 12:00:00.5", "bedrock/us.anthropic.claude-sonnet-4-6", claude(6000, 5000, 600, 300, 200), spend=0.03),
    log("r3", "2026-10-02 08:00:00", "azure/chat-prod", openai(100, 0, 10), status=None, cache_hit="True", spend=0.0),
    log("r4", "2026-10-02 09:00:00", "openai/gpt-5.4-mini", None, status="failure", spend=0.0),
    log("r5", "2026-10-03 23:59:59", "openai/text-embedding-3-small", {"prompt_tokens": 30, "completion_tokens": 0, "total_tokens": 30},
        call_type="aembedding", api_key="sk-raw-key", request_tags=json.dumps(["team:growth"]), spend=6e-07),
    log("after", "2026-10-04 00:00:00", "openai/gpt-5.4-mini", openai(2, 0, 2)),
]  # fmt: skip


class PlayedGateway:
    """Answers as the proxy's log listing does: bounds in whole seconds, both included, 100 rows a page at most.

    Attributes:
        logs: its rows. old: whether it is a version that only has the listing of the user interface.
        stuck: whether it gives the first page whatever page is asked for.
    """

    def __init__(self, logs: list[dict[str, Any]]) -> None:
        self.logs, self.old, self.stuck, self.page_size = logs, False, False, 100

    def answer(self, request: Request) -> Reply:
        """One answer to one request."""
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Reply(
                {"error": {"message": "Authentication Error, Invalid proxy server token passed", "code": "401"}}, 401
            )
        if request.path != ("/spend/logs/ui" if self.old else "/spend/logs/v2"):
            return Reply({"detail": "Not Found"}, 404)
        size = int(request.first("page_size"))
        if size > 100:
            return Reply({"detail": "Input should be less than or equal to 100"}, 422)
        start, end = (dt.datetime.strptime(request.first(n), "%Y-%m-%d %H:%M:%S") for n in ("start_date", "end_date"))
        found = [r for r in self.logs if start <= dt.datetime.fromisoformat(r["startTime"]) <= end]
        found.sort(key=lambda r: r["startTime"])
        page = 1 if self.stuck else int(request.first("page"))
        rows = [
            {k: v for k, v in r.items() if k not in ("messages", "response")}
            for r in found[(page - 1) * size : page * size]
        ]
        pages = -(-len(found) // size)
        return Reply({"data": rows, "total": len(found), "page": page, "page_size": size, "total_pages": pages})


@pytest.fixture
def gateway() -> PlayedGateway:
    """A gateway with the usual logs."""
    return PlayedGateway(LOGS)


@pytest.fixture
def logs() -> list[dict[str, Any]]:
    """The usual rows."""
    return LOGS


@pytest.fixture
def one_log() -> Any:
    """Makes a row."""
    return log


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy key, and no database."""
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.delenv("LITELLM_DATABASE_URL", raising=False)
