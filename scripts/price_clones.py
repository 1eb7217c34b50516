"""Readers of price maps that have no package, from clones of their repositories; used by `price_maps.py`.

Taken are maps that people keep by hand: Portkey's models, models.dev, Langfuse's default prices and llm-prices (all
MIT or Apache-2.0, figures only). Maps that are filled from another one (Braintrust's and TrueFoundry's catalogues are
synchronised with LiteLLM's) aren't a second source and aren't read.
"""

from __future__ import annotations

import json
import posixpath
import subprocess
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.observed import Key, Snapshot
from finops_ai.prices.maps.others import MODELS_DEV, PORTKEY, read_models_dev, read_portkey


class Clone:
    """A git folder, read at its newest commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.day = date.fromisoformat(self._git("show", "-s", "--format=%cs", "HEAD").strip())
        self.commit = self._git("show", "-s", "--format=%h", "HEAD").strip()

    def _git(self, *words: str) -> str:
        return subprocess.check_output(["git", "-C", str(self.folder), *words], text=True)

    def names(self, under: str = "") -> list[str]:
        """Paths of the files in a folder."""
        return [
            line for line in self._git("ls-tree", "-r", "-z", "--name-only", "HEAD", under or ".").split("\0") if line
        ]

    def texts(self, names: list[str]) -> dict[str, str]:
        """The files' contents, all in one run of git."""
        asked = "".join(f"HEAD:{name}\n" for name in names)
        command = ["git", "-C", str(self.folder), "cat-file", "--batch"]
        out = subprocess.run(command, input=asked.encode(), capture_output=True, check=True).stdout
        found, at = {}, 0
        for name in names:
            end = out.index(b"\n", at)
            size = int(out[at:end].rpartition(b" ")[2])
            found[name] = out[end + 1 : end + 1 + size].decode("utf-8")
            at = end + 1 + size + 1
        return found

    def json(self, name: str) -> Any:
        """One JSON file, numbers as decimals."""
        return json.loads(self.texts([name])[name], parse_float=Decimal)


def portkey(clone: Clone, canonical: Canonical) -> Snapshot:
    """Portkey's pricing files."""
    listed = clone.names("pricing")
    tables = {name: clone.json(f"pricing/{name}.json") for name in PORTKEY if f"pricing/{name}.json" in listed}
    return read_portkey(tables, clone.commit, clone.day, canonical)


def models_dev(clone: Clone, canonical: Canonical) -> Snapshot:
    """models.dev's files, put together as its api.json is."""
    names = [
        name for name in clone.names("providers") if name.endswith(".toml") and name.split("/")[1] in MODELS_DEV
        and "/models/" in name
    ]  # fmt: skip
    table: dict[str, Any] = {}
    texts = clone.texts(names)
    links = {name: posixpath.normpath(f"{name}/../{text}") for name, text in texts.items() if text.endswith(".toml")}
    told = clone.texts(sorted({*links.values()}))
    texts |= {name: told[target] for name, target in links.items()}
    for name, text in texts.items():
        word, _, model = name.removeprefix("providers/").partition("/models/")
        entry = tomllib.loads(text, parse_float=Decimal)
        table.setdefault(word, {"models": {}})["models"][model.removesuffix(".toml")] = entry
    return read_models_dev(table, f"commit {clone.commit}", clone.day, canonical)


#: Langfuse's word for what a price counts, of which it repeats each in every spelling of usage -> meter
_LANGFUSE = {
    "input": "input", "output": "output", "input_cached_tokens": "cache_read", "input_cache_read": "cache_read",
    "input_cache_creation_5m": "cache_write", "cache_write_tokens": "cache_write",
    "input_cache_creation_1h": "cache_write_1h", "input_audio_tokens": "input_audio", "input_audio": "input_audio",
    "output_audio_tokens": "output_audio", "output_audio": "output_audio", "input_image": "input_image",
}  # fmt: skip
_MAKERS = {"gpt": "openai", "o": "openai", "chatgpt": "openai", "text": "openai", "ft": "openai", "davinci": "openai",
           "babbage": "openai", "claude": "anthropic", "gemini": "google"}  # fmt: skip


def langfuse(clone: Clone, canonical: Canonical) -> Snapshot:
    """Langfuse's default prices, tiers by service tier, speed and context; each model is priced at its maker's list."""
    prices: dict[Key, Decimal] = {}
    for entry in clone.json("worker/src/constants/default-model-prices.json"):
        name = entry["modelName"].lower()
        word = name.replace(":", "-").partition("-")[0]
        maker = _MAKERS.get("o" if word[:1] == "o" and word[1:].isdigit() else word, "")
        model = canonical(maker, name) if maker else ""
        for step in entry["pricingTiers"] if model else ():
            if (where := _langfuse_tier(step["conditions"], maker)) is None:
                continue
            for field, price in step["prices"].items():
                if (meter := _LANGFUSE.get(field)) is not None:
                    prices.setdefault(Key(maker, model, meter, *where), Decimal(str(price)) * 1_000_000)
    return Snapshot("langfuse", clone.commit, clone.day, prices, {}, {})


def _langfuse_tier(conditions: list[dict[str, Any]], maker: str) -> tuple[str, str] | None:
    """Service tier and context tier that conditions stand for; None = something else."""
    tier, over = "standard", ""
    for condition in conditions:
        if "usageDetailPattern" in condition and condition["operator"] == "gt":
            over = f">{condition['value']}"
        elif condition.get("key") == "service_tier" and "flex" in condition["values"]:
            tier = "flex"
        elif condition.get("key") == "service_tier" and "priority" in condition["values"]:
            tier = "priority"
        elif condition.get("key") == "speed" and maker == "anthropic":
            tier = "fast"
        else:
            return None
    return tier, over


_LLM_PRICES = {"input": "input", "output": "output", "input_cached": "cache_read"}
_VENDORS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "mistral": "mistral", "xai": "xai",
            "deepseek": "deepseek", "minimax": "minimax", "moonshot-ai": "moonshot", "qwen": "alibaba"}  # fmt: skip


def llm_prices(clone: Clone, canonical: Canonical) -> Snapshot:
    """llm-prices: the price in force of each model at its maker."""
    prices: dict[Key, Decimal] = {}
    starts: dict[Key, date] = {}
    for vendor, maker in _VENDORS.items():
        name = f"data/{vendor}.json"
        for entry in clone.json(name)["models"] if name in clone.names("data") else ():
            model = canonical(maker, entry["id"].lower())
            now = next((row for row in entry["price_history"] if row["to_date"] is None), None)
            for field, meter in _LLM_PRICES.items() if model and now else ():
                if now[field] is not None:
                    key = Key(maker, model, meter)
                    prices[key] = Decimal(str(now[field]))
                    if now["from_date"]:
                        starts[key] = date.fromisoformat(now["from_date"])
    return Snapshot("llmprices", clone.commit, clone.day, prices, starts, {})


#: name on the command line -> reader
CLONES = {"portkey": portkey, "modelsdev": models_dev, "langfuse": langfuse, "llmprices": llm_prices}
