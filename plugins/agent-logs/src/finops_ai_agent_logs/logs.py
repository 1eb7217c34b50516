"""What connectors of local logs share: which files, whose they are, and reading them again only when one changed."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from finops_ai.errors import DataError
from finops_ai.frames import conform
from finops_ai.periods import Window
from finops_ai.providers import Connector, ConnectorSettings, Finding
from finops_ai.providers.files import find_files
from finops_ai_agent_logs.calls import Call, token_frame

if TYPE_CHECKING:
    import pandas as pd

HELP = "Logs lie on developers' machines: collect them into one folder and set `files`, or run this where they are."


@contextmanager
def _many_objects() -> Iterator[None]:
    """Without looking for garbage while millions of records are read: none of them is part of a circle, and looking takes longer
    than reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class LogSettings(ConnectorSettings):
    """Settings of a connector of local logs."""

    account: str = Field("local", description="Billing account of the rows: logs name none.")
    user: str | None = Field(None, description="Whose logs they are (e-mail or login): logs name no person.")
    people: dict[str, str] = Field(
        default_factory=dict, description="Pattern of a path -> person, such as '*/ada/*' = 'ada@example.com'."
    )


class LogConnector(Connector):
    """Reads logs that a tool keeps by itself. A log is no bill: its rows are list value and have no billed cost."""

    Settings: ClassVar[type[ConnectorSettings]] = LogSettings
    restated_days: ClassVar[int] = 7
    road: ClassVar[str] = "log"
    _read: tuple[Any, Any, list[str]] | None = None

    @property
    def live(self) -> bool:
        """Never: logs come as files."""
        return False

    def places(self) -> list[str]:
        """Where the tool keeps its logs on this machine."""
        return []

    def frame(self, paths: Sequence[Path], window: Window) -> pd.DataFrame:
        """Token frame of these files' calls in the window."""
        raise NotImplementedError

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame of the window, one slice a call. All files are read whatever the window: copies lie anywhere."""
        paths = self._paths()
        return self.frame(paths, window) if paths else conform({}, source=self.name)

    def once(self, paths: Sequence[Path], read: Callable[[], Any]) -> Any:
        """What `read` gives, read again only when a file changed."""
        state = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in paths]
        if self._read is None or self._read[0] != state:
            before = len(self.notes)
            with _many_objects():
                found = read()
            self._read = (state, found, self.notes[before:])
        else:
            self.notes += [note for note in self._read[2] if note not in self.notes]
        return self._read[1]

    def doctor(self) -> list[Finding]:
        """Whether there are logs, and where they should be."""
        try:
            paths = self._paths()
        except DataError as error:
            return [Finding("logs", False, str(error), HELP)]
        if not paths:
            return [Finding("logs", False, f"nothing in {', '.join(self.places()) or 'files'}", HELP)]
        return [Finding("logs", True, f"{len(paths)} files")]

    def _paths(self) -> list[Path]:
        settings: Any = self.settings
        if settings.files:
            return find_files(settings.files)
        found: list[Path] = []
        for pattern in self.places():
            try:
                found += find_files([pattern])
            except DataError:  # the tool was never used here
                continue
        return list(dict.fromkeys(found))


class JsonlConnector(LogConnector):
    """Reads the JSON Lines of one tool, which is its own provider here."""

    #: usage format of its counts
    format: ClassVar[str]

    def calls(self, paths: Sequence[Path]) -> list[Call]:
        """Every call of the logs, once."""
        raise NotImplementedError

    def frame(self, paths: Sequence[Path], window: Window) -> pd.DataFrame:
        """Token frame of the logs."""
        settings: Any = self.settings
        paths = [path for path in paths if ".jsonl" in path.name] or paths  # a folder holds other files, too
        calls = self.once(paths, lambda: self.calls(paths))
        return token_frame(
            calls, window, provider=self.name, tool=self.name, format=self.format, account=settings.account, notes=self.notes
        )  # fmt: skip
