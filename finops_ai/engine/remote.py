"""Spark and BigQuery as engines: the lake's files are read where they are, and only the cells of a month come back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.engine.dialects import BIGQUERY, DIALECTS, DUCKDB, SPARK, Dialect
from finops_ai.engine.fields import columns
from finops_ai.engine.running import Relation
from finops_ai.errors import DataError, SettingsError, hint

if TYPE_CHECKING:
    from google.cloud import bigquery
    from pyspark.sql import SparkSession

_TYPES = {
    "duckdb": {"text": "VARCHAR", "instant": "TIMESTAMP", "number": "BIGINT", "real": "DOUBLE", "tags": "MAP(VARCHAR, VARCHAR)"},
    "spark": {"text": "STRING", "instant": "TIMESTAMP", "number": "BIGINT", "real": "DOUBLE", "tags": "MAP<STRING,STRING>"},
    "bigquery": {"text": "STRING", "instant": "TIMESTAMP", "number": "INT64", "real": "FLOAT64", "tags": "STRING"},
}  # fmt: skip


def reading(dialect: Dialect, have: Sequence[str]) -> Callable[[str], str]:
    """Column name -> SQL; a typed null for a column that the files don't have."""
    known = set(have)

    def read(name: str) -> str:
        return dialect.ident(name) if name in known else f"CAST(NULL AS {_type(dialect, name)})"

    return read


def _type(dialect: Dialect, name: str) -> str:
    kinds, kind = _TYPES[dialect.name], columns().get(name)
    if name == "tags" or kind is None:
        return kinds["tags" if name == "tags" else "text"]
    if pa.types.is_decimal(kind):
        return dialect.quantity if kind.scale == 6 else dialect.cost
    if pa.types.is_timestamp(kind):
        return kinds["instant"]
    return kinds["text" if pa.types.is_string(kind) else "real" if pa.types.is_floating(kind) else "number"]


def spelled_for(engine: str, rows: Relation, files: Sequence[str]) -> Relation:
    """Rows as another engine would spell them, to print a statement: it can't be asked anything."""
    if engine == "duckdb":
        listed = ", ".join(map(DUCKDB.literal, files))
        read = reading(DUCKDB, rows.have)
        zoned = {"charge_period_start", "charge_period_end"}
        return Relation(
            DUCKDB,
            f"read_parquet([{listed}], union_by_name = true)",
            lambda name: DUCKDB.to_utc.format(x=read(name)) if name in zoned else read(name),
            rows.query,
        )
    if engine not in DIALECTS:
        raise SettingsError(f"No engine {engine!r}. {hint(engine, DIALECTS)}")
    dialect = DIALECTS[engine]
    table = "`finops_ai_tokens`" if engine == "bigquery" else "finops_ai_usage"
    return Relation(dialect, table, reading(dialect, rows.have), rows.query)


# -- Spark


def spark_session(remote: str = "", options: Mapping[str, str] | None = None) -> Any:
    """A Spark session: of this process, of a cluster through Spark Connect (sc://...), or of Databricks Connect.

    Days and instants are UTC in it whatever the cluster is set to, so that all engines agree.

    Raises:
        SettingsError: the library that it takes isn't installed, or the remote is no address of one.
        DataError: the cluster can't be reached.
    """
    options = {"spark.sql.session.timeZone": "UTC"} | dict(options or {})
    try:
        if remote == "databricks":
            from databricks.connect import DatabricksSession

            builder = DatabricksSession.builder
        else:
            from pyspark.sql import SparkSession

            builder = SparkSession.builder
    except ImportError:
        need = "databricks-connect" if remote == "databricks" else "finops-ai-core[spark]"
        raise SettingsError(f'[engine] name = "spark": install it with `pip install "{need}"`.') from None
    if remote.startswith("sc://"):
        builder = builder.remote(remote)
    elif not remote:
        builder = builder.master(options.pop("spark.master", "local[*]")).appName("finops-ai")
        options = {"spark.ui.enabled": "false"} | options
    elif remote != "databricks":
        raise SettingsError(
            f'[engine] remote = {remote!r}: give sc://host:port, "databricks", or nothing for a local session.'
        )
    for name, value in options.items():
        builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except Exception as error:  # whatever a cluster's library raises
        raise DataError(f"Spark at {remote or 'this machine'} can't be reached: {_first_line(error)}") from error


