"""FOCUS files of any provider: the kit's rules, the official samples, and the known ways providers deviate."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finops_ai_focus import connector as connector_module
from finops_ai_focus.connector import Focus

from finops_ai.errors import DataError, SettingsError
from finops_ai.periods import Window
from finops_ai.testing import ConnectorConformance

SAMPLES = Path(__file__).parents[4] / "shared" / "focus_samples"
needs_samples = pytest.mark.skipif(
    not SAMPLES.exists(), reason=f"the official samples are not beside this checkout ({SAMPLES})"
)
ALWAYS = Window.of("2000-01-01", "2100-01-01")

BASE = {
    "BilledCost": "3.00",
    "BillingAccountId": "000123456789",
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargeCategory": "Usage",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
    "ConsumedQuantity": "1000000",
    "ConsumedUnit": "Tokens",
    "ContractedCost": "3.00",
    "EffectiveCost": "3.00",
    "ListCost": "3.00",
    "PricingQuantity": "1",
    "PricingUnit": "1000000 Tokens",
    "ProviderName": "Solora AI",
    "ServiceCategory": "AI and Machine Learning",
    "ServiceName": "Solora Generative AI API",
    "SkuMeter": "Input Tokens",
    "SkuPriceDetails": '{"x_ModelId": "solora-pro"}',
    "SkuId": "solora-in",
    "Tags": '{"team": "search", "beta": true}',
}
OUTPUT = {"SkuMeter": "Output Tokens", "ConsumedQuantity": "250000", "PricingQuantity": "0.25"}


def row(**changes):
    return {k: v for k, v in (BASE | changes).items() if v is not None}


@pytest.fixture
def focus(tmp_path):
    def write(*rows, name="focus.csv", **settings):
        columns = list(dict.fromkeys(column for r in rows for column in r))
        lines = [",".join(columns)]
        lines += [",".join('"' + str(r.get(c, "")).replace('"', '""') + '"' for c in columns) for r in rows]
        text = "\n".join(lines).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return Focus(files=[str(tmp_path / name)], **settings)

    return write


class TestFocusConformance(ConnectorConformance):
    connector = Focus
    files_only = "FOCUS is a format of files; no API serves it"
    excused = {"test_the_provider_is_the_connector": "FOCUS files name their provider; the rows say that one"}
    split = "2026-10-02"
    tokens = 1_000_000 + 250_000 + 700  # input, output, and the second day's cache reads
    quantities = {"input": 1_000_000, "output": 250_000, "cache_read": 700}
    billed = {"USD": "9.00"}  # three rows of 3.00 in October

    @pytest.fixture(autouse=True)
    def _file(self, focus):
        second = {"ChargePeriodStart": "2026-10-02T00:00:00Z", "ChargePeriodEnd": "2026-10-03T00:00:00Z"}
        november = {"ChargePeriodStart": "2026-11-01T00:00:00Z", "ChargePeriodEnd": "2026-11-02T00:00:00Z"}
        cached = {"SkuMeter": "Cache Read Input Tokens", "ConsumedQuantity": "700", "PricingQuantity": "0.0007"}
        written = focus(row(), row(**OUTPUT), row(**cached, **second), row(**november))
        self.settings = {"files": written.settings.files}


# ---------------------------------------------------------------------- official samples

SPEC = {
    # file: (tokens by meter, billed): each figure added up from the file's ConsumedQuantity and BilledCost cells
    "spec_ai_examples_1.5draft/ai_prompt_caching_a.csv": (
        {"input": 500_000, "cache_write": 2_000_000, "cache_read": 8_000_000, "output": 1_500_000},
        "33.9",  # 1.5 + 7.5 + 2.4 + 22.5
    ),
    "spec_ai_examples_1.5draft/ai_prompt_caching_b.csv": (
        {"input": 2_500_000, "cache_read": 8_000_000, "output": 1_500_000, "cache_storage": 6_000_000},
        "38.4",  # 7.5 + 2.4 + 22.5 + 6.0
    ),
    "spec_ai_examples_1.5draft/cached_tokens_via_csp_marketplace.csv": (
        {"cache_read": 50_000_000, "cache_write": 15_000_000},
        "47.5",  # 10 + 37.5
    ),
    "spec_ai_examples_1.5draft/multi_model_invoice_via_csp_marketplace.csv": (
        {"input": 105_750_000, "output": 51_750_000, "cache_read": 100_000, "cache_write": 80_000},
        "2037.36",
    ),
    "spec_ai_examples_1.5draft/drawdown_via_prepayment_foundation_model_api.csv": (
        {"input": 5_000_000, "output": 1_500_000},
        "500000",
    ),
    "handmade/focus_1.2_ai_tokens_conformant.csv": (
        {"input": 500_000, "cache_write": 2_000_000, "cache_read": 8_000_000, "output": 1_500_000},
        "33.9",
    ),
}


@needs_samples
@pytest.mark.parametrize("file", SPEC)
def test_the_specs_own_ai_examples_are_read_exactly(file):
    quantities, billed = SPEC[file]
    connector = Focus(files=str(SAMPLES / file))
    usage, bills = connector.usage(ALWAYS), connector.bills(ALWAYS)
    assert dict(usage.groupby("meter")["quantity"].sum().items()) == quantities
    assert bills["billed_cost"].sum() == Decimal(billed)
    query = f"SELECT sum(BilledCost::DECIMAL(38,18)), count(*) FROM read_csv('{SAMPLES / file}', all_varchar=true)"
    raw = duckdb.sql(query).fetchall()[0]
    assert raw == (Decimal(billed), len(bills))
    assert set(usage["model"]) <= {m for m in bills["model"] if isinstance(m, str)}


@needs_samples
def test_a_prepaid_commitment_is_a_purchase_and_its_use_costs_nothing_more():
    connector = Focus(files=str(SAMPLES / "spec_ai_examples_1.5draft/drawdown_via_prepayment_foundation_model_api.csv"))
    bills = connector.bills(ALWAYS)
    assert list(bills["charge_category"]) == ["Purchase", "Usage", "Usage"]
    assert list(bills["commitment_discount_status"].fillna("")) == ["", "Used", "Used"]
    assert list(bills["billed_cost"]) == [500000, 0, 0]
    assert bills["effective_cost"].sum() > 0


@needs_samples
def test_the_official_messy_1_0_sample_is_read_whole():
    file = SAMPLES / "focus_sample_1.0" / "focus_sample.csv"
    everything = Focus(files=str(file), services="all").bills(ALWAYS)
    raw = duckdb.sql(f"SELECT sum(BilledCost::DECIMAL(38,18)) FROM read_csv('{file}', all_varchar=true)").fetchall()[0]
    assert len(everything) == 1000
    assert everything["billed_cost"].sum() == raw[0]
    assert set(everything["provider"]) == {"bedrock", "azure-openai", "oci"}
    ai = Focus(files=str(file))
    assert len(ai.bills(ALWAYS)) == 9  # Azure Machine Learning disks and machines: no tokens in them
    assert set(ai.usage(ALWAYS)["meter"]) == {"unmapped"}
    assert "3 usage rows" in ai.notes[0]


@pytest.mark.long
@needs_samples
def test_us_dates_and_virtual_currencies_are_read():
    for file in sorted((SAMPLES / "spec_saas_virtual_currency_1.2").glob("*.csv")):
        bills = Focus(files=str(file), services="all").bills(ALWAYS)
        assert set(bills["billing_currency"]) == {"USD"}, file.name


# ---------------------------------------------------------------------- versions and deviations


def test_every_version_names_its_provider(focus):
    older = focus(row())
    newer = focus(row(ProviderName=None, ServiceProviderName="Anthropic"), name="new.csv")
    assert set(older.usage(ALWAYS)["provider"]) == {"solora-ai"}
    assert set(newer.usage(ALWAYS)["provider"]) == {"anthropic"}
    assert set(focus(row(), provider="acme").usage(ALWAYS)["provider"]) == {"acme"}


def test_keys_of_the_1_5_draft_decide_over_text(focus):
    details = '{"ModelId": "m", "TokenDirection": "Input", "TokenCacheAction": "Write"}'
    usage = focus(row(SkuMeter="Model units, output", SkuPriceDetails=details)).usage(ALWAYS)
    assert list(usage["meter"]) == ["cache_write"]


@pytest.mark.parametrize(
    ("meter", "unit", "quantity", "want"),
    [
        ("USE1-Claude4-input-tokens", "1K tokens", "12.5", ("input", 12500)),
        ("USE1-Claude4-output-tokens", "1M Tokens", "0.25", ("output", 250_000)),
        ("EUC1-Claude4-cache-read-input-token-count", "1000 Tokens", "3", ("cache_read", 3000)),
        ("EUC1-Claude4-cache-write-input-token-count", "Tokens", "3", ("cache_write", 3)),
        ("Cache Write 1h Input Tokens", "Tokens", "3", ("cache_write_1h", 3)),
        ("Audio Input Tokens", "Tokens", "3", ("input_audio", 3)),
        ("gpt 4.1 cached Inp glbl Tokens", "Units", "7", ("cache_read", 7)),
        ("gpt 4.1 Inp glbl Tokens", "Units", "7", ("input", 7)),
        ("gpt 4.1 Outp glbl Tokens", "Units", "7", ("output", 7)),
        ("Generate Content Text Output tokens Gemini 2.5 Pro", "count", "9", ("output", 9)),
        ("Context Cache Storage", "Token-Hours", "9", ("cache_storage", 9)),
        ("Something quite new", "Widgets", "9", ("unmapped", 9)),
    ],
)
def test_units_and_texts_of_real_providers(focus, meter, unit, quantity, want):
    usage = focus(row(SkuMeter=meter, ConsumedUnit=unit, ConsumedQuantity=quantity)).usage(ALWAYS)
    assert (usage["meter"][0], usage["quantity"][0]) == want


def test_without_a_consumed_quantity_the_priced_one_counts(focus):
    usage = focus(row(ConsumedQuantity=None, ConsumedUnit=None, PricingQuantity="0.5")).usage(ALWAYS)
    assert usage["quantity"][0] == 500_000


def test_azures_block_size_scales_the_priced_quantity(focus):
    azure = row(
        ConsumedQuantity=None, ConsumedUnit=None, PricingUnit="Units", PricingQuantity="3", x_PricingBlockSize="1000",
        x_SkuMeterName="gpt 4.1 Inp glbl Tokens", SkuMeter=None, ProviderName="Microsoft",
    )  # fmt: skip
    usage = focus(azure).usage(ALWAYS)
    assert (usage["quantity"][0], usage["provider"][0], usage["meter"][0]) == (3000, "azure-openai", "input")


def test_oracles_older_names_are_understood(focus):
    renamed = {
        "ProviderName": "Provider", "ConsumedQuantity": "UsageQuantity", "ConsumedUnit": "UsageUnit",
    }  # fmt: skip
    oracle = {renamed.get(k, k): v for k, v in row(ProviderName="Oracle").items()}
    oracle |= {"Region": "us-chicago-1", "oci_CompartmentId": "ocid1.compartment.oc1..x", "InvoiceIssuer": "Oracle"}
    usage = focus(oracle).usage(ALWAYS)
    assert (usage["provider"][0], usage["quantity"][0]) == ("oci", 1_000_000)
    assert (usage["region"][0], usage["sub_account_id"][0]) == ("us-chicago-1", "ocid1.compartment.oc1..x")


def test_nulls_ids_dates_and_numbers_as_real_files_spell_them(focus):
    messy = row(
        ChargeClass="NULL", ChargePeriodStart="2026-10-01 00:00:00", ChargePeriodEnd="2026-10-02", SkuPriceDetails="",
        BilledCost="1,234.50 ", ListCost="2E-05", Tags="not json",
    )  # fmt: skip
    connector = focus(messy, name="focus.csv.gz")
    bills = connector.bills(ALWAYS)
    assert bills["billing_account_id"][0] == "000123456789"  # leading zeros kept
    assert bills["billed_cost"][0] == Decimal("1234.50")
    assert bills["list_cost"][0] == Decimal("0.00002")
    assert str(bills["charge_period_start"][0]) == "2026-10-01 00:00:00+00:00"
    assert dict(bills["tags"][0]) == {"Tags": "not json"}
    assert connector.usage(ALWAYS)["model"][0] == "Input Tokens"


def test_tags_become_a_map(focus):
    assert dict(focus(row()).usage(ALWAYS)["tags"][0]) == {"team": "search", "beta": "true"}
    listed = '[{"key": "team", "value": "ads"}]'
    assert dict(focus(row(Tags=listed), name="aws.csv").usage(ALWAYS)["tags"][0]) == {"team": "ads"}


def test_corrections_credits_and_other_services_are_no_usage(focus):
    connector = focus(
        row(),
        row(ChargeClass="Correction", BilledCost="-1"),
        row(ChargeCategory="Credit", BilledCost="-2"),
        row(ServiceCategory="Storage", ServiceName="Disks", SkuMeter="GB", ConsumedUnit="GB"),
    )
    assert connector.usage(ALWAYS)["quantity"].sum() == 1_000_000
    assert connector.bills(ALWAYS)["billed_cost"].sum() == 0  # 3 - 1 - 2
    assert focus(row(ServiceCategory="Storage", ServiceName="Disks", SkuMeter="GB"), name="b.csv").bills(ALWAYS).empty


def test_a_load_reads_a_file_once_and_a_changed_file_again(focus, monkeypatch):
    storage = row(ServiceCategory="Storage", ServiceName="Disks", SkuMeter="GB", BilledCost="5")
    connector, reads = focus(row(), storage), []
    read = connector_module.read_file
    monkeypatch.setattr(connector_module, "read_file", lambda path: reads.append(path) or read(path))
    connector.usage(ALWAYS)
    assert connector.bills(ALWAYS)["billed_cost"].tolist() == [3]
    assert [(left.reason, left.amount) for left in connector.left_out] == [("another service: Disks", 5)]
    assert len(reads) == 1
    connector.usage(ALWAYS)
    focus(row(), row(), storage)  # written anew between the two
    assert connector.bills(ALWAYS)["billed_cost"].tolist() == [3, 3]
    assert connector.bills(ALWAYS)["billed_cost"].tolist() == [3, 3]
    assert len(reads) == 4


def test_an_ai_service_is_known_by_its_name_where_the_category_is_missing(focus):
    connector = focus(row(ServiceCategory=None, ServiceName="Amazon Bedrock", ProviderName="AWS"))
    assert connector.usage(ALWAYS)["provider"][0] == "bedrock"


def test_a_parquet_file_with_real_types_is_the_same(focus, tmp_path):
    text = focus(row(), row(**OUTPUT)).usage(ALWAYS)
    table = duckdb.sql(
        f"""SELECT * REPLACE (ChargePeriodStart::TIMESTAMP AS ChargePeriodStart,
            ChargePeriodEnd::TIMESTAMPTZ AS ChargePeriodEnd, ConsumedQuantity::DOUBLE AS ConsumedQuantity,
            BilledCost::DECIMAL(30,15) AS BilledCost, MAP {{'team': 'search', 'beta': 'true'}} AS Tags)
            FROM read_csv('{tmp_path / "focus.csv"}', all_varchar=true)"""
    )
    pq.write_table(pa.table(table.to_arrow_table()), tmp_path / "typed.parquet")
    typed = Focus(files=str(tmp_path / "typed.parquet")).usage(ALWAYS)
    columns = ["charge_period_start", "charge_period_end", "meter", "quantity", "billed_cost"]
    assert typed[columns].equals(text[columns])
    assert dict(typed["tags"][0]) == {"team": "search", "beta": "true"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"BilledCost": None}, "the column 'BilledCost' is missing, so this is no FOCUS file"),
        ({"BilledCost": "three"}, "row 1, column 'BilledCost': 'three' is not a number"),
        ({"ChargePeriodStart": "soon"}, "row 1, column 'ChargePeriodStart': 'soon' is not a time"),
    ],
)
def test_a_bad_file_is_named(focus, change, said):
    with pytest.raises(DataError, match=said):
        focus(row(**change)).usage(ALWAYS)


def test_without_files_it_says_so():
    with pytest.raises(SettingsError, match="`files` is missing"):
        Focus()


def test_a_damaged_file_shows_in_the_doctor(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    finding = Focus(files=str(tmp_path / "cut.parquet")).doctor()[0]
    assert not finding.ok
    assert "cut.parquet" in finding.detail
