"""The billing export's columns, and how to take them from BigQuery, Parquet, JSON or CSV in one flat form."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from finops_ai.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

#: flat name -> (path in the export, kind, needed). Repeated records come as JSON text.
COLUMNS: dict[str, tuple[str, str, bool]] = {
    "billing_account_id": ("billing_account_id", "text", True),
    "service_id": ("service.id", "text", False),
    "service_description": ("service.description", "text", True),
    "sku_id": ("sku.id", "text", False),
    "sku_description": ("sku.description", "text", True),
    "usage_start_time": ("usage_start_time", "time", True),
    "usage_end_time": ("usage_end_time", "time", True),
    "project_id": ("project.id", "text", False),
    "project_name": ("project.name", "text", False),
    "project_labels": ("project.labels", "json", False),
    "labels": ("labels", "json", False),
    "tags": ("tags", "json", False),
    "location": ("location.location", "text", False),
    "region": ("location.region", "text", False),
    "cost": ("cost", "number", True),
    "currency": ("currency", "text", True),
    "conversion_rate": ("currency_conversion_rate", "number", False),
    "usage_amount": ("usage.amount", "number", True),
    "usage_unit": ("usage.unit", "text", False),
    "pricing_amount": ("usage.amount_in_pricing_units", "number", False),
    "pricing_unit": ("usage.pricing_unit", "text", False),
    "credits": ("credits", "json", False),
    "invoice_month": ("invoice.month", "text", False),
    "cost_type": ("cost_type", "text", False),
    "cost_at_list": ("cost_at_list", "number", False),
    "resource_name": ("resource.name", "text", False),
    "resource_global_name": ("resource.global_name", "text", False),
    "list_price": ("price.list_price", "number", False),
    "effective_price": ("price.effective_price", "number", False),
    "commitment": ("subscription.instance_id", "text", False),
}
#: a name of the column and of those below it, as deep as the export goes
Tree = Mapping[str, Any]

_DUCKDB_TYPES = {"text": "VARCHAR", "number": "DECIMAL(38,18)", "time": "TIMESTAMP", "json": "VARCHAR"}


def present(tree: Tree, path: str) -> bool:
    """Whether a schema holds the column a path names.

    >>> present({"sku": {"id": {}}}, "sku.id"), present({"sku": {"id": {}}}, "sku.description")
    (True, False)
    """
    node: Any = tree
    for step in path.split("."):
        if step not in node:
            return False
        node = node[step]
    return True


def missing(tree: Tree) -> list[str]:
    """Needed columns that a schema lacks."""
    return [path for path, _, needed in COLUMNS.values() if needed and not present(tree, path)]


def bigquery_select(tree: Tree) -> list[str]:
    """Select expressions for BigQuery; columns the table lacks are left out."""
    return [
        f"TO_JSON_STRING({path}) AS {name}" if kind == "json" else f"{path} AS {name}"
        for name, (path, kind, _) in COLUMNS.items()
        if present(tree, path)
    ]


def bigquery_others(tree: Tree) -> list[str]:
    """Select expressions for BigQuery that add up rows by service, kind and currency, exactly enough for money."""
    credits = "SUM((SELECT SUM(CAST(c.amount AS BIGNUMERIC)) FROM UNNEST(credits) AS c))"
    return [
        "service.description AS service_description",
        f"{'cost_type' if present(tree, 'cost_type') else 'CAST(NULL AS STRING)'} AS cost_type",
        "currency AS currency",
        "CAST(COUNT(*) AS STRING) AS found",
        "CAST(ROUND(SUM(CAST(cost AS BIGNUMERIC)), 12) AS STRING) AS cost",
        f"{f'CAST(ROUND({credits}, 12) AS STRING)' if present(tree, 'credits') else 'CAST(NULL AS STRING)'} AS credit",
    ]


def flatten(con: duckdb.DuckDBPyConnection, name: str, source: str, have: Mapping[str, str]) -> None:
    """Make the table `name` with every flat column, typed, out of a DuckDB source.

    Args:
        con: where to.
        name: table to make.
        source: what stands after FROM.
        have: flat column -> expression on the source; columns that aren't there become null.
    """
    columns = []
    for flat, (_, kind, _) in COLUMNS.items():
        value = have.get(flat)
        if value is None:
            value = f"CAST(NULL AS {_DUCKDB_TYPES[kind]})"
        elif kind == "number":  # doubles by their shortest decimal text, so 0.1 is 0.1
            value = f"CAST(nullif(CAST({value} AS VARCHAR), '') AS DECIMAL(38,18))"
        elif kind == "time":
            value = f"CAST({value} AS TIMESTAMP)"
        else:
            value = f"nullif(CAST({value} AS VARCHAR), '')"
        columns.append(f"{value} AS {flat}")
    con.execute(f"CREATE TEMP TABLE {name} AS SELECT {', '.join(columns)} FROM {source}")


def load_files(con: duckdb.DuckDBPyConnection, name: str, paths: Sequence[Path]) -> None:
    """Make the table `name` of saved export files: Parquet, JSON (lines or array) or CSV, also zipped.

    Raises:
        DataError: a file can't be read, lacks a needed column, or is there twice.
    """
    _refuse_copies(paths)
    kinds: dict[str, list[Path]] = {"parquet": [], "json": [], "csv": []}
    for path in paths:
        kinds[
            "parquet" if ".parquet" in path.name.lower() else "csv" if ".csv" in path.name.lower() else "json"
        ].append(path)
    made = []
    for kind, files in kinds.items():
        if files:
            try:
                _LOADERS[kind](con, f"{name}_{kind}", files)
            except duckdb.Error as error:
                more = f" or one of {len(files) - 1} more" if len(files) > 1 else ""
                raise DataError(
                    f"vertex: the billing export can't be read ({files[0].name}{more}): {' '.join(str(error).split())[:300]}. "
                    "A file may be cut short: export it again. Nothing was stored."
                ) from None
            made.append(f"SELECT * FROM {name}_{kind}")
    if made:
        con.execute(f"CREATE TEMP VIEW {name} AS {' UNION ALL '.join(made)}")
    else:
        flatten(con, name, "(SELECT 1) WHERE false", {})


def _refuse_copies(paths: Sequence[Path]) -> None:
    """The export has no row key, so a file given twice would be counted twice without a trace."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    for alike in by_size.values():
        seen: dict[bytes, Path] = {}
        for path in alike if len(alike) > 1 else ():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            if digest in seen:
                raise DataError(
                    f"vertex: {path} is a copy of {seen[digest]}: everything would be counted twice. Keep one. Nothing was stored."
                )
            seen[digest] = path


