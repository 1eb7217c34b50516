"""Azure's REST interfaces: Entra tokens, paging by nextLink, throttling headers, resource ids."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from finops_ai.errors import CredentialsError, ProviderError
from finops_ai.providers import HttpClient
from finops_ai.providers.http import json_check, parse_json

ARM = "https://management.azure.com"
#: longest chain of pages before paging is called a loop
PAGES = 10_000


def default_credential(tenant_id: str | None = None) -> Any:
    """azure-identity's own chain: environment variables, workload or managed identity, `az login`."""
    from azure.identity import DefaultAzureCredential

    options = {"additionally_allowed_tenants": [tenant_id]} if tenant_id else {}
    return DefaultAzureCredential(**options)


class EntraAuth(httpx.Auth):
    """Puts an Entra ID token on each request.

    Args:
        credential: anything with azure-identity's `get_token(scope)`; it caches and renews by itself.
        scope: what the token is for, such as `https://management.azure.com/.default`.
    """

    def __init__(self, credential: Any, scope: str) -> None:
        self._credential, self._scope = credential, scope

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with the token on it."""
        try:
            token = self._credential.get_token(self._scope).token
        except Exception as error:  # azure-identity raises several kinds; none may show a secret
            raise CredentialsError(
                f"azure-openai: no Entra ID token for {self._scope} ({type(error).__name__}). Run `az login`, or set "
                "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give this machine a managed identity."
            ) from None
        request.headers["Authorization"] = f"Bearer {token}"
        yield request


def pages(client: HttpClient, method: str, path: str, *, params: Any = None, json: Any = None) -> Iterator[Any]:
    """Every page of an ARM answer: `nextLink` (top level or in `properties`) is followed to the end.

    A POST repeats its body on each page, as Cost Management wants. Only path and query of the link are used, so the
    token never goes to another host.

    Raises:
        ProviderError: the same link comes twice.
    """
    seen: set[str] = set()
    while True:
        body = {"json": json} if json is not None else {}
        response = client.send(method, path, params=params, check=_whole, **body)
        if response.status_code == 204 or not response.content:
            return
        page = parse_json(response.content, f"azure-openai {method} {path.split('?')[0]}")
        yield page
        link = page.get("nextLink") or (page.get("properties") or {}).get("nextLink")
        if not link:
            return
        parts = urlsplit(link)
        path, params = f"{parts.path}?{parts.query}", None
        if path in seen or len(seen) > PAGES:
            raise ProviderError(
                f"azure-openai: {parts.path} gave the same page twice. Nothing was stored; run the command again."
            )
        seen.add(path)


def _whole(content: bytes) -> None:
    """An answer without content is whole, too."""
    if content:
        json_check(content)


@dataclass(frozen=True)
class ResourceId:
    """The parts of an Azure resource id that matter here; Azure compares them without case, so they are lower case."""

    subscription: str
    resource_group: str
    account: str

    @property
    def path(self) -> str:
        """The account's resource id.

        >>> ResourceId("s", "g", "a").path
        '/subscriptions/s/resourceGroups/g/providers/Microsoft.CognitiveServices/accounts/a'
        """
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.CognitiveServices/accounts/{self.account}"
        )

    def deployment(self, name: str) -> str:
        """The resource id of one of the account's deployments."""
        return f"{self.path}/deployments/{name.lower()}"

    @property
    def tags(self) -> dict[str, str]:
        """Where the resource is, as tags that mapping rules can use."""
        return {"azure_account": self.account, "azure_resource_group": self.resource_group}


_ID = re.compile(
    r"^/?subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/microsoft\.cognitiveservices/accounts/([^/]+)", re.I
)


def resource_id(text: str | None) -> ResourceId | None:
    """Read an account's resource id out of any id at or below it; None where it isn't one.

    >>> resource_id("/subscriptions/S1/resourceGroups/rg/providers/Microsoft.CognitiveServices/accounts/Demo/x/y")
    ResourceId(subscription='s1', resource_group='rg', account='demo')
    """
    match = _ID.match(text or "")
    return ResourceId(*(part.lower() for part in match.groups())) if match else None


def subscription_of(text: str | None) -> str | None:
    """The subscription in an id or a bare subscription GUID, lower case.

    >>> subscription_of("/subscriptions/ABC/resourceGroups/x"), subscription_of("ABC"), subscription_of("")
    ('abc', 'abc', None)
    """
    parts = [part for part in (text or "").lower().split("/") if part]
    return (parts[1] if parts[:1] == ["subscriptions"] and len(parts) > 1 else parts[0]) if parts else None
