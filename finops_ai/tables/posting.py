"""What a month posts: its charges, computed today or frozen at the close, and the true-ups posted in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import DataError, hint
from finops_ai.frames import to_pandas
from finops_ai.loading import identities_of, people_section
from finops_ai.money import COST
from finops_ai.store.beside import kept
from finops_ai.tables.bill_rules import load_bill_rules
from finops_ai.tables.chargeback import ADDS, Chargeback, chargeback, in_minor_units, summary_facts
from finops_ai.tables.journal import journal_table, whole_entries, write_files
from finops_ai.tables.parts import parts_of, table_of
from finops_ai.tables.policy import Policy, policy_or_default
from finops_ai.tables.result import Facts, Table
from finops_ai.tables.seat_lines import with_seat_teams
from finops_ai.tables.tie_out import Bill
from finops_ai.tables.timing import timing_of
from finops_ai.tables.true_up import summary

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

#: kind of the statement lines that correct an earlier month
TRUE_UP = "true_up"
#: the tables a chargeback is kept and closed as
RESULTS = ("lines", "charges", "costs", "tie_out")
_MONEY = pa.decimal128(*COST)


@dataclass
class Posting:
    """A month as it is posted.

    Attributes:
        charged: the month's own charges; of a closed month those it was closed with.
        entries: the journal: the month's own entries, then those of true-ups posted in it. Debits equal credits.
        true_ups: what corrections of earlier, closed months add: `month`, `receiver`, `cause`, `difference`.
        corrections: what was posted elsewhere, later, to correct this month: `posted_in`, `receiver`, `cause`, `difference`.
        closed_at: when the month was closed, ISO 8601 UTC; "" while it is open.
        seal: the close's SHA-256; "" while it is open.
        short_numbers: whether it was closed when journals were numbered with six digits; these keep their numbers.
    """

    charged: Chargeback
    entries: Table
    true_ups: Table
    corrections: Table
    closed_at: str = ""
    seal: str = ""
    short_numbers: bool = False

    @property
    def month(self) -> str:
        """`YYYY-MM`."""
        return self.charged.month

    @property
    def currency(self) -> str:
        """Of all amounts."""
        return self.charged.currency

    @property
    def receivers(self) -> list[str]:
        """Who is posted anything, largest amount first."""
        return list(self.overview["receiver"])

    @cached_property
    def overview(self) -> Table:
        """One row per receiver, largest first: `cost`, `bill_lines`, `margin`, `incentive`, `charge`, `true_up`, `due`."""
        money = [*ADDS, "charge", "true_up", "due"]
        rows = {r["receiver"]: r | {"true_up": Decimal(0)} for r in _records(self.charged.summary)}
        for r in _records(self.true_ups):
            own = rows.setdefault(r["receiver"], {"receiver": r["receiver"]} | dict.fromkeys(money, Decimal(0)))
            own["true_up"] += r["difference"]
        for r in rows.values():
            r["due"] = r["charge"] + r["true_up"]
        ranked = sorted(rows.values(), key=lambda r: (-r["due"], r["receiver"]))
        columns = {"receiver": pa.array([r["receiver"] for r in ranked], pa.string())}
        columns |= {name: pa.array([r[name] for r in ranked], _MONEY) for name in money}
        adds = [("charge", ADDS), ("due", ("charge", "true_up"))]
        conserves = "cost, other lines of the bill, margin and incentive add up to the charge, charge and true-up to what is due"
        facts = Facts(
            "Chargeback", self.currency, self.month, conserves, money=money, adds=adds, total=True, charged=True
        )
        return Table.of(to_pandas(pa.table(columns)), facts)

    def due(self, receiver: str) -> dict[str, Decimal]:
        """One receiver's row of the overview; all 0 where nothing is posted to it."""
        own: dict[str, Decimal] = dict.fromkeys((*ADDS, "charge"), Decimal(0))
        for r in _records(self.charged.summary[(self.charged.summary["receiver"] == receiver).to_numpy()]):
            own |= {name: r[name] for name in own}
        own["true_up"] = sum((r["difference"] for r in _records(_of(self.true_ups, receiver))), Decimal(0))
        return own | {"due": own["charge"] + own["true_up"]}

    def lines(self, receiver: str | None = None) -> Table:
        """Statement lines of all receivers or of one: receiver, kind, text, quantity, unit, rate (per million tokens), amount."""
        rows = _records(_of(self.charged.lines, receiver))
        rows += [
            {
                "receiver": r["receiver"],
                "kind": TRUE_UP,
                "text": f"{r['month']}: {r['cause']}",
                "amount": r["difference"],
            }
            for r in _records(_of(self.true_ups, receiver))
        ]
        kinds = {"quantity": pa.decimal128(38, 6), "rate": _MONEY, "amount": _MONEY}
        names = ("receiver", "kind", "text", "quantity", "unit", "rate", "amount")
        table = pa.table({n: pa.array([r.get(n) for r in rows], kinds.get(n, pa.string())) for n in names})
        facts = Facts(
            "Statement lines", self.currency, self.month, "lines add up to what is due", money=["amount"], charged=True
        )
        return Table.of(to_pandas(table), facts)

    def statement(self, receiver: str) -> Table:
        """One receiver's statement: the lines of its charge, then true-ups of earlier months; they add up to what is due.

        Raises:
            DataError: nothing is posted to anybody of that name.
        """
        mine = self.lines(receiver)
        if mine.empty and receiver not in self.receivers:
            raise DataError(f"No statement for {receiver!r} in {self.month}. {hint(receiver, self.receivers)}")
        facts = Facts(
            f"Statement for {receiver}", self.currency, self.month, "its lines add up to what is due", charged=True
        )
        facts.money = ["amount"]
        facts.notes = [text for kind, text in zip(mine["kind"], mine["text"], strict=True) if kind == "incentive"]
        return Table.of(pd.DataFrame(mine).drop(columns="receiver"), facts)

    def write(self, folder: str | Path) -> list[Path]:
        """Write statements and journal as CSV, Excel and JSON (see `finops_ai.tables.journal.write_files`)."""
        return write_files(Path(folder), self.overview, self.lines(), self.entries)


