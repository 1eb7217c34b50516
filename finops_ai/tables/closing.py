"""Close a month, true it up and open it again: what is sealed, under which conditions, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.rules import Rules
from finops_ai.errors import CheckFailed, ClosedPeriodError, DataError, RuleError, hint
from finops_ai.frames import to_pandas
from finops_ai.periods import Window, next_month, parse_month
from finops_ai.store.closing import Ledger, Sealed
from finops_ai.tables import posting
from finops_ai.tables.bill_rules import load_bill_rules
from finops_ai.tables.chargeback import Chargeback
from finops_ai.tables.parts import parts_of
from finops_ai.tables.policy import Policy, number
from finops_ai.tables.reconcile import workspace_reconciliation
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.showback import showback
from finops_ai.tables.tie_out import Bill
from finops_ai.tables.true_up import posted_balances, recompute, true_up

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: gate -> what it asks for, as a share between 0 and 1
GATES = {
    "unexplained": "of the bill is left unexplained at most, in any account",
    "captured": "of the billed usage is shown by usage rows at least",
    "priced": "of the rows' quantity has a price at least",
    "attributed": "of the cost is attributed at least",
}


@dataclass(frozen=True)
class Gates:
    """The `[close]` section: what must hold before a month is closed.

    Attributes:
        shares: gate of `GATES` -> the share it asks for.
        approval: whether a name and a reason must be given.
    """

    shares: Mapping[str, Decimal]
    approval: bool = False

    @classmethod
    def load(cls, table: Mapping[str, Any] | None) -> Gates:
        """Read the section.

        Raises:
            RuleError: an unknown key, or no share between 0 and 1.

        >>> Gates.load({"priced": "0.99", "approval": True})
        Gates(shares={'priced': Decimal('0.99')}, approval=True)
        """
        table = dict(table or {})
        for key in table:
            if key not in (*GATES, "approval"):
                raise RuleError(f"close: no key {key!r}. {hint(key, (*GATES, 'approval'))}")
        approval = table.pop("approval", False)
        if not isinstance(approval, bool):
            raise RuleError(f"close.approval must be true or false, not {approval!r}.")
        shares = {key: number(value, f"close.{key}") for key, value in table.items()}
        if wrong := [key for key, share in shares.items() if share > 1]:
            raise RuleError(f"close.{wrong[0]} = {shares[wrong[0]]} is a share between 0 and 1, such as '0.99'.")
        return cls(shares, approval)


@dataclass
class Preview:
    """What a close would seal.

    Attributes:
        month: `YYYY-MM`.
        charged: the month's charges.
        tables: name -> frame.
        documents: name -> JSON: rules, policy, accounts and contracts in force.
        facts: versions of what the figures were made from, and approval.
        gates: one row per condition of `[close]`: gate, required, found, passed, text.
    """

    month: str
    charged: Chargeback
    tables: dict[str, pd.DataFrame]
    documents: dict[str, Any]
    facts: dict[str, Any]
    gates: Table

    def require_gates(self) -> None:
        """Raise unless every condition holds.

        Raises:
            CheckFailed: names those that don't, with figures.
        """
        failed = [text for text, passed in zip(self.gates["text"], self.gates["passed"], strict=True) if not passed]
        if failed:
            raise CheckFailed(f"{self.month} is not closed: {' '.join(failed)}")

    def contents(self) -> Table:
        """One row per table that would be sealed: `table`, `rows`."""
        frame = pa.table({
            "table": pa.array(list(self.tables), pa.string()),
            "rows": pa.array([len(t) for t in self.tables.values()], pa.int64()),
        })  # fmt: skip
        return Table.of(to_pandas(frame), Facts(f"What closing {self.month} seals"))


def preview(ws: Workspace, month: str, *, approved_by: str = "", reason: str = "") -> Preview:
    """What `close_month` would seal, computed now; nothing is written.

    Raises:
        ClosedPeriodError: it is closed already.
        DataError: there is nothing to charge, or usage was loaded meanwhile.
    """
    ws.ledger.require_open(month)
    state = ws.digest()
    made = posting.charge_month(ws, month)
    rows, allocated, bills = ws.priced_cells(month), ws.cube(month), ws.bills(month)
    journal = made.journal(ws.settings.policies.get("journal"))
    tables = {"rows": rows, "allocated": allocated, "bills": bills} | inputs_of(ws, month) | posting.results_of(made)
    facts = facts_of(ws, made)
    if approved_by or reason:
        facts |= {"approved_by": approved_by, "reason": reason}
    gates = Gates.load(ws.settings.policies.get("close"))
    found = _gates(gates, ws, month, allocated, made, approved_by, reason)
    facts["gates"] = {g["gate"]: f"{g['found']} ({g['required']} required)" for g in found}
    if ws.digest() != state:
        raise DataError(f"Usage or bills were loaded while {month} was being closed. Nothing is closed: run it again.")
    return Preview(month, made, tables | {"journal": journal}, documents_of(ws), facts, _gates_table(found, month))


def close_month(
    ws: Workspace, month: str, *, approved_by: str = "", reason: str = "", out_of_order: str = ""
) -> tuple[Preview, Sealed]:
    """Freeze a month: inputs, rules and results, hashed, sealed and chained.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.
        approved_by, reason: who approved it and why, where `[close]` asks for it; kept in the close.
        out_of_order: why it is closed although an earlier month is open; kept in the close.

    Raises:
        ClosedPeriodError: it is closed, or an earlier month is open.
        CheckFailed: a condition of `[close]` doesn't hold, or what is closed was changed.
        StoreError: it can't be written; nothing is closed.
    """
    ledger = ws.ledger
    with ledger.alone():
        ledger.require_open(month)
        if (why := _not_in_order(ws, ledger, month)) and not out_of_order:
            raise ClosedPeriodError(why)
        made = preview(ws, month, approved_by=approved_by, reason=reason)
        made.require_gates()
        if why:
            made.facts["out_of_order"] = out_of_order
        return made, ledger.close(month, made.tables, documents=made.documents, facts=made.facts)


def true_up_month(
    ws: Workspace, month: str, *, posted_in: str | None = None, dry_run: bool = False
) -> tuple[Table, Sealed | None]:
    """Post what changed since a month was closed, against what is posted already; right after it there is nothing to post.

    Args:
        ws: the workspace.
        month: a closed month.
        posted_in: an open month after it; by default the first.
        dry_run: only compute.

    Returns:
        The entries (see `finops_ai.tables.true_up.true_up`), and the sealed state; None where nothing was posted.

    Raises:
        ClosedPeriodError: the month isn't closed, or the month to post in is.
        CheckFailed: what is closed was changed, or the entries don't add up.
        StoreError: it can't be written; nothing is posted.
    """
    ledger = ws.ledger
    with ledger.alone():
        state, first = ledger.state(month), ledger.closed(month)
        posted_in = posted_in or _first_open(ledger, month)
        ledger.require_open(posted_in)
        accounts, then_accounts = ws.settings.policies.get("journal"), state.document("accounts")
        stamp, now = ws.digest(), inputs_of(ws, month)
        # what was closed row by row, before there were cubes, is compared row by row
        tokens = ws.token_cells(month) if first.facts.get("grain") == "cells" else ws.tokens(month)
        then = {name: state.table(name) for name in ("telemetry", "history") if state.has(name)}
        steps = recompute(
            state.table("rows"),
            tokens,
            closed_rules=state.document("rules"),
            rules=ws.rules,
            book=ws.book,
            closed_policy=state.document("policy"),
            policy=posting.policy_of(ws),
            month=month,
            timezone=ws.timezone,
            closed_telemetry=then.get("telemetry"),
            telemetry=now.get("telemetry"),
            closed_history=then.get("history"),
            history=now.get("history"),
            pricing=lambda rows: ws.reprice(month, rows),
            bills=_bills(ws, month, state),
            currency=first.facts["currency"],
        )
        made = steps[-1][1]
        _require_currency(month, first.facts["currency"], made.currency)
        journals = [(cause, step.journal(then_accounts)) for cause, step, _ in steps]
        journals.append(("accounts", made.journal(accounts)))
        entries = true_up(
            posted_balances(first.table("journal"), [s.table("true_up") for s in ledger.true_ups(month=month)]),
            journals,
            month=month,
            posted_in=posted_in,
            currency=first.facts["currency"],
            number=ledger.next_true_up(month),
        )
        if dry_run or not len(entries):
            return entries, None
        rows = ws.reprice(month, tokens)
        if ws.digest() != stamp:
            raise DataError(f"Usage or bills were loaded while {month} was trued up. Nothing is posted: run it again.")
        tables = (
            {"rows": rows, "allocated": steps[-1][2], "bills": ws.current_bills(month)} | now | posting.results_of(made)
        )
        tables |= {"true_up": entries, "journal": made.journal(accounts)}
        return entries, ledger.post(month, posted_in, tables, documents=documents_of(ws), facts=facts_of(ws, made))


def _require_currency(month: str, closed: str, now: str) -> None:
    """Raise where a month would be charged in another currency than it was closed in: there is no difference to post."""
    if closed != now:
        raise DataError(
            f"{month} was closed in {closed} and would be charged in {now} today; sums never mix currencies. It is trued up in "
            f'its own: set [currency] group = "{closed}" for `finops-ai true-up {month}`, then back.'
        )


def _bills(ws: Workspace, month: str, state: Sealed) -> tuple[Bill | None, Bill | None, Bill | None]:
    """The bill as the month's last state has it, the same under today's mapping, and today's; none for months that were closed
    before charges were tied to bills."""
    if not state.has("tie_out"):
        return None, None, None
    lines, rules = posting.seats_apart(ws, state.table("bills")), load_bill_rules(state.document("bill"))
    table = state.document("currency")
    then = None if table is None or ws.conversion is None else replace(ws.conversion, owed=table.get("owed", "usage"))
    timing: dict[tuple[str, str], Fraction] = {}
    for part in parts_of(state.table("tie_out")):
        if part.item == "billing_cycle":
            place = part.provider, part.account
            timing[place] = timing.get(place, Fraction(0)) + Fraction(part.amount)
    return (
        Bill(lines, rules, Rules.load(state.document("rules"), root=ws.settings.root), then, timing),
        Bill(lines, rules, ws.rules, then, timing),
        posting.bill_of(ws, month, ws.current_bills(month)),
    )


def documents_of(ws: Workspace) -> dict[str, Any]:
    """Rules and policies in force, to be frozen with a month."""
    lookups = {name: lookup.plain() for name, lookup in ws.rules.lookups.items()}
    return {
        "rules": ws.settings.mapping | ({"lookups": lookups} if lookups else {}),
        "policy": posting.policy_of(ws),
        "accounts": ws.settings.policies.get("journal"),
        "contracts": ws.settings.policies.get("contracts"),
        "bill": ws.settings.policies.get("bill"),
        "currency": ws.settings.policies.get("currency"),
    }


def inputs_of(ws: Workspace, month: str) -> dict[str, pd.DataFrame]:
    """What the month's figures are made of besides its own rows: telemetry, and what incentives compare it with."""
    out = {"telemetry": ws.telemetry_cells(month)}
    incentives = Policy.load(posting.policy_of(ws)).incentives
    if any(incentives.rates.get(kind) for kind in ("model", "prompt")):
        history = ws.history(month, 1 + incentives.baseline_months)
        earlier = history["charge_period_start"] < Window.month(month, ws.timezone).start
        out["history"] = history[earlier.to_numpy()]
    return {name: frame for name, frame in out.items() if frame is not None}


