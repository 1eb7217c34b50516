"""Fuzz readers and count: `python tests/fuzz/run.py [--inputs N] [--seconds S] [--seed K] [READER...]`.

Every input is a changed file of the corpus. A reader may give rows or say in words what is wrong. Anything else is a crash:
another error, a fault (what the reader didn't expect and the border turned into words), more than ten seconds of computing, a
gigabyte more memory. Its input is kept in `corpus/<reader>/crash-*`, where a test reads it on every run.

`counts.json` adds up all runs: how many inputs, and how many of them were read to the end, so that it shows how many inputs got
past the first check. Files that crashed once are changed again, too: one in ten inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import logging
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutating import CORPUS, mutate
from pandera.config import config_context
from targets import TARGETS

import finops_ai.frames.check
from finops_ai.config import LimitsSettings
from finops_ai.errors import ConnectorFault, FinopsError
from finops_ai.providers.limits import in_force

COUNTS = Path(__file__).parent / "counts.json"
LIMITS = LimitsSettings(unpacked_bytes=2**26, depth=60)
MEMORY = Path("/dev/shm")
SECONDS = 10
KILOBYTES = 2**20
#: one input in so many has its frames checked, too: that takes most of the time and is the same for all readers
CHECKED = 20
#: inputs between two sums in `counts.json`, and the share that is a file somebody's reader once crashed on, changed again
BATCH, AGAIN = 1000, 0.1


class TooSlow(BaseException):
    """An input that keeps its reader busy."""


class TooLarge(BaseException):
    """An input that fills the memory."""


def crash_of(reader: str, path: Path, *, checked: bool = True) -> str:
    """The kind of crash an input causes: error and place; "" where the reader gives rows or says what is wrong.

    `checked` = frames are validated, too.
    """
    return outcome_of(reader, path, checked=checked)[0]


def outcome_of(reader: str, path: Path, *, checked: bool = True) -> tuple[str, bool]:
    """The kind of crash (see `crash_of`), and whether the input was read to the end."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with (
            in_force(LIMITS),
            warnings.catch_warnings(),
            config_context(validation_enabled=checked),
            _surely(not checked),
        ):
            warnings.simplefilter("ignore")
            TARGETS[reader](path)
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > KILOBYTES:
            raise TooLarge("more than a gigabyte")
    except ConnectorFault as error:
        return _kind(error.__cause__ or error), False
    except FinopsError:
        return "", False
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return _kind(error), False
    return "", True


@contextlib.contextmanager
def _surely(kept: bool) -> Iterator[None]:
    """Take every frame for checked."""
    module = finops_ai.frames.check
    before = module.surely_keeps
    if kept:
        module.surely_keeps = lambda *_: True
    try:
        yield
    finally:
        module.surely_keeps = before


def _kind(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "finops_ai" in f.filename] or [None]
    last = frames[-1]
    place = f"{Path(last.filename).name}:{last.name}" if last else "?"
    return f"{type(error).__name__} in {place}: {' '.join(str(error).split())[:100].replace(': ', ' ')}"


def run(reader: str, inputs: int, seconds: float, seed: random.Random, kinds: set[str]) -> tuple[int, int]:
    """Try so many inputs of a reader, or as many as the time allows: how many, how many were read; adds the kinds of crash."""
    fresh, again = [], []
    for path in sorted((CORPUS / reader).iterdir()):
        crash = path.name.startswith("crash-")
        name = path.name.split("-", 2)[2] if crash else path.name
        (again if crash else fresh).append((name, path.read_bytes()))
    began, tried, read = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        while tried < inputs and time.monotonic() - began < seconds:
            name, content = seed.choice(again if again and seed.random() < AGAIN else fresh)
            path = Path(folder) / name
            changed = mutate(content, name, seed)
            path.write_bytes(changed)
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                kind, whole = outcome_of(reader, path, checked=tried % CHECKED == 0)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            tried += 1
            read += whole
            short = kind.rpartition(": ")[0]
            if kind and short not in kinds:
                kinds.add(short)
                digest = hashlib.sha256(short.encode()).hexdigest()[:6]
                (CORPUS / reader / f"crash-{digest}-{name}").write_bytes(changed)
                print(f"  {reader}: {kind}", flush=True)
    return tried, read


def counted(reader: str, inputs: int = 0, read: int = 0) -> int:
    """Add a run to `counts.json`, where others may be adding theirs; how many inputs it comes to."""
    with COUNTS.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        counts = json.loads(file.read() or "{}")
        one = counts.setdefault(reader, {"inputs": 0, "read": 0})
        one["inputs"] += inputs
        one["read"] += read
        file.seek(0)
        file.write(json.dumps(counts, indent=1, sort_keys=True) + "\n")
        file.truncate()
    return int(one["inputs"])


def main() -> int:
    """Run, count, and exit 1 if anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--inputs", type=int, default=1000, help="inputs of this run")
    parser.add_argument("--until", type=int, default=None, help="inputs of all runs together, instead of --inputs")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)

    def slow(*_: object) -> None:
        raise TooSlow("more than ten seconds of computing")

    signal.signal(signal.SIGPROF, slow)
    crashed = 0
    for reader in options.readers or TARGETS:
        seed = random.Random(options.seed if options.seed is not None else time.time_ns())
        total = counted(reader)
        outcome_of(reader, min((CORPUS / reader).iterdir()))  # what is made once is no input's time
        left = options.inputs if options.until is None else options.until - total
        kinds: set[str] = set()
        ends, done, whole = time.monotonic() + options.seconds, 0, 0
        while left > 0 and time.monotonic() < ends:
            tried, read = run(reader, min(left, BATCH), ends - time.monotonic(), seed, kinds)
            total = counted(reader, tried, read)
            left, done, whole = left - tried, done + tried, whole + read
        crashed += len(kinds)
        share = f"{whole / done:.0%}" if done else "none"
        print(
            f"{reader:<14} {done:>8,} inputs, {share} read to the end, {len(kinds)} kinds of crash; {total:,} inputs over all runs",
            flush=True,
        )
    return 1 if crashed else 0


if __name__ == "__main__":
    raise SystemExit(main())
