"""Azure meter names and pricing units: which model, which meter, which tier, how many tokens to the unit."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.meters import meters

BLOCKS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
#: tiers a meter name may state
TIERS = ("batch", "priority", "flex", "provisioned")


@dataclass(frozen=True)
class LineItem:
    """What a meter name says. `meter` is 'unmapped' where no rule fits; `model` is None where it names none."""

    model: str | None
    meter: str
    service_tier: str
    geography: str | None


@cache
def _rules() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("line_items.toml").read_text("utf-8"))


@cache
def charges_pattern() -> str:
    """Regular expression (RE2) of the charges that belong to Azure AI accounts."""
    return _rules()["charges"]["pattern"]


@cache
def line_item(name: str, unit: str = "", product: str = "") -> LineItem:
    """Read a meter name.

    Args:
        name: such as "gpt 4.1 cached Inp glbl Tokens".
        unit: the pricing unit, where the name doesn't say what is counted.
        product: meter subcategory, where the name starts with a bare version ("5.4 mini Inp Gl").

    >>> line_item("gpt 4o 0513 Input global Tokens")
    LineItem(model='gpt-4o-2024-05-13', meter='input', service_tier='standard', geography='global')
    >>> line_item("GPT 5.6 Cd Inp Std 1M Tokens").meter, line_item("Provisioned Managed Global Unit").meter
    ('cache_read', 'provisioned_hours')
    >>> line_item("Speech To Text Hours").meter
    'unmapped'
    """
    kinds = {word: kind for kind, words in _rules()["words"].items() for word in words}
    words = [word for word in re.split(r"[\s\-_/,()]+", name.lower()) if word]
    first = next((i for i, word in enumerate(words) if word in kinds and i > 0), len(words))
    first = 0 if words and kinds.get(words[0]) not in (None, "text") else first
    said = {kinds[word] for word in words[first:] if word in kinds}
    slug = "-".join(words[:first])
    text = f"{name} {unit}".lower()
    for family in _rules()["family"]:
        if re.search(family["product"], product, re.I) and re.search(family["bare"], slug):
            slug = family["prefix"] + slug
            break
    meter = "unmapped"
    for rule in _rules()["meter"]:
        if said.issuperset(rule["needs"]) and rule.get("unit", "") in text and slug.startswith(rule.get("model", "")):
            meter = rule["meter"]
            break
    known = meter != "unmapped"
    return LineItem(
        model=(_rules()["models"].get(slug, slug) or None) if known else None,
        meter=meter,
        service_tier=next((tier for tier in TIERS if tier in said), "standard"),
        geography=next((geo for geo in ("global", "datazone", "regional") if geo in said), None),
    )


_BLOCK = re.compile(r"(\d[\d,]*)\s*([kmb]?)(?![\w.])", re.I)
_BLOCK_IN_NAME = re.compile(r"\b(\d[\d,]*)([kmb])\s+tokens?\b", re.I)


@cache
def block_size(unit: str) -> Decimal | None:
    """Single units in one pricing unit; None where the text doesn't say.

    >>> [str(block_size(u)) for u in ("1K", "1M Tokens", "1 Hour", "1,000", "10K/Month", "Tokens", "gpt 5 Inp 1M Tokens")]
    ['1000', '1000000', '1', '1000', '10000', 'None', '1000000']
    """
    match = _BLOCK.match(unit.strip()) or _BLOCK_IN_NAME.search(unit)
    if match:
        return Decimal(match[1].replace(",", "")) * BLOCKS[match[2].lower()]
    return None


def consumed(item: LineItem, quantity: Decimal | None, unit: str) -> tuple[Decimal | None, str | None]:
    """A billed quantity in the meter's own unit (tokens, hours), and that unit; unknown where the block is.

    >>> consumed(line_item("gpt 5 Inp glbl"), Decimal("120"), "1M")
    (Decimal('120000000'), 'tokens')
    """
    block = block_size(unit)
    if item.meter == "unmapped" or quantity is None or block is None:
        return None, None
    return quantity * block, meters()[item.meter].unit
