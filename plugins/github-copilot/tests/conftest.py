"""The path to the played enterprise beside this file, and its fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from github_enterprise import enterprise, expected, samples, token, waits

__all__ = ["enterprise", "expected", "samples", "token", "waits"]
