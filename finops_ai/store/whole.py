"""Files that are whole or not there: written beside their place, readable by their owner only, checked when read."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

log = logging.getLogger("finops_ai.store")


@contextmanager
def private() -> Iterator[None]:
    """Files and folders made in here are their owner's alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_whole(table: pa.Table, path: Path) -> None:
    """Keep a table as Parquet with its checksum beside it; there is never half a file of that name.

    Raises:
        OSError: it can't be written; nothing is left behind.
    """
    beside, seal = path.with_name(f".{path.name}.{os.getpid()}.partial"), _seal_of(path)
    with private():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            pq.write_table(table, beside, compression="zstd")
            seal.unlink(missing_ok=True)  # a file without its seal is made again
            digest = sha256_of(beside)
            beside.replace(path)
            beside.write_text(digest, encoding="ascii")
            beside.replace(seal)
        finally:
            beside.unlink(missing_ok=True)


def read_whole(path: Path) -> pa.Table | None:
    """A table as it was written; None where there is none or a byte of it has changed, and then it is gone."""
    try:
        if sha256_of(path) == _seal_of(path).read_text("ascii"):
            return pq.read_table(path)
    except FileNotFoundError:
        if not path.exists():
            return None
    except (OSError, ValueError, pa.ArrowException) as error:
        log.info("%s can't be read: %s", path, error)
    log.warning("%s is damaged or incomplete; it is made again.", path)
    for damaged in (path, _seal_of(path)):
        try:
            damaged.unlink(missing_ok=True)
        except OSError:
            continue
    return None


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
