"""models.dev (MIT, through the `model-prices` package or its own api.json) and Portkey's models (MIT)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from finops_ai.prices.maps.litellm import Canonical
from finops_ai.prices.maps.observed import Key, Snapshot, without_free

#: models.dev's word for a seller -> ours; others are left out
MODELS_DEV = {
    "alibaba": "alibaba", "amazon-bedrock": "aws", "anthropic": "anthropic", "azure": "azure", "cohere": "cohere",
    "deepseek": "deepseek", "google": "google", "google-vertex": "vertex", "groq": "groq", "minimax": "minimax",
    "mistral": "mistral", "moonshotai": "moonshot", "openai": "openai", "perplexity": "perplexity", "xai": "xai",
    "zai": "zai", "cerebras": "cerebras", "openrouter": "openrouter", "databricks": "databricks", "novita-ai": "novita",
    "vercel": "vercel_ai_gateway", "nebius": "nebius", "wandb": "wandb", "baseten": "baseten", "aihubmix": "aihubmix",
    "cloudflare-workers-ai": "cloudflare", "empiriolabs": "empiriolabs", "azure-cognitive-services": "azure",
    "google-vertex-anthropic": "vertex", "sambanova": "sambanova", "scaleway": "scaleway", "ovhcloud": "ovhcloud",
    "upstage": "upstage", "v0": "v0", "morph": "morph", "friendli": "friendliai", "chutes": "chutes",
    "voyage": "voyage", "digitalocean": "digitalocean", "fireworks-ai": "fireworks", "togetherai": "together", "deepinfra": "deepinfra",
    "github-copilot": "github-copilot", "perplexity-agent": "perplexity",
}  # fmt: skip
#: Portkey's file -> ours
PORTKEY = {
    "openai": "openai", "anthropic": "anthropic", "azure-openai": "azure", "azure-ai": "azure", "bedrock": "aws",
    "claude-platform-aws": "claude-platform-aws", "google": "google", "vertex-ai": "vertex", "x-ai": "xai",
    "mistral-ai": "mistral", "deepseek": "deepseek", "groq": "groq", "together-ai": "together",
    "fireworks-ai": "fireworks", "perplexity-ai": "perplexity", "cohere": "cohere", "dashscope": "alibaba",
    "zhipu": "zai", "z-ai": "zai", "oracle": "oci", "deepinfra": "deepinfra", "moonshot": "moonshot",
    "minimax": "minimax", "cerebras": "cerebras", "openrouter": "openrouter", "voyage": "voyage", "novita-ai": "novita",
    "nebius": "nebius", "workers-ai": "cloudflare",
}  # fmt: skip
_RATES = {"input": "input", "output": "output", "cache_read": "cache_read", "cache_write": "cache_write",
          "input_audio": "input_audio", "output_audio": "output_audio"}  # fmt: skip
_UNITS = {
    "request_token": "input", "response_token": "output", "cache_read_input_token": "cache_read",
    "cache_write_input_token": "cache_write", "request_audio_token": "input_audio",
    "response_audio_token": "output_audio", "cache_read_audio_input_token": "cache_read_audio",
}  # fmt: skip
#: Portkey's units beside tokens, and its prices of fine-tuning
_FURTHER = {
    "web_search": "web_searches", "file_search": "file_searches", "maps": "maps_grounding",
    "cache_write_1h": "cache_write_1h", "image_token": "output_image",
}  # fmt: skip
#: of Gemini it has reads as writes, and searches of older models
_NOT_GEMINIS = ("cache_write", "web_searches")
_TRAINING = {"pay_per_token": "training", "pay_per_hour": "training_hours"}
_MODES = {"standard": "standard", "batch": "batch", "flex": "flex", "priority": "priority"}
#: Portkey's entries for one half of a model's context tiers, names nobody is billed under: the lower half is the model's
_LOWER_HALF, _UPPER_HALF = re.compile(r"-lte-\d+k$"), re.compile(r"-gt-\d+k$")
_AWS_PLACE = re.compile(r"^(global|us|eu|apac|jp|au|in|ca|us-gov)\.(?=[a-z0-9-]+\.)")


def history(table: Mapping[str, Any], canonical: Canonical) -> Iterator[tuple[Key, date | None, Decimal | None]]:
    """The dated prices of a `model-prices` snapshot: key, day from which, price per million (null = no longer)."""
    known = date.fromisoformat(table["updated_at"][:10])
    for word, models in table["prices"].items():
        if word not in MODELS_DEV:
            continue
        taken: set[tuple[str, str]] = set()
        # a name that is the book's own comes before its snapshots: only one history counts for a model
        for name in sorted(
            models, key=lambda name: (canonical(*_sold(MODELS_DEV[word], name)[:2]) != name.lower(), name)
        ):
            provider, model, place = _sold(MODELS_DEV[word], name)
            model, modes = canonical(provider, model), models[name]
            if not model or (model, place) in taken:
                continue
            taken.add((model, place))
            for mode, periods in modes.items():
                tier = _MODES.get(mode)
                if tier is None:
                    continue
                had: set[Key] = set()
                for period in periods:
                    day = _day(period["start"])
                    if day and day > known:
                        continue  # announced, not in force
                    said = dict(_rates(period["rates"] or {}, Key(provider, model, "", tier, "", place)))
                    for key in had - set(said):
                        yield key, day, None
                    for key, price in said.items():
                        yield key, day, price
                    had = set(said)


def read_models_dev(table: Mapping[str, Any], version: str, day: date, canonical: Canonical) -> Snapshot:
    """models.dev's own api.json: seller -> models -> cost."""
    prices: dict[Key, Decimal] = {}
    for word, seller in table.items():
        for name, entry in (seller.get("models") or {}).items() if word in MODELS_DEV else ():
            provider, model, place = _sold(MODELS_DEV[word], name)
            if model := canonical(provider, model):
                cost = dict(entry.get("cost") or {})
                if "context_over_200k" in cost:
                    cost["tiers"] = [{"above": 200_000, **cost.pop("context_over_200k")}]
                prices |= dict(_rates(cost, Key(provider, model, "", "standard", "", place)))
    return Snapshot("modelsdev", version, day, without_free(prices), {}, {})


