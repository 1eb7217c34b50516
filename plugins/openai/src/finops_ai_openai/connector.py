"""The connector `openai`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
from pydantic import Field, SecretStr, field_validator

from finops_ai.errors import CredentialsError, DataError, FinopsError, ProviderError, hint
from finops_ai.frames import BillFrame, conform, empty
from finops_ai.periods import Window
from finops_ai.providers import Connector, ConnectorSettings, Finding, HttpClient, HttpRefused, secret
from finops_ai_openai.api import Bucket, read_grouped, read_names
from finops_ai_openai.endpoints import COST_LADDER, COSTS_PER_PAGE, ENDPOINTS, WIDTHS, ladder

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai_openai.saved import Saved

KEY_HELP = (
    "An organization owner makes an admin key at platform.openai.com, Settings, Admin keys (it starts sk-admin-)."
)
RIGHTS_HELP = f"The Usage and Costs APIs need an organization admin key; a project key is refused. {KEY_HELP}"


class OpenAISettings(ConnectorSettings):
    """Settings of `[providers.openai]`."""

    organization_id: str = Field("openai-organization", min_length=1, description="The organization the bill goes to.")
    project_ids: list[str] = Field(default_factory=list, description="Only these projects; empty = all.")
    bucket_width: Literal["1m", "1h", "1d"] = Field("1d", description="Length of a usage bucket.")
    endpoints: list[str] = Field(default_factory=lambda: list(ENDPOINTS), description="Usage endpoints to read.")
    project_names: bool = Field(True, description="Look up project names (needs the right to read projects).")
    admin_key: SecretStr | None = Field(None, description="Admin key; leave it to the environment.")
    admin_key_env: str = Field("OPENAI_ADMIN_KEY", description="Environment variable that holds the admin key.")

    @field_validator("endpoints")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in ENDPOINTS:
                raise ValueError(f"no usage endpoint called {name!r}. {hint(name, ENDPOINTS)}")
        return names


class OpenAI(Connector):
    """Usage and costs of an OpenAI organization: live, from saved API answers, or from the dashboard's CSV exports.

    >>> OpenAI(files="exports/*.json")
    <OpenAI 'openai' files>
    """

    name: ClassVar[str] = "openai"
    title: ClassVar[str] = "OpenAI API"
    Settings: ClassVar[type[ConnectorSettings]] = OpenAISettings
    #: OpenAI publishes no figure; the reference only says usage "may not always reconcile perfectly with the Costs"
    restated_days: ClassVar[int] = 3
    #: no figure is published; usage is there within minutes
    promised: ClassVar[dt.timedelta] = dt.timedelta(minutes=15)
    finest: ClassVar[Mapping[str, Any]] = {"bucket_width": "1m"}
    coarsest: ClassVar[Mapping[str, Any]] = {"bucket_width": "1d"}

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame: one row per meter of each bucket's results that start in the window.

        Raises:
            CredentialsError: no admin key, or one without the right.
            ProviderError: the API can't be read whole.
            DataError: a saved file or an answer breaks its contract; names place and value.
        """
        from finops_ai_openai.usage import tokens_of, unmapped_of

        names, tables = {}, []
        if self.live:
            with self._client() as client:
                found = self._usage_buckets(client, window)
                names = self._names(client) if any(b.results for rows in found.values() for b in rows) else {}
        else:
            saved = self._saved()
            found, names = self._of_kind(saved), saved.names
        for path, buckets in found.items():
            inside = [b for b in buckets if b.results and _at(b.start) in window]
            if not inside:
                continue
            self._fresh(inside)
            common = {"account": self.settings.organization_id, "source": self._how, "names": names}
            endpoint = ENDPOINTS.get(path)
            tables.append(tokens_of(inside, endpoint, **common) if endpoint else unmapped_of(inside, path, **common))
        frame = conform(pa.concat_tables(tables, promote_options="default") if tables else {}, source=self._source)
        if (frame["meter"] == "unmapped").any():
            self.notes.append("OpenAI counts usage this version doesn't know; it is in rows of the meter 'unmapped'.")
        return frame

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame: one row per cost line of each UTC day that starts in the window."""
        from finops_ai_openai.bills import charges_of

        if self.live:
            with self._client() as client:
                params = _params(window, 86400) | {"bucket_width": "1d", "limit": COSTS_PER_PAGE} | self._projects
                buckets, groups = read_grouped(client, "organization/costs", params, COST_LADDER)
                self._note_grouping("costs", groups, COST_LADDER[0])
                names = self._names(client) if any(b.results for b in buckets) else {}
        else:
            saved = self._saved()
            buckets, names = saved.costs, saved.names
        inside = [b for b in buckets if b.results and _at(b.start) in window]
        if not inside:
            return empty(BillFrame)
        self._fresh(inside)
        rows, self.left_out = charges_of(inside, account=self.settings.organization_id, source=self._how, names=names)
        return conform(rows, BillFrame, source=self._source)

    def doctor(self) -> list[Finding]:
        """Whether the files are there, or the key is there and may read usage and costs."""
        try:
            if not self.live:
                saved = self._saved()
                kinds = [*saved.usage, *(["costs"] if saved.costs else [])]
                return [Finding("openai files", bool(kinds), f"hold {', '.join(kinds) or 'no usage and no costs'}")]
            with self._client() as client:
                yesterday = int(dt.datetime.now(dt.UTC).timestamp()) - 86400
                client.get("organization/costs", {"start_time": yesterday, "limit": 1})
        except CredentialsError as error:
            return [Finding("openai access", False, str(error), f"Set {self.settings.admin_key_env}. {KEY_HELP}")]
        except FinopsError as error:
            return [Finding("openai access", False, str(error), "Check endpoint_url, the network and `files`.")]
        return [Finding("openai access", True, "the admin key may read usage and costs")]

    # ------------------------------------------------------------------ live

    def _client(self) -> HttpClient:
        key = secret(
            self.settings.admin_key,
            variable=self.settings.admin_key_env,
            what="OpenAI admin key",
            how=KEY_HELP,
        )
        return HttpClient(
            self.name,
            self.settings.endpoint_url or "https://api.openai.com/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=self.settings.timeout,
            max_retries=self.settings.max_retries,
            permission_help=RIGHTS_HELP,
        )

    def _usage_buckets(self, client: HttpClient, window: Window) -> dict[str, list[Bucket]]:
        seconds, limit = WIDTHS[self.settings.bucket_width]
        params = _params(window, seconds) | {"bucket_width": self.settings.bucket_width, "limit": limit}
        found, missing = {}, []
        for path in self.settings.endpoints:
            rungs = ladder(ENDPOINTS[path])
            try:
                found[path], groups = read_grouped(client, f"organization/usage/{path}", params | self._projects, rungs)
            except HttpRefused as error:
                if error.status != 404:
                    raise
                missing.append(path)
                continue
            self._note_grouping(path, groups, rungs[0])
        if missing and not found:
            raise ProviderError(
                f"openai: none of the usage endpoints is there (HTTP 404). Check endpoint_url ({self.settings.endpoint_url})."
            )
        if missing:
            self.notes.append(f"Not offered to this organization (HTTP 404), so not read: {', '.join(missing)}.")
        return found

    @property
    def _projects(self) -> dict[str, Any]:
        return {"project_ids": self.settings.project_ids} if self.settings.project_ids else {}

    def _names(self, client: HttpClient) -> dict[str, str]:
        if not self.settings.project_names:
            return {}
        try:
            return read_names(client)
        except (HttpRefused, CredentialsError):
            self.notes.append("Project names are missing: the key may not read projects.")
            return {}

    def _note_grouping(self, what: str, got: tuple[str, ...], wanted: tuple[str, ...]) -> None:
        if lost := [name for name in wanted if name not in got]:
            self.notes.append(f"{what}: OpenAI refused to group by {', '.join(lost)}; those columns are unknown.")

    # ------------------------------------------------------------------ files

    def _saved(self) -> Saved:
        from finops_ai_openai.saved import read_saved

        saved = read_saved(self.settings.files)
        self.notes += [note for note in saved.notes if note not in self.notes]
        return saved

    def _of_kind(self, saved: Saved) -> dict[str, list[Bucket]]:
        """Buckets by endpoint; a kind of usage this package doesn't know keeps its own name."""
        by_object = {e.object: path for path, e in reversed(ENDPOINTS.items())}
        named = {by_object.get(kind, kind): rows for kind, rows in saved.usage.items()}
        return {path: rows for path, rows in named.items() if path in self.settings.endpoints or path not in ENDPOINTS}

    # ------------------------------------------------------------------ both

    @property
    def _source(self) -> str:
        return "the OpenAI API" if self.live else ", ".join(self.settings.files)

    @property
    def _how(self) -> str:
        return "api" if self.live else "file"

    def _fresh(self, buckets: list[Bucket]) -> None:
        latest = _at(max(bucket.end for bucket in buckets))
        self.fresh_until = max(self.fresh_until, latest) if self.fresh_until else latest


def _at(seconds: int) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC)
    except (OverflowError, ValueError, OSError):
        raise DataError(f"openai: {seconds} is no instant in seconds since 1970. Nothing was stored.") from None


def _params(window: Window, seconds: int) -> dict[str, int]:
    """The window widened to whole buckets: a bucket that only starts in it is asked for whole."""
    start, end = int(window.start.timestamp()), -int(-window.end.timestamp() // 1)
    return {"start_time": start // seconds * seconds, "end_time": -(-end // seconds) * seconds}