def posting(ws: Workspace, month: str) -> Posting:
    """What a workspace posts for a month: frozen figures where it is closed, today's where it is open.

    A month without usage of its own has the lines of its bill, and what true-ups posted in it.

    Args:
        ws: the workspace.
        month: `YYYY-MM` of the reporting zone.

    Raises:
        DataError: the month holds nothing that can be charged, or a true-up is in another currency.
        RuleError: the policy can't be used, or there is no dimension to charge.
    """
    sealed, incoming = ws.closed(month), ws.ledger.true_ups(posted_in=month)
    if sealed is None and incoming and not len(ws.cube(month)) and not len(ws.bills(month)):
        charged = _nothing_charged(month, incoming[0].facts["currency"], policy_of(ws))
        own = pd.DataFrame(journal_table([], charged.currency, month))
    else:
        charged = charge_month(ws, month)
        accounts = ws.settings.policies.get("journal")
        own = sealed.table("journal") if sealed else charged.journal(accounts)
    for one in incoming:
        if one.facts["currency"] != charged.currency:
            raise DataError(
                f"{month} is charged in {charged.currency}, the true-up of {one.month} posted in it in "
                f"{one.facts['currency']}; sums never mix currencies. Post it in a month of its own currency."
            )
    entries = pd.concat([whole_entries(own), *(whole_entries(s.table("true_up")) for s in incoming)], ignore_index=True)
    facts = Facts("Journal", charged.currency, month, "debits equal credits", money=["debit", "credit"], charged=True)
    return Posting(
        charged,
        Table.of(entries, facts),
        _differences(((s.month, s.table("true_up")) for s in incoming), "month", charged.currency),
        _differences(
            ((s.facts["posted_in"], s.table("true_up")) for s in ws.ledger.true_ups(month=month)),
            "posted_in",
            charged.currency,
        ),
        sealed.manifest["sealed_at"] if sealed else "",
        sealed.seal if sealed else "",
        sealed is not None and "journal_numbers" not in sealed.facts,
    )


