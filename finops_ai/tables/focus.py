"""FOCUS out and in: priced or allocated rows as FinOps Open Cost and Usage rows, and back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.engine.plan import ESTIMATE, INCLUDED
from finops_ai.errors import DataError, SettingsError, hint
from finops_ai.frames import to_arrow, to_pandas
from finops_ai.frames.focus import (
    CARRIED,
    DRAFT_KEYS,
    ISSUERS,
    MANDATORY,
    PER_PRICE,
    UNITS,
    WRITTEN,
    Issuer,
    columns,
    sku_meter,
)
from finops_ai.meters import meters
from finops_ai.periods import next_month
from finops_ai.tables.csv import csv_of, plain_cell, put
from finops_ai.tables.grouping import dimensions_of

if TYPE_CHECKING:
    import pandas as pd

COSTS = ("list_cost", "contracted_cost", "effective_cost")
SKU_KEY = ["provider", "model", "meter", "service_tier", "context_tier", "inference_geo"]
IDENTITY = ["model_developer", "model_family", "model_version"]
METHOD = "finops-ai-mapping-rules"
KINDS = {
    "number": pa.decimal128(38, 18),
    "time": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "json": pa.string(),
}
#: unit of seats
SEATS = "seat-months"
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def to_focus(frame: pd.DataFrame, version: str = "1.2", *, draft_keys: bool = False) -> pd.DataFrame:
    """Priced or allocated rows as FOCUS Cost and Usage rows, one per row: never a blended one.

    Tokens are consumed in `Tokens` and priced per `1000000 Tokens`, as the specification's own AI examples do. What
    FOCUS has no column for travels in `x_` columns, so `from_focus` gives the same token frame back. A row without a
    known price costs 0, because FOCUS allows no null there, has no unit price, and says `unpriced` in `x_PriceStatus`.
    Parts of split rows carry the Allocated columns from 1.3 on; the dimensions of every row are `x_` columns.

    Args:
        frame: rows of `fa.price` or `fa.allocate`; dimensions are its further columns.
        version: 1.2, 1.3 or 1.4. 1.3 adds ServiceProviderName and HostProviderName, 1.4 drops ProviderName.
        draft_keys: write the 1.5 draft's keys of SkuPriceDetails (ModelId, TokenDirection, ...) without the `x_` prefix.

    Returns:
        One row per row of `frame` that is a charge, those of seats (`fa.with_seats`) as recurring purchases (estimates from logs are none; what an allowance covers is billed 0, its
        value is its ListCost): all columns of the version in alphabetical order, then the `x_` columns. Costs and
        quantities are exact decimals; ListCost is ListUnitPrice times PricingQuantity.

    Raises:
        DataError: the frame has no costs, or a row has usage but no currency.
        SettingsError: a version this package doesn't write.

    Example:
        >>> import finops_ai as fa
        >>> focus = fa.to_focus(fa.price(fa.sample(months=1)), version="1.3")
        >>> focus["ConsumedUnit"].unique().tolist(), len(focus)
        (['Tokens', 'Requests', 'Characters', 'Unit-Hours'], 4939)
    """
    if version not in WRITTEN:
        raise SettingsError(f"FOCUS {version!r} can't be written. {hint(version, WRITTEN)}")
    if missing := [name for name in (*COSTS, "list_unit_price", "pricing_currency") if name not in frame.columns]:
        raise DataError(f"to_focus needs priced rows: columns {missing} are missing. Call fa.price(tokens) first.")
    table = to_arrow(_charged(frame))
    named = {name: _column(table, name) for name in table.column_names}
    out = _charges(named, table.num_rows) | _skus(named, table.num_rows, draft_keys)
    dimensions = dimensions_of(frame)
    out |= _allocation(named, dimensions, table.num_rows)
    wanted = columns(version)
    whole = {n: _as(out.get(n, pa.nulls(table.num_rows)), KINDS[kind]) for n, kind in wanted.items()}
    custom = {column: named[name] for name, column in CARRIED.items() if name in named}
    custom |= {name: values for name, values in out.items() if name.startswith("x_")}
    custom |= {f"x_{_pascal(name)}": named[name].cast(pa.string()) for name in dimensions}
    focus = pa.table(whole | custom)
    _check(focus, named)
    return to_pandas(focus)


def write_focus(focus: pd.DataFrame, path: str | Path) -> Path:
    """Write FOCUS rows as CSV or Parquet, by the file's ending.

    In CSV, times are `YYYY-MM-DDTHH:MM:SSZ`, numbers plain with a decimal point, null is empty. Text that a spreadsheet would
    run as a formula gets an apostrophe, which `fa.from_focus` takes off again; Parquet holds all text as it is.
    """
    import pyarrow.parquet as pq

    path = Path(path)
    table = to_arrow(focus)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    if path.suffix != ".csv":
        raise SettingsError(f"FOCUS is written as .csv or .parquet, not as {path.name!r}.")
    columns = (column.to_pylist() for column in table.columns)
    return put(csv_of(table.column_names, columns, _cell), path)


def from_focus(path: str | Path, **settings: object) -> pd.DataFrame:
    """Token frame of FOCUS 1.0 to 1.4 files of any provider (needs the plugin finops-ai-focus).

    Args:
        path: a CSV or Parquet file, a folder or a glob.
        **settings: settings of the connector `focus`.

    Returns:
        Token frame, one row per usage row of an AI service; for files of `to_focus` exactly the frame they were made of.

    Raises:
        ProviderNotFound: the plugin finops-ai-focus isn't installed.
        DataError: a file is missing or damaged; names file, row, column and value.

    Example:
        >>> import tempfile
        >>> import finops_ai as fa
        >>> path = tempfile.mkdtemp() + "/focus.parquet"
        >>> fa.to_focus(fa.price(fa.sample(months=1))).to_parquet(path)
        >>> len(fa.from_focus(path))
        4939
    """
    from finops_ai.providers.collecting import read

    return read(path, format="focus", **settings)


def _charged(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that belong on a bill: what list prices would come to is no charge."""
    if "price_status" not in frame.columns:
        return frame
    estimated = (frame["price_status"] == ESTIMATE).to_numpy(bool, na_value=False)
    return frame[~estimated] if estimated.any() else frame


