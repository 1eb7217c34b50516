"""The saved plans of a workspace: kept in the folder `plans` beside finops.toml, each under its name, none ever overwritten."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.forecasting.keeping import compare_plans, read_plan, save_plan
from finops_ai.forecasting.scenarios import ScenarioLike
from finops_ai.forecasting.seats import history_with_seats
from finops_ai.forecasting.terms import workspace_terms
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

FOLDER = "plans"
#: months of history a plan is made from, as every other plan of the workspace
HISTORY = 13


def keep_plan(
    ws: Workspace, name: str, *, until: str | None = None, scenario: ScenarioLike | None = None, months: int = HISTORY
) -> Path:
    """Save the plan as it is today under a name, such as "board plan".

    Args:
        ws: the workspace.
        name: of this version; a name is given once.
        until: last month; by default that of `[plan]`, else the end of the fiscal year.
        scenario: as in `plan`.
        months: months of history.

    Returns:
        The file, which `fa.compare_plans` takes.

    Raises:
        SettingsError: there is a plan of that name already.
        DataError: too little history.
    """
    from finops_ai.forecasting.planning import year_end_of

    place = _place(ws, name)
    if place.exists():
        made = read_plan(place).attrs["plan"]
        raise SettingsError(
            f"There is a plan called {name!r} already, made on {made['since']}. A saved plan is never overwritten: choose another name."
        )
    terms = workspace_terms(ws)
    history = history_with_seats(ws, _newest(ws), months)
    until = until or terms.until or year_end_of(history, ws.timezone, terms.fiscal_start)
    place.parent.mkdir(parents=True, exist_ok=True)
    save_plan(
        history, place, name=name, until=until, scenario=scenario, book=ws.book, timezone=ws.timezone, **terms.known
    )
    return place


def saved_plans(ws: Workspace) -> Table:
    """The saved plans of a workspace, the newest first.

    Returns:
        One row per plan: `name`, `made` (day), `first` and `until` (months), `planned` (its whole amount).
    """
    rows: list[dict[str, Any]] = []
    currency = ws.settings.workspace.currency
    for place in sorted((ws.settings.root / FOLDER).glob("*.parquet")):
        plan = read_plan(place)
        told = plan.attrs["plan"]
        currency = str(plan["pricing_currency"].iloc[0])
        planned = sum((Decimal(v) for v in plan["effective_cost"]), Decimal(0))
        rows.append(
            {"name": told["name"], "made": told["since"], "first": told["since"][:7], "until": told["until"], "planned": planned}
        )  # fmt: skip
    rows.sort(key=lambda row: (row["made"], row["name"]), reverse=True)
    frame = pd.DataFrame(rows, columns=["name", "made", "first", "until", "planned"])
    return Table.of(frame, Facts("Saved plans", currency, money=["planned"]))


def held_against(ws: Workspace, name: str, by: Sequence[str] = (), *, until: str = "") -> Table:
    """A saved plan bridged to what came, by the effects of `explain` (see `compare_plans`).

    Args:
        ws: the workspace.
        name: of the saved plan.
        by: dimensions (owners) to tell apart.
        until: last month to compare; by default the newest with data.

    Raises:
        SettingsError: there is no plan of that name.
        DataError: no whole month of it is over.
    """
    place = _place(ws, name)
    if not place.exists():
        known = [str(row["name"]) for row in saved_plans(ws).to_dict("records")]
        told = hint(name, known) if known else "None is saved: `finops-ai plan --save NAME` saves one."
        raise SettingsError(f"No plan called {name!r} is saved. {told}")
    plan = read_plan(place)
    newest = until or _newest(ws)
    months = [m for m in ws.months_before(newest, 1_000) if m >= plan.attrs["plan"]["since"][:7]]
    if not months:
        raise DataError(f"There is no usage since {name!r} was made on {plan.attrs['plan']['since']}.")
    return compare_plans(plan, history_with_seats(ws, newest, len(months)), by)


def _newest(ws: Workspace) -> str:
    months = ws.months()
    if not months:
        raise DataError("The lake holds no usage. Load some with `finops-ai collect`.")
    return months[-1]


def _place(ws: Workspace, name: str) -> Path:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    if not plain:
        raise SettingsError(f"A plan can't be called {name!r}; give it letters or digits.")
    if plain != name:
        plain += f"-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return ws.settings.root / FOLDER / f"{plain}.parquet"
