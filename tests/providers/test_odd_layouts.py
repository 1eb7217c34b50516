"""Tables and JSON in the layouts programs leave behind: each read right with the mapping written for it, or a sentence."""

from __future__ import annotations

import bz2
import datetime as dt
import io
import json
import lzma
import tarfile
import tomllib
import zipfile
from decimal import Decimal as D

import openpyxl
import pandas as pd
import pytest

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.providers.collecting import ALWAYS, connector
from finops_ai.providers.recognising import recognise
from finops_ai.providers.starting import first_mapping
from tests.providers.test_odd_files import CALLS, STARTS, TRUTH

MODEL = "gpt-5.4"
DAYS = [f"{start[:10]}T00:00:00+00:00" for start in STARTS]
EN = ["timestamp", "model", "prompt_tokens", "cached_tokens", "completion_tokens"]
TOTAL = ("Total", "", 18401, 1850, 1972)


def moment(day, clock):
    return dt.datetime.fromisoformat(f"{day}T{clock}+00:00")


def rows(write=lambda day, clock: f"{day}T{clock}Z"):
    return [(write(day, clock), MODEL, i, c, o) for day, clock, i, c, o in CALLS]


def csv(body, head=EN, by=","):
    return "\n".join([by.join(head), *(by.join(map(str, row)) for row in body)]) + "\n"


def clocked(form):
    return lambda: csv(rows(lambda day, clock: moment(day, clock).strftime(form)))


def objects(names=EN, body=None):
    return [dict(zip(names, row, strict=True)) for row in body or rows()]


def lines(found):
    return "\n".join(map(json.dumps, found)) + "\n"


def long_form():
    kinds = [
        (start, MODEL, f"r{n}", kind, count)
        for n, (start, _, i, c, o) in enumerate(rows())
        for kind, count in (("input", i - c), ("cached_input", c), ("output", o), ("total", i + o))
    ]
    return csv(kinds, ["timestamp", "model", "request_id", "token_type", "tokens"])


def drawn(edge, rule):
    head = f"{edge}{' | '.join(EN)}{edge}\n{rule}\n"
    return head + "".join(f"{edge}{' | '.join(map(str, row))}{edge}\n" for row in rows())


def packed_tar():
    out, data = io.BytesIO(), csv(rows()).encode()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("log/usage.csv")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def book(fill):
    made, out = openpyxl.Workbook(), io.BytesIO()
    fill(made)
    made.save(out)
    return out.getvalue()


def cover_and_data(made):
    made.active.append(["Usage report"])
    made.active.append(["made by", "operations"])
    sheet = made.create_sheet("Data")
    sheet.append(EN)
    for day, clock, i, c, o in CALLS:
        sheet.append([f"{day} {clock}", MODEL, f"{i:,}", f"{c:,}", f"{o:,}"])
    sheet.append(list(TOTAL))


def feather():
    out = io.BytesIO()
    pd.DataFrame(objects()).to_feather(out)
    return out.getvalue()


JAPANESE = ["日時", "モデル", "入力トークン", "キャッシュ", "出力トークン"]
POLISH = ["Data", "Model", "Tokeny wejściowe", "Tokeny z pamięci podręcznej", "Tokeny wyjściowe"]
MONGO = [
    {"_id": {"$oid": f"a{i}"}, "ts": {"$date": f"{d}T{t}Z"}, "model": MODEL,
     "usage": {"prompt_tokens": {"$numberLong": str(i)}, "cached_tokens": {"$numberInt": str(c)}, "completion_tokens": o}}
    for d, t, i, c, o in CALLS
]  # fmt: skip
ELASTIC = {
    "took": 3,
    "hits": {"total": {"value": 3}, "hits": [{"_id": str(n), "_source": row} for n, row in enumerate(objects())]},
}

