"""FOCUS as data: the columns of each version, units, and how token-frame columns travel in `x_` columns.

Source: FinOps Open Cost and Usage Specification, Cost and Usage dataset 1.0 to 1.4 and the 1.5 draft's token keys.
Shared by the export (`finops_ai.tables.to_focus`) and the connector `focus`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from finops_ai.errors import SettingsError, hint
from finops_ai.meters import Meter, meters

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4")
#: versions this package writes
WRITTEN = ("1.2", "1.3", "1.4")

_TEXT, _NUMBER, _TIME, _JSON = "text", "number", "time", "json"
#: column -> (kind, first version, first version without it)
_COLUMNS: dict[str, tuple[str, str, str]] = {
    "AllocatedMethodDetails": (_JSON, "1.3", ""), "AllocatedMethodId": (_TEXT, "1.3", ""),
    "AllocatedResourceId": (_TEXT, "1.3", ""), "AllocatedResourceName": (_TEXT, "1.3", ""),
    "AllocatedTags": (_JSON, "1.3", ""), "AvailabilityZone": (_TEXT, "1.0", ""), "BilledCost": (_NUMBER, "1.0", ""),
    "BillingAccountId": (_TEXT, "1.0", ""), "BillingAccountName": (_TEXT, "1.0", ""),
    "BillingAccountType": (_TEXT, "1.2", ""), "BillingCurrency": (_TEXT, "1.0", ""),
    "BillingPeriodEnd": (_TIME, "1.0", ""), "BillingPeriodStart": (_TIME, "1.0", ""),
    "CapacityReservationId": (_TEXT, "1.1", ""), "CapacityReservationStatus": (_TEXT, "1.1", ""),
    "ChargeCategory": (_TEXT, "1.0", ""), "ChargeClass": (_TEXT, "1.0", ""), "ChargeDescription": (_TEXT, "1.0", ""),
    "ChargeFrequency": (_TEXT, "1.0", ""), "ChargePeriodEnd": (_TIME, "1.0", ""), "ChargePeriodStart": (_TIME, "1.0", ""),
    "CommitmentDiscountCategory": (_TEXT, "1.0", ""), "CommitmentDiscountId": (_TEXT, "1.0", ""),
    "CommitmentDiscountName": (_TEXT, "1.0", ""), "CommitmentDiscountQuantity": (_NUMBER, "1.1", ""),
    "CommitmentDiscountStatus": (_TEXT, "1.0", ""), "CommitmentDiscountType": (_TEXT, "1.0", ""),
    "CommitmentDiscountUnit": (_TEXT, "1.1", ""), "CommitmentProgramEligibilityDetails": (_JSON, "1.4", ""),
    "ConsumedQuantity": (_NUMBER, "1.0", ""), "ConsumedUnit": (_TEXT, "1.0", ""), "ContractApplied": (_JSON, "1.3", ""),
    "ContractedCost": (_NUMBER, "1.0", ""), "ContractedUnitPrice": (_NUMBER, "1.0", ""),
    "EffectiveCost": (_NUMBER, "1.0", ""), "HostProviderName": (_TEXT, "1.3", ""), "InvoiceDetailId": (_TEXT, "1.4", ""),
    "InvoiceId": (_TEXT, "1.2", ""), "InvoiceIssuerName": (_TEXT, "1.0", ""), "ListCost": (_NUMBER, "1.0", ""),
    "ListUnitPrice": (_NUMBER, "1.0", ""), "PricingCategory": (_TEXT, "1.0", ""), "PricingCurrency": (_TEXT, "1.2", ""),
    "PricingCurrencyContractedUnitPrice": (_NUMBER, "1.2", ""), "PricingCurrencyEffectiveCost": (_NUMBER, "1.2", ""),
    "PricingCurrencyListUnitPrice": (_NUMBER, "1.2", ""), "PricingQuantity": (_NUMBER, "1.0", ""),
    "PricingUnit": (_TEXT, "1.0", ""), "ProviderName": (_TEXT, "1.0", "1.4"), "PublisherName": (_TEXT, "1.0", "1.4"),
    "RegionId": (_TEXT, "1.0", ""), "RegionName": (_TEXT, "1.0", ""), "ResourceId": (_TEXT, "1.0", ""),
    "ResourceName": (_TEXT, "1.0", ""), "ResourceType": (_TEXT, "1.0", ""), "ServiceCategory": (_TEXT, "1.0", ""),
    "ServiceName": (_TEXT, "1.0", ""), "ServiceProviderName": (_TEXT, "1.3", ""),
    "ServiceSubcategory": (_TEXT, "1.1", ""), "SkuId": (_TEXT, "1.0", ""), "SkuMeter": (_TEXT, "1.1", ""),
    "SkuPriceDetails": (_JSON, "1.1", ""), "SkuPriceId": (_TEXT, "1.0", ""), "SubAccountId": (_TEXT, "1.0", ""),
    "SubAccountName": (_TEXT, "1.0", ""), "SubAccountType": (_TEXT, "1.2", ""), "Tags": (_JSON, "1.0", ""),
}  # fmt: skip

#: columns no null is allowed in
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceProviderName", "ServiceSubcategory",
}  # fmt: skip

#: token-frame column -> custom column that carries it through FOCUS and back
CARRIED = {
    "provider": "x_Provider", "model": "x_Model", "operation": "x_Operation", "meter": "x_Meter",
    "service_tier": "x_ServiceTier", "context_tier": "x_ContextTier", "inference_geo": "x_InferenceGeo",
    "api_key_id": "x_ApiKeyId", "user_id": "x_UserId", "prompt_id": "x_PromptId", "session_id": "x_SessionId",
    "agent_name": "x_AgentName", "tool_name": "x_ToolName", "repository": "x_Repository", "branch": "x_Branch",
    "request_id": "x_RequestId", "outcome": "x_Outcome", "money_basis": "x_MoneyBasis",
    "temperature": "x_Temperature", "max_output_tokens": "x_MaxOutputTokens",
    "slice_input_tokens": "x_SliceInputTokens", "slice_requests": "x_SliceRequests", "source": "x_Source",
    "quantity_basis": "x_QuantityBasis", "billed_cost": "x_StatedCost", "billing_currency": "x_StatedCurrency",
}  # fmt: skip

#: keys of SkuPriceDetails that the 1.5 draft defines; up to 1.4 they carry the custom prefix
DRAFT_KEYS = ("ModelDeveloper", "ModelFamily", "ModelId", "ModelVersion", "TokenCacheAction", "TokenDirection")

#: older names (1.0-preview, still written by Oracle) -> today's
ALIASES = {
    "Provider": "ProviderName", "Publisher": "PublisherName", "InvoiceIssuer": "InvoiceIssuerName",
    "Region": "RegionId", "UsageQuantity": "ConsumedQuantity", "UsageUnit": "ConsumedUnit",
    "ChargeType": "ChargeCategory", "oci_CompartmentId": "SubAccountId", "oci_CompartmentName": "SubAccountName",
}  # fmt: skip


@dataclass(frozen=True)
class Issuer:
    """How a connector's provider is named in FOCUS."""

    name: str
    service: str
    account_type: str
    sub_account_type: str
    resource_type: str


