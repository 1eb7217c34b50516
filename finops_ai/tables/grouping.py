"""Group an allocated frame in DuckDB: keys of any kind, months of the reporting zone, exact sums under conditions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect
from finops_ai.engine.fields import TAG, columns
from finops_ai.errors import DataError, FrameError, hint
from finops_ai.figures import meter_list as meter_list
from finops_ai.frames.origin import ORIGIN, left_out_of, named_dimensions, zone_of
from finops_ai.meters import meters
from finops_ai.periods import Window, utc_offsets

#: keys made from the start of the slice, in the reporting zone
TIMES = {
    "month": "strftime({x}, '%Y-%m')",
    "week": "CAST(date_trunc('week', {x}) AS DATE)",
    "day": "CAST({x} AS DATE)",
    "hour": "date_trunc('hour', {x})",
}
DEFAULT_RULE, UNALLOCATED = "default", "unallocated"
#: what bills the time, not the call: it belongs to the counted requests of its account, where there are any
_BY_TIME = ("unit-hours", "GPU-hours", "hours", "model-months", "GiB-hours", "token-hours")
COUNTED_BY = ("slice_requests", "provider", "billing_account_id", "model", "meter")
#: whether a row belongs to requests that its source counts: its slice says so, or, where slices say nothing, its account
#: and model have requests
COUNTED = (
    "CASE WHEN slice_requests > 0 THEN TRUE "
    "WHEN meter IN ({}) THEN bool_or(slice_requests > 0 OR meter = 'requests') OVER (PARTITION BY provider, billing_account_id) "
    "WHEN slice_requests IS NULL THEN bool_or(meter = 'requests') OVER (PARTITION BY provider, billing_account_id, model) "
    "ELSE FALSE END"
).format(", ".join(f"'{m.name}'" for m in meters().values() if m.unit in _BY_TIME))
#: values of a dimension that are nobody, in words, whatever the dimension
NOBODY = {UNALLOCATED: "Unmapped", "idle": "Idle capacity", "shared": "Shared, not divided"}


def dimensions_of(frame: pd.DataFrame) -> list[str]:
    """The business dimensions of an allocated frame: those it says it has, else its columns that no priced frame has."""
    told = named_dimensions(frame)
    if told is not None:
        return told
    known = {*columns(), *TIMES, "rule", "share", "tags"}
    return [c for c in frame.columns if c not in known]


def nobody_of(frame: pd.DataFrame, dimension: str) -> list[str]:
    """Values of a dimension that are nobody: what no rule maps, idle capacity, shared cost that isn't divided."""
    told = frame.attrs.get(ORIGIN, {}).get("nobody", {}).get(dimension)
    return list(NOBODY) if told is None else list(told)


def grouped(
    frame: pd.DataFrame,
    by: Sequence[str],
    measures: Mapping[str, str],
    *,
    window: Window | None = None,
    timezone: str | None = None,
    needs: Sequence[str] = (),
    where: str = "",
) -> list[dict[str, Any]]:
    """One dict per group: keys and measures (see `grouped_table`)."""
    found = grouped_table(frame, by, measures, window=window, timezone=timezone, needs=needs, where=where)
    out: list[dict[str, Any]] = found.to_pylist()
    return out


