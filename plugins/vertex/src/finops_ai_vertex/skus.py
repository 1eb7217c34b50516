"""What a SKU of Vertex AI means: model name, meter, tier, context and geography, read from its description.

A description with a word outside the grammar is `unmapped`: an unknown word may change the price.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from finops_ai.meters import meters

_PREFIXES = ("Cloud Vertex AI Model Garden Model as a Service ", "AI Dev Tools: ")
_CONTEXT = re.compile(r" *— *Context Window Size from (?P<low>\d+) to (?P<high>\d+) Tokens")
_TTL = re.compile(r" *\(TTL (?P<seconds>\d+) seconds\)")
_TTLS = {"300": "5m", "3600": "1h"}
_BEFORE = "GA|Regional|Global|Thinking|Batch|Cached|Preview"
_AFTER = (
    r"Priority|Flex|\(Long\)|Long|Batch|-|Predictions|\(Thinking On\)|\(Thinking On and Long\)|Tokens?|Text|Audio|Image|Video"
    r"|Caching|Storage|Cache|Read|Hit|Write|Characters?"
)
#: <model> [words] [modality] Input|Output [words]
_GRAMMAR = re.compile(
    rf"^(?P<model>.+?)(?P<before>(?: (?:{_BEFORE}))*)(?: (?P<modality>Text|Audio|Image|Video))?(?P<cached> Cached)?"
    rf" (?P<way>Input|Output)(?P<after>(?: (?:{_AFTER}))*)$"
)


@dataclass(frozen=True)
class Sku:
    """What one SKU means.

    Attributes:
        meter: meter of the registry, `unmapped` where the SKU isn't understood.
        model_name: the model as the SKU calls it; "" where it names none.
        operation: chat, embeddings, provisioned, tool or other.
        service_tier: tier of the token frame.
        context_tier: "0-200k", "200k-1M" or None.
        inference_geo: "global", "regional" or None.
        why: why it is unmapped, else "".
    """

    meter: str = "unmapped"
    model_name: str = ""
    operation: str = "other"
    service_tier: str = "standard"
    context_tier: str | None = None
    inference_geo: str | None = None
    why: str = ""


@cache
def _shipped_names() -> dict[str, str]:
    names = tomllib.loads(files("finops_ai_vertex").joinpath("models.toml").read_text("utf-8"))["names"]
    return {_key(name): model for name, model in names.items()}


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "", name).casefold()


def model_id(name: str, own: Mapping[str, str] | None = None) -> str | None:
    """The model id behind a SKU's model name; None if the table doesn't hold it.

    >>> model_id("Gemini 2.5 Flash"), model_id("Claude Opus 4 8"), model_id("Gemini 9 Ultra")
    ('gemini-2.5-flash', 'claude-opus-4-8', None)
    """
    mine = {_key(key): value for key, value in (own or {}).items()}
    return mine.get(_key(name)) or _shipped_names().get(_key(name))


def classify(description: str, usage_unit: str = "count") -> Sku:
    """Read a SKU description.

    Args:
        description: `sku.description`.
        usage_unit: `usage.unit` of the row; tokens and characters are billed as "count".

    >>> sku = classify("Gemini 2.5 Pro Text Input Priority (Long) - Batch Predictions")
    >>> sku.meter, sku.model_name, sku.service_tier, sku.context_tier
    ('input', 'Gemini 2.5 Pro', 'batch', '200k-1M')
    """
    text = " ".join(description.split())
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    if re.search(r"\bGrounding\b", text):
        return _counted(Sku("grounding", operation="tool"), usage_unit)
    if re.search(r"Provisioned Throughput|\bGSU\b", text):
        return _counted(Sku("provisioned_hours", operation="provisioned", service_tier="provisioned"), usage_unit)
    context, ttl = _CONTEXT.search(text), _TTL.search(text)
    parts = re.split(r" *— *", _TTL.sub("", _CONTEXT.sub("", text)))
    match = _GRAMMAR.match(" ".join(parts[:2]))
    if not match or len(parts) > 3:
        return Sku(why="unknown SKU")
    before, after = match["before"].split(), match["after"].split()
    words = {*before, *after, *(["Cached"] if match["cached"] else [])}
    sku = Sku(
        meter=_meter(match, words, _TTLS.get(ttl["seconds"]) if ttl else None),
        model_name=match["model"],
        operation="embeddings" if "embed" in match["model"].lower() else "chat",
        service_tier=next((w.lower() for w in ("Batch", "Flex", "Priority") if w in words), "standard"),
        context_tier=_context(match["model"], words, context),
        inference_geo=_geography(parts[2] if len(parts) > 2 else "", words),
    )
    if sku.meter not in meters():
        return Sku(model_name=match["model"], why=f"there is no meter {sku.meter!r}")
    return _counted(sku, usage_unit)


def _meter(match: re.Match[str], words: set[str], ttl: str | None) -> str:
    modality = match["modality"] or next((w for w in ("Audio", "Image", "Video") if w in words), "Text")
    suffix = "" if modality == "Text" else f"_{modality.lower()}"
    if words & {"Characters", "Character"}:
        return f"{match['way'].lower()}_characters"
    if "Storage" in words:
        return "cache_storage"
    if "Write" in words:
        return f"cache_write_{ttl}" if ttl else "cache_write"
    if words & {"Caching", "Cached", "Cache"}:
        return f"cache_read{suffix}"
    if match["way"] == "Output":
        # a SKU of its own for thinking tokens; "(Thinking On)" merely prices all output of such calls
        return "reasoning" if "Thinking" in match["before"].split() else f"output{suffix}"
    return f"input{suffix}"


def _context(model: str, words: set[str], stated: re.Match[str] | None) -> str | None:
    if stated:
        low, high = (round(int(stated[name]), -3) for name in ("low", "high"))
        return f"{low // 1000}k-{high // 1_000_000}M" if high >= 1_000_000 else f"{low // 1000 or 0}-{high // 1000}k"
    if {"(Long)", "Long"} & words or "Long)" in words:
        return "200k-1M"
    return "0-200k" if model.startswith("Gemini") else None  # a longer call has a SKU of its own


def _geography(part: str, words: set[str]) -> str | None:
    if part:
        return "global" if part.lower() == "global" else "regional"
    return next((w.lower() for w in ("Global", "Regional") if w in words), None)


def _counted(sku: Sku, unit: str) -> Sku:
    """The SKU, if the row's unit is one its meter is counted in."""
    unit = unit.lower().strip()
    hours = unit.startswith("hour") or unit.endswith("hour") or unit.endswith("hours")
    fits = {
        "provisioned_hours": hours,
        "cache_storage": unit == "count" or hours,
        "grounding": unit in ("count", "requests"),
    }.get(sku.meter, unit in ("count", "tokens", "token", "characters"))
    return sku if fits else replace(sku, meter="unmapped", operation="other", why=f"unknown unit {unit!r}")
