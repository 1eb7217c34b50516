"""The sample company as a workspace: its providers' native files, its finops.toml and its lake, in a cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from finops_ai import __version__
from finops_ai.errors import DataError
from finops_ai.periods import Window
from finops_ai.workspace import Workspace, open


def cache_home() -> Path:
    """Where derived data of this package is kept: $FINOPS_AI_CACHE, else the user's cache folder."""
    own = os.environ.get("FINOPS_AI_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "finops_ai"


def sample_workspace(folder: str | Path | None = None, *, say: Callable[[str], None] = lambda text: None) -> Workspace:
    """The sample company's workspace: native files written and collected once, then only opened.

    Args:
        folder: where to keep it; default: a folder in the user's cache, named after this version.
        say: called with a line of progress while it is being made.
    """
    from finops_ai.sample.company import days
    from finops_ai.sample.settings import write_workspace

    target = Path(folder) if folder else cache_home() / f"sample-{__version__}-{_stamp()}"
    if not (target / "complete").exists():
        say("Writing the sample company's provider files ...")
        scratch = target.with_name(f"{target.name}.{os.getpid()}.partial")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        write_workspace(scratch)
        ws = open(scratch)
        window = Window.of(str(days()[0]), str(days()[-1] + np.timedelta64(1, "D")))
        _fill(ws, window, say)
        (scratch / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        try:
            scratch.rename(target)
        except OSError:  # another process was quicker
            shutil.rmtree(scratch, ignore_errors=True)
    return open(target)


def _fill(ws: Workspace, window: Window, say: Callable[[str], None]) -> None:
    """Collect the native files; where connectors aren't installed, what they would read, from the company itself."""
    from finops_ai.providers import registry

    wanted = {str(table.get("connector", name)) for name, table in ws.settings.providers.items()}
    if missing := sorted(wanted - registry().connectors.keys()):
        say(f"  {', '.join(missing)} not installed: the company's frames are loaded without their connectors.")
        _fill_without_connectors(ws, window)
        return
    for outcome in ws.collect(
        window, watch=lambda o: say(f"  {o.connection}: {o.tokens:,} usage rows, {o.bills:,} charges")
    ):
        if outcome.error:
            raise DataError(f"The sample company can't be loaded: {outcome.connection}: {outcome.error}")


def _fill_without_connectors(ws: Workspace, window: Window) -> None:
    from finops_ai.sample.frames import bills, telemetry, tokens

    usage, charges, seen = tokens(), bills(), telemetry()
    for name, table in ws.settings.providers.items():
        own = seen if table.get("telemetry") else usage[(usage["provider"] == name).to_numpy(bool)]
        ws.lake.replace("tokens", name, window, own)
        ws.lake.replace("bills", name, window, charges[(charges["provider"] == name).to_numpy(bool)])


def copy_to(folder: str | Path, *, say: Callable[[str], None] = lambda text: None) -> Path:
    """A workspace of the sample company in a folder of one's own, with its native files and its lake loaded.

    Returns:
        The path of its finops.toml.
    """
    source = Path(sample_workspace(say=say).settings.root)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for part in sorted(source.iterdir()):
        if part.name in ("complete", "closed") or part.name.startswith("."):
            continue
        target = Path(folder) / part.name
        if part.is_dir():
            shutil.copytree(part, target, dirs_exist_ok=True)
        else:
            shutil.copy2(part, target)
    return Path(folder) / "finops.toml"


def _stamp() -> str:
    """Changes with the generator and connectors, so that an upgrade never shows an old sample."""
    from finops_ai.providers import registry

    parts = sorted(
        f"{p.name}:{hashlib.sha256(p.read_bytes()).hexdigest()}"
        for p in Path(__file__).parent.glob("*.*")
        if p.is_file()
    )
    parts += [f"{name} {origin}" for name, origin in sorted(registry().origins.items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:8]
