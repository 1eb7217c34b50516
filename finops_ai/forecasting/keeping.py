"""Plans that are kept: a version saved as rows of planned use, and the exact bridge from it to what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from finops_ai.errors import DataError
from finops_ai.forecasting.history import NONE, end_of_data, local_middle
from finops_ai.forecasting.making import Plan, make_plan
from finops_ai.forecasting.outlook import build_outlook
from finops_ai.forecasting.scenarios import ScenarioLike, one_scenario
from finops_ai.frames.origin import made_with, zone_of
from finops_ai.frames.types import COST_TYPE
from finops_ai.tables.explain import explain
from finops_ai.tables.result import Facts, Table

if TYPE_CHECKING:
    from finops_ai.prices import PriceBook

#: what a planned line that isn't use is kept as
LINE_MODEL, LINE_METER = "(planned line)", "seats"
#: digits of a planned amount
PLACES = 12
#: what the file of a saved plan says of itself
META = b"finops_ai.plan"


def save_plan(
    priced: pd.DataFrame,
    path: str | Path | None = None,
    *,
    name: str = "plan",
    until: str | None = None,
    scenario: ScenarioLike | None = None,
    book: PriceBook | None = None,
    as_of: str | pd.Timestamp | None = None,
    timezone: str | None = None,
    lines: Sequence[Mapping[str, Any]] = (),
    overrides: Sequence[Mapping[str, Any]] = (),
    holidays: Iterable[object] = (),
) -> Table:
    """Keep a plan under a name, as rows of planned use that can be bridged to what comes.

    Args:
        priced: priced or allocated rows.
        path: Parquet file to write; none keeps it in memory only.
        name: of this version, such as "board plan".
        until, scenario, book, as_of, timezone, lines, overrides, holidays: as in `plan`.

    Returns:
        One row per month, dimension values, provider, model, prompt, meter and tier: `quantity` and `effective_cost`
        planned, from the first day ahead on. The costs of a month add up to the plan's P50 of it.

    Raises:
        DataError: fewer than three days of history, or several currencies.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=3)), fa.sample.rules())
        >>> board = fa.save_plan(cost[cost["charge_period_start"] < "2026-10-01"], name="board plan", until="2026-10")
        >>> fa.compare_plans(board, cost)[["month", "planned", "actual"]]
        From board plan to actual 2026-10 to 2026-10
        month      planned     actual
        2026-10  26,891.21  28,393.34
        ...
    """
    timezone = zone_of(priced, timezone=timezone)
    change = None if scenario is None else one_scenario(scenario)
    end = (end_of_data(priced, timezone) if as_of is None else pd.Timestamp(as_of).tz_localize(None)).normalize()
    keep = [c for c in ("prompt_id",) if c in priced.columns]
    made = make_plan(
        priced,
        until=until,
        scenario=change,
        book=book,
        as_of=as_of,
        timezone=timezone,
        lines=lines,
        overrides=overrides,
        holidays=holidays,
    )
    frame = _planned_rows(made, priced, timezone, keep)
    made_with(frame, priced, dimensions=list(made.history.dimensions), timezone=timezone)
    frame.attrs["plan"] = {
        "name": name,
        "since": f"{end:%Y-%m-%d}",
        "until": made.projection.months[-1],
        "timezone": timezone,
    }
    facts = Facts(
        f"{name}, made on {end:%Y-%m-%d}",
        made.history.currency,
        f"{end:%Y-%m} to {made.projection.months[-1]}",
        money=["effective_cost"],
    )
    facts.conserves = "effective_cost of a month adds up to the plan's P50 of it"
    facts.notes = list(made.notes)
    table = Table.of(frame, facts)
    table.attrs.update(frame.attrs)
    if path is not None:
        _write(table, Path(path))
    return table


def _planned_rows(made: Plan, priced: pd.DataFrame, timezone: str, keep: Sequence[str]) -> pd.DataFrame:
    p = made.projection
    columns = [c for c in made.leaves.columns if c != "cell"]
    keys = [tuple(map(str, k)) for k in made.leaves[columns].itertuples(index=False, name=None)]
    outlook = made.outlook
    if outlook is None:
        outlook = build_outlook(priced, columns, keys, p.days, p.leaf_days, None, timezone, keep)
    names = [" / ".join(k) if k else "total" for k in keys]
    place = {n: i for i, n in enumerate(names)}
    before = outlook.by_series(names)
    scale = np.divide(p.leaf_days, before, out=np.ones_like(before), where=before != 0)
    of_part = outlook.parts["unique_id"].map(place).to_numpy()
    cost, quantity = p.by_month(outlook.cost * scale[of_part]), p.by_month(outlook.quantity * scale[of_part])
    missing = p.by_month(np.where(before == 0, p.leaf_days, 0.0))
    rows: list[dict[str, object]] = []
    identity = list(dict.fromkeys([*columns, "provider", "model", "prompt_id", "meter", "service_tier"]))
    parts: list[dict[str, Any]] = outlook.parts[identity].to_dict("records")  # type: ignore[assignment]
    for m, month in enumerate(p.months):
        first = max(pd.Period(month, "M").start_time, p.days[0])
        last = pd.Period(month, "M").end_time.normalize() + pd.Timedelta(days=1)
        when = {"charge_period_start": first, "charge_period_end": last}
        for i, part in enumerate(parts):
            if cost[i, m] or quantity[i, m]:
                rows.append({**when, **part, "quantity": quantity[i, m], "effective_cost": cost[i, m]})
        for leaf in np.flatnonzero(missing[:, m]):
            own = dict(zip(columns, keys[leaf], strict=True))
            rows.append(
                {
                    **when,
                    **own,
                    "model": own.get("model", LINE_MODEL),
                    "meter": LINE_METER,
                    "quantity": 1.0,
                    "effective_cost": missing[leaf, m],
                }
            )
    frame = pd.DataFrame(rows)
    for c in ("charge_period_start", "charge_period_end"):
        frame[c] = frame[c].dt.tz_localize(timezone).dt.tz_convert("UTC")
    for c in identity:
        frame[c] = frame[c].where(frame[c] != NONE, None)
    for c, kind in (("quantity", pa.decimal128(38, PLACES)), ("effective_cost", COST_TYPE)):
        exact = [Decimal(repr(round(float(v), PLACES))) for v in frame[c]]
        frame[c] = pd.Series(exact, index=frame.index, dtype=pd.ArrowDtype(kind))
    return frame.assign(pricing_currency=made.history.currency)


def _write(table: Table, path: Path) -> None:
    import json

    out = pa.Table.from_pandas(pd.DataFrame(table), preserve_index=False)
    meta = {"plan": table.attrs["plan"], "origin": table.attrs.get("finops_ai", {})}
    out = out.replace_schema_metadata({**(out.schema.metadata or {}), META: json.dumps(meta).encode()})
    part = path.with_suffix(path.suffix + ".part")
    pq.write_table(out, part)
    part.replace(path)


def read_plan(path: str | Path) -> Table:
    """A plan that was saved.

    Args:
        path: the Parquet file that `save_plan` wrote.

    Returns:
        The table that `save_plan` gave.

    Raises:
        DataError: there is no such file, or it isn't a saved plan.

    Example:
        >>> import finops_ai as fa
        >>> fa.read_plan("board-plan.parquet")
        Traceback (most recent call last):
        ...
        finops_ai.errors.DataError: There is no saved plan board-plan.parquet.
    """
    import json

    place = Path(path)
    if not place.exists():
        raise DataError(f"There is no saved plan {path}.")
    try:
        found = pq.read_table(place)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} can't be read as a saved plan: {error}") from None
    meta = (found.schema.metadata or {}).get(META)
    if meta is None:
        raise DataError(f"{path} isn't a saved plan; `save_plan` writes them.")
    told = json.loads(meta)
    frame = found.replace_schema_metadata(None).to_pandas(types_mapper=pd.ArrowDtype)
    table = Table.of(frame, Facts(f"{told['plan']['name']}, made on {told['plan']['since']}", money=["effective_cost"]))
    table.attrs.update({"plan": told["plan"], "finops_ai": told["origin"]})
    return table


def _in_decimals(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose amounts are exact, whatever they came as."""
    out = rows.copy()
    for name in ("quantity", "effective_cost"):
        if pd.api.types.is_float_dtype(out[name]):
            exact = [
                None if pd.isna(v) else Decimal(repr(float(v))).quantize(Decimal(1).scaleb(-PLACES)) for v in out[name]
            ]
            out[name] = pd.Series(exact, index=out.index, dtype=pd.ArrowDtype(COST_TYPE))
    return out


