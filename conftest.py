"""Test settings shared by the core and the plugins."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import time
import venv
from collections.abc import Iterator
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


#: where the BigQuery emulator lives, an environment of its own
EMULATOR = Path(os.environ.get("FINOPS_AI_BQEMULATOR") or Path(__file__).resolve().parent / ".venv-bqemulator")


def _emulator_installed() -> Path:
    """The emulator's command, installed if need be."""
    command, wanted = (
        EMULATOR / "bin" / "bqemulator",
        Path(__file__).resolve().parent / "tests/bqemulator-requirements.txt",
    )
    if not command.exists():
        venv.create(EMULATOR, with_pip=True, clear=True)
        pip = [str(EMULATOR / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(wanted)]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the BigQuery emulator can't be installed here: {done.stderr.strip()[-300:]}")
    return command


@pytest.fixture(scope="session")
def bigquery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running BigQuery emulator, which takes any project."""
    command, home = _emulator_installed(), tmp_path_factory.mktemp("bigquery")
    environment = {**os.environ, "HOME": str(home)}
    extension = "from duckdb_extensions import import_extension; import_extension('spatial')"
    subprocess.run(
        [str(command.with_name("python")), "-c", extension], env=environment, check=True, capture_output=True
    )
    with socket.socket() as rest, socket.socket() as grpc:
        rest.bind(("127.0.0.1", 0))
        grpc.bind(("127.0.0.1", 0))
        ports = [rest.getsockname()[1], grpc.getsockname()[1]]
    process = subprocess.Popen(
        [str(command), "start", "--rest-port", str(ports[0]), "--grpc-port", str(ports[1]), "--project", "company"],
        env=environment, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(1200):  # two minutes: a loaded machine takes its time
            with socket.socket() as knock:
                if not knock.connect_ex(("127.0.0.1", ports[0])):
                    break
            assert process.poll() is None, "the BigQuery emulator ended at its start"
            time.sleep(0.1)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait(20)
