"""How long an answer asks to wait, in every way servers write it, and that every client waits the same way."""

from __future__ import annotations

import time

import pytest

from finops_ai.providers import HttpClient
from finops_ai.providers.retrying import retry_after
from finops_ai.testing import PlayedProvider, Reply

#: 04:00:30 by the server's clock, whatever it is here
DATE = "Tue, 01 Dec 2026 04:00:30 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "2, 5"}, 5.0),  # sent twice
        ({"Retry-After": "3s"}, 3.0),
        ({"Retry-After": "-4"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "20261201"}, 20_261_201.0),  # seconds, however many
        ({"Retry-After": "Tue, 01 Dec 2026 04:01:00 GMT", "Date": DATE}, 30.0),
        ({"Retry-After": "Tue, 01 Dec 2026 04:01:00", "Date": DATE}, 30.0),  # no zone: UTC
        ({"Retry-After": "2026-12-01T04:01:00Z", "Date": DATE}, 30.0),
        ({"Retry-After": "Tue, 01 Dec 2026 03:59:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After-Ms": "2500"}, 2.5),
        ({"Retry-After": "2", "X-Ms-Retry-After-Ms": "2500"}, 2.5),
    ],
)
def test_what_an_answer_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_client_waits_by_the_clock_that_is_there_when_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with PlayedProvider(lambda request: Reply({"ok": True})) as played:
        played.troubles.append(Reply({}, 429, {"retry-after": "7"}))
        with HttpClient("acme", played.url) as client:
            assert client.get("usage") == {"ok": True}
    assert [seconds for seconds in slept if seconds == 7.0] == [7.0]
