"""Who made a model, its family and version: one identity across the channels that sell it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

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
    for row in _tokenisers():
        if row["developer"] == developer and re.fullmatch(row.get("model", ".*"), f"{family} {version}".strip()):
            return row["name"]
    return ""


@cache
def _tokenisers() -> list[dict[str, str]]:
    table = tomllib.loads(files("finops_ai.prices").joinpath("data/developers.toml").read_text("utf-8"))
    out: list[dict[str, str]] = table["tokeniser"]
    return out
