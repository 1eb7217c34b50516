"""The connector: live through the organization's reports, or from saved pages and Claude Code's own records."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from finops_ai.errors import CredentialsError, DataError, FinopsError, ProviderError
from finops_ai.periods import UTC, Window, iso
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, HttpRefused, secret
from finops_ai.providers.files import find_files
from finops_ai_anthropic import bills, claude_code, usage
from finops_ai_anthropic.api import ANALYTICS, ANALYTICS_BETA, VERSION, Reports
from finops_ai_anthropic.saved import Saved, latest, read_saved

if TYPE_CHECKING:
    import pandas as pd

HOST = "https://api.anthropic.com"
HELP = (
    "The reports need an Admin key (Console > Settings > Admin keys, made by a member with the admin role; individual "
    "accounts have none) or, for the analytics reports, a key with the scope read:analytics."
)


class AnthropicSettings(ConnectorSettings):
    """Settings of `[providers.anthropic]`."""

    organization_id: str | None = Field(None, description="Your organization's id; asked for where the source is live.")
    reports: Literal["auto", "analytics", "legacy"] = Field(
        "auto", description="Report family: auto takes analytics for what it covers, legacy for older dates."
    )
    bucket_width: Literal["1m", "1h", "1d"] = Field("1d", description="How finely usage is read.")
    names: bool = Field(True, description="Look up names of workspaces and API keys.")
    api_key_env: str = Field("ANTHROPIC_ADMIN_KEY", description="Environment variable that holds the Admin key.")


class AnthropicConnector(Connector):
    """Usage and cost of a Claude organization.

    Example:
        connector = AnthropicConnector(files=["exports/anthropic/*.json"])
        tokens = connector.usage(Window.month("2026-10"))
        bills = connector.bills(Window.month("2026-10"))
    """

    name: ClassVar[str] = "anthropic"
    title: ClassVar[str] = "Anthropic (Claude API and Enterprise)"
    Settings: ClassVar[type[ConnectorSettings]] = AnthropicSettings
    restated_days: ClassVar[int] = 3
    #: "usually within 5 minutes, sometimes longer"
    promised: ClassVar[dt.timedelta] = dt.timedelta(minutes=15)
    finest: ClassVar[Mapping[str, Any]] = {"bucket_width": "1m"}
    coarsest: ClassVar[Mapping[str, Any]] = {"bucket_width": "1d"}
    _read: tuple[Any, Saved] | None = None

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window, by bucket, workspace, key, person, model and price modifiers."""
        if not self.live:
            saved = self._saved()
            self.fresh_until = latest(saved.refreshed)
            account = self.settings.organization_id or "anthropic"
            if saved.usage or not (saved.claude_code or saved.session_log):
                if saved.claude_code or saved.session_log:
                    self.note("Claude Code's records were left out: the usage reports hold the same tokens.")
                return usage.token_frame(
                    saved.usage, window, account=account, names={}, source="file", notes=self.notes
                )
            if saved.claude_code and saved.session_log:
                self.note("The Claude Code report was left out: the session logs hold the same tokens, call by call.")
            if saved.session_log:
                return claude_code.log_frame(saved.session_log, window, account=account, notes=self.notes)
            return claude_code.report_frame(saved.claude_code, window, account=account)
        with self._http() as http:
            reports = self._reports(http)
            rows = list(reports.usage(window))
            self.fresh_until = latest(reports.refreshed)
            account, names = self._account(http), self._names(reports)
        return usage.token_frame(rows, window, account=account, names=names, source="api", notes=self.notes)

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the window: what the cost report charges, by day, workspace and line item."""
        if not self.live:
            saved = self._saved()
            account = self.settings.organization_id or "anthropic"
            return bills.bill_frame(saved.cost, window, account=account, names={}, source="file", notes=self.notes)
        with self._http() as http:
            reports = self._reports(http)
            rows = list(reports.costs(window))
            account, names = self._account(http), self._names(reports)
        return bills.bill_frame(rows, window, account=account, names=names, source="api", notes=self.notes)

    def _saved(self) -> Saved:
        """What the files hold, read again only when a file changed."""
        state = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in find_files(self.settings.files)]
        if self._read is None or self._read[0] != state:
            self._read = (state, read_saved(self.settings.files, self.notes))
        return self._read[1]

    def doctor(self) -> list[Finding]:
        """Whether the files are there, or the key is there and may read the reports (one cheap call)."""
        if not self.live:
            try:
                count = len(find_files(self.settings.files))
            except DataError as error:
                return [Finding("saved files", False, str(error), "Save report pages there, or correct `files`.")]
            return [Finding("saved files", True, f"{count} files")]
        try:
            http = self._http()
        except CredentialsError as error:
            return [Finding("Admin key", False, str(error), HELP)]
        now = dt.datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        params = {"starting_at": iso(now - dt.timedelta(days=1)), "ending_at": iso(now), "limit": 1}
        with http:
            try:
                http.request("GET", f"{ANALYTICS}/usage", params=params, headers={"anthropic-beta": ANALYTICS_BETA})
            except CredentialsError as error:
                return [Finding("permission to read usage", False, str(error), HELP)]
            except HttpRefused as error:
                detail = f"the analytics reports are not open to this organization ({error.said or error.status})"
                fix = 'Set reports = "legacy", or leave "auto": the legacy reports are read instead.'
                return [Finding("analytics reports", self.settings.reports == "auto", detail, fix)]
            except ProviderError as error:
                return [Finding("connection", False, str(error), "Check endpoint_url, proxy and network.")]
        return [Finding("permission to read usage", True, "the analytics reports answer")]

    def _http(self) -> HttpClient:
        settings: Any = self.settings
        key = secret(None, variable=settings.api_key_env, what="Anthropic Admin key", how=HELP)
        return HttpClient(
            self.name,
            settings.endpoint_url or HOST,
            headers={"x-api-key": key, "anthropic-version": VERSION, "user-agent": "finops-ai/0.1"},
            timeout=settings.timeout,
            max_retries=settings.max_retries,
            permission_help=HELP,
        )

    def _reports(self, http: HttpClient) -> Reports:
        return Reports(http, self.settings.reports, self.settings.bucket_width, self.notes)

    def _account(self, http: HttpClient) -> str:
        """The organization's id: the setting, else what the API says the key belongs to."""
        if self.settings.organization_id:
            return self.settings.organization_id
        try:
            return str(http.get("v1/organizations/me")["id"])
        except (FinopsError, KeyError, TypeError):
            self.note("The organization's id couldn't be read: rows say 'anthropic'. Set organization_id to name it.")
            return "anthropic"

    def _names(self, reports: Reports) -> dict[str, dict[str, Any]]:
        if not self.settings.names:
            return {}
        names = {}
        for kind in ("workspaces", "api_keys"):
            try:
                names[kind] = reports.names(kind)
            except (FinopsError, KeyError, AttributeError, TypeError):
                self.note(f"Names of {kind.replace('_', ' ')} couldn't be read (it takes an Admin key): ids are shown.")
        return names
