"""The charts of the reports: one visual language, colour-blind safe, labelled directly, with alternative text.

Charts are drawn as SVG whose ink follows the page's, so that they read well in light and dark and print sharply.
Colours are stable (see `finops_ai.tables.palette`). Axes of amounts start at 0.
"""

from __future__ import annotations

import datetime as dt
import functools
import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib as mpl
import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from finops_ai.reporting.text import is_unknown, safe
from finops_ai.tables.palette import GRID, INK, PALETTE, THEME, colours, short_amount

ACCENT = PALETTE[0]
Draw = TypeVar("Draw", bound=Callable[..., Figure])


def themed(draw: Draw) -> Draw:
    """Draw with the reports' look, whatever look the reader's own notebook has."""

    @functools.wraps(draw)
    def inside(*args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(THEME):
            return draw(*args, **kwargs)

    return inside  # type: ignore[return-value]


def number(value: Any) -> float:
    """A figure for drawing only; unknown is drawn as nothing."""
    return float("nan") if is_unknown(value) else float(value)


def _axes(height: float, width: float = 9.0) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _amounts(axis: Any, unit: str) -> None:
    axis.set_major_formatter(FuncFormatter(short_amount))
    axis.set_label_text(unit)


def _times(axes: Any, days: Sequence[Any]) -> np.ndarray:
    """Dates on the x axis, written so that no month needs guessing."""
    places = mdates.date2num([dt.date.fromisoformat(str(d)[:10]) for d in days])
    axes.xaxis_date()
    if len(set(np.diff(places))) == 1 and len(places) > 1 and places[1] - places[0] == 1 and len(places) <= 31:
        axes.xaxis.set_major_locator(
            mdates.DayLocator(interval=1 if len(places) <= 10 else 5 if len(places) > 20 else 2)
        )
        axes.xaxis.set_major_formatter(mdates.DateFormatter("%-d %b"))
    else:
        locator = mdates.AutoDateLocator(minticks=3, maxticks=9)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    return places


def pivot(data: Any, time: str, by: str, value: str, top: int) -> tuple[list[str], list[str], dict[str, np.ndarray]]:
    """A long frame as one row of numbers per group: times, groups (largest first, the rest as "other"), values."""
    cells: dict[str, dict[str, float]] = {}
    for moment, name, amount in zip(data[time], data[by], data[value], strict=True):
        group = "not captured" if is_unknown(name) else str(name)
        key = str(moment)[:10]
        if not is_unknown(amount):
            row = cells.setdefault(group, {})
            row[key] = row.get(key, 0.0) + float(amount)
    times = sorted({str(moment)[:10] for moment in data[time]})
    order = sorted(cells, key=lambda g: (-sum(cells[g].values()), g))
    kept = order if len(order) <= top + 1 else order[:top]
    rows = {g: np.array([cells[g].get(t, 0.0) for t in times]) for g in kept}
    if len(kept) < len(order):
        rows["other"] = np.sum([[cells[g].get(t, 0.0) for t in times] for g in order[top:]], axis=0)
    return times, list(rows), rows


@themed
def stacked_days(
    daily: Any, by: str, *, value: str = "cost", currency: str = "USD", title: str = "", top: int = 6, time: str = "day"
) -> Figure:
    """Stacked columns per day (or month), the largest groups told apart and named at the right, the rest as "other".

    Args:
        daily: long frame with the time, the grouping column and the value, one row per time and group.
        by: grouping column.
        value: column that is drawn.
        currency: unit of the axis.
        title: what the chart says.
        top: groups told apart.
        time: column of the columns' places: `day`, `week` or `month` (text `YYYY-MM` works).
    """
    figure, axes = _axes(3.4)
    times, names, rows = pivot(daily, time, by, value, top)
    palette = colours(names)
    if times:
        dates = [t if len(t) == 10 else f"{t}-01" for t in times]
        places = _times(axes, dates) if len(times[0]) == 10 else np.arange(len(times))
        bottom = np.zeros(len(times))
        for name in names:
            axes.bar(
                places,
                rows[name],
                bottom=bottom,
                width=0.86 * (7 if time == "week" else 1),
                color=palette[name],
                label=_short(name),
                linewidth=0,
            )
            bottom += rows[name]
        if len(times[0]) < 10:
            axes.set_xticks(places, [f"{dt.date.fromisoformat(d):%b %y}" for d in dates])
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5))
    _amounts(axes.yaxis, currency)
    axes.grid(axis="y")
    if title:
        axes.set_title(title)
    return figure


