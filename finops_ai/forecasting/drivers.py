"""What a cost is made of: requests x input per request x (1 + output/input) x price per token, exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import SettingsError, hint
from finops_ai.forecasting.history import NONE, TOTAL, local_middle, unique_id
from finops_ai.meters import meters

#: of which `token_cost` is the product
FACTORS = ("requests", "input_per_request", "tokens_per_input", "price_per_token")


def drivers(priced: pd.DataFrame, by: Sequence[str] = (), freq: str = "MS", timezone: str = "UTC") -> pd.DataFrame:
    """Take cost apart into its drivers, period by period.

    Args:
        priced: priced or allocated rows.
        by: columns to split by (team, model, prompt_id, ...).
        freq: `MS` months, `W` weeks or `D` days.
        timezone: reporting zone of the periods.

    Returns:
        `ds, unique_id`, the columns of `by`, then `requests`, `input_per_request` (tokens in, cached or not: prompt
        complexity), `tokens_per_input` (1 + output/input), `price_per_token` (at the period's mix of meters and
        models), `token_cost` (their product), `other_cost` (what isn't billed by token), `cost`, and beside them
        `output_per_input`, `cached_share` (of input read from a cache), `reasoning_share` (of output), `batch_share`
        (of tokens). A ratio without a denominator is null.

    Example:
        >>> day = pd.to_datetime(["2026-01-01"] * 3, utc=True)
        >>> rows = pd.DataFrame({"charge_period_start": day, "meter": ["requests", "input", "output"],
        ...                      "quantity": [10, 1000, 500], "effective_cost": [None, 2.0, 4.0]})
        >>> drivers(rows).iloc[0][["requests", "input_per_request", "tokens_per_input", "price_per_token"]].astype(float).to_dict()
        {'requests': 10.0, 'input_per_request': 100.0, 'tokens_per_input': 1.5, 'price_per_token': 0.004}
    """
    for name in by:
        if name not in priced.columns:
            raise SettingsError(f"The rows have no column {name!r}. {hint(name, [str(c) for c in priced.columns])}")
    known = meters()
    rows = pd.DataFrame({"ds": _period(local_middle(priced, timezone), freq)})
    for name in by:
        rows[name] = priced[name].astype(object).where(priced[name].notna(), NONE).astype(str).to_numpy()
    quantity, cost = _floats(priced["quantity"]), _floats(priced["effective_cost"])
    code, names = pd.factorize(priced["meter"].astype(str))
    told = [known.get(name) for name in names]
    tokens = np.array([m is not None and m.unit == "tokens" for m in told], dtype=bool)[code]
    side = np.array([m.direction if m else "" for m in told], dtype=object)[code]
    batch = (
        (priced["service_tier"] == "batch").to_numpy()
        if "service_tier" in priced.columns
        else np.zeros(len(rows), bool)
    )
    cached = np.array([m is not None and m.cache_action == "read" for m in told], dtype=bool)[code]
    requests, reasoning = (np.array([name == n for n in names], dtype=bool)[code] for name in ("requests", "reasoning"))
    for name, chosen, value in (
        ("requests", requests, quantity),
        ("input", tokens & (side == "input"), quantity),
        ("output", tokens & (side == "output"), quantity),
        ("cached", tokens & cached, quantity),
        ("reasoning", tokens & reasoning, quantity),
        ("batch", tokens & batch, quantity),
        ("token_cost", tokens, cost),
        ("other_cost", ~tokens, cost),
    ):
        rows[name] = np.where(chosen, value, 0.0)
    sums = rows.groupby(["ds", *by], as_index=False).sum(numeric_only=True)
    both = sums["input"] + sums["output"]
    out = sums[["ds", *by]].copy()
    keys = sums[list(by)].itertuples(index=False, name=None)
    out.insert(1, "unique_id", [unique_id(key) for key in keys] if by else TOTAL)
    out["requests"] = sums["requests"]
    out["input_per_request"] = _ratio(sums["input"], sums["requests"])
    out["tokens_per_input"] = _ratio(both, sums["input"])
    out["price_per_token"] = _ratio(sums["token_cost"], both)
    out["token_cost"], out["other_cost"] = sums["token_cost"], sums["other_cost"]
    out["cost"] = sums["token_cost"] + sums["other_cost"]
    out["output_per_input"] = _ratio(sums["output"], sums["input"])
    out["cached_share"] = _ratio(sums["cached"], sums["input"])
    out["reasoning_share"] = _ratio(sums["reasoning"], sums["output"])
    out["batch_share"] = _ratio(sums["batch"], both)
    return out


def _floats(values: pd.Series) -> np.ndarray:
    """Amounts as floats, unknown ones as 0."""
    out: np.ndarray = pc.fill_null(pc.cast(pa.array(values, from_pandas=True), pa.float64()), 0.0).to_numpy(False)
    return out


def _ratio(above: pd.Series, below: pd.Series) -> pd.Series:
    return above / below.where(below > 0)


def _period(instants: pd.Series, freq: str) -> np.ndarray:
    if freq not in ("MS", "W", "D"):
        raise SettingsError(f"freq is {freq!r}: give MS (months), W (weeks) or D (days).")
    out: np.ndarray = instants.dt.to_period({"MS": "M", "W": "W", "D": "D"}[freq]).dt.to_timestamp().to_numpy()
    return out
