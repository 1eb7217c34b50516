"""What several processes of one run make once between them; what one process made lately."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from finops_ai.store.keeping import SHARED, Recent, sharing

MAKE = """
import sys, time
from pathlib import Path
from finops_ai.store.keeping import Recent
def make():
    with Path(sys.argv[1]).open("a") as file:
        file.write("made\\n")
    time.sleep(0.3)
    return {"amount": "28.10"}
print(Recent().once(("plan", "2026-10"), make, shared=True))
"""


@pytest.mark.long
def test_processes_of_a_run_make_it_once_and_wait_for_each_other(tmp_path):
    log = tmp_path / "log"
    with sharing() as surroundings:
        runs = [
            subprocess.Popen(
                [sys.executable, "-c", MAKE, str(log)], env=os.environ | surroundings, stdout=subprocess.PIPE
            )
            for _ in range(2)
        ]
        said = [run.communicate(timeout=60)[0] for run in runs]
    assert said == [b"{'amount': '28.10'}\n"] * 2
    assert log.read_text() == "made\n"


def test_nothing_is_shared_outside_a_run_nor_left_behind(monkeypatch):
    monkeypatch.delenv(SHARED, raising=False)
    with sharing() as surroundings:
        folder = surroundings[SHARED]
        assert Recent().once(("a",), lambda: 1, shared=True) == 1
        assert Recent().once(("a",), lambda: 2, shared=True) == 1
        assert Recent().once(("a",), lambda: 3) == 3  # not shared
        assert os.stat(folder).st_mode & 0o077 == 0  # nobody else's business
    assert not os.path.exists(folder)
    assert SHARED not in os.environ
    assert Recent().once(("a",), lambda: 4, shared=True) == 4


def test_what_fails_is_made_by_the_next(tmp_path):
    def stop():
        raise OSError("no space left")

    with sharing():
        began = time.monotonic()
        for made in (stop, lambda: 5):
            try:
                assert Recent().once(("a",), made, shared=True) == 5
            except OSError:
                assert made is stop
        assert time.monotonic() - began < 5  # the lock was let go
