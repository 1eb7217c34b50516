"""The conformance kit on each of the connector's sources: cost report, invocation logs, saved files, CloudWatch."""

from __future__ import annotations

import datetime as dt
import http.client
import json
from urllib.parse import urlencode

import pytest
from bedrock_rows import ENVIRONMENT, Bucket, line, market, record, save, zipped
from finops_ai_bedrock.connector import Bedrock

from finops_ai.testing import ConnectorConformance, Reply, Request

REPORT = [
    line(amount=12.5, cost=0.0375),  # 12,500 tokens
    line("USE1-Claude4.6Sonnet-output-tokens", 2.0, 0.03, start=(2026, 10, 5, 7)),
    line("USE1-NovaPro-cache-read-input-token-count", 4.0, 0.0008, start=(2026, 10, 1, 0)),
    market(amount=0.003, cost=0.009, start=(2026, 10, 31, 23)),  # 3,000 tokens
    line("USE1-Guardrail-TextUnits", 7.0, 0.5, start=(2026, 10, 9, 1)),
    line("", 0.0, -0.1, line_item_line_item_type="Credit", start=(2026, 10, 1, 0)),
    line(start=(2026, 11, 1, 0)),  # at the window's end: another month's
    line(start=(2026, 9, 30, 23)),
]
QUANTITIES = {"input": 15_500, "output": 2000, "cache_read": 4000, "unmapped": 7}
#: 0.0375 + 0.03 + 0.0008 + 0.009 + 0.5 - 0.1
BILLED = {"USD": "0.4773"}

#: one subprocess is enough to see that importing the connector loads no SDK
IMPORTED_ABOVE = {"test_importing_it_loads_no_sdk": "TestCostReportOnS3 tries the same import"}


class TestCostReportOnS3(ConnectorConformance):
    connector = Bedrock
    settings = {"export_s3_uri": "s3://bills/exports/ai", "region": "us-east-1", "max_retries": 2}
    environment = ENVIRONMENT
    secrets = ("wJalr-planted-secret",)
    split = "2026-10-06"
    tokens = 21_500
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _export(self, tmp_path):
        self.bucket = Bucket()
        for n, row in enumerate(REPORT):
            month = f"{row['line_item_usage_start_date']:%Y-%m}"
            content = save(tmp_path, [row], f"{n}.parquet").read_bytes()
            self.bucket.objects[f"exports/ai/data/BILLING_PERIOD={month}/part-{n}.snappy.parquet"] = content

    def answer(self, request: Request) -> Reply:
        self.bucket.page = self.page_size or 1000
        return self.bucket.answer(request)


@pytest.mark.slow  # the other tests of this source are quick ones
class TestCostReportOnDisk(ConnectorConformance):
    connector = Bedrock
    files_only = "the same export on S3 is tested above"
    excused = IMPORTED_ABOVE
    split = "2026-10-06"
    tokens = 21_500
    quantities = QUANTITIES
    billed = BILLED

    @pytest.fixture(autouse=True)
    def _export(self, tmp_path):
        save(tmp_path, REPORT)
        self.settings = {"files": [str(tmp_path / "*.parquet")]}


@pytest.mark.slow  # the other tests of this source are quick ones
class TestInvocationLogsOnS3(ConnectorConformance):
    connector = Bedrock
    settings = {"log_s3_uri": "s3://bills/logs", "region": "us-east-1", "max_retries": 2}
    environment = ENVIRONMENT
    secrets = ("wJalr-planted-secret",)
    split = "2026-10-06"
    content = "SECRET WORDS"
    excused = IMPORTED_ABOVE
    #: three calls of 15 fresh + 100 read + 7 written + 12 made
    tokens = 402
    quantities = {"input": 45, "cache_read": 300, "cache_write": 21, "output": 36, "requests": 4}  # one failed

    @pytest.fixture(autouse=True)
    def _logs(self):
        self.bucket = Bucket()
        for n, when in enumerate(
            ["09/30T23:59:59", "10/01T00:00:00", "10/05T07:00:00", "10/31T23:59:59", "11/01T00:00:00"]
        ):
            folder = f"2026/{when[:5]}/{when[6:8]}"
            stamp = f"2026-{when[:2]}-{when[3:]}Z"
            key = f"logs/AWSLogs/222222222222/BedrockModelInvocationLogs/us-east-1/{folder}/{n}.json.gz"
            self.bucket.objects[key] = zipped([record(f"r{n}", stamp)])
        hour = "logs/AWSLogs/222222222222/BedrockModelInvocationLogs/us-east-1/2026/10/05/07"
        self.bucket.objects[f"{hour}/failed.json.gz"] = zipped([record("r9", errorCode="ThrottlingException")])

    def answer(self, request: Request) -> Reply:
        self.bucket.page = self.page_size or 1000
        return self.bucket.answer(request)


