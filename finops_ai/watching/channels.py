"""Where messages go: a webhook, Slack, Teams, or e-mail through SMTP. Addresses that hold a secret come from the environment."""

from __future__ import annotations

import hashlib
import json
import os
import smtplib
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any, Protocol
from urllib.parse import urlsplit

from finops_ai.errors import CredentialsError, ProviderUnavailable, SettingsError, hint
from finops_ai.marks import cut, visible
from finops_ai.shapes import Shape, misfit

FORMS = ("webhook", "slack", "teams", "email")
KINDS = ("budget", "incident", "source")
#: keys of an [[alerts]] entry, by form
KEYS = {
    "": ("to", "name", "events"),
    "http": ("url", "url_env"),
    "email": ("host", "port", "security", "sender", "receivers", "user_env", "password_env"),
}
#: characters of a mail's subject, and of a message in a chat: however they are escaped, Slack takes no more than 3,000
SUBJECT, SAID = 160, 560
#: seconds to wait for an answer
TIMEOUT = 15.0
Handed = Callable[[], None]


class Channel(Protocol):
    """Something that takes messages."""

    @property
    def name(self) -> str:
        """Its name in the memory: two settings of one address are one channel."""

    def send(self, body: Mapping[str, Any], handed: Handed) -> None:
        """Send one message.

        Args:
            body: id, event, kind, stage, text and facts.
            handed: called once the other side is there, before anything of the message leaves.

        Raises:
            ProviderUnavailable: it wasn't taken.
        """


@dataclass(frozen=True)
class Webhook:
    """A JSON POST per message, in the form that the receiver understands."""

    url: str = field(repr=False)
    form: str = "webhook"

    @property
    def name(self) -> str:
        """The form and a digest of the address, which may hold a secret."""
        return f"{self.form}:{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"

    def send(self, body: Mapping[str, Any], handed: Handed) -> None:
        """POST it; the header Idempotency-Key tells the receiver that a repeated one is the same."""
        import httpx

        def trace(event: str, info: object) -> None:
            if event.endswith("send_request_headers.started"):
                handed()

        host = urlsplit(self.url).hostname
        headers = {"Idempotency-Key": hashlib.sha256(f"{body['id']}@{self.name}".encode()).hexdigest()}
        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                content = json.dumps(shaped(body, self.form), ensure_ascii=False, default=str).encode()
                headers["Content-Type"] = "application/json"
                client.post(self.url, content=content, headers=headers, extensions={"trace": trace}).raise_for_status()
        except httpx.HTTPStatusError as error:
            raise ProviderUnavailable(f"The webhook at {host} answered {error.response.status_code}.") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"The webhook at {host} can't be reached: {type(error).__name__}.") from None


@dataclass(frozen=True)
class Email:
    """A plain-text mail per message."""

    host: str
    port: int
    security: str
    sender: str
    receivers: tuple[str, ...]
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Email({self.host!r}, {', '.join(self.receivers)!r})"

    @property
    def name(self) -> str:
        """The server and who gets it."""
        return "email:" + hashlib.sha256("\0".join([self.host, *self.receivers]).encode()).hexdigest()[:12]

    def send(self, body: Mapping[str, Any], handed: Handed) -> None:
        """Send it as a mail."""
        text = _line(body["text"])
        subject = f"[finops-ai] {body['stage']}: {text}"
        self.mail(subject, f"{text}\n\n{_told(body.get('facts', {}))}", str(body["id"]), handed)

    def mail(
        self,
        subject: str,
        text: str,
        id: str,
        handed: Handed,
        *,
        html: str = "",
        files: Iterable[tuple[str, bytes, str]] = (),
    ) -> None:
        """Send a mail, with files as attachments (name, content, MIME type).

        Raises:
            ProviderUnavailable: the server isn't there or doesn't take it; its words without credentials.
        """
        mail = EmailMessage()
        mail["From"], mail["To"] = _line(self.sender), ", ".join(map(_line, self.receivers))
        mail["Subject"], mail["Date"] = cut(_line(subject), SUBJECT), formatdate(localtime=False)
        # the same message has the same id, by which mail servers and readers know a repeated one
        mail["Message-ID"] = f"<{hashlib.sha256(f'{id}@{self.name}'.encode()).hexdigest()[:32]}@finops-ai>"
        mail.set_content(text)
        if html:
            mail.add_alternative(html, subtype="html")
        for file, content, kind in files:
            main, _, sub = kind.partition("/")
            mail.add_attachment(content, maintype=main, subtype=sub, filename=file)
        try:
            with self._server() as server:
                handed()
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            code = getattr(error, "smtp_code", "")
            raise ProviderUnavailable(
                f"The mail server {self.host}:{self.port} didn't take the mail: {type(error).__name__} {code}".rstrip()
                + "."
            ) from None

    def _server(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
            if self.security == "starttls":
                server.starttls(context=context)
        if self.user:
            server.login(self.user, self.password)
        return server


def shaped(body: Mapping[str, Any], form: str) -> dict[str, Any]:
    """A message in the form of its receiver: in a chat, plain text in which nothing is a link, a mention or emphasis.

    >>> shaped({"text": "a <!channel> & *b*", "stage": "opened"}, "slack")["blocks"][0]["text"]["text"]
    'opened: a &lt;!channel&gt; &amp; *b*'
    """
    if form not in ("slack", "teams"):
        return dict(body)
    text = cut(_line(f"{body.get('stage', '')}: {body['text']}".removeprefix(": ")), SAID)
    if form == "slack":
        safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        section = {"type": "section", "text": {"type": "plain_text", "text": safe, "emoji": False}}
        return {"text": safe, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False, "blocks": [section]}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text}]}],
    }  # fmt: skip
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


