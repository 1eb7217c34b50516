"""What OCI's lines become: characters and tokens told apart, dedicated and GPU hours, corrections, tags, contract."""

from __future__ import annotations

import doctest
import json
import re
from decimal import Decimal
from pathlib import Path

import pytest
from finops_ai_oci import charges, reports, skus
from finops_ai_oci.connector import Oci
from finops_ai_oci.skus import read_sku
from hypothesis import given, settings
from hypothesis import strategies as st
from oci_world import (
    BILLED,
    CLUSTER,
    COST_FILES,
    ITEMS,
    LAB,
    QUANTITIES,
    TEAM,
    TENANCY,
    World,
    connector,
    cost_line,
    item,
    zipped_csv,
)

from finops_ai.periods import Window, instant
from finops_ai.providers import registry
from finops_ai.testing import PlayedProvider

OCTOBER = Window.of("2026-10-01", "2026-11-01")
CONTRACTS = Path(__file__).parents[3].parent / "shared" / "contracts" / "oci"


@pytest.fixture
def world():
    return World()


@pytest.fixture
def played(world):
    with PlayedProvider(world.answer) as provider:
        yield provider


def test_it_is_found_as_a_plugin():
    assert registry().connector("oci") is Oci


@pytest.mark.parametrize("module", [charges, skus])
def test_examples_in_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("name", "unit", "model", "meter", "operation", "block"),
    [
        ("OCI Generative AI - Large Cohere", "10,000 Transactions", "large-cohere", "characters", "chat", 10_000),
        ("OCI Generative AI - Large Meta", "TEN THOUSAND TRANSACTIONS", "large-meta", "characters", "chat", 10_000),
        ("OCI Generative AI - Embed Cohere", "10,000 Transactions", "embed-cohere", "input_characters", "embeddings", 10_000),
        ("OCI Generative AI - xAI Grok 4 - Input Tokens", "1,000,000 Tokens", "xai.grok-4", "input", "chat", 1_000_000),
        ("OCI Generative AI - xAI Grok 4 - Output Tokens", "1M Tokens", "xai.grok-4", "output", "chat", 1_000_000),
        ("OCI Generative AI - OpenAI gpt-oss Cached Input Tokens", "Million Tokens", "openai.gpt-oss", "cache_read", "chat", 1_000_000),
        ("OCI Generative AI - Meta Llama 3.1 405B", "10,000 Transactions", "meta.llama-3.1-405b-instruct", "characters", "chat", 10_000),
        ("OCI Generative AI - Large Cohere - Dedicated", "Cluster Unit Hour", "large-cohere", "provisioned_hours", "provisioned", 1),
        ("OCI Generative AI - Large Cohere - Fine-Tuning Dedicated", "Unit Hour", "large-cohere", "provisioned_hours", "fine_tuning", 1),
        ("Compute - GPU - H100", "GPU Per Hour", "compute-gpu-h100", "gpu_hours", "chat", 1),
        ("OCI Generative AI Agents - Data Ingestion", "10,000 Transactions", "agents-data-ingestion", "unmapped", "unknown", 1),
        ("", "", "unknown", "unmapped", "unknown", 1),
    ],
)  # fmt: skip
def test_skus_are_read(name, unit, model, meter, operation, block):
    sku = read_sku(name, unit)
    assert (sku.model, sku.meter, sku.operation, sku.block) == (model, meter, operation, block)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.text(max_size=20))
def test_any_sku_is_read_or_unmapped(name, unit):
    sku = read_sku(name, unit)
    assert sku.model
    assert sku.block >= 0


def test_a_resource_named_after_its_model_names_the_model():
    assert (
        read_sku("OCI Generative AI - Large Cohere", "10,000 Transactions", "cohere.command-r-plus").model
        == "cohere.command-r-plus"
    )
    assert read_sku("OCI Generative AI - Large Cohere", "10,000 Transactions", "my-endpoint").model == "large-cohere"


def test_characters_are_never_called_tokens(played):
    frame = connector(played.url).usage(OCTOBER)
    chars = frame[frame["model"] == "large-cohere"]
    assert set(chars[chars["operation"] == "chat"]["unit"]) == {"characters"}
    assert frame[frame["meter"] == "characters"]["slice_input_tokens"].isna().all()


def test_dedicated_hours_say_what_they_were_for(played):
    frame = connector(played.url).usage(OCTOBER)
    hours = frame[frame["meter"] == "provisioned_hours"].set_index("operation")
    assert dict(hours["quantity"].items()) == {"provisioned": 48, "fine_tuning": 2}
    assert dict(hours["billed_cost"].items()) == {"provisioned": 312, "fine_tuning": 26}
    assert set(hours["resource_id"]) == {CLUSTER}
    assert set(hours["service_tier"]) == {"provisioned"}


