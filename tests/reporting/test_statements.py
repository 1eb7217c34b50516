"""Statements, their pages and files: closed figures stay, true-ups come in the month they are posted in, names stay text."""

from __future__ import annotations

import csv
import datetime as dt
import json
import re
from decimal import Decimal

import openpyxl
import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import CheckFailed, DataError
from finops_ai.periods import Window
from finops_ai.reporting import charging, planning, site, statements
from finops_ai.reporting.planning import plan_pages, statement_file
from finops_ai.reporting.site import make_report, state_notes
from finops_ai.store.closing import Sealed
from finops_ai.tables.posting import posting

from .conftest import HOSTILE

D = Decimal
TOML = """
[workspace]
name = "Test <company>"
[dimensions.team]
[[rules]]
name = "person is the team"
set = { team = "{user_id}" }
[chargeback]
dimension = "team"
[[chargeback.tariffs]]
markup = "0.1"
"""


@pytest.fixture
def ws(tmp_path, tokens_of):
    """Usage of any month by team, in millions of gpt-4o-mini input tokens at 0.15; charged with a tenth on top."""
    (tmp_path / "finops.toml").write_text(TOML, encoding="utf-8")
    ws = fa.open(tmp_path)

    def load(month, **millions):
        at = dt.datetime(2026, month, 5, tzinfo=dt.UTC)
        rows = [
            {"model": "gpt-4o-mini", "quantity": n * 1_000_000, "user_id": who, "at": at} for who, n in millions.items()
        ]
        ws.lake.replace("tokens", "openai", Window.month(f"2026-{month:02d}"), tokens_of(rows))

    ws.load = load
    load(9, search=10)
    load(10, search=20, gone=10)
    return ws


@pytest.fixture
def shown(monkeypatch):
    """What the notebook's functions display, as HTML."""
    out = []
    for module in (statements, charging):
        monkeypatch.setattr(module, "display", lambda html: out.append(html.data))
    monkeypatch.setattr(statements, "say", lambda *text: out.append(" ".join(text)))
    monkeypatch.setattr(statements, "note", out.append)
    return out


def run(ws, *args):
    try:
        main([*args, "--config", str(ws.settings.root / "finops.toml")])
    except SystemExit as stop:
        return stop.code or 0
    return 0


def overview(ws, month):
    return {
        r["receiver"]: (r["charge"], r["true_up"], r["due"]) for r in posting(ws, month).overview.to_dict("records")
    }


@pytest.mark.long
def test_a_statement_adds_up_to_what_is_due(ws, shown):
    post = posting(ws, "2026-10")
    # search: 20M x 0.15 = 3.00 and a tenth; gone: 1.50 and 0.15
    assert overview(ws, "2026-10") == {"search": (D("3.30"), 0, D("3.30")), "gone": (D("1.65"), 0, D("1.65"))}
    assert sum(post.statement("search")["amount"]) == D("3.30")
    with pytest.raises(DataError, match="Did you mean 'search'"):
        post.statement("serch")
    statements.head(post, "search", ws)
    statements.sentence(post, "search", ws)
    statements.body(post, "search")
    statements.trend(post, "search", ws)
    statements.incentives(post, "search")
    head, sentence, body, trend, incentive = shown
    assert "open: provisional until the month is closed" in head
    assert "Test &lt;company&gt;" in head
    # September 10M: 1.65, so twice as much now
    assert (
        "search owes <strong>3.30 USD</strong> for October 2026, 1.65 USD (100.0%) more than the month before"
        in sentence
    )
    assert "3.00 USD for usage, 0.30 USD for fees and margin" in sentence
    assert "20,000,000 tokens" in body
    assert "0.1500 per 1M tokens" in body
    assert re.search(r"Due for October 2026</th>.*3\.30", body, re.S)
    assert trend.count("<tr>") == 3  # head, October, September
    assert incentive == "No incentive changes this charge."


def test_statements_follow_the_page_s_colours(ws, shown):
    statements.body(posting(ws, "2026-10"), "search")
    assert "<style>" not in shown[0]
    assert "overflow" not in shown[0]  # one region scrolls, and the keyboard reaches it
    for inline in re.findall(r'style="([^"]*)"', shown[0]):
        assert not re.search(r"(?<!,)#[0-9a-f]{3,6}|rgb|white|black", inline), inline


