"""FOCUS out: exact costs, one row per meter, the official validator satisfied, and back without loss."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import finops_ai as fa
from finops_ai.errors import DataError, SettingsError
from finops_ai.frames import conform
from finops_ai.frames.focus import columns
from finops_ai.meters import meters
from finops_ai.periods import instant
from finops_ai.tables.focus import to_focus, write_focus
from finops_ai.tables.focus_check import check_focus


def priced(quantity="1234567.000001", price="0.000003", meter="input", **changes):
    """One priced row; list cost = quantity x price, by hand where a test states it."""
    cost = Decimal(quantity) * Decimal(price)
    frame = conform(
        {
            "charge_period_start": [instant("2026-10-01")],
            "charge_period_end": [instant("2026-10-02")],
            "provider": ["openai"],
            "billing_account_id": ["org"],
            "model": ["gpt-4.1"],
            "operation": ["chat"],
            "meter": [meter],
            "quantity": [Decimal(quantity)],
            "unit": [meters()[meter].unit],
            "service_tier": ["standard"],
            "tags": [[("team", "search")]],
            "source": ["api"],
            "quantity_basis": ["metered"],
        },
        source="test",
    )
    costs = dict.fromkeys(("list_cost", "contracted_cost", "effective_cost"), cost) | changes
    for name, value in costs.items():
        if name.endswith("cost"):
            frame[name] = pd.Series([value], dtype=frame["billed_cost"].dtype)
        else:
            frame[name] = pd.Series([value])
    frame["list_unit_price"] = pd.Series([Decimal(price)], dtype=pd.ArrowDtype(unit_price()))
    frame["price_status"] = "listed"
    return frame.assign(pricing_currency="USD")


def unit_price():
    from finops_ai.frames.types import UNIT_PRICE_TYPE

    return UNIT_PRICE_TYPE


@pytest.fixture(scope="module")
def allocated():
    from finops_ai.sample import rules

    return fa.allocate(fa.price(fa.sample(months=1)), rules())


def texts(frame):
    return [tuple(map(str, row)) for row in frame.astype(object).where(frame.notna(), None).itertuples(index=False)]


def test_tokens_are_priced_per_million_exactly():
    row = to_focus(priced()).iloc[0]
    assert row["ConsumedQuantity"] == Decimal("1234567.000001")
    assert row["ConsumedUnit"] == "Tokens"
    assert (row["PricingQuantity"], row["PricingUnit"]) == (Decimal("1.234567000001"), "1000000 Tokens")
    assert row["ListUnitPrice"] == 3  # 0.000003 x 1,000,000
    assert row["ListCost"] == Decimal("3.703701000003")  # 1.234567000001 x 3
    assert row["BilledCost"] == row["EffectiveCost"] == row["ContractedCost"] == row["ListCost"]
    assert (row["SkuMeter"], row["ServiceSubcategory"]) == ("Input Tokens", "Generative AI")
    assert row["Tags"] == '{"team": "search"}'


def test_a_discount_shows_in_the_contracted_unit_price():
    row = to_focus(priced(quantity="2000000", contracted_cost=Decimal("4.8"), effective_cost=Decimal("4.8"))).iloc[0]
    assert (row["ListCost"], row["ListUnitPrice"]) == (6, 3)
    assert (row["ContractedCost"], row["ContractedUnitPrice"]) == (Decimal("4.8"), Decimal("2.4"))  # 4.8 / 2


def test_hours_and_requests_are_priced_one_by_one():
    row = to_focus(priced(quantity="24", price="1.5", meter="provisioned_hours")).iloc[0]
    assert (row["PricingQuantity"], row["PricingUnit"], row["ListUnitPrice"]) == (24, "Unit-Hours", Decimal("1.5"))


def test_an_unpriced_row_is_kept_and_marked():
    frame = priced(list_cost=None, contracted_cost=None, effective_cost=None).assign(price_status="unpriced")
    frame["list_unit_price"] = pd.Series([None], dtype=frame["list_unit_price"].dtype)
    row = to_focus(frame).iloc[0]
    assert (row["ListCost"], row["x_PriceStatus"]) == (0, "unpriced")
    assert pd.isna(row["ListUnitPrice"])


def test_a_cost_the_source_states_is_what_was_billed():
    frame = priced(quantity="2000000", billed_cost=Decimal("5.99")).assign(billing_currency="USD")
    assert to_focus(frame).iloc[0]["BilledCost"] == Decimal("5.99")
    foreign = frame.assign(billing_currency="EUR")  # never mixed into dollars
    assert to_focus(foreign).iloc[0]["BilledCost"] == 6


@pytest.mark.parametrize("version", ["1.2", "1.3", "1.4"])
def test_a_version_has_its_columns_and_no_other(version):
    focus = to_focus(priced(), version)
    own = [name for name in focus.columns if not name.startswith("x_")]
    assert own == list(columns(version)) == sorted(own)
    assert ("ProviderName" in own) == (version < "1.4")
    assert ("ServiceProviderName" in own) == (version >= "1.3")


def test_draft_keys_lose_their_prefix_only_when_asked():
    assert '"x_ModelId": "gpt-4.1"' in to_focus(priced())["SkuPriceDetails"][0]
    draft = to_focus(priced(), draft_keys=True)["SkuPriceDetails"][0]
    assert '"ModelId": "gpt-4.1"' in draft
    assert '"TokenDirection": "Input"' in draft
    assert '"TokenCacheAction": "Uncached"' in draft
    assert "TokenCacheAction" not in to_focus(priced(meter="output"), draft_keys=True)["SkuPriceDetails"][0]


def test_parts_of_split_rows_say_how_they_were_split():
    frame = pd.concat([priced(), priced(), priced()]).assign(
        team=["search", "unallocated", "ads"], share=[Decimal("0.25"), Decimal("0.75"), Decimal(1)], rule="by tokens"
    )
    frame["share"] = frame["share"].astype(pd.ArrowDtype(__import__("pyarrow").decimal128(13, 12)))
    focus = to_focus(frame.reset_index(drop=True), "1.3")
    assert list(focus["AllocatedMethodId"].fillna("")) == ["finops-ai-mapping-rules", "finops-ai-mapping-rules", ""]
    assert list(focus["AllocatedResourceId"].fillna("")) == ["search", "", ""]  # the rest belongs to nobody
    assert focus["AllocatedMethodDetails"][0] == (
        '{"Elements": [{"AllocatedRatio": 0.25, "UsageUnit": "Tokens", "x_Rule": "by tokens"}]}'
    )
    assert list(focus["x_Team"]) == ["search", "unallocated", "ads"]
    assert "AllocatedMethodId" not in to_focus(frame.reset_index(drop=True), "1.2").columns


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"FOCUS '1\.0' can't be written"):
        to_focus(priced(), "1.0")
    with pytest.raises(DataError, match=r"Call fa.price\(tokens\) first"):
        to_focus(fa.sample(months=1))
    with pytest.raises(SettingsError, match=r"\.csv or \.parquet"):
        write_focus(to_focus(priced()), tmp_path / "focus.xlsx")


def test_the_sample_company_keeps_every_cost(allocated):
    focus = to_focus(allocated)
    for ours, theirs in (("list_cost", "ListCost"), ("effective_cost", "EffectiveCost")):
        assert focus[theirs].sum() == allocated[ours].sum()
    assert len(focus) == len(allocated)


@pytest.mark.long
@pytest.mark.parametrize(("version", "ending"), [("1.2", "csv"), ("1.3", "parquet"), ("1.4", "csv")])
def test_export_then_import_gives_the_same_frame(allocated, tmp_path, version, ending):
    path = write_focus(to_focus(allocated, version, draft_keys=version == "1.4"), tmp_path / f"focus.{ending}")
    tokens = allocated[list(fa.sample(months=1).columns)]
    assert texts(fa.from_focus(path)) == texts(tokens)
    assert check_focus(path, version, draft_keys=version == "1.4") == []


amounts = st.decimals(min_value=0, max_value=10**9, places=6, allow_nan=False, allow_infinity=False)
prices = st.decimals(min_value=0, max_value=Decimal("0.01"), places=12, allow_nan=False, allow_infinity=False)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts, prices, st.sampled_from(["input", "cache_read", "output_audio", "characters", "gpu_hours"]))
def test_cost_is_price_times_quantity_whatever_they_are(tmp_path, quantity, price, meter):
    path = write_focus(to_focus(priced(str(quantity), str(price), meter)), tmp_path / "focus.csv")
    with path.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert Decimal(row["ListCost"]) == Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"])
    assert Decimal(row["ListCost"]) == quantity * price


# ---------------------------------------------------------------------- the project's own checks: one planted fault each

FAULTS = {
    "ListCost is ListUnitPrice x PricingQuantity": {"ListCost": "3.7"},
    "ContractedCost is ContractedUnitPrice x PricingQuantity": {"ContractedCost": "1"},
    "a subcategory lies under its category": {"ServiceSubcategory": "Virtual Machines"},
    "times are YYYY-MM-DDTHH:MM:SSZ": {"ChargePeriodStart": "2026-10-01 00:00:00"},
    "null is spelt as nothing": {"ChargeClass": "NULL"},
    "custom columns start with x_ and a capital": {"Foo": "bar"},
    "keys of SkuPriceDetails are defined or start with x_": {"SkuPriceDetails": '{"ModelId": "m"}'},
    "JSON columns hold JSON objects": {"Tags": '{"team": '},
    "units are in the Unit Format": {"PricingUnit": "1M tokens"},
    "PricingQuantity and PricingUnit are null together": {"PricingUnit": ""},
    "no null where none is allowed": {"BillingAccountId": ""},
    "periods end after they start": {"ChargePeriodEnd": "2026-10-01T00:00:00Z"},
    "unit prices are 0 or more": {"ListUnitPrice": "-3", "ListCost": "-3.703701000003"},
    "split rows state ratios between 0 and 1": {"AllocatedMethodDetails": '{"Elements": [{"AllocatedRatio": 2}]}'},
    "a column of the version is missing": {"SkuMeter": None},
}


def rewritten(path, change, copies=1):
    with path.open(encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    row = {k: v for k, v in (row | change).items() if v is not None}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([row] * copies)
    return path


@pytest.mark.parametrize("rule", FAULTS)
def test_each_check_finds_its_fault(tmp_path, rule):
    path = write_focus(to_focus(priced(), "1.3"), tmp_path / "focus.csv")
    assert check_focus(path, "1.3") == []
    problems = check_focus(rewritten(path, FAULTS[rule]), "1.3")
    assert [p.rule for p in problems] == [rule]
    assert rule in str(problems[0])


def test_a_name_of_a_megabyte_is_checked_as_any_other(tmp_path):
    path = write_focus(to_focus(priced(user_id="u" * 1_000_000), "1.3"), tmp_path / "focus.csv")
    assert check_focus(path, "1.3") == []


def test_a_doubled_row_and_a_price_described_twice_are_found(tmp_path):
    path = write_focus(to_focus(priced()), tmp_path / "focus.csv")
    assert [p.rule for p in check_focus(rewritten(path, {}, copies=2))] == ["no row comes twice"]
    two = pd.concat([priced(), priced(quantity="5")]).reset_index(drop=True)
    focus = to_focus(two)
    focus.loc[1, "SkuPriceDetails"] = '{"x_ModelId": "another"}'
    assert [p.rule for p in check_focus(write_focus(focus, path))] == ["one SkuPriceId has one description"]


# ---------------------------------------------------------------------- the official validator

CRITERIA = [
    "ACCOUNT_NAMING_SUPPORTED",
    "AVAILABILITY_ZONE_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED",
    "MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "BILLING_BASED_ON_PROVISIONED_RESOURCES_SUPPORTED",
    "RESOURCE_TYPE_ASSIGNMENT_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "VIRTUAL_CURRENCY_SUPPORTED",
    "REGION_SUPPORTED",
    "TAGGING_SUPPORTED",
]
#: the two rules that contradict each other: "MUST be null" and "MUST NOT be null", both without a condition
CONTRADICTORY = {"InvoiceId-C-004-C", "InvoiceId-C-005-C"}


def validator() -> Path:
    """The official validator in an environment of its own (its pins clash with this package's)."""
    tools = Path(os.environ.get("FINOPS_AI_TOOLS", Path(__file__).parents[2] / ".venv-tools"))
    place = tools / "focus-validator"
    if not (place / ".ok").exists():
        candidates = [shutil.which("python3.13"), shutil.which("python3.12")]
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
        candidates += sorted(map(str, pyenv.glob("3.1[23].*/bin/python3")))
        if sys.version_info >= (3, 12):
            candidates.insert(0, sys.executable)
        for python in filter(None, candidates):
            shutil.rmtree(place, ignore_errors=True)
            install = [str(place / "bin" / "pip"), "install", "-q", "focus-validator==2.2.1", "pyarrow<21"]
            made = subprocess.run([python, "-m", "venv", str(place)], capture_output=True, check=False)
            if made.returncode == 0 and subprocess.run(install, capture_output=True, check=False).returncode == 0:
                (place / ".ok").touch()
                break
        else:
            pytest.skip("the official FOCUS validator needs Python 3.12 or newer and could not be installed")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_official_validator_finds_nothing_but_its_own_contradiction(allocated, tmp_path, ending):
    place = validator()
    path = write_focus(to_focus(allocated, "1.2"), tmp_path / f"focus.{ending}")
    report = tmp_path / "report.xml"
    packages = next(place.glob("lib/python3.*/site-packages"))  # the validator opens its currency list from there
    command = [
        str(place / "bin" / "focus-validator"), "--data-file", str(path), "--validate-version", "1.2",
        "--focus-dataset", "CostAndUsage", "--block-download", "--applicability-criteria", ",".join(CRITERIA),
        "--output-type", "unittest", "--output-destination", str(report),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    suites = ET.parse(report).getroot()
    failed = {case.get("name").split(" ")[0] for case in suites.iter("testcase") if case.findall("failure")}
    assert failed <= CONTRADICTORY, failed
    passed = int(suites.get("tests")) - int(suites.get("failures")) - int(suites.get("skipped"))
    assert passed >= 302
