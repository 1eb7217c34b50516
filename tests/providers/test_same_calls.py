"""The same three calls, told by five instrumentations, a gateway and the providers' own answers: the same meters, each call once.

What each writes is worked out by hand from its documentation: OpenTelemetry's GenAI conventions count cached tokens inside the
input, OpenLLMetry spells them with underscores, OpenInference has names of its own and the answer's id in `output.value`.
"""

from __future__ import annotations

import base64
import json
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.periods import Window
from finops_ai.providers.collecting import connector

OCTOBER = Window.month("2026-10")
AT, NANO = "2026-10-05T10:00:00Z", 1791194400 * 10**9
SECRET = "SECRET-TEXT"
# id, provider, model, input without cache, read, written, answer without reasoning, reasoning
CHAT = ("chatcmpl-1", "openai", "gpt-5.4-2026-03-05", 976, 1024, 0, 200, 100)
CLAUDE = ("msg_1", "anthropic", "claude-sonnet-4-6", 10, 500, 200, 70, 0)
RESPONSE = ("resp_1", "openai", "gpt-5.4", 30, 20, 0, 6, 4)
CALLS = (CHAT, CLAUDE, RESPONSE)
#: meters of each call, by hand from the table above; an hour's cache isn't used, so what is written is kept five minutes
TRUTH = {
    "chatcmpl-1": {"input": D(976), "cache_read": D(1024), "output": D(200), "reasoning": D(100), "requests": D(1)},
    "msg_1": {"input": D(10), "cache_read": D(500), "cache_write_5m": D(200), "output": D(70), "requests": D(1)},
    "resp_1": {"input": D(30), "cache_read": D(20), "output": D(6), "reasoning": D(4), "requests": D(1)},
}


#: spans that don't say how long what was written is kept say so: the meter is the one without a time
UNTIMED = {
    name: {{"cache_write_5m": "cache_write"}.get(m, m): n for m, n in counts.items()} for name, counts in TRUTH.items()
}


def attribute(name, value):
    kind = {int: "intValue", float: "doubleValue", str: "stringValue"}[type(value)]
    return {"key": name, "value": {kind: str(value) if kind == "intValue" else value}}


