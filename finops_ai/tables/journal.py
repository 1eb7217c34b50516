"""The double-entry journal of a month's chargeback, and the files an ERP imports."""

from __future__ import annotations

import calendar
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
from finops_ai.tables.parts import OWED, STATED, Part
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.tables.chargeback import Chargeback

#: account of each role unless `[journal]` says otherwise; without one of their own accruals are booked on the clearing account, and
#: what a billing cycle charges with another month on the prepaid one
ACCOUNTS = {
    "expense": "6100", "central": "6190", "clearing": "2190", "margin": "7190", "accrual": "", "prepaid": "1490", "tax": "1570",
    "price_difference": "6195", "rounding": "6196", "exchange": "6880", "intercompany": "1590",
    "billing_cycle": "",
}  # fmt: skip
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
    "invoice_id",
    "entity",
    "tax_code",
    "transaction_currency",
    "transaction_debit",
    "transaction_credit",
)
_AMOUNTS = ("debit", "credit", "transaction_debit", "transaction_credit")
_AMOUNT = pa.decimal128(38, 4)
#: receivers with a sheet of their own in the workbook; the others are among its lines
SHEETS = 100
FILES = ("statements.xlsx", "statements.csv", "journal.xlsx", "journal.csv", "journal.json")


@dataclass(frozen=True)
class Accounts:
    """The `[journal]` section: which account, legal entity and tax code an entry gets.

    Attributes:
        roles: account by role, see `ACCOUNTS`.
        receivers: expense account of receivers that have their own.
        providers: clearing account by provider, or by "provider/billing account".
        tax_codes: tax code by role.
        cost_centres: what the ledger calls a receiver, where that isn't its name; used where a journal is exported.
        entity: the legal entity of everything that isn't told apart below; "" = one entity.
        entity_of: legal entity by receiver, and by "provider/billing account" or provider.
    """

    roles: Mapping[str, str]
    receivers: Mapping[str, str] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    tax_codes: Mapping[str, str] = field(default_factory=dict)
    cost_centres: Mapping[str, str] = field(default_factory=dict)
    entity: str = ""
    entity_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def account(self, role: str, receiver: str = "", provider: str = "", billing_account: str = "") -> str:
        """The account of an entry."""
        if role == "expense":
            return self.receivers.get(receiver, self.roles["expense"])
        if role == "clearing" or (role == "accrual" and not self.roles["accrual"]):
            own = self.providers.get(f"{provider}/{billing_account}", self.providers.get(provider))
            return own or self.roles["clearing"]
        return self.roles[role] or self.roles["prepaid"]

    def entity_at(self, receiver: str = "", provider: str = "", billing_account: str = "") -> str:
        """The legal entity of an entry."""
        by_receiver, by_account = self.entity_of.get("receivers", {}), self.entity_of.get("accounts", {})
        if receiver:
            return by_receiver.get(receiver, self.entity)
        return by_account.get(f"{provider}/{billing_account}", by_account.get(provider, self.entity))


def load_accounts(table: Mapping[str, Any] | Accounts | None) -> Accounts:
    """Read the `[journal]` section: an account per role of `ACCOUNTS`, and the tables `accounts` (receiver = account),
    `providers` ("provider/billing account" = account), `tax_codes` (role = code), `cost_centres` (receiver = code) and `entities`
    (`central`, `receivers`, `accounts`).

    Raises:
        RuleError: an unknown key, or an account that isn't text.

    >>> load_accounts({"clearing": "2190", "providers": {"openai": "2191"}}).account("clearing", provider="openai")
    '2191'
    """
    if isinstance(table, Accounts):
        return table
    table = dict(table or {})
    tables = ("accounts", "providers", "tax_codes", "cost_centres")
    keys = (*ACCOUNTS, *tables, "entities")
    for key in table:
        if key not in keys:
            raise RuleError(f"journal: no key {key!r}. {hint(key, keys)}")
    receivers, providers, codes, centres = (_texts(table, name) for name in tables)
    for role in codes:
        if role not in ACCOUNTS:
            raise RuleError(f"journal.tax_codes: no role {role!r}. {hint(role, ACCOUNTS)}")
    entities = table.get("entities", {})
    if not isinstance(entities, Mapping) or set(entities) - {"central", "receivers", "accounts"}:
        raise RuleError(
            "journal.entities has the keys central (a name), receivers and accounts (tables of name = entity)."
        )
    if entities and not isinstance(entities.get("central"), str):
        raise RuleError("journal.entities.central names the legal entity that is settled with.")
    of = {name: _texts(entities, name, "journal.entities") for name in ("receivers", "accounts")}
    roles = {role: str(table.get(role, default)) for role, default in ACCOUNTS.items()}
    return Accounts(roles, receivers, providers, codes, centres, str(entities.get("central", "")), of)


