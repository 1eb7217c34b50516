"""The colours of every chart: colour-blind safe (Okabe and Ito, 2008), and stable, so that a name keeps its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from zlib import crc32

PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7F6BB3", "#8C6D31"]
#: the same colours darker and lighter, for more names than eight
WHEEL = [
    *PALETTE,
    "#004B75", "#96680D", "#00674B", "#855070", "#38759A", "#8B3D00", "#534777", "#5B471D",
    "#66AAD1", "#F1C566", "#66C5AB", "#E0AFCA", "#9AD2F2", "#E69E66", "#B2A9D3", "#BAA483",
]  # fmt: skip
TONES = (0, 8, 16)
GREY = "#8B949E"
PROVIDERS = {
    "openai": "#009E73",
    "azure-openai": "#0072B2",
    "anthropic": "#D55E00",
    "bedrock": "#E69F00",
    "vertex": "#56B4E9",
    "oci": "#CC79A7",
}
#: what is nobody's: one grey for the rest, one for each kind of cost without an owner
NOBODY = {
    "other": GREY, "not stated": "#6B737B", "not captured": "#6B737B", "unallocated": "#5A626A", "idle": "#B4BBC2",
    "Unmapped": "#5A626A", "Idle capacity": "#B4BBC2", "shared": "#A79F94", "Shared, not divided": "#A79F94",
}  # fmt: skip


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


def colours(names: Sequence[str], among: Iterable[str] = ()) -> dict[str, str]:
    """A colour for each name: a name's own, whatever it is shown with and however much it costs.

    Providers have theirs; what belongs to nobody is grey. Every other name begins at a place that its letters give and
    takes the first that is free among all the names there are, so that two pages that know the same names agree. Past
    24 names colours repeat; of two alike that are shown together, the later one gives way.

    Args:
        names: names shown together, in order.
        among: all names of their kind, such as every team of the history; those shown, if nothing is given.

    >>> colours(["openai", "search", "other"])
    {'openai': '#009E73', 'search': '#8C6D31', 'other': '#8B949E'}
    >>> colours(["search"], ["mobile", "search", "data"]) == {"search": colours(["data", "mobile", "search"])["search"]}
    True
    """
    own = own_colours([*among, *names])
    out: dict[str, str] = {}
    for name in names:
        colour = own[name]
        if colour in out.values() and name not in NOBODY and name not in PROVIDERS:
            colour = next((c for c in WHEEL if c not in out.values()), colour)
        out[name] = colour
    return out


def own_colours(names: Iterable[str]) -> dict[str, str]:
    """Each name's own colour among all there are; past 24 names colours repeat."""
    everyone = set(names)
    own = {name: NOBODY.get(name) or PROVIDERS[name] for name in everyone & (NOBODY.keys() | PROVIDERS.keys())}
    free = set(WHEEL)
    for name in sorted(everyone - own.keys()):
        first = crc32(name.encode("utf-8", "replace"))
        own[name] = WHEEL[first % len(WHEEL)]
        if not free:
            continue
        order = (WHEEL[tone + (first + i) % len(PALETTE)] for tone in TONES for i in range(len(PALETTE)))
        own[name] = next((c for c in order if c in free), own[name])
        free.discard(own[name])
    return own


def short_amount(value: float, _: int = 0) -> str:
    """An amount on an axis: thousands as k, millions as M.

    >>> short_amount(12_500), short_amount(0.004), short_amount(3e6), short_amount(250), short_amount(0.0000025)
    ('12.5k', '0.004', '3M', '250', '0.0000025')
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{Decimal(f'{value:.3g}'):f}"  # never as a power of ten
