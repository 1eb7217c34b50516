"""The sample company's AWS report, read through the connector, is the company's ground truth to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from finops_ai_bedrock.connector import Bedrock

from finops_ai.periods import Window
from finops_ai.sample import native_bedrock, slices

METERS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output"]
TWO_MONTHS = Window.of("2026-09-01", "2026-11-01")


@pytest.fixture(scope="module")
def truth():
    frame = slices(months=2)
    return frame[frame["provider"] == "bedrock"]


@pytest.fixture(scope="module")
def connector(truth, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bedrock")
    native_bedrock.write(truth, folder)
    return Bedrock(files=[str(folder)])


def test_every_meter_comes_back_by_model_and_account(connector, truth):
    tokens = connector.usage(TWO_MONTHS)
    got = tokens.groupby(["sub_account_id", "model", "meter"])["quantity"].sum().to_dict()
    sums = truth.groupby(["sub_account_id", "model"])[METERS].sum()
    want = {
        (*key, meter): Decimal(int(sums.loc[key, meter]))
        for key in sums.index
        for meter in METERS
        if sums.loc[key, meter]
    }
    assert got == want
    assert connector.notes == []


def test_cost_is_exact_in_usage_and_bill(connector, truth):
    exact = sum(truth["list_cost"], Decimal(0))
    assert sum(connector.usage(TWO_MONTHS)["billed_cost"], Decimal(0)) == exact
    bills = connector.bills(TWO_MONTHS)
    assert sum(bills["billed_cost"], Decimal(0)) == exact
    assert sum(bills["list_cost"], Decimal(0)) == exact
    assert set(bills["meter"]) <= set(METERS)


def test_tags_and_resources_come_back(connector, truth):
    tokens = connector.usage(TWO_MONTHS)
    tagged = tokens[tokens["sub_account_id"] == "100000000011"]
    assert dict(tagged["tags"].iloc[0]) == {"team": "data", "product": "document-extraction", "env": "prod"}
    assert set(tagged["resource_id"]) == {
        "arn:aws:bedrock:us-east-1:100000000011:application-inference-profile/docextract01"
    }
    assert tokens[tokens["sub_account_id"] == "100000000019"]["tags"].isna().all()
    assert set(tagged["inference_geo"]) == {"global"}
