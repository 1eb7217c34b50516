"""A first mapping file for a log nobody described: it reads where the names are usual, and says what it doesn't know."""

from __future__ import annotations

import json
import tomllib
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import DataError
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
