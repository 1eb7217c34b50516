"""Credentials go over https only: plain http is refused except to this machine, or where a setting allows it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from finops_ai.errors import SettingsError

_allowed: ContextVar[bool] = ContextVar("plain_http", default=False)


@contextmanager
def plain_http(allowed: bool) -> Iterator[None]:
    """Allow plain http while a connection whose settings say so is read."""
    token = _allowed.set(allowed or _allowed.get())
    try:
        yield
    finally:
        _allowed.reset(token)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or the name that is reserved for it; no name is resolved.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("localhost.evil.example")
    (True, True, True, False)
    """
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def require_https(address: str, place: str, *, allowed: bool | None = None) -> None:
    """Refuse an address that would send credentials unencrypted.

    Args:
        address: the URL.
        place: connection and setting, for the message.
        allowed: the setting `allow_plain_http`; by default what is in force.

    Raises:
        SettingsError: plain http to another machine.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise SettingsError(f"{place}: {address[:100]!r} is no address ({error}).") from None
    if parts.scheme.lower() != "http" or is_loopback(parts.hostname or ""):
        return
    if not (_allowed.get() if allowed is None else allowed):
        raise SettingsError(
            f"{place}: {parts.scheme}://{parts.hostname} is not encrypted, and credentials would be readable on the way. Write "
            "https://, or set allow_plain_http = true for a network that is yours alone."
        )
