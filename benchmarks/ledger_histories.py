"""Random histories of a ledger, checked after every step: close, late usage, restatement, rule and tariff changes, true-ups
(also two at once in two processes), files changed in every way, a kill or a full disk while sealing, a reopened month.

What must hold: what was closed plus what was posted since is today's journal per receiver and account, to the cent (computed
in a second folder that has never closed anything); no entry id has two contents; whatever was changed in the closed
months stops every command that needs the month with a sentence; a kill or a full disk leaves the old state or the new one;
every posting balances.

    python benchmarks/ledger_histories.py --histories 200
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import errno
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path

import pandas as pd

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import CheckFailed, DataError, FinopsError, StoreError
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import Window
from finops_ai.store import chain
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.posting import posting

MONTHS = ("2026-07", "2026-08", "2026-09", "2026-10")
KEYS, TEAMS, MODELS = ("k1", "k2", "k3", "k4"), ("search", "legal", "ops"), ("gpt-4o-mini", "gpt-4.1")


class History:
    """One company, its ledger, and what has happened to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.log = folder, random.Random(seed), []
        self.mapping = {key: self.random.choice(TEAMS) for key in KEYS}
        self.markup, self.ids, self.opened = "0", {}, None
        self.write()
        for month in MONTHS:
            self.load(month)
            self.bill(month)

    def write(self) -> None:
        """Write finops.toml as it is now, and the same beside it for a company that never closed anything."""
        rules = "".join(
            f'[[rules]]\nname = "{key}"\nwhen = {{ api_key_id = "{key}" }}\nset = {{ team = "{team}" }}\n'
            for key, team in self.mapping.items()
        )
        for place in (self.folder, self.folder / "fresh"):
            place.mkdir(parents=True, exist_ok=True)
            lake = json.dumps(str(self.folder / "lake"))
            text = f'[workspace]\nlake = {lake}\n[dimensions.team]\n{rules}[chargeback]\ndimension = "team"\n'
            text += f'not_charged = ["unallocated", "ops"]\n[[chargeback.tariffs]]\nmarkup = "{self.markup}"\n'
            text += '[chargeback.incentives]\ncache = "0.05"\nbatch = "0.1"\n[providers.openai]\nenabled = false\n'
            text += '[currency]\ngroup = "USD"\nbase = "USD"\nrates = "rates.csv"\nowed = "invoice"\n[journal]\naccrual = "2290"\n'
            text += '[[bill]]\nname = "tax"\nwhen = { kind = "tax" }\npost = "tax"\n'
            rates = "".join(
                f"{month}-{day:02},EUR,0.{(day * 7 + int(month[5:])) % 30 + 70}\n"
                for month in MONTHS
                for day in range(1, 29)
            )
            (place / "rates.csv").write_text("date,currency,rate\n" + rates, encoding="utf-8")
            (place / "finops.toml").write_text(text, encoding="utf-8")
        self.opened = None

    def load(self, month: str) -> None:
        """A provider's month, as it tells it now."""
        rows = []
        for key in KEYS:
            for meter in ("input", "output", "cache_read"):
                day = dt.datetime(2026, int(month[5:]), self.random.randint(1, 28), tzinfo=dt.UTC)
                rows.append({
                    "charge_period_start": day, "charge_period_end": day + dt.timedelta(days=1), "provider": "openai",
                    "billing_account_id": self.random.choice(("acct-1", "acct-2")), "model": self.random.choice(MODELS),
                    "operation": "chat", "meter": meter, "quantity": Decimal(self.random.randint(1, 90_000_000)), "unit": "tokens",
                    "service_tier": self.random.choice(("standard", "batch")), "api_key_id": key, "source": "api",
                    "quantity_basis": "metered",
                })  # fmt: skip
        frame = conform({name: [row[name] for row in rows] for name in rows[0]}, source="made here")
        self.open().lake.replace("tokens", "openai", Window.month(month), frame)

    def bill(self, month: str) -> None:
        """A provider's bill of a month, as it is now: use in its account's currency, and lines that are no use of a model."""
        rows, number = [], int(month[5:])
        period = dt.datetime(2026, number, 1, tzinfo=dt.UTC), dt.datetime(2026, number + 1, 1, tzinfo=dt.UTC)
        for account, currency in (("acct-1", "USD"), ("acct-2", "EUR")):
            for kind in self.random.choices(
                ("Usage", "Usage", "Credit", "Tax", "Purchase", "Adjustment"), k=self.random.randint(0, 6)
            ):
                day = dt.datetime(2026, number, self.random.randint(1, 28), tzinfo=dt.UTC)
                cost = Decimal(self.random.randint(1, 90_000)) / 1000 * (-1 if kind in ("Credit", "Adjustment") else 1)
                usage = kind == "Usage"
                rows.append({
                    "provider": "openai", "billing_account_id": account, "billing_period_start": period[0], "billing_period_end": period[1],
                    "charge_period_start": day, "charge_period_end": day + dt.timedelta(days=1), "charge_category": kind,
                    "charge_description": kind, "billed_cost": cost, "billing_currency": currency, "source": "file",
                    "model": self.random.choice((*MODELS, "unheard-of")) if usage else None, "meter": "input" if usage else "unmapped",
                    "invoice_id": self.random.choice((None, f"{month}-A", f"{month}-B")), "api_key_id": self.random.choice((None, *KEYS)),
                })  # fmt: skip
        names = rows[0] if rows else {}
        frame = (
            conform({name: [row[name] for row in rows] for name in names}, BillFrame, source="made here")
            if rows
            else None
        )
        if frame is not None:
            self.open().lake.replace("bills", "openai", Window.month(month), frame)

    def open(self) -> fa.Workspace:
        """The company, as its settings are now."""
        if self.opened is None:
            self.opened = fa.open(self.folder)
        return self.opened

    # --- what can happen

    def close(self) -> None:
        """Close the next month."""
        if months := self.still_open():
            close_month(self.open(), months[0])

    def still_open(self) -> list[str]:
        """Months to close, in order; the last one is posted in."""
        closed = self.open().ledger.months()
        return [m for m in MONTHS[:-1] if m not in closed]

    def late_usage(self) -> None:
        """A provider restates a month."""
        self.load(self.random.choice(MONTHS[:-1]))

    def refund(self) -> None:
        """Another bill of a month comes in: refunds, tax, a purchase, other amounts."""
        self.bill(self.random.choice(MONTHS[:-1]))

    def rule_change(self) -> None:
        """A key belongs to another team."""
        self.mapping[self.random.choice(KEYS)] = self.random.choice(TEAMS)
        self.write()

    def tariff_change(self) -> None:
        """Another margin."""
        self.markup = self.random.choice(("0", "0.05", "0.1"))
        self.write()

    def true_up(self) -> None:
        """Post what changed; right after it nothing is left to post, and the books are today's."""
        if month := self.a_closed_month():
            true_up_month(self.open(), month)
            self.settled(month)

    def two_at_once(self) -> None:
        """Two processes post the same correction."""
        if month := self.a_closed_month():
            command = ["true-up", month, "--output", os.devnull]
            codes = [p.exitcode for p in self.started(command, command)]
            expect(codes == [0, 0], f"exit codes {codes} of two true-ups of {month}")
            self.settled(month)

    def two_closes(self) -> None:
        """Two processes close the same month: one does, the other is told."""
        if months := self.still_open():
            codes = [p.exitcode for p in self.started(["close", months[0]], ["close", months[0]])]
            expect(sorted(codes) in ([0, 1], [0, 2], [0, 3]), f"exit codes {codes} of two closes of {months[0]}")
            expect(months[0] in self.open().ledger.months(), f"{months[0]} isn't closed")

    def close_beside_true_up(self) -> None:
        """One process closes the next month while another posts a correction: each is as if it had been alone."""
        if (months := self.still_open()) and (month := self.a_closed_month()):
            codes = [p.exitcode for p in self.started(["close", months[0]], ["true-up", month, "--output", os.devnull])]
            expect(codes == [0, 0], f"exit codes {codes} of a close beside a true-up")
            self.settled(month)

    def shot(self) -> None:
        """A process is shot while it closes or posts: the old state or the new."""
        months, month = self.still_open(), self.a_closed_month()
        command = ["close", months[0]] if months else ["true-up", month, "--output", os.devnull]
        before = self.open().ledger.head()
        self.started(command, shoot=self.random.uniform(0.5, 6))
        ledger = self.open().ledger
        expect(ledger.audit() == [], f"after a shot: {ledger.audit()}")
        expect(ledger.head() == before or ledger.chain()[-1].previous == before, "neither the old state nor the new")

    def started(self, *commands: list[str], shoot: float = 0) -> list[multiprocessing.process.BaseProcess]:
        """Commands, each in a process of its own, all at once; their ends are waited for, or they are shot."""
        start = multiprocessing.get_context("spawn")
        config = ["--config", str(self.folder / "finops.toml")]
        found = [start.Process(target=main, args=([*command, *config],)) for command in commands]
        for one in found:
            one.start()
        for one in found:
            one.join(shoot or None)
            if one.exitcode is None:
                one.kill()
                one.join()
        return found

    def reopen(self) -> None:
        """Open the last month again, where that is allowed, and close it."""
        closed = self.open().ledger.months()
        if closed:
            with contextlib.suppress(DataError):
                self.open().ledger.reopen(closed[-1], "A. Finance", "an invoice came late")
                expect(closed[-1] not in self.open().ledger.months(), "reopened, but closed")
                close_month(self.open(), closed[-1])

    def interrupted(self) -> None:
        """A kill or a full disk at any write while a month is closed or trued up: the old state or the new."""
        months, ws = self.still_open(), self.open()
        before = ws.ledger.head()
        act = (
            (lambda: close_month(self.open(), months[0])) if months else (lambda: true_up_month(self.open(), MONTHS[0]))
        )
        kind, at = self.random.choice(("kill", "full")), self.random.randint(1, 14)
        with failing_at(at, kind), contextlib.suppress(Killed, StoreError):
            act()
        ledger = self.open().ledger
        expect(ledger.audit() == [], f"after {kind} at write {at}: {ledger.audit()}")
        expect(ledger.head() == before or ledger.chain()[-1].previous == before, "neither the old state nor the new")
        with ledger.alone():
            pass
        expect(self.open().ledger.audit() == [], "unsound once it was finished")

    def tamper(self) -> None:
        """Change something in the closed months: every command that needs them stops, until it is put back."""
        ledger = self.open().ledger
        if not ledger.months():
            return
        kept = self.folder / "kept"
        shutil.copytree(ledger.folder, kept)
        head = ledger.folder.with_name("closed.head").read_bytes()
        entry = self.random.choice([e for e in ledger.chain() if e.kind != "reopen"])
        what = spoil(ledger.folder, entry, self.random)
        for name, command in {
            "true-up": lambda: true_up_month(self.open(), entry.month),
            "close": lambda: close_month(self.open(), MONTHS[-1], out_of_order="test"),
            "chargeback": lambda: posting(self.open(), entry.month),
            "rows": lambda: self.open().allocated(entry.month),
        }.items():
            state_only = entry.kind == "true-up" or entry != ledger_entry(kept, entry.month)
            if name in ("rows", "chargeback") and state_only and what.startswith("file"):
                continue  # shown as it was closed: the state of a correction, or of a close that was reopened, isn't read
            try:
                command()
            except (CheckFailed, DataError) as error:
                expect("backup" in str(error), f"{what}: {name} says no way out: {error}")
            else:
                raise AssertionError(f"{what} of {entry.folder}: {name} went on")
        expect(self.open().ledger.audit() != [], f"{what}: the audit finds nothing")
        if what in ("chain: last line cut", "chain: last line half written"):
            self.open().ledger.repair()
            expect(self.open().ledger.audit() == [], f"{what}: not mended")
        shutil.rmtree(ledger.folder)
        shutil.move(str(kept), ledger.folder)
        ledger.folder.with_name("closed.head").write_bytes(head)
        expect(self.open().ledger.audit() == [], "unsound after it was put back")

    # --- what must hold

    def a_closed_month(self) -> str:
        months = self.open().ledger.months()
        return self.random.choice(months) if months else ""

    def settled(self, month: str) -> None:
        """Closed and posted are today's journal, per receiver and account; another true-up posts nothing."""
        ws, fresh = self.open(), fa.open(self.folder / "fresh")
        today = balances([posting(fresh, month).entries])
        posted = [s.table("true_up") for s in ws.ledger.true_ups(month=month)]
        expect(balances([ws.ledger.closed(month).table("journal"), *posted]) == today, f"{month} isn't today's journal")
        entries, sealed = true_up_month(ws, month)
        expect(sealed is None and not len(entries), f"a second true-up of {month} posts {len(entries)} entries")

    def hold(self) -> None:
        """Ids, balance and soundness of everything that is sealed."""
        ledger = self.open().ledger
        expect(ledger.audit() == [], f"unsound: {ledger.audit()}")
        for sealed in [*(ledger.closed(m) for m in ledger.months()), *ledger.true_ups()]:
            entries = sealed.table("true_up" if sealed.has("true_up") else "journal")
            debit, credit = sum(entries["debit"], Decimal(0)), sum(entries["credit"], Decimal(0))
            expect(debit == credit, f"{sealed.folder} doesn't balance")
            for currency, own in entries.groupby("transaction_currency"):
                debit, credit = (sum(own[f"transaction_{side}"], Decimal(0)) for side in ("debit", "credit"))
                expect(debit == credit, f"{sealed.folder} doesn't balance in {currency}")
            expect(entries["entry"].is_unique, f"{sealed.folder} gives an id twice")
            for row in entries.astype(object).to_dict("records"):
                content = (sealed.entry.folder.partition(".close-")[0], str(row))
                known = self.ids.setdefault(row["entry"], content)
                expect(known == content, f"id {row['entry']} has two contents")
        for month in (*MONTHS, "2026-11"):
            if ledger.true_ups(posted_in=month):
                post = posting(self.open(), month)
                expect(sum(post.entries["debit"]) == sum(post.entries["credit"]), f"postings of {month} don't balance")

    def run(self, steps: int) -> list[str]:
        """Some random steps, everything checked after each."""
        acts = [
            self.close,
            self.late_usage,
            self.refund,
            self.rule_change,
            self.tariff_change,
            self.true_up,
            self.reopen,
            self.tamper,
        ]
        acts += [self.interrupted, self.close, self.true_up]
        for number in range(steps):
            act = self.close if not number else self.random.choice(acts)
            if act == self.true_up and self.random.random() < 0.2:
                act = self.random.choice((self.two_at_once, self.close_beside_true_up))
            if act == self.close and number and self.random.random() < 0.2:
                act = self.random.choice((self.two_closes, self.shot))
            self.log.append(act.__name__)
            act()
            self.hold()
        for month in self.open().ledger.months():
            true_up_month(self.open(), month)
            self.settled(month)
        self.hold()
        return self.log


