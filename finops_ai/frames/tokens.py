"""The token frame: one row = one meter of one usage slice."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from finops_ai.frames.types import Cost, Count, Instant, Quantity, Real, Tags
from finops_ai.meters import meters

#: tiers with prices; a provider's new word for one is kept as it is, and unpriced until a price names it
SERVICE_TIERS = ["standard", "batch", "flex", "priority", "fast", "provisioned"]
SOURCES = ["api", "billing_export", "log", "gateway", "file", "contract"]
QUANTITY_BASES = ["metered", "estimated", "imputed"]
#: how a call ended, where its source tells; a call that was tried again is a retry, whatever came of it
OUTCOMES = ["ok", "error", "retry"]
#: three moneys that are never added: what is invoiced, what an included allowance covers, what list prices would come to
MONEY_BASES = ["cash", "included", "list"]


def _text(description: str, unit: str = "", counterpart: str = "", **kwargs: Any) -> Any:
    return pa.Field(description=description, metadata={"unit": unit, "counterpart": counterpart}, **kwargs)


def _opt(description: str, unit: str = "", counterpart: str = "", **kwargs: Any) -> Any:
    return _text(description, unit, counterpart, nullable=True, **kwargs)


class TokenFrame(pa.DataFrameModel):
    """One row: one meter of one usage slice (a request, or a provider's aggregation bucket).

    Meters are disjoint, so quantities of one unit add up. Windows are half open.
    """

    charge_period_start: Series[Instant] = _text("Start of the slice, included.", "UTC instant", "ChargePeriodStart")
    charge_period_end: Series[Instant] = _text("End of the slice, excluded.", "UTC instant", "ChargePeriodEnd")
    provider: Series[str] = _text(
        "Who bills: connector name, such as 'openai' or 'bedrock'.", "", "ServiceProviderName"
    )
    billing_account_id: Series[str] = _text("Account the invoice goes to.", "", "BillingAccountId")
    sub_account_id: Series[str] = _opt("Project, workspace, subscription, account or compartment.", "", "SubAccountId")
    sub_account_name: Series[str] = _opt("Its name.", "", "SubAccountName")
    region: Series[str] = _opt("Region that served the call, as the provider spells it.", "", "RegionId")
    resource_id: Series[str] = _opt("Deployment, inference profile, endpoint or cluster.", "", "ResourceId")
    model: Series[str] = _text("Model as billed.", "", "gen_ai.response.model")
    operation: Series[str] = _text(
        "chat, embeddings, image, audio, fine_tuning, provisioned, tool, ...", "", "gen_ai.operation.name"
    )
    meter: Series[str] = _text("Billed class from the meter registry.", "", "SkuMeter", isin=list(meters()))
    quantity: Series[Quantity] = _text("How much of the meter, never negative.", "see `unit`", "ConsumedQuantity", ge=0)
    unit: Series[str] = _text("Unit of the quantity, as the meter registry says.", "", "ConsumedUnit")
    service_tier: Series[str] = _text(
        "Tier that served the call: standard, batch, flex, priority, fast, provisioned, or the provider's own word for "
        "another one.",
        str_length={"min_value": 1},
    )
    context_tier: Series[str] = _opt("Context window class the provider states, such as '0-200k'.")
    inference_geo: Series[str] = _opt("Where inference ran, if the provider prices it: global, us, eu, regional, ...")
    api_key_id: Series[str] = _opt("Id of the API key (never the key).")
    user_id: Series[str] = _opt("Person or principal that caused it.", "", "user.id")
    prompt_id: Series[str] = _opt("Prompt template name@version, or a salted fingerprint.", "", "gen_ai.prompt.name")
    session_id: Series[str] = _opt("Conversation or session the call belongs to.", "", "gen_ai.conversation.id")
    agent_name: Series[str] = _opt("Agent that made the call, such as a coding agent.", "", "gen_ai.agent.name")
    tool_name: Series[str] = _opt("Tool or client the call was made with.", "", "gen_ai.tool.name")
    repository: Series[str] = _opt("Repository that was worked on.", "", "vcs.repository.name")
    branch: Series[str] = _opt("Branch that was worked on.", "", "vcs.ref.head.name")
    tags: Series[Tags] = _opt("Labels of whatever carries them.", "", "Tags")
    request_id: Series[str] = _opt("Id of the single call, at request grain.", "", "gen_ai.response.id")
    temperature: Series[Real] = _opt("Sampling temperature, at request grain.", "", "gen_ai.request.temperature")
    max_output_tokens: Series[Count] = _opt(
        "Output limit asked for, at request grain.", "tokens", "gen_ai.request.max_tokens"
    )
    outcome: Series[str] = _opt(
        "How the calls ended, where the source tells: ok, error or retry.", "", "error.type", isin=OUTCOMES
    )
    slice_input_tokens: Series[Count] = _opt(
        "Input tokens of the whole slice, cached included: decides the context tier. Repeated on each row; never summed.",
        "tokens",
    )
    slice_requests: Series[Count] = _opt(
        "Calls in the slice; 1 at request grain. Repeated on each row; never summed.", "requests"
    )
    source: Series[str] = _text("How we know.", "", "", isin=SOURCES)
    quantity_basis: Series[str] = _text("Metered by the provider, estimated or imputed.", "", "", isin=QUANTITY_BASES)
    money_basis: Series[str] = _opt(
        "Which money the row's cost is: cash (invoiced as such), included (covered by an allowance, at the vendor's rate) or "
        "list (what list prices would come to). Null for usage that is billed as it is used.",
        "",
        "",
        isin=MONEY_BASES,
    )
    billed_cost: Series[Cost] = _opt("Cost the source itself states for this row.", "billing_currency", "BilledCost")
    billing_currency: Series[str] = _opt("Currency of billed_cost.", "ISO 4217", "BillingCurrency")

    class Config:
        strict = True
        coerce = False
        ordered = False
        metadata = {"version": "1.0", "grain": "one meter of one usage slice"}

    @pa.dataframe_check(name="the slice starts before it ends")
    def _starts_before_end(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["charge_period_start"] < frame["charge_period_end"]

    @pa.dataframe_check(name="the unit is the meter's unit")
    def _unit_fits_meter(cls, frame: pd.DataFrame) -> pd.Series:
        units = {name: m.unit for name, m in meters().items()}
        return frame["unit"] == frame["meter"].map(units)

    @pa.dataframe_check(name="a stated cost has a currency")
    def _cost_has_currency(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["billed_cost"].isna() | frame["billing_currency"].notna()


#: columns that together name a row: two rows alike in all of them would be counted twice
SLICE_KEY = [
    "charge_period_start", "charge_period_end", "provider", "billing_account_id", "sub_account_id", "region",
    "resource_id", "model", "operation", "service_tier", "context_tier", "inference_geo", "api_key_id", "user_id",
    "prompt_id", "session_id", "agent_name", "tool_name", "repository", "branch", "request_id", "outcome", "source",
    "quantity_basis", "money_basis",
]  # fmt: skip
ROW_KEY = [*SLICE_KEY, "meter"]
