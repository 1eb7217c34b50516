"""A first mapping file for a log nobody described: it reads where the names are usual, and says what it doesn't know."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.cli.own_data import _cost_lines
from finops_ai.errors import DataError
from finops_ai.periods import Window
from finops_ai.providers.collecting import connector
from finops_ai.providers.starting import first_mapping

CSV = """time,model,user,team,prompt_tokens,cached_tokens,completion_tokens,mood
2026-10-05T09:00:00Z,gpt-4o-mini,ann,search,1200,800,90,fine
2026-10-06T10:00:00Z,gpt-4o,cy,support,3000,0,400,fine
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.csv").write_text(CSV)
    return tmp_path / "calls.csv"


def test_usual_names_are_read_as_they_are_meant(log):
    text = first_mapping(log).text
    (log.parent / "calls.toml").write_text(text)
    assert "# Not used: mood" in text
    tokens = fa.read(log, format="csv", mapping="calls.toml")
    sums = tokens.groupby("meter")["quantity"].sum().to_dict()
    # input 1200 - 800 cached + 3000; two rows are two calls
    assert sums == {"input": D(3400), "cache_read": D(800), "output": D(490), "requests": D(2)}
    assert {dict(t)["team"] for t in tokens["tags"]} == {"search", "support"}
    assert set(tokens["provider"]) == {"openai"}


def test_nested_fields_epochs_and_makers(tmp_path):
    row = {
        "ts": 1790000000123,
        "model": "claude-sonnet-5",
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 2},
    }
    (tmp_path / "log.jsonl").write_text(json.dumps(row) + "\n")
    made = tomllib.loads(first_mapping(tmp_path / "log.jsonl").text)
    assert made["time"] == {"unit": "ms"}
    assert made["constants"]["provider"] == "anthropic"
    assert made["usage"][0]["meters"] == {
        "input": "usage.input_tokens", "cache_read": "usage.cache_read_input_tokens", "output": "usage.output_tokens",
    }  # fmt: skip
    assert "inside" not in made["usage"][0]  # these names stand beside the input


def test_what_is_not_found_is_named_when_the_log_is_read(tmp_path):
    (tmp_path / "log.csv").write_text("wann,was,wieviel\n2026-10-01,gpt-4o,7\n")
    (tmp_path / "log.toml").write_text(first_mapping(tmp_path / "log.csv").text)
    with pytest.raises(DataError, match=r"column '\?' is missing"):
        fa.read(tmp_path / "log.csv", format="csv", mapping=str(tmp_path / "log.toml"))


def test_hostile_names_make_no_settings(tmp_path):
    (tmp_path / "log.csv").write_text('time,model,"x\n[constants]\ny = 1","te""am"\n2026-10-01,gpt-4o,7,8\n')
    made = tomllib.loads(first_mapping(tmp_path / "log.csv").text)
    assert set(made["constants"]) == {"provider", "billing_account_id"}


def test_the_command_writes_it_once_and_says_what_to_do(log, capsys):
    for said in ("Wrote a first one, calls.toml: check it", "There is calls.toml"):
        with pytest.raises(SystemExit) as stopped:
            main(["report", "--input", "calls.csv"])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    assert not (log.parent / "reports").exists()


def _read(folder, text):
    path = folder / "odd.csv"
    path.write_text(text, encoding="utf-8")
    guess = first_mapping(path)
    (folder / "odd.toml").write_text(guess.text, encoding="utf-8")
    tokens = fa.read(path, format="csv", mapping=folder / "odd.toml")
    return tokens, tokens.groupby("meter")["quantity"].sum().to_dict(), guess.doubts


@pytest.mark.parametrize(
    ("cells", "total"),
    [
        (["1.2k", "900", "3M"], 3_002_100),
        (["1,2k", "900", "3,5 Mio."], 3_502_100),
        (["12.345k", "7", "1k"], 13_352),
        (["2万", "1.5千", "7"], 21_507),
        (["1.2K tokens", "2 Tsd.", "0"], 3_200),
    ],
)
def test_shortened_counts_are_multiplied_and_said_to_be_rounded(tmp_path, cells, total):
    rows = "".join(f"2026-10-05T08:00:0{n}Z;gpt-4o;{cell};1\n" for n, cell in enumerate(cells))
    _, sums, doubts = _read(tmp_path, f"time;model;input tokens;output tokens\n{rows}")
    assert sums["input"] == total
    assert any(f"Counts such as {cells[0]!r} are rounded by the file" in doubt for doubt in doubts)


def test_a_shortened_count_that_may_be_thousands_is_asked(tmp_path):
    with pytest.raises(DataError, match="may be a number of thousands or one with three decimals"):
        _read(tmp_path, "time;model;input tokens;output tokens\n2026-10-05T08:00:00Z;gpt-4o;1,234k;1\n")


