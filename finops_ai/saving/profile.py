"""What only the single rows show, in two aggregations: in which hours works run, and how long their prompts are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, Source, connect
from finops_ai.periods import UTC, Window, utc_offsets
from finops_ai.saving.cells import WHO, Work
from finops_ai.tables.changing import TOKENS
from finops_ai.tables.workloads import family_of

#: input tokens of the shortest, lower, middle and longest calls: quantiles
_LENGTHS = (0.01, 0.02, 0.1, 0.5, 0.98)
_NAMES = ("shortest", "short", "low", "middle", "longest")
#: rows of single calls whose lengths are looked at: where a window has more, its newest days with so many
MOST = 8_000_000
#: gaps between calls after which a cache entry has ended: minutes
_GAPS = (5, 60)


@dataclass(frozen=True)
class Lengths:
    """Prompts of a work's single calls with one model.

    Attributes:
        calls: how many single calls were seen.
        shortest, short, low, middle, long: input tokens, quantiles 0.01, 0.02, 0.1, 0.5, 0.98.
        mean: mean input tokens.
        alone: calls with no other of the same in the 5, and in the 60 minutes before.
    """

    calls: int
    shortest: Decimal
    short: Decimal
    low: Decimal
    middle: Decimal
    long: Decimal
    mean: Decimal
    alone: tuple[int, int]


@dataclass
class Profile:
    """Hours and lengths by work; empty where the rows don't tell them."""

    #: work -> local hour -> tokens; the key is made by `key_of`
    hours: dict[tuple[Any, ...], dict[dt.datetime, Decimal]] = field(default_factory=dict)
    lengths: dict[tuple[Any, ...], Lengths] = field(default_factory=dict)

    def hours_of(self, work: Work, tier: str | None = None) -> dict[dt.datetime, Decimal]:
        """Tokens by local hour of a work, in one tier or all."""
        out: dict[dt.datetime, Decimal] = {}
        for (key, at), found in self.hours.items():
            if key == key_of(work.who) and tier in (None, at):
                for hour, tokens in found.items():
                    out[hour] = out.get(hour, Decimal(0)) + tokens
        return out

    def lengths_of(self, work: Work, model: str) -> Lengths | None:
        """Lengths of a work's prompts to a model."""
        return self.lengths.get((key_of(work.who), model))


def key_of(who: Mapping[str, str]) -> tuple[Any, ...]:
    """A work by what its rows themselves say, without the business dimensions."""
    return tuple((name, who[name]) for name in (*WHO, "prompt") if who.get(name))


def profile(source: Source, timezone: str, window: Window | None = None) -> Profile:
    """The profile of usage rows; slices longer than an hour tell neither hours nor calls.

    Args:
        source: frame, Arrow table or Parquet files of usage rows.
        timezone: whose hours.
        window: only rows that start in it.
    """
    with connect() as con:
        wanted = [*WHO, "prompt_id", "model", "meter", "service_tier", "quantity", "charge_period_start", "charge_period_end",
                  "slice_input_tokens", "slice_requests", "request_id"]  # fmt: skip
        scan = Scan(con, source, wanted)
        start, end = scan.column("charge_period_start"), scan.column("charge_period_end")
        where = f"{end} - {start} <= INTERVAL 1 HOUR"
        if window is not None:
            where += f" AND {start} >= {DUCKDB.literal(window.start)} AND {start} < {DUCKDB.literal(window.end)}"
        single = f"{scan.column('slice_requests')} = 1 AND {scan.column('slice_input_tokens')} IS NOT NULL"
        days = con.execute(
            f"""SELECT min({start}), max({start}), count(*) FILTER (WHERE {single})
                FROM {scan.name} WHERE {where} GROUP BY date_trunc('day', {start}) ORDER BY 1 DESC"""
        ).fetchall()
        if not days:
            return Profile()
        span = Window(days[-1][0].replace(tzinfo=UTC), days[0][1].replace(tzinfo=UTC) + dt.timedelta(seconds=1))
        calls = f"{where} AND {single} AND {start} >= {DUCKDB.literal(_newest(days))}"
        return Profile(_hours(scan, where, span, timezone), _lengths(scan, calls))


