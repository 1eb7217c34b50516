"""What the lake holds, under a name in DuckDB."""

from __future__ import annotations

import duckdb
import pyarrow as pa

#: columns that files of an older lake don't have
LATER = ("tool_name",)


def register(con: duckdb.DuckDBPyConnection, name: str, source: object) -> bool:
    """Give a lake's source (see `Lake.source`) a name; False where it holds nothing."""
    if isinstance(source, pa.Table):
        return False
    if isinstance(source, list):
        files = ", ".join("'" + str(file).replace("'", "''") + "'" for file in source)
        read = f"SELECT * FROM read_parquet([{files}], union_by_name = true)"
        have = {row[0] for row in con.execute(f"DESCRIBE {read}").fetchall()}
        more = "".join(f", CAST(NULL AS VARCHAR) AS {column}" for column in LATER if column not in have)
        con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT *{more} FROM ({read})")
    else:
        con.register(name, source)
    return True


def register_rows(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Give rows a name; their instants without a zone, so that none is read in the session's."""
    fields = [pa.field(f.name, pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    con.register(name, table.cast(pa.schema(fields)))


__all__ = ["register", "register_rows"]
