"""Buckets of the Usage API as a token frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finops_ai.errors import DataError, UsageError
from finops_ai.meters import TIER_WORDS, format_named, normalise_columns, service_tier, tokens_from_slices
from finops_ai.providers.amounts import count
from finops_ai_openai.api import Bucket
from finops_ai_openai.endpoints import TOKEN_COUNTS, TOKEN_FORMAT, Endpoint

INSTANT = pa.timestamp("us", tz="UTC")
TAGS = pa.map_(pa.string(), pa.string())
GIB = Decimal(2**30)


def tokens_of(
    buckets: Iterable[Bucket], endpoint: Endpoint, *, account: str, source: str, names: Mapping[str, str]
) -> pa.Table:
    """Token-frame columns of one endpoint's buckets: a row per meter of each result.

    Args:
        buckets: each bucket once.
        endpoint: what the results are of.
        account: the frame's billing_account_id.
        source: the frame's source, "api" or "file".
        names: project id to name.

    Raises:
        DataError: a result lacks a required count, or a count is negative or no whole number; names place and value.
    """
    buckets = list(buckets)
    lengths = [len(bucket.results) for bucket in buckets]
    results = [result for bucket in buckets for result in bucket.results]
    table = _columns(results, buckets, endpoint)
    start, end = (
        pa.array(np.repeat(np.array([getattr(b, side) for b in buckets], dtype="int64"), lengths) * 10**6).cast(INSTANT)
        for side in ("start", "end")
    )
    project = table["project_id"]
    slices: dict[str, Any] = {
        "charge_period_start": start,
        "charge_period_end": end,
        "provider": "openai",
        "billing_account_id": account,
        "sub_account_id": project,
        "sub_account_name": _named(project, names),
        "resource_id": table["vector_store_id"],
        "model": pc.coalesce(table["model"], pa.scalar(endpoint.model)),
        "operation": endpoint.operation,
        "service_tier": _tier(table),
        "api_key_id": table["api_key_id"],
        "user_id": table["user_id"],
        "tags": _tags(table, endpoint),
        "source": source,
        "quantity_basis": "estimated" if "storage" in endpoint.counts else "metered",
    }
    try:
        meters: Mapping[str, Any]
        if not endpoint.counts:
            meters = normalise_columns({name: table[name] for name in TOKEN_COUNTS}, TOKEN_FORMAT)
            if any(strange := [unknown_tokens(result, endpoint) for result in results]):
                meters = {**meters, "unmapped": pa.array(strange, pa.int64())}
        else:
            meters = {meter: table[name] for meter, name in endpoint.counts.items()}
            if "storage" in meters:
                meters = {"storage": _gib_hours(meters["storage"], start, end)}
        return tokens_from_slices(slices, meters)
    except UsageError as error:
        if len(buckets) == 1:
            next_step = "Correct the file or save the page again" if source == "file" else "Ask again later"
            raise UsageError(f"{buckets[0].place}: {error} {next_step}. Nothing was stored.", error.flag) from None
        for bucket in buckets:  # alone, the broken bucket says where it is
            tokens_of([bucket], endpoint, account=account, source=source, names=names)
        raise


def unknown_tokens(result: Mapping[str, Any], endpoint: Endpoint) -> int:
    """Tokens of a result under names this package doesn't know: a new kind of token."""
    known, spec = {field.name for field in endpoint.fields}, format_named(TOKEN_FORMAT)
    stated = {name: count(value) for name, value in result.items() if "token" in name}
    return sum(
        value
        for name, value in stated.items()
        if type(value) is int and value > 0 and name not in known and not spec.known(name)
    )


def unmapped_of(
    buckets: Iterable[Bucket], kind: str, *, account: str, source: str, names: Mapping[str, str]
) -> pa.Table:
    """Results of a kind this package doesn't know: one row each in the meter `unmapped`, the raw figures as tags."""
    results = [(bucket, result) for bucket in buckets for result in bucket.results]

    def column(name: str) -> pa.Array:
        return pa.array([result.get(name) for _, result in results], pa.string())

    raw = [[(k, str(v)) for k, v in r.items() if isinstance(v, int | Decimal) and v is not None] for _, r in results]
    slices = {
        "charge_period_start": pa.array([bucket.start * 10**6 for bucket, _ in results]).cast(INSTANT),
        "charge_period_end": pa.array([bucket.end * 10**6 for bucket, _ in results]).cast(INSTANT),
        "provider": "openai",
        "billing_account_id": account,
        "sub_account_id": column("project_id"),
        "sub_account_name": _named(column("project_id"), names),
        "model": pc.coalesce(column("model"), pa.scalar(kind)),
        "operation": kind,
        "service_tier": "standard",
        "api_key_id": column("api_key_id"),
        "user_id": column("user_id"),
        "tags": pa.array(raw, TAGS),
        "source": source,
        "quantity_basis": "metered",
    }
    return tokens_from_slices(slices, {"unmapped": [1] * len(results)})


