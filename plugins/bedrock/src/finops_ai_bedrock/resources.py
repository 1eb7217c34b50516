"""What a Bedrock resource or model id names: a foundation model, a profile that routes to one, or something of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def read_resource(
    text: str, profiles: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> Resource:
    """Read an ARN or a bare model or profile id.

    Args:
        text: `line_item_resource_id`, or `modelId` of a log record or metric.
        profiles: application inference profile (ARN or id) -> model id or ARN.
        names: application inference profile ARN -> its name.

    >>> read_resource("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6")
    Resource(model='anthropic.claude-sonnet-4-6', resource_id=None, geo='us', name=None)
    >>> read_resource("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12").resource_id
    'arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/ab12'
    """
    kind, _, last = (
        text.split(":", 5)[5].partition("/") if text.startswith("arn:") and text.count(":") >= 5 else ("", "", text)
    )
    if kind in ("", "foundation-model", "inference-profile", "default-prompt-router"):
        match = _PREFIX.match(last)
        if match:
            return Resource(match["model"], geo=match["geo"])
        return Resource(
            last if re.match(r"^[a-z0-9-]+\.[a-z0-9]", last) else None, None if kind or "." in last else text
        )
    target = (profiles or {}).get(text) or (profiles or {}).get(last)
    behind = read_resource(target) if target else Resource()
    return Resource(behind.model, text, behind.geo, (names or {}).get(text))
