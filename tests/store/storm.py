"""What `test_storms.py` runs: a parent that has everything imported, and a child per load, killed or starved.

Each load writes ROWS usage rows and ROWS charges that all hold one number, so that whatever is read must be one number, in
both tables, and never less than the last load that was reported as done.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pandas as pd

from finops_ai.errors import FinopsError
from finops_ai.frames import BillFrame, conform
from finops_ai.periods import Window
from finops_ai.store import Lake
from finops_ai.store.checking import verify

ROWS = 200
JANUARY = Window.of("2026-01-01", "2026-02-01")


def lake_at(root):
    """A lake on disk, or where FINOPS_AI_STORM_OPTIONS (JSON) says how its object store is reached."""
    return Lake(root, json.loads(os.environ.get("FINOPS_AI_STORM_OPTIONS", "{}")))


def frames(number):
    starts = [JANUARY.start + dt.timedelta(hours=i % 700) for i in range(ROWS)]
    times = {"charge_period_start": starts, "charge_period_end": [s + dt.timedelta(hours=1) for s in starts]}
    common = {"provider": "openai", "billing_account_id": "org", "meter": "input", "source": "api"}
    usage = common | {
        "model": "m", "operation": "chat", "unit": "tokens", "service_tier": "standard", "quantity_basis": "metered", "quantity": Decimal(number),
    }  # fmt: skip
    bill = common | {
        "charge_description": "tokens", "charge_category": "Usage", "billing_currency": "USD", "billed_cost": Decimal(number),
        "billing_period_start": JANUARY.start, "billing_period_end": JANUARY.end,
    }  # fmt: skip
    ids = [f"r{i}" for i in range(ROWS)]
    tokens = conform(times | {k: [v] * ROWS for k, v in usage.items()} | {"request_id": ids}, source="storm")
    bills = conform(times | {k: [v] * ROWS for k, v in bill.items()}, BillFrame, source="storm")
    return {"tokens": tokens, "bills": bills}


#: made once: a child's time goes into its load
MADE = frames(1)


def numbered(number):
    """The frames with another number in every row."""
    out = {}
    for table, column in (("tokens", "quantity"), ("bills", "billed_cost")):
        values = pd.array([Decimal(number)] * ROWS, dtype=MADE[table][column].dtype)
        out[table] = MADE[table].assign(**{column: values})
    return out


def child(function):
    """Run in a process of its own; gives its id and the end to read from what it returned as JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 0
        try:
            with os.fdopen(writing, "w") as out:
                function(lambda value: (out.write(json.dumps(value) + "\n"), out.flush()))
        except BaseException as error:
            code = 3 if isinstance(error, FinopsError) else 4
            print(f"{type(error).__name__}: {error}"[:400], file=sys.stderr)
        os._exit(code)
    os.close(writing)
    return pid, os.fdopen(reading)


def asked(function):
    pid, out = child(lambda say: say(function()))
    lines = out.read().splitlines()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code or not lines:
        raise SystemExit(f"the check itself failed with {code}")
    return json.loads(lines[-1])


def state(root, connection="openai"):
    """What is read: the numbers and row counts of both tables."""

    def look():
        lake = lake_at(root)
        now = lake._table("tokens")
        lake._table = lambda *_, **__: now  # both reads are of one version: a load may come in between
        out = {}
        for table, column in (("tokens", "quantity"), ("bills", "billed_cost")):
            values = lake.read(table, connections=[connection])[column]
            out[table] = [sorted({int(v) for v in values}), len(values)]
        return out

    return asked(look)


def judge(found, least, counts):
    (usage, rows), (bill, charges) = found["tokens"], found["bills"]
    if len(usage) > 1 or len(bill) > 1 or rows not in (0, ROWS) or charges not in (0, ROWS):
        counts["torn"] += 1
    if usage != bill:
        counts["without its bill"] += 1
    if (usage or [0])[0] < least:
        counts["lost"] += 1
    return (usage or [0])[0]


def loading(root, first, connection="openai", count=10_000):
    def load(say):
        lake = lake_at(root)
        for number in range(first, first + count):
            new = numbered(number)
            say(-number)  # it begins
            lake.replace_window(connection, JANUARY, new)
            say(number)

    return load


def kills(root, size):
    counts = Counter(dict.fromkeys(("kills", "in the middle", "torn", "without its bill", "lost", "damaged"), 0))
    seed, least = random.Random(16), 0
    for _ in range(size):
        before = least
        pid, out = child(loading(root, least + 1))
        time.sleep(seed.uniform(0.3, 3.0))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        said = [int(line) for line in out.read().split()]
        counts["kills"] += 1
        counts["in the middle"] += bool(said) and said[-1] < 0
        now = judge(state(root), max([before, *said]), counts)
        least = max(least, now)
        if counts["kills"] % 10 == 0:
            print(dict(counts), file=sys.stderr, flush=True)
    counts["damaged"] = asked(lambda: len(verify(lake_at(root)).damage))
    counts["loads"] = least
    return counts


def full(root, size):
    counts = Counter(dict.fromkeys(("disks", "refused", "torn", "without its bill", "lost", "foreign"), 0))
    seed, least = random.Random(17), 1
    asked(lambda: loading(root, 1, count=1)(lambda _: None))
    for number in range(2, size + 2):
        most = int(2 ** seed.uniform(4, 17))

        def starved(say, number=number, most=most):
            lake, new = lake_at(root), numbered(number)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            lake.replace_window("openai", JANUARY, new)
            say(number)

        pid, out = child(starved)
        done = out.read().split()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        counts["disks"] += 1
        counts["refused"] += code == 3
        counts["foreign"] += code not in (0, 3)
        least = judge(state(root), number if done else least, counts)
    return counts


def writers(root, seconds):
    counts = Counter(
        dict.fromkeys(("loads", "torn", "without its bill", "lost", "doubled", "failed", "damaged", "reads"), 0)
    )
    until = time.monotonic() + seconds

    def write(name):
        def run(say):
            lake, number = lake_at(root), 0
            while time.monotonic() < until:
                number += 1
                lake.replace_window(name, JANUARY, numbered(number))
                lake.replace_window("shared", JANUARY, numbered(number))
                say(number)

        return run

    started = {name: child(write(name)) for name in ("a", "b", "c", "d")}
    while time.monotonic() < until:
        for name in (*started, "shared"):
            judge(state(root, name), 0, counts)
            counts["reads"] += 1
    last = {}
    for name, (pid, out) in started.items():
        numbers = [int(line) for line in out.read().split()]
        counts["failed"] += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0
        counts["loads"] += 2 * len(numbers)
        last[name] = max(numbers, default=0)
    for name, number in last.items():
        found = state(root, name)
        counts["doubled"] += found["tokens"][1] > ROWS or found["bills"][1] > ROWS
        counts["lost"] += found["tokens"][0] != [number]
        judge(found, number, counts)
    judge(state(root, "shared"), 1, counts)
    counts["damaged"] = asked(lambda: len(verify(lake_at(root)).damage))
    return counts


if __name__ == "__main__":
    kind, folder, amount = sys.argv[1:]
    root = folder + "/lake" if "://" in folder else str(Path(folder) / "lake")
    print(json.dumps({"kills": kills, "full": full, "writers": writers}[kind](root, int(amount))))
