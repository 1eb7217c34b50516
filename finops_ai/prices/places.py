"""Where a call ran, as far as a price depends on it: words from the most to the least specific."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from urllib.parse import urlsplit

#: Azure deployment SKU -> (places, service tier or None)
AZURE_SKUS = {
    "globalstandard": (("global",), None), "globalbatch": (("global",), "batch"),
    "globalprovisionedmanaged": (("global",), "provisioned"),
    "datazonestandard": (("data-zone",), None), "datazonebatch": (("data-zone",), "batch"),
    "datazoneprovisionedmanaged": (("data-zone",), "provisioned"),
    "standard": (("regional",), None), "batch": (("regional",), "batch"),
    "provisionedmanaged": (("regional",), "provisioned"), "regional": (("regional",), None),
    "data-zone": (("data-zone",), None), "datazone": (("data-zone",), None), "data_zone": (("data-zone",), None),
}  # fmt: skip
#: Azure data zone -> regions in it: a data zone deployment is processed in the zone of its resource
AZURE_ZONES = {
    "us": frozenset({
        "centralus", "eastus", "eastus2", "eastus3", "northcentralus", "southcentralus", "westcentralus", "westus",
        "westus2", "westus3",
    }),
    "eu": frozenset({
        "austriaeast", "belgiumcentral", "denmarkeast", "francecentral", "francesouth", "germanynorth",
        "germanywestcentral", "italynorth", "northeurope", "polandcentral", "spaincentral", "swedencentral",
        "swedensouth", "westeurope",
    }),
    "us-gov": frozenset({"usgovarizona", "usgovtexas", "usgovvirginia"}),
    "apac": frozenset({
        "australiacentral", "australiaeast", "australiasoutheast", "centralindia", "eastasia", "indonesiacentral",
        "japaneast", "japanwest", "koreacentral", "koreasouth", "malaysiawest", "newzealandnorth", "southeastasia",
        "southindia", "westindia",
    }),
}  # fmt: skip
#: sellers whose region is where a call ran, and may decide its price
CLOUDS = frozenset({"aws", "azure", "google", "oci"})
#: words for "wherever the provider likes"
_ANYWHERE = frozenset({"", "global", "default", "notavailable", "none"})
_REGION = {
    "aws": re.compile(r"^(?:af|ap|ca|eu|il|me|mx|sa|us|us-gov)-[a-z]+-\d$"),
    "google": re.compile(r"^(?:africa|asia|australia|europe|me|northamerica|southamerica|us)-[a-z]+\d$"),
}
_BEDROCK_ZONES = frozenset({"af", "amer", "apac", "au", "ca", "emea", "eu", "in", "jp", "me", "sa", "us", "us-gov"})
#: regions whose price the list's general row of a Bedrock model is
_BEDROCK_HOME = frozenset({"us-east-1", "us-east-2", "us-west-2"})
_GOOGLE_MULTI_REGIONS = frozenset({"us", "eu"})
_NO_PLACE = frozenset({"api", "www"})  # labels of a host that say nothing about where it is


def places_of(
    provider: str,
    *,
    named: str | None = None,
    inference_geo: str | None = None,
    region: str | None = None,
    api_base: str | None = None,
    deployment_type: str | None = None,
) -> tuple[str, ...]:
    """The words a price row's geography may use for where a call ran; empty = nothing is known.

    Args:
        provider: canonical name.
        named: place the model name states (prefix of a Bedrock profile).
        inference_geo, region, api_base, deployment_type: as the provider states them.

    >>> places_of("aws", named="us"), places_of("aws", region="eu-west-1")
    (('us', 'geo'), ('eu-west-1', 'in-region'))
    >>> places_of("azure", deployment_type="DataZoneStandard")
    ('datazonestandard', 'data-zone')
    >>> places_of("azure", deployment_type="DataZoneStandard", region="swedencentral")
    ('datazonestandard', 'eu', 'data-zone', 'swedencentral')
    >>> places_of("openai", api_base="https://eu.api.openai.com/v1"), places_of("mistral", api_base="api.eu.mistral.ai")
    (('eu.api.openai.com', 'eu'), ('api.eu.mistral.ai', 'eu'))
    """
    geo, area = (inference_geo or "").lower(), (region or "").lower()
    if provider == "azure":
        word = (deployment_type or geo).lower()
        places = AZURE_SKUS.get(word, (("data-zone",) if word in AZURE_ZONES else (), None))[0]
        if "regional" in places:
            return _words(area, "us-gov" if area in AZURE_ZONES["us-gov"] else "", word, *places)
        zone = geo or next((zone for zone, regions in AZURE_ZONES.items() if area in regions), "")
        return _words(word, zone if "data-zone" in places else "", *places, area)
    if provider == "aws":
        place = named or geo
        if place == "global":
            return ("global",)
        if place and place not in ("regional", "in-region"):
            return _words(place, "geo", area, "us-gov" if area.startswith("us-gov") else "")
        return _words(area, "us-gov" if area.startswith("us-gov") else "", "in-region")
    if provider == "google":
        place = geo or area
        if place in ("", "global"):
            return _words(place)
        return _words(place, "multi-region" if place in _GOOGLE_MULTI_REGIONS else "", "regional", area)
    try:
        host = urlsplit(api_base if "//" in api_base else f"//{api_base}").hostname or "" if api_base else ""
    except ValueError:  # brackets that hold no address: it names no place
        host = ""
    labels = (label for label in host.split(".")[:-2] if label not in _NO_PLACE)
    return _words(host, *labels, geo, area)


def _words(*words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))


def stated_place(
    provider: str,
    *,
    named: str | None = None,
    inference_geo: str | None = None,
    region: str | None = None,
    deployment_type: str | None = None,
    **_: str | None,
) -> str:
    """The place a call states, in its own word; "" = it doesn't.

    >>> stated_place("aws", region="eu-west-1"), stated_place("openai", region="eu-west-1")
    ('eu-west-1', '')
    """
    stated = (deployment_type if provider == "azure" else None) or named or inference_geo or ""
    if provider in CLOUDS and (not stated or bare(stated) in ("regional", "inregion")):
        return region or stated
    return stated


def unlisted_place(provider: str, stated: str, sold_in: Collection[str]) -> bool:
    """Whether a model sold at prices by place is called in one that no price is for.

    Args:
        provider: canonical name.
        stated: the place as the call states it; "" = it doesn't.
        sold_in: places that rows of the model, or factors on them, are for.

    >>> unlisted_place("anthropic", "mars", {"us"}), unlisted_place("anthropic", "global", {"us"})
    (True, False)
    >>> unlisted_place("aws", "ap-southeast-7", {"eu-west-2"}), unlisted_place("aws", "us-east-1", {"eu-west-2"})
    (True, False)
    """
    word = stated.lower()
    if not sold_in or bare(word) in _ANYWHERE or any(bare(word) == bare(place) for place in sold_in):
        return False
    if provider == "azure":
        known = word in AZURE_ZONES or word in AZURE_SKUS or any(word in regions for regions in AZURE_ZONES.values())
        return not known
    if provider == "aws" and _REGION["aws"].match(word):
        by_region = any(_REGION["aws"].match(place) and not place.startswith("us-gov") for place in sold_in)
        return by_region and word not in _BEDROCK_HOME
    if provider == "aws":
        return word not in _BEDROCK_ZONES and bare(word) not in ("regional", "inregion")
    if provider == "google":
        return word not in _GOOGLE_MULTI_REGIONS and bare(word) != "regional" and not _REGION["google"].match(word)
    return True


def same_place(geography: str, places: tuple[str, ...]) -> int:
    """How specific a row's geography is among the places of a call: its position from the end, 0 = elsewhere.

    Case, blanks, hyphens and underscores don't matter: "Data Zone" is "data-zone".
    """
    wanted = bare(geography)
    return next((len(places) - i for i, place in enumerate(places) if bare(place) == wanted), 0)


@cache
def bare(word: str) -> str:
    """A word without what doesn't matter."""
    return word.lower().translate({ord(c): None for c in " -_"})


def deployment_tier(deployment_type: str | None) -> str | None:
    """The service tier an Azure deployment type implies, if any."""
    sku = AZURE_SKUS.get((deployment_type or "").lower())
    return sku[1] if sku else None
