"""Asking a provider over HTTP: retries where waiting helps, clear errors where it doesn't, secrets in neither."""

from __future__ import annotations

import base64
import datetime as dt
import email.utils
import hashlib
import json
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable
from finops_ai.providers.limits import limits, reading, require
from finops_ai.providers.parsing import parse_json as parsed
from finops_ai.providers.plain_http import require_https

log = logging.getLogger("finops_ai.providers")

#: answers worth asking again for: timeouts, rate limits, overload (529 is Anthropic's)
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
#: longest pause between tries where the answer doesn't say how long
LONGEST_WAIT = 60.0
#: longest pause an answer may ask for; beyond it the load stops and says when to run it again
PATIENCE = 900.0


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
        sleep: Callable[[float], object] = time.sleep,
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
        attempt = 0
        reading(f"{self.provider} {method} /{path.lstrip('/').split('?')[0]}")
        self._require_own_host(path)
        while True:
            problem, wait = "", None
            try:
                response = self._whole(method, path.lstrip("/") if "://" not in path else path, **kwargs)
            except (httpx.TimeoutException, _TooSlow):
                problem = "no answer in time"
            except (httpx.TransportError, httpx.DecodingError) as error:
                problem = f"connection failed ({type(error).__name__})"
            else:
                if response.is_success:
                    try:
                        if check:
                            check(response.content)
                        return response
                    except ValueError as error:
                        problem = f"the answer is not whole ({' '.join(str(error).split())[:200]})"
                elif response.status_code not in RETRIED and not _is_rate_limit(response):
                    raise self._refused(method, path, response)
                else:
                    problem = f"HTTP {response.status_code} {self._said(response)}".strip()
                    wait = retry_after(response)
            attempt += 1
            if attempt > self.max_retries:
                raise ProviderUnavailable(
                    f"{self.provider}: {method} /{path.lstrip('/')} still fails after {attempt} {'try' if attempt == 1 else 'tries'}: {problem}. "
                    "Nothing of this window was stored; run the same command again later."
                )
            pause = pause_before(self.provider, f"{method} /{path.lstrip('/').split('?')[0]}", problem, wait, attempt)
            log.info(
                "%s: %s; asking again in %.1f s (%d of %d)", self.provider, problem, pause, attempt, self.max_retries
            )
            self._sleep(pause)

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


def pause_before(provider: str, what: str, problem: str, wait: float | None, attempt: int) -> float:
    """Seconds to wait before the next try: as long as the answer asks for, else ever longer.

    Raises:
        ProviderUnavailable: the answer asks for longer than a load waits; says for how long.
    """
    if wait is None:
        return min(0.5 * 2.0 ** (attempt - 1) * (0.75 + random.random() / 2), LONGEST_WAIT)
    if wait > PATIENCE:
        raise ProviderUnavailable(
            f"{provider}: {what} asks to wait {wait:,.0f} s ({problem}). Nothing of this window was stored; run the same "
            f"command again in {math.ceil(wait / 60):,} minutes."
        )
    return wait


def retry_after(answer: Mapping[str, str] | httpx.Response) -> float | None:
    """Seconds an answer (or its headers) asks to wait: the longest of the headers that end in retry-after (seconds or a date) or retry-after-ms.

    >>> retry_after({"Retry-After": "2", "x-ms-ratelimit-microsoft.costmanagement-qpu-retry-after": "10"})
    10.0
    """
    headers = answer.headers if isinstance(answer, httpx.Response) else answer
    named = {str(name).lower(): str(value).strip() for name, value in headers.items()}
    if (
        named.get("x-ratelimit-remaining") == "0" and "retry-after" not in named
    ):  # GitHub states when the limit is reset
        reset = named.get("x-ratelimit-reset", "")
        if reset.isdigit():
            return max(float(reset) - _server_time(named.get("date")).timestamp(), 0.0)
    waits = [_seconds(text, named.get("date")) for name, text in named.items() if name.endswith("retry-after")]
    for name, text in named.items():
        if name.endswith("retry-after-ms") and text.replace(".", "", 1).isdigit():
            waits.append(float(text) / 1000)
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(text: str, date: str | None) -> float | None:
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(text)
        return max((when - _server_time(date)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _server_time(date: str | None) -> dt.datetime:
    """The server's own clock where it tells, so that a skewed clock here doesn't matter."""
    try:
        return email.utils.parsedate_to_datetime(date) if date else dt.datetime.now(dt.UTC)
    except (ValueError, TypeError):
        return dt.datetime.now(dt.UTC)


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
