"""Calls that two connections tell, such as a gateway and the telemetry of the same program: each counts once.

The connection that stands first in finops.toml counts a call; what the others say of it stays in the lake as `told`, beside
the usage, so that nothing is lost and no figure holds it. A call is the same where its id is a provider's, or where an id
that could be anybody's comes with the same tokens within the hour.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import duckdb
import pandas as pd
import pyarrow as pa

from finops_ai.frames import to_arrow
from finops_ai.periods import Window
from finops_ai.store.lake import Lake

#: clocks of two instrumentations of one call differ by less
APART = dt.timedelta(days=1)
#: an id that nobody counts up: long, of letters and digits
_OF_A_PROVIDER = r"[A-Za-z0-9_\-]*[0-9][A-Za-z0-9_\-]*"
_CALLS = (
    "SELECT request_id AS id, min(epoch_us(charge_period_start)) AS at, coalesce(sum(quantity) FILTER (unit = 'tokens'), 0) AS "
    "tokens FROM {source} WHERE request_id IS NOT NULL GROUP BY ALL"
)
_SAME = (
    f"mine.id = theirs.id AND abs(mine.at - theirs.at) <= {APART // dt.timedelta(microseconds=1)} AND (length(mine.id) >= 16 AND regexp_full_match(mine.id, '{_OF_A_PROVIDER}') "
    "OR mine.tokens = theirs.tokens AND abs(mine.at - theirs.at) <= 3600000000)"
)


def split(
    lake: Lake, connection: str, window: Window, frame: pd.DataFrame, above: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """A connection's rows of a window, parted into those that count and those of calls that others count.

    Args:
        lake: what the others told is read from it.
        connection: whose rows they are.
        window: half-open.
        frame: token frame.
        above: the connections that come before this one, first first.

    Returns:
        The rows that count, the rows that don't, and how many calls each of the others counts.
    """
    nothing = frame.iloc[:0]
    others = [name for name in above if name != connection]
    if not others or not frame["request_id"].notna().any():
        return frame, nothing, {}
    owners: dict[str, str] = {}
    with duckdb.connect() as con:
        _name(con, "own", to_arrow(frame[["request_id", "charge_period_start", "quantity", "unit"]]))
        con.execute(f"CREATE TEMP TABLE mine AS {_CALLS.format(source='own')}")
        for name in others:
            for id_ in _same_calls(con, lake, name, window):
                owners.setdefault(id_, name)
    if not owners:
        return frame, nothing, {}
    told = frame["request_id"].isin(owners.keys()).to_numpy(bool)
    counts = {name: sum(owner == name for owner in owners.values()) for name in others}
    return (
        frame[~told].reset_index(drop=True),
        frame[told].reset_index(drop=True),
        {name: count for name, count in counts.items() if count},
    )


def settle(lake: Lake, connection: str, window: Window, above: Sequence[str]) -> dict[str, int]:
    """Part again what a connection has in a window, after one above it was loaded.

    Returns:
        How many of its calls others count now; empty where nothing changed.
    """
    there = lake.rows_of("told", window, [connection])
    if not there and not _may_share(lake, connection, window, above):
        return {}
    kept, told = (lake.read(kind, window, [connection]) for kind in ("tokens", "told"))
    whole = pd.concat([kept, told], ignore_index=True) if len(told) else kept
    counted, beside, owners = split(lake, connection, window, whole, above)
    if len(beside) == len(told) and len(counted) == len(kept):
        return {}
    lake.replace_window(connection, window, {"tokens": counted, "told": beside}, {"told_by": owners})
    return owners


def _may_share(lake: Lake, connection: str, window: Window, above: Sequence[str]) -> bool:
    with duckdb.connect() as con:
        if not _register(con, "own", lake.source("tokens", window, [connection])):
            return False
        con.execute(f"CREATE TEMP TABLE mine AS {_CALLS.format(source='own')}")
        if not con.execute("SELECT count(*) FROM mine").fetchall()[0][0]:
            return False
        return any(_same_calls(con, lake, name, window) for name in above)


def _same_calls(con: duckdb.DuckDBPyConnection, lake: Lake, name: str, window: Window) -> list[str]:
    around = Window(window.start - APART, window.end + APART)
    if not _register(con, "others", lake.source("tokens", around, [name])):
        return []
    sql = f"SELECT DISTINCT mine.id FROM mine JOIN ({_CALLS.format(source='others')}) AS theirs ON {_SAME}"
    return [row[0] for row in con.execute(sql).fetchall()]


def _register(con: duckdb.DuckDBPyConnection, name: str, source: object) -> bool:
    """Give a lake's source a name; False where it holds nothing."""
    if isinstance(source, pa.Table):
        return False
    if isinstance(source, list):
        files = ", ".join("'" + str(file).replace("'", "''") + "'" for file in source)
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM read_parquet([{files}], union_by_name = true)"
        )
    else:
        con.register(name, source)
    return True


def _name(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    fields = [pa.field(f.name, pa.timestamp("us")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    con.register(name, table.cast(pa.schema(fields)))