def test_gpu_hours_come_with_their_service(world, played):
    frame = connector(played.url, services="generative.?ai|compute").usage(OCTOBER)
    gpu = frame[frame["meter"] == "gpu_hours"]
    assert (gpu["quantity"].sum(), gpu["billed_cost"].sum()) == (10, 20)


def test_unknown_products_stay_visible_with_their_text(played):
    made = connector(played.url)
    bills = made.bills(OCTOBER)
    unknown = bills[bills["meter"] == "unmapped"]
    assert list(unknown["charge_description"]) == ["OCI Generative AI Agents - Data Ingestion"]
    assert unknown["billed_cost"].sum() == Decimal("0.25")
    usage = made.usage(OCTOBER)
    assert list(usage[usage["meter"] == "unmapped"]["model"]) == ["OCI Generative AI Agents - Data Ingestion"]


def test_forecasts_and_empty_lines_are_no_charges(played):
    bills = connector(played.url).bills(OCTOBER)
    assert bills["billed_cost"].max() == 312
    assert not (bills["charge_description"] == "OCI Generative AI - Large Meta").any()


def test_only_the_compartments_named_are_read(played):
    frame = connector(played.url, compartment_id=LAB).usage(OCTOBER)
    assert dict(frame.groupby("meter")["quantity"].sum().items()) == {"input_characters": 30_000}


def test_a_tag_can_be_grouped_by(world, played):
    tags = [
        {"namespace": "finops", "key": "team", "value": "support"},
        {"namespace": "Oracle-Tags", "key": "CreatedBy", "value": "default/ana"},
    ]
    world.items = [item("2026-10-01", "OCI Generative AI - Large Cohere", "10,000 Transactions", 1, 2, tags=tags)]
    frame = connector(played.url, tag="finops.team").usage(OCTOBER)
    assert dict(frame["tags"][0]) == {"finops.team": "support", "Oracle-Tags.CreatedBy": "ana"}
    asked = [r.json() for r in played.requests]
    assert asked[-1]["groupByTag"] == [{"namespace": "finops", "key": "team"}]


def test_hours_are_asked_for_in_pieces_the_api_takes(world, played):
    connector(played.url, granularity="HOURLY").usage(Window.of("2026-10-01T05:30:00Z", "2026-10-04"))
    asked = [r.json() for r in played.requests if r.json()["granularity"] == "HOURLY"]
    spans = [(q["timeUsageStarted"][:19], q["timeUsageEnded"][:19]) for q in asked if len(q["groupBy"]) == 4]
    # from the whole hour before, 36 hours at a time
    assert spans == [
        ("2026-10-01T05:00:00", "2026-10-02T17:00:00"),
        ("2026-10-02T17:00:00", "2026-10-04T00:00:00"),
    ]


def test_a_correction_is_netted_in_usage_and_a_line_of_its_own_on_the_bill(tmp_path):
    for name, lines in COST_FILES.items():
        (tmp_path / name.rsplit("/", 1)[1]).write_bytes(zipped_csv(lines))
    made = Oci(files=str(tmp_path))
    usage, bills = made.usage(OCTOBER), made.bills(OCTOBER)
    first = usage[(usage["meter"] == "characters") & (usage["charge_period_start"] == instant("2026-10-01"))]
    # (12.5 + 1.5 - 2.5) blocks of 10,000; 0.195 + 0.0234 - 0.039
    assert list(first["quantity"]) == [115_000]
    assert list(first["billed_cost"]) == [Decimal("0.1794")]
    corrections = bills[bills["charge_class"] == "Correction"]
    assert list(corrections["billed_cost"]) == [Decimal("-0.039")]
    assert dict(corrections["tags"].iloc[0]) == {"finops.team": "support"}
    assert "1 lines came twice (same reference number) and count once." in made.notes


def test_a_correction_without_its_original_is_noted(tmp_path):
    lines = [cost_line("x", "2026-10-01T00:00Z", "-1", "-2", **{"lineItem/isCorrection": "true"})]
    (tmp_path / "r.csv.gz").write_bytes(zipped_csv(lines))
    made = Oci(files=str(tmp_path))
    assert made.usage(OCTOBER).empty
    assert "1 corrections without the usage they correct" in made.notes[0]
    assert list(made.bills(OCTOBER)["billed_cost"]) == [Decimal("-2")]


def test_cost_and_focus_reports_are_never_added(tmp_path):
    from oci_world import FOCUS_LINES

    (tmp_path / "cost.csv.gz").write_bytes(zipped_csv([cost_line("a", "2026-10-01T00:00Z", "1", "5")]))
    (tmp_path / "focus.csv.gz").write_bytes(zipped_csv(FOCUS_LINES))
    made = Oci(files=str(tmp_path))
    assert list(made.bills(OCTOBER)["billed_cost"]) == [5]
    assert "nothing counts twice" in made.notes[0]


