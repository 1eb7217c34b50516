"""OCI played on loopback for the real SDK: every request's signature is checked with the public key.

The answers are written by hand; figures expected in the tests are added up from the tables here.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import gzip
import hashlib
import re
from collections import defaultdict
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlencode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from finops_ai_oci.connector import Oci

from finops_ai.testing import Reply, Request

TENANCY = "ocid1.tenancy.oc1..aaaaplayed"
USER = "ocid1.user.oc1..aaaaplayed"
FINGERPRINT = "11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00"
TEAM, LAB = "ocid1.compartment.oc1..team", "ocid1.compartment.oc1..lab"
NAMES = {TEAM: "team", LAB: "lab"}
CLUSTER = "ocid1.generativeaidedicatedaicluster.oc1.eu-frankfurt-1.cluster1"


@functools.cache
def key() -> rsa.RSAPrivateKey:
    """The key the played user signs with, made once; short, because every client checks it anew."""
    return rsa.generate_private_key(public_exponent=65537, key_size=1024)


@functools.cache
def pem() -> str:
    """Its private half as text."""
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key().private_bytes(*kinds).decode()


def config() -> dict[str, str]:
    """An SDK configuration."""
    return {
        "user": USER,
        "fingerprint": FINGERPRINT,
        "tenancy": TENANCY,
        "region": "eu-frankfurt-1",
        "key_content": pem(),
    }


def connector(url: str, **settings: Any) -> Oci:
    """A live connector on the played OCI."""
    made = Oci(**{"endpoint_url": url} | settings)
    made.config = config()
    made.sleep = lambda seconds: None
    return made


def item(day: str, sku: str, unit: str, quantity: Any, cost: Any, **changes: Any) -> dict[str, Any]:
    return {
        "timeUsageStarted": f"{day}T00:00:00.000Z",
        "timeUsageEnded": f"{dt.date.fromisoformat(day) + dt.timedelta(days=1)}T00:00:00.000Z",
        "service": "GENERATIVE_AI",
        "skuName": sku,
        "skuPartNumber": "B108077",
        "unit": unit,
        "compartmentId": TEAM,
        "resourceId": None,
        "region": "eu-frankfurt-1",
        "computedQuantity": quantity,
        "computedAmount": cost,
        "currency": "USD",
        "isForecast": False,
        "tenantId": TENANCY,
        "tags": [],
    } | changes


CHARS = "10,000 Transactions"
ITEMS = [
    item("2026-09-30", "OCI Generative AI - Large Cohere", CHARS, 9, 9),
    item("2026-10-01", "OCI Generative AI - Large Cohere", CHARS, 12.5, 0.195),
    item("2026-10-01", "OCI Generative AI - Embed Cohere", CHARS, 3, 0.003, compartmentId=LAB),
    item("2026-10-05", "xAI Grok 4 - Input Tokens", "1M Tokens", 0.5, 1.5),
    item("2026-10-05", "xAI Grok 4 - Output Tokens", "1M Tokens", 0.1, 1.5),
    item("2026-10-05", "xAI Grok 4 - Cached Input Tokens", "1M Tokens", 0.25, 0.1875),
    item(
        "2026-10-06", "OCI Generative AI - Large Cohere - Dedicated", "Cluster Unit Hour", 48, 312, resourceId=CLUSTER
    ),
    item("2026-10-07", "OCI Generative AI - Fine-Tuning Dedicated", "Cluster Unit Hour", 2, 26, resourceId=CLUSTER),
    item("2026-10-08", "OCI Generative AI Agents - Data Ingestion", CHARS, 1, 0.25),
    item("2026-10-09", "OCI Generative AI - Large Cohere", CHARS, 0, 0, currency=" "),
    item("2026-10-09", "OCI Generative AI - Large Meta", CHARS, None, None),
    item("2026-10-31", "OCI Generative AI - Large Cohere", CHARS, 99, 99, isForecast=True),
    item("2026-10-10", "Compute - GPU - A10", "GPU Per Hour", 10, 20, service="COMPUTE"),
    item("2026-10-31", "OCI Generative AI - Large Cohere", CHARS, 0.0001, 0.0000001),
    item("2026-11-01", "OCI Generative AI - Large Cohere", CHARS, 7, 7),
]
#: meter -> quantity in October: characters 125,000 + 1, ...
QUANTITIES = {
    "characters": 125_001,
    "input_characters": 30_000,
    "input": 500_000,
    "output": 100_000,
    "cache_read": 250_000,
    "provisioned_hours": 50,
    "unmapped": 1,
}
TOKENS = 850_000
#: 0.195 + 0.003 + 1.5 + 1.5 + 0.1875 + 312 + 26 + 0.25 + 0.0000001
BILLED = {"USD": "341.6355001"}


class World:
    """Answers what the SDK asks. `limit` is the number of groupings the API takes; `loop` repeats a page token."""

    def __init__(self) -> None:
        self.page_size: int | None = None
        self.loop = False
        self.limit = 4
        self.items: list[dict[str, Any]] = ITEMS
        self.objects: dict[str, tuple[str, bytes]] = {}

    def answer(self, request: Request) -> Reply:
        """One answer to one request."""
        if problem := unsigned(request):
            return Reply({"code": "NotAuthenticated", "message": problem}, 401)
        if request.path == "/20200107/usage":
            return self.usage(request)
        if match := re.match(rf"/n/bling/b/{re.escape(TENANCY)}/o/?(.*)$", request.path):
            return self.object(match[1]) if match[1] else self.listed(request)
        return Reply(
            {"code": "NotAuthorizedOrNotFound", "message": "Authorization failed or requested resource not found"}, 404
        )

    def usage(self, request: Request) -> Reply:
        body = request.json()
        for name in ("timeUsageStarted", "timeUsageEnded"):
            if not re.search(r"T00:00:00(\.0+)?(Z|\+00:00)$", body[name]) and body["granularity"] == "DAILY":
                return Reply({"code": "InvalidParameter", "message": f"{name} is not at 00:00:00"}, 400)
        if len(body["groupBy"]) > self.limit:
            return Reply({"code": "InvalidParameter", "message": f"groupBy takes {self.limit} dimensions"}, 400)
        first, last = (dt.datetime.fromisoformat(body[n]) for n in ("timeUsageStarted", "timeUsageEnded"))
        rows = [i for i in self.items if first <= dt.datetime.fromisoformat(i["timeUsageStarted"]) < last]
        if chosen := _dimensions(body.get("filter")):
            rows = [r for r in rows if all(r.get(k) in values for k, values in chosen.items())]
        rows = _grouped(rows, body)
        at, size = int(request.first("page", "0")), self.page_size or max(len(rows), 1)
        after = at if self.loop and at else at + size
        more = {"opc-next-page": str(after)} if after < len(rows) else {}
        return Reply({"groupBy": body["groupBy"], "items": rows[at : at + size], "newField": 1}, headers=more)

    def listed(self, request: Request) -> Reply:
        names = sorted(n for n in self.objects if n.startswith(request.first("prefix")) and n >= request.first("start"))
        size = self.page_size or max(len(names), 1)
        objects = [{"name": n, "timeCreated": self.objects[n][0], "size": 1} for n in names[:size]]
        more = names[0] if self.loop and names else names[size] if size < len(names) else None
        return Reply({"objects": objects, "nextStartWith": more})

    def object(self, name: str) -> Reply:
        return Reply(self.objects[unquote(name)][1], headers={"content-type": "application/octet-stream"})


def _dimensions(chosen: Any) -> dict[str, set[str]]:
    out: dict[str, set[str]] = defaultdict(set)
    for part in [chosen, *((chosen or {}).get("filters") or [])]:
        for dimension in (part or {}).get("dimensions") or []:
            out[dimension["key"]].add(dimension["value"])
    return out


def _grouped(rows: list[dict[str, Any]], body: dict[str, Any]) -> list[dict[str, Any]]:
    """Sums by the dimensions asked for; the others are null, as OCI answers."""
    out: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        row = row | {"compartmentName": NAMES[row["compartmentId"]]}
        same = tuple(row.get(n) for n in body["groupBy"])
        when = () if body.get("isAggregateByTime") else (row["timeUsageStarted"],)
        fixed = ("timeUsageStarted", "timeUsageEnded", "currency", "isForecast", "tenantId", "tags")
        told = {n: row[n] for n in (*fixed, *body["groupBy"])}
        kept = out.setdefault(
            (*when, *same, row["isForecast"]), told | {"computedAmount": None, "computedQuantity": None}
        )
        for name in ("computedAmount", "computedQuantity"):
            if row[name] is not None:
                kept[name] = float(Decimal(str(kept[name] or 0)) + Decimal(str(row[name])))
    return list(out.values())


def unsigned(request: Request) -> str | None:
    """What is wrong with a request's signature; None if it is the played user's."""
    said = dict(re.findall(r'(\w+)="([^"]*)"', request.headers.get("authorization", "")))
    if said.get("keyId") != f"{TENANCY}/{USER}/{FINGERPRINT}" or said.get("algorithm") != "rsa-sha256":
        return "unknown key"
    names = said["headers"].split()
    needed = {"date", "(request-target)", "host"}
    if request.method == "POST":
        needed |= {"content-length", "content-type", "x-content-sha256"}
        if base64.b64encode(hashlib.sha256(request.body).digest()).decode() != request.headers["x-content-sha256"]:
            return "the body is not the one that was signed"
    if not needed <= set(names):
        return f"unsigned headers: {sorted(needed - set(names))}"
    target = f"{request.path}?{urlencode(request.query, doseq=True)}" if request.query else request.path
    lines = [
        f"{n}: {request.method.lower()} {target}" if n == "(request-target)" else f"{n}: {request.headers[n]}"
        for n in names
    ]
    try:
        signature = base64.b64decode(said["signature"])
        key().public_key().verify(signature, "\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return "the signature is wrong"
    return None


COST_COLUMNS = [
    "lineItem/referenceNo",
    "lineItem/tenantId",
    "lineItem/intervalUsageStart",
    "lineItem/intervalUsageEnd",
    "product/service",
    "product/compartmentId",
    "product/compartmentName",
    "product/region",
    "product/resourceId",
    "product/Description",
    "usage/billedQuantity",
    "cost/productSku",
    "cost/unitPrice",
    "cost/myCost",
    "cost/currencyCode",
    "cost/skuUnitDescription",
    "lineItem/isCorrection",
    "lineItem/backReferenceNo",
]


def cost_line(
    ref: str,
    start: str,
    quantity: str,
    cost: str,
    sku: str = "OCI Generative AI - Large Cohere",
    unit: str = CHARS,
    **changes: str,
) -> dict[str, str]:
    end = dt.datetime.fromisoformat(start) + dt.timedelta(hours=1)
    values = [ref, TENANCY, start, f"{end:%Y-%m-%dT%H:%MZ}", "GENERATIVE_AI", TEAM, "team", "eu-frankfurt-1", "", sku,
              quantity, "B108077", "0.0156", cost, "USD", unit, "false", ""]  # fmt: skip
    return dict(zip(COST_COLUMNS, values, strict=True)) | changes


COST_FILES = {
    "reports/cost-csv/0001-00001.csv.gz": [
        cost_line("a0", "2026-09-30T23:00Z", "5", "5"),
        cost_line("a1", "2026-10-01T00:00Z", "12.5", "0.195", **{"tags/finops.team": "support"}),
        cost_line("a2", "2026-10-01T01:00Z", "1.5", "0.0234", **{"tags/finops.team": "support"}),
        cost_line("a9", "2026-10-01T01:00Z", "1", "1", sku="Block Volume", **{"product/service": "BLOCK_STORAGE"}),
    ],
    "reports/cost-csv/0002-00001.csv.gz": [
        cost_line("a2", "2026-10-01T01:00Z", "1.5", "0.0234"),  # came in the file before
        cost_line("b1", "2026-10-06T05:00Z", "2", "13", sku="OCI Generative AI - Large Cohere - Dedicated", unit="Cluster Unit Hour", **{"product/resourceId": CLUSTER}),
        cost_line("b2", "2026-10-01T00:00Z", "-2.5", "-0.039", **{"lineItem/isCorrection": "true", "lineItem/backReferenceNo": "a1", "tags/finops.team": "support"}),
        cost_line("b3", "2026-10-10T00:00Z", "1", "2", sku="Compute - GPU - A10", unit="GPU Per Hour", **{"product/service": "COMPUTE"}),
        cost_line("b4", "2026-11-01T00:00Z", "7", "7"),
    ],
}  # fmt: skip
#: October: characters (12.5 + 1.5 - 2.5) x 10,000; 2 unit-hours
REPORT_QUANTITIES = {"characters": 115_000, "provisioned_hours": 2}
#: 0.195 + 0.0234 + 13 - 0.039
REPORT_BILLED = {"USD": "13.1794"}


def zipped_csv(lines: list[dict[str, str]]) -> bytes:
    """Rows as csv.gz; columns are those of all rows, as OCI's files differ in their tags."""
    import csv
    import io

    columns = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(lines)
    return gzip.compress(text.getvalue().encode())


