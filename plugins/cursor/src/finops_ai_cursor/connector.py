"""The connector: live through the team's Admin API, or from saved answers and the dashboard's CSV."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from pydantic import Field

from finops_ai.errors import CredentialsError, DataError, ProviderError
from finops_ai.frames import CommitFrame, empty
from finops_ai.periods import UTC, Window
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, HttpRefused, secret
from finops_ai.providers.files import find_files
from finops_ai_cursor import people, saved
from finops_ai_cursor.api import MEMBERS, Team, mail
from finops_ai_cursor.events import Event, events_of, token_frame
from finops_ai_cursor.groups import Groups

if TYPE_CHECKING:
    import pandas as pd

HOST = "https://api.cursor.com"
HELP = (
    "The Admin API takes a team's key (Dashboard > Settings > Admin API keys, made by an administrator; scope read) and a "
    "plan that includes it: a refusal may be either, not only a wrong key."
)


class CursorSettings(ConnectorSettings):
    """Settings of `[providers.cursor]`."""

    team: str = Field("cursor", description="Name of the team: the billing account of its rows.")
    plan: str = Field(
        "teams-standard", description="Plan of the seats, as the seat-price file names it; the API doesn't tell."
    )
    plans: dict[str, str] = Field(default_factory=dict, description="E-mail -> plan, for those on another one.")
    user: str | None = Field(None, description="Whose a person's own dashboard export is, which has no column for it.")
    groups: bool = Field(True, description="Name the billing group each person was in at the time.")
    api_key_env: str = Field("CURSOR_API_KEY", description="Environment variable that holds the Admin API key.")


class CursorConnector(Connector):
    """Usage events, on-demand spend, seats and AI commits of a Cursor team.

    Each event says which money it is: cash where it is charged on demand, included where the plan covers it. The cost of
    an event stands once, on its `requests` row, in `billed_cost`. Bill rows are the same on-demand money as Cursor sums it
    per member and cycle: compare them, never add them to the events.

    Example:
        connector = CursorConnector(files=["exports/cursor/*"])
        tokens = connector.usage(Window.month("2026-10"))
        seats = connector.seats(Window.month("2026-10"))
    """

    name: ClassVar[str] = "cursor"
    title: ClassVar[str] = "Cursor (team)"
    Settings: ClassVar[type[ConnectorSettings]] = CursorSettings
    restated_days: ClassVar[int] = 3
    _events: tuple[Window, list[Event]] | None = None
    _read: tuple[Any, saved.Saved] | None = None

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window, one slice per event."""
        settings: Any = self.settings
        if not self.live:
            held = self._saved()
            chosen = [event for event in held.events if event.at in window]
            return token_frame(
                chosen, account=settings.team, groups=Groups(held.groups), source="file", notes=self.notes
            )
        with self._http() as http:
            team = Team(http, self.notes)
            found = self._found(team, window)
            groups = Groups(team.groups(window) if settings.groups and found else ())
        self.fresh_until = min(window.end, dt.datetime.now(UTC))
        return token_frame(found, account=settings.team, groups=groups, source="api", notes=self.notes)

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame: on-demand spend per member of the billing cycle that begins in the window."""
        settings: Any = self.settings
        if not self.live:
            cycles = [(start, rows) for start, rows in self._saved().spend]
            self._compared(cycles[-1] if cycles else None, self._saved().events)
            return people.bill_frame(cycles, window, account=settings.team, source="file")
        with self._http() as http:
            rows, start = Team(http, self.notes).spend()
        if self._events and start and self._events[0].start <= start and self._events[0].end >= dt.datetime.now(UTC):
            self._compared((start, rows), self._events[1])
        return people.bill_frame([(start, rows)], window, account=settings.team, source="api")

    def seats(self, window: Window) -> pd.DataFrame:
        """Seat frame of today's members; latest use is that of the window."""
        if not self.live:
            held = self._saved()
            days = None if held.daily is None else saved.active_days(held.daily, window)
            return self._seat_frame(held.members or [], held.events, days, window, "file")
        with self._http() as http:
            team = Team(http, self.notes)
            members, found = team.members(), self._found(team, window)
            days = team.active_days(Window(window.start, max(window.start, min(window.end, dt.datetime.now(UTC)))))
        return self._seat_frame(members, found, days, window, "api")

    def commits(self, window: Window) -> pd.DataFrame:
        """Commit frame of the window, where the plan opens AI code tracking."""
        if not self.live:
            return people.commit_frame(self._saved().commits, window, source="file")
        with self._http() as http:
            try:
                rows = Team(http, self.notes).commits(window)
            except HttpRefused as error:
                self.notes.append(
                    f"AI commits couldn't be read ({error.said or error.status}): the plan may not have them."
                )
                return empty(CommitFrame)
        return people.commit_frame(rows, window, source="api")

    def doctor(self) -> list[Finding]:
        """Whether the files are there, or the key opens the API (one cheap call)."""
        if not self.live:
            try:
                return [Finding("saved files", True, f"{len(find_files(self.settings.files))} files")]
            except DataError as error:
                return [
                    Finding("saved files", False, str(error), "Save the dashboard's CSV there, or correct `files`.")
                ]
        try:
            http = self._http()
        except CredentialsError as error:
            return [Finding("Admin API key", False, str(error), HELP)]
        with http:
            try:
                members = http.get(MEMBERS).get("teamMembers", [])
            except CredentialsError as error:
                return [Finding("permission to read the team", False, str(error), HELP)]
            except ProviderError as error:
                return [Finding("connection", False, str(error), "Check endpoint_url, proxy and network.")]
        return [Finding("permission to read the team", True, f"{len(members)} members")]

    def _found(self, team: Team, window: Window) -> list[Event]:
        found = events_of(team.events(window), window, self.notes)
        self._events = (window, found)
        return found

    def _seat_frame(
        self, members: list[Any], events: list[Event], days: dict[str, dt.datetime] | None, window: Window, source: str
    ) -> pd.DataFrame:
        settings: Any = self.settings
        used = dict(days or {})
        for event in events:
            if event.user and event.at in window and event.at >= used.get(event.user, event.at):
                used[event.user] = event.at
        return people.seat_frame(
            members,
            used,
            plan=settings.plan,
            plans={str(mail(who)): plan for who, plan in settings.plans.items()},
            heard=days is not None,
            source=source,
            left_out=self.left_out,
        )

    def _compared(self, cycle: tuple[dt.datetime | None, list[Any]] | None, events: list[Event]) -> None:
        """Say where on-demand events of a cycle and the spend that Cursor states for it differ, and by whom."""
        if not cycle or cycle[0] is None or not events:
            return
        start, end = cycle[0], people.next_cycle(cycle[0])
        charged: dict[str, Decimal] = {}
        for event in events:
            if event.basis == "cash" and event.cost is not None and start <= event.at < end:
                charged[event.user or "nobody"] = charged.get(event.user or "nobody", Decimal(0)) + event.cost
        stated = {str(mail(row.get("email"))): Decimal(str(row.get("spendCents") or 0)) / 100 for row in cycle[1]}
        apart = {
            who: charged.get(who, Decimal(0)) - stated.get(who, Decimal(0))
            for who in sorted({*charged, *stated})
            if abs(charged.get(who, Decimal(0)) - stated.get(who, Decimal(0))) >= Decimal("0.005")
        }
        if apart:
            most = sorted(apart.items(), key=lambda item: -abs(item[1]))[:5]
            named = ", ".join(f"{who} {amount:+f}" for who, amount in most)
            self.notes.append(
                f"On-demand events of the cycle from {start:%Y-%m-%d} come to {sum(charged.values(), Decimal(0)):f} USD, the spend "
                f"Cursor states to {sum(stated.values(), Decimal(0)):f}: {named}. Service accounts and removed members may be in "
                "events alone."
            )

    def _saved(self) -> saved.Saved:
        """What the files hold, read again only when a file changed."""
        settings: Any = self.settings
        state = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in find_files(settings.files)]
        if self._read is None or self._read[0] != state:
            self._read = (state, saved.read_saved(settings.files, self.notes, settings.user))
        return self._read[1]

    def _http(self) -> HttpClient:
        settings: Any = self.settings
        key = secret(None, variable=settings.api_key_env, what="Cursor Admin API key", how=HELP)
        return HttpClient(
            self.name,
            settings.endpoint_url or HOST,
            headers={"user-agent": "finops-ai/0.1"},
            timeout=settings.timeout,
            max_retries=settings.max_retries,
            permission_help=HELP,
            auth=httpx.BasicAuth(key, ""),
        )
