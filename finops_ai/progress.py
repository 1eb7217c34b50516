"""Progress of long work, shown where it is read: a bar in a terminal, a widget in Jupyter, lines in a log."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
log = logging.getLogger("finops_ai.progress")


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing how far the work is.

    Where it shows: a terminal gets a bar, a live notebook a widget that goes away, anything else (cron, CI, papermill)
    a log line at the start, at each tenth and at the end. `FINOPS_AI_PROGRESS=log|off` decides by hand.

    Args:
        items: what to work through.
        title: a verb phrase, such as "Collect openai".
        total: how many items, if `items` can't tell.
    """
    if total is None and hasattr(items, "__len__"):
        total = len(items)  # type: ignore[arg-type]
    mode = os.environ.get("FINOPS_AI_PROGRESS") or _surface()
    if mode == "off":
        yield from items
    elif mode == "terminal":
        from tqdm.std import tqdm

        yield from tqdm(items, desc=title, total=total, leave=False, file=sys.stderr, dynamic_ncols=True)
    elif mode == "notebook":
        from tqdm.notebook import tqdm as notebook_tqdm

        yield from notebook_tqdm(items, desc=title, total=total, leave=False)
    else:
        yield from _logged(items, title, total)


def _logged(items: Iterable[T], title: str, total: int | None) -> Iterator[T]:
    began, shown = time.monotonic(), 0
    log.info("%s: started%s", title, f", {total} steps" if total else "")
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        if total and done < total and done * 10 // total > shown:
            shown = done * 10 // total
            log.info("%s: %d%% (%d of %d)", title, shown * 10, done, total)
    log.info("%s: done, %d steps in %.1f s", title, done, time.monotonic() - began)


def _surface() -> str:
    if "ipykernel" in sys.modules and not os.environ.get("PAPERMILL_RUN"):
        return "notebook"
    return "terminal" if sys.stderr is not None and sys.stderr.isatty() else "log"
