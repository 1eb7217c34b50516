"""Reports of many companies one after another in one kernel: what is crawled is the pages, not the start of processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finops_ai.reporting.notebooks import Kernel
from finops_ai.reporting.planning import Page
from finops_ai.reporting.rendering import render_page


class LastingKernel(Kernel):
    """A kernel that goes on from report to report; each finds the surroundings of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._known: set[str] = set()

    def serve(self, surroundings: Mapping[str, str] | None) -> None:
        self._surroundings = dict(surroundings or {})
        self._known |= {*self._surroundings}

    async def _clear(self) -> None:
        gone = [name for name in self._known if name not in self._surroundings]
        code = f"[__import__('os').environ.pop(n, None) for n in {gone!r}]; __import__('os').environ.update({self._surroundings!r})"
        await self._client.execute(code, silent=True, reply=True, timeout=60)
        await super()._clear()


class OneKernel:
    """Stands for the renderer of a report: its pages in their order, in a kernel that others use after it."""

    def __init__(self, kernel: LastingKernel) -> None:
        self._kernel = kernel

    def __call__(self, folder: Any, jobs: int, watch: Any, surroundings: Mapping[str, str] | None) -> OneKernel:
        self._folder = folder
        self._kernel.serve(surroundings)
        return self

    def __enter__(self) -> OneKernel:
        return self

    def __exit__(self, *_: object) -> None: ...

    def render(self, pages: Sequence[Page]) -> None:
        for page in pages:
            if not page.left_out:
                render_page(page, self._folder, self._kernel)
