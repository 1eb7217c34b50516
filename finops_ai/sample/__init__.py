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
from typing import TYPE_CHECKING, cast

from finops_ai.sample.engineering import Engineers, engineers, people_workspace, write_people
from finops_ai.sample.frames import bills, business_metrics, events, plan, slices, telemetry, tokens, truth
from finops_ai.sample.settings import rules, settings_toml, write_native, write_workspace

if TYPE_CHECKING:
    import pandas as pd


class SampleCompany(types.ModuleType):
    """This module, also callable: `fa.sample()` is its token frame and `fa.sample.rules()` stays reachable."""

    if TYPE_CHECKING:  # at run time the module itself has them
        bills = staticmethod(bills)
        business_metrics = staticmethod(business_metrics)
        events = staticmethod(events)
        plan = staticmethod(plan)
        rules = staticmethod(rules)
        settings_toml = staticmethod(settings_toml)
        slices = staticmethod(slices)
        telemetry = staticmethod(telemetry)
        tokens = staticmethod(tokens)
        truth = staticmethod(truth)
        write_native = staticmethod(write_native)
        write_workspace = staticmethod(write_workspace)

    def __call__(self, months: int = 13, *, late: bool = True) -> pd.DataFrame:
        """The sample company's token frame: eight teams, six providers, no network, the same figures every time.

        Args:
            months: how many of the last months to October 2026, 1 to 13.
            late: whether usage that a provider reported only after its month was closed is in.

        Returns:
            Token frame, one row per meter and day of a key, model and prompt (`docs/columns.md`).

        Raises:
            SettingsError: `months` is not between 1 and 13.

        Example:
            >>> import finops_ai as fa
            >>> tokens = fa.sample(months=1)
            >>> len(tokens), tokens["provider"].nunique(), str(tokens["charge_period_start"].min().date())
            (4939, 6, '2026-10-01')
        """
        return tokens(months, late=late)


sys.modules[__name__].__class__ = SampleCompany
#: this module as `fa.sample`
sample: SampleCompany = cast(SampleCompany, sys.modules[__name__])

__all__ = [
    "Engineers",
    "bills",
    "business_metrics",
    "engineers",
    "events",
    "people_workspace",
    "plan",
    "rules",
    "sample",
    "settings_toml",
    "slices",
    "telemetry",
    "tokens",
    "truth",
    "write_native",
    "write_people",
    "write_workspace",
]