def _nothing_charged(month: str, currency: str, policy: Mapping[str, Any]) -> Chargeback:
    """The chargeback of a month that holds no usage."""
    lines = dict.fromkeys(("receiver", "kind", "text", "unit"), pa.string())
    lines |= {"quantity": pa.decimal128(38, 6)} | dict.fromkeys(("rate", "amount", "exact"), _MONEY)
    charges = {"receiver": pa.string()} | dict.fromkeys((*ADDS, "charge"), _MONEY)
    costs = dict.fromkeys(("provider", "billing_account_id", "receiver"), pa.string()) | {"cost": _MONEY}
    empty = {
        name: to_pandas(pa.table({c: pa.array([], kind) for c, kind in kinds.items()}))
        for name, kinds in zip(RESULTS[:3], (lines, charges, costs), strict=True)
    }
    empty["tie_out"] = pd.DataFrame(table_of([], currency, month))
    return _restored(empty.__getitem__, month, currency, policy)


def charge_month(ws: Workspace, month: str) -> Chargeback:
    """A month's charges: those it was closed with, else today's, which are kept until anything they rest on changes."""
    if sealed := ws.closed(month):
        facts, policy = sealed.facts, sealed.document("policy")
        return _restored(sealed.table, month, facts["currency"], policy, has_tie_out=sealed.has("tie_out"))
    with ws.steady():
        return _charged_now(ws, month)


def _charged_now(ws: Workspace, month: str) -> Chargeback:
    policy = policy_of(ws)
    stamp = hashlib.sha256(
        json.dumps(
            [policy, ws.settings.policies.get("bill"), _people_stamp(ws), _code_stamp(), ws.ledger.head()], default=str
        ).encode()
    ).hexdigest()
    folder = ws.cache_folder / ws.digest()
    kept = {n: folder / f"charges-{month}-{stamp[:12]}-{n}.parquet" for n in (*RESULTS, "whole")}
    if kept["whole"].is_file():
        found = {name: table for name, path in kept.items() if (table := ws.kept.read(path)) is not None}
        if len(found) == len(kept):
            return _restored(lambda name: found[name], month, str(found["whole"]["currency"].iloc[0]), policy)
    rows, billed = ws.cube(month), ws.bills(month)
    if not len(rows) and not len(billed):
        have = ", ".join(ws.months()) or "none"
        raise DataError(f"There is no usage of {month} to charge, and no bill. Months with data: {have}.")
    if "chargeback" not in ws.settings.policies and not in_minor_units(rows):
        raise DataError(
            f"{month} comes to less than one unit of currency in all, so nothing is charged. A [chargeback] section in "
            "finops.toml charges it anyway, in whole cents."
        )
    history = ws.history(month, 1 + Policy.load(policy).incentives.baseline_months)
    bill = bill_of(ws, month, billed)
    made = chargeback(rows, policy, month=month, timezone=ws.timezone, book=ws.book, history=history, bill=bill)
    for name, table in (results_of(made) | {"whole": pd.DataFrame({"currency": [made.currency]})}).items():
        ws.kept.write(pd.DataFrame(table), kept[name])
    return made


def policy_of(ws: Workspace) -> dict[str, Any]:
    """The [chargeback] section as written; by default the first dimension at cost."""
    policy = ws.settings.policies.get("chargeback")
    return policy if policy is not None else {"dimension": policy_or_default(None, ws.rules.dimensions).dimension}


def bill_of(ws: Workspace, month: str, lines: pd.DataFrame) -> Bill:
    """A month's bill with whose its lines are today, and what of it is timing."""
    rules = load_bill_rules(ws.settings.policies.get("bill"))
    return Bill(seats_apart(ws, lines), rules, ws.rules, ws.conversion, timing_of(ws, month, lines))


def seats_apart(ws: Workspace, lines: pd.DataFrame) -> pd.DataFrame:
    """A bill's lines with its seats divided by the team of each day, where receivers are teams (`[people] dimension`)."""
    teams = policy_of(ws).get("dimension") == people_section(ws.settings).get("dimension", "team")
    return with_seat_teams(lines, identities_of(ws.settings), kept(ws.settings.root, "seats"), teams=teams)


