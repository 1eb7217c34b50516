"""The charts of the reports: one visual language, colour-blind safe, labelled directly, with alternative text.

Charts are drawn as SVG whose ink follows the page's, so that they read well in light and dark and print sharply, once
for wide and once for narrow screens. Colours are stable (see `finops_ai.tables.palette`). Axes of amounts start at 0.
"""

from __future__ import annotations

import contextvars
import datetime as dt
import functools
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from finops_ai.money import brief
from finops_ai.reporting.text import is_unknown, safe
from finops_ai.tables.palette import GRID, INK, NOBODY, PALETTE, THEME, colours, short_amount
from finops_ai.tables.result import Table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis


ACCENT, PAPER, UP, DOWN = PALETTE[0], "#fefefd", PALETTE[5], PALETTE[2]
_narrow = contextvars.ContextVar("narrow", default=False)


class Chart(Figure):
    """A figure that can draw itself again, for a screen as narrow as a phone's."""

    again: Callable[[], Chart] | None = None


def themed(draw: Callable[..., Chart]) -> Callable[..., Chart]:
    """Draw with the reports' look, whatever look the reader's own notebook has."""

    @functools.wraps(draw)
    def inside(*args: object, **kwargs: object) -> Chart:
        with mpl.rc_context(THEME):
            chart = draw(*args, **kwargs)

        def again() -> Chart:
            before = _narrow.set(True)
            try:
                with mpl.rc_context(THEME):
                    return draw(*args, **kwargs)
            finally:
                _narrow.reset(before)

        chart.again = again
        return chart

    return inside


def number(value: float | Decimal) -> float:
    """A figure for drawing only; unknown is drawn as nothing."""
    return float("nan") if is_unknown(value) else float(value)


def _axes(height: float, title: str = "", width: float = 9.0) -> tuple[Chart, Any]:
    chart = Chart(figsize=(4.1 if _narrow.get() else width, height), layout="constrained")
    if title:
        chart.suptitle(_wrapped(title, 44), x=0.0, ha="left", fontsize=11 if _narrow.get() else 11.5, fontweight="bold")
    return chart, chart.subplots()


def _wrapped(text: str, width: int) -> str:
    """Text in lines that fit a narrow chart; a wide one takes it as it is."""
    if not _narrow.get():
        return text
    return "\n".join(part for line in text.splitlines() for part in textwrap.wrap(line, width))


def _amounts(axis: Axis, unit: str) -> None:
    axis.set_major_formatter(FuncFormatter(short_amount))
    axis.set_label_text(unit)


