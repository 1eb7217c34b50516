"""The grammar of bill lines, against usage types and product names seen in the wild."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from finops_ai_bedrock.resources import Profiles, read_resource
from finops_ai_bedrock.usage_types import classify, model_id, unit_factor

SEEN = Path(__file__).parents[4] / "shared" / "contracts" / "aws" / "bedrock_usage_types_observed.txt"

#: usage type -> meter, billing name, tier, geography, context
FIRST_PARTY = {
    "USE1-Claude4.6Sonnet-input-tokens": ("input", "Claude4.6Sonnet", "standard", None, None),
    "USE1-Claude4.6Opus-cache-read-input-token-count-cross-region-global": (
        "cache_read", "Claude4.6Opus", "standard", "global", None,
    ),
    "USE1-Nova2.0Lite-input-tokens-cross-region-global-batch": ("input", "Nova2.0Lite", "batch", "global", None),
    "USE1-Nova2.0Pro-text-input-tokens-priority-cross-region-global": ("input", "Nova2.0Pro", "priority", "global", None),
    "USE1-Claude3-5Haiku-input-tokens-latency-optimized": ("input", "Claude3-5Haiku", "fast", None, None),
    "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard": ("input", "openai.gpt-oss-120b", "standard", None, None),
    "USW2-anthropic.claude-opus-4-8-mantle-cache-write-tokens-global-standard": (
        "cache_write", "anthropic.claude-opus-4-8", "standard", "global", None,
    ),
    "USE1-NovaPro-cache-write-input-token-count-custom-model": ("cache_write", "NovaPro", "standard", None, None),
    "USE1-NovaSonic-speech-input-tokens": ("input_audio", "NovaSonic", "standard", None, None),
    "USE1-Nova2.0Pro-input-image-token-count-cross-region-global": ("input_image", "Nova2.0Pro", "standard", "global", None),
    "EU-Claude4.5Sonnet-input-tokens-long-context": ("input", "Claude4.5Sonnet", "standard", None, "200k-1M"),
    "USE1-Llama4-Maverick-17B-input-tokens-batch": ("input", "Llama4-Maverick-17B", "batch", None, None),
    "USE1-output-tokens-cross-region-global": ("output", "", "standard", "global", None),
    "APN1-Claude4.5Sonnet-input-tokens-cross-region-geo": ("input", "Claude4.5Sonnet", "standard", None, None),
}  # fmt: skip
MARKETPLACE = {
    "USE1-MP:USE1_InputTokenCount-Units": ("input", "standard", None),
    "USE1-MP:USE1_InputTokenCount_Global_Batch-Units": ("input", "batch", "global"),
    "USE1-MP:USE1_CacheReadInputTokenCount_Global-Units": ("cache_read", "standard", "global"),
    "USE1-MP:USE1_CacheWrite1hInputTokenCount_Global-Units": ("cache_write_1h", "standard", "global"),
    "USE1-MP:USE1_CacheWrite30mInputTokenCount-Units": ("cache_write_30m", "standard", None),
    "USE1-MP:USE1_cache_write_tokens_1h_standard-Units": ("cache_write_1h", "standard", None),
    "USE1-MP:USE1_input_tokens_global_standard": ("input", "standard", "global"),
    "USE1-MP:USE1_MillionBatchInputTokens-Units": ("input", "batch", None),
    "USE1-MP:USE1_OutputTokenCount-Units": ("output", "standard", None),
}


@pytest.mark.parametrize("usage_type", FIRST_PARTY)
def test_first_party_line(usage_type):
    line = classify(usage_type, pricing_unit="1K tokens")
    assert (line.meter, line.model_name, line.service_tier, line.inference_geo, line.context_tier) == FIRST_PARTY[
        usage_type
    ]
    assert line.factor == 1000


@pytest.mark.parametrize("usage_type", MARKETPLACE)
def test_marketplace_line_takes_its_model_from_the_product(usage_type):
    line = classify(usage_type, product_name="Claude Opus 4 (Amazon Bedrock Edition)", pricing_unit="Units")
    assert (line.meter, line.service_tier, line.inference_geo) == MARKETPLACE[usage_type]
    assert line.model_name == "Claude Opus 4"
    assert line.factor == 1_000_000


@pytest.mark.parametrize(
    ("usage_type", "why"),
    [
        ("USE1-Claude9-input-tokens-hyperspeed", "may change the price"),  # a suffix nobody knows yet
        ("USE1-MP:USE1_InputTokenCount_Lunar-Units", "may change the price"),
        ("USE1-Guardrail-TextUnits", "no meter"),
        ("USE1-SomethingNew", "unknown usage type"),
        ("USE1-AgentCore-Runtime-vCPU-Hours", "no meter"),
    ],
)
def test_what_is_not_understood_is_unmapped_and_says_why(usage_type, why):
    line = classify(usage_type, product_name="X (Amazon Bedrock Edition)", pricing_unit="Units")
    assert line.meter == "unmapped"
    assert why in line.why


@pytest.mark.parametrize(
    ("pricing_unit", "text", "factor"),
    [
        ("1K tokens", "", 1000),
        ("1M tokens", "", 1_000_000),
        ("Units", "", 1_000_000),  # Marketplace since the change: already millions
        ("Units", "Million Input Tokens", 1_000_000),
        ("tokens", "", 1),
        ("Hours", "", None),  # a token line in hours isn't one
        ("", "", None),
    ],
)
def test_the_unit_is_decided_by_the_row(pricing_unit, text, factor):
    assert unit_factor("input", pricing_unit, text) == (None if factor is None else Decimal(factor))


def test_model_names_come_from_the_table_or_the_user_never_from_surgery():
    assert model_id("Claude Sonnet 4.6 (Amazon Bedrock Edition)") == "anthropic.claude-sonnet-4-6"
    assert model_id("Claude4.6Sonnet") == "anthropic.claude-sonnet-4-6"
    assert model_id("Claude4.6SonnetX") is None
    assert model_id("Unknown Model (Amazon Bedrock Edition)") is None
    assert model_id("Claude9", {"claude9": "anthropic.claude-9"}) == "anthropic.claude-9"


def test_resources_name_models_profiles_and_geographies():
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12"
    assert read_resource(arn).model is None
    known = read_resource(
        arn,
        Profiles(
            load=lambda: ({arn: "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0"}, {arn: "triage"})
        ),
    )
    assert (known.model, known.resource_id, known.name) == ("amazon.nova-pro-v1:0", arn, "triage")
    assert read_resource("global.anthropic.claude-sonnet-4-6").geo == "global"
    assert read_resource("amazon.nova-pro-v1:0").model == "amazon.nova-pro-v1:0"
    assert read_resource("not-a-model") == type(known)(None, "not-a-model")


def test_every_usage_type_seen_is_classified():
    if not SEEN.exists():
        pytest.skip(f"the list of observed usage types isn't here ({SEEN.name}); it is no part of the project")
    lines = {
        t: classify(t, product_name="Claude Opus 4", pricing_unit="Units" if "MP:" in t else "1K tokens")
        for t in SEEN.read_text().split()
    }
    assert {t for t, line in lines.items() if line.meter == "unmapped"} == {
        "USE1-Guardrail-AutomatedReasoningPolicyUnitsConsumed",
        "USE1-MP:USE1_CacheStorage-Units",
        "USE1-MP:USE1_CacheValidationCount-Units",
        "USE1-MP:USE1_InputImageCount-Units",
    }
