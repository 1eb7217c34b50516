"""Random histories of a ledger, checked after every step: close, late usage, refunds, rule and tariff changes, true-ups (also two
at once in two processes), files changed in every way, a kill or a full disk while sealing, a reopened month, the next month.
Each history has all of these at least once, in an order of its own.

What must hold: what was closed plus what was posted since is today's journal per receiver and account, to the cent (computed
in a second folder that has never closed anything); no entry id has two contents; whatever was changed in the closed
months stops every command that needs the month with a sentence; a kill or a full disk leaves the old state or the new one;
every posting balances.

    python benchmarks/ledger_histories.py --histories 200
    python benchmarks/ledger_histories.py --first 100 --histories 20     # other ones
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
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import product
from pathlib import Path

import pandas as pd

import finops_ai as fa
from finops_ai.cli import main
from finops_ai.errors import DataError, FinopsError, StoreError
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import Window
from finops_ai.tables.closing import close_month, true_up_month
from finops_ai.tables.posting import posting

sys.path.insert(0, str(Path(__file__).parent))
import ledger_tampering as tampering

MONTHS = ("2026-07", "2026-08", "2026-09", "2026-10")
KEYS, TEAMS, MODELS = ("k1", "k2", "k3", "k4"), ("search", "legal", "ops"), ("gpt-4o-mini", "gpt-4.1")


class History:
    """One company, its ledger, and what has happened to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random, self.log = folder, random.Random(seed), []
        self.mapping = {key: self.random.choice(TEAMS) for key in KEYS}
        self.markup, self.ids, self.opened, self.never_closed = "0", {}, None, None
        self.tried, self.held, self.settled_at = Counter[str](), set[str](), dict[str, tuple]()
        self.group, self.rewards = self.random.random() < 0.7, self.random.random() < 0.4
        self.write()
        self.load(*MONTHS)
        self.bill(*MONTHS)

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
            if self.rewards:
                text += '[chargeback.incentives]\ncache = "0.05"\nbatch = "0.1"\n'
            if self.group:
                text += '[currency]\ngroup = "USD"\nbase = "USD"\nrates = "rates.csv"\nowed = "invoice"\n'
            text += '[providers.openai]\nenabled = false\n[journal]\naccrual = "2290"\n'
            text += '[[bill]]\nname = "tax"\nwhen = { kind = "tax" }\npost = "tax"\n'
            text += '[[deliver]]\nwhat = "statements"\nto = "folder"\nfolder = "outbox"\n'
            text += '[[budgets]]\nname = "all"\nfrom = "2026-07"\nto = "2026-12"\namount = "1000"\n'
            text += '[scenario.batch]\nbatch = { share = "0.5" }\n'
            rates = "".join(
                f"{month}-{day:02},EUR,0.{(day * 7 + int(month[5:])) % 30 + 70}\n"
                for month in MONTHS
                for day in range(1, 29)
            )
            (place / "rates.csv").write_text("date,currency,rate\n" + rates, encoding="utf-8")
            (place / "finops.toml").write_text(text, encoding="utf-8")
        self.opened = self.never_closed = None

    def load(self, *months: str) -> None:
        """A provider's months, as it tells them now."""
        rows = []
        for month, key in product(months, KEYS):
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
        self.open().lake.replace("tokens", "openai", span(months), frame)

    def bill(self, *months: str) -> None:
        """A provider's bills of months, as they are now: use in its account's currency, and lines that are no use of a model."""
        rows, accounts = [], (("acct-1", "USD"), ("acct-2", "EUR" if self.group else "USD"))
        for month, (account, currency) in product(months, accounts):
            number = int(month[5:])
            period = dt.datetime(2026, number, 1, tzinfo=dt.UTC), dt.datetime(2026, number + 1, 1, tzinfo=dt.UTC)
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
        if rows:
            frame = conform({name: [row[name] for row in rows] for name in rows[0]}, BillFrame, source="made here")
            self.open().lake.replace("bills", "openai", span(months), frame)

    def open(self) -> fa.Workspace:
        """The company, as its settings are now."""
        if self.opened is None:
            self.opened = fa.open(self.folder)
        return self.opened

    def fresh(self) -> fa.Workspace:
        """A company with the same settings that never closed anything."""
        if self.never_closed is None:
            self.never_closed = fa.open(self.folder / "fresh")
        return self.never_closed

    def state(self, month: str) -> tuple[str, ...]:
        """What every figure of a month rests on: settings, what is loaded, and what is sealed of it."""
        ws, settings = self.open(), (self.folder / "finops.toml").read_text("utf-8")
        sealed = [entry.seal for entry in ws.ledger.chain() if entry.month == month]
        return settings, ws.lake.state("tokens"), ws.lake.state("bills"), *sealed

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
            posted = true_up_month(self.open(), month)[1]
            self.settled(month, again=posted is not None)

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
        before = self.open().ledger.head()
        self.started(self.a_change(), shoot=self.random.uniform(0.05, 1.5))
        self.old_or_new(before, "a shot")

    def full_disk(self) -> None:
        """A process may write so many bytes to a file and no more, as on a full disk: the old state or the new, said in words."""
        before, most = self.open().ledger.head(), int(10 ** self.random.uniform(1.5, 5))
        code = self.started(self.a_change(), most=most)[0].exitcode
        expect(code in (0, 1, 3), f"exit code {code} with {most} bytes a file")
        self.old_or_new(before, f"{most} bytes a file")

    def a_change(self) -> list[str]:
        """The command that changes the ledger next."""
        months, month = self.still_open(), self.a_closed_month()
        if months and (not month or self.random.random() < 0.5):
            return ["close", months[0]]
        self.mapping[self.random.choice(KEYS)] = self.random.choice(TEAMS)
        self.write()
        return ["true-up", month, "--output", os.devnull]

    def old_or_new(self, before: str, what: str) -> None:
        """The ledger is sound, and as it was or one state further; whoever comes next finishes it."""
        ledger = self.open().ledger
        expect(ledger.audit() == [], f"after {what}: {ledger.audit()}")
        expect(
            ledger.head() == before or ledger.chain()[-1].previous == before,
            f"{what}: neither the old state nor the new",
        )
        with ledger.alone():
            pass
        expect(self.open().ledger.audit() == [], f"unsound once {what} was finished")

    def started(
        self, *commands: list[str], shoot: float = 0, most: int = 0
    ) -> list[multiprocessing.process.BaseProcess]:
        """Commands, each in a process of its own, all at once; their ends are waited for, or they are shot."""
        config = ["--config", str(self.folder / "finops.toml")]
        found = [PROCESSES.Process(target=alone, args=([*command, *config], most)) for command in commands]
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
        change, before = self.a_change(), self.open().ledger.head()
        kind, at = self.random.choice(("kill", "full")), self.random.randint(1, 14)
        act = close_month if change[0] == "close" else true_up_month
        with failing_at(at, kind), contextlib.suppress(Killed, StoreError):
            act(self.open(), change[1])
        self.old_or_new(before, f"{kind} at write {at}")

    def tamper(self) -> None:
        """Change something in the closed months, five times: every command that needs them stops, until it is put back."""
        ledger = self.open().ledger
        if not ledger.months():
            return
        kept, head = self.folder / "kept", ledger.folder.with_name("closed.head").read_bytes()
        for _ in range(5):
            shutil.copytree(ledger.folder, kept)
            closed = [e for e in ledger.chain() if e.month in ledger.months()]
            entry = self.random.choice(closed)
            following = (self.still_open() or [MONTHS[-1]])[0]
            what = f"{tampering.spoil(ledger.folder, entry, self.random)} of {entry.folder}"
            commands = tampering.commands(entry.month, following, self.folder)
            for name in ["true-up", "close", "journal", *self.random.sample(sorted(commands), 3)]:
                code, out, err = tampering.told(self.folder / "finops.toml", commands[name])
                self.tried[name] += 1
                expect(code in (1, 3) and "backup" in err, f"{what}: {name} ends with {code}: {err or out[:300]}")
                expect(not out.strip(), f"{what}: {name} shows {out[:300]}")
            expect(self.open().ledger.audit() != [], f"{what}: the audit finds nothing")
            if what.startswith(tampering.MENDED):
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

    def settled(self, month: str, again: bool = True) -> None:
        """Closed and posted are today's journal, per receiver and account; another true-up posts nothing (`again`).

        Seen once for each state of what that rests on.
        """
        if self.settled_at.get(month) == self.state(month):
            return
        ws = self.open()
        today = balances([posting(self.fresh(), month).entries])
        posted = [s.table("true_up") for s in ws.ledger.true_ups(month=month)]
        expect(balances([ws.ledger.closed(month).table("journal"), *posted]) == today, f"{month} isn't today's journal")
        if again:
            entries, sealed = true_up_month(ws, month)
            expect(sealed is None and not len(entries), f"a second true-up of {month} posts {len(entries)} entries")
        self.settled_at[month] = self.state(month)

    def hold(self) -> None:
        """Ids, balance and soundness of everything that is sealed."""
        ledger = self.open().ledger
        expect(ledger.audit() == [], f"unsound: {ledger.audit()}")
        if ledger.head() in self.held:
            return  # nothing was sealed since, and the audit says that nothing was changed
        self.held.add(ledger.head())
        for sealed in [*(ledger.closed(m) for m in ledger.months()), *ledger.true_ups()]:
            if sealed.entry.seal in self.held:
                continue
            self.held.add(sealed.entry.seal)
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
        """Every kind of step once and some more, in random order, everything checked after each."""
        acts: list[Callable[[], None]] = [
            self.late_usage, self.refund, self.rule_change, self.true_up, self.two_at_once, self.tamper, self.shot,
            self.full_disk, self.interrupted, self.close,
        ]  # fmt: skip
        more = [self.close, self.true_up, self.tariff_change, self.reopen, self.two_closes, self.close_beside_true_up, self.refund, self.late_usage]  # fmt: skip
        acts += self.random.choices(more, k=max(steps - len(acts), 0))
        self.random.shuffle(acts)
        for act in [self.close, *acts][: steps + 1]:
            self.log.append(act.__name__)
            act()
            self.hold()
        for month in self.open().ledger.months():
            if self.settled_at.get(month) != self.state(month):
                posted = true_up_month(self.open(), month)[1]
                self.settled(month, again=posted is not None)
        self.hold()
        return self.log


