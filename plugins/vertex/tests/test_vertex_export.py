"""The billing export read exactly: credits, corrections, late rows, units, saved forms, strange and broken files."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finops_ai_vertex.columns import COLUMNS, present
from finops_ai_vertex.connector import Vertex
from hypothesis import given, settings
from hypothesis import strategies as st
from vertex_rows import EXPORT, call, row

from finops_ai.errors import DataError, SettingsError
from finops_ai.periods import Window

OCTOBER = Window.month("2026-10")
SCHEMA = Path(__file__).parents[4] / "shared" / "contracts" / "gcp" / "gcp_billing_export_resource_v1_schema.json"


def read(folder, rows, **settings):
    path = folder / "export.json"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return Vertex(files=[str(path)], **settings)


def test_credits_are_netted_and_list_is_kept(tmp_path):
    credits = [{"name": "a", "amount": -0.1, "type": "PROMOTION"}, {"name": "b", "amount": -0.2, "type": "DISCOUNT"}]
    connector = read(tmp_path, [row(amount=1e6, cost=1.0, cost_at_list=1.25, credits=credits)])
    bill = connector.bills(OCTOBER).iloc[0]
    # 1.0 - 0.1 - 0.2, each credit once, although there are two of them
    assert (bill.billed_cost, bill.effective_cost, bill.contracted_cost, bill.list_cost) == tuple(
        map(Decimal, ("0.7", "0.7", "1", "1.25"))
    )
    assert connector.usage(OCTOBER)["billed_cost"].iloc[0] == Decimal("0.7")


def test_late_rows_join_their_hour_and_corrections_take_back(tmp_path):
    late = row(amount=500.0, cost=0.00015, export_time="2026-10-20T00:00:00+00:00")
    back = row(amount=-200.0, cost=-0.00006, export_time="2026-10-21T00:00:00+00:00")
    frame = read(tmp_path, [row(), late, back]).usage(OCTOBER)
    assert list(frame["quantity"]) == [Decimal(1300)]  # 1,000 + 500 - 200
    assert list(frame["billed_cost"]) == [Decimal("0.00039")]


def test_a_correction_larger_than_its_hour_makes_the_day_one_slice(tmp_path):
    rows = [
        row(at="2026-10-05T03:00:00Z"),
        row(amount=-400.0, cost=-0.00012, at="2026-10-05T09:00:00Z"),
        row(at="2026-10-06T03:00:00Z"),
    ]
    frame = read(tmp_path, rows).usage(OCTOBER)
    assert [(f"{r.charge_period_start:%d %H}", f"{r.charge_period_end:%d %H}", int(r.quantity)) for r in frame.itertuples()] == [
        ("05 00", "06 00", 600), ("06 03", "06 04", 1000),
    ]  # fmt: skip
    with pytest.raises(DataError, match="takes back more than there was"):
        read(tmp_path, [row(amount=-400.0, cost=-0.00012)]).usage(OCTOBER)


def test_adjustments_change_money_not_usage(tmp_path):
    rows = [
        row(),
        row(amount=-1000.0, cost=-0.0003, cost_type="adjustment"),
        row("Rounding", 0.0, 1e-9, cost_type="rounding_error"),
    ]
    connector = read(tmp_path, rows)
    assert list(connector.usage(OCTOBER)["quantity"]) == [Decimal(1000)]
    bills = connector.bills(OCTOBER)
    assert sorted(bills["charge_category"]) == ["Adjustment", "Adjustment", "Usage"]
    assert sum(bills["billed_cost"], Decimal(0)) == Decimal("1e-9")


def test_an_adjustment_of_an_invoiced_month_is_a_correction(tmp_path):
    rows = [
        row("Fix", 0.0, -1.0, cost_type="adjustment", invoice={"month": "202611"}),
        row("Now", 0.0, -1.0, cost_type="adjustment"),
    ]
    bills = read(tmp_path, rows).bills(OCTOBER).set_index("charge_description")
    assert bills["charge_class"].fillna("").to_dict() == {"Fix | adjustment": "Correction", "Now | adjustment": ""}


def test_an_amount_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(DataError, match="n/a"):
        read(tmp_path, [row(cost="n/a")]).usage(OCTOBER)


def test_invoice_months_are_pacific(tmp_path):
    bill = (
        read(tmp_path, [row(at="2026-11-01T03:00:00Z", invoice={"month": "202610"})])
        .bills(Window.month("2026-11"))
        .iloc[0]
    )
    # 3 in the morning of 1 November in UTC is still October in California; October ends there at 07:00 UTC
    assert str(bill.billing_period_start) == "2026-10-01 07:00:00+00:00"
    assert str(bill.billing_period_end) == "2026-11-01 07:00:00+00:00"


def test_labels_beat_tags_beat_project_labels_and_name_the_prompt(tmp_path):
    labels = [{"key": "team", "value": "search"}, {"key": "prompt_id", "value": "answer"}]
    project = {
        "id": "shop",
        "name": "Shop",
        "labels": [{"key": "team", "value": "nobody"}, {"key": "unit", "value": "7"}],
    }
    tags = [{"key": "team", "value": "somebody", "inherited": False, "namespace": "1"}, {"key": "env", "value": "prod"}]
    found = read(tmp_path, [row(labels=labels, project=project, tags=tags)]).usage(OCTOBER).iloc[0]
    assert dict(found.tags) == {"env": "prod", "prompt_id": "answer", "team": "search", "unit": "7"}
    assert (found.prompt_id, found.sub_account_id, found.region) == ("answer", "shop", "europe-west4")


def test_rows_without_a_project_stay(tmp_path):
    frame = read(tmp_path, [row(project=None, location=None, labels=[])]).usage(OCTOBER)
    assert frame["sub_account_id"].isna().all()
    assert list(frame["quantity"]) == [Decimal(1000)]


def test_a_misread_unit_is_shown_not_counted(tmp_path):
    # 3 USD for 1,000 tokens would be 3,000 USD a million
    connector = read(tmp_path, [row(cost=3.0)])
    assert list(connector.usage(OCTOBER)["meter"]) == ["unmapped"]
    assert "3000 USD per million tokens" in connector.notes[0]


def test_prices_in_other_currencies_are_no_misread_units(tmp_path):
    # 0.75 USD for 10,000 tokens (75 a million) is 112.5 yen at 150 to the dollar: dear, but no misread unit
    yen = row(amount=10_000.0, cost=112.5, currency="JPY", currency_conversion_rate=150.0)
    connector = read(tmp_path, [yen])
    assert list(connector.usage(OCTOBER)["meter"]) == ["input"]
    assert list(connector.bills(OCTOBER)["billing_currency"]) == ["JPY"]


def test_unknown_skus_and_names_stay_visible(tmp_path):
    connector = read(tmp_path, [row("Something New", 4.0, 1.0), row("Gemini 99 Text Input - Predictions")])
    frame = connector.usage(OCTOBER)
    assert sorted(zip(frame["model"], frame["meter"], strict=True)) == [
        ("Gemini 99", "input"),
        ("Something New", "unmapped"),
    ]
    assert sum(connector.bills(OCTOBER)["billed_cost"], Decimal(0)) == Decimal("1.0003")
    assert any("Gemini 99" in note and "model_names" in note for note in connector.notes)
    named = read(tmp_path, [row("Gemini 99 Text Input - Predictions")], model_names={"Gemini 99": "gemini-99"})
    assert set(named.usage(OCTOBER)["model"]) == {"gemini-99"}


def arrow_form(rows):
    """The export as BigQuery writes it to Parquet: records as structs, repeated ones as lists of structs."""
    pairs = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))
    structs = {
        "service": ["id", "description"], "sku": ["id", "description"], "location": ["location", "region"],
        "invoice": ["month"], "resource": ["name", "global_name"],
    }  # fmt: skip
    kinds = {name: pa.struct([(n, pa.string()) for n in names]) for name, names in structs.items()}
    kinds |= {
        "project": pa.struct([("id", pa.string()), ("name", pa.string()), ("labels", pairs)]), "labels": pairs, "tags": pairs,
        "usage": pa.struct([("amount", pa.float64()), ("unit", pa.string()), ("amount_in_pricing_units", pa.float64()), ("pricing_unit", pa.string())]),
        "credits": pa.list_(pa.struct([("name", pa.string()), ("amount", pa.float64()), ("type", pa.string())])),
        "cost": pa.float64(), "cost_at_list": pa.float64(),
    }  # fmt: skip
    columns = {}
    for name in ("billing_account_id", "currency", "cost_type", *kinds):
        values = [
            {k: r[name][k] for k in r[name] if k in [f.name for f in kinds[name]]}
            if isinstance(r[name], dict)
            else r[name]
            for r in rows
        ]
        columns[name] = pa.array(values, kinds.get(name, pa.string()))
    for name in ("usage_start_time", "usage_end_time"):
        columns[name] = pa.array(pa.array([r[name] for r in rows]).cast(pa.timestamp("us", tz="UTC")))
    return pa.table(columns)


@pytest.mark.long
def test_json_parquet_and_csv_say_the_same(tmp_path):
    as_json = read(tmp_path, EXPORT)
    pq.write_table(arrow_form(EXPORT), tmp_path / "export.parquet")
    with gzip.open(tmp_path / "export.csv.gz", "wt", encoding="utf-8", newline="") as out:
        paths = [path for path, _, _ in COLUMNS.values()]
        writer = csv.writer(out)
        writer.writerow(paths)
        for record in EXPORT:
            values = []
            for path in paths:
                value = record
                for step in path.split("."):
                    value = (value or {}).get(step)
                values.append(json.dumps(value) if isinstance(value, list) else value)
            writer.writerow(values)
    (tmp_path / "array.json").write_text(json.dumps(EXPORT))
    for name in ("export.parquet", "export.csv.gz", "array.json"):
        other = Vertex(files=[str(tmp_path / name)])
        assert other.usage(OCTOBER).equals(as_json.usage(OCTOBER)), name
        same = [
            c for c in as_json.bills(OCTOBER).columns if not c.endswith("unit_price")
        ]  # the Parquet above has no prices
        assert other.bills(OCTOBER)[same].equals(as_json.bills(OCTOBER)[same]), name


def test_old_tables_lack_columns_and_new_ones_have_more(tmp_path):
    rows = [
        {
            k: v
            for k, v in row().items()
            if k not in ("cost_at_list", "resource", "price", "tags", "subscription", "credits")
        }
        | {"brand_new": 1}
    ]
    connector = read(tmp_path, rows)
    assert list(connector.usage(OCTOBER)["quantity"]) == [Decimal(1000)]
    assert connector.bills(OCTOBER)["list_cost"].isna().all()


@pytest.mark.parametrize("gone", ["cost", "usage_start_time", "sku", "currency"])
def test_a_removed_column_is_named(tmp_path, gone):
    with pytest.raises(DataError, match=rf"no column '{gone}"):
        read(tmp_path, [{k: v for k, v in row().items() if k != gone}]).usage(OCTOBER)


def test_the_same_file_twice_is_refused(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(row()) + "\n")
    with pytest.raises(DataError, match=r"b\.json is a copy of .*a\.json"):
        Vertex(files=[str(tmp_path)]).usage(OCTOBER)


def test_cut_short_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(row())[:-30])
    with pytest.raises(DataError, match=r"a\.json.*cut short"):
        Vertex(files=[str(tmp_path / "a.json")]).usage(OCTOBER)
    whole = gzip.compress("".join(json.dumps(row(amount=float(n))) + "\n" for n in range(500)).encode())
    (tmp_path / "b.json.gz").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"b\.json\.gz"):
        Vertex(files=[str(tmp_path / "b.json.gz")]).usage(OCTOBER)


def test_a_sampled_request_log_is_scaled_and_says_so(tmp_path):
    (tmp_path / "calls.json").write_text(json.dumps(call(1, "2026-10-05 00:00:00 UTC")) + "\n")
    connector = Vertex(files=[str(tmp_path / "calls.json")], project_id="shop", sampling_rate=0.25)
    frame = connector.usage(OCTOBER)
    # a quarter is logged: 100 fresh tokens stand for 400
    assert frame.set_index("meter")["quantity"].to_dict() == {
        "input": 400,
        "cache_read": 80,
        "output": 120,
        "reasoning": 40,
        "requests": 4,
    }
    assert set(frame["quantity_basis"]) == {"estimated"}
    first = frame.iloc[0]
    assert (first.temperature, first.max_output_tokens, first.prompt_id) == (0.4, 900, "answer@v3")


def test_a_stream_counts_by_its_last_chunk(tmp_path):
    chunks = [
        {"usageMetadata": {"promptTokenCount": 50}},
        {"usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 8, "totalTokenCount": 58}},
    ]
    record = call(1, "2026-10-05 00:00:00 UTC") | {"full_response": json.dumps(chunks)}
    (tmp_path / "calls.json").write_text(json.dumps(record) + "\n")
    frame = Vertex(files=[str(tmp_path / "calls.json")], project_id="shop").usage(OCTOBER)
    assert frame.set_index("meter")["quantity"].to_dict() == {"input": 50, "output": 8, "requests": 1}


def test_settings_name_what_is_missing():
    with pytest.raises(SettingsError, match="needs billing_table or billing_dataset"):
        Vertex(usage_source="billing_export")
    with pytest.raises(SettingsError, match="billing_account_id"):
        Vertex(billing_account_id="123")


def test_the_columns_are_those_of_the_contract():
    if not SCHEMA.exists():
        pytest.skip(f"the contract isn't here ({SCHEMA.name}); it is no part of the project")
    document = json.loads(SCHEMA.read_text("utf-8"))

    def tree(fields):
        return {f["name"]: tree(f.get("fields", [])) for f in fields}

    contract = tree(document if isinstance(document, list) else document.get("fields") or document["schema"]["fields"])
    assert [path for path, _, _ in COLUMNS.values() if not present(contract, path)] == []
    assert [name for name in row() if name not in contract] == []


@pytest.mark.long
@settings(max_examples=6, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**9), st.integers(0, 743), st.sampled_from(["Input", "Output"]), st.integers(0, 999)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_tokens_and_cost_are_conserved_to_the_last_digit(tmp_path_factory, lines):
    """0.30 USD a million is 3 tenths of a micro-dollar a token; credits are micro-dollars."""
    rows, exact = [], Decimal(0)
    for tokens, hour, way, credit in lines:
        at = (OCTOBER.start + hour * (Window.of("2026-10-01", "2026-10-02").end - OCTOBER.start) / 24).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        cost = Decimal(3 * tokens) / 10**7
        exact += cost - Decimal(credit) / 10**6
        given_back = [{"name": "c", "amount": -credit / 10**6, "type": "PROMOTION"}]
        rows.append(
            row(f"Gemini 2.5 Flash Text {way} - Predictions", float(tokens), float(cost), at=at, credits=given_back)
        )
    connector = read(tmp_path_factory.mktemp("p"), rows)
    frame, bills = connector.usage(OCTOBER), connector.bills(OCTOBER)
    assert sum(frame["quantity"], Decimal(0)) == sum(tokens for tokens, *_ in lines)
    assert sum(frame["billed_cost"], Decimal(0)) == sum(bills["billed_cost"], Decimal(0)) == exact
