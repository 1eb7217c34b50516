"""The OpenAI connector keeps every rule of the kit, live and from files."""

from __future__ import annotations

from decimal import Decimal

import pytest
from finops_ai_openai.connector import OpenAI

from finops_ai.testing import ConnectorConformance, Reply, Request, exact_json

KEY = "sk-admin-never-shown"
DAY = 86400
OCTOBER = 1790812800  # 2026-10-01T00:00:00Z


def completions(**changes):
    # input 1000 = 500 fresh + 400 cached + 100 written; the fresh 500 = 400 text + 50 audio + 50 image
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": 1000,
        "input_cached_tokens": 400,
        "input_cache_write_tokens": 100,
        "input_uncached_tokens": 500,
        "input_text_tokens": 400,
        "input_audio_tokens": 50,
        "input_image_tokens": 50,
        "output_tokens": 500,
        "output_text_tokens": 500,
        "num_model_requests": 5,
        "project_id": "proj_a",
        "user_id": "user_1",
        "api_key_id": "key_1",
        "model": "gpt-4.1",
        "batch": False,
        "service_tier": "default",
    } | changes


def cost(value, line_item, **changes):
    amount = {"value": Decimal(value), "currency": "usd"}
    return {
        "object": "organization.costs.result",
        "amount": amount,
        "line_item": line_item,
        "project_id": "proj_a",
    } | changes


#: endpoint -> day of October -> results; day 32 is the first of November and belongs to no October window
WORLD = {
    "usage/completions": {
        1: [completions(), completions(batch=True, service_tier=None)],
        3: [completions(user_id=None, model="gpt-5")],
        31: [completions(project_id="proj_b")],
        32: [completions(output_tokens=999)],
    },
    "usage/embeddings": {
        2: [
            {
                "object": "organization.usage.embeddings.result",
                "input_tokens": 70,
                "num_model_requests": 2,
                "project_id": "proj_a",
                "model": "text-embedding-3-small",
            }
        ]
    },
    "usage/vector_stores": {
        2: [{"object": "organization.usage.vector_stores.result", "usage_bytes": 2**31, "project_id": "proj_a"}]
    },
    "usage/web_search_calls": {
        2: [{"object": "organization.usage.web_searches.result", "num_requests": 3, "num_model_requests": 3}]
    },
    "costs": {
        1: [
            cost("0.06", "gpt-4.1, cached input", quantity=12, quantity_unit="1000_tokens"),
            cost("1.25", "gpt-4.1, input"),
        ],
        2: [cost("0.000000000001", "evals | something new"), cost("-1", None)],
        32: [cost("9", "gpt-4.1, input")],
    },
}
PROJECTS = {
    "object": "list",
    "data": [
        {"object": "organization.project", "id": "proj_a", "name": "Search", "created_at": 1, "status": "active"},
        {"object": "organization.project", "id": "proj_b", "name": "Ads", "created_at": 1, "status": "archived"},
    ],
    "first_id": "proj_a",
    "last_id": "proj_b",
    "has_more": False,
}
EXPECTED = {
    # completions: 4 results in October of 400 text, 50 audio, 50 image, 400 cached, 100 written, 500 out; embeddings 70
    "tokens": 4 * 1500 + 70,
    "quantities": {
        "input": 4 * 400 + 70,
        "input_audio": 200,
        "input_image": 200,
        "cache_read": 1600,
        "cache_write": 400,
        "output": 2000,
        "requests": 4 * 5 + 2,
        "storage": 2 * 24,
        "web_searches": 3,
    },  # fmt: skip
    "billed": {"USD": "0.310000000001"},  # 0.06 + 1.25 + 0.000000000001 - 1
}


def page_of(path, start, end, limit, token=None):
    """One page as the API gives it: every day of the window as a bucket, empty ones too."""
    days = WORLD.get(path, {})
    first = int(token) if token else start
    last = min(first + limit * DAY, end)
    data = [
        {
            "object": "bucket",
            "start_time": at,
            "end_time": at + DAY,
            "results": days.get((at - OCTOBER) // DAY + 1, []),
        }
        for at in range(first, last, DAY)
    ]
    more = last < end
    return {"object": "page", "data": data, "has_more": more, "next_page": str(last) if more else None}


class TestOpenAILive(ConnectorConformance):
    connector = OpenAI
    environment = {"OPENAI_ADMIN_KEY": KEY}
    secrets = (KEY,)
    split = "2026-10-03"
    tokens = EXPECTED["tokens"]
    quantities = EXPECTED["quantities"]
    billed = EXPECTED["billed"]

    def answer(self, request: Request) -> Reply:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        path = request.path.removeprefix("/organization/")
        if path == "projects":
            return Reply(PROJECTS)
        limit = min(int(request.first("limit", "7")), self.page_size or 1000)
        start = int(request.first("start_time"))
        end = int(request.first("end_time") or start + DAY)
        return Reply(page_of(path, start, end, limit, request.first("page") or None))


class TestOpenAIFiles(ConnectorConformance):
    connector = OpenAI
    files_only = "TestOpenAILive tests the API"
    split = "2026-10-03"
    tokens = EXPECTED["tokens"]
    quantities = EXPECTED["quantities"]
    billed = EXPECTED["billed"]

    @pytest.fixture(autouse=True)
    def _saved_pages(self, tmp_path):
        for path in WORLD:
            page = page_of(path, OCTOBER, OCTOBER + 33 * DAY, 33)
            (tmp_path / f"{path.replace('/', '_')}.json").write_text(exact_json(page), encoding="utf-8")
        (tmp_path / "projects.json").write_text(exact_json(PROJECTS), encoding="utf-8")
        self.settings = {"files": [str(tmp_path)]}
