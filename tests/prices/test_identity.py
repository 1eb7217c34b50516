"""One model is one identity, whoever sells it and however the channel spells it."""

from __future__ import annotations

import pytest

from finops_ai.prices.identity import identity, tokeniser


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (
            [
                ("anthropic", "claude-haiku-4-5-20251001"), ("aws", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
                ("google", "claude-haiku-4-5@20251001"), ("openrouter", "anthropic/claude-haiku-4.5"),
                ("azure", "claude-haiku-4-5"),
            ],
            ("Anthropic", "Claude Haiku", "4.5"),
        ),
        ([("anthropic", "claude-opus-4-0"), ("anthropic", "claude-opus-4-20250514")], ("Anthropic", "Claude Opus", "4")),
        ([("anthropic", "claude-3-5-sonnet-20241022"), ("aws", "anthropic.claude-3-5-sonnet-20241022-v2:0")],
         ("Anthropic", "Claude Sonnet", "3.5")),
        ([("openai", "gpt-4.1-mini-2025-04-14"), ("azure", "gpt-4.1-mini"), ("openai", "ft:gpt-4.1-mini-2025-04-14:a::b")],
         ("OpenAI", "GPT mini", "4.1")),
        ([("openai", "gpt-3.5-turbo"), ("azure", "gpt-35-turbo")], ("OpenAI", "GPT turbo", "3.5")),
        ([("openai", "gpt-5.6-sol"), ("aws", "us.openai.gpt-5.6-sol"), ("azure", "gpt-5.6-sol")], ("OpenAI", "GPT sol", "5.6")),
        ([("openai", "o3-2025-04-16"), ("azure", "o3")], ("OpenAI", "o", "3")),
        ([("google", "gemini-2.5-flash"), ("oci", "google.gemini-2.5-flash"), ("openrouter", "google/gemini-2.5-flash")],
         ("Google", "Gemini Flash", "2.5")),
        ([("xai", "grok-4-0709"), ("oci", "xai.grok-4"), ("azure", "grok-4")], ("xAI", "Grok", "4")),
        ([("aws", "meta.llama3-3-70b-instruct-v1:0"), ("groq", "llama-3.3-70b-versatile"), ("oci", "meta.llama-3.3-70b-instruct")],
         ("Meta", "Llama 70B", "3.3")),
        ([("aws", "deepseek.v3.2"), ("deepinfra", "deepseek-ai/DeepSeek-V3.2")], ("DeepSeek", "DeepSeek V", "3.2")),
        ([("openai", "acme-1")], ("", "", "")),
    ],
)  # fmt: skip
def test_channels_line_up(names, wanted):
    for provider, name in names:
        found = identity(provider, name)
        assert (found.developer, found.family, found.version) == wanted, name


def test_tokenisers_differ_within_a_family():
    assert tokeniser("Anthropic", "Claude Opus", "4.6") != tokeniser("Anthropic", "Claude Opus", "4.7")
    assert tokeniser("OpenAI", "GPT turbo", "3.5") == "OpenAI cl100k"
    assert tokeniser("OpenAI", "GPT", "4o") == "OpenAI o200k"
    assert tokeniser("", "", "") == ""
