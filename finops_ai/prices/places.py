"""Where a call ran, as far as a price depends on it: words from the most to the least specific."""

from __future__ import annotations

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
_GOOGLE_MULTI_REGIONS = frozenset({"us", "eu"})


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
    ('data-zone',)
    >>> places_of("openai", api_base="https://eu.api.openai.com/v1")
    ('host:eu.api.openai.com',)
    """
    geo = (inference_geo or "").lower()
    if provider == "azure" and (deployment_type or geo):
        word = (deployment_type or geo).lower()
        sku = AZURE_SKUS.get(word)
        places = sku[0] if sku else ((word, "data-zone") if word in ("us", "eu") else (word,))
        return (*([region.lower()] if region and places == ("regional",) else []), *places)
    if provider == "aws":
        word = named or geo
        if word == "global":
            return ("global",)
        if word and word not in ("regional", "in-region"):
            return (word, "geo")
        return (region.lower(), "in-region") if region else ("in-region",)
    if provider == "google":
        word = geo or (region or "").lower()
        if word in ("", "global"):
            return ("global",) if word else ()
        return (word, "multi-region", "regional") if word in _GOOGLE_MULTI_REGIONS else (word, "regional")
    found = [word for word in (geo, (region or "").lower()) if word]
    if api_base:
        found.insert(0, f"host:{urlsplit(api_base if '//' in api_base else f'//{api_base}').hostname or ''}")
    return tuple(found)


def deployment_tier(deployment_type: str | None) -> str | None:
    """The service tier an Azure deployment type implies, if any."""
    sku = AZURE_SKUS.get((deployment_type or "").lower())
    return sku[1] if sku else None
