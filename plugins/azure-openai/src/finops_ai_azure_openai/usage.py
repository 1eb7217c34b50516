"""Token frames from what Azure Monitor counts, and the columns all usage of a deployment shares."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from finops_ai.frames import conform
from finops_ai.meters import normalise_columns, tokens_from_slices
from finops_ai_azure_openai import metrics
from finops_ai_azure_openai.deployments import Deployment
from finops_ai_azure_openai.metrics import Slice

if TYPE_CHECKING:
    import pandas as pd


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


def metered(found: list[Slice], identity: Identity, notes: list[str]) -> pa.Table:
    """Token-frame columns of metric slices: one row per meter that counted something.

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
        rows.append(slice_row(slot.deployment, slot.start, slot.start + slot.grain, slot.region, identity, tier))
    if mixed:
        notes.append(
            f"{mixed} slices mix calls of several service tiers; Azure doesn't split tokens by tier, so they stand at 'standard'."
        )
    if not rows:
        return pa.table({})
    counted: dict[str, Any] = dict(
        normalise_columns({path: [c.get(path) for c in columns] for path in metrics.PATHS}, metrics.FORMAT)
    )
    for meter in (*metrics.OTHERS.values(), "requests"):
        values = [other[meter] for other in others]
        counted[meter] = pa.array(values, pa.int64() if meter == "requests" else pa.decimal128(19, 6))
    return tokens_from_slices(columns_of(rows), counted)


def token_frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """One checked token frame of such columns; empty tables add nothing."""
    full = [table for table in tables if table.num_rows]
    return conform(pa.concat_tables(full, promote_options="default") if full else {}, source="Azure")


def operation_of(model: str) -> str:
    """What calls of a model do, from its name.

    >>> operation_of("text-embedding-3-large"), operation_of("gpt-image-1"), operation_of("gpt-5")
    ('embeddings', 'image', 'chat')
    """
    kinds = {"embed": "embeddings", "dall-e": "image", "gpt-image": "image", "flux": "image", "sora": "video",
             "whisper": "audio", "tts": "audio", "transcribe": "audio"}  # fmt: skip
    return next((kind for part, kind in kinds.items() if part in model), "chat")


def slice_row(
    deployment: Deployment,
    start: dt.datetime,
    end: dt.datetime,
    region: str | None,
    identity: Identity,
    tier: str | None,
) -> dict[str, Any]:
    """What a slice of a deployment has in common on all its rows; the SKU's tier goes before `tier`."""
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
