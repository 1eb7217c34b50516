"""The statement for BigQuery runs on its emulator, over the sample company, and makes the cells that DuckDB makes."""

from __future__ import annotations

import io
import json
from decimal import Decimal

import pyarrow as pa
import pytest

from finops_ai.engine.cubing import Grain
from finops_ai.engine.remote import bigquery_client, on_bigquery
from finops_ai.engine.running import on_duckdb, token_cells
from finops_ai.frames import to_arrow
from finops_ai.periods import Window
from finops_ai.sample.workspace import sample_workspace

pytestmark = pytest.mark.slow
TABLE = "company.lake.finops_ai_tokens"
#: the emulator has no BIGNUMERIC; no amount of the sample has more than nine decimals
KINDS = {"instant": "TIMESTAMP", "decimal": "NUMERIC", "number": "INTEGER", "real": "FLOAT"}


def kind_of(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return KINDS["instant"]
    if pa.types.is_decimal(kind):
        return KINDS["decimal"]
    if pa.types.is_floating(kind):
        return KINDS["real"]
    return KINDS["number"] if pa.types.is_integer(kind) else "STRING"


def written(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def fill(client, table: pa.Table) -> None:
    """The rows as BigQuery reads Parquet: a map is a record with repeated pairs."""
    from google.cloud import bigquery

    pairs = [
        bigquery.SchemaField(
            "key_value", "RECORD", "REPEATED",
            fields=[bigquery.SchemaField("key", "STRING"), bigquery.SchemaField("value", "STRING")],
        )
    ]  # fmt: skip
    schema = [
        bigquery.SchemaField(f.name, "RECORD", fields=pairs) if f.name == "tags" else bigquery.SchemaField(f.name, kind_of(f.type))
        for f in table.schema
    ]  # fmt: skip
    client.create_dataset("company.lake", exists_ok=True)
    client.create_table(bigquery.Table(TABLE, schema=schema))
    lines = io.BytesIO()
    for row in table.to_pylist():
        row["tags"] = {"key_value": [{"key": k, "value": v} for k, v in row["tags"] or ()]}
        lines.write(json.dumps({k: written(v) for k, v in row.items() if v is not None}).encode() + b"\n")
    lines.seek(0)
    config = bigquery.LoadJobConfig(schema=schema, source_format="NEWLINE_DELIMITED_JSON")
    client.load_table_from_file(lines, TABLE, job_config=config).result()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_the_sample_company_is_the_same_on_bigquery(bigquery, zone):
    ws, window = sample_workspace(), Window.month("2026-10")
    rows = to_arrow(ws.tokens(window))
    client = bigquery_client("company", endpoint=bigquery)
    if not list(client.list_datasets()):
        fill(client, rows)
    grain = Grain.of("tags.env", "tags.finops.team", timezone=zone)
    grain = grain.without(["sub_account_id", "sub_account_name", "api_key_id", "user_id", "prompt_id", "resource_id"])
    with on_duckdb(rows, grain.fields) as relation:
        wanted = token_cells(relation, grain, window, book=ws.book)
    with on_bigquery(client, TABLE, rows.column_names) as relation:
        found = token_cells(relation, grain, window, book=ws.book)
    assert 500 < len(wanted) < len(rows)
    assert to_arrow(found).to_pylist() == to_arrow(wanted).to_pylist()
    assert sum(found["quantity"]) == sum(ws.tokens(window)["quantity"])
