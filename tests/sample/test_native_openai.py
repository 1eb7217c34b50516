"""The saved OpenAI pages hold the company's OpenAI usage and cost exactly, in the API's own shape."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.sample import native_openai

SCHEMA = Path(__file__).parents[3] / "shared" / "contracts" / "openai" / "sdk_3.54.0.response-models.schema.json"


@pytest.fixture(scope="module")
def truth():
    frame = fa.sample.slices(months=2)
    return frame[frame["provider"] == "openai"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    paths = native_openai.write(fa.sample.slices(months=2), tmp_path_factory.mktemp("openai"))
    return {p.name: json.loads(p.read_text("utf-8"), parse_float=Decimal) for p in paths}


def results(pages, name):
    return [
        r
        for page in pages.values()
        for b in page["data"]
        for r in b.get("results", [])
        if r["object"].endswith(f"{name}.result")
    ]


def test_usage_pages_add_up_to_the_truth(pages, truth):
    chat, embed = results(pages, "completions"), results(pages, "embeddings")
    assert sum(r["input_tokens"] for r in chat + embed) == int(truth["input"].sum() + truth["cache_read"].sum())
    assert sum(r["input_cached_tokens"] for r in chat) == int(truth["cache_read"].sum())
    assert sum(r["output_tokens"] for r in chat) == int(truth["output"].sum())
    assert sum(r["num_model_requests"] for r in chat + embed) == int(truth["requests"].sum())


def test_cost_pages_add_up_to_the_last_digit(pages, truth):
    amounts = [r["amount"]["value"] for r in results(pages, "costs")]
    assert all(isinstance(a, Decimal) for a in amounts)
    assert sum(amounts, Decimal(0)) == sum(truth["list_cost"], Decimal(0))


def test_buckets_are_the_days_of_the_month_and_only_the_last_page_ends(pages):
    page = pages["usage_completions_2026-10.json"]
    assert len(page["data"]) == 31
    assert page["has_more"] is False
    assert page["data"][0]["start_time"] == 1_790_812_800  # 2026-10-01T00:00:00Z
    assert pages["usage_completions_2026-09.json"]["has_more"] is True


@pytest.mark.skipif(not SCHEMA.exists(), reason="needs the contract schemas in ../shared, which aren't here")
def test_results_fit_the_published_response_models(pages):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema isn't installed: it is in the development group")
    definitions = json.loads(SCHEMA.read_text("utf-8"))["$defs"]
    for name, title in (("completions", "UsageCompletions"), ("embeddings", "UsageEmbeddings"), ("costs", "Costs")):
        model = definitions[f"DataResultOrganization{title}Result"]
        check = jsonschema.Draft202012Validator({**model, "$defs": definitions})
        for result in results(pages, name)[:200]:
            check.validate(json.loads(json.dumps(result, default=float)))
