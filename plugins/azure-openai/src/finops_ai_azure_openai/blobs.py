"""Azure Blob storage over REST: list a container's export files and get them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

from finops_ai.errors import ProviderError, SettingsError
from finops_ai.providers import HttpClient
from finops_ai.providers.http import check_content
from finops_ai_azure_openai.exports import Blob, is_export

VERSION = "2023-11-03"
SCOPE = "https://storage.azure.com/.default"


def split_url(url: str) -> tuple[str, str, str]:
    """Account address, container and folder of an export's place in Blob storage.

    Raises:
        SettingsError: not such an address.

    >>> split_url("https://acme.blob.core.windows.net/exports/focus/daily")
    ('https://acme.blob.core.windows.net', 'exports', 'focus/daily')
    """
    parts = urlsplit(url)
    container, _, folder = parts.path.strip("/").partition("/")
    if parts.scheme not in ("https", "http") or not container:
        raise SettingsError(
            f"[providers.azure-openai] export_url: {url!r} is not https://<account>.blob.core.windows.net/<container>/<folder>."
        )
    return f"{parts.scheme}://{parts.netloc}", container, folder


def export_files(client: HttpClient, container: str, folder: str) -> Iterator[Blob]:
    """The export files under a folder, page after page of the container's list.

    Raises:
        ProviderError: a page marker comes twice. ProviderUnavailable: the list stays cut.
    """
    marker, seen = "", set()
    while True:
        params = {"restype": "container", "comp": "list", "prefix": f"{folder.rstrip('/')}/" if folder else ""}
        asked = {**params, **({"marker": marker} if marker else {})}
        listing = ElementTree.fromstring(client.send("GET", container, params=asked, check=_is_xml).content)
        for element in listing.iter("Blob"):
            name = element.findtext("Name") or ""
            if is_export(name):
                size = element.findtext("Properties/Content-Length")
                md5 = element.findtext("Properties/Content-MD5")
                yield Blob(name, _reader(client, f"{container}/{quote(name)}", int(size) if size else None, md5))
        marker = listing.findtext("NextMarker") or ""
        if not marker:
            return
        if marker in seen:
            raise ProviderError(
                f"azure-openai: container {container} gave the same page marker twice; nothing was stored."
            )
        seen.add(marker)


def _is_xml(content: bytes) -> None:
    try:
        ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f"not whole XML: {error}") from None


def _reader(client: HttpClient, path: str, size: int | None, md5: str | None) -> Any:
    """Gets a blob, once more where it isn't as long as the listing says or has another MD5."""
    return lambda: client.send("GET", path, check=lambda content: check_content(content, size=size, md5=md5)).content
