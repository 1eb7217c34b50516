"""LiteLLM's price map (MIT): `model_prices_and_context_window_backup.json` of the litellm package."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from finops_ai.prices.cards import MILLION
from finops_ai.prices.maps.observed import Key, Snapshot, without_free, without_repeats

#: the map's word for a seller -> ours; any other word is taken as it is
SELLERS = {
    "text-completion-openai": "openai", "gemini": "google", "bedrock": "aws", "bedrock_converse": "aws",
    "bedrock_mantle": "aws", "azure_ai": "azure", "azure_text": "azure", "fireworks_ai": "fireworks",
    "fireworks_ai-embedding-models": "fireworks", "together_ai": "together", "dashscope": "alibaba",
    "cohere_chat": "cohere", "meta_llama": "meta",
}  # fmt: skip
#: entries that aren't a seller's list price per use
_SKIP = frozenset({
    "", "none", "ollama", "chatgpt", "github_copilot", "opencode_go", "sagemaker", "lemonade", "nvidia_nim", "triton",
})  # fmt: skip
#: fields beside token prices -> meter, and units in one of theirs
_OTHER = {
    "ocr_cost_per_page": ("pages", 1), "annotation_cost_per_page": ("annotated_pages", 1),
    "google_maps_grounding_cost_per_query": ("maps_grounding", 1),
    "output_cost_per_video_per_second": ("video_seconds", 1),
    "output_cost_per_second_480p": ("video_seconds_480p", 1), "output_cost_per_second_720p": ("video_seconds_720p", 1),
    "output_cost_per_second_768p": ("video_seconds_768p", 1),
    "output_cost_per_second_1080p": ("video_seconds_1080p", 1), "output_cost_per_second_2k": ("video_seconds_2k", 1),
    "output_cost_per_second_4k": ("video_seconds_4k", 1),
    "citation_cost_per_token": ("citation_tokens", 1),
    "output_cost_per_image_0.5K": ("images_512", 1), "output_cost_per_image_1K": ("images_1k", 1),
    "output_cost_per_image_2K": ("images_2k", 1), "output_cost_per_image_4K": ("images_4k", 1),
    "explicit_cache_read_input_token_cost": ("explicit_cache_read", 1),
}  # fmt: skip
_TOKENS = {
    "input_cost_per_token": "input", "output_cost_per_token": "output", "output_cost_per_reasoning_token": "reasoning",
    "cache_read_input_token_cost": "cache_read", "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write", "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "cache_creation_input_token_cost_above_12hr": "cache_write_12h",
    "input_cost_per_audio_token": "input_audio", "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio", "cache_read_input_image_token_cost": "cache_read_image",
    "input_cost_per_image_token": "input_image", "output_cost_per_image_token": "output_image",
    "input_cost_per_video_token": "input_video", "output_cost_per_video_token": "output_video",
}  # fmt: skip
_FIELD = re.compile(r"^(?P<base>.+?)(?:_above_(?P<over>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?$")
_TIERS = {"batches": "batch", "flex": "flex", "priority": "priority", None: "standard"}
_ZONES = {"us", "eu", "apac"}
_AWS_PLACE = re.compile(r"^(global|us|eu|apac|jp|au|in|ca|sa|me|af|us-gov)\.(?=[a-z0-9-]+\.)")
_AWS_REGION = re.compile(r"^[a-z]{2}(-gov)?-[a-z]+-\d$")

#: (provider, name) -> canonical model
Canonical = Callable[[str, str], str]


def read(table: Mapping[str, Any], version: str, day: date, canonical: Canonical) -> Snapshot:
    """One day's map; numbers must have been read as decimals.

    Args:
        table: entry name -> entry.
        version, day: of the package it is from.
        canonical: what a provider's model name is called in the book.
    """
    entries: dict[tuple[str, str, str], list[tuple[bool, str, dict[tuple[str, str, str], Decimal]]]] = {}
    left: Counter[str] = Counter()
    for name, entry in table.items():
        where = seller(name, entry)
        model = canonical(*where[:2]) if where else ""
        if where is None or not model:
            left["entry without a seller or per-use price, or with a name that moved"] += 1
            continue
        entries.setdefault((where[0], model, where[2]), []).append((where[1] != model, name, figures(entry, left)))
    prices = {
        Key(provider, model, meter, tier, over, place): price
        for (provider, model, place), several in entries.items()
        for (meter, tier, over), price in _one(several).items()
    }
    prices = _clouds(without_free(prices))
    return Snapshot("litellm", version, day, without_repeats(prices), {}, dict(left))


def _one(several: list[tuple[bool, str, dict[tuple[str, str, str], Decimal]]]) -> dict[tuple[str, str, str], Decimal]:
    """Several entries of one model as one: that under the model's own name, with what entries at the same rates add."""
    (_, _, first), *others = sorted(several, key=lambda entry: entry[:2])
    for _, _, other in others:
        rates = [(meter, "standard", "") for meter in ("input", "output") if (meter, "standard", "") in first]
        if rates and all(other.get(key) == first[key] for key in rates):
            first = other | first
    return first


