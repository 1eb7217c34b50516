"""How a command ends: exit code and last words for every kind of error.

1   a check failed          2   usage or settings        3   data missing, stale or unusable
70  unexpected: a fault of this package, with a log file to report    130  stopped with Ctrl-C
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from finops_ai.errors import FinopsError
from finops_ai.extras import missing_extra
from finops_ai.marks import cut

UNEXPECTED, STOPPED = 70, 130
#: characters of a message: a name in it may be of any length
SAID = 4_000
#: what the machine refuses because of a path somebody chose
_PATH = {
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.EEXIST,
}


def code_of(error: BaseException, argv: Sequence[str], *, verbose: bool) -> int:
    """Say what happened, and give the exit code.

    Args:
        error: what ended the command.
        argv: the command line, for the log file.
        verbose: show the traceback, too.

    Returns:
        The exit code; `SystemExit` and `click.exceptions.Exit` keep theirs.
    """
    if isinstance(error, SystemExit | click.exceptions.Exit):
        code = error.code if isinstance(error, SystemExit) else error.exit_code
        return code if isinstance(code, int) else 0 if code is None else 1
    if isinstance(error, KeyboardInterrupt | click.Abort) or type(error).__name__ == "InterruptException":  # DuckDB's
        click.echo("Stopped. What was finished before is kept; nothing is half-written.", err=True)
        return STOPPED
    if verbose:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    if isinstance(error, ImportError) and not isinstance(error, FinopsError):
        error = missing_extra(error) or error
    if isinstance(error, FinopsError):
        click.echo(f"Error: {cut(str(error), SAID)}", err=True)
        return error.exit_code
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":  # DuckDB's
        click.echo(
            "Error: there is not enough memory. Ask for a shorter window, or for fewer connections at once; where "
            "[engine.options] memory_limit is set in finops.toml, raise it, or lower [engine] cells.",
            err=True,
        )
        return 3
    if isinstance(error, OSError) and error.errno:
        place = f"{error.filename}: " if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            click.echo(
                f"Error: {place}the disk is full. Free some space and run the same command again; nothing is half-written.",
                err=True,
            )
            return 3
        if error.filename:
            click.echo(f"Error: {place}{error.strerror}. Check the path and its permissions.", err=True)
            return 2 if error.errno in _PATH else 3
    click.echo(_unexpected(error, argv, verbose), err=True)
    return UNEXPECTED


def reader_gone() -> int:
    """Whoever read the output, such as `head`, has enough: that is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _unexpected(error: BaseException, argv: Sequence[str], verbose: bool) -> str:
    from finops_ai.providers.border import described

    path = _log(error, argv)
    kept = (
        f" The details are in {path}; it holds no credentials and no usage, but read it before you send it."
        if path
        else ""
    )
    more = "" if verbose else " -v shows the traceback."
    return f"Unexpected error: {described(error)}. This is a fault of finops-ai, not of yours: please report it.{kept}{more}"


def _log(error: BaseException, argv: Sequence[str]) -> Path | None:
    """Write what a report needs into a file only its owner can read; None where nothing can be written."""
    from finops_ai import __version__
    from finops_ai.providers.border import without_secrets

    now = dt.datetime.now(dt.UTC)
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "finops-ai"
    text = "\n".join(
        [
            f"finops-ai {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"{now.isoformat(timespec='seconds')}  finops-ai {' '.join(argv)}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    for folder in (state, Path(tempfile.gettempdir())):
        path = folder / f"error-{now:%Y%m%dT%H%M%S}-{os.getpid()}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                file.write(without_secrets(text))
        except OSError:
            continue
        return path
    return None
