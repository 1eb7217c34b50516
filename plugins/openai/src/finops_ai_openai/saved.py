"""Saved exports: pages of the API as JSON or JSON Lines, and the CSV files the usage dashboard exports."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finops_ai.errors import DataError, ProviderError
from finops_ai.money import exact
from finops_ai.providers.files import find_files, read_csv, read_json_any
from finops_ai_openai.api import Bucket, buckets_of, project_names
from finops_ai_openai.endpoints import ENDPOINTS

COSTS = "organization.costs.result"
COUNTS = {
    name
    for e in ENDPOINTS.values()
    for name in ([*e.counts.values()] or [f.name for f in e.fields if str(f.type) == "int64"])
}
#: column that only one endpoint's CSV has -> that endpoint
TELLING = {
    "images": "images", "characters": "audio_speeches", "seconds": "audio_transcriptions",
    "usage_bytes": "vector_stores", "num_sessions": "code_interpreter_sessions", "context_level": "web_search_calls",
    "vector_store_id": "file_search_calls", "output_tokens": "completions",
}  # fmt: skip
#: text that comes with a result in one kind of export only, and doesn't tell results apart
_NO_KEY = {
    "object", "start_time_iso", "end_time_iso", "amount_value", "amount_currency", "organization_id",
    "organization_name", "project_name", "user_email", "user_name", "api_key_name",
}  # fmt: skip


@dataclass
class Saved:
    """What a set of files holds."""

    usage: dict[str, list[Bucket]] = field(default_factory=lambda: defaultdict(list))
    costs: list[Bucket] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_saved(patterns: list[str]) -> Saved:
    """Read all files; where two hold the same result of the same bucket, the later one by name wins.

    Raises:
        DataError: a file is damaged, is nothing OpenAI exports, or holds hours and whole days of the same time.
    """
    saved, found = Saved(), []
    for path in find_files(patterns):
        found += _from_csv(path, saved) if path.name.removesuffix(".gz").endswith(".csv") else _from_json(path, saved)
    by_kind: dict[str, list[Bucket]] = defaultdict(list)
    for kind, bucket in found:
        by_kind[kind].append(bucket)
    for kind, buckets in by_kind.items():
        _same_widths(kind, buckets)
        kept = _latest(buckets, saved)
        if kind == COSTS:
            saved.costs = kept
        else:
            saved.usage[kind] = kept
    return saved


def _from_json(path: Path, saved: Saved) -> list[tuple[str, Bucket]]:
    out = []
    for number, page in read_json_any(path):
        place = str(path) if number == 1 else f"{path}, document {number}"
        rows = page.get("data") if isinstance(page, dict) else None
        if isinstance(rows, list) and any(
            isinstance(r, dict) and r.get("object") == "organization.project" for r in rows
        ):
            saved.names |= project_names(page)
            continue
        try:
            buckets = buckets_of(page, place)
        except ProviderError as error:
            raise DataError(f"{error} Save whole answers of /organization/usage/... or /organization/costs.") from None
        for bucket in buckets:
            kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for result in bucket.results:
                kinds[_kind(result, path, bucket)].append(result)
            out += [(kind, Bucket(bucket.start, bucket.end, rows, bucket.place)) for kind, rows in kinds.items()]
    return out


def _kind(result: Any, path: Path, bucket: Bucket) -> str:
    name = result.get("object") if isinstance(result, dict) else None
    if not isinstance(name, str):
        raise DataError(f"{bucket.place}: a result doesn't say what it is: no 'object'. Nothing was stored.")
    # results of `decisions` call themselves completions: only the file's name tells
    return "decisions" if name == "organization.usage.completions.result" and "decisions" in path.name else name


def _from_csv(path: Path, saved: Saved) -> list[tuple[str, Bucket]]:
    out = []
    kind = ""
    for line, row in read_csv(path, required=("start_time", "end_time")):
        kind = kind or _csv_kind(path, row)
        place = f"{path}, line {line}"
        values = {k: v for k, v in row.items() if v not in ("", None)}
        try:
            start, end = int(exact(values.pop("start_time"))), int(exact(values.pop("end_time")))
            result = {k: _csv_value(k, v) for k, v in values.items()}
        except (KeyError, ArithmeticError, ValueError) as error:
            raise DataError(f"{place}: can't be read ({error}). Export the file again. Nothing was stored.") from None
        if names := {k: v for k, v in [(values.get("project_id"), values.get("project_name"))] if k and v}:
            saved.names |= names
        measured = "amount_value" in values if kind == COSTS else any(k in COUNTS for k in values)
        if kind == COSTS and measured:
            result["amount"] = {"value": result["amount_value"], "currency": values.get("amount_currency", "usd")}
        out.append((kind, Bucket(start, end, [result] if measured else [], place)))
    return out


def _csv_kind(path: Path, row: dict[str, str]) -> str:
    if "amount_value" in row:
        return COSTS
    for name in ENDPOINTS:
        if path.name.startswith(name):
            return "decisions" if name == "decisions" else ENDPOINTS[name].object
    for column, name in TELLING.items():
        if column in row:
            return ENDPOINTS[name].object
    raise DataError(
        f"{path}: can't tell which usage this is from its name or its columns {list(row)}. "
        "Keep the name the dashboard gives it, such as embeddings_usage_2026-10-01_2026-10-31.csv."
    )


def _csv_value(name: str, text: str) -> Any:
    if name == "batch":
        return text.strip().lower() in ("true", "1")
    if name in COUNTS:
        number = exact(text)
        if number != int(number):
            raise ValueError(f"{name} is {text}, not a whole number")
        return int(number)
    return exact(text) if name in ("amount_value", "quantity") else text


def _same_widths(kind: str, buckets: list[Bucket]) -> None:
    by_width: dict[int, list[Bucket]] = defaultdict(list)
    for bucket in buckets:
        if bucket.results:
            by_width[bucket.end - bucket.start].append(bucket)
    if len(by_width) < 2:
        return
    ordered = sorted({(b.start, b.end, b.place) for rows in by_width.values() for b in rows})
    for before, after in itertools.pairwise(ordered):
        if after[0] < before[1] and (before[0], before[1]) != (after[0], after[1]):
            raise DataError(
                f"{before[2]} and {after[2]} hold {kind} of overlapping times in buckets of different length: "
                "the same usage would be counted twice. Remove one of the two files."
            )


def _latest(buckets: list[Bucket], saved: Saved) -> list[Bucket]:
    """Each result of each bucket once: the last one read. Every result keeps the place it was read at."""
    times: dict[tuple[int, int], list[Bucket]] = defaultdict(list)
    for bucket in buckets:
        times[bucket.start, bucket.end].append(bucket)
    out, replaced = [], 0
    for same in times.values():
        if len(same) == 1:
            out.append(same[0])
            continue
        rows: dict[tuple, tuple[dict[str, Any], str]] = {}
        for bucket in same:
            for result in bucket.results:
                key = tuple(sorted((k, v) for k, v in result.items() if isinstance(v, str | bool) and k not in _NO_KEY))
                replaced += key in rows
                rows[key] = (result, bucket.place)
        by_place: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for result, place in rows.values():
            by_place[place].append(result)
        out += [Bucket(same[0].start, same[0].end, results, place) for place, results in by_place.items()]
    if replaced:
        saved.notes.append(f"{replaced} results were saved more than once; the later file by name was used.")
    return out