def _texts(table: Mapping[str, Any], name: str, place: str = "journal") -> dict[str, str]:
    own = table.get(name, {})
    if not isinstance(own, Mapping):
        raise RuleError(f"{place}.{name} must be a table of name = value.")
    return {str(k): str(v) for k, v in own.items()}


def journal(charged: Chargeback, accounts: Mapping[str, Any] | Accounts | None = None) -> Table:
    """Post a chargeback: receivers' expense against what the providers are owed.

    Debits: each receiver's charge on its expense account; cost nobody is charged on the central account; what was paid ahead.
    Credits: what is payable per provider, billing account and invoice on the clearing account, or accrued where there is no bill
    yet; what is drawn from what was paid ahead; the margin. Price difference, rounding and exchange difference are entries of
    their own, so that the invoice is charged plus stated differences. Entries say their amount in the currency of the charges, and
    in that of the transaction.

    Args:
        charged: the month's chargeback.
        accounts: the `[journal]` section.

    Returns:
        A table of entries with `debit` and `credit`, equal in sum, to the currency's minor unit; `transaction_debit` and
        `transaction_credit` are equal in every transaction currency and legal entity, too.

    Raises:
        CheckFailed: debits and credits differ.
    """
    own, month, home = load_accounts(accounts), charged.month, charged.currency
    parts = charged.parts or parts_of_costs(charged.costs, home)
    rows: list[dict[str, Any]] = []

    def post(
        role: str, text: str, amount: Decimal, native: Decimal, currency: str, receiver: str = "", *place: str
    ) -> None:
        provider, account, invoice = (*place, "", "", "")[:3]
        rows.append(entry_amounts(amount, native) | {
            "account": own.account(role, receiver, provider, account), "cost_centre": receiver, "text": text, "provider": provider,
            "billing_account_id": account, "invoice_id": invoice, "entity": own.entity_at(receiver, provider, account),
            "tax_code": own.tax_codes.get(role, ""), "transaction_currency": currency,
        })  # fmt: skip

    by_receiver: dict[str, dict[str, list[Decimal]]] = {}
    kept: dict[str, list[Decimal]] = {}
    for p in (p for p in parts if p.receiver or p.item == "central"):
        spared = p.item == "central" or p.receiver in charged.not_charged
        found = (kept if spared else by_receiver.setdefault(p.receiver, {})).setdefault(p.currency, [Decimal(0)] * 2)
        found[0], found[1] = found[0] + p.amount, found[1] + p.native
    for receiver, charge in zip(charged.summary["receiver"], charged.summary["charge"], strict=True):
        sums = by_receiver.get(receiver, {})
        rest = Decimal(charge) - sum((amount for amount, _ in sums.values()), Decimal(0))
        at_home = sums.setdefault(home, [Decimal(0)] * 2)
        sums[home] = [at_home[0] + rest, at_home[1] + rest]
        for currency, (amount, native) in sums.items():
            post("expense", f"AI usage {month}, {receiver}", amount, native, currency, receiver)
    names = ", ".join(charged.not_charged)
    for currency, (amount, native) in kept.items():
        post("central", f"AI usage {month}, not charged ({names})", amount, native, currency)
    for p in parts:
        place = (p.provider, p.account, p.invoice)
        if p.item in OWED:
            text = f"AI usage {month}, {p.provider}" + (f", invoice {p.invoice}" if p.invoice else "")
            role = "clearing" if p.item == "payable" else "accrual"
            post(role, text, -p.amount, -p.native, p.currency, "", *place)
        elif p.item in STATED and not p.receiver and p.item != "central":
            post(p.item, f"{p.text}, {month}, {p.provider}", p.amount, p.native, p.currency, "", *place)
    margin = -sum(charged.summary["margin"], Decimal(0)) - sum(charged.summary["incentive"], Decimal(0))
    post("margin", f"Margin {month}", margin, margin, home)
    rows = [r for r in rows if any(r[name] for name in _AMOUNTS)]
    rows += _between_entities(rows, own, month)
    first = parse_month(month)
    last = first.replace(day=calendar.monthrange(first.year, first.month)[1])
    for row in rows:
        row |= {"date": last, "period": month, "currency": home}
    number_entries(rows, month)
    require_balance(rows, f"The journal of {month}")
    return journal_table(rows, home, month)


