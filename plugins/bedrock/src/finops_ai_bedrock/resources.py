"""What a Bedrock resource or model id names: a foundation model, a profile that routes to one, or something of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: geography prefixes of system inference profiles
GEOGRAPHIES = ("global", "us-gov", "us", "eu", "apac", "jp", "au", "ca", "sa", "me", "af", "il", "mx", "uk", "in", "kr")
_PREFIX = re.compile(rf"^(?P<geo>{'|'.join(GEOGRAPHIES)})\.(?P<model>[a-z0-9-]+\..+)$")


@dataclass(frozen=True)
class Resource:
    """What an ARN or model id names.

    Attributes:
        model: model id without a geography prefix; None where it doesn't tell.
        resource_id: id of what the account made itself (application profile, provisioned or custom model), else None.
        geo: geography prefix of a system profile: "global", "us", "eu", ...; None = in-region.
        name: name of an application inference profile.
    """

    model: str | None = None
    resource_id: str | None = None
    geo: str | None = None
    name: str | None = None


class Profiles:
    """Application inference profiles: which model each runs and what it is called; looked up when one is first met.

    Args:
        own: ARN or id -> model id, from the settings; wins.
        load: gives ARN -> model ARN, and ARN -> name; called at most once.
    """

    def __init__(
        self,
        own: Mapping[str, str] | None = None,
        load: Callable[[], tuple[dict[str, str], dict[str, str]]] = lambda: ({}, {}),
    ) -> None:
        self._own, self._load = dict(own or {}), load
        self._found: tuple[dict[str, str], dict[str, str]] | None = None

    def model(self, arn: str) -> str | None:
        """Model id or ARN behind a profile."""
        return self._own.get(arn) or self._own.get(arn.rpartition("/")[2]) or self._loaded()[0].get(arn)

    def name(self, arn: str) -> str | None:
        """Name of a profile."""
        return self._loaded()[1].get(arn)

    def _loaded(self) -> tuple[dict[str, str], dict[str, str]]:
        if self._found is None:
            self._found = self._load()
        return self._found


def read_resource(text: str, profiles: Profiles | None = None) -> Resource:
    """Read an ARN or a bare model or profile id.

    Args:
        text: `line_item_resource_id`, or `modelId` of a log record or metric.
        profiles: the account's application inference profiles.

    >>> read_resource("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6")
    Resource(model='anthropic.claude-sonnet-4-6', resource_id=None, geo='us', name=None)
    >>> read_resource("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12").resource_id
    'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12'
    """
    parts = text.split(":", 5)
    kind, _, last = parts[5].partition("/") if text.startswith("arn:") and len(parts) == 6 else ("", "", text)
    if kind in ("", "foundation-model", "inference-profile", "default-prompt-router"):
        if match := _PREFIX.match(last):
            return Resource(match["model"], geo=match["geo"])
        named = re.match(r"^[a-z0-9-]+\.[a-z0-9]", last)
        return Resource(last if named else None, None if named else text)
    if profiles is None or kind != "application-inference-profile":
        return Resource(resource_id=text)
    target = profiles.model(text)
    behind = read_resource(target) if target else Resource()
    return Resource(behind.model, text, behind.geo, profiles.name(text))
