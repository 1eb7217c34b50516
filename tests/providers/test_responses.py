"""Logs of the SDKs' own answers are read without a mapping: meters, biller, time, labels; no text; each answer once."""

from __future__ import annotations

import json
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import DataError

SECRET = "SECRET-TEXT"
OPENAI = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1790812800, "model": "gpt-5.4-2026-03-05",
    "choices": [{"message": {"role": "assistant", "content": SECRET}}], "service_tier": "default",
    "usage": {
        "prompt_tokens": 2000, "completion_tokens": 300, "total_tokens": 2300,
        "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 100},
    },
}  # fmt: skip
RESPONSES = {
    "id": "resp_1", "object": "response", "created_at": 1790812801.0, "model": "gpt-5.4", "metadata": {"team": "ads"},
    "output": [{"content": [{"text": SECRET}]}], "service_tier": "flex",
    "usage": {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 10,
              "output_tokens_details": {"reasoning_tokens": 4}, "total_tokens": 60},
}  # fmt: skip
CLAUDE = {
    "timestamp": "2026-10-01T09:00:00+02:00", "team": "search", "user_id": "ann", "session_id": "s1",
    "response": {
        "id": "msg_1", "type": "message", "model": "claude-sonnet-4-6", "content": [{"type": "text", "text": SECRET}],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 4, "output_tokens": 7,
                  "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 3}},
    },
}  # fmt: skip
GEMINI = {
    "candidates": [{"content": {"parts": [{"text": SECRET}]}}], "modelVersion": "gemini-2.5-pro", "responseId": "r1",
    "createTime": "2026-10-01T10:00:00.5Z",
    "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20,
                      "thoughtsTokenCount": 30, "totalTokenCount": 150},
}  # fmt: skip
GEMINI_PYTHON = {
    "model_version": "gemini-2.5-pro", "response_id": "r2", "create_time": "2026-10-01T10:00:00Z",
    "usage_metadata": {"prompt_token_count": 100, "candidates_token_count": 20, "total_token_count": 120},
}  # fmt: skip
CONVERSE = {
    "modelId": "us.anthropic.claude-sonnet-4-6-v1:0",
    "response": {
        "ResponseMetadata": {"RequestId": "q1", "HTTPHeaders": {"date": "Thu, 01 Oct 2026 10:00:00 GMT"}},
        "output": {"message": {"content": [{"text": SECRET}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 11, "outputTokens": 5, "totalTokens": 19, "cacheReadInputTokens": 3},
    },
}  # fmt: skip
OPENROUTER = {
    "id": "gen-1", "provider": "Anthropic", "model": "anthropic/claude-sonnet-4.6", "object": "chat.completion",
    "created": 1790812800, "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": 0.000105},
}  # fmt: skip
LANGCHAIN = {
    "ts": 1790812800123,
    "message": {
        "type": "ai", "content": SECRET, "id": "run-1",
        "usage_metadata": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_token_details": {"cache_read": 4}},
        "response_metadata": {"model_name": "gpt-5.4", "model_provider": "openai"},
    },
}  # fmt: skip
VERCEL = {
    "finishReason": "stop", "text": SECRET, "response": {"id": "v1", "modelId": "gpt-5.4", "timestamp": "2026-10-01T10:00:00.000Z"},
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cachedInputTokens": 4, "reasoningTokens": 2},
}  # fmt: skip
VERCEL_CLAUDE = {
    "finishReason": "stop", "response": {"id": "v2", "modelId": "claude-sonnet-4-6", "timestamp": "2026-10-01T10:00:00.000Z"},
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "cachedInputTokens": 40},
}  # fmt: skip
AZURE = {**OPENAI, "id": "az-1", "prompt_filter_results": [{"prompt_index": 0}]}
BATCH = {
    "id": "batch_req_1",
    "custom_id": "row-1",
    "response": {"status_code": 200, "body": {**OPENAI, "id": "chatcmpl-b"}},
}
LITELLM = {
    "id": "ll-1", "call_type": "acompletion", "custom_llm_provider": "azure", "startTime": 1790812800.5, "model": "gpt-5.4",
    "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "response_cost": 0.0001,
    "metadata": {"usage_object": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}},
}  # fmt: skip
OCI = {
    "timestamp": "2026-10-01T10:00:00Z", "modelId": "xai.grok-4", "chatResponse": {"text": SECRET},
    "usage": {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15},
}  # fmt: skip
EMBEDDINGS = {
    "timestamp": "2026-10-01T10:00:00Z",
    "response": json.dumps({"object": "list", "model": "text-embedding-3-large", "data": [], "usage": {"prompt_tokens": 8, "total_tokens": 8}}),
}  # fmt: skip

