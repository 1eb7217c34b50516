"""What would be worth committing to: how much of a day's cost is there on nearly every day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from finops_ai.errors import SettingsError
from finops_ai.forecasting.history import cost_history, end_of_data
from finops_ai.frames.origin import zone_of


def commitment_advice(
    priced: pd.DataFrame,
    discount: float = 0.2,
    *,
    by: Sequence[str] = ("provider",),
    days: int = 90,
    timezone: str | None = None,
) -> pd.DataFrame:
    """How large a daily commitment at a discount would have paid best.

    A commitment that covers usage up to `c` a day costs `(1 - discount) * c` whether used or not; the cost is least
    where usage stays below `c` on a share `discount` of the days. Buy no more than that.

    Returns:
        One row per series: `unique_id`, the columns of `by`, `usage_p10, usage_p50` (cost a day at today's prices),
        `cover` (usage to cover a day), `commit` (what is paid for it a day), `used` (share of the commitment used),
        `spent` on those days, `with_commitment` (what they would have cost) and `saving` (one less the other, 0 to 1).
    """
    if not 0 < discount < 1:
        raise SettingsError(f"discount is {discount}: give a share between 0 and 1, such as 0.2")
    timezone = zone_of(priced, timezone=timezone)
    history = cost_history(priced, by, "D", until=end_of_data(priced, timezone), timezone=timezone)
    rows = []
    for name, part in history.groupby("unique_id"):
        usage = part["y"].to_numpy()[-days:]
        cover = max(float(np.quantile(usage, discount)), 0.0)
        fee = (1 - discount) * cover
        cost = fee * len(usage) + np.maximum(usage - cover, 0).sum()
        used = float(np.minimum(usage, cover).sum() / (cover * len(usage))) if cover else np.nan
        total = float(usage.sum())
        rows.append(
            {
                "unique_id": name,
                **{c: part[c].iloc[0] for c in by},
                "usage_p10": float(np.quantile(usage, 0.1)),
                "usage_p50": float(np.quantile(usage, 0.5)),
                "cover": cover,
                "commit": fee,
                "used": used,
                "spent": total,
                "with_commitment": cost,
                "saving": float(1 - cost / total) if total > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)
