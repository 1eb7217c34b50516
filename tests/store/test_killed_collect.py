"""A load killed at any moment leaves the lake readable, and a rerun ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

import finops_ai as fa
from finops_ai.frames import to_arrow
from finops_ai.sample.settings import write_workspace

pytestmark = pytest.mark.slow
COLLECT = [sys.executable, "-m", "finops_ai.cli", "collect", "openai", "--from", "2026-08-01", "--to", "2026-11-01"]


def content(ws):
    return {table: sorted(map(repr, to_arrow(ws.lake.read(table)).to_pylist())) for table in ("tokens", "bills")}


def test_twenty_kills_at_random_moments(tmp_path):
    write_workspace(tmp_path / "calm", months=3)
    began = time.monotonic()
    subprocess.run(COLLECT, cwd=tmp_path / "calm", check=True, capture_output=True)
    took = time.monotonic() - began
    wanted = content(fa.open(tmp_path / "calm"))
    assert len(wanted["tokens"]) > 1000

    shutil.copytree(
        tmp_path / "calm", tmp_path / "stormy", ignore=shutil.ignore_patterns("finops-lake", ".finops-cache")
    )
    ws = fa.open(tmp_path / "stormy")
    months = {len(part) for part in (ws.tokens("2026-08"), ws.tokens("2026-09"), ws.tokens("2026-10"))}
    assert months == {0}
    whole = {m: len(fa.open(tmp_path / "calm").tokens(m)) for m in ("2026-08", "2026-09", "2026-10")}
    seed = random.Random(7)
    killed = 0
    for _ in range(20):
        process = subprocess.Popen(
            COLLECT, cwd=tmp_path / "stormy", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        began = time.monotonic()
        try:
            process.wait(seed.uniform(0.3, 1.0) * took)
            took = min(took, time.monotonic() - began)  # the machine has less to do than at the start
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
        # each month is there whole or not at all
        for month, rows in whole.items():
            assert len(ws.tokens(month)) in (0, rows)
    assert killed >= 10
    subprocess.run(COLLECT, cwd=tmp_path / "stormy", check=True, capture_output=True)
    got = content(ws)
    assert got == wanted