class Killed(BaseException):
    """Stands for a process that is killed: nothing of its own runs any more."""


@contextlib.contextmanager
def failing_at(number: int, kind: str):
    """Let the number-th wait for the disk fail, as a kill or as a full disk; a killed process cleans nothing up."""
    count, original, remove = [0], os.fsync, shutil.rmtree
    unlink = Path.unlink

    def fsync(handle: int) -> None:
        count[0] += 1
        if kind == "full" and count[0] >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if kind == "kill" and count[0] == number:
            shutil.rmtree = lambda *args, **more: None
            Path.unlink = lambda *args, **more: None
            raise Killed
        original(handle)

    os.fsync = fsync
    try:
        yield
    finally:
        os.fsync, shutil.rmtree, Path.unlink = original, remove, unlink


def spoil(folder: Path, entry: chain.Entry, choose: random.Random) -> str:
    """Change one thing; says what."""
    path, state = folder / chain.CHAIN, folder / entry.folder
    lines = path.read_text("utf-8").splitlines(keepends=True)
    files = sorted(state.iterdir())
    for file in files:
        file.chmod(0o644)
    file = choose.choice(files)
    ways = [
        "file: byte",
        "file: cut",
        "file: gone",
        "file: added",
        "file: emptied",
        "folder: gone",
        "head: other",
        "head: gone",
    ]
    ways += ["chain: gone", "chain: last line cut", "chain: last line half written", "chain: line changed"]
    ways += ["chain: order", "chain: line twice"] if len(lines) > 1 else []
    what = choose.choice(ways)
    content, head = file.read_bytes(), folder.with_name("closed.head")
    match what:
        case "file: byte":
            at = choose.randrange(len(content))
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        case "file: cut":
            file.write_bytes(content[:-1])
        case "file: gone":
            file.unlink()
        case "file: added":
            (state / "note.txt").write_text("x")
        case "file: emptied":
            file.write_bytes(b"")
        case "folder: gone":
            shutil.rmtree(state)
        case "head: other":
            head.write_text("f" * 64)
        case "head: gone":
            head.unlink()
        case "chain: gone":
            path.unlink()
        case "chain: last line cut":
            path.write_text("".join(lines[:-1]))
        case "chain: last line half written":
            path.write_text("".join(lines)[:-20])
        case "chain: line changed":
            path.write_text("".join(lines).replace('"previous": "', '"previous": "f', 1))
        case "chain: order":
            path.write_text("".join([lines[1], lines[0], *lines[2:]]))
        case "chain: line twice":
            path.write_text("".join([*lines, lines[-1]]))
    return what


