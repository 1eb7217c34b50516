"""What the explorer shows for one set of choices, as plain data that the board draws."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from finops_ai.figures import measure as measure_of
from finops_ai.tables.palette import GREY, colours
from finops_ai.widgets.cube import MEASURES, UNSTATED, Cube, label_of
from finops_ai.widgets.spans import alongside, before, bucket_span, buckets, day_text, grain_of, partial, span_text

#: what can be shown: measures of the catalogue
SHOWN = (
    "cost",
    "tokens",
    "requests",
    "list_cost",
    "token_cost_per_1m_tokens",
    "cost_per_1m_tokens",
    "cost_per_request",
)


def _metric(name: str) -> tuple[str, str, str | None, int]:
    one = measure_of(name)
    return one.label, *(one.ratio or (name, None)), one.per


#: metric -> (title, numerator, denominator, times); a metric with a denominator is a ratio and drawn as lines
METRICS: dict[str, tuple[str, str, str | None, int]] = {name: _metric(name) for name in SHOWN}
METRICS["cost"] = (METRICS["cost"][0], "published", None, 1)  # in the cents that were decided for its rows
COMPARISONS = [("the period before", "before"), ("a year before", "year"), ("nothing", "none")]
TOP, LISTED, ROWS = 8, 40, 200
EMPTY = "Nothing was used in this period with these filters."
NOTHING = "There is nothing to explore: the frame has no rows."


@dataclass(frozen=True)
class View:
    """The choices: what is measured, by which dimension, with which filters, over which days, against what."""

    by: str
    metric: str = "cost"
    filters: tuple[tuple[str, str], ...] = ()
    first: dt.date = dt.date.min
    last: dt.date = dt.date.max
    compare: str = "before"
    picked: tuple[dt.date, dt.date] | None = field(default=None)

    def drill(self, cube: Cube, name: str, bucket: dt.date | None = None) -> View:
        """Into one name: it becomes a filter, the next dimension that tells something becomes the grouping."""
        picked = None
        if bucket:
            first, last = max(self.first, cube.first), min(self.last, cube.last)
            start, end = bucket_span(bucket, grain_of(first, last))
            picked = max(start, first), min(end, last)
        return replace(self.only(cube, {self.by: name}), picked=picked)

    def only(self, cube: Cube, filters: Mapping[str, str]) -> View:
        """With these filters added or replaced; what is now a single name is no longer what is grouped by."""
        kept = (*(f for f in self.filters if f[0] not in filters), *filters.items())
        by = next_dimension(cube, kept, self.by) if self.by in filters else self.by
        return replace(self, filters=kept, by=by, picked=None)

    def back(self, length: int) -> View:
        """To the first `length` filters; the grouping is the filter that was taken off."""
        if length >= len(self.filters):
            return self
        return replace(self, by=self.filters[length][0], filters=self.filters[:length], picked=None)


def next_dimension(cube: Cube, filters: Sequence[tuple[str, str]], current: str) -> str:
    """The next dimension, in drilling order, in which the filtered rows differ; the current one at the end."""
    done = {name for name, _ in filters}
    where = cube.where(dict(filters))
    start = cube.dimensions.index(current)
    order = [*cube.dimensions[start + 1 :], *cube.dimensions[:start]]
    for name in order:
        if name not in done and len(cube.totals(name, where)) > 1:
            return name
    return current


def measure(row: dict[str, Any] | None, metric: str) -> Decimal | None:
    """One metric of a row of sums; null where it is unknown or nothing was counted."""
    _, top, bottom, scale = METRICS[metric]
    if row is None or row[top] is None:
        return None
    if bottom is None:
        return Decimal(row[top])
    return Decimal(row[top]) * scale / Decimal(row[bottom]) if row[bottom] else None


def unit_of(cube: Cube, metric: str) -> str:
    """Unit of a metric, with the currency; "cost" where no price is known, and so no currency."""
    return measure_of(metric).unit_of(cube.currency or "cost")


def board(cube: Cube, view: View, source: str = "frame") -> dict[str, Any]:
    """Everything the board draws for a view; figures as floats, for drawing only. `source` is the frame in its code."""
    first, last = max(view.first, cube.first), min(view.last, cube.last)
    title, _, ratio, _ = METRICS[view.metric]
    data: dict[str, Any] = {
        "metric": view.metric, "by": view.by, "by_label": label_of(view.by), "unit": unit_of(cube, view.metric),
        "title": f"{title} by {label_of(view.by)}", "period_text": span_text(first, last) if first <= last else "no days",
        "path": [{"label": label_of(d), "name": n} for d, n in view.filters],
        "kind": "lines" if ratio else "stack", "leaf": view.by in dict(view.filters),
        "code": code(view, first, last, source, cube.timezone),
        "words": cube.words.get(view.by, {}), "notes": notes(cube), "empty": EMPTY if cube.rows else NOTHING, "groups": [], "more": [], "buckets": [], "hidden": 0, "total": None if ratio else 0, "compared": False, "before": None,
    }  # fmt: skip
    if first > last or not cube.rows:
        return data

    def amount(rows: Collection[dict[str, Any]]) -> float | None:
        """The metric over these rows: nothing used is 0, but nothing known is null."""
        nothing = None if ratio else 0.0
        return _float(measure(_sum(rows), view.metric)) if rows else nothing

    filters, grain = dict(view.filters), grain_of(first, last)
    where = cube.where(filters, first, last)
    found = [r for r in cube.totals(view.by, where) if any(r[m] for m in ("cost", "list_cost", "tokens", "requests"))]
    found.sort(
        key=lambda r: (-(measure(r, view.metric) or 0), r["name"]) if not ratio else (-(r["cost"] or 0), r["name"])
    )
    kept = [r["name"] for r in found[: TOP if len(found) > TOP + 1 or ratio else TOP + 1]]
    earlier, past = before(first, view.last, view.compare, until=last), {}
    if earlier and earlier[0] < cube.first:
        data["before_text"] = f"not compared: the data begin on {day_text(cube.first)}"
        earlier = None
    if earlier:
        past = {r["name"]: r for r in cube.totals(view.by, cube.where(filters, *earlier))}
        data["before_text"] = span_text(*earlier)
        data |= {"compared": True, "before": amount(past.values())}
    palette = colours(kept, cube.levels[view.by])
    times = buckets(first, last, grain)
    place = {day: i for i, day in enumerate(times)}
    values: dict[str | None, list[float | None]] = {name: [None] * len(times) for name in [*kept, None]}
    for row in cube.series(view.by, where, grain, kept).to_pylist():
        name = None if row["code"] is None else cube.levels[view.by][row["code"]]
        values[name][place[row["bucket"]]] = _float(measure(row, view.metric))

    def group(
        name: str, rows: list[dict[str, Any]], earlier_rows: list[dict[str, Any]], **extra: object
    ) -> dict[str, Any]:
        out = {"name": name, "total": amount(rows), **extra}
        return out | {"before": amount(earlier_rows)} if data["compared"] else out

    by_name = {r["name"]: r for r in found}
    data["groups"] = [
        group(n, [by_name[n]], [past[n]] if n in past else [], colour=palette[n], values=values[n]) for n in kept
    ]
    rest = found[len(kept) :]
    if rest:
        data["more"] = [
            group(r["name"], [r], [past[r["name"]]] if r["name"] in past else [], colour="")
            for r in rest[: LISTED - len(kept)]
        ]
        data["hidden"] = len(rest) - len(data["more"])
    if rest and not ratio:
        shown = {r["name"] for r in found}
        gone = [r for n, r in past.items() if n not in shown]
        others = [past[r["name"]] for r in rest if r["name"] in past]
        data["groups"].append(group("other", rest, others + gone, colour=GREY, values=values[None], rest=True))
    elif not ratio and (gone := [r for n, r in past.items() if n not in by_name]):
        data["more"] = [group(r["name"], [], [r], colour="") for r in gone[:LISTED]]
    data |= {
        "buckets": [str(d) for d in times],
        "partial": partial(times, grain, first, last),
        "grain": grain,
        "total": amount(found),
    }
    if earlier and not ratio:
        span, data["line_text"] = alongside(first, last, grain, view.compare, earlier)
        data["before_values"] = _line(cube, view, filters, span, grain)
    if view.picked or data["leaf"]:
        data["rows"] = _behind(cube, view, *(view.picked or (first, last)))
    return data


def _line(
    cube: Cube, view: View, filters: dict[str, str], span: tuple[dt.date, dt.date], grain: str
) -> list[float | None]:
    times = buckets(*span, grain)
    out: list[float | None] = [None if day < cube.first else 0.0 for day in times]
    for row in cube.series(view.by, cube.where(filters, *span), grain, []).to_pylist():
        out[times.index(row["bucket"])] = _float(measure(row, view.metric))
    return out


def _behind(cube: Cube, view: View, first: dt.date, last: dt.date) -> dict[str, Any]:
    table, total = cube.behind(dict(view.filters), first, last, ROWS)
    shown = [d for d in cube.dimensions if d not in dict(view.filters)]
    unit = unit_of(cube, "cost")
    columns: list[dict[str, Any]] = [{"label": "day"}, {"label": unit, "number": True, "unit": unit}]
    columns += [{"label": m, "number": True, "unit": m} for m in ("tokens", "requests")]
    columns += [{"label": label_of(d)} for d in shown]
    order = ["day", "published", "tokens", "requests", *shown]
    values = [[_plain(row[name]) for name in order] for row in table.to_pylist()]
    return {
        "period_text": span_text(first, last),
        "columns": columns,
        "values": values,
        "total": total,
    }


def _plain(value: object) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, dt.date) else value


def _sum(rows: Iterable[Any]) -> dict[str, Any]:
    """Rows of sums added up; unknown only where all are unknown."""
    out: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            if name != "name" and value is not None:
                out[name] = out.get(name, 0) + value
    return {name: out.get(name) for name in MEASURES}


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def notes(cube: Cube) -> list[str]:
    """What a reader must know about the figures."""
    if not cube.unpriced:
        return []
    return [f"Rows without a known price, not in the cost: {cube.unpriced:,}."]


def code(view: View, first: dt.date, last: dt.date, source: str = "frame", timezone: str = "UTC") -> str:
    """The Python that gives the ranked table of a view, as a notebook can run it.

    Args:
        view: the choices.
        first, last: the days on show, both included.
        source: Python that gives the explored frame, such as the name of a variable.
        timezone: reporting zone.
    """
    lines = ["import finops_ai as fa", "from finops_ai.periods import Window", "", f"rows = {source}"]
    for name, value in view.filters:
        test = f"rows[{name!r}].isna()" if value == UNSTATED else f"rows[{name!r}] == {value!r}"
        lines.append(f"rows = rows[{test}]")
    end = last + dt.timedelta(days=1)
    zone = "" if timezone == "UTC" else f", {timezone!r}"
    window = f"Window.of({str(first)!r}, {str(end)!r}{zone})"
    lines.append(f"fa.showback(rows, by=[{view.by!r}], window={window}{zone and f', timezone={timezone!r}'})")
    return "\n".join(lines)
