"""Asking GitHub: report jobs, usage of AI credits, billed usage by cost center, and seats. Nothing is changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from finops_ai.errors import ProviderError, ProviderUnavailable
from finops_ai.periods import Window
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai_github_copilot.items import minus

VERSION = "2026-03-10"
DAY = dt.timedelta(days=1)
#: longest range of one report
REACH = 31 * DAY
#: from this day on use is billed in AI credits; before, in premium requests
CREDITS_FROM = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
PER_PAGE = 100
#: readings of a listing that changes while it is read, before what was found has to do
PASSES = 5
#: seconds between two looks at a report job, and how long one is waited for
POLL, PATIENCE = 5.0, 1800.0
Row = dict[str, Any]


class Billing:
    """What GitHub tells an enterprise or organization of Copilot.

    Args:
        http: client of the API host.
        owner: "enterprises/NAME" or "organizations/NAME".
        notes: list that gets what a reader must know.
        download: makes a client for the host of a report's link; that host gets no credentials.
    """

    def __init__(
        self,
        http: HttpClient,
        owner: str,
        notes: list[str],
        download: Callable[[str], HttpClient],
    ) -> None:
        self.http, self.owner, self.notes, self.download = http, owner, notes, download

    @property
    def is_enterprise(self) -> bool:
        """Whether it is an enterprise: only that has cost centers and reports."""
        return self.owner.startswith("enterprises/")

    # -- reports

    def reports(self, window: Window) -> Iterator[tuple[str, bytes]]:
        """Name and content of the usage reports of the days of the window, made by jobs of at most 31 days.

        Raises:
            HttpRefused: there are no report jobs here.
            ProviderError: a job failed; `ProviderUnavailable` where it isn't done in time.
        """
        for kind, piece in _kinds(window):
            last = piece.end - dt.timedelta(microseconds=1)
            asked = {"report_type": kind, "start_date": f"{piece.start:%Y-%m-%d}", "end_date": f"{last:%Y-%m-%d}"}
            job = self._object(self.http.post(f"{self.owner}/settings/billing/reports", asked), "reports")
            for number, link in enumerate(self._links(job), 1):
                yield f"{kind} report of {piece}, file {number}", self._content(link)

    def _links(self, job: Row) -> list[str]:
        waited, name = 0.0, job.get("id")
        while job.get("status") != "completed":
            if job.get("status") != "processing":
                raise ProviderError(
                    f"github-copilot: the report job {name} is {job.get('status')!r}. Nothing of this window was "
                    "stored; run the same command again."
                )
            if waited >= PATIENCE:
                raise ProviderUnavailable(
                    f"github-copilot: the report job {name} isn't done after {waited:.0f} s. Nothing of this window "
                    "was stored; run the same command again later."
                )
            self.http.wait(POLL)
            waited += POLL
            job = self._object(self.http.get(f"{self.owner}/settings/billing/reports/{quote(str(name))}"), "reports")
        links = job.get("download_urls")
        if not isinstance(links, list) or not links:
            raise ProviderError(f"github-copilot: the completed report job {name} has no download_urls. {_CHANGED}")
        return links

    def _content(self, link: str) -> bytes:
        place = urlsplit(link)
        with self.download(f"{place.scheme}://{place.netloc}") as http:
            path = place.path + (f"?{place.query}" if place.query else "")
            return http.send("GET", path, check=whole_csv).content

    # -- sums

    def credit_days(
        self, window: Window, people: list[str]
    ) -> Iterator[tuple[dt.datetime, str | None, str | None, Row]]:
        """Usage of AI credits (before June 2026 of premium requests) by day: (day, person, cost center, item).

        Items name no person: each is asked for alone, and what all of them leave of a day's total has none.
        """
        centers: list[Row | None] = [None]
        if self.is_enterprise:
            centers = [*self.cost_centers(), {"id": "none", "name": None}]
        for day in window.pieces(DAY):
            kind = "ai_credit" if day.start >= CREDITS_FROM else "premium_request"
            path = f"{self.owner}/settings/billing/{kind}/usage"
            when = {"year": day.start.year, "month": day.start.month, "day": day.start.day}
            for center in centers:
                where = when if center is None else {**when, "cost_center_id": center["id"]}
                name = center and center.get("name")
                rest = self._items(path, where)
                if not rest:
                    continue
                for person in people:
                    items = self._items(path, {**where, "user": person})
                    for item in items:
                        yield day.start, person, name, item
                    rest = minus(rest, items, f"{path} of {day.start:%Y-%m-%d}, user {person}")
                for item in rest:
                    yield day.start, None, name, item

    def billed(self, window: Window) -> Iterator[tuple[str | None, Row]]:
        """Billed usage of every product by month: (cost center, item). Without a cost center an enterprise is told only
        what lies outside them all, so each is asked for alone, the deleted ones too."""
        path = f"{self.owner}/settings/billing/usage"
        centers: list[Row | None] = [None, *(self.cost_centers() if self.is_enterprise else ())]
        for month in window.months():
            when = {"year": int(month[:4]), "month": int(month[5:])}
            for center in centers:
                for item in self._items(path, when if center is None else {**when, "cost_center_id": center["id"]}):
                    yield (center["name"] if center else None), item

    def cost_centers(self) -> list[Row]:
        """All cost centers, those deleted since included."""
        found: dict[str, Row] = {}
        for state in ("active", "deleted"):
            path = f"{self.owner}/settings/billing/cost-centers"
            try:
                answer = self._object(self.http.get(path, {"state": state}), path)
            except HttpRefused as error:
                if error.status == 404:
                    return []
                raise
            found |= {str(center["id"]): center for center in answer.get("costCenters") or ()}
        return list(found.values())

    def _items(self, path: str, params: Row) -> list[Row]:
        answer = self._object(self.http.get(path, params), path)
        items = answer.get("usageItems")
        if not isinstance(items, list):
            raise ProviderError(f"github-copilot: the answer of /{path} has no list called 'usageItems'. {_CHANGED}")
        return items

    # -- seats

    def seats(self) -> tuple[list[Row], int | None]:
        """Every seat object, one per granting organization or team, and how many people GitHub counts."""
        owner = self.owner.replace("organizations/", "orgs/")
        path = f"{owner}/copilot/billing/seats"
        found: dict[Any, Row] = {}
        for _ in range(PASSES):
            totals = self._pass(path, found)
            rows, total = self._page(
                path, 1
            )  # what was granted meanwhile is in front, and pushed others to the next page
            if {total, *totals} == {total} and all(_grant(row) in found for row in rows):
                return list(found.values()), total
        self.notes.append(
            "The listing of seats changed each time it was read: seats granted or removed meanwhile may be missing."
        )
        return list(found.values()), total

    def _pass(self, path: str, found: dict[Any, Row]) -> list[int | None]:
        """Add all seat objects of one reading; what each page said of how many people there are.

        An enterprise counts people, not these objects, so only an empty page ends them, or one that is given again.
        """
        totals: list[int | None] = []
        before: list[Row] = []
        while True:
            rows, total = self._page(path, len(totals) + 1)
            if not rows or rows == before:
                return totals
            totals.append(total)
            found |= {_grant(row): row for row in rows}
            before = rows

    def _page(self, path: str, number: int) -> tuple[list[Row], int | None]:
        answer = self._object(self.http.get(path, {"page": number, "per_page": PER_PAGE}), path)
        rows = answer.get("seats")
        if not isinstance(rows, list):
            raise ProviderError(f"github-copilot: the answer of /{path} has no list called 'seats'. {_CHANGED}")
        return rows, answer.get("total_seats")

    def _object(self, answer: Any, path: str) -> Row:
        if not isinstance(answer, dict):
            raise ProviderError(f"github-copilot: the answer of /{path} is no object. {_CHANGED}")
        return answer


_CHANGED = "Nothing was stored; update finops-ai-github-copilot if the provider changed its API."


def _grant(seat: Row) -> tuple[Any, ...]:
    who, team = seat.get("assignee") or {}, seat.get("assigning_team") or {}
    return (
        who.get("id") or who.get("login"),
        (seat.get("organization") or {}).get("login"),
        team.get("id"),
        seat.get("created_at"),
    )


def _kinds(window: Window) -> Iterator[tuple[str, Window]]:
    """The reports to ask for: of premium requests before June 2026, of AI credits since."""
    turn = min(max(CREDITS_FROM, window.start), window.end)
    for kind, part in (("premium_request", Window(window.start, turn)), ("ai_credit", Window(turn, window.end))):
        for piece in part.pieces(REACH):
            yield kind, piece


def whole_csv(content: bytes) -> None:
    """Raises ValueError where a report's text ends in the middle of a row."""
    text = content.rstrip(b" ")
    if text and not text.endswith(b"\n") and (text.count(b'"') % 2 or not text.endswith(b'"')):
        raise ValueError("it ends in the middle of a row")
