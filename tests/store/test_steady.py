"""What a command or report reads is of one state, whatever is loaded meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from finops_ai.store import Lake
from tests.store.test_lake import JANUARY, frame


def lake_of(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    lake.replace("tokens", "openai", JANUARY, frame([1, 2]))
    return lake


def test_a_steady_reader_sees_what_was_there_when_it_began(tmp_path):
    lake = lake_of(tmp_path)
    with lake.steady():
        Lake(lake.root).replace("tokens", "openai", JANUARY, frame([1, 2, 3]))
        assert (len(lake.read("tokens")), lake.version("tokens"), len(lake.files("tokens"))) == (2, 0, 1)
        with lake.steady():
            assert len(lake.read("tokens")) == 2
    assert (len(lake.read("tokens")), lake.version("tokens")) == (3, 1)


def test_a_load_inside_goes_to_the_newest_state(tmp_path):
    lake = lake_of(tmp_path)
    with lake.steady():
        Lake(lake.root).replace("tokens", "bedrock", JANUARY, frame([5], provider="bedrock"))
        load = lake.replace("tokens", "openai", JANUARY, frame([1, 2, 3]))
        assert (load.before, load.after, len(lake.read("tokens"))) == (2, 3, 2)
    assert len(lake.read("tokens")) == 4


@pytest.mark.long
def test_other_processes_read_the_same_version(tmp_path):
    lake = lake_of(tmp_path)
    with lake.steady() as surroundings:
        Lake(lake.root).replace("tokens", "openai", JANUARY, frame([1, 2, 3]))
        code = f"from finops_ai.store import Lake; print(len(Lake({lake.root!r}).read('tokens')))"
        there = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | surroundings, capture_output=True, text=True, check=True
        )
    assert there.stdout.strip() == "2"


def test_a_lake_that_holds_nothing_can_be_steady_too(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    with lake.steady() as surroundings:
        assert (len(lake.read("tokens")), surroundings) == (0, {})
