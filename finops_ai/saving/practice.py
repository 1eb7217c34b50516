"""What providers offer and how it is done there, as data: `practice.toml`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.prices.names import provider_name


@dataclass(frozen=True)
class Caching:
    """How a provider caches prompts.

    Attributes:
        automatic: whether it caches without being asked.
        least: tokens from which on a prompt's beginning is cached.
        minutes: how long an unused entry lives, at least.
        write_meter: what a write is billed as; "" where it is billed as any prompt text.
    """

    automatic: bool
    least: int
    minutes: int
    write_meter: str = ""


@cache
def practice() -> dict[str, Any]:
    """The file as it is."""
    return tomllib.loads(files("finops_ai.saving").joinpath("practice.toml").read_text("utf-8"), parse_float=Decimal)


def caching_at(provider: str, model_family: str = "") -> Caching | None:
    """How a provider caches prompts to a family of models; None where it doesn't, or that isn't known.

    >>> caching_at("bedrock", "Claude Sonnet").least, caching_at("openai").automatic, caching_at("nobody")
    (1024, True, None)
    """
    for row in practice()["caching"]:
        if row["provider"] == provider_name(provider) and model_family.startswith(row.get("family", "")):
            return Caching(row["automatic"], row["least"], row["minutes"], row.get("write_meter", ""))
    return None


def how(kind: str, provider: str) -> str:
    """How it is done at a provider, in a sentence; the general way where the provider has none of its own."""
    texts = practice()["how"].get(kind, {})
    return str(texts.get(provider_name(provider) if provider else "", texts.get("any", "")))


def effort(kind: str) -> str:
    """How much work it is, once: a setting, a change of code, a change of code with a test of quality, or a contract."""
    return str(practice()["effort"].get(kind, "code"))
