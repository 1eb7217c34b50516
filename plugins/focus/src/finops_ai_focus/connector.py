"""The connector `focus`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from finops_ai.errors import FinopsError, SettingsError
from finops_ai.frames import BillFrame, TokenFrame, conform, empty, schema_of
from finops_ai.frames.focus import CARRIED, SPELLINGS, read_meter, read_unit
from finops_ai.meters import meters
from finops_ai.providers import Connector, ConnectorSettings, Finding, LineItem, left_out_of, registry
from finops_ai.providers.cells import QUANTITY, Cells, cast, scalar
from finops_ai.providers.files import find_files
from finops_ai_focus.reading import NUMBER, details_of, read_file, tags_of

if TYPE_CHECKING:
    import pandas as pd

    from finops_ai.periods import Window

AI_CATEGORY = "AI and Machine Learning"
#: bill-frame column -> FOCUS column, where the value goes over as it is
BILL_COLUMNS = {
    "billing_account_id": "BillingAccountId", "billing_account_name": "BillingAccountName",
    "sub_account_id": "SubAccountId", "sub_account_name": "SubAccountName",
    "billing_period_start": "BillingPeriodStart", "billing_period_end": "BillingPeriodEnd",
    "charge_period_start": "ChargePeriodStart", "charge_period_end": "ChargePeriodEnd",
    "charge_category": "ChargeCategory", "charge_class": "ChargeClass", "service_name": "ServiceName",
    "invoice_id": "InvoiceId", "region": "RegionId", "resource_id": "ResourceId", "sku_id": "SkuId",
    "sku_price_id": "SkuPriceId", "pricing_unit": "PricingUnit", "billed_cost": "BilledCost",
    "list_cost": "ListCost", "contracted_cost": "ContractedCost", "effective_cost": "EffectiveCost",
    "list_unit_price": "ListUnitPrice", "contracted_unit_price": "ContractedUnitPrice",
    "pricing_quantity": "PricingQuantity", "billing_currency": "BillingCurrency",
    "commitment_discount_id": "CommitmentDiscountId", "commitment_discount_status": "CommitmentDiscountStatus",
    "api_key_id": "x_ApiKeyId", "user_id": "x_UserId",
}  # fmt: skip


class FocusSettings(ConnectorSettings):
    """Settings of `[providers.focus]`."""

    services: Literal["ai", "all"] = Field(
        "ai", description="Bills of AI services only, or of every service; usage is always of AI services."
    )
    provider: str = Field("", description="Provider to write into every row; default: the one the file names.")


class Focus(Connector):
    """FOCUS Cost and Usage files; usage is their usage rows, bills are all their rows.

    >>> Focus(files="exports/focus.parquet")
    <Focus 'focus' files>
    """

    name: ClassVar[str] = "focus"
    title: ClassVar[str] = "FOCUS 1.0 to 1.4 files"
    Settings: ClassVar[type[ConnectorSettings]] = FocusSettings
    #: corrections of closed periods come as rows of their own; an open period is exported again whole
    restated_days: ClassVar[int] = 35

    def __init__(self, /, **settings: Any) -> None:
        super().__init__(**settings)
        if not self.settings.files:
            raise SettingsError(f"[providers.{self.name}]: `files` is missing: name the FOCUS files to read.")
        self._unwanted: list[tuple[str, str, int, Decimal | None]] = []
        self._kept: dict[tuple[Path, Window, int, int], _Rows] = {}

    def usage(self, window: Window) -> pd.DataFrame:
        """Token frame: one row per usage row of an AI service that starts in the window; a row is one meter.

        What the row's text doesn't tell (which tokens) becomes the meter `unmapped`. Corrections, credits, purchases
        and tax are in `bills` only.
        """
        self._kept.clear()
        tables = [self._tokens(path, window) for path in find_files(self.settings.files)]
        return conform(pa.concat_tables(tables, promote_options="default"), source=", ".join(self.settings.files))

    def bills(self, window: Window) -> pd.DataFrame:
        """Bill frame: one row per charge of an AI service that starts in the window."""
        self._unwanted.clear()
        tables = [self._charges(path, window) for path in find_files(self.settings.files)]
        self._kept.clear()
        self.left_out = left_out_of(self._unwanted)
        table = pa.concat_tables(tables, promote_options="default")
        source = ", ".join(self.settings.files)
        return conform(table, BillFrame, source=source) if table.num_rows else empty(BillFrame)

    def doctor(self) -> list[Finding]:
        """Whether the files are there and are FOCUS."""
        try:
            rows = sum(len(read_file(path)["BilledCost"]) for path in find_files(self.settings.files))
        except FinopsError as error:
            return [Finding("focus files", False, str(error), "Correct `files`, or export the file again.")]
        return [Finding("focus files", True, f"{rows} rows")]

    # ------------------------------------------------------------------ one file

    def _rows(self, path: Path, window: Window, *, ai_only: bool) -> _Rows:
        """The rows that start in the window: all, or those of AI services.

        Usage and bills of a load are made of the same rows: the first to need them keeps them for the second, unless
        the file has changed.
        """
        if not ai_only:
            return self._read(path, window, ai_only=False)
        stat = path.stat()
        key = (path, window, stat.st_mtime_ns, stat.st_size)
        if (kept := self._kept.pop(key, None)) is None:
            kept = self._kept[key] = self._read(path, window, ai_only=True)
        return kept

    def _read(self, path: Path, window: Window, *, ai_only: bool) -> _Rows:
        columns = read_file(path)
        start = columns["ChargePeriodStart"]
        kind = start.type
        wanted = pc.and_(
            pc.greater_equal(start, pa.scalar(window.start, kind)), pc.less(start, pa.scalar(window.end, kind))
        )
        columns = {name: values.filter(wanted) for name, values in columns.items()}
        skus = _skus_of(columns, self.settings.provider)
        if not ai_only:
            return _Rows(columns, skus, [])
        others = list(_others(columns, skus))
        mine = pa.array([sku.is_ai for sku in skus], pa.bool_())
        columns = {name: values.filter(mine) for name, values in columns.items()}
        return _Rows(columns, [sku for sku in skus if sku.is_ai], others)

    def _tokens(self, path: Path, window: Window) -> pa.Table:
        columns, skus, _ = self._rows(path, window, ai_only=True)
        rows = len(skus)
        is_usage = pc.and_(
            pc.equal(_get(columns, "ChargeCategory", rows), "Usage"), _get(columns, "ChargeClass", rows).is_null()
        )
        quantity, known = _quantities(columns, skus)
        keep = pc.fill_null(pc.and_(is_usage, known), False)
        if left_out := pc.sum(pc.fill_null(is_usage, False)).as_py() or 0:
            left_out -= pc.sum(keep).as_py() or 0
        note = f"{path.name}: {left_out} usage rows without a quantity of 0 or more are in the bills only."
        if left_out and note not in self.notes:
            self.notes.append(note)
        schema = schema_of(TokenFrame)
        out: dict[str, Any] = {
            "charge_period_start": columns["ChargePeriodStart"],
            "charge_period_end": columns["ChargePeriodEnd"],
            "billing_account_id": columns["BillingAccountId"],
            "sub_account_id": _get(columns, "SubAccountId", rows),
            "sub_account_name": _get(columns, "SubAccountName", rows),
            "region": _get(columns, "RegionId", rows),
            "resource_id": _get(columns, "ResourceId", rows),
            "quantity": quantity,
            "unit": pa.array([meters()[sku.meter].unit for sku in skus], pa.string()),
            "tags": tags_of(_get(columns, "Tags", rows), {}),
        }
        guessed = {
            "provider": [sku.provider for sku in skus],
            "model": [sku.model for sku in skus],
            "operation": [sku.operation for sku in skus],
            "meter": [sku.meter for sku in skus],
            "service_tier": [sku.tier for sku in skus],
            "source": ["billing_export"] * rows,
            "quantity_basis": ["metered"] * rows,
        }
        cells = Cells(path)
        for name, column in CARRIED.items():
            field = schema.field(name)
            carried = columns.get(column)
            values = pa.nulls(rows, field.type)
            if carried is not None:
                values = cells.converted(pa.chunked_array([carried]), field.type, column)
                values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
            if name in guessed:
                values = pc.coalesce(values, pa.array(guessed[name], pa.string()))
            out[name] = values
        if "x_StatedCost" not in columns:
            out["billed_cost"], out["billing_currency"] = columns["BilledCost"], columns["BillingCurrency"]
        return pa.table(out).filter(keep)

    def _charges(self, path: Path, window: Window) -> pa.Table:
        columns, skus, others = self._rows(path, window, ai_only=self.settings.services == "ai")
        self._unwanted += others
        rows = len(skus)
        schema = schema_of(BillFrame)
        out: dict[str, Any] = {}
        for name, column in BILL_COLUMNS.items():
            values = _get(columns, column, rows)
            out[name] = _narrowed(values, schema.field(name).type)
        description = _get(columns, "ChargeDescription", rows)
        fallback = pc.coalesce(_get(columns, "SkuMeter", rows), _get(columns, "SkuId", rows), pa.scalar("(none)"))
        quantity, known = _quantities(columns, skus)
        consumed = pc.if_else(known, quantity, pa.scalar(None, QUANTITY))
        units = pa.array([meters()[sku.meter].unit for sku in skus], pa.string())
        period = _get(columns, "BillingPeriodStart", rows)
        if period.null_count or pa.types.is_string(period.type):
            raise SettingsError(f"{path}: BillingPeriodStart is missing, so its bills can't be read.")
        return pa.table(
            out
            | {
                "provider": pa.array([sku.provider for sku in skus], pa.string()),
                "charge_description": pc.coalesce(description, fallback),
                "model": pa.array([sku.model if sku.named else None for sku in skus], pa.string()),
                "meter": pa.array([sku.meter for sku in skus], pa.string()),
                "service_tier": pa.array([sku.tier if sku.meter != "unmapped" else None for sku in skus], pa.string()),
                "consumed_quantity": consumed,
                "consumed_unit": pc.if_else(consumed.is_valid(), units, pa.scalar(None, pa.string())),
                "tags": tags_of(_get(columns, "Tags", rows), {}),
                "source": pa.repeat("billing_export", rows),
            }
        )


def _others(columns: Mapping[str, pa.Array], skus: list[_Sku]) -> Iterator[tuple[str, str, int, Decimal | None]]:
    """Reason, currency, rows and amount of the rows that aren't an AI service's."""
    rows = len(skus)
    names = ("ServiceName", "ChargeCategory", "BillingCurrency", "BilledCost")
    values = zip(*(_get(columns, name, rows).to_pylist() for name in names), strict=True)
    for sku, (service, category, currency, cost) in zip(skus, values, strict=True):
        if not sku.is_ai:
            usual = category in (None, "Usage", "Purchase")
            reason = f"{'' if usual else f'{category} of '}another service: {service or 'not named'}"
            yield reason, currency or "", 1, cost


class _Rows(NamedTuple):
    """Rows of a file by column, what each is of, and reason, currency, rows and amount of those that were left out."""

    columns: dict[str, pa.Array]
    skus: list[_Sku]
    others: list[tuple[str, str, int, Decimal | None]]


class _Sku:
    """What a row is of, worked out once per distinct description."""

    def __init__(self, row: Mapping[str, Any], provider: str) -> None:
        details = details_of(row["SkuPriceDetails"]) | {
            k: v for k, v in details_of(row["x_SkuDetails"]).items() if isinstance(v, str)
        }
        unit, times = read_unit(row["ConsumedUnit"])
        priced, per = read_unit(row["PricingUnit"])
        block = row["x_PricingBlockSize"]
        text = " ".join(str(row[n]) for n in ("SkuMeter", "x_SkuMeterName", "ChargeDescription") if row[n])
        direction, action = details.get("TokenDirection"), details.get("TokenCacheAction")
        own = row["x_Meter"]
        self.provider = provider or row["x_Provider"] or provider_of(row["ServiceProviderName"] or row["ProviderName"])
        item = None if own or direction else _line_item(self.provider, row)
        self.meter = own if own in meters() else item.meter if item else "unmapped"
        if self.meter == "unmapped" and not item:
            for said in filter(None, (row["SkuMeter"], row["x_SkuMeterName"], row["ChargeDescription"])):
                self.meter = read_meter(said, unit or priced, direction, action)
                if self.meter != "unmapped":
                    break
        ai_name = re.search(
            r"bedrock|openai|vertex|gemini|claude|generative ai|foundry|ai services", text_of(row), re.I
        )
        self.is_ai = bool(own) or row["ServiceCategory"] == AI_CATEGORY or bool(ai_name)
        if not self.is_ai or (row["ServiceCategory"] and not ai_name and row["ServiceCategory"] != AI_CATEGORY):
            self.meter = own or "unmapped"
        known = item if item and self.meter == item.meter else None
        model = known.model if known else None
        self.named = bool(row["x_Model"] or details.get("ModelId") or model)
        self.model = (
            row["x_Model"]
            or details.get("ModelId")
            or model
            or row["SkuMeter"]
            or row["SkuId"]
            or text[:200]
            or "unknown"
        )
        self.tier = str(details.get("ServiceTier") or (known.service_tier if known else _tier_of(text)))
        self.operation = "usage" if self.meter == "unmapped" else "embeddings" if "embed" in text.lower() else "chat"
        if known and known.operation and self.meter != "unmapped":
            self.operation = known.operation
        # how many of the meter's unit one of the row's units is; block sizes are Azure's
        self.consumed_times = times if unit not in ("", "units") or times > 1 else 1
        self.priced_times = per if per > 1 else int(block) if block else 1
        if known and known.block and self.priced_times == 1:
            self.priced_times = int(known.block)


def _line_item(provider: str, row: Mapping[str, Any]) -> LineItem | None:
    """What the connector of who billed the row says of its texts, where it is installed."""
    found = registry().connectors.get(provider)
    return found.line_item({name: row[name] for name in _TEXTS}) if found else None


def provider_of(name: str | None) -> str:
    """Connector name of a provider as FOCUS files spell it; an unknown one becomes a lower-case name.

    >>> provider_of("AWS"), provider_of("Amazon Web Services, Inc."), provider_of("Solora AI")
    ('bedrock', 'bedrock', 'solora-ai')
    """
    said = (name or "").strip().lower()
    for spelling, ours in SPELLINGS.items():
        if said.startswith(spelling):
            return ours
    return re.sub(r"[^a-z0-9]+", "-", said).strip("-") or "unknown"


def text_of(row: Mapping[str, Any]) -> str:
    """Everything that may name an AI service."""
    return " ".join(str(row[n]) for n in ("ServiceName", "SkuMeter", "x_SkuMeterName", "ChargeDescription") if row[n])


def _tier_of(text: str) -> str:
    said = text.lower()
    for word in ("batch", "priority", "flex", "provisioned"):
        if re.search(rf"\b{word}", said):
            return word
    return "standard"


#: texts of a row that a provider's own table of line items reads
_TEXTS = (
    "SkuMeter", "ChargeDescription", "PricingUnit", "SkuId", "x_SkuMeterName", "x_SkuMeterSubcategory",
    "x_PricingUnitDescription", "ServiceName", "x_SkuMeterCategory",
)  # fmt: skip
_SKU_COLUMNS = (
    "SkuPriceDetails", "x_SkuDetails", "ConsumedUnit", "PricingUnit", "x_PricingBlockSize", "SkuMeter",
    "x_SkuMeterName", "ChargeDescription", "SkuId", "ServiceCategory", "ServiceName", "ProviderName",
    "ServiceProviderName", "x_Provider", "x_Model", "x_Meter", "x_SkuMeterSubcategory", "x_PricingUnitDescription",
    "x_SkuMeterCategory",
)  # fmt: skip


def _skus_of(columns: Mapping[str, pa.Array], provider: str) -> list[_Sku]:
    rows = len(columns["BilledCost"])
    values = [_get(columns, name, rows).to_pylist() for name in _SKU_COLUMNS]
    known: dict[tuple, _Sku] = {}
    out = []
    for key in zip(*values, strict=True):
        if key not in known:
            known[key] = _Sku(dict(zip(_SKU_COLUMNS, key, strict=True)), provider)
        out.append(known[key])
    return out


def _get(columns: Mapping[str, pa.Array], name: str, rows: int) -> pa.Array:
    return columns[name] if name in columns else pa.nulls(rows, pa.string())


def _quantities(columns: Mapping[str, pa.Array], skus: list[_Sku]) -> tuple[pa.Array, pa.Array]:
    """Quantity of each row in its meter's unit, and whether the row states one that is 0 or more."""
    rows = len(skus)
    consumed = _narrowed(_get(columns, "ConsumedQuantity", rows), NUMBER)
    priced = _narrowed(_get(columns, "PricingQuantity", rows), NUMBER)
    times = pa.array([Decimal(sku.consumed_times) for sku in skus], pa.decimal128(12, 0))
    per = pa.array([Decimal(sku.priced_times) for sku in skus], pa.decimal128(12, 0))
    by_consumed = pc.multiply(consumed.cast(pa.decimal128(25, 6), safe=False), times)
    by_priced = pc.multiply(priced.cast(pa.decimal128(25, 12), safe=False), per)
    value = pc.coalesce(by_consumed.cast(pa.decimal128(38, 12)), by_priced.cast(pa.decimal128(38, 12)))
    value = pc.round(value, ndigits=6, round_mode="half_to_even").cast(QUANTITY, safe=False)
    negative = pc.fill_null(pc.less(value, scalar(0, QUANTITY)), False)
    return value, pc.and_(value.is_valid(), pc.invert(negative))


def _narrowed(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the frame's type; prices and quantities longer than the frame holds are rounded half even."""
    if values.type == kind:
        return values
    if pa.types.is_decimal(kind) and pa.types.is_decimal(values.type):
        if values.type.scale > kind.scale:
            values = pc.round(values, ndigits=kind.scale, round_mode="half_to_even")
        return values.cast(kind, safe=False)
    result = cast(pa.chunked_array([values]), kind)
    return result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result
