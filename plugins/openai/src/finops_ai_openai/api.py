"""Asking the organization API: pages of buckets, whatever the paging does, and the finest grouping it grants."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from finops_ai.errors import ProviderError
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai.providers.amounts import count
from finops_ai.shapes import misfit


@dataclass(frozen=True)
class Bucket:
    """One time bucket `[start, end)` in Unix seconds, its results, and where it was read."""

    start: int
    end: int
    results: list[dict[str, Any]]
    place: str


def buckets_of(page: Any, place: str) -> list[Bucket]:
    """The buckets of one answer.

    Raises:
        ProviderError: it isn't a page of buckets; says what is missing where.
    """
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise ProviderError(f"{place}: not a page of the Usage or Costs API: no list called 'data'.")
    out = []
    for number, bucket in enumerate(page["data"], 1):
        where = f"{place}, bucket {number}"
        if not isinstance(bucket, dict):
            raise ProviderError(f"{where}: not an object but {bucket!r:.60}.")
        results = bucket.get("results", bucket.get("result"))
        if not isinstance(results, list):
            raise ProviderError(f"{where}: no list called 'results'. OpenAI may have changed its answers.")
        start, end = count(bucket.get("start_time")), count(bucket.get("end_time"))
        if not isinstance(start, int) or not isinstance(end, int) or start >= end:
            raise ProviderError(f"{where}: start_time {start!r} and end_time {end!r} are no time span.")
        out.append(Bucket(start, end, results, where))
    return out


def read_buckets(client: HttpClient, path: str, params: dict[str, Any]) -> Iterator[Bucket]:
    """Every bucket of `[start_time, end_time)`, each once, in the order the API gives them.

    A page token that is refused or comes twice ends that run of pages; the rest is asked for from the last bucket on.
    Both happen (openai community thread 1369109).

    Raises:
        ProviderError: paging makes no progress, so data would be missing.
    """
    start, reached, seen, token = params["start_time"], params["start_time"], set(), None
    given: set[tuple[int, int]] = set()
    while True:
        try:
            page = client.get(path, params | {"start_time": start} | ({"page": token} if token else {}))
        except HttpRefused as error:
            if token is None or error.status != 400:
                raise
            page = {"data": [], "has_more": True}
        for bucket in buckets_of(page, f"openai GET /{path}"):
            if (bucket.start, bucket.end) not in given:
                given.add((bucket.start, bucket.end))
                yield bucket
            reached = max(reached, bucket.end)
        if not page.get("has_more") or reached >= params["end_time"]:
            return
        token = page.get("next_page")
        if token is None or token in seen:
            if reached <= start:
                raise ProviderError(
                    f"openai: GET /{path} says there is more after {_iso(reached)} but its page token leads nowhere. "
                    "Nothing of this window was stored; run the same command again later, or a shorter window."
                )
            start, token = reached, None
        else:
            seen.add(token)


def _iso(seconds: int) -> str:
    import datetime as dt

    return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def read_grouped(
    client: HttpClient, path: str, params: dict[str, Any], rungs: Sequence[tuple[str, ...]]
) -> tuple[list[Bucket], tuple[str, ...]]:
    """Buckets grouped as finely as the API grants, and that grouping.

    Raises:
        HttpRefused: even the coarsest grouping is refused; carries the first refusal.
    """
    refused: HttpRefused | None = None
    for groups in rungs:
        try:
            return list(read_buckets(client, path, params | {"group_by": list(groups)})), groups
        except HttpRefused as error:
            if error.status != 400:
                raise
            refused = refused or error
    assert refused is not None
    raise refused


def read_names(client: HttpClient) -> dict[str, str]:
    """Project id to name, archived projects included."""
    names: dict[str, str] = {}
    after = None
    while True:
        params = {"limit": 100, "include_archived": "true"} | ({"after": after} if after else {})
        page = client.get("organization/projects", params)
        found = project_names(page)
        names |= found
        last = page.get("last_id")
        if not page.get("has_more") or not last or last == after:
            return names
        after = last


def project_names(page: Any) -> dict[str, str]:
    """Project id to name of one saved or fetched page of projects."""
    rows = page.get("data", []) if isinstance(page, dict) else []
    named = [row for row in rows if not misfit(row, {"id!": "text", "name!": "text"})] if isinstance(rows, list) else []
    return {row["id"]: row["name"] for row in named if row["id"] and row["name"]}
