"""CloudWatch read whole: pages, partial answers, metrics under two names, and what it no longer keeps."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from bedrock_rows import ENVIRONMENT
from finops_ai_bedrock.connector import Bedrock

from finops_ai.errors import DataError, ProviderError, ProviderUnavailable
from finops_ai.periods import Window

MODEL = "global.anthropic.claude-sonnet-4-6"
DAY = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=3)
WINDOW = Window(DAY, DAY + dt.timedelta(days=1))


@pytest.fixture
def cloudwatch(monkeypatch):
    """A connector whose CloudWatch client gives scripted answers, and the script."""
    from botocore.stub import Stubber

    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    connector = Bedrock(usage_source="cloudwatch", region="us-east-1", account_id="222222222222", max_retries=1)
    connector._sleep = lambda seconds: None
    with Stubber(connector._aws.client("cloudwatch")) as script:
        yield connector, script


def metrics(*names, token=None):
    found = [
        {"Namespace": "AWS/Bedrock", "MetricName": n, "Dimensions": [{"Name": "ModelId", "Value": MODEL}]}
        for n in names
    ]
    return {"Metrics": found} | ({"NextToken": token} if token else {})


def points(*results, token=None):
    """Results as (id, status, [(hour, value)])."""
    found = [
        {
            "Id": i,
            "StatusCode": s,
            "Timestamps": [DAY + dt.timedelta(hours=h) for h, _ in p],
            "Values": [float(v) for _, v in p],
        }
        for i, s, p in results
    ]
    return {"MetricDataResults": found} | ({"NextToken": token} if token else {})


def quantities(frame):
    return frame.groupby("meter")["quantity"].sum().to_dict()


def test_pages_of_metrics_and_points_make_one_frame_and_an_alias_is_never_added(cloudwatch):
    connector, script = cloudwatch
    script.add_response("list_metrics", metrics("InputTokenCount", "CacheReadInputTokens", token="a"))
    script.add_response("list_metrics", metrics("CacheReadInputTokenCount", "OutputTokenCount", "InvocationLatency"))
    # m0 input, m1 cache_read, m2 output; newest first, cut in the middle
    script.add_response(
        "get_metric_data", points(("m0", "PartialData", [(5, 70)]), ("m1", "Complete", [(5, 9)]), token="b")
    )
    script.add_response("get_metric_data", points(("m0", "Complete", [(4, 30)]), ("m2", "Complete", [(5, 8)])))
    frame = connector.usage(WINDOW)
    assert quantities(frame) == {"input": Decimal(100), "cache_read": Decimal(9), "output": Decimal(8)}
    assert set(frame["model"]) == {MODEL}
    assert set(frame["inference_geo"]) == {"global"}
    assert connector.fresh_until == DAY + dt.timedelta(hours=6)


def test_part_of_the_points_is_an_error(cloudwatch):
    connector, script = cloudwatch
    script.add_response("list_metrics", metrics("InputTokenCount"))
    script.add_response("get_metric_data", points(("m0", "PartialData", [(5, 70)])))
    with pytest.raises(ProviderUnavailable, match="only part of 1 metrics"):
        connector.usage(WINDOW)


def test_a_repeated_page_token_is_an_error(cloudwatch):
    connector, script = cloudwatch
    script.add_response("list_metrics", metrics("InputTokenCount"))
    for _ in range(2):
        script.add_response("get_metric_data", points(("m0", "Complete", [(5, 70)]), token="again"))
    with pytest.raises(ProviderError, match="same page token twice"):
        connector.usage(WINDOW)


def test_throttling_is_waited_out_and_lasts_only_so_long(cloudwatch):
    connector, script = cloudwatch
    script.add_client_error("list_metrics", "Throttling", "Rate exceeded", 400)
    script.add_response("list_metrics", metrics())
    assert connector.usage(WINDOW).empty
    for _ in range(2):
        script.add_client_error("list_metrics", "Throttling", "Rate exceeded", 400)
    with pytest.raises(ProviderUnavailable, match="Rate exceeded"):
        connector.usage(WINDOW)


def test_half_a_token_is_no_count(cloudwatch):
    connector, script = cloudwatch
    script.add_response("list_metrics", metrics("InputTokenCount"))
    script.add_response("get_metric_data", points(("m0", "Complete", [(5, 1.5)])))
    with pytest.raises(DataError, match=r"gives 1\.5 for input"):
        connector.usage(WINDOW)


def test_what_is_no_longer_kept_is_read_coarser_and_said(cloudwatch):
    connector, script = cloudwatch
    connector.settings.cloudwatch_period = 60
    old = Window(DAY - dt.timedelta(days=30), DAY - dt.timedelta(days=29))
    script.add_response("list_metrics", metrics("InputTokenCount"))
    script.add_response("get_metric_data", points())
    assert connector.usage(old).empty
    assert "read in 300 seconds" in connector.notes[0]
