"""Token metrics as slices: counters and histograms of any temporality, each interval counted once.

Known are the counters `gen_ai.client.inference.usage.*`, the older histogram `gen_ai.client.token.usage`, and the own metrics
of coding tools (`finops_ai_otel.tools`). An instrumentation that writes the first two writes the same tokens twice; then the
counters hold. A token metric of another name is named in a note, with its tokens.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from finops_ai_otel.otlp import Point
from finops_ai_otel.tools import OWN_METRICS, SESSION, Tool, tool_of

SPAN = "otel.span"
USAGE = "gen_ai.usage."
COUNTERS = "gen_ai.client.inference.usage."
HISTOGRAM = "gen_ai.client.token.usage"
#: histograms of durations: one observation a call
DURATIONS = ("gen_ai.client.inference.duration", "gen_ai.client.operation.duration")

#: values of the attribute that tells the kinds of token apart -> path of the count in its usage format
TOKEN_TYPES = {
    "input": USAGE + "input_tokens",
    "output": USAGE + "output_tokens",
    "completion": USAGE + "output_tokens",
    "cache_read": USAGE + "cache_read.input_tokens",
    "cache_creation": USAGE + "cache_creation.input_tokens",
    "cache_write": USAGE + "cache_write.input_tokens",
    "reasoning": USAGE + "reasoning.output_tokens",
}
#: every metric that is read -> its usage format
METRICS = {
    **{f"{COUNTERS}{kind}": SPAN for kind in (
        "input_tokens", "output_tokens", "cache_read.input_tokens", "cache_write.input_tokens", "reasoning.output_tokens")},
    HISTOGRAM: SPAN,
    **{name: metric.format for name, metric in OWN_METRICS.items()},
    **dict.fromkeys(DURATIONS, SPAN),
}  # fmt: skip
#: attributes that divide one slice's counts rather than slices
DIVIDING = {"gen_ai.token.type", "gen_ai.token.modality", "type", "token_type", "error.type"}
#: format -> total -> what is inside it
INSIDE = {
    SPAN: {
        USAGE + "input_tokens": (
            USAGE + "cache_read.input_tokens", USAGE + "cache_write.input_tokens", USAGE + "cache_creation.input_tokens",
        ),
        USAGE + "output_tokens": (USAGE + "reasoning.output_tokens",),
    },
    "codex.rollout": {"input_tokens": ("cached_input_tokens",), "output_tokens": ("reasoning_output_tokens",)},
    "gemini_cli.log": {"input": ("cached",)},
}  # fmt: skip
INSTANT = dt.timedelta(microseconds=1)
#: how far apart the ends of points of one collection may lie
TOGETHER = dt.timedelta(seconds=1)


@dataclass
class Slice:
    """Counts of one interval and set of attributes; `calls` is None where no metric counts calls."""

    start: dt.datetime
    end: dt.datetime
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    format: str
    counts: dict[str, int] = field(default_factory=dict)
    calls: int | None = None
    strange: dict[str, int] = field(default_factory=dict)
    place: str = ""
    tool: Tool | None = None
    credits: Decimal | None = None


def slices_of(points: Iterable[Point], notes: list[str]) -> list[Slice]:
    """Slices of all points, one per collection and set of attributes.

    Instruments that are read out together state times that differ by what reading them took, and a series starts when
    it is first used. So points of one service and set of attributes belong together where their ends lie within a
    second. Where a call was recorded while instruments were read out, a slice may lack a total that its parts are in:
    it is joined with the one before.
    """
    groups: dict[Any, list[Point]] = {}
    for point in _intervals(_one_family(list(points), notes), notes):
        shared = {k: v for k, v in point.attributes.items() if k not in DIVIDING}
        key = METRICS[point.metric], tool_of_point(point), _frozen(shared), _frozen(point.resource)
        groups.setdefault(key, []).append(point)
    out: list[Slice] = []
    for group in groups.values():
        pieces: list[Slice] = []
        for together in _collections(group):
            piece = _slice_of(together)
            if not (piece.counts or piece.strange or piece.calls):
                continue
            if pieces and (_short(piece) or _short(pieces[-1])):
                _join(pieces[-1], piece)
            else:
                pieces.append(piece)
        while len(pieces) > 1 and _short(pieces[-1]):
            _join(pieces[-2], pieces.pop())
        out += pieces
    return out


def _collections(points: list[Point]) -> Iterator[list[Point]]:
    """Points of one set of attributes by the collection they were read out in."""
    together: list[Point] = []
    seen: set[Any] = set()
    for point in sorted(points, key=lambda p: (p.end, p.metric)):
        series = (point.metric, _frozen(point.attributes))
        if together and (point.end - together[0].end > TOGETHER or series in seen):
            yield together
            together, seen = [], set()
        together.append(point)
        seen.add(series)
    if together:
        yield together


def _slice_of(points: list[Point]) -> Slice:
    first = points[0]
    shared = {k: v for k, v in first.attributes.items() if k not in DIVIDING}
    start, end = max(p.start for p in points), max(p.end for p in points)
    piece = Slice(
        start, end, shared, first.resource, METRICS[first.metric], place=first.place, tool=tool_of_point(first)
    )
    for point in points:
        _add(piece, point)
    return piece


def _short(piece: Slice) -> bool:
    """Whether a part is larger than the total it is in."""
    return any(
        sum(piece.counts.get(part, 0) for part in parts) > piece.counts.get(whole, 0)
        for whole, parts in INSIDE.get(piece.format, {}).items()
    )


def _join(piece: Slice, later: Slice) -> None:
    """Add a later slice to one."""
    piece.end = later.end
    for mine, theirs in ((piece.counts, later.counts), (piece.strange, later.strange)):
        for name, count in theirs.items():
            mine[name] = mine.get(name, 0) + count
    if later.calls is not None:
        piece.calls = (piece.calls or 0) + later.calls


def _add(piece: Slice, point: Point) -> None:
    if point.metric in DURATIONS:
        piece.calls = (piece.calls or 0) + (point.count or 0)
        return
    if point.metric.startswith(COUNTERS):
        name = point.metric.removeprefix(COUNTERS)
        modality = point.attributes.get("gen_ai.token.modality")
        paths = [USAGE + name] + ([f"{USAGE}{modality}.{name}"] if modality in ("audio", "image") else [])
        if modality in ("audio", "image") and name.startswith(("cache_write", "reasoning")):
            paths = paths[:1]
    else:
        own = OWN_METRICS.get(point.metric)
        types, word = (own.kinds, own.word) if own else (TOKEN_TYPES, "gen_ai.token.type")
        kind = str(point.attributes.get(word))
        paths = [types[kind]] if types.get(kind) else []
        if kind not in types:
            name = f"{point.metric} {kind}" if own else kind
            piece.strange[name] = piece.strange.get(name, 0) + point.value
        if kind == "input" and point.count is not None and piece.calls is None:
            piece.calls = point.count
    for path in paths:
        piece.counts[path] = piece.counts.get(path, 0) + point.value


def unknown_metrics(points: Iterable[Point]) -> list[str]:
    """Token metrics that no reader here knows, each with its tokens in words; counted as any other, and in no frame.

    What their kinds mean isn't known either, so a kind is named beside its sum: a total among them would repeat the others.
    """
    sums: dict[str, dict[str, int]] = {}
    for point in _intervals(list(points), []):
        kinds = [
            str(v)
            for k, v in sorted(point.attributes.items())
            if k.rpartition(".")[2] in ("type", "token_type", "kind")
        ]
        into = sums.setdefault(point.metric, {})
        into["/".join(kinds)] = into.get("/".join(kinds), 0) + point.value
    return [
        f"{metric}: " + ", ".join(f"{count:,}{f' {kind}' if kind else ''}" for kind, count in sorted(by_kind.items()))
        for metric, by_kind in sorted(sums.items())
    ]


def tool_of_point(point: Point) -> Tool | None:
    """The coding tool whose metric a point is of, by the metric's name, else by its service."""
    own = OWN_METRICS.get(point.metric)
    return own.tool if own else tool_of(point.resource)