def _newest(days: list[tuple[dt.datetime, dt.datetime, int]]) -> dt.datetime:
    """The first instant of the newest days that have `MOST` rows together, of (first, last, rows) from the newest on.

    >>> days = [(dt.datetime(2026, 10, day), dt.datetime(2026, 10, day, 9), 3_000_000) for day in (3, 2, 1)]
    >>> _newest(days), _newest(days[:1])
    (datetime.datetime(2026, 10, 2, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 10, 3, 0, 0, tzinfo=datetime.timezone.utc))
    """
    held, since = 0, days[0][0]
    for first, _, rows in days:
        held += rows
        if held > MOST:
            break
        since = first
    return since.replace(tzinfo=UTC)


def _who(row: Mapping[str, Any]) -> tuple[Any, ...]:
    who = {n: str(row[n]) for n in WHO if row[n] is not None}
    if row["prompt_id"] is not None:
        who["prompt"] = str(family_of(row["prompt_id"]))
    return key_of(who)


def _keys(scan: Scan, *more: str) -> tuple[str, str]:
    """The columns that works and what more are told apart by: as selected, and as listed."""
    names = [*WHO, "prompt_id", *more]
    return (
        ", ".join(f"{scan.column(n)} AS {DUCKDB.ident(n)}" for n in names),
        ", ".join(DUCKDB.ident(n) for n in names),
    )


def _hours(scan: Scan, where: str, span: Window, timezone: str) -> dict[tuple[Any, ...], dict[dt.datetime, Decimal]]:
    tokens = ", ".join(DUCKDB.literal(name) for name in sorted(TOKENS))
    local = DUCKDB.local_time(scan.column("charge_period_start"), utc_offsets(span, timezone))
    picked, listed = _keys(scan, "service_tier")
    rows = scan.con.sql(
        f"""SELECT {listed}, hour, sum(quantity) AS tokens FROM (
                SELECT {picked}, date_trunc('hour', {local}) AS hour, {scan.column("quantity")} AS quantity
                FROM {scan.name} WHERE {where} AND {scan.column("meter")} IN ({tokens}))
            GROUP BY ALL"""
    ).to_arrow_table()
    out: dict[tuple[Any, ...], dict[dt.datetime, Decimal]] = {}
    for row in (row for batch in rows.to_batches(10_000) for row in batch.to_pylist()):
        held = out.setdefault((_who(row), row["service_tier"]), {})
        held[row["hour"]] = held.get(row["hour"], Decimal(0)) + row["tokens"]
    return out


def _lengths(scan: Scan, where: str) -> dict[tuple[Any, ...], Lengths]:
    """Single calls are slices of one request: each is looked at once, whatever meters it has."""
    picked, listed = _keys(scan, "model")
    quantiles = ", ".join(f"quantile_disc(tokens_in, {q}) AS {name}" for q, name in zip(_LENGTHS, _NAMES, strict=True))
    gaps = ", ".join(
        f"count(*) FILTER (WHERE gap IS NULL OR gap > INTERVAL {minutes} MINUTE) AS alone_{minutes}"
        for minutes in _GAPS
    )
    rows = scan.con.sql(
        f"""WITH calls AS (
              SELECT DISTINCT {picked}, {scan.column("charge_period_start")} AS began, {scan.column("request_id")} AS call,
                     {scan.column("slice_input_tokens")} AS tokens_in
              FROM {scan.name} WHERE {where}),
            gapped AS (SELECT *, began - lag(began) OVER (PARTITION BY {listed} ORDER BY began) AS gap FROM calls)
            SELECT {listed}, count(*) AS calls, avg(tokens_in) AS mean, {quantiles}, {gaps} FROM gapped GROUP BY {listed}"""
    ).to_arrow_table()
    out: dict[tuple[Any, ...], Lengths] = {}
    for row in rows.to_pylist():
        shortest, short, low, middle, longest = (Decimal(row[n]) for n in _NAMES)
        mean, alone = Decimal(str(row["mean"])), (row["alone_5"], row["alone_60"])
        made = Lengths(row["calls"], shortest, short, low, middle, longest, mean, alone)
        key = (_who(row), row["model"])
        had = out.get(key)  # versions of a prompt: the one with most calls speaks for the work
        out[key] = made if had is None or made.calls > had.calls else had
    return out
