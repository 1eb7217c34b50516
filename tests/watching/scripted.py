"""A scripted provider with a clock of its own: OpenAI's usage and costs APIs, a webhook and a mail server, on loopback."""

from __future__ import annotations

import datetime as dt
import json
import socketserver
import threading
from collections.abc import Callable
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

WIDTHS = {"1m": 60, "1h": 3600, "1d": 86400}
#: USD of a token of gpt-5.4-mini's input in the bundled book
PRICE = Decimal("0.75") / 1_000_000


class Provider:
    """Usage by the minute, known up to its clock less a lag; what was restated is seen from a moment on.

    Args:
        rate: tokens of the minute that starts at an epoch second.
    """

    def __init__(self, rate: Callable[[int], int] = lambda second: 24_000, lag: int = 0) -> None:
        self.rate, self.lag = rate, lag
        self.now = 0
        self.restated: dict[int, int] = {}
        self.calls: list[str] = []
        self.broken = False
        handler = type("Handler", (_Usage,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def at(self, text: str) -> dt.datetime:
        """Set the clock."""
        moment = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        self.now = int(moment.timestamp())
        return moment

    def tokens(self, start: int, end: int) -> int:
        """Tokens between two instants, as far as they are known."""
        known = self.now - self.lag
        return sum(
            self.restated.get(m, self.rate(m))
            for m in range(start - start % 60, min(end, known - 59), 60)
            if m >= start
        )

    def cost(self, start: dt.datetime, end: dt.datetime) -> Decimal:
        """What is true of a stretch, whatever is known of it."""
        first, last = int(start.timestamp()), int(end.timestamp())
        return sum((Decimal(self.restated.get(m, self.rate(m))) for m in range(first, last, 60)), Decimal(0)) * PRICE

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Usage(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        own = self.provider
        url = urlparse(self.path)
        query, path = parse_qs(url.query), url.path.removeprefix("/v1")
        own.calls.append(self.path)
        if own.broken:
            return self._send({"error": {"message": "overloaded"}}, 400)
        if path == "/organization/usage/completions":
            return self._send(self._report(query, usage=True))
        if path == "/organization/costs":
            return self._send(self._report(query, usage=False))
        project = {"id": "proj_a", "object": "organization.project", "name": "A", "created_at": 1, "status": "active"}
        return self._send({"object": "list", "data": [project], "has_more": False})

    def _report(self, query: dict, *, usage: bool) -> dict:
        own, width = self.provider, WIDTHS[query.get("bucket_width", ["1d"])[0]]
        start, end = int(query["start_time"][0]), min(int(query["end_time"][0]), own.now)
        limit, page = int(query.get("limit", ["31"])[0]), int(query.get("page", ["0"])[0])
        starts = list(range(start - start % width, max(end, start), width))
        data = []
        for at in starts[page : page + limit]:
            tokens, results = own.tokens(at, at + width), []
            if tokens and usage:
                results = [
                    {"object": "organization.usage.completions.result", "input_tokens": tokens, "output_tokens": 0,
                     "input_cached_tokens": 0, "num_model_requests": max(tokens // 2400, 1), "project_id": "proj_a",
                     "user_id": "u1", "api_key_id": "key_a", "model": "gpt-5.4-mini", "batch": False, "service_tier": "default"}
                ]  # fmt: skip
            elif tokens:
                amount = {"value": str(tokens * PRICE), "currency": "usd"}
                results = [
                    {
                        "object": "organization.costs.result",
                        "amount": amount,
                        "line_item": "gpt-5.4-mini, input",
                        "project_id": "proj_a",
                    }
                ]
            data.append({"object": "bucket", "start_time": at, "end_time": at + width, "results": results})
        more = page + limit < len(starts)
        return {"object": "page", "data": data, "has_more": more, "next_page": str(page + limit) if more else None}

    def _send(self, body: dict, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Hook:
    """A webhook that counts what comes; `before_answer` is called with each post before it is answered."""

    def __init__(self) -> None:
        self.posts: list[dict] = []
        self.headers: list[dict] = []
        self.status = 200
        self.before_answer: Callable[[dict], None] = lambda body: None
        handler = type("Handler", (_Post,), {"hook": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def told(self) -> list[tuple[str, str]]:
        """Event and stage of each post."""
        return [(p["event"], p["stage"]) for p in self.posts]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Post(BaseHTTPRequestHandler):
    hook: Hook

    def log_message(self, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.hook.status < 300:
            self.hook.posts.append(body)
            self.hook.headers.append(dict(self.headers))
        self.hook.before_answer(body)
        self.send_response(self.hook.status)
        self.send_header("content-length", "0")
        self.end_headers()


class MailServer:
    """Takes mail over plain SMTP and keeps it."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []
        self.refuse = False
        handler = type("Handler", (_Smtp,), {"mail": self})
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.port = self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Smtp(socketserver.StreamRequestHandler):
    mail: MailServer

    def handle(self) -> None:
        self._say("220 loopback")
        sender, receivers = "", []
        while line := self.rfile.readline().decode("utf-8", "replace").strip():
            word = line[:4].upper()
            if word == "EHLO":
                self._say("250 loopback")
            elif word == "MAIL":
                sender = line[10:].split(" ")[0].strip("<>")
                self._say("550 no" if self.mail.refuse else "250 ok")
            elif word == "RCPT":
                receivers.append(line[8:].strip("<>"))
                self._say("250 ok")
            elif word == "DATA":
                self._say("354 go on")
                parts = []
                while (part := self.rfile.readline()) != b".\r\n":
                    parts.append(part[1:] if part.startswith(b"..") else part)
                self.mail.mails.append((sender, receivers, b"".join(parts)))
                self._say("250 taken")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")
