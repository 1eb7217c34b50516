"""Asking BigQuery: one client, one way to retry, a cap on what a query may scan, and errors that name the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable, SettingsError
from finops_ai.providers.retrying import RETRIED, pause_before, retry_after

if TYPE_CHECKING:
    import pyarrow as pa

    from finops_ai_vertex.columns import Tree
    from finops_ai_vertex.settings import VertexSettings

GRANT = (
    "Grant roles/bigquery.dataViewer on the dataset and roles/bigquery.jobUser on the project that runs the query "
    "(setting project_id)."
)
#: seconds before the first further try; doubles
BACKOFF = 0.5


class BigQuery:
    """BigQuery of one connector; Google's SDK is imported and the client made on first use.

    Args:
        settings: the connector's settings.
    """

    def __init__(self, settings: VertexSettings) -> None:
        self._settings = settings
        self._made: Any = None

    @property
    def client(self) -> Any:
        """The SDK's client."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> Any:
        import google.auth.exceptions
        from google.cloud import bigquery

        s = self._settings
        try:
            credentials, found = credentials_of(s.endpoint_url)
            project = s.project_id or found or (s.billing_table or s.billing_dataset or "").partition(".")[0] or None
            return bigquery.Client(
                project=project,
                location=s.location,
                credentials=credentials,
                client_options={"api_endpoint": s.endpoint_url} if s.endpoint_url else None,
                _http=session(credentials, s),
            )
        except google.auth.exceptions.GoogleAuthError as error:
            raise no_credentials(error) from None
        except OSError as error:  # the SDK's way to say that no project is known
            raise SettingsError(f"vertex: {error} Set project_id in [providers.vertex].") from None

    def describe(self, table: str) -> tuple[Tree, bool]:
        """Names of a table's columns, nested, and whether it is filed by load time (`_PARTITIONTIME`). Costs nothing."""

        def below(fields: Sequence[Any]) -> Tree:
            return {f.name: below(f.fields) if f.field_type in ("RECORD", "STRUCT") else {} for f in fields}

        found = self.asking(f"table {table}", lambda: self.client.get_table(table, retry=self._retry))
        return below(found.schema), found.time_partitioning is not None and found.time_partitioning.field is None

    def tables(self, dataset: str) -> list[str]:
        """Names of a dataset's tables."""
        found = self.asking(
            f"dataset {dataset}", lambda: list(self.client.list_tables(dataset, retry=self._retry, page_size=1000))
        )
        return [table.table_id for table in found]

    def query(self, sql: str, parameters: dict[str, Any]) -> pa.Table:
        """Run one query; its rows as an Arrow table.

        Args:
            sql: the query, with named parameters.
            parameters: name -> timestamp, text or number.

        Raises:
            DataError: it would scan more than `maximum_gib_billed`.
        """
        from google.cloud import bigquery

        kinds = {str: "STRING", int: "INT64", float: "FLOAT64"}
        typed = [
            bigquery.ScalarQueryParameter(name, kinds.get(type(value), "TIMESTAMP"), value)
            for name, value in parameters.items()
        ]
        cap = self._settings.maximum_gib_billed * 2**30

        def config(**changes: Any) -> Any:
            return bigquery.QueryJobConfig(query_parameters=typed, use_query_cache=True, **changes)

        def ask() -> pa.Table:
            trial = self.client.query(sql, job_config=config(dry_run=True), retry=self._retry, job_retry=None)
            scanned = trial.total_bytes_processed or 0
            if scanned > cap:
                raise DataError(
                    f"vertex: the query would scan {scanned / 2**30:.1f} GiB, more than maximum_gib_billed = "
                    f"{self._settings.maximum_gib_billed}. Choose a shorter window or raise the setting."
                )
            job = self.client.query(sql, job_config=config(maximum_bytes_billed=cap), retry=self._retry)
            rows = job.result(retry=self._retry)
            table = rows.to_arrow(create_bqstorage_client=False)
            if table.num_rows != rows.total_rows:
                raise ProviderError(
                    f"vertex: BigQuery says the query has {rows.total_rows} rows and gave {table.num_rows}. Nothing was stored; "
                    "run it again."
                )
            return table

        return self.asking("query", ask)

    @property
    def _retry(self) -> Any:
        """The SDK's retry, for errors that come in a body; those of the connection are retried by the session."""
        from google.api_core.retry import Retry

        return Retry(predicate=passing, initial=0.2, maximum=60.0, timeout=self._settings.timeout)

    def asking(self, what: str, ask: Any) -> Any:
        """Run `ask`, and say errors in this package's words."""
        import google.auth.exceptions
        import requests
        from google.api_core import exceptions as api

        try:
            return ask()
        except api.Forbidden as error:
            if any(e.get("reason") in ("quotaExceeded", "rateLimitExceeded") for e in error.errors or []):
                raise ProviderUnavailable(
                    f"vertex: {what}: {error.message}. Nothing was stored; run it again later."
                ) from None
            raise CredentialsError(f"vertex: {what} was refused: {error.message}. {GRANT}") from None
        except api.Unauthorized as error:
            raise CredentialsError(
                f"vertex: {what}: the credentials were refused ({error.message}). Sign in again."
            ) from None
        except api.NotFound as error:
            raise ProviderError(
                f"vertex: {what} isn't there: {error.message}. Check the name; a dataset in another place than `location` "
                "(EU, say) also answers so."
            ) from None
        except api.GoogleAPICallError as error:
            if passing(error):
                raise _unavailable(what, error) from None
            raise ProviderError(f"vertex: {what} failed: {' '.join(str(error.message).split())[:300]}.") from None
        except (api.RetryError, requests.exceptions.RequestException) as error:
            raise _unavailable(what, getattr(error, "cause", None) or error) from None
        except google.auth.exceptions.GoogleAuthError as error:
            raise no_credentials(error) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderError(
                f"vertex: {what}: the answer can't be read ({type(error).__name__}: {' '.join(str(error).split())[:200]}). "
                "Nothing was stored; run it again."
            ) from None