#: file name -> its text or bytes
FILES = {
    "total.csv": lambda: csv([*rows(), TOTAL]),
    "blank total.csv": lambda: csv([*rows(), ("", "", 18401, 1850, 1972)]),
    "put together.csv": lambda: csv(rows()[:1]) + csv(rows()[1:]),
    "footer.csv": lambda: csv(rows()) + "\nExported by the usage page\n",
    "no header.csv": lambda: csv(rows()).split("\n", 1)[1],
    "texts in it.csv": lambda: csv([(a, b, '"x, y\n""z"" ;\n\n."', *n) for a, b, *n in rows()], [*EN[:2], "prompt", *EN[2:]]),
    "backslashes.csv": lambda: csv([(a, b, '"said \\"hi, you\\""', *n) for a, b, *n in rows()], [*EN[:2], "note", *EN[2:]]),
    "single quotes.csv": lambda: csv([[f"'{cell}'" for cell in row] for row in rows()], [f"'{name}'" for name in EN]),
    "carets.csv": lambda: csv(rows(), by="^"),
    "long.csv": long_form,
    "thousands.csv": lambda: csv(
        [(a, b, *(n / 1000 for n in counts)) for a, b, *counts in rows()],
        ["timestamp", "model", "Input tokens (K)", "Cached tokens (K)", "Output tokens (K)"],
    ),
    "units.csv": lambda: csv([(a, b, *(f"{n} tokens" for n in counts)) for a, b, *counts in rows()]),
    "fresh.csv": lambda: csv([(a, b, i - c, c, o) for a, b, i, c, o in rows()], [*EN[:2], "fresh_tokens", "cache_hit_tokens", "generated_tokens"]),
    "not cached.csv": lambda: csv([(a, b, i - c, c, o) for a, b, i, c, o in rows()], [*EN[:2], "input_non_cached", "input_cached", "output"]),
    "javascript.csv": clocked("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)"),
    "unix.csv": clocked("%a %b %e %H:%M:%S UTC %Y"),
    "mail.csv": lambda: csv(rows(lambda d, t: moment(d, t).strftime('"%a, %d %b %Y %H:%M:%S GMT"'))),
    "java.csv": lambda: csv(rows(lambda d, t: (moment(d, t) + dt.timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00[Europe/Paris]"))),
    "gmt.csv": lambda: csv(rows(lambda d, t: (moment(d, t) + dt.timedelta(hours=3)).strftime("%Y-%m-%d %H:%M:%S GMT+3"))),
    "dotnet.jsonl": lambda: lines(objects(body=rows(lambda d, t: f"/Date({int(moment(d, t).timestamp()) * 1000})/"))),
    "日本.csv": lambda: csv(rows(lambda d, t: f"{d[:4]}年{d[5:7]}月{d[8:]}日 {t}"), JAPANESE).encode("cp932"),
    "polska.csv": lambda: csv(rows(lambda d, t: f"{d[8:]}.{d[5:7]}.{d[:4]} {t}"), POLISH, ";").encode("cp1250"),
    "markdown.txt": lambda: drawn("| ", "|---|---|---|---|---|"),
    "psql.txt": lambda: drawn(" ", "-----+-----+-----+-----+-----") + "(3 rows)\n",
    "mysql.txt": lambda: "+---+---+\n" + drawn("| ", "+---+---+") + "+---+---+\n3 rows in set\n",
    "pairs.log": lambda: "".join(f'time={a} level=info msg="a call, done" model={b} prompt_tokens={i} cached_tokens={c} completion_tokens={o}\n' for a, b, i, c, o in rows()),
    "lines.log": lambda: "".join(f"{d} {t},000 INFO usage {json.dumps(dict(zip(EN[1:], (MODEL, *n), strict=True)))}\n" for d, t, *n in CALLS),
    "docker.jsonl": lambda: lines({"log": json.dumps({k: v for k, v in row.items() if k != "timestamp"}), "time": row["timestamp"]} for row in objects()),
    "mongo.jsonl": lambda: lines(MONGO),
    "dynamo.jsonl": lambda: lines({"Item": {k: {"N" if isinstance(v, int) else "S": str(v)} for k, v in row.items()}} for row in objects()),
    "elastic.json": lambda: json.dumps(ELASTIC),
    "deep.json": lambda: json.dumps({"status": "ok", "data": {"page": 1, "items": objects()}}),
    "keyed.json": lambda: json.dumps({f"req-{n}": row for n, row in enumerate(objects())}),
    "columns.json": lambda: json.dumps({name: [row[name] for row in objects()] for name in EN}),
    "pandas.json": lambda: json.dumps({name: {str(n): row[name] for n, row in enumerate(objects())} for name in EN}),
    "split.json": lambda: json.dumps({"columns": EN, "index": [0, 1, 2], "data": [list(row) for row in rows()]}),
    "arrays.json": lambda: json.dumps([EN, *rows()]),
    "arrays.jsonl": lambda: lines([EN, *map(list, rows())]),
    "glued.json": lambda: "".join(map(json.dumps, objects())),
    "pretty.json": lambda: "\n".join(json.dumps(row, indent=2) for row in objects()),
    "commas.jsonl": lambda: "".join(json.dumps(row) + ",\n" for row in objects()),
    "lists.jsonl": lambda: lines([[row] for row in objects()]),
    "nan.json": lambda: json.dumps([{**row, "score": float("nan")} for row in objects()]),
    "utf16.jsonl": lambda: lines(objects()).encode("utf-16"),
    "mark.jsonl": lambda: lines(objects()).encode("utf-8-sig"),
    "python.log": lambda: "\n".join(map(repr, objects())),
    "no time passed.jsonl": lambda: lines({**row, "endTime": row["timestamp"]} for row in objects()),
    "data.tar.gz": packed_tar,
    "data.csv.bz2": lambda: bz2.compress(csv(rows()).encode()),
    "data.csv.xz": lambda: lzma.compress(csv(rows()).encode()),
    "data.feather": feather,
    "cover.xlsx": lambda: book(cover_and_data),
}  # fmt: skip
#: as above, with times that aren't those of the calls
COARSE = {
    "hours.csv": (lambda: csv([(d, int(t[:2]), MODEL, *n) for d, t, *n in CALLS], ["date", "hour", *EN[1:]]),
                  ["2026-10-01T10:00:00+00:00", "2026-10-13T23:00:00+00:00", "2026-10-31T08:00:00+00:00"]),
    "three columns.csv": (lambda: csv([(2026, 10, int(d[8:]), MODEL, *n) for d, _, *n in CALLS], ["year", "month", "day", *EN[1:]]), DAYS),
    "compact.csv": (lambda: csv([(d.replace("-", ""), MODEL, *n) for d, _, *n in CALLS], ["date", *EN[1:]]), DAYS),
    "months.csv": (lambda: csv([("2026-10", MODEL, *n) for _, _, *n in CALLS], ["month", *EN[1:]]), DAYS[:1]),
    "names of months.csv": (lambda: csv([("Oktober 2026", MODEL, *n) for _, _, *n in CALLS], ["Monat", *EN[1:]]), DAYS[:1]),
}  # fmt: skip


def read(folder, name, content):
    """The frame of a file, through the mapping written for it where it needs one, and what was said."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    kind = recognise([path])
    settings = {}
    if not kind:
        mapping = folder / "mapping.toml"
        mapping.write_text(first_mapping(path).text, encoding="utf-8")
        kind, settings = "table", {"mapping": mapping}
    reader = connector(kind, files=[str(path)], **settings)
    return reader.usage(ALWAYS), reader.notes


def sums(frame):
    return frame.groupby("meter")["quantity"].sum().to_dict()


@pytest.mark.parametrize("name", FILES)
def test_a_layout_is_read_right(tmp_path, name):
    frame, _ = read(tmp_path, name, FILES[name]())
    assert sums(frame) == TRUTH
    assert [t.isoformat() for t in sorted(set(frame["charge_period_start"]))] == STARTS


@pytest.mark.parametrize("name", COARSE)
def test_coarse_times_are_read_as_they_stand(tmp_path, name):
    make, starts = COARSE[name]
    frame, _ = read(tmp_path, name, make())
    assert sums(frame) == TRUTH
    assert [t.isoformat() for t in sorted(set(frame["charge_period_start"]))] == starts


def test_a_total_that_disagrees_is_told(tmp_path):
    frame, notes = read(tmp_path, "log.csv", csv([*rows(), ("Summe", "", 20401, 1850, 1972)]))
    assert sums(frame) == TRUTH
    assert notes == [
        "log.csv, row 4: a total, left out (prompt_tokens 20,401 where the rows add up to 18,401, cached_tokens 1,850, "
        "completion_tokens 1,972: a part, or rows are missing)."
    ]


def test_a_row_that_only_lacks_its_time_is_no_total(tmp_path):
    with pytest.raises(DataError, match=r"log.csv, row 2, column 'timestamp': 'None' is no time"):
        read(tmp_path, "log.csv", csv([rows()[0], ("", MODEL, 5, 0, 1)]))


def test_rows_keep_their_numbers_where_others_are_left_out(tmp_path):
    body = csv(rows()[:2]) + csv([*rows()[2:], ("2026-10-31T09:00:00Z", MODEL, -5, 0, 1)])
    with pytest.raises(DataError, match=r"log.csv, row 5, column 'prompt_tokens': '-5' is negative"):
        read(tmp_path, "log.csv", body)


def test_a_file_cut_in_its_last_line_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"may be cut short"):
        read(tmp_path, "log.csv", csv(rows())[:-20])


def test_a_kind_nobody_named_is_refused_once_it_comes(tmp_path):
    (tmp_path / "m.toml").write_text(first_mapping(_written(tmp_path, "a.csv", long_form())).text)
    more = long_form() + f"2026-10-31T09:00:00Z,{MODEL},r9,dream,5\n"
    with pytest.raises(
        DataError, match=r"b.csv, row 13, column 'token_type': 'dream' is a kind of usage that the mapping doesn't name"
    ):
        fa.read(_written(tmp_path, "b.csv", more), format="auto", mapping=tmp_path / "m.toml")


def _written(folder, name, text):
    (folder / name).write_text(text)
    return folder / name


def test_thoughts_beside_the_answer_are_counted_as_the_total_tells(tmp_path):
    head = [
        "timestamp",
        "model",
        "prompt_token_count",
        "candidates_token_count",
        "thoughts_token_count",
        "total_token_count",
    ]
    frame, _ = read(tmp_path, "gemini.csv", csv([("2026-10-01T10:00:00Z", "gemini-2.5-pro", 100, 20, 30, 150)], head))
    assert sums(frame) == {"input": D(100), "output": D(20), "reasoning": D(30), "requests": D(1)}
    inside = csv(
        [("2026-10-01T10:00:00Z", MODEL, 100, 50, 30, 150)],
        [*EN[:3], "completion_tokens", "reasoning_tokens", "total_tokens"],
    )
    frame, _ = read(tmp_path, "openai.csv", inside)
    assert sums(frame) == {"input": D(100), "output": D(50), "requests": D(1)}


def test_an_end_before_its_start_names_the_row(tmp_path):
    body = [(*row, "2026-10-01T09:00:00Z") for row in rows()]
    with pytest.raises(DataError, match=r"log.csv, row 1, column 'endTime': .* is before the start"):
        read(tmp_path, "log.csv", csv(body, [*EN, "endTime"]))


def test_a_table_without_times_takes_the_one_its_mapping_states(tmp_path):
    path = _written(tmp_path, "october.csv", csv([(MODEL, 5402, 1350, 682)], EN[1:]))
    guess = first_mapping(path)
    assert guess.doubts[0].startswith("No column was recognised as charge_period_start")
    text = guess.text.replace('charge_period_start = "?"', "").replace(
        "[constants]", '[constants]\ncharge_period_start = "2026-10-01"'
    )
    frame = fa.read(path, format="auto", mapping=tomllib.loads(text))
    assert sums(frame) == {"input": D(4052), "cache_read": D(1350), "output": D(682), "requests": D(1)}
    assert frame["charge_period_start"].iloc[0].isoformat() == DAYS[0]


def office(kind):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr("content.xml", "<x>a,b</x>")
    return out.getvalue()


@pytest.mark.parametrize(("name", "content", "said"), [
    ("sheet.ods", office("application/vnd.oasis.opendocument.spreadsheet"), "Save it as .xlsx or as CSV"),
    ("export.xls", b"<html><body><table><tr><td>1</td></tr></table></body></html>", "a web page"),
    ("log.sqlite", b"SQLite format 3\0" + bytes(200), "an SQLite database"),
    ("log.pkl", b"\x80\x04\x95abc", "a Python pickle"),
    ("report.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF"),
    ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "a picture"),
    ("some.bin", b"ab" + bytes(range(256)), "no text"),
    ("cut.csv.xz", lzma.compress(csv(rows()).encode())[:-20], "damaged or cut short"),
    ("cut.tar.gz", packed_tar()[:-40], "damaged or cut short"),
])  # fmt: skip
def test_what_is_no_table_gets_a_sentence(tmp_path, name, content, said):
    with pytest.raises(DataError, match=said):
        read(tmp_path, name, content)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_log_line_that_holds_a_separator_is_one_call(tmp_path, sign):
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    answers = [
        {
            "id": f"c{n}",
            "object": "chat.completion",
            "created": 1790848800,
            "model": "gpt-5",
            "said": f"a{sign}b",
            "usage": usage,
        }
        for n in range(3)
    ]
    path = tmp_path / "app.log"
    path.write_text("".join(f"2026-10-01 INFO {json.dumps(a, ensure_ascii=False)}\n" for a in answers), "utf-8")
    frame = fa.read(path, format="responses")
    assert frame.groupby("meter")["quantity"].sum().to_dict() == {"input": 21, "output": 6, "requests": 3}
