"""Closing, correcting and reopening months from the command line: order, conditions, damage and the way back."""

# ruff: noqa: F811 - a fixture of another file

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

import finops_ai as fa
from finops_ai.errors import CheckFailed
from tests.cli.test_cost_commands import commands, company, load, run  # noqa: F401 - the fixtures

HISTORIES = Path(__file__).parents[2] / "benchmarks" / "ledger_histories.py"


def add(text):
    path = Path("finops.toml")
    path.write_text(path.read_text() + text)


@pytest.mark.long
def test_months_close_in_order_or_say_why_not(run):
    assert run("close", "2026-09")[0] == 0
    assert run("reopen", "2026-09", "--approved-by", "A. Finance", "--reason", "an invoice came late")[0] == 0
    code, _, err = run("close", "2026-10")
    assert code == 3
    assert "2026-09 is open. Close it first" in err
    assert run("close", "2026-10", "--out-of-order", "the invoice is disputed")[0] == 0
    assert fa.open(".").ledger.closed("2026-10").facts["out_of_order"] == "the invoice is disputed"
    code, out, _ = run("audit")
    assert (code, "1 closed months, 0 true-ups, 1 reopened" in out) == (0, True)


@pytest.mark.long
def test_conditions_are_looked_at_before_a_month_is_closed(run):
    # 20M of the search key have a price and a team, 10M of key_new have a price only: 3.00 of 4.50 is attributed
    add('[close]\npriced = "0.99"\nattributed = "0.9"\nunexplained = "0.01"\napproval = true\n')
    code, out, _ = run("close", "2026-10", "--dry-run")
    assert code == 1
    assert [line[:5] for line in out.splitlines() if line.startswith(("holds", "FAILS"))] == ["holds"] + ["FAILS"] * 3
    assert "66.67% of the cost is attributed, at least 90.00% is asked for" in out
    code, _, err = run("close", "2026-10", "--approved-by", "A. Finance", "--reason", "month end")
    assert code == 1
    assert "there is no bill" in err
    assert "--approved-by" not in err
    assert not Path("closed/2026-10").exists()
    text = Path("finops.toml").read_text()
    Path("finops.toml").write_text(text.replace('"0.9"', '"0.6"').replace('unexplained = "0.01"\n', ""))
    assert run("close", "2026-10", "--approved-by", "A. Finance", "--reason", "month end")[0] == 0
    facts = fa.open(".").ledger.closed("2026-10").facts
    assert (facts["approved_by"], facts["reason"]) == ("A. Finance", "month end")
    assert facts["gates"]["attributed"] == "66.67% (60.00% required)"


@pytest.mark.long
@pytest.mark.parametrize(
    ("text", "words"),
    [('[close]\nprised = "1"\n', "Did you mean 'priced'"), ('[close]\npriced = "99"\n', "between 0 and 1")],
)
def test_conditions_that_cannot_be_used(run, text, words):
    add(text)
    code, _, err = run("close", "2026-10")
    assert (code, words in err) == (2, True)


@pytest.mark.long
def test_what_was_posted_is_shown_for_a_month_without_usage(run, tokens_of):
    run("close", "2026-10")
    load(tokens_of, 3_000_000)  # 10M more tokens of the search key: 1.50 of cost, 0.15 of margin
    assert run("true-up", "2026-10", "--in", "2026-12")[0] == 0
    code, out, _ = run("chargeback", "--month", "2026-12", "--journal", "--format", "json")
    entries = json.loads(out)
    assert (code, {(e["account"], e["debit"], e["credit"]) for e in entries}) == (
        0, {("6100", "1.65", "0"), ("2190", "0", "1.5"), ("7190", "0", "0.15")},
    )  # fmt: skip
    code, out, _ = run("chargeback", "search", "--month", "2026-12")
    assert (code, "1.65" in out) == (0, True)
    assert "Nothing has changed" in run("true-up", "2026-10")[2]