#: document -> who bills, meters, and further columns, each worked out by hand from the document
KNOWN = {
    "openai chat": (OPENAI, "openai", {"input": 976, "cache_read": 1024, "output": 200, "reasoning": 100}, {"service_tier": "standard"}),
    "openai responses": (RESPONSES, "openai", {"input": 30, "cache_read": 20, "output": 6, "reasoning": 4}, {"service_tier": "flex", "tags": [("team", "ads")]}),
    "anthropic": (CLAUDE, "anthropic", {"input": 10, "cache_read": 5, "cache_write_5m": 1, "cache_write_1h": 3, "output": 7},
                  {"user_id": "ann", "session_id": "s1", "tags": [("team", "search")], "start": "2026-10-01T07:00:00+00:00"}),
    "gemini": (GEMINI, "vertex", {"input": 60, "cache_read": 40, "output": 20, "reasoning": 30}, {"model": "gemini-2.5-pro"}),
    "gemini python": (GEMINI_PYTHON, "vertex", {"input": 100, "output": 20}, {"request_id": "r2"}),
    "converse": (CONVERSE, "bedrock", {"input": 11, "cache_read": 3, "output": 5}, {"start": "2026-10-01T10:00:00+00:00"}),
    "openrouter": (OPENROUTER, "openrouter", {"input": 10, "output": 5}, {"billed_cost": D("0.000105")}),
    "langchain": (LANGCHAIN, "openai", {"input": 6, "cache_read": 4, "output": 5}, {"start": "2026-10-01T00:00:00.123000+00:00"}),
    "vercel": (VERCEL, "openai", {"input": 6, "cache_read": 4, "output": 3, "reasoning": 2}, {"request_id": "v1"}),
    "vercel claude": (VERCEL_CLAUDE, "anthropic", {"input": 10, "cache_read": 40, "output": 5}, {}),
    "azure": (AZURE, "azure-openai", {"input": 976, "cache_read": 1024, "output": 200, "reasoning": 100}, {}),
    "batch": (BATCH, "openai", {"input": 976, "cache_read": 1024, "output": 200, "reasoning": 100}, {"service_tier": "batch"}),
    "litellm": (LITELLM, "azure-openai", {"input": 10, "output": 5}, {"billed_cost": D("0.0001")}),
    "oci": (OCI, "oci", {"input": 10, "output": 5}, {"model": "xai.grok-4"}),
    "embeddings": (EMBEDDINGS, "openai", {"input": 8}, {"operation": "embeddings"}),
}  # fmt: skip


def written(folder, *documents):
    path = folder / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, documents)) + "\n")
    return path


@pytest.mark.parametrize("name", KNOWN)
def test_an_answer_is_read_without_a_mapping(tmp_path, name):
    document, provider, quantities, more = KNOWN[name]
    frame = fa.read(written(tmp_path, document), format="auto")
    assert dict(zip(frame["meter"], frame["quantity"], strict=True)) == {m: D(n) for m, n in quantities.items()} | {
        "requests": D(1)
    }
    row = frame.iloc[0]
    assert row["provider"] == provider
    for column, want in more.items():
        found = row["charge_period_start"].isoformat() if column == "start" else row[column]
        assert (list(found) if column == "tags" else found) == want
    assert SECRET not in frame.to_csv()


def test_all_kinds_in_one_file_and_each_answer_once(tmp_path):
    failed = {"custom_id": "row-2", "response": {"status_code": 400, "body": {"error": {"message": "bad"}}}}
    path = written(tmp_path, *(document for document, *_ in KNOWN.values()), OPENAI, failed)
    reader = fa.providers.collecting.connector("responses", files=[str(path)])
    frame = reader.usage(fa.providers.collecting.ALWAYS)
    assert (frame["meter"] == "requests").sum() == len(KNOWN)
    assert any("1 answers were logged more than once" in note for note in reader.notes)
    assert any("1 documents state no usage" in note for note in reader.notes)


def test_an_unknown_token_kind_is_seen(tmp_path):
    odd = {**OPENAI, "usage": {**OPENAI["usage"], "dream_tokens": 9}}
    reader = fa.providers.collecting.connector("responses", files=[str(written(tmp_path, odd))])
    frame = reader.usage(fa.providers.collecting.ALWAYS)
    assert frame.loc[frame["meter"] == "unmapped", "quantity"].tolist() == [D(9)]
    assert any("dream_tokens" in note for note in reader.notes)


@pytest.mark.parametrize(("document", "said"), [
    (CLAUDE["response"], "document 1: the Anthropic messages states no time. Log it beside the answer"),
    ({**OPENAI, "model": None}, "names no model"),
    ({**OPENAI, "created": "yesterday"}, "'yesterday' is no time"),
    ({**OPENAI, "usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}}, "document 1: .* larger"),
])  # fmt: skip
def test_what_cannot_be_read_is_a_sentence(tmp_path, document, said):
    with pytest.raises(DataError, match=said):
        fa.read(written(tmp_path, document), format="responses")


def test_the_report_of_a_log_needs_no_mapping_and_compares_its_cost(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINOPS_AI_CACHE", str(tmp_path / "cache"))
    from finops_ai.cli.own_data import input_workspace

    stated = {**OPENAI, "usage": {**OPENAI["usage"]}, "cost": 0.01}
    ws = input_workspace(str(written(tmp_path, stated)), None, None, None)
    assert ws.months() == ["2026-10"]
    said = capsys.readouterr().err
    assert "Read 1 file (responses): 1 calls, 2,300 tokens" in said
    # 976 x 2.5 + 1024 x 0.25 + 300 x 15 per million dollars = 0.007196
    assert "The log states a cost of 0.01 USD; at list prices these calls come to 0.01 USD (+39.0%)." in said


def test_a_mapping_without_a_file_is_a_sentence(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--mapping", "x.toml"])
    assert stopped.value.code == 2
    assert "give the file with --input" in capsys.readouterr().err
