"""True-up of a closed month: what changed since, by cause, as signed journal entries of an open month."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine import allocate, price
from finops_ai.engine.pricing import Book
from finops_ai.engine.rules import Rules
from finops_ai.errors import CheckFailed
from finops_ai.frames import schema_of, to_arrow, to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.tokens import TokenFrame
from finops_ai.periods import parse_month
from finops_ai.tables.chargeback import Chargeback, chargeback
from finops_ai.tables.journal import entry_amounts, journal_table, number_entries, require_balance
from finops_ai.tables.policy import Policy
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.tie_out import Bill

#: why a closed month's figures would differ today, in the order the steps are taken
CAUSES = {
    "prices": "prices or contract corrected, or exchange rates",
    "rules": "mapping rules changed",
    "usage": "usage or telemetry restated",
    "bill": "the bill came in or changed",
    "billing_cycle": "use of another month that a billing cycle charges with it came in or changed",
    "policy": "chargeback policy changed",
    "accounts": "accounts of the journal changed",
}
_KEY = (
    "account",
    "cost_centre",
    "provider",
    "billing_account_id",
    "invoice_id",
    "entity",
    "tax_code",
    "transaction_currency",
)
#: what is posted on a key: in the currency of the charges, and in that of the transaction
Balance = tuple[Decimal, Decimal]
_NOTHING: Balance = (Decimal(0), Decimal(0))


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
    bills: tuple[Bill | None, Bill | None, Bill | None] = (None, None, None),
    currency: str = "",
) -> list[tuple[str, Chargeback, pd.DataFrame]]:
    """The month recomputed one change at a time: today's prices, then rules, usage, the bill, what is timing of it, policy.

    Args:
        closed_rows: the rows the month was closed with (priced, before shared costs were divided, so one per meter).
        tokens: the month's token frame as it is now.
        closed_rules, closed_policy: as they were at the close.
        rules, book, policy: as they are now.
        month, timezone: the month.
        closed_telemetry, telemetry: for shared costs split by telemetry, as it was at the close and as it is now.
        closed_history, history: allocated earlier months, for incentives with a baseline, then and now.
        bills: the month's bill as it was closed, the same under today's mapping rules, and as it is now.
        pricing: prices rows of the month, where more than the book is needed (`Workspace.reprice`); default `fa.price`.
        currency: of the close: a month of which nothing is left is charged nothing in it.

    Returns:
        (cause, chargeback, allocated rows) per step; the last is the month as it would be closed now.
    """

    timezone = zone_of(closed_rows, timezone=timezone)
    closed_rules, closed_policy, policy = Rules.load(closed_rules), Policy.load(closed_policy), Policy.load(policy)
    same_rules = closed_rules.version == rules.version
    pricing = pricing or (lambda rows: price(rows, book))
    own = [c for c in schema_of(TokenFrame).names if c in closed_rows.columns]
    rows = pricing(closed_rows[own])
    repriced = allocate(rows, closed_rules, telemetry=closed_telemetry, timezone=timezone)
    mapped = repriced if same_rules else allocate(rows, rules, telemetry=closed_telemetry, timezone=timezone)
    if _alike(closed_rows[own], tokens) and _alike(closed_telemetry, telemetry):
        restated = mapped
    else:
        restated = allocate(pricing(tokens), rules, telemetry=telemetry, timezone=timezone)
    then = history if closed_history is None else closed_history
    moved = then if closed_history is None or same_rules else allocate(closed_history, rules, timezone=timezone)
    steps = {
        "prices": (repriced, closed_policy, then, bills[0]),
        "rules": (mapped, closed_policy, moved, bills[0] if same_rules else bills[1]),
        "usage": (restated, closed_policy, history, bills[0] if same_rules else bills[1]),
        "bill": (
            restated,
            closed_policy,
            history,
            bills[2] and replace(bills[2], timing=bills[1].timing if bills[1] else {}),
        ),
        "billing_cycle": (restated, closed_policy, history, bills[2]),
        "policy": (restated, policy, history, bills[2]),
    }
    out: list[tuple[str, Chargeback, pd.DataFrame]] = []
    before: tuple[Any, ...] = ()
    for cause, step in steps.items():
        frame, by, past, bill = step
        if before and all(map(_alike, before, step)):
            made = out[-1][1]  # nothing changed for this cause
        else:
            made = chargeback(
                frame, by, month=month, timezone=timezone, book=book, history=past, bill=bill, currency=currency
            )
        out.append((cause, made, frame))
        before = step
    return out


def _alike(one: Any, two: Any) -> bool:
    """Whether two inputs of a chargeback are the same: frames by all they hold, in their order."""
    if one is two:
        return True
    if isinstance(one, pd.DataFrame) and isinstance(two, pd.DataFrame):
        return list(one.columns) == list(two.columns) and to_arrow(one).equals(to_arrow(two))
    if isinstance(one, Bill) and isinstance(two, Bill):
        rest = [(b.rules, b.mapping.version, b.conversion, b.timing) for b in (one, two)]
        return rest[0] == rest[1] and _alike(one.lines, two.lines)
    return isinstance(one, Policy) and one == two


def true_up(
    closed_journal: pd.DataFrame | Mapping[tuple[Any, ...], Balance],
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
    balances = [(cause, _balances(entries)) for cause, entries in steps]
    if not balances or _nonzero(balances[-1][1]) == _nonzero(before):
        balances = []  # what is posted is what would be posted today: causes that undo each other are none
    for cause, after in balances:
        for key in sorted(before.keys() | after.keys()):
            change = _less(after.get(key, _NOTHING), before.get(key, _NOTHING))
            if any(change):
                text = f"True-up of {month}: {CAUSES[cause]}"
                row = dict(zip(_KEY, key, strict=True)) | entry_amounts(*change) | {"text": text}
                rows.append(row | {"date": last_day, "period": posted_in, "currency": currency})
        before = after
    number_entries(rows, posted_in, f"{month}.true-up-{number}")
    table = journal_table(rows, currency, posted_in)
    table.facts.title = f"True-up of {month}"
    moved = _balances(table)
    for key in first.keys() | before.keys() | moved.keys():  # where nothing is posted all of them are as they were
        if moved.get(key, _NOTHING) != _less(before.get(key, _NOTHING), first.get(key, _NOTHING)):
            raise CheckFailed(f"The true-up of {month} doesn't add up for {dict(zip(_KEY, key, strict=True))}.")
    require_balance(rows, f"The true-up of {month}")
    return table


def posted_balances(closed_journal: pd.DataFrame, posted: Iterable[pd.DataFrame]) -> dict[tuple[Any, ...], Balance]:
    """Debit minus credit per account, cost centre, provider, billing account, invoice, entity and currency: what was closed and all
    that was posted."""
    out = _balances(closed_journal)
    for entries in posted:
        for key, (amount, native) in _balances(entries).items():
            had = out.get(key, _NOTHING)
            out[key] = had[0] + amount, had[1] + native
    return out


def _nonzero(balances: Mapping[tuple[Any, ...], Balance]) -> dict[tuple[Any, ...], Balance]:
    return {key: balance for key, balance in balances.items() if any(balance)}


def _less(one: Balance, two: Balance) -> Balance:
    return one[0] - two[0], one[1] - two[1]


def _balances(entries: pd.DataFrame) -> dict[tuple[Any, ...], Balance]:
    """Debit minus credit per key, in both currencies; entries from before transaction currencies were told are in their own."""
    out: dict[tuple[Any, ...], Balance] = {}
    frame = pd.DataFrame(entries).astype(object)
    for row in frame.where(frame.notna(), None).to_dict("records"):
        own = row.get("transaction_currency") or row["currency"]
        key = tuple(str(own if k == "transaction_currency" else row.get(k) or "") for k in _KEY)
        amount = Decimal(row["debit"]) - Decimal(row["credit"])
        debit, credit = row.get("transaction_debit"), row.get("transaction_credit")
        native = amount if debit is None or credit is None else Decimal(debit) - Decimal(credit)
        had = out.get(key, _NOTHING)
        out[key] = had[0] + amount, had[1] + native
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
        Facts(
            f"True-up of {month} by cause",
            currency,
            month,
            "adds up to the entries",
            money=["difference"],
            charged=True,
        ),
    )