def _clouds(prices: dict[Key, Decimal]) -> dict[Key, Decimal]:
    """The map's entry without a place is the global price of some cloud models and the regional one of others.

    Bedrock: where a geographic profile costs more than the global one, so does a call in the region. Azure: where a
    global entry stands beside it, the plain one is the regional deployment's.
    """
    out = dict(prices)
    for key, price in prices.items():
        if key.place != "global":
            continue
        plain = prices.get(key._replace(place=""))
        if key.provider == "aws":
            geo = next(
                (p for place in ("us", "eu", "apac") if (p := prices.get(key._replace(place=place))) is not None), None
            )
            if geo is not None and geo != price and plain in (price, None):
                out[key._replace(place="")] = geo
        elif key.provider == "azure" and plain is not None and plain != price:
            out[key._replace(place="")], out[key._replace(place="regional")] = price, plain
            del out[key]
    return out


def seller(name: str, entry: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Who sells an entry, the model's name there and the place it is for; None = no list price per use."""
    word = str(entry.get("litellm_provider") or "")
    provider = "vertex" if word.startswith("vertex_ai") else SELLERS.get(word, word)
    if provider in _SKIP or name == "sample_spec" or re.search(r"(^|/)[\w-]+-x-[\w-]+(/|$)|commitment", name):
        return None
    parts = name.split("/")
    if provider == "aws":
        if "claude_platform" in parts[:2]:
            return "claude-platform-aws", parts[-1].lower(), ""
        place = next((part for part in parts[:-1] if _AWS_REGION.match(part)), "")
        model = parts[-1].lower()
        if found := _AWS_PLACE.match(model):
            place, model = place or found[1], model[found.end() :]
        return provider, model, place
    if provider == "azure" and len(parts) > 2:
        place, model = parts[1], "/".join(parts[2:])
        places = {"global": "global", "global-standard": "global", "us-gov": "us-gov"} | {z: z for z in _ZONES}
        return (provider, model.lower(), places[place]) if place in places else None
    if parts[0] in (word, provider, "vertex_ai") and len(parts) > 1:
        parts = parts[1:]
    model = "/".join(parts).lower()
    if provider == "vertex":
        model = model.rpartition("/")[2]
    if provider == "fireworks":
        model = model.removeprefix("accounts/fireworks/models/")
    if provider in ("openai", "anthropic") and model.startswith(("fast/", "us/", "openai/", "priority/")):
        return None if not model.startswith("openai/") else (provider, model[7:], "")
    return provider, model, ""


def figures(entry: Mapping[str, Any], left: Counter[str]) -> dict[tuple[str, str, str], Decimal]:
    """(meter, tier, over) -> price per million units, of one entry."""
    found: dict[tuple[str, str, str], Decimal] = {}
    mode = str(entry.get("mode") or "")
    by_token = bool(entry.get("input_cost_per_token") or entry.get("output_cost_per_token"))
    for field, value in entry.items():
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or "cost" not in field:
            continue
        match = _FIELD.match(field)
        assert match is not None
        base, over, tier = match["base"], match["over"], _TIERS[match["tier"]]
        if (other := _OTHER.get(base)) is not None:
            meter: str | None = other[0]
        elif (meter := _TOKENS.get(base)) is None:
            meter = _by_mode(base, mode, by_token)
        if meter is None:
            left[field] += 1
            continue
        if value == 0 and (
            (meter != "input" and meter != "output") or mode in ("embedding", "rerank", "audio_transcription")
        ):
            continue
        found[meter, tier, f">{over}000" if over else ""] = Decimal(value) * MILLION
    for step in entry.get("tiered_pricing") or ():
        low = int(step["range"][0]) if "range" in step else 0
        for field, value in step.items():
            meter = _TOKENS.get(field)
            if meter and isinstance(value, int | Decimal):
                found[meter, "standard", f">{low}" if low else ""] = Decimal(value) * MILLION
    return found


def _by_mode(base: str, mode: str, by_token: bool) -> str | None:
    """What the map's fields without a unit of their own count, by the kind of model."""
    if base in ("input_cost_per_second", "output_cost_per_second"):
        if mode == "audio_transcription" and base.startswith("input"):
            return "audio_seconds"
        return "video_seconds" if mode == "video_generation" and base.startswith("output") else None
    if base == "input_cost_per_character" and not by_token:
        return "characters"
    if base in ("output_cost_per_image", "input_cost_per_image") and mode in ("image_generation", "image_edit"):
        return "images" if not by_token or base.startswith("output") else None
    if base == "input_cost_per_query":
        return "search_units" if mode == "rerank" else "web_searches" if mode == "search" else None
    return None
