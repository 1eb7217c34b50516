"""Asking a provider over HTTP: retries where waiting helps, clear errors where it doesn't, secrets in neither."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import time
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx

from finops_ai.errors import CredentialsError, DataError, ProviderError
from finops_ai.providers.limits import limits, reading, require
from finops_ai.providers.parsing import parse_json as parsed
from finops_ai.providers.plain_http import require_https
from finops_ai.providers.retrying import RETRIED, Passing, asking_again, retry_after, stand_by


@cache
def _trusted(*places: str | None) -> ssl.SSLContext:
    """Certificates to trust, read once: a twentieth of a second for each client otherwise. `places` tell them apart."""
    return httpx.create_ssl_context()


class HttpClient:
    """A JSON client for one provider. 429, 5xx, dropped connections and a 403 that says when to come back (a rate limit)
    are retried, honouring retry-after; 400, 401, other 403 and 404 never are.

    Args:
        provider: name for messages.
        base_url: address that paths are appended to.
        headers: sent with each request; never shown.
        timeout: seconds for one answer.
        max_retries: how often to ask again.
        permission_help: next step to name when the provider answers 401 or 403.
        sleep: how to wait; tests pass their own.
    """

    def __init__(
        self,
        provider: str,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        permission_help: str = "",
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], object] = stand_by,
        auth: httpx.Auth | None = None,
    ) -> None:
        self.provider, self.permission_help, self.max_retries, self._sleep = (
            provider,
            permission_help,
            max_retries,
            sleep,
        )
        require_https(base_url, provider)
        self._base = urlsplit(base_url)
        self._client = httpx.Client(
            base_url=base_url.rstrip("/") + "/",
            headers=dict(headers or {}),
            timeout=timeout,
            transport=transport,
            auth=auth,
            verify=_trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        )

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, params: object = None) -> Any:
        """GET a JSON document; fractions come as exact Decimals, whole numbers as int."""
        return self.request("GET", path, params=params)

    def post(self, path: str, body: object, params: object = None) -> Any:
        """POST a JSON body (a query, not a change) and return the JSON answer."""
        return self.request("POST", path, params=params, json=body)

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """Ask, retry where that helps, and return the parsed JSON.

        Raises:
            CredentialsError: 401 or 403.
            HttpRefused: another 4xx, with status and the provider's message.
            ProviderUnavailable: still failing after the retries.
        """
        where = f"{self.provider} {method} {path.split('?')[0]}"
        return parse_json(self.send(method, path, check=json_check, **kwargs).content, where)

    def send(
        self, method: str, path: str, *, check: Callable[[bytes], object] | None = None, **kwargs: Any
    ) -> httpx.Response:
        """Like `request`, but returns the raw answer.

        Args:
            method, path: what to ask.
            check: looks at the body and raises ValueError where it is cut or damaged: it is then asked for again.
            **kwargs: of `httpx.Client.request`.
        """
        reading(f"{self.provider} {method} /{path.lstrip('/').split('?')[0]}")
        self._require_own_host(path)

        def ask() -> httpx.Response:
            try:
                response = self._whole(method, path.lstrip("/") if "://" not in path else path, **kwargs)
            except (httpx.TimeoutException, _TooSlow):
                raise Passing("no answer in time") from None
            except (httpx.TransportError, httpx.DecodingError) as error:
                raise Passing(f"connection failed ({type(error).__name__})") from None
            if not response.is_success:
                if response.status_code not in RETRIED and not _is_rate_limit(response):
                    raise self._refused(method, path, response)
                raise Passing(f"HTTP {response.status_code} {self._said(response)}".strip(), retry_after(response))
            try:
                if check:
                    check(response.content)
            except ValueError as error:
                raise Passing(f"the answer is not whole ({' '.join(str(error).split())[:200]})") from None
            return response

        what = f"{method} /{path.lstrip('/').split('?')[0]}"
        return asking_again(ask, provider=self.provider, what=what, retries=self.max_retries, sleep=self._sleep)

    def wait(self, seconds: float) -> None:
        """Wait before looking again, as between two tries: for what the provider prepares meanwhile."""
        self._sleep(seconds)

    def _require_own_host(self, path: str) -> None:
        """A link that leads elsewhere, such as a lying provider's next page, gets no request and no credentials."""
        if "://" not in path:
            return
        link = urlsplit(path)
        if (link.scheme, link.netloc) != (self._base.scheme, self._base.netloc):
            raise ProviderError(
                f"{self.provider}: the answer leads to {link.scheme}://{link.hostname}, which is not {self._base.hostname}; "
                "credentials are not sent there. Nothing of this window was stored."
            )

    def _whole(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """The whole answer, as long as it is neither larger nor slower than the limits allow."""
        place, most = f"{self.provider} {method} /{path.lstrip('/').split('?')[0]}", limits()
        late = time.monotonic() + most.answer_seconds
        with self._client.stream(method, path, **kwargs) as response:
            body = BytesIO()
            for piece in response.iter_bytes(1 << 16):
                body.write(piece)
                require(body.tell(), "answer_bytes", place, "the size of the answer in bytes")
                if time.monotonic() > late:
                    raise _TooSlow
            packing = ("content-encoding", "content-length", "transfer-encoding")
            headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in packing]
            return httpx.Response(
                response.status_code, headers=headers, content=body.getvalue(), request=response.request
            )

    def _said(self, response: httpx.Response) -> str:
        """The provider's reason, without any credential it may repeat."""
        said = message_of(response)
        for name in ("authorization", "x-api-key", "api-key"):
            for word in self._client.headers.get(name, "").split():
                if len(word) >= 8:
                    said = said.replace(word, "(hidden)")
        return said

    def _refused(self, method: str, path: str, response: httpx.Response) -> ProviderError:
        status, said = response.status_code, self._said(response)
        text = f"{self.provider}: {method} /{path.lstrip('/').split('?')[0]} was refused with HTTP {status}: {said or 'no reason given'}."
        if status in (401, 403):
            return CredentialsError(f"{text} {self.permission_help}".strip())
        return HttpRefused(text, status, said)