ISSUERS = {
    "openai": Issuer("OpenAI", "OpenAI API", "Organization", "Project", "Vector Store"),
    "anthropic": Issuer("Anthropic", "Claude API", "Organization", "Workspace", "Deployment"),
    "azure-openai": Issuer("Microsoft", "Azure OpenAI", "Billing Account", "Subscription", "Model Deployment"),
    "bedrock": Issuer("Amazon Web Services", "Amazon Bedrock", "Payer Account", "Member Account", "Inference Profile"),
    "vertex": Issuer("Google Cloud", "Vertex AI", "Billing Account", "Project", "Endpoint"),
    "oci": Issuer("Oracle", "OCI Generative AI", "Tenancy", "Compartment", "AI Cluster"),
}

#: spellings of a provider's name in real exports (lower case, beginnings) -> connector name
SPELLINGS = {
    "openai": "openai", "anthropic": "anthropic", "microsoft": "azure-openai", "azure": "azure-openai",
    "amazon": "bedrock", "aws": "bedrock", "google": "vertex", "oracle": "oci",
}  # fmt: skip

#: unit of the meter registry -> FOCUS unit
UNITS = {
    "tokens": "Tokens", "requests": "Requests", "searches": "Searches", "queries": "Queries", "sessions": "Sessions",
    "hours": "Hours", "characters": "Characters", "images": "Images", "seconds": "Seconds", "pages": "Pages",
    "search units": "Search-Units", "GiB-hours": "GiB-Hours", "token-hours": "Token-Hours", "unit-hours": "Unit-Hours",
    "GPU-hours": "GPU-Hours", "model-months": "Model-Months", "seat-months": "Seat-Months", "units": "Units",
}  # fmt: skip
#: units priced per so many
PER_PRICE = {"Tokens": 1_000_000, "Token-Hours": 1_000_000, "Characters": 1_000_000}
_SCALES = {"k": 1000, "m": 1_000_000, "": 1}