def _columns(results: list[dict[str, Any]], buckets: list[Bucket], endpoint: Endpoint) -> dict[str, pa.Array]:
    try:
        rows = pa.array(results, type=endpoint.fields)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        rows = None
    fields = endpoint.fields
    if rows is None:
        plain = [_plain(result, fields) for result in results]
        if plain != results:
            again = [replace(b, results=[_plain(result, fields) for result in b.results]) for b in buckets]
            return _columns(plain, again, endpoint)
        for bucket in buckets:
            for result in bucket.results:
                _check(result, bucket, fields)
        raise DataError(f"{buckets[0].place}: results of {endpoint.path} can't be read.")
    columns = {field.name: rows.field(i) for i, field in enumerate(fields)}
    for name in endpoint.required:
        if columns[name].null_count:
            row = pc.index(columns[name].is_null(), True).as_py()
            place = _place_of(row, buckets)
            raise DataError(
                f"{place}: a result of {endpoint.path} has no {name!r}. OpenAI may have changed its answers: "
                "update finops-ai-openai. Nothing was stored."
            )
    return columns


def _plain(result: Any, fields: pa.StructType) -> Any:
    """A result whose counts are whole numbers where the answer has them as text."""
    if not isinstance(result, dict):
        return result
    return result | {f.name: count(result[f.name]) for f in fields if f.type == pa.int64() and f.name in result}


def _check(result: Any, bucket: Bucket, fields: pa.StructType) -> None:
    if not isinstance(result, dict):
        raise DataError(f"{bucket.place}: a result is not an object but {result!r:.60}.")
    for field in fields:
        try:
            pa.array([result.get(field.name)], type=field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            value = result[field.name]
            raise DataError(
                f"{bucket.place}: {field.name} is {value!r:.60}, which is no {field.type}. Nothing was stored."
            ) from None


def _place_of(row: int, buckets: list[Bucket]) -> str:
    for bucket in buckets:
        if row < len(bucket.results):
            return f"{bucket.place}, result {row + 1}"
        row -= len(bucket.results)
    return "?"


def _named(project: pa.Array, names: Mapping[str, str]) -> pa.Array:
    known = pc.index_in(project, pa.array(list(names), pa.string()))
    return pa.array(list(names.values()), pa.string()).take(known)


def _tier(table: Mapping[str, pa.Array]) -> pa.Array:
    said = [word for word in table["service_tier"].unique().to_pylist() if word is not None]
    words, ours = pa.array(said, pa.string()), pa.array([service_tier(word) for word in said], pa.string())
    known = ours.take(pc.index_in(table["service_tier"], words))
    return pc.if_else(pc.fill_null(table["batch"], False), "batch", pc.coalesce(known, pa.scalar("standard")))


def _tags(table: Mapping[str, pa.Array], endpoint: Endpoint) -> pa.Array:
    """The endpoint's own dimensions, and the tier's word where it says more than the frame's tier."""
    raw = table["service_tier"]
    lowered = pc.utf8_lower(raw)
    strange = pc.and_kleene(raw.is_valid(), pc.invert(pc.is_in(lowered, pa.array(list(TIER_WORDS), pa.string()))))
    # unstated beside a stated default: two slices that must stay two
    if pc.any(pc.equal(lowered, "default")).as_py() and raw.null_count:
        unstated = pc.and_(raw.is_null(), pc.invert(pc.fill_null(table["batch"], False)))
        raw = pc.if_else(unstated, "unstated", raw)
        strange = pc.or_(strange, unstated)
    columns = {name: table[name] for name in endpoint.tags}
    columns["openai.service_tier"] = pc.if_else(strange, raw, pa.scalar(None, pa.string()))
    if all(column.null_count == len(column) for column in columns.values()):
        return pa.nulls(len(raw), TAGS)
    values = [column.to_pylist() for column in columns.values()]
    rows = [[(k, v) for k, v in zip(columns, row, strict=True) if v is not None] for row in zip(*values, strict=True)]
    return pa.array([row or None for row in rows], TAGS)


def _gib_hours(stored: pa.Array, start: pa.Array, end: pa.Array) -> pa.Array:
    """Bytes held over a bucket as GiB-hours, to 6 decimal places."""
    seconds = pc.divide(pc.subtract(end.cast(pa.int64()), start.cast(pa.int64())), 10**6)
    step = Decimal("0.000001")
    values = [
        (Decimal(b) * s / 3600 / GIB).quantize(step, ROUND_HALF_EVEN)
        for b, s in zip(stored.to_pylist(), seconds.to_pylist(), strict=True)
    ]
    return pa.array(values, pa.decimal128(19, 6))