def _refuse(missing_columns: list[str], files: Sequence[Path]) -> None:
    if missing_columns:
        raise DataError(
            f"vertex: the billing export {files[0].name} has no column {missing_columns[0]!r}. Export the whole table, or name "
            "the column as BigQuery does. Nothing was stored."
        )


def _names(files: Sequence[Path]) -> str:
    return "[" + ", ".join("'" + str(f).replace("'", "''") + "'" for f in files) + "]"


def _load_parquet(con: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def tree(kind: pa.DataType) -> Tree:
        return {field.name: tree(field.type) for field in kind} if pa.types.is_struct(kind) else {}

    try:
        schema = pq.read_schema(files[0])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"vertex: {files[0].name} is no whole Parquet file ({error}). Export it again.") from None
    columns = {field.name: tree(field.type) for field in schema}
    # repeated records end the path: "labels" is one column whatever lies below it
    _refuse(missing(columns), files)
    have = {
        flat: f"CAST(to_json({path}) AS VARCHAR)"
        if kind == "json"
        else _utc(path, schema.field(path).type)
        if kind == "time"
        else path
        for flat, (path, kind, _) in COLUMNS.items()
        if present(columns, path)
    }
    flatten(con, name, f"read_parquet({_names(files)}, union_by_name=true)", have)


def _utc(path: str, kind: pa.DataType) -> str:
    import pyarrow as pa

    return f"make_timestamp(epoch_us({path}))" if pa.types.is_timestamp(kind) else _moment(path)


def _load_json(con: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    shape: dict[str, Any] = {}
    for path, kind, _ in COLUMNS.values():
        first, _, rest = path.partition(".")
        if rest:
            shape.setdefault(first, {})[rest] = "JSON" if kind == "json" else "VARCHAR"
        else:
            shape[first] = "JSON" if kind == "json" else "VARCHAR"
    types = ", ".join(
        f"'{first}': '"
        + (kind if isinstance(kind, str) else "STRUCT(" + ", ".join(f'"{n}" {t}' for n, t in kind.items()) + ")")
        + "'"
        for first, kind in shape.items()
    )
    have = {flat: _moment(path) if kind == "time" else path for flat, (path, kind, _) in COLUMNS.items()}
    flatten(con, name, f"read_json({_names(files)}, columns={{{types}}}, format='auto')", have)
    _refuse_all_null(con, name, files)


def _load_csv(con: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    source = f"read_csv({_names(files)}, all_varchar=true, union_by_name=true)"
    header = {row[0]: row[0] for row in con.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    found = {}
    for flat, (path, kind, _) in COLUMNS.items():
        column = next((c for c in (path, path.replace(".", "_"), flat) if c in header), None)
        if column:
            found[flat] = _moment(f'"{column}"') if kind == "time" else f'"{column}"'
    _refuse([path for flat, (path, _, needed) in COLUMNS.items() if needed and flat not in found], files)
    flatten(con, name, source, found)


def _moment(path: str) -> str:
    """A text such as "2026-10-01 00:00:00 UTC" or "2026-10-01T00:00:00Z" as a UTC timestamp without zone."""
    return f"CAST(replace(regexp_replace({path}, '( UTC|Z|\\+00:00|\\+00)$', ''), 'T', ' ') AS TIMESTAMP)"


def _refuse_all_null(con: duckdb.DuckDBPyConnection, name: str, files: Sequence[Path]) -> None:
    needed = [flat for flat, (_, _, need) in COLUMNS.items() if need]
    counts = con.sql(f"SELECT count(*), {', '.join(f'count({flat})' for flat in needed)} FROM {name}").fetchall()[0]
    if counts[0]:
        _refuse([COLUMNS[flat][0] for flat, n in zip(needed, counts[1:], strict=True) if not n], files)


_LOADERS = {"parquet": _load_parquet, "json": _load_json, "csv": _load_csv}
