"""Unit economics: cost per outcome, by joining cost with the business's own figures."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from finops_ai.errors import FrameError, SettingsError, hint
from finops_ai.frames import to_pandas
from finops_ai.frames.origin import zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.money import exact, written
from finops_ai.periods import parse_month
from finops_ai.tables.grouping import TIMES, UNALLOCATED, currency_of, grouped
from finops_ai.tables.result import Facts, Table, safe_ratio

if TYPE_CHECKING:
    from finops_ai.workspace import Workspace


def unit_economics(
    allocated: pd.DataFrame, business_metrics: pd.DataFrame, *, per: str = "month", timezone: str | None = None
) -> Table:
    """Cost per ticket, customer, document or unit of revenue.

    Args:
        allocated: what `fa.allocate` returns.
        business_metrics: one row per period and outcome count: `day` or `month`, `metric` (what is counted), `value`
            (how many, 0 or more) and a column per dimension it is counted for.
        per: "month", "week" or "day": the period of the result.
        timezone: reporting zone; by default the one the rows were made for.

    Returns:
        One row per period, dimensions and metric: `cost`, `value`, `cost_per_outcome` (null where nothing was counted),
        `requests_per_outcome`, and `change` (cost per outcome against the period before, as a share). The notes state cost
        of counted dimensions that no metric covers.

    Raises:
        FrameError: a missing column, an unknown dimension, a negative or unreadable value.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=1)), fa.sample.rules())
        >>> table = fa.unit_economics(cost, fa.sample.business_metrics())
        >>> table[table["month"] == "2026-10"][["product", "metric", "value", "cost_per_outcome"]].head(2)
        Cost per outcome
        product              metric                value  cost_per_outcome
        contract-review      contracts reviewed    2,789            0.2986
        document-extraction  documents processed  99,053           0.02317
        ...
    """
    timezone = zone_of(allocated, timezone=timezone)
    if per not in TIMES:
        raise FrameError(f"per must be one of {', '.join(TIMES)}, not {per!r}.")
    time = next((c for c in ("day", "month") if c in business_metrics.columns), None)
    if time is None or not {"metric", "value"} <= set(business_metrics.columns):
        raise FrameError("Business metrics need the columns day or month, metric and value.")
    if time == "month" and per != "month":
        raise FrameError(f"The metrics are monthly, so they can't be shown per {per}.")
    dims = [c for c in business_metrics.columns if c not in (time, "metric", "value")]
    for dim in dims:
        if dim not in allocated.columns:
            raise FrameError(
                f"Business metrics name a dimension {dim!r} that the rows don't have. {hint(dim, list(allocated.columns))}"
            )
    counted = _counted(business_metrics, time, per, dims)
    measures = {"cost": "sum(effective_cost)", "requests": "sum(quantity) FILTER (WHERE meter = 'requests')"}
    found = grouped(allocated, [per, *dims], measures, timezone=timezone, needs=("effective_cost", "quantity", "meter"))
    costs = {tuple(str(g[k]) for k in (per, *dims)): g for g in found}
    rows: list[dict[str, Any]] = []
    last: dict[tuple[Any, ...], Decimal] = {}
    for key in sorted(counted):
        period, *rest, metric = key
        g = costs.get((period, *rest))
        cost = g["cost"] if g else None
        each = safe_ratio(cost, counted[key])
        before = last.get((*rest, metric))
        rows.append(
            dict(zip((per, *dims, "metric"), key, strict=True))
            | {"cost": cost, "value": counted[key], "cost_per_outcome": each}
            | {
                "requests_per_outcome": float(g["requests"] / counted[key])
                if g and g["requests"] and counted[key]
                else None
            }
            | {"change": float(each / before - 1) if each is not None and before else None}
        )
        if each is not None:
            last[(*rest, metric)] = each
    kinds: dict[str, pa.DataType] = {k: pa.string() for k in (per, *dims, "metric")}
    kinds |= {"cost": COST_TYPE, "value": pa.decimal128(38, 6), "cost_per_outcome": COST_TYPE}
    kinds |= {"requests_per_outcome": pa.float64(), "change": pa.float64()}
    facts = Facts("Cost per outcome", currency_of(allocated), money=["cost"])
    covered = {key[:-1] for key in counted}
    loose = sum(
        (g["cost"] or Decimal(0) for k, g in costs.items() if k not in covered and UNALLOCATED not in k), Decimal(0)
    )
    whole = sum((g["cost"] or Decimal(0) for g in costs.values()), Decimal(0))
    facts.coverage = {"with outcomes": float(1 - loose / whole) if whole else None}
    if loose:
        facts.notes.append(f"{written(loose, facts.currency)} {facts.currency} of cost has no business metric.")
    return Table.of(
        to_pandas(pa.table({n: pa.array([r[n] for r in rows], k) for n, k in kinds.items()})), facts, allocated
    )


def workspace_metrics(ws: Workspace) -> pd.DataFrame | None:
    """What the business counts, from the file that `[business]` of finops.toml names; None without one.

    Args:
        ws: the workspace.

    Raises:
        SettingsError: an unknown key, or a file that isn't there or can't be read.
    """
    table = ws.settings.policies.get("business")
    if not table:
        return None
    if not isinstance(table, Mapping) or set(table) != {"file"}:
        raise SettingsError(
            '[business] names a file: file = "business.csv", with month or day, metric, value and dimensions.'
        )
    path = ws.settings.path(str(table["file"]))
    if not path.is_file():
        raise SettingsError(f"[business] file: there is no {path}.")
    try:
        found = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype="str")
    except (OSError, ValueError) as error:
        raise SettingsError(f"[business] file: {path} can't be read: {error}") from error
    found.columns = [str(c).strip() for c in found.columns]
    return found


def _counted(metrics: pd.DataFrame, time: str, per: str, dims: list[str]) -> dict[tuple[Any, ...], Decimal]:
    out: dict[tuple[Any, ...], Decimal] = {}
    for number, row in enumerate(metrics.astype(object).to_dict("records"), 1):
        try:
            value = exact(row["value"])
        except (ValueError, ArithmeticError):
            raise FrameError(f"Business metrics, row {number}: value {row['value']!r} is not a number.") from None
        if value < 0:
            raise FrameError(f"Business metrics, row {number}: value {value} is negative.")
        day = str(row[time])[:10]
        try:
            parse_month(day[:7]) if time == "month" else dt.date.fromisoformat(day)
        except (ValueError, SettingsError):
            raise FrameError(
                f"Business metrics, row {number}: {time} {row[time]!r} is no {time}, such as 2026-10."
            ) from None
        period = day[:7] if per == "month" else day
        if per == "week":
            stamp = pd.Timestamp(day)
            period = f"{stamp - pd.Timedelta(days=stamp.weekday()):%Y-%m-%d}"
        key = (period, *(str(row[d]) for d in dims), str(row["metric"]))
        out[key] = out.get(key, Decimal(0)) + value
    return out
