"""Fuzz readers and count: `python tests/fuzz/run.py [--inputs N] [--seconds S] [--seed K] [READER...]`.

Every input is a changed file of the corpus. A reader may give rows or say in words what is wrong; anything else, and
anything that takes more than ten seconds of computing, is a crash. A fault is what the reader didn't expect and the border
turned into words. Inputs of both are kept in `corpus/<reader>/crash-*`, where a quick test reads them on every run.
`counts.json` adds up the inputs of all runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutating import CORPUS, mutate
from pandera.config import config_context
from targets import TARGETS

from finops_ai.config import LimitsSettings
from finops_ai.errors import ConnectorFault, FinopsError
from finops_ai.providers.limits import in_force

COUNTS = Path(__file__).parent / "counts.json"
LIMITS = LimitsSettings(unpacked_bytes=2**26, depth=60)


FAULT = "fault: "


class TooSlow(BaseException):
    """An input that keeps its reader busy."""


def crash_of(reader: str, path: Path, *, checked: bool = True) -> str:
    """The kind of crash an input causes: error and place; "" where the reader gives rows or says what is wrong.

    `checked` = frames are validated, too, which takes most of the time and is the same for all readers.
    """
    try:
        with in_force(LIMITS), warnings.catch_warnings(), config_context(validation_enabled=checked):
            warnings.simplefilter("ignore")
            TARGETS[reader](path)
    except ConnectorFault as error:
        cause = error.__cause__ or error
        return _kind(cause) if isinstance(cause, TooSlow) else FAULT + _kind(cause)
    except FinopsError:
        return ""
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return _kind(error)
    return ""


def _kind(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "finops_ai" in f.filename] or [None]
    last = frames[-1]
    place = f"{Path(last.filename).name}:{last.name}" if last else "?"
    return f"{type(error).__name__} in {place}: {' '.join(str(error).split())[:100].replace(': ', ' ')}"


def run(reader: str, inputs: int, seconds: float, seed: random.Random) -> tuple[int, Counter[str]]:
    """Try so many inputs of a reader, or as many as the time allows."""
    files = sorted(p for p in (CORPUS / reader).iterdir() if not p.name.startswith("crash-"))
    contents = [(p.name, p.read_bytes()) for p in files]
    kinds: Counter[str] = Counter()
    began, tried = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder:
        while tried < inputs and time.monotonic() - began < seconds:
            name, content = seed.choice(contents)
            path = Path(folder) / name
            path.write_bytes(mutate(content, name, seed))
            signal.setitimer(signal.ITIMER_PROF, 10)
            try:
                kind = crash_of(reader, path, checked=tried % 20 == 0)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            tried += 1
            if kind:
                short = kind.rpartition(": ")[0]
                if short not in {k.rpartition(": ")[0] for k in kinds}:
                    number = len(list((CORPUS / reader).glob("crash-*")))
                    (CORPUS / reader / f"crash-{number:02}-{name}").write_bytes(path.read_bytes())
                    print(f"  {reader}: {kind}", flush=True)
                kinds[kind] += 1
    return tried, kinds


def main() -> int:
    """Run, count, and exit 1 if anything crashed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[*TARGETS, []])
    parser.add_argument("--inputs", type=int, default=1000)
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
        tried, kinds = run(reader, options.inputs, options.seconds, seed)
        shorts = {k.rpartition(": ")[0] for k in kinds}
        crashes = {k for k in shorts if not k.startswith(FAULT)}
        crashed += len(crashes)
        counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
        counts[reader] = counts.get(reader, 0) + tried
        with contextlib.suppress(OSError):
            COUNTS.write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n")
        told = (
            f"{len(crashes)} kinds of crash, {len(shorts - crashes)} of fault; {counts[reader]:,} inputs over all runs"
        )
        print(f"{reader:<14} {tried:>8,} inputs, {told}", flush=True)
    return 1 if crashed else 0


if __name__ == "__main__":
    raise SystemExit(main())
