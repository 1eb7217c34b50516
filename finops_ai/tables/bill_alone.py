"""What a month cost that has a bill and no usage: every line of the bill, as it is charged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from finops_ai.frames import to_pandas
from finops_ai.money import COST
from finops_ai.tables.parts import OWED
from finops_ai.tables.posting import charge_month
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: what an item of the bill tells besides the receiver it is charged to
_TOLD = {"provider": "provider", "billing_account_id": "account", "invoice_id": "invoice"}


def only_billed(ws: Workspace, month: str) -> bool:
    """Whether a month holds lines of a bill, and no usage that could show them."""
    return bool(ws.rules.dimensions) and not len(ws.cube(month)) and bool(len(ws.bills(month)))


def where_billed(ws: Workspace, month: str) -> str:
    """A sentence on what shows the bill of a month without usage; "" for every other month."""
    if not only_billed(ws, month):
        return ""
    return f" There is a bill of it: `finops-ai showback --month {month}` shows its lines, `finops-ai chargeback --month {month}` whom they are charged to."


def bill_alone(ws: Workspace, month: str, by: Sequence[str] = ()) -> Table:
    """A month's bill, line by line as it is charged, for a month that has no usage (see `only_billed`).

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
        by: columns to show with each item: the dimension that is charged, `provider`, `billing_account_id`, `invoice_id`; all
            others are known of usage alone, and null.

    Returns:
        One row per item, largest first: the columns of `by`, `item` (as in `Chargeback.tie_out`), `text`, and `cost` in minor
        units. Nobody's items, such as tax that is posted apart, have no receiver.

    Raises:
        DataError: there is nothing to charge.
    """
    made = charge_month(ws, month)
    parts = sorted((p for p in made.parts if p.item not in OWED), key=lambda p: (-p.amount, p.provider, p.text))
    fields = _TOLD | {made.dimension: "receiver"}
    unknown = [name for name in by if name not in fields]
    columns = {
        name: pa.array([getattr(p, fields[name]) or None if name in fields else None for p in parts], pa.string())
        for name in by
    }
    columns |= {name: pa.array([getattr(p, name) for p in parts], pa.string()) for name in ("item", "text")}
    columns["cost"] = pa.array([p.amount for p in parts], pa.decimal128(*COST))
    facts = Facts(
        f"Bill of {month}", made.currency, month, "the items add up to what is payable or accrued", money=["cost"],
        provenance=dict(made.provenance), total=True, charged=True,
    )  # fmt: skip
    facts.coverage = {"captured": 0.0}
    facts.notes = [f"There is no usage of {month}: these are the lines of its bill, as they are charged."]
    if unknown:
        facts.notes.append(f"A bill without usage doesn't tell {', '.join(unknown)}.")
    return Table.of(pd.DataFrame(to_pandas(pa.table(columns))), facts)