class _TooSlow(Exception):
    """The answer keeps coming, but not within the time an answer may take."""


class HttpRefused(ProviderError):
    """A 4xx that asking again can't cure; `status` and `said` tell which and why."""

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said


def parse_json(content: bytes, source: str) -> Any:
    """Parse JSON keeping fractions exact.

    Raises:
        ProviderError: not JSON; names the source and the place.
    """
    try:
        return parsed(content, source)
    except DataError as error:
        said = str(error).removeprefix(source).lstrip(",: ").removesuffix(" Nothing was stored.")
        raise ProviderError(f"{source}: the answer is not whole JSON ({said}) Ask again; nothing was stored.") from None


def json_check(content: bytes) -> None:
    """Raises ValueError where a body is no whole JSON."""
    try:
        json.loads(content)
    except RecursionError:
        return  # whole or not, it is refused where it is parsed


def check_content(content: bytes, *, size: int | None = None, md5: str | None = None) -> None:
    """See that a file came whole, by what a listing states of it.

    Args:
        content: the bytes that came.
        size: bytes it should have.
        md5: its MD5, as hexadecimal or base64 text.

    Raises:
        ValueError: it is shorter, or its content differs.

    >>> check_content(b"abc", size=3, md5="kAFQmDzST7DWlj99KOF/cg==")
    """
    # longer than listed is no cut: the file was written again since it was listed
    if size is not None and len(content) < size:
        raise ValueError(f"{len(content)} of {size} bytes")
    if md5:
        found = hashlib.md5(content, usedforsecurity=False)
        if md5.strip('"').lower() != found.hexdigest() and md5 != base64.b64encode(found.digest()).decode():
            raise ValueError("the MD5 differs from the listing's")


def _is_rate_limit(response: httpx.Response) -> bool:
    """Whether a refusal is a rate limit: a 403 that says when to come back, as GitHub words it."""
    headers = response.headers
    return response.status_code == 403 and ("retry-after" in headers or headers.get("x-ratelimit-remaining") == "0")


def message_of(response: httpx.Response) -> str:
    """The provider's own reason in an error body, at most 300 characters."""
    try:
        body = response.json()
    except (ValueError, UnicodeDecodeError, RecursionError):
        return " ".join(response.text.split())[:300]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        error = error.get("message") or error.get("code") or error.get("type") or ""
    return " ".join(str(error).split())[:300]
