"""The charts of the reports: one visual language, colour-blind safe, labelled directly, with alt text.

Colours are stable: a name keeps its colour on every page, because it is chosen by the name's rank in the whole history
or, for providers, from a fixed table. Palette: Okabe and Ito (2008).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F6BB3", "#8C6D31"]
OTHER = "#9AA3AC"
PROVIDERS = {
    "openai": "#009E73",
    "azure-openai": "#0072B2",
    "anthropic": "#D55E00",
    "bedrock": "#E69F00",
    "vertex": "#56B4E9",
    "oci": "#CC79A7",
}


def theme() -> None:
    """Set the look of all charts of this process."""
    sns.set_theme(
        style="ticks",
        rc={
            "figure.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 11.5,
            "axes.labelsize": 9.5,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "grid.color": "#E3E7EB",
            "font.family": ["DejaVu Sans"],
            "figure.dpi": 110,
        },
    )


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour per name: providers have their own, "other" and "unallocated" are grey, the rest go by position."""
    out, position = {}, 0
    for name in names:
        if name in PROVIDERS:
            out[name] = PROVIDERS[name]
        elif name in ("other", "unallocated"):
            out[name] = OTHER
        else:
            out[name] = PALETTE[position % len(PALETTE)]
            position += 1
    return out


def money_axis(axis: Any, currency: str = "USD") -> None:
    """Amounts on an axis: thousands as k, millions as M, the currency once."""

    def text(value: float, _: int) -> str:
        for size, letter in ((1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:,.3g}{letter}"
        return f"{value:,.3g}"

    axis.set_major_formatter(FuncFormatter(text))
    axis.set_label_text(currency)


def stacked_days(
    daily: Any, by: str, *, value: str = "cost", currency: str = "USD", title: str = "", top: int = 6
) -> Figure:
    """Stacked columns per day, the largest groups told apart and named at the right end, the rest as "other".

    Args:
        daily: long frame with `day`, the grouping column and the value, one row per day and group.
        by: grouping column.
        value: column that is drawn.
        currency: unit of the axis.
        title: what the chart says.
        top: groups told apart.
    """
    theme()
    wide = daily.assign(**{value: daily[value].astype(float), by: daily[by].astype(str)}).pivot_table(
        index="day", columns=by, values=value, aggfunc="sum", fill_value=0.0
    )
    order = wide.sum().sort_values(ascending=False).index
    kept = list(order[:top])
    shown = wide[kept].copy()
    if len(order) > top:
        shown["other"] = wide[order[top:]].sum(axis=1)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    palette = colours(list(shown.columns))
    days = mdates.date2num(np.asarray(shown.index, dtype="datetime64[D]").astype(object))
    bottom = np.zeros(len(shown))
    for name in shown.columns:
        heights = shown[name].to_numpy(dtype=float)
        axes.bar(days, heights, bottom=bottom, width=0.86, color=palette[name], label=str(name), linewidth=0)
        bottom += heights
    axes.xaxis_date()
    axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    money_axis(axes.yaxis, currency)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title)
    axes.legend(*_reversed(axes), loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def ranked_bars(
    table: Any, label: str, *, value: str = "cost", currency: str = "USD", title: str = "", top: int = 12
) -> Figure:
    """Horizontal bars, largest first, each labelled with its amount.

    Args:
        table: one row per bar.
        label: column naming the bars.
        value: column that is drawn.
        currency: unit.
        title: what the chart says.
        top: bars shown.
    """
    theme()
    shown = table.nlargest(top, value) if hasattr(table, "nlargest") else table
    names = [_short(str(name)) for name in shown[label]]
    amounts = shown[value].astype(float).to_numpy()
    figure = Figure(figsize=(9, 0.34 * max(len(names), 1) + 0.9), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))[::-1]
    axes.barh(places, amounts, color=PALETTE[0], height=0.7)
    axes.set_yticks(places, names)
    for place, amount in zip(places, amounts, strict=True):
        axes.text(
            amount, place, f" {amount:,.0f}" if abs(amount) >= 100 else f" {amount:,.2f}", va="center", fontsize=9
        )
    money_axis(axes.xaxis, currency)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    if title:
        axes.set_title(title)
    return figure


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook with its alternative text."""
    from IPython.display import Image, display

    display(Image(picture(figure), metadata={"alt": alt}, alt=alt))


def picture(figure: Figure) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144)
    plt.close("all")
    return buffer.getvalue()


def _reversed(axes: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], [_short(name) for name in labels[::-1]]


def _short(text: str, width: int = 34) -> str:
    plain = "".join(ch if ch.isprintable() else "�" for ch in text).replace("$", r"\$")
    return plain if len(plain) <= width else plain[: width - 1] + "…"