@pytest.mark.long
def test_a_closed_month_stays_and_its_true_up_is_posted_later(ws, shown, tmp_path, capsys):
    assert run(ws, "close", "2026-10") == 0
    before = ws.allocated("2026-10")
    closed = posting(ws, "2026-10")
    files = {p.name: p.read_bytes() for p in closed.write(tmp_path / "one") if p.suffix != ".xlsx"}
    ws.load(10, search=30, gone=20)  # restated: 10M more each, 1.50 and 0.15 more
    (tmp_path / "finops.toml").write_text(TOML.replace("{user_id}", "other"), encoding="utf-8")
    again = fa.open(tmp_path)
    assert again.allocated("2026-10").equals(before)
    assert {
        p.name: p.read_bytes() for p in posting(again, "2026-10").write(tmp_path / "two") if p.suffix != ".xlsx"
    } == files
    (tmp_path / "finops.toml").write_text(TOML, encoding="utf-8")

    ws.load(11, search=10)
    assert run(ws, "true-up", "2026-10") == 0
    # November: 10M = 1.65 of its own, 1.65 for October; the team that is gone has a statement for its correction only
    assert overview(ws, "2026-11") == {
        "search": (D("1.65"), D("1.65"), D("3.30")),
        "gone": (0, D("1.65"), D("1.65")),
    }
    november = posting(ws, "2026-11")
    assert sum(november.entries["debit"]) == sum(november.entries["credit"]) == D("1.65") + D("3.30")
    assert [t.split()[:2] for t in november.statement("gone")["text"]] == [["2026-10:", "usage"]]
    assert sum(november.statement("search")["amount"]) == D("3.30")
    october = posting(ws, "2026-10")
    assert {p.name: p.read_bytes() for p in october.write(tmp_path / "three") if p.suffix != ".xlsx"} == files
    assert sum(october.corrections["difference"]) == D("3.30")

    statements.head(october, "search", ws)
    statements.corrections(october)
    statements.corrections(november)
    statements.sentence(november, "search", ws)
    statements.overview_sentence(november)
    head, none, since, posted, sentence, whole = shown
    assert f"closed on {dt.datetime.now(dt.UTC):%Y-%m-%d}, seal {ws.closed('2026-10').seal[:12]}" in head
    assert "No true-up" in none
    assert "November 2026" in since
    assert "stay as closed" in since
    assert "+3.30" in posted
    assert "1.65 USD for true-ups of earlier months" in sentence
    assert "true-ups of earlier months add 3.30 USD" in whole
    notes = state_notes(october, [])
    assert "its figures are those it was closed with" in notes[0]
    assert "+3.30 USD in 2026-11" in notes[1]

    capsys.readouterr()
    assert run(ws, "chargeback", "--month", "2026-10", "--format", "json") == 0
    assert {r["receiver"]: r["charge"] for r in json.loads(capsys.readouterr().out)} == {
        "search": "3.3",
        "gone": "1.65",
    }
    assert run(ws, "close", "2026-11") == 0  # with its true-up; October's second correction goes to December
    assert overview(ws, "2026-11")["search"] == (D("1.65"), D("1.65"), D("3.30"))


@pytest.mark.long
def test_a_tampered_close_makes_no_report(ws, tmp_path):
    run(ws, "close", "2026-10")
    path = tmp_path / "closed" / "2026-10" / "allocated.parquet"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckFailed, match=r"2026-10/allocated\.parquet: the file was changed"):
        make_report(ws, "2026-10", tmp_path / "out", config=str(tmp_path / "finops.toml"))
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_true_ups_of_another_currency_are_refused(ws, monkeypatch):
    run(ws, "close", "2026-10")
    ws.load(10, search=30)
    ws.load(11, search=10)
    run(ws, "true-up", "2026-10")
    facts = Sealed.facts.fget
    monkeypatch.setattr(
        Sealed,
        "facts",
        property(
            lambda sealed: {**facts(sealed), "currency": "EUR"} if sealed.entry.kind == "true-up" else facts(sealed)
        ),
    )
    with pytest.raises(DataError, match="in EUR; sums never mix currencies"):
        posting(ws, "2026-11")


@pytest.mark.long
def test_hostile_names_are_text_on_statements_and_in_files(ws, shown, tmp_path):
    ws.load(10, **{name: 10 + i for i, name in enumerate([*HOSTILE, "-1+1", "+cmd", "@x", "bell\x07", "quote'"])})
    post = posting(ws, "2026-10")
    for name in post.receivers:
        statements.head(post, name, ws)
        statements.sentence(post, name, ws)
        statements.body(post, name)
        assert re.fullmatch(r"chargeback_statement-[a-z0-9-]+\.html", statement_file(name))
    statements.ranking(post, ws, len(post.receivers))
    charging.journal_lines(post.entries)
    text = "".join(shown)
    assert "<img" not in text
    assert "<b>&" not in text
    assert "\u202e" not in text
    assert len({statement_file(n) for n in post.receivers}) == len(post.receivers)
    files = {p.name: p for p in post.write(tmp_path / "files")}
    for name in ("statements.csv", "journal.csv"):
        with files[name].open(newline="", encoding="utf-8") as handle:
            for row in csv.DictReader(handle):
                assert not any(v.startswith(("=", "+", "@")) for v in row.values()), row
                assert not row.get("receiver", "").startswith("-")
    book = openpyxl.load_workbook(files["statements.xlsx"])
    cells = [c for sheet in book for row in sheet.iter_rows() for c in row if c.value is not None]
    assert {c.data_type for c in cells} <= {"s", "n"}  # text or number, never a formula
    assert len(book.sheetnames) == 2 + len(post.receivers)