def _charges(named: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
    """Who, when, how much and what it costs."""
    issuers = _by_value(named["provider"], issuer_of)
    name = pa.array([issuer.name for issuer in issuers])
    start = named["charge_period_start"]
    months = _by_value(start, lambda moment: moment.date().replace(day=1))
    sub_account, region, resource = named["sub_account_id"], named["region"], named["resource_id"]
    currency = pc.coalesce(named["pricing_currency"], named["billing_currency"], pa.scalar("USD"))
    seat = pc.equal(named["unit"], SEATS)  # bought for a time, not used
    per = pa.array([_per_price(m) for m in named["meter"].to_pylist()], pa.decimal128(7, 0))
    shrink = pa.array([Decimal(1) / p for p in per.to_pylist()], pa.decimal128(7, 6))
    quantity = pc.multiply(named["quantity"], shrink)  # exact: 6 + 6 decimal places
    price = pc.multiply(named["list_unit_price"], per)
    zero = pa.scalar(Decimal(0), KINDS["number"])
    costs = {column: pc.coalesce(named[column], zero) for column in COSTS}
    same = pc.equal(named["billing_currency"], currency)
    stated = pc.if_else(pc.fill_null(same, False), named["billed_cost"], pa.scalar(None, KINDS["number"]))
    covered = (
        pc.fill_null(pc.equal(named["price_status"], INCLUDED), False) if "price_status" in named else pa.scalar(False)
    )
    agreed = _agreed_price(named, price, quantity)
    in_tags = _by_value(named["tags"].cast(pa.map_(pa.string(), pa.string())), _json_of)
    return {
        "BillingAccountId": named["billing_account_id"],
        "BillingAccountName": named["billing_account_id"],  # the frame knows no other name
        "BillingAccountType": pa.array([issuer.account_type for issuer in issuers]),
        "SubAccountId": sub_account,
        "SubAccountName": named["sub_account_name"],
        "SubAccountType": _where(sub_account, [issuer.sub_account_type for issuer in issuers]),
        "BillingPeriodStart": pa.array([dt.datetime(m.year, m.month, 1, tzinfo=dt.UTC) for m in months], KINDS["time"]),
        "BillingPeriodEnd": pa.array(
            [dt.datetime(n.year, n.month, 1, tzinfo=dt.UTC) for n in map(next_month, months)], KINDS["time"]
        ),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": named["charge_period_end"],
        "ChargeCategory": pc.if_else(seat, "Purchase", "Usage"),
        "ChargeFrequency": pc.if_else(seat, "Recurring", "Usage-Based"),
        "PricingCategory": pa.repeat("Standard", rows),
        "BillingCurrency": currency,
        "PricingCurrency": currency,
        "ServiceCategory": pa.repeat("AI and Machine Learning", rows),
        "ServiceSubcategory": pa.repeat("Generative AI", rows),
        "ServiceName": pa.array([issuer.service for issuer in issuers]),
        "InvoiceIssuerName": name,
        "ProviderName": name,
        "PublisherName": name,
        "ServiceProviderName": name,
        "HostProviderName": name,
        "RegionId": region,
        "RegionName": region,
        "ResourceId": resource,
        "ResourceName": resource,
        "ResourceType": _where(resource, [issuer.resource_type for issuer in issuers]),
        "ConsumedQuantity": pc.if_else(seat, pa.scalar(None, named["quantity"].type), named["quantity"]),
        "ConsumedUnit": pa.array(_by_value(named["unit"], lambda unit: None if unit == SEATS else UNITS[unit])),
        "PricingQuantity": quantity,
        "PricingUnit": pa.array(_by_value(named["meter"], _pricing_unit)),
        "ListUnitPrice": price,
        "ContractedUnitPrice": agreed,
        "PricingCurrencyListUnitPrice": price,
        "PricingCurrencyContractedUnitPrice": agreed,
        "PricingCurrencyEffectiveCost": costs["effective_cost"],
        "ListCost": costs["list_cost"],
        "ContractedCost": costs["contracted_cost"],
        "EffectiveCost": costs["effective_cost"],
        "BilledCost": pc.if_else(
            covered, zero, pc.coalesce(stated, named.get("payable_cost", costs["contracted_cost"]), zero)
        ),
        "Tags": pa.array(in_tags, pa.string()),
        "x_PriceStatus": named["price_status"] if "price_status" in named else pa.nulls(rows, pa.string()),
    }


def _agreed_price(named: Mapping[str, pa.Array], price: pa.Array, quantity: pa.Array) -> pa.Array:
    """Contracted price per pricing unit: the list price where the costs agree, else cost over quantity."""
    if pc.all(pc.fill_null(pc.equal(named["contracted_cost"], named["list_cost"]), True)).as_py():
        return price
    step = Decimal(1).scaleb(-price.type.scale)
    out = []
    rows = zip(*(a.to_pylist() for a in (named["list_cost"], named["contracted_cost"], price, quantity)), strict=True)
    for listed, agreed, unit, amount in rows:
        if agreed is None or listed == agreed or not amount:
            out.append(unit)
        else:
            out.append(_EXACT.divide(agreed, amount).quantize(step, context=_EXACT))
    return pa.array(out, price.type)


def _skus(named: Mapping[str, pa.Array], rows: int, draft_keys: bool) -> dict[str, pa.Array]:
    """What was bought: one SKU price per model, meter and modifiers, described alike in all its rows."""
    known: dict[tuple[Any, ...], tuple[str, str, str, str, str]] = {}
    out = []
    columns_ = [named[name].to_pylist() for name in SKU_KEY]
    columns_ += [named[name].to_pylist() if name in named else [None] * rows for name in IDENTITY]
    for key in zip(*columns_, strict=True):
        if key not in known:
            known[key] = _sku(dict(zip([*SKU_KEY, *IDENTITY], key, strict=True)), draft_keys)
        out.append(known[key])
    names = ("SkuId", "SkuPriceId", "SkuMeter", "SkuPriceDetails", "ChargeDescription")
    return (
        dict(zip(names, (pa.array(list(c), pa.string()) for c in zip(*out, strict=True)), strict=True)) if out else {}
    )


def _sku(row: Mapping[str, Any], draft_keys: bool) -> tuple[str, str, str, str, str]:
    meter = meters()[row["meter"]]
    sku = f"{row['model']}-{meter.name.replace('_', '-')}"
    modifiers = [row[name] for name in ("service_tier", "context_tier", "inference_geo") if row[name]]
    details: dict[str, Any] = {
        "ModelDeveloper": row["model_developer"],
        "ModelFamily": row["model_family"],
        "ModelId": row["model"],
        "ModelVersion": row["model_version"],
        "TokenDirection": meter.direction.title() if meter.is_token else None,
        "TokenCacheAction": None,
        "x_ServiceTier": row["service_tier"],
        "x_ContextTier": row["context_tier"],
        "x_InferenceGeo": row["inference_geo"],
        "x_Modality": meter.modality or None,
        "x_CacheTtl": meter.cache_ttl or None,
    }
    if meter.is_token and meter.direction == "input":
        details["TokenCacheAction"] = meter.cache_action.title() or "Uncached"
    shown = {
        (k if k not in DRAFT_KEYS or draft_keys else f"x_{k}"): v for k, v in sorted(details.items()) if v is not None
    }
    text = sku_meter(meter)
    tier = "" if row["service_tier"] == "standard" else f" ({row['service_tier']})"
    description = f"{text} for {row['model']}{tier}"
    return sku, "-".join([sku, *modifiers]), text, json.dumps(shown, ensure_ascii=False), description


def _allocation(named: Mapping[str, pa.Array], dimensions: list[str], rows: int) -> dict[str, pa.Array]:
    """Parts of split rows: how they were split and who got them; null where nothing was split."""
    if "share" not in named or not dimensions:
        return {}
    values = [named[name].cast(pa.string()).to_pylist() for name in dimensions]
    out: dict[str, list[Any]] = {name: [] for name in ("Id", "Resource", "Tags", "Details")}
    rules = named["rule"].to_pylist() if "rule" in named else [None] * rows
    units = named["unit"].to_pylist()
    for share, rule, unit, *row in zip(named["share"].to_pylist(), rules, units, *values, strict=True):
        if share is None or share == 1:
            for cells in out.values():
                cells.append(None)
            continue
        owner = row[0] if row[0] and row[0] != "unallocated" else None
        element = {"AllocatedRatio": float(share), "UsageUnit": UNITS[unit]} | ({"x_Rule": rule} if rule else {})
        out["Id"].append(METHOD)
        out["Resource"].append(owner)
        out["Tags"].append(json.dumps({k: v for k, v in zip(dimensions, row, strict=True) if v}, ensure_ascii=False))
        out["Details"].append(json.dumps({"Elements": [element]}, ensure_ascii=False))
    text = {name: pa.array(cells, pa.string()) for name, cells in out.items()}
    return {
        "AllocatedMethodId": text["Id"],
        "AllocatedResourceId": text["Resource"],
        "AllocatedResourceName": text["Resource"],
        "AllocatedTags": text["Tags"],
        "AllocatedMethodDetails": text["Details"],
    }


def _check(focus: pa.Table, named: Mapping[str, pa.Array]) -> None:
    """What this export promises: no null where FOCUS forbids it, and the costs of the frame, to the last digit."""
    for name in focus.column_names:
        if name in MANDATORY and focus[name].null_count:
            row = pc.index(focus[name].is_null(), True).as_py()
            raise DataError(f"FOCUS column {name} would be null in row {row}; the frame lacks what it is made of.")
    for ours, theirs in zip(COSTS, ("ListCost", "ContractedCost", "EffectiveCost"), strict=True):
        before, after = pc.sum(named[ours]).as_py() or 0, pc.sum(focus[theirs]).as_py() or 0
        if before != after:
            raise DataError(f"The FOCUS rows hold {theirs} {after}, the frame {ours} {before}.")


def issuer_of(provider: str) -> Issuer:
    """Who invoices a provider's usage, and what its accounts are called."""
    return ISSUERS.get(provider) or Issuer(provider, f"{provider} API", "Account", "Sub Account", "Deployment")


def _per_price(meter: str) -> int:
    return PER_PRICE.get(UNITS[meters()[meter].unit], 1)


def _pricing_unit(meter: str) -> str:
    unit, per = UNITS[meters()[meter].unit], _per_price(meter)
    return unit if per == 1 else f"{per} {unit}"


def _column(table: pa.Table, name: str) -> pa.Array:
    column = table[name].combine_chunks()
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if values.type == kind else values.cast(kind)


def _where(present: pa.Array, values: list[str]) -> pa.Array:
    return pc.if_else(present.is_valid(), pa.array(values, pa.string()), pa.scalar(None, pa.string()))


def _by_value(values: pa.Array, function: Callable[[Any], Any]) -> list[Any]:
    """A function of each value, called once per distinct value."""
    known: dict[Any, Any] = {}
    out = []
    for value in values.to_pylist():
        key = tuple(value) if isinstance(value, list) else value
        if key not in known:
            known[key] = function(value)
        out.append(known[key])
    return out


def _json_of(tags: list[tuple[str, str]] | None) -> str | None:
    return None if tags is None else json.dumps(dict(tags), ensure_ascii=False)


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))[:48]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0") if "." in text else f"{text}."
        return f"{text}0" if text.endswith(".") else text
    return plain_cell(value)


__all__ = ["from_focus", "to_focus", "write_focus"]
