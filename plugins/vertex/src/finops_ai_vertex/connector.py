"""The Vertex AI connector: token and bill frames, live or from saved exports."""

from __future__ import annotations

import datetime as dt
import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import CredentialsError, DataError, FinopsError, SettingsError, hint
from finops_ai.frames import BillFrame, conform, empty
from finops_ai.periods import Window
from finops_ai.providers import Connector, Finding, HttpClient, LeftOut, LineItem
from finops_ai.providers.duck import in_range
from finops_ai.providers.files import find_files, read_json_any
from finops_ai_vertex import columns, export, monitoring, request_log
from finops_ai_vertex.bigquery import GRANT, BigQuery, credentials_of, no_credentials
from finops_ai_vertex.settings import VertexSettings
from finops_ai_vertex.skus import classify, model_id

if TYPE_CHECKING:
    import pandas as pd

MONITORING_GRANT = "Grant roles/monitoring.viewer on the project."


class Vertex(Connector):
    """Google Vertex AI: tokens and bill from the Cloud billing export, tokens from Cloud Monitoring or the request log."""

    name = "vertex"
    title = "Google Vertex AI"
    Settings = VertexSettings
    restated_days = 35  # corrections are appended long after the day they are for

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        self._bigquery = BigQuery(self.settings)
        self._export: tuple[Window, export.Export] | None = None

    @property
    def source(self) -> str:
        """What token frames are made of: billing_export, monitoring or request_log."""
        s = self.settings
        if s.usage_source != "auto":
            return s.usage_source
        if s.files:
            return "billing_export" if self._files("billing_export") else "request_log"
        if s.billing_table or s.billing_dataset:
            return "billing_export"
        return "request_log" if s.request_log_table else "monitoring"

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window, from the source that `usage_source` names."""
        if window.start == window.end:
            return empty()
        if self.source == "billing_export":
            if self.settings.files and self._files("request_log"):
                self.note(
                    "vertex: tokens are those of the billing export; the log of the same calls isn't added to them."
                )
            read = self._read_export(window)
            with in_range("vertex: the billing export"):
                table = export.usage_table(read, self.settings.prompt_label)
            return conform(table, source="vertex billing export")
        if self.source == "request_log":
            return self._from_request_log(window)
        if not self.live:
            raise DataError(
                "vertex: usage_source = 'monitoring' can't be read from files. Remove `files` or change it."
            )
        return self._from_monitoring(window)

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the window from the billing export; empty, with a note, where none is configured."""
        if window.start == window.end:
            return empty(BillFrame)
        s = self.settings
        if not (self._files("billing_export") if not self.live else s.billing_table or s.billing_dataset):
            self.note(
                "vertex: no billing export, so no bill. Set `billing_dataset` to the dataset of the Cloud billing export."
            )
            return empty(BillFrame)
        read = self._read_export(window)
        self.left_out = self._query_others(window) if self.live else list(read.left_out)
        with in_range("vertex: the billing export"):
            table = export.bills_table(read)
        return conform(table, BillFrame, source="vertex billing export")

    # ---- billing export

    def _read_export(self, window: Window) -> export.Export:
        if self._export and self._export[0] == window:
            return self._export[1]
        options = {"services": self.settings.services, "model_names": self.settings.model_names}
        if self.live:
            read = export.read_table(self._query_export(window), window, **options)
        else:
            read = export.read_files(self._files("billing_export"), window, **options)
        for note in read.notes:
            self.note(note)
        self.fresh_until = export.fresh_until(read) or self.fresh_until
        self._export = (window, read)
        return read

    def _query_export(self, window: Window) -> Any:
        table = self.settings.billing_table or self._find_table()
        tree, filed_by_load = self._bigquery.describe(table)
        if missing := columns.missing(tree):
            raise DataError(
                f"vertex: {table} has no column {missing[0]!r}: it is no Cloud billing export. It has {sorted(tree)[:12]}."
            )
        where = [*_within(filed_by_load), self._selection]
        query = f"SELECT {', '.join(columns.bigquery_select(tree))} FROM `{table}` WHERE {' AND '.join(where)}"
        return self._bigquery.query(query, {"start": window.start, "end": window.end})

    @property
    def _selection(self) -> str:
        return export.selection(self.settings.services, "service.description", "sku.description")

    def _query_others(self, window: Window) -> list[LeftOut]:
        """What the export's other rows of the window come to, added up by BigQuery; a note where it can't tell."""
        table = self.settings.billing_table or self._find_table()
        try:
            tree, filed_by_load = self._bigquery.describe(table)
            where = [*_within(filed_by_load), f"NOT COALESCE({self._selection}, FALSE)"]
            query = f"SELECT {', '.join(columns.bigquery_others(tree))} FROM `{table}` WHERE {' AND '.join(where)} GROUP BY 1, 2, 3"
            return export.others_of(self._bigquery.query(query, {"start": window.start, "end": window.end}))
        except CredentialsError:
            raise
        except FinopsError as error:
            self.note(f"vertex: what the export's other services come to isn't known: {error}")
            return []

    def _find_table(self) -> str:
        dataset = self.settings.billing_dataset
        names = self._bigquery.tables(dataset)
        account = (self.settings.billing_account_id or "").replace("-", "_")
        for prefix in ("gcp_billing_export_resource_v1_", "gcp_billing_export_v1_"):
            found = [name for name in names if name.startswith(prefix + account)]
            if len(found) == 1:
                return f"{dataset}.{found[0]}"
            if found:
                raise SettingsError(
                    f"vertex: {dataset} holds the exports of {len(found)} billing accounts ({', '.join(sorted(found)[:4])}). "
                    "Set billing_account_id or billing_table."
                )
        raise DataError(
            f"vertex: {dataset} holds no billing export. {hint('gcp_billing_export_v1_' + account, names)} Switch on the detailed "
            "usage cost export under Billing > Billing export; the first rows take up to a day."
        )

    def _files(self, kind: str) -> list[Path]:
        if self.live:
            return []
        logs = {path for path in find_files(self.settings.files) if _is_request_log(path)}
        return [path for path in find_files(self.settings.files) if (path in logs) == (kind == "request_log")]

    # ---- request log

    def _from_request_log(self, window: Window) -> pd.DataFrame:
        s = self.settings
        project = s.project_id or (s.request_log_table or "").partition(".")[0] or "unknown"
        if self.live:
            start_end = {"start": window.start, "end": window.end}
            rows = self._bigquery.query(request_log.sql(s.request_log_table or ""), start_end).to_pylist()
        else:
            rows = list(self._saved_calls())
        notes: list[str] = []
        table = request_log.usage_table(
            rows, window, account=s.billing_account_id, project=project, prompt_label=s.prompt_label,
            sampling_rate=s.sampling_rate, notes=notes,
        )  # fmt: skip
        for note in notes:
            self.note(note)
        if not table.num_rows:
            if self.live:
                self.note(
                    "vertex: the request log holds no calls of the window. Logging takes minutes to act, and may do nothing for "
                    "models of other publishers."
                )
            return empty()
        frame = conform(table, source="vertex request log")
        self.fresh_until = frame["charge_period_end"].max().to_pydatetime()
        return frame

    def _saved_calls(self) -> Iterator[dict[str, Any]]:
        for path in self._files("request_log"):
            for _, record in read_json_any(path):
                yield request_log.from_record(record)

    # ---- Monitoring

    def _from_monitoring(self, window: Window) -> pd.DataFrame:
        s = self.settings
        projects = [p for p in dict.fromkeys([s.project_id, *s.projects]) if p]
        if not projects:
            raise SettingsError("vertex: nothing to read. Set billing_dataset, request_log_table or project_id.")
        with self._monitoring() as client:
            table = monitoring.usage_table(client, projects, window, s.billing_account_id)
        self.note(
            "vertex: Cloud Monitoring doesn't tell cached input apart, nor who called; its input may include cached tokens."
        )
        if not table.num_rows:
            return empty()
        frame = conform(table, source="vertex Cloud Monitoring")
        self.fresh_until = frame["charge_period_end"].max().to_pydatetime()
        return frame

    def _monitoring(self) -> HttpClient:
        import google.auth.exceptions

        s = self.settings
        try:
            credentials, _ = credentials_of(s.endpoint_url)
        except google.auth.exceptions.GoogleAuthError as error:
            raise no_credentials(error) from None
        return HttpClient(
            "vertex",
            s.endpoint_url or monitoring.ENDPOINT,
            timeout=s.timeout,
            max_retries=s.max_retries,
            permission_help=MONITORING_GRANT,
            auth=monitoring.GoogleAuth(credentials),
        )

    # ---- doctor

    @classmethod
    def line_item(cls, row: Mapping[str, str | None]) -> LineItem | None:
        """Google's SKU descriptions, by the same table as its own export."""
        sku = classify(row.get("SkuMeter") or row.get("ChargeDescription") or "")
        if sku.meter == "unmapped" or not sku.model_name:
            return None
        return LineItem(sku.meter, model_id(sku.model_name, {}) or sku.model_name, sku.service_tier, sku.operation)

    def doctor(self) -> list[Finding]:
        """Whether the configured source can be read, and which permission or setting is missing if not."""
        if not self.live:
            try:
                return [Finding("vertex files", True, f"{len(find_files(self.settings.files))} files")]
            except DataError as error:
                return [Finding("vertex files", False, str(error), "Correct `files` in [providers.vertex].")]
        s = self.settings
        findings = [Finding("vertex usage source", True, self.source)]
        if not (s.billing_table or s.billing_dataset):
            fix = (
                "Switch on the detailed billing export to BigQuery (Billing > Billing export) and set billing_dataset."
            )
            findings.append(Finding("vertex bill", False, "no billing export is configured", fix))
        try:
            if self.source == "monitoring":
                now = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
                with self._monitoring() as client:
                    list(monitoring._series(client, s.project_id or s.projects[0], monitoring.CALLS, Window(now, now)))
            else:
                table = s.request_log_table if self.source == "request_log" else s.billing_table or self._find_table()
                self._bigquery.describe(table)
        except (FinopsError, IndexError) as error:
            fix = MONITORING_GRANT if self.source == "monitoring" else GRANT
            findings.append(Finding("vertex access", False, str(error), fix))
        else:
            findings.append(Finding("vertex access", True, f"the {self.source} source answers"))
        return findings


def _within(filed_by_load: bool) -> list[str]:
    """Conditions on the rows of a window in BigQuery."""
    where = ["usage_start_time >= @start", "usage_start_time < @end"]
    if filed_by_load:
        # rows are filed by the day they were loaded, which is never before they were used and may be long after
        where.append("(_PARTITIONTIME >= TIMESTAMP_TRUNC(@start, DAY) OR _PARTITIONTIME IS NULL)")
    return where


def _is_request_log(path: Path) -> bool:
    """Whether a saved file holds request-response logs rather than the billing export."""
    if ".parquet" in path.name.lower() or ".csv" in path.name.lower():
        return False
    with path.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    head = b""
    with gzip.open(path) if zipped else path.open("rb") as file:
        try:
            while len(head) < 2**20 and (chunk := file.read1(2**16)):
                head += chunk
        except (EOFError, OSError, zlib.error):
            pass  # a damaged file is reported where it is read
    return b'"full_response"' in head