class Moto(ConnectorConformance):
    """AWS as moto plays it, behind the kit's own server, which puts the faults in front."""

    @pytest.fixture(autouse=True)
    def _aws(self, monkeypatch, tmp_path):
        self.folder = tmp_path
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        server = pytest.importorskip("moto.server", reason="moto[server] isn't installed: no AWS to test against")
        moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
        moto.start()
        self.host, self.port = moto.get_host_and_port()
        self.ask("POST", "/moto-api/reset")
        self.fill()
        yield
        moto.stop()

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Reply:
        """One request to moto, and its answer."""
        link = http.client.HTTPConnection(self.host, self.port, timeout=30)
        link.request(method, path, body, headers or {})
        answer = link.getresponse()
        content = answer.read()
        kept = {
            n.lower(): v
            for n, v in answer.getheaders()
            if n.lower() not in ("transfer-encoding", "connection", "date", "server")
        }
        link.close()
        return Reply(content, answer.status, kept)

    def answer(self, request: Request) -> Reply:
        query = urlencode({name: values[0] for name, values in request.query.items()})
        if self.page_size and "list-type" in request.query:
            query += f"&max-keys={self.page_size}"
        body = request.body
        if (
            self.page_size
            and b"MaxDatapoints" not in body
            and request.headers.get("x-amz-target", "").endswith("FilterLogEvents")
        ):
            body = json.dumps({**json.loads(body), "limit": self.page_size}).encode()
        headers = {n: v for n, v in request.headers.items() if n not in ("content-length", "connection")}
        return self.ask(request.method, f"{request.path}?{query}" if query else request.path, body, headers)

    def client(self, service: str):
        import boto3

        return boto3.client(service, endpoint_url=f"http://{self.host}:{self.port}", region_name="us-east-1")

    def fill(self) -> None:
        """Put the usage in."""


@pytest.mark.slow
class TestCostReportOnMoto(Moto):
    connector = Bedrock
    settings = {"export_s3_uri": "s3://bills/exports/ai", "region": "us-east-1", "max_retries": 2}
    environment = ENVIRONMENT
    secrets = ("wJalr-planted-secret",)
    split = "2026-10-06"
    tokens = 21_500
    quantities = QUANTITIES
    billed = BILLED

    def fill(self) -> None:
        s3 = self.client("s3")
        s3.create_bucket(Bucket="bills")
        for n, row in enumerate(REPORT):
            month = f"{row['line_item_usage_start_date']:%Y-%m}"
            body = save(self.folder, [row], f"{n}.parquet").read_bytes()
            s3.put_object(
                Bucket="bills", Key=f"exports/ai/data/BILLING_PERIOD={month}/part-{n}.snappy.parquet", Body=body
            )


@pytest.mark.slow
class TestInvocationLogsInMotoLogs(Moto):
    connector = Bedrock
    settings = {"log_group": "bedrock", "region": "us-east-1", "max_retries": 2}
    environment = ENVIRONMENT
    secrets = ("wJalr-planted-secret",)
    content = "SECRET WORDS"
    tokens = 402
    quantities = {"input": 45, "cache_read": 300, "cache_write": 21, "output": 36, "requests": 3}

    #: CloudWatch Logs takes no event older than 14 days, so these calls are recent
    now = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=5)
    window = (now, now + dt.timedelta(days=3))
    split = now + dt.timedelta(days=1)

    def fill(self) -> None:
        logs = self.client("logs")
        logs.create_log_group(logGroupName="bedrock")
        logs.create_log_stream(logGroupName="bedrock", logStreamName="aws/bedrock/modelinvocations")
        moments = [self.now + dt.timedelta(seconds=s) for s in (-1, 0, 90_000, 259_199, 259_200)]
        events = [
            {"timestamp": int(m.timestamp() * 1000), "message": json.dumps(record(f"r{n}", f"{m:%Y-%m-%dT%H:%M:%SZ}"))}
            for n, m in enumerate(moments)
        ]
        logs.put_log_events(logGroupName="bedrock", logStreamName="aws/bedrock/modelinvocations", logEvents=events)


@pytest.mark.slow
class TestMetricsOnMotoCloudWatch(Moto):
    connector = Bedrock
    settings = {"usage_source": "cloudwatch", "region": "us-east-1", "account_id": "222222222222", "max_retries": 2}
    environment = ENVIRONMENT
    secrets = ("wJalr-planted-secret",)
    now = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=5)
    window = (now, now + dt.timedelta(days=2))
    split = now + dt.timedelta(days=1)
    #: 100 + 50 in, 7 read, 20 + 9 out; the metric under its other name isn't added
    tokens = 186
    quantities = {"input": 150, "cache_read": 7, "output": 29, "requests": 3}
    excused = {
        "test_many_pages_give_what_one_page_gives": "moto ignores MaxDatapoints; paging is tested in test_bedrock_cloudwatch",
        "test_bills_and_usage_agree_on_accounts": "metrics come without a bill",
    }

    def fill(self) -> None:
        cloudwatch = self.client("cloudwatch")
        points = [
            ("InputTokenCount", 60, 100), ("InputTokenCount", 90_000, 50), ("CacheReadInputTokenCount", 60, 7),
            ("CacheReadInputTokens", 60, 7), ("OutputTokenCount", 61, 20), ("OutputTokenCount", 90_001, 9),
            ("Invocations", 60, 2), ("Invocations", 90_000, 1), ("InputTokenCount", 172_800, 999), ("InvocationLatency", 60, 12),
        ]  # fmt: skip
        for name, seconds, value in points:
            cloudwatch.put_metric_data(Namespace="AWS/Bedrock", MetricData=[{
                "MetricName": name, "Timestamp": self.now + dt.timedelta(seconds=seconds), "Value": value,
                "Dimensions": [{"Name": "ModelId", "Value": "global.anthropic.claude-sonnet-4-6"}],
            }])  # fmt: skip
