"""Usual mistakes at the public functions and on the command line: each gets a sentence with the fix, never a foreign exception."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tomllib
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import FinopsError


@pytest.fixture(scope="module")
def frames():
    tokens = fa.sample(months=1)
    priced = fa.price(tokens)
    return tokens, priced, fa.allocate(priced, fa.sample.rules(shared=False))


#: what somebody does with (tokens, priced, cost), and words of the sentence they get
MISTAKES = {
    "unpriced": (lambda t, p, c: fa.showback(t, by=["model"]), "call fa.price"),
    "not allocated": (lambda t, p, c: fa.showback(p, by=["team"]), "Can't group by 'team'"),
    "by typo": (lambda t, p, c: fa.showback(c, by=["teams"]), "Did you mean 'team'"),
    "month in words": (lambda t, p, c: fa.showback(c, by=["team"], month="October"), "YYYY-MM"),
    "month without data": (lambda t, p, c: fa.showback(c, by=["team"], month="2020-01"), "nothing of 2020-01: the frame holds"),
    "month of an empty frame": (lambda t, p, c: fa.showback(c.head(0), by=["team"], month="2026-10"), "no rows"),
    "a dict": (lambda t, p, c: fa.price({"a": 1}), "must be a frame, got dict"),
    "a list": (lambda t, p, c: fa.price([1, 2]), "must be a frame, got list"),
    "a path": (lambda t, p, c: fa.price("tokens.parquet"), "read a file with fa.read"),
    "None": (lambda t, p, c: fa.showback(None, by=["team"]), "must be a frame, got NoneType"),
    "a series": (lambda t, p, c: fa.price(t["quantity"].to_frame()), "columns .* are missing"),
    "columns of another log": (lambda t, p, c: fa.price(pd.DataFrame({"model": ["x"], "prompt_tokens": [1]})), "are missing"),
    "a column dropped": (lambda t, p, c: fa.price(t.drop(columns="meter")), "meter"),
    "floats": (lambda t, p, c: fa.price(t.assign(quantity=t["quantity"].astype(float))), "floats lose digits"),
    "negative": (lambda t, p, c: fa.price(t.assign(quantity=-t["quantity"])), "in row 0: usage is 0 or more"),
    "no time zone": (lambda t, p, c: fa.price(t.assign(charge_period_start=t["charge_period_start"].dt.tz_localize(None))), "tz_localize"),
    "twice": (lambda t, p, c: fa.showback(pd.concat([c, c]), by=["team"]), "stand twice"),
    "twice, renumbered": (lambda t, p, c: fa.showback(pd.concat([c, c], ignore_index=True), by=["team"]), "stand twice"),
    "no policy": (lambda t, p, c: fa.chargeback(c, month="2026-10"), "missing a required argument: 'policy'"),
    "no horizon": (lambda t, p, c: fa.forecast(c), "missing a required argument: 'horizon'"),
    "unknown argument": (lambda t, p, c: fa.showback(c, byy=["team"]), "no argument 'byy'. Did you mean 'by'"),
    "too many arguments": (lambda t, p, c: fa.price(t, None, 1, 2, 3, 4, 5, 6, 7), "too many"),
    "scenario typo": (lambda t, p, c: fa.what_if(c, {"modle": "x"}), "no step 'modle'"),
    "rules missing": (lambda t, p, c: fa.allocate(p, "nope.toml"), "nope.toml"),
    "rule on unknown column": (lambda t, p, c: fa.allocate(p, {"rules": [{"name": "x", "when": {"modle": "g"}, "set": {"team": "a"}}], "dimensions": {"team": {"default": "u"}}}), "Did you mean 'model'"),
    "unknown dimension": (lambda t, p, c: fa.allocate(p, {"rules": [{"name": "x", "when": {"model": "g"}, "set": {"squad": "a"}}], "dimensions": {"team": {"default": "u"}}}), "no declared dimension"),
    "thirteen months and more": (lambda t, p, c: fa.sample(months=99), "1 to 13"),
    "pie": (lambda t, p, c: fa.showback(c, by=["team"]).plot(kind="pie"), "draws the chart that fits"),
    "unknown provider": (lambda t, p, c: fa.collect("opnai", "2026-10-01", "2026-11-01"), "Did you mean 'openai'"),
    "unknown format": (lambda t, p, c: fa.read("x.csv", format="cvs"), "Did you mean 'csv'"),
    "no such file": (lambda t, p, c: fa.read("nowhere/*.json", format="openai"), "No file matches"),
    "no mapping": (lambda t, p, c: fa.read(__file__, format="csv"), "mapping"),
    "no such mapping": (lambda t, p, c: fa.read(__file__, format="csv", mapping="none.toml"), "none.toml"),
    "unknown setting": (lambda t, p, c: fa.read(__file__, format="openai", organisation_id="x"), "organization_id"),
    "an address of another kind": (lambda t, p, c: fa.read("ftp://host/file.csv", format="csv", mapping={"columns": {"charge_period_start": "a", "model": "b"}, "constants": {"provider": "x", "billing_account_id": "y"}, "usage": [{"meters": {"input": "c"}}]}), "can't be read"),
    "end before start": (lambda t, p, c: fa.collect("openai", "2026-11-01", "2026-10-01"), "2026"),
    "no such workspace": (lambda t, p, c: fa.open("no/such/finops.toml"), "finops-ai init|There is no"),
    "price book missing": (lambda t, p, c: fa.PriceBook.load("no.toml"), "no.toml"),
    "focus version": (lambda t, p, c: fa.to_focus(c, version="9.9"), "9.9"),
    "focus version as a number": (lambda t, p, c: fa.to_focus(c, version=1.2), "Write it in quotation marks: '1.2'"),
    "no names to group by": (lambda t, p, c: fa.showback(c, by=None), r"must be a list of names, got None. Write it as \['team', 'model'\]"),
    "a number to group by": (lambda t, p, c: fa.showback(c, by=5), "must be a list of names, got 5"),
    "no rules": (lambda t, p, c: fa.allocate(p, None), "path of a TOML file with .dimensions. and ..rules.."),
    "rules as a list": (lambda t, p, c: fa.allocate(p, ["team"]), "must be rules, a dict, text or a path"),
    "a path for a book": (lambda t, p, c: fa.price(t, "prices.toml"), r"fa.PriceBook.load\(path\)"),
    "a dict for a book": (lambda t, p, c: fa.price(t, {"gpt-5.4": 1}), "must be a price book, got {'gpt-5.4': 1}"),
    "quantity as text": (lambda t, p, c: fa.price(t.assign(quantity=t["quantity"].astype(str))), "quantity is text, such as '"),
    "no meter": (lambda t, p, c: fa.price(t.assign(meter=None)), "meter is missing in row 0, and"),
    "quantity of another world": (lambda t, p, c: fa.price(t.assign(quantity=Decimal(10) ** 30)), "more than any meter counts"),
    "no bills": (lambda t, p, c: fa.reconcile(p, None), "`bills` must be a frame, got NoneType"),
    "bills and usage swapped": (lambda t, p, c: fa.reconcile(fa.sample.bills(), p), "is no bill frame. .* usage comes first"),
    "horizon as text": (lambda t, p, c: fa.forecast(c, horizon="30 days"), "`horizon` must be a whole number, got '30 days'"),
    "horizon in quotation marks": (lambda t, p, c: fa.forecast(c, horizon="30"), "Write 30 without quotation marks"),
    "no scenario": (lambda t, p, c: fa.what_if(c, None), "`scenario` must be a dict, got None"),
    "scenario in words": (lambda t, p, c: fa.what_if(c, "swap to mini"), "must be a dict, got 'swap to mini'"),
    "no business metrics": (lambda t, p, c: fa.unit_economics(c, None), "`business_metrics` must be a frame, got NoneType"),
    "a question to nobody": (lambda t, p, c: fa.ask(None, "why"), r"must be a workspace, got None. Open one with fa.open"),
    "a question to a path": (lambda t, p, c: fa.ask("finops.toml", "why"), r"fa.open\('finops.toml'\)"),
    "plans that are numbers": (lambda t, p, c: fa.compare_plans(1, 2), "`saved` must be a frame, text or a path, got 1"),
    "roads as one frame": (lambda t, p, c: fa.one_road(p), "must be a dict of frames by name, got DataFrame"),
    "seats without people": (lambda t, p, c: fa.idle_seats(c), "missing a required argument: 'identities'"),
    "a workspace of nothing": (lambda t, p, c: fa.open(None), "`config` must be text or a path, got None"),
    "a workspace of rows": (lambda t, p, c: fa.open(t), "`config` must be text or a path, got DataFrame"),
    "nothing to read": (lambda t, p, c: fa.read(None, format="csv"), "must be text, a path or a list of paths, got None"),
    "no form": (lambda t, p, c: fa.read("a.csv", format=None), "`format` must be text, got None"),
    "no end": (lambda t, p, c: fa.collect("openai", "2026-10-01"), "missing a required argument: 'end'"),
    "provider of nothing": (lambda t, p, c: fa.collect(None, "2026-10-01", "2026-11-01"), "`name` must be text, got None"),
    "mapping as a list": (lambda t, p, c: fa.read(__file__, format="csv", mapping=["time"]), "mapping is a list: give the path"),
    "an unknown column": (lambda t, p, c: fa.showback(c, by="team")["costs"], "no column 'costs'. Did you mean 'cost'"),
    "a folder that isn't there": (lambda t, p, c: fa.showback(c, by="team").to_excel("no/such/x.xlsx"), "There is no folder no/such"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_a_sentence_with_the_fix(frames, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    act, said = MISTAKES[name]
    with pytest.raises(FinopsError, match=said):
        act(*frames)


def test_a_frame_that_went_through_csv_says_so(frames, tmp_path):
    frames[2].to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(FinopsError, match=r"a CSV file keeps no types.*to_parquet"):
        fa.showback(pd.read_csv(tmp_path / "c.csv"), by=["team"])


def test_what_can_only_mean_one_thing_is_accepted(frames):
    tokens, priced, cost = frames
    want = fa.showback(cost, by=["team"], month="2026-10")
    assert fa.showback(cost, by="team", month=dt.date(2026, 10, 1)).equals(want)
    assert fa.showback(cost, by="team", month=pd.Timestamp("2026-10-15")).equals(want)
    assert list(fa.showback(cost, by="team, model").columns[:2]) == ["team", "model"]
    assert fa.price(pa.Table.from_pandas(tokens))["list_cost"].sum() == priced["list_cost"].sum()
    assert list(fa.forecast(cost, horizon=3, level=90)) == list(fa.forecast(cost, horizon=3, level=(90,)))


def test_a_missing_column_is_a_key_error_to_pandas(frames):
    table = fa.showback(frames[2], by="team")
    with pytest.raises(KeyError):
        table["costs"]
    assert table.get("costs") is None
    with pytest.raises(KeyError):
        table[7]


def test_months_put_together_are_not_taken_for_doubles(frames):
    cost = frames[2]
    early = cost[(cost["charge_period_start"] < "2026-10-16").to_numpy(bool)].reset_index(drop=True)
    late = cost[(cost["charge_period_start"] >= "2026-10-16").to_numpy(bool)].reset_index(drop=True)
    both = fa.showback(pd.concat([early, late]), by=["team"])
    assert both["cost"].sum() == fa.showback(cost, by=["team"])["cost"].sum()


#: command line, exit code, words of what is said
COMMANDS = {
    "unknown command": (["shwoback"], 2, "Did you mean 'showback'"),
    "no workspace": (["showback", "--by", "team", "--month", "2026-10"], 2, "finops.toml"),
    "month in words": (["report", "--sample", "--month", "October"], 2, "YYYY-MM"),
    "two sources": (["report", "--sample", "--input", "x.csv"], 2, "either --sample or --input"),
    "no such input": (["report", "--input", "x.csv"], 2, "There is no file x.csv"),
    "mapping alone": (["report", "--mapping", "x.toml"], 2, "--input"),
    "parameter without value": (["report", "--sample", "-p", "x"], 2, "NAME=VALUE"),
    "init twice": (["init"], 2, "is there already"),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistaken_command_says_what_to_do(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words, code, said = COMMANDS[name]
    if name == "init twice":
        (tmp_path / "finops.toml").write_text("")
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == code
    assert said in capsys.readouterr().err


#: a finops.toml, and words of what `doctor` says to fix
WORKSPACES = {
    "files as a number": ("[providers.openai]\nfiles = 5\n", "files: Input should be a valid list"),
    "small letters": ('[workspace]\ncurrency = "usd"\n', "write three capital letters, such as USD"),
    "another encoding": ('[workspace]\nname = "Müller"\n'.encode("latin-1"), "save it in the encoding UTF-8"),
    "a dimension nobody set": ('[dimensions.team]\ndefault = "u"\n[chargeback]\ndimension = "squad"\n', "'squad' is no dimension of the rows"),
    "a zone's initials": ('[workspace]\ntimezone = "CEST"\n', "Use an IANA name such as Europe/Berlin"),
    "an engine": ('[engine]\nname = "sparc"\n', "Input should be 'duckdb', 'spark' or 'bigquery'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKSPACES)
def test_doctor_says_what_to_fix_in_a_workspace(name, tmp_path, capsys):
    text, said = WORKSPACES[name]
    (tmp_path / "finops.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--config", str(tmp_path / "finops.toml")])
    out = capsys.readouterr().out
    assert stopped.value.code == 1
    assert said in out.partition("FIX ")[2]


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    (tmp_path / "finops.toml").write_text('\ufeff[workspace]\nname = "Notepad"\n', encoding="utf-8")
    assert fa.open(tmp_path).name == "Notepad"


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch):
    from finops_ai.extras import EXTRAS, missing_extra

    assert set(EXTRAS.values()) <= {"notebook", "report", "forecast", "lab", "spark", "ecb", "bedrock", "mcp", "lake"}
    assert missing_extra(ModuleNotFoundError("x", name="requests_of_nobody")) is None
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    table = fa.showback(fa.price(fa.sample(months=1)), by=["provider"])
    with pytest.raises(FinopsError, match=r"pip install 'finops-ai-core\[notebook\]'"):
        table.plot()


@pytest.mark.long
def test_tables_need_no_lake_and_a_workspace_names_the_extra_it_takes(tmp_path):
    (tmp_path / "finops.toml").write_text("")
    script = (
        "import sys; sys.modules['deltalake'] = None\n"
        "import finops_ai as fa\n"
        "from finops_ai.errors import FinopsError\n"
        "for name in fa.__all__: getattr(fa, name)\n"
        "try: fa.open('finops.toml')\n"
        "except FinopsError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert said.stdout == "This needs deltalake, which isn't installed: pip install 'finops-ai-core[lake]'.\n"


def test_an_extra_brings_what_is_declared():
    from finops_ai.extras import BRINGS, EXTRAS

    declared = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = declared["optional-dependencies"]
    for extra, others in BRINGS.items():
        assert f"finops-ai-core[{','.join(others)}]" in extras[extra]
    assert any(need.startswith("deltalake") for need in extras["lake"])
    assert not any(need.startswith(tuple(EXTRAS)) for need in declared["dependencies"])
