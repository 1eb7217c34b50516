"""The chart that fits a table's shape, in the look of the reports."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from pandas.plotting import PlotAccessor

from finops_ai.errors import SettingsError
from finops_ai.money import written
from finops_ai.tables.reading import is_number, keys_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from finops_ai.tables.result import Facts, Table

TIMES = ("day", "week", "month", "ds")
#: rows of a ranked chart and groups of a stacked one that are told apart
MOST, GROUPS = 20, 6


class TablePlot(PlotAccessor):
    """`table.plot()`: ours; `table.plot.bar(...)`, `table.plot(kind=..., x=..., y=...)`: pandas' own, as ever.

    | the table has | the chart |
    |---|---|
    | `yhat` and intervals | the forecast with its fans |
    | `p10`, `p50`, `p90` by month | the plan with its range and the budget |
    | `before`, `after` and steps | the bridge, step by step, of one row; of several, each one's change |
    | `spent` and `budget` | how much of each budget is used |
    | a day, week or month, and groups | stacked columns of amounts and counts, lines of anything else |
    | anything else | bars, largest first |
    """

    def __call__(
        self, value: str | None = None, by: str | None = None, *, ax: Axes | None = None, **pandas_own: Any
    ) -> Any:
        """Draw the table.

        Args:
            value: column that is drawn; by default what the table is about.
            by: column that tells bars or colours apart; by default the columns before the first figure.
            ax: matplotlib Axes to draw into; by default a new figure.
            **pandas_own: any argument of pandas' own `plot` (`kind`, `x`, `y`, ...) hands over to it.

        Returns:
            The Axes. Unknown amounts are drawn as nothing.
        """
        if pandas_own:
            try:
                return super().__call__(*(a for a in (value, by) if a is not None), ax=ax, **pandas_own)
            except (ValueError, TypeError, KeyError) as error:
                raise SettingsError(
                    f"pandas' own plot refused these arguments: {error}. Without arguments, table.plot() draws the chart that fits."
                ) from None
        return draw(self._parent, value, by, ax)  # type: ignore[attr-defined]


def draw(table: Table, value: str | None = None, by: str | None = None, ax: Axes | None = None) -> Any:
    """Draw a table into Axes, as `TablePlot` says."""
    try:
        import matplotlib as mpl
        import matplotlib.pyplot as plt
        import seaborn as sns
        from matplotlib.ticker import FuncFormatter
    except ModuleNotFoundError as error:
        from finops_ai.extras import missing_extra

        raise missing_extra(error) or error from None

    from finops_ai.tables.palette import THEME, short_amount

    facts = table.facts
    frame = pd.DataFrame(table)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    for name in (value, by):
        if name is not None and name not in frame.columns:
            from finops_ai.errors import FrameError, hint

            raise FrameError(f"The table has no column {name!r} to draw. {hint(name, [str(c) for c in frame.columns])}")
    # made before the look is changed for a while: a notebook's backend starts here, and turns on settings of its own
    figure = plt.figure(figsize=(9, 3.6), layout="constrained", facecolor="white") if ax is None else None
    with sns.axes_style("white"), mpl.rc_context({**THEME, "figure.facecolor": "white", "axes.facecolor": "white"}):
        axes = cast("Axes", ax) if figure is None else figure.add_subplot()
        if frame.empty:
            axes.text(0.5, 0.5, "no rows", ha="center", va="center", transform=axes.transAxes)
            axes.set_axis_off()
        else:
            chosen = (
                _bars if value or by else next((d for fits, d in SHAPES if fits(set(frame.columns), len(frame))), _bars)
            )
            if (value or by) and time_of(frame) and by != time_of(frame):
                chosen = _over_time
            axes.set_axisbelow(True)
            amount_axis = chosen(axes, frame, facts, value, by)
            amount_axis.set_major_formatter(FuncFormatter(short_amount))
        axes.set_title(plain(" ".join(filter(None, [facts.title, facts.period]))), loc="left")
        sns.despine(ax=axes, left=True)
    return axes


def figures(column: pd.Series) -> list[float]:
    """Amounts as floats, only to draw them; unknown is nan."""
    return [float("nan") if v is None or v is pd.NA or v != v else float(v) for v in column.astype(object)]


def plain(text: object) -> str:
    """Text that matplotlib doesn't take for mathematics."""
    return str(text).replace("$", r"\$")


def time_of(frame: pd.DataFrame) -> str | None:
    """The column that says when, if there is one."""
    return next((c for c in TIMES if c in frame.columns), None)


def value_of(frame: pd.DataFrame, facts: Facts) -> str:
    """What a table is about: its first amount, else its first figure."""
    named = [c for c in facts.money if c in frame.columns]
    return named[0] if named else next((str(c) for c in frame.columns if is_number(frame[c])), str(frame.columns[-1]))


