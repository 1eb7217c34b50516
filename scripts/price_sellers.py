"""Readers of sellers' own price lists, as packages and repositories that read them have them; used by `price_maps.py`.

Each takes its figures from the seller's model list, price list API or pricing page by itself, not from another map:

- `gateways`: OpenRouter's and Vercel's model lists, in the npm package `@earendil-works/pi-ai` (MIT);
- `catalogue`: Novita's, DeepInfra's and Vercel's model lists, in the npm package `@oh-my-pi/pi-catalog` (MIT). What that
  package has from models.dev, all other sellers, isn't read;
- `awslist`: AWS' price list by region, from a clone of `aToy0m0/bedrock-pricing` (figures only).

They confirm and dispute; a price that none of the maps has isn't taken from them.
"""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from price_clones import Clone
from price_lists import shortened

from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.observed import Key, Snapshot, without_free

GATEWAYS = "@earendil-works/pi-ai", "1.6.0"
CATALOGUE = "@oh-my-pi/pi-catalog", "18.2.11"
Models = Callable[[str], Iterable[str]]
_DAY_OF_CATALOGUE = date(2026, 9, 23)  # of its changelog; its files carry none
_FIELDS = {"input": "input", "output": "output", "cacheRead": "cache_read", "cacheWrite": "cache_write"}
_PLACES = Decimal("1e-9")  # what multiplying prices of a token by a million in floating point leaves is beyond


def npm(package: tuple[str, str], cache: Path) -> tarfile.TarFile:
    """One version of an npm package, fetched if it isn't there."""
    name, version = package
    folder = cache / f"{name.strip('@').replace('/', '-')}-{version}"
    if not list(folder.glob("*.tgz")):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=folder, check=True, capture_output=True)
    return tarfile.open(next(folder.glob("*.tgz")))


def gateways(cache: Path, canonical: Canonical) -> Snapshot:
    """OpenRouter's and Vercel's own model lists."""
    with npm(GATEWAYS, cache) as opened:
        inside = "package/dist/providers/data"
        day = date.fromisoformat(_json(opened, f"{inside}/.manifest.json")["generatedAt"][:10])
        prices: dict[Key, Decimal] = {}
        for word, seller in (("openrouter", "openrouter"), ("vercel-ai-gateway", "vercel_ai_gateway")):
            for entries in _json(opened, f"{inside}/{word}.json").values():
                for entry in entries.values():
                    prices |= _costs(seller, canonical(seller, entry["id"].lower()), entry.get("cost") or {})
    return Snapshot("gateways", f"through {' '.join(GATEWAYS)}", day, without_free(prices), {}, {})


def catalogue(cache: Path, canonical: Canonical) -> Snapshot:
    """Novita's, DeepInfra's and Vercel's own model lists."""
    with npm(CATALOGUE, cache) as opened:
        table = _json(opened, "package/src/models.json")
    prices: dict[Key, Decimal] = {}
    for word, seller in (("novita", "novita"), ("deepinfra", "deepinfra"), ("vercel-ai-gateway", "vercel_ai_gateway")):
        for entry in table[word].values():
            prices |= _costs(seller, canonical(seller, entry["id"].lower()), entry.get("cost") or {})
    return Snapshot("catalogue", f"through {' '.join(CATALOGUE)}", _DAY_OF_CATALOGUE, without_free(prices), {}, {})


def _json(opened: tarfile.TarFile, name: str) -> Any:
    file = opened.extractfile(name)
    assert file is not None, name
    return json.loads(file.read(), parse_float=Decimal)


def _costs(seller: str, model: str, cost: dict[str, Any]) -> dict[Key, Decimal]:
    """Prices of one entry: a cache price of 0 stands for "not known"."""
    steps = [("", cost), *((f">{step['inputTokensAbove']}", step) for step in cost.get("tiers") or ())]
    return {
        Key(seller, model, meter, "standard", over): Decimal(str(step[field])).quantize(_PLACES).normalize()
        for over, step in steps if model for field, meter in _FIELDS.items()
        if step.get(field) or (step.get(field) == 0 and meter in ("input", "output"))
    }  # fmt: skip


#: where an area of AWS' list stands for a place of the book, beside its own name
_HOME = {"us-east-1": ("", "us"), "eu-central-1": ("eu",)}
_BATCH, _ACROSS = " (バッチ)", " (クロスリージョン)"
#: AWS' display name -> the model's id, or its part behind the maker's name, where shortening both doesn't make them equal
_AWS_NAMES = {
    "Claude 3.5 Sonnet": "anthropic.claude-3-5-sonnet-20240620",
    "Claude 3.5 Sonnet v2": "anthropic.claude-3-5-sonnet-20241022",
    "Nova 2.0 Lite": "nova-2-lite", "Nova 2.0 Pro": "nova-2-pro-preview", "TitanEmbeddingV2-Text": "titan-embed-text-v2:0",
    "TitanEmbeddingsG1-Text": "titan-embed-text-v1", "TitanTextG1-Express": "titan-text-express",
    "TitanTextG1-Lite": "titan-text-lite", "Devstral": "devstral-2-123b", "Magistral Small 1.2": "magistral-small-2509",
    "Ministral 14B 3.0": "ministral-3-14b", "Ministral 3B 3.0": "ministral-3-3b", "Ministral 8B 3.0": "ministral-3-8b",
    "Mistral Large": "mistral-large-2402-v1:0", "Mistral Large 3": "mistral-large-3-675b",
    "Mistral Small": "mistral-small-2402-v1:0", "NVIDIA Nemotron 3 Super 120B A12B": "nemotron-super-3-120b",
    "NVIDIA Nemotron Nano 2": "nemotron-nano-9b-v2", "NVIDIA Nemotron Nano 2 VL": "nemotron-nano-12b",
    "Nemotron Nano 3 30B": "nemotron-nano-3-30b", "Voxtral Mini 1.0": "voxtral-mini-3b-2507",
    "Voxtral Small 1.0": "voxtral-small-24b-2507",
}  # fmt: skip


def awslist(clone: Clone, models: Models) -> Snapshot:
    """AWS' price list of Bedrock's commercial regions: input and output, on demand and by batch."""
    table = clone.json("docs/data.json")
    known: dict[str, set[str]] = defaultdict(set)
    for model in models("aws"):
        known[model].add(model)
        known[shortened(model)].add(model)
        known[shortened(model.partition(".")[2])].add(model)
    prices: dict[Key, Decimal] = {}
    for row in table["rows"]:
        name, tier = row["m"].removesuffix(_BATCH), "batch" if row["m"].endswith(_BATCH) else "standard"
        area = "global" if name.endswith(_ACROSS) else row["r"][0]
        if area == "global" and row["r"] != ["us-east-1"]:
            continue  # the price of a global profile is the same everywhere
        display = name.removesuffix(_ACROSS)
        name = _AWS_NAMES.get(display, display)
        for model in known.get(name) or known.get(shortened(name), ()):
            for place in (area, *_HOME.get(area, ())):
                for field, meter in (("i", "input"), ("o", "output")):
                    if row[field]:
                        price = Decimal(str(row[field])).quantize(_PLACES).normalize()
                        prices.setdefault(Key("aws", model, meter, tier, "", place), price)
    day = date.fromisoformat(table["publicationDate"][:10])
    return Snapshot("awslist", f"through {clone.commit}", day, prices, {}, {})
