"""Fixtures for a plugin's tests; a conftest.py takes them in by importing them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finops_ai.providers import HttpClient


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits the client would make, without making them."""
    made: list[float] = []
    defaults = HttpClient.__init__.__kwdefaults__
    assert defaults, "HttpClient takes no `sleep` by name any more"
    monkeypatch.setitem(defaults, "sleep", made.append)
    return made


def contract_samples(folder: Path) -> tuple[Callable[..., Path], Callable[..., dict[str, Any]]]:
    """Two fixtures: a folder of a contract's sample files, and what its `expected.json` says they come to.

    Tests that take them skip aloud where the folder isn't there.

    Args:
        folder: where the samples are.
    """

    @pytest.fixture
    def samples() -> Path:
        """The contract's samples."""
        if not folder.exists():
            pytest.skip(f"the contract's samples are not beside this checkout ({folder})")
        return folder

    @pytest.fixture
    def expected(samples: Path) -> dict[str, Any]:
        """What the samples come to."""
        return dict(json.loads((samples / "expected.json").read_text("utf-8")))

    return samples, expected


__all__ = ["contract_samples", "waits"]