def labels(frame: pd.DataFrame, facts: Facts, by: str | None, leave_out: Sequence[str] = ()) -> list[str]:
    """A name for each row: the columns that say what it is of."""
    keys = [by] if by else [k for k in keys_of(frame, facts.money) if k not in leave_out]
    if not keys:
        return ["total"] * len(frame)
    names = frame[keys].astype(object).where(frame[keys].notna(), "not stated").astype(str)
    return [plain(" / ".join(filter(None, row)))[:40] for row in names.itertuples(index=False, name=None)]


def _unit(value: str, facts: Facts) -> str:
    currency = facts.currency if value in facts.money or re.search("cost|yhat|p50", value) else ""
    return plain(f"{value.replace('_', ' ')} {currency}".strip())


def _bars(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """Bars, largest first, what has the same name added up."""
    from finops_ai.tables.palette import PALETTE

    value = value or value_of(frame, facts)
    rows = pd.DataFrame({"name": labels(frame, facts, by), "value": figures(frame[value])})
    sums = rows.groupby("name", sort=False)["value"].sum()
    top = sums.reindex(sums.abs().sort_values(ascending=False, kind="stable").index)[:MOST][::-1]
    _horizontal(axes, list(top.index), list(top), [PALETTE[0]] * len(top))
    axes.set_xlabel(_unit(value, facts))
    return axes.xaxis


def _horizontal(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str],
    starts: Sequence[float] | float = 0.0,
) -> None:
    if axes.figure.axes == [axes]:
        whole: Any = axes.figure
        whole.set_figheight(1.1 + 0.3 * max(len(names), 2))
    axes.barh(range(len(names)), values, left=starts, color=colours, height=0.7)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="x")
    if min([v for v in values if v == v], default=0) < 0:
        axes.axvline(0, color="black", linewidth=0.8)


