"""Journals as ledgers import them, read back by readers written from each ledger's own documentation."""

from __future__ import annotations

import csv
import datetime as dt
import re
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finops_ai.errors import CheckFailed, DataError, RuleError
from finops_ai.tables.journal import journal_table, number_entries
from finops_ai.tables.journal_forms import journals, write_form

D = Decimal


def entries(*rows):
    """Entries from (account, cost centre, amount, text) or with transaction currency and amount after them."""
    out = []
    for account, centre, amount, text, *native in rows:
        currency, own = native or ("USD", amount)
        amount, own = D(amount), D(own)
        out.append({
            "account": account, "cost_centre": centre, "debit": max(amount, D(0)), "credit": max(-amount, D(0)), "text": text,
            "provider": "", "billing_account_id": "", "invoice_id": "", "entity": "US01", "tax_code": "", "date": dt.date(2026, 10, 31),
            "period": "2026-10", "currency": "USD", "transaction_currency": currency, "transaction_debit": max(own, D(0)),
            "transaction_credit": max(-own, D(0)),
        })  # fmt: skip
    number_entries(out, "2026-10")
    return journal_table(out, "USD", "2026-10")


def simple():
    return entries(
        ("6100", "search", "70.10", "AI usage"), ("6190", "", "-5.10", "rounding"), ("2190", "", "-65", "openai")
    )


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


# --- readers: what each ledger does with such a file, and what it refuses


def xero(paths):
    """help.xero.com, manual journals: 300 lines a file, one narration and date = one journal, dd/mm/yyyy, debit positive."""
    found = {}
    for path in paths:
        rows = read(path)
        assert rows[0][:6] == ["*Narration", "*Date", "Description", "*AccountCode", "*TaxRate", "*Amount"]
        assert len(rows) - 1 <= 300
        for row in (dict(zip(rows[0], r, strict=True)) for r in rows[1:]):
            assert all(row[name] for name in rows[0] if name.startswith("*"))
            dt.datetime.strptime(row["*Date"], "%d/%m/%Y")
            assert bool(row["TrackingName1"]) == bool(row["TrackingOption1"])
            found.setdefault((row["*Narration"], row["*Date"]), []).append(
                (row["*AccountCode"], row["TrackingOption1"], D(row["*Amount"]))
            )
    return found


def two_sided(paths, number, date, account, debit, credit, centre, form):
    found = {}
    for path in paths:
        rows = read(path)
        for row in (dict(zip(rows[0], r, strict=True)) for r in rows[1:]):
            dt.datetime.strptime(row[date], form)
            assert bool(row[debit]) != bool(row[credit])  # one side, the other one blank, never 0
            amount = D(row[debit] or 0) - D(row[credit] or 0)
            assert D(row[debit] or row[credit]) > 0
            found.setdefault(row[number], []).append((row[account], row[centre], amount))
    return found


def quickbooks(paths):
    """quickbooks.intuit.com, import journal entries: lines of one number are an entry, debits and credits in columns of their own."""
    assert all(len(read(p)) - 1 <= 1000 for p in paths)
    return two_sided(paths, "Journal No", "Journal Date", "Account Name", "Debits", "Credits", "Class", "%m/%d/%Y")


def netsuite(paths):
    """docs.oracle.com, journal entry line fields: two lines at least, balanced, 10 digits before and 2 after the point."""
    found = two_sided(paths, "External ID", "Date", "Account", "Debit", "Credit", "Department", "%m/%d/%Y")
    assert all(len(lines) >= 2 for lines in found.values())
    assert all(abs(amount) < 10**10 and amount == round(amount, 2) for lines in found.values() for *_, amount in lines)
    return found


def sap(paths):
    """Upload General Journal Entries: per entry a header, then at most 999 items with G/L account, debit or credit."""
    found, number, mode, names = {}, "", "", []
    for path in paths:
        for row in read(path):
            if row in (["Header"], ["Line Items"]):
                mode, names = row[0], []
            elif row and not names:
                names = row
            elif row and mode == "Header":
                header = dict(zip(names, row, strict=True))
                assert len(header["Company Code"]) <= 4
                assert len(header["Document Header Text"]) <= 25
                dt.date.fromisoformat(header["Posting Date"])
                number = header["Reference Document Number"]
            elif row:
                item = dict(zip(names, row, strict=True))
                assert len(item["Item Text"]) <= 50
                assert bool(item["Debit"]) != bool(item["Credit"])
                amount = D(item["Debit"] or 0) - D(item["Credit"] or 0)
                found.setdefault(number, []).append((item["G/L Account"], item["Cost Center"], amount))
    assert all(len(lines) <= 999 for lines in found.values())
    return found


def neutral(paths):
    return two_sided(paths, "journal", "date", "account", "debit", "credit", "cost_centre", "%Y-%m-%d")


READERS = {"xero": xero, "quickbooks": quickbooks, "netsuite": netsuite, "sap": sap, "neutral": neutral}