def grouped_table(
    frame: pd.DataFrame,
    by: Sequence[str],
    measures: Mapping[str, str],
    *,
    window: Window | None = None,
    timezone: str | None = None,
    needs: Sequence[str] = (),
    where: str = "",
    having: str = "",
) -> pa.Table:
    """One row per group, as Arrow: keys and measures, ordered by the keys.

    Args:
        frame: priced or allocated rows.
        by: columns, dimensions, `tags.<key>`, `month`, `week` or `day`.
        measures: name -> SQL aggregate over the frame's columns, tags and times.
        window: only rows that start in it.
        timezone: reporting zone of the times; by default the one the frame was made for.
        needs: columns the measures and `where` use.
        where: SQL predicate over those columns.
        having: SQL predicate over the groups.

    Raises:
        FrameError: a key the frame doesn't have.
    """
    timezone = zone_of(frame, timezone=timezone)
    known = [*frame.columns, *TIMES]
    for key in by:
        if key not in known and not key.startswith(TAG):
            raise FrameError(
                f"Can't group by {key!r}. {hint(key, [str(c) for c in known])} Tags are written tags.<key>."
            )
    if folded := [k for k in by if k in left_out_of(frame)]:
        raise FrameError(
            f"{folded[0]!r} is not told apart here: the month has more cells than [engine] cells allows. Ask for it by name, "
            f"such as ws.cube(month, by={folded!r}), or raise the setting."
        )
    made = [k for k in by if k in TIMES and k not in frame.columns]
    if "charge_period_start" not in frame.columns and (made or window is not None):
        raise FrameError(
            f"charge_period_start is missing, so there is no way to tell {', '.join(made) or 'the window'}."
        )
    if any("counted" in sql for sql in (*measures.values(), where)):
        needs = [*needs, *COUNTED_BY]
    with connect() as con:
        scan = Scan(con, frame, ["charge_period_start", *needs, *(k for k in by if k not in made)])
        start = scan.column("charge_period_start")
        span = window or Window(*_span(frame))
        local = DUCKDB.local_time("_start", utc_offsets(span, timezone))
        picked = [f"{start} AS _start", f"{start} AS charge_period_start"]
        for name in dict.fromkeys([*needs, *by]):
            if name in made:
                picked.append(f"{TIMES[name].format(x=local)} AS {DUCKDB.ident(name)}")
            elif name.startswith(TAG):
                text = DUCKDB.tag.format(x=scan.column("tags"), v=DUCKDB.literal(name[len(TAG) :]))
                picked.append(f"{text} AS {DUCKDB.ident(name)}")
            elif name != "charge_period_start":
                picked.append(f"{scan.column(name)} AS {DUCKDB.ident(name)}")
        if {*COUNTED_BY} <= {*needs}:
            picked.append(f"{COUNTED} AS counted")
        if window is not None:
            limits = f"_start >= {DUCKDB.literal(window.start)} AND _start < {DUCKDB.literal(window.end)}"
            where = f"({where}) AND {limits}" if where else limits
        keys = ", ".join(DUCKDB.ident(k) for k in by)
        aggregates = ", ".join(f"{sql} AS {DUCKDB.ident(name)}" for name, sql in measures.items())
        sql = (
            f"WITH s AS (SELECT {', '.join(picked)} FROM {scan.name}) SELECT {', '.join(filter(None, [keys, aggregates]))} FROM s"
            f"{' WHERE ' + where if where else ''}{' GROUP BY ' + keys if keys else ''}{' HAVING ' + having if having else ''}{' ORDER BY ' + keys if keys else ''}"
        )
        return con.sql(sql).to_arrow_table()


def _span(frame: pd.DataFrame) -> tuple[dt.datetime, dt.datetime]:
    if frame.empty or "charge_period_start" not in frame.columns:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
    start = frame["charge_period_start"]
    return start.min().to_pydatetime(), start.max().to_pydatetime() + dt.timedelta(seconds=1)


def currency_of(frame: pd.DataFrame, column: str = "pricing_currency") -> str:
    """The one currency of a frame's amounts.

    Raises:
        DataError: there are several; sums never mix currencies.
    """
    if column not in frame.columns:
        return ""
    found = sorted(str(c) for c in frame[column].dropna().unique())
    if len(found) > 1:
        raise DataError(
            f"The rows are priced in {', '.join(found)}, and sums never mix currencies. "
            f"Group by {column!r} too, or take the rows of one currency."
        )
    return found[0] if found else ""


def zero(value: Decimal | None) -> Decimal:
    """A sum, 0 where nothing was added."""
    return Decimal(0) if value is None else value
