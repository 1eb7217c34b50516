"""The sample company's gateway: its daily sums by team, as a dump of the table `LiteLLM_DailyTeamSpend`.

The gateway deletes single calls after a while and keeps these sums: per day, team, virtual key and model. They cover
the calls that the provider bills to one shared key, so they split that key's cost and are never added to it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COUNTS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "requests", "list_cost"]


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the table as one Parquet file; returns its path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    frame = slices[slices["gateway"]].assign(date=lambda f: f["charge_period_start"].dt.strftime("%Y-%m-%d"))
    rows = []
    for row in (
        frame.groupby(["date", "team", "provider", "model"], sort=True)[COUNTS].sum().reset_index().to_dict("records")
    ):
        written = int(row["cache_write_5m"] + row["cache_write_1h"])
        name = "|".join(row[key] for key in ("date", "team", "provider", "model"))
        rows.append(
            {
                "id": hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(),
                "team_id": row["team"],
                "date": row["date"],
                "api_key": hashlib.sha256(f"virtual key of {row['team']}".encode()).hexdigest(),
                "model": row["model"],
                "model_group": row["model"],
                "custom_llm_provider": row["provider"],
                "prompt_tokens": int(row["input"] + row["cache_read"]) + written,
                "completion_tokens": int(row["output"] + row["reasoning"]),
                "cache_read_input_tokens": int(row["cache_read"]),
                "cache_creation_input_tokens": written,
                "spend": float(row["list_cost"]),
                "api_requests": int(row["requests"]),
                "successful_requests": int(row["requests"]),
                "failed_requests": 0,
            }
        )
    path = folder / "LiteLLM_DailyTeamSpend.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    return [path]
