"""The same calls otherwise: token rows at another model, tier, place, length or cache share, quantities exact.

Every function takes priced or token rows and gives rows that are to be priced anew; nothing here knows a price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.frames.types import QUANTITY_TYPE
from finops_ai.meters import meters
from finops_ai.prices.names import provider_name, take_apart

#: tiers whose calls are billed as they come, so that they can be moved to another one
BY_THE_CALL = ("standard", "priority", "fast", "flex", "batch")
TOKENS = frozenset(m.name for m in meters().values() if m.is_token)
FRESH = tuple(m.name for m in meters().values() if m.roll_up == "fresh_input")
READS = tuple(m.name for m in meters().values() if m.cache_action == "read")
WRITES = tuple(m.name for m in meters().values() if m.cache_action == "write")
PROMPT, ANSWER = (
    frozenset(m.name for m in meters().values() if m.is_token and m.direction == way) for way in ("input", "output")
)
#: what a seller bills a class of tokens as where its list has no price of that class
_ELSE = dict.fromkeys((*READS, *WRITES), "input") | {"reasoning": "output"}


def column(values: Sequence[Any], kind: pa.DataType, index: pd.Index) -> pd.Series:
    """A column of one Arrow type."""
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, kind)), index=index)


def text(frame: pd.DataFrame, name: str, value: str | None) -> pd.Series:
    """A text column with one value throughout."""
    return pd.Series([value] * len(frame), index=frame.index).astype(frame[name].dtype)


def total(rows: pd.DataFrame, names: Sequence[str] | frozenset[str] = ()) -> Decimal:
    """Quantity of some meters, of all of them by default."""
    quantity = pa.array(rows["quantity"])
    if names:
        quantity = quantity.filter(pc.is_in(pa.array(rows["meter"]), pa.array(sorted(names))))
    return Decimal(pc.sum(quantity).as_py() or 0)


def scaled(rows: pd.DataFrame, factor: Decimal | Sequence[Decimal]) -> pd.DataFrame:
    """The rows with quantities times a factor, or one factor a row, rounded to the frame's six places."""
    return rows.assign(quantity=_series(_times(rows["quantity"], factor).cast(QUANTITY_TYPE), rows.index))


def _times(values: pd.Series, factor: Decimal | Sequence[Decimal], places: int = QUANTITY_TYPE.scale) -> pa.Array:
    """Exact products, rounded half to even."""
    factors = pa.scalar(factor) if isinstance(factor, Decimal) else pa.array([*factor, Decimal(1)])[:-1]
    product = pc.multiply(pa.array(values).cast(pa.decimal256(38, QUANTITY_TYPE.scale)), factors)
    return pc.round(product, ndigits=places, round_mode="half_to_even")


def _series(values: pa.Array, index: pd.Index) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(values), index=index)


