"""Cost exports: FOCUS in Blob storage and on disk, actual and amortised cost, runs, damage, deviations."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from azure_world import ACCOUNT, SUB, TOKEN, Azure, connector
from finops_ai_azure_openai.connector import AzureOpenAI
from finops_ai_azure_openai.exports import Blob, newest_runs
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import DataError, ProviderError
from finops_ai.money import exact
from finops_ai.periods import Window
from finops_ai.testing import ConnectorConformance, PlayedProvider

OCTOBER = Window.of("2026-10-01", "2026-11-01")
RUNS = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"


def focus(day: str, meter: str, cost: str, quantity: str, **changes: str) -> dict[str, str]:
    return {
        "BilledCost": cost,
        "BillingAccountId": "/providers/Microsoft.Billing/billingAccounts/123",
        "BillingAccountName": "Example",
        "BillingCurrency": "EUR",
        "BillingPeriodStart": f"{day[:7]}-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z" if day < "2026-11" else "2026-12-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeClass": "",
        "ChargeDescription": "",
        "ChargePeriodStart": f"{day}T00:00:00Z",
        "ChargePeriodEnd": f"{day[:8]}{int(day[8:]) + 1:02}T00:00:00Z",
        "CommitmentDiscountStatus": "",
        "ConsumedQuantity": str(Decimal(quantity) * 1_000_000),
        "EffectiveCost": cost,
        "InvoiceId": "",
        "ListCost": str(Decimal(cost) * 2),
        "ListUnitPrice": "2.5",
        "PricingQuantity": quantity,
        "RegionId": "swedencentral",
        "ResourceId": ACCOUNT.lower(),
        "ServiceName": "Azure AI Services",
        "SubAccountId": f"/subscriptions/{SUB}",
        "SubAccountName": "AI production",
        "Tags": '{"team": "support"}',
        "x_PricingUnitDescription": "1M",
        "x_SkuMeterCategory": "Azure OpenAI",
        "x_SkuMeterName": meter,
    } | changes


FOCUS = [
    focus("2026-10-01", "gpt 4o 1120 Inp glbl Tokens", "0.30", "0.12"),
    focus("2026-10-02", "gpt 4o 1120 cached Inp glbl Tokens", "0.05", "0.04"),
    focus("2026-10-03", "Provisioned Managed Global Unit", "0", "240", EffectiveCost="24", ConsumedQuantity="240",
          CommitmentDiscountStatus="Used", x_PricingUnitDescription="1 Hour"),
    # idle reservation: no account, told by its category
    focus("2026-10-03", "", "0", "24", EffectiveCost="2.4", ConsumedQuantity="24", CommitmentDiscountStatus="Unused",
          ResourceId="", ChargeDescription="Azure OpenAI Provisioned reservation", x_PricingUnitDescription="1 Hour"),
    focus("2026-10-04", "Something New Units", "1.00", "3"),
    focus("2026-10-05", "P10 LRS Disk", "99", "1", ResourceId="/subscriptions/x/providers/microsoft.compute/disks/d",
          x_SkuMeterCategory="Storage", ServiceName="Storage"),
    focus("2026-11-01", "gpt 4o 1120 Inp glbl Tokens", "7", "7"),
]  # fmt: skip
#: 0.30 + 0.05 + 0 + 0 + 1.00
BILLED, EFFECTIVE = Decimal("1.35"), Decimal("27.75")


def text(rows: list[dict[str, Any]]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return b"\xef\xbb\xbf" + out.getvalue().encode()


def manifest(
    run: str, submitted: str, rows: int, kind: str = "FocusCost", name: str = "daily", part: str = "part_0_0001.csv"
) -> bytes:
    return json.dumps(
        {
            "manifestVersion": "2024-04-01",
            "exportConfig": {"exportName": name, "type": kind},
            "runInfo": {
                "submittedTime": submitted,
                "runId": run,
                "startDate": "2026-10-01T00:00:00",
                "endDate": "2026-10-31T00:00:00",
            },
            "blobs": [{"blobName": f"x/{run}/{part}", "dataRowCount": rows}],
            "newField": 1,
        }
    ).encode()


def lay_out(rows: list[dict[str, Any]]) -> dict[str, bytes]:
    """Two runs of one month, the older one short of rows, as an export leaves them."""
    folder = "focus/daily/20261001-20261031"
    return {
        f"{folder}/{RUNS[1]}/part_0_0001.csv": text(rows[:1]),
        f"{folder}/{RUNS[1]}/manifest.json": manifest(RUNS[1], "2026-10-20T04:00:00.1234567Z", 1),
        f"{folder}/{RUNS[0]}/part_0_0001.csv": text(rows),
        f"{folder}/{RUNS[0]}/manifest.json": manifest(RUNS[0], "2026-11-05T04:00:00.1234567Z", len(rows)),
    }


def save(folder, blobs: dict[str, bytes]) -> AzureOpenAI:
    for name, content in blobs.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return AzureOpenAI(files=[str(folder)])


def test_the_newest_run_of_an_export_in_blob_storage_is_read():
    azure = Azure()
    azure.blobs = lay_out(FOCUS)
    for size in (None, 1):
        azure.page_size = size
        with PlayedProvider(azure.answer) as played:
            asking = connector(played.url, export_url=f"{played.url}/exports/focus")
            bills = asking.bills(OCTOBER)
            read = [r.path for r in played.requests if r.path.endswith(".csv")]
        assert (bills["billed_cost"].sum(), bills["effective_cost"].sum()) == (BILLED, EFFECTIVE)
        assert read == [f"/exports/focus/daily/20261001-20261031/{RUNS[0]}/part_0_0001.csv"]
        assert asking.credential.scopes[0] == "https://storage.azure.com/.default"
        assert TOKEN not in repr(asking)


def test_a_run_that_cannot_touch_the_window_is_not_fetched():
    azure = Azure()
    azure.blobs = lay_out(FOCUS)
    with PlayedProvider(azure.answer) as played:
        asking = connector(played.url, export_url=f"{played.url}/exports/focus")
        assert asking.bills(Window.of("2026-12-01", "2027-01-01")).empty
        assert not [r for r in played.requests if r.path.endswith(".csv")]


def test_a_repeated_list_marker_is_an_error():
    azure = Azure()
    azure.blobs, azure.page_size, azure.loop = lay_out(FOCUS), 1, True
    with PlayedProvider(azure.answer) as played, pytest.raises(ProviderError, match="same page marker twice"):
        connector(played.url, export_url=f"{played.url}/exports/focus").bills(OCTOBER)


def test_focus_rows_say_what_was_metered(tmp_path):
    bills = save(tmp_path, lay_out(FOCUS)).bills(OCTOBER)
    rows = {row["charge_description"]: row for row in bills.to_dict("records")}
    fresh, cached = rows["gpt 4o 1120 Inp glbl Tokens"], rows["gpt 4o 1120 cached Inp glbl Tokens"]
    assert (fresh["model"], fresh["meter"], fresh["consumed_quantity"]) == ("gpt-4o-2024-11-20", "input", 120_000)
    assert (cached["meter"], cached["consumed_unit"], cached["list_cost"]) == ("cache_read", "tokens", Decimal("0.10"))
    assert fresh["resource_id"] == ACCOUNT
    assert dict(fresh["tags"]) == {"team": "support", "azure_account": "aoai-demo", "azure_resource_group": "rg-ai"}
    assert (fresh["sub_account_id"], fresh["sub_account_name"]) == (SUB, "AI production")
    idle = rows["Azure OpenAI Provisioned reservation"]
    assert (idle["meter"], idle["commitment_discount_status"], idle["effective_cost"]) == (
        "provisioned_hours",
        "Unused",
        Decimal("2.4"),
    )
    unknown = rows["Something New Units"]
    assert (unknown["meter"], unknown["billed_cost"]) == ("unmapped", 1)
    assert "P10 LRS Disk" not in rows


def test_parquet_and_gzip_give_the_same_as_csv(tmp_path):
    expected = save(tmp_path / "csv", {"focus.csv": text(FOCUS)}).bills(OCTOBER)
    zipped = save(tmp_path / "gz", {"focus.csv.gz": gzip.compress(text(FOCUS))}).bills(OCTOBER)
    (tmp_path / "pq").mkdir()
    number = pa.decimal128(38, 18)
    kinds = {name: number if name.endswith(("Cost", "Quantity", "Price")) else pa.string() for name in FOCUS[0]}
    columns = {n: pa.array([exact(r[n]) if k == number else r[n] for r in FOCUS], k) for n, k in kinds.items()}
    pq.write_table(pa.table(columns), tmp_path / "pq" / "part.snappy.parquet")
    parquet = AzureOpenAI(files=[str(tmp_path / "pq")]).bills(OCTOBER)
    assert expected.astype(str).equals(zipped.astype(str))
    assert expected.astype(str).equals(parquet.astype(str))


def damaged(kind: str) -> dict[str, bytes]:
    blobs = lay_out(FOCUS)
    name = f"focus/daily/20261001-20261031/{RUNS[0]}/part_0_0001.csv"
    if kind == "gzip":
        blobs[name] = gzip.compress(blobs[name])[:-20]
    elif kind == "row":
        blobs[name] = blobs[name][:-40]
    elif kind == "rows":
        blobs[name] = text(FOCUS[:-1])  # cut exactly between two rows: only the manifest knows
    elif kind == "manifests":
        blobs = {n: c for n, c in blobs.items() if not n.endswith("manifest.json")}
    elif kind == "manifest":
        blobs[name.replace("part_0_0001.csv", "manifest.json")] = b'{"exportConfig": {}}'
    elif kind == "column":
        blobs[name] = blobs[name].replace(b"BilledCost", b"BilledKost")
    elif kind == "number":
        blobs[name] = text([focus("2026-10-01", "gpt 4o Inp", "0.30", "0.12") | {"BilledCost": "0,30"}] * len(FOCUS))
    elif kind == "tags":
        blobs[name] = text([focus("2026-10-01", "gpt 4o Inp", "0.30", "0.12", Tags="{team")] * len(FOCUS))
    return blobs


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gzip", "damaged or cut short"),
        ("row", "not a whole export file"),
        ("rows", "6 rows, but its manifest states 7"),
        ("manifests", "several runs"),
        ("manifest", "not an export's manifest"),
        ("column", "'BilledCost' is missing"),
        ("number", "'0,30' is not a number"),
        ("tags", "not a JSON object"),
    ],
)
def test_damage_is_told_with_the_file(tmp_path, kind, said):
    with pytest.raises(DataError, match=said) as error:
        save(tmp_path, damaged(kind)).bills(OCTOBER)
    assert "20261001-20261031" in str(error.value)


def cost(day: str, meter: str, amount: str, quantity: str, **changes: str) -> dict[str, str]:
    return {
        "Date": day,
        "SubscriptionId": SUB,
        "SubscriptionName": "AI production",
        "ResourceId": ACCOUNT,
        "MeterCategory": "Azure OpenAI",
        "MeterName": meter,
        "UnitOfMeasure": "1K",
        "Quantity": quantity,
        "CostInBillingCurrency": amount,
        "BillingCurrencyCode": "USD",
        "ChargeType": "Usage",
        "ReservationId": "",
        "Tags": '"team": "support"',
    } | changes


RESERVED = {"ReservationId": "r-1", "UnitOfMeasure": "1 Hour"}
ACTUAL = [
    cost("10/01/2026", "gpt 4o 1120 Inp glbl Tokens", "0.30", "120"),
    cost("10/02/2026", "", "720", "1", ChargeType="Purchase", ResourceId="", MeterCategory="Azure OpenAI", **RESERVED),
    cost("10/03/2026", "Provisioned Managed Global Unit", "0", "240", **RESERVED),
    cost("11/01/2026", "gpt 4o 1120 Inp glbl Tokens", "5", "1"),
]
AMORTISED = [
    cost("10/01/2026", "gpt 4o 1120 Inp glbl Tokens", "0.30", "120"),
    cost("10/03/2026", "Provisioned Managed Global Unit", "24", "240", **RESERVED),
    cost(
        "10/03/2026",
        "Provisioned Managed Global Unit",
        "6",
        "60",
        ChargeType="UnusedReservation",
        ResourceId="",
        **RESERVED,
    ),
]


def test_actual_and_amortised_exports_make_one_bill(tmp_path):
    """The purchase is billed once; what it covers, and what lies idle, has an effective cost."""
    bills = save(tmp_path, {"actual/a.csv": text(ACTUAL), "amortized/b.csv": text(AMORTISED)}).bills(OCTOBER)
    got = sorted(
        (str(r["charge_category"]), r["billed_cost"], r["effective_cost"], str(r["commitment_discount_status"]))
        for r in bills.to_dict("records")
    )
    assert got == [
        ("Purchase", 720, 0, "nan"),
        ("Usage", 0, 6, "Unused"),
        ("Usage", 0, 24, "Used"),
        ("Usage", Decimal("0.30"), Decimal("0.30"), "nan"),
    ]


def test_one_export_alone_says_what_it_lacks(tmp_path):
    actual = save(tmp_path / "one", {"actual.csv": text(ACTUAL)})
    bills = actual.bills(OCTOBER)
    assert bills["billed_cost"].sum() == Decimal("720.30")
    assert bills["effective_cost"].isna().sum() == 2
    assert "looks free" in actual.notes[0]
    amortised = save(tmp_path / "two", {"amortised.csv": text(AMORTISED)})
    assert amortised.bills(OCTOBER)["effective_cost"].sum() == Decimal("30.30")
    assert "purchases are missing" in amortised.notes[0]


def test_other_agreements_spell_columns_otherwise(tmp_path):
    rows = [{"date": "2026-10-01", "costInBillingCurrency": "0.30", "billingCurrency": "USD", "instanceName": ACCOUNT,
             "meterName": "gpt 5 Outp glbl", "unitOfMeasure": "1M", "quantity": "0.03", "chargeType": "Usage"}]  # fmt: skip
    bills = save(tmp_path, {"costs.csv": text(rows)}).bills(OCTOBER)
    assert (bills["consumed_quantity"][0], bills["meter"][0], bills["sub_account_id"][0]) == (30_000, "output", SUB)


def test_sources_of_the_same_charges_are_not_added(tmp_path):
    both = save(tmp_path, {"focus.csv": text(FOCUS), "actual.csv": text(ACTUAL)})
    assert both.bills(OCTOBER)["billed_cost"].sum() == BILLED
    assert "nothing counts twice" in both.notes[0]


class TestOnlyACostExport(ConnectorConformance):
    """For those who only have exports: the billed quantities are the usage."""

    connector = AzureOpenAI
    files_only = "Blob storage is tested above"
    excused = {"test_importing_it_loads_no_sdk": "the same class is imported elsewhere"}
    #: 120,000 fresh and 40,000 cached
    tokens = 160_000
    quantities = {"input": 120_000, "cache_read": 40_000, "provisioned_hours": 264, "unmapped": 3}
    billed = {"EUR": "1.35"}

    @pytest.fixture(autouse=True)
    def _saved(self, tmp_path) -> None:
        save(tmp_path, lay_out(FOCUS))
        self.settings = {"files": [str(tmp_path)]}


def test_usage_of_a_bill_keeps_idle_hours_and_unknown_lines_apart(tmp_path):
    credit = focus("2026-10-02", "gpt 4o 1120 cached Inp glbl Tokens", "-0.01", "-0.01", ChargeClass="Correction")
    frame = save(tmp_path, {"focus.csv": text([*FOCUS, credit])}).usage(OCTOBER)
    found = {(r["meter"], r["operation"]): r for r in frame.to_dict("records")}
    assert found["provisioned_hours", "provisioned"]["quantity"] == 240
    assert found["provisioned_hours", "provisioned_idle"]["quantity"] == 24
    assert found["unmapped", "unknown"]["model"] == "Something New Units"
    # 40,000 less the correction's 10,000; 0.05 less 0.01
    cached = found["cache_read", "chat"]
    assert (cached["quantity"], cached["billed_cost"], cached["inference_geo"]) == (30_000, Decimal("0.04"), "global")
    # what the reservation covers carries its effective cost: 24 used, 2.40 idle
    assert found["provisioned_hours", "provisioned_idle"]["billed_cost"] == Decimal("2.4")
    assert frame["billed_cost"].sum() == Decimal("27.74")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=8, unique=True), st.randoms())
def test_of_any_runs_the_newest_of_each_export_counts(runs, order):
    """(export, hour of its run): however listed, one run of each export is left, the latest."""
    blobs = []
    for export, hour in runs:
        run = f"{export:08}-1111-1111-1111-{hour:012}"
        at = (dt.datetime(2026, 11, 1) + dt.timedelta(hours=hour)).isoformat()
        folder = f"e{export}/20261001-20261031/{run}"
        content = manifest(run, at, 1, name=f"e{export}")
        blobs += [Blob(f"{folder}/manifest.json", lambda c=content: c), Blob(f"{folder}/part_0_0001.csv", lambda: b"")]
    order.shuffle(blobs)
    latest = {e: max(h for x, h in runs if x == e) for e, _ in runs}
    kept = sorted(part.blob.name.split("/")[2] for part in newest_runs(blobs, OCTOBER))
    assert kept == sorted(f"{e:08}-1111-1111-1111-{h:012}" for e, h in latest.items())