def facts_of(ws: Workspace, made: Chargeback) -> dict[str, Any]:
    """Versions of what the figures were made from."""
    from finops_ai import __version__

    versions = {t: ws.lake.version(t) for t in ("tokens", "bills")}
    return {
        "currency": made.currency,
        "prices": ws.book.version,
        "rules": ws.rules.version,
        "lake": versions,
        "finops_ai": __version__,
        "timezone": ws.timezone,
        "plugins": ws.plugins(),
        "grain": "cells",
        "journal_numbers": "long",
    }


def _not_in_order(ws: Workspace, ledger: Ledger, month: str) -> str:
    """Why the month isn't the next one to close; "" if it is. The first month ever closed begins the ledger."""
    closed, begun = ledger.months(), sorted({e.month for e in ledger.chain() if e.kind == "close"})
    if begun and month < begun[0]:
        return (
            f"{month} is not closed: {begun[0]} begins the closed months, and later months rest on it. "
            "Say why it is closed all the same with --out-of-order REASON."
        )
    used = {*ws.months(), *begun}
    open_ = [m for m in _from(begun[0], month) if m not in closed] if begun else []
    earlier = [m for m in open_ if m in used or len(ws.current_bills(m))]
    if not earlier:
        return ""
    return (
        f"{month} is not closed: months are closed in order, and {earlier[0]} is open. Close it first with "
        f"`finops-ai close {earlier[0]}`, or say why not with --out-of-order REASON."
    )