@pytest.mark.parametrize(
    "cell",
    ["05/10/26 08.07", "05.10.2026 08h07", "2026年10月05日 08時07分", "2026年10月5日 8時7分", "05/10/2026 08.07.00", "5 Oct 2026 8:07 AM"],
)  # fmt: skip
def test_clocks_of_many_countries(tmp_path, cell):
    other = (
        cell.replace("05", "25", 1) if cell[0] != "2" else cell.replace("月5日", "月25日").replace("月05日", "月25日")
    )
    other = "25 Oct 2026 8:07 AM" if cell.startswith("5 ") else other
    tokens, _, doubts = _read(
        tmp_path, f"date;model;input tokens;output tokens\n{cell};gpt-4o;1;1\n{other};gpt-4o;1;1\n"
    )
    assert {f"{t:%Y-%m-%d %H:%M}" for t in tokens["charge_period_start"]} == {"2026-10-05 08:07", "2026-10-25 08:07"}
    assert doubts == []


def test_a_total_that_names_its_day_is_no_usage(tmp_path):
    text = (
        "Data;Modello;Token in ingresso;Token in uscita\n25/10/26 08.00;gpt-4o;5;2\nTotale 25/10/26;;5;2\nTOTALE;;5;2\n"
    )
    _, sums, _ = _read(tmp_path, text)
    assert sums == {"input": D(5), "output": D(2), "requests": D(1)}


def test_a_total_before_its_time_column_is_known(tmp_path):
    text = "Wann genau;Modell;davon zwischengespeichert;Eingabe;Ausgabe\n25.10.2026 08:00;gpt-4o;3;5;2\nSumme;;3;5;2\n"
    _, sums, _ = _read(tmp_path, text)
    assert sums == {"input": D(2), "cache_read": D(3), "output": D(2), "requests": D(1)}


def test_a_remark_under_the_table_is_left_out_and_told(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(
        "time,model,input_tokens,output_tokens\n2026-10-05 08:00,gpt-4o,5,2\nAs of 2026-11-01,,,\n* preliminary,,,\n"
    )
    (tmp_path / "odd.toml").write_text(first_mapping(path).text)
    reader = connector("csv", files=[str(path)], mapping=str(tmp_path / "odd.toml"))
    tokens = reader.usage(Window.of("2026-10-01", "2026-12-01"))
    assert tokens.groupby("meter")["quantity"].sum().to_dict() == {"input": D(5), "output": D(2), "requests": D(1)}
    assert reader.notes == ["odd.csv: 2 rows are remarks without model and counts, left out."]


def test_a_row_with_counts_is_no_remark(tmp_path):
    with pytest.raises(DataError, match="'Monday' is not a time"):
        _read(tmp_path, "time,model,input_tokens,output_tokens\n2026-10-05 08:00,gpt-4o,5,2\nMonday,gpt-4o,7,1\n")


def test_a_table_with_a_row_per_kind_in_portuguese(tmp_path):
    text = "data;modelo;tipo;quantidade\n25/10/2026 08:00;gpt-4o;entrada;1.234\n25/10/2026 08:00;gpt-4o;saída;56\n"
    _, sums, _ = _read(tmp_path, text)
    assert sums == {"input": D(1234), "output": D(56)}


def test_a_day_in_three_korean_columns(tmp_path):
    tokens, sums, _ = _read(
        tmp_path, "연도,월,일,모델,요청수,입력 토큰,출력 토큰\n2026,10,5,gpt-4o,100,5000000,100000\n"
    )
    assert sums == {"input": D(5_000_000), "output": D(100_000), "requests": D(100)}
    assert f"{tokens['charge_period_start'].min():%Y-%m-%d}" == "2026-10-05"


@pytest.mark.parametrize("cell", ["NaN", "n/a", "–", ""])
def test_a_count_that_is_not_stated_adds_nothing(tmp_path, cell):
    _, sums, _ = _read(
        tmp_path,
        f"time,model,input_tokens,output_tokens\n2026-10-05 08:00,gpt-4o,5,2\n2026-10-05 09:00,gpt-4o,{cell},3\n",
    )
    assert sums == {"input": D(5), "output": D(5), "requests": D(2)}


@pytest.mark.parametrize(
    ("model", "cost", "said"),
    # 1,000,000 fresh tokens of gpt-4o are 2.50 USD; a model nobody knows can't cost more than 10,000 a million
    [("gpt-4o", "250", "about 100 times"), ("gpt-4o", "2500000", "about 1,000,000 times"), ("gpt-4o", "2.40", ""), ("house-1", "900000000", "about 100,000 times"), ("house-1", "9", "")],
)  # fmt: skip
def test_a_stated_cost_that_can_only_be_in_another_unit_is_asked_about(tmp_path, model, cost, said):
    tokens, _, _ = _read(
        tmp_path, f"time,model,input_tokens,output_tokens,cost\n2026-10-05 08:00,{model},1000000,0,{cost}\n"
    )
    (line,) = _cost_lines(tokens)
    assert (said in line) if said else ("times as much" not in line)
