"""A played S3 for each test, and the path to the helpers beside this file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from finops_ai.testing import PlayedProvider

sys.path.insert(0, str(Path(__file__).parent))

from bedrock_rows import ENVIRONMENT, Bucket


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A played S3; its address is `url`."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    bucket = Bucket()
    with PlayedProvider(bucket.answer) as played:
        bucket.url = played.url
        yield bucket