def passing(error: BaseException) -> bool:
    """Whether asking again may help."""
    import requests.exceptions
    from google.api_core.exceptions import GoogleAPICallError

    if isinstance(error, GoogleAPICallError):
        return error.code in RETRIED
    return isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError)


def _unavailable(what: str, error: BaseException) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"vertex: {what} still fails after retries: {' '.join(str(error).split())[:200]}. Nothing of this window was stored; "
        "run the same command again later."
    )


def no_credentials(error: BaseException) -> CredentialsError:
    """What to do without Google credentials."""
    return CredentialsError(
        f"vertex: no usable Google credentials ({' '.join(str(error).split())[:200]}). Run `gcloud auth application-default "
        "login`, or point GOOGLE_APPLICATION_CREDENTIALS at a service account's key file."
    )


def credentials_of(endpoint: str | None) -> tuple[Any, str | None]:
    """Google's application default credentials and project; none over plain http, where a token would be readable."""
    if endpoint and endpoint.startswith("http://"):
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials(), None
    import google.auth

    return google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])


def session(credentials: Any, settings: VertexSettings) -> Any:
    """An HTTP session that signs, waits out 429, 5xx and 529 as the answer says, and reconnects."""
    import requests.adapters
    from google.auth.transport.requests import AuthorizedSession
    from urllib3.util.retry import Retry

    class Session(AuthorizedSession):
        """Refuses to fetch a page it already has: the SDK would go round for ever, or count it twice."""

        def __init__(self) -> None:
            # one refresh of a token that ran out; credentials of nobody have none
            super().__init__(
                credentials, refresh_status_codes=(401,) if credentials.token else (), max_refresh_attempts=1
            )
            self.had: set[tuple[str, str]] = set()

        def request(self, method: str, url: str, *arguments: Any, **named: Any) -> Any:  # type: ignore[override]
            token = parse_qs(urlsplit(url).query).get("pageToken", [""])[0]
            page = urlsplit(url).path, token
            if token and page in self.had:
                raise ProviderError(
                    "vertex: Google gave the same page token twice; the pages would be counted twice. Nothing was stored; "
                    "run the same command again."
                )
            answer = super().request(method, url, *arguments, **named)
            if answer.ok:
                self.had.add(page)
            return answer

    class Patient(Retry):
        """Waits as long as an answer asks for, by the server's own clock; stops in words where that is too long."""

        def get_retry_after(self, response: Any) -> float | None:
            wait = retry_after(response.headers)
            return None if wait is None else pause_before("vertex", "BigQuery", f"HTTP {response.status}", wait, 1)

    made = Session()
    retry = Patient(
        total=settings.max_retries,
        status_forcelist=RETRIED,
        allowed_methods=None,
        backoff_factor=BACKOFF,
        backoff_max=60,
        respect_retry_after_header=True,
        raise_on_status=False,
    )
    for scheme in ("https://", "http://"):
        made.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
    return made
