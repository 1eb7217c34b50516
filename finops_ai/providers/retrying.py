"""The one way to ask again: which faults may pass, how long to wait before the next try, and when to give up."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

from finops_ai.errors import ProviderUnavailable

T = TypeVar("T")

log = logging.getLogger("finops_ai.providers")

#: answers worth asking again for: timeouts, rate limits, overload (529 is Anthropic's)
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
#: longest pause between tries where the answer doesn't say how long
LONGEST_WAIT = 60.0
#: longest pause an answer may ask for; beyond it the load stops and says when to run it again
PATIENCE = 900.0


def stand_by(seconds: float) -> None:
    """How every client waits between tries unless it is given another way."""
    time.sleep(seconds)


class Passing(Exception):
    """A fault that may pass, so that it is worth asking again.

    Args:
        problem: what happened, for messages.
        wait: seconds the answer asks to wait; None = it doesn't say.
    """

    def __init__(self, problem: str, wait: float | None = None) -> None:
        super().__init__(problem)
        self.problem, self.wait = problem, wait


def asking_again(
    ask: Callable[[], T], *, provider: str, what: str, retries: int, sleep: Callable[[float], object] = stand_by
) -> T:
    """What `ask` gives. Where it raises `Passing`, it is asked again: after what the answer asks for, else ever longer.

    Args:
        ask: asks once.
        provider: who is asked, for messages.
        what: what is asked for, for messages.
        retries: how often to ask again.
        sleep: how to wait.

    Raises:
        ProviderUnavailable: it still fails after the retries, or the answer asks for longer than a load waits.

    >>> answers = iter([Passing("HTTP 429", 2.0), Passing("HTTP 503", 4.0), "rows"])
    >>> def ask():
    ...     answer = next(answers)
    ...     if isinstance(answer, Passing):
    ...         raise answer
    ...     return answer
    >>> waited = []
    >>> asking_again(ask, provider="acme", what="usage", retries=2, sleep=waited.append), waited
    ('rows', [2.0, 4.0])
    """
    attempt = 0
    while True:
        try:
            return ask()
        except Passing as fault:
            attempt += 1
            if attempt > retries:
                raise ProviderUnavailable(
                    f"{provider}: {what} still fails after {attempt} {'try' if attempt == 1 else 'tries'}: {fault.problem}. "
                    "Nothing of this window was stored; run the same command again later."
                ) from None
            pause = pause_before(provider, what, fault.problem, fault.wait, attempt)
            log.info(
                "%s: %s: %s; asking again in %.1f s (%d of %d)", provider, what, fault.problem, pause, attempt, retries
            )
        sleep(pause)


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
    """Seconds that one header asks for; a header that came several times stands as "2, 5"."""
    try:
        waits = [float(part.strip().lower().removesuffix("s")) for part in text.split(",")]
    except ValueError:
        when = _instant(text)
        return max((when - _server_time(date)).total_seconds(), 0.0) if when else None
    return max((max(wait, 0.0) for wait in waits if math.isfinite(wait)), default=None)


def _server_time(date: str | None) -> dt.datetime:
    """The server's own clock where it tells, so that a skewed clock here doesn't matter."""
    return _instant(date or "") or dt.datetime.now(dt.UTC)


def _instant(text: str) -> dt.datetime | None:
    """A date as mail or as ISO 8601 write it; one without a zone is UTC."""
    for read in (email.utils.parsedate_to_datetime, dt.datetime.fromisoformat):
        try:
            when = read(text)
        except (ValueError, TypeError, IndexError):
            continue
        return when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return None
