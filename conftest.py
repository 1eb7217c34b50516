"""Test settings shared by the core and the plugins."""

from __future__ import annotations

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

#: reference material beside the checkout, where there is any
SHARED = Path(__file__).resolve().parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it skip aloud without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which this checkout doesn't have")
    return SHARED
