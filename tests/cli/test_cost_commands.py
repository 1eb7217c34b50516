"""The commands of allocation, chargeback and closing, over a small lake."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.periods import Window

TOML = """
[dimensions.team]
[[rules]]
name = "search key"
when = { api_key_id = "key_search" }
set = { team = "search" }
[[rules]]
name = "old key"
when = { api_key_id = "key_gone" }
set = { team = "gone" }
[chargeback]
dimension = "team"
[[chargeback.tariffs]]
markup = "0.1"
[[budgets]]
name = "search budget"
month = "2026-10"
amount = "1"
for = { team = "search" }
[scenario.batch]
batch = { share = "1" }
[providers.openai]
enabled = false
"""


def at(month, day):
    return dt.datetime(2026, month, day, tzinfo=dt.UTC)


@pytest.fixture
def run(tmp_path, capsys, monkeypatch, tokens_of):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "finops.toml").write_text(TOML)
    load(tokens_of, 2_000_000)

    def call(*args):
        try:
            main(list(args))
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def load(tokens_of, quantity):
    """September and October of two keys, gpt-4o-mini at 0.15 per million input tokens."""
    for month, day in ((9, 5), (10, 5)):
        rows = [
            {"model": "gpt-4o-mini", "quantity": q * month, "api_key_id": k, "at": at(month, day)}
            for k, q in (("key_search", quantity), ("key_new", 1_000_000))
        ]
        fa.open(".").lake.replace("tokens", "openai", Window.month(f"2026-{month:02d}"), tokens_of(rows))


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["showback"], 0, ["search", "3.00"]),  # 20M x 0.15
        (["chargeback"], 0, ["search", "3.30"]),
        (["chargeback", "search"], 0, ["Stated margin", "0.30"]),
        (["chargeback", "--journal"], 0, ["2190", "6190", "7190"]),
        (["chargeback", "serch"], 3, ["Did you mean 'search'"]),
        (["explain"], 0, ["0.30"]),  # 2M more x 0.15
        (["what-if", "batch"], 0, ["1.50"]),  # half price
        (["what-if", "btch"], 2, ["Did you mean 'batch'"]),
        (["anomalies"], 0, ["empty"]),
        (["budgets"], 0, ["over", "search budget"]),
        (["budgets", "--check"], 1, ["over"]),
        (["rules", "check"], 0, ["never matches", "old key", "key_new"]),
        (["rules", "check", "--strict"], 1, ["never matches"]),
        (["rules", "why", "team=search"], 0, ["search key", "gpt-4o-mini"]),
        (["rules", "why", "team=nobody"], 3, ["No row has team = nobody"]),
        (["showback", "--month", "2026-01"], 3, ["no usage of 2026-01"]),
        (["showback", "--by", "tem"], 3, ["Did you mean 'team'"]),
        (["true-up", "2026-09"], 3, ["2026-09 is not closed"]),
        (["audit"], 0, ["0 closed months"]),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else None,
)  # fmt: skip
def test_every_command_answers(run, args, code, words):
    got, out, err = run(
        *args, *(["--month", "2026-10"] if "--month" not in args and args[0] not in ("true-up", "audit") else [])
    )
    assert got == code, out + err
    for word in words:
        assert word in out + err
    assert "Traceback" not in err


def test_formats_are_exact(run):
    _, out, _ = run("showback", "--month", "2026-10", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {r["team"]: r["cost"] for r in rows}["search"] == "3.000000000000000000"
    _, out, _ = run("chargeback", "--month", "2026-10", "--format", "json")
    assert {r["receiver"]: r["charge"] for r in json.loads(out)} == {"search": "3.3"}


def test_close_restate_true_up_audit(run, tokens_of, tmp_path):
    assert run("close", "2026-10")[0] == 0
    code, _, err = run("close", "2026-10")
    assert code == 3
    assert "2026-10 is closed" in err
    frozen = {p: p.read_bytes() for p in (tmp_path / "closed" / "2026-10").iterdir()}
    assert "Nothing has changed" in run("true-up", "2026-10")[2]
    load(tokens_of, 3_000_000)  # the provider restates the month: 10M more tokens of the search key
    code, out, err = run("true-up", "2026-10", "--dry-run", "--format", "json")
    assert code == 0
    assert "Nothing was posted" in err
    code, out, _ = run("true-up", "2026-10", "--format", "json")
    entries = json.loads(out)
    assert {e["period"] for e in entries} == {"2026-11"}
    # 10M x 0.15 = 1.50 more cost, 0.15 more margin, 1.65 more charged
    assert {(e["account"], float(e["debit"]) - float(e["credit"])) for e in entries} == {
        ("6100", 1.65),
        ("2190", -1.5),
        ("7190", -0.15),
    }
    assert {p: p.read_bytes() for p in frozen} == frozen
    code, out, _ = run("audit")
    assert code == 0
    assert "1 closed months, 1 true-ups" in out
    path = tmp_path / "closed" / "2026-10" / "charges.parquet"
    path.chmod(0o644)
    path.write_bytes(b"other")
    code, out, _ = run("audit")
    assert code == 1
    assert "2026-10/charges.parquet: the file was changed" in out
    assert run("true-up", "2026-10")[0] == 1
