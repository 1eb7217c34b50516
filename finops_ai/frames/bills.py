"""The bill frame: one row = one charge as the provider billed it, FOCUS columns in snake_case."""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from finops_ai.frames.tokens import _opt, _text
from finops_ai.frames.types import Cost, Instant, Quantity, Tags, UnitPrice
from finops_ai.meters import meters

CHARGE_CATEGORIES = ["Usage", "Purchase", "Tax", "Credit", "Adjustment"]


class BillFrame(pa.DataFrameModel):
    """One row: one charge as billed. Credits are negative. Raw line-item text is kept in `charge_description`."""

    provider: Series[str] = _text("Connector name of who bills.", "", "ServiceProviderName")
    billing_account_id: Series[str] = _text("Account the invoice goes to.", "", "BillingAccountId")
    billing_account_name: Series[str] = _opt("Its name.", "", "BillingAccountName")
    sub_account_id: Series[str] = _opt("Project, workspace, subscription, account or compartment.", "", "SubAccountId")
    sub_account_name: Series[str] = _opt("Its name.", "", "SubAccountName")
    billing_period_start: Series[Instant] = _text(
        "Start of the invoice period, included.", "UTC instant", "BillingPeriodStart"
    )
    billing_period_end: Series[Instant] = _text(
        "End of the invoice period, excluded.", "UTC instant", "BillingPeriodEnd"
    )
    charge_period_start: Series[Instant] = _text("Start of the charge, included.", "UTC instant", "ChargePeriodStart")
    charge_period_end: Series[Instant] = _text("End of the charge, excluded.", "UTC instant", "ChargePeriodEnd")
    charge_category: Series[str] = _text("Kind of charge.", "", "ChargeCategory", isin=CHARGE_CATEGORIES)
    charge_class: Series[str] = _opt(
        "'Correction' where it corrects a closed period.", "", "ChargeClass", isin=["Correction"]
    )
    charge_description: Series[str] = _text("The line item's raw text.", "", "ChargeDescription")
    service_name: Series[str] = _opt("Service as billed.", "", "ServiceName")
    invoice_id: Series[str] = _opt("Invoice it is on.", "", "InvoiceId")
    region: Series[str] = _opt("Region.", "", "RegionId")
    resource_id: Series[str] = _opt("Deployment, inference profile, endpoint or cluster.", "", "ResourceId")
    sku_id: Series[str] = _opt("Provider's SKU.", "", "SkuId")
    sku_price_id: Series[str] = _opt("Provider's price of the SKU.", "", "SkuPriceId")
    model: Series[str] = _opt("Model the line item names, where it names one.", "", "SkuPriceDetails")
    meter: Series[str] = _text("Meter the line item names, else 'unmapped'.", "", "SkuMeter", isin=list(meters()))
    service_tier: Series[str] = _opt("Tier the line item names.")
    pricing_quantity: Series[Quantity] = _opt("Quantity in the pricing unit.", "pricing_unit", "PricingQuantity")
    pricing_unit: Series[str] = _opt("Unit prices are quoted in.", "", "PricingUnit")
    consumed_quantity: Series[Quantity] = _opt(
        "Quantity used, in the meter's unit.", "consumed_unit", "ConsumedQuantity"
    )
    consumed_unit: Series[str] = _opt("Unit of consumed_quantity.", "", "ConsumedUnit")
    list_unit_price: Series[UnitPrice] = _opt("Public price per pricing unit.", "billing_currency", "ListUnitPrice")
    contracted_unit_price: Series[UnitPrice] = _opt(
        "Agreed price per pricing unit.", "billing_currency", "ContractedUnitPrice"
    )
    list_cost: Series[Cost] = _opt("At public prices.", "billing_currency", "ListCost")
    contracted_cost: Series[Cost] = _opt("At agreed prices.", "billing_currency", "ContractedCost")
    effective_cost: Series[Cost] = _opt("After discounts and amortisation.", "billing_currency", "EffectiveCost")
    billed_cost: Series[Cost] = _text("What the invoice charges.", "billing_currency", "BilledCost")
    billing_currency: Series[str] = _text("Currency of the cost columns.", "ISO 4217", "BillingCurrency")
    commitment_discount_id: Series[str] = _opt("Commitment that covers it.", "", "CommitmentDiscountId")
    commitment_discount_status: Series[str] = _opt(
        "Used or Unused.", "", "CommitmentDiscountStatus", isin=["Used", "Unused"]
    )
    api_key_id: Series[str] = _opt("Id of the API key, where billed by key.")
    user_id: Series[str] = _opt("Person or principal, where billed by user.")
    tags: Series[Tags] = _opt("Labels on the charge.", "", "Tags")
    source: Series[str] = _text(
        "How we know: api, billing_export or file.", "", "", isin=["api", "billing_export", "file"]
    )

    class Config:
        strict = True
        coerce = False
        metadata = {"version": "1.0", "grain": "one charge as billed"}

    @pa.dataframe_check(name="the charge starts before it ends")
    def _starts_before_end(cls, frame: pd.DataFrame) -> pd.Series:
        return frame["charge_period_start"] < frame["charge_period_end"]
