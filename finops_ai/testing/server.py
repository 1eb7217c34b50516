"""A provider played on loopback: a script answers each request, faults can be put in front, every request is kept."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as the played provider received it.

    Attributes:
        method: GET, POST, ...
        path: without query, percent-encoding kept.
        query: parameter to its values, in order.
        headers: lower-case names.
        body: raw bytes.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def first(self, name: str, default: str = "") -> str:
        """First value of a query parameter."""
        return (self.query.get(name) or [default])[0]

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        body: bytes and text go out as they are; anything else as JSON, Decimals as exact numbers.
        status: HTTP status.
        headers: further headers.
        sent: how many bytes of the body really go out before the connection drops; None = all.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: int | None = None

    @property
    def content(self) -> bytes:
        """The whole body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else exact_json(self.body)).encode()


def exact_json(document: object) -> str:
    """JSON text with Decimals written as the exact numbers they are.

    >>> exact_json({"value": Decimal("0.10")})
    '{"value": 0.10}'
    """
    if isinstance(document, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(k))}: {exact_json(v)}" for k, v in document.items()) + "}"
    if isinstance(document, list | tuple):
        return "[" + ", ".join(map(exact_json, document)) + "]"
    return f"{document:f}" if isinstance(document, Decimal) else json.dumps(document)


class PlayedProvider:
    """A loopback HTTP server around one function from `Request` to `Reply`.

    Args:
        answer: plays the provider.

    Attributes:
        url: base address for `endpoint_url`.
        requests: every request so far, in order.
        troubles: replies given before `answer` is asked; put faults here.

    >>> import httpx
    >>> with PlayedProvider(lambda request: Reply({"path": request.path})) as provider:
    ...     httpx.get(provider.url + "/v1/usage").json()
    {'path': '/v1/usage'}
    """

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.troubles: deque[Reply] = deque()
        self.error: BaseException | None = None

    def __enter__(self) -> PlayedProvider:
        played = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                played._handle(self)

            do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        if self.error is not None:
            raise AssertionError(f"The played provider failed: {self.error!r}") from self.error

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        length = int(handler.headers.get("content-length") or 0)
        request = Request(
            handler.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            {name.lower(): value for name, value in handler.headers.items()},
            handler.rfile.read(length),
        )
        self.requests.append(request)
        try:
            reply = self.troubles.popleft() if self.troubles else self.answer(request)
        except BaseException as error:  # shown when the server closes
            self.error = self.error or error
            reply = Reply(f"the played provider failed: {error!r}", 500)
        content = reply.content
        handler.send_response_only(reply.status)
        headers = {
            "date": handler.date_time_string(),
            "content-type": "application/json",
            "content-length": str(len(content)),
        } | dict(reply.headers)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content if reply.sent is None else content[: reply.sent])
        handler.close_connection = True
