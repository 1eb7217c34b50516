"""What costs more than the plain price: faster tiers, a place to stay in, contexts above a threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from finops_ai.prices.names import provider_name, take_apart
from finops_ai.saving.cases import all_but
from finops_ai.saving.cells import Cells
from finops_ai.saving.opportunity import Finding, Positions
from finops_ai.tables.changing import at_place, at_tier, below_context

_FASTER = ("priority", "fast")


def tiers(cells: Cells) -> Iterator[Finding]:
    """Calls in a faster, dearer tier."""
    for work in cells.works:
        for tier in _FASTER:
            rows = work.rows[cells.tier[work.rows] == tier]
            if len(rows):
                yield Finding(
                    "tier", {**work.who, "tier": tier}, f"Move {work.name} from the {tier} to the standard tier",
                    f"its calls were served in the {tier} tier",
                    rows, all_but(lambda frame: at_tier(frame, "standard"), "0.8"),
                    assumptions=("nobody waits for these answers so closely that the faster tier pays",),
                    confidence="medium", risk="answers come later at busy times", terms={"provider": work.who["provider"]},
                )  # fmt: skip


def places(cells: Cells) -> Iterator[Finding]:
    """Calls that are processed in one place at a surcharge."""
    for work in cells.works:
        provider = work.who["provider"]
        for place, rows in _by_place(cells, work.rows, provider).items():
            yield Finding(
                "geography", {**work.who, "place": place}, f"Send {work.name} to the global endpoint instead of {place}",
                f"its calls were processed in {place}, at a surcharge",
                rows, all_but(lambda frame: at_place(frame, "global"), "0.8"),
                assumptions=("no law or contract keeps this data in that place",), confidence="medium",
                risk="data may be processed anywhere; ask whoever is responsible for it first", terms={"provider": provider},
            )  # fmt: skip


def _by_place(cells: Cells, rows: Positions, provider: str) -> dict[str, Positions]:
    """Rows by the place they were kept in."""
    held = {c: cells.frame[c].astype(object).to_numpy() for c in ("inference_geo", "region") if c in cells.frame}
    out: dict[str, list[int]] = {}
    for i in rows:
        geo = held["inference_geo"][i] if "inference_geo" in held else None
        place = take_apart(provider_name(provider), str(cells.model[i])).place or (geo if isinstance(geo, str) else "")
        if not place and provider_name(provider) == "google" and "region" in held:
            place = held["region"][i] if isinstance(held["region"][i], str) else ""
        if place.lower() not in ("", "global", "not_available"):
            out.setdefault(place, []).append(i)
    return {place: np.array(found) for place, found in out.items()}


def long_contexts(cells: Cells) -> Iterator[Finding]:
    """Calls whose context lies above a threshold from which every token costs more."""
    cuts: Callable[[list[tuple[str, str]]], list[int]] = getattr(cells.book, "cuts_of", lambda models: [])
    lengths = cells.frame["slice_input_tokens"].astype(object).to_numpy()
    single = (cells.frame["slice_requests"] == 1).to_numpy(bool, na_value=False)
    told = np.array([str(t or "").lower().startswith(("200k", ">", "272k")) for t in cells.text("context_tier")], bool)
    for work in cells.works:
        for model, rows in cells.values(work.rows, "model").items():
            steps = cuts([(work.who["provider"], str(model))])
            if not steps:
                continue
            above = np.array(
                [told[i] or (single[i] and isinstance(lengths[i], int) and lengths[i] >= min(steps)) for i in rows],
                bool,
            )
            if above.any():
                yield Finding(
                    "long_context", {**work.who, "model": str(model)}, f"Keep the context of {work.name} below {min(steps) - 1:,} tokens",
                    f"part of its calls to {model} have more, and every token of those costs more",
                    rows[above], all_but(below_context, "0.5"),
                    assumptions=("the same text fits below the threshold, such as in two calls",), confidence="medium",
                    risk="an answer may need all of the context", terms={"provider": work.who["provider"]},
                )  # fmt: skip
