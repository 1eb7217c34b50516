"""The items of a month's tie-out: what is charged, stated and owed per billing account, as a table and checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import CheckFailed
from finops_ai.frames import to_pandas
from finops_ai.money import COST
from finops_ai.tables.result import Facts, Table

#: items that are what is owed; all others add up to them
OWED = ("payable", "accrued")
#: items that no receiver is charged, with what they are
STATED = {
    "prepaid": "Paid ahead (+), or drawn from what was paid ahead (-)",
    "tax": "Tax that nobody is charged",
    "central": "Lines of the bill that nobody is charged",
    "billing_cycle": "Use of days that are billed with another month, which has the reverse",
    "price_difference": "Billed for usage, less what it comes to at our prices",
    "rounding": "Cents of the parts against the whole",
    "exchange": "Exchange difference between the days of the usage and the invoice",
}
_MONEY = pa.decimal128(*COST)
_COLUMNS = ("provider", "billing_account_id", "currency", "invoice_id", "item", "receiver", "text", "amount", "native")


@dataclass(frozen=True)
class Part:
    """One item of an account: `amount` in the currency of the charges, `native` in the account's own, both in minor units."""

    provider: str
    account: str
    currency: str
    item: str
    amount: Decimal
    native: Decimal
    invoice: str = ""
    receiver: str = ""
    text: str = ""


def check(parts: Iterable[Part]) -> None:
    """Raise unless the items of every account add up to what is owed.

    Raises:
        CheckFailed: names the account.
    """
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for p in parts:
        found = sums.setdefault((p.provider, p.account, p.currency), [Decimal(0), Decimal(0)])
        sign = -1 if p.item in OWED else 1
        found[0] += sign * p.amount
        found[1] += sign * p.native
    for place, (amount, native) in sums.items():
        if amount or native:
            raise CheckFailed(
                f"What {' '.join(place)} is charged doesn't tie to its bill: {amount} ({native}) is left."
            )


def table_of(parts: Sequence[Part], currency: str, month: str) -> Table:
    """Parts as a table: provider, billing_account_id, currency, invoice_id, item, receiver, text, amount, native."""
    values = [
        (p.provider, p.account, p.currency, p.invoice, p.item, p.receiver, p.text, p.amount, p.native) for p in parts
    ]
    table = pa.table({
        name: pa.array([v[i] for v in values], _MONEY if name in ("amount", "native") else pa.string())
        for i, name in enumerate(_COLUMNS)
    })  # fmt: skip
    conserves = "per account and currency the items add up to what is payable or accrued"
    return Table.of(
        to_pandas(table), Facts("Charges and bill", currency, month, conserves, money=["amount"], charged=True)
    )


def parts_of(table: pd.DataFrame) -> list[Part]:
    """Parts from their table."""
    return [
        Part(r["provider"], r["billing_account_id"], r["currency"], r["item"], r["amount"], r["native"], r["invoice_id"] or "",
             r["receiver"] or "", r["text"] or "")
        for r in _records(table)
    ]  # fmt: skip


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = pd.DataFrame(frame).astype(object)
    return plain.where(plain.notna(), None).to_dict("records")  # type: ignore[return-value]