@contextmanager
def on_spark(session: SparkSession, files: Sequence[str], place: str) -> Iterator[Relation]:
    """The lake's files as Spark reads them; no row passes through this process.

    Args:
        session: see `spark_session`.
        files: addresses of Parquet files (`Lake.files`).
        place: the folder they are below, which tells the partition column.
    """
    addresses = [_for_spark(file) for file in files]
    rows = session.read.option("basePath", _for_spark(place)).option("mergeSchema", "true").parquet(*addresses)
    rows.createOrReplaceTempView("finops_ai_usage")
    have = [field.name for field in rows.schema.fields]

    def query(sql: str) -> pa.Table:
        try:
            return session.sql(sql).toArrow()
        except Exception as error:
            raise DataError(f"Spark refused the statement: {_first_line(error)}") from error

    try:
        yield Relation(SPARK, "finops_ai_usage", reading(SPARK, have), query, have)
    finally:
        session.catalog.dropTempView("finops_ai_usage")


def _for_spark(address: str) -> str:
    """An address as Hadoop's file systems spell it: s3a and abfss; characters of a name stay encoded as they are."""
    for ours, theirs in (("s3://", "s3a://"), ("abfs://", "abfss://"), ("az://", "abfss://")):
        if address.startswith(ours):
            return theirs + address[len(ours) :]
    return address


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


# -- BigQuery


def bigquery_client(project: str, location: str = "", endpoint: str = "") -> bigquery.Client:
    """A BigQuery client; its credentials are Google's own chain. An endpoint is another address, such as an emulator's."""
    try:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery
    except ImportError:
        raise SettingsError(
            '[engine] name = "bigquery": install it with `pip install "finops-ai-core[bigquery]"`.'
        ) from None
    more: dict[str, Any] = {}
    if endpoint:
        more = {"client_options": {"api_endpoint": endpoint}}
        if re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]", endpoint + "/"):
            more["credentials"] = AnonymousCredentials()
    return bigquery.Client(project=project or None, location=location or None, **more)


@contextmanager
def on_bigquery(client: bigquery.Client, table: str, have: Sequence[str]) -> Iterator[Relation]:
    """A table of BigQuery, or an external table over the lake's files, as usage rows.

    Args:
        client: see `bigquery_client`.
        table: `project.data_set.table`.
        have: the table's columns.
    """
    if not re.fullmatch(r"[\w\-:.]+", table):
        raise SettingsError(f"{table!r} is no BigQuery table; it is written project.data_set.table.")

    def query(sql: str) -> pa.Table:
        try:
            return client.query(sql).result().to_arrow(create_bqstorage_client=False)
        except Exception as error:
            raise DataError(f"BigQuery refused the statement: {_first_line(error)}") from error

    yield Relation(BIGQUERY, f"`{table}`", reading(BIGQUERY, have), query, have)


def external_table(client: bigquery.Client, table: str, files: Sequence[str]) -> list[str]:
    """Point an external table at the lake's current files, so that BigQuery reads them in place; returns its columns.

    Raises:
        SettingsError: the lake isn't on gs://, the one place BigQuery reads Parquet from.
    """
    from google.cloud import bigquery

    if strange := [file for file in files if not file.startswith("gs://")]:
        raise SettingsError(
            f'BigQuery reads a lake on gs:// only, and this one has {strange[0]}. Set [workspace] lake = "gs://bucket/folder".'
        )
    config = bigquery.ExternalConfig("PARQUET")
    config.source_uris, config.autodetect = list(files), True
    made = bigquery.Table(table)
    made.external_data_configuration = config
    client.delete_table(table, not_found_ok=True)
    return [field.name for field in client.create_table(made).schema] or [
        f.name for f in client.get_table(table).schema
    ]
