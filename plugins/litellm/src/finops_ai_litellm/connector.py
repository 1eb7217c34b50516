"""The connector: spend logs from the gateway's database, its API or exported files."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from finops_ai.errors import CredentialsError, DataError, FinopsError, SettingsError
from finops_ai.periods import UTC, Window
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, secret
from finops_ai.providers.files import find_files
from finops_ai_litellm import sources, usage
from finops_ai_litellm.spendlog import Row

if TYPE_CHECKING:
    import pandas as pd

HELP = (
    "The log listing needs the proxy's master key, or a key of a user with the role proxy_admin or proxy_admin_viewer."
)


class LiteLLMSettings(ConnectorSettings):
    """Settings of `[providers.litellm]`. `endpoint_url` is the proxy's address, such as https://llm.example.com."""

    read_from: Literal["auto", "database", "api"] = Field(
        "auto", description="Live source: auto takes the database where its address is set, else the API."
    )
    database_env: str = Field(
        "LITELLM_DATABASE_URL", description="Environment variable that holds the database address."
    )
    table: str = Field("LiteLLM_SpendLogs", description="Table of the spend logs, with its schema if it isn't public.")
    api_key_env: str = Field("LITELLM_API_KEY", description="Environment variable that holds the proxy key.")
    accounts: dict[str, str] = Field(
        default_factory=dict, description="Provider -> billing account id behind the gateway, such as openai = org-1."
    )
    prompt_tag: str = Field("prompt", description="Request tag or metadata key that names the prompt template.")


class LiteLLMConnector(Connector):
    """Calls through a LiteLLM gateway, one slice a call. `provider` is who bills the call, not the gateway.

    Example:
        connector = LiteLLMConnector(files=["exports/spend_logs.parquet"])
        tokens = connector.usage(Window.month("2026-10"))
    """

    name: ClassVar[str] = "litellm"
    title: ClassVar[str] = "LiteLLM gateway"
    Settings: ClassVar[type[ConnectorSettings]] = LiteLLMSettings
    restated_days: ClassVar[int] = 1
    road: ClassVar[str] = "gateway"
    #: written as calls end
    promised: ClassVar[dt.timedelta] = dt.timedelta(minutes=15)

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the calls that start in the window, by key, team, user, end user and tags."""
        with closing(self._rows(window)) as rows:  # an error in a row must not leave the database waiting
            frame = usage.token_frame(
                rows,
                window,
                accounts=self.settings.accounts,
                prompt_tag=self.settings.prompt_tag,
                source="gateway",
                notes=self.notes,
            )
        if self.live and len(frame):
            self.fresh_until = frame["charge_period_end"].max().to_pydatetime().astimezone(UTC)
        return frame

    def _rows(self, window: Window) -> Generator[Row, None, None]:
        if not self.live:
            yield from sources.from_files(self.settings.files)
        elif self._uses_database():
            yield from sources.from_database(self._dsn(), self.settings.table, window, self.settings.timeout)
        else:
            with self._http() as http:
                yield from sources.from_api(http, window)

    def doctor(self) -> list[Finding]:
        """Whether the files are there, or the database or API lets itself be read (one cheap call)."""
        if not self.live:
            try:
                return [Finding("exported logs", True, f"{len(find_files(self.settings.files))} files")]
            except DataError as error:
                return [Finding("exported logs", False, str(error), "Export the spend logs there, or correct `files`.")]
        nothing = Window.of("2000-01-01", "2000-01-02")
        what, fix = ("database", sources.GRANT) if self._uses_database() else ("log listing of the API", HELP)
        try:
            with closing(self._rows(nothing)) as rows:
                next(rows, None)
        except FinopsError as error:
            return [Finding(what, False, str(error), fix)]
        return [Finding(what, True, "readable")]

    def _uses_database(self) -> bool:
        if self.settings.read_from == "auto":
            return bool(os.environ.get(self.settings.database_env))
        return self.settings.read_from == "database"

    def _dsn(self) -> str:
        dsn = os.environ.get(self.settings.database_env, "")
        if not dsn:
            raise CredentialsError(
                f"No address of the gateway's database: set the environment variable {self.settings.database_env} to "
                "postgresql://user:password@host:5432/database."
            )
        return dsn

    def _http(self) -> HttpClient:
        if not self.settings.endpoint_url:
            raise SettingsError(
                "[providers.litellm]: set endpoint_url to the proxy's address, or the environment variable "
                f"{self.settings.database_env} to its database, or `files` to exported logs."
            )
        key = secret(None, variable=self.settings.api_key_env, what="LiteLLM key", how=HELP)
        return HttpClient(
            self.name,
            self.settings.endpoint_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=self.settings.timeout,
            max_retries=self.settings.max_retries,
            permission_help=HELP,
        )
