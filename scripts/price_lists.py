"""Reader of providers' own price lists, as the `openai-cost-calculator` package (MIT) has them; used by `price_maps.py`.

That package reads each provider's price list API or pricing page by itself (AWS' price list, Azure's retail prices,
OpenRouter's and DeepInfra's model lists, the pricing pages of the others), names the page of every model, and takes
nothing from another map. What it carries over by hand ("legacy-csv") and what holds for some hours only is left out.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.observed import Key, Snapshot

VERSION = "1.3.0"
#: its file -> ours
SELLERS = {
    "anthropic": "anthropic", "azure": "azure", "bedrock": "aws", "deepinfra": "deepinfra", "deepseek": "deepseek",
    "fireworks": "fireworks", "gemini": "google", "groq": "groq", "mistral": "mistral", "openai": "openai",
    "openrouter": "openrouter", "together": "together", "vertex": "vertex",
}  # fmt: skip
_METERS = {
    "input": "input", "output": "output", "cached_input": "cache_read", "cache_write": "cache_write",
    "cache_write_1h": "cache_write_1h", "input_audio": "input_audio", "output_audio": "output_audio",
    "cached_input_audio": "cache_read_audio", "output_image": "output_image", "reasoning": "reasoning",
    "web_search": "web_searches",
}  # fmt: skip
#: where a list's region stands for a place of the book. A geographic profile of Bedrock costs what its source region
#: does (aws.amazon.com/bedrock/pricing: "the price is calculated based on the region you made the request in")
_PLACES = {
    ("aws", "us-east-1"): ("", "us", "us-east-1"), ("aws", "us-west-2"): ("us-west-2",),
    ("aws", "eu-central-1"): ("eu-central-1", "eu"), ("aws", "global"): ("global",),
    ("azure", "global"): ("",), ("azure", "data-zone"): ("us", "eu"), ("azure", "eastus2"): ("regional",),
    ("vertex", "global"): ("",),
}  # fmt: skip
#: names that lists shorten -> ours
_NAMES = {
    ("aws", "anthropic.claude-3-5-sonnet"): "anthropic.claude-3-5-sonnet-20240620",
    ("aws", "anthropic.claude-3-5-sonnet-v2"): "anthropic.claude-3-5-sonnet-20241022",
    ("aws", "nvidia.nemotron-nano-12b-v2-vl-bf16"): "nvidia.nemotron-nano-12b",
    ("aws", "zai.glm5"): "zai.glm-5", ("aws", "mistral.mistrallarge"): "mistral.mistral-large-2402-v1:0",
    ("aws", "mistral.mistralsmall"): "mistral.mistral-small-2402-v1:0",
    ("azure", "gpt-4.5-0227"): "gpt-4.5-preview", ("azure", "gpt-4o-0513"): "gpt-4o-2024-05-13",
    ("azure", "gpt-4o-0806"): "gpt-4o-2024-08-06", ("azure", "gpt-4o-1120"): "gpt-4o-2024-11-20",
    ("azure", "gpt-4o-mini-0718"): "gpt-4o-mini-2024-07-18", ("azure", "o1-1217"): "o1-2024-12-17",
    ("azure", "o3-0416"): "o3-2025-04-16", ("azure", "o3-mini-0131"): "o3-mini-2025-01-31",
    ("azure", "o4-mini-0416"): "o4-mini-2025-04-16",
    ("vertex", "llama-3.3-70b"): "llama-3.3-70b-instruct-maas",
    ("vertex", "llama-4-maverick"): "llama-4-maverick-17b-128e-instruct-maas",
    ("vertex", "llama-4-scout"): "llama-4-scout-17b-16e-instruct-maas",
    ("vertex", "gemini-3-pro-image"): "gemini-3-pro-image-preview",
    ("vertex", "gemini-3.1-flash-image"): "gemini-3.1-flash-image-preview",
    ("vertex", "gemini-omni-flash"): "gemini-omni-flash-preview", ("vertex", "deepseek-r1"): "deepseek-r1-0528-maas",
    ("vertex", "gemini-2.0-flash-image-generation"): "gemini-2.0-flash-preview-image-generation",
    ("vertex", "gemini-2.5-procomputer-use-preview"): "gemini-2.5-computer-use-preview-10-2025",
    ("vertex", "mistral-small-3.1"): "mistral-small-2503",
    ("vertex", "qwen3-next-80b-instruct"): "qwen3-next-80b-a3b-instruct-maas",
    ("vertex", "qwen3-next-80b-thinking"): "qwen3-next-80b-a3b-thinking-maas",
}  # fmt: skip


def provider_lists(wheel: Path, canonical: Canonical, models: Callable[[str], Iterable[str]]) -> Iterator[Snapshot]:
    """One snapshot per provider, of the day its list was read.

    Args:
        wheel: the package.
        canonical: what a provider's model name is called in the book.
        models: a seller's models, to which AWS' and Vertex AI's shortened names are matched whole.
    """
    with zipfile.ZipFile(wheel) as opened:
        for word, provider in SELLERS.items():
            name = f"openai_cost_calculator/data/pricing/{word}.json"
            table = json.loads(opened.read(name), parse_float=Decimal)
            day = date.fromisoformat(table["verified_at"])
            official = {source["id"] for source in table["sources"] if source["kind"].startswith("official")}
            known = _short_names(models(provider)) if provider in ("aws", "vertex") else {}
            prices: dict[Key, Decimal] = {}
            for entry in table["models"]:
                if entry["source"] not in official:
                    continue
                for model in _models(provider, entry, canonical, known):
                    for key, price in _prices(provider, model, entry, day):
                        prices.setdefault(key, price)
            yield Snapshot("providers", f"through openai-cost-calculator {VERSION}", day, prices, {}, {})


def _models(provider: str, entry: dict[str, Any], canonical: Canonical, known: dict[str, list[str]]) -> tuple[str, ...]:
    name = entry["id"].lower().removeprefix("accounts/fireworks/models/")
    name = _NAMES.get((provider, name), name)
    found = canonical(provider, name)
    if same := known.get(shortened(name)):
        return tuple(dict.fromkeys([*([found] if found in same else ()), *same]))
    return (found,) if found else ()


def _short_names(models: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for model in sorted(models):
        found[shortened(model)].append(model)
    return found


def shortened(name: str) -> str:
    """A name as price lists shorten it: without API version, snapshot, "instruct" and punctuation."""
    name = re.sub(r"-maas$|-v?\d+:\d+$|:\d+$|-v\d+$", "", name.lower())
    return re.sub(r"-20\d{6}$|-(?:instruct|it)$|[^a-z0-9]", "", re.sub(r"-20\d{6}$|-(?:instruct|it)$", "", name))


def _prices(provider: str, model: str, entry: dict[str, Any], day: date) -> Iterator[tuple[Key, Decimal]]:
    for row in entry["prices"]:
        conditions = row.get("conditions") or {}
        if set(conditions) - {"service_tier", "region"} or not _in_force(row, day):
            continue
        region = conditions.get("region", "")
        places = _PLACES.get((provider, region), (region,))
        least = int(row.get("min_input_tokens") or 0)
        over = f">{least - least % 1000}" if least else ""  # 200,001 tokens are over 200,000
        for field, price in row["rates"].items():
            if (meter := _METERS.get(field)) is not None:
                for place in places:
                    tier = conditions.get("service_tier", "standard")
                    units = 1_000_000 if meter == "web_searches" else 1  # a search, where tokens are millions
                    yield Key(provider, model, meter, tier, over, place), Decimal(str(price)) * units


def _in_force(row: dict[str, Any], day: date) -> bool:
    return row.get("effective_from", "") <= day.isoformat() < row.get("effective_until", "9999")