def alone(command: list[str], most: int) -> None:
    """Run a command in this process, which may write at most so many bytes to a file."""
    if most:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    main(command)


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


def span(months: tuple[str, ...]) -> Window:
    """Months that follow each other, as one window."""
    return Window(Window.month(months[0]).start, Window.month(months[-1]).end)


def expect(holds: bool, text: str) -> None:
    """Raise where something that must hold doesn't."""
    if not holds:
        raise AssertionError(text)


def run(
    histories: int, steps: int, first: int = 0, minutes: float = 0, failures: list[str] | None = None
) -> tuple[Counter[str], Counter[str]]:
    """Run histories; returns how often each thing happened, and how often each command met something changed.

    Args:
        histories, steps, first: how many, how long, and the first one's seed.
        minutes: begin none after so many; 0 = all are run.
        failures: collects what didn't hold; else the first is raised.
    """
    counts, tried, began = Counter[str](), Counter[str](), time.monotonic()
    for seed in range(first, first + histories):
        if minutes and time.monotonic() - began > 60 * minutes:
            break
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder), seed)
            try:
                history.run(steps)
            except (AssertionError, FinopsError) as error:
                text = f"history {seed}, after {history.log}: {error}"
                if failures is None:
                    raise AssertionError(text) from error
                failures.append(text)
            counts.update(["histories", *history.log])
            print(
                f"{seed}: {failures[-1] if failures and failures[-1].startswith(f'history {seed},') else 'holds'}",
                flush=True,
            )
            tried.update(history.tried)
    return counts, tried


def cpu() -> float:
    """CPU seconds of this process and those it started."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


PROCESSES = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
if __name__ == "__main__":
    if PROCESSES.get_start_method() == "forkserver":
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the server that forks finds it
        PROCESSES.set_forkserver_preload(["ledger_warm"])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--steps", type=int, default=11)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0, help="Begin no history after so many minutes.")
    given = parser.parse_args()
    failed: list[str] = []
    counted, met = run(given.histories, given.steps, given.first, given.minutes, failed)
    ran = counted.pop("histories", 0)
    print(f"{ran - len(failed)} of {ran} histories hold, from {given.first} on: {dict(counted)}; {sum(met.values())} commands met "
          f"something changed: {dict(met)}; {cpu():.0f} CPU s")  # fmt: skip
    raise SystemExit(bool(failed))
