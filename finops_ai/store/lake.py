"""The lake: Delta tables of token and bill frames, a local folder by default.

Every load replaces `[connection, window]` in one commit, so a rerun changes nothing, a killed load leaves the old data
readable, and a restatement takes the place of what it restates. Writers of different connections never wait for each
other; writers of the same window are retried.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import deltalake
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import stamina
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from finops_ai.errors import StoreError
from finops_ai.frames import BillFrame, TokenFrame, schema_of, to_arrow, to_pandas
from finops_ai.periods import UTC, Window, iso

log = logging.getLogger("finops_ai.store")

TABLES = {"tokens": TokenFrame, "bills": BillFrame}
CONNECTION = "connection"


@dataclass(frozen=True)
class Load:
    """What one load did: rows there before and after in its window, and the table version it made (None = no change)."""

    table: str
    connection: str
    window: Window
    before: int
    after: int
    version: int | None

    @property
    def changed(self) -> bool:
        """Whether the lake's content changed."""
        return self.version is not None


class Lake:
    """Token and bill frames of all connections, at one address.

    Args:
        root: a folder, or s3://, gs://, abfs://.
        storage_options: options of the object store (region, endpoint); credentials come from its own chain.
    """

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        self.root = root.rstrip("/")
        self.storage_options = storage_options or {}

    def __repr__(self) -> str:
        return f"<Lake {self.root}>"

    def replace(
        self, table: str, connection: str, window: Window, frame: pd.DataFrame, note: dict[str, Any] | None = None
    ) -> Load:
        """Replace everything a connection has in a window by a frame, in one commit.

        Args:
            table: "tokens" or "bills".
            connection: name of the connection (its section in finops.toml).
            window: half-open; every row's charge_period_start must lie in it.
            frame: whole frame of the table's model.
            note: kept with the commit (freshness, notes of the connector).

        Raises:
            StoreError: a row lies outside the window, or the store refuses the write.
        """
        starts = frame["charge_period_start"]
        if len(frame) and (starts.min() < window.start or starts.max() >= window.end):
            raise StoreError(
                f"{connection}: rows from {starts.min()} to {starts.max()} lie outside {window}; a load may only hold its own window. "
                "This is a fault of the connector."
            )
        new = to_arrow(frame, self._schema(table, bare=True)).append_column(
            CONNECTION, pa.array([connection] * len(frame), pa.string())
        )
        new = _sorted(new)
        for attempt in stamina.retry_context(
            on=(CommitFailedError,), attempts=12, timeout=120, wait_initial=0.05, wait_max=3.0
        ):
            with attempt:
                return self._replace_once(table, connection, window, new, note)
        raise StoreError(f"{self.root}/{table}: the commit kept failing.")

    def _replace_once(
        self, table: str, connection: str, window: Window, new: pa.Table, note: dict[str, Any] | None
    ) -> Load:
        old = self.read_arrow(table, window=window, connections=[connection], with_connection=True)
        if old.num_rows == new.num_rows and _sorted(old.select(new.column_names)).equals(new):
            return Load(table, connection, window, old.num_rows, new.num_rows, None)
        quoted = connection.replace("'", "''")
        predicate = f"{CONNECTION} = '{quoted}' AND charge_period_start >= '{_sql(window.start)}' AND charge_period_start < '{_sql(window.end)}'"
        properties = deltalake.CommitProperties(
            custom_metadata={
                "finops_ai.load": json.dumps(
                    {
                        "connection": connection,
                        "start": iso(window.start),
                        "end": iso(window.end),
                        "rows": new.num_rows,
                        **(note or {}),
                    },
                    default=str,
                )
            }
        )
        place = self._place(table)
        common: dict[str, Any] = {"storage_options": self.storage_options or None, "commit_properties": properties}
        try:
            existing = self._table(table)
            if existing is None:
                deltalake.write_deltalake(place, new, mode="error", partition_by=[CONNECTION], **common)
            else:
                deltalake.write_deltalake(
                    place, new, mode="overwrite", predicate=predicate, schema_mode="merge", **common
                )
        except CommitFailedError:
            raise
        except Exception as error:
            if "already exists" in str(error) or "Concurrent" in str(error) or "version 0" in str(error):
                raise CommitFailedError(str(error)) from error
            raise StoreError(f"{place}: the write was refused: {error}") from error
        version = deltalake.DeltaTable(place, storage_options=self.storage_options or None).version()
        return Load(table, connection, window, old.num_rows, new.num_rows, version)

    def read(self, table: str, window: Window | None = None, connections: Sequence[str] | None = None) -> pd.DataFrame:
        """The table's rows that start in the window, as a whole frame of its model."""
        return to_pandas(self.read_arrow(table, window, connections))

    def read_arrow(
        self,
        table: str,
        window: Window | None = None,
        connections: Sequence[str] | None = None,
        *,
        with_connection: bool = False,
    ) -> pa.Table:
        """Like `read`, as Arrow; the one way data leaves the lake."""
        schema = self._schema(table, bare=not with_connection)
        existing = self._table(table)
        if existing is None:
            return schema.empty_table()
        # a file system of our own: with the default one the interpreter may abort at exit (delta-rs issue 2184)
        dataset = existing.to_pyarrow_dataset(filesystem=self._filesystem(table))
        condition = None
        if window is not None:
            start, end = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (window.start, window.end))
            condition = (ds.field("charge_period_start") >= start) & (ds.field("charge_period_start") < end)
        if connections is not None:
            chosen = ds.field(CONNECTION).isin(list(connections))
            condition = chosen if condition is None else condition & chosen
        have = set(dataset.schema.names)
        found = dataset.to_table(columns=[name for name in schema.names if name in have], filter=condition)
        columns = [found[f.name].cast(f.type) if f.name in have else pa.nulls(found.num_rows, f.type) for f in schema]
        return pa.table(columns, schema=schema)

    def files(self, table: str, window: Window | None = None, connections: Sequence[str] | None = None) -> list[str]:
        """Addresses of the Parquet files of the current version, for engines that read files themselves.

        Args:
            table: "tokens" or "bills".
            window: only files that may hold rows that start in it, as their statistics say.
            connections: only files of these.
        """
        return [f"{self._place(table)}/{file['path']}" for file in self._files(table, window, connections)]

    def source(
        self, table: str, window: Window | None = None, connections: Sequence[str] | None = None
    ) -> list[str] | ds.Dataset | pa.Table:
        """What DuckDB reads: the paths of a folder's files, a data set of an object store's, or an empty table.

        Rows of a window's files that start outside it are in it too: the query says which it wants.
        """
        found = self._files(table, window, connections)
        if not found:
            return self._schema(table, bare=True).empty_table()
        if "://" not in self.root:
            return [f"{self._place(table)}/{file['path']}" for file in found]
        paths, schema = [file["path"] for file in found], self._schema(table, bare=True)
        return ds.dataset(paths, schema=schema, format="parquet", filesystem=self._filesystem(table))

    def _files(
        self, table: str, window: Window | None = None, connections: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """The current files and what the log says of them: path, rows, first and last start, last end, connection."""
        existing = self._table(table)
        if existing is None:
            return []
        found = pa.table(existing.get_add_actions(flatten=True))
        names = {
            "path": "path", "num_records": "rows", f"partition.{CONNECTION}": "connection",
            "min.charge_period_start": "first", "max.charge_period_start": "latest", "max.charge_period_end": "last",
        }  # fmt: skip
        rows = [
            {to: row.get(name) for name, to in names.items()}
            for row in found.select([n for n in names if n in found.column_names]).to_pylist()
        ]
        out = []
        for row in rows:
            row["path"] = unquote(row["path"])
            if connections is not None and row["connection"] not in connections:
                continue
            first, latest = row["first"], row["latest"]
            # the log cuts instants to milliseconds
            if (
                window
                and first
                and latest
                and (first >= window.end or latest + dt.timedelta(milliseconds=1) <= window.start)
            ):
                continue
            out.append(row)
        return sorted(out, key=lambda row: row["path"])

    def version(self, table: str) -> int | None:
        """The table's current version; None while it doesn't exist."""
        existing = self._table(table)
        return None if existing is None else existing.version()

    def loads(self, table: str = "tokens", limit: int | None = None) -> pd.DataFrame:
        """One row per load that changed the table, newest first: when, connection, window, rows, notes."""
        existing = self._table(table)
        rows = []
        for entry in existing.history(limit) if existing is not None else []:
            text = entry.get("finops_ai.load") or (entry.get("commitInfo") or {}).get("finops_ai.load")
            if text:
                rows.append(
                    {
                        "loaded_at": pd.Timestamp(entry["timestamp"], unit="ms", tz="UTC"),
                        "version": entry.get("version"),
                        **json.loads(text),
                    }
                )
        return pd.DataFrame(
            rows, columns=None if rows else ["loaded_at", "version", "connection", "start", "end", "rows"]
        )

    def freshness(self) -> pd.DataFrame:
        """One row per connection: first and last instant covered and the rows held."""
        columns = ["connection", "first", "last", "rows"]
        files = self._files("tokens")
        if not files:
            return pd.DataFrame(columns=columns)
        if any(row[name] is None for row in files for name in ("rows", "first", "last")):
            return self._freshness_of_rows(columns)
        rows = []
        for name in sorted({row["connection"] for row in files}):
            mine = [row for row in files if row["connection"] == name]
            first, last = min(row["first"] for row in mine), max(row["last"] for row in mine)
            rows.append((name, first, last, sum(row["rows"] for row in mine)))
        kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC"), pa.int64()]
        turned = zip(*rows, strict=True)
        return to_pandas(pa.table({c: pa.array(v, k) for c, v, k in zip(columns, turned, kinds, strict=True)}))

    def _freshness_of_rows(self, columns: list[str]) -> pd.DataFrame:
        """The same from the rows, where files were written without statistics."""
        existing = self._table("tokens")
        assert existing is not None
        dataset = existing.to_pyarrow_dataset(filesystem=self._filesystem("tokens"))
        found = dataset.to_table(columns=[CONNECTION, "charge_period_start", "charge_period_end"])
        grouped = found.group_by(CONNECTION).aggregate(
            [("charge_period_start", "min"), ("charge_period_end", "max"), (CONNECTION, "count")]
        )
        grouped = grouped.select(
            [CONNECTION, "charge_period_start_min", "charge_period_end_max", f"{CONNECTION}_count"]
        )
        return to_pandas(grouped.rename_columns(columns)).sort_values("connection", ignore_index=True)

    def tidy(self) -> dict[str, int]:
        """Compact small files and delete files no version of the last week needs; returns files removed per table."""
        removed = {}
        for table in TABLES:
            existing = self._table(table)
            if existing is not None:
                existing.optimize.compact()
                removed[table] = len(existing.vacuum(retention_hours=168, dry_run=False))
        return removed

    def _place(self, table: str) -> str:
        if table not in TABLES:
            raise StoreError(f"No table called {table!r} in the lake; it has {sorted(TABLES)}.")
        return f"{self.root}/{table}"

    def _table(self, table: str) -> deltalake.DeltaTable | None:
        try:
            return deltalake.DeltaTable(self._place(table), storage_options=self.storage_options or None)
        except TableNotFoundError:
            return None
        except Exception as error:
            raise StoreError(f"{self._place(table)}: the lake can't be read: {error}") from error

    def _filesystem(self, table: str) -> pafs.FileSystem:
        return self.filesystem(self._place(table))

    def filesystem(self, place: str) -> pafs.FileSystem:
        """The file system of an address below the lake's root, whose paths begin there."""
        if "://" not in place:
            return pafs.SubTreeFileSystem(place, pafs.LocalFileSystem())
        options = self.storage_options
        if place.startswith(("s3://", "s3a://")):
            bucket = place.split("://", 1)[1]
            endpoint = options.get("AWS_ENDPOINT_URL") or options.get("aws_endpoint_url")
            scheme, _, host = (endpoint or "https://").partition("://")
            region = options.get("AWS_REGION") or options.get("aws_region")
            s3 = pafs.S3FileSystem(
                region=region,
                endpoint_override=host or None,
                scheme=scheme,
                access_key=options.get("AWS_ACCESS_KEY_ID"),
                secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
            )
            return pafs.SubTreeFileSystem(bucket, s3)
        base, path = pafs.FileSystem.from_uri(place.replace("abfs://", "abfss://"))
        return pafs.SubTreeFileSystem(path, base)

    @staticmethod
    def _schema(table: str, *, bare: bool) -> pa.Schema:
        schema = schema_of(TABLES[table])
        return schema if bare else schema.append(pa.field(CONNECTION, pa.string()))


def _sql(moment: dt.datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _sorted(table: pa.Table) -> pa.Table:
    """Rows in a fixed order (all plain columns), so that equal content is equal and files compress well."""
    names = [f.name for f in table.schema if not pa.types.is_map(f.type)]
    order = ["charge_period_start", *[n for n in names if n != "charge_period_start"]]
    keys = table.select(order)
    if "tags" in table.column_names:
        text = pa.array([None if v is None else repr(sorted(v)) for v in table["tags"].to_pylist()], pa.string())
        keys = keys.append_column("~tags", text)
        order.append("~tags")
    indices = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in order])
    return table.take(indices).combine_chunks()
