"""Cost and Usage Report 2.0 read exactly: selection, units, restatements, strange and broken files."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
import os
from decimal import Decimal

import pyarrow as pa
import pytest
from bedrock_rows import KINDS, line, market, record, save
from finops_ai_bedrock.connector import Bedrock
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import DataError, ProviderUnavailable, SettingsError
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")


def read(folder, rows, window=OCTOBER, **settings):
    save(folder, rows)
    return Bedrock(files=[str(folder)], **settings)


def quantities(frame):
    return {(r.model, r.meter): r.quantity for r in frame.itertuples()}


def test_each_row_in_its_own_unit(tmp_path):
    rows = [
        line(amount=2.5),
        line(amount=0.0025, cost=0.0075, pricing_unit="1M tokens"),
        market(amount=0.0025, cost=0.0075),
    ]
    # 2.5 thousand three times: the same 2,500 tokens in three spellings of the unit
    frame = read(tmp_path, rows).usage(OCTOBER)
    assert quantities(frame) == {("anthropic.claude-sonnet-4-6", "input"): Decimal(7500)}
    assert frame["billed_cost"].iloc[0] == Decimal("0.003") + Decimal("0.0075") + Decimal("0.0075")


def test_a_misread_unit_is_shown_not_counted(tmp_path):
    # 3 USD for one "1K tokens" would be 3,000 USD per million
    connector = read(tmp_path, [line(cost=3.0)])
    frame = connector.usage(OCTOBER)
    assert list(frame["meter"]) == ["unmapped"]
    assert list(frame["model"]) == ["USE1-Claude4.6Sonnet-input-tokens"]
    assert "3000 USD per million tokens" in connector.notes[0]


def test_marketplace_and_every_bedrock_product_are_read_and_nothing_else(tmp_path):
    rows = [
        line(line_item_product_code=code)
        for code in ("AmazonBedrock", "AmazonBedrockService", "AmazonBedrockFoundationModels", "AmazonS3")
    ] + [market(), market(product="Some Other Software")]
    bills = read(tmp_path, rows).bills(OCTOBER)
    assert len(bills) == 4
    assert set(bills["service_name"]) == {"Amazon Bedrock", "Claude Sonnet 4.6 (Amazon Bedrock Edition)"}


def test_unknown_lines_and_names_stay_visible(tmp_path):
    connector = read(
        tmp_path, [line("USE1-QuantumThing-Units", 4.0, 1.0), line("USE1-Claude99-output-tokens", 1.0, 0.01)]
    )
    frame = connector.usage(OCTOBER)
    assert quantities(frame) == {
        ("USE1-QuantumThing-Units", "unmapped"): Decimal(4),
        ("Claude99", "output"): Decimal(1000),
    }
    assert sum(connector.bills(OCTOBER)["billed_cost"], Decimal(0)) == Decimal("1.01")
    assert "USE1-QuantumThing-Units | Usage | what it says" in set(connector.bills(OCTOBER)["charge_description"])
    assert any("Claude99" in note and "model_names" in note for note in connector.notes)


def test_a_user_can_name_a_model(tmp_path):
    frame = read(
        tmp_path, [line("USE1-Claude99-output-tokens", 1.0, 0.01)], model_names={"Claude99": "anthropic.claude-99"}
    ).usage(OCTOBER)
    assert set(frame["model"]) == {"anthropic.claude-99"}


def test_credits_tax_and_discounts_are_bill_rows_not_usage(tmp_path):
    rows = [
        line(),
        line("", 0.0, -0.5, line_item_line_item_type="Credit"),
        line("", 0.0, 0.2, line_item_line_item_type="Tax"),
        line("", 0.0, -0.1, line_item_line_item_type="EdpDiscount"),
        line("USE1-Reserved", 0.0, 9.0, line_item_line_item_type="RIFee"),
    ]
    connector = read(tmp_path, rows)
    assert len(connector.usage(OCTOBER)) == 1
    bills = connector.bills(OCTOBER)
    assert sorted(bills["charge_category"]) == ["Credit", "Credit", "Purchase", "Tax", "Usage"]
    # 0.003 - 0.5 + 0.2 - 0.1 + 9
    assert sum(bills["billed_cost"], Decimal(0)) == Decimal("8.603")
    assert bills["invoice_id"].isna().all()  # an open month has no invoice yet


def test_who_and_what_for(tmp_path):
    profile = "arn:aws:bedrock:us-east-1:222222222222:application-inference-profile/ab12"
    principal = "arn:aws:sts::222222222222:assumed-role/App/alice@example.com"
    row = line(line_item_iam_principal=principal, line_item_resource_id=profile,
               resource_tags=[("user_team", "search")], tags=[("iamPrincipal/owner", "alice")])  # fmt: skip
    frame = read(tmp_path, [row], inference_profiles={"ab12": "anthropic.claude-sonnet-4-6"}).usage(OCTOBER)
    row = frame.iloc[0]
    assert (row.user_id, row.resource_id, row.sub_account_id, row.region) == (
        principal,
        profile,
        "222222222222",
        "us-east-1",
    )
    assert dict(row.tags) == {"iamPrincipal/owner": "alice", "team": "search"}


def test_only_the_newest_execution_of_a_billing_period_counts(tmp_path):
    old = save(tmp_path, [line(amount=1.0)], "exp/data/BILLING_PERIOD=2026-10/run-1/a.snappy.parquet")
    save(tmp_path, [line(amount=5.0)], "exp/data/BILLING_PERIOD=2026-10/run-2/a.snappy.parquet")
    os.utime(old, (1, 1))
    frame = Bedrock(files=[str(tmp_path)]).usage(OCTOBER)
    assert list(frame["quantity"]) == [Decimal(5000)]


def test_a_late_charge_in_the_next_billing_period_is_found(tmp_path):
    save(tmp_path, [line(amount=1.0)], "exp/data/BILLING_PERIOD=2026-10/a.snappy.parquet")
    save(tmp_path, [line(amount=2.0), line(start=(2026, 11, 2))], "exp/data/BILLING_PERIOD=2026-11/a.snappy.parquet")
    assert list(Bedrock(files=[str(tmp_path)]).usage(OCTOBER)["quantity"]) == [Decimal(3000)]


def test_a_half_copied_export_is_refused(tmp_path):
    save(tmp_path, [line()], "exp/data/BILLING_PERIOD=2026-10/a-00001.snappy.parquet")
    manifest = tmp_path / "exp/metadata/BILLING_PERIOD=2026-10/exp-Manifest.json"
    manifest.parent.mkdir(parents=True)
    listed = [
        "s3://b/exp/data/BILLING_PERIOD=2026-10/a-00001.snappy.parquet",
        "s3://b/exp/data/BILLING_PERIOD=2026-10/a-00002.snappy.parquet",
    ]
    manifest.write_text(json.dumps({"dataFiles": listed}))
    with pytest.raises(ProviderUnavailable, match=r"a-00002\.snappy\.parquet.*isn't there"):
        Bedrock(files=[str(tmp_path)]).usage(OCTOBER)


def test_csv_exports_say_the_same(tmp_path):
    rows = [line(amount=12.345), market(amount=0.5, cost=1.5), line("USE1-Foo", 1.0, 0.25)]
    path = tmp_path / "csv" / "a.csv.gz"
    path.parent.mkdir()
    with gzip.open(path, "wt", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(KINDS))
        writer.writeheader()
        for row in rows:
            text = {
                k: f"{v:%Y-%m-%dT%H:%M:%S.000Z}"
                if isinstance(v, dt.datetime)
                else json.dumps(dict(v))
                if isinstance(v, list)
                else v
                for k, v in row.items()
            }
            writer.writerow(text)
    from_csv = Bedrock(files=[str(path)])
    from_parquet = read(tmp_path / "parquet", rows)
    assert from_csv.usage(OCTOBER).equals(from_parquet.usage(OCTOBER))
    assert from_csv.bills(OCTOBER).equals(from_parquet.bills(OCTOBER))


def test_a_cut_short_file_and_a_missing_column_are_named(tmp_path):
    path = save(tmp_path / "cut", [line()])
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"a-00001.*cut short"):
        Bedrock(files=[str(tmp_path / "cut")]).usage(OCTOBER)
    save(tmp_path / "less", [line()], drop=("pricing_unit",))
    with pytest.raises(DataError, match="no column 'pricing_unit'"):
        Bedrock(files=[str(tmp_path / "less")]).usage(OCTOBER)


def test_a_report_rewritten_by_other_tools_reads_the_same(tmp_path):
    """Maps as records, identifiers left out: what a notebook or a warehouse makes of an export."""
    gone = (
        "bill_payer_account_id",
        "bill_billing_entity",
        "bill_billing_period_start_date",
        "bill_billing_period_end_date",
        "tags",
    )
    records = {
        "product": pa.array([{"product_name": "Amazon Bedrock"}, {"product_name": "Amazon Bedrock"}]),
        "resource_tags": pa.array([{"user_team": "search", "user_env": None}, {"user_team": None, "user_env": "prod"}]),
    }
    save(tmp_path, [line(start=(2026, 10, 5)), line(start=(2026, 10, 6))], drop=gone, extra=records)
    connector = Bedrock(files=[str(tmp_path)])
    assert [dict(t) for t in connector.usage(OCTOBER)["tags"]] == [{"team": "search"}, {"env": "prod"}]
    bill = connector.bills(OCTOBER).iloc[0]
    assert (bill.billing_account_id, str(bill.billing_period_end)) == ("222222222222", "2026-11-01 00:00:00+00:00")


def test_a_legacy_report_is_recognised(tmp_path):
    (tmp_path / "old.csv").write_text("lineItem/UsageType,lineItem/UsageAmount\nx,1\n")
    with pytest.raises(DataError, match=r"legacy report: create a Data Export of CUR 2\.0"):
        Bedrock(files=[str(tmp_path / "old.csv")]).usage(OCTOBER)


def test_two_copies_of_a_report_are_refused(tmp_path):
    rows = [line(identity_line_item_id="one"), line(identity_line_item_id="two")]
    save(tmp_path, rows, "first/a.parquet")
    save(tmp_path, rows, "copy/a.parquet")
    with pytest.raises(DataError, match="line 'one' of the billing period 2026-10 comes 2 times"):
        Bedrock(files=[str(tmp_path)]).usage(OCTOBER)


def test_an_amount_that_is_no_number_is_refused(tmp_path):
    amounts = {"line_item_usage_amount": pa.array(["1.5", "n/a"])}
    save(tmp_path, [line(), line()], extra=amounts)
    with pytest.raises(DataError, match="n/a"):
        Bedrock(files=[str(tmp_path)]).usage(OCTOBER)


def test_logs_beside_a_report_are_not_added(tmp_path):
    (tmp_path / "calls.json").write_text(json.dumps(record("r1")) + "\n")
    connector = read(tmp_path, [line()])
    assert list(connector.usage(OCTOBER)["quantity"]) == [Decimal(1000)]
    assert "aren't added" in connector.notes[0]
    calls = Bedrock(files=[str(tmp_path)], usage_source="invocation_logs").usage(OCTOBER)
    assert calls.set_index("meter")["quantity"]["requests"] == 1


def test_a_new_column_and_missing_optional_ones_do_no_harm(tmp_path):
    optional = ("line_item_iam_principal", "tags", "resource_tags", "bill_invoice_id", "pricing_public_on_demand_cost")
    save(tmp_path, [line()], drop=optional, extra={"line_item_brand_new": pa.array(["x"])})
    connector = Bedrock(files=[str(tmp_path)])
    assert list(connector.usage(OCTOBER)["quantity"]) == [Decimal(1000)]
    assert connector.bills(OCTOBER)["list_cost"].isna().all()


def test_settings_name_what_is_missing():
    with pytest.raises(SettingsError, match="needs export_s3_uri"):
        Bedrock(usage_source="cur")
    with pytest.raises(SettingsError, match="Did you mean 'export_s3_uri'"):
        Bedrock(export_s3_url="s3://x/y")


amounts = st.integers(0, 10**9)


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(
    st.lists(
        st.tuples(amounts, st.integers(0, 30), st.sampled_from(["input", "output"]), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_tokens_and_cost_are_conserved_to_the_last_digit(tmp_path_factory, lines):
    """Whatever lines fall into one slice, tokens and micro-dollars add up: 3 USD per million is 3 micro-dollars a token."""
    rows = []
    for tokens, day, kind, marketplace in lines:
        cost, start = float(Decimal(3 * tokens) / 10**6), (2026, 10, day + 1)
        if marketplace:
            rows.append(market(f"{kind.title()}TokenCount", float(Decimal(tokens) / 10**6), cost, start=start))
        else:
            rows.append(line(f"USE1-Claude4.6Sonnet-{kind}-tokens", float(Decimal(tokens) / 1000), cost, start=start))
    connector = read(tmp_path_factory.mktemp("p"), rows)
    frame, bills = connector.usage(OCTOBER), connector.bills(OCTOBER)
    total = sum(tokens for tokens, *_ in lines)
    assert sum(frame["quantity"], Decimal(0)) == total
    assert sum(frame["billed_cost"], Decimal(0)) == sum(bills["billed_cost"], Decimal(0)) == Decimal(3 * total) / 10**6
    halves = [Window.of("2026-10-01", "2026-10-16"), Window.of("2026-10-16", "2026-11-01")]
    assert sum(sum(connector.usage(half)["quantity"], Decimal(0)) for half in halves) == total
