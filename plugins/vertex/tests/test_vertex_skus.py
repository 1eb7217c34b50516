"""The grammar of SKU descriptions, against descriptions seen in the wild."""

from __future__ import annotations

from pathlib import Path

import pytest
from finops_ai_vertex.skus import classify, model_id

SEEN = Path(__file__).parents[4] / "shared" / "contracts" / "gcp" / "vertex_sku_descriptions_observed.txt"

#: description -> meter, model id, tier, context, geography
SKUS = {
    "Gemini 2.5 Flash GA Text Input - Predictions": ("input", "gemini-2.5-flash", "standard", "0-200k", None),
    "Gemini 2.5 Flash Text Input - Batch Predictions": ("input", "gemini-2.5-flash", "batch", "0-200k", None),
    "Gemini 2.5 Pro Text Output Priority (Long) - Predictions": ("output", "gemini-2.5-pro", "priority", "200k-1M", None),
    "Gemini 3 Pro Global Text Input Flex - Predictions": ("input", "gemini-3-pro-preview", "flex", "0-200k", "global"),
    "Gemini 2.5 Flash Thinking Text Output - Predictions": ("reasoning", "gemini-2.5-flash", "standard", "0-200k", None),
    "Gemini 2.5 Flash Text Output (Thinking On and Long) - Batch Predictions": ("output", "gemini-2.5-flash", "batch", "200k-1M", None),
    "Gemini 2.5 Flash Audio Input - Predictions": ("input_audio", "gemini-2.5-flash", "standard", "0-200k", None),
    "Gemini 2.5 Flash Image Image Output - Predictions": ("output_image", "gemini-2.5-flash-image", "standard", "0-200k", None),
    "Gemini 2.5 Flash Live Text Input - Predictions": ("input", "gemini-live-2.5-flash", "standard", "0-200k", None),
    "Gemini 2.0 Flash Input Text Caching": ("cache_read", "gemini-2.0-flash", "standard", "0-200k", None),
    "Gemini 2.5 Flash Text Cached Input - Predictions": ("cache_read", "gemini-2.5-flash", "standard", "0-200k", None),
    "Gemini 2.5 Pro Input Text Caching Storage": ("cache_storage", "gemini-2.5-pro", "standard", "0-200k", None),
    "Claude Sonnet 4.6 — Input Tokens — global — Context Window Size from 0 to 200000 Tokens": (
        "input", "claude-sonnet-4-6", "standard", "0-200k", "global",
    ),
    "Claude Opus 4 8 — Input Cache Write Tokens (TTL 3600 seconds) — us-east5 — Context Window Size from 200001 to 1000000 Tokens": (
        "cache_write_1h", "claude-opus-4-8", "standard", "200k-1M", "regional",
    ),
    "Claude 3 Haiku Input Tokens": ("input", "claude-3-haiku", "standard", None, None),
    "Cloud Vertex AI Model Garden Model as a Service Llama 4 Maverick Batch Input Token": (
        "input", "llama-4-maverick-17b-128e-instruct-maas", "batch", None, None,
    ),
    "Cloud Vertex AI Model Garden Model as a Service DeepSeek-V3.1 Cached Text Input Token": (
        "cache_read", "deepseek-v3.1-maas", "standard", None, None,
    ),
    "Translation LLM Input Characters": ("input_characters", "translation-llm", "standard", None, None),
}  # fmt: skip


@pytest.mark.parametrize("description", SKUS)
def test_sku(description):
    sku = classify(description)
    found = (sku.meter, model_id(sku.model_name), sku.service_tier, sku.context_tier, sku.inference_geo)
    assert found == SKUS[description]


@pytest.mark.parametrize(
    ("description", "unit", "why"),
    [
        ("Vertex AI Search: Ranking", "count", "unknown SKU"),
        ("Gemini 2.5 Flash Text Input Hyperspeed - Predictions", "count", "unknown SKU"),  # may change the price
        ("Gemini 2.5 Flash Text Input - Predictions", "gibibyte hour", "unknown unit"),
        ("Gemini Provisioned Throughput GSU", "count", "unknown unit"),
    ],
)
def test_what_is_not_understood_is_unmapped_and_says_why(description, unit, why):
    sku = classify(description, unit)
    assert sku.meter == "unmapped"
    assert why in sku.why


def test_provisioned_throughput_and_grounding_have_meters_of_their_own():
    assert classify("Gemini Provisioned Throughput 1 Month GSU", "hour").meter == "provisioned_hours"
    assert classify("Grounding with Google Search for Gemini").meter == "grounding"


def test_model_names_come_from_the_table_or_the_user():
    assert model_id("Gemini 2.5 Flash-Lite") == "gemini-2.5-flash-lite"
    assert model_id("Gemini 2.5") is None
    assert model_id("Gemini 9", {"gemini 9": "gemini-9-pro"}) == "gemini-9-pro"


def test_every_description_seen_is_classified():
    if not SEEN.exists():
        pytest.skip(f"the list of observed SKUs isn't here ({SEEN.name}); it is no part of the project")
    skus = {text: classify(text) for text in SEEN.read_text("utf-8").splitlines() if text.strip()}
    assert {text for text, sku in skus.items() if sku.meter == "unmapped"} == {"Vertex AI Search: Ranking"}
    assert all(model_id(sku.model_name) for sku in skus.values() if sku.meter != "unmapped")
