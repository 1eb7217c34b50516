"""Derived frames that are kept until anything they rest on changes: rows beside finops.toml, cubes beside the lake's tables.

What is kept can be deleted at any time: it is made again. What can't be read, such as a file cut short, is made again too.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finops_ai.frames import to_arrow, to_pandas
from finops_ai.store.lake import Lake

log = logging.getLogger("finops_ai.store")

#: how many states of the inputs keep their derived frames
KEPT = 3
_MADE = b"finops_ai.made_of"


class Kept:
    """Frames of one workspace in a folder of its own, one folder per state of the inputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, path: Path) -> pd.DataFrame | None:
        """A frame that is kept; None if it isn't, or can't be read."""
        if not path.is_file():
            return None
        try:
            return to_pandas(pq.read_table(path))
        except (OSError, pa.ArrowException) as error:
            log.warning("%s can't be read and is made again: %s", path, error)
            return None

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Keep a frame; where that can't be written it is only made again."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            folders = sorted((f for f in self.folder.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime)
            for old in folders[:-KEPT]:
                if old != path.parent:
                    shutil.rmtree(old, ignore_errors=True)
            partial = path.with_suffix(f".{os.getpid()}.partial")
            pq.write_table(to_arrow(frame), partial, compression="zstd")
            partial.replace(path)
        except OSError as error:
            log.info("Derived frames are not kept: %s", error)


class Cubes:
    """The months' cubes of a lake: Parquet files beside its tables, each saying what it was made of."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.local = "://" not in lake.root

    def _filesystem(self) -> pafs.FileSystem:
        if self.local:
            Path(self.lake.root, "cubes").mkdir(parents=True, exist_ok=True)
        return self.lake.filesystem(f"{self.lake.root}/cubes")

    def read(self, month: str, digest: str) -> tuple[pd.DataFrame, dict[str, Any]] | None:
        """A month's cube and what it was made of; None unless there is one of this digest that can be read."""
        try:
            with self._filesystem().open_input_file(f"{month}/{digest}.parquet") as file:
                table = pq.read_table(file)
            return to_pandas(table), json.loads((table.schema.metadata or {})[_MADE])
        except FileNotFoundError:
            return None
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            log.warning("The cube %s/%s can't be read and is made again: %s", month, digest, error)
            return None

    def write(self, month: str, digest: str, frame: pd.DataFrame, made_of: Mapping[str, Any]) -> None:
        """Keep a month's cube, and drop its oldest; where that can't be written it is only made again."""
        try:
            files = self._filesystem()
            files.create_dir(month, recursive=True)
            known = files.get_file_info(pafs.FileSelector(month, allow_not_found=True))
            told = [f for f in known if f.base_name.endswith(".parquet") and f.base_name != f"{digest}.parquet"]
            for old in sorted(told, key=lambda f: f.mtime_ns or 0)[: -(KEPT - 1)]:
                files.delete_file(old.path)
            table = to_arrow(frame).replace_schema_metadata({_MADE: json.dumps(made_of, default=str)})
            target = f"{month}/{digest}.parquet"
            # an object store shows a file once it is whole; a folder needs it moved into place
            partial = f"{target}.{os.getpid()}.partial" if self.local else target
            with files.open_output_stream(partial) as stream:
                pq.write_table(table, stream, compression="zstd")
            if self.local:
                files.move(partial, target)
        except OSError as error:
            log.info("The cube of %s is not kept: %s", month, error)
