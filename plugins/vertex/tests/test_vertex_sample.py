"""The sample company's Google bill, read through the connector, is the company's ground truth to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from finops_ai_vertex.connector import Vertex

from finops_ai.periods import Window
from finops_ai.sample import native_vertex, slices

METERS = ["input", "cache_read", "output", "reasoning"]
THREE_MONTHS = Window.of("2026-08-01", "2026-11-01")


@pytest.fixture(scope="module")
def truth():
    frame = slices(months=3)
    return frame[frame["provider"] == "vertex"]


@pytest.fixture(scope="module")
def connector(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vertex")
    native_vertex.write(truth, folder)
    return Vertex(files=[str(folder / "*.json")])


def test_every_meter_comes_back_by_model_and_project(connector, truth):
    tokens = connector.usage(THREE_MONTHS)
    got = (
        tokens[tokens["meter"] != "unmapped"].groupby(["sub_account_id", "model", "meter"])["quantity"].sum().to_dict()
    )
    sums = truth.groupby(["sub_account_id", "model"])[METERS].sum()
    want = {
        (*key, meter): Decimal(int(sums.loc[key, meter]))
        for key in sums.index
        for meter in METERS
        if sums.loc[key, meter]
    }
    assert got == want
    assert set(tokens["context_tier"]) == {"0-200k"}


def test_cost_is_exact_and_the_goodwill_is_in_the_bill(connector, truth):
    exact = sum(truth["list_cost"], Decimal(0))
    assert sum(connector.usage(THREE_MONTHS)["billed_cost"], Decimal(0)) == exact
    bills = connector.bills(THREE_MONTHS)
    assert sum(bills["billed_cost"], Decimal(0)) == exact - 150  # the credit for August's outage
    assert list(bills[bills["charge_category"] == "Adjustment"]["billed_cost"]) == [Decimal(-150)]


def test_labels_come_back(connector):
    tokens = connector.usage(THREE_MONTHS)
    assert dict(tokens[tokens["sub_account_id"] == "growth-prod"]["tags"].iloc[0]) == {
        "team": "growth",
        "product": "campaigns",
        "env": "prod",
    }
    assert tokens[tokens["sub_account_id"] == "ml-sandbox"]["tags"].isna().all()