def _times(axes: Axes, days: Sequence[Any]) -> np.ndarray:
    """Dates on the x axis, written so that no month needs guessing."""
    dates = [dt.date.fromisoformat(str(d)[:10]) for d in days]
    places: np.ndarray = mdates.date2num(dates)
    axes.xaxis_date()
    span = int(places[-1] - places[0]) + 1 if len(places) > 1 else 0
    if len(places) == 1:
        axes.set_xticks(places, [_day(dates[0])])
    elif 1 < span <= 31:
        few = 3 if _narrow.get() else 10
        every = max(1, span // few) if span <= 20 else 10 if _narrow.get() else 7
        month = [dates[0] + dt.timedelta(days=n) for n in range(span)]
        named = [day for day in month if (day.day - 1) % every == 0 and (every == 1 or day.day < 30)]
        axes.set_xticks([places[0] + (day - dates[0]).days for day in named], [_day(day) for day in named])
    else:
        locator = mdates.AutoDateLocator(minticks=3, maxticks=5 if _narrow.get() else 9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    return places


def _day(day: dt.date) -> str:
    return f"{day.day} {day:%b}"


def _months(axes: Axes, months: Sequence[str]) -> np.ndarray:
    """Months on the x axis, each year written once."""
    places, step = np.arange(len(months)), 1 + (len(months) - 1) // (5 if _narrow.get() else 14)
    labels, year = [], ""
    for month in months[::step]:
        first = dt.date.fromisoformat(f"{month}-01")
        labels.append(f"{first:%b}" if month[:4] == year else f"{first:%b\n%Y}")
        year = month[:4]
    axes.set_xticks(places[::step], labels)
    return places


def shown_of(data: pd.DataFrame) -> pd.DataFrame:
    """A table as it is published, cents decided once: a bar's amount is that of its row beside it; other frames as they are."""
    return data.published() if isinstance(data, Table) else data


def pivot(
    data: pd.DataFrame, time: str, by: str, value: str, top: int
) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """A long frame as one row of numbers per group: times, groups (largest first, the rest as "other"), values."""
    cells: dict[str, dict[str, float]] = {}
    data = shown_of(data)
    for moment, name, amount in zip(data[time], data[by], data[value], strict=True):
        group = "not captured" if is_unknown(name) else str(name)
        key = str(moment)[:10]
        if not is_unknown(amount):
            row = cells.setdefault(group, {})
            row[key] = row.get(key, 0.0) + float(amount)
    times = sorted({str(moment)[:10] for moment in data[time]})
    order = sorted(cells, key=lambda g: (g in NOBODY, -sum(cells[g].values()), g))
    owned = [g for g in order if g not in NOBODY]
    kept = owned if len(owned) <= top + 1 else owned[:top]
    rows = {g: np.array([cells[g].get(t, 0.0) for t in times]) for g in kept}
    if len(kept) < len(owned):
        rows["other"] = np.sum([[cells[g].get(t, 0.0) for t in times] for g in owned[top:]], axis=0)
    rows |= {g: np.array([cells[g].get(t, 0.0) for t in times]) for g in order if g in NOBODY}
    return times, list(rows), rows


@themed
def stacked_days(
    daily: pd.DataFrame,
    by: str,
    *,
    value: str = "cost",
    currency: str = "USD",
    title: str = "",
    top: int = 6,
    time: str = "day",
    among: Iterable[str] = (),
    width: float = 9.0,
) -> Chart:
    """Stacked columns per day (or month), the largest groups told apart and named at the right, the rest as "other".

    Args:
        daily: long frame with the time, the grouping column and the value, one row per time and group.
        by: grouping column.
        value: column that is drawn; credits hang below 0.
        currency: unit of the axis.
        title: what the chart says.
        top: groups told apart.
        time: column of the columns' places: `day`, `week` or `month` (text `YYYY-MM` works).
        among: every name of the whole history, so that each has one colour everywhere.
        width: of the wide chart, in inches of 96 pixels.
    """
    figure, axes = _axes(3.4 if width == 9 else 2.35, title, width)
    times, names, rows = pivot(daily, time, by, value, top)
    if times:
        places = _times(axes, times) if len(times[0]) == 10 else _months(axes, times)
        shades, ends = colours(names, among), []
        above, below = np.zeros(len(times)), np.zeros(len(times))
        for name in names:
            bottom = np.where(rows[name] < 0, below, above)
            width = 0.86 * (7 if time == "week" else 1)
            _columns(axes, places, bottom, rows[name], width, color=shades[name], label=_short(name, 20))
            ends.append((float(bottom[-1] + rows[name][-1] / 2), name))
            above, below = above + np.maximum(rows[name], 0), below + np.minimum(rows[name], 0)
        axes.margins(x=0.01)
        axes.autoscale_view()
        if not below.any():
            axes.set_ylim(bottom=0)
        _name_beside(axes, ends, shades)
    _amounts(axes.yaxis, currency)
    axes.grid(axis="y")
    return figure


def _columns(
    axes: Axes, places: np.ndarray, bottom: np.ndarray, heights: np.ndarray, width: float, *, color: str, label: str
) -> None:
    """Columns of one colour as one path, which draws many times faster than a bar each."""
    left, top = places - width / 2, bottom + heights
    corners = [(left, bottom), (left, top), (left + width, top), (left + width, bottom), (left, bottom)]
    points = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)[heights != 0].reshape(-1, 2)
    kind = mpl.path.Path
    turns = np.tile([kind.MOVETO, kind.LINETO, kind.LINETO, kind.LINETO, kind.CLOSEPOLY], len(points) // 5)
    axes.add_artist(mpl.patches.PathPatch(kind(points, turns), facecolor=color, label=label, linewidth=0))
    axes.update_datalim(
        [(places[0] - width / 2, bottom.min()), (places[-1] + width / 2, top.max()), (places[0], top.min())]
    )


@themed
def ranked_bars(
    table: pd.DataFrame,
    label: str,
    *,
    value: str = "cost",
    currency: str = "USD",
    title: str = "",
    top: int = 12,
    group: str = "",
) -> Chart:
    """Horizontal bars, largest first, each labelled with its amount; groups of unknown or no amount are left out.

    Args:
        table: one row per bar.
        label: column naming the bars; rows without a name are left out, since they are no group.
        value: column that is drawn.
        currency: unit.
        title: what the chart says.
        top: bars shown.
        group: column whose values colour the bars, such as `provider`; named in a legend.
    """
    table = shown_of(table)
    chosen = [
        (str(name), float(amount), str(kind))
        for name, amount, kind in zip(table[label], table[value], table[group or label], strict=True)
        if not is_unknown(name) and not is_unknown(amount) and amount
    ]
    chosen = sorted(chosen, key=lambda bar: -bar[1])[:top]
    kinds = list(dict.fromkeys(kind for _, _, kind in chosen)) if group else []
    shades = colours(kinds)
    figure, axes = _axes(0.3 * max(len(chosen), 1) + 0.95, title)
    places = np.arange(len(chosen))[::-1]
    axes.barh(
        places, [bar[1] for bar in chosen], color=[shades.get(bar[2], ACCENT) for bar in chosen], height=0.7, lw=0
    )
    axes.set_yticks(places, [_short(bar[0], 22 if _narrow.get() else 40) for bar in chosen])
    for place, (_, amount, _) in zip(places, chosen, strict=True):
        _beside(axes, amount, place, _label(amount, currency))
    for kind in kinds:
        axes.barh([0], [0], color=shades[kind], label=_short(kind))
    if kinds:
        axes.legend(loc="lower right", handlelength=0.9, handleheight=0.9)
    _amounts(axes.xaxis, currency)
    axes.margins(x=0.2 if _narrow.get() else 0.1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    return figure


@themed
def lines(
    data: Table,
    by: str,
    *,
    value: str,
    time: str = "day",
    unit: str = "",
    title: str = "",
    top: int = 7,
    among: Iterable[str] = (),
) -> Chart:
    """One line per group over time, each named at its end; a gap where the value is unknown.

    Args:
        data: long frame with time, group and value.
        by: grouping column.
        value: column that is drawn.
        time: `day`, `week` or `month`.
        unit: of the axis.
        title: what the chart says.
        top: lines drawn, in the order of the data.
        among: every name of the whole history, so that each has one colour everywhere.
    """
    series: dict[str, dict[str, float]] = {}
    for moment, name, amount in zip(data[time], data[by], data[value], strict=True):
        series.setdefault("not captured" if is_unknown(name) else str(name), {})[str(moment)[:10]] = number(amount)
    times = sorted({str(moment)[:10] for moment in data[time]})
    figure, axes = _axes(3.4, title)
    chosen = [name for name, values in series.items() if any(v == v for v in values.values())][:top]
    shades = colours(chosen, among)
    if times:
        places = _months(axes, times) if len(times[0]) < 10 else _times(axes, times)
        ends: list[tuple[float, str]] = []
        for name in chosen:
            values = np.array([series[name].get(t, float("nan")) for t in times])
            dots = {"marker": "o", "markersize": 3} if len(times) <= 14 else {}
            axes.plot(places, values, color=shades[name], linewidth=1.8, label=_short(name, 20), **dots)
            ends.append((float(values[~np.isnan(values)][-1]), name))
        axes.set_ylim(bottom=0)
        axes.margins(x=0.02)
        _name_beside(axes, ends, shades)
    _amounts(axes.yaxis, unit)
    axes.grid(axis="y")
    return figure


def _name_beside(axes: Axes, ends: Sequence[tuple[float, str]], shades: Mapping[str, str]) -> None:
    """Names at the right of what they name, each with its colour and none over another; on narrow charts below."""
    if _narrow.get():
        if ends:
            axes.figure.legend(loc="outside lower left", ncols=2, handlelength=0.9, handleheight=0.9, reverse=True)
        return
    axes.set_ylim(*axes.get_ylim())
    whole: Any = axes.figure
    (low, high), room = axes.get_ylim(), whole.get_figheight() * 72 * 0.78
    gap = (high - low) * 13 / room
    ends = sorted(ends, key=lambda end: end[0])
    spots: list[float] = []
    for value, _ in ends:
        spots.append(max(value, spots[-1] + gap) if spots else max(value, low))
    for i, (_, name) in enumerate(ends):
        spot = min(spots[i], high - (len(ends) - 1 - i) * gap)
        along = axes.get_yaxis_transform()
        axes.plot([1.012], [spot], "s", markersize=6, color=shades[name], transform=along, clip_on=False, mew=0)
        axes.text(1.026, spot, _short(name, 26), transform=along, va="center", fontsize=9, clip_on=False)


def _beside(axes: Axes, value: float, place: float, text: str) -> None:
    """A bar's amount, beside its end."""
    away = 4 if value >= 0 else -4
    axes.annotate(
        text, (value, place), xytext=(away, 0), textcoords="offset points", ha="left" if away > 0 else "right",
        va="center", fontsize=9,
    )  # fmt: skip


def _label(value: float, currency: str, sign: str = "") -> str:
    return brief(value, currency, sign).replace("-", "−")


@themed
def calendar(days: Mapping[Any, Any], *, currency: str = "USD", title: str = "", marked: int = 5) -> Chart:
    """A calendar: a row per weekday, a column per week, darker where a day cost more; the dearest are framed and named.

    Args:
        days: day -> amount; unknown and missing days stay empty.
        currency: unit.
        title: what the chart says.
        marked: days that are framed and named.
    """
    known = {dt.date.fromisoformat(str(d)[:10]): float(v) for d, v in days.items() if not is_unknown(v)}
    figure, axes = _axes(2.1, title)
    if not known:
        axes.set_axis_off()
        return figure
    if _narrow.get():  # the last half year; more would be dust
        known = {day: v for day, v in known.items() if day > max(known) - dt.timedelta(days=182)}
    first = min(known) - dt.timedelta(days=min(known).weekday())
    weeks = (max(known) - first).days // 7 + 1
    grid = np.full((7, weeks), np.nan)
    for day, value in known.items():
        grid[day.weekday(), (day - first).days // 7] = value
    look = mpl.colors.LinearSegmentedColormap.from_list("cost", ["#e3eff8", "#8cc4e8", "#2f86c1", "#0b4f84", "#062c4d"])
    edges = np.arange(weeks + 1), np.arange(8)
    shade = axes.pcolormesh(*edges, grid, cmap=look, edgecolors=PAPER, linewidth=1.4, vmin=0)
    axes.set_aspect("equal" if weeks > 20 else "auto")
    axes.set_ylim(7, 0)
    axes.set_yticks([0.5, 2.5, 4.5, 6.5], ["Mon", "Wed", "Fri", "Sun"])
    starts = [i for i in range(weeks) if (first + dt.timedelta(weeks=i)).day <= 7]
    labels, year = [], 0
    for i in starts:
        monday = first + dt.timedelta(weeks=i)
        labels.append(f"{monday:%b\n%Y}" if monday.year != year else f"{monday:%b}")
        year = monday.year
    axes.set_xticks([i + 0.5 for i in starts], labels)
    dearest = sorted(known, key=lambda d: (-known[d], d))[:marked]
    for day in dearest:
        corner = (day - first).days // 7, day.weekday()
        axes.add_patch(mpl.patches.Rectangle(corner, 1, 1, fill=False, edgecolor=UP, linewidth=1.8, zorder=3))
    named = [f"{_day(d)} {_label(known[d], currency)}" for d in dearest]
    said = f"Framed, the dearest days: {', '.join(named)} {currency}"
    axes.set_xlabel(_wrapped(said, 50), loc="left", multialignment="left")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(shade, ax=axes, shrink=0.6, pad=0.015, aspect=9, format=FuncFormatter(short_amount))
    bar.outline.set_visible(False)
    bar.locator = mpl.ticker.MaxNLocator(3)
    bar.update_ticks()
    bar.set_label(f"{currency} a day")
    return figure


@themed
def fan(
    history: Sequence[tuple[Any, Any]],
    ahead: Sequence[tuple[Any, Any]],
    bands: Mapping[int, Sequence[tuple[Any, Any]]],
    *,
    plan: Sequence[tuple[Any, Any]] = (),
    currency: str = "USD",
    title: str = "",
) -> Chart:
    """A fan chart: what was, what is expected, and how sure that is.

    Args:
        history: (day, amount), in order.
        ahead: (day, expected amount), in order.
        bands: level in per cent -> (low, high) per day of `ahead`, such as {80: [...], 95: [...]}.
        plan: (day, planned amount), drawn as a stepped line.
        currency: unit.
        title: what the chart says.
    """
    figure, axes = _axes(3.7, title)
    every = [d for d, _ in [*history, *ahead]]
    places = _times(axes, every) if every else np.array([])
    past, future = places[: len(history)], places[len(history) :]
    for level in sorted(bands, reverse=True):
        low, high = (np.maximum([number(pair[i]) for pair in bands[level]], 0) for i in (0, 1))
        shade = {"alpha": 0.22 if level > 85 else 0.42, "linewidth": 0, "label": f"{level}% interval"}
        axes.fill_between(future, low, high, color=PALETTE[4], **shade)
    axes.plot(past, [number(v) for _, v in history], color=INK, linewidth=1.4, label="actual")
    axes.plot(future, [number(v) for _, v in ahead], color=ACCENT, linewidth=2, label="forecast")
    if plan:
        days = mdates.date2num([dt.date.fromisoformat(str(d)[:10]) for d, _ in plan])
        look: dict[str, Any] = {"color": PALETTE[5], "linewidth": 1.4, "linestyle": "--", "label": "plan"}
        axes.step(days, [number(v) for _, v in plan], where="post", **look)
    axes.set_ylim(bottom=0)
    if len(past) and len(future):
        axes.axvline((past[-1] + future[0]) / 2, color=INK, linewidth=0.8, linestyle=":")
        until = dt.date.fromisoformat(str(history[-1][0])[:10])
        axes.text(
            past[-1] - (places[-1] - places[0]) / 80, axes.get_ylim()[1], f"known until {_day(until)} {until.year}",
            ha="right", va="top", fontsize=9,
        )  # fmt: skip
        axes.margins(x=0.01)
    _amounts(axes.yaxis, f"{currency} a day")
    axes.grid(axis="y")
    if every:
        figure.legend(loc="outside lower left", ncols=2 if _narrow.get() else 5)
    return figure


@themed
def bridge(
    steps: Sequence[tuple[str, Any]],
    *,
    ends: tuple[tuple[str, Any], tuple[str, Any]] | None = None,
    currency: str = "USD",
    title: str = "",
) -> Chart:
    """What moved a total, step by step, from where it was to where it is: orange raised it, green lowered it.

    The axis begins below the lowest point of the way, so that steps can be seen; both ends are drawn as cut for that.

    Args:
        steps: (name, signed amount), in order.
        ends: (name, total) before and after; without them the way begins at 0.
        currency: unit.
        title: what the chart says.
    """
    rows = len(steps) + (2 if ends else 0)
    figure, axes = _axes(0.3 * max(rows, 1) + 1.3, title)
    amounts = [number(value) for _, value in steps]
    points = [number(ends[0][1]) if ends else 0.0]
    for value in amounts:
        points.append(points[-1] + value)
    low, high = min(points), max(points)
    start = low - (high - low or 1.0) / 3 if ends else 0.0
    names = [*([ends[0][0]] if ends else []), *(name for name, _ in steps), *([ends[1][0]] if ends else [])]
    places = np.arange(rows)[::-1]
    inner = places[1:-1] if ends else places
    shades = [UP if v > 0 else DOWN for v in amounts]
    axes.barh(inner, amounts, left=points[:-1], height=0.68, color=shades, lw=0)
    for place, value, at in zip(inner, amounts, points, strict=False):
        _beside(axes, max(at, at + value), place, _label(value, currency, "+"))
    if ends:
        for place, (_, value) in ((places[0], ends[0]), (places[-1], ends[1])):
            axes.barh([place], [number(value) - start], left=start, height=0.68, color="#8B949E", lw=0)
            cut = start + (high - start) * 0.03
            for mark in (cut, cut * 1.0 + (high - start) * 0.012):
                axes.plot([mark, mark + (high - start) * 0.008], [place - 0.4, place + 0.4], color=PAPER, linewidth=2.2)
            _beside(axes, number(value), place, _label(number(value), currency))
        axes.set_xlim(left=start)
        axes.set_xticks([])
    else:
        axes.axvline(0, color=INK, linewidth=0.8)
        _amounts(axes.xaxis, currency)
        axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(4 if _narrow.get() else 7))
        axes.grid(axis="x")
    axes.set_yticks(places, [_short(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.24 if _narrow.get() else 0.12)
    return figure


def sparkline(values: Sequence[Any], *, width: int = 96, height: int = 20, colour: str = "var(--accent)") -> str:
    """A small line as SVG text for a table's cell, its last value as a dot; the figures stand beside it for readers.

    >>> sparkline([1, 2, 3])[:5]
    '<svg '
    """
    numbers = [number(v) for v in values]
    known = [v for v in numbers if v == v]
    if len(known) < 2:
        return ""
    low, high = min(*known, 0.0), max(known) or 1.0
    points = [
        f"{(i + 0.5) * width / len(numbers):.1f},{height - 3 - (v - low) / ((high - low) or 1) * (height - 6):.1f}"
        for i, v in enumerate(numbers)
        if v == v
    ]
    x, y = points[-1].split(",")
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true">'
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/>'
        f'<circle cx="{x}" cy="{y}" r="2.4" fill="{colour}"/></svg>'
    )


def svg(figure: Figure, alt: str, salt: str = "") -> str:
    """A figure as inline SVG in the page's own ink, with its alternative text."""
    buffer = io.StringIO()
    with mpl.rc_context({**THEME, "svg.hashsalt": alt + salt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts draw the text, not ours
        figure.dpi = 72
        if layout := figure.get_layout_engine():
            layout.execute(figure)  # once, here: saving would first draw everything to find out where things go
            figure.set_layout_engine(None)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' clip-path="url\(#[^"]*\)"| id="[a-zA-Z0-9]+_\d+"|<!--.*?-->', "", text)
    text = re.sub(r"<defs>\s*<clipPath.*?</defs>", "", text, flags=re.S)
    text = re.sub(r'xmlns:xlink="[^"]*" ?', "", text).replace("xlink:href", "href")
    text = text.replace('xmlns="http://www.w3.org/2000/svg" ', "").replace("'DejaVu Sans'", "system-ui, sans-serif")
    text = text.replace(INK, "currentColor").replace(GRID, "var(--line, #d8dee4)").replace(PAPER, "var(--paper, #fff)")
    text = re.sub(r">\s+<", "><", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{safe(alt)}" class="chart" ', 1)


def boxed(figure: Chart, alt: str) -> str:
    """A chart as HTML, drawn for wide and for narrow screens; the page's style shows one of them."""
    wide = f'<div class="wide">{svg(figure, alt)}</div>'
    narrow = f'<div class="narrow">{svg(figure.again(), alt, "narrow")}</div>' if figure.again else ""
    return f"<figure>{wide}{narrow}</figure>"


def show(figure: Chart, alt: str) -> None:
    """Display a figure in a notebook or report with its alternative text."""
    from IPython.display import HTML, display

    display(HTML(boxed(figure, alt)))


def picture(figure: Figure) -> bytes:
    """A figure as PNG on white, for places that take no SVG."""
    buffer = io.BytesIO()
    with mpl.rc_context(THEME), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="png", dpi=144, facecolor="white")
    return buffer.getvalue()


def _short(text: str, width: int = 34) -> str:
    plain = "".join(ch if ch.isprintable() else "�" for ch in text).replace("$", r"\$")
    return plain if len(plain) <= width else plain[: width - 1] + "…"
