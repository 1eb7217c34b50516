"""Who made a model, its family and version: one identity across the channels that sell it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from finops_ai.prices.names import take_apart

#: a maker's prefix to a model id at Bedrock and OCI, and what snapshots add to its end
_MAKER = re.compile(
    r"^(?:anthropic|openai|google|xai|meta|amazon|mistral|deepseek|qwen|moonshotai|moonshot|zai|cohere|nvidia|minimax)\.(?=[a-z])"
)
_SNAPSHOT = re.compile(r"[-@]20\d{6}.*$|-20\d\d-\d\d-\d\d.*$|@\w+$|(?<=\w)-v\d+(:\d+)?$")


@dataclass(frozen=True, slots=True)
class Identity:
    """A model's identity (FOCUS 1.5-draft keys): developer, family and version, each "" where unknown."""

    developer: str
    family: str
    version: str


@cache
def _developers() -> list[tuple[re.Pattern[str], str, str, str]]:
    table = tomllib.loads(files("finops_ai.prices").joinpath("data/developers.toml").read_text("utf-8"))
    return [
        (re.compile(row["pattern"]), row["developer"], row["family"], row.get("version", "")) for row in table["model"]
    ]


@cache
def identity(provider: str, model: str) -> Identity:
    """The identity behind a model name at a provider; the same for every channel.

    >>> identity("aws", "eu.anthropic.claude-opus-4-5-20251101-v1:0")
    Identity(developer='Anthropic', family='Claude Opus', version='4.5')
    >>> identity("azure", "gpt-5.4-mini-2026-03-17")
    Identity(developer='OpenAI', family='GPT mini', version='5.4')
    """
    name = take_apart(provider, model).spellings[-1].rpartition("/")[2]
    name = _MAKER.sub("", name.removeprefix("ft:"))
    name = _SNAPSHOT.sub("", name)
    for pattern, developer, family, fixed in _developers():
        if found := pattern.match(name):
            groups = found.groupdict()
            version = fixed or (groups.get("version") or "").replace("-", ".").removesuffix(".0")
            words = [groups[g].replace("-", " ") for g in ("kind", "size") if groups.get(g)]
            words = words if developer == "OpenAI" else [word.title() for word in words]
            return Identity(developer, " ".join(w for w in (family, *words) if w), version)
    return Identity("", "", "")


def tokeniser(developer: str, family: str, version: str) -> str:
    """Which tokeniser counts a model's tokens; "" where it isn't known.

    >>> tokeniser("OpenAI", "GPT mini", "5.4"), tokeniser("Anthropic", "Claude Opus", "4.7")
    ('OpenAI o200k', 'Anthropic (Opus 4.7 on)')
    """
    return str(_tokeniser(developer, family, version).get("name", ""))


def _tokeniser(developer: str, family: str, version: str) -> dict[str, Any]:
    for row in _tokenisers():
        if row["developer"] == developer and re.fullmatch(row.get("model", ".*"), f"{family} {version}".strip()):
            found: dict[str, Any] = row
            return found
    return {}


def token_factor(old: Identity, new: Identity) -> tuple[Decimal, Decimal, Decimal] | None:
    """Tokens that a model takes for a text per token of another model: lowest, usual and highest; None if either is unknown.

    An estimate with a wide range where tokenisers differ, exactly 1 where they are one. Within a maker's line the usual
    factor is never below 1, so that a saving is not made of it.

    >>> sonnet, haiku = identity("anthropic", "claude-sonnet-5"), identity("anthropic", "claude-haiku-4-5")
    >>> token_factor(haiku, haiku), token_factor(sonnet, haiku)
    ((Decimal('1'), Decimal('1'), Decimal('1')), (Decimal('0.74'), Decimal('1'), Decimal('1')))
    """
    one = Decimal(1)
    if old == new and new.developer:
        return one, one, one
    rows = [_tokeniser(*(i.developer, i.family, i.version)) for i in (old, new)]
    if not all(rows):
        return None
    if rows[0]["name"] == rows[1]["name"]:
        return one, one, one
    a, b = ([Decimal(v) for v in row["tokens"]] for row in rows)
    if (
        old.developer == new.developer
    ):  # one maker's two vocabularies: from as many to 1.35 times as many, by its own word
        grown = b[1] > a[1]
        return (one, Decimal("1.15"), Decimal("1.35")) if grown else (Decimal("0.74"), one, one)
    return tuple((x / y).quantize(Decimal("0.01")) for x, y in zip(b, (a[2], a[1], a[0]), strict=True))  # type: ignore[return-value]


@cache
def _tokenisers() -> list[dict[str, Any]]:
    table = tomllib.loads(files("finops_ai.prices").joinpath("data/developers.toml").read_text("utf-8"))
    out: list[dict[str, str]] = table["tokeniser"]
    return out
