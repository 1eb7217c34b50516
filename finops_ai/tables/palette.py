"""The colours of every chart: colour-blind safe (Okabe and Ito, 2008), and stable, so that a name keeps its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F6BB3", "#8C6D31"]
GREY = "#8B949E"
PROVIDERS = {
    "openai": "#009E73",
    "azure-openai": "#0072B2",
    "anthropic": "#D55E00",
    "bedrock": "#E69F00",
    "vertex": "#56B4E9",
    "oci": "#CC79A7",
}
NOBODY = {"other", "unallocated", "not stated", "not captured"}


INK, GRID = "#1c2126", "#d8dee4"
#: matplotlib settings of every chart
THEME: dict[Any, Any] = {
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none",
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.linewidth": 0.8,
    "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlesize": 11.5, "axes.titlepad": 10,
    "axes.labelsize": 9.5, "xtick.labelsize": 9, "ytick.labelsize": 9, "ytick.major.size": 0, "xtick.major.size": 3,
    "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True,
    "font.family": ["DejaVu Sans"], "svg.fonttype": "none", "legend.frameon": False, "legend.fontsize": 9,
}  # fmt: skip


def colours(names: Sequence[str], ranks: Mapping[str, int] | None = None) -> dict[str, str]:
    """A colour for each name.

    Providers have their own; "other", "unallocated", "not stated" and "not captured" are grey; the rest follow their
    rank in the whole history, so that a name looks alike on every page. Of two shown together, the later one gives way.

    Args:
        names: names shown together, in order.
        ranks: rank of every name in the whole history; the order given, if there is none.

    >>> colours(["openai", "search", "other"])
    {'openai': '#009E73', 'search': '#E69F00', 'other': '#8B949E'}
    """
    out: dict[str, str] = {}
    for position, name in enumerate(names):
        if name in NOBODY:
            out[name] = GREY
        elif name in PROVIDERS:
            out[name] = PROVIDERS[name]
        else:
            first = (ranks or {}).get(name, position)
            wheel = [PALETTE[(first + i) % len(PALETTE)] for i in range(len(PALETTE))]
            out[name] = next((c for c in wheel if c not in out.values()), wheel[0])
    return out


def short_amount(value: float, _: int = 0) -> str:
    """An amount on an axis: thousands as k, millions as M.

    >>> short_amount(12_500), short_amount(0.004), short_amount(3e6), short_amount(250)
    ('12.5k', '0.004', '3M', '250')
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"
