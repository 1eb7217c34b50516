"""What a bill line of Bedrock means: meter, model name, tier, routing and unit, read from the line's own words.

The grammar is data (`usage_types.toml`, `models.toml`). A line with a word the grammar doesn't know is `unmapped`:
an unknown suffix may change the price, so guessing would be worse than showing it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib.resources import files

from finops_ai.meters import meters

#: where the kind starts in a first-party usage type; what stands before it is the model's billing name
_KIND = re.compile(
    r"-?(?=(?:text-|speech-|audio-)?(?:input|output)-(?:tokens?|image|video|audio|speech)"
    r"|cache-(?:read|write)|search-units|customization-|rft-training)"
)
_REGION = re.compile(r"^(?P<region>[A-Z]{2,4}\d{0,2})-(?P<rest>.+)$")
_MARKETPLACE = re.compile(r"^MP:(?:[A-Z]{2,4}\d{0,2}_)?(?P<body>.+?)(?:-Units)?$")

#: modifiers beside the meter's own words, longest first
_TIERS = {"latencyoptimized": "fast", "priority": "priority", "batch": "batch", "flex": "flex"}
_ROUTES = {"crossregionglobal": "global", "crossregiongeo": None, "global": "global"}
_LONG_CONTEXT = ("longcontext", "lctx")
_NEUTRAL = (
    "million", "standard", "custommodel", "mantle", "tokens", "token", "count", "input", "output", "text", "speech",
    "audio", "image", "video", "cacheread", "cachewrite", "searchunits", "1h", "5m", "30m",
)  # fmt: skip
_KNOWN_WORDS = re.compile(
    "(?:" + "|".join(sorted({*_TIERS, *_ROUTES, *_LONG_CONTEXT, *_NEUTRAL}, key=lambda word: (-len(word), word))) + ")*"
)


@dataclass(frozen=True)
class Line:
    """What one kind of bill line means.

    Attributes:
        meter: meter of the registry, `unmapped` where the line isn't understood.
        model_name: the model as the bill calls it; "" where it names none.
        operation: chat, embeddings, image, rerank, fine_tuning, provisioned or tool.
        service_tier: tier of the token frame.
        inference_geo: "global", or None: in-region and geographic profiles are billed alike.
        context_tier: "200k-1M" where the line says so.
        factor: units of the meter in one billed unit.
        why: why it is unmapped, else "".
    """

    meter: str = "unmapped"
    model_name: str = ""
    operation: str = "other"
    service_tier: str = "standard"
    inference_geo: str | None = None
    context_tier: str | None = None
    factor: Decimal = Decimal(1)
    why: str = ""

    @property
    def is_token(self) -> bool:
        """Whether the line counts tokens."""
        return meters()[self.meter].unit == "tokens"


@cache
def _rules() -> list[dict]:
    return tomllib.loads(files("finops_ai_bedrock").joinpath("usage_types.toml").read_text("utf-8"))["rules"]


@cache
def _shipped_names() -> dict[str, str]:
    names = tomllib.loads(files("finops_ai_bedrock").joinpath("models.toml").read_text("utf-8"))["names"]
    return {_key(name): model for name, model in names.items()}


def _key(name: str) -> str:
    return re.sub(r"\s+", "", name).casefold()


def model_id(name: str, own: Mapping[str, str] | None = None) -> str | None:
    """The Bedrock model id behind a billing name or Marketplace product; None if the table doesn't hold it.

    Args:
        name: billing name, such as "Claude4.6Sonnet", or a Marketplace product.
        own: the user's additions, which win.

    >>> model_id("Claude4.6Sonnet"), model_id("Claude Opus 4 (Amazon Bedrock Edition)"), model_id("Claude9")
    ('anthropic.claude-sonnet-4-6', 'anthropic.claude-opus-4-20250514-v1:0', None)
    """
    bare = name.replace("(Amazon Bedrock Edition)", "").strip()
    mine = {_key(key): value for key, value in (own or {}).items()}
    if found := mine.get(_key(bare)) or _shipped_names().get(_key(bare)):
        return found
    # a billing name that already is an id: "anthropic.claude-opus-4-8", as OpenAI-compatible endpoints bill it
    return (
        bare
        if re.fullmatch(r"(?:anthropic|openai|qwen|deepseek|meta|mistral|google|zai)\.[a-z0-9.:-]+", bare)
        else None
    )


def unit_factor(meter: str, pricing_unit: str, unit_text: str) -> Decimal | None:
    """Units of the meter in one billed unit, decided by the row's own words; None if they don't say.

    AWS changed the unit of the same product over time, so it is never decided by product: "Million" in the unit or a
    plain Marketplace "Units" is a million tokens, "1K tokens" a thousand.

    >>> [str(unit_factor("input", u, t)) for u, t in (("1K tokens", ""), ("Units", ""), ("Units", "Million Input Tokens"))]
    ['1000', '1000000', '1000000']
    """
    unit, text = pricing_unit.lower().strip(), f"{pricing_unit} {unit_text}".lower()
    million = "million" in text or unit.startswith("1m ")
    thousand = unit.startswith("1k ") or "thousand" in text or "1000 " in text
    if meters()[meter].unit in ("tokens", "token-hours"):
        if million:
            return Decimal(1_000_000)
        if thousand:
            return Decimal(1000)
        if unit in ("token", "tokens"):
            return Decimal(1)
        return Decimal(1_000_000) if unit == "units" and meters()[meter].unit == "tokens" else None
    if meter == "provisioned_hours" and "minute" in text:
        return None
    return Decimal(1_000_000) if million else Decimal(1000) if thousand else Decimal(1)


def classify(usage_type: str, *, product_name: str = "", pricing_unit: str = "", unit_text: str = "") -> Line:
    """Read one kind of bill line.

    Args:
        usage_type: `line_item_usage_type`.
        product_name: `product['product_name']`; names the model of a Marketplace line.
        pricing_unit: `pricing_unit` of the row.
        unit_text: third `|` field of a Marketplace line's description.

    >>> line = classify("USE1-Nova2.0Lite-input-tokens-cross-region-global-batch", pricing_unit="1K tokens")
    >>> line.meter, line.model_name, line.service_tier, line.inference_geo, str(line.factor)
    ('input', 'Nova2.0Lite', 'batch', 'global', '1000')
    """
    match = _REGION.match(usage_type)
    rest = match["rest"] if match else usage_type
    if market := _MARKETPLACE.match(rest):
        name, kind = product_name.replace("(Amazon Bedrock Edition)", "").strip(), market["body"]
    elif found := _KIND.search(rest):
        name, kind = rest[: found.start()].removesuffix("-mantle"), rest[found.end() :]
    else:
        name, kind = "", rest
    flat = re.sub(r"[^a-z0-9]", "", kind.lower())
    rule = next((rule for rule in _rules() if any(word in flat for word in rule["words"])), {})
    line = Line(
        meter=rule.get("meter", "unmapped"),
        model_name=name,
        operation=rule.get("operation", ""),
        service_tier=rule.get("tier", "standard"),
    )
    if line.meter == "unmapped":
        return replace(line, operation="other", why="unknown usage type" if not rule else "no meter for it")
    factor = unit_factor(line.meter, pricing_unit, unit_text)
    if factor is None:
        return Line(model_name=name, why=f"unknown pricing unit {pricing_unit!r}")
    if not line.is_token or line.meter == "training":
        return replace(line, factor=factor)
    if not _KNOWN_WORDS.fullmatch(flat):
        return Line(model_name=name, why="a word in it is unknown and may change the price")
    return replace(
        line,
        operation="embeddings" if "embed" in name.lower() else "chat",
        service_tier=next((tier for word, tier in _TIERS.items() if word in flat), "standard"),
        inference_geo=next((geo for word, geo in _ROUTES.items() if word in flat), None),
        context_tier="200k-1M" if any(word in flat for word in _LONG_CONTEXT) else None,
        factor=factor,
    )
