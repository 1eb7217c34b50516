"""Files as strangers have them, each of the same three calls: other languages, scripts, clocks, sheets, streams and archives."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import json
import zipfile

import pytest

import finops_ai as fa
from finops_ai.errors import DataError, FinopsError
from finops_ai.providers.recognising import recognise
from finops_ai.providers.starting import first_mapping
from tests.providers.test_odd_layouts import book as workbook

#: start, model, fresh input, input from the cache, output
CALLS = [
    ("2026-09-29T22:15:30Z", "gpt-5.4", 1234, 5402, 1050),
    ("2026-09-30T13:05:00Z", "gpt-5.4-mini", 12000, 0, 2001),
    ("2026-10-02T00:00:59Z", "claude-sonnet-4-6", 7, 1000, 999000),
]
TRUTH = {
    (at, meter): count
    for at, _, fresh, cached, out in CALLS
    for meter, count in (("input", fresh), ("cache_read", cached), ("output", out))
    if count
}
EN = ["timestamp", "model", "input_tokens", "cached_input_tokens", "output_tokens"]
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")


def moment(at):
    return dt.datetime.fromisoformat(at.replace("Z", "+00:00"))


def table(names, clock, count=str, by=",", ends="\n", above=""):
    """A text table; every count is written by `count`, the time by `clock`, the input with its cached part."""
    lines = [
        by.join([clock(moment(at)), model, count(fresh + cached), count(cached), count(out)])
        for at, model, fresh, cached, out in CALLS
    ]
    return above + ends.join([by.join(names), *lines]) + ends


def grouped(sign):
    return lambda n: f"{n:,}".replace(",", sign)


def lakhs(n):
    head, tail = str(n)[:-3], str(n)[-3:]
    pairs = []
    while head:
        head, pairs = head[:-2], [head[-2:], *pairs]
    return '"' + ",".join([*pairs, tail]) + '"'


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def chat(number, at, model, fresh, cached, out):
    usage = {
        "prompt_tokens": fresh + cached,
        "completion_tokens": out,
        "total_tokens": fresh + cached + out,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": int(moment(at).timestamp()), "model": model, "choices": [],
        "usage": usage,
    }  # fmt: skip


CHATS = [chat(n, *call) for n, call in enumerate(CALLS)]


def pieces(answer):
    own = {name: answer[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    text = {"choices": [{"delta": {"content": "x"}}], "usage": None}
    return [own | text, own | {"choices": [], "usage": answer["usage"]}]


def mixed_streams():
    a, b, c = map(pieces, CHATS)
    return lines([a[0], b[0], c[0], b[1], a[1], c[1]])


def claude_events():
    rows = []
    for n, (at, model, fresh, cached, out) in enumerate(CALLS):
        usage = {
            "input_tokens": fresh,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
        message = {"id": f"msg_{n}", "type": "message", "model": model, "content": [], "usage": usage}
        rows += [
            {"timestamp": at, "type": "message_start", "message": message},
            {"timestamp": at, "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
            {"timestamp": at, "type": "message_delta", "delta": {}, "usage": {"output_tokens": out}},
            {"timestamp": at, "type": "message_stop"},
        ]
    return lines(rows)


def response_events():
    out = ""
    for n, (at, model, fresh, cached, written) in enumerate(CALLS):
        usage = {
            "input_tokens": fresh + cached, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": fresh + cached + written,
        }  # fmt: skip
        response = {
            "id": f"resp_{n}",
            "object": "response",
            "created_at": int(moment(at).timestamp()),
            "model": model,
            "usage": usage,
        }
        out += (
            f"event: response.completed\ndata: {json.dumps({'type': 'response.completed', 'response': response})}\n\n"
        )
    return out


def generations():
    """OpenRouter's own record of a generation: the maker's counts are billed, not those it counted itself."""
    return lines(
        {"data": {
            "id": f"gen-{n}", "model": model, "created_at": at, "tokens_prompt": fresh + cached - 3, "tokens_completion": out - 2,
            "native_tokens_prompt": fresh + cached, "native_tokens_completion": out, "native_tokens_cached": cached,
            "native_tokens_reasoning": 0, "total_cost": 0.01, "provider_name": "OpenAI",
        }}
        for n, (at, model, fresh, cached, out) in enumerate(CALLS)
    )  # fmt: skip


def spend_log():
    """LiteLLM's table as `\\copy ... csv header` writes it."""
    text = "request_id,call_type,api_key,spend,total_tokens,prompt_tokens,completion_tokens,startTime,endTime,model,custom_llm_provider,metadata\n"
    for n, (at, model, fresh, cached, out) in enumerate(CALLS):
        usage = chat(n, at, model, fresh, cached, out)["usage"]
        metadata = json.dumps({"usage_object": usage}).replace('"', '""')
        clock = at.replace("T", " ").replace("Z", "")
        text += f'r{n},acompletion,k,0.01,{fresh + cached + out},{fresh + cached},{out},{clock},{clock},{model},openai,"{metadata}"\n'
    return text


