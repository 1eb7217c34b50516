"""The sample company: an invented firm of eight teams and six providers, to try everything on without a network.

    tokens = fa.sample()                         # its token frame, thirteen months to October 2026
    fa.sample.rules()                            # how its cost maps to teams, products and cost centres
    fa.sample.write_native("folder")             # the files its providers would export
    fa.sample.truth(); fa.sample.events()        # who it really was, and what happened when

The layout of the underlying slices is told in `finops_ai.sample.company`.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

from finops_ai.sample.frames import bills, business_metrics, events, plan, slices, telemetry, tokens, truth
from finops_ai.sample.settings import rules, settings_toml, write_native, write_workspace

if TYPE_CHECKING:
    import pandas as pd


class _Sample(types.ModuleType):
    """This module, also callable: `fa.sample()` is its token frame and `fa.sample.rules()` stays reachable."""

    def __call__(self, months: int = 13, *, late: bool = True) -> pd.DataFrame:
        return tokens(months, late=late)


sys.modules[__name__].__class__ = _Sample
sample = sys.modules[__name__]

__all__ = [
    "bills",
    "business_metrics",
    "events",
    "plan",
    "rules",
    "sample",
    "settings_toml",
    "slices",
    "telemetry",
    "tokens",
    "truth",
    "write_native",
    "write_workspace",
]