def compare_plans(
    saved: pd.DataFrame | str | Path,
    actual: pd.DataFrame,
    by: Sequence[str] = (),
    *,
    months: Sequence[str] | None = None,
) -> Table:
    """Bridge a saved plan to what came, by the effects of `explain`: volume, prompts, model, price, new, ended, fees.

    Args:
        saved: what `save_plan` gave, or the file it wrote.
        actual: priced or allocated rows of the same months, as they came; rows before the plan's first day don't count.
        by: dimensions (owners) or other columns to tell apart.
        months: months to compare; by default those of the plan that the rows cover.

    Returns:
        One row per month and group, `month`, the columns of `by`, `planned`, `actual`, `difference` and one column per
        effect, which add up to the difference exactly.

    Raises:
        DataError: the rows cover no month of the plan.

    Example:
        >>> import finops_ai as fa
        >>> cost = fa.allocate(fa.price(fa.sample(months=3)), fa.sample.rules())
        >>> plan = fa.save_plan(cost[cost["charge_period_start"] < "2026-10-01"], until="2026-10")
        >>> list(fa.compare_plans(plan, cost)["month"])
        ['2026-10']
    """
    plan = read_plan(saved) if isinstance(saved, str | Path) else saved
    told: dict[str, Any] = plan.attrs.get("plan", {})
    if not told:
        raise DataError("This isn't a saved plan; `save_plan` gives one.")
    zone = zone_of(actual, timezone=told["timezone"])
    then, when = local_middle(pd.DataFrame(plan), zone), local_middle(actual, zone)
    ahead = (when >= pd.Timestamp(told["since"])).to_numpy()
    end = end_of_data(actual, zone)
    planned_in, came_in = then.dt.strftime("%Y-%m").to_numpy(), when.dt.strftime("%Y-%m").to_numpy()
    known = sorted(set(planned_in))
    covered = [m for m in known if pd.Period(m, "M").end_time.normalize() < end]
    wanted = covered if months is None else [m for m in months if m in known]
    if not wanted:
        raise DataError(
            f"The rows end before {end:%Y-%m-%d}: no whole month of the plan ({known[0]} to {known[-1]}) is over."
        )
    tables, notes = [], []
    for month in wanted:
        before = pd.DataFrame(plan)[planned_in == month]
        before.attrs.update(plan.attrs)
        # told apart by what the plan tells apart: a key or region it didn't plan by is no news
        after = actual.loc[ahead & (came_in == month), [c for c in actual.columns if c in before.columns]]
        after = _in_decimals(after)
        after.attrs.update(actual.attrs)
        bridge = explain(before, after, by=list(by), timezone=zone)
        notes += [f"{month}: {text}" for text in bridge.facts.notes[:3]]
        frame = pd.DataFrame(bridge).rename(columns={"before": "planned", "after": "actual", "change": "difference"})
        frame.insert(0, "month", month)
        tables.append(frame)
    out = pd.concat(tables, ignore_index=True)
    money = [c for c in out.columns if c not in ("month", *by)]
    facts = Facts(
        f"From {told['name']} to actual", str(plan["pricing_currency"].iloc[0]), f"{wanted[0]} to {wanted[-1]}",
        "planned plus the effects is actual, exactly", notes=notes, money=money,
    )  # fmt: skip
    return Table.of(out, facts, actual)