def results_of(made: Chargeback) -> dict[str, pd.DataFrame]:
    """A chargeback as plain tables: `lines`, `charges` and `costs` (per provider, billing account and receiver)."""
    keys = ("provider", "billing_account_id", "receiver")
    columns = {name: pa.array([k[i] for k in made.costs], pa.string()) for i, name in enumerate(keys)}
    columns["cost"] = pa.array(list(made.costs.values()), _MONEY)
    return dict(zip(RESULTS, (made.lines, made.summary, to_pandas(pa.table(columns)), made.tie_out()), strict=True))


def _restored(
    read: Callable[[str], pd.DataFrame],
    month: str,
    currency: str,
    policy: Mapping[str, Any],
    *,
    has_tie_out: bool = True,
) -> Chargeback:
    """A chargeback from its tables."""
    rules = Policy.load(policy)
    rows = _records(read("costs"))
    costs = {(r["provider"], r["billing_account_id"], r["receiver"]): r["cost"] for r in rows}
    lines = Facts(
        "Chargeback lines",
        currency,
        month,
        "incentives and funding add up to 0",
        money=["amount", "exact"],
        charged=True,
    )
    spared = tuple(dict.fromkeys(r["receiver"] for r in rows if r["receiver"] in rules.not_charged))
    return Chargeback(
        month,
        currency,
        rules.dimension,
        Table.of(read("lines"), lines),
        Table.of(_with_margin(read("charges")), summary_facts(currency, month)),
        costs,
        spared,
        tuple(parts_of(read("tie_out"))) if has_tie_out else (),
    )


def _with_margin(charges: pd.DataFrame) -> pd.DataFrame:
    """Charges per receiver; months closed before margins were told apart get them as what is left of the charge."""
    if "margin" in charges.columns and "bill_lines" in charges.columns:
        return charges
    none: Any = pd.array(pa.array([Decimal(0)] * len(charges), _MONEY), dtype=pd.ArrowDtype(_MONEY))
    charges = charges.assign(bill_lines=none)
    if "margin" in charges.columns:
        return charges
    margin = [c - i - k for c, i, k in zip(charges["charge"], charges["incentive"], charges["cost"], strict=True)]
    return charges.drop(columns="markup", errors="ignore").assign(
        margin=pd.array(pa.array(margin, _MONEY), dtype=pd.ArrowDtype(_MONEY))
    )


def _differences(found: Iterable[Any], name: str, currency: str) -> Table:
    """Differences of several true-ups by receiver and cause, with the month each belongs to."""
    rows = [r | {name: month} for month, entries in found for r in _records(summary(entries, currency, month))]
    columns = {n: pa.array([r[n] for r in rows], pa.string()) for n in (name, "receiver", "cause")}
    columns["difference"] = pa.array([r["difference"] for r in rows], pa.decimal128(38, 4))
    return Table.of(to_pandas(pa.table(columns)), Facts("True-ups", currency, money=["difference"], charged=True))


def _of(frame: pd.DataFrame, receiver: str | None) -> pd.DataFrame:
    """The rows of one receiver, or all."""
    return frame if receiver is None else frame[(frame["receiver"] == receiver).to_numpy()]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts, with None for what is missing."""
    plain = pd.DataFrame(frame).astype(object)
    return plain.where(plain.notna(), None).to_dict("records")  # type: ignore[return-value]


def _people_stamp(ws: Workspace) -> str:
    """Changes when who is who changes, or who holds which seat."""
    spans = repr(identities_of(ws.settings).spans)
    places = sorted((ws.settings.root / "people").glob("*.seats.parquet"))
    held = [(place.name, place.stat().st_mtime_ns, place.stat().st_size) for place in places]
    return hashlib.sha256(f"{spans}{held}{ws.settings.policies.get('people')}".encode()).hexdigest()


def _code_stamp() -> str:
    """Changes when the code that charges changes, so that an upgrade never shows old charges."""
    names = (
        "chargeback",
        "incentives",
        "policy",
        "grouping",
        "bill_rules",
        "tie_out",
        "both_sides",
        "tariffs",
        "seat_lines",
        "spreading",
        "timing",
        "parts",
        "cycles",
    )
    return ":".join(str((Path(__file__).parent / f"{n}.py").stat().st_mtime_ns) for n in names)
