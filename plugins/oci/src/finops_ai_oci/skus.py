"""OCI's SKU names and units: which meter, which model family, how many single units to the billed one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.meters import meters


@dataclass(frozen=True)
class Sku:
    """What a SKU's name and unit say; `meter` is 'unmapped' where no rule fits or the unit has no number to read."""

    model: str
    meter: str
    operation: str
    service_tier: str
    block: Decimal

    @property
    def unit(self) -> str:
        """Unit of the meter."""
        return meters()[self.meter].unit


@cache
def rules() -> dict[str, Any]:
    """The table in `skus.toml`."""
    return tomllib.loads(files(__package__).joinpath("skus.toml").read_text("utf-8"))


@cache
def read_sku(name: str, unit: str, resource_name: str = "") -> Sku:
    """Read a SKU.

    Args:
        name: product description, such as "OCI Generative AI - Large Cohere".
        unit: unit text, such as "10,000 Transactions".
        resource_name: the resource's name; where it is a model's, it is the model.

    >>> read_sku("OCI Generative AI - Large Cohere", "10,000 Transactions")
    Sku(model='large-cohere', meter='characters', operation='chat', service_tier='standard', block=Decimal('10000'))
    >>> read_sku("OCI Generative AI - Large Cohere - Dedicated", "Cluster Unit Hour").meter
    'provisioned_hours'
    """
    rule = next(
        (r for r in rules()["sku"] if _fits(r.get("name"), name) and _fits(r.get("unit"), unit)), {"meter": "unmapped"}
    )
    known = rule["meter"] != "unmapped"
    return Sku(
        model=resource_name if _fits(rules()["names"]["model"], resource_name) else family(name),
        meter=rule["meter"],
        operation=rule.get("operation", "chat" if known else "unknown"),
        service_tier=rule.get("tier", "standard"),
        block=block_size(unit) if known else Decimal(1),
    )


def _fits(pattern: str | None, text: str) -> bool:
    return pattern is None or re.search(pattern, text, re.I) is not None


@cache
def family(name: str) -> str:
    """The model, or family of models, a SKU names; else the SKU itself, as a slug.

    >>> family("Oracle Cloud Infrastructure Generative AI - Large Meta"), family("xAI Grok 4 - Input Tokens")
    ('large-meta', 'xai.grok-4')
    """
    text = name.lower()
    for noise in rules()["names"]["noise"]:
        text = re.sub(rf"(?<!\w){re.escape(noise)}(?!\w)", " ", text)
    words = re.findall(r"[\w.]+", text) or re.findall(r"[\w.]+", name.lower()) or ["unknown"]
    maker = len(words) > 1 and words[0] in rules()["names"]["makers"]
    slug = f"{words[0]}.{'-'.join(words[1:])}" if maker else "-".join(words)
    return rules()["models"].get(slug, slug)


@cache
def block_size(unit: str) -> Decimal:
    """Single units in one billed unit: digits and number words multiply; 1 where the text has neither.

    >>> [str(block_size(u)) for u in ("10,000 Transactions", "TEN THOUSAND TRANSACTIONS", "1M Tokens", "Cluster Unit Hour")]
    ['10000', '10000', '1000000', '1']
    """
    size = Decimal(1)
    if match := re.search(r"(\d[\d,]*)\s*([KMB]?)\b", unit, re.I):
        size = Decimal(match[1].replace(",", "")) * {"": 1, "K": 10**3, "M": 10**6, "B": 10**9}[match[2].upper()]
    for word in re.findall(r"[a-z]+", unit.lower()):
        size *= rules()["words"].get(word, 1)
    return size
