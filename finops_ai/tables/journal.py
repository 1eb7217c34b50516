"""The double-entry journal of a month's chargeback, and the files an ERP imports."""

from __future__ import annotations

import calendar
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import CheckFailed, RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.money import minor_units, round_to_total
from finops_ai.periods import parse_month
from finops_ai.tables.csv import write_csv
from finops_ai.tables.excel import write_workbook
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.tables.chargeback import Chargeback

#: account of each role unless `[journal]` says otherwise
ACCOUNTS = {"expense": "6100", "central": "6190", "clearing": "2190", "margin": "7190"}
COLUMNS = (
    "entry",
    "date",
    "period",
    "account",
    "cost_centre",
    "debit",
    "credit",
    "currency",
    "provider",
    "billing_account_id",
    "text",
)
_AMOUNT = pa.decimal128(38, 4)


def load_accounts(table: Mapping[str, Any] | None) -> dict[str, Any]:
    """Read the `[journal]` section: `expense`, `central`, `clearing`, `margin`, and `accounts` per receiver.

    Raises:
        RuleError: an unknown key, or an account that isn't text.
    """
    table = dict(table or {})
    keys = (*ACCOUNTS, "accounts")
    for key in table:
        if key not in keys:
            raise RuleError(f"journal: no key {key!r}. {hint(key, keys)}")
    own = table.get("accounts", {})
    if not isinstance(own, Mapping):
        raise RuleError("journal.accounts must be a table of receiver = account.")
    out = {role: str(table.get(role, default)) for role, default in ACCOUNTS.items()}
    return out | {"accounts": {str(k): str(v) for k, v in own.items()}}


def journal(charged: Chargeback, accounts: Mapping[str, Any] | None = None) -> Table:
    """Post a chargeback: receivers' expense against the providers' clearing accounts.

    Debits: each receiver's charge on its expense account; cost nobody is charged on the central account. Credits: the
    cost of each provider and billing account, on the clearing account; the margin (a debit where charges recover less
    than cost).

    Args:
        charged: the month's chargeback.
        accounts: the `[journal]` section.

    Returns:
        A table of entries with `debit` and `credit`, equal in sum, to the currency's minor unit.

    Raises:
        CheckFailed: debits and credits differ.
    """
    own = load_accounts(accounts)
    places = minor_units(charged.currency)
    by_account: dict[tuple[str, str], Decimal] = {}
    central = Decimal(0)
    for (provider, account, receiver), cost in sorted(charged.costs.items()):
        by_account[provider, account] = by_account.get((provider, account), Decimal(0)) + cost
        central += cost if receiver in charged.not_charged else Decimal(0)
    credits_ = dict(zip(by_account, round_to_total(list(by_account.values()), places), strict=True))
    rows: list[dict[str, Any]] = []
    for receiver, charge in zip(charged.summary["receiver"], charged.summary["charge"], strict=True):
        text = f"AI usage {charged.month}, {receiver}"
        rows.append(_row(own["accounts"].get(receiver, own["expense"]), receiver, Decimal(charge), text))
    left = round_to_total([central], places)[0]
    names = ", ".join(charged.not_charged)
    rows.append(_row(own["central"], "", left, f"AI usage {charged.month}, not charged ({names})"))
    for (provider, account), cost in credits_.items():
        rows.append(_row(own["clearing"], "", -cost, f"AI usage {charged.month}, {provider}", provider, account))
    margin = sum((r["debit"] - r["credit"] for r in rows), Decimal(0))
    rows.append(_row(own["margin"], "", -margin, f"Margin and rounding {charged.month}"))
    rows = [r for r in rows if r["debit"] or r["credit"]]
    first = parse_month(charged.month)
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    for number, row in enumerate(rows, 1):
        stamp = hashlib.sha256(f"{charged.month}|{number}|{row}".encode()).hexdigest()[:12]
        row |= {
            "entry": f"{charged.month}-{stamp}",
            "date": last,
            "period": charged.month,
            "currency": charged.currency,
        }
    debit, credit = (sum((r[k] for r in rows), Decimal(0)) for k in ("debit", "credit"))
    if debit != credit:
        raise CheckFailed(f"The journal of {charged.month} doesn't balance: debits {debit}, credits {credit}.")
    return journal_table(rows, charged.currency, charged.month)


def _row(
    account: str, centre: str, amount: Decimal, text: str, provider: str = "", billing_account: str = ""
) -> dict[str, Any]:
    """An entry: positive amounts are debits, negative ones credits."""
    zero = Decimal(0)
    return {
        "account": account, "cost_centre": centre, "debit": max(amount, zero), "credit": max(-amount, zero), "text": text,
        "provider": provider, "billing_account_id": billing_account,
    }  # fmt: skip


def journal_table(rows: list[dict[str, Any]], currency: str, period: str) -> Table:
    """Entries as a table."""
    kinds = {"debit": _AMOUNT, "credit": _AMOUNT, "date": pa.date32()}
    table = pa.table({name: pa.array([r[name] for r in rows], kinds.get(name, pa.string())) for name in COLUMNS})
    facts = Facts("Journal", currency, period, "debits equal credits", money=["debit", "credit"])
    return Table.of(to_pandas(table), facts)


def write_chargeback(charged: Chargeback, folder: Path, accounts: Mapping[str, Any] | None = None) -> list[Path]:
    """Write `statements.xlsx` (a sheet per receiver), `journal.csv`, `journal.xlsx` and `journal.json`.

    Text that a spreadsheet would run as a formula is neutralised in the CSV and stored as text in Excel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries = journal(charged, accounts).published()
    sheets = {"Summary": charged.summary.published()}
    for number, receiver in enumerate(charged.receivers, 1):
        sheets[f"{number} {receiver}"] = charged.statement(receiver).published()
    title = f"Chargeback {charged.month}"
    written = [
        write_workbook(folder / "statements.xlsx", sheets, title=title),
        write_workbook(folder / "journal.xlsx", {"Journal": entries}, title=title),
        folder / "journal.csv",
        folder / "journal.json",
    ]
    write_csv(entries, written[2])
    places = minor_units(charged.currency)
    records = [{k: _json(v, places) for k, v in row.items()} for row in entries.astype(object).to_dict("records")]
    document = {"period": charged.month, "currency": charged.currency, "entries": records}
    written[3].write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return written


def _json(value: Any, places: int) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.{places}f}"
    if value is None or value is pd.NA or value != value:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
