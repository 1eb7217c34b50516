"""Any source's usage as disjoint meters: one algorithm for one call and for a column of calls, driven by formats.toml.

Every token lands in exactly one meter. A part larger than its total is an error, never clamped to 0; a split that
states more than the count it splits, a sum that doesn't add up and a token count the format doesn't know are flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa

from finops_ai.errors import UsageError, hint
from finops_ai.meters.formats import Format, Paths, elements, find, format_named, unknown_token_fields
from finops_ai.meters.logs import last_records
from finops_ai.meters.registry import meters, token_meters
from finops_ai.money import exact

Counts = np.ndarray  # int64, one per call
Column = tuple[Counts, np.ndarray]  # counts (0 where not stated), and where they are stated
Odd = tuple[str, np.ndarray, Callable[[int], str]]  # flag, the rows it is about, and the reason in a row

#: provider's word for a service tier -> ours
TIER_WORDS = {
    "standard": "standard", "default": "standard", "auto": "standard", "on_demand": "standard",
    "standard_only": "standard", "shared": "standard", "unspecified": "standard", "": "standard",
    "traffic_type_unspecified": "standard",
    "batch": "batch",
    "flex": "flex", "flex_discount": "flex", "on_demand_flex": "flex",
    "priority": "priority", "priority_on_demand": "priority", "on_demand_priority": "priority",
    "fast": "fast",
    "provisioned": "provisioned", "provisioned_throughput": "provisioned", "reserved": "provisioned", "dedicated": "provisioned",
    "scale": "provisioned",
}  # fmt: skip

#: what a caller may know beside the usage object
CONTEXT_KEYS = (
    "requested_service_tier", "service_tier", "batch", "region", "inference_geo", "speed", "traffic_type",
    "context_window", "api_base", "requests", "aggregated", "underlying_model", "deployment_type",
)  # fmt: skip


@dataclass(frozen=True)
class Normalised:
    """One usage object as disjoint meters, and the facts that choose its price.

    Attributes:
        meters: meter -> quantity above 0; each token is in one meter only.
        flags: what is odd about the object (see `finops_ai.meters.FLAGS`).
        reported_cost: USD the object itself states, or None.
        service_tier: tier that served it, in this package's words.
        context_window: context class the provider states ("0-200k"), or None.
        inference_geo: where inference ran, as stated, or None.
        region: region stated inside the object or by the caller, or None.
        slice_input_tokens: all input tokens, cached included: decides the context tier.
        slice_requests: number of calls summed; None when unknown.
        unknown_fields: paths behind the flag unknown_token_field.
        notes: what is behind the other flags, one sentence each.
        calls: the single calls, where the object is a log of several.
    """

    meters: Mapping[str, int | Decimal]
    flags: frozenset[str] = frozenset()
    reported_cost: Decimal | None = None
    service_tier: str = "standard"
    context_window: str | None = None
    inference_geo: str | None = None
    region: str | None = None
    slice_input_tokens: int = 0
    slice_requests: int | None = 1
    unknown_fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    calls: tuple[Normalised, ...] = field(default=(), repr=False)

    def roll_up(self) -> dict[str, int | Decimal]:
        """Sums of the coarse classes: fresh_input, cache_read, cache_write_5m|1h|other, output, reasoning, total, ..."""
        coarse: dict[str, int | Decimal] = {}
        for name, quantity in self.meters.items():
            if key := meters()[name].roll_up:
                coarse[key] = coarse.get(key, 0) + quantity
        coarse["reasoning"] = self.meters.get("reasoning", 0)
        coarse["total"] = sum(self.meters.get(name, 0) for name in token_meters() if meters()[name].unit == "tokens")
        return coarse


def normalise(usage: Mapping[str, Any], format: str, context: Mapping[str, Any] | None = None) -> Normalised:
    """Turn one usage object into disjoint meters.

    Args:
        usage: the provider's own object in its own nesting (a list of records for a log).
        format: name of a declared format, such as "openai.chat" (see `finops_ai.meters.formats`).
        context: what the caller knows beside the object; keys of `CONTEXT_KEYS`.

    Raises:
        UsageError: a part is larger than its total (flag "negative_remainder"), a count isn't a whole number of 0 or
            more ("bad_count"), or the format is unknown.

    >>> normalise({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
    ...           "openai.chat").meters
    {'input': 6, 'cache_read': 4, 'output': 5, 'requests': 1}
    """
    spec, context = format_named(format), context or {}
    if spec.records:
        return _log(usage, spec, context)
    if not isinstance(usage, Mapping):
        raise UsageError(f"{format}: the usage must be an object, got {type(usage).__name__}.", "bad_usage")

    words = ((find(usage, path, spec.flat), answers) for path, answers in spec.unbilled.items())
    billed = {} if any(str(word).lower() in answers for word, answers in words) else usage

    if spec.given:
        return _given(usage, context)
    units = {path for paths in spec.also.values() for path in paths}

    def column(path: str) -> Column:
        value = None if path in units else find(billed, path, spec.flat)
        stated = value is not None
        return np.array([_count(value, path, spec) if stated else 0], dtype=np.int64), np.array([stated])

    counted, odd = _split(spec, column)
    flags = {flag for flag, rows, _ in odd if rows[0]}
    unknown = tuple(unknown_token_fields(billed, spec))
    if unknown:
        flags.add("unknown_token_field")
    found: dict[str, int | Decimal] = {name: int(values[0]) for name, values in counted.items() if values[0]}
    found |= {name: q for name, paths in spec.also.items() if (q := _units(billed, name, paths, spec))}
    asked = found.pop("requests", None)
    requests = _requests(None if asked is None else int(asked), spec, context)
    if requests is not None:
        found["requests"] = requests
    facts = {key: _first(usage, paths, spec) for key, paths in spec.facts.items()}
    for tier, paths in spec.tiers.items():
        if not facts.get("service_tier") and any(find(usage, path, spec.flat) for path in paths):
            facts["service_tier"] = tier
    call = Normalised(
        meters=found,
        flags=frozenset(flags),
        reported_cost=_reported(usage, spec),
        service_tier=_served(facts, context),
        context_window=facts.get("context_window") or context.get("context_window"),
        inference_geo=_place(facts.get("inference_geo") or context.get("inference_geo")),
        region=context.get("region") or facts.get("region"),
        slice_input_tokens=sum(
            int(v) for k, v in found.items() if meters()[k].direction == "input" and meters()[k].is_token
        ),
        slice_requests=requests,
        unknown_fields=unknown,
        notes=tuple(text(0) for _, rows, text in odd if rows[0]),
    )
    more = [item for step in spec.further for item in elements(usage, step)]
    return _with_further(call, [normalise(item, format, context) for item in more]) if more else call


def normalise_columns(columns: Mapping[str, Sequence[int | None] | pa.Array], format: str) -> dict[str, pa.Array]:
    """Turn columns of many usage objects of one format into columns of disjoint meters.

    Args:
        columns: path as `formats.toml` spells it -> one count per row; null = not stated. Absent columns count 0.
        format: name of a declared format.

    Returns:
        meter -> int64 array, one value per row; meters that are 0 everywhere are left out.

    Raises:
        UsageError: a column the format doesn't know, a negative count, a part larger than its total, or parts that
            don't add up; the message names the first row.

    >>> normalise_columns({"input_tokens": [9, 5], "input_cached_tokens": [4, None], "output_tokens": [1, 1]},
    ...                   "openai.usage_api")["input"].to_pylist()
    [5, 5]
    """
    spec = format_named(format)
    read = {path: _column(values, path, spec) for path, values in columns.items()}
    if foreign := [path for path in read if not spec.known(path)]:
        raise UsageError(f"{format}: unknown count columns {foreign}.", "unknown_token_field")
    rows = max((len(values) for values, _ in read.values()), default=0)
    absent: Column = (np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=bool))
    counted, odd = _split(spec, lambda path: read.get(path, absent))
    for flag, where, text in odd:
        if where.any():
            row = int(where.argmax())
            values = {path: int(values[row]) for path, (values, _) in read.items()}
            raise UsageError(
                f"{format}: {flag} in {int(where.sum())} rows, first in row {row}: {text(row)} Its counts: {values}.",
                flag,
            )
    return {name: pa.array(values) for name, values in counted.items() if values.any()}


def service_tier(word: str | None) -> str:
    """A provider's word for a service tier in this package's words; null is standard.

    A word no provider is known to use stays as it is, in lower case: such a tier has no list price, so what it served
    is kept, counted and unpriced, never taken for another tier.

    >>> service_tier("default"), service_tier("ON_DEMAND_FLEX"), service_tier("flex-tier"), service_tier("Ultra-Fast")
    ('standard', 'flex', 'flex', 'ultra_fast')
    """
    said = re.sub(r"[\s-]+", "_", (word or "").strip().lower())
    bare = said.removeprefix("service_tier_").removesuffix("_tier")
    return TIER_WORDS.get(said) or TIER_WORDS.get(bare, said)


def _split(spec: Format, column: Callable[[str], Column]) -> tuple[dict[str, Counts], list[Odd]]:
    """Disjoint meters and what is odd, for one row or many. The one place where parts leave their totals."""
    odd: list[Odd] = []
    no_tokens = np.zeros(1, dtype=np.int64)  # broadcast to any number of rows
    column = _solved(spec, column)

    def take(paths: Paths) -> Column:
        values, stated = column(paths[0])
        for path in paths[1:]:  # another spelling of the same count
            other, has = column(path)
            odd.append(
                (
                    "total_mismatch",
                    (values > 0) & (other > 0) & (values != other),
                    _differ(paths[0], values, path, other),
                )
            )
            values, stated = np.maximum(values, other), stated | has
        return values, stated

    def left(values: Counts, what: str) -> Counts:
        if (values < 0).any():
            row = int((values < 0).argmax())
            raise UsageError(
                f"{spec.name}: the parts of {what} are {-int(values[row])} larger than it (row {row}); "
                "the source counts differently than declared.",
                "negative_remainder",
            )
        return values

    parts: dict[str, Counts] = {}
    inside: dict[str, Counts] = {"input": 0, "output": 0}  # type: ignore[dict-item]
    stated_parts: dict[str, np.ndarray] = {}
    for group, is_inside in ((spec.inside, True), (spec.beside, False)):
        for name, paths in group.items():
            values, stated = take(paths)
            if spec.zero_is_unstated:
                stated = stated & (values > 0)
            parts[name], stated_parts[name] = parts.get(name, 0) + values, stated
            if is_inside:
                inside[meters()[name].direction] = inside[meters()[name].direction] + values

    # lifetimes split the cache writes: less than the aggregate leaves a rest, more is used and flagged
    lifetimes = {name: take(paths)[0] for name, paths in spec.split.items() if name.startswith("cache_write")}
    if lifetimes:
        aggregate, split = parts.pop("cache_write"), reduce(np.add, lifetimes.values())
        grown = np.maximum(split - aggregate, 0)
        odd.append(
            (
                "breakdown_exceeds_aggregate",
                (grown > 0) & stated_parts["cache_write"],
                lambda row: (
                    f"the write lifetimes add up to {split[row]}, {grown[row]} more than the writes stated; the lifetimes are used."
                ),
            )
        )
        if "cache_write" in spec.inside:
            inside["input"] = inside["input"] + grown
        parts |= lifetimes
        parts["cache_write"] = aggregate + grown - split

    # cache reads that only their modalities state are as many as these
    reads = [take(paths)[0] for name, paths in spec.split.items() if name.startswith("cache_read")]
    if reads and "cache_read" in parts:
        grown = np.where(stated_parts["cache_read"], 0, reduce(np.add, reads))
        parts["cache_read"] = parts["cache_read"] + grown
        if "cache_read" in spec.inside:
            inside["input"] = inside["input"] + grown

    if spec.input:
        fresh = left(take(spec.input)[0] - inside["input"], "the input total")
        parts["input"] = parts.get("input", 0) + fresh
    if spec.output:
        total = take(spec.output)[0]
        parts["output"] = left(total - inside["output"], "the output total") + parts.get("output", 0)
    _modalities(spec, parts, take, left)
    parts |= {name: take(paths)[0] for name, paths in spec.also.items()}
    if spec.requests not in ("one", "sum"):
        parts["requests"] = column(spec.requests)[0]

    tokens = reduce(
        np.add, (parts[name] for name in token_meters() if name in parts and meters()[name].unit == "tokens"), no_tokens
    )
    if spec.total:
        values, stated = take(spec.total)
        odd.append(("total_mismatch", stated & (values != tokens), _differ(spec.total[0], values, "the parts", tokens)))
    for paths in spec.sums:
        read = [column(path) for path in paths]
        added = reduce(np.add, (values for values, _ in read[1:]))
        where = read[0][1] & read[-1][1] & (read[0][0] != added)
        odd.append(("total_mismatch", where, _differ(paths[0], read[0][0], " + ".join(paths[1:]), added)))
    order = {name: i for i, name in enumerate(meters())}
    return {name: parts[name] for name in sorted(parts, key=order.__getitem__)}, odd


def _solved(spec: Format, column: Callable[[str], Column]) -> Callable[[str], Column]:
    """The columns, and the first part of each stated sum where it alone is left out: it follows from the others."""
    found: dict[str, Column] = {}
    for total, part, *others in spec.sums:
        (whole, known), (values, stated) = column(total), column(part)
        rest = whole
        for path in others:
            value, told = column(path)
            rest, known = rest - value, known & told
        gap = known & ~stated & (rest > 0)
        if gap.any():
            found[part] = np.where(gap, rest, values), stated | gap
    return lambda path: found.get(path) or column(path)


def _differ(stated: str, values: Counts, against: str, other: Counts) -> Callable[[int], str]:
    return lambda row: f"{stated} states {values[row]}, {against} {other[row]}."


def _modalities(
    spec: Format, parts: dict[str, Counts], take: Callable[[Paths], Column], left: Callable[..., Any]
) -> None:
    """Tell audio, image and video apart from the text of input, cache reads and output.

    Where a source counts a modality over fresh and cached tokens together and doesn't split the cached ones, as many
    as fit are fresh and the others must have been cached.
    """
    split = {name: take(paths)[0] for name, paths in spec.split.items() if not name.startswith("cache_write")}
    for kind in ("audio", "image", "video"):
        if f"cache_read_{kind}" in split:
            parts["cache_read"] = left(parts["cache_read"] - split[f"cache_read_{kind}"], "the cache reads")
            parts[f"cache_read_{kind}"] = split[f"cache_read_{kind}"]
        if f"input_{kind}" in split:
            stated, cached = split[f"input_{kind}"], parts.get(f"cache_read_{kind}", 0)
            if spec.modalities_of_total and "cache_read" in parts:
                fresh = np.minimum(left(stated - cached, f"the {kind} input"), parts["input"])
                rest = stated - cached - fresh
                parts["cache_read"] = left(parts["cache_read"] - rest, "the cache reads")
                parts[f"cache_read_{kind}"] = cached + rest
                stated = fresh
            parts["input"] = left(parts["input"] - stated, "the fresh input")
            parts[f"input_{kind}"] = stated
        if f"output_{kind}" in split:
            parts["output"] = left(parts["output"] - split[f"output_{kind}"], "the output")
            parts[f"output_{kind}"] = split[f"output_{kind}"]


#: a count beyond this is no count of tokens
MOST = 2**63


def _count(value: Any, path: str, spec: Format) -> int:
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    if (
        not number or value != value or not 0 <= value < MOST or value != int(value)
    ):  # also what isn't a number, and what has no end
        raise UsageError(f"{spec.name}: {path} must be a whole number of 0 or more, got {value!r}.", "bad_count")
    return int(value)


def _column(values: object, path: str, spec: Format) -> Column:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    try:
        array = (array if isinstance(array, pa.Array) else pa.array(array)).cast(pa.int64())
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise UsageError(f"{spec.name}: {path} must hold whole numbers: {error}", "bad_count") from error
    stated = array.is_valid().to_numpy(zero_copy_only=False)
    counts = array.fill_null(0).to_numpy()
    if (counts < 0).any():
        row = int((counts < 0).argmax())
        raise UsageError(f"{spec.name}: {path} is {counts[row]} in row {row}; a count can't be negative.", "bad_count")
    return counts, stated


def _first(usage: Mapping[str, Any], paths: Paths, spec: Format) -> Any:
    values = (find(usage, path, spec.flat) for path in paths)
    return next((value for value in values if value is not None and not isinstance(value, Mapping)), None)


def _requests(stated: int | None, spec: Format, context: Mapping[str, Any]) -> int | None:
    if stated is not None:
        return stated
    if context.get("requests") is not None:
        return int(context["requests"])
    return None if context.get("aggregated") or spec.requests != "one" else 1


def _reported(usage: Mapping[str, Any], spec: Format) -> Decimal | None:
    value = _first(usage, spec.reported, spec)
    return None if value is None else exact(value) / spec.reported_per


def _units(usage: Mapping[str, Any], name: str, paths: Paths, spec: Format) -> int | Decimal:
    """A quantity outside the tokens; what isn't counted in tokens may have fractions: seconds, hours, money."""
    stated = [value for path in paths if (value := find(usage, path, spec.flat)) is not None]
    if meters()[name].unit == "tokens":
        return max((_count(value, paths[0], spec) for value in stated), default=0)
    return max((_quantity(value, paths[0], spec) for value in stated), default=0)


def _quantity(value: object, path: str, spec: Format) -> int | Decimal:
    try:
        if isinstance(value, bool):
            raise ValueError
        number = exact(value)
    except (ValueError, TypeError, ArithmeticError):
        number = Decimal(-1)
    if not number.is_finite() or number < 0:
        raise UsageError(f"{spec.name}: {path} must be a number of 0 or more, got {value!r}.", "bad_count")
    return int(number) if number == int(number) else number


def _given(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Normalised:
    """Meters as they are stated."""
    spec = format_named("meters")
    if unknown := [name for name in usage if name not in meters()]:
        raise UsageError(f"meters: no meter called {unknown[0]!r}. {hint(unknown[0], meters())}", "unknown_meter")
    counted = {
        name: _count(value, name, spec) if meters()[name].is_token else _quantity(value, name, spec)
        for name, value in usage.items()
    }
    inputs = sum(
        int(q) for name, q in counted.items() if meters()[name].is_token and meters()[name].direction == "input"
    )
    asked = counted.get("requests") or context.get("requests")
    requests = int(asked) if asked else None if context.get("aggregated") else 1
    return Normalised(
        meters={name: q for name, q in counted.items() if q}, service_tier=_served({}, context),
        context_window=context.get("context_window"), inference_geo=_place(context.get("inference_geo")),
        region=context.get("region"), slice_input_tokens=inputs, slice_requests=requests,
    )  # fmt: skip


def _served(facts: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """The tier that served the call: the first that is stated decides."""
    if facts.get("batch") or context.get("batch") or facts.get("service_tier") == "batch":
        return "batch"
    if (facts.get("speed") or context.get("speed")) == "fast":
        return "fast"
    traffic = facts.get("traffic_type") or context.get("traffic_type")
    stated = (
        facts.get("service_tier"), context.get("service_tier"), traffic,
        facts.get("requested_service_tier"), context.get("requested_service_tier"),
    )  # fmt: skip
    return service_tier(next((str(word) for word in stated if word), None))


def _place(geo: str | None) -> str | None:
    return None if geo in (None, "", "not_available") else geo.lower()


def _with_further(call: Normalised, more: list[Normalised]) -> Normalised:
    """One call and what its object counts apart: samplings of the same model with an input of their own."""
    own = replace(call, reported_cost=None)
    parts = [
        replace(
            own, meters={name: n for name, n in part.meters.items() if name != "requests"}, slice_requests=1,
            slice_input_tokens=part.slice_input_tokens, flags=part.flags, notes=part.notes,
        )
        for part in more
    ]  # fmt: skip
    return replace(
        call,
        meters=_added([call, *parts]),
        flags=call.flags.union(*(part.flags for part in parts)),
        slice_input_tokens=sum(part.slice_input_tokens for part in (call, *parts)),
        slice_requests=None if call.slice_requests is None else call.slice_requests + len(parts),
        unknown_fields=tuple(path for part in (call, *more) for path in part.unknown_fields),
        notes=tuple(note for part in (call, *parts) for note in part.notes),
        calls=(own, *parts),
    )


def _added(calls: Iterable[Normalised]) -> dict[str, int | Decimal]:
    combined: dict[str, int | Decimal] = {}
    for call in calls:
        for name, quantity in call.meters.items():
            combined[name] = combined.get(name, 0) + quantity
    return combined


def _log(records: object, spec: Format, context: Mapping[str, Any]) -> Normalised:
    """A log whose records repeat a call while it streams: each call kept is a request of its own."""
    if not isinstance(records, list):
        raise UsageError(
            f"{spec.name}: the usage must be a list of records, got {type(records).__name__}.", "bad_usage"
        )
    kept = last_records(records)
    beside = {key: value for key, value in context.items() if key not in ("requests", "aggregated")}
    calls = tuple(normalise(find(record, spec.records), spec.inherits, beside) for record in kept)
    return Normalised(
        meters=_added(calls),
        flags=frozenset({"duplicates_dropped"} if len(kept) < len(records) else ()).union(*(c.flags for c in calls)),
        region=context.get("region"),
        slice_input_tokens=sum(call.slice_input_tokens for call in calls),
        slice_requests=len(calls),
        unknown_fields=tuple(path for call in calls for path in call.unknown_fields),
        notes=tuple(note for call in calls for note in call.notes),
        calls=tuple(part for call in calls for part in call.calls or (call,)),
    )