@themed
def ranked_bars(
    table: Any, label: str, *, value: str = "cost", currency: str = "USD", title: str = "", top: int = 12
) -> Figure:
    """Horizontal bars, largest first, each labelled with its amount; groups of unknown amount are left out.

    Args:
        table: one row per bar.
        label: column naming the bars.
        value: column that is drawn.
        currency: unit.
        title: what the chart says.
        top: bars shown.
    """
    pairs = [(n, float(v)) for n, v in zip(table[label], table[value], strict=True) if not is_unknown(v)]
    pairs = sorted(pairs, key=lambda pair: -pair[1])[:top]
    names = [_short("not captured" if is_unknown(n) else str(n)) for n, _ in pairs]
    amounts = [v for _, v in pairs]
    figure, axes = _axes(0.32 * max(len(names), 1) + 0.9)
    places = np.arange(len(names))[::-1]
    axes.barh(places, amounts, color=ACCENT, height=0.68)
    axes.set_yticks(places, names)
    for place, amount in zip(places, amounts, strict=True):
        axes.text(
            max(amount, 0),
            place,
            f" {amount:,.0f}" if abs(amount) >= 100 else f" {amount:,.2f}",
            va="center",
            fontsize=9,
        )
    _amounts(axes.xaxis, currency)
    axes.margins(x=0.12)
    axes.grid(axis="x")
    if title:
        axes.set_title(title)
    return figure


@themed
def lines(
    data: Any, by: str, *, value: str, time: str = "day", unit: str = "", title: str = "", top: int = 7
) -> Figure:
    """One line per group over time, each named at its end; a gap where the value is unknown.

    Args:
        data: long frame with time, group and value.
        by: grouping column.
        value: column that is drawn.
        time: `day`, `week` or `month`.
        unit: of the axis.
        title: what the chart says.
        top: lines drawn, by their last value.
    """
    series: dict[str, dict[str, float]] = {}
    for moment, name, amount in zip(data[time], data[by], data[value], strict=True):
        series.setdefault("not captured" if is_unknown(name) else str(name), {})[str(moment)[:10]] = number(amount)
    times = sorted({str(moment)[:10] for moment in data[time]})
    figure, axes = _axes(3.6)
    chosen = list(series)[:top]
    palette = colours(chosen)
    if times:
        places = np.arange(len(times)) if len(times[0]) < 10 else _times(axes, times)
        ends: list[tuple[float, str]] = []
        for name in chosen:
            values = np.array([series[name].get(t, float("nan")) for t in times])
            axes.plot(
                places, values, color=palette[name], linewidth=1.8, marker="o" if len(times) <= 14 else "", markersize=3
            )
            known = np.flatnonzero(~np.isnan(values))
            if len(known):
                ends.append((float(values[known[-1]]), name))
        axes.set_ylim(bottom=0)
        if len(times[0]) < 10:
            axes.set_xticks(places, [f"{dt.date.fromisoformat(t + '-01'):%b %y}" for t in times])
        _end_labels(axes, places[-1], ends, palette)
    _amounts(axes.yaxis, unit)
    axes.grid(axis="y")
    if title:
        axes.set_title(title)
    return figure


def _end_labels(axes: Any, place: float, ends: Sequence[tuple[float, str]], palette: Mapping[str, str]) -> None:
    """Names at the lines' ends, pushed apart so that none covers another."""
    low, high = axes.get_ylim()
    gap, last = (high - low) * 0.062, -np.inf
    for value, name in sorted(ends):
        last = max(value, last + gap)
        axes.annotate(
            _short(name, 30),
            (place, value),
            xytext=(axes.get_xlim()[1], last),
            textcoords="data",
            va="center",
            fontsize=9,
            color=palette[name],
            annotation_clip=False,
        )


