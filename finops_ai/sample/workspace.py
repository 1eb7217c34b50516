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
        for outcome in ws.collect(
            window,
            watch=lambda o: say(f"  {o.connection}: {o.tokens:,} usage rows, {o.bills:,} charges"),
        ):
            if outcome.error:
                raise DataError(f"The sample company can't be loaded: {outcome.connection}: {outcome.error}")
        (scratch / "complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        try:
            scratch.rename(target)
        except OSError:  # another process was quicker
            shutil.rmtree(scratch, ignore_errors=True)
    return open(target)


def _stamp() -> str:
    """Changes with the generator and connectors, so that an upgrade never shows an old sample."""
    from finops_ai.providers.registry import installed

    parts = sorted(
        f"{p.name}:{hashlib.sha256(p.read_bytes()).hexdigest()}"
        for p in Path(__file__).parent.glob("*.*")
        if p.is_file()
    )
    parts += [f"{name} {origin}" for name, origin in sorted(installed().items())]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:8]
