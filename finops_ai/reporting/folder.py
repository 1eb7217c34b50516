"""A report's folder is made beside the one it replaces and takes its place in one step, or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finops_ai.reporting.manifest import NAME, read_manifest

#: seconds after which what a killed run left is cleared away
STALE = 86_400


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """An empty folder beside the target, to be handed to `publish`; gone at the end unless it was."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _recover(target)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.building")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish(made: Path, target: Path) -> Path:
    """Put a folder in the target's place; what was there by other hands moves along.

    Raises:
        OSError: it can't be moved, such as while a program holds a file of it open; the target is as it was.
    """
    if target.is_dir():
        _take_along(target, made)
        before = target.with_name(f".{target.name}.{os.getpid()}.before")
        shutil.rmtree(before, ignore_errors=True)
        target.rename(before)
        try:
            made.rename(target)
        except OSError:
            before.rename(target)
            raise
        shutil.rmtree(before, ignore_errors=True)
    else:
        made.rename(target)
    return target


def start_from(scratch: Path, target: Path) -> None:
    """Begin with a copy of what is there, where only some pages are made again."""
    if target.is_dir():
        shutil.copytree(target, scratch, dirs_exist_ok=True)


def is_whole(target: Path) -> bool:
    """Whether a finished report stands there, none of its pages failed."""
    manifest = read_manifest(target)
    return manifest is not None and not any(page.get("error") for page in manifest.get("pages", []))


def _take_along(old: Path, new: Path) -> None:
    """Files that no report made, such as somebody's notes; not those of the report before, nor prints of its pages."""
    made = {NAME, *(read_manifest(old) or {}).get("files", [])}
    for path in sorted(old.rglob("*")):
        name = path.relative_to(old)
        ours = name.as_posix() in made or (path.suffix == ".pdf" and name.with_suffix(".html").as_posix() in made)
        if path.is_file() and not ours and not (new / name).exists():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, new / name)


def _recover(target: Path) -> None:
    """After a run that was killed: put back what it had moved aside, clear what it had begun long ago."""
    for path in target.parent.glob(f".{target.name}.*"):
        if path.suffix == ".before" and not target.exists():
            path.rename(target)
        elif path.suffix in (".before", ".building") and path.stat().st_mtime < time.time() - STALE:
            shutil.rmtree(path, ignore_errors=True)
