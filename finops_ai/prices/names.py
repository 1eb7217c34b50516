"""Names match whole: providers, model ids, documented aliases, dated snapshots, a provider's own prefixes.

A name that only begins with or contains a known id is unknown. Substring matching prices `my-gpt-4o-clone` as gpt-4o.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

#: what may follow a model's id in the name of one of its snapshots
_SNAPSHOT = re.compile(
    r"(?:[-@](?P<compact>20\d{6})|-(?P<dashed>20\d\d-\d\d-\d\d))"
    r"(?P<rest>(?:-v\d+(?::\d+)?)?)$"
)
#: further endings of names whose published rule is "starts with"
_ENDINGS = re.compile(
    r"^(?:-latest|@latest|@default|-preview|-exp|-experimental|-\d{3,4}|-\d{2}-\d{2}|-\d{2}-20\d\d|-v\d+(?::\d+)*(?::\d+k)?|:\d+"
    r"|[-@]20\d{6}|-20\d\d-\d\d-\d\d|-fp8|-it)*$"
)
_BEDROCK_PLACE = re.compile(r"^(global|us|eu|apac|jp|au|in|ca|sa|me|af|us-gov|ug|amer|emea)\.(?=[a-z0-9-]+\.)")
_ARN = re.compile(r"^arn:[^:]*:[^:]*:(?P<region>[^:]*):[^:]*:(?P<resource>.+)$")
_VERTEX = re.compile(
    r"^(?:projects/[^/]+/locations/(?P<region>[^/]+)/)?publishers/(?P<publisher>[^/]+)/models/(?P<model>.+)$"
)


@dataclass(frozen=True)
class ProviderInfo:
    """How a provider is spelled, and whose lists it sells by."""

    name: str
    spelled: tuple[str, ...] = ()
    base: str = ""
    lists: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()


@cache
def providers() -> dict[str, ProviderInfo]:
    """Known providers by canonical name; any other lower-case word is valid too, and has no prices."""
    table = tomllib.loads(files("finops_ai.prices").joinpath("data/providers.toml").read_text("utf-8"))
    return {
        name: ProviderInfo(
            name,
            *(tuple(row.get("spelled", ())), row.get("base", name)),
            tuple(row.get("lists", ())),
            tuple(row.get("prefixes", ())),
        )
        for name, row in table.items()
    }


@cache
def _spellings() -> dict[str, str]:
    return {spelling: name for name, info in providers().items() for spelling in (name, *info.spelled)}


def provider_name(word: str) -> str:
    """The canonical name of whoever sends the bill.

    >>> provider_name("bedrock"), provider_name("azure-openai"), provider_name("x-ai")
    ('aws', 'azure', 'xai')
    """
    return _spellings().get(word.lower(), word.lower())


#: words for a provider, or in an address, that name a channel with a list of its own
_CHANNELS = {"vertex": "vertex", "vertex-ai": "vertex", "vertex_ai": "vertex", "google-vertex": "vertex"}


def channel_of(provider: str, model: str, api_base: str | None = None) -> str:
    """The channel of a provider that has a price list of its own, by the words a source uses; "" if none.

    >>> channel_of("vertex", "gemini-2.5-pro"), channel_of("google", "publishers/google/models/gemini-2.5-pro")
    ('vertex', 'vertex')
    >>> channel_of("google", "gemini-2.5-pro"), channel_of("google", "gemini-2.5-pro", "aiplatform.googleapis.com")
    ('', 'vertex')
    """
    if provider_name(provider) != "google":
        return ""
    if api_base and "generativelanguage" in api_base:
        return ""
    name = model.strip().lower()
    maker = name.partition("/")[0] if "/" in name else ""
    named = (
        _VERTEX.match(name)
        or (maker and maker not in ("models", "google", "gemini", "anthropic"))
        or (api_base and "aiplatform" in api_base)
    )
    return "vertex" if named else _CHANNELS.get(provider.lower(), "")


@dataclass
class Names:
    """All names of one provider's models: whole names (dated where an alias moved) and published name rules."""

    whole: dict[str, list[tuple[datetime | None, datetime | None, str]]] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)
    rules: list[tuple[re.Pattern[str], str]] = field(default_factory=list)

    def copy(self) -> Names:
        """The same names, to be added to."""
        return Names(
            {name: list(meanings) for name, meanings in self.whole.items()}, dict(self.stems), list(self.rules)
        )

    def add(self, name: str, model: str, start: datetime | None = None, end: datetime | None = None) -> None:
        """Let a name mean a model, from an instant to another."""
        self.whole.setdefault(name.lower(), []).append((start, end, model))

    def find(self, name: str, at: datetime | None) -> str | None:
        """The model a whole name means at an instant; dated meanings beat undated ones."""
        if meanings := self.whole.get(name):
            for start, end, model in sorted(meanings, key=lambda m: m[0] is None and m[1] is None):
                if at is None or ((start is None or at >= start) and (end is None or at < end)):
                    return model
        for cut in range(len(name), 2, -1):
            stem = self.stems.get(name[:cut])
            if stem and _ENDINGS.match(name[cut:]) and _valid_date(name[cut:]):
                return stem
        return next((model for rule, model in self.rules if rule.match(name)), None)

    def resolve(self, name: str, at: datetime | None) -> str | None:
        """The model of a name, of its dated snapshot, or of the other spelling of its date."""
        if model := self.find(name, at):
            return model
        snapshot = _SNAPSHOT.search(name)
        if not snapshot or not _valid_date(name):
            return None
        compact = snapshot["compact"] or snapshot["dashed"].replace("-", "")
        stem = name[: snapshot.start()]
        for spelled in (f"-{compact}", f"-{compact[:4]}-{compact[4:6]}-{compact[6:]}"):
            if model := self.find(stem + spelled, at):
                return model
        return self.find(stem, at)


