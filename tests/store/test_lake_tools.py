"""The lake's own tools: what is in it, every damaged byte found and named, fewer files, a copy, older lakes."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import stat
from decimal import Decimal
from pathlib import Path

import deltalake
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import stamina
from click.testing import CliRunner
from deltalake.exceptions import CommitFailedError

import finops_ai as fa
from finops_ai.cli import group
from finops_ai.errors import StoreError
from finops_ai.frames import BillFrame, conform, empty, to_arrow
from finops_ai.periods import Window
from finops_ai.sample.settings import write_workspace
from finops_ai.store import Lake, checking, tools
from finops_ai.store.closing import Ledger
from finops_ai.store.lake import CONNECTION
from finops_ai.store.whole import read_whole, write_whole

JANUARY = Window.of("2026-01-01", "2026-02-01")


def tokens(days, quantity=1):
    starts = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in days]
    constant = {
        "provider": "openai", "billing_account_id": "org", "model": "m", "operation": "chat", "meter": "input", "unit": "tokens",
        "service_tier": "standard", "source": "api", "quantity_basis": "metered",
    }  # fmt: skip
    rows = {name: [value] * len(days) for name, value in constant.items()}
    ends = [s + dt.timedelta(days=1) for s in starts]
    return conform(
        {"charge_period_start": starts, "charge_period_end": ends, "quantity": [Decimal(quantity)] * len(days), **rows},
        source="test",
    )


def bills(days, cost="1.5"):
    starts = [dt.datetime(2026, 1, day, tzinfo=dt.UTC) for day in days]
    constant = {
        "provider": "openai", "billing_account_id": "org", "billing_currency": "USD", "charge_category": "Usage",
        "charge_description": "tokens", "meter": "input", "service_name": "API", "billed_cost": Decimal(cost), "source": "api",
    }  # fmt: skip
    rows = {name: [value] * len(days) for name, value in constant.items()}
    ends = [s + dt.timedelta(days=1) for s in starts]
    period = {"billing_period_start": [JANUARY.start] * len(days), "billing_period_end": [JANUARY.end] * len(days)}
    return conform(
        {"charge_period_start": starts, "charge_period_end": ends, **period, **rows}, BillFrame, source="test"
    )


def loaded(folder, connections=("openai", "o'neil & sons"), days=range(1, 29)):
    lake = Lake(str(folder))
    for number, name in enumerate(connections):
        lake.replace_window(
            name, JANUARY, {"tokens": tokens(days, number + 1), "bills": bills(days)}, {"plugin": "p 1"}
        )
    return lake


def content(lake):
    """All rows of both tables in an order of their own."""
    found = {t: lake.read_arrow(t, with_connection=True) for t in ("tokens", "bills")}
    return {t: sorted(map(repr, rows.to_pylist())) for t, rows in found.items()}


@pytest.mark.long
def test_usage_and_bill_are_one_commit(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    loads = lake.replace_window("openai", JANUARY, {"tokens": tokens([1, 2]), "bills": bills([1])})
    assert {t: (load.after, load.version) for t, load in loads.items()} == {"tokens": (2, 0), "bills": (1, 0)}
    again = lake.replace_window("openai", JANUARY, {"tokens": tokens([1, 2]), "bills": bills([1])})
    assert not any(load.changed for load in again.values())
    loads = lake.replace_window("openai", JANUARY, {"tokens": tokens([1, 2, 3]), "bills": bills([1, 3])})
    assert lake.version("tokens") == lake.version("bills") == 1
    # a change of one leaves the other as it is
    only = lake.replace_window("openai", JANUARY, {"tokens": tokens([1, 2, 3]), "bills": bills([1, 3], "2")})
    assert [only[t].changed for t in ("tokens", "bills")] == [False, True]
    assert (len(lake.read("tokens")), sum(lake.read("bills")["billed_cost"])) == (3, 4)
    assert lake.loads("bills")["rows"].tolist() == [2, 2, 1]
    assert lake.loads("tokens")["rows"].tolist() == [3, 2]
    assert len(lake.replace_window("openai", JANUARY, {"tokens": tokens([]), "bills": empty(BillFrame)})) == 2
    assert len(lake.read("tokens")) == len(lake.read("bills")) == 0


def test_a_commit_that_fails_leaves_both_as_they_were(tmp_path, monkeypatch):
    lake = loaded(tmp_path / "lake")
    before = content(lake)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(deltalake, "write_deltalake", full)
    with pytest.raises(StoreError, match="No space left"):
        lake.replace_window("openai", JANUARY, {"tokens": tokens([1]), "bills": bills([1])})
    assert content(lake) == before


def test_a_busy_lake_says_so_and_keeps_the_old_data(tmp_path):
    class Busy(Lake):
        def _replace_once(self, *args):
            raise CommitFailedError("busy")

    stamina.set_testing(True, attempts=2)
    try:
        with pytest.raises(StoreError, match=r"other loads kept getting in first \(busy\).*run the same command again"):
            Busy(str(tmp_path)).replace("tokens", "openai", JANUARY, tokens([1]))
    finally:
        stamina.set_testing(False)


def every_file(lake):
    return sorted(p for p in Path(lake.root).rglob("*") if p.is_file() and not p.name.startswith("."))


@pytest.mark.long
def test_a_hundred_flipped_bits_are_found_and_named(tmp_path):
    lake = loaded(tmp_path / "lake")
    lake.replace("tokens", "openai", Window.of("2026-01-05", "2026-01-06"), tokens([5], 9))
    sound = checking.verify(lake)
    assert (sound.damage, sound.unrecorded) == ([], 0)
    files = every_file(lake)  # those of earlier versions, which can be read for a week, too
    current = {Path(u).resolve() for t in ("tokens", "bills") for u in lake.files(t)}
    assert [p for p in files if p.suffix == ".parquet" and p.resolve() not in current]
    seed = random.Random(16)
    found = 0
    for number in range(100):
        path = files[number % len(files)]
        whole = path.read_bytes()
        at = seed.randrange(len(whole))
        path.chmod(0o600)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << seed.randrange(8))]) + whole[at + 1 :])
        named = [d for d in checking.verify(lake).damage if d.place.endswith(path.name)]
        found += bool(named)
        path.write_bytes(whole)
    assert found == 100
    assert checking.verify(lake).damage == []


def test_damage_says_whose_days_to_load_again(tmp_path):
    lake = loaded(tmp_path / "lake", ["openai"])
    path = Path(lake.files("tokens")[0])
    path.unlink()
    damage = checking.verify(lake).damage
    assert [str(d) for d in damage] == [
        f"frames/kind=tokens/connection=openai/{path.name}: the file is missing. "
        "Load it again: finops-ai collect openai --from 2026-01-01 --to 2026-01-29"
    ]
    with pytest.raises(StoreError, match="lake verify"):
        lake.read("tokens")
    assert len(lake.read("bills")) == 28  # the others are read


def test_a_load_killed_before_its_checksums_is_whole_and_gets_them_later(tmp_path, monkeypatch):
    lake = loaded(tmp_path / "lake", ["openai"])
    with monkeypatch.context() as killed:
        killed.setattr(tools, "after_load", lambda *_: None)
        lake.replace("tokens", "azure", JANUARY, tokens([1, 2]))
    verdict = checking.verify(lake)
    assert (verdict.damage, verdict.unrecorded) == ([], 2)  # its rows and its commit
    path = Path(lake.files("tokens")[0])
    lake.replace("tokens", "openai", JANUARY, tokens([1]))
    assert checking.verify(lake).unrecorded == 0
    assert path.exists()


@pytest.mark.long
def test_records_stay_few(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "MOST", 4)
    lake = Lake(str(tmp_path / "lake"))
    for number in range(12):
        lake.replace("tokens", "openai", JANUARY, tokens([1, 2, 3], number + 1))
        assert len(list(Path(lake.root).rglob("checksums/*.json"))) <= 4
    assert (checking.verify(lake).damage, checking.verify(lake).unrecorded) == ([], 0)


@pytest.mark.long
def test_compacting_changes_no_row_and_follows_many_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "MANY", 6)
    lake = Lake(str(tmp_path / "lake"))
    for day in range(1, 12):
        lake.replace("tokens", "openai", Window.of(f"2026-01-{day:02}", f"2026-01-{day + 1:02}"), tokens([day], day))
        assert len(lake.files("tokens")) <= 6
    assert sum(lake.read("tokens")["quantity"]) == sum(range(1, 12))
    before = content(lake)
    assert tools.compact(lake)["after"] == 1
    assert content(lake) == before
    assert checking.verify(lake).damage == []


@pytest.mark.long
def test_files_that_were_put_together_are_not_written_again_by_every_load(tmp_path, monkeypatch):
    """A lake of many large files is as it should be: what counts are small ones."""
    monkeypatch.setattr(tools, "MANY", 4)
    monkeypatch.setattr(tools, "SMALL", 1)  # so these files are large
    lake = Lake(str(tmp_path / "lake"))
    for day in range(1, 8):
        lake.replace("tokens", "openai", Window.of(f"2026-01-{day:02}", f"2026-01-{day + 1:02}"), tokens([day], day))
    assert len(lake.files("tokens")) == 7
    monkeypatch.setattr(tools, "SMALL", 1 << 20)
    lake.replace("tokens", "openai", Window.of("2026-01-08", "2026-01-09"), tokens([8], 8))
    assert len(lake.files("tokens")) == 1


def test_export_is_complete_and_checked(tmp_path):
    lake = loaded(tmp_path / "lake")
    written = tools.export(lake, tmp_path / "out")
    assert [p.name for p in written[:2]] == [
        f"{t}-{'o-neil-sons'}-{hashlib.sha256(b'o' + bytes([39]) + b'neil & sons').hexdigest()[:8]}.parquet"
        for t in ("tokens", "bills")
    ]
    rows = sum(pq.read_table(p).num_rows for p in written if p.name.startswith("tokens"))
    assert rows == len(lake.read("tokens")) == 56
    for line in (tmp_path / "out" / "checksums.sha256").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    with pytest.raises(StoreError, match="already and not empty"):
        tools.export(lake, tmp_path / "out")
    assert tools.export(Lake(str(tmp_path / "none")), tmp_path / "empty")[0].read_text() == ""


@pytest.mark.long
def test_a_lake_of_the_first_version_is_brought_over(tmp_path):
    new = loaded(tmp_path / "new", ["openai", "azure"])
    old = Lake(str(tmp_path / "old"))
    for table in ("tokens", "bills"):
        rows = new.read_arrow(table, with_connection=True)
        deltalake.write_deltalake(f"{old.root}/{table}", rows, mode="error", partition_by=[CONNECTION])
    with pytest.raises(StoreError, match="finops-ai lake upgrade"):
        old.read("tokens")
    assert tools.upgrade(old) == {"tokens": 56, "bills": 56}
    assert content(old) == content(new)
    assert tools.upgrade(old) == {}


def test_files_are_their_owners_alone(tmp_path):
    lake = loaded(tmp_path / "lake")
    tools.compact(lake)
    tools.export(lake, tmp_path / "out")
    write_whole(pa.table({"a": [1]}), tmp_path / "cache" / "x.parquet")
    ledger = Ledger(tmp_path / "closed")
    ledger.close("2026-01", {"charges": pd.DataFrame({"team": ["a"]})})
    for root in ("lake", "out", "cache", "closed"):
        for path in [tmp_path / root, *(tmp_path / root).rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no seal"])
def test_a_damaged_cache_heals_itself(tmp_path, damage):
    table = pa.table({"a": list(range(1000))})
    path = tmp_path / "c" / "x.parquet"
    write_whole(table, path)
    assert read_whole(path).equals(table)
    whole = path.read_bytes()
    if damage == "no seal":
        path.with_name("x.parquet.sha256").unlink()
    else:
        path.write_bytes(
            {"cut": whole[:-9], "flip": whole[:30] + bytes([whole[30] ^ 4]) + whole[31:], "empty": b""}[damage]
        )
    assert read_whole(path) is None
    assert not path.exists()
    write_whole(table, path)
    assert read_whole(path).equals(table)


@pytest.mark.long
def test_the_workspace_makes_damaged_frames_again(tmp_path):
    write_workspace(tmp_path, months=1)
    ws = fa.open(tmp_path)
    month = "2026-10"
    ws.collect(Window.month(month))
    wanted = to_arrow(ws.priced(month))
    kept = list((tmp_path / ".finops-cache").rglob("priced-*.parquet"))
    assert len(kept) == 1
    whole = kept[0].read_bytes()
    at = len(whole) // 2
    kept[0].write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert to_arrow(fa.open(tmp_path).priced(month)).equals(wanted)
    assert kept[0].read_bytes() != whole[:at]
    assert fa.open(tmp_path).lake.loads()["plugin"].str.startswith("finops-ai-").all()


@pytest.mark.long
def test_the_command_looks_verifies_and_exits_by_what_it_finds(tmp_path):
    write_workspace(tmp_path, months=1)
    config = ["-c", str(tmp_path / "finops.toml")]
    run = CliRunner()

    def lake(*words):
        return run.invoke(group, ["lake", *words, *config], standalone_mode=False)

    assert lake("compact").exception is None  # nothing there, nothing to do
    fa.open(tmp_path).collect(Window.month("2026-10"), ["openai"])
    assert "openai" in lake("info").output
    good = lake("verify")
    assert (good.return_value, "nothing damaged" in good.output) == (0, True)
    path = Path(fa.open(tmp_path).lake.files("bills")[0])
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    bad = lake("verify")
    assert bad.return_value == 1
    assert path.name in bad.output + (bad.stderr if bad.stderr_bytes else "")
