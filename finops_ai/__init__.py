"""FinOps for AI: token usage of every provider as one priced, allocated, charged and forecast cost.

    import finops_ai as fa

    tokens = fa.sample()                     # the sample company's token frame, no network
    priced = fa.price(tokens)                # + list, contracted and effective cost
    fa.showback(fa.allocate(priced, rules), by=["team", "model"])

Importing this package is light: pandas and the rest load when a name is first used.
"""

from __future__ import annotations

import importlib
import types
from typing import Any

__version__ = "0.1.0"

#: public name -> module that defines it
_PUBLIC = {
    "sample": "finops_ai.sample",
    "read": "finops_ai.providers.collecting",
    "collect": "finops_ai.providers.collecting",
    "PriceBook": "finops_ai.prices",
    "price": "finops_ai.engine",
    "allocate": "finops_ai.engine",
    "Rules": "finops_ai.engine",
    "showback": "finops_ai.tables",
    "chargeback": "finops_ai.tables",
    "reconcile": "finops_ai.tables",
    "explain": "finops_ai.tables",
    "what_if": "finops_ai.tables",
    "recommend": "finops_ai.saving",
    "commitments": "finops_ai.tables.commitments",
    "anomalies": "finops_ai.tables",
    "incidents": "finops_ai.tables.incidents",
    "budgets": "finops_ai.forecasting",
    "unit_economics": "finops_ai.tables",
    "unit_costs": "finops_ai.tables.unit_costs",
    "one_road": "finops_ai.tables.one_road",
    "measures": "finops_ai.tables.kpis",
    "kpis": "finops_ai.tables.kpis",
    "Identities": "finops_ai.identity",
    "Privacy": "finops_ai.people.privacy",
    "SeatPrices": "finops_ai.people.seat_prices",
    "idle_seats": "finops_ai.people.idle",
    "pools": "finops_ai.people.pools",
    "fair_net": "finops_ai.people.pools",
    "outcomes": "finops_ai.people.outcomes",
    "outcome_costs": "finops_ai.people.outcomes",
    "outcome_metrics": "finops_ai.people.outcomes",
    "seat_or_api": "finops_ai.people.plans",
    "vendor_against_logs": "finops_ai.people.roads",
    "read_commits": "finops_ai.people.reading",
    "people_months": "finops_ai.people.months",
    "with_seats": "finops_ai.people.all_in",
    "forecast": "finops_ai.forecasting",
    "backtest": "finops_ai.forecasting",
    "plan": "finops_ai.forecasting",
    "save_plan": "finops_ai.forecasting",
    "read_plan": "finops_ai.forecasting",
    "compare_plans": "finops_ai.forecasting",
    "to_focus": "finops_ai.tables.focus",
    "from_focus": "finops_ai.tables.focus",
    "ask": "finops_ai.answering",
    "explore": "finops_ai.widgets",
    "open": "finops_ai.workspace",
    "open_workspace": "finops_ai.workspace",
}

#: what a star import brings: `open` stays away, so that the builtin is not replaced
__all__ = ["__version__", *(name for name in _PUBLIC if name != "open")]


def __getattr__(name: str) -> Any:
    try:
        module = _PUBLIC[name]
    except KeyError:
        from finops_ai.errors import hint

        raise AttributeError(f"finops_ai has no {name!r}. {hint(name, _PUBLIC)}") from None
    try:
        value = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        from finops_ai.extras import missing_extra

        raise missing_extra(error) or error from None
    if isinstance(value, types.FunctionType):
        from finops_ai.arguments import careful

        value = careful(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "open"])
