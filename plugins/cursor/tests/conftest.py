"""The path to the played team beside this file, and its fixtures."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cursor_team import expected, key, samples, team, waits

__all__ = ["expected", "key", "samples", "team", "waits"]
