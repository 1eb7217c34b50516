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


CHAT = {
    "id": "c1", "object": "chat.completion", "created": 1790812800, "model": "gpt-5.4", "choices": [{"message": {"content": SECRET}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30, "prompt_tokens_details": {"cached_tokens": 5}},
}  # fmt: skip
MESSAGE = {
    "id": "msg_1", "type": "message", "model": "claude-sonnet-4-6", "content": [{"type": "text", "text": SECRET}],
    "usage": {"input_tokens": 15, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": 10},
}  # fmt: skip
AT = "2026-10-01T10:00:00Z"
CALL = {"input": 15, "cache_read": 5, "output": 10}
STREAM = [
    {"timestamp": AT, "type": "message_start", "message": {**MESSAGE, "usage": {**MESSAGE["usage"], "output_tokens": 1}}},
    {"timestamp": AT, "type": "content_block_delta", "delta": {"text": SECRET}},
    {"timestamp": AT, "type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}},
]  # fmt: skip
CHUNKS = [
    {**CHAT, "object": "chat.completion.chunk", "usage": None},
    {**CHAT, "object": "chat.completion.chunk", "choices": []},
]
#: how a log holds answers -> its text, and the meters of the one call in it, by hand
HELD = {
    "events of a stream": ("".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n", CALL),
    "events of a message": ("\n".join(map(json.dumps, STREAM)), CALL),
    "log lines": (f"2026-10-01 10:00:00,000 INFO answered {json.dumps(MESSAGE)}\nstarting\n", CALL),
    "a container's log": (json.dumps({"log": json.dumps(CHAT) + "\n", "stream": "stdout", "time": AT}), CALL),
    "pretty": (json.dumps(CHAT, indent=2), CALL),
    "NaN beside": ('{"score": NaN, "answer": ' + json.dumps(CHAT) + "}", CALL),
    "counts as text": (json.dumps({**CHAT, "usage": {"prompt_tokens": "20", "completion_tokens": "10"}}), {"input": 20, "output": 10}),
    "a cost in parts": (
        json.dumps({**CHAT, "usage": {**CHAT["usage"], "cost": {"total": "n/a"}}}), CALL,
    ),
    "perplexity": (json.dumps({**CHAT, "model": "sonar-pro", "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30,
        "search_context_size": "low", "cost": {"request_cost": 0.006, "total_cost": 0.306}}}), {"input": 20, "output": 10}),
    "grok, reasoning beside": (json.dumps({**CHAT, "model": "grok-4", "usage": {"prompt_tokens": 20, "completion_tokens": 6, "total_tokens": 30,
        "completion_tokens_details": {"reasoning_tokens": 4}}}), {"input": 20, "output": 6, "reasoning": 4}),
    "an image": (json.dumps({"created": 1790812800, "model": "gpt-image-1", "data": [{"b64_json": SECRET}],
        "usage": {"total_tokens": 120, "input_tokens": 20, "output_tokens": 100, "input_tokens_details": {"text_tokens": 20, "image_tokens": 0}}}),
        {"input": 20, "output_image": 100}),
    "realtime": (json.dumps({"timestamp": AT, "type": "response.done", "response": {"object": "realtime.response", "id": "r", "model": "gpt-realtime",
        "usage": {"total_tokens": 30, "input_tokens": 20, "output_tokens": 10, "input_token_details": {"text_tokens": 8, "audio_tokens": 12, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 4, "audio_tokens": 6}}}}), {"input": 8, "input_audio": 12, "output": 4, "output_audio": 6}),
    "cohere": (json.dumps({"id": "x", "timestamp": AT, "model": "command-a-03-2025", "usage": {
        "billed_units": {"input_tokens": 20, "output_tokens": 10}, "tokens": {"input_tokens": 90, "output_tokens": 12}}}), {"input": 20, "output": 10}),
    "langsmith": (json.dumps({"id": "run", "run_type": "llm", "start_time": AT, "outputs": {"generations": [[{"message": {"kwargs": {
        "usage_metadata": {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30, "input_token_details": {"cache_read": 5}},
        "response_metadata": {"model_name": "gpt-5.4", "id": "chatcmpl-9"}}}}]]}}), CALL),
    "vercel, result": (json.dumps({"response": {"id": "v", "modelId": "gpt-5.4", "timestamp": AT},
        "usage": {"inputTokens": 20, "outputTokens": 10, "totalTokens": 30, "cachedInputTokens": 5}}), CALL),
}  # fmt: skip


@pytest.mark.parametrize("name", HELD)
def test_answers_are_found_however_a_log_holds_them(tmp_path, name):
    text, want = HELD[name]
    (tmp_path / "app.log").write_text(text)
    frame = fa.read(tmp_path / "app.log", format="auto")
    assert dict(zip(frame["meter"], frame["quantity"], strict=True)) == {m: D(n) for m, n in want.items()} | {
        "requests": D(1)
    }
    assert SECRET not in frame.to_csv()


def test_a_stream_without_its_end_is_told_and_mixed_ones_are_refused(tmp_path):
    reader = fa.providers.collecting.connector("responses", files=[str(written(tmp_path, STREAM[0], OPENAI))])
    frame = reader.usage(fa.providers.collecting.ALWAYS)
    assert (frame["meter"] == "requests").sum() == 2
    assert any("1 streamed messages in" in note and "state no final count" in note for note in reader.notes)
    other = {**STREAM[0], "message": {**STREAM[0]["message"], "id": "msg_2"}}
    with pytest.raises(DataError, match="document 4: the events of several streamed messages are mixed"):
        fa.read(written(tmp_path, STREAM[0], other, STREAM[2], STREAM[2]), format="responses")
