"""Kept and left out are the export's total, row by odd row, from saved files and from BigQuery."""

from __future__ import annotations

import json
from decimal import Decimal as D

import pytest
from finops_ai_vertex.connector import Vertex
from vertex_rows import TABLE, PlayedBigQuery, row

from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider

OCTOBER = Window.month("2026-10")
COMPUTE = {"id": "6F81", "description": "Compute Engine"}
NOBODY = {"id": None, "description": None}
INVOICE = {"id": None, "description": "Invoice"}
ROWS = [
    row(amount=12_500.0, cost=0.00375),
    row(cost=0.3, credits=[{"name": "promotion", "amount": -0.1}]),
    row("New Gemini vision thing", 1.0, 7.25),
    row("Tax on it", 0.0, 1.25, cost_type="tax"),
    row("A row without a cost", 5.0, None),
    row("Tax", 0.0, 1.9, at="2026-10-31T07:00:00Z", cost_type="tax", service=NOBODY),
    row("Rounding", 0.0, -0.004, cost_type="rounding_error", service=INVOICE),
    row("N2 core", 5.0, 9.0, service=COMPUTE, credits=[{"name": "committed use", "amount": -4.5}]),
    row("N2 core", 5.0, None, service=COMPUTE, credits=None),
    row("N2 core", 5.0, 2.5, service=COMPUTE, currency="EUR"),
    row("N2 core", 5.0, 77.0, service=COMPUTE, at="2026-11-01T00:00:00Z"),
]
#: 0.00375 + 0.3 - 0.1 + 7.25 + 1.25 of AI; 1.9 - 0.004 + 9.0 - 4.5 of others
KEPT, LEFT = D("8.70375"), D("6.396")


def check(connector):
    bills = connector.bills(OCTOBER)
    assert bills["billed_cost"].sum() == KEPT
    left = {(item.reason, item.unit): item.amount for item in connector.left_out}
    assert left == {
        ("another service: Compute Engine", "USD"): D("4.5"),
        ("another service: Compute Engine", "EUR"): D("2.5"),
        ("tax that names no service", "USD"): D("1.9"),
        ("rounding_error that names no service", "USD"): D("-0.004"),
    }
    assert sum(amount for (_, currency), amount in left.items() if currency == "USD") == LEFT
    assert any("1 rows state no cost" in note for note in connector.notes)


@pytest.mark.parametrize("form", ["lines", "list", "csv"])
def test_saved_exports(tmp_path, form):
    path = tmp_path / f"export.{'csv' if form == 'csv' else 'json'}"
    if form == "csv":
        import pandas as pd

        flat = [{k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in _flat(r).items()} for r in ROWS]
        pd.DataFrame(flat).to_csv(path, index=False)
    else:
        path.write_text("\n".join(map(json.dumps, ROWS)) if form == "lines" else json.dumps(ROWS))
    check(Vertex(files=[str(path)]))


def _flat(record):
    out = {}
    for name, value in record.items():
        if isinstance(value, dict):
            out |= {f"{name}.{inner}": below for inner, below in value.items()}
        else:
            out[name] = value
    return out


def test_bigquery():
    played = PlayedBigQuery(ROWS)
    with PlayedProvider(played.answer) as server:
        check(Vertex(endpoint_url=server.url, billing_table=TABLE, project_id="p"))


def test_sums_that_cannot_be_had_cost_a_note_and_no_bill():
    played = PlayedBigQuery(ROWS)

    def answer(request):
        body = request.json() if request.method == "POST" else {}
        if "COUNT(*)" in str(body):
            from vertex_rows import failure

            return failure(400, "invalidQuery", "no such function")
        return played.answer(request)

    with PlayedProvider(answer) as server:
        connector = Vertex(endpoint_url=server.url, billing_table=TABLE, project_id="p")
        assert connector.bills(OCTOBER)["billed_cost"].sum() == KEPT
        assert any("other services come to isn't known" in note for note in connector.notes)
