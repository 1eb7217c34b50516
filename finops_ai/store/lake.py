"""The lake: token and bill frames in one Delta table, a local folder by default.

Every load replaces `[connection, window]` in one commit, usage and bill together, so a rerun changes nothing, a killed load
leaves the old data readable, nobody ever sees usage without its bill, and a restatement takes the place of what it restates. Writers of different connections never wait for each
other; writers of the same window are retried.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs as pafs
import stamina

from finops_ai.errors import StoreError
from finops_ai.extras import require_extra
from finops_ai.frames import schema_of, to_pandas
from finops_ai.periods import UTC, Window, iso
from finops_ai.store.layout import CONNECTION, FOLDER, KIND, TABLES
from finops_ai.store.whole import private
from finops_ai.store.writing import Batches, batches_of, fingerprint

if TYPE_CHECKING:
    import deltalake

log = logging.getLogger("finops_ai.store")

#: names the version that another process, such as a report, reads a lake at: "VERSION ROOT"
HELD = "FINOPS_AI_LAKE_HELD"


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

    Raises:
        MissingExtra: the library of lakes isn't installed; it is the heaviest there is, so a core without it is possible.
    """

    def __init__(self, root: str, storage_options: dict[str, str] | None = None) -> None:
        require_extra("lake")
        self.root = root.rstrip("/")
        self.storage_options = storage_options or {}
        self._opened: tuple[deltalake.DeltaTable | None, int] = (None, 0)
        self._seen: deltalake.DeltaTable | None = None
        self._told: tuple[deltalake.DeltaTable | None, list[dict[str, Any]]] = (None, [])
        version, _, held = os.environ.get(HELD, "").partition(" ")
        self._held = int(version) if held == self.root else None

    def __repr__(self) -> str:
        return f"<Lake {self.root}>"

    @contextmanager
    def steady(self) -> Iterator[dict[str, str]]:
        """All that is read in here is of one version, whatever others load meanwhile; what is loaded in here is not held back.

        Yields:
            Variables for the surroundings of processes that shall read the same version.
        """
        before = self._held
        self._held = self.version("tokens") if before is None else before
        try:
            yield {} if self._held is None else {HELD: f"{self._held} {self.root}"}
        finally:
            self._held = before

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
        return self.replace_window(connection, window, {table: frame}, note)[table]

    def replace_window(
        self, connection: str, window: Window, frames: Mapping[str, pd.DataFrame], note: dict[str, Any] | None = None
    ) -> dict[str, Load]:
        """Replace a connection's window in several tables by one commit: all of it is seen, or nothing.

        Args:
            connection: name of the connection.
            window: half-open; every row's charge_period_start must lie in it.
            frames: "tokens" and "bills", or one of them.
            note: kept with the commit.

        Returns:
            What it did to each table.

        Raises:
            StoreError: a row lies outside the window, or the store refuses the write.
        """
        from deltalake.exceptions import CommitFailedError

        from finops_ai.store.tools import after_load

        if self._held is not None:
            return Lake(self.root, self.storage_options)._loose().replace_window(connection, window, frames, note)
        new = {}
        for table, frame in frames.items():
            self._place(table)
            rows = batches_of(frame, self._schema(table, bare=True), **{CONNECTION: connection, KIND: table})
            if rows.first and rows.last and (rows.first < window.start or rows.last >= window.end):
                raise StoreError(
                    f"{connection}: rows from {rows.first} to {rows.last} lie outside {window}; a load may only hold its own window. "
                    "This is a fault of the connector."
                )
            new[table] = rows
        try:
            for attempt in stamina.retry_context(
                on=(CommitFailedError,), attempts=12, timeout=120, wait_initial=0.05, wait_max=3.0
            ):
                with attempt, private():
                    loads = self._replace_once(connection, window, new, note)
            made = [load.version for load in loads.values() if load.version is not None]
            if made:
                after_load(self, connection, max(made))
            return loads
        except CommitFailedError as error:
            raise StoreError(
                f"{self.root}: other loads kept getting in first ({str(error).splitlines()[0][:200]}). The old data is whole; "
                "run the same command again."
            ) from error

    def _loose(self) -> Lake:
        """This lake as it is now, held by nobody."""
        self._held = None
        return self

    def _replace_once(
        self, connection: str, window: Window, new: Mapping[str, Batches], note: dict[str, Any] | None
    ) -> dict[str, Load]:
        import deltalake
        from deltalake.exceptions import CommitFailedError

        loads, changed = {}, {}
        for table, rows in new.items():
            before = self._count(table, connection, window)
            loads[table] = Load(table, connection, window, before, rows.rows, None)
            if before != rows.rows or (before and not self._same(table, connection, window, rows)):
                changed[table] = rows
        if not changed:
            return loads
        quoted = connection.replace("'", "''")
        kinds = " OR ".join(f"{KIND} = '{table}'" for table in changed)
        predicate = (
            f"({kinds}) AND {CONNECTION} = '{quoted}' AND charge_period_start >= '{_sql(window.start)}' "
            f"AND charge_period_start < '{_sql(window.end)}'"
        )
        told = {"connection": connection, "start": iso(window.start), "end": iso(window.end), **(note or {})}
        told["frames"] = {table: rows.rows for table, rows in changed.items()}
        properties = deltalake.CommitProperties(custom_metadata={"finops_ai.load": json.dumps(told, default=str)})
        place = self._place("tokens")
        common: dict[str, Any] = {"storage_options": self.storage_options or None, "commit_properties": properties}
        try:
            existing = self._table("tokens")
            data = self._joined(changed, whole=existing is None)
            if existing is None:
                deltalake.write_deltalake(place, data, mode="error", partition_by=[KIND, CONNECTION], **common)
            else:
                deltalake.write_deltalake(
                    place, data, mode="overwrite", predicate=predicate, schema_mode="merge", **common
                )
        except (CommitFailedError, StoreError):
            raise
        except Exception as error:
            if "already exists" in str(error) or "Concurrent" in str(error) or "version 0" in str(error):
                raise CommitFailedError(str(error)) from error
            raise StoreError(f"{place}: the write was refused: {_said(error)}") from error
        version = deltalake.DeltaTable(place, storage_options=self.storage_options or None).version()
        return {table: replace(load, version=version) if table in changed else load for table, load in loads.items()}

    def _joined(self, tables: Mapping[str, Batches], *, whole: bool) -> pa.RecordBatchReader:
        """Rows of one or both frames as the table holds them; `whole` = with the columns of both."""
        if len(tables) == 1 and not whole:
            return next(iter(tables.values())).reader()
        schemas = [self._schema(table, bare=False) for table in TABLES]
        schema = pa.unify_schemas([*schemas, pa.schema([pa.field(KIND, pa.string())])])

        def batches() -> Iterator[pa.RecordBatch]:
            for rows in tables.values():
                for batch in rows.read():
                    have = set(batch.schema.names)
                    columns = [batch[f.name] if f.name in have else pa.nulls(len(batch), f.type) for f in schema]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _count(self, table: str, connection: str, window: Window) -> int:
        """Rows that a connection has in a window."""
        source = self.source(table, window, [connection])
        return source.num_rows if isinstance(source, pa.Table) else fingerprint(source, [], _starts_in(window))[0]

    def _same(self, table: str, connection: str, window: Window, new: Batches) -> bool:
        """Whether the rows of a window are what is there already, in whatever order."""
        schema, source = self._schema(table, bare=True), self.source(table, window, [connection])
        # a restatement mostly has other figures or models: then the rest needn't be looked at
        telling = [f.name for f in schema if pa.types.is_decimal(f.type) or f.name == "model"]
        for columns in (telling, schema.names):
            if fingerprint(source, columns, _starts_in(window)) != fingerprint(new.reader(columns), columns):
                return False
        return True

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
        condition = ds.field(KIND) == table
        if window is not None:
            start, end = (pa.scalar(moment, pa.timestamp("us", tz="UTC")) for moment in (window.start, window.end))
            condition &= (ds.field("charge_period_start") >= start) & (ds.field("charge_period_start") < end)
        if connections is not None:
            condition &= ds.field(CONNECTION).isin(list(connections))
        have = set(dataset.schema.names)
        try:
            found = dataset.to_table(columns=[name for name in schema.names if name in have], filter=condition)
        except (OSError, pa.ArrowException) as error:
            raise StoreError(
                f"{self._place(table)}: a file of the lake is missing or damaged ({_said(error)}). `finops-ai lake verify` names it "
                "and says how to load its window again."
            ) from error
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
        """The table's current files in a window, of some connections, and what the log says of them (see `_log`)."""
        existing = self._table(table, look=True)
        if existing is None:
            return []
        out = []
        for row in self._log(existing):
            if row["kind"] != table:
                continue
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
        return out

    def _log(self, existing: deltalake.DeltaTable) -> list[dict[str, Any]]:
        """What the log says of all files: path, rows, first and last start, last end, connection; read once per version."""
        known, rows = self._told
        if known is existing:
            return rows
        found = pa.table(existing.get_add_actions(flatten=True))
        names = {
            "path": "path", "num_records": "rows", f"partition.{CONNECTION}": "connection", f"partition.{KIND}": "kind",
            "min.charge_period_start": "first", "max.charge_period_start": "latest", "max.charge_period_end": "last",
        }  # fmt: skip
        rows = [
            {to: row.get(name) for name, to in names.items()} | {"path": unquote(row["path"])}
            for row in found.select([n for n in names if n in found.column_names]).to_pylist()
        ]
        rows.sort(key=lambda row: row["path"])
        self._told = existing, rows
        return rows

    def version(self, table: str) -> int | None:
        """The table's current version; None while it doesn't exist."""
        existing = self._table(table, look=True)
        return None if existing is None else existing.version()

    def state(self, table: str) -> list[object] | None:
        """What tells the table as it is from every other, one that stood in its place before too; None without one."""
        existing = self._table(table, look=True)
        return None if existing is None else [existing.metadata().id, existing.version()]

    def loads(self, table: str = "tokens", limit: int | None = None) -> pd.DataFrame:
        """One row per load that changed the table, newest first: when, connection, window, rows, notes."""
        existing = self._table(table)
        rows = []
        for entry in existing.history(limit) if existing is not None else []:
            text = entry.get("finops_ai.load") or (entry.get("commitInfo") or {}).get("finops_ai.load")
            told = json.loads(text) if text else {}
            if table in told.get("frames", ()):
                rows.append(
                    {
                        "loaded_at": pd.Timestamp(entry["timestamp"], unit="ms", tz="UTC"),
                        "version": entry.get("version"),
                        "rows": told.pop("frames")[table],
                        **told,
                    }
                )
        return pd.DataFrame(
            rows, columns=None if rows else ["loaded_at", "version", "connection", "start", "end", "rows"]
        )

    def rows_of(self, table: str, window: Window | None = None, connections: Sequence[str] | None = None) -> int:
        """How many rows the files that may hold rows of a window have."""
        return sum(file["rows"] or 0 for file in self._files(table, window, connections))

    def reach_beyond(self, table: str, window: Window) -> bool:
        """Whether rows that start in a window may end after it, as the files' statistics say."""
        return any(file["last"] is None or file["last"] > window.end for file in self._files(table, window))

    def freshness(self) -> pd.DataFrame:
        """One row per connection: first and last instant covered, by what another one counts, too, and the rows of usage held."""
        columns = ["connection", "first", "last", "rows"]
        files = [*self._files("tokens"), *self._files("told")]
        if not files:
            return pd.DataFrame(columns=columns)
        if any(row[name] is None for row in files for name in ("rows", "first", "last")):
            return self._freshness_of_rows(columns)
        rows = []
        for name in sorted({row["connection"] for row in files}):
            mine = [row for row in files if row["connection"] == name]
            first, last = min(row["first"] for row in mine), max(row["last"] for row in mine)
            rows.append((name, first, last, sum(row["rows"] for row in mine if row["kind"] == "tokens")))
        kinds = [pa.string(), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC"), pa.int64()]
        turned = zip(*rows, strict=True)
        return to_pandas(pa.table({c: pa.array(v, k) for c, v, k in zip(columns, turned, kinds, strict=True)}))

    def _freshness_of_rows(self, columns: list[str]) -> pd.DataFrame:
        """The same from the rows, where files were written without statistics."""
        existing = self._table("tokens")
        assert existing is not None
        dataset = existing.to_pyarrow_dataset(filesystem=self._filesystem("tokens"))
        wanted = [CONNECTION, "charge_period_start", "charge_period_end"]
        found = dataset.to_table(columns=wanted, filter=ds.field(KIND) == "tokens")
        grouped = found.group_by(CONNECTION).aggregate(
            [("charge_period_start", "min"), ("charge_period_end", "max"), (CONNECTION, "count")]
        )
        grouped = grouped.select(
            [CONNECTION, "charge_period_start_min", "charge_period_end_max", f"{CONNECTION}_count"]
        )
        return to_pandas(grouped.rename_columns(columns)).sort_values("connection", ignore_index=True)

    @property
    def place(self) -> str:
        """Address of the table that holds all frames; every file of `files` is below it."""
        return f"{self.root}/{FOLDER}"

    def _place(self, table: str) -> str:
        if table not in TABLES:
            raise StoreError(f"No table called {table!r} in the lake; it has {sorted(TABLES)}.")
        return self.place

    def _table(self, table: str, version: int | None = None, *, look: bool = False) -> deltalake.DeltaTable | None:
        """The table as it is now, or at a version; None where there is none. `look`: only to look at, so one may be reused."""
        import deltalake
        from deltalake.exceptions import TableNotFoundError

        try:
            place = self._place(table)
            if look and version is None and self._held is not None:
                return self._then(place, self._held)
            version = self._held if version is None else version
            if look and version is None and "://" not in place:
                return self._newest(place)
            return deltalake.DeltaTable(place, version=version, storage_options=self.storage_options or None)
        except TableNotFoundError:
            self._require_no_older()
            return None
        except Exception as error:
            raise StoreError(f"{self._place(table)}: the lake can't be read: {_said(error)}") from error

    def _then(self, place: str, version: int) -> deltalake.DeltaTable:
        """The table at a version, opened once."""
        import deltalake

        if self._seen is None or self._seen.version() != version:
            self._seen = deltalake.DeltaTable(place, version=version, storage_options=self.storage_options or None)
        return self._seen

    def _newest(self, place: str) -> deltalake.DeltaTable:
        """The table on this machine's disk, opened again only when its log has changed."""
        import deltalake

        try:
            now = Path(place, "_delta_log").stat().st_mtime_ns
        except OSError:
            now = 0
        known, at = self._opened
        if known is not None and now and at == now:
            return known
        table = deltalake.DeltaTable(place, storage_options=self.storage_options or None)
        # a log that changed a moment ago could change again within the same tick of the file system's clock
        settled = time.time_ns() - now > 1_000_000_000
        self._opened = (table, now) if settled else (None, 0)
        return table

    def _require_no_older(self) -> None:
        """Lakes were once a table per frame: they are brought over by a command, not passed over in silence."""
        if "://" not in self.root and any(Path(self.root, table, "_delta_log").is_dir() for table in TABLES):
            raise StoreError(
                f"{self.root} was made by an older version. `finops-ai lake upgrade` brings its rows over."
            )

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


def _said(error: BaseException) -> str:
    """An error of a library in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _sql(moment: dt.datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _starts_in(window: Window) -> str:
    """A window as a predicate of DuckDB, which has instants as microseconds here: zones need an extension."""
    first, last = (
        (m - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1) for m in (window.start, window.end)
    )
    return f"epoch_us(charge_period_start) >= {first} AND epoch_us(charge_period_start) < {last}"