def _valid_date(text: str) -> bool:
    found = re.search(r"20\d\d-?\d\d-?\d\d", text)
    if not found:
        return True
    digits = found[0].replace("-", "")
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Named:
    """A model name taken apart: spellings from the most to the least specific, and the place the name itself states."""

    spellings: tuple[str, ...]
    place: str | None = None
    region: str | None = None


@cache
def take_apart(provider: str, name: str) -> Named:
    """Take a model name apart: ARN, Vertex AI resource name, Bedrock profile place, the provider's own prefixes.

    >>> take_apart("aws", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5")
    Named(spellings=('eu.anthropic.claude-opus-5', 'anthropic.claude-opus-5'), place='eu', region='eu-west-1')
    >>> take_apart("google", "publishers/google/models/gemini-2.5-pro").spellings
    ('google/gemini-2.5-pro', 'gemini-2.5-pro')
    """
    name, region, place = name.strip().lower(), None, None
    if arn := _ARN.match(name):
        name, region = arn["resource"].partition("/")[2] or arn["resource"], arn["region"] or None
    spellings = [name]
    if provider == "google" and (found := _VERTEX.match(name)):
        name, region = found["model"], found["region"]
        spellings = [f"{found['publisher']}/{name}", name]
    info = providers().get(provider)
    for prefix in sorted(info.prefixes if info else (), key=len, reverse=True):
        if name.startswith(prefix) and len(name) > len(prefix):
            name = name[len(prefix) :]
            spellings.append(name)
            break
    if name.startswith("ft:"):  # ft:<model>:<organisation>:<name>:<id>
        spellings.append(":".join(name.split(":")[:2]))
    if provider == "aws":
        if found := _BEDROCK_PLACE.match(name):
            place = found[1]
            name = name[found.end() :]
            spellings.append(name)
        if plain := re.match(r"^(.+?)(-v\d+(?::\d+)?(?::\d+k)?)$", name):
            spellings.append(plain[1])
    return Named(tuple(spellings), place, region)


def clause_names(clause: Any) -> tuple[list[str], list[str], list[re.Pattern[str]]]:
    """Whole names, stems and anchored rules of a genai-prices match clause, read strictly.

    "equals" is a whole name; "starts with", "ends with" and "contains" become stems, which only a snapshot ending may
    follow; a regular expression counts if it is anchored at both ends.
    """
    kind = type(clause).__name__
    if kind == "ClauseEquals":
        return [clause.equals.lower()], [], []
    if kind in ("ClauseStartsWith", "ClauseContains", "ClauseEndsWith"):
        text = getattr(clause, {"ClauseStartsWith": "starts_with", "ClauseContains": "contains"}.get(kind, "ends_with"))
        return [], [text.lower().lstrip("/").rstrip("-@")], []
    if kind == "ClauseRegex":
        anchored = clause.regex.startswith("^") and clause.regex.endswith("$") and "(?!" not in clause.regex
        return [], [], [re.compile(clause.regex, re.IGNORECASE)] if anchored else []
    parts = [clause_names(inner) for inner in getattr(clause, "or_", None) or clause.and_]
    return [n for p in parts for n in p[0]], [s for p in parts for s in p[1]], [r for p in parts for r in p[2]]