@pytest.mark.long
def test_a_reopened_month_is_closed_again_beside_what_was_closed(run, tokens_of):
    run("close", "2026-10")
    first = {p: p.read_bytes() for p in Path("closed/2026-10").iterdir()}
    load(tokens_of, 3_000_000)
    assert run("reopen", "2026-10", "--approved-by", " ", "--reason", "x")[0] == 3
    assert run("reopen", "2026-10", "--approved-by", "A. Finance", "--reason", "restated")[0] == 0
    assert '"charge": "4.95"' in run("chargeback", "--month", "2026-10", "--format", "json")[1]  # 30M x 0.15 x 1.1
    assert run("close", "2026-10")[0] == 0
    assert {p: p.read_bytes() for p in first} == first
    assert fa.open(".").ledger.closed("2026-10").folder.name == "2026-10.close-2"
    load(tokens_of, 4_000_000)
    assert run("true-up", "2026-10")[0] == 0
    code, _, err = run("reopen", "2026-10", "--approved-by", "A. Finance", "--reason", "again")
    assert (code, "would count twice" in err) == (3, True)


@pytest.mark.long
def test_a_cut_chain_is_mended_from_its_folders_and_nothing_else_is(run, tokens_of):
    run("close", "2026-09")
    run("close", "2026-10")
    chain, head = Path("closed/chain.jsonl"), Path("closed.head")
    whole, seal = chain.read_text(), head.read_text()
    for damaged in (whole[:-30], whole.splitlines(keepends=True)[0], ""):
        chain.write_text(damaged)
        for command in (("showback", "--month", "2026-10"), ("close", "2026-11"), ("true-up", "2026-09"), ("audit",)):
            code, out, err = run(*command)
            assert (code in (1, 3), "Traceback" in err) == (True, False), command
        assert "audit --repair" in run("chargeback", "--month", "2026-10")[2]
        code, out, _ = run("audit", "--repair")
        assert (code, chain.read_text()) == (0, whole), out
    head.unlink()
    assert run("showback", "--month", "2026-10")[0] == 1
    assert run("audit", "--repair")[0] == 1
    assert run("audit", "--repair", "--head", seal.strip())[0] == 0
    # a whole older copy is noticed by the last seal, and not mended away
    older = whole.splitlines(keepends=True)[0]
    chain.write_text(older)
    for path in Path("closed/2026-10").iterdir():
        path.chmod(0o644)
        path.unlink()
    Path("closed/2026-10").rmdir()
    code, _, err = run("showback", "--month", "2026-10")
    assert (code, "is not in the chain" in err) == (1, True)
    code, _, err = run("audit", "--repair")
    assert (code, "Restore the missing states" in err) == (1, True)


@pytest.mark.slow
def test_random_histories_hold(monkeypatch):
    """A few of `benchmarks/ledger_histories.py`, which runs 200."""
    monkeypatch.syspath_prepend(HISTORIES.parent)
    histories = importlib.import_module("ledger_histories")
    counts, stopped = histories.run(2, 5, first=1000)
    assert counts["close"] >= 2
    assert not stopped or min(stopped.values()) > 0
    with pytest.raises(AssertionError, match="unsound"):
        histories.expect(False, "unsound")


@pytest.mark.long
def test_what_is_read_is_what_was_sealed_even_after_the_check(run):
    run("close", "2026-10")
    sealed = fa.open(".").ledger.closed("2026-10")
    path = sealed.folder / "journal.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CheckFailed, match=r"journal\.parquet is not as it was sealed"):
        sealed.table("journal")


def test_a_preview_stops_at_a_changed_month_and_an_audit_says_the_way_back(run):
    assert run("close", "2026-09")[0] == 0
    table = max(Path("closed/2026-09").iterdir(), key=lambda file: file.stat().st_size)
    table.chmod(0o644)
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    code, _, err = run("close", "2026-10", "--dry-run")
    assert code in (1, 3)
    assert table.name in err
    code, out, err = run("audit")
    assert code == 1
    assert table.name in out + err
    assert re.search("backup|Restore", out + err)