def _one_family(points: list[Point], notes: list[str]) -> list[Point]:
    """Without the older histogram where a service also writes the counters."""
    counting = {_frozen(p.resource) for p in points if p.metric.startswith(COUNTERS)}
    kept = [p for p in points if p.metric != HISTOGRAM or _frozen(p.resource) not in counting]
    if len(kept) < len(points):
        notes.append(
            f"{len(points) - len(kept)} points of {HISTOGRAM} repeat the usage counters of their service: left out."
        )
    return kept


def _intervals(points: list[Point], notes: list[str]) -> list[Point]:
    """Every series as what was added in each interval: a cumulative one by difference, a point written twice once, and of a series
    that is exported in both ways the intervals once."""
    series: dict[Any, list[Point]] = {}
    for point in points:
        start = point.start if point.cumulative else None
        series.setdefault((point.cumulative, start, _series(point)), []).append(point)
    out: list[Point] = []
    added: dict[Any, list[Point]] = {}
    twice = resets = 0
    for (cumulative, _, name), written in series.items():
        written.sort(key=lambda p: (p.end, p.start))
        last: Point | None = None
        for point in written:
            if last is not None and (point.end, point.start, point.value) == (last.end, last.start, last.value):
                twice += 1
                continue
            value, count, start = point.value, point.count, point.start
            if cumulative and last is not None:
                start = last.end
                if point.value < last.value:
                    resets += 1
                else:
                    value = point.value - last.value
                    count = None if count is None or last.count is None else count - last.count
            start = min(start, point.end - INSTANT)
            piece = replace(point, start=start, value=value, count=count, cumulative=False)
            (added.setdefault(name, []) if cumulative else out).append(piece)
            last = point
    both = _beside(out, added)
    out += [piece for pieces in added.values() for piece in pieces]
    if twice:
        notes.append(f"{twice} metric points were exported twice: counted once.")
    if both:
        notes.append(f"{both} intervals were exported as sums and as what was added: counted once.")
    if resets:
        notes.append(f"{resets} cumulative series fell without a new start: counted from 0 again.")
    return out


def _beside(deltas: list[Point], added: dict[Any, list[Point]]) -> int:
    """Take out of cumulative series the intervals that the same series also tells as deltas; how many they were."""
    told: dict[Any, list[Point]] = {}
    for point in deltas if added else ():
        told.setdefault(_series(point), []).append(point)
    both = 0
    for name in added.keys() & told.keys():
        first, last = min(p.start for p in told[name]), max(p.end for p in told[name])
        apart = [p for p in added[name] if p.end <= first or p.start >= last]
        both += len(added[name]) - len(apart)
        added[name] = apart
    return both


def _series(point: Point) -> tuple[Any, ...]:
    """What makes points those of one series. Where a session is named, it says who counted: collectors on the way add attributes of
    their own to the resource."""
    resource = point.resource
    if any(name in point.attributes for name in SESSION):
        resource = {"service.name": resource.get("service.name")}
    return point.metric, _frozen(point.attributes), _frozen(resource)


def _frozen(mapping: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted((k, str(v)) for k, v in mapping.items()))
