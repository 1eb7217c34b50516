"""The connector: live through GitHub's billing API, or from saved reports and answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from finops_ai.errors import CredentialsError, DataError, ProviderError, SettingsError
from finops_ai.periods import UTC, Window, whole_months
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, HttpRefused, secret
from finops_ai.providers.files import find_files
from finops_ai_github_copilot import bills, items, report, saved
from finops_ai_github_copilot.api import VERSION, Billing
from finops_ai_github_copilot.items import Line
from finops_ai_github_copilot.report import Charge
from finops_ai_github_copilot.seats import seat_frame

if TYPE_CHECKING:
    import pandas as pd

HOST = "https://api.github.com"
HELP = (
    "Billing takes a token of an enterprise administrator or billing manager (scope manage_billing:copilot, or read access to "
    "enterprise billing), for an organization of an owner."
)
DAY = dt.timedelta(days=1)


class GitHubCopilotSettings(ConnectorSettings):
    """Settings of `[providers.github-copilot]`."""

    enterprise: str | None = Field(None, description="Slug of the enterprise that is billed.")
    organization: str | None = Field(
        None, description="Login of the organization that is billed, where there is no enterprise."
    )
    read_from: Literal["auto", "report", "sums"] = Field(
        "auto", description="auto takes report jobs where there are any, else sums by day and person."
    )
    actions: Literal["agents", "all", "none"] = Field(
        "agents",
        description="Which Actions lines of the bill are kept: those of Copilot's own workflows, all, or none.",
    )
    token_env: str = Field("GITHUB_TOKEN", description="Environment variable that holds the token.")


class GitHubCopilotConnector(Connector):
    """AI credits, premium requests, charges and seats of GitHub Copilot.

    A line's part that the pool of included credits covers is `included`, what is billed on top is `cash`. Seats and the net of
    credits are in `bills`, as the invoice has them.

    Example:
        connector = GitHubCopilotConnector(files=["exports/copilot/*"])
        tokens = connector.usage(Window.month("2026-10"))
        seats = connector.seats(Window.month("2026-10"))
    """

    name: ClassVar[str] = "github-copilot"
    title: ClassVar[str] = "GitHub Copilot"
    Settings: ClassVar[type[ConnectorSettings]] = GitHubCopilotSettings
    restated_days: ClassVar[int] = 3
    _read: tuple[Any, saved.Saved] | None = None

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the days that begin in the window, by person, SKU, model, organization, repository and cost center."""
        days = _whole_days(window)
        if not self.live:
            lines = [line for line in self._saved().lines if line.day in days]
            return items.token_frame(lines, account=self._account(), source="file", notes=self.notes)
        if days.start >= days.end:
            return items.token_frame([], account=self._account(), source="api", notes=self.notes)
        with self._http() as http:
            lines = [line for line in self._live_lines(http, days) if line.day in days]
        self.fresh_until = min(days.end, dt.datetime.now(UTC))
        return items.token_frame(lines, account=self._account(), source="api", notes=self.notes)

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame: seats, AI credits and Copilot's own Actions minutes that begin in the window."""
        settings: Any = self.settings
        common: dict[str, Any] = {"account": self._account(), "actions": settings.actions, "left_out": self.left_out}
        if not self.live:
            return bills.bill_frame(self._saved().charges, window, source="file", **common)
        charges: list[Charge] = []
        with self._http() as http:
            billing = self._billing(http)
            for month in whole_months(window) if window.start < window.end else ():
                charges += [report.of_item(item, center) for center, item in billing.billed(month)]
        return bills.bill_frame(charges, window, source="api", **common)

    def seats(self, window: Window) -> pd.DataFrame:
        """Seat frame: one row a person, whatever number of organizations grants the seat."""
        if not self.live:
            held = self._saved()
            objects, total, centers, lines = held.seats, held.total_seats, held.centers, held.lines
            active = held.active
        else:
            lines, active = [], {}
            with self._http() as http:
                billing = self._billing(http)
                objects, total = billing.seats()
                centers = billing.cost_centers() if billing.is_enterprise else []
        charged = {
            str(who["name"]).lower(): str(center["name"])
            for center in centers
            for who in center.get("resources") or ()
            if str(who.get("type")).lower() == "user" and str(center.get("state") or "active") == "active"
        }
        return seat_frame(
            objects,
            window,
            total=total,
            billed={str(line.user).lower(): line.organization for line in lines if line.user and line.organization},
            centers=charged,
            active=active,
            source="api" if self.live else "file",
            notes=self.notes,
            left_out=self.left_out,
        )

    def doctor(self) -> list[Finding]:
        """Whether the files are there, or the token opens billing (one cheap call)."""
        if not self.live:
            try:
                return [Finding("saved files", True, f"{len(find_files(self.settings.files))} files")]
            except DataError as error:
                return [Finding("saved files", False, str(error), "Save the usage report there, or correct `files`.")]
        try:
            with self._http() as http:
                http.get(f"{self._owner()}/settings/billing/usage", {"year": dt.datetime.now(UTC).year, "month": 1})
        except SettingsError as error:
            return [Finding("who is billed", False, str(error), 'Set enterprise = "..." or organization = "...".')]
        except CredentialsError as error:
            return [Finding("permission to read billing", False, str(error), HELP)]
        except ProviderError as error:
            return [
                Finding(
                    "connection",
                    False,
                    str(error),
                    f"Check enterprise or organization, endpoint_url and network. {HELP}",
                )
            ]
        return [Finding("permission to read billing", True, "the billing usage answers")]

    def _live_lines(self, http: HttpClient, days: Window) -> Iterator[Line]:
        settings: Any = self.settings
        billing = self._billing(http)
        if settings.read_from != "sums":
            try:
                for place, content in billing.reports(days):
                    yield from (line for line in report.read(content, place, self.notes) if isinstance(line, Line))
                return
            except HttpRefused as error:
                if settings.read_from == "report" or error.status not in (404, 405, 410, 422):
                    raise
                self.notes.append(
                    f"There are no report jobs here ({error.said or error.status}): sums by day and person were read; they name no "
                    "repository and no tokens."
                )
        people = sorted(
            {str(who["login"]) for seat in billing.seats()[0] if (who := seat.get("assignee")) and who.get("login")}
        )
        owner = settings.organization if not billing.is_enterprise else None
        for day, person, center, item in billing.credit_days(days, people):
            yield items.of_sums(day, person, center, item, owner)

    def _billing(self, http: HttpClient) -> Billing:
        return Billing(http, self._owner(), self.notes, self._download)

    def _owner(self) -> str:
        settings: Any = self.settings
        if settings.enterprise:
            return f"enterprises/{settings.enterprise}"
        if settings.organization:
            return f"organizations/{settings.organization}"
        raise SettingsError(
            "[providers.github-copilot]: neither `enterprise` nor `organization` is set: who is billed?"
        )

    def _account(self) -> str:
        settings: Any = self.settings
        return settings.enterprise or settings.organization or "github"

    def _saved(self) -> saved.Saved:
        """What the files hold, read again only when a file changed."""
        state = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in find_files(self.settings.files)]
        if self._read is None or self._read[0] != state:
            self._read = (state, saved.read_saved(self.settings.files, self.notes))
        return self._read[1]

    def _http(self) -> HttpClient:
        settings: Any = self.settings
        self._owner()
        token = secret(None, variable=settings.token_env, what="GitHub token", how=HELP)
        headers = {
            "authorization": f"Bearer {token}",
            "accept": "application/vnd.github+json",
            "x-github-api-version": VERSION,
            "user-agent": "finops-ai/0.1",
        }
        return self._client(settings.endpoint_url or HOST, headers)

    def _download(self, host: str) -> HttpClient:
        """A client for a report's link: it is signed, so it gets no token."""
        return self._client(host, {"user-agent": "finops-ai/0.1"})

    def _client(self, host: str, headers: dict[str, str]) -> HttpClient:
        settings: Any = self.settings
        return HttpClient(
            self.name, host, headers=headers, timeout=settings.timeout, max_retries=settings.max_retries, permission_help=HELP
        )  # fmt: skip


def _whole_days(window: Window) -> Window:
    """The UTC days that begin in a window."""

    def ceil(moment: dt.datetime) -> dt.datetime:
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return day if day == moment else day + DAY

    return Window(ceil(window.start), ceil(window.end))
