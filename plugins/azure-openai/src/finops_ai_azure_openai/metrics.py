"""Azure Monitor metrics as token frames: tokens and requests per deployment and time grain.

Two sets of metrics count the same tokens: `InputTokens`/`OutputTokens` (all models, newer) and
`ProcessedPromptTokens`/`GeneratedTokens` (Azure OpenAI, older). Per deployment and grain one set is used, never both:
the newer where it counted anything, else the older.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from finops_ai.errors import DataError, ProviderError, UsageError
from finops_ai.money import exact
from finops_ai.periods import Window, instant, iso
from finops_ai.providers import HttpClient, HttpRefused
from finops_ai.providers.parsing import require_shape
from finops_ai_azure_openai.arm import ResourceId, resource_id
from finops_ai_azure_openai.deployments import Deployment, model_id
from finops_ai_azure_openai.shapes import METRICS

API_VERSION = "2024-02-01"
NAMESPACE = "Microsoft.CognitiveServices/accounts"
GRAINS = {
    "PT1M": dt.timedelta(minutes=1),
    "PT5M": dt.timedelta(minutes=5),
    "PT15M": dt.timedelta(minutes=15),
    "PT30M": dt.timedelta(minutes=30),
    "PT1H": dt.timedelta(hours=1),
    "PT6H": dt.timedelta(hours=6),
    "PT12H": dt.timedelta(hours=12),
    "P1D": dt.timedelta(days=1),
}
#: how long Azure Monitor keeps platform metrics (https://learn.microsoft.com/azure/azure-monitor/essentials/data-platform-metrics)
KEPT = dt.timedelta(days=93)
#: series per answer; the service's own default is 10 and drops the rest in silence
TOP = 10_000
#: points of one series in one answer
POINTS = 1_440

NEW_TOKENS = ("InputTokens", "OutputTokens", "AudioInputTokens", "AudioOutputTokens", "cacheReadInputTokens",
              "ephemeral5mInputTokens", "ephemeral1hInputTokens", "TotalTokens")  # fmt: skip
OLD_TOKENS = ("ProcessedPromptTokens", "GeneratedTokens", "AudioPromptTokens", "AudioCompletionTokens")
#: the same counts in an OpenAI usage object, for the shared normaliser
FORMAT = "openai.chat"
PATHS = (
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details.audio_tokens",
    "completion_tokens_details.audio_tokens",
    "prompt_tokens_details.cached_tokens",
    "prompt_tokens_details.cache_creation_input_tokens",
    "prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens",
    "prompt_tokens_details.cache_creation.ephemeral_1h_input_tokens",
)
OTHERS = {"GeneratedImages": "images", "TotalPages": "pages", "FineTunedTrainingHours": "training_hours"}
REQUESTS = ("ModelRequests", "AzureOpenAIRequests")
UTILISATION = "AzureOpenAIProvisionedManagedUtilizationV2"
_BY_MODEL = ("ModelDeploymentName", "ModelName", "ModelVersion")
_BY_CALL = (*_BY_MODEL, "StatusCode", "ServiceTierResponse")

#: what one account is asked: metric names, dimensions they share, aggregation
QUESTIONS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    ((*NEW_TOKENS, "GeneratedImages", "TotalPages"), _BY_MODEL, "Total"),
    (("ProcessedPromptTokens", "GeneratedTokens"), ("ModelDeploymentName", "ModelVersion"), "Total"),
    (("AudioPromptTokens", "AudioCompletionTokens"), _BY_MODEL, "Total"),
    (("ModelRequests",), _BY_CALL, "Total"),
    (("AzureOpenAIRequests",), _BY_CALL, "Total"),
    (("FineTunedTrainingHours",), ("ModelDeploymentName",), "Total"),
    ((UTILISATION,), ("ModelDeploymentName",), "Average"),
)
#: the questions without which there are no tokens at all
ESSENTIAL = ("InputTokens", "ProcessedPromptTokens")
TIERS = {"": "standard", "default": "standard", "standard": "standard", "auto": "standard", "scale": "standard",
         "priority": "priority", "flex": "flex", "batch": "batch"}  # fmt: skip


def fetch(
    client: HttpClient, account: ResourceId, window: Window, interval: str, notes: list[str], provisioned: bool
) -> Iterator[Any]:
    """The metric answers of one account for every grain that starts in the window.

    A metric this account doesn't have is left out with a note; both token sets missing is an error.
    """
    grain = GRAINS[interval]
    refused = []
    for names, dimensions, aggregation in QUESTIONS:
        if names == (UTILISATION,) and not provisioned:
            continue
        params = {
            "api-version": API_VERSION,
            "metricnamespace": NAMESPACE,
            "interval": interval,
            "metricnames": ",".join(names),
            "aggregation": aggregation,
            "$filter": " and ".join(f"{dimension} eq '*'" for dimension in dimensions),
            "top": str(TOP),
            "AutoAdjustTimegrain": "false",
        }
        try:
            for piece in whole_grains(window, grain).pieces(POINTS * grain):
                span = f"{iso(piece.start)}/{iso(piece.end)}"
                path = f"{account.path}/providers/Microsoft.Insights/metrics"
                yield client.get(path, params={**params, "timespan": span})
        except HttpRefused as error:
            if error.status != 400:
                raise
            refused.append(names[0])
            if set(ESSENTIAL) <= set(refused):
                raise
            notes.append(f"{account.account}: no {', '.join(names)}: {error.said}")


def whole_grains(window: Window, grain: dt.timedelta) -> Window:
    """The window widened to whole grains, which the service counts from midnight UTC."""
    midnight = window.start.replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight + (window.start - midnight) // grain * grain
    return Window(start, start + -(-(window.end - start) // grain) * grain)


@dataclass(frozen=True)
class Point:
    """One value of one metric for one combination of dimensions and one grain."""

    metric: str
    account: ResourceId
    dimensions: Mapping[str, str]
    start: dt.datetime
    grain: dt.timedelta
    value: Decimal
    region: str | None


def parse(documents: Iterable[tuple[str, Any]]) -> Iterator[Point]:
    """The points of metric answers; a point without a value is no point.

    Args:
        documents: (where it is from, answer of the metrics interface).

    Raises:
        ProviderError: the service says a metric failed, or more series than asked for were cut.
        DataError: the answer lacks what is needed to read it; names the field.
    """
    for place, document in documents:
        require_shape(document, METRICS, place)
        grain = GRAINS.get(document.get("interval", ""))
        if grain is None:
            raise DataError(
                f"{place}: the interval is {document.get('interval')!r}; ask for one of {', '.join(GRAINS)}."
            )
        for metric in document["value"]:
            name, account = _name(metric, place), resource_id(metric.get("id"))
            if account is None:
                raise DataError(
                    f"{place}: metric {name} has no resource id of an Azure AI account: {metric.get('id')!r}."
                )
            if metric.get("errorCode", "Success") != "Success":
                said = metric.get("errorMessage") or "no reason given"
                raise ProviderError(
                    f"azure-openai: metric {name} of {account.account} failed ({metric['errorCode']}: {said}). "
                    "Nothing was stored; run the command again."
                )
            if len(metric.get("timeseries") or ()) >= TOP:
                raise ProviderError(
                    f"azure-openai: {name} of {account.account} has {TOP} series or more, some may be cut."
                )
            for series in metric.get("timeseries") or ():
                dimensions = {
                    ((d.get("name") or {}).get("value") or "").lower(): d.get("value") or ""
                    for d in series.get("metadatavalues") or ()
                }
                for point in series.get("data") or ():
                    value = point.get("total", point.get("average"))
                    if value is not None:
                        start = instant(point["timeStamp"])
                        region = document.get("resourceregion")
                        yield Point(name, account, dimensions, start, grain, exact(value), region)


def _name(metric: Any, place: str) -> str:
    try:
        return metric["name"]["value"]
    except (KeyError, TypeError):
        raise DataError(f"{place}: a metric has no name.value; is this an answer of the metrics interface?") from None


@dataclass
class Slice:
    """What was counted for one deployment, model and grain."""

    deployment: Deployment
    start: dt.datetime
    grain: dt.timedelta
    region: str | None
    totals: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    tiers: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def counted(self, names: Iterable[str]) -> bool:
        """Whether any of these metrics counted anything."""
        return any(self.totals.get(name) for name in names)

    def whole(self, name: str) -> int:
        """A count as a whole number.

        Raises:
            DataError: it has a fraction.
        """
        value = self.totals.get(name, Decimal(0))
        if value != value.to_integral_value():
            raise DataError(f"{name} of {self.deployment.id} at {iso(self.start)} is {value}, not a whole number.")
        return int(value)


def slices(points: Iterable[Point], deployments: Mapping[str, Deployment], window: Window) -> list[Slice]:
    """Gather points by deployment, model and grain; grains that start outside the window are left out.

    A deployment that is gone from the account keeps the model the metric names; failing that, its name stands for it.
    Only answered calls count as requests (status 2xx, or no status stated).
    """
    found: dict[tuple[str, str, dt.datetime], Slice] = {}
    for point in points:
        if point.start not in window or point.metric == UTILISATION:
            continue
        said = point.dimensions
        name = (said.get("modeldeploymentname") or "").lower()
        known = deployments.get(point.account.deployment(name))
        model = model_id(said.get("modelname"), said.get("modelversion")) if said.get("modelname") else ""
        model = model or (known.model if known else "") or name or "unknown"
        known = known or Deployment(point.account, name, model, region=point.region)
        if point.metric in REQUESTS and not (said.get("statuscode") or "2").startswith("2"):
            continue
        slot = found.setdefault(
            (known.id, model, point.start),
            Slice(
                Deployment(**{**vars(known), "model": model}), point.start, point.grain, known.region or point.region
            ),
        )
        slot.totals[point.metric] += point.value
        if point.metric in REQUESTS:
            slot.tiers[point.metric + "/" + (said.get("servicetierresponse") or "").lower()] += point.value
    return sorted(found.values(), key=lambda s: (s.deployment.id, s.deployment.model, s.start))


def counts(slot: Slice, newer: bool) -> dict[str, int]:
    """Token counts of a slice under the names of an OpenAI usage object: parts are inside their totals.

    Prompt metrics include cached tokens; the cached part itself is only told for Anthropic models. There `TotalTokens`
    tells whether input already holds it: total = input + output means inside, more means beside.

    Args:
        slot: the slice.
        newer: take the newer set of metrics.

    Raises:
        UsageError: cached tokens exceed the input they are part of.
    """
    if not newer:
        return dict(zip(PATHS[:4], (slot.whole(name) for name in OLD_TOKENS), strict=True))
    prompt, completion, audio_in, audio_out, read, wrote_5m, wrote_1h, total = (slot.whole(n) for n in NEW_TOKENS)
    cached = read + wrote_5m + wrote_1h
    if cached and total > prompt + completion:
        prompt += cached
    if cached > prompt:
        raise UsageError(
            f"{slot.deployment.id} at {iso(slot.start)}: {cached} cached tokens exceed the {prompt} input tokens "
            "they are part of. Ask again; if it stays so, tell Azure support.",
            flag="negative_remainder",
        )
    values = (prompt, completion, audio_in, audio_out, read, wrote_5m + wrote_1h, wrote_5m, wrote_1h)
    return dict(zip(PATHS, values, strict=True))


def newer_set(found: Iterable[Slice]) -> set[tuple[str, dt.datetime]]:
    """The (deployment, grain) pairs whose newer metrics counted anything: for these the older set is left out."""
    return {(s.deployment.id, s.start) for s in found if s.counted(NEW_TOKENS)}


def requests_and_tier(slot: Slice) -> tuple[int, str | None]:
    """Answered calls of a slice, and the tier that served them where it was one and the same; None where mixed."""
    source = next((name for name in REQUESTS if slot.totals.get(name)), None)
    if source is None:
        return 0, "standard"
    tiers = {
        TIERS.get(key.removeprefix(source + "/"), "standard")
        for key, calls in slot.tiers.items()
        if key.startswith(source + "/") and calls
    }
    return slot.whole(source), tiers.pop() if len(tiers) == 1 else None