def langchain():
    return lines(
        {"time": at, "output": {
            "type": "ai", "content": "x", "id": f"lc-{n}", "response_metadata": {"model_name": model, "model_provider": "openai"},
            "usage_metadata": {
                "input_tokens": fresh + cached, "output_tokens": out, "total_tokens": fresh + cached + out,
                "input_token_details": {"cache_read": cached},
            },
        }}
        for n, (at, model, fresh, cached, out) in enumerate(CALLS)
    )  # fmt: skip


def vercel():
    return lines(
        {"usage": {
            "inputTokens": fresh + cached, "inputTokenDetails": {"noCacheTokens": fresh, "cacheReadTokens": cached}, "outputTokens": out,
            "totalTokens": fresh + cached + out,
        }, "response": {"id": f"v{n}", "modelId": model, "timestamp": at.replace("Z", ".000Z")}, "finishReason": "stop"}
        for n, (at, model, fresh, cached, out) in enumerate(CALLS)
    )  # fmt: skip


def vercel_usage():
    """What an onFinish callback logs: the usage beside names of its own, without an answer around it."""
    return lines(
        {"time": at, "modelId": model, "usage": {
            "inputTokens": fresh + cached, "cachedInputTokens": cached, "outputTokens": out, "totalTokens": fresh + cached + out,
        }}
        for at, model, fresh, cached, out in CALLS[:2]
    ) + lines(
        {"time": at, "modelId": model, "usage": {
            "inputTokens": fresh + cached, "inputTokenDetails": {"noCacheTokens": fresh, "cacheReadTokens": cached}, "outputTokens": out,
        }}
        for at, model, fresh, cached, out in CALLS[2:]
    )  # fmt: skip


def archive():
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as zipped:
        zipped.writestr("logs/README.txt", "What these logs are, told to people.\n")
        zipped.writestr("logs/2026/a.jsonl.gz", gzip.compress(lines(CHATS[:1]).encode()))
        zipped.writestr("logs/b.jsonl", lines(CHATS[1:]))
    return held.getvalue()


def spanning_header(book):
    cover = book.active
    cover.append(["AI usage, summary"])
    cover.merge_cells("A1:D1")
    cover.append(["Total", 3])
    sheet = book.create_sheet("Detail")
    sheet.append(["AI usage, detail"])
    sheet.merge_cells("A1:E1")
    sheet.append(["Timestamp", "Model", "Tokens", None, None])
    sheet.merge_cells("C2:E2")
    sheet.append([None, None, "Input", "Cached", "Output"])
    for at, model, fresh, cached, out in CALLS:
        sheet.append([moment(at).replace(tzinfo=None), model, fresh + cached, cached, out])


def cells(calls):
    return [[at, model, fresh + cached, cached, out] for at, model, fresh, cached, out in calls]


def sheet_a_month(book, whole=False):
    book.active.title = "Sep"
    for row in [EN, *cells(CALLS[:2])]:
        book.active.append(row)
    for title, calls in (("Oct", CALLS[2:]), *([("All", CALLS)] if whole else [])):
        sheet = book.create_sheet(title)
        for row in [EN, *cells(calls)]:
            sheet.append(row)


