"""What a command writes on the screen: no name or message from outside moves the cursor, turns text around or hides."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from finops_ai.marks import visible


class Screen:
    """A text stream that shows control and direction marks as their code.

    >>> import io
    >>> kept = io.StringIO()
    >>> _ = Screen(kept).write("team \\x1b[31mred")
    >>> kept.getvalue()
    'team \\\\u001b[31mred'
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, marks as their code; the number of characters given."""
        self._stream.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def shown() -> Iterator[None]:
    """Let everything this process prints go through a `Screen`."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, Screen(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