def test_old_reports_are_not_fetched(world, played):
    world.objects["reports/cost-csv/1.csv.gz"] = ("2026-09-29T00:00:00Z", b"not even gzip")
    world.objects["reports/cost-csv/2.csv.gz"] = (
        "2026-10-02T00:00:00Z",
        zipped_csv([cost_line("a", "2026-10-01T00:00Z", "1", "5")]),
    )
    frame = connector(played.url, read_from="cost_reports").usage(OCTOBER)
    assert frame["billed_cost"].sum() == 5
    assert frame["sub_account_id"][0] == TEAM


amounts = st.decimals(min_value=-1000, max_value=10**6, places=12, allow_nan=False)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 71), st.integers(0, 10**9), amounts), min_size=1, max_size=30))
def test_adding_up_slices_loses_nothing(lines):
    """Usage by day holds the lines' quantities and costs to the last digit, and bills hold each line."""
    start = instant("2026-10-01")
    made = [
        charges.Charge(
            place=f"line {i}", start=start + hour * charges.HOUR, end=start + (hour + 1) * charges.HOUR, tenancy="t",
            sku_name="OCI Generative AI - Large Cohere", unit="10,000 Transactions",
            quantity=Decimal(characters) / 10_000, cost=cost, currency="USD",
        )
        for i, (hour, characters, cost) in enumerate(lines)
    ]  # fmt: skip
    usage = charges.usage_frame(made, OCTOBER, charges.DAY, [])
    bills = charges.bill_frame(made, OCTOBER, [])
    assert usage["quantity"].sum() == sum(characters for _, characters, _ in lines)
    assert usage["billed_cost"].sum() == bills["billed_cost"].sum() == sum(cost for *_, cost in lines)
    assert len(bills) == len(lines)


@pytest.mark.skipif(not CONTRACTS.is_dir(), reason=f"OCI's contract files are not at {CONTRACTS}")
def test_every_column_read_is_one_oracle_writes():
    source = Path(reports.__file__).read_text()
    read = set(re.findall(r'row(?:\.get\(|\[)"([^"]+)"', source)) | {*reports.COST_NEEDED, *reports.FOCUS_NEEDED}
    known = {
        line.strip()
        for name in ("cost_report", "focus_report")
        for line in next(CONTRACTS.glob(f"{name}*.txt")).read_text().splitlines()
    }
    # said on Oracle's pages, not read by the loader the list was taken from
    known |= {"lineItem/referenceNo", "lineItem/backReferenceNo", "product/resource", "RegionId"}
    assert len(read) > 40
    assert read <= known


def test_the_sample_companys_reports_say_what_its_truth_says(tmp_path):
    from finops_ai.sample import slices
    from finops_ai.sample.native_oci import write

    truth = slices(13)
    truth = truth[truth["provider"] == "oci"]
    write(truth, tmp_path)
    made = Oci(files=str(tmp_path))
    whole = Window.of("2025-10-01", "2026-11-01")
    usage, bills = made.usage(whole), made.bills(whole)
    keys = ["sub_account_id", "model"]
    got = {tuple(map(str, k)): int(v) for k, v in usage.groupby(keys)["quantity"].sum().items()}
    assert got == {tuple(map(str, k)): int(v) for k, v in truth.groupby(keys)["characters"].sum().items()}
    assert set(usage["meter"]) == {"characters"}
    assert usage["billed_cost"].sum() == bills["billed_cost"].sum() == truth["list_cost"].sum()
    assert made.notes == []


def test_files_that_changed_are_read_again_and_notes_repeated(tmp_path):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(
        zipped_csv([cost_line("a", "2026-10-01T00:00Z", "1", "5"), cost_line("a", "2026-10-01T00:00Z", "1", "5")])
    )
    made = Oci(files=str(tmp_path))
    assert made.usage(OCTOBER)["billed_cost"].sum() == 5
    made.notes = []
    path.write_bytes(
        zipped_csv([cost_line("a", "2026-10-01T00:00Z", "1", "50"), cost_line("a", "2026-10-01T00:00Z", "1", "50")])
    )
    assert made.bills(OCTOBER)["billed_cost"].sum() == 50
    assert made.notes == ["1 lines came twice (same reference number) and count once."]


def test_usage_and_bills_of_a_window_are_fetched_once(played):
    asking = connector(played.url)
    asking.usage(OCTOBER)
    before = len(played.requests)
    assert len(asking.bills(OCTOBER))
    assert len(played.requests) == before
    asking.bills(OCTOBER)
    assert len(played.requests) > before


def test_saved_answers_give_what_the_api_gives(tmp_path):
    (tmp_path / "usage.json").write_text(json.dumps({"groupBy": ["skuName"], "items": ITEMS}))
    made = Oci(files=str(tmp_path / "*.json"))
    usage = made.usage(OCTOBER)
    assert dict(usage.groupby("meter")["quantity"].sum().items()) == QUANTITIES
    assert made.bills(OCTOBER)["billed_cost"].sum() == Decimal(BILLED["USD"])
    assert set(usage["billing_account_id"]) == {TENANCY}
