"""Token frames from what Azure counts: metric slices, provisioned capacity and gateway calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.frames import conform
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai.periods import Window
from finops_ai_azure_openai import metrics
from finops_ai_azure_openai.deployments import Deployment
from finops_ai_azure_openai.metrics import UTILISATION, Point, Slice

if TYPE_CHECKING:
    import pandas as pd

DAY = dt.timedelta(days=1)


class Identity:
    """Who the frames say the account is: subscription names, and the billing account the subscriptions belong to."""

    def __init__(self, billing_account_id: str | None, names: Mapping[str, str]) -> None:
        self.billing_account_id, self.names = billing_account_id, names

    def of(self, subscription: str) -> dict[str, str | None]:
        """Account columns of a subscription; without a billing account setting the subscription stands in for it."""
        return {
            "billing_account_id": self.billing_account_id or subscription,
            "sub_account_id": subscription,
            "sub_account_name": self.names.get(subscription),
        }


def metered(found: list[Slice], identity: Identity, notes: list[str]) -> pd.DataFrame:
    """Token frame of metric slices: one row per meter that counted something.

    The tier is the deployment SKU's (batch, provisioned), else the one all answered calls of the slice were served
    at; where calls of several tiers mixed, tokens can't be told apart and stand at 'standard', with a note.
    """
    newer = metrics.newer_set(found)
    rows, columns, others, mixed = [], [], [], 0
    for slot in found:
        calls, tier = metrics.requests_and_tier(slot)
        mixed += tier is None
        columns.append(metrics.counts(slot, (slot.deployment.id, slot.start) in newer))
        others.append(
            {meter: slot.totals.get(name, Decimal(0)) for name, meter in metrics.OTHERS.items()} | {"requests": calls}
        )
        rows.append(_slice_row(slot.deployment, slot.start, slot.start + slot.grain, slot.region, identity, tier))
    if mixed:
        notes.append(
            f"{mixed} slices mix calls of several service tiers; Azure doesn't split tokens by tier, so they stand at 'standard'."
        )
    if not rows:
        return conform({}, source="Azure Monitor metrics")
    counted: dict[str, Any] = dict(
        normalise_columns({path: [c.get(path) for c in columns] for path in metrics.PATHS}, metrics.FORMAT)
    )
    for meter in (*metrics.OTHERS.values(), "requests"):
        values = [other[meter] for other in others]
        counted[meter] = pa.array(values, pa.int64() if meter == "requests" else pa.decimal128(19, 6))
    return conform(tokens_from_slices(columns_of(rows), counted), source="Azure Monitor metrics")


def provisioned(
    deployments: Iterable[Deployment], points: Iterable[Point], window: Window, identity: Identity, now: dt.datetime
) -> pd.DataFrame:
    """Unit-hours of provisioned deployments, a row per UTC day: PTUs x hours from creation on, whatever the tokens.

    Where the utilisation metric is known the day is split: `operation` 'provisioned' holds the used part and
    'provisioned_idle' the rest, so that idle capacity stays a line of its own. The two add up to PTUs x hours.
    The capacity is today's: Azure keeps no history of it, so the quantity is marked as imputed.
    """
    used: dict[tuple[str, dt.date], list[Decimal]] = {}
    for point in points:
        if point.metric == UTILISATION:
            name = point.dimensions.get("modeldeploymentname", "").lower()
            used.setdefault((point.account.deployment(name), point.start.date()), []).append(point.value)
    rows, quantities = [], []
    for deployment in deployments:
        if not deployment.provisioned:
            continue
        for day in metrics.whole_grains(window, DAY).pieces(DAY):
            begin, end = max(day.start, deployment.created or day.start), min(day.end, now)
            if day.start not in window or begin >= end:
                continue
            hours = Decimal(int((end - begin) / dt.timedelta(microseconds=1))) / 3_600_000_000
            total = (deployment.capacity * hours).quantize(Decimal("0.000001"))
            rates = used.get((deployment.id, day.start.date()), [Decimal(100)])
            share = min(sum(rates) / len(rates) / 100, Decimal(1))
            busy = (total * share).quantize(Decimal("0.000001"))
            for operation, quantity in (("provisioned", busy), ("provisioned_idle", total - busy)):
                row = _slice_row(deployment, day.start, day.end, deployment.region, identity, "provisioned")
                rows.append(row | {"operation": operation, "quantity_basis": "imputed"})
                quantities.append(quantity)
    if not rows:
        return conform({}, source="Azure deployments")
    values = {"provisioned_hours": pa.array(quantities, pa.decimal128(19, 6))}
    return conform(tokens_from_slices(columns_of(rows), values), source="Azure deployments")


def operation_of(model: str) -> str:
    """What calls of a model do, from its name.

    >>> operation_of("text-embedding-3-large"), operation_of("gpt-image-1"), operation_of("gpt-5")
    ('embeddings', 'image', 'chat')
    """
    kinds = {"embed": "embeddings", "dall-e": "image", "gpt-image": "image", "flux": "image", "sora": "video",
             "whisper": "audio", "tts": "audio", "transcribe": "audio"}  # fmt: skip
    return next((kind for part, kind in kinds.items() if part in model), "chat")


def _slice_row(
    deployment: Deployment,
    start: dt.datetime,
    end: dt.datetime,
    region: str | None,
    identity: Identity,
    tier: str | None,
) -> dict[str, Any]:
    return {
        "charge_period_start": start,
        "charge_period_end": end,
        "provider": "azure-openai",
        **identity.of(deployment.account.subscription),
        "region": region,
        "resource_id": deployment.id,
        "model": deployment.model,
        "operation": operation_of(deployment.model),
        "service_tier": deployment.service_tier or tier or "standard",
        "inference_geo": deployment.geography,
        "tags": list(({**deployment.tags, **deployment.account.tags, "azure_deployment": deployment.name}).items()),
        "source": "api",
        "quantity_basis": "metered",
    }


def columns_of(rows: list[dict[str, Any]]) -> dict[str, pa.Array]:
    """Slice rows, alike in their keys, as typed columns."""
    kinds = {
        "charge_period_start": pa.timestamp("us", "UTC"),
        "charge_period_end": pa.timestamp("us", "UTC"),
        "tags": pa.map_(pa.string(), pa.string()),
    }
    return {name: pa.array([row[name] for row in rows], kinds.get(name, pa.string())) for name in rows[0]}
