"""The Bedrock connector: token and bill frames, live or from saved exports."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finops_ai.errors import DataError, FinopsError, ProviderError
from finops_ai.frames import BillFrame, conform, empty
from finops_ai.periods import Window
from finops_ai.providers import Connector, Finding, LineItem
from finops_ai.providers.duck import in_range
from finops_ai.providers.files import find_files, read_json_any
from finops_ai.providers.limits import unpack
from finops_ai.providers.retrying import stand_by
from finops_ai_bedrock import cloudwatch, cur, exports
from finops_ai_bedrock.aws import Aws
from finops_ai_bedrock.logs import Calls, log_keys
from finops_ai_bedrock.resources import Profiles
from finops_ai_bedrock.settings import BedrockSettings
from finops_ai_bedrock.usage_types import classify, model_id

if TYPE_CHECKING:
    import pandas as pd

#: what each source needs, for `doctor`
PERMISSIONS = {
    "cur": "s3:ListBucket and s3:GetObject on the export's bucket (and kms:Decrypt if it is encrypted with a key)",
    "invocation_logs": "s3:ListBucket and s3:GetObject on the log bucket, or logs:FilterLogEvents on the log group",
    "cloudwatch": "cloudwatch:ListMetrics, cloudwatch:GetMetricData and sts:GetCallerIdentity",
}


class Bedrock(Connector):
    """AWS Bedrock: tokens and bill from the Cost and Usage Report 2.0, tokens from CloudWatch or invocation logs."""

    name = "bedrock"
    title = "AWS Bedrock"
    Settings = BedrockSettings
    restated_days = 35  # a billing period is rewritten until some days after it ends

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        self._sleep: Any = stand_by
        self._client: Aws | None = None
        self._profiles = Profiles(self.settings.inference_profiles, self._load_profiles)
        self._report: tuple[Window, cur.Report] | None = None

    @property
    def _aws(self) -> Aws:
        if self._client is None:
            self._client = Aws(self.settings, sleep=lambda seconds: self._sleep(seconds))
        return self._client

    @property
    def source(self) -> str:
        """What token frames are made of: cur, cloudwatch or invocation_logs."""
        s = self.settings
        if s.usage_source != "auto":
            return s.usage_source
        if s.files:
            return "cur" if self._files("cur") else "invocation_logs"
        return "cur" if s.export_s3_uri else "invocation_logs" if s.log_s3_uri or s.log_group else "cloudwatch"

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window, from the source that `usage_source` names."""
        if window.start == window.end:
            return empty()
        source = self.source
        if source == "cur":
            if self.settings.files and self._files("invocation_logs"):
                self.note(
                    "bedrock: tokens are those of the cost report; the logs of the same calls aren't added to them."
                )
            report = self._read_report(window)
            with in_range("bedrock: the cost report"):
                table = cur.usage_table(report, "billing_export")
            return conform(table, source="bedrock cost report")
        if source == "invocation_logs":
            return self._from_logs(window)
        if not self.live:
            raise DataError(
                "bedrock: usage_source = 'cloudwatch' can't be read from files. Remove `files` or change it."
            )
        return self._from_cloudwatch(window)

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame of the window from the cost report; empty, with a note, where none is configured."""
        if window.start == window.end:
            return empty(BillFrame)
        if not (self._files("cur") if not self.live else self.settings.export_s3_uri):
            self.note("bedrock: no cost report, so no bill. Set `export_s3_uri` to a Data Export (CUR 2.0).")
            return empty(BillFrame)
        report = self._read_report(window)
        self.left_out = list(report.left_out)
        with in_range("bedrock: the cost report"):
            table = cur.bills_table(report, "billing_export")
        return conform(table, BillFrame, source="bedrock cost report")

    # ---- cost report

    def _read_report(self, window: Window) -> cur.Report:
        if self._report and self._report[0] == window:
            return self._report[1]
        options = {"model_names": self.settings.model_names, "profiles": self._profiles}
        if not self.live:
            report = cur.read_report(exports.local_parts(find_files(self.settings.files), window), window, **options)
        else:
            with tempfile.TemporaryDirectory(prefix="finops-bedrock-") as folder:
                paths = exports.fetch(self._aws, self.settings.export_s3_uri, window, Path(folder))
                report = cur.read_report(paths, window, **options)
        for note in report.notes:
            self.note(note)
        newest = cur.fresh_until(report)
        self.fresh_until = newest.to_pydatetime() if newest is not None else self.fresh_until
        self._report = (window, report)
        return report

    def _files(self, kind: str) -> list[Path]:
        if self.live:
            return []
        endings = exports.DATA_ENDINGS if kind == "cur" else (".json", ".jsonl", ".json.gz", ".jsonl.gz")
        return [
            path
            for path in find_files(self.settings.files)
            if path.name.lower().endswith(endings) and not path.name.endswith("Manifest.json")
        ]

    # ---- invocation logs

    def _from_logs(self, window: Window) -> pd.DataFrame:
        calls = Calls(
            window,
            prompt_key=self.settings.prompt_key,
            account=self.settings.account_id,
            profiles=self._profiles,
        )
        calls.add(self._records(window))
        for note in calls.notes:
            self.note(note)
        self.fresh_until = calls.newest or self.fresh_until
        table = calls.table("log")
        return conform(table, source="bedrock invocation logs") if table.num_rows else empty()

    def _records(self, window: Window) -> Iterator[tuple[str, Any]]:
        if not self.live:
            for path in self._files("invocation_logs"):
                for number, record in read_json_any(path):
                    yield f"{path}, line {number}", record
        elif self.settings.log_s3_uri:
            yield from self._records_in_s3(window)
        else:
            yield from self._records_in_cloudwatch_logs(window)

    def _records_in_s3(self, window: Window) -> Iterator[tuple[str, Any]]:
        root = f"{self.settings.log_s3_uri.rstrip('/')}/AWSLogs/"
        days = [window.start.date() + dt.timedelta(days=n) for n in range((window.end - window.start).days + 3)]
        for account in self._aws.folders(root):
            base = f"{root}{account}/BedrockModelInvocationLogs/"
            for region in self._aws.folders(base):
                for day in days:
                    entries = {e["Key"]: e for e in self._aws.objects(f"{base}{region}/{day:%Y/%m/%d}/")}
                    for key in log_keys(sorted(entries), window):
                        yield from _lines(self._aws.content(entries[key]), f"s3://{entries[key]['Bucket']}/{key}")

    def _records_in_cloudwatch_logs(self, window: Window) -> Iterator[tuple[str, Any]]:
        for page in self._aws.pages(
            "logs",
            "filter_log_events",
            token="nextToken",
            next_token="nextToken",
            needs="events",
            logGroupName=self.settings.log_group,
            startTime=int(window.start.timestamp() * 1000),
            endTime=int((window.end + dt.timedelta(hours=1)).timestamp() * 1000),
        ):
            for event in page["events"]:
                try:
                    yield f"log event {event.get('eventId')}", json.loads(event["message"])
                except (ValueError, RecursionError) as error:
                    raise DataError(f"bedrock: log event {event.get('eventId')} is not JSON ({error}).") from None

    # ---- CloudWatch

    def _from_cloudwatch(self, window: Window) -> pd.DataFrame:
        account = self.settings.account_id or str(self._aws.call("sts", "get_caller_identity")["Account"])
        notes: list[str] = []
        table = cloudwatch.usage_table(
            self._aws,
            window,
            account=account,
            region=str(self._aws.client("cloudwatch").meta.region_name),
            period=self.settings.cloudwatch_period,
            now=dt.datetime.now(dt.UTC),
            profiles=self._profiles,
            notes=notes,
        )
        for note in notes:
            self.note(note)
        if not table.num_rows:
            return empty()
        frame = conform(table, source="bedrock CloudWatch")
        self.fresh_until = frame["charge_period_end"].max().to_pydatetime()
        return frame

    # ---- inference profiles

    def _load_profiles(self) -> tuple[dict[str, str], dict[str, str]]:
        """Application inference profiles of the account: ARN -> model ARN, and ARN -> name."""
        models: dict[str, str] = {}
        names: dict[str, str] = {}
        if not self.live:
            return models, names
        try:
            for page in self._aws.pages(
                "bedrock",
                "list_inference_profiles",
                token="nextToken",
                next_token="nextToken",
                needs="inferenceProfileSummaries",
                typeEquals="APPLICATION",
            ):
                for profile in page["inferenceProfileSummaries"]:
                    names[profile["inferenceProfileArn"]] = profile.get("inferenceProfileName", "")
                    if arns := [m["modelArn"] for m in profile.get("models", []) if m.get("modelArn")]:
                        models[profile["inferenceProfileArn"]] = arns[0]
        except ProviderError as error:
            self.note(f"bedrock: names of inference profiles unknown (bedrock:ListInferenceProfiles): {error}")
        return models, names

    # ---- doctor

    @classmethod
    def line_item(cls, row: Mapping[str, str | None]) -> LineItem | None:
        """AWS's usage types, by the same table as its own report."""
        text = row.get("SkuMeter") or row.get("ChargeDescription") or ""
        line = classify(text, pricing_unit=row.get("PricingUnit") or "")
        if line.meter == "unmapped" or not line.model_name:
            return None
        model = model_id(line.model_name, {}) or line.model_name
        return LineItem(line.meter, model, line.service_tier, line.operation or None, Decimal(line.factor))

    def doctor(self) -> list[Finding]:
        """Whether the configured source can be read, and which permission or setting is missing if not."""
        if not self.live:
            try:
                return [Finding("bedrock files", True, f"{len(find_files(self.settings.files))} files")]
            except DataError as error:
                return [Finding("bedrock files", False, str(error), "Correct `files` in [providers.bedrock].")]
        source = self.source
        findings = [Finding("bedrock usage source", True, source)]
        if source != "cur" and not self.settings.export_s3_uri:
            findings.append(
                Finding(
                    "bedrock bill", False, "no cost report is configured",
                    "Create a Data Export of CUR 2.0 (Parquet, with resources and IAM principal data) and set export_s3_uri.",
                )
            )  # fmt: skip
        try:
            if source == "cur":
                self._aws.call("s3", "list_objects_v2", MaxKeys=1, **_place(self.settings.export_s3_uri))
            elif source == "cloudwatch":
                self._aws.call("cloudwatch", "list_metrics", Namespace=cloudwatch.NAMESPACE)
            elif self.settings.log_s3_uri:
                self._aws.call("s3", "list_objects_v2", MaxKeys=1, **_place(self.settings.log_s3_uri))
            else:
                self._aws.call("logs", "filter_log_events", logGroupName=self.settings.log_group, limit=1)
        except FinopsError as error:
            findings.append(Finding("bedrock access", False, str(error), f"Grant {PERMISSIONS[source]}."))
        else:
            findings.append(Finding("bedrock access", True, f"the {source} source answers"))
        return findings


def _place(uri: str) -> dict[str, str]:
    from finops_ai_bedrock.aws import split_uri

    bucket, prefix = split_uri(uri)
    return {"Bucket": bucket, "Prefix": prefix}


def _lines(content: bytes, place: str) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(unpack(content, place).splitlines(), 1):
        if line.strip():
            try:
                yield f"{place}, line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{place}, line {number}: not whole JSON ({error}). Nothing was stored.") from None
