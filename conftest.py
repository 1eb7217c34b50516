"""Test settings shared by the core and the plugins."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("FINOPS_AI_PROGRESS", "off")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("TZ", "UTC")

# the same examples on every run, so that a change answers for itself; `pytest --hypothesis-profile=search` looks for new
# ones, and FINOPS_AI_EXAMPLES=20 tries twenty times as many where money is conserved
settings.register_profile(
    "same", derandomize=True, deadline=None, max_examples=40 * int(os.environ.get("FINOPS_AI_EXAMPLES", "1"))
)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("same")

#: folders whose tests share something that takes seconds to make: each stays on one process
TOGETHER = ("tests/answering/", "tests/widgets/")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Tests of a file stay together, as with `--dist loadfile`, and so do those of some folders."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in TOGETHER if nodeid.startswith(folder)), super()._split_scope(nodeid))

    return Together(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """What is collected stays to the end, so the collector of garbage need not look through it again and again.

    Where several processes share the cores, DuckDB takes one of them: the tests' frames are small.
    """
    gc.collect()
    gc.freeze()
    if "PYTEST_XDIST_WORKER" in os.environ:
        from finops_ai.engine.duck import connect

        connect().execute("SET threads = 1")


def pytest_sessionfinish() -> None:
    """What was kept is let go in order: libraries tell of what is left when the process ends."""
    gc.unfreeze()
    gc.collect()


#: reference material beside the checkout, where there is any
SHARED = Path(__file__).resolve().parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it skip aloud without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which this checkout doesn't have")
    return SHARED