FOCUS_LINES = [
    {
        "BillingAccountId": TENANCY,
        "SubAccountId": TENANCY,
        "oci_CompartmentId": TEAM,
        "oci_CompartmentName": "team",
        "BillingPeriodStart": "2026-10-01T00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00Z",
        "ChargePeriodStart": start,
        "ChargePeriodEnd": end,
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost,
        "PricingCurrencyEffectiveCost ": "",
        "BillingCurrency": "USD",
        "ChargeCategory": category,
        "ChargeDescription": "OCI Generative AI - Large Cohere",
        "ServiceName": "GENERATIVE_AI",
        "Region": "eu-frankfurt-1",
        "SkuId": "B108077",
        "UsageQuantity": quantity,
        "UsageUnit": CHARS,
        "Tags": '{"finops.team": "support"}',
        "oci_ReferenceNumber": ref,
        "oci_BackReferenceNumber": "",
    }
    for ref, start, end, quantity, cost, category in (
        ("f1", "2026-10-01T00:00Z", "2026-10-01T01:00Z", "12.5", "0.195", "Usage"),
        ("f2", "2026-10-09T05:00Z", "2026-10-09T06:00Z", "1", "0.0156", "Usage"),
        ("f3", "2026-10-31T23:00Z", "2026-11-01T00:00Z", "", "-0.1", "Credit"),
        ("f4", "2026-11-01T00:00Z", "2026-11-01T01:00Z", "1", "1", "Usage"),
    )
]
