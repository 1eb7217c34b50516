"""True-up of a closed month: what changed since, by cause, as signed journal entries of an open month."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import allocate, price
from finops_ai.engine.pricing import Book
from finops_ai.engine.rules import Rules
from finops_ai.errors import CheckFailed
from finops_ai.frames import schema_of, to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.tokens import TokenFrame
from finops_ai.periods import parse_month
from finops_ai.tables.chargeback import Chargeback, chargeback
from finops_ai.tables.journal import journal_table, number_entries
from finops_ai.tables.policy import Policy
from finops_ai.tables.result import Facts, Table

#: why a closed month's figures would differ today, in the order the steps are taken
CAUSES = {
    "prices": "prices or contract corrected",
    "rules": "mapping rules changed",
    "usage": "usage or telemetry restated",
    "policy": "chargeback policy changed",
    "accounts": "accounts of the journal changed",
}
_KEY = ("account", "cost_centre", "provider", "billing_account_id")


def recompute(
    closed_rows: pd.DataFrame,
    tokens: pd.DataFrame,
    *,
    closed_rules: Rules | Mapping[str, Any],
    rules: Rules,
    book: Book,
    closed_policy: Policy | Mapping[str, Any],
    policy: Policy | Mapping[str, Any],
    month: str,
    timezone: str | None = None,
    closed_telemetry: pd.DataFrame | None = None,
    telemetry: pd.DataFrame | None = None,
    closed_history: pd.DataFrame | None = None,
    history: pd.DataFrame | None = None,
    pricing: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> list[tuple[str, Chargeback, pd.DataFrame]]:
    """The month recomputed one change at a time: today's prices, then rules, then usage, then policy.

    Args:
        closed_rows: the rows the month was closed with (priced, before shared costs were divided, so one per meter).
        tokens: the month's token frame as it is now.
        closed_rules, closed_policy: as they were at the close.
        rules, book, policy: as they are now.
        month, timezone: the month.
        closed_telemetry, telemetry: for shared costs split by telemetry, as it was at the close and as it is now.
        closed_history, history: allocated earlier months, for incentives with a baseline, then and now.
        pricing: prices rows of the month, where more than the book is needed (`Workspace.reprice`); default `fa.price`.

    Returns:
        (cause, chargeback, allocated rows) per step; the last is the month as it would be closed now.
    """

    timezone = zone_of(closed_rows, timezone=timezone)

    def charged(rows: pd.DataFrame, by: Policy | Mapping[str, Any], past: pd.DataFrame | None) -> Chargeback:
        return chargeback(rows, by, month=month, timezone=timezone, book=book, history=past)

    own = [c for c in schema_of(TokenFrame).names if c in closed_rows.columns]
    pricing = pricing or (lambda rows: price(rows, book))
    rows = pricing(closed_rows[own])
    repriced = allocate(rows, closed_rules, telemetry=closed_telemetry, timezone=timezone)
    mapped = allocate(rows, rules, telemetry=closed_telemetry, timezone=timezone)
    restated = allocate(pricing(tokens), rules, telemetry=telemetry, timezone=timezone)
    then = history if closed_history is None else closed_history
    moved = history if closed_history is None else allocate(closed_history, rules, timezone=timezone)
    return [
        ("prices", charged(repriced, closed_policy, then), repriced),
        ("rules", charged(mapped, closed_policy, moved), mapped),
        ("usage", charged(restated, closed_policy, history), restated),
        ("policy", charged(restated, policy, history), restated),
    ]


def true_up(
    closed_journal: pd.DataFrame | Mapping[tuple, Decimal],
    steps: Sequence[tuple[str, pd.DataFrame]],
    *,
    month: str,
    posted_in: str,
    currency: str,
    number: int = 1,
) -> Table:
    """Signed entries that take a closed month's journal to today's.

    Args:
        closed_journal: the journal as closed, or as the last true-up left it; or its balances (`posted_balances`).
        steps: (cause, journal) after each change, in order.
        month: the closed month.
        posted_in: the open month the entries belong to.
        currency: of all amounts.
        number: the month's how many-th true-up it is: part of the entries' ids, so that none is given twice.

    Returns:
        A journal dated in `posted_in`, each entry with its cause in the text; debits equal credits for each cause, and
        the entries add up to the difference between the last journal and the closed one, account by account.

    Raises:
        CheckFailed: they don't.
    """
    before = dict(closed_journal) if isinstance(closed_journal, Mapping) else _balances(closed_journal)
    first = before
    first_day = parse_month(posted_in)
    last_day = first_day.replace(day=calendar.monthrange(first_day.year, first_day.month)[1])
    rows: list[dict[str, Any]] = []
    for cause, entries in steps:
        after = _balances(entries)
        for key in sorted(before.keys() | after.keys()):
            change = after.get(key, Decimal(0)) - before.get(key, Decimal(0))
            if change:
                text = f"True-up of {month}: {CAUSES[cause]}"
                row = dict(zip(_KEY, key, strict=True)) | {
                    "debit": max(change, Decimal(0)),
                    "credit": max(-change, Decimal(0)),
                    "text": text,
                }
                rows.append(row | {"date": last_day, "period": posted_in, "currency": currency})
        before = after
    number_entries(rows, posted_in, f"{month}.true-up-{number}")
    table = journal_table(rows, currency, posted_in)
    table.facts.title = f"True-up of {month}"
    moved = _balances(table)
    for key in first.keys() | before.keys() | moved.keys():
        if moved.get(key, Decimal(0)) != before.get(key, Decimal(0)) - first.get(key, Decimal(0)):
            raise CheckFailed(f"The true-up of {month} doesn't add up for {dict(zip(_KEY, key, strict=True))}.")
    if sum(table["debit"], Decimal(0)) != sum(table["credit"], Decimal(0)):
        raise CheckFailed(f"The true-up of {month} doesn't balance.")
    return table


def posted_balances(closed_journal: pd.DataFrame, posted: Iterable[pd.DataFrame]) -> dict[tuple, Decimal]:
    """Debit minus credit per account, cost centre, provider and billing account: what was closed and all that was posted."""
    out = _balances(closed_journal)
    for entries in posted:
        for key, amount in _balances(entries).items():
            out[key] = out.get(key, Decimal(0)) + amount
    return out


def _balances(entries: pd.DataFrame) -> dict[tuple, Decimal]:
    """Debit minus credit per account, cost centre, provider and billing account."""
    out: dict[tuple, Decimal] = {}
    for row in pd.DataFrame(entries).astype(object).to_dict("records"):
        key = tuple("" if row[k] is None or row[k] != row[k] else str(row[k]) for k in _KEY)
        out[key] = out.get(key, Decimal(0)) + Decimal(row["debit"]) - Decimal(row["credit"])
    return out


def summary(entries: pd.DataFrame, currency: str, month: str) -> Table:
    """What each cost centre is charged more or less, by cause."""
    sums: dict[tuple[str, str], Decimal] = {}
    for row in pd.DataFrame(entries).astype(object).to_dict("records"):
        if row["cost_centre"]:
            key = (str(row["cost_centre"]), str(row["text"]).partition(": ")[2])
            sums[key] = sums.get(key, Decimal(0)) + Decimal(row["debit"]) - Decimal(row["credit"])
    kind = pa.decimal128(38, 4)
    table = pa.table(
        {
            "receiver": pa.array([k[0] for k in sums], pa.string()),
            "cause": pa.array([k[1] for k in sums], pa.string()),
            "difference": pa.array(list(sums.values()), kind),
        }
    )
    return Table.of(
        to_pandas(table),
        Facts(f"True-up of {month} by cause", currency, month, "adds up to the entries", money=["difference"]),
    )