def _from(first: str, month: str) -> list[str]:
    """The months from one on, up to before another."""
    day, out = parse_month(first), list[str]()
    while f"{day:%Y-%m}" < month:
        out.append(f"{day:%Y-%m}")
        day = next_month(day)
    return out


def _first_open(ledger: Ledger, month: str) -> str:
    closed, day = ledger.months(), next_month(parse_month(month))
    while f"{day:%Y-%m}" in closed:
        day = next_month(day)
    return f"{day:%Y-%m}"


def _gates(
    gates: Gates,
    ws: Workspace,
    month: str,
    allocated: pd.DataFrame,
    made: Chargeback,
    approved_by: str,
    reason: str,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    shares: dict[str, tuple[Decimal | None, str]] = {}
    if {"unexplained", "captured"} & set(gates.shares):
        table = workspace_reconciliation(ws, month)
        shares["unexplained"] = _worst_unexplained(table)
        shares["captured"] = _share(table.facts.coverage.get("captured"))
    if {"priced", "attributed"} & set(gates.shares):
        nothing: tuple[Decimal | None, str] = Decimal(1), " (there is no usage)"
        shares |= dict.fromkeys(("priced", "attributed"), nothing)
        if len(allocated):
            shown = showback(allocated, by=[made.dimension], month=month, timezone=ws.timezone)
            shares |= {name: _share(shown.facts.coverage.get(name)) for name in ("priced", "attributed")}
    for name, required in gates.shares.items():
        share, where = shares[name]
        at_most = name == "unexplained"
        passed = share is not None and (share <= required if at_most else share >= required)
        amount = "unknown" if share is None else f"{share:.2%}"
        text = f"{amount}{where} {GATES[name].removesuffix(' at most, in any account').removesuffix(' at least')}"
        text += f", {'at most' if at_most else 'at least'} {required:.2%} {'may be' if at_most else 'is asked for'}."
        found.append({"gate": name, "required": f"{required:.2%}", "found": amount, "passed": passed, "text": text})
    if gates.approval:
        passed = bool(approved_by.strip() and reason.strip())
        text = f"Approved by {approved_by}: {reason}." if passed else "It needs --approved-by NAME and --reason TEXT."
        who = approved_by or "nobody"
        found.append({"gate": "approval", "required": "name, reason", "found": who, "passed": passed, "text": text})
    return found


def _worst_unexplained(table: Table) -> tuple[Decimal | None, str]:
    """The largest unexplained share of any account's bill; None where nothing was billed."""
    worst: tuple[Decimal | None, str] = (None, " (there is no bill)")
    for row in pd.DataFrame(table).astype(object).to_dict("records"):
        if row["billed"] is None or row["billed"] != row["billed"]:
            continue
        billed, left = abs(row["billed"]), abs(row["unexplained"])
        share = left / billed if billed else Decimal(1 if left else 0)
        if worst[0] is None or share > worst[0]:
            worst = share, f" ({row['provider']}, {row['billing_account_id']})"
    return worst


def _share(value: float | None) -> tuple[Decimal | None, str]:
    return (None if value is None else Decimal(str(value))), ""


def _gates_table(found: list[dict[str, Any]], month: str) -> Table:
    kinds = {"passed": pa.bool_()}
    names = ("gate", "required", "found", "passed", "text")
    frame = pa.table({n: pa.array([g[n] for g in found], kinds.get(n, pa.string())) for n in names})
    return Table.of(to_pandas(frame), Facts(f"Conditions for closing {month}"))
