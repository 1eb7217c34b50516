"""Files people have: each is read right with the mapping written for it, with at most one edit, and never a thousandfold off."""

from __future__ import annotations

import bz2
import gzip
import json
import zipfile
from decimal import Decimal as D

import openpyxl
import pytest

import finops_ai as fa
from finops_ai.errors import DataError
from finops_ai.providers.starting import first_mapping, preview

# three calls, told by hand: input includes the cached tokens
#        day, clock, input, cached, output
CALLS = [
    ("2026-10-01", "10:00:00", 5402, 1350, 682),
    ("2026-10-13", "23:30:00", 12000, 0, 90),
    ("2026-10-31", "08:15:00", 999, 500, 1200),
]
# 5402 - 1350 + 12000 + 999 - 500; 1350 + 500; 682 + 90 + 1200
TRUTH = {"input": D(16551), "cache_read": D(1850), "output": D(1972), "requests": D(3)}
STARTS = ["2026-10-01T10:00:00+00:00", "2026-10-13T23:30:00+00:00", "2026-10-31T08:15:00+00:00"]
MONTHS = {"01": "01", "13": "13", "31": "31"}


def german(n):
    return f"{n:,}".replace(",", ".")


def lines(header, rows, by):
    return "\n".join([by.join(header), *(by.join(map(str, row)) for row in rows)]) + "\n"


def dmy(day, sep="."):
    y, m, d = day.split("-")
    return sep.join((d, m, y))


def mdy(day):
    y, m, d = day.split("-")
    return f"{m}/{d}/{y}"


EN = ["timestamp", "model", "prompt_tokens", "cached_tokens", "completion_tokens"]


def semicolons():
    head = ["Datum", "Modell", "Abteilung", "Eingabe", "Cache", "Ausgabe"]
    rows = [(f"{dmy(d)} {t}", "gpt-5.4", "Büro", german(i), german(c), german(o)) for d, t, i, c, o in CALLS]
    return lines(head, rows, ";").encode("cp1252")


