"""What a workspace's `[plan]` section takes for known: fiscal year, days off, planned lines, owners' figures, units.

Whatever plans for a workspace reads it: `plan`, `budgets`, `forecast`, saved plans, the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pandas as pd

from finops_ai.errors import SettingsError, hint
from finops_ai.tables.unit_economics import workspace_metrics

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace

PLAN_KEYS = ("until", "fiscal_start", "quarters", "holidays", "lines", "overrides", "units")
_WHEN = ("month", "from", "to", "for")
LINE_KEYS = ("name", "amount", *_WHEN)
OVERRIDE_KEYS = ("name", "amount", "factor", "owner", "note", *_WHEN)
UNIT_KEYS = ("name", "metric", "months", "per_unit", "for", "owner", "note")
#: whole months that a measured cost per unit is the mean of
MEASURED = 3


@dataclass(frozen=True)
class PlanTerms:
    """The `[plan]` section as `plan` and its kin take it."""

    until: str | None = None
    fiscal_start: int = 1
    quarters: bool = False
    holidays: tuple[object, ...] = ()
    lines: tuple[Mapping[str, Any], ...] = ()
    overrides: tuple[Mapping[str, Any], ...] = ()

    @property
    def known(self) -> dict[str, Any]:
        """What every plan of the workspace takes for known."""
        return {"lines": self.lines, "overrides": self.overrides, "holidays": self.holidays}

    @property
    def year(self) -> dict[str, Any]:
        """How `plan` lays out the year."""
        return {"fiscal_start": self.fiscal_start, "quarters": self.quarters}


def workspace_terms(ws: Workspace, month: str = "") -> PlanTerms:
    """The `[plan]` section of a workspace's finops.toml.

    Args:
        ws: the workspace.
        month: last month that is known; a cost per unit is measured up to it. By default the newest.

    Raises:
        SettingsError: an unknown key, or a value that can't be read.
    """
    table = ws.settings.policies.get("plan")
    if not table:
        return PlanTerms()
    if not isinstance(table, Mapping):
        raise SettingsError(f"[plan] must be a table of settings, got {table!r}.")
    _known(table, PLAN_KEYS, "[plan]")
    start = table.get("fiscal_start", 1)
    if not isinstance(start, int) or isinstance(start, bool) or not 1 <= start <= 12:
        raise SettingsError(f"[plan] fiscal_start is {start!r}; it is the first month of the fiscal year, 1 to 12.")
    quarters = table.get("quarters", False)
    if not isinstance(quarters, bool):
        raise SettingsError(f"[plan] quarters is {quarters!r}; it is true or false.")
    lines, overrides = (_rows(table, name, keys) for name, keys in (("lines", LINE_KEYS), ("overrides", OVERRIDE_KEYS)))
    units = _rows(table, "units", UNIT_KEYS)
    if units:
        overrides = [*overrides, *_by_unit(ws, units, month)]
    holidays = table.get("holidays", [])
    return PlanTerms(
        None if table.get("until") is None else str(table["until"]), start, quarters,
        tuple([holidays] if isinstance(holidays, str) else holidays), tuple(lines), tuple(overrides),
    )  # fmt: skip


def _by_unit(ws: Workspace, units: Sequence[Mapping[str, Any]], month: str) -> list[dict[str, Any]]:
    """Units to come times the cost of one, as an owner's figures."""
    out = []
    for number, row in enumerate(units, 1):
        place = f"[[plan.units]] {number} ({row.get('name') or row.get('metric') or 'no name'})"
        counts = row.get("months")
        if not isinstance(counts, Mapping) or not counts:
            raise SettingsError(f'{place} needs `months`, such as {{ "2026-11" = 12000 }}: how many units are planned.')
        scope = dict(row.get("for") or {})
        if "per_unit" in row:
            each, how = _decimal(row["per_unit"], f"{place}: per_unit"), "as stated"
        else:
            each, how = _measured(ws, row, scope, place, month)
        name = str(row.get("name") or row.get("metric") or "units")
        for when, count in counts.items():
            planned = _decimal(count, f"{place}: months.{when}")
            what = f"{name}, {planned:,f} x {each:,.6f} ({how})"
            told = {k: row[k] for k in ("owner", "note") if k in row}
            out.append({"name": what, "amount": str(planned * each), "month": str(when), "for": scope, **told})
    return out


def _measured(
    ws: Workspace, row: Mapping[str, Any], scope: Mapping[str, Any], place: str, month: str
) -> tuple[Decimal, str]:
    """What a unit cost in the last whole months, and which those were."""
    from finops_ai.tables import unit_economics

    metrics, metric = workspace_metrics(ws), row.get("metric")
    if metrics is None or not metric:
        raise SettingsError(
            f"{place} needs `per_unit`, or `metric` and a [business] file that counts it, so that the cost of one can be measured."
        )
    known = sorted(set(metrics["metric"]))
    if metric not in known:
        raise SettingsError(f"{place}: the [business] file counts no {metric!r}. {hint(str(metric), known)}")
    own = metrics[metrics["metric"] == metric]
    for name, value in scope.items():
        own = own[own[name].astype(str) == str(value)] if name in own.columns else own
    last = month or ws.months()[-1]
    whole = [m for m in ws.months_before(last, MEASURED + 1) if m < last or _is_over(ws, m)][-MEASURED:]
    found = unit_economics(ws.history(last, MEASURED + 1), own, timezone=ws.timezone) if len(own) else None
    rows = [] if found is None else [r for r in found.to_dict("records") if r["month"] in whole]
    sums = {name: sum((r[name] for r in rows if not pd.isna(r[name])), Decimal(0)) for name in ("cost", "value")}
    if not rows or not sums["value"]:
        raise SettingsError(
            f"{place}: nothing was counted in {', '.join(whole) or 'any month'}, so a unit's cost can't be measured; state `per_unit`."
        )
    months = sorted({r["month"] for r in rows})
    return sums["cost"] / sums["value"], f"measured in {months[0]} to {months[-1]}"


def _is_over(ws: Workspace, month: str) -> bool:
    """Whether the month's data reaches its end."""
    from finops_ai.periods import Window

    return bool(ws.lake.freshness()["last"].max() >= Window.month(month, ws.timezone).end)


def _rows(table: Mapping[str, Any], name: str, keys: Sequence[str]) -> list[Mapping[str, Any]]:
    rows = table.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise SettingsError(f"[plan] {name} must be tables: [[plan.{name}]].")
    for number, row in enumerate(rows, 1):
        _known(row, keys, f"[[plan.{name}]] {number}")
    return list(rows)


def _known(table: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
    for key in table:
        if key not in keys:
            raise SettingsError(f"{place}: no setting called {key!r}. {hint(str(key), keys)}")


def _decimal(value: object, place: str) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise SettingsError(f"{place} is {value!r}, must be a number.") from None
