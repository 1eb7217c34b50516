"""What keeps a lake in order: what is in it, fewer files, a copy elsewhere, lakes of earlier versions brought over."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError, DeltaError

from finops_ai.errors import StoreError
from finops_ai.frames import to_pandas
from finops_ai.periods import Window
from finops_ai.store import checking
from finops_ai.store.layout import CONNECTION, FOLDER, KIND, TABLES
from finops_ai.store.whole import private

if TYPE_CHECKING:
    from finops_ai.store.lake import Lake

log = logging.getLogger("finops_ai.store")

#: from so many small files of one connection on, a load makes them few again
MANY = 64
#: bytes a file has at least once it was put together: a quarter of what files are put together to
SMALL = 25 << 20
#: how long earlier versions can still be read, in hours
KEPT_HOURS = 168


def info(lake: Lake) -> pd.DataFrame:
    """One row per frame and connection: rows, files, bytes, first and last instant, last load."""
    table = lake._table("tokens")
    columns = ["table", "connection", "rows", "files", "bytes", "first", "last", "loaded_at", "plugin"]
    if table is None:
        return pd.DataFrame(columns=columns)
    files = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    loads = {name: lake.loads(name) for name in TABLES}
    rows = []
    for kind, connection in sorted({(f[f"partition.{KIND}"], f[f"partition.{CONNECTION}"]) for f in files}):
        mine = [f for f in files if (f[f"partition.{KIND}"], f[f"partition.{CONNECTION}"]) == (kind, connection)]
        own = loads[kind][loads[kind]["connection"] == connection] if len(loads[kind]) else loads[kind]
        last = own.iloc[0] if len(own) else {}
        rows.append(
            {
                "table": kind,
                "connection": connection,
                "rows": sum(f["num_records"] or 0 for f in mine),
                "files": len(mine),
                "bytes": sum(f["size_bytes"] for f in mine),
                "first": min(
                    (f.get("min.charge_period_start") for f in mine if f.get("min.charge_period_start")), default=None
                ),
                "last": max(
                    (f.get("max.charge_period_end") for f in mine if f.get("max.charge_period_end")), default=None
                ),
                "loaded_at": last.get("loaded_at"),
                "plugin": last.get("plugin"),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def compact(lake: Lake, connections: Sequence[str] = ()) -> dict[str, int]:
    """Make many small files few, and delete files that no version of the last week needs.

    Returns:
        Files before, files after, files deleted. Rows don't change; a load that comes in between wins.
    """
    table = lake._table("tokens")
    if table is None:
        return {"before": 0, "after": 0, "deleted": 0}
    before = len(table.file_uris())
    with private():
        for name in connections or [""]:
            filters: Any = [(CONNECTION, "=", name)] if name else None
            try:
                table.optimize.compact(partition_filters=filters)
            except CommitFailedError as error:
                log.info("The files of %s stay many for now: %s", name or "the lake", error)
            except DeltaError as error:
                raise StoreError(
                    f"{lake.root}: its files can't be put together: {' '.join(str(error).split())[:300]}"
                ) from error
        deleted = len(table.vacuum(retention_hours=KEPT_HOURS, dry_run=False))
        checking.record(lake)
    return {"before": before, "after": len(deltalake_of(lake).file_uris()), "deleted": deleted}


def deltalake_of(lake: Lake) -> deltalake.DeltaTable:
    """The lake's Delta table.

    Raises:
        StoreError: nothing was loaded yet.
    """
    table = lake._table("tokens")
    if table is None:
        raise StoreError(f"{lake.root} holds nothing yet. `finops-ai collect --month YYYY-MM` loads a month.")
    return table


def after_load(lake: Lake, connection: str, version: int | None = None) -> None:
    """What follows a load that made a version: checksums of what it wrote, and few files instead of many. Neither can fail the load."""
    try:
        owners = checking.owners(lake._table("tokens")).values()
        if sum(owner["connection"] == connection and owner["bytes"] < SMALL for owner in owners) >= MANY:
            compact(lake, [connection])
        else:
            checking.record(lake, version=version)
    except (OSError, StoreError, DeltaError) as error:
        log.warning("The load is kept, but its checksums are not written yet: %s", error)


def export(
    lake: Lake, target: Path, window: Window | None = None, connections: Sequence[str] | None = None
) -> list[Path]:
    """Write the lake's rows as plain Parquet files, one per frame and connection, for anyone who has no Delta reader.

    Args:
        lake: the lake.
        target: folder that must not exist yet, or be empty.
        window: rows that start in it; by default all.
        connections: of these; by default all.

    Returns:
        The files, and a `checksums.sha256` that `sha256sum -c` understands.

    Raises:
        StoreError: the folder holds something, or a file of the lake is damaged.
    """
    from finops_ai.store.whole import sha256_of

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StoreError(f"{target} is there already and not empty. Name another folder.")
    beside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    written = []
    with private():
        beside.mkdir(parents=True)
        try:
            for name in sorted(set(info(lake)["connection"])):
                if connections is not None and name not in connections:
                    continue
                for table in TABLES:
                    rows = lake.read_arrow(table, window, [name])
                    if rows.num_rows:
                        path = beside / f"{table}-{_file_name(name)}.parquet"
                        pq.write_table(rows, path, compression="zstd", write_page_checksum=True)
                        written.append(path)
            sums = "".join(f"{sha256_of(path)}  {path.name}\n" for path in written)
            (beside / "checksums.sha256").write_text(sums, encoding="utf-8")
            if target.exists():
                target.rmdir()
            beside.rename(target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return [target / path.name for path in written] + [target / "checksums.sha256"]


def upgrade(lake: Lake) -> dict[str, int]:
    """Bring the rows of a lake of version 0.1, which kept usage and bills apart, into this form; the old folders stay.

    Returns:
        Rows brought over, by table; nothing if there is no older lake, or a new one beside it already.
    """
    old = {name: Path(lake.root, name) for name in TABLES if Path(lake.root, name, "_delta_log").is_dir()}
    if not old or Path(lake.root, FOLDER, "_delta_log").is_dir():
        return {}
    rows: dict[str, dict[str, pa.Table]] = {}
    for name, folder in old.items():
        files = lake.filesystem(str(folder))
        table = deltalake.DeltaTable(str(folder)).to_pyarrow_dataset(filesystem=files).to_table()
        schema = lake._schema(name, bare=False)
        columns = [
            table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type)
            for f in schema
        ]
        whole = pa.table(columns, schema=schema)
        for connection in sorted(set(whole[CONNECTION].to_pylist())):
            mine = whole.filter(pa.compute.equal(whole[CONNECTION], connection)).drop_columns([CONNECTION])
            rows.setdefault(connection, {})[name] = mine
    beside = type(lake)(f"{lake.root}/.upgrade")
    shutil.rmtree(beside.root, ignore_errors=True)
    for connection, frames in rows.items():
        ends = [pa.compute.min_max(t["charge_period_start"]).as_py() for t in frames.values()]
        window = Window(
            min(e["min"] for e in ends), max(e["max"] for e in ends) + pd.Timedelta(1, "us").to_pytimedelta()
        )
        beside.replace_window(connection, window, {n: to_pandas(t) for n, t in frames.items()}, {"upgraded": True})
    Path(beside.root, FOLDER).rename(Path(lake.root, FOLDER))
    shutil.rmtree(beside.root, ignore_errors=True)
    checking.record(lake)
    return {name: sum(f[name].num_rows for f in rows.values() if name in f) for name in old}


def _file_name(text: str) -> str:
    import hashlib
    import re

    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text)
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


__all__ = ["after_load", "compact", "export", "info", "upgrade"]