def test_the_workbook_has_sums_and_a_sheet_for_the_largest_only(ws, tmp_path, monkeypatch):
    monkeypatch.setattr("finops_ai.tables.journal.SHEETS", 1)
    posting(ws, "2026-10").write(tmp_path)
    book = openpyxl.load_workbook(tmp_path / "statements.xlsx")
    assert book.sheetnames == ["Summary", "Lines", "1 search"]
    rows = list(book["1 search"].values)
    assert rows[0] == ("kind", "text", "quantity", "unit", "rate", "amount")
    assert rows[1][2:] == (20_000_000, "tokens", 0.15, 3)
    assert rows[-1][0] == "total"
    assert rows[-1][-1] == 3.3
    with (tmp_path / "statements.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert sum(D(r["amount"]) for r in lines) == D("4.95")
    assert {r["receiver"] for r in lines} == {"search", "gone"}


def test_every_large_receiver_gets_a_page(ws, monkeypatch):
    post = posting(ws, "2026-10")
    pages = plan_pages(ws, post, "2026-10", "finops.toml", [], {})
    own = [p for p in pages if p.group == planning.STATEMENTS]
    assert [(p.title, p.file, p.parameters["receiver"]) for p in own] == [
        ("search", "chargeback_statement-search.html", "search"),
        ("gone", "chargeback_statement-gone.html", "gone"),
    ]
    assert pages[-1] is own[-1]  # quick ones last, so that jobs end together
    assert next(p for p in pages if p.name == "chargeback").parameters["statements_beside"] == 2
    monkeypatch.setattr(planning, "MOST_STATEMENTS", 1)
    pages = plan_pages(ws, post, "2026-10", "finops.toml", [], {})
    assert state_notes(post, pages) == [
        "The 1 largest of 2 statements have a page; all lines are in tables/statements.csv."
    ]
    one = plan_pages(ws, post, "2026-10", "finops.toml", ["chargeback_statement"], {"receiver": "gone"})
    assert [p.title for p in one] == ["gone"]


def test_a_month_that_cannot_be_charged_still_reports(ws, tmp_path):
    (tmp_path / "finops.toml").write_text(TOML.replace('markup = "0.1"', 'for = ["search"]'), encoding="utf-8")
    broken = fa.open(tmp_path)  # no tariff for "gone"
    assert site._posting(broken, "2026-10") is None
    pages = plan_pages(broken, None, "2026-10", "finops.toml", [], {})
    assert not [p for p in pages if p.group == planning.STATEMENTS]
    assert [p for p in pages if p.name == "chargeback"]


@pytest.mark.slow
def test_a_report_carries_statements_files_and_links(ws, tmp_path):
    made = make_report(
        ws,
        "2026-10",
        tmp_path / "out",
        config=str(tmp_path / "finops.toml"),
        only=["chargeback", "chargeback_statement"],
    )
    assert made.failed == []
    page = (made.folder / "chargeback.html").read_text("utf-8")
    for link in ("chargeback_statement-search.html", "tables/statements.xlsx", "tables/journal.json"):
        assert f'href="{link}"' in page
        assert (made.folder / link).exists()
    text = made.index.read_text("utf-8")
    assert 'href="tables/journal.csv"' in text
    assert 'href="chargeback_statement-gone.html"' in page
    statement = (made.folder / "chargeback_statement-gone.html").read_text("utf-8")
    assert "<title>Statement for gone</title>" in statement
    assert "1.65 USD" in statement


def test_a_long_journal_tells_the_largest_entries_and_adds_up_all(ws, shown):
    ws.load(10, **{f"team {i:03}": i + 1 for i in range(30)})
    post = posting(ws, "2026-10")
    charging.journal_lines(post.entries, top=5)
    cells = re.findall(r"<td [^>]*>(.*?)</td>", shown[0])
    assert "27 smaller entries, each in journal.csv" in cells  # 30 teams, clearing and margin, less five
    # 465M tokens x 0.15 = 69.75, and a tenth as margin, 6.975, rounded half-even for itself to 6.98
    assert cells[-2:] == ["76.73", "76.73"]
    debits = [D(c) for c in cells[3::5] if c]
    assert sum(debits[:-1]) == debits[-1]


def test_a_month_that_charges_nobody_is_said(ws, tmp_path, shown):
    text = TOML.replace('dimension = "team"', 'dimension = "team"\nnot_charged = ["search", "gone"]', 1)
    (tmp_path / "finops.toml").write_text(text, encoding="utf-8")
    spared = fa.open(tmp_path)
    post = posting(spared, "2026-10")
    with pytest.raises(DataError, match="Nobody is charged in 2026-10"):
        statements.chosen(post, "")
    statements.overview_sentence(post)
    statements.ranking(post, spared)
    charging.journal_lines(post.entries)
    assert "0.00 USD</strong> is charged to 0 teams" in shown[0]
    assert "4.50" in shown[-1]  # all of it on the central account
    assert not [p for p in plan_pages(spared, post, "2026-10", "finops.toml", [], {}) if p.group == planning.STATEMENTS]
