"""Readers give rows or a sentence, whatever a file holds: inputs that once broke one, and new ones on request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CORPUS = FOLDER / "corpus"
READERS = sorted(p.name for p in CORPUS.iterdir() if p.is_dir())
CRASHES = sorted(CORPUS.glob("*/crash-*"))


def fuzz(*words, **options):
    return subprocess.run([sys.executable, str(FOLDER / "run.py"), *words], capture_output=True, text=True, **options)


@pytest.mark.long
def test_inputs_that_once_crashed_a_reader_are_sentences_now():
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import run; from pathlib import Path; import json\n"
        "print(json.dumps({p: k for p in json.loads(sys.argv[1]) if (k := run.crash_of(Path(p).parent.name, Path(p))) and not k.startswith(run.FAULT)}))"
    )
    paths = json.dumps([str(p) for p in CRASHES])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, paths], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}
    assert len(CRASHES) >= 5


@pytest.mark.long
def test_a_reader_that_crashed_would_be_seen():
    code = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r}); import run; from pathlib import Path\n"
        "run.TARGETS['json'] = lambda path: {}['x']; print(run.crash_of('json', Path('x')))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("KeyError")


def test_every_reader_has_a_corpus():
    sys.path.insert(0, str(FOLDER))
    try:
        from targets import TARGETS
    finally:
        sys.path.remove(str(FOLDER))
    assert sorted(TARGETS) == READERS


@pytest.mark.soak
@pytest.mark.parametrize("reader", READERS)
def test_new_inputs(reader):
    """A minute for each reader; FINOPS_AI_FUZZ_SECONDS gives more."""
    done = fuzz(reader, "--inputs", "100000", "--seconds", os.environ.get("FINOPS_AI_FUZZ_SECONDS", "60"))
    assert done.returncode == 0, done.stdout + done.stderr
