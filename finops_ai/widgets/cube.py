"""The explorer's cube: exact sums by day and every dimension, queried in milliseconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.engine.dialects import DUCKDB
from finops_ai.engine.duck import Scan, connect
from finops_ai.engine.fields import PUBLISHED
from finops_ai.errors import DataError, FrameError, hint
from finops_ai.figures import aggregates
from finops_ai.figures.computing import fields
from finops_ai.frames.origin import zone_of
from finops_ai.periods import Window, utc_offsets
from finops_ai.tables.grouping import COUNTED, COUNTED_BY, NOBODY, dimensions_of, nobody_of

if TYPE_CHECKING:
    import pandas as pd

#: columns offered as dimensions after the business ones, in the order people drill
DIMENSIONS = [
    "provider",
    "model",
    "prompt_id",
    "service_tier",
    "sub_account_name",
    "api_key_id",
    "user_id",
    "region",
    "meter",
]
LABELS = {
    "prompt_id": "prompt",
    "service_tier": "tier",
    "sub_account_name": "project",
    "api_key_id": "API key",
    "user_id": "user",
    "cost_centre": "cost centre",
}
#: how a row says that its source told nothing
UNSTATED = "not stated"
#: the sums it keeps: exact measures of the catalogue, and the cost in the cents that tables publish
EXACT = ("cost", "list_cost", "token_cost", "counted_cost", "tokens", "priced_tokens", "requests")
MEASURES = (*EXACT, "published")


def label_of(dimension: str) -> str:
    """A dimension as people read it.

    >>> label_of("prompt_id"), label_of("team")
    ('prompt', 'team')
    """
    return LABELS.get(dimension, dimension.replace("_", " "))


@dataclass
class Cube:
    """Sums of a priced or allocated frame by day and dimension, in a private in-memory database.

    Attributes:
        dimensions: the dimensions that tell something, in drilling order.
        levels: their names, the most expensive first.
        first, last: first and last day, both included, of the reporting zone.
        timezone: the reporting zone, which decides the day of a call.
        currency: of the costs; empty where no price is known.
        unpriced: rows whose price isn't known; they have no cost.
        words: dimension -> its names that are no owner, and what they are called.
    """

    dimensions: list[str]
    levels: dict[str, list[str]]
    first: dt.date
    last: dt.date
    timezone: str
    currency: str
    unpriced: int
    rows: int
    _con: Any = field(repr=False)
    _source: Scan = field(repr=False)
    _local_day: str = field(repr=False)
    words: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame, *, timezone: str | None = None, dimensions: Sequence[str] = ()) -> Cube:
        """Add up a frame.

        Args:
            frame: what `fa.price` or `fa.allocate` returns.
            timezone: reporting zone: decides the day of a call; by default the one the frame was made for.
            dimensions: columns to offer; default: the business dimensions, then provider, model, prompt and so on.

        Raises:
            FrameError: the frame isn't priced or has no such column.
            DataError: its costs are in several currencies.
        """
        timezone = zone_of(frame, timezone=timezone)
        if "effective_cost" not in frame.columns:
            raise FrameError("The explorer takes priced rows; call fa.price, and fa.allocate for teams, first.")
        for name in dimensions:
            if name not in frame.columns:
                raise FrameError(
                    f"There is no column {name!r} to explore. {hint(name, [str(c) for c in frame.columns])}"
                )
        currencies = sorted(frame["pricing_currency"].dropna().unique())
        if len(currencies) > 1:
            raise DataError(
                f"The rows cost {' and '.join(currencies)}; sums never mix currencies. Explore one at a time."
            )
        wanted = list(dimensions) or [*dimensions_of(frame), *(d for d in DIMENSIONS if d in frame.columns)]
        con = connect()
        start = frame["charge_period_start"]
        edges = (
            [dt.datetime.now(dt.UTC)] * 2 if frame.empty else [t.to_pydatetime() for t in (start.min(), start.max())]
        )
        span = Window(edges[0], edges[1] + dt.timedelta(seconds=1))
        cents = [PUBLISHED] if PUBLISHED in frame.columns else []
        read = list(dict.fromkeys([*fields(EXACT), *COUNTED_BY, *cents]))
        source = Scan(con, frame, ["charge_period_start", *read, *wanted])
        day = f"CAST({DUCKDB.local_time(source.column('charge_period_start'), utc_offsets(span, timezone))} AS DATE)"
        names = ", ".join(f"coalesce({source.column(d)}, '{UNSTATED}') AS _d{i}" for i, d in enumerate(wanted))
        given = ", ".join(f"{source.column(name)} AS {name}" for name in read)
        plain = aggregates(EXACT) | {"published": f"sum({PUBLISHED})" if cents else "sum(effective_cost)"}
        sums = ", ".join(f"{plain[name]} AS {name}" for name in MEASURES)
        keys = ", ".join(f"_d{i} AS {DUCKDB.ident(d)}" for i, d in enumerate(wanted))
        con.execute(
            f"CREATE TEMP TABLE named AS WITH picked AS (SELECT {day} AS _day, {names}, {given} FROM {source.name}), "
            f"s AS (SELECT *, {COUNTED} AS counted FROM picked) SELECT _day AS day, {keys}, {sums} FROM s GROUP BY ALL"
        )
        levels, codes = {}, []
        for i, name in enumerate(wanted):
            quoted = DUCKDB.ident(name)
            con.execute(
                f"CREATE TEMP TABLE level_{i} AS SELECT {quoted} AS name, CAST(row_number() OVER (ORDER BY sum(cost) DESC NULLS LAST, {quoted}) - 1 AS INTEGER) AS code FROM named GROUP BY 1"
            )
            found = [row[0] for row in con.execute(f"SELECT name FROM level_{i} ORDER BY code").fetchall()]
            if len(found) > 1 or name in dimensions or found != [UNSTATED]:
                levels[name] = found
                codes.append((i, name))
        picked = ", ".join(f"l{i}.code AS {DUCKDB.ident(name)}" for i, name in codes)
        joins = " ".join(f"JOIN level_{i} l{i} ON named.{DUCKDB.ident(name)} = l{i}.name" for i, name in codes)
        con.execute(
            f"CREATE TEMP TABLE cube AS SELECT day, {picked}, {', '.join('named.' + m for m in MEASURES)} FROM named {joins}"
        )
        con.execute("DROP TABLE named")
        first, last, rows = con.execute("SELECT min(day), max(day), count(*) FROM cube").fetchall()[0]
        first, last = first or edges[0].date(), last or edges[1].date()
        unpriced = int((frame["price_status"] == "unpriced").sum())
        currency = currencies[0] if currencies else ""
        words = {
            d: {name: NOBODY.get(name, NOBODY["shared"]) for name in nobody_of(frame, d) if name in levels[d]}
            for d in dimensions_of(frame)
            if d in levels
        }
        return cls(list(levels), levels, first, last, timezone, currency, unpriced, rows, con, source, day, words)

    def find(self, dimension: str, text: str) -> str | None:
        """The name somebody means: as written, or the only one that contains the text, whatever its case."""
        names = self.levels[dimension]
        if not text or text in names:
            return text or None
        near = [name for name in names if text.casefold() in name.casefold()]
        return near[0] if len(near) == 1 else None

    def where(self, filters: Mapping[str, str], first: dt.date | None = None, last: dt.date | None = None) -> str:
        """The cube rows of some filters and days, as SQL."""
        parts = ["TRUE"]
        for name, value in filters.items():
            if name not in self.levels:
                raise FrameError(f"There is no dimension {name!r}. {hint(name, self.dimensions)}")
            found = self.levels[name]
            parts.append(f"{DUCKDB.ident(name)} = {found.index(value) if value in found else -1}")
        if first is not None:
            parts.append(f"day >= DATE '{first}'")
        if last is not None:
            parts.append(f"day <= DATE '{last}'")
        return " AND ".join(parts)

    def totals(self, by: str, where: str) -> list[dict[str, Any]]:
        """One row per name of a dimension: `name` and the measures (exact; null where unknown)."""
        sums = ", ".join(f"sum({m}) AS {m}" for m in MEASURES)
        found = self._con.sql(
            f"SELECT {DUCKDB.ident(by)} AS code, {sums} FROM cube WHERE {where} GROUP BY 1"
        ).to_arrow_table()
        return [{**row, "name": self.levels[by][row.pop("code")]} for row in found.to_pylist()]

    def series(self, by: str, where: str, grain: str, kept: Sequence[str]) -> pa.Table:
        """Measures by bucket (`day`, `week` or `month`) and name; what isn't kept has a null name."""
        codes = ", ".join(str(self.levels[by].index(name)) for name in kept) or "-1"
        bucket = "day" if grain == "day" else f"CAST(date_trunc('{grain}', day) AS DATE)"
        sums = ", ".join(f"sum({m}) AS {m}" for m in MEASURES)
        code = DUCKDB.ident(by)
        return self._con.sql(
            f"SELECT {bucket} AS bucket, CASE WHEN {code} IN ({codes}) THEN {code} END AS code, {sums} FROM cube WHERE {where} GROUP BY 1, 2"
        ).to_arrow_table()

    def behind(self, filters: Mapping[str, str], first: dt.date, last: dt.date, limit: int) -> tuple[pa.Table, int]:
        """The cube rows behind a bar, the most expensive first: names, tokens, requests, cost exactly and as
        published; and how many there are."""
        where = self.where(filters, first, last)
        total = self._con.execute(f"SELECT count(*) FROM cube WHERE {where}").fetchall()[0][0]
        names = ", ".join(DUCKDB.ident(d) for d in self.dimensions)
        found = self._con.sql(
            f"SELECT day, {names}, tokens, requests, cost, published FROM cube WHERE {where} ORDER BY cost DESC NULLS LAST, day LIMIT {int(limit)}"
        ).to_arrow_table()
        columns = {"day": found["day"]}
        for name in self.dimensions:
            columns[name] = pa.array(self.levels[name]).take(found[name].combine_chunks())
        return pa.table(columns | {m: found[m] for m in ("tokens", "requests", "cost", "published")}), total

    def packed(
        self, dimensions: Sequence[str], first: dt.date, cap: int
    ) -> tuple[pa.Table, dict[str, list[str]], list[str]]:
        """The cube with fewer dimensions and at most about `cap` rows, for a page without Python.

        Names beyond the most expensive ones become "other" until it fits.

        Returns:
            Table of `day`, a code per dimension and the measures; the names by code; sentences on what was folded.
        """
        sums = ", ".join(f"sum({m}) AS {m}" for m in MEASURES)
        keep = max((len(self.levels[d]) for d in dimensions), default=1)
        while True:
            codes = ", ".join(f"least({DUCKDB.ident(d)}, {keep}) AS {DUCKDB.ident(d)}" for d in dimensions)
            query = f"SELECT day, {codes}, {sums} FROM cube WHERE day >= DATE '{first}' GROUP BY ALL ORDER BY ALL"
            found = self._con.sql(query).to_arrow_table()
            if found.num_rows <= cap or keep <= 4:
                break
            keep = max(4, min(keep // 2, int(keep * cap / found.num_rows) + 1))
        levels, notes = {}, []
        for d in dimensions:
            names = self.levels[d]
            levels[d] = names if len(names) <= keep else [*names[:keep], "other"]
            if len(names) > keep + 1:
                notes.append(f"Of {len(names):,} names of {label_of(d)}, the {keep:,} most expensive are told apart.")
        return found, levels, notes