def _over_time(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """Columns over time, stacked by group, or lines where adding up would say nothing."""
    from finops_ai.tables.palette import colours

    time, value = str(time_of(frame)), value or value_of(frame, facts)
    groups = labels(frame, facts, by, leave_out=[time])
    long = pd.DataFrame({"when": [str(v)[:10] for v in frame[time]], "group": groups, "value": figures(frame[value])})
    wide = long.pivot_table(index="when", columns="group", values="value", aggfunc="sum", dropna=False, observed=True)
    order = list(wide.sum().sort_values(ascending=False, kind="stable").index)
    adds_up = value in facts.money or re.fullmatch(r"requests|quantity|(?!cost_per)(\w+_)?tokens", value) is not None
    if len(order) > GROUPS + 1:
        if adds_up:
            wide["other"] = wide[order[GROUPS:]].sum(axis=1)
        order = [*order[:GROUPS], *(["other"] if adds_up else [])]
    palette, places = colours(order, groups), range(len(wide))
    bottom = pd.Series(0.0, index=wide.index)
    for name in order:
        if adds_up:
            axes.bar(places, wide[name].fillna(0), bottom=bottom, color=palette[name], label=name, width=0.86)
            bottom = bottom + wide[name].fillna(0)
        else:
            axes.plot(places, wide[name], color=palette[name], label=name, marker="o", markersize=3)
    step = max(1, -(-len(wide) // 12))
    axes.set_xticks(places[::step], list(wide.index[::step]), rotation=45 if len(wide) > 6 else 0)
    axes.set_ylabel(_unit(value, facts))
    axes.grid(axis="y")
    if len(order) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return axes.yaxis


def _bridge(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """The way from before (0 on the axis) to after, one step below the other, and the whole change last."""
    from finops_ai.tables.palette import GREY, PALETTE

    row = frame.iloc[0]
    steps = [c for c in frame.columns[list(frame.columns).index("change") + 1 :] if row[c]]
    sizes = [float(row[n]) for n in (*steps, "change")]
    starts = (
        [*itertools.accumulate(sizes[:-2], initial=0.0), 0.0] if steps else [0.0]
    )  # the last bar is the whole change
    colours = [*(PALETTE[5] if s > 0 else PALETTE[2] for s in sizes[:-1]), GREY]
    _horizontal(axes, [str(n).replace("_", " ") for n in (*steps, "change")], sizes, colours, starts)
    axes.invert_yaxis()
    axes.set_xlabel(
        plain(
            f"change from {written(row['before'], facts.currency)} to {written(row['after'], facts.currency)} {facts.currency}".strip()
        )
    )
    return axes.xaxis


def _changes(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """Each row's change: dearer to the right, cheaper to the left."""
    from finops_ai.tables.palette import PALETTE

    top = frame.head(MOST)[::-1]
    values = figures(top["change"])
    _horizontal(axes, labels(top, facts, by), values, [PALETTE[5] if v > 0 else PALETTE[2] for v in values])
    axes.set_xlabel(plain(f"change of cost {facts.currency}".strip()))
    return axes.xaxis


def _budgets(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """Spent and projected against each budget."""
    from finops_ai.tables.palette import GREY, PALETTE

    top = frame.head(MOST)[::-1]
    names = [plain(n)[:40] for n in top["name"]] if "name" in top else labels(top, facts, by)
    _horizontal(axes, names, figures(top["projected"]), ["#d8dee4"] * len(top))
    spent, limit = figures(top["spent"]), figures(top["budget"])
    axes.barh(range(len(top)), spent, color=[PALETTE[5] if s > b else PALETTE[0] for s, b in zip(spent, limit, strict=True)], height=0.4)  # fmt: skip
    axes.vlines(
        limit, [i - 0.42 for i in range(len(top))], [i + 0.42 for i in range(len(top))], color=GREY, linewidth=2.5
    )
    axes.set_xlabel(plain(f"spent (dark), projected (light), budget (line) {facts.currency}".strip()))
    return axes.xaxis


def _fan(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """The forecast of the first series, usually the total, with its intervals; further series as lines."""
    from finops_ai.tables.palette import INK, colours

    ids = list(dict.fromkeys(frame["unique_id"]))[: GROUPS + 1] if "unique_id" in frame else [None]
    every = [str(name) for name in frame["unique_id"].unique()] if "unique_id" in frame else []
    palette = {str(ids[0]): INK} | colours([str(name) for name in ids[1:]], every[1:])
    for i, name in enumerate(ids):
        own = frame if name is None else frame[(frame["unique_id"] == name).to_numpy(bool)]
        when, colour = pd.to_datetime(own["ds"]), palette[str(name)]
        if i == 0:
            for low in [c for c in own.columns if str(c).startswith("lo-")]:
                axes.fill_between(
                    when, figures(own[low]), figures(own[f"hi-{low[3:]}"]), color=colour, alpha=0.18, linewidth=0
                )
        axes.plot(when, figures(own["yhat"]), color=colour, label=plain(name) if name else None)
    if len(ids) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.tick_params(axis="x", rotation=30)
    axes.set_ylabel(_unit("yhat", facts).replace("yhat", "forecast"))
    axes.grid(axis="y")
    return axes.yaxis


def _plan(axes: Axes, frame: pd.DataFrame, facts: Facts, value: str | None, by: str | None) -> Any:
    """The total of each month: what is known, what is forecast, its range, and the budget."""
    from finops_ai.tables.palette import GREY, PALETTE

    first = frame["unique_id"].iloc[0]
    own = frame[((frame["unique_id"] == first) & (frame["month"] != "year")).to_numpy(bool)]
    places, middle = range(len(own)), figures(own["p50"])
    low, high = figures(own["p10"]), figures(own["p90"])
    axes.bar(places, middle, color="#d8dee4", width=0.7, label="forecast (P50)")
    axes.bar(places, figures(own["actual"]), color=PALETTE[0], width=0.7, label="actual")
    reach = [[m - a for m, a in zip(middle, low, strict=True)], [b - m for m, b in zip(middle, high, strict=True)]]
    axes.errorbar(places, middle, yerr=[[max(v, 0) for v in side] for side in reach], fmt="none", ecolor="black", capsize=3, label="P10 to P90")  # fmt: skip
    limit = figures(own["budget"]) if "budget" in own else []
    if any(v == v for v in limit):
        axes.hlines(
            limit, [i - 0.42 for i in places], [i + 0.42 for i in places], color=GREY, linewidth=2.5, label="budget"
        )
    axes.set_xticks(places, list(own["month"]))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_ylabel(plain(f"cost {facts.currency}".strip()))
    axes.grid(axis="y")
    return axes.yaxis


Shape = tuple[Callable[[set[Any], int], bool], Callable[..., Any]]
#: which columns (and how many rows) make which chart; the first that fits
SHAPES: list[Shape] = [
    (lambda has, rows: {"ds", "yhat"} <= has, _fan),
    (lambda has, rows: {"month", "unique_id", "p10", "p50", "p90", "actual"} <= has, _plan),
    (lambda has, rows: {"before", "after", "change"} <= has and rows == 1, _bridge),
    (lambda has, rows: {"before", "after", "change"} <= has, _changes),
    (lambda has, rows: {"budget", "spent", "projected"} <= has, _budgets),
    (lambda has, rows: bool(has.intersection(TIMES)), _over_time),
]
