"""Accounts and deployments: which model, which SKU, how much provisioned capacity stands behind a deployment name."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from finops_ai.periods import instant
from finops_ai.providers import HttpClient
from finops_ai_azure_openai.arm import ResourceId, pages, resource_id

API_VERSION = "2025-06-01"
#: version names that are part of a model's canonical id ("2024-11-20", "20250929", "0613", "turbo-2024-04-09")
_DATED = re.compile(r"(turbo-)?(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})(-preview)?")


@dataclass(frozen=True)
class Deployment:
    """One deployment of a model in an account.

    Attributes:
        account: the account's id.
        name: the deployment's name, lower case.
        model: canonical model id, see `model_id`.
        sku: Azure's SKU name (GlobalStandard, DataZoneBatch, ProvisionedManaged, ...).
        capacity: PTUs of a provisioned deployment, quota units of others.
        region: the account's location.
        tags: the account's tags.
        created: when it was created; None = unknown.
    """

    account: ResourceId
    name: str
    model: str
    sku: str = ""
    capacity: int = 0
    region: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: dt.datetime | None = None

    @property
    def id(self) -> str:
        """Its resource id."""
        return self.account.deployment(self.name)

    @property
    def provisioned(self) -> bool:
        """Whether it is billed by capacity and time, whatever the tokens."""
        return "provisioned" in self.sku.lower()

    @property
    def service_tier(self) -> str | None:
        """The tier its SKU settles; None where requests choose."""
        return "provisioned" if self.provisioned else "batch" if "batch" in self.sku.lower() else None

    @property
    def geography(self) -> str | None:
        """Where inference runs: global, the data zone (us or eu), or regional."""
        return geography(self.sku, self.region)


def geography(sku: str, region: str | None) -> str | None:
    """Where a deployment type processes: Global anywhere, Data Zone in the US or the EU, else the region.

    >>> geography("GlobalStandard", "swedencentral"), geography("DataZoneStandard", "eastus2"), geography("Standard", "")
    ('global', 'us', 'regional')
    """
    kind = sku.lower()
    if not kind:
        return None
    if kind.startswith("global"):
        return "global"
    if kind.startswith("datazone"):
        return "us" if "us" in (region or "").lower() else "eu"
    return "regional"


def model_id(name: str | None, version: str | None) -> str:
    """The model's canonical id: a dated version belongs to it, a counter ("1", "2") doesn't.

    >>> model_id("gpt-4o", "2024-11-20"), model_id("text-embedding-3-small", "1"), model_id("gpt-35-turbo", "0613")
    ('gpt-4o-2024-11-20', 'text-embedding-3-small', 'gpt-3.5-turbo-0613')
    """
    slug = (name or "").strip().lower().replace("gpt-35", "gpt-3.5")
    dated = (version or "").strip().lower()
    return f"{slug}-{dated}" if slug and _DATED.fullmatch(dated) and not slug.endswith(dated) else slug


def parse_accounts(documents: Iterable[Any]) -> dict[ResourceId, dict[str, Any]]:
    """Location and tags of each account in saved or fetched account lists."""
    found = {}
    for document in documents:
        for item in document.get("value") or ():
            account = resource_id(item.get("id"))
            if account and "/deployments/" not in item["id"].lower():
                found[account] = {"region": item.get("location"), "tags": item.get("tags") or {}}
    return found


def parse_deployments(
    documents: Iterable[Any], accounts: Mapping[ResourceId, Mapping[str, Any]]
) -> dict[str, Deployment]:
    """Deployments by resource id, from the answers of the deployments list."""
    found = {}
    for document in documents:
        for item in document.get("value") or ():
            account, properties, sku = resource_id(item.get("id")), item.get("properties") or {}, item.get("sku") or {}
            if not account or "/deployments/" not in item["id"].lower():
                continue
            model = properties.get("model") or {}
            created = (item.get("systemData") or {}).get("createdAt")
            about = accounts.get(account, {})
            deployment = Deployment(
                account=account,
                name=str(item["name"]).lower(),
                model=model_id(model.get("name"), model.get("version")),
                sku=sku.get("name") or "",
                capacity=int(sku.get("capacity") or 0),
                region=about.get("region"),
                tags=about.get("tags") or {},
                created=instant(created) if created else None,
            )
            found[deployment.id] = deployment
    return found


def fetch_accounts(client: HttpClient, subscription: str, resource_group: str | None) -> Iterator[Any]:
    """Pages of the subscription's (or resource group's) Azure AI accounts."""
    scope = f"subscriptions/{subscription}" + (f"/resourceGroups/{resource_group}" if resource_group else "")
    path = f"{scope}/providers/Microsoft.CognitiveServices/accounts"
    return pages(client, "GET", path, params={"api-version": API_VERSION})


def fetch_deployments(client: HttpClient, account: ResourceId) -> Iterator[Any]:
    """Pages of an account's deployments."""
    return pages(client, "GET", f"{account.path}/deployments", params={"api-version": API_VERSION})
