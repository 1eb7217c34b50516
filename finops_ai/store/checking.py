"""Checksums of every file of the lake, so that a damaged byte is found and named.

Beside the table lies a folder of records, one per change: the SHA-256 of each file the change added, data and log alike. A
record's own name holds the checksum of its content. It is written right after the commit; a load killed in between leaves
files without a record, which the next load adds to it after reading them whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finops_ai.errors import StoreError
from finops_ai.store.layout import CONNECTION, FOLDER
from finops_ai.store.whole import private

if TYPE_CHECKING:
    import deltalake

    from finops_ai.store.lake import Lake

RECORDS = "checksums"
LOG = "_delta_log"
#: rewritten by every checkpoint; the newest record counts
POINTER = f"{LOG}/_last_checkpoint"
#: so many records become one
MOST = 64
_NAME = re.compile(r"(\d{20})-([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Damage:
    """A file of the lake that isn't as it was written, and how its data comes back."""

    place: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}" + (f". {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Verdict:
    """What a check of the lake came to."""

    files: int
    bytes: int
    unrecorded: int
    damage: list[Damage]


def record(lake: Lake, *, version: int | None = None) -> int:
    """Write the checksums of files that have none yet; returns how many. Without a lake there is nothing to do.

    Args:
        lake: the lake.
        version: what this process wrote a moment ago; the files of other versions are read whole before they get a checksum.
    """
    files = _files(lake)
    known, damaged = _known(files)
    current = _data_files(lake)
    own = _added(files, version)
    fresh = {}
    for path in [*current, *_logs(files)]:
        if path not in known or path == POINTER:
            digest, _ = _sha256(files, path)
            if digest is not None and known.get(path) != digest:
                if path.endswith(".parquet") and path not in known and path not in own:
                    _readable(files, path)
                fresh[path] = digest
    if fresh:
        names = _records(files)
        whole = len(names) >= MOST  # then they become one
        content = json.dumps(known | fresh if whole else fresh, sort_keys=True, indent=0).encode()
        number = 1 + max((int(name[:20]) for name in names), default=-1)
        name = f"{RECORDS}/{number:020d}-{hashlib.sha256(content).hexdigest()}.json"
        beside = f"{RECORDS}/.{number}.{os.getpid()}.partial"
        with private():
            files.create_dir(RECORDS, recursive=True)
            with files.open_output_stream(beside) as out:
                out.write(content)
            files.move(beside, name)
        if whole and not damaged:
            for old in names:
                files.delete_file(f"{RECORDS}/{old}")
    return len(fresh)


def verify(lake: Lake) -> Verdict:
    """Read every byte of the lake and compare it with what was written.

    Returns:
        What is damaged or missing, with the connection and days to load again; empty if nothing is. Files that only
        earlier versions read are read too, as long as they are there.
    """
    files = _files(lake)
    known, damage = _known(files)
    try:
        table = lake._table("tokens")
    except StoreError as error:
        damage.append(Damage(f"{FOLDER}/{LOG}", str(error)))
        table = None
    current = owners(table)
    read, size, unrecorded = 0, 0, 0
    on_disk = {*_logs(files), *current}
    for path in sorted(on_disk | set(known)):
        digest, length = _sha256(files, path)
        earlier = path not in current and not path.startswith(LOG)
        remedy = _EARLIER if earlier else _remedy(current.get(path))
        if digest is None:
            if path in current or (path.startswith(LOG) and not _superseded(path, on_disk)):
                damage.append(Damage(f"{FOLDER}/{path}", "the file is missing", remedy))
            continue
        read, size = read + 1, size + length
        if path not in known:
            unrecorded += 1
            if problem := _unreadable(files, path):
                damage.append(Damage(f"{FOLDER}/{path}", problem, remedy))
        elif known[path] != digest:
            damage.append(Damage(f"{FOLDER}/{path}", "its bytes have changed since it was written", remedy))
    return Verdict(read, size, unrecorded, damage)


#: what is said of data that was replaced since
_EARLIER = "Only earlier versions of the lake read it; loads of today are whole, and it is deleted after a week"


def _remedy(owner: dict[str, Any] | None) -> str:
    if owner is None:
        return "Restore it from a backup, or load the lake again with `finops-ai collect`"
    first, last = owner["first"], owner["last"]
    days = f" --from {first:%Y-%m-%d} --to {last:%Y-%m-%d}" if first and last else ""
    return f"Load it again: finops-ai collect {owner['connection']}{days}"


def _superseded(path: str, on_disk: set[str]) -> bool:
    """Whether a checkpoint says what a log entry said: those entries are cleaned away after some weeks."""
    number = path.removeprefix(f"{LOG}/")[:20]
    return any(p.endswith(".parquet") and p.removeprefix(f"{LOG}/")[:20] > number for p in on_disk if p.startswith(LOG))


def _files(lake: Lake) -> pafs.FileSystem:
    return lake.filesystem(f"{lake.root}/{FOLDER}")


def _known(files: pafs.FileSystem) -> tuple[dict[str, str], list[Damage]]:
    """Path -> checksum by all records, the newest winning; and records that are damaged themselves."""
    known: dict[str, str] = {}
    damage = []
    for name in _records(files):
        with files.open_input_stream(f"{RECORDS}/{name}") as stream:
            content = stream.read()
        match = _NAME.fullmatch(name)
        if match is None or hashlib.sha256(content).hexdigest() != match[2]:
            damage.append(
                Damage(f"{FOLDER}/{RECORDS}/{name}", "the record of checksums has changed since it was written")
            )
            continue
        known |= json.loads(content)
    return known, damage


def _records(files: pafs.FileSystem) -> list[str]:
    found = files.get_file_info(pafs.FileSelector(RECORDS, allow_not_found=True))
    return sorted(f.base_name for f in found if f.type == pafs.FileType.File and not f.base_name.startswith("."))


def _logs(files: pafs.FileSystem) -> list[str]:
    found = files.get_file_info(pafs.FileSelector(LOG, allow_not_found=True))
    names = [f"{LOG}/{f.base_name}" for f in found if f.type == pafs.FileType.File]
    return sorted(n for n in names if re.search(r"/(\d{20}.*\.(json|parquet)|_last_checkpoint)$", n))


def _added(files: pafs.FileSystem, version: int | None) -> set[str]:
    """Data files that a version of the log added."""
    if version is None:
        return set()
    try:
        with files.open_input_stream(f"{LOG}/{version:020d}.json") as stream:
            actions = [json.loads(line) for line in stream.read().splitlines() if line]
    except FileNotFoundError:
        return set()
    return {unquote(action["add"]["path"]) for action in actions if "add" in action}


def _data_files(lake: Lake) -> list[str]:
    return sorted(owners(lake._table("tokens")))


def owners(table: deltalake.DeltaTable | None) -> dict[str, dict[str, Any]]:
    """Current data files: whose rows they hold, from when to when, and how many bytes."""
    if table is None:
        return {}
    rows = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return {
        unquote(row["path"]): {
            "connection": row.get(f"partition.{CONNECTION}"),
            "first": row.get("min.charge_period_start"),
            "last": row.get("max.charge_period_end"),
            "bytes": row["size_bytes"],
        }
        for row in rows
    }


def _pieces(files: pafs.FileSystem, path: str) -> Iterator[bytes]:
    with files.open_input_stream(path) as stream:
        while piece := stream.read(1 << 22):
            yield piece


def _sha256(files: pafs.FileSystem, path: str) -> tuple[str | None, int]:
    digest, size = hashlib.sha256(), 0
    try:
        for piece in _pieces(files, path):
            digest.update(piece)
            size += len(piece)
    except FileNotFoundError:
        return None, 0
    return digest.hexdigest(), size


def _unreadable(files: pafs.FileSystem, path: str) -> str:
    """What is wrong with a file that has no checksum yet, as far as reading it whole shows."""
    try:
        _readable(files, path)
    except StoreError as error:
        return str(error)
    return ""


def _readable(files: pafs.FileSystem, path: str) -> None:
    try:
        if path.endswith(".parquet"):
            with files.open_input_file(path) as file:
                for _ in pq.ParquetFile(file).iter_batches():
                    pass
        elif path.endswith(".json"):
            with files.open_input_stream(path) as stream:
                for line in stream.read().splitlines():
                    json.loads(line)
    except (OSError, ValueError, pa.ArrowException, RecursionError) as error:
        raise StoreError(f"it can't be read whole ({' '.join(str(error).split())[:200]})") from None


__all__ = ["Damage", "Verdict", "record", "verify"]
