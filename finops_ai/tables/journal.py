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
#: receivers with a sheet of their own in the workbook; the others are among its lines
SHEETS = 100
FILES = ("statements.xlsx", "statements.csv", "journal.xlsx", "journal.csv", "journal.json")


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
    by_account: dict[tuple[str, str], Decimal] = {}
    central = Decimal(0)
    for (provider, account, receiver), cost in sorted(charged.costs.items()):
        by_account[provider, account] = by_account.get((provider, account), Decimal(0)) + cost
        central += cost if receiver in charged.not_charged else Decimal(0)
    rows: list[dict[str, Any]] = []
    for receiver, charge in zip(charged.summary["receiver"], charged.summary["charge"], strict=True):
        text = f"AI usage {charged.month}, {receiver}"
        rows.append(_row(own["accounts"].get(receiver, own["expense"]), receiver, Decimal(charge), text))
    names = ", ".join(charged.not_charged)
    rows.append(_row(own["central"], "", central, f"AI usage {charged.month}, not charged ({names})"))
    for (provider, account), cost in by_account.items():
        rows.append(_row(own["clearing"], "", -cost, f"AI usage {charged.month}, {provider}", provider, account))
    margin = sum((r["debit"] - r["credit"] for r in rows), Decimal(0))
    rows.append(_row(own["margin"], "", -margin, f"Margin {charged.month}"))
    rows = [r for r in rows if r["debit"] or r["credit"]]
    first = parse_month(charged.month)
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    for row in rows:
        row |= {"date": last, "period": charged.month, "currency": charged.currency}
    number_entries(rows, charged.month)
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


def number_entries(rows: list[dict[str, Any]], period: str, posting: str = "") -> None:
    """Give each entry an id made of all it says and of the posting it belongs to, so that no id ever has two contents.

    An entry keeps its id as long as it stays the same, whoever is charged beside it.

    Args:
        rows: entries without `entry`.
        period: the month they are posted in.
        posting: which correction they belong to; "" for the month's own.
    """
    seen: dict[str, int] = {}
    for row in rows:
        told = "|".join(f"{name}={row[name]}" for name in COLUMNS if name != "entry")
        seen[told] = seen.get(told, 0) + 1
        row["entry"] = f"{period}-{hashlib.sha256(f'{posting}|{told}|{seen[told]}'.encode()).hexdigest()[:16]}"


def journal_table(rows: list[dict[str, Any]], currency: str, period: str) -> Table:
    """Entries as a table."""
    kinds = {"debit": _AMOUNT, "credit": _AMOUNT, "date": pa.date32()}
    table = pa.table({name: pa.array([r[name] for r in rows], kinds.get(name, pa.string())) for name in COLUMNS})
    facts = Facts("Journal", currency, period, "debits equal credits", money=["debit", "credit"])
    return Table.of(to_pandas(table), facts)


def write_chargeback(charged: Chargeback, folder: Path, accounts: Mapping[str, Any] | None = None) -> list[Path]:
    """Write a chargeback's files (see `write_files`)."""
    return write_files(folder, charged.summary, charged.lines, journal(charged, accounts))


def write_files(folder: Path, summary: Table, lines: Table, entries: Table) -> list[Path]:
    """Write `statements.xlsx`, `statements.csv` and the journal as `journal.xlsx`, `.csv` and `.json`.

    The workbook has a summary, all lines, and a sheet for each of the `SHEETS` largest receivers, its lines and their sum.
    Text that a spreadsheet would run as a formula is neutralised in the CSV and stored as text in Excel.

    Args:
        folder: made if missing.
        summary: one row per receiver, in order.
        lines: statement lines of all receivers.
        entries: the journal.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    month, places = entries.facts.period, minor_units(entries.facts.currency)
    posted, shown = _posted(entries, places), _posted(lines, places).drop(columns="exact", errors="ignore")
    sheets = {"Summary": _posted(summary, places), "Lines": shown}
    parts = dict(iter(shown.groupby("receiver", sort=False)))
    for number, receiver in enumerate(list(summary["receiver"])[:SHEETS], 1):
        own = parts.get(receiver, shown.iloc[:0]).drop(columns="receiver")
        total = dict.fromkeys(own.columns) | {"kind": "total", "amount": sum(own["amount"], Decimal(0))}
        sheets[f"{number} {receiver}"] = pd.DataFrame(
            [*own.to_dict("records"), total], columns=own.columns, dtype=object
        )
    title = f"Chargeback {month}"
    files = [folder / name for name in FILES]
    write_workbook(files[0], sheets, title=title)
    write_csv(shown, files[1])
    write_workbook(files[2], {"Journal": posted}, title=title)
    write_csv(posted, files[3])
    records = [{k: _json(v, places) for k, v in row.items()} for row in posted.astype(object).to_dict("records")]
    document = {"period": month, "currency": entries.facts.currency, "entries": records}
    files[4].write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return files


def _posted(table: Table, places: int) -> pd.DataFrame:
    """A table's amounts in the currency's minor units, adding up; rates and quantities without idle decimals."""
    out = pd.DataFrame(table).astype(object)
    out = out.where(out.notna(), None)
    for name in table.facts.money:
        out[name] = pd.Series(round_to_total(list(out[name]), places), index=out.index, dtype=object)
    for name in {"quantity", "rate"} & set(out.columns):
        out[name] = pd.Series([None if v is None else _short(v) for v in out[name]], index=out.index, dtype=object)
    return out


def _short(value: Decimal) -> Decimal:
    """At most six decimals, and none for a whole number."""
    value = value.quantize(Decimal("0.000001"))
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


def _json(value: Any, places: int) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.{places}f}"
    if value is None or value is pd.NA or value != value:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