def divided(rows: pd.DataFrame, share: Decimal) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows as the part that changes and the part that stays; quantities add up exactly, and no part is empty."""
    moved = scaled(rows, share)
    left = pc.subtract(pa.array(rows["quantity"]), pa.array(moved["quantity"])).cast(QUANTITY_TYPE)
    kept = rows.assign(quantity=_series(left, rows.index))
    one, two = ((part["quantity"] > 0).to_numpy(bool, na_value=False) for part in (moved, kept))
    return moved[one], kept[two]


def at_model(
    rows: pd.DataFrame, model: str, provider: str | None = None, factor: Decimal | Sequence[Decimal] = Decimal(1)
) -> pd.DataFrame:
    """Calls at another model: tokens times the factor of its tokeniser; another seller has no region of the old one."""
    factors = [factor] * len(rows) if isinstance(factor, Decimal) else factor
    out = scaled(rows, [f if m in TOKENS else Decimal(1) for f, m in zip(factors, rows["meter"], strict=True)])
    out = out.assign(model=text(out, "model", model), slice_input_tokens=_lengths(rows, factors))
    if provider is not None:
        out = out.assign(provider=text(out, "provider", provider))
        other = [provider_name(str(p)) != provider_name(provider) for p in rows["provider"]]
        for name in ("region", "inference_geo", "context_tier"):
            if any(other) and name in out.columns:
                out[name] = out[name].mask(pd.Series(other, index=out.index))
    return out


def with_known_meters(rows: pd.DataFrame, unpriced: Sequence[bool]) -> pd.DataFrame:
    """Rows without a price under the class they are billed as where a list has none of their own."""
    meter = [_ELSE.get(m, m) if bare else m for m, bare in zip(rows["meter"], unpriced, strict=True)]
    return rows.assign(meter=column(meter, pa.string(), rows.index).astype(rows["meter"].dtype))


def at_tier(rows: pd.DataFrame, tier: str) -> pd.DataFrame:
    """Calls in another service tier."""
    return rows.assign(service_tier=text(rows, "service_tier", tier))


def at_place(rows: pd.DataFrame, geography: str, region: str | None = None) -> pd.DataFrame:
    """Calls processed elsewhere: in another inference geography, and region where one is given.

    A model name that states its place, as Bedrock's profiles do, states the new one.
    """
    names = [_named_at(str(p), str(m), geography) for p, m in zip(rows["provider"], rows["model"], strict=True)]
    out = rows.assign(
        inference_geo=text(rows, "inference_geo", geography),
        model=column(names, pa.string(), rows.index).astype(rows["model"].dtype),
    )
    google = [provider_name(str(p)) == "google" for p in rows["provider"]]
    if region is not None:
        out = out.assign(region=text(out, "region", region))
    elif any(google):  # its region is where a call is processed
        out["region"] = out["region"].mask(pd.Series(google, index=out.index), geography)
    return out


def _named_at(provider: str, model: str, geography: str) -> str:
    named = take_apart(provider_name(provider), model)
    prefix = f"{named.place}." if named.place else ""
    return f"{geography}.{model[len(prefix) :]}" if prefix and model.lower().startswith(prefix) else model


def at_length(rows: pd.DataFrame, prompt: Decimal = Decimal(1), answer: Decimal = Decimal(1)) -> pd.DataFrame:
    """Calls with prompts and answers of another length, as factors of what they are."""
    factors = [prompt if m in PROMPT else answer if m in ANSWER else Decimal(1) for m in rows["meter"]]
    return scaled(rows, factors).assign(slice_input_tokens=_lengths(rows, prompt))


def below_context(rows: pd.DataFrame) -> pd.DataFrame:
    """Calls whose context stays below every threshold of dearer long contexts."""
    zero = [None if v is pd.NA or v is None else 0 for v in rows["slice_input_tokens"]]
    out = rows.assign(slice_input_tokens=column(zero, pa.int64(), rows.index))
    return out.assign(context_tier=text(out, "context_tier", None)) if "context_tier" in out.columns else out


def with_cache(
    rows: pd.DataFrame, reads: Decimal, writes: Decimal = Decimal(0), write_meter: str = "cache_write_5m"
) -> pd.DataFrame:
    """Fresh prompt text as cache reads and writes: shares of it, the rest stays fresh."""
    fresh = rows[[m == "input" for m in rows["meter"]]]
    read, rest = divided(fresh, reads)
    left = 1 - reads
    written, kept = divided(rest, min(writes / left, Decimal(1))) if left > 0 else (rest[:0], rest)
    parts = [
        rows[[m != "input" for m in rows["meter"]]],
        read.assign(meter=text(read, "meter", "cache_read")),
        written.assign(meter=text(written, "meter", write_meter)),
        kept,
    ]
    return pd.concat([part for part in parts if len(part)])


def _lengths(rows: pd.DataFrame, factor: Decimal | Sequence[Decimal]) -> pd.Series:
    """How long prompts are, times a factor."""
    return _series(_times(rows["slice_input_tokens"], factor, 0).cast(pa.int64()), rows.index)


def weighed(rows: pd.DataFrame, weights: Mapping[str, Decimal]) -> list[Decimal]:
    """Throughput that each row takes of bought capacity: its tokens by the weights of their meters, 1 by default."""
    return [
        Decimal(q) * weights.get(m, Decimal(1)) if m in TOKENS else Decimal(0)
        for q, m in zip(rows["quantity"], rows["meter"], strict=True)
    ]