_SHAPE: Shape = {
    "name": "label", "url": "text", "url_env": "text", "host": "text", "port": "whole", "sender": "text", "user_env": "text",
    "password_env": "text", "receivers": "any", "events": "any",
}  # fmt: skip


def channels_of(section: object, place: str = "finops.toml") -> tuple[dict[str, Channel], dict[str, list[str]]]:
    """The channels of `[[alerts]]`, and which of them are told of which kind of event.

    Raises:
        SettingsError: an entry can't be used; names it.
        CredentialsError: a variable that it names isn't set.
    """
    if not isinstance(section, list):
        raise SettingsError(
            f'{place}: alerts must be written as [[alerts]] entries, such as to = "slack", url_env = "SLACK_URL".'
        )
    channels: dict[str, Channel] = {}
    told: dict[str, list[str]] = {kind: [] for kind in KINDS}
    if wrong := misfit(section, [_SHAPE], "alerts"):
        raise SettingsError(f"{place}: {wrong}.")
    for number, entry in enumerate(section, 1):
        where = f"{place}, alerts {entry.get('name') or number}"
        channel = channel_of(entry, where, KEYS[""])
        channels[channel.name] = channel
        events = entry.get("events", list(KINDS))
        for kind in events if isinstance(events, list) else [events]:
            if kind not in KINDS:
                raise SettingsError(f"{where}: no kind of event {kind!r}. {hint(str(kind), KINDS)}")
            if channel.name not in told[kind]:
                told[kind].append(channel.name)
    return channels, told


def channel_of(entry: Mapping[str, Any], where: str, own: Sequence[str], forms: Sequence[str] = FORMS) -> Channel:
    """The channel that an entry of the settings describes."""
    form = entry.get("to")
    if form not in forms:
        raise SettingsError(f"{where}: `to` is {form!r}. {hint(str(form), forms)}")
    known = (*own, *KEYS["email" if form == "email" else "http"])
    if unknown := [key for key in entry if key not in known]:
        raise SettingsError(f"{where}: no key {unknown[0]!r}. {hint(str(unknown[0]), known)}")
    if form != "email":
        return Webhook(_url(entry, where), str(form))
    receivers = entry.get("receivers", [])
    receivers = [receivers] if isinstance(receivers, str) else receivers
    if wrong := misfit(receivers, ["text"], "receivers"):
        raise SettingsError(f"{where}: {wrong}.")
    if not receivers or not entry.get("sender"):
        raise SettingsError(f"{where}: e-mail needs `sender` and `receivers`.")
    return mailer(entry, where, receivers)


def mailer(entry: Mapping[str, Any], where: str, receivers: Sequence[str]) -> Email:
    """The mail channel of an entry, to these receivers."""
    security = entry.get("security", "starttls")
    if security not in ("starttls", "tls", "none"):
        raise SettingsError(f"{where}: security is {security!r}. {hint(str(security), ['starttls', 'tls', 'none'])}")
    host = str(entry.get("host", "localhost"))
    user = _variable(entry, "user_env", where)
    if security == "none" and user and host not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError(
            f'{where}: a password isn\'t sent to {host} without encryption; use security = "starttls" or "tls".'
        )
    port = int(entry.get("port", {"starttls": 587, "tls": 465, "none": 25}[security]))
    return Email(
        host,
        port,
        security,
        str(entry["sender"]),
        tuple(map(str, receivers)),
        user,
        _variable(entry, "password_env", where),
    )


def _url(entry: Mapping[str, Any], where: str) -> str:
    if ("url" in entry) == ("url_env" in entry):
        raise SettingsError(
            f"{where} needs `url_env`, the variable that holds the address (or `url`, if it holds no secret)."
        )
    url = str(entry["url"]) if "url" in entry else _variable(entry, "url_env", where)
    return checked_url(url, where)


def checked_url(url: str, where: str) -> str:
    """An http or https address.

    Raises:
        SettingsError: it is none; the address, which may hold a secret, is not repeated.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # brackets that hold no address
        good = False
    if not good:
        raise SettingsError(f"{where}: the webhook must be an http or https address.")
    return url


def _variable(entry: Mapping[str, Any], key: str, where: str) -> str:
    name = entry.get(key)
    if not name:
        return ""
    value = os.environ.get(str(name), "")
    if not value:
        raise CredentialsError(f"{where}: set the environment variable {name}.")
    return value


def _line(text: object) -> str:
    """Text in one line, nothing in it hidden: what comes from outside can't add a header, nor a line that looks like ours."""
    return visible(" ".join(str(text).split()))


def _told(facts: Mapping[str, Any]) -> str:
    return "\n".join(
        f"{name.replace('_', ' ')}: {_line(value)}" for name, value in facts.items() if value not in (None, "")
    )
