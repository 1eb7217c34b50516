"""The sample company's telemetry of the calls behind its gateway: token counters as the OpenTelemetry collector's file
exporter writes them, one line a month, a point a day, service, prompt and model (delta temporality).

It covers the calls that the provider bills to one shared key and tells their teams and prompts; it is never added to
the provider's own figures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COUNTERS = {
    "gen_ai.client.inference.usage.input_tokens": ("input", "cache_read", "cache_write_5m", "cache_write_1h"),
    "gen_ai.client.inference.usage.output_tokens": ("output", "reasoning"),
    "gen_ai.client.inference.usage.cache_read.input_tokens": ("cache_read",),
    "gen_ai.client.inference.usage.cache_write.input_tokens": ("cache_write_5m", "cache_write_1h"),
    "gen_ai.client.inference.usage.reasoning.output_tokens": ("reasoning",),
}
DURATION = "gen_ai.client.inference.duration"
METERS = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "requests"]
DAY_NANO = 86_400 * 10**9


def write(slices: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the file; returns its path."""
    frame = slices[slices["gateway"]]
    keys = ["charge_period_start", "team", "product", "cost_centre", "provider", "model", "prompt_id"]
    sums = frame.groupby(keys, sort=True)[METERS].sum().reset_index()
    lines = []
    for _, month in sums.groupby(sums["charge_period_start"].dt.strftime("%Y-%m"), sort=True):
        groups = [_service(str(team), rows) for team, rows in month.groupby("team", sort=True)]
        lines.append(json.dumps({"resourceMetrics": groups}, separators=(",", ":")))
    path = folder / "metrics.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [path]


def _service(team: str, rows: pd.DataFrame) -> dict[str, Any]:
    """One service's metrics."""
    points: dict[str, list[Any]] = {name: [] for name in [*COUNTERS, DURATION]}
    for row in rows.to_dict("records"):
        name, _, version = row["prompt_id"].partition("@")
        start = int(row["charge_period_start"].timestamp()) * 10**9
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": row["provider"],
            "gen_ai.request.model": row["model"],
            "gen_ai.prompt.name": name,
            "gen_ai.prompt.version": version,
        }
        time = {"startTimeUnixNano": str(start), "timeUnixNano": str(start + DAY_NANO)}
        for counter, meters in COUNTERS.items():
            if value := sum(int(row[meter]) for meter in meters):
                told = _pairs({**attributes, "gen_ai.token.modality": "text"})
                points[counter].append({"attributes": told, **time, "asInt": str(value)})
        calls = int(row["requests"])
        points[DURATION].append({"attributes": _pairs(attributes), **time, "count": str(calls), "sum": calls * 1.5})
    metrics: list[dict[str, Any]] = [
        {
            "name": name,
            "unit": "{token}",
            "sum": {"aggregationTemporality": 1, "isMonotonic": True, "dataPoints": points[name]},
        }
        for name in COUNTERS
        if points[name]
    ]
    metrics.append(
        {"name": DURATION, "unit": "s", "histogram": {"aggregationTemporality": 1, "dataPoints": points[DURATION]}}
    )
    resource = {
        "service.name": "desk-assistant",
        "team": team,
        "product": str(rows["product"].iloc[0]),
        "cost_centre": str(rows["cost_centre"].iloc[0]),
    }
    return {
        "resource": {"attributes": _pairs(resource)},
        "scopeMetrics": [{"scope": {"name": "gateway"}, "metrics": metrics}],
    }


def _pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in values.items() if value]
