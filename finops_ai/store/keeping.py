"""Derived frames that are kept until anything they rest on changes: rows beside finops.toml, cubes beside the lake's tables.

What is kept can be deleted at any time: it is made again. What can't be read, such as a file cut short, is made again too.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finops_ai.frames import to_arrow, to_pandas
from finops_ai.store.lake import Lake
from finops_ai.store.whole import private, read_whole, write_whole

log = logging.getLogger("finops_ai.store")

T = TypeVar("T")

#: variable that names a folder in which the processes of one run share what they made; only that run can write there
SHARED = "FINOPS_AI_SHARED"
#: how many states of the inputs keep their derived frames
KEPT = 3
_MADE = b"finops_ai.made_of"


class Kept:
    """Frames of one workspace in a folder of its own, one folder per state of the inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: Path) -> pd.DataFrame | None:
        """A frame that is kept; None if it isn't, or a byte of it has changed."""
        found = read_whole(path)
        return None if found is None else to_pandas(found)

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Keep a frame; where that can't be written it is only made again."""
        try:
            write_whole(to_arrow(frame), path)
            folders = sorted((f for f in self.folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
            for old in folders[:-KEPT]:
                if old != path.parent:
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            log.info("Derived frames are not kept: %s", error)


class Recent:
    """What one process made lately, kept in memory: the newest few results, each for one state of what it rests on."""

    _of: ClassVar[OrderedDict[str, Recent]] = OrderedDict()

    def __init__(self, size: int = 32) -> None:
        self._made: OrderedDict[Any, Any] = OrderedDict()
        self.size = size

    @classmethod
    def of(cls, lake: str) -> Recent:
        """What was made lately of a lake, whoever opened it: a notebook after another finds what the first one made."""
        place = lake if "://" in lake else os.path.realpath(lake)
        found = cls._of.setdefault(place, cls())
        cls._of.move_to_end(place)
        while len(cls._of) > 3:
            cls._of.popitem(last=False)
        return found

    def once(self, key: object, make: Callable[[], T], keep: Callable[[T], bool] = bool, *, shared: bool = False) -> T:
        """What was made under a key, or what `make` makes now; kept if `keep` says so.

        Args:
            key: what it rests on; of what is shared, a tuple of texts and numbers.
            make: makes it.
            keep: whether it is worth keeping.
            shared: also for the other processes of this run, where one names a folder for it (see `SHARED`).

        >>> recent, made = Recent(), []
        >>> [recent.once("a", lambda: made.append(1) or made) for _ in range(2)] == [[1], [1]]
        True
        """
        if key in self._made:
            self._made.move_to_end(key)
            out: T = self._made[key]
            return out
        found = _shared(key, make) if shared else make()
        if keep(found):
            self._made[key] = found
            while len(self._made) > self.size:
                self._made.popitem(last=False)
        return found


def _shared(key: object, make: Callable[[], T]) -> T:
    """What another process of this run made under a key, waiting for one that is at it; else what is made now, for all."""
    folder = os.environ.get(SHARED, "")
    if not folder or not Path(folder).is_dir():
        return make()
    path = Path(folder, f"{hashlib.sha256(repr(key).encode()).hexdigest()}.made")
    with _alone(path.with_suffix(".lock")):
        if path.exists():
            out: T = pickle.loads(path.read_bytes())
            return out
        found = make()
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(pickle.dumps(found))
        partial.replace(path)
        return found


@contextmanager
def sharing() -> Iterator[dict[str, str]]:
    """The processes of one run make once, between them, what is worth it.

    Yields:
        Variables for the surroundings of the other processes.
    """
    before = os.environ.get(SHARED)
    with tempfile.TemporaryDirectory(prefix="finops-made-", ignore_cleanup_errors=True) as folder:
        os.environ[SHARED] = folder
        try:
            yield {SHARED: folder}
        finally:
            os.environ.pop(SHARED)
            if before is not None:
                os.environ[SHARED] = before


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, where the system has such locks; a process that dies lets go."""
    try:
        import fcntl
    except ImportError:  # Windows: both make it, which costs time alone
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Cubes:
    """The months' cubes of a lake: Parquet files beside its tables, each saying what it was made of."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.local = "://" not in lake.root

    def _filesystem(self) -> pafs.FileSystem:
        if self.local:
            with private():
                Path(self.lake.root, "cubes").mkdir(parents=True, exist_ok=True)
        return self.lake.filesystem(f"{self.lake.root}/cubes")

    def read(self, month: str, digest: str) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """A month's cube and what it was made of; None unless there is one of this digest that can be read."""
        try:
            files, place = self._filesystem(), f"{month}/{digest}.parquet"
            with files.open_input_stream(place) as file, files.open_input_stream(f"{place}.sha256") as seal:
                content, wanted = file.read(), seal.read()
            if hashlib.sha256(content).hexdigest().encode() != wanted:
                raise ValueError("its bytes have changed since it was written")
            table = pq.read_table(pa.BufferReader(content))
            return to_pandas(table), json.loads((table.schema.metadata or {})[_MADE])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, pa.ArrowException, RecursionError) as error:
            log.warning("The cube %s/%s can't be read and is made again: %s", month, digest, error)
            return None

    def write(self, month: str, digest: str, frame: pd.DataFrame, made_of: Mapping[str, Any]) -> None:
        """Keep a month's cube, and drop its oldest; where that can't be written it is only made again."""
        try:
            files = self._filesystem()
            with private():
                files.create_dir(month, recursive=True)
            known = files.get_file_info(pafs.FileSelector(month, allow_not_found=True))
            told = [f for f in known if f.base_name.endswith(".parquet") and f.base_name != f"{digest}.parquet"]
            for old in sorted(told, key=lambda f: f.mtime_ns or 0)[: -(KEPT - 1)]:
                files.delete_file(old.path)
                if f"{old.base_name}.sha256" in {f.base_name for f in known}:
                    files.delete_file(f"{old.path}.sha256")
            table = to_arrow(frame).replace_schema_metadata({_MADE: json.dumps(made_of, default=str)})
            target = f"{month}/{digest}.parquet"
            content = BytesIO()
            pq.write_table(table, content, compression="zstd")
            seal = hashlib.sha256(content.getvalue()).hexdigest().encode()
            with private():
                self._put(files, target, content.getvalue())
                self._put(files, f"{target}.sha256", seal)
        except OSError as error:
            log.info("The cube of %s is not kept: %s", month, error)

    def _put(self, files: pafs.FileSystem, target: str, content: bytes) -> None:
        """An object store shows a file once it is whole; a folder needs it moved into place."""
        partial = f"{target}.{os.getpid()}.partial" if self.local else target
        with files.open_output_stream(partial) as stream:
            stream.write(content)
        if self.local:
            files.move(partial, target)


@cache
def code_stamp() -> str:
    """Changes when the installed code that derives figures changes, so that an upgrade never shows old figures."""
    package = Path(__file__).parents[1]
    stamps = sorted(
        f"{p.name}:{p.stat().st_mtime_ns}"
        for folder in ("engine", "prices", "meters")
        for p in (package / folder).rglob("*.*")
        if p.suffix in (".py", ".toml")
    )
    return hashlib.sha256("".join(stamps).encode()).hexdigest()[:8]