def ledger_entry(folder: Path, month: str) -> chain.Entry:
    """The last close of a month in a copy of the ledger."""
    found = [json.loads(line) for line in (folder / chain.CHAIN).read_text().splitlines()]
    entries = [chain.Entry(**line) for line in found]
    return [e for e in entries if e.month == month and e.kind == "close"][-1]


def balances(journals: list[pd.DataFrame]) -> dict[tuple, Decimal]:
    """Debit minus credit per account, receiver, provider, billing account, invoice and currency, without those that come to nothing."""
    out: dict[tuple, Decimal] = {}
    for journal in journals:
        for row in pd.DataFrame(journal).astype(object).to_dict("records"):
            key = tuple(
                row[k] or ""
                for k in (
                    "account",
                    "cost_centre",
                    "provider",
                    "billing_account_id",
                    "invoice_id",
                    "transaction_currency",
                )
            )
            out[key] = out.get(key, Decimal(0)) + row["debit"] - row["credit"]
    return {key: amount for key, amount in out.items() if amount}


def expect(holds: bool, text: str) -> None:
    """Raise where something that must hold doesn't."""
    if not holds:
        raise AssertionError(text)


def run(histories: int, steps: int, first: int = 0) -> dict[str, int]:
    """Run histories; returns how often each thing happened."""
    counts: dict[str, int] = {}
    for seed in range(first, first + histories):
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder), seed)
            try:
                for act in history.run(steps):
                    counts[act] = counts.get(act, 0) + 1
            except (AssertionError, FinopsError) as error:
                raise AssertionError(f"history {seed}, after {history.log}: {error}") from error
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    began = time.process_time()
    counted = run(given.histories, given.steps, given.first)
    print(f"{given.histories} histories hold: {counted}; {time.process_time() - began:.0f} CPU s")
