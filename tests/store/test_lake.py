from __future__ import annotations

import datetime as dt
import subprocess
import sys
import threading
from decimal import Decimal

import pandas as pd
import pytest

from finops_ai.errors import StoreError
from finops_ai.frames import conform, empty
from finops_ai.periods import Window
from finops_ai.store import Lake

JANUARY = Window.of("2026-01-01", "2026-02-01")


def frame(days, quantity=1, provider="openai"):
    starts = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in days]
    n = len(starts)
    constant = {
        "provider": provider, "billing_account_id": "org", "model": "m", "operation": "chat", "meter": "input", "unit": "tokens",
        "service_tier": "standard", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    return conform(
        {
            "charge_period_start": starts,
            "charge_period_end": [s + dt.timedelta(days=1) for s in starts],
            "quantity": [Decimal(quantity)] * n,
            "tags": [[("team", "a")]] * n,
            **{name: [value] * n for name, value in constant.items()},
        },
        source="test",
    )


def test_a_rerun_changes_nothing(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    first = lake.replace("tokens", "openai", JANUARY, frame([1, 2]))
    again = lake.replace("tokens", "openai", JANUARY, frame([2, 1]))
    assert (first.changed, again.changed) == (True, False)
    assert lake.version("tokens") == 0


def test_a_restatement_replaces_its_window_only(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    lake.replace("tokens", "openai", JANUARY, frame([1, 2, 3]))
    lake.replace("tokens", "o'brien", JANUARY, frame([2], 100))
    lake.replace("tokens", "openai", Window.of("2026-01-02", "2026-01-03"), frame([2], 50))
    assert sum(lake.read("tokens")["quantity"]) == 1 + 50 + 1 + 100
    lake.replace("tokens", "openai", JANUARY, empty())
    assert sum(lake.read("tokens")["quantity"]) == 100


def test_the_same_figures_under_another_name_are_a_restatement(tmp_path):
    lake, one, two = Lake(str(tmp_path / "lake")), frame([3, 1, 2]), frame([3, 1, 2])
    two["user_id"] = pd.Series(["ann", None, None], dtype=two["user_id"].dtype)
    lake.replace("tokens", "openai", JANUARY, one)
    assert lake.replace("tokens", "openai", JANUARY, two).changed
    assert not lake.replace("tokens", "openai", JANUARY, two.iloc[::-1]).changed
    kept = lake.read("tokens")
    assert [t.day for t in kept["charge_period_start"]] == [1, 2, 3], "rows come in order of time"
    assert kept["user_id"].dropna().tolist() == ["ann"]


def test_reading_a_window_leaves_out_its_end(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    lake.replace("tokens", "openai", JANUARY, frame([1, 2, 3]))
    assert len(lake.read("tokens", Window.of("2026-01-02", "2026-01-03"))) == 1


def test_a_load_may_not_write_outside_its_window(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    with pytest.raises(StoreError, match="outside"):
        lake.replace("tokens", "openai", Window.of("2026-01-01", "2026-01-02"), frame([1, 2]))
    assert lake.version("tokens") is None


def test_an_empty_lake_gives_typed_empty_frames(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    assert lake.read("tokens").dtypes.equals(empty().dtypes)
    assert lake.freshness().empty


@pytest.mark.long
def test_connections_load_side_by_side(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    errors = []

    def load(name):
        try:
            for quantity in (1, 2):
                Lake(lake.root).replace("tokens", name, JANUARY, frame([1, 2, 3], quantity))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=load, args=(f"c{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    # four connections x three days x quantity 2
    assert sum(lake.read("tokens")["quantity"]) == 24


def test_loads_are_remembered_with_their_notes(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    lake.replace("tokens", "openai", JANUARY, frame([1]), {"notes": ["grouped by project only"]})
    row = lake.loads().iloc[0]
    assert (row["connection"], row["rows"], row["notes"]) == ("openai", 1, ["grouped by project only"])


@pytest.mark.long
def test_an_interpreter_that_read_the_lake_ends_well(tmp_path):
    # delta-rs issue 2184: with its default file system the interpreter may abort at exit
    Lake(str(tmp_path / "lake")).replace("tokens", "openai", JANUARY, frame([1]))
    code = f"from finops_ai.store import Lake; print(len(Lake({str(tmp_path / 'lake')!r}).read('tokens')))"
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (0, "1"), done.stderr
