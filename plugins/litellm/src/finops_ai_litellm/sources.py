"""Where spend logs come from: the gateway's PostgreSQL table, its API, or exported files."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

from finops_ai.errors import CredentialsError, DataError, ProviderError, ProviderUnavailable
from finops_ai.periods import UTC, Window
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai.providers.files import find_files, read_json_any
from finops_ai_litellm.spendlog import COLUMNS, DAY_COLUMNS, DAY_OPTIONAL, METADATA, OPTIONAL, WHO, Row

API_PATHS = ("spend/logs/v2", "spend/logs/ui")
PAGE = 100
#: rows fetched from the database at a time
FETCH = 20_000
GRANT = 'Let the user read the table: GRANT SELECT ON "LiteLLM_SpendLogs" TO <user>;'


def from_database(dsn: str, table: str, window: Window, timeout: float) -> Iterator[Row]:
    """Rows of the window from the gateway's table, in a read-only transaction, a batch at a time.

    Raises:
        CredentialsError: the user may not log in or read the table. ProviderUnavailable: no connection.
        ProviderError: the table lacks a column every version of the gateway has.
    """
    import psycopg
    from psycopg import sql

    schema, _, name = table.rpartition(".")
    place = sql.Identifier(schema, name) if schema else sql.Identifier(name)
    try:
        with psycopg.connect(
            dsn, connect_timeout=max(int(timeout), 2), client_encoding="utf8", options="-c timezone=UTC"
        ) as connection:
            connection.read_only = True
            have = {
                c.name for c in connection.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(place)).description or []
            }
            query, names, bounds = _query(table, place, have, window)
            with connection.cursor(name="finops_ai") as cursor:
                cursor.itersize = FETCH
                cursor.execute(query, bounds)
                for values in cursor:
                    yield dict(zip(names, values, strict=True))
    except psycopg.errors.InsufficientPrivilege:
        raise CredentialsError(f"litellm: the database user may not read {table}. {GRANT}") from None
    except psycopg.errors.UndefinedTable:
        raise ProviderError(
            f"litellm: the database has no table {table}. Set `table`, or check which database the address names."
        ) from None
    except psycopg.OperationalError as error:
        text = _without_secrets(str(error), dsn)
        if "authentication" in text or "password" in text or "does not exist" in text:
            raise CredentialsError(f"litellm: the database refused the log-in: {text}") from None
        raise ProviderUnavailable(
            f"litellm: the database can't be reached: {text} Nothing of this window was stored."
        ) from None


def _query(table: str, place: Any, have: set[str], window: Window) -> tuple[Any, list[str], list[Any]]:
    """The SELECT for a table of calls or of daily sums, the names of what it gives, and its parameters."""
    from psycopg import sql

    by_day = "date" in have and "startTime" not in have
    must, may = (DAY_COLUMNS, [*DAY_OPTIONAL, *WHO, "tag"]) if by_day else ([*COLUMNS, "metadata"], OPTIONAL)
    if missing := [column for column in [*must, "spend"] if column not in have]:
        raise ProviderError(f"litellm: the table {table} has no column {missing[0]!r}; it has {sorted(have)}.")
    names = [column for column in [*must, *may] if column in have and column != "metadata"]
    picked = [*(sql.Identifier(column) for column in names), sql.SQL("spend::text")]
    if not by_day:
        picked.append(_metadata())
    clock = sql.Identifier("date" if by_day else "startTime")
    query = sql.SQL("SELECT {} FROM {} WHERE {} >= %s AND {} < %s ORDER BY {}").format(
        sql.SQL(", ").join(picked), place, clock, clock, clock
    )
    bounds: list[Any] = [moment.astimezone(UTC).replace(tzinfo=None) for moment in (window.start, window.end)]
    if by_day:
        bounds = [f"{bounds[0]:%Y-%m-%d}", f"{bounds[1] + dt.timedelta(days=1):%Y-%m-%d}"]
    return query, [*names, "spend", *(() if by_day else ("metadata",))], bounds


def _metadata() -> Any:
    """The needed parts of `metadata`, so that the database doesn't send the rest (most of the table's bytes)."""
    from psycopg import sql

    parts = sql.SQL(", ").join(sql.SQL("{}, metadata->{}").format(sql.Literal(n), sql.Literal(n)) for n in METADATA)
    key = "'model_map_information', jsonb_build_object('model_map_key', metadata->'model_map_information'->'model_map_key')"
    return sql.SQL("jsonb_strip_nulls(jsonb_build_object({}, {}))::text").format(parts, sql.SQL(key))


def _without_secrets(text: str, dsn: str) -> str:
    """An error message in one line, without the address that was used."""
    for secret in [dsn, *re.findall(r"://[^:/@]*:([^@]+)@", dsn), *re.findall(r"password=(\S+)", dsn)]:
        text = text.replace(secret, "...")
    return " ".join(text.split())[:300]


def from_api(http: HttpClient, window: Window) -> Iterator[Row]:
    """Rows of the window from the proxy's log listing, a day at a time, oldest first.

    The listing's bounds are whole seconds, both included, so a piece may hold a row of its neighbour: the reader
    leaves out what lies outside the window and counts a request once. Its `total_pages` is capped; a page that isn't
    full is the end.
    """
    for piece in window.pieces(dt.timedelta(days=1)):
        seen: set[Any] = set()
        page = 1
        while True:
            params = {
                "start_date": f"{piece.start:%Y-%m-%d %H:%M:%S}",
                "end_date": f"{piece.end:%Y-%m-%d %H:%M:%S}",
                "page": page,
                "page_size": PAGE,
                "sort_by": "startTime",
                "sort_order": "asc",
            }
            answer = _listing(http, params)
            rows = answer.get("data") if isinstance(answer, dict) else None
            if not isinstance(rows, list):
                raise ProviderError("litellm: the log listing has no list called 'data'. Nothing was stored.")
            ids = {row.get("request_id") for row in rows}
            if rows and ids <= seen:
                raise ProviderError(
                    f"litellm: page {page} of {piece} repeats earlier pages. Nothing of this window was stored; run it again."
                )
            seen |= ids
            yield from rows
            if len(rows) < PAGE:
                break
            page += 1


def _listing(http: HttpClient, params: dict[str, Any]) -> Any:
    try:
        return http.get(API_PATHS[0], params)
    except HttpRefused as error:
        if error.status not in (404, 405):
            raise
        return http.get(API_PATHS[1], params)  # the same listing in older versions


def from_files(patterns: list[str]) -> Iterator[Row]:
    """Rows of exported files: Parquet, CSV (as psql copies a table), JSON Lines, a JSON list, or saved pages of the API.

    Raises:
        DataError: no file, a damaged file, or a document that is no spend log; names file and place.
    """
    for path in find_files(patterns):
        if path.suffix == ".parquet":
            yield from _parquet(path)
            continue
        if path.name.lower().removesuffix(".gz").endswith((".csv", ".tsv")):
            yield from _text_table(path)
            continue
        for number, document in read_json_any(path):
            rows = document.get("data", [document]) if isinstance(document, dict) else document
            if not isinstance(rows, list):
                rows = [rows]
            for row in rows:
                if not isinstance(row, dict) or not ({"request_id", "startTime"} <= row.keys() or "date" in row):
                    raise DataError(
                        f"{path}, document {number}: no spend log (it needs request_id and startTime, or date): "
                        f"{sorted(row) if isinstance(row, dict) else type(row).__name__}."
                    )
                yield row


def _text_table(path: Any) -> Iterator[Row]:
    """Rows of a CSV file; an empty cell is none, a map or list is its JSON text, as the database gives it."""
    from finops_ai.providers.tables import load_table

    table = load_table(path, "csv")
    if "date" not in table.column_names and (missing := {"request_id", "startTime"} - {*table.column_names}):
        raise DataError(
            f"{path}: the column {sorted(missing)[0]!r} is missing; the file has {sorted(table.column_names)}."
        )
    for row in table.to_pylist():
        yield {name: None if value in ("", "\\N") else value for name, value in row.items()}


def _parquet(path: Any) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        have = set(file.schema_arrow.names)
        known = [*COLUMNS, *OPTIONAL, *DAY_COLUMNS, *DAY_OPTIONAL, *WHO, "tag", "metadata", "spend"]
        wanted = [name for name in dict.fromkeys(known) if name in have]
        if "date" not in have and (missing := {"request_id", "startTime"} - have):
            raise DataError(f"{path}: the column {sorted(missing)[0]!r} is missing; the file has {sorted(have)}.")
        for batch in file.iter_batches(FETCH, columns=wanted):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable Parquet file ({error}).") from None