def document(spans, scope):
    """One OTLP JSON document; every span in a trace of its own, as separate tracers leave them."""
    made = [
        {"traceId": f"{scope.encode().hex():0<32}"[:31] + str(n), "spanId": f"{scope.encode().hex():0<16}"[:15] + str(n), "name": "call", "kind": 3,
         "startTimeUnixNano": str(NANO), "endTimeUnixNano": str(NANO + 10**9), "attributes": [attribute(*pair) for pair in span.items()]}
        for n, span in enumerate(spans)
    ]  # fmt: skip
    resource = {"attributes": [attribute("service.name", "shop")]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": scope}, "spans": made}]}]}


def conventions(call):
    name, provider, model, fresh, read, write, answer, thought = call
    return {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": model, "gen_ai.response.model": model,
        "gen_ai.response.id": name, "gen_ai.usage.input_tokens": fresh + read + write, "gen_ai.usage.output_tokens": answer + thought,
        "gen_ai.usage.cache_read.input_tokens": read, "gen_ai.usage.cache_creation.input_tokens": write,
        "gen_ai.usage.reasoning.output_tokens": thought, "gen_ai.input.messages": SECRET,
    }  # fmt: skip


def with_times(call):
    """The conventions, with the attribute that tells how long what was written is kept."""
    return conventions(call) | ({"gen_ai.usage.cache_creation.ephemeral_5m_input_tokens": call[5]} if call[5] else {})


def before_them(call):
    """The conventions before their renames: gen_ai.system, prompt and completion tokens."""
    name, provider, model, fresh, read, write, answer, thought = call
    return {
        "gen_ai.operation.name": "chat", "gen_ai.system": provider, "gen_ai.request.model": model, "gen_ai.response.model": model, "gen_ai.response.id": name,
        "gen_ai.usage.prompt_tokens": fresh + read + write, "gen_ai.usage.completion_tokens": answer + thought,
        "gen_ai.usage.cache_read_input_tokens": read, "gen_ai.usage.cache_creation_input_tokens": write,
        "gen_ai.usage.details.reasoning_tokens": thought,
    }  # fmt: skip


def openllmetry(call):
    name, provider, model, fresh, read, write, answer, thought = call
    counts = (
        {"gen_ai.usage.cache_read_input_tokens": read, "gen_ai.usage.cache_creation_input_tokens": write}
        if read or write
        else {}
    )
    return {
        "llm.request.type": "chat", "gen_ai.system": provider.title(), "gen_ai.request.model": model, "gen_ai.response.model": model,
        "gen_ai.response.id": name, "gen_ai.usage.input_tokens": fresh + read + write, "gen_ai.usage.output_tokens": answer + thought,
        "llm.usage.total_tokens": fresh + read + write + answer + thought, **counts, **({"gen_ai.usage.reasoning_tokens": thought} if thought else {}),
        "gen_ai.prompt.0.content": SECRET, "gen_ai.completion.0.content": SECRET,
    }  # fmt: skip


def openinference(call):
    name, provider, model, fresh, read, write, answer, thought = call
    prompt, out = fresh + read + write, answer + thought
    return {
        "openinference.span.kind": "LLM", "llm.system": provider, "llm.provider": provider, "llm.model_name": model,
        "llm.token_count.prompt": prompt, "llm.token_count.completion": out, "llm.token_count.total": prompt + out,
        "llm.token_count.prompt_details.cache_read": read, "llm.token_count.prompt_details.cache_write": write,
        "llm.token_count.completion_details.reasoning": thought, "input.value": SECRET, "output.value": json.dumps({"id": name, "text": SECRET}),
    }  # fmt: skip


def answer_of(call):
    """The provider's own answer."""
    name, _, model, fresh, read, write, answer, thought = call
    if name.startswith("msg"):
        usage = {"input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": write, "output_tokens": answer + thought,
                 "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0}}  # fmt: skip
        return {
            "id": name,
            "type": "message",
            "model": model,
            "content": [{"type": "text", "text": SECRET}],
            "usage": usage,
        }
    total = fresh + read + answer + thought
    if name.startswith("resp"):
        usage = {"input_tokens": fresh + read, "input_tokens_details": {"cached_tokens": read}, "output_tokens": answer + thought,
                 "output_tokens_details": {"reasoning_tokens": thought}, "total_tokens": total}  # fmt: skip
        return {"id": name, "object": "response", "created_at": NANO // 10**9, "model": model, "usage": usage}
    usage = {"prompt_tokens": fresh + read, "completion_tokens": answer + thought, "total_tokens": total,
             "prompt_tokens_details": {"cached_tokens": read}, "completion_tokens_details": {"reasoning_tokens": thought}}  # fmt: skip
    return {"id": name, "object": "chat.completion", "created": NANO // 10**9, "model": model, "usage": usage}


def gateway(call):
    """A row of LiteLLM's spend log."""
    name, provider, model, fresh, read, write, answer, thought = call
    prompt, out = fresh + read + write, answer + thought
    usage = {
        "prompt_tokens": prompt, "completion_tokens": out, "total_tokens": prompt + out, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": write, "prompt_tokens_details": {"cached_tokens": read, "cache_creation_tokens": write,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0}},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }  # fmt: skip
    return {
        "request_id": name, "call_type": "acompletion", "startTime": "2026-10-05 10:00:00+00:00", "endTime": "2026-10-05 10:00:01+00:00",
        "model": model, "custom_llm_provider": provider, "api_key": "hash", "spend": 0.01, "prompt_tokens": prompt, "completion_tokens": out,
        "total_tokens": prompt + out, "metadata": json.dumps({"usage_object": usage}), "messages": SECRET,
    }  # fmt: skip


def protobuf(found):
    """The same document in OTLP's binary form."""
    from google.protobuf.json_format import ParseDict
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

    def with_ids(value):
        if isinstance(value, dict):
            ids = ("traceId", "spanId", "parentSpanId")
            return {
                k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else with_ids(v) for k, v in value.items()
            }
        return [with_ids(v) for v in value] if isinstance(value, list) else value

    return ParseDict(with_ids(found), TracesData()).SerializeToString()


def lines(rows):
    return "\n".join(map(json.dumps, rows)).encode() + b"\n"


SPANS = {
    "with times": with_times,
    "conventions": conventions,
    "before them": before_them,
    "openllmetry": openllmetry,
    "openinference": openinference,
}
#: who tells -> connector, file and its bytes
TOLD = {
    **{name: ("otel", f"{number}.jsonl", lambda tell=tell, name=name: lines([document(map(tell, CALLS), name)])) for number, (name, tell) in enumerate(SPANS.items())},
    "protobuf": ("otel", "spans.pb", lambda: protobuf(document(map(conventions, CALLS), "binary"))),
    "litellm": ("litellm", "spend.jsonl", lambda: lines(map(gateway, CALLS))),
    "answers": ("responses", "answers.jsonl", lambda: lines([{"timestamp": AT, "response": answer_of(call)} for call in CALLS])),
}  # fmt: skip


def read(folder, *names):
    files = []
    for name in names:
        kind, file, make = TOLD[name]
        (folder / file).write_bytes(make())
        files.append(str(folder / file))
    reader = connector(kind, files=files)
    return reader.usage(OCTOBER), reader


def by_call(frame):
    return {name: dict(zip(rows["meter"], rows["quantity"], strict=True)) for name, rows in frame.groupby("request_id")}


@pytest.mark.parametrize("name", TOLD)
def test_each_tells_the_same_meters(tmp_path, name):
    frame, _ = read(tmp_path, name)
    assert by_call(frame) == (UNTIMED if (name in SPANS and name != "with times") or name == "protobuf" else TRUTH)
    assert dict(zip(frame["request_id"], zip(frame["provider"], frame["model"], strict=True), strict=True)) == {
        call[0]: call[1:3] for call in CALLS
    }
    assert set(frame["service_tier"]) == {"standard"}
    assert SECRET not in frame.to_csv()


def test_all_together_count_each_call_once(tmp_path):
    frame, reader = read(tmp_path, *SPANS, "protobuf")
    assert by_call(frame) == TRUTH
    # of the spans of one call the one that states most counts holds: the one with times
    assert any("15 spans tell of calls that another instrumentation told of" in note for note in reader.notes)


def workspace_of(folder, *names, without=""):
    """A workspace with a connection for each of these, in this order."""
    sections = []
    for name in names:
        kind, file, make = TOLD[name]
        (folder / file).write_bytes(make())
        sections.append(
            f'[providers."{name}"]\nconnector = "{kind}"\nfiles = ["{file}"]\nenabled = {str(name != without).lower()}'
        )
    (folder / "finops.toml").write_text(
        "[workspace]\n" + "\n".join(sections) + '\n[dimensions.team]\ndefault = "nobody"\n', "utf-8"
    )
    return fa.open(folder)


@pytest.mark.long
@pytest.mark.parametrize("order", [("litellm", "with times", "answers"), ("with times", "answers", "litellm")])
def test_connections_of_one_workspace_count_each_call_once(tmp_path, order):
    ws = workspace_of(tmp_path, *order)
    outcomes = {outcome.connection: outcome for outcome in ws.collect(OCTOBER)}
    assert by_call(ws.tokens("2026-10")) == by_call(ws.allocated("2026-10")) == TRUTH
    assert [name for name, outcome in outcomes.items() if outcome.tokens] == [order[0]]
    # 976+1024+200+100, 10+500+200+70 and 30+20+6+4 tokens of what the two others tell are left out, and said
    (left,) = outcomes[order[1]].left_out
    assert (left.amount, left.unit) == (3140, "tokens")
    assert left.reason == f"counted by {order[0]} (3 calls); kept beside the usage"
    assert sum(ws.lake.read("told")["quantity"][ws.lake.read("told")["unit"] == "tokens"]) == 2 * 3140
    assert not any(outcome.changed for outcome in ws.collect(OCTOBER))


@pytest.mark.long
def test_a_connection_that_comes_later_and_stands_first_takes_the_calls_over(tmp_path):
    ws = workspace_of(tmp_path, "litellm", "with times", without="litellm")
    ws.collect(OCTOBER)
    assert set(ws.tokens("2026-10")["source"]) == {"log"}
    ws = workspace_of(tmp_path, "litellm", "with times")
    (outcome,) = ws.collect(OCTOBER, ["litellm"])
    assert by_call(ws.tokens("2026-10")) == TRUTH
    assert set(ws.tokens("2026-10")["source"]) == {"gateway"}
    assert outcome.notes[0] == "3 calls are told by with times, too; they count here."
    # what it no longer tells counts by the other one again
    (tmp_path / TOLD["litellm"][1]).write_bytes(lines([gateway(CHAT)]))
    ws.collect(OCTOBER, ["litellm"])
    assert by_call(ws.tokens("2026-10")) == TRUTH
    assert len(set(ws.tokens("2026-10")["source"])) == 2


def test_ids_that_anybody_could_count_up_are_calls_of_their_own(tmp_path):
    for name, tokens in (("a", [10, 20]), ("b", [10, 30])):
        rows = "\n".join(f"{n},2026-10-0{n}T10:00:00Z,gpt-5.4,{count}" for n, count in enumerate(tokens, 1))
        (tmp_path / f"{name}.csv").write_text(f"id,time,model,input_tokens\n{rows}\n")
    mapping = """
[columns]
request_id = "id"
charge_period_start = "time"
model = "model"
[constants]
provider = "openai"
billing_account_id = "x"
[[usage]]
requests = 1
meters = { input = "input_tokens" }
"""
    (tmp_path / "m.toml").write_text(mapping)
    (tmp_path / "finops.toml").write_text(
        "[workspace]\n"
        + "".join(f'[providers.{n}]\nconnector = "csv"\nfiles = ["{n}.csv"]\nmapping = "m.toml"\n' for n in "ab")
        + '[dimensions.team]\ndefault = "nobody"\n'
    )
    ws = fa.open(tmp_path)
    outcomes = ws.collect(OCTOBER)
    assert [outcome.error for outcome in outcomes] == [None, None]
    # 1 is ten tokens at the same second in both and may well be one call; 2 is another call in each
    assert sorted(ws.tokens("2026-10")["quantity"][ws.tokens("2026-10")["meter"] == "input"]) == [10, 20, 30]