#: fields of the `rates` ledger -> meter
_LEDGER = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
}


def read_ledger(table: Mapping[str, Any], version: str, canonical: Canonical) -> Snapshot:
    """What models.dev said on the day of a `rates` ledger, which merges it with other maps and names who differs.

    Taken are the prices of models that no other map was merged into, those of input and output where nothing differs,
    and what models.dev said where something does.
    """
    prices: dict[Key, Decimal] = {}
    for entry in table["models"]:
        sources = set(entry.get("sources") or ())
        if entry["provider"] not in MODELS_DEV or "models_dev" not in sources:
            continue
        provider, model, place = _sold(MODELS_DEV[entry["provider"]], entry["id"])
        if not (model := canonical(provider, model)):
            continue
        alone = not sources & {"litellm", "genai_prices", "openrouter"}
        differ = {row["field"]: row for row in entry.get("price_discrepancies") or ()}
        for field, meter in _LEDGER.items():
            said = (entry.get("price") or {}).get(field)
            if row := differ.get(field):
                pairs = ((row["chosen_source"], row["chosen_value"]), (row["other_source"], row["other_value"]))
                said = next((value for source, value in pairs if source == "models_dev"), None)
            elif not alone and field not in ("input_mtok", "output_mtok"):
                said = None
            if said is not None:
                prices.setdefault(Key(provider, model, meter, "standard", "", place), Decimal(str(said)))
    day = date.fromisoformat(table["snapshot_date"])
    return Snapshot("modelsdev", version, day, without_free(prices), {}, {})


def read_portkey(tables: Mapping[str, Mapping[str, Any]], version: str, day: date, canonical: Canonical) -> Snapshot:
    """Portkey's pricing files by name (openai, vertex-ai, ...); prices are in cents per unit."""
    prices: dict[Key, Decimal] = {}
    for word, table in tables.items():
        whole_first = sorted(table.items(), key=lambda item: bool(_LOWER_HALF.search(item[0])))
        for name, entry in whole_first if word in PORTKEY else ():
            provider, model, place = _sold(PORTKEY[word], _LOWER_HALF.sub("", name))
            model = canonical(provider, model) if name != "default" else ""
            if not model or _UPPER_HALF.search(name):
                continue
            training = (entry.get("pricing_config") or {}).get("finetune_config") or {}
            said = [
                (tier, over, meter, units.get(field))
                for tier, over, config in _configs(entry)
                for names, units in ((_UNITS, config), (_FURTHER, config.get("additional_units") or {}))
                for field, meter in names.items()
            ]
            said += [("standard", "", meter, training.get(field)) for field, meter in _TRAINING.items()]
            for tier, over, meter, unit in said:
                if (price := (unit or {}).get("price")) and not (model.startswith("gemini") and meter in _NOT_GEMINIS):
                    prices.setdefault(Key(provider, model, meter, tier, over, place), Decimal(price) * 10_000)
    return Snapshot("portkey", version, day, without_free(prices), {}, {})


def _configs(entry: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    modes = ((entry.get("custom_pricing") or {}).get("regions") or {}).get("default", {}).get("execution_modes") or {}
    for mode, body in modes.items():
        if mode not in _MODES:
            continue
        if "pricing_config" in body:
            yield _MODES[mode], "", body["pricing_config"].get("pay_as_you_go") or {}
        for label, inner in (body.get("context_tiers") or {}).items():
            over = re.match(r"gt-(\d+)k$", label)
            config = (inner.get("pricing_config") or {}).get("pay_as_you_go") or {}
            yield _MODES[mode], f">{over[1]}000" if over else "", config
    plain = entry.get("pricing_config") or {}
    yield "standard", "", plain.get("pay_as_you_go") or {}
    yield "batch", "", plain.get("batch_config") or {}


def _rates(rates: Mapping[str, Any], key: Key) -> Iterator[tuple[Key, Decimal]]:
    for name, meter in _RATES.items():
        if rates.get(name) is not None:
            yield key._replace(meter=meter), Decimal(str(rates[name]))
    for step in rates.get("tiers") or ():
        above = step.get("above") or (step.get("tier") or {}).get("size")
        for name, meter in _RATES.items():
            if above and step.get(name) is not None:
                yield key._replace(meter=meter, over=f">{above}"), Decimal(str(step[name]))


def _sold(provider: str, name: str) -> tuple[str, str, str]:
    name = name.lower()
    if provider == "aws" and (found := _AWS_PLACE.match(name)):
        return provider, name[found.end() :], found[1]
    return provider, name.rpartition("/")[2] if provider in ("vertex", "google") else name, ""


def _day(text: str | None) -> date | None:
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00")).date()