def columns(version: str) -> dict[str, str]:
    """Columns of a FOCUS version and their kinds (text, number, time, json), in alphabetical order.

    >>> len(columns("1.0")), len(columns("1.2")), len(columns("1.3")), len(columns("1.4"))
    (43, 57, 65, 65)
    """
    if version not in VERSIONS:
        raise SettingsError(f"No FOCUS version {version!r}. {hint(version, VERSIONS)}")
    return {
        name: kind
        for name, (kind, since, until) in _COLUMNS.items()
        if since <= version and (not until or version < until)
    }


def kind_of(column: str) -> str:
    """Kind of a column of any version; custom columns are text."""
    return _COLUMNS.get(column, (_TEXT, "", ""))[0]


def sku_meter(meter: Meter) -> str:
    """A meter in FOCUS wording, such as "Cache Read Input Tokens".

    >>> sku_meter(meters()["cache_write_1h"]), sku_meter(meters()["input_audio"])
    ('Cache Write 1h Input Tokens', 'Audio Input Tokens')
    """
    if not meter.is_token:
        return meter.name.replace("_", " ").title()
    words = [
        f"Cache {meter.cache_action.title()}" if meter.cache_action else "",
        meter.cache_ttl,
        meter.modality.title() if meter.modality != "text" else "",
        "Reasoning" if meter.name == "reasoning" else "",
        meter.direction.title(),
        "Tokens",
    ]
    return " ".join(filter(None, words))


@cache
def _meters_by_text() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, m in meters().items():
        found.setdefault(sku_meter(m).lower(), name)  # of two that read alike, the plain one, which stands first
    return found


def read_unit(unit: str | None) -> tuple[str, int]:
    """A unit of a FOCUS file as (unit of the meter registry or "", how many one of it is).

    >>> read_unit("1000000 Tokens"), read_unit("1K tokens"), read_unit("Units"), read_unit("GB-Months")
    (('tokens', 1000000), ('tokens', 1000), ('units', 1), ('', 1))
    """
    match = re.fullmatch(r"\s*(?:(\d+)\s*([kKmM]?)\s+|([kKmM])\s+)?(.+?)\s*", unit or "")
    if not match:
        return "", 1
    number, scale, alone, word = match.groups()
    times = int(number or 1) * _SCALES[(scale or alone or "").lower()]
    known = {focus.lower(): ours for ours, focus in UNITS.items()} | {
        "token": "tokens",
        "count": "units",
        "unit": "units",
    }
    return known.get(word.lower(), ""), times


#: what the text of a SkuMeter says, first match wins; `{}` stands for a modality
_TEXT_RULES = (
    (r"cach\w*[\s_-]*(input)?[\s_-]*(token)?[\s_-]*storage", "cache_storage"),
    (r"cach\w*[\s_-]*writ|writ\w*[\s_-]*cach|cchwr|cache creation", "cache_write"),
    (r"cach|cchd|cchrd", "cache_read"),
    (r"reason|think", "reasoning"),
    (r"\bout(p|put)?\b|outp|output|completion|response", "output"),
    (r"\binp?\b|input|prompt|request tokens", "input"),
)


def read_meter(text: str | None, unit: str, direction: str | None = None, action: str | None = None) -> str:
    """The meter of a FOCUS row by its token keys, else by the text of its SkuMeter; "unmapped" where neither says.

    Args:
        text: SkuMeter, or the charge's description.
        unit: the quantity's unit as `read_unit` gives it.
        direction: TokenDirection, if stated.
        action: TokenCacheAction, if stated.

    >>> read_meter("Cache Write Input Tokens", "tokens", "Input", "Write"), read_meter("USE1-x-output-tokens", "units")
    ('cache_write', 'output')
    >>> read_meter("Managed disk", "units")
    'unmapped'
    """
    said = (text or "").lower()
    if found := _meters_by_text().get(said.strip()):
        return found
    if unit == "token-hours":
        return "cache_storage"
    modality = next((m for m in ("audio", "image", "video") if m in said), "")
    if direction:
        name = {"Read": "cache_read", "Write": "cache_write"}.get(action or "", direction.lower())
    elif unit == "tokens" or re.search(r"token|\btkn|\binp|outp", said):
        name = next((meter for pattern, meter in _TEXT_RULES if re.search(pattern, said)), "unmapped")
    else:
        return {"requests": "requests", "images": "images", "searches": "web_searches", "characters": "characters",
                "unit-hours": "provisioned_hours", "GPU-hours": "gpu_hours"}.get(unit, "unmapped")  # fmt: skip
    if name == "cache_write":
        name += next((f"_{ttl}" for ttl in ("30m", "5m", "12h", "1h") if re.search(rf"\b{ttl}", said)), "")
    with_modality = f"{name}_{modality}"
    return with_modality if modality and with_modality in meters() else name
