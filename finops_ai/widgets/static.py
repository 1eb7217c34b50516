"""The explorer without Python: one HTML fragment with its data, style and script inside, asking nothing of any network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.html import Html, data, render
from finops_ai.money import round_to_total
from finops_ai.tables.palette import GREY, WHEEL, own_colours
from finops_ai.widgets.cube import MEASURES, UNSTATED, Cube, label_of
from finops_ai.widgets.view import METRICS, notes, unit_of

if TYPE_CHECKING:
    import pandas as pd

#: dimensions worth their bytes on a page, after the business ones
OFFERED = ["provider", "model", "prompt_id", "service_tier", "sub_account_name"]
COSTS = ("cost", "list_cost", "token_cost", "counted_cost", "published")
CAP = 20_000


def static_explorer(
    frame: pd.DataFrame,
    *,
    timezone: str | None = None,
    month: str = "",
    dimensions: Sequence[str] = (),
    source: str = "frame",
    cap: int = CAP,
    addressed: bool = False,
) -> str:
    """The explorer as an HTML fragment that works from a file, in a mail and in nbconvert's pages.

    Args:
        frame: priced or allocated frame of everything that can be looked at, such as the last thirteen months.
        timezone: reporting zone: decides the day of a call; by default the one the frame was made for.
        month: `YYYY-MM` to open with; the last ninety days otherwise.
        dimensions: columns to offer; default: the business dimensions, provider, model, prompt, tier and project.
        source: Python that gives the frame, for the code that the page offers.
        addressed: keep the view in the page's address, so that it can be sent as a link and Back goes back; for pages that
            belong to the explorer alone.
        cap: rows the page may hold. Names beyond the most expensive become "other" until they fit; the page says so.

    Returns:
        HTML: a `div` with its data as JSON, a `style` and a `script`. Amounts are kept in whole millionths, rounded
        once so that they add up to the exact total rounded.

    Raises:
        FrameError: the frame isn't priced.
        DataError: its costs are in several currencies.

    Example:
        >>> import finops_ai as fa
        >>> static_explorer(fa.price(fa.sample(months=1))).count("<script src")
        0
    """
    cube = Cube.of(frame, timezone=timezone, dimensions=dimensions)
    business = [d for d in cube.dimensions if d not in ("region", "meter", "api_key_id", "user_id", *OFFERED)]
    offered = list(dimensions) or [*business, *(d for d in OFFERED if d in cube.dimensions)]
    offered = [d for d in offered if len(cube.levels[d]) > 1 or d in dimensions] or cube.dimensions[:1]
    table, levels, folded = cube.packed(offered, cube.first, cap)
    document: dict[str, Any] = {
        "dimensions": offered,
        "labels": {d: label_of(d) for d in offered},
        "levels": levels,
        "words": {d: cube.words[d] for d in offered if d in cube.words},
        "first": str(cube.first),
        "last": str(cube.last),
        "month": month,
        "timezone": cube.timezone,
        "source": source,
        "currency": cube.currency or "cost",
        "unstated": UNSTATED,
        "metrics": {name: [*METRICS[name], unit_of(cube, name)] for name in METRICS},
        "wheel": WHEEL,
        "grey": GREY,
        "colours": {d: colours_of(cube.levels[d], levels[d]) for d in offered},
        "notes": [*notes(cube), *folded],
        "day": pc.cast(table["day"], pa.int32()).to_pylist(),
        "codes": {d: table[d].to_pylist() for d in offered},
        "sums": {m: _numbers(table[m], m) for m in MEASURES},
    }
    text = data(document)
    name = "fx" + hashlib.sha256(text.encode()).hexdigest()[:8]
    return (
        f'<div id="{name}" class="fx fx-static"{" data-addressed=1" if addressed else ""}><script type="application/json">{text}</script></div>'
        f"<style>{asset('board.css')}</style>"
        f'<script>(function(){{"use strict";\n{asset("board.js")}\n{asset("static.js")}\nstartExplorer(document.getElementById("{name}"));}})();</script>'
    )


def colours_of(everyone: Iterable[str], shown: Iterable[str]) -> list[str]:
    """Each shown name's own colour among all there are; grey for what stands for many."""
    own = own_colours(everyone)
    return [own.get(name, GREY) for name in shown]


def _numbers(column: pa.ChunkedArray, measure: str) -> list[int | None]:
    """Whole millionths of the currency, adding up; whole counts of tokens and requests."""
    values = column.to_pylist()
    if measure not in COSTS:
        return [None if v is None else int(v) for v in values]
    known = iter(round_to_total([v for v in values if v is not None], 6))
    return [None if v is None else int(next(known).scaleb(6)) for v in values]


def asset(name: str) -> str:
    """A file beside this module."""
    return files("finops_ai.widgets").joinpath(name).read_text("utf-8")


def explorer_page(frame: pd.DataFrame, *, title: str = "Explorer", **options: Any) -> str:
    """A whole HTML page with nothing but the explorer on it (options as `static_explorer` takes them)."""
    return str(
        render("explorer.html.j2", title=title, explorer=Html(static_explorer(frame, **{"addressed": True} | options)))
    )
