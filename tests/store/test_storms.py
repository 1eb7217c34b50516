"""Kills, full disks and writers at the same moment, in numbers: nothing lost, doubled, torn, or without its counterpart.

A storm's size is FINOPS_AI_KILLS, FINOPS_AI_FULL_DISKS and FINOPS_AI_WRITER_SECONDS; the figures are printed with `-s`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.soak
KILLS = int(os.environ.get("FINOPS_AI_KILLS", "200"))
FULL = int(os.environ.get("FINOPS_AI_FULL_DISKS", "50"))
SECONDS = int(os.environ.get("FINOPS_AI_WRITER_SECONDS", "30"))


def storm(kind, folder, size):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(Path(__file__).parent / "storm.py"), kind, str(folder), str(size)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    print(kind, figures)
    return figures


def test_kills_at_any_moment(tmp_path):
    figures = storm("kills", tmp_path, KILLS)
    assert figures["kills"] == KILLS
    assert figures["in the middle"] >= KILLS // 4, "most came too early or too late to say anything"
    assert {k: figures[k] for k in ("torn", "without its bill", "lost", "damaged")} == {
        "torn": 0, "without its bill": 0, "lost": 0, "damaged": 0,
    }  # fmt: skip


def test_full_disks(tmp_path):
    figures = storm("full", tmp_path, FULL)
    assert figures["refused"] >= FULL // 2
    assert {k: figures[k] for k in ("torn", "without its bill", "lost", "foreign")} == {
        "torn": 0, "without its bill": 0, "lost": 0, "foreign": 0,
    }  # fmt: skip


def test_four_writers(tmp_path):
    figures = storm("writers", tmp_path, SECONDS)
    assert figures["loads"] >= 8
    assert {k: figures[k] for k in ("torn", "without its bill", "lost", "doubled", "failed", "damaged")} == {
        "torn": 0, "without its bill": 0, "lost": 0, "doubled": 0, "failed": 0, "damaged": 0,
    }  # fmt: skip