FILES = {
    "uso.csv": table(["Data/Hora (UTC)", "Modelo", "Tokens de entrada", "Tokens em cache", "Tokens de saída"],
                     lambda t: t.strftime("%d/%m/%Y %H:%M:%S"), grouped("."), ";").encode("cp1252"),
    "gebruik.tsv": table(["Tijdstip", "Model", "Invoertokens", "Waarvan gecachet", "Uitvoertokens"], dt.datetime.isoformat, by="\t").encode("utf-16-le"),
    "be.csv": b"\xfe\xff" + table(EN, dt.datetime.isoformat).encode("utf-16-be"),
    "conso.csv": table(["Horodatage", "Modèle", "Jetons d'entrée", "Jetons en cache", "Jetons de sortie"],
                       lambda t: t.strftime("%d/%m/%Y %H:%M:%S"), grouped("\u202f"), "|"),
    "отчет.csv": table(["Дата и время", "Модель", "Входные токены", "Кэшированные токены", "Выходные токены"],
                       lambda t: t.strftime("%d.%m.%Y %H:%M:%S"), grouped("\u00a0"), ";").encode("cp1251"),
    "ch.csv": table(["Zeitpunkt", "Modell", "Eingabe-Token", "davon Cache", "Ausgabe-Token"],
                    lambda t: t.strftime("%d.%m.%Y %H:%M:%S"), grouped("’"), ";"),
    "svensk.csv": table(["Tidpunkt", "Modell", "Indatatoken", "Cachade token", "Utdatatoken"],
                        lambda t: t.strftime("%Y-%m-%d %H:%M:%S,000"), grouped("\u00a0"), ";"),
    "用量.csv": table(["时间", "模型", "输入Token数", "缓存命中Token数", "输出Token数"], lambda t: t.strftime("%Y-%m-%d %H:%M:%S")).encode("gb18030"),
    "사용량.csv": table(["일시", "모델", "입력 토큰", "캐시된 토큰", "출력 토큰"],
                      lambda t: t.strftime("%Y. %m. %d. ") + ("오전" if t.hour < 12 else "오후") + t.strftime(" %I:%M:%S")).encode("cp949"),
    "arabic digits.csv": table(EN, dt.datetime.isoformat, lambda n: str(n).translate(ARABIC)),
    "lakhs.csv": table(EN, dt.datetime.isoformat, lakhs),
    "powers.csv": table(EN, dt.datetime.isoformat, lambda n: f"{n:.6E}"),
    "offset.csv": table(EN, lambda t: (t + dt.timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S+0530")),
    "two clocks.csv": table(["Date", "Time", *EN[1:]], lambda t: t.strftime("%m/%d/%Y,%I:%M:%S %p")),
    "short names.csv": table(["When", "Model", "In", "Cached", "Out"], lambda t: t.strftime("%d-%b-%Y %H:%M:%S"), by="\t"),
    "carriage returns.csv": table(EN, dt.datetime.isoformat, ends="\r"),
    "told delimiter.csv": table(EN, dt.datetime.isoformat, by=";", above="sep=;\n"),
    "micros.jsonl": lines({"ts_us": str(int(moment(a).timestamp()) * 10**6), "model_name": m, "tokens_in": i + c, "tokens_cached": c, "tokens_out": o} for a, m, i, c, o in CALLS),
    "camels.json": json.dumps([{"requestTime": a, "modelName": m, "usage": {"promptTokens": i + c, "completionTokens": o, "promptTokensDetails": {"cachedTokens": c}}} for a, m, i, c, o in CALLS]),
    "gemini.json": json.dumps([{"responseId": f"g{a}", "createTime": a, "modelVersion": "gemini-2.5-pro", "usageMetadata": {
        "promptTokenCount": i + c, "cachedContentTokenCount": c, "candidatesTokenCount": o, "totalTokenCount": i + c + o}} for a, _, i, c, o in CALLS]),
    "mixed streams.jsonl": mixed_streams(),
    "torn.jsonl": lines(CHATS) + '{"id": "chatcmpl-9", "object": "chat.comp',
    "torn table.jsonl": lines({"time": a, "model": m, "input_tokens": i + c, "cached_tokens": c, "output_tokens": o} for a, m, i, c, o in CALLS) + '{"time": "2026-10-',
    "claude events.jsonl": claude_events(),
    "events.log": response_events(),
    "generations.jsonl": generations(),
    "spend.csv": spend_log(),
    "langchain.jsonl": langchain(),
    "vercel.jsonl": vercel(),
    "seconds with a comma.csv": table(EN, lambda t: f"{t.timestamp():.3f}".replace(".", ","), by=";", above="# exported by a gateway\n"),
    "vercel usage.jsonl": vercel_usage(),
    "logs.zip": archive(),
    "spanning.xlsx": workbook(spanning_header),
    "months.xlsx": workbook(sheet_a_month),
    "months and all.xlsx": workbook(lambda book: sheet_a_month(book, whole=True)),
}  # fmt: skip


def read(tmp_path, name, content):
    """The frame of a file, through the mapping written for it where it needs one."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if form := recognise([path]):
        return fa.read(path, format=form)
    (tmp_path / "m.toml").write_text(first_mapping(path).text, encoding="utf-8")
    return fa.read(path, format="table", mapping=tmp_path / "m.toml")


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_stranger_is_read_right_as_it_comes(tmp_path, name):
    frame = read(tmp_path, name, FILES[name])
    tokens = frame[(frame["unit"] == "tokens").to_numpy(bool)]
    at = tokens["charge_period_start"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert dict(zip(zip(at, tokens["meter"], strict=True), tokens["quantity"], strict=True)) == TRUTH


def notes_of(tmp_path, name):
    from finops_ai.providers.collecting import ALWAYS, connector

    (tmp_path / name).write_bytes(FILES[name] if isinstance(FILES[name], bytes) else FILES[name].encode())
    (tmp_path / "m.toml").write_text(first_mapping(tmp_path / name).text, encoding="utf-8")
    reader = connector("table", files=[str(tmp_path / name)], mapping=tmp_path / "m.toml")
    reader.usage(ALWAYS)
    return " ".join(reader.notes)


def test_what_is_put_together_or_left_out_is_told(tmp_path):
    assert "the sheets Sep, Oct have the same columns: read as one table" in notes_of(tmp_path, "months.xlsx")
    assert "the sheets Sep, Oct are left out" in notes_of(tmp_path, "months and all.xlsx")
    assert "The last line of torn table.jsonl (4) is cut short: left out" in notes_of(tmp_path, "torn table.jsonl")


def test_a_line_torn_inside_a_log_is_refused(tmp_path):
    torn = lines(CHATS[:1]) + '{"id": "chatcmpl-9", "obj\n' + lines(CHATS[1:])
    with pytest.raises(DataError, match="line 2, column 22: not whole JSON"):
        read(tmp_path, "log.jsonl", torn)


def test_a_count_under_a_name_nobody_knows_is_asked_about(tmp_path):
    text = "time,model,prompt_tokens,answer_len,latency_ms\n2026-10-01T00:00:00Z,gpt-5.4,100,20,913\n"
    (tmp_path / "log.csv").write_text(text)
    guess = first_mapping(tmp_path / "log.csv")
    assert any(
        "No column was recognised as output, and 'answer_len' holds whole numbers" in doubt for doubt in guess.doubts
    )
    (tmp_path / "log.csv").write_text("time,model,cached,took\n2026-10-01T00:00:00Z,gpt-5.4,100,20\n")
    (tmp_path / "m.toml").write_text(first_mapping(tmp_path / "log.csv").text)
    with pytest.raises(FinopsError, match="the column '\\?' is missing"):
        fa.read(tmp_path / "log.csv", format="csv", mapping=tmp_path / "m.toml")
