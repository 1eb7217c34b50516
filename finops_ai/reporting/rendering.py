"""The notebooks of a report, run in a few kernels at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from finops_ai.errors import FinopsError
from finops_ai.reporting.notebooks import Kernel, run_notebook
from finops_ai.reporting.planning import STATEMENTS, Page


def kernels() -> int:
    """How many notebooks run at the same time: two, where there are as many cores."""
    return 2 if (os.cpu_count() or 1) > 1 else 1


class Renderer:
    """Runs the notebooks of pages, `jobs` at a time, each job in one kernel; a failure is told on its page.

    Kernels are processes of their own. They start when the renderer is entered, so that they are ready by the time the
    figures are; this process does meanwhile what needs none.

    Example:
        >>> with Renderer(folder, jobs=2) as renderer:  # doctest: +SKIP
        ...     renderer.render(pages)
    """

    def __init__(
        self,
        folder: Path,
        jobs: int,
        watch: Callable[[Page], None] | None = None,
        surroundings: Mapping[str, str] | None = None,
    ) -> None:
        self._surroundings = surroundings
        self._folder, self._watch, self._count = folder, watch, max(jobs, 1)
        self._waiting: SimpleQueue[Page | None] = SimpleQueue()
        self._pool = ThreadPoolExecutor(self._count)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Renderer:
        self._running = [self._pool.submit(self._work) for _ in range(self._count)]
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        while kind and not self._waiting.empty():
            self._waiting.get()  # what waits isn't wanted any more
        for _ in self._running:
            self._waiting.put(None)
        self._pool.shutdown()
        if not kind:
            for done in self._running:
                done.result()

    def render(self, pages: Sequence[Page]) -> None:
        """Have these pages made, in this order; leaving the renderer waits for them."""
        for page in pages:
            if not page.left_out:
                self._waiting.put(page)

    def _work(self) -> None:
        with Kernel(self._surroundings) as kernel:
            kernel.warm()
            while page := self._waiting.get():
                render_page(page, self._folder, kernel)
                if self._watch:
                    self._watch(page)


def render_page(page: Page, folder: Path, kernel: Kernel) -> None:
    """Make a page by its notebook; a failure, and what data was lacking, is noted on the page."""
    target = folder / f"{page.name}.ipynb"
    try:
        title = f"Statement for {page.title}" if page.group == STATEMENTS else page.title
        run_notebook(page.notebook, target, page.parameters, kernel=kernel, title=title)
    except FinopsError as error:
        if reason := getattr(error, "lacks_data", ""):
            page.left_out = reason
            error.page.unlink(missing_ok=True)  # type: ignore[attr-defined]
        else:
            # beside the page's place, wherever the folder ends up: its path here is only of the time it is built
            kept = getattr(error, "page", None)
            page.error = str(error).replace(str(kept), kept.name) if kept else str(error)
