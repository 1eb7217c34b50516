"""What contracts came to: volume tiers, committed capacity with idle share and break-even, and balances of credits."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from finops_ai.engine import settled
from finops_ai.engine.pricing import Book
from finops_ai.engine.settling import statement_frame
from finops_ai.money import written
from finops_ai.periods import Window
from finops_ai.tables.result import Facts, Table

_MONEY = ["cost", "saved", "on_demand_cost", "idle_cost", "opening", "drawn", "lapsed", "closing"]


def commitments(tokens: pd.DataFrame, book: Book | None = None, *, period: Window | None = None) -> Table:
    """What each contract with volume tiers, capacity or credits came to, by UTC month.

    Args:
        tokens: token frame of whole UTC months.
        book: price book with contracts; without any the table is empty.
        period: days for which capacity is paid; those of the frame by default.

    Returns:
        One row per contract, item and month, amounts in `currency`:

        - kind `volume`: `quantity` (what the tiers counted), `cost` before them, `saved`, `share` (blended, of the cost);
        - kind `capacity`: `cost` (the amortised fee), `committed_quantity` and `quantity` used, in unit hours, `share` (utilisation),
          `idle_cost`, `on_demand_cost` (the traffic it served, at contracted prices on demand), `saved` against that
          (negative: on demand would have been cheaper), `break_even` (utilisation at which both cost the same; above 1
          the capacity never pays). `quantity`, `share` and `break_even` are null where its throughput isn't stated;
        - kind `credit`: `opening`, `drawn`, `lapsed` and `closing` balance, `cost` of what was drawn, `saved` against
          contracted prices.

    Raises:
        DataError: a contract is in another currency than the rows it is for.

    Example:
        >>> import finops_ai as fa
        >>> len(fa.commitments(fa.sample(months=1)))  # the bundled book has no contracts
        0
    """
    return commitments_table(statement_frame(settled(tokens, book, period=period)[1]), tokens)


def commitments_table(statement: pd.DataFrame, *sources: pd.DataFrame) -> Table:
    """A statement as a table; columns that no kind in it has are left out."""
    rows = statement.sort_values(["contract", "kind", "item", "month"], ignore_index=True)
    empty = [
        c for c in rows.columns if c not in ("contract", "kind", "item", "month", "currency") and rows[c].isna().all()
    ]
    shown = rows.drop(columns=empty) if len(rows) else rows
    currencies = sorted(set(rows["currency"]))
    facts = Facts(
        "Commitments", currencies[0] if len(currencies) == 1 else "", _span(list(rows["month"])),
        "cost of capacity = effective cost of what it served + idle cost; opening = drawn + lapsed + closing",
        notes=_notes(rows), money=[c for c in _MONEY if c in shown.columns], charged=True,
    )  # fmt: skip
    if "opening" in shown.columns:  # what was drawn is what is gone, in the cents of the balances
        facts.adds = [("drawn", ("opening", *(f"-{c}" for c in ("closing", "lapsed") if c in shown.columns)))]
    return Table.of(shown, facts, *sources)


def _span(months: Sequence[str]) -> str:
    found = sorted(set(months))
    return "" if not found else found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _notes(rows: pd.DataFrame) -> list[str]:
    notes = []
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        name = f"{row['contract']}, {row['item']}, {row['month']}"
        if row["kind"] == "capacity" and row["break_even"] is not None and row["break_even"] > 1:
            notes.append(f"{name}: even fully used it costs more than its traffic would on demand.")
        elif row["kind"] == "capacity" and row["break_even"] is not None and row["share"] < row["break_even"]:
            notes.append(f"{name}: {row['share']:.1%} used; it pays from {row['break_even']:.1%} on.")
        elif row["kind"] == "capacity" and row["share"] is None:
            notes.append(f"{name}: how much is idle isn't known; state its tokens_per_hour.")
        if row["kind"] == "credit" and row["lapsed"]:
            notes.append(f"{name}: {written(row['lapsed'], row['currency'])} {row['currency']} lapsed unused.")
    return notes
