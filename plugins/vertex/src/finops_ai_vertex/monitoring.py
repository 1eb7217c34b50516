"""Cloud Monitoring's token counts to token frames: minutes old, by project, model and place, without users."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa

from finops_ai.errors import DataError, ProviderError
from finops_ai.meters import tokens_from_slices
from finops_ai.periods import Window, instant, iso
from finops_ai.providers import HttpClient

ENDPOINT = "https://monitoring.googleapis.com"
TOKENS = "aiplatform.googleapis.com/publisher/online_serving/token_count"
CALLS = "aiplatform.googleapis.com/publisher/online_serving/model_invocation_count"
#: seconds a point, so a slice
PERIOD = 3600
Slice = tuple[str, str, str, str, dt.datetime]


class GoogleAuth(httpx.Auth):
    """Signs requests with Google credentials, renewing them when they run out."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        """Add the token."""
        if not self._credentials.valid:
            from google.auth.transport.requests import Request

            self._credentials.refresh(Request())
        if self._credentials.token:
            request.headers["authorization"] = f"Bearer {self._credentials.token}"
        yield request


def usage_table(client: HttpClient, projects: list[str], window: Window, account: str | None) -> pa.Table:
    """Token rows of a window, one slice per project, model, place, kind of traffic and hour.

    Args:
        client: Monitoring's REST API.
        projects: projects to ask for.
        window: half-open window.
        account: billing account, where the settings name it; else the project stands in.

    Raises:
        ProviderError: an answer lacks what it must have, or a page token comes twice.
        DataError: a count isn't one.
    """
    found: dict[Slice, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for project in projects:
        for metric in (TOKENS, CALLS):
            for series in _series(client, project, metric, window):
                _take(found, series, project, metric, window)
    if not found:
        return pa.table({})
    order = sorted(found, key=lambda key: (key[4], key[:4]))
    stamp, text = pa.timestamp("us", tz="UTC"), pa.string()
    slices = {
        "charge_period_start": pa.array([k[4] for k in order], stamp),
        "charge_period_end": pa.array([k[4] + dt.timedelta(seconds=PERIOD) for k in order], stamp),
        "provider": "vertex",
        "billing_account_id": pa.array([account or k[0] for k in order], text),
        "sub_account_id": pa.array([k[0] for k in order], text),
        "region": pa.array([k[2] or None for k in order], text),
        "model": pa.array([k[1] for k in order], text),
        "operation": pa.array(["embeddings" if "embed" in k[1] else "chat" for k in order], text),
        "service_tier": pa.array(["provisioned" if k[3] == "dedicated" else "standard" for k in order], text),
        "source": "api",
        "quantity_basis": "metered",
    }
    names = sorted({meter for counts in found.values() for meter in counts})
    return tokens_from_slices(slices, {m: [found[k].get(m, 0) for k in order] for m in names})


def _series(client: HttpClient, project: str, metric: str, window: Window) -> Iterator[dict[str, Any]]:
    parameters = {
        "filter": f'metric.type = "{metric}"',
        "interval.startTime": iso(window.start),
        "interval.endTime": iso(window.end),
        "aggregation.alignmentPeriod": f"{PERIOD}s",
        "aggregation.perSeriesAligner": "ALIGN_SUM",
        "view": "FULL",
    }
    seen: set[str] = set()
    while True:
        page = client.get(f"v3/projects/{project}/timeSeries", parameters)
        if not isinstance(page, dict):
            raise ProviderError("vertex: Cloud Monitoring's answer is no list of time series. Nothing was stored.")
        yield from page.get("timeSeries", [])
        token = page.get("nextPageToken")
        if not token:
            return
        if token in seen:
            raise ProviderError(
                "vertex: Cloud Monitoring gave the same page token twice; the pages would be counted twice. Nothing was "
                "stored; run the same command again."
            )
        seen.add(token)
        parameters["pageToken"] = token


def _take(
    found: dict[Slice, dict[str, int]], series: dict[str, Any], project: str, metric: str, window: Window
) -> None:
    try:
        labels, place = series["metric"].get("labels", {}), series["resource"]["labels"]
        model = place.get("model_user_id") or place["model_version_id"]
        kind = labels.get("request_type", "shared")
        meter = "requests" if metric == CALLS else {"input": "input", "output": "output"}[labels["type"]]
        for point in series.get("points", []):
            start = instant(point["interval"]["endTime"]) - dt.timedelta(seconds=PERIOD)
            if start in window:
                count = int(point["value"]["int64Value"])
                if count < 0:
                    raise DataError(f"vertex: Cloud Monitoring counts {count} {meter} of {model} at {iso(start)}.")
                found[project, str(model), str(place.get("location", "")), kind, start][meter] += count
    except KeyError as missing:
        raise ProviderError(
            f"vertex: Cloud Monitoring's time series has no {missing}; its form has changed. Nothing was stored."
        ) from None
