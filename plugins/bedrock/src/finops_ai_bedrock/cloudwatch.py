"""CloudWatch metrics of Bedrock to token frames: minutes old, by model, without users or prompts."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from finops_ai.errors import DataError, ProviderUnavailable
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window
from finops_ai_bedrock.aws import Aws
from finops_ai_bedrock.resources import Profiles, read_resource

NAMESPACE = "AWS/Bedrock"
#: meter -> metric names, newest first: one is read, never two (CloudWatch's input count excludes cached tokens)
METRICS = {
    "input": ("InputTokenCount",),
    "cache_read": ("CacheReadInputTokenCount", "CacheReadInputTokens"),
    "cache_write": ("CacheWriteInputTokenCount", "CacheWriteInputTokens"),
    "output": ("OutputTokenCount",),
    "images": ("OutputImageCount",),
    "requests": ("Invocations", "InvocationCount"),
}
#: seconds per point -> days CloudWatch keeps them
KEPT = {60: 15, 300: 63, 3600: 455}
#: a request may hold 500 metrics and 100,800 points
METRICS_A_CALL, POINTS_A_CALL = 500, 100_800


def usage_table(
    aws: Aws,
    window: Window,
    *,
    account: str,
    region: str,
    period: int,
    now: dt.datetime,
    profiles: Profiles,
    notes: list[str],
) -> pa.Table:
    """Token rows of a window, one slice per model and period.

    Args:
        account: account that is asked, and pays.
        region: Region that is asked.
        period: seconds a slice; made longer where CloudWatch keeps no such points any more.
        now: the present, which decides what is still kept.

    Raises:
        ProviderUnavailable: CloudWatch answered with part of the points only.
        DataError: a point that isn't a whole count.
    """
    age = (now - window.start).days
    kept = min((seconds for seconds, days in KEPT.items() if seconds >= period and age < days), default=3600)
    if kept != period:
        notes.append(
            f"bedrock: CloudWatch keeps {period}-second points for {KEPT[period]} days; read in {kept} seconds."
        )
    if age >= KEPT[3600]:
        notes.append("bedrock: CloudWatch keeps nothing older than 455 days; the window's oldest part is empty.")
    metrics = _choose(aws)
    points = _read(aws, metrics, window, kept)
    return _table(points, account, region, kept, profiles)


def _choose(aws: Aws) -> dict[tuple[str, str], str]:
    """(model id, meter) -> metric name, of the metrics the account has."""
    names: dict[str, set[str]] = defaultdict(set)
    for page in aws.pages(
        "cloudwatch", "list_metrics", token="NextToken", next_token="NextToken", needs="Metrics", Namespace=NAMESPACE
    ):
        for metric in page["Metrics"]:
            dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
            if set(dimensions) == {"ModelId"}:
                names[dimensions["ModelId"]].add(metric["MetricName"])
    return {
        (model, meter): next(name for name in known if name in have)
        for model, have in sorted(names.items())
        for meter, known in METRICS.items()
        if have & set(known)
    }


def _read(
    aws: Aws, metrics: Mapping[tuple[str, str], str], window: Window, period: int
) -> dict[tuple[str, dt.datetime], dict[str, int]]:
    found: dict[tuple[str, dt.datetime], dict[str, int]] = defaultdict(dict)
    keys = list(metrics)
    for first in range(0, len(keys), METRICS_A_CALL):
        chunk = keys[first : first + METRICS_A_CALL]
        step = dt.timedelta(seconds=period * (POINTS_A_CALL // len(chunk)))
        queries = [
            {
                "Id": f"m{i}",
                "ReturnData": True,
                "MetricStat": {
                    "Metric": {
                        "Namespace": NAMESPACE,
                        "MetricName": metrics[key],
                        "Dimensions": [{"Name": "ModelId", "Value": key[0]}],
                    },
                    "Period": period,
                    "Stat": "Sum",
                },
            }
            for i, key in enumerate(chunk)
        ]
        for piece in window.pieces(step):
            _read_piece(aws, chunk, queries, piece, found)
    return found


def _read_piece(
    aws: Aws,
    chunk: list[tuple[str, str]],
    queries: list[dict[str, Any]],
    piece: Window,
    found: dict[tuple[str, dt.datetime], dict[str, int]],
) -> None:
    status: dict[str, str] = {}
    for page in aws.pages(
        "cloudwatch", "get_metric_data", token="NextToken", next_token="NextToken", needs="MetricDataResults",
        MetricDataQueries=queries, StartTime=piece.start, EndTime=piece.end, MaxDatapoints=POINTS_A_CALL,
    ):  # fmt: skip
        for result in page["MetricDataResults"]:
            status[result["Id"]] = result.get("StatusCode", "Complete")
            model, meter = chunk[int(result["Id"][1:])]
            for when, value in zip(result["Timestamps"], result["Values"], strict=True):
                moment = when.astimezone(dt.UTC)
                if moment in piece:
                    if value != int(value) or value < 0:
                        raise DataError(
                            f"bedrock: CloudWatch gives {value} for {meter} of {model} at {moment}, not a count."
                        )
                    found[model, moment][meter] = int(value)
    if partial := sorted(metric for metric, code in status.items() if code != "Complete"):
        raise ProviderUnavailable(
            f"bedrock: CloudWatch gave only part of {len(partial)} metrics ({status[partial[0]]}). Nothing of this window "
            "was stored; run the same command again later."
        )


def _table(
    points: Mapping[tuple[str, dt.datetime], Mapping[str, int]],
    account: str,
    region: str,
    period: int,
    profiles: Profiles,
) -> pa.Table:
    if not points:
        return pa.table({})
    read = {text: read_resource(text, profiles) for text in {model for model, _ in points}}
    merged: dict[tuple[str, str | None, str | None, str | None, dt.datetime], dict[str, int]] = defaultdict(dict)
    for (text, moment), counts in points.items():
        found = read[text]
        model = f"{found.geo}.{found.model}" if found.geo and found.model else found.model or text.rpartition("/")[2]
        slot = merged[model, found.resource_id, found.geo, found.name, moment]
        for meter, count in counts.items():  # an id and its ARN are the same model
            slot[meter] = slot.get(meter, 0) + count
    order = sorted(merged, key=lambda key: (key[4], *(str(part) for part in key[:4])))
    step = dt.timedelta(seconds=period)
    slices = {
        "charge_period_start": pa.array([k[4] for k in order], pa.timestamp("us", tz="UTC")),
        "charge_period_end": pa.array([k[4] + step for k in order], pa.timestamp("us", tz="UTC")),
        "provider": "bedrock",
        "billing_account_id": account,
        "sub_account_id": account,
        "region": region,
        "resource_id": pa.array([k[1] for k in order], pa.string()),
        "model": pa.array([k[0] for k in order], pa.string()),
        "operation": pa.array(
            ["embeddings" if "embed" in k[0] else "image" if "images" in merged[k] else "chat" for k in order]
        ),
        "service_tier": "standard",
        "inference_geo": pa.array([k[2] for k in order], pa.string()),
        "tags": pa.array(
            [[("inference_profile", k[3])] if k[3] else None for k in order], pa.map_(pa.string(), pa.string())
        ),
        "source": "api",
        "quantity_basis": "metered",
    }
    meters = {meter: [merged[k].get(meter, 0) for k in order] for meter in METRICS}
    return tokens_from_slices(slices, {m: counts for m, counts in meters.items() if any(counts)})
