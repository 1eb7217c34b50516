"""The live connector against a loopback S3 that throttles, drops, repeats, refuses and lies."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from bedrock_rows import line, record, save, zipped
from finops_ai_bedrock.connector import Bedrock

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable
from finops_ai.periods import Window
from finops_ai.testing import Reply

OCTOBER = Window.month("2026-10")
ROOT = "exports/ai/data/BILLING_PERIOD=2026-10"


@pytest.fixture
def export(s3, tmp_path):
    """An export of three files, 1,000 tokens each."""
    for n in range(3):
        path = save(tmp_path, [line(start=(2026, 10, 5 + n))], f"{n}.parquet")
        s3.objects[f"{ROOT}/a-0000{n}.snappy.parquet"] = path.read_bytes()
    return s3


def connect(s3, **settings):
    connector = Bedrock(
        endpoint_url=s3.url, export_s3_uri="s3://bills/exports/ai", region="us-east-1", max_retries=3, **settings
    )
    connector.waits = []
    connector._sleep = connector.waits.append
    return connector


def total(frame):
    return sum(frame["quantity"], Decimal(0))


def test_reads_every_file_once_in_pages(export):
    export.page = 1
    connector = connect(export)
    assert total(connector.usage(OCTOBER)) == 3000
    assert len(connector.bills(OCTOBER)) == 3
    assert sum(asked.startswith("GET") for asked in export.asked) == 3  # bills reuse what usage read
    assert connector.fresh_until.isoformat() == "2026-10-07T01:00:00+00:00"


FAULTS = {
    "429 with retry-after": (429, {"Retry-After": "7"}, "TooManyRequests"),
    "429 without": (429, {}, "TooManyRequests"),
    "500": (500, {}, "InternalError"),
    "503 slow down": (503, {}, "SlowDown"),
    "529": (529, {}, "Overloaded"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_passing_trouble_is_waited_out_and_nothing_counts_twice(export, fault):
    status, headers, code = FAULTS[fault]
    export.page = 1
    export.fail(f"LIST {ROOT}/ 1", Reply(export.error(code), status, headers))
    export.fail(f"GET {ROOT}/a-00001", Reply(export.error(code), status, headers), times=2)
    connector = connect(export)
    assert total(connector.usage(OCTOBER)) == 3000
    assert len([w for w in connector.waits if w == 7]) == (3 if headers else 0)


def test_a_connection_dropped_midway_is_asked_again(export):
    export.fail(f"GET {ROOT}/a-00002", Reply(export.objects[f"{ROOT}/a-00002.snappy.parquet"], sent=100))
    export.fail(f"LIST {ROOT}/", Reply(b"<ListBucketResult>" + b" " * 100, sent=20))
    assert total(connect(export).usage(OCTOBER)) == 3000


def test_lasting_trouble_is_told(export):
    export.fail(f"GET {ROOT}/a-00001", Reply(export.error("InternalError"), 500), times=9)
    with pytest.raises(ProviderUnavailable, match=r"still fails after 4 tries.*Nothing of this window was stored"):
        connect(export).usage(OCTOBER)


def test_a_repeated_page_token_is_an_error_not_an_endless_loop(export):
    export.page, export.repeat_token = 1, True
    with pytest.raises(ProviderError, match="same page token twice"):
        connect(export).usage(OCTOBER)


def test_a_refused_page_token_is_told_with_aws_own_words(export):
    export.page = 1
    export.fail(
        f"LIST {ROOT}/ 1", Reply(export.error("InvalidArgument", "The continuation token provided is incorrect"), 400)
    )
    with pytest.raises(ProviderError, match="continuation token provided is incorrect"):
        connect(export).usage(OCTOBER)


@pytest.mark.parametrize(("status", "code", "words"), [
    (403, "AccessDenied", "Grant the permission s3:list_objects_v2"),
    (403, "RequestTimeTooSkewed", "Set the clock"),
    (401, "InvalidAccessKeyId", "renew them"),
])  # fmt: skip
def test_refusals_are_not_retried_and_name_the_next_step(export, status, code, words):
    export.fail("LIST", Reply(export.error(code), status), times=9)
    connector = connect(export)
    with pytest.raises(CredentialsError, match=words) as caught:
        connector.usage(OCTOBER)
    assert connector.waits == []
    assert "planted-secret" not in str(caught.value)  # the secret key


def test_no_export_there_and_half_written_ones(s3, export, tmp_path):
    connector = Bedrock(endpoint_url=s3.url, export_s3_uri="s3://bills/elsewhere", region="us-east-1")
    with pytest.raises(DataError, match="within 24 hours"):
        connector.usage(OCTOBER)
    manifest = {"dataFiles": [f"s3://bills/{ROOT}/a-0000{n}.snappy.parquet" for n in range(4)]}
    s3.objects["exports/ai/metadata/BILLING_PERIOD=2026-10/ai-Manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(ProviderUnavailable, match="a-00003"):
        connect(s3).usage(OCTOBER)


LOGS = "logs/AWSLogs/222222222222/BedrockModelInvocationLogs/us-east-1/2026/10/05"


def logs(s3, **settings):
    connector = Bedrock(
        endpoint_url=s3.url, log_s3_uri="s3://bills/logs", region="us-east-1", max_retries=2, **settings
    )
    connector._sleep = lambda seconds: None
    return connector


def test_invocation_logs_give_calls_with_caller_prompt_and_temperature_but_no_text(s3):
    s3.objects[f"{LOGS}/07/a.json.gz"] = zipped(
        [record("r1"), record("r2", when="2026-10-05T07:59:59.5Z"), {"schemaType": "Probe"}]
    )
    s3.objects[f"{LOGS}/08/b.json.gz"] = zipped(
        [record("r1"), record("r3", errorCode="ThrottlingException", output=None)]
    )
    s3.objects[f"{LOGS}/07/data/big.json.gz"] = b"not read"
    connector = logs(s3)
    frame = connector.usage(OCTOBER)
    assert frame.groupby("meter")["quantity"].sum().to_dict() == {
        "input": Decimal(30), "cache_read": Decimal(200), "cache_write": Decimal(14), "output": Decimal(24), "requests": Decimal(3),
    }  # fmt: skip
    calls = frame[frame["meter"] == "requests"]
    assert calls["outcome"].tolist() == ["ok", "ok", "error"]  # a failed call is one, without tokens
    first = frame.iloc[0]
    assert (first.model, first.inference_geo, first.prompt_id) == ("us.anthropic.claude-sonnet-4-6", "us", "answer@v3")
    assert (first.temperature, first.max_output_tokens, first.slice_requests, first.slice_input_tokens) == (
        0.2,
        500,
        1,
        122,
    )
    assert first.user_id.endswith("alice@example.com")
    assert dict(first.tags) == {"prompt_id": "answer@v3", "team": "search"}
    assert "SECRET" not in frame.to_csv()
    assert any("1 failed calls" in note for note in connector.notes)
    assert any("came twice" in note for note in connector.notes)


def test_a_truncated_gzip_and_a_broken_record_are_named(s3):
    s3.objects[f"{LOGS}/07/a.json.gz"] = zipped([record("r1")])[:-9]
    with pytest.raises(DataError, match=r"a\.json\.gz: the gzip file is damaged or cut short"):
        logs(s3).usage(OCTOBER)
    gone = record("r1")
    del gone["modelId"]
    s3.objects[f"{LOGS}/07/a.json.gz"] = zipped([gone])
    with pytest.raises(DataError, match=r"line 1: the log record has no 'modelId'"):
        logs(s3).usage(OCTOBER)
    s3.objects[f"{LOGS}/07/a.json.gz"] = zipped([record("r1", input={"inputTokenCount": -4})])
    with pytest.raises(DataError, match=r"inputTokenCount is -4"):
        logs(s3).usage(OCTOBER)


def test_saved_logs_say_what_live_ones_say(s3, tmp_path):
    content = zipped([record("r1"), record("r2", brand_new_field={"tokens": "?"})])
    s3.objects[f"{LOGS}/07/a.json.gz"] = content
    (tmp_path / "a.json.gz").write_bytes(content)
    assert Bedrock(files=[str(tmp_path / "*.json.gz")]).usage(OCTOBER).equals(logs(s3).usage(OCTOBER))


def test_streamed_answers_count_from_their_last_chunk(tmp_path):
    chunks = [
        {"delta": "x"},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 15, "outputTokenCount": 33}},
    ]
    (tmp_path / "a.json").write_text(json.dumps(record("r1", output={"outputBodyJson": chunks})) + "\n")
    frame = Bedrock(files=[str(tmp_path / "a.json")]).usage(OCTOBER)
    assert frame.set_index("meter")["quantity"]["output"] == 33


def test_doctor_says_what_is_missing(export):
    assert [f.ok for f in connect(export).doctor()] == [True, True]
    export.fail("LIST", Reply(export.error("AccessDenied"), 403))
    finding = connect(export).doctor()[-1]
    assert not finding.ok
    assert "s3:GetObject" in finding.fix
    assert [f.ok for f in logs(export).doctor()] == [True, False, True]  # logs alone give no bill


def test_inference_profiles_are_asked_for_when_met_and_their_absence_is_told(s3, tmp_path):
    arn = "arn:aws:bedrock:us-east-1:222222222222:application-inference-profile/ab12"
    s3.objects[f"{LOGS}/07/a.json.gz"] = zipped([record("r1", modelId=arn)])
    refused = logs(s3)
    assert set(refused.usage(OCTOBER)["model"]) == {"ab12"}
    assert "bedrock:ListInferenceProfiles" in refused.notes[0]
    behind = "arn:aws:bedrock:us-east-1:222222222222:inference-profile/global.anthropic.claude-sonnet-4-6"
    s3.profiles = [{
        "inferenceProfileArn": arn, "inferenceProfileId": "ab12", "inferenceProfileName": "answers", "status": "ACTIVE",
        "type": "APPLICATION", "models": [{"modelArn": behind}],
    }]  # fmt: skip
    row = logs(s3).usage(OCTOBER).iloc[0]
    assert (row.model, row.inference_geo, row.resource_id) == ("global.anthropic.claude-sonnet-4-6", "global", arn)
    assert dict(row.tags)["inference_profile"] == "answers"
