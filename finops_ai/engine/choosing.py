"""The engine of the settings: DuckDB in this process, Spark or BigQuery beside the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from finops_ai.config import EngineSettings
from finops_ai.engine.duck import Source
from finops_ai.engine.running import Relation, on_duckdb
from finops_ai.errors import SettingsError

if TYPE_CHECKING:
    from google.cloud import bigquery

#: the external table that BigQuery reads the lake through
TABLE = "finops_ai_tokens"


@contextmanager
def usage_rows(
    engine: EngineSettings,
    fields: Iterable[str],
    *,
    source: Callable[[], Source],
    files: Callable[[], Sequence[str]],
    place: str,
) -> Iterator[Relation]:
    """The lake's usage rows on the engine of the settings.

    Args:
        engine: the `[engine]` section.
        fields: what will be read.
        source: what DuckDB reads.
        files: what the other engines read.
        place: folder of the lake's table.

    Raises:
        SettingsError: the engine's library isn't installed, or it can't read the lake where it is.
        DataError: the engine can't be reached.
    """
    found = files() if engine.name != "duckdb" else ()
    if not found:  # an empty window is empty on any engine
        with on_duckdb(source(), fields) as rows:
            for name, value in engine.options.items() if engine.name == "duckdb" else ():
                rows.query(f"SET {_option(name)} = {rows.dialect.literal(value)}")
            yield rows
        return
    from finops_ai.engine.remote import external_table, on_bigquery, on_spark

    if engine.name == "spark":
        if engine.remote and "://" not in place:
            raise SettingsError(
                f"[engine] remote = {engine.remote!r} can't read the folder {place}: put the lake on s3://, gs:// or abfs://."
            )
        with on_spark(_session(engine.remote, tuple(sorted(engine.options.items()))), found, place) as rows:
            yield rows
        return
    if not engine.project or not engine.dataset:
        raise SettingsError('[engine] name = "bigquery" needs project and dataset: where queries run and tables are.')
    client, table = (
        _client(engine.project, engine.location, engine.endpoint),
        f"{engine.project}.{engine.dataset}.{TABLE}",
    )
    with on_bigquery(client, table, external_table(client, table, found)) as rows:
        yield rows


def _option(name: str) -> str:
    if not name.replace("_", "").isalnum():
        raise SettingsError(f"[engine] options: {name!r} is no option of DuckDB.")
    return name


@cache
def _session(remote: str, options: tuple[tuple[str, str], ...]) -> object:
    from finops_ai.engine.remote import spark_session

    return spark_session(remote, dict(options))


@cache
def _client(project: str, location: str, endpoint: str) -> bigquery.Client:
    from finops_ai.engine.remote import bigquery_client

    return bigquery_client(project, location, endpoint)
