"""Calls that two connections tell, such as a gateway and the telemetry of the same program: each counts once.

The connection that stands first in finops.toml counts a call; what the others say of it stays in the lake as `told`, beside
the usage, so that nothing is lost and no figure holds it. A call is the same where its id is a provider's, or where an id
that could be anybody's comes with the same tokens within the hour. What has no id, such as a point of a metric, is the same
where session, person, tool, model, both moments and the tokens are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from finops_ai.frames import to_arrow
from finops_ai.periods import Window
from finops_ai.store.lake import Lake
from finops_ai.store.reading import register, register_rows
from finops_ai.store.roads import Roads

#: clocks of two instrumentations of one call differ by less
APART = dt.timedelta(days=1)
#: an id that nobody counts up: long, of letters and digits
_OF_A_PROVIDER = r"[A-Za-z0-9_\-]*[0-9][A-Za-z0-9_\-]*"
#: what tells rows apart that are the same in two tellings: a call's id, else the session and the moments between which it used a model
_ID = (
    "CASE WHEN request_id NOT LIKE '#%' THEN request_id WHEN session_id IS NOT NULL THEN concat_ws(' ', session_id, tool_name, "
    "lower(user_id), model, epoch_us(charge_period_start), epoch_us(charge_period_end), request_id) END"
)
_CALLS = (
    f"SELECT {_ID} AS id, min(epoch_us(charge_period_start)) AS at, coalesce(sum(quantity) FILTER (unit = 'tokens'), 0) AS "
    f"tokens, bool_or(tool_name IS NOT NULL) AS by_tool FROM {{source}} WHERE {_ID} IS NOT NULL GROUP BY ALL"
)
#: columns that these statements read
_READ = [
    "request_id", "session_id", "user_id", "tool_name", "model", "charge_period_start", "charge_period_end", "quantity", "unit",
]  # fmt: skip
_SAME = (
    f"(mine.id = theirs.id AND abs(mine.at - theirs.at) <= {APART // dt.timedelta(microseconds=1)} AND (length(mine.id) >= 16 AND regexp_full_match(mine.id, '{_OF_A_PROVIDER}') "
    "OR mine.tokens = theirs.tokens AND abs(mine.at - theirs.at) <= 3600000000))"
)


def split(
    lake: Lake, connection: str, window: Window, frame: pd.DataFrame, above: Sequence[str], roads: Roads
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """A connection's rows of a window, parted into those that count and those of calls that others count.

    Args:
        lake: what the others told is read from it.
        connection: whose rows they are.
        window: half-open.
        frame: token frame.
        above: the connections that come before this one, first first.
        roads: of the workspace; calls that two roads say are a coding tool's are parted by day (see `store.roads`).

    Returns:
        The rows that count, the rows that don't, and how many calls each of the others counts.
    """
    nothing = frame.iloc[:0]
    others = [name for name in above if name != connection]
    if not others or not frame[["request_id", "session_id"]].notna().any(axis=None):
        return frame, nothing, {}
    owners: dict[str, str] = {}
    with duckdb.connect() as con:
        register_rows(con, "own", to_arrow(frame[_READ].assign(row=range(len(frame)))))
        con.execute(f"CREATE TEMP TABLE mine AS {_CALLS.format(source='own')}")
        for name in others:
            for id_ in _same_calls(con, lake, name, window, roads.apart(connection, name)):
                owners.setdefault(id_, name)
        if not owners:
            return frame, nothing, {}
        register_rows(con, "owned", pa.table({"id": pa.array(list(owners), pa.string())}))
        found = con.execute(f"SELECT row FROM own WHERE {_ID} IN (SELECT id FROM owned)").fetchnumpy()["row"]
    told = np.zeros(len(frame), bool)
    told[found] = True
    counts = {name: sum(owner == name for owner in owners.values()) for name in others}
    return (
        frame[~told].reset_index(drop=True),
        frame[told].reset_index(drop=True),
        {name: count for name, count in counts.items() if count},
    )


def concerned(lake: Lake, connection: str, window: Window, above: Sequence[str], roads: Roads) -> bool:
    """Whether a connection has calls in a window that those above it tell, or had some."""
    if lake.rows_of("told", window, [connection]):
        return True
    with duckdb.connect() as con:
        if not register(con, "own", lake.source("tokens", window, [connection])):
            return False
        con.execute(f"CREATE TEMP TABLE mine AS {_CALLS.format(source='own')}")
        if not con.execute("SELECT count(*) FROM mine").fetchall()[0][0]:
            return False
        return any(_same_calls(con, lake, name, window, roads.apart(connection, name)) for name in above)


def _same_calls(con: duckdb.DuckDBPyConnection, lake: Lake, name: str, window: Window, apart: bool) -> list[str]:
    """Calls of `mine` that a connection counts, too; `apart` = but those that both say are a coding tool's."""
    around = Window(window.start - APART, window.end + APART)
    if not register(con, "others", lake.source("tokens", around, [name])):
        return []
    which = f"{_SAME} AND NOT (mine.by_tool AND theirs.by_tool)" if apart else _SAME
    sql = f"SELECT DISTINCT mine.id FROM mine JOIN ({_CALLS.format(source='others')}) AS theirs ON {which}"
    return [row[0] for row in con.execute(sql).fetchall()]


__all__ = ["APART", "concerned", "split"]