def parts_of_costs(costs: Mapping[tuple[str, str, str], Decimal], currency: str) -> tuple[Part, ...]:
    """Parts where nothing is known but cost per provider, billing account and receiver: all of it is accrued."""
    out, sums = [], dict[tuple[str, str], Decimal]()
    for (provider, account, receiver), cost in sorted(costs.items()):
        out.append(Part(provider, account, currency, "usage", cost, cost, receiver=receiver))
        sums[provider, account] = sums.get((provider, account), Decimal(0)) + cost
    return (*out, *(Part(*place, currency, "accrued", cost, cost) for place, cost in sums.items()))


def require_balance(rows: Iterable[Mapping[str, Any]], what: str) -> None:
    """Raise unless debits equal credits: in all, of each legal entity, and in each transaction currency of it.

    Raises:
        CheckFailed: names the first that doesn't balance, with both sums.
    """
    sums: dict[tuple[str, ...], list[Decimal]] = {}
    for row in rows:
        entity = (row["entity"],)
        places: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(entity, _AMOUNTS[:2])]
        places.append(((*entity, row["transaction_currency"]), _AMOUNTS[2:]))
        for place, (debit, credit) in places:
            found = sums.setdefault(place, [Decimal(0), Decimal(0)])
            found[0], found[1] = found[0] + row[debit], found[1] + row[credit]
    for place_, (debits, credits) in sums.items():
        if debits != credits:
            where = f" in {' '.join(filter(None, place_))}" if any(place_) else ""
            raise CheckFailed(f"{what} doesn't balance{where}: debits {debits}, credits {credits}.")


def _between_entities(rows: list[dict[str, Any]], own: Accounts, month: str) -> list[dict[str, Any]]:
    """What legal entities owe each other, settled with the central one, in each transaction currency."""
    nets: dict[tuple[str, str], list[Decimal]] = {}
    for r in rows:
        net = nets.setdefault((r["entity"], r["transaction_currency"]), [Decimal(0), Decimal(0)])
        net[0] += r["debit"] - r["credit"]
        net[1] += r["transaction_debit"] - r["transaction_credit"]
    out = []
    for (entity, currency), (amount, native) in sorted(nets.items()):
        if entity == own.entity or not (amount or native):
            continue
        for at, other, sign in ((entity, own.entity, -1), (own.entity, entity, 1)):
            out.append(entry_amounts(sign * amount, sign * native) | {
                "account": own.account("intercompany"), "cost_centre": "", "text": f"AI usage {month}, intercompany with {other}",
                "provider": "", "billing_account_id": "", "invoice_id": "", "entity": at,
                "tax_code": own.tax_codes.get("intercompany", ""), "transaction_currency": currency,
            })  # fmt: skip
    return out


def entry_amounts(amount: Decimal, native: Decimal) -> dict[str, Any]:
    """An entry's amounts: positive ones are debits, negative ones credits."""
    zero = Decimal(0)
    return {
        "debit": max(amount, zero), "credit": max(-amount, zero),
        "transaction_debit": max(native, zero), "transaction_credit": max(-native, zero),
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
    kinds = dict.fromkeys(_AMOUNTS, _AMOUNT) | {"date": pa.date32()}
    table = pa.table({name: pa.array([r[name] for r in rows], kinds.get(name, pa.string())) for name in COLUMNS})
    facts = Facts("Journal", currency, period, "debits equal credits", money=["debit", "credit"], charged=True)
    return Table.of(to_pandas(table), facts)


def whole_entries(entries: pd.DataFrame) -> pd.DataFrame:
    """Entries with all columns of a journal: those sealed before there were transaction currencies are in their own."""
    plain = pd.DataFrame(entries)
    if "transaction_currency" in plain.columns:
        return plain
    added = dict.fromkeys(("invoice_id", "entity", "tax_code"), "")
    return plain.assign(
        **added,
        transaction_currency=plain["currency"],
        transaction_debit=plain["debit"],
        transaction_credit=plain["credit"],
    )[list(COLUMNS)]


def told(entries: Table) -> Table:
    """The journal without columns that tell nothing: legal entities, invoices and tax codes that are nowhere, transaction
    currencies that are the currency."""
    empty = [
        c
        for c in ("invoice_id", "entity", "tax_code", "provider", "billing_account_id")
        if not any(entries[c].fillna(""))
    ]
    if (entries["transaction_currency"] == entries["currency"]).all():
        empty += ["transaction_currency", "transaction_debit", "transaction_credit"]
    return Table.of(pd.DataFrame(entries).drop(columns=empty), entries.facts)


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


def _json(value: object, places: int) -> Any:
    if isinstance(value, Decimal):
        return f"{value:.{places}f}"
    if value is None or value is pd.NA or value != value:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value
