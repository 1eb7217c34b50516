"""Lines of a cost report and records of an invocation log, as AWS writes them, and an S3 played to hold them."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from urllib.parse import unquote
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.testing import Reply, Request

MAPS = pa.map_(pa.string(), pa.string())
KINDS = {
    "bill_billing_entity": pa.string(), "bill_billing_period_start_date": pa.timestamp("ns"),
    "bill_billing_period_end_date": pa.timestamp("ns"), "bill_invoice_id": pa.string(),
    "identity_line_item_id": pa.string(),
    "bill_payer_account_id": pa.string(), "line_item_iam_principal": pa.string(),
    "line_item_line_item_description": pa.string(), "line_item_line_item_type": pa.string(),
    "line_item_product_code": pa.string(), "line_item_resource_id": pa.string(),
    "line_item_unblended_cost": pa.float64(), "line_item_usage_account_id": pa.string(),
    "line_item_usage_amount": pa.float64(), "line_item_usage_start_date": pa.timestamp("ns"),
    "line_item_usage_end_date": pa.timestamp("ns"), "line_item_usage_type": pa.string(),
    "pricing_public_on_demand_cost": pa.float64(), "pricing_unit": pa.string(), "product": MAPS,
    "product_region_code": pa.string(), "resource_tags": MAPS, "tags": MAPS,
}  # fmt: skip


def line(
    usage_type="USE1-Claude4.6Sonnet-input-tokens",
    amount=1.0,
    cost=0.003,
    *,
    start=(2026, 10, 5, 7),
    hours=1,
    **changes,
):
    begin = dt.datetime(*start)
    row = {
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": begin.replace(day=1, hour=0),
        "bill_billing_period_end_date": dt.datetime(begin.year, begin.month + 1, 1),
        "bill_invoice_id": "",
        "bill_payer_account_id": "111111111111",
        "line_item_line_item_description": "what it says",
        "line_item_line_item_type": "Usage",
        "line_item_product_code": "AmazonBedrock",
        "line_item_unblended_cost": cost,
        "line_item_usage_account_id": "222222222222",
        "line_item_usage_amount": amount,
        "line_item_usage_start_date": begin,
        "line_item_usage_end_date": begin + dt.timedelta(hours=hours),
        "line_item_usage_type": usage_type,
        "pricing_public_on_demand_cost": cost,
        "pricing_unit": "1K tokens",
        "product": [("product_name", "Amazon Bedrock")],
        "product_region_code": "us-east-1",
    }
    return row | changes


def market(
    kind="InputTokenCount", amount=1.0, cost=3.0, product="Claude Sonnet 4.6 (Amazon Bedrock Edition)", **changes
):
    return line(f"USE1-MP:USE1_{kind}-Units", amount, cost, bill_billing_entity="AWS Marketplace",
                line_item_product_code="4xopaque", pricing_unit="Units", product=[("product_name", product)], **changes)  # fmt: skip


def save(folder, rows, name="a-00001.snappy.parquet", drop=(), extra=None):
    columns = {n: pa.array([r.get(n) for r in rows], kind) for n, kind in KINDS.items() if n not in drop}
    columns |= extra or {}
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def record(request, when="2026-10-05T07:00:00Z", **changes):
    return {
        "schemaType": "ModelInvocationLog", "schemaVersion": "1.0", "timestamp": when, "accountId": "222222222222",
        "region": "us-east-1", "requestId": request, "operation": "Converse",
        "modelId": "us.anthropic.claude-sonnet-4-6",
        "identity": {"arn": "arn:aws:sts::222222222222:assumed-role/App/alice@example.com"},
        "input": {"inputBodyJson": {"messages": [{"role": "user", "content": "SECRET WORDS"}],
                                    "inferenceConfig": {"temperature": 0.2, "maxTokens": 500}},
                  "inputTokenCount": 15, "cacheReadInputTokenCount": 100, "cacheReadInputTokens": 100,
                  "cacheWriteInputTokenCount": 7},
        "output": {"outputBodyJson": {"text": "SECRET ANSWER"}, "outputTokenCount": 12},
        "requestMetadata": {"team": "search", "prompt_id": "answer@v3"},
    } | changes  # fmt: skip


def zipped(records):
    return gzip.compress("\n".join(json.dumps(r) for r in records).encode())


#: credentials of nobody, and no look at this machine's own configuration
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wJalr-planted-secret", "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}  # fmt: skip
XML = {"content-type": "application/xml"}


def error(code: str, message: str = "on purpose") -> bytes:
    """An S3 error body."""
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


class Bucket:
    """What the played S3 holds and how it behaves.

    Attributes:
        objects: key -> bytes.
        page: objects a listing page.
        repeat_token: give the same page token for ever.
        profiles: application inference profiles of the account; None = not allowed to ask.
        faults: (beginning of "GET key" or "LIST prefix token", reply) to give once instead.
        asked: what was asked so far, in that form.
    """

    error = staticmethod(error)

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.page = 1000
        self.repeat_token = False
        self.profiles: list[dict[str, object]] | None = None
        self.faults: list[tuple[str, Reply]] = []
        self.asked: list[str] = []
        self.url = ""

    def fail(self, where: str, reply: Reply, times: int = 1) -> None:
        """Answer the next requests that begin so with a fault."""
        self.faults += [(where, reply)] * times

    def answer(self, request: Request) -> Reply:
        """One request of S3 or of the list of inference profiles."""
        if request.path.startswith("/inference-profiles"):
            if self.profiles is None:
                return Reply({"message": "not authorized"}, 403, {"x-amzn-errortype": "AccessDeniedException"})
            return Reply({"inferenceProfileSummaries": self.profiles})
        key = unquote(request.path).partition("/")[2].partition("/")[2]
        what = f"GET {key}" if key else f"LIST {request.first('prefix')} {request.first('continuation-token')}".strip()
        self.asked.append(what)
        for i, (where, reply) in enumerate(self.faults):
            if what.startswith(where):
                del self.faults[i]
                return Reply(reply.body, reply.status, {**XML, **reply.headers}, reply.sent)
        if not key:
            return Reply(self._listing(request), headers=XML)
        content = self.objects.get(key)
        return Reply(error("NoSuchKey"), 404, XML) if content is None else Reply(content)

    def _listing(self, request: Request) -> str:
        prefix = request.first("prefix")
        names = sorted(n for n in self.objects if n.startswith(prefix))
        folders: list[str] = []
        if request.first("delimiter"):
            folders = sorted({prefix + n[len(prefix) :].split("/")[0] + "/" for n in names if "/" in n[len(prefix) :]})
            names = [n for n in names if "/" not in n[len(prefix) :]]
        start = int(request.first("continuation-token", "0"))
        chunk = names[start : start + self.page]
        following = 0 if self.repeat_token else start + self.page
        more = self.repeat_token or following < len(names)
        entries = [
            f"<Contents><Key>{escape(n)}</Key><Size>{len(self.objects[n])}</Size>"
            "<LastModified>2026-11-02T00:00:00.000Z</LastModified></Contents>"
            for n in chunk
        ]
        entries += [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders]
        token = f"<NextContinuationToken>{following}</NextContinuationToken>" if more else ""
        body = "".join(entries)
        return f"<ListBucketResult><IsTruncated>{str(more).lower()}</IsTruncated>{token}{body}</ListBucketResult>"
