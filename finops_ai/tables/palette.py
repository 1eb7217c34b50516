"""The colours of every chart: colour-blind safe (Okabe and Ito, 2008), and stable, so that a name keeps its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
NOBODY = {"other", "unallocated", "not stated"}


def colours(names: Sequence[str], ranks: Mapping[str, int] | None = None) -> dict[str, str]:
    """A colour for each name.

    Providers have their own; "other", "unallocated" and "not stated" are grey; the rest follow their rank in the whole
    history, so that a name looks alike on every page. Of two shown together, the later one gives way.

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
