"""The price frame: dated prices as rows with dimensions, never one column per combination."""

from __future__ import annotations

import pandera.pandas as pa
from pandera.typing import Series

from finops_ai.frames.tokens import SERVICE_TIERS, _opt, _text
from finops_ai.frames.types import Instant, UnitPrice
from finops_ai.meters import meters

PRICE_STATUSES = ["listed", "contract", "promotional", "disputed", "assumed"]


class PriceFrame(pa.DataFrameModel):
    """One row: the price of one meter of one model under one set of modifiers, from a date on."""

    price_id: Series[str] = _text("Stable id of the row.", unique=True)
    provider: Series[str] = _text("Who bills.")
    model: Series[str] = _text("Canonical model id at that provider.")
    meter: Series[str] = _text("Meter from the registry.", isin=list(meters()))
    service_tier: Series[str] = _text("Tier the price is for.", isin=SERVICE_TIERS)
    context_over: Series[str] = _opt(
        "Context tier: '>200000' or '>=128000' input tokens of one request; null = base.", "tokens"
    )
    geography: Series[str] = _opt("Place the price is for; null = everywhere without a row of its own.")
    unit_price: Series[UnitPrice] = _text(
        "Price per single unit of the meter (per token, not per million).", "currency"
    )
    currency: Series[str] = _text("Currency of the price.", "ISO 4217", "PricingCurrency")
    effective_from: Series[Instant] = _opt("First instant it applies; null = since always.", "UTC instant")
    effective_to: Series[Instant] = _opt("First instant it no longer applies; null = open.", "UTC instant")
    known_since: Series[Instant] = _opt("When it became known.", "UTC instant")
    status: Series[str] = _text("How sure it is.", isin=PRICE_STATUSES)
    source: Series[str] = _text("Where the figure is from.")
    checked: Series[str] = _opt("Date somebody compared it with the source, YYYY-MM-DD.")

    class Config:
        strict = True
        coerce = False
        metadata = {"version": "1.0", "grain": "one dated price"}
