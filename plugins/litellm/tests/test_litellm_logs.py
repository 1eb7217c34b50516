"""What a spend log says: who bills, who called, what may be kept, and which rows are refused."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from finops_ai_litellm import LiteLLMConnector

from finops_ai.errors import CredentialsError, DataError, ProviderError, SettingsError, UsageError
from finops_ai.periods import Window
from finops_ai.testing import PlayedProvider, Reply

DAYS = Window.of("2026-10-01", "2026-10-04")


def read(folder: Path, rows: list[dict[str, Any]], **settings: Any) -> tuple[Any, LiteLLMConnector]:
    (folder / "logs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    connector = LiteLLMConnector(files=[str(folder / "logs.jsonl")], **settings)
    return connector.usage(DAYS), connector


def test_a_row_tells_who_bills_and_who_called(tmp_path: Path, logs: list[dict[str, Any]]) -> None:
    frame, connector = read(tmp_path, logs, accounts={"openai": "org-1"})
    first = frame[frame["request_id"] == "r1"].iloc[0]
    assert (first["provider"], first["billing_account_id"], first["model"]) == ("openai", "org-1", "gpt-5.4-mini")
    assert (first["sub_account_id"], first["sub_account_name"]) == ("team-1", "Search team")
    assert (first["api_key_id"], first["user_id"], first["prompt_id"]) == ("hash-1", "user-1", "answer@v2")
    assert dict(first["tags"]) == {
        "feature": "autocomplete", "prompt": "answer@v2", "User-Agent": "OpenAI", "urgent": "true", "end_user": "customer-9",
        "session_id": "session-1", "model_group": "chat-default", "key_alias": "alias-1", "team": "Search team",
    }  # fmt: skip
    second = frame[frame["request_id"] == "r2"].iloc[0]
    assert (second["provider"], second["model"], second["service_tier"]) == (
        "bedrock",
        "us.anthropic.claude-sonnet-4-6",
        "priority",
    )
    last = frame[frame["request_id"] == "r5"].iloc[0]
    assert last["operation"] == "embeddings"
    assert last["api_key_id"] != "sk-raw-key"
    assert dict(last["tags"])["team"] == "growth"
    assert any("gateway's cache" in note for note in connector.notes)


def test_its_cost_stands_once_a_call_and_exactly(tmp_path: Path, logs: list[dict[str, Any]]) -> None:
    frame, _ = read(tmp_path, logs)
    assert frame["billed_cost"].sum() == Decimal("0.0321006")  # 0.0021 + 0.03 + 0 + 0 + 0.0000006
    assert frame.loc[frame["billed_cost"].notna(), "meter"].unique().tolist() == ["requests"]


def test_parquet_with_times_and_json_text_reads_the_same(tmp_path: Path, logs: list[dict[str, Any]]) -> None:
    expected, _ = read(tmp_path, logs)
    rows = []
    for row in logs:
        times = {name: dt.datetime.fromisoformat(row[name]) for name in ("startTime", "endTime")}
        tags = row["request_tags"] if isinstance(row["request_tags"], str) else json.dumps(row["request_tags"])
        rows.append(
            {
                **row,
                **times,
                "metadata": json.dumps(row["metadata"]),
                "request_tags": tags,
                "messages": "x",
                "response": "x",
                "proxy_server_request": "x",
            }
        )
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "logs.parquet")
    frame = LiteLLMConnector(files=[str(tmp_path / "logs.parquet")]).usage(DAYS)
    assert frame.astype(str).equals(expected.astype(str))


def test_daily_sums_stand_in_for_deleted_logs(tmp_path: Path) -> None:
    day = {
        "id": "1", "team_id": "search", "date": "2026-10-01", "api_key": "hash-1", "model": "gpt-5.4-mini",
        "model_group": "chat", "custom_llm_provider": "openai", "prompt_tokens": 1000, "completion_tokens": 200,
        "cache_read_input_tokens": 600, "cache_creation_input_tokens": 100, "spend": 0.5, "api_requests": 12,
        "successful_requests": 11, "failed_requests": 1,
    }  # fmt: skip
    frame, _ = read(tmp_path, [day, day, {**day, "id": "2", "date": "2026-10-04"}])
    assert frame.groupby("meter")["quantity"].sum().to_dict() == {
        "input": 300, "cache_read": 600, "cache_write": 100, "output": 200, "requests": 12,
    }  # fmt: skip
    assert set(frame["slice_requests"]) == {12}
    assert set(frame["sub_account_id"]) == {"search"}
    assert (frame["charge_period_end"] - frame["charge_period_start"]).unique().tolist() == [dt.timedelta(days=1)]
    with pytest.raises(DataError, match="two tags"):
        read(tmp_path, [{**day, "tag": "a"}])


def test_calls_say_how_they_ended(tmp_path: Path, one_log: Any) -> None:
    logs = [
        one_log("good", "2026-10-01", "openai/gpt-5.4", None),
        one_log("bad", "2026-10-01", "openai/gpt-5.4", None) | {"status": "failure"},
        one_log("old", "2026-10-01", "openai/gpt-5.4", None) | {"status": None},
    ]
    frame, _ = read(tmp_path, logs)
    told = {i: None if o != o else o for i, o in zip(frame["request_id"], frame["outcome"].astype(object), strict=True)}
    assert told == {"good": "ok", "bad": "error", "old": None}


def test_an_unknown_count_is_shown_unmapped(tmp_path: Path, one_log: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11, "quantum_tokens": 4}
    frame, connector = read(tmp_path, [one_log("r", "2026-10-01", "openai/gpt-5.4", usage)])
    assert frame.loc[frame["meter"] == "unmapped", "quantity"].tolist() == [4]
    assert "unmapped" in connector.notes[0]


def test_a_part_larger_than_its_total_names_the_request(tmp_path: Path, one_log: Any) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "total_tokens": 11,
        "prompt_tokens_details": {"cached_tokens": 11},
    }
    with pytest.raises(UsageError, match="'bad-one'") as error:
        read(
            tmp_path, [one_log("r", "2026-10-01", "openai/m", {}), one_log("bad-one", "2026-10-01", "openai/m", usage)]
        )
    assert error.value.flag == "negative_remainder"


def test_a_row_that_does_not_add_up_is_read_and_noted(tmp_path: Path, one_log: Any) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 99}
    frame, connector = read(tmp_path, [one_log("r", "2026-10-01", "openai/m", usage)])
    assert frame.loc[frame["meter"] == "input", "quantity"].tolist() == [10]
    assert "total_mismatch: 1 calls, first request 'r'" in connector.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"startTime": "yesterday"}, "request 'r'.*startTime is 'yesterday'"),
        ({"request_id": ""}, "no request_id"),
        ({"spend": "much"}, "spend is 'much'"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, one_log: Any, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, [{**one_log("r", "2026-10-01", "openai/m"), **change}])


def test_a_foreign_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"hello": 1}')
    with pytest.raises(DataError, match=r"x\.json.*no spend log"):
        LiteLLMConnector(files=[str(tmp_path / "x.json")]).usage(DAYS)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(DataError, match=r"x\.parquet.*Parquet"):
        LiteLLMConnector(files=[str(tmp_path / "x.parquet")]).usage(DAYS)


def test_usage_as_the_gateway_writes_it_today(tmp_path: Path, one_log: Any) -> None:
    """Shapes made by litellm 1.106.2 itself: from a Claude answer, and a row whose details stand beside its counts."""
    claude = {
        "completion_tokens": 300, "prompt_tokens": 6012, "total_tokens": 6312,
        "completion_tokens_details": {"reasoning_tokens": 0, "text_tokens": 300, "audio_tokens": None},
        "prompt_tokens_details": {
            "cache_write_tokens": 1000, "cached_tokens": 5000, "text_tokens": 12, "cache_creation_tokens": 1000,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 700, "ephemeral_1h_input_tokens": 300},
        },
        "server_tool_use": {"web_search_requests": 1, "tool_search_requests": None},
        "cache_creation_input_tokens": 1000, "cache_read_input_tokens": 5000, "iterations": None,
        "inference_geo": "us", "speed": None, "service_tier": "standard",
    }  # fmt: skip
    details = {
        "completion_tokens_details": None,
        "prompt_tokens_details": {
            "cache_write_tokens": 900,
            "cached_tokens": 5000,
            "text_tokens": None,
            "cache_creation_tokens": 900,
        },
        "cache_read_input_tokens": 5000,
        "cache_creation_input_tokens": 900,
    }
    beside = one_log(
        "b", "2026-10-02", "claude-sonnet-4-6", custom_llm_provider="anthropic", request_tags='["a:b"]', end_user=""
    )
    counts = {"prompt_tokens": 6000, "completion_tokens": 200, "total_tokens": 6200}
    metadata = json.dumps(
        {"usage_object": None, "additional_usage_values": details, "spend_logs_metadata": None, "status": None}
    )
    frame, connector = read(
        tmp_path,
        [one_log("a", "2026-10-01", "anthropic/claude-sonnet-5", claude), {**beside, **counts, "metadata": metadata}],
    )
    found = {
        rid: dict(zip(rows["meter"], map(int, rows["quantity"]), strict=True))
        for rid, rows in frame.groupby("request_id")
    }
    assert found == {
        "a": {
            "input": 12, "cache_read": 5000, "cache_write_5m": 700, "cache_write_1h": 300, "output": 300, "web_searches": 1,
            "requests": 1,
        },
        "b": {"input": 100, "cache_read": 5000, "cache_write": 900, "output": 200, "requests": 1},
    }  # fmt: skip
    assert set(frame.loc[frame["request_id"] == "a", "inference_geo"]) == {"us"}
    assert set(frame["provider"]) == {"anthropic"}
    assert not connector.notes


FAULTS = {
    "429": Reply({"error": {"message": "slow"}}, 429, {"retry-after": "3"}),
    "500": Reply("", 500),
    "dropped": Reply({"data": []}, sent=4),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_passing_fault_changes_nothing(gateway: Any, waits: list[float], fault: str) -> None:
    with PlayedProvider(gateway.answer) as provider:
        expected = LiteLLMConnector(endpoint_url=provider.url).usage(DAYS)
        provider.troubles.append(FAULTS[fault])
        assert LiteLLMConnector(endpoint_url=provider.url).usage(DAYS).astype(str).equals(expected.astype(str))
    assert len(waits) == 1


def test_a_listing_that_repeats_itself_is_an_error(gateway: Any, one_log: Any) -> None:
    gateway.logs = [one_log(f"r{i}", "2026-10-01 10:00:00", "openai/m") for i in range(150)]
    with PlayedProvider(gateway.answer) as provider:
        frame = LiteLLMConnector(endpoint_url=provider.url).usage(DAYS)
        assert int(frame.loc[frame["meter"] == "requests", "quantity"].sum()) == 150
        gateway.stuck = True
        with pytest.raises(ProviderError, match="repeats earlier pages"):
            LiteLLMConnector(endpoint_url=provider.url).usage(DAYS)


def test_older_gateways_are_read_through_their_listing(gateway: Any) -> None:
    gateway.old = True
    with PlayedProvider(gateway.answer) as provider:
        assert LiteLLMConnector(endpoint_url=provider.url).usage(DAYS)["request_id"].nunique() == 5


def test_missing_settings_and_keys_say_what_to_set(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"endpoint_url.*LITELLM_DATABASE_URL.*files"):
        LiteLLMConnector().usage(DAYS)
    with pytest.raises(CredentialsError, match="LITELLM_DATABASE_URL"):
        LiteLLMConnector(read_from="database").usage(DAYS)
    with PlayedProvider(gateway.answer) as provider:
        assert [f.ok for f in LiteLLMConnector(endpoint_url=provider.url).doctor()] == [True]
        monkeypatch.setenv("LITELLM_API_KEY", "wrong")
        (finding,) = LiteLLMConnector(endpoint_url=provider.url).doctor()
    assert not finding.ok
    assert "proxy_admin_viewer" in finding.fix


def test_counts_of_a_table_with_gaps_are_whole_numbers(tmp_path: Path) -> None:
    """A column that has a gap is one of floats in Parquet: 20.0 tokens are 20."""
    call = {
        "api_key": "k", "call_type": "acompletion", "model": "gpt-4o", "startTime": "2026-10-02T00:00:00Z", "endTime": "2026-10-02T00:00:01Z",
    }  # fmt: skip
    rows = [
        {**call, "request_id": "a", "total_tokens": 30.0, "prompt_tokens": 20.0, "completion_tokens": 10.0},
        {**call, "request_id": "b", "total_tokens": None, "prompt_tokens": None, "completion_tokens": None},
    ]
    path = tmp_path / "logs.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    usage = LiteLLMConnector(files=[str(path)]).usage(DAYS)
    assert [(r.meter, int(r.quantity)) for r in usage.itertuples()] == [
        ("input", 20), ("output", 10), ("requests", 1), ("requests", 1),
    ]  # fmt: skip