def preamble():
    head = ["Zeitstempel", "Modell", "Eingabe-Token", "Cache-Token", "Ausgabe-Token"]
    rows = [(f"{d} {t}", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return ("Verbrauch Oktober\n\n" + lines(head, rows, ";")).encode()


def french():
    head = ["Date", "Heure", "Modèle", "Jetons d'entrée", "Jetons en cache", "Jetons de sortie"]
    rows = [
        (dmy(d, "/"), t, "gpt-5.4", f"{i:,}".replace(",", "\u202f"), c, f"{o:,}".replace(",", "\u202f"))
        for d, t, i, c, o in CALLS
    ]
    return lines(head, rows, "\t").encode("utf-16")


def spanish():
    head = ["Fecha", "Modelo", "Tokens de entrada", "Tokens en caché", "Tokens de salida", "Coste"]
    rows = [(f"{dmy(d, '-')} {t}", "gpt-5.4", german(i), german(c), german(o), "0,25") for d, t, i, c, o in CALLS]
    return lines(head, rows, ";").encode()


def american():
    rows = [(f'"{mdy(d)} {t}"', "gpt-5.4", f'"{i:,}"', f'"{c:,}"', f'"{o:,}"') for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def epoch(per):
    def make():
        import datetime as dt

        rows = [
            (int(dt.datetime.fromisoformat(s).timestamp() * per), "gpt-5.4", i, c, o)
            for s, (_, _, i, c, o) in zip(STARTS, CALLS, strict=True)
        ]
        return lines(EN, rows, ",").encode()

    return make


def relative():
    import datetime as dt

    origin = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
    rows = [
        ((dt.datetime.fromisoformat(s) - origin).total_seconds(), "gpt-5.4", i, c, o)
        for s, (_, _, i, c, o) in zip(STARTS, CALLS, strict=True)
    ]
    return lines(["t", *EN[1:]], rows, ",").encode()


def python_log():
    rows = [(f'"{d} {t},000"', "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def month_names():
    names = {"10": "Okt."}
    rows = [(f"{int(d[8:])}. {names[d[5:7]]} 2026 {t[:5]}", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(["Zeit", "Modell", "Eingabe", "Cache", "Ausgabe"], rows, ";").encode("utf-8-sig")


def clock_12():
    said = {"10:00:00": "10:00 AM", "23:30:00": "11:30 PM", "08:15:00": "8:15 AM"}
    rows = [(f'"Oct {int(d[8:])}, 2026, {said[t]}"', "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def apache():
    rows = [(f"{d[8:]}/Oct/2026:{t} +0000", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(EN, rows, "|").encode()


def shifted():
    rows = [(f"{d}T{t}.000+0000", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def json_list():
    return json.dumps(
        [dict(zip(EN, (f"{d}T{t}Z", "gpt-5.4", i, c, o), strict=True)) for d, t, i, c, o in CALLS]
    ).encode()


def json_wrapped():
    rows = [
        {
            "ts": f"{d} {t}",
            "llm": {"model": "gpt-5.4", "usage": {"input_tokens": i, "cached_tokens": c, "output_tokens": o}},
        }
        for d, t, i, c, o in CALLS
    ]
    return json.dumps({"meta": {"page": 1}, "rows": rows}, indent=1).encode()


def json_text():
    rows = [dict(zip(EN, (f"{d}T{t}Z", "gpt-5.4", str(i), str(c), str(o)), strict=True)) for d, t, i, c, o in CALLS]
    return "\n".join(map(json.dumps, rows)).encode()


def floats():
    rows = [(f"{d}T{t}Z", "gpt-5.4", f"{i}.0", f"{c}.0", f"{o}.0") for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def apostrophes():
    rows = [
        (f"{dmy(d)} {t}", "gpt-5.4", f"{i:,}".replace(",", "'"), c, f"{o:,}".replace(",", "'"))
        for d, t, i, c, o in CALLS
    ]
    return lines(["Datum", "Modell", "Eingabe", "Cache", "Ausgabe"], rows, ";").encode()


def italian():
    head = ["Data e ora", "Modello", "Token in ingresso", "Cache", "Uscita"]
    rows = [(f"{dmy(d, '/')} {t}", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(head, rows, ";").encode()


def anthropic():
    head = ["created_at", "model", "input_tokens", "cache_read_input_tokens", "output_tokens"]
    rows = [(f"{d}T{t}Z", "claude-sonnet-4-6", i - c, c, o) for d, t, i, c, o in CALLS]
    return lines(head, rows, ",").encode()


def compact():
    rows = [(f"{d.replace('-', '')}T{t.replace(':', '')}Z", "gpt-5.4", i, c, o) for d, t, i, c, o in CALLS]
    return lines(EN, rows, ",").encode()


def excel_days():
    rows = [("46296.4166666667", 5402, 1350, 682), ("46308.9791666667", 12000, 0, 90), ("46326.34375", 999, 500, 1200)]
    return lines([EN[0], *EN[1:]], [(a, "gpt-5.4", b, c, d) for a, b, c, d in rows], ",").encode()


#: file name -> its bytes, and the edit its mapping needs: (what stands there, what must)
FILES = {
    "semicolons.csv": (semicolons, None),
    "preamble.csv": (preamble, None),
    "french.txt": (french, None),
    "spanish.csv": (spanish, None),
    "american.csv": (american, None),
    "seconds.csv": (epoch(1), None),
    "millis.csv": (epoch(1000), None),
    "nanos.csv": (epoch(10**9), None),
    "relative.csv": (relative, ("# start = ", "start = ")),
    "python.csv": (python_log, None),
    "monate.csv": (month_names, None),
    "clock12.csv": (clock_12, None),
    "apache.log": (apache, None),
    "shifted.csv": (shifted, None),
    "list.json": (json_list, None),
    "wrapped.json": (json_wrapped, None),
    "texts.jsonl": (json_text, None),
    "floats.csv": (floats, None),
    "schweiz.csv": (apostrophes, None),
    "italia.csv": (italian, ("Token in ingresso", "Token in ingresso")),
    "beside.csv": (anthropic, None),
    "compact.csv": (compact, None),
    "serial.csv": (excel_days, None),
}


def read_with_its_mapping(path, edit=None):
    text = first_mapping(path).text
    if edit:
        assert edit[0] in text
        text = text.replace(edit[0], edit[1], 1)
    mapping = path.with_suffix(".toml")
    mapping.write_text(text, encoding="utf-8")
    return fa.read(path, format="auto", mapping=mapping)


def check(frame, starts=STARTS):
    assert frame.groupby("meter")["quantity"].sum().to_dict() == TRUTH
    # Excel's days are fractions: to the second
    assert [t.isoformat() for t in sorted(set(frame["charge_period_start"].dt.round("s")))] == starts


@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_read_right_with_at_most_one_edit(tmp_path, name):
    make, edit = FILES[name]
    (tmp_path / name).write_bytes(make())
    check(read_with_its_mapping(tmp_path / name, edit))


def test_a_workbook_with_a_title_and_real_dates(tmp_path):
    import datetime as dt

    book = openpyxl.Workbook()
    book.active.append(["Usage of October"])
    book.active.append([])
    book.active.append(["Date", "Time", "Model", "Input tokens", "Cached tokens", "Output tokens", "Cost (USD)"])
    for day, clock, i, c, o in CALLS:
        book.active.append([dt.date.fromisoformat(day), dt.time.fromisoformat(clock), "gpt-5.4", i, c, o, 0.1])
    book.save(tmp_path / "usage.xlsx")
    check(read_with_its_mapping(tmp_path / "usage.xlsx"))


def test_zip_gzip_folders_and_globs_are_read_once_each(tmp_path):
    rows = json_text().splitlines()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "log.jsonl.gz").write_bytes(gzip.compress(rows[0]))
    (tmp_path / "b" / "log.jsonl").write_bytes(rows[1])
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("x/log.jsonl", rows[2])
        archive.writestr("__MACOSX/._log.jsonl", b"junk")
    mapping = tmp_path / "m.toml"
    mapping.write_text(first_mapping(tmp_path / "b" / "log.jsonl").text)
    patterns = [str(tmp_path / "a"), str(tmp_path / "b" / "*.jsonl"), str(tmp_path / "c.zip")]
    frame = fa.read(patterns, format="auto", mapping=mapping)
    check(frame)
    assert frame["request_id"].nunique() == 3  # files of one name are three


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["5.402", "12.000", "1.200"], "may be a number of thousands or one with three decimals"),  # nothing tells
        (["5.402", "12000", "682"], "may be a number of thousands or one with three decimals"),
        (["5.402", "1.5", "682"], "is no whole number"),
        (["5.402,5", "1.234,25", "6"], "is no whole number"),
    ],
)
def test_nothing_is_read_a_thousandfold_off_in_silence(tmp_path, values, said):
    rows = [(f"2026-10-0{n}T00:00:00Z", "gpt-5.4", v, 1) for n, v in enumerate(values, 1)]
    path = tmp_path / "log.csv"
    path.write_text(lines([EN[0], "model", "prompt_tokens", "completion_tokens"], rows, ";"))
    mapping = {
        "columns": {"charge_period_start": "timestamp", "model": "model"},
        "constants": {"provider": "openai", "billing_account_id": "a"},
        "usage": [{"meters": {"input": "prompt_tokens", "output": "completion_tokens"}}],
    }
    with pytest.raises(DataError, match=rf"log.csv, row \d, column 'prompt_tokens': .* {said}.*\[numbers\]"):
        fa.read(path, format="auto", mapping=mapping)
    assert said in preview(path, mapping)


def test_a_guess_of_thousands_says_it_is_one(tmp_path):
    path = tmp_path / "eu.csv"
    path.write_text("Datum;Modell;Eingabe;Ausgabe\n2026-10-01;gpt-5.4;5.402;1.350\n")
    guess = first_mapping(path)
    assert any(
        "'5.402' may be a number of thousands" in doubt and "read as thousands" in doubt for doubt in guess.doubts
    )
    (tmp_path / "eu.toml").write_text(guess.text)
    assert fa.read(path, format="auto", mapping=tmp_path / "eu.toml")["quantity"].max() == 5402


def test_a_count_that_is_not_used_is_named(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("timestamp,model,prompt_tokens,completion_tokens,audio_tokens\n2026-10-01,gpt-5.4,5,1,3\n")
    assert any("'audio_tokens' looks like a count and isn't used" in doubt for doubt in first_mapping(path).doubts)


def test_a_day_that_can_be_two_is_asked_about(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("date,model,prompt_tokens,completion_tokens\n10/01/2026,gpt-5.4,10,1\n10/02/2026,gpt-5.4,10,1\n")
    guess = first_mapping(path)
    assert any("10/01/2026" in doubt and "%m/%d/%Y" in doubt for doubt in guess.doubts)
    mapping = {
        "columns": {"charge_period_start": "date", "model": "model"},
        "constants": {"provider": "openai", "billing_account_id": "a"},
        "usage": [{"meters": {"input": "prompt_tokens"}}],
    }
    with pytest.raises(
        DataError, match=r"row 1, column 'date': '10/01/2026' can be read as '%d/%m/%Y' and as '%m/%d/%Y'"
    ):
        fa.read(path, format="auto", mapping=mapping)
    read = fa.read(path, format="auto", mapping=mapping | {"time": {"format": "%m/%d/%Y"}})
    assert [t.isoformat()[:10] for t in read["charge_period_start"]] == ["2026-10-01", "2026-10-02"]


def test_a_unit_that_is_wrong_is_told_by_the_year_it_gives(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(epoch(1000)())
    text = first_mapping(path).text.replace('unit = "ms"', 'unit = "us"')
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(DataError, match=r"row 1, .*would be 1970-01-21 when counted in us.*Set `unit`"):
        fa.read(path, format="auto", mapping=tmp_path / "m.toml")


def test_what_the_log_says_it_cost_is_kept(tmp_path):
    path = tmp_path / "spanish.csv"
    path.write_bytes(spanish())
    frame = read_with_its_mapping(path)
    assert frame["billed_cost"].sum() == D("0.75")
    assert set(frame["billing_currency"].dropna()) == {"USD"}


def test_the_preview_shows_rows_as_they_will_be_read(tmp_path):
    path = tmp_path / "semicolons.csv"
    path.write_bytes(semicolons())
    (tmp_path / "m.toml").write_text(first_mapping(path).text, encoding="utf-8")
    shown = preview(path, tmp_path / "m.toml").splitlines()
    assert shown[0].split() == ["start", "(UTC)", "model", "input", "cache_read", "output", "requests"]
    assert shown[1].split() == ["2026-10-01", "10:00:00", "gpt-5.4", "4,052", "1,350", "682", "1"]


@pytest.mark.parametrize(
    "damage", [b"PK\x03\x04 no archive", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old excel", bz2.compress(b"x")]
)
def test_damaged_and_foreign_files_get_a_sentence(tmp_path, damage):
    path = tmp_path / "log.bin"
    path.write_bytes(damage)
    with pytest.raises(DataError, match=r"log\.bin"):
        fa.read(
            path,
            format="auto",
            mapping={
                "columns": {"charge_period_start": "a", "model": "b"},
                "constants": {"provider": "x", "billing_account_id": "y"},
                "usage": [{"meters": {"input": "c"}}],
            },
        )
