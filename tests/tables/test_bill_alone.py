"""A month with a bill and no usage is charged like any other: every line of the bill is allocated, closed and trued up."""

from __future__ import annotations

import csv
import datetime as dt
import re
from decimal import Decimal as D

import pytest

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import ClosedPeriodError, DataError
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import UTC, Window
from finops_ai.tables.bill_alone import bill_alone
from finops_ai.tables.closing import close_month, preview, true_up_month
from finops_ai.tables.posting import posting

TOML = """
[workspace]
[dimensions.team]
[[rules]]
name = "account"
when = { sub_account_id = "s1" }
set = { team = "legal" }
[chargeback]
dimension = "team"
[close]
priced = "0.99"
attributed = "0.95"
"""


def bill(folder, month, *lines):
    number = int(month[5:])
    period = [dt.datetime(2026, n, 1, tzinfo=UTC) for n in (number, number + 1)]
    rows = [
        {
            "provider": "openai", "billing_account_id": "acct", "sub_account_id": "s1", "billing_period_start": period[0], "billing_period_end": period[1],
            "charge_period_start": period[0], "charge_period_end": period[1], "charge_category": kind, "charge_description": text,
            "billed_cost": D(cost), "billing_currency": "USD", "source": "file", "meter": "unmapped", "invoice_id": f"{month}-1",
        }
        for kind, text, cost in lines
    ]  # fmt: skip
    frame = conform({name: [row[name] for row in rows] for name in rows[0]}, BillFrame, source="test")
    fa.open(folder).lake.replace("bills", "openai", Window.month(month), frame)
    return fa.open(folder)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "finops.toml").write_text(TOML, encoding="utf-8")
    bill(tmp_path, "2026-07", ("Purchase", "Seats", "40"))
    bill(tmp_path, "2026-08", ("Purchase", "Seats", "200"), ("Credit", "Sorry", "-30"))
    return tmp_path


def accounts(entries):
    return {(r["account"], r["cost_centre"]): r["debit"] - r["credit"] for r in entries.to_dict("records")}


def test_the_bills_lines_are_charged(folder):
    made = posting(fa.open(folder), "2026-08")
    assert dict(zip(made.overview["receiver"], made.overview["due"], strict=True)) == {"legal": 170}
    assert accounts(made.entries) == {("6100", "legal"): 170, ("2190", ""): -170}
    with pytest.raises(DataError, match="no usage of 2026-09 to charge, and no bill"):
        posting(fa.open(folder), "2026-09")


def test_it_is_closed_in_order_and_trued_up(folder):
    ws = fa.open(folder)
    assert preview(ws, "2026-07").gates["passed"].all()  # nothing is unpriced where nothing was used
    close_month(ws, "2026-07")
    later = bill(folder, "2026-09", ("Purchase", "Seats", "5"))
    with pytest.raises(ClosedPeriodError, match="2026-08 is open"):
        close_month(later, "2026-09")
    close_month(later, "2026-08")
    ws = bill(folder, "2026-08", ("Purchase", "Seats", "210"), ("Credit", "Sorry", "-30"))
    entries, _ = true_up_month(ws, "2026-08")
    assert accounts(entries) == {("6100", "legal"): 10, ("2190", ""): -10}
    assert true_up_month(fa.open(folder), "2026-08")[1] is None
    made = posting(fa.open(folder), "2026-09")
    assert dict(zip(made.overview["receiver"], made.overview["due"], strict=True)) == {"legal": 15}


def told(capsys, folder, *command):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--config", str(folder / "finops.toml")])
    return ended.value.code, *capsys.readouterr()


def test_showback_shows_every_line_of_the_bill(folder, capsys):
    """40 USD of seats in July; in August 200 and a credit of 30, and 7.50 of tax that nobody is charged."""
    (folder / "finops.toml").write_text(
        TOML + '[[bill]]\nname = "tax"\nwhen = { kind = "tax" }\npost = "tax"\n', "utf-8"
    )
    bill(
        folder, "2026-08", ("Purchase", "Seats", "200"), ("Credit", "Sorry", "-30"), ("Tax", "VAT", "7.50"),
        ("Usage", "Tokens", "1.25"),
    )  # fmt: skip
    code, text, _ = told(
        capsys, folder, "showback", "--month", "2026-08", "--by", "provider", "--by", "team", "--format", "csv"
    )
    rows = list(csv.DictReader(text.splitlines()))
    found = [(r["provider"], r["team"], D(r["cost"])) for r in rows]
    assert found == [
        ("openai", "legal", 200),
        ("openai", "", D("7.50")),
        ("openai", "legal", D("1.25")),
        ("openai", "legal", -30),
    ]
    assert code == 0
    charged = fa.open(folder)
    assert sum(posting(charged, "2026-08").overview["due"]) == D("171.25")
    made = bill_alone(charged, "2026-08", ["model"])
    assert sum(made["cost"]) == D("178.75")
    assert made["model"].isna().all()
    assert "doesn't tell model" in made.facts.notes[1]


@pytest.mark.parametrize("command", [["recommend"], ["kpis"], ["report", "--out", "reports"]])
def test_what_needs_usage_says_where_the_bill_is_shown(folder, capsys, monkeypatch, command):
    monkeypatch.chdir(folder)
    code, _, text = told(capsys, folder, *command, "--month", "2026-08")
    assert code == 3
    assert "There is a bill of it: `finops-ai showback --month 2026-08` shows its lines" in text


def test_a_month_closed_with_six_digits_keeps_its_journal_s_number(folder, capsys):
    ws = fa.open(folder)
    made = preview(ws, "2026-07")
    assert made.facts.pop("journal_numbers") == "long"
    ws.ledger.close("2026-07", made.tables, documents=made.documents, facts=made.facts)
    for month, number in (("2026-07", "AI-202607-[0-9a-f]{6}"), ("2026-08", "AI2608-[A-Z2-7]{9}")):
        gl = folder / month
        with pytest.raises(SystemExit, match="0"):
            main(["chargeback", "--month", month, "--out", str(gl), "--ledger", "neutral", "--config", str(folder / "finops.toml")])  # fmt: skip
        rows = list(csv.DictReader((gl / "neutral.csv").read_text("utf-8").splitlines()))
        assert all(re.fullmatch(number, row["journal"]) for row in rows)
        assert len(rows) == 2
    capsys.readouterr()
