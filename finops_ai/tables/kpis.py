"""The KPIs of FinOps for AI with the user's own figures, and the catalogue they come from as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from finops_ai.engine.fields import PUBLISHED
from finops_ai.errors import FrameError
from finops_ai.figures import Measure, aggregates, catalogue, ingredients, ratio, values
from finops_ai.figures.computing import CENTS, fields
from finops_ai.frames.origin import zone_of
from finops_ai.money import published
from finops_ai.periods import Window
from finops_ai.tables.grouping import currency_of, dimensions_of, grouped, nobody_of
from finops_ai.tables.result import Facts, Table

KPI = "FinOps KPI"


def measures() -> Table:
    """The catalogue: every figure that tables, pages, charts, the explorer and the command line publish, once.

    Returns:
        One row per measure: `id` (its column name), `label`, `kind` (money, rate, share, ratio, count, days), `unit`,
        `formula` over frame columns or other measures, `about`, `leaves_out`, `unknown_when`, `rounding`, `source` (FOCUS
        column, FinOps Foundation KPI, OpenTelemetry attribute, own).

    Raises:
        DataError: never for a measure of the catalogue; `finops_ai.figures.measure` raises it for an unknown id.

    Example:
        >>> import finops_ai as fa
        >>> table = fa.measures().set_index("id")
        >>> table.loc["cost_per_request", "formula"]
        'counted_cost / requests'
    """
    rows = [
        {"id": m.id, "label": m.label, "kind": m.kind, "unit": m.unit_of("") if m.kind != "money" else "the currency of its row",
         "formula": m.formula, "about": m.about, "leaves_out": m.leaves_out, "unknown_when": m.unknown_when,
         "rounding": m.rounding, "source": m.source}
        for m in catalogue().values()
    ]  # fmt: skip
    return Table.of(pd.DataFrame(rows), Facts("Measures"))


def kpis(
    allocated: pd.DataFrame,
    *,
    month: str | None = None,
    timezone: str | None = None,
    bills: pd.DataFrame | None = None,
    budgets: pd.DataFrame | None = None,
    past_error: pd.DataFrame | None = None,
    business_metrics: pd.DataFrame | None = None,
    reconciled: Table | None = None,
    given: Mapping[str, Any] | None = None,
) -> Table:
    """Every KPI of FinOps for AI: computed from what is given, or stated as unknown with what would make it known.

    Args:
        allocated: what `fa.allocate` (or `fa.price`) returns.
        month: only this month, `YYYY-MM` of the reporting zone.
        timezone: reporting zone; by default the one the rows were made for.
        bills: bill frame of the same period, for what is captured and the reconciliation gap.
        budgets: what `fa.budgets` returns.
        past_error: past plans against what came (`finops_ai.forecasting.past_error`).
        business_metrics: outcomes as `fa.unit_economics` takes them.
        reconciled: what `fa.reconcile` says of the period, instead of `bills`.
        given: values of further measures by id, such as `savings_realised`.

    Returns:
        One row per KPI: `kpi` (label), `of` (the outcome or budget it is for, else ""), `value` (text of the exact figure;
        null where unknown), `unit`, `formula`, `upper` and `lower` (the two figures it divides or subtracts), `about`,
        `remark` (what it leaves out, or why it is unknown and what would make it known) and `id`.

    Raises:
        FrameError: rows that aren't priced.
        DataError: several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> table = fa.kpis(cost, month="2026-10").set_index("id")
        >>> str(round(table.loc["cost_per_1m_tokens", "value"], 4)), table.loc["captured", "remark"]
        ('1.6099', 'unknown: there is no bill; it takes bills')
    """
    if "effective_cost" not in allocated.columns:
        raise FrameError("fa.kpis takes priced rows; call fa.price, and fa.allocate for owners, first.")
    timezone = zone_of(allocated, timezone=timezone)
    window = Window.month(month, timezone) if month else None
    rows = allocated
    if window is not None:
        start = allocated["charge_period_start"]
        rows = allocated[((start >= window.start) & (start < window.end)).to_numpy(bool)]
    currency = currency_of(rows)
    wanted = [m for m in catalogue().values() if m.source == KPI]
    computed = [m.id for m in wanted if not m.given]
    parts = [p for name in computed for p in ingredients(name)]
    cents = PUBLISHED if PUBLISHED in rows.columns else ""
    sums = aggregates([*computed, *parts], cents=cents)
    needs = (*fields([*computed, *parts]), *filter(None, [cents]))
    found = (grouped(rows, [], sums, timezone=timezone, needs=needs) or [{}])[0]
    shown = {name: found.get(CENTS + name, found.get(name)) for name in sums if not name.startswith(CENTS)}
    known = values(found, [*computed, *parts])
    known |= {name: shown[name] for name in shown if catalogue()[name].kind == "money" and known[name] is not None}
    for one in (m for m in wanted if m.minus and cents and known.get(m.id) is not None):
        whole, part = one.minus
        if CENTS + whole not in found:  # it has no cents of its own: it is what it differs by from what has
            known[one.id] = published(known[one.id], currency)
            known[whole] = known[part] + known[one.id]
    if bills is not None and window is not None:
        begun = bills["charge_period_start"]
        bills = bills[((begun >= window.start) & (begun < window.end)).to_numpy(bool)]
    told = _told(rows, timezone, bills, budgets, past_error, reconciled)
    known |= {name: value for name, (value, *_) in told.items()} | dict(given or {})
    out = [_row(m, known, currency, parts=told.get(m.id, ())[1:]) for m in wanted if m.id != "cost_per_outcome"]
    out += _outcomes(rows, business_metrics, timezone, currency)
    columns = ["kpi", "of", "value", "unit", "formula", "upper", "lower", "about", "remark", "id"]
    facts = Facts("KPIs", currency, month or "")
    facts.notes = [
        f"{sum(r['value'] is None for r in out)} of {len(out)} KPIs are unknown; each says what would make it known."
    ]
    return Table.of(
        pd.DataFrame([{c: r[c] for c in columns} for r in out], columns=columns, dtype=object), facts, allocated
    )


def _row(
    one: Measure, known: Mapping[str, Any], currency: str, of: str = "", parts: Sequence[Any] = ()
) -> dict[str, Any]:
    value = known.get(one.id)
    upper, lower = [known.get(name) for name in one.ratio or one.minus] or parts or (None, None)
    if value is None:
        takes = f"; it takes {one.needs}" if one.needs else ""
        remark = f"unknown: {one.unknown_when}{takes}"
    else:
        remark = f"leaves out {one.leaves_out}" if one.leaves_out else ""
    unit = one.unit_of(currency) or {"share": "share (1 is the whole)", "ratio": "ratio"}.get(one.kind, "")
    return {"kpi": one.label, "of": of, "value": value, "unit": unit, "formula": one.formula, "upper": upper,
            "lower": lower, "about": one.about, "remark": remark, "id": one.id}  # fmt: skip


def _told(
    rows: pd.DataFrame,
    timezone: str,
    bills: pd.DataFrame | None,
    budgets: pd.DataFrame | None,
    past_error: pd.DataFrame | None,
    tied: Table | None,
) -> dict[str, tuple[Any, Any, Any]]:
    """What other tables say: each figure, and the two it is made of."""
    out = {"attributed": _attributed(rows, timezone)}
    if tied is None and bills is not None and len(bills):
        from finops_ai.tables.reconcile import reconcile

        tied = reconcile(rows, bills, timezone=timezone)
    if tied is not None:
        shown = tied.published()
        billed, usage, missed = (_sum(shown[c]) for c in ("billed", "billed_usage", "missing_usage"))
        out["captured"] = (tied.facts.coverage.get("captured"), usage - max(missed, Decimal(0)), usage)
        whole, gap = _sum(tied["billed"]), _sum(map(abs, tied["unexplained"].dropna()))
        out["reconciliation_gap"] = (float(gap / abs(whole)) if whole else None, gap, billed)
    if budgets is not None and len(budgets):
        shown = budgets.published() if isinstance(budgets, Table) else budgets  # as the table of budgets states them
        largest = max(shown.to_dict("records"), key=lambda r: r["budget"])
        out["budget_used"] = (largest["used"], largest["spent"], largest["budget"])
        out["budget_variance"] = (largest["spent"] - largest["expected"], largest["spent"], largest["expected"])
    if past_error is not None and len(past_error):
        out |= _past(past_error)
    return out


def _attributed(rows: pd.DataFrame, timezone: str) -> tuple[Any, Any, Any]:
    """The share of cost that belongs to somebody in the first dimension, and the two amounts."""
    from finops_ai.tables.showback import showback

    owners = dimensions_of(rows)[:1]
    table = showback(rows, owners, timezone=timezone)
    cost, nobody = table.published()["cost"], {n for name in owners for n in nobody_of(rows, name)}
    mine = [
        c
        for name in owners
        for c, owner in zip(cost, table[name], strict=True)
        if isinstance(owner, str) and owner not in nobody
    ]
    return table.facts.coverage.get("attributed"), _sum(mine), _sum(cost)


def _sum(values: Iterable[Any]) -> Decimal:
    return sum((v for v in values if not pd.isna(v)), Decimal(0))


def plan_errors(past_error: pd.DataFrame) -> dict[str, float]:
    """How past plans did as a whole: `forecast_error`, `forecast_bias` and `interval_coverage` of the catalogue."""
    return {name: value for name, (value, *_) in _past(past_error).items()}


def _past(past_error: pd.DataFrame) -> dict[str, tuple[Any, Any, Any]]:
    out: dict[str, tuple[Any, Any, Any]] = {}
    came = [
        (Decimal(str(r["p50"])), Decimal(str(r["actual"])), bool(r["inside"])) for r in past_error.to_dict("records")
    ]
    whole = sum((a for _, a, _ in came), Decimal(0))
    if whole:
        missed, signed = _sum(abs(p - a) for p, a, _ in came), _sum(p - a for p, a, _ in came)
        out["forecast_error"] = (float(missed / whole), missed, whole)
        out["forecast_bias"] = (float(signed / whole), signed, whole)
    if came:
        inside = sum(i for _, _, i in came)
        out["interval_coverage"] = (inside / len(came), inside, len(came))
    return out


def _outcomes(rows: pd.DataFrame, business: pd.DataFrame | None, timezone: str, currency: str) -> list[dict[str, Any]]:
    """Cost per outcome, one line per thing the business counts."""
    one = catalogue()["cost_per_outcome"]
    if business is None or not len(business):
        return [_row(one, {}, currency)]
    from finops_ai.tables.unit_economics import unit_economics

    sums: dict[str, list[Decimal]] = {}
    for r in unit_economics(rows, business, timezone=timezone).to_dict("records"):
        if r["cost"] is not None and r["cost"] == r["cost"]:
            kept = sums.setdefault(str(r["metric"]), [Decimal(0), Decimal(0)])
            kept[0] += r["cost"]
            kept[1] += r["value"]
    out = []
    for metric, (cost, count) in sums.items():
        line = _row(one, {one.id: ratio(cost, count)}, currency, metric)
        out.append(line | {"upper": cost, "lower": count, "formula": f"cost / {metric}"})
    return out or [_row(one, {}, currency)]