@themed
def calendar(days: Mapping[Any, Any], *, currency: str = "USD", title: str = "") -> Figure:
    """A calendar: a row per weekday, a column per week, darker where a day cost more; the five dearest are labelled.

    Args:
        days: day -> amount; unknown and missing days stay empty.
        currency: unit.
        title: what the chart says.
    """
    known = {dt.date.fromisoformat(str(d)[:10]): float(v) for d, v in days.items() if not is_unknown(v)}
    figure, axes = _axes(2.1)
    if known:
        first = min(known) - dt.timedelta(days=min(known).weekday())
        weeks = (max(known) - first).days // 7 + 1
        grid = np.full((7, weeks), np.nan)
        for day, value in known.items():
            grid[day.weekday(), (day - first).days // 7] = value
        look = mpl.colors.LinearSegmentedColormap.from_list("cost", ["#dbeaf5", "#56B4E9", "#0072B2", "#003a5c"])
        shade = axes.pcolormesh(
            np.arange(weeks + 1), np.arange(8), grid, cmap=look, edgecolors="white", linewidth=1.2, vmin=0
        )
        axes.invert_yaxis()
        axes.set_aspect("equal" if weeks > 20 else "auto")
        axes.set_yticks(np.arange(7) + 0.5, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
        marks = [i for i in range(weeks) if (first + dt.timedelta(weeks=i)).day <= 7]
        axes.set_xticks([i + 0.5 for i in marks], [f"{first + dt.timedelta(weeks=i):%b %y}" for i in marks])
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0)
        bar = figure.colorbar(shade, ax=axes, shrink=0.9, pad=0.01, format=FuncFormatter(short_amount))
        bar.outline.set_visible(False)
        bar.set_label(currency)
    if title:
        axes.set_title(title)
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
) -> Figure:
    """A fan chart: what was, what is expected, and how sure that is.

    Args:
        history: (day, amount), in order.
        ahead: (day, expected amount), in order.
        bands: level in per cent -> (low, high) per day of `ahead`, such as {80: [...], 95: [...]}.
        plan: (day, planned amount), drawn as a stepped line.
        currency: unit.
        title: what the chart says.
    """
    figure, axes = _axes(3.6)
    every = [d for d, _ in [*history, *ahead]]
    places = _times(axes, every) if every else np.array([])
    past, future = places[: len(history)], places[len(history) :]
    for level in sorted(bands, reverse=True):
        low, high = (np.maximum([number(pair[i]) for pair in bands[level]], 0) for i in (0, 1))
        axes.fill_between(
            future,
            low,
            high,
            color=PALETTE[4],
            alpha=0.22 if level > 85 else 0.38,
            linewidth=0,
            label=f"{level}% interval",
        )
    axes.plot(past, [number(v) for _, v in history], color=INK, linewidth=1.5, label="actual")
    axes.plot(future, [number(v) for _, v in ahead], color=ACCENT, linewidth=2, label="forecast")
    if plan:
        axes.step(
            mdates.date2num([dt.date.fromisoformat(str(d)[:10]) for d, _ in plan]),
            [number(v) for _, v in plan],
            where="post",
            color=PALETTE[5],
            linewidth=1.4,
            linestyle="--",
            label="plan",
        )
    axes.set_ylim(bottom=0)
    _amounts(axes.yaxis, currency)
    axes.grid(axis="y")
    axes.legend(loc="upper left", ncols=4)
    if title:
        axes.set_title(title)
    return figure


@themed
def bridge(steps: Sequence[tuple[str, Any]], *, currency: str = "USD", title: str = "") -> Figure:
    """What moved a total, step by step: bars to the right (orange) raised it, to the left (green) lowered it.

    The totals aren't drawn: beside them the steps would shrink to slivers, or their axis would have to start above 0.

    Args:
        steps: (name, signed amount), in order.
        currency: unit.
        title: what the chart says, with both totals.
    """
    figure, axes = _axes(0.34 * max(len(steps), 1) + 1.0)
    places = np.arange(len(steps))[::-1]
    amounts = [number(value) for _, value in steps]
    axes.barh(places, amounts, height=0.66, color=[PALETTE[5] if v > 0 else PALETTE[2] for v in amounts])
    axes.set_yticks(places, [_short(name) for name, _ in steps])
    for place, value in zip(places, amounts, strict=True):
        side = "left" if value >= 0 else "right"
        axes.annotate(
            f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+,.2f}",
            (value, place),
            xytext=(4 if value >= 0 else -4, 0),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=9,
        )
    axes.axvline(0, color=INK, linewidth=0.8)
    _amounts(axes.xaxis, currency)
    axes.grid(axis="x")
    axes.margins(x=0.14)
    if title:
        axes.set_title(title)
    return figure


def sparkline(values: Sequence[Any], *, width: int = 96, height: int = 20, colour: str = ACCENT) -> str:
    """A small line as SVG text for a table's cell; hidden from screen readers, because the figures stand beside it.

    >>> sparkline([1, 2, 3])[:5]
    '<svg '
    """
    numbers = [number(v) for v in values]
    known = [v for v in numbers if v == v]
    if len(known) < 2:
        return ""
    low, high = min(*known, 0.0), max(known) or 1.0
    points = " ".join(
        f"{(i + 0.5) * width / len(numbers):.1f},{height - 2 - (v - low) / ((high - low) or 1) * (height - 4):.1f}"
        for i, v in enumerate(numbers)
        if v == v
    )
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true"><polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6" stroke-linejoin="round"/></svg>'


def svg(figure: Figure, alt: str) -> str:
    """A figure as inline SVG in the page's own ink, with its alternative text."""
    buffer = io.StringIO()
    with mpl.rc_context({**THEME, "svg.hashsalt": alt}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page's fonts draw the text, not ours
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r' clip-path="url\(#[^"]*\)"', "", text)
    text = re.sub(r'xmlns:xlink="[^"]*" ?', "", text).replace("xlink:href", "href")
    text = text.replace('xmlns="http://www.w3.org/2000/svg" ', "").replace("'DejaVu Sans'", "system-ui, sans-serif")
    text = text.replace(INK, "currentColor").replace(GRID, "var(--line, #d8dee4)")
    return text.replace("<svg ", f'<svg role="img" aria-label="{safe(alt)}" class="chart" ', 1)


def boxed(figure: Figure, alt: str) -> str:
    """A figure as HTML that scrolls, by keyboard too, where the page is narrower than the chart."""
    return f'<figure tabindex="0">{svg(figure, alt)}</figure>'


def show(figure: Figure, alt: str) -> None:
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