def sums(found):
    out = {}
    for lines in found.values():
        assert sum(amount for *_, amount in lines) == 0  # every journal balances, or the ledger refuses it
        for account, centre, amount in lines:
            out[account, centre] = out.get((account, centre), D(0)) + amount
    return out


@pytest.mark.parametrize("name", READERS)
def test_each_form_is_read_back_by_its_ledger_s_rules(name, tmp_path):
    found = READERS[name](write_form(simple(), name, tmp_path))
    assert sums(found) == {("6100", "search"): D("70.10"), ("6190", ""): D("-5.10"), ("2190", ""): D(-65)}
    assert len(found) == 1


#: the same journal written by hand as each ledger's own page or template has it (sources in journal_forms.toml); N its number
BY_HAND = {
    "xero": """\
*Narration,*Date,Description,*AccountCode,*TaxRate,*Amount,TrackingName1,TrackingOption1,TrackingName2,TrackingOption2
N,31/10/2026,AI usage,6100,Tax Exempt (0%),70.10,Cost centre,search,,
N,31/10/2026,rounding,6190,Tax Exempt (0%),-5.10,,,,
N,31/10/2026,openai,2190,Tax Exempt (0%),-65.00,,,,
""",
    "netsuite": """\
External ID,Date,Subsidiary,Currency,Memo,Account,Debit,Credit,Line Memo,Department,Tax Code
N,10/31/2026,US01,USD,AI cost 2026-10,6100,70.10,,AI usage,search,
N,10/31/2026,US01,USD,AI cost 2026-10,6190,,5.10,rounding,,
N,10/31/2026,US01,USD,AI cost 2026-10,2190,,65.00,openai,,
""",
    "quickbooks": """\
Journal No,Journal Date,Currency,Account Name,Description,Debits,Credits,Class
N,10/31/2026,USD,6100,AI usage,70.10,,search
N,10/31/2026,USD,6190,rounding,,5.10,
N,10/31/2026,USD,2190,openai,,65.00,
""",
    "sap": """\
Header
Company Code,Journal Entry Type,Journal Entry Date,Posting Date,Document Header Text,Reference Document Number,Transaction Currency
US01,SA,2026-10-31,2026-10-31,AI cost 2026-10,N,USD
Line Items
Company Code,G/L Account,Item Text,Debit,Credit,Tax Code,Cost Center,Assignment
US01,6100,AI usage,70.10,,,search,
US01,6190,rounding,,5.10,,,
US01,2190,openai,,65.00,,,

""",
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_file_as_the_ledger_s_documentation_has_it(name, tmp_path):
    [path] = write_form(simple(), name, tmp_path)
    number = journals(simple(), name)[0].number
    assert path.read_text("utf-8").replace(number, "N") == BY_HAND[name]
    [read_by_hand] = READERS[name]([_put(tmp_path / "by-hand.csv", BY_HAND[name])]).values()
    assert read_by_hand == [("6100", "search", D("70.10")), ("6190", "", D("-5.10")), ("2190", "", D(-65))]


def _put(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", READERS)
def test_long_journals_are_cut_into_ones_that_balance(name, tmp_path):
    many = entries(*((f"61{i:04}", f"c{i}", "1.07", "x") for i in range(1300)), ("2190", "", "-1391.00", "openai"))
    found = READERS[name](write_form(many, name, tmp_path))
    expected = {(f"61{i:04}", f"c{i}"): D("1.07") for i in range(1300)} | {("2190", ""): D("-1391.00")}
    assert sums(found) == expected
    assert len(found) == {"xero": 5, "quickbooks": 2, "sap": 2}.get(name, 1)


def test_a_journal_per_transaction_currency_leaves_exchange_differences_to_the_ledger(tmp_path):
    rows = entries(
        ("6100", "search", "25.00", "x", "EUR", "20.00"), ("2190", "", "-26.67", "x", "EUR", "-20.00"),
        ("6880", "", "1.67", "exchange", "EUR", "0"), ("6100", "ops", "3", "x", "JPY", "400"), ("2190", "", "-3", "x", "JPY", "-400"),
    )  # fmt: skip
    found = neutral(write_form(rows, "neutral", tmp_path, amounts="transaction"))
    assert sorted(sorted(lines) for lines in found.values()) == [
        [("2190", "", D(-400)), ("6100", "ops", D(400))], [("2190", "", D("-20.00")), ("6100", "search", D("20.00"))],
    ]  # fmt: skip
    assert ",400," in (tmp_path / "neutral.csv").read_text()  # yen have no cents
    assert sums(neutral(write_form(rows, "neutral", tmp_path)))["6880", ""] == D("1.67")


def test_what_a_ledger_would_refuse_is_said(tmp_path):
    with pytest.raises(DataError, match=r"\*AccountCode '61000000000' .* longer than 10"):
        write_form(entries(("61000000000", "", "1", "x"), ("2190", "", "-1", "x")), "xero", tmp_path)
    with pytest.raises(RuleError, match="Did you mean 'netsuite'"):
        write_form(simple(), "netsweet", tmp_path)
    with pytest.raises(CheckFailed, match="don't balance"):
        write_form(entries(("6100", "", "1", "x")), "sap", tmp_path)
    assert not any(tmp_path.iterdir())
    [path] = write_form(entries(("6100", "=HYPERLINK(1)", "1", "x"), ("2190", "", "-1", "x")), "neutral", tmp_path)
    assert "'=HYPERLINK(1)" in path.read_text()


#: receivers and texts that a file can trip over, and how a cell shows them
ODD = {
    'K, "Süd"': 'K, "Süd"', "研究;開発": "研究;開発", "O'N | R&D": "O'N | R&D", "=SUM(A1)": "'=SUM(A1)",
    "-12a": "'-12a", "two\nlines": "two lines", " padded ": " padded ", "🚀 lab": "🚀 lab", "null": "null", "0": "0",
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_names_come_through_as_they_are_and_texts_fit(name, tmp_path):
    """Every kind of line: charges, credits, a cent, nothing at all; texts of more characters than any form has room for."""
    texts = ("=" + "x" * 5000, "\n" * 60, "é" * 200, "plain")
    rows = [("6100", centre, str(D(i + 1) / 100), texts[i % 4]) for i, centre in enumerate(ODD)]
    rows += [("6190", "", "-3.33", "rounding"), ("6880", "", "0", "nothing"), ("2190", "", "2.78", "=openai")]
    found = READERS[name](write_form(entries(*rows), name, tmp_path))
    expected = {("6100", shown): D(i + 1) / 100 for i, shown in enumerate(ODD.values())}
    assert sums(found) == expected | {("6190", ""): D("-3.33"), ("2190", ""): D("2.78")}


def test_what_the_ledger_calls_a_receiver(tmp_path):
    rows = entries(
        ("6100", "customer support", "2", "x"), ("6100", "lab", "1", "x"), ("2190", "", "-3", "customer support")
    )
    with pytest.raises(
        DataError, match=r"Cost Center 'customer support' .* longer than 10 .* \[journal\.cost_centres\]"
    ):
        write_form(rows, "sap", tmp_path)
    found = sap(write_form(rows, "sap", tmp_path, cost_centres={"customer support": "CC4711"}))
    assert sums(found) == {("6100", "CC4711"): D(2), ("6100", "lab"): D(1), ("2190", ""): D(-3)}


def test_a_ledger_of_two_decimals_is_not_given_three(tmp_path):
    rows = entries(("6100", "a", "3.25", "x", "KWD", "1.001"), ("2190", "", "-3.25", "x", "KWD", "-1.001"))
    with pytest.raises(DataError, match="takes 2 decimals, and KWD has 3"):
        write_form(rows, "netsuite", tmp_path, amounts="transaction")
    assert sums(netsuite(write_form(rows, "netsuite", tmp_path)))["6100", "a"] == D("3.25")


def test_the_same_entries_have_the_same_number_and_others_another():
    one, two = (journals(simple(), "sap")[0].number for _ in range(2))
    other = journals(entries(("6100", "search", "1", "x"), ("2190", "", "-1", "x")), "sap")[0].number
    assert one == two != other


def test_no_two_of_many_journals_have_one_number_and_old_ones_keep_theirs():
    """9,000 entities' journals of one month: six digits give a pair of them one number; SAP has room for 16 characters."""
    rows = []
    for n in range(9000):
        for account, debit, credit in (("6100", D(1), D(0)), ("2190", D(0), D(1))):
            rows.append({"entity": f"E{n}", "account": account, "currency": "USD", "debit": debit, "credit": credit, "period": "2026-10"})  # fmt: skip
    old, new = (
        [j.number for j in journals(pd.DataFrame(rows), "neutral", short_numbers=short)] for short in (True, False)
    )
    assert len(set(old)) < len(old) == 9000 == len(set(new))
    assert {len(n) for n in new} == {16}
    assert new[0].startswith("AI2610-")
    assert all(re.fullmatch("AI-202610-[0-9a-f]{6}", n) for n in old)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-10_000, 10_000).filter(bool), min_size=1, max_size=40), st.integers(2, 7))
def test_any_journal_is_cut_into_pieces_that_balance_and_make_it_up(amounts, most):
    from finops_ai.tables.journal_forms import _cut

    lines = [{"period": "2026-10", "currency": "USD", "account": str(i), "amount": D(a)} for i, a in enumerate(amounts)]
    if rest := -sum(amounts):
        lines.append({"period": "2026-10", "currency": "USD", "account": "rest", "amount": D(rest)})
    pieces = list(_cut(lines, most))
    assert all(len(p) <= most and sum(x["amount"] for x in p) == 0 for p in pieces)
    back = {}
    for line in (x for p in pieces for x in p):
        back[line["account"]] = back.get(line["account"], D(0)) + line["amount"]
    assert back == {x["account"]: x["amount"] for x in lines}
